//! Routes below `/account`: who somebody is, what they show for it, and the settings of their account. Own routes: every
//! error is problem JSON, and no answer is kept by anybody.

pub(crate) mod entry;
pub(crate) mod pages;
pub(crate) mod settings;
pub(crate) mod tokens;

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::routing::{MethodRouter, delete, get, post};
use axum::{Extension, handler::Handler};
use http::header::{CACHE_CONTROL, SET_COOKIE};
use http::{HeaderValue, Request, Response, StatusCode};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serverledge_core::{Accounts, NewSession};

use crate::app::{Admitted, Shared, get_only, post_only};
use crate::body;
use crate::error::Failed;
use crate::reply;

type AppState = State<Arc<Shared>>;
type Asked = Extension<Admitted>;
/// What is no text is no id.
type Segment = Result<Path<String>, PathRejection>;

/// Bytes of a request's body: addresses, passwords and names are far shorter.
const BODY_BYTES_MAX: usize = 16 * 1024;

/// The routes.
pub(crate) fn routes() -> Router<Arc<Shared>> {
    Router::new()
        .route(
            "/account",
            get(settings::show)
                .delete(settings::remove)
                .fallback(get_or_delete),
        )
        .route("/account/sign-up", only_post(entry::sign_up))
        .route("/account/log-in", only_post(entry::log_in))
        .route("/account/log-out", only_post(entry::log_out))
        .route(
            "/account/log-out-everywhere",
            only_post(entry::log_out_everywhere),
        )
        .route("/account/request-reset", only_post(entry::request_reset))
        .route(
            "/account/reset",
            get(pages::reset).post(entry::reset).fallback(get_or_post),
        )
        .route(
            "/account/confirm",
            get(pages::confirm)
                .post(entry::confirm)
                .fallback(get_or_post),
        )
        .route("/account/page.js", get(pages::script).fallback(get_only))
        .route("/account/email", only_post(settings::change_email))
        .route("/account/password", only_post(settings::change_password))
        .route(
            "/account/tokens",
            get(tokens::list).post(tokens::create).fallback(get_or_post),
        )
        .route(
            "/account/tokens/{id}",
            delete(tokens::revoke).fallback(delete_only),
        )
        .route(
            "/account/sessions",
            get(tokens::sessions).fallback(get_only),
        )
        .route(
            "/account/sessions/{id}",
            delete(tokens::end_session).fallback(delete_only),
        )
        .route("/account/invitations", only_post(settings::invite))
}

fn only_post<H: Handler<T, Arc<Shared>>, T: 'static>(handler: H) -> MethodRouter<Arc<Shared>> {
    post(handler).fallback(post_only)
}

async fn get_or_post(asked: Asked) -> Response<Body> {
    refuse(Failed::method("GET, POST"), &asked)
}

async fn get_or_delete(asked: Asked) -> Response<Body> {
    refuse(Failed::method("GET, DELETE"), &asked)
}

async fn delete_only(asked: Asked) -> Response<Body> {
    refuse(Failed::method("DELETE"), &asked)
}

fn refuse(failed: Failed, asked: &Admitted) -> Response<Body> {
    failed.into_response(asked.request_id())
}

/// The answer, or the problem that there is instead, kept by nobody.
fn finish(result: Result<Response<Body>, Failed>, asked: &Admitted) -> Response<Body> {
    let mut response = reply::finish(result, asked);
    response
        .headers_mut()
        .insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

fn accounts(shared: &Shared) -> Result<&dyn Accounts, Failed> {
    let none = || {
        Failed::new(
            StatusCode::NOT_FOUND,
            "accounts_disabled",
            "this node keeps no accounts",
        )
    };
    shared.access.accounts.as_deref().ok_or_else(none)
}

/// The body, without anything of it in an error: it may hold a password.
async fn read<T: DeserializeOwned>(shared: &Shared, request: Request<Body>) -> Result<T, Failed> {
    let max = BODY_BYTES_MAX.min(shared.limits.params_body_bytes_max);
    let bytes = body::read(request.into_body(), max, shared.limits.body_timeout).await?;
    serde_json::from_slice(&bytes).map_err(|fault| {
        let told = fault.to_string();
        // Names of members are ours or not known; values stand in the other messages.
        if fault.is_data() && told.starts_with("missing field") {
            return Failed::new(StatusCode::BAD_REQUEST, "malformed_member", told);
        }
        let (code, what) = match fault.is_data() {
            true => (
                "malformed_member",
                "a member is unknown or of the wrong type",
            ),
            false => ("malformed_json", "the body is not a JSON object"),
        };
        let place = format!("{what}, at line {} column {}", fault.line(), fault.column());
        Failed::new(StatusCode::BAD_REQUEST, code, place)
    })
}

fn created<T: Serialize>(value: &T) -> Response<Body> {
    let mut response = reply::json(value);
    *response.status_mut() = StatusCode::CREATED;
    response
}

fn no_content() -> Response<Body> {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::NO_CONTENT;
    response
}

/// Gives the browser its session.
fn begin_session(
    shared: &Shared,
    session: &NewSession,
    response: &mut Response<Body>,
) -> Result<(), Failed> {
    let cookie = shared
        .access
        .session_cookie(&session.secret, session.lifetime.as_secs());
    let cookie =
        cookie.ok_or_else(|| Failed::internal("the session's secret fits into no cookie"))?;
    response.headers_mut().append(SET_COOKIE, cookie);
    Ok(())
}

/// Takes it away.
fn forget_session(shared: &Shared, response: &mut Response<Body>) {
    let cookie = HeaderValue::from_static(shared.access.forget_session());
    response.headers_mut().append(SET_COOKIE, cookie);
}
