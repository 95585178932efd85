//! `/fn/{name}` with any method and sub-path: functions as plain HTTP. For JSON functions the body (or the query) is
//! the parameters and the reply's body is the result; `wasi:http` functions get the request itself, and programs its
//! body if their settings say so.

use std::sync::Arc;

use axum::body::Body;
use axum::response::IntoResponse;
use bytes::Bytes;
use http::uri::PathAndQuery;
use http::{Method, Request, Response, StatusCode, Uri};
use http_body_util::BodyExt;
use serverledge_core::{BodyError, HttpBody, Interface, Payload, Reply, Report, Stdin, Trigger};

use crate::errors::Convention;
use crate::request::body;
use crate::request::call::{function_name, propagated};
use crate::request::context::RequestContext;
use crate::request::state::AppState;
use crate::response::problem::{ApiError, ApiResult};
use crate::response::reply;
use crate::response::reply::{add_cache_headers, add_timing, remove_cache_headers};
use crate::response::untrusted;
use crate::routes::program;

const METHODS: &str = "GET, HEAD, POST, PUT, PATCH, DELETE";

/// Runs a function as plain HTTP.
pub(crate) async fn handle(
    state: &AppState,
    request: Request<Body>,
    context: &RequestContext,
) -> ApiResult {
    let (name, _) = split(request.uri().path());
    let name = function_name(name)?;
    let Some(function) = state
        .backend
        .served(&context.caller.space, name.as_str())
        .await
    else {
        return Err(ApiError::function_unknown(name.as_str()));
    };
    let propagated = propagated(request.headers(), context);
    let payload = match function.interface {
        Interface::Json => Payload::Json(params(state, request).await?),
        // Boxed, like whatever is rare.
        Interface::Http if function.version.io.has_bytes() => {
            Box::pin(program_call(state, function.version.io.stdin, request)).await?
        }
        Interface::Http => {
            let uri = sub_uri(request.uri())?;
            Payload::Http(Box::new(forwarded(state, context, request, uri)?))
        }
    };
    match Arc::clone(&state.backend.invocations)
        .call(context.call(Trigger::Http, name.clone(), payload, propagated))
        .await
    {
        Ok(report) => Ok(response(report)),
        Err(error) => {
            let failed = ApiError::invocation(&error, Convention::Gateway).about(&name);
            let mut response = failed.into_response();
            untrusted::mark(response.headers_mut());
            Ok(response)
        }
    }
}

/// `/fn/{name}` and what follows it: empty, or beginning with a slash.
pub(crate) fn split(path: &str) -> (&str, &str) {
    let rest = &path["/fn/".len()..];
    rest.find('/').map_or((rest, ""), |at| rest.split_at(at))
}

/// The call of a program that reads or writes bytes. It is asked as a JSON function is, whatever the method.
async fn program_call(
    state: &AppState,
    stdin: Stdin,
    request: Request<Body>,
) -> Result<Payload, ApiError> {
    if stdin == Stdin::Body {
        check_method(request.method())?;
        return program::with_body(state, request).await;
    }
    // The body as well: the version that runs may be a newer one, which reads it.
    let params = params(state, request).await?;
    Ok(program::call(params.clone(), params))
}

fn check_method(method: &Method) -> Result<(), ApiError> {
    match *method {
        Method::GET
        | Method::HEAD
        | Method::POST
        | Method::PUT
        | Method::PATCH
        | Method::DELETE => Ok(()),
        _ => Err(ApiError::method(METHODS)),
    }
}

/// The parameters of a JSON function.
async fn params(state: &AppState, request: Request<Body>) -> Result<Bytes, ApiError> {
    check_method(request.method())?;
    let (parts, body) = request.into_parts();
    let max = state.limits.params_body_bytes_max;
    let body = state.bodies.text(&parts.headers, body, max).await?;
    if body.iter().all(u8::is_ascii_whitespace) {
        return Ok(body::query_params(parts.uri.query().unwrap_or_default()));
    }
    if let Some(params) = body::form_params(&parts.headers, &body, max).await? {
        return Ok(params);
    }
    match serde_json::from_slice::<&serde_json::value::RawValue>(&body) {
        Ok(value) => Ok(body.slice_ref(value.get().as_bytes())),
        Err(fault) => Err(ApiError::new(
            StatusCode::BAD_REQUEST,
            "malformed_json",
            format!("the body is not one JSON value: {fault}"),
        )),
    }
}

/// The request as a `wasi:http` function sees it: with a path of its own, and without the node's secrets.
pub(crate) fn forwarded(
    state: &AppState,
    context: &RequestContext,
    request: Request<Body>,
    uri: Uri,
) -> Result<Request<HttpBody>, ApiError> {
    let max = state.limits.params_body_bytes_max;
    if http_body::Body::size_hint(request.body()).lower() > max as u64 {
        return Err(body::ReadError::TooLarge { max }.into());
    }
    let (mut parts, body) = request.into_parts();
    parts.uri = uri;
    untrusted::clean_request(&mut parts.headers);
    parts.extensions.clear();
    if state
        .access
        .came_over_tls(&state.origins, context, &parts.headers)
    {
        parts.extensions.insert(http::uri::Scheme::HTTPS);
    }
    let body: HttpBody =
        Box::pin(http_body_util::Limited::new(body, max).map_err(|fault: BodyError| fault));
    Ok(Request::from_parts(parts, body))
}

fn sub_uri(uri: &Uri) -> Result<Uri, ApiError> {
    let (_, rest) = split(uri.path());
    let path = if rest.is_empty() { "/" } else { rest };
    let path_and_query = match uri.query() {
        Some(query) => PathAndQuery::try_from(format!("{path}?{query}")),
        None => PathAndQuery::try_from(path),
    };
    path_and_query.map(Uri::from).map_err(|_| {
        ApiError::new(
            StatusCode::BAD_REQUEST,
            "malformed_path",
            "the path after the function's name is malformed",
        )
    })
}

fn response(report: Report) -> Response<Body> {
    let mut response = match report.reply {
        Reply::Json(result) => {
            let mut response = reply::json_bytes(result);
            untrusted::mark(response.headers_mut());
            response
        }
        Reply::Http(response) => {
            let mut response = response.map(|body| Body::new(untrusted::FunctionBody(body)));
            untrusted::clean_response(response.headers_mut());
            remove_cache_headers(response.headers_mut());
            response
        }
    };
    add_timing(response.headers_mut(), &report.phases);
    add_cache_headers(response.headers_mut(), &report.memo);
    response
}

/// Runs a function as plain HTTP, with any method; a sub-path may follow the name.
// Served by `handle`; this carries the documentation.
#[utoipa::path(
    post, path = "/fn/{name}", tag = "plain HTTP",
    params(("name" = String, Path, description = "the function's name; a sub-path may follow, for wasi:http functions")),
    request_body(content = Object, description = "the parameters as JSON, or as a form (application/x-www-form-urlencoded, multipart/form-data); \
        for wasi:http functions the request itself, with any method; for programs that read the request's body, that body"),
    responses(
        (status = 200, description = "the result; for wasi:http functions whatever they answer; for programs with raw output their bytes"),
        (status = 404, description = "unknown function", body = serverledge_wire::problem::Problem),
        (status = 413, description = "parameters over the limit, as they were sent or decoded", body = serverledge_wire::problem::Problem),
        (status = 415, description = "a content coding or a charset that the node does not read", body = serverledge_wire::problem::Problem),
        (status = 429, description = "overload; Retry-After says when to try again", body = serverledge_wire::problem::Problem),
        (status = 502, description = "the function failed", body = serverledge_wire::problem::Problem),
        (status = 504, description = "the function ran longer than its limit", body = serverledge_wire::problem::Problem),
    )
)]
#[expect(
    dead_code,
    reason = "carries documentation; the request path does not go through the router"
)]
pub(crate) fn plain() {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sub_path_is_the_functions_path() {
        for (whole, own) in [
            ("/fn/f", "/"),
            ("/fn/f/", "/"),
            ("/fn/f/a/b?c=1", "/a/b?c=1"),
            ("/fn/f?x", "/?x"),
        ] {
            assert_eq!(sub_uri(&whole.parse().unwrap()).unwrap().to_string(), own);
        }
    }
}
