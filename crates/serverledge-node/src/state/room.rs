//! The room that the registry has left. The stores of functions may fill it up to a mark; what is beyond is for
//! deploys, asynchronous calls and accounts.

use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use serverledge_core::StateError;
use serverledge_core::kv::{Kv, Status};

use crate::clock::now;

/// Shortest time between two looks at the registry.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// The part of the registry, in hundredths, beyond which stores do not grow it.
const SHARE_MAX: u128 = 80;

/// The registry's room, as this node saw it a moment ago.
pub(super) struct RegistryRoom {
    kv: Arc<dyn Kv>,
    seen: Mutex<LastLook>,
}

/// The latest look.
#[derive(Default)]
struct LastLook {
    /// The time when it began.
    at: Option<Instant>,
    /// The registry's bytes and its limit, if it holds too much.
    crowded: Option<(u64, u64)>,
}

impl RegistryRoom {
    /// The room in this registry.
    pub(super) fn new(kv: &Arc<dyn Kv>) -> Self {
        Self {
            kv: Arc::clone(kv),
            seen: Mutex::default(),
        }
    }

    /// Checks that the registry may grow. One that knows no limit may; so may one that does not tell: then the write
    /// itself fails.
    ///
    /// # Errors
    /// [`StateError::RegistryCrowded`].
    pub(super) async fn check(&self) -> Result<(), StateError> {
        if self.is_due()
            && let Ok(status) = self.kv.status().await
        {
            self.seen.lock().crowded = crowded(&status);
        }
        match self.seen.lock().crowded {
            None => Ok(()),
            Some((bytes, bytes_max)) => Err(StateError::RegistryCrowded { bytes, bytes_max }),
        }
    }

    /// Whether it is time for a look, which the caller then makes; others go by the one before.
    fn is_due(&self) -> bool {
        let now = now();
        let mut seen = self.seen.lock();
        let is_due = seen
            .at
            .is_none_or(|at| now.saturating_duration_since(at) >= LOOK_EVERY);
        if is_due {
            seen.at = Some(now);
        }
        is_due
    }
}

/// The bytes of a registry and its limit, if it holds so much that stores may not grow it.
fn crowded(status: &Status) -> Option<(u64, u64)> {
    let bytes_max = status.bytes_max?;
    let is_crowded = u128::from(status.bytes_in_use) * 100 > u128::from(bytes_max) * SHARE_MAX;
    is_crowded.then_some((status.bytes_in_use, bytes_max))
}

#[cfg(test)]
mod tests {
    use serverledge_core::kv::Revision;

    use super::*;

    #[test]
    fn four_fifths_are_for_stores() {
        let judged = |bytes_in_use, bytes_max| {
            crowded(&Status {
                cluster: 1,
                revision: Revision::new(1),
                // Room that is free again counts for nothing.
                bytes_used: u64::MAX,
                bytes_in_use,
                bytes_max,
            })
        };
        assert_eq!(judged(80, Some(100)), None);
        assert_eq!(judged(81, Some(100)), Some((81, 100)));
        assert_eq!(judged(u64::MAX, Some(u64::MAX)), Some((u64::MAX, u64::MAX)));
        assert_eq!(judged(u64::MAX, None), None);
    }
}
