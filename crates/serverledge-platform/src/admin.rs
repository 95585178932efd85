//! Operations on accounts for whoever runs the machine, by a command there: no caller is checked.

use serverledge_core::{AccountError, Role, SpaceId, UserId};
use serverledge_registry::{AccountTxn, Stored};
use serverledge_wire::records::UserRecord;

use crate::deletion::ATTEMPTS_MAX;
use crate::email::Email;
use crate::errors::{contended, registry};
use crate::links::HANDED_LIFETIME;
use crate::platform::Platform;
use crate::sign_up::Fresh;

/// The result of granting a role.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Granted {
    /// The user who has it.
    pub user: UserId,
    /// The link with which they choose a password within a day, if the account was made.
    pub link: Option<String>,
}

/// An account as whoever runs the machine sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UserInfo {
    /// The user.
    pub user: UserId,
    /// Their address.
    pub email: String,
    /// Their role, by name.
    pub role: String,
    /// The time at which the account was made, in Unix milliseconds.
    pub created_unix_ms: u64,
    /// Its deletion has begun.
    pub deleted: bool,
}

impl Platform {
    /// Gives an account a role; makes the account first, if that is wanted and there is none.
    ///
    /// # Errors
    /// `Unknown` if there is no account and none is to be made, `Invalid` for what is no address, and the registry's.
    pub async fn grant(
        &self,
        email: &str,
        role: Role,
        create: bool,
    ) -> Result<Granted, AccountError> {
        let email = Email::parse(email)?;
        for _ in 0..ATTEMPTS_MAX {
            let Some((user, stored)) = self
                .store
                .user_by_email(&email.hash())
                .await
                .map_err(registry)?
            else {
                if !create {
                    return Err(AccountError::Unknown("an account with this address"));
                }
                let fresh = Fresh {
                    email: email.as_str().to_owned(),
                    password: String::new(),
                    role,
                };
                let made = match self.create(fresh, Vec::new()).await {
                    Err(AccountError::Taken) => continue,
                    made => made?,
                };
                let secret = self
                    .make_reset(&made.0, &made.1.record, HANDED_LIFETIME)
                    .await?;
                return Ok(Granted {
                    user: made.0,
                    link: Some(self.links().reset(&secret)),
                });
            };
            let record = UserRecord {
                role: role.name().to_owned(),
                ..stored.record
            };
            if self
                .change_user(&user, stored.revision, record, AccountTxn::new())
                .await?
            {
                return Ok(Granted { user, link: None });
            }
        }
        Err(contended("the account"))
    }

    /// Makes an account a plain one again, ends its sessions and revokes its tokens.
    ///
    /// # Errors
    /// `Unknown` if there is no such account, and the registry's.
    pub async fn revoke(&self, email: &str) -> Result<UserId, AccountError> {
        let email = Email::parse(email)?.hash();
        for _ in 0..ATTEMPTS_MAX {
            let found = self.store.user_by_email(&email).await.map_err(registry)?;
            let (user, Stored { record, revision }) =
                found.ok_or(AccountError::Unknown("an account with this address"))?;
            let epoch = record.epoch + 1;
            let token_epoch = record.token_epoch + 1;
            let record = UserRecord {
                role: Role::User.name().to_owned(),
                epoch,
                token_epoch,
                ..record
            };
            if self
                .change_user(&user, revision, record, AccountTxn::new())
                .await?
            {
                return Ok(user);
            }
        }
        Err(contended("the account"))
    }

    /// Finds the user who has an address, and their own space.
    ///
    /// # Errors
    /// `Unknown` if there is no such account, and the registry's.
    pub async fn find(&self, email: &str) -> Result<(UserId, SpaceId), AccountError> {
        let unknown = || AccountError::Unknown("an account with this address");
        let found = self
            .store
            .user_by_email(&Email::parse(email)?.hash())
            .await
            .map_err(registry)?;
        let (user, stored) = found
            .filter(|(_, stored)| !stored.record.deleted)
            .ok_or_else(unknown)?;
        let space = SpaceId::parse(&stored.record.space).ok_or_else(unknown)?;
        Ok((user, space))
    }

    /// All accounts, the oldest first.
    ///
    /// # Errors
    /// The registry's.
    pub async fn users(&self) -> Result<Vec<UserInfo>, AccountError> {
        let loaded = self.store.load_all().await.map_err(registry)?;
        let info = |(user, stored): (UserId, Stored<UserRecord>)| {
            let UserRecord {
                email,
                role,
                created_unix_ms,
                deleted,
                ..
            } = stored.record;
            UserInfo {
                user,
                email,
                role,
                created_unix_ms,
                deleted,
            }
        };
        let mut users: Vec<UserInfo> = loaded.users.into_iter().map(info).collect();
        users.sort_by(|a, b| (a.created_unix_ms, &a.email).cmp(&(b.created_unix_ms, &b.email)));
        Ok(users)
    }
}
