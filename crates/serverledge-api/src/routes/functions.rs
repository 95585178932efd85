//! Deleting, listing, showing and prewarming functions, in Serverledge's words.

use std::sync::Arc;

use axum::body::Body;
use http::{Response, StatusCode};
use serverledge_wire::function::{Deleted, FunctionInfo, parse_name};
use serverledge_wire::invoke::{PrewarmRequest, Prewarmed};
use serverledge_wire::problem::Problem;
use serverledge_wire::quotas::UserQuotas;

use crate::errors::Convention;
use crate::request::api_request::ApiRequest;
use crate::response::problem::{ApiError, ApiResult};
use crate::response::reply;

/// Deletes a function.
#[utoipa::path(
    post, path = "/delete", tag = "functions", request_body(content = Object, description = "{\"Name\": \"…\"}"),
    responses((status = 200, body = Deleted), (status = 404, description = "unknown function", body = Problem))
)]
pub(crate) async fn delete(
    ApiRequest {
        state,
        context,
        parts,
        body,
        ..
    }: ApiRequest,
) -> ApiResult {
    let bytes = state
        .bodies
        .text(&parts.headers, body, state.limits.params_body_bytes_max)
        .await?;
    let name = parse_name(&bytes)?;
    state
        .backend
        .deployments
        .delete(&context.caller.space, &name)
        .await?;
    Ok(reply::json(&Deleted { deleted: name }))
}

/// The names of all functions.
#[utoipa::path(get, path = "/functions", tag = "functions", responses((status = 200, body = Vec<String>)))]
pub(crate) async fn names(ApiRequest { state, context, .. }: ApiRequest) -> Response<Body> {
    reply::json(&state.backend.functions.names(&context.caller.space))
}

/// The quotas that count for the caller, and how much of each is used.
#[utoipa::path(
    get, path = "/quotas", tag = "functions",
    responses(
        (status = 200, body = UserQuotas),
        (status = 404, description = "no quota counts for the caller", body = Problem),
    )
)]
pub(crate) async fn quotas(ApiRequest { state, context, .. }: ApiRequest) -> ApiResult {
    let quotas = state.backend.deployments.quotas(&context.caller);
    let quotas = quotas.ok_or_else(|| {
        ApiError::new(
            StatusCode::NOT_FOUND,
            "quotas_none",
            "no quota counts for you: quotas are of accounts, and what is shared belongs to none",
        )
    })?;
    Ok(reply::json(&quotas))
}

/// Everything about a function but its code and the values of its environment.
#[utoipa::path(
    get, path = "/functions/{name}", tag = "functions", params(("name" = String, Path)),
    responses(
        (status = 200, body = FunctionInfo, headers(("ETag" = String, description = "for If-Match of PATCH"))),
        (status = 404, body = Problem),
    )
)]
pub(crate) async fn info(
    ApiRequest {
        state,
        context,
        segment: name,
        ..
    }: ApiRequest,
) -> ApiResult {
    let function = state
        .backend
        .functions
        .function(&context.caller.space, &name)
        .ok_or_else(|| ApiError::function_unknown(&name))?;
    let info = FunctionInfo::from(&*function);
    let mut response = reply::json(&info);
    response.headers_mut().extend(reply::etag(&info));
    Ok(response)
}

/// Loads what a function needs, so that its next start is warm.
#[utoipa::path(
    post, path = "/prewarm", tag = "functions", request_body = PrewarmRequest,
    responses((status = 200, body = Prewarmed), (status = 404, description = "unknown function", body = Problem))
)]
pub(crate) async fn prewarm(
    ApiRequest {
        state,
        context,
        parts,
        body,
        ..
    }: ApiRequest,
) -> ApiResult {
    let bytes = state
        .bodies
        .text(&parts.headers, body, state.limits.params_body_bytes_max)
        .await?;
    let wanted = PrewarmRequest::parse(&bytes)?;
    let prewarmed = Arc::clone(&state.backend.invocations)
        .prewarm(&context.caller.space, &wanted.function, wanted.instances)
        .await
        .map_err(|error| ApiError::invocation(&error, Convention::Serverledge))?;
    Ok(reply::json(&Prewarmed { prewarmed }))
}
