//! What is left of deleted spaces, under keys of its own, is swept: soon after the deletion, and by any node on its rounds, so
//! that a crash in between loses nothing.

use serverledge_core::kv::KvError;

use crate::node::Node;

/// How long the mark of a deleted space stays: no deploy takes that long, and none that began before brings a function back.
const MARK_KEPT_MS: u64 = 24 * 3600 * 1000;

impl Node {
    /// Sweeps deleted spaces, and forgets those whose time is over.
    pub(crate) async fn sweep_deleted_spaces(&self, now_unix_ms: u64) -> Result<(), KvError> {
        for deletion in self.app_store.deletions().await? {
            if !deletion.record.swept {
                if let Err(error) = self.invocations.purge_all(&deletion.space).await {
                    tracing::warn!(space = %deletion.space, %error, "failed to remove dead letters of a deleted space");
                    continue;
                }
                self.app_store.finish_deletion(&deletion).await?;
            } else if now_unix_ms.saturating_sub(deletion.record.deleted_unix_ms) > MARK_KEPT_MS {
                self.app_store.forget_deletion(&deletion.space).await?;
            }
        }
        Ok(())
    }
}
