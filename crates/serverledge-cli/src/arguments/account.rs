//! Arguments of the commands for accounts and tokens. No option takes a secret: files, stdin and the terminal do.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Subcommand};

use crate::confirm::ConfirmArgs;

/// Lifetime of a token that `login` makes, unless the command line says otherwise.
const LOGIN_LIFETIME: &str = "90d";

/// Commands on the account.
#[derive(Debug, Subcommand)]
pub(crate) enum AccountCommand {
    /// Make an account, and log in
    SignUp(SignUpArgs),
    /// Change the e-mail address
    Email(EmailArgs),
    /// Change the password; other sessions end
    Password(PasswordArgs),
    /// Ask for a link for a new password
    Forgot(ForgotArgs),
    /// Choose a new password with the link that was sent
    Reset(ResetArgs),
    /// Confirm an address with the link that was sent to it
    Confirm(LinkArgs),
    /// Delete the account with everything that it owns
    Delete(DeleteAccountArgs),
    /// Make an invitation, as operators may
    Invite,
}

/// Commands on API tokens.
#[derive(Debug, Subcommand)]
pub(crate) enum TokenCommand {
    /// Make a token; it is shown this once
    Create(TokenCreateArgs),
    /// List the account's tokens
    List,
    /// Revoke a token
    Revoke(TokenRevokeArgs),
}

/// Options of `login`.
#[derive(Debug, Args)]
pub(crate) struct LoginArgs {
    /// Address of the account [default: asked for at the terminal]
    #[arg(long, value_name = "EMAIL")]
    pub(crate) email: Option<String>,
    /// File with the password; - is stdin [default: asked for at the terminal]
    #[arg(long, value_name = "FILE")]
    pub(crate) password_file: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) wanted: WantedArgs,
}

/// The scopes and the lifetime that a token shall have.
#[derive(Debug, Args)]
pub(crate) struct WantedArgs {
    /// Scopes of the token: invoke, deploy, admin, or metrics (an operator's /metrics alone); separated by commas
    #[arg(long, value_name = "SCOPES", value_delimiter = ',', default_value = "invoke,deploy,admin", value_parser = ["invoke", "deploy", "admin", "metrics"], hide_possible_values = true)]
    pub(crate) scope: Vec<String>,
    /// Lifetime of the token: a number with s, m, h or d, or never
    #[arg(long, value_name = "SPAN", value_parser = parse_lifetime, default_value = LOGIN_LIFETIME)]
    pub(crate) expires: Lifetime,
}

/// Options of `logout`.
#[derive(Debug, Args)]
pub(crate) struct LogoutArgs {
    /// Forget the token even if the node cannot be asked to revoke it
    #[arg(long)]
    pub(crate) force: bool,
}

/// Options of `account sign-up`.
#[derive(Debug, Args)]
pub(crate) struct SignUpArgs {
    #[command(flatten)]
    pub(crate) login: LoginArgs,
    /// File with an invitation; - is stdin
    #[arg(long, value_name = "FILE")]
    pub(crate) invite_file: Option<PathBuf>,
}

/// Options of `account email`.
#[derive(Debug, Args)]
pub(crate) struct EmailArgs {
    /// The new address
    #[arg(value_name = "EMAIL")]
    pub(crate) address: String,
    /// File with the password; - is stdin [default: asked for at the terminal]
    #[arg(long, value_name = "FILE")]
    pub(crate) password_file: Option<PathBuf>,
}

/// Options of `account password`.
#[derive(Debug, Args)]
pub(crate) struct PasswordArgs {
    /// File with the password until now; - is stdin [default: asked for at the terminal]
    #[arg(long, value_name = "FILE")]
    pub(crate) password_file: Option<PathBuf>,
    /// File with the new password [default: asked for at the terminal]
    #[arg(long, value_name = "FILE")]
    pub(crate) new_password_file: Option<PathBuf>,
}

/// Options of `account forgot`.
#[derive(Debug, Args)]
pub(crate) struct ForgotArgs {
    /// Address of the account [default: asked for at the terminal]
    #[arg(long, value_name = "EMAIL")]
    pub(crate) email: Option<String>,
}

/// Options of `account reset`.
#[derive(Debug, Args)]
pub(crate) struct ResetArgs {
    #[command(flatten)]
    pub(crate) link: LinkArgs,
    /// File with the new password [default: asked for at the terminal]
    #[arg(long, value_name = "FILE")]
    pub(crate) new_password_file: Option<PathBuf>,
}

/// A link, which is as good as a password until it is used.
#[derive(Debug, Args)]
pub(crate) struct LinkArgs {
    /// File with the link; - is stdin [default: asked for at the terminal]
    #[arg(long, value_name = "FILE")]
    pub(crate) link_file: Option<PathBuf>,
}

/// Options of `account delete`.
#[derive(Debug, Args)]
pub(crate) struct DeleteAccountArgs {
    /// File with the password; - is stdin [default: asked for at the terminal]
    #[arg(long, value_name = "FILE")]
    pub(crate) password_file: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) confirm: ConfirmArgs,
}

/// Options of `token create`.
#[derive(Debug, Args)]
pub(crate) struct TokenCreateArgs {
    /// Name of the token, for people
    #[arg(value_name = "NAME")]
    pub(crate) label: String,
    #[command(flatten)]
    pub(crate) wanted: WantedArgs,
}

/// Options of `token revoke`.
#[derive(Debug, Args)]
pub(crate) struct TokenRevokeArgs {
    /// Id of the token, as `token list` shows it
    #[arg(value_name = "ID")]
    pub(crate) id: String,
}

/// The lifetime of a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Lifetime {
    /// So long.
    Span(Duration),
    /// Until it is revoked.
    Unlimited,
}

impl Lifetime {
    /// In whole seconds, at least one; `None` without an end.
    pub(crate) fn seconds(self) -> Option<u64> {
        match self {
            Self::Span(span) => Some(span.as_secs().max(1)),
            Self::Unlimited => None,
        }
    }
}

fn parse_lifetime(text: &str) -> Result<Lifetime, String> {
    if text == "never" {
        return Ok(Lifetime::Unlimited);
    }
    let days = text
        .strip_suffix('d')
        .map(|days| days.parse::<u32>().ok().filter(|days| *days > 0));
    let span = match days {
        Some(days) => days.map(|days| Duration::from_secs(u64::from(days) * 24 * 60 * 60)),
        None => super::value::parse_span(text).ok(),
    };
    span.map(Lifetime::Span)
        .ok_or_else(|| "a number with s, m, h or d is needed, or never".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lifetimes_have_units() {
        for (text, seconds) in [
            ("30d", Some(2_592_000)),
            ("12h", Some(43_200)),
            ("90s", Some(90)),
            ("never", None),
        ] {
            assert_eq!(parse_lifetime(text).unwrap().seconds(), seconds, "{text}");
        }
        for text in ["", "d", "0d", "-1d", "1.5d", "soon", "99999999999d"] {
            assert!(parse_lifetime(text).is_err(), "{text}");
        }
    }
}
