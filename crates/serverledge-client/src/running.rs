//! Applications as they run: started, stopped, tested, taken away and brought back.

use bytes::Bytes;
use http::header::{ACCEPT, CONTENT_LENGTH, CONTENT_TYPE};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use serverledge_core::AppName;
use serverledge_wire::hosting::{ImportedApplication, RunningApplication, TestAnswer};
use serverledge_wire::problem::Problem;
use serverledge_wire::stream::NDJSON;
use std::time::Duration;

use crate::client::{Client, DEPLOY_TIMEOUT, read_json};
use crate::error::ClientError;
use crate::lines::Lines;
use crate::streaming::{DEPLOY_STREAM_TIMEOUT, SILENCE_TIMEOUT, read_line};

/// A line of an answer that tells what happens; the last one has an outcome.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct ToldLine {
    progress: Option<String>,
    #[serde(alias = "Tested", alias = "Imported")]
    started: Option<Value>,
    problem: Option<Problem>,
    retry_after: Option<u64>,
}

/// An application's file as it comes. Dropping it ends the transfer.
#[derive(Debug)]
pub struct ExportStream {
    client: Client,
    url: reqwest::Url,
    whole: Duration,
    response: reqwest::Response,
}

// === impl ExportStream ===

impl ExportStream {
    /// How long the whole file is, if the node says so.
    #[must_use]
    pub fn length(&self) -> Option<u64> {
        self.response.content_length()
    }

    /// The next piece; `None` at the end. Dropping the future loses nothing.
    ///
    /// # Errors
    /// See [`ClientError`]; the transfer is then over, and what came is not the whole file.
    pub async fn next(&mut self) -> Result<Option<Bytes>, ClientError> {
        let read = tokio::time::timeout(SILENCE_TIMEOUT, self.response.chunk()).await;
        let silent = |_| ClientError::Timeout {
            url: self.url.to_string(),
            after: SILENCE_TIMEOUT,
        };
        read.map_err(silent)?
            .map_err(|error| self.client.transport_error(error, &self.url, self.whole))
    }
}

// === impl Client ===

impl Client {
    /// Prepares an application and lets it run, and tells `progress` what the node is doing. Dropping the future stops the
    /// preparing; if it was ending just then, the application may run all the same.
    ///
    /// # Errors
    /// As for [`Client::show_app`]; a function that cannot be prepared is told as by [`Client::create`].
    pub async fn start_app(
        &self,
        name: &AppName,
        progress: impl FnMut(&str),
    ) -> Result<RunningApplication, ClientError> {
        let url = self.url(&["apps", name.as_str(), "start"]);
        self.told(self.http.post(url.clone()), &url, progress).await
    }

    /// Takes no new calls for an application. Dropping the future: it may be stopped or not.
    ///
    /// # Errors
    /// As for [`Client::show_app`].
    pub async fn stop_app(&self, name: &AppName) -> Result<RunningApplication, ClientError> {
        let url = self.url(&["apps", name.as_str(), "stop"]);
        let answer = self
            .send(self.http.post(url.clone()), DEPLOY_TIMEOUT, &url)
            .await?;
        read_json(&url, answer.body())
    }

    /// Runs a function that is not saved: `body` is that of a deploy with `args`, `edgeResults` and `cache` beside it.
    /// Dropping the future stops it.
    ///
    /// # Errors
    /// As for [`Client::start_app`] and [`Client::invoke`].
    pub async fn test_in_app(
        &self,
        name: &AppName,
        body: &Value,
        progress: impl FnMut(&str),
    ) -> Result<TestAnswer, ClientError> {
        let url = self.url(&["apps", name.as_str(), "test"]);
        self.told(self.http.post(url.clone()).json(body), &url, progress)
            .await
    }

    /// An application as one file, of any length: it comes piece by piece. Dropping the future has no effect on the node.
    ///
    /// # Errors
    /// As for [`Client::show_app`].
    pub async fn export_app(&self, name: &AppName) -> Result<ExportStream, ClientError> {
        let url = self.url(&["apps", name.as_str(), "export"]);
        let whole = self.timeout.unwrap_or(DEPLOY_STREAM_TIMEOUT);
        let request = self.http.get(url.clone()).timeout(whole);
        let response = self.begin(request, whole.min(DEPLOY_TIMEOUT), &url).await?;
        Ok(ExportStream {
            client: self.clone(),
            url,
            whole,
            response,
        })
    }

    /// Makes an application from such a file, under this name or its own. The file is read as it is sent, from where it stands.
    /// Dropping the future: the application is made whole or not at all.
    ///
    /// # Errors
    /// As for [`Client::create_app`] and [`Client::create`]; `malformed_export` (422).
    pub async fn import_app(
        &self,
        name: Option<&AppName>,
        file: tokio::fs::File,
        length: u64,
        progress: impl FnMut(&str),
    ) -> Result<ImportedApplication, ClientError> {
        let mut url = self.url(&["apps", "import"]);
        if let Some(name) = name {
            url.query_pairs_mut().append_pair("name", name.as_str());
        }
        let request = self
            .http
            .post(url.clone())
            .header(CONTENT_TYPE, "application/x-tar");
        let request = request.header(CONTENT_LENGTH, length).body(file);
        self.told(request, &url, progress).await
    }

    async fn told<T: DeserializeOwned>(
        &self,
        request: reqwest::RequestBuilder,
        url: &reqwest::Url,
        mut progress: impl FnMut(&str),
    ) -> Result<T, ClientError> {
        let whole = self.timeout.unwrap_or(DEPLOY_STREAM_TIMEOUT);
        let request = request
            .header(ACCEPT, format!("{NDJSON}, application/json;q=0.5"))
            .timeout(whole);
        let response = self.begin(request, whole.min(DEPLOY_TIMEOUT), url).await?;
        let mut lines = Lines::new(response, SILENCE_TIMEOUT);
        while let Some(line) = lines
            .next()
            .await
            .map_err(|fault| self.line_fault(fault, url, whole))?
        {
            let line: ToldLine = read_line(&line, url)?;
            if let Some(problem) = line.problem {
                let retry_after = line.retry_after.map(Duration::from_secs);
                return Err(ClientError::Problem {
                    status: problem.status,
                    problem: Box::new(problem),
                    retry_after,
                });
            }
            if let Some(outcome) = line.started {
                return read_line(outcome.to_string().as_bytes(), url);
            }
            line.progress.iter().for_each(|step| progress(step));
        }
        Err(ClientError::Answer {
            url: url.to_string(),
            fault: "it ends without an outcome".to_owned(),
        })
    }
}
