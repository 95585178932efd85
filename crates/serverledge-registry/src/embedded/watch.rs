//! Watches: read the log from where they stand whenever the newest revision grows. No queue, so nothing is lost.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use serverledge_core::kv::{Event, KvError, Watch, WatchError};
use tokio::sync::watch;

use super::shared::{Closed, SharedStore};
use super::snapshot::LogPiece;

/// Revisions to catch up above which the log is read off the async threads.
const INLINE_REVISIONS: u64 = 16;

/// A watch of one prefix.
#[derive(Debug)]
pub(super) struct LogWatch {
    shared: Arc<SharedStore>,
    newest: watch::Receiver<u64>,
    prefix: Bytes,
    /// The next revision to look at.
    next: u64,
}

// === impl LogWatch ===

impl LogWatch {
    pub(super) fn new(shared: Arc<SharedStore>, prefix: Bytes, next: u64) -> Self {
        let newest = shared.revision.subscribe();
        Self {
            shared,
            newest,
            prefix,
            next,
        }
    }

    async fn piece(&self, newest: u64) -> Result<LogPiece, KvError> {
        let prefix = self.prefix.clone();
        let next = self.next;
        if newest - next < INLINE_REVISIONS {
            return self.shared.read(|snapshot| snapshot.events(&prefix, next));
        }
        let shared = self.shared.clone();
        super::off_thread(move || shared.read(|snapshot| snapshot.events(&prefix, next))).await
    }
}

#[async_trait]
impl Watch for LogWatch {
    async fn next(&mut self) -> Result<Vec<Event>, WatchError> {
        loop {
            let newest = *self.newest.borrow_and_update();
            if newest < self.next {
                if self.newest.changed().await.is_err() || self.shared.is_closed() {
                    return Err(WatchError::Unavailable(Box::new(Closed)));
                }
                continue;
            }
            let piece = self.piece(newest).await.map_err(ended)?;
            self.next = piece.next;
            if !piece.events.is_empty() {
                return Ok(piece.events);
            }
        }
    }
}

fn ended(error: KvError) -> WatchError {
    match error {
        KvError::Compacted(at) => WatchError::Compacted(at),
        other => WatchError::Unavailable(Box::new(other)),
    }
}
