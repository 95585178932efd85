//! Asynchronous invocations, for the routes: submitting, polling, showing, cancelling, and waiting, as a call with an
//! idempotency key does.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use serverledge_api::{
    AsyncInvocations, ChangeError, ClientCall, KeptReply, OnceError, PollError, Polled,
    SubmitError, Submitted,
};
use serverledge_core::{InvocationError, InvocationId, SpaceId};
use serverledge_registry::{Cancelled, Invocation, InvocationStoreError};
use serverledge_wire::invocations::InvocationInfo;
use tokio::time::Instant;

use super::outcome::{self, as_a_plain_call, response};
use super::{AsyncWorker, retention, store_fault};
use crate::clock::jittered;
use crate::clock::unix_ms;

/// Pause after the registry failed.
const RETRY_PAUSE: Duration = Duration::from_millis(500);
/// `Retry-After` of an invocation that has not ended.
const RETRY_AFTER: Duration = Duration::from_secs(1);

#[async_trait]
impl AsyncInvocations for AsyncWorker {
    /// A quota counts it.
    async fn submit(self: Arc<Self>, call: ClientCall) -> Result<Submitted, SubmitError> {
        self.invoker.check_open()?;
        self.invoker.spend(&call.caller)?;
        self.finder
            .hear_of(call.caller.space.clone(), call.call.function.clone())
            .await;
        self.enqueue(call).await
    }

    /// A quota counts it.
    async fn invoke_once(self: Arc<Self>, call: ClientCall) -> Result<KeptReply, OnceError> {
        self.invoker.check_open()?;
        let _permit = self.invoker.permit(&call.caller)?;
        self.finder
            .hear_of(call.caller.space.clone(), call.call.function.clone())
            .await;
        let deadline = match call.call.deadline {
            Some(deadline) => Instant::from_std(deadline),
            None => Instant::now() + self.patience(&call)?,
        };
        let submitted = self.enqueue(call).await?;
        let ended = tokio::time::timeout_at(deadline, self.outcome(submitted.id)).await;
        let Ok(Some(invocation)) = ended else {
            return Err(OnceError::NotFinished {
                id: submitted.id,
                retry_after: RETRY_AFTER,
            });
        };
        let result = self
            .invocations
            .result(&invocation)
            .await
            .map_err(store_fault)?;
        as_a_plain_call(&invocation, result.as_deref())
    }

    async fn poll(&self, space: &SpaceId, id: InvocationId) -> Result<Polled, PollError> {
        let Some(invocation) = self.find(space, id).await.map_err(unread)? else {
            return Ok(Polled::Unknown);
        };
        if !invocation.record.state.is_terminal() {
            return Ok(Polled::Unfinished);
        }
        let result = self.invocations.result(&invocation).await.map_err(unread)?;
        Ok(Polled::Done(response(&invocation, result.as_deref())))
    }

    async fn invocation(
        &self,
        space: &SpaceId,
        id: InvocationId,
    ) -> Result<Option<InvocationInfo>, PollError> {
        match self.find(space, id).await.map_err(unread)? {
            Some(found) => self.info(&found).await.map(Some).map_err(unread),
            None => Ok(None),
        }
    }

    /// The node that runs it is told to stop; a later outcome is discarded.
    async fn cancel(
        self: Arc<Self>,
        space: &SpaceId,
        id: InvocationId,
    ) -> Result<InvocationInfo, ChangeError> {
        if self.find(space, id).await.map_err(store_fault)?.is_none() {
            return Err(ChangeError::Unknown);
        }
        let why = outcome::error("cancelled", "it was cancelled".to_owned());
        let owner = self.membership.owner();
        let Cancelled {
            invocation,
            owner: claimed_by,
        } = match self.invocations.cancel(id, &why, owner, unix_ms()).await {
            Ok(Some(cancelled)) => cancelled,
            Ok(None) => return Err(ChangeError::Unknown),
            Err(InvocationStoreError::Ended { state, .. }) => {
                return Err(ChangeError::Ended {
                    state: state.name(),
                });
            }
            Err(error) => return Err(store_fault(error).into()),
        };
        self.metrics.invocations.finished(&invocation.record);
        if claimed_by.as_ref() == Some(owner) {
            self.stop_work(id).await;
        }
        Ok(outcome::info(&invocation, None))
    }
}

impl AsyncWorker {
    /// Time that a caller without a deadline waits: as long as a plain call could take.
    fn patience(&self, call: &ClientCall) -> Result<Duration, InvocationError> {
        let entry = self
            .functions
            .resolve(&call.caller.space, call.call.function.as_str())?;
        Ok(entry.function.version.limits.timeout + self.wait_max)
    }

    /// Waits for an outcome, on whichever node the invocation runs. `None` if there will be none to read: the record is
    /// gone, or this node stops.
    async fn outcome(&self, id: InvocationId) -> Option<Arc<Invocation>> {
        loop {
            let here = self.table.listen(id);
            let seen = match self.invocations.get(id).await {
                Ok(Some(found)) if found.record.state.is_terminal() => {
                    return Some(Arc::new(found));
                }
                Ok(Some(found)) => found,
                Ok(None) => return None,
                Err(_) => {
                    tokio::time::sleep(jittered(RETRY_PAUSE)).await;
                    continue;
                }
            };
            if self.admissions.is_draining() && here.is_none() {
                return None;
            }
            match here {
                Some(mut here) => {
                    if let Ok(ended) = here.wait_for(Option::is_some).await {
                        return ended.clone();
                    }
                }
                None => self.wait_elsewhere(&seen).await,
            }
        }
    }

    /// Waits until another node has stored the outcome, or until it is time to look again.
    async fn wait_elsewhere(&self, seen: &Invocation) {
        let watched = async {
            match self.invocations.watch(seen).await {
                Ok(mut watch) => watch.ended().await.is_ok(),
                Err(_) => false,
            }
        };
        if !watched.await {
            tokio::time::sleep(jittered(RETRY_PAUSE)).await;
        }
    }

    /// Whether the lifetime of an outcome is over; the sweep that removes it comes later.
    fn is_forgotten(&self, invocation: &Invocation) -> bool {
        retention(&self.config)
            .ends_unix_ms(invocation)
            .is_some_and(|end| end <= unix_ms())
    }

    /// Finds an invocation of a space. Those of other spaces are as unknown as those that never were.
    pub(super) async fn find(
        &self,
        space: &SpaceId,
        id: InvocationId,
    ) -> Result<Option<Invocation>, InvocationStoreError> {
        let found = self.invocations.get(id).await?;
        Ok(found.filter(|one| one.belongs_to(space) && !self.is_forgotten(one)))
    }

    pub(super) async fn info(
        &self,
        invocation: &Invocation,
    ) -> Result<InvocationInfo, InvocationStoreError> {
        let result = self.invocations.result(invocation).await?;
        Ok(outcome::info(invocation, result.as_deref()))
    }
}

pub(super) fn unread(error: InvocationStoreError) -> PollError {
    PollError(Box::new(error))
}
