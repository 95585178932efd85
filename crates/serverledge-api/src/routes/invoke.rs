//! `POST /invoke/{function}` and `GET /poll/{id}`: Serverledge's way of running functions.

use std::borrow::Cow;
use std::sync::Arc;

use axum::body::Body;
use axum::response::IntoResponse;
use bytes::Bytes;
use http::{HeaderMap, HeaderName, Method, Request, StatusCode};
use serverledge_core::{InvocationId, Reply, Report};
use serverledge_wire::header as wire;
use serverledge_wire::invoke::{Accepted, InvocationRequest, InvocationResponse};

use crate::backend::{ClientCall, Identity, Polled};
use crate::errors::Convention;
use crate::request::api_request::ApiRequest;
use crate::request::body;
use crate::request::call::{call, function_name};
use crate::request::context::RequestContext;
use crate::request::state::AppState;
use crate::response::problem::{ApiError, ApiResult};
use crate::response::reply;
use crate::response::reply::{add_cache_headers, add_timing};

const MAB_REQUEST_ID: HeaderName = HeaderName::from_static(wire::MAB_REQUEST_ID);

/// Runs a function, or accepts it to be run later.
pub(crate) async fn handle(
    state: &AppState,
    request: Request<Body>,
    context: &RequestContext,
) -> ApiResult {
    if request.method() != Method::POST {
        return Err(ApiError::method("POST"));
    }
    let name = function_name(&request.uri().path()["/invoke/".len()..])?;
    let (parts, body) = request.into_parts();
    let max = state.limits.params_body_bytes_max;
    let body = state.bodies.text(&parts.headers, body, max).await?;
    let body = body::enveloped(&parts.headers, body, "Params", max).await?;
    let asked = InvocationRequest::parse(&body)?;
    let call = call(name, &asked, &body, &parts.headers, context)?;
    let answered = if asked.asynchronous {
        submit(state, call).await
    } else if call.stored.callback.is_some() {
        return Err(callback_needs_async());
    } else if call.stored.key.is_some() {
        run_once(state, call).await
    } else {
        run(state, call, asked.return_output).await
    };
    let mut response = answered.unwrap_or_else(IntoResponse::into_response);
    add_headers(state, &parts.headers, response.headers_mut());
    Ok(response)
}

/// A synchronous call that names a callback.
pub(crate) fn callback_needs_async() -> ApiError {
    ApiError::new(
        StatusCode::BAD_REQUEST,
        "callback_needs_async",
        "a callback is for asynchronous invocations; who waits for the answer needs none",
    )
}

async fn submit(state: &AppState, call: ClientCall) -> ApiResult {
    let submitted = Arc::clone(&state.backend.async_invocations)
        .submit(call)
        .await?;
    Ok(reply::json(&Accepted {
        req_id: submitted.id.to_string(),
    }))
}

/// With an idempotency key: the first such call's outcome, whoever waits for it.
async fn run_once(state: &AppState, call: ClientCall) -> ApiResult {
    let function = call.call.function.clone();
    let kept = Arc::clone(&state.backend.async_invocations)
        .invoke_once(call)
        .await
        .map_err(|error| ApiError::from(error).about(&function))?;
    let mut response = reply::json_bytes(Bytes::from(kept.body));
    add_timing(response.headers_mut(), &kept.phases);
    Ok(response)
}

async fn run(state: &AppState, call: ClientCall, return_output: bool) -> ApiResult {
    let function = call.call.function.clone();
    match Arc::clone(&state.backend.invocations).call(call).await {
        Ok(report) => envelope(state.backend.status.identity(), &report, return_output),
        Err(error) => Err(ApiError::invocation(&error, Convention::Serverledge).about(&function)),
    }
}

/// The reply to a call that gave a result on the node `identity`, unless the report names another.
pub(crate) fn envelope(identity: &Identity, report: &Report, return_output: bool) -> ApiResult {
    let Reply::Json(result) = &report.reply else {
        return Err(ApiError::new(
            StatusCode::BAD_REQUEST,
            "not_json",
            "the function answers HTTP; ask /fn for it",
        ));
    };
    let (area, node) = match &report.remote {
        Some(remote) => (&remote.area, &remote.node),
        None => (&identity.area, &identity.node),
    };
    let phases = &report.phases;
    let body = InvocationResponse {
        success: true,
        result: String::from_utf8_lossy(result),
        response_time: phases.total.as_secs_f64(),
        is_warm_start: report.warm,
        init_time: (phases.queue + phases.start).as_secs_f64(),
        queueing_time: phases.queue.as_secs_f64(),
        offload_latency: report
            .remote
            .as_ref()
            .map_or(0.0, |remote| remote.latency.as_secs_f64()),
        duration: phases.execution.as_secs_f64(),
        output: if return_output {
            String::from_utf8_lossy(&report.log)
        } else {
            Cow::Borrowed("")
        },
        execution_area: Cow::Borrowed(area),
        execution_node: Cow::Borrowed(node),
        error: Cow::Borrowed(""),
        error_code: Cow::Borrowed(""),
    };
    let mut text = Vec::with_capacity(result.len() + 384);
    // The type has string keys and no failing serializers.
    let _ = serde_json::to_writer(&mut text, &body);
    let mut response = reply::json_bytes(Bytes::from(text));
    add_timing(response.headers_mut(), phases);
    add_cache_headers(response.headers_mut(), &report.memo);
    Ok(response)
}

fn add_headers(state: &AppState, asked: &HeaderMap, headers: &mut HeaderMap) {
    state.node_headers.add(headers, state.backend.status.load());
    if let Some(id) = asked.get(&MAB_REQUEST_ID) {
        headers.insert(MAB_REQUEST_ID, id.clone());
    }
}

/// The result of an asynchronous invocation.
#[utoipa::path(
    get, path = "/poll/{id}", tag = "invocations", params(("id" = String, Path, description = "what /invoke answered as ReqId")),
    responses(
        (status = 200, description = "it has ended; Success tells how", body = InvocationResponse<'static>),
        (status = 404, description = "code invocation_not_finished: ask again; invocation_unknown: never accepted, or forgotten", body = serverledge_wire::problem::Problem),
    )
)]
pub(crate) async fn poll(
    ApiRequest {
        state,
        context,
        segment: id,
        ..
    }: ApiRequest,
) -> ApiResult {
    let unknown = || {
        ApiError::new(
            StatusCode::NOT_FOUND,
            "invocation_unknown",
            "no such invocation, or its result was kept long enough",
        )
    };
    let parsed = InvocationId::parse(&id).ok_or_else(unknown)?;
    match state
        .backend
        .async_invocations
        .poll(&context.caller.space, parsed)
        .await?
    {
        Polled::Done(body) => Ok(reply::json_bytes(Bytes::from(body))),
        Polled::Unfinished => Err(ApiError::new(
            StatusCode::NOT_FOUND,
            "invocation_not_finished",
            "the invocation has not finished; ask again",
        )),
        Polled::Unknown => Err(unknown()),
    }
}

/// Runs a function, or accepts it to be run later.
// Served by `handle`; this carries the documentation.
#[utoipa::path(
    post, path = "/invoke/{function}", tag = "invocations",
    params(
        ("function" = String, Path, description = "the function's name"),
        ("Idempotency-Key" = Option<String>, Header, description = "requests with equal keys are one; at most 128 visible ASCII characters"),
    ),
    request_body = serverledge_wire::invoke::InvocationBody,
    responses(
        (status = 200, description = "the result; for an asynchronous invocation {\"ReqId\"}", body = InvocationResponse<'static>),
        (status = 400, description = "malformed request, or an unknown member", body = serverledge_wire::problem::Problem),
        (status = 404, description = "unknown function", body = serverledge_wire::problem::Problem),
        (status = 413, description = "parameters over the limit", body = serverledge_wire::problem::Problem),
        (status = 415, description = "a content coding or a charset that the node does not read", body = serverledge_wire::problem::Problem),
        (status = 409, description = "with an Idempotency-Key: the first such call has not ended by this one's deadline; Retry-After says when to ask again", body = serverledge_wire::problem::Problem),
        (status = 422, description = "the Idempotency-Key stands for other parameters", body = serverledge_wire::problem::Problem),
        (status = 429, description = "overload; Retry-After says when to try again", body = serverledge_wire::problem::Problem),
        (status = 500, description = "the function failed; code tells how", body = serverledge_wire::problem::Problem),
        (status = 503, description = "the node is draining, or something it depends on is unavailable", body = serverledge_wire::problem::Problem),
    )
)]
#[expect(
    dead_code,
    reason = "carries documentation; the request path does not go through the router"
)]
pub(crate) fn invoke() {}
