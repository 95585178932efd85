//! Arguments of the commands for invocations and dead letters.

use std::time::Duration;

use clap::{Args, Subcommand};

use super::observe::{LIST_HELP, RunListArgs};
use super::value::parse_span;
use crate::confirm::ConfirmArgs;

/// Commands on invocations.
#[derive(Debug, Subcommand)]
pub(crate) enum InvocationCommand {
    /// List the latest runs, synchronous ones too, newest first
    #[command(after_help = LIST_HELP)]
    List(RunListArgs),
    /// Show an invocation's state, its history, its runs and its result
    Show(IdArgs),
    /// End an invocation, and stop it if it runs
    Cancel(IdArgs),
    /// Wait until an invocation has ended, then show it
    Wait(WaitArgs),
}

/// Commands on dead letters.
#[derive(Debug, Subcommand)]
pub(crate) enum DeadLetterCommand {
    /// List the dead letters, oldest first
    List(DeadLetterListArgs),
    /// Show all that is known of a dead letter
    Show(IdArgs),
    /// Make a new invocation of a dead letter; asked again, it names the one made before
    Redrive(IdArgs),
    /// Remove a dead letter for good, or all
    Purge(PurgeArgs),
}

/// An invocation.
#[derive(Debug, Args)]
pub(crate) struct IdArgs {
    /// Id of the invocation
    #[arg(value_name = "ID")]
    pub(crate) id: String,
}

/// Options of `invocation wait`.
#[derive(Debug, Args)]
pub(crate) struct WaitArgs {
    #[command(flatten)]
    pub(crate) invocation: IdArgs,
    /// Longest wait: seconds, or a number with ms, s, m or h [default: until it has ended]
    #[arg(long, value_name = "SECONDS", value_parser = parse_span)]
    pub(crate) timeout: Option<Duration>,
}

/// Options of `dead-letter list`.
#[derive(Debug, Args)]
pub(crate) struct DeadLetterListArgs {
    /// Largest number to list
    #[arg(long, value_name = "COUNT", default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) limit: u32,
}

/// Options of `dead-letter purge`.
#[derive(Debug, Args)]
pub(crate) struct PurgeArgs {
    /// Id of the invocation
    #[arg(
        value_name = "ID",
        required_unless_present = "all",
        conflicts_with = "all"
    )]
    pub(crate) id: Option<String>,
    /// Remove all dead letters
    #[arg(long)]
    pub(crate) all: bool,
    #[command(flatten)]
    pub(crate) confirm: ConfirmArgs,
}
