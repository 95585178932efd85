//! Headers of outgoing requests and their responses: what belongs to a connection is not passed on.

use http::header::{
    CONNECTION, CONTENT_LENGTH, HOST, HeaderMap, HeaderName, HeaderValue, PROXY_AUTHORIZATION, TE,
    TRANSFER_ENCODING, UPGRADE,
};
use http::{Request, Response, Version};
use http_body::Body as _;
use hyper::body::Incoming;
use serverledge_core::HttpBody;

/// Headers that are about one connection only (RFC 9110 §7.6.1), beside those that `Connection` names.
const HOP_BY_HOP: [HeaderName; 8] = [
    CONNECTION,
    PROXY_AUTHORIZATION,
    TE,
    TRANSFER_ENCODING,
    UPGRADE,
    HeaderName::from_static("http2-settings"),
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-connection"),
];

/// Makes a request ready to be sent. `Host` is made from the URL, which is what was allowed, and the length is the
/// body's, where that is known.
pub(super) fn prepare(request: &mut Request<HttpBody>) {
    // The connection decides; a request that asks for HTTP/2 would fail on one without.
    *request.version_mut() = Version::HTTP_11;
    request.extensions_mut().clear();
    let length = request.body().size_hint().exact();
    let headers = request.headers_mut();
    remove_hop_by_hop(headers);
    headers.remove(HOST);
    let declared = declared_length(headers);
    headers.remove(CONTENT_LENGTH);
    // Where the function said nothing, the length or the framing comes from the body.
    if let Some(declared) = declared {
        headers.insert(
            CONTENT_LENGTH,
            HeaderValue::from(length.unwrap_or(declared)),
        );
    }
}

/// Removes what is not for the function.
pub(super) fn clean_response(response: &mut Response<Incoming>) {
    response.extensions_mut().clear();
    remove_hop_by_hop(response.headers_mut());
}

fn remove_hop_by_hop(headers: &mut HeaderMap) {
    let named: Vec<HeaderName> = headers
        .get_all(CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .filter_map(|name| name.trim().parse().ok())
        .collect();
    for name in named.iter().chain(&HOP_BY_HOP) {
        headers.remove(name);
    }
}

/// The length that the headers declare, if it is one number, given once.
fn declared_length(headers: &HeaderMap) -> Option<u64> {
    let mut values = headers.get_all(CONTENT_LENGTH).iter();
    let value = values.next()?.to_str().ok()?;
    let is_number = values.next().is_none() && value.bytes().all(|byte| byte.is_ascii_digit());
    value.parse().ok().filter(|_| is_number)
}
