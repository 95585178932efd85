//! The kept runs: two rings, one of runs that gave a result and one of all others. Neither takes the room of the other:
//! many calls do not hide the failures between them, and many failures do not hide what went well.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;

use serverledge_core::{InvocationId, RunStatus};

use super::record::Run;
use crate::config::RunsConfig;

/// The share of count and memory that belongs to runs without a result: one part in so many.
const FAILURES_SHARE: usize = 4;
/// Beyond the full rate, one run in so many is kept.
const SAMPLE_EVERY: u64 = 64;

/// The kept runs.
#[derive(Debug)]
pub(crate) struct RunHistory {
    completed: Ring,
    others: Ring,
}

/// The sample of completed runs: all of a second up to the full rate, and of the others one in so many.
#[derive(Debug)]
pub(crate) struct RunSample {
    full_rate: u64,
    /// The second that is counted, in Unix seconds.
    second: AtomicU64,
    /// Number of completed runs in that second.
    in_second: AtomicU64,
}

impl RunSample {
    pub(crate) const fn new(full_rate: u64) -> Self {
        Self {
            full_rate,
            second: AtomicU64::new(0),
            in_second: AtomicU64::new(0),
        }
    }

    /// Whether a completed run that ended in this second is in the sample. Runs that end as a second begins may be
    /// counted in either.
    pub(crate) fn takes(&self, second: u64) -> bool {
        if self.second.load(Relaxed) != second && self.second.swap(second, Relaxed) != second {
            self.in_second.store(0, Relaxed);
        }
        let number = self.in_second.fetch_add(1, Relaxed) + 1;
        number <= self.full_rate || number.is_multiple_of(SAMPLE_EVERY)
    }
}

#[derive(Debug)]
struct Ring {
    runs: VecDeque<Arc<Run>>,
    bytes: usize,
    count_max: usize,
    bytes_max: usize,
    /// The latest begin among the runs that made room for others, in Unix milliseconds.
    gone_unix_ms: u64,
}

impl RunHistory {
    pub(crate) fn new(config: &RunsConfig) -> Self {
        let of_others = (
            config.capacity / FAILURES_SHARE,
            config.memory / FAILURES_SHARE,
        );
        let of_completed = (config.capacity - of_others.0, config.memory - of_others.1);
        Self {
            completed: Ring::new(of_completed),
            others: Ring::new(of_others),
        }
    }

    /// Keeps a run. Returns whether there is any room.
    pub(crate) fn add(&mut self, run: &Arc<Run>) -> bool {
        let ring = match run.status {
            RunStatus::Completed => &mut self.completed,
            _ => &mut self.others,
        };
        ring.push(Arc::clone(run))
    }

    /// Changes the latest record of an invocation; returns it, if it is still kept.
    pub(crate) fn change(
        &mut self,
        id: InvocationId,
        change: impl FnOnce(&mut Run),
    ) -> Option<Arc<Run>> {
        let at = self.completed.runs.iter().rposition(|run| run.id == id)?;
        let mut run = self.completed.take(at)?;
        change(Arc::make_mut(&mut run));
        self.add(&run);
        Some(run)
    }

    /// The records of an invocation.
    pub(crate) fn of(&self, id: InvocationId) -> Vec<Arc<Run>> {
        let runs = self.completed.runs.iter().chain(&self.others.runs);
        runs.filter(|run| run.id == id).cloned().collect()
    }

    /// All kept runs, and the time since which they are all that began, but for sampling.
    pub(crate) fn kept(&self) -> (Vec<Arc<Run>>, u64) {
        let runs = self.completed.runs.iter().chain(&self.others.runs);
        let since = self.completed.gone_unix_ms.max(self.others.gone_unix_ms);
        (runs.cloned().collect(), since)
    }
}

impl Ring {
    const fn new((count_max, bytes_max): (usize, usize)) -> Self {
        Self {
            runs: VecDeque::new(),
            bytes: 0,
            count_max,
            bytes_max,
            gone_unix_ms: 0,
        }
    }

    /// Adds a run; the oldest make room. Returns whether there is any room.
    fn push(&mut self, run: Arc<Run>) -> bool {
        self.bytes += run.bytes();
        self.runs.push_back(run);
        while self.runs.len() > self.count_max || self.bytes > self.bytes_max {
            let Some(gone) = self.runs.pop_front() else {
                break;
            };
            self.bytes -= gone.bytes();
            self.gone_unix_ms = self.gone_unix_ms.max(gone.started_unix_ms);
        }
        !self.runs.is_empty()
    }

    fn take(&mut self, at: usize) -> Option<Arc<Run>> {
        let run = self.runs.remove(at)?;
        self.bytes -= run.bytes();
        Some(run)
    }
}
