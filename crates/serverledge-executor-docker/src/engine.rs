//! The container engine, Docker or Podman: one place for its calls, with errors that say whose fault they are. Connects when first
//! asked, so that a node starts without it and finds it when it comes.

use std::collections::HashMap;
use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use bollard::Docker;
use bollard::container::LogOutput;
use bollard::errors::Error;
use bollard::models::{ContainerCreateBody, NetworkCreateRequest};
use bollard::query_parameters::{
    CreateContainerOptions, CreateImageOptionsBuilder, InspectNetworkOptions, KillContainerOptions,
    ListNetworksOptionsBuilder, LogsOptionsBuilder, RemoveContainerOptionsBuilder,
    StartContainerOptions,
};
use bytes::Bytes;
use futures_util::StreamExt as _;
use parking_lot::Mutex;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::json;
use serverledge_core::{Progress, causes};

use crate::kind::{EngineKind, Updates};
use crate::libpod::{self, Info};
use crate::profile::Share;
use crate::requests::{EngineRefusal, EngineRequest, encoded};

/// Longest wait for one answer of the engine; pulling an image answers in pieces.
const CALL_TIMEOUT: Duration = Duration::from_secs(30);
/// Longest wait for the first contact.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Longest silence of an image's registry while the engine fetches from it.
const PULL_PAUSE: Duration = Duration::from_secs(60);
/// Pauses before a failed container is asked again for output, if it seems to have none.
const LAST_OUTPUT_PAUSES: [Duration; 2] = [Duration::from_millis(100), Duration::from_secs(2)];
/// Longest time for reading the few lines of a log that are asked for.
const STREAM_PAUSE: Duration = Duration::from_secs(5);
/// The label that everything of a node carries; its value is the node's id.
pub(crate) const NODE_LABEL: &str = "serverledge.node";

/// See the module.
#[derive(Debug)]
pub(crate) struct Engine {
    socket: PathBuf,
    reached: Mutex<Option<Reached>>,
}

/// An engine that has answered.
#[derive(Debug, Clone)]
struct Reached {
    docker: Docker,
    kind: Arc<EngineKind>,
}

/// One of the two streams that a container writes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum OutputStream {
    Out,
    Err,
}

/// The part of an image's description that is used here.
#[derive(Debug)]
pub(crate) struct Image {
    pub(crate) id: String,
    /// Folders for which the engine would make volumes: disk of the machine, writable and without a limit.
    pub(crate) volumes: Vec<String>,
}

/// A container in a list.
#[derive(Debug, Deserialize)]
struct Listed {
    #[serde(rename = "Id")]
    id: String,
}

/// The part of a container's description that is used here. Not its state in words: Podman has some that Docker has
/// not.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(crate) struct Inspected {
    pub(crate) state: ProcessState,
    network_settings: NetworkSettings,
}

/// The state of a container's first process.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(crate) struct ProcessState {
    pub(crate) running: bool,
    #[serde(rename = "OOMKilled")]
    pub(crate) oom_killed: bool,
    /// As this machine counts; 0 if there is none.
    pub(crate) pid: i64,
    pub(crate) exit_code: i64,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct NetworkSettings {
    networks: Option<HashMap<String, NetworkEndpoint>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct NetworkEndpoint {
    #[serde(rename = "IPAddress")]
    address: Option<String>,
}

impl Inspected {
    /// Its address in a network.
    pub(crate) fn address(&self, network: &str) -> Option<IpAddr> {
        self.network_settings
            .networks
            .as_ref()?
            .get(network)?
            .address
            .as_ref()?
            .parse()
            .ok()
    }
}

/// The reason why the engine did not do as asked.
#[derive(Debug, thiserror::Error)]
pub(crate) enum EngineError {
    /// It does not answer.
    #[error("no container engine answers at {socket}")]
    Unavailable {
        socket: PathBuf,
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// No such container, image or network.
    #[error("the container engine does not find it: {0}")]
    Missing(String),
    /// This executor is closed: nothing is created any more.
    #[error("the executor is closed")]
    Closed,
    /// It cannot give what every container must have, or what this one asks for.
    #[error("{engine} cannot run it: {why}")]
    Unfit { engine: String, why: &'static str },
    #[error("{engine} refused ({status}): {message}{}", remedy(message))]
    Refused {
        engine: String,
        status: u16,
        message: String,
    },
}

/// The cause behind all others. Those before it are about the layers of the client's library.
fn last_cause(error: &(dyn std::error::Error + 'static)) -> String {
    let last = causes(error).last();
    last.map_or_else(String::new, ToString::to_string)
}

/// A way out of what engines refuse for want of a part of their own.
fn remedy(message: &str) -> &'static str {
    if message.contains("container-init binary not found") {
        "; install its init program (on Debian: apt-get install catatonit)"
    } else {
        ""
    }
}

impl Engine {
    pub(crate) fn new(socket: PathBuf) -> Self {
        Self {
            socket,
            reached: Mutex::new(None),
        }
    }

    /// Whether it answers now.
    pub(crate) async fn ping(&self) -> Result<(), EngineError> {
        let docker = self.docker().await?;
        self.soon(docker.ping()).await.map(drop)
    }

    /// The kind of the engine, which is asked if that is not known yet: fails if it was not there when it was last needed and is
    /// not now.
    pub(crate) async fn kind(&self) -> Result<Arc<EngineKind>, EngineError> {
        self.reach().await.map(|reached| reached.kind)
    }

    async fn docker(&self) -> Result<Docker, EngineError> {
        self.reach().await.map(|reached| reached.docker)
    }

    async fn reach(&self) -> Result<Reached, EngineError> {
        if let Some(reached) = self.reached.lock().clone() {
            return Ok(reached);
        }
        let path = self.socket.to_string_lossy();
        let connected =
            Docker::connect_with_unix(&path, CALL_TIMEOUT.as_secs(), bollard::API_DEFAULT_VERSION);
        let docker = self.check(connected)?;
        // The engine may be older than this library.
        let docker = self.soon(docker.negotiate_version()).await?;
        let told = self.soon(docker.version()).await?;
        let mut kind = EngineKind::of(told);
        if kind.is_podman {
            kind.host = self.ask::<Info>(libpod::info()).await?.host;
        }
        let reached = Reached {
            docker,
            kind: Arc::new(kind),
        };
        *self.reached.lock() = Some(reached.clone());
        Ok(reached)
    }

    /// An answer of the first contact.
    async fn soon<T>(
        &self,
        answer: impl Future<Output = Result<T, Error>>,
    ) -> Result<T, EngineError> {
        let answer = tokio::time::timeout(CONNECT_TIMEOUT, answer).await;
        self.check(answer.unwrap_or(Err(Error::RequestTimeoutError)))
    }

    fn check<T>(&self, answer: Result<T, Error>) -> Result<T, EngineError> {
        answer.map_err(|error| match error {
            Error::DockerResponseServerError {
                status_code: 404,
                message,
            } => EngineError::Missing(message),
            Error::DockerResponseServerError {
                status_code: status,
                message,
            } => self.refused(status, message),
            Error::DockerStreamError { error: message } => self.refused(500, message),
            other => self.away(&other),
        })
    }

    fn refused(&self, status: u16, message: String) -> EngineError {
        let engine = self
            .reached
            .lock()
            .as_ref()
            .map(|reached| reached.kind.to_string());
        EngineError::Refused {
            engine: engine.unwrap_or_else(|| "the container engine".to_owned()),
            status,
            message,
        }
    }

    fn away(&self, source: &(dyn std::error::Error + 'static)) -> EngineError {
        // A restarted engine may have another version.
        *self.reached.lock() = None;
        EngineError::Unavailable {
            socket: self.socket.clone(),
            source: last_cause(source).into(),
        }
    }

    /// A request whose answer is read here.
    async fn ask<T: DeserializeOwned>(&self, call: EngineRequest) -> Result<T, EngineError> {
        let told = self.send(call).await?;
        serde_json::from_slice(&told).map_err(|error| self.away(&error))
    }

    /// The same, with the body of the answer as it is.
    async fn send(&self, call: EngineRequest) -> Result<Vec<u8>, EngineError> {
        match call.send(&self.socket).await {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(EngineRefusal {
                status: 404,
                message,
            })) => Err(EngineError::Missing(message)),
            Ok(Err(EngineRefusal { status, message })) => Err(self.refused(status, message)),
            Err(error) => Err(self.away(&error)),
        }
    }

    /// Creates a container; its id.
    pub(crate) async fn create(
        &self,
        name: &str,
        body: ContainerCreateBody,
    ) -> Result<String, EngineError> {
        let options = CreateContainerOptions {
            name: Some(name.to_owned()),
            ..CreateContainerOptions::default()
        };
        let docker = self.docker().await?;
        self.check(docker.create_container(Some(options), body).await)
            .map(|created| created.id)
    }

    pub(crate) async fn start(&self, id: &str) -> Result<(), EngineError> {
        let docker = self.docker().await?;
        self.check(
            docker
                .start_container(id, None::<StartContainerOptions>)
                .await,
        )
    }

    /// Gives a running container other limits, where the engine can: see [`EngineKind::updates`].
    pub(crate) async fn update(&self, id: &str, share: Share) -> Result<(), EngineError> {
        let Reached { docker, kind } = self.reach().await?;
        match kind.updates() {
            Updates::Docker => self.check(docker.update_container(id, share.update()).await),
            Updates::Podman => self.send(libpod::update(id, share)).await.map(drop),
            Updates::Never => Ok(()),
        }
    }

    pub(crate) async fn inspect(&self, id: &str) -> Result<Inspected, EngineError> {
        self.reach().await?;
        self.ask(EngineRequest::get(format!("/containers/{id}/json")))
            .await
    }

    /// Kills and removes a container; one that is not there is as good as removed.
    pub(crate) async fn remove(&self, id: &str) -> Result<(), EngineError> {
        let docker = self.docker().await?;
        // Killing first: a forced removal of a running container waits for its processes in a slower way.
        let _ = docker
            .kill_container(id, None::<KillContainerOptions>)
            .await;
        let options = RemoveContainerOptionsBuilder::default()
            .force(true)
            .v(true)
            .build();
        match self.check(docker.remove_container(id, Some(options)).await) {
            Err(EngineError::Missing(_)) => Ok(()),
            // "removal of container … is already in progress"
            Err(EngineError::Refused { status: 409, .. }) => Ok(()),
            other => other,
        }
    }

    /// Ids of all containers with this node's label.
    pub(crate) async fn containers_of(&self, node_id: &str) -> Result<Vec<String>, EngineError> {
        self.reach().await?;
        let filters = encoded(&json!({ "label": [format!("{NODE_LABEL}={node_id}")] }).to_string());
        let found: Vec<Listed> = self
            .ask(EngineRequest::get(format!(
                "/containers/json?all=true&filters={filters}"
            )))
            .await?;
        Ok(found.into_iter().map(|container| container.id).collect())
    }

    /// The end of what a container's processes wrote past the agent.
    pub(crate) async fn logs(&self, id: &str, lines: u32) -> Result<String, EngineError> {
        let logs = tokio::time::timeout(STREAM_PAUSE, self.read_logs(id, lines)).await;
        logs.unwrap_or_else(|_| self.check(Err(Error::RequestTimeoutError)))
    }

    /// The same of a container that has failed; empty if the engine has none, or does not say it. Podman now and then answers
    /// with nothing at first, though something was written.
    pub(crate) async fn last_output(&self, id: &str, lines: u32) -> String {
        for pause in LAST_OUTPUT_PAUSES {
            match self.logs(id, lines).await {
                Ok(text) if text.is_empty() => tokio::time::sleep(pause).await,
                Ok(text) => return text,
                Err(_) => return String::new(),
            }
        }
        self.logs(id, lines).await.unwrap_or_default()
    }

    async fn read_logs(&self, id: &str, lines: u32) -> Result<String, EngineError> {
        let Reached { docker, kind } = self.reach().await?;
        // Podman 4.3.1, asked for the last lines, leaves out the beginning of a line that was written in pieces. The whole log
        // is right, and the profile bounds it.
        let asked = if kind.is_podman {
            "all".to_owned()
        } else {
            lines.to_string()
        };
        let options = LogsOptionsBuilder::default()
            .stdout(true)
            .stderr(true)
            .tail(&asked)
            .build();
        let mut pieces = docker.logs(id, Some(options));
        let mut text = Vec::new();
        while let Some(piece) = pieces.next().await {
            text.extend_from_slice(&LogOutput::into_bytes(self.check(piece)?));
        }
        Ok(last_lines(&String::from_utf8_lossy(&text), lines).to_owned())
    }

    /// All that a container's processes write past the agent, each piece with the engine's time before it, from this time on in
    /// Unix milliseconds, until the container ends.
    pub(crate) async fn follow_logs(
        &self,
        id: &str,
        since_ms: u64,
    ) -> Result<
        impl futures_util::Stream<Item = Result<(OutputStream, Bytes), EngineError>>,
        EngineError,
    > {
        let since = i32::try_from(since_ms / 1000).unwrap_or(i32::MAX);
        let options = LogsOptionsBuilder::default()
            .stdout(true)
            .stderr(true)
            .timestamps(true)
            .follow(true)
            .since(since)
            .build();
        let docker = self.docker().await?;
        Ok(docker.logs(id, Some(options)).map(|piece| {
            self.check(piece).map(|piece| {
                let stream = if matches!(piece, LogOutput::StdErr { .. }) {
                    OutputStream::Err
                } else {
                    OutputStream::Out
                };
                (stream, piece.into_bytes())
            })
        }))
    }

    /// An image that is on the machine; `None` if it is not.
    pub(crate) async fn image(&self, image: &str) -> Result<Option<Image>, EngineError> {
        let docker = self.docker().await?;
        match self.check(docker.inspect_image(image).await) {
            Ok(found) => {
                let volumes = found
                    .config
                    .and_then(|config| config.volumes)
                    .unwrap_or_default();
                Ok(Some(Image {
                    id: found.id.unwrap_or_default(),
                    volumes,
                }))
            }
            Err(EngineError::Missing(_)) => Ok(None),
            Err(other) => Err(other),
        }
    }

    /// Fetches an image.
    pub(crate) async fn pull(
        &self,
        image: &str,
        progress: &dyn Progress,
    ) -> Result<(), EngineError> {
        let docker = self.docker().await?;
        let reference = if image
            .rsplit('/')
            .next()
            .is_some_and(|last| last.contains([':', '@']))
        {
            image.to_owned()
        } else {
            format!("{image}:latest")
        };
        let options = CreateImageOptionsBuilder::default()
            .from_image(&reference)
            .build();
        let mut steps = docker.create_image(Some(options), None, None);
        loop {
            let step = match tokio::time::timeout(PULL_PAUSE, steps.next()).await {
                Ok(Some(step)) => self.check(step)?,
                Ok(None) => break,
                Err(_) => return self.check(Err(Error::RequestTimeoutError)),
            };
            if let (Some(status), None) = (&step.status, &step.progress_detail) {
                progress.step(status);
            }
        }
        Ok(())
    }

    /// The names of all networks with this node's label.
    pub(crate) async fn networks_of(&self, node_id: &str) -> Result<Vec<String>, EngineError> {
        let filters = HashMap::from([("label", vec![format!("{NODE_LABEL}={node_id}")])]);
        let options = ListNetworksOptionsBuilder::default()
            .filters(&filters)
            .build();
        let docker = self.docker().await?;
        let found = self.check(docker.list_networks(Some(options)).await)?;
        Ok(found
            .into_iter()
            .filter_map(|network| network.name)
            .collect())
    }

    /// Creates a network unless it is there.
    pub(crate) async fn ensure_network(
        &self,
        request: NetworkCreateRequest,
    ) -> Result<(), EngineError> {
        let docker = self.docker().await?;
        let there = docker
            .inspect_network(&request.name, None::<InspectNetworkOptions>)
            .await;
        match self.check(there) {
            Err(EngineError::Missing(_)) => {
                self.check(docker.create_network(request).await).map(drop)
            }
            other => other.map(drop),
        }
    }

    /// Creates a network by Podman's own API: the Docker-compatible one leaves out what it does not know.
    pub(crate) async fn create_own_network(
        &self,
        name: &str,
        interface: &str,
        internal: bool,
        node_id: &str,
    ) -> Result<(), EngineError> {
        self.send(libpod::create_network(name, interface, internal, node_id))
            .await
            .map(drop)
    }

    pub(crate) async fn remove_network(&self, name: &str) -> Result<(), EngineError> {
        let docker = self.docker().await?;
        match self.check(docker.remove_network(name).await) {
            Err(EngineError::Missing(_)) => Ok(()),
            other => other,
        }
    }
}

/// The end of a text, from the beginning of one of its last lines.
fn last_lines(text: &str, lines: u32) -> &str {
    let lines = usize::try_from(lines).unwrap_or(usize::MAX);
    let whole = text.strip_suffix('\n').unwrap_or(text);
    let mut breaks = whole.rmatch_indices('\n');
    match lines.checked_sub(1).map(|before| breaks.nth(before)) {
        Some(Some((at, _))) => text.get(at + 1..).unwrap_or_default(),
        Some(None) => text,
        None => "",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn last_lines_are_whole() {
        for (text, lines, expected) in [
            ("", 2, ""),
            ("a\n", 2, "a\n"),
            ("a\nb\n", 2, "a\nb\n"),
            ("a\nb\nc\n", 2, "b\nc\n"),
            ("a\nb\nc", 1, "c"),
            ("a\n\nc\n", 2, "\nc\n"),
            ("a\n", 0, ""),
        ] {
            assert_eq!(last_lines(text, lines), expected, "{text:?} {lines}");
        }
    }

    /// Podman says `stopped` between a container's end and its own notice of it.
    #[test]
    fn a_container_in_any_state_is_read() {
        let told = r#"{"Id":"c","State":{"Status":"stopped","Running":false,"OOMKilled":true,"Pid":0,"ExitCode":7},
            "NetworkSettings":{"Networks":{"n":{"IPAddress":"10.89.0.2","Gateway":"<nil>"},"m":{"IPAddress":""}}}}"#;
        let found: Inspected = serde_json::from_str(told).unwrap();
        assert_eq!(
            (
                found.state.running,
                found.state.exit_code,
                found.state.oom_killed
            ),
            (false, 7, true)
        );
        assert_eq!(found.address("n"), Some([10, 89, 0, 2].into()));
        assert_eq!((found.address("m"), found.address("x")), (None, None));
    }

    #[derive(Debug, thiserror::Error)]
    #[error("client error (Connect)")]
    struct Connect(#[source] std::io::Error);

    #[test]
    fn an_engine_that_is_away_is_told_by_the_last_cause() {
        let gone = std::io::Error::new(std::io::ErrorKind::NotFound, "no such socket");
        let away = Engine::new("/none.sock".into()).away(&Connect(gone));
        assert_eq!(
            serverledge_core::error_chain(&away),
            "no container engine answers at /none.sock: no such socket"
        );
    }

    #[test]
    fn a_refusal_names_the_engine_and_the_way_out() {
        let message = "container-init binary not found".to_owned();
        let refused = EngineError::Refused {
            engine: "Podman 4.3.1".to_owned(),
            status: 500,
            message,
        };
        let told = "Podman 4.3.1 refused (500): container-init binary not found; install its init program (on Debian: apt-get install catatonit)";
        assert_eq!(refused.to_string(), told);
    }
}
