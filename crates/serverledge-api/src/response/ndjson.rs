//! Answers that come line by line.

use std::time::Duration;

use axum::body::Body;
use bytes::Bytes;
use futures_util::Stream;
use http::header::{ACCEPT, CONTENT_TYPE, X_CONTENT_TYPE_OPTIONS};
use http::{HeaderMap, HeaderValue, Response};
use serde::Serialize;
use serverledge_wire::stream::NDJSON;

/// Silence after which a sign of life is sent, so that each side learns of the other's end.
pub(crate) const HEARTBEAT: Duration = Duration::from_secs(10);

/// Whether the caller asks for JSON line by line.
pub(crate) fn are_wanted(headers: &HeaderMap) -> bool {
    accepts(headers, NDJSON)
}

/// Whether the caller names this media type.
pub(crate) fn accepts(headers: &HeaderMap, media_type: &str) -> bool {
    let values = headers
        .get_all(ACCEPT)
        .iter()
        .filter_map(|value| value.to_str().ok());
    let mut types = values
        .flat_map(|value| value.split(','))
        .filter_map(|one| one.split(';').next());
    types.any(|one| one.trim().eq_ignore_ascii_case(media_type))
}

/// A value as one line.
pub(crate) fn line<T: Serialize>(value: &T) -> Vec<u8> {
    // Our own line types have string keys and no failing serializers.
    let mut line = serde_json::to_vec(value).unwrap_or_default();
    line.push(b'\n');
    line
}

/// A 200 whose body is this stream of pieces.
pub(crate) fn response(
    content_type: &'static str,
    pieces: impl Stream<Item = Bytes> + Send + 'static,
) -> Response<Body> {
    use futures_util::StreamExt as _;
    let body = Body::from_stream(pieces.map(Ok::<_, std::convert::Infallible>));
    let mut response = Response::new(body);
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_media_type_is_found_among_others() {
        let wanted = |accept: &'static str| {
            are_wanted(&HeaderMap::from_iter([(ACCEPT, accept.parse().unwrap())]))
        };
        for yes in [
            "application/x-ndjson",
            "application/json, Application/X-NDJSON;q=0.5",
        ] {
            assert!(wanted(yes), "{yes}");
        }
        for no in ["*/*", "application/json", "application/x-ndjsonx", ""] {
            assert!(!wanted(no), "{no}");
        }
        assert!(!are_wanted(&HeaderMap::new()));
    }
}
