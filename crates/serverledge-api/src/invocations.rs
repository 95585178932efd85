//! Asynchronous invocations by the node's own routes: submit, show, cancel.

use std::sync::Arc;

use axum::Extension;
use axum::body::Body;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use http::header::LOCATION;
use http::{HeaderValue, Request, Response, StatusCode};
use serverledge_core::InvocationId;
use serverledge_wire::invocations::{AcceptedInvocation, InvocationInfo};
use serverledge_wire::invoke::InvocationRequest;
use serverledge_wire::problem::Problem;

use crate::app::{Admitted, Shared};
use crate::body;
use crate::error::Failed;
use crate::invoke::{call, function_name};
use crate::reply;
use crate::stored::{ChangeError, Submitted};

type AppState = State<Arc<Shared>>;
type Asked = Extension<Admitted>;
/// What is no text is no id and names no function.
type Segment = Result<Path<String>, PathRejection>;

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
    State(shared): AppState,
    Extension(asked): Asked,
    name: Segment,
    request: Request<Body>,
) -> Response<Body> {
    reply::finish(
        submit_named(&shared, &asked, segment(name), request).await,
        &asked,
    )
}

async fn submit_named(
    shared: &Shared,
    admitted: &Admitted,
    name: String,
    request: Request<Body>,
) -> Result<Response<Body>, Failed> {
    let name = function_name(&name)?;
    let (parts, body) = request.into_parts();
    let body = body::read(
        body,
        shared.limits.params_body_bytes_max,
        shared.limits.body_timeout,
    )
    .await?;
    let asked = InvocationRequest::parse(&body)?;
    let call = call(name, &asked, &body, &parts.headers, admitted)?;
    Ok(accepted(shared.backend.submit(call).await?, None))
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

/// All that is known of an asynchronous invocation.
#[utoipa::path(
    get, path = "/invocations/{id}", tag = "asynchronous", params(("id" = String, Path)),
    responses((status = 200, body = InvocationInfo), (status = 404, description = "never accepted, or forgotten", body = Problem))
)]
pub(crate) async fn show(
    State(shared): AppState,
    Extension(asked): Asked,
    id: Segment,
) -> Response<Body> {
    reply::finish(show_one(&shared, &asked, &segment(id)).await, &asked)
}

async fn show_one(shared: &Shared, asked: &Admitted, id: &str) -> Result<Response<Body>, Failed> {
    let id = InvocationId::parse(id).ok_or(ChangeError::Unknown)?;
    let info = shared
        .backend
        .invocation(&asked.caller, id)
        .await?
        .ok_or(ChangeError::Unknown)?;
    Ok(reply::json(&info))
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
    State(shared): AppState,
    Extension(asked): Asked,
    id: Segment,
) -> Response<Body> {
    reply::finish(cancel_one(&shared, &asked, &segment(id)).await, &asked)
}

async fn cancel_one(shared: &Shared, asked: &Admitted, id: &str) -> Result<Response<Body>, Failed> {
    let id = InvocationId::parse(id).ok_or(ChangeError::Unknown)?;
    Ok(reply::json(
        &shared.backend.cancel(&asked.caller, id).await?,
    ))
}

/// A part of a path, empty if it is no text.
pub(crate) fn segment(given: Segment) -> String {
    given.map(|Path(text)| text).unwrap_or_default()
}
