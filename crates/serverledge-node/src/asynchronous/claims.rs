//! Take-over of abandoned invocations: those of a node that is gone, and those that this node has claimed without
//! knowing (the acceptance was stored, but the response got lost).

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use serverledge_core::InvocationId;
use serverledge_core::kv::{KvError, Revision};
use serverledge_registry::{Claim, Gone, Held, InvocationStoreError, Owner};

use super::table::WorkPlace;
use super::{AsyncWorker, store_fault};
use crate::clock::jittered;
use crate::clock::unix_ms;

/// Longest time between two looks for open work; with jitter it is a quarter shorter on average.
const LOOK_EVERY: Duration = Duration::from_secs(20);
/// Longest wait after a node's departure, so that not all others try to take its work over at once.
const TAKE_OVER_PAUSE: Duration = Duration::from_millis(500);
/// Pause after the registry failed.
const RETRY_PAUSE: Duration = Duration::from_secs(1);

/// The owners of claims, with those that are gone, as known during one look.
type GoneOwners = HashMap<Owner, Option<Gone>>;

impl AsyncWorker {
    /// Goes on with invocations that an earlier process of this node, the only one of its registry, had accepted and
    /// not ended. Called before the first request, so that new invocations are never mistaken for old ones.
    pub(crate) async fn recover_async(self: &Arc<Self>) {
        match self.look_for_work().await {
            Ok(0) => {}
            Ok(count) => tracing::info!(count, "going on with unfinished asynchronous invocations"),
            Err(error) => tracing::error!(%error, "failed to look for unfinished invocations"),
        }
    }

    /// Looks for open work again and again, at once when a node has gone. Runs for ever.
    pub(crate) async fn look_for_work_forever(self: Arc<Self>) {
        loop {
            if self.membership.is_registered() && !self.admissions.is_draining() {
                match self.look_for_work().await {
                    Ok(0) => {}
                    Ok(count) => tracing::info!(count, "taking asynchronous invocations over"),
                    Err(error) => tracing::warn!(%error, "failed to look for open invocations"),
                }
            }
            let departed = async {
                self.membership.departed().notified().await;
                tokio::time::sleep(jittered(TAKE_OVER_PAUSE)).await;
            };
            tokio::select! {
                () = departed => {}
                () = tokio::time::sleep(jittered(LOOK_EVERY)) => {}
            }
        }
    }

    /// Looks once; returns the number of invocations that are being taken over.
    pub(super) async fn look_for_work(self: &Arc<Self>) -> Result<usize, InvocationStoreError> {
        let mut claims = self.invocations.claims().await?;
        if claims.is_empty() {
            return Ok(0);
        }
        // Nodes that look at the same time begin at different places.
        let start = random() % claims.len();
        claims.rotate_left(start);
        let mut owners = GoneOwners::new();
        let mut taken = 0;
        for claim in claims {
            let mine = claim.owner == *self.membership.owner();
            let gone = if mine {
                None
            } else {
                self.gone(&mut owners, &claim.owner).await?
            };
            if !mine && gone.is_none() {
                continue;
            }
            let Some(place) = self.table.enter(claim.id, self.config.queued_max) else {
                continue;
            };
            taken += 1;
            let worker = Arc::clone(self);
            self.background
                .spawn(async move { worker.take_over(claim, gone, place).await });
        }
        Ok(taken)
    }

    async fn gone(&self, known: &mut GoneOwners, owner: &Owner) -> Result<Option<Gone>, KvError> {
        if let Some(gone) = known.get(owner) {
            return Ok(gone.clone());
        }
        let gone = self.membership.store().gone(owner).await?;
        known.insert(owner.clone(), gone.clone());
        Ok(gone)
    }

    /// Takes an invocation over, and works on it. A slower node leaves it.
    async fn take_over(self: Arc<Self>, claim: Claim, gone: Option<Gone>, place: WorkPlace) {
        let owner = self.membership.owner();
        let held = {
            let Ok(_permit) = self.take_overs.acquire().await else {
                return;
            };
            match &gone {
                Some(gone) => {
                    self.invocations
                        .take_over(&claim, gone, owner, unix_ms())
                        .await
                }
                None => self.invocations.held(claim.id, owner).await,
            }
        };
        match held {
            Ok(Some(held)) => {
                if gone.is_some() {
                    self.metrics.invocations.taken_over();
                }
                self.work_on(held, place);
            }
            Ok(None) => {}
            Err(error) => {
                tracing::warn!(id = %claim.id, %error, "failed to take an invocation over; trying later")
            }
        }
    }

    /// Goes on with an invocation whose work was stopped, if its callback is still to be sent.
    pub(super) async fn resume(self: &Arc<Self>, id: InvocationId) {
        let Some(place) = self.table.enter(id, usize::MAX) else {
            return;
        };
        match self.invocations.held(id, self.membership.owner()).await {
            Ok(Some(held)) => self.work_on(held, place),
            Ok(None) => {}
            Err(error) => {
                tracing::warn!(%id, error = %store_fault(error), "failed to go on; trying later")
            }
        }
    }

    /// Begins the work, or goes on with it, in a task of its own. A stop ends the work, but not the callback that is
    /// then due.
    pub(super) fn work_on(self: &Arc<Self>, held: Held, place: WorkPlace) {
        let worker = Arc::clone(self);
        self.background.spawn(async move {
            let id = place.id();
            let stop = place.stop();
            let stopped = tokio::select! {
                () = stop.cancelled() => true,
                () = worker.work(held, place) => false,
            };
            if stopped {
                worker.resume(id).await;
            }
        });
    }

    /// Stops the invocations that other nodes were asked to cancel. Runs for ever.
    pub(crate) async fn watch_cancellations_forever(self: Arc<Self>) {
        loop {
            if let Err(error) = self.watch_cancellations().await {
                tracing::warn!(%error, "failed to hear what is to be cancelled");
            }
            tokio::time::sleep(jittered(RETRY_PAUSE)).await;
        }
    }

    /// Watches cancellations until the watch ends.
    async fn watch_cancellations(self: &Arc<Self>) -> Result<(), KvError> {
        let owner = self.membership.owner();
        let (told, from): (_, Revision) = self.invocations.cancels(owner).await?;
        self.apply_cancellations(told).await?;
        let mut watch = self.invocations.watch_cancels(owner, from).await?;
        while let Ok(told) = watch.next().await {
            self.apply_cancellations(told).await?;
        }
        Ok(())
    }

    async fn apply_cancellations(self: &Arc<Self>, told: Vec<InvocationId>) -> Result<(), KvError> {
        for id in told {
            self.stop_work(id).await;
            self.invocations
                .forget_cancel(self.membership.owner(), id)
                .await?;
        }
        Ok(())
    }

    /// Stops this node's work on an invocation, and completes what is left to do.
    pub(super) async fn stop_work(self: &Arc<Self>, id: InvocationId) {
        if !self.table.stop(id) {
            self.resume(id).await;
        }
    }
}

fn random() -> usize {
    let mut bytes = [0; size_of::<usize>()];
    getrandom::fill(&mut bytes).map_or(0, |()| usize::from_ne_bytes(bytes))
}
