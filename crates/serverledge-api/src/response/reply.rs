//! Pieces of replies: JSON bodies, the headers that Serverledge's clients and load balancer read, `Server-Timing`.

use std::time::Duration;

use axum::body::Body;
use bytes::Bytes;
use http::header::{CONTENT_TYPE, ETAG, IF_NONE_MATCH};
use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode};
use serde::Serialize;
use serverledge_core::{CacheMetadata, Ignored, Phases, Source, unix_ms};
use serverledge_wire::function::FunctionInfo;
use serverledge_wire::header as wire;

use crate::backend::{Identity, Load};

/// Plain text.
pub(crate) const TEXT: &str = "text/plain; charset=utf-8";
const JSON: HeaderValue = HeaderValue::from_static("application/json");
/// The cache look-up that answered; absent where the function ran.
const CACHE: HeaderName = HeaderName::from_static("serverledge-cache");
/// The number of results sent by the client that were not believed, by reason.
const CACHE_IGNORED: HeaderName = HeaderName::from_static("serverledge-cache-ignored");
const SERVER_TIMING: HeaderName = HeaderName::from_static("server-timing");

const NODE_NAME: HeaderName = HeaderName::from_static(wire::NODE_NAME);
const FREE_MEM: HeaderName = HeaderName::from_static(wire::FREE_MEM);
const FREE_CPU: HeaderName = HeaderName::from_static(wire::FREE_CPU);
const TIMESTAMP: HeaderName = HeaderName::from_static(wire::TIMESTAMP);
const NODE_ARCH: HeaderName = HeaderName::from_static(wire::NODE_ARCH);
/// Headers of a reply of `/invoke`, with the two that hyper adds: a table that grows is filled three times.
const HEADERS: usize = 12;

/// A 200 with these JSON bytes.
pub(crate) fn json_bytes(bytes: Bytes) -> Response<Body> {
    let mut response = Response::new(Body::from(bytes));
    *response.headers_mut() = HeaderMap::with_capacity(HEADERS);
    response.headers_mut().insert(CONTENT_TYPE, JSON);
    response
}

/// A 200 with this value as JSON.
pub(crate) fn json<T: Serialize>(value: &T) -> Response<Body> {
    // Our own reply types have string keys and no failing serializers.
    json_bytes(Bytes::from(serde_json::to_vec(value).unwrap_or_default()))
}

/// The header with the entity tag of a function's description.
pub(crate) fn etag(info: &FunctionInfo) -> Option<(HeaderName, HeaderValue)> {
    // Quotes and hexadecimal digits: always a value.
    Some((ETAG, HeaderValue::from_str(&info.etag()).ok()?))
}

/// Whether `If-None-Match` names this tag (RFC 9110 §13.1.2: weak tags count).
pub(crate) fn has_already(headers: &HeaderMap, tag: &str) -> bool {
    headers
        .get_all(IF_NONE_MATCH)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .map(|one| one.trim().trim_start_matches("W/"))
        .any(|one| one == tag || one == "*")
}

/// A reply of plain text.
pub(crate) fn text(
    status: StatusCode,
    content_type: &'static str,
    body: impl Into<Body>,
) -> Response<Body> {
    let mut response = Response::new(body.into());
    *response.status_mut() = status;
    response
        .headers_mut()
        .insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    response
}

/// A 204.
pub(crate) fn no_content() -> Response<Body> {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::NO_CONTENT;
    response
}

/// The parts of a node's headers that never change.
#[derive(Debug, Clone)]
pub(crate) struct NodeHeaders {
    name: HeaderValue,
}

impl NodeHeaders {
    pub(crate) fn new(identity: &Identity) -> Self {
        let name = format!("({}){}", identity.area, identity.node);
        Self {
            name: HeaderValue::from_str(&name).unwrap_or(HeaderValue::from_static("serverledge")),
        }
    }

    /// Adds the headers that Serverledge's load balancer reads from every reply of `/invoke`.
    pub(crate) fn add(&self, headers: &mut HeaderMap, load: Load) {
        let now = unix_ms() / 1000;
        // One allocation for all figures: a header value of a number makes two of its own.
        let mut text = Vec::with_capacity(48);
        push_digits(&mut text, load.free_memory_mib);
        let memory = text.len();
        push_cores(&mut text, load.free_cpu);
        let cpu = text.len();
        push_digits(&mut text, now);
        let text = Bytes::from(text);
        headers.insert(NODE_NAME, self.name.clone());
        headers.insert(FREE_MEM, figure(text.slice(..memory)));
        headers.insert(FREE_CPU, figure(text.slice(memory..cpu)));
        headers.insert(TIMESTAMP, figure(text.slice(cpu..)));
        headers.insert(NODE_ARCH, HeaderValue::from_static(wire::ARCH));
    }
}

/// Digits are a header value.
fn figure(digits: Bytes) -> HeaderValue {
    HeaderValue::from_maybe_shared(digits).unwrap_or(HeaderValue::from_static("0"))
}

fn push_cores(text: &mut Vec<u8>, free: f64) {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "core counts are small and not negative"
    )]
    let whole = free as u64;
    #[expect(clippy::cast_precision_loss, reason = "core counts are small")]
    if (whole as f64 - free).abs() < f64::EPSILON {
        return push_digits(text, whole);
    }
    text.extend_from_slice(format!("{free:.3}").as_bytes());
}

/// A number in decimal digits, without the formatter.
fn push_digits(text: &mut Vec<u8>, number: u64) {
    let mut digits = [b'0'; 20];
    let at = write_digits(&mut digits, number).min(digits.len() - 1);
    text.extend_from_slice(&digits[at..]);
}

/// Writes the digits at the end; returns where they begin. None are written for 0.
fn write_digits(digits: &mut [u8; 20], number: u64) -> usize {
    let mut rest = number;
    let mut at = digits.len();
    while rest > 0 && at > 0 {
        at -= 1;
        digits[at] = b'0' + u8::try_from(rest % 10).unwrap_or(0);
        rest /= 10;
    }
    at
}

/// Adds the phases as `Server-Timing` (W3C), in milliseconds, so that a browser's network panel shows them.
pub(crate) fn add_timing(headers: &mut HeaderMap, phases: &Phases) {
    let mut text = Vec::with_capacity(80);
    for (name, time) in [
        ("queue", phases.queue),
        ("start", phases.start),
        ("exec", phases.execution),
        ("total", phases.total),
    ] {
        if !text.is_empty() {
            text.extend_from_slice(b", ");
        }
        text.extend_from_slice(name.as_bytes());
        text.extend_from_slice(b";dur=");
        push_milliseconds(&mut text, time);
    }
    if let Ok(value) = HeaderValue::from_maybe_shared(Bytes::from(text)) {
        headers.insert(SERVER_TIMING, value);
    }
}

/// Takes away what a function may not say for the node.
pub(crate) fn remove_cache_headers(headers: &mut HeaderMap) {
    headers.remove(SERVER_TIMING);
    headers.remove(CACHE);
    headers.remove(CACHE_IGNORED);
}

/// Adds which look-up answered, where nothing ran for the answer, and what the client carried that was not believed.
pub(crate) fn add_cache_headers(headers: &mut HeaderMap, memo: &CacheMetadata) {
    if memo.source != Source::Ran {
        headers.insert(CACHE, HeaderValue::from_static(memo.source.name()));
    }
    if memo.ignored == Ignored::default() {
        return;
    }
    let reasons: Vec<_> = memo
        .ignored
        .counts()
        .map(|(reason, count)| format!("{reason}={count}"))
        .collect();
    if let Ok(value) = HeaderValue::try_from(reasons.join(", ")) {
        headers.insert(CACHE_IGNORED, value);
    }
}

/// Three decimals, without going through floating point and the formatter: this is on the request path.
fn push_milliseconds(text: &mut Vec<u8>, time: Duration) {
    let micros = u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
    let mut digits = [b'0'; 20];
    let at = write_digits(&mut digits, micros).min(digits.len() - 4);
    let (whole, fraction) = digits[at..].split_at(digits.len() - at - 3);
    text.extend_from_slice(whole);
    text.push(b'.');
    text.extend_from_slice(fraction);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn milliseconds_have_three_decimals() {
        for (micros, expected) in [
            (0, "0.000"),
            (7, "0.007"),
            (1_000, "1.000"),
            (1_234_567, "1234.567"),
        ] {
            let mut text = Vec::new();
            push_milliseconds(&mut text, Duration::from_micros(micros));
            assert_eq!(String::from_utf8(text).unwrap(), expected);
        }
    }

    #[test]
    fn what_was_looked_up_is_told_where_there_is_something_to_tell() {
        let told = |memo: &CacheMetadata| {
            let mut headers = HeaderMap::new();
            add_cache_headers(&mut headers, memo);
            let text = |name: HeaderName| {
                headers
                    .get(name)
                    .map(|value| value.to_str().unwrap().to_owned())
            };
            (text(CACHE), text(CACHE_IGNORED))
        };
        assert_eq!(told(&CacheMetadata::default()), (None, None));
        let ignored = Ignored {
            not_edge: 1,
            forged: 2,
            ..Ignored::default()
        };
        let memo = CacheMetadata {
            source: Source::Joined,
            ignored,
            ..CacheMetadata::default()
        };
        assert_eq!(
            told(&memo),
            (
                Some("joined".to_owned()),
                Some("not-edge=1, untrue=2".to_owned())
            )
        );
    }

    #[test]
    fn whole_cores_have_no_decimals() {
        for (free, expected) in [(2.0, "2"), (0.0, "0"), (1.75, "1.750")] {
            let mut text = Vec::new();
            push_cores(&mut text, free);
            assert_eq!(String::from_utf8(text).unwrap(), expected);
        }
    }

    #[test]
    fn tags_are_compared_whole() {
        let has = |value: &'static str| {
            let headers = HeaderMap::from_iter([(IF_NONE_MATCH, HeaderValue::from_static(value))]);
            has_already(&headers, "\"ab\"")
        };
        assert!(has("\"ab\"") && has("\"x\", W/\"ab\"") && has("*"));
        assert!(!has("ab") && !has("\"abc\"") && !has(""));
    }
}
