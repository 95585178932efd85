//! The order of compilations. A large compilation takes a minute, a small one a tenth of a second: the shorter goes
//! first, and one place is kept for small ones, so that none waits for a large one's end.

use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::watch;

/// Modules up to this many bytes are small: they compile within a few seconds.
pub(crate) const SMALL_BYTES_MAX: usize = 2 << 20;
/// The number of times that a waiting one is overtaken by shorter ones before it goes first.
const OVERTAKEN_MAX: u32 = 8;

/// Places for compilations, and who waits for one.
#[derive(Debug)]
pub(crate) struct Queue {
    /// For any module; one more is for small ones alone.
    places: usize,
    state: Mutex<QueueState>,
    /// Tells those who wait that something changed.
    changed: watch::Sender<()>,
}

#[derive(Debug, Default)]
struct QueueState {
    running: Vec<QueueEntry>,
    /// In the order of arrival.
    waiting: Vec<QueueEntry>,
    tickets: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct QueueEntry {
    ticket: u64,
    bytes: usize,
    overtaken: u32,
}

impl QueueEntry {
    fn is_small(&self) -> bool {
        self.bytes <= SMALL_BYTES_MAX
    }

    /// Smaller goes first.
    fn rank(&self) -> (bool, usize, u64) {
        (self.overtaken < OVERTAKEN_MAX, self.bytes, self.ticket)
    }
}

/// The compilations that a waiting one waits for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Ahead {
    /// Bytes of the modules that are being compiled.
    pub(crate) running: Vec<usize>,
    /// The number of those that go before this one.
    pub(crate) before: usize,
}

/// A place among those that wait, or that run; given back when dropped.
#[derive(Debug)]
pub(crate) struct CompileTurn {
    queue: Arc<Queue>,
    ticket: u64,
}

impl Queue {
    pub(crate) fn new(places: usize) -> Arc<Self> {
        Arc::new(Self {
            places: places.max(1),
            state: Mutex::default(),
            changed: watch::Sender::new(()),
        })
    }

    /// Joins the queue; whether the turn has come is asked of the ticket.
    pub(crate) fn join(self: &Arc<Self>, bytes: usize) -> CompileTurn {
        let mut state = self.state.lock();
        state.tickets += 1;
        let ticket = state.tickets;
        state.waiting.push(QueueEntry {
            ticket,
            bytes,
            overtaken: 0,
        });
        state.admit(self.places);
        drop(state);
        self.changed.send_replace(());
        CompileTurn {
            queue: Arc::clone(self),
            ticket,
        }
    }
}

impl QueueState {
    /// Gives free places to those whose turn it is.
    fn admit(&mut self, places: usize) {
        while let Some(at) = self.next(places) {
            let entry = self.waiting.remove(at);
            let earlier = self
                .waiting
                .iter_mut()
                .filter(|other| other.ticket < entry.ticket);
            earlier.for_each(|other| other.overtaken += 1);
            self.running.push(entry);
        }
    }

    fn next(&self, places: usize) -> Option<usize> {
        // A small one takes the place that is kept for its kind first, and leaves the others to large ones.
        let small = self.running.iter().filter(|entry| entry.is_small()).count();
        let general = self.running.len() - usize::from(small > 0);
        let fits = |entry: &QueueEntry| general < places || (entry.is_small() && small == 0);
        let waiting = self
            .waiting
            .iter()
            .enumerate()
            .filter(|(_, entry)| fits(entry));
        waiting
            .min_by_key(|(_, entry)| entry.rank())
            .map(|(at, _)| at)
    }

    fn ahead(&self, ticket: u64) -> Option<Ahead> {
        let own = self.waiting.iter().find(|entry| entry.ticket == ticket)?;
        let before = self
            .waiting
            .iter()
            .filter(|other| other.rank() < own.rank())
            .count();
        Some(Ahead {
            running: self.running.iter().map(|entry| entry.bytes).collect(),
            before,
        })
    }
}

impl CompileTurn {
    /// The compilations that go before; `None`: the turn has come.
    pub(crate) fn ahead(&self) -> Option<Ahead> {
        self.queue.state.lock().ahead(self.ticket)
    }

    /// Waits for the turn, and says what for whenever that changes.
    pub(crate) async fn wait(&self, mut tell: impl FnMut(&Ahead)) {
        let mut changes = self.queue.changed.subscribe();
        let mut told = None;
        while let Some(ahead) = self.ahead() {
            if told.as_ref() != Some(&ahead) {
                tell(&ahead);
                told = Some(ahead);
            }
            // The sender lives as long as the queue, which this turn keeps.
            let _ = changes.changed().await;
        }
    }
}

impl Drop for CompileTurn {
    fn drop(&mut self) {
        let mut state = self.queue.state.lock();
        state.running.retain(|entry| entry.ticket != self.ticket);
        state.waiting.retain(|entry| entry.ticket != self.ticket);
        state.admit(self.queue.places);
        drop(state);
        self.queue.changed.send_replace(());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LARGE: usize = 14 << 20;
    const SMALL: usize = 64 << 10;

    fn runs(turn: &CompileTurn) -> bool {
        turn.ahead().is_none()
    }

    #[test]
    fn a_small_one_does_not_wait_for_a_large_one() {
        let queue = Queue::new(1);
        let large = queue.join(LARGE);
        let other = queue.join(LARGE + 1);
        let small = queue.join(SMALL);
        let next = queue.join(SMALL);
        assert!(runs(&large) && runs(&small));
        assert_eq!(
            other.ahead(),
            Some(Ahead {
                running: vec![LARGE, SMALL],
                before: 1
            })
        );
        assert_eq!(
            next.ahead(),
            Some(Ahead {
                running: vec![LARGE, SMALL],
                before: 0
            })
        );
        drop(small);
        assert!(runs(&next) && !runs(&other));
        drop(large);
        assert!(runs(&other));
    }

    #[test]
    fn a_small_one_leaves_the_place_for_all_to_a_large_one() {
        let queue = Queue::new(1);
        let small = queue.join(SMALL);
        let large = queue.join(LARGE);
        let another = queue.join(SMALL);
        assert!(runs(&small) && runs(&large) && !runs(&another));
        // Alone, small ones take every place.
        let queue = Queue::new(1);
        let turns = [queue.join(SMALL), queue.join(SMALL), queue.join(SMALL)];
        assert_eq!(turns.iter().filter(|turn| runs(turn)).count(), 2);
    }

    #[test]
    fn the_shorter_goes_first_and_nobody_waits_for_ever() {
        let queue = Queue::new(1);
        let mut first = queue.join(LARGE);
        let largest = queue.join(3 * LARGE);
        let mut overtaken = 0;
        while !runs(&largest) {
            let shorter = queue.join(2 * LARGE);
            first = {
                drop(first);
                shorter
            };
            overtaken += 1;
            assert!(
                overtaken <= OVERTAKEN_MAX + 1,
                "the largest is overtaken again and again"
            );
        }
        assert_eq!(overtaken, OVERTAKEN_MAX + 1);
    }

    #[test]
    fn one_that_leaves_makes_room() {
        let queue = Queue::new(2);
        let a = queue.join(LARGE);
        let b = queue.join(LARGE);
        let c = queue.join(LARGE);
        let d = queue.join(LARGE);
        assert!(runs(&a) && runs(&b) && !runs(&c));
        drop(c);
        drop(a);
        assert!(runs(&d));
    }

    #[tokio::test]
    async fn who_waits_hears_what_for() {
        let queue = Queue::new(1);
        let first = queue.join(LARGE);
        let second = queue.join(LARGE);
        let third = queue.join(LARGE);
        let mut told = Vec::new();
        {
            let mut waiting = std::pin::pin!(third.wait(|ahead| told.push(ahead.before)));
            for done in [Some(first), Some(second)] {
                assert!(futures_util::poll!(waiting.as_mut()).is_pending());
                drop(done);
            }
            waiting.await;
        }
        assert_eq!(told, [1, 0]);
    }
}
