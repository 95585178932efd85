//! Deleting an account: first it is marked, from when on nothing of it is valid and its address is free; then whoever keeps
//! what it owns sweeps that and says so; last its sessions, tokens and record go. Each step may be done again.

use serverledge_core::kv::KvError;
use serverledge_core::{AccountError, Caller, SpaceId, UserId};
use serverledge_registry::AccountTxn;
use serverledge_wire::records::UserRecord;

use crate::email::hash_of;
use crate::errors::{contended, registry};
use crate::log_in::Password;
use crate::platform::{Platform, manager};

/// How often a change is tried if others change the same record.
pub(crate) const ATTEMPTS_MAX: usize = 5;

/// An account whose deletion has begun.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Deleted {
    /// Who it was.
    pub user: UserId,
    /// Their own space. Applications of theirs have spaces of their own.
    pub space: SpaceId,
}

impl Platform {
    pub(crate) async fn mark_deleted(
        &self,
        caller: &Caller,
        password: Password<'_>,
    ) -> Result<(), AccountError> {
        let account = manager(caller)?;
        let mut own = self.own(account).await?;
        self.check_password(&own.record, password).await?;
        for _ in 0..ATTEMPTS_MAX {
            let record = UserRecord {
                deleted: true,
                epoch: own.record.epoch + 1,
                token_epoch: own.record.token_epoch + 1,
                ..own.record.clone()
            };
            let txn = AccountTxn::new()
                .when_user(&account.user, own.revision)
                .put_user(&account.user, &record)
                .free_email(&hash_of(&record.email), &account.user);
            if let Some(at) = self.store.commit(txn).await.map_err(registry)? {
                self.wrote_user(&account.user, record, at);
                self.deletions.notify_waiters();
                return Ok(());
            }
            own = self.own(account).await?;
        }
        Err(contended("the account"))
    }

    /// Accounts whose deletion has begun and is not finished: whoever keeps what they own deletes that, and then calls
    /// [`Self::finish_deletion`]. Every node may do it; doing it twice does no harm.
    #[must_use]
    pub fn deleted_users(&self) -> Vec<Deleted> {
        self.snapshot
            .deleted_users()
            .into_iter()
            .map(|(user, space)| Deleted { user, space })
            .collect()
    }

    /// Waits for the next change of accounts, among which may be a deletion. One that comes between two calls is missed:
    /// look at [`Self::deleted_users`] from time to time as well.
    pub async fn deletion_begun(&self) {
        self.deletions.notified().await;
    }

    /// Nothing that this user owned is left: removes sessions, tokens and the user.
    ///
    /// # Errors
    /// What the registry says; the user stays marked, to be called again.
    pub async fn finish_deletion(&self, user: &UserId) -> Result<(), KvError> {
        self.store.delete_user(user).await
    }
}
