//! `POST /invoke/{function}` and `GET /poll/{id}`: Serverledge's way of running functions.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use axum::Extension;
use axum::body::Body;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use bytes::Bytes;
use http::{HeaderMap, HeaderName, Method, Request, Response, StatusCode};
use serverledge_core::{FunctionName, InvocationId, Payload, Reply, Report, Travel};
use serverledge_wire::header as wire;
use serverledge_wire::invoke::{Accepted, InvocationRequest, InvocationResponse};

use crate::app::{Admitted, REQUEST_ID, Shared};
use crate::backend::{Call, Identity, Polled};
use crate::body;
use crate::error::{Convention, Failed};
use crate::reply::{self, add_memo, add_timing};
use crate::stored::{IDEMPOTENCY_KEY_BYTES_MAX, IdempotencyKey, Stored};

const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static(wire::IDEMPOTENCY_KEY);
const MAB_REQUEST_ID: HeaderName = HeaderName::from_static(wire::MAB_REQUEST_ID);
const TRACEPARENT: HeaderName = HeaderName::from_static(wire::TRACEPARENT);
const EMPTY_PARAMS: Bytes = Bytes::from_static(b"{}");

/// Runs a function, or accepts it to be run later.
pub(crate) async fn handle(
    shared: &Shared,
    request: Request<Body>,
    admitted: &Admitted,
) -> Result<Response<Body>, Failed> {
    if request.method() != Method::POST {
        return Err(Failed::method("POST"));
    }
    let name = function_name(&request.uri().path()["/invoke/".len()..])?;
    let (parts, body) = request.into_parts();
    let body = body::read(
        body,
        shared.limits.params_body_bytes_max,
        shared.limits.body_timeout,
    )
    .await?;
    let asked = InvocationRequest::parse(&body)?;
    let call = call(name, &asked, &body, &parts.headers, admitted)?;
    let answered = if asked.asynchronous {
        submit(shared, call).await
    } else if call.stored.callback.is_some() {
        return Err(callback_needs_async());
    } else if call.stored.key.is_some() {
        run_once(shared, call).await
    } else {
        run(shared, call, asked.return_output).await
    };
    let mut response =
        answered.unwrap_or_else(|failed| failed.into_response(admitted.request_id()));
    add_headers(shared, &parts.headers, response.headers_mut());
    Ok(response)
}

/// A synchronous call that names a callback.
pub(crate) fn callback_needs_async() -> Failed {
    Failed::new(
        StatusCode::BAD_REQUEST,
        "callback_needs_async",
        "a callback is for asynchronous invocations; who waits for the answer needs none",
    )
}

async fn submit(shared: &Shared, call: Call) -> Result<Response<Body>, Failed> {
    let submitted = shared.backend.submit(call).await?;
    Ok(reply::json(&Accepted {
        req_id: submitted.id.to_string(),
    }))
}

/// With an idempotency key: the first such call's outcome, whoever waits for it.
async fn run_once(shared: &Shared, call: Call) -> Result<Response<Body>, Failed> {
    let kept = shared.backend.invoke_once(call).await?;
    let mut response = reply::json_bytes(Bytes::from(kept.body));
    add_timing(response.headers_mut(), &kept.phases);
    Ok(response)
}

async fn run(shared: &Shared, call: Call, return_output: bool) -> Result<Response<Body>, Failed> {
    match shared.backend.invoke(call).await {
        Ok(report) => envelope(shared.backend.identity(), &report, return_output),
        Err(error) => Err(Failed::invocation(&error, Convention::Serverledge)),
    }
}

/// The call that a request asks for.
pub(crate) fn call(
    function: FunctionName,
    asked: &InvocationRequest<'_>,
    body: &Bytes,
    headers: &HeaderMap,
    admitted: &Admitted,
) -> Result<Call, Failed> {
    let params = asked.params.map_or(EMPTY_PARAMS, |params| {
        body.slice_ref(params.get().as_bytes())
    });
    let arrived = admitted.arrived.into_std();
    let patience = Some(asked.qos_max_resp_t)
        .filter(|seconds| *seconds > 0.0)
        .map(Duration::try_from_secs_f64);
    let stored = Stored {
        return_output: asked.return_output,
        key: idempotency_key(headers)?,
        callback: asked.callback.clone(),
    };
    Ok(Call {
        caller: admitted.caller.clone(),
        function,
        id: admitted.invocation,
        payload: Payload::Json(params),
        qos_class: asked.qos_class,
        deadline: patience
            .and_then(Result::ok)
            .and_then(|patience| arrived.checked_add(patience)),
        arrived,
        may_offload: asked.can_do_offloading,
        travel: travel(headers, admitted),
        carried: None,
        hands_out: false,
        stored,
    })
}

fn idempotency_key(headers: &HeaderMap) -> Result<Option<IdempotencyKey>, Failed> {
    let mut given = headers.get_all(IDEMPOTENCY_KEY).iter();
    let key = given
        .next()
        .map(|value| IdempotencyKey::parse(value.as_bytes()));
    match (key, given.next()) {
        (None, _) => Ok(None),
        (Some(Some(key)), None) => Ok(Some(key)),
        _ => Err(Failed::new(
            StatusCode::BAD_REQUEST,
            "idempotency_key_malformed",
            format!(
                "an idempotency key is one header of 1 to {IDEMPOTENCY_KEY_BYTES_MAX} visible ASCII characters"
            ),
        )),
    }
}

/// What goes with the call from node to node; nothing for a request that says nothing.
pub(crate) fn travel(headers: &HeaderMap, admitted: &Admitted) -> Option<Arc<Travel>> {
    let request_id = headers
        .get(&REQUEST_ID)
        .map_or("", |_| admitted.request_id());
    let trace = headers
        .get(&TRACEPARENT)
        .and_then(|trace| trace.to_str().ok())
        .filter(|trace| is_trace(trace));
    let said = !request_id.is_empty() || trace.is_some();
    said.then(|| {
        let (request_id, trace) = (request_id.to_owned(), trace.unwrap_or_default().to_owned());
        Arc::new(Travel {
            request_id,
            trace,
            ..Travel::default()
        })
    })
}

/// `version-trace-parent-flags` in hexadecimal digits (W3C Trace Context §3.2.2).
fn is_trace(text: &str) -> bool {
    let lengths = text.split('-').map(str::len);
    let digits = text
        .bytes()
        .all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f' | b'-'));
    digits && lengths.eq([2, 32, 16, 2])
}

/// A name from a path; percent-encoding is undone only where there is any.
pub(crate) fn function_name(raw: &str) -> Result<FunctionName, Failed> {
    let decoded: Cow<'_, str> = if raw.contains('%') {
        percent_decoded(raw).into()
    } else {
        raw.into()
    };
    FunctionName::parse(&decoded).map_err(|_| Failed::function_unknown(&decoded))
}

/// Undoes percent-encoding (RFC 3986 §2.1); what is malformed stays, and then names no function.
pub(crate) fn percent_decoded(raw: &str) -> String {
    let bytes = raw.as_bytes();
    let mut decoded = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let escape = raw.get(at + 1..at + 3).filter(|_| bytes[at] == b'%');
        match escape.and_then(|digits| u8::from_str_radix(digits, 16).ok()) {
            Some(byte) => {
                decoded.push(byte);
                at += 3;
            }
            None => {
                decoded.push(bytes[at]);
                at += 1;
            }
        }
    }
    String::from_utf8_lossy(&decoded).into_owned()
}

/// The reply to a call that gave a result on the node `identity`, unless the report names another.
pub(crate) fn envelope(
    identity: &Identity,
    report: &Report,
    return_output: bool,
) -> Result<Response<Body>, Failed> {
    let Reply::Json(result) = &report.reply else {
        return Err(Failed::new(
            StatusCode::BAD_REQUEST,
            "not_json",
            "the function answers HTTP; ask /fn for it",
        ));
    };
    let (area, node) = match &report.remote {
        Some(remote) => (&remote.area, &remote.node),
        None => (&identity.area, &identity.node),
    };
    let phases = &report.phases;
    let body = InvocationResponse {
        success: true,
        result: String::from_utf8_lossy(result),
        response_time: phases.total.as_secs_f64(),
        is_warm_start: report.warm,
        init_time: (phases.queue + phases.start).as_secs_f64(),
        queueing_time: phases.queue.as_secs_f64(),
        offload_latency: report
            .remote
            .as_ref()
            .map_or(0.0, |remote| remote.latency.as_secs_f64()),
        duration: phases.execution.as_secs_f64(),
        output: if return_output {
            String::from_utf8_lossy(&report.log)
        } else {
            Cow::Borrowed("")
        },
        execution_area: Cow::Borrowed(area),
        execution_node: Cow::Borrowed(node),
        error: Cow::Borrowed(""),
        error_code: Cow::Borrowed(""),
    };
    let mut text = Vec::with_capacity(result.len() + 384);
    // The type has string keys and no failing serializers.
    let _ = serde_json::to_writer(&mut text, &body);
    let mut response = reply::json_bytes(Bytes::from(text));
    add_timing(response.headers_mut(), phases);
    add_memo(response.headers_mut(), &report.memo);
    Ok(response)
}

fn add_headers(shared: &Shared, asked: &HeaderMap, headers: &mut HeaderMap) {
    shared.node_headers.add(headers, shared.backend.load());
    if let Some(id) = asked.get(&MAB_REQUEST_ID) {
        headers.insert(MAB_REQUEST_ID, id.clone());
    }
}

/// The result of an asynchronous invocation.
#[utoipa::path(
    get, path = "/poll/{id}", tag = "invocations", params(("id" = String, Path, description = "what /invoke answered as ReqId")),
    responses(
        (status = 200, description = "it has ended; Success tells how", body = InvocationResponse<'static>),
        (status = 404, description = "code invocation_not_finished: ask again; invocation_unknown: never accepted, or forgotten", body = serverledge_wire::problem::Problem),
    )
)]
pub(crate) async fn poll(
    State(shared): State<Arc<Shared>>,
    Extension(admitted): Extension<Admitted>,
    id: Result<Path<String>, PathRejection>,
) -> Response<Body> {
    // What is no text is no id.
    let id = id.map(|Path(id)| id).unwrap_or_default();
    answer_poll(&shared, &admitted, &id)
        .await
        .unwrap_or_else(|failed| failed.into_response(admitted.request_id()))
}

async fn answer_poll(
    shared: &Shared,
    admitted: &Admitted,
    id: &str,
) -> Result<Response<Body>, Failed> {
    let unknown = || {
        Failed::new(
            StatusCode::NOT_FOUND,
            "invocation_unknown",
            "no such invocation, or its result was kept long enough",
        )
    };
    let parsed = InvocationId::parse(id).ok_or_else(unknown)?;
    match shared.backend.poll(&admitted.caller, parsed).await? {
        Polled::Done(body) => Ok(reply::json_bytes(Bytes::from(body))),
        Polled::Unfinished => Err(Failed::new(
            StatusCode::NOT_FOUND,
            "invocation_not_finished",
            "the invocation has not finished; ask again",
        )),
        Polled::Unknown => Err(unknown()),
    }
}

/// Runs a function, or accepts it to be run later.
// Served by `handle`; this carries the documentation.
#[utoipa::path(
    post, path = "/invoke/{function}", tag = "invocations",
    params(
        ("function" = String, Path, description = "the function's name"),
        ("Idempotency-Key" = Option<String>, Header, description = "requests with equal keys are one; at most 128 visible ASCII characters"),
    ),
    request_body = serverledge_wire::invoke::InvocationBody,
    responses(
        (status = 200, description = "the result; for an asynchronous invocation {\"ReqId\"}", body = InvocationResponse<'static>),
        (status = 400, description = "malformed request", body = serverledge_wire::problem::Problem),
        (status = 404, description = "unknown function", body = serverledge_wire::problem::Problem),
        (status = 413, description = "parameters over the limit", body = serverledge_wire::problem::Problem),
        (status = 409, description = "with an Idempotency-Key: the first such call has not ended by this one's deadline; Retry-After says when to ask again", body = serverledge_wire::problem::Problem),
        (status = 422, description = "the Idempotency-Key stands for other parameters", body = serverledge_wire::problem::Problem),
        (status = 429, description = "overload; Retry-After says when to try again", body = serverledge_wire::problem::Problem),
        (status = 500, description = "the function failed; code tells how", body = serverledge_wire::problem::Problem),
        (status = 503, description = "the node is draining, or something it depends on is unavailable", body = serverledge_wire::problem::Problem),
    )
)]
#[expect(
    dead_code,
    reason = "carries documentation; the request path does not go through the router"
)]
pub(crate) fn invoke() {}
