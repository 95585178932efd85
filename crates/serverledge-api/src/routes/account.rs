//! Routes below `/account`: who somebody is, what they show for it, and the settings of their account. Own routes: every
//! error is problem JSON.

pub(crate) mod entry;
pub(crate) mod pages;
pub(crate) mod settings;
pub(crate) mod tokens;

use axum::body::Body;
use http::header::SET_COOKIE;
use http::request::Parts;
use http::{HeaderValue, Response, StatusCode};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serverledge_core::{Accounts, NewSession};

use crate::request::state::AppState;
use crate::response::problem::ApiError;
use crate::response::reply;

/// Bytes of a request's body: addresses, passwords and names are far shorter.
const BODY_BYTES_MAX: usize = 16 * 1024;

fn accounts(state: &AppState) -> Result<&dyn Accounts, ApiError> {
    let none = || {
        ApiError::new(
            StatusCode::NOT_FOUND,
            "accounts_disabled",
            "this node keeps no accounts",
        )
    };
    state.access.accounts.as_deref().ok_or_else(none)
}

/// The body, without anything of it in an error: it may hold a password.
async fn read<T: DeserializeOwned>(
    state: &AppState,
    parts: &Parts,
    body: Body,
) -> Result<T, ApiError> {
    let max = BODY_BYTES_MAX.min(state.limits.params_body_bytes_max);
    let bytes = state.bodies.text(&parts.headers, body, max).await?;
    serde_json::from_slice(&bytes).map_err(|fault| {
        let told = fault.to_string();
        // Names of members are ours or not known; values stand in the other messages.
        if fault.is_data() && told.starts_with("missing field") {
            return ApiError::new(StatusCode::BAD_REQUEST, "malformed_member", told);
        }
        let (code, what) = match fault.is_data() {
            true => (
                "malformed_member",
                "a member is unknown or of the wrong type",
            ),
            false => ("malformed_json", "the body is not a JSON object"),
        };
        let place = format!("{what}, at line {} column {}", fault.line(), fault.column());
        ApiError::new(StatusCode::BAD_REQUEST, code, place)
    })
}

fn created<T: Serialize>(value: &T) -> Response<Body> {
    let mut response = reply::json(value);
    *response.status_mut() = StatusCode::CREATED;
    response
}

/// Gives the browser its session.
fn begin_session(
    state: &AppState,
    session: &NewSession,
    response: &mut Response<Body>,
) -> Result<(), ApiError> {
    let cookie = state
        .access
        .session_cookie(&session.secret, session.lifetime.as_secs());
    let cookie =
        cookie.ok_or_else(|| ApiError::internal("the session's secret fits into no cookie"))?;
    response.headers_mut().append(SET_COOKIE, cookie);
    Ok(())
}

/// Takes it away.
fn forget_session(state: &AppState, response: &mut Response<Body>) {
    let cookie = HeaderValue::from_static(state.access.forget_session());
    response.headers_mut().append(SET_COOKIE, cookie);
}
