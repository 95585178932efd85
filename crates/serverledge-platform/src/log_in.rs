//! Logging in and out: sessions begin and end.

use std::net::IpAddr;

use serverledge_core::{AccountError, Digest, NewSession, UserId, whole_millis};
use serverledge_registry::{AccountTxn, Stored};
use serverledge_wire::records::{Record, SessionRecord, UserRecord};

use crate::deletion::ATTEMPTS_MAX;
use crate::email::hash_of;
use crate::errors::{contended, registry};
use crate::platform::Platform;
use crate::secret::SecretKind;

/// Most sessions of one account; the oldest give way.
pub(crate) const SESSIONS_MAX: usize = 50;

impl Platform {
    /// A new session of a user whose password was right. If it is changed meanwhile, there is none.
    pub(crate) async fn begin_session(
        &self,
        id: &UserId,
        mut user: Stored<UserRecord>,
    ) -> Result<NewSession, AccountError> {
        let (secret, hash) = SecretKind::Session.make()?;
        let password = user.record.password.clone();
        for _ in 0..ATTEMPTS_MAX {
            let now = self.now();
            let record = SessionRecord {
                schema: SessionRecord::SCHEMA,
                user: id.to_string(),
                epoch: user.record.epoch,
                created_unix_ms: now,
                used_unix_ms: now,
                idle_unix_ms: now + whole_millis(self.options.session_idle),
                expires_unix_ms: now + whole_millis(self.options.session_lifetime),
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

    pub(crate) async fn end_session_of(&self, user: &UserId, id: &str) -> Result<(), AccountError> {
        let found = self.store.find_session(user, id).await.map_err(registry)?;
        self.delete_session(user, found.ok_or(AccountError::Unknown("the session"))?)
            .await
    }

    /// The password of an account that is logged in already: guesses count like those of a login.
    pub(crate) async fn check_password(
        &self,
        user: &UserRecord,
        password: &str,
        from: IpAddr,
    ) -> Result<(), AccountError> {
        self.rates.login(from, &hash_of(&user.email))?;
        let fits = self.hasher.verify(password, Some(&user.password)).await?;
        if fits {
            Ok(())
        } else {
            Err(AccountError::WrongCredentials)
        }
    }
}
