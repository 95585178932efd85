//! From a recipe to a container that listens. Runs in a task of its own, so that a caller who goes away leaves nothing half made.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use serverledge_core::StartPhase;
use tokio::net::TcpStream;
use tokio::time::Instant;

use crate::container::{Container, Hub, new_name};
use crate::engine::EngineError;
use crate::exchange::Exchange;
use crate::profile::{Recipe, SOCKET_DIR};

/// Pause between tries to connect to what has just been started.
const CONNECT_PAUSE: Duration = Duration::from_millis(2);
/// How often a container that does not listen yet is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(250);
/// Port of the executor protocol.
const EXECUTOR_PORT: u16 = 8080;
/// Lines of a failed container's own log in messages.
const LOG_LINES: u32 = 20;

/// Why no container listens.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LaunchError {
    /// The engine's doing.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// It ended before it listened.
    #[error("the container ended with code {code} before it listened{}", tail(log))]
    Ended {
        /// Its exit code.
        code: i64,
        /// What it wrote.
        log: String,
    },
    /// It took too long.
    #[error("the container did not listen within {after:?}{}", tail(log))]
    Late {
        /// The limit.
        after: Duration,
        /// What it wrote.
        log: String,
    },
    /// The machine's fault.
    #[error("failed to {attempt}")]
    Machine {
        /// What was attempted.
        attempt: &'static str,
        /// The cause.
        #[source]
        source: std::io::Error,
    },
}

fn tail(log: &str) -> String {
    if log.trim().is_empty() { String::new() } else { format!("; it wrote: {}", log.trim()) }
}

/// A container that listens.
#[derive(Debug)]
pub(crate) struct Launched {
    pub(crate) container: Container,
    /// Where it listens, if it has no agent.
    pub(crate) address: Option<SocketAddr>,
}

/// Creates and starts a container and waits until it listens. To be called from a task that nobody drops.
pub(crate) async fn launch(
    hub: &Arc<Hub>,
    mut recipe: Recipe,
    phases: &mut Vec<StartPhase>,
) -> Result<Launched, LaunchError> {
    hub.ensure_swept().await?;
    let name = new_name().map_err(|error| machine("draw a random name", std::io::Error::other(error)))?;
    if recipe.agent {
        let folder = hub.sockets.create(&name).map_err(|error| machine("make a folder for a socket", error))?;
        recipe.mounts.push((folder.to_string_lossy().into_owned(), SOCKET_DIR.to_owned(), false));
    }
    let begun = Instant::now();
    let created = hub.engine.create(&format!("serverledge-{name}"), recipe.body()).await;
    let id = created.inspect_err(|_| hub.sockets.remove(&name))?;
    let container = Container::new(hub, id, name);
    let made = Instant::now();
    phases.push(("create", made - begun));
    hub.engine.start(&container.id).await?;
    let started = Instant::now();
    phases.push(("start", started - made));
    let address = wait_until_listening(&container, recipe.agent, &recipe.network).await?;
    if recipe.agent {
        hub.sockets.seal(&container.name).map_err(|error| machine("seal a socket's folder", error))?;
    }
    phases.push(("ready", started.elapsed()));
    Ok(Launched { container, address })
}

async fn wait_until_listening(
    container: &Container,
    agent: bool,
    network: &str,
) -> Result<Option<SocketAddr>, LaunchError> {
    let hub = &container.hub;
    let limit = Instant::now() + hub.config.start_timeout;
    let address = if agent { None } else { Some(address_of(container, network).await?) };
    let mut look = Instant::now() + LOOK_EVERY;
    loop {
        let listens = match address {
            None => hub.sockets.connect(&container.name).await.is_ok(),
            Some(address) => TcpStream::connect(address).await.is_ok(),
        };
        if listens {
            return Ok(address);
        }
        let now = Instant::now();
        if now >= limit {
            let log = hub.engine.logs(&container.id, LOG_LINES).await.unwrap_or_default();
            return Err(LaunchError::Late { after: hub.config.start_timeout, log });
        }
        if now >= look {
            check_alive(container).await?;
            look = now + LOOK_EVERY;
        }
        tokio::time::sleep(CONNECT_PAUSE).await;
    }
}

async fn check_alive(container: &Container) -> Result<(), LaunchError> {
    let engine = &container.hub.engine;
    let state = engine.inspect(&container.id).await?.state.unwrap_or_default();
    if state.running == Some(true) {
        return Ok(());
    }
    let log = engine.logs(&container.id, LOG_LINES).await.unwrap_or_default();
    Err(LaunchError::Ended { code: state.exit_code.unwrap_or(-1), log })
}

/// The address in its network, asked for once.
async fn address_of(container: &Container, network: &str) -> Result<SocketAddr, LaunchError> {
    let networks = container.hub.engine.inspect(&container.id).await?.network_settings.and_then(|all| all.networks);
    let endpoint = networks.as_ref().and_then(|all| all.get(network));
    let ip: Option<IpAddr> = endpoint.and_then(|one| one.ip_address.as_ref()).and_then(|ip| ip.parse().ok());
    match ip {
        Some(ip) => Ok(SocketAddr::new(ip, EXECUTOR_PORT)),
        None => {
            check_alive(container).await?;
            Err(machine("find the container's address", std::io::Error::other("it has none in its network")))
        }
    }
}

fn machine(attempt: &'static str, source: std::io::Error) -> LaunchError {
    LaunchError::Machine { attempt, source }
}

/// A new connection to a container that listens.
pub(crate) async fn connect(container: &Container, address: Option<SocketAddr>) -> Option<Exchange> {
    match address {
        None => Exchange::new(container.hub.sockets.connect(&container.name).await.ok()?).await.ok(),
        Some(address) => {
            let stream = TcpStream::connect(address).await.ok()?;
            // Requests are one write; nothing gains from waiting for more.
            let _ = stream.set_nodelay(true);
            Exchange::new(stream).await.ok()
        }
    }
}
