//! The routes of other nodes. They stand apart from all others: no page and no client can use them, since every request
//! must be proved with the cluster's key, and what a peer sends was checked by the node that took it in.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::State;
use bytes::{Bytes, BytesMut};
use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode};
use serde::Serialize;
use serverledge_core::{Ignored, InvocationError, Memo, Remote, Reply, Report};
use serverledge_wire::carried::entries_text;
pub(crate) use serverledge_wire::peer::PREFIX;
use serverledge_wire::peer::{
    CALL, Elsewhere, INVOKE_PATH, LOAD, LOAD_PATH, PROOF, PeerCall, PeerMemo, PeerReport, Proof,
    REPORT, STALE, STARTED,
};
use serverledge_wire::peer_info::PeerInfo;

use crate::app::{Admitted, Shared};
use crate::backend::{PeerInvokeError, PeerRefused, PeerRequest};
use crate::body;
use crate::error::{Convention, Failed};
use crate::invoke::function_name;
use crate::reply;

/// Longest head of a call: its path holds a few names.
const CALL_BYTES_MAX: usize = 8 * 1024;

/// Answers a peer. What is refused before a call is looked at did not start by this request.
pub(crate) async fn handle(
    shared: &Shared,
    request: Request<Body>,
    admitted: &Admitted,
) -> Response<Body> {
    let first = is_first(&request);
    let answered = match shared.place() {
        Ok(_place) => answer(shared, request, admitted).await,
        Err(busy) => Err(busy),
    };
    answered.unwrap_or_else(|failed| {
        let mut response = failed.into_response(admitted.request_id());
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

async fn answer(
    shared: &Shared,
    request: Request<Body>,
    admitted: &Admitted,
) -> Result<Response<Body>, Failed> {
    if request.method() != Method::POST {
        return Err(Failed::method("POST"));
    }
    let (parts, body) = request.into_parts();
    let path = parts.uri.path();
    let proof = parts
        .headers
        .get(PROOF)
        .and_then(|proof| Proof::parse(proof.as_bytes()))
        .ok_or(PeerRefused::Proof)?;
    let body = body::read(
        body,
        shared.limits.params_body_bytes_max,
        shared.limits.body_timeout,
    )
    .await?;
    let head = parts
        .headers
        .get(CALL)
        .map_or(&[][..], HeaderValue::as_bytes);
    shared.backend.check_peer(&proof, path, head, &body)?;
    match path.strip_prefix(INVOKE_PATH) {
        Some(name) => invoke(shared, name, head, body, admitted).await,
        None if path == LOAD_PATH => Ok(reply::json(&shared.backend.peer_state())),
        None => Err(Failed::not_found()),
    }
}

async fn invoke(
    shared: &Shared,
    name: &str,
    head: &[u8],
    params: Bytes,
    admitted: &Admitted,
) -> Result<Response<Body>, Failed> {
    let function = function_name(name)?;
    let call = (head.len() <= CALL_BYTES_MAX).then(|| serde_json::from_slice::<PeerCall>(head));
    let Some(Ok(call)) = call else {
        return Err(Failed::new(
            StatusCode::BAD_REQUEST,
            "peer_call_malformed",
            "the head of the call cannot be read",
        ));
    };
    let request = PeerRequest {
        function,
        call,
        params,
        arrived: admitted.arrived.into_std(),
    };
    let outcome = shared.backend.peer_invoke(request).await;
    let mut response = match outcome {
        Ok(report) => {
            result(&report).unwrap_or_else(|failed| failed.into_response(admitted.request_id()))
        }
        Err(error) => refusal(&error, admitted.request_id()),
    };
    add(response.headers_mut(), LOAD, &shared.backend.peer_load());
    Ok(response)
}

fn result(report: &Report) -> Result<Response<Body>, Failed> {
    let Reply::Json(result) = &report.reply else {
        return Err(Failed::new(
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
        memo: (report.memo != Memo::default()).then(|| peer_memo(&report.memo, entries_bytes)),
    }
}

fn peer_memo(memo: &Memo, entries_bytes: usize) -> PeerMemo {
    let Ignored {
        not_edge,
        untrue,
        expired,
        outdated,
    } = memo.ignored;
    PeerMemo {
        source: memo.source.name().to_owned(),
        shaped: memo.shaped,
        called: memo.called,
        stale: memo.stale,
        ignored: [not_edge, untrue, expired, outdated],
        entries_bytes,
    }
}

fn refusal(error: &PeerInvokeError, request_id: &str) -> Response<Body> {
    let (failed, not_started) = match error {
        PeerInvokeError::Invocation(error) => (
            Failed::invocation(error, Convention::Serverledge),
            error.never_started(),
        ),
        PeerInvokeError::Version => {
            let detail = "another version of the function is deployed here";
            (
                Failed::new(StatusCode::CONFLICT, "function_version_differs", detail),
                true,
            )
        }
        PeerInvokeError::OtherLife => (
            Failed::new(
                StatusCode::CONFLICT,
                "node_restarted",
                "this node has been started anew",
            ),
            true,
        ),
        PeerInvokeError::Loop => {
            let detail = "the call has been here already, or was offloaded too often";
            (
                Failed::new(StatusCode::LOOP_DETECTED, "offload_loop", detail),
                true,
            )
        }
        PeerInvokeError::Forgotten => {
            let detail = "whether this invocation ran here is not known any more";
            (
                Failed::new(StatusCode::GONE, "invocation_forgotten", detail),
                false,
            )
        }
    };
    let mut response = failed.into_response(request_id);
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
pub(crate) async fn list(State(shared): State<Arc<Shared>>) -> Response<Body> {
    reply::json(&shared.backend.peers())
}

impl From<PeerRefused> for Failed {
    fn from(refused: PeerRefused) -> Self {
        let (status, code) = match refused {
            PeerRefused::NoKey => (StatusCode::FORBIDDEN, "cluster_key_missing"),
            PeerRefused::Proof => (StatusCode::UNAUTHORIZED, "peer_proof_false"),
            PeerRefused::Clock { .. } => (StatusCode::UNAUTHORIZED, "peer_clock_differs"),
            PeerRefused::Replayed => (StatusCode::UNAUTHORIZED, "peer_proof_used"),
            PeerRefused::TooMany => (StatusCode::SERVICE_UNAVAILABLE, "too_many_requests_at_once"),
        };
        Self::new(status, code, refused.to_string())
    }
}
