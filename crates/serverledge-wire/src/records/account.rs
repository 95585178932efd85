//! Records of accounts: users, their addresses, sessions, tokens, and what links in mails stand for.

use serde::{Deserialize, Serialize};

use super::Record;

/// The value of `users/<id>`. The id is in the key only. `Debug` leaves the password's hash out.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UserRecord {
    /// [`Record::SCHEMA`].
    pub schema: u32,
    /// The address as it was given; unique in lower case, by `emails/<hash>`.
    pub email: String,
    /// The password's hash as a PHC string; empty: there is none, and nobody can log in with one.
    pub password: String,
    /// A role's name.
    pub role: String,
    /// The user's own space.
    pub space: String,
    /// When the account was made, in Unix milliseconds.
    pub created_unix_ms: u64,
    /// Sessions and links of an earlier epoch are void.
    pub epoch: u64,
    /// Tokens of an earlier epoch are void.
    pub token_epoch: u64,
    /// The account is being deleted: nothing of it is valid, and its address is free.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub deleted: bool,
}

/// The value of `emails/<hash of the lower-case address>`: whose the address is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EmailRecord {
    /// [`Record::SCHEMA`].
    pub schema: u32,
    /// The user's id.
    pub user: String,
}

/// The value of `sessions/<hash of the secret>`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SessionRecord {
    /// [`Record::SCHEMA`].
    pub schema: u32,
    /// Whose it is.
    pub user: String,
    /// The user's epoch when it began.
    pub epoch: u64,
    /// When it began, in Unix milliseconds.
    pub created_unix_ms: u64,
    /// When it was last used, give or take some minutes.
    pub used_unix_ms: u64,
    /// When it ends if it is not used any more.
    pub idle_unix_ms: u64,
    /// When it ends in any case.
    pub expires_unix_ms: u64,
}

/// The value of `tokens/<hash of the secret>`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TokenRecord {
    /// [`Record::SCHEMA`].
    pub schema: u32,
    /// Whose it is.
    pub user: String,
    /// The user's token epoch when it was made.
    pub epoch: u64,
    /// What its owner calls it.
    pub name: String,
    /// Names of its scopes.
    pub scopes: Vec<String>,
    /// When it was made, in Unix milliseconds.
    pub created_unix_ms: u64,
    /// When it ends; absent: when it is revoked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_unix_ms: Option<u64>,
    /// When it was last used, give or take some minutes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub used_unix_ms: Option<u64>,
}

/// The value of `resets/<hash of the secret>`: what the secret in a link is good for, once.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LinkRecord {
    /// [`Record::SCHEMA`].
    pub schema: u32,
    /// When it is good for nothing any more, in Unix milliseconds.
    pub expires_unix_ms: u64,
    /// What for.
    #[serde(flatten)]
    pub purpose: LinkPurpose,
}

/// What a link is good for. `Debug` leaves the password's hash out.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum LinkPurpose {
    /// A new password.
    Reset {
        /// Whose.
        user: String,
        /// The user's epoch when the link was made: what ends sessions voids it.
        epoch: u64,
        /// The user's address when the link was made: another one voids it.
        email: String,
    },
    /// An account, once its address is confirmed.
    SignUp {
        /// The address.
        email: String,
        /// The password's hash as a PHC string.
        password: String,
        /// The invitation that is used up by it: the hash of its secret.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        invitation: Option<String>,
    },
    /// Another address of an account, once it is confirmed.
    ChangeEmail {
        /// Whose.
        user: String,
        /// The user's epoch when the link was made.
        epoch: u64,
        /// The new address.
        email: String,
    },
    /// Signing up where that needs an invitation.
    Invitation {
        /// Who invites.
        by: String,
    },
}

impl Record for UserRecord {
    const SCHEMA: u32 = 1;
}

impl Record for EmailRecord {
    const SCHEMA: u32 = 1;
}

impl Record for SessionRecord {
    const SCHEMA: u32 = 1;
}

impl Record for TokenRecord {
    const SCHEMA: u32 = 1;
}

impl Record for LinkRecord {
    const SCHEMA: u32 = 1;
}

impl std::fmt::Debug for UserRecord {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self {
            email,
            role,
            space,
            epoch,
            token_epoch,
            deleted,
            ..
        } = self;
        let mut form = f.debug_struct("UserRecord");
        form.field("email", email)
            .field("role", role)
            .field("space", space)
            .field("epoch", epoch);
        form.field("token_epoch", token_epoch)
            .field("deleted", deleted)
            .finish_non_exhaustive()
    }
}

impl std::fmt::Debug for LinkPurpose {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Reset { user, .. } => write!(f, "Reset({user})"),
            Self::SignUp { email, .. } => write!(f, "SignUp({email})"),
            Self::ChangeEmail { user, email, .. } => write!(f, "ChangeEmail({user}, {email})"),
            Self::Invitation { by } => write!(f, "Invitation({by})"),
        }
    }
}
