//! Arguments of the commands for a function's folder: `new`, `dev` and `run`.

use std::path::PathBuf;

use clap::Args;
use clap::builder::PossibleValuesParser;

use super::function::ProgramArgs;
use super::value::{parse_memory, parse_seconds};
use crate::templates;

/// Text below the options of `new`.
pub(super) const NEW_HELP: &str = "\
Examples:
  serverledge-cli new hello
  serverledge-cli new hello --template rust
  serverledge-cli new --list

The folder holds the source, how it is built (serverledge.json), a README.md with the commands, and a test. \
`serverledge-cli dev` in it builds, deploys, and does so again after each change.";

/// Text below the options of `dev`.
pub(super) const DEV_HELP: &str = "\
Examples:
  serverledge-cli dev
  serverledge-cli dev hello
  serverledge-cli dev hello.js
  serverledge-cli dev --once

serverledge.json in the folder says how it is built and deployed; without one it is guessed from the files. If no node \
answers at the usual address and no other is named, a node is started, and stopped at the end.

What is below target, node_modules, hidden folders or in .gitignore is not watched, unless it is deployed as it is. \
Control-C ends it; the function stays deployed on a node that was there before.";

/// Text below the options of `run`.
pub(super) const RUN_HELP: &str = "\
Examples:
  serverledge-cli run hello.js -p name:Ada
  serverledge-cli run hello.wasm -j params.json --memory 64
  serverledge-cli run . -p 'list:[1,2,3]'
  serverledge-cli run scale.wasm --args '{w}' --stdin body --body a.png -p w:64

A node of its own is started for it, and stopped at the end; none has to run. The result goes to stdout, the function's log \
to stderr. The exit code is that of `invoke`.";

/// Options of `new`.
#[derive(Debug, Args)]
pub(crate) struct NewArgs {
    /// Name of the function, and of the folder that is made
    #[arg(value_name = "NAME", required_unless_present = "list")]
    pub(crate) name: Option<String>,
    /// Language and kind
    #[arg(long, value_name = "TEMPLATE", default_value = templates::DEFAULT, value_parser = template_names())]
    pub(crate) template: String,
    /// List the templates
    #[arg(long)]
    pub(crate) list: bool,
}

fn template_names() -> PossibleValuesParser {
    PossibleValuesParser::new(templates::ALL.iter().map(|template| template.name))
}

/// Options of `dev`.
#[derive(Debug, Args)]
pub(crate) struct DevArgs {
    /// The function's folder, or its only file
    #[arg(value_name = "PATH", default_value = ".")]
    pub(crate) path: PathBuf,
    /// Build and deploy once, to a node that runs, and end
    #[arg(long)]
    pub(crate) once: bool,
}

/// Options of `run`.
#[derive(Debug, Args)]
pub(crate) struct RunArgs {
    /// The code, as for create; or a folder, which is built as serverledge.json says
    #[arg(value_name = "PATH", default_value = ".")]
    pub(crate) path: PathBuf,
    /// A parameter, or several separated by commas; repeatable
    #[arg(long, short = 'p', value_name = "NAME:VALUE")]
    pub(crate) param: Vec<String>,
    /// A parameter whose value is a string whatever it looks like; repeatable
    #[arg(long, value_name = "NAME:VALUE")]
    pub(crate) param_string: Vec<String>,
    /// File with the parameters as JSON; - is stdin
    #[arg(long, short = 'j', value_name = "FILE", conflicts_with_all = ["param", "param_string"])]
    pub(crate) params_file: Option<PathBuf>,
    /// File to send as the body of an HTTP request, whose query has the parameters; - is stdin
    #[arg(long, value_name = "FILE", conflicts_with = "params_file")]
    pub(crate) body: Option<PathBuf>,
    /// Runtime: wasm, javascript, python-wasm, python or nodejs [default: found out from the code]
    #[arg(long, value_name = "RUNTIME")]
    pub(crate) runtime: Option<String>,
    /// Entry point inside the code [default: the runtime's own]
    #[arg(long, value_name = "HANDLER")]
    pub(crate) handler: Option<String>,
    /// Memory: MiB, or a number with MiB or GiB [default: 128]
    #[arg(long, value_name = "MIB", value_parser = parse_memory)]
    pub(crate) memory: Option<i64>,
    /// Wall-clock limit of the call: seconds, or a number with ms, s, m or h [default: 30]
    #[arg(long, value_name = "SECONDS", value_parser = parse_seconds)]
    pub(crate) timeout: Option<f64>,
    /// An environment variable of the function; repeatable
    #[arg(long, value_name = "NAME=VALUE")]
    pub(crate) env: Vec<String>,
    /// A secret environment variable, as for create; repeatable
    #[arg(long, value_name = "NAME[=@FILE]")]
    pub(crate) secret: Vec<String>,
    /// The host that a secret is for, as for create; repeatable
    #[arg(long, value_name = "NAME=HOST")]
    pub(crate) secret_for: Vec<String>,
    /// A host that the function may send requests to, as for create; repeatable
    #[arg(long, value_name = "HOST")]
    pub(crate) allow_host: Vec<String>,
    #[command(flatten)]
    pub(crate) program: ProgramArgs,
}
