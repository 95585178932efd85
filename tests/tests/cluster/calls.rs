//! Functions that call functions on another node: two full nodes that call each other, and what travels with a call.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};

use anyhow::{Result, bail, ensure};
use serde_json::{Value, json};

use crate::e2e::{Node, Setup, node::deployment};
use crate::guests::{caller_of, constant};
use crate::support::{
    CLOUD, Cluster, EDGE, Request, Response, beside, executor_of, guest, joined, wait_for,
};

/// The two nodes that call each other.
const NODES: [&str; 2] = ["one", "two"];
/// Clients of each node, and calls of each client.
const CLIENTS: usize = 3;
const CALLS: usize = 30;
const DEADLOCK: &str = "call_would_deadlock";

/// Two nodes, each with one core and so much memory, each with the other as its cloud.
fn each_others_cloud(memory_mib: [u64; 2], policy: &str) -> Result<Cluster> {
    let mut cluster = Cluster::on_loopback()?;
    let [one, two] = memory_mib;
    cluster.join(NODES[0], EDGE, 1, |setup| full(setup, one, policy))?;
    cluster.join(NODES[1], CLOUD, 1, |setup| {
        full(setup, two, policy).with("registry.remote.area", EDGE)
    })?;
    cluster.wait_until_acquainted()?;
    Ok(cluster)
}

fn neighbours(memory_mib: u64, policy: &str) -> Result<Cluster> {
    let mut cluster = Cluster::on_loopback()?;
    for name in NODES {
        cluster.join(name, EDGE, 1, |setup| full(setup, memory_mib, policy))?;
    }
    cluster.wait_until_acquainted()?;
    Ok(cluster)
}

fn full(setup: Setup, memory_mib: u64, policy: &str) -> Setup {
    setup
        .with("container.pool.memory", memory_mib)
        .with("scheduler.policy", policy)
}

/// The ends of a load's calls.
#[derive(Debug, Default)]
struct Ends {
    /// With the callee's answer.
    answered: AtomicUsize,
    /// With the callee refused, which the caller reads.
    callee_refused: AtomicUsize,
    /// Refused themselves.
    refused: AtomicUsize,
}

impl Ends {
    /// Counts an end; one that a call may not have is an error.
    fn count(&self, response: &Response) -> Result<()> {
        let text = response.text();
        let of = if response.status == 200 {
            let result = response.result()?;
            match result["error"].as_str() {
                None if result["run"].is_string() => &self.answered,
                // A caller that was offloaded itself cannot hand its callee on: one hop for the whole tree.
                Some("exceeds_node") if response.json()?["OffloadLatency"] != 0.0 => {
                    &self.callee_refused
                }
                // The last is told of a callee too large for its caller's node, when the other one has refused it.
                Some(DEADLOCK | "no_peer") => &self.callee_refused,
                _ => bail!("no end of a call: {text}"),
            }
        } else {
            ensure!(
                (response.status, response.code().as_str()) == (503, DEADLOCK),
                "no end of a call: {text}"
            );
            &self.refused
        };
        of.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }

    fn of(&self) -> [usize; 3] {
        [&self.answered, &self.callee_refused, &self.refused]
            .map(|count| count.load(Ordering::Relaxed))
    }
}

/// Loads both nodes with calls of `outer`, whose callee is `inner`, and checks that both are as good as new afterwards.
fn load_both(cluster: &Cluster) -> Result<[usize; 3]> {
    let ends = Ends::default();
    std::thread::scope(|scope| {
        let clients: Vec<_> = (0..CLIENTS * NODES.len())
            .map(|number| {
                let door = cluster.door(NODES[number % NODES.len()]);
                let ends = &ends;
                beside(scope, move || {
                    let mut connection = door.connect()?;
                    for _ in 0..CALLS {
                        ends.count(&connection.send(&call("outer", &json!({})))?)?;
                    }
                    Ok(())
                })
            })
            .collect();
        clients.into_iter().try_for_each(joined)
    })?;
    // No lease is held, and nobody waits.
    cluster.wait_until_free()?;
    for name in NODES {
        let metrics = cluster.node(name).get("/metrics")?.text();
        ensure!(!metrics.contains("code=\"internal\""), "{metrics}");
        let straight = cluster
            .node(name)
            .ask(&call("plain", &json!({"CanDoOffloading": false})))?;
        assert_eq!(executor_of(&straight)?, name);
    }
    cluster.wait_until_free()?;
    let of = ends.of();
    assert_eq!(
        of.iter().sum::<usize>(),
        CLIENTS * NODES.len() * CALLS,
        "every call ended: {of:?}"
    );
    Ok(of)
}

fn call(function: &str, more: &Value) -> Request {
    let mut body = json!({ "Params": {"name": "x"} });
    if let (Some(body), Some(more)) = (body.as_object_mut(), more.as_object()) {
        body.extend(more.clone());
    }
    Request::json(&format!("/invoke/{function}"), &body)
}

fn deploy_callers(cluster: &Cluster, inner_mib: u64) -> Result<()> {
    cluster.deploy("plain", &guest::effect(0, None))?;
    cluster.deploy_with(
        "inner",
        guest::effect(3, None),
        &json!({"MemoryMB": inner_mib}),
    )?;
    cluster.deploy("outer", &caller_of("inner", 3))
}

/// The number of times that a function has run on a node.
fn runs(node: &Node, function: &str) -> Result<usize> {
    counted(node, "completed_count", &format!("function=\"{function}\""))
}

/// The sum of a metric's series with this label.
fn counted(node: &Node, metric: &str, label: &str) -> Result<usize> {
    let metrics = node.get("/metrics")?.text();
    let of = |line: &str| line.starts_with(metric) && line.contains(label);
    let values = metrics
        .lines()
        .filter(|line| of(line))
        .filter_map(|line| line.rsplit(' ').next()?.parse::<usize>().ok());
    Ok(values.sum::<usize>())
}

/// A caller fills its node, so its callee can only run on the other one, whose callers do the same.
#[test]
fn two_full_nodes_that_call_each_other_come_to_an_end() -> Result<()> {
    for cluster in [
        neighbours(128, "qosaware")?,
        each_others_cloud([128, 128], "edgecloud")?,
    ] {
        deploy_callers(&cluster, 128)?;
        load_both(&cluster)?;
        // By itself, each finds the place that the other one has.
        for (here, there) in [(NODES[0], NODES[1]), (NODES[1], NODES[0])] {
            let before = runs(cluster.node(there), "inner")?;
            let response = cluster.node(here).ask(&call("outer", &json!({})))?;
            assert!(response.result()?["run"].is_string(), "{}", response.text());
            assert_eq!(
                (
                    executor_of(&response)?.as_str(),
                    runs(cluster.node(there), "inner")?
                ),
                (here, before + 1)
            );
            cluster.wait_until_free()?;
        }
    }
    Ok(())
}

/// Beside each caller there is room for a callee: nothing is refused.
#[test]
fn two_nodes_with_room_for_callees_refuse_nothing() -> Result<()> {
    let cluster = neighbours(256, "qosaware")?;
    deploy_callers(&cluster, 128)?;
    let [answered, ..] = load_both(&cluster)?;
    assert!(answered > 0);
    let staying = cluster
        .node(NODES[0])
        .ask(&call("outer", &json!({"CanDoOffloading": false})))?;
    assert!(staying.result()?["run"].is_string(), "{}", staying.text());
    Ok(())
}

/// The callee is too large for one of the nodes, and for the other one while a caller is there.
#[test]
fn a_callee_that_fits_the_other_node_alone_runs_there_or_is_refused() -> Result<()> {
    let [large, small] = NODES;
    let cluster = each_others_cloud([256, 128], "edgecloud")?;
    deploy_callers(&cluster, 256)?;
    let before = runs(cluster.node(large), "inner")?;
    let response = cluster.node(small).ask(&call("outer", &json!({})))?;
    assert!(response.result()?["run"].is_string(), "{}", response.text());
    assert_eq!(
        (
            executor_of(&response)?.as_str(),
            runs(cluster.node(large), "inner")?
        ),
        (small, before + 1)
    );
    let beside_its_caller = cluster
        .node(large)
        .ask(&call("outer", &json!({"CanDoOffloading": false})))?;
    assert_eq!(
        beside_its_caller.result()?["error"],
        DEADLOCK,
        "{}",
        beside_its_caller.text()
    );
    cluster.wait_until_free()?;
    load_both(&cluster)?;
    Ok(())
}

/// A node with room for three runs, of which everything beyond goes to a cloud.
fn small_edge() -> Result<Cluster> {
    let mut cluster = Cluster::on_loopback()?;
    cluster.join("edge", EDGE, 3, |setup| {
        setup.with("scheduler.policy", "edgecloud")
    })?;
    cluster.join("cloud", CLOUD, 10, |setup| setup)?;
    cluster.wait_until_acquainted()?;
    Ok(cluster)
}

/// Eight calls below the one from outside, wherever they run.
#[test]
fn depth_is_counted_across_nodes() -> Result<()> {
    let cluster = small_edge()?;
    cluster.deploy("deep", &caller_of("deep", 0))?;
    let of = || -> Result<[usize; 2]> {
        Ok([
            runs(cluster.node("edge"), "deep")?,
            runs(cluster.node("cloud"), "deep")?,
        ])
    };
    let before = of()?;
    let result = cluster
        .node("edge")
        .ask(&call("deep", &json!({})))?
        .result()?;
    assert_eq!(result["error"], "call_too_deep", "{result}");
    let after = of()?;
    let ran: Vec<usize> = after
        .iter()
        .zip(before)
        .map(|(after, before)| after - before)
        .collect();
    assert_eq!(
        ran,
        [3, 6],
        "three fill the edge, the rest are in the cloud"
    );
    cluster.wait_until_free()
}

/// Of a chain `ping`, `pong`, `ping` the last call is refused, on the other node.
#[test]
fn a_cycle_is_found_across_nodes() -> Result<()> {
    let mut cluster = Cluster::on_loopback()?;
    cluster.join("edge", EDGE, 1, |setup| {
        setup.with("scheduler.policy", "edgecloud")
    })?;
    cluster.join("cloud", CLOUD, 4, |setup| setup)?;
    cluster.wait_until_acquainted()?;
    // The calls with which the nodes are seen to be ready are others than the one below.
    cluster.deploy_with("ping", caller_of("pong", 0), &json!({"Idempotent": true}))?;
    cluster.deploy("pong", &caller_of("ping", 0))?;
    let before = [
        runs(cluster.node("edge"), "ping")?,
        runs(cluster.node("cloud"), "ping")?,
    ];
    let ponged = runs(cluster.node("cloud"), "pong")?;
    let result = cluster
        .node("edge")
        .ask(&call("ping", &json!({})))?
        .result()?;
    assert_eq!(result["error"], "call_cycle", "{result}");
    let after = [
        runs(cluster.node("edge"), "ping")?,
        runs(cluster.node("cloud"), "ping")?,
    ];
    assert_eq!(
        after,
        [before[0] + 1, before[1]],
        "it ran once, on the first node"
    );
    assert_eq!(runs(cluster.node("cloud"), "pong")?, ponged + 1);
    // What came of a refused call is no result of these parameters.
    let again = cluster.node("edge").ask(&call("ping", &json!({})))?;
    assert_eq!(
        (again.header("serverledge-cache"), &again.result()?["error"]),
        (None, &json!("call_cycle"))
    );
    cluster.wait_until_free()
}

/// A callee on another node ends with its caller's time, although its own is longer.
#[test]
fn the_time_that_is_left_travels() -> Result<()> {
    let mut cluster = Cluster::on_loopback()?;
    cluster.join("edge", EDGE, 1, |setup| {
        setup.with("scheduler.policy", "edgecloud")
    })?;
    cluster.join("cloud", CLOUD, 4, |setup| setup)?;
    cluster.wait_until_acquainted()?;
    cluster.deploy_with("endless", guest::endless(), &json!({"Timeout": 25}))?;
    cluster.deploy_with("outer", caller_of("endless", 0), &json!({"Timeout": 3}))?;
    cluster
        .node("edge")
        .ask(&call("outer", &json!({})))?
        .assert_problem(500, "function_timeout");
    // Were it given up for its caller's silence, that would be no failure of the function.
    wait_for("the end of the callee's time", || {
        let ended = counted(
            cluster.node("cloud"),
            "serverledge_failures_total",
            "function_timeout",
        )?;
        Ok((ended == 1).then_some(()))
    })?;
    cluster.wait_until_free()
}

/// A function of an application calls its neighbour in the application, also from another node.
#[test]
fn the_callers_space_travels() -> Result<()> {
    for (edge, slots) in [("cloudonly", 4), ("edgecloud", 1)] {
        let mut cluster = Cluster::on_loopback()?;
        cluster.join("edge", EDGE, slots, |setup| {
            setup.with("scheduler.policy", edge)
        })?;
        cluster.join("cloud", CLOUD, 4, |setup| setup)?;
        cluster.wait_until_acquainted()?;
        let mut expected = BTreeMap::new();
        for (number, app) in [(1, None), (2, Some("shop")), (3, Some("shed"))] {
            let front = app.map_or_else(String::new, |app| format!("/apps/{app}"));
            if let Some(app) = app {
                done(cluster.node("cloud"), "/apps", &json!({ "name": app }))?;
            }
            for (name, module) in [
                ("inner", constant(number)),
                ("outer", caller_of("inner", 0)),
            ] {
                done(
                    cluster.node("cloud"),
                    &format!("{front}/create"),
                    &deployment(name, module.as_bytes(), &json!({})),
                )?;
            }
            expected.insert(front, json!({ "n": number }));
        }
        let wanted = if edge == "cloudonly" { "cloud" } else { "edge" };
        for (front, expected) in &expected {
            let target = format!("{front}/invoke/outer");
            // Until the edge has prepared it, the cloud may run it for it.
            wait_for(&format!("{target} on the {wanted}"), || {
                let response = cluster.node("edge").post(&target, &json!({}))?;
                Ok((response.status == 200
                    && response.result()? == *expected
                    && executor_of(&response)? == wanted)
                    .then_some(()))
            })?;
        }
        let at_edge = runs(cluster.node("edge"), "inner")?;
        assert_eq!(at_edge, 0, "all callees ran in the cloud");
    }
    Ok(())
}

fn done(node: &Node, target: &str, body: &Value) -> Result<()> {
    let response = node.post(target, body)?;
    ensure!(
        (200..300).contains(&response.status),
        "{target}: {} {}",
        response.status,
        response.text()
    );
    Ok(())
}
