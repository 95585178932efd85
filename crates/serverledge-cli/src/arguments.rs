//! The command line as clap sees it, after [`mod@crate::normalise`] has brought all spellings to one.

mod account;
mod application;
mod asynchronous;
mod secret;
mod update;

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand};
use clap_complete::Shell;

use crate::commands::RolloutArgs;
use crate::confirm::ConfirmArgs;
use crate::exit;
use crate::failure::Failure;

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
pub(crate) use secret::{SecretArgs, SecretCommand};
pub(crate) use update::UpdateArgs;

const EXAMPLES: &str = "\
Examples:
  serverledge-cli create --function hello --src hello.wasm
  serverledge-cli create greet.py --env GREETING=hi --secret API_KEY
  serverledge-cli invoke hello --param a:2 --param 'b:[1,2]'
  serverledge-cli invoke hello --params-file params.json --async
  serverledge-cli poll REQUEST_ID --wait
  serverledge-cli invocation wait REQUEST_ID --timeout 30s
  serverledge-cli dead-letter list
  serverledge-cli logs hello --follow
  serverledge-cli update greet --memory 256 --unset-env GREETING
  serverledge-cli secret set greet API_KEY
  serverledge-cli app create shop
  serverledge-cli --app shop create -f order --src order.wasm
  serverledge-cli --app shop endpoint add /order --function order
  serverledge-cli status --host 10.0.0.7 --port 1323
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

const CREATE_HELP: &str = "\
Examples:
  serverledge-cli create -f hello --src hello.wasm
  serverledge-cli create hello.py --memory 64 --timeout 5 --env LEVEL=debug
  serverledge-cli create mail.py --deps requirements.txt --secret SMTP_PASSWORD
  serverledge-cli create -f own --custom-image registry.example/team/own:1
  serverledge-cli create -f hello --src hello.wasm --update

The runtime is found out from the code: .wasm and .wat are wasm, .py is python; one .js, .mjs or .cjs file that names \
nothing of Node.js is javascript (WebAssembly, no container), everything else in JavaScript is nodejs.

Of a folder all regular files are sent, without links and without folders that tools make (node_modules, .git, \
__pycache__, .venv, .hg, .svn). requirements.txt, package.json and package-lock.json at its root, or named with --deps, \
are installed by the node.

The value of --secret NAME is that of the environment variable NAME, else it is asked for at the terminal; \
--secret NAME=@FILE reads it from a file, without the line end at its end.";

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

/// Options of every command.
#[derive(Debug, Default, Args)]
pub(crate) struct GlobalArgs {
    /// Host of the node: a name or an address [env: SERVERLEDGE_HOST] [default: 127.0.0.1]
    #[arg(
        long,
        short = 'H',
        global = true,
        value_name = "HOST",
        help_heading = "Global options"
    )]
    pub(crate) host: Option<String>,
    /// Port of the node [env: SERVERLEDGE_PORT] [default: api.port of the configuration, else 1323]
    #[arg(
        long,
        short = 'P',
        global = true,
        value_name = "PORT",
        help_heading = "Global options"
    )]
    pub(crate) port: Option<u16>,
    /// Path before the node's routes, where a proxy has it below one; SERVERLEDGE_URL says all at once: <https://example.org/faas>
    #[arg(
        long,
        global = true,
        value_name = "PATH",
        help_heading = "Global options"
    )]
    pub(crate) base_path: Option<String>,
    /// Speak TLS with the node [env: SERVERLEDGE_TLS=true]
    #[arg(long, global = true, help_heading = "Global options")]
    pub(crate) tls: bool,
    /// File with further certificate authorities to believe, PEM; implies --tls [env: SERVERLEDGE_CA_FILE]
    #[arg(
        long,
        global = true,
        value_name = "FILE",
        help_heading = "Global options"
    )]
    pub(crate) ca_file: Option<PathBuf>,
    /// File with the API token to send; - is stdin [env: SERVERLEDGE_TOKEN, SERVERLEDGE_TOKEN_FILE] [default: that of login]
    #[arg(
        long,
        global = true,
        value_name = "FILE",
        help_heading = "Global options"
    )]
    pub(crate) token_file: Option<PathBuf>,
    /// Send tokens and passwords to another machine without TLS, where everybody on the way can read them
    #[arg(long, global = true, help_heading = "Global options")]
    pub(crate) insecure_token: bool,
    /// Act on the functions of this application instead of your own
    #[arg(
        long,
        global = true,
        value_name = "APP",
        help_heading = "Global options"
    )]
    pub(crate) app: Option<String>,
    /// Print the node's answer as JSON even on a terminal, and its refusals as JSON on stderr
    #[arg(long, global = true, help_heading = "Global options")]
    pub(crate) json: bool,
    /// Say which node is asked and where its address came from
    #[arg(long, short = 'v', global = true, help_heading = "Global options")]
    pub(crate) verbose: bool,
}

/// All commands.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Deploy a function from a file, a folder, a .tar or an image
    #[command(after_help = CREATE_HELP)]
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
    /// Show an asynchronous invocation, wait for its end, or cancel it
    #[command(subcommand)]
    Invocation(InvocationCommand),
    /// List, show, redrive or purge dead letters: asynchronous invocations that failed through no fault of the function
    #[command(subcommand)]
    DeadLetter(DeadLetterCommand),
    /// Make a function ready ahead of calls
    Prewarm(PrewarmArgs),
    /// Delete a function
    Delete(DeleteArgs),
    /// List the deployed functions
    List,
    /// Show what a function wrote to its log
    #[command(
        after_help = "Examples:\n  serverledge-cli logs hello --tail 20\n  serverledge-cli logs hello --follow | grep \
        error\n  serverledge-cli logs hello --invocation 3f2a91c04b7d\n\nEach line begins with the time at which it was written \
        and the last 12 characters of the invocation's id (- for what was written while the code was loaded); with --json each is \
        an object."
    )]
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

/// A function, named by option or by position.
#[derive(Debug, Args)]
pub(crate) struct FunctionArgs {
    /// Name of the function
    #[arg(
        long = "function",
        short = 'f',
        alias = "name",
        value_name = "FUNCTION"
    )]
    function: Option<String>,
    /// Name of the function, instead of --function
    #[arg(value_name = "FUNCTION", conflicts_with = "function")]
    name: Option<String>,
}

impl FunctionArgs {
    /// The name that was given.
    pub(crate) fn name(&self) -> Result<&str, Failure> {
        let given = self.function.as_deref().or(self.name.as_deref());
        given.ok_or_else(|| Failure::usage("no function is named").hint("name one with --function"))
    }
}

/// Options of `create`.
#[derive(Debug, Args)]
pub(crate) struct CreateArgs {
    /// Name of the function [default: the file's name without its extension, or the folder's]
    #[arg(long, short = 'f', alias = "name", value_name = "NAME")]
    pub(crate) function: Option<String>,
    /// The code: a .wasm, .wat, .py, .js, .mjs or .cjs file, a folder, or a .tar; custom functions need none
    #[arg(long, value_name = "FILE")]
    pub(crate) src: Option<PathBuf>,
    /// The code, instead of --src
    #[arg(value_name = "FILE")]
    pub(crate) file: Option<PathBuf>,
    /// Runtime: wasm, javascript, python, nodejs or custom [default: found out from the code]
    #[arg(long, value_name = "RUNTIME")]
    pub(crate) runtime: Option<String>,
    /// Entry point inside the code [default: the runtime's own]
    #[arg(
        long,
        value_name = "HANDLER",
        default_value = "",
        hide_default_value = true
    )]
    pub(crate) handler: String,
    /// Memory: MiB, or a number with MiB or GiB [default: 128]
    #[arg(long, value_name = "MIB", value_parser = parse_memory)]
    pub(crate) memory: Option<i64>,
    /// Reserved cores; 0 reserves none
    #[arg(long, value_name = "CORES", default_value_t = 0.0)]
    pub(crate) cpu: f64,
    /// Concurrent calls in one sandbox, where the runtime can
    #[arg(long, short = 'C', value_name = "CALLS", default_value_t = 1)]
    pub(crate) max_concurrency: i64,
    /// Wall-clock limit of one invocation: seconds, or a number with ms, s, m or h [default: 30]
    #[arg(long, value_name = "SECONDS", value_parser = parse_seconds)]
    pub(crate) timeout: Option<f64>,
    /// Processor time limit of one invocation, in the same form [default: the wall-clock limit]
    #[arg(long, value_name = "SECONDS", value_parser = parse_seconds)]
    pub(crate) cpu_time: Option<f64>,
    /// An environment variable of the function; repeatable
    #[arg(long, value_name = "NAME=VALUE")]
    pub(crate) env: Vec<String>,
    /// A secret environment variable, never shown: the value of the environment variable NAME here, else asked for at the
    /// terminal; NAME=@FILE reads a file; repeatable
    #[arg(long, value_name = "NAME[=@FILE]")]
    pub(crate) secret: Vec<String>,
    /// Network of the function: none, or bridge (containers, where the node allows it) [default: none]
    #[arg(long, value_name = "NETWORK", value_parser = ["none", "bridge"], hide_possible_values = true)]
    pub(crate) network: Option<String>,
    /// A list of packages to install (requirements.txt, package.json, package-lock.json), if it is not in the folder;
    /// repeatable
    #[arg(long, value_name = "FILE")]
    pub(crate) deps: Vec<PathBuf>,
    /// Equal parameters give an equal result: the node may remember results
    #[arg(long)]
    pub(crate) idempotent: bool,
    /// Callers may download the code and run it themselves
    #[arg(long)]
    pub(crate) edge: bool,
    /// Instances: kept for the next call after a clean return, or fresh for every call [default: kept]
    #[arg(long, value_name = "ISOLATION", value_parser = ["kept", "fresh"], hide_possible_values = true)]
    pub(crate) isolation: Option<String>,
    /// Image of a custom function, which speaks the executor protocol on port 8080; implies --runtime custom
    #[arg(long, value_name = "IMAGE")]
    pub(crate) custom_image: Option<String>,
    /// A declared input; repeatable
    #[arg(long, short = 'i', value_name = "NAME:TYPE", value_delimiter = ',')]
    pub(crate) input: Vec<String>,
    /// A declared output; repeatable
    #[arg(long, short = 'o', value_name = "NAME:TYPE", value_delimiter = ',')]
    pub(crate) output: Vec<String>,
    /// Replace all of a function of the same name; `update` changes only what it names
    #[arg(long, short = 'u')]
    pub(crate) update: bool,
    #[command(flatten)]
    pub(crate) rollout: RolloutArgs,
}

/// Options of `invoke`.
#[derive(Debug, Args)]
pub(crate) struct InvokeArgs {
    #[command(flatten)]
    pub(crate) function: FunctionArgs,
    /// A parameter, or several separated by commas; repeatable
    #[arg(long, short = 'p', value_name = "NAME:VALUE")]
    pub(crate) param: Vec<String>,
    /// A parameter whose value is a string whatever it looks like; repeatable
    #[arg(long, value_name = "NAME:VALUE")]
    pub(crate) param_string: Vec<String>,
    /// File with the parameters as JSON; - is stdin
    #[arg(long, short = 'j', value_name = "FILE", conflicts_with_all = ["param", "param_string"])]
    pub(crate) params_file: Option<PathBuf>,
    /// Return at once with an id for `poll`
    #[arg(long, short = 'a')]
    pub(crate) r#async: bool,
    /// Fetch the function's log as well
    #[arg(long, short = 'o')]
    pub(crate) return_output: bool,
    /// Class of service: low, performance, availability or a number; async is --async
    #[arg(long, short = 'c', aliases = ["qosclass", "qos-class"], value_name = "CLASS", value_parser = parse_class, default_value = "low")]
    pub(crate) class: ClassArg,
    /// Longest acceptable response time; negative means any
    #[arg(long, aliases = ["qosrespt", "qos-respt"], value_name = "SECONDS", default_value_t = -1.0, hide_default_value = true)]
    pub(crate) resptime: f64,
    /// Longest wait for the result: seconds, or a number with ms, s, m or h
    #[arg(long, value_name = "SECONDS", value_parser = parse_span)]
    pub(crate) timeout: Option<Duration>,
    /// Names this piece of work: calls with the same key and parameters are one invocation; at most 128 visible ASCII
    /// characters
    #[arg(long, value_name = "KEY")]
    pub(crate) idempotency_key: Option<String>,
    /// With --async: URL that the node tells of the end
    #[arg(long, value_name = "URL")]
    pub(crate) callback: Option<String>,
}

impl InvokeArgs {
    /// Whether the call is handed over rather than waited for.
    pub(crate) fn is_async(&self) -> bool {
        self.r#async || self.class == ClassArg::Async
    }
}

/// A value of `--class`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ClassArg {
    /// A class of service, by its number.
    Class(i64),
    /// The oldest spelling of `--async`.
    Async,
}

fn parse_class(text: &str) -> Result<ClassArg, String> {
    let class = match text.to_ascii_lowercase().replace('_', "-").as_str() {
        "async" => return Ok(ClassArg::Async),
        "low" => 0,
        "performance" | "high-performance" => 1,
        "availability" | "high-availability" => 2,
        number => number
            .parse()
            .map_err(|_| "low, performance, availability, async or a number are allowed")?,
    };
    Ok(ClassArg::Class(class))
}

/// Some are parts of others: the longer ones come first.
const TIME_UNITS: [(&str, f64); 4] = [("ms", 0.001), ("s", 1.0), ("m", 60.0), ("h", 3600.0)];

fn parse_span(text: &str) -> Result<Duration, String> {
    let (number, unit) = split_unit(text, &TIME_UNITS);
    let span = number
        .parse::<f64>()
        .ok()
        .and_then(|number| Duration::try_from_secs_f64(number * unit).ok());
    let wanted = || "a number of seconds above 0 is needed, or one with ms, s, m or h".to_owned();
    span.filter(|span| !span.is_zero()).ok_or_else(wanted)
}

/// Seconds as they are sent; which of them a function may have is for the node to say.
fn parse_seconds(text: &str) -> Result<f64, String> {
    let (number, unit) = split_unit(text, &TIME_UNITS);
    let seconds = number
        .parse::<f64>()
        .ok()
        .map(|number| number * unit)
        .filter(|seconds| seconds.is_finite());
    seconds.ok_or_else(|| "a number of seconds is needed, or one with ms, s, m or h".to_owned())
}

/// MiB as they are sent; MB and GB mean the same as MiB and GiB, as in the memory of containers.
fn parse_memory(text: &str) -> Result<i64, String> {
    let units = [
        ("mib", 1),
        ("mb", 1),
        ("m", 1),
        ("gib", 1024),
        ("gb", 1024),
        ("g", 1024),
    ];
    let text = text.to_ascii_lowercase();
    let (number, unit) = split_unit(&text, &units);
    let mib = number
        .parse::<i64>()
        .ok()
        .and_then(|number| number.checked_mul(unit));
    mib.ok_or_else(|| "a whole number of MiB is needed, or one with MiB or GiB".to_owned())
}

/// A number and what its unit is worth; without a unit, one.
fn split_unit<'a, T: Copy + From<u8>>(text: &'a str, units: &[(&str, T)]) -> (&'a str, T) {
    let suffixed = units
        .iter()
        .find_map(|(unit, worth)| Some((text.strip_suffix(unit)?.trim_end(), *worth)));
    suffixed.unwrap_or((text, T::from(1)))
}

/// Options of `poll`.
#[derive(Debug, Args)]
pub(crate) struct PollArgs {
    /// Id of the request
    #[arg(long = "request", value_name = "ID")]
    request: Option<String>,
    /// Id of the request, instead of --request
    #[arg(value_name = "ID", conflicts_with = "request")]
    id: Option<String>,
    /// Wait until it has ended
    #[arg(long, short = 'w')]
    pub(crate) wait: bool,
    /// With --wait: how long to wait: seconds, or a number with ms, s, m or h
    #[arg(long, value_name = "SECONDS", value_parser = parse_span, requires = "wait")]
    pub(crate) timeout: Option<Duration>,
}

impl PollArgs {
    /// The id that was given.
    pub(crate) fn id(&self) -> Result<&str, Failure> {
        let given = self.request.as_deref().or(self.id.as_deref());
        given.ok_or_else(|| {
            Failure::usage("no request is named")
                .hint("`invoke --async` prints the id; pass it to poll")
        })
    }
}

/// Options of `prewarm`.
#[derive(Debug, Args)]
pub(crate) struct PrewarmArgs {
    #[command(flatten)]
    pub(crate) function: FunctionArgs,
    /// Number of sandboxes
    #[arg(long, short = 'c', value_name = "COUNT", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) count: u32,
    /// Pull the image again first (containers only)
    #[arg(long)]
    pub(crate) force_pull: bool,
}

/// Options of `delete`.
#[derive(Debug, Args)]
pub(crate) struct DeleteArgs {
    #[command(flatten)]
    pub(crate) function: FunctionArgs,
    #[command(flatten)]
    pub(crate) confirm: ConfirmArgs,
}

/// Options of `logs`.
#[derive(Debug, Args)]
pub(crate) struct LogsArgs {
    #[command(flatten)]
    pub(crate) function: FunctionArgs,
    /// Stay, and show what comes while it is written
    #[arg(long, short = 'F')]
    pub(crate) follow: bool,
    /// Number of kept lines to show [default: 100]
    #[arg(long, short = 'n', value_name = "LINES")]
    pub(crate) tail: Option<usize>,
    /// The lines of this invocation alone: its id, or the end of it as lines show it
    #[arg(long, value_name = "ID")]
    pub(crate) invocation: Option<String>,
}

impl Command {
    /// Whether the kept token is shown: not by those who are about to get one, or who have none.
    pub(crate) const fn shows_token(&self) -> bool {
        !matches!(
            self,
            Self::Login(_)
                | Self::Logout(_)
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

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;
    use expect_test::{Expect, expect};

    use super::*;

    /// Parses a line as typed and shows what clap made of it, or the first line of its complaint.
    fn check(line: &str, expected: &Expect) {
        let words = line
            .split_whitespace()
            .map(|word| std::ffi::OsString::from(word.replace('~', " ")));
        let shown = match crate::parse(words) {
            Ok(cli) => summary(&cli),
            Err(error) => error
                .to_string()
                .lines()
                .next()
                .unwrap_or_default()
                .to_owned(),
        };
        expected.assert_eq(&shown);
    }

    fn summary(cli: &Cli) -> String {
        let node = format!(
            "{}:{}",
            cli.global.host.as_deref().unwrap_or("-"),
            cli.global.port.unwrap_or(0)
        );
        let command = match &cli.command {
            Command::Create(args) => format!(
                "create {:?} {:?} {:?} {:?} {:?} C={} u={}",
                args.function,
                args.src,
                args.memory,
                args.runtime,
                args.handler,
                args.max_concurrency,
                args.update
            ),
            Command::Update(args) => format!(
                "update {:?} {:?} {:?}",
                args.function, args.file, args.memory
            ),
            Command::Invoke(args) => format!(
                "invoke {:?} {:?} {:?} a={} o={} {:?} {}",
                args.function.name().ok(),
                args.param,
                args.params_file,
                args.r#async,
                args.return_output,
                args.class,
                args.resptime
            ),
            Command::Poll(args) => format!("poll {:?} wait={}", args.id().ok(), args.wait),
            Command::Logs(args) => {
                format!(
                    "logs {:?} follow={} tail={:?}",
                    args.function.name().ok(),
                    args.follow,
                    args.tail
                )
            }
            Command::Prewarm(args) => {
                format!("prewarm {:?} {}", args.function.name().ok(), args.count)
            }
            other => format!("{other:?}"),
        };
        format!("{node} {command}")
    }

    #[test]
    fn definition_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn oldest_form_works() {
        check(
            "-host h -port 1 -cmd create -function func -memory 600 -src examples/hello.py -runtime python310 -handler hello.handler",
            &expect![[
                r#"h:1 create Some("func") Some("examples/hello.py") Some(600) Some("python310") "hello.handler" C=1 u=false"#
            ]],
        );
        check(
            "-host h -port 1 -cmd invoke -function func -param a:2 -param b:3 -qosclass async",
            &expect![[r#"h:1 invoke Some("func") ["a:2", "b:3"] None a=false o=false Async -1"#]],
        );
        check(
            "invoke -function func -param a:-1 -qosclass performance -qosrespt 2.5",
            &expect![[r#"-:0 invoke Some("func") ["a:-1"] None a=false o=false Class(1) 2.5"#]],
        );
        check("status -host h -port 2", &expect!["h:2 Status"]);
        check("-port=2 -host=h -cmd=status", &expect!["h:2 Status"]);
        check(
            "-function func -cmd delete",
            &expect![[
                r#"-:0 Delete(DeleteArgs { function: FunctionArgs { function: Some("func"), name: None }, confirm: ConfirmArgs { yes: false } })"#
            ]],
        );
    }

    #[test]
    fn go_form_works() {
        check(
            "-H h -P 3 create -u -f f --src f.wasm --max_concurrency 4 --memory=64",
            &expect![[r#"h:3 create Some("f") Some("f.wasm") Some(64) None "" C=4 u=true"#]],
        );
        check(
            "invoke -f f -j - -ao -c 2 --resptime -1 -v",
            &expect![[r#"-:0 invoke Some("f") [] Some("-") a=true o=true Class(2) -1"#]],
        );
        check(
            "prewarm -f f -c 3 --force_pull",
            &expect![[r#"-:0 prewarm Some("f") 3"#]],
        );
        check(
            "poll --request f-1",
            &expect![[r#"-:0 poll Some("f-1") wait=false"#]],
        );
        check(
            "poll f-1 -wait",
            &expect![[r#"-:0 poll Some("f-1") wait=true"#]],
        );
        check(
            "invoke f -p=a:2 -pb:3 --param -x:4 --",
            &expect![[
                r#"-:0 invoke Some("f") ["a:2", "b:3", "-x:4"] None a=false o=false Class(0) -1"#
            ]],
        );
        check(
            "invoke f --async=true --return_output=false -f=f",
            &expect![
                "error: the argument '[FUNCTION]' cannot be used with '--function <FUNCTION>'"
            ],
        );
    }

    #[test]
    fn logs_are_named_like_other_functions() {
        check(
            "logs f",
            &expect![[r#"-:0 logs Some("f") follow=false tail=None"#]],
        );
        check(
            "logs -f f -F --tail 5",
            &expect![[r#"-:0 logs Some("f") follow=true tail=Some(5)"#]],
        );
        check(
            "-function f -cmd logs -follow -tail=0",
            &expect![[r#"-:0 logs Some("f") follow=true tail=Some(0)"#]],
        );
        check(
            "logs f --tail -1",
            &expect![
                "error: invalid value '-1' for '--tail <LINES>': invalid digit found in string"
            ],
        );
        check(
            "create f.py --network host",
            &expect!["error: invalid value 'host' for '--network <NETWORK>'"],
        );
    }

    #[test]
    fn nested_commands_come_in_any_order() {
        let show = expect![[r#"h:1 Invocation(Show(IdArgs { id: "i-1" }))"#]];
        for line in [
            "-H h -P 1 invocation show i-1",
            "invocation -host h show i-1 -port=1",
            "show i-1 -cmd invocation -Hh -P 1",
        ] {
            check(line, &show);
        }
        check(
            "invocation cancel -- i-1",
            &expect![[r#"-:0 Invocation(Cancel(IdArgs { id: "i-1" }))"#]],
        );
        check(
            "invocation -timeout 30s wait i-1",
            &expect![[
                r#"-:0 Invocation(Wait(WaitArgs { invocation: IdArgs { id: "i-1" }, timeout: Some(30s) }))"#
            ]],
        );
        check(
            "dead-letter list",
            &expect!["-:0 DeadLetter(List(DeadLetterListArgs { limit: 100 }))"],
        );
        check(
            "--limit 7 dead-letter list",
            &expect!["-:0 DeadLetter(List(DeadLetterListArgs { limit: 7 }))"],
        );
        check(
            "dead-letter show show",
            &expect![[r#"-:0 DeadLetter(Show(IdArgs { id: "show" }))"#]],
        );
        check(
            "dead-letter purge -all",
            &expect![
                "-:0 DeadLetter(Purge(PurgeArgs { id: None, all: true, confirm: ConfirmArgs { yes: false } }))"
            ],
        );
        check(
            "dead-letter purge i-1 --all",
            &expect!["error: the argument '[ID]' cannot be used with '--all'"],
        );
        check(
            "dead-letter purge",
            &expect!["error: the following required arguments were not provided:"],
        );
        check(
            "dead-letter i-1",
            &expect!["error: unrecognized subcommand 'i-1'"],
        );
        check(
            "dead-letter list --limit 0",
            &expect!["error: invalid value '0' for '--limit <COUNT>': 0 is not in 1..=4294967295"],
        );
    }

    #[test]
    fn accounts_and_tokens() {
        check(
            "login --email a@b.example -password_file -",
            &expect![[
                r#"-:0 Login(LoginArgs { email: Some("a@b.example"), password_file: Some("-"), wanted: WantedArgs { scope: ["invoke", "deploy", "admin"], expires: Span(7776000s) } })"#
            ]],
        );
        check(
            "--scope deploy,invoke token create ci --expires never",
            &expect![[
                r#"-:0 Token(Create(TokenCreateArgs { label: "ci", wanted: WantedArgs { scope: ["deploy", "invoke"], expires: Unlimited } }))"#
            ]],
        );
        check("token list", &expect!["-:0 Token(List)"]);
        check(
            "token revoke t1 -H h",
            &expect![[r#"h:0 Token(Revoke(TokenRevokeArgs { id: "t1" }))"#]],
        );
        check(
            "account delete",
            &expect![
                "-:0 Account(Delete(DeleteAccountArgs { password_file: None, confirm: ConfirmArgs { yes: false } }))"
            ],
        );
        check(
            "logout --force",
            &expect!["-:0 Logout(LogoutArgs { force: true })"],
        );
        check("-cmd whoami", &expect!["-:0 Whoami"]);
        check(
            "token create ci --scope root",
            &expect!["error: invalid value 'root' for '--scope <SCOPES>'"],
        );
        check(
            "login --expires soon",
            &expect![
                "error: invalid value 'soon' for '--expires <SPAN>': a number with s, m, h or d is needed, or never"
            ],
        );
    }

    /// No option takes a secret itself: other users of the machine see command lines.
    #[test]
    fn secrets_have_no_option() {
        for line in [
            "list --token slt_x",
            "login --password x",
            "account sign-up --invite x",
            "login a@b.example x",
        ] {
            let words = line.split_whitespace().map(std::ffi::OsString::from);
            assert!(crate::parse(words).is_err(), "{line}");
        }
    }

    #[test]
    fn updates_name_what_changes() {
        check(
            "update f --memory 256",
            &expect![[r#"-:0 update None Some("f") Some(Set(256))"#]],
        );
        check(
            "update -u -f f -memory default",
            &expect![[r#"-:0 update Some("f") None Some(Reset)"#]],
        );
        check(
            "update f --memory lots",
            &expect![
                "error: invalid value 'lots' for '--memory <MIB>': a whole number of MiB is needed, or one with MiB or GiB, or default"
            ],
        );
        check(
            "update f --edge --no-edge",
            &expect!["error: the argument '--edge' cannot be used with '--no-edge'"],
        );
        check(
            "delete f -y",
            &expect![[
                r#"-:0 Delete(DeleteArgs { function: FunctionArgs { function: None, name: Some("f") }, confirm: ConfirmArgs { yes: true } })"#
            ]],
        );
        let named = |line: &str| {
            let words = line.split_whitespace().map(std::ffi::OsString::from);
            let Command::Secret(SecretCommand::Set(args)) = crate::parse(words).unwrap().command
            else {
                panic!("{line}")
            };
            args.parts()
                .map(|(function, secrets)| format!("{function} {secrets:?}"))
                .map_err(|fault| fault.render(false))
        };
        for line in [
            "secret set f A B=@x",
            "secret set -f f A B=@x",
            "set A B=@x -cmd secret -function f",
        ] {
            assert_eq!(named(line), Ok(r#"f ["A", "B=@x"]"#.to_owned()), "{line}");
        }
        assert!(
            named("secret set f")
                .unwrap_err()
                .contains("no secret is named")
        );
    }

    #[test]
    fn spans_are_seconds_unless_they_have_a_unit() {
        let read = |text| parse_span(text).ok().map(|span| span.as_millis());
        for (text, millis) in [
            ("2", 2_000),
            ("0.5", 500),
            ("30s", 30_000),
            ("250ms", 250),
            ("1.5m", 90_000),
            ("1h", 3_600_000),
        ] {
            assert_eq!(read(text), Some(millis), "{text}");
        }
        for text in [
            "", "s", "0", "0s", "-1", "1 day", "inf", "nan", "1e300h", "m30",
        ] {
            assert_eq!(read(text), None, "{text}");
        }
    }

    #[test]
    fn limits_have_units() {
        let memory = |text| parse_memory(text).ok();
        for (text, mib) in [
            ("64", 64),
            ("128MB", 128),
            ("128MiB", 128),
            ("128 m", 128),
            ("2GiB", 2048),
            ("-1", -1),
        ] {
            assert_eq!(memory(text), Some(mib), "{text}");
        }
        for text in ["", "MB", "128kB", "1.5GiB", "9223372036854775807GiB"] {
            assert_eq!(memory(text), None, "{text}");
        }
        let seconds = |text| parse_seconds(text).ok();
        for (text, count) in [
            ("2s", 2.0),
            ("2", 2.0),
            ("500ms", 0.5),
            ("1.5m", 90.0),
            ("0", 0.0),
            ("-1", -1.0),
        ] {
            assert_eq!(seconds(text), Some(count), "{text}");
        }
        check(
            "create f.wat --timeout soon",
            &expect![
                "error: invalid value 'soon' for '--timeout <SECONDS>': a number of seconds is needed, or one with ms, s, m or h"
            ],
        );
        check(
            "create f.wat --memory lots",
            &expect![
                "error: invalid value 'lots' for '--memory <MIB>': a whole number of MiB is needed, or one with MiB or GiB"
            ],
        );
    }

    #[test]
    fn mistakes_are_named() {
        check(
            "invoke -f",
            &expect![
                "error: a value is required for '--function <FUNCTION>' but none was supplied"
            ],
        );
        check(
            "invoke -function -param a:1",
            &expect![
                "error: a value is required for '--function <FUNCTION>' but none was supplied"
            ],
        );
        check("-cmd fly", &expect!["error: unrecognized subcommand 'fly'"]);
        check(
            "invoke f -p a:1 -j x",
            &expect![
                "error: the argument '--param <NAME:VALUE>' cannot be used with '--params-file <FILE>'"
            ],
        );
        check(
            "list --port 99999",
            &expect!["error: invalid value '99999' for '--port <PORT>': 99999 is not in 0..=65535"],
        );
        check(
            "invoke f --class best",
            &expect![
                "error: invalid value 'best' for '--class <CLASS>': low, performance, availability, async or a number are allowed"
            ],
        );
        check(
            "prewarm f -c 0",
            &expect!["error: invalid value '0' for '--count <COUNT>': 0 is not in 1..=4294967295"],
        );
        check(
            "create --sorce x",
            &expect!["error: unexpected argument '--sorce' found"],
        );
    }
}
