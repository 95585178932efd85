//! The state that every command works with, and the names that commands take.

use std::path::Path;
use std::time::Duration;

use serde::Serialize;
use serverledge_client::{
    AppName, Client, ClientConfig, ClientError, Endpoint, FunctionName, Token,
};
use serverledge_wire::account::Secret;

use crate::credentials::CredentialsFile;
use crate::failure::{Failure, root_cause};
use crate::settings::Settings;
use crate::{files, json, output, progress, text};

/// The state that every command works with: the client, its settings, and the form of the output.
#[derive(Debug)]
pub(crate) struct Session {
    pub(crate) client: Client,
    config: ClientConfig,
    credentials: Option<CredentialsFile>,
    /// Whether the caller named the node, rather than taking the usual one.
    pub(super) names_node: bool,
    pub(super) for_people: bool,
    pub(super) json: bool,
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
            names_node: settings.is_named,
            for_people: !json && output::is_terminal(),
            json,
        })
    }

    /// The same form of output, with a node on this machine that knows neither tokens nor applications.
    pub(super) fn at(&self, endpoint: Endpoint) -> Result<Self, Failure> {
        let config = ClientConfig {
            timeout: self.config.timeout,
            ..ClientConfig::default()
        };
        let client = Client::new(endpoint, &config);
        let client = client.map_err(|error| Failure::of_call("set up the client", error))?;
        Ok(Self {
            client,
            config,
            credentials: None,
            names_node: true,
            for_people: self.for_people,
            json: self.json,
        })
    }

    /// A client of the same node that sends this token.
    pub(super) fn with_token(&self, token: &Secret) -> Result<Client, Failure> {
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
    pub(super) fn credentials(&self) -> Result<&CredentialsFile, Failure> {
        let none = || {
            Failure::usage("there is no place for credentials").hint("set HOME or XDG_CONFIG_HOME")
        };
        self.credentials.as_ref().ok_or_else(none)
    }

    /// The owner of the token that is sent, if one is, in words for people: the address if `login` kept it.
    pub(super) fn who(&self) -> Option<String> {
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
    pub(super) fn say(&self, words: &str) -> Result<(), Failure> {
        if self.for_people {
            output::result(words)
        } else {
            Ok(())
        }
    }

    /// The same, on the functions of an application.
    pub(crate) fn in_app(self, name: &str) -> Result<Self, Failure> {
        let client = self.client.in_app(app_name(name)?);
        Ok(Self { client, ..self })
    }

    /// The application that is acted on, as the end of a phrase.
    pub(super) fn of_app(&self) -> String {
        self.client
            .app()
            .map(|app| format!(" in the application {app}"))
            .unwrap_or_default()
    }

    /// Asks the node, and shows its answer as by [`Session::show`]; `doing` is told if it takes long.
    pub(super) async fn answer<T: Serialize>(
        &self,
        doing: &str,
        call: impl Future<Output = Result<T, ClientError>>,
        failed: impl FnOnce(ClientError) -> Failure,
        text: impl FnOnce(&T) -> String,
    ) -> Result<(), Failure> {
        let answer = progress::during(doing, call).await.map_err(failed)?;
        self.show(&answer, text)
    }

    /// Shows a list as by [`Session::show`], or tells a person that it is empty.
    pub(super) fn show_list<T: Serialize>(
        &self,
        list: &[T],
        none: &str,
        text: impl FnOnce(&[T]) -> String,
    ) -> Result<(), Failure> {
        if self.for_people && list.is_empty() {
            output::warn(none);
            return Ok(());
        }
        self.show(list, text)
    }

    /// Shows an answer: as its JSON, or on a terminal as the text that suits people.
    pub(crate) fn show<T: Serialize + ?Sized>(
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

pub(crate) fn function_name(text: &str) -> Result<FunctionName, Failure> {
    FunctionName::parse(text)
        .map_err(|error| Failure::usage(format!("{text:?} is no function name: {error}")))
}

pub(crate) fn app_name(text: &str) -> Result<AppName, Failure> {
    AppName::parse(text)
        .map_err(|error| Failure::usage(format!("{text:?} names no application: {error}")))
}
