//! The rules for `Host` and for pages of other origins, on every route.

use axum::body::Body;
use http::{Method, Request};

use crate::support::{app, get, outcome, post, request, with};

const ALL: [(Method, &str); 17] = [
    (Method::GET, "/"),
    (Method::GET, "/healthz"),
    (Method::GET, "/readyz"),
    (Method::GET, "/openapi.json"),
    (Method::GET, "/docs/"),
    (Method::POST, "/create"),
    (Method::POST, "/update"),
    (Method::POST, "/delete"),
    (Method::POST, "/prewarm"),
    (Method::GET, "/function"),
    (Method::GET, "/functions"),
    (Method::GET, "/functions/json"),
    (Method::GET, "/status"),
    (Method::GET, "/metrics"),
    (Method::GET, "/poll/1"),
    (Method::POST, "/invoke/json"),
    (Method::GET, "/fn/json"),
];
/// So many of them are open to pages of other origins.
const OPEN: usize = 5;

fn to_host(method: &Method, uri: &str, host: &str) -> Request<Body> {
    Request::builder()
        .method(method)
        .uri(uri)
        .header("host", host)
        .body(Body::empty())
        .unwrap()
}

#[tokio::test]
async fn names_that_are_not_the_nodes_are_refused_everywhere() {
    let (app, handle) = app();
    for (method, uri) in &ALL {
        for (host, expected) in [
            ("evil.example", "421 host_unknown"),
            ("localhost.evil.example:1323", "421 host_unknown"),
            ("192.0.2.8", "421 host_unknown"),
            ("localhost:x", "400 no_host"),
        ] {
            let response = app.handle(to_host(method, uri, host)).await;
            assert_eq!(
                outcome(response).await,
                expected,
                "{method} {uri} on {host}"
            );
        }
    }
    assert_eq!(handle.counts().begun, 0);
    assert!(handle.deploys().is_empty());
}

#[tokio::test]
async fn the_nodes_own_names_are_answered() {
    let (app, _) = app();
    for host in [
        "localhost",
        "LocalHost:1323",
        "127.0.0.1:1323",
        "127.1.2.3",
        "[::1]:1323",
        "edge.example",
        "EDGE.example:80",
    ] {
        assert_eq!(
            outcome(app.handle(to_host(&Method::GET, "/fn/json", host)).await).await,
            "200",
            "{host}"
        );
    }
    // The absolute form names the host itself (RFC 9112 §3.2.2).
    let absolute = |uri: &str, host: &str| {
        let request = Request::builder()
            .uri(uri)
            .header("host", host)
            .body(Body::empty())
            .unwrap();
        app.handle(request)
    };
    assert_eq!(
        outcome(absolute("http://localhost/fn/json", "evil.example").await).await,
        "200"
    );
    assert_eq!(
        outcome(absolute("http://evil.example/fn/json", "localhost").await).await,
        "421 host_unknown"
    );
}

#[tokio::test]
async fn one_host_header_is_needed() {
    let (app, _) = app();
    let none = Request::builder()
        .uri("/fn/json")
        .body(Body::empty())
        .unwrap();
    assert_eq!(outcome(app.handle(none).await).await, "400 no_host");
    let two = with(get("/fn/json"), &[("host", "localhost:1323")]);
    assert_eq!(outcome(app.handle(two).await).await, "400 no_host");
}

/// Plays the hostile page.
#[tokio::test]
async fn pages_of_other_origins_run_and_change_nothing() {
    let (app, handle) = app();
    let hostile: [&[(&'static str, &str)]; 8] = [
        &[("sec-fetch-site", "cross-site")],
        &[("sec-fetch-site", "same-site")],
        &[("sec-fetch-site", "CROSS-SITE")],
        &[("origin", "http://evil.example")],
        &[("origin", "null")],
        &[("origin", "http://localhost:8080")],
        &[("origin", "http://localhost:1323.evil.example")],
        &[
            ("sec-fetch-site", "same-origin"),
            ("origin", "http://evil.example"),
        ],
    ];
    for (index, (method, uri)) in ALL.iter().enumerate() {
        for headers in hostile {
            let response = app.handle(with(request(method, uri, "{}"), headers)).await;
            let outcome = outcome(response).await;
            if index < OPEN {
                assert!(
                    outcome.starts_with("200") || outcome.starts_with("30"),
                    "{method} {uri} {headers:?}: {outcome}"
                );
            } else {
                assert_eq!(outcome, "403 cross_origin", "{method} {uri} {headers:?}");
            }
        }
    }
    assert_eq!(handle.counts().begun, 0);
    assert!(handle.deploys().is_empty() && handle.prewarms().is_empty());
}

/// A second value of a header is not a way round.
#[tokio::test]
async fn repeated_headers_are_no_way_round() {
    let (app, handle) = app();
    for headers in [
        [
            ("sec-fetch-site", "same-origin"),
            ("sec-fetch-site", "cross-site"),
        ],
        [
            ("origin", "http://localhost:1323"),
            ("origin", "http://evil.example"),
        ],
    ] {
        let response = app.handle(with(post("/invoke/json", ""), &headers)).await;
        assert_eq!(outcome(response).await, "403 cross_origin", "{headers:?}");
    }
    assert_eq!(handle.counts().begun, 0);
}

#[tokio::test]
async fn the_nodes_own_pages_may_ask() {
    let (app, _) = app();
    let own: [&[(&'static str, &str)]; 4] = [
        &[],
        &[("sec-fetch-site", "none")],
        &[
            ("sec-fetch-site", "same-origin"),
            ("origin", "http://localhost:1323"),
        ],
        &[("origin", "http://LOCALHOST:1323")],
    ];
    for headers in own {
        assert_eq!(
            outcome(app.handle(with(post("/invoke/json", ""), headers)).await).await,
            "200",
            "{headers:?}"
        );
    }
}

/// A preflight asks for leave to send what the rules above refuse; it must not get it.
#[tokio::test]
async fn preflights_get_no_leave() {
    let (app, _) = app();
    for uri in [
        "/invoke/json",
        "/fn/json",
        "/fn/http",
        "/create",
        "/functions",
    ] {
        let asked = [
            ("origin", "http://evil.example"),
            ("access-control-request-method", "POST"),
        ];
        let response = app
            .handle(with(request(&Method::OPTIONS, uri, ""), &asked))
            .await;
        assert!(!response.status().is_success(), "{uri}");
        assert!(
            response
                .headers()
                .keys()
                .all(|name| !name.as_str().starts_with("access-control")),
            "{uri}"
        );
    }
}
