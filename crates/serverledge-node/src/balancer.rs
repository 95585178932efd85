//! The load balancer, `serverledge lb`. It runs no function itself: it follows functions and nodes in the registry, and
//! forwards calls and requests to the nodes of its area. `docs/load-balancer.md` describes the whole.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use async_trait::async_trait;
use http::Response;
use serverledge_api::{
    App, Balancer, ClientCall, Identity, ProxyError, ProxyRequest, ServerLimits, Serving, serve,
    serve_tls,
};
use serverledge_core::kv::{Kv, Revision};
use serverledge_core::{CpuMilli, HttpBody, InvocationError, IpNet, Report};
use serverledge_platform::Platform;
use serverledge_registry::{Follower, FunctionStore, follow};
use serverledge_wire::peer_info::PeerInfo;
use serverledge_wire::records::NodeRecord;
use serverledge_wire::status::StatusInformation;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio::time::Instant;

mod calls;
mod functions;
mod metrics;
mod passing;
mod route;

use metrics::BalancerMetrics;
use route::Router;

use crate::accounts::owners::AccountsAndApplications;
use crate::applications::snapshot::Applications;
use crate::background::Background;
use crate::clock::unix_ms;
use crate::cluster::membership::{Membership, node_record};
use crate::cluster::{Cluster, ProbeScope};
use crate::config::{Config, MetricsConfig, RegistryUrl};
use crate::functions::Functions;
use crate::functions::quotas::Quotas;
use crate::registry::Registry;
use crate::setup::{
    access, guard, open_accounts, open_tls, own_id, own_url, request_limits, unreachable_registry,
};
use crate::status::load_average;

/// Most look-ups in the registry at once, for functions that are called and not known.
const LOOK_UPS_MAX: usize = 8;

/// A running load balancer.
pub(crate) struct LoadBalancing {
    /// The address that it listens on.
    pub(crate) address: SocketAddr,
    /// The scheme of its URL: `http` or `https`.
    pub(crate) scheme: &'static str,
    balancer: Arc<LoadBalancer>,
    registry: Registry,
    serving: Serving,
    drain_timeout: Duration,
}

/// The state of a load balancer.
pub(crate) struct LoadBalancer {
    identity: Identity,
    accounts: Arc<Platform>,
    quotas: Quotas,
    store: FunctionStore,
    functions: Functions,
    look_ups: Semaphore,
    membership: Membership,
    cluster: Cluster,
    router: Arc<Router>,
    metrics: BalancerMetrics,
    metrics_config: MetricsConfig,
    trusted: Vec<IpNet>,
    scheme: &'static str,
    ready: AtomicBool,
    started: Instant,
    background: Background,
}

// === impl LoadBalancing ===

impl LoadBalancing {
    /// Starts a load balancer: when this returns, it answers requests.
    ///
    /// # Errors
    /// A setting is missing, a file cannot be read, the address is in use, or the registry cannot be opened.
    pub(crate) async fn start(config: &Config) -> Result<Self> {
        check(config)?;
        let tls = open_tls(config)?;
        let registry = Registry::open(config)?;
        let address = SocketAddr::new(config.api.ip, config.api.port);
        let listener = TcpListener::bind(address).await.with_context(|| {
            format!("failed to listen on {address}; does a node run there? api.port chooses another port")
        })?;
        let balancer = Arc::new(LoadBalancer::new(config, registry.kv())?);
        let membership = &balancer.membership;
        membership.set_url(own_url(config, listener.local_addr()?));
        membership
            .register()
            .await
            .with_context(|| unreachable_registry(config))?;
        let nodes_from = membership
            .load()
            .await
            .context("failed to read the nodes")?;
        let functions_from = balancer
            .load()
            .await
            .context("failed to read the deployed functions")?;
        let accounts_from = balancer
            .accounts
            .load()
            .await
            .context("failed to read the accounts")?;
        balancer.cluster.peers.set(&membership.others());
        // So that the first call finds nodes that are known to live.
        balancer
            .cluster
            .ask_round(membership, ProbeScope::Area, &mut 0)
            .await;
        let guard = guard(config, tls.is_some());
        let access = access(config, &balancer.accounts, tls.is_some());
        let app = App::balancing(
            Arc::<LoadBalancer>::clone(&balancer),
            guard,
            access,
            request_limits(config),
        );
        let limits = ServerLimits {
            connections_max: config.api.connections_max,
            header_timeout: config.api.header_timeout,
        };
        balancer.ready.store(true, Ordering::Release);
        let scheme = balancer.scheme;
        let serving = match tls {
            Some(tls) => serve_tls(listener, tls, app, limits),
            None => serve(listener, app, limits),
        };
        let serving = serving.context("failed to serve")?;
        balancer.start_background(functions_from, nodes_from);
        balancer.accounts.start(accounts_from);
        let nodes = membership.others().len();
        tracing::info!(functions = balancer.functions.len(), nodes, address = %serving.address, "ready");
        let address = serving.address;
        let drain_timeout = config.drain.timeout;
        Ok(Self {
            address,
            scheme,
            balancer,
            registry,
            serving,
            drain_timeout,
        })
    }

    pub(crate) fn identity(&self) -> &Identity {
        &self.balancer.identity
    }

    /// Stops: announces it, accepts nothing new, and lets requests in progress end for as long as configured.
    pub(crate) async fn stop(self) {
        let balancer = &self.balancer;
        balancer.ready.store(false, Ordering::Release);
        balancer.membership.announce_draining().await;
        if !self.serving.drain(self.drain_timeout).await {
            tracing::warn!(
                "some requests did not end within {:?} and were cut off",
                self.drain_timeout
            );
        }
        balancer.background.stop().await;
        balancer.accounts.stop().await;
        balancer.membership.leave().await;
        self.registry.close().await;
        tracing::info!("stopped");
    }
}

/// Checks for the settings that a load balancer needs.
fn check(config: &Config) -> Result<()> {
    let shared = config.registry.url != RegistryUrl::Embedded;
    ensure!(
        shared,
        "a load balancer needs the registry of its nodes: set registry.url (or etcd.address) as they have it"
    );
    let keyed = config.cluster.key.is_some() || !config.cluster.key_file.is_empty();
    ensure!(
        keyed,
        "a load balancer needs the key of its nodes: set cluster.key or cluster.key_file as they have it"
    );
    Ok(())
}

// === impl LoadBalancer ===

impl LoadBalancer {
    fn new(config: &Config, kv: &Arc<dyn Kv>) -> Result<Self> {
        let id = own_id(config)?;
        let area = &config.registry.area;
        let balancing = &config.balancer;
        let registry = &config.registry;
        let accounts = Arc::new(open_accounts(config, kv)?);
        let owners = AccountsAndApplications {
            accounts: Arc::clone(&accounts),
            applications: Arc::new(Applications::default()),
        };
        let record = node_record(NodeRecord::BALANCER);
        Ok(Self {
            identity: Identity {
                node: id.clone(),
                area: area.clone(),
            },
            accounts,
            quotas: Quotas::new(config.quota.clone(), Arc::new(owners)),
            store: FunctionStore::new(Arc::clone(kv)),
            functions: Functions::default(),
            look_ups: Semaphore::new(LOOK_UPS_MAX),
            membership: Membership::new(
                Arc::clone(kv),
                area,
                &id,
                record,
                registry.ttl,
                balancing.refresh_interval,
            ),
            cluster: Cluster::new(config, &format!("{area}/{id}"))?,
            router: Arc::new(Router::new(area, balancing.replicas, balancing.load_factor)),
            metrics: BalancerMetrics::new().context("failed to register metrics")?,
            metrics_config: config.metrics.clone(),
            trusted: config.api.trusted_proxies.clone(),
            scheme: if config.api.tls_cert_file.is_empty() {
                "http"
            } else {
                "https"
            },
            ready: AtomicBool::new(false),
            started: Instant::now(),
            background: Background::default(),
        })
    }

    fn start_background(self: &Arc<Self>, functions_from: Revision, nodes_from: Revision) {
        let balancer = Arc::clone(self);
        self.background
            .spawn(async move { follow(&*balancer, functions_from).await });
        let balancer = Arc::clone(self);
        self.background
            .spawn(async move { balancer.membership.keep_registered().await });
        let balancer = Arc::clone(self);
        self.background
            .spawn(async move { follow(&balancer.membership, nodes_from).await });
        let balancer = Arc::clone(self);
        self.background.spawn(async move {
            balancer
                .cluster
                .watch(&balancer.membership, ProbeScope::Area)
                .await
        });
    }

    /// The number of calls in progress at each node, by `area/node`.
    fn in_flight(&self) -> Vec<(String, u32)> {
        let mut nodes = Vec::new();
        self.cluster
            .peers
            .each(|standing| nodes.push((standing.name.to_owned(), standing.id)));
        nodes
            .into_iter()
            .map(|(name, id)| (name, self.router.in_flight(id)))
            .collect()
    }
}

#[async_trait]
impl Balancer for LoadBalancer {
    fn identity(&self) -> &Identity {
        &self.identity
    }

    async fn invoke(&self, call: ClientCall) -> Result<Report, InvocationError> {
        // The node takes it for one that was counted where it came in.
        let _permit = self.quotas.admit(&call.caller)?;
        self.hand_over(call).await
    }

    async fn pass(&self, passage: ProxyRequest) -> Result<Response<HttpBody>, ProxyError> {
        self.pass_on(passage).await
    }

    fn peers(&self) -> Vec<PeerInfo> {
        self.cluster.peers.infos()
    }

    /// The sums over the live nodes of its area; figures that a node reports to its own clients only are zero.
    fn status(&self) -> StatusInformation {
        let mut status = StatusInformation {
            coordinates: self.cluster.peers.coordinates(),
            load_avg: load_average(),
            last_update_time: i64::try_from(unix_ms() / 1000).unwrap_or(i64::MAX),
            running: self
                .in_flight()
                .iter()
                .map(|(_, count)| i64::from(*count))
                .sum(),
            functions: i64::try_from(self.functions.len()).unwrap_or(i64::MAX),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            node: self.identity.node.clone(),
            area: self.identity.area.clone(),
            uptime: self.started.elapsed().as_secs_f64(),
            ..StatusInformation::default()
        };
        let signed = |mib: u64| i64::try_from(mib).unwrap_or(i64::MAX);
        let mut used_milli = 0;
        self.cluster.peers.each(|standing| {
            let Some(load) = standing
                .load
                .filter(|_| standing.area == self.identity.area)
            else {
                return;
            };
            status.total_memory = status
                .total_memory
                .saturating_add(signed(standing.record.memory_mib));
            status.available_memory = status
                .available_memory
                .saturating_add(signed(load.free_memory_mib));
            status.total_cpu += CpuMilli::new(standing.record.cpu_milli).cores();
            used_milli += standing
                .record
                .cpu_milli
                .saturating_sub(load.free_cpu_milli);
            for (function, count) in standing.warm {
                *status
                    .available_warm_containers
                    .entry(function.clone())
                    .or_default() += i64::from(*count);
            }
        });
        // Nodes tell each other what a call may have, idle containers' share included.
        status.free_memory = status.available_memory;
        status.used_cpu = CpuMilli::new(used_milli).cores();
        status
    }

    fn metrics(&self) -> Option<String> {
        self.metrics_config
            .enabled
            .then(|| self.metrics.text(&self.in_flight()))
    }

    fn ready(&self) -> bool {
        self.ready.load(Ordering::Acquire) && self.router.has_node(&self.cluster.peers)
    }
}
