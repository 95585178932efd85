//! Limits of bodies, parameters, connections and time.

use std::fmt::Write as _;

use anyhow::{Context, Result};
use serde_json::json;

use crate::guests;
use crate::support::{Connection, Node, Request, Setup};

#[test]
fn bodies_over_the_limit_are_refused() -> Result<()> {
    let node = Setup::new()?
        .with("function.params_bytes_max", "64 KiB")
        .with("function.code_bytes_max", "256 KiB")
        .start()?;
    node.deploy_example("hello")?;
    node.deploy_example("echo-http")?;
    let large = format!("{{\"Params\":{{\"name\":\"{}\"}}}}", "x".repeat(300_000));
    for route in [
        "/invoke/hello",
        "/fn/hello",
        "/fn/echo-http",
        "/delete",
        "/prewarm",
    ] {
        node.ask(&Request::post(route, large.clone()))?
            .assert_problem(413, "body_too_large");
    }
    let chunk = format!("{:x}\r\n{large}\r\n0\r\n\r\n", large.len());
    for route in ["/invoke/hello", "/fn/hello"] {
        let chunked = Request::post(route, chunk.clone()).header("Transfer-Encoding", "chunked");
        assert_eq!(node.ask(&chunked)?.status, 413, "{route}");
    }
    let code = node.try_deploy("large", &vec![0; 400_000], &json!({}))?;
    assert!(
        matches!(
            (code.status, code.code().as_str()),
            (413, "body_too_large") | (422, "code_too_large")
        ),
        "{}",
        code.text()
    );
    let fits = node.invoke("hello", &json!({"name": "x".repeat(60_000)}))?;
    assert_eq!(fits.status, 200);
    Ok(())
}

/// The default: 6 MiB of parameters pass, more do not.
#[test]
fn six_mebibytes_of_parameters_pass() -> Result<()> {
    let node = Node::start()?;
    node.deploy_example("word-count")?;
    let text = "ab ".repeat((6 << 20) / 3 - 100);
    let counted = node
        .invoke("word-count", &json!({ "text": text }))?
        .result()?;
    assert_eq!(counted["words"], text.len() / 3);
    let over = "ab ".repeat((6 << 20) / 3 + 30_000);
    node.invoke("word-count", &json!({ "text": over }))?
        .assert_problem(413, "body_too_large");
    Ok(())
}

#[test]
fn a_body_that_does_not_arrive_is_given_up() -> Result<()> {
    let node = Setup::new()?.with("api.body_timeout", "300ms").start()?;
    node.deploy_example("add")?;
    for route in ["/invoke/add", "/fn/add", "/create"] {
        let mut connection = node.connect()?;
        connection.send_only(&Request::post(route, "{\"Par").header("Content-Length", "100"))?;
        connection
            .receive(false)?
            .assert_problem(408, "body_too_slow");
    }
    node.wait_until_free()
}

#[test]
fn a_head_that_does_not_arrive_is_given_up() -> Result<()> {
    let node = Setup::new()?.with("api.header_timeout", "300ms").start()?;
    let mut connection = node.connect()?;
    connection.send_raw(b"GET /status HTTP/1.1\r\nHo")?;
    // Closed, with or without a word (408).
    let _ = connection.receive(false);
    assert!(connection.is_closed_by_peer()?);
    Ok(())
}

#[test]
fn an_idle_connection_is_closed() -> Result<()> {
    let setup = Setup::new()?.with("api.header_timeout", "500ms");
    let node = setup.start()?;
    let mut connection = node.connect()?;
    assert_eq!(connection.send(&Request::get("/healthz"))?.status, 200);
    assert!(connection.is_closed_by_peer()?);
    Ok(())
}

#[test]
fn heads_are_bounded() -> Result<()> {
    let node = Node::start()?;
    let long = Request::get("/status").header("X-Long", &"x".repeat(200_000));
    let mut connection = node.connect()?;
    // The node may close before it has read everything.
    let _ = connection.send_only(&long);
    if let Ok(response) = connection.receive(false) {
        assert_eq!(response.status, 431);
    }
    let mut many = Request::get("/status");
    for n in 0..500 {
        let mut name = String::new();
        write!(name, "X-{n}")?;
        many = many.header(&name, "1");
    }
    let mut connection = node.connect()?;
    let _ = connection.send_only(&many);
    if let Ok(response) = connection.receive(false) {
        assert_eq!(response.status, 431);
    }
    assert_eq!(node.get("/healthz")?.status, 200);
    Ok(())
}

/// A client may send its next request, or a part of it, before it has the answer (RFC 9112 §9.3.2).
#[test]
fn an_answer_does_not_wait_for_the_next_request() -> Result<()> {
    let node = Node::start()?;
    let mut connection = node.connect()?;
    connection
        .send_raw(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\nGET /readyz HTTP/1.1\r\nHo")?;
    assert_eq!(connection.receive(false)?.text(), "ok\n");
    connection.send_raw(b"st: localhost\r\n\r\n")?;
    assert_eq!(connection.receive(false)?.text(), "ready\n");
    // Nor is it lost if what follows is no request.
    connection.send_raw(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n\x01\x02\x03\r\n\r\n")?;
    assert_eq!(connection.receive(false)?.text(), "ok\n");
    Ok(())
}

/// Bytes that are no request are answered before the connection is closed.
#[test]
fn malformed_requests_are_answered() -> Result<()> {
    let node = Node::start()?;
    for request in [
        "POST /a<b HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\n\r\n{}",
        "POST /a HTTP/1.1\r\nHost: localhost\r\nContent|Length\u{1}: 2\r\n\r\n",
        "POST /a HTTP/9.1\r\nHost: localhost\r\n\r\n",
        "POST /a HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2x\r\n\r\n",
        "POST /a HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nabc",
        "POST /a HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: gzip\r\n\r\n",
    ] {
        let mut connection = node.connect()?;
        connection.send_raw(request.as_bytes())?;
        let response = connection
            .receive(false)
            .with_context(|| format!("{request:?}"))?;
        assert!(
            matches!(response.status, 400 | 501 | 505),
            "{request:?}: {}",
            response.status
        );
    }
    Ok(())
}

/// More connections than are allowed wait; they are served as soon as others go.
#[test]
fn connections_over_the_limit_wait() -> Result<()> {
    let node = Setup::new()?.with("api.connections_max", 5).start()?;
    let mut kept = (0..5)
        .map(|_| node.connect())
        .collect::<Result<Vec<Connection>>>()?;
    for connection in &mut kept {
        assert_eq!(connection.send(&Request::get("/healthz"))?.status, 200);
    }
    let mut waiting = node.connect()?;
    waiting.send_only(&Request::get("/healthz"))?;
    for connection in &mut kept {
        assert_eq!(connection.send(&Request::get("/healthz"))?.status, 200);
    }
    drop(kept.pop());
    assert_eq!(waiting.receive(false)?.status, 200);
    Ok(())
}

#[test]
fn requests_over_the_limit_are_refused_at_once() -> Result<()> {
    let node = Setup::new()?.with("api.concurrency_max", 2).start()?;
    node.deploy("slow", guests::sleeper(2000))?;
    // A question may take the place of a call that is just arriving; then both are asked again.
    let refused = crate::support::wait_for("a refusal", || {
        let mut busy = (0..2)
            .map(|_| node.connect())
            .collect::<Result<Vec<Connection>>>()?;
        for connection in &mut busy {
            connection.send_only(&Request::post("/invoke/slow", ""))?;
        }
        for _ in 0..20 {
            let response = node.get("/status")?;
            if response.status != 200 {
                return Ok(Some(response));
            }
        }
        Ok(None)
    })?;
    refused.assert_problem(503, "too_many_requests_at_once");
    assert!(refused.header("retry-after").is_some());
    // Health is open whatever happens.
    assert_eq!(node.get("/healthz")?.status, 200);
    Ok(())
}

/// 20 functions and 400 connections at once with the file descriptors that many systems give a process.
#[test]
fn a_thousand_file_descriptors_suffice() -> Result<()> {
    let node = Setup::new()?
        .under_shell("ulimit -n 1024; exec \"$0\"")
        .start()?;
    let limits = std::fs::read_to_string(format!("/proc/{}/limits", node.pid()))?;
    let files = limits
        .lines()
        .find(|line| line.starts_with("Max open files"))
        .context("the kernel tells the limit")?;
    assert_eq!(files.split_whitespace().nth(4), Some("1024"), "{files}");
    for n in 0..20 {
        node.deploy(&format!("f{n}"), guests::constant(n))?;
    }
    let mut connections = (0..400)
        .map(|_| node.connect())
        .collect::<Result<Vec<_>>>()?;
    for round in 0..2 {
        for (index, connection) in connections.iter_mut().enumerate() {
            connection.send_only(&Request::post(
                &format!("/invoke/f{}", (index + round) % 20),
                "",
            ))?;
        }
        for (index, connection) in connections.iter_mut().enumerate() {
            assert_eq!(
                connection.receive(false)?.result()?,
                json!({"n": (index + round) % 20})
            );
        }
    }
    drop(connections);
    node.deploy("last", guests::constant(99))?;
    assert!(!node.stop()?.stderr.contains("too many open files"));
    Ok(())
}
