//! Dead letters: invocations that were given up. Listed, shown, driven anew, purged.

use std::sync::Arc;

use axum::Extension;
use axum::body::Body;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use http::{Request, Response, StatusCode};
use serverledge_core::InvocationId;
use serverledge_wire::invocations::{AcceptedInvocation, DeadLetters, InvocationInfo, Purged};
use serverledge_wire::problem::Problem;

use crate::app::{Admitted, Shared};
use crate::error::Failed;
use crate::invocations::{accepted, segment};
use crate::reply;
use crate::stored::ChangeError;

type AppState = State<Arc<Shared>>;
type Asked = Extension<Admitted>;
type Segment = Result<Path<String>, PathRejection>;

/// Dead letters in a page unless the query says otherwise.
const LIMIT_DEFAULT: usize = 50;
/// Most dead letters in a page: each is read by itself.
const LIMIT_MAX: usize = 500;

/// A page of dead letters.
#[utoipa::path(
    get, path = "/dead-letters", tag = "asynchronous",
    params(
        ("limit" = Option<usize>, Query, description = "at most so many; 1 to 500, 50 if absent"),
        ("after" = Option<String>, Query, description = "the page before said so in `next`"),
    ),
    responses((status = 200, body = DeadLetters), (status = 400, description = "malformed query", body = Problem))
)]
pub(crate) async fn list(
    State(shared): AppState,
    Extension(asked): Asked,
    request: Request<Body>,
) -> Response<Body> {
    reply::finish(
        list_page(&shared, &asked, request.uri().query().unwrap_or_default()).await,
        &asked,
    )
}

async fn list_page(
    shared: &Shared,
    asked: &Admitted,
    query: &str,
) -> Result<Response<Body>, Failed> {
    let (after, limit) = page(query)?;
    Ok(reply::json(
        &shared
            .backend
            .dead_letters(&asked.caller, after, limit)
            .await?,
    ))
}

fn page(query: &str) -> Result<(Option<InvocationId>, usize), Failed> {
    let malformed =
        |detail: String| Failed::new(StatusCode::BAD_REQUEST, "malformed_query", detail);
    let (mut after, mut limit) = (None, LIMIT_DEFAULT);
    for member in query.split('&').filter(|member| !member.is_empty()) {
        match member.split_once('=') {
            Some(("after", id)) => {
                let id = InvocationId::parse(id);
                after = Some(id.ok_or_else(|| {
                    malformed("after: expected what a page said in `next`".to_owned())
                })?);
            }
            Some(("limit", number)) => {
                let number = number
                    .parse()
                    .ok()
                    .filter(|number| (1..=LIMIT_MAX).contains(number));
                limit = number.ok_or_else(|| {
                    malformed(format!("limit: expected a number from 1 to {LIMIT_MAX}"))
                })?;
            }
            _ => {
                return Err(malformed(format!(
                    "{member:?}: expected limit=N or after=ID"
                )));
            }
        }
    }
    Ok((after, limit))
}

/// One dead letter.
#[utoipa::path(
    get, path = "/dead-letters/{id}", tag = "asynchronous", params(("id" = String, Path)),
    responses((status = 200, body = InvocationInfo), (status = 404, description = "no such dead letter", body = Problem))
)]
pub(crate) async fn show(
    State(shared): AppState,
    Extension(asked): Asked,
    id: Segment,
) -> Response<Body> {
    reply::finish(show_one(&shared, &asked, &segment(id)).await, &asked)
}

async fn show_one(shared: &Shared, asked: &Admitted, id: &str) -> Result<Response<Body>, Failed> {
    let info = shared
        .backend
        .dead_letter(&asked.caller, parse(id)?)
        .await?
        .ok_or(ChangeError::NotDead)?;
    Ok(reply::json(&info))
}

/// Makes a new invocation from a dead letter: the same version, the same parameters. Done twice, it gives the same.
#[utoipa::path(
    post, path = "/dead-letters/{id}/redrive", tag = "asynchronous", params(("id" = String, Path)),
    responses(
        (status = 202, description = "stored; Location says where to ask", body = AcceptedInvocation),
        (status = 404, description = "no such dead letter", body = Problem),
    )
)]
pub(crate) async fn redrive(
    State(shared): AppState,
    Extension(asked): Asked,
    id: Segment,
) -> Response<Body> {
    reply::finish(redrive_one(&shared, &asked, &segment(id)).await, &asked)
}

async fn redrive_one(
    shared: &Shared,
    asked: &Admitted,
    id: &str,
) -> Result<Response<Body>, Failed> {
    let id = parse(id)?;
    Ok(accepted(
        shared.backend.redrive(&asked.caller, id).await?,
        Some(id),
    ))
}

/// Deletes a dead letter.
#[utoipa::path(
    delete, path = "/dead-letters/{id}", tag = "asynchronous", params(("id" = String, Path)),
    responses((status = 204, description = "deleted"), (status = 404, description = "no such dead letter", body = Problem))
)]
pub(crate) async fn purge(
    State(shared): AppState,
    Extension(asked): Asked,
    id: Segment,
) -> Response<Body> {
    reply::finish(purge_one(&shared, &asked, &segment(id)).await, &asked)
}

async fn purge_one(shared: &Shared, asked: &Admitted, id: &str) -> Result<Response<Body>, Failed> {
    shared.backend.purge(&asked.caller, parse(id)?).await?;
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::NO_CONTENT;
    Ok(response)
}

/// Deletes all dead letters.
#[utoipa::path(delete, path = "/dead-letters", tag = "asynchronous", responses((status = 200, body = Purged)))]
pub(crate) async fn purge_all(State(shared): AppState, Extension(asked): Asked) -> Response<Body> {
    let purged = shared.backend.purge_all(&asked.caller).await;
    reply::finish(
        purged
            .map(|purged| reply::json(&Purged { purged }))
            .map_err(Failed::from),
        &asked,
    )
}

fn parse(id: &str) -> Result<InvocationId, ChangeError> {
    InvocationId::parse(id).ok_or(ChangeError::NotDead)
}
