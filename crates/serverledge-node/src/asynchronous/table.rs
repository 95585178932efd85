//! What this node is working on: one place for each invocation that it has claimed, kept by the task that works on it.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use parking_lot::Mutex;
use serverledge_core::InvocationId;
use serverledge_registry::Invocation;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Table {
    places: Mutex<HashMap<InvocationId, Arc<Work>>>,
    /// Those without an outcome; what only waits for its callback takes no place from others.
    open: AtomicUsize,
}

/// One invocation that is worked on.
#[derive(Debug)]
struct Work {
    stop: CancellationToken,
    ended: watch::Sender<Option<Arc<Invocation>>>,
    open: AtomicBool,
}

/// The right to work on an invocation, and nobody else of this node meanwhile. Dropping it ends that.
#[derive(Debug)]
pub(super) struct Place {
    table: Arc<Table>,
    id: InvocationId,
    work: Arc<Work>,
}

impl Table {
    /// A place, unless somebody of this node has it, or `open_max` are taken.
    pub(super) fn enter(self: &Arc<Self>, id: InvocationId, open_max: usize) -> Option<Place> {
        let mut places = self.places.lock();
        if self.open.load(Ordering::Relaxed) >= open_max || places.contains_key(&id) {
            return None;
        }
        self.open.fetch_add(1, Ordering::Relaxed);
        let work = Work {
            stop: CancellationToken::new(),
            ended: watch::Sender::default(),
            open: true.into(),
        };
        let work = Arc::new(work);
        places.insert(id, Arc::clone(&work));
        Some(Place {
            table: Arc::clone(self),
            id,
            work,
        })
    }

    /// How many have no outcome yet.
    pub(super) fn open(&self) -> usize {
        self.open.load(Ordering::Relaxed)
    }

    #[cfg(test)]
    pub(super) fn is_empty(&self) -> bool {
        self.places.lock().is_empty()
    }

    /// Hears of the outcome if this node works on it; the channel closes if it stops without one.
    pub(super) fn listen(
        &self,
        id: InvocationId,
    ) -> Option<watch::Receiver<Option<Arc<Invocation>>>> {
        self.places
            .lock()
            .get(&id)
            .map(|work| work.ended.subscribe())
    }

    /// Stops the work if there is some.
    pub(super) fn stop(&self, id: InvocationId) -> bool {
        let work = self.places.lock().get(&id).cloned();
        work.inspect(|work| work.stop.cancel()).is_some()
    }
}

impl Place {
    pub(super) const fn id(&self) -> InvocationId {
        self.id
    }

    /// Resolves when somebody wants the work stopped.
    pub(super) fn stop(&self) -> CancellationToken {
        self.work.stop.clone()
    }

    /// Tells those who wait.
    pub(super) fn ended(&self, invocation: &Invocation) {
        self.close();
        if self.work.ended.receiver_count() > 0 {
            self.work
                .ended
                .send_replace(Some(Arc::new(invocation.clone())));
        }
    }

    /// It does not count among the open ones any more.
    fn close(&self) {
        if self.work.open.swap(false, Ordering::Relaxed) {
            self.table.open.fetch_sub(1, Ordering::Relaxed);
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.close();
        self.table.places.lock().remove(&self.id);
    }
}
