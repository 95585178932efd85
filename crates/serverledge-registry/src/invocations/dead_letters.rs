//! Dead letters: invocations that ended without a result through no fault of their function. Listed, driven anew, purged.

use serverledge_core::kv::{KeySpan, Op, RangeRequest, Txn};
use serverledge_core::{InvocationId, SpaceId};
use serverledge_wire::records::{CallbackRecord, InvocationRecord, InvocationState, Record};

use super::{Acceptance, Held, Invocation, InvocationStore, InvocationStoreError, KEYS_PAGE};
use crate::keys;
use crate::nodes::Owner;

/// One page of dead letters.
#[derive(Debug, Clone)]
pub struct DeadLetterPage {
    /// The oldest first, by when they were accepted.
    pub dead_letters: Vec<Invocation>,
    /// What the next page comes after; `None` on the last one.
    pub next: Option<InvocationId>,
}

/// What became of a dead letter that was to be driven anew.
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
    /// What the registry says.
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
            .then(Op::put(keys::invocation(old.id), marked.to_value()))
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

    /// Who lost a race of two redrives answers with the winner's.
    async fn redriven_meanwhile(&self, id: InvocationId) -> Result<Redriven, InvocationStoreError> {
        let found = self.get(id).await?;
        let made =
            found.and_then(|found| InvocationId::parse(found.record.redriven_as.as_deref()?));
        made.map(Redriven::Already)
            .ok_or(InvocationStoreError::Superseded { id })
    }

    /// Deletes a dead letter as it was read; `false` if it has changed since, or was deleted.
    ///
    /// # Errors
    /// What the registry says.
    pub async fn purge(&self, dead: &Invocation) -> Result<bool, InvocationStoreError> {
        self.delete(dead).await
    }

    /// Deletes all dead letters of the space that were not driven anew, one after the other; says how many.
    ///
    /// # Errors
    /// What the registry says; what was deleted before stays deleted.
    pub async fn purge_all(&self, space: &SpaceId) -> Result<u64, InvocationStoreError> {
        let (mut purged, mut after) = (0, None);
        loop {
            let page = self.dead_letters(space, after, KEYS_PAGE).await?;
            for dead in &page.dead_letters {
                purged += u64::from(self.delete(dead).await?);
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
    let was = &old.record;
    let mut record = InvocationRecord {
        schema: InvocationRecord::SCHEMA,
        space: was.space.clone(),
        function: was.function.clone(),
        pinned: was.pinned.clone(),
        params: was.params.clone(),
        state: InvocationState::Queued,
        attempt: 0,
        accepted_unix_ms: now_unix_ms,
        started_unix_ms: None,
        finished_unix_ms: None,
        result: None,
        error: None,
        log: None,
        report: None,
        qos_class: was.qos_class,
        deadline_unix_ms: None,
        local_only: was.local_only,
        return_output: was.return_output,
        node: None,
        dead_letter: false,
        idempotency: None,
        kept_until_unix_ms: None,
        redrive_of: Some(old.id.to_string()),
        redriven_as: None,
        callback: was
            .callback
            .as_ref()
            .map(|callback| CallbackRecord::new(callback.url.clone())),
        history: Vec::new(),
    };
    record.note("accepted", &owner.node, now_unix_ms);
    record
}
