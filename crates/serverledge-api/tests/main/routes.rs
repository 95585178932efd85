//! The list of all routes and their answers, and a check that the OpenAPI document agrees.

use std::collections::{BTreeMap, BTreeSet};

use expect_test::expect;
use http::Method;
use serde_json::Value;
use serverledge_api::{Deploy, document};
use serverledge_core::{Role, Scopes};

use crate::support::{
    app, app_with_accounts, check, get, json, outcome, post, request, shown, text, with,
};

/// Every documented route, with a request that it answers.
pub(crate) const DOCUMENTED: [(&str, &str, &str); 84] = [
    ("post", "/create", "/create"),
    ("post", "/update", "/update"),
    ("post", "/delete", "/delete"),
    ("get", "/functions", "/functions"),
    ("get", "/functions/{name}", "/functions/json"),
    ("patch", "/functions/{name}", "/functions/json"),
    (
        "get",
        "/functions/{name}/versions",
        "/functions/json/versions",
    ),
    ("get", "/functions/{name}/nodes", "/functions/json/nodes"),
    (
        "post",
        "/functions/{name}/rollback",
        "/functions/json/rollback",
    ),
    ("post", "/functions/{name}/flags", "/functions/json/flags"),
    ("get", "/functions/{name}/logs", "/functions/json/logs"),
    ("post", "/prewarm", "/prewarm"),
    ("post", "/invoke/{function}", "/invoke/json"),
    (
        "get",
        "/poll/{id}",
        "/poll/01890000-0000-7000-8000-000000000001",
    ),
    (
        "post",
        "/functions/{name}/invocations",
        "/functions/json/invocations",
    ),
    ("get", "/invocations", "/invocations"),
    (
        "get",
        "/invocations/{id}/logs",
        "/invocations/01890000-0000-7000-8000-000000000001/logs",
    ),
    ("get", "/events", "/events"),
    ("get", "/stats", "/stats"),
    ("get", "/stats/node", "/stats/node"),
    ("get", "/sandboxes", "/sandboxes"),
    (
        "get",
        "/invocations/{id}",
        "/invocations/01890000-0000-7000-8000-000000000001",
    ),
    (
        "post",
        "/invocations/{id}/cancel",
        "/invocations/01890000-0000-7000-8000-000000000001/cancel",
    ),
    ("get", "/dead-letters", "/dead-letters"),
    ("delete", "/dead-letters", "/dead-letters"),
    (
        "get",
        "/dead-letters/{id}",
        "/dead-letters/01890000-0000-7000-8000-000000000001",
    ),
    (
        "delete",
        "/dead-letters/{id}",
        "/dead-letters/01890000-0000-7000-8000-000000000001",
    ),
    (
        "post",
        "/dead-letters/{id}/redrive",
        "/dead-letters/01890000-0000-7000-8000-000000000001/redrive",
    ),
    ("get", "/kv", "/kv"),
    ("get", "/kv/{store}", "/kv/default"),
    ("delete", "/kv/{store}", "/kv/default"),
    ("get", "/kv/{store}/{key}", "/kv/default/a/b"),
    ("put", "/kv/{store}/{key}", "/kv/default/a/b"),
    ("post", "/kv/{store}/{key}", "/kv/default/a/b"),
    ("delete", "/kv/{store}/{key}", "/kv/default/a/b"),
    ("post", "/fn/{name}", "/fn/json"),
    ("get", "/app/{app}/up", "/app/shop/up"),
    ("post", "/app/{app}/edge", "/app/shop/edge"),
    ("get", "/app/{app}/edge/manifest", "/app/shop/edge/manifest"),
    ("get", "/app/{app}/edge/keys", "/app/shop/edge/keys"),
    (
        "get",
        "/app/{app}/edge/modules/{sha256}",
        "/app/shop/edge/modules/00ff",
    ),
    (
        "get",
        "/app/{app}/edge/components/{sha256}",
        "/app/shop/edge/components/22dd",
    ),
    (
        "get",
        "/app/{app}/edge/deltas/{sha256}",
        "/app/shop/edge/deltas/11ee",
    ),
    (
        "post",
        "/app/{app}/edge/call/{function}",
        "/app/shop/edge/call/json",
    ),
    ("post", "/app/{app}/{endpoint}", "/app/shop/endpoint"),
    ("get", "/sdk/edge-keys.json", "/sdk/edge-keys.json"),
    ("post", "/apps/{app}/start", "/apps/shop/start"),
    ("post", "/apps/{app}/stop", "/apps/shop/stop"),
    ("post", "/apps/{app}/test", "/apps/shop/test"),
    ("get", "/apps/{app}/export", "/apps/shop/export"),
    ("post", "/apps/import", "/apps/import"),
    ("get", "/apps", "/apps"),
    ("post", "/apps", "/apps"),
    ("get", "/apps/{app}", "/apps/a"),
    ("patch", "/apps/{app}", "/apps/a"),
    ("delete", "/apps/{app}", "/apps/a"),
    ("get", "/apps/{app}/endpoints", "/apps/a/endpoints"),
    ("put", "/apps/{app}/endpoints", "/apps/a/endpoints"),
    ("delete", "/apps/{app}/endpoints", "/apps/a/endpoints"),
    ("get", "/apps/{app}/dependencies", "/apps/a/dependencies"),
    ("put", "/apps/{app}/dependencies", "/apps/a/dependencies"),
    ("get", "/peers", "/peers"),
    ("get", "/quotas", "/quotas"),
    ("get", "/status", "/status"),
    ("get", "/metrics", "/metrics"),
    ("get", "/healthz", "/healthz"),
    ("get", "/readyz", "/readyz"),
    ("post", "/account/sign-up", "/account/sign-up"),
    ("post", "/account/log-in", "/account/log-in"),
    ("post", "/account/log-out", "/account/log-out"),
    (
        "post",
        "/account/log-out-everywhere",
        "/account/log-out-everywhere",
    ),
    ("post", "/account/request-reset", "/account/request-reset"),
    ("post", "/account/reset", "/account/reset"),
    ("post", "/account/confirm", "/account/confirm"),
    ("get", "/account", "/account"),
    ("delete", "/account", "/account"),
    ("post", "/account/email", "/account/email"),
    ("post", "/account/password", "/account/password"),
    ("get", "/account/tokens", "/account/tokens"),
    ("post", "/account/tokens", "/account/tokens"),
    ("delete", "/account/tokens/{id}", "/account/tokens/t1"),
    ("get", "/account/sessions", "/account/sessions"),
    ("delete", "/account/sessions/{id}", "/account/sessions/s1"),
    ("post", "/account/invitations", "/account/invitations"),
];

/// Served, and no part of the interface: pages for people, the document itself, Serverledge's other name of a route.
const UNDOCUMENTED: [&str; 11] = [
    "/",
    "/docs/",
    "/openapi.json",
    "/sdk/edge.js",
    "/sdk/edge-more.js",
    "/sdk/edge-components.js",
    "/sdk/edge.d.ts",
    "/function",
    "/account/reset",
    "/account/confirm",
    "/account/page.js",
];

#[tokio::test]
async fn the_document_lists_exactly_the_routes() {
    let served: BTreeSet<(String, String)> = DOCUMENTED
        .iter()
        .map(|(method, path, _)| ((*method).to_owned(), (*path).to_owned()))
        .collect();
    let document = serde_json::to_value(document()).unwrap();
    let paths = document["paths"].as_object().unwrap();
    let listed: BTreeSet<(String, String)> = paths
        .iter()
        .flat_map(|(path, methods)| {
            methods
                .as_object()
                .unwrap()
                .keys()
                .map(|method| (method.clone(), path.clone()))
        })
        .collect();
    assert_eq!(listed, served);
    let (app, _) = app();
    for (method, _, uri) in DOCUMENTED {
        let method = Method::from_bytes(method.to_uppercase().as_bytes()).unwrap();
        let told = outcome(app.handle(request(&method, uri, "{}")).await).await;
        assert!(
            !told.contains("route_unknown") && !told.starts_with("405"),
            "{method} {uri}: {told}"
        );
    }
    for uri in UNDOCUMENTED {
        assert_eq!(outcome(app.handle(get(uri)).await).await, "200", "{uri}");
    }
}

/// Whatever the method, a route that is there says which it answers: those of the document, and those of its pages.
#[tokio::test]
async fn unknown_methods_are_told_the_known_ones() {
    let (app, _, accounts) = app_with_accounts(true, false);
    accounts.add("ada@example.org", "correct horse battery", Role::Operator);
    let bearer = format!(
        "Bearer {}",
        accounts.add_token("ada@example.org", Scopes::ALL)
    );
    let unknown = Method::from_bytes(b"BREW").unwrap();
    let mut by_uri: BTreeMap<&str, BTreeSet<String>> = BTreeMap::new();
    for (method, path, uri) in DOCUMENTED {
        // Functions and applications answer for themselves.
        if !path.starts_with("/fn/") && !path.starts_with("/app/") {
            by_uri.entry(uri).or_default().insert(method.to_uppercase());
        }
    }
    for uri in UNDOCUMENTED.into_iter().filter(|uri| *uri != "/docs/") {
        by_uri.entry(uri).or_default().insert("GET".to_owned());
    }
    // It may be the name of an application.
    by_uri
        .entry("/apps/import")
        .or_default()
        .extend(["GET", "PATCH", "DELETE"].map(str::to_owned));
    assert!(by_uri.len() > 50, "{}", by_uri.len());
    for (uri, methods) in by_uri {
        let response = app
            .handle(with(
                request(&unknown, uri, ""),
                &[("authorization", &bearer)],
            ))
            .await;
        let allow = response
            .headers()
            .get("allow")
            .map(|value| value.to_str().unwrap().to_owned())
            .unwrap_or_default();
        assert_eq!(outcome(response).await, "405 method_not_allowed", "{uri}");
        assert_eq!(
            allow
                .split(", ")
                .map(str::to_owned)
                .collect::<BTreeSet<_>>(),
            methods,
            "{uri}: {allow}"
        );
    }
}

/// An application may be called like a route beside it.
#[tokio::test]
async fn an_application_may_be_called_import() {
    let (app, _) = app();
    let told = text(app.handle(get("/apps/import")).await).await;
    assert!(
        told.contains("application_unknown") && told.contains(r#"\"import\""#),
        "{told}"
    );
}

/// Every reference in the document leads somewhere.
#[tokio::test]
async fn the_document_is_whole() {
    fn references(value: &Value, found: &mut Vec<String>) {
        match value {
            Value::Object(object) => {
                found.extend(
                    object
                        .get("$ref")
                        .and_then(Value::as_str)
                        .map(str::to_owned),
                );
                object.values().for_each(|value| references(value, found));
            }
            Value::Array(list) => list.iter().for_each(|value| references(value, found)),
            _ => {}
        }
    }
    let (app, _) = app();
    let document = json(app.handle(get("/openapi.json")).await).await;
    assert!(
        document["openapi"].as_str().unwrap().starts_with("3.1"),
        "{}",
        document["openapi"]
    );
    let mut found = Vec::new();
    references(&document, &mut found);
    assert!(!found.is_empty());
    for reference in found {
        let pointer = reference.strip_prefix('#').unwrap();
        assert!(
            document.pointer(pointer).is_some(),
            "{reference} leads nowhere"
        );
    }
}

/// The rendered page and all that it loads come from the node itself.
#[tokio::test]
async fn the_pages_work_offline() {
    let (app, _) = app();
    let page = text(app.handle(get("/docs/")).await).await;
    assert!(
        !page.contains("http://") && !page.contains("https://") && !page.contains("src=\"//"),
        "{page}"
    );
    let loaded = page
        .split(['"', '\''])
        .filter(|part| part.starts_with("./") || part.ends_with(".js") || part.ends_with(".css"));
    let mut count = 0;
    for part in loaded {
        let uri = format!("/docs/{}", part.trim_start_matches("./"));
        assert_eq!(outcome(app.handle(get(&uri)).await).await, "200", "{uri}");
        count += 1;
    }
    assert!(count > 1, "the page loads nothing: {page}");
}

#[tokio::test]
async fn unknown_routes_and_wrong_methods_are_problems() {
    let (app, _) = app();
    check(app.handle(get("/nowhere")).await, expect![[r#"
        404 Not Found
        content-type: application/problem+json
        {"code":"route_unknown","detail":"there is no such route; /docs lists them","status":404,"title":"Not Found","type":"about:blank"}"#]]).await;
    check(app.handle(get("/create")).await, expect![[r#"
        405 Method Not Allowed
        content-type: application/problem+json
        allow: POST
        {"code":"method_not_allowed","detail":"this route answers POST only","status":405,"title":"Method Not Allowed","type":"about:blank"}"#]]).await;
    check(app.handle(post("/functions", "")).await, expect![[r#"
        405 Method Not Allowed
        content-type: application/problem+json
        allow: GET
        {"code":"method_not_allowed","detail":"this route answers GET only","status":405,"title":"Method Not Allowed","type":"about:blank"}"#]]).await;
    for (method, uri, allowed) in [
        (Method::GET, "/create", "POST"),
        (Method::PUT, "/update", "POST"),
        (Method::DELETE, "/delete", "POST"),
        (Method::GET, "/prewarm", "POST"),
        (Method::POST, "/function", "GET"),
        (Method::POST, "/functions", "GET"),
        (Method::DELETE, "/functions/json", "GET, PATCH"),
        (Method::POST, "/functions/json/logs", "GET"),
        (Method::POST, "/functions/json/versions", "GET"),
        (Method::POST, "/functions/json/nodes", "GET"),
        (Method::GET, "/functions/json/rollback", "POST"),
        (Method::GET, "/functions/json/flags", "POST"),
        (Method::POST, "/poll/1", "GET"),
        (Method::GET, "/functions/json/invocations", "POST"),
        (Method::DELETE, "/invocations/1", "GET"),
        (Method::GET, "/invocations/1/cancel", "POST"),
        (Method::POST, "/dead-letters", "GET, DELETE"),
        (Method::PUT, "/dead-letters/1", "GET, DELETE"),
        (Method::GET, "/dead-letters/1/redrive", "POST"),
        (Method::POST, "/kv", "GET"),
        (Method::PUT, "/kv/default", "GET, DELETE"),
        (Method::PATCH, "/kv/default/a", "GET, POST, PUT, DELETE"),
        (Method::PATCH, "/kv/default//a/", "GET, POST, PUT, DELETE"),
        (Method::DELETE, "/apps", "GET, POST"),
        (Method::POST, "/apps/a", "GET, PATCH, DELETE"),
        (Method::POST, "/apps/a/endpoints", "GET, PUT, DELETE"),
        (Method::DELETE, "/apps/a/dependencies", "GET, PUT"),
        (Method::POST, "/status", "GET"),
        (Method::POST, "/metrics", "GET"),
        (Method::POST, "/healthz", "GET"),
        (Method::POST, "/readyz", "GET"),
        (Method::POST, "/openapi.json", "GET"),
        (Method::POST, "/", "GET"),
    ] {
        let response = app.handle(request(&method, uri, "")).await;
        let allow = response
            .headers()
            .get("allow")
            .map(|value| value.to_str().unwrap().to_owned());
        assert_eq!(
            outcome(response).await,
            "405 method_not_allowed",
            "{method} {uri}"
        );
        assert_eq!(allow.as_deref(), Some(allowed), "{method} {uri}");
    }
    for uri in [
        "/create//",
        "/functions//",
        "/functions/a/b",
        "/healthz/x",
        "/poll/1/2",
        "/FUNCTIONS",
        "/.env",
        "/fnord",
    ] {
        assert_eq!(
            outcome(app.handle(get(uri)).await).await,
            "404 route_unknown",
            "{uri}"
        );
    }
}

/// Whatever the path holds, an error is a problem.
#[tokio::test]
async fn paths_that_are_no_text_are_problems() {
    let (app, _) = app();
    for uri in [
        "/functions/%FF",
        "/functions/%00",
        "/functions/%2F",
        "/functions/nobody",
    ] {
        assert_eq!(
            outcome(app.handle(get(uri)).await).await,
            "404 function_unknown",
            "{uri}"
        );
    }
}

#[tokio::test]
async fn a_deployment_is_answered_in_serverledges_words() {
    let (app, handle) = app();
    let body = "{\"name\":\"f\",\"MemoryMB\":256,\"CPUDemand\":0.5,\"TarFunctionCode\":\"AGFzbQ==\",\"Signature\":null}";
    check(app.handle(post("/create", body)).await, expect![[r#"
        200 OK
        content-type: application/json
        {"Created":"f","Runtime":"wasm","Version":"abababababababababababababababababababababababababababababababab","Interface":"reactor","Footprint":{"MachineCodeBytes":2048,"MemoryBytes":65536},"Remarks":["a remark"]}"#]]).await;
    check(app.handle(post("/update", body)).await, expect![[r#"
        200 OK
        content-type: application/json
        {"Created":"f","Runtime":"wasm","Version":"abababababababababababababababababababababababababababababababab","Interface":"reactor","Footprint":{"MachineCodeBytes":2048,"MemoryBytes":65536},"Remarks":["a remark"]}"#]]).await;
    let deploys = handle.deploys();
    assert_eq!(
        (deploys[0].0, deploys[1].0),
        (Deploy::Create, Deploy::Update)
    );
    expect![[r#"{"Name":"f","Runtime":"","MemoryMB":256,"CPUDemand":0.5,"MaxConcurrency":0,"Handler":"","TarFunctionCode":"AGFzbQ==","CustomImage":"","Idempotent":false,"Edge":false}"#]].assert_eq(&deploys[0].1);
}

#[tokio::test]
async fn functions_are_listed_shown_and_deleted() {
    let (app, _) = app();
    for uri in ["/function", "/functions"] {
        assert_eq!(
            text(app.handle(get(uri)).await).await,
            "[\"http\",\"json\"]"
        );
    }
    check(app.handle(get("/functions/json")).await, expect![[r#"
        200 OK
        content-type: application/json
        {"Name":"json","Runtime":"wasm","Version":"abababababababababababababababababababababababababababababababab","Code":"cdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcd","Handler":"main","MemoryMB":128,"CPUDemand":0.0,"MaxConcurrency":1,"Timeout":30.0,"CPUTime":0.5,"Env":["SECRET"],"Secrets":["KEY"],"Network":"none","Idempotent":true,"Edge":false,"Isolation":"kept"}"#]]).await;
    let shown_function = shown(app.handle(get("/functions/json")).await).await;
    assert!(
        !shown_function.contains("hidden"),
        "values of the environment are not shown"
    );
    check(app.handle(get("/functions/nobody")).await, expect![[r#"
        404 Not Found
        content-type: application/problem+json
        {"code":"function_unknown","detail":"function \"nobody\" is unknown; deploy it first","status":404,"title":"Not Found","type":"about:blank"}"#]]).await;
    check(
        app.handle(post("/delete", "{\"Name\":\"json\"}")).await,
        expect![[r#"
        200 OK
        content-type: application/json
        {"Deleted":"json"}"#]],
    )
    .await;
    assert_eq!(
        text(app.handle(get("/functions")).await).await,
        "[\"http\"]"
    );
}

#[tokio::test]
async fn prewarming_says_how_many() {
    let (app, handle) = app();
    for (body, asked, given) in [
        ("{\"Function\":\"json\",\"Instances\":2}", 2, 2),
        (
            "{\"function\":\"json\",\"instances\":9,\"ForceImagePull\":true}",
            9,
            4,
        ),
        ("{\"Function\":\"json\"}", 1, 1),
    ] {
        let response = app.handle(post("/prewarm", body)).await;
        assert_eq!(text(response).await, format!("{{\"Prewarmed\":{given}}}"));
        assert_eq!(handle.prewarms(), [("json".to_owned(), asked)]);
    }
}

#[tokio::test]
async fn routes_about_the_node() {
    let (app, handle) = app();
    check(
        app.handle(get("/healthz")).await,
        expect![[r#"
        200 OK
        content-type: text/plain; charset=utf-8
        ok
    "#]],
    )
    .await;
    check(
        app.handle(get("/readyz")).await,
        expect![[r#"
        200 OK
        content-type: text/plain; charset=utf-8
        ready
    "#]],
    )
    .await;
    check(
        app.handle(get("/metrics")).await,
        expect![[r#"
        200 OK
        content-type: text/plain; version=0.0.4; charset=utf-8
        up 1
    "#]],
    )
    .await;
    assert_eq!(json(app.handle(get("/status")).await).await["Node"], "n1");
    assert!(
        text(app.handle(get("/")).await)
            .await
            .contains("n1 in area ROME")
    );
    handle.be_preparing();
    check(
        app.handle(get("/readyz")).await,
        expect![[r#"
        503 Service Unavailable
        content-type: application/problem+json
        retry-after: 1
        {"code":"preparing","detail":"3 of 10 functions that were called lately are prepared, 1 could not be","status":503,"title":"Service Unavailable","type":"about:blank"}"#]],
    )
    .await;
    handle.be_not_ready();
    check(
        app.handle(get("/readyz")).await,
        expect![[r#"
        503 Service Unavailable
        content-type: text/plain; charset=utf-8
        not ready: starting or draining
    "#]],
    )
    .await;
    assert_eq!(
        app.handle(get("/healthz")).await.status(),
        200,
        "alive, though not ready"
    );
}
