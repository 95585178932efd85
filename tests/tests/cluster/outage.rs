//! etcd that is stopped or full: what is known keeps being served, what needs it is refused, and everything recovers
//! without a restart of any node.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::json;
use serverledge_testing::etcd_process::EtcdSettings;
use tokio::time::Instant;

use crate::e2e::node::deployment;
use crate::support::history::Effects;
use crate::support::{CLOUD, Cluster, EDGE, Request, Workload, beside, guest, joined, wait_for};

/// Longer than the nodes' leases (3 s), several times.
const OUTAGE: Duration = Duration::from_secs(10);
/// Calls at each node at the least.
const CALLS_MIN: usize = 200;

fn pair(etcd: EtcdSettings) -> Result<Cluster> {
    let mut cluster = Cluster::with_etcd(etcd)?;
    cluster.join("edge1", EDGE, 4, |setup| setup.with("registry.ttl", "3s"))?;
    cluster.join("cloud", CLOUD, 4, |setup| setup.with("registry.ttl", "3s"))?;
    cluster.wait_until_acquainted()?;
    cluster.deploy("effect", &guest::effect(0, None))?;
    Ok(cluster)
}

/// Deploying and submitting are refused with this code.
fn check_refusals(cluster: &Cluster, code: &str) -> Result<()> {
    let body = deployment("late", guest::effect(0, None).as_bytes(), &json!({}));
    let submission = json!({ "Params": {"name": "late"}, "Async": true });
    for name in ["edge1", "cloud"] {
        cluster
            .node(name)
            .post("/create", &body)?
            .assert_problem(503, code);
        cluster
            .node(name)
            .post("/invoke/effect", &submission)?
            .assert_problem(503, code);
        // With a key a call is only run where it can be remembered.
        let keyed = Request::json("/invoke/effect", &json!({ "Params": {"name": "late"} }));
        let refused = cluster
            .node(name)
            .ask(&keyed.header("idempotency-key", "late"))?;
        refused.assert_problem(503, code);
    }
    Ok(())
}

/// Everything works again, at every node, without a restart.
fn check_recovery(cluster: &Cluster, workload: &Workload) -> Result<()> {
    let body = deployment("late", guest::effect(0, None).as_bytes(), &json!({}));
    wait_for("a deploy that is taken again", || {
        // A deploy whose answer was an error may have come to pass.
        let status = cluster.node("edge1").post("/create", &body)?.status;
        Ok(matches!(status, 200 | 409).then_some(()))
    })?;
    wait_for("the other node to hear of it", || {
        Ok((cluster
            .node("cloud")
            .invoke("late", &json!({"name": "x"}))?
            .status
            == 200)
            .then_some(()))
    })?;
    cluster.wait_until_acquainted()?;
    workload.run(&cluster.doors(), "after", 8)?;
    workload.check(cluster, Effects::Some)
}

#[test]
fn serving_goes_on_while_etcd_is_away() -> Result<()> {
    let mut cluster = pair(EtcdSettings::default())?;
    let workload = Workload::on("effect");
    workload.run(&cluster.doors(), "before", 8)?;
    workload.settle(&cluster)?;
    cluster.etcd(async |etcd| etcd.stop().await);
    let begun = Instant::now();
    let served = std::thread::scope(|scope| {
        let clients = cluster.doors().into_iter().map(|door| {
            beside(scope, move || {
                let mut served = 0;
                let mut connection = door.connect()?;
                while begun.elapsed() < OUTAGE || served < CALLS_MIN {
                    let request =
                        Request::json("/invoke/effect", &json!({ "Params": {"name": "during"} }));
                    let response = connection.send(&request)?;
                    ensure!(
                        response.status == 200,
                        "call {served} of {}: {}",
                        door.node,
                        response.text()
                    );
                    served += 1;
                }
                Ok(served)
            })
        });
        let clients: Vec<_> = clients.collect();
        check_refusals(&cluster, "registry_unavailable")?;
        clients.into_iter().map(joined).collect::<Result<Vec<_>>>()
    })?;
    assert!(
        served.iter().all(|served| *served >= CALLS_MIN),
        "{served:?}"
    );
    check_refusals(&cluster, "registry_unavailable")?;
    cluster.etcd(async |etcd| etcd.restart().await);
    check_recovery(&cluster, &workload)
}

/// A full etcd refuses even leases.
#[test]
fn serving_goes_on_while_etcd_is_full() -> Result<()> {
    let mut cluster = pair(EtcdSettings {
        quota_bytes: Some(32 << 20),
        ..EtcdSettings::default()
    })?;
    let workload = Workload::on("effect");
    workload.run(&cluster.doors(), "before", 8)?;
    workload.settle(&cluster)?;
    cluster.etcd(async |etcd| etcd.fill().await);
    check_refusals(&cluster, "registry_full")?;
    for name in ["edge1", "cloud"] {
        for _ in 0..CALLS_MIN {
            cluster
                .node(name)
                .invoke("effect", &json!({"name": "during"}))?
                .result()?;
        }
        // What has an outcome can be read all the while.
        let id = workload
            .history
            .accepted()
            .pop_first()
            .context("something was accepted")?;
        workload.read(&cluster.door(name), &id)?;
    }
    cluster.etcd(async |etcd| {
        etcd.compact().await;
        etcd.defragment().await;
        etcd.disarm().await;
    });
    check_recovery(&cluster, &workload)
}
