//! Store data of core modules (commands and reactors).

use std::sync::Arc;

use bytes::Bytes;
use serverledge_core::{FunctionName, HostCalls, InvocationId, Version};
use wasmtime::Memory;

use crate::log_tail::LogTail;
use crate::meter::{Meter, Metered};

/// One invocation of a core module, as the host functions see it.
pub(crate) struct CoreGuest {
    pub(crate) meter: Meter,
    pub(crate) log: LogTail,
    pub(crate) stdin: Bytes,
    pub(crate) stdout: Vec<u8>,
    pub(crate) stdout_max: usize,
    /// Set once the instance exists; host functions called by a start section look it up by name.
    pub(crate) memory: Option<Memory>,
    pub(crate) function: FunctionName,
    pub(crate) id: InvocationId,
    pub(crate) version: Arc<Version>,
    pub(crate) host: Arc<dyn HostCalls>,
    /// The reply of `serverledge::call` that did not fit the guest's buffer.
    pub(crate) kept_reply: Option<Reply>,
}

/// A reply of a nested call.
#[derive(Debug, Clone)]
pub(crate) struct Reply {
    pub(crate) bytes: Bytes,
    pub(crate) is_error: bool,
}

impl Metered for CoreGuest {
    fn meter(&mut self) -> &mut Meter {
        &mut self.meter
    }
}

impl CoreGuest {
    /// The environment: the function's own variables, its secrets and what the guest ABI promises, as `NAME=value`.
    pub(crate) fn environment(&self) -> Vec<String> {
        let own =
            self.version.env.iter().chain(&self.version.secrets.values).map(|(name, value)| format!("{name}={value}"));
        own.chain([
            format!("SERVERLEDGE_HANDLER={}", self.version.handler),
            format!("SERVERLEDGE_INVOCATION_ID={}", self.id),
        ])
        .collect()
    }
}
