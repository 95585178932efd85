//! `app start|stop|test|export|import`: applications as they run, and as one file.

use std::fs::File;
use std::io::{ErrorKind, Write as _};
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use clap::{Args, Subcommand};
use serde_json::{Value, json};
use serverledge_client::AppName;
use serverledge_wire::hosting::{RunningApplication, TestAnswer};

use super::create;
use super::session::{Session, app_name};
use crate::exit::Exit;
use crate::failure::{Failure, failed_to, root_cause};
use crate::progress::Steps;
use crate::{output, params, source, text};

/// Commands on an application beside those that change it.
#[derive(Debug, Subcommand)]
pub(crate) enum AppRunningCommand {
    /// Prepare an application's functions and let its endpoints answer, also after a restart of the node
    Start(NameArgs),
    /// Stop an application: it takes no new calls, those that run end as they would have
    Stop(NameArgs),
    /// Run a function that is not saved, once, with the saved ones within reach of its calls
    Test(TestArgs),
    /// Write an application to one file: settings, endpoints, dependencies, functions; secrets stay behind
    Export(ExportArgs),
    /// Make an application from an exported file
    Import(ImportArgs),
}

/// The application to act on.
#[derive(Debug, Args)]
pub(crate) struct NameArgs {
    /// Its name
    #[arg(value_name = "NAME")]
    name: String,
}

/// Options of `app test`.
#[derive(Debug, Args)]
pub(crate) struct TestArgs {
    /// The application's name
    #[arg(value_name = "NAME")]
    name: String,
    /// The source: a file or a folder
    #[arg(long, value_name = "PATH")]
    src: PathBuf,
    /// Runtime of the function [default: by the file's ending]
    #[arg(long, value_name = "RUNTIME")]
    runtime: Option<String>,
    /// The entry point
    #[arg(long, value_name = "HANDLER", default_value = "")]
    handler: String,
    /// A file with the parameters as JSON; `-` is stdin [default: {}]
    #[arg(long, value_name = "FILE")]
    params_file: Option<PathBuf>,
}

/// Options of `app export`.
#[derive(Debug, Args)]
pub(crate) struct ExportArgs {
    /// The application's name
    #[arg(value_name = "NAME")]
    name: String,
    /// The file to write [default: NAME.tar]
    #[arg(long, value_name = "FILE")]
    file: Option<PathBuf>,
}

/// Options of `app import`.
#[derive(Debug, Args)]
pub(crate) struct ImportArgs {
    /// The exported file
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// The application's name [default: the one in the file]
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
}

/// Runs one of them.
pub(crate) async fn run(session: &Session, command: &AppRunningCommand) -> Result<(), Failure> {
    match command {
        AppRunningCommand::Start(args) => start(session, &args.name).await,
        AppRunningCommand::Stop(args) => stop(session, &args.name).await,
        AppRunningCommand::Test(args) => test(session, args).await,
        AppRunningCommand::Export(args) => export(session, args).await,
        AppRunningCommand::Import(args) => import(session, args).await,
    }
}

async fn start(session: &Session, name: &str) -> Result<(), Failure> {
    let name = app_name(name)?;
    let steps = Steps::new(format!("starting {name}"));
    let started = steps
        .during(session.client.start_app(&name, |step| steps.step(step)))
        .await;
    let started = started.map_err(failed_to(format!("start {name}")))?;
    session.show(&started, |started| {
        format!("{} runs", text::one_line(&started.name))
    })
}

async fn stop(session: &Session, name: &str) -> Result<(), Failure> {
    let name = app_name(name)?;
    let call = session.client.stop_app(&name);
    let failed = failed_to(format!("stop {name}"));
    let told =
        |stopped: &RunningApplication| format!("{} is stopped", text::one_line(&stopped.name));
    session
        .answer(&format!("stopping {name}"), call, failed, told)
        .await
}

async fn test(session: &Session, args: &TestArgs) -> Result<(), Failure> {
    let name = app_name(&args.name)?;
    let code = source::read(
        &args.src,
        create::named_runtime(args.runtime.as_deref(), None)?,
        &[],
        &args.handler,
    )?;
    let given = args
        .params_file
        .as_deref()
        .map(params::from_file)
        .transpose()?;
    let given: Value = match given {
        Some(given) => {
            serde_json::from_str(given.get()).map_err(|error| Failure::usage(error.to_string()))?
        }
        None => json!({}),
    };
    let body = json!({
        "Runtime": code.runtime.unwrap_or_default(), "Handler": args.handler,
        "TarFunctionCode": STANDARD.encode(&code.tar), "args": given,
    });
    let steps = Steps::new(format!("testing in {name}"));
    let call = session
        .client
        .test_in_app(&name, &body, |step| steps.step(step));
    let tested = steps
        .during(call)
        .await
        .map_err(failed_to(format!("test in {name}")))?;
    session.show(&tested, told)
}

fn told(tested: &TestAnswer) -> String {
    let log = text::printable(tested.output.trim_end());
    let line = output::dim(&format!("ran for {:.1} ms", tested.milliseconds));
    let answer = text::printable(tested.answer.get());
    if log.is_empty() {
        format!("{answer}\n{line}")
    } else {
        format!("{answer}\n{line}\n{log}")
    }
}

async fn export(session: &Session, args: &ExportArgs) -> Result<(), Failure> {
    let name = app_name(&args.name)?;
    let path = args
        .file
        .clone()
        .unwrap_or_else(|| PathBuf::from(format!("{name}.tar")));
    let steps = Steps::new(format!("exporting {name}"));
    let bytes = steps.during(fetch(session, &name, &path, &steps)).await?;
    let answer =
        json!({ "exported": name.as_str(), "file": path.display().to_string(), "bytes": bytes });
    session.show(&answer, |_| {
        format!("wrote {name} to {}: {}", path.display(), text::bytes(bytes))
    })
}

/// Writes the file as it comes; returns its length. Nothing that is there is overwritten, and no part of a file is left.
async fn fetch(
    session: &Session,
    name: &AppName,
    path: &Path,
    steps: &Steps,
) -> Result<usize, Failure> {
    let broken = |error| failed_to(format!("export {name}"))(error);
    let unwritten = |error| {
        Failure::usage(format!(
            "{} cannot be written: {}",
            path.display(),
            root_cause(&error)
        ))
    };
    let file = File::create_new(path).map_err(|error| match error.kind() {
        ErrorKind::AlreadyExists => {
            unwritten(error).hint("--file names another; nothing is overwritten")
        }
        _ => unwritten(error),
    })?;
    let mut file = Unfinished {
        file,
        path: Some(path),
    };
    let mut export = session.client.export_app(name).await.map_err(broken)?;
    let of = export
        .length()
        .and_then(|length| usize::try_from(length).ok());
    let of = of
        .map(|length| format!(" of {}", text::bytes(length)))
        .unwrap_or_default();
    let mut written = 0;
    while let Some(piece) = export.next().await.map_err(broken)? {
        file.file.write_all(&piece).map_err(unwritten)?;
        written += piece.len();
        steps.describe(&format!("exporting {name}: {}{of}", text::bytes(written)));
    }
    file.path = None;
    Ok(written)
}

/// A file that is removed unless all of it was written.
struct Unfinished<'a> {
    file: File,
    path: Option<&'a Path>,
}

impl Drop for Unfinished<'_> {
    fn drop(&mut self) {
        if let Some(path) = self.path {
            // What failed is told already.
            let _ = std::fs::remove_file(path);
        }
    }
}

async fn import(session: &Session, args: &ImportArgs) -> Result<(), Failure> {
    let name = args.name.as_deref().map(app_name).transpose()?;
    let (file, length) = open(&args.file).map_err(|error| {
        Failure::new(
            Exit::Source,
            format!(
                "{} cannot be read: {}",
                args.file.display(),
                root_cause(&error)
            ),
        )
    })?;
    let steps = Steps::new(format!("importing {}", args.file.display()));
    let file = tokio::fs::File::from_std(file);
    let call = session
        .client
        .import_app(name.as_ref(), file, length, |step| steps.step(step));
    let made = steps.during(call).await;
    let made = made.map_err(|error| {
        Failure::of_call(&format!("import {}", args.file.display()), error).hint_for(
            &["malformed_export"],
            "`serverledge-cli app export NAME` writes what can be imported",
        )
    })?;
    made.remarks.iter().for_each(|remark| output::note(remark));
    session.show(&made, |made| {
        let name = text::one_line(&made.name);
        let next = format!("next: serverledge-cli app start {name}");
        format!(
            "made {name} with {} functions\n{}",
            made.functions.len(),
            output::dim(&next)
        )
    })
}

/// The file, to be read as it is sent, and its length.
fn open(path: &Path) -> std::io::Result<(File, u64)> {
    let file = File::open(path)?;
    let about = file.metadata()?;
    if !about.is_file() {
        return Err(std::io::Error::new(
            ErrorKind::InvalidInput,
            "it is no regular file",
        ));
    }
    Ok((file, about.len()))
}
