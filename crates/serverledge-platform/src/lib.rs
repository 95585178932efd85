//! Accounts: who people are, how they show it, and what is mailed to them. Users, sessions, API tokens and links lie in
//! the registry; each request is checked against a snapshot in memory that follows it (`docs/accounts.md`).

mod accounts;
mod admin;
mod background;
mod clock;
mod deletion;
mod email;
mod errors;
mod follow;
mod links;
mod log_in;
mod mail;
mod messages;
mod password;
mod platform;
mod rates;
mod secret;
mod settings;
mod sign_up;
mod smtp;
mod snapshot;
#[cfg(test)]
mod tests;
mod tokens;

pub use admin::{Granted, UserInfo};
pub use clock::{Clock, SystemClock};
pub use mail::{LogMailer, Mail, MailError, Mailer};
pub use platform::{Options, Platform, Signup};
pub use smtp::{SmtpLogin, SmtpMailer, SmtpOptions, SmtpTls};
pub use snapshot::Deleted;
