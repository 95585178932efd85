//! `echo-http`, a `wasi:http` component: the request itself goes in, the response itself comes out, without what a
//! function must not say on the node's origin.

use anyhow::{Context, Result};
use serde_json::{Value, json};

use crate::support::node::deployment;
use crate::support::{Node, Request, example, requests_of};

fn node() -> Result<Node> {
    let node = Node::start()?;
    node.deploy_example("echo-http")?;
    Ok(node)
}

/// Whether `found` has every member of `wanted`, at every depth.
fn contains(found: &Value, wanted: &Value) -> bool {
    match wanted {
        Value::Object(members) => members
            .iter()
            .all(|(name, wanted)| contains(&found[name], wanted)),
        wanted => found == wanted,
    }
}

#[test]
fn its_examples() -> Result<()> {
    try_examples("echo-http")
}

/// The same of WASI 0.3.
#[test]
fn the_examples_of_a_service() -> Result<()> {
    try_examples("echo-service")
}

fn try_examples(name: &str) -> Result<()> {
    let node = Node::start()?;
    node.deploy_example(name)?;
    for example in requests_of(name)? {
        let asked = &example["request"];
        let expected = &example["response"];
        let text = |member: &str| asked[member].as_str().context("a text").map(str::to_owned);
        let mut request = Request::new(&text("method")?, &format!("/fn/{name}{}", text("path")?))
            .body(text("body")?);
        for (name, value) in asked["headers"].as_object().context("headers")? {
            request = request.header(name, value.as_str().context("a text")?);
        }
        let response = node.ask(&request)?;
        assert_eq!(expected["status"], response.status, "{asked}");
        for (name, value) in expected["headers"].as_object().into_iter().flatten() {
            assert_eq!(response.header(name), value.as_str(), "{asked}");
        }
        match &expected["body"] {
            Value::String(whole) => assert_eq!(response.text(), *whole),
            some => assert!(
                contains(&response.json()?, some),
                "{} lacks {some}",
                response.text()
            ),
        }
    }
    Ok(())
}

#[test]
fn any_method_and_sub_path() -> Result<()> {
    let node = node()?;
    for method in [
        "GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "PROPFIND",
    ] {
        let request =
            Request::new(method, "/fn/echo-http/sub/path?x=1&y=a%20b").header("X-Own", "kept");
        let response = node.ask(&request)?;
        let seen = response.json()?;
        assert_eq!(
            (response.status, seen["method"].as_str()),
            (200, Some(method))
        );
        assert_eq!(seen["path"], "/sub/path?x=1&y=a%20b");
        assert_eq!(seen["headers"]["x-own"], "kept");
    }
    let head = node.ask(&Request::new("HEAD", "/fn/echo-http/x"))?;
    assert_eq!((head.status, head.body.len()), (200, 0));
    for (target, path) in [
        ("/fn/echo-http", "/"),
        ("/fn/echo-http/", "/"),
        ("/fn/echo-http?q", "/?q"),
    ] {
        assert_eq!(node.get(target)?.json()?["path"], path, "{target}");
    }
    Ok(())
}

#[test]
fn its_status_is_the_status() -> Result<()> {
    let node = node()?;
    for status in [200_u16, 201, 404, 418, 503] {
        let response = node.get(&format!("/fn/echo-http/?status={status}"))?;
        assert_eq!(response.status, status);
        assert_eq!(response.header("content-type"), Some("application/json"));
    }
    assert_eq!(node.get("/fn/echo-http/?status=99")?.status, 400);
    Ok(())
}

#[test]
fn bodies_arrive_whole_however_they_are_sent() -> Result<()> {
    let node = node()?;
    let text = "0123456789abcdef".repeat(20_000);
    let response = node.ask(&Request::post("/fn/echo-http/up", text.clone()))?;
    assert_eq!(response.json()?["body"], text);
    let chunked = Request::post("/fn/echo-http/up", "5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n")
        .header("Transfer-Encoding", "chunked");
    assert_eq!(node.ask(&chunked)?.json()?["body"], "hello world");
    Ok(())
}

#[test]
fn streams_come_as_they_are_made() -> Result<()> {
    let node = node()?;
    let mut connection = node.connect()?;
    connection.send_only(&Request::get("/fn/echo-http/stream?chunks=4&pause_ms=2000"))?;
    let head = connection.receive_head()?;
    assert_eq!(head.status, 200);
    let mut lines = connection.chunk()?.context("the stream begins")?;
    // The function is still at it: its lease is held until the body ends.
    assert_eq!(node.status()?["Running"], 1);
    while let Some(chunk) = connection.chunk()? {
        lines.extend_from_slice(&chunk);
    }
    assert_eq!(
        String::from_utf8(lines)?,
        "chunk 1 of 4\nchunk 2 of 4\nchunk 3 of 4\nchunk 4 of 4\n"
    );
    node.wait_until_free()
}

#[test]
fn a_reader_that_leaves_ends_the_function() -> Result<()> {
    let node = node()?;
    let mut connection = node.connect()?;
    connection.send_only(&Request::get(
        "/fn/echo-http/stream?chunks=1000&pause_ms=1000",
    ))?;
    connection.receive_head()?;
    node.wait_for_status("Running", 1)?;
    drop(connection);
    node.wait_until_free()
}

#[test]
fn responses_are_marked_as_hostile() -> Result<()> {
    let node = node()?;
    node.deploy_example("add")?;
    for response in [
        node.get("/fn/echo-http/")?,
        node.get("/fn/echo-http/stream")?,
        node.get("/fn/add?a=1&b=2")?,
        node.get("/fn/add?a=nothing")?,
    ] {
        assert_eq!(
            response.header("content-security-policy"),
            Some("sandbox allow-scripts"),
            "{response:?}"
        );
        assert_eq!(response.header("x-content-type-options"), Some("nosniff"));
        assert!(response.header("access-control-allow-origin").is_none());
    }
    Ok(())
}

/// Secrets of the node do not reach a function; what belongs to others does.
#[test]
fn requests_are_cleaned() -> Result<()> {
    let node = node()?;
    // Somebody with a session and a token, whose space has the function as well.
    let person = json!({"email": "ada@example.org", "password": "correct horse battery"});
    let signed_up = node.post("/account/sign-up", &person)?;
    let cookie = signed_up
        .header("set-cookie")
        .and_then(|cookie| cookie.split(';').next())
        .context("a session")?;
    let request = json!({"name": "test", "scopes": ["invoke", "deploy"]});
    let made = node
        .ask(&Request::json("/account/tokens", &request).header("Cookie", cookie))?
        .json()?;
    let token = format!("Bearer {}", made["token"].as_str().context("a token")?);
    let body = deployment("echo-http", &example("echo-http")?, &json!({}));
    let deployed = node.ask(&Request::json("/create", &body).header("Authorization", &token))?;
    assert_eq!(deployed.status, 200, "{}", deployed.text());
    let request = Request::get("/fn/echo-http/")
        .header("Authorization", &token)
        .header(
            "Cookie",
            &format!("a=1; {cookie}; __Host-serverledge=t; b=2"),
        )
        .header("Connection", "keep-alive");
    let seen = node.ask(&request)?.json()?;
    assert_eq!(seen["headers"]["cookie"], "a=1; b=2");
    for gone in ["authorization", "connection"] {
        assert!(seen["headers"][gone].is_null(), "{seen}");
    }
    let own = node
        .ask(&Request::get("/fn/echo-http/").header("Authorization", "Bearer other"))?
        .json()?;
    assert_eq!(own["headers"]["authorization"], "Bearer other");
    Ok(())
}

#[test]
fn invoke_gives_its_json() -> Result<()> {
    let node = node()?;
    let result = node
        .invoke("echo-http", &json!({"name": "Ada"}))?
        .result()?;
    assert_eq!(
        (&result["method"], &result["path"]),
        (&json!("POST"), &json!("/"))
    );
    let body: Value = serde_json::from_str(result["body"].as_str().context("the body is text")?)?;
    assert_eq!(body, json!({"name": "Ada"}));
    let ran = node.cli(&["invoke", "-f", "echo-http", "-p", "name:Ada"])?;
    assert_eq!(ran.assert_code(0).result()?["body"], r#"{"name":"Ada"}"#);
    Ok(())
}
