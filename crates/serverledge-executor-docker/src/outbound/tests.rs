//! Requests of functions, as HTTP clients send them to a proxy.

use serverledge_testing::fake_host::{FakeHost, FakeHostHandle};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::*;

const CAPABILITY: &str = "c1";
/// Longest wait of a test for an expected event.
const WAIT_MAX: Duration = Duration::from_secs(60);

/// A container in which an invocation runs, and the handle of its host.
fn running() -> (Arc<Active>, FakeHostHandle) {
    let (host, handle) = FakeHost::new();
    (Arc::new(Active::with(CAPABILITY, host)), handle)
}

/// Reads until this text has come.
async fn read_until(stream: &mut UnixStream, end: &str) -> String {
    let reading = async {
        let mut read = Vec::new();
        while !String::from_utf8_lossy(&read).ends_with(end) {
            read.push(stream.read_u8().await.unwrap());
        }
        String::from_utf8(read).unwrap()
    };
    tokio::time::timeout(WAIT_MAX, reading).await.unwrap()
}

/// Sends a request, and reads the answer until this text.
async fn ask(active: &Arc<Active>, request: &str, end: &str) -> String {
    let (mut function, node) = UnixStream::pair().unwrap();
    let asking = async {
        function.write_all(request.as_bytes()).await.unwrap();
        let answer = read_until(&mut function, end).await;
        drop(function);
        answer
    };
    let ((), answer) = tokio::join!(serve(node, Arc::clone(active)), asking);
    answer
}

/// A fault of a host.
type Fault = fn(String) -> OutboundError;

#[tokio::test]
async fn a_request_with_a_whole_url_is_sent() {
    let (active, handle) = running();
    handle.respond(|_| {
        let mut response = Response::new(body(Bytes::from_static(b"made")));
        *response.status_mut() = StatusCode::CREATED;
        response
    });
    for url in ["http://a.example/x?y", "https://a.example:8443/"] {
        let request = format!("POST {url} HTTP/1.1\r\nhost: other\r\ncontent-length: 2\r\n\r\nhi");
        let answer = ask(&active, &request, "made").await;
        assert!(answer.starts_with("HTTP/1.1 201 Created\r\n"), "{answer}");
        let sent = handle.sent().pop().unwrap();
        assert_eq!(
            (sent.uri.to_string(), sent.method),
            (url.to_owned(), Method::POST)
        );
        assert_eq!(sent.body, b"hi");
    }
}

#[tokio::test]
async fn a_refusal_says_why_in_its_first_line_too() {
    let (active, handle) = running();
    let why = "outbound_host_not_allowed: https://a.example is not among the hosts that the function may reach (--allow-host)";
    handle.fail_requests(|| OutboundError::Host("https://a.example".to_owned()));
    for request in [
        "GET https://a.example/ HTTP/1.1\r\nhost: a.example\r\n\r\n",
        "CONNECT a.example:443 HTTP/1.1\r\nhost: a.example:443\r\n\r\n",
        "CONNECT a.example:443 HTTP/1.0\r\n\r\n",
    ] {
        let answer = ask(&active, request, "}").await;
        let (head, object) = answer.split_once("\r\n\r\n").unwrap();
        assert!(head.contains(&format!(" 403 {why}\r\n")), "{answer}");
        let object: serde_json::Value = serde_json::from_str(object).unwrap();
        let (code, message) = why.split_once(": ").unwrap();
        assert_eq!(
            object,
            serde_json::json!({"error": code, "message": message})
        );
    }
    let host = || "a.example".to_owned();
    let statuses: [(Fault, u16); 4] = [
        (OutboundError::Refused, 403),
        (OutboundError::Url, 400),
        (|_| OutboundError::TooMany(1), 429),
        (
            |host| OutboundError::Timeout {
                host,
                limit: Duration::from_secs(1),
            },
            504,
        ),
    ];
    for (error, status) in statuses {
        assert_eq!(refused(&error(host())).status().as_u16(), status);
    }
    let cause = "it refuses connections".to_owned();
    let unreachable = OutboundError::Unreachable {
        host: host(),
        cause,
    };
    assert_eq!(refused(&unreachable).status().as_u16(), 502);
}

#[tokio::test]
async fn what_is_no_request_of_a_call_is_refused() {
    let (active, handle) = running();
    for request in [
        "GET / HTTP/1.1\r\nhost: a.example\r\n\r\n",
        "CONNECT a.example HTTP/1.1\r\nhost: a.example\r\n\r\n",
    ] {
        let answer = ask(&active, request, "}").await;
        assert!(answer.contains(" 400 outbound_url_invalid: "), "{answer}");
    }
    active.end(CAPABILITY);
    let request = "GET http://a.example/ HTTP/1.1\r\nhost: a.example\r\n\r\n";
    let answer = ask(&active, request, "}").await;
    assert!(answer.contains(" 403 not_running: "), "{answer}");
    assert!(handle.sent().is_empty() && handle.tunnels().is_empty());
}

#[tokio::test]
async fn a_tunnel_takes_any_bytes() {
    let (active, handle) = running();
    handle.open_tunnels("pong");
    for version in ["1.0", "1.1"] {
        let (mut function, node) = UnixStream::pair().unwrap();
        let talking = async {
            let connect = format!("CONNECT a.example:5432 HTTP/{version}\r\n\r\n");
            function.write_all(connect.as_bytes()).await.unwrap();
            let head = read_until(&mut function, "\r\n\r\n").await;
            assert!(head.contains(" 200 OK\r\n"), "{head}");
            function.write_all(b"\0ping\r\n\r\n").await.unwrap();
            let mut answer = String::new();
            function.read_to_string(&mut answer).await.unwrap();
            drop(function);
            answer
        };
        let ((), answer) = tokio::join!(serve(node, Arc::clone(&active)), talking);
        assert_eq!(answer, "pong");
        let tunnel = handle.tunnels().pop().unwrap();
        assert_eq!((&*tunnel.target, tunnel.is_open), ("a.example:5432", false));
        assert_eq!(tunnel.written, b"\0ping\r\n\r\n");
    }
}

/// Connections that were opened while a call ran are closed when none runs any more.
#[tokio::test]
async fn a_tunnel_ends_with_the_calls() {
    let (active, handle) = running();
    handle.open_tunnels("");
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("outbound.sock");
    let listener = UnixListener::bind(&path).unwrap();
    let accepting = accept(listener, Arc::clone(&active), CancellationToken::new());
    let talking = async {
        let mut function = UnixStream::connect(&path).await.unwrap();
        let connect = b"CONNECT a.example:443 HTTP/1.1\r\n\r\n";
        function.write_all(connect).await.unwrap();
        read_until(&mut function, "\r\n\r\n").await;
        active.end(CAPABILITY);
        let mut rest = Vec::new();
        let reading = function.read_to_end(&mut rest);
        tokio::time::timeout(WAIT_MAX, reading)
            .await
            .unwrap()
            .unwrap();
        handle
            .wait_for_tunnel("its end", |tunnel| !tunnel.is_open)
            .await;
    };
    tokio::select! {
        () = accepting => panic!("nobody stops it"),
        () = talking => {}
    }
}
