//! Errors of an invocation, told apart by their cause: the user's function, the request, overload, a dependency, or
//! this program.

use std::time::Duration;

use bytes::Bytes;

/// The kind of a function's failure: a fault of its own, or a limit that ended it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum FailureKind {
    /// The function said so: an exit code other than zero, or an error object.
    Error,
    /// The sandbox stopped it for an illegal action: unreachable code, access out of bounds, stack exhaustion.
    Trap,
    /// It ran longer than its wall-clock limit.
    TimeLimit,
    /// It used more processor time than its limit.
    CpuLimit,
    /// It asked for more memory than its limit, and then failed.
    MemoryLimit,
    /// It wrote more output than is allowed.
    OutputLimit,
    /// Its output is not what its interface promises (not JSON, no response).
    BadOutput,
    /// Its process ended in the middle of the invocation.
    Exited,
}

impl FailureKind {
    /// All of them.
    pub const ALL: [Self; 8] = [
        Self::Error,
        Self::Trap,
        Self::TimeLimit,
        Self::CpuLimit,
        Self::MemoryLimit,
        Self::OutputLimit,
        Self::BadOutput,
        Self::Exited,
    ];

    /// The failure with this code.
    #[must_use]
    pub fn from_code(code: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.code() == code)
    }

    /// The stable code of this failure in the API.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::Error => "function_error",
            Self::Trap => "function_trap",
            Self::TimeLimit => "function_timeout",
            Self::CpuLimit => "function_cpu_limit",
            Self::MemoryLimit => "function_out_of_memory",
            Self::OutputLimit => "function_output_too_large",
            Self::BadOutput => "function_bad_output",
            Self::Exited => "function_exited",
        }
    }
}

/// The function failed; its owner can do something about it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct FunctionFailure {
    /// The kind of the failure.
    pub kind: FailureKind,
    /// One line for people.
    pub message: String,
    /// The function's own stack trace, if it gave one.
    pub stack: Option<String>,
    /// The end of what it wrote to its log (at most [`crate::limits::LOG_TAIL_BYTES_MAX`]).
    pub log: Bytes,
    /// It may be no failure next time, or another: a call that the function made failed for want of time or room, or for
    /// where it was made. Nothing that stands on it is kept or shared. An executor says `false`; only the node knows.
    pub stale: bool,
}

/// The reason why the scheduler refused an invocation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum OverloadReason {
    /// No resources are free and the queue is full.
    QueueFull,
    /// It waited as long as the queue allows.
    WaitedTooLong,
    /// It cannot start before its deadline.
    Deadline,
    /// The node is draining.
    Draining,
    /// The function declares more than the whole node has: waiting cannot help.
    NeverFits,
    /// The call may only run on another node, and there is none that would take it.
    NoPeer,
    /// A nested call, and all that could free what it needs waits in calls itself.
    CallWouldDeadlock,
}

impl OverloadReason {
    /// The stable code of this reason in the API.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::QueueFull => "queue_full",
            Self::WaitedTooLong => "queue_timeout",
            Self::Deadline => "deadline_unreachable",
            Self::Draining => "draining",
            Self::NeverFits => "exceeds_node",
            Self::NoPeer => "no_peer",
            Self::CallWouldDeadlock => "call_would_deadlock",
        }
    }

    const fn text(self) -> &'static str {
        match self {
            Self::QueueFull => "no resources are free and the queue is full",
            Self::WaitedTooLong => "no resources became free within the longest wait",
            Self::Deadline => "no resources became free before the deadline",
            Self::Draining => "the node is shutting down",
            Self::NeverFits => "the function declares more memory or CPU than this node has",
            Self::NoPeer => "no other node can take the call, and it does not run on this one",
            Self::CallWouldDeadlock => {
                "all that the called function needs is held by calls that wait in calls themselves"
            }
        }
    }
}

/// The reason why an invocation gave no result.
#[derive(Debug, thiserror::Error)]
pub enum InvocationError {
    /// No such function in the caller's space.
    #[error("function {0:?} is unknown")]
    Unknown(String),
    /// The request does not fit the function.
    #[error("{message}")]
    Request {
        /// A stable code.
        code: &'static str,
        /// The fault, and how to correct it.
        message: String,
    },
    /// The function failed.
    #[error(transparent)]
    Function(#[from] FunctionFailure),
    /// The node is overloaded.
    #[error("{}", reason.text())]
    Overloaded {
        /// The limit that was reached.
        reason: OverloadReason,
        /// Time after which a retry makes sense.
        retry_after: Duration,
    },
    /// Whoever pays for the invocation has as many as they may have.
    #[error("{message}")]
    Quota {
        /// A stable code.
        code: &'static str,
        /// The quota that is used up, with its figures.
        message: String,
        /// Time after which a retry makes sense.
        retry_after: Duration,
    },
    /// Something this node depends on does not answer.
    #[error("{what} is unavailable")]
    Dependency {
        /// The dependency that does not answer.
        what: &'static str,
        /// A stable code.
        code: &'static str,
        /// The cause.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// It was handed to another node, and whether it ran there cannot be told: it is not run a second time.
    #[error(
        "node {node} was asked to run the function and gave no answer; it may have run, or run still"
    )]
    OutcomeUnknown {
        /// The node that the invocation was offloaded to.
        node: String,
    },
    /// Our fault.
    #[error("internal error: {message}")]
    Internal {
        /// The operation that failed; for the log, not for the caller.
        message: String,
    },
}

impl InvocationError {
    /// The stable code of this error in the API.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Unknown(_) => "function_unknown",
            Self::Request { code, .. }
            | Self::Dependency { code, .. }
            | Self::Quota { code, .. } => code,
            Self::Function(failure) => failure.kind.code(),
            Self::Overloaded { reason, .. } => reason.code(),
            Self::OutcomeUnknown { .. } => "offload_outcome_unknown",
            Self::Internal { .. } => "internal",
        }
    }

    /// Whether the function certainly did not start, so that another node may be asked.
    #[must_use]
    pub const fn never_started(&self) -> bool {
        matches!(
            self,
            Self::Unknown(_) | Self::Overloaded { .. } | Self::Dependency { .. }
        )
    }
}
