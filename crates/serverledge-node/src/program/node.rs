//! Builds a node, starts its parts in their order, and stops them again.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use serverledge_api::{
    App, Backend, Identity, NodeStatus as _, ServerLimits, Serving, Tls, serve, serve_tls,
};
use serverledge_core::Executor;
use serverledge_core::kv::{Kv, Revision};
use serverledge_executor_docker::DockerExecutor;
use serverledge_executor_wasm::WasmExecutor;
use serverledge_registry::{Follower, follow};
use tokio::net::TcpListener;
use tokio::time::Instant;

use crate::accounts::AccountsWorker;
use crate::accounts::orphans::warn_of_orphans;
use crate::applications::Apps;
use crate::applications::edge_tier::EdgeTier;
use crate::asynchronous::notifier::notifier;
use crate::asynchronous::{AsyncWorker, Notifier};
use crate::cluster::ProbeScope;
use crate::cluster::serve::PeerServer;
use crate::config::Config;
use crate::events::load::watch_load;
use crate::executors::Executors;
use crate::functions::deploy::Deployer;
use crate::functions::follow::Catalogue;
use crate::functions::javascript;
use crate::functions::preparing::command;
use crate::functions::quotas::Owners;
use crate::invoke::Invoker;
use crate::program::foundation::Foundation;
use crate::registry::Registry;
use crate::runs::reader::RunReader;
use crate::setup::{
    access, docker_config, guard, open_tls, own_id, own_url, request_limits, unreachable_registry,
    wasm_config,
};
use crate::status::StatusReporter;
use crate::sweep::Sweeper;

/// A serving node.
pub struct Started {
    /// The address that it listens on.
    pub address: SocketAddr,
    pub(super) scheme: &'static str,
    node: NodeServices,
    registry: Registry,
    containers: Option<DockerExecutor>,
    serving: Serving,
    drain_timeout: Duration,
    done: Observer,
}

impl std::fmt::Debug for Started {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Started")
            .field("address", &self.address)
            .finish_non_exhaustive()
    }
}

/// The steps of a start and of a stop, in their order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Step {
    /// The address is taken, so that peers can be told it. Nobody is answered yet.
    Listening,
    /// Other nodes see this one.
    Registered,
    /// The other nodes, functions, applications and accounts are in memory.
    Loaded,
    /// Unfinished asynchronous invocations of an earlier process go on. Before the first request: a new invocation is
    /// never mistaken for an old one.
    Resumed,
    /// The versions that are not prepared here are queued.
    Preparing,
    /// Requests are answered.
    Serving,
    /// The tasks that run beside requests have begun.
    Following,
    /// New calls are refused, and those that wait. First of all, since the registry may be away.
    Refusing,
    /// The other nodes know that this one accepts nothing new.
    Announced,
    /// No request is in progress any more, and the listener is closed.
    RequestsEnded,
    /// No asynchronous invocation runs here; those that have not begun are left.
    InvocationsEnded,
    /// The tasks that run beside requests have ended.
    BackgroundEnded,
    /// The times of the last calls are on disk.
    CallsNoted,
    /// The tasks of the accounts have ended, and mails are sent or given up.
    AccountsEnded,
    /// The pooled sandboxes have stopped.
    SandboxesStopped,
    /// The node is not among the others any more.
    Left,
    /// All changes are in the registry, and it is closed.
    Closed,
}

/// The observer of a node's steps.
type Observer = Arc<dyn Fn(Step) + Send + Sync>;

/// The parts of a node that touch the machine.
pub(crate) struct Machinery {
    tls: Option<Tls>,
    registry: Registry,
    executors: Executors,
    containers: Option<DockerExecutor>,
}

/// Starts a node: when this returns, it answers requests.
///
/// # Errors
/// The configuration cannot be applied, the address is in use, or the registry or an executor cannot be opened.
pub async fn start(config: &Config) -> Result<Started> {
    let tls = open_tls(config)?;
    let registry = Registry::open(config)?;
    let executor =
        WasmExecutor::open(wasm_config(config)?).context("failed to start the wasm executor")?;
    let containers = open_containers(config)?;
    let executors = Executors {
        wasm: Arc::new(executor.clone()),
        snapshots: Some(executor),
        containers: containers
            .clone()
            .map(|containers| -> Arc<dyn Executor> { Arc::new(containers) }),
    };
    let observer: Observer = Arc::new(|step| tracing::debug!(?step));
    start_with(
        config,
        Machinery {
            tls,
            registry,
            executors,
            containers,
        },
        observer,
    )
    .await
}

/// Builds the node over these parts and starts it.
async fn start_with(config: &Config, machinery: Machinery, done: Observer) -> Result<Started> {
    let Machinery {
        tls,
        registry,
        executors,
        containers,
    } = machinery;
    let listener = listen(config).await?;
    done(Step::Listening);
    let node = build(config, registry.kv(), executors)?;
    let own_url = own_url(config, listener.local_addr()?);
    node.base.membership.set_url(own_url.clone());
    node.base
        .membership
        .register()
        .await
        .with_context(|| unreachable_registry(config))?;
    done(Step::Registered);
    node.accounts.accounts.set_default_url(own_url);
    let loaded = node.load().await?;
    done(Step::Loaded);
    if let Some(containers) = &containers {
        containers.warm_up(&node.catalogue.container_runtimes());
    }
    if !registry.is_shared() {
        node.async_worker.recover_async().await;
        done(Step::Resumed);
    }
    node.catalogue.begin_preparing();
    done(Step::Preparing);
    let scheme = if tls.is_some() { "https" } else { "http" };
    let serving = serve_node(config, &node, listener, tls)?;
    done(Step::Serving);
    node.follow_all(config, &loaded);
    done(Step::Following);
    tracing::info!(functions = node.catalogue.len(), address = %serving.address, "ready");
    let address = serving.address;
    let drain_timeout = config.drain.timeout;
    Ok(Started {
        address,
        scheme,
        node,
        registry,
        containers,
        serving,
        drain_timeout,
        done,
    })
}

async fn listen(config: &Config) -> Result<TcpListener> {
    let address = SocketAddr::new(config.api.ip, config.api.port);
    TcpListener::bind(address).await.with_context(|| {
        format!(
            "failed to listen on {address}; is another node running? api.port chooses another port"
        )
    })
}

/// Answers requests from now on.
fn serve_node(
    config: &Config,
    node: &NodeServices,
    listener: TcpListener,
    tls: Option<Tls>,
) -> Result<Serving> {
    let guard = guard(config, tls.is_some());
    let access = access(config, &node.accounts.accounts, tls.is_some());
    let app = App::new(node.backend(), guard, access, request_limits(config));
    let limits = ServerLimits {
        connections_max: config.api.connections_max,
        header_timeout: config.api.header_timeout,
    };
    node.catalogue.set_ready(true);
    let serving = match tls {
        Some(tls) => serve_tls(listener, tls, app, limits),
        None => serve(listener, app, limits),
    };
    serving.context("failed to serve")
}

/// The revisions to follow the registry from.
pub(crate) struct Revisions {
    nodes: Revision,
    functions: Revision,
    applications: Revision,
    accounts: Revision,
}

impl NodeServices {
    /// Reads everything that requests need to know.
    pub(crate) async fn load(&self) -> Result<Revisions> {
        let nodes = self
            .base
            .membership
            .load()
            .await
            .context("failed to read the nodes")?;
        let functions = self.catalogue.load_functions().await;
        let functions = functions.context("failed to read the deployed functions")?;
        let applications = self
            .apps
            .load()
            .await
            .context("failed to read the applications")?;
        let accounts = self
            .accounts
            .accounts
            .load()
            .await
            .context("failed to read the accounts")?;
        warn_of_orphans(&self.base.reach, &self.base.resources.functions);
        Ok(Revisions {
            nodes,
            functions,
            applications,
            accounts,
        })
    }

    /// Starts the tasks that run beside requests.
    fn follow_all(&self, config: &Config, from: &Revisions) {
        self.start_background(from);
        self.accounts.start(from.accounts, config.data.dir.clone());
        self.base.background.spawn(command::serve(
            Arc::clone(&self.catalogue),
            config.data.dir.clone(),
        ));
        if config.wasm.engine_at_start
            && let Some(executor) = self.base.resources.executors.snapshots.clone()
        {
            self.base
                .background
                .spawn(async move { javascript::prepare_engine(&executor).await });
        }
    }

    /// Starts the tasks that follow the registry and the other nodes, and those that prepare, sweep and take over.
    pub(crate) fn start_background(&self, from: &Revisions) {
        let Self {
            catalogue,
            apps,
            async_worker,
            sweeper,
            ..
        } = self.clone();
        let Foundation {
            membership,
            cluster,
            resources,
            state,
            ..
        } = self.base.clone();
        let Revisions {
            nodes,
            functions,
            applications,
            ..
        } = *from;
        let follower = Arc::clone(&catalogue);
        let background = &self.base.background;
        background.spawn(async move { follow(&*follower, functions).await });
        background.spawn(async move { follow(&*apps, applications).await });
        let registered = Arc::clone(&membership);
        background.spawn(async move { registered.keep_registered().await });
        let followed = Arc::clone(&membership);
        background.spawn(async move { follow(&*followed, nodes).await });
        background.spawn(watch_load(resources.clone(), Arc::clone(&cluster)));
        background.spawn(async move { cluster.watch(&membership, ProbeScope::Some).await });
        let interval = self.janitor_interval;
        background.spawn(async move { resources.admissions.expire_idle_forever(interval).await });
        catalogue.start_preparing();
        background.spawn(async move { catalogue.note_called_forever().await });
        background.spawn(async move { sweeper.sweep_forever().await });
        background.spawn(async move { state.sweep_forever().await });
        background.spawn(Arc::clone(&async_worker).look_for_work_forever());
        background.spawn(async_worker.watch_cancellations_forever());
    }

    /// The services in their roles for the API.
    pub(crate) fn backend(&self) -> Backend {
        Backend {
            functions: self.catalogue.clone(),
            deployments: self.deployer.clone(),
            versions: self.deployer.clone(),
            invocations: self.invoker.clone(),
            async_invocations: self.async_worker.clone(),
            dead_letters: self.async_worker.clone(),
            applications: self.apps.clone(),
            running_apps: self.apps.clone(),
            runs: self.run_reader.clone(),
            state: self.base.state.clone(),
            peers: self.peer_server.clone(),
            status: self.status.clone(),
        }
    }
}

impl Started {
    pub(super) fn identity(&self) -> &Identity {
        self.node.status.identity()
    }

    /// Stops: refuses new requests, lets running ones end for as long as configured, ends background work, closes the
    /// registry.
    pub async fn stop(self) {
        let node = &self.node;
        let done = &self.done;
        node.catalogue.set_ready(false);
        node.base.resources.admissions.drain();
        done(Step::Refusing);
        let until = Instant::now() + self.drain_timeout;
        node.base.membership.announce_draining().await;
        done(Step::Announced);
        if !self
            .serving
            .drain(until.saturating_duration_since(Instant::now()))
            .await
        {
            tracing::warn!(
                "some requests did not end within {:?} and were cut off",
                self.drain_timeout
            );
        }
        done(Step::RequestsEnded);
        if !node.async_worker.ended_by(until).await {
            tracing::warn!(
                "some asynchronous invocations did not end in time; another node, or the next start, begins them again"
            );
        }
        done(Step::InvocationsEnded);
        node.base.background.stop().await;
        node.base.resources.telemetry.stop().await;
        done(Step::BackgroundEnded);
        node.catalogue.note_called();
        done(Step::CallsNoted);
        node.accounts.accounts.stop().await;
        done(Step::AccountsEnded);
        node.base.resources.admissions.close().await;
        if let Some(containers) = &self.containers {
            containers.close().await;
        }
        done(Step::SandboxesStopped);
        node.base.membership.leave().await;
        done(Step::Left);
        self.registry.close().await;
        done(Step::Closed);
        tracing::info!("stopped");
    }
}

/// Opens the container executor. The engine behind it may be there or not, now or later.
fn open_containers(config: &Config) -> Result<Option<DockerExecutor>> {
    if !config.container.enabled {
        return Ok(None);
    }
    Ok(Some(DockerExecutor::open(docker_config(
        config,
        own_id(config)?,
    ))?))
}

/// Parts that tests put in the place of the node's own.
#[derive(Default)]
pub(crate) struct Substitutes {
    pub(crate) owners: Option<Arc<dyn Owners>>,
    pub(crate) notifier: Option<Arc<dyn Notifier>>,
}

/// The services of a node, over the parts that they share. Clones share all.
#[derive(Clone)]
pub(crate) struct NodeServices {
    pub(crate) base: Foundation,
    pub(crate) invoker: Arc<Invoker>,
    pub(crate) deployer: Arc<Deployer>,
    pub(crate) catalogue: Arc<Catalogue>,
    pub(crate) async_worker: Arc<AsyncWorker>,
    pub(crate) apps: Arc<Apps>,
    pub(crate) peer_server: Arc<PeerServer>,
    pub(crate) run_reader: Arc<RunReader>,
    pub(crate) status: Arc<StatusReporter>,
    pub(crate) accounts: Arc<AccountsWorker>,
    pub(crate) sweeper: Arc<Sweeper>,
    janitor_interval: Duration,
}

/// Builds a node: each service over those before it.
pub(crate) fn build(
    config: &Config,
    kv: &Arc<dyn Kv>,
    executors: Executors,
) -> Result<NodeServices> {
    build_with(config, kv, executors, Substitutes::default())
}

/// The same, with other parts.
pub(crate) fn build_with(
    config: &Config,
    kv: &Arc<dyn Kv>,
    executors: Executors,
    substitutes: Substitutes,
) -> Result<NodeServices> {
    let base = Foundation::new(config, kv, executors, substitutes.owners)?;
    let notifier = substitutes.notifier.map_or_else(|| notifier(config), Ok)?;
    let invoker = Arc::new(Invoker::new(base.clone(), config)?);
    let deployer = Arc::new(Deployer::new(base.clone(), config));
    let catalogue = Arc::new(Catalogue::new(base.clone(), config));
    let apps = Arc::new(Apps::new(
        base.clone(),
        Arc::clone(&invoker),
        Arc::clone(&deployer),
        EdgeTier::new(config, base.cluster.key.as_ref())?,
    ));
    Ok(NodeServices {
        async_worker: Arc::new(AsyncWorker::new(
            base.clone(),
            config,
            Arc::clone(&invoker),
            notifier,
        )),
        peer_server: Arc::new(PeerServer::new(
            base.clone(),
            Arc::clone(&invoker),
            Arc::clone(&catalogue),
        )),
        run_reader: Arc::new(RunReader::new(base.clone())),
        status: Arc::new(StatusReporter::new(
            base.clone(),
            config,
            Arc::clone(&invoker),
            Arc::clone(&catalogue),
        )),
        accounts: Arc::new(AccountsWorker::new(base.clone(), config, Arc::clone(&apps))),
        sweeper: Arc::new(Sweeper::new(base.clone(), config)),
        janitor_interval: config.container.janitor_interval,
        base,
        invoker,
        deployer,
        catalogue,
        apps,
    })
}

#[cfg(test)]
mod tests;
