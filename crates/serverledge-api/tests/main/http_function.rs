//! `/fn`: functions as plain HTTP, and the rules for what they see and what they return.

use std::sync::Arc;

use axum::body::Body;
use http::{Method, Response};
use http_body_util::BodyExt as _;
use serverledge_core::{
    HttpBody, Interface, Payload, ProgramIo, Reply, Report, RequestParams, Role, Scopes, Stdin,
    Stdout, Version,
};

use crate::backend::{Handle, function, report};
use crate::support::{
    app, app_over_tls, app_with_accounts, empty, get, outcome, pieces, post, request, text, with,
};

fn params(handle: &Handle) -> String {
    match &handle.calls().pop().unwrap().call.payload {
        Payload::Json(params) => String::from_utf8(params.to_vec()).unwrap(),
        Payload::Http(request) => panic!("{} {} is no JSON", request.method(), request.uri()),
    }
}

pub(crate) fn seen(handle: &Handle) -> http::Request<HttpBody> {
    match handle.calls().pop().unwrap().call.payload {
        Payload::Http(request) => *request,
        Payload::Json(params) => panic!("{params:?} is no HTTP request"),
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

#[tokio::test]
async fn parameters_are_the_body_or_the_query() {
    let (app, handle) = app();
    for (method, uri, body, expected) in [
        (Method::GET, "/fn/json", "", "{}"),
        (Method::GET, "/fn/json/", "", "{}"),
        (
            Method::GET,
            "/fn/json?a=1&b=x&b=true",
            "",
            r#"{"a":1,"b":["x",true]}"#,
        ),
        (
            Method::GET,
            "/fn/json?a=%7B%22%C3%B6%22%3A1%7D&%20=+",
            "",
            r#"{" ":" ","a":"{\"ö\":1}"}"#,
        ),
        (Method::HEAD, "/fn/json?a=1", "", r#"{"a":1}"#),
        (Method::POST, "/fn/json?a=1", "", r#"{"a":1}"#),
        (Method::POST, "/fn/json?a=1", " \n", r#"{"a":1}"#),
        (
            Method::POST,
            "/fn/json?a=1",
            " {\"b\" : 2.0} ",
            "{\"b\" : 2.0}",
        ),
        (Method::PUT, "/fn/json", "null", "null"),
        (Method::PATCH, "/fn/json", "\"text\"", "\"text\""),
        (
            Method::DELETE,
            "/fn/json",
            "12345678901234567890123",
            "12345678901234567890123",
        ),
        (Method::POST, "/fn/j%73on/deeper/path", "[1]", "[1]"),
    ] {
        let response = app.handle(request(&method, uri, body)).await;
        assert_eq!(
            (
                response.status().as_u16(),
                &response.headers()["content-type"]
            ),
            (200, &"application/json".parse().unwrap())
        );
        assert_eq!(params(&handle), expected, "{method} {uri} {body}");
    }
    assert_eq!(
        outcome(
            app.handle(post("/fn/json", pieces(&["[1", ",2", "]"])))
                .await
        )
        .await,
        "200"
    );
    assert_eq!(params(&handle), "[1,2]");
}

/// A number of a query that JSON's readers would round is not changed on the way.
#[tokio::test]
async fn numbers_of_a_query_keep_their_value() {
    let (app, handle) = app();
    for (query, expected) in [
        ("n=1", r#"{"n":1}"#),
        ("n=-2.5", r#"{"n":-2.5}"#),
        ("n=007", r#"{"n":"007"}"#),
        ("n=1e999", r#"{"n":"1e999"}"#),
        ("n=9007199254740992", r#"{"n":9007199254740992}"#),
        ("n=18446744073709551615", r#"{"n":"18446744073709551615"}"#),
    ] {
        app.handle(get(&format!("/fn/json?{query}"))).await;
        assert_eq!(params(&handle), expected, "{query}");
    }
    app.handle(get("/fn/json?n=12345678901234567890123")).await;
    let given = params(&handle);
    assert!(
        given.contains("12345678901234567890123"),
        "an id became another number: {given}"
    );
}

#[tokio::test]
async fn the_result_is_the_body() {
    let (app, handle) = app();
    handle.invoke(Ok(report("{\"a\": 1}", "a log")));
    let response = app.handle(post("/fn/json", "1")).await;
    let headers = response.headers().clone();
    assert_eq!(text(response).await, "{\"a\": 1}");
    assert_eq!(
        headers["server-timing"],
        "queue;dur=1.500, start;dur=0.250, exec;dur=20.000, total;dur=21.750"
    );
    assert_eq!(headers["content-security-policy"], "sandbox allow-scripts");
    assert_eq!(headers["x-content-type-options"], "nosniff");
}

#[tokio::test]
async fn what_is_no_json_is_refused() {
    let (app, handle) = app();
    for body in ["{", "1 2", "hello", "{\"a\":1,}", "a=1&b=2"] {
        assert_eq!(
            outcome(app.handle(post("/fn/json", body)).await).await,
            "400 malformed_json",
            "{body}"
        );
    }
    assert_eq!(
        outcome(
            app.handle(post("/fn/json", Body::from(&b"\"\xff\""[..])))
                .await
        )
        .await,
        "415 charset_unknown"
    );
    let response = app.handle(request(&Method::OPTIONS, "/fn/json", "")).await;
    assert_eq!(
        response.headers()["allow"],
        "GET, HEAD, POST, PUT, PATCH, DELETE"
    );
    assert_eq!(outcome(response).await, "405 method_not_allowed");
    for uri in ["/fn/nobody", "/fn/", "/fn//json", "/fn/%2e%2e", "/fn/a%2fb"] {
        assert_eq!(
            outcome(app.handle(get(uri)).await).await,
            "404 function_unknown",
            "{uri}"
        );
    }
    assert_eq!(
        outcome(app.handle(get("/fn")).await).await,
        "404 route_unknown"
    );
    assert_eq!(handle.counts().begun, 0);
}

#[tokio::test]
async fn an_http_function_gets_the_request_itself() {
    let (app, handle) = app();
    for (uri, own) in [
        ("/fn/http", "/"),
        ("/fn/http/", "/"),
        ("/fn/http?", "/?"),
        ("/fn/http/a%2Fb/../c?x=1&x=%20", "/a%2Fb/../c?x=1&x=%20"),
        ("/fn/h%74tp//x", "//x"),
    ] {
        for method in [
            Method::GET,
            Method::POST,
            Method::OPTIONS,
            Method::from_bytes(b"PROPFIND").unwrap(),
        ] {
            let response = app.handle(request(&method, uri, "a body")).await;
            assert_eq!(response.status(), 200, "{method} {uri}");
            assert_eq!(text(response).await, "a body");
            let seen = seen(&handle);
            assert_eq!(
                (seen.method(), seen.uri().to_string().as_str()),
                (&method, own)
            );
        }
    }
}

/// The scheme is no part of a request in HTTP/1.1: whoever took it says so.
#[tokio::test]
async fn an_http_function_is_told_of_tls() {
    for ((app, handle), expected) in [
        (app(), None),
        (app_over_tls(), Some(http::uri::Scheme::HTTPS)),
    ] {
        app.handle(get("/fn/http/where")).await;
        assert_eq!(
            seen(&handle).extensions().get::<http::uri::Scheme>(),
            expected.as_ref()
        );
    }
}

/// The node's own cookies and tokens, and the headers of this connection, stay here.
#[tokio::test]
async fn functions_see_no_secrets() {
    let (app, handle, accounts) = app_with_accounts(false, false);
    accounts.add("ada@example.org", "correct horse", Role::User);
    let token = format!(
        "Bearer {}",
        accounts.add_token("ada@example.org", Scopes::ALL)
    );
    let sent = with(
        get("/fn/http"),
        &[
            ("cookie", "a=1; serverledge_session=s; b=2"),
            ("cookie", "__Host-serverledge=t"),
            ("authorization", token.as_str()),
            ("proxy-authorization", "Basic c2VjcmV0"),
            ("connection", "keep-alive, x-mine"),
            ("te", "trailers"),
            ("upgrade", "h2c"),
            ("x-mine", "1"),
            ("x-own", "1"),
        ],
    );
    app.handle(sent).await;
    let seen = seen(&handle);
    let names: Vec<&str> = seen
        .headers()
        .keys()
        .map(http::HeaderName::as_str)
        .collect();
    assert_eq!(seen.headers()["cookie"], "a=1; b=2");
    for gone in [
        "authorization",
        "proxy-authorization",
        "connection",
        "te",
        "upgrade",
    ] {
        assert!(!names.contains(&gone), "{gone} in {names:?}");
    }
    assert!(names.contains(&"x-own"), "{names:?}");
    assert!(seen.extensions().is_empty());
}

#[tokio::test]
async fn secrets_are_found_in_any_spelling() {
    let (app, handle, accounts) = app_with_accounts(false, false);
    accounts.add("ada@example.org", "correct horse", Role::User);
    let token = accounts.add_token("ada@example.org", Scopes::ALL);
    for scheme in ["bearer ", "BEARER ", "Bearer  "] {
        let token = format!("{scheme}{token}");
        app.handle(with(get("/fn/http"), &[("authorization", &token)]))
            .await;
        assert!(
            !seen(&handle).headers().contains_key("authorization"),
            "schemes have no case (RFC 9110 §11.1): {token}"
        );
    }
    // A second value is not a way round.
    let bearer = format!("Bearer {token}");
    let two = [
        ("authorization", "Basic YTpi"),
        ("authorization", bearer.as_str()),
    ];
    app.handle(with(get("/fn/http"), &two)).await;
    let seen = seen(&handle);
    let left: Vec<_> = seen.headers().get_all("authorization").iter().collect();
    assert!(
        left.iter()
            .all(|value| !value.to_str().unwrap().contains("slt_")),
        "{left:?}"
    );
}

/// Headers that the `Connection` header names are of this connection too (RFC 9110 §7.6.1).
#[tokio::test]
async fn headers_named_by_connection_stay_here() {
    let (app, handle) = app();
    app.handle(with(
        get("/fn/http"),
        &[("connection", "close, x-hop"), ("x-hop", "1")],
    ))
    .await;
    assert!(!seen(&handle).headers().contains_key("x-hop"));
}

#[tokio::test]
async fn a_token_of_another_service_goes_in() {
    let (app, handle) = app();
    app.handle(with(
        get("/fn/http"),
        &[
            ("authorization", "Bearer other"),
            ("cookie", "x=serverledge_session"),
        ],
    ))
    .await;
    let seen = seen(&handle);
    assert_eq!(seen.headers()["authorization"], "Bearer other");
    assert_eq!(seen.headers()["cookie"], "x=serverledge_session");
}

#[tokio::test]
async fn what_a_function_returns_cannot_touch_the_node() {
    let (app, handle) = app();
    let hostile = [
        ("set-cookie", "serverledge_session=stolen"),
        ("set-cookie", "b=2"),
        ("service-worker-allowed", "/"),
        ("clear-site-data", "\"*\""),
        ("strict-transport-security", "max-age=31536000"),
        ("access-control-allow-origin", "*"),
        ("access-control-allow-credentials", "true"),
        ("alt-svc", "h3=\":443\""),
        ("connection", "close"),
        ("keep-alive", "timeout=9"),
        ("transfer-encoding", "chunked"),
        ("upgrade", "h2c"),
        ("trailer", "x"),
        ("content-security-policy", "default-src *"),
        ("x-content-type-options", "whatever"),
        ("server-timing", "lies;dur=0"),
        ("x-request-id", "forged"),
        ("x-own", "kept"),
        ("content-type", "text/html"),
    ];
    let mut response = Response::builder().status(203);
    for (name, value) in hostile {
        response = response.header(name, value);
    }
    handle.invoke(Ok(answering(response.body("<script>").unwrap())));
    let response = app
        .handle(with(get("/fn/http"), &[("x-request-id", "mine")]))
        .await;
    let mut names: Vec<&str> = response
        .headers()
        .keys()
        .map(http::HeaderName::as_str)
        .collect();
    names.sort_unstable();
    assert_eq!(response.status(), 203);
    let kept = [
        "content-security-policy",
        "content-type",
        "server-timing",
        // It only announces: the trailers themselves are cleaned as headers are.
        "trailer",
        "x-content-type-options",
        "x-own",
        "x-request-id",
    ];
    assert_eq!(names, kept);
    assert_eq!(
        response.headers()["content-security-policy"],
        "sandbox allow-scripts"
    );
    assert_eq!(
        response
            .headers()
            .get_all("content-security-policy")
            .iter()
            .count(),
        1
    );
    assert_eq!(response.headers()["x-content-type-options"], "nosniff");
    assert_eq!(response.headers()["x-request-id"], "mine");
    assert!(
        response.headers()["server-timing"]
            .to_str()
            .unwrap()
            .starts_with("queue;dur=")
    );
    assert_eq!(text(response).await, "<script>");
}

/// A function influences the text of its errors as well.
#[tokio::test]
async fn failures_are_marked_too() {
    let (app, handle) = app();
    handle.invoke(Err(serverledge_core::FunctionFailure {
        kind: serverledge_core::FailureKind::Error,
        message: "<script>".to_owned(),
        stack: None,
        log: bytes::Bytes::new(),
        stale: false,
    }
    .into()));
    let response = app.handle(get("/fn/json")).await;
    assert_eq!(
        response.headers()["content-security-policy"],
        "sandbox allow-scripts"
    );
    assert_eq!(response.headers()["x-content-type-options"], "nosniff");
}

#[tokio::test]
async fn replies_stream() {
    let (app, handle) = app();
    let (sender, body) = tokio::sync::mpsc::channel::<&'static str>(1);
    let body =
        http_body_util::StreamBody::new(futures_util::stream::unfold(body, |mut body| async {
            let piece = body.recv().await?;
            Some((Ok(http_body::Frame::data(bytes::Bytes::from(piece))), body))
        }));
    let body: HttpBody = Box::pin(body);
    let reply = Reply::Http(Box::new(Response::new(body)));
    handle.invoke(Ok(Report {
        reply,
        ..report("1", "")
    }));
    let mut body = app.handle(get("/fn/http")).await.into_body();
    for piece in ["one", "two"] {
        sender.send(piece).await.unwrap();
        assert_eq!(
            body.frame().await.unwrap().unwrap().into_data().unwrap(),
            piece
        );
    }
    drop(body);
    sender.closed().await;
    drop(empty());
}

/// The fake answers with the request's body.
#[tokio::test]
async fn programs_get_parameters_beside_the_body() {
    let (app, handle) = app();
    for (name, stdin) in [("body", Stdin::Body), ("params", Stdin::Params)] {
        let mut function = function(name, Interface::Http);
        let mut version = Version::clone(&function.version);
        version.io = ProgramIo {
            stdin,
            stdout: Stdout::Raw("image/png".to_owned()),
            ..ProgramIo::default()
        };
        function.version = Arc::new(version);
        handle.declare(function);
    }
    for (method, uri, body, params, answer) in [
        (
            Method::POST,
            "/fn/body?w=1&n=a%20b",
            "\0raw",
            r#"{"n":"a b","w":1}"#,
            "\0raw",
        ),
        (Method::GET, "/fn/body", "", "{}", ""),
        // For a version that reads bodies, if it comes meanwhile.
        (
            Method::POST,
            "/fn/params",
            r#" {"w":2} "#,
            r#"{"w":2}"#,
            r#"{"w":2}"#,
        ),
        (
            Method::GET,
            "/fn/params?w=3",
            "",
            r#"{"w":3}"#,
            r#"{"w":3}"#,
        ),
    ] {
        let response = app.handle(request(&method, uri, body)).await;
        assert_eq!(text(response).await, answer, "{method} {uri}");
        let seen = seen(&handle);
        let found = seen.extensions().get::<RequestParams>().unwrap();
        assert_eq!(found.0, params, "{method} {uri}");
    }
    for (refused, expected) in [
        (
            request(&Method::OPTIONS, "/fn/body", ""),
            "405 method_not_allowed",
        ),
        (post("/fn/body", vec![b'x'; 1_001]), "413 body_too_large"),
        (post("/fn/params", "no JSON"), "400 malformed_json"),
    ] {
        assert_eq!(outcome(app.handle(refused).await).await, expected);
    }
}
