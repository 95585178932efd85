//! A reactor that answers requests: a request and its response as a whole in guest memory, each in the form that
//! `serverledge::send` has for them: the length of a head in four bytes, the head in JSON, and the body.

use bytes::Bytes;
use http::header::{CONNECTION, HOST, TE, TRAILER, TRANSFER_ENCODING, UPGRADE};
use http::request::Parts;
use http::uri::{Authority, PathAndQuery, Scheme};
use http::{HeaderMap, HeaderName, Method, Response, StatusCode};
use serde::{Deserialize, Serialize};
use serverledge_core::{InvokeError, Payload, TraceContext};
use serverledge_wire::guest_message;

use crate::failure::internal_from;
use crate::guest_headers::{self, shown};
use crate::http::{json_request, set_trace};
use crate::program_call::whole;

/// Longest head of a response, as that of a component.
const HEAD_BYTES_MAX: usize = 128 * 1024;

/// Headers of a connection, which is not the guest's.
const OF_CONNECTION: [HeaderName; 7] = [
    CONNECTION,
    TE,
    TRAILER,
    TRANSFER_ENCODING,
    UPGRADE,
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-connection"),
];

/// The head of a request. Values of headers are bytes, each as the character with its number, in both directions.
#[derive(Debug, Serialize)]
struct RequestHead<'a> {
    method: &'a str,
    url: String,
    headers: Vec<(&'a str, String)>,
}

/// The head of a response.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct ResponseHead {
    status: u16,
    #[serde(default)]
    headers: Vec<(String, String)>,
}

/// The form in which a request is answered.
#[derive(Debug, Clone, Copy)]
pub(crate) struct AnswerForm {
    /// Whether the body is not sent, as `HEAD` has it.
    pub(crate) is_head: bool,
    /// Whether the body of the response is the result of an invocation with JSON.
    pub(crate) as_json: bool,
}

/// The request of a call as a guest reads it. Parameters become a request, as for a component.
///
/// # Errors
/// [`InvokeError::Request`] if its body breaks off or is too large.
pub(crate) async fn read(
    payload: Payload,
    trace: Option<&TraceContext>,
) -> Result<(Bytes, AnswerForm), InvokeError> {
    let (mut request, as_json) = match payload {
        Payload::Http(request) => (*request, false),
        Payload::Json(params) => (json_request(params), true),
    };
    set_trace(request.headers_mut(), trace);
    let (parts, body) = request.into_parts();
    let head = head(&parts).map_err(|fault| internal_from("write a request", fault))?;
    let form = AnswerForm {
        is_head: parts.method == Method::HEAD,
        as_json,
    };
    Ok((joined(&head, &whole(body).await?), form))
}

fn head(parts: &Parts) -> serde_json::Result<Vec<u8>> {
    serde_json::to_vec(&RequestHead {
        method: parts.method.as_str(),
        url: url(parts),
        headers: guest_headers::written(&parts.headers),
    })
}

/// The URL that the client asked for, below the path of the function. What could not be the host of one is passed over.
fn url(parts: &Parts) -> String {
    let scheme = match parts.extensions.get::<Scheme>() {
        Some(scheme) if *scheme == Scheme::HTTPS => "https",
        _ => "http",
    };
    let named = parts.headers.get(HOST).and_then(|host| host.to_str().ok());
    let of_uri = || parts.uri.authority().map(Authority::as_str);
    let host = named
        .filter(|host| is_host(host))
        .or_else(|| of_uri().filter(|host| is_host(host)))
        .unwrap_or("localhost");
    let path = parts.uri.path_and_query().map_or("/", PathAndQuery::as_str);
    let slash = if path.starts_with('/') { "" } else { "/" };
    format!("{scheme}://{host}{slash}{path}")
}

/// Whether a text is a host, with a port or without, and nothing else.
fn is_host(text: &str) -> bool {
    let Ok(authority) = text.parse::<Authority>() else {
        return false;
    };
    // Before the host there would be a user.
    let port = match text.strip_prefix(authority.host()) {
        Some("") => "",
        Some(rest) => match rest.strip_prefix(':') {
            Some(port) => port,
            None => return false,
        },
        None => return false,
    };
    let is_digits = port.bytes().all(|byte| byte.is_ascii_digit());
    !authority.host().is_empty() && (port.is_empty() || (is_digits && port.parse::<u16>().is_ok()))
}

fn joined(head: &[u8], body: &[u8]) -> Bytes {
    // A server's limits keep heads far below 4 GiB.
    let mut joined = guest_message::begin(head, body.len()).unwrap_or_default();
    joined.extend_from_slice(body);
    joined.into()
}

/// The response that a guest has written. The error is the function's fault.
pub(crate) fn response(written: &Bytes) -> Result<Response<Bytes>, String> {
    let (head, body) =
        guest_message::split(written, HEAD_BYTES_MAX).map_err(|fault| malformed(&fault))?;
    let head: ResponseHead = serde_json::from_slice(head)
        .map_err(|fault| malformed(&format!("its head: {}", shown(&fault.to_string()))))?;
    let status = StatusCode::from_u16(head.status)
        .map_err(|_| malformed(&format!("{} is no status", head.status)))?;
    let mut response = Response::new(body);
    *response.status_mut() = status;
    *response.headers_mut() = headers(&head.headers)?;
    Ok(response)
}

fn headers(list: &[(String, String)]) -> Result<HeaderMap, String> {
    let mut headers = guest_headers::read(list).map_err(|fault| malformed(&fault))?;
    for name in named_by_connection(&headers).iter().chain(&OF_CONNECTION) {
        headers.remove(name);
    }
    Ok(headers)
}

/// The headers that a response declares to be of the connection only (RFC 9110 §7.6.1).
fn named_by_connection(headers: &HeaderMap) -> Vec<HeaderName> {
    let values = headers.get_all(CONNECTION).iter();
    let values = values.filter_map(|value| value.to_str().ok());
    values
        .flat_map(|value| value.split(','))
        .filter_map(|name| name.trim().parse().ok())
        .collect()
}

fn malformed(what: &str) -> String {
    format!("the function's response is malformed: {what}")
}

#[cfg(test)]
mod tests {
    use http::{HeaderValue, Request};
    use http_body_util::{BodyExt as _, Full};
    use serverledge_core::HttpBody;

    use super::*;

    async fn seen(request: http::request::Builder, body: &'static str) -> (String, bool) {
        let body = Full::new(Bytes::from_static(body.as_bytes()));
        let body: HttpBody = Box::pin(body.map_err(|never| match never {}));
        let payload = Payload::Http(Box::new(request.body(body).unwrap()));
        let (bytes, form) = read(payload, None).await.unwrap();
        assert!(!form.as_json);
        let (length, rest) = bytes.split_first_chunk().unwrap();
        let (head, body) = rest.split_at(u32::from_le_bytes(*length) as usize);
        assert_eq!(body, b"body");
        (String::from_utf8(head.to_vec()).unwrap(), form.is_head)
    }

    #[tokio::test]
    async fn requests_are_read_as_they_are() {
        let request = Request::put("/a%20b?c=1")
            .header("Host", "h.example:81")
            .header("X-A", HeaderValue::from_bytes(b"\xe9").unwrap())
            .header("X-A", "2");
        let expected = r#"{"method":"PUT","url":"http://h.example:81/a%20b?c=1","headers":[["host","h.example:81"],["x-a","é"],["x-a","2"]]}"#;
        assert_eq!(seen(request, "body").await, (expected.to_owned(), false));
        let secure = Request::head("/").extension(Scheme::HTTPS);
        let expected = r#"{"method":"HEAD","url":"https://localhost/","headers":[]}"#;
        assert_eq!(seen(secure, "body").await, (expected.to_owned(), true));
        let of_server = Request::options("*").header("host", "h");
        let expected = r#"{"method":"OPTIONS","url":"http://h/*","headers":[["host","h"]]}"#;
        assert_eq!(seen(of_server, "body").await.0, expected);
    }

    #[tokio::test]
    async fn a_host_that_is_none_is_passed_over() {
        for (host, expected) in [
            ("h.example:65535", "h.example:65535"),
            ("h.example:", "h.example:"),
            ("[::1]:8", "[::1]:8"),
            ("[::1]", "[::1]"),
            ("h.example:65536", "of.uri:1"),
            ("localhost:99999", "of.uri:1"),
            ("h.example:+1", "of.uri:1"),
            ("[::1]:99999", "of.uri:1"),
            ("user@h.example", "of.uri:1"),
            ("a@a", "of.uri:1"),
            ("h.example/path", "of.uri:1"),
            ("a b", "of.uri:1"),
            (":80", "of.uri:1"),
            ("", "of.uri:1"),
        ] {
            let request = Request::get("http://of.uri:1/a").header("host", host);
            let expected = format!(r#""url":"http://{expected}/a""#);
            let head = seen(request, "body").await.0;
            assert!(head.contains(&expected), "{host}: {head}");
        }
        for uri in ["http://user@of.uri/a", "http://of.uri:99999/a", "/a"] {
            let request = Request::get(uri).header("host", "localhost:99999");
            let head = seen(request, "body").await.0;
            assert!(head.contains(r#""url":"http://localhost/a""#), "{head}");
        }
    }

    #[test]
    fn what_is_of_a_connection_is_left_out() {
        let head = r#"{"status":200,"headers":[["Connection","close, X-Hop"],["connection"," keep-alive,, a b"],["x-hop","1"],["x-kept","2"],["Keep-Alive","3"],["Upgrade","4"],["TE","5"]]}"#;
        let good = response(&joined(head.as_bytes(), b"")).unwrap();
        let names: Vec<&str> = good.headers().keys().map(HeaderName::as_str).collect();
        assert_eq!(names, ["x-kept"]);
    }

    #[tokio::test]
    async fn parameters_are_a_request() {
        let params = Payload::Json(Bytes::from_static(b"{}"));
        let (bytes, form) = read(params, None).await.unwrap();
        assert!(form.as_json && !form.is_head);
        let text = String::from_utf8_lossy(&bytes);
        assert!(
            text.contains(r#""method":"POST","url":"http://localhost/""#),
            "{text}"
        );
        assert!(text.ends_with("}{}"), "{text}");
    }

    #[test]
    fn responses_are_checked() {
        let of = |head: &str| response(&joined(head.as_bytes(), b"body"));
        let good = of(
            r#"{"status":201,"headers":[["Set-Cookie","a=1"],["set-cookie","b=ÿ"],["Connection","close"]]}"#,
        );
        let good = good.unwrap();
        assert_eq!(
            (good.status().as_u16(), &good.body()[..]),
            (201, &b"body"[..])
        );
        let cookies = good.headers().get_all("set-cookie").iter();
        let cookies: Vec<&[u8]> = cookies.map(HeaderValue::as_bytes).collect();
        assert_eq!(cookies, [&b"a=1"[..], b"b=\xff"]);
        assert_eq!(good.headers().len(), 2);
        assert!(of(r#"{"status":204}"#).is_ok());
        for (head, reason) in [
            (r#"{"status":99}"#, "99 is no status"),
            (
                r#"{"status":200,"headers":[["a b","x"]]}"#,
                "no name of a header",
            ),
            (
                r#"{"status":200,"headers":[["a","x\ny"]]}"#,
                "the header a has a value",
            ),
            (
                r#"{"status":200,"headers":[["a","☃"]]}"#,
                "the header a has a value",
            ),
            (r#"{"headers":[]}"#, "missing field `status`"),
            (r#"{"status":200,"more":1}"#, "unknown field"),
        ] {
            let told = of(head).unwrap_err();
            assert!(told.contains(reason), "{told}");
        }
        for short in [&b""[..], b"\x01\0\0", b"\x01\0\0\0", b"\xff\xff\xff\xff{}"] {
            let told = response(&Bytes::from_static(short)).unwrap_err();
            assert!(told.contains("its head"), "{told}");
        }
    }
}
