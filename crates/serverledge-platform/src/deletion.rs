//! Deleting an account: first it is marked, from when on nothing of it is valid and its address is free; then whoever keeps
//! what it owns sweeps that and says so; last its sessions, tokens and record go. Each step may be done again.

use serverledge_core::UserId;
use serverledge_core::kv::KvError;

use crate::platform::Platform;
use crate::snapshot::Deleted;

/// Number of tries for a change if others change the same record.
pub(crate) const ATTEMPTS_MAX: usize = 5;

impl Platform {
    /// Accounts whose deletion has begun and is not finished: whoever keeps what they own deletes that, and then calls
    /// [`Self::finish_deletion`]. Every node may do it; doing it twice does no harm.
    #[must_use]
    pub fn deleted_users(&self) -> Vec<Deleted> {
        self.snapshot.deleted_users()
    }

    /// Waits for the next change of accounts, among which may be a deletion. One that comes between two calls is missed:
    /// look at [`Self::deleted_users`] from time to time as well.
    pub async fn deletion_begun(&self) {
        self.deletions.notified().await;
    }

    /// Nothing that this user owned is left: removes sessions, tokens and the user.
    ///
    /// # Errors
    /// A failure of the registry; the user stays marked, so that this can be called again.
    pub async fn finish_deletion(&self, user: &UserId) -> Result<(), KvError> {
        self.store.delete_user(user).await
    }
}
