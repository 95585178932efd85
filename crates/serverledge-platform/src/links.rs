//! Links in mails, for new passwords, confirmed addresses and invitations. Each is good once, and for a time.

use std::time::Duration;

use serverledge_core::kv::Revision;
use serverledge_core::{AccountError, Digest, UserId, whole_millis};
use serverledge_registry::{AccountTxn, Stored};
use serverledge_wire::records::{LinkPurpose, LinkRecord, Record, UserRecord};

use crate::email::{Email, hash_of};
use crate::errors::registry;
use crate::messages;
use crate::platform::Platform;
use crate::secret::SecretKind;

/// As the mail says.
pub(crate) const RESET_LIFETIME: Duration = Duration::from_secs(10 * 60);
/// As the mail says. Nothing can be taken over with it that is not there yet.
pub(crate) const CONFIRM_LIFETIME: Duration = Duration::from_secs(24 * 3600);
/// Of a link that an operator hands on by other ways.
pub(crate) const HANDED_LIFETIME: Duration = Duration::from_secs(24 * 3600);
pub(crate) const INVITATION_LIFETIME: Duration = Duration::from_secs(7 * 24 * 3600);

/// A link that is still good.
#[derive(Debug)]
pub(crate) struct ValidLink {
    pub(crate) hash: Digest,
    pub(crate) revision: Revision,
    pub(crate) purpose: LinkPurpose,
}

impl Platform {
    /// Keeps what a new link is good for; returns its secret.
    pub(crate) async fn make_link(
        &self,
        purpose: LinkPurpose,
        lifetime: Duration,
    ) -> Result<String, AccountError> {
        let (secret, hash) = SecretKind::Link.make()?;
        let record = LinkRecord {
            schema: LinkRecord::SCHEMA,
            expires_unix_ms: self.now() + whole_millis(lifetime),
            purpose,
        };
        self.store
            .commit(AccountTxn::new().put_link(&hash, &record))
            .await
            .map_err(registry)?;
        Ok(secret)
    }

    pub(crate) async fn find_link(&self, secret: &str) -> Result<ValidLink, AccountError> {
        let hash = SecretKind::Link.hash(secret).ok_or(AccountError::Link)?;
        let link = self.store.link(&hash).await.map_err(registry)?;
        let live = link
            .filter(|link| link.record.expires_unix_ms > self.now())
            .ok_or(AccountError::Link)?;
        Ok(ValidLink {
            hash,
            revision: live.revision,
            purpose: live.record.purpose,
        })
    }

    pub(crate) async fn mail_reset(&self, email: &Email) -> Result<(), AccountError> {
        let found = self
            .store
            .user_by_email(&email.hash())
            .await
            .map_err(registry)?;
        let Some((id, user)) = found.filter(|(_, user)| !user.record.deleted) else {
            tracing::debug!("a new password was asked for, for an address without an account");
            return self.make_decoy(email).await;
        };
        let secret = self.make_reset(&id, &user.record, RESET_LIFETIME).await?;
        // To the address that is kept, not to the one that was typed.
        self.send(messages::reset(self.links(), &user.record.email, &secret))
            .await
    }

    /// Writes as much as a link does, so that no write that comes after it tells by its time whether there was one. It is
    /// good for nothing: nobody learns its secret, and its user is nobody.
    pub(crate) async fn make_decoy(&self, email: &Email) -> Result<(), AccountError> {
        let purpose = LinkPurpose::Reset {
            user: UserId::new().to_string(),
            epoch: 0,
            email: email.as_str().to_owned(),
        };
        self.make_link(purpose, RESET_LIFETIME).await.map(drop)
    }

    pub(crate) async fn make_reset(
        &self,
        id: &UserId,
        user: &UserRecord,
        lifetime: Duration,
    ) -> Result<String, AccountError> {
        let purpose = LinkPurpose::Reset {
            user: id.to_string(),
            epoch: user.epoch,
            email: user.email.clone(),
        };
        self.make_link(purpose, lifetime).await
    }

    pub(crate) async fn owner_of_reset(
        &self,
        found: &ValidLink,
    ) -> Result<(UserId, Stored<UserRecord>), AccountError> {
        let LinkPurpose::Reset { user, epoch, email } = &found.purpose else {
            return Err(AccountError::Link);
        };
        let id = UserId::parse(user).ok_or(AccountError::Link)?;
        let user = self.store.user(&id).await.map_err(registry)?;
        let current = |user: &Stored<UserRecord>| {
            let record = &user.record;
            !record.deleted && record.epoch == *epoch && hash_of(&record.email) == hash_of(email)
        };
        Ok((id, user.filter(current).ok_or(AccountError::Link)?))
    }
}
