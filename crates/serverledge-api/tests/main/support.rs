//! Requests to an application over the fake node, and responses as text.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use bytes::Bytes;
use expect_test::Expect;
use http::{Method, Request, Response};
use http_body_util::{BodyExt as _, Empty};
use serde_json::Value;
use serverledge_api::{Access, App, Limits, OriginPolicy};
use serverledge_core::Accounts;
use serverledge_testing::accounts::FakeAccounts;

use crate::backend::{FakeBackend, Handle};

pub(crate) const LIMITS: Limits = Limits {
    code_body_bytes_max: 2000,
    params_body_bytes_max: 1000,
    body_timeout: Duration::from_secs(10),
    concurrency_max: 3,
};

/// Headers that an error's snapshot shows.
const SHOWN: [&str; 7] = [
    "content-type",
    "allow",
    "retry-after",
    "www-authenticate",
    "content-security-policy",
    "x-content-type-options",
    "serverledge-node-name",
];

/// A body without bytes.
pub(crate) fn empty()
-> impl http_body::Body<Data = Bytes, Error = serverledge_core::BodyError> + Send {
    Empty::new().map_err(|never: std::convert::Infallible| match never {})
}

/// An application that answers to `localhost`, and its node.
pub(crate) fn app() -> (App, Handle) {
    let (backend, handle) = FakeBackend::node();
    let guard = OriginPolicy::new(
        "127.0.0.1".parse().unwrap(),
        vec!["edge.example".to_owned()],
    );
    (App::new(backend, guard, Access::open(), LIMITS), handle)
}

/// The same over TLS.
pub(crate) fn app_over_tls() -> (App, Handle) {
    let (backend, handle) = FakeBackend::node();
    let guard = OriginPolicy::new("127.0.0.1".parse().unwrap(), Vec::new()).over_tls(true);
    (App::new(backend, guard, Access::open(), LIMITS), handle)
}

/// The same with room for large bodies.
pub(crate) fn roomy_app() -> (App, Handle) {
    let (backend, handle) = FakeBackend::node();
    let guard = OriginPolicy::new("127.0.0.1".parse().unwrap(), Vec::new());
    let limits = Limits {
        code_body_bytes_max: 1 << 20,
        params_body_bytes_max: 1 << 20,
        ..LIMITS
    };
    (App::new(backend, guard, Access::open(), limits), handle)
}

/// The same with accounts, over TLS or not.
pub(crate) fn app_with_accounts(required: bool, secure: bool) -> (App, Handle, Arc<FakeAccounts>) {
    let (backend, handle) = FakeBackend::node();
    let accounts = FakeAccounts::new();
    let access = Access {
        accounts: Some(Arc::clone(&accounts) as Arc<dyn Accounts>),
        required,
        secure_cookies: secure,
        trusted_proxies: Vec::new(),
    };
    let guard = OriginPolicy::new("127.0.0.1".parse().unwrap(), Vec::new());
    (App::new(backend, guard, access, LIMITS), handle, accounts)
}

/// A request of a client that is no browser.
pub(crate) fn request(method: &Method, uri: &str, body: impl Into<Body>) -> Request<Body> {
    Request::builder()
        .method(method)
        .uri(uri)
        .header("host", "localhost:1323")
        .body(body.into())
        .unwrap()
}

pub(crate) fn get(uri: &str) -> Request<Body> {
    request(&Method::GET, uri, Body::empty())
}

pub(crate) fn post(uri: &str, body: impl Into<Body>) -> Request<Body> {
    request(&Method::POST, uri, body)
}

pub(crate) fn with(mut request: Request<Body>, headers: &[(&'static str, &str)]) -> Request<Body> {
    for (name, value) in headers {
        request.headers_mut().append(*name, value.parse().unwrap());
    }
    request
}

/// A body that comes in these pieces, so that its length is not known before.
pub(crate) fn pieces(pieces: &[&'static str]) -> Body {
    let pieces: Vec<Result<&'static str, std::io::Error>> =
        pieces.iter().map(|piece| Ok(*piece)).collect();
    Body::from_stream(futures_util::stream::iter(pieces))
}

pub(crate) async fn text(response: Response<Body>) -> String {
    String::from_utf8(
        response
            .into_body()
            .collect()
            .await
            .unwrap()
            .to_bytes()
            .to_vec(),
    )
    .unwrap()
}

pub(crate) async fn json(response: Response<Body>) -> Value {
    serde_json::from_str(&text(response).await).unwrap()
}

/// The response as text; the request id is checked to be the same in header and body, and left out.
pub(crate) async fn shown(response: Response<Body>) -> String {
    let status = response.status();
    let headers = response.headers().clone();
    let id = headers["x-request-id"].to_str().unwrap().to_owned();
    let body = text(response).await;
    let body = match serde_json::from_str::<Value>(&body) {
        Ok(mut body) if body.get("request_id").is_some() => {
            assert_eq!(
                body["request_id"],
                Value::String(id),
                "the ids in header and body differ"
            );
            body.as_object_mut().unwrap().remove("request_id");
            body.to_string()
        }
        _ => body,
    };
    let headers = SHOWN.iter().filter_map(|name| {
        Some(format!(
            "{name}: {}\n",
            headers.get(*name)?.to_str().unwrap()
        ))
    });
    format!("{status}\n{}{body}", headers.collect::<String>())
}

pub(crate) async fn check(response: Response<Body>, expected: Expect) {
    expected.assert_eq(&shown(response).await);
}

/// Status and code of a problem on one line; only the status of anything else.
pub(crate) async fn outcome(response: Response<Body>) -> String {
    let status = response.status().as_u16();
    let is_problem = response
        .headers()
        .get("content-type")
        .is_some_and(|value| value == "application/problem+json");
    if !is_problem {
        return status.to_string();
    }
    format!(
        "{status} {}",
        json(response).await["code"].as_str().unwrap()
    )
}
