//! Background work of a running node: follows the registry, prepares what is not prepared, sweeps what is not used.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use serverledge_core::kv::{KvError, Revision};
use serverledge_core::{Digest, Function};
use serverledge_registry::{Deployed, FunctionChange, FunctionWatch};

use crate::deploy::unix_ms;
use crate::node::Node;

/// Pause before a watch that broke is begun again.
const WATCH_PAUSE: Duration = Duration::from_secs(1);
/// How often everything is read anew: what a watch lost is repaired then.
const RESYNC_EVERY: Duration = Duration::from_secs(300);
/// How often results, code and machine code that nobody needs are removed.
const SWEEP_EVERY: Duration = Duration::from_secs(300);
/// Unreferenced blobs live at least so long: a deploy on another node may be about to name them.
const BLOB_GRACE: Duration = Duration::from_secs(3600);

impl Node {
    /// Reads all functions; returns the revision from which to watch.
    pub(crate) async fn load_functions(&self) -> Result<Revision, KvError> {
        let loaded = self.store.load_all().await?;
        for unreadable in &loaded.unreadable {
            tracing::error!(key = unreadable.key, "a function's record cannot be read; it is left alone");
        }
        let records = loaded
            .functions
            .into_iter()
            .filter(|one| one.function.space == self.space)
            .map(|one| owned(&one))
            .collect();
        self.functions.resync(records, loaded.revision);
        Ok(loaded.revision.next())
    }

    /// Starts everything that runs beside requests.
    pub(crate) fn start_background(self: &Arc<Self>, from: Revision) {
        let node = Arc::clone(self);
        self.background.spawn(async move { node.follow(from).await });
        let node = Arc::clone(self);
        self.background.spawn(async move {
            node.prepare_missing().await;
            node.sweep_forever().await;
        });
    }

    async fn follow(&self, mut from: Revision) {
        loop {
            match self.store.watch(Some(from)).await {
                Ok(watch) => self.apply_changes(watch).await,
                Err(error) => tracing::warn!(%error, "failed to watch the registry"),
            }
            tokio::time::sleep(WATCH_PAUSE).await;
            match self.load_functions().await {
                Ok(next) => from = next,
                Err(error) => tracing::warn!(%error, "failed to read the registry; known functions are served on"),
            }
        }
    }

    /// Until the watch breaks, or a resync is due.
    async fn apply_changes(&self, mut watch: FunctionWatch) {
        let due = tokio::time::Instant::now() + RESYNC_EVERY;
        while let Ok(changes) = tokio::time::timeout_at(due, watch.next()).await {
            match changes {
                Ok(changes) => self.apply(changes).await,
                Err(error) => return tracing::warn!(%error, "the registry's watch ended"),
            }
        }
    }

    async fn apply(&self, changes: Vec<FunctionChange>) {
        for change in changes {
            match change {
                FunctionChange::Deployed(deployed) if deployed.function.space == self.space => {
                    let successor = Arc::clone(&deployed.function);
                    for old in self.functions.put([owned(&deployed)]) {
                        self.retire(&old, Some(&successor.version)).await;
                    }
                }
                FunctionChange::Deleted { space, name, revision } if space == self.space => {
                    if let Some(gone) = self.functions.remove(&name, revision) {
                        self.metrics.forget(name.as_str());
                        self.retire(&gone, None).await;
                    }
                }
                FunctionChange::Deployed(_) | FunctionChange::Deleted { .. } => {}
                FunctionChange::Unreadable(unreadable) => tracing::warn!(key = unreadable.key, "an unreadable record"),
            }
        }
    }

    async fn prepare_missing(&self) {
        let missing: Vec<Arc<Function>> =
            self.functions.all().into_iter().filter(|function| !self.executor.is_prepared(&function.version)).collect();
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

    async fn sweep_forever(&self) {
        loop {
            if let Err(error) = self.sweep().await {
                tracing::warn!(error = %error, "failed to sweep");
            }
            tokio::time::sleep(SWEEP_EVERY).await;
        }
    }

    async fn sweep(&self) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
        let now = unix_ms();
        self.invocations.sweep_expired(now, self.asynchronous.config.result_ttl).await?;
        let survey = self.store.blobs().survey().await?;
        // Read from the registry, not from the snapshot: other spaces' functions count as well.
        let loaded = self.store.load_all().await?;
        if !loaded.unreadable.is_empty() {
            return Err("some records cannot be read, so nothing is known to be unused".into());
        }
        let mut used: HashSet<Digest> = loaded.functions.iter().map(|one| one.function.version.code).collect();
        used.extend(self.invocations.blobs_in_use().await?);
        let machine_code = self.executor.sweep(&used, BLOB_GRACE).await;
        let blobs = self.store.blobs().sweep(&survey, &used, now, BLOB_GRACE).await?;
        if machine_code + blobs.blobs > 0 {
            tracing::debug!(machine_code, blobs = blobs.blobs, bytes = blobs.bytes, "swept");
        }
        Ok(())
    }
}

fn owned(deployed: &Deployed) -> (Function, Revision) {
    (Function::clone(&deployed.function), deployed.revision)
}
