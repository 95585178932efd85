//! A node below a path of a proxy's host: `X-Forwarded-Prefix` of a proxy that is trusted says which path it has taken
//! away. Places that the node names begin with it again, and its session's cookie is its own among those of the host.

use axum::body::Body;
use http::header::{COOKIE, LOCATION, SET_COOKIE};
use http::{HeaderMap, HeaderName, HeaderValue, Response};

use crate::request::access::{Access, SESSION_COOKIES};
use crate::request::context::RequestContext;

/// The header, in lower case.
pub(crate) const FORWARDED_PREFIX: HeaderName = HeaderName::from_static("x-forwarded-prefix");
/// Longest prefix; proxies have short ones.
const PREFIX_BYTES_MAX: usize = 256;

/// The path before all that the client sees of the node: with a slash before and none behind it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PathPrefix(String);

impl PathPrefix {
    /// The prefix of a request, if whoever sent it is believed.
    pub(crate) fn of(
        access: &Access,
        admitted: &RequestContext,
        headers: &HeaderMap,
    ) -> Option<Self> {
        if !access.believes(admitted) {
            return None;
        }
        let mut values = headers.get_all(FORWARDED_PREFIX).iter().peekable();
        values.peek()?;
        // Proxies in a row, each with its own: the outermost comes first.
        let parts: Option<Vec<&str>> = values.map(|value| value.to_str().ok()).collect();
        Self::parse(&parts?.join(","))
    }

    fn parse(text: &str) -> Option<Self> {
        let joined: String = text
            .split(',')
            .map(|part| part.trim().trim_end_matches('/'))
            .collect();
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte);
        let good =
            |segment: &str| !matches!(segment, "" | "." | "..") && segment.bytes().all(plain);
        let is_path =
            joined.len() <= PREFIX_BYTES_MAX && joined.strip_prefix('/')?.split('/').all(good);
        is_path.then_some(Self(joined))
    }

    /// As text.
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }

    /// Turns the session's cookie of this prefix into that of the node. Another node of the host has another.
    pub(crate) fn enter(&self, headers: &mut HeaderMap) {
        if !headers.contains_key(COOKIE) {
            return;
        }
        let mut kept = Vec::new();
        for header in headers.get_all(COOKIE) {
            for cookie in header
                .as_bytes()
                .split(|byte| *byte == b';')
                .map(<[u8]>::trim_ascii)
            {
                kept.extend(self.own(cookie));
            }
        }
        headers.remove(COOKIE);
        if let Some(cookies) = HeaderValue::from_bytes(&kept.join(&b"; "[..]))
            .ok()
            .filter(|all| !all.is_empty())
        {
            headers.insert(COOKIE, cookies);
        }
    }

    /// A cookie as the node reads it; `None` if it is another node's session.
    fn own(&self, cookie: &[u8]) -> Option<Vec<u8>> {
        for name in SESSION_COOKIES {
            let Some(rest) = cookie.strip_prefix(name.as_bytes()) else {
                continue;
            };
            if rest.starts_with(b"=") {
                return None;
            }
            if let Some(value) = rest
                .strip_prefix(self.suffix().as_bytes())
                .filter(|value| value.starts_with(b"="))
            {
                return Some([name.as_bytes(), value].concat());
            }
        }
        Some(cookie.to_vec())
    }

    /// The addition to the name of the session's cookie: characters that such names may have.
    fn suffix(&self) -> String {
        self.0.replace('/', ".")
    }

    /// Places in an answer of the node's own begin with the prefix again.
    pub(crate) fn leave(&self, response: &mut Response<Body>) {
        prefix_location(self.as_str(), response);
        if let http::header::Entry::Occupied(entry) = response.headers_mut().entry(SET_COOKIE) {
            let cookies: Vec<HeaderValue> = entry
                .remove_entry_mult()
                .1
                .map(|cookie| self.named(cookie))
                .collect();
            for cookie in cookies {
                response.headers_mut().append(SET_COOKIE, cookie);
            }
        }
    }

    /// A cookie of the session under the name of this prefix. One whose name binds it to its host has no other path than `/`.
    fn named(&self, cookie: HeaderValue) -> HeaderValue {
        let Ok(text) = cookie.to_str() else {
            return cookie;
        };
        for name in SESSION_COOKIES {
            let Some(rest) = text.strip_prefix(name).filter(|rest| rest.starts_with('=')) else {
                continue;
            };
            let path = if name.starts_with("__Host-") {
                "/"
            } else {
                self.as_str()
            };
            let rest = rest.replace("; Path=/;", &format!("; Path={path};"));
            let named = HeaderValue::from_str(&format!("{name}{}{rest}", self.suffix()));
            return named.map_or(cookie, |mut named| {
                named.set_sensitive(true);
                named
            });
        }
        cookie
    }
}

/// Puts a prefix before the place that an answer names, if that is a path.
pub(crate) fn prefix_location(prefix: &str, response: &mut Response<Body>) {
    let place = response
        .headers()
        .get(LOCATION)
        .and_then(|place| place.to_str().ok());
    let own = place.filter(|place| place.starts_with('/') && !place.starts_with("//"));
    if let Some(Ok(place)) = own.map(|place| HeaderValue::from_str(&format!("{prefix}{place}"))) {
        response.headers_mut().insert(LOCATION, place);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prefix_is_a_plain_path() {
        for (text, expected) in [
            ("/faas", Some("/faas")),
            ("/faas/", Some("/faas")),
            ("/a/b", Some("/a/b")),
            ("/outer, /inner/", Some("/outer/inner")),
            ("/", None),
            ("", None),
            ("faas", None),
            ("//evil.example", None),
            ("/a//b", None),
            ("/../a", None),
            ("/a?b", None),
            ("/a\"b", None),
            ("/a b", None),
            ("/%2e%2e", None),
        ] {
            assert_eq!(
                PathPrefix::parse(text).as_ref().map(PathPrefix::as_str),
                expected,
                "{text}"
            );
        }
    }

    #[test]
    fn each_node_of_a_host_has_a_session_of_its_own() {
        let prefix = PathPrefix::parse("/faas/one").unwrap();
        let entered = |cookies: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert(COOKIE, HeaderValue::from_static(cookies));
            prefix.enter(&mut headers);
            headers
                .get(COOKIE)
                .map_or(String::new(), |all| all.to_str().unwrap().to_owned())
        };
        assert_eq!(
            entered("a=1; serverledge_session.faas.one=s"),
            "a=1; serverledge_session=s"
        );
        assert_eq!(
            entered("serverledge_session=root; serverledge_session.faas.one=s"),
            "serverledge_session=s"
        );
        assert_eq!(
            entered("__Host-serverledge_session.faas.one=s"),
            "__Host-serverledge_session=s"
        );
        assert_eq!(entered("serverledge_session=root"), "");
        assert_eq!(
            entered("serverledge_session.faas.two=s"),
            "serverledge_session.faas.two=s"
        );
        for (cookie, expected) in [
            (
                "serverledge_session=s; Max-Age=9; Path=/; HttpOnly; SameSite=Strict",
                "serverledge_session.faas.one=s; Max-Age=9; Path=/faas/one; HttpOnly; SameSite=Strict",
            ),
            (
                "__Host-serverledge_session=; Max-Age=0; Path=/; Secure; HttpOnly; SameSite=Strict",
                "__Host-serverledge_session.faas.one=; Max-Age=0; Path=/; Secure; HttpOnly; SameSite=Strict",
            ),
            ("other=1; Path=/", "other=1; Path=/"),
        ] {
            let mut response = Response::new(Body::empty());
            response
                .headers_mut()
                .insert(SET_COOKIE, HeaderValue::from_static(cookie));
            response
                .headers_mut()
                .insert(LOCATION, HeaderValue::from_static("/docs/"));
            prefix.leave(&mut response);
            assert_eq!(response.headers()[SET_COOKIE], expected);
            assert_eq!(response.headers()[LOCATION], "/faas/one/docs/");
        }
    }
}
