//! Two nodes of which one goes away: the other says so, everywhere where it matters.

use anyhow::Result;
use serverledge_testing::etcd_process::EtcdProcess;

use super::in_chromium;
use crate::e2e::{Setup, wait_for};
use crate::support::visitor::Kind;

const KEY: &str = "a key that only the nodes of this test know";

fn setup(etcd: &EtcdProcess, name: &str) -> Result<Setup> {
    Ok(Setup::new()?
        .with(
            "registry.url",
            format!("etcd://{}/console/", etcd.address()),
        )
        .with("registry.area", "edge")
        .with("registry.node.id", name)
        .with("registry.nearby.interval", "200ms")
        .with("registry.monitoring.interval", "1s")
        // Longer than it takes until a node that says nothing is called unreachable.
        .with("registry.ttl", "120s")
        .with("container.enabled", false)
        .with("cluster.key", KEY))
}

#[test]
fn a_node_that_goes_away_is_told_of() -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let etcd = runtime.block_on(EtcdProcess::start());
    let left = setup(&etcd, "left")?.start()?;
    let right = setup(&etcd, "right")?.start()?;
    wait_for("left to know right", || {
        let peers = left.get("/peers")?.json()?;
        Ok(peers[0]["round_trip_ms"].is_number().then_some(()))
    })?;
    in_chromium(&left, "/node", |visitor| {
        visitor.see("edge/left")?;
        visitor.find(Kind::Row, "edge/right")?;
        visitor.see("takes calls")?;
        let ended = right.kill()?;
        visitor.see("edge/right does not answer.")?;
        visitor.see("unreachable")?;
        visitor.link("Runs")?;
        visitor.click(Kind::Field, "All nodes")?;
        visitor.see("These nodes did not answer, so their runs are missing: edge/right")?;
        let right = ended.restart()?;
        visitor.link("Node")?;
        visitor.see("takes calls")?;
        visitor.miss("does not answer")?;
        right.stop()?;
        visitor.see("This node stands alone")
    })
}
