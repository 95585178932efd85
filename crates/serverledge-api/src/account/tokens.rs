//! API tokens and browser sessions of an account.

use std::time::Duration;

use axum::Extension;
use axum::body::Body;
use axum::extract::State;
use http::{Request, Response, StatusCode};
use serverledge_core::{NewToken, Scopes, TokenInfo, Via};
use serverledge_wire::account::{
    CreatedToken, Secret, SessionEntry, Sessions, TokenEntry, TokenRequest, Tokens,
};
use serverledge_wire::problem::Problem;

use super::{
    AppState, Asked, Segment, accounts, created, finish, forget_session, no_content, read,
};
use crate::app::{Admitted, Shared};
use crate::error::Failed;
use crate::invocations::segment;
use crate::reply;

/// Longest name of a token, in characters.
const NAME_CHARS_MAX: usize = 64;
/// Longest life that a token may be given; one without an end lives until it is revoked.
const LIFETIME_MAX: Duration = Duration::from_secs(10 * 365 * 24 * 60 * 60);

/// The caller's tokens.
#[utoipa::path(
    get, path = "/account/tokens", tag = "account",
    responses((status = 200, body = Tokens), (status = 401, body = Problem), (status = 403, body = Problem))
)]
pub(crate) async fn list(State(shared): AppState, Extension(asked): Asked) -> Response<Body> {
    finish(listed(&shared, &asked).await, &asked)
}

async fn listed(shared: &Shared, asked: &Admitted) -> Result<Response<Body>, Failed> {
    let tokens = accounts(shared)?.tokens(&asked.caller).await?;
    Ok(reply::json(&Tokens {
        tokens: tokens.into_iter().map(entry).collect(),
    }))
}

fn entry(token: TokenInfo) -> TokenEntry {
    let TokenInfo {
        id,
        name,
        scopes,
        created_unix_ms,
        expires_unix_ms,
        used_unix_ms,
    } = token;
    let scopes = scopes.names().into_iter().map(str::to_owned).collect();
    TokenEntry {
        id,
        name,
        scopes,
        created_unix_ms,
        expires_unix_ms,
        used_unix_ms,
    }
}

/// Makes a token. It is shown this once, and is good for nothing that the caller's own credential is not good for.
#[utoipa::path(
    post, path = "/account/tokens", tag = "account", request_body = TokenRequest,
    responses(
        (status = 201, body = CreatedToken), (status = 401, body = Problem), (status = 403, body = Problem),
        (status = 422, description = "a malformed name, scope or lifetime", body = Problem),
    )
)]
pub(crate) async fn create(
    State(shared): AppState,
    Extension(asked): Asked,
    request: Request<Body>,
) -> Response<Body> {
    finish(made(&shared, &asked, request).await, &asked)
}

async fn made(
    shared: &Shared,
    asked: &Admitted,
    request: Request<Body>,
) -> Result<Response<Body>, Failed> {
    let wanted = checked(&read(shared, request).await?)?;
    let own = asked
        .caller
        .account
        .as_ref()
        .map_or(Scopes::default(), |account| account.scopes);
    let more = |wanted: bool, own: bool| wanted && !own;
    if more(wanted.scopes.invoke, own.invoke)
        || more(wanted.scopes.deploy, own.deploy)
        || more(wanted.scopes.admin, own.admin)
    {
        return Err(Failed::forbidden(
            "a token cannot make one that is good for more than itself",
        ));
    }
    let (info, secret) = accounts(shared)?
        .create_token(&asked.caller, wanted)
        .await?;
    Ok(created(&CreatedToken {
        token: Secret(secret),
        info: entry(info),
    }))
}

fn checked(wanted: &TokenRequest) -> Result<NewToken, Failed> {
    let malformed =
        |code, detail: String| Failed::new(StatusCode::UNPROCESSABLE_ENTITY, code, detail);
    let name = wanted.name.trim();
    if name.is_empty()
        || name.chars().count() > NAME_CHARS_MAX
        || name.chars().any(char::is_control)
    {
        let detail =
            format!("name: 1 to {NAME_CHARS_MAX} characters, none of them a control character");
        return Err(malformed("token_name_invalid", detail));
    }
    let scopes = Scopes::parse(wanted.scopes.iter().map(String::as_str))
        .filter(|scopes| *scopes != Scopes::default());
    let scopes = scopes.ok_or_else(|| {
        malformed(
            "token_scopes_invalid",
            "scopes: one or more of invoke, deploy, admin".to_owned(),
        )
    })?;
    let lifetime = wanted.lifetime_s.map(Duration::from_secs);
    if lifetime.is_some_and(|lifetime| lifetime.is_zero() || lifetime > LIFETIME_MAX) {
        let detail = format!("lifetime_s: 1 to {}, or nothing", LIFETIME_MAX.as_secs());
        return Err(malformed("token_lifetime_invalid", detail));
    }
    Ok(NewToken {
        name: name.to_owned(),
        scopes,
        lifetime,
    })
}

/// Revokes a token.
#[utoipa::path(
    delete, path = "/account/tokens/{id}", tag = "account", params(("id" = String, Path)),
    responses((status = 204, description = "revoked"), (status = 401, body = Problem), (status = 404, body = Problem))
)]
pub(crate) async fn revoke(
    State(shared): AppState,
    Extension(asked): Asked,
    id: Segment,
) -> Response<Body> {
    finish(revoked(&shared, &asked, &segment(id)).await, &asked)
}

async fn revoked(shared: &Shared, asked: &Admitted, id: &str) -> Result<Response<Body>, Failed> {
    accounts(shared)?.revoke_token(&asked.caller, id).await?;
    Ok(no_content())
}

/// The caller's sessions.
#[utoipa::path(
    get, path = "/account/sessions", tag = "account",
    responses((status = 200, body = Sessions), (status = 401, body = Problem), (status = 403, body = Problem))
)]
pub(crate) async fn sessions(State(shared): AppState, Extension(asked): Asked) -> Response<Body> {
    finish(listed_sessions(&shared, &asked).await, &asked)
}

async fn listed_sessions(shared: &Shared, asked: &Admitted) -> Result<Response<Body>, Failed> {
    let sessions = accounts(shared)?.sessions(&asked.caller).await?;
    let sessions = sessions.into_iter().map(|session| SessionEntry {
        current: is_current(asked, &session.id),
        id: session.id,
        created_unix_ms: session.created_unix_ms,
        used_unix_ms: session.used_unix_ms,
    });
    Ok(reply::json(&Sessions {
        sessions: sessions.collect(),
    }))
}

fn is_current(asked: &Admitted, id: &str) -> bool {
    let via = asked.caller.account.as_ref().map(|account| &account.via);
    matches!(via, Some(Via::Session(own)) if own == id)
}

/// Ends a session.
#[utoipa::path(
    delete, path = "/account/sessions/{id}", tag = "account", params(("id" = String, Path)),
    responses((status = 204, description = "it is over"), (status = 401, body = Problem), (status = 404, body = Problem))
)]
pub(crate) async fn end_session(
    State(shared): AppState,
    Extension(asked): Asked,
    id: Segment,
) -> Response<Body> {
    finish(ended(&shared, &asked, &segment(id)).await, &asked)
}

async fn ended(shared: &Shared, asked: &Admitted, id: &str) -> Result<Response<Body>, Failed> {
    accounts(shared)?.end_session(&asked.caller, id).await?;
    let mut response = no_content();
    if is_current(asked, id) {
        forget_session(shared, &mut response);
    }
    Ok(response)
}
