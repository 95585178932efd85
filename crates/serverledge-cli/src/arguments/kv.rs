//! Arguments of `kv`.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Subcommand};

use super::value::{parse_entry_version, parse_summand, parse_ttl};
use crate::confirm::ConfirmArgs;

/// Text below the options of `kv set`.
const SET_HELP: &str = "\
Examples:
  serverledge-cli kv set greeting hello
  serverledge-cli kv set session/7 --file session.json --ttl 30m
  serverledge-cli kv set lock me --if-absent --ttl 10
  serverledge-cli kv set config - --if-version 12 < config.json

Without a condition, whatever was there is replaced, its lifetime too. `kv get KEY --json` shows a version.";

/// Text below the options of `kv increment`.
const INCREMENT_HELP: &str = "\
Examples:
  serverledge-cli kv increment visits
  serverledge-cli kv increment stock/7 --by -3";

/// Text below the options of `kv get`.
const GET_HELP: &str = "\
Examples:
  serverledge-cli kv get greeting
  serverledge-cli kv get photo.png > photo.png
  serverledge-cli --app shop kv get carts/7 --store carts --json";

/// Commands on key-value stores.
#[derive(Debug, Subcommand)]
pub(crate) enum KvCommand {
    /// List the keys of a store, in their order
    List(KvListArgs),
    /// Write the value of a key to stdout, as the bytes that it is
    #[command(after_help = GET_HELP)]
    Get(KvKeyArgs),
    /// Set the value of a key, at all events or only if the entry is as expected
    #[command(after_help = SET_HELP)]
    Set(KvSetArgs),
    /// Delete the entry of a key
    Delete(KvKeyArgs),
    /// Add to the number of a key, and show the sum; without an entry it is 0
    #[command(after_help = INCREMENT_HELP)]
    Increment(KvIncrementArgs),
    /// List the stores, with what they hold and may hold
    Stores,
    /// Delete all entries of a store
    Clear(KvClearArgs),
}

/// A store.
#[derive(Debug, Args)]
pub(crate) struct StoreArgs {
    /// Name of the store
    #[arg(long, value_name = "STORE", default_value = "default")]
    pub(crate) store: String,
}

/// Options of `kv list`.
#[derive(Debug, Args)]
pub(crate) struct KvListArgs {
    /// Begin of the keys
    #[arg(value_name = "PREFIX")]
    pub(crate) prefix: Option<String>,
    /// Largest number to list
    #[arg(long, value_name = "COUNT", default_value_t = 1000, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) limit: u32,
    #[command(flatten)]
    pub(crate) store: StoreArgs,
}

/// A key in a store.
#[derive(Debug, Args)]
pub(crate) struct KvKeyArgs {
    /// Key of the entry
    #[arg(value_name = "KEY")]
    pub(crate) key: String,
    #[command(flatten)]
    pub(crate) store: StoreArgs,
}

/// Options of `kv set`.
#[derive(Debug, Args)]
pub(crate) struct KvSetArgs {
    #[command(flatten)]
    pub(crate) entry: KvKeyArgs,
    /// Its value; - is stdin
    #[arg(
        value_name = "VALUE",
        allow_negative_numbers = true,
        required_unless_present = "file",
        conflicts_with = "file"
    )]
    pub(crate) value: Option<String>,
    /// File with its value, as it is; - is stdin
    #[arg(long, value_name = "FILE")]
    pub(crate) file: Option<PathBuf>,
    /// Time after which the entry is gone: seconds, or a number with ms, s, m, h or d [default: it stays]
    #[arg(long, value_name = "SECONDS", value_parser = parse_ttl)]
    pub(crate) ttl: Option<Duration>,
    /// Only if the entry has this version
    #[arg(long, value_name = "VERSION", value_parser = parse_entry_version, conflicts_with = "if_absent")]
    pub(crate) if_version: Option<u64>,
    /// Only if there is no entry
    #[arg(long)]
    pub(crate) if_absent: bool,
}

/// Options of `kv increment`.
#[derive(Debug, Args)]
pub(crate) struct KvIncrementArgs {
    #[command(flatten)]
    pub(crate) entry: KvKeyArgs,
    /// Summand, which may be negative
    #[arg(
        long,
        value_name = "NUMBER",
        default_value_t = 1,
        value_parser = parse_summand,
        allow_negative_numbers = true
    )]
    pub(crate) by: i64,
}

/// Options of `kv clear`.
#[derive(Debug, Args)]
pub(crate) struct KvClearArgs {
    #[command(flatten)]
    pub(crate) store: StoreArgs,
    #[command(flatten)]
    pub(crate) confirm: ConfirmArgs,
}
