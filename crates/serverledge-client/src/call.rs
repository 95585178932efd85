//! One request to a node: made, sent, and its answer read.

use std::fmt::Display;
use std::time::Duration;

use bytes::Bytes;
use http::header::{ACCEPT, CONTENT_TYPE};
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use reqwest::{Request, Url};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use serverledge_core::causes;
use serverledge_core::limits::OUTPUT_BYTES_MAX;
use serverledge_wire::problem::Problem;
use serverledge_wire::stream::NDJSON;
use tokio::time::timeout;

use crate::answer::{ReadFault, read_body, refusal};
use crate::endpoint::Endpoint;
use crate::error::ClientError;
use crate::lines::Lines;
use crate::tls::certificate_fault;

/// Most bytes of one answer: the largest output as JSON text inside a JSON string, where escapes can double it, and its log.
pub const ANSWER_BYTES_MAX: usize = 2 * OUTPUT_BYTES_MAX + 1024 * 1024;
/// Longest wait for requests that only read or write records.
pub const CONTROL_TIMEOUT: Duration = Duration::from_secs(30);
/// Longest wait for a deployment: 64 MiB of code are sent and compiled.
pub const DEPLOY_TIMEOUT: Duration = Duration::from_secs(300);
/// Longest wait for a deploy that tells what happens: images are pulled and dependencies installed.
pub const DEPLOY_STREAM_TIMEOUT: Duration = Duration::from_secs(3600);
/// Longest silence in an answer that comes line by line: a live node breaks it every ten seconds.
pub const SILENCE_TIMEOUT: Duration = Duration::from_secs(45);

/// The connections to one node, which clones share.
#[derive(Debug, Clone)]
pub(crate) struct Connections {
    pub(crate) http: reqwest::Client,
    pub(crate) endpoint: Endpoint,
    /// Longest wait for a whole answer; absent: that of the request.
    pub(crate) timeout: Option<Duration>,
}

/// A request that was not sent yet.
#[must_use]
pub(crate) struct Call<'a> {
    connections: &'a Connections,
    request: Request,
    /// Longest wait for the whole answer, unless the client is set up with another.
    limit: Duration,
}

/// An answer of success that has begun.
#[derive(Debug)]
pub(crate) struct Answer {
    connections: Connections,
    url: Url,
    limit: Duration,
    pub(crate) response: reqwest::Response,
}

/// A line of an answer that tells what happens; the last one has an outcome.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct ProgressLine {
    progress: Option<String>,
    #[serde(
        alias = "Created",
        alias = "Updated",
        alias = "Started",
        alias = "Tested",
        alias = "Imported"
    )]
    outcome: Option<Value>,
    problem: Option<Problem>,
    retry_after: Option<u64>,
}

// === impl Connections ===

impl Connections {
    pub(crate) fn call(&self, method: Method, url: Url) -> Call<'_> {
        Call {
            connections: self,
            request: Request::new(method, url),
            limit: CONTROL_TIMEOUT,
        }
    }

    fn transport_error(&self, error: reqwest::Error, url: &Url, after: Duration) -> ClientError {
        let error = error.without_url();
        if error.is_builder() {
            return ClientError::Request {
                fault: causes(&error)
                    .last()
                    .map(ToString::to_string)
                    .unwrap_or_default(),
            };
        }
        if let Some(fault) = certificate_fault(&error) {
            return ClientError::Untrusted {
                url: self.endpoint.to_string(),
                fault,
            };
        }
        if error.is_connect() {
            return ClientError::Unreachable {
                url: self.endpoint.to_string(),
                source: error.into(),
            };
        }
        if error.is_timeout() {
            return ClientError::Timeout {
                url: url.to_string(),
                after,
            };
        }
        ClientError::Interrupted {
            url: url.to_string(),
            source: error.into(),
        }
    }
}

// === impl Call ===

impl Call<'_> {
    /// With a value in the query, if there is one.
    pub(crate) fn query(mut self, name: &str, value: Option<&str>) -> Self {
        if let Some(value) = value {
            self.request
                .url_mut()
                .query_pairs_mut()
                .append_pair(name, value);
        }
        self
    }

    pub(crate) fn header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.request.headers_mut().insert(name, value);
        self
    }

    pub(crate) fn body(
        mut self,
        content_type: &'static str,
        body: impl Into<reqwest::Body>,
    ) -> Self {
        *self.request.body_mut() = Some(body.into());
        self.header(CONTENT_TYPE, HeaderValue::from_static(content_type))
    }

    pub(crate) fn json(self, body: &impl Serialize) -> Self {
        let text = serde_json::to_vec(body)
            .expect("the API's types have string keys and no failing parts");
        self.body("application/json", text)
    }

    pub(crate) fn within(self, limit: Duration) -> Self {
        Self { limit, ..self }
    }

    /// Sends the request; a status other than success is an error.
    pub(crate) async fn send(self) -> Result<Answer, ClientError> {
        let limit = self.connections.timeout.unwrap_or(self.limit);
        self.begin(limit, Some(limit)).await
    }

    /// Sends the request and waits for its answer to begin. The whole of it may take longer, or as long as it likes.
    async fn begin(
        mut self,
        limit: Duration,
        whole: Option<Duration>,
    ) -> Result<Answer, ClientError> {
        let connections = self.connections;
        let url = self.request.url().clone();
        *self.request.timeout_mut() = whole;
        let sent = timeout(limit, connections.http.execute(self.request)).await;
        let sent = sent.map_err(|_| ClientError::Timeout {
            url: url.to_string(),
            after: limit,
        })?;
        let response = sent.map_err(|error| connections.transport_error(error, &url, limit))?;
        let limit = whole.unwrap_or(SILENCE_TIMEOUT);
        let mut answer = Answer {
            connections: connections.clone(),
            url,
            limit,
            response,
        };
        if answer.response.status().is_success() {
            return Ok(answer);
        }
        let body = answer.body().await?;
        Err(refusal(
            answer.response.status(),
            answer.response.headers(),
            &body,
        ))
    }

    /// The same for an answer that ends when the node says so.
    pub(crate) async fn begin_endless(self) -> Result<Answer, ClientError> {
        let limit = self.connections.timeout.unwrap_or(self.limit);
        self.begin(limit, None).await
    }

    /// The same for an answer that may take as long as a deploy.
    pub(crate) async fn begin_long(self) -> Result<Answer, ClientError> {
        let whole = self.connections.timeout.unwrap_or(DEPLOY_STREAM_TIMEOUT);
        self.begin(whole.min(DEPLOY_TIMEOUT), Some(whole)).await
    }

    /// Sends the request and reads the JSON of its answer.
    pub(crate) async fn read<T: DeserializeOwned>(self) -> Result<T, ClientError> {
        self.send().await?.json().await
    }

    /// Sends the request; the body of its answer says nothing.
    pub(crate) async fn done(self) -> Result<(), ClientError> {
        self.send().await?.body().await.map(drop)
    }

    /// Sends a request whose answer tells what happens meanwhile, and takes the outcome from its last line. A node that
    /// cannot tell gives the outcome alone.
    pub(crate) async fn told<T: DeserializeOwned>(
        self,
        mut progress: impl FnMut(&str),
    ) -> Result<T, ClientError> {
        let accept = HeaderValue::from_static("application/x-ndjson, application/json;q=0.5");
        let mut answer = self.header(ACCEPT, accept).begin_long().await?;
        let content_type = answer
            .response
            .headers()
            .get(CONTENT_TYPE)
            .map_or(&[][..], |value| value.as_bytes());
        if !content_type.starts_with(NDJSON.as_bytes()) {
            return answer.json().await;
        }
        let mut lines = Lines::new(answer);
        while let Some(line) = lines.next().await? {
            let line: ProgressLine = lines.answer.decode(&line)?;
            if let Some(problem) = line.problem {
                let retry_after = line.retry_after.map(Duration::from_secs);
                return Err(ClientError::Problem {
                    status: problem.status,
                    problem: Box::new(problem),
                    retry_after,
                });
            }
            if let Some(outcome) = line.outcome {
                return serde_json::from_value(outcome)
                    .map_err(|error| lines.answer.misread(&error));
            }
            line.progress.iter().for_each(|step| progress(step));
        }
        Err(lines.answer.misread(&"it ends without an outcome"))
    }
}

// === impl Answer ===

impl Answer {
    pub(crate) fn headers(&self) -> &HeaderMap {
        self.response.headers()
    }

    /// The whole body.
    pub(crate) async fn body(&mut self) -> Result<Bytes, ClientError> {
        read_body(&mut self.response, ANSWER_BYTES_MAX)
            .await
            .map_err(|fault| match fault {
                ReadFault::Transport(error) => self.broken(error),
                ReadFault::TooLong => {
                    self.misread(&format!("it is longer than {ANSWER_BYTES_MAX} bytes"))
                }
            })
    }

    pub(crate) async fn json<T: DeserializeOwned>(&mut self) -> Result<T, ClientError> {
        let body = self.body().await?;
        self.decode(&body)
    }

    /// The next piece of the body, which must not be silent for longer than [`SILENCE_TIMEOUT`].
    pub(crate) async fn chunk(&mut self) -> Result<Option<Bytes>, ClientError> {
        let read = timeout(SILENCE_TIMEOUT, self.response.chunk()).await;
        let read = read.map_err(|_| ClientError::Timeout {
            url: self.url.to_string(),
            after: SILENCE_TIMEOUT,
        })?;
        read.map_err(|error| self.broken(error))
    }

    pub(crate) fn decode<T: DeserializeOwned>(&self, json: &[u8]) -> Result<T, ClientError> {
        serde_json::from_slice(json).map_err(|error| self.misread(&error))
    }

    pub(crate) fn misread(&self, fault: &dyn Display) -> ClientError {
        ClientError::Answer {
            url: self.url.to_string(),
            fault: fault.to_string(),
        }
    }

    /// The error of a body that ended although more was to come.
    pub(crate) fn cut_off(&self) -> ClientError {
        ClientError::Interrupted {
            url: self.url.to_string(),
            source: "the node ended it".into(),
        }
    }

    fn broken(&self, error: reqwest::Error) -> ClientError {
        self.connections
            .transport_error(error, &self.url, self.limit)
    }
}
