//! Links that delay, lose and cut, and replies that get lost.

use std::net::TcpListener;
use std::time::Duration;

use anyhow::{Context, Result};
use serde_json::{Value, json};
use serverledge_testing::links::Condition;
use tokio::time::Instant;

use crate::e2e::http::Dial;
use crate::support::cluster::{ETCD, peers};
use crate::support::history::{Effects, run_of};
use crate::support::relay::Relay;
use crate::support::{
    CLOUD, Cluster, EDGE, Request, Workload, beside, executor_of, guest, joined, wait_for,
};

const NOBODY_KNOWS: &str = "nobody knows";

/// An edge node with room for two calls and a cloud, each in its site.
fn pair(policy: &str) -> Result<Cluster> {
    let mut cluster = Cluster::on_links(&["edge1", "cloud"])?;
    cluster.join("edge1", EDGE, 2, |setup| {
        setup
            .with("scheduler.policy", policy)
            .with("offloading.cache.validity", "2s")
    })?;
    cluster.join("cloud", CLOUD, 16, |setup| setup)?;
    cluster.wait_until_acquainted()?;
    Ok(cluster)
}

fn call(function: &str, more: &Value) -> Request {
    let mut body = json!({ "Params": {"name": "x"} });
    if let (Some(body), Some(more)) = (body.as_object_mut(), more.as_object()) {
        body.extend(more.clone());
    }
    Request::json(&format!("/invoke/{function}"), &body)
}

/// Fills the edge node and asks it once more: who runs that? [`NOBODY_KNOWS`] where that was sent and not answered.
fn executor_of_overload(cluster: &Cluster) -> Result<String> {
    let node = cluster.node("edge1");
    let mut running = Vec::new();
    for count in 1..=2 {
        let mut connection = node.connect()?;
        connection.send_only(&call("slow", &json!({"CanDoOffloading": false})))?;
        node.wait_for_status("Running", count)?;
        running.push(connection);
    }
    let response = node.ask(&call("fast", &json!({"QoSMaxRespT": 15})))?;
    let is_unknown = response.code() == "offload_outcome_unknown";
    let executor = if is_unknown {
        NOBODY_KNOWS.to_owned()
    } else {
        executor_of(&response)?
    };
    for mut connection in running {
        connection.receive(false)?.result()?;
    }
    Ok(executor)
}

/// The edge goes on alone, also without etcd, and nothing that was accepted is lost.
#[test]
fn a_partition_between_edge_and_cloud() -> Result<()> {
    let cluster = pair("edgecloud")?;
    cluster.deploy("slow", &guest::effect(4_000, None))?;
    cluster.deploy("fast", &guest::effect(10, None))?;
    assert_eq!(executor_of_overload(&cluster)?, "cloud");
    let workload = Workload::on("fast");
    workload.run(&cluster.doors(), "before", 12)?;
    cluster.links().set("edge1", "cloud", Condition::CUT);
    // Both still reach etcd, and take work.
    workload.run(&cluster.doors(), "between", 12)?;
    wait_for("an edge that no longer counts on the cloud", || {
        Ok((executor_of_overload(&cluster)? == "edge1").then_some(()))
    })?;
    cluster.links().set("edge1", ETCD, Condition::CUT);
    for _ in 0..50 {
        assert_eq!(
            executor_of(&cluster.node("edge1").ask(&call("fast", &json!({})))?)?,
            "edge1"
        );
    }
    workload.run(&[cluster.door("cloud")], "alone", 12)?;
    cluster.links().heal();
    cluster.wait_until_acquainted()?;
    wait_for("an edge that uses the cloud again", || {
        Ok((executor_of_overload(&cluster)? == "cloud").then_some(()))
    })?;
    workload.run(&cluster.doors(), "after", 12)?;
    workload.check(&cluster, Effects::All)
}

/// 100 ms and one packet in ten lost, in each direction: 99 of 100 calls succeed within 8 s.
#[test]
fn calls_arrive_over_a_bad_link() -> Result<()> {
    const CLIENTS: usize = 10;
    const CALLS: usize = 30;
    const DEADLINE: Duration = Duration::from_secs(8);
    let cluster = pair("cloudonly")?;
    cluster.deploy("fast", &guest::effect(5, None))?;
    let condition = Condition::round_trip(Duration::from_millis(100)).with_loss(0.1);
    cluster.links().set("edge1", "cloud", condition);
    wait_for("an edge that has seen the distance", || {
        let peer = peers(cluster.node("edge1"))?.remove("cloud");
        let round_trip = peer.and_then(|peer| peer["round_trip_ms"].as_f64());
        Ok(round_trip
            .is_some_and(|round_trip| round_trip >= 100.0)
            .then_some(()))
    })?;
    let door = cluster.door("edge1");
    let in_time = std::thread::scope(|scope| {
        let clients: Vec<_> = (0..CLIENTS)
            .map(|_| {
                beside(scope, || {
                    let mut in_time = 0;
                    for _ in 0..CALLS {
                        let begun = Instant::now();
                        let response =
                            door.ask(&call("fast", &json!({"QoSMaxRespT": DEADLINE.as_secs()})))?;
                        let succeeded =
                            response.status == 200 && executor_of(&response)? == "cloud";
                        in_time += usize::from(succeeded && begun.elapsed() <= DEADLINE);
                    }
                    Ok(in_time)
                })
            })
            .collect();
        clients.into_iter().map(joined).sum::<Result<usize>>()
    })?;
    let counts = cluster.links().counts("edge1", "cloud");
    assert!(
        in_time * 100 >= CLIENTS * CALLS * 99,
        "{in_time} of {} in time; {counts:?}",
        CLIENTS * CALLS
    );
    assert!(counts.lost > 0, "{counts:?}");
    Ok(())
}

/// A pair on loopback whose edge reaches the cloud through a relay.
fn behind_relay() -> Result<(Cluster, Relay)> {
    let relay = Relay::start(TcpListener::bind(("127.0.0.1", 0))?, Dial::default())?;
    let mut cluster = Cluster::on_loopback()?;
    let address = relay.address;
    cluster.join("cloud", CLOUD, 4, |setup| {
        setup.with("cluster.address", address)
    })?;
    relay.lead_to(cluster.node("cloud").address);
    cluster.join("edge1", EDGE, 4, |setup| {
        setup.with("scheduler.policy", "cloudonly")
    })?;
    cluster.wait_until_acquainted()?;
    cluster.deploy("witness", &guest::effect(0, None))?;
    cluster.deploy("effect", &guest::effect(3_000, Some("witness")))?;
    Ok((cluster, relay))
}

/// The runs of the test's own call that the witness has seen.
fn runs(cluster: &Cluster) -> Result<Vec<String>> {
    let mut runs = Vec::new();
    for line in cluster.log("witness")? {
        let seen: Value = serde_json::from_str(line.strip_prefix("effect ").context("an effect")?)?;
        runs.extend(
            run_of(&seen["call"])
                .filter(|(_, call)| call == "x")
                .map(|(run, _)| run),
        );
    }
    Ok(runs)
}

/// The function is not idempotent: the node asks the same peer again, which joins it to the run that it has.
#[test]
fn a_lost_reply_makes_no_second_effect() -> Result<()> {
    let (cluster, relay) = behind_relay()?;
    let mut connection = cluster.node("edge1").connect()?;
    connection.send_only(&call("effect", &json!({"QoSMaxRespT": 20})))?;
    wait_for("the effect", || {
        Ok((runs(&cluster)?.len() == 1).then_some(()))
    })?;
    relay.lose_replies(true);
    cluster.node("cloud").wait_until_free()?;
    // The reply is on its way, and lost before those to questions that come after it. No more than one: a node gives a peer
    // up that it has failed to ask for some seconds.
    let lost = relay.lost();
    wait_for("replies that are lost", || {
        Ok((relay.lost() > lost).then_some(()))
    })?;
    relay.lose_replies(false);
    let response = connection.receive(false)?;
    assert_eq!(executor_of(&response)?, "cloud");
    cluster.node("cloud").wait_until_free()?;
    let (run, _) = run_of(&response.result()?).context("a run")?;
    assert_eq!(runs(&cluster)?, [run], "one run, and its reply");
    Ok(())
}

/// If the peer is never heard of again, the caller learns that the outcome is not known, and nothing is run twice.
#[test]
fn an_outcome_that_stays_unknown_is_said_to_be() -> Result<()> {
    let (cluster, relay) = behind_relay()?;
    let mut connection = cluster.node("edge1").connect()?;
    connection.send_only(&call("effect", &json!({"QoSMaxRespT": 6})))?;
    wait_for("the effect", || {
        Ok((runs(&cluster)?.len() == 1).then_some(()))
    })?;
    relay.lose_replies(true);
    connection
        .receive(false)?
        .assert_problem(504, "offload_outcome_unknown");
    cluster.node("cloud").wait_until_free()?;
    assert_eq!(runs(&cluster)?.len(), 1);
    Ok(())
}
