//! Operations of core modules on stores, `serverledge::kv`: request and reply in the form of the guest ABI.

use bytes::Bytes;
use serverledge_core::{HostCalls, StateError};
use serverledge_wire::state::{self, StateRequestError};

/// The reason why an operation of a core module was not carried out.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StateCallError {
    /// The request is too long, which only a value can make it.
    #[error("a request may have {0} bytes, its value included")]
    TooLarge(usize),
    /// It is no request.
    #[error(transparent)]
    Request(#[from] StateRequestError),
    /// The stores refused.
    #[error(transparent)]
    State(#[from] StateError),
}

impl StateCallError {
    /// The stable code that the function reads.
    pub(crate) fn code(&self) -> &'static str {
        match self {
            Self::TooLarge(_) => "kv_value_too_large",
            Self::Request(fault) => fault.code(),
            Self::State(fault) => fault.code(),
        }
    }
}

/// Carries out an operation that is written in the form of the guest ABI, and returns the reply in that form.
pub(crate) async fn apply(host: &dyn HostCalls, request: &Bytes) -> Result<Bytes, StateCallError> {
    let (store, op) = state::read_request(request)?;
    let reply = host.state(&store, op).await?;
    Ok(state::write_reply(&reply))
}
