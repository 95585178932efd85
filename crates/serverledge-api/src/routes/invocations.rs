//! Invocations by their ids: asynchronous ones are submitted, shown and cancelled, others shown.

use std::sync::Arc;

use axum::body::Body;
use http::header::LOCATION;
use http::{HeaderValue, Response, StatusCode};
use serverledge_core::{InvocationId, Trigger};
use serverledge_wire::invocations::{AcceptedInvocation, InvocationInfo, InvocationProblem};
use serverledge_wire::invoke::InvocationRequest;
use serverledge_wire::problem::Problem;
use serverledge_wire::records::InvocationState;
use serverledge_wire::runs::{InvocationQuestion, RunInfo};

use crate::backend::invocations::{ChangeError, Submitted};
use crate::request::api_request::ApiRequest;
use crate::request::body;
use crate::request::call::{call, function_name};
use crate::response::problem::ApiResult;
use crate::response::reply;
use crate::routes::runs;

/// Accepts an invocation to be run later.
#[utoipa::path(
    post, path = "/functions/{name}/invocations", tag = "asynchronous",
    params(
        ("name" = String, Path, description = "the function's name"),
        ("Idempotency-Key" = Option<String>, Header, description = "requests with equal keys are one; at most 128 visible ASCII characters"),
    ),
    request_body(content = serverledge_wire::invoke::InvocationBody, description = "as for /invoke; a member Callback names a URL that is told of the end"),
    responses(
        (status = 202, description = "stored; Location says where to ask", body = AcceptedInvocation),
        (status = 400, description = "malformed request, key or callback", body = Problem),
        (status = 404, description = "unknown function", body = Problem),
        (status = 422, description = "the Idempotency-Key stands for other parameters", body = Problem),
        (status = 429, description = "too many are waiting", body = Problem),
        (status = 503, description = "the node is draining, or the registry is unavailable; nothing runs", body = Problem),
    )
)]
pub(crate) async fn submit(
    ApiRequest {
        state,
        context,
        segment: name,
        parts,
        body,
        ..
    }: ApiRequest,
) -> ApiResult {
    let name = function_name(&name)?;
    let max = state.limits.params_body_bytes_max;
    let body = state.bodies.text(&parts.headers, body, max).await?;
    let body = body::enveloped(&parts.headers, body, "Params", max).await?;
    let asked = InvocationRequest::parse(&body)?;
    let call = call(name, &asked, &body, &parts.headers, &context)?;
    Ok(accepted(
        Arc::clone(&state.backend.async_invocations)
            .submit(call)
            .await?,
        None,
    ))
}

/// 202 with the place to ask for the outcome.
pub(crate) fn accepted(submitted: Submitted, redrive_of: Option<InvocationId>) -> Response<Body> {
    let Submitted { id, repeated } = submitted;
    let redrive_of = redrive_of.map(|id| id.to_string());
    let mut response = reply::json(&AcceptedInvocation {
        id: id.to_string(),
        repeated,
        redrive_of,
    });
    *response.status_mut() = StatusCode::ACCEPTED;
    if let Ok(place) = HeaderValue::from_str(&format!("/invocations/{id}")) {
        response.headers_mut().insert(LOCATION, place);
    }
    response
}

/// All that is known of an invocation, on whichever node it ran.
#[utoipa::path(
    get, path = "/invocations/{id}", tag = "asynchronous", params(("id" = String, Path)),
    responses((status = 200, body = InvocationInfo), (status = 404, description = "never accepted, or forgotten", body = Problem))
)]
pub(crate) async fn show(
    ApiRequest {
        state,
        context,
        segment: id,
        ..
    }: ApiRequest,
) -> ApiResult {
    let id = InvocationId::parse(&id).ok_or(ChangeError::Unknown)?;
    let caller = &context.caller;
    let scope = runs::scope(&state, caller, false)?;
    let stored = &state.backend.async_invocations;
    let mut stored_info = stored.invocation(&caller.space, id).await?;
    // Clients ask for such a one again and again: other nodes are left alone until it has ended.
    let is_open = |info: &InvocationInfo| !info.state.is_terminal();
    let runs = if stored_info.as_ref().is_some_and(is_open) {
        let question = InvocationQuestion {
            spaces: scope.spaces(),
            id: id.to_string(),
            log: false,
        };
        state.backend.runs.own_invocation(&question).runs
    } else {
        state.backend.runs.invocation(&scope, id, false).await.runs
    };
    if stored_info.is_none() {
        // An application's is stored in the application's space.
        let named = |run: &RunInfo| state.backend.applications.find(caller, run.app.as_deref()?);
        if let Some(app) = runs.iter().find_map(named) {
            stored_info = stored.invocation(&app.space, id).await?;
        }
    }
    match stored_info {
        Some(info) => Ok(reply::json(&InvocationInfo { runs, ..info })),
        None => Ok(reply::json(
            &info_of_runs(runs).ok_or(ChangeError::Unknown)?,
        )),
    }
}

/// The state of an invocation that was not stored, by its records: the one of the node that was asked for it, if that has
/// one.
fn info_of_runs(runs: Vec<RunInfo>) -> Option<InvocationInfo> {
    let asked = |run: &&RunInfo| run.trigger != Trigger::Peer.name();
    let run = runs.iter().rev().find(asked).or(runs.last())?;
    let error = run.code.clone().map(|code| InvocationProblem {
        code,
        message: run.message.clone().unwrap_or_default(),
    });
    let state = if error.is_none() {
        InvocationState::Done
    } else {
        InvocationState::Failed
    };
    let started = run.started_unix_ms;
    Some(InvocationInfo {
        id: run.id.clone(),
        function: run.function.clone(),
        version: run.version.clone(),
        state,
        attempts: 1,
        accepted_unix_ms: started,
        started_unix_ms: Some(started.saturating_add(run.queue_us / 1000)),
        finished_unix_ms: Some(started.saturating_add(run.total_us / 1000)),
        result: None,
        error,
        node: Some(run.ran_on.clone()),
        dead_letter: false,
        redrive_of: None,
        callback: None,
        history: Vec::new(),
        runs,
    })
}

/// Ends an asynchronous invocation without a result; what runs is stopped.
#[utoipa::path(
    post, path = "/invocations/{id}/cancel", tag = "asynchronous", params(("id" = String, Path)),
    responses(
        (status = 200, description = "cancelled", body = InvocationInfo),
        (status = 404, description = "never accepted, or forgotten", body = Problem),
        (status = 409, description = "it has ended", body = Problem),
    )
)]
pub(crate) async fn cancel(
    ApiRequest {
        state,
        context,
        segment: id,
        ..
    }: ApiRequest,
) -> ApiResult {
    let id = InvocationId::parse(&id).ok_or(ChangeError::Unknown)?;
    Ok(reply::json(
        &Arc::clone(&state.backend.async_invocations)
            .cancel(&context.caller.space, id)
            .await?,
    ))
}
