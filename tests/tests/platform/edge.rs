//! Functions in the browsers: the same modules give the same results and codes as at the node, in each of them, and
//! nothing runs that is not signed.

mod cases;
mod components;
mod limits;
mod older_way;
mod photos;
mod python;
mod trust;

use std::collections::BTreeMap;

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use serverledge_testing::browser::Engine;

use crate::e2e::{Setup, example, wait_for};
use crate::support::shop::{Shop, edge, expect, in_every_browser, page_with, run};
use crate::support::site::Site;

/// The vectors of canonical JSON, which the node is held to as well.
const VECTORS: &str = include_str!("../../../crates/serverledge-wire/src/canonical/vectors.json");

#[test]
fn a_function_gives_the_same_in_every_browser_and_at_the_node() -> Result<()> {
    let shop = Shop::new(Setup::new()?, "any")?;
    let results = cases::results(&shop)?;
    let failures = cases::failures(&shop)?;
    assert!(results.len() >= 40 && failures.len() >= 12);
    shop.start()?;
    let mut cases = Vec::new();
    for (name, params) in results {
        let outcome = shop.run(&name, &params)?;
        let is_code = outcome
            .bytes()
            .all(|byte| matches!(byte, b'a'..=b'z' | b'_'));
        assert!(!is_code, "{name} {params}: {outcome}");
        cases.push((name, params, outcome));
    }
    for (name, params, code) in failures {
        assert_eq!(shop.run(name, params)?, code, "{name} {params}");
        cases.push((name.to_owned(), params.to_owned(), code.to_owned()));
    }
    let site = Site::serve_documents(BTreeMap::from([(String::new(), page_with(&shop.origin()))]))?;
    in_every_browser(
        &format!("http://localhost:{}/", site.address.port()),
        |window| {
            let listed = shop.connect(window)?;
            for one in ["add reactor", "hello command", "script snapshot"] {
                ensure!(listed.iter().any(|listed| listed == one), "{listed:?}");
            }
            for (name, params, outcome) in &cases {
                let here = run(window, name, params)?;
                expect(&format!("{name} {params}"), here, outcome.as_str())?;
            }
            // After the endless loop, in the Worker that follows.
            expect(
                "add",
                run(window, "add", r#"{"a":1,"b":2}"#)?,
                r#"{"sum":3}"#,
            )?;
            expect("far", run(window, "far", "{}")?, "not_edge")?;
            let script = format!(
                "({VECTORS}).filter(([text, form]) => (edge.canonical(text) ?? null) !== form)"
            );
            expect("canonical JSON", window.run(&script)?, json!([]))
        },
    )
}

#[test]
fn the_node_takes_the_results_of_a_browser() -> Result<()> {
    let shop = Shop::new(Setup::new()?, "any")?;
    let inner = "module.exports = ({ a, b }) => ({ result: a + b });";
    let outer = "module.exports = async ({ a, b, c }) => ({ out: (await call('inner', { a, b })).result * c });";
    let javascript = json!({"Runtime": "javascript", "Idempotent": true});
    shop.deploy("inner", inner.as_bytes(), &edge(javascript.clone()))?;
    shop.deploy("outer", outer.as_bytes(), &javascript)?;
    shop.deploy("private", inner.as_bytes(), &javascript)?;
    shop.endpoint("outer")?;
    shop.start()?;
    expect(
        "private at the node",
        shop.run("private", r#"{"a":1,"b":2}"#)?,
        r#"{"result":3}"#,
    )?;
    // One after another, since the node counts.
    for (count, engine) in (1..).zip(Engine::ALL) {
        let mut window = engine.open(&format!("{}/docs/", shop.origin()))?;
        shop.connect(window.as_mut())?;
        let result = window.run("app.run('inner', { a: 4, b: 5 })")?;
        assert_eq!(result, json!({"result": 9}), "{engine}");
        // The first is computed of the page's own result, the second is the returned cache.
        for source in ["edge", "carried"] {
            let result = window.run("app.invoke('outer', { a: 4, b: 5, c: 6 })")?;
            assert_eq!(result, json!({"out": 54}), "{engine}");
            let metrics = shop.node.get("/metrics")?.text();
            let counted =
                format!("serverledge_cache_answers_total{{source=\"{source}\"}} {count}\n");
            assert!(metrics.contains(&counted), "{engine}: {counted}: {metrics}");
        }
        // At the node a page may call what it may run, and nothing without an endpoint else.
        let result = window.run(&format!("app.invoke('inner', {{ a: 4, b: {count} }})"))?;
        assert_eq!(result, json!({"result": 4 + count}), "{engine}");
        let refused = "app.invoke('private', { a: 1, b: 2 }).catch((error) => error.code)";
        assert_eq!(window.run(refused)?, "function_unknown", "{engine}");
    }
    Ok(())
}

#[test]
fn a_page_runs_what_was_deployed_last() -> Result<()> {
    let shop = Shop::new(Setup::new()?, "any")?;
    // Calls no others: those would be fetched as well. The digit lies at 0.
    let version = |digit: char| {
        let store = format!(
            "(i32.store8 (i32.const 0) (i32.const {}))",
            u32::from(digit)
        );
        cases::reactor(&format!("{store} (i64.const 1)"))
    };
    let idempotent = edge(json!({"Idempotent": true}));
    for (name, digit) in [("used", '1'), ("unused", '3')] {
        shop.deploy(name, &version(digit), &idempotent)?;
    }
    let outer = "module.exports = () => call('used', {});";
    let inside = json!({"Runtime": "javascript"});
    shop.deploy("outer", outer.as_bytes(), &inside)?;
    shop.endpoint("outer")?;
    shop.start()?;
    let mut windows = Vec::new();
    for engine in Engine::ALL {
        let mut window = engine.open(&format!("{}/docs/", shop.origin()))?;
        shop.connect(window.as_mut())?;
        assert_eq!(run(window.as_mut(), "used", "{}")?, "1", "{engine}");
        windows.push((engine, window));
    }
    for (name, digit) in [("used", '2'), ("unused", '4')] {
        shop.redeploy(name, &version(digit), &idempotent)?;
        wait_for("the new version at the node", || {
            Ok((shop.run(name, "{}")? == digit.to_string()).then_some(()))
        })?;
    }
    for (engine, window) in &mut windows {
        let window = window.as_mut();
        // A module that the page has goes on; where one is gone it looks for the new one, and for all others.
        assert_eq!(run(window, "used", "{}")?, "1", "{engine}");
        assert_eq!(run(window, "unused", "{}")?, "4", "{engine}");
        assert_eq!(run(window, "used", "{}")?, "2", "{engine}");
        assert_eq!(window.run("app.invoke('outer')")?, 2, "{engine}");
    }
    // A name that was not there is looked for, though not at each call.
    shop.deploy("new", &version('5'), &idempotent)?;
    for (_, window) in &mut windows {
        wait_for("the new function", || {
            Ok((run(window.as_mut(), "new", "{}")? == "5").then_some(()))
        })?;
    }
    Ok(())
}

#[test]
fn functions_with_secrets_stay_at_the_node() -> Result<()> {
    let shop = Shop::new(Setup::new()?, "any")?;
    let secret = edge(json!({"Secrets": {"KEY": "hidden"}}));
    shop.deploy("add", &example("add")?, &secret)?;
    shop.deploy("page", &example("echo-http")?, &secret)?;
    shop.deploy("hello", &example("hello")?, &json!({}))?;
    shop.start()?;
    let manifest = shop.node.get("/app/shop/edge/manifest")?.json()?;
    let text = manifest["manifest"].as_str().context("a text")?;
    let listed: Value = serde_json::from_str(text)?;
    assert_eq!(listed["functions"], json!([]), "{text}");
    assert_eq!(listed["components"], Value::Null, "{text}");
    Ok(())
}
