//! Claims: whose work an invocation is, and how it changes hands.

use std::ops::Deref;

use serverledge_core::kv::{Compare, KeyValue, Op, OpReply, RangeRequest, Revision, Txn};
use serverledge_core::{Digest, InvocationId};
use serverledge_wire::records::{self, ClaimRecord, InvocationRecord, OwnerRecord, Record};

use super::{Invocation, InvocationStore, InvocationStoreError, KEYS_PAGE, decode};
use crate::nodes::{Gone, Owner};
use crate::{keys, paging};

/// An invocation's claim as it was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claim {
    /// The invocation's id.
    pub id: InvocationId,
    /// The owner of the work.
    pub owner: Owner,
    /// The code that has to run.
    pub code: Digest,
    /// The claim's revision: what a take-over compares.
    revision: Revision,
}

/// An invocation with the claim under which its owner may change it.
#[derive(Debug, Clone)]
pub struct Held {
    invocation: Invocation,
    pub(super) owner: Owner,
    claim: Revision,
}

impl Deref for Held {
    type Target = Invocation;

    fn deref(&self) -> &Invocation {
        &self.invocation
    }
}

// === impl Held ===

impl Held {
    pub(super) const fn new(invocation: Invocation, owner: Owner, claim: Revision) -> Self {
        Self {
            invocation,
            owner,
            claim,
        }
    }

    pub(super) fn claimed(&self) -> Compare {
        Compare::mod_revision(keys::claim(&self.id), self.claim)
    }

    pub(super) fn changed(&self, record: InvocationRecord, revision: Revision) -> Self {
        let invocation = self.invocation.changed(record, revision);
        Self {
            invocation,
            owner: self.owner.clone(),
            claim: self.claim,
        }
    }

    /// Whether both compares hold of what was read: the record's entry, then the claim's.
    pub(super) fn still_stands(&self, read: &[Option<KeyValue>]) -> bool {
        let [record, claim] = read else { return false };
        self.unchanged().condition.holds(record.as_ref())
            && self.claimed().condition.holds(claim.as_ref())
    }
}

impl Owner {
    pub(super) fn record(&self) -> OwnerRecord {
        OwnerRecord {
            area: self.area.clone(),
            node: self.node.clone(),
            epoch: self.epoch.clone(),
        }
    }
}

// === impl InvocationStore ===

impl InvocationStore {
    /// All claims: the work that is open. Unreadable ones are logged and left alone.
    ///
    /// # Errors
    /// The registry's errors.
    pub async fn claims(&self) -> Result<Vec<Claim>, InvocationStoreError> {
        let request = RangeRequest::prefix(keys::CLAIMS).limit(KEYS_PAGE);
        let (entries, _) = paging::read_all(&*self.kv, request).await?;
        Ok(entries.iter().filter_map(decode_claim).collect())
    }

    /// An invocation with its claim, if it is this owner's.
    ///
    /// # Errors
    /// The registry's errors.
    pub async fn held(
        &self,
        id: InvocationId,
        owner: &Owner,
    ) -> Result<Option<Held>, InvocationStoreError> {
        Ok(self.with_claim(id).await?.and_then(|(invocation, claim)| {
            claim
                .filter(|claim| claim.owner == *owner)
                .map(|claim| Held::new(invocation, claim.owner, claim.revision))
        }))
    }

    /// Takes work over from an owner that is gone. `None` if somebody else was faster, or the owner is back.
    ///
    /// # Errors
    /// The registry's errors.
    pub async fn take_over(
        &self,
        claim: &Claim,
        gone: &Gone,
        owner: &Owner,
        now_unix_ms: u64,
    ) -> Result<Option<Held>, InvocationStoreError> {
        let id = claim.id;
        let as_seen = Compare::mod_revision(keys::claim(&id), claim.revision);
        let Some(entry) = self.kv.get(&keys::invocation(&id)).await? else {
            // A claim without its record says nothing.
            let missing = Compare::missing(keys::invocation(&id));
            self.kv
                .txn(
                    Txn::new()
                        .when(as_seen)
                        .when(missing)
                        .then(Op::delete(keys::claim(&id))),
                )
                .await?;
            return Ok(None);
        };
        let found = decode(&entry)?;
        let mut record = found.record.clone();
        record.note("taken_over", &owner.node, now_unix_ms);
        let txn = Txn::new()
            .when(as_seen)
            .when(gone.compare.clone())
            .when(found.unchanged())
            .then(claim_put(id, owner, &record))
            .then(Op::put(keys::invocation(&id), record.to_value()));
        let reply = self.kv.txn(txn).await?;
        let taken = reply
            .succeeded
            .then(|| found.changed(record, reply.revision));
        Ok(taken.map(|invocation| Held::new(invocation, owner.clone(), reply.revision)))
    }

    /// Record and claim as of one moment.
    pub(super) async fn with_claim(
        &self,
        id: InvocationId,
    ) -> Result<Option<(Invocation, Option<Claim>)>, InvocationStoreError> {
        let read = Txn::new()
            .then(Op::get(keys::invocation(&id)))
            .then(Op::get(keys::claim(&id)));
        let read = self.kv.txn(read).await?;
        let mut entries = read.replies.into_iter().map(OpReply::into_entry);
        let Some(record) = entries.next().flatten() else {
            return Ok(None);
        };
        let claim = entries.next().flatten();
        Ok(Some((
            decode(&record)?,
            claim.as_ref().and_then(decode_claim),
        )))
    }
}

/// The claim of an invocation with this record.
pub(super) fn claim_put(id: InvocationId, owner: &Owner, record: &InvocationRecord) -> Op {
    let claim = ClaimRecord {
        schema: ClaimRecord::SCHEMA,
        owner: owner.record(),
        code: record.pinned.code.clone(),
    };
    Op::put(keys::claim(&id), claim.to_value())
}

fn decode_claim(entry: &KeyValue) -> Option<Claim> {
    let claim = || {
        let id = keys::parse_claim(&entry.key)?;
        let record = ClaimRecord::from_value(&entry.value).ok()?;
        let OwnerRecord { area, node, epoch } = record.owner;
        let code = records::digest("code", &record.code).ok()?;
        Some(Claim {
            id,
            owner: Owner { area, node, epoch },
            code,
            revision: entry.mod_revision,
        })
    };
    let claim = claim();
    if claim.is_none() {
        let key = String::from_utf8_lossy(&entry.key);
        tracing::warn!(%key, "a claim cannot be read; it is left alone");
    }
    claim
}
