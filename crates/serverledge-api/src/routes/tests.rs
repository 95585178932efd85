//! The table of routes: the requirement of every method at every path, written down, and its agreement with the document.

use expect_test::expect;

use super::*;

#[test]
fn routes_of_applications_need_what_those_of_functions_need() {
    for (method, inside) in [
        (Method::POST, "/invoke/f"),
        (Method::GET, "/fn/f"),
        (Method::POST, "/create"),
        (Method::POST, "/delete"),
        (Method::DELETE, "/dead-letters"),
        (Method::GET, "/functions"),
        (Method::GET, "/functions/f/versions"),
        (Method::PATCH, "/functions/f"),
        (Method::PATCH, "/functions/invocations"),
        (Method::POST, "/functions/f/rollback"),
        (Method::POST, "/functions/f/flags"),
        (Method::POST, "/functions/f/invocations"),
        (Method::GET, "/kv/s/k"),
        (Method::PUT, "/kv/s/k/l"),
        (Method::DELETE, "/kv/s"),
    ] {
        assert_eq!(
            requirement(&method, &format!("/apps/a{inside}")),
            requirement(&method, inside),
            "{inside}"
        );
    }
    assert_eq!(
        requirement(&Method::POST, "/functions/f/rollback"),
        Requirement::Deploy
    );
    assert_eq!(
        requirement(&Method::PATCH, "/functions/invocations"),
        Requirement::Deploy
    );
    assert_eq!(
        requirement(&Method::GET, "/apps/a/export"),
        Requirement::Deploy
    );
    assert_eq!(requirement(&Method::GET, "/apps"), Requirement::Invoke);
    assert_eq!(requirement(&Method::POST, "/apps"), Requirement::Deploy);
    assert_eq!(
        requirement(&Method::PUT, "/apps/a/endpoints"),
        Requirement::Deploy
    );
    // A name of an application is no route of the node.
    assert_eq!(
        requirement(&Method::POST, "/apps/status"),
        Requirement::Deploy
    );
    assert_eq!(
        requirement(&Method::GET, "/apps/healthz/healthz"),
        Requirement::Invoke
    );
}

/// A path of every route, and some that are in no row.
const PATHS: [&str; 90] = [
    "/",
    "/create",
    "/update",
    "/delete",
    "/function",
    "/functions",
    "/functions/f",
    "/functions/f/versions",
    "/functions/f/nodes",
    "/functions/f/rollback",
    "/functions/f/flags",
    "/functions/f/logs",
    "/functions/f/invocations",
    "/invocations",
    "/invocations/i",
    "/invocations/i/logs",
    "/events",
    "/stats",
    "/stats/node",
    "/sandboxes",
    "/console",
    "/console/",
    "/console/functions/f",
    "/invocations/i/cancel",
    "/dead-letters",
    "/dead-letters/i",
    "/dead-letters/i/redrive",
    "/kv",
    "/kv/s",
    "/kv/s/k",
    "/kv/s//k/l/",
    "/prewarm",
    "/poll/i",
    "/invoke/f",
    "/fn/f",
    "/fn/f/a/b",
    "/peers",
    "/quotas",
    "/status",
    "/metrics",
    "/healthz",
    "/readyz",
    "/openapi.json",
    "/docs",
    "/docs/index.html",
    "/account",
    "/account/sign-up",
    "/account/log-in",
    "/account/log-out",
    "/account/log-out-everywhere",
    "/account/request-reset",
    "/account/reset",
    "/account/confirm",
    "/account/page.js",
    "/account/email",
    "/account/password",
    "/account/tokens",
    "/account/tokens/t",
    "/account/sessions",
    "/account/sessions/s",
    "/account/invitations",
    "/apps",
    "/apps/import",
    "/apps/a",
    "/apps/a/endpoints",
    "/apps/a/dependencies",
    "/apps/a/start",
    "/apps/a/stop",
    "/apps/a/test",
    "/apps/a/export",
    "/apps/a/create",
    "/apps/a/functions/f",
    "/apps/a/functions/f/rollback",
    "/apps/a/functions/f/invocations",
    "/apps/a/invocations/i",
    "/apps/a/dead-letters/i",
    "/apps/a/poll/i",
    "/apps/a/kv/s/k",
    "/apps/a/prewarm",
    "/apps/a/invoke/f",
    "/apps/a/fn/f/x",
    "/app/a/up",
    "/nowhere",
    "/metrics/x",
    "/invoke",
    "/functions/a/b",
    "/account/nowhere",
    "/apps/a/status",
    "/apps/healthz/healthz",
    "/healthz/x",
];

#[test]
fn every_route_has_its_requirement() {
    let mut table = String::new();
    for path in PATHS {
        let each = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"].map(|name| {
            let method = Method::from_bytes(name.as_bytes()).unwrap();
            format!(" {:?}", requirement(&method, path))
        });
        table.push_str(&format!("{path}{}\n", each.concat()));
    }
    expect![[r#"
        / Open Open Open Open Open Open
        /create Deploy Deploy Deploy Deploy Deploy Deploy
        /update Deploy Deploy Deploy Deploy Deploy Deploy
        /delete Deploy Deploy Deploy Deploy Deploy Deploy
        /function Invoke Invoke Invoke Invoke Invoke Invoke
        /functions Invoke Invoke Invoke Invoke Invoke Invoke
        /functions/f Invoke Invoke Deploy Deploy Deploy Deploy
        /functions/f/versions Invoke Invoke Invoke Invoke Invoke Invoke
        /functions/f/nodes Invoke Invoke Invoke Invoke Invoke Invoke
        /functions/f/rollback Deploy Deploy Deploy Deploy Deploy Deploy
        /functions/f/flags Deploy Deploy Deploy Deploy Deploy Deploy
        /functions/f/logs Invoke Invoke Invoke Invoke Invoke Invoke
        /functions/f/invocations Invoke Invoke Invoke Invoke Invoke Invoke
        /invocations Invoke Invoke Invoke Invoke Invoke Invoke
        /invocations/i Invoke Invoke Invoke Invoke Invoke Invoke
        /invocations/i/logs Invoke Invoke Invoke Invoke Invoke Invoke
        /events Invoke Invoke Invoke Invoke Invoke Invoke
        /stats Invoke Invoke Invoke Invoke Invoke Invoke
        /stats/node Operator Operator Operator Operator Operator Operator
        /sandboxes Operator Operator Operator Operator Operator Operator
        /console Open Open Open Open Open Open
        /console/ Open Open Open Open Open Open
        /console/functions/f Open Open Open Open Open Open
        /invocations/i/cancel Invoke Invoke Invoke Invoke Invoke Invoke
        /dead-letters Invoke Invoke Invoke Invoke Invoke Invoke
        /dead-letters/i Invoke Invoke Invoke Invoke Invoke Invoke
        /dead-letters/i/redrive Invoke Invoke Invoke Invoke Invoke Invoke
        /kv Invoke Invoke Invoke Invoke Invoke Invoke
        /kv/s Invoke Invoke Deploy Deploy Deploy Deploy
        /kv/s/k Invoke Invoke Deploy Deploy Deploy Deploy
        /kv/s//k/l/ Invoke Invoke Deploy Deploy Deploy Deploy
        /prewarm Operator Operator Operator Operator Operator Operator
        /poll/i Invoke Invoke Invoke Invoke Invoke Invoke
        /invoke/f Invoke Invoke Invoke Invoke Invoke Invoke
        /fn/f Invoke Invoke Invoke Invoke Invoke Invoke
        /fn/f/a/b Invoke Invoke Invoke Invoke Invoke Invoke
        /peers Operator Operator Operator Operator Operator Operator
        /quotas Invoke Invoke Invoke Invoke Invoke Invoke
        /status Operator Operator Operator Operator Operator Operator
        /metrics Metrics Metrics Metrics Metrics Metrics Metrics
        /healthz Open Open Open Open Open Open
        /readyz Open Open Open Open Open Open
        /openapi.json Open Open Open Open Open Open
        /docs Open Open Open Open Open Open
        /docs/index.html Open Open Open Open Open Open
        /account Known Known Admin Admin Admin Admin
        /account/sign-up Public Public Public Public Public Public
        /account/log-in Public Public Public Public Public Public
        /account/log-out Known Known Known Known Known Known
        /account/log-out-everywhere Admin Admin Admin Admin Admin Admin
        /account/request-reset Public Public Public Public Public Public
        /account/reset Open Open Public Public Public Public
        /account/confirm Open Open Public Public Public Public
        /account/page.js Open Open Open Open Open Open
        /account/email Admin Admin Admin Admin Admin Admin
        /account/password Admin Admin Admin Admin Admin Admin
        /account/tokens Admin Admin Admin Admin Admin Admin
        /account/tokens/t Admin Admin Admin Admin Admin Admin
        /account/sessions Admin Admin Admin Admin Admin Admin
        /account/sessions/s Admin Admin Admin Admin Admin Admin
        /account/invitations Admin Admin Admin Admin Admin Admin
        /apps Invoke Invoke Deploy Deploy Deploy Deploy
        /apps/import Invoke Invoke Deploy Deploy Deploy Deploy
        /apps/a Invoke Invoke Deploy Deploy Deploy Deploy
        /apps/a/endpoints Invoke Invoke Deploy Deploy Deploy Deploy
        /apps/a/dependencies Invoke Invoke Deploy Deploy Deploy Deploy
        /apps/a/start Deploy Deploy Deploy Deploy Deploy Deploy
        /apps/a/stop Deploy Deploy Deploy Deploy Deploy Deploy
        /apps/a/test Deploy Deploy Deploy Deploy Deploy Deploy
        /apps/a/export Deploy Deploy Deploy Deploy Deploy Deploy
        /apps/a/create Deploy Deploy Deploy Deploy Deploy Deploy
        /apps/a/functions/f Invoke Invoke Deploy Deploy Deploy Deploy
        /apps/a/functions/f/rollback Deploy Deploy Deploy Deploy Deploy Deploy
        /apps/a/functions/f/invocations Invoke Invoke Invoke Invoke Invoke Invoke
        /apps/a/invocations/i Invoke Invoke Invoke Invoke Invoke Invoke
        /apps/a/dead-letters/i Invoke Invoke Invoke Invoke Invoke Invoke
        /apps/a/poll/i Invoke Invoke Invoke Invoke Invoke Invoke
        /apps/a/kv/s/k Invoke Invoke Deploy Deploy Deploy Deploy
        /apps/a/prewarm Operator Operator Operator Operator Operator Operator
        /apps/a/invoke/f Invoke Invoke Invoke Invoke Invoke Invoke
        /apps/a/fn/f/x Invoke Invoke Invoke Invoke Invoke Invoke
        /app/a/up Public Public Public Public Public Public
        /nowhere Invoke Invoke Deploy Deploy Deploy Deploy
        /metrics/x Invoke Invoke Deploy Deploy Deploy Deploy
        /invoke Invoke Invoke Deploy Deploy Deploy Deploy
        /functions/a/b Invoke Invoke Deploy Deploy Deploy Deploy
        /account/nowhere Invoke Invoke Deploy Deploy Deploy Deploy
        /apps/a/status Invoke Invoke Deploy Deploy Deploy Deploy
        /apps/healthz/healthz Invoke Invoke Deploy Deploy Deploy Deploy
        /healthz/x Invoke Invoke Deploy Deploy Deploy Deploy
    "#]]
    .assert_eq(&table);
}

/// The rows of a section are found by the router and in the document under the same words.
#[test]
fn the_document_has_the_rows() {
    let document = serde_json::to_value(document()).unwrap();
    let mut listed: Vec<(String, String)> = Vec::new();
    for (path, methods) in document["paths"].as_object().unwrap() {
        listed.extend(
            methods
                .as_object()
                .unwrap()
                .keys()
                .map(|method| (path.clone(), method.to_uppercase())),
        );
    }
    let undocumented = [
        "/",
        "/function",
        "/openapi.json",
        "/sdk/edge.js",
        "/sdk/edge-more.js",
        "/sdk/edge-components.js",
        "/sdk/edge.d.ts",
        "/account/reset",
        "/account/confirm",
        "/account/page.js",
        "/docs",
        "/docs/",
        "/docs/{*file}",
        "/console",
        "/console/",
        "/console/{*file}",
    ];
    let is_documented = |row: &&Route| row.method != "GET" || !undocumented.contains(&row.path);
    let mut rows: Vec<(String, String)> = ROUTES
        .iter()
        .filter(is_documented)
        // OpenAPI has no parameter that spans segments.
        .map(|row| (row.path.replace("{*key}", "{key}"), row.method.to_owned()))
        .collect();
    listed.sort();
    rows.sort();
    assert_eq!(rows, listed);
}

/// The two routes that are found without the table need what their rows say, and no row stands twice.
#[test]
fn the_rows_agree() {
    for row in ROUTES {
        let method = Method::from_bytes(row.method.as_bytes()).unwrap();
        let path = row.path.replace(['{', '}', '*'], "");
        assert_eq!(requirement(&method, &path), row.requirement, "{row:?}");
        assert_eq!(
            ROUTES
                .iter()
                .filter(|one| (one.method, one.path) == (row.method, row.path))
                .count(),
            1,
            "{row:?}"
        );
    }
}

#[test]
fn patterns_cover_paths() {
    for (pattern, path, fits) in [
        ("/", "/", true),
        ("/apps/{app}", "/apps/a", true),
        ("/apps/{app}", "/apps/", false),
        ("/apps/{app}", "/apps/a/b", false),
        ("/apps/{app}", "/apps", false),
        ("/apps/import", "/apps/imports", false),
        ("/docs/{*file}", "/docs/", false),
        ("/docs/{*file}", "/docs/a/b", true),
        ("/docs/{*file}", "/docs", false),
        ("/kv/{store}/{*key}", "/kv/s", false),
        ("/kv/{store}/{*key}", "/kv/s/", false),
        ("/kv/{store}/{*key}", "/kv/s//", true),
        ("/kv/{store}/{*key}", "/kv/s/a/b/", true),
        ("/healthz", "/healthz/", false),
    ] {
        assert_eq!(covers(pattern, path), fits, "{pattern} {path}");
    }
    assert_eq!(allowed("/apps/import"), "GET, POST, PATCH, DELETE");
}
