//! The library with which pages run functions themselves, and the public keys of what they run. Both are the same for
//! everybody, and pages of all origins may have them.

use axum::body::Body;
use axum::extract::State;
use http::header::{ACCESS_CONTROL_ALLOW_ORIGIN, CACHE_CONTROL, X_CONTENT_TYPE_OPTIONS};
use http::{HeaderValue, Response, StatusCode};
use serverledge_wire::edge::EdgeKeys;

use crate::request::state::SharedState;
use crate::response::reply;

/// The library, built from `edge/src` by `scripts/build-edge.sh`.
const SCRIPT: &str = include_str!("../../../../edge/edge.js");
const JAVASCRIPT: &str = "text/javascript; charset=utf-8";
/// The library as an ES module.
pub(crate) async fn script() -> Response<Body> {
    shared(reply::text(StatusCode::OK, JAVASCRIPT, SCRIPT))
}

/// The public keys that manifests of functions for browsers are signed with.
#[utoipa::path(
    get, path = "/sdk/edge-keys.json", tag = "running applications", security(()),
    responses((status = 200, description = "a set of JSON Web Keys (RFC 8037)", body = EdgeKeys))
)]
pub(crate) async fn keys(State(state): SharedState) -> Response<Body> {
    shared(reply::json(&state.backend.running_apps.edge_keys()))
}

/// For everybody, and for a short time: a page may be served by another version of the node a moment later.
fn shared(mut response: Response<Body>) -> Response<Body> {
    for (name, value) in [
        (ACCESS_CONTROL_ALLOW_ORIGIN, "*"),
        (CACHE_CONTROL, "public, max-age=300"),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
    ] {
        response
            .headers_mut()
            .insert(name, HeaderValue::from_static(value));
    }
    response
}
