//! The words of a run's record: its trigger and its outcome.

use crate::error::InvocationError;
use crate::id::{InvocationId, UserId};

/// The origin of a call: its trigger, and on whose behalf it runs. Cloning is cheap.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct CallOrigin {
    /// The road on which it came.
    pub trigger: Trigger,
    /// The invocation that made it, if a function did.
    pub parent: Option<InvocationId>,
    /// The account that asked for it, if one did.
    pub caller: Option<UserId>,
}

impl CallOrigin {
    /// A call on this road, of nobody that is known.
    #[must_use]
    pub const fn of(trigger: Trigger) -> Self {
        Self {
            trigger,
            parent: None,
            caller: None,
        }
    }
}

/// The road on which a call came to this node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Trigger {
    /// `/invoke/{function}`.
    #[default]
    Invoke,
    /// `/fn/{function}`.
    Http,
    /// The endpoint of a running application.
    Endpoint,
    /// A page that runs functions of an application itself.
    Edge,
    /// Another function.
    Nested,
    /// A stored invocation.
    Async,
    /// Another node.
    Peer,
    /// A test of code that is not saved.
    Test,
}

impl Trigger {
    /// All of them.
    pub const ALL: [Self; 8] = [
        Self::Invoke,
        Self::Http,
        Self::Endpoint,
        Self::Edge,
        Self::Nested,
        Self::Async,
        Self::Peer,
        Self::Test,
    ];

    /// Its name in the API.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Invoke => "invoke",
            Self::Http => "http",
            Self::Endpoint => "endpoint",
            Self::Edge => "edge",
            Self::Nested => "nested",
            Self::Async => "async",
            Self::Peer => "peer",
            Self::Test => "test",
        }
    }

    /// The trigger of this name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|one| one.name() == name)
    }
}

/// The outcome of a run, by whose matter it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RunStatus {
    /// It gave a result.
    Completed,
    /// The function failed.
    Failed,
    /// Overload, or a quota.
    Rejected,
    /// The request does not fit the function.
    Refused,
    /// Something that the node depends on did not do its part.
    Unavailable,
    /// The node's own fault.
    Internal,
    /// Its caller left before the end.
    Abandoned,
}

impl RunStatus {
    /// All of them.
    pub const ALL: [Self; 7] = [
        Self::Completed,
        Self::Failed,
        Self::Rejected,
        Self::Refused,
        Self::Unavailable,
        Self::Internal,
        Self::Abandoned,
    ];

    /// The status of a run that ended so.
    #[must_use]
    pub const fn of(error: &InvocationError) -> Self {
        match error {
            InvocationError::Function(_) => Self::Failed,
            InvocationError::Overloaded { .. } | InvocationError::Quota { .. } => Self::Rejected,
            InvocationError::Unknown(_) | InvocationError::Request { .. } => Self::Refused,
            InvocationError::Dependency { .. } | InvocationError::OutcomeUnknown { .. } => {
                Self::Unavailable
            }
            InvocationError::Internal { .. } => Self::Internal,
        }
    }

    /// Its name in the API.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Completed => "completed",
            Self::Failed => "failed",
            Self::Rejected => "rejected",
            Self::Refused => "refused",
            Self::Unavailable => "unavailable",
            Self::Internal => "internal",
            Self::Abandoned => "abandoned",
        }
    }

    /// The status of this name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|one| one.name() == name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_come_back() {
        for trigger in Trigger::ALL {
            assert_eq!(Trigger::from_name(trigger.name()), Some(trigger));
        }
        for status in RunStatus::ALL {
            assert_eq!(RunStatus::from_name(status.name()), Some(status));
        }
        assert_eq!(Trigger::from_name("Invoke"), None);
        assert_eq!(RunStatus::from_name(""), None);
    }
}
