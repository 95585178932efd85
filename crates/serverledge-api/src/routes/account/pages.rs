//! Two small pages that links in mails lead to. What the link carries stands behind `#`, which browsers tell nobody; the
//! page takes it from there and posts it. They load nothing but one script of the node's own.

use axum::body::Body;
use http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS,
    X_FRAME_OPTIONS,
};
use http::{HeaderValue, Response, StatusCode};

use crate::response::reply;

const HTML: &str = "text/html; charset=utf-8";
const POLICY: &str = "default-src 'none'; script-src 'self'; connect-src 'self'; form-action 'self'; base-uri 'none'; \
                      frame-ancestors 'none'";

/// The page for a new password.
pub(crate) async fn reset() -> Response<Body> {
    page(HTML, include_str!("reset.html"))
}

/// The page that confirms an address.
pub(crate) async fn confirm() -> Response<Body> {
    page(HTML, include_str!("confirm.html"))
}

/// The script of both.
pub(crate) async fn script() -> Response<Body> {
    page("text/javascript; charset=utf-8", include_str!("page.js"))
}

fn page(content_type: &'static str, body: &'static str) -> Response<Body> {
    let mut response = reply::text(StatusCode::OK, content_type, body);
    for (name, value) in [
        (CACHE_CONTROL, "no-store"),
        (CONTENT_SECURITY_POLICY, POLICY),
        (REFERRER_POLICY, "no-referrer"),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (X_FRAME_OPTIONS, "DENY"),
    ] {
        response
            .headers_mut()
            .insert(name, HeaderValue::from_static(value));
    }
    response
}
