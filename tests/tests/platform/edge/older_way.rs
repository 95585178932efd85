//! `POST /edge` and the `runEdgeFunction` in its answer: the older way to the same library.

use std::collections::BTreeMap;

use anyhow::Result;
use serde_json::json;

use crate::e2e::{Request, Setup};
use crate::support::shop::{Shop, edge, expect, in_every_browser, page_with};
use crate::support::site::{Document, Site};

const INNER: &str = "exports.handler = ({ b, a }) => ({ result: a + b });";
const OUTER: &str = "module.exports = async ({ a, b, c }) => {
  const { result } = await call('inner-function', { b, a });
  return { out: result * c };
};";
/// State between calls, which there is none of; the older way evaluated this in the page.
const COUNTS: &str = "let n = 0; module.exports = () => [++n, typeof document];";
const ENDLESS: &str = "module.exports = () => { for (;;); };";

/// A page that may evaluate what the node answers.
fn page(origin: &str) -> Document {
    let Document { policy, .. } = page_with(origin);
    Document {
        policy: policy.replace("'wasm-unsafe-eval'", "'unsafe-eval'"),
        ..page_with(origin)
    }
}

#[test]
fn the_worked_example_runs_in_the_client() -> Result<()> {
    let shop = Shop::new(Setup::new()?, "any")?;
    let script =
        |more: &str| edge(json!({"Runtime": "javascript", "Idempotent": more == "idempotent"}));
    shop.deploy("inner-function", INNER.as_bytes(), &script("idempotent"))?;
    shop.deploy("outer-function", OUTER.as_bytes(), &script("idempotent"))?;
    shop.deploy("counts", COUNTS.as_bytes(), &script(""))?;
    let brief = json!({"Runtime": "javascript", "Timeout": 1});
    shop.deploy("endless", ENDLESS.as_bytes(), &edge(brief))?;
    shop.endpoint("outer-function")?;
    shop.start()?;
    let origin = shop.origin();
    let site = Site::serve_documents(BTreeMap::from([(String::new(), page(&origin))]))?;
    let url = format!("http://localhost:{}/", site.address.port());
    let results = json!({
        "inner-function": {"eyJhIjo0LCJiIjo1fQ==": {"result": 9}},
        "outer-function": {"eyJhIjo0LCJiIjo1LCJjIjo2fQ==": {"out": 54}},
    });
    in_every_browser(&url, |window| {
        let ask = format!(
            "fetch('{origin}/app/shop/edge', {{ method: 'POST', headers: {{ 'content-type': 'application/json' }}, \
             body: JSON.stringify({{ functions: ['inner-function', 'outer-function', 'counts', 'endless'] }}) }}) \
             .then((response) => response.json()).then((answer) => {{ \
             globalThis.functions = answer.functions; (0, eval)(answer.runEdgeFunction); \
             return Object.keys(functions).length; }})"
        );
        expect("functions", window.run(&ask)?, json!(4))?;
        let run = "runEdgeFunction('outer-function', functions, { c: 6, b: 5, a: 4 })";
        expect("the example", window.run(run)?, results.clone())?;
        let twice =
            "runEdgeFunction('counts', functions).then(() => runEdgeFunction('counts', functions))";
        let fresh = json!({"counts": {"e30=": [1, "undefined"]}});
        expect("a second call", window.run(twice)?, fresh)?;
        let code = |name: &str| {
            format!(
                "runEdgeFunction('{name}', functions).catch((error) => error.code ?? error.message)"
            )
        };
        expect(
            "endless",
            window.run(&code("endless"))?,
            json!("function_timeout"),
        )?;
        // A new answer, evaluated anew, goes on with the connection.
        let again = "Promise.resolve((0, eval)(`(${runEdgeFunction})`)) \
            .then((anew) => anew('counts', { ...functions })) \
            .then(() => globalThis[Symbol.for('serverledge.edge')].size)";
        expect("one connection", window.run(again)?, json!(1))?;
        let unknown = json!("function 'elsewhere' was not downloaded");
        expect("not downloaded", window.run(&code("elsewhere"))?, unknown)
    })?;
    // What it gives back is what an endpoint takes: with the inner result it runs the outer function only.
    let body = json!({
        "args": {"a": 4, "b": 5, "c": 6},
        "edgeResults": {"inner-function": results["inner-function"]},
    });
    let response = shop
        .node
        .ask(&Request::json("/app/shop/outer-function", &body))?;
    let expected =
        json!({"result": {"out": 54}, "cache": {"outer-function": results["outer-function"]}});
    let mut answered = response.json()?;
    if let Some(cache) = answered["cache"].as_object_mut() {
        cache.remove("$tags");
    }
    assert_eq!(answered, expected);
    Ok(())
}
