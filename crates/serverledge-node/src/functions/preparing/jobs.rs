//! The versions that this node has to prepare: their order, their state, and the calls that wait for them.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use serverledge_core::Digest;
use tokio::sync::watch;
use tokio::time::Instant;

use crate::executors::is_pooled;
use crate::functions::FunctionEntry;

/// Pause before a failed preparation is retried; it doubles up to [`RETRY_MAX`]. A missing dependency (an engine, the
/// registry) may be there in a moment; a version that cannot succeed here costs little at the longest pause.
const RETRY_MIN: Duration = Duration::from_secs(5);
const RETRY_MAX: Duration = Duration::from_secs(600);

/// The state of a version's preparation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum PreparationState {
    /// It waits for others.
    Waiting,
    /// It is in progress.
    Running,
    /// It has succeeded.
    Done,
    /// It has failed, for this reason; it is retried later.
    Failed(String),
    /// Nobody needs it any more.
    Dropped,
}

/// One of two queues that do not wait for each other: compilation of modules, and installation of containers' packages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Lane {
    Modules,
    Containers,
}

/// The jobs; see the module.
#[derive(Debug)]
pub(crate) struct Jobs {
    jobs: Mutex<HashMap<Digest, Job>>,
    changed: watch::Sender<u64>,
}

#[derive(Debug)]
struct Job {
    entry: Arc<FunctionEntry>,
    lane: Lane,
    stand: watch::Sender<PreparationState>,
    /// Whether a call waits for it.
    urgent: bool,
    due: Instant,
    failures: u32,
    failed: Option<Instant>,
}

/// The next step of a worker.
#[derive(Debug)]
pub(crate) enum NextJob {
    Prepare(Arc<FunctionEntry>),
    /// No job before this moment.
    Later(Instant),
    Nothing,
}

impl Lane {
    pub(crate) fn of(entry: &FunctionEntry) -> Self {
        if is_pooled(entry.function.version.runtime) {
            Self::Containers
        } else {
            Self::Modules
        }
    }
}

impl Default for Jobs {
    fn default() -> Self {
        Self {
            jobs: Mutex::default(),
            changed: watch::Sender::new(0),
        }
    }
}

impl Job {
    /// Marks the job as urgent: a call waits for it. One that failed a while ago is retried at once.
    fn be_urgent(&mut self) {
        self.urgent = true;
        if self
            .failed
            .is_some_and(|failed| failed.elapsed() >= RETRY_MIN)
            && *self.stand.borrow() != PreparationState::Running
        {
            (self.failed, self.due) = (None, Instant::now());
            self.stand.send_replace(PreparationState::Waiting);
        }
    }
}

impl Jobs {
    /// Queues a version, once however many ask. `urgent`: a call waits for it, so that it comes before others, and one
    /// that failed a while ago is retried at once.
    pub(crate) fn want(
        &self,
        entry: &Arc<FunctionEntry>,
        urgent: bool,
    ) -> watch::Receiver<PreparationState> {
        let mut jobs = self.jobs.lock();
        let job = jobs.entry(*entry.digest()).or_insert_with(|| Job {
            entry: Arc::clone(entry),
            lane: Lane::of(entry),
            stand: watch::Sender::new(PreparationState::Waiting),
            urgent,
            due: Instant::now(),
            failures: 0,
            failed: None,
        });
        if urgent {
            job.be_urgent();
        }
        let stand = job.stand.subscribe();
        drop(jobs);
        self.changed
            .send_modify(|number| *number = number.wrapping_add(1));
        stand
    }

    /// A signal that the next job may have changed.
    pub(crate) fn changes(&self) -> watch::Receiver<u64> {
        self.changed.subscribe()
    }

    /// The next version to prepare: those with waiting calls first, then the most recently called, by this figure. It
    /// counts as running then. One that nobody calls (0) waits while a called one is prepared: beside it, it would take
    /// its place at the compiler.
    pub(crate) fn next(&self, lane: Lane, called: impl Fn(&FunctionEntry) -> u64) -> NextJob {
        let now = Instant::now();
        let jobs = self.jobs.lock();
        let of_lane = || jobs.values().filter(|job| job.lane == lane);
        let is_running = |job: &&Job| *job.stand.borrow() == PreparationState::Running;
        let is_called = |job: &Job| job.urgent || called(&job.entry) > 0;
        let gives_way = of_lane().filter(is_running).any(is_called);
        let open = || of_lane().filter(|job| !is_running(job) && (!gives_way || is_called(job)));
        let due = open().filter(|job| job.due <= now);
        if let Some(job) = due.max_by_key(|job| (job.urgent, called(&job.entry))) {
            job.stand.send_replace(PreparationState::Running);
            return NextJob::Prepare(Arc::clone(&job.entry));
        }
        open()
            .map(|job| job.due)
            .min()
            .map_or(NextJob::Nothing, NextJob::Later)
    }

    /// Notes the end of a preparation.
    pub(crate) fn ended(&self, entry: &FunctionEntry, stand: PreparationState) {
        let mut jobs = self.jobs.lock();
        let Some(job) = jobs.get_mut(entry.digest()) else {
            return;
        };
        if let PreparationState::Failed(_) = stand {
            job.due = Instant::now()
                + RETRY_MIN
                    .saturating_mul(1 << job.failures.min(10))
                    .min(RETRY_MAX);
            job.failures += 1;
            job.failed = Some(Instant::now());
            job.urgent = false;
            job.stand.send_replace(stand);
        } else {
            job.stand.send_replace(stand);
            jobs.remove(entry.digest());
        }
        drop(jobs);
        self.changed
            .send_modify(|number| *number = number.wrapping_add(1));
    }

    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.jobs.lock().len()
    }

    /// Whether a call waits for the version.
    pub(crate) fn is_urgent(&self, digest: &Digest) -> bool {
        self.jobs.lock().get(digest).is_some_and(|job| job.urgent)
    }

    /// The state of a version; `None` if nobody wants it prepared.
    pub(crate) fn stand(&self, digest: &Digest) -> Option<PreparationState> {
        self.jobs
            .lock()
            .get(digest)
            .map(|job| job.stand.borrow().clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::functions::Functions;
    use crate::functions::tests::versioned;

    fn entry(name: &str, digest: u8) -> Arc<FunctionEntry> {
        Functions::new(|_| false).entry_for(&Arc::new(versioned(name, digest)))
    }

    fn next(jobs: &Jobs) -> Option<String> {
        // Names in the order of the alphabet stand for when they were called.
        let called = |entry: &FunctionEntry| u64::from(entry.function.name.as_str().as_bytes()[0]);
        match jobs.next(Lane::Modules, called) {
            NextJob::Prepare(entry) => Some(entry.function.name.to_string()),
            _ => None,
        }
    }

    #[tokio::test(start_paused = true)]
    async fn what_calls_wait_for_is_first_and_then_what_was_called_last() {
        let jobs = Jobs::default();
        let [a, b, c] = [entry("a", 1), entry("b", 2), entry("c", 3)];
        jobs.want(&b, false);
        jobs.want(&c, false);
        let mut waits = jobs.want(&a, true);
        jobs.want(&a, false);
        assert!(jobs.is_urgent(a.digest()) && !jobs.is_urgent(b.digest()));
        assert_eq!(
            [next(&jobs), next(&jobs), next(&jobs)],
            [Some("a".into()), Some("c".into()), Some("b".into())]
        );
        assert_eq!(
            (next(&jobs), jobs.stand(a.digest())),
            (None, Some(PreparationState::Running))
        );
        jobs.ended(&a, PreparationState::Done);
        assert_eq!(*waits.borrow_and_update(), PreparationState::Done);
        assert_eq!(jobs.stand(a.digest()), None);
    }

    #[tokio::test(start_paused = true)]
    async fn what_nobody_calls_waits_for_what_is_called() {
        let jobs = Jobs::default();
        let [a, b, c] = [entry("a", 1), entry("b", 2), entry("c", 3)];
        for wanted in [&a, &b, &c] {
            jobs.want(wanted, false);
        }
        let next = || {
            let called = |entry: &FunctionEntry| u64::from(entry.function.name.as_str() == "b");
            match jobs.next(Lane::Modules, called) {
                NextJob::Prepare(entry) => Some(entry.function.name.to_string()),
                _ => None,
            }
        };
        assert_eq!((next(), next()), (Some("b".to_owned()), None));
        jobs.want(&c, true);
        assert_eq!((next(), next()), (Some("c".to_owned()), None));
        jobs.ended(&b, PreparationState::Done);
        assert_eq!(next(), None, "a call waits for c");
        jobs.ended(&c, PreparationState::Failed("no room".to_owned()));
        assert_eq!(next(), Some("a".to_owned()));
    }

    #[tokio::test(start_paused = true)]
    async fn what_failed_is_tried_again_after_pauses_that_grow() {
        let jobs = Jobs::default();
        let a = entry("a", 1);
        jobs.want(&a, false);
        for pause in [RETRY_MIN, RETRY_MIN * 2, RETRY_MIN * 4] {
            assert_eq!(next(&jobs), Some("a".to_owned()));
            jobs.ended(&a, PreparationState::Failed("no room".to_owned()));
            assert_eq!(
                jobs.stand(a.digest()),
                Some(PreparationState::Failed("no room".to_owned()))
            );
            assert_eq!(next(&jobs), None);
            tokio::time::advance(pause).await;
        }
        assert_eq!(next(&jobs), Some("a".to_owned()));
        jobs.ended(&a, PreparationState::Failed("no room".to_owned()));
        jobs.want(&a, true);
        assert_eq!(next(&jobs), None, "it has failed just now");
        tokio::time::advance(RETRY_MIN).await;
        jobs.want(&a, true);
        assert_eq!(next(&jobs), Some("a".to_owned()), "a call waits for it");
    }
}
