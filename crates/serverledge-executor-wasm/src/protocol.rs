//! What the compiling child tells the node: one line of JSON on stdout, then the machine code.

use serde::{Deserialize, Serialize};

/// Which of the guest interfaces (`docs/guest-abi.md`) a module has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum GuestKind {
    /// Exports `_start`: parameters on stdin, result on stdout.
    Command,
    /// Exports `serverledge_alloc` and `serverledge_handle`.
    Reactor,
    /// A component that exports `wasi:http/incoming-handler`.
    Http,
}

impl GuestKind {
    pub(crate) const fn words(self) -> &'static str {
        match self {
            Self::Command => "WASI command",
            Self::Reactor => "reactor",
            Self::Http => "wasi:http component",
        }
    }

    pub(crate) const fn interface(self) -> serverledge_core::Interface {
        match self {
            Self::Command | Self::Reactor => serverledge_core::Interface::Json,
            Self::Http => serverledge_core::Interface::Http,
        }
    }
}

/// What was learnt about a module that compiled.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Compiled {
    pub(crate) kind: GuestKind,
    /// Linear memory that every instance begins with, in bytes.
    pub(crate) memory_bytes_min: u64,
    /// Length of the machine code that follows.
    pub(crate) code_bytes: u64,
}

/// Why a module is refused.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Refusal {
    pub(crate) code: RefusalCode,
    pub(crate) message: String,
}

/// The stable codes of refusals.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum RefusalCode {
    NotWasm,
    InvalidModule,
    UnknownImport,
    NoInterface,
    /// Not the module's fault as such: compiling it met a limit.
    TooComplex,
}

impl RefusalCode {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::NotWasm => "not_wasm",
            Self::InvalidModule => "invalid_module",
            Self::UnknownImport => "unknown_import",
            Self::NoInterface => "no_interface",
            Self::TooComplex => "module_too_complex",
        }
    }
}

/// The line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Verdict {
    Compiled(Compiled),
    Refused(Refusal),
}
