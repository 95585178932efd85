//! The one thread that writes: gathers queued commands, applies them in one write transaction of the file, commits it
//! durably, and only then answers (group commit). It also ends leases and forgets old history.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use serverledge_core::kv::{KvError, Lease, LeaseId, Revision, Txn, TxnReply};
use tokio::sync::{OwnedSemaphorePermit, oneshot};

use super::Options;
use super::batch::{Batch, BatchReply};
use super::shared::{SharedStore, is_full, unavailable};
use super::tables::Facts;

/// Most commands in one commit: beyond it the sync's share of each is negligible, and the first would wait longer.
const BATCH_COMMANDS_MAX: usize = 256;
/// Log rows swept with one commit: a few milliseconds, so that commands do not wait for history.
const SWEEP_ROWS: usize = 512;
/// After the file failed, time without background work: a full disk must not spin.
const BACKGROUND_PAUSE: Duration = Duration::from_secs(1);

/// The receiver of a command's reply. Dropping it does not stop the command.
pub(super) type ReplyTo<T> = oneshot::Sender<Result<T, KvError>>;

/// A command to the writer.
pub(super) enum WriterCommand {
    Txn(Txn, ReplyTo<TxnReply>),
    Compact(Revision, ReplyTo<()>),
    Grant(Duration, ReplyTo<Lease>),
    KeepAlive(LeaseId, ReplyTo<Duration>),
    Revoke(LeaseId, ReplyTo<()>),
    /// Ends the thread after everything queued before.
    Close,
}

/// A command with its place in the queue, which is given back with the answer.
pub(super) struct Queued {
    pub(super) command: WriterCommand,
    pub(super) place: Option<OwnedSemaphorePermit>,
}

/// The writer's state.
pub(super) struct Writer {
    shared: Arc<SharedStore>,
    queue: Receiver<Queued>,
    /// Taken from the queue, not yet applied.
    backlog: VecDeque<Queued>,
    open: bool,
    facts: Facts,
    options: Options,
    /// The time at which each lease ends.
    deadlines: BTreeMap<LeaseId, Instant>,
    /// There is history to sweep.
    sweeping: bool,
    /// No background work before then.
    paused_until: Option<Instant>,
}

/// An answer that waits for the commit; the argument is the commit's fault.
type Pending = Box<dyn FnOnce(Option<KvError>) + Send>;

/// The changes that a commit will make visible.
#[derive(Default)]
struct CommitEffects {
    pending: Vec<Pending>,
    /// New deadlines of leases; `None`: the lease ended.
    deadlines: Vec<(LeaseId, Option<Instant>)>,
    sweeping: bool,
}

/// The reason why a commit failed.
enum Fault {
    Full,
    Failed(Arc<redb::Error>),
}

// === impl Writer ===

impl Writer {
    /// Takes over an open store; each lease gets its full time.
    pub(super) fn new(
        shared: Arc<SharedStore>,
        queue: Receiver<Queued>,
        facts: Facts,
        leases: &[(LeaseId, Duration)],
        options: Options,
    ) -> Self {
        let now = now();
        Self {
            shared,
            queue,
            backlog: VecDeque::new(),
            open: true,
            facts,
            options,
            deadlines: leases
                .iter()
                .map(|(lease, ttl)| (*lease, now + *ttl))
                .collect(),
            sweeping: true,
            paused_until: None,
        }
    }

    /// Runs until the store is closed, then closes the file.
    pub(super) fn run(mut self) {
        while self.open || !self.backlog.is_empty() {
            if self.open && self.backlog.is_empty() {
                self.wait();
            }
            self.gather();
            self.turn();
        }
        self.shared.close();
    }

    /// Waits for a command or for background work.
    fn wait(&mut self) {
        let next = match self.background_at() {
            Some(at) => self.queue.recv_timeout(at.saturating_duration_since(now())),
            None => self
                .queue
                .recv()
                .map_err(|_| RecvTimeoutError::Disconnected),
        };
        match next {
            Ok(queued) => self.backlog.push_back(queued),
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => self.open = false,
        }
    }

    /// Takes what is queued, up to a batch.
    fn gather(&mut self) {
        while self.backlog.len() < BATCH_COMMANDS_MAX {
            let Ok(queued) = self.queue.try_recv() else {
                break;
            };
            self.backlog.push_back(queued);
        }
        if let Some(close) = self
            .backlog
            .iter()
            .position(|queued| matches!(queued.command, WriterCommand::Close))
        {
            self.backlog.truncate(close);
            self.open = false;
        }
    }

    /// The time of the next work that needs no command.
    fn background_at(&self) -> Option<Instant> {
        let due = if self.sweeping {
            Some(now())
        } else {
            self.deadlines.values().min().copied()
        };
        due.map(|due| self.paused_until.map_or(due, |pause| due.max(pause)))
    }

    fn turn(&mut self) {
        let mut turn = CommitEffects::default();
        let committed = self.commit(&mut turn);
        let fault = match committed {
            Ok(facts) => {
                self.publish(facts, &turn);
                None
            }
            Err(error) => {
                if turn.pending.is_empty() {
                    // Nothing was tried: each failure costs at least one command its answer, so that no command can
                    // keep the thread busy for ever.
                    self.backlog.pop_front();
                }
                Some(self.recover(error))
            }
        };
        for answer in turn.pending {
            answer(fault.as_ref().map(Fault::to_error));
        }
    }

    /// Applies the backlog and commits; returns the store's numbers. On an error, what was not applied stays queued.
    fn commit(&mut self, turn: &mut CommitEffects) -> Result<Facts, redb::Error> {
        if self.shared.is_closed() {
            // Reopening failed after a fault; perhaps the disk is well again.
            self.facts = self.shared.reopen()?;
        }
        let room_bytes = self.shared.room_bytes(self.facts.bytes);
        let background = self.paused_until.is_none_or(|pause| pause <= now());
        self.shared.write(|txn| {
            let mut batch = Batch::open(txn, self.facts, room_bytes)?;
            if background {
                turn.end_leases(&mut batch, &self.deadlines)?;
            }
            while let Some(queued) = self.backlog.pop_front() {
                turn.apply(&mut batch, queued)?;
            }
            if background {
                turn.forget(&mut batch, &self.options)?;
            }
            batch.finish()
        })
    }

    /// Makes a commit visible.
    fn publish(&mut self, facts: Facts, turn: &CommitEffects) {
        self.facts = facts;
        if self.paused_until.is_none_or(|pause| pause <= now()) {
            self.sweeping = turn.sweeping;
            self.paused_until = None;
        }
        for (lease, deadline) in &turn.deadlines {
            match deadline {
                Some(deadline) => self.deadlines.insert(*lease, *deadline),
                None => self.deadlines.remove(lease),
            };
        }
        self.shared.revision.send_if_modified(|revision| {
            std::mem::replace(revision, facts.revision) != facts.revision
        });
    }

    /// After a failed write: reopens the file, so that reads go on and later writes are tried.
    fn recover(&mut self, error: redb::Error) -> Fault {
        self.paused_until = Some(now() + BACKGROUND_PAUSE);
        // Makes a turn after the pause, which reopens the file if that fails here.
        self.sweeping = true;
        let expected = self.facts;
        match self.shared.reopen() {
            Ok(facts) => self.facts = facts,
            Err(error) => tracing::error!(
                error = &error as &dyn std::error::Error,
                "cannot reopen the registry"
            ),
        }
        let full = is_full(&error);
        tracing::error!(
            error = &error as &dyn std::error::Error,
            full,
            "cannot write to the registry"
        );
        // If the numbers moved, the commit reached the disk before the failure, and nobody knows what else did.
        if full && self.facts == expected {
            Fault::Full
        } else {
            Fault::Failed(Arc::new(error))
        }
    }
}

// === impl CommitEffects ===

impl CommitEffects {
    fn end_leases(
        &mut self,
        batch: &mut Batch<'_>,
        deadlines: &BTreeMap<LeaseId, Instant>,
    ) -> Result<(), redb::Error> {
        let now = now();
        for (lease, _) in deadlines.iter().filter(|(_, deadline)| **deadline <= now) {
            // The answer that the lease is unknown means that a commit before a failure has ended it.
            let _ended = batch.revoke(*lease)?;
            self.deadlines.push((*lease, None));
        }
        Ok(())
    }

    /// Forgets old history if there is too much, and removes a piece of what is forgotten.
    fn forget(&mut self, batch: &mut Batch<'_>, options: &Options) -> Result<(), redb::Error> {
        if !batch.sweepable()? {
            // Else its bytes are still counted, and cutting more would forget too much.
            cut(batch, options);
        }
        if batch.sweepable()? {
            batch.sweep(SWEEP_ROWS)?;
            self.sweeping = batch.sweepable()?;
        }
        Ok(())
    }

    fn apply(
        &mut self,
        batch: &mut Batch<'_>,
        Queued { command, place }: Queued,
    ) -> Result<(), redb::Error> {
        match command {
            WriterCommand::Txn(txn, to) => self.hold(to, place, batch.txn(&txn)),
            WriterCommand::Compact(at, to) => self.hold(to, place, Ok(batch.compact(at))),
            WriterCommand::Grant(ttl, to) => {
                let granted = batch.grant(ttl);
                if let Ok(Ok(lease)) = &granted {
                    self.deadlines.push((lease.id, Some(now() + lease.ttl)));
                }
                self.hold(to, place, granted)
            }
            WriterCommand::KeepAlive(lease, to) => {
                let ttl = batch.lease_ttl(lease);
                if let Ok(Ok(ttl)) = &ttl {
                    self.deadlines.push((lease, Some(now() + *ttl)));
                }
                self.hold(to, place, ttl)
            }
            WriterCommand::Revoke(lease, to) => {
                self.deadlines.push((lease, None));
                self.hold(to, place, batch.revoke(lease))
            }
            WriterCommand::Close => Ok(()),
        }
    }

    /// Keeps an answer for the commit; hands the file's error on.
    fn hold<T: Send + 'static>(
        &mut self,
        to: ReplyTo<T>,
        place: Option<OwnedSemaphorePermit>,
        answer: BatchReply<T>,
    ) -> Result<(), redb::Error> {
        let (result, error) = match answer {
            Ok(result) => (result, Ok(())),
            // Replaced by the fault of the commit, which this error becomes.
            Err(error) => (Err(KvError::RegistryFull), Err(error)),
        };
        self.pending.push(Box::new(move |fault| {
            drop(place);
            // The caller may have gone.
            let _sent = to.send(fault.map_or(result, Err));
        }));
        error
    }
}

/// Forgets what history exceeds the limits, with some slack so that this is rare.
fn cut(batch: &mut Batch<'_>, options: &Options) {
    let Facts {
        revision,
        compacted,
        bytes,
        bytes_stale,
        ..
    } = batch.facts;
    let Options {
        bytes_max,
        history_revisions,
        history_bytes_max,
        ..
    } = *options;
    let nearly_full = bytes > bytes_max / 8 * 7 && bytes_stale > bytes_max / 16;
    let kept = revision - compacted;
    let at = if nearly_full {
        revision
    } else if bytes_stale > history_bytes_max {
        compacted + kept.div_ceil(2)
    } else if kept > history_revisions + history_revisions / 8 {
        revision - history_revisions
    } else {
        return;
    };
    // Refused if it is forgotten already, which is as good.
    let _cut = batch.compact(Revision::new(at));
}

// === impl Fault ===

impl Fault {
    fn to_error(&self) -> KvError {
        match self {
            Self::Full => KvError::RegistryFull,
            Self::Failed(error) => unavailable("write", error.clone()),
        }
    }
}

/// The wall's pace: leases are not driven by a paused test clock, since this thread has no runtime.
fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}
