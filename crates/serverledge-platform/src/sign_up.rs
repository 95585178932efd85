//! Signing up: an account at once, or, where mail reaches people, when the address has been confirmed.

use serverledge_core::kv::Revision;
use serverledge_core::{AccountError, Digest, Role, SpaceId, UserId};
use serverledge_registry::{AccountTxn, Stored};
use serverledge_wire::records::{LinkPurpose, LinkRecord, Record, UserRecord};

use crate::deletion::ATTEMPTS_MAX;
use crate::email::{Email, hash_of};
use crate::errors::{contended, registry};
use crate::links::{CONFIRM_LIFETIME, ValidLink};
use crate::messages;
use crate::platform::{Platform, Signup};

/// An account to be.
#[derive(Debug, Clone)]
pub(crate) struct Fresh {
    pub(crate) email: String,
    /// A hash, or empty: nobody can log in until a password is set.
    pub(crate) password: String,
    pub(crate) role: Role,
}

/// Links that are used up together with what they are good for.
pub(crate) type UsedUp = Vec<(Digest, Revision)>;

impl Platform {
    /// The invitation, where one is needed.
    pub(crate) async fn invitation(
        &self,
        secret: Option<&str>,
    ) -> Result<Option<ValidLink>, AccountError> {
        match (self.options.signup, secret) {
            (Signup::Open, _) => Ok(None),
            (Signup::Closed, _) => Err(AccountError::SignUp(
                "sign-up is closed here; ask whoever runs this server",
            )),
            (Signup::Invite, None) => {
                Err(AccountError::SignUp("signing up here needs an invitation"))
            }
            (Signup::Invite, Some(secret)) => {
                let found = self.find_link(secret).await?;
                if matches!(found.purpose, LinkPurpose::Invitation { .. }) {
                    Ok(Some(found))
                } else {
                    Err(AccountError::Link)
                }
            }
        }
    }

    pub(crate) async fn mail_sign_up(
        &self,
        email: &Email,
        password: String,
        invitation: Option<String>,
    ) -> Result<(), AccountError> {
        if self
            .store
            .user_by_email(&email.hash())
            .await
            .map_err(registry)?
            .is_some()
        {
            self.make_decoy(email).await?;
            return self
                .send(messages::taken(self.links(), email.as_str()))
                .await;
        }
        let purpose = LinkPurpose::SignUp {
            email: email.as_str().to_owned(),
            password,
            invitation,
        };
        let secret = self.make_link(purpose, CONFIRM_LIFETIME).await?;
        self.send(messages::confirm(self.links(), email.as_str(), &secret))
            .await
    }

    /// Makes the account for which a link was followed.
    pub(crate) async fn finish_sign_up(
        &self,
        found: ValidLink,
        (email, password): (String, String),
        invitation: Option<&str>,
    ) -> Result<(), AccountError> {
        let mut used_up = vec![(found.hash, found.revision)];
        if let Some(invitation) = invitation {
            let hash: Digest = invitation.parse().map_err(|_| AccountError::Link)?;
            let link: Option<Stored<LinkRecord>> =
                self.store.link(&hash).await.map_err(registry)?;
            let live = link.filter(|link| link.record.expires_unix_ms > self.now());
            let live = live.ok_or(AccountError::SignUp(
                "the invitation has been used, or has expired",
            ))?;
            used_up.push((hash, live.revision));
        }
        match self
            .create(
                Fresh {
                    email,
                    password,
                    role: Role::User,
                },
                used_up,
            )
            .await
        {
            Ok(_) => Ok(()),
            // Somebody else was faster, who has confirmed the address as well.
            Err(AccountError::Taken) => Err(AccountError::Link),
            Err(error) => Err(error),
        }
    }

    /// Makes an account and uses links up, or does neither.
    pub(crate) async fn create(
        &self,
        fresh: Fresh,
        used_up: UsedUp,
    ) -> Result<(UserId, Stored<UserRecord>), AccountError> {
        let user = UserId::new();
        let email = hash_of(&fresh.email);
        let record = UserRecord {
            schema: UserRecord::SCHEMA,
            email: fresh.email,
            password: fresh.password,
            role: fresh.role.name().to_owned(),
            space: SpaceId::new().to_string(),
            created_unix_ms: self.now(),
            epoch: 0,
            token_epoch: 0,
            deleted: false,
        };
        for _ in 0..ATTEMPTS_MAX {
            let txn = AccountTxn::new()
                .when_user_missing(&user)
                .put_user(&user, &record)
                .take_email(&email, &user);
            let txn = used_up
                .iter()
                .fold(txn, |txn, (hash, revision)| txn.use_link(hash, *revision));
            if let Some(revision) = self.store.commit(txn).await.map_err(registry)? {
                self.wrote_user(&user, record.clone(), revision);
                return Ok((user, Stored { record, revision }));
            }
            for (hash, revision) in &used_up {
                let link = self.store.link(hash).await.map_err(registry)?;
                link.filter(|link| link.revision == *revision)
                    .ok_or(AccountError::Link)?;
            }
            if self
                .store
                .user_by_email(&email)
                .await
                .map_err(registry)?
                .is_some()
            {
                return Err(AccountError::Taken);
            }
        }
        Err(contended("the address"))
    }
}
