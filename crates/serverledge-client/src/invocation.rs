//! One invocation as a caller states it, and what comes of it.

use std::borrow::Cow;
use std::time::Duration;

use serde_json::value::RawValue;
use serverledge_wire::header::IDEMPOTENCY_KEY;
use serverledge_wire::invoke::{InvocationBody, InvocationResponse};

use crate::error::ClientError;

/// Longest idempotency key that nodes take.
const IDEMPOTENCY_KEY_BYTES_MAX: usize = 128;

/// A finished invocation's report, owned.
pub type InvocationResult = InvocationResponse<'static>;

/// Serverledge's classes of service; nodes may know further ids.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct QosClass(pub i64);

impl QosClass {
    /// No particular wish.
    pub const LOW: Self = Self(0);
    /// Short response time.
    pub const PERFORMANCE: Self = Self(1);
    /// Few refusals.
    pub const AVAILABILITY: Self = Self(2);
}

/// What to invoke a function with. The default: parameters `{}`, no wishes, other nodes may run it.
#[derive(Debug, Clone)]
pub struct Invocation {
    /// Parameters: any JSON, usually an object.
    pub params: Box<RawValue>,
    /// Class of service.
    pub class: QosClass,
    /// Longest acceptable response time.
    pub max_response_time: Option<Duration>,
    /// Whether another node may run it.
    pub may_offload: bool,
    /// Whether the answer carries the function's log.
    pub return_output: bool,
    /// Names this piece of work ([`is_idempotency_key`]): calls of one function with the same key and payload are one
    /// invocation, for as long as the node remembers the key. The node stores such a call before it runs it.
    pub idempotency_key: Option<String>,
    /// URL that the node tells of the end; for calls that do not wait for it.
    pub callback: Option<String>,
}

impl Default for Invocation {
    fn default() -> Self {
        Self {
            params: RawValue::from_string("{}".to_owned()).expect("an empty object is JSON"),
            class: QosClass::LOW,
            max_response_time: None,
            may_offload: true,
            return_output: false,
            idempotency_key: None,
            callback: None,
        }
    }
}

impl Invocation {
    pub(crate) fn to_body(&self, asynchronous: bool) -> InvocationBody {
        InvocationBody {
            params: self.params.clone(),
            qos_class: self.class.0,
            // Serverledge's own client sends -1 for "none".
            qos_max_resp_t: self
                .max_response_time
                .map_or(-1.0, |time| time.as_secs_f64()),
            can_do_offloading: self.may_offload,
            r#async: asynchronous,
            return_output: self.return_output,
            callback: self.callback.clone().filter(|_| asynchronous),
        }
    }

    /// Puts the idempotency key, if there is one, into the request's head.
    ///
    /// # Errors
    /// [`ClientError::Request`] if it is malformed.
    pub(crate) fn keyed(
        &self,
        request: reqwest::RequestBuilder,
    ) -> Result<reqwest::RequestBuilder, ClientError> {
        match &self.idempotency_key {
            None => Ok(request),
            Some(key) if is_idempotency_key(key) => Ok(request.header(IDEMPOTENCY_KEY, key)),
            Some(_) => Err(ClientError::Request {
                fault: format!(
                    "an idempotency key has 1 to {IDEMPOTENCY_KEY_BYTES_MAX} visible ASCII characters"
                ),
            }),
        }
    }
}

/// Whether nodes take this as an idempotency key: 1 to 128 visible ASCII characters, no spaces.
#[must_use]
pub fn is_idempotency_key(key: &str) -> bool {
    (1..=IDEMPOTENCY_KEY_BYTES_MAX).contains(&key.len())
        && key.bytes().all(|byte| byte.is_ascii_graphic())
}

/// What a node knows of an asynchronous invocation.
#[derive(Debug, Clone, PartialEq)]
pub enum Poll {
    /// It has not ended yet.
    Pending,
    /// The node does not know the id: never given out, or expired. (A Go Serverledge says so of pending ones, too.)
    Unknown,
    /// It has ended, well or badly: `success` says which.
    Done(Box<InvocationResult>),
}

pub(crate) fn read_result(body: &[u8]) -> Result<InvocationResult, serde_json::Error> {
    let read: InvocationResponse<'_> = serde_json::from_slice(body)?;
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
