//! From a recipe to a container that listens. Runs in a task of its own, so that a caller who goes away leaves nothing half made.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use serverledge_core::StartPhase;
use tokio::net::TcpStream;
use tokio::time::Instant;

use crate::agent::{AgentEndpoint, Connections, began};
use crate::calls::CallServer;
use crate::container::{Container, Hub, new_name};
use crate::engine::EngineError;
use crate::memory_kills::MemoryKills;
use crate::outbound;
use crate::profile::{Recipe, SOCKET_DIR};
use crate::socket::{CALL_SOCKET, OUTBOUND_SOCKET};

/// Pause between tries to connect to what has just been started.
const CONNECT_PAUSE: Duration = Duration::from_millis(2);
/// The interval at which a container that does not listen yet is checked.
const LOOK_EVERY: Duration = Duration::from_millis(250);
/// The time that the engine may take to know a started container's address and process.
const ENDPOINT_LIMIT: Duration = Duration::from_secs(10);
/// Port of the executor protocol.
const EXECUTOR_PORT: u16 = 8080;
/// Lines of a failed container's own log in messages.
const LOG_LINES: u32 = 20;

/// The reason why no container listens.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LaunchError {
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// Its image is not there.
    #[error("the image is missing: {0}")]
    NoImage(String),
    /// It ended before it listened.
    #[error("the container ended with code {code} before it listened{}", tail(log))]
    Ended { code: i64, log: String },
    #[error("the container did not listen within {after:?}{}", tail(log))]
    Late { after: Duration, log: String },
    /// The machine's fault.
    #[error("failed to {attempt}")]
    Machine {
        attempt: &'static str,
        source: std::io::Error,
    },
}

fn tail(log: &str) -> String {
    if log.trim().is_empty() {
        String::new()
    } else {
        format!("; it wrote: {}", log.trim())
    }
}

/// A container that listens: one with its function, or a template.
pub(crate) struct ListeningContainer {
    pub(crate) container: Container,
    pub(crate) connections: Connections,
}

impl ListeningContainer {
    /// Opens the way to hosts outside, for a container that is yet to be given its function.
    pub(crate) fn open_outbound(&self) -> Result<(), LaunchError> {
        let Some(calls) = &self.connections.calls else {
            return Ok(());
        };
        let hub = &self.container.hub;
        let listener = hub.sockets.listen(&self.container.name, OUTBOUND_SOCKET);
        let listener = listener.map_err(|error| machine("listen for requests", error))?;
        outbound::start(hub, listener, calls);
        Ok(())
    }
}

/// Creates and starts a container and waits until it listens. To be called from a task that nobody drops.
pub(crate) async fn launch(
    hub: &Arc<Hub>,
    mut recipe: Recipe,
    phases: &mut Vec<StartPhase>,
) -> Result<ListeningContainer, LaunchError> {
    hub.ensure_swept().await?;
    let name =
        new_name().map_err(|error| machine("draw a random name", std::io::Error::other(error)))?;
    let mut calls = None;
    if recipe.agent {
        let folder = hub
            .sockets
            .create(&name)
            .map_err(|error| machine("make a folder for a socket", error))?;
        // There before the container is: nobody in it can be quicker.
        let listener = hub
            .sockets
            .listen(&name, CALL_SOCKET)
            .inspect_err(|_| hub.sockets.remove(&name));
        calls = Some(CallServer::start(
            hub,
            listener.map_err(|error| machine("listen for calls", error))?,
        ));
        recipe.mounts.push((
            folder.to_string_lossy().into_owned(),
            SOCKET_DIR.to_owned(),
            false,
        ));
    }
    let begun = Instant::now();
    let created = Container::create(hub, name.clone(), &recipe).await;
    let container =
        created
            .inspect_err(|_| hub.sockets.remove(&name))
            .map_err(|error| match error {
                EngineError::Missing(what) => LaunchError::NoImage(what),
                other => other.into(),
            })?;
    let made = Instant::now();
    phases.push(("create", made - begun));
    hub.engine.start(&container.id).await?;
    let started = Instant::now();
    phases.push(("start", started - made));
    let endpoint = wait_until_listening(&container, recipe.agent).await?;
    if recipe.agent {
        hub.sockets
            .seal(&container.name)
            .map_err(|error| machine("seal a socket's folder", error))?;
    }
    phases.push(("ready", started.elapsed()));
    Ok(ListeningContainer {
        container,
        connections: Connections::new(endpoint, calls),
    })
}

async fn wait_until_listening(
    container: &Container,
    agent: bool,
) -> Result<Option<AgentEndpoint>, LaunchError> {
    let hub = &container.hub;
    let limit = Instant::now() + hub.config.start_timeout;
    let endpoint = if agent {
        None
    } else {
        Some(endpoint_of(container).await?)
    };
    let mut look = Instant::now() + LOOK_EVERY;
    loop {
        if let Some(process) = listener(container, endpoint).await {
            remember_group(container, process);
            return Ok(endpoint);
        }
        let now = Instant::now();
        if now >= limit {
            check_alive(container).await?;
            let log = hub.engine.last_output(&container.id, LOG_LINES).await;
            return Err(LaunchError::Late {
                after: hub.config.start_timeout,
                log,
            });
        }
        if now >= look {
            check_alive(container).await?;
            look = now + LOOK_EVERY;
        }
        tokio::time::sleep(CONNECT_PAUSE).await;
    }
}

/// A process of a container that listens; `None` if it does not yet.
async fn listener(container: &Container, endpoint: Option<AgentEndpoint>) -> Option<i64> {
    match endpoint {
        None => {
            let stream = container.hub.sockets.connect(&container.name).await.ok()?;
            Some(
                stream
                    .peer_cred()
                    .ok()
                    .and_then(|peer| peer.pid())
                    .map_or(0, i64::from),
            )
        }
        // One that has ended answers nothing at all; it is looked at all the same.
        Some(AgentEndpoint { address, process }) => {
            let connected = tokio::time::timeout(LOOK_EVERY, TcpStream::connect(address)).await;
            connected.is_ok_and(|to| to.is_ok()).then_some(process.0)
        }
    }
}

/// So that a container's end can be told from the kernel's doing, which an engine tells late or not at all.
fn remember_group(container: &Container, process: i64) {
    if let Some(kills) = i32::try_from(process).ok().and_then(MemoryKills::of) {
        // Told once: a container is launched once.
        let _ = container.memory_kills.set(kills);
    }
}

async fn check_alive(container: &Container) -> Result<(), LaunchError> {
    let engine = &container.hub.engine;
    let state = engine.inspect(&container.id).await?.state;
    if state.running {
        return Ok(());
    }
    let log = engine.last_output(&container.id, LOG_LINES).await;
    Err(LaunchError::Ended {
        code: state.exit_code,
        log,
    })
}

/// The address in its network, and its process: asked for once, as a rule. Of one that is about to end the engine may know
/// neither and not yet that it ends.
async fn endpoint_of(container: &Container) -> Result<AgentEndpoint, LaunchError> {
    let limit = Instant::now() + ENDPOINT_LIMIT;
    loop {
        if let Some(endpoint) = endpoint_now(container).await? {
            return Ok(endpoint);
        }
        check_alive(container).await?;
        if Instant::now() >= limit {
            let why = std::io::Error::other("it has no address in its network, or no process");
            return Err(machine("find the container", why));
        }
        tokio::time::sleep(CONNECT_PAUSE).await;
    }
}

async fn endpoint_now(container: &Container) -> Result<Option<AgentEndpoint>, LaunchError> {
    let found = container.hub.engine.inspect(&container.id).await?;
    let pid = found.state.pid;
    let process = if pid > 0 {
        began(pid).map(|begun| (pid, begun))
    } else {
        None
    };
    let ip = found.address(&container.network.name);
    Ok(ip.zip(process).map(|(ip, process)| AgentEndpoint {
        address: SocketAddr::new(ip, EXECUTOR_PORT),
        process,
    }))
}

fn machine(attempt: &'static str, source: std::io::Error) -> LaunchError {
    LaunchError::Machine { attempt, source }
}
