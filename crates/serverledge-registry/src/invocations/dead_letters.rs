//! Dead letters: invocations that ended without a result through no fault of their function. Listed, driven anew, purged.

use serverledge_core::kv::{KeySpan, Op, RangeRequest, Txn};
use serverledge_core::{InvocationId, SpaceId};
use serverledge_wire::records::{CallbackRecord, InvocationRecord, Record};

use super::{Acceptance, Held, Invocation, InvocationStore, InvocationStoreError, KEYS_PAGE};
use crate::keys;
use crate::nodes::Owner;

/// One page of dead letters.
#[derive(Debug, Clone)]
pub struct DeadLetterPage {
    /// The oldest first, by when they were accepted.
    pub dead_letters: Vec<Invocation>,
    /// The position after which the next page begins; `None` on the last one.
    pub next: Option<InvocationId>,
}

/// The result of driving a dead letter anew.
#[derive(Debug, Clone)]
pub enum Redriven {
    /// A new invocation was made from it.
    Accepted(Box<Held>),
    /// That had happened before.
    Already(InvocationId),
}

impl InvocationStore {
    /// The space's dead letters that were not driven anew.
    ///
    /// # Errors
    /// The registry's errors.
    pub async fn dead_letters(
        &self,
        space: &SpaceId,
        after: Option<InvocationId>,
        limit: usize,
    ) -> Result<DeadLetterPage, InvocationStoreError> {
        let mut span = KeySpan::prefix(keys::dead_letters_of(space.as_str()));
        if let Some(after) = after {
            span = span.after(&keys::dead_letter(space.as_str(), after));
        }
        let page = self
            .kv
            .range(RangeRequest::new(span).keys_only().limit(limit))
            .await?;
        let ids: Vec<InvocationId> = page
            .entries
            .iter()
            .filter_map(|entry| keys::last_id(&entry.key))
            .collect();
        let mut dead_letters = Vec::with_capacity(ids.len());
        for id in &ids {
            dead_letters.extend(self.get(*id).await?);
        }
        let next = ids.last().copied().filter(|_| page.more);
        Ok(DeadLetterPage { dead_letters, next })
    }

    /// Makes a new invocation from a dead letter: same version, same parameters, new id. The dead letter keeps its
    /// outcome and names the new one, in the same transaction: driven twice, it gives one.
    ///
    /// # Errors
    /// `Superseded` if it changed since it was read, and what the registry says.
    pub async fn redrive(
        &self,
        old: &Invocation,
        id: InvocationId,
        owner: &Owner,
        now_unix_ms: u64,
    ) -> Result<Redriven, InvocationStoreError> {
        if let Some(made) = old
            .record
            .redriven_as
            .as_deref()
            .and_then(InvocationId::parse)
        {
            return Ok(Redriven::Already(made));
        }
        let params = self.params(old).await?;
        let mut marked = old.record.clone();
        marked.redriven_as = Some(id.to_string());
        marked.note("redriven", &owner.node, now_unix_ms);
        let besides = Txn::new()
            .when(old.unchanged())
            .then(Op::put(keys::invocation(&old.id), marked.to_value()))
            .then(Op::delete(keys::dead_letter(&old.record.space, old.id)));
        let record = anew(old, owner, now_unix_ms);
        match self
            .store(id, record, &params, None, besides, owner, now_unix_ms)
            .await
        {
            Ok(Acceptance::Accepted(held)) => Ok(Redriven::Accepted(held)),
            Ok(Acceptance::Repeated(made)) => Ok(Redriven::Already(made)),
            Err(InvocationStoreError::Superseded { .. }) => self.redriven_meanwhile(old.id).await,
            Err(error) => Err(error),
        }
    }

    /// Returns the invocation of the redrive that won a race against this one.
    async fn redriven_meanwhile(&self, id: InvocationId) -> Result<Redriven, InvocationStoreError> {
        let found = self.get(id).await?;
        let made =
            found.and_then(|found| InvocationId::parse(found.record.redriven_as.as_deref()?));
        made.map(Redriven::Already)
            .ok_or(InvocationStoreError::Superseded(id))
    }

    /// Deletes all dead letters of the space that were not driven anew, one after the other; says how many.
    ///
    /// # Errors
    /// The registry's errors; what was deleted before stays deleted.
    pub async fn purge_all(&self, space: &SpaceId) -> Result<u64, InvocationStoreError> {
        let mut purged = 0;
        let mut after = None;
        loop {
            let page = self.dead_letters(space, after, KEYS_PAGE).await?;
            for dead in &page.dead_letters {
                purged += u64::from(self.purge(dead).await?);
            }
            match page.next {
                Some(next) => after = Some(next),
                None => return Ok(purged),
            }
        }
    }
}

/// A queued record with what a dead letter was accepted with. Its deadline is over, and its idempotency key stands for the
/// dead letter: neither is carried over.
fn anew(old: &Invocation, owner: &Owner, now_unix_ms: u64) -> InvocationRecord {
    let was = old.record.clone();
    let mut record = InvocationRecord {
        qos_class: was.qos_class,
        local_only: was.local_only,
        return_output: was.return_output,
        redrive_of: Some(old.id.to_string()),
        callback: was
            .callback
            .map(|callback| CallbackRecord::new(callback.url)),
        ..InvocationRecord::queued(was.space, was.function, was.pinned, was.params, now_unix_ms)
    };
    record.note("accepted", &owner.node, now_unix_ms);
    record
}
