//! InFlightRuns that several callers wait for: identical calls of idempotent functions that came while one was in progress. A
//! run belongs to none of its callers; it stops when the last of them has left.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::Mutex;
use serverledge_core::{CacheMetadata, CallKey, FunctionFailure, InvocationError, Phases, Remote};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

/// The properties that calls must have in common to share a run: its function and parameters, and what its callers may
/// see of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct RunKey {
    pub(super) key: CallKey,
    /// The space's generation: a call that comes after a deploy does not share a run that began before.
    pub(super) generation: u64,
    pub(super) returns_cache: bool,
    pub(super) may_offload: bool,
}

/// The outcome that callers share.
#[derive(Debug, Clone)]
pub(super) enum SharedOutcome {
    Done(Arc<SharedResult>),
    /// The function's own failure, the same for every caller.
    Failed(FunctionFailure),
    /// A failure of the run and not of the function, or a result that depends on when it ran: it is the first caller's
    /// alone, and each of the others runs the call for itself.
    Apart,
}

/// A result.
#[derive(Debug)]
pub(super) struct SharedResult {
    pub(super) result: bytes::Bytes,
    pub(super) log: bytes::Bytes,
    pub(super) warm: bool,
    pub(super) phases: Phases,
    pub(super) remote: Option<Box<Remote>>,
    pub(super) memo: CacheMetadata,
}

/// The runs in progress.
#[derive(Debug, Default)]
pub(super) struct InFlightRuns(Mutex<HashMap<RunKey, InFlightEntry>>);

#[derive(Debug)]
struct InFlightEntry {
    run: Arc<InFlightRun>,
    waiting: usize,
}

#[derive(Debug)]
struct InFlightRun {
    shared: watch::Sender<Option<SharedOutcome>>,
    /// The outcome for its first caller, where it is not shared.
    own: Mutex<Option<Result<SharedResult, InvocationError>>>,
    abandoned: CancellationToken,
}

/// A caller that waits for a run. Dropping it leaves the run.
pub(super) struct Waiter {
    runs: Arc<InFlightRuns>,
    key: RunKey,
    run: Arc<InFlightRun>,
}

/// The caller that runs the call and publishes its outcome. If it is dropped without that, every caller tries for itself.
pub(super) struct Leader {
    runs: Arc<InFlightRuns>,
    key: RunKey,
    run: Arc<InFlightRun>,
}

impl InFlightRuns {
    /// Joins the run with this key; makes the caller its leader as well, if there was none.
    pub(super) fn join(self: &Arc<Self>, key: RunKey) -> (Waiter, Option<Leader>) {
        let mut runs = self.0.lock();
        let mut first = false;
        let running = runs.entry(key).or_insert_with(|| {
            first = true;
            let run = InFlightRun {
                shared: watch::Sender::new(None),
                own: Mutex::default(),
                abandoned: CancellationToken::new(),
            };
            InFlightEntry {
                run: Arc::new(run),
                waiting: 0,
            }
        });
        running.waiting += 1;
        let run = Arc::clone(&running.run);
        let leader = first.then(|| Leader {
            runs: Arc::clone(self),
            key,
            run: Arc::clone(&run),
        });
        (
            Waiter {
                runs: Arc::clone(self),
                key,
                run,
            },
            leader,
        )
    }

    /// Closes a run: no further call joins it.
    fn close(&self, key: &RunKey, run: &Arc<InFlightRun>) {
        let mut runs = self.0.lock();
        if runs
            .get(key)
            .is_some_and(|running| Arc::ptr_eq(&running.run, run))
        {
            runs.remove(key);
        }
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.0.lock().len()
    }
}

impl Waiter {
    /// Waits for the shared outcome.
    pub(super) async fn outcome(&self) -> SharedOutcome {
        let mut shared = self.run.shared.subscribe();
        // The sender lives as long as this place.
        let told = shared
            .wait_for(Option::is_some)
            .await
            .ok()
            .and_then(|shared| shared.clone());
        told.unwrap_or(SharedOutcome::Apart)
    }

    /// Takes the outcome that is for the first caller, and not shared.
    pub(super) fn own(&self) -> Option<Result<SharedResult, InvocationError>> {
        self.run.own.lock().take()
    }
}

impl Drop for Waiter {
    fn drop(&mut self) {
        let mut runs = self.runs.0.lock();
        let Some(running) = runs
            .get_mut(&self.key)
            .filter(|running| Arc::ptr_eq(&running.run, &self.run))
        else {
            return;
        };
        running.waiting -= 1;
        if running.waiting == 0 {
            runs.remove(&self.key);
            self.run.abandoned.cancel();
        }
    }
}

impl Leader {
    /// Returns when nobody waits for the run any more. No call will join it again.
    pub(super) async fn abandoned(&self) {
        self.run.abandoned.cancelled().await;
    }

    /// Publishes the outcome to all callers. A result that is to be found in the cache from now on must be there
    /// already. One that may not be kept is not shared either: a caller that came while it ran would get what was true
    /// before its call, and what the run did to a store would be done once for both.
    pub(super) fn tell(self, outcome: Result<SharedResult, InvocationError>) {
        let shared = match outcome {
            Ok(done) if !done.memo.uncacheable => SharedOutcome::Done(Arc::new(done)),
            Err(InvocationError::Function(failure)) if !failure.stale => {
                SharedOutcome::Failed(failure)
            }
            own => {
                *self.run.own.lock() = Some(own);
                SharedOutcome::Apart
            }
        };
        self.runs.close(&self.key, &self.run);
        self.run.shared.send_replace(Some(shared));
    }
}

impl Drop for Leader {
    fn drop(&mut self) {
        self.runs.close(&self.key, &self.run);
        self.run.shared.send_if_modified(|shared| {
            let untold = shared.is_none();
            if untold {
                *shared = Some(SharedOutcome::Apart);
            }
            untold
        });
    }
}
