//! The result cache over a hop: what a client carries to a node that offloads the call, results that come from a peer, and
//! runs that are shared there.

use std::collections::BTreeSet;

use anyhow::{Context, Result, ensure};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use crate::e2e::{Node, node::deployment};
use crate::guests::caller_of;
use crate::support::{CLOUD, Cluster, EDGE, Request, Response, executor_of, guest, wait_for};

const FORGED: &str = "forged";

/// An edge, which runs nothing itself unless a test says otherwise, its cloud, and on both the running application `shop`: `outer` and `again` call the
/// `edge` function `inner`, `through` and `past` the function `plain`, each with its own parameters, and give what it answers.
/// Each run of the callees tells a number of its own. All but `loose`, which is
/// like `through`, are idempotent.
struct Shop {
    cluster: Cluster,
}

impl Shop {
    fn open() -> Result<Self> {
        Self::open_with(0, 4, "cloudonly")
    }

    /// `outer` takes so many milliseconds before it calls; the edge has so many slots and this policy.
    fn open_with(milliseconds: u64, slots: u64, policy: &str) -> Result<Self> {
        let mut cluster = Cluster::on_loopback()?;
        cluster.join("edge", EDGE, slots, |setup| {
            setup.with("scheduler.policy", policy)
        })?;
        cluster.join("cloud", CLOUD, 8, |setup| setup)?;
        cluster.wait_until_acquainted()?;
        let shop = Self { cluster };
        shop.fill(milliseconds)?;
        shop.cluster.wait_until_free()?;
        Ok(shop)
    }

    /// The application, known to both nodes.
    fn fill(&self, milliseconds: u64) -> Result<()> {
        let cloud = self.cloud();
        done(cloud, "POST", "/apps", &json!({"name": "shop"}))?;
        let [edge, idempotent, plain] = [
            json!({"Idempotent": true, "Edge": true}),
            json!({"Idempotent": true}),
            json!({}),
        ];
        let functions = [
            ("inner", guest::effect(0, None), &edge),
            ("plain", guest::effect(0, None), &idempotent),
            ("outer", caller_of("inner", milliseconds), &idempotent),
            ("again", caller_of("inner", 1), &idempotent),
            ("top", caller_of("outer", 0), &idempotent),
            ("through", caller_of("plain", 0), &idempotent),
            ("past", caller_of("plain", 1), &idempotent),
            ("loose", caller_of("plain", 0), &plain),
        ];
        for (name, module, more) in &functions {
            done(
                cloud,
                "POST",
                "/apps/shop/create",
                &deployment(name, module.as_bytes(), more),
            )?;
            let endpoint = json!({"path": format!("/{name}"), "function": name});
            done(cloud, "PUT", "/apps/shop/endpoints", &endpoint)?;
        }
        done(cloud, "POST", "/apps/shop/start", &json!({}))?;
        for (node, (name, ..)) in [self.edge(), cloud]
            .into_iter()
            .flat_map(|node| functions.iter().map(move |one| (node, one)))
        {
            wait_for(&format!("{name} on both nodes"), || {
                let response = node.post(&format!("/app/shop/{name}"), &args("ready"))?;
                Ok(
                    (response.status == 200 && response.json()?["result"]["run"].is_string())
                        .then_some(()),
                )
            })?;
        }
        Ok(())
    }

    fn edge(&self) -> &Node {
        self.cluster.node("edge")
    }

    fn cloud(&self) -> &Node {
        self.cluster.node("cloud")
    }

    /// Calls an endpoint with a request in the form that carries a cache.
    fn ask(&self, node: &str, function: &str, body: &Value) -> Result<Told> {
        Told::of(
            &self
                .cluster
                .node(node)
                .post(&format!("/app/shop/{function}"), body)?,
        )
    }
}

/// The answer of an endpoint.
#[derive(Debug)]
struct Told {
    /// The number of the run that gave it.
    run: String,
    /// Header `Serverledge-Cache`.
    source: Option<String>,
    /// Header `Serverledge-Cache-Ignored`.
    ignored: Option<String>,
    cache: Value,
}

impl Told {
    fn of(response: &Response) -> Result<Self> {
        ensure!(
            response.status == 200,
            "{}: {}",
            response.status,
            response.text()
        );
        let body = response.json()?;
        let header = |name| response.header(name).map(str::to_owned);
        Ok(Self {
            run: body["result"]["run"]
                .as_str()
                .with_context(|| format!("no run in {body}"))?
                .to_owned(),
            source: header("serverledge-cache"),
            ignored: header("serverledge-cache-ignored"),
            cache: body["cache"].clone(),
        })
    }

    fn source(&self) -> &str {
        self.source.as_deref().unwrap_or_default()
    }
}

fn done(node: &Node, method: &str, target: &str, body: &Value) -> Result<()> {
    let response = node.ask(&Request::new(method, target).body(body.to_string()))?;
    ensure!(
        (200..300).contains(&response.status),
        "{target}: {} {}",
        response.status,
        response.text()
    );
    Ok(())
}

fn args(name: &str) -> Value {
    json!({"args": {"name": name}})
}

/// The key of an entry for these parameters.
fn key(name: &str) -> String {
    STANDARD.encode(json!({ "name": name }).to_string())
}

/// An answer of `function` that nobody computed.
fn forged(function: &str, name: &str) -> Value {
    json!({function: {key(name): {"run": FORGED, "call": {"name": name}}}})
}

/// The cache that a client brings is used where the call runs, and affects its own answer alone.
#[test]
fn edge_results_are_used_on_the_other_node_and_kept_on_neither() -> Result<()> {
    let shop = Shop::open()?;
    let with_edge = json!({"args": {"name": "a"}, "edgeResults": forged("inner", "a")});
    for _ in 0..2 {
        let shaped = shop.ask("edge", "outer", &with_edge)?;
        assert_eq!(
            (shaped.run.as_str(), shaped.source()),
            (FORGED, ""),
            "the caller ran each time"
        );
        assert_eq!(shaped.ignored, None);
        assert!(
            shaped.cache["outer"][key("a")].is_object(),
            "{}",
            shaped.cache
        );
        assert_eq!(
            shaped.cache["inner"],
            Value::Null,
            "what the client brought is not given to it: {}",
            shaped.cache
        );
    }
    // Neither node has kept anything of it.
    let true_one = shop.ask("edge", "outer", &args("a"))?;
    assert!(
        true_one.run != FORGED && true_one.source().is_empty(),
        "{true_one:?}"
    );
    // Both have kept this one.
    for node in ["edge", "cloud"] {
        let hit = shop.ask(node, "outer", &args("a"))?;
        assert_eq!(
            (hit.run.as_str(), hit.source()),
            (true_one.run.as_str(), "cache"),
            "{node}"
        );
    }
    // Nor has a node that knows better any say: the client's answer is the client's own.
    let again = shop.ask("edge", "again", &with_edge)?;
    assert_eq!((again.run.as_str(), again.source()), (FORGED, ""));
    assert_ne!(shop.ask("cloud", "again", &args("a"))?.run, FORGED);
    Ok(())
}

/// The same where only a callee's callee is answered for, on the node that its caller was offloaded to.
#[test]
fn a_callee_that_was_shaped_on_the_other_node_shapes_its_caller() -> Result<()> {
    let shop = Shop::open_with(0, 1, "edgecloud")?;
    // Until the edge has prepared it, the cloud may run it for it; other parameters each time, so that no result is kept.
    let mut turn = 0;
    wait_for("the caller's caller at the edge", || {
        turn += 1;
        let body = json!({"Params": {"name": format!("turn-{turn}")}});
        let response = shop.edge().post("/apps/shop/invoke/top", &body)?;
        Ok((response.status == 200 && executor_of(&response)? == "edge").then_some(()))
    })?;
    shop.cluster.wait_until_free()?;
    let with_edge = json!({"args": {"name": "a"}, "edgeResults": forged("inner", "a")});
    for _ in 0..2 {
        let shaped = shop.ask("edge", "top", &with_edge)?;
        assert_eq!((shaped.run.as_str(), shaped.source()), (FORGED, ""));
        for function in ["top", "outer"] {
            assert_eq!(
                shaped.cache[function][key("a")]["run"],
                FORGED,
                "{}",
                shaped.cache
            );
        }
    }
    let true_one = shop.ask("edge", "top", &args("a"))?;
    assert!(
        true_one.run != FORGED && true_one.source().is_empty(),
        "{true_one:?}"
    );
    let untrue = json!({"args": {"name": "b"}, "cache": forged("plain", "b"), "edgeResults": forged("plain", "b")});
    assert_eq!(
        shop.ask("edge", "through", &untrue)?.ignored.as_deref(),
        Some("not-edge=1, untrue=1")
    );
    Ok(())
}

/// Cache entries that the other node does not believe are counted in the answer here.
#[test]
fn what_is_not_believed_on_the_other_node_is_counted() -> Result<()> {
    let shop = Shop::open()?;
    let carried = json!({"args": {"name": "a"}, "edgeResults": forged("plain", "a")});
    let not_edge = shop.ask("edge", "through", &carried)?;
    assert!(
        not_edge.run != FORGED && not_edge.source().is_empty(),
        "{not_edge:?}"
    );
    assert_eq!(not_edge.ignored.as_deref(), Some("not-edge=1"));

    let untagged = json!({"args": {"name": "b"}, "cache": forged("plain", "b")});
    let untrue = shop.ask("edge", "through", &untagged)?;
    assert_ne!(untrue.run, FORGED);
    assert_eq!(untrue.ignored.as_deref(), Some("untrue=1"));

    // A true tag, under another result.
    let honest = shop.ask("edge", "through", &args("c"))?;
    let mut cache = honest.cache;
    assert!(cache["$tags"].is_object(), "{cache}");
    cache["plain"][key("c")]["run"] = json!(FORGED);
    let cache = without(cache, "through");
    let borrowed = shop.ask(
        "edge",
        "past",
        &json!({"args": {"name": "c"}, "cache": cache}),
    )?;
    assert_eq!(
        (borrowed.run.as_str(), borrowed.source()),
        (honest.run.as_str(), ""),
        "kept by the cloud"
    );
    assert_eq!(borrowed.ignored.as_deref(), Some("untrue=1"));
    // One on each node: what is looked at here is not carried on and not counted twice.
    let both = json!({"args": {"name": "d"}, "edgeResults": {
        "through": forged("through", "d")["through"], "plain": forged("plain", "d")["plain"]}});
    let twice = shop.ask("edge", "through", &both)?;
    assert_ne!(twice.run, FORGED);
    assert_eq!(twice.ignored.as_deref(), Some("not-edge=2"));
    // Also where the parameters run as they were sent.
    let as_sent = format!(
        r#"{{"args": {{"name":  "e"}}, "edgeResults": {}}}"#,
        json!({"loose": {key("e"): 1}})
    );
    let once = Told::of(
        &shop
            .edge()
            .ask(&Request::post("/app/shop/loose", as_sent))?,
    )?;
    assert_eq!(once.ignored.as_deref(), Some("not-edge=1"));
    // No carried answer is in it.
    assert_eq!(shop.ask("edge", "through", &args("d"))?.source(), "cache");
    Ok(())
}

fn without(mut cache: Value, function: &str) -> Value {
    if let Some(functions) = cache.as_object_mut() {
        functions.remove(function);
    }
    cache
}

/// A hit at a peer is kept here as the run that it came from would be: until something is deployed that it may have called.
#[test]
fn a_hit_at_a_peer_ends_with_its_generation() -> Result<()> {
    let shop = Shop::open()?;
    let first = shop.ask("cloud", "through", &args("a"))?;
    for source in ["cache", "cache"] {
        let hit = shop.ask("edge", "through", &args("a"))?;
        assert_eq!(
            (hit.run.as_str(), hit.source()),
            (first.run.as_str(), source)
        );
    }
    let changed = deployment(
        "plain",
        guest::effect(1, None).as_bytes(),
        &json!({"Idempotent": true}),
    );
    done(shop.cloud(), "POST", "/apps/shop/update", &changed)?;
    wait_for("a run of the new callee", || {
        Ok((shop.ask("edge", "through", &args("a"))?.run != first.run).then_some(()))
    })
}

/// The entries made on the other node are handed out here, nested ones as well, with tags that every node believes.
#[test]
fn entries_made_on_the_other_node_are_handed_out_and_believed() -> Result<()> {
    let shop = Shop::open()?;
    let first = shop.ask("edge", "through", &args("a"))?;
    assert_eq!(first.source(), "");
    for function in ["through", "plain"] {
        assert_eq!(
            first.cache[function][key("a")]["run"],
            first.run,
            "{}",
            first.cache
        );
        assert!(
            first.cache["$tags"][function][key("a")].is_string(),
            "{}",
            first.cache
        );
    }
    for node in ["edge", "cloud"] {
        let back = shop.ask(
            node,
            "through",
            &json!({"args": {"name": "a"}, "cache": first.cache}),
        )?;
        assert_eq!(
            (back.run.as_str(), back.source(), back.ignored.as_deref()),
            (first.run.as_str(), "carried", None)
        );
    }
    // The nested one alone, under a caller that has not run yet: believed on the node where it runs.
    let inner = shop.ask("edge", "outer", &args("b"))?;
    let cache = without(inner.cache, "outer");
    let carried = shop.ask(
        "edge",
        "again",
        &json!({"args": {"name": "b"}, "cache": cache}),
    )?;
    assert_eq!(
        (
            carried.run.as_str(),
            carried.source(),
            carried.ignored.as_deref()
        ),
        (inner.run.as_str(), "", None)
    );
    assert_eq!(
        shop.ask("edge", "again", &args("b"))?.source(),
        "",
        "a shaped result was kept by neither"
    );
    Ok(())
}

/// A call that carries something neither joins a run that goes on elsewhere, nor leads one.
#[test]
fn a_shaped_run_is_shared_with_nobody() -> Result<()> {
    let shop = Shop::open_with(6_000, 4, "cloudonly")?;
    let door = shop.cluster.door("edge");
    let begin = |body: &Value| {
        let mut connection = door.connect()?;
        connection.send_only(&Request::json("/app/shop/outer", body))?;
        Ok::<_, anyhow::Error>(connection)
    };
    let mut shaped = begin(&json!({"args": {"name": "a"}, "edgeResults": forged("inner", "a")}))?;
    shop.cloud().wait_for_status("Running", 1)?;
    let mut plain = begin(&args("a"))?;
    shop.cloud().wait_for_status("Running", 2)?;
    let mut late = begin(&json!({"args": {"name": "a"}, "edgeResults": forged("inner", "a")}))?;
    shop.cloud().wait_for_status("Running", 3)?;
    let mut joining = begin(&args("a"))?;
    let [shaped, plain, late, joining] = [&mut shaped, &mut plain, &mut late, &mut joining]
        .map(|one| Told::of(&one.receive(false)?));
    let shaped = shaped?;
    let plain = plain?;
    let late = late?;
    let joining = joining?;
    assert_eq!((shaped.run.as_str(), late.run.as_str()), (FORGED, FORGED));
    assert_eq!(
        (
            shaped.source(),
            plain.source(),
            late.source(),
            joining.source()
        ),
        ("", "", "", "joined")
    );
    assert_ne!(plain.run, FORGED);
    assert_eq!(joining.run, plain.run);
    Ok(())
}

/// An idempotent function on an edge that runs nothing itself, and its cloud.
fn pair(milliseconds: u64) -> Result<Cluster> {
    let mut cluster = Cluster::on_loopback()?;
    cluster.join("edge", EDGE, 4, |setup| {
        setup.with("scheduler.policy", "cloudonly")
    })?;
    cluster.join("cloud", CLOUD, 4, |setup| setup)?;
    cluster.wait_until_acquainted()?;
    cluster.deploy_with(
        "effect",
        guest::effect(milliseconds, None),
        &json!({"Idempotent": true}),
    )?;
    Ok(cluster)
}

fn call(name: &str) -> Request {
    Request::json("/invoke/effect", &json!({"Params": {"name": name}}))
}

/// The number of the run, and the header `Serverledge-Cache`.
fn told(response: &Response) -> Result<(String, String)> {
    let result = response.result()?;
    let run = result["run"].as_str().context("a run")?.to_owned();
    Ok((
        run,
        response
            .header("serverledge-cache")
            .unwrap_or_default()
            .to_owned(),
    ))
}

/// The number of times that it ran with these parameters. Both nodes keep what a run wrote that one of them has handed
/// to the other.
fn runs_of(cluster: &Cluster, name: &str) -> Result<usize> {
    let lines: BTreeSet<String> = cluster.log("effect")?.into_iter().collect();
    Ok(lines
        .iter()
        .filter(|line| line.contains(&format!("\"{name}\"")))
        .count())
}

#[test]
fn a_result_from_a_peer_is_kept_and_saves_the_hop() -> Result<()> {
    let mut cluster = pair(0)?;
    let first = cluster.node("edge").ask(&call("a"))?;
    assert_eq!(executor_of(&first)?, "cloud");
    let (run, source) = told(&first)?;
    assert_eq!(source, "");
    // The peer has kept it too, and says so when it is asked through another.
    assert_eq!(
        told(&cluster.node("cloud").ask(&call("a"))?)?,
        (run.clone(), "cache".to_owned())
    );
    let straight = cluster.node("cloud").ask(&call("b"))?;
    let (over_hop, source) = told(&cluster.node("edge").ask(&call("b"))?)?;
    assert_eq!((&over_hop, source.as_str()), (&told(&straight)?.0, "cache"));
    assert_eq!(runs_of(&cluster, "b")?, 1);
    // With nobody to go to, what is kept is still an answer.
    cluster.stop("cloud")?;
    for (name, run) in [("a", &run), ("b", &over_hop)] {
        let hit = cluster.node("edge").ask(&call(name))?;
        assert_eq!(told(&hit)?, (run.clone(), "cache".to_owned()));
        assert_eq!(
            (executor_of(&hit)?.as_str(), &hit.json()?["OffloadLatency"]),
            ("edge", &json!(0.0))
        );
    }
    wait_for("a cloud that is known to be gone", || {
        Ok((cluster.node("edge").ask(&call("c"))?.code() == "no_peer").then_some(()))
    })
}

/// The run at the peer is the callers', not the first one's.
#[test]
fn the_first_caller_of_a_shared_run_on_another_node_may_leave() -> Result<()> {
    let cluster = pair(4_000)?;
    let mut turn = 0;
    // Where the second one has not been seen when the first one leaves, it has a run of its own: then again.
    wait_for("a second caller that has joined", || {
        turn += 1;
        let name = format!("turn-{turn}");
        let mut first = cluster.node("edge").connect()?;
        first.send_only(&call(&name))?;
        cluster.node("cloud").wait_for_status("Running", 1)?;
        let mut second = cluster.node("edge").connect()?;
        second.send_only(&call(&name))?;
        cluster.node("edge").status()?;
        drop(first);
        let (_, source) = told(&second.receive(false)?)?;
        cluster.wait_until_free()?;
        if source != "joined" {
            return Ok(None);
        }
        assert_eq!(runs_of(&cluster, &name)?, 1);
        Ok(Some(()))
    })
}

/// Of a run whose last caller has left, nothing stays on the other node.
#[test]
fn the_last_caller_that_leaves_ends_the_run_on_another_node() -> Result<()> {
    let cluster = pair(0)?;
    cluster.deploy_with(
        "endless",
        guest::endless(),
        &json!({"Idempotent": true, "Timeout": 900}),
    )?;
    let mut lonely = cluster.node("edge").connect()?;
    lonely.send_only(&Request::json("/invoke/endless", &json!({"Params": {}})))?;
    cluster.node("cloud").wait_for_status("Running", 1)?;
    drop(lonely);
    cluster.wait_until_free()
}

/// Each node runs what the other one asks for, and joins it to nothing that waits for the other one itself.
#[test]
fn two_nodes_that_hand_each_other_the_same_call_do_not_wait_for_each_other() -> Result<()> {
    let mut cluster = Cluster::on_loopback()?;
    for (name, area, other) in [("one", EDGE, CLOUD), ("two", CLOUD, EDGE)] {
        cluster.join(name, area, 4, |setup| {
            setup
                .with("registry.remote.area", other)
                .with("scheduler.policy", "cloudonly")
        })?;
    }
    cluster.wait_until_acquainted()?;
    cluster.deploy_with(
        "effect",
        guest::effect(6_000, None),
        &json!({"Idempotent": true}),
    )?;
    let pairs = [("one", "two"), ("two", "one")];
    for (here, there) in pairs {
        wait_for(&format!("the function on {there}"), || {
            Ok((cluster.node(here).ask(&call(here))?.status == 200).then_some(()))
        })?;
    }
    cluster.wait_until_free()?;
    let begun = pairs.map(|(here, there)| {
        let mut connection = cluster.node(here).connect()?;
        connection.send_only(&call("a"))?;
        cluster.node(there).wait_for_status("Running", 1)?;
        Ok::<_, anyhow::Error>(connection)
    });
    for (begun, (_, there)) in begun.into_iter().zip(pairs) {
        assert_eq!(executor_of(&begun?.receive(false)?)?, there);
    }
    cluster.wait_until_free()
}
