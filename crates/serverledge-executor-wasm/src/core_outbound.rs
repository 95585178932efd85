//! Outgoing requests of core modules, `serverledge::send`: a whole request for a whole response. Each is the length of a head
//! in four bytes, the head in JSON, and the body.

use bytes::Bytes;
use http::header::{HeaderMap, HeaderName, HeaderValue};
use http::{Method, Request, Response, Uri};
use http_body_util::{BodyExt as _, Full};
use serde::{Deserialize, Serialize};
use serverledge_core::limits::PARAMS_BYTES_MAX;
use serverledge_core::{BodyError, HostCalls, HttpBody, OutboundError};

/// Longest request with its head: as long as parameters may be.
pub(crate) const REQUEST_BYTES_MAX: usize = PARAMS_BYTES_MAX;
/// Longest head of a request. So it has far fewer headers than a map of them takes: beyond its limit those that the node and
/// the HTTP library add would have no place.
const HEAD_BYTES_MAX: usize = 64 * 1024;
/// Bytes of the length before a head.
const LENGTH_BYTES: usize = 4;
/// Characters of the guest's own that an error repeats.
const SHOWN_CHARS_MAX: usize = 256;

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
    let short = || malformed("it ends within its head");
    let length = written.first_chunk::<LENGTH_BYTES>().ok_or_else(short)?;
    let length = usize::try_from(u32::from_le_bytes(*length)).unwrap_or(usize::MAX);
    if length > HEAD_BYTES_MAX {
        return Err(malformed(&format!(
            "its head is longer than {HEAD_BYTES_MAX} bytes"
        )));
    }
    let end = length.saturating_add(LENGTH_BYTES);
    let head = written.get(LENGTH_BYTES..end).ok_or_else(short)?;
    let head: RequestHead = serde_json::from_slice(head)
        .map_err(|fault| malformed(&format!("its head: {}", shown(&fault.to_string()))))?;
    let method = Method::from_bytes(head.method.as_bytes())
        .map_err(|_| malformed(&format!("{:?} is no method", shown(&head.method))))?;
    let uri = url(&head.url).ok_or_else(|| OutboundError::Url(shown(&head.url)))?;
    let mut request = Request::new(whole(written.slice(end..)));
    *request.method_mut() = method;
    *request.uri_mut() = uri;
    *request.headers_mut() = headers(&head.headers)?;
    Ok(request)
}

/// A URL with a scheme and a host.
fn url(text: &str) -> Option<Uri> {
    let uri: Uri = text.parse().ok()?;
    (uri.scheme().is_some() && uri.host().is_some_and(|host| !host.is_empty())).then_some(uri)
}

fn headers(list: &[(String, String)]) -> Result<HeaderMap, SendError> {
    let mut headers = HeaderMap::new();
    for (name, value) in list {
        let key = HeaderName::from_bytes(name.as_bytes())
            .map_err(|_| malformed(&format!("{:?} is no name of a header", shown(name))))?;
        let value = header_value(value).ok_or_else(|| {
            malformed(&format!("the header {key} has a value that cannot be sent"))
        })?;
        headers
            .try_append(key, value)
            .map_err(|_| malformed("it has too many headers"))?;
    }
    Ok(headers)
}

fn header_value(text: &str) -> Option<HeaderValue> {
    let bytes: Vec<u8> = text
        .chars()
        .map(|c| u8::try_from(c).ok())
        .collect::<Option<_>>()?;
    HeaderValue::from_bytes(&bytes).ok()
}

fn malformed(what: &str) -> SendError {
    SendError::Malformed(what.to_owned())
}

/// The beginning of what a guest has written.
fn shown(text: &str) -> String {
    text.chars().take(SHOWN_CHARS_MAX).collect()
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
        headers: parts
            .headers
            .iter()
            .map(|(name, value)| {
                (
                    name.as_str(),
                    value.as_bytes().iter().copied().map(char::from).collect(),
                )
            })
            .collect(),
    };
    let broken = |cause: String| OutboundError::Broken {
        host: host.to_owned(),
        cause,
    };
    let head = serde_json::to_vec(&head).map_err(|fault| broken(fault.to_string()))?;
    let length =
        u32::try_from(head.len()).map_err(|_| broken("its head is too long".to_owned()))?;
    let mut written = Vec::with_capacity(LENGTH_BYTES + head.len());
    written.extend_from_slice(&length.to_le_bytes());
    written.extend_from_slice(&head);
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
