//! Changes that people make to their own accounts: address and password.

use serverledge_core::kv::Revision;
use serverledge_core::{Account, AccountError, Digest, UserId, Via};
use serverledge_registry::AccountTxn;
use serverledge_wire::records::{LinkPurpose, SessionRecord, UserRecord};

use crate::deletion::ATTEMPTS_MAX;
use crate::email::{Email, hash_of};
use crate::errors::{contended, registry};
use crate::links::CONFIRM_LIFETIME;
use crate::messages;
use crate::platform::Platform;

impl Platform {
    pub(crate) async fn mail_email_change(
        &self,
        user: &UserId,
        epoch: u64,
        email: &Email,
    ) -> Result<(), AccountError> {
        let whose = self
            .store
            .user_by_email(&email.hash())
            .await
            .map_err(registry)?;
        if whose.is_some_and(|(id, _)| id != *user) {
            return self
                .send(messages::taken(self.links(), email.as_str()))
                .await;
        }
        let purpose = LinkPurpose::ChangeEmail {
            user: user.to_string(),
            epoch,
            email: email.as_str().to_owned(),
        };
        let secret = self.make_link(purpose, CONFIRM_LIFETIME).await?;
        self.send(messages::confirm(self.links(), email.as_str(), &secret))
            .await
    }

    /// Gives the user another address, if `current` says that the account is still the one that asked, and uses the link
    /// up, if there is one.
    pub(crate) async fn set_email(
        &self,
        id: &UserId,
        email: &str,
        link: Option<(Digest, Revision)>,
        current: impl Fn(&UserRecord) -> bool,
    ) -> Result<(), AccountError> {
        for _ in 0..ATTEMPTS_MAX {
            let user = self.store.user(id).await.map_err(registry)?;
            let user = user
                .filter(|user| !user.record.deleted && current(&user.record))
                .ok_or(AccountError::Link)?;
            let old = hash_of(&user.record.email);
            let new = hash_of(email);
            let before = user.record.email.clone();
            let record = UserRecord {
                email: email.to_owned(),
                ..user.record
            };
            let mut txn = AccountTxn::new();
            if old != new {
                txn = txn.free_email(&old, id).take_email(&new, id);
            }
            if let Some((hash, revision)) = link {
                txn = txn.use_link(&hash, revision);
            }
            if self.change_user(id, user.revision, record, txn).await? {
                self.notify(messages::email_changed(self.links(), &before));
                return Ok(());
            }
            if let Some((hash, revision)) = link {
                let again = self.store.link(&hash).await.map_err(registry)?;
                again
                    .filter(|link| link.revision == revision)
                    .ok_or(AccountError::Link)?;
            }
            let whose = self.store.user_by_email(&new).await.map_err(registry)?;
            if whose.is_some_and(|(other, _)| other != *id) {
                return Err(if link.is_some() {
                    AccountError::Link
                } else {
                    AccountError::Taken
                });
            }
        }
        Err(contended("the account"))
    }

    /// The caller's session, moved to the epoch of their record, the next one; `None` if they came with a token, or if the
    /// session has ended meanwhile.
    pub(crate) async fn kept_session(
        &self,
        account: &Account,
        user: &UserRecord,
    ) -> Result<Option<(Digest, Revision, SessionRecord)>, AccountError> {
        let Via::Session(id) = &account.via else {
            return Ok(None);
        };
        let Some(hash) = self
            .store
            .find_session(&account.user, id)
            .await
            .map_err(registry)?
        else {
            return Ok(None);
        };
        let session = self.store.session(&hash).await.map_err(registry)?;
        let session = session.filter(|session| session.record.epoch + 1 >= user.epoch);
        Ok(session.map(|one| {
            (
                hash,
                one.revision,
                SessionRecord {
                    epoch: user.epoch,
                    ..one.record
                },
            )
        }))
    }
}
