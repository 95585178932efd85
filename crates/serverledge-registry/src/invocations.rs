//! Asynchronous invocations: accepted, begun, finished, and swept when their results are old.
//!
//! Every change compares the revision that its author saw, so that of two authors one loses and is told. Terminal states
//! never change.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use serde_json::value::RawValue;
use serverledge_core::kv::{Compare, KeyValue, Kv, KvError, Op, OpReply, RangeRequest, Revision, Txn};
use serverledge_core::limits::OUTPUT_BYTES_MAX;
use serverledge_core::{Digest, Function, FunctionName, InvocationId, SpaceId};
use serverledge_wire::records::{
    self, Carried, ErrorRecord, InvocationRecord, InvocationState, Record, RecordError, ReportRecord,
};

use crate::blobs::{BlobError, BlobStore, Uploaded};
use crate::functions::Unreadable;
use crate::keys;

/// Longest JSON that is kept in the record itself. With parameters, result, a log tail in which every byte is escaped
/// and the pinned function's environment, the record stays below a value's limit.
pub const INLINE_BYTES_MAX: usize = 128 * 1024;
/// Records read at once.
const PAGE: usize = 32;
/// How often a write is tried if the sweeper takes its blob away meanwhile.
const ATTEMPTS_MAX: usize = 3;

/// Why an invocation was not accepted, changed or read.
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
        /// Which invocation.
        id: InvocationId,
        /// `parameters` or `results`.
        what: &'static str,
        /// The cause.
        #[source]
        source: serde_json::Error,
    },
    /// The result is longer than [`OUTPUT_BYTES_MAX`]; finish as failed instead.
    #[error("the result of invocation {id} has {bytes} bytes, {OUTPUT_BYTES_MAX} are allowed")]
    ResultTooLarge {
        /// Which invocation.
        id: InvocationId,
        /// Its length.
        bytes: usize,
    },
    /// The id is taken.
    #[error("invocation {id} exists")]
    Exists {
        /// Which invocation.
        id: InvocationId,
    },
    /// Somebody else has changed the invocation since it was read: discard what was to be written.
    #[error("invocation {id} was changed by somebody else")]
    Superseded {
        /// Which invocation.
        id: InvocationId,
    },
    /// The invocation has ended; its outcome never changes.
    #[error("invocation {id} is already {}", state.name())]
    Ended {
        /// Which invocation.
        id: InvocationId,
        /// How.
        state: InvocationState,
    },
    /// Something that the record names is not there any more.
    #[error("blob {digest} of invocation {id} is missing")]
    BlobMissing {
        /// Which invocation.
        id: InvocationId,
        /// What is missing.
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
}

/// How an invocation ends.
#[derive(Debug, Clone)]
pub struct Finish {
    /// With or without a result.
    pub outcome: FinalOutcome,
    /// The end of the function's log, if it was asked for.
    pub log: Option<String>,
    /// How the run went, if it ran to its end.
    pub report: Option<ReportRecord>,
}

/// The terminal states with what each must say.
#[derive(Debug, Clone)]
pub enum FinalOutcome {
    /// The result: JSON.
    Done(Bytes),
    /// The function's failure, or why it could not run.
    Failed(ErrorRecord),
    /// The owner ended it.
    Cancelled(ErrorRecord),
    /// Its greatest age passed.
    Expired(ErrorRecord),
}

/// Invocations in the registry. Cloning is cheap.
#[derive(Debug, Clone)]
pub struct InvocationStore {
    kv: Arc<dyn Kv>,
    blobs: BlobStore,
}

// === impl Invocation ===

impl Invocation {
    /// The function as it was when the invocation was accepted.
    ///
    /// # Errors
    /// `Unreadable` if the record names what this program does not know.
    pub fn function(&self) -> Result<Function, Unreadable> {
        let unreadable = |source| Unreadable { key: format!("{}{}", keys::INVOCATIONS, self.id), source };
        let space = keys::parse_space(&self.record.space).ok_or_else(|| unreadable(None))?;
        let name = FunctionName::parse(&self.record.function).map_err(|_| unreadable(None))?;
        self.record.pinned.clone().into_function(space, name).map_err(|source| unreadable(Some(source)))
    }

    /// Does this space own it? Who asks for another's invocation is told that there is none.
    #[must_use]
    pub fn belongs_to(&self, space: &SpaceId) -> bool {
        self.record.space == space.as_str()
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

    /// Accepts an invocation: when this is answered, it survives a crash. The function's version is pinned.
    ///
    /// # Errors
    /// `NotJson`, `Exists`, and what the registry says.
    pub async fn accept(
        &self,
        id: InvocationId,
        function: &Function,
        params: &Bytes,
        now_unix_ms: u64,
    ) -> Result<Invocation, InvocationStoreError> {
        let json = parse_json(id, "parameters", params)?;
        let free = Compare::missing(keys::invocation(id));
        let write = |carried| InvocationRecord::accepted(function, carried, now_unix_ms);
        self.write(id, free, &json, write, now_unix_ms).await?.ok_or(InvocationStoreError::Exists { id })
    }

    /// Marks an attempt as begun.
    ///
    /// # Errors
    /// `Ended`, `Superseded`, and what the registry says.
    pub async fn begin(&self, seen: &Invocation, now_unix_ms: u64) -> Result<Invocation, InvocationStoreError> {
        check_open(seen)?;
        let mut record = seen.record.clone();
        record.state = InvocationState::Running;
        record.attempt += 1;
        record.started_unix_ms = Some(now_unix_ms);
        self.change(seen, record).await
    }

    /// Ends an invocation. When this is answered, the outcome is durable and final.
    ///
    /// # Errors
    /// `Ended` or `Superseded`: the outcome is somebody else's. `NotJson` or `ResultTooLarge`: nothing was written.
    pub async fn finish(
        &self,
        seen: &Invocation,
        finish: Finish,
        now_unix_ms: u64,
    ) -> Result<Invocation, InvocationStoreError> {
        check_open(seen)?;
        let mut record = seen.record.clone();
        record.finished_unix_ms = Some(now_unix_ms);
        (record.log, record.report) = (finish.log, finish.report);
        let (state, error) = match finish.outcome {
            FinalOutcome::Done(result) => return self.done(seen, record, &result, now_unix_ms).await,
            FinalOutcome::Failed(error) => (InvocationState::Failed, error),
            FinalOutcome::Cancelled(error) => (InvocationState::Cancelled, error),
            FinalOutcome::Expired(error) => (InvocationState::Expired, error),
        };
        (record.state, record.error) = (state, Some(error));
        self.change(seen, record).await
    }

    async fn done(
        &self,
        seen: &Invocation,
        record: InvocationRecord,
        result: &Bytes,
        now_unix_ms: u64,
    ) -> Result<Invocation, InvocationStoreError> {
        let id = seen.id;
        if result.len() > OUTPUT_BYTES_MAX {
            return Err(InvocationStoreError::ResultTooLarge { id, bytes: result.len() });
        }
        let json = parse_json(id, "results", result)?;
        let write =
            |carried| InvocationRecord { state: InvocationState::Done, result: Some(carried), ..record.clone() };
        let changed = self.write(id, unchanged(seen), &json, write, now_unix_ms).await?;
        changed.ok_or(InvocationStoreError::Superseded { id })
    }

    /// One invocation, `None` if there is none (any more).
    ///
    /// # Errors
    /// What the registry says.
    pub async fn get(&self, id: InvocationId) -> Result<Option<Invocation>, InvocationStoreError> {
        let entry = self.kv.get(&keys::invocation(id)).await?;
        Ok(entry.map(|entry| decode(&entry)).transpose()?)
    }

    /// The parameters, as JSON.
    ///
    /// # Errors
    /// What the registry says.
    pub async fn params(&self, invocation: &Invocation) -> Result<Bytes, InvocationStoreError> {
        self.carried(invocation.id, &invocation.record.params).await
    }

    /// The result, as JSON; `None` unless it is done.
    ///
    /// # Errors
    /// What the registry says.
    pub async fn result(&self, invocation: &Invocation) -> Result<Option<Bytes>, InvocationStoreError> {
        match &invocation.record.result {
            Some(result) => self.carried(invocation.id, result).await.map(Some),
            None => Ok(None),
        }
    }

    /// All invocations without an outcome, the oldest first: what a node goes on with after a start. Unreadable
    /// records are logged and left alone.
    ///
    /// # Errors
    /// What the registry says.
    pub async fn unfinished(&self) -> Result<Vec<Invocation>, InvocationStoreError> {
        let mut open = Vec::new();
        self.visit(|invocation| {
            if !invocation.record.state.is_terminal() {
                open.push(invocation);
            }
        })
        .await?;
        Ok(open)
    }

    /// All blobs that invocations name: parameters, results, and the code of those that have still to run.
    ///
    /// # Errors
    /// What the registry says; then nothing may be swept.
    pub async fn blobs_in_use(&self) -> Result<HashSet<Digest>, InvocationStoreError> {
        let mut used = HashSet::new();
        self.visit(|Invocation { record, .. }| {
            let code = (!record.state.is_terminal()).then(|| record.pinned.code.clone());
            let carried = [Some(&record.params), record.result.as_ref()];
            let blobs = carried.into_iter().flatten().filter_map(|json| match json {
                Carried::Inline(_) => None,
                Carried::Blob(digest) => Some(digest.clone()),
            });
            used.extend(blobs.chain(code).filter_map(|digest| digest.parse::<Digest>().ok()));
        })
        .await?;
        Ok(used)
    }

    /// Deletes invocations that ended at least `ttl` ago; says how many. Their blobs are swept later.
    ///
    /// # Errors
    /// What the registry says; what was deleted before stays deleted.
    pub async fn sweep_expired(&self, now_unix_ms: u64, ttl: Duration) -> Result<usize, InvocationStoreError> {
        let ttl_ms = u64::try_from(ttl.as_millis()).unwrap_or(u64::MAX);
        let mut old = Vec::new();
        self.visit(|invocation| {
            if invocation.record.finished_unix_ms.is_some_and(|end| end.saturating_add(ttl_ms) <= now_unix_ms) {
                old.push(invocation);
            }
        })
        .await?;
        for invocation in &old {
            // Terminal records do not change: no compare is needed.
            self.kv.txn(Txn::new().then(Op::delete(keys::invocation(invocation.id)))).await?;
        }
        Ok(old.len())
    }

    /// Reads all records page by page, so that their memory is bounded.
    async fn visit(&self, mut visit: impl FnMut(Invocation) + Send) -> Result<(), InvocationStoreError> {
        let mut request = RangeRequest::prefix(keys::INVOCATIONS).limit(PAGE);
        loop {
            let page = self.kv.range(request.clone()).await?;
            for entry in &page.entries {
                match decode(entry) {
                    Ok(invocation) => visit(invocation),
                    Err(error) => tracing::warn!(error = &error as &dyn std::error::Error, "an invocation is skipped"),
                }
            }
            match page.entries.last() {
                Some(last) if page.more => request.span = request.span.after(&last.key),
                _ => return Ok(()),
            }
        }
    }

    async fn carried(&self, id: InvocationId, json: &Carried) -> Result<Bytes, InvocationStoreError> {
        let digest = match json {
            Carried::Inline(json) => return Ok(Bytes::copy_from_slice(json.get().as_bytes())),
            Carried::Blob(digest) => digest,
        };
        let digest = records::digest("blob", digest).map_err(|source| unreadable(&keys::invocation(id), source))?;
        self.blobs.get(&digest).await?.ok_or(InvocationStoreError::BlobMissing { id, digest })
    }

    /// Writes a record that nobody else has changed.
    async fn change(&self, seen: &Invocation, record: InvocationRecord) -> Result<Invocation, InvocationStoreError> {
        let put = Op::put(keys::invocation(seen.id), record.to_value());
        let reply = self.kv.txn(Txn::new().when(unchanged(seen)).then(put)).await?;
        if !reply.succeeded {
            return Err(InvocationStoreError::Superseded { id: seen.id });
        }
        Ok(Invocation { id: seen.id, record, revision: reply.revision })
    }

    /// Writes a record with JSON in it or beside it, if the condition holds; else `None`.
    async fn write(
        &self,
        id: InvocationId,
        condition: Compare,
        json: &Arc<RawValue>,
        record: impl Fn(Carried) -> InvocationRecord + Send + Sync,
        now_unix_ms: u64,
    ) -> Result<Option<Invocation>, InvocationStoreError> {
        let mut last = None;
        for _ in 0..ATTEMPTS_MAX {
            let uploaded = self.upload(json, now_unix_ms).await?;
            let carried = uploaded
                .as_ref()
                .map_or_else(|| Carried::Inline(json.clone()), |blob| Carried::Blob(blob.digest().to_string()));
            let record = record(carried);
            let txn = Txn::new().when(condition.clone()).then(Op::put(keys::invocation(id), record.to_value()));
            let txn = uploaded.iter().fold(txn, |txn, blob| blob.name_in(txn, now_unix_ms));
            let reply = self.kv.txn(txn.otherwise(Op::get(keys::invocation(id)))).await?;
            if reply.succeeded {
                return Ok(Some(Invocation { id, record, revision: reply.revision }));
            }
            let found = reply.replies.into_iter().next().and_then(OpReply::into_entry);
            let Some(blob) = uploaded.filter(|_| condition.condition.holds(found.as_ref())) else { return Ok(None) };
            last = Some(blob.contended());
        }
        Err(last.map_or(InvocationStoreError::Superseded { id }, InvocationStoreError::Blob))
    }

    async fn upload(&self, json: &RawValue, now_unix_ms: u64) -> Result<Option<Uploaded>, BlobError> {
        if json.get().len() <= INLINE_BYTES_MAX {
            return Ok(None);
        }
        let blob = Bytes::copy_from_slice(json.get().as_bytes());
        self.blobs.upload(&blob, now_unix_ms).await.map(Some)
    }
}

fn check_open(seen: &Invocation) -> Result<(), InvocationStoreError> {
    let state = seen.record.state;
    if state.is_terminal() { Err(InvocationStoreError::Ended { id: seen.id, state }) } else { Ok(()) }
}

fn unchanged(seen: &Invocation) -> Compare {
    Compare::mod_revision(keys::invocation(seen.id), seen.revision)
}

fn parse_json(id: InvocationId, what: &'static str, json: &[u8]) -> Result<Arc<RawValue>, InvocationStoreError> {
    let json: Box<RawValue> =
        serde_json::from_slice(json).map_err(|source| InvocationStoreError::NotJson { id, what, source })?;
    Ok(json.into())
}

fn unreadable(key: &[u8], source: RecordError) -> Unreadable {
    Unreadable { key: String::from_utf8_lossy(key).into_owned(), source: Some(source) }
}

fn decode(entry: &KeyValue) -> Result<Invocation, Unreadable> {
    let key = || String::from_utf8_lossy(&entry.key).into_owned();
    let id = keys::parse_invocation(&entry.key).ok_or_else(|| Unreadable { key: key(), source: None })?;
    let record = InvocationRecord::from_value(&entry.value).map_err(|source| unreadable(&entry.key, source))?;
    Ok(Invocation { id, record, revision: entry.mod_revision })
}
