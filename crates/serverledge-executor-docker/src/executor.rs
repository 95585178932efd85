//! The executor: prepares code at deploy, starts containers on request, and removes them all in the end.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use serverledge_core::{
    Digest, Executor, FailureKind, FunctionFailure, Interface, MemoryMib, Network, PrepareError,
    Prepared, Progress, Runtime, StartError, StartPhase, Started, Version, error_chain,
};
use tokio::sync::Semaphore;
use tokio::time::Instant;

use crate::agent::{BindError, bind};
use crate::bundle;
use crate::config::DockerConfig;
use crate::container::Hub;
use crate::engine::{EngineError, Image};
use crate::images::{image_missing, is_no_name, pull_refused};
use crate::install;
use crate::kind::Updates;
use crate::launch::{LaunchError, ListeningContainer, launch};
use crate::network::Reach;
use crate::prepared::{PreparedCode, PreparedStore};
use crate::profile::{Recipe, Share};
use crate::protocol::failure;
use crate::sandbox::ContainerSandbox;
use crate::socket::SocketDirs;
use crate::template_containers::{TemplateContainers, agent_recipe};
use crate::wanted::InstallRequest;

/// The code of what an engine refuses, in its words.
const ENGINE_REFUSED: &str = "engine_refused";
/// Exit code of a process that was killed, as the kernel does where memory is short.
const KILLED: i64 = 128 + 9;
/// The time for which closing waits for removals under way.
const CLOSE_LIMIT: Duration = Duration::from_secs(30);

/// Runs containers. Clones share everything.
#[derive(Clone)]
pub struct DockerExecutor {
    shared: Arc<ExecutorParts>,
}

struct ExecutorParts {
    hub: Arc<Hub>,
    store: PreparedStore,
    templates: [Arc<TemplateContainers>; 2],
    /// One installation at a time: each may use as much memory as many functions.
    installs: Semaphore,
}

/// The reason why the executor cannot be used at all.
#[derive(Debug, thiserror::Error)]
#[error("failed to use {path} for containers")]
pub struct DockerOpenError {
    path: String,
    #[source]
    source: std::io::Error,
}

impl DockerExecutor {
    /// Opens the folders. The engine is not asked for anything yet: it may come later.
    ///
    /// # Errors
    /// [`DockerOpenError`] if the folder cannot be used.
    pub fn open(mut config: DockerConfig) -> Result<Self, DockerOpenError> {
        let path = config.dir.display().to_string();
        Self::open_in(&mut config).map_err(|source| DockerOpenError { path, source })
    }

    fn open_in(config: &mut DockerConfig) -> std::io::Result<Self> {
        std::fs::create_dir_all(&config.dir)?;
        // The engine wants absolute paths.
        config.dir = config.dir.canonicalize()?;
        let store = PreparedStore::open(&config.dir)?;
        let sockets = SocketDirs::open(config.dir.join("sockets"))?;
        let hub = Hub::new(config.clone(), sockets);
        let images = [
            (Runtime::Python, &config.images.python),
            (Runtime::NodeJs, &config.images.nodejs),
        ];
        let templates =
            images.map(|(runtime, image)| TemplateContainers::new(&hub, runtime, image.clone()));
        Ok(Self {
            shared: Arc::new(ExecutorParts {
                hub,
                store,
                templates,
                installs: Semaphore::new(1),
            }),
        })
    }

    /// Removes what an earlier run left, if the engine is there, and starts template containers of these runtimes in the
    /// background.
    pub fn warm_up(&self, runtimes: &[Runtime]) {
        let shared = Arc::clone(&self.shared);
        let runtimes = runtimes.to_vec();
        drop(self.shared.hub.tasks.spawn(async move {
            match shared.hub.ensure_swept().await {
                Ok(()) => runtimes.iter().filter_map(|runtime| shared.templates(*runtime)).for_each(TemplateContainers::refill),
                Err(error) => tracing::info!(error = %error_chain(&error), "functions in containers cannot run until a container engine answers"),
            }
        }));
    }

    /// Whether the engine answers now.
    ///
    /// # Errors
    /// The fault of the engine, in words for the person who runs the node.
    pub async fn check(&self) -> Result<(), PrepareError> {
        self.shared.hub.engine.ping().await.map_err(prepare_error)
    }

    /// Template containers that are ready, of all runtimes.
    #[must_use]
    pub fn cells_ready(&self) -> usize {
        self.shared
            .templates
            .iter()
            .map(|templates| templates.ready())
            .sum()
    }

    /// Removes every container and network of this node. Nothing can be started afterwards.
    pub async fn close(&self) {
        let hub = &self.shared.hub;
        hub.stop.cancel();
        self.shared
            .templates
            .iter()
            .for_each(|templates| templates.clear());
        hub.tasks.close();
        if tokio::time::timeout(CLOSE_LIMIT, hub.tasks.wait())
            .await
            .is_err()
        {
            tracing::warn!("some containers were still being started or removed");
        }
        // What became ready meanwhile.
        self.shared
            .templates
            .iter()
            .for_each(|templates| templates.clear());
        if hub.engine.ping().await.is_err() {
            return;
        }
        match hub.sweep_containers().await {
            Ok(()) => {
                hub.sockets.clear();
                crate::network::remove(hub).await;
            }
            Err(error) => {
                tracing::warn!(error = %error_chain(&error), "failed to remove this node's containers; its next start will")
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

impl ExecutorParts {
    fn templates(&self, runtime: Runtime) -> Option<&Arc<TemplateContainers>> {
        self.templates
            .iter()
            .find(|templates| templates.runtime == runtime)
    }

    fn image<'a>(&'a self, version: &'a Version) -> &'a str {
        self.templates(version.runtime)
            .map_or(&version.image, |templates| &templates.image)
    }

    /// The image's id, fetched where that makes sense: runtimes' own names are local ones unless they name a registry.
    async fn ensure_image(
        &self,
        version: &Version,
        progress: &dyn Progress,
    ) -> Result<String, PrepareError> {
        let engine = &self.hub.engine;
        let image = self.image(version);
        let found = engine.image(image).await.map_err(|error| match error {
            EngineError::Refused { message, .. } if is_no_name(&message) => {
                pull_refused(image, &message)
            }
            other => prepare_error(other),
        })?;
        if let Some(found) = found {
            return without_volumes(image, found);
        }
        if version.runtime != Runtime::Custom && !image.contains('/') {
            return Err(image_missing(
                image,
                "it is not on this machine; make it with runtimes/build.sh",
            ));
        }
        progress.step(&format!("fetching image {image}"));
        match engine.pull(image, progress).await {
            Ok(()) => {}
            Err(EngineError::Missing(said)) => return Err(pull_refused(image, &said)),
            Err(EngineError::Refused { message, .. }) => return Err(pull_refused(image, &message)),
            Err(error) => return Err(prepare_error(error)),
        }
        let found = engine.image(image).await.map_err(prepare_error)?;
        without_volumes(
            image,
            found.ok_or_else(|| image_missing(image, "it is gone again"))?,
        )
    }

    async fn prepare_code(
        &self,
        version: &Version,
        code: Bytes,
        image_id: &str,
        progress: &dyn Progress,
    ) -> Result<(PreparedCode, Vec<String>), PrepareError> {
        if version.runtime == Runtime::Custom {
            return Ok(Default::default());
        }
        let runtime = version.runtime;
        let handler = version.handler.clone();
        let max = self.hub.config.code_bytes_max;
        let read = tokio::task::spawn_blocking(move || {
            let bundle = bundle::read(&code, runtime, &handler, max)?;
            let request = InstallRequest::of(&bundle, runtime)?;
            Ok((bundle, request))
        });
        let (bundle, InstallRequest { wanted, remarks }) = read
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
        Ok((
            PreparedCode {
                files: bundle.files,
                contents: bundle.contents.into(),
                layer,
            },
            remarks,
        ))
    }

    /// From nothing, or from a template container, to a container with its function in it. Called from a task that nobody
    /// drops.
    async fn start(&self, version: &Arc<Version>, code: &PreparedCode) -> StartOutcome {
        if version.network == Network::Bridge && !self.hub.config.allow_bridge {
            return Err(FailedStart::NoNetwork);
        }
        let limits = self.limits_at_start(version).await?;
        let plain = version.network == Network::None && code.layer.is_none();
        let Some(templates) = self.templates(version.runtime).filter(|_| plain) else {
            return self.start_plainly(version, code, limits).await;
        };
        let started = match templates.take().await {
            Some(template) => self.start_in(template, version, code, limits).await,
            None => self.start_plainly(version, code, limits).await,
        };
        templates.refill_at_rest();
        started
    }

    /// Loading is given all cores there are: under a tenth of one, an import of 5 ms takes 50. Not where a container keeps the
    /// share that it begins with.
    async fn limits_at_start(&self, version: &Version) -> Result<Share, FailedStart> {
        let most = self.hub.config.cpus_max;
        let own = version.limits.cpu;
        let keeps = self.hub.engine.kind().await?.updates() == Updates::Never;
        let cpu = if keeps && own.get() > 0 {
            own.min(most)
        } else {
            most
        };
        Ok(Share {
            memory: version.limits.memory,
            cpu,
        })
    }

    async fn start_plainly(
        &self,
        version: &Arc<Version>,
        code: &PreparedCode,
        limits: Share,
    ) -> StartOutcome {
        let _permit = self.hub.starts.acquire().await;
        let mut phases = Vec::with_capacity(4);
        let recipe = self.recipe(version, code, limits);
        let launched = launch(&self.hub, recipe, &mut phases).await;
        let launched = launched.map_err(|error| match error {
            LaunchError::Ended { code: KILLED, .. } if version.runtime != Runtime::Custom => {
                FailedStart::TooSmall(version.limits.memory)
            }
            other => other.into(),
        })?;
        if version.runtime == Runtime::Custom {
            return Ok((self.ready(launched, version), phases));
        }
        self.bind(launched, version, code, phases).await
    }

    async fn start_in(
        &self,
        template: ListeningContainer,
        version: &Arc<Version>,
        code: &PreparedCode,
        limits: Share,
    ) -> StartOutcome {
        let begun = Instant::now();
        // Before the function's code: nothing of it runs with more memory than its own.
        match self.hub.engine.update(&template.container.id, limits).await {
            Ok(()) => {
                self.bind(template, version, code, vec![("limits", begun.elapsed())])
                    .await
            }
            Err(EngineError::Refused { message, .. }) if uses_more(&message) => {
                Err(FailedStart::TooSmall(version.limits.memory))
            }
            // Removed from outside, between two looks; or refused: what is wrong is told of one that begins with these limits.
            Err(EngineError::Missing(_) | EngineError::Refused { .. }) => {
                drop(template);
                self.start_plainly(version, code, limits).await
            }
            Err(error) => Err(error.into()),
        }
    }

    fn recipe(&self, version: &Version, code: &PreparedCode, limits: Share) -> Recipe {
        let agent = version.runtime != Runtime::Custom;
        let mut recipe = agent_recipe(
            &self.hub,
            if agent { "function" } else { "custom" },
            self.image(version),
            limits,
        );
        recipe.agent = agent;
        recipe.reach = match version.network {
            Network::Bridge => Reach::World,
            // It is spoken to over TCP.
            Network::None if !agent => Reach::Node,
            Network::None => Reach::Nothing,
        };
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
        recipe
    }

    async fn bind(
        &self,
        listening: ListeningContainer,
        version: &Arc<Version>,
        code: &PreparedCode,
        mut phases: Vec<StartPhase>,
    ) -> StartOutcome {
        let begun = Instant::now();
        if !version.outbound.is_empty() {
            listening.open_outbound()?;
        }
        let ListeningContainer {
            container,
            connections,
        } = &listening;
        let mut exchange = connections
            .take(container)
            .await
            .ok_or(BindError::Lost(None))?;
        let log = bind(&mut exchange, container, version, code).await?;
        if !log.is_empty() {
            tracing::debug!(version = %version.digest, log = %String::from_utf8_lossy(&log), "loading the code printed");
        }
        connections.put_back(exchange);
        phases.push(("bind", begun.elapsed()));
        Ok((self.ready(listening, version), phases))
    }

    /// From here on the function's own processor share holds: told to the engine beside the first call, which need not wait
    /// for it. A container to which that cannot be told serves no further call.
    fn ready(&self, listening: ListeningContainer, version: &Arc<Version>) -> ContainerSandbox {
        let hub = Arc::clone(&self.hub);
        let id = listening.container.id.clone();
        let sandbox = ContainerSandbox::new(listening, Arc::clone(version));
        let share = Share {
            memory: version.limits.memory,
            cpu: version.limits.cpu,
        };
        let usable = sandbox.usable();
        if share.cpu.get() > 0 && share.cpu < self.hub.config.cpus_max {
            drop(self.hub.tasks.spawn(async move {
                match hub.engine.update(&id, share).await {
                    // The container may be gone again.
                    Ok(()) | Err(EngineError::Missing(_)) => {}
                    Err(error) => {
                        // As a rule it has ended meanwhile, which its owner finds out.
                        tracing::debug!(error = %error_chain(&error), "failed to give a container its processor share");
                        usable.store(false, Ordering::Release);
                    }
                }
            }));
        }
        sandbox
    }
}

/// A sandbox, and how long the parts of its start took.
type StartOutcome = Result<(ContainerSandbox, Vec<StartPhase>), FailedStart>;

/// The reason why a start failed, before it is reported to anybody.
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

/// Whether an engine refuses new limits because more memory is in use already, in the words of runc and of the kernel.
fn uses_more(message: &str) -> bool {
    message.contains("unable to set memory limit") || message.contains("resource busy")
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
            return Err(prepare_error(FailedStart::NoNetwork));
        }
        if version.runtime == Runtime::Custom && !version.secrets.values.is_empty() {
            return Err(PrepareError::Invalid {
                code: "secrets_unsupported",
                message: "custom images have no agent that could be given secrets unseen; use variables, or a runtime with an agent".to_owned(),
            });
        }
        let image_id = shared.ensure_image(version, progress).await?;
        let (prepared, remarks) = shared
            .prepare_code(version, code, &image_id, progress)
            .await?;
        progress.step("starting it once");
        let version = Arc::new(version.clone());
        drop(
            self.start_apart(&version, prepared.clone())
                .await
                .map_err(prepare_error)?,
        );
        let owner = Arc::clone(shared);
        let kept = Arc::clone(&version);
        let stored = tokio::task::spawn_blocking(move || owner.store.store(&kept, &prepared)).await;
        stored
            .map_err(|error| internal("keep the code", error))?
            .map_err(|error| internal("keep the code", error))?;
        if let Some(templates) = shared.templates(version.runtime) {
            templates.refill();
        }
        let recognised = match version.runtime {
            Runtime::Python => "Python function in a container",
            Runtime::NodeJs => "Node.js function in a container",
            _ => "image that speaks the executor protocol",
        };
        Ok(Prepared {
            interface: Interface::Json,
            recognised,
            remarks,
        })
    }

    async fn start(&self, version: &Arc<Version>) -> Result<Started, StartError> {
        let shared = Arc::clone(&self.shared);
        let wanted = Arc::clone(version);
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
        let shared = Arc::clone(&self.shared);
        let used = code_in_use.clone();
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
    async fn start_apart(&self, version: &Arc<Version>, code: PreparedCode) -> StartOutcome {
        let shared = Arc::clone(&self.shared);
        let version = Arc::clone(version);
        let start = self
            .shared
            .hub
            .tasks
            .spawn(async move { shared.start(&version, &code).await });
        start
            .await
            .unwrap_or(Err(FailedStart::Bind(BindError::Lost(None))))
    }
}

/// A failed start as the one who deploys is told.
pub(crate) fn prepare_error(error: impl Into<FailedStart>) -> PrepareError {
    let error = error.into();
    let unavailable = |code, what: &str, source: FailedStart| PrepareError::Unavailable {
        code,
        what: what.to_owned(),
        source: Box::new(source),
    };
    let (code, message) = match error {
        FailedStart::Launch(LaunchError::Engine(EngineError::Unavailable { socket, source })) => {
            let what = format!(
                "no container engine answers at {}; start Docker or Podman, set container.docker_socket, or build the function as WebAssembly",
                socket.display()
            );
            return PrepareError::Unavailable {
                code: "docker_unavailable",
                what,
                source,
            };
        }
        FailedStart::Launch(LaunchError::Engine(
            EngineError::Refused { .. } | EngineError::Missing(_) | EngineError::Unfit { .. },
        )) => {
            return unavailable(
                ENGINE_REFUSED,
                "the container engine does not run a container",
                error,
            );
        }
        FailedStart::Launch(LaunchError::NoImage(_)) => {
            return unavailable("image_missing", "the function's image is gone", error);
        }
        FailedStart::Launch(LaunchError::Ended { .. } | LaunchError::Late { .. }) => {
            ("image_does_not_start", error.to_string())
        }
        FailedStart::Launch(error) => return internal("start a container", error),
        FailedStart::Bind(BindError::Function { code, failure }) => (code, with_details(&failure)),
        FailedStart::Bind(BindError::Late(limit)) => (
            "load_timeout",
            format!("loading the code did not end within {limit:?}"),
        ),
        FailedStart::Bind(error @ BindError::Lost(_)) => {
            let why = "the process ended while it loaded the code, or needs more memory to load it";
            ("load_failed", format!("{why} ({})", error_chain(&error)))
        }
        FailedStart::TooSmall(_) => ("memory_too_small", error.to_string()),
        FailedStart::NoNetwork => ("network_not_allowed", error.to_string()),
    };
    PrepareError::Invalid { code, message }
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
    let failed = |kind, message| StartError::Function(failure(kind, message, None, Bytes::new()));
    let (code, what) = match error {
        FailedStart::Launch(LaunchError::Engine(EngineError::Unavailable { .. })) => {
            ("docker_unavailable", "the container engine")
        }
        FailedStart::Launch(LaunchError::Engine(
            EngineError::Refused { .. } | EngineError::Missing(_) | EngineError::Unfit { .. },
        )) => (ENGINE_REFUSED, "a container of the function"),
        FailedStart::Launch(LaunchError::NoImage(_)) => ("image_missing", "the function's image"),
        FailedStart::Launch(LaunchError::Ended { .. } | LaunchError::Late { .. }) => (
            "image_does_not_start",
            "a container of the function's image",
        ),
        FailedStart::NoNetwork => (
            "network_not_allowed",
            "the network that the function asks for",
        ),
        FailedStart::TooSmall(_) => return failed(FailureKind::MemoryLimit, error.to_string()),
        FailedStart::Bind(BindError::Function { failure, .. }) => {
            return StartError::Function(failure);
        }
        FailedStart::Bind(BindError::Lost(_)) => {
            return failed(
                FailureKind::Exited,
                "the process ended while it loaded the code".to_owned(),
            );
        }
        FailedStart::Bind(BindError::Late(_)) => {
            return failed(FailureKind::TimeLimit, error.to_string());
        }
        FailedStart::Launch(_) => {
            return StartError::Internal {
                attempt: "start a container".to_owned(),
                source: Box::new(error),
            };
        }
    };
    StartError::Unavailable {
        code,
        what,
        source: Box::new(error),
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

pub(crate) fn internal(
    attempt: &str,
    source: impl Into<Box<dyn std::error::Error + Send + Sync>>,
) -> PrepareError {
    PrepareError::Internal {
        attempt: attempt.to_owned(),
        source: source.into(),
    }
}
