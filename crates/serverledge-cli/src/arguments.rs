//! The command line as clap sees it, after [`mod@crate::normalise`] has brought all spellings to one.

mod account;
mod application;
mod asynchronous;
mod function;
mod global;
mod invoke;
mod kv;
mod observe;
mod project;
mod secret;
mod update;
mod value;

use std::collections::BTreeSet;
use std::time::Duration;

use clap::{Args as _, Parser, Subcommand};
use clap_complete::Shell;

use crate::exit;

pub(crate) use account::{
    AccountCommand, DeleteAccountArgs, EmailArgs, ForgotArgs, LinkArgs, LoginArgs, LogoutArgs,
    PasswordArgs, ResetArgs, SignUpArgs, TokenCommand, TokenCreateArgs, WantedArgs,
};
pub(crate) use application::{
    AppCommand, DeleteAppArgs, DependenciesArgs, EndpointAddArgs, EndpointCommand,
    EndpointRemoveArgs, FunctionCommand, RenameArgs, SettingsArgs,
};
pub(crate) use asynchronous::{
    DeadLetterCommand, DeadLetterListArgs, IdArgs, InvocationCommand, PurgeArgs, WaitArgs,
};
pub(crate) use function::{
    CreateArgs, DeleteArgs, FunctionArgs, Idempotency, LogsArgs, PrewarmArgs, ProgramArgs,
};
pub(crate) use global::GlobalArgs;
pub(crate) use invoke::{ClassArg, InvokeArgs, PollArgs};
pub(crate) use kv::{
    KvClearArgs, KvCommand, KvIncrementArgs, KvKeyArgs, KvListArgs, KvSetArgs, StoreArgs,
};
pub(crate) use observe::{RunListArgs, TopArgs};
pub(crate) use project::{DevArgs, NewArgs, RunArgs};
pub(crate) use secret::{SecretArgs, SecretCommand, SecretSetArgs};
pub(crate) use update::UpdateArgs;

const EXAMPLES: &str = "\
Examples:
  serverledge-cli new hello --template go
  serverledge-cli dev hello
  serverledge-cli run hello.js -p name:Ada
  serverledge-cli create --function hello --src hello.wasm
  serverledge-cli create greet.py --env GREETING=hi --secret API_KEY
  serverledge-cli invoke hello --param a:2 --param 'b:[1,2]'
  serverledge-cli invoke hello --params-file params.json --async
  serverledge-cli poll REQUEST_ID --wait
  serverledge-cli invocation wait REQUEST_ID --timeout 30s
  serverledge-cli invocation list --status failures --since 15m
  serverledge-cli dead-letter list
  serverledge-cli logs hello --follow
  serverledge-cli update greet --memory 256 --unset-env GREETING
  serverledge-cli secret set greet API_KEY
  serverledge-cli kv set greeting hello --ttl 1h
  serverledge-cli app create shop
  serverledge-cli --app shop create -f order --src order.wasm
  serverledge-cli --app shop endpoint add /order --function order
  serverledge-cli status --host 10.0.0.7 --port 1323
  serverledge-cli top
  serverledge-cli login --email ada@example.org
  serverledge-cli token create ci --scope deploy --expires 30d
  serverledge-cli -cmd invoke -function hello -param \"a:2\" -qosclass async

Long options take one dash or two, a value after a space or '=', '-' or '_' between words.
Options and command come in any order.

The node is --host and --port, else SERVERLEDGE_URL, else SERVERLEDGE_HOST and SERVERLEDGE_PORT, else api.port in
serverledge-conf.{toml,yaml,yml,json} of the working directory, $HOME or /etc/serverledge,
else 127.0.0.1:1323. With --tls, --ca-file, SERVERLEDGE_TLS=true or SERVERLEDGE_CA_FILE it is asked over TLS.

The token that says who asks is that in --token-file, else SERVERLEDGE_TOKEN, else that in SERVERLEDGE_TOKEN_FILE, else the
one that `login` made for this node. It leaves the machine over TLS only.
";
const LOGIN_HELP: &str = "\
Examples:
  serverledge-cli login --email ada@example.org
  serverledge-cli login --email ci@example.org --password-file - < password
  serverledge-cli login --scope invoke,deploy --expires 12h

The token is kept in serverledge/credentials.toml below $XDG_CONFIG_HOME or ~/.config, for this node alone; the file must be \
readable by its owner only.";

/// Command line client of a Serverledge node.
#[derive(Debug, Parser)]
#[command(
    name = "serverledge-cli",
    version,
    args_override_self = true,
    max_term_width = 120
)]
#[command(after_help = format!("{EXAMPLES}\n{}", exit::HELP))]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) global: GlobalArgs,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// All commands.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Make a folder for a function, from a template
    #[command(after_help = project::NEW_HELP)]
    New(NewArgs),
    /// Build and deploy a function's folder, and again after each change; show its log meanwhile
    #[command(after_help = project::DEV_HELP)]
    Dev(DevArgs),
    /// Run a function once without a node: a file, or a folder that is built
    #[command(after_help = project::RUN_HELP)]
    Run(RunArgs),
    /// Deploy a function from a file, a folder, a .tar or an image
    #[command(after_help = function::CREATE_HELP)]
    Create(CreateArgs),
    /// Change what is named of a function, and nothing else: code, limits, variables, secrets, flags
    #[command(after_help = update::HELP)]
    Update(UpdateArgs),
    /// Set, list or remove the secrets of a function
    #[command(subcommand)]
    Secret(SecretCommand),
    /// Run a function and show its result
    #[command(
        after_help = "Examples:\n  serverledge-cli invoke hello -p a:2 -p name:World\n  serverledge-cli invoke \
        hello -p 'list:[1,2,3],deep:{\"k\":\"v\"}'\n  serverledge-cli invoke hello --param-string id:007\n  echo \
        '{\"a\":2}' | serverledge-cli invoke hello -j -\n  serverledge-cli invoke hello --qosclass async\n  \
        serverledge-cli invoke pay --async --callback https://shop.example/paid\n\nA parameter's \
        value that is JSON (number, true, false, null, array, object, quoted string) is sent as such; any other is a string."
    )]
    Invoke(InvokeArgs),
    /// Show the result of an asynchronous invocation
    Poll(PollArgs),
    /// List the latest invocations, show one, wait for the end of an asynchronous one, or cancel it
    #[command(subcommand)]
    Invocation(InvocationCommand),
    /// List, show, redrive or purge dead letters: asynchronous invocations that failed through no fault of the function
    #[command(subcommand)]
    DeadLetter(DeadLetterCommand),
    /// Read and change the key-value stores of functions: list, get, set, delete, increment, clear
    #[command(subcommand)]
    Kv(KvCommand),
    /// Make a function ready ahead of calls
    Prewarm(PrewarmArgs),
    /// Delete a function
    Delete(DeleteArgs),
    /// List the deployed functions
    List,
    /// Show what a function wrote to its log
    #[command(after_help = observe::LOGS_HELP)]
    Logs(LogsArgs),
    /// Make, list, show, rename, change or delete applications
    #[command(subcommand)]
    App(AppCommand),
    /// Bind, list or remove the endpoints of the application that --app names
    #[command(subcommand)]
    Endpoint(EndpointCommand),
    /// List, show or delete functions, show their logs, or go back to earlier versions
    #[command(subcommand)]
    Function(FunctionCommand),
    /// Show the node's state
    Status,
    /// Show the node's load and its functions' figures, as they change
    #[command(after_help = observe::TOP_HELP)]
    Top(TopArgs),
    /// Show the other nodes as this one sees them
    Peers,
    /// Log in: make an API token for this machine, and keep it
    #[command(after_help = LOGIN_HELP)]
    Login(LoginArgs),
    /// Revoke the token that login made, and forget it
    Logout(LogoutArgs),
    /// Show whose token is sent, and what it is good for
    Whoami,
    /// Make, list or revoke API tokens
    #[command(subcommand)]
    Token(TokenCommand),
    /// Make an account, change or delete it, invite others
    #[command(subcommand)]
    Account(AccountCommand),
    /// Print a completion script for a shell
    #[command(
        after_help = "Examples:\n  serverledge-cli completions bash > serverledge-cli.bash\n  \
        serverledge-cli completions fish > serverledge-cli.fish\n\nThe shell reads a file named \
        serverledge-cli in ~/.local/share/bash-completion/completions, fish one in ~/.config/fish/completions."
    )]
    Completions {
        /// The shell
        shell: Shell,
    },
}

impl Command {
    /// Whether the kept token is shown: not by those who are about to get one, or who have none.
    pub(crate) const fn shows_token(&self) -> bool {
        !matches!(
            self,
            Self::Login(_)
                | Self::Logout(_)
                | Self::New(_)
                | Self::Run(_)
                | Self::Completions { .. }
                | Self::Account(
                    AccountCommand::SignUp(_)
                        | AccountCommand::Forgot(_)
                        | AccountCommand::Reset(_)
                        | AccountCommand::Confirm(_)
                )
        )
    }

    /// The longest time that one request may take, where the command line says so.
    pub(crate) const fn client_timeout(&self) -> Option<Duration> {
        match self {
            Self::Invoke(args) => args.timeout,
            _ => None,
        }
    }
}

impl CreateArgs {
    /// The options of `create` in these words of a command line, in clap's own spelling.
    ///
    /// # Errors
    /// The first line of clap's complaint.
    pub(crate) fn of_words(words: Vec<String>) -> Result<Self, String> {
        let before = ["serverledge-cli", "create"].map(str::to_owned);
        let line = before.into_iter().chain(words);
        let told = |error: &clap::Error| {
            let text = error.to_string();
            let first = text.lines().next().unwrap_or_default();
            first.strip_prefix("error: ").unwrap_or(first).to_owned()
        };
        match Cli::try_parse_from(line).map(|cli| cli.command) {
            Ok(Command::Create(args)) => Ok(args),
            Ok(_) => Err("they are of another command".to_owned()),
            Err(error) => Err(told(&error)),
        }
    }

    /// The long names of its options, without those of every command.
    pub(crate) fn option_names() -> BTreeSet<String> {
        let command = Self::augment_args(clap::Command::new("create"));
        command
            .get_arguments()
            .filter_map(|argument| argument.get_long())
            .map(str::to_owned)
            .collect()
    }

    /// All options at their defaults.
    pub(crate) fn none() -> Self {
        Self::of_words(Vec::new()).expect("no option of `create` is required")
    }
}

#[cfg(test)]
mod tests;
