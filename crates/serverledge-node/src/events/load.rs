//! The load of the node, second by second for those who listen, and step by step for the series.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use serverledge_scheduler::SchedulerSnapshot;
use serverledge_wire::events::{LoadEvent, PeerEvent, SandboxCounts};
use serverledge_wire::peer_info::PeerInfo;
use tokio::time::{Instant, MissedTickBehavior, interval};

use super::{EventBody, EventBus};
use crate::clock::unix_ms;
use crate::cluster::Cluster;
use crate::functions::resources::FunctionResources;
use crate::runs::series::{Gauges, STEP_MS};

const EVERY: Duration = Duration::from_secs(1);

/// Watches the load and the other nodes for ever.
pub(crate) async fn watch_load(resources: FunctionResources, cluster: Arc<Cluster>) {
    let mut peers = None;
    let mut ticks = interval(EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut before = [0; 3];
    let mut step_at = Instant::now();
    loop {
        let now = ticks.tick().await;
        if now >= step_at {
            step_at = now + Duration::from_millis(STEP_MS);
            let snapshot = resources.admissions.snapshot();
            resources.runs.series().begin_step(gauges(&snapshot));
        }
        let totals = resources.runs.series().totals();
        if resources.events.has_readers() {
            let snapshot = resources.admissions.snapshot();
            resources
                .events
                .publish_of_node(|| EventBody::Load(load(&snapshot, before, totals)));
        }
        before = totals;
        if resources.events.is_heard() {
            let now = states(&cluster.peers.infos());
            if let Some(before) = peers.replace(now.clone()) {
                tell_changes(&resources.events, &before, &now);
            }
        } else {
            peers = None;
        }
    }
}

/// Whether calls may be sent to each other node, by `area/name`.
fn states(infos: &[PeerInfo]) -> BTreeMap<String, bool> {
    let named = infos
        .iter()
        .map(|info| (format!("{}/{}", info.area, info.node), info.offloadable));
    named.collect()
}

fn tell_changes(events: &EventBus, before: &BTreeMap<String, bool>, now: &BTreeMap<String, bool>) {
    let mut changes: Vec<(&String, &str)> = Vec::new();
    for (node, reachable) in now {
        match before.get(node) {
            None => changes.push((node, "joined")),
            Some(was) if was != reachable && *reachable => changes.push((node, "reachable")),
            Some(was) if was != reachable => changes.push((node, "unreachable")),
            Some(_) => {}
        }
    }
    let left = before.keys().filter(|node| !now.contains_key(*node));
    changes.extend(left.map(|node| (node, "left")));
    for (node, action) in changes {
        events.publish_of_node(|| {
            EventBody::Peer(PeerEvent {
                unix_ms: unix_ms(),
                node: node.clone(),
                action: action.to_owned(),
            })
        });
    }
}

fn gauges(snapshot: &SchedulerSnapshot) -> Gauges {
    Gauges {
        running: snapshot.running.into(),
        waiting: snapshot.waiting.total() as u64,
        memory_used_mib: snapshot
            .capacity
            .memory
            .get()
            .saturating_sub(snapshot.free.memory.get()),
        cpu_used_milli: snapshot
            .capacity
            .cpu
            .get()
            .saturating_sub(snapshot.free.cpu.get()),
    }
}

fn load(snapshot: &SchedulerSnapshot, before: [u64; 3], totals: [u64; 3]) -> LoadEvent {
    let gauges = gauges(snapshot);
    let [calls, failures, rejected] =
        std::array::from_fn(|at| totals[at].saturating_sub(before[at]));
    LoadEvent {
        unix_ms: unix_ms(),
        running: gauges.running,
        waiting: gauges.waiting,
        memory_used_mib: gauges.memory_used_mib,
        memory_mib: snapshot.capacity.memory.get(),
        cpu_used_milli: gauges.cpu_used_milli,
        cpu_milli: snapshot.capacity.cpu.get(),
        sandboxes: SandboxCounts {
            starting: snapshot.pooled.starting as u64,
            idle: snapshot.pooled.idle as u64,
            busy: snapshot.pooled.busy as u64,
        },
        calls,
        failures,
        rejected,
    }
}
