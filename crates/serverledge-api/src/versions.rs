//! A function's versions: listing them, rolling back to one, changing flags without new code.

use std::sync::Arc;

use axum::Extension;
use axum::body::Body;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use bytes::Bytes;
use http::{Request, Response};
use serverledge_core::Function;
use serverledge_wire::function::FunctionInfo;
use serverledge_wire::problem::Problem;
use serverledge_wire::versions::{FlagsRequest, FunctionVersions, RollbackRequest};

use crate::app::{Admitted, Shared};
use crate::backend::DeployError;
use crate::error::Failed;
use crate::{body, reply};

type AppState = State<Arc<Shared>>;
type Asked = Extension<Admitted>;
type Name = Result<Path<String>, PathRejection>;

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
    State(shared): AppState,
    Extension(asked): Asked,
    name: Name,
) -> Response<Body> {
    let versions = shared.backend.versions(&asked.caller, &named(name)).await;
    reply::finish(
        versions
            .map(|versions| reply::json(&versions))
            .map_err(Failed::from),
        &asked,
    )
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
    State(shared): AppState,
    Extension(asked): Asked,
    name: Name,
    request: Request<Body>,
) -> Response<Body> {
    let work = async {
        let wanted = RollbackRequest::parse(&read(&shared, request).await?)?;
        told(
            shared
                .backend
                .roll_back(&asked.caller, &named(name), &wanted.version)
                .await,
        )
    };
    reply::finish(work.await, &asked)
}

/// Changes what a function's owner says of it beside its version.
#[utoipa::path(
    post, path = "/functions/{name}/flags", tag = "functions", params(("name" = String, Path)),
    request_body = FlagsRequest,
    responses(
        (status = 200, description = "the function as it is now", body = FunctionInfo),
        (status = 404, description = "unknown function", body = Problem),
        (status = 503, description = "the registry is unavailable", body = Problem),
    )
)]
pub(crate) async fn flags(
    State(shared): AppState,
    Extension(asked): Asked,
    name: Name,
    request: Request<Body>,
) -> Response<Body> {
    let work = async {
        let wanted = FlagsRequest::parse(&read(&shared, request).await?)?;
        told(
            shared
                .backend
                .set_flags(&asked.caller, &named(name), wanted)
                .await,
        )
    };
    reply::finish(work.await, &asked)
}

/// What is no text names no function.
fn named(name: Name) -> String {
    name.map(|Path(name)| name).unwrap_or_default()
}

async fn read(shared: &Shared, request: Request<Body>) -> Result<Bytes, Failed> {
    let limits = &shared.limits;
    Ok(body::read(
        request.into_body(),
        limits.params_body_bytes_max,
        limits.body_timeout,
    )
    .await?)
}

fn told(changed: Result<Arc<Function>, DeployError>) -> Result<Response<Body>, Failed> {
    Ok(reply::json(&FunctionInfo::from(&*changed?)))
}
