//! Logging in and out: sessions begin and end.

use std::net::IpAddr;

use serverledge_core::{AccountError, Caller, Digest, NewSession, SessionInfo, UserId, Via};
use serverledge_registry::{AccountTxn, Stored, credential_id};
use serverledge_wire::records::{Record, SessionRecord, UserRecord};

use crate::clock::millis;
use crate::deletion::ATTEMPTS_MAX;
use crate::email::{Email, hash_of};
use crate::errors::{contended, registry};
use crate::platform::{Platform, account, manager};
use crate::secret::Kind;

/// Most sessions of one account; the oldest give way.
pub(crate) const SESSIONS_MAX: usize = 50;

/// A password that somebody shows, and from where.
#[derive(Clone, Copy)]
pub(crate) struct Password<'a> {
    pub(crate) text: &'a str,
    pub(crate) from: IpAddr,
}

impl Platform {
    /// Whether there is such an account makes no difference to what is counted, asked and hashed.
    pub(crate) async fn begin_login(
        &self,
        email: &str,
        password: Password<'_>,
    ) -> Result<NewSession, AccountError> {
        // Without the form of an address there is certainly no account: that tells nothing.
        let email = Email::parse(email)
            .map_err(|_| AccountError::WrongCredentials)?
            .hash();
        self.rates.login(password.from, &email)?;
        let found = self.store.user_by_email(&email).await.map_err(registry)?;
        let found = found.filter(|(_, user)| !user.record.deleted);
        let hash = found
            .as_ref()
            .map(|(_, user)| user.record.password.as_str());
        if !self.hasher.verify(password.text, hash).await? {
            return Err(AccountError::WrongCredentials);
        }
        let (id, user) = found.ok_or(AccountError::WrongCredentials)?;
        self.begin_session(&id, user).await
    }

    /// A new session of a user whose password was right. If it is changed meanwhile, there is none.
    pub(crate) async fn begin_session(
        &self,
        id: &UserId,
        mut user: Stored<UserRecord>,
    ) -> Result<NewSession, AccountError> {
        let (secret, hash) = Kind::Session.make()?;
        let password = user.record.password.clone();
        for _ in 0..ATTEMPTS_MAX {
            let now = self.now();
            let record = SessionRecord {
                schema: SessionRecord::SCHEMA,
                user: id.to_string(),
                epoch: user.record.epoch,
                created_unix_ms: now,
                used_unix_ms: now,
                idle_unix_ms: now + millis(self.options.session_idle),
                expires_unix_ms: now + millis(self.options.session_lifetime),
            };
            let txn = AccountTxn::new()
                .when_user(id, user.revision)
                .put_session(id, &hash, &record);
            if let Some(at) = self.store.commit(txn).await.map_err(registry)? {
                self.wrote_user(id, user.record, user.revision);
                self.wrote_session(hash, Some(record), at);
                self.end_oldest_sessions(id).await?;
                return Ok(NewSession {
                    secret,
                    lifetime: self.options.session_lifetime,
                    user: id.clone(),
                });
            }
            let again = self.store.user(id).await.map_err(registry)?;
            let same = |user: &Stored<UserRecord>| {
                !user.record.deleted && user.record.password == password
            };
            user = again.filter(same).ok_or(AccountError::WrongCredentials)?;
        }
        Err(contended("the account"))
    }

    async fn end_oldest_sessions(&self, user: &UserId) -> Result<(), AccountError> {
        let mut sessions = self.store.sessions_of(user).await.map_err(registry)?;
        let surplus = sessions.len().saturating_sub(SESSIONS_MAX);
        sessions.sort_by_key(|(_, session)| session.record.created_unix_ms);
        for (hash, _) in sessions.into_iter().take(surplus) {
            self.delete_session(user, hash).await?;
        }
        Ok(())
    }

    async fn delete_session(&self, user: &UserId, hash: Digest) -> Result<(), AccountError> {
        let txn = AccountTxn::new().delete_session(user, &hash);
        if let Some(at) = self.store.commit(txn).await.map_err(registry)? {
            self.wrote_session(hash, None, at);
        }
        Ok(())
    }

    pub(crate) async fn end_own_session(&self, caller: &Caller) -> Result<(), AccountError> {
        let account = account(caller)?;
        let Via::Session(id) = &account.via else {
            return Err(AccountError::Forbidden(
                "a token does not log out; revoke it",
            ));
        };
        self.end_session_of(&account.user, id).await
    }

    pub(crate) async fn end_listed_session(
        &self,
        caller: &Caller,
        id: &str,
    ) -> Result<(), AccountError> {
        self.end_session_of(&manager(caller)?.user, id).await
    }

    async fn end_session_of(&self, user: &UserId, id: &str) -> Result<(), AccountError> {
        let found = self.store.find_session(user, id).await.map_err(registry)?;
        self.delete_session(user, found.ok_or(AccountError::Unknown("the session"))?)
            .await
    }

    pub(crate) async fn end_all_sessions(&self, caller: &Caller) -> Result<(), AccountError> {
        let account = manager(caller)?;
        for _ in 0..ATTEMPTS_MAX {
            let own = self.own(account).await?;
            let record = UserRecord {
                epoch: own.record.epoch + 1,
                ..own.record
            };
            let txn = AccountTxn::new()
                .when_user(&account.user, own.revision)
                .put_user(&account.user, &record);
            if let Some(at) = self.store.commit(txn).await.map_err(registry)? {
                self.wrote_user(&account.user, record, at);
                return Ok(());
            }
        }
        Err(contended("the account"))
    }

    pub(crate) async fn list_sessions(
        &self,
        caller: &Caller,
    ) -> Result<Vec<SessionInfo>, AccountError> {
        let account = manager(caller)?;
        let epoch = self.own(account).await?.record.epoch;
        let now = self.now();
        let sessions = self
            .store
            .sessions_of(&account.user)
            .await
            .map_err(registry)?;
        let live = sessions.into_iter().filter(|(_, session)| {
            let session = &session.record;
            session.epoch >= epoch && session.expires_unix_ms.min(session.idle_unix_ms) > now
        });
        let mut infos: Vec<SessionInfo> = live
            .map(|(hash, session)| SessionInfo {
                id: credential_id(&hash),
                created_unix_ms: session.record.created_unix_ms,
                used_unix_ms: session.record.used_unix_ms,
            })
            .collect();
        infos.sort_by_key(|info| std::cmp::Reverse(info.created_unix_ms));
        Ok(infos)
    }

    /// The password of an account that is logged in already: guesses count like those of a login.
    pub(crate) async fn check_password(
        &self,
        user: &UserRecord,
        password: Password<'_>,
    ) -> Result<(), AccountError> {
        self.rates.login(password.from, &hash_of(&user.email))?;
        let fits = self
            .hasher
            .verify(password.text, Some(&user.password))
            .await?;
        if fits {
            Ok(())
        } else {
            Err(AccountError::WrongCredentials)
        }
    }
}
