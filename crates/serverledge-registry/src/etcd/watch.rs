//! Watches: each on a connection of its own, opened again from where it stands after every failure.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use async_trait::async_trait;
use serverledge_core::kv::{Event, KeySpan, KvError, Revision, Watch, WatchError};
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until, timeout};

use super::Core;
use super::fault::{EtcdFault, EtcdRefusal};
use super::grpc::{CallError, WatchStream};
use super::link::{Backoff, EtcdSession};
use super::messages::{WatchCreateRequest, WatchResponse};
use super::translate::{header_revision, signed};

/// Time that a stream must last until its failure counts as the first one again.
const STEADY: std::time::Duration = std::time::Duration::from_secs(10);

type Opening = Pin<Box<dyn Future<Output = Result<Open, Trouble>> + Send>>;

/// A watch of one prefix.
pub(super) struct EtcdWatch {
    line: WatchState,
    epochs: watch::Receiver<u64>,
}

/// All of a watch but the signal that the store was replaced.
struct WatchState {
    core: Arc<Core>,
    span: (Vec<u8>, Vec<u8>),
    /// The first revision that was not yet returned whole.
    next: u64,
    epoch: u64,
    stage: Stage,
    /// Events of an answer whose rest is still to come.
    partial: Vec<Event>,
    backoff: Backoff,
}

/// Kept in the watch, not in the future of `next`: dropping that one loses nothing.
enum Stage {
    Waiting(Instant),
    Opening(Opening),
    Open(Box<Open>),
}

/// An open stream.
struct Open {
    session: EtcdSession,
    stream: WatchStream,
    since: Instant,
}

/// The reason why a stream could not be opened.
enum Trouble {
    /// The watch is over.
    Ended(WatchError),
    /// Worth trying again.
    Failed(KvError),
}

// === impl EtcdWatch ===

impl EtcdWatch {
    pub(super) fn new(core: Arc<Core>, prefix: &[u8], next: u64) -> Self {
        let epochs = core.memory.epochs();
        let epoch = *epochs.borrow();
        let span = core
            .prefix
            .span(&KeySpan::prefix(prefix.to_vec()))
            .unwrap_or_default();
        // etcd takes revision 0 for "from now on".
        let next = next.max(1);
        let stage = Stage::Waiting(Instant::now());
        let backoff = Backoff::default();
        Self {
            line: WatchState {
                core,
                span,
                next,
                epoch,
                stage,
                partial: Vec::new(),
                backoff,
            },
            epochs,
        }
    }

    /// Sets a new watch after this revision of this epoch.
    pub(super) const fn begin_after(&mut self, revision: u64, epoch: u64) {
        self.line.next = revision + 1;
        self.line.epoch = epoch;
    }
}

#[async_trait]
impl Watch for EtcdWatch {
    async fn next(&mut self) -> Result<Vec<Event>, WatchError> {
        let Self { line, epochs } = self;
        loop {
            if *epochs.borrow_and_update() != line.epoch {
                return Err(replaced(&line.core));
            }
            tokio::select! {
                biased;
                // The sender lives in the watch's own core: this does not fail.
                _changed = epochs.changed() => {}
                step = line.step() => if let Some(events) = step? {
                    return Ok(events);
                }
            }
        }
    }
}

impl fmt::Debug for EtcdWatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let prefix = String::from_utf8_lossy(&self.line.span.0);
        f.debug_struct("EtcdWatch")
            .field("prefix", &prefix)
            .field("next", &self.line.next)
            .finish_non_exhaustive()
    }
}

/// Everything has to be read anew, as after a compaction: nothing of the old positions holds.
fn replaced(core: &Core) -> WatchError {
    WatchError::Compacted(core.memory.revision())
}

// === impl WatchState ===

impl WatchState {
    /// One step ahead; events if it brought some. Changes nothing before its last await.
    async fn step(&mut self) -> Result<Option<Vec<Event>>, WatchError> {
        match &mut self.stage {
            Stage::Waiting(until) => {
                sleep_until(*until).await;
                self.stage = Stage::Opening(Box::pin(open(
                    self.core.clone(),
                    self.span.clone(),
                    self.next,
                    self.epoch,
                )));
                Ok(None)
            }
            Stage::Opening(opening) => match opening.await {
                Ok(open) => {
                    if !self.backoff.is_fresh() {
                        tracing::info!(
                            endpoint = self.core.link.endpoint_of(&open.session),
                            "watching again"
                        );
                    }
                    self.stage = Stage::Open(Box::new(open));
                    Ok(None)
                }
                Err(Trouble::Ended(error)) => Err(error),
                Err(Trouble::Failed(error)) => {
                    self.try_later(&error);
                    Ok(None)
                }
            },
            Stage::Open(open) => match open.stream.message().await {
                Ok(Some(response)) => self.take(response),
                Ok(None) => Ok(self.broken(None)),
                Err(status) => Ok(self.broken(Some(status.into()))),
            },
        }
    }

    fn take(&mut self, response: WatchResponse) -> Result<Option<Vec<Event>>, WatchError> {
        if let Some(error) = compacted(&response) {
            return Err(error);
        }
        if response.canceled {
            let error = CallError::Stream(response.cancel_reason);
            return Ok(self.broken(Some(error)));
        }
        self.backoff.reset();
        if response.events.is_empty()
            && self.partial.is_empty()
            && !response.created
            && !response.fragment
        {
            // A sign that nothing is left up to here: keeps a quiet watch from falling behind compactions.
            self.next = self
                .next
                .max(header_revision(response.header.as_ref()).get() + 1);
            return Ok(None);
        }
        let core = &self.core;
        let next = self.next;
        let events = response
            .events
            .into_iter()
            .filter_map(|event| core.prefix.event(event));
        self.partial
            .extend(events.filter(|event| event.revision().get() >= next));
        if response.fragment {
            return Ok(None);
        }
        let Some(last) = self.partial.last() else {
            return Ok(None);
        };
        self.next = last.revision().get() + 1;
        Ok(Some(std::mem::take(&mut self.partial)))
    }

    /// The stream ended; what came of an unfinished answer comes again.
    fn broken(&mut self, error: Option<CallError>) -> Option<Vec<Event>> {
        if let Stage::Open(open) = &self.stage {
            if open.since.elapsed() >= STEADY {
                self.backoff.reset();
            }
            let error = error.unwrap_or_else(CallError::ended);
            let refusal = EtcdRefusal::new(self.core.link.endpoint_of(&open.session), error);
            self.core.link.leave_after(&open.session);
            self.try_later(&refusal.into_kv("watch"));
        }
        None
    }

    fn try_later(&mut self, error: &KvError) {
        let first = self.backoff.is_fresh();
        let wait = self.backoff.next();
        if first {
            tracing::warn!(
                error = error as &dyn std::error::Error,
                "a watch is interrupted; it goes on by itself"
            );
        }
        self.partial.clear();
        self.stage = Stage::Waiting(Instant::now() + wait);
    }
}

/// Opens a stream, then makes sure that it leads to the store that the watch began on: in this order, since the store
/// could be replaced between the two.
async fn open(
    core: Arc<Core>,
    span: (Vec<u8>, Vec<u8>),
    next: u64,
    epoch: u64,
) -> Result<Open, Trouble> {
    let failed = |refusal: EtcdRefusal| Trouble::from(refusal.into_kv("watch"));
    let limit = core.link.options().request_timeout;
    let session = core.link.session_for_watch().await.map_err(failed)?;
    let late = |_| EtcdRefusal::deadline(core.link.endpoint_of(&session), limit);
    let begun = timeout(limit, begin(session.clone(), span, next))
        .await
        .map_err(late);
    let stream = match begun {
        Ok(Ok(Ok(stream))) => stream,
        Ok(Ok(Err(ended))) => return Err(Trouble::Ended(ended)),
        Ok(Err(error)) => {
            core.link.leave_after(&session);
            return Err(failed(EtcdRefusal::new(
                core.link.endpoint_of(&session),
                error,
            )));
        }
        Err(refusal) => {
            core.link.leave_after(&session);
            return Err(failed(refusal));
        }
    };
    let look = timeout(limit, core.look_through(&session)).await;
    let look = match look {
        Ok(look) => look.map_err(failed)?,
        Err(_) => {
            return Err(failed(EtcdRefusal::deadline(
                core.link.endpoint_of(&session),
                limit,
            )));
        }
    };
    if look.epoch != epoch || core.memory.is_lost(next) {
        return Err(Trouble::Ended(replaced(&core)));
    }
    Ok(Open {
        session,
        stream,
        since: Instant::now(),
    })
}

/// Asks for the watch and waits until etcd confirms it.
async fn begin(
    session: EtcdSession,
    (start, end): (Vec<u8>, Vec<u8>),
    next: u64,
) -> Result<Result<WatchStream, WatchError>, CallError> {
    let request = WatchCreateRequest {
        key: start,
        range_end: end,
        start_revision: signed(next),
        progress_notify: true,
        // Without it etcd sends up to a thousand revisions in one answer, however long.
        fragment: true,
    };
    let mut stream = session.etcd.watch(request).await?;
    let words = || CallError::Stream("the watch was not confirmed".to_owned());
    let response = stream.message().await?.ok_or_else(words)?;
    if let Some(error) = compacted(&response) {
        return Ok(Err(error));
    }
    if response.canceled {
        return Err(CallError::Stream(response.cancel_reason));
    }
    if !response.created {
        Err(words())
    } else {
        Ok(Ok(stream))
    }
}

fn compacted(response: &WatchResponse) -> Option<WatchError> {
    let at = u64::try_from(response.compact_revision)
        .ok()
        .filter(|at| *at > 0)?;
    Some(WatchError::Compacted(Revision::new(at)))
}

/// The oldest revision that etcd still has, told by a watch from `asked`, which is forgotten. etcd has no other way.
pub(super) async fn oldest(
    session: EtcdSession,
    key: Vec<u8>,
    asked: u64,
) -> Result<Revision, CallError> {
    let mut end = key.clone();
    end.push(0);
    let mut stream = match begin(session, (key, end), asked.max(1)).await? {
        Ok(stream) => stream,
        Err(WatchError::Compacted(at)) => return Ok(at),
        Err(_) => {
            return Err(CallError::Stream(
                "the oldest revision is not told".to_owned(),
            ));
        }
    };
    while let Some(response) = stream.message().await? {
        if let Some(WatchError::Compacted(at)) = compacted(&response) {
            return Ok(at);
        }
    }
    Err(CallError::ended())
}

// === impl Trouble ===

impl From<KvError> for Trouble {
    /// Only what this program does wrong does not get better with time.
    fn from(error: KvError) -> Self {
        match EtcdFault::of(&error) {
            Some(EtcdFault::Rejected { .. }) => {
                Self::Ended(WatchError::Unavailable(Box::new(error)))
            }
            _ => Self::Failed(error),
        }
    }
}
