//! Routes about the node itself.

use std::sync::Arc;

use axum::Extension;
use axum::body::Body;
use axum::extract::State;
use http::{Response, StatusCode};
use serverledge_wire::status::StatusInformation;

use crate::app::{Admitted, Shared};
use crate::error::Failed;
use crate::reply;

pub(crate) const TEXT: &str = "text/plain; charset=utf-8";
/// Prometheus' text format.
pub(crate) const METRICS: &str = "text/plain; version=0.0.4; charset=utf-8";

/// A few words for whoever opens the node in a browser.
pub(crate) async fn index(State(shared): State<Arc<Shared>>) -> Response<Body> {
    let identity = shared.backend.identity();
    let words = format!(
        "This is a Serverledge node: {} in area {}.\n\n\
         /docs          the API, to read and to try\n\
         /openapi.json  the same for programs\n\
         /functions     deployed functions\n\
         /fn/NAME       a function as plain HTTP\n\
         /status        the node's figures\n\
         /metrics       the same for Prometheus\n",
        identity.node, identity.area
    );
    reply::text(StatusCode::OK, TEXT, words)
}

/// The node's figures, in Serverledge's words.
#[utoipa::path(get, path = "/status", tag = "node", responses((status = 200, body = StatusInformation)))]
pub(crate) async fn status(State(shared): State<Arc<Shared>>) -> Response<Body> {
    reply::json(&shared.backend.status())
}

/// Metrics in the Prometheus text format.
#[utoipa::path(
    get, path = "/metrics", tag = "node",
    responses((status = 200, description = "metrics"), (status = 404, description = "metrics.enabled is false"))
)]
pub(crate) async fn metrics(
    State(shared): State<Arc<Shared>>,
    Extension(asked): Extension<Admitted>,
) -> Response<Body> {
    match shared.backend.metrics() {
        Some(metrics) => reply::text(StatusCode::OK, METRICS, metrics),
        None => Failed::new(
            StatusCode::NOT_FOUND,
            "metrics_disabled",
            "metrics.enabled is false on this node",
        )
        .into_response(asked.request_id()),
    }
}

/// Whether the process is alive.
#[utoipa::path(get, path = "/healthz", tag = "node", security(()), responses((status = 200, description = "alive")))]
pub(crate) async fn healthz() -> Response<Body> {
    reply::text(StatusCode::OK, TEXT, "ok\n")
}

/// Whether new requests should be sent here.
#[utoipa::path(
    get, path = "/readyz", tag = "node", security(()),
    responses((status = 200, description = "ready"), (status = 503, description = "starting or draining"))
)]
pub(crate) async fn readyz(State(shared): State<Arc<Shared>>) -> Response<Body> {
    if shared.backend.ready() {
        reply::text(StatusCode::OK, TEXT, "ready\n")
    } else {
        reply::text(
            StatusCode::SERVICE_UNAVAILABLE,
            TEXT,
            "not ready: starting or draining\n",
        )
    }
}
