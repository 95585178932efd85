//! Functions in the browser: the same modules give the same results and codes as at the node, and nothing runs that is not
//! signed.

use std::collections::BTreeMap;

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use serverledge_testing::browser::{Browser, Page};

use crate::e2e::{Node, Request, example, requests_of};
use crate::support::site::{Document, Site};

/// The examples that are core modules.
const EXAMPLES: [&str; 8] = [
    "add",
    "call-c",
    "call-chain",
    "hello",
    "markdown",
    "sieve",
    "thumbnail",
    "word-count",
];
/// A script that calls a function of the page, one of the node, and one that there is not.
const SCRIPT: &str = "
let calls = 0;
module.exports = async ({ a, b }) => {
  calls += 1;
  const { sum } = await call('add', { b, a });
  const far = await call('far', { x: sum });
  const fault = await call('nobody', {}).catch((error) => error.code);
  return { sum, far, fault, calls, text: 'é😀', number: 1e21, env: process.env.COLOUR };
};";
const FAR: &str = "module.exports = ({ x }) => ({ doubled: 2 * x });";
const FAILS: &str = "module.exports = () => { throw new TypeError('no'); };";
/// Limits that a script can meet: the depth of its own calls, the number of calls of functions, and a circle of them.
const LIMITED: &str = "
const f = (n) => n === 0 ? 0 : 1 + f(n - 1);
module.exports = async ({ deep, calls, circle }) => {
  if (circle) return call('limited', { circle }).catch((error) => [error.code, error.message]);
  const codes = [];
  for (let i = 0; i < calls; i++) await call('add', { a: i, b: 1 }).catch((error) => codes.push(error.code));
  try { return { codes, depth: f(deep) }; } catch (error) { return { codes, error: error.name }; }
};";
const HOARDS: &str =
    "module.exports = () => { const all = []; for (;;) all.push(new Array(100000).fill(1.5)); };";
/// A handler that does this, in a reactor with one page of memory that takes parameters at 1024.
const REACTOR: &str = r#"(module (memory (export "memory") 1)
    (func (export "serverledge_alloc") (param i32) (result i32) (i32.const 1024))
    (func $deeper (result i64) (i64.add (i64.const 1) (call $deeper)))
    (func (export "serverledge_handle") (param $ptr i32) (param $len i32) (result i64) BODY))"#;
/// The parameters as the result.
const ECHO: &str = "(i64.or (i64.shl (i64.extend_i32_u (local.get $ptr)) (i64.const 32))
    (i64.extend_i32_u (local.get $len)))";
const ENDLESS: &str = "(loop (br 0)) (unreachable)";
const TRAPS: &str = "(unreachable)";
const RECURSES: &str = "(call $deeper)";
/// All memory that there is, and then one page more.
const FILLS: &str =
    "(loop (br_if 0 (i32.ne (memory.grow (i32.const 1)) (i32.const -1)))) (unreachable)";
const POINTS_OUTSIDE: &str = "(i64.const 0x7fffffff00000001)";
/// An error that is no object: its text is the message.
const REPORTS: &str = "(i64.or (i64.const 0x80000000)
    (i64.or (i64.shl (i64.extend_i32_u (local.get $ptr)) (i64.const 32))
        (i64.extend_i32_u (local.get $len))))";
/// A command that writes five letters, and one that exits.
const NO_JSON: &str = r#"(module
    (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
    (memory (export "memory") 1)
    (data (i32.const 0) "\10\00\00\00\05\00\00\00") (data (i32.const 16) "hello")
    (func (export "_start") (drop (call $write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 8)))))"#;
const EXITS: &str = r#"(module
    (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
    (memory (export "memory") 1)
    (func (export "_start") (call $exit (i32.const 3))))"#;

/// The vectors of canonical JSON, which the node is held to as well.
const VECTORS: &str = include_str!("../../../crates/serverledge-wire/src/canonical/vectors.json");

fn reactor(body: &str) -> Vec<u8> {
    REACTOR.replace("BODY", body).into_bytes()
}

/// The members of a deploy: callers may run it.
fn edge(more: Value) -> Value {
    let mut members = json!({"Edge": true});
    if let (Some(members), Value::Object(more)) = (members.as_object_mut(), more) {
        members.extend(more);
    }
    members
}

/// Deploys a function of the application.
fn deploy(node: &Node, name: &str, code: &[u8], more: &Value) -> Result<()> {
    let body = crate::e2e::node::deployment(name, code, more);
    let response = node.post("/apps/shop/create", &body)?;
    ensure!(response.status == 200, "{name}: {}", response.text());
    Ok(())
}

fn done(node: &Node, request: &Request) -> Result<()> {
    let response = node.ask(request)?;
    ensure!(response.status < 300, "{}", response.text());
    Ok(())
}

/// The application `shop`, whose functions are not there yet.
fn application(node: &Node) -> Result<()> {
    done(node, &Request::json("/apps", &json!({"name": "shop"})))?;
    let cors = json!({"cors": "any"}).to_string();
    done(node, &Request::new("PATCH", "/apps/shop").body(cors))
}

fn start(node: &Node) -> Result<()> {
    done(node, &Request::json("/apps/shop/start", &json!({})))
}

/// Functions that give results, with parameters for each.
fn results(node: &Node) -> Result<Vec<(String, String)>> {
    let mut cases = Vec::new();
    for name in EXAMPLES {
        let more = edge(json!({"Idempotent": name == "add"}));
        deploy(node, name, &example(name)?, &more)?;
        let requests = requests_of(name)?;
        cases.extend(
            requests
                .iter()
                .map(|request| (name.to_owned(), request["params"].to_string())),
        );
    }
    let snapshot = json!({"Runtime": "javascript", "Env": {"COLOUR": "green"}});
    deploy(node, "script", SCRIPT.as_bytes(), &edge(snapshot))?;
    let stays = json!({"Runtime": "javascript", "Idempotent": true});
    deploy(node, "far", FAR.as_bytes(), &stays)?;
    let endpoint = json!({"path": "far", "function": "far"}).to_string();
    done(
        node,
        &Request::new("PUT", "/apps/shop/endpoints").body(endpoint),
    )?;
    let circle = edge(json!({"Runtime": "javascript", "Idempotent": true}));
    deploy(node, "limited", LIMITED.as_bytes(), &circle)?;
    deploy(node, "echo", &reactor(ECHO), &edge(json!({})))?;
    let idempotent = edge(json!({"Idempotent": true}));
    deploy(node, "canonical", &reactor(ECHO), &idempotent)?;
    let written = r#"{"b": 1.0, "a": "\u00e9\/", "c": [1e2, -0]}"#;
    let without_form = r#"{"b": 12345678901234567890, "a": 1}"#;
    for (name, params) in [
        ("script", r#"{"a":2,"b":3}"#),
        ("script", r#"{"a":2,"b":4}"#),
        ("limited", r#"{"deep":5000,"calls":1002}"#),
        ("limited", r#"{"deep":1000000,"calls":0}"#),
        ("limited", r#"{"circle":true}"#),
        ("echo", written),
        ("canonical", written),
        ("canonical", without_form),
    ] {
        cases.push((name.to_owned(), params.to_owned()));
    }
    Ok(cases)
}

/// Functions that fail, with parameters for each.
fn failures(node: &Node) -> Result<Vec<(String, String)>> {
    let javascript = edge(json!({"Runtime": "javascript"}));
    deploy(node, "fails", FAILS.as_bytes(), &javascript)?;
    deploy(node, "no-json", NO_JSON.as_bytes(), &edge(json!({})))?;
    deploy(node, "exits", EXITS.as_bytes(), &edge(json!({})))?;
    for (name, body) in [
        ("traps", TRAPS),
        ("recurses", RECURSES),
        ("points-outside", POINTS_OUTSIDE),
        ("reports", REPORTS),
    ] {
        deploy(node, name, &reactor(body), &edge(json!({})))?;
    }
    let hoards = edge(json!({"Runtime": "javascript", "MemoryMB": 32}));
    deploy(node, "hoards", HOARDS.as_bytes(), &hoards)?;
    let little = json!({"MemoryMB": 8});
    deploy(node, "fills", &reactor(FILLS), &edge(little.clone()))?;
    deploy(node, "allocates", &example("sieve")?, &edge(little))?;
    let short = edge(json!({"Timeout": 2}));
    deploy(node, "endless", &reactor(ENDLESS), &short)?;
    let cases = [
        ("add", r#"{"a":"x"}"#),
        ("sieve", r#"{"n":-1}"#),
        ("call-c", r#"{"function":"nobody","params":{}}"#),
        ("fails", "{}"),
        ("no-json", "{}"),
        ("exits", "{}"),
        ("traps", "{}"),
        ("recurses", "{}"),
        ("points-outside", "{}"),
        ("reports", "{}"),
        ("hoards", "{}"),
        ("fills", "{}"),
        ("allocates", r#"{"n":50000000}"#),
        ("endless", "{}"),
    ];
    Ok(cases
        .map(|(name, params)| (name.to_owned(), params.to_owned()))
        .to_vec())
}

/// A page of another site that may run WebAssembly in Workers made by scripts, and nothing else.
fn page_with(node: &str) -> Document {
    Document {
        policy: format!(
            "default-src 'none'; script-src 'self' {node} 'wasm-unsafe-eval'; worker-src blob:; connect-src 'self' {node}"
        ),
        ..Document::new("text/html", "<!doctype html><title>a page</title>")
    }
}

/// Connects a page to the application at this URL; it is `app` there from now on.
fn connect(browser: &mut Browser, page: &Page, library: &str, url: &str) -> Result<Value> {
    let script = format!(
        "import('{library}').then(async (edge) => {{ \
         globalThis.edge = edge; globalThis.app = await edge.connect('{url}'); \
         return app.functions.map(({{ name, kind }}) => `${{name}} ${{kind}}`); }})"
    );
    browser.run(page, &script)
}

/// The outcome of a call in a page: its result's JSON, or its error's code.
fn run(browser: &mut Browser, page: &Page, name: &str, params: &str) -> Result<String> {
    let script = format!(
        "app.runText({}, {}).catch((error) => error.code ?? String(error))",
        json!(name),
        json!(params)
    );
    let outcome = browser.run(page, &script)?;
    Ok(outcome.as_str().context("an outcome")?.to_owned())
}

/// The same at the node.
fn run_at_node(node: &Node, name: &str, params: &str) -> Result<String> {
    let request = Request::post(&format!("/apps/shop/fn/{name}"), params)
        .header("Content-Type", "application/json");
    let response = node.ask(&request)?;
    Ok(if response.status == 200 {
        response.text()
    } else {
        response.code()
    })
}

#[test]
fn a_function_gives_the_same_in_the_browser_and_at_the_node() -> Result<()> {
    let node = Node::start()?;
    application(&node)?;
    let mut cases = results(&node)?;
    cases.extend(failures(&node)?);
    start(&node)?;
    let own = format!("http://localhost:{}", node.address.port());
    let site = Site::serve_documents(BTreeMap::from([(String::new(), page_with(&own))]))?;
    let mut browser = Browser::start(&[])?;
    let page = browser.open(&format!("http://localhost:{}/", site.address.port()))?;
    let library = format!("{own}/sdk/edge.js");
    let listed = connect(&mut browser, &page, &library, &format!("{own}/app/shop"))?;
    for one in ["add reactor", "hello command", "script snapshot"] {
        assert!(
            listed
                .as_array()
                .is_some_and(|listed| listed.contains(&json!(one))),
            "{listed}"
        );
    }
    for (name, params) in &cases {
        assert_eq!(
            run(&mut browser, &page, name, params)?,
            run_at_node(&node, name, params)?,
            "{name} {params}"
        );
    }
    // After the endless loop, in the Worker that follows.
    assert_eq!(
        run(&mut browser, &page, "add", r#"{"a":1,"b":2}"#)?,
        r#"{"sum":3}"#
    );
    assert_eq!(run(&mut browser, &page, "far", "{}")?, "not_edge");
    let script =
        format!("({VECTORS}).filter(([text, form]) => (edge.canonical(text) ?? null) !== form)");
    assert_eq!(browser.run(&page, &script)?, json!([]));
    Ok(())
}

#[test]
fn the_node_takes_the_results_of_the_browser() -> Result<()> {
    let node = Node::start()?;
    application(&node)?;
    let inner = "module.exports = ({ a, b }) => ({ result: a + b });";
    let outer = "module.exports = async ({ a, b, c }) => ({ out: (await call('inner', { a, b })).result * c });";
    let javascript = json!({"Runtime": "javascript", "Idempotent": true});
    deploy(&node, "inner", inner.as_bytes(), &edge(javascript.clone()))?;
    deploy(&node, "outer", outer.as_bytes(), &javascript)?;
    let endpoint = json!({"path": "outer", "function": "outer"}).to_string();
    done(
        &node,
        &Request::new("PUT", "/apps/shop/endpoints").body(endpoint),
    )?;
    start(&node)?;
    let mut browser = Browser::start(&[])?;
    let own = format!("http://localhost:{}", node.address.port());
    let page = browser.open(&format!("{own}/docs/"))?;
    connect(
        &mut browser,
        &page,
        "/sdk/edge.js",
        &format!("{own}/app/shop"),
    )?;
    let script = "app.run('inner', { a: 4, b: 5 })";
    assert_eq!(browser.run(&page, script)?, json!({"result": 9}));
    // The first is computed of the page's own result, the second is the returned cache.
    for source in ["edge", "carried"] {
        let script = "app.invoke('outer', { a: 4, b: 5, c: 6 })";
        assert_eq!(browser.run(&page, script)?, json!({"out": 54}));
        let metrics = node.get("/metrics")?.text();
        let counted = format!("serverledge_cache_answers_total{{source=\"{source}\"}} 1");
        assert!(metrics.contains(&counted), "{counted}: {metrics}");
    }
    let script = "app.invoke('inner-most').catch((error) => error.code)";
    assert_eq!(browser.run(&page, script)?, "function_unknown");
    Ok(())
}

/// The answers of a node from which a browser runs `add`, as they can be put elsewhere.
struct Answers {
    manifest: Value,
    keys: Value,
    module_path: String,
    module: Vec<u8>,
}

fn answers(node: &Node) -> Result<Answers> {
    let manifest = node.get("/app/shop/edge/manifest")?.json()?;
    let signed: Value = serde_json::from_str(manifest["manifest"].as_str().context("a text")?)?;
    let module_path = signed["functions"][0]["module"]
        .as_str()
        .context("a module")?
        .to_owned();
    Ok(Answers {
        keys: node.get("/app/shop/edge/keys")?.json()?,
        module: node.get(&format!("/app/shop/{module_path}"))?.body,
        manifest,
        module_path,
    })
}

/// A mirror of the answers below a folder, changed.
fn mirror(
    documents: &mut BTreeMap<String, Document>,
    application: &str,
    answers: &Answers,
    change: impl FnOnce(&mut Value, &mut Vec<u8>),
) {
    let mut manifest = answers.manifest.clone();
    let mut module = answers.module.clone();
    change(&mut manifest, &mut module);
    let json = |value: &Value| Document::new("application/json", value.to_string());
    for (path, document) in [
        ("edge/manifest", json(&manifest)),
        ("edge/keys", json(&answers.keys)),
        (
            answers.module_path.as_str(),
            Document::new("application/wasm", module),
        ),
    ] {
        documents.insert(format!("{application}/{path}"), document);
    }
}

fn replaced(manifest: &mut Value, from: &str, to: &str) {
    let text = manifest["manifest"].as_str().unwrap_or_default();
    assert!(text.contains(from), "{text}");
    manifest["manifest"] = text.replacen(from, to, 1).into();
}

/// A node with `add` in the application, and its answers.
fn node_with_add() -> Result<(Node, Answers)> {
    let node = Node::start()?;
    application(&node)?;
    deploy(&node, "add", &example("add")?, &edge(json!({})))?;
    start(&node)?;
    let answers = answers(&node)?;
    Ok((node, answers))
}

#[test]
fn nothing_runs_that_is_not_signed() -> Result<()> {
    let (node, own) = node_with_add()?;
    let (_other, foreign) = node_with_add()?;
    let mut documents = BTreeMap::new();
    let all = &mut documents;
    mirror(all, "/good/app/shop", &own, |_, _| {});
    mirror(all, "/other-name/app/store", &own, |_, _| {});
    mirror(all, "/flipped/app/shop", &own, |_, module| {
        if let Some(last) = module.last_mut() {
            *last ^= 1;
        }
    });
    mirror(all, "/grown/app/shop", &own, |manifest, _| {
        replaced(manifest, "\"timeout_ms\":", "\"timeout_ms\":1");
    });
    mirror(all, "/another-digest/app/shop", &own, |manifest, _| {
        replaced(
            manifest,
            "\"integrity\":\"sha256-",
            "\"integrity\":\"sha256-A",
        );
    });
    mirror(all, "/foreign/app/shop", &foreign, |_, _| {});
    mirror(all, "/renamed-key/app/shop", &foreign, |manifest, _| {
        manifest["key_id"] = own.manifest["key_id"].clone();
    });
    let library = node.get("/sdk/edge.js")?.body;
    documents.insert(
        "/edge.js".to_owned(),
        Document::new("text/javascript", library),
    );
    documents.insert("/".to_owned(), page_with("'self'"));
    let site = Site::serve_documents(documents)?;
    let mut browser = Browser::start(&[])?;
    let page = browser.open(&format!("http://localhost:{}/", site.address.port()))?;
    let key = own.keys["keys"][0]["x"].clone();
    let mut attempt = |path: &str, before: &str| {
        let script = format!(
            "import('/edge.js').then(async ({{ connect }}) => {{ {before} \
             const app = await connect(location.origin + '{path}', {{ keys: [{key}] }}); \
             return app.runText('add', '{{\"a\":1,\"b\":2}}'); }}).catch((error) => error.code ?? String(error))"
        );
        browser.run(&page, &script)
    };
    for (path, expected) in [
        ("/good/app/shop", r#"{"sum":3}"#),
        ("/other-name/app/store", "manifest_refused"),
        ("/flipped/app/shop", "module_refused"),
        ("/grown/app/shop", "manifest_refused"),
        ("/another-digest/app/shop", "manifest_refused"),
        ("/foreign/app/shop", "manifest_refused"),
        ("/renamed-key/app/shop", "manifest_refused"),
    ] {
        assert_eq!(attempt(path, "")?, expected, "{path}");
    }
    // Two days later.
    let later = "const now = Date.now; Date.now = () => now() + 2 * 24 * 3600 * 1000;";
    assert_eq!(attempt("/good/app/shop", later)?, "manifest_refused");
    Ok(())
}

#[test]
fn functions_with_secrets_stay_at_the_node() -> Result<()> {
    let node = Node::start()?;
    application(&node)?;
    let secret = json!({"Secrets": {"KEY": "hidden"}});
    deploy(&node, "add", &example("add")?, &edge(secret))?;
    deploy(&node, "page", &example("echo-http")?, &edge(json!({})))?;
    deploy(&node, "hello", &example("hello")?, &json!({}))?;
    start(&node)?;
    let manifest = node.get("/app/shop/edge/manifest")?.json()?;
    let text = manifest["manifest"].as_str().context("a text")?;
    let listed: Value = serde_json::from_str(text)?;
    assert_eq!(listed["functions"], json!([]), "{text}");
    Ok(())
}
