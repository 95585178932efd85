//! Wires a node together, serves, and stops it again.

use std::net::SocketAddr;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::{Context, Result};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use serverledge_api::{
    Access, App, Guard, Identity, Limits, ServerLimits, Serving, Tls, TlsFiles, serve, serve_tls,
};
use serverledge_core::kv::Kv;
use serverledge_core::{Accounts, Executor, InvocationId};
use serverledge_executor_docker::{DockerConfig, DockerExecutor, Images, InstallConfig};
use serverledge_executor_wasm::{CompileLimits, InitLimits, WasmConfig, WasmExecutor, Worker};
use serverledge_platform::Platform;
use serverledge_registry::{AppStore, FunctionStore, InvocationStore, node_id};
use serverledge_scheduler::{
    Capacity, Config as SchedulerConfig, Policy, PolicyOptions, policy_named,
};
use serverledge_wire::header::ARCH;
use serverledge_wire::records::{NodeRecord, Record};
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::Instant;

use crate::accounts;
use crate::admission::Admissions;
use crate::applications::Applications;
use crate::arguments::Arguments;
use crate::asynchronous::Asynchronous;
use crate::balancer::LoadBalancing;
use crate::cluster::Cluster;
use crate::config::{self, Config, ConfigFaults, Loaded, Machine, ProcessEnvironment, RegistryUrl};
use crate::deploy::unix_ms;
use crate::executors::Executors;
use crate::function_logs::FunctionLogs;
use crate::functions::Functions;
use crate::hosting::{EdgeCodes, Testing};
use crate::membership::Membership;
use crate::memo::{Memos, Tags};
use crate::metrics::Metrics;
use crate::node::{Background, Node, NodeBackend};
use crate::notifier::notifier;
use crate::quotas::{AccountsAndApplications, Quotas};
use crate::registry::Registry;

/// A node that serves.
pub struct Started {
    /// Where it listens.
    pub address: SocketAddr,
    scheme: &'static str,
    node: Arc<Node>,
    registry: Registry,
    containers: Option<DockerExecutor>,
    serving: Serving,
    drain_timeout: Duration,
}

impl std::fmt::Debug for Started {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Started")
            .field("address", &self.address)
            .finish_non_exhaustive()
    }
}

/// Loads the configuration from the usual places, or from the file that was named.
///
/// # Errors
/// All faults at once.
pub fn load_config(arguments: &Arguments) -> Result<Loaded, ConfigFaults> {
    raise_file_limit();
    let directories = config::search_directories(&ProcessEnvironment);
    config::load(
        arguments.config.as_deref(),
        &ProcessEnvironment,
        &Machine::detect(),
        &directories,
    )
}

/// Prints the configuration in force.
#[expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "that is what was asked for"
)]
#[must_use]
pub fn check_config(loaded: &Loaded) -> ExitCode {
    for warning in &loaded.warnings {
        eprintln!("warning: {warning}");
    }
    print!("{}", loaded.render());
    ExitCode::SUCCESS
}

/// What runs.
enum Running {
    Node(Started),
    Balancer(LoadBalancing),
}

/// Runs a node, or a load balancer, until it is told to stop (SIGTERM, SIGINT).
///
/// # Errors
/// What kept it from starting.
pub fn run(loaded: Loaded, balances: bool) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .context("failed to start threads")?;
    runtime.block_on(async move {
        for warning in &loaded.warnings {
            tracing::warn!("{warning}");
        }
        match &loaded.source {
            Some(path) => tracing::info!("configuration from {}", path.display()),
            None => tracing::info!("no configuration file; defaults and environment"),
        }
        let mut terminated = signal(SignalKind::terminate())?;
        let mut interrupted = signal(SignalKind::interrupt())?;
        let running = Running::start(&loaded.config, balances).await?;
        running.announce();
        tokio::select! {
            _ = terminated.recv() => tracing::info!("told to stop (SIGTERM)"),
            _ = interrupted.recv() => tracing::info!("told to stop (SIGINT)"),
        }
        running.stop().await;
        Ok(())
    })
}

impl Running {
    async fn start(config: &Config, balances: bool) -> Result<Self> {
        Ok(if balances {
            Self::Balancer(LoadBalancing::start(config).await?)
        } else {
            Self::Node(start(config).await?)
        })
    }

    /// The one line on stdout: scripts and tests read the address from it.
    #[expect(
        clippy::print_stdout,
        reason = "the address, which is known only now when the port was left to the system"
    )]
    fn announce(&self) {
        let (scheme, address, kind, identity) = match self {
            Self::Node(started) => (
                started.scheme,
                started.address,
                "node",
                &started.node.identity,
            ),
            Self::Balancer(started) => (
                started.scheme,
                started.address,
                "load balancer",
                started.identity(),
            ),
        };
        println!(
            "serverledge {} listening on {scheme}://{address} (area {}, {kind} {})",
            env!("CARGO_PKG_VERSION"),
            identity.area,
            identity.node
        );
    }

    async fn stop(self) {
        match self {
            Self::Node(started) => started.stop().await,
            Self::Balancer(started) => started.stop().await,
        }
    }
}

/// Starts a node: when this returns, it answers requests.
///
/// # Errors
/// What kept it from starting.
pub async fn start(config: &Config) -> Result<Started> {
    let tls = open_tls(config)?;
    let registry = Registry::open(config)?;
    let executor =
        WasmExecutor::open(wasm_config(config)?).context("failed to start the wasm executor")?;
    let containers = open_containers(config)?;
    let address = SocketAddr::new(config.api.ip, config.api.port);
    let listener = TcpListener::bind(address).await.with_context(|| {
        format!(
            "failed to listen on {address}; is another node running? api.port chooses another port"
        )
    })?;
    let executors = Executors {
        wasm: Arc::new(executor.clone()),
        snapshots: Some(executor),
        containers: containers
            .clone()
            .map(|containers| -> Arc<dyn Executor> { Arc::new(containers) }),
    };
    let node = Arc::new(build(config, registry.kv(), executors)?);
    node.membership
        .set_url(own_url(config, listener.local_addr()?));
    node.membership
        .register()
        .await
        .with_context(|| unreachable_registry(config))?;
    node.membership
        .load()
        .await
        .context("failed to read the nodes")?;
    let from = node
        .load_functions()
        .await
        .context("failed to read the deployed functions")?;
    let apps_from = node
        .load_applications()
        .await
        .context("failed to read the applications")?;
    node.accounts
        .set_default_url(own_url(config, listener.local_addr()?));
    let accounts_from = node
        .accounts
        .load()
        .await
        .context("failed to read the accounts")?;
    node.warn_of_ownerless();
    if let Some(containers) = &containers {
        containers.warm_up(&node.container_runtimes());
    }
    if !registry.is_shared() {
        node.recover_async().await;
    }
    let (guard, access) = (
        guard(config, tls.is_some()),
        access(config, &node.accounts, tls.is_some()),
    );
    let app = App::new(
        Arc::new(NodeBackend(Arc::clone(&node))),
        guard,
        access,
        request_limits(config),
    );
    let limits = ServerLimits {
        connections_max: config.api.connections_max,
        header_timeout: config.api.header_timeout,
    };
    node.ready.store(true, Ordering::Release);
    let scheme = if tls.is_some() { "https" } else { "http" };
    let serving = match tls {
        Some(tls) => serve_tls(listener, tls, app, limits),
        None => serve(listener, app, limits),
    };
    let serving = serving.context("failed to serve")?;
    node.start_background(from, apps_from);
    node.start_accounts(accounts_from, config.data.dir.clone());
    tracing::info!(functions = node.functions.len(), address = %serving.address, "ready");
    let (address, drain_timeout) = (serving.address, config.drain_timeout);
    Ok(Started {
        address,
        scheme,
        node,
        registry,
        containers,
        serving,
        drain_timeout,
    })
}

impl Started {
    /// Stops: refuses what is new, lets what runs end for as long as configured, ends background work, closes the registry.
    pub async fn stop(self) {
        self.node.ready.store(false, Ordering::Release);
        // First of all, since the registry may be away: telling it takes its time then.
        self.node.admissions.drain();
        let until = Instant::now() + self.drain_timeout;
        self.node.membership.announce_draining().await;
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
        if !self.node.asynchronous.ended_by(until).await {
            tracing::warn!(
                "some asynchronous invocations did not end in time; another node, or the next start, begins them again"
            );
        }
        self.node.background.stop().await;
        self.node.accounts.stop().await;
        self.node.admissions.close().await;
        if let Some(containers) = &self.containers {
            containers.close().await;
        }
        self.node.membership.leave().await;
        self.registry.close().await;
        tracing::info!("stopped");
    }
}

/// The certificate to serve with, if there is to be TLS.
pub(crate) fn open_tls(config: &Config) -> Result<Option<Tls>> {
    let (cert_file, key_file) = (&config.api.tls_cert_file, &config.api.tls_key_file);
    if cert_file.is_empty() {
        return Ok(None);
    }
    let files = TlsFiles {
        cert_file: cert_file.into(),
        key_file: key_file.into(),
    };
    Tls::open(files)
        .context("failed to set up TLS (api.tls.cert_file, api.tls.key_file)")
        .map(Some)
}

pub(crate) fn own_id(config: &Config) -> Result<String> {
    match &config.registry.node_id {
        Some(id) => Ok(id.clone()),
        None => Ok(node_id(&config.data.dir)?),
    }
}

/// The engine behind it may be there or not, now or later.
fn open_containers(config: &Config) -> Result<Option<DockerExecutor>> {
    if !config.container.enabled {
        return Ok(None);
    }
    Ok(Some(DockerExecutor::open(docker_config(
        config,
        own_id(config)?,
    ))?))
}

/// Where peers reach a node that listens there.
pub(crate) fn own_url(config: &Config, address: SocketAddr) -> String {
    let scheme = if config.api.tls_cert_file.is_empty() {
        "http"
    } else {
        "https"
    };
    match &config.cluster.address {
        Some(given) => format!("{scheme}://{given}"),
        None => format!("{scheme}://{address}"),
    }
}

pub(crate) fn unreachable_registry(config: &Config) -> String {
    match &config.registry.url {
        RegistryUrl::Embedded => "failed to write to the registry".to_owned(),
        RegistryUrl::Etcd(url) => {
            format!("failed to use the registry at {url}; is etcd running there?")
        }
    }
}

fn membership(config: &Config, kv: &Arc<dyn Kv>, id: &str, executors: &Executors) -> Membership {
    let registry = &config.registry;
    let record = NodeRecord {
        schema: NodeRecord::SCHEMA,
        epoch: InvocationId::new().to_string(),
        kind: NodeRecord::NODE.to_owned(),
        url: String::new(),
        arch: ARCH.to_owned(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        memory_mib: config.pool.memory.get(),
        cpu_milli: config.pool.cpus.get(),
        runtimes: executors
            .runtimes()
            .iter()
            .map(|runtime| runtime.name().to_owned())
            .collect(),
        draining: false,
        started_unix_ms: unix_ms(),
    };
    Membership::new(
        Arc::clone(kv),
        &registry.area,
        id,
        record,
        registry.ttl,
        registry.monitoring_interval,
    )
}

fn policy(config: &Config, id: &str) -> Result<Option<Box<dyn Policy>>> {
    let (name, fallback_local) = (config.scheduler.policy, config.scheduler.fallback_local);
    if !name.offloads() {
        return Ok(None);
    }
    let seed = blake3::hash(id.as_bytes())
        .as_bytes()
        .first_chunk()
        .map_or(0, |bytes| u64::from_le_bytes(*bytes));
    Ok(Some(policy_named(
        name.as_str(),
        PolicyOptions {
            fallback_local,
            seed,
        },
    )?))
}

pub(crate) fn build(config: &Config, kv: &Arc<dyn Kv>, executors: Executors) -> Result<Node> {
    let id = own_id(config)?;
    let capacity = Capacity {
        memory: config.pool.memory,
        cpu: config.pool.cpus,
        slots: config.wasm.instances_max,
        containers: if config.container.enabled {
            config.container.max
        } else {
            0
        },
    };
    let scheduler = SchedulerConfig {
        queue_capacity: config.queue.capacity,
        wait_max: config.queue.wait_max,
        idle_max: config.container.expiration,
        ..SchedulerConfig::new(capacity)
    };
    let accounts = Arc::new(accounts::open(config, kv)?);
    let applications = Arc::new(Applications::default());
    let owners = AccountsAndApplications {
        accounts: Arc::clone(&accounts),
        applications: Arc::clone(&applications),
    };
    let metrics = Metrics::new(&config.registry.area).context("failed to register metrics")?;
    let cluster = Cluster::new(config, &format!("{}/{id}", config.registry.area))?;
    let tags = match &cluster.key {
        Some(key) => Tags::of_cluster(key),
        None => Tags::of_node(&config.data.dir)
            .context("failed to read or make the key of result tags")?,
    };
    Ok(Node {
        memos: Memos::new(
            config.cache.results_bytes,
            config.cache.results_ttl,
            tags,
            &metrics,
        ),
        metrics,
        identity: Identity {
            node: id.clone(),
            area: config.registry.area.clone(),
        },
        limits: config.function.clone(),
        pool_memory: config.pool.memory,
        functions: Functions::default(),
        admissions: Admissions::new(scheduler, policy(config, &id)?),
        logs: FunctionLogs::default(),
        store: FunctionStore::new(Arc::clone(kv)),
        applications,
        app_store: AppStore::new(Arc::clone(kv)),
        invocations: InvocationStore::new(Arc::clone(kv)),
        membership: membership(config, kv, &id, &executors),
        cluster,
        accounts,
        auth_required: config.auth.enabled,
        executors,
        asynchronous: Asynchronous::new(
            config.asynchronous.clone(),
            config.queue.wait_max,
            notifier(config)?,
        ),
        quotas: Quotas::new(config.quota.clone(), Arc::new(owners)),
        metrics_config: config.metrics.clone(),
        preparing: parking_lot::Mutex::default(),
        ready: AtomicBool::new(false),
        started: Instant::now(),
        background: Background::default(),
        sweep_soon: tokio::sync::Notify::new(),
        testing: Testing::default(),
        edge_codes: EdgeCodes::default(),
        janitor_interval: config.container.janitor_interval,
    })
}

/// The names that a node, or a load balancer, answers to.
pub(crate) fn guard(config: &Config, over_tls: bool) -> Guard {
    Guard::new(config.api.ip, config.api.hosts.clone())
        .over_tls(over_tls)
        .domain(&config.platform.domain)
}

/// How the node tells requests apart by who sends them. Links that begin with https say that a proxy speaks TLS for it.
pub(crate) fn access(config: &Config, accounts: &Arc<Platform>, over_tls: bool) -> Access {
    let accounts: Arc<dyn Accounts> = Arc::<Platform>::clone(accounts);
    Access {
        accounts: Some(accounts),
        required: config.auth.enabled,
        secure_cookies: over_tls || config.accounts.base_url.starts_with("https://"),
        trusted_proxies: config.api.trusted_proxies.clone(),
    }
}

fn wasm_config(config: &Config) -> Result<WasmConfig> {
    // The path by which the kernel knows this program: right also after the file was replaced by an upgrade.
    let program = std::env::current_exe().context("failed to find this program's file")?;
    let wasm = &config.wasm;
    Ok(WasmConfig {
        cache_dir: config.data.dir.join("machine-code"),
        worker: Worker {
            program,
            args: vec!["internal-compile".into()],
        },
        compile: CompileLimits {
            memory_bytes: wasm.compile_memory.bytes(),
            cpu_time: wasm.compile_cpu_time,
            wall_time: wasm.compile_time,
            parallel: wasm.compile_parallel,
        },
        init: InitLimits {
            module_bytes_max: config.function.code_bytes_max,
            ..InitLimits::default()
        },
        slots: wasm.slots(),
        keep_resident_bytes: wasm.kept_per_slot(config.pool.memory),
        loaded_bytes_max: wasm.loaded_bytes_max as u64,
        loaded_max: wasm.loaded_max,
        output_bytes_max: config.function.output_bytes_max,
        log_bytes_max: config.function.log_tail_bytes_max,
        cpu_time_max: wasm.cpu_time_max,
        heavy_threads: std::thread::available_parallelism().map_or(1, std::num::NonZero::get),
    })
}

fn docker_config(config: &Config, node_id: String) -> DockerConfig {
    let container = &config.container;
    let given = |text: &String| (!text.is_empty()).then(|| text.clone());
    DockerConfig {
        socket: container.socket.clone(),
        node_id,
        dir: config.data.dir.join("containers"),
        images: Images {
            python: container.image_python.clone(),
            nodejs: container.image_nodejs.clone(),
        },
        cells: container.cells,
        starts_max: container.starts_max,
        start_timeout: container.start_timeout,
        cpus_max: config.pool.cpus,
        tmp: container.tmp,
        pids_max: container.pids_max,
        output_bytes_max: config.function.output_bytes_max,
        log_bytes_max: config.function.log_tail_bytes_max,
        code_bytes_max: config.function.code_bytes_max,
        allow_bridge: container.allow_bridge,
        install: InstallConfig {
            timeout: container.install_timeout,
            memory: container.install_memory,
            layer_max: container.install_size_max,
            npm_registry: given(&container.npm_registry),
            pip_index: given(&container.pip_index),
            ca_file: given(&container.ca_file).map(Into::into),
            proxy: given(&container.proxy),
        },
    }
}

pub(crate) fn request_limits(config: &Config) -> Limits {
    Limits {
        code_body_bytes_max: config.api.body_bytes_max,
        // The envelope around the parameters is small.
        params_body_bytes_max: config.function.params_bytes_max + 64 * 1024,
        body_timeout: config.api.body_timeout,
        concurrency_max: config.api.concurrency_max,
    }
}

/// Loaded modules, connections and pipes each need a descriptor; the soft limit of 1024 is for programs that use `select`.
fn raise_file_limit() {
    let limit = getrlimit(Resource::Nofile);
    let _ = setrlimit(
        Resource::Nofile,
        Rlimit {
            current: limit.maximum,
            maximum: limit.maximum,
        },
    );
}
