//! Arguments of the commands for applications, their endpoints and their functions.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::function::{DeleteArgs, FunctionArgs, LogsArgs};
use crate::commands::app_running::AppRunningCommand;
use crate::commands::function_versions::FunctionVersionsCommand;
use crate::confirm::ConfirmArgs;

/// Commands on applications.
#[derive(Debug, Subcommand)]
pub(crate) enum AppCommand {
    /// Make an application
    Create(AppArgs),
    /// List your applications
    List,
    /// Show an application, with its functions, endpoints and settings
    Show(AppArgs),
    /// Give an application another name
    Rename(RenameArgs),
    /// Delete an application, with its endpoints and functions
    Delete(DeleteAppArgs),
    /// Change settings of an application; what is not named stays
    Settings(SettingsArgs),
    /// Show the packages that an application's functions get, or replace one of the two files that name them
    Dependencies(DependenciesArgs),
    /// As it runs, and as one file.
    #[command(flatten)]
    Running(AppRunningCommand),
}

/// Commands on the endpoints of the application that --app names.
#[derive(Debug, Subcommand)]
pub(crate) enum EndpointCommand {
    /// Bind a path to a function, in place of what was bound to it
    Add(EndpointAddArgs),
    /// List the endpoints
    List,
    /// Remove an endpoint
    Remove(EndpointRemoveArgs),
}

/// Commands on functions: those of the application that --app names, else your own.
#[derive(Debug, Subcommand)]
pub(crate) enum FunctionCommand {
    /// List the functions (list)
    List,
    /// Show all that is known of a function but its code
    Show(FunctionArgs),
    /// Delete a function (delete)
    Delete(DeleteArgs),
    /// Show what a function's invocations wrote (logs)
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

/// Options of `app delete`.
#[derive(Debug, Args)]
pub(crate) struct DeleteAppArgs {
    #[command(flatten)]
    pub(crate) app: AppArgs,
    #[command(flatten)]
    pub(crate) confirm: ConfirmArgs,
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
    /// Pages of other origins that may use its endpoints: closed, any, or origins separated by commas
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
    /// Replace one of the two by this package.json or requirements.txt; - is stdin, an empty one removes it
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
