//! Arguments of the commands that show what runs, and what has run.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use clap::Args;
use serverledge_wire::time;

use super::value::parse_age;

/// Text below the options of `invocation list`.
pub(super) const LIST_HELP: &str = "\
Examples:
  serverledge-cli invocation list -f hello --since 15m
  serverledge-cli invocation list --status failures --cluster
  serverledge-cli invocation list --since 2026-12-01T08:00:00Z --limit 20

A node keeps the records of its latest runs in memory: all failures, and at a high rate a sample of the rest.";

/// Text below the options of `logs`.
pub(super) const LOGS_HELP: &str = "\
Examples:
  serverledge-cli logs hello --tail 20
  serverledge-cli logs hello --follow | grep error
  serverledge-cli logs hello --invocation 3f2a91c04b7d
  serverledge-cli logs --invocation 01890000-0000-7000-8000-00000000000a
  serverledge-cli logs --follow

Each line begins with the time at which it was written and the last 12 characters of the invocation's id (- for what was \
written while the code was loaded); with --json each is an object. Without a function, --invocation ID shows the log of one \
invocation from all nodes, and --follow that of all functions on this node, each line with the function's name.";

/// Text below the options of `top`.
pub(super) const TOP_HELP: &str = "\
Examples:
  serverledge-cli top
  serverledge-cli top --once
  serverledge-cli top --json

Keys: q ends it; s sorts by the next column; arrows, PageUp, PageDown, Home and End scroll; p pauses; f shows failures alone.
The node's load is for operators; others see their functions.";

/// Options of `invocation list`.
#[derive(Debug, Args)]
pub(crate) struct RunListArgs {
    /// The runs of this function alone
    #[arg(long, short = 'f', value_name = "FUNCTION")]
    pub(crate) function: Option<String>,
    /// The runs with one of these statuses: completed, failed, rejected, refused, unavailable, internal, abandoned; failures
    /// is all but completed
    #[arg(long, value_name = "STATUS", value_delimiter = ',', value_parser = STATUSES, hide_possible_values = true)]
    pub(crate) status: Vec<String>,
    /// The runs that came on this road: invoke, http, endpoint, edge, nested, async, peer or test
    #[arg(long, value_name = "TRIGGER", value_parser = TRIGGERS, hide_possible_values = true)]
    pub(crate) trigger: Option<String>,
    /// The runs that began since: 15m (with s, m, h or d), a time as RFC 3339, or Unix milliseconds
    #[arg(long, value_name = "TIME", value_parser = parse_moment)]
    pub(crate) since: Option<Moment>,
    /// The runs that began until then, in the same form
    #[arg(long, value_name = "TIME", value_parser = parse_moment)]
    pub(crate) until: Option<Moment>,
    /// Largest number to list
    #[arg(long, value_name = "COUNT", default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) limit: u32,
    /// Ask all nodes
    #[arg(long)]
    pub(crate) cluster: bool,
    /// The runs of everybody's functions; for operators
    #[arg(long)]
    pub(crate) all: bool,
}

/// Options of `top`.
#[derive(Debug, Args)]
pub(crate) struct TopArgs {
    /// Print one table and end; without a terminal always
    #[arg(long)]
    pub(crate) once: bool,
    /// The functions of everybody; for operators
    #[arg(long)]
    pub(crate) all: bool,
}

const STATUSES: [&str; 8] = [
    "completed",
    "failed",
    "rejected",
    "refused",
    "unavailable",
    "internal",
    "abandoned",
    "failures",
];
const TRIGGERS: [&str; 8] = [
    "invoke", "http", "endpoint", "edge", "nested", "async", "peer", "test",
];

/// A point in time as it was typed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Moment {
    /// In Unix milliseconds.
    UnixMs(u64),
    /// So long ago.
    Ago(Duration),
}

impl Moment {
    /// The moment in Unix milliseconds, by this machine's clock.
    pub(crate) fn unix_ms(self) -> u64 {
        let span = |span: Duration| u64::try_from(span.as_millis()).unwrap_or(u64::MAX);
        match self {
            Self::UnixMs(unix_ms) => unix_ms,
            Self::Ago(ago) => {
                let now = SystemTime::now().duration_since(UNIX_EPOCH);
                span(now.unwrap_or_default()).saturating_sub(span(ago))
            }
        }
    }
}

fn parse_moment(text: &str) -> Result<Moment, String> {
    if let Ok(unix_ms) = text.parse() {
        return Ok(Moment::UnixMs(unix_ms));
    }
    let moment = time::unix_ms(text).map(Moment::UnixMs);
    let moment = moment.or_else(|| parse_age(text).map(Moment::Ago));
    moment.ok_or_else(|| {
        "a number with s, m, h or d is needed, a time as 2026-12-01T08:00:00Z, or Unix milliseconds"
            .to_owned()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_have_three_forms() {
        for (text, expected) in [
            ("15m", Moment::Ago(Duration::from_secs(900))),
            ("1.5h", Moment::Ago(Duration::from_secs(5_400))),
            ("2d", Moment::Ago(Duration::from_secs(172_800))),
            ("250ms", Moment::Ago(Duration::from_millis(250))),
            ("1970-01-01T00:00:01Z", Moment::UnixMs(1_000)),
            ("1767323045678", Moment::UnixMs(1_767_323_045_678)),
            ("15", Moment::UnixMs(15)),
        ] {
            assert_eq!(parse_moment(text), Ok(expected), "{text}");
        }
        for bad in ["", "m", "-15m", "yesterday", "2026-12-01", "1.5"] {
            assert!(parse_moment(bad).is_err(), "{bad}");
        }
        assert_eq!(Moment::Ago(Duration::MAX).unix_ms(), 0);
        assert!(Moment::Ago(Duration::ZERO).unix_ms() > 1_700_000_000_000);
    }
}
