//! The runs that peers asked for, by id: who asks again joins the run, or reads its outcome for a while. So a lost answer
//! costs no second run.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use parking_lot::Mutex;
use serverledge_api::PeerInvokeError;
use serverledge_core::{
    FunctionFailure, InvocationError, InvocationId, Memo, OverloadReason, Phases, Remote, Reply,
    Report,
};
use tokio::sync::watch;
use tokio::time::Instant;

/// How long an outcome is kept: longer than a peer goes on asking.
pub(super) const KEPT_FOR: Duration = Duration::from_secs(60);
/// How long is known that there was one: longer than a request can be on its way, as the clocks of its proof say.
const KNOWN_FOR: Duration = Duration::from_secs(180);
/// Bytes of outcomes that are kept; older ones go first.
const KEPT_BYTES_MAX: usize = 64 * 1024 * 1024;
/// Runs that are known.
const KNOWN_MAX: usize = 300_000;
/// How long a run goes on for which nobody waits.
const ABANDONED_AFTER: Duration = Duration::from_secs(5);

/// The outcome of a run, which several may read.
#[derive(Debug, Clone)]
pub(crate) enum Outcome {
    /// A result.
    Done {
        result: Bytes,
        log: Bytes,
        warm: bool,
        phases: Phases,
        remote: Option<Box<Remote>>,
        memo: Box<Memo>,
    },
    /// The function's failure.
    Function(FunctionFailure),
    /// The request does not fit the function.
    Request { code: &'static str, message: String },
    /// It did not start: no room.
    Overloaded {
        reason: OverloadReason,
        retry_after: Duration,
    },
    /// It did not start: something is missing.
    Dependency {
        what: &'static str,
        code: &'static str,
        message: String,
    },
    /// Our fault.
    Internal(String),
    /// It was stopped, or what came of it is not kept any more.
    Forgotten,
}

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Joins {
    runs: Mutex<Runs>,
}

#[derive(Debug, Default)]
struct Runs {
    by_id: HashMap<InvocationId, Arc<Run>>,
    /// Those whose outcome is kept, the oldest first.
    kept: VecDeque<(Instant, InvocationId, usize)>,
    /// Those that ended, the oldest first.
    known: VecDeque<(Instant, InvocationId)>,
    bytes: usize,
    /// When runs were last forgotten before their time, if ever.
    cut_short: Option<Instant>,
}

/// One run.
#[derive(Debug)]
pub(super) struct Run {
    outcome: watch::Sender<Option<Outcome>>,
    waiting: watch::Sender<usize>,
}

/// Somebody who waits for a run.
struct Waiter<'a>(&'a Run);

/// What there is under an id.
pub(super) enum Found {
    /// It runs, or has ended.
    Run(Arc<Run>),
    /// Nothing: the caller has to run it and to report its end.
    New(Arc<Run>),
}

impl Joins {
    /// The run with this id, or a new one.
    pub(super) fn find(&self, id: InvocationId) -> Found {
        let mut runs = self.runs.lock();
        runs.forget_old(Instant::now());
        if let Some(run) = runs.by_id.get(&id) {
            return Found::Run(Arc::clone(run));
        }
        let run = Arc::new(Run {
            outcome: watch::Sender::new(None),
            waiting: watch::Sender::new(0),
        });
        runs.by_id.insert(id, Arc::clone(&run));
        Found::New(run)
    }

    /// The run with this id, if there is one.
    pub(super) fn known(&self, id: InvocationId) -> Option<Arc<Run>> {
        let mut runs = self.runs.lock();
        runs.forget_old(Instant::now());
        runs.by_id.get(&id).cloned()
    }

    /// Whether every run that was begun within this time is still known.
    pub(super) fn remembers(&self, since: Duration) -> bool {
        let cut_short = self.runs.lock().cut_short;
        since < KEPT_FOR && cut_short.is_none_or(|at| at.elapsed() > since)
    }

    /// A run has ended. `again`: its first request may come yet, and must not run then.
    pub(super) fn ended(&self, id: InvocationId, run: &Run, outcome: Outcome, again: bool) {
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

impl Runs {
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

    /// What came of the oldest is not told any more, but that there was something is.
    fn forget_outcome(&mut self) {
        if let Some((_, id, bytes)) = self.kept.pop_front() {
            self.bytes -= bytes;
            if let Some(run) = self.by_id.get(&id) {
                run.outcome.send_replace(Some(Outcome::Forgotten));
            }
        }
    }

    fn forget_run(&mut self) {
        if let Some((_, id)) = self.known.pop_front() {
            self.by_id.remove(&id);
        }
    }
}

impl Run {
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
    pub(super) async fn wait(self: Arc<Self>) -> Outcome {
        self.waiting.send_modify(|waiting| *waiting += 1);
        let waiter = Waiter(&self);
        let mut outcome = self.outcome.subscribe();
        let ended = outcome
            .wait_for(Option::is_some)
            .await
            .ok()
            .and_then(|outcome| outcome.clone());
        drop(waiter);
        ended.unwrap_or_else(|| Outcome::Internal("the run ended without an outcome".to_owned()))
    }
}

impl Drop for Waiter<'_> {
    fn drop(&mut self) {
        self.0.waiting.send_modify(|waiting| *waiting -= 1);
    }
}

impl Outcome {
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
        text + size_of::<Run>()
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

fn entries_bytes(memo: &Memo) -> usize {
    memo.entries
        .iter()
        .map(|entry| entry.params.len() + entry.result.len() + entry.tag.len())
        .sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn done(bytes: usize) -> Outcome {
        let phases = Phases::default();
        let (result, memo) = (Bytes::from(vec![b'1'; bytes]), Box::default());
        Outcome::Done {
            result,
            log: Bytes::new(),
            warm: true,
            phases,
            remote: None,
            memo,
        }
    }

    fn refusal() -> Outcome {
        Outcome::Overloaded {
            reason: OverloadReason::QueueFull,
            retry_after: Duration::from_secs(1),
        }
    }

    fn begin(joins: &Joins, id: InvocationId) -> Arc<Run> {
        match joins.find(id) {
            Found::New(run) => run,
            Found::Run(_) => panic!("the id is new"),
        }
    }

    #[tokio::test(start_paused = true)]
    async fn who_asks_again_gets_the_outcome_of_the_first_for_a_while() {
        let (joins, id) = (Joins::default(), InvocationId::new());
        let run = begin(&joins, id);
        let Found::Run(same) = joins.find(id) else {
            panic!("it runs")
        };
        let second = tokio::time::timeout(Duration::from_secs(1), same.wait());
        assert!(second.await.is_err(), "it has not ended");
        joins.ended(id, &run, done(3), false);
        let Found::Run(ended) = joins.find(id) else {
            panic!("it has ended just now")
        };
        assert!(matches!(ended.wait().await, Outcome::Done { result, .. } if result.len() == 3));
        assert!(joins.remembers(Duration::from_secs(59)));
        tokio::time::advance(KEPT_FOR).await;
        let known = joins
            .known(id)
            .expect("that there was one is known for longer");
        assert!(matches!(known.wait().await, Outcome::Forgotten));
        assert!(!joins.remembers(KEPT_FOR));
        tokio::time::advance(KNOWN_FOR).await;
        assert!(joins.known(id).is_none());
    }

    #[tokio::test(start_paused = true)]
    async fn what_never_started_may_be_asked_anew_unless_its_first_request_may_come_yet() {
        let (joins, first, second) = (Joins::default(), InvocationId::new(), InvocationId::new());
        joins.ended(first, &begin(&joins, first), refusal(), false);
        assert!(joins.known(first).is_none());
        joins.ended(second, &begin(&joins, second), refusal(), true);
        assert!(matches!(joins.find(second), Found::Run(_)));
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
            (Outcome::Forgotten, Outcome::Done { .. })
        ));
        assert!(joins.remembers(Duration::from_secs(3)));
    }

    #[tokio::test(start_paused = true)]
    async fn a_run_is_abandoned_when_nobody_has_waited_for_a_while() {
        let (joins, id) = (Joins::default(), InvocationId::new());
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
