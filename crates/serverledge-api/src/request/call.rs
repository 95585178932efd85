//! The call that a request asks for.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, StatusCode};
use serverledge_core::{
    FunctionName, Payload, PropagatedContext, TraceParent, Trigger, trace_state,
};
use serverledge_wire::header as wire;
use serverledge_wire::invoke::InvocationRequest;

use crate::backend::ClientCall;
use crate::backend::invocations::{IDEMPOTENCY_KEY_BYTES_MAX, IdempotencyKey, InvocationOptions};
use crate::request::context::{REQUEST_ID, RequestContext};
use crate::request::query::percent_decoded;
use crate::response::problem::ApiError;

const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static(wire::IDEMPOTENCY_KEY);
const TRACEPARENT: HeaderName = HeaderName::from_static(wire::TRACEPARENT);
const TRACESTATE: HeaderName = HeaderName::from_static(wire::TRACESTATE);
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
        Trigger::Invoke,
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
    let trace = trace(headers);
    let said = !request_id.is_empty() || trace.is_some();
    said.then(|| {
        let (trace, trace_state) = trace.unwrap_or_default();
        Arc::new(PropagatedContext {
            request_id: request_id.to_owned(),
            trace,
            trace_state,
            ..PropagatedContext::default()
        })
    })
}

/// The caller's trace context: `traceparent` in the form of version 00, and `tracestate`. `None` if there is none, or
/// not exactly one that is well-formed: a new trace begins then (W3C Trace Context §4.3).
fn trace(headers: &HeaderMap) -> Option<(String, String)> {
    let mut given = headers.get_all(&TRACEPARENT).iter();
    let parent = given.next()?.to_str().ok().and_then(TraceParent::parse)?;
    if given.next().is_some() {
        return None;
    }
    let states = headers.get_all(&TRACESTATE).iter();
    // What is no text is no member either.
    let states = states.map(|state| state.to_str().unwrap_or("?"));
    Some((parent.to_string(), trace_state(states)))
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
