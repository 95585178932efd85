//! The readiness of a node that starts: it counts as ready when the recently called functions are prepared.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::Mutex;
use serverledge_api::Readiness;
use tokio::time::Instant;

use super::jobs::PreparationState;
use super::recency::NOTE_EVERY;
use crate::clock::unix_ms;
use crate::functions::FunctionEntry;
use crate::functions::follow::Catalogue;

/// The state of the start; see the module.
#[derive(Debug, Default)]
pub(crate) struct Startup {
    /// Whether the start is over, for good: later deploys are prepared beside calls.
    over: AtomicBool,
    wanted: Mutex<AwaitedFunctions>,
}

#[derive(Debug, Default)]
struct AwaitedFunctions {
    /// Those that were not prepared when the node started.
    missing: Vec<Arc<FunctionEntry>>,
    /// Number of recently called functions.
    of: usize,
}

impl Catalogue {
    /// Queues all unprepared versions, and notes those that readiness waits for.
    pub(crate) fn begin_preparing(&self) {
        let now_s = unix_ms() / 1000;
        let reachable =
            |entry: &Arc<FunctionEntry>| self.spaces.is_reachable(&entry.function.space);
        let all: Vec<_> = self
            .functions()
            .entries()
            .into_iter()
            .filter(reachable)
            .collect();
        let count = all.iter().filter(|entry| !entry.is_ready()).count();
        if count > 0 {
            tracing::info!(
                count,
                "preparing functions whose machine code is missing or of an older version"
            );
        }
        let recent = all
            .into_iter()
            .filter(|entry| self.recency.is_recent(&entry.function, now_s));
        let recent: Vec<_> = recent.collect();
        let of = recent.len();
        let missing: Vec<_> = recent
            .into_iter()
            .filter(|entry| !entry.is_ready())
            .collect();
        self.startup
            .over
            .store(missing.is_empty(), Ordering::Release);
        *self.startup.wanted.lock() = AwaitedFunctions { missing, of };
        self.prepare_missing();
    }

    /// Says from now on whether new requests should be sent here.
    pub(crate) fn set_ready(&self, ready: bool) {
        self.ready.store(ready, Ordering::Release);
    }

    /// Whether new requests should be sent here, as far as the start decides that.
    pub(in crate::functions) fn startup_readiness(&self) -> Readiness {
        if self.startup.over.load(Ordering::Acquire) {
            return Readiness::Ready;
        }
        let mut wanted = self.startup.wanted.lock();
        // What is gone, or was deployed anew meanwhile, is no matter of the start.
        wanted
            .missing
            .retain(|entry| !entry.is_ready() && self.functions().is_current(entry));
        let is_failed = |entry: &&Arc<FunctionEntry>| {
            matches!(
                self.jobs.stand(entry.digest()),
                Some(PreparationState::Failed(_))
            )
        };
        let (missing, failed) = (
            wanted.missing.len(),
            wanted.missing.iter().filter(is_failed).count(),
        );
        if missing == failed {
            self.startup.over.store(true, Ordering::Release);
            return Readiness::Ready;
        }
        Readiness::Preparing {
            prepared: wanted.of - missing,
            failed,
            of: wanted.of,
        }
    }

    /// Notes the called functions again and again. Runs for ever.
    pub(crate) async fn note_called_forever(&self) {
        loop {
            tokio::time::sleep_until(Instant::now() + NOTE_EVERY).await;
            self.note_called();
        }
    }

    /// Notes the functions that were called since the last time.
    pub(crate) fn note_called(&self) {
        self.recency
            .note(&self.functions().entries(), unix_ms() / 1000);
    }
}
