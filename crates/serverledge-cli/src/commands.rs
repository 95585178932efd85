//! The commands: each asks the node through the client and shows what comes back.

mod account;
mod application;
mod create;
mod dead_letter;
mod invocation;
mod invoke;
mod list;
mod logs;
mod peers;
mod poll;
mod status;
mod token;

use std::path::Path;
use std::time::Duration;

use clap::CommandFactory as _;
use clap_complete::Shell;
use serde::Serialize;
use serverledge_client::{Client, ClientConfig, ClientError, FunctionName, Token};
use serverledge_wire::account::Secret;

pub(crate) use application::app_name;

use crate::arguments::{Cli, Command, DeleteArgs, PrewarmArgs};
use crate::credentials::CredentialsFile;
use crate::exit::Exit;
use crate::failure::{Failure, root_cause};
use crate::settings::Settings;
use crate::{files, json, output, progress, text};

/// What every command works with.
#[derive(Debug)]
pub(crate) struct Session {
    pub(crate) client: Client,
    config: ClientConfig,
    credentials: Option<CredentialsFile>,
    for_people: bool,
    json: bool,
}

impl Session {
    /// Sets the client up; connects to nothing yet.
    pub(crate) fn new(
        settings: &Settings,
        token: Option<Token>,
        json: bool,
        timeout: Option<Duration>,
    ) -> Result<Self, Failure> {
        let authorities = settings
            .ca_file
            .as_deref()
            .map(read_authorities)
            .transpose()?;
        let secrets_in_clear = settings.secrets_in_clear;
        let config = ClientConfig {
            timeout,
            authorities,
            token,
            secrets_in_clear,
            ..ClientConfig::default()
        };
        let client = Client::new(settings.endpoint.clone(), &config);
        let client = client.map_err(|error| match (&settings.ca_file, error) {
            (Some(file), ClientError::Setup { source }) => {
                unusable(file, &root_cause(source.as_ref()))
            }
            (_, error) => Failure::of_call("set up the client", error),
        })?;
        let credentials = settings.credentials.clone();
        Ok(Self {
            client,
            config,
            credentials,
            for_people: !json && output::is_terminal(),
            json,
        })
    }

    /// A client of the same node that sends this token.
    fn with_token(&self, token: &Secret) -> Result<Client, Failure> {
        let token =
            Token::parse(token.reveal()).map_err(|error| Failure::usage(error.to_string()))?;
        let config = ClientConfig {
            token: Some(token),
            ..self.config.clone()
        };
        let client = Client::new(self.client.endpoint().clone(), &config);
        client.map_err(|error| Failure::of_call("set up the client", error))
    }

    /// The file with the tokens that `login` made.
    fn credentials(&self) -> Result<&CredentialsFile, Failure> {
        let none = || {
            Failure::usage("there is no place for credentials").hint("set HOME or XDG_CONFIG_HOME")
        };
        self.credentials.as_ref().ok_or_else(none)
    }

    /// Whose token is sent, if one is, for people: the address if `login` kept it.
    fn who(&self) -> Option<String> {
        let token = self.config.token.as_ref()?;
        let kept = self
            .credentials
            .as_ref()
            .and_then(|file| file.get(self.client.endpoint()).ok()?);
        let kept =
            kept.filter(|kept| kept.token.reveal() == token.reveal() && !kept.email.is_empty());
        Some(kept.map_or_else(
            || "the owner of the token".to_owned(),
            |kept| text::one_line(&kept.email),
        ))
    }

    /// Tells a person that it worked; programs have the exit code.
    fn say(&self, words: &str) -> Result<Exit, Failure> {
        if self.for_people {
            output::result(words)?;
        }
        Ok(Exit::Ok)
    }

    /// The same, on the functions of an application.
    pub(crate) fn in_app(self, name: &str) -> Result<Self, Failure> {
        let client = self.client.in_app(application::app_name(name)?);
        Ok(Self { client, ..self })
    }

    /// Shows an answer: as its JSON, or on a terminal as the text that suits people.
    pub(crate) fn show<T: Serialize>(
        &self,
        answer: &T,
        text: impl FnOnce(&T) -> String,
    ) -> Result<(), Failure> {
        output::result(&if self.for_people {
            text(answer)
        } else {
            json::tabbed(answer)
        })
    }
}

/// A bundle of all authorities of the web is a quarter of it.
const AUTHORITIES_BYTES_MAX: usize = 1024 * 1024;

fn read_authorities(file: &Path) -> Result<Vec<u8>, Failure> {
    files::read(file, AUTHORITIES_BYTES_MAX).map_err(|error| unusable(file, &root_cause(&error)))
}

fn unusable(file: &Path, cause: &str) -> Failure {
    Failure::usage(format!(
        "the certificate authorities in {} cannot be used: {cause}",
        file.display()
    ))
    .hint("--ca-file and SERVERLEDGE_CA_FILE name a file with certificates in PEM")
}

/// Runs one command to its end.
pub(crate) async fn run(session: &Session, command: Command) -> Result<Exit, Failure> {
    let done = dispatch(session, command).await;
    done.map_err(|failure| {
        let app = session.client.app().map(ToString::to_string);
        failure.unknown_to(app.as_deref(), session.who().as_deref())
    })
}

async fn dispatch(session: &Session, command: Command) -> Result<Exit, Failure> {
    match command {
        Command::Create(args) => create::create(session, &args, args.update).await,
        Command::Update(args) => create::create(session, &args, true).await,
        Command::Invoke(args) => invoke::invoke(session, &args).await,
        Command::Poll(args) => poll::poll(session, &args).await,
        Command::Invocation(command) => invocation::run(session, &command).await,
        Command::DeadLetter(command) => dead_letter::run(session, &command).await,
        Command::Prewarm(args) => prewarm(session, &args).await,
        Command::Delete(args) => delete(session, &args).await,
        Command::List => list::list(session).await,
        Command::Logs(args) => logs::logs(session, &args).await,
        Command::App(command) => application::run(session, &command).await,
        Command::Endpoint(command) => application::run_endpoint(session, &command).await,
        Command::Function(command) => application::run_function(session, &command).await,
        Command::Status => status::status(session).await,
        Command::Peers => peers::peers(session).await,
        Command::Login(args) => account::login(session, &args).await,
        Command::Logout(args) => account::logout(session, &args).await,
        Command::Whoami => account::whoami(session).await,
        Command::Token(command) => token::run(session, &command).await,
        Command::Account(command) => account::run(session, &command).await,
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
    session.show(&ready, |ready| {
        format!("{} of {} ready", ready.prewarmed, args.count)
    })?;
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
    FunctionName::parse(text)
        .map_err(|error| Failure::usage(format!("{text:?} is no function name: {error}")))
}
