//! The reasons why operations on functions and invocations fail.

use serverledge_core::{FunctionName, InvocationError, InvocationId, PrepareError};
use serverledge_wire::function::SpecError;

/// Whether a deployment may replace a function.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Deploy {
    /// The name must be free.
    Create,
    /// The name may be taken.
    Update,
}

/// The reason why a deployment or deletion failed; nothing was changed.
#[derive(Debug, thiserror::Error)]
pub enum DeployError {
    /// The name is taken.
    #[error("function {0} exists already; update it, or delete it first")]
    Exists(FunctionName),
    /// No such function.
    #[error("function {0:?} is unknown")]
    Unknown(String),
    /// The application or the account to deploy into was deleted meanwhile.
    #[error("the application was deleted meanwhile")]
    SpaceGone,
    /// The function has no such version (any more).
    #[error(
        "function {name} has no version {version:?}; /functions/{name}/versions lists those it has"
    )]
    UnknownVersion {
        /// The function's name.
        name: FunctionName,
        /// The version that was asked for.
        version: String,
    },
    /// Several of its versions begin so.
    #[error("several versions of function {name} begin with {version:?}")]
    AmbiguousVersion {
        /// The function's name.
        name: FunctionName,
        /// The beginning of a version that was asked for.
        version: String,
    },
    /// Others changed the function again and again meanwhile.
    #[error("function {0} is being changed by too many at once")]
    Contended(FunctionName),
    /// The function is not in the state that `If-Match` names.
    #[error("function {0} was changed since: it is not as If-Match says; read it again")]
    NotAsExpected(FunctionName),
    /// The owner has as much as they may have.
    #[error(transparent)]
    Quota(#[from] QuotaExceeded),
    /// The request breaks a rule.
    #[error(transparent)]
    Spec(#[from] SpecError),
    /// The code cannot be read out of the request.
    #[error("{message}")]
    Code {
        /// A stable code.
        code: &'static str,
        /// The fault, and the way out.
        message: String,
    },
    /// This node cannot run such functions.
    #[error("{0}")]
    Unsupported(String),
    /// The executor refuses the code.
    #[error(transparent)]
    Prepare(#[from] PrepareError),
    /// The registry did not take it.
    #[error("the registry is unavailable")]
    Registry {
        /// A stable code.
        code: &'static str,
        /// The cause.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

/// An owner has as much as they may have.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct QuotaExceeded {
    /// A stable code.
    pub code: &'static str,
    /// The quota that is used up, with its figures.
    pub message: String,
}

/// The reason why an asynchronous invocation was not accepted; nothing was stored.
#[derive(Debug, thiserror::Error)]
pub enum SubmitError {
    /// As for a synchronous one.
    #[error(transparent)]
    Invocation(#[from] InvocationError),
    /// Too many are waiting.
    #[error("{waiting} asynchronous invocations are waiting already")]
    Full {
        /// Their number.
        waiting: usize,
    },
    /// The idempotency key stands for a request with another payload.
    #[error(
        "this idempotency key stands for another request, invocation {first}, with other parameters"
    )]
    KeyReused {
        /// That request's invocation.
        first: InvocationId,
    },
    /// The callback's URL is not one that callbacks go to.
    #[error("the callback is refused: {why}")]
    Callback {
        /// The reason.
        why: String,
    },
}

/// A failure to read the state of an asynchronous invocation.
#[derive(Debug, thiserror::Error)]
#[error("the registry is unavailable")]
pub struct PollError(#[source] pub Box<dyn std::error::Error + Send + Sync>);
