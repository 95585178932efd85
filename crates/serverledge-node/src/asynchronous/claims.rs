//! Work that nobody does: what a node left behind that is gone, and what this node has claimed without knowing (its
//! acceptance was stored, but the answer got lost).

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use serverledge_core::InvocationId;
use serverledge_core::kv::{KvError, Revision};
use serverledge_registry::{Claim, Gone, Held, InvocationStoreError, Owner};

use super::table::Place;
use super::{jittered, store_fault};
use crate::deploy::unix_ms;
use crate::node::Node;

/// Longest time between two looks for open work; with jitter it is a quarter shorter on average.
const LOOK_EVERY: Duration = Duration::from_secs(20);
/// Longest wait after a node's departure: not all others shall grasp for its work at once.
const GRASP_PAUSE: Duration = Duration::from_millis(500);
/// Pause after the registry failed.
const RETRY_PAUSE: Duration = Duration::from_secs(1);

/// What is known of the owners of claims, during one look.
type Owners = HashMap<Owner, Option<Gone>>;

impl Node {
    /// Goes on with what an earlier life of this node, the only one of its registry, had accepted and not ended. Before
    /// the first request: what this life accepts is then never mistaken for it.
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
                tokio::time::sleep(jittered(GRASP_PAUSE)).await;
            };
            tokio::select! {
                () = departed => {}
                () = tokio::time::sleep(jittered(LOOK_EVERY)) => {}
            }
        }
    }

    /// One look; says how many are being taken over.
    pub(super) async fn look_for_work(self: &Arc<Self>) -> Result<usize, InvocationStoreError> {
        let mut claims = self.invocations.claims().await?;
        if claims.is_empty() {
            return Ok(0);
        }
        // Nodes that look at the same time begin at different places.
        let start = random() % claims.len();
        claims.rotate_left(start);
        let mut owners = Owners::new();
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
            let Some(place) = self
                .asynchronous
                .table
                .enter(claim.id, self.asynchronous.config.queued_max)
            else {
                continue;
            };
            taken += 1;
            let node = Arc::clone(self);
            self.background
                .spawn(async move { node.grasp(claim, gone, place).await });
        }
        Ok(taken)
    }

    async fn gone(&self, known: &mut Owners, owner: &Owner) -> Result<Option<Gone>, KvError> {
        if let Some(gone) = known.get(owner) {
            return Ok(gone.clone());
        }
        let gone = self.membership.store().gone(owner).await?;
        known.insert(owner.clone(), gone.clone());
        Ok(gone)
    }

    /// Makes the work this node's, and does it. Whoever is slower leaves it.
    async fn grasp(self: Arc<Self>, claim: Claim, gone: Option<Gone>, place: Place) {
        let owner = self.membership.owner();
        let held = {
            let Ok(_permit) = self.asynchronous.grasps.acquire().await else {
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

    /// Goes on with an invocation whose work was stopped, if there is anything left to do: its callback.
    pub(super) async fn resume(self: &Arc<Self>, id: InvocationId) {
        let Some(place) = self.asynchronous.table.enter(id, usize::MAX) else {
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

    /// Begins, or goes on, as a task of its own. A stop ends the work, but not the callback that is then due.
    pub(super) fn work_on(self: &Arc<Self>, held: Held, place: Place) {
        let node = Arc::clone(self);
        self.background.spawn(async move {
            let (id, stop) = (place.id(), place.stop());
            let stopped = tokio::select! {
                () = stop.cancelled() => true,
                () = node.work(held, place) => false,
            };
            if stopped {
                node.resume(id).await;
            }
        });
    }

    /// Stops what other nodes were asked to cancel. Runs for ever.
    pub(crate) async fn heed_cancels_forever(self: Arc<Self>) {
        loop {
            if let Err(error) = self.heed_cancels().await {
                tracing::warn!(%error, "failed to hear what is to be cancelled");
            }
            tokio::time::sleep(jittered(RETRY_PAUSE)).await;
        }
    }

    /// Until the watch ends.
    async fn heed_cancels(self: &Arc<Self>) -> Result<(), KvError> {
        let owner = self.membership.owner();
        let (told, from): (_, Revision) = self.invocations.cancels(owner).await?;
        self.heed(told).await?;
        let mut watch = self.invocations.watch_cancels(owner, from).await?;
        while let Ok(told) = watch.next().await {
            self.heed(told).await?;
        }
        Ok(())
    }

    async fn heed(self: &Arc<Self>, told: Vec<InvocationId>) -> Result<(), KvError> {
        for id in told {
            self.stop_work(id).await;
            self.invocations
                .forget_cancel(self.membership.owner(), id)
                .await?;
        }
        Ok(())
    }

    /// Stops what this node does for an invocation, and sees to what is left.
    pub(super) async fn stop_work(self: &Arc<Self>, id: InvocationId) {
        if !self.asynchronous.table.stop(id) {
            self.resume(id).await;
        }
    }
}

fn random() -> usize {
    let mut bytes = [0; size_of::<usize>()];
    getrandom::fill(&mut bytes).map_or(0, |()| usize::from_ne_bytes(bytes))
}
