//! Dead letters as the routes see them.

use std::sync::Arc;

use serverledge_api::{ChangeError, PollError, Submitted};
use serverledge_core::{InvocationError, InvocationId, OverloadReason, SpaceId};
use serverledge_registry::{Invocation, InvocationStoreError, Redriven};
use serverledge_wire::invocations::{DeadLetters, InvocationInfo};

use super::keyed::unread;
use super::outcome::dead_letter;
use super::store_fault;
use crate::deploy::unix_ms;
use crate::node::Node;

impl Node {
    pub(crate) async fn list_dead_letters(
        &self,
        space: &SpaceId,
        after: Option<InvocationId>,
        limit: usize,
    ) -> Result<DeadLetters, PollError> {
        let page = self
            .invocations
            .dead_letters(space, after, limit)
            .await
            .map_err(unread)?;
        let dead_letters = page.dead_letters.iter().map(dead_letter).collect();
        Ok(DeadLetters {
            dead_letters,
            next: page.next.map(|id| id.to_string()),
        })
    }

    pub(crate) async fn show_dead_letter(
        &self,
        space: &SpaceId,
        id: InvocationId,
    ) -> Result<Option<InvocationInfo>, PollError> {
        match self.find_dead(space, id).await.map_err(unread)? {
            Some(dead) => self.info(&dead).await.map(Some).map_err(unread),
            None => Ok(None),
        }
    }

    /// One that was driven anew is no dead letter any more.
    async fn find_dead(
        &self,
        space: &SpaceId,
        id: InvocationId,
    ) -> Result<Option<Invocation>, InvocationStoreError> {
        let found = self.find(space, id).await?;
        Ok(found.filter(|one| one.record.dead_letter && one.record.redriven_as.is_none()))
    }

    /// Makes a new invocation from a dead letter, and works on it. Done twice, it gives the same.
    pub(crate) async fn redrive_dead_letter(
        self: &Arc<Self>,
        space: &SpaceId,
        id: InvocationId,
    ) -> Result<Submitted, ChangeError> {
        self.check_open()?;
        let found = self.find(space, id).await.map_err(store_fault)?;
        let dead = found
            .filter(|one| one.record.dead_letter)
            .ok_or(ChangeError::NotDead)?;
        let made = InvocationId::new();
        let place = self
            .asynchronous
            .table
            .enter(made, self.asynchronous.config.queued_max)
            .ok_or_else(full)?;
        match self
            .invocations
            .redrive(&dead, made, self.membership.owner(), unix_ms())
            .await
        {
            Ok(Redriven::Accepted(held)) => {
                self.metrics.invocations.accepted();
                self.work_on(*held, place);
                Ok(Submitted {
                    id: made,
                    repeated: false,
                })
            }
            Ok(Redriven::Already(id)) => Ok(Submitted { id, repeated: true }),
            Err(InvocationStoreError::Superseded { .. }) => Err(ChangeError::NotDead),
            Err(error) => Err(store_fault(error).into()),
        }
    }

    pub(crate) async fn purge_dead_letter(
        &self,
        space: &SpaceId,
        id: InvocationId,
    ) -> Result<(), ChangeError> {
        let dead = self
            .find_dead(space, id)
            .await
            .map_err(store_fault)?
            .ok_or(ChangeError::NotDead)?;
        let purged = self.invocations.purge(&dead).await.map_err(store_fault)?;
        if purged {
            Ok(())
        } else {
            Err(ChangeError::NotDead)
        }
    }

    pub(crate) async fn purge_dead_letters(&self, space: &SpaceId) -> Result<u64, PollError> {
        self.invocations.purge_all(space).await.map_err(unread)
    }
}

fn full() -> InvocationError {
    let retry_after = std::time::Duration::from_secs(5);
    InvocationError::Overloaded {
        reason: OverloadReason::QueueFull,
        retry_after,
    }
}
