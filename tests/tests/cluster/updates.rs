//! Updates of a function under load: no call is refused on any node, and a node that has acknowledged an update answers with
//! nothing older from then on.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::e2e::node::deployment;
use crate::e2e::wait::pause;
use crate::e2e::{Node, Request};
use crate::guests::{caller_of, constant, large_constant};
use crate::support::{CLOUD, Cluster, Door, EDGE, beside, joined, wait_for};

const NODES: [&str; 3] = ["one", "two", "three"];
const UPDATES: u64 = 20;
const CLIENTS: usize = 2;
/// Answers that a load must have had at least.
const CALLS_MIN: usize = 5_000;
/// Longest time for which a cluster is loaded.
const LOAD_MAX: Duration = Duration::from_secs(240);
/// A node's longest wait for the registry: only one that is slower excuses a function that is not known.
const LOOK_UP_MAX: Duration = Duration::from_secs(1);

/// The state of a load, as its clients see it.
#[derive(Default)]
struct Progress {
    /// By node: the newest update that it has acknowledged.
    acknowledged: [AtomicU64; NODES.len()],
    answers: std::sync::atomic::AtomicUsize,
    over: AtomicBool,
}

/// Ends the load when the updates have ended, however.
struct Over<'a>(&'a Progress);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.0.over.store(true, Ordering::SeqCst);
    }
}

impl Progress {
    fn answers(&self) -> usize {
        self.answers.load(Ordering::SeqCst)
    }

    /// Calls a function of one node again and again.
    fn call(&self, number: usize, door: &Door, target: &str) -> Result<()> {
        let request = Request::json(target, &json!({}));
        let mut connection = door.connect()?;
        let mut last = 0;
        while !self.over.load(Ordering::SeqCst) {
            let known = self.acknowledged[number].load(Ordering::SeqCst);
            let response = connection.send(&request)?;
            ensure!(
                response.status == 200,
                "{}: {} {}",
                door.node,
                response.status,
                response.text()
            );
            let answered = version_in(&response.json()?)?;
            ensure!(
                answered >= known,
                "{}: {answered} was answered after {known} was acknowledged",
                door.node
            );
            ensure!(
                answered >= last,
                "{}: {answered} was answered after {last}",
                door.node
            );
            last = answered;
            self.answers.fetch_add(1, Ordering::SeqCst);
            // Compilations yield to everything: they need some of the processor's time as well.
            pause();
        }
        Ok(())
    }
}

fn version_in(answer: &Value) -> Result<u64> {
    answer["n"]
        .as_u64()
        .with_context(|| format!("no version in {answer}"))
}

fn three(policy: &str) -> Result<Cluster> {
    let mut cluster = Cluster::on_loopback()?;
    for name in NODES {
        cluster.join(name, EDGE, 8, |setup| {
            setup.with("scheduler.policy", policy)
        })?;
    }
    cluster.wait_until_acquainted()?;
    Ok(cluster)
}

fn update(node: &Node, module: &str) -> Result<()> {
    let response = node.post("/update", &deployment("f", module.as_bytes(), &json!({})))?;
    ensure!(
        response.status == 200,
        "an update: {} {}",
        response.status,
        response.text()
    );
    Ok(())
}

/// Updates the function through one node after the other, and loads all of them meanwhile.
fn update_under_load(cluster: &Cluster, target: &str) -> Result<usize> {
    let progress = Progress::default();
    std::thread::scope(|scope| {
        let _over = Over(&progress);
        let clients: Vec<_> = (0..NODES.len() * CLIENTS)
            .map(|client| {
                let number = client % NODES.len();
                let door = cluster.door(NODES[number]);
                let progress = &progress;
                beside(scope, move || progress.call(number, &door, target))
            })
            .collect();
        for version in 1..=UPDATES {
            let number = usize::try_from(version)? % NODES.len();
            update(cluster.node(NODES[number]), &large_constant(version))?;
            progress.acknowledged[number].store(version, Ordering::SeqCst);
            await_answers(
                &progress,
                usize::try_from(version)? * CALLS_MIN / usize::try_from(UPDATES)?,
            )?;
        }
        drop(_over);
        clients.into_iter().try_for_each(joined)
    })?;
    for name in NODES {
        wait_for(&format!("the last version on {name}"), || {
            Ok(
                (version_in(&cluster.node(name).post(target, &json!({}))?.json()?)? == UPDATES)
                    .then_some(()),
            )
        })?;
    }
    Ok(progress.answers())
}

fn await_answers(progress: &Progress, wanted: usize) -> Result<()> {
    let begun = Instant::now();
    wait_for("calls between two updates", || {
        ensure!(begun.elapsed() < LOAD_MAX, "the load has stopped");
        Ok((progress.answers() >= wanted).then_some(()))
    })
}

#[test]
fn twenty_updates_under_load_refuse_nothing_and_lose_none() -> Result<()> {
    let cluster = three("localonly")?;
    update(cluster.node(NODES[0]), &constant(0))?;
    wait_until_prepared(cluster.node(NODES[0]), "f")?;
    let answers = update_under_load(&cluster, "/fn/f")?;
    ensure!(
        answers >= CALLS_MIN,
        "{answers} answers are too few to tell"
    );
    Ok(())
}

/// The caller's results are cached: with none of an earlier version once this node has the new one.
#[test]
fn cached_results_of_callers_are_of_the_version_that_runs() -> Result<()> {
    let cluster = three("localonly")?;
    update(cluster.node(NODES[0]), &constant(0))?;
    wait_until_prepared(cluster.node(NODES[0]), "f")?;
    let outer = deployment(
        "outer",
        caller_of("f", 0).as_bytes(),
        &json!({"Idempotent": true}),
    );
    ensure!(cluster.node(NODES[0]).post("/create", &outer)?.status == 200);
    wait_until_prepared(cluster.node(NODES[0]), "outer")?;
    update_under_load(&cluster, "/fn/outer")?;
    Ok(())
}

/// Right after a first deploy, any node answers: another one runs it, or it waits.
#[test]
fn what_was_deployed_a_moment_ago_is_answered_by_every_node() -> Result<()> {
    let cluster = three("localonly")?;
    for (version, may_offload) in [(1, true), (2, false), (3, true)] {
        let name = format!("g{version}");
        cluster
            .node(NODES[0])
            .deploy(&name, large_constant(version))?;
        for node in &NODES[1..] {
            let body = json!({"Params": {}, "CanDoOffloading": may_offload});
            let response = wait_for(&format!("{name} on {node}"), || {
                let begun = Instant::now();
                let response = cluster.node(node).post(&format!("/invoke/{name}"), &body)?;
                let excused =
                    response.code() == "function_unknown" && begun.elapsed() >= LOOK_UP_MAX;
                Ok((!excused).then_some(response))
            })?;
            ensure!(response.status == 200, "{node}: {}", response.text());
            assert_eq!(response.result()?, json!({ "n": version }));
        }
    }
    Ok(())
}

/// Nodes that send their calls away lose none while some nodes have the new version and some do not.
#[test]
fn updates_refuse_nothing_where_calls_are_sent_away() -> Result<()> {
    let mut cluster = Cluster::on_loopback()?;
    cluster.join(NODES[0], EDGE, 8, |setup| {
        setup.with("scheduler.policy", "cloudonly")
    })?;
    cluster.join(NODES[1], CLOUD, 8, |setup| setup)?;
    cluster.join(NODES[2], EDGE, 8, |setup| {
        setup.with("scheduler.policy", "cloudonly")
    })?;
    cluster.wait_until_acquainted()?;
    update(cluster.node(NODES[1]), &constant(0))?;
    wait_for("the first version everywhere", || {
        let statuses =
            NODES.map(|name| Ok(cluster.node(name).post("/invoke/f", &json!({}))?.status));
        let statuses = statuses.into_iter().collect::<Result<Vec<_>>>()?;
        Ok(statuses.iter().all(|status| *status == 200).then_some(()))
    })?;
    let refused = AtomicU64::new(0);
    let over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let clients: Vec<_> = NODES
            .map(|name| {
                let door = cluster.door(name);
                let over = &over;
                let refused = &refused;
                beside(scope, move || {
                    let mut connection = door.connect()?;
                    while !over.load(Ordering::SeqCst) {
                        let response = connection.send(&Request::json("/invoke/f", &json!({})))?;
                        refused.fetch_add(u64::from(response.status != 200), Ordering::SeqCst);
                        pause();
                    }
                    Ok(())
                })
            })
            .into_iter()
            .collect();
        let updated = (1..=6).try_for_each(|version| {
            update(
                cluster.node(NODES[usize::try_from(version)? % NODES.len()]),
                &large_constant(version),
            )
        });
        over.store(true, Ordering::SeqCst);
        clients.into_iter().try_for_each(joined)?;
        updated
    })?;
    assert_eq!(refused.into_inner(), 0);
    Ok(())
}

/// A load balancer's clients meet no gap either, also right after a first deploy.
#[test]
fn a_balancer_has_an_answer_for_every_call_during_updates() -> Result<()> {
    let cluster = three("localonly")?;
    let balancer = cluster.balance(EDGE, NODES.len())?;
    let body = |version| deployment("f", large_constant(version).as_bytes(), &json!({}));
    for version in 1..=6 {
        let response = balancer.post("/update", &body(version))?;
        ensure!(response.status == 200, "{}", response.text());
        for _ in 0..30 {
            let response = balancer.post("/invoke/f", &json!({}))?;
            ensure!(
                response.status == 200,
                "version {version}: {}",
                response.text()
            );
        }
    }
    Ok(())
}

/// Waits until every node runs the newest version of a function, which is returned.
fn wait_until_prepared(node: &Node, function: &str) -> Result<String> {
    let version = node.get(&format!("/functions/{function}"))?.json()?["Version"]
        .as_str()
        .context("a version")?
        .to_owned();
    wait_for("the version on every node", || {
        let nodes = node.get(&format!("/functions/{function}/nodes"))?.json()?;
        let ready = |node: &Value| node["State"] == "ready" && node["Runs"] == version.as_str();
        Ok(nodes["Nodes"]
            .as_array()
            .is_some_and(|nodes| nodes.len() == NODES.len() && nodes.iter().all(ready))
            .then_some(()))
    })?;
    Ok(version)
}

/// A roll-back needs no preparing; flags and settings that are no part of the code neither.
#[test]
fn what_needs_no_preparing_is_there_at_once() -> Result<()> {
    let cluster = three("localonly")?;
    let first = cluster.node(NODES[0]);
    // Each version on every node before the next: a node passes over one that it hears of too late.
    update(first, &constant(1))?;
    let earlier = wait_until_prepared(first, "f")?;
    update(first, &constant(2))?;
    wait_until_prepared(first, "f")?;
    ensure!(
        first
            .post("/functions/f/rollback", &json!({ "Version": earlier }))?
            .status
            == 200
    );
    let nodes = first.get("/functions/f/nodes")?.json()?;
    for node in nodes["Nodes"].as_array().context("nodes")? {
        // One that has not heard of it, or does not answer in time, prepares nothing either.
        ensure!(
            !matches!(
                node["State"].as_str(),
                Some("preparing" | "failed" | "unable")
            ),
            "{nodes}"
        );
    }
    ensure!(wait_until_prepared(first, "f")? == earlier);
    Ok(())
}

/// A function that was deleted, and another one of its name: no node goes on with the first.
#[test]
fn a_deleted_function_does_not_go_on() -> Result<()> {
    let cluster = three("localonly")?;
    let first = cluster.node(NODES[0]);
    update(first, &constant(1))?;
    for name in NODES {
        wait_for("the function", || {
            Ok((cluster.node(name).post("/fn/f", &json!({}))?.status == 200).then_some(()))
        })?;
    }
    ensure!(first.post("/delete", &json!({"Name": "f"}))?.status == 200);
    update(first, &large_constant(2))?;
    let version = first.get("/functions/f")?.json()?["Version"].clone();
    for name in &NODES[1..] {
        let node = cluster.node(name);
        wait_for("a node that has heard of it", || {
            Ok((node.get("/functions/f")?.json()?["Version"] == version).then_some(()))
        })?;
        assert_eq!(
            version_in(&node.post("/fn/f", &json!({}))?.json()?)?,
            2,
            "{name}"
        );
    }
    Ok(())
}
