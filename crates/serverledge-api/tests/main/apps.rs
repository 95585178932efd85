//! Applications: the routes that manage them, and the routes of functions behind their prefix.

use expect_test::expect;
use http::Method;
use serde_json::json;
use serverledge_api::AppError;
use serverledge_core::UserId;

use crate::fake_apps::application;
use crate::support::{app, check, get, json, outcome, post, request, text};

const ID: &str = "01890000-0000-7000-8000-000000000001";

#[tokio::test]
async fn applications_are_made_shown_changed_and_deleted() {
    let (app, _) = app();
    let made = app.handle(post("/apps", r#"{"name":"shop"}"#)).await;
    assert_eq!(
        (
            made.status().as_u16(),
            made.headers()["location"].to_str().unwrap()
        ),
        (201, "/apps/shop")
    );
    check(made, expect![[r#"
        201 Created
        content-type: application/json
        {"name":"shop","id":"0123456789abcdef0123456789abcdef","up":false,"functions":["http","json"],"endpoints":[],"cors":"closed","hands_out_nested":true,"own_origin":false,"created_unix_ms":7}"#]]).await;
    assert_eq!(
        outcome(app.handle(post("/apps", r#"{"name":"shop"}"#)).await).await,
        "409 application_exists"
    );
    check(
        app.handle(get("/apps")).await,
        expect![[r#"
        200 OK
        content-type: application/json
        [{"name":"shop","id":"0123456789abcdef0123456789abcdef","up":false,"endpoints":0,"functions":2}]"#]],
    )
    .await;
    let settings = r#"{"name":"store","cors":["https://a.example"],"hands_out_nested":false,"own_origin":true}"#;
    let changed = json(
        app.handle(request(&Method::PATCH, "/apps/shop", settings))
            .await,
    )
    .await;
    assert_eq!(
        (&changed["name"], &changed["cors"]),
        (&json!("store"), &json!(["https://a.example"]))
    );
    assert_eq!(
        (&changed["hands_out_nested"], &changed["own_origin"]),
        (&json!(false), &json!(true))
    );
    assert_eq!(
        outcome(app.handle(get("/apps/shop")).await).await,
        "404 application_unknown"
    );
    let closed = json(
        app.handle(request(
            &Method::PATCH,
            "/apps/store",
            r#"{"cors":"closed"}"#,
        ))
        .await,
    )
    .await;
    assert_eq!(
        (&closed["cors"], &closed["own_origin"]),
        (&json!("closed"), &json!(true))
    );
    assert_eq!(
        outcome(
            app.handle(request(&Method::DELETE, "/apps/store", ""))
                .await
        )
        .await,
        "204"
    );
    assert_eq!(
        outcome(
            app.handle(request(&Method::DELETE, "/apps/store", ""))
                .await
        )
        .await,
        "404 application_unknown"
    );
}

#[tokio::test]
async fn malformed_requests_change_nothing() {
    let (app, _) = app();
    let deep = "[".repeat(900);
    for (body, expected) in [
        ("", "400 malformed_json"),
        ("[]", "400 malformed_json"),
        (&*deep, "400 malformed_json"),
        (r#"{"name":7}"#, "400 malformed_json"),
        (r#"{"name":"a","up":true}"#, "400 malformed_json"),
        (
            r#"{"name":"a","__proto__":{"name":"b"}}"#,
            "400 malformed_json",
        ),
        (r#"{"name":""}"#, "422 invalid_app_name"),
        (r#"{"name":"A"}"#, "422 invalid_app_name"),
        (r#"{"name":".."}"#, "422 invalid_app_name"),
        (r#"{"name":"__proto__"}"#, "422 invalid_app_name"),
        (r#"{"name":"a/b"}"#, "422 invalid_app_name"),
        (r#"{"name":"a.b"}"#, "422 invalid_app_name"),
        (r#"{"name":"import"}"#, "422 invalid_app_name"),
    ] {
        assert_eq!(
            outcome(app.handle(post("/apps", body.to_owned())).await).await,
            expected,
            "{body}"
        );
    }
    let large = format!(r#"{{"name":"{}"}}"#, "a".repeat(2000));
    assert_eq!(
        outcome(app.handle(post("/apps", large)).await).await,
        "413 body_too_large"
    );
    assert_eq!(text(app.handle(get("/apps")).await).await, "[]");
    app.handle(post("/apps", r#"{"name":"shop"}"#)).await;
    for (body, expected) in [
        (r#"{"name":"-"}"#, "422 invalid_app_name"),
        (r#"{"cors":"all"}"#, "400 malformed_json"),
        (r#"{"cors":["*"]}"#, "422 invalid_origin"),
        (r#"{"cors":["null"]}"#, "422 invalid_origin"),
        (
            r#"{"cors":["https://a.example/path"]}"#,
            "422 invalid_origin",
        ),
        (r#"{"id":"x"}"#, "400 malformed_json"),
    ] {
        let response = app
            .handle(request(&Method::PATCH, "/apps/shop", body))
            .await;
        assert_eq!(outcome(response).await, expected, "{body}");
    }
    assert_eq!(
        json(app.handle(get("/apps/shop")).await).await["cors"],
        "closed"
    );
}

#[tokio::test]
async fn endpoints_are_bound_and_removed() {
    let (app, _) = app();
    app.handle(post("/apps", r#"{"name":"shop"}"#)).await;
    let put = async |body: &str| {
        app.handle(request(
            &Method::PUT,
            "/apps/shop/endpoints",
            body.to_owned(),
        ))
        .await
    };
    check(
        put(r#"{"path":"/order/new","function":"json"}"#).await,
        expect![[r#"
        200 OK
        content-type: application/json
        [{"method":"POST","path":"order/new","function":"json"}]"#]],
    )
    .await;
    for (body, expected) in [
        (
            r#"{"path":"a/../b","function":"json"}"#,
            "422 invalid_endpoint",
        ),
        (
            r#"{"path":"a%2fb","function":"json"}"#,
            "422 invalid_endpoint",
        ),
        (
            r#"{"path":"a%252fb","function":"json"}"#,
            "422 invalid_endpoint",
        ),
        (
            r#"{"path":"a//b","function":"json"}"#,
            "422 invalid_endpoint",
        ),
        (r#"{"path":"up","function":"json"}"#, "422 invalid_endpoint"),
        (
            r#"{"path":"a\u0000","function":"json"}"#,
            "422 invalid_endpoint",
        ),
        (
            r#"{"path":"a","function":"json","method":"TRACE"}"#,
            "422 invalid_endpoint",
        ),
        (
            r#"{"path":"a","function":"../json"}"#,
            "422 invalid_endpoint",
        ),
        (
            r#"{"path":"a","function":"__proto__"}"#,
            "422 function_unknown",
        ),
        (
            r#"{"path":"a","function":"constructor"}"#,
            "422 function_unknown",
        ),
        (r#"{"path":"a"}"#, "400 malformed_json"),
    ] {
        assert_eq!(outcome(put(body).await).await, expected, "{body}");
    }
    for (query, expected) in [
        ("", "400 malformed_query"),
        ("?method=POST", "400 malformed_query"),
        ("?path=x&name=y", "400 malformed_query"),
        ("?path=x", "404 endpoint_unknown"),
        ("?path=order/new&method=GET", "404 endpoint_unknown"),
        ("?path=order/%2e%2e/order/new", "422 invalid_endpoint"),
        ("?path=order%252Fnew", "422 invalid_endpoint"),
        ("?path=order%2Fnew", "200"),
        ("?path=order/new", "404 endpoint_unknown"),
    ] {
        let uri = format!("/apps/shop/endpoints{query}");
        assert_eq!(
            outcome(app.handle(request(&Method::DELETE, &uri, "")).await).await,
            expected,
            "{query}"
        );
    }
    assert_eq!(
        text(app.handle(get("/apps/shop/endpoints")).await).await,
        "[]"
    );
}

#[tokio::test]
async fn dependencies_are_text() {
    let (app, _) = app();
    app.handle(post("/apps", r#"{"name":"shop"}"#)).await;
    let put = async |body: Vec<u8>| {
        app.handle(request(&Method::PUT, "/apps/shop/dependencies", body))
            .await
    };
    check(
        put(b"requests==2.32.3\n".to_vec()).await,
        expect![[r#"
        200 OK
        content-type: application/json
        {"file":"requirements.txt","outdated":["json"]}"#]],
    )
    .await;
    check(
        app.handle(get("/apps/shop/dependencies")).await,
        expect![[r#"
        200 OK
        content-type: text/plain; charset=utf-8
        x-content-type-options: nosniff
        requests==2.32.3
    "#]],
    )
    .await;
    for bad in [
        &b"-r /etc/passwd"[..],
        b"{\"dependencies\":[]}",
        b"\xff",
        b"a\0b",
    ] {
        assert_eq!(
            outcome(put(bad.to_vec()).await).await,
            "422 invalid_dependencies",
            "{bad:?}"
        );
    }
    assert_eq!(
        outcome(put(vec![b'a'; 64 * 1024 + 1]).await).await,
        "413 body_too_large"
    );
    assert_eq!(
        json(app.handle(get("/apps/shop")).await).await["dependencies"],
        "requirements.txt"
    );
    // Both, side by side.
    assert_eq!(
        json(put(br#"{"dependencies":{"ms":"2"}}"#.to_vec()).await).await["file"],
        "package.json"
    );
    assert_eq!(
        json(app.handle(get("/apps/shop")).await).await["dependencies"],
        "package.json, requirements.txt"
    );
    let whole = text(app.handle(get("/apps/shop/dependencies")).await).await;
    assert_eq!(
        whole,
        "# package.json\n{\"dependencies\":{\"ms\":\"2\"}}\n\n# requirements.txt\nrequests==2.32.3\n"
    );
    let one = text(
        app.handle(get("/apps/shop/dependencies?file=requirements.txt"))
            .await,
    )
    .await;
    assert_eq!(one, "requests==2.32.3\n");
    let remove = "/apps/shop/dependencies?file=requirements.txt";
    assert_eq!(
        outcome(app.handle(request(&Method::PUT, remove, "{}")).await).await,
        "422 invalid_dependencies"
    );
    app.handle(request(&Method::PUT, remove, "")).await;
    assert_eq!(
        json(app.handle(get("/apps/shop")).await).await["dependencies"],
        "package.json"
    );
    for (query, expected) in [
        ("file=Pipfile", "422 invalid_dependencies"),
        ("x=1", "400 malformed_query"),
    ] {
        let uri = format!("/apps/shop/dependencies?{query}");
        assert_eq!(outcome(app.handle(get(&uri)).await).await, expected);
        assert_eq!(
            outcome(app.handle(request(&Method::PUT, &uri, "six")).await).await,
            expected
        );
    }
    put(b" \n".to_vec()).await;
    assert_eq!(
        text(app.handle(get("/apps/shop/dependencies")).await).await,
        ""
    );
}

/// Somebody else's application, one that there is not, and a text that names none are answered alike.
#[tokio::test]
async fn applications_of_others_are_not_there() {
    let (app, handle) = app();
    handle
        .apps()
        .add(application("theirs", Some(UserId::new())));
    assert_eq!(text(app.handle(get("/apps")).await).await, "[]");
    assert_eq!(
        outcome(app.handle(post("/apps", r#"{"name":"theirs"}"#)).await).await,
        "409 application_exists"
    );
    for name in [
        "theirs",
        "nobodys",
        "..",
        "%2e%2e",
        "a%2fb",
        "__proto__",
        "%FF",
        "theirs%00",
    ] {
        for (method, path, body) in [
            (Method::GET, "", ""),
            (Method::PATCH, "", "{}"),
            (Method::DELETE, "", ""),
            (Method::GET, "/endpoints", ""),
            (
                Method::PUT,
                "/endpoints",
                r#"{"path":"a","function":"json"}"#,
            ),
            (Method::DELETE, "/endpoints?path=a", ""),
            (Method::GET, "/dependencies", ""),
            (Method::PUT, "/dependencies", ""),
            (Method::POST, "/create", r#"{"Name":"f"}"#),
            (Method::POST, "/delete", r#"{"Name":"json"}"#),
            (Method::GET, "/functions", ""),
            (Method::GET, "/functions/json/logs", ""),
            (Method::POST, "/invoke/json", "{}"),
            (Method::POST, "/fn/json", "{}"),
            (Method::GET, "/dead-letters", ""),
        ] {
            let response = app
                .handle(request(&method, &format!("/apps/{name}{path}"), body))
                .await;
            assert_eq!(
                outcome(response).await,
                "404 application_unknown",
                "{method} {name} {path}"
            );
        }
    }
    assert!(handle.calls().is_empty() && handle.deploys().is_empty());
}

#[tokio::test]
async fn routes_of_functions_act_on_the_applications_space() {
    let (app, handle) = app();
    app.handle(post("/apps", r#"{"name":"shop"}"#)).await;
    let space = handle.apps().space("shop");
    for (method, uri, expected) in [
        (Method::POST, "/apps/shop/create", "422 invalid_name"),
        (Method::GET, "/apps/shop/functions", "200"),
        (Method::GET, "/apps/shop/functions/json", "200"),
        (Method::GET, "/apps/shop/functions/json/logs?tail=3", "200"),
        (
            Method::GET,
            "/apps/shop/functions/json/logs?tails=3",
            "400 malformed_query",
        ),
        (
            Method::GET,
            "/apps/shop/functions/..",
            "404 function_unknown",
        ),
        (
            Method::GET,
            "/apps/shop/functions/%2e%2e%2fjson",
            "404 function_unknown",
        ),
        (Method::GET, "/apps/shop/dead-letters", "200"),
        (Method::GET, "/apps/shop/status", "404 route_unknown"),
        (Method::GET, "/apps/shop/metrics", "404 route_unknown"),
        (
            Method::GET,
            "/apps/shop/functions/json/nothing",
            "404 route_unknown",
        ),
        (Method::GET, "/apps/shop//functions", "404 route_unknown"),
        (
            Method::GET,
            "/apps/shop/apps/shop/functions",
            "404 route_unknown",
        ),
        (Method::GET, "/apps/shop/%66unctions", "404 route_unknown"),
        (
            Method::DELETE,
            "/apps/shop/functions",
            "405 method_not_allowed",
        ),
    ] {
        assert_eq!(
            outcome(app.handle(request(&method, uri, "{}")).await).await,
            expected,
            "{method} {uri}"
        );
    }
    for uri in [
        "/apps/shop/invoke/json",
        "/apps/shop/fn/json",
        "/apps/shop/functions/json/invocations",
    ] {
        app.handle(post(uri, "{}")).await;
        assert_eq!(handle.calls().pop().unwrap().caller.space, space, "{uri}");
    }
    for uri in ["/invoke/json", "/fn/json"] {
        app.handle(post(uri, "{}")).await;
        assert!(
            handle.calls().pop().unwrap().caller.space.is_default(),
            "{uri}"
        );
    }
}

#[tokio::test]
async fn places_keep_the_prefix() {
    let (app, _) = app();
    app.handle(post("/apps", r#"{"name":"shop"}"#)).await;
    let place = async |uri: &str| {
        let response = app.handle(post(uri, "{}")).await;
        response.headers()["location"].to_str().unwrap().to_owned()
    };
    assert_eq!(
        place("/apps/shop/functions/json/invocations").await,
        format!("/apps/shop/invocations/{ID}")
    );
    assert_eq!(
        place("/functions/json/invocations").await,
        format!("/invocations/{ID}")
    );
}

#[tokio::test]
async fn faults_have_codes() {
    let (app, handle) = app();
    app.handle(post("/apps", r#"{"name":"shop"}"#)).await;
    for (fault, expected) in [
        (AppError::Contended, "409 application_contended"),
        (
            AppError::Quota {
                code: "quota_applications",
                message: "20 of 20".to_owned(),
            },
            "403 quota_applications",
        ),
        (
            AppError::Registry {
                code: "registry_full",
                source: "full".into(),
            },
            "503 registry_full",
        ),
    ] {
        handle.apps().fail(fault);
        assert_eq!(
            outcome(
                app.handle(request(&Method::PATCH, "/apps/shop", "{}"))
                    .await
            )
            .await,
            expected
        );
    }
}

/// A page of another origin manages nothing.
#[tokio::test]
async fn foreign_pages_are_refused() {
    let (app, handle) = app();
    app.handle(post("/apps", r#"{"name":"shop"}"#)).await;
    for (method, uri) in [
        (Method::GET, "/apps"),
        (Method::POST, "/apps"),
        (Method::DELETE, "/apps/shop"),
        (Method::PUT, "/apps/shop/dependencies"),
        (Method::POST, "/apps/shop/invoke/json"),
        (Method::POST, "/apps/shop/create"),
    ] {
        let request = crate::support::with(
            request(&method, uri, "{}"),
            &[("sec-fetch-site", "same-site")],
        );
        assert_eq!(
            outcome(app.handle(request).await).await,
            "403 cross_origin",
            "{method} {uri}"
        );
    }
    assert!(handle.calls().is_empty());
}
