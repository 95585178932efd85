//! Follows a part of the registry: reads it once, watches it, takes up a watch that broke, and reads everything anew
//! every so often.

use std::future::pending;
use std::time::Duration;

use futures_util::future::select_all;
use serverledge_core::kv::{Event, KvError, Revision, Watch, WatchError};
use tokio::time::{Instant, timeout_at};

/// Pause before a broken watch is begun again.
const WATCH_PAUSE: Duration = Duration::from_secs(1);
/// Usual time between two full reads: they repair what a watch lost.
const RESYNC_EVERY: Duration = Duration::from_secs(300);

/// A running watch over one part of the registry. Dropping it ends it.
#[derive(Debug)]
pub struct ChangeWatch<C> {
    /// At least one.
    watches: Vec<Box<dyn Watch>>,
    change: fn(&Event) -> Option<C>,
}

/// A copy of a part of the registry, which [`follow`] keeps current.
pub trait Follower: Sync {
    /// A change of the part.
    type Change: Send;

    /// The part, as log lines name it.
    const PART: &'static str;
    /// The state while the part cannot be read, in log lines: a clause.
    const MEANWHILE: &'static str;

    /// Time between two full reads.
    fn resync_every(&self) -> Duration {
        RESYNC_EVERY
    }

    /// Reads the whole part; returns the revision to watch from. After an error the copy is as before.
    fn load(&self) -> impl Future<Output = Result<Revision, KvError>> + Send;

    /// Begins a watch over the part.
    fn watch(
        &self,
        from: Revision,
    ) -> impl Future<Output = Result<ChangeWatch<Self::Change>, KvError>> + Send;

    /// Applies changes, in their order. The future is dropped only if [`Self::interrupted`] returns.
    fn apply(&self, changes: Vec<Self::Change>) -> impl Future<Output = ()> + Send;

    /// Returns when the part is to be read anew before it is time.
    fn interrupted(&self) -> impl Future<Output = ()> + Send {
        pending()
    }
}

// === impl ChangeWatch ===

impl<C> ChangeWatch<C> {
    pub(crate) const fn new(watches: Vec<Box<dyn Watch>>, change: fn(&Event) -> Option<C>) -> Self {
        Self { watches, change }
    }

    /// Waits for changes, at least one: those under one prefix come in their order, those of one transaction together;
    /// those under different prefixes may not. Dropping the future loses nothing. After an error the watch is over.
    ///
    /// # Errors
    /// `Compacted`: load everything anew.
    pub async fn next(&mut self) -> Result<Vec<C>, WatchError> {
        loop {
            let (events, ..) = select_all(self.watches.iter_mut().map(|watch| watch.next())).await;
            let changes: Vec<C> = events?.iter().filter_map(self.change).collect();
            if !changes.is_empty() {
                return Ok(changes);
            }
        }
    }
}

/// Keeps a copy current, from a revision on: the one that [`Follower::load`] returned. Runs for ever.
pub async fn follow<F: Follower>(follower: &F, mut from: Revision) {
    loop {
        let due = match follower.watch(from).await {
            Ok(watch) => tokio::select! {
                due = apply_until_due(follower, watch) => due,
                () = follower.interrupted() => false,
            },
            Err(error) => {
                tracing::warn!(%error, "failed to watch {}", F::PART);
                false
            }
        };
        if !due {
            tokio::time::sleep(WATCH_PAUSE).await;
        }
        // Not watched from the old revision meanwhile: what it replays, the copy may be ahead of.
        from = loop {
            match follower.load().await {
                Ok(next) => break next,
                Err(error) => {
                    tracing::warn!(%error, "failed to read {}; {}", F::PART, F::MEANWHILE);
                    tokio::time::sleep(WATCH_PAUSE).await;
                }
            }
        };
    }
}

/// Applies changes until a full read is due (true) or the watch breaks (false).
async fn apply_until_due<F: Follower>(follower: &F, mut watch: ChangeWatch<F::Change>) -> bool {
    let due = Instant::now() + follower.resync_every();
    loop {
        match timeout_at(due, watch.next()).await {
            Ok(Ok(changes)) => follower.apply(changes).await,
            Ok(Err(error)) => {
                tracing::warn!(%error, "the watch of {} ended", F::PART);
                return false;
            }
            Err(_) => return true,
        }
    }
}
