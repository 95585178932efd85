//! Bodies besides JSON in UTF-8: a form, text in another charset, encoded content. And bodies that are refused.

use std::io::Write as _;

use axum::body::Body;
use expect_test::expect;
use flate2::Compression;
use flate2::write::GzEncoder;
use http::{Method, Request};
use serverledge_core::Payload;

use crate::backend::Handle;
use crate::balancer;
use crate::running_apps::application;
use crate::support::{app, check, get, outcome, post, with};

fn params(handle: &Handle) -> String {
    match &handle.calls().pop().unwrap().call.payload {
        Payload::Json(params) => String::from_utf8(params.to_vec()).unwrap(),
        Payload::Http(request) => panic!("{} is no JSON", request.uri()),
    }
}

fn gzip(text: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(text).unwrap();
    encoder.finish().unwrap()
}

fn typed(uri: &str, content_type: &'static str, body: impl Into<Body>) -> Request<Body> {
    with(post(uri, body), &[("content-type", content_type)])
}

const FORM: &str = "application/x-www-form-urlencoded";
const MULTIPART: &str = "multipart/form-data; boundary=X";
const PARTS: &str = "--X\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\n1\r\n--X\r\nContent-Disposition: \
    form-data; name=\"f\"; filename=\"f.bin\"\r\n\r\n\u{ff}\r\n--X--\r\n";
const FILE: &str =
    r#"{"a":1,"f":{"base64":"w78=","name":"f.bin","type":"application/octet-stream"}}"#;

/// The four routes that take parameters.
const ROUTES: [&str; 4] = [
    "/fn/json",
    "/invoke/json",
    "/functions/json/invocations",
    "/app/shop/call",
];

#[tokio::test]
async fn a_form_becomes_parameters_everywhere() {
    let (app, handle) = app();
    handle.hosting().run(application("shop"));
    for uri in ROUTES {
        for (content_type, body, expected) in [
            (FORM, "a=1&b=x+y&b=2", r#"{"a":1,"b":["x y",2]}"#),
            (
                FORM,
                "id=1234567890123456789",
                r#"{"id":"1234567890123456789"}"#,
            ),
            (MULTIPART, PARTS, FILE),
        ] {
            let told = outcome(app.handle(typed(uri, content_type, body)).await).await;
            assert!(told.starts_with('2'), "{uri}: {told}");
            assert_eq!(params(&handle), expected, "{uri} {content_type}");
        }
    }
    // As curl sends JSON.
    for (uri, body) in [
        ("/fn/json", r#"{"a":1}"#),
        ("/invoke/json", r#"{"Params":{"a":1}}"#),
    ] {
        assert_eq!(
            outcome(app.handle(typed(uri, FORM, body)).await).await,
            "200"
        );
        assert_eq!(params(&handle), r#"{"a":1}"#, "{uri}");
    }
    assert_eq!(
        outcome(app.handle(typed("/fn/json", FORM, "{\"a\":")).await).await,
        "400 malformed_json"
    );
    assert_eq!(
        outcome(app.handle(typed("/fn/json", MULTIPART, "--Y")).await).await,
        "400 malformed_form"
    );
}

#[tokio::test]
async fn encoded_content_is_decoded_within_the_limit() {
    let (app, handle) = app();
    handle.hosting().run(application("shop"));
    let encoded = |uri: &str, coding: &'static str, body: Vec<u8>| {
        with(post(uri, body), &[("content-encoding", coding)])
    };
    for (uri, body) in [
        ("/fn/json", r#"{"a":1}"#),
        ("/invoke/json", r#"{"Params":{"a":1}}"#),
        ("/functions/json/invocations", r#"{"Params":{"a":1}}"#),
        ("/app/shop/call", r#"{"args":{"a":1}}"#),
    ] {
        let told = outcome(
            app.handle(encoded(uri, "gzip", gzip(body.as_bytes())))
                .await,
        )
        .await;
        assert!(told.starts_with('2'), "{uri}: {told}");
        assert_eq!(params(&handle), r#"{"a":1}"#, "{uri}");
    }
    let form = with(
        typed("/fn/json", FORM, gzip(b"a=1")),
        &[("content-encoding", "gzip, identity")],
    );
    assert_eq!(outcome(app.handle(form).await).await, "200");
    // A thousand bytes are allowed, before and after.
    for (body, told) in [
        (gzip(&[b' '; 1_001]), "413 body_too_large"),
        (gzip(&vec![b' '; 9_000_000]), "413 body_too_large"),
        (b"{}".to_vec(), "400 content_coding_malformed"),
    ] {
        for uri in ROUTES {
            assert_eq!(
                outcome(app.handle(encoded(uri, "gzip", body.clone())).await).await,
                told,
                "{uri}"
            );
        }
    }
    let refused = app
        .handle(encoded("/fn/json", "compress", b"{}".to_vec()))
        .await;
    assert_eq!(
        refused.headers()["accept-encoding"],
        "gzip, deflate, br, zstd"
    );
    check(refused, expect![[r#"
        415 Unsupported Media Type
        content-type: application/problem+json
        {"code":"content_coding_unknown","detail":"the content coding \"compress\" is not known here; these are: gzip, deflate, br, zstd","status":415,"title":"Unsupported Media Type","type":"about:blank"}"#]]).await;
    // A deploy's, an account's, an application's: bodies are bodies.
    for uri in [
        "/create",
        "/update",
        "/delete",
        "/prewarm",
        "/functions/json/flags",
        "/apps",
    ] {
        assert_eq!(
            outcome(app.handle(encoded(uri, "compress", b"{}".to_vec())).await).await,
            "415 content_coding_unknown",
            "{uri}"
        );
    }
}

#[tokio::test]
async fn text_in_another_charset_is_read_or_refused_by_name() {
    let (app, handle) = app();
    for (content_type, body, expected) in [
        (
            "application/json",
            &b"\xEF\xBB\xBF{\"a\":1}"[..],
            r#"{"a":1}"#,
        ),
        (FORM, b"\xEF\xBB\xBF{\"a\":1}", r#"{"a":1}"#),
        (
            "application/json; charset=iso-8859-1",
            b"\"L\xF6we\"",
            "\"Löwe\"",
        ),
        ("application/json; charset=utf-16le", b"[\x001\0]\0", "[1]"),
    ] {
        assert_eq!(
            outcome(app.handle(typed("/fn/json", content_type, body)).await).await,
            "200",
            "{body:?}"
        );
        assert_eq!(params(&handle), expected);
    }
    for (content_type, body, told) in [
        (
            "application/json; charset=utf-7",
            &b"{}"[..],
            "415 charset_unknown",
        ),
        ("application/json", b"\"L\xF6we\"", "415 charset_unknown"),
        (
            "application/json; charset=euc-jp",
            b"\"\xFF\"",
            "400 charset_malformed",
        ),
    ] {
        assert_eq!(
            outcome(app.handle(typed("/fn/json", content_type, body)).await).await,
            told,
            "{content_type}"
        );
    }
}

/// A `wasi:http` function gets the request as it is.
#[tokio::test]
async fn http_functions_read_their_bodies_themselves() {
    let (app, handle) = app();
    let body = gzip(b"a=1");
    let request = with(
        typed("/fn/http", FORM, body),
        &[("content-encoding", "gzip")],
    );
    assert_eq!(outcome(app.handle(request).await).await, "200");
    let Payload::Http(seen) = handle.calls().pop().unwrap().call.payload else {
        panic!("no HTTP request")
    };
    assert_eq!(
        (
            &seen.headers()["content-encoding"],
            &seen.headers()["content-type"]
        ),
        (&"gzip".parse().unwrap(), &FORM.parse().unwrap())
    );
}

/// A parameter beside the member for parameters would be dropped without a word.
#[tokio::test]
async fn an_unknown_member_is_named() {
    let (app, handle) = app();
    handle.hosting().run(application("shop"));
    check(app.handle(post("/app/shop/call", r#"{"args":{"a":1},"n":5}"#)).await, expect![[r#"
        400 Bad Request
        content-type: application/problem+json
        content-security-policy: sandbox allow-scripts
        x-content-type-options: nosniff
        {"code":"unknown_member","detail":"the body has the unknown member \"n\"; it may have args, edgeResults and cache, and parameters are members of args","status":400,"title":"Bad Request","type":"about:blank"}"#]]).await;
    for (uri, body) in [
        ("/invoke/json", r#"{"n":5}"#),
        ("/functions/json/invocations", r#"{"Params":{},"n":5}"#),
        ("/create", r#"{"Name":"f","Memory":5}"#),
        ("/update", r#"{"Name":"f","Memory":5}"#),
        ("/delete", r#"{"Name":"f","Force":true}"#),
        ("/prewarm", r#"{"Function":"json","Count":5}"#),
        (
            "/functions/json/flags",
            r#"{"Idempotent":true,"Cached":true}"#,
        ),
        (
            "/functions/json/rollback",
            r#"{"Version":"1","Force":true}"#,
        ),
    ] {
        assert_eq!(
            outcome(app.handle(post(uri, body)).await).await,
            "400 unknown_member",
            "{uri} {body}"
        );
    }
    assert!(handle.calls().is_empty() && handle.deploys().is_empty());
    let (lb, _) = balancer::app();
    assert_eq!(
        outcome(lb.handle(post("/invoke/json", r#"{"n":5}"#)).await).await,
        "400 unknown_member"
    );
}

#[tokio::test]
async fn a_slash_at_the_end_means_what_stands_before_it() {
    let (app, handle) = app();
    handle.hosting().run(application("shop"));
    for (method, uri) in [
        (Method::POST, "/invoke/json/"),
        (Method::POST, "/fn/json/"),
        (Method::POST, "/functions/json/invocations/"),
        (Method::POST, "/app/shop/call/"),
        (Method::GET, "/functions/"),
        (Method::GET, "/functions/json/?x=1"),
        (Method::GET, "/status/"),
        (Method::GET, "/healthz/"),
        (Method::GET, "/app/shop/up/"),
        (Method::GET, "/apps/"),
        (Method::GET, "/"),
    ] {
        let request = crate::support::request(&method, uri, Body::empty());
        let told = outcome(app.handle(request).await).await;
        assert!(told.starts_with('2'), "{uri}: {told}");
    }
    for uri in ["/invoke/json//", "/app/shop/call//"] {
        assert!(
            outcome(app.handle(post(uri, "")).await)
                .await
                .starts_with("404"),
            "{uri}"
        );
    }
    assert_eq!(
        outcome(app.handle(get("/nowhere/")).await).await,
        "404 route_unknown"
    );
    let (lb, _) = balancer::app();
    assert_eq!(outcome(lb.handle(get("/healthz/")).await).await, "200");
    assert_eq!(outcome(lb.handle(get("/readyz/")).await).await, "503");
}
