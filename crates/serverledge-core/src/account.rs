//! The caller of a request: accounts, their rights, and the trait that stores accounts implement.

// Addresses alone: `core` has no sockets.
use core::net::IpAddr;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

use crate::id::{SpaceId, UserId};

/// The rights of a user beyond their own account and functions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Role {
    /// Nothing.
    #[default]
    User,
    /// Look after the node: status, metrics, prewarming, all dead letters, invitations.
    Operator,
}

impl Role {
    /// Its name in records and in the API.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::User => "user",
            Self::Operator => "operator",
        }
    }

    /// The role of this name.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        [Self::User, Self::Operator]
            .into_iter()
            .find(|role| role.name() == text)
    }
}

/// The operations that a credential permits; never more than its owner's role allows. A session permits all of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Scopes {
    /// Run functions, read results and logs.
    pub invoke: bool,
    /// Deploy, change and delete functions and applications.
    pub deploy: bool,
    /// Look after the account (tokens, settings) and, for operators, the node.
    pub admin: bool,
    /// Read the node's metrics, for operators, and nothing else: for a collector. `admin` includes it.
    pub metrics: bool,
}

impl Scopes {
    /// Everything: `admin` includes the metrics.
    pub const ALL: Self = Self {
        invoke: true,
        deploy: true,
        admin: true,
        metrics: false,
    };
    /// Names of all scopes, for messages.
    pub const NAMES: &'static str = "invoke, deploy, admin, metrics";

    /// From their names; `None` if one is unknown.
    #[must_use]
    pub fn parse<'a>(names: impl IntoIterator<Item = &'a str>) -> Option<Self> {
        let mut scopes = Self::default();
        for name in names {
            match name {
                "invoke" => scopes.invoke = true,
                "deploy" => scopes.deploy = true,
                "admin" => scopes.admin = true,
                "metrics" => scopes.metrics = true,
                _ => return None,
            }
        }
        Some(scopes)
    }

    /// Their names, in a fixed order.
    #[must_use]
    pub fn names(self) -> Vec<&'static str> {
        let all = [
            (self.invoke, "invoke"),
            (self.deploy, "deploy"),
            (self.admin, "admin"),
            (self.metrics, "metrics"),
        ];
        all.into_iter()
            .filter(|(on, _)| *on)
            .map(|(_, name)| name)
            .collect()
    }

    /// Whether they are good for nothing that `other` is not good for.
    #[must_use]
    pub const fn within(self, other: Self) -> bool {
        (!self.invoke || other.invoke)
            && (!self.deploy || other.deploy)
            && (!self.admin || other.admin)
            && (!self.metrics || other.metrics || other.admin)
    }
}

/// A credential that a request presents to identify its caller.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Credential<'a> {
    /// The value of a session cookie.
    Session(&'a str),
    /// An API token (`slt_…`).
    Token(&'a str),
}

/// The credential that identified an account. The ids are not secrets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Via {
    /// A browser session of this id.
    Session(String),
    /// An API token of this id.
    Token(String),
}

/// The account behind a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account {
    /// The id of the user.
    pub user: UserId,
    /// Their role.
    pub role: Role,
    /// The scopes of the credential.
    pub scopes: Scopes,
    /// The credential that identified the account.
    pub via: Via,
}

/// The caller of a request, and the space whose functions it acts on. Cloning is cheap enough for each request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    /// The space that routes act on: the account's own, an application's, or, while authentication is off, everybody's.
    pub space: SpaceId,
    /// The account; `None`: nobody has to say who they are, and nobody did.
    pub account: Option<Arc<Account>>,
}

impl Caller {
    /// Anybody, while authentication is off: everything on the default space, and the node's own routes.
    #[must_use]
    pub fn anonymous() -> Self {
        Self {
            space: SpaceId::default_space(),
            account: None,
        }
    }

    /// The same caller on another space of theirs.
    #[must_use]
    pub fn on(&self, space: SpaceId) -> Self {
        Self {
            space,
            account: self.account.clone(),
        }
    }

    /// Their user id, if they are known.
    #[must_use]
    pub fn user(&self) -> Option<&UserId> {
        self.account.as_ref().map(|account| &account.user)
    }

    /// Whether they may look after the node.
    #[must_use]
    pub fn operates(&self) -> bool {
        self.account
            .as_ref()
            .is_none_or(|account| account.role == Role::Operator && account.scopes.admin)
    }

    /// Whether they may read the node's metrics.
    #[must_use]
    pub fn reads_metrics(&self) -> bool {
        self.account.as_ref().is_none_or(|account| {
            account.role == Role::Operator && (account.scopes.admin || account.scopes.metrics)
        })
    }

    /// Whether their credential is good for what `scope` picks.
    #[must_use]
    pub fn may(&self, scope: impl Fn(Scopes) -> bool) -> bool {
        self.account
            .as_ref()
            .is_none_or(|account| scope(account.scopes))
    }
}

/// The reason why a credential is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum AuthError {
    /// Malformed, unknown, revoked or expired: which of them is not told.
    #[error("the credential is not valid (any more)")]
    Invalid,
    /// The registry has been away for longer than known credentials are believed.
    #[error("credentials cannot be checked: the registry has been unavailable for too long")]
    Stale,
}

/// The reason why an account operation failed; nothing was changed.
#[derive(Debug, thiserror::Error)]
pub enum AccountError {
    /// The input breaks a rule.
    #[error("{message}")]
    Invalid {
        /// A stable code.
        code: &'static str,
        /// The fault, and how to correct it.
        message: String,
    },
    /// E-mail and password do not fit: which of them is not told.
    #[error("e-mail and password do not fit")]
    WrongCredentials,
    /// The address has an account. Only told where no e-mail can be sent.
    #[error("this e-mail address has an account already")]
    Taken,
    /// Sign-up is closed, or needs an invitation.
    #[error("{0}")]
    SignUp(&'static str),
    /// The link, or its secret, is unknown, used or expired.
    #[error("this link is not valid (any more); ask for a new one")]
    Link,
    /// The caller may not.
    #[error("{0}")]
    Forbidden(&'static str),
    /// No such token, session or user.
    #[error("{0} is unknown")]
    Unknown(&'static str),
    /// Too many tries.
    #[error("too many tries; wait before the next one")]
    TooMany {
        /// Time until another try is allowed.
        retry_after: Duration,
    },
    /// Something this node depends on does not answer.
    #[error("{what} is unavailable")]
    Dependency {
        /// The dependency that does not answer.
        what: &'static str,
        /// A stable code.
        code: &'static str,
        /// The cause.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// Our fault.
    #[error("internal error: {message}")]
    Internal {
        /// The operation that failed; for the log, not for the caller.
        message: String,
    },
}

/// The result of a sign-up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SignedUp {
    /// The account is there and logged in.
    LoggedIn(NewSession),
    /// A mail was sent, whether or not the address was free.
    ConfirmationSent,
}

/// A session that was just made. Its secret is shown this once.
#[derive(Clone, PartialEq, Eq)]
pub struct NewSession {
    /// The cookie's value.
    pub secret: String,
    /// Longest lifetime of the session.
    pub lifetime: Duration,
    /// The user that the session belongs to.
    pub user: UserId,
}

impl fmt::Debug for NewSession {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NewSession")
            .field("user", &self.user)
            .finish_non_exhaustive()
    }
}

/// An account as its owner sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Profile {
    /// The id of the user.
    pub user: UserId,
    /// Their address.
    pub email: String,
    /// Their role.
    pub role: Role,
    /// Their own space.
    pub space: SpaceId,
    /// Creation time of the account, in Unix milliseconds.
    pub created_unix_ms: u64,
}

/// A token as its owner sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenInfo {
    /// Its id; not a secret.
    pub id: String,
    /// The name that the owner gave it.
    pub name: String,
    /// The scopes of the token.
    pub scopes: Scopes,
    /// Creation time, in Unix milliseconds.
    pub created_unix_ms: u64,
    /// Expiry time, in Unix milliseconds; `None`: it is valid until it is revoked.
    pub expires_unix_ms: Option<u64>,
    /// Time of the last use, in Unix milliseconds, to within some minutes.
    pub used_unix_ms: Option<u64>,
}

/// The properties of a token to be created.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewToken {
    /// The name that the owner gives it.
    pub name: String,
    /// The scopes that it shall have.
    pub scopes: Scopes,
    /// Its lifetime; `None`: it is valid until it is revoked.
    pub lifetime: Option<Duration>,
}

/// A session as its owner sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SessionInfo {
    /// Its id; not a secret.
    pub id: String,
    /// Start time of the session, in Unix milliseconds.
    pub created_unix_ms: u64,
    /// Time of the last use, in Unix milliseconds, to within some minutes.
    pub used_unix_ms: u64,
}

/// Accounts, sessions and tokens. What is checked on each request is in memory; everything else asks the registry.
/// `from` is the address of whoever asks, for rate limits. Dropping a future leaves the operation done or not done.
#[async_trait]
pub trait Accounts: Send + Sync {
    /// Returns the caller that this credential belongs to. Looks in memory only.
    ///
    /// # Errors
    /// [`AuthError`]; [`Caller::space`] is the account's own space.
    fn authenticate(&self, credential: Credential<'_>) -> Result<Caller, AuthError>;

    /// Makes an account, or sends a mail to confirm the address first.
    async fn sign_up(
        &self,
        email: &str,
        password: &str,
        invite: Option<&str>,
        from: IpAddr,
    ) -> Result<SignedUp, AccountError>;

    /// Performs the action of a link in a mail: confirms an address, at sign-up or after a change.
    async fn confirm(&self, secret: &str, from: IpAddr) -> Result<(), AccountError>;

    /// Begins a session; its id is new.
    async fn log_in(
        &self,
        email: &str,
        password: &str,
        from: IpAddr,
    ) -> Result<NewSession, AccountError>;

    /// Ends the caller's session.
    async fn log_out(&self, caller: &Caller) -> Result<(), AccountError>;

    /// Ends all sessions of the caller's account.
    async fn log_out_everywhere(&self, caller: &Caller) -> Result<(), AccountError>;

    /// Whether mails go out; else their links are written to the node's log.
    fn delivers_mail(&self) -> bool;

    /// Sends a link for a new password, if the address has an account; which is not told.
    async fn request_reset(&self, email: &str, from: IpAddr) -> Result<(), AccountError>;

    /// Sets a new password with the secret of such a link. Sessions end and tokens are revoked.
    async fn reset(&self, secret: &str, password: &str, from: IpAddr) -> Result<(), AccountError>;

    /// The caller's account.
    async fn profile(&self, caller: &Caller) -> Result<Profile, AccountError>;

    /// Changes the address, at once or (`true`) after the link in a mail to the new one was followed.
    async fn change_email(
        &self,
        caller: &Caller,
        password: &str,
        email: &str,
        from: IpAddr,
    ) -> Result<bool, AccountError>;

    /// Changes the password; other sessions end.
    async fn change_password(
        &self,
        caller: &Caller,
        old: &str,
        new: &str,
        from: IpAddr,
    ) -> Result<(), AccountError>;

    /// Marks the account and everything it owns for deletion: from now on nobody can use it.
    async fn delete(
        &self,
        caller: &Caller,
        password: &str,
        from: IpAddr,
    ) -> Result<(), AccountError>;

    /// The caller's tokens.
    async fn tokens(&self, caller: &Caller) -> Result<Vec<TokenInfo>, AccountError>;

    /// Makes a token; the second is its secret, shown this once.
    async fn create_token(
        &self,
        caller: &Caller,
        token: NewToken,
    ) -> Result<(TokenInfo, String), AccountError>;

    /// Revokes a token of the caller's.
    async fn revoke_token(&self, caller: &Caller, id: &str) -> Result<(), AccountError>;

    /// The caller's sessions.
    async fn sessions(&self, caller: &Caller) -> Result<Vec<SessionInfo>, AccountError>;

    /// Ends one of the caller's sessions.
    async fn end_session(&self, caller: &Caller, id: &str) -> Result<(), AccountError>;

    /// Makes an invitation, which lets one person sign up; returns its secret. For operators.
    async fn invite(&self, caller: &Caller) -> Result<String, AccountError>;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_never_exceeds_its_owners_role() {
        let caller = |role, scopes| {
            let account = Account {
                user: UserId::new(),
                role,
                scopes,
                via: Via::Token("t".to_owned()),
            };
            Caller {
                space: SpaceId::default_space(),
                account: Some(Arc::new(account)),
            }
        };
        assert!(Caller::anonymous().operates());
        assert!(caller(Role::Operator, Scopes::ALL).operates());
        assert!(!caller(Role::User, Scopes::ALL).operates());
        assert!(
            !caller(
                Role::Operator,
                Scopes {
                    admin: false,
                    ..Scopes::ALL
                }
            )
            .operates()
        );
    }

    #[test]
    fn scopes_have_names() {
        assert_eq!(Scopes::parse(Scopes::ALL.names()), Some(Scopes::ALL));
        assert_eq!(Scopes::parse(["root"]), None);
        assert_eq!(
            Scopes::parse(Scopes::NAMES.split(", "))
                .unwrap()
                .names()
                .join(", "),
            Scopes::NAMES
        );
    }

    #[test]
    fn scopes_contain_each_other() {
        let of = |names: &str| Scopes::parse(names.split(',')).unwrap();
        for (inner, outer, fits) in [
            ("invoke", "invoke,deploy", true),
            ("deploy", "invoke", false),
            ("metrics", "admin", true),
            ("admin", "metrics", false),
            ("metrics", "metrics", true),
            ("metrics", "invoke,deploy", false),
        ] {
            assert_eq!(of(inner).within(of(outer)), fits, "{inner} in {outer}");
        }
    }
}
