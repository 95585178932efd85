//! The parts of a node that its services share.

use std::sync::Arc;

use anyhow::{Context, Result};
use serverledge_api::Identity;
use serverledge_core::kv::Kv;
use serverledge_platform::Platform;
use serverledge_registry::{AppStore, FunctionStore, InvocationStore};
use serverledge_scheduler::{Capacity, Config as SchedulerConfig};
use serverledge_wire::records::NodeRecord;
use tokio::sync::Notify;

use crate::accounts::owners::AccountsAndApplications;
use crate::admission::Admissions;
use crate::applications::reach::Reach;
use crate::applications::snapshot::Applications;
use crate::background::Background;
use crate::cluster::Cluster;
use crate::cluster::membership::{Membership, node_record};
use crate::config::Config;
use crate::events::EventBus;
use crate::executors::Executors;
use crate::functions::Functions;
use crate::functions::logs::FunctionLogs;
use crate::functions::preparing::jobs::Jobs;
use crate::functions::preparing::unheard::FunctionFinder;
use crate::functions::quotas::{Owners, Quotas};
use crate::functions::resources::FunctionResources;
use crate::metrics::Metrics;
use crate::runs::RunRecorder;
use crate::setup::{open_accounts, own_id, policy};
use crate::state::StateService;
use crate::telemetry::Telemetry;

/// The parts under the services of a node. Clones share them.
#[derive(Clone)]
pub(crate) struct Foundation {
    pub(crate) identity: Identity,
    pub(crate) accounts: Arc<Platform>,
    pub(crate) reach: Arc<Reach>,
    pub(crate) quotas: Arc<Quotas>,
    pub(crate) membership: Arc<Membership>,
    pub(crate) cluster: Arc<Cluster>,
    pub(crate) resources: FunctionResources,
    pub(crate) finder: FunctionFinder,
    pub(crate) store: FunctionStore,
    pub(crate) app_store: AppStore,
    pub(crate) invocations: InvocationStore,
    /// The stores of functions.
    pub(crate) state: Arc<StateService>,
    /// The versions to prepare here.
    pub(crate) jobs: Arc<Jobs>,
    /// Notified when a space was deleted.
    pub(crate) sweep_soon: Arc<Notify>,
    pub(crate) background: Background,
}

impl Foundation {
    /// The parts over this registry. `owners` takes the place of the accounts and applications, in tests.
    pub(crate) fn new(
        config: &Config,
        kv: &Arc<dyn Kv>,
        executors: Executors,
        owners: Option<Arc<dyn Owners>>,
    ) -> Result<Self> {
        let id = own_id(config)?;
        let identity = Identity {
            node: id.clone(),
            area: config.registry.area.clone(),
        };
        let accounts = Arc::new(open_accounts(config, kv)?);
        let applications = Arc::<Applications>::default();
        let known = AccountsAndApplications {
            accounts: Arc::clone(&accounts),
            applications: Arc::clone(&applications),
        };
        let owners = owners.unwrap_or_else(|| Arc::new(known));
        let membership = membership(config, kv, &id, &executors);
        let reach = Arc::new(Reach::new(config.auth.enabled, applications));
        let resources = resources(config, executors, &identity, &reach)?;
        let store = FunctionStore::new(Arc::clone(kv));
        let state = StateService::new(&config.state, kv, Arc::clone(&resources.metrics));
        Ok(Self {
            cluster: Arc::new(Cluster::new(config, &format!("{}/{id}", identity.area))?),
            finder: FunctionFinder::new(config, Arc::clone(&resources.functions), store.clone()),
            quotas: Arc::new(Quotas::new(config.quota.clone(), owners)),
            reach,
            app_store: AppStore::new(Arc::clone(kv)),
            invocations: InvocationStore::new(Arc::clone(kv)),
            state: Arc::new(state),
            membership: Arc::new(membership),
            jobs: Arc::default(),
            sweep_soon: Arc::default(),
            background: Background::default(),
            identity,
            accounts,
            resources,
            store,
        })
    }
}

/// The functions of a node, and the parts that hold something of them.
fn resources(
    config: &Config,
    executors: Executors,
    identity: &Identity,
    reach: &Arc<Reach>,
) -> Result<FunctionResources> {
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
    let metrics = Metrics::new(&config.registry.area).context("failed to register metrics")?;
    let events = Arc::<EventBus>::default();
    let telemetry = Arc::new(Telemetry::new(config, identity, &metrics.telemetry)?);
    Ok(FunctionResources {
        runs: Arc::new(RunRecorder::new(
            &config.runs,
            Arc::clone(&events),
            Arc::clone(&telemetry),
            Arc::<Reach>::clone(reach),
        )),
        functions: Arc::new(known_functions(&executors)),
        admissions: Admissions::new(scheduler, policy(config, &identity.node)?),
        executors,
        logs: Arc::new(FunctionLogs::new(
            Arc::clone(&events),
            Arc::clone(&telemetry),
        )),
        metrics: Arc::new(metrics),
        events,
        telemetry,
    })
}

fn membership(config: &Config, kv: &Arc<dyn Kv>, id: &str, executors: &Executors) -> Membership {
    let registry = &config.registry;
    let record = NodeRecord {
        memory_mib: config.pool.memory.get(),
        cpu_milli: config.pool.cpus.get(),
        runtimes: executors
            .runtimes()
            .iter()
            .map(|runtime| runtime.name().to_owned())
            .collect(),
        ..node_record(NodeRecord::NODE)
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

/// The table of functions. A version whose runtime has no executor counts as prepared: nothing can be prepared for it.
fn known_functions(executors: &Executors) -> Functions {
    let executors = executors.clone();
    Functions::new(move |version| executors.is_prepared(version))
}
