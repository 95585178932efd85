//! `/fn/{name}` with any method and sub-path: functions as plain HTTP. For JSON functions the body (or the query) is
//! the parameters and the reply's body is the result; `wasi:http` functions get the request itself.

use std::sync::Arc;

use axum::body::Body;
use bytes::Bytes;
use http::uri::PathAndQuery;
use http::{Method, Request, Response, StatusCode, Uri};
use http_body_util::BodyExt;
use serverledge_core::{
    BodyError, FunctionName, HttpBody, Interface, Payload, Reply, Report, Travel,
};

use crate::app::{Admitted, Shared};
use crate::backend::Call;
use crate::body;
use crate::error::{Convention, Failed};
use crate::hostile;
use crate::invoke::{function_name, travel};
use crate::reply::{self, add_memo, add_timing, remove_memo};
use crate::stored::Stored;

const METHODS: &str = "GET, HEAD, POST, PUT, PATCH, DELETE";

/// Runs a function as plain HTTP.
pub(crate) async fn handle(
    shared: &Shared,
    request: Request<Body>,
    admitted: &Admitted,
) -> Result<Response<Body>, Failed> {
    let (name, _) = split(request.uri().path());
    let name = function_name(name)?;
    let Some(function) = shared.backend.function(&admitted.caller, name.as_str()) else {
        return Err(Failed::function_unknown(name.as_str()));
    };
    let travel = travel(request.headers(), admitted);
    let payload = match function.interface {
        Interface::Json => Payload::Json(params(shared, request).await?),
        Interface::Http => {
            let uri = sub_uri(request.uri())?;
            Payload::Http(Box::new(forwarded(shared, request, uri)?))
        }
    };
    let report = shared
        .backend
        .invoke(call(name, payload, travel, admitted))
        .await;
    match report {
        Ok(report) => Ok(response(report)),
        Err(error) => {
            let mut response = Failed::invocation(&error, Convention::Gateway)
                .into_response(admitted.request_id());
            hostile::mark(response.headers_mut());
            Ok(response)
        }
    }
}

fn call(
    function: FunctionName,
    payload: Payload,
    travel: Option<Arc<Travel>>,
    admitted: &Admitted,
) -> Call {
    let arrived = admitted.arrived.into_std();
    let stored = Stored::default();
    let (caller, id) = (admitted.caller.clone(), admitted.invocation);
    Call {
        caller,
        function,
        id,
        payload,
        qos_class: 0,
        deadline: None,
        arrived,
        may_offload: true,
        travel,
        carried: None,
        hands_out: false,
        stored,
    }
}

/// `/fn/{name}` and what follows it: empty, or beginning with a slash.
pub(crate) fn split(path: &str) -> (&str, &str) {
    let rest = &path["/fn/".len()..];
    rest.find('/').map_or((rest, ""), |at| rest.split_at(at))
}

/// The parameters of a JSON function.
async fn params(shared: &Shared, request: Request<Body>) -> Result<Bytes, Failed> {
    if !matches!(
        *request.method(),
        Method::GET | Method::HEAD | Method::POST | Method::PUT | Method::PATCH | Method::DELETE
    ) {
        return Err(Failed::method(METHODS));
    }
    let (parts, body) = request.into_parts();
    let body = body::read(
        body,
        shared.limits.params_body_bytes_max,
        shared.limits.body_timeout,
    )
    .await?;
    if body.iter().all(u8::is_ascii_whitespace) {
        return Ok(query_params(parts.uri.query().unwrap_or_default()));
    }
    match serde_json::from_slice::<&serde_json::value::RawValue>(&body) {
        Ok(value) => Ok(body.slice_ref(value.get().as_bytes())),
        Err(fault) => Err(Failed::new(
            StatusCode::BAD_REQUEST,
            "malformed_json",
            format!("the body is not one JSON value: {fault}"),
        )),
    }
}

/// The query as an object: numbers and booleans as such where they are JSON, everything else as text; a name that
/// comes several times is an array.
pub(crate) fn query_params(query: &str) -> Bytes {
    let mut object = serde_json::Map::new();
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        let value = query_value(&form_decoded(value));
        match object.entry(form_decoded(name)) {
            serde_json::map::Entry::Vacant(entry) => {
                entry.insert(value);
            }
            serde_json::map::Entry::Occupied(mut entry) => match entry.get_mut() {
                serde_json::Value::Array(list) => list.push(value),
                single => *single = serde_json::Value::Array(vec![single.take(), value]),
            },
        }
    }
    Bytes::from(serde_json::Value::Object(object).to_string())
}

fn query_value(text: &str) -> serde_json::Value {
    let parsed = serde_json::from_str(text).unwrap_or(serde_json::Value::Null);
    // A number that would not come out as it was written stays text.
    let written = parsed.to_string();
    if (parsed.is_number() || parsed.is_boolean()) && written == text {
        return parsed;
    }
    serde_json::Value::String(text.to_owned())
}

/// Undoes form encoding (WHATWG URL §5.1): plus signs are spaces, then percent-encoding.
pub(crate) fn form_decoded(text: &str) -> String {
    crate::invoke::percent_decoded(&text.replace('+', " "))
}

/// The request as a `wasi:http` function sees it: with a path of its own, and without the node's secrets.
pub(crate) fn forwarded(
    shared: &Shared,
    request: Request<Body>,
    uri: Uri,
) -> Result<Request<HttpBody>, Failed> {
    let max = shared.limits.params_body_bytes_max;
    if http_body::Body::size_hint(request.body()).lower() > max as u64 {
        return Err(body::ReadError::TooLarge { max }.into());
    }
    let (mut parts, body) = request.into_parts();
    parts.uri = uri;
    hostile::clean_request(&mut parts.headers);
    parts.extensions.clear();
    let body: HttpBody =
        Box::pin(http_body_util::Limited::new(body, max).map_err(|fault: BodyError| fault));
    Ok(Request::from_parts(parts, body))
}

fn sub_uri(uri: &Uri) -> Result<Uri, Failed> {
    let (_, rest) = split(uri.path());
    let path = if rest.is_empty() { "/" } else { rest };
    let path_and_query = match uri.query() {
        Some(query) => PathAndQuery::try_from(format!("{path}?{query}")),
        None => PathAndQuery::try_from(path),
    };
    path_and_query.map(Uri::from).map_err(|_| {
        Failed::new(
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
            hostile::mark(response.headers_mut());
            response
        }
        Reply::Http(response) => {
            let mut response = response.map(Body::new);
            hostile::clean_response(response.headers_mut());
            remove_memo(response.headers_mut());
            response
        }
    };
    add_timing(response.headers_mut(), &report.phases);
    add_memo(response.headers_mut(), &report.memo);
    response
}

/// Runs a function as plain HTTP, with any method; a sub-path may follow the name.
// Served by `handle`; this carries the documentation.
#[utoipa::path(
    post, path = "/fn/{name}", tag = "plain HTTP",
    params(("name" = String, Path, description = "the function's name; a sub-path may follow, for wasi:http functions")),
    request_body(content = Object, description = "the parameters; for wasi:http functions the request itself, with any method"),
    responses(
        (status = 200, description = "the result; for wasi:http functions whatever they answer"),
        (status = 404, description = "unknown function", body = serverledge_wire::problem::Problem),
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
    fn a_query_is_an_object() {
        for (query, expected) in [
            ("", "{}"),
            (
                "n=100&deep=true&name=Ada+L%C3%B6we",
                r#"{"deep":true,"n":100,"name":"Ada Löwe"}"#,
            ),
            ("a=1&a=x&a=", r#"{"a":[1,"x",""]}"#),
            ("a=[1]&b=null&c", r#"{"a":"[1]","b":"null","c":""}"#),
        ] {
            assert_eq!(query_params(query), expected, "{query}");
        }
    }

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
