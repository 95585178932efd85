//! Dead letters: invocations that were given up. Listed, shown, driven anew, purged.

use std::sync::Arc;

use serverledge_core::InvocationId;
use serverledge_wire::invocations::{AcceptedInvocation, DeadLetters, InvocationInfo, Purged};
use serverledge_wire::problem::Problem;

use crate::backend::invocations::ChangeError;
use crate::request::api_request::ApiRequest;
use crate::request::query::{malformed, members};
use crate::response::problem::{ApiError, ApiResult};
use crate::response::reply;
use crate::routes::invocations::accepted;

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
    ApiRequest {
        state,
        context,
        parts,
        ..
    }: ApiRequest,
) -> ApiResult {
    let (after, limit) = page(parts.uri.query().unwrap_or_default())?;
    Ok(reply::json(
        &state
            .backend
            .dead_letters
            .dead_letters(&context.caller.space, after, limit)
            .await?,
    ))
}

fn page(query: &str) -> Result<(Option<InvocationId>, usize), ApiError> {
    let mut after = None;
    let mut limit = LIMIT_DEFAULT;
    for (name, value) in members(query) {
        match name {
            "after" => {
                let id = InvocationId::parse(&value);
                after = Some(
                    id.ok_or_else(|| malformed("after: expected what a page said in `next`"))?,
                );
            }
            "limit" => {
                let number = value
                    .parse()
                    .ok()
                    .filter(|number| (1..=LIMIT_MAX).contains(number));
                limit = number.ok_or_else(|| {
                    malformed(format!("limit: expected a number from 1 to {LIMIT_MAX}"))
                })?;
            }
            _ => {
                return Err(malformed(format!("{name:?}: expected limit=N or after=ID")));
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
    ApiRequest {
        state,
        context,
        segment: id,
        ..
    }: ApiRequest,
) -> ApiResult {
    let info = state
        .backend
        .dead_letters
        .dead_letter(&context.caller.space, parse(&id)?)
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
    ApiRequest {
        state,
        context,
        segment: id,
        ..
    }: ApiRequest,
) -> ApiResult {
    let id = parse(&id)?;
    Ok(accepted(
        Arc::clone(&state.backend.dead_letters)
            .redrive(&context.caller.space, id)
            .await?,
        Some(id),
    ))
}

/// Deletes a dead letter.
#[utoipa::path(
    delete, path = "/dead-letters/{id}", tag = "asynchronous", params(("id" = String, Path)),
    responses((status = 204, description = "deleted"), (status = 404, description = "no such dead letter", body = Problem))
)]
pub(crate) async fn purge(
    ApiRequest {
        state,
        context,
        segment: id,
        ..
    }: ApiRequest,
) -> ApiResult {
    state
        .backend
        .dead_letters
        .purge(&context.caller.space, parse(&id)?)
        .await?;
    Ok(reply::no_content())
}

/// Deletes all dead letters.
#[utoipa::path(delete, path = "/dead-letters", tag = "asynchronous", responses((status = 200, body = Purged)))]
pub(crate) async fn purge_all(ApiRequest { state, context, .. }: ApiRequest) -> ApiResult {
    Ok(reply::json(&Purged {
        purged: state
            .backend
            .dead_letters
            .purge_all(&context.caller.space)
            .await?,
    }))
}

fn parse(id: &str) -> Result<InvocationId, ChangeError> {
    InvocationId::parse(id).ok_or(ChangeError::NotDead)
}
