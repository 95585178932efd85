//! An error on its way out, as problem JSON (RFC 9457) with a stable code.

use axum::body::Body;
use axum::response::IntoResponse;
use bytes::Bytes;
use http::header::{
    ACCEPT_ENCODING, ALLOW, CONTENT_LENGTH, CONTENT_TYPE, RETRY_AFTER, SET_COOKIE, WWW_AUTHENTICATE,
};
use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode};
use serverledge_core::FunctionName;
use serverledge_wire::problem::{PROBLEM_JSON, Problem};

/// The result of a handler.
pub(crate) type ApiResult = Result<Response<Body>, ApiError>;

/// An error on its way out. Boxed: every handler's result carries room for this type.
#[derive(Debug, Clone)]
pub(crate) struct ApiError(Box<Parts>);

#[derive(Debug, Clone)]
struct Parts {
    status: StatusCode,
    problem: Problem,
    retry_after: Option<u64>,
    /// Headers beside those that every problem has.
    headers: HeaderMap,
    /// The internal cause; for the log only.
    cause: Option<String>,
}

impl ApiError {
    pub(crate) fn new(status: StatusCode, code: &str, detail: impl Into<String>) -> Self {
        let problem = Problem {
            r#type: "about:blank".to_owned(),
            title: status.canonical_reason().unwrap_or_default().to_owned(),
            status: status.as_u16(),
            code: code.to_owned(),
            detail: detail.into(),
            ..Problem::default()
        };
        Self(Box::new(Parts {
            status,
            problem,
            retry_after: None,
            headers: HeaderMap::new(),
            cause: None,
        }))
    }

    /// The stable code of the fault.
    pub(crate) fn code(&self) -> &str {
        &self.0.problem.code
    }

    /// Our fault; what was attempted is for the log.
    pub(crate) fn internal(message: &str) -> Self {
        let detail =
            "the node failed, not the function; its log has the cause under this request id";
        let mut error = Self::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", detail);
        error.0.cause = Some(message.to_owned());
        error
    }

    fn with_header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.0.headers.append(name, value);
        self
    }

    /// The same, saying which kind of credential is wanted (RFC 9110 §11.6.1).
    pub(crate) fn challenging(self) -> Self {
        self.with_header(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"))
    }

    /// The same, naming the content codings that would be understood (RFC 9110 §15.5.16).
    pub(crate) fn accepting(self, codings: &'static str) -> Self {
        self.with_header(ACCEPT_ENCODING, HeaderValue::from_static(codings))
    }

    /// The same, with a cookie that makes the browser forget its session.
    pub(crate) fn forgetting(self, cookie: &'static str) -> Self {
        self.with_header(SET_COOKIE, HeaderValue::from_static(cookie))
    }

    /// The same, naming the function that it is about.
    pub(crate) fn about(mut self, function: &FunctionName) -> Self {
        self.0.problem.function = function.to_string();
        self
    }

    /// The same, with what the function wrote, and the stack of its fault.
    pub(crate) fn with_output(mut self, output: String, stack: String) -> Self {
        (self.0.problem.output, self.0.problem.stack) = (output, stack);
        self
    }

    /// The same, of a part of what was asked for.
    pub(crate) fn within(mut self, part: &str) -> Self {
        self.0.problem.detail = format!("{part}: {}", self.0.problem.detail);
        self
    }

    /// The same, saying in how many seconds another try makes sense.
    pub(crate) fn after(mut self, seconds: u64) -> Self {
        self.0.retry_after = Some(seconds);
        self
    }

    pub(crate) fn not_found() -> Self {
        Self::new(
            StatusCode::NOT_FOUND,
            "route_unknown",
            "there is no such route; /docs lists them",
        )
    }

    /// The refusal of a method at a route that answers these.
    pub(crate) fn method(allow: &str) -> Self {
        Self::method_of("route", allow)
    }

    /// The refusal of a method at something that answers these.
    pub(crate) fn method_of(what: &str, allow: &str) -> Self {
        let detail = format!("this {what} answers {allow} only");
        let refused = Self::new(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", detail);
        match HeaderValue::from_str(allow) {
            Ok(allow) => refused.with_header(ALLOW, allow),
            Err(_) => refused,
        }
    }

    pub(crate) fn busy() -> Self {
        let detail = "the node serves as many requests as it may at once";
        Self::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "too_many_requests_at_once",
            detail,
        )
        .after(1)
    }

    pub(crate) fn forbidden(why: impl Into<String>) -> Self {
        Self::new(StatusCode::FORBIDDEN, "forbidden", why)
    }

    pub(crate) fn function_unknown(name: &str) -> Self {
        Self::new(
            StatusCode::NOT_FOUND,
            "function_unknown",
            format!("function {name:?} is unknown; deploy it first"),
        )
    }

    /// As a problem, and in how many seconds another try makes sense. `request_id` goes into it, so that a copied error can
    /// be found in the log.
    pub(crate) fn into_problem(self, request_id: &str) -> (Problem, Option<u64>) {
        let Parts {
            mut problem,
            retry_after,
            cause,
            ..
        } = *self.0;
        request_id.clone_into(&mut problem.request_id);
        if let Some(cause) = cause {
            tracing::error!(
                request_id,
                function = problem.function,
                cause,
                "internal error"
            );
        }
        (problem, retry_after)
    }
}

impl IntoResponse for ApiError {
    /// The head of the response. The body comes with the request's id ([`complete`]), which only the outermost layer adds.
    fn into_response(self) -> Response<Body> {
        let mut response = Response::new(Body::empty());
        *response.status_mut() = self.0.status;
        let headers = response.headers_mut();
        headers.clone_from(&self.0.headers);
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(PROBLEM_JSON));
        if let Some(seconds) = self.0.retry_after {
            headers.insert(RETRY_AFTER, HeaderValue::from(seconds));
        }
        response.extensions_mut().insert(self);
        response
    }
}

/// Adds the body of an error, with the request's id, to a response that is one.
pub(crate) fn complete(response: &mut Response<Body>, request_id: &str) {
    let Some(error) = response.extensions_mut().remove::<ApiError>() else {
        return;
    };
    let (problem, _) = error.into_problem(request_id);
    let body = Bytes::from(serde_json::to_vec(&problem).unwrap_or_default());
    // The router has said already how long the body is that it saw.
    if response.headers().contains_key(CONTENT_LENGTH) {
        response
            .headers_mut()
            .insert(CONTENT_LENGTH, HeaderValue::from(body.len()));
    }
    *response.body_mut() = Body::from(body);
}
