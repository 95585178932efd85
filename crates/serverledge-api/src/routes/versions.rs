//! A function's versions: listing them, rolling back to one, changing flags without new code.

use std::sync::Arc;

use axum::body::Body;
use bytes::Bytes;
use http::request::Parts;
use serverledge_core::Function;
use serverledge_wire::function::FunctionInfo;
use serverledge_wire::problem::Problem;
use serverledge_wire::rollout::FunctionNodes;
use serverledge_wire::versions::{FlagsRequest, FunctionVersions, RollbackRequest};

use crate::backend::errors::DeployError;
use crate::request::api_request::ApiRequest;
use crate::request::state::AppState;
use crate::response::problem::{ApiError, ApiResult};
use crate::response::reply;

/// The version that a function's name is bound to, and those that it was bound to before.
#[utoipa::path(
    get, path = "/functions/{name}/versions", tag = "functions", params(("name" = String, Path)),
    responses(
        (status = 200, body = FunctionVersions),
        (status = 404, description = "unknown function", body = Problem),
        (status = 503, description = "the registry is unavailable", body = Problem),
    )
)]
pub(crate) async fn list(
    ApiRequest {
        state,
        context,
        segment: name,
        ..
    }: ApiRequest,
) -> ApiResult {
    Ok(reply::json(
        &state
            .backend
            .versions
            .versions(&context.caller.space, &name)
            .await?,
    ))
}

/// The nodes on which the newest version of a function is prepared, and those on which it is not yet.
#[utoipa::path(
    get, path = "/functions/{name}/nodes", tag = "functions", params(("name" = String, Path)),
    responses(
        (status = 200, body = FunctionNodes),
        (status = 404, description = "unknown function", body = Problem),
    )
)]
pub(crate) async fn nodes(
    ApiRequest {
        state,
        context,
        segment: name,
        ..
    }: ApiRequest,
) -> ApiResult {
    let nodes = state
        .backend
        .peers
        .nodes(&context.caller.space, &name)
        .await;
    Ok(reply::json(
        &nodes.ok_or_else(|| ApiError::function_unknown(&name))?,
    ))
}

/// Binds a function's name to an earlier version again, with its flags; the one it was bound to is kept.
#[utoipa::path(
    post, path = "/functions/{name}/rollback", tag = "functions", params(("name" = String, Path)),
    request_body = RollbackRequest,
    responses(
        (status = 200, description = "the function as it is now", body = FunctionInfo),
        (status = 404, description = "unknown function, or no such version of it; code tells which", body = Problem),
        (status = 422, description = "several versions begin so, or the version can be prepared no more", body = Problem),
        (status = 503, description = "the registry is unavailable", body = Problem),
    )
)]
pub(crate) async fn roll_back(
    ApiRequest {
        state,
        context,
        segment: name,
        parts,
        body,
        ..
    }: ApiRequest,
) -> ApiResult {
    let wanted = RollbackRequest::parse(&read(&state, &parts, body).await?)?;
    told(
        state
            .backend
            .versions
            .roll_back(&context.caller.space, &name, &wanted.version)
            .await,
    )
}

/// Changes what a function's owner says of it beside its version.
#[utoipa::path(
    post, path = "/functions/{name}/flags", tag = "functions", params(("name" = String, Path)),
    request_body = FlagsRequest,
    responses(
        (status = 200, description = "the function as it is now", body = FunctionInfo),
        (status = 404, description = "unknown function", body = Problem),
        (status = 422, description = "a flag has no such value", body = Problem),
        (status = 503, description = "the registry is unavailable", body = Problem),
    )
)]
pub(crate) async fn flags(
    ApiRequest {
        state,
        context,
        segment: name,
        parts,
        body,
        ..
    }: ApiRequest,
) -> ApiResult {
    let wanted = FlagsRequest::parse(&read(&state, &parts, body).await?)?;
    told(
        state
            .backend
            .versions
            .set_flags(&context.caller.space, &name, wanted)
            .await,
    )
}

async fn read(state: &AppState, parts: &Parts, body: Body) -> Result<Bytes, ApiError> {
    Ok(state
        .bodies
        .text(&parts.headers, body, state.limits.params_body_bytes_max)
        .await?)
}

fn told(changed: Result<Arc<Function>, DeployError>) -> ApiResult {
    Ok(reply::json(&FunctionInfo::from(&*changed?)))
}
