//! From a recipe to a container that listens. Runs in a task of its own, so that a caller who goes away leaves nothing half made.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use serverledge_core::StartPhase;
use tokio::net::TcpStream;
use tokio::time::Instant;

use crate::calls::CallServer;
use crate::container::{Container, Hub, new_name};
use crate::engine::EngineError;
use crate::exchange::Exchange;
use crate::profile::{Recipe, SOCKET_DIR};

/// Pause between tries to connect to what has just been started.
const CONNECT_PAUSE: Duration = Duration::from_millis(2);
/// How often a container that does not listen yet is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(250);
/// How long the engine may take to know a started container's address and process.
const ENDPOINT_LIMIT: Duration = Duration::from_secs(2);
/// Longest wait for one connection over TCP, within one machine.
const CONNECT_LIMIT: Duration = Duration::from_secs(1);
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
    /// Its image is not there.
    #[error("the image is missing: {0}")]
    NoImage(String),
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
    if log.trim().is_empty() {
        String::new()
    } else {
        format!("; it wrote: {}", log.trim())
    }
}

/// A container that listens.
pub(crate) struct Launched {
    pub(crate) container: Container,
    /// Where it listens, if it has no agent.
    pub(crate) endpoint: Option<Endpoint>,
    /// Where it calls from, if it has an agent.
    pub(crate) calls: Option<CallServer>,
}

/// A container's address, and by what it is known to be still that container's: the engine gives the address of one that
/// has ended to the next.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Endpoint {
    address: SocketAddr,
    /// The first process inside, as this machine counts, and when it began, in ticks since the machine's start.
    process: (i64, u64),
}

impl Endpoint {
    /// Asks the kernel, not the engine.
    fn is_still_there(&self) -> bool {
        began(self.process.0) == Some(self.process.1)
    }
}

/// When a process began: field 22 of its `stat`, counted behind the name, which may hold anything (proc(5)).
fn began(pid: i64) -> Option<u64> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    stat.rsplit_once(')')?
        .1
        .split_whitespace()
        .nth(19)?
        .parse()
        .ok()
}

/// Creates and starts a container and waits until it listens. To be called from a task that nobody drops.
pub(crate) async fn launch(
    hub: &Arc<Hub>,
    mut recipe: Recipe,
    phases: &mut Vec<StartPhase>,
) -> Result<Launched, LaunchError> {
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
            .listen(&name)
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
    let created = Container::create(hub, name.clone(), recipe.body()).await;
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
    let endpoint = wait_until_listening(&container, recipe.agent, &recipe.network).await?;
    if recipe.agent {
        hub.sockets
            .seal(&container.name)
            .map_err(|error| machine("seal a socket's folder", error))?;
    }
    phases.push(("ready", started.elapsed()));
    Ok(Launched {
        container,
        endpoint,
        calls,
    })
}

async fn wait_until_listening(
    container: &Container,
    agent: bool,
    network: &str,
) -> Result<Option<Endpoint>, LaunchError> {
    let hub = &container.hub;
    let limit = Instant::now() + hub.config.start_timeout;
    let endpoint = if agent {
        None
    } else {
        Some(endpoint_of(container, network).await?)
    };
    let mut look = Instant::now() + LOOK_EVERY;
    loop {
        let listens = match endpoint {
            None => hub.sockets.connect(&container.name).await.is_ok(),
            // One that has ended answers nothing at all; it is looked at all the same.
            Some(Endpoint { address, .. }) => {
                tokio::time::timeout(LOOK_EVERY, TcpStream::connect(address))
                    .await
                    .is_ok_and(|to| to.is_ok())
            }
        };
        if listens {
            return Ok(endpoint);
        }
        let now = Instant::now();
        if now >= limit {
            check_alive(container).await?;
            let log = hub
                .engine
                .logs(&container.id, LOG_LINES)
                .await
                .unwrap_or_default();
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

async fn check_alive(container: &Container) -> Result<(), LaunchError> {
    let engine = &container.hub.engine;
    let state = engine
        .inspect(&container.id)
        .await?
        .state
        .unwrap_or_default();
    if state.running == Some(true) {
        return Ok(());
    }
    let log = engine
        .logs(&container.id, LOG_LINES)
        .await
        .unwrap_or_default();
    Err(LaunchError::Ended {
        code: state.exit_code.unwrap_or(-1),
        log,
    })
}

/// The address in its network, and its process: asked for once, as a rule. Of one that is about to end the engine may know
/// neither and not yet that it ends.
async fn endpoint_of(container: &Container, network: &str) -> Result<Endpoint, LaunchError> {
    let limit = Instant::now() + ENDPOINT_LIMIT;
    loop {
        if let Some(endpoint) = endpoint_now(container, network).await? {
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

async fn endpoint_now(
    container: &Container,
    network: &str,
) -> Result<Option<Endpoint>, LaunchError> {
    let found = container.hub.engine.inspect(&container.id).await?;
    let pid = found
        .state
        .and_then(|state| state.pid)
        .filter(|pid| *pid > 0);
    let process = pid.and_then(|pid| Some((pid, began(pid)?)));
    let networks = found.network_settings.and_then(|all| all.networks);
    let attached = networks.as_ref().and_then(|all| all.get(network));
    let ip: Option<IpAddr> = attached
        .and_then(|one| one.ip_address.as_ref())
        .and_then(|ip| ip.parse().ok());
    Ok(ip.zip(process).map(|(ip, process)| Endpoint {
        address: SocketAddr::new(ip, EXECUTOR_PORT),
        process,
    }))
}

fn machine(attempt: &'static str, source: std::io::Error) -> LaunchError {
    LaunchError::Machine { attempt, source }
}

/// A new connection to a container that listens.
pub(crate) async fn connect(container: &Container, endpoint: Option<Endpoint>) -> Option<Exchange> {
    match endpoint {
        None => Exchange::new(container.hub.sockets.connect(&container.name).await.ok()?)
            .await
            .ok(),
        Some(endpoint) => {
            // An address at which nobody is any more may not answer at all.
            let stream = tokio::time::timeout(CONNECT_LIMIT, TcpStream::connect(endpoint.address))
                .await
                .ok()?
                .ok()?;
            // Only now: whoever answered was this container only if it still runs.
            if !endpoint.is_still_there() {
                return None;
            }
            // Requests are one write; nothing gains from waiting for more.
            let _ = stream.set_nodelay(true);
            Exchange::new(stream).await.ok()
        }
    }
}
