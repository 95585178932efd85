//! Key-value stores: entries as raw bytes, conditional writes, pages of keys, refusals.

use std::time::Duration;

use axum::body::Body;
use expect_test::expect;
use http::{HeaderMap, Method, Request, Response};
use serde_json::json;
use serverledge_api::App;
use serverledge_core::kv::KvError;
use serverledge_core::{Role, STATE_KEY_BYTES_MAX, Scopes, StateError};

use crate::support::{
    app, app_with_accounts, check, get, json, outcome, pieces, request, shown, text, with,
};

async fn put(app: &App, uri: &str, value: &'static str) -> Response<Body> {
    app.handle(request(&Method::PUT, uri, value)).await
}

async fn put_if(
    app: &App,
    uri: &str,
    condition: (&'static str, &str),
    value: &'static str,
) -> String {
    let asked = with(request(&Method::PUT, uri, value), &[condition]);
    outcome(app.handle(asked).await).await
}

async fn delete(app: &App, uri: &str) -> String {
    outcome(app.handle(request(&Method::DELETE, uri, "")).await).await
}

async fn add(app: &App, uri: &str) -> Response<Body> {
    app.handle(request(&Method::POST, uri, "")).await
}

/// The value of an entry, or the refusal.
async fn value(app: &App, uri: &str) -> String {
    let response = app.handle(get(uri)).await;
    if response.status() == 200 {
        text(response).await
    } else {
        outcome(response).await
    }
}

fn header<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name).map(|value| value.to_str().unwrap())
}

fn head(uri: &str) -> Request<Body> {
    request(&Method::HEAD, uri, "")
}

#[tokio::test]
async fn entries_are_written_read_and_deleted() {
    let (app, handle) = app();
    check(app.handle(get("/kv/default/greeting")).await, expect![[r#"
        404 Not Found
        content-type: application/problem+json
        {"code":"kv_not_found","detail":"there is no entry \"greeting\" in the store default","status":404,"title":"Not Found","type":"about:blank"}"#]]).await;
    let written = put(&app, "/kv/default/greeting", "hello").await;
    assert_eq!(written.status(), 204);
    assert_eq!(header(written.headers(), "etag"), Some("\"1\""));
    assert_eq!(handle.stores().ttls(), [None]);
    let read = app.handle(get("/kv/default/greeting")).await;
    assert_eq!(header(read.headers(), "etag"), Some("\"1\""));
    assert_eq!(header(read.headers(), "cache-control"), Some("no-cache"));
    check(
        read,
        expect![[r#"
            200 OK
            content-type: application/octet-stream
            content-security-policy: sandbox allow-scripts
            x-content-type-options: nosniff
            hello"#]],
    )
    .await;
    let looked = app.handle(head("/kv/default/greeting")).await;
    assert_eq!(looked.status(), 200);
    assert_eq!(header(looked.headers(), "etag"), Some("\"1\""));
    assert_eq!(header(looked.headers(), "content-length"), Some("5"));
    assert_eq!(text(looked).await, "");
    assert_eq!(delete(&app, "/kv/default/greeting").await, "204");
    assert_eq!(
        delete(&app, "/kv/default/greeting").await,
        "404 kv_not_found"
    );
    assert_eq!(
        value(&app, "/kv/default/greeting").await,
        "404 kv_not_found"
    );
}

#[tokio::test]
async fn a_value_that_is_known_is_not_sent_again() {
    let (app, _) = app();
    put(&app, "/kv/s/k", "one").await;
    let asked = |tag: &str| with(get("/kv/s/k"), &[("if-none-match", tag)]);
    let same = app.handle(asked("\"1\"")).await;
    assert_eq!(same.status(), 304);
    assert_eq!(header(same.headers(), "etag"), Some("\"1\""));
    assert_eq!(text(same).await, "");
    assert_eq!(app.handle(asked("\"2\"")).await.status(), 200);
    put(&app, "/kv/s/k", "two").await;
    assert_eq!(text(app.handle(asked("\"1\"")).await).await, "two");
}

#[tokio::test]
async fn any_bytes_are_a_value() {
    let (app, _) = app();
    let bytes: Vec<u8> = (0..=255).collect();
    let asked = request(&Method::PUT, "/kv/s/bytes", bytes.clone());
    assert_eq!(app.handle(asked).await.status(), 204);
    let read = app.handle(get("/kv/s/bytes")).await;
    let read = http_body_util::BodyExt::collect(read.into_body()).await;
    assert_eq!(read.unwrap().to_bytes(), bytes);
    assert_eq!(put(&app, "/kv/s/empty", "").await.status(), 204);
    assert_eq!(value(&app, "/kv/s/empty").await, "");
    let asked = request(&Method::PUT, "/kv/s/pieces", pieces(&["a", "b"]));
    assert_eq!(app.handle(asked).await.status(), 204);
    assert_eq!(value(&app, "/kv/s/pieces").await, "ab");
}

#[tokio::test]
async fn a_write_may_have_a_condition() {
    let (app, _) = app();
    let uri = "/kv/s/k";
    let absent = ("if-none-match", "*");
    let version = |tag| ("if-match", tag);
    assert_eq!(
        put_if(&app, uri, version("\"1\""), "x").await,
        "412 kv_changed"
    );
    assert_eq!(put_if(&app, uri, absent, "one").await, "204");
    assert_eq!(put_if(&app, uri, absent, "x").await, "412 kv_changed");
    assert_eq!(put_if(&app, uri, version("\"1\""), "two").await, "204");
    assert_eq!(value(&app, uri).await, "two");
    for tag in ["\"1\"", "W/\"2\"", "\"02\"", "\"abc\""] {
        assert_eq!(
            put_if(&app, uri, version(tag), "x").await,
            "412 kv_changed",
            "{tag}"
        );
    }
    for condition in [
        version("*"),
        version("2"),
        version("\"1\", \"2\""),
        ("if-none-match", "\"1\""),
    ] {
        assert_eq!(
            put_if(&app, uri, condition, "x").await,
            "400 kv_condition_invalid",
            "{condition:?}"
        );
    }
    assert_eq!(value(&app, uri).await, "two");
    let asked = with(request(&Method::PUT, uri, "x"), &[version("\"2\""), absent]);
    assert_eq!(
        outcome(app.handle(asked).await).await,
        "400 kv_condition_invalid"
    );
    // What would be ignored is refused.
    for (method, uri) in [
        (Method::DELETE, "/kv/s/k"),
        (Method::DELETE, "/kv/s"),
        (Method::POST, "/kv/s/k?increment=1"),
    ] {
        let asked = with(request(&method, uri, ""), &[version("\"1\"")]);
        assert_eq!(
            outcome(app.handle(asked).await).await,
            "400 kv_condition_invalid",
            "{method}"
        );
    }
    assert_eq!(value(&app, uri).await, "two");
    let asked = with(request(&Method::PUT, uri, "x"), &[("if-none-match", "*")]);
    check(app.handle(asked).await, expect![[r#"
        412 Precondition Failed
        content-type: application/problem+json
        {"code":"kv_changed","detail":"the entry \"k\" exists already: nothing was written","status":412,"title":"Precondition Failed","type":"about:blank"}"#]]).await;
    let asked = with(request(&Method::PUT, uri, "x"), &[version("\"7\"")]);
    check(app.handle(asked).await, expect![[r#"
        412 Precondition Failed
        content-type: application/problem+json
        {"code":"kv_changed","detail":"the entry \"k\" is not as expected: read it again","status":412,"title":"Precondition Failed","type":"about:blank"}"#]]).await;
}

#[tokio::test]
async fn lifetimes_are_seconds() {
    let (app, handle) = app();
    for uri in ["/kv/s/k?ttl=60", "/kv/s/k?ttl=0.5"] {
        assert_eq!(put(&app, uri, "x").await.status(), 204, "{uri}");
    }
    let absent = ("if-none-match", "*");
    assert_eq!(put_if(&app, "/kv/s/new?ttl=7", absent, "x").await, "204");
    let spans = [60_000, 500, 7_000].map(|millis| Some(Duration::from_millis(millis)));
    assert_eq!(handle.stores().ttls(), spans);
    for (uri, told) in [
        ("/kv/s/k?ttl=0", "422 kv_ttl_invalid"),
        ("/kv/s/k?ttl=-1", "422 kv_ttl_invalid"),
        ("/kv/s/k?ttl=31622401", "422 kv_ttl_invalid"),
        ("/kv/s/k?ttl=soon", "400 malformed_query"),
        ("/kv/s/k?ttl=", "400 malformed_query"),
        ("/kv/s/k?tlt=1", "400 malformed_query"),
    ] {
        assert_eq!(outcome(put(&app, uri, "x").await).await, told, "{uri}");
    }
    assert!(handle.stores().ttls().is_empty());
}

#[tokio::test]
async fn numbers_are_added_to() {
    let (app, _) = app();
    check(
        add(&app, "/kv/s/n?increment=5").await,
        expect![[r#"
            200 OK
            content-type: application/json
            {"value":5}"#]],
    )
    .await;
    assert_eq!(
        text(add(&app, "/kv/s/n?increment").await).await,
        r#"{"value":6}"#
    );
    assert_eq!(
        text(add(&app, "/kv/s/n?increment=-10").await).await,
        r#"{"value":-4}"#
    );
    assert_eq!(value(&app, "/kv/s/n").await, "-4");
    for uri in [
        "/kv/s/n",
        "/kv/s/n?increment=1.5",
        "/kv/s/n?increment=9223372036854775808",
        "/kv/s/n?by=1",
    ] {
        assert_eq!(
            outcome(add(&app, uri).await).await,
            "400 malformed_query",
            "{uri}"
        );
    }
    put(&app, "/kv/s/text", "five").await;
    assert_eq!(
        outcome(add(&app, "/kv/s/text?increment=1").await).await,
        "422 kv_not_a_number"
    );
    put(&app, "/kv/s/most", "9223372036854775807").await;
    assert_eq!(
        outcome(add(&app, "/kv/s/most?increment=1").await).await,
        "422 kv_not_a_number"
    );
    assert_eq!(value(&app, "/kv/s/most").await, "9223372036854775807");
}

/// Encoded or not, a slash is a part of the key, also at both ends.
#[tokio::test]
async fn a_key_is_the_rest_of_the_path() {
    let (app, _) = app();
    for (written, read) in [
        ("/kv/s/users/7/name", "/kv/s/users%2F7%2Fname"),
        ("/kv/s/%2Fa%2F", "/kv/s//a/"),
        ("/kv/s//", "/kv/s/%2F"),
        ("/kv/s/gr%C3%BC%C3%9Fe", "/kv/s/gr%c3%bc%c3%9fe"),
        ("/kv/s/a%20b+c", "/kv/s/a%20b%2Bc"),
        ("/kv/s/50%25", "/kv/s/50%25"),
        ("/kv/s/%3Fa%23b", "/kv/s/%3Fa%23b"),
        ("/kv/s/%2e%2e", "/kv/s/%2E."),
    ] {
        assert_eq!(put(&app, written, "x").await.status(), 204, "{written}");
        assert_eq!(value(&app, read).await, "x", "{read}");
    }
    assert_eq!(value(&app, "/kv/s/users").await, "404 kv_not_found");
    assert_eq!(value(&app, "/kv/s/users/7/name/").await, "404 kv_not_found");
    let listed = json(app.handle(get("/kv/s")).await).await;
    let expected = json!([
        "..",
        "/",
        "/a/",
        "50%",
        "?a#b",
        "a b+c",
        "grüße",
        "users/7/name"
    ]);
    assert_eq!(listed["keys"], expected);
    let longest = "k".repeat(STATE_KEY_BYTES_MAX);
    assert_eq!(
        put(&app, &format!("/kv/s/{longest}"), "x").await.status(),
        204
    );
    assert_eq!(value(&app, &format!("/kv/s/{longest}")).await, "x");
}

#[tokio::test]
async fn what_is_no_key_and_no_store_is_refused() {
    let (app, _) = app();
    put(&app, "/kv/s/kept", "x").await;
    for key in [
        "k".repeat(STATE_KEY_BYTES_MAX + 1),
        "k".repeat(10 * 1024),
        "%C3%BC".repeat(STATE_KEY_BYTES_MAX / 2 + 1),
        "%00".to_owned(),
        "a%0Ab".to_owned(),
        "%C2%9B".to_owned(),
        "%FF".to_owned(),
    ] {
        let uri = format!("/kv/s/{key}");
        let told = "422 kv_key_invalid";
        assert_eq!(value(&app, &uri).await, told, "{uri}");
        assert_eq!(outcome(put(&app, &uri, "x").await).await, told, "{uri}");
        assert_eq!(delete(&app, &uri).await, told, "{uri}");
        let uri = format!("{uri}?increment=1");
        assert_eq!(outcome(add(&app, &uri).await).await, told, "{uri}");
    }
    for store in ["S", "a.b", "%FF", "%2F", "..", &"s".repeat(64)] {
        let told = "422 kv_store_invalid";
        for uri in [format!("/kv/{store}"), format!("/kv/{store}/k")] {
            assert_eq!(value(&app, &uri).await, told, "{uri}");
            assert_eq!(delete(&app, &uri).await, told, "{uri}");
        }
    }
    // An empty key is no word for the whole store.
    for method in [Method::GET, Method::PUT, Method::POST, Method::DELETE] {
        let told = outcome(app.handle(request(&method, "/kv/s/", "")).await).await;
        assert_eq!(told, "404 route_unknown", "{method}");
    }
    assert_eq!(value(&app, "/kv/s/kept").await, "x");
    assert_eq!(outcome(app.handle(get("/kv/")).await).await, "200");
}

#[tokio::test]
async fn values_have_a_longest() {
    let (app, _) = app();
    let sized = |length| request(&Method::PUT, "/kv/s/k", "v".repeat(length));
    assert_eq!(outcome(app.handle(sized(1000)).await).await, "204");
    // The node's own limit, then that of the route.
    check(app.handle(sized(1001)).await, expect![[r#"
        413 Payload Too Large
        content-type: application/problem+json
        {"code":"kv_value_too_large","detail":"a value may have 1000 bytes, not 1001 (state.value_bytes_max)","status":413,"title":"Payload Too Large","type":"about:blank"}"#]]).await;
    assert_eq!(
        outcome(app.handle(sized(1024 * 1024)).await).await,
        "413 kv_value_too_large"
    );
    assert_eq!(
        outcome(app.handle(sized(1024 * 1024 + 1)).await).await,
        "413 body_too_large"
    );
    assert_eq!(value(&app, "/kv/s/k").await, "v".repeat(1000));
}

#[tokio::test]
async fn keys_come_in_pages() {
    let (app, _) = app();
    for key in ["a/1", "a/2", "a/3", "b"] {
        put(&app, &format!("/kv/s/{key}"), "x").await;
    }
    put(&app, "/kv/other/c", "x").await;
    assert_eq!(
        text(app.handle(get("/kv/s")).await).await,
        r#"{"keys":["a/1","a/2","a/3","b"]}"#
    );
    assert_eq!(
        text(app.handle(get("/kv/s?prefix=a%2F&limit=2")).await).await,
        r#"{"keys":["a/1","a/2"],"cursor":"a/2"}"#
    );
    assert_eq!(
        text(app.handle(get("/kv/s?prefix=a/&limit=2&cursor=a/2")).await).await,
        r#"{"keys":["a/3"]}"#
    );
    assert_eq!(
        text(app.handle(get("/kv/nothing")).await).await,
        r#"{"keys":[]}"#
    );
    for query in ["limit=0", "limit=1001", "limit=x", "limit=-1", "more=1"] {
        assert_eq!(
            outcome(app.handle(get(&format!("/kv/s?{query}"))).await).await,
            "400 malformed_query",
            "{query}"
        );
    }
}

#[tokio::test]
async fn stores_are_told_and_cleared() {
    let (app, _) = app();
    check(
        app.handle(get("/kv")).await,
        expect![[r#"
            200 OK
            content-type: application/json
            {"stores":[],"usage":{"bytes":0,"keys":0},"limits":{"bytes_max":5000,"keys_max":50,"value_bytes_max":1000}}"#]],
    )
    .await;
    for uri in ["/kv/default/a", "/kv/default/b", "/kv/other/long"] {
        put(&app, uri, "12345").await;
    }
    assert_eq!(
        text(app.handle(get("/kv")).await).await,
        r#"{"stores":[{"name":"default","bytes":12,"keys":2},{"name":"other","bytes":9,"keys":1}],"usage":{"bytes":21,"keys":3},"limits":{"bytes_max":5000,"keys_max":50,"value_bytes_max":1000}}"#
    );
    let clear = |uri: &'static str| app.handle(request(&Method::DELETE, uri, ""));
    check(
        clear("/kv/default").await,
        expect![[r#"
            200 OK
            content-type: application/json
            {"cleared":2}"#]],
    )
    .await;
    assert_eq!(text(clear("/kv/default").await).await, r#"{"cleared":0}"#);
    assert_eq!(value(&app, "/kv/default/a").await, "404 kv_not_found");
    assert_eq!(value(&app, "/kv/other/long").await, "12345");
}

fn unavailable() -> StateError {
    StateError::Unavailable(KvError::Unavailable {
        attempt: "write",
        source: "no answer".into(),
    })
}

/// A client that comes back by itself must not add twice.
#[tokio::test]
async fn only_reads_say_when_to_come_back_to_a_registry_that_is_away() {
    let (app, handle) = app();
    for (method, uri, retry_after) in [
        (Method::GET, "/kv", Some("1")),
        (Method::GET, "/kv/s", Some("1")),
        (Method::GET, "/kv/s/k", Some("1")),
        (Method::PUT, "/kv/s/k", None),
        (Method::DELETE, "/kv/s/k", None),
        (Method::POST, "/kv/s/k?increment=1", None),
        (Method::DELETE, "/kv/s", None),
    ] {
        handle.stores().refuse(unavailable());
        let told = app.handle(request(&method, uri, "")).await;
        assert_eq!(header(told.headers(), "retry-after"), retry_after, "{uri}");
        assert_eq!(outcome(told).await, "503 kv_unavailable", "{method} {uri}");
    }
}

/// Each refusal of the stores, as its client reads it.
#[tokio::test]
async fn refusals_have_codes() {
    let (app, handle) = app();
    let mut table = String::new();
    for error in [
        StateError::FullOfBytes {
            bytes: 4999,
            bytes_max: 5000,
        },
        StateError::FullOfKeys {
            keys: 50,
            keys_max: 50,
        },
        StateError::FullOfStores,
        StateError::RegistryFull,
        StateError::RegistryCrowded {
            bytes: 900,
            bytes_max: 1000,
        },
        StateError::TooFast { per_second: 1000 },
        StateError::TooManyBytes {
            bytes_per_second: 1_048_576,
        },
        StateError::TooMany,
        StateError::Cursor,
        StateError::Contended("k".to_owned()),
        StateError::Missing("the space was deleted"),
        unavailable(),
    ] {
        handle.stores().refuse(error);
        let told = shown(put(&app, "/kv/s/k", "x").await).await;
        table.push_str(&format!("{told}\n\n"));
    }
    expect![[r#"
        507 Insufficient Storage
        content-type: application/problem+json
        {"code":"kv_full","detail":"the stores of this space may hold 5000 bytes, and hold 4999 (state.bytes_max)","status":507,"title":"Insufficient Storage","type":"about:blank"}

        507 Insufficient Storage
        content-type: application/problem+json
        {"code":"kv_full","detail":"the stores of this space may hold 50 entries, and hold 50 (state.keys_max)","status":507,"title":"Insufficient Storage","type":"about:blank"}

        507 Insufficient Storage
        content-type: application/problem+json
        {"code":"kv_full","detail":"a space may have 1000 stores: clear one before you begin another","status":507,"title":"Insufficient Storage","type":"about:blank"}

        503 Service Unavailable
        content-type: application/problem+json
        {"code":"registry_full","detail":"the registry is full: nothing was written; delete something, or give it more room","status":503,"title":"Service Unavailable","type":"about:blank"}

        503 Service Unavailable
        content-type: application/problem+json
        {"code":"registry_full","detail":"the registry holds 900 of at most 1000 bytes, and stores may not fill it: delete something, or give the registry more room","status":503,"title":"Service Unavailable","type":"about:blank"}

        429 Too Many Requests
        content-type: application/problem+json
        retry-after: 1
        {"code":"kv_too_fast","detail":"the stores of this space may be written 1000 times a second on this node (state.writes_per_second)","status":429,"title":"Too Many Requests","type":"about:blank"}

        429 Too Many Requests
        content-type: application/problem+json
        retry-after: 1
        {"code":"kv_too_fast","detail":"1048576 bytes a second may be written to the stores of this space on this node (state.write_bytes_per_second)","status":429,"title":"Too Many Requests","type":"about:blank"}

        429 Too Many Requests
        content-type: application/problem+json
        retry-after: 1
        {"code":"kv_too_many","detail":"an invocation may make 10000 operations on stores","status":429,"title":"Too Many Requests","type":"about:blank"}

        422 Unprocessable Entity
        content-type: application/problem+json
        {"code":"kv_cursor_invalid","detail":"the cursor is none that a listing of this store has given","status":422,"title":"Unprocessable Entity","type":"about:blank"}

        503 Service Unavailable
        content-type: application/problem+json
        retry-after: 1
        {"code":"kv_contended","detail":"others changed the entry \"k\" all the time: try again later","status":503,"title":"Service Unavailable","type":"about:blank"}

        404 Not Found
        content-type: application/problem+json
        {"code":"kv_missing","detail":"there are no stores here: the space was deleted","status":404,"title":"Not Found","type":"about:blank"}

        503 Service Unavailable
        content-type: application/problem+json
        {"code":"kv_unavailable","detail":"the stores were not reached: the registry failed to write: no answer","status":503,"title":"Service Unavailable","type":"about:blank"}

    "#]]
    .assert_eq(&table);
    for uri in ["/kv", "/kv/s", "/kv/s/k"] {
        handle
            .stores()
            .refuse(StateError::Contended("k".to_owned()));
        assert_eq!(value(&app, uri).await, "503 kv_contended", "{uri}");
    }
    handle
        .stores()
        .refuse(StateError::Contended("k".to_owned()));
    assert_eq!(delete(&app, "/kv/s").await, "503 kv_contended");
}

/// An application has stores of its own, and so has each account.
#[tokio::test]
async fn spaces_share_no_store() {
    let (app, _) = app();
    let made = request(&Method::POST, "/apps", r#"{"name":"shop"}"#);
    assert_eq!(app.handle(made).await.status(), 201);
    put(&app, "/kv/default/k", "node").await;
    assert_eq!(
        value(&app, "/apps/shop/kv/default/k").await,
        "404 kv_not_found"
    );
    put(&app, "/apps/shop/kv/default/k/", "shop").await;
    assert_eq!(value(&app, "/apps/shop/kv/default/k/").await, "shop");
    assert_eq!(value(&app, "/kv/default/k/").await, "404 kv_not_found");
    assert_eq!(value(&app, "/kv/default/k").await, "node");
    let listed = json(app.handle(get("/apps/shop/kv/")).await).await;
    assert_eq!(listed["usage"], json!({"bytes": 6, "keys": 1}));
    let nobody = "404 application_unknown";
    assert_eq!(value(&app, "/apps/nobody/kv/default/k").await, nobody);

    let (app, _, accounts) = app_with_accounts(true, false);
    let mut tokens = Vec::new();
    for email in ["ada@example.org", "bob@example.org"] {
        accounts.add(email, "correct horse battery", Role::User);
        let token = accounts.add_token(email, Scopes::ALL);
        tokens.push(format!("Bearer {token}"));
    }
    let asked = |request, token: &String| with(request, &[("authorization", token.as_str())]);
    let written = asked(request(&Method::PUT, "/kv/s/k", "ada"), &tokens[0]);
    assert_eq!(app.handle(written).await.status(), 204);
    let read = app.handle(asked(get("/kv/s/k"), &tokens[0])).await;
    assert_eq!(text(read).await, "ada");
    let foreign = app.handle(asked(get("/kv/s/k"), &tokens[1])).await;
    assert_eq!(outcome(foreign).await, "404 kv_not_found");
}

/// The scope of callers reads stores, and changes nothing.
#[tokio::test]
async fn writing_needs_the_scope_of_deploys() {
    let (app, _, accounts) = app_with_accounts(true, false);
    accounts.add("ada@example.org", "correct horse battery", Role::User);
    let reader = accounts.add_token("ada@example.org", Scopes::parse(["invoke"]).unwrap());
    let writer = accounts.add_token("ada@example.org", Scopes::parse(["deploy"]).unwrap());
    let ask = async |method: Method, uri: &str, token: &str| {
        let bearer = format!("Bearer {token}");
        let asked = with(request(&method, uri, "1"), &[("authorization", &bearer)]);
        outcome(app.handle(asked).await).await
    };
    assert_eq!(ask(Method::PUT, "/kv/s/k", &writer).await, "204");
    assert_eq!(ask(Method::GET, "/kv/s/k", &reader).await, "200");
    assert_eq!(ask(Method::HEAD, "/kv/s/k", &reader).await, "200");
    assert_eq!(ask(Method::GET, "/kv/s", &reader).await, "200");
    assert_eq!(ask(Method::GET, "/kv", &reader).await, "200");
    for (method, uri) in [
        (Method::PUT, "/kv/s/k"),
        (Method::POST, "/kv/s/k?increment=1"),
        (Method::DELETE, "/kv/s/k"),
        (Method::DELETE, "/kv/s"),
    ] {
        assert_eq!(
            ask(method.clone(), uri, &reader).await,
            "403 forbidden",
            "{method} {uri}"
        );
    }
    assert_eq!(ask(Method::GET, "/kv/s/k", &writer).await, "403 forbidden");
}
