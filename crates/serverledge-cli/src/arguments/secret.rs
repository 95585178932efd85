//! Arguments of `secret`. No argument takes a value itself.

use clap::{Args, Subcommand};

use super::function::FunctionArgs;
use crate::failure::Failure;

/// Text below the options of `secret set`.
const SET_HELP: &str = "\
Examples:
  serverledge-cli secret set mail SMTP_PASSWORD
  serverledge-cli secret set mail SMTP_PASSWORD=@password.txt TOKEN=@-
  serverledge-cli secret set -f mail SMTP_PASSWORD < password.txt
  serverledge-cli secret set rates KEY --for api.example.org

The value of NAME is that of the environment variable NAME, else it is asked for at the terminal, else read from stdin. \
NAME=@FILE reads a file, NAME=@- stdin, without the line end at its end. A value on the command line is refused: the \
shell's history and every user of the machine could read it.";

/// Commands on the secrets of a function.
#[derive(Debug, Subcommand)]
pub(crate) enum SecretCommand {
    /// Set secrets of a function; its code and everything else stay
    #[command(after_help = SET_HELP)]
    Set(SecretSetArgs),
    /// List the names of a function's secrets; values are never shown
    List(FunctionArgs),
    /// Take secrets of a function away
    Remove(SecretArgs),
}

/// A function, names of secrets, and the hosts that they are for.
#[derive(Debug, Args)]
pub(crate) struct SecretSetArgs {
    #[command(flatten)]
    pub(crate) secrets: SecretArgs,
    /// A host that these secrets are for, as --secret-for of create says it; without it they are for those that they were
    /// for; repeatable
    #[arg(long = "for", value_name = "HOST")]
    pub(crate) hosts: Vec<String>,
}

/// A function and names of secrets.
#[derive(Debug, Args)]
pub(crate) struct SecretArgs {
    /// Name of the function
    #[arg(
        long = "function",
        short = 'f',
        alias = "name",
        value_name = "FUNCTION"
    )]
    function: Option<String>,
    /// Name of the function, unless --function names it, and the secrets
    #[arg(value_name = "NAME", required = true)]
    words: Vec<String>,
}

impl SecretArgs {
    /// The function, and the secrets.
    pub(crate) fn parts(&self) -> Result<(&str, &[String]), Failure> {
        let (function, secrets) = match (&self.function, self.words.as_slice()) {
            (Some(function), secrets) => (function, secrets),
            (None, [function, secrets @ ..]) => (function, secrets),
            (None, []) => {
                return Err(Failure::usage("no function is named").hint("name one with --function"));
            }
        };
        if secrets.is_empty() {
            return Err(Failure::usage("no secret is named")
                .hint(format!("name one after the function {function}")));
        }
        Ok((function, secrets))
    }
}
