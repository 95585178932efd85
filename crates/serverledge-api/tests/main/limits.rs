//! Limits of bodies, of their time, and of requests at once; request ids.

use std::time::Duration;

use axum::body::Body;
use bytes::Bytes;
use expect_test::expect;
use futures_util::FutureExt as _;
use http::Method;
use serverledge_core::InvocationId;
use tokio::time::Instant;

use crate::support::{LIMITS, app, check, get, json, outcome, pieces, post, request, text, with};

#[tokio::test]
async fn bodies_have_limits() {
    let (app, handle) = app();
    let params = LIMITS.params_body_bytes_max;
    let code = LIMITS.code_body_bytes_max;
    // Padded with white space to the length.
    let padded = |text: &str, length: usize| format!("{text}{}", " ".repeat(length - text.len()));
    for (uri, text, max) in [
        ("/invoke/json", "{}", params),
        ("/fn/json", "{}", params),
        ("/fn/http", "x", params),
        ("/delete", "{\"Name\":\"nobody\"}", params),
        ("/prewarm", "{\"Function\":\"json\"}", params),
        ("/create", "{\"Name\":\"f\"}", code),
        ("/update", "{\"Name\":\"f\"}", code),
    ] {
        let fits = outcome(app.handle(post(uri, padded(text, max))).await).await;
        assert!(
            fits == "200" || fits == "404 function_unknown",
            "{uri}: {fits}"
        );
        let told = outcome(app.handle(post(uri, padded(text, max + 1))).await).await;
        assert_eq!(told, "413 body_too_large", "{uri}");
    }
    check(app.handle(post("/invoke/json", " ".repeat(params + 1))).await, expect![[r#"
        413 Payload Too Large
        content-type: application/problem+json
        {"code":"body_too_large","detail":"the body is larger than 1000 bytes","status":413,"title":"Payload Too Large","type":"about:blank"}"#]]).await;
    handle.calls();
}

/// A body whose length is not told in advance is counted as it comes; no more than the limit is taken.
#[tokio::test]
async fn bodies_without_a_length_are_counted() {
    let (app, handle) = app();
    for uri in ["/invoke/json", "/fn/json", "/create"] {
        let endless = futures_util::stream::repeat_with(|| {
            Ok::<_, std::io::Error>(Bytes::from_static(b"          "))
        });
        let response = app.handle(post(uri, Body::from_stream(endless))).await;
        assert_eq!(outcome(response).await, "413 body_too_large", "{uri}");
    }
    assert_eq!(handle.counts().begun, 0);
    // An HTTP function sees the error while it reads.
    let endless = futures_util::stream::repeat_with(|| {
        Ok::<_, std::io::Error>(Bytes::from_static(b"          "))
    });
    let response = app
        .handle(post("/fn/http", Body::from_stream(endless)))
        .await;
    let read = http_body_util::BodyExt::collect(response.into_body()).await;
    assert!(read.is_err(), "an endless body went through");
}

#[tokio::test(start_paused = true)]
async fn bodies_must_arrive_in_time() {
    let (app, handle) = app();
    for uri in ["/invoke/json", "/fn/json", "/create", "/delete", "/prewarm"] {
        let silent =
            Body::from_stream(futures_util::stream::pending::<Result<Bytes, std::io::Error>>());
        let began = Instant::now();
        assert_eq!(
            outcome(app.handle(post(uri, silent)).await).await,
            "408 body_too_slow",
            "{uri}"
        );
        assert_eq!(began.elapsed(), LIMITS.body_timeout, "{uri}");
    }
    // A trickle is no way round.
    let trickle = futures_util::stream::unfold((), |()| async {
        tokio::time::sleep(Duration::from_secs(3)).await;
        Some((Ok::<_, std::io::Error>(Bytes::from_static(b" ")), ()))
    });
    check(app.handle(post("/invoke/json", Body::from_stream(trickle))).await, expect![[r#"
        408 Request Timeout
        content-type: application/problem+json
        {"code":"body_too_slow","detail":"the body did not arrive within 10s","status":408,"title":"Request Timeout","type":"about:blank"}"#]]).await;
    assert_eq!(handle.counts().begun, 0);
}

#[tokio::test]
async fn bodies_that_break_off_are_told() {
    let (app, handle) = app();
    let broken = || {
        let pieces = [
            Ok(Bytes::from_static(b"{")),
            Err(std::io::Error::other("the client went away")),
        ];
        Body::from_stream(futures_util::stream::iter(pieces))
    };
    check(app.handle(post("/invoke/json", broken())).await, expect![[r#"
        400 Bad Request
        content-type: application/problem+json
        {"code":"body_broken","detail":"the body broke off: the client went away: the client went away: the client went away","status":400,"title":"Bad Request","type":"about:blank"}"#]]).await;
    for uri in ["/fn/json", "/create"] {
        assert_eq!(
            outcome(app.handle(post(uri, broken())).await).await,
            "400 body_broken",
            "{uri}"
        );
    }
    assert_eq!(handle.counts().begun, 0);
}

#[tokio::test]
async fn requests_at_once_have_a_limit() {
    let (app, handle) = app();
    handle.hold();
    let mut held: Vec<_> = (0..LIMITS.concurrency_max)
        .map(|_| Box::pin(app.handle(post("/invoke/json", ""))))
        .collect();
    for one in &mut held {
        assert!(one.as_mut().now_or_never().is_none());
    }
    for asked in [
        post("/invoke/json", ""),
        get("/fn/json"),
        post("/create", "{}"),
        get("/functions"),
        get("/status"),
    ] {
        let uri = asked.uri().clone();
        let response = app.handle(asked).await;
        assert_eq!(response.headers()["retry-after"], "1", "{uri}");
        assert_eq!(
            outcome(response).await,
            "503 too_many_requests_at_once",
            "{uri}"
        );
    }
    check(app.handle(post("/invoke/json", "")).await, expect![[r#"
        503 Service Unavailable
        content-type: application/problem+json
        retry-after: 1
        {"code":"too_many_requests_at_once","detail":"the node serves as many requests as it may at once","status":503,"title":"Service Unavailable","type":"about:blank"}"#]]).await;
    // Whoever looks after the node still gets through.
    for uri in ["/healthz", "/readyz", "/openapi.json"] {
        assert_eq!(outcome(app.handle(get(uri)).await).await, "200", "{uri}");
    }
    // A dropped request gives its place back, and so does one that ends.
    held.pop();
    assert_eq!(handle.counts().dropped, 1);
    let mut next = Box::pin(app.handle(post("/invoke/json", "")));
    assert!(next.as_mut().now_or_never().is_none());
    handle.release();
    for one in held {
        assert_eq!(one.await.status(), 200);
    }
    assert_eq!(next.await.status(), 200);
    assert_eq!(outcome(app.handle(get("/functions")).await).await, "200");
}

#[tokio::test]
async fn request_ids_are_echoed_if_well_formed() {
    let (app, _) = app();
    let longest = "x".repeat(128);
    for id in ["a", "7f3c-1", "a_b.c:d/e+f=", &longest] {
        for uri in ["/functions", "/nowhere", "/fn/json", "/healthz"] {
            let response = app.handle(with(get(uri), &[("x-request-id", id)])).await;
            assert_eq!(response.headers()["x-request-id"], id, "{uri}");
        }
    }
    let too_long = "x".repeat(129);
    for id in ["", "a b", "<script>", "a;b", "\"", "ä", "a,b", &too_long] {
        let response = app
            .handle(with(get("/nowhere"), &[("x-request-id", id)]))
            .await;
        let given = response.headers()["x-request-id"]
            .to_str()
            .unwrap()
            .to_owned();
        assert!(
            InvocationId::parse(&given).is_some(),
            "{id:?} gave {given:?}"
        );
        assert_eq!(json(response).await["request_id"], given);
    }
}

/// The id of the invocation is the request id if the caller sent none.
#[tokio::test]
async fn request_ids_name_the_invocation() {
    let (app, handle) = app();
    let response = app.handle(post("/invoke/json", "")).await;
    let id = response.headers()["x-request-id"]
        .to_str()
        .unwrap()
        .to_owned();
    assert_eq!(handle.calls()[0].call.id.to_string(), id);
    let other = app.handle(post("/invoke/json", "")).await;
    assert_ne!(other.headers()["x-request-id"], id.as_str());
}

#[tokio::test]
async fn a_head_is_answered_as_a_get_is() {
    let (app, _) = app();
    for uri in ["/functions", "/status", "/healthz", "/metrics"] {
        assert_eq!(
            app.handle(request(&Method::HEAD, uri, "")).await.status(),
            200,
            "{uri}"
        );
    }
    assert_eq!(
        text(app.handle(post("/fn/json", pieces(&["1"]))).await).await,
        "1"
    );
}
