//! Runs that several callers wait for: identical calls of idempotent functions that came while one was under way. A run
//! belongs to none of its callers; it stops when the last of them has left.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::Mutex;
use serverledge_core::{CallKey, FunctionFailure, InvocationError, Memo, Phases, Remote};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

/// What calls must have in common to share a run: what it is of, and what its callers may see of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct RunKey {
    pub(super) key: CallKey,
    /// A call that comes after a deployment does not get what began before.
    pub(super) generation: u64,
    pub(super) hands_out: bool,
    pub(super) may_offload: bool,
}

/// What callers share.
#[derive(Debug, Clone)]
pub(super) enum Shared {
    Done(Arc<Done>),
    /// The function's own failure, whoever calls it.
    Failed(FunctionFailure),
    /// Something that is of the run and not of the function: each caller tries for itself.
    Apart,
}

/// A result.
#[derive(Debug)]
pub(super) struct Done {
    pub(super) result: bytes::Bytes,
    pub(super) log: bytes::Bytes,
    pub(super) warm: bool,
    pub(super) phases: Phases,
    pub(super) remote: Option<Box<Remote>>,
    pub(super) memo: Memo,
}

/// The runs that are under way.
#[derive(Debug, Default)]
pub(super) struct Runs(Mutex<HashMap<RunKey, Running>>);

#[derive(Debug)]
struct Running {
    run: Arc<Run>,
    waiting: usize,
}

#[derive(Debug)]
struct Run {
    shared: watch::Sender<Option<Shared>>,
    /// What its first caller is told where it is not shared.
    error: Mutex<Option<InvocationError>>,
    abandoned: CancellationToken,
}

/// A caller's place at a run. Dropping it leaves.
pub(super) struct Seat {
    runs: Arc<Runs>,
    key: RunKey,
    run: Arc<Run>,
}

/// The duty to run and to tell what came of it. Dropped without that, every caller tries for itself.
pub(super) struct Duty {
    runs: Arc<Runs>,
    key: RunKey,
    run: Arc<Run>,
}

impl Runs {
    /// A place at the run with this key; with the duty to run it, if there was none.
    pub(super) fn join(self: &Arc<Self>, key: RunKey) -> (Seat, Option<Duty>) {
        let mut runs = self.0.lock();
        let mut first = false;
        let running = runs.entry(key).or_insert_with(|| {
            first = true;
            let run = Run {
                shared: watch::Sender::new(None),
                error: Mutex::default(),
                abandoned: CancellationToken::new(),
            };
            Running {
                run: Arc::new(run),
                waiting: 0,
            }
        });
        running.waiting += 1;
        let run = Arc::clone(&running.run);
        let duty = first.then(|| Duty {
            runs: Arc::clone(self),
            key,
            run: Arc::clone(&run),
        });
        (
            Seat {
                runs: Arc::clone(self),
                key,
                run,
            },
            duty,
        )
    }

    /// Nobody joins this run any more.
    fn close(&self, key: &RunKey, run: &Arc<Run>) {
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

impl Seat {
    /// Waits for what is shared.
    pub(super) async fn outcome(&self) -> Shared {
        let mut shared = self.run.shared.subscribe();
        // The sender lives as long as this place.
        let told = shared
            .wait_for(Option::is_some)
            .await
            .ok()
            .and_then(|shared| shared.clone());
        told.unwrap_or(Shared::Apart)
    }

    /// What is told to one caller, and not shared.
    pub(super) fn error(&self) -> Option<InvocationError> {
        self.run.error.lock().take()
    }
}

impl Drop for Seat {
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

impl Duty {
    /// Returns when nobody waits any more. Nobody will again.
    pub(super) async fn abandoned(&self) {
        self.run.abandoned.cancelled().await;
    }

    /// Tells all who wait. What is to be found elsewhere from now on must be there already.
    pub(super) fn tell(self, outcome: Result<Done, InvocationError>) {
        let shared = match outcome {
            Ok(done) => Shared::Done(Arc::new(done)),
            Err(InvocationError::Function(failure)) if !failure.stale => Shared::Failed(failure),
            Err(error) => {
                *self.run.error.lock() = Some(error);
                Shared::Apart
            }
        };
        self.runs.close(&self.key, &self.run);
        self.run.shared.send_replace(Some(shared));
    }
}

impl Drop for Duty {
    fn drop(&mut self) {
        self.runs.close(&self.key, &self.run);
        self.run.shared.send_if_modified(|shared| {
            let untold = shared.is_none();
            if untold {
                *shared = Some(Shared::Apart);
            }
            untold
        });
    }
}
