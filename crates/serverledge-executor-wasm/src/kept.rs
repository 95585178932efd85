//! Instances that were put back to their beginning and wait for the next call of the same key, for each loaded module.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use serverledge_core::InstanceKey;
use tokio::time::Instant;

use crate::core_instance::CoreInstance;

/// The waiting instances of one module.
#[derive(Default)]
pub(crate) struct KeptInstances(Mutex<Vec<KeptInstance>>);

/// An instance that waits.
pub(crate) struct KeptInstance {
    key: InstanceKey,
    since: Instant,
    instance: CoreInstance,
    _counted: Counted,
}

/// The number of instances that wait, of all modules. Clones share it.
#[derive(Debug, Clone, Default)]
pub(crate) struct KeptCount(Arc<AtomicUsize>);

/// One of them.
struct Counted(Arc<AtomicUsize>);

impl KeptCount {
    pub(crate) fn get(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }

    fn one_more(&self) -> Counted {
        self.0.fetch_add(1, Ordering::Relaxed);
        Counted(Arc::clone(&self.0))
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl KeptInstances {
    /// The instance of this key that has waited least: its memory is likeliest in the processor's caches.
    pub(crate) fn take(&self, key: InstanceKey) -> Option<CoreInstance> {
        let mut kept = self.0.lock();
        let at = kept.iter().rposition(|one| one.key == key)?;
        let taken = kept.remove(at);
        drop(kept);
        Some(taken.instance)
    }

    pub(crate) fn put(&self, key: InstanceKey, instance: CoreInstance, count: &KeptCount) {
        let kept = KeptInstance {
            key,
            since: Instant::now(),
            instance,
            _counted: count.one_more(),
        };
        self.0.lock().push(kept);
    }

    /// Takes out the one that has waited longest, to be dropped where no lock is held.
    pub(crate) fn oldest(&self) -> Option<KeptInstance> {
        let mut kept = self.0.lock();
        (!kept.is_empty()).then(|| kept.remove(0))
    }

    /// Takes out those that have waited so long.
    pub(crate) fn idle_for(&self, idle: Duration) -> Vec<KeptInstance> {
        let mut kept = self.0.lock();
        // In the order in which they began to wait.
        let count = kept
            .iter()
            .take_while(|one| one.since.elapsed() >= idle)
            .count();
        kept.drain(..count).collect()
    }
}
