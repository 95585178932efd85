//! The queue between those who must not wait and the task that sends.

use std::collections::VecDeque;

use parking_lot::Mutex;
use prometheus::IntCounter;
use tokio::sync::Notify;

/// Number of items that make a batch.
pub(super) const BATCH_MAX: usize = 512;

/// A queue of bounded length and weight. What does not fit is dropped and counted.
#[derive(Debug)]
pub(super) struct ExportQueue<T> {
    waiting: Mutex<Waiting<T>>,
    items_max: usize,
    bytes_max: usize,
    /// Notified when there is a whole batch.
    batch: Notify,
    dropped: IntCounter,
}

#[derive(Debug)]
struct Waiting<T> {
    items: VecDeque<(T, usize)>,
    bytes: usize,
}

impl<T> ExportQueue<T> {
    pub(super) fn new(items_max: usize, bytes_max: usize, dropped: IntCounter) -> Self {
        Self {
            waiting: Mutex::new(Waiting {
                items: VecDeque::new(),
                bytes: 0,
            }),
            items_max,
            bytes_max,
            batch: Notify::new(),
            dropped,
        }
    }

    /// Adds an item of this weight, if there is room.
    pub(super) fn push(&self, item: T, bytes: usize) {
        let mut waiting = self.waiting.lock();
        if waiting.items.len() >= self.items_max || waiting.bytes + bytes > self.bytes_max {
            drop(waiting);
            return self.dropped.inc();
        }
        waiting.items.push_back((item, bytes));
        waiting.bytes += bytes;
        let is_batch = waiting.items.len() == BATCH_MAX;
        drop(waiting);
        if is_batch {
            self.batch.notify_one();
        }
    }

    /// Takes the oldest items, as many as make a batch.
    pub(super) fn take(&self) -> Vec<T> {
        let mut waiting = self.waiting.lock();
        let count = waiting.items.len().min(BATCH_MAX);
        let taken: Vec<_> = waiting.items.drain(..count).collect();
        waiting.bytes -= taken.iter().map(|(_, bytes)| bytes).sum::<usize>();
        taken.into_iter().map(|(item, _)| item).collect()
    }

    /// Number of items that wait.
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.waiting.lock().items.len()
    }

    /// Waits until there is a whole batch.
    pub(super) async fn batch(&self) {
        self.batch.notified().await;
    }

    /// Counts items that are lost after they were taken.
    pub(super) fn lost(&self, count: u64) {
        self.dropped.inc_by(count);
    }
}

#[cfg(test)]
mod tests {
    use prometheus::IntCounter;

    use super::*;

    #[test]
    fn what_does_not_fit_is_dropped_and_counted() {
        let dropped = IntCounter::new("dropped", "dropped").unwrap();
        let queue = ExportQueue::new(BATCH_MAX + 1, 600, dropped.clone());
        (0..BATCH_MAX + 5).for_each(|n| queue.push(n, 1));
        assert_eq!((queue.len(), dropped.get()), (BATCH_MAX + 1, 4));
        assert_eq!(queue.take().len(), BATCH_MAX);
        assert_eq!(queue.take(), [BATCH_MAX]);
        queue.push(0, 601);
        queue.push(1, 600);
        queue.push(2, 1);
        assert_eq!((queue.take(), dropped.get()), (vec![1], 6));
        assert!(queue.take().is_empty());
    }
}
