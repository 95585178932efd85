//! The runs that peers asked for, by id. A peer that asks again joins the run, or reads its outcome for a while, so
//! that a lost response costs no second run.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use parking_lot::Mutex;
use serverledge_api::PeerInvokeError;
use serverledge_core::{
    CacheMetadata, FunctionFailure, InvocationError, InvocationId, OverloadReason, Phases, Remote,
    Reply, Report,
};
use tokio::sync::watch;
use tokio::time::Instant;

/// Lifetime of an outcome: longer than a peer goes on asking.
pub(super) const KEPT_FOR: Duration = Duration::from_secs(60);
/// Time for which a run's id is remembered: longer than a request can be on its way, by the clocks of its proof.
const KNOWN_FOR: Duration = Duration::from_secs(180);
/// Most bytes of kept outcomes; the oldest are dropped first.
const KEPT_BYTES_MAX: usize = 64 * 1024 * 1024;
/// Most runs that are remembered.
const KNOWN_MAX: usize = 300_000;
/// Time for which a run goes on when nobody waits for it.
const ABANDONED_AFTER: Duration = Duration::from_secs(5);

/// The outcome of a run, which several requests may read.
#[derive(Debug, Clone)]
pub(crate) enum PeerOutcome {
    /// A result.
    Done {
        result: Bytes,
        log: Bytes,
        warm: bool,
        phases: Phases,
        remote: Option<Box<Remote>>,
        memo: Box<CacheMetadata>,
    },
    /// The function's failure.
    Function(FunctionFailure),
    /// The request does not fit the function.
    Request { code: &'static str, message: String },
    /// The call did not start: no room.
    Overloaded {
        reason: OverloadReason,
        retry_after: Duration,
    },
    /// The call did not start: something is missing.
    Dependency {
        what: &'static str,
        code: &'static str,
        message: String,
    },
    /// A fault of this node.
    Internal(String),
    /// The run was stopped, or its outcome is not kept any more.
    Forgotten,
}

/// The runs of peers; see the module.
#[derive(Debug, Default)]
pub(crate) struct Joins {
    runs: Mutex<PeerRuns>,
}

#[derive(Debug, Default)]
struct PeerRuns {
    by_id: HashMap<InvocationId, Arc<PeerRun>>,
    /// The runs whose outcome is kept, the oldest first.
    kept: VecDeque<(Instant, InvocationId, usize)>,
    /// The runs that have ended, the oldest first.
    known: VecDeque<(Instant, InvocationId)>,
    bytes: usize,
    /// The last time that runs were forgotten before their time, if ever.
    cut_short: Option<Instant>,
}

/// One run.
#[derive(Debug)]
pub(super) struct PeerRun {
    outcome: watch::Sender<Option<PeerOutcome>>,
    waiting: watch::Sender<usize>,
}

/// A request that waits for a run.
struct RunWaiter<'a>(&'a PeerRun);

/// The entry of an id.
pub(super) enum JoinLookup {
    /// A run, in progress or ended.
    Run(Arc<PeerRun>),
    /// A new entry: the caller has to run the call and to report its end.
    New(Arc<PeerRun>),
}

impl Joins {
    /// The run with this id, or a new one.
    pub(super) fn find(&self, id: InvocationId) -> JoinLookup {
        let mut runs = self.runs.lock();
        runs.forget_old(Instant::now());
        if let Some(run) = runs.by_id.get(&id) {
            return JoinLookup::Run(Arc::clone(run));
        }
        let run = Arc::new(PeerRun {
            outcome: watch::Sender::new(None),
            waiting: watch::Sender::new(0),
        });
        runs.by_id.insert(id, Arc::clone(&run));
        JoinLookup::New(run)
    }

    /// The run with this id, if there is one.
    pub(super) fn known(&self, id: InvocationId) -> Option<Arc<PeerRun>> {
        let mut runs = self.runs.lock();
        runs.forget_old(Instant::now());
        runs.by_id.get(&id).cloned()
    }

    /// Whether every run that was begun within this time is still known.
    pub(super) fn remembers(&self, since: Duration) -> bool {
        let cut_short = self.runs.lock().cut_short;
        since < KEPT_FOR && cut_short.is_none_or(|at| at.elapsed() > since)
    }

    /// Stores the end of a run. `again`: its first request may come yet, and must not run then.
    pub(super) fn ended(&self, id: InvocationId, run: &PeerRun, outcome: PeerOutcome, again: bool) {
        let bytes = outcome.bytes();
        // What never started is not kept; those who wait learn it all the same.
        let keep = outcome.started() || again;
        run.outcome.send_replace(Some(outcome));
        let mut runs = self.runs.lock();
        if keep {
            let now = Instant::now();
            runs.kept.push_back((now, id, bytes));
            runs.known.push_back((now, id));
            runs.bytes += bytes;
            runs.forget_excess(now);
        } else {
            runs.by_id.remove(&id);
        }
    }
}

impl PeerRuns {
    fn forget_old(&mut self, now: Instant) {
        while self
            .kept
            .front()
            .is_some_and(|(at, ..)| now.duration_since(*at) >= KEPT_FOR)
        {
            self.forget_outcome();
        }
        while self
            .known
            .front()
            .is_some_and(|(at, _)| now.duration_since(*at) >= KNOWN_FOR)
        {
            self.forget_run();
        }
    }

    fn forget_excess(&mut self, now: Instant) {
        while self.bytes > KEPT_BYTES_MAX {
            self.forget_outcome();
        }
        while self.known.len() > KNOWN_MAX {
            self.cut_short = Some(now);
            self.forget_run();
        }
    }

    /// Drops the oldest outcome. The run stays known.
    fn forget_outcome(&mut self) {
        if let Some((_, id, bytes)) = self.kept.pop_front() {
            self.bytes -= bytes;
            if let Some(run) = self.by_id.get(&id) {
                run.outcome.send_replace(Some(PeerOutcome::Forgotten));
            }
        }
    }

    fn forget_run(&mut self) {
        if let Some((_, id)) = self.known.pop_front() {
            self.by_id.remove(&id);
        }
    }
}

impl PeerRun {
    /// Returns when nobody has waited for the run for a while.
    pub(super) async fn abandoned(&self) {
        let mut waiting = self.waiting.subscribe();
        loop {
            // The sender lives as long as this run.
            let _ = waiting.wait_for(|waiting| *waiting == 0).await;
            let somebody = waiting.wait_for(|waiting| *waiting > 0);
            if tokio::time::timeout(ABANDONED_AFTER, somebody)
                .await
                .is_err()
            {
                return;
            }
        }
    }

    /// Waits for the outcome. Dropping the future gives up waiting.
    pub(super) async fn wait(self: Arc<Self>) -> PeerOutcome {
        self.waiting.send_modify(|waiting| *waiting += 1);
        let waiter = RunWaiter(&self);
        let mut outcome = self.outcome.subscribe();
        let ended = outcome
            .wait_for(Option::is_some)
            .await
            .ok()
            .and_then(|outcome| outcome.clone());
        drop(waiter);
        ended
            .unwrap_or_else(|| PeerOutcome::Internal("the run ended without an outcome".to_owned()))
    }
}

impl Drop for RunWaiter<'_> {
    fn drop(&mut self) {
        self.0.waiting.send_modify(|waiting| *waiting -= 1);
    }
}

impl PeerOutcome {
    pub(super) fn of(result: Result<Report, InvocationError>) -> Self {
        match result {
            Ok(Report {
                reply: Reply::Json(result),
                log,
                warm,
                phases,
                remote,
                memo,
            }) => Self::Done {
                result,
                log,
                warm,
                phases,
                remote,
                memo: Box::new(memo),
            },
            Ok(_) => Self::Internal("the function answered HTTP to JSON parameters".to_owned()),
            Err(InvocationError::Function(failure)) => Self::Function(failure),
            Err(InvocationError::Request { code, message }) => Self::Request { code, message },
            Err(InvocationError::Overloaded {
                reason,
                retry_after,
            }) => Self::Overloaded {
                reason,
                retry_after,
            },
            Err(InvocationError::Dependency { what, code, source }) => Self::Dependency {
                what,
                code,
                message: source.to_string(),
            },
            Err(other) => Self::Internal(other.to_string()),
        }
    }

    fn started(&self) -> bool {
        !matches!(self, Self::Overloaded { .. } | Self::Dependency { .. })
    }

    fn bytes(&self) -> usize {
        let text = match self {
            Self::Done {
                result, log, memo, ..
            } => result.len() + log.len() + entries_bytes(memo),
            Self::Function(failure) => failure.message.len() + failure.log.len(),
            Self::Request { message, .. }
            | Self::Internal(message)
            | Self::Dependency { message, .. } => message.len(),
            Self::Overloaded { .. } | Self::Forgotten => 0,
        };
        text + size_of::<PeerRun>()
    }

    pub(super) fn into_result(self) -> Result<Report, PeerInvokeError> {
        let error = match self {
            Self::Forgotten => return Err(PeerInvokeError::Forgotten),
            Self::Done {
                result,
                log,
                warm,
                phases,
                remote,
                memo,
            } => {
                return Ok(Report {
                    reply: Reply::Json(result),
                    log,
                    warm,
                    phases,
                    remote,
                    memo: *memo,
                });
            }
            Self::Function(failure) => InvocationError::Function(failure),
            Self::Request { code, message } => InvocationError::Request { code, message },
            Self::Overloaded {
                reason,
                retry_after,
            } => InvocationError::Overloaded {
                reason,
                retry_after,
            },
            Self::Dependency {
                what,
                code,
                message,
            } => InvocationError::Dependency {
                what,
                code,
                source: message.into(),
            },
            Self::Internal(message) => InvocationError::Internal { message },
        };
        Err(error.into())
    }
}

fn entries_bytes(memo: &CacheMetadata) -> usize {
    memo.entries
        .iter()
        .map(|entry| entry.params.len() + entry.result.len() + entry.tag.len())
        .sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn done(bytes: usize) -> PeerOutcome {
        let phases = Phases::default();
        let result = Bytes::from(vec![b'1'; bytes]);
        let memo = Box::default();
        PeerOutcome::Done {
            result,
            log: Bytes::new(),
            warm: true,
            phases,
            remote: None,
            memo,
        }
    }

    fn refusal() -> PeerOutcome {
        PeerOutcome::Overloaded {
            reason: OverloadReason::QueueFull,
            retry_after: Duration::from_secs(1),
        }
    }

    fn begin(joins: &Joins, id: InvocationId) -> Arc<PeerRun> {
        match joins.find(id) {
            JoinLookup::New(run) => run,
            JoinLookup::Run(_) => panic!("the id is new"),
        }
    }

    #[tokio::test(start_paused = true)]
    async fn who_asks_again_gets_the_outcome_of_the_first_for_a_while() {
        let joins = Joins::default();
        let id = InvocationId::new();
        let run = begin(&joins, id);
        let JoinLookup::Run(same) = joins.find(id) else {
            panic!("it runs")
        };
        let second = tokio::time::timeout(Duration::from_secs(1), same.wait());
        assert!(second.await.is_err(), "it has not ended");
        joins.ended(id, &run, done(3), false);
        let JoinLookup::Run(ended) = joins.find(id) else {
            panic!("it has ended just now")
        };
        assert!(
            matches!(ended.wait().await, PeerOutcome::Done { result, .. } if result.len() == 3)
        );
        assert!(joins.remembers(Duration::from_secs(59)));
        tokio::time::advance(KEPT_FOR).await;
        let known = joins
            .known(id)
            .expect("that there was one is known for longer");
        assert!(matches!(known.wait().await, PeerOutcome::Forgotten));
        assert!(!joins.remembers(KEPT_FOR));
        tokio::time::advance(KNOWN_FOR).await;
        assert!(joins.known(id).is_none());
    }

    #[tokio::test(start_paused = true)]
    async fn what_never_started_may_be_asked_anew_unless_its_first_request_may_come_yet() {
        let joins = Joins::default();
        let first = InvocationId::new();
        let second = InvocationId::new();
        joins.ended(first, &begin(&joins, first), refusal(), false);
        assert!(joins.known(first).is_none());
        joins.ended(second, &begin(&joins, second), refusal(), true);
        assert!(matches!(joins.find(second), JoinLookup::Run(_)));
    }

    #[tokio::test(start_paused = true)]
    async fn outcomes_are_bounded_and_what_was_forgotten_is_not_denied() {
        let joins = Joins::default();
        let ids: Vec<_> = (0..5).map(|_| InvocationId::new()).collect();
        for id in &ids {
            joins.ended(*id, &begin(&joins, *id), done(KEPT_BYTES_MAX / 4), false);
            tokio::time::advance(Duration::from_secs(1)).await;
        }
        let [first, last] =
            [ids[0], ids[4]].map(|id| joins.known(id).expect("all are known").wait());
        assert!(matches!(
            (first.await, last.await),
            (PeerOutcome::Forgotten, PeerOutcome::Done { .. })
        ));
        assert!(joins.remembers(Duration::from_secs(3)));
    }

    #[tokio::test(start_paused = true)]
    async fn a_run_is_abandoned_when_nobody_has_waited_for_a_while() {
        let joins = Joins::default();
        let id = InvocationId::new();
        let run = begin(&joins, id);
        let mut waiting = Box::pin(Arc::clone(&run).wait());
        assert!(futures_util::poll!(&mut waiting).is_pending());
        let mut abandoned = Box::pin(run.abandoned());
        assert!(
            tokio::time::timeout(Duration::from_secs(60), &mut abandoned)
                .await
                .is_err()
        );
        drop(waiting);
        assert!(
            tokio::time::timeout(ABANDONED_AFTER / 2, &mut abandoned)
                .await
                .is_err()
        );
        let mut again = Box::pin(Arc::clone(&run).wait());
        assert!(futures_util::poll!(&mut again).is_pending());
        assert!(
            tokio::time::timeout(Duration::from_secs(60), &mut abandoned)
                .await
                .is_err()
        );
        drop(again);
        abandoned.await;
    }
}
