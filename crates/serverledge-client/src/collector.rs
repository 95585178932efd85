//! Requests to a collector of telemetry: OTLP over HTTP, with protobuf bodies.

use std::time::Duration;

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderName, HeaderValue};
use reqwest::Url;

use crate::answer::{ReadFault, read_body, retry_after};
use crate::client::IDLE_TIMEOUT;
use crate::error::{Cause, ClientError};
use crate::tls;

/// Most bytes of an answer that are read: it has a count and one message.
pub const COLLECTOR_ANSWER_BYTES_MAX: usize = 64 * 1024;
/// The media type of the bodies.
const PROTOBUF: HeaderValue = HeaderValue::from_static("application/x-protobuf");

/// Settings of a collector.
#[derive(Clone)]
pub struct CollectorConfig {
    /// Its base URL: the path of a signal, such as `/v1/traces`, is appended.
    pub endpoint: String,
    /// Headers of every request, a secret among them perhaps.
    pub headers: Vec<(String, String)>,
    /// Longest wait for the whole of a request.
    pub timeout: Duration,
    /// Certificate authorities (PEM) that are believed beside the machine's.
    pub authorities: Option<Vec<u8>>,
}

/// A client of one collector. Cloning is cheap.
#[derive(Debug, Clone)]
pub struct CollectorClient {
    http: reqwest::Client,
    base: String,
    headers: HeaderMap,
    timeout: Duration,
}

/// The reason why a collector did not take a batch.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CollectorError {
    /// It was not reached, or did not answer in time.
    #[error("failed to reach the collector")]
    Unreachable {
        /// The cause.
        #[source]
        source: Cause,
    },
    /// It answered with another status than success.
    #[error("the collector answered {status}")]
    Refused {
        /// The HTTP status.
        status: u16,
        /// The pause that it asks for.
        retry_after: Option<Duration>,
    },
}

// === impl CollectorConfig ===

impl std::fmt::Debug for CollectorConfig {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CollectorConfig")
            .field("endpoint", &self.endpoint)
            .field("timeout", &self.timeout)
            .finish_non_exhaustive()
    }
}

// === impl CollectorClient ===

impl CollectorClient {
    /// Sets a client up; connects to nothing yet. Reads the machine's certificate authorities.
    ///
    /// # Errors
    /// [`ClientError::Request`] if the endpoint is no URL of HTTP or a header is malformed, and [`ClientError::Setup`] if the
    /// authorities are none, or the system refuses what an HTTP client needs.
    pub fn new(config: &CollectorConfig) -> Result<Self, ClientError> {
        let base = config.endpoint.trim_end_matches('/').to_owned();
        let fits = Url::parse(&base).is_ok_and(|url| matches!(url.scheme(), "http" | "https"));
        if !fits {
            return Err(fault(format!("{base} is no URL of HTTP")));
        }
        let builder = tls::http(tls::settings(config.authorities.as_deref())?)
            .pool_idle_timeout(IDLE_TIMEOUT)
            .user_agent(concat!("serverledge/", env!("CARGO_PKG_VERSION")));
        Ok(Self {
            http: tls::build(builder)?,
            base,
            headers: headers(&config.headers)?,
            timeout: config.timeout,
        })
    }

    /// Sends one batch to the path of its signal. Returns the answer: empty, or a partial success as protobuf.
    ///
    /// Dropping the future closes the connection; the batch may have arrived.
    ///
    /// # Errors
    /// [`CollectorError::is_passing`] tells those after which another attempt may succeed.
    pub async fn send(&self, path: &str, body: Bytes) -> Result<Bytes, CollectorError> {
        let request = self
            .http
            .post(format!("{}{path}", self.base))
            .headers(self.headers.clone())
            .header(CONTENT_TYPE, PROTOBUF)
            .timeout(self.timeout)
            .body(body);
        let mut response = request.send().await.map_err(unreachable)?;
        let status = response.status();
        if !status.is_success() {
            return Err(CollectorError::Refused {
                status: status.as_u16(),
                retry_after: retry_after(response.headers()),
            });
        }
        match read_body(&mut response, COLLECTOR_ANSWER_BYTES_MAX).await {
            Ok(answer) => Ok(answer),
            // The batch was taken; only the words about it are lost.
            Err(ReadFault::TooLong) => Ok(Bytes::new()),
            Err(ReadFault::Transport(error)) => Err(unreachable(error)),
        }
    }
}

// === impl CollectorError ===

impl CollectorError {
    /// Whether the same batch may be taken later: these are the statuses that OTLP names for it.
    #[must_use]
    pub const fn is_passing(&self) -> bool {
        match self {
            Self::Unreachable { .. } => true,
            Self::Refused { status, .. } => matches!(*status, 429 | 502..=504),
        }
    }

    /// The pause that the collector asks for.
    #[must_use]
    pub const fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Unreachable { .. } => None,
            Self::Refused { retry_after, .. } => *retry_after,
        }
    }
}

fn headers(given: &[(String, String)]) -> Result<HeaderMap, ClientError> {
    let mut headers = HeaderMap::new();
    for (name, value) in given {
        let parsed = HeaderName::try_from(name).ok();
        let value = HeaderValue::try_from(value).ok();
        let (Some(name), Some(mut value)) = (parsed, value) else {
            return Err(fault(format!(
                "{name:?} is no header, or its value is none"
            )));
        };
        value.set_sensitive(true);
        headers.append(name, value);
    }
    Ok(headers)
}

fn fault(fault: String) -> ClientError {
    ClientError::Request { fault }
}

fn unreachable(error: reqwest::Error) -> CollectorError {
    CollectorError::Unreachable {
        // The URL is the operator's own, and may hold a key.
        source: error.without_url().into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(endpoint: &str, headers: &[(&str, &str)]) -> CollectorConfig {
        CollectorConfig {
            endpoint: endpoint.to_owned(),
            headers: headers
                .iter()
                .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
                .collect(),
            timeout: Duration::from_secs(1),
            authorities: None,
        }
    }

    #[test]
    fn settings_are_checked() {
        for bad in ["", "collector:4318", "ftp://collector", "http://"] {
            assert!(CollectorClient::new(&config(bad, &[])).is_err(), "{bad}");
        }
        for bad in [("", "x"), ("a b", "x"), ("a", "x\ny")] {
            let config = config("http://collector:4318", &[bad]);
            assert!(CollectorClient::new(&config).is_err(), "{bad:?}");
        }
        let config = config("https://collector:4318/base/", &[("api-key", "secret")]);
        let client = CollectorClient::new(&config).unwrap();
        assert_eq!(client.base, "https://collector:4318/base");
        assert!(!format!("{config:?} {client:?}").contains("secret"));
    }

    #[test]
    fn what_may_pass_is_tried_again() {
        let refused = |status| CollectorError::Refused {
            status,
            retry_after: None,
        };
        for status in [429, 502, 503, 504] {
            assert!(refused(status).is_passing(), "{status}");
        }
        for status in [301, 400, 401, 404, 413, 500] {
            assert!(!refused(status).is_passing(), "{status}");
        }
    }
}
