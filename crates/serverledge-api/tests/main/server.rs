//! The server over real sockets on loopback: keep-alive, limits of the head, and the drain.

use std::time::Duration;

use serverledge_api::{ServerLimits, Serving, serve};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use crate::backend::Handle;
use crate::support::app;

pub(crate) const WAIT_MAX: Duration = Duration::from_secs(60);
/// Longer than any test takes: nothing may be idle for so long by accident.
pub(crate) const PATIENCE: Duration = Duration::from_secs(120);

pub(crate) async fn server(connections_max: usize, header_timeout: Duration) -> (Serving, Handle) {
    let (app, handle) = app();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    (
        serve(
            listener,
            app,
            ServerLimits {
                connections_max,
                header_timeout,
            },
        )
        .unwrap(),
        handle,
    )
}

/// A connection that is written to and read from by hand.
pub(crate) struct Client(pub(crate) TcpStream);

impl Client {
    pub(crate) async fn connect(serving: &Serving) -> Self {
        Self(TcpStream::connect(serving.address).await.unwrap())
    }

    pub(crate) async fn send(&mut self, text: &str) {
        self.0.write_all(text.as_bytes()).await.unwrap();
    }

    pub(crate) async fn ask(&mut self, method: &str, path: &str, body: &str) {
        let length = body.len();
        self.send(&format!(
            "{method} {path} HTTP/1.1\r\nhost: localhost\r\ncontent-length: {length}\r\n\r\n{body}"
        ))
        .await;
    }

    /// One response whose body has a length: head and body.
    pub(crate) async fn response(&mut self) -> (String, String) {
        let mut bytes = Vec::new();
        let reading = async {
            while !bytes.ends_with(b"\r\n\r\n") {
                bytes.push(
                    self.0
                        .read_u8()
                        .await
                        .expect("the connection ended inside of a head"),
                );
            }
            let head = String::from_utf8(bytes).unwrap().to_ascii_lowercase();
            let length = head
                .lines()
                .find_map(|line| line.strip_prefix("content-length: "))
                .unwrap()
                .parse()
                .unwrap();
            let mut body = vec![0; length];
            self.0.read_exact(&mut body).await.unwrap();
            (head, String::from_utf8(body).unwrap())
        };
        tokio::time::timeout(WAIT_MAX, reading)
            .await
            .expect("a response did not come")
    }

    /// Reads to the end of the connection; an abort is an end too.
    pub(crate) async fn end(&mut self) -> String {
        self.end_after("what was sent").await
    }

    pub(crate) async fn end_after(&mut self, sent: &str) -> String {
        let mut rest = Vec::new();
        let ended = tokio::time::timeout(WAIT_MAX, self.0.read_to_end(&mut rest))
            .await
            .is_ok();
        let rest = String::from_utf8_lossy(&rest).into_owned();
        assert!(
            ended,
            "after {sent:?} the connection did not end; it gave {rest:?}"
        );
        rest
    }
}

#[tokio::test]
async fn a_connection_carries_many_requests() {
    let (serving, _handle) = server(10, PATIENCE).await;
    let mut client = Client::connect(&serving).await;
    for n in 0..3 {
        client.ask("POST", "/fn/json", &n.to_string()).await;
        let (head, body) = client.response().await;
        assert!(head.starts_with("http/1.1 200 ok\r\n"), "{head}");
        assert_eq!(body, n.to_string());
    }
    // Two at once, answered in their order.
    client
        .send(
            "GET /fn/json?n=1 HTTP/1.1\r\nhost: localhost\r\n\r\nGET /fn/json?n=2 HTTP/1.1\r\nhost: localhost\r\n\r\n",
        )
        .await;
    assert_eq!(
        (client.response().await.1, client.response().await.1),
        ("{\"n\":1}".to_owned(), "{\"n\":2}".to_owned())
    );
    assert!(
        serving.drain(WAIT_MAX).await,
        "an idle connection does not hold up the drain"
    );
    assert_eq!(client.end().await, "");
}

#[tokio::test]
async fn what_is_no_http_is_refused_and_the_server_serves_on() {
    let (serving, _handle) = server(10, PATIENCE).await;
    for garbage in [
        "\x16\x03\x01\x02\0\x01\0",
        "GET\r\n\r\n",
        "GET / HTTP/9.9\r\n\r\n",
        "GET /fn/json HTTP/1.1\r\nhost: localhost\r\ncontent-length: -1\r\n\r\n",
        "GET /fn/json HTTP/1.1\r\nhost: localhost\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\nab",
        "PRI * HTTP/2.0\r\n\r\nSM\r\n",
    ] {
        let mut client = Client::connect(&serving).await;
        client.send(garbage).await;
        // Nothing more comes: what looks like the beginning of something is none.
        client.0.shutdown().await.unwrap();
        let told = client.end_after(garbage).await;
        assert!(
            told.is_empty() || told.starts_with("HTTP/1.1 4"),
            "{garbage:?}: {told}"
        );
    }
    let mut client = Client::connect(&serving).await;
    client
        .send(&format!(
            "GET / HTTP/1.1\r\nhost: localhost\r\nx-long: {}\r\n\r\n",
            "x".repeat(300_000)
        ))
        .await;
    assert!(client.end().await.starts_with("HTTP/1.1 431"));
    let mut client = Client::connect(&serving).await;
    client
        .send(&format!(
            "GET / HTTP/1.1\r\nhost: localhost\r\n{}\r\n",
            "x: y\r\n".repeat(200)
        ))
        .await;
    assert!(client.end().await.starts_with("HTTP/1.1 431"));
    let mut client = Client::connect(&serving).await;
    client.ask("GET", "/healthz", "").await;
    assert!(client.response().await.0.starts_with("http/1.1 200"));
    assert!(serving.drain(WAIT_MAX).await);
}

#[tokio::test]
async fn a_head_must_arrive_in_time() {
    let (serving, _handle) = server(10, Duration::from_millis(100)).await;
    let mut slow = Client::connect(&serving).await;
    slow.send("GET / HTTP/1.1\r\nhost: local").await;
    let told = slow.end().await;
    assert!(
        told.is_empty() || told.starts_with("HTTP/1.1 408"),
        "{told}"
    );
    let mut idle = Client::connect(&serving).await;
    assert_eq!(idle.end().await, "");
}

#[tokio::test]
async fn more_connections_wait_for_a_place() {
    let (serving, _handle) = server(1, PATIENCE).await;
    let mut first = Client::connect(&serving).await;
    first.ask("GET", "/healthz", "").await;
    first.response().await;
    let mut second = Client::connect(&serving).await;
    second.ask("GET", "/healthz", "").await;
    let waiting = tokio::time::timeout(Duration::from_millis(100), second.response()).await;
    assert!(
        waiting.is_err(),
        "the second connection was served beside the first"
    );
    drop(first);
    assert!(second.response().await.0.starts_with("http/1.1 200"));
}

/// The client goes away: what it asked for is stopped.
#[tokio::test]
async fn an_invocation_ends_with_its_client() {
    let (serving, handle) = server(10, PATIENCE).await;
    handle.hold();
    let mut client = Client::connect(&serving).await;
    client.ask("POST", "/invoke/json", "{}").await;
    handle
        .wait_for("the invocation", |counts| counts.begun == 1)
        .await;
    drop(client);
    handle
        .wait_for("the end of the invocation", |counts| counts.dropped == 1)
        .await;
}

#[tokio::test]
async fn a_drain_lets_a_running_request_end() {
    let (serving, handle) = server(10, PATIENCE).await;
    let address = serving.address;
    handle.hold();
    let mut client = Client::connect(&serving).await;
    client.ask("POST", "/fn/json", "7").await;
    handle
        .wait_for("the invocation", |counts| counts.begun == 1)
        .await;
    let draining = tokio::time::timeout(WAIT_MAX, serving.drain(WAIT_MAX));
    let answered = async {
        // New connections are refused once the drain has begun; the running request is not touched.
        while TcpStream::connect(address).await.is_ok() {
            tokio::task::yield_now().await;
        }
        assert_eq!(handle.counts().dropped, 0);
        handle.release();
        let (head, body) = client.response().await;
        assert_eq!(body, "7");
        assert!(head.contains("connection: close"), "{head}");
        assert_eq!(client.end().await, "");
    };
    let (drained, ()) = tokio::join!(draining, answered);
    assert!(
        drained.expect("the drain did not end"),
        "all requests ended by themselves"
    );
    assert_eq!(handle.counts().ended, 1);
}

/// Requests that do not end in time are cut off, and the drain says so.
#[tokio::test]
async fn a_drain_cuts_off_what_does_not_end() {
    let (serving, handle) = server(10, PATIENCE).await;
    handle.hold();
    let mut client = Client::connect(&serving).await;
    client.ask("POST", "/fn/json", "7").await;
    handle
        .wait_for("the invocation", |counts| counts.begun == 1)
        .await;
    assert!(!serving.drain(Duration::from_millis(50)).await);
    let cut = tokio::time::timeout(
        Duration::from_secs(5),
        handle.wait_for("the cut", |counts| counts.dropped == 1),
    )
    .await;
    assert!(
        cut.is_ok(),
        "the drain gave up, and the request runs on: {:?}",
        handle.counts()
    );
    assert_eq!(client.end().await, "");
}

/// Nobody waits for a reader that would stay for ever.
#[tokio::test]
async fn followers_of_logs_do_not_hold_up_the_drain() {
    let (serving, _handle) = server(10, PATIENCE).await;
    let mut client = Client::connect(&serving).await;
    client
        .send("GET /functions/json/logs?follow HTTP/1.1\r\nhost: localhost\r\n\r\n")
        .await;
    let mut head = Vec::new();
    let reading = async {
        while !head.ends_with(b"\r\n\r\n") {
            head.push(client.0.read_u8().await.unwrap());
        }
    };
    tokio::time::timeout(WAIT_MAX, reading)
        .await
        .expect("the answer begins before there is a line");
    assert!(
        serving.drain(WAIT_MAX).await,
        "the follower held up the drain"
    );
    assert_eq!(
        client.end().await,
        "0\r\n\r\n",
        "the answer ends as it should"
    );
}

/// The deploy is driven by its answer; a connection that closes ends both.
#[tokio::test]
async fn a_caller_that_hangs_up_ends_its_deploy() {
    let (serving, handle) = server(10, PATIENCE).await;
    handle.hold_deploys();
    handle.deploys_tell(&["one"]);
    for accept in ["application/x-ndjson", "application/json"] {
        let before = handle.deploying();
        let mut client = Client::connect(&serving).await;
        let head = format!(
            "POST /create HTTP/1.1\r\nhost: localhost\r\naccept: {accept}\r\ncontent-length: 12\r\n\r\n"
        );
        client.send(&head).await;
        client.send("{\"Name\":\"f\"}").await;
        handle
            .wait_for_deploys("the deploy", |counts| counts.begun == before.begun + 1)
            .await;
        drop(client);
        handle
            .wait_for_deploys("the deploy's end", |counts| {
                counts.dropped == before.dropped + 1
            })
            .await;
    }
    assert!(serving.drain(WAIT_MAX).await);
}
