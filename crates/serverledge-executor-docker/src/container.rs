//! State that all containers share, and the guard of one: whatever happens to its owner, the container is removed.

use std::path::Path;
use std::sync::Arc;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicU16, AtomicU64, Ordering};
use std::time::Duration;

use serverledge_core::error_chain;

use tokio::sync::{OnceCell, Semaphore, mpsc};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::config::DockerConfig;
use crate::engine::{Engine, EngineError};
use crate::kind::EngineKind;
use crate::memory_kills::MemoryKills;
use crate::network::{Attachment, attach};
use crate::profile::{PodmanFiles, Recipe};
use crate::running_calls::RunningCalls;
use crate::seccomp;
use crate::socket::SocketDirs;

/// Pause before a removal that the engine did not do is tried again; it doubles up to [`RETRY_MAX`].
const RETRY_MIN: Duration = Duration::from_millis(500);
/// Longest pause between tries.
const RETRY_MAX: Duration = Duration::from_secs(30);
/// The names that a container knows without asking.
const HOSTS: &str = "127.0.0.1 localhost function\n::1 localhost\n";
/// The number of containers of an earlier run that are removed at once.
const SWEEP_PARALLEL: usize = 4;

/// Shared by everything of one executor.
#[derive(Debug)]
pub(crate) struct Hub {
    pub(crate) config: DockerConfig,
    pub(crate) engine: Engine,
    pub(crate) sockets: SocketDirs,
    /// Bounds the containers that start at once.
    pub(crate) starts: Semaphore,
    pub(crate) tasks: TaskTracker,
    pub(crate) stop: CancellationToken,
    pub(crate) running: Arc<RunningCalls>,
    /// One network is made at a time: looking and making are two steps.
    pub(crate) networks: tokio::sync::Mutex<()>,
    /// The number in the name of the next interface that is one container's alone.
    pub(crate) interfaces: AtomicU16,
    /// Calls that came without a running invocation's capability.
    pub(crate) refused_calls: Arc<AtomicU64>,
    /// Made once Podman has been reached.
    podman_files: OnceLock<PodmanFiles>,
    removals: mpsc::UnboundedSender<Removal>,
    swept: OnceCell<()>,
}

/// A container to be removed.
#[derive(Debug)]
pub(crate) struct Removal {
    id: String,
    name: String,
    /// Its network, if that is its own.
    network: Option<String>,
}

/// A created container, removed when dropped.
#[derive(Debug)]
pub(crate) struct Container {
    pub(crate) id: String,
    /// Of the container, less its prefix, and of its socket's folder.
    pub(crate) name: String,
    pub(crate) hub: Arc<Hub>,
    /// The network that it is in.
    pub(crate) network: Attachment,
    /// Known once it listens.
    pub(crate) memory_kills: OnceLock<MemoryKills>,
    removed: AtomicBool,
}

impl Hub {
    pub(crate) fn new(config: DockerConfig, sockets: SocketDirs) -> Arc<Self> {
        let (removals, queue) = mpsc::unbounded_channel();
        let hub = Arc::new(Self {
            engine: Engine::new(config.socket.clone()),
            starts: Semaphore::new(config.starts_max.max(1)),
            config,
            sockets,
            tasks: TaskTracker::new(),
            stop: CancellationToken::new(),
            running: RunningCalls::new(std::thread::available_parallelism().map_or(1, usize::from)),
            networks: tokio::sync::Mutex::default(),
            interfaces: AtomicU16::default(),
            refused_calls: Arc::default(),
            podman_files: OnceLock::new(),
            removals,
            swept: OnceCell::new(),
        });
        drop(hub.tasks.spawn(reap(Arc::clone(&hub), queue)));
        hub
    }

    /// Removes what an earlier run of this node left, once, before anything is created; refuses once the executor is closed.
    pub(crate) async fn ensure_swept(&self) -> Result<(), EngineError> {
        if self.stop.is_cancelled() {
            return Err(EngineError::Closed);
        }
        self.swept.get_or_try_init(|| self.sweep()).await.map(drop)
    }

    async fn sweep(&self) -> Result<(), EngineError> {
        self.sweep_containers().await?;
        let kind = self.engine.kind().await?;
        if !kind.shares_networks() {
            crate::network::remove_networks(self).await;
        }
        if kind.is_podman {
            let _ = self
                .podman_files
                .set(make_podman_files(&self.config.dir, &kind));
        }
        Ok(())
    }

    /// Removes every container that carries this node's label.
    pub(crate) async fn sweep_containers(&self) -> Result<(), EngineError> {
        use futures_util::StreamExt as _;
        let left = self.engine.containers_of(&self.config.node_id).await?;
        if !left.is_empty() {
            tracing::info!(count = left.len(), "removing containers of an earlier run");
        }
        let removals = left.into_iter().map(|id| async move {
            let outcome = self.engine.remove(&id).await;
            (id, outcome)
        });
        let mut outcomes = futures_util::stream::iter(removals).buffer_unordered(SWEEP_PARALLEL);
        while let Some((id, outcome)) = outcomes.next().await {
            match outcome {
                Ok(()) => {}
                Err(error @ EngineError::Unavailable { .. }) => return Err(error),
                // One that cannot be removed now does not keep others from starting.
                Err(error) => {
                    tracing::warn!(container = id, %error, "failed to remove a container of an earlier run; trying again later");
                    let _ = self.removals.send(Removal {
                        id,
                        name: String::new(),
                        network: None,
                    });
                }
            }
        }
        Ok(())
    }
}

fn make_podman_files(dir: &Path, kind: &EngineKind) -> PodmanFiles {
    let hosts = dir.join("hosts");
    if let Err(error) = std::fs::write(&hosts, HOSTS) {
        tracing::warn!(path = %hosts.display(), %error, "failed to write the names that containers know");
    }
    let profile = dir.join("seccomp.json");
    let made = kind
        .lax_seccomp()
        .map(|engines| seccomp::write(engines, &profile));
    if let Some(Err(error)) = &made {
        let error = error_chain(error);
        tracing::warn!(%error, "containers run with the engine's own seccomp profile, which allows more than Docker's");
    }
    PodmanFiles {
        hosts,
        seccomp: made.is_some_and(|made| made.is_ok()).then_some(profile),
    }
}

/// A name that no other container has.
pub(crate) fn new_name() -> Result<String, getrandom::Error> {
    let mut random = [0; 8];
    getrandom::fill(&mut random)?;
    Ok(hex::encode(random))
}

impl Container {
    /// Asks the engine for one, and for its network. An engine that goes away in the middle may have made it all the same: then
    /// it is removed, by its name, once the engine is back.
    pub(crate) async fn create(
        hub: &Arc<Hub>,
        name: String,
        recipe: &Recipe,
    ) -> Result<Self, EngineError> {
        let kind = hub.engine.kind().await?;
        if let Some(why) = kind.lacks_for(recipe.reach) {
            return Err(EngineError::Unfit {
                engine: kind.to_string(),
                why,
            });
        }
        let network = attach(hub, &kind, recipe.reach, &name).await?;
        let files = hub.podman_files.get().cloned().unwrap_or_default();
        let body = recipe.body(&kind, &network.name, &files);
        // Removes what there may be if it is dropped.
        let mut container = Self {
            id: format!("serverledge-{name}"),
            name,
            hub: Arc::clone(hub),
            network,
            memory_kills: OnceLock::new(),
            removed: AtomicBool::new(false),
        };
        match hub.engine.create(&container.id, body).await {
            Ok(id) => container.id = id,
            Err(error) => {
                let may_be_there =
                    container.network.own || matches!(error, EngineError::Unavailable { .. });
                container.removed.store(!may_be_there, Ordering::Release);
                return Err(error);
            }
        }
        Ok(container)
    }

    fn removal(&self) -> Removal {
        let network = self.network.own.then(|| self.network.name.clone());
        Removal {
            id: self.id.clone(),
            name: self.name.clone(),
            network,
        }
    }

    /// Kills and removes it. If the engine does not, that is tried again in the background.
    pub(crate) async fn remove(&self) -> Result<(), EngineError> {
        if self.removed.load(Ordering::Acquire) {
            return Ok(());
        }
        remove_once(&self.hub, &self.removal()).await?;
        self.removed.store(true, Ordering::Release);
        self.hub.sockets.remove(&self.name);
        Ok(())
    }
}

impl Drop for Container {
    fn drop(&mut self) {
        if !self.removed.load(Ordering::Acquire) {
            // The receiver lives as long as the hub.
            let _ = self.hub.removals.send(self.removal());
        }
    }
}

/// Removes what was dropped, several at once, until the executor is closed; the closing sweep does the rest.
async fn reap(hub: Arc<Hub>, mut queue: mpsc::UnboundedReceiver<Removal>) {
    let tasks = hub.tasks.clone();
    let stop = hub.stop.clone();
    // The hub holds the sender: a strong reference here would keep both alive for ever.
    let weak = Arc::downgrade(&hub);
    drop(hub);
    loop {
        let removal = tokio::select! {
            () = stop.cancelled() => return,
            next = queue.recv() => match next {
                Some(removal) => removal,
                None => return,
            },
        };
        if let Some(hub) = weak.upgrade() {
            drop(tasks.spawn(remove_until_gone(hub, removal)));
        }
    }
}

async fn remove_once(hub: &Hub, removal: &Removal) -> Result<(), EngineError> {
    hub.engine.remove(&removal.id).await?;
    match &removal.network {
        Some(network) => hub.engine.remove_network(network).await,
        None => Ok(()),
    }
}

async fn remove_until_gone(hub: Arc<Hub>, removal: Removal) {
    let mut pause = RETRY_MIN;
    while let Err(error) = remove_once(&hub, &removal).await {
        tracing::warn!(container = removal.name, %error, "failed to remove a container; trying again");
        tokio::select! {
            () = hub.stop.cancelled() => return,
            () = tokio::time::sleep(pause) => {}
        }
        pause = (pause * 2).min(RETRY_MAX);
    }
    // One of an earlier run has no folder any more.
    if !removal.name.is_empty() {
        hub.sockets.remove(&removal.name);
    }
}
