//! Components that can be instantiated, by what they export and by version of WASI.

use wasmtime::Result;
use wasmtime::component::InstancePre;
use wasmtime_wasi::p2::bindings::CommandPre;
use wasmtime_wasi::p3;
use wasmtime_wasi_http::p2::bindings::ProxyPre;
use wasmtime_wasi_http::p3::bindings::ServicePre;

use crate::component_guest::ComponentGuest;
use crate::protocol::GuestKind;

/// See the module.
pub(crate) enum ComponentProgram {
    Http(HttpProgram),
    Cli(CliProgram),
}

/// A component that answers requests, by version of WASI.
#[derive(Clone)]
pub(crate) enum HttpProgram {
    Preview2(ProxyPre<ComponentGuest>),
    Preview3(ServicePre<ComponentGuest>),
}

/// A component that is a program, by version of WASI.
#[derive(Clone)]
pub(crate) enum CliProgram {
    Preview2(CommandPre<ComponentGuest>),
    Preview3(p3::bindings::CommandPre<ComponentGuest>),
}

impl ComponentProgram {
    /// The program of a component of this kind.
    ///
    /// # Errors
    /// If it does not export what its kind has.
    pub(crate) fn new(kind: GuestKind, linked: InstancePre<ComponentGuest>) -> Result<Self> {
        Ok(match kind {
            GuestKind::Cli => Self::Cli(CliProgram::Preview2(CommandPre::new(linked)?)),
            GuestKind::ConcurrentCli => {
                Self::Cli(CliProgram::Preview3(p3::bindings::CommandPre::new(linked)?))
            }
            GuestKind::Service => Self::Http(HttpProgram::Preview3(ServicePre::new(linked)?)),
            GuestKind::Http | GuestKind::Command | GuestKind::Reactor | GuestKind::HttpReactor => {
                Self::Http(HttpProgram::Preview2(ProxyPre::new(linked)?))
            }
        })
    }
}
