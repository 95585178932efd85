//! Answers that come before their request's body was read, on kept connections of the real program: none is lost, and the
//! next request goes through or was told that the connection ends.

use anyhow::{Context, Result, ensure};

use crate::support::{Connection, Node, Request, Response};

/// Requests on one connection, head and body in two writes.
const TRIES: usize = 200;

/// Sends a request as clients do that write head and body apart.
fn apart(connection: &mut Connection, target: &str, host: &str) -> Result<Response> {
    let head = format!("POST {target} HTTP/1.1\r\nHost: {host}\r\nContent-Length: 7\r\n\r\n");
    connection.send_raw(head.as_bytes())?;
    connection.send_raw(b"{\"a\":1}")?;
    connection.receive(false)
}

#[test]
fn no_request_on_a_kept_connection_is_lost() -> Result<()> {
    let node = Node::start()?;
    node.deploy_example("echo-http")?;
    // The last two are of a function that does not look at the body.
    for (target, host, status) in [
        ("/fn/no-such-function", "localhost", 404),
        ("/invoke/no-such-function", "localhost", 400),
        ("/nowhere", "localhost", 404),
        ("/healthz", "localhost", 405),
        ("/fn/echo-http", "shop.example", 421),
        ("/app/nobody/hello", "localhost", 404),
        ("/fn/echo-http/page", "localhost", 200),
        ("/fn/echo-http/stream", "localhost", 200),
    ] {
        let mut connection = node.connect()?;
        for number in 0..TRIES {
            let response = apart(&mut connection, target, host)
                .with_context(|| format!("{target}, request {number}"))?;
            ensure!(
                response.status == status,
                "{target}: {} {}",
                response.status,
                response.text()
            );
            if response.header("connection") == Some("close") {
                connection = node.connect()?;
            }
        }
        let after = connection.send(&Request::get("/healthz"))?;
        ensure!(after.status == 200, "after {target}: {}", after.status);
    }
    node.stop().map(drop)
}

/// Most clients send all of a body before they look for an answer.
#[test]
fn a_body_that_is_too_large_is_told_so() -> Result<()> {
    let node = Node::start()?;
    for (target, megabytes, status) in [
        ("/fn/no-such-function", 2, 404),
        ("/invoke/no-such-function", 7, 413),
        ("/invoke/no-such-function", 20, 413),
        ("/nowhere", 20, 404),
    ] {
        for _ in 0..3 {
            let mut connection = node.connect()?;
            connection.send_only(&Request::post(target, vec![b'x'; megabytes << 20]))?;
            let response = connection
                .receive(false)
                .with_context(|| format!("{target} {megabytes} MiB"))?;
            ensure!(
                response.status == status,
                "{target}: {} {}",
                response.status,
                response.text()
            );
            ensure!(
                response.header("connection") == Some("close"),
                "{:?}",
                response.headers
            );
            ensure!(connection.is_closed_by_peer()?, "the connection goes on");
        }
    }
    node.stop().map(drop)
}
