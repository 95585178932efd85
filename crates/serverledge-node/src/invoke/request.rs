//! A call on its way through the node.

use std::sync::Arc;

use bytes::Bytes;
use serverledge_core::{Call, CallKey, InvocationError};

use crate::admission::HeldLease;
use crate::functions::FunctionEntry;
use crate::runs::FailedPhases;
use crate::runs::requests::RequestLog;

/// The error code of a call that waits for itself.
pub(crate) const CALL_CYCLE: &str = "call_cycle";
/// The error code of a call whose function was not prepared in time.
pub(crate) const NOT_PREPARED: &str = "function_not_prepared";

/// A call, from any origin, with the version that it runs in.
pub(crate) struct ResolvedCall {
    pub(crate) entry: Arc<FunctionEntry>,
    pub(crate) call: Call,
    /// The lease of the caller, if that runs here.
    pub(crate) caller: Option<Arc<HeldLease>>,
    /// The key of its result, if that may be kept. It joins the chain of the calls that it makes.
    pub(crate) key: Option<CallKey>,
    /// Whether it runs in this version only, whatever version the function has meanwhile.
    pub(crate) pinned: bool,
    /// Its requests to hosts outside, if its function may send any.
    pub(crate) request_log: Option<Arc<RequestLog>>,
    /// Its phases, should it fail here.
    pub(crate) failed: Arc<FailedPhases>,
}

impl ResolvedCall {
    /// A call in whatever version the function has.
    pub(crate) fn new(entry: Arc<FunctionEntry>, call: Call) -> Self {
        let sends = !entry.function.version.outbound.is_empty();
        let request_log = sends.then(|| Arc::new(RequestLog::new(call.arrived)));
        Self {
            entry,
            call,
            caller: None,
            key: None,
            pinned: false,
            request_log,
            failed: Arc::default(),
        }
    }

    /// The same call again, for another sandbox.
    pub(crate) fn again(&self, params: Bytes) -> Self {
        let entry = Arc::clone(&self.entry);
        let call = self.call.again(params);
        Self {
            entry,
            call,
            caller: self.caller.clone(),
            key: self.key,
            pinned: self.pinned,
            request_log: self.request_log.clone(),
            failed: Arc::clone(&self.failed),
        }
    }
}

/// A call from outside of somebody unknown, as tests make it.
#[cfg(test)]
pub(crate) fn call_of(function: &str, params: &str) -> serverledge_api::ClientCall {
    use serverledge_core::{Caller, FunctionName, InvocationId, Payload};
    let payload = Payload::Json(Bytes::copy_from_slice(params.as_bytes()));
    let function = FunctionName::parse(function).unwrap();
    serverledge_api::ClientCall::new(
        Caller::anonymous(),
        Call::new(InvocationId::new(), function, payload, crate::clock::now()),
    )
}

/// The error of a call whose function is not prepared.
pub(crate) fn not_prepared(reason: String) -> InvocationError {
    InvocationError::Dependency {
        what: "what the function needs, which is prepared from its stored code,",
        code: NOT_PREPARED,
        source: reason.into(),
    }
}

/// Whether a call did not run because its version is not prepared here.
pub(crate) fn is_not_prepared(error: &InvocationError) -> bool {
    matches!(
        error,
        InvocationError::Dependency {
            code: NOT_PREPARED,
            ..
        }
    )
}
