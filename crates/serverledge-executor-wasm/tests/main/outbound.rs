//! Outgoing requests of components of both versions of WASI: they go through the host whole and both ways as streams, and
//! end with the call at the latest. Those of core modules (`serverledge::send`) are whole.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::{Method, Response};
use http_body::Frame;
use http_body_util::{BodyExt as _, Full};
use parking_lot::Mutex;
use serde_json::{Value, json};
use serverledge_core::{
    BodyError, FailureKind, FunctionLimits, HttpBody, InvokeError, OutboundError, Outcome, Version,
};
use serverledge_testing::fake_host::{BodyEnd, FakeHost, FakeHostHandle, RequestState};
use tokio::sync::mpsc;

use crate::support::{Lab, example, json_of, kind, time_limit, words};

/// The same function by version of WASI, 0.2 and 0.3.
const FETCHERS: [&str; 2] = ["fetch-http", "fetch-service"];

const URL: &str = "http://api.example.org:8080/a/b?c=d";

fn whole(text: &str) -> HttpBody {
    let text = Bytes::copy_from_slice(text.as_bytes());
    Box::pin(Full::new(text).map_err(|never| match never {}))
}

/// One call; the handle of its host comes with what became of it.
async fn call(
    lab: &Lab,
    version: &Arc<Version>,
    params: &Value,
    script: impl FnOnce(&FakeHostHandle),
) -> (Result<Outcome, InvokeError>, FakeHostHandle) {
    let (host, handle) = FakeHost::new();
    script(&handle);
    let outcome = lab.invoke_on(version, &params.to_string(), host).await;
    (outcome, handle)
}

/// The answer of a call that went well.
async fn answer(
    lab: &Lab,
    version: &Arc<Version>,
    params: &Value,
    script: impl FnOnce(&FakeHostHandle),
) -> (Value, FakeHostHandle) {
    let (outcome, handle) = call(lab, version, params, script).await;
    (json_of(&outcome.unwrap()), handle)
}

fn echoes(handle: &FakeHostHandle) {
    handle.respond(|sent| Response::new(whole(&String::from_utf8_lossy(&sent.body))));
}

#[tokio::test]
async fn a_request_goes_out_and_its_response_comes_back() {
    let lab = Lab::new();
    for fetcher in FETCHERS {
        let version = lab
            .version(example(fetcher), FunctionLimits::default())
            .await;
        let params = json!({
            "url": URL, "method": "PUT", "headers": {"X-Own": "1"}, "body": "hello"
        });
        let (answer, handle) = answer(&lab, &version, &params, |handle| {
            handle.respond(|_| {
                let response = Response::builder().status(418).header("x-tea", "green");
                response.body(whole("short and stout")).unwrap()
            });
        })
        .await;
        assert_eq!(answer["status"], 418, "{fetcher}: {answer}");
        assert_eq!(answer["headers"]["x-tea"], "green");
        assert_eq!(answer["body"], "short and stout");
        let [sent] = <[_; 1]>::try_from(handle.sent()).unwrap();
        assert_eq!(sent.method, Method::PUT);
        assert_eq!(sent.uri, URL);
        assert_eq!(sent.headers["x-own"], "1");
        assert_eq!(sent.headers["host"], "api.example.org:8080");
        assert_eq!(sent.body, b"hello");
        assert_eq!(sent.body_end, BodyEnd::Whole);
        assert_eq!(sent.state, RequestState::Answered);
    }
}

#[tokio::test]
async fn a_request_without_a_body_is_whole() {
    let lab = Lab::new();
    for fetcher in FETCHERS {
        let version = lab
            .version(example(fetcher), FunctionLimits::default())
            .await;
        let (answer, handle) = answer(&lab, &version, &json!({ "url": URL }), echoes).await;
        assert_eq!(answer["status"], 200, "{fetcher}: {answer}");
        let [sent] = <[_; 1]>::try_from(handle.sent()).unwrap();
        assert_eq!(sent.method, Method::GET);
        assert_eq!((sent.body, sent.body_end), (Vec::new(), BodyEnd::Whole));
    }
}

/// The function writes the body after it has handed over the request; more of it than anything on the way holds.
#[tokio::test]
async fn bodies_stream_both_ways() {
    let lab = Lab::new();
    let body = "0123456789abcdef".repeat(4096);
    for fetcher in FETCHERS {
        let version = lab
            .version(example(fetcher), FunctionLimits::default())
            .await;
        let params =
            json!({ "url": URL, "method": "POST", "body": body, "repeat": 20, "pause_ms": 1 });
        let (answer, handle) = answer(&lab, &version, &params, echoes).await;
        assert_eq!(handle.sent()[0].body.len(), 20 * body.len(), "{fetcher}");
        assert_eq!(answer["body"], body.repeat(20));
    }
}

#[tokio::test]
async fn a_refusal_is_an_error_of_the_request_and_a_line_of_the_log() {
    let lab = Lab::new();
    for fetcher in FETCHERS {
        let version = lab
            .version(example(fetcher), FunctionLimits::default())
            .await;
        let params = json!({ "url": URL, "method": "POST", "body": "hello" });
        // Nobody has granted anything.
        let (outcome, handle) = call(&lab, &version, &params, |_| {}).await;
        let outcome = outcome.unwrap();
        assert_eq!(json_of(&outcome)["error"], "ErrorCode::HttpRequestDenied");
        let log = String::from_utf8_lossy(&outcome.log).into_owned();
        let line =
            "outbound_not_granted: the function may send no requests: deploy it with --allow-host ";
        assert!(log.starts_with(line), "{fetcher}: {log:?}");
        assert_eq!(handle.written()[0].text, log);
    }
}

/// The fault with this code.
fn fault(code: &str) -> OutboundError {
    let host = "api.example.org".to_owned();
    let cause = "it was cut".to_owned();
    match code {
        "outbound_host_not_allowed" => OutboundError::Host(host),
        "outbound_address_refused" => OutboundError::Refused(host),
        "outbound_too_many" => OutboundError::TooMany(3),
        "outbound_timeout" => OutboundError::Timeout {
            host,
            limit: Duration::from_secs(1),
        },
        "outbound_unreachable" => OutboundError::Unreachable { host, cause },
        "outbound_broken" => OutboundError::Broken { host, cause },
        other => panic!("no fault has the code {other}"),
    }
}

#[tokio::test]
async fn faults_have_the_codes_of_wasi() {
    let lab = Lab::new();
    for fetcher in FETCHERS {
        let version = lab
            .version(example(fetcher), FunctionLimits::default())
            .await;
        for (code, expected) in [
            ("outbound_host_not_allowed", "HttpRequestDenied"),
            ("outbound_address_refused", "DestinationIpProhibited"),
            ("outbound_too_many", "ConnectionLimitReached"),
            ("outbound_timeout", "HttpResponseTimeout"),
            ("outbound_unreachable", "DestinationUnavailable"),
            ("outbound_broken", "ConnectionTerminated"),
        ] {
            let (outcome, _) = call(&lab, &version, &json!({ "url": URL }), |handle| {
                handle.fail_requests(move || fault(code));
            })
            .await;
            let outcome = outcome.unwrap();
            let error = format!("ErrorCode::{expected}");
            assert_eq!(json_of(&outcome)["error"], error, "{fetcher}: {code}");
            assert_eq!(outcome.log, format!("{code}: {}\n", fault(code)));
        }
    }
}

/// The body of a response: what comes through a channel, which tells when nobody reads it any more.
struct Piped(mpsc::Receiver<Result<Bytes, BodyError>>);

impl http_body::Body for Piped {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        self.0
            .poll_recv(cx)
            .map(|piece| piece.map(|data| data.map(Frame::data)))
    }
}

/// Makes the next response one whose body comes through a channel.
fn pipe(handle: &FakeHostHandle) -> mpsc::Sender<Result<Bytes, BodyError>> {
    let (sender, receiver) = mpsc::channel(1);
    let receiver = Mutex::new(Some(receiver));
    handle.respond(move |_| {
        let body = receiver.lock().take().expect("one request");
        Response::new(Box::pin(Piped(body)))
    });
    sender
}

#[tokio::test]
async fn a_response_that_breaks_off_is_not_whole() {
    let lab = Lab::new();
    for fetcher in FETCHERS {
        let version = lab
            .version(example(fetcher), FunctionLimits::default())
            .await;
        let (host, handle) = FakeHost::new();
        let sender = pipe(&handle);
        let params = json!({ "url": URL }).to_string();
        let breaks = async {
            sender.send(Ok(Bytes::from_static(b"half"))).await.unwrap();
            let too_large = OutboundError::TooLarge {
                host: "api.example.org".to_owned(),
                bytes_max: 7,
            };
            sender.send(Err(too_large.into())).await.unwrap();
        };
        let (outcome, ()) = tokio::join!(lab.invoke_on(&version, &params, host), breaks);
        let outcome = outcome.unwrap();
        let error = json_of(&outcome)["error"].to_string();
        assert!(
            error.contains("HttpResponseBodySize(Some(7))"),
            "{fetcher}: {error}"
        );
        let log = String::from_utf8_lossy(&outcome.log).into_owned();
        assert!(log.starts_with("outbound_response_too_large: "), "{log:?}");
    }
}

/// A call that meets its time limit while it waits for a response takes its request along; the next call has a sandbox.
#[tokio::test]
async fn a_request_ends_with_its_call() {
    let lab = Lab::with(|config| config.slots = 1);
    for fetcher in FETCHERS {
        let limits = time_limit(Duration::from_secs(1));
        let version = lab.version(example(fetcher), limits).await;
        let params = json!({ "url": URL, "method": "POST", "body": "hello" });
        let (outcome, handle) = call(&lab, &version, &params, FakeHostHandle::hold_requests).await;
        assert_eq!(kind(outcome), FailureKind::TimeLimit, "{fetcher}");
        handle
            .wait_for_request("the end of the request", |sent| {
                sent.state == RequestState::Dropped && sent.body == b"hello"
            })
            .await;
        handle
            .wait_for("the end of the call", |counts| counts.gone)
            .await;
        let version = lab
            .version(example(fetcher), FunctionLimits::default())
            .await;
        let (answer, _) = answer(&lab, &version, &params, echoes).await;
        assert_eq!(answer["body"], "hello");
    }
}

/// A body that is still being written when the call ends never looks whole.
#[tokio::test]
async fn a_body_that_never_ends_ends_with_the_call() {
    let lab = Lab::new();
    for fetcher in FETCHERS {
        let limits = time_limit(Duration::from_secs(1));
        let version = lab.version(example(fetcher), limits).await;
        let params = json!({
            "url": URL, "method": "POST", "body": "again ", "repeat": 1_000_000, "pause_ms": 5
        });
        let (outcome, handle) = call(&lab, &version, &params, echoes).await;
        assert_eq!(kind(outcome), FailureKind::TimeLimit, "{fetcher}");
        handle
            .wait_for("the end of the call", |counts| counts.gone)
            .await;
        let sent = handle.sent().pop().unwrap();
        assert!(sent.body.starts_with(b"again "), "{fetcher}");
        assert_ne!(sent.body_end, BodyEnd::Whole, "{fetcher}");
    }
}

#[tokio::test]
async fn a_response_that_never_ends_ends_with_the_call() {
    let lab = Lab::new();
    for fetcher in FETCHERS {
        let limits = time_limit(Duration::from_millis(300));
        let version = lab.version(example(fetcher), limits).await;
        let (host, handle) = FakeHost::new();
        let sender = pipe(&handle);
        sender.send(Ok(Bytes::from_static(b"half"))).await.unwrap();
        let params = json!({ "url": URL }).to_string();
        let outcome = lab.invoke_on(&version, &params, host).await;
        assert_eq!(kind(outcome), FailureKind::TimeLimit, "{fetcher}");
        let left = tokio::time::timeout(Duration::from_secs(60), sender.closed()).await;
        assert!(left.is_ok(), "{fetcher}: the body is still read");
    }
}

/// A client that leaves takes the request along.
#[tokio::test]
async fn a_dropped_call_drops_its_request() {
    let lab = Lab::new();
    for fetcher in FETCHERS {
        let version = lab
            .version(example(fetcher), FunctionLimits::default())
            .await;
        let (host, handle) = FakeHost::new();
        handle.hold_requests();
        let params = json!({ "url": URL }).to_string();
        {
            let called = lab.invoke_on(&version, &params, host);
            let begun = handle.wait_for_request("the request", |sent| {
                sent.body_end == BodyEnd::Whole && sent.state == RequestState::Pending
            });
            tokio::select! {
                outcome = called => panic!("{fetcher}: {outcome:?}"),
                () = begun => {}
            }
        }
        handle
            .wait_for_request("the end of the request", |sent| {
                sent.state == RequestState::Dropped
            })
            .await;
    }
}

/// The limits that a function sets itself.
#[tokio::test]
async fn a_function_waits_no_longer_than_it_wants() {
    let lab = Lab::new();
    let version = lab
        .version(example("fetch-http"), FunctionLimits::default())
        .await;
    let params = json!({ "url": URL, "first_byte_ms": 50 });
    let (given, handle) = answer(&lab, &version, &params, FakeHostHandle::hold_requests).await;
    assert_eq!(given["error"], "ErrorCode::HttpResponseTimeout");
    assert_eq!(handle.sent()[0].state, RequestState::Dropped);
    let mut sender = None;
    let params = json!({ "url": URL, "between_bytes_ms": 50 });
    let (given, _) = answer(&lab, &version, &params, |handle| {
        sender = Some(pipe(handle));
    })
    .await;
    assert_eq!(given["error"], "ErrorCode::HttpResponseTimeout");
    drop(sender);
}

#[tokio::test]
async fn programs_send_requests_too() {
    let lab = Lab::new();
    let version = lab
        .version(example("fetch-cli"), FunctionLimits::default())
        .await;
    let params = json!({ "url": URL });
    let (given, handle) = answer(&lab, &version, &params, echoes).await;
    assert_eq!(given, json!({ "status": 200 }));
    assert_eq!(handle.sent()[0].uri, URL);
    let (given, _) = answer(&lab, &version, &params, |_| {}).await;
    assert_eq!(given, json!({ "error": "ErrorCode::HttpRequestDenied" }));
}

// === core modules ===

/// A request in the form of the guest ABI.
fn request(head: &str, body: &str) -> Vec<u8> {
    let length = u32::try_from(head.len()).unwrap().to_le_bytes();
    [&length[..], head.as_bytes(), body.as_bytes()].concat()
}

/// A reactor that sends these bytes, with so much room for the reply. Its result is `[HEAD BODY]` of the response, so that a
/// body that begins with a comma makes it JSON, or the error object.
fn sender(request: &[u8], room: u32) -> String {
    let data: String = request.iter().map(|byte| format!("\\{byte:02x}")).collect();
    let length = request.len();
    format!(
        r#"(module
        (import "serverledge" "send" (func $send (param i32 i32 i32 i32) (result i64)))
        (memory (export "memory") 4)
        (data (i32.const 0x100) "{data}")
        (func (export "serverledge_alloc") (param i32) (result i32) (i32.const 0x30000))
        (func $packed (param $at i32) (param $length i32) (result i64)
            (i64.or (i64.shl (i64.extend_i32_u (local.get $at)) (i64.const 32)) (i64.extend_i32_u (local.get $length))))
        (func (export "serverledge_handle") (param i32 i32) (result i64) (local $r i64) (local $length i32)
            (local.set $r (call $send (i32.const 0x100) (i32.const {length}) (i32.const 0x1000) (i32.const {room})))
            (local.set $length (i32.wrap_i64 (local.get $r)))
            (if (i32.gt_u (local.get $length) (i32.const {room}))
                (then (local.set $r (call $send (i32.const -1) (i32.const 0) (i32.const 0x1000) (i32.const 0x20000)))))
            (if (i64.lt_s (local.get $r) (i64.const 0))
                (then (return (call $packed (i32.const 0x1000) (local.get $length)))))
            (i32.store8 (i32.const 0x1003) (i32.const 91))
            (i32.store8 (i32.add (i32.const 0x1000) (local.get $length)) (i32.const 93))
            (call $packed (i32.const 0x1003) (i32.sub (local.get $length) (i32.const 2)))))"#
    )
}

const ROOM: u32 = 0x8000;

/// The result of a reactor that sends these bytes.
async fn send(
    lab: &Lab,
    request: &[u8],
    room: u32,
    script: impl FnOnce(&FakeHostHandle),
) -> (Value, FakeHostHandle) {
    let version = lab
        .version(sender(request, room), FunctionLimits::default())
        .await;
    answer(lab, &version, &json!({}), script).await
}

fn tea(handle: &FakeHostHandle) {
    handle.respond(|_| {
        let response = Response::builder().status(418).header("x-tea", "green");
        let response = response.header("x-tea", &b"caf\xe9"[..]);
        response.body(whole(r#","short and stout""#)).unwrap()
    });
}

#[tokio::test]
async fn a_core_module_sends_a_whole_request() {
    let lab = Lab::new();
    let head = json!({
        "method": "PUT", "url": URL, "headers": [["X-Own", "1"], ["x-own", "\u{e9}"]]
    });
    let request = request(&head.to_string(), "hello");
    let expected = json!([
        {"status": 418, "headers": [["x-tea", "green"], ["x-tea", "caf\u{e9}"]]},
        "short and stout"
    ]);
    // What does not fit is kept.
    for room in [ROOM, 0, 7] {
        let (given, handle) = send(&lab, &request, room, tea).await;
        assert_eq!(given, expected, "{room}");
        let [sent] = <[_; 1]>::try_from(handle.sent()).unwrap();
        assert_eq!(sent.method, Method::PUT);
        assert_eq!(sent.uri, URL);
        let own = sent.headers.get_all("x-own").iter();
        let own: Vec<&[u8]> = own.map(|value| value.as_bytes()).collect();
        assert_eq!(own, [&b"1"[..], &b"\xe9"[..]]);
        assert_eq!(sent.body, b"hello");
        assert_eq!(sent.body_end, BodyEnd::Whole);
        assert_eq!(sent.state, RequestState::Answered);
    }
}

#[tokio::test]
async fn a_core_module_waits_no_longer_than_it_wants() {
    let lab = Lab::new();
    let head = json!({"method": "GET", "url": URL, "timeout_ms": 50});
    let request = request(&head.to_string(), "");
    let (given, handle) = send(&lab, &request, ROOM, FakeHostHandle::hold_requests).await;
    assert_eq!(given["error"], "outbound_timeout");
    assert_eq!(handle.sent()[0].state, RequestState::Dropped);
    // Nor for a part of the body.
    let mut sender = None;
    let (given, _) = send(&lab, &request, ROOM, |handle| sender = Some(pipe(handle))).await;
    assert_eq!(given["error"], "outbound_timeout");
    drop(sender);
    let (given, _) = send(&lab, &request, ROOM, tea).await;
    assert_eq!(given[1], "short and stout");
}

#[tokio::test]
async fn a_core_module_reads_why_its_request_failed() {
    let lab = Lab::new();
    let head = json!({"method": "GET", "url": URL}).to_string();
    let request = request(&head, "");
    let (given, _) = send(&lab, &request, ROOM, |_| {}).await;
    assert_eq!(given["error"], "outbound_not_granted");
    for code in [
        "outbound_host_not_allowed",
        "outbound_address_refused",
        "outbound_too_many",
        "outbound_timeout",
        "outbound_unreachable",
        "outbound_broken",
    ] {
        let (given, _) = send(&lab, &request, ROOM, |handle| {
            handle.fail_requests(move || fault(code));
        })
        .await;
        let expected = json!({"error": code, "message": fault(code).to_string()});
        assert_eq!(given, expected);
    }
}

#[tokio::test]
async fn malformed_requests_are_errors() {
    let lab = Lab::new();
    let with = |member: &str, value: Value| {
        let mut head = json!({"method": "GET", "url": URL, "headers": []});
        head[member] = value;
        request(&head.to_string(), "")
    };
    let invalid = "outbound_request_invalid";
    let url = "outbound_url_invalid";
    for (request, code, word) in [
        (vec![1], invalid, "ends within its head"),
        (vec![9, 0, 0, 0], invalid, "ends within its head"),
        // So long that a map of headers could be full, and what is added to it would have no place.
        (vec![0xff; 8], invalid, "longer than 65536 bytes"),
        (request("", ""), invalid, "head"),
        (request("[]", ""), invalid, "head"),
        (request("{}", ""), invalid, "method"),
        (with("more", json!(1)), invalid, "more"),
        (with("method", json!("a b")), invalid, "a b"),
        (with("headers", json!([["a"]])), invalid, "head"),
        (with("headers", json!([["a b", "x"]])), invalid, "a b"),
        (with("headers", json!([["a", "x\ny"]])), invalid, "header a"),
        (
            with("headers", json!([["a", "\u{2603}"]])),
            invalid,
            "header a",
        ),
        (with("url", json!("/relative")), url, "/relative"),
        (with("url", json!("http://")), url, "http://"),
        (with("url", json!("http://a b/")), url, "a b"),
        (with("url", json!("")), url, "http"),
    ] {
        let (given, handle) = send(&lab, &request, ROOM, tea).await;
        assert_eq!(given["error"], code, "{given}");
        let message = given["message"].as_str().unwrap();
        assert!(message.contains(word), "{word} in {message}");
        assert!(handle.sent().is_empty(), "{given}");
    }
}

#[tokio::test]
async fn a_response_to_a_core_module_is_as_long_as_an_output() {
    let lab = Lab::with(|config| config.output_bytes_max = 1000);
    let head = json!({"method": "GET", "url": URL}).to_string();
    let request = request(&head, "");
    let body = |bytes: usize| format!(",\"{}\"", "x".repeat(bytes - 3));
    let (given, _) = send(&lab, &request, ROOM, |handle| {
        let text = body(900);
        handle.respond(move |_| Response::new(whole(&text)));
    })
    .await;
    assert_eq!(given[0]["status"], 200, "{given}");
    let (given, _) = send(&lab, &request, ROOM, |handle| {
        let text = body(1001);
        handle.respond(move |_| Response::new(whole(&text)));
    })
    .await;
    assert_eq!(given["error"], "outbound_response_too_large", "{given}");
    assert!(given["message"].to_string().contains("1000 bytes"));
}

#[tokio::test]
async fn a_request_outside_the_memory_is_a_trap() {
    let lab = Lab::new();
    let head = json!({"method": "GET", "url": URL}).to_string();
    let good = sender(&request(&head, ""), ROOM);
    for (part, wrong) in [
        ("(i32.const 0x100) (i32.const", "(i32.const -9) (i32.const"),
        (
            "(i32.const 0x1000) (i32.const 32768)",
            "(i32.const -9) (i32.const 32768)",
        ),
    ] {
        let bad = good.replace(part, wrong);
        assert_ne!(bad, good);
        let version = lab.version(bad, FunctionLimits::default()).await;
        let (outcome, _) = call(&lab, &version, &json!({}), tea).await;
        let told = words(outcome);
        assert!(
            told.starts_with("Trap: ") && told.contains("serverledge::send"),
            "{told}"
        );
    }
}

#[tokio::test]
async fn a_request_of_a_core_module_ends_with_its_call() {
    let lab = Lab::new();
    let head = json!({"method": "POST", "url": URL}).to_string();
    let module = sender(&request(&head, "hello"), ROOM);
    let limits = time_limit(Duration::from_secs(1));
    let version = lab.version(module, limits).await;
    let (outcome, handle) = call(&lab, &version, &json!({}), FakeHostHandle::hold_requests).await;
    assert_eq!(kind(outcome), FailureKind::TimeLimit);
    handle
        .wait_for_request("the end of the request", |sent| {
            sent.state == RequestState::Dropped && sent.body == b"hello"
        })
        .await;
    // A body that never ends is no different.
    let (host, handle) = FakeHost::new();
    let sender = pipe(&handle);
    sender.send(Ok(Bytes::from_static(b"half"))).await.unwrap();
    let outcome = lab.invoke_on(&version, "{}", host).await;
    assert_eq!(kind(outcome), FailureKind::TimeLimit);
    let left = tokio::time::timeout(Duration::from_secs(60), sender.closed()).await;
    assert!(left.is_ok(), "the body is still read");
}
