//! Arguments of `update`: each that is not given stays as it is.

use std::path::PathBuf;

use clap::Args;
use serverledge_wire::members::Update;

use super::function::ProgramArgs;
use super::value::{parse_memory, parse_seconds};
use crate::commands::RolloutArgs;
use crate::commands::function_versions::FlagSwitches;

/// Text below the options.
pub(super) const HELP: &str = "\
Examples:
  serverledge-cli update -f hello --src hello.wasm
  serverledge-cli update hello --memory 256 --timeout default
  serverledge-cli update greet --env LEVEL=debug --unset-env GREETING
  serverledge-cli update mail --secret SMTP_PASSWORD --no-edge
  serverledge-cli update rates --allow-host https://api.example.org

What is not named stays as it is: memory, time limits, variables, secrets, flags, and without a source the code. The runtime \
stays with the code, unless the new source is in another language or --runtime names one. Where there is no such function \
and a source is named, it is created; `create --update` replaces all of a function instead.

FILE may be left out, or be the function's name. The value of --secret NAME is found as by `create`.";

/// Options of `update`.
#[derive(Debug, Args)]
pub(crate) struct UpdateArgs {
    /// Name of the function [default: the file's name without its extension, or the folder's]
    #[arg(long, short = 'f', alias = "name", value_name = "NAME")]
    pub(crate) function: Option<String>,
    /// New code: a .wasm, .wat, .py, .js, .mjs or .cjs file, a folder, or a .tar. A module in a folder (main.wasm, or the
    /// only one at its top) can read the files beside it
    #[arg(long, value_name = "FILE")]
    pub(crate) src: Option<PathBuf>,
    /// New code, instead of --src; or the name, instead of --function
    #[arg(value_name = "FILE")]
    pub(crate) file: Option<PathBuf>,
    /// Runtime: wasm, javascript, python-wasm, python, nodejs or custom
    #[arg(long, value_name = "RUNTIME")]
    pub(crate) runtime: Option<String>,
    /// Entry point inside the code; an empty one is the runtime's own
    #[arg(long, value_name = "HANDLER")]
    pub(crate) handler: Option<String>,
    /// Memory: MiB, or a number with MiB or GiB, or default
    #[arg(long, value_name = "MIB", value_parser = memory)]
    pub(crate) memory: Option<Update<i64>>,
    /// Reserved cores; 0 reserves none
    #[arg(long, value_name = "CORES")]
    pub(crate) cpu: Option<f64>,
    /// Concurrent calls in one sandbox, where the runtime can
    #[arg(long, short = 'C', value_name = "CALLS")]
    pub(crate) max_concurrency: Option<i64>,
    /// Wall-clock limit of one invocation: seconds, or a number with ms, s, m or h, or default
    #[arg(long, value_name = "SECONDS", value_parser = seconds)]
    pub(crate) timeout: Option<Update<f64>>,
    /// Processor time limit of one invocation, in the same form
    #[arg(long, value_name = "SECONDS", value_parser = seconds)]
    pub(crate) cpu_time: Option<Update<f64>>,
    /// Set an environment variable of the function, the others stay; repeatable
    #[arg(long, value_name = "NAME=VALUE")]
    pub(crate) env: Vec<String>,
    /// Take an environment variable away; repeatable
    #[arg(long, value_name = "NAME")]
    pub(crate) unset_env: Vec<String>,
    /// Set a secret, the others stay: the value of the environment variable NAME here, else asked for at the terminal;
    /// NAME=@FILE reads a file; repeatable
    #[arg(long, value_name = "NAME[=@FILE]")]
    pub(crate) secret: Vec<String>,
    /// Take a secret away; repeatable
    #[arg(long, value_name = "NAME")]
    pub(crate) unset_secret: Vec<String>,
    /// The host that a secret is for, as for create, in place of all those that there are; none gives the function its
    /// secrets themselves; repeatable
    #[arg(long, value_name = "NAME=HOST")]
    pub(crate) secret_for: Vec<String>,
    /// Network of the function: none, or bridge (containers, where the node allows it)
    #[arg(long, value_name = "NETWORK", value_parser = ["none", "bridge"], hide_possible_values = true)]
    pub(crate) network: Option<String>,
    /// A host that the function may send requests to, as for create, in place of those that there are; none takes them
    /// away; repeatable
    #[arg(long, value_name = "HOST")]
    pub(crate) allow_host: Vec<String>,
    /// A list of packages to install with the new code, if it is not in the folder; repeatable
    #[arg(long, value_name = "FILE")]
    pub(crate) deps: Vec<PathBuf>,
    #[command(flatten)]
    pub(crate) flags: FlagSwitches,
    #[command(flatten)]
    pub(crate) program: ProgramArgs,
    /// Image of a custom function; implies --runtime custom
    #[arg(long, value_name = "IMAGE")]
    pub(crate) custom_image: Option<String>,
    /// The declared inputs, in place of those that there are; repeatable
    #[arg(long, short = 'i', value_name = "NAME:TYPE", value_delimiter = ',')]
    pub(crate) input: Vec<String>,
    /// The declared outputs, in place of those that there are; repeatable
    #[arg(long, short = 'o', value_name = "NAME:TYPE", value_delimiter = ',')]
    pub(crate) output: Vec<String>,
    /// Accepted without effect: this command updates in any case.
    #[arg(long, short = 'u', hide = true)]
    pub(crate) update: bool,
    #[command(flatten)]
    pub(crate) rollout: RolloutArgs,
}

fn memory(text: &str) -> Result<Update<i64>, String> {
    or_default(text, parse_memory)
}

fn seconds(text: &str) -> Result<Update<f64>, String> {
    or_default(text, parse_seconds)
}

fn or_default<T>(text: &str, parse: fn(&str) -> Result<T, String>) -> Result<Update<T>, String> {
    if text.eq_ignore_ascii_case("default") {
        return Ok(Update::Reset);
    }
    parse(text)
        .map(Update::Set)
        .map_err(|fault| format!("{fault}, or default"))
}
