//! The platform as the rest of the node sees it: core's trait. The steps of the operations are in the files that are named
//! after what they do.

use std::net::IpAddr;
use std::sync::Arc;

use async_trait::async_trait;
use serverledge_core::{
    AccountError, Accounts, AuthError, Caller, Credential, NewSession, NewToken, Profile, Role,
    SessionInfo, SignedUp, SpaceId, TokenInfo, UserId, Via, whole_millis,
};
use serverledge_registry::{AccountTxn, credential_id};
use serverledge_wire::records::{LinkPurpose, Record, TokenRecord, UserRecord};

use crate::deletion::ATTEMPTS_MAX;
use crate::email::{Email, hash_of};
use crate::errors::{contended, invalid, registry};
use crate::links::INVITATION_LIFETIME;
use crate::platform::{Platform, account, manager};
use crate::secret::SecretKind;
use crate::sign_up::Fresh;
use crate::tokens::TOKENS_MAX;
use crate::{messages, password, tokens};

#[async_trait]
impl Accounts for Platform {
    fn authenticate(&self, credential: Credential<'_>) -> Result<Caller, AuthError> {
        let hash = |kind: SecretKind, text: &str| kind.hash(text).ok_or(AuthError::Invalid);
        let (account, space) = match credential {
            Credential::Session(secret) => self
                .snapshot
                .session(&hash(SecretKind::Session, secret)?, self.now())?,
            Credential::Token(secret) => self
                .snapshot
                .token(&hash(SecretKind::Token, secret)?, self.now())?,
        };
        Ok(Caller {
            space,
            account: Some(Arc::new(account)),
        })
    }

    async fn sign_up(
        &self,
        email: &str,
        password: &str,
        invite: Option<&str>,
        from: IpAddr,
    ) -> Result<SignedUp, AccountError> {
        self.rates.sign_up(from)?;
        let invitation = self.invitation(invite).await?;
        let email = Email::parse(email)?;
        password::check(password, &email)?;
        if self.mailer.delivers() {
            self.rates.mail(from, &email.hash())?;
        }
        let password = self.hasher.hash(password).await?;
        if self.mailer.delivers() {
            // Whether the address is taken is looked up where nobody can measure it.
            let platform = self.clone();
            let invitation = invitation.map(|found| found.hash.to_string());
            let job = async move { platform.mail_sign_up(&email, password, invitation).await };
            self.jobs.begin("mail a link to confirm an address", job)?;
            return Ok(SignedUp::ConfirmationSent);
        }
        let fresh = Fresh {
            email: email.as_str().to_owned(),
            password,
            role: Role::User,
        };
        let used_up = invitation
            .into_iter()
            .map(|found| (found.hash, found.revision))
            .collect();
        let (user, stored) = self.create(fresh, used_up).await?;
        self.begin_session(&user, stored)
            .await
            .map(SignedUp::LoggedIn)
    }

    async fn confirm(&self, secret: &str, from: IpAddr) -> Result<(), AccountError> {
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

    async fn log_in(
        &self,
        email: &str,
        password: &str,
        from: IpAddr,
    ) -> Result<NewSession, AccountError> {
        // Whether there is such an account makes no difference to what is counted, asked and hashed.
        // Without the form of an address there is certainly no account: that tells nothing.
        let email = Email::parse(email)
            .map_err(|_| AccountError::WrongCredentials)?
            .hash();
        self.rates.login(from, &email)?;
        let found = self.store.user_by_email(&email).await.map_err(registry)?;
        let found = found.filter(|(_, user)| !user.record.deleted);
        let hash = found
            .as_ref()
            .map(|(_, user)| user.record.password.as_str());
        if !self.hasher.verify(password, hash).await? {
            return Err(AccountError::WrongCredentials);
        }
        let (id, user) = found.ok_or(AccountError::WrongCredentials)?;
        self.begin_session(&id, user).await
    }

    async fn log_out(&self, caller: &Caller) -> Result<(), AccountError> {
        let account = account(caller)?;
        let Via::Session(id) = &account.via else {
            return Err(AccountError::Forbidden(
                "a token does not log out; revoke it",
            ));
        };
        self.end_session_of(&account.user, id).await
    }

    async fn log_out_everywhere(&self, caller: &Caller) -> Result<(), AccountError> {
        let account = manager(caller)?;
        for _ in 0..ATTEMPTS_MAX {
            let own = self.own(account).await?;
            let record = UserRecord {
                epoch: own.record.epoch + 1,
                ..own.record
            };
            if self
                .change_user(&account.user, own.revision, record, AccountTxn::new())
                .await?
            {
                return Ok(());
            }
        }
        Err(contended("the account"))
    }

    fn delivers_mail(&self) -> bool {
        self.mailer.delivers()
    }

    async fn request_reset(&self, email: &str, from: IpAddr) -> Result<(), AccountError> {
        // Looks the address up where nobody can measure it.
        let email = Email::parse(email)?;
        self.rates.mail(from, &email.hash())?;
        let platform = self.clone();
        self.jobs
            .begin("mail a link for a new password", async move {
                platform.mail_reset(&email).await
            })
    }

    async fn reset(&self, secret: &str, password: &str, from: IpAddr) -> Result<(), AccountError> {
        // One transaction uses the link up, sets the password, and ends all sessions and tokens.
        self.rates.link(from)?;
        let found = self.find_link(secret).await?;
        let (id, mut user) = self.owner_of_reset(&found).await?;
        password::check(password, &Email::parse(&user.record.email)?)?;
        let password = self.hasher.hash(password).await?;
        for _ in 0..ATTEMPTS_MAX {
            let record = UserRecord {
                password: password.clone(),
                epoch: user.record.epoch + 1,
                token_epoch: user.record.token_epoch + 1,
                ..user.record
            };
            let told = messages::password_changed(self.links(), &record.email);
            let used = AccountTxn::new().use_link(&found.hash, found.revision);
            if self.change_user(&id, user.revision, record, used).await? {
                self.notify(told);
                return Ok(());
            }
            // If the link has been used meanwhile, that ends here.
            let again = self.find_link(secret).await?;
            (_, user) = self.owner_of_reset(&again).await?;
        }
        Err(contended("the account"))
    }

    async fn profile(&self, caller: &Caller) -> Result<Profile, AccountError> {
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

    async fn change_email(
        &self,
        caller: &Caller,
        password: &str,
        email: &str,
        from: IpAddr,
    ) -> Result<bool, AccountError> {
        // Whether the new address is taken is told only where no mail could tell its owner.
        let account = manager(caller)?;
        let email = Email::parse(email)?;
        let own = self.own(account).await?.record;
        self.check_password(&own, password, from).await?;
        let user = account.user.clone();
        if !self.mailer.delivers() {
            let epoch = own.epoch;
            self.set_email(&user, email.as_str(), None, |record| record.epoch == epoch)
                .await?;
            return Ok(false);
        }
        self.rates.mail(from, &email.hash())?;
        let platform = self.clone();
        let job = async move { platform.mail_email_change(&user, own.epoch, &email).await };
        self.jobs
            .begin("mail a link to confirm a new address", job)?;
        Ok(true)
    }

    async fn change_password(
        &self,
        caller: &Caller,
        old: &str,
        new: &str,
        from: IpAddr,
    ) -> Result<(), AccountError> {
        // One transaction sets the password and ends all sessions but the caller's. Tokens stay.
        let account = manager(caller)?;
        let mut own = self.own(account).await?;
        password::check(new, &Email::parse(&own.record.email)?)?;
        self.check_password(&own.record, old, from).await?;
        let checked = own.record.password.clone();
        let password = self.hasher.hash(new).await?;
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

    async fn delete(
        &self,
        caller: &Caller,
        password: &str,
        from: IpAddr,
    ) -> Result<(), AccountError> {
        let account = manager(caller)?;
        let mut own = self.own(account).await?;
        self.check_password(&own.record, password, from).await?;
        for _ in 0..ATTEMPTS_MAX {
            let record = UserRecord {
                deleted: true,
                epoch: own.record.epoch + 1,
                token_epoch: own.record.token_epoch + 1,
                ..own.record
            };
            let freed = AccountTxn::new().free_email(&hash_of(&record.email), &account.user);
            if self
                .change_user(&account.user, own.revision, record, freed)
                .await?
            {
                self.deletions.notify_waiters();
                return Ok(());
            }
            own = self.own(account).await?;
        }
        Err(contended("the account"))
    }

    async fn tokens(&self, caller: &Caller) -> Result<Vec<TokenInfo>, AccountError> {
        let account = manager(caller)?;
        let epoch = self.own(account).await?.record.token_epoch;
        let now = self.now();
        let tokens = self
            .store
            .tokens_of(&account.user)
            .await
            .map_err(registry)?;
        let live = tokens
            .into_iter()
            .map(|(hash, token)| (hash, token.record))
            .filter(|(_, token)| {
                token.epoch >= epoch && token.expires_unix_ms.is_none_or(|end| end > now)
            });
        let mut infos: Vec<TokenInfo> = live
            .map(|(hash, token)| tokens::info(&hash, &token))
            .collect();
        infos.sort_by_key(|info| info.created_unix_ms);
        Ok(infos)
    }

    async fn create_token(
        &self,
        caller: &Caller,
        token: NewToken,
    ) -> Result<(TokenInfo, String), AccountError> {
        // A token may at most what the credential may that asks for it.
        let account = manager(caller)?;
        tokens::check(&token, account.scopes)?;
        for _ in 0..ATTEMPTS_MAX {
            let own = self.own(account).await?;
            let others = self
                .store
                .tokens_of(&account.user)
                .await
                .map_err(registry)?;
            // Revoked ones may not have been swept yet.
            let others = others
                .iter()
                .filter(|(_, other)| other.record.epoch >= own.record.token_epoch);
            if others.count() >= TOKENS_MAX {
                return Err(invalid(
                    "too_many_tokens",
                    format!("an account has at most {TOKENS_MAX} tokens; revoke some"),
                ));
            }
            let (secret, hash) = SecretKind::Token.make()?;
            let now = self.now();
            let record = TokenRecord {
                schema: TokenRecord::SCHEMA,
                user: account.user.to_string(),
                epoch: own.record.token_epoch,
                name: token.name.clone(),
                scopes: token
                    .scopes
                    .names()
                    .into_iter()
                    .map(str::to_owned)
                    .collect(),
                created_unix_ms: now,
                expires_unix_ms: token.lifetime.map(|lifetime| now + whole_millis(lifetime)),
                used_unix_ms: None,
            };
            let txn = AccountTxn::new()
                .when_user(&account.user, own.revision)
                .put_token(&account.user, &hash, &record);
            if let Some(at) = self.store.commit(txn).await.map_err(registry)? {
                let made = tokens::info(&hash, &record);
                self.wrote_token(hash, Some(record), at);
                return Ok((made, secret));
            }
        }
        Err(contended("the account"))
    }

    async fn revoke_token(&self, caller: &Caller, id: &str) -> Result<(), AccountError> {
        let account = manager(caller)?;
        let found = self
            .store
            .find_token(&account.user, id)
            .await
            .map_err(registry)?;
        let hash = found.ok_or(AccountError::Unknown("the token"))?;
        let txn = AccountTxn::new().delete_token(&account.user, &hash);
        if let Some(at) = self.store.commit(txn).await.map_err(registry)? {
            self.wrote_token(hash, None, at);
        }
        Ok(())
    }

    async fn sessions(&self, caller: &Caller) -> Result<Vec<SessionInfo>, AccountError> {
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

    async fn end_session(&self, caller: &Caller, id: &str) -> Result<(), AccountError> {
        self.end_session_of(&manager(caller)?.user, id).await
    }

    async fn invite(&self, caller: &Caller) -> Result<String, AccountError> {
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
