//! Reading answers: bounded bodies, problem documents, and the plain texts of Serverledge's own API.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, StatusCode, header};
use serde::Deserialize;
use serverledge_wire::problem::Problem;

use crate::error::ClientError;

/// Most characters of a text answer that become an error's detail.
const DETAIL_CHARS_MAX: usize = 2_000;

/// The reason why a body could not be read.
pub(crate) enum ReadFault {
    /// It is longer than allowed.
    TooLong,
    /// The connection gave up.
    Transport(reqwest::Error),
}

/// Reads a body of at most `limit` bytes.
pub(crate) async fn read_body(
    response: &mut reqwest::Response,
    limit: usize,
) -> Result<Bytes, ReadFault> {
    let declared = response.content_length().unwrap_or(0);
    if declared > limit as u64 {
        return Err(ReadFault::TooLong);
    }
    let mut body = BytesMut::with_capacity(usize::try_from(declared).unwrap_or(0));
    while let Some(chunk) = response.chunk().await.map_err(ReadFault::Transport)? {
        if body.len() + chunk.len() > limit {
            return Err(ReadFault::TooLong);
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body.freeze())
}

/// The error that a status other than success stands for.
pub(crate) fn refusal(status: StatusCode, headers: &HeaderMap, body: &[u8]) -> ClientError {
    ClientError::Problem {
        status: status.as_u16(),
        problem: Box::new(read_problem(status, body)),
        retry_after: retry_after(headers),
    }
}

/// `Retry-After` in seconds; its other form, a date, is passed over.
pub(crate) fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    headers
        .get(header::RETRY_AFTER)?
        .to_str()
        .ok()?
        .trim()
        .parse()
        .ok()
        .map(Duration::from_secs)
}

/// The problem that a body describes, or stands for.
pub(crate) fn read_problem(status: StatusCode, body: &[u8]) -> Problem {
    let document = serde_json::from_slice::<Problem>(body)
        .ok()
        .filter(|problem| {
            !(problem.code.is_empty() && problem.detail.is_empty() && problem.title.is_empty())
        });
    let mut problem = document.unwrap_or_else(|| Problem {
        detail: plain_text(body),
        ..Problem::default()
    });
    problem.status = status.as_u16();
    if problem.title.is_empty() {
        status
            .canonical_reason()
            .unwrap_or_default()
            .clone_into(&mut problem.title);
    }
    problem
}

/// The words of an answer that is no problem document: Echo's `message`, a JSON string, or the text itself.
fn plain_text(body: &[u8]) -> String {
    #[derive(Deserialize)]
    struct Message {
        message: String,
    }
    let text = serde_json::from_slice::<Message>(body)
        .map(|message| message.message)
        .or_else(|_| serde_json::from_slice::<String>(body))
        .unwrap_or_else(|_| String::from_utf8_lossy(body).into_owned());
    text.trim().chars().take(DETAIL_CHARS_MAX).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(status: u16, body: &str, expected: (&str, &str)) {
        let problem = read_problem(StatusCode::from_u16(status).unwrap(), body.as_bytes());
        assert_eq!(
            (problem.code.as_str(), problem.detail.as_str()),
            expected,
            "{body}"
        );
        assert_eq!(problem.status, status);
        assert!(!problem.title.is_empty());
    }

    #[test]
    fn problems_and_plain_texts_are_read() {
        check(
            409,
            r#"{"title":"Conflict","code":"function_exists","detail":"it exists"}"#,
            ("function_exists", "it exists"),
        );
        check(404, "Function unknown", ("", "Function unknown"));
        check(404, r#"{"message":"Not Found"}"#, ("", "Not Found"));
        check(503, r#""""#, ("", ""));
        check(
            400,
            r#""workflow already exists""#,
            ("", "workflow already exists"),
        );
        check(500, r#"{"a":1}"#, ("", r#"{"a":1}"#));
        check(429, "", ("", ""));
        check(
            502,
            "<html>\u{fffd}</html>\n",
            ("", "<html>\u{fffd}</html>"),
        );
    }

    #[test]
    fn retry_after_is_seconds() {
        let read = |value: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::RETRY_AFTER, http::HeaderValue::from_static(value));
            retry_after(&headers)
        };
        assert_eq!(read("2"), Some(Duration::from_secs(2)));
        assert_eq!(read("Wed, 21 Oct 2026 07:28:00 GMT"), None);
        assert_eq!(retry_after(&HeaderMap::new()), None);
    }
}
