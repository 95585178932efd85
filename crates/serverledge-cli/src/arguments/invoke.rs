//! Arguments of the commands that run functions and show the results.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;

use super::function::FunctionArgs;
use super::value::parse_span;
use crate::failure::Failure;

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
