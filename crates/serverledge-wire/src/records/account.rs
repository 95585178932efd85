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
    /// Creation time of the account, in Unix milliseconds.
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
    /// The user that the session belongs to.
    pub user: String,
    /// The user's epoch when it began.
    pub epoch: u64,
    /// Start time of the session, in Unix milliseconds.
    pub created_unix_ms: u64,
    /// Time of the last use, in Unix milliseconds, to within some minutes.
    pub used_unix_ms: u64,
    /// Time of its end, in Unix milliseconds, if it is not used any more.
    pub idle_unix_ms: u64,
    /// Time of its end in any case, in Unix milliseconds.
    pub expires_unix_ms: u64,
}

/// The value of `tokens/<hash of the secret>`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TokenRecord {
    /// [`Record::SCHEMA`].
    pub schema: u32,
    /// The user that the token belongs to.
    pub user: String,
    /// The user's token epoch when it was made.
    pub epoch: u64,
    /// The name that its owner gave it.
    pub name: String,
    /// Names of its scopes.
    pub scopes: Vec<String>,
    /// Creation time, in Unix milliseconds.
    pub created_unix_ms: u64,
    /// Expiry time, in Unix milliseconds; absent: it is valid until it is revoked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_unix_ms: Option<u64>,
    /// Time of the last use, in Unix milliseconds, to within some minutes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub used_unix_ms: Option<u64>,
}

/// The value of `resets/<hash of the secret>`: what the secret in a link is good for, once.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LinkRecord {
    /// [`Record::SCHEMA`].
    pub schema: u32,
    /// Expiry time, in Unix milliseconds.
    pub expires_unix_ms: u64,
    /// The purpose of the link.
    #[serde(flatten)]
    pub purpose: LinkPurpose,
}

/// The purpose of a link. `Debug` leaves the password's hash out.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum LinkPurpose {
    /// A new password.
    Reset {
        /// The user whose password is set.
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
        /// The user whose address changes.
        user: String,
        /// The user's epoch when the link was made.
        epoch: u64,
        /// The new address.
        email: String,
    },
    /// Signing up where that needs an invitation.
    Invitation {
        /// The user who invites.
        by: String,
    },
}

impl Record for UserRecord {}
impl Record for EmailRecord {}
impl Record for SessionRecord {}
impl Record for TokenRecord {}
impl Record for LinkRecord {}

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
