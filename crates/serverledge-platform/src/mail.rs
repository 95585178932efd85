//! Mail, as whoever sends it sees it.

use std::fmt;

use async_trait::async_trait;

/// A mail to one person. Its `Debug` form leaves the text out: there may be a secret in it.
#[derive(Clone, PartialEq, Eq)]
pub struct Mail {
    /// The address; checked.
    pub to: String,
    /// The subject; one line.
    pub subject: &'static str,
    /// Plain text, lines ended by `\n`.
    pub text: String,
}

/// The reason why a mail was not sent.
#[derive(Debug, thiserror::Error)]
pub enum MailError {
    /// It never will be: the address or the mail is refused.
    #[error("the mail server refuses the mail")]
    Refused(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// It may be later.
    #[error("failed to reach the mail server")]
    Unavailable(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// Sends mail.
#[async_trait]
pub trait Mailer: Send + Sync + fmt::Debug {
    /// Whether mail reaches people: only then are addresses confirmed, and only then does sign-up not tell which are taken.
    fn delivers(&self) -> bool;

    /// Sends one mail, once; the caller tries again after `Unavailable`. A dropped future may have sent it.
    ///
    /// # Errors
    /// [`MailError`].
    async fn send(&self, mail: &Mail) -> Result<(), MailError>;
}

/// The mailer of a node without a mail server: writes mails to the log, from which whoever runs the node hands links
/// on.
#[derive(Debug, Clone, Copy, Default)]
pub struct LogMailer;

#[async_trait]
impl Mailer for LogMailer {
    fn delivers(&self) -> bool {
        false
    }

    async fn send(&self, mail: &Mail) -> Result<(), MailError> {
        tracing::warn!(
            to = mail.to,
            subject = mail.subject,
            "no mail server (smtp.host): {}",
            mail.text
        );
        Ok(())
    }
}

impl fmt::Debug for Mail {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Mail")
            .field("to", &self.to)
            .field("subject", &self.subject)
            .finish_non_exhaustive()
    }
}
