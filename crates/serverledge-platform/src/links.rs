//! What links in mails are good for: new passwords, confirmed addresses, invitations. Each once, and for a time.

use std::net::IpAddr;
use std::time::Duration;

use serverledge_core::kv::Revision;
use serverledge_core::{AccountError, Caller, Digest, UserId};
use serverledge_registry::{AccountTxn, Stored};
use serverledge_wire::records::{LinkPurpose, LinkRecord, Record, UserRecord};

use crate::clock::millis;
use crate::deletion::ATTEMPTS_MAX;
use crate::email::{Email, hash_of};
use crate::errors::{contended, registry};
use crate::messages;
use crate::password;
use crate::platform::{Platform, account};
use crate::secret::Kind;

/// As the mail says.
pub(crate) const RESET_LIFETIME: Duration = Duration::from_secs(10 * 60);
/// As the mail says. Nothing can be taken over with it that is not there yet.
pub(crate) const CONFIRM_LIFETIME: Duration = Duration::from_secs(24 * 3600);
/// Of a link that an operator hands on by other ways.
pub(crate) const HANDED_LIFETIME: Duration = Duration::from_secs(24 * 3600);
const INVITATION_LIFETIME: Duration = Duration::from_secs(7 * 24 * 3600);

/// A link that is still good.
#[derive(Debug)]
pub(crate) struct Found {
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
        let (secret, hash) = Kind::Link.make()?;
        let record = LinkRecord {
            schema: LinkRecord::SCHEMA,
            expires_unix_ms: self.now() + millis(lifetime),
            purpose,
        };
        self.store
            .commit(AccountTxn::new().put_link(&hash, &record))
            .await
            .map_err(registry)?;
        Ok(secret)
    }

    pub(crate) async fn find_link(&self, secret: &str) -> Result<Found, AccountError> {
        let hash = Kind::Link.hash(secret).ok_or(AccountError::Link)?;
        let link = self.store.link(&hash).await.map_err(registry)?;
        let live = link
            .filter(|link| link.record.expires_unix_ms > self.now())
            .ok_or(AccountError::Link)?;
        Ok(Found {
            hash,
            revision: live.revision,
            purpose: live.record.purpose,
        })
    }

    pub(crate) async fn follow_link(&self, secret: &str, from: IpAddr) -> Result<(), AccountError> {
        self.rates.link(from)?;
        let found = self.find_link(secret).await?;
        match found.purpose.clone() {
            LinkPurpose::SignUp {
                email,
                password,
                invitation,
            } => {
                self.finish_sign_up(found, (email, password), invitation.as_deref())
                    .await
            }
            LinkPurpose::ChangeEmail { user, epoch, email } => {
                let user = UserId::parse(&user).ok_or(AccountError::Link)?;
                let current = |record: &UserRecord| record.epoch == epoch;
                self.set_email(&user, &email, Some((found.hash, found.revision)), current)
                    .await
            }
            LinkPurpose::Reset { .. } | LinkPurpose::Invitation { .. } => Err(AccountError::Link),
        }
    }

    /// Looks the address up where nobody can measure it.
    pub(crate) async fn begin_reset(&self, email: &str, from: IpAddr) -> Result<(), AccountError> {
        let email = Email::parse(email)?;
        self.rates.mail(from, &email.hash())?;
        let platform = self.clone();
        self.jobs
            .begin("mail a link for a new password", async move {
                platform.mail_reset(&email).await
            })
    }

    async fn mail_reset(&self, email: &Email) -> Result<(), AccountError> {
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

    /// One transaction uses the link up, sets the password, and ends all sessions and tokens.
    pub(crate) async fn finish_reset(
        &self,
        secret: &str,
        new: &str,
        from: IpAddr,
    ) -> Result<(), AccountError> {
        self.rates.link(from)?;
        let found = self.find_link(secret).await?;
        let (id, mut user) = self.owner_of_reset(&found).await?;
        password::check(new, &Email::parse(&user.record.email)?)?;
        let password = self.hasher.hash(new).await?;
        for _ in 0..ATTEMPTS_MAX {
            let record = UserRecord {
                password: password.clone(),
                epoch: user.record.epoch + 1,
                token_epoch: user.record.token_epoch + 1,
                ..user.record
            };
            let txn = AccountTxn::new().use_link(&found.hash, found.revision);
            let txn = txn.when_user(&id, user.revision).put_user(&id, &record);
            if let Some(at) = self.store.commit(txn).await.map_err(registry)? {
                self.notify(messages::password_changed(self.links(), &record.email));
                self.wrote_user(&id, record, at);
                return Ok(());
            }
            // If the link has been used meanwhile, that ends here.
            let again = self.find_link(secret).await?;
            (_, user) = self.owner_of_reset(&again).await?;
        }
        Err(contended("the account"))
    }

    async fn owner_of_reset(
        &self,
        found: &Found,
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

    pub(crate) async fn make_invitation(&self, caller: &Caller) -> Result<String, AccountError> {
        if !caller.operates() {
            return Err(AccountError::Forbidden("only operators invite"));
        }
        let by = account(caller)
            .map(|account| account.user.to_string())
            .unwrap_or_default();
        self.make_link(LinkPurpose::Invitation { by }, INVITATION_LIFETIME)
            .await
    }
}
