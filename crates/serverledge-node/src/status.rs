//! The state of the node as clients see it: `/status`, `/metrics`, and its free room.

use std::sync::Arc;

use serverledge_api::{Identity, Load, NodeStatus};
use serverledge_wire::status::StatusInformation;
use tokio::time::Instant;

use crate::clock::unix_ms;
use crate::cluster::Cluster;
use crate::config::Config;
use crate::functions::follow::Catalogue;
use crate::functions::resources::FunctionResources;
use crate::functions::spaces::Spaces;
use crate::functions::warm::{shown_label, warm_containers};
use crate::invoke::Invoker;
use crate::program::foundation::Foundation;

/// The source of these figures.
pub(crate) struct StatusReporter {
    identity: Identity,
    started: Instant,
    resources: FunctionResources,
    cluster: Arc<Cluster>,
    spaces: Arc<dyn Spaces>,
    invoker: Arc<Invoker>,
    catalogue: Arc<Catalogue>,
    has_metrics: bool,
}

impl StatusReporter {
    pub(crate) fn new(
        base: Foundation,
        config: &Config,
        invoker: Arc<Invoker>,
        catalogue: Arc<Catalogue>,
    ) -> Self {
        Self {
            identity: base.identity,
            started: Instant::now(),
            resources: base.resources,
            cluster: base.cluster,
            spaces: base.reach,
            invoker,
            catalogue,
            has_metrics: config.metrics.enabled,
        }
    }
}

impl NodeStatus for StatusReporter {
    fn identity(&self) -> &Identity {
        &self.identity
    }

    /// Idle sandboxes make room where it is needed.
    fn load(&self) -> Load {
        let snapshot = self.resources.admissions.snapshot();
        let memory = snapshot.free.memory.get() + snapshot.idle_memory.get();
        Load {
            free_memory_mib: memory,
            free_cpu: snapshot.free.cpu.cores(),
        }
    }

    fn status(&self) -> StatusInformation {
        let FunctionResources {
            functions,
            admissions,
            ..
        } = &self.resources;
        let snapshot = admissions.snapshot();
        let total = signed(snapshot.capacity.memory.get());
        let free = signed(snapshot.free.memory.get());
        StatusInformation {
            total_memory: total,
            available_warm_containers: warm_containers(functions, admissions, &*self.spaces),
            available_memory: free + signed(snapshot.idle_memory.get()),
            free_memory: free,
            total_cpu: snapshot.capacity.cpu.cores(),
            used_cpu: snapshot.capacity.cpu.cores() - snapshot.free.cpu.cores(),
            coordinates: self.cluster.peers.coordinates(),
            load_avg: load_average(),
            last_update_time: i64::try_from(unix_ms() / 1000).unwrap_or(i64::MAX),
            running: i64::from(snapshot.running),
            queued: i64::try_from(snapshot.waiting.total()).unwrap_or(i64::MAX),
            functions: i64::try_from(functions.len()).unwrap_or(i64::MAX),
            preparing: self.catalogue.unprepared(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            node: self.identity.node.clone(),
            area: self.identity.area.clone(),
            uptime: self.started.elapsed().as_secs_f64(),
        }
    }

    fn metrics(&self) -> Option<String> {
        self.has_metrics.then(|| {
            let FunctionResources {
                functions,
                admissions,
                executors,
                metrics,
                ..
            } = &self.resources;
            let refused = executors
                .all()
                .map(|executor| executor.refused_calls())
                .sum();
            let rename = |label: &str| shown_label(&*self.spaces, label);
            metrics.text(
                &admissions.snapshot(),
                functions.len(),
                self.invoker.cache_figures(),
                refused,
                rename,
            )
        })
    }
}

fn signed(mib: u64) -> i64 {
    i64::try_from(mib).unwrap_or(i64::MAX)
}

/// The load averages of `/proc/loadavg`; -1 if there are none.
pub(crate) fn load_average() -> [f64; 3] {
    let text = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let mut fields = text
        .split_whitespace()
        .map(|field| field.parse().unwrap_or(-1.0));
    std::array::from_fn(|_| fields.next().unwrap_or(-1.0))
}
