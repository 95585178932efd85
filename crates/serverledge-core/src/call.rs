//! What a running function may ask of its node, and the context that travels through nested calls.

use std::sync::Arc;
use std::time::Instant;

use async_trait::async_trait;
use bytes::Bytes;

use crate::error::InvocationError;
use crate::id::InvocationId;
use crate::memo::Carried;
use crate::name::FunctionName;

/// What travels from a call to the calls that it makes.
#[derive(Debug, Clone)]
pub struct CallContext {
    /// The id of the invocation at the root of the call tree.
    pub root: InvocationId,
    /// 0 for a call from outside, one more for each nested call.
    pub depth: u32,
    /// When the answer must be there, if the caller said so. Nested calls inherit it.
    pub deadline: Option<Instant>,
    /// Whether other nodes may run it. Nested calls inherit it.
    pub may_offload: bool,
    /// Where it has been and what its first request said; `None` for a call from outside that said nothing.
    pub travel: Option<Arc<Travel>>,
    /// What its client carries; nested calls look there as well.
    pub carried: Option<Arc<Carried>>,
    /// Whether the answer is to bring entries that its client may carry back. Nested calls inherit it.
    pub hands_out: bool,
    /// The idempotent calls that this one is made in, the innermost first.
    pub chain: Option<Arc<Link>>,
}

/// What an idempotent call is known by: a digest of space, function, version and canonical parameters.
pub type CallKey = [u8; 32];

/// One of the idempotent calls that a call is made in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Link {
    /// Its key.
    pub key: CallKey,
    /// The one that it is made in itself.
    pub up: Option<Arc<Link>>,
}

/// What travels with a call tree from node to node.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Travel {
    /// How often a call on the way here was offloaded.
    pub hops: u32,
    /// The nodes (`area/node`) that sent it on, the last one last.
    pub path: Vec<String>,
    /// The id of the first request, where it is not the invocation's; empty: there is none.
    pub request_id: String,
    /// The caller's trace context (W3C `traceparent`); empty: there is none.
    pub trace: String,
}

impl CallContext {
    /// The context of a call from outside.
    #[must_use]
    pub fn root(id: InvocationId, deadline: Option<Instant>) -> Self {
        Self {
            root: id,
            depth: 0,
            deadline,
            may_offload: true,
            travel: None,
            carried: None,
            hands_out: false,
            chain: None,
        }
    }

    /// How often a call on the way here was offloaded.
    #[must_use]
    pub fn hops(&self) -> u32 {
        self.travel.as_ref().map_or(0, |travel| travel.hops)
    }

    /// The keys of the idempotent calls that this one is made in, the innermost first.
    pub fn chain(&self) -> impl Iterator<Item = &CallKey> {
        std::iter::successors(self.chain.as_deref(), |link| link.up.as_deref())
            .map(|link| &link.key)
    }
}

/// Why a nested call gave no result.
#[derive(Debug, thiserror::Error)]
pub enum CallError {
    /// The calls are nested deeper than [`crate::limits::CALL_DEPTH_MAX`].
    #[error("calls are nested more than {max} deep")]
    TooDeep {
        /// The limit.
        max: u32,
    },
    /// The invocation has as many calls outstanding as it may.
    #[error("an invocation may have {max} calls outstanding at once")]
    TooManyAtOnce {
        /// [`crate::limits::CALLS_AT_ONCE_MAX`].
        max: usize,
    },
    /// The invocation has made as many calls as it may.
    #[error("an invocation may make {max} calls")]
    TooMany {
        /// [`crate::limits::CALLS_MAX`].
        max: usize,
    },
    /// The parameters are longer than an invocation's may be.
    #[error("parameters may have {max} bytes")]
    TooLarge {
        /// The limit.
        max: usize,
    },
    /// The parameters are no JSON.
    #[error("the parameters are not JSON")]
    NotJson,
    /// The name cannot be a function's.
    #[error("failed to call {name:?}")]
    Name {
        /// What the function asked for.
        name: String,
        /// Why it is no name.
        #[source]
        source: crate::name::NameError,
    },
    /// The called function, or the way to it, failed.
    #[error(transparent)]
    Invocation(#[from] Box<InvocationError>),
}

impl CallError {
    /// The stable code that the calling function reads.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::TooDeep { .. } => "call_too_deep",
            Self::TooManyAtOnce { .. } => "call_too_many_at_once",
            Self::TooMany { .. } => "call_too_many",
            Self::TooLarge { .. } => "params_too_large",
            Self::NotJson => "invalid_params",
            Self::Name { .. } => "invalid_name",
            Self::Invocation(error) => match &**error {
                InvocationError::Unknown(_) => "function_unknown",
                InvocationError::Request { code, .. }
                | InvocationError::Dependency { code, .. } => code,
                InvocationError::Function(failure) => failure.kind.code(),
                InvocationError::Overloaded { reason, .. } => reason.code(),
                InvocationError::Quota { code, .. } => code,
                InvocationError::OutcomeUnknown { .. } => "offload_outcome_unknown",
                InvocationError::Internal { .. } => "internal",
            },
        }
    }

    /// What the calling function may know of it: of our own faults, that there was one.
    #[must_use]
    pub fn message(&self) -> String {
        match self {
            Self::Invocation(error) if matches!(**error, InvocationError::Internal { .. }) => {
                "the node failed to run the called function".to_owned()
            }
            other => other.to_string(),
        }
    }
}

/// Asked by a sandbox on behalf of the function it runs.
#[async_trait]
pub trait HostCalls: Send + Sync {
    /// Runs another function of the same space with these parameters and returns its result (both JSON).
    /// Dropping the future cancels the nested call.
    async fn call(&self, function: &str, params: Bytes) -> Result<Bytes, CallError>;

    /// The caller as a name, for messages.
    fn caller(&self) -> &FunctionName;
}
