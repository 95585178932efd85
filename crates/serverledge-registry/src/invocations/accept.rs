//! Accepting an invocation: record, claim and idempotency key in one transaction.

use bytes::Bytes;
use serverledge_core::kv::{Compare, KeyValue, Op, OpReply, Txn};
use serverledge_core::{Digest, Function, InvocationId, PropagatedContext};
use serverledge_wire::records::{
    CallbackRecord, IdempotencyRecord, InvocationRecord, Record, StoredJson,
};

use super::claims::claim_put;
use super::{
    ATTEMPTS_MAX, Held, Invocation, InvocationStore, InvocationStoreError, name_blob, parse_json,
};
use crate::functions::{Unreadable, read};
use crate::keys;
use crate::nodes::Owner;

/// An invocation that is to be accepted.
#[derive(Debug, Clone)]
pub struct NewInvocation<'a> {
    /// Its id.
    pub id: InvocationId,
    /// The function to run; its version is pinned.
    pub function: &'a Function,
    /// The parameters: JSON.
    pub params: &'a Bytes,
    /// Serverledge's QoS class.
    pub qos_class: i64,
    /// Time from which its outcome is of no use any more, in Unix milliseconds.
    pub deadline_unix_ms: Option<u64>,
    /// The trace that it is part of, if its caller gave one.
    pub trace: Option<&'a PropagatedContext>,
    /// Other nodes may run it.
    pub may_offload: bool,
    /// The log is wanted with the result.
    pub return_output: bool,
    /// The URL that is told of its end.
    pub callback: Option<String>,
    /// The caller's key, if it sent one.
    pub key: Option<IdempotencyKey>,
}

/// The idempotency key that makes two requests one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IdempotencyKey {
    /// Digest of what the caller sent.
    pub key: Digest,
    /// Digest of the parameters and of what else affects the outcome.
    pub payload: Digest,
    /// Time from which the key is free again, in Unix milliseconds.
    pub expires_unix_ms: u64,
}

/// The result of a request to accept an invocation.
#[derive(Debug, Clone)]
pub enum Acceptance {
    /// It is stored, and the acceptor's work.
    Accepted(Box<Held>),
    /// The same request was accepted before, as this invocation.
    Repeated(InvocationId),
}

/// The state of an idempotency key in the registry.
enum KeyState {
    /// Nothing, or nothing any more; what must hold in the transaction that takes it.
    Free(Compare),
    Repeated(InvocationId),
}

impl InvocationStore {
    /// Accepts an invocation for its owner: when this is answered, it survives a crash. If the future is dropped, it may
    /// be accepted all the same.
    ///
    /// # Errors
    /// `NotJson`, `Exists`, `KeyReused`, and what the registry says.
    pub async fn accept(
        &self,
        new: &NewInvocation<'_>,
        owner: &Owner,
        now_unix_ms: u64,
    ) -> Result<Acceptance, InvocationStoreError> {
        let record = record(new, owner, now_unix_ms);
        self.store(
            new.id,
            record,
            new.params,
            new.key.as_ref(),
            Txn::new(),
            owner,
            now_unix_ms,
        )
        .await
    }

    /// Stores a queued record with its claim, in a transaction that does more besides.
    #[expect(clippy::too_many_arguments, reason = "all that one transaction writes")]
    pub(super) async fn store(
        &self,
        id: InvocationId,
        mut record: InvocationRecord,
        params: &Bytes,
        key: Option<&IdempotencyKey>,
        besides: Txn,
        owner: &Owner,
        now_unix_ms: u64,
    ) -> Result<Acceptance, InvocationStoreError> {
        let json = parse_json(id, "parameters", params)?;
        let place =
            key.map(|key| keys::idempotency(&record.space, &record.function, &key.key.to_string()));
        let mut free = place.clone().map(Compare::missing);
        let mut last = InvocationStoreError::Superseded(id);
        for _ in 0..ATTEMPTS_MAX {
            let (carried, blob) = self.upload(&json, now_unix_ms).await?;
            record.params = carried;
            let txn = besides
                .clone()
                .when(Compare::missing(keys::invocation(&id)))
                .then(Op::put(keys::invocation(&id), record.to_value()))
                .then(claim_put(id, owner, &record));
            let mut txn = name_blob(txn, blob.as_ref(), id, now_unix_ms)
                .otherwise(Op::get(keys::invocation(&id)));
            if let (Some(place), Some(key), Some(free)) = (&place, key, &free) {
                let value = idempotency_record(id, key, now_unix_ms).to_value();
                txn = txn
                    .when(free.clone())
                    .then(Op::put(place.clone(), value))
                    .otherwise(Op::get(place.clone()));
            }
            let reply = self.kv.txn(txn).await?;
            if reply.succeeded {
                let (revision, created) = (reply.revision, reply.revision);
                let held = Held::new(
                    Invocation {
                        id,
                        record,
                        revision,
                        created,
                    },
                    owner.clone(),
                    revision,
                );
                return Ok(Acceptance::Accepted(Box::new(held)));
            }
            let mut found = reply.replies.into_iter().map(OpReply::into_entry);
            if found.next().flatten().is_some() {
                return Err(InvocationStoreError::Exists(id));
            }
            // The key is taken, or was; or the sweeper took the blob between its upload and this.
            last = blob.map_or(last, |blob| blob.contended().into());
            if let (Some(place), Some(key)) = (&place, key) {
                match judge(place, found.next().flatten().as_ref(), key, now_unix_ms)? {
                    KeyState::Repeated(first) => return Ok(Acceptance::Repeated(first)),
                    KeyState::Free(compare) => free = Some(compare),
                }
            }
        }
        Err(last)
    }

    /// The invocation that a key stands for now, if it is one. So a repetition is answered although a new invocation
    /// would be refused.
    ///
    /// # Errors
    /// `KeyReused`, and what the registry says.
    pub async fn repeated(
        &self,
        function: &Function,
        key: &IdempotencyKey,
        now_unix_ms: u64,
    ) -> Result<Option<InvocationId>, InvocationStoreError> {
        let place = keys::idempotency(
            function.space.as_str(),
            function.name.as_str(),
            &key.key.to_string(),
        );
        let entry = self.kv.get(&place).await?;
        match judge(&place, entry.as_ref(), key, now_unix_ms)? {
            KeyState::Repeated(first) => Ok(Some(first)),
            KeyState::Free(_) => Ok(None),
        }
    }
}

fn record(new: &NewInvocation<'_>, owner: &Owner, now_unix_ms: u64) -> InvocationRecord {
    let params = StoredJson::Blob(String::new());
    let trace =
        |part: fn(&PropagatedContext) -> &String| new.trace.map(part).cloned().unwrap_or_default();
    let mut record = InvocationRecord {
        qos_class: new.qos_class,
        deadline_unix_ms: new.deadline_unix_ms,
        trace: trace(|known| &known.trace),
        trace_state: trace(|known| &known.trace_state),
        local_only: !new.may_offload,
        return_output: new.return_output,
        callback: new.callback.clone().map(CallbackRecord::new),
        idempotency: new.key.as_ref().map(|key| key.key.to_string()),
        kept_until_unix_ms: new.key.as_ref().map(|key| key.expires_unix_ms),
        ..InvocationRecord::accepted(new.function, params, now_unix_ms)
    };
    record.note("accepted", &owner.node, now_unix_ms);
    record
}

fn idempotency_record(
    id: InvocationId,
    key: &IdempotencyKey,
    now_unix_ms: u64,
) -> IdempotencyRecord {
    IdempotencyRecord {
        schema: IdempotencyRecord::SCHEMA,
        id: id.to_string(),
        payload: key.payload.to_string(),
        created_unix_ms: now_unix_ms,
        expires_unix_ms: key.expires_unix_ms,
    }
}

/// Leases are no clocks: when a key is free again stands in its value.
fn judge(
    place: &Bytes,
    entry: Option<&KeyValue>,
    key: &IdempotencyKey,
    now_unix_ms: u64,
) -> Result<KeyState, InvocationStoreError> {
    let Some(entry) = entry else {
        return Ok(KeyState::Free(Compare::missing(place.clone())));
    };
    let record: IdempotencyRecord = read(entry)?;
    if record.expires_unix_ms <= now_unix_ms {
        return Ok(KeyState::Free(Compare::mod_revision(
            place.clone(),
            entry.mod_revision,
        )));
    }
    let first = InvocationId::parse(&record.id).ok_or_else(|| Unreadable::new(place, None))?;
    if record.payload == key.payload.to_string() {
        Ok(KeyState::Repeated(first))
    } else {
        Err(InvocationStoreError::KeyReused(first))
    }
}
