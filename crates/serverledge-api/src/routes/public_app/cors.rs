//! The pages of other origins that may use an application (Fetch Standard §3.2): never with credentials.

use axum::body::Body;
use http::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
    ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE, ACCESS_CONTROL_REQUEST_HEADERS, ALLOW,
    ORIGIN, VARY,
};
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode};
use serverledge_core::Cors;

use crate::request::origin::OriginPolicy;
use crate::response::problem::ApiError;

/// Headers of ours that pages may read.
const EXPOSED: HeaderValue = HeaderValue::from_static(
    "retry-after, server-timing, serverledge-cache, serverledge-cache-ignored, x-request-id",
);
/// Longest time that browsers may remember the answer to a preflight: a changed setting holds within ten minutes.
const MAX_AGE: HeaderValue = HeaderValue::from_static("600");
/// Longest list of headers that a preflight is answered with.
const ASKED_BYTES_MAX: usize = 1024;

/// The decision of an application's setting on the page behind a request.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct CorsDecision {
    /// The origin that may read the answer.
    allowed: Option<HeaderValue>,
    /// Whether another page would have another answer.
    varies: bool,
}

impl CorsDecision {
    pub(super) fn of(cors: &Cors, headers: &HeaderMap) -> Self {
        match cors {
            Cors::Closed => Self::default(),
            Cors::Any => Self {
                allowed: Some(HeaderValue::from_static("*")),
                varies: false,
            },
            Cors::Origins(origins) => {
                let mut given = headers.get_all(ORIGIN).iter();
                let origin = given
                    .next()
                    .filter(|_| given.next().is_none())
                    .and_then(|origin| origin.to_str().ok());
                let known = origin
                    .and_then(|origin| origins.iter().find(|one| one.eq_ignore_ascii_case(origin)));
                let allowed = known
                    .and(origin)
                    .and_then(|origin| HeaderValue::from_str(origin).ok());
                Self {
                    allowed,
                    varies: true,
                }
            }
        }
    }

    /// Refuses what a page of another origin sends unasked: it could not read the answer, but the function would run. A link
    /// that somebody follows is no such request.
    pub(super) fn check(
        &self,
        origins: &OriginPolicy,
        request: &Request<Body>,
    ) -> Result<(), ApiError> {
        if self.allowed.is_some() || is_navigation(request) {
            return Ok(());
        }
        origins.check_origin(request.uri(), request.headers()).map_err(|_| {
            let detail = "this application takes no requests from pages of other origins; its owner can allow them";
            ApiError::new(StatusCode::FORBIDDEN, "cross_origin", detail)
        })
    }

    pub(super) fn add(self, headers: &mut HeaderMap) {
        if self.varies {
            headers.append(VARY, HeaderValue::from_static("origin"));
        }
        if let Some(origin) = self.allowed {
            headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin);
            headers.insert(ACCESS_CONTROL_EXPOSE_HEADERS, EXPOSED);
        }
    }

    /// The answer to `OPTIONS`; whether the page may go on is in what [`CorsDecision::add`] adds.
    pub(super) fn preflight(&self, methods: &str, headers: &HeaderMap) -> Response<Body> {
        let mut response = Response::new(Body::empty());
        *response.status_mut() = StatusCode::NO_CONTENT;
        let Ok(methods) = HeaderValue::from_str(methods) else {
            return response;
        };
        let answer = response.headers_mut();
        if self.allowed.is_some() {
            answer.insert(ACCESS_CONTROL_ALLOW_METHODS, methods.clone());
            answer.insert(ACCESS_CONTROL_MAX_AGE, MAX_AGE);
            let asked = headers
                .get(ACCESS_CONTROL_REQUEST_HEADERS)
                .filter(|asked| asked.len() <= ASKED_BYTES_MAX);
            if let Some(asked) = asked {
                answer.insert(ACCESS_CONTROL_ALLOW_HEADERS, asked.clone());
                answer.append(
                    VARY,
                    HeaderValue::from_static("access-control-request-headers"),
                );
            }
        }
        answer.insert(ALLOW, methods);
        response
    }
}

fn is_navigation(request: &Request<Body>) -> bool {
    let mut modes = request.headers().get_all("sec-fetch-mode").iter();
    let navigates = modes.next().is_some_and(|mode| mode == "navigate") && modes.next().is_none();
    navigates
        && matches!(*request.method(), Method::GET | Method::HEAD)
        && request
            .headers()
            .get("sec-fetch-dest")
            .is_some_and(|dest| dest == "document")
        && !request.headers().contains_key(ORIGIN)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn allowed(cors: &Cors, origins: &[&'static str]) -> Option<HeaderValue> {
        let mut map = HeaderMap::new();
        for origin in origins {
            map.append(ORIGIN, HeaderValue::from_static(origin));
        }
        CorsDecision::of(cors, &map).allowed
    }

    #[test]
    fn only_listed_origins_are_named() {
        let some = Cors::Origins(vec![
            "https://shop.example".to_owned(),
            "http://a.example:8080".to_owned(),
        ]);
        for good in [
            "https://shop.example",
            "https://SHOP.example",
            "http://a.example:8080",
        ] {
            assert_eq!(
                allowed(&some, &[good]),
                Some(HeaderValue::from_static(good))
            );
        }
        for bad in [
            "null",
            "http://shop.example",
            "https://shop.example.evil",
            "https://evil.example",
            "*",
            "",
        ] {
            assert_eq!(allowed(&some, &[bad]), None, "{bad}");
        }
        assert_eq!(allowed(&some, &[]), None);
        assert_eq!(
            allowed(&some, &["https://shop.example", "https://evil.example"]),
            None
        );
        assert_eq!(allowed(&Cors::Closed, &["https://shop.example"]), None);
        assert_eq!(
            allowed(&Cors::Any, &["null"]),
            Some(HeaderValue::from_static("*"))
        );
    }
}
