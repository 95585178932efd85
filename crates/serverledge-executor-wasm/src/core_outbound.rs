//! Outgoing requests of core modules, `serverledge::send`: a whole request for a whole response. Each is the length of a head
//! in four bytes, the head in JSON, and the body.

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
    let request = parse(request)?;
    let name = request.uri().host().unwrap_or_default().to_owned();
    let response = host.send(request).await?;
    Ok(write(response, &name, body_bytes_max).await?)
}

/// The request that a guest has written.
fn parse(written: &Bytes) -> Result<Request<HttpBody>, SendError> {
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
    Ok(request)
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
    host: &str,
    body_bytes_max: usize,
) -> Result<Bytes, OutboundError> {
    let (parts, body) = response.into_parts();
    let head = ResponseHead {
        status: parts.status.as_u16(),
        headers: guest_headers::written(&parts.headers),
    };
    let broken = |cause: String| OutboundError::Broken {
        host: host.to_owned(),
        cause,
    };
    let head = serde_json::to_vec(&head).map_err(|fault| broken(fault.to_string()))?;
    let begun = guest_message::begin(&head, 0);
    let mut written = begun.ok_or_else(|| broken("its head is too long".to_owned()))?;
    append(&mut written, body, host, body_bytes_max).await?;
    Ok(written.into())
}

/// Appends a body, as far as it is short enough.
async fn append(
    written: &mut Vec<u8>,
    mut body: HttpBody,
    host: &str,
    bytes_max: usize,
) -> Result<(), OutboundError> {
    let mut left = bytes_max;
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|fault| body_fault(host, fault))?;
        // Trailers are not passed on.
        let Ok(data) = frame.into_data() else {
            continue;
        };
        left = left
            .checked_sub(data.len())
            .ok_or_else(|| OutboundError::TooLarge {
                host: host.to_owned(),
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
