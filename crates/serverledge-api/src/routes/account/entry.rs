//! Ways in and out: sign-up, log-in, log-out, a new password by mail, confirming an address.

use http::StatusCode;
use serverledge_core::{SignedUp, Via};
use serverledge_wire::account::{
    Confirm, LogIn, LoggedIn, RequestReset, Reset, ResetRequested, SignUp, SignUpReply,
};
use serverledge_wire::problem::Problem;

use super::{accounts, begin_session, created, forget_session, read};
use crate::request::api_request::ApiRequest;
use crate::response::problem::ApiResult;
use crate::response::reply;

/// Makes an account, or sends a mail to confirm the address first.
#[utoipa::path(
    post, path = "/account/sign-up", tag = "account", security(()), request_body = SignUp,
    responses(
        (status = 201, description = "the account is there, and a session has begun", body = SignUpReply),
        (status = 202, description = "a mail was sent, whether or not the address was free", body = SignUpReply),
        (status = 403, description = "sign-up is closed, or needs an invitation", body = Problem),
        (status = 409, description = "the address has an account; only where no mail can be sent", body = Problem),
        (status = 422, description = "the address or the password breaks a rule", body = Problem),
        (status = 429, description = "too many tries", body = Problem),
    )
)]
pub(crate) async fn sign_up(
    ApiRequest {
        state,
        context,
        parts,
        body,
        ..
    }: ApiRequest,
) -> ApiResult {
    let from = state.access.address(context.peer, &parts.headers);
    let wanted: SignUp = read(&state, &parts, body).await?;
    let invite = wanted.invite.as_ref().map(|invite| invite.reveal());
    match accounts(&state)?
        .sign_up(&wanted.email, wanted.password.reveal(), invite, from)
        .await?
    {
        SignedUp::LoggedIn(session) => {
            let user = Some(session.user.to_string());
            let mut response = created(&SignUpReply {
                confirmation_sent: false,
                user,
            });
            begin_session(&state, &session, &mut response)?;
            Ok(response)
        }
        SignedUp::ConfirmationSent => {
            let mut response = reply::json(&SignUpReply {
                confirmation_sent: true,
                user: None,
            });
            *response.status_mut() = StatusCode::ACCEPTED;
            Ok(response)
        }
    }
}

/// Begins a session; the one that the browser had ends.
#[utoipa::path(
    post, path = "/account/log-in", tag = "account", security(()), request_body = LogIn,
    responses(
        (status = 200, description = "a session has begun; it is in the cookie", body = LoggedIn),
        (status = 403, description = "address and password do not fit", body = Problem),
        (status = 429, description = "too many tries", body = Problem),
    )
)]
pub(crate) async fn log_in(
    ApiRequest {
        state,
        context,
        parts,
        body,
        ..
    }: ApiRequest,
) -> ApiResult {
    let from = state.access.address(context.peer, &parts.headers);
    let shown: LogIn = read(&state, &parts, body).await?;
    let accounts = accounts(&state)?;
    let session = accounts
        .log_in(&shown.email, shown.password.reveal(), from)
        .await?;
    if let Some(before) = state.access.session_of(&parts.headers) {
        // The new one counts either way; the old one ends by itself.
        if let Err(fault) = accounts.log_out(&before).await {
            tracing::debug!(%fault, "the session before this one could not be ended");
        }
    }
    let lifetime_s = session.lifetime.as_secs();
    let mut response = reply::json(&LoggedIn {
        user: session.user.to_string(),
        lifetime_s,
    });
    begin_session(&state, &session, &mut response)?;
    Ok(response)
}

/// Ends the session that asks; with a token, revokes that token.
#[utoipa::path(
    post, path = "/account/log-out", tag = "account",
    responses((status = 204, description = "it is over"), (status = 401, description = "it was over", body = Problem))
)]
pub(crate) async fn log_out(ApiRequest { state, context, .. }: ApiRequest) -> ApiResult {
    let accounts = accounts(&state)?;
    let via = context.caller.account.as_ref().map(|account| &account.via);
    let mut response = reply::no_content();
    if let Some(Via::Token(id)) = via {
        accounts.revoke_token(&context.caller, id).await?;
    } else {
        accounts.log_out(&context.caller).await?;
        forget_session(&state, &mut response);
    }
    Ok(response)
}

/// Ends all sessions of the account. Tokens stay.
#[utoipa::path(
    post, path = "/account/log-out-everywhere", tag = "account",
    responses((status = 204, description = "they are over"), (status = 401, body = Problem), (status = 403, body = Problem))
)]
pub(crate) async fn log_out_everywhere(ApiRequest { state, context, .. }: ApiRequest) -> ApiResult {
    accounts(&state)?
        .log_out_everywhere(&context.caller)
        .await?;
    let mut response = reply::no_content();
    forget_session(&state, &mut response);
    Ok(response)
}

/// Sends a link for a new password, if the address has an account. The answer does not tell.
#[utoipa::path(
    post, path = "/account/request-reset", tag = "account", security(()), request_body = RequestReset,
    responses(
        (status = 202, description = "if the address has an account, a link goes there, or to the log of a node without mail",
         body = ResetRequested),
        (status = 429, description = "too many tries", body = Problem),
    )
)]
pub(crate) async fn request_reset(
    ApiRequest {
        state,
        context,
        parts,
        body,
        ..
    }: ApiRequest,
) -> ApiResult {
    let from = state.access.address(context.peer, &parts.headers);
    let wanted: RequestReset = read(&state, &parts, body).await?;
    let accounts = accounts(&state)?;
    accounts.request_reset(&wanted.email, from).await?;
    let delivery = if accounts.delivers_mail() {
        "mail"
    } else {
        "log"
    };
    let mut response = reply::json(&ResetRequested {
        delivery: delivery.to_owned(),
    });
    *response.status_mut() = StatusCode::ACCEPTED;
    Ok(response)
}

/// Sets a new password with what the link of a mail carries. Sessions end and tokens are revoked.
#[utoipa::path(
    post, path = "/account/reset", tag = "account", security(()), request_body = Reset,
    responses(
        (status = 204, description = "log in with the new password"),
        (status = 410, description = "the link is unknown, used or expired", body = Problem),
        (status = 422, description = "the password breaks a rule", body = Problem),
        (status = 429, description = "too many tries", body = Problem),
    )
)]
pub(crate) async fn reset(
    ApiRequest {
        state,
        context,
        parts,
        body,
        ..
    }: ApiRequest,
) -> ApiResult {
    let from = state.access.address(context.peer, &parts.headers);
    let wanted: Reset = read(&state, &parts, body).await?;
    accounts(&state)?
        .reset(wanted.secret.reveal(), wanted.password.reveal(), from)
        .await?;
    let mut response = reply::no_content();
    forget_session(&state, &mut response);
    Ok(response)
}

/// Confirms an address with what the link of a mail carries: at sign-up, or after a change.
#[utoipa::path(
    post, path = "/account/confirm", tag = "account", security(()), request_body = Confirm,
    responses(
        (status = 204, description = "the address is confirmed"),
        (status = 410, description = "the link is unknown, used or expired", body = Problem),
        (status = 429, description = "too many tries", body = Problem),
    )
)]
pub(crate) async fn confirm(
    ApiRequest {
        state,
        context,
        parts,
        body,
        ..
    }: ApiRequest,
) -> ApiResult {
    let from = state.access.address(context.peer, &parts.headers);
    let wanted: Confirm = read(&state, &parts, body).await?;
    accounts(&state)?
        .confirm(wanted.secret.reveal(), from)
        .await?;
    Ok(reply::no_content())
}
