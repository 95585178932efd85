//! Untrusted content: a function's response is hostile, and the request that it sees must not hold the node's own
//! secrets (`docs/security.md`).

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::header::{
    AUTHORIZATION, CONNECTION, CONTENT_SECURITY_POLICY, COOKIE, X_CONTENT_TYPE_OPTIONS,
};
use http::{HeaderMap, HeaderName, HeaderValue};
use http_body::{Frame, SizeHint};
use serverledge_core::{BodyError, HttpBody};

/// Names of the node's own cookies begin so.
const COOKIE_PREFIXES: [&str; 2] = ["serverledge_", "__Host-serverledge"];
/// The node's own tokens begin so.
const TOKEN_PREFIX: &str = "slt_";

/// Headers that would let a function act on the node's origin or connection.
const DROPPED: [HeaderName; 9] = [
    http::header::SET_COOKIE,
    http::header::STRICT_TRANSPORT_SECURITY,
    http::header::CONNECTION,
    http::header::TRANSFER_ENCODING,
    http::header::UPGRADE,
    HeaderName::from_static("service-worker-allowed"),
    HeaderName::from_static("clear-site-data"),
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("alt-svc"),
];

/// Headers between this client and this node only (RFC 9110 §7.6.1).
const HOP_BY_HOP: [HeaderName; 7] = [
    http::header::CONNECTION,
    http::header::TE,
    http::header::TRANSFER_ENCODING,
    http::header::UPGRADE,
    http::header::PROXY_AUTHORIZATION,
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-connection"),
];

/// Cleans a response that a function shaped.
pub(crate) fn clean_response(headers: &mut HeaderMap) {
    for name in &DROPPED {
        headers.remove(name);
    }
    let cors: Vec<HeaderName> = headers
        .keys()
        .filter(|name| name.as_str().starts_with("access-control-"))
        .cloned()
        .collect();
    for name in cors {
        headers.remove(name);
    }
    mark(headers);
}

/// Headers that reach beyond an application's own host name, or beyond its responses.
const DROPPED_ON_OWN_HOST: [HeaderName; 6] = [
    http::header::CONNECTION,
    http::header::TRANSFER_ENCODING,
    http::header::UPGRADE,
    // It clears the cookies of the whole registrable domain, the node's among them.
    HeaderName::from_static("clear-site-data"),
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("alt-svc"),
];

/// Cleans a response of an application that its owner gave its origin back, on a host name of its own: what stays within
/// that origin stays.
pub(crate) fn clean_response_on_own_host(headers: &mut HeaderMap) {
    for name in &DROPPED_ON_OWN_HOST {
        headers.remove(name);
    }
    headers.remove(http::header::ACCESS_CONTROL_ALLOW_CREDENTIALS);
    if let http::header::Entry::Occupied(cookies) = headers.entry(http::header::SET_COOKIE) {
        let kept: Vec<HeaderValue> = cookies
            .remove_entry_mult()
            .1
            .filter(is_own_cookie)
            .collect();
        for cookie in kept {
            headers.append(http::header::SET_COOKIE, cookie);
        }
    }
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
}

/// A cookie for this host name alone, which cannot be taken for one of the node's.
fn is_own_cookie(cookie: &HeaderValue) -> bool {
    let Ok(text) = cookie.to_str() else {
        return false;
    };
    let mut parts = text.split(';').map(str::trim);
    let name = parts.next().unwrap_or_default();
    let lower = name.to_ascii_lowercase();
    let is_the_nodes = COOKIE_PREFIXES
        .iter()
        .any(|prefix| lower.starts_with(&prefix.to_ascii_lowercase()));
    let attribute = |part: &str| {
        part.split('=')
            .next()
            .unwrap_or_default()
            .trim()
            .to_ascii_lowercase()
    };
    !is_the_nodes && !parts.any(|part| attribute(part) == "domain")
}

/// A function's body, whose trailers hold nothing that its headers may not hold: they are fields of its response too.
pub(crate) struct FunctionBody(pub(crate) HttpBody);

impl http_body::Body for FunctionBody {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let mut frame = std::task::ready!(self.0.as_mut().poll_frame(cx));
        if let Some(Ok(frame)) = &mut frame
            && let Some(trailers) = frame.trailers_mut()
        {
            clean_response(trailers);
            trailers.remove(CONTENT_SECURITY_POLICY);
            trailers.remove(X_CONTENT_TYPE_OPTIONS);
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.0.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.0.size_hint()
    }
}

/// Marks a response that a function influenced: no access to the node's origin, no guessing of types.
pub(crate) fn mark(headers: &mut HeaderMap) {
    headers.insert(
        CONTENT_SECURITY_POLICY,
        HeaderValue::from_static("sandbox allow-scripts"),
    );
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
}

/// Takes away what is of one connection only.
pub(crate) fn strip_hop_by_hop(headers: &mut HeaderMap) {
    for name in named_by_connection(headers).iter().chain(&HOP_BY_HOP) {
        headers.remove(name);
    }
}

/// Cleans a request before a function sees it.
pub(crate) fn clean_request(headers: &mut HeaderMap) {
    strip_hop_by_hop(headers);
    if headers.get_all(AUTHORIZATION).iter().any(is_own_token) {
        headers.remove(AUTHORIZATION);
    }
    if headers.contains_key(COOKIE) {
        let kept = foreign_cookies(headers);
        headers.remove(COOKIE);
        if let Some(value) = HeaderValue::from_str(&kept)
            .ok()
            .filter(|value| !value.is_empty())
        {
            headers.insert(COOKIE, value);
        }
    }
}

/// Headers that a sender declares to be of this connection only.
fn named_by_connection(headers: &HeaderMap) -> Vec<HeaderName> {
    let values = headers
        .get_all(CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok());
    values
        .flat_map(|value| value.split(','))
        .filter_map(|name| name.trim().parse().ok())
        .collect()
}

/// Schemes have no case, and any white space may follow them (RFC 9110 §11.1).
fn is_own_token(value: &HeaderValue) -> bool {
    let text = String::from_utf8_lossy(value.as_bytes());
    let mut words = text.split_ascii_whitespace();
    words
        .next()
        .is_some_and(|scheme| scheme.eq_ignore_ascii_case("bearer"))
        && words.any(|word| word.starts_with(TOKEN_PREFIX))
}

fn foreign_cookies(headers: &HeaderMap) -> String {
    let all = headers
        .get_all(COOKIE)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(';'));
    let foreign = all.map(str::trim).filter(|cookie| {
        !COOKIE_PREFIXES
            .iter()
            .any(|prefix| cookie.starts_with(prefix))
    });
    foreign.collect::<Vec<_>>().join("; ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn functions_see_no_secrets_of_the_node() {
        let mut headers = HeaderMap::new();
        headers.insert(AUTHORIZATION, HeaderValue::from_static("Bearer slt_secret"));
        headers.append(
            COOKIE,
            HeaderValue::from_static("a=1; serverledge_session=s; b=2"),
        );
        headers.append(COOKIE, HeaderValue::from_static("__Host-serverledge=t"));
        headers.insert("connection", HeaderValue::from_static("close"));
        clean_request(&mut headers);
        assert_eq!(headers.len(), 1);
        assert_eq!(headers[COOKIE], "a=1; b=2");
    }

    #[test]
    fn on_a_host_of_its_own_a_function_keeps_what_stays_there() {
        let mut headers = HeaderMap::new();
        for cookie in [
            "a=1; Path=/; HttpOnly",
            "b=2; Domain=localhost",
            "c=3; domain =.apps.example",
            "serverledge_session=s",
            " Serverledge_x=s",
        ] {
            headers.append("set-cookie", HeaderValue::from_static(cookie));
        }
        for name in [
            "clear-site-data",
            "access-control-allow-credentials",
            "content-security-policy",
            "connection",
        ] {
            headers.insert(HeaderName::from_static(name), HeaderValue::from_static("x"));
        }
        clean_response_on_own_host(&mut headers);
        let cookies: Vec<_> = headers.get_all("set-cookie").iter().collect();
        assert_eq!(cookies, ["a=1; Path=/; HttpOnly"]);
        assert_eq!(headers["content-security-policy"], "x");
        assert_eq!(headers.len(), 3, "{headers:?}");
    }

    #[tokio::test]
    async fn trailers_are_clean_too() {
        use http_body_util::BodyExt as _;

        let mut last = HeaderMap::new();
        for name in [
            "set-cookie",
            "access-control-allow-origin",
            "alt-svc",
            "x-own",
        ] {
            last.insert(HeaderName::from_static(name), HeaderValue::from_static("*"));
        }
        let whole = http_body_util::Full::new(Bytes::from_static(b"text"))
            .map_err(|never| match never {})
            .with_trailers(std::future::ready(Some(Ok(last))));
        let body = FunctionBody(Box::pin(whole));
        let collected = body.collect().await.unwrap();
        let trailers = collected.trailers().unwrap();
        assert_eq!(trailers.keys().collect::<Vec<_>>(), ["x-own"]);
        assert_eq!(collected.to_bytes(), "text");
    }

    #[test]
    fn functions_cannot_touch_the_nodes_origin() {
        let mut headers = HeaderMap::new();
        for name in [
            "set-cookie",
            "access-control-allow-origin",
            "clear-site-data",
            "content-security-policy",
        ] {
            headers.insert(HeaderName::from_static(name), HeaderValue::from_static("*"));
        }
        headers.insert("x-own", HeaderValue::from_static("kept"));
        clean_response(&mut headers);
        assert_eq!(headers.len(), 3);
        assert_eq!(headers[CONTENT_SECURITY_POLICY], "sandbox allow-scripts");
        assert_eq!(headers["x-own"], "kept");
    }
}
