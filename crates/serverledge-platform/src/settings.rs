//! What people change of their own accounts: address and password.

use std::net::IpAddr;

use serverledge_core::kv::Revision;
use serverledge_core::{
    Account, AccountError, Caller, Digest, Profile, Role, SpaceId, UserId, Via,
};
use serverledge_registry::AccountTxn;
use serverledge_wire::records::{LinkPurpose, SessionRecord, UserRecord};

use crate::deletion::ATTEMPTS_MAX;
use crate::email::{Email, hash_of};
use crate::errors::{contended, registry};
use crate::links::CONFIRM_LIFETIME;
use crate::log_in::Password;
use crate::messages;
use crate::password;
use crate::platform::{Platform, account, manager};

impl Platform {
    pub(crate) async fn own_profile(&self, caller: &Caller) -> Result<Profile, AccountError> {
        let account = account(caller)?;
        let record = self.own(account).await?.record;
        let unreadable = || AccountError::Internal {
            message: "failed to read a user's record".to_owned(),
        };
        Ok(Profile {
            user: account.user.clone(),
            role: Role::parse(&record.role).ok_or_else(unreadable)?,
            space: SpaceId::parse(&record.space).ok_or_else(unreadable)?,
            email: record.email,
            created_unix_ms: record.created_unix_ms,
        })
    }

    /// Whether the new address is taken is told only where no mail could tell its owner.
    pub(crate) async fn begin_email_change(
        &self,
        caller: &Caller,
        password: Password<'_>,
        email: &str,
    ) -> Result<bool, AccountError> {
        let account = manager(caller)?;
        let email = Email::parse(email)?;
        let own = self.own(account).await?.record;
        self.check_password(&own, password).await?;
        let user = account.user.clone();
        if !self.mailer.delivers() {
            let epoch = own.epoch;
            self.set_email(&user, email.as_str(), None, |record| record.epoch == epoch)
                .await?;
            return Ok(false);
        }
        self.rates.mail(password.from, &email.hash())?;
        let platform = self.clone();
        let job = async move { platform.mail_email_change(&user, own.epoch, &email).await };
        self.jobs
            .begin("mail a link to confirm a new address", job)?;
        Ok(true)
    }

    async fn mail_email_change(
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
            let (old, new) = (hash_of(&user.record.email), hash_of(email));
            let before = user.record.email.clone();
            let record = UserRecord {
                email: email.to_owned(),
                ..user.record
            };
            let mut txn = AccountTxn::new()
                .when_user(id, user.revision)
                .put_user(id, &record);
            if old != new {
                txn = txn.free_email(&old, id).take_email(&new, id);
            }
            if let Some((hash, revision)) = link {
                txn = txn.use_link(&hash, revision);
            }
            if let Some(at) = self.store.commit(txn).await.map_err(registry)? {
                self.wrote_user(id, record, at);
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

    /// One transaction sets the password and ends all sessions but the caller's. Tokens stay.
    pub(crate) async fn set_password(
        &self,
        caller: &Caller,
        old: &str,
        new: &str,
        from: IpAddr,
    ) -> Result<(), AccountError> {
        let account = manager(caller)?;
        let mut own = self.own(account).await?;
        password::check(new, &Email::parse(&own.record.email)?)?;
        self.check_password(&own.record, Password { text: old, from })
            .await?;
        let (checked, password) = (own.record.password.clone(), self.hasher.hash(new).await?);
        for _ in 0..ATTEMPTS_MAX {
            let record = UserRecord {
                password: password.clone(),
                epoch: own.record.epoch + 1,
                ..own.record
            };
            let kept = self.kept_session(account, &record).await?;
            let mut txn = AccountTxn::new()
                .when_user(&account.user, own.revision)
                .put_user(&account.user, &record);
            if let Some((hash, revision, session)) = &kept {
                txn = txn
                    .when_session(hash, *revision)
                    .put_session(&account.user, hash, session);
            }
            if let Some(at) = self.store.commit(txn).await.map_err(registry)? {
                self.notify(messages::password_changed(self.links(), &record.email));
                // The session first: in between, it is of a later epoch than its user, which is valid.
                if let Some((hash, _, session)) = kept {
                    self.wrote_session(hash, Some(session), at);
                }
                self.wrote_user(&account.user, record, at);
                return Ok(());
            }
            own = self.own(account).await?;
            if own.record.password != checked {
                return Err(AccountError::WrongCredentials);
            }
        }
        Err(contended("the account"))
    }

    /// The caller's session, moved to the epoch of their record, the next one; `None` if they came with a token, or if the
    /// session has ended meanwhile.
    async fn kept_session(
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
