//! Scripts that answer requests: `export default { fetch }`, deployed as source, on `/fn` and as an application's endpoints.

use anyhow::{Result, ensure};
use serde_json::{Value, json};

use crate::support::node::deployment;
use crate::support::{Node, Request, Response, Setup};

const APP: &str = r"
let calls = 0;
async function answer(request, env, ctx) {
  const { pathname, searchParams, protocol } = new URL(request.url);
  calls += 1;
  switch (pathname) {
    case '/seen':
      return Response.json({
        method: request.method, protocol, query: searchParams.getAll('a'), own: request.headers.get('x-own'),
        key: env.KEY, secret: env.SECRET, function: ctx.function, id: ctx.invocation_id.length, calls,
      }, { status: 201, headers: { 'x-answer': 'caf\u00e9' } });
    case '/reversed':
      return new Response(new Uint8Array(await request.arrayBuffer()).reverse());
    case '/cookies':
      return new Response(null, { status: 204, headers: [['Set-Cookie', 'a=1; Path=/'], ['Set-Cookie', 'b=2']] });
    case '/streamed':
      return new Response(new ReadableStream({
        async start(controller) {
          for (const part of ['one ', 'two ', 'three']) {
            await new Promise((done) => setTimeout(done, 1));
            controller.enqueue(new TextEncoder().encode(part));
          }
          controller.close();
        },
      }), { headers: { 'content-type': 'text/plain' } });
    case '/later':
      ctx.waitUntil((async () => { await new Promise((done) => setTimeout(done, 20)); console.log('later'); })());
      ctx.passThroughOnException();
      return new Response('now');
    case '/long': return new Response('x', { headers: { 'content-length': '7' } });
    case '/throws': throw new RangeError('out of reach');
    case '/none': return 7;
    case '/': return Response.json({ got: await request.json(), calls });
    default: return new Response('nothing at ' + pathname, { status: 404 });
  }
}
export default { fetch: answer };
";

fn javascript(more: &Value) -> Value {
    let mut all = json!({ "Runtime": "javascript" });
    for (name, value) in more.as_object().into_iter().flatten() {
        all[name] = value.clone();
    }
    all
}

fn with_app(setup: Setup) -> Result<Node> {
    let node = setup.with("container.enabled", false).start()?;
    let settings = javascript(&json!({ "Env": { "KEY": "k" }, "Secrets": { "SECRET": "s" } }));
    node.deploy_with("app", APP, &settings)?;
    Ok(node)
}

fn header<'a>(response: &'a Response, name: &str) -> Vec<&'a str> {
    let headers = response.headers.iter();
    headers
        .filter(|(known, _)| known == name)
        .map(|(_, value)| value.as_str())
        .collect()
}

/// The record of a run knows the sizes of both bodies, and how long a run took that failed.
#[test]
fn runs_are_recorded_with_their_sizes_and_times() -> Result<()> {
    let node = with_app(Setup::new()?)?;
    let latest = || -> Result<Value> {
        let list = node.get("/invocations?function=app&limit=1")?.json()?;
        Ok(list["runs"][0].clone())
    };
    let request = Request::new("POST", "/fn/app/reversed").body("12345");
    assert_eq!(node.ask(&request)?.text(), "54321");
    let run = latest()?;
    assert_eq!(
        (&run["params_bytes"], &run["result_bytes"]),
        (&json!(5), &json!(5)),
        "{run}"
    );
    assert_eq!(node.get("/fn/app/throws")?.status, 502);
    let run = latest()?;
    assert_eq!(run["status"], "failed", "{run}");
    let micros = |member: &str| run[member].as_u64().unwrap_or_default();
    ensure!(
        (1..=micros("total_us")).contains(&micros("execution_us")),
        "{run}"
    );
    Ok(())
}

#[test]
fn a_request_goes_in_and_a_response_comes_out() -> Result<()> {
    let node = with_app(Setup::new()?)?;
    // More than once: what a call changes is gone, also where its instance is used again.
    for method in ["GET", "POST", "PATCH", "PROPFIND", "OPTIONS"] {
        let request = Request::new(method, "/fn/app/seen?a=1&a=%C3%A9").header("X-Own", "kept");
        let response = node.ask(&request)?;
        assert_eq!(response.status, 201, "{}", response.text());
        let expected = json!({
            "method": method, "protocol": "http:", "query": ["1", "\u{e9}"], "own": "kept", "key": "k", "secret": "s",
            "function": "app", "id": 36, "calls": 1,
        });
        assert_eq!(response.json()?, expected);
        assert_eq!(response.header("content-type"), Some("application/json"));
        assert!(response.header("x-answer").is_some());
    }
    let bytes: Vec<u8> = (0..=255).cycle().take(100_000).collect();
    let reversed = node.ask(&Request::post("/fn/app/reversed", bytes.clone()))?;
    assert!(reversed.body.iter().eq(bytes.iter().rev()));
    let chunked = Request::post("/fn/app/reversed", "3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n")
        .header("Transfer-Encoding", "chunked");
    assert_eq!(node.ask(&chunked)?.text(), "edcba");
    let missing = node.get("/fn/app/a/b%20c")?;
    assert_eq!(
        (missing.status, missing.text().as_str()),
        (404, "nothing at /a/b%20c")
    );
    let head = node.ask(&Request::new("HEAD", "/fn/app/a"))?;
    assert_eq!((head.status, head.body.len()), (404, 0));
    let seen = node.ask(&Request::new("HEAD", "/fn/app/reversed"))?;
    assert_eq!((seen.status, seen.body.len()), (200, 0));
    assert_eq!(node.get("/fn/app/streamed")?.text(), "one two three");
    node.wait_until_free()
}

#[test]
fn empty_responses_and_what_the_origin_must_not_have() -> Result<()> {
    let node = with_app(Setup::new()?)?;
    let response = node.get("/fn/app/cookies")?;
    assert_eq!((response.status, response.body.len()), (204, 0));
    assert_eq!(response.header("content-length"), None);
    assert!(header(&response, "set-cookie").is_empty());
    Ok(())
}

#[test]
fn a_call_goes_on_until_what_it_waits_for_is_done() -> Result<()> {
    let node = with_app(Setup::new()?)?;
    let response = node.get("/fn/app/later")?;
    assert_eq!(response.text(), "now");
    let log = node.get("/functions/app/logs")?.text();
    assert!(log.contains("later"), "{log}");
    Ok(())
}

#[test]
fn failures_are_the_functions() -> Result<()> {
    let node = with_app(Setup::new()?)?;
    for (path, status, code, words) in [
        ("throws", 502, "function_error", "RangeError: out of reach"),
        ("none", 502, "function_error", "gave number"),
        ("long", 502, "function_bad_output", "Content-Length is 7"),
    ] {
        let response = node.get(&format!("/fn/app/{path}"))?;
        response.assert_problem(status, code);
        assert!(response.text().contains(words), "{}", response.text());
    }
    let large = "x".repeat((6 << 20) + 100_000);
    node.ask(&Request::post("/fn/app/reversed", large.clone()))?
        .assert_problem(413, "body_too_large");
    let chunk = format!("{:x}\r\n{large}\r\n0\r\n\r\n", large.len());
    let chunked = Request::post("/fn/app/reversed", chunk).header("Transfer-Encoding", "chunked");
    assert_eq!(node.ask(&chunked)?.status, 413);
    let io = node.try_deploy("io", APP.as_bytes(), &javascript(&json!({"Stdin": "body"})))?;
    assert_eq!((io.status, io.code().as_str()), (422, "invalid_member"));
    node.wait_until_free()
}

/// As functions that are components: the parameters are the body of `POST /`.
#[test]
fn an_invocation_is_a_request_too() -> Result<()> {
    let node = with_app(Setup::new()?)?;
    let result = node.invoke("app", &json!({"a": [1]}))?.result()?;
    assert_eq!(result, json!({"got": {"a": [1]}, "calls": 1}));
    let caller = "module.exports = async (params) => (await call('app', params)).got";
    node.deploy_with("caller", caller, &javascript(&json!({})))?;
    let nested = node.post("/fn/caller", &json!({"b": 2}))?;
    assert_eq!(nested.json()?, json!({"b": 2}));
    Ok(())
}

#[test]
fn it_stays_what_it_is_and_says_so() -> Result<()> {
    let node = with_app(Setup::new()?)?;
    std::fs::write(
        node.home().join("app.mjs"),
        "export default { fetch(request) { return new Response(['z', 'a'].sort((a, b) => a.localeCompare(b)).join()) } }",
    )?;
    let ran = node.cli(&["create", "-f", "sorted", "--src", "app.mjs"])?;
    ran.assert_code(0);
    let told = format!("{}{}", ran.stdout, ran.stderr);
    ensure!(
        told.contains("runtime javascript") && !told.contains("--allow-host"),
        "{told}"
    );
    let again = node.stop()?.restart()?;
    assert_eq!(again.get("/fn/sorted")?.text(), "a,z");
    let patched = Request::new("PATCH", "/functions/app")
        .header("content-type", "application/json")
        .body(json!({"Env": {"KEY": "other"}}).to_string());
    let patched = again.ask(&patched)?;
    ensure!(patched.status == 200, "{}", patched.text());
    assert_eq!(again.get("/fn/app/seen")?.json()?["key"], "other");
    // Another version of the same name may take parameters, and back.
    let plain = deployment("app", b"module.exports = () => 1", &javascript(&json!({})));
    ensure!(again.post("/update", &plain)?.status == 200);
    assert_eq!(again.post("/fn/app", &json!({}))?.json()?, json!(1));
    Ok(())
}

#[test]
fn an_application_has_it_as_endpoints() -> Result<()> {
    let node = Setup::new()?.with("container.enabled", false).start()?;
    let done = |request: Request| -> Result<()> {
        let response = node.ask(&request)?;
        ensure!(response.status < 300, "{}", response.text());
        Ok(())
    };
    let change = |method: &str, path: &str, body: Value| {
        Request::new(method, path)
            .header("content-type", "application/json")
            .body(body.to_string())
    };
    done(Request::json("/apps", &json!({"name": "shop"})))?;
    done(change("PATCH", "/apps/shop", json!({"own_origin": true})))?;
    let site = deployment(
        "site",
        APP.as_bytes(),
        &javascript(&json!({"Env": {"KEY": "k"}})),
    );
    done(Request::json("/apps/shop/create", &site))?;
    for (method, path) in [("GET", "cookies"), ("GET", "seen"), ("POST", "reversed")] {
        let endpoint = json!({"method": method, "path": path, "function": "site"});
        done(change("PUT", "/apps/shop/endpoints", endpoint))?;
    }
    done(Request::json("/apps/shop/start", &json!({})))?;
    let host = format!("shop.localhost:{}", node.address.port());
    let ask = |request: Request| node.ask(&request.header("Host", &host));
    let cookies = ask(Request::get("/cookies"))?;
    assert_eq!(cookies.status, 204, "{}", cookies.text());
    assert_eq!(header(&cookies, "set-cookie"), ["a=1; Path=/", "b=2"]);
    let seen = ask(Request::get("/seen?a=7"))?.json()?;
    assert_eq!(
        (&seen["query"], &seen["method"]),
        (&json!(["7"]), &json!("GET"))
    );
    assert_eq!(ask(Request::post("/reversed", "abc"))?.text(), "cba");
    Ok(())
}

#[cfg(feature = "nodejs-tests")]
mod routers {
    use std::path::Path;
    use std::process::Command;

    use anyhow::Context as _;

    use super::*;
    use crate::support::npm;

    const PACKAGES: [&str; 3] = ["hono@4.13.19", "itty-router@5.0.24", "esbuild@0.28.2"];
    const HONO: &str = r"
import { Hono } from 'hono';
import { secureHeaders } from 'hono/secure-headers';
const app = new Hono();
app.use(secureHeaders());
app.get('/', (c) => c.text('Hello, \u00e9\u2603'));
app.get('/items/:id{[0-9]+}', (c) => c.json({ id: Number(c.req.param('id')), page: c.req.query('page') ?? null }));
app.post('/items', async (c) => c.json(await c.req.json(), 201, { location: '/items/1' }));
app.get('/away', (c) => c.redirect('/items/1'));
app.get('/broken', () => { throw new Error('broken'); });
app.onError((error, c) => c.json({ error: error.message }, 500));
export default app;
";
    const ITTY: &str = r"
import { AutoRouter, error } from 'itty-router';
const router = AutoRouter();
router
  .get('/', () => new Response('Hello, \u00e9\u2603'))
  .get('/items/:id', ({ id, query }) => ({ id: Number(id), page: query.page ?? null }))
  .post('/items', async (request) => Response.json(await request.json(), { status: 201 }))
  .get('/away', () => Response.redirect('http://example.org/', 302))
  .get('/broken', () => error(403, 'not you'));
export default router;
";
    const IN_NODE: &str = r"
const [file, method, url, body] = process.argv.slice(1);
const init = { method, body: body === '' ? undefined : body, headers: { 'content-type': 'application/json' } };
const { default: app } = await import(file);
const response = await app.fetch(new Request(url, init), {}, {});
console.log(JSON.stringify({ status: response.status, headers: [...response.headers], body: await response.text() }));
";

    fn in_node(file: &Path, (method, path, body): (&str, &str, &str)) -> Result<Value> {
        let ran = Command::new("node")
            .args(["--input-type=module", "-e", IN_NODE, "--"])
            .arg(file)
            .args([method, &format!("http://localhost{path}"), body])
            .output()
            .context("failed to start node")?;
        ensure!(
            ran.status.success(),
            "{}",
            String::from_utf8_lossy(&ran.stderr)
        );
        Ok(serde_json::from_slice(&ran.stdout)?)
    }

    /// Status, body and headers, without those that the node keeps from its own origin.
    #[test]
    fn answer_as_in_node() -> Result<()> {
        let node = Setup::new()?.with("container.enabled", false).start()?;
        let folder = node.home().join("routers");
        std::fs::create_dir(&folder)?;
        npm::install(&folder, &PACKAGES)?;
        for (name, source) in [("hono", HONO), ("itty", ITTY)] {
            let file = folder.join(format!("{name}.mjs"));
            std::fs::write(&file, source)?;
            let path = file.to_str().context("a path")?;
            let ran = node.cli(&["create", "-f", name, "--src", path])?;
            ran.assert_code(0);
            ensure!(
                ran.stderr.contains("it runs in WebAssembly"),
                "{}",
                ran.stderr
            );
            for asked in [
                ("GET", "/", ""),
                ("GET", "/items/7?page=2", ""),
                ("GET", "/none", ""),
                ("POST", "/items", r#"{"a":[1,"é"]}"#),
                ("GET", "/away", ""),
                ("GET", "/broken", ""),
                ("DELETE", "/", ""),
            ] {
                let expected = in_node(&file, asked)?;
                let (method, path, body) = asked;
                let request = Request::new(method, &format!("/fn/{name}{path}"))
                    .header("content-type", "application/json")
                    .body(body);
                let response = node.ask(&request)?;
                assert_eq!(expected["status"], response.status, "{name} {asked:?}");
                assert_eq!(expected["body"], response.text(), "{name} {asked:?}");
                for pair in expected["headers"].as_array().context("headers")? {
                    let (name, value) = (pair[0].as_str(), pair[1].as_str());
                    let name = name.context("a name")?;
                    if [
                        "content-type",
                        "location",
                        "x-frame-options",
                        "referrer-policy",
                    ]
                    .contains(&name)
                    {
                        assert_eq!(response.header(name), value, "{asked:?}");
                    }
                }
            }
        }
        node.wait_until_free()
    }
}
