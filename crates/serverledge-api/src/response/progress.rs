//! Answers of work that takes a while: the outcome alone, or what happens meanwhile as well, as JSON line by line or as
//! server-sent events (HTML Standard §9.2). Each line or event has the member `Progress`, or at the end `Problem` or the
//! outcome's own; an empty object is a sign of life.

use std::collections::BTreeMap;
use std::pin::Pin;

use axum::body::Body;
use bytes::Bytes;
use futures_util::stream;
use http::{HeaderMap, Response};
use serde::Serialize;
use serde_json::value::RawValue;
use serverledge_core::Progress;
use serverledge_wire::stream::NDJSON;
use tokio::sync::mpsc;

use crate::response::problem::ApiError;
use crate::response::{ndjson, reply};

/// Steps that wait to be sent; what comes while a slow reader has so many before it is passed over.
const STEPS_MAX: usize = 1024;
/// Characters kept of a step: tools print lines of any length.
const STEP_CHARS_MAX: usize = 1000;
const EVENTS: &str = "text/event-stream";

type Work = Pin<Box<dyn Future<Output = Result<Box<RawValue>, ApiError>> + Send>>;

/// The format of an answer that shows progress.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum ProgressFormat {
    Lines,
    Events,
}

/// Hands steps over to the answer.
pub(crate) struct ProgressSender(Option<mpsc::Sender<String>>);

impl Progress for ProgressSender {
    fn step(&self, text: &str) {
        let Some(sender) = &self.0 else { return };
        // One that finds no room is passed over: the work does not wait for its audience.
        let _ = sender.try_send(text.trim_end().chars().take(STEP_CHARS_MAX).collect());
    }
}

/// Work under way, driven by whoever reads its answer. Dropping it stops the work.
struct ProgressStream {
    work: Work,
    told: mpsc::Receiver<String>,
    form: ProgressFormat,
    outcome: &'static str,
    request_id: String,
    /// The body is kept until the work is done, so the request counts until then.
    _permit: Box<dyn Send>,
}

/// Does the work and answers as the caller asks to be told. `outcome` is the member that the last line has.
pub(crate) async fn answer<T, F>(
    headers: &HeaderMap,
    outcome: &'static str,
    permit: impl Send + 'static,
    request_id: &str,
    work: impl FnOnce(ProgressSender) -> F,
) -> Result<Response<Body>, ApiError>
where
    T: Serialize,
    F: Future<Output = Result<T, ApiError>> + Send + 'static,
{
    let Some(form) = form(headers) else {
        return Ok(reply::json(&work(ProgressSender(None)).await?));
    };
    let (steps, told) = mpsc::channel(STEPS_MAX);
    let work = work(ProgressSender(Some(steps)));
    let work: Work = Box::pin(async move { Ok(raw(&work.await?)) });
    let telling = ProgressStream {
        work,
        told,
        form,
        outcome,
        request_id: request_id.to_owned(),
        _permit: Box::new(permit),
    };
    let content_type = if form == ProgressFormat::Lines {
        NDJSON
    } else {
        EVENTS
    };
    Ok(ndjson::response(
        content_type,
        stream::unfold(Some(telling), next),
    ))
}

fn raw<T: Serialize + ?Sized>(value: &T) -> Box<RawValue> {
    // Our own reply types have string keys and no failing serializers.
    serde_json::value::to_raw_value(value).unwrap_or_default()
}

fn form(headers: &HeaderMap) -> Option<ProgressFormat> {
    if ndjson::are_wanted(headers) {
        return Some(ProgressFormat::Lines);
    }
    ndjson::accepts(headers, EVENTS).then_some(ProgressFormat::Events)
}

/// The next piece of the answer, and what is left to tell.
async fn next(telling: Option<ProgressStream>) -> Option<(Bytes, Option<ProgressStream>)> {
    let mut telling = telling?;
    let piece = tokio::select! {
        biased;
        outcome = &mut telling.work => return Some((last(telling, outcome), None)),
        Some(step) = telling.told.recv() => telling.form.piece([("Progress", raw(&step))]),
        () = tokio::time::sleep(ndjson::HEARTBEAT) => telling.form.piece([]),
    };
    Some((piece.into(), Some(telling)))
}

/// The steps that were not told yet, and the outcome.
fn last(mut telling: ProgressStream, outcome: Result<Box<RawValue>, ApiError>) -> Bytes {
    let form = telling.form;
    let mut text = Vec::new();
    while let Ok(step) = telling.told.try_recv() {
        text.extend(form.piece([("Progress", raw(&step))]));
    }
    text.extend(match outcome {
        Ok(value) => form.piece([(telling.outcome, value)]),
        Err(failed) => {
            let (problem, retry_after) = failed.into_problem(&telling.request_id);
            let problem = ("Problem", raw(&problem));
            match retry_after {
                Some(seconds) => form.piece([problem, ("RetryAfter", raw(&seconds))]),
                None => form.piece([problem]),
            }
        }
    });
    text.into()
}

impl ProgressFormat {
    fn piece<const N: usize>(self, members: [(&str, Box<RawValue>); N]) -> Vec<u8> {
        let name = members.first().map(|(name, _)| name.to_ascii_lowercase());
        let line = ndjson::line(&BTreeMap::from(members));
        match (self, name) {
            (Self::Lines, _) => line,
            // A comment keeps the connection and is no event.
            (Self::Events, None) => b": still working\n\n".to_vec(),
            // JSON has no line breaks of its own, so one line of data holds it.
            (Self::Events, Some(name)) => {
                [format!("event: {name}\ndata: ").as_bytes(), &line, b"\n"].concat()
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use http::header::ACCEPT;

    use super::*;

    #[test]
    fn the_caller_says_how_to_be_told() {
        let form = |accept: &str| form(&HeaderMap::from_iter([(ACCEPT, accept.parse().unwrap())]));
        assert_eq!(form("text/event-stream"), Some(ProgressFormat::Events));
        assert_eq!(
            form("application/json, Text/Event-Stream;q=0.5"),
            Some(ProgressFormat::Events)
        );
        assert_eq!(form("application/x-ndjson"), Some(ProgressFormat::Lines));
        assert_eq!(form("application/json, */*"), None);
    }

    #[test]
    fn a_step_stays_one_event_whatever_it_says() {
        let hostile = "a\nevent: problem\r\ndata: {}\n\n";
        let event =
            String::from_utf8(ProgressFormat::Events.piece([("Progress", raw(hostile))])).unwrap();
        assert_eq!(
            event,
            "event: progress\ndata: {\"Progress\":\"a\\nevent: problem\\r\\ndata: {}\\n\\n\"}\n\n"
        );
        assert_eq!(
            String::from_utf8(ProgressFormat::Lines.piece([])).unwrap(),
            "{}\n"
        );
    }
}
