//! Functions in JavaScript on a node without containers: deployed as source, loaded once, run as snapshots.

use std::collections::HashSet;

use anyhow::{Context, Result};
use serde_json::{Value, json};

use crate::support::{Node, Request, Response, Setup, beside, example, joined};

const HELLO: &str = r"
let calls = 0;
module.exports = function (params, context) {
  calls += 1;
  console.log('greeting', params.name);
  return { message: `Hello, ${params.name}!`, calls };
};
";

fn merged(mut more: Value) -> Value {
    more["Runtime"] = "javascript".into();
    more
}

fn deploy(node: &Node, name: &str, source: &str, more: Value) -> Result<()> {
    node.deploy_with(name, source, &merged(more))
}

/// Deploys and calls once, with `{}`.
fn call(node: &Node, source: &str, more: Value) -> Result<Response> {
    let name = format!("f{}", node.names()?.len());
    deploy(node, &name, source, more)?;
    node.post(&format!("/fn/{name}"), &json!({}))
}

fn result(node: &Node, source: &str) -> Result<Value> {
    let response = call(node, source, json!({}))?;
    anyhow::ensure!(response.status == 200, "{}", response.text());
    response.json()
}

#[test]
fn ten_lines_answer() -> Result<()> {
    let node = Setup::new()?.with("container.enabled", false).start()?;
    std::fs::write(node.home().join("hello.js"), HELLO)?;
    let ran = node.cli(&["create", "--src", "hello.js"])?;
    ran.assert_code(0);
    let told = format!("{}{}", ran.stdout, ran.stderr);
    assert!(
        told.contains("runtime javascript") && told.contains("it runs in WebAssembly"),
        "{told}"
    );
    for _ in 0..3 {
        let answer = node.post("/fn/hello", &json!({"name": "Ada"}))?.json()?;
        assert_eq!(answer, json!({"message": "Hello, Ada!", "calls": 1}));
    }
    let facts = "module.exports = (params, context) => {
        const left = context.deadline_ms - Date.now();
        return [0 < left && left <= 30_000, context.memory_mb, Object.keys(context)];
    };";
    let names = [
        "invocation_id",
        "function",
        "deadline_ms",
        "memory_mb",
        "traceparent",
        "tracestate",
    ];
    assert_eq!(result(&node, facts)?, json!([true, 128, names]));
    let ran = node.cli(&["invoke", "-f", "hello", "-p", "name:Ada"])?;
    assert_eq!(ran.result()?["message"], "Hello, Ada!");
    node.wait_until_free()
}

/// The same source is the same version; another handler is another one.
#[test]
fn the_version_follows_from_the_source() -> Result<()> {
    let node = Node::start()?;
    let source = "exports.one = () => 1; exports.two = () => 2;";
    let version = |handler: &str, name: &str| -> Result<Value> {
        let response = node.try_deploy(
            name,
            source.as_bytes(),
            &merged(json!({ "Handler": handler })),
        )?;
        Ok(response.json()?["Version"].clone())
    };
    let one = version("index.one", "a")?;
    assert!(one.is_string(), "{one}");
    assert_eq!(version("index.one", "b")?, one);
    assert_ne!(version("index.two", "c")?, one);
    assert_eq!(node.post("/fn/c", &json!({}))?.json()?, json!(2));
    let again = node.stop()?.restart()?;
    assert_eq!(again.post("/fn/a", &json!({}))?.json()?, json!(1));
    Ok(())
}

/// Whoever sends source without a runtime gets the one that suits it.
#[test]
fn the_runtime_follows_from_the_source() -> Result<()> {
    let node = Node::start()?;
    for (file, source, code) in [
        ("plain.js", "module.exports = () => 1", 0),
        (
            "fs.js",
            "const fs = require('fs'); module.exports = () => 1",
            2,
        ),
        ("worker.mjs", "export default () => new Worker('a')", 2),
        (
            "cipher.js",
            "const c = require('crypto'); module.exports = () => c.createCipheriv('a', 'b', 'c')",
            2,
        ),
        (
            "buffer.mjs",
            "import { Buffer } from 'node:buffer'; export default () => Buffer.from('a')",
            0,
        ),
        (
            "sorted.js",
            "module.exports = (p) => p.sort((a, b) => a.localeCompare(b))",
            0,
        ),
        (
            "root.js",
            "const root = typeof globalThis !== 'undefined' ? globalThis : global; module.exports = () => typeof root",
            0,
        ),
    ] {
        std::fs::write(node.home().join(file), source)?;
        let ran = node.cli(&["create", "--src", file])?;
        ran.assert_code(code);
        let words = if code == 0 {
            "in WebAssembly"
        } else {
            "in Node.js, in a container"
        };
        assert!(
            format!("{}{}", ran.stdout, ran.stderr).contains(words),
            "{ran:?}"
        );
    }
    assert_eq!(node.names()?, ["buffer", "plain", "root", "sorted"]);
    Ok(())
}

#[test]
fn what_does_not_load_is_refused_with_its_place() -> Result<()> {
    let node = Node::start()?;
    for (source, words) in [
        ("const a = 1;\nfunction f( { return 1 }", "SyntaxError: "),
        ("const a = 1;\nfunction f( { return 1 }", "(index.js:2:"),
        (
            "function g() {\n  throw new TypeError('no good');\n}\ng();",
            "TypeError: no good (index.js:2:",
        ),
        ("console.log('words'); throw 1", "it wrote: words"),
        ("const a = 1", "exports neither a function"),
        (
            "const fs = require('node:fs');\nmodule.exports = () => 1",
            "runtime nodejs (index.js:1:",
        ),
        (
            "import { marked } from 'marked';\nexport default () => 1",
            "bundle",
        ),
        ("while (true);", "processor time"),
        (
            "const a = []; for (;;) a.push(new Array(100000).fill(1));",
            "out of memory",
        ),
        ("const f = () => f() + 1; f();", "RangeError"),
        (
            "await new Promise(() => {}); export default () => 1",
            "function_does_not_load",
        ),
    ] {
        let response = node.try_deploy("f", source.as_bytes(), &merged(json!({})))?;
        response.assert_problem(422, "function_does_not_load");
        assert!(
            response.text().contains(words),
            "{source}: {}",
            response.text()
        );
    }
    assert!(node.names()?.is_empty());
    Ok(())
}

#[test]
fn every_fault_has_its_code() -> Result<()> {
    let node = Node::start()?;
    let big = "module.exports = () => 'x'.repeat(100_000_000)";
    for (source, more, status, code, words) in [
        (
            "module.exports = () => { while (true); }",
            json!({"Timeout": 0.3}),
            504,
            "function_timeout",
            "300ms",
        ),
        (
            "module.exports = () => {\n  const f = () => f() + 1; return f(); }",
            json!({}),
            502,
            "function_error",
            "index.js:2:",
        ),
        (
            "module.exports = () => { const a = [];\n for (;;) a.push(new Array(100000).fill(1)); }",
            json!({}),
            502,
            "function_out_of_memory",
            "index.js:2:",
        ),
        (
            big,
            json!({"MemoryMB": 64}),
            502,
            "function_out_of_memory",
            "out of memory",
        ),
        (
            big,
            json!({"MemoryMB": 1024, "Timeout": 300}),
            502,
            "function_output_too_large",
            "output",
        ),
        (
            "module.exports = () => new Promise(() => {})",
            json!({}),
            502,
            "function_error",
            "never settle",
        ),
        (
            "module.exports = async () => {\n throw new RangeError('out of luck') }",
            json!({}),
            502,
            "function_error",
            "index.js:2:",
        ),
        (
            "module.exports = () => { throw 'a word' }",
            json!({}),
            502,
            "function_error",
            "a word",
        ),
        (
            "module.exports = () => { const a = {}; a.a = a; return a }",
            json!({}),
            502,
            "function_error",
            "circular",
        ),
        (
            "module.exports = () => 1n",
            json!({}),
            502,
            "function_error",
            "BigInt",
        ),
    ] {
        let response = call(&node, source, more)?;
        response.assert_problem(status, code);
        let told = response.text();
        assert!(
            told.contains(words) || words == "never settle" && told.contains("never"),
            "{source}: {told}"
        );
    }
    node.wait_until_free()
}

/// Tries to leave something behind in every place that outlives a call elsewhere, and says what it found there.
const LEAKY: &str = r"
let count = 0;
const kept = [];
const parse = JSON.parse;
function Thing() {}
module.exports = (params) => {
  const found = [];
  if (globalThis.left !== undefined) found.push('global');
  if ({}.left !== undefined || [].left !== undefined || ''.left !== undefined) found.push('prototype');
  if (Thing.left !== undefined || new Thing().left !== undefined) found.push('class');
  if (count !== 0 || kept.length !== 0) found.push('variable');
  if (JSON.parse !== parse || Math.left !== undefined || console.left !== undefined) found.push('builtin');
  if (module.exports.left !== undefined || require.left !== undefined) found.push('module');
  if (process.env.LEFT !== undefined) found.push('environment');
  if (params.own !== undefined) found.push('params');
  globalThis.left = params; Object.prototype.left = 1; Array.prototype.left = 1; String.prototype.left = 1;
  Thing.left = Thing.prototype.left = 1; count += 1; kept.push(params);
  JSON.parse = () => 'leaked'; Math.left = console.left = 1;
  module.exports.left = require.left = 1; process.env.LEFT = '1'; params.own = 1;
  setTimeout(() => { globalThis.late = 1; }, 0);
  new Array(20000).fill(params.n);
  return { n: params.n, found };
};
";

#[test]
fn nothing_survives_a_call() -> Result<()> {
    let node = Node::start()?;
    deploy(&node, "leaky", LEAKY, json!({}))?;
    deploy(&node, "other", &format!("{LEAKY}// another one"), json!({}))?;
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..4_u64)
            .map(|thread| {
                let node = &node;
                beside(scope, move || {
                    let mut connection = node.connect()?;
                    for call in 0..100 {
                        let name = if call % 2 == 0 { "leaky" } else { "other" };
                        let n = thread * 1000 + call;
                        let response = connection
                            .send(&Request::json(&format!("/fn/{name}"), &json!({ "n": n })))?;
                        assert_eq!(response.json()?, json!({ "n": n, "found": [] }));
                    }
                    Ok(())
                })
            })
            .collect();
        threads.into_iter().try_for_each(joined)
    })?;
    node.wait_until_free()
}

/// Drawn for each call, and nothing of them is in the snapshot.
#[test]
fn time_and_randomness_are_of_the_call() -> Result<()> {
    let node = Node::start()?;
    let source = r"
        const early = Date.now(), drawn = Math.random();
        module.exports = () => ({
          early, drawn, now: Date.now(), random: Math.random(), id: crypto.randomUUID(),
          bytes: Array.from(crypto.getRandomValues(new Uint8Array(16))).join(),
        });";
    deploy(&node, "f", source, json!({}))?;
    let mut seen = HashSet::new();
    let before = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)?
        .as_millis();
    let mut early = HashSet::new();
    for _ in 0..20 {
        let answer = node.post("/fn/f", &json!({}))?.json()?;
        for member in ["random", "id", "bytes"] {
            assert!(
                seen.insert(answer[member].to_string()),
                "{member} came twice: {answer}"
            );
        }
        early.insert(format!("{} {}", answer["early"], answer["drawn"]));
        let now = u128::from(answer["now"].as_u64().context("a time")?);
        // The engine's clock is coarse.
        assert!(
            now + 1000 >= before && now <= before + 600_000,
            "{answer} at {before}"
        );
    }
    assert_eq!(
        early.len(),
        1,
        "what was drawn while loading is the same for all"
    );
    Ok(())
}

#[test]
fn functions_call_each_other_across_languages() -> Result<()> {
    let node = Node::start()?;
    node.deploy_with("add", example("add")?, &json!({}))?;
    let source = r"
        export default async ({ a, b }) => {
          const sum = await call('add', { a, b });
          try { await call('nobody', {}); } catch (error) { return { sum, code: error.code }; }
        };";
    deploy(&node, "js", source, json!({}))?;
    let answer = node.post("/fn/js", &json!({"a": 20, "b": 22}))?.json()?;
    assert_eq!(answer["code"], "function_unknown", "{answer}");
    let add = node.post("/fn/add", &json!({"a": 20, "b": 22}))?.json()?;
    assert_eq!(answer["sum"], add);
    // And from WebAssembly to JavaScript: call-chain calls whatever is named add.
    node.cli(&["delete", "-f", "add"])?.assert_code(0);
    deploy(
        &node,
        "add",
        "module.exports = ({ a, b }) => ({ sum: a + b })",
        json!({}),
    )?;
    node.deploy_example("call-chain")?;
    assert_eq!(
        node.post("/fn/call-chain", &json!({"a": 20, "b": 1}))?
            .json()?,
        json!({"double": 42})
    );
    Ok(())
}

#[test]
fn the_environment_is_the_functions_own() -> Result<()> {
    let node = Node::start()?;
    let source =
        "module.exports = () => process.env.LEVEL + ' ' + (process.env.PATH === undefined)";
    let response = call(&node, source, json!({"Env": {"LEVEL": "debug"}}))?;
    assert_eq!(response.json()?, json!("debug true"));
    assert_eq!(result(&node, "module.exports = () => { }")?, Value::Null);
    Ok(())
}

/// Plain variables are part of the version, and there while the file is loaded; secrets are neither.
#[test]
fn variables_are_there_while_a_file_is_loaded() -> Result<()> {
    let node = Node::start()?;
    let source = "const early = [process.env.LEVEL ?? null, process.env.KEY ?? null];
        module.exports = () => [...early, process.env.LEVEL ?? null, process.env.KEY ?? null];";
    let mut versions = HashSet::new();
    for level in ["debug", "info"] {
        let more = merged(json!({"Env": {"LEVEL": level}, "Secrets": {"KEY": "hidden"}}));
        let response = node.try_deploy(level, source.as_bytes(), &more)?;
        let created = response.json()?;
        let remarks = created["Remarks"].to_string();
        assert!(
            remarks.contains("index.js:1:43: the secret KEY is read while the file is loaded"),
            "{remarks}"
        );
        versions.insert(created["Version"].to_string());
        let answer = node.post(&format!("/fn/{level}"), &json!({}))?.json()?;
        assert_eq!(answer, json!([level, null, level, "hidden"]));
    }
    assert_eq!(versions.len(), 2);
    Ok(())
}

/// Whatever is otherwise than in Node.js is said when the file is deployed, with its line.
#[test]
fn a_deploy_says_what_a_file_will_get() -> Result<()> {
    let node = Node::start()?;
    for (source, words) in [
        (
            "const early = Date.now();\nmodule.exports = () => early",
            "index.js:1:20: the clock is read while",
        ),
        (
            "module.exports = () => 1;\nexports.at = () => Date.now()",
            "index.js:2: the clock is the machine's",
        ),
        (
            "const early = Math.random();\nmodule.exports = () => early",
            "index.js:1:20: a random value is drawn",
        ),
        (
            "const late = new Promise((d) => setTimeout(d, 9));\nmodule.exports = () => late",
            "index.js:1:44: a timer",
        ),
        (
            "module.exports = async () => {\n  await fetch('x') }",
            "index.js:2: fetch reaches the hosts that the deployment names",
        ),
        (
            "module.exports = () => new Intl.DisplayNames('de', { type: 'region' })",
            "index.js:1: the runtime javascript does not have Intl.DisplayNames",
        ),
    ] {
        let response = node.try_deploy("f", source.as_bytes(), &merged(json!({})))?;
        let remarks = response.json()?["Remarks"].to_string();
        assert!(remarks.contains(words), "{source}: {remarks}");
        node.cli(&["delete", "-f", "f"])?.assert_code(0);
    }
    let quiet = node.try_deploy(
        "f",
        b"module.exports = () => new Date(0)",
        &merged(json!({})),
    )?;
    assert_eq!(quiet.json()?.get("Remarks"), None, "{}", quiet.text());
    Ok(())
}

#[test]
fn recursion_goes_thousands_deep_and_causes_are_told() -> Result<()> {
    let node = Node::start()?;
    let source =
        "const f = (n) => n < 2 ? 1 : n * f(n - 1); module.exports = () => String(f(5000));";
    assert_eq!(result(&node, source)?, json!("Infinity"));
    let endless = "const f = () => f() + 1; module.exports = () => { try { f() } catch (e) { return e.name } }";
    assert_eq!(result(&node, endless)?, json!("RangeError"));
    let source = "module.exports = () => {
        try { null.total } catch (cause) { throw new Error('cannot price', { cause }) } }";
    let told = call(&node, source, json!({}))?.text();
    assert!(
        told.contains("[cause]: TypeError: Cannot read properties of null (reading 'total')"),
        "{told}"
    );
    let source = "module.exports = () => Promise.any([Promise.reject(new Error('a is down'))])";
    let told = call(&node, source, json!({}))?.text();
    assert!(
        told.contains("All promises were rejected") && told.contains("Error: a is down"),
        "{told}"
    );
    node.wait_until_free()
}
