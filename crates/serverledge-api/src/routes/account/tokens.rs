//! API tokens and browser sessions of an account.

use std::time::Duration;

use http::StatusCode;
use serverledge_core::{NewToken, Scopes, TokenInfo, Via};
use serverledge_wire::account::{
    CreatedToken, Secret, SessionEntry, Sessions, TokenEntry, TokenRequest, Tokens,
};
use serverledge_wire::problem::Problem;

use super::{accounts, created, forget_session, read};
use crate::request::api_request::ApiRequest;
use crate::request::context::RequestContext;
use crate::response::problem::{ApiError, ApiResult};
use crate::response::reply;

/// Longest name of a token, in characters.
const NAME_CHARS_MAX: usize = 64;
/// Longest life that a token may be given; one without an end lives until it is revoked.
const LIFETIME_MAX: Duration = Duration::from_secs(10 * 365 * 24 * 60 * 60);

/// The caller's tokens.
#[utoipa::path(
    get, path = "/account/tokens", tag = "account",
    responses((status = 200, body = Tokens), (status = 401, body = Problem), (status = 403, body = Problem))
)]
pub(crate) async fn list(ApiRequest { state, context, .. }: ApiRequest) -> ApiResult {
    let tokens = accounts(&state)?.tokens(&context.caller).await?;
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
    ApiRequest {
        state,
        context,
        parts,
        body,
        ..
    }: ApiRequest,
) -> ApiResult {
    let wanted = checked(&read(&state, &parts, body).await?)?;
    let own = context
        .caller
        .account
        .as_ref()
        .map_or(Scopes::default(), |account| account.scopes);
    if !wanted.scopes.within(own) {
        return Err(ApiError::forbidden(
            "a token cannot make one that is good for more than itself",
        ));
    }
    let (info, secret) = accounts(&state)?
        .create_token(&context.caller, wanted)
        .await?;
    Ok(created(&CreatedToken {
        token: Secret(secret),
        info: entry(info),
    }))
}

fn checked(wanted: &TokenRequest) -> Result<NewToken, ApiError> {
    let malformed =
        |code, detail: String| ApiError::new(StatusCode::UNPROCESSABLE_ENTITY, code, detail);
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
            format!("scopes: one or more of {}", Scopes::NAMES),
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
    ApiRequest {
        state,
        context,
        segment: id,
        ..
    }: ApiRequest,
) -> ApiResult {
    accounts(&state)?.revoke_token(&context.caller, &id).await?;
    Ok(reply::no_content())
}

/// The caller's sessions.
#[utoipa::path(
    get, path = "/account/sessions", tag = "account",
    responses((status = 200, body = Sessions), (status = 401, body = Problem), (status = 403, body = Problem))
)]
pub(crate) async fn sessions(ApiRequest { state, context, .. }: ApiRequest) -> ApiResult {
    let sessions = accounts(&state)?.sessions(&context.caller).await?;
    let sessions = sessions.into_iter().map(|session| SessionEntry {
        current: is_current(&context, &session.id),
        id: session.id,
        created_unix_ms: session.created_unix_ms,
        used_unix_ms: session.used_unix_ms,
    });
    Ok(reply::json(&Sessions {
        sessions: sessions.collect(),
    }))
}

fn is_current(context: &RequestContext, id: &str) -> bool {
    let via = context.caller.account.as_ref().map(|account| &account.via);
    matches!(via, Some(Via::Session(own)) if own == id)
}

/// Ends a session.
#[utoipa::path(
    delete, path = "/account/sessions/{id}", tag = "account", params(("id" = String, Path)),
    responses((status = 204, description = "it is over"), (status = 401, body = Problem), (status = 404, body = Problem))
)]
pub(crate) async fn end_session(
    ApiRequest {
        state,
        context,
        segment: id,
        ..
    }: ApiRequest,
) -> ApiResult {
    accounts(&state)?.end_session(&context.caller, &id).await?;
    let mut response = reply::no_content();
    if is_current(&context, &id) {
        forget_session(&state, &mut response);
    }
    Ok(response)
}
