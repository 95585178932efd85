//! The facts known about the store behind the endpoints, so that another store in its place is noticed.
//!
//! A store is another one if its cluster's id or its identity (a key that the first node writes) changed, or if its
//! newest revision went back. The cluster's id alone does not do: an etcd with the same addresses and fresh data has the
//! same one. Nor does the revision: a new store may have caught up before anybody looks.

use std::sync::{Mutex, MutexGuard, PoisonError};

use serverledge_core::kv::Revision;
use tokio::sync::watch;

/// The known facts. `epoch` counts the stores that were seen.
#[derive(Debug, Clone, Copy, Default)]
struct KnownFacts {
    epoch: u64,
    cluster: Option<u64>,
    identity: Option<u64>,
    /// The newest revision in this epoch.
    revision: u64,
    /// The newest revision in all epochs before: positions up to here may be from there.
    revision_before: u64,
}

/// The known facts, shared by requests and watches.
#[derive(Debug)]
pub(super) struct Memory {
    known: Mutex<KnownFacts>,
    epochs: watch::Sender<u64>,
}

/// The facts that were known when a request was sent: its answer may not be older.
#[derive(Debug, Clone, Copy)]
pub(super) struct Stamp {
    epoch: u64,
    revision: u64,
}

/// The facts that a linearizable answer states about its store.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sight {
    pub(super) cluster: u64,
    pub(super) revision: u64,
    /// Only from a look at the identity's key.
    pub(super) identity: Option<u64>,
}

// === impl Memory ===

impl Memory {
    pub(super) fn new() -> Self {
        Self {
            known: Mutex::default(),
            epochs: watch::Sender::new(0),
        }
    }

    /// Call before a request is sent, and give it to [`Self::saw`] with the answer.
    pub(super) fn stamp(&self) -> Stamp {
        let known = self.known();
        Stamp {
            epoch: known.epoch,
            revision: known.revision,
        }
    }

    /// Takes in an answer, and returns the epoch that it belongs to.
    pub(super) fn saw(&self, stamp: Stamp, sight: Sight) -> u64 {
        let mut known = self.known();
        if known.epoch != stamp.epoch {
            // Somebody else has noticed a change meanwhile; which side this answer is from cannot be told.
            return stamp.epoch;
        }
        let differs = |known: Option<u64>, seen: Option<u64>| {
            known.zip(seen).is_some_and(|(known, seen)| known != seen)
        };
        let replaced = differs(known.cluster, Some(sight.cluster))
            || differs(known.identity, sight.identity)
            || sight.revision < stamp.revision;
        if replaced {
            *known = KnownFacts {
                epoch: known.epoch + 1,
                cluster: Some(sight.cluster),
                identity: sight.identity,
                revision: sight.revision,
                revision_before: known.revision_before.max(known.revision),
            };
            tracing::warn!(
                cluster = sight.cluster,
                revision = sight.revision,
                "another store is in the registry's place; everything is read anew"
            );
            self.epochs.send_replace(known.epoch);
        } else {
            known.cluster = Some(sight.cluster);
            known.identity = known.identity.or(sight.identity);
            known.revision = known.revision.max(sight.revision);
        }
        known.epoch
    }

    /// Was this position learnt from a store that is gone? It lies in the future of the present one, and not in that of
    /// the ones before.
    pub(super) fn is_lost(&self, next: u64) -> bool {
        let known = self.known();
        next > known.revision + 1 && next <= known.revision_before + 1
    }

    /// The newest revision that was seen in this epoch.
    pub(super) fn revision(&self) -> Revision {
        Revision::new(self.known().revision)
    }

    /// Changes whenever another store was noticed.
    pub(super) fn epochs(&self) -> watch::Receiver<u64> {
        self.epochs.subscribe()
    }

    fn known(&self) -> MutexGuard<'_, KnownFacts> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sight(cluster: u64, revision: u64, identity: Option<u64>) -> Sight {
        Sight {
            cluster,
            revision,
            identity,
        }
    }

    #[test]
    fn another_store_is_noticed() {
        let memory = Memory::new();
        let see = |seen: Sight| memory.saw(memory.stamp(), seen);
        assert_eq!(see(sight(1, 10, None)), 0);
        assert_eq!(see(sight(1, 12, Some(7))), 0);
        assert_eq!(see(sight(1, 12, Some(7))), 0);
        assert_eq!(see(sight(1, 11, None)), 1, "the revision went back");
        assert_eq!(see(sight(2, 20, Some(7))), 2, "another cluster");
        assert_eq!(see(sight(2, 30, Some(8))), 3, "another identity");
        assert!(
            !memory.is_lost(31) && !memory.is_lost(32),
            "the future is no loss"
        );
        assert_eq!(see(sight(2, 3, Some(8))), 4);
        assert!(memory.is_lost(31) && !memory.is_lost(4) && !memory.is_lost(32));
    }

    #[test]
    fn late_answers_are_not_another_store() {
        let memory = Memory::new();
        let early = memory.stamp();
        memory.saw(memory.stamp(), sight(1, 10, None));
        assert_eq!(memory.saw(early, sight(1, 9, None)), 0);
        assert_eq!(memory.revision(), Revision::new(10));
    }
}
