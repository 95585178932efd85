//! Components in the browsers: they answer requests as they do at the node, within the same limits.

use std::collections::BTreeMap;

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use serverledge_testing::browser::Window;
use serverledge_testing::http_component::{component, trying_types};

use super::limits::becomes_quiet;
use crate::e2e::{Request, Setup, example};
use crate::support::shop::{Shop, edge, expect, in_every_browser, page_with};
use crate::support::site::{Document, Site};

/// Bytes of output, and of a body, that the node of these tests allows.
const OUTPUT_BYTES_MAX: usize = 20_000;
/// Seconds that an endless loop may take.
const TIMEOUT: u64 = 2;
/// Headers that are sent with a body.
const JSON: (&str, &str) = ("content-type", "application/json");

/// A request: method, path with query, headers, body.
type Asked = (
    &'static str,
    &'static str,
    Vec<(&'static str, &'static str)>,
    String,
);

/// Requests to `echo-http`.
fn requests() -> Vec<Asked> {
    let headers = || vec![("x-one", "1"), ("x-two", "a, b"), ("accept-language", "en")];
    vec![
        ("GET", "/", vec![], String::new()),
        (
            "GET",
            "/some/path?x=1&y=%20%C3%A9",
            headers(),
            String::new(),
        ),
        ("POST", "/post", vec![JSON], r#"{"name":"Adé"}"#.to_owned()),
        (
            "PUT",
            "/put?z",
            vec![("content-type", "text/plain")],
            "hi".to_owned(),
        ),
        ("PATCH", "/long", vec![JSON], "x".repeat(12_000)),
        ("DELETE", "/gone?status=404", headers(), String::new()),
        ("HEAD", "/head", headers(), String::new()),
        ("GET", "/?status=204", vec![], String::new()),
        ("GET", "/?status=599", vec![], String::new()),
        ("GET", "/?status=99", vec![], String::new()),
        ("GET", "/stream?chunks=5&pause_ms=20", vec![], String::new()),
        ("GET", "/page", vec![], String::new()),
        ("OPTIONS", "/options", vec![], String::new()),
    ]
}

/// Handlers, and the code of the error that each of them is.
const FAILURES: [(&str, &str, &str); 15] = [
    ("traps", "unreachable", "function_trap"),
    ("silent", "", "function_bad_output"),
    ("exits", "(call $log) (call $exit (i32.const 1))", "function_error"),
    ("exits-well", "(call $exit (i32.const 0))", "function_bad_output"),
    ("gives-up", "(call $drop-outparam (local.get $out))", "function_bad_output"),
    ("breaks-off", "(call $answer (local.get $out)) (call $say) unreachable", "function_trap"),
    ("unfinished", "(call $answer (local.get $out)) (call $say)", "function_bad_output"),
    (
        "too-short",
        "(call $length (i32.const 9)) (call $answer (local.get $out)) (call $say) (call $finish-body)",
        "function_bad_output",
    ),
    ("informs", "(call $answer-with (local.get $out) (i32.const 103)) (call $finish-body)", "function_bad_output"),
    (
        "errs",
        "(call $set (local.get $out) (i32.const 1) (i32.const 38) (i32.const 0) (i64.const 0) (i32.const 0) (i32.const 0)
         (i32.const 0) (i32.const 0))",
        "function_bad_output",
    ),
    (
        "out-of-order",
        "(call $answer (local.get $out)) (call $finish (global.get $b) (i32.const 0) (i32.const 0) (i32.const 16))",
        "function_trap",
    ),
    ("points-outside", "(call $write (call $get-stderr) (i32.const -16) (i32.const 26) (i32.const 16))", "function_trap"),
    ("hoards-headers", "(loop $again (call $large) (br $again))", "function_trap"),
    (
        "writes-on",
        "(call $answer (local.get $out)) (loop $again (call $say) (br $again))",
        "function_output_too_large",
    ),
    (
        "hoards",
        "(loop $again (br_if $again (i32.ne (memory.grow (i32.const 1)) (i32.const -1)))) unreachable",
        "function_out_of_memory",
    ),
];

#[test]
fn a_component_answers_in_every_browser_as_at_the_node() -> Result<()> {
    let shop = Shop::new(Setup::new()?, "any")?;
    let more = edge(json!({"Env": {"COLOUR": "red"}}));
    shop.deploy("echo", &example("echo-http")?, &more)?;
    let answers = "(call $large) (call $answer-with (local.get $out) (i32.const 418)) (call $say) (call $finish-body)";
    shop.deploy("text", component(answers).as_bytes(), &edge(json!({})))?;
    // A length that is none is refused, and the status is the last one that was set.
    let later = "(local $r i32) (call $length (i32.const 49)) (local.set $r (call $response (global.get $f)))
        (drop (call $status (local.get $r) (i32.const 204))) (call $body (local.get $r) (i32.const 0))
        (global.set $b (i32.load (i32.const 4))) (call $stream (global.get $b) (i32.const 0))
        (global.set $s (i32.load (i32.const 4))) (drop (call $status (local.get $r) (i32.const 201)))
        (call $set (local.get $out) (i32.const 0) (local.get $r) (i32.const 0) (i64.const 0) (i32.const 0) (i32.const 0)
            (i32.const 0) (i32.const 0))
        (call $say) (call $finish-body)";
    shop.deploy("later", component(later).as_bytes(), &edge(json!({})))?;
    shop.deploy("types", trying_types().as_bytes(), &edge(json!({})))?;
    shop.start()?;
    let site = Site::serve_documents(BTreeMap::from([(String::new(), page_with(&shop.origin()))]))?;
    let mut expected = Vec::new();
    for (method, path, headers, body) in requests() {
        let request = Request::new(method, &format!("/apps/shop/fn/echo{path}")).body(body.clone());
        let request = headers.iter().fold(request, |request, (name, value)| {
            request.header(name, value)
        });
        expected.push(shop.node.ask(&request)?);
    }
    let text = shop.node.get("/apps/shop/fn/text")?;
    let later = shop.node.get("/apps/shop/fn/later")?;
    expect(
        "later at the node",
        json!([later.status, later.text()]),
        json!([201, "hello"]),
    )?;
    let types = shop.node.get("/apps/shop/fn/types")?;
    ensure!(
        types.status == 200 && types.body.len() > 0x130,
        "{}",
        types.text()
    );
    in_every_browser(
        &format!("http://localhost:{}/", site.address.port()),
        |window| {
            let listed = shop.connect(window)?;
            ensure!(listed.is_empty(), "functions: {listed:?}");
            let components = "app.components.map(({ name, kind }) => `${name} ${kind}`)";
            expect(
                "components",
                window.run(components)?,
                json!([
                    "echo component",
                    "later component",
                    "text component",
                    "types component"
                ]),
            )?;
            for (request, at_node) in requests().iter().zip(&expected) {
                let what = format!("{} {}", request.0, request.1);
                let answer = fetch(window, "echo", request)?;
                expect(&what, answer["status"].clone(), at_node.status)?;
                let here = answer["body"].as_str().context("a body")?;
                expect(&what, seen(here), seen(&at_node.text()))?;
                let content_type = answer["headers"]["content-type"].clone();
                expect(&what, content_type, json!(at_node.header("content-type")))?;
            }
            let answer = fetch(window, "text", &get("/"))?;
            expect("status", answer["status"].clone(), 418)?;
            expect("body", answer["body"].clone(), text.text())?;
            expect(
                "x-large",
                answer["headers"]["x-large"].clone(),
                json!(text.header("x-large")),
            )?;
            let answer = fetch(window, "later", &get("/"))?;
            expect(
                "later",
                json!([answer["status"], answer["body"]]),
                json!([201, "hello"]),
            )?;
            let memory = "app.fetch('types', '').then(async (response) => [...new Uint8Array(await response.arrayBuffer())])";
            expect("types", window.run(memory)?, json!(types.body))?;
            let unknown = "app.fetch('nobody', '').catch((error) => error.code)";
            expect("nobody", window.run(unknown)?, "not_edge")
        },
    )
}

/// An answer of `echo-http`, without the headers that a client adds by itself.
fn seen(body: &str) -> Value {
    let Ok(mut seen) = serde_json::from_str::<Value>(body) else {
        return json!(body);
    };
    if let Some(headers) = seen["headers"].as_object_mut() {
        let kept = ["content-length", "content-type", "accept-language"];
        headers.retain(|name, value| {
            (name.starts_with("x-") || kept.contains(&name.as_str())) && value != "0"
        });
    }
    seen
}

/// The response of a component in a connected page: status, headers, body.
fn fetch(window: &mut dyn Window, name: &str, request: &Asked) -> Result<Value> {
    let (method, path, headers, body) = request;
    let headers: BTreeMap<_, _> = headers.iter().copied().collect();
    let mut init = json!({ "method": method, "headers": headers });
    if !body.is_empty() {
        init["body"] = json!(body);
    }
    let script = format!(
        "app.fetch({}, new Request(app.base + {}, {init})).then(async (response) => ({{ status: response.status, \
         headers: Object.fromEntries(response.headers), body: await response.text() }}))",
        json!(name),
        json!(path)
    );
    window
        .run(&script)
        .with_context(|| format!("{method} {path}"))
}

fn get(path: &'static str) -> Asked {
    ("GET", path, Vec::new(), String::new())
}

#[test]
fn a_component_fails_in_every_browser_as_at_the_node() -> Result<()> {
    let setup = Setup::new()?.with("function.output_bytes_max", OUTPUT_BYTES_MAX);
    let shop = Shop::new(setup, "any")?;
    for (name, body, _) in FAILURES {
        let limits = edge(json!({ "MemoryMB": 16, "Timeout": 10 }));
        shop.deploy(name, component(body).as_bytes(), &limits)?;
    }
    let endless = component("(loop $again (br $again))");
    shop.deploy(
        "endless",
        endless.as_bytes(),
        &edge(json!({ "Timeout": TIMEOUT })),
    )?;
    shop.deploy(
        "echo",
        &example("echo-http")?,
        &edge(json!({ "Timeout": TIMEOUT })),
    )?;
    shop.start()?;
    let slow = "/stream?chunks=100&pause_ms=1000";
    for (name, _, code) in FAILURES {
        // A reply that had begun breaks off at the node. There it has no code.
        if name != "writes-on" {
            expect(
                name,
                shop.node.get(&format!("/apps/shop/fn/{name}"))?.code(),
                code,
            )?;
        }
    }
    in_every_browser(&format!("{}/docs/", shop.origin()), |window| {
        shop.connect(window)?;
        for (name, _, code) in FAILURES {
            expect(name, failure(window, name, "/")?, code)?;
        }
        let logged = json!(["exits", "setting DB_URL is missing\n"]);
        expect("the log", window.run("logs")?[0].clone(), logged)?;
        // And again, in the Worker that follows.
        for _ in 0..2 {
            expect(
                "endless",
                failure(window, "endless", "/")?,
                "function_timeout",
            )?;
            expect("slow", failure(window, "echo", slow)?, "function_timeout")?;
            let answer = fetch(window, "echo", &get("/page"))?;
            expect("after", answer["status"].clone(), 200)?;
        }
        becomes_quiet(window)?;
        let closed = "(async () => { \
            const code = (call) => call.then(String, (error) => error.code); \
            const calls = [code(app.fetch('endless', '')), code(app.fetch('echo', ''))]; \
            await new Promise((done) => setTimeout(done, 300)); \
            app.close(); \
            return [...await Promise.all(calls), (await app.fetch('echo', 'page')).status]; })()";
        expect(
            "closed",
            window.run(closed)?,
            json!(["cancelled", "cancelled", 200]),
        )
    })
}

/// The code of the error that a component is.
fn failure(window: &mut dyn Window, name: &str, path: &str) -> Result<Value> {
    let script = format!(
        "app.fetch({}, new Request(app.base + {})).then(({{ status }}) => status, (error) => error.code ?? String(error))",
        json!(name),
        json!(path)
    );
    window.run(&script)
}

#[test]
fn a_component_that_is_not_signed_does_not_run() -> Result<()> {
    let shop = Shop::new(Setup::new()?, "any")?;
    shop.deploy("echo", &example("echo-http")?, &edge(json!({})))?;
    shop.start()?;
    let manifest = shop.node.get("/app/shop/edge/manifest")?;
    let text = manifest.json()?["manifest"].clone();
    let listed: Value = serde_json::from_str(text.as_str().context("a text")?)?;
    let echo = &listed["components"][0];
    let mut documents = BTreeMap::from([("/".to_owned(), page_with("'self'"))]);
    for file in ["edge.js", "edge-more.js", "edge-components.js"] {
        let library = shop.node.get(&format!("/sdk/{file}"))?.body;
        let library = Document::new("text/javascript", library);
        documents.insert(format!("/{file}"), library);
    }
    for folder in ["good", "flipped"] {
        let app = format!("/{folder}/app/shop");
        let signed = Document::new("application/json", manifest.body.clone());
        documents.insert(format!("{app}/edge/manifest"), signed);
        for file in [echo, &echo["deadline"]] {
            let path = file["module"].as_str().context("a path")?;
            let mut content = shop.node.get(&format!("/app/shop/{path}"))?.body;
            // In the plan, which is read before any module is compiled.
            content[1] ^= u8::from(folder == "flipped");
            let file = Document::new("application/octet-stream", content);
            documents.insert(format!("{app}/{path}"), file);
        }
    }
    let site = Site::serve_documents(documents)?;
    let page = format!("http://localhost:{}/", site.address.port());
    in_every_browser(&page, |window| {
        for (folder, expected) in [("good", json!(200)), ("flipped", json!("module_refused"))] {
            let script = format!(
                "import('/edge.js').then(async ({{ connect }}) => {{ \
                 const app = await connect(location.origin + '/{folder}/app/shop'); \
                 return (await app.fetch('echo', 'page')).status; }}).catch((error) => error.code ?? String(error))"
            );
            expect(folder, window.run(&script)?, expected)?;
        }
        Ok(())
    })
}
