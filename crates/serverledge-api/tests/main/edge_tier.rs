//! The routes below `/edge/` of a running application, and the library and keys of the node.

use axum::body::Body;
use http::{Method, Response};
use serde_json::json;
use serverledge_core::{Application, Cors, Payload};

use crate::running_apps::{EDGE_MODULE, application};
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
        json!({"manifest": "of shop", "key_id": "k", "signature": "s"})
    );
    let key = json!({"kty": "OKP", "crv": "Ed25519", "use": "sig", "kid": "k", "x": "x"});
    let keys = app.handle(get("/app/shop/edge/keys")).await;
    assert_eq!(body_of(keys).await, json!({ "keys": [key] }));
    let module = app
        .handle(get(&format!("/app/shop/edge/modules/{EDGE_MODULE}")))
        .await;
    for (name, value) in [
        ("content-type", "application/wasm"),
        ("etag", "\"00ff\""),
        ("cache-control", "public, max-age=31536000, immutable"),
        ("x-content-type-options", "nosniff"),
    ] {
        assert_eq!(header(&module, name), value);
    }
    assert_eq!(text(module).await, "a module");
    // A browser that has it already.
    let again = get(&format!("/app/shop/edge/modules/{EDGE_MODULE}"));
    let again = app
        .handle(with(again, &[("if-none-match", "\"00ff\"")]))
        .await;
    assert_eq!(
        (again.status().as_u16(), header(&again, "etag")),
        (304, "\"00ff\"")
    );
    assert_eq!(text(again).await, "");
}

#[tokio::test]
async fn what_is_not_there_is_not_told() {
    let (app, handle) = app();
    handle.hosting().run(application("shop"));
    for (asked, expected) in [
        (get("/app/shop/edge/modules/ff00"), "404 not_edge"),
        (get("/app/shop/edge/modules/"), "404 endpoint_unknown"),
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
        ("/sdk/edge-keys.json", "application/json", "Ed25519"),
    ] {
        let response = app.handle(with(get(path), &FOREIGN)).await;
        assert_eq!(response.status(), 200, "{path}");
        assert_eq!(header(&response, "content-type"), kind);
        assert_eq!(header(&response, "access-control-allow-origin"), "*");
        assert!(text(response).await.contains(content), "{path}");
    }
}
