//! Routes about the node itself.

use axum::Extension;
use axum::body::Body;
use axum::extract::State;
use http::{Response, StatusCode};
use serverledge_wire::status::StatusInformation;

use crate::backend::Readiness;
use crate::request::path_prefix::PathPrefix;
use crate::request::state::SharedState;
use crate::response::problem::{ApiError, ApiResult};
use crate::response::reply;

/// Prometheus' text format.
pub(crate) const METRICS: &str = "text/plain; version=0.0.4; charset=utf-8";

/// A few words for whoever opens the node in a browser.
pub(crate) async fn index(
    State(state): SharedState,
    prefix: Option<Extension<PathPrefix>>,
) -> Response<Body> {
    let identity = state.backend.status.identity();
    let before = prefix
        .as_ref()
        .map_or("", |Extension(prefix)| prefix.as_str());
    let words = format!(
        "This is a Serverledge node: {} in area {}.\n\n\
         {before}/console       the web console\n\
         {before}/docs          the API, to read and to try\n\
         {before}/openapi.json  the same for programs\n\
         {before}/functions     deployed functions\n\
         {before}/fn/NAME       a function as plain HTTP\n\
         {before}/status        the node's figures\n\
         {before}/metrics       the same for Prometheus\n",
        identity.node, identity.area
    );
    reply::text(StatusCode::OK, reply::TEXT, words)
}

/// The node's figures, in Serverledge's words.
#[utoipa::path(get, path = "/status", tag = "node", responses((status = 200, body = StatusInformation)))]
pub(crate) async fn status(State(state): SharedState) -> Response<Body> {
    reply::json(&state.backend.status.status())
}

/// Metrics in the Prometheus text format.
#[utoipa::path(
    get, path = "/metrics", tag = "node",
    responses((status = 200, description = "metrics"), (status = 404, description = "metrics.enabled is false"))
)]
pub(crate) async fn metrics(State(state): SharedState) -> ApiResult {
    match state.backend.status.metrics() {
        Some(metrics) => Ok(reply::text(StatusCode::OK, METRICS, metrics)),
        None => Err(ApiError::new(
            StatusCode::NOT_FOUND,
            "metrics_disabled",
            "metrics.enabled is false on this node",
        )),
    }
}

/// Whether the process is alive.
#[utoipa::path(get, path = "/healthz", tag = "node", security(()), responses((status = 200, description = "alive")))]
pub(crate) async fn healthz() -> Response<Body> {
    reply::text(StatusCode::OK, reply::TEXT, "ok\n")
}

/// Whether new requests should be sent here.
#[utoipa::path(
    get, path = "/readyz", tag = "node", security(()),
    responses(
        (status = 200, description = "ready"),
        (status = 503, description = "starting or draining; or a problem with the code preparing, while the functions that \
            were called within the last day are not all prepared")
    )
)]
pub(crate) async fn readyz(State(state): SharedState) -> ApiResult {
    match state.backend.functions.readiness() {
        Readiness::Ready => Ok(reply::text(StatusCode::OK, reply::TEXT, "ready\n")),
        Readiness::Away => Ok(reply::text(
            StatusCode::SERVICE_UNAVAILABLE,
            reply::TEXT,
            "not ready: starting or draining\n",
        )),
        Readiness::Preparing {
            prepared,
            failed,
            of,
        } => {
            let detail = format!(
                "{prepared} of {of} functions that were called lately are prepared, {failed} could not be"
            );
            Err(ApiError::new(StatusCode::SERVICE_UNAVAILABLE, "preparing", detail).after(1))
        }
    }
}
