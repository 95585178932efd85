//! The call that a request asks for.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, StatusCode};
use serverledge_core::{FunctionName, Payload, PropagatedContext};
use serverledge_wire::header as wire;
use serverledge_wire::invoke::InvocationRequest;

use crate::backend::ClientCall;
use crate::backend::invocations::{IDEMPOTENCY_KEY_BYTES_MAX, IdempotencyKey, InvocationOptions};
use crate::request::context::{REQUEST_ID, RequestContext};
use crate::request::query::percent_decoded;
use crate::response::problem::ApiError;

const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static(wire::IDEMPOTENCY_KEY);
const TRACEPARENT: HeaderName = HeaderName::from_static(wire::TRACEPARENT);
const EMPTY_PARAMS: Bytes = Bytes::from_static(b"{}");

/// The call that a request asks for.
pub(crate) fn call(
    function: FunctionName,
    asked: &InvocationRequest<'_>,
    body: &Bytes,
    headers: &HeaderMap,
    admitted: &RequestContext,
) -> Result<ClientCall, ApiError> {
    let params = asked.params.map_or(EMPTY_PARAMS, |params| {
        body.slice_ref(params.get().as_bytes())
    });
    let arrived = admitted.arrived.into_std();
    let patience = Some(asked.qos_max_resp_t)
        .filter(|seconds| *seconds > 0.0)
        .map(Duration::try_from_secs_f64);
    let stored = InvocationOptions {
        return_output: asked.return_output,
        key: idempotency_key(headers)?,
        callback: asked.callback.clone(),
    };
    let mut call = admitted.call(
        function,
        Payload::Json(params),
        propagated(headers, admitted),
    );
    call.stored = stored;
    call.call.qos_class = asked.qos_class;
    call.call.deadline = patience
        .and_then(Result::ok)
        .and_then(|patience| arrived.checked_add(patience));
    call.call.context.may_offload = asked.can_do_offloading;
    Ok(call)
}

fn idempotency_key(headers: &HeaderMap) -> Result<Option<IdempotencyKey>, ApiError> {
    let mut given = headers.get_all(IDEMPOTENCY_KEY).iter();
    let key = given
        .next()
        .map(|value| IdempotencyKey::parse(value.as_bytes()));
    match (key, given.next()) {
        (None, _) => Ok(None),
        (Some(Some(key)), None) => Ok(Some(key)),
        _ => Err(ApiError::new(
            StatusCode::BAD_REQUEST,
            "idempotency_key_malformed",
            format!(
                "an idempotency key is one header of 1 to {IDEMPOTENCY_KEY_BYTES_MAX} visible ASCII characters"
            ),
        )),
    }
}

/// The context that goes with the call from node to node; `None` for a request that brings none.
pub(crate) fn propagated(
    headers: &HeaderMap,
    admitted: &RequestContext,
) -> Option<Arc<PropagatedContext>> {
    let request_id = headers
        .get(&REQUEST_ID)
        .map_or("", |_| admitted.request_id());
    let trace = headers
        .get(&TRACEPARENT)
        .and_then(|trace| trace.to_str().ok())
        .filter(|trace| is_trace(trace));
    let said = !request_id.is_empty() || trace.is_some();
    said.then(|| {
        let request_id = request_id.to_owned();
        let trace = trace.unwrap_or_default().to_owned();
        Arc::new(PropagatedContext {
            request_id,
            trace,
            ..PropagatedContext::default()
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
pub(crate) fn function_name(raw: &str) -> Result<FunctionName, ApiError> {
    let decoded: Cow<'_, str> = if raw.contains('%') {
        percent_decoded(raw).into()
    } else {
        raw.into()
    };
    FunctionName::parse(&decoded).map_err(|_| ApiError::function_unknown(&decoded))
}
