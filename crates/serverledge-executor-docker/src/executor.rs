//! The executor: prepares code at deploy, starts containers on request, and removes them all in the end.

use std::collections::HashSet;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use serverledge_core::{
    Digest, Executor, FailureKind, FunctionFailure, Interface, MemoryMib, Network, PrepareError,
    Prepared, Progress, Runtime, StartError, StartPhase, Started, Version,
};
use tokio::sync::{Semaphore, oneshot};
use tokio::time::Instant;

use crate::agent::{BindError, Connections, bind};
use crate::bundle;
use crate::cells::{Cell, Cells, agent_recipe, describe};
use crate::config::DockerConfig;
use crate::container::{Container, Hub};
use crate::engine::{EngineError, Image};
use crate::install::{self, Wanted};
use crate::launch::{LaunchError, launch};
use crate::prepared::{PreparedCode, PreparedStore};
use crate::profile::{Recipe, Share};
use crate::sandbox::ContainerSandbox;
use crate::socket::SocketDirs;

/// How long closing waits for removals under way.
const CLOSE_LIMIT: Duration = Duration::from_secs(10);

/// Runs containers. Clones share everything.
#[derive(Clone)]
pub struct DockerExecutor {
    shared: Arc<Shared>,
}

struct Shared {
    hub: Arc<Hub>,
    store: PreparedStore,
    python: Arc<Cells>,
    nodejs: Arc<Cells>,
    /// One installation at a time: each may use as much memory as many functions.
    installs: Semaphore,
}

/// Why the executor cannot be used at all.
#[derive(Debug, thiserror::Error)]
#[error("failed to use {path} for containers")]
pub struct OpenError {
    path: String,
    #[source]
    source: std::io::Error,
}

impl DockerExecutor {
    /// Opens the folders. The engine is not asked for anything yet: it may come later.
    ///
    /// # Errors
    /// [`OpenError`] if the folder cannot be used.
    pub fn open(mut config: DockerConfig) -> Result<Self, OpenError> {
        let path = config.dir.display().to_string();
        Self::open_in(&mut config).map_err(|source| OpenError { path, source })
    }

    fn open_in(config: &mut DockerConfig) -> std::io::Result<Self> {
        std::fs::create_dir_all(&config.dir)?;
        // The engine wants absolute paths.
        config.dir = config.dir.canonicalize()?;
        let store = PreparedStore::open(&config.dir)?;
        let sockets = SocketDirs::open(config.dir.join("sockets"))?;
        let hub = Hub::new(config.clone(), sockets);
        let python = Cells::new(&hub, Runtime::Python, config.images.python.clone());
        let nodejs = Cells::new(&hub, Runtime::NodeJs, config.images.nodejs.clone());
        Ok(Self {
            shared: Arc::new(Shared {
                hub,
                store,
                python,
                nodejs,
                installs: Semaphore::new(1),
            }),
        })
    }

    /// Removes what an earlier run left, if the engine is there, and starts stem cells of these runtimes in the background.
    pub fn warm_up(&self, runtimes: &[Runtime]) {
        let shared = Arc::clone(&self.shared);
        let runtimes = runtimes.to_vec();
        drop(self.shared.hub.tasks.spawn(async move {
            match shared.hub.ensure_swept().await {
                Ok(()) => runtimes.iter().filter_map(|runtime| shared.cells(*runtime)).for_each(Cells::refill),
                Err(error) => tracing::info!(error = %describe(&error), "functions in containers cannot run until the Docker Engine answers"),
            }
        }));
    }

    /// Whether the engine answers now.
    ///
    /// # Errors
    /// What is wrong, for the person who runs the node.
    pub async fn check(&self) -> Result<(), PrepareError> {
        self.shared
            .hub
            .engine
            .ping()
            .await
            .map_err(|error| prepare_error(&self.shared.hub, error.into()))
    }

    /// Stem cells that are ready, of all runtimes.
    #[must_use]
    pub fn cells_ready(&self) -> usize {
        self.shared.python.ready() + self.shared.nodejs.ready()
    }

    /// Removes every container and network of this node. Nothing can be started afterwards.
    pub async fn close(&self) {
        let hub = &self.shared.hub;
        hub.stop.cancel();
        self.shared.python.clear();
        self.shared.nodejs.clear();
        hub.tasks.close();
        if tokio::time::timeout(CLOSE_LIMIT, hub.tasks.wait())
            .await
            .is_err()
        {
            tracing::warn!("some containers were still being started or removed");
        }
        // What became ready meanwhile.
        self.shared.python.clear();
        self.shared.nodejs.clear();
        if hub.engine.ping().await.is_err() {
            return;
        }
        match hub.sweep_containers().await {
            Ok(()) => {
                hub.sockets.clear();
                crate::network::remove(hub).await;
            }
            Err(error) => {
                tracing::warn!(error = %describe(&error), "failed to remove this node's containers; its next start will")
            }
        }
    }
}

impl std::fmt::Debug for DockerExecutor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("DockerExecutor")
            .field("config", &self.shared.hub.config)
            .finish_non_exhaustive()
    }
}

impl Shared {
    fn cells(&self, runtime: Runtime) -> Option<&Arc<Cells>> {
        match runtime {
            Runtime::Python => Some(&self.python),
            Runtime::NodeJs => Some(&self.nodejs),
            _ => None,
        }
    }

    fn image<'a>(&'a self, version: &'a Version) -> &'a str {
        match version.runtime {
            Runtime::Python => &self.hub.config.images.python,
            Runtime::NodeJs => &self.hub.config.images.nodejs,
            _ => &version.image,
        }
    }

    /// The image's id, fetched where that makes sense: runtimes' own names are local ones unless they name a registry.
    async fn ensure_image(
        &self,
        version: &Version,
        progress: &dyn Progress,
    ) -> Result<String, PrepareError> {
        let engine = &self.hub.engine;
        let image = self.image(version);
        if let Some(found) = engine
            .image(image)
            .await
            .map_err(|error| self.refused(error))?
        {
            return without_volumes(image, found);
        }
        if version.runtime != Runtime::Custom && !image.contains('/') {
            return Err(image_missing(
                image,
                "it is not on this machine; make it with runtimes/build.sh",
                "not found".into(),
            ));
        }
        progress.step(&format!("fetching image {image}"));
        match engine.pull(image, progress).await {
            Ok(()) => {}
            Err(error @ EngineError::Unavailable { .. }) => return Err(self.refused(error)),
            Err(error) => {
                return Err(image_missing(
                    image,
                    "it is not on this machine and cannot be fetched",
                    Box::new(error),
                ));
            }
        }
        let found = engine
            .image(image)
            .await
            .map_err(|error| self.refused(error))?;
        without_volumes(
            image,
            found.ok_or_else(|| image_missing(image, "it is gone again", "not found".into()))?,
        )
    }

    fn refused(&self, error: EngineError) -> PrepareError {
        prepare_error(&self.hub, error.into())
    }

    async fn prepare_code(
        &self,
        version: &Version,
        code: Bytes,
        image_id: &str,
        progress: &dyn Progress,
    ) -> Result<PreparedCode, PrepareError> {
        if version.runtime == Runtime::Custom {
            return Ok(PreparedCode {
                files: Vec::new(),
                contents: Bytes::new(),
                layer: None,
            });
        }
        let (runtime, handler, max) = (
            version.runtime,
            version.handler.clone(),
            self.hub.config.code_bytes_max,
        );
        let read = tokio::task::spawn_blocking(move || {
            let bundle = bundle::read(&code, runtime, &handler, max)?;
            let wanted = Wanted::of(&bundle, runtime);
            Ok((bundle, wanted))
        });
        let (bundle, wanted) = read
            .await
            .map_err(|error| internal("read the upload", error))??;
        let layer = match wanted {
            None => None,
            Some(wanted) => {
                let _permit = self.installs.acquire().await;
                let image = self.image(version);
                Some(
                    install::install(&self.hub, &self.store, &wanted, image, image_id, progress)
                        .await?,
                )
            }
        };
        Ok(PreparedCode {
            files: bundle.files,
            contents: bundle.contents.into(),
            layer,
        })
    }

    /// From nothing, or from a stem cell, to a container with its function in it. Called from a task that nobody drops.
    async fn start(
        &self,
        version: &Arc<Version>,
        code: &PreparedCode,
    ) -> Result<(ContainerSandbox, Vec<StartPhase>), FailedStart> {
        // Loading is given all cores there are: under a tenth of one, an import of 5 ms takes 50.
        let limits = Share {
            memory: version.limits.memory,
            cpu: self.hub.config.cpus_max,
        };
        if version.network == Network::Bridge && !self.hub.config.allow_bridge {
            return Err(FailedStart::NoNetwork);
        }
        let plain = version.network == Network::None && code.layer.is_none();
        let Some(cells) = self.cells(version.runtime).filter(|_| plain) else {
            return self.start_plainly(version, code, limits).await;
        };
        let started = match cells.take().await {
            Some(cell) => match self.start_in(cell, version, code, limits).await {
                // Removed from outside, between two looks.
                Err(FailedStart::Launch(LaunchError::Engine(EngineError::Missing(_)))) => {
                    self.start_plainly(version, code, limits).await
                }
                started => started,
            },
            None => self.start_plainly(version, code, limits).await,
        };
        cells.refill();
        started
    }

    async fn start_plainly(
        &self,
        version: &Arc<Version>,
        code: &PreparedCode,
        limits: Share,
    ) -> Result<(ContainerSandbox, Vec<StartPhase>), FailedStart> {
        let _permit = self.hub.starts.acquire().await;
        let mut phases = Vec::with_capacity(4);
        let recipe = self.recipe(version, code, limits).await?;
        let launched = launch(&self.hub, recipe, &mut phases).await?;
        let connections = Connections::new(launched.endpoint, launched.calls);
        if version.runtime == Runtime::Custom {
            return Ok((self.ready(launched.container, connections, version), phases));
        }
        self.bind(
            Cell {
                container: launched.container,
                connections,
            },
            version,
            code,
            phases,
        )
        .await
    }

    async fn start_in(
        &self,
        cell: Cell,
        version: &Arc<Version>,
        code: &PreparedCode,
        limits: Share,
    ) -> Result<(ContainerSandbox, Vec<StartPhase>), FailedStart> {
        let begun = Instant::now();
        // Before the function's code: nothing of it runs with more memory than its own.
        match self
            .hub
            .engine
            .update(&cell.container.id, limits.update())
            .await
        {
            Ok(()) => {}
            // It uses more already.
            Err(EngineError::Refused { .. }) => {
                return Err(FailedStart::TooSmall(version.limits.memory));
            }
            Err(error) => return Err(error.into()),
        }
        self.bind(cell, version, code, vec![("limits", begun.elapsed())])
            .await
    }

    async fn recipe(
        &self,
        version: &Version,
        code: &PreparedCode,
        limits: Share,
    ) -> Result<Recipe, FailedStart> {
        let agent = version.runtime != Runtime::Custom;
        let mut recipe = agent_recipe(
            &self.hub,
            if agent { "function" } else { "custom" },
            self.image(version),
            limits,
        );
        recipe.agent = agent;
        if !agent || version.network == Network::Bridge {
            recipe.network = crate::network::ensure(&self.hub, version.network).await?;
        }
        if !agent && version.network == Network::None {
            // Docker's resolver looks names up for a network that leads nowhere, too: a way out for a patient function.
            recipe.dns = vec!["127.0.0.1".to_owned()];
        }
        if !agent {
            // Without an agent there is no other way; they are in what Docker shows of the container.
            recipe.env = version
                .env
                .iter()
                .map(|(name, value)| format!("{name}={value}"))
                .collect();
        }
        if let Some(layer) = &code.layer {
            recipe.mounts = install::mounts(&self.store.layer(layer), version.runtime);
        }
        Ok(recipe)
    }

    async fn bind(
        &self,
        cell: Cell,
        version: &Arc<Version>,
        code: &PreparedCode,
        mut phases: Vec<StartPhase>,
    ) -> Result<(ContainerSandbox, Vec<StartPhase>), FailedStart> {
        let begun = Instant::now();
        let Cell {
            container,
            connections,
        } = cell;
        let Some(mut exchange) = connections.take(&container).await else {
            return Err(FailedStart::Bind(BindError::Lost(None)));
        };
        let log = bind(&mut exchange, &container, version, code).await?;
        if !log.is_empty() {
            tracing::debug!(version = %version.digest, log = %String::from_utf8_lossy(&log), "loading the code printed");
        }
        connections.put_back(exchange);
        phases.push(("bind", begun.elapsed()));
        Ok((self.ready(container, connections, version), phases))
    }

    /// From here on the function's own processor share holds: told to the engine beside the first call, which need not wait
    /// for it. A container to which that cannot be told serves no further call.
    fn ready(
        &self,
        container: Container,
        connections: Connections,
        version: &Arc<Version>,
    ) -> ContainerSandbox {
        let (hub, id) = (Arc::clone(&self.hub), container.id.clone());
        let sandbox = ContainerSandbox::new(container, connections, Arc::clone(version));
        let (share, usable) = (
            Share {
                memory: version.limits.memory,
                cpu: version.limits.cpu,
            },
            sandbox.usable(),
        );
        if share.cpu.get() > 0 && share.cpu < self.hub.config.cpus_max {
            drop(self.hub.tasks.spawn(async move {
                match hub.engine.update(&id, share.update()).await {
                    // The container may be gone again.
                    Ok(()) | Err(EngineError::Missing(_)) => {}
                    Err(error) => {
                        // As a rule it has ended meanwhile, which its owner finds out.
                        tracing::debug!(error = %describe(&error), "failed to give a container its processor share");
                        usable.store(false, Ordering::Release);
                    }
                }
            }));
        }
        sandbox
    }
}

/// Why a start failed, before it is told to whom.
#[derive(Debug, thiserror::Error)]
pub(crate) enum FailedStart {
    #[error(transparent)]
    Launch(#[from] LaunchError),
    #[error(transparent)]
    Bind(#[from] BindError),
    #[error("the runtime alone needs more than {0}; declare more memory")]
    TooSmall(MemoryMib),
    #[error(
        "this node gives functions no network; its configuration would allow it with container.allow_bridge"
    )]
    NoNetwork,
}

impl From<EngineError> for FailedStart {
    fn from(error: EngineError) -> Self {
        Self::Launch(error.into())
    }
}

#[async_trait]
impl Executor for DockerExecutor {
    async fn prepare(
        &self,
        version: &Version,
        code: Bytes,
        progress: &dyn Progress,
    ) -> Result<Prepared, PrepareError> {
        let shared = &self.shared;
        self.check().await?;
        if version.network == Network::Bridge && !shared.hub.config.allow_bridge {
            return Err(prepare_error(&shared.hub, FailedStart::NoNetwork));
        }
        if version.runtime == Runtime::Custom && !version.secrets.values.is_empty() {
            return Err(PrepareError::Invalid {
                code: "secrets_unsupported",
                message: "custom images have no agent that could be given secrets unseen; use variables, or a runtime with an agent".to_owned(),
            });
        }
        let image_id = shared.ensure_image(version, progress).await?;
        let prepared = shared
            .prepare_code(version, code, &image_id, progress)
            .await?;
        progress.step("starting it once");
        let version = Arc::new(version.clone());
        let (sandbox, _) = self
            .start_apart(&version, prepared.clone())
            .await
            .map_err(|error| prepare_error(&shared.hub, error))?;
        drop(sandbox);
        let (owner, kept) = (Arc::clone(shared), Arc::clone(&version));
        let stored = tokio::task::spawn_blocking(move || owner.store.store(&kept, &prepared)).await;
        stored
            .map_err(|error| internal("keep the code", error))?
            .map_err(|error| internal("keep the code", error))?;
        if let Some(cells) = shared.cells(version.runtime) {
            cells.refill();
        }
        let recognised = match version.runtime {
            Runtime::Python => "Python function in a container",
            Runtime::NodeJs => "Node.js function in a container",
            _ => "image that speaks the executor protocol",
        };
        Ok(Prepared {
            interface: Interface::Json,
            recognised,
            remarks: Vec::new(),
        })
    }

    async fn start(&self, version: &Arc<Version>) -> Result<Started, StartError> {
        let (shared, wanted) = (Arc::clone(&self.shared), Arc::clone(version));
        let loaded = tokio::task::spawn_blocking(move || shared.store.load(&wanted)).await;
        let Ok(Some(code)) = loaded else {
            return Err(StartError::NotPrepared(version.code));
        };
        let (sandbox, phases) = self.start_apart(version, code).await.map_err(start_error)?;
        Ok(Started {
            sandbox: Box::new(sandbox),
            warm: false,
            phases,
        })
    }

    fn is_prepared(&self, version: &Version) -> bool {
        self.shared.store.has(version)
    }

    /// Nothing is loaded but what runs, which the pool stops.
    async fn forget(&self, _version: &Version) {}

    async fn sweep(&self, code_in_use: &HashSet<Digest>, grace: Duration) -> usize {
        let (shared, used) = (Arc::clone(&self.shared), code_in_use.clone());
        tokio::task::spawn_blocking(move || shared.store.sweep(&used, grace))
            .await
            .unwrap_or(0)
    }

    fn refused_calls(&self) -> u64 {
        self.shared.hub.refused_calls.load(Ordering::Relaxed)
    }
}

impl DockerExecutor {
    /// In a task of its own: if the caller goes away, the task ends by itself and removes what it made.
    async fn start_apart(
        &self,
        version: &Arc<Version>,
        code: PreparedCode,
    ) -> Result<(ContainerSandbox, Vec<StartPhase>), FailedStart> {
        let (sender, receiver) = oneshot::channel();
        let (shared, version) = (Arc::clone(&self.shared), Arc::clone(version));
        drop(self.shared.hub.tasks.spawn(async move {
            let _ = sender.send(shared.start(&version, &code).await);
        }));
        match receiver.await {
            Ok(outcome) => outcome,
            Err(_) => Err(FailedStart::Bind(BindError::Lost(None))),
        }
    }
}

/// A failed start as the one who deploys is told.
pub(crate) fn prepare_error(hub: &Hub, error: FailedStart) -> PrepareError {
    match error {
        FailedStart::Launch(LaunchError::Engine(EngineError::Unavailable { source, .. })) => {
            let what = format!(
                "the Docker Engine does not answer at {}; start it, name its socket with container.docker_socket, or build the function as WebAssembly",
                Path::display(hub.engine.socket())
            );
            PrepareError::Unavailable {
                code: "docker_unavailable",
                what,
                source,
            }
        }
        FailedStart::Bind(BindError::Function { code, failure }) => PrepareError::Invalid {
            code,
            message: with_details(&failure),
        },
        FailedStart::Bind(BindError::Late) => PrepareError::Invalid {
            code: "load_timeout",
            message: format!(
                "loading the code did not end within {:?}",
                hub.config.start_timeout
            ),
        },
        FailedStart::Bind(error @ BindError::Lost(_)) => PrepareError::Invalid {
            code: "load_failed",
            message: format!(
                "the process ended while it loaded the code, or needs more memory to load it ({})",
                describe(&error)
            ),
        },
        FailedStart::TooSmall(_) => PrepareError::Invalid {
            code: "memory_too_small",
            message: error.to_string(),
        },
        FailedStart::NoNetwork => PrepareError::Invalid {
            code: "network_not_allowed",
            message: error.to_string(),
        },
        FailedStart::Launch(error @ (LaunchError::Ended { .. } | LaunchError::Late { .. })) => {
            PrepareError::Invalid {
                code: "image_does_not_start",
                message: error.to_string(),
            }
        }
        FailedStart::Launch(error) => internal("start a container", error),
    }
}

fn with_details(failure: &FunctionFailure) -> String {
    let mut text = failure.message.clone();
    for part in [
        failure.stack.as_deref().unwrap_or_default(),
        &String::from_utf8_lossy(&failure.log),
    ] {
        if !part.trim().is_empty() {
            text = format!("{text}\n{}", part.trim_end());
        }
    }
    text
}

/// The same as the one who invokes is told.
fn start_error(error: FailedStart) -> StartError {
    match error {
        FailedStart::Launch(LaunchError::Engine(error @ EngineError::Unavailable { .. })) => {
            StartError::Unavailable {
                code: "docker_unavailable",
                what: "the Docker Engine",
                source: Box::new(error),
            }
        }
        FailedStart::Launch(error @ LaunchError::NoImage(_)) => StartError::Unavailable {
            code: "image_missing",
            what: "the function's image",
            source: Box::new(error),
        },
        FailedStart::Launch(error @ (LaunchError::Ended { .. } | LaunchError::Late { .. })) => {
            StartError::Unavailable {
                code: "image_does_not_start",
                what: "a container of the function's image",
                source: Box::new(error),
            }
        }
        error @ FailedStart::NoNetwork => StartError::Unavailable {
            code: "network_not_allowed",
            what: "the network that the function asks for",
            source: Box::new(error),
        },
        error @ FailedStart::TooSmall(_) => StartError::Function(FunctionFailure {
            kind: FailureKind::MemoryLimit,
            message: error.to_string(),
            stack: None,
            log: Bytes::new(),
            stale: false,
        }),
        FailedStart::Bind(BindError::Function { failure, .. }) => StartError::Function(failure),
        FailedStart::Bind(BindError::Lost(_)) => StartError::Function(FunctionFailure {
            kind: FailureKind::Exited,
            message: "the process ended while it loaded the code".to_owned(),
            stack: None,
            log: Bytes::new(),
            stale: false,
        }),
        FailedStart::Bind(BindError::Late) => StartError::Function(FunctionFailure {
            kind: FailureKind::TimeLimit,
            message: "loading the code took too long".to_owned(),
            stack: None,
            log: Bytes::new(),
            stale: false,
        }),
        other => StartError::Internal {
            attempt: "start a container".to_owned(),
            source: Box::new(other),
        },
    }
}

/// A volume would be a place on the machine's disk that is neither read-only nor limited.
fn without_volumes(image: &str, found: Image) -> Result<String, PrepareError> {
    if found.volumes.is_empty() {
        return Ok(found.id);
    }
    let message = format!(
        "image {image} declares volumes ({}); build it without VOLUME",
        found.volumes.join(", ")
    );
    Err(PrepareError::Invalid {
        code: "image_has_volumes",
        message,
    })
}

fn image_missing(
    image: &str,
    why: &str,
    source: Box<dyn std::error::Error + Send + Sync>,
) -> PrepareError {
    PrepareError::Unavailable {
        code: "image_missing",
        what: format!("image {image} is missing: {why}"),
        source,
    }
}

fn internal(
    attempt: &str,
    source: impl Into<Box<dyn std::error::Error + Send + Sync>>,
) -> PrepareError {
    PrepareError::Internal {
        attempt: attempt.to_owned(),
        source: source.into(),
    }
}
