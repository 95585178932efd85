//! A node below a path of a proxy's host: what it says of its own client is believed of a trusted proxy only.

use std::sync::Arc;

use serverledge_api::{Access, App, OriginPolicy, ServerLimits, Serving, serve};
use serverledge_core::Accounts;
use serverledge_testing::accounts::FakeAccounts;
use tokio::net::TcpListener;

use crate::backend::{FakeBackend, Handle};
use crate::http_function::seen;
use crate::server::{Client, PATIENCE};
use crate::support::LIMITS;

/// A node that trusts proxies on this machine, or none.
async fn served(trusted: bool, secure_cookies: bool) -> Serving {
    served_and_seen(trusted, secure_cookies).await.0
}

async fn served_and_seen(trusted: bool, secure_cookies: bool) -> (Serving, Handle) {
    let (backend, handle) = FakeBackend::node();
    let guard = OriginPolicy::new("127.0.0.1".parse().unwrap(), Vec::new());
    let trusted_proxies = if trusted {
        vec!["127.0.0.0/8".parse().unwrap()]
    } else {
        Vec::new()
    };
    let accounts = Some(FakeAccounts::new() as Arc<dyn Accounts>);
    let access = Access {
        accounts,
        required: false,
        secure_cookies,
        trusted_proxies,
    };
    let app = App::new(backend, guard, access, LIMITS);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let limits = ServerLimits {
        connections_max: 10,
        header_timeout: PATIENCE,
    };
    (serve(listener, app, limits).unwrap(), handle)
}

async fn ask(serving: &Serving, method: &str, path: &str, body: &str) -> (String, String) {
    let mut client = Client::connect(serving).await;
    let head = format!("{method} {path} HTTP/1.1\r\nhost: localhost\r\nx-forwarded-prefix: /faas");
    let length = body.len();
    client
        .send(&format!("{head}\r\ncontent-length: {length}\r\n\r\n{body}"))
        .await;
    client.response().await
}

#[tokio::test]
async fn places_begin_with_the_prefix_again() {
    for trusted in [true, false] {
        let serving = served(trusted, false).await;
        let before = if trusted { "/faas" } else { "" };
        let (head, body) = ask(&serving, "POST", "/functions/json/invocations", "{}").await;
        assert!(
            head.contains(&format!("location: {before}/invocations/")),
            "{head}{body}"
        );
        let (head, _) = ask(&serving, "GET", "/docs", "").await;
        assert!(
            head.contains("303") || head.contains("307") || head.contains("308"),
            "{head}"
        );
        assert!(
            head.contains(&format!("location: {before}/docs/")),
            "{head}"
        );
        let (_, document) = ask(&serving, "GET", "/openapi.json", "").await;
        let document: serde_json::Value = serde_json::from_str(&document).unwrap();
        let servers = trusted.then(|| serde_json::json!([{ "url": "/faas" }]));
        assert_eq!(document.get("servers").cloned(), servers);
        let (_, words) = ask(&serving, "GET", "/", "").await;
        assert!(words.contains(&format!("\n{before}/docs ")), "{words}");
    }
}

/// They find what they load beside themselves, wherever that is.
#[tokio::test]
async fn pages_name_no_place_from_the_root() {
    let serving = served(false, false).await;
    for (page, wanted) in [
        ("/docs/swagger-initializer.js", "../openapi.json"),
        ("/account/reset", "src=\"page.js\""),
        ("/account/confirm", "data-to=\"confirm\""),
    ] {
        let (head, text) = ask(&serving, "GET", page, "").await;
        assert!(head.starts_with("http/1.1 200"), "{head}");
        assert!(
            text.contains(wanted) && !text.contains("=\"/") && !text.contains("\"/openapi.json"),
            "{page}: {text}"
        );
    }
    let (_, page) = ask(&serving, "GET", "/docs/", "").await;
    assert!(!page.contains("=\"/"), "{page}");
}

#[tokio::test]
async fn the_scheme_is_believed_of_a_trusted_proxy() {
    let https = Some(http::uri::Scheme::HTTPS);
    for (trusted, said, expected) in [
        (true, "https", &https),
        (true, "HTTPS, http", &https),
        (true, "http", &None),
        (true, "gopher", &None),
        (false, "https", &None),
    ] {
        let (serving, handle) = served_and_seen(trusted, false).await;
        let mut client = Client::connect(&serving).await;
        client
            .send(&format!(
                "GET /fn/http HTTP/1.1\r\nhost: localhost\r\nx-forwarded-proto: {said}\r\n\r\n"
            ))
            .await;
        client.response().await;
        assert_eq!(
            seen(&handle).extensions().get::<http::uri::Scheme>(),
            expected.as_ref(),
            "{trusted} {said}"
        );
    }
}
