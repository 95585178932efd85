//! Deleting, listing, showing and prewarming functions, in Serverledge's words.

use std::sync::Arc;

use axum::Extension;
use axum::body::Body;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use http::{Request, Response};
use serverledge_wire::function::{Deleted, FunctionInfo, parse_name};
use serverledge_wire::invoke::{PrewarmRequest, Prewarmed};
use serverledge_wire::problem::Problem;

use crate::app::{Admitted, Shared};
use crate::body;
use crate::error::{Convention, Failed};
use crate::reply;

type AppState = State<Arc<Shared>>;
type Asked = Extension<Admitted>;

/// Deletes a function.
#[utoipa::path(
    post, path = "/delete", tag = "functions", request_body(content = Object, description = "{\"Name\": \"…\"}"),
    responses((status = 200, body = Deleted), (status = 404, description = "unknown function", body = Problem))
)]
pub(crate) async fn delete(
    State(shared): AppState,
    Extension(asked): Asked,
    request: Request<Body>,
) -> Response<Body> {
    reply::finish(delete_named(&shared, &asked, request).await, &asked)
}

async fn delete_named(
    shared: &Shared,
    asked: &Admitted,
    request: Request<Body>,
) -> Result<Response<Body>, Failed> {
    let limits = &shared.limits;
    let bytes = body::read(
        request.into_body(),
        limits.params_body_bytes_max,
        limits.body_timeout,
    )
    .await?;
    let name = parse_name(&bytes)?;
    shared.backend.delete(&asked.caller, &name).await?;
    Ok(reply::json(&Deleted { deleted: name }))
}

/// The names of all functions.
#[utoipa::path(get, path = "/functions", tag = "functions", responses((status = 200, body = Vec<String>)))]
pub(crate) async fn names(State(shared): AppState, Extension(asked): Asked) -> Response<Body> {
    reply::json(&shared.backend.names(&asked.caller))
}

/// Everything about a function but its code and the values of its environment.
#[utoipa::path(
    get, path = "/functions/{name}", tag = "functions", params(("name" = String, Path)),
    responses((status = 200, body = FunctionInfo), (status = 404, body = Problem))
)]
pub(crate) async fn info(
    State(shared): AppState,
    Extension(asked): Asked,
    name: Result<Path<String>, PathRejection>,
) -> Response<Body> {
    // What is no text names no function.
    let name = name.map(|Path(name)| name).unwrap_or_default();
    let found = shared.backend.function(&asked.caller, &name);
    let found = found.map(|function| reply::json(&FunctionInfo::from(&*function)));
    reply::finish(found.ok_or_else(|| Failed::function_unknown(&name)), &asked)
}

/// Loads what a function needs, so that its next start is warm.
#[utoipa::path(
    post, path = "/prewarm", tag = "functions", request_body = PrewarmRequest,
    responses((status = 200, body = Prewarmed), (status = 404, description = "unknown function", body = Problem))
)]
pub(crate) async fn prewarm(
    State(shared): AppState,
    Extension(asked): Asked,
    request: Request<Body>,
) -> Response<Body> {
    reply::finish(prewarm_named(&shared, &asked, request).await, &asked)
}

async fn prewarm_named(
    shared: &Shared,
    asked: &Admitted,
    request: Request<Body>,
) -> Result<Response<Body>, Failed> {
    let limits = &shared.limits;
    let bytes = body::read(
        request.into_body(),
        limits.params_body_bytes_max,
        limits.body_timeout,
    )
    .await?;
    let wanted = PrewarmRequest::parse(&bytes)?;
    let prewarmed = shared
        .backend
        .prewarm(&asked.caller, &wanted.function, wanted.instances)
        .await
        .map_err(|error| Failed::invocation(&error, Convention::Serverledge))?;
    Ok(reply::json(&Prewarmed { prewarmed }))
}
