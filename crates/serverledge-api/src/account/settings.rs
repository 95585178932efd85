//! An account's own settings, and invitations for others.

use axum::Extension;
use axum::body::Body;
use axum::extract::State;
use http::{Request, Response, StatusCode};
use serverledge_core::{Profile, Via};
use serverledge_wire::account::{
    AccountInfo, ChangeEmail, ChangePassword, DeleteAccount, EmailChange, Invitation, Secret,
};
use serverledge_wire::problem::Problem;

use super::{AppState, Asked, accounts, created, finish, forget_session, no_content, read};
use crate::app::{Admitted, Shared};
use crate::error::Failed;
use crate::reply;

/// Who asks, and with what.
#[utoipa::path(
    get, path = "/account", tag = "account",
    responses((status = 200, body = AccountInfo), (status = 401, description = "nobody says who they are", body = Problem))
)]
pub(crate) async fn show(State(shared): AppState, Extension(asked): Asked) -> Response<Body> {
    finish(shown(&shared, &asked).await, &asked)
}

async fn shown(shared: &Shared, asked: &Admitted) -> Result<Response<Body>, Failed> {
    let profile = accounts(shared)?.profile(&asked.caller).await?;
    let account = asked
        .caller
        .account
        .as_ref()
        .ok_or_else(|| Failed::internal("an account without a caller"))?;
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
    State(shared): AppState,
    Extension(asked): Asked,
    request: Request<Body>,
) -> Response<Body> {
    finish(removed(&shared, &asked, request).await, &asked)
}

async fn removed(
    shared: &Shared,
    asked: &Admitted,
    request: Request<Body>,
) -> Result<Response<Body>, Failed> {
    let from = shared.access.address(asked.peer, request.headers());
    let wanted: DeleteAccount = read(shared, request).await?;
    accounts(shared)?
        .delete(&asked.caller, wanted.password.reveal(), from)
        .await?;
    let mut response = no_content();
    forget_session(shared, &mut response);
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
    State(shared): AppState,
    Extension(asked): Asked,
    request: Request<Body>,
) -> Response<Body> {
    finish(email_changed(&shared, &asked, request).await, &asked)
}

async fn email_changed(
    shared: &Shared,
    asked: &Admitted,
    request: Request<Body>,
) -> Result<Response<Body>, Failed> {
    let from = shared.access.address(asked.peer, request.headers());
    let wanted: ChangeEmail = read(shared, request).await?;
    let (password, email) = (wanted.password.reveal(), &wanted.email);
    let confirmation_sent = accounts(shared)?
        .change_email(&asked.caller, password, email, from)
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
    State(shared): AppState,
    Extension(asked): Asked,
    request: Request<Body>,
) -> Response<Body> {
    finish(password_changed(&shared, &asked, request).await, &asked)
}

async fn password_changed(
    shared: &Shared,
    asked: &Admitted,
    request: Request<Body>,
) -> Result<Response<Body>, Failed> {
    let from = shared.access.address(asked.peer, request.headers());
    let wanted: ChangePassword = read(shared, request).await?;
    let (old, new) = (wanted.password.reveal(), wanted.new_password.reveal());
    accounts(shared)?
        .change_password(&asked.caller, old, new, from)
        .await?;
    Ok(no_content())
}

/// Makes an invitation, which lets one person sign up. For operators.
#[utoipa::path(
    post, path = "/account/invitations", tag = "account",
    responses((status = 201, body = Invitation), (status = 401, body = Problem), (status = 403, body = Problem))
)]
pub(crate) async fn invite(State(shared): AppState, Extension(asked): Asked) -> Response<Body> {
    finish(invited(&shared, &asked).await, &asked)
}

async fn invited(shared: &Shared, asked: &Admitted) -> Result<Response<Body>, Failed> {
    if !asked.caller.operates() {
        return Err(Failed::forbidden("invitations are made by operators"));
    }
    let secret = accounts(shared)?.invite(&asked.caller).await?;
    Ok(created(&Invitation {
        invite: Secret(secret),
    }))
}
