//! Instances that were put back to their beginning and wait for the next call of the same key, for each loaded module; and
//! those that nothing has called yet, for a call of any key.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use serverledge_core::InstanceKey;
use tokio::time::Instant;

use crate::core_instance::CoreInstance;

/// The waiting instances of one module, in the order in which they began to wait.
pub(crate) struct KeptInstances(Mutex<Option<Vec<KeptInstance>>>);

/// An instance that waits.
pub(crate) struct KeptInstance {
    /// `None`: nothing has called it.
    key: Option<InstanceKey>,
    since: Instant,
    instance: CoreInstance,
    _counted: Counted,
}

/// The number of instances that wait, of all modules.
#[derive(Debug, Default)]
pub(crate) struct KeptCount(Arc<AtomicUsize>);

/// One of them.
struct Counted(Arc<AtomicUsize>);

impl KeptCount {
    pub(crate) fn get(&self) -> usize {
        self.0.load(Ordering::SeqCst)
    }

    fn one_more(&self) -> Counted {
        self.0.fetch_add(1, Ordering::SeqCst);
        Counted(Arc::clone(&self.0))
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

impl KeptInstances {
    pub(crate) fn new() -> Self {
        Self(Mutex::new(Some(Vec::new())))
    }

    /// The instance of this key that has waited least: its memory is likeliest in the processor's caches. If there is none,
    /// one that nothing has called.
    pub(crate) fn take(&self, key: InstanceKey) -> Option<CoreInstance> {
        let mut kept = self.0.lock();
        let kept = kept.as_mut()?;
        let last = |key| kept.iter().rposition(|one| one.key == key);
        let at = last(Some(key)).or_else(|| last(None))?;
        Some(kept.remove(at).instance)
    }

    /// Keeps an instance, or drops it if the module is closed.
    pub(crate) fn put(&self, key: Option<InstanceKey>, instance: CoreInstance, count: &KeptCount) {
        let one = KeptInstance {
            key,
            since: Instant::now(),
            instance,
            _counted: count.one_more(),
        };
        let mut kept = self.0.lock();
        match kept.as_mut() {
            Some(kept) => kept.push(one),
            None => {
                drop(kept);
                drop(one);
            }
        }
    }

    /// Takes out the one that has waited longest, to be dropped where no lock is held.
    pub(crate) fn oldest(&self) -> Option<KeptInstance> {
        let mut kept = self.0.lock();
        let kept = kept.as_mut()?;
        (!kept.is_empty()).then(|| kept.remove(0))
    }

    /// Takes out those that have waited so long.
    pub(crate) fn idle_for(&self, idle: Duration) -> Vec<KeptInstance> {
        let mut kept = self.0.lock();
        let Some(kept) = kept.as_mut() else {
            return Vec::new();
        };
        let is_idle = |one: &&KeptInstance| one.since.elapsed() >= idle;
        let count = kept.iter().take_while(is_idle).count();
        kept.drain(..count).collect()
    }

    /// Takes out all of them, and keeps none from now on: the module is not loaded any more.
    pub(crate) fn close(&self) -> Vec<KeptInstance> {
        self.0.lock().take().unwrap_or_default()
    }
}
