//! The routes of other nodes. They stand apart from all others: no page and no client can use them, since every request
//! must be proved with the cluster's key, and what a peer sends was checked by the node that took it in.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::State;
use axum::response::IntoResponse;
use bytes::{Bytes, BytesMut};
use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode};
use serde::Serialize;
use serverledge_core::{CacheMetadata, Ignored, InvocationError, Remote, Reply, Report};
use serverledge_wire::client_cache::entries_text;
pub(crate) use serverledge_wire::peer::PREFIX;
use serverledge_wire::peer::{
    CALL, Elsewhere, INVOCATION_PATH, INVOKE_PATH, LOAD, LOAD_PATH, PROOF, PeerCall, PeerMemo,
    PeerReport, Proof, REPORT, RUNS_PATH, STALE, STARTED, VERSION_PATH,
};
use serverledge_wire::peer_info::PeerInfo;

use crate::backend::{PeerInvokeError, PeerRefused, PeerRequest};
use crate::errors::Convention;
use crate::request::call::function_name;
use crate::request::context::RequestContext;
use crate::request::state::{AppState, SharedState};
use crate::response::problem::{ApiError, ApiResult};
use crate::response::reply;

/// Longest head of a call: its path holds a few names.
const CALL_BYTES_MAX: usize = 8 * 1024;

/// Answers a peer. What is refused before a call is looked at did not start by this request.
pub(crate) async fn handle(
    state: &AppState,
    request: Request<Body>,
    context: &RequestContext,
) -> Response<Body> {
    let first = is_first(&request);
    let answered = match state.permit() {
        Ok(_permit) => answer(state, request, context).await,
        Err(busy) => Err(busy),
    };
    answered.unwrap_or_else(|failed| {
        let mut response = failed.into_response();
        if first {
            never_started(&mut response);
        }
        response
    })
}

/// Whether this is the first time that a call is sent here, by its own account. Of one that was sent before, a refusal now
/// says nothing of the first.
fn is_first(request: &Request<Body>) -> bool {
    let head = request
        .headers()
        .get(CALL)
        .map(|head| serde_json::from_slice::<PeerCall>(head.as_bytes()));
    head.is_none_or(|call| call.is_ok_and(|call| call.again_ms.is_none()))
}

fn never_started(response: &mut Response<Body>) {
    response.headers_mut().insert(
        HeaderName::from_static(STARTED),
        HeaderValue::from_static("no"),
    );
}

async fn answer(state: &AppState, request: Request<Body>, context: &RequestContext) -> ApiResult {
    if request.method() != Method::POST {
        return Err(ApiError::method("POST"));
    }
    let (parts, body) = request.into_parts();
    let path = parts.uri.path();
    let proof = parts
        .headers
        .get(PROOF)
        .and_then(|proof| Proof::parse(proof.as_bytes()))
        .ok_or(PeerRefused::Proof)?;
    let body = state
        .bodies
        .raw(body, state.limits.params_body_bytes_max)
        .await?;
    let head = parts
        .headers
        .get(CALL)
        .map_or(&[][..], HeaderValue::as_bytes);
    state.backend.peers.check_peer(&proof, path, head, &body)?;
    match path.strip_prefix(INVOKE_PATH) {
        Some(name) => invoke(state, name, head, body, context).await,
        None if path == LOAD_PATH => Ok(reply::json(&state.backend.peers.peer_state())),
        None if path == VERSION_PATH => version(state, &body),
        None if path == RUNS_PATH => {
            Ok(reply::json(&state.backend.runs.own_runs(&question(&body)?)))
        }
        None if path == INVOCATION_PATH => Ok(reply::json(
            &state.backend.runs.own_invocation(&question(&body)?),
        )),
        None => Err(ApiError::not_found()),
    }
}

fn version(state: &AppState, body: &[u8]) -> ApiResult {
    let question = question(body)?;
    Ok(reply::json(
        &state.backend.functions.version_stand(&question),
    ))
}

fn question<T: serde::de::DeserializeOwned>(body: &[u8]) -> Result<T, ApiError> {
    serde_json::from_slice(body).map_err(|_| {
        ApiError::new(
            StatusCode::BAD_REQUEST,
            "peer_question_malformed",
            "the question cannot be read",
        )
    })
}

async fn invoke(
    state: &AppState,
    name: &str,
    head: &[u8],
    params: Bytes,
    context: &RequestContext,
) -> ApiResult {
    let function = function_name(name)?;
    let call = (head.len() <= CALL_BYTES_MAX).then(|| serde_json::from_slice::<PeerCall>(head));
    let Some(Ok(call)) = call else {
        return Err(ApiError::new(
            StatusCode::BAD_REQUEST,
            "peer_call_malformed",
            "the head of the call cannot be read",
        ));
    };
    let request = PeerRequest {
        function,
        call,
        params,
        arrived: context.arrived.into_std(),
    };
    let outcome = Arc::clone(&state.backend.peers).peer_invoke(request).await;
    let mut response = match outcome {
        Ok(report) => result(&report).unwrap_or_else(IntoResponse::into_response),
        Err(error) => refusal(&error),
    };
    add(
        response.headers_mut(),
        LOAD,
        &state.backend.peers.peer_load(),
    );
    Ok(response)
}

fn result(report: &Report) -> ApiResult {
    let Reply::Json(result) = &report.reply else {
        return Err(ApiError::new(
            StatusCode::BAD_REQUEST,
            "not_json",
            "the function answers HTTP; ask /fn for it",
        ));
    };
    let entries = if report.memo.entries.is_empty() {
        Vec::new()
    } else {
        entries_text(&report.memo.entries)
    };
    let body = if report.log.is_empty() && entries.is_empty() {
        result.clone()
    } else {
        let mut body = BytesMut::with_capacity(result.len() + entries.len() + report.log.len());
        body.extend_from_slice(result);
        body.extend_from_slice(&entries);
        body.extend_from_slice(&report.log);
        body.freeze()
    };
    let mut response = Response::new(Body::from(body));
    response.headers_mut().insert(
        CONTENT_TYPE,
        HeaderValue::from_static("application/octet-stream"),
    );
    add(
        response.headers_mut(),
        REPORT,
        &peer_report(report, entries.len()),
    );
    Ok(response)
}

fn peer_report(report: &Report, entries_bytes: usize) -> PeerReport {
    let micros = |time: std::time::Duration| u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
    let elsewhere = |remote: &Remote| Elsewhere {
        area: remote.area.clone(),
        node: remote.node.clone(),
        latency_us: micros(remote.latency),
    };
    let phases = &report.phases;
    PeerReport {
        warm: report.warm,
        queue_us: micros(phases.queue),
        start_us: micros(phases.start),
        execution_us: micros(phases.execution),
        total_us: micros(phases.total),
        log_bytes: report.log.len(),
        elsewhere: report.remote.as_deref().map(elsewhere),
        memo: (report.memo != CacheMetadata::default())
            .then(|| peer_memo(&report.memo, entries_bytes)),
    }
}

fn peer_memo(memo: &CacheMetadata, entries_bytes: usize) -> PeerMemo {
    let Ignored {
        not_edge,
        forged,
        expired,
        outdated,
    } = memo.ignored;
    PeerMemo {
        source: memo.source.name().to_owned(),
        shaped: memo.client_influenced,
        called: memo.called,
        stale: memo.uncacheable,
        ignored: [not_edge, forged, expired, outdated],
        entries_bytes,
    }
}

fn refusal(error: &PeerInvokeError) -> Response<Body> {
    let (failed, not_started) = match error {
        PeerInvokeError::Invocation(error) => (
            ApiError::invocation(error, Convention::Serverledge),
            error.never_started(),
        ),
        PeerInvokeError::Version => {
            let detail = "another version of the function is deployed here";
            (
                ApiError::new(StatusCode::CONFLICT, "function_version_differs", detail),
                true,
            )
        }
        PeerInvokeError::OtherLife => (
            ApiError::new(
                StatusCode::CONFLICT,
                "node_restarted",
                "this node has been started anew",
            ),
            true,
        ),
        PeerInvokeError::Loop => {
            let detail = "the call has been here already, or was offloaded too often";
            (
                ApiError::new(StatusCode::LOOP_DETECTED, "offload_loop", detail),
                true,
            )
        }
        PeerInvokeError::Forgotten => {
            let detail = "whether this invocation ran here is not known any more";
            (
                ApiError::new(StatusCode::GONE, "invocation_forgotten", detail),
                false,
            )
        }
    };
    let mut response = failed.into_response();
    if not_started {
        never_started(&mut response);
    }
    if matches!(error, PeerInvokeError::Invocation(InvocationError::Function(failure)) if failure.stale)
    {
        response.headers_mut().insert(
            HeaderName::from_static(STALE),
            HeaderValue::from_static("yes"),
        );
    }
    response
}

fn add<T: Serialize>(headers: &mut HeaderMap, name: &'static str, value: &T) {
    // Numbers and ids: JSON of our own types is ASCII here.
    if let Some(value) = serde_json::to_string(value)
        .ok()
        .and_then(|text| HeaderValue::try_from(text).ok())
    {
        headers.insert(HeaderName::from_static(name), value);
    }
}

/// The other nodes, as this one sees them.
#[utoipa::path(
    get, path = "/peers", tag = "node",
    responses((status = 200, description = "the nodes that are registered, this one left out", body = Vec<PeerInfo>))
)]
pub(crate) async fn list(State(state): SharedState) -> Response<Body> {
    reply::json(&state.backend.peers.peers())
}
