//! Pieces of replies: JSON bodies, the headers that Serverledge's clients and load balancer read, `Server-Timing`.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use axum::body::Body;
use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode};
use serde::Serialize;
use serverledge_core::{Ignored, Memo, Phases, Source};
use serverledge_wire::header::{ARCH, FREE_CPU, FREE_MEM, NODE_ARCH, NODE_NAME, TIMESTAMP};

use crate::app::Admitted;
use crate::backend::{Identity, Load};
use crate::error::Failed;

const JSON: HeaderValue = HeaderValue::from_static("application/json");
/// Which look-up answered; absent where the function ran.
const CACHE: HeaderName = HeaderName::from_static("serverledge-cache");
/// How many carried answers were not believed, by reason.
const CACHE_IGNORED: HeaderName = HeaderName::from_static("serverledge-cache-ignored");
const SERVER_TIMING: HeaderName = HeaderName::from_static("server-timing");

/// A 200 with these JSON bytes.
pub(crate) fn json_bytes(bytes: Bytes) -> Response<Body> {
    let mut response = Response::new(Body::from(bytes));
    response.headers_mut().insert(CONTENT_TYPE, JSON);
    response
}

/// A 200 with this value as JSON.
pub(crate) fn json<T: Serialize>(value: &T) -> Response<Body> {
    // Our own reply types have string keys and no failing serializers.
    json_bytes(Bytes::from(serde_json::to_vec(value).unwrap_or_default()))
}

/// A reply of plain text.
pub(crate) fn text(status: StatusCode, content_type: &'static str, body: impl Into<Body>) -> Response<Body> {
    let mut response = Response::new(body.into());
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    response
}

/// The answer, or the problem that there is instead.
pub(crate) fn finish(result: Result<Response<Body>, Failed>, asked: &Admitted) -> Response<Body> {
    result.unwrap_or_else(|failed| failed.into_response(asked.request_id()))
}

/// The parts of a node's headers that never change.
#[derive(Debug, Clone)]
pub(crate) struct NodeHeaders {
    name: HeaderValue,
}

impl NodeHeaders {
    pub(crate) fn new(identity: &Identity) -> Self {
        let name = format!("({}){}", identity.area, identity.node);
        Self { name: HeaderValue::from_str(&name).unwrap_or(HeaderValue::from_static("serverledge")) }
    }

    /// What Serverledge's load balancer reads from every reply of `/invoke`.
    pub(crate) fn add(&self, headers: &mut HeaderMap, load: Load) {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
        headers.insert(HeaderName::from_static(NODE_NAME), self.name.clone());
        headers.insert(HeaderName::from_static(FREE_MEM), HeaderValue::from(load.free_memory_mib));
        headers.insert(HeaderName::from_static(FREE_CPU), cores(load.free_cpu));
        headers.insert(HeaderName::from_static(TIMESTAMP), HeaderValue::from(now));
        headers.insert(HeaderName::from_static(NODE_ARCH), HeaderValue::from_static(ARCH));
    }
}

fn cores(free: f64) -> HeaderValue {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "core counts are small and not negative"
    )]
    let whole = free as u64;
    #[expect(clippy::cast_precision_loss, reason = "core counts are small")]
    if (whole as f64 - free).abs() < f64::EPSILON {
        return HeaderValue::from(whole);
    }
    HeaderValue::from_str(&format!("{free:.3}")).unwrap_or(HeaderValue::from_static("0"))
}

/// Adds the phases as `Server-Timing` (W3C), in milliseconds, so that a browser's network panel shows them.
pub(crate) fn add_timing(headers: &mut HeaderMap, phases: &Phases) {
    let mut text = Vec::with_capacity(80);
    for (name, time) in
        [("queue", phases.queue), ("start", phases.start), ("exec", phases.execution), ("total", phases.total)]
    {
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

/// Adds which look-up answered, where nothing ran for the answer, and what the client carried that was not believed.
pub(crate) fn add_memo(headers: &mut HeaderMap, memo: &Memo) {
    // A function does not speak for the node.
    headers.remove(CACHE);
    headers.remove(CACHE_IGNORED);
    if memo.source != Source::Ran {
        headers.insert(CACHE, HeaderValue::from_static(memo.source.name()));
    }
    if memo.ignored == Ignored::default() {
        return;
    }
    let reasons: Vec<_> = memo.ignored.counts().map(|(reason, count)| format!("{reason}={count}")).collect();
    if let Ok(value) = HeaderValue::try_from(reasons.join(", ")) {
        headers.insert(CACHE_IGNORED, value);
    }
}

/// Three decimals, without going through floating point and the formatter: this is on the request path.
fn push_milliseconds(text: &mut Vec<u8>, time: Duration) {
    let micros = time.as_micros();
    let mut digits = [b'0'; 20];
    let (mut rest, mut at) = (micros, digits.len());
    while rest > 0 && at > 0 {
        at -= 1;
        digits[at] = b'0' + u8::try_from(rest % 10).unwrap_or(0);
        rest /= 10;
    }
    let at = at.min(digits.len() - 4);
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
        for (micros, expected) in [(0, "0.000"), (7, "0.007"), (1_000, "1.000"), (1_234_567, "1234.567")] {
            let mut text = Vec::new();
            push_milliseconds(&mut text, Duration::from_micros(micros));
            assert_eq!(String::from_utf8(text).unwrap(), expected);
        }
    }

    #[test]
    fn what_was_looked_up_is_told_where_there_is_something_to_tell() {
        let told = |memo: &Memo| {
            let mut headers = HeaderMap::new();
            add_memo(&mut headers, memo);
            let text = |name: HeaderName| headers.get(name).map(|value| value.to_str().unwrap().to_owned());
            (text(CACHE), text(CACHE_IGNORED))
        };
        assert_eq!(told(&Memo::default()), (None, None));
        let ignored = Ignored { not_edge: 1, untrue: 2, ..Ignored::default() };
        let memo = Memo { source: Source::Joined, ignored, ..Memo::default() };
        assert_eq!(told(&memo), (Some("joined".to_owned()), Some("not-edge=1, untrue=2".to_owned())));
    }

    #[test]
    fn whole_cores_have_no_decimals() {
        assert_eq!(cores(2.0), "2");
        assert_eq!(cores(1.75), "1.750");
    }
}
