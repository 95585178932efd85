//! The Docker Engine: one place for its calls, with errors that say whose fault they are. Connects when first asked, so that
//! a node starts without it and finds it when it comes.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use bollard::Docker;
use bollard::container::LogOutput;
use bollard::errors::Error;
use bollard::models::{
    ContainerCreateBody, ContainerInspectResponse, ContainerUpdateBody, NetworkCreateRequest,
};
use bollard::query_parameters::{
    CreateContainerOptions, CreateImageOptionsBuilder, InspectContainerOptions,
    InspectNetworkOptions, KillContainerOptions, ListContainersOptionsBuilder,
    ListNetworksOptionsBuilder, LogsOptionsBuilder, RemoveContainerOptionsBuilder,
    StartContainerOptions,
};
use futures_util::StreamExt as _;
use parking_lot::Mutex;
use serverledge_core::Progress;

/// Longest wait for one answer of the engine; pulling an image answers in pieces.
const CALL_TIMEOUT: Duration = Duration::from_secs(30);
/// Longest wait for the first contact.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Longest silence of an image's registry while the engine fetches from it.
const PULL_PAUSE: Duration = Duration::from_secs(60);
/// Longest time for reading the few lines of a log that are asked for.
const STREAM_PAUSE: Duration = Duration::from_secs(5);
/// The label that everything of a node carries; its value is the node's id.
pub(crate) const NODE_LABEL: &str = "serverledge.node";

/// See the module.
#[derive(Debug)]
pub(crate) struct Engine {
    socket: PathBuf,
    docker: Mutex<Option<Docker>>,
}

/// What counts of an image.
#[derive(Debug)]
pub(crate) struct Image {
    pub(crate) id: String,
    /// Folders for which the engine would make volumes: disk of the machine, writable and without a limit.
    pub(crate) volumes: Vec<String>,
}

/// Why the engine did not do as asked.
#[derive(Debug, thiserror::Error)]
pub(crate) enum EngineError {
    /// It does not answer.
    #[error("the Docker Engine does not answer at {socket}")]
    Unavailable {
        /// Where it was looked for.
        socket: PathBuf,
        /// The cause.
        #[source]
        source: Box<Error>,
    },
    /// No such container, image or network.
    #[error("the Docker Engine does not find it: {0}")]
    Missing(String),
    /// This executor is closed: nothing is created any more.
    #[error("the executor is closed")]
    Closed,
    /// It refused.
    #[error("the Docker Engine refused ({status}): {message}")]
    Refused {
        /// Its HTTP status.
        status: u16,
        /// Its words.
        message: String,
    },
}

impl Engine {
    pub(crate) fn new(socket: PathBuf) -> Self {
        Self {
            socket,
            docker: Mutex::new(None),
        }
    }

    pub(crate) fn socket(&self) -> &Path {
        &self.socket
    }

    /// Whether it answers now.
    pub(crate) async fn ping(&self) -> Result<(), EngineError> {
        let docker = self.docker().await?;
        match tokio::time::timeout(CONNECT_TIMEOUT, docker.ping()).await {
            Ok(answer) => self.check(answer).map(drop),
            Err(_) => self.check(Err(Error::RequestTimeoutError)),
        }
    }

    /// Fails without having asked for anything if the engine was not there when it was last needed and is not now.
    pub(crate) async fn connect(&self) -> Result<(), EngineError> {
        self.docker().await.map(drop)
    }

    async fn docker(&self) -> Result<Docker, EngineError> {
        if let Some(docker) = self.docker.lock().clone() {
            return Ok(docker);
        }
        let path = self.socket.to_string_lossy();
        let connected =
            Docker::connect_with_unix(&path, CALL_TIMEOUT.as_secs(), bollard::API_DEFAULT_VERSION);
        let docker = self.check(connected)?;
        // The engine may be older than this library.
        let negotiated =
            match tokio::time::timeout(CONNECT_TIMEOUT, docker.negotiate_version()).await {
                Ok(negotiated) => self.check(negotiated)?,
                Err(_) => return self.check(Err(Error::RequestTimeoutError)),
            };
        *self.docker.lock() = Some(negotiated.clone());
        Ok(negotiated)
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
            } => EngineError::Refused { status, message },
            Error::DockerStreamError { error: message } => EngineError::Refused {
                status: 500,
                message,
            },
            other => {
                // A restarted engine may have another version.
                *self.docker.lock() = None;
                EngineError::Unavailable {
                    socket: self.socket.clone(),
                    source: Box::new(other),
                }
            }
        })
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

    pub(crate) async fn update(
        &self,
        id: &str,
        body: ContainerUpdateBody,
    ) -> Result<(), EngineError> {
        let docker = self.docker().await?;
        self.check(docker.update_container(id, body).await)
    }

    pub(crate) async fn inspect(&self, id: &str) -> Result<ContainerInspectResponse, EngineError> {
        let docker = self.docker().await?;
        self.check(
            docker
                .inspect_container(id, None::<InspectContainerOptions>)
                .await,
        )
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
        let filters = HashMap::from([("label", vec![format!("{NODE_LABEL}={node_id}")])]);
        let options = ListContainersOptionsBuilder::default()
            .all(true)
            .filters(&filters)
            .build();
        let docker = self.docker().await?;
        let found = self.check(docker.list_containers(Some(options)).await)?;
        Ok(found
            .into_iter()
            .filter_map(|container| container.id)
            .collect())
    }

    /// The end of what a container's processes wrote past the agent.
    pub(crate) async fn logs(&self, id: &str, lines: u32) -> Result<String, EngineError> {
        match tokio::time::timeout(STREAM_PAUSE, self.read_logs(id, lines)).await {
            Ok(logs) => logs,
            Err(_) => self.check(Err(Error::RequestTimeoutError)),
        }
    }

    async fn read_logs(&self, id: &str, lines: u32) -> Result<String, EngineError> {
        let options = LogsOptionsBuilder::default()
            .stdout(true)
            .stderr(true)
            .tail(&lines.to_string())
            .build();
        let docker = self.docker().await?;
        let mut pieces = docker.logs(id, Some(options));
        let mut text = Vec::new();
        while let Some(piece) = pieces.next().await {
            text.extend_from_slice(&LogOutput::into_bytes(self.check(piece)?));
        }
        Ok(String::from_utf8_lossy(&text).into_owned())
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

    pub(crate) async fn remove_network(&self, name: &str) -> Result<(), EngineError> {
        let docker = self.docker().await?;
        match self.check(docker.remove_network(name).await) {
            Err(EngineError::Missing(_)) => Ok(()),
            other => other,
        }
    }
}
