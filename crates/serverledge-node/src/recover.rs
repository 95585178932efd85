//! Background work of a running node: follows the registry, prepares what is not prepared, sweeps what is not used.

use std::collections::{BTreeSet, HashSet};
use std::sync::Arc;
use std::time::Duration;

use serverledge_core::kv::{KvError, Revision};
use serverledge_core::{Digest, Function, Runtime, Version};
use serverledge_registry::{FunctionChange, FunctionWatch};

use tokio::time::Instant;

use crate::asynchronous::jittered;
use crate::cluster::Whom;
use crate::deploy::unix_ms;
use crate::executors::is_pooled;
use crate::functions::{Gone, label};
use crate::node::Node;

/// Pause before a watch that broke is begun again.
pub(crate) const WATCH_PAUSE: Duration = Duration::from_secs(1);
/// How often everything is read anew: what a watch lost is repaired then.
pub(crate) const RESYNC_EVERY: Duration = Duration::from_secs(300);
/// How often results, code and machine code that nobody needs are removed.
const SWEEP_EVERY: Duration = Duration::from_secs(300);
/// Shortest time between two looks for idle sandboxes.
const EXPIRY_PAUSE: Duration = Duration::from_millis(100);
/// Unreferenced blobs live at least so long: a deploy on another node may be about to name them.
const BLOB_GRACE: Duration = Duration::from_secs(3600);

impl Node {
    /// Reads all functions; returns the revision from which to watch.
    pub(crate) async fn load_functions(&self) -> Result<Revision, KvError> {
        let (gone, next) = self.functions.load(&self.store).await?;
        self.take_leave_of(gone).await;
        Ok(next)
    }

    /// Nothing of a deleted function is kept: no series, no log, no sandbox.
    pub(crate) async fn forget_deleted(&self, gone: &Function) {
        self.metrics.forget(&label(gone));
        self.logs.forget(gone);
        self.retire(gone, None).await;
    }

    /// Starts everything that runs beside requests.
    pub(crate) fn start_background(self: &Arc<Self>, from: Revision, apps_from: Revision) {
        let node = Arc::clone(self);
        self.background
            .spawn(async move { node.follow(from).await });
        let node = Arc::clone(self);
        self.background
            .spawn(async move { node.follow_applications(apps_from).await });
        let node = Arc::clone(self);
        self.background
            .spawn(async move { node.membership.keep_registered().await });
        let node = Arc::clone(self);
        self.background
            .spawn(async move { node.membership.follow().await });
        let node = Arc::clone(self);
        self.background
            .spawn(async move { node.cluster.watch(&node.membership, Whom::Some).await });
        let node = Arc::clone(self);
        self.background
            .spawn(async move { node.expire_idle_forever().await });
        let node = Arc::clone(self);
        self.background
            .spawn(async move { node.prepare_missing().await });
        let node = Arc::clone(self);
        self.background
            .spawn(async move { node.sweep_forever().await });
        self.background
            .spawn(Arc::clone(self).look_for_work_forever());
        self.background
            .spawn(Arc::clone(self).heed_cancels_forever());
    }

    async fn follow(self: &Arc<Self>, mut from: Revision) {
        loop {
            match self.store.watch(Some(from)).await {
                Ok(watch) => self.apply_changes(watch).await,
                Err(error) => tracing::warn!(%error, "failed to watch the registry"),
            }
            tokio::time::sleep(WATCH_PAUSE).await;
            match self.load_functions().await {
                Ok(next) => {
                    from = next;
                    self.prepare_what_others_deployed();
                }
                Err(error) => {
                    tracing::warn!(%error, "failed to read the registry; known functions are served on")
                }
            }
        }
    }

    /// Until the watch breaks, or a resync is due.
    async fn apply_changes(self: &Arc<Self>, mut watch: FunctionWatch) {
        let due = Instant::now() + RESYNC_EVERY;
        while let Ok(changes) = tokio::time::timeout_at(due, watch.next()).await {
            match changes {
                Ok(changes) => self.apply(changes).await,
                Err(error) => return tracing::warn!(%error, "the registry's watch ended"),
            }
        }
    }

    async fn apply(self: &Arc<Self>, changes: Vec<FunctionChange>) {
        let gone = self.functions.follow(&changes);
        self.take_leave_of(gone).await;
        for change in changes {
            if let FunctionChange::Deployed(deployed) = change {
                self.prepare_if_missing(&deployed.function);
            }
        }
    }

    /// What the snapshot lost needs nothing any more.
    async fn take_leave_of(&self, gone: Gone) {
        for deleted in gone.deleted {
            self.forget_deleted(&deleted).await;
        }
        for old in gone.replaced {
            let successor = self.functions.get(&old.space, old.name.as_str());
            self.retire(
                &old,
                successor.as_ref().map(|entry| &*entry.function.version),
            )
            .await;
        }
    }

    /// The container runtimes of the functions there are, for which it pays to have stem cells.
    pub(crate) fn container_runtimes(&self) -> Vec<Runtime> {
        let reachable = self
            .functions
            .all()
            .into_iter()
            .filter(|function| self.is_reachable(&function.space));
        let runtimes = reachable.map(|function| function.version.runtime);
        let used: BTreeSet<Runtime> = runtimes.filter(|runtime| is_pooled(*runtime)).collect();
        used.into_iter().collect()
    }

    /// A function that was deployed on another node is made ready here before it is called.
    fn prepare_if_missing(self: &Arc<Self>, function: &Arc<Function>) {
        if self.wants_preparing(function) {
            self.prepare_in_background(Arc::clone(function));
        }
    }

    fn prepare_what_others_deployed(self: &Arc<Self>) {
        self.functions
            .all()
            .iter()
            .for_each(|function| self.prepare_if_missing(function));
    }

    pub(crate) async fn prepare_missing(&self) {
        let missing: Vec<Arc<Function>> = self
            .functions
            .all()
            .into_iter()
            .filter(|function| self.wants_preparing(function))
            .collect();
        if !missing.is_empty() {
            tracing::info!(
                count = missing.len(),
                "preparing functions whose machine code is missing or of an older version"
            );
        }
        for function in missing {
            self.prepare_again(&function).await;
        }
    }

    fn wants_preparing(&self, function: &Function) -> bool {
        self.is_reachable(&function.space) && !self.is_prepared(&function.version)
    }

    /// Where there is no executor for it, nothing can be prepared.
    pub(crate) fn is_prepared(&self, version: &Version) -> bool {
        self.executors
            .of(version.runtime)
            .is_none_or(|executor| executor.is_prepared(version))
    }

    /// Lets idle sandboxes go when their time has come.
    async fn expire_idle_forever(&self) {
        loop {
            let latest = Instant::now() + self.janitor_interval;
            let next = self
                .admissions
                .next_idle_expiry()
                .map_or(latest, |expiry| expiry.min(latest));
            // Not at once again where many expire one after the other.
            tokio::time::sleep_until(next.max(Instant::now() + EXPIRY_PAUSE)).await;
            self.admissions.expire_idle();
        }
    }

    async fn sweep_forever(&self) {
        loop {
            if let Err(error) = self.sweep().await {
                tracing::warn!(error = %error, "failed to sweep");
            }
            // Nodes that share a registry do not all sweep it at once.
            let due = Instant::now() + jittered(SWEEP_EVERY);
            while tokio::time::timeout_at(due, self.sweep_soon.notified())
                .await
                .is_ok()
            {
                if let Err(error) = self.sweep_deleted_spaces(unix_ms()).await {
                    tracing::warn!(%error, "failed to sweep deleted spaces");
                }
            }
        }
    }

    async fn sweep(&self) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
        let now = unix_ms();
        self.sweep_deleted_spaces(now).await?;
        self.invocations
            .sweep_expired(now, self.asynchronous.retention())
            .await?;
        let survey = self.store.blobs().survey().await?;
        // Read from the registry, not from the snapshot: what was deployed a moment ago counts as well.
        let loaded = self.store.load_all().await?;
        if !loaded.unreadable.is_empty() {
            return Err("some records cannot be read, so nothing is known to be unused".into());
        }
        let mut used: HashSet<Digest> = loaded
            .functions
            .iter()
            .map(|one| one.function.version.code)
            .collect();
        // After the functions: what one of them was bound to a moment ago is kept now.
        used.extend(self.store.code_of_versions().await?);
        used.extend(self.invocations.blobs_in_use().await?);
        let mut prepared = 0;
        for executor in self.executors.all() {
            prepared += executor.sweep(&used, BLOB_GRACE).await;
        }
        let blobs = self
            .store
            .blobs()
            .sweep(&survey, &used, now, BLOB_GRACE)
            .await?;
        if prepared + blobs.blobs > 0 {
            tracing::debug!(prepared, blobs = blobs.blobs, bytes = blobs.bytes, "swept");
        }
        Ok(())
    }
}
