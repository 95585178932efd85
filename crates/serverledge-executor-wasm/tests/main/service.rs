//! Components of WASI 0.3 that answer requests: the same as those of 0.2, with bodies that stream both ways, trailers, tasks
//! that go on after the response, and the limits of all guests.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Method, Request};
use http_body_util::{BodyExt as _, Full, StreamBody};
use serde_json::{Value, json};
use serverledge_core::{
    Ending, FailureKind, FunctionLimits, HttpBody, Interface, InvokeError, MemoryMib, Outcome,
    Payload, PrepareError, StartError,
};
use serverledge_executor_wasm::{NotPortable, portable};
use serverledge_testing::fake_host::FakeHost;

use crate::support::{Lab, call_with, code, example, failure, json_of, kind, settled, time_limit};

fn echo_service() -> Vec<u8> {
    example("echo-service")
}

fn request(method: Method, uri: &str, body: &'static str) -> Request<HttpBody> {
    let body: HttpBody =
        Box::pin(Full::new(Bytes::from_static(body.as_bytes())).map_err(|never| match never {}));
    Request::builder()
        .method(method)
        .uri(uri)
        .header("host", "example.org:8080")
        .header("x-own", "1")
        .body(body)
        .unwrap()
}

fn get(uri: &str) -> Request<HttpBody> {
    request(Method::GET, uri, "")
}

async fn send(
    lab: &Lab,
    limits: FunctionLimits,
    request: Request<HttpBody>,
) -> Result<Outcome, InvokeError> {
    let version = lab.version(echo_service(), limits).await;
    let sandbox = lab.start(&version).await.unwrap();
    sandbox
        .invoke(
            call_with(Payload::Http(Box::new(request))),
            FakeHost::new().0,
        )
        .await
}

async fn ask(lab: &Lab, request: Request<HttpBody>) -> Result<Outcome, InvokeError> {
    send(lab, FunctionLimits::default(), request).await
}

async fn text(body: HttpBody) -> String {
    String::from_utf8(body.collect().await.unwrap().to_bytes().to_vec()).unwrap()
}

async fn seen(lab: &Lab, request: Request<HttpBody>) -> Value {
    let (response, _) = settled(ask(lab, request).await.unwrap());
    serde_json::from_str(&text(response.into_body()).await).unwrap()
}

#[tokio::test]
async fn a_service_is_recognised() {
    let prepared = Lab::new().prepare(echo_service()).await.unwrap();
    assert_eq!(prepared.interface, Interface::Http);
    assert_eq!(prepared.recognised, "wasi:http component of WASI 0.3");
}

/// A browser has no host for it.
#[test]
fn a_service_stays_at_the_node() {
    let refused = portable(&Bytes::from(echo_service()));
    assert_eq!(refused.err(), Some(NotPortable::Preview3));
}

#[tokio::test]
async fn the_request_goes_in_and_the_response_comes_out() {
    let lab = Lab::new();
    let mut asked = request(Method::POST, "/a/b?c=d", "hello");
    asked.extensions_mut().insert(http::uri::Scheme::HTTPS);
    let seen = seen(&lab, asked).await;
    assert_eq!(seen["method"], "POST");
    assert_eq!(seen["scheme"], "https");
    assert_eq!(seen["authority"], "example.org:8080");
    assert_eq!(seen["path"], "/a/b?c=d");
    assert_eq!(seen["headers"]["x-own"], "1");
    assert_eq!(seen["body"], "hello");
}

#[tokio::test]
async fn parameters_become_a_post() {
    let lab = Lab::new();
    let version = lab.version(echo_service(), FunctionLimits::default()).await;
    let answer = lab.invoke(&version, r#"{"n":7}"#).await.unwrap();
    let seen = json_of(&answer);
    assert_eq!(seen["method"], "POST");
    assert_eq!(seen["body"], r#"{"n":7}"#);
    assert_eq!(seen["headers"]["content-type"], "application/json");
}

/// Each call has an instance of its own, whatever the calls before did.
#[tokio::test]
async fn calls_follow_each_other() {
    let lab = Lab::with(|config| config.slots = 1);
    for number in 0..20 {
        let path = format!("/{number}");
        assert_eq!(seen(&lab, get(&path)).await["path"], path);
    }
}

#[tokio::test]
async fn a_reply_streams_while_the_guest_runs() {
    let lab = Lab::new();
    let outcome = ask(&lab, get("/stream?chunks=3&pause_ms=50")).await;
    let (response, ending) = settled(outcome.unwrap());
    let mut body = response.into_body();
    let first = body.frame().await.unwrap().unwrap().into_data().unwrap();
    assert_eq!(first, "chunk 1 of 3\n");
    assert!(!ending.is_finished());
    assert_eq!(text(body).await, "chunk 2 of 3\nchunk 3 of 3\n");
    assert!(matches!(ending.await.unwrap(), Ending::Completed { .. }));
}

#[tokio::test]
async fn a_large_reply_is_whole() {
    let lab = Lab::new();
    let (response, _) = settled(ask(&lab, get("/stream?chunks=1000")).await.unwrap());
    let lines = text(response.into_body()).await;
    assert_eq!(lines.lines().count(), 1000);
    assert!(lines.ends_with("chunk 1000 of 1000\n"));
}

#[tokio::test]
async fn the_request_streams_in_with_its_trailers() {
    let lab = Lab::new();
    let mut last = HeaderMap::new();
    last.insert("x-sum", "3".parse().unwrap());
    let frames = [
        http_body::Frame::data(Bytes::from_static(b"one ")),
        http_body::Frame::data(Bytes::new()),
        http_body::Frame::data(Bytes::from_static(b"two")),
        http_body::Frame::trailers(last),
    ];
    let body = StreamBody::new(futures_util::stream::iter(frames.map(Ok)));
    let asked = request(Method::POST, "/", "").map(|_| -> HttpBody { Box::pin(body) });
    let seen = seen(&lab, asked).await;
    assert_eq!(seen["body"], "one two");
    assert_eq!(seen["trailers"], json!({"x-sum": "3"}));
}

#[tokio::test]
async fn trailers_follow_the_response() {
    let lab = Lab::new();
    let (response, _) = settled(ask(&lab, get("/trailers")).await.unwrap());
    let collected = response.into_body().collect().await.unwrap();
    assert_eq!(collected.trailers().unwrap()["x-checked"], "yes");
    assert_eq!(collected.to_bytes(), "chunk 1 of 1\n");
}

/// The work of a guest after its response is part of its run: its log is there, and its time limit holds.
#[tokio::test]
async fn tasks_go_on_after_the_response() {
    let lab = Lab::new();
    let outcome = ask(&lab, get("/after?pause_ms=50")).await.unwrap();
    let (response, ending) = settled(outcome);
    assert_eq!(text(response.into_body()).await, "chunk 1 of 1\n");
    match ending.await.unwrap() {
        Ending::Completed { log } => {
            assert_eq!(log, "the work after the response is done\n");
        }
        other => panic!("{other:?}"),
    }
    let limits = time_limit(Duration::from_millis(200));
    let outcome = send(&lab, limits, get("/after?pause_ms=1000")).await;
    let (response, ending) = settled(outcome.unwrap());
    assert_eq!(text(response.into_body()).await, "chunk 1 of 1\n");
    match ending.await.unwrap() {
        Ending::Failed(InvokeError::Function(fault)) => {
            assert_eq!(fault.kind, FailureKind::TimeLimit);
        }
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn nothing_outside_is_granted() {
    let lab = Lab::new();
    let seen = seen(&lab, get("/outside")).await;
    assert_eq!(seen["outside"], "ErrorCode::HttpRequestDenied");
}

#[tokio::test]
async fn failures_are_told_apart() {
    let lab = Lab::new();
    let error = failure(ask(&lab, get("/error")).await);
    assert_eq!(error.kind, FailureKind::BadOutput);
    assert!(
        error.message.contains("ConfigurationError"),
        "{}",
        error.message
    );
    assert_eq!(kind(ask(&lab, get("/panic")).await), FailureKind::Trap);
    let limits = time_limit(Duration::from_millis(100));
    let late = send(&lab, limits, get("/never")).await;
    assert_eq!(kind(late), FailureKind::TimeLimit);
    // Nothing that it waits for can ever come: that is seen at once.
    assert_eq!(kind(ask(&lab, get("/stuck")).await), FailureKind::Trap);
    // A flood of handles ends in a trap, long before it is felt.
    assert_eq!(kind(ask(&lab, get("/flood")).await), FailureKind::Trap);
    // Nothing of all that is left.
    assert_eq!(seen(&lab, get("/")).await["path"], "/");
}

#[tokio::test]
async fn memory_is_limited() {
    let lab = Lab::new();
    let limits = |mib| FunctionLimits {
        memory: MemoryMib::new(mib),
        ..FunctionLimits::default()
    };
    let large: HttpBody =
        Box::pin(Full::new(Bytes::from(vec![b'x'; 5 << 20])).map_err(|never| match never {}));
    let asked = request(Method::POST, "/", "").map(|_| large);
    let refused = send(&lab, limits(4), asked).await;
    assert_eq!(kind(refused), FailureKind::MemoryLimit);
    let output = Lab::with(|config| config.output_bytes_max = 1000);
    // Before anything of it was sent, or in the middle.
    match ask(&output, get("/stream?chunks=1000")).await {
        Ok(outcome) => {
            let body = settled(outcome).0.into_body();
            assert!(body.collect().await.is_err());
        }
        failed => assert_eq!(kind(failed), FailureKind::OutputLimit),
    }
}

/// One slot: whoever comes next needs that of the reply that was dropped.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn dropping_the_body_stops_the_guest() {
    let lab = Lab::with(|config| config.slots = 1);
    for _ in 0..3 {
        let outcome = ask(&lab, get("/stream?chunks=1000&pause_ms=1000")).await;
        let (response, ending) = settled(outcome.unwrap());
        let mut body = response.into_body();
        body.frame().await.unwrap().unwrap();
        let meanwhile = ask(&lab, get("/")).await;
        assert!(
            matches!(meanwhile, Err(InvokeError::Exhausted)),
            "{meanwhile:?}"
        );
        drop(body);
        ending.await.unwrap();
        let after = ask(&lab, get("/")).await;
        assert!(after.is_ok(), "the slot is still held: {after:?}");
    }
}

#[tokio::test]
async fn a_head_has_no_body() {
    let lab = Lab::new();
    let (response, _) = settled(ask(&lab, request(Method::HEAD, "/", "")).await.unwrap());
    assert!(response.status().is_success());
    assert_eq!(text(response.into_body()).await, "");
}

/// An operator may do without.
#[tokio::test]
async fn it_can_be_switched_off() {
    let off = Lab::with(|config| config.preview3 = false);
    let (given, message) = code(off.prepare(echo_service()).await);
    assert_eq!(given, "preview3_off");
    assert!(message.contains("wasm.preview3"), "{message}");
    let mut lab = Lab::new();
    let version = lab.version(echo_service(), FunctionLimits::default()).await;
    lab.restart_with(|config| config.preview3 = false);
    match lab.start(&version).await {
        Err(StartError::Unavailable { code, .. }) => assert_eq!(code, "preview3_off"),
        other => panic!("{:?}", other.map(|_| ())),
    }
    let again = off.prepare(echo_service()).await;
    assert!(matches!(again, Err(PrepareError::Invalid { .. })));
}
