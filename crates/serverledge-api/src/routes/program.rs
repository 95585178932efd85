//! Calls of programs that read or write bytes: by request, with their parameters beside its body.

use axum::body::Body;
use bytes::Bytes;
use http::{Method, Request};
use http_body_util::{BodyExt as _, Full};
use serverledge_core::{HttpBody, Payload, RequestParams};

use crate::request::body;
use crate::request::state::AppState;
use crate::response::problem::ApiError;

/// A call with these parameters; the body is what a program with `stdin` = `body` reads.
pub(crate) fn call(params: Bytes, body: Bytes) -> Payload {
    let body: HttpBody = Box::pin(Full::new(body).map_err(|never| match never {}));
    let mut request = Request::new(body);
    *request.method_mut() = Method::POST;
    request.extensions_mut().insert(RequestParams(params));
    Payload::Http(Box::new(request))
}

/// A call with the body of the request as it came. The query's members are the parameters.
pub(crate) async fn with_body(
    state: &AppState,
    request: Request<Body>,
) -> Result<Payload, ApiError> {
    let (parts, body) = request.into_parts();
    let max = state.limits.params_body_bytes_max;
    let body = state.bodies.raw(body, max).await?;
    let params = body::query_params(parts.uri.query().unwrap_or_default());
    Ok(call(params, body))
}
