//! What the parts of a node that deal with people are told: authentication, accounts, mail.

use std::time::Duration;

use serverledge_platform::{Signup, SmtpTls};

/// Who is let in.
#[derive(Debug, Clone, PartialEq)]
pub struct AuthConfig {
    /// Whether requests need a session or token.
    pub enabled: bool,
    /// How long known sessions and tokens are believed while the registry is away.
    pub offline_grace: Duration,
    /// How long a session lives without being used.
    pub session_idle: Duration,
    /// How long a session lives at most.
    pub session_lifetime: Duration,
}

/// Accounts.
#[derive(Debug, Clone, PartialEq)]
pub struct AccountsConfig {
    /// Who may sign up.
    pub signup: Signup,
    /// What links in mails begin with; empty: where the node listens.
    pub base_url: String,
}

/// The mail server.
#[derive(Debug, Clone, PartialEq)]
pub struct SmtpConfig {
    /// Its name; empty: there is none.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// How the way to it is kept private.
    pub tls: SmtpTls,
    /// Who asks; empty: nobody in particular. If not, there is a password file as well.
    pub user: String,
    /// File with that user's password.
    pub password_file: String,
    /// Who mails are from; not empty if there is a host.
    pub from: String,
    /// File with certificate authorities beside the system's; empty: none.
    pub ca_file: String,
}

impl AuthConfig {
    pub(super) const fn base() -> Self {
        Self {
            enabled: false,
            // Long enough to restart etcd, short enough that a stolen token is not good for the day.
            offline_grace: Duration::from_secs(15 * 60),
            session_idle: Duration::from_secs(24 * 3600),
            session_lifetime: Duration::from_secs(30 * 24 * 3600),
        }
    }
}

impl AccountsConfig {
    pub(super) const fn base() -> Self {
        Self {
            signup: Signup::Closed,
            base_url: String::new(),
        }
    }
}

impl SmtpConfig {
    pub(super) const fn base() -> Self {
        Self {
            host: String::new(),
            port: 0,
            tls: SmtpTls::StartTls,
            user: String::new(),
            password_file: String::new(),
            from: String::new(),
            ca_file: String::new(),
        }
    }
}
