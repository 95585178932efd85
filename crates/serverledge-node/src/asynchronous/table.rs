//! The invocations that this node works on: one place for each that it has claimed, held by the task that works on it.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use parking_lot::Mutex;
use serverledge_core::InvocationId;
use serverledge_registry::Invocation;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

/// The table of places; see the module.
#[derive(Debug, Default)]
pub(super) struct WorkTable {
    places: Mutex<HashMap<InvocationId, Arc<Work>>>,
    /// Number of invocations without an outcome. Those that only wait for their callback take no place from others.
    open: AtomicUsize,
}

/// The work on one invocation.
#[derive(Debug)]
struct Work {
    stop: CancellationToken,
    ended: watch::Sender<Option<Arc<Invocation>>>,
    open: AtomicBool,
}

/// The right to work on an invocation, exclusive on this node. Dropping it ends that.
#[derive(Debug)]
pub(super) struct WorkPlace {
    table: Arc<WorkTable>,
    id: InvocationId,
    work: Arc<Work>,
}

impl WorkTable {
    /// Takes a place, unless a task of this node has it, or `open_max` are taken.
    pub(super) fn enter(self: &Arc<Self>, id: InvocationId, open_max: usize) -> Option<WorkPlace> {
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
        Some(WorkPlace {
            table: Arc::clone(self),
            id,
            work,
        })
    }

    /// Number of invocations without an outcome.
    pub(super) fn open(&self) -> usize {
        self.open.load(Ordering::Relaxed)
    }

    #[cfg(test)]
    pub(super) fn is_empty(&self) -> bool {
        self.places.lock().is_empty()
    }

    /// Subscribes to the outcome if this node works on it; the channel closes if the work stops without one.
    pub(super) fn listen(
        &self,
        id: InvocationId,
    ) -> Option<watch::Receiver<Option<Arc<Invocation>>>> {
        self.places
            .lock()
            .get(&id)
            .map(|work| work.ended.subscribe())
    }

    /// Stops the work on an invocation, if there is any.
    pub(super) fn stop(&self, id: InvocationId) -> bool {
        let work = self.places.lock().get(&id).cloned();
        work.inspect(|work| work.stop.cancel()).is_some()
    }
}

impl WorkPlace {
    pub(super) const fn id(&self) -> InvocationId {
        self.id
    }

    /// The token that is cancelled when the work is to stop.
    pub(super) fn stop(&self) -> CancellationToken {
        self.work.stop.clone()
    }

    /// Notifies the tasks that wait for the outcome.
    pub(super) fn ended(&self, invocation: &Invocation) {
        self.close();
        if self.work.ended.receiver_count() > 0 {
            self.work
                .ended
                .send_replace(Some(Arc::new(invocation.clone())));
        }
    }

    /// Removes the invocation from the number of open ones.
    fn close(&self) {
        if self.work.open.swap(false, Ordering::Relaxed) {
            self.table.open.fetch_sub(1, Ordering::Relaxed);
        }
    }
}

impl Drop for WorkPlace {
    fn drop(&mut self) {
        self.close();
        self.table.places.lock().remove(&self.id);
    }
}
