//! Cancelling: the record says so at once; the node that runs the invocation is told by a key of its own.

use bytes::Bytes;
use serverledge_core::InvocationId;
use serverledge_core::kv::{Compare, Event, KvError, Op, RangeRequest, Revision, Txn};
use serverledge_wire::records::{ErrorRecord, InvocationState, Record};

use super::{ATTEMPTS_MAX, Invocation, InvocationStore, InvocationStoreError, check_open};
use crate::follow::ChangeWatch;
use crate::nodes::Owner;
use crate::{keys, paging};

/// An invocation that was cancelled just now.
#[derive(Debug, Clone)]
pub struct Cancelled {
    /// It, as it is now.
    pub invocation: Invocation,
    /// The owner of the work; to stop it, and to send its callback if it has one.
    pub owner: Option<Owner>,
}

impl InvocationStore {
    /// Cancels: when this is answered, that is the outcome. Another node that runs it is told; `by` is who writes this.
    /// `None` if there is no such invocation.
    ///
    /// # Errors
    /// `Ended` if it has an outcome already, `Superseded` if it changes too fast, and what the registry says.
    pub async fn cancel(
        &self,
        id: InvocationId,
        why: &ErrorRecord,
        by: &Owner,
        now_unix_ms: u64,
    ) -> Result<Option<Cancelled>, InvocationStoreError> {
        for _ in 0..ATTEMPTS_MAX {
            let Some((found, claim)) = self.with_claim(id).await? else {
                return Ok(None);
            };
            check_open(&found)?;
            let mut record = found.record.clone();
            record.state = InvocationState::Cancelled;
            record.finished_unix_ms = Some(now_unix_ms);
            record.error = Some(why.clone());
            record.note(record.state.name(), &by.node, now_unix_ms);
            let mut txn = Txn::new()
                .when(found.unchanged())
                .then(Op::put(keys::invocation(&id), record.to_value()));
            if !record.has_pending_work() {
                txn = txn.then(Op::delete(keys::claim(&id)));
            }
            if let Some(claim) = claim.as_ref().filter(|claim| claim.owner != *by) {
                let Owner { area, node, .. } = &claim.owner;
                txn = txn.then(Op::put(
                    keys::cancel(area, node, id),
                    now_unix_ms.to_string(),
                ));
            }
            let reply = self.kv.txn(txn).await?;
            if reply.succeeded {
                let invocation = found.changed(record, reply.revision);
                return Ok(Some(Cancelled {
                    invocation,
                    owner: claim.map(|claim| claim.owner),
                }));
            }
        }
        Err(InvocationStoreError::Superseded(id))
    }

    /// The invocations that a node has been told to stop, and the revision to watch from.
    ///
    /// # Errors
    /// The registry's errors.
    pub async fn cancels(&self, owner: &Owner) -> Result<(Vec<InvocationId>, Revision), KvError> {
        let request = RangeRequest::prefix(keys::cancels_of(&owner.area, &owner.node)).keys_only();
        let (entries, revision) = paging::read_all(&*self.kv, request).await?;
        Ok((
            entries
                .iter()
                .filter_map(|entry| keys::last_id(&entry.key))
                .collect(),
            revision.next(),
        ))
    }

    /// Watches what a node is told to stop.
    ///
    /// # Errors
    /// The registry's errors.
    pub async fn watch_cancels(
        &self,
        owner: &Owner,
        from: Revision,
    ) -> Result<ChangeWatch<InvocationId>, KvError> {
        let prefix = keys::cancels_of(&owner.area, &owner.node);
        let told = |event: &Event| match event {
            Event::Put(entry) => keys::last_id(&entry.key),
            Event::Delete { .. } => None,
        };
        Ok(ChangeWatch::new(
            vec![self.kv.watch(&prefix, Some(from)).await?],
            told,
        ))
    }

    /// The node has stopped it, or did not run it.
    ///
    /// # Errors
    /// The registry's errors.
    pub async fn forget_cancel(&self, owner: &Owner, id: InvocationId) -> Result<(), KvError> {
        let delete = Op::delete(keys::cancel(&owner.area, &owner.node, id));
        self.kv.txn(Txn::new().then(delete)).await.map(drop)
    }

    /// Deletes what was told to nodes that did not come back to hear it; says how many.
    pub(super) async fn sweep_cancels(
        &self,
        now_unix_ms: u64,
        age_max_ms: u64,
    ) -> Result<usize, InvocationStoreError> {
        let (entries, _) = paging::read_all(&*self.kv, RangeRequest::prefix(keys::CANCELS)).await?;
        let told = |value: &Bytes| {
            std::str::from_utf8(value)
                .ok()
                .and_then(|text| text.parse::<u64>().ok())
        };
        let mut swept = 0;
        for entry in entries {
            if told(&entry.value).is_some_and(|told| told.saturating_add(age_max_ms) > now_unix_ms)
            {
                continue;
            }
            let as_seen = Compare::mod_revision(entry.key.clone(), entry.mod_revision);
            swept += usize::from(
                self.kv
                    .txn(Txn::new().when(as_seen).then(Op::delete(entry.key)))
                    .await?
                    .succeeded,
            );
        }
        Ok(swept)
    }
}
