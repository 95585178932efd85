//! The load balancer in front of real nodes.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use anyhow::{Result, ensure};
use serde_json::{Value, json};

use crate::e2e::{Connection, Node, Setup};
use crate::support::{CLOUD, Cluster, EDGE, Request, beside, executor_of, guest, joined, wait_for};

const NODES: [&str; 3] = ["edge1", "edge2", "edge3"];

/// Three nodes with so much room each, and a load balancer.
fn trio(slots: u64, change: fn(Setup) -> Setup) -> Result<(Cluster, Node)> {
    let mut cluster = Cluster::on_loopback()?;
    for name in NODES {
        cluster.join(name, EDGE, slots, change)?;
    }
    cluster.wait_until_acquainted()?;
    let balancer = cluster.balance(EDGE, NODES.len())?;
    Ok((cluster, balancer))
}

fn call(function: &str) -> Request {
    Request::json(
        &format!("/invoke/{function}"),
        &json!({ "Params": {"name": "x"} }),
    )
}

fn asks(balancer: &Node, function: &str) -> Result<String> {
    executor_of(&balancer.ask(&call(function))?)
}

/// Sends calls that go on, one after the other, each when the one before is on its way.
fn begin(balancer: &Node, function: &str, count: i64) -> Result<Vec<Connection>> {
    let begun = (1..=count).map(|number| {
        let mut connection = balancer.connect()?;
        connection.send_only(&call(function))?;
        balancer.wait_for_status("Running", number)?;
        Ok(connection)
    });
    begun.collect()
}

/// The number of these calls that ran on each node.
fn ends(calls: Vec<Connection>) -> Result<BTreeMap<String, usize>> {
    let mut ran = BTreeMap::new();
    for mut call in calls {
        *ran.entry(executor_of(&call.receive(false)?)?).or_default() += 1;
    }
    Ok(ran)
}

#[test]
fn calls_stay_at_home_until_the_bound_and_then_spread() -> Result<()> {
    let (cluster, balancer) = trio(4, |setup| setup)?;
    cluster.deploy("fast", &guest::effect(0, None))?;
    cluster.deploy("slow", &guest::effect(8_000, None))?;
    let homes: BTreeSet<String> = (0..10)
        .map(|_| asks(&balancer, "fast"))
        .collect::<Result<_>>()?;
    assert_eq!(homes.len(), 1, "one after the other they stay: {homes:?}");
    let spread = ends(begin(&balancer, "slow", 7)?)?;
    assert_eq!(spread.values().sum::<usize>(), 7);
    // 1.25 times the average, rounded up: two nodes with three each have no place for the seventh.
    assert!(
        spread.len() == 3 && spread.values().all(|calls| *calls <= 3),
        "{spread:?}"
    );
    let metrics = balancer.get("/metrics")?.text();
    for name in NODES {
        let done =
            format!("serverledge_lb_requests_total{{node=\"{EDGE}/{name}\",outcome=\"done\"}}");
        assert!(metrics.contains(&done), "{metrics}");
    }
    balancer.stop()?;
    Ok(())
}

#[test]
fn a_killed_node_loses_no_idempotent_call() -> Result<()> {
    let (mut cluster, balancer) = trio(4, |setup| setup)?;
    // On every node: none passes its calls on, and the home is the one that answers.
    cluster.deploy_with(
        "effect",
        guest::effect(100, None),
        &json!({ "Idempotent": true }),
    )?;
    let home = asks(&balancer, "effect")?;
    let over = AtomicBool::new(false);
    let calls = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        let clients = [(); 6].map(|()| {
            beside(scope, || {
                while !over.load(Ordering::Acquire) {
                    asks(&balancer, "effect")?;
                    calls.fetch_add(1, Ordering::AcqRel);
                }
                Ok(())
            })
        });
        let reached = |count: usize| Ok((calls.load(Ordering::Acquire) >= count).then_some(()));
        wait_for("load", || reached(30))?;
        let killed = cluster.kill(&home);
        let survived = wait_for("calls after the node's end", || reached(150));
        over.store(true, Ordering::Release);
        clients.into_iter().try_for_each(joined)?;
        killed.and(survived)
    })?;
    let others: BTreeSet<String> = (0..10)
        .map(|_| asks(&balancer, "effect"))
        .collect::<Result<_>>()?;
    assert!(!others.contains(&home) && others.len() == 1, "{others:?}");
    // Its series go with its record.
    wait_for("the node's record to end", || {
        let metrics = balancer.get("/metrics")?.text();
        Ok((!metrics.contains(&format!("/{home}\""))).then_some(()))
    })
}

#[test]
fn what_is_no_call_is_passed_on() -> Result<()> {
    let (cluster, balancer) = trio(4, |setup| setup)?;
    balancer.deploy("echo", guest::effect(0, None))?;
    // Nodes are asked by turns.
    wait_for("the function on every node", || {
        let names = NODES
            .iter()
            .map(|_| balancer.names())
            .collect::<Result<Vec<_>>>()?;
        Ok(names.iter().all(|names| names == &["echo"]).then_some(()))
    })?;
    // Deployed a moment ago, by one node; any node may be asked now.
    asks(&balancer, "echo")?;
    let accepted = balancer.post(
        "/invoke/echo",
        &json!({ "Params": {"name": "later"}, "Async": true }),
    )?;
    ensure!(accepted.status == 200, "{}", accepted.text());
    let id = accepted.json()?["ReqId"]
        .as_str()
        .unwrap_or_default()
        .to_owned();
    wait_for("the outcome", || {
        Ok((balancer.get(&format!("/poll/{id}"))?.status == 200).then_some(()))
    })?;
    let padding = "x".repeat(20_000);
    let plain = Request::post("/fn/echo", json!({ "name": padding }).to_string())
        .header("x-forwarded-for", "192.0.2.1");
    let response = balancer.ask(&plain)?;
    assert_eq!(
        (response.status, &response.json()?["call"]["name"]),
        (200, &json!(padding))
    );
    assert_eq!(
        response.header("content-security-policy"),
        Some("sandbox allow-scripts")
    );
    assert_eq!(response.header("serverledge-node-name"), None);
    for (target, status, code) in [
        ("/invoke/nothing", 404, "function_unknown"),
        ("/fn/nothing", 404, "function_unknown"),
        ("/peer/load", 404, "route_unknown"),
        ("/docs/../invoke/echo", 400, "malformed_path"),
    ] {
        let response = balancer.post(target, &json!({}))?;
        assert_eq!(
            (response.status, response.code().as_str()),
            (status, code),
            "{target}"
        );
    }
    let foreign = balancer.ask(&call("echo").header("origin", "http://evil.example"))?;
    assert_eq!(
        (foreign.status, foreign.code().as_str()),
        (403, "cross_origin")
    );
    let own = balancer.ask(
        &Request::post("/fn/echo", "{}").header("origin", &format!("http://{}", balancer.address)),
    )?;
    assert_eq!(
        own.status,
        200,
        "a page of the balancer's own is no stranger to the nodes: {}",
        own.text()
    );
    let status = balancer.status()?;
    assert_eq!(
        (&status["TotalCPU"], &status["Functions"]),
        (&json!(12.0), &json!(1)),
        "{status}"
    );
    let deleted = balancer.post("/delete", &json!({ "Name": "echo" }))?;
    assert_eq!(deleted.status, 200, "{}", deleted.text());
    wait_for("nobody to know it", || {
        Ok((balancer.ask(&call("echo"))?.status == 404).then_some(()))
    })?;
    drop(cluster);
    Ok(())
}

/// Whichever node it reaches, and with one of them gone.
#[test]
fn a_key_names_one_invocation_through_the_balancer() -> Result<()> {
    let (mut cluster, balancer) = trio(4, |setup| setup)?;
    cluster.deploy("effect", &guest::effect(0, None))?;
    let later = Request::json(
        "/invoke/effect",
        &json!({ "Params": {"name": "once"}, "Async": true }),
    );
    let accept = || -> Result<String> {
        let response = balancer.ask(&later.clone().header("idempotency-key", "one"))?;
        ensure!(
            response.status == 200,
            "{}: {}",
            response.status,
            response.text()
        );
        Ok(response.json()?["ReqId"]
            .as_str()
            .unwrap_or_default()
            .to_owned())
    };
    let id = accept()?;
    assert_eq!(accept()?, id);
    cluster.kill(&asks(&balancer, "effect")?)?;
    assert_eq!(accept()?, id);
    let sync = balancer
        .ask(&call("effect").header("idempotency-key", "two"))?
        .result()?;
    assert_eq!(
        balancer
            .ask(&call("effect").header("idempotency-key", "two"))?
            .result()?,
        sync
    );
    Ok(())
}

#[test]
fn when_all_are_full_the_caller_is_told_when_to_come_back() -> Result<()> {
    let (cluster, balancer) = trio(1, |setup| setup.with("scheduler.queue.capacity", 0))?;
    cluster.deploy("slow", &guest::effect(8_000, None))?;
    let running = begin(&balancer, "slow", 3)?;
    for name in NODES {
        cluster.node(name).wait_for_status("Running", 1)?;
    }
    let response = balancer.ask(&call("slow"))?;
    assert_eq!(
        (response.status, response.code().as_str()),
        (429, "queue_full"),
        "{}",
        response.text()
    );
    let seconds: u64 = response.header("retry-after").unwrap_or_default().parse()?;
    assert!((1..=60).contains(&seconds));
    let accepted: Value = balancer
        .post("/invoke/slow", &json!({ "Params": {}, "Async": true }))?
        .json()?;
    assert!(
        accepted["ReqId"].is_string(),
        "what runs later needs no room now: {accepted}"
    );
    assert_eq!(ends(running)?.len(), 3, "one on each");
    Ok(())
}

#[test]
fn a_drained_balancer_ends_what_it_has_begun() -> Result<()> {
    let (cluster, balancer) = trio(4, |setup| setup)?;
    cluster.deploy("slow", &guest::effect(6_000, None))?;
    let running = begin(&balancer, "slow", 2)?;
    let address = balancer.address;
    let dial = balancer.dial.clone();
    balancer.terminate()?;
    wait_for("a balancer that accepts nothing", || {
        Ok(dial
            .ask(address, &Request::get("/readyz"))
            .is_err()
            .then_some(()))
    })?;
    assert_eq!(ends(running)?.values().sum::<usize>(), 2);
    let ended = balancer.wait()?;
    ensure!(
        ended.status.success(),
        "it ended with {}:\n{}",
        ended.status,
        ended.stderr
    );
    assert!(
        !ended.stderr.contains("cut off") && !ended.stderr.contains("panicked"),
        "{}",
        ended.stderr
    );
    Ok(())
}

/// A node behind the balancer may still offload, and a balancer whose area has no node uses the cloud.
#[test]
fn nodes_behind_a_balancer_offload_and_the_cloud_takes_over() -> Result<()> {
    let mut cluster = Cluster::on_loopback()?;
    cluster.join("edge1", EDGE, 1, |setup| {
        setup.with("scheduler.policy", "cloudonly")
    })?;
    cluster.join("cloud", CLOUD, 4, |setup| setup)?;
    cluster.wait_until_acquainted()?;
    let balancer = cluster.balance(EDGE, 2)?;
    cluster.deploy("fast", &guest::effect(0, None))?;
    let envelope = balancer.ask(&call("fast"))?.json()?;
    assert_eq!(
        (&envelope["ExecutionNode"], &envelope["ExecutionArea"]),
        (&json!("cloud"), &json!(CLOUD))
    );
    assert!(
        balancer
            .get("/metrics")?
            .text()
            .contains("node=\"edge/edge1\",outcome=\"done\""),
        "it went by the edge"
    );
    let at_home = json!({ "Params": {}, "CanDoOffloading": false });
    let refused = balancer.post("/invoke/fast", &at_home)?;
    assert_eq!(
        refused.status,
        429,
        "who forbids it is not offloaded: {}",
        refused.text()
    );
    cluster.stop("edge1")?;
    wait_for("a balancer that hears of it", || {
        let straight = balancer.post("/invoke/fast", &at_home)?;
        Ok((straight.status == 200 && executor_of(&straight)? == "cloud").then_some(()))
    })
}

#[test]
fn a_balancer_needs_a_cluster() -> Result<()> {
    let lone = || Ok::<_, anyhow::Error>(Setup::new()?.under_shell("exec \"$0\" lb"));
    for (setup, missing) in [
        (lone()?, "registry.url"),
        (
            lone()?.with("registry.url", "etcd://127.0.0.1:1/x/"),
            "cluster.key",
        ),
    ] {
        let Err(error) = setup.start() else {
            anyhow::bail!("it started without {missing}")
        };
        assert!(format!("{error:#}").contains(missing), "{error:#}");
    }
    Ok(())
}
