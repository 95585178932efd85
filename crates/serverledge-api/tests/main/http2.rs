//! HTTP/2 beside HTTP/1.1 on one port: by its preface without TLS, by its name in the handshake with TLS.

use std::time::Duration;

use bytes::Bytes;
use http::{Method, Request, Response};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::client::conn::http2::{SendRequest, handshake};
use hyper_util::rt::{TokioExecutor, TokioIo};
use serverledge_api::{ServerLimits, Serving, serve};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::task::TaskTracker;

use crate::balancer;
use crate::server::{PATIENCE, WAIT_MAX, server};
use crate::tls::Server as TlsServer;

/// A client of one connection, and the task that drives it.
struct Client {
    sender: SendRequest<Full<Bytes>>,
    driver: TaskTracker,
}

impl Client {
    async fn connect(serving: &Serving) -> Self {
        Self::over(TcpStream::connect(serving.address).await.unwrap()).await
    }

    async fn over(stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static) -> Self {
        let (sender, connection) = handshake(TokioExecutor::new(), TokioIo::new(stream))
            .await
            .unwrap();
        let driver = TaskTracker::new();
        drop(driver.spawn(connection));
        driver.close();
        Self { sender, driver }
    }

    async fn send(&mut self, request: Request<Full<Bytes>>) -> hyper::Result<Response<Incoming>> {
        let sending = self.sender.send_request(request);
        tokio::time::timeout(WAIT_MAX, sending)
            .await
            .expect("an answer did not come")
    }

    async fn ask(&mut self, method: Method, uri: &str, body: &'static str) -> (u16, String) {
        let request = Request::builder()
            .method(method)
            .uri(uri)
            .body(Full::from(body))
            .unwrap();
        let response = self.send(request).await.unwrap();
        let status = response.status().as_u16();
        let text = response.into_body().collect().await.unwrap().to_bytes();
        (status, String::from_utf8(text.to_vec()).unwrap())
    }

    async fn ended(&self) {
        tokio::time::timeout(WAIT_MAX, self.driver.wait())
            .await
            .expect("the connection did not end");
    }
}

#[tokio::test]
async fn one_port_speaks_both() {
    let (serving, _handle) = server(10, PATIENCE).await;
    let mut client = Client::connect(&serving).await;
    for n in ["1", "2"] {
        assert_eq!(
            client
                .ask(Method::POST, "http://localhost/fn/json", n)
                .await,
            (200, n.to_owned())
        );
    }
    assert_eq!(
        client
            .ask(Method::GET, "http://localhost/fn/json?n=3", "")
            .await,
        (200, "{\"n\":3}".to_owned())
    );
    let mut first = crate::server::Client::connect(&serving).await;
    first.ask("POST", "/fn/json", "4").await;
    assert_eq!(first.response().await.1, "4");
    assert!(
        serving.drain(WAIT_MAX).await,
        "an idle connection does not hold up the drain"
    );
    client.ended().await;
}

#[tokio::test]
async fn an_answer_to_head_has_no_body() {
    let (serving, _handle) = server(10, PATIENCE).await;
    let mut client = Client::connect(&serving).await;
    for (uri, status) in [
        ("http://localhost/fn/json?n=3", 200),
        ("http://localhost/functions/nobody", 404),
        ("http://localhost/invoke/json", 405),
        ("http://localhost/nowhere", 404),
        ("http://localhost/healthz", 200),
    ] {
        let request = Request::head(uri).body(Full::default()).unwrap();
        let response = client.send(request).await.unwrap();
        assert_eq!(response.status(), status, "{uri}");
        assert!(
            response.headers()["content-length"]
                .to_str()
                .unwrap()
                .parse::<u64>()
                .unwrap()
                > 0,
            "{uri}"
        );
        assert!(
            response
                .into_body()
                .collect()
                .await
                .unwrap()
                .to_bytes()
                .is_empty(),
            "{uri}"
        );
    }
}

#[tokio::test]
async fn the_handshake_chooses() {
    let server = TlsServer::start(PATIENCE).await;
    for protocols in [&["h2"][..], &["http/1.1", "h2"]] {
        let stream = server.shake(rustls::ALL_VERSIONS, protocols).await.unwrap();
        assert_eq!(
            stream.get_ref().1.alpn_protocol(),
            Some(&b"h2"[..]),
            "{protocols:?}"
        );
        let mut client = Client::over(stream).await;
        assert_eq!(
            client
                .ask(Method::POST, "https://localhost/fn/json", "5")
                .await,
            (200, "5".to_owned())
        );
    }
    assert!(server.serving.drain(WAIT_MAX).await);
}

#[tokio::test]
async fn a_load_balancer_speaks_it_too() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (app, seen) = balancer::app();
    let serving = serve(
        listener,
        app,
        ServerLimits {
            connections_max: 10,
            header_timeout: PATIENCE,
        },
    )
    .unwrap();
    let mut client = Client::connect(&serving).await;
    assert_eq!(
        client
            .ask(Method::POST, "http://localhost/fn/any", "5")
            .await,
        (201, "answer".to_owned())
    );
    let seen = seen.lock().unwrap().join("\n");
    assert!(
        seen.contains("POST /fn/any"),
        "as it would have come in HTTP/1.1: {seen}"
    );
}

/// The rules for untrusted hosts and for other sites' pages are those of HTTP/1.1.
#[tokio::test]
async fn the_authority_is_the_host() {
    let (serving, _handle) = server(10, PATIENCE).await;
    let mut client = Client::connect(&serving).await;
    for (uri, header, status, code) in [
        (
            "http://evil.example/fn/json",
            ("x-a", "1"),
            421,
            "host_unknown",
        ),
        (
            "http://127.0.0.1.nip.io/fn/json",
            ("x-a", "1"),
            421,
            "host_unknown",
        ),
        (
            "http://localhost/fn/json",
            ("host", "evil.example"),
            400,
            "no_host",
        ),
        (
            "http://evil.example/fn/json",
            ("host", "localhost"),
            400,
            "no_host",
        ),
        (
            "http://localhost/fn/json",
            ("origin", "http://evil.example"),
            403,
            "cross_origin",
        ),
        (
            "http://localhost/fn/json",
            ("sec-fetch-site", "cross-site"),
            403,
            "cross_origin",
        ),
        (
            "http://localhost/peer/load",
            ("x-a", "1"),
            401,
            "peer_proof_false",
        ),
        (
            "http://shop.localhost/up",
            ("x-a", "1"),
            404,
            "application_not_running",
        ),
    ] {
        let request = Request::post(uri)
            .header(header.0, header.1)
            .body(Full::from("5"))
            .unwrap();
        let response = client.send(request).await.unwrap();
        let told = (
            response.status().as_u16(),
            response.into_body().collect().await.unwrap().to_bytes(),
        );
        let told = (told.0, String::from_utf8_lossy(&told.1).into_owned());
        assert!(
            told.0 == status && told.1.contains(&format!("\"{code}\"")),
            "{uri} {header:?}: {told:?}"
        );
    }
    assert_eq!(
        client
            .ask(Method::POST, "http://localhost/fn/json", "5")
            .await
            .0,
        200,
        "the connection goes on"
    );
}

#[tokio::test]
async fn limits_hold_and_the_connection_goes_on() {
    let (serving, _handle) = server(10, PATIENCE).await;
    let mut client = Client::connect(&serving).await;
    let large = |uri: &str, bytes: usize| {
        Request::post(uri)
            .body(Full::from(vec![b'x'; bytes]))
            .unwrap()
    };
    for (request, status) in [
        (large("http://localhost/fn/json", 6_400_000), 413),
        (large("http://localhost/fn/nobody", 2_000_000), 404),
    ] {
        let response = client.send(request).await.unwrap();
        assert_eq!(response.status(), status);
    }
    let mut lines = Request::get("http://localhost/healthz");
    for _ in 0..101 {
        lines = lines.header("x-a", "1");
    }
    assert_eq!(
        client
            .send(lines.body(Full::default()).unwrap())
            .await
            .unwrap()
            .status(),
        431
    );
    let long = Request::get("http://localhost/healthz").header("x-a", "x".repeat(70_000));
    let refused = client.send(long.body(Full::default()).unwrap()).await;
    assert!(refused.is_err() || refused.is_ok_and(|response| response.status() == 431));
    let mut client = Client::connect(&serving).await;
    assert_eq!(
        client
            .ask(Method::GET, "http://localhost/healthz", "")
            .await
            .0,
        200
    );
}

/// The places of requests are the whole server's, however many come on one connection.
#[tokio::test]
async fn requests_of_one_connection_run_at_once_within_the_servers_places() {
    let (serving, handle) = server(10, PATIENCE).await;
    handle.hold();
    let client = Client::connect(&serving).await;
    let asked: Vec<_> = (0..3)
        .map(|_| {
            let mut sender = client.sender.clone();
            async move {
                let request = Request::post("http://localhost/fn/json")
                    .body(Full::from("5"))
                    .unwrap();
                sender.send_request(request).await.unwrap().status()
            }
        })
        .collect();
    let answers = futures_util::future::join_all(asked);
    let fourth = async {
        handle
            .wait_for("three at once", |counts| counts.begun == 3)
            .await;
        let mut client = Client::connect(&serving).await;
        let told = client
            .ask(Method::POST, "http://localhost/fn/json", "5")
            .await;
        handle.release();
        told
    };
    let (answers, fourth) = tokio::join!(answers, fourth);
    assert!(answers.iter().all(|status| *status == 200), "{answers:?}");
    assert!(
        fourth.0 == 503 && fourth.1.contains("too_many_requests_at_once"),
        "{fourth:?}"
    );
}

#[tokio::test]
async fn an_invocation_ends_with_its_client_and_a_drain_lets_one_end() {
    let (serving, handle) = server(10, PATIENCE).await;
    handle.hold();
    let mut client = Client::connect(&serving).await;
    let gone = tokio::time::timeout(
        WAIT_MAX,
        futures_util::future::select(
            Box::pin(client.ask(Method::POST, "http://localhost/fn/json", "5")),
            Box::pin(handle.wait_for("the invocation", |counts| counts.begun == 1)),
        ),
    );
    drop(gone.await.unwrap());
    handle
        .wait_for("the end of the invocation", |counts| counts.dropped == 1)
        .await;

    let asking = client.ask(Method::POST, "http://localhost/fn/json", "7");
    let draining = async {
        handle
            .wait_for("the next invocation", |counts| counts.begun == 2)
            .await;
        let drain = serving.drain(WAIT_MAX);
        let release = async {
            tokio::task::yield_now().await;
            handle.release();
        };
        tokio::join!(drain, release).0
    };
    let (answer, drained) = tokio::join!(asking, draining);
    assert_eq!(answer, (200, "7".to_owned()));
    assert!(drained, "the request ended by itself");
    client.ended().await;
}

#[tokio::test]
async fn a_connection_on_which_nothing_is_asked_ends() {
    let (serving, handle) = server(10, Duration::from_secs(1)).await;
    let mut client = Client::connect(&serving).await;
    handle.hold();
    let released = async {
        handle
            .wait_for("the invocation", |counts| counts.begun == 1)
            .await;
        // Longer than a connection may be idle.
        tokio::time::sleep(Duration::from_secs(3)).await;
        handle.release();
    };
    let (answer, ()) = tokio::join!(
        client.ask(Method::POST, "http://localhost/fn/json", "5"),
        released
    );
    assert_eq!(answer.0, 200, "what runs is not idle");
    client.ended().await;
    // One that says nothing after the preface, or half of it.
    for text in ["PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "PRI * HT"] {
        let mut silent = TcpStream::connect(serving.address).await.unwrap();
        silent.write_all(text.as_bytes()).await.unwrap();
        let mut told = Vec::new();
        let ended = tokio::time::timeout(WAIT_MAX, silent.read_to_end(&mut told)).await;
        assert!(ended.is_ok(), "{text:?}: {told:?}");
    }
}
