//! The sweep: removes expired results, unneeded code and machine code, and the keys that a deletion leaves behind. It
//! runs soon after a deletion, and on any node's rounds, so that a crash in between loses nothing.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use serverledge_core::kv::KvError;
use serverledge_core::{Digest, error_chain, whole_millis};
use serverledge_registry::{AppStore, Deletion, FunctionStore, InvocationStore, Retention};
use tokio::sync::Notify;
use tokio::time::Instant;

use crate::asynchronous::retention;
use crate::clock::{jittered, unix_ms};
use crate::config::Config;
use crate::executors::Executors;
use crate::functions::Functions;
use crate::program::foundation::Foundation;

/// Time between two sweeps of unneeded results, code and machine code.
const SWEEP_EVERY: Duration = Duration::from_secs(300);
/// Shortest lifetime of unreferenced blobs: a deploy on another node may be about to name them.
const BLOB_GRACE: Duration = Duration::from_secs(3600);
/// Shortest lifetime of the mark of a deleted space; see [`mark_kept`].
const MARK_KEPT_MIN: Duration = Duration::from_secs(24 * 3600);

/// The sweeper of a node, and what it sweeps.
pub(crate) struct Sweeper {
    functions: Arc<Functions>,
    executors: Executors,
    store: FunctionStore,
    app_store: AppStore,
    invocations: InvocationStore,
    /// The lifetimes of stored outcomes.
    retention: Retention,
    /// The lifetime of the mark of a deleted space.
    mark_kept_ms: u64,
    /// Notified when a space was deleted, so that the sweeper need not wait for its time.
    soon: Arc<Notify>,
}

impl Sweeper {
    pub(crate) fn new(base: Foundation, config: &Config) -> Self {
        Self {
            functions: base.resources.functions,
            executors: base.resources.executors,
            store: base.store,
            app_store: base.app_store,
            invocations: base.invocations,
            retention: retention(&config.asynchronous),
            mark_kept_ms: whole_millis(mark_kept(config)),
            soon: base.sweep_soon,
        }
    }

    /// Sweeps again and again. Runs for ever.
    pub(crate) async fn sweep_forever(&self) {
        loop {
            if let Err(error) = self.sweep().await {
                tracing::warn!(error = %error, "failed to sweep");
            }
            // Nodes that share a registry do not all sweep it at once.
            let due = Instant::now() + jittered(SWEEP_EVERY);
            while tokio::time::timeout_at(due, self.soon.notified())
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
        self.invocations.sweep_expired(now, self.retention).await?;
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
        used.extend(self.functions.earlier_code());
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

    /// Sweeps deleted spaces, and removes the marks that have expired. One that cannot be swept now does not keep the
    /// others waiting.
    pub(crate) async fn sweep_deleted_spaces(&self, now_unix_ms: u64) -> Result<(), KvError> {
        for deletion in self.app_store.deletions().await? {
            if let Err(error) = self.sweep_deleted_space(&deletion, now_unix_ms).await {
                let error = error_chain(&*error);
                tracing::warn!(space = %deletion.space, error, "failed to sweep a deleted space");
            }
        }
        Ok(())
    }

    /// Removes what is left of a deleted space, or its mark, once that has expired.
    async fn sweep_deleted_space(
        &self,
        deletion: &Deletion,
        now_unix_ms: u64,
    ) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
        if !deletion.record.swept {
            self.invocations.purge_all(&deletion.space).await?;
            self.app_store.finish_deletion(deletion).await?;
        } else if now_unix_ms.saturating_sub(deletion.record.deleted_unix_ms) > self.mark_kept_ms {
            self.app_store.forget_deletion(&deletion.space).await?;
        }
        Ok(())
    }
}

/// The lifetime of the mark of a deleted space. No deploy takes longer, and no call: one that waits as an asynchronous
/// invocation or as a dead letter and then runs is over by then. So none that began before the deletion brings a
/// function or an entry of a store back.
fn mark_kept(config: &Config) -> Duration {
    let waits = config
        .asynchronous
        .age_max
        .max(config.asynchronous.dead_letter_ttl);
    MARK_KEPT_MIN
        .max(waits)
        .saturating_add(config.function.timeout_max)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Machine, load};

    const HOUR: Duration = Duration::from_secs(3600);

    #[test]
    fn a_mark_outlives_every_call() {
        let machine = Machine {
            memory_bytes: 1 << 30,
            cores: 2,
            files_max: 4096,
        };
        let env: [(&str, &str); 0] = [];
        let mut config = load(None, &env, &machine, &[]).unwrap().config;
        config.function.timeout_max = HOUR;
        for (age_max, dead_letter_ttl, kept) in [(1, 2, 25), (48, 2, 49), (1, 720, 721)] {
            config.asynchronous.age_max = age_max * HOUR;
            config.asynchronous.dead_letter_ttl = dead_letter_ttl * HOUR;
            assert_eq!(mark_kept(&config), kept * HOUR);
        }
    }
}
