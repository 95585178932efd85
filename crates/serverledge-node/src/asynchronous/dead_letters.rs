//! Dead letters, for the routes.

use std::sync::Arc;

use async_trait::async_trait;
use serverledge_api::{ChangeError, DeadLetterQueue, PollError, Submitted};
use serverledge_core::{InvocationError, InvocationId, OverloadReason, SpaceId};
use serverledge_registry::{Invocation, InvocationStoreError, Redriven};
use serverledge_wire::invocations::{DeadLetters, InvocationInfo};

use super::outcome::dead_letter;
use super::read::unread;
use super::{AsyncWorker, store_fault};
use crate::clock::unix_ms;

#[async_trait]
impl DeadLetterQueue for AsyncWorker {
    async fn dead_letters(
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

    async fn dead_letter(
        &self,
        space: &SpaceId,
        id: InvocationId,
    ) -> Result<Option<InvocationInfo>, PollError> {
        match self.find_dead(space, id).await.map_err(unread)? {
            Some(dead) => self.info(&dead).await.map(Some).map_err(unread),
            None => Ok(None),
        }
    }

    async fn redrive(
        self: Arc<Self>,
        space: &SpaceId,
        id: InvocationId,
    ) -> Result<Submitted, ChangeError> {
        self.invoker.check_open()?;
        let found = self.find(space, id).await.map_err(store_fault)?;
        let dead = found
            .filter(|one| one.record.dead_letter)
            .ok_or(ChangeError::NotDead)?;
        let made = InvocationId::new();
        let place = self
            .table
            .enter(made, self.config.queued_max)
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

    async fn purge(&self, space: &SpaceId, id: InvocationId) -> Result<(), ChangeError> {
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

    async fn purge_all(&self, space: &SpaceId) -> Result<u64, PollError> {
        self.invocations.purge_all(space).await.map_err(unread)
    }
}

impl AsyncWorker {
    /// Finds a dead letter. One that was redriven is no dead letter any more.
    async fn find_dead(
        &self,
        space: &SpaceId,
        id: InvocationId,
    ) -> Result<Option<Invocation>, InvocationStoreError> {
        let found = self.find(space, id).await?;
        Ok(found.filter(|one| one.record.dead_letter && one.record.redriven_as.is_none()))
    }
}

fn full() -> InvocationError {
    let retry_after = std::time::Duration::from_secs(5);
    InvocationError::Overloaded {
        reason: OverloadReason::QueueFull,
        retry_after,
    }
}
