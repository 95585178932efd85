//! `GET /functions/{name}/logs`: what a function wrote and when, as text for people or as JSON line by line.

use std::sync::Arc;

use axum::Extension;
use bytes::Bytes;
use futures_util::stream;
use http::StatusCode;
use serverledge_core::InvocationId;
use serverledge_wire::problem::Problem;
use serverledge_wire::stream::{LogLine, NDJSON};
use serverledge_wire::time::rfc3339;
use tokio::sync::OwnedSemaphorePermit;
use tokio::sync::broadcast::error::RecvError;
use tokio_util::sync::CancellationToken;

use crate::backend::{LogEntry, LogFeed};
use crate::request::api_request::ApiRequest;
use crate::request::context::Draining;
use crate::request::query::{flag, malformed, members};
use crate::response::problem::{ApiError, ApiResult};
use crate::response::{ndjson, reply, untrusted};

/// Lines shown unless the caller says otherwise.
const TAIL_DEFAULT: usize = 100;
/// Most lines shown of what is kept; more asked for gives so many.
const TAIL_MAX: usize = 10_000;
/// Characters of an invocation's id in a line of text: enough to tell invocations apart.
const ID_CHARS: usize = 12;
/// Characters of an id that must be given at least: fewer would take those of others.
const ID_CHARS_MIN: usize = 4;
/// Characters of a whole id.
const ID_CHARS_MAX: usize = 36;
/// In the place of an id, in lines of text that no invocation is known for.
const NO_ID: &str = "-";

/// The end of a function's log on this node, and with `follow` what comes.
#[utoipa::path(
    get, path = "/functions/{name}/logs", tag = "functions",
    params(
        ("name" = String, Path),
        ("tail" = Option<usize>, Query, description = "how many lines of what is kept: 100 unless said, at most 10000"),
        ("follow" = Option<bool>, Query, description = "whether to stay and show what comes, while it is written, until the node drains"),
        ("invocation" = Option<String>, Query, description = "the lines of this invocation alone: its id, or the end of it"),
    ),
    responses(
        (status = 200, content(
            (String = "text/plain"),
            (LogLine = "application/x-ndjson"),
        ), description = "each line with the time at which it was written and its invocation; JSON with Accept: application/x-ndjson"),
        (status = 400, description = "malformed query", body = Problem),
        (status = 404, description = "unknown function", body = Problem),
        (status = 503, description = "too many readers follow logs already", body = Problem),
    )
)]
pub(crate) async fn logs(
    Extension(Draining(draining)): Extension<Draining>,
    ApiRequest {
        state,
        context,
        segment: name,
        parts,
        ..
    }: ApiRequest,
) -> ApiResult {
    let LogQuery {
        tail,
        follow,
        invocation,
    } = LogQuery::parse(parts.uri.query().unwrap_or_default())?;
    let LogFeed { mut backlog, live } = state
        .backend
        .functions
        .logs(&context.caller.space, &name)
        .ok_or_else(|| ApiError::function_unknown(&name))?;
    let form = if ndjson::are_wanted(&parts.headers) {
        LogLineFormat::Json
    } else {
        LogLineFormat::Text
    };
    backlog.retain(|entry| invocation.takes(entry));
    let first = form.tail(&backlog, tail);
    let content_type = if form == LogLineFormat::Json {
        NDJSON
    } else {
        reply::TEXT
    };
    let mut response = if follow {
        let place = Arc::clone(&state.followers)
            .try_acquire_owned()
            .map_err(|_| ApiError::busy())?;
        let following = LogFollower {
            first,
            live,
            form,
            invocation,
            draining,
            _place: place,
        };
        ndjson::response(content_type, stream::unfold(following, next))
    } else {
        reply::text(StatusCode::OK, content_type, first)
    };
    untrusted::mark(response.headers_mut());
    Ok(response)
}

/// The options of the query.
#[derive(Debug, PartialEq, Eq)]
struct LogQuery {
    tail: usize,
    follow: bool,
    invocation: InvocationFilter,
}

/// The end of an invocation's id, as lines of text show it; empty: whichever.
#[derive(Debug, PartialEq, Eq)]
struct InvocationFilter(String);

impl InvocationFilter {
    fn parse(text: &str) -> Option<Self> {
        let fits = (ID_CHARS_MIN..=ID_CHARS_MAX).contains(&text.len());
        let is_part = text
            .bytes()
            .all(|byte| byte.is_ascii_hexdigit() || byte == b'-');
        (fits && is_part).then(|| Self(text.to_ascii_lowercase()))
    }

    fn takes(&self, entry: &LogEntry) -> bool {
        let ends_so = |id: &InvocationId| id.encode(&mut [0; ID_CHARS_MAX]).ends_with(&self.0);
        self.0.is_empty() || entry.invocation.as_ref().is_some_and(ends_so)
    }
}

impl LogQuery {
    fn parse(query: &str) -> Result<Self, ApiError> {
        let mut wanted = Self {
            tail: TAIL_DEFAULT,
            follow: false,
            invocation: InvocationFilter(String::new()),
        };
        for (name, value) in members(query) {
            match name {
                "tail" => {
                    let lines: u64 = value
                        .parse()
                        .map_err(|_| malformed("tail is a number of lines"))?;
                    wanted.tail = usize::try_from(lines).unwrap_or(TAIL_MAX).min(TAIL_MAX);
                }
                "follow" => wanted.follow = flag("follow", &value)?,
                "invocation" => {
                    let part = || {
                        malformed(
                            "invocation is the id of an invocation, or at least the last 4 characters of one",
                        )
                    };
                    wanted.invocation = InvocationFilter::parse(&value).ok_or_else(part)?;
                }
                _ => {
                    return Err(malformed(
                        "the query takes tail, follow and invocation only",
                    ));
                }
            }
        }
        Ok(wanted)
    }
}

/// A reader that stays. Dropping it gives its place back.
struct LogFollower {
    /// The kept entries in the reader's format, to be sent first.
    first: Vec<u8>,
    live: tokio::sync::broadcast::Receiver<LogEntry>,
    form: LogLineFormat,
    invocation: InvocationFilter,
    draining: CancellationToken,
    _place: OwnedSemaphorePermit,
}

/// The next piece; `None` when the function is deleted or the node drains.
async fn next(mut following: LogFollower) -> Option<(Bytes, LogFollower)> {
    let form = following.form;
    let first = std::mem::take(&mut following.first);
    if !first.is_empty() {
        return Some((first.into(), following));
    }
    loop {
        let piece = tokio::select! {
            biased;
            () = following.draining.cancelled() => return None,
            received = following.live.recv() => match received {
                Ok(entry) if !following.invocation.takes(&entry) => continue,
                Ok(entry) => form.entry(&entry),
                Err(RecvError::Lagged(entries)) => form.skipped(entries),
                Err(RecvError::Closed) => return None,
            },
            // Text has no sign of life that would not be taken for a line.
            () = tokio::time::sleep(ndjson::HEARTBEAT), if form == LogLineFormat::Json => ndjson::line(&LogLine::default()),
        };
        if !piece.is_empty() {
            return Some((piece.into(), following));
        }
    }
}

/// The format of the lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum LogLineFormat {
    Text,
    Json,
}

impl LogLineFormat {
    /// The last lines of these entries.
    fn tail(self, entries: &[LogEntry], lines: usize) -> Vec<u8> {
        let all: Vec<(&LogEntry, &[u8])> = entries
            .iter()
            .flat_map(|entry| lines_of(&entry.text).map(move |line| (entry, line)))
            .collect();
        let mut text = Vec::new();
        for (entry, line) in &all[all.len().saturating_sub(lines)..] {
            self.push(&mut text, entry, line);
        }
        text
    }

    fn entry(self, entry: &LogEntry) -> Vec<u8> {
        let mut text = Vec::new();
        lines_of(&entry.text).for_each(|line| self.push(&mut text, entry, line));
        text
    }

    fn push(self, text: &mut Vec<u8>, entry: &LogEntry, line: &[u8]) {
        let time = rfc3339(entry.time_unix_ms);
        let mut buffer = [0; ID_CHARS_MAX];
        let id: Option<&str> = entry
            .invocation
            .as_ref()
            .map(|id| id.encode(&mut buffer) as &str);
        let line = String::from_utf8_lossy(line);
        match self {
            Self::Text => {
                let id = id.map_or(NO_ID, |id| &id[id.len() - ID_CHARS..]);
                text.extend_from_slice(format!("{time} {id} {line}").trim_end().as_bytes());
                text.push(b'\n');
            }
            Self::Json => text.extend(ndjson::line(&LogLine {
                time,
                invocation: id.unwrap_or_default().to_owned(),
                failed: entry.failed,
                text: Some(line.into_owned()),
                skipped: None,
            })),
        }
    }

    fn skipped(self, entries: u64) -> Vec<u8> {
        match self {
            Self::Text => {
                format!("... {entries} pieces of the log were skipped: too many for this reader\n")
                    .into()
            }
            Self::Json => ndjson::line(&LogLine {
                skipped: Some(entries),
                ..LogLine::default()
            }),
        }
    }
}

/// The lines of a text without their ends; an end at the very end begins no further line.
fn lines_of(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    let whole = text.strip_suffix(b"\n").unwrap_or(text);
    let lines = (!text.is_empty()).then(|| whole.split(|byte| *byte == b'\n'));
    lines
        .into_iter()
        .flatten()
        .map(|line| line.strip_suffix(b"\r").unwrap_or(line))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_rfc_3339() {
        for (unix_ms, expected) in [
            (0, "1970-01-01T00:00:00.000Z"),
            (951_782_399_999, "2000-02-28T23:59:59.999Z"),
            (951_782_400_000, "2000-02-29T00:00:00.000Z"),
            (951_868_800_001, "2000-03-01T00:00:00.001Z"),
            (1_767_225_599_000, "2025-12-31T23:59:59.000Z"),
            (1_772_323_200_000, "2026-03-01T00:00:00.000Z"),
            (4_107_542_400_000, "2100-03-01T00:00:00.000Z"),
            (253_402_300_799_999, "9999-12-31T23:59:59.999Z"),
        ] {
            assert_eq!(rfc3339(unix_ms), expected);
        }
        assert!(!rfc3339(u64::MAX).is_empty(), "no time makes it panic");
    }

    #[test]
    fn lines_end_with_line_feeds_or_the_text() {
        let lines = |text: &'static str| lines_of(text.as_bytes()).collect::<Vec<_>>();
        assert!(lines("").is_empty());
        assert_eq!(lines("\n"), [b""]);
        assert_eq!(lines("a\r\nb"), [b"a", b"b"]);
        assert_eq!(lines("a\n\nb\n"), [&b"a"[..], b"", b"b"]);
    }

    #[test]
    fn queries_say_how_much() {
        let wanted = |tail, follow| LogQuery {
            tail,
            follow,
            invocation: InvocationFilter(String::new()),
        };
        for (query, expected) in [
            ("", wanted(100, false)),
            ("tail=5&follow", wanted(5, true)),
            ("tail=0&follow=false", wanted(0, false)),
            ("tail=99999999999999999", wanted(10_000, false)),
            (
                "invocation=00Fe",
                LogQuery {
                    invocation: InvocationFilter("00fe".to_owned()),
                    ..wanted(100, false)
                },
            ),
        ] {
            assert_eq!(LogQuery::parse(query).unwrap(), expected, "{query}");
        }
        for bad in [
            "tail=",
            "tail=-1",
            "tail=x",
            "follow=maybe",
            "since=1",
            "invocation=",
            "invocation=abc",
            "invocation=wxyz",
        ] {
            assert!(LogQuery::parse(bad).is_err(), "{bad}");
        }
    }
}
