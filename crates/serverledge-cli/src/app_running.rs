//! `app start|stop|test|export|import`: applications as they run, and as one file.

use std::io::Write as _;
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use clap::{Args, Subcommand};
use serde_json::{Value, json};
use serverledge_client::{AppName, ClientError, Runtime};
use serverledge_wire::hosting::TestAnswer;

use crate::commands::{Session, app_name};
use crate::exit::Exit;
use crate::failure::{Failure, root_cause};
use crate::progress::Steps;
use crate::{files, output, params, progress, source, text};

/// No node takes a larger file.
const FILE_BYTES_MAX: usize = 512 * 1024 * 1024;

/// What to do with an application beside changing it.
#[derive(Debug, Subcommand)]
pub(crate) enum AppRunningCommand {
    /// Prepare its functions and let its endpoints answer, also after a restart of the node
    Start(NameArgs),
    /// Take no new calls; those that run end as they would have
    Stop(NameArgs),
    /// Run a function that is not saved, once, with the saved ones within reach of its calls
    Test(TestArgs),
    /// Write it to one file: settings, endpoints, dependencies, functions; secrets stay behind
    Export(ExportArgs),
    /// Make an application from such a file
    Import(ImportArgs),
}

/// Which application.
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
    /// What runs it [default: by the file's ending]
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
pub(crate) async fn run(session: &Session, command: &AppRunningCommand) -> Result<Exit, Failure> {
    match command {
        AppRunningCommand::Start(args) => start(session, &args.name).await,
        AppRunningCommand::Stop(args) => stop(session, &args.name).await,
        AppRunningCommand::Test(args) => test(session, args).await,
        AppRunningCommand::Export(args) => export(session, args).await,
        AppRunningCommand::Import(args) => import(session, args).await,
    }
}

fn failed(action: &str, name: &AppName, error: ClientError) -> Failure {
    Failure::of_call(&format!("{action} {name}"), error)
}

async fn start(session: &Session, name: &str) -> Result<Exit, Failure> {
    let name = app_name(name)?;
    let steps = Steps::new(format!("starting {name}"));
    let started = steps.during(session.client.start_app(&name, |step| steps.step(step))).await;
    let started = started.map_err(|error| failed("start", &name, error))?;
    session.show(&started, |started| format!("{} runs", text::one_line(&started.name)))?;
    Ok(Exit::Ok)
}

async fn stop(session: &Session, name: &str) -> Result<Exit, Failure> {
    let name = app_name(name)?;
    let stopped = progress::during(&format!("stopping {name}"), session.client.stop_app(&name)).await;
    let stopped = stopped.map_err(|error| failed("stop", &name, error))?;
    session.show(&stopped, |stopped| format!("{} is stopped", text::one_line(&stopped.name)))?;
    Ok(Exit::Ok)
}

async fn test(session: &Session, args: &TestArgs) -> Result<Exit, Failure> {
    let name = app_name(&args.name)?;
    let runtime = args.runtime.as_deref().map(str::parse::<Runtime>).transpose();
    let runtime = runtime.map_err(|error| Failure::usage(error.to_string()))?;
    let code = source::read(&args.src, runtime, &[])?;
    let given = args.params_file.as_deref().map(params::from_file).transpose()?;
    let given: Value = match given {
        Some(given) => serde_json::from_str(given.get()).map_err(|error| Failure::usage(error.to_string()))?,
        None => json!({}),
    };
    let body = json!({
        "Runtime": code.runtime.unwrap_or_default(), "Handler": args.handler,
        "TarFunctionCode": STANDARD.encode(&code.tar), "args": given,
    });
    let steps = Steps::new(format!("testing in {name}"));
    let call = session.client.test_in_app(&name, &body, |step| steps.step(step));
    let tested = steps.during(call).await.map_err(|error| failed("test in", &name, error))?;
    session.show(&tested, told)?;
    Ok(Exit::Ok)
}

fn told(tested: &TestAnswer) -> String {
    let log = text::printable(tested.output.trim_end());
    let line = output::dim(&format!("ran for {:.1} ms", tested.milliseconds));
    let answer = text::printable(tested.answer.get());
    if log.is_empty() { format!("{answer}\n{line}") } else { format!("{answer}\n{line}\n{log}") }
}

async fn export(session: &Session, args: &ExportArgs) -> Result<Exit, Failure> {
    let name = app_name(&args.name)?;
    let file = args.file.clone().unwrap_or_else(|| PathBuf::from(format!("{name}.tar")));
    let exported = progress::during(&format!("exporting {name}"), session.client.export_app(&name)).await;
    let exported = exported.map_err(|error| failed("export", &name, error))?;
    write_new(&file, &exported)
        .map_err(|error| Failure::usage(format!("{} cannot be written: {}", file.display(), root_cause(&error))))?;
    let answer = json!({ "exported": name.as_str(), "file": file.display().to_string(), "bytes": exported.len() });
    session.show(&answer, |_| format!("wrote {name} to {}: {}", file.display(), text::bytes(exported.len())))?;
    Ok(Exit::Ok)
}

/// Nothing that is there is overwritten.
fn write_new(file: &Path, bytes: &[u8]) -> std::io::Result<()> {
    std::fs::File::create_new(file)?.write_all(bytes)
}

async fn import(session: &Session, args: &ImportArgs) -> Result<Exit, Failure> {
    let name = args.name.as_deref().map(app_name).transpose()?;
    let bytes = files::read(&args.file, FILE_BYTES_MAX)
        .map_err(|error| Failure::usage(format!("{} cannot be used: {}", args.file.display(), root_cause(&error))))?;
    let steps = Steps::new(format!("importing {}", args.file.display()));
    let call = session.client.import_app(name.as_ref(), bytes, |step| steps.step(step));
    let made = steps.during(call).await;
    let made = made.map_err(|error| Failure::of_call(&format!("import {}", args.file.display()), error))?;
    made.remarks.iter().for_each(|remark| output::warn(&format!("note: {}", text::one_line(remark))));
    session.show(&made, |made| {
        let name = text::one_line(&made.name);
        let next = format!("next: serverledge-cli app start {name}");
        format!("made {name} with {} functions\n{}", made.functions.len(), output::dim(&next))
    })?;
    Ok(Exit::Ok)
}
