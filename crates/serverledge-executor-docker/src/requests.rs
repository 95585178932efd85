//! Requests to the engine whose answers this crate reads itself: those of Podman's own API, and those that say in what state a
//! container is, for which Podman has words that Docker's API does not know.

use std::path::Path;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, header};
use http_body_util::Full;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Deserialize;
use serde_json::Value;
use tokio::net::UnixStream;

use crate::exchange::Exchange;

/// Longest wait for an answer.
const CALL_TIMEOUT: Duration = Duration::from_secs(30);
/// Largest answer: the description of one container has a few thousand bytes, and a node has some hundred containers.
const ANSWER_MAX: usize = 4 << 20;
/// All but the unreserved characters of RFC 3986 are encoded.
const UNRESERVED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'_')
    .remove(b'.')
    .remove(b'~');

/// A request over a connection of its own.
#[derive(Debug, PartialEq)]
pub(crate) struct EngineRequest {
    path: String,
    /// JSON, of a POST; a GET has none.
    body: Option<Value>,
}

/// An answer that is no success: the engine's status and words.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct EngineRefusal {
    pub(crate) status: u16,
    pub(crate) message: String,
}

/// The form of an error, in both engines' APIs.
#[derive(Debug, Default, Deserialize)]
struct Told {
    #[serde(default)]
    message: String,
}

impl EngineRequest {
    pub(crate) fn get(path: String) -> Self {
        Self { path, body: None }
    }

    pub(crate) fn post(path: String, body: Value) -> Self {
        Self {
            path,
            body: Some(body),
        }
    }

    /// Sends it over a connection of its own; the body of an answer that is a success.
    pub(crate) async fn send(
        self,
        socket: &Path,
    ) -> Result<Result<Vec<u8>, EngineRefusal>, std::io::Error> {
        tokio::time::timeout(CALL_TIMEOUT, self.exchange(socket)).await?
    }

    fn request(self) -> http::Result<Request<Full<Bytes>>> {
        let request = Request::builder()
            .uri(self.path)
            .header(header::HOST, "engine");
        match self.body {
            None => request.body(Full::default()),
            Some(body) => request
                .method(http::Method::POST)
                .header(header::CONTENT_TYPE, "application/json")
                .body(Full::new(body.to_string().into())),
        }
    }

    async fn exchange(
        self,
        socket: &Path,
    ) -> Result<Result<Vec<u8>, EngineRefusal>, std::io::Error> {
        let stream = UnixStream::connect(socket).await?;
        let mut exchange = Exchange::new(stream).await.map_err(std::io::Error::other)?;
        let request = self.request().map_err(std::io::Error::other)?;
        let (parts, answer) = exchange
            .collect(request, ANSWER_MAX)
            .await
            .map_err(std::io::Error::other)?;
        Ok(if parts.status.is_success() {
            Ok(answer)
        } else {
            Err(refusal(parts.status.as_u16(), &answer))
        })
    }
}

fn refusal(status: u16, answer: &[u8]) -> EngineRefusal {
    let told: Told = serde_json::from_slice(answer).unwrap_or_default();
    let message = if told.message.is_empty() {
        String::from_utf8_lossy(answer).trim().to_owned()
    } else {
        told.message
    };
    EngineRefusal { status, message }
}

/// A value for a query.
pub(crate) fn encoded(text: &str) -> String {
    utf8_percent_encode(text, UNRESERVED).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_keeps_the_engines_words() {
        let told =
            br#"{"cause":"no such container","message":"no container with name or ID \"x\" found","response":404}"#;
        assert_eq!(
            refusal(404, told).message,
            "no container with name or ID \"x\" found"
        );
        assert_eq!(refusal(404, b"Not Found\n").message, "Not Found");
    }

    #[test]
    fn a_query_takes_any_text() {
        assert_eq!(
            encoded(r#"{"a":["b=1"]}"#),
            "%7B%22a%22%3A%5B%22b%3D1%22%5D%7D"
        );
    }
}
