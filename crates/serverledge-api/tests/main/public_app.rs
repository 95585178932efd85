//! Running applications by path and by host name: the request form that carries a cache, hostile requests, hostile
//! pages, hostile answers.

use std::collections::HashMap;

use axum::body::Body;
use bytes::Bytes;
use http::{Method, Request, Response};
use http_body_util::BodyExt as _;
use serde_json::{Value, json};
use serverledge_api::{Access, App, EdgeKind, OriginPolicy};
use serverledge_core::{
    CacheEntry, CacheMetadata, Cors, FailureKind, FunctionFailure, FunctionName, HttpBody,
    InvocationError, OverloadReason, Payload, Reply, Report,
};

use crate::backend::{FakeBackend, Handle, report};
use crate::running_apps::application;
use crate::support::{
    LIMITS, app, get, json as body_of, outcome, post, request, roomy_app, text, with,
};

const A4_B5: &[u8] = br#"{"a":4,"b":5}"#;

fn hosted(request: Request<Body>, host: &str) -> Request<Body> {
    let mut request = request;
    request.headers_mut().insert("host", host.parse().unwrap());
    request
}

fn entry(function: &str, params: &'static str, result: &'static str, nested: bool) -> CacheEntry {
    let function = FunctionName::parse(function).unwrap();
    let params = Bytes::from_static(params.as_bytes());
    let result = Bytes::from_static(result.as_bytes());
    CacheEntry {
        function,
        params,
        result,
        tag: "tag".to_owned(),
        nested,
    }
}

fn with_entries(result: &'static str, entries: Vec<CacheEntry>) -> Report {
    Report {
        memo: CacheMetadata {
            entries,
            ..CacheMetadata::default()
        },
        ..report(result, "")
    }
}

fn answering(response: Response<&'static str>) -> Report {
    let response = response.map(|body| -> HttpBody {
        Box::pin(
            http_body_util::Full::from(body)
                .map_err(|never: std::convert::Infallible| match never {}),
        )
    });
    Report {
        reply: Reply::Http(Box::new(response)),
        ..report("1", "")
    }
}

fn params(handle: &Handle) -> String {
    match &handle.calls().pop().unwrap().call.payload {
        Payload::Json(params) => String::from_utf8(params.to_vec()).unwrap(),
        Payload::Http(request) => panic!("{} {} is no JSON", request.method(), request.uri()),
    }
}

/// The answer without what proves its cache.
async fn without_tags(response: Response<Body>) -> Value {
    let mut answer = body_of(response).await;
    answer["cache"].as_object_mut().unwrap().remove("$tags");
    answer
}

#[tokio::test]
async fn the_worked_example_of_a_client_cache() {
    let (app, handle) = app();
    let shop = application("shop");
    let space = shop.space.clone();
    handle.hosting().run(shop);
    handle.invoke(Ok(with_entries(
        r#"{"out":54}"#,
        vec![entry(
            "outer-function",
            r#"{"a":4,"b":5,"c":6}"#,
            r#"{"out":54}"#,
            false,
        )],
    )));
    let asked = r#"{"args":{"a":4,"b":5,"c":6},"edgeResults":{"inner-function":{"eyJhIjo0LCJiIjo1fQ==":{"result":9}}}}"#;
    let answer = without_tags(app.handle(post("/app/shop/call", asked)).await).await;
    let expected = r#"{"result":{"out":54},"cache":{"outer-function":{"eyJhIjo0LCJiIjo1LCJjIjo2fQ==":{"out":54}}}}"#;
    assert_eq!(answer, serde_json::from_str::<Value>(expected).unwrap());
    let call = handle.calls().pop().unwrap();
    assert_eq!(
        (
            call.call.function.as_str(),
            call.caller.space,
            call.caller.account
        ),
        ("json", space, None)
    );
    let Payload::Json(given) = call.call.payload else {
        panic!("the parameters are JSON")
    };
    assert_eq!(given, r#"{"a":4,"b":5,"c":6}"#);
    let client_cache = call.call.context.client_cache.unwrap();
    let inner = &client_cache.edge[&FunctionName::parse("inner-function").unwrap()];
    assert_eq!(inner.keys().collect::<Vec<_>>(), [A4_B5]);
    assert_eq!(
        (&inner[A4_B5].result[..], client_cache.cache.len()),
        (&br#"{"result":9}"#[..], 0)
    );
}

#[tokio::test]
async fn entries_of_nested_calls_are_handed_out_only_where_the_owner_says_so() {
    let (app, handle) = app();
    for (hands_out_nested, expected) in [(true, 2), (false, 1)] {
        handle.hosting().run(serverledge_core::Application {
            hands_out_nested,
            ..application("shop")
        });
        handle.invoke(Ok(with_entries(
            "1",
            vec![
                entry("f", "{}", "1", false),
                entry("inner", "{}", "2", true),
            ],
        )));
        let response = app
            .handle(hosted(post("/call", "{}"), "shop.localhost:1323"))
            .await;
        let answer = text(response).await;
        assert_eq!(answer.contains("inner"), hands_out_nested, "{answer}");
        let answer: HashMap<String, Value> = serde_json::from_str(&answer).unwrap();
        let functions = answer["cache"]
            .as_object()
            .unwrap()
            .keys()
            .filter(|name| *name != "$tags")
            .count();
        assert_eq!(functions, expected);
    }
}

#[tokio::test]
async fn an_application_is_up_or_not_running() {
    let (app, handle) = app();
    handle.hosting().run(application("shop"));
    for (host, uri) in [
        ("localhost", "/app/shop/up"),
        ("shop.localhost:1323", "/up"),
        ("SHOP.LOCALHOST.", "/up"),
    ] {
        let response = app.handle(hosted(get(uri), host)).await;
        assert_eq!(text(response).await, r#"{"status":"up"}"#, "{host}{uri}");
    }
    // One and the same answer, whatever the reason.
    let mut answers = Vec::new();
    for (host, uri) in [
        ("localhost", "/app/nobody/up"),
        ("localhost", "/app/Shop/up"),
        ("localhost", "/app/__proto__/call"),
        ("nobody.localhost", "/up"),
        ("constructor.localhost", "/"),
    ] {
        let response = app
            .handle(with(hosted(get(uri), host), &[("x-request-id", "same")]))
            .await;
        assert_eq!(response.status(), 404, "{host}{uri}");
        answers.push(text(response).await);
    }
    answers.dedup();
    assert_eq!(answers.len(), 1, "{answers:?}");
    assert!(
        answers[0].contains("application_not_running"),
        "{}",
        answers[0]
    );
    handle.hosting().unprepare();
    let response = app.handle(get("/app/shop/up")).await;
    assert_eq!(response.headers()["retry-after"], "1");
    assert_eq!(outcome(response).await, "503 application_starting");
    assert_eq!(
        outcome(app.handle(post("/app/shop/up", "")).await).await,
        "405 method_not_allowed"
    );
}

#[tokio::test]
async fn paths_have_no_second_reading() {
    let (app, handle) = app();
    handle.hosting().run(application("shop"));
    for (uri, expected) in [
        ("/app/shop/../shop/call", "404 endpoint_unknown"),
        ("/app/shop/./call", "404 endpoint_unknown"),
        ("/app/shop/%63all", "404 endpoint_unknown"),
        ("/app/shop/deep%2fpage", "404 endpoint_unknown"),
        ("/app/shop/%2e%2e/call", "404 endpoint_unknown"),
        ("/app/shop//call", "404 endpoint_unknown"),
        ("/app/shop/call//", "404 endpoint_unknown"),
        ("/app/shop", "404 endpoint_unknown"),
        ("/app/shop/", "404 endpoint_unknown"),
        ("/app/shop/CALL", "404 endpoint_unknown"),
        ("/app/%73hop/call", "404 application_not_running"),
        ("/app/shop%2fcall", "404 application_not_running"),
        ("/app/../shop/call", "404 application_not_running"),
        ("/app//shop/call", "404 application_not_running"),
        ("/app/shop%00/call", "404 application_not_running"),
        ("/app", "404 route_unknown"),
        ("/app/shop/deep/page", "405 method_not_allowed"),
    ] {
        assert_eq!(
            outcome(app.handle(post(uri, "{}")).await).await,
            expected,
            "{uri}"
        );
    }
    // On its own host name an application has all paths: the node's routes are not there.
    for uri in [
        "/create",
        "/functions",
        "/status",
        "/app/shop/call",
        "/apps/shop/stop",
        "/invoke/json",
        "/fn/json",
        "/",
    ] {
        let response = app.handle(hosted(post(uri, "{}"), "shop.localhost")).await;
        assert_eq!(outcome(response).await, "404 endpoint_unknown", "{uri}");
    }
    assert_eq!(
        outcome(app.handle(hosted(get("/up"), "a.shop.localhost")).await).await,
        "421 host_unknown"
    );
    assert_eq!(
        outcome(
            app.handle(hosted(get("/app/shop/up"), "evil.example"))
                .await
        )
        .await,
        "421 host_unknown"
    );
    let response = app
        .handle(request(&Method::DELETE, "/app/shop/deep/page", ""))
        .await;
    assert_eq!(response.headers()["allow"], "GET");
    assert_eq!(handle.counts().begun, 0);
}

#[tokio::test]
async fn malformed_bodies_are_refused() {
    let (app, handle) = app();
    handle.hosting().run(application("shop"));
    let deep = |open: &str, close: &str| format!("{}1{}", open.repeat(450), close.repeat(450));
    for body in [
        "{".to_owned(),
        "[]".to_owned(),
        r#"{"args":{},"cache":7}"#.to_owned(),
        r#"{"args":{},"edgeResults":{"f":7}}"#.to_owned(),
        format!(r#"{{"edgeResults":{}}}"#, deep("[", "]")),
    ] {
        let told = outcome(app.handle(post("/app/shop/call", body.clone())).await).await;
        assert!(told.starts_with("400 "), "{body}: {told}");
    }
    assert_eq!(handle.counts().begun, 0);
    let large = format!(r#"{{"args":"{}"}}"#, "x".repeat(1000));
    assert_eq!(
        outcome(app.handle(post("/app/shop/call", large)).await).await,
        "413 body_too_large"
    );
}

/// However deep the JSON, it is an answer with a code and no end of the stack; so it is for test runs.
#[tokio::test]
async fn deep_json_is_refused() {
    let (app, handle) = roomy_app();
    handle.hosting().run(application("shop"));
    for (open, close) in [("[", "]"), (r#"{"a":"#, "}")] {
        let deep = format!("{}1{}", open.repeat(10_000), close.repeat(10_000));
        for body in [
            format!(r#"{{"args":{deep}}}"#),
            format!(r#"{{"edgeResults":{deep}}}"#),
            format!(r#"{{"args":{{}},"cache":{{"f":{{"e30=":{deep}}}}}}}"#),
            format!(r#"{{"other":{deep}}}"#),
            deep.clone(),
        ] {
            for uri in ["/app/shop/call", "/apps/shop/test", "/app/shop/edge"] {
                let told = outcome(app.handle(post(uri, body.clone())).await).await;
                // What stands under a name that means nothing is not read.
                let unknown = body.starts_with(r#"{"other""#) || body.starts_with(r#"{"a""#);
                let ignored = unknown && uri != "/app/shop/edge";
                assert!(
                    told.starts_with("400 ") || ignored,
                    "{uri} {}: {told}",
                    &body[..20]
                );
            }
        }
    }
}

#[tokio::test]
async fn parameters_come_from_the_body_or_the_query() {
    let (app, handle) = app();
    handle.hosting().run(application("shop"));
    for (method, uri, body, expected) in [
        (
            Method::POST,
            "/app/shop/call",
            r#"{"args": [1, 2.0]}"#,
            "[1, 2.0]",
        ),
        (Method::POST, "/app/shop/call", "{}", "{}"),
        (Method::POST, "/app/shop/call", "", "{}"),
        (
            Method::GET,
            "/app/shop/deep/page?n=3&q=x",
            "",
            r#"{"n":3,"q":"x"}"#,
        ),
        (Method::HEAD, "/app/shop/deep/page", "", "{}"),
    ] {
        assert_eq!(
            outcome(app.handle(request(&method, uri, body)).await).await,
            "200",
            "{method} {uri}"
        );
        assert_eq!(params(&handle), expected, "{method} {uri}");
    }
}

#[tokio::test]
async fn failures_say_whose_they_are_and_show_no_log_to_visitors() {
    let (app, handle) = app();
    handle.hosting().run(application("shop"));
    let failure = FunctionFailure {
        kind: FailureKind::Error,
        message: "no such item".to_owned(),
        stack: Some("at secret.js:1".to_owned()),
        log: Bytes::from_static(b"the password is hunter2"),
        stale: false,
    };
    handle.invoke(Err(InvocationError::Function(failure)));
    let response = app.handle(post("/app/shop/call", "{}")).await;
    assert_eq!(
        response.headers()["content-security-policy"],
        "sandbox allow-scripts"
    );
    let problem = text(response).await;
    assert!(
        problem.contains("function_error") && problem.contains("no such item"),
        "{problem}"
    );
    assert!(
        !problem.contains("hunter2") && !problem.contains("secret.js"),
        "{problem}"
    );
    let retry_after = std::time::Duration::from_secs(2);
    for (reason, expected) in [
        (OverloadReason::QueueFull, "429 queue_full"),
        (OverloadReason::Draining, "503 draining"),
    ] {
        handle.invoke(Err(InvocationError::Overloaded {
            reason,
            retry_after,
        }));
        let response = app.handle(post("/app/shop/call", "{}")).await;
        assert_eq!(response.headers()["retry-after"], "2");
        assert_eq!(outcome(response).await, expected);
    }
}

/// Name and value of each header that begins with `access-control-`.
fn cors_of(response: &Response<Body>) -> Vec<String> {
    let headers = response
        .headers()
        .iter()
        .filter(|(name, _)| name.as_str().starts_with("access-control-"));
    let mut all: Vec<String> = headers
        .map(|(name, value)| format!("{name}: {}", value.to_str().unwrap()))
        .collect();
    all.sort_unstable();
    all
}

#[tokio::test]
async fn the_owner_says_which_pages_may_ask() {
    const FOREIGN: [(&str, &str); 2] = [
        ("origin", "https://page.example"),
        ("sec-fetch-site", "cross-site"),
    ];
    let (app, handle) = app();
    let listed = Cors::Origins(vec!["https://page.example".to_owned()]);
    let other = Cors::Origins(vec!["https://other.example".to_owned()]);
    for (cors, status, origin) in [
        (Cors::Closed, 403, None),
        (other, 403, None),
        (listed, 200, Some("https://page.example")),
        (Cors::Any, 200, Some("*")),
    ] {
        let told = format!("{cors:?}");
        handle.hosting().run(serverledge_core::Application {
            cors,
            ..application("shop")
        });
        let response = app
            .handle(with(post("/app/shop/call", "{}"), &FOREIGN))
            .await;
        assert_eq!(response.status(), status, "{told}");
        let given = response
            .headers()
            .get("access-control-allow-origin")
            .map(|value| value.to_str().unwrap());
        assert_eq!(given, origin, "{told}");
        assert!(
            !cors_of(&response)
                .iter()
                .any(|header| header.contains("credentials")),
            "{told}"
        );
        assert_eq!(
            outcome(
                app.handle(with(
                    post("/app/shop/edge", r#"{"functions":[]}"#),
                    &FOREIGN
                ))
                .await
            )
            .await,
            if status == 200 {
                "200"
            } else {
                "403 cross_origin"
            },
            "{told}"
        );
        let preflight = with(
            request(&Method::OPTIONS, "/app/shop/call", ""),
            &[
                FOREIGN[0],
                ("access-control-request-method", "POST"),
                ("access-control-request-headers", "content-type"),
            ],
        );
        let response = app.handle(preflight).await;
        assert_eq!(response.status(), 204, "{told}");
        let allowed = [
            "access-control-allow-headers: content-type",
            "access-control-allow-methods: POST",
        ];
        assert_eq!(
            cors_of(&response)
                .iter()
                .filter(|one| allowed.contains(&one.as_str()))
                .count(),
            if origin.is_some() { 2 } else { 0 }
        );
        // Whoever is no foreign page, or follows a link, is always served.
        for headers in [
            &[][..],
            &[
                ("origin", "http://localhost:1323"),
                ("sec-fetch-site", "same-origin"),
            ],
        ] {
            assert_eq!(
                outcome(
                    app.handle(with(post("/app/shop/call", "{}"), headers))
                        .await
                )
                .await,
                "200",
                "{told}"
            );
        }
        let link = [
            ("sec-fetch-site", "cross-site"),
            ("sec-fetch-mode", "navigate"),
            ("sec-fetch-dest", "document"),
        ];
        assert_eq!(
            outcome(app.handle(with(get("/app/shop/deep/page"), &link)).await).await,
            "200",
            "{told}"
        );
    }
}

#[tokio::test]
async fn no_page_of_another_origin_runs_what_is_closed_to_it() {
    let (app, handle) = app();
    handle.hosting().run(application("shop"));
    // An image, a frame, a form.
    for (mode, dest) in [("no-cors", "image"), ("navigate", "iframe")] {
        let headers = [
            ("sec-fetch-site", "cross-site"),
            ("sec-fetch-mode", mode),
            ("sec-fetch-dest", dest),
        ];
        let response = app.handle(with(get("/app/shop/deep/page"), &headers)).await;
        assert_eq!(outcome(response).await, "403 cross_origin", "{mode} {dest}");
    }
    let form = [
        ("origin", "null"),
        ("sec-fetch-mode", "navigate"),
        ("sec-fetch-dest", "document"),
    ];
    assert_eq!(
        outcome(app.handle(with(post("/app/shop/call", "{}"), &form)).await).await,
        "403 cross_origin"
    );
    assert!(handle.calls().is_empty());
    // Another user's application is no less foreign.
    let neighbour = [
        ("origin", "http://evil.localhost:1323"),
        ("sec-fetch-site", "same-site"),
    ];
    let to = |request| with(hosted(request, "shop.localhost:1323"), &neighbour);
    assert_eq!(
        outcome(app.handle(to(post("/call", "{}"))).await).await,
        "403 cross_origin"
    );
    assert_eq!(
        outcome(app.handle(with(post("/create", "{}"), &neighbour)).await).await,
        "403 cross_origin"
    );
}

#[tokio::test]
async fn http_functions_are_endpoints_and_stay_hostile() {
    let (app, handle) = app();
    let hostile = || {
        let response = Response::builder()
            .header("set-cookie", "a=1")
            .header("access-control-allow-origin", "*")
            .header("clear-site-data", "\"cookies\"")
            .header("x-own", "kept");
        answering(response.body("<script>").unwrap())
    };
    for (own_origin, own_host, expected) in [
        (false, false, ""),
        (true, false, ""),
        (false, true, ""),
        (true, true, "a=1"),
    ] {
        handle.hosting().run(serverledge_core::Application {
            own_origin,
            ..application("shop")
        });
        handle.invoke(Ok(hostile()));
        let asked = if own_host {
            hosted(get("/page?q=1"), "shop.localhost")
        } else {
            get("/app/shop/page?q=1")
        };
        let asked = with(
            asked,
            &[
                ("cookie", "serverledge_session=s; mine=1"),
                ("authorization", "Bearer slt_secret"),
            ],
        );
        let response = app.handle(asked).await;
        let headers = response.headers();
        let cookie = headers
            .get("set-cookie")
            .map_or("", |value| value.to_str().unwrap());
        assert_eq!(
            (cookie, headers["x-own"].to_str().unwrap()),
            (expected, "kept")
        );
        assert_eq!(
            headers.contains_key("content-security-policy"),
            !(own_origin && own_host)
        );
        assert!(!headers.contains_key("clear-site-data"));
        assert_eq!(headers["x-content-type-options"], "nosniff");
        let Payload::Http(seen) = handle.calls().pop().unwrap().call.payload else {
            panic!("the request itself")
        };
        assert_eq!(seen.uri().to_string(), "/page?q=1");
        assert_eq!(seen.headers()["cookie"], "mine=1");
        assert!(!seen.headers().contains_key("authorization"));
    }
}

/// A page with an origin could set a cookie for all names below a shared domain, the node's among them.
#[tokio::test]
async fn an_origin_is_given_back_only_where_it_cannot_reach_the_nodes_cookies() {
    for (domain, secure_cookies, trusted) in [
        ("localhost", false, true),
        ("apps.example", false, false),
        ("apps.example", true, true),
    ] {
        let (backend, handle) = FakeBackend::node();
        let guard = OriginPolicy::new("127.0.0.1".parse().unwrap(), Vec::new()).domain(domain);
        let access = Access {
            secure_cookies,
            ..Access::open()
        };
        let app = App::new(backend, guard, access, LIMITS);
        handle.hosting().run(serverledge_core::Application {
            own_origin: true,
            ..application("shop")
        });
        let page = Response::builder()
            .header("set-cookie", "a=1")
            .body("<script>")
            .unwrap();
        handle.invoke(Ok(answering(page)));
        let response = app
            .handle(hosted(get("/page"), &format!("shop.{domain}")))
            .await;
        let headers = response.headers();
        assert_eq!(
            headers.contains_key("content-security-policy"),
            !trusted,
            "{domain} {secure_cookies}"
        );
        assert_eq!(
            headers.contains_key("set-cookie"),
            trusted,
            "{domain} {secure_cookies}"
        );
    }
}

#[tokio::test]
async fn code_is_given_only_for_functions_of_the_edge() {
    let (app, handle) = app();
    handle.hosting().run(application("shop"));
    handle
        .hosting()
        .edge("inner", EdgeKind::JavaScript, "async (args) => 1", "");
    handle.hosting().edge("wasm", EdgeKind::Wasm, "\0asm", "");
    let answer = body_of(
        app.handle(post("/app/shop/edge", r#"{"functions":["inner","wasm"]}"#))
            .await,
    )
    .await;
    let expected = json!({
        "inner": {"application": "//localhost:1323/app/shop", "code": "async (args) => 1", "idempotent": true},
        "wasm": {"application": "//localhost:1323/app/shop", "code": "AGFzbQ==", "idempotent": true, "kind": "wasm"},
    });
    assert_eq!(answer["functions"], expected);
    assert!(
        answer["runEdgeFunction"]
            .as_str()
            .unwrap()
            .contains("async function runEdgeFunction(name, functions, args)")
    );
    for name in ["json", "nobody", "__proto__", "../inner", ""] {
        let asked = json!({"functions": ["inner", name]}).to_string();
        let problem = text(app.handle(post("/app/shop/edge", asked)).await).await;
        assert!(
            problem.contains("not_edge") && !problem.contains("async"),
            "{problem}"
        );
        assert!(name.is_empty() || !problem.contains(name), "{problem}");
    }
    for (body, expected) in [
        ("", "400 malformed_json"),
        ("[]", "200"),
        ("{}", "400 malformed_json"),
        (r#"{"functions":"inner"}"#, "400 malformed_json"),
    ] {
        let told = outcome(app.handle(post("/app/shop/edge", body)).await).await;
        assert!(told == expected || body == "[]", "{body}: {told}");
    }
    let many = json!({"functions": vec!["inner"; 51]}).to_string();
    assert_eq!(
        outcome(app.handle(post("/app/shop/edge", many)).await).await,
        "400 too_many_functions"
    );
    assert_eq!(
        outcome(app.handle(get("/app/shop/edge")).await).await,
        "405 method_not_allowed"
    );
}
