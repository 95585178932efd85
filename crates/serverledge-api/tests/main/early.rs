//! Answers that come before their request's body was read: they arrive, and the next request goes through or was told that
//! the connection ends.

use serverledge_api::{ServerLimits, Serving, serve};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use crate::balancer;
use crate::server::{Client, PATIENCE, WAIT_MAX, server};
use crate::tls::Server as TlsServer;

/// Requests that are answered without a look at their body: path, host and status.
const EARLY: [(&str, &str, &str); 8] = [
    ("/fn/nobody", "localhost", "404"),
    ("/invoke/-", "localhost", "404"),
    ("/nowhere", "localhost", "404"),
    ("/healthz", "localhost", "405"),
    ("/app/nobody/hello", "localhost", "404"),
    ("/fn/json", "shop.example", "421"),
    ("/anything", "shop.localhost", "404"),
    ("/peer/load", "localhost", "401"),
];

async fn balancer_server() -> Serving {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let limits = ServerLimits {
        connections_max: 10,
        header_timeout: PATIENCE,
    };
    serve(listener, balancer::app().0, limits).unwrap()
}

#[tokio::test]
async fn a_small_body_that_nobody_reads_costs_no_connection() {
    let (serving, _handle) = server(10, PATIENCE).await;
    let mut client = Client::connect(&serving).await;
    for (path, host, status) in EARLY {
        client
            .send(&format!(
                "POST {path} HTTP/1.1\r\nhost: {host}\r\ncontent-length: 7\r\n\r\n"
            ))
            .await;
        // The answer does not wait for the body, and the body may come in pieces.
        let (head, body) = client.response().await;
        assert!(
            head.starts_with(&format!("http/1.1 {status}")),
            "{path}: {head}{body}"
        );
        assert!(!head.contains("connection: close"), "{path}: {head}");
        client.send("{\"a\"").await;
        client.send(":1}").await;
        client.ask("POST", "/fn/json", "5").await;
        assert_eq!(client.response().await.1, "5", "after {path}");
    }
    assert!(serving.drain(WAIT_MAX).await);
}

#[tokio::test]
async fn of_a_body_of_unknown_length_the_end_is_told() {
    for serving in [server(10, PATIENCE).await.0, balancer_server().await] {
        let mut client = Client::connect(&serving).await;
        client
            .send("POST /fn/- HTTP/1.1\r\nhost: localhost\r\ntransfer-encoding: chunked\r\n\r\n")
            .await;
        let (head, _) = client.response().await;
        assert!(
            head.starts_with("http/1.1 404") && head.contains("connection: close"),
            "{head}"
        );
        for _ in 0..100 {
            client
                .send(&format!("1000\r\n{}\r\n", "x".repeat(4096)))
                .await;
        }
        client.0.shutdown().await.unwrap();
        assert_eq!(
            client.end().await,
            "",
            "nothing is reset, and nothing follows"
        );
    }
}

/// Whoever waits for a word is not asked for a body that nobody wants.
#[tokio::test]
async fn nobody_is_asked_for_a_body_that_nobody_reads() {
    let (serving, _handle) = server(10, PATIENCE).await;
    for (path, length, status) in [
        ("/fn/nobody", 7, "404"),
        ("/fn/json", 5_000_000, "413"),
        ("/nowhere", 7, "404"),
    ] {
        let mut client = Client::connect(&serving).await;
        let fields = format!("host: localhost\r\nexpect: 100-continue\r\ncontent-length: {length}");
        client
            .send(&format!("POST {path} HTTP/1.1\r\n{fields}\r\n\r\n"))
            .await;
        let (head, _) = client.response().await;
        assert!(
            head.starts_with(&format!("http/1.1 {status}")) && head.contains("connection: close"),
            "{head}"
        );
        client.0.shutdown().await.unwrap();
        assert_eq!(client.end().await, "");
    }
    let mut client = Client::connect(&serving).await;
    client.send("POST /fn/json HTTP/1.1\r\nhost: localhost\r\nexpect: 100-continue\r\ncontent-length: 1\r\n\r\n").await;
    let mut word = vec![0; "HTTP/1.1 100 Continue\r\n\r\n".len()];
    client.0.read_exact(&mut word).await.unwrap();
    assert_eq!(word, b"HTTP/1.1 100 Continue\r\n\r\n");
    client.send("5").await;
    assert_eq!(client.response().await.1, "5");
}

/// A client that sends all of its body before it reads gets its answer all the same.
#[tokio::test]
async fn a_large_body_does_not_lose_its_answer() {
    let (serving, _handle) = server(10, PATIENCE).await;
    let tls = TlsServer::start(PATIENCE).await;
    let lb = balancer_server().await;
    for (path, length, status) in [
        ("/fn/json", 6_400_000, "413"),
        ("/fn/-", 2_000_000, "404"),
        ("/create", 20_000_000, "413"),
    ] {
        send_all(
            TcpStream::connect(serving.address).await.unwrap(),
            path,
            length,
            status,
        )
        .await;
        send_all(
            TcpStream::connect(lb.address).await.unwrap(),
            path,
            length,
            status,
        )
        .await;
        send_all(
            tls.shake(rustls::ALL_VERSIONS, &[]).await.unwrap(),
            path,
            length,
            status,
        )
        .await;
    }
    assert!(
        serving.drain(WAIT_MAX).await,
        "a client that has gone holds nothing up"
    );
}

async fn send_all(
    mut stream: impl AsyncRead + AsyncWrite + Unpin,
    path: &str,
    length: usize,
    status: &str,
) {
    let head =
        format!("POST {path} HTTP/1.1\r\nhost: localhost\r\ncontent-length: {length}\r\n\r\n");
    stream.write_all(head.as_bytes()).await.unwrap();
    let sending = async {
        for _ in 0..length / 10_000 {
            stream.write_all(&[b'x'; 10_000]).await.unwrap();
        }
        stream.flush().await.unwrap();
        let mut answer = Vec::new();
        stream
            .read_to_end(&mut answer)
            .await
            .expect("the connection is not reset");
        String::from_utf8(answer).unwrap()
    };
    let answer = tokio::time::timeout(WAIT_MAX, sending)
        .await
        .expect("the connection did not end");
    let lower = answer.to_ascii_lowercase();
    assert!(
        lower.starts_with(&format!("http/1.1 {status}")),
        "{path}: {answer}"
    );
    assert!(lower.contains("connection: close"), "{answer}");
}

/// A client that never ends is not listened to for ever: it holds up the drain for a few seconds.
#[tokio::test]
async fn an_endless_body_is_read_within_bounds() {
    let (serving, _handle) = server(10, PATIENCE).await;
    let mut client = Client::connect(&serving).await;
    client
        .send("POST /fn/nobody HTTP/1.1\r\nhost: localhost\r\ncontent-length: 10000000\r\n\r\n")
        .await;
    let (head, _) = client.response().await;
    assert!(head.contains("connection: close"), "{head}");
    assert_eq!(client.end().await, "", "the sending side is closed at once");
    let began = tokio::time::Instant::now();
    // It neither sends nor closes: the silence ends it.
    assert!(serving.drain(WAIT_MAX).await);
    assert!(began.elapsed() < WAIT_MAX, "{:?}", began.elapsed());
}
