//! Arguments of the commands for applications, their endpoints and their functions.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::{DeleteArgs, FunctionArgs, LogsArgs};
use crate::app_running::AppRunningCommand;
use crate::function_versions::FunctionVersionsCommand;

/// What to do with applications.
#[derive(Debug, Subcommand)]
pub(crate) enum AppCommand {
    /// Make one
    Create(AppArgs),
    /// List yours
    List,
    /// Show one, with its functions, endpoints and settings
    Show(AppArgs),
    /// Give one another name
    Rename(RenameArgs),
    /// Delete one, with its endpoints and functions
    Delete(AppArgs),
    /// Change settings; what is not named stays
    Settings(SettingsArgs),
    /// Show the packages that its functions get, or replace the file that names them
    Dependencies(DependenciesArgs),
    /// As it runs, and as one file.
    #[command(flatten)]
    Running(AppRunningCommand),
}

/// What to do with the endpoints of the application that --app names.
#[derive(Debug, Subcommand)]
pub(crate) enum EndpointCommand {
    /// Bind a path to a function, in place of what was bound to it
    Add(EndpointAddArgs),
    /// List them
    List,
    /// Remove one
    Remove(EndpointRemoveArgs),
}

/// What to do with functions: those of the application that --app names, else your own.
#[derive(Debug, Subcommand)]
pub(crate) enum FunctionCommand {
    /// List them (list)
    List,
    /// Show all that is known of one but its code
    Show(FunctionShowArgs),
    /// Delete one (delete)
    Delete(DeleteArgs),
    /// Show what its invocations wrote (logs)
    Logs(LogsArgs),
    /// With its versions and flags.
    #[command(flatten)]
    Versions(FunctionVersionsCommand),
}

/// An application.
#[derive(Debug, Args)]
pub(crate) struct AppArgs {
    /// Name of the application
    #[arg(value_name = "APP")]
    pub(crate) name: String,
}

/// Options of `app rename`.
#[derive(Debug, Args)]
pub(crate) struct RenameArgs {
    /// Name of the application
    #[arg(value_name = "APP")]
    pub(crate) name: String,
    /// Its new name
    #[arg(value_name = "NEW")]
    pub(crate) new: String,
}

/// Options of `app settings`.
#[derive(Debug, Args)]
pub(crate) struct SettingsArgs {
    /// Name of the application
    #[arg(value_name = "APP")]
    pub(crate) name: String,
    /// Which pages of other origins may use its endpoints: closed, any, or origins separated by commas
    #[arg(long, value_name = "WHO", value_delimiter = ',')]
    pub(crate) cors: Vec<String>,
    /// Whether results of nested calls are handed out for the caller's cache, which reveals their arguments
    #[arg(long, value_name = "true|false")]
    pub(crate) hands_out_nested: Option<bool>,
    /// Whether its pages keep their origin on a host name of its own
    #[arg(long, value_name = "true|false")]
    pub(crate) own_origin: Option<bool>,
}

/// Options of `app dependencies`.
#[derive(Debug, Args)]
pub(crate) struct DependenciesArgs {
    /// Name of the application
    #[arg(value_name = "APP")]
    pub(crate) name: String,
    /// Replace it by this package.json or requirements.txt; - is stdin, an empty one removes it
    #[arg(long, value_name = "FILE")]
    pub(crate) file: Option<PathBuf>,
}

/// Options of `endpoint add`.
#[derive(Debug, Args)]
pub(crate) struct EndpointAddArgs {
    /// Its path
    #[arg(value_name = "PATH")]
    pub(crate) path: String,
    /// The function that it runs
    #[arg(long, short = 'f', value_name = "FUNCTION")]
    pub(crate) function: String,
    /// Its method: GET, POST, PUT, PATCH or DELETE
    #[arg(long, value_name = "METHOD", default_value = "POST")]
    pub(crate) method: String,
}

/// Options of `endpoint remove`.
#[derive(Debug, Args)]
pub(crate) struct EndpointRemoveArgs {
    /// Its path
    #[arg(value_name = "PATH")]
    pub(crate) path: String,
    /// Its method
    #[arg(long, value_name = "METHOD", default_value = "POST")]
    pub(crate) method: String,
}

/// Options of `function show`.
#[derive(Debug, Args)]
pub(crate) struct FunctionShowArgs {
    #[command(flatten)]
    pub(crate) function: FunctionArgs,
}
