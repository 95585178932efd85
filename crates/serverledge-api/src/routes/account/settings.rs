//! An account's own settings, and invitations for others.

use http::StatusCode;
use serverledge_core::{Profile, Via};
use serverledge_wire::account::{
    AccountInfo, ChangeEmail, ChangePassword, DeleteAccount, EmailChange, Invitation, Secret,
};
use serverledge_wire::problem::Problem;

use super::{accounts, created, forget_session, read};
use crate::request::api_request::ApiRequest;
use crate::response::problem::{ApiError, ApiResult};
use crate::response::reply;

/// Shows the caller's account, and the credential of this request.
#[utoipa::path(
    get, path = "/account", tag = "account",
    responses((status = 200, body = AccountInfo), (status = 401, description = "nobody says who they are", body = Problem))
)]
pub(crate) async fn show(ApiRequest { state, context, .. }: ApiRequest) -> ApiResult {
    let profile = accounts(&state)?.profile(&context.caller).await?;
    let account = context
        .caller
        .account
        .as_ref()
        .ok_or_else(|| ApiError::internal("an account without a caller"))?;
    let (via, credential) = match &account.via {
        Via::Session(id) => ("session", id),
        Via::Token(id) => ("token", id),
    };
    let Profile {
        user,
        email,
        role,
        space,
        created_unix_ms,
    } = profile;
    Ok(reply::json(&AccountInfo {
        user: user.to_string(),
        email,
        role: role.name().to_owned(),
        space: space.to_string(),
        created_unix_ms,
        via: via.to_owned(),
        credential: credential.clone(),
        scopes: account
            .scopes
            .names()
            .into_iter()
            .map(str::to_owned)
            .collect(),
    }))
}

/// Deletes the account with everything that it owns.
#[utoipa::path(
    delete, path = "/account", tag = "account", request_body = DeleteAccount,
    responses(
        (status = 204, description = "nobody can use it any more; what it owns goes in the background"),
        (status = 401, body = Problem), (status = 403, description = "wrong password", body = Problem),
    )
)]
pub(crate) async fn remove(
    ApiRequest {
        state,
        context,
        parts,
        body,
        ..
    }: ApiRequest,
) -> ApiResult {
    let from = state.access.address(context.peer, &parts.headers);
    let wanted: DeleteAccount = read(&state, &parts, body).await?;
    accounts(&state)?
        .delete(&context.caller, wanted.password.reveal(), from)
        .await?;
    let mut response = reply::no_content();
    forget_session(&state, &mut response);
    Ok(response)
}

/// Changes the address, at once or after the link in a mail to the new one was followed.
#[utoipa::path(
    post, path = "/account/email", tag = "account", request_body = ChangeEmail,
    responses(
        (status = 200, body = EmailChange), (status = 202, description = "a mail was sent", body = EmailChange),
        (status = 401, body = Problem), (status = 403, description = "wrong password", body = Problem),
        (status = 409, description = "the address has an account", body = Problem), (status = 422, body = Problem),
    )
)]
pub(crate) async fn change_email(
    ApiRequest {
        state,
        context,
        parts,
        body,
        ..
    }: ApiRequest,
) -> ApiResult {
    let from = state.access.address(context.peer, &parts.headers);
    let wanted: ChangeEmail = read(&state, &parts, body).await?;
    let password = wanted.password.reveal();
    let email = &wanted.email;
    let confirmation_sent = accounts(&state)?
        .change_email(&context.caller, password, email, from)
        .await?;
    let mut response = reply::json(&EmailChange { confirmation_sent });
    if confirmation_sent {
        *response.status_mut() = StatusCode::ACCEPTED;
    }
    Ok(response)
}

/// Changes the password; other sessions end.
#[utoipa::path(
    post, path = "/account/password", tag = "account", request_body = ChangePassword,
    responses(
        (status = 204, description = "it is changed"), (status = 401, body = Problem),
        (status = 403, description = "wrong password", body = Problem), (status = 422, body = Problem),
    )
)]
pub(crate) async fn change_password(
    ApiRequest {
        state,
        context,
        parts,
        body,
        ..
    }: ApiRequest,
) -> ApiResult {
    let from = state.access.address(context.peer, &parts.headers);
    let wanted: ChangePassword = read(&state, &parts, body).await?;
    let old = wanted.password.reveal();
    let new = wanted.new_password.reveal();
    accounts(&state)?
        .change_password(&context.caller, old, new, from)
        .await?;
    Ok(reply::no_content())
}

/// Makes an invitation, which lets one person sign up. For operators.
#[utoipa::path(
    post, path = "/account/invitations", tag = "account",
    responses((status = 201, body = Invitation), (status = 401, body = Problem), (status = 403, body = Problem))
)]
pub(crate) async fn invite(ApiRequest { state, context, .. }: ApiRequest) -> ApiResult {
    if !context.caller.operates() {
        return Err(ApiError::forbidden("invitations are made by operators"));
    }
    let secret = accounts(&state)?.invite(&context.caller).await?;
    Ok(created(&Invitation {
        invite: Secret(secret),
    }))
}
