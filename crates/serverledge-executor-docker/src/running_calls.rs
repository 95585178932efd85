//! The calls that run in containers, and whether they leave a processor to anything else.

use std::sync::Arc;

use parking_lot::Mutex;
use tokio::time::Instant;

/// Counts the calls that run in an executor's containers.
#[derive(Debug)]
pub(crate) struct RunningCalls {
    /// The machine is busy while as many run.
    cores: usize,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    running: usize,
    /// The time at which they were fewer than the cores again; `None` before they were as many.
    rested: Option<Instant>,
}

/// A call that runs until this is dropped.
#[derive(Debug)]
pub(crate) struct RunningCall(Arc<RunningCalls>);

// === impl RunningCalls ===

impl RunningCalls {
    /// On a machine with so many cores.
    pub(crate) fn new(cores: usize) -> Arc<Self> {
        Arc::new(Self {
            cores: cores.max(1),
            state: Mutex::default(),
        })
    }

    pub(crate) fn begin(self: &Arc<Self>) -> RunningCall {
        self.state.lock().running += 1;
        RunningCall(Arc::clone(self))
    }

    /// Since when fewer calls run than the machine has cores; `None` if they are as many now. `long_ago` if they never were.
    pub(crate) fn rests_since(&self, long_ago: Instant) -> Option<Instant> {
        let state = self.state.lock();
        (state.running < self.cores).then(|| state.rested.unwrap_or(long_ago))
    }
}

// === impl RunningCall ===

impl Drop for RunningCall {
    fn drop(&mut self) {
        let mut state = self.0.state.lock();
        if state.running == self.0.cores {
            state.rested = Some(Instant::now());
        }
        state.running -= 1;
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn rests_while_fewer_run_than_there_are_cores() {
        let calls = RunningCalls::new(2);
        let begun = Instant::now();
        let first = calls.begin();
        tokio::time::advance(Duration::from_secs(1)).await;
        assert_eq!(calls.rests_since(begun), Some(begun));
        let others = [calls.begin(), calls.begin()];
        assert_eq!(calls.rests_since(begun), None);
        tokio::time::advance(Duration::from_secs(1)).await;
        drop(others);
        let rested = Instant::now();
        tokio::time::advance(Duration::from_secs(1)).await;
        drop(first);
        assert_eq!(calls.rests_since(begun), Some(rested));
    }
}
