//! What the node says of itself on `/status`.

use std::collections::{BTreeMap, HashMap};

use serverledge_scheduler::PoolKey;
use serverledge_wire::status::StatusInformation;

use crate::functions::label;
use crate::node::Node;

impl Node {
    pub(crate) fn status_information(&self) -> StatusInformation {
        let snapshot = self.admissions.snapshot();
        let total = signed(snapshot.capacity.memory.get());
        let free = signed(snapshot.free.memory.get());
        StatusInformation {
            total_memory: total,
            available_warm_containers: self.warm_containers(),
            available_memory: free + signed(snapshot.idle_memory.get()),
            free_memory: free,
            total_cpu: snapshot.capacity.cpu.cores(),
            used_cpu: snapshot.capacity.cpu.cores() - snapshot.free.cpu.cores(),
            coordinates: self.cluster.peers.coordinates(),
            load_avg: load_average(),
            last_update_time: unix_seconds(),
            running: i64::from(snapshot.running),
            queued: i64::try_from(snapshot.waiting.total()).unwrap_or(i64::MAX),
            functions: i64::try_from(self.functions.len()).unwrap_or(i64::MAX),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            node: self.identity.node.clone(),
            area: self.identity.area.clone(),
            uptime: self.started.elapsed().as_secs_f64(),
        }
    }

    /// Idle containers by function; those of versions that no name is bound to are about to go.
    pub(crate) fn warm_containers(&self) -> BTreeMap<String, i64> {
        let idle: HashMap<PoolKey, usize> = self.admissions.idle_by_key().into_iter().collect();
        let mut warm = BTreeMap::new();
        for entry in self.functions.entries() {
            if let Some(count) = entry.pooled.and_then(|pooled| idle.get(&pooled.key)) {
                warm.insert(
                    label(&entry.function),
                    i64::try_from(*count).unwrap_or(i64::MAX),
                );
            }
        }
        warm
    }
}

fn signed(mib: u64) -> i64 {
    i64::try_from(mib).unwrap_or(i64::MAX)
}

pub(crate) fn unix_seconds() -> i64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    since
        .ok()
        .and_then(|since| i64::try_from(since.as_secs()).ok())
        .unwrap_or(0)
}

/// From `/proc/loadavg`; -1 where there is none.
pub(crate) fn load_average() -> [f64; 3] {
    let text = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let mut fields = text
        .split_whitespace()
        .map(|field| field.parse().unwrap_or(-1.0));
    std::array::from_fn(|_| fields.next().unwrap_or(-1.0))
}
