//! Functions in Python on a node without containers: deployed as source, imported once, run as snapshots. All checks
//! share one node, which takes some ten seconds to compile the engine.

use std::collections::HashSet;

use anyhow::{Result, anyhow, ensure};
use serde_json::{Value, json};

use crate::support::{Node, Request, Response, Setup};

const HELLO: &str = r#"
calls = 0

def handler(params, context):
    global calls
    calls += 1
    print("greeting", params["name"])
    return {"message": f"Hello, {params['name']}!", "calls": calls}
"#;

fn merged(mut more: Value) -> Value {
    more["Runtime"] = "python-wasm".into();
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
    ensure!(response.status == 200, "{}", response.text());
    response.json()
}

fn tar_of(files: &[(&str, &[u8])]) -> Result<Vec<u8>> {
    let mut builder = tar::Builder::new(Vec::new());
    for (path, contents) in files {
        let mut header = tar::Header::new_ustar();
        header.set_size(contents.len() as u64);
        header.set_mode(0o644);
        builder.append_data(&mut header, path, *contents)?;
    }
    Ok(builder.into_inner()?)
}

#[test]
fn python_runs_without_containers() -> Result<()> {
    let node = Setup::new()?
        .with("container.enabled", false)
        .with("outbound.allow", "127.0.0.0/8")
        .start()?;
    ten_lines_answer(&node)?;
    results_come_from_plain_and_asynchronous_handlers(&node)?;
    several_files_are_one_function(&node)?;
    variables_and_secrets_are_the_functions_own(&node)?;
    functions_call_each_other_and_keep_state(&node)?;
    no_call_finds_what_another_left(&node)?;
    what_does_not_load_is_refused_with_its_place(&node)?;
    every_fault_has_its_code(&node)?;
    requests_reach_the_hosts_that_are_named(&node)?;
    what_it_cannot_have_is_refused(&node)?;
    the_version_follows_from_the_source(&node)?;
    node.wait_until_free()?;
    let again = node.stop()?.restart()?;
    let answer = again.post("/fn/hello", &json!({"name": "Ada"}))?.json()?;
    assert_eq!(answer["message"], "Hello, Ada!");
    Ok(())
}

/// Each call begins where the import has ended, and what it prints is its log.
fn ten_lines_answer(node: &Node) -> Result<()> {
    let created = node.try_deploy("hello", HELLO.as_bytes(), &merged(json!({})))?;
    let bytes = created.json()?["Footprint"]["MachineCodeBytes"].as_u64();
    // Memory alone: the interpreter's code, another 15 MB, is that of all.
    assert!(bytes.is_some_and(|bytes| bytes < 14 << 20), "{bytes:?}");
    for _ in 0..3 {
        let answer = node.post("/fn/hello", &json!({"name": "Ada"}))?.json()?;
        assert_eq!(answer, json!({"message": "Hello, Ada!", "calls": 1}));
    }
    let body = json!({ "Params": { "name": "Ada" }, "ReturnOutput": true });
    let reply = node.post("/invoke/hello", &body)?;
    assert_eq!(reply.json()?["Output"], "greeting Ada\n");
    Ok(())
}

fn results_come_from_plain_and_asynchronous_handlers(node: &Node) -> Result<()> {
    for (source, expected) in [
        (
            "def handler():\n    return [1, 2.5, None, 'ä']",
            json!([1, 2.5, null, "ä"]),
        ),
        (
            "import asyncio\n\nasync def handler(params):\n    await asyncio.sleep(0.001)\n    return 7",
            json!(7),
        ),
        (
            "import re, datetime, decimal\n\ndef handler(params):\n    \
             return str(decimal.Decimal('0.1') * 3) + re.sub('a', 'b', 'aa')",
            json!("0.3bb"),
        ),
        (
            "import time\n\ndef handler(params, context):\n    \
             left = context['deadline_ms'] / 1000 - time.time()\n    \
             return [*sorted(context), 0 < left <= 30, context['memory_mb']]",
            json!([
                "deadline_ms",
                "function",
                "invocation_id",
                "memory_mb",
                true,
                128
            ]),
        ),
    ] {
        assert_eq!(result(node, source)?, expected, "{source}");
    }
    // Drawn for each call, though the import is the same for all.
    let source = "import random\n\ndef handler():\n    return random.random()";
    deploy(node, "dice", source, json!({}))?;
    let mut seen = HashSet::new();
    for _ in 0..10 {
        seen.insert(node.post("/fn/dice", &json!({}))?.text());
    }
    assert_eq!(seen.len(), 10);
    Ok(())
}

fn several_files_are_one_function(node: &Node) -> Result<()> {
    let main = b"from lib.texts import shout\nimport pathlib\n\ndef handler(params):\n    \
        return [shout(open('/app/code/f/words.txt').read()), len(open('/app/code/f/raw', 'rb').read())]\n\n\
        def other():\n    return 'other'";
    let files: [(&str, &[u8]); 4] = [
        ("f/main.py", main),
        (
            "f/lib/texts.py",
            b"def shout(text):\n    return text.upper()",
        ),
        ("f/words.txt", b"words"),
        ("f/raw", b"\xff\0\xfe"),
    ];
    let source = tar_of(&files)?;
    for (name, handler, expected) in [
        ("tree", "", json!(["WORDS", 3])),
        ("named", "main.other", json!("other")),
    ] {
        node.deploy_with(name, &source, &merged(json!({ "Handler": handler })))?;
        let response = node.post(&format!("/fn/{name}"), &json!({}))?;
        assert_eq!(response.json()?, expected, "{}", response.text());
    }
    let two = tar_of(&[("a.py", b"x = 1"), ("b.py", b"x = 1")])?;
    let response = node.try_deploy("none", &two, &merged(json!({})))?;
    response.assert_problem(422, "ambiguous_code");
    let list = tar_of(&[
        ("main.py", b"def handler(): return 1"),
        ("requirements.txt", b"six"),
    ])?;
    let response = node.try_deploy("list", &list, &merged(json!({})))?;
    let remarks = response.json()?["Remarks"].to_string();
    assert!(remarks.contains("requirements.txt: "), "{remarks}");
    Ok(())
}

/// Plain variables are part of the version, and there while a file is loaded; secrets are there in calls only.
fn variables_and_secrets_are_the_functions_own(node: &Node) -> Result<()> {
    let source = "import os\n\nearly = [os.environ.get('LEVEL'), os.environ.get('KEY')]\n\n\
        def handler():\n    return [*early, os.environ['LEVEL'], os.environ['KEY'], 'PATH' in os.environ]";
    let more = merged(json!({"Env": {"LEVEL": "debug"}, "Secrets": {"KEY": "hidden"}}));
    let created = node.try_deploy("env", source.as_bytes(), &more)?.json()?;
    let remarks = created["Remarks"].to_string();
    assert!(remarks.contains("the secret KEY is read"), "{created}");
    let answer = node.post("/fn/env", &json!({}))?.json()?;
    assert_eq!(answer, json!(["debug", null, "debug", "hidden", false]));
    // A change of a variable takes the snapshot anew, from the source that the code carries.
    let change = Request::new("PATCH", "/functions/env")
        .header("content-type", "application/json")
        .body(r#"{"Env":{"LEVEL":"info"}}"#);
    let changed = node.ask(&change)?;
    ensure!(changed.status == 200, "{}", changed.text());
    let answer = node.post("/fn/env", &json!({}))?.json()?;
    assert_eq!(answer, json!(["info", null, "info", "hidden", false]));
    Ok(())
}

fn functions_call_each_other_and_keep_state(node: &Node) -> Result<()> {
    let source = "from serverledge import call, CallError, kv\n\ndef handler(params):\n    \
        told = call('hello', {'name': 'Eve'})['message']\n    try:\n        call('nobody')\n    \
        except CallError as error:\n        return [told, error.code, kv.increment('visits')]";
    deploy(node, "caller", source, json!({}))?;
    for visits in 1..3 {
        let answer = node.post("/fn/caller", &json!({}))?.json()?;
        assert_eq!(answer, json!(["Hello, Eve!", "function_unknown", visits]));
    }
    Ok(())
}

/// Leaves something wherever a process could, and says what it has found there.
const LEAVES: &str = r#"
import builtins, contextvars, decimal, gc, json, os, random, re, sys, types, warnings

seen = []
state = contextvars.ContextVar("state", default=None)

class Kept:
    count = 0

def handler(params):
    found = [name for name, left in {
        "module": seen, "class": Kept.count, "sys.modules": "left" in sys.modules, "sys.path": "/left" in sys.path,
        "environ": "LEFT" in os.environ, "context": state.get(), "decimal": decimal.getcontext().prec != 28,
        "builtins": hasattr(builtins, "left"), "json": json.dumps is None, "warnings": warnings.filters[0][1:2] == ("left",),
        "recursion": sys.getrecursionlimit() == 500, "gc": not gc.isenabled(), "file": os.path.exists("/tmp/left"),
        "attribute": hasattr(handler, "left"),
    }.items() if left]
    seen.append(params["n"])
    Kept.count += 1
    sys.modules["left"] = types.ModuleType("left")
    sys.path.insert(0, "/left")
    os.environ["LEFT"] = "1"
    state.set(params["n"])
    decimal.getcontext().prec = 5
    builtins.left = True
    json.dumps = None
    warnings.filters.insert(0, ("ignore", "left", Warning, None, 0))
    sys.setrecursionlimit(500)
    gc.disable()
    handler.left = True
    re.compile(f"left{params['n']}")
    return {"found": found, "seen": seen, "drawn": random.random()}
"#;
const LEAVING_CLIENTS: u64 = 4;
const LEAVING_CALLS: u64 = 100;

fn no_call_finds_what_another_left(node: &Node) -> Result<()> {
    deploy(node, "leaves", LEAVES, json!({}))?;
    let one = |n: u64| {
        let answer = node.post("/fn/leaves", &json!({ "n": n }))?;
        ensure!(answer.status == 200, "{}", answer.text());
        answer.json()
    };
    let answers = std::thread::scope(|scope| {
        let clients: Vec<_> = (0..LEAVING_CLIENTS)
            .map(|client| {
                let numbers = client * LEAVING_CALLS..(client + 1) * LEAVING_CALLS;
                scope.spawn(move || {
                    numbers
                        .map(|n| Ok((n, one(n)?)))
                        .collect::<Result<Vec<_>>>()
                })
            })
            .collect();
        let answers = clients.into_iter().map(|client| {
            client
                .join()
                .unwrap_or_else(|_| Err(anyhow!("it panicked")))
        });
        answers.collect::<Result<Vec<_>>>()
    })?;
    let mut drawn = HashSet::new();
    for (n, answer) in answers.into_iter().flatten() {
        ensure!(answer["found"] == json!([]), "{n}: {answer}");
        ensure!(answer["seen"] == json!([n]), "{n}: {answer}");
        ensure!(
            drawn.insert(answer["drawn"].to_string()),
            "drawn twice: {answer}"
        );
    }
    Ok(())
}

fn what_does_not_load_is_refused_with_its_place(node: &Node) -> Result<()> {
    let before = node.names()?;
    for (source, words) in [
        (
            "def handler(p):\n    x = (1,\n    return x",
            "SyntaxError: ",
        ),
        ("def handler(p):\n    x = (1,\n    return x", "(main.py:2:"),
        ("def f():\n    return 1 / 0\n\nf()", "ZeroDivisionError: "),
        ("def f():\n    return 1 / 0\n\nf()", "(main.py:2:"),
        ("import numpy\n\ndef handler(): pass", "numpy"),
        ("import numpy\n\ndef handler(): pass", "the runtime python,"),
        ("print('words')\nraise ValueError", "it wrote: words"),
        ("x = 1", "has no function 'handler'"),
        ("while True:\n    pass", "processor time"),
    ] {
        let response = node.try_deploy("bad", source.as_bytes(), &merged(json!({})))?;
        response.assert_problem(422, "function_does_not_load");
        let told = response.json()?["detail"].to_string();
        assert!(told.contains(words), "{source}: {told}");
    }
    let response = node.try_deploy("bad", b"\xff", &merged(json!({})))?;
    response.assert_problem(422, "malformed_code");
    let small = merged(json!({"MemoryMB": 4}));
    let response = node.try_deploy("bad", b"def handler(): pass", &small)?;
    response.assert_problem(422, "function_does_not_load");
    assert!(response.text().contains("4 MiB"), "{}", response.text());
    assert_eq!(node.names()?, before);
    Ok(())
}

fn every_fault_has_its_code(node: &Node) -> Result<()> {
    for (source, more, status, code, words) in [
        (
            "def handler(params):\n    return params['missing']",
            json!({}),
            502,
            "function_error",
            &["KeyError", "line 2", "main.py"][..],
        ),
        (
            "def f(n):\n    return f(n + 1)\n\ndef handler():\n    return f(0)",
            json!({}),
            502,
            "function_error",
            &["RecursionError", "line 2"],
        ),
        (
            "def handler():\n    return {1, 2}",
            json!({}),
            502,
            "function_error",
            &["cannot be written as JSON"],
        ),
        (
            "def handler():\n    import curses",
            json!({}),
            502,
            "function_error",
            &["ModuleNotFoundError", "the runtime python,"],
        ),
        (
            "def handler():\n    while True:\n        pass",
            json!({"Timeout": 0.3}),
            504,
            "function_timeout",
            &["300ms"],
        ),
        (
            "def handler():\n    return len(bytearray(1 << 28))",
            json!({"MemoryMB": 64}),
            502,
            "function_out_of_memory",
            &["MemoryError"],
        ),
    ] {
        let response = call(node, source, more)?;
        response.assert_problem(status, code);
        let told = response.text();
        for words in words {
            assert!(told.contains(words), "{source}: {told}");
        }
    }
    Ok(())
}

const SENDER: &str = r#"
import os
import urllib.error
import urllib.request

def handler(params):
    headers = {"X-Own": "kept", "Authorization": "Bearer " + os.environ["KEY"]}
    request = urllib.request.Request(params["url"], params.get("body", "").encode() or None, headers)
    try:
        with urllib.request.urlopen(request, timeout=30) as response:
            kind = response.headers.get_content_type()
            return {"status": response.status, "type": kind, "heard": response.read().decode()}
    except urllib.error.HTTPError as error:
        return {"status": error.code, "heard": error.read().decode()}
    except urllib.error.URLError as error:
        return {"error": error.reason.code, "kind": type(error.reason).__name__, "message": str(error.reason)}
"#;

/// Python's library sends through the node, to the hosts that were named; the node puts secrets in.
fn requests_reach_the_hosts_that_are_named(node: &Node) -> Result<()> {
    let origin = format!("http://{}", node.address);
    node.deploy_with(
        "echo",
        r"export default { fetch: async (request) => Response.json({
            method: request.method, key: request.headers.get('authorization'), own: request.headers.get('x-own'),
            body: await request.text() }, { status: request.url.endsWith('/gone') ? 410 : 200 }) };",
        &json!({ "Runtime": "javascript" }),
    )?;
    let secret = json!({
        "AllowHosts": [origin], "Secrets": {"KEY": "hunter2"}, "SecretHosts": {"KEY": [origin]},
    });
    deploy(node, "sender", SENDER, secret)?;
    let send = |params: Value| -> Result<Value> {
        let response = node.post("/fn/sender", &params)?;
        ensure!(response.status == 200, "{}", response.text());
        response.json()
    };
    let url = |path: &str| format!("{origin}/fn/echo{path}");
    let answer = send(json!({"url": url("/"), "body": "over there"}))?;
    assert_eq!(answer["type"], "application/json", "{answer}");
    let heard: Value = serde_json::from_str(answer["heard"].as_str().unwrap_or_default())?;
    let expected =
        json!({"method": "POST", "key": "Bearer hunter2", "own": "kept", "body": "over there"});
    assert_eq!(heard, expected);
    let gone = send(json!({"url": url("/gone")}))?;
    assert_eq!(gone["status"], 410, "{gone}");
    let elsewhere = send(json!({"url": "https://example.org/"}))?;
    assert_eq!(
        elsewhere["error"], "outbound_host_not_allowed",
        "{elsewhere}"
    );
    assert_eq!(elsewhere["kind"], "PermissionError");
    let told = elsewhere["message"].as_str().unwrap_or_default();
    assert!(
        told.contains("https://example.org") && told.contains("--allow-host"),
        "{told}"
    );
    deploy(node, "nobody", SENDER, json!({"Secrets": {"KEY": "x"}}))?;
    let nobody = node.post("/fn/nobody", &json!({"url": url("/")}))?.json()?;
    assert_eq!(nobody["error"], "outbound_not_granted", "{nobody}");
    // While it is loaded nothing is sent.
    let early = format!("import urllib.request\n\nurllib.request.urlopen('{origin}/healthz')");
    let more = merged(json!({"AllowHosts": [origin]}));
    let response = node.try_deploy("early", early.as_bytes(), &more)?;
    response.assert_problem(422, "function_does_not_load");
    let told = response.text();
    assert!(told.contains("send it in the handler"), "{told}");
    Ok(())
}

/// Whatever only the runtime in containers has is refused in words that name it.
fn what_it_cannot_have_is_refused(node: &Node) -> Result<()> {
    let bridge = merged(json!({"Network": "bridge"}));
    let response = node.try_deploy("bad", HELLO.as_bytes(), &bridge)?;
    response.assert_problem(422, "invalid_member");
    assert!(response.text().contains("python"), "{}", response.text());
    let container = json!({"Runtime": "python"});
    let response = node.try_deploy("bad", HELLO.as_bytes(), &container)?;
    response.assert_problem(422, "runtime_unsupported");
    assert!(
        response.text().contains("python-wasm"),
        "{}",
        response.text()
    );
    let other = Request::new("PATCH", "/functions/hello")
        .header("content-type", "application/json")
        .body(r#"{"Runtime":"javascript"}"#);
    node.ask(&other)?.assert_problem(422, "no_code");
    Ok(())
}

/// The same source is the same version; another handler is another one.
fn the_version_follows_from_the_source(node: &Node) -> Result<()> {
    let source = b"def one():\n    return {'b', 'a', 'c'} and 1\n\ndef two():\n    return 2";
    let version = |name: &str, handler: &str| -> Result<Value> {
        let response = node.try_deploy(name, source, &merged(json!({ "Handler": handler })))?;
        Ok(response.json()?["Version"].clone())
    };
    let one = version("a", "main.one")?;
    assert!(one.is_string(), "{one}");
    assert_eq!(version("b", "main.one")?, one);
    assert_ne!(version("c", "main.two")?, one);
    assert_eq!(node.post("/fn/c", &json!({}))?.json()?, json!(2));
    Ok(())
}
