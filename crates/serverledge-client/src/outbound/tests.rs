//! Outgoing requests over real sockets on loopback, allowed and not allowed.

use std::future::poll_fn;
use std::io::{self, Read as _, Write as _};
use std::net::{IpAddr, Ipv4Addr, TcpListener, TcpStream};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::thread::JoinHandle;

use bytes::Bytes;
use http_body::Frame;
use http_body_util::{BodyExt as _, Full};
use hyper::server::conn::http2;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use serverledge_core::BodyError;
use serverledge_testing::certificates::Authority;
use tokio_rustls::TlsAcceptor;

use super::*;
use crate::tls::tests::outcome;

const POOL: OutboundPool = [1; 32];
const OTHER_POOL: OutboundPool = [2; 32];
const EMPTY: &str = "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n";
/// For connections that do not come about.
const SHORT: Duration = Duration::from_millis(200);
/// Longest wait of a test for an expected event.
const WAIT_MAX: Duration = Duration::from_secs(60);

/// A name service that answers in this order, and then no more.
struct Names(Mutex<Vec<Vec<&'static str>>>);

impl Names {
    fn new(answers: &[&[&'static str]]) -> Self {
        Self(Mutex::new(
            answers.iter().rev().map(|answer| answer.to_vec()).collect(),
        ))
    }
}

impl Lookup for Names {
    async fn lookup(&self, name: &str) -> io::Result<Vec<IpAddr>> {
        assert_eq!(name, "api.example");
        let answer = self.0.lock().pop();
        let answer = answer.ok_or_else(|| io::Error::other("10.9.8.7 says no"))?;
        Ok(answer
            .into_iter()
            .map(|address| address.parse().unwrap())
            .collect())
    }
}

fn config(allow: &[&str]) -> OutboundConfig {
    OutboundConfig {
        allow: allow.iter().map(|text| text.parse().unwrap()).collect(),
        ..OutboundConfig::default()
    }
}

fn client_to(allow: &[&str]) -> OutboundClient {
    OutboundClient::new(config(allow)).unwrap()
}

fn asking(allow: &[&str], answers: &[&[&'static str]]) -> OutboundClient {
    OutboundClient::resolving(config(allow), Names::new(answers), STALL_TIMEOUT).unwrap()
}

fn body(text: &'static str) -> HttpBody {
    Box::pin(Full::new(Bytes::from(text)).map_err(|never| -> BodyError { match never {} }))
}

fn get(url: &str) -> Request<HttpBody> {
    Request::get(url).body(body("")).unwrap()
}

async fn text(response: Response<HttpBody>) -> Result<String, BodyError> {
    let bytes = response.into_body().collect().await?.to_bytes();
    Ok(String::from_utf8(bytes.to_vec()).unwrap())
}

/// The error of a request that gets no response.
async fn refused(client: &OutboundClient, url: &str) -> OutboundError {
    match client.send(&POOL, get(url)).await {
        Ok(response) => panic!("{url}: {}", response.status()),
        Err(error) => error,
    }
}

/// The words about a name that does not exist, and about one that is not allowed.
fn without_address(host: &str) -> String {
    format!("{host} was not reached: it has no address that this node lets functions reach")
}

/// Waits until the client has so many connections.
async fn connected(client: &OutboundClient, expected: usize) {
    let reached = async {
        while client.connections() != expected {
            tokio::task::yield_now().await;
        }
    };
    if tokio::time::timeout(WAIT_MAX, reached).await.is_err() {
        panic!("{} connections, not {expected}", client.connections());
    }
}

/// A listener on loopback, and its port.
fn listener() -> (TcpListener, u16) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    (listener, port)
}

/// A listener that must not be connected to.
fn trap() -> (TcpListener, u16) {
    let (trap, port) = listener();
    trap.set_nonblocking(true).unwrap();
    (trap, port)
}

/// A connection to loopback stands in the listener's queue before the one who connects goes on.
fn assert_untouched(trap: &TcpListener) {
    assert_eq!(
        trap.accept().map(|_| ()).unwrap_err().kind(),
        io::ErrorKind::WouldBlock,
        "somebody connected"
    );
}

/// The next request of a connection: its head, and its body as long as that says. `None` at the end.
fn read_request(stream: &mut TcpStream) -> Option<String> {
    let mut read = Vec::new();
    while !read.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte).ok()?;
        read.push(byte[0]);
    }
    let head = String::from_utf8(read).unwrap();
    let length = head
        .lines()
        .find_map(|line| line.strip_prefix("content-length: "))
        .map_or(0, |length| length.parse().unwrap());
    let mut rest = vec![0; length];
    stream.read_exact(&mut rest).ok()?;
    Some(head + &String::from_utf8(rest).unwrap())
}

/// A server of one request: its port, and what `talk` makes of it.
fn server<T: Send + 'static>(
    talk: impl FnOnce(TcpStream, String) -> T + Send + 'static,
) -> (u16, JoinHandle<T>) {
    let (listener, port) = listener();
    let thread = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let request = read_request(&mut stream).expect("a request");
        talk(stream, request)
    });
    (port, thread)
}

fn answering(answer: &'static str) -> (u16, JoinHandle<String>) {
    server(move |mut stream, request| {
        stream.write_all(answer.as_bytes()).unwrap();
        request
    })
}

/// A server of any number of requests, which answers each with the number of its connection.
fn numbering() -> u16 {
    let (listener, port) = listener();
    std::thread::spawn(move || {
        for (number, stream) in listener.incoming().enumerate() {
            let mut stream = stream.unwrap();
            std::thread::spawn(move || {
                while read_request(&mut stream).is_some() {
                    let answer = format!("HTTP/1.1 200 OK\r\ncontent-length: 1\r\n\r\n{number}");
                    if stream.write_all(answer.as_bytes()).is_err() {
                        return;
                    }
                }
            });
        }
    });
    port
}

#[tokio::test]
async fn a_request_goes_out_as_it_was_made() {
    let (port, request) = answering(
        "HTTP/1.1 201 Made\r\ncontent-length: 2\r\nconnection: keep-alive, x-hop\r\nx-hop: 1\r\nkeep-alive: timeout=5\r\n\
         x-own: 2\r\ncontent-encoding: gzip\r\n\r\nok",
    );
    let sent = Request::post(format!("http://127.0.0.1:{port}/a/../b?x=%20"))
        .version(http::Version::HTTP_2)
        .header("x-own", "1")
        .header("host", "elsewhere.example")
        .header("connection", "close, X-Hop")
        .header("x-hop", "1")
        .header("te", "trailers")
        .header("transfer-encoding", "chunked")
        .header("upgrade", "websocket")
        .header("proxy-authorization", "Basic x")
        .body(body("hello"))
        .unwrap();
    let response = client_to(&["127.0.0.1"]).send(&POOL, sent).await.unwrap();
    let request = outcome(request).await;
    let (head, sent_body) = request.split_once("\r\n\r\n").unwrap();
    let mut lines: Vec<_> = head.lines().collect();
    lines[1..].sort_unstable();
    let host = format!("host: 127.0.0.1:{port}");
    assert_eq!(
        lines,
        [
            "POST /a/../b?x=%20 HTTP/1.1",
            "content-length: 5",
            host.as_str(),
            "x-own: 1"
        ]
    );
    assert_eq!(sent_body, "hello");
    assert_eq!(response.status(), 201);
    let names: Vec<_> = response
        .headers()
        .keys()
        .map(|name| name.as_str())
        .collect();
    assert_eq!(names.len(), 3, "{names:?}");
    assert_eq!(response.headers()["x-own"], "2");
    assert_eq!(response.headers()["content-encoding"], "gzip");
    assert_eq!(text(response).await.unwrap(), "ok", "nothing is unpacked");
}

#[tokio::test]
async fn a_length_is_the_bodys() {
    for (declared, sent, expected) in [
        (&["5"][..], "hello", Some("5")),
        (&["99"], "hello", Some("5")),
        (&["1", "2"], "hello", Some("5")),
        (&["x"], "hello", Some("5")),
        (&["0"], "", Some("0")),
    ] {
        let (port, request) = answering(EMPTY);
        let mut request_sent = Request::post(format!("http://127.0.0.1:{port}/"));
        for length in declared {
            request_sent = request_sent.header("content-length", *length);
        }
        let request_sent = request_sent.body(body(sent)).unwrap();
        let response = client_to(&["127.0.0.1"]).send(&POOL, request_sent).await;
        assert_eq!(response.unwrap().status(), 200);
        let request = outcome(request).await;
        let length = request
            .lines()
            .find_map(|line| line.strip_prefix("content-length: "));
        assert_eq!(length, expected, "{declared:?}");
        assert!(request.ends_with(sent));
    }
}

#[tokio::test]
async fn redirects_are_responses() {
    let (trap, target) = trap();
    let (port, request) = server(move |mut stream, _| {
        let location = format!("http://127.0.0.1:{target}/");
        write!(
            stream,
            "HTTP/1.1 302 Found\r\nlocation: {location}\r\ncontent-length: 0\r\n\r\n"
        )
        .unwrap();
        location
    });
    let client = client_to(&["127.0.0.1"]);
    let url = format!("http://127.0.0.1:{port}/");
    let response = client.send(&POOL, get(&url)).await.unwrap();
    assert_eq!(response.status(), 302);
    assert_eq!(
        response.headers()["location"].to_str().unwrap(),
        outcome(request).await
    );
    assert_untouched(&trap);
}

#[tokio::test]
async fn addresses_that_are_not_allowed_are_not_connected_to() {
    let (trap, port) = trap();
    let client = client_to(&["10.0.0.0/8"]);
    for host in [
        "127.0.0.1",
        "0.0.0.0",
        "[::ffff:127.0.0.1]",
        "[::1]",
        "169.254.169.254",
    ] {
        let error = refused(&client, &format!("http://{host}:{port}/")).await;
        assert!(
            matches!(&error, OutboundError::Refused(shown) if shown == host),
            "{host}: {error:?}"
        );
    }
    for host in ["localhost", "2130706433", "0x7f.1"] {
        let error = refused(&client, &format!("http://{host}:{port}/")).await;
        assert_eq!(error.to_string(), without_address(host));
    }
    assert_untouched(&trap);
}

#[tokio::test]
async fn public_addresses_may_be_out() {
    let client = OutboundClient::new(OutboundConfig {
        is_public_allowed: false,
        ..OutboundConfig::default()
    })
    .unwrap();
    let error = refused(&client, "http://8.8.8.8/").await;
    assert!(matches!(error, OutboundError::Refused(_)), "{error:?}");
}

#[tokio::test]
async fn a_name_with_a_forbidden_address_is_refused() {
    let (trap, port) = trap();
    let url = format!("http://api.example:{port}/");
    for answer in [
        &["127.0.0.1"][..],
        &["8.8.8.8", "127.0.0.1"],
        &["127.0.0.1", "8.8.8.8"],
        &["::ffff:127.0.0.1"],
        &["fe80::1"],
    ] {
        let error = refused(&asking(&["127.0.0.2"], &[answer]), &url).await;
        assert_eq!(error.to_string(), without_address("api.example"));
        assert!(!format!("{error} {error:?}").contains(answer[0]));
    }
    assert_untouched(&trap);
    let (port, request) = answering(EMPTY);
    let url = format!("http://api.example:{port}/");
    let client = asking(&["api.example"], &[&["127.0.0.1"]]);
    let response = client.send(&POOL, get(&url)).await.unwrap();
    assert_eq!(response.status(), 200, "the name itself is allowed");
    assert!(outcome(request).await.contains("host: api.example:"));
}

/// Each connection is judged, by the answer that it uses.
#[tokio::test]
async fn a_name_that_changes_is_judged_anew() {
    let (port, request) =
        answering("HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
    let forbidden = TcpListener::bind(("127.0.0.2", port)).unwrap();
    forbidden.set_nonblocking(true).unwrap();
    let client = asking(&["127.0.0.1"], &[&["127.0.0.1"], &["127.0.0.2"]]);
    let url = format!("http://api.example:{port}/");
    let response = client.send(&POOL, get(&url)).await.unwrap();
    assert_eq!(text(response).await.unwrap(), "");
    outcome(request).await;
    let forbidden_error = refused(&client, &url).await;
    assert_untouched(&forbidden);
    let unknown_error = refused(&client, &url).await;
    for error in [forbidden_error, unknown_error] {
        assert_eq!(error.to_string(), without_address("api.example"));
        assert_eq!(error.code(), "outbound_unreachable");
    }
}

#[tokio::test]
async fn what_is_no_url_goes_nowhere() {
    let client = client_to(&["127.0.0.1"]);
    for url in [
        "/relative",
        "ftp://127.0.0.1/",
        "http://user@127.0.0.1/",
        "http://user:secret@127.0.0.1/",
        "http://127.0.0.1:0/",
    ] {
        let error = refused(&client, url).await;
        assert!(matches!(error, OutboundError::Url(_)), "{url}: {error:?}");
    }
    let connect = Request::connect("http://127.0.0.1:1/")
        .body(body(""))
        .unwrap();
    let error = client.send(&POOL, connect).await.err();
    assert!(matches!(error, Some(OutboundError::Unreachable { .. })));
}

#[tokio::test]
async fn a_response_has_a_limit() {
    let client = OutboundClient::new(OutboundConfig {
        response_bytes_max: 10,
        ..config(&["127.0.0.1"])
    })
    .unwrap();
    let (port, request) =
        answering("HTTP/1.1 200 OK\r\ncontent-length: 10\r\nconnection: close\r\n\r\n0123456789");
    let url = format!("http://127.0.0.1:{port}/");
    let response = client.send(&POOL, get(&url)).await.unwrap();
    assert_eq!(text(response).await.unwrap(), "0123456789");
    outcome(request).await;

    let (port, request) = answering("HTTP/1.1 200 OK\r\ncontent-length: 11\r\n\r\n0123456789x");
    let error = refused(&client, &format!("http://127.0.0.1:{port}/")).await;
    assert!(
        matches!(error, OutboundError::TooLarge { bytes_max: 10, .. }),
        "{error:?}"
    );
    outcome(request).await;

    let (port, request) = answering(
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\n01234\r\n6\r\n56789x\r\n0\r\n\r\n",
    );
    let url = format!("http://127.0.0.1:{port}/");
    let response = client.send(&POOL, get(&url)).await.unwrap();
    let error = text(response).await.unwrap_err();
    let error = error.downcast_ref::<OutboundError>().unwrap();
    assert!(
        matches!(error, OutboundError::TooLarge { bytes_max: 10, .. }),
        "{error:?}"
    );
    outcome(request).await;
}

#[tokio::test]
async fn a_response_without_end_is_left() {
    let (port, written) = server(|mut stream, _| {
        stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n").unwrap();
        let more = [b'x'; 1024];
        std::iter::repeat_with(|| stream.write_all(&more))
            .take_while(Result::is_ok)
            .count()
    });
    let client = client_to(&["127.0.0.1"]);
    let url = format!("http://127.0.0.1:{port}/");
    let mut response = client.send(&POOL, get(&url)).await.unwrap();
    assert!(response.body_mut().frame().await.unwrap().is_ok());
    drop(response);
    outcome(written).await;
}

#[tokio::test]
async fn a_request_that_is_given_up_closes_its_connection() {
    let (arrived, waits) = tokio::sync::oneshot::channel();
    let (port, ended) = server(move |mut stream, _| {
        arrived.send(()).unwrap();
        matches!(stream.read(&mut [0]), Ok(0) | Err(_))
    });
    let client = client_to(&["127.0.0.1"]);
    let url = format!("http://127.0.0.1:{port}/");
    tokio::select! {
        _ = client.send(&POOL, get(&url)) => panic!("nobody answers"),
        arrived = waits => arrived.unwrap(),
    }
    assert!(outcome(ended).await);
}

#[tokio::test]
async fn connections_are_kept_for_each_function_apart() {
    let url = format!("http://127.0.0.1:{}/", numbering());
    let client = client_to(&["127.0.0.1"]);
    let mut numbers = Vec::new();
    for pool in [&POOL, &POOL, &OTHER_POOL, &POOL, &OTHER_POOL] {
        let response = client.send(pool, get(&url)).await.unwrap();
        numbers.push(text(response).await.unwrap());
    }
    let [first, second, other, third, other_again] = &numbers[..] else {
        panic!("{numbers:?}")
    };
    assert_eq!([first, first], [second, third], "{numbers:?}");
    assert_eq!(other, other_again, "{numbers:?}");
    assert_ne!(first, other, "{numbers:?}");
}

#[tokio::test]
async fn connections_have_a_limit_and_idle_ones_make_room() {
    let url = format!("http://127.0.0.1:{}/", numbering());
    let client = OutboundClient::new(OutboundConfig {
        connections_max: 1,
        connect_timeout: SHORT,
        ..config(&["127.0.0.1"])
    })
    .unwrap();
    assert_eq!(client.connections(), 0);
    for pool in [&POOL, &OTHER_POOL] {
        let response = client.send(pool, get(&url)).await.unwrap();
        assert_eq!(text(response).await.unwrap().len(), 1);
    }
    assert_eq!(client.connections(), 1);

    let (listener, port) = listener();
    let busy = format!("http://127.0.0.1:{port}/");
    let waits = client.send(&POOL, get(&busy));
    tokio::pin!(waits);
    // Drives it until it has the one connection: the listener sees it then.
    let connected = tokio::task::spawn_blocking(move || listener.accept().unwrap());
    let connected = tokio::select! {
        _ = &mut waits => panic!("nobody answers"),
        connected = connected => connected.unwrap(),
    };
    let error = refused_beside(&client, &url, waits).await;
    assert_eq!(
        error.to_string(),
        "127.0.0.1 was not reached: this node has as many connections open as it may"
    );
    drop(connected);
}

#[tokio::test]
async fn a_function_has_its_share_of_the_connections() {
    let (_silent, port) = listener();
    let silent = format!("http://127.0.0.1:{port}/");
    let url = format!("http://127.0.0.1:{}/", numbering());
    let client = OutboundClient::new(OutboundConfig {
        connections_max: 10,
        connect_timeout: SHORT,
        ..config(&["127.0.0.1"])
    })
    .unwrap();
    let mut waits = tokio::task::JoinSet::new();
    for _ in 0..8 {
        let (client, silent) = (client.clone(), silent.clone());
        waits.spawn(async move { client.send(&POOL, get(&silent)).await.is_ok() });
    }
    connected(&client, 8).await;
    assert_eq!(
        refused(&client, &url).await.to_string(),
        "127.0.0.1 was not reached: the function has as many connections open as it may"
    );
    let response = client.send(&OTHER_POOL, get(&url)).await.unwrap();
    assert_eq!(text(response).await.unwrap().len(), 1);
}

/// Connections that have no request make room in the share of their own function as well.
#[tokio::test]
async fn a_function_may_reach_one_host_after_the_other() {
    let client = OutboundClient::new(OutboundConfig {
        connections_max: 32,
        ..config(&["127.0.0.1"])
    })
    .unwrap();
    for _ in 0..20 {
        let url = format!("http://127.0.0.1:{}/", numbering());
        let response = client.send(&POOL, get(&url)).await.unwrap();
        assert_eq!(text(response).await.unwrap().len(), 1);
        assert!(client.connections() <= 8);
    }
}

/// A body without end, which begins when it is told to.
struct Flood(Option<tokio::sync::oneshot::Receiver<()>>);

impl http_body::Body for Flood {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        if let Some(begins) = &mut self.0 {
            ready!(Pin::new(begins).poll(cx)).unwrap();
            self.0 = None;
        }
        Poll::Ready(Some(Ok(Frame::data(Bytes::from_static(&[0; 65_536])))))
    }
}

/// The server has answered and keeps the connection, so that the rest of the request waits to be read by it.
#[tokio::test]
async fn a_server_that_reads_no_more_loses_its_connection() {
    let (port, kept) = server(|mut stream, _| {
        stream.write_all(EMPTY.as_bytes()).unwrap();
        stream
    });
    let config = config(&["127.0.0.1"]);
    let client = OutboundClient::resolving(config, SystemLookup::new(), SHORT).unwrap();
    let (begin, begins) = tokio::sync::oneshot::channel();
    let request = Request::post(format!("http://127.0.0.1:{port}/"))
        .body(Box::pin(Flood(Some(begins))) as HttpBody)
        .unwrap();
    let response = client.send(&POOL, request).await.unwrap();
    assert_eq!(text(response).await.unwrap(), "");
    assert_eq!(client.connections(), 1, "the request goes on");
    let kept = outcome(kept).await;
    begin.send(()).unwrap();
    connected(&client, 0).await;
    drop(kept);
}

/// The error of a request, while another one goes on.
async fn refused_beside(
    client: &OutboundClient,
    url: &str,
    other: impl Future<Output = Result<Response<HttpBody>, OutboundError>>,
) -> OutboundError {
    tokio::select! {
        _ = other => panic!("nobody answers"),
        result = client.send(&OTHER_POOL, get(url)) => result.err().expect("no connection is free"),
    }
}

#[tokio::test]
async fn a_connection_that_does_not_come_about_is_given_up() {
    let (_silent, port) = listener();
    let client = OutboundClient::new(OutboundConfig {
        connect_timeout: SHORT,
        ..config(&["127.0.0.1"])
    })
    .unwrap();
    let error = refused(&client, &format!("https://127.0.0.1:{port}/")).await;
    assert!(
        matches!(&error, OutboundError::Timeout { limit: SHORT, .. }),
        "{error:?}"
    );
}

#[tokio::test]
async fn faults_are_said_in_words() {
    let client = client_to(&["127.0.0.1"]);
    let (closed, port) = listener();
    drop(closed);
    let error = refused(&client, &format!("http://127.0.0.1:{port}/")).await;
    assert_eq!(
        error.to_string(),
        "127.0.0.1 was not reached: it refuses connections"
    );
    let (port, request) = server(|stream, _| drop(stream));
    let error = refused(&client, &format!("http://127.0.0.1:{port}/")).await;
    assert!(matches!(error, OutboundError::Broken { .. }), "{error:?}");
    outcome(request).await;
    let (port, request) = answering("SSH-2.0-x\r\n");
    let error = refused(&client, &format!("http://127.0.0.1:{port}/")).await;
    assert_eq!(
        error.to_string(),
        "the connection to 127.0.0.1 broke: what came is no HTTP"
    );
    outcome(request).await;

    let (port, request) = answering("HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nabc");
    let url = format!("http://127.0.0.1:{port}/");
    let response = client.send(&POOL, get(&url)).await.unwrap();
    let error = text(response).await.unwrap_err();
    let error = error.downcast_ref::<OutboundError>().unwrap();
    assert!(matches!(error, OutboundError::Broken { .. }), "{error:?}");
    outcome(request).await;
}

/// Answers one connection of HTTP/2 with the version, the URL and whether there is a `Host`.
async fn serve_http2(
    listener: tokio::net::TcpListener,
    acceptor: TlsAcceptor,
) -> Result<(), BodyError> {
    let (stream, _) = listener.accept().await?;
    let stream = acceptor.accept(stream).await?;
    let answer = service_fn(|request: Request<Incoming>| async move {
        let has_host = request.headers().contains_key("host");
        let seen = format!("{:?} {} {has_host}", request.version(), request.uri());
        Ok::<_, std::convert::Infallible>(Response::new(Full::new(Bytes::from(seen))))
    });
    http2::Builder::new(TokioExecutor::new())
        .serve_connection(TokioIo::new(stream), answer)
        .await?;
    Ok(())
}

#[tokio::test]
async fn tls_needs_a_known_authority_and_leads_to_http2() {
    let authority = Authority::new("api").unwrap();
    let folder = tempfile::tempdir().unwrap();
    let files = (
        folder.path().join("cert.pem"),
        folder.path().join("key.pem"),
    );
    authority
        .issue("DNS:api.example", &files.0, &files.1)
        .unwrap();
    let acceptor = TlsAcceptor::from(crate::tls::tests::server(&files.0, &files.1));
    for authorities in [Some(authority.pem().unwrap()), None] {
        let listener = tokio::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
            .await
            .unwrap();
        let port = listener.local_addr().unwrap().port();
        let mut server = tokio::task::JoinSet::new();
        server.spawn(serve_http2(listener, acceptor.clone()));
        let is_known = authorities.is_some();
        let config = OutboundConfig {
            authorities,
            ..config(&["127.0.0.1"])
        };
        let client =
            OutboundClient::resolving(config, Names::new(&[&["127.0.0.1"]]), STALL_TIMEOUT)
                .unwrap();
        let url = format!("https://api.example:{port}/x?y");
        if is_known {
            let response = client.send(&POOL, get(&url)).await.unwrap();
            assert_eq!(
                text(response).await.unwrap(),
                format!("HTTP/2.0 {url} false")
            );
        } else {
            assert_eq!(
                refused(&client, &url).await.to_string(),
                "api.example was not reached: its certificate is not believed: none of the known certificate \
                 authorities has signed it"
            );
        }
    }
}

#[test]
fn what_cannot_work_is_no_client() {
    let made = OutboundClient::new(OutboundConfig {
        authorities: Some(b"no PEM".to_vec()),
        ..OutboundConfig::default()
    });
    assert!(matches!(made, Err(ClientError::Setup { .. })));
}

/// Writes to a tunnel, and reads until so many bytes have come.
async fn exchange(tunnel: &mut BoxTunnel, sent: &[u8], length: usize) -> Vec<u8> {
    let mut left = sent;
    while !left.is_empty() {
        let taken = poll_fn(|cx| tunnel.as_mut().poll_write(cx, left)).await;
        left = &left[taken.unwrap()..];
    }
    poll_fn(|cx| tunnel.as_mut().poll_flush(cx)).await.unwrap();
    let mut read = Vec::new();
    while read.len() < length {
        let mut buf = [0; 64];
        let count = poll_fn(|cx| tunnel.as_mut().poll_read(cx, &mut buf)).await;
        let count = count.unwrap();
        assert!(count > 0, "it ended after {read:?}");
        read.extend_from_slice(&buf[..count]);
    }
    read
}

fn authority(host: &str, port: u16) -> http::uri::Authority {
    format!("{host}:{port}").parse().unwrap()
}

#[tokio::test]
async fn a_tunnel_takes_any_bytes_and_counts_until_it_is_dropped() {
    let (listener, port) = listener();
    let talk = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut first = [0; 4];
        stream.read_exact(&mut first).unwrap();
        stream.write_all(b"\0pong").unwrap();
        let mut rest = Vec::new();
        stream.read_to_end(&mut rest).unwrap();
        (first, rest)
    });
    let client = client_to(&["127.0.0.1"]);
    let target = authority("127.0.0.1", port);
    let mut tunnel = client.tunnel(&POOL, &target).await.unwrap();
    assert_eq!(client.connections(), 1);
    assert_eq!(exchange(&mut tunnel, b"ping", 5).await, b"\0pong");
    poll_fn(|cx| tunnel.as_mut().poll_shutdown(cx))
        .await
        .unwrap();
    assert_eq!(outcome(talk).await, (*b"ping", Vec::new()));
    let mut buf = [0; 8];
    let end = poll_fn(|cx| tunnel.as_mut().poll_read(cx, &mut buf)).await;
    assert_eq!(end.unwrap(), 0);
    drop(tunnel);
    connected(&client, 0).await;
}

#[tokio::test]
async fn a_tunnel_goes_to_judged_addresses_only() {
    let (trap, port) = trap();
    let client = client_to(&["10.0.0.0/8"]);
    for host in ["127.0.0.1", "[::1]"] {
        let error = client.tunnel(&POOL, &authority(host, port)).await.err();
        assert!(
            matches!(&error, Some(OutboundError::Refused(shown)) if shown == host),
            "{error:?}"
        );
    }
    let client = asking(&[], &[&["8.8.8.8", "127.0.0.1"]]);
    let target = authority("api.example", port);
    let error = client.tunnel(&POOL, &target).await.err().unwrap();
    assert_eq!(error.to_string(), without_address("api.example"));
    assert_untouched(&trap);
    drop(trap);
    let client = client_to(&["127.0.0.1"]);
    let closed = client.tunnel(&POOL, &authority("127.0.0.1", port)).await;
    let told = closed.err().unwrap().to_string();
    assert_eq!(told, "127.0.0.1 was not reached: it refuses connections");
}
