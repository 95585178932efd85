//! The routes below `/edge/` of a running application, and the library and keys of the node.

use axum::body::Body;
use http::{Method, Response};
use serde_json::json;
use serverledge_core::{Application, Cors, Interface, Payload};

use crate::backend::function;
use crate::running_apps::{EDGE_COMPONENT, EDGE_DELTA, EDGE_MODULE, application};
use crate::support::{app, get, json as body_of, outcome, post, request, text, with};

/// A page of another origin.
const FOREIGN: [(&str, &str); 2] = [
    ("origin", "https://page.example"),
    ("sec-fetch-site", "cross-site"),
];

fn header<'a>(response: &'a Response<Body>, name: &str) -> &'a str {
    response
        .headers()
        .get(name)
        .map_or("", |value| value.to_str().unwrap())
}

#[tokio::test]
async fn a_page_gets_what_it_needs_to_run_functions() {
    let (app, handle) = app();
    handle.hosting().run(application("shop"));
    let manifest = app.handle(get("/app/shop/edge/manifest")).await;
    assert_eq!(header(&manifest, "cache-control"), "no-cache");
    assert_eq!(
        body_of(manifest).await,
        json!({"manifest": "of shop", "key_id": "k", "key": "x", "signature": "s"})
    );
    let key = json!({"kty": "OKP", "crv": "Ed25519", "use": "sig", "kid": "k", "x": "x"});
    let keys = app.handle(get("/app/shop/edge/keys")).await;
    assert_eq!(body_of(keys).await, json!({ "keys": [key] }));
    let module = app
        .handle(get(&format!("/app/shop/edge/modules/{EDGE_MODULE}")))
        .await;
    for (name, value) in [
        ("content-type", "application/wasm"),
        ("content-encoding", ""),
        ("etag", "\"00ff\""),
        ("cache-control", "public, max-age=31536000, immutable"),
        ("vary", "accept-encoding, origin"),
        ("x-content-type-options", "nosniff"),
    ] {
        assert_eq!(header(&module, name), value);
    }
    assert_eq!(text(module).await, "Module(\"00ff\") in Identity");
    let delta = get(&format!("/app/shop/edge/deltas/{EDGE_DELTA}"));
    let delta = app
        .handle(with(delta, &[("accept-encoding", "gzip, br")]))
        .await;
    assert_eq!(header(&delta, "content-type"), "application/octet-stream");
    assert_eq!(header(&delta, "content-encoding"), "br");
    assert_eq!(text(delta).await, "Delta(\"11ee\") in Brotli");
    let component = get(&format!("/app/shop/edge/components/{EDGE_COMPONENT}"));
    let component = app.handle(component).await;
    assert_eq!(
        header(&component, "content-type"),
        "application/octet-stream"
    );
    assert_eq!(header(&component, "etag"), "\"22dd\"");
    assert_eq!(text(component).await, "Component(\"22dd\") in Identity");
}

#[tokio::test]
async fn a_browser_that_has_a_file_in_its_coding_gets_no_bytes() {
    let (app, handle) = app();
    handle.hosting().run(application("shop"));
    let module = format!("/app/shop/edge/modules/{EDGE_MODULE}");
    for (accepted, coding, tag) in [
        ("identity", "", "\"00ff\""),
        ("gzip, br;q=0", "gzip", "\"00ff-gzip\""),
        ("br, gzip", "br", "\"00ff-br\""),
    ] {
        let asked = |has: &str| {
            let headers = [("accept-encoding", accepted), ("if-none-match", has)];
            app.handle(with(get(&module), &headers))
        };
        let first = asked("\"of another coding\"").await;
        assert_eq!(first.status(), 200, "{accepted}");
        assert_eq!(header(&first, "etag"), tag);
        assert_eq!(header(&first, "content-encoding"), coding);
        let read = handle.hosting().edge_files_read();
        let again = asked(&format!("W/\"x\", {tag}")).await;
        assert_eq!(again.status(), 304, "{accepted}");
        for (name, value) in [
            ("etag", tag),
            ("vary", "accept-encoding, origin"),
            ("cache-control", "public, max-age=31536000, immutable"),
            ("content-encoding", ""),
        ] {
            assert_eq!(header(&again, name), value, "{accepted}: {name}");
        }
        assert_eq!(text(again).await, "");
        assert_eq!(handle.hosting().edge_files_read(), read, "nothing is read");
    }
    // What is not there any more is not told to be unchanged.
    let gone = with(
        get("/app/shop/edge/modules/ff00"),
        &[("if-none-match", "\"ff00\", *")],
    );
    assert_eq!(outcome(app.handle(gone).await).await, "404 not_edge");
}

#[tokio::test]
async fn what_is_not_there_is_not_told() {
    let (app, handle) = app();
    handle.hosting().run(application("shop"));
    for (asked, expected) in [
        (get("/app/shop/edge/modules/ff00"), "404 not_edge"),
        (get("/app/shop/edge/modules/"), "404 endpoint_unknown"),
        (get("/app/shop/edge/modules/11ee"), "404 not_edge"),
        (get("/app/shop/edge/deltas/00ff"), "404 not_edge"),
        (get("/app/shop/edge/modules/22dd"), "404 not_edge"),
        (get("/app/shop/edge/components/00ff"), "404 not_edge"),
        (
            post("/app/shop/edge/deltas/11ee", ""),
            "405 method_not_allowed",
        ),
        (get("/app/shop/edge/modules/00ff/x"), "404 endpoint_unknown"),
        (get("/app/shop/edge/other"), "404 endpoint_unknown"),
        (
            post("/app/shop/edge/manifest", ""),
            "405 method_not_allowed",
        ),
        (get("/app/shop/edge/call/json"), "405 method_not_allowed"),
        (
            post("/app/shop/edge/call/nobody", "{}"),
            "404 function_unknown",
        ),
        (
            post("/app/shop/edge/call/__proto__", "{}"),
            "404 function_unknown",
        ),
        (
            post("/app/shop/edge/call/%6ason", "{}"),
            "404 function_unknown",
        ),
        (
            get("/app/other/edge/manifest"),
            "404 application_not_running",
        ),
    ] {
        let uri = asked.uri().clone();
        assert_eq!(outcome(app.handle(asked).await).await, expected, "{uri}");
    }
}

#[tokio::test]
async fn only_public_functions_are_called_without_an_endpoint() {
    let (app, handle) = app();
    let shop = application("shop");
    let space = shop.space.clone();
    handle.hosting().run(shop);
    let asked = r#"{"args":{"a": 1.0},"edgeResults":{"f":{"e30=":1}}}"#;
    let answer = app.handle(post("/app/shop/edge/call/json", asked)).await;
    assert_eq!(text(answer).await, r#"{"result":{"a": 1.0},"cache":{}}"#);
    let call = handle.calls().pop().unwrap();
    assert_eq!((call.caller.space, call.caller.account), (space, None));
    assert_eq!(call.call.context.client_cache.unwrap().edge.len(), 1);
    let Payload::Json(params) = call.call.payload else {
        panic!("the parameters are JSON")
    };
    assert_eq!(params, r#"{"a": 1.0}"#);
    // A function that answers HTTP has an endpoint for that, and one without an endpoint is nobody's.
    let http = app.handle(post("/app/shop/edge/call/http", "{}")).await;
    assert_eq!(outcome(http).await, "404 function_unknown");
    handle.hosting().run(Application {
        endpoints: Vec::new(),
        ..application("shop")
    });
    let inner = app.handle(post("/app/shop/edge/call/json", "{}")).await;
    assert_eq!(outcome(inner).await, "404 function_unknown");
    assert!(handle.calls().is_empty());
    // Its owner's flag makes it everybody's, unless it answers HTTP.
    for (name, interface, expected) in [
        ("json", Interface::Json, "200"),
        ("http", Interface::Http, "404 function_unknown"),
    ] {
        let mut open = function(name, interface);
        open.flags.edge = true;
        handle.declare(open);
        let path = format!("/app/shop/edge/call/{name}");
        assert_eq!(
            outcome(app.handle(post(&path, "{}")).await).await,
            expected,
            "{name}"
        );
    }
    assert_eq!(handle.calls().len(), 1);
}

#[tokio::test]
async fn an_endpoint_keeps_its_path() {
    let (app, handle) = app();
    let mut shop = application("shop");
    shop.endpoints[0].path = serverledge_core::EndpointPath::parse("edge/manifest").unwrap();
    handle.hosting().run(shop);
    let answer = app.handle(post("/app/shop/edge/manifest", "{}")).await;
    assert_eq!(outcome(answer).await, "200");
    assert_eq!(handle.calls().len(), 1);
}

#[tokio::test]
async fn pages_of_other_origins_get_what_the_application_allows() {
    let (app, handle) = app();
    let page = || vec!["https://page.example".to_owned()];
    let other = || vec!["https://other.example".to_owned()];
    for (cors, expected, origin) in [
        (Cors::Closed, "403 cross_origin", ""),
        (Cors::Origins(other()), "403 cross_origin", ""),
        (Cors::Origins(page()), "200", "https://page.example"),
        (Cors::Any, "200", "*"),
    ] {
        handle.hosting().run(Application {
            cors,
            ..application("shop")
        });
        let module = format!("/app/shop/edge/modules/{EDGE_MODULE}");
        for asked in [
            get("/app/shop/edge/manifest"),
            get("/app/shop/edge/keys"),
            get(&module),
            post("/app/shop/edge/call/json", "{}"),
        ] {
            let uri = asked.uri().clone();
            let response = app.handle(with(asked, &FOREIGN)).await;
            assert_eq!(header(&response, "access-control-allow-origin"), origin);
            assert_eq!(outcome(response).await, expected, "{uri}");
        }
        let preflight = request(&Method::OPTIONS, "/app/shop/edge/call/json", "");
        let preflight = with(
            preflight,
            &[
                FOREIGN[0],
                ("access-control-request-method", "POST"),
                ("access-control-request-headers", "content-type"),
            ],
        );
        let response = app.handle(preflight).await;
        let allowed = if origin.is_empty() { "" } else { "POST" };
        assert_eq!(header(&response, "access-control-allow-methods"), allowed);
    }
}

#[tokio::test]
async fn the_library_and_the_keys_are_everybodys() {
    let (app, _handle) = app();
    for (path, kind, content) in [
        ("/sdk/edge.js", "text/javascript; charset=utf-8", "connect"),
        (
            "/sdk/edge-more.js",
            "text/javascript; charset=utf-8",
            "invoke",
        ),
        (
            "/sdk/edge-components.js",
            "text/javascript; charset=utf-8",
            "answer",
        ),
        ("/sdk/edge.d.ts", "text/plain; charset=utf-8", "connect"),
        ("/sdk/edge-keys.json", "application/json", "Ed25519"),
    ] {
        let response = app.handle(with(get(path), &FOREIGN)).await;
        assert_eq!(response.status(), 200, "{path}");
        assert_eq!(header(&response, "content-type"), kind);
        assert_eq!(header(&response, "access-control-allow-origin"), "*");
        assert!(text(response).await.contains(content), "{path}");
    }
}

/// A page that knows the application only has the library from there, as far as it may.
#[tokio::test]
async fn the_library_comes_with_the_application() {
    let (app, handle) = app();
    handle.hosting().run(application("shop"));
    let asked = || {
        with(
            get("/app/shop/edge/edge.js"),
            &[("accept-encoding", "gzip")],
        )
    };
    let response = app.handle(asked()).await;
    assert_eq!(header(&response, "content-encoding"), "gzip");
    assert!(header(&response, "vary").contains("accept-encoding"));
    let tag = header(&response, "etag").to_owned();
    let again = with(asked(), &[("if-none-match", tag.as_str())]);
    assert_eq!(app.handle(again).await.status(), 304);
    let plain = with(
        get("/app/shop/edge/edge.js"),
        &[("if-none-match", tag.as_str())],
    );
    assert_eq!(app.handle(plain).await.status(), 200, "another coding");
    let only_brotli = with(
        get("/app/shop/edge/edge-more.js"),
        &[("accept-encoding", "br")],
    );
    let response = app.handle(only_brotli).await;
    assert_eq!(header(&response, "content-encoding"), "");
    assert!(text(response).await.contains("invoke"));
    let foreign = app.handle(with(asked(), &FOREIGN)).await;
    assert_eq!(outcome(foreign).await, "403 cross_origin");
}

#[tokio::test]
async fn a_browser_may_keep_the_manifest() {
    let (app, handle) = app();
    handle.hosting().run(application("shop"));
    let response = app.handle(get("/app/shop/edge/manifest")).await;
    assert!(header(&response, "etag").len() > 2);
    assert_eq!(header(&response, "cache-control"), "no-cache");
}
