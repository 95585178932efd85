//! The meaning of the registry's faults for callers.

use std::time::Duration;

use serverledge_core::AccountError;
use serverledge_core::kv::KvError;
use serverledge_registry::LoadError;

/// The pause before another try, if too much is going on at once.
const BUSY_PAUSE: Duration = Duration::from_secs(2);

/// A fault of the registry's.
pub(crate) fn registry(error: impl Into<LoadError>) -> AccountError {
    match error.into() {
        LoadError::Unreadable(unreadable) => AccountError::Internal {
            message: format!("failed to read {} from the registry", unreadable.key),
        },
        LoadError::Kv(error) => {
            let full = matches!(error, KvError::RegistryFull);
            let code = if full {
                "registry_full"
            } else {
                "registry_unavailable"
            };
            AccountError::Dependency {
                what: "the registry",
                code,
                source: Box::new(error),
            }
        }
    }
}

/// More is asked for than this node does at once.
pub(crate) const fn busy() -> AccountError {
    AccountError::TooMany {
        retry_after: BUSY_PAUSE,
    }
}

/// A record changed each time it was about to be written.
pub(crate) fn contended(what: &str) -> AccountError {
    AccountError::Internal {
        message: format!("failed to change {what}: others kept changing it"),
    }
}

pub(crate) fn invalid(code: &'static str, message: impl Into<String>) -> AccountError {
    AccountError::Invalid {
        code,
        message: message.into(),
    }
}
