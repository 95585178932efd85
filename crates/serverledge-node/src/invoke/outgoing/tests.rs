//! The rules of outgoing requests, and their counts, with a server on loopback.

use std::future::poll_fn;
use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, TcpListener};
use std::time::Duration;

use http_body_util::{BodyExt as _, Empty};
use serverledge_core::{PropagatedContext, SpaceId, TraceParent};

use super::*;
use crate::functions::tests::versioned;

const POOL: OutboundPool = [1; 32];
const TRACE: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

fn outgoing(allow: &[&str]) -> (Outgoing, Arc<Metrics>) {
    let metrics = Arc::new(Metrics::new("ROME").unwrap());
    let config = OutgoingConfig {
        allow: allow.iter().map(|text| (*text).to_owned()).collect(),
        response_bytes_max: 1024,
        connect_timeout: Duration::from_secs(60),
        connections_max: 64,
    };
    (Outgoing::new(&config, &metrics).unwrap(), metrics)
}

/// A server that answers every request with its head, one connection after the other; its URL.
fn mirror() -> String {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut head = Vec::new();
            let mut byte = [0];
            while !head.ends_with(b"\r\n\r\n") && stream.read_exact(&mut byte).is_ok() {
                head.push(byte[0]);
            }
            let length = head.len();
            let answer =
                format!("HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n");
            // Whoever has left needs no answer.
            let _sent = stream
                .write_all(answer.as_bytes())
                .and_then(|()| stream.write_all(&head));
        }
    });
    format!("http://127.0.0.1:{port}/")
}

fn get(url: &str) -> Request<HttpBody> {
    let body = Empty::<Bytes>::new().map_err(|never| -> BodyError { match never {} });
    Request::get(url).body(Box::pin(body) as HttpBody).unwrap()
}

async fn text(response: Response<HttpBody>) -> String {
    let bytes = response.into_body().collect().await.unwrap().to_bytes();
    String::from_utf8(bytes.to_vec()).unwrap()
}

fn trace(state: &str) -> TraceContext {
    let caller = Arc::new(PropagatedContext {
        trace_state: state.to_owned(),
        ..PropagatedContext::default()
    });
    TraceContext::new(TraceParent::parse(TRACE).unwrap(), Some(&caller))
}

#[test]
fn a_function_reaches_what_it_asked_for() {
    let rules = |texts: &[&str]| -> BTreeSet<HostRule> {
        texts.iter().map(|text| text.parse().unwrap()).collect()
    };
    let told = |rules: &BTreeSet<HostRule>, url: &str| {
        check(rules, &url.parse().unwrap()).map_err(|error| (error.code(), error.to_string()))
    };
    let none = rules(&[]);
    for (url, rule) in [
        ("https://API.example.org/a?b", "https://api.example.org"),
        ("https://api.example.org:443/", "https://api.example.org"),
        ("http://127.0.0.1:8080/", "http://127.0.0.1:8080"),
        ("https://[::1]:8443/", "https://[::1]:8443"),
    ] {
        assert_eq!(
            told(&none, url),
            Err((
                "outbound_not_granted",
                format!("the function may send no requests: deploy it with --allow-host {rule}")
            ))
        );
    }
    let some = rules(&["*.example.org", "http://127.0.0.1:8080"]);
    assert_eq!(told(&some, "https://api.example.org/"), Ok(()));
    assert_eq!(told(&some, "http://127.0.0.1:8080/x"), Ok(()));
    for url in ["https://example.org/", "http://127.0.0.1/"] {
        assert!(matches!(
            told(&some, url),
            Err(("outbound_host_not_allowed", _))
        ));
    }
    for url in ["/relative", "ftp://api.example.org/", "https://2130706433/"] {
        for rules in [&none, &some, &rules(&["*"])] {
            assert!(
                matches!(told(rules, url), Err(("outbound_url_invalid", _))),
                "{url}"
            );
        }
    }
}

#[tokio::test]
async fn the_operators_ceiling_holds() {
    let url = mirror();
    for (allow, expected) in [
        (&["127.0.0.1"][..], true),
        (&["public", "127.0.0.0/8"], true),
        (&["Public", "127.0.0.0/8"], true),
        (&["public"], false),
        (&["public", "10.0.0.0/8"], false),
        (&["PUBLIC"], false),
        (&[], false),
    ] {
        let (outgoing, _) = outgoing(allow);
        let sent = outgoing
            .send(&RequestCounts::default(), &POOL, None, get(&url))
            .await;
        assert_eq!(sent.is_ok(), expected, "{allow:?}");
        if let Err(error) = sent {
            assert_eq!(error.code(), "outbound_address_refused");
        }
    }
    let (outgoing, _) = outgoing(&["127.0.0.1"]);
    let public = get("http://8.8.8.8/");
    let counts = RequestCounts::default();
    let sent = outgoing.send(&counts, &POOL, None, public);
    assert!(matches!(sent.await, Err(OutboundError::Refused(_))));
}

#[test]
fn a_tunnel_goes_where_requests_may() {
    let rules: BTreeSet<HostRule> = ["*.example.org", "http://127.0.0.1:8080", "http://a.example"]
        .iter()
        .map(|text| text.parse().unwrap())
        .collect();
    let told = |rules: &BTreeSet<HostRule>, target: &str| {
        let (request, allowed) = tunnel_request(rules, &target.parse().unwrap());
        assert_eq!(request.method(), Method::CONNECT);
        let host = HostRule::of(request.uri()).map(|rule| rule.to_string());
        (
            host.unwrap_or_default(),
            allowed.err().map(|error| error.code()),
        )
    };
    for (target, host, code) in [
        ("api.example.org:443", "https://api.example.org", None),
        ("127.0.0.1:8080", "http://127.0.0.1:8080", None),
        ("a.example:80", "http://a.example", None),
        (
            "api.example.org:80",
            "http://api.example.org",
            Some("outbound_host_not_allowed"),
        ),
        (
            "a.example:443",
            "https://a.example",
            Some("outbound_host_not_allowed"),
        ),
        ("2130706433:443", "", Some("outbound_url_invalid")),
        (
            "a.example",
            "https://a.example",
            Some("outbound_url_invalid"),
        ),
    ] {
        assert_eq!(told(&rules, target), (host.to_owned(), code), "{target}");
    }
    let (_, code) = told(&BTreeSet::new(), "a.example:443");
    assert_eq!(code, Some("outbound_not_granted"));
}

/// The host and port of a URL.
fn authority(url: &str) -> Authority {
    let uri: Uri = url.parse().unwrap();
    uri.authority().unwrap().clone()
}

#[tokio::test]
async fn a_tunnel_is_outstanding_while_it_is_open() {
    let target = authority(&mirror());
    let (closed, _) = outgoing(&["public"]);
    let counts = RequestCounts::default();
    let refused = closed.open(&counts, &POOL, &target).await.err();
    assert!(matches!(refused, Some(OutboundError::Refused(_))));
    let (outgoing, metrics) = outgoing(&["127.0.0.1"]);
    let unsettled = UnsettledRequests::default();
    let opened = outgoing.open(&counts, &POOL, &target);
    let mut tunnel = unsettled.watch_tunnel(None, opened).await.unwrap();
    let gauge = &metrics.outbound.outstanding;
    assert_eq!((gauge.get(), metrics.outbound.count("tunnel")), (1, 1));
    let mut left = &b"GET / HTTP/1.1\r\n\r\n"[..];
    while !left.is_empty() {
        let taken = poll_fn(|cx| tunnel.as_mut().poll_write(cx, left)).await;
        left = &left[taken.unwrap()..];
    }
    poll_fn(|cx| tunnel.as_mut().poll_flush(cx)).await.unwrap();
    let mut read = Vec::new();
    loop {
        let mut buf = [0; 64];
        let count = poll_fn(|cx| tunnel.as_mut().poll_read(cx, &mut buf)).await;
        match count.unwrap() {
            0 => break,
            count => read.extend_from_slice(&buf[..count]),
        }
    }
    assert!(read.starts_with(b"HTTP/1.1 200 OK"), "{read:?}");
    assert_eq!(metrics.outbound.received.get(), read.len() as u64);
    drop(tunnel);
    assert_eq!(gauge.get(), 0);
    assert!(!unsettled.is_any());
    let failed = std::future::ready(Err(OutboundError::TooMany(1)));
    assert!(unsettled.watch_tunnel(None, failed).await.is_err());
    assert!(unsettled.is_any(), "another time it might open");
}

#[test]
fn what_is_no_network_is_a_fault_of_the_configuration() {
    let metrics = Arc::new(Metrics::new("ROME").unwrap());
    let config = OutgoingConfig {
        allow: vec!["10.0.0.1/8".to_owned()],
        response_bytes_max: 1,
        connect_timeout: Duration::from_secs(1),
        connections_max: 1,
    };
    let fault = Outgoing::new(&config, &metrics).err().unwrap();
    assert!(fault.to_string().contains("outbound.allow"), "{fault}");
}

#[tokio::test]
async fn a_request_belongs_to_the_trace_of_its_run() {
    let url = mirror();
    let (outgoing, _) = outgoing(&["127.0.0.1"]);
    let counts = RequestCounts::default();
    let send = async |trace: Option<TraceContext>, request: Request<HttpBody>| {
        let sent = outgoing.send(&counts, &POOL, trace.as_ref(), request).await;
        text(sent.unwrap()).await
    };
    let head = send(Some(trace("a=1")), get(&url)).await;
    assert!(
        head.contains(&format!("traceparent: {TRACE}\r\n")),
        "{head}"
    );
    assert!(!head.contains("tracestate"), "{head}");

    let mut without = get(&url);
    let own = HeaderValue::from_static("x=y");
    without.headers_mut().insert(TRACESTATE, own.clone());
    let head = send(Some(trace("")), without).await;
    assert!(!head.contains("tracestate"), "{head}");

    let mut with = get(&url);
    with.headers_mut().insert(TRACESTATE, own);
    with.headers_mut()
        .insert(TRACEPARENT, HeaderValue::from_static("of-its-own"));
    let head = send(Some(trace("a=1")), with).await;
    assert!(head.contains("traceparent: of-its-own\r\n"), "{head}");
    assert!(head.contains("tracestate: x=y\r\n"), "{head}");

    let head = send(None, get(&url)).await;
    assert!(!head.contains("trace"), "{head}");
}

#[tokio::test]
async fn a_request_is_outstanding_until_its_response_is_read_or_dropped() {
    let url = mirror();
    let (outgoing, metrics) = outgoing(&["127.0.0.1"]);
    let counts = RequestCounts::default();
    let send = || outgoing.send(&counts, &POOL, None, get(&url));
    let mut open = Vec::new();
    for _ in 0..REQUESTS_AT_ONCE_MAX {
        open.push(send().await.unwrap());
    }
    let gauge = &metrics.outbound.outstanding;
    assert_eq!(gauge.get(), 16);
    let error = send().await.err().unwrap();
    assert!(matches!(error, OutboundError::TooManyAtOnce(16)));
    assert_eq!(gauge.get(), 16);
    drop(open.pop());
    let read = text(open.pop().unwrap()).await;
    assert_eq!(gauge.get(), 14);
    assert_eq!(metrics.outbound.received.get(), read.len() as u64);
    open.push(send().await.unwrap());
    drop(open);
    assert_eq!(gauge.get(), 0);
    assert_eq!(metrics.outbound.count("2xx"), 17);
    outgoing.failed(&error);
    assert_eq!(metrics.outbound.count("outbound_too_many_at_once"), 1);
}

/// A server may answer before it has read the request.
#[tokio::test]
async fn a_request_is_outstanding_until_nothing_more_of_it_is_sent() {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut head = Vec::new();
        while !head.windows(4).any(|end| end == b"\r\n\r\n") {
            let mut byte = [0];
            stream.read_exact(&mut byte).unwrap();
            head.extend_from_slice(&byte);
        }
        let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n";
        stream.write_all(answer).unwrap();
        // Until the client is gone.
        while stream.read(&mut [0; 1024]).is_ok_and(|read| read > 0) {}
    });
    let (outgoing, metrics) = outgoing(&["127.0.0.1"]);
    let gauge = &metrics.outbound.outstanding;
    let counts = RequestCounts::default();
    let (sender, receiver) = tokio::sync::oneshot::channel::<Bytes>();
    let frames = futures_util::stream::once(async {
        let last = receiver.await?;
        Ok::<_, BodyError>(Frame::data(last))
    });
    let body: HttpBody = Box::pin(http_body_util::StreamBody::new(frames));
    let request = Request::post(&url).body(body).unwrap();
    let response = outgoing.send(&counts, &POOL, None, request).await.unwrap();
    assert_eq!(text(response).await, "");
    assert_eq!(gauge.get(), 1, "its body is still sent");
    sender.send(Bytes::from_static(b"the rest")).unwrap();
    let ended = async {
        while gauge.get() > 0 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), ended)
        .await
        .expect("the request's end");
}

#[test]
fn pools_differ_between_functions_versions_and_spaces() {
    let one = versioned("f", 1);
    assert_eq!(pool_of(&one), pool_of(&versioned("f", 1)));
    let elsewhere = Function {
        space: SpaceId::new(),
        ..one.clone()
    };
    for other in [versioned("g", 1), versioned("f", 2), elsewhere] {
        assert_ne!(pool_of(&one), pool_of(&other), "{other:?}");
    }
}

#[test]
fn an_invocation_sends_only_so_many_requests() {
    let gauge = IntGauge::new("outstanding", "outstanding").unwrap();
    let counts = RequestCounts::default();
    for _ in 0..REQUESTS_MAX {
        assert!(counts.count(&gauge).is_ok());
    }
    assert!(matches!(
        counts.count(&gauge),
        Err(OutboundError::TooMany(REQUESTS_MAX))
    ));
    assert_eq!(gauge.get(), 0);
}
