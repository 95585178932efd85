//! Idempotency keys, and the outcomes of invocations.

use std::borrow::Cow;

use http::{HeaderName, HeaderValue};
use serverledge_wire::header::IDEMPOTENCY_KEY;
use serverledge_wire::invoke::InvocationResponse;

use crate::call::Call;
use crate::error::ClientError;

/// Longest idempotency key that nodes take.
const IDEMPOTENCY_KEY_BYTES_MAX: usize = 128;

/// A finished invocation's report, owned.
pub type InvocationResult = InvocationResponse<'static>;

/// Puts the idempotency key, if there is one, into the request's head.
///
/// # Errors
/// [`ClientError::Request`] if it is malformed.
pub(crate) fn keyed<'a>(call: Call<'a>, key: Option<&str>) -> Result<Call<'a>, ClientError> {
    let Some(key) = key else { return Ok(call) };
    match HeaderValue::from_str(key) {
        Ok(value) if is_idempotency_key(key) => {
            Ok(call.header(HeaderName::from_static(IDEMPOTENCY_KEY), value))
        }
        _ => Err(ClientError::Request {
            fault: format!(
                "an idempotency key has 1 to {IDEMPOTENCY_KEY_BYTES_MAX} visible ASCII characters"
            ),
        }),
    }
}

/// Whether nodes take this as an idempotency key: 1 to 128 visible ASCII characters, no spaces.
fn is_idempotency_key(key: &str) -> bool {
    (1..=IDEMPOTENCY_KEY_BYTES_MAX).contains(&key.len())
        && key.bytes().all(|byte| byte.is_ascii_graphic())
}

/// The state of an asynchronous invocation, as far as a node knows it.
#[derive(Debug, Clone, PartialEq)]
pub enum Poll {
    /// It has not ended yet.
    Pending,
    /// The node does not know the id: never given out, or expired. (A Go Serverledge says so of pending ones, too.)
    Unknown,
    /// It has ended, well or badly: `success` says which.
    Done(Box<InvocationResult>),
}

/// Sends the request and reads the report of its answer.
pub(crate) async fn read_result(call: Call<'_>) -> Result<InvocationResult, ClientError> {
    let mut answer = call.send().await?;
    let body = answer.body().await?;
    let read: InvocationResponse<'_> =
        serde_json::from_slice(&body).map_err(|error| answer.misread(&error))?;
    Ok(InvocationResponse {
        result: Cow::Owned(read.result.into_owned()),
        output: Cow::Owned(read.output.into_owned()),
        execution_area: Cow::Owned(read.execution_area.into_owned()),
        execution_node: Cow::Owned(read.execution_node.into_owned()),
        error: Cow::Owned(read.error.into_owned()),
        error_code: Cow::Owned(read.error_code.into_owned()),
        ..read
    })
}
