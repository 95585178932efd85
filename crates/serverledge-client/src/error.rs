//! Failures of calls to a node.

use std::error::Error;
use std::time::Duration;

use serverledge_core::{FailureKind, OverloadReason};
use serverledge_wire::problem::Problem;

/// The cause below a [`ClientError`]; its own sources lead down to the operating system's words.
pub type Cause = Box<dyn Error + Send + Sync>;

/// The reason why a call to a node gave no result.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ClientError {
    /// The HTTP client could not be set up; nothing was sent.
    #[error("set up the HTTP client")]
    Setup {
        /// The cause.
        source: Cause,
    },
    /// The request breaks a rule of the API; nothing was sent.
    #[error("send the request: {fault}")]
    Request {
        /// The rule.
        fault: String,
    },
    /// A token or a password would go to another machine without TLS; nothing was sent.
    #[error("send a secret to {url}: everybody on the way could read it")]
    InClear {
        /// The node's URL.
        url: String,
    },
    /// No connection to the node came about; nothing was sent.
    #[error("reach the node at {url}")]
    Unreachable {
        /// The node's URL.
        url: String,
        /// The cause.
        source: Cause,
    },
    /// The node's certificate is not believed; nothing was sent.
    #[error("trust the certificate of the node at {url}: {fault}")]
    Untrusted {
        /// The node's URL.
        url: String,
        /// The fault of the certificate.
        fault: String,
    },
    /// The connection broke after the request had been sent: it may have taken effect.
    #[error("get an answer from {url}: the connection broke")]
    Interrupted {
        /// The request's URL.
        url: String,
        /// The cause.
        source: Cause,
    },
    /// No whole answer came within the client's own time limit: the request may still take effect.
    #[error("get an answer from {url} within {} s", after.as_secs_f64())]
    Timeout {
        /// The request's URL.
        url: String,
        /// The limit.
        after: Duration,
    },
    /// The node refused, or the function failed.
    #[error("{}", words(*status, problem))]
    Problem {
        /// The HTTP status.
        status: u16,
        /// The node's problem document; for an answer that is none, its text is the detail and the code is empty.
        problem: Box<Problem>,
        /// The pause before another try makes sense, where the node names one.
        retry_after: Option<Duration>,
    },
    /// The answer is not what the API promises: another program or version listens there.
    #[error("understand the answer of {url}: {fault}")]
    Answer {
        /// The request's URL.
        url: String,
        /// The fault of the answer.
        fault: String,
    },
}

/// Whether a code, of a refusal or of an asynchronous invocation's end, says that the function itself failed.
#[must_use]
pub fn is_function_failure(code: &str) -> bool {
    FailureKind::from_code(code).is_some()
}

fn words(status: u16, problem: &Problem) -> String {
    match (problem.detail.as_str(), problem.title.as_str()) {
        ("", "") => format!("the node answered {status}"),
        ("", title) => format!("the node answered {status} {title}"),
        (detail, _) => detail.to_owned(),
    }
}

/// Codes of 503s for want of room; all others name something that is missing or away.
const OVERLOAD_CODES: [&str; 6] = [
    "",
    "draining",
    "too_many_requests_at_once",
    "call_would_deadlock",
    "application_starting",
    "nodes_refused",
];

impl ClientError {
    /// The node's stable code, where it gave one.
    #[must_use]
    pub fn code(&self) -> Option<&str> {
        match self {
            Self::Problem { problem, .. } if !problem.code.is_empty() => Some(&problem.code),
            _ => None,
        }
    }

    /// Whether the function itself failed, rather than the node or the way to it.
    #[must_use]
    pub fn is_function_failure(&self) -> bool {
        self.code().is_some_and(is_function_failure)
    }

    /// Whether the node had no room and turned the request away for now: every 429 but for what never fits, and the 503s that say so. A Go Serverledge
    /// says nothing beside the status.
    #[must_use]
    pub fn is_overload(&self) -> bool {
        match self {
            Self::Problem {
                status: 429,
                problem,
                ..
            } => problem.code != OverloadReason::NeverFits.code(),
            Self::Problem {
                status: 503,
                problem,
                ..
            } => OVERLOAD_CODES.contains(&problem.code.as_str()),
            _ => false,
        }
    }

    /// Whether something that the node depends on does not answer (`docker_unavailable`, `registry_unavailable`, …).
    #[must_use]
    pub fn is_dependency(&self) -> bool {
        matches!(self, Self::Problem { status: 503, problem, .. } if problem.code.ends_with("_unavailable"))
    }

    /// Whether the same request may go better after a while: the node was not reached, did not answer, or is busy.
    #[must_use]
    pub const fn is_passing(&self) -> bool {
        match self {
            Self::Unreachable { .. } | Self::Interrupted { .. } | Self::Timeout { .. } => true,
            Self::Problem { status, .. } => *status >= 500 || matches!(*status, 408 | 429),
            _ => false,
        }
    }

    /// Whether the node does not know what the request names (404).
    #[must_use]
    pub const fn is_not_found(&self) -> bool {
        matches!(self, Self::Problem { status: 404, .. })
    }
}
