//! `GET /events`: what happens on the node, as server-sent events.

use std::sync::Arc;
use std::time::Duration;

use axum::Extension;
use bytes::Bytes;
use futures_util::stream;
use http::{HeaderName, HeaderValue};
use serverledge_wire::events::{EVENT_STREAM, kind};
use serverledge_wire::problem::Problem;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::runs::scope;
use crate::backend::runs::{EventFeed, EventFilter, EventId};
use crate::request::api_request::ApiRequest;
use crate::request::context::Draining;
use crate::request::query::{flag, malformed, members};
use crate::response::problem::{ApiError, ApiResult};
use crate::response::{ndjson, untrusted};

const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");
/// Tells nginx and its like not to hold events back.
const ACCEL_BUFFERING: HeaderName = HeaderName::from_static("x-accel-buffering");
/// Longest stream: a reader that comes back is looked at anew, and sees what is new of its own.
const STREAM_MAX: Duration = Duration::from_secs(15 * 60);
/// A comment: a sign of life.
const HEARTBEAT: Bytes = Bytes::from_static(b":\n\n");

/// Runs, deploys, log lines, sandboxes, offloads, other nodes and the load, as they come.
#[utoipa::path(
    get, path = "/events", tag = "invocations",
    params(
        ("kinds" = Option<String>, Query, description = "run, deploy, log, sandbox, offload, peer, load; several with commas; all if absent"),
        ("function" = Option<String>, Query, description = "the events of functions of this name, and of the node"),
        ("all" = Option<bool>, Query, description = "operators: the functions of everybody"),
        ("Last-Event-ID" = Option<String>, Header, description = "the id of the last event that the reader has"),
    ),
    responses(
        (status = 200, content((String = "text/event-stream")), description = "events without end, until the node drains; peer and load are for operators; missed says how many a slow reader does not get"),
        (status = 400, description = "malformed query", body = Problem),
        (status = 503, description = "too many readers already", body = Problem),
    )
)]
pub(crate) async fn events(
    Extension(Draining(draining)): Extension<Draining>,
    ApiRequest {
        state,
        context,
        parts,
        ..
    }: ApiRequest,
) -> ApiResult {
    let mut kinds = Vec::new();
    let mut function = None;
    let mut all = false;
    for (name, value) in members(parts.uri.query().unwrap_or_default()) {
        match name {
            "kinds" => kinds = known_kinds(&value)?,
            "function" => function = Some(value),
            "all" => all = flag("all", &value)?,
            _ => return Err(malformed("the query takes kinds, function and all only")),
        }
    }
    let last = parts
        .headers
        .get(LAST_EVENT_ID)
        .and_then(|id| id.to_str().ok())
        .and_then(EventId::parse);
    let filter = EventFilter {
        scope: scope(&state, &context.caller, all)?,
        of_node: context.caller.operates(),
        kinds,
        function,
        last,
    };
    let place = Arc::clone(&state.event_readers)
        .try_acquire_owned()
        .map_err(|_| ApiError::busy())?;
    let reader = Reader {
        feed: state.backend.runs.events(filter),
        draining,
        until: Instant::now() + STREAM_MAX,
        _place: place,
    };
    let mut response = ndjson::response(EVENT_STREAM, stream::unfold(reader, next));
    response
        .headers_mut()
        .insert(ACCEL_BUFFERING, HeaderValue::from_static("no"));
    untrusted::mark(response.headers_mut());
    Ok(response)
}

fn known_kinds(value: &str) -> Result<Vec<&'static str>, ApiError> {
    let named = value.split(',').filter(|name| !name.is_empty());
    named
        .map(|name| {
            let known = kind::CHOICES.into_iter().find(|known| *known == name);
            known.ok_or_else(|| {
                malformed(format!(
                    "kinds: {name:?} is none of {}",
                    kind::CHOICES.join(", ")
                ))
            })
        })
        .collect()
}

/// A reader. Dropping it gives its place back.
struct Reader {
    feed: Box<dyn EventFeed>,
    draining: CancellationToken,
    /// The end of the stream.
    until: Instant,
    _place: OwnedSemaphorePermit,
}

/// The next piece; `None` when the node drains, or at the end of the stream's time.
async fn next(mut reader: Reader) -> Option<(Bytes, Reader)> {
    let piece = tokio::select! {
        biased;
        () = reader.draining.cancelled() => return None,
        () = tokio::time::sleep_until(reader.until) => return None,
        piece = reader.feed.next() => piece,
        () = tokio::time::sleep(ndjson::HEARTBEAT) => HEARTBEAT,
    };
    Some((piece, reader))
}
