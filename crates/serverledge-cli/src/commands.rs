//! The commands: each asks the node through the client and shows what comes back.

mod create;
mod dead_letter;
mod invocation;
mod invoke;
mod list;
mod logs;
mod peers;
mod poll;
mod status;

use std::path::Path;
use std::time::Duration;

use clap::CommandFactory as _;
use clap_complete::Shell;
use serde::Serialize;
use serverledge_client::{Client, ClientConfig, ClientError, FunctionName};

use crate::arguments::{Cli, Command, DeleteArgs, FunctionCommand, PrewarmArgs};
use crate::exit::Exit;
use crate::failure::{Failure, root_cause};
use crate::settings::Settings;
use crate::{files, function_versions, json, output, progress};

/// What every command works with.
#[derive(Debug)]
pub(crate) struct Session {
    pub(crate) client: Client,
    for_people: bool,
    json: bool,
}

impl Session {
    /// Sets the client up; connects to nothing yet.
    pub(crate) fn new(settings: &Settings, json: bool, timeout: Option<Duration>) -> Result<Self, Failure> {
        let authorities = settings.ca_file.as_deref().map(read_authorities).transpose()?;
        let config = ClientConfig { timeout, authorities, ..ClientConfig::default() };
        let client = Client::new(settings.endpoint.clone(), &config);
        let client = client.map_err(|error| match (&settings.ca_file, error) {
            (Some(file), ClientError::Setup { source }) => unusable(file, &root_cause(source.as_ref())),
            (_, error) => Failure::of_call("set up the client", error),
        })?;
        Ok(Self { client, for_people: !json && output::is_terminal(), json })
    }

    /// Shows an answer: as its JSON, or on a terminal as the text that suits people.
    pub(crate) fn show<T: Serialize>(&self, answer: &T, text: impl FnOnce(&T) -> String) -> Result<(), Failure> {
        output::result(&if self.for_people { text(answer) } else { json::tabbed(answer) })
    }
}

/// A bundle of all authorities of the web is a quarter of it.
const AUTHORITIES_BYTES_MAX: usize = 1024 * 1024;

fn read_authorities(file: &Path) -> Result<Vec<u8>, Failure> {
    files::read(file, AUTHORITIES_BYTES_MAX).map_err(|error| unusable(file, &root_cause(&error)))
}

fn unusable(file: &Path, cause: &str) -> Failure {
    Failure::usage(format!("the certificate authorities in {} cannot be used: {cause}", file.display()))
        .hint("--ca-file and SERVERLEDGE_CA_FILE name a file with certificates in PEM")
}

/// Runs one command to its end.
pub(crate) async fn run(session: &Session, command: Command) -> Result<Exit, Failure> {
    match command {
        Command::Create(args) => create::create(session, &args, args.update).await,
        Command::Update(args) => create::create(session, &args, true).await,
        Command::Invoke(args) => invoke::invoke(session, &args).await,
        Command::Poll(args) => poll::poll(session, &args).await,
        Command::Invocation(command) => invocation::run(session, &command).await,
        Command::DeadLetter(command) => dead_letter::run(session, &command).await,
        Command::Function(FunctionCommand::Versions(command)) => function_versions::run(session, &command).await,
        Command::Prewarm(args) => prewarm(session, &args).await,
        Command::Delete(args) => delete(session, &args).await,
        Command::List => list::list(session).await,
        Command::Logs(args) => logs::logs(session, &args).await,
        Command::Status => status::status(session).await,
        Command::Peers => peers::peers(session).await,
        Command::Completions { shell } => completions(shell),
    }
}

async fn delete(session: &Session, args: &DeleteArgs) -> Result<Exit, Failure> {
    let name = function_name(args.function.name()?)?;
    let deleted = progress::during(&format!("deleting {name}"), session.client.delete(&name))
        .await
        .map_err(|error| Failure::of_call(&format!("delete {name:?}"), error))?;
    session.show(&deleted, |deleted| format!("deleted {}", deleted.deleted))?;
    Ok(Exit::Ok)
}

async fn prewarm(session: &Session, args: &PrewarmArgs) -> Result<Exit, Failure> {
    let name = function_name(args.function.name()?)?;
    let call = session.client.prewarm(&name, args.count, args.force_pull);
    let ready = progress::during(&format!("prewarming {name}"), call)
        .await
        .map_err(|error| Failure::of_call(&format!("prewarm {name:?}"), error))?;
    session.show(&ready, |ready| format!("{} of {} ready", ready.prewarmed, args.count))?;
    Ok(Exit::Ok)
}

/// Prints a completion script.
pub(crate) fn completions(shell: Shell) -> Result<Exit, Failure> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "serverledge-cli", &mut script);
    output::result(String::from_utf8_lossy(&script).trim_end())?;
    Ok(Exit::Ok)
}

pub(crate) fn function_name(text: &str) -> Result<FunctionName, Failure> {
    FunctionName::parse(text).map_err(|error| Failure::usage(format!("{text:?} is no function name: {error}")))
}
