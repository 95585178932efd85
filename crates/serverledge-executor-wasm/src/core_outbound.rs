//! Outgoing requests of core modules, `serverledge::send`: a whole request for a whole response. Each is the length of a head
//! in four bytes, the head in JSON, and the body.

use std::time::Duration;

use bytes::Bytes;
use http::{Method, Request, Response, Uri};
use http_body_util::{BodyExt as _, Full};
use serde::{Deserialize, Serialize};
use serverledge_core::limits::PARAMS_BYTES_MAX;
use serverledge_core::{BodyError, HostCalls, HttpBody, OutboundError};
use serverledge_wire::guest_message;

use crate::guest_headers::{self, shown};

/// Longest request with its head: as long as parameters may be.
pub(crate) const REQUEST_BYTES_MAX: usize = PARAMS_BYTES_MAX;
/// Longest head of a request. So it has far fewer headers than a map of them takes: beyond its limit those that the node and
/// the HTTP library add would have no place.
const HEAD_BYTES_MAX: usize = 64 * 1024;

/// The head of a request. Values of headers are bytes, each as the character with its number, in both directions.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RequestHead {
    method: String,
    url: String,
    #[serde(default)]
    headers: Vec<(String, String)>,
    /// The longest wait for the head of the response, and for each part of its body after that.
    timeout_ms: Option<u64>,
}

/// The head of a response.
#[derive(Debug, Serialize)]
struct ResponseHead<'a> {
    status: u16,
    headers: Vec<(&'a str, String)>,
}

/// The reason why a request of a core module brought no response.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SendError {
    /// It is no request.
    #[error("the request is malformed: {0}")]
    Malformed(String),
    /// It is too long.
    #[error("a request may have {0} bytes")]
    TooLarge(usize),
    /// It was not answered.
    #[error(transparent)]
    Outbound(#[from] OutboundError),
}

impl SendError {
    /// The stable code that the function reads.
    pub(crate) const fn code(&self) -> &'static str {
        match self {
            Self::Malformed(_) => "outbound_request_invalid",
            Self::TooLarge(_) => "outbound_request_too_large",
            Self::Outbound(fault) => fault.code(),
        }
    }
}

/// Sends a request in the form of the guest ABI, and returns the response in that form. Its body may have so many bytes.
pub(crate) async fn send(
    host: &dyn HostCalls,
    request: &Bytes,
    body_bytes_max: usize,
) -> Result<Bytes, SendError> {
    let (request, limit) = parse(request)?;
    let name = request.uri().host().unwrap_or_default().to_owned();
    let wait = Wait { host: &name, limit };
    let response = wait.within(host.send(request)).await??;
    Ok(write(response, wait, body_bytes_max).await?)
}

/// The patience of a guest with a host.
#[derive(Debug, Clone, Copy)]
struct Wait<'a> {
    host: &'a str,
    /// The longest time that one wait takes; `None` where only the end of the call ends it.
    limit: Option<Duration>,
}

impl Wait<'_> {
    async fn within<T>(self, waiting: impl Future<Output = T>) -> Result<T, OutboundError> {
        let Some(limit) = self.limit else {
            return Ok(waiting.await);
        };
        let waited = tokio::time::timeout(limit, waiting).await;
        waited.map_err(|_| OutboundError::Timeout {
            host: self.host.to_owned(),
            limit,
        })
    }
}

/// The request that a guest has written, and its limit of time.
fn parse(written: &Bytes) -> Result<(Request<HttpBody>, Option<Duration>), SendError> {
    let (head, body) =
        guest_message::split(written, HEAD_BYTES_MAX).map_err(SendError::Malformed)?;
    let head: RequestHead = serde_json::from_slice(head)
        .map_err(|fault| malformed(format!("its head: {}", shown(&fault.to_string()))))?;
    let method = Method::from_bytes(head.method.as_bytes())
        .map_err(|_| malformed(format!("{:?} is no method", shown(&head.method))))?;
    let uri = url(&head.url).ok_or_else(|| OutboundError::Url(shown(&head.url)))?;
    let mut request = Request::new(whole(body));
    *request.method_mut() = method;
    *request.uri_mut() = uri;
    *request.headers_mut() = guest_headers::read(&head.headers).map_err(SendError::Malformed)?;
    Ok((request, head.timeout_ms.map(Duration::from_millis)))
}

/// A URL with a scheme and a host.
fn url(text: &str) -> Option<Uri> {
    let uri: Uri = text.parse().ok()?;
    (uri.scheme().is_some() && uri.host().is_some_and(|host| !host.is_empty())).then_some(uri)
}

fn malformed(what: String) -> SendError {
    SendError::Malformed(what)
}

fn whole(bytes: Bytes) -> HttpBody {
    Box::pin(Full::new(bytes).map_err(|never| match never {}))
}

/// A response as a guest reads it.
async fn write(
    response: Response<HttpBody>,
    wait: Wait<'_>,
    body_bytes_max: usize,
) -> Result<Bytes, OutboundError> {
    let (parts, body) = response.into_parts();
    let head = ResponseHead {
        status: parts.status.as_u16(),
        headers: guest_headers::written(&parts.headers),
    };
    let broken = |cause: String| OutboundError::Broken {
        host: wait.host.to_owned(),
        cause,
    };
    let head = serde_json::to_vec(&head).map_err(|fault| broken(fault.to_string()))?;
    let begun = guest_message::begin(&head, 0);
    let mut written = begun.ok_or_else(|| broken("its head is too long".to_owned()))?;
    append(&mut written, body, wait, body_bytes_max).await?;
    Ok(written.into())
}

/// Appends a body, as far as it is short enough.
async fn append(
    written: &mut Vec<u8>,
    mut body: HttpBody,
    wait: Wait<'_>,
    bytes_max: usize,
) -> Result<(), OutboundError> {
    let mut left = bytes_max;
    while let Some(frame) = wait.within(body.frame()).await? {
        let frame = frame.map_err(|fault| body_fault(wait.host, fault))?;
        // Trailers are not passed on.
        let Ok(data) = frame.into_data() else {
            continue;
        };
        left = left
            .checked_sub(data.len())
            .ok_or_else(|| OutboundError::TooLarge {
                host: wait.host.to_owned(),
                bytes_max: bytes_max as u64,
            })?;
        written.extend_from_slice(&data);
    }
    Ok(())
}

/// The fault with which a body breaks off.
fn body_fault(host: &str, fault: BodyError) -> OutboundError {
    match fault.downcast::<OutboundError>() {
        Ok(fault) => *fault,
        Err(other) => OutboundError::Broken {
            host: host.to_owned(),
            cause: other.to_string(),
        },
    }
}
