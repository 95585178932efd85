//! The placement of calls: each policy does what its name says, and a caller who wants no offloading gets none.

use anyhow::Result;
use serde_json::{Value, json};

use crate::e2e::Connection;
use crate::support::cluster::peers;
use crate::support::{CLOUD, Cluster, EDGE, Request, executor_of, guest, wait_for};

/// An asking node with room for one call and this policy, a neighbour with room for one, and a cloud with room for four.
fn trio(policy: &str) -> Result<Cluster> {
    trio_with(policy, 3_000)
}

/// The same where slow calls take so many milliseconds.
fn trio_with(policy: &str, milliseconds: u64) -> Result<Cluster> {
    let mut cluster = Cluster::on_loopback()?;
    cluster.join("edge1", EDGE, 1, |setup| {
        setup.with("scheduler.policy", policy)
    })?;
    cluster.join("edge2", EDGE, 1, |setup| setup)?;
    cluster.join("cloud", CLOUD, 4, |setup| setup)?;
    cluster.wait_until_acquainted()?;
    cluster.deploy("slow", &guest::effect(milliseconds, None))?;
    cluster.deploy("fast", &guest::effect(0, None))?;
    Ok(cluster)
}

fn call(function: &str, more: &Value) -> Request {
    let mut body = json!({ "Params": {"name": "x"} });
    if let (Some(body), Some(more)) = (body.as_object_mut(), more.as_object()) {
        body.extend(more.clone());
    }
    Request::json(&format!("/invoke/{function}"), &body)
}

/// Asks the first node.
fn asks(cluster: &Cluster, function: &str, more: &Value) -> Result<String> {
    executor_of(&cluster.node("edge1").ask(&call(function, more))?)
}

/// Sends a slow call through the first node and waits until it runs where it is expected to, or waits at the first node.
fn begins(
    cluster: &Cluster,
    at: &str,
    figure: &str,
    count: i64,
    more: &Value,
) -> Result<Connection> {
    let mut connection = cluster.node("edge1").connect()?;
    connection.send_only(&call("slow", more))?;
    cluster.node(at).wait_for_status(figure, count)?;
    Ok(connection)
}

fn ends(mut connection: Connection, at: &str) -> Result<()> {
    assert_eq!(executor_of(&connection.receive(false)?)?, at);
    Ok(())
}

#[test]
fn overload_goes_to_the_neighbour_and_then_to_the_cloud() -> Result<()> {
    let cluster = trio_with("qosaware", 6_000)?;
    // What it learns by: how long the function takes.
    assert_eq!(asks(&cluster, "slow", &json!({}))?, "edge1");
    let first = begins(&cluster, "edge1", "Running", 1, &json!({}))?;
    let second = begins(&cluster, "edge2", "Running", 1, &json!({}))?;
    wait_for("the first to hear that its neighbour is full", || {
        let peers = peers(cluster.node("edge1"))?;
        Ok(peers
            .get("edge2")
            .is_some_and(|peer| peer["free_memory_mib"] == 0)
            .then_some(()))
    })?;
    let third = begins(&cluster, "cloud", "Running", 1, &json!({}))?;
    ends(first, "edge1")?;
    ends(second, "edge2")?;
    ends(third, "cloud")?;
    cluster.wait_until_free()?;
    assert_eq!(
        asks(&cluster, "fast", &json!({}))?,
        "edge1",
        "what fits at home stays there"
    );
    Ok(())
}

/// The reply tells who ran it, and the node that was asked where it went.
#[test]
fn a_reply_names_who_ran_it() -> Result<()> {
    let cluster = trio("cloudonly")?;
    let response = cluster.node("edge1").ask(&call("fast", &json!({})))?;
    assert_eq!(executor_of(&response)?, "cloud");
    let envelope = response.json()?;
    assert_eq!(envelope["ExecutionArea"], CLOUD);
    assert!(
        envelope["OffloadLatency"]
            .as_f64()
            .is_some_and(|latency| latency > 0.0),
        "{envelope}"
    );
    let home = cluster
        .node("edge2")
        .ask(&call("fast", &json!({})))?
        .json()?;
    assert_eq!(
        (&home["ExecutionNode"], &home["ExecutionArea"]),
        (&json!("edge2"), &json!(EDGE))
    );
    assert_eq!(home["OffloadLatency"], 0.0);
    Ok(())
}

#[test]
fn cloudonly_uses_the_cloud_and_nothing_else() -> Result<()> {
    let mut cluster = trio("cloudonly")?;
    for _ in 0..5 {
        assert_eq!(asks(&cluster, "fast", &json!({}))?, "cloud");
    }
    cluster.stop("cloud")?;
    wait_for("a cloud that is known to be gone", || {
        let response = cluster.node("edge1").ask(&call("fast", &json!({})))?;
        Ok((response.status == 429 && response.code() == "no_peer").then_some(()))
    })
}

#[test]
fn edgecloud_prefers_home() -> Result<()> {
    let cluster = trio("edgecloud")?;
    assert_eq!(asks(&cluster, "fast", &json!({}))?, "edge1");
    let first = begins(&cluster, "edge1", "Running", 1, &json!({}))?;
    let second = begins(&cluster, "cloud", "Running", 1, &json!({}))?;
    // Who wants no offloading waits at home.
    let third = begins(
        &cluster,
        "edge1",
        "Queued",
        1,
        &json!({"CanDoOffloading": false}),
    )?;
    ends(first, "edge1")?;
    ends(second, "cloud")?;
    ends(third, "edge1")?;
    cluster.wait_until_free()
}

#[test]
fn edgeonly_uses_a_neighbour() -> Result<()> {
    let mut cluster = trio("edgeonly")?;
    assert_eq!(asks(&cluster, "fast", &json!({}))?, "edge2");
    assert_eq!(
        asks(&cluster, "fast", &json!({"CanDoOffloading": false}))?,
        "edge1"
    );
    cluster.stop("edge2")?;
    wait_for("a neighbour that is known to be gone", || {
        let response = cluster.node("edge1").ask(&call("fast", &json!({})))?;
        Ok((response.status == 429 && response.code() == "no_peer").then_some(()))
    })?;
    cluster.stop("edge1")?;
    cluster.restart("edge1", |setup| {
        setup.with("scheduler.fallback.local", true)
    })?;
    cluster.wait_until_acquainted()?;
    assert_eq!(
        asks(&cluster, "fast", &json!({}))?,
        "edge1",
        "there is still no neighbour, and the cloud is none"
    );
    Ok(())
}

#[test]
fn localonly_and_default_stay() -> Result<()> {
    for policy in ["localonly", "default"] {
        let cluster = trio(policy)?;
        let first = begins(&cluster, "edge1", "Running", 1, &json!({}))?;
        let second = begins(&cluster, "edge1", "Queued", 1, &json!({}))?;
        ends(first, "edge1")?;
        ends(second, "edge1")?;
        cluster.wait_until_free()?;
    }
    Ok(())
}

/// Overloaded as it is, nothing leaves a node whose callers say so.
#[test]
fn offloading_can_be_declined() -> Result<()> {
    let cluster = trio("qosaware")?;
    let stay = json!({"CanDoOffloading": false, "QoSClass": 2});
    let first = begins(&cluster, "edge1", "Running", 1, &stay)?;
    let second = begins(&cluster, "edge1", "Queued", 1, &stay)?;
    ends(first, "edge1")?;
    ends(second, "edge1")?;
    cluster.wait_until_free()
}

/// A deadline that only another place meets is met there.
#[test]
fn a_deadline_is_met_elsewhere() -> Result<()> {
    let cluster = trio_with("qosaware", 8_000)?;
    assert_eq!(asks(&cluster, "slow", &json!({}))?, "edge1");
    let first = begins(&cluster, "edge1", "Running", 1, &json!({}))?;
    let hurried = cluster
        .node("edge1")
        .ask(&call("fast", &json!({"QoSMaxRespT": 2.5})))?;
    assert_ne!(executor_of(&hurried)?, "edge1");
    ends(first, "edge1")
}
