//! Asynchronous invocations: accepted, begun, finished, and swept when their results are old.
//!
//! Every change compares the revisions that its author saw, of the record and of the claim, so that of two authors one
//! loses and is told. Terminal states never change. A claim (`claims/<id>`) is there exactly as long as there is work
//! left: open work is found without reading records.

use std::collections::HashSet;
use std::sync::Arc;

use bytes::Bytes;
use serde_json::value::RawValue;
use serverledge_core::kv::{
    Compare, Event, KeyValue, Kv, KvError, Op, OpReply, RangeRequest, Revision, Txn, Watch,
    WatchError,
};
use serverledge_core::limits::OUTPUT_BYTES_MAX;
use serverledge_core::{Digest, Function, FunctionName, InvocationId, SpaceId};
use serverledge_wire::records::{
    self, CallbackRecord, CallbackState, ErrorRecord, InvocationRecord, InvocationState, Record,
    ReportRecord, StoredJson,
};

use crate::blobs::{BlobError, BlobStore, Uploaded};
use crate::functions::{Unreadable, read};
use crate::{keys, paging};

mod accept;
mod cancels;
mod claims;
mod dead_letters;
mod sweep;

pub use accept::{Acceptance, IdempotencyKey, NewInvocation};
pub use cancels::Cancelled;
pub use claims::{Claim, Held};
pub use dead_letters::{DeadLetterPage, Redriven};
pub use sweep::Retention;

/// Longest JSON that is kept in the record itself. With parameters, result, a log tail in which every byte is escaped
/// and the pinned function's environment, the record stays below a value's limit.
pub const INLINE_BYTES_MAX: usize = 128 * 1024;
/// Records read at once.
const PAGE: usize = 32;
/// Keys read at once, and records whose values are small.
const KEYS_PAGE: usize = 500;
/// Most attempts at a write if the sweeper takes its blob away meanwhile.
const ATTEMPTS_MAX: usize = 3;

/// The reason why an invocation was not accepted, changed or read.
#[derive(Debug, thiserror::Error)]
pub enum InvocationStoreError {
    /// The registry failed; if it is unavailable, a change may have been made all the same.
    #[error(transparent)]
    Kv(#[from] KvError),
    /// Parameters or result were not stored or read.
    #[error(transparent)]
    Blob(#[from] BlobError),
    /// There is a value, but it is no invocation.
    #[error(transparent)]
    Unreadable(#[from] Unreadable),
    /// Parameters or result are not JSON.
    #[error("the {what} of invocation {id} are not JSON")]
    NotJson {
        /// The invocation's id.
        id: InvocationId,
        /// `parameters` or `results`.
        what: &'static str,
        /// The cause.
        #[source]
        source: serde_json::Error,
    },
    /// The result is longer than [`OUTPUT_BYTES_MAX`]; finish as given up instead.
    #[error("the result of invocation {id} has {bytes} bytes, {OUTPUT_BYTES_MAX} are allowed")]
    ResultTooLarge {
        /// The invocation's id.
        id: InvocationId,
        /// Its length.
        bytes: usize,
    },
    /// The id is taken.
    #[error("invocation {0} exists")]
    Exists(InvocationId),
    /// The idempotency key stands for another payload.
    #[error("the idempotency key stands for another payload, that of invocation {0}")]
    KeyReused(InvocationId),
    /// Somebody else has changed the invocation, or claimed it, since it was read: discard what was to be written.
    #[error("invocation {0} was changed by somebody else")]
    Superseded(InvocationId),
    /// The invocation has ended; its outcome never changes.
    #[error("invocation {id} is already {}", state.name())]
    Ended {
        /// The invocation's id.
        id: InvocationId,
        /// The state in which it ended.
        state: InvocationState,
    },
    /// Something that the record names is not there any more.
    #[error("blob {digest} of invocation {id} is missing")]
    BlobMissing {
        /// The invocation's id.
        id: InvocationId,
        /// The digest of the missing blob.
        digest: Digest,
    },
}

/// An invocation as it was read or written last.
#[derive(Debug, Clone)]
pub struct Invocation {
    /// Its id.
    pub id: InvocationId,
    /// Its record.
    pub record: InvocationRecord,
    /// The record's revision: what a change compares.
    pub revision: Revision,
    /// The revision that created the record.
    created: Revision,
}

/// The end of an invocation.
#[derive(Debug, Clone)]
pub struct Finish {
    /// With or without a result.
    pub outcome: FinalOutcome,
    /// The end of the function's log, if it was asked for.
    pub log: Option<String>,
    /// The report of the run, if it ran to its end.
    pub report: Option<ReportRecord>,
}

/// The terminal states with what each must say.
#[derive(Debug, Clone)]
pub enum FinalOutcome {
    /// The result: JSON.
    Done(Bytes),
    /// The function's own failure.
    Failed(ErrorRecord),
    /// The reason why it could not run; the function is not to blame, and it becomes a dead letter.
    GivenUp(ErrorRecord),
    /// Its greatest age or its deadline passed; a dead letter as well.
    Expired(ErrorRecord),
}

/// Invocations in the registry. Cloning is cheap.
#[derive(Debug, Clone)]
pub struct InvocationStore {
    kv: Arc<dyn Kv>,
    blobs: BlobStore,
}

/// A running watch over one invocation. Dropping it ends it.
#[derive(Debug)]
pub struct InvocationWatch {
    watch: Box<dyn Watch>,
}

// === impl Invocation ===

impl Invocation {
    /// The function as it was when the invocation was accepted.
    ///
    /// # Errors
    /// `Unreadable` if the record names what this program does not know.
    pub fn function(&self) -> Result<Function, Unreadable> {
        let unreadable = |source| Unreadable::new(&keys::invocation(&self.id), source);
        let space = SpaceId::parse(&self.record.space).ok_or_else(|| unreadable(None))?;
        let name = FunctionName::parse(&self.record.function).map_err(|_| unreadable(None))?;
        self.record
            .pinned
            .clone()
            .into_function(space, name)
            .map_err(|source| unreadable(Some(source)))
    }

    /// Does this space own it? Who asks for another's invocation is told that there is none.
    #[must_use]
    pub fn belongs_to(&self, space: &SpaceId) -> bool {
        self.record.space == space.as_str()
    }

    fn unchanged(&self) -> Compare {
        Compare::mod_revision(keys::invocation(&self.id), self.revision)
    }

    /// The same with another record.
    fn changed(&self, record: InvocationRecord, revision: Revision) -> Self {
        Self {
            id: self.id,
            record,
            revision,
            created: self.created,
        }
    }
}

// === impl InvocationStore ===

impl InvocationStore {
    /// The invocations of this registry.
    #[must_use]
    pub fn new(kv: Arc<dyn Kv>) -> Self {
        let blobs = BlobStore::new(kv.clone());
        Self { kv, blobs }
    }

    /// Marks an attempt as begun.
    ///
    /// # Errors
    /// `Ended`, `Superseded`, and what the registry says.
    pub async fn begin(&self, held: &Held, now_unix_ms: u64) -> Result<Held, InvocationStoreError> {
        check_open(held)?;
        let mut record = held.record.clone();
        record.state = InvocationState::Running;
        record.attempt += 1;
        record.started_unix_ms = Some(now_unix_ms);
        record.node = Some(held.owner.node.clone());
        record.note("begun", &held.owner.node, now_unix_ms);
        self.change(held, record).await
    }

    /// Ends an invocation. When this is answered, the outcome is durable and final, and the claim is gone, unless a
    /// callback has still to be sent.
    ///
    /// # Errors
    /// `Ended` or `Superseded`: the outcome is somebody else's. `NotJson` or `ResultTooLarge`: nothing was written.
    pub async fn finish(
        &self,
        held: &Held,
        finish: Finish,
        now_unix_ms: u64,
    ) -> Result<Held, InvocationStoreError> {
        check_open(held)?;
        let mut record = held.record.clone();
        record.finished_unix_ms = Some(now_unix_ms);
        (record.log, record.report) = (finish.log, finish.report);
        let (state, error, dead) = match finish.outcome {
            FinalOutcome::Done(result) => {
                return self.done(held, record, &result, now_unix_ms).await;
            }
            FinalOutcome::Failed(error) => (InvocationState::Failed, error, false),
            FinalOutcome::GivenUp(error) => (InvocationState::Failed, error, true),
            FinalOutcome::Expired(error) => (InvocationState::Expired, error, true),
        };
        record.note(state.name(), &held.owner.node, now_unix_ms);
        (record.state, record.error, record.dead_letter) = (state, Some(error), dead);
        self.change(held, record).await
    }

    async fn done(
        &self,
        held: &Held,
        mut record: InvocationRecord,
        result: &Bytes,
        now_unix_ms: u64,
    ) -> Result<Held, InvocationStoreError> {
        let id = held.id;
        if result.len() > OUTPUT_BYTES_MAX {
            return Err(InvocationStoreError::ResultTooLarge {
                id,
                bytes: result.len(),
            });
        }
        let json = parse_json(id, "results", result)?;
        record.state = InvocationState::Done;
        record.note(record.state.name(), &held.owner.node, now_unix_ms);
        let mut last = InvocationStoreError::Superseded(id);
        for _ in 0..ATTEMPTS_MAX {
            let (carried, blob) = self.upload(&json, now_unix_ms).await?;
            let record = InvocationRecord {
                result: Some(carried),
                ..record.clone()
            };
            let txn = name_blob(change_txn(held, &record), blob.as_ref(), id, now_unix_ms);
            let reply = self
                .kv
                .txn(
                    txn.otherwise(Op::get(keys::invocation(&id)))
                        .otherwise(Op::get(keys::claim(&id))),
                )
                .await?;
            if reply.succeeded {
                return Ok(held.changed(record, reply.revision));
            }
            // Another writer, or the sweeper took the blob between its upload and this.
            let read: Vec<_> = reply.replies.into_iter().map(OpReply::into_entry).collect();
            let Some(blob) = blob.filter(|_| held.still_stands(&read)) else {
                break;
            };
            last = blob.contended().into();
        }
        Err(last)
    }

    /// Writes how far the callback has come. Once it is delivered or failed the claim is gone.
    ///
    /// # Errors
    /// `Superseded`, and what the registry says.
    pub async fn note_callback(
        &self,
        held: &Held,
        callback: CallbackRecord,
        now_unix_ms: u64,
    ) -> Result<Held, InvocationStoreError> {
        let mut record = held.record.clone();
        match callback.state {
            CallbackState::Pending => {}
            CallbackState::Delivered => {
                record.note("callback_delivered", &held.owner.node, now_unix_ms)
            }
            CallbackState::Failed => record.note("callback_failed", &held.owner.node, now_unix_ms),
        }
        record.callback = Some(callback);
        self.change(held, record).await
    }

    /// One invocation, `None` if there is none (any more).
    ///
    /// # Errors
    /// The registry's errors.
    pub async fn get(&self, id: InvocationId) -> Result<Option<Invocation>, InvocationStoreError> {
        let entry = self.kv.get(&keys::invocation(&id)).await?;
        Ok(entry.map(|entry| decode(&entry)).transpose()?)
    }

    /// Watches one invocation, from the change after `seen` on.
    ///
    /// # Errors
    /// The registry's errors.
    pub async fn watch(&self, seen: &Invocation) -> Result<InvocationWatch, KvError> {
        let watch = self
            .kv
            .watch(&keys::invocation(&seen.id), Some(seen.revision.next()))
            .await?;
        Ok(InvocationWatch { watch })
    }

    /// The parameters, as JSON.
    ///
    /// # Errors
    /// The registry's errors.
    pub async fn params(&self, invocation: &Invocation) -> Result<Bytes, InvocationStoreError> {
        self.carried(invocation.id, &invocation.record.params).await
    }

    /// The result, as JSON; `None` unless it is done.
    ///
    /// # Errors
    /// The registry's errors.
    pub async fn result(
        &self,
        invocation: &Invocation,
    ) -> Result<Option<Bytes>, InvocationStoreError> {
        match &invocation.record.result {
            Some(result) => self.carried(invocation.id, result).await.map(Some),
            None => Ok(None),
        }
    }

    /// All blobs that invocations need: parameters, results, and the code of those that have still to run or could be
    /// driven anew. Reads keys, and the small values of claims; no records.
    ///
    /// # Errors
    /// The registry's errors; then nothing may be swept.
    pub async fn blobs_in_use(&self) -> Result<HashSet<Digest>, InvocationStoreError> {
        let request = RangeRequest::prefix(keys::USES).keys_only();
        let (uses, _) = paging::read_all(&*self.kv, request).await?;
        let mut used: HashSet<Digest> = uses
            .iter()
            .filter_map(|entry| keys::parse_usage(&entry.key))
            .collect();
        used.extend(self.claims().await?.into_iter().map(|claim| claim.code));
        Ok(used)
    }

    async fn carried(
        &self,
        id: InvocationId,
        json: &StoredJson,
    ) -> Result<Bytes, InvocationStoreError> {
        let digest = match json {
            StoredJson::Inline(json) => return Ok(Bytes::copy_from_slice(json.get().as_bytes())),
            StoredJson::Blob(digest) => digest,
        };
        let unreadable = |source| Unreadable::new(&keys::invocation(&id), Some(source));
        let digest = records::digest("blob", digest).map_err(unreadable)?;
        self.blobs
            .get(&digest)
            .await?
            .ok_or(InvocationStoreError::BlobMissing { id, digest })
    }

    /// Writes a record that nobody else has changed, of an invocation that nobody else has claimed.
    async fn change(
        &self,
        held: &Held,
        record: InvocationRecord,
    ) -> Result<Held, InvocationStoreError> {
        let reply = self.kv.txn(change_txn(held, &record)).await?;
        if !reply.succeeded {
            return Err(InvocationStoreError::Superseded(held.id));
        }
        Ok(held.changed(record, reply.revision))
    }

    /// The JSON as a record holds it, and the blob that the record's transaction must name.
    async fn upload(
        &self,
        json: &Arc<RawValue>,
        now_unix_ms: u64,
    ) -> Result<(StoredJson, Option<Uploaded>), InvocationStoreError> {
        if json.get().len() <= INLINE_BYTES_MAX {
            return Ok((StoredJson::Inline(json.clone()), None));
        }
        let blob = Bytes::copy_from_slice(json.get().as_bytes());
        let uploaded = self.blobs.upload(&blob, now_unix_ms).await?;
        Ok((
            StoredJson::Blob(uploaded.digest().to_string()),
            Some(uploaded),
        ))
    }
}

// === impl InvocationWatch ===

impl InvocationWatch {
    /// Waits until the invocation is terminal or gone. Dropping the future loses nothing.
    ///
    /// # Errors
    /// After an error the watch is over: read the invocation anew.
    pub async fn ended(&mut self) -> Result<(), WatchError> {
        loop {
            let ends = |event: &Event| match event {
                Event::Put(entry) => decode(entry).is_ok_and(|one| one.record.state.is_terminal()),
                Event::Delete { .. } => true,
            };
            if self.watch.next().await?.iter().any(ends) {
                return Ok(());
            }
        }
    }
}

/// The transaction that writes a held invocation's record, and what follows from it: no claim without work, an index
/// entry for a dead letter, whose code stays in use.
fn change_txn(held: &Held, record: &InvocationRecord) -> Txn {
    let txn = Txn::new().when(held.unchanged()).when(held.claimed());
    let txn = txn.then(Op::put(keys::invocation(&held.id), record.to_value()));
    let txn = if record.has_pending_work() {
        txn
    } else {
        txn.then(Op::delete(keys::claim(&held.id)))
    };
    if record.dead_letter && !held.record.dead_letter {
        bury(txn, record, held.id)
    } else {
        txn
    }
}

fn bury(txn: Txn, record: &InvocationRecord, id: InvocationId) -> Txn {
    txn.then(Op::put(keys::dead_letter(&record.space, id), Bytes::new()))
        .then(Op::put(keys::usage(&record.pinned.code, id), Bytes::new()))
}

/// Adds that the transaction needs the blob, and that the invocation does.
fn name_blob(txn: Txn, blob: Option<&Uploaded>, id: InvocationId, now_unix_ms: u64) -> Txn {
    match blob {
        Some(blob) => {
            let usage = Op::put(keys::usage(&blob.digest().to_string(), id), Bytes::new());
            blob.name_in(txn, now_unix_ms).then(usage)
        }
        None => txn,
    }
}

fn check_open(seen: &Invocation) -> Result<(), InvocationStoreError> {
    let state = seen.record.state;
    if state.is_terminal() {
        Err(InvocationStoreError::Ended { id: seen.id, state })
    } else {
        Ok(())
    }
}

fn parse_json(
    id: InvocationId,
    what: &'static str,
    json: &[u8],
) -> Result<Arc<RawValue>, InvocationStoreError> {
    let json: Box<RawValue> = serde_json::from_slice(json)
        .map_err(|source| InvocationStoreError::NotJson { id, what, source })?;
    Ok(json.into())
}

fn decode(entry: &KeyValue) -> Result<Invocation, Unreadable> {
    let id = keys::parse_invocation(&entry.key).ok_or_else(|| Unreadable::new(&entry.key, None))?;
    Ok(Invocation {
        id,
        record: read(entry)?,
        revision: entry.mod_revision,
        created: entry.create_revision,
    })
}
