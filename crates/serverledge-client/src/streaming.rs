//! Operations whose answers come line by line: deploys that tell what happens, and logs.

use std::time::Duration;

use http::header::{ACCEPT, CONTENT_TYPE};
use reqwest::Url;
use serde::de::DeserializeOwned;
use serverledge_core::FunctionName;
use serverledge_wire::function::{Created, FunctionBody};
use serverledge_wire::stream::{DeployLine, LogLine, NDJSON};
use tokio::time::timeout;

use crate::answer::refusal;
use crate::client::{CONTROL_TIMEOUT, Client, DEPLOY_TIMEOUT, not_understood};
use crate::error::ClientError;
use crate::lines::{LineFault, Lines};

/// Longest wait for a deploy that tells what happens: images are pulled and dependencies installed.
pub const DEPLOY_STREAM_TIMEOUT: Duration = Duration::from_secs(3600);
/// Longest silence in an answer that comes line by line: a live node breaks it every ten seconds.
pub const SILENCE_TIMEOUT: Duration = Duration::from_secs(45);

/// A function's log as it comes. Dropping it tells the node that its reader has left.
#[derive(Debug)]
pub struct LogStream {
    client: Client,
    url: Url,
    lines: Lines,
}

impl Client {
    /// Deploys a new function, and tells `progress` what the node is doing. A node that cannot tell deploys all the same.
    ///
    /// Dropping the future stops the deploy; if it was ending just then, the function may be deployed all the same.
    ///
    /// # Errors
    /// As for [`Client::create`]. No whole answer within [`DEPLOY_STREAM_TIMEOUT`], or the configured time, is
    /// [`ClientError::Timeout`]; so is a node that says nothing for [`SILENCE_TIMEOUT`].
    pub async fn create_telling(
        &self,
        function: &FunctionBody<'_>,
        progress: impl FnMut(&str),
    ) -> Result<Created, ClientError> {
        self.deploy("create", function, progress).await
    }

    /// Deploys a function, replacing one of the same name, and tells `progress` what the node is doing. Otherwise like
    /// [`Client::create_telling`].
    ///
    /// # Errors
    /// As for [`Client::create_telling`].
    pub async fn update_telling(
        &self,
        function: &FunctionBody<'_>,
        progress: impl FnMut(&str),
    ) -> Result<Created, ClientError> {
        self.deploy("update", function, progress).await
    }

    /// The last `tail` lines of a function's log on this node (absent: as many as the node sees fit), and with `follow`
    /// what comes from now on. Dropping the future has no effect on the node.
    ///
    /// # Errors
    /// [`ClientError::Problem`] with status 404 if there is no such function; else see [`ClientError`].
    pub async fn logs(
        &self,
        function: &FunctionName,
        tail: Option<usize>,
        follow: bool,
    ) -> Result<LogStream, ClientError> {
        let mut url = self.url(&["functions", function.as_str(), "logs"]);
        if let Some(tail) = tail {
            url.query_pairs_mut().append_pair("tail", &tail.to_string());
        }
        if follow {
            url.query_pairs_mut().append_pair("follow", "true");
        }
        let request = self.http.get(url.clone()).header(ACCEPT, NDJSON);
        let begin = self.timeout.unwrap_or(CONTROL_TIMEOUT);
        let response = self.begin(request, begin, &url).await?;
        Ok(LogStream {
            client: self.clone(),
            url,
            lines: Lines::new(response, SILENCE_TIMEOUT),
        })
    }

    async fn deploy(
        &self,
        route: &str,
        function: &FunctionBody<'_>,
        mut progress: impl FnMut(&str),
    ) -> Result<Created, ClientError> {
        let url = self.url(&[route]);
        let whole = self.timeout.unwrap_or(DEPLOY_STREAM_TIMEOUT);
        let accept = format!("{NDJSON}, application/json;q=0.5");
        let request = self
            .http
            .post(url.clone())
            .header(ACCEPT, accept)
            .json(function)
            .timeout(whole);
        let response = self.begin(request, whole.min(DEPLOY_TIMEOUT), &url).await?;
        let content_type = response
            .headers()
            .get(CONTENT_TYPE)
            .map_or(&[][..], |value| value.as_bytes());
        if !content_type.starts_with(NDJSON.as_bytes()) {
            let answer = self.read_whole(response, whole, &url).await?;
            return read_line(answer.body(), &url);
        }
        let mut lines = Lines::new(response, SILENCE_TIMEOUT);
        while let Some(line) = lines
            .next()
            .await
            .map_err(|fault| self.line_fault(fault, &url, whole))?
        {
            let line: DeployLine = read_line(&line, &url)?;
            if let Some(problem) = line.problem {
                let retry_after = line.retry_after.map(Duration::from_secs);
                return Err(ClientError::Problem {
                    status: problem.status,
                    problem: Box::new(problem),
                    retry_after,
                });
            }
            if let Some(created) = line.created {
                return Ok(created);
            }
            line.progress.iter().for_each(|step| progress(step));
        }
        Err(ClientError::Answer {
            url: url.to_string(),
            fault: "it ends without an outcome".to_owned(),
        })
    }

    /// Sends a request and waits for its answer to begin; a status other than success is an error.
    pub(crate) async fn begin(
        &self,
        request: reqwest::RequestBuilder,
        limit: Duration,
        url: &Url,
    ) -> Result<reqwest::Response, ClientError> {
        let sent = timeout(limit, request.send()).await;
        let sent = sent.map_err(|_| ClientError::Timeout {
            url: url.to_string(),
            after: limit,
        })?;
        let response = sent.map_err(|error| self.transport_error(error, url, limit))?;
        if response.status().is_success() {
            return Ok(response);
        }
        let answer = self.read_whole(response, limit, url).await?;
        Err(refusal(answer.status(), answer.headers(), answer.body()))
    }

    pub(crate) fn line_fault(&self, fault: LineFault, url: &Url, whole: Duration) -> ClientError {
        match fault {
            LineFault::Transport(error) => self.transport_error(error, url, whole),
            LineFault::Silence(after) => ClientError::Timeout {
                url: url.to_string(),
                after,
            },
            LineFault::TooLong => ClientError::Answer {
                url: url.to_string(),
                fault: "one of its lines is too long".to_owned(),
            },
        }
    }
}

impl LogStream {
    /// The next line; `None` at the end: of what is kept, or when the function is deleted or the node stops. Dropping the
    /// future loses nothing.
    ///
    /// # Errors
    /// See [`ClientError`]; the stream is then over.
    pub async fn next(&mut self) -> Result<Option<LogLine>, ClientError> {
        loop {
            let next = self.lines.next().await;
            let next =
                next.map_err(|fault| self.client.line_fault(fault, &self.url, SILENCE_TIMEOUT))?;
            let Some(line) = next else { return Ok(None) };
            let line: LogLine = read_line(&line, &self.url)?;
            // A sign of life says nothing.
            if line != LogLine::default() {
                return Ok(Some(line));
            }
        }
    }
}

pub(crate) fn read_line<T: DeserializeOwned>(line: &[u8], url: &Url) -> Result<T, ClientError> {
    serde_json::from_slice(line).map_err(|error| not_understood(url, &error))
}
