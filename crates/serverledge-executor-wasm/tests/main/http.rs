//! `wasi:http` components: requests, streamed replies, and what ends them.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::{Method, Request, Response};
use http_body::Frame;
use http_body_util::{BodyExt as _, Full};
use serde_json::json;
use serverledge_core::{
    BodyError, Call, FailureKind, FunctionLimits, HttpBody, Interface, InvokeError, Outcome,
    Payload,
};
use serverledge_testing::budgeted::Budgeted;
use serverledge_testing::fake_host::FakeHost;

use crate::support::{
    Lab, TRACE, call_with, example, failure, json_of, settled, time_limit, traced,
};

/// The shipped example, read when a test needs it: without it only these tests fail.
fn echo_http() -> Vec<u8> {
    example("echo-http")
}

fn request(method: Method, uri: &str, body: &'static str) -> Request<HttpBody> {
    let body: HttpBody =
        Box::pin(Full::new(Bytes::from_static(body.as_bytes())).map_err(|never| match never {}));
    Request::builder()
        .method(method)
        .uri(uri)
        .header("host", "localhost")
        .header("x-own", "1")
        .body(body)
        .unwrap()
}

async fn send(
    lab: &Lab,
    limits: FunctionLimits,
    request: Request<HttpBody>,
) -> Result<Outcome, InvokeError> {
    let version = lab.version(echo_http(), limits).await;
    let sandbox = lab.start(&version).await.unwrap();
    sandbox
        .invoke(
            call_with(Payload::Http(Box::new(request))),
            FakeHost::new().0,
        )
        .await
}

fn response(outcome: Outcome) -> Response<HttpBody> {
    settled(outcome).0
}

async fn text(body: HttpBody) -> String {
    String::from_utf8(body.collect().await.unwrap().to_bytes().to_vec()).unwrap()
}

#[tokio::test]
async fn a_component_is_recognised() {
    let prepared = Lab::new().prepare(echo_http()).await.unwrap();
    assert_eq!(
        (prepared.recognised, prepared.interface),
        ("wasi:http component", Interface::Http)
    );
}

#[tokio::test]
async fn the_request_goes_in_and_the_response_comes_out() {
    let lab = Lab::new();
    let outcome = send(
        &lab,
        FunctionLimits::default(),
        request(Method::PUT, "/a/b?status=418&x=1", "hi"),
    )
    .await;
    let response = response(outcome.unwrap());
    assert_eq!(response.status(), 418);
    assert_eq!(response.headers()["content-type"], "application/json");
    let seen: serde_json::Value = serde_json::from_str(&text(response.into_body()).await).unwrap();
    assert_eq!(
        (&seen["method"], &seen["path"], &seen["body"]),
        (&json!("PUT"), &json!("/a/b?status=418&x=1"), &json!("hi"))
    );
    assert_eq!(seen["headers"]["x-own"], "1");
}

#[tokio::test]
async fn parameters_become_a_post() {
    let lab = Lab::new();
    let version = lab.version(echo_http(), FunctionLimits::default()).await;
    let seen = json_of(&lab.invoke(&version, "{\"a\":1}").await.unwrap());
    assert_eq!(
        (&seen["method"], &seen["path"], &seen["body"]),
        (&json!("POST"), &json!("/"), &json!("{\"a\":1}"))
    );
    assert_eq!(seen["headers"]["content-type"], "application/json");
}

/// The headers of the trace are those of the function's own run; what the caller sent, well-formed or not, is its own.
#[tokio::test]
async fn the_trace_is_in_the_headers() {
    let lab = Lab::new();
    let version = lab.version(echo_http(), FunctionLimits::default()).await;
    let asked = || {
        let mut asked = request(Method::GET, "/", "");
        for value in ["malformed", "twice"] {
            asked
                .headers_mut()
                .append("traceparent", value.parse().unwrap());
        }
        asked
            .headers_mut()
            .append("tracestate", "c=3".parse().unwrap());
        call_with(Payload::Http(Box::new(asked)))
    };
    let seen = async |call: Call| {
        let sandbox = lab.start(&version).await.unwrap();
        let outcome = sandbox.invoke(call, FakeHost::new().0).await.unwrap();
        let body = text(response(outcome).into_body()).await;
        serde_json::from_str::<serde_json::Value>(&body).unwrap()["headers"].clone()
    };
    let call = traced(asked());
    let own = call.trace_ids();
    let headers = seen(call).await;
    assert_eq!(
        headers["traceparent"],
        format!("00-{TRACE}-{}-01", own.span)
    );
    assert_eq!(headers["tracestate"], "a=1,b=2");
    let headers = seen(asked()).await;
    assert_eq!(
        headers.get("traceparent").or(headers.get("tracestate")),
        None
    );
    let call = traced(crate::support::call("{}"));
    let sandbox = lab.start(&version).await.unwrap();
    let seen = json_of(&sandbox.invoke(call, FakeHost::new().0).await.unwrap());
    assert!(seen["headers"]["traceparent"].is_string(), "{seen}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reply_streams_while_the_guest_runs() {
    let lab = Lab::new();
    let asked = request(Method::GET, "/stream?chunks=4&pause_ms=100", "");
    let began = tokio::time::Instant::now();
    let mut body =
        response(send(&lab, FunctionLimits::default(), asked).await.unwrap()).into_body();
    let first = body.frame().await.unwrap().unwrap().into_data().unwrap();
    assert_eq!(first, "chunk 1 of 4\n");
    let at_first = began.elapsed();
    assert_eq!(
        text(body).await,
        "chunk 2 of 4\nchunk 3 of 4\nchunk 4 of 4\n"
    );
    let at_last = began.elapsed();
    assert!(
        at_last - at_first >= Duration::from_millis(200),
        "the first chunk came with the last: {at_first:?} {at_last:?}"
    );
}

#[tokio::test]
async fn a_large_reply_is_whole() {
    let lab = Lab::new();
    let asked = request(Method::GET, "/stream?chunks=1000", "");
    let text =
        text(response(send(&lab, FunctionLimits::default(), asked).await.unwrap()).into_body())
            .await;
    assert_eq!(text.lines().count(), 1000);
    assert!(text.ends_with("chunk 1000 of 1000\n"));
}

/// The end of a guest is seen before the rest of its body where a task has little of its budget left.
#[tokio::test]
async fn a_spent_budget_is_no_fault_of_the_function() {
    let lab = Lab::new();
    let version = lab.version(echo_http(), FunctionLimits::default()).await;
    for units in 1..=12 {
        for _ in 0..10 {
            let asked = call_with(Payload::Http(Box::new(request(
                Method::GET,
                "/stream?chunks=3",
                "",
            ))));
            let sandbox = lab.start(&version).await.unwrap();
            let work = async {
                let outcome = sandbox.invoke(asked, FakeHost::new().0).await?;
                Ok::<_, InvokeError>(text(response(outcome).into_body()).await)
            };
            let text = Budgeted::new(units, work).await;
            assert_eq!(
                text.expect("an answer"),
                "chunk 1 of 3\nchunk 2 of 3\nchunk 3 of 3\n",
                "{units} units"
            );
        }
    }
}

#[tokio::test]
async fn the_time_limit_covers_the_streamed_reply() {
    let lab = Lab::new();
    let asked = request(Method::GET, "/stream?chunks=1000&pause_ms=1000", "");
    let limits = time_limit(Duration::from_millis(300));
    let body = response(send(&lab, limits, asked).await.unwrap()).into_body();
    let fault = body
        .collect()
        .await
        .expect_err("the stream breaks off")
        .to_string();
    assert!(fault.contains("300ms"), "{fault}");
}

#[tokio::test]
async fn output_beyond_the_limit_breaks_off() {
    let lab = Lab::with(|config| config.output_bytes_max = 1000);
    let asked = request(Method::GET, "/stream?chunks=1000&pause_ms=1", "");
    let body = response(send(&lab, FunctionLimits::default(), asked).await.unwrap()).into_body();
    let fault = body
        .collect()
        .await
        .expect_err("the stream breaks off")
        .to_string();
    assert!(fault.contains("output"), "{fault}");
    // The same, gathered at once instead of streamed, and as the result of an invocation.
    let asked = request(Method::GET, "/stream?chunks=1000", "");
    let response = response(send(&lab, FunctionLimits::default(), asked).await.unwrap());
    let length = response
        .into_body()
        .collect()
        .await
        .map(|whole| whole.to_bytes().len());
    assert!(
        length.is_err(),
        "{length:?} bytes came through a limit of 1000"
    );
}

/// One slot: whoever comes next needs that of the reply that was dropped.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn dropping_the_body_stops_the_guest() {
    let lab = Lab::with(|config| config.slots = 1);
    for _ in 0..3 {
        let asked = request(Method::GET, "/stream?chunks=1000&pause_ms=1000", "");
        let (response, ending) =
            settled(send(&lab, FunctionLimits::default(), asked).await.unwrap());
        let mut body = response.into_body();
        body.frame().await.unwrap().unwrap();
        let meanwhile = send(
            &lab,
            FunctionLimits::default(),
            request(Method::GET, "/", ""),
        )
        .await;
        assert!(
            matches!(meanwhile, Err(InvokeError::Exhausted)),
            "{meanwhile:?}"
        );
        drop(body);
        // The guest ends in the task that holds the lease: the slot is free when that says so.
        ending.await.unwrap();
        let after = send(
            &lab,
            FunctionLimits::default(),
            request(Method::GET, "/", ""),
        )
        .await;
        assert!(after.is_ok(), "the slot is still held: {after:?}");
    }
}

#[tokio::test]
async fn a_response_that_is_no_success_is_a_failure_of_an_invocation() {
    let lab = Lab::new();
    let asked = request(Method::GET, "/?status=503", "");
    assert_eq!(
        response(send(&lab, FunctionLimits::default(), asked).await.unwrap()).status(),
        503
    );
}

/// A body that comes in pieces, and may break off.
struct Pieces(Vec<Result<&'static str, &'static str>>);

impl http_body::Body for Pieces {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        if self.0.is_empty() {
            return Poll::Ready(None);
        }
        let next = self.0.remove(0);
        Poll::Ready(Some(
            next.map(|text| Frame::data(Bytes::from_static(text.as_bytes())))
                .map_err(Into::into),
        ))
    }
}

fn with_body(pieces: Vec<Result<&'static str, &'static str>>) -> Request<HttpBody> {
    request(Method::POST, "/", "").map(|_| -> HttpBody { Box::pin(Pieces(pieces)) })
}

#[tokio::test]
async fn the_request_streams_in() {
    let lab = Lab::new();
    let asked = with_body(vec![Ok("one "), Ok(""), Ok("two "), Ok("three")]);
    let response = response(send(&lab, FunctionLimits::default(), asked).await.unwrap());
    let seen: serde_json::Value = serde_json::from_str(&text(response.into_body()).await).unwrap();
    assert_eq!(seen["body"], "one two three");
}

#[tokio::test]
async fn a_request_that_breaks_off_fails_the_guest_only() {
    let lab = Lab::new();
    let asked = with_body(vec![Ok("one "), Err("the client went away")]);
    let failed = failure(send(&lab, FunctionLimits::default(), asked).await);
    assert_eq!(failed.kind, FailureKind::Trap);
    assert!(
        send(
            &lab,
            FunctionLimits::default(),
            request(Method::GET, "/", "")
        )
        .await
        .is_ok()
    );
}

#[tokio::test]
async fn a_request_that_never_ends_meets_the_time_limit() {
    struct Silent;
    impl http_body::Body for Silent {
        type Data = Bytes;
        type Error = BodyError;
        fn poll_frame(
            self: Pin<&mut Self>,
            _cx: &mut Context<'_>,
        ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
            Poll::Pending
        }
    }
    let lab = Lab::new();
    let asked = request(Method::POST, "/", "").map(|_| -> HttpBody { Box::pin(Silent) });
    let failed = failure(send(&lab, time_limit(Duration::from_millis(200)), asked).await);
    assert_eq!(failed.kind, FailureKind::TimeLimit);
}
