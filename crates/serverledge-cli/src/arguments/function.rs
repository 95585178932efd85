//! Arguments of the commands that deploy functions, make them ready, delete them and show their logs.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use super::value::{parse_memory, parse_seconds};
use crate::commands::RolloutArgs;
use crate::confirm::ConfirmArgs;
use crate::failure::Failure;
use crate::words;

/// Text below the options of `create`.
pub(super) const CREATE_HELP: &str = "\
Examples:
  serverledge-cli create -f hello --src hello.wasm
  serverledge-cli create hello.py --memory 64 --timeout 5 --env LEVEL=debug
  serverledge-cli create mail.py --deps requirements.txt --secret SMTP_PASSWORD
  serverledge-cli create -f own --custom-image registry.example/team/own:1
  serverledge-cli create -f hello --src hello.wasm --update
  serverledge-cli create scale.wasm --args '{w} -' --stdin body --stdout raw
  serverledge-cli create rates.wasm --allow-host https://api.example.org

The runtime is found out from the code: .wasm and .wat are wasm; Python that needs its library only, and packages \
written in Python, is python-wasm (WebAssembly, no container), everything else in Python is python; one .js, .mjs or \
.cjs file that names nothing of Node.js is javascript (WebAssembly, no container), everything else in JavaScript is nodejs.

Of a folder all regular files are sent, without links and without folders that tools make (node_modules, .git, \
__pycache__, .venv, .hg, .svn). requirements.txt, package.json and package-lock.json at its root, or named with --deps, \
are installed by the node for functions in containers; for python-wasm pip fetches the packages here.

The value of --secret NAME is that of the environment variable NAME, else it is asked for at the terminal; \
--secret NAME=@FILE reads it from a file, without the line end at its end.";

/// The results of an idempotent function that may be kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Idempotency {
    /// Those of runs that sent no request.
    #[value(name = "true", hide = true)]
    WithoutRequests,
    /// All.
    Outbound,
}

/// Options of functions that are programs: WASI commands and `wasi:cli` components.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct ProgramArgs {
    /// Arguments of a program after its name, in one text that is split as by a shell; {NAME} becomes that parameter,
    /// {{ and }} are braces
    #[arg(long, value_name = "ARGUMENTS")]
    pub(crate) args: Option<String>,
    /// Standard input of a program: params, body (that of the HTTP request) or none [default: params]
    #[arg(long, value_name = "STDIN", value_parser = ["params", "body", "none"], hide_possible_values = true)]
    pub(crate) stdin: Option<String>,
    /// Standard output of a program: json (one value) or raw (any bytes) [default: json]
    #[arg(long, value_name = "STDOUT", value_parser = ["json", "raw"], hide_possible_values = true)]
    pub(crate) stdout: Option<String>,
    /// Content type of raw output; implies --stdout raw [default: application/octet-stream]
    #[arg(long, value_name = "TYPE")]
    pub(crate) stdout_type: Option<String>,
}

impl ProgramArgs {
    /// The arguments, if they were given.
    pub(crate) fn words(&self) -> Result<Option<Vec<String>>, Failure> {
        let words = self.args.as_deref().map(words::split).transpose();
        words.map_err(|fault| Failure::usage(format!("the text of --args is no list: {fault}")))
    }
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
    /// The name, if one was given.
    pub(crate) fn given(&self) -> Option<&str> {
        self.function.as_deref().or(self.name.as_deref())
    }

    /// The name that was given.
    pub(crate) fn name(&self) -> Result<&str, Failure> {
        self.given()
            .ok_or_else(|| Failure::usage("no function is named").hint("name one with --function"))
    }
}

/// Options of `create`.
#[derive(Debug, Clone, Args)]
pub(crate) struct CreateArgs {
    /// Name of the function [default: the file's name without its extension, or the folder's]
    #[arg(long, short = 'f', alias = "name", value_name = "NAME")]
    pub(crate) function: Option<String>,
    /// The code: a .wasm, .wat, .py, .js, .mjs or .cjs file, a folder, or a .tar; custom functions need none. A module in
    /// a folder (main.wasm, or the only one at its top) can read the files beside it
    #[arg(long, value_name = "FILE")]
    pub(crate) src: Option<PathBuf>,
    /// The code, instead of --src
    #[arg(value_name = "FILE")]
    pub(crate) file: Option<PathBuf>,
    /// Runtime: wasm, javascript, python-wasm, python, nodejs or custom [default: found out from the code]
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
    /// The host that a secret is for: the function finds a placeholder, which its node replaces in headers of requests to this
    /// host (one of --allow-host); repeatable
    #[arg(long, value_name = "NAME=HOST")]
    pub(crate) secret_for: Vec<String>,
    /// Network of the function: none, or bridge (containers, where the node allows it) [default: none]
    #[arg(long, value_name = "NETWORK", value_parser = ["none", "bridge"], hide_possible_values = true)]
    pub(crate) network: Option<String>,
    /// A host that the function may send requests to, by https unless it begins with http://; a :PORT may follow, and
    /// *.NAME is every name below NAME; repeatable; not beside --network bridge [default: none]
    #[arg(long, value_name = "HOST")]
    pub(crate) allow_host: Vec<String>,
    /// A list of packages to install (requirements.txt, package.json, package-lock.json), if it is not in the folder;
    /// repeatable
    #[arg(long, value_name = "FILE")]
    pub(crate) deps: Vec<PathBuf>,
    /// Equal parameters give an equal result: the node may remember results; with =outbound also those of runs that
    /// sent requests to hosts outside
    #[arg(long, value_name = "outbound", num_args = 0..=1, require_equals = true, default_missing_value = "true", hide_possible_values = true)]
    pub(crate) idempotent: Option<Idempotency>,
    /// Callers may download the code and run it themselves
    #[arg(long)]
    pub(crate) edge: bool,
    /// Instances: kept for the next call after a clean return, or fresh for every call [default: kept]
    #[arg(long, value_name = "ISOLATION", value_parser = ["kept", "fresh"], hide_possible_values = true)]
    pub(crate) isolation: Option<String>,
    #[command(flatten)]
    pub(crate) program: ProgramArgs,
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
    /// Stay, and show what comes while it is written; without a function, of all functions
    #[arg(long, short = 'F')]
    pub(crate) follow: bool,
    /// Number of kept lines to show [default: 100]
    #[arg(long, short = 'n', value_name = "LINES")]
    pub(crate) tail: Option<usize>,
    /// The lines of this invocation alone: its id, or the end of it as lines show it; without a function the id, and its
    /// lines on all nodes
    #[arg(long, value_name = "ID")]
    pub(crate) invocation: Option<String>,
}
