//! Nodes that are killed or frozen while they have work: what was accepted has one outcome.

use anyhow::Result;
use serde_json::json;

use crate::support::history::{Effects, Reading};
use crate::support::{CLOUD, Cluster, EDGE, Request, Workload, beside, guest, joined, wait_for};

/// Calls of each client.
const CALLS: usize = 40;

fn trio() -> Result<Cluster> {
    let mut cluster = Cluster::on_loopback()?;
    cluster.join("edge1", EDGE, 4, |setup| setup)?;
    cluster.join("edge2", EDGE, 4, |setup| setup)?;
    cluster.join("cloud", CLOUD, 4, |setup| setup)?;
    cluster.wait_until_acquainted()?;
    Ok(cluster)
}

/// The workload itself, on a cluster that nothing happens to.
#[test]
fn a_calm_cluster_keeps_its_promises() -> Result<()> {
    let cluster = trio()?;
    cluster.deploy("effect", &guest::effect(20, None))?;
    let workload = Workload::on("effect");
    workload.run(&cluster.doors(), "calm", CALLS)?;
    workload.check(&cluster, Effects::All)?;
    assert!(workload.history.accepted().len() >= CALLS);
    Ok(())
}

#[test]
fn a_killed_node_loses_nothing_that_was_accepted() -> Result<()> {
    let mut cluster = trio()?;
    cluster.deploy("effect", &guest::effect(200, None))?;
    let workload = Workload::on("effect");
    let all = cluster.doors();
    let victim = [cluster.door("edge1")];
    std::thread::scope(|scope| {
        let clients = ["one", "two", "three"].map(|name| {
            let workload = &workload;
            let all = &all;
            beside(scope, move || workload.run(all, name, CALLS))
        });
        wait_for("a load that is on its way", || {
            Ok((workload.history.accepted().len() > CALLS).then_some(()))
        })?;
        // More than it can have begun.
        for number in 0..20 {
            workload.submit(&victim, &format!("victim-{number}"), None)?;
        }
        cluster.kill("edge1")?;
        clients.into_iter().try_for_each(joined)
    })?;
    workload.check(&cluster, Effects::Some)?;
    // Also as the killed node sees it when it is back.
    cluster.restart("edge1", |setup| setup)?;
    cluster.wait_until_acquainted()?;
    workload.check(&cluster, Effects::Some)
}

/// A node that is told to end finishes its work or hands it over.
#[test]
fn a_stopped_node_loses_nothing_that_was_accepted() -> Result<()> {
    let mut cluster = trio()?;
    cluster.deploy("effect", &guest::effect(200, None))?;
    let workload = Workload::on("effect");
    let door = [cluster.door("edge1")];
    workload.run(&door, "early", CALLS)?;
    cluster.stop("edge1")?;
    workload.check(&cluster, Effects::Some)
}

/// A node that was away for longer than its lease, and then goes on with the call that another node has taken over.
#[test]
fn a_frozen_node_that_comes_back_changes_no_outcome() -> Result<()> {
    let mut cluster = Cluster::on_loopback()?;
    cluster.join("edge1", EDGE, 4, |setup| setup)?;
    cluster.join("edge2", EDGE, 4, |setup| setup)?;
    cluster.wait_until_acquainted()?;
    cluster.deploy("effect", &guest::effect(2_000, None))?;
    let workload = Workload::on("effect");
    let frozen = cluster.door("edge1");
    let other = cluster.door("edge2");
    workload.submit(std::slice::from_ref(&frozen), "slow", Some("slow"))?;
    cluster.node("edge1").wait_for_status("Running", 1)?;
    cluster.freeze("edge1")?;
    for id in workload.history.accepted() {
        wait_for("another node to take the call over and finish it", || {
            Ok(matches!(workload.read(&other, &id)?, Reading::Done(_)).then_some(()))
        })?;
    }
    cluster.thaw("edge1")?;
    // It finishes its own run, or gives it up: nobody may see the result.
    cluster.node("edge1").wait_until_free()?;
    workload.check(&cluster, Effects::All)?;
    // And it takes part again.
    cluster.wait_until_acquainted()?;
    let response = frozen.ask(&Request::json(
        "/invoke/effect",
        &json!({ "Params": {"name": "after"} }),
    ))?;
    response.result()?;
    Ok(())
}
