//! Operations whose answers come line by line: deploys that tell what happens, and logs.

use http::header::ACCEPT;
use http::{HeaderValue, Method};
use serverledge_core::FunctionName;
use serverledge_wire::function::{Created, FunctionBody};
use serverledge_wire::patch::{FunctionPatch, Updated};
use serverledge_wire::stream::{LogLine, NDJSON};

use crate::client::Client;
use crate::error::ClientError;
use crate::lines::Lines;

/// The part of a function's log that is asked for.
#[derive(Debug, Clone, Copy, Default)]
pub struct WantedLog<'a> {
    /// The number of last lines; `None`: as many as the node sees fit.
    pub tail: Option<usize>,
    /// Also what comes from now on.
    pub follow: bool,
    /// The lines of this invocation alone: its id, or the end of it.
    pub invocation: Option<&'a str>,
}

/// A function's log as it comes. Dropping it tells the node that its reader has left.
#[derive(Debug)]
pub struct LogStream(pub(crate) Lines);

impl Client {
    /// Deploys a new function, and tells `progress` what the node is doing. A node that cannot tell deploys all the same.
    ///
    /// Dropping the future stops the deploy; if it was ending just then, the function may be deployed all the same.
    ///
    /// # Errors
    /// [`ClientError::Problem`] with status 409 if the name is taken; else see [`ClientError`]. No whole answer within
    /// [`DEPLOY_STREAM_TIMEOUT`](crate::DEPLOY_STREAM_TIMEOUT), or the configured time, is [`ClientError::Timeout`]; so
    /// is a node that says nothing for [`SILENCE_TIMEOUT`](crate::SILENCE_TIMEOUT).
    pub async fn create(
        &self,
        function: &FunctionBody<'_>,
        progress: impl FnMut(&str),
    ) -> Result<Created, ClientError> {
        self.post(&["create"]).json(function).told(progress).await
    }

    /// Deploys a function, replacing all of one of the same name: what is not named has its default again. Otherwise
    /// like [`Client::create`].
    ///
    /// # Errors
    /// As for [`Client::create`].
    pub async fn update(
        &self,
        function: &FunctionBody<'_>,
        progress: impl FnMut(&str),
    ) -> Result<Created, ClientError> {
        self.post(&["update"]).json(function).told(progress).await
    }

    /// The end of a function's log on this node, and with `follow` what comes from now on. Dropping the future has no effect
    /// on the node.
    ///
    /// # Errors
    /// [`ClientError::Problem`] with status 404 if there is no such function; else see [`ClientError`].
    pub async fn logs(
        &self,
        function: &FunctionName,
        wanted: &WantedLog<'_>,
    ) -> Result<LogStream, ClientError> {
        let tail = wanted.tail.map(|tail| tail.to_string());
        let call = self
            .get(&["functions", function.as_str(), "logs"])
            .query("tail", tail.as_deref());
        let call = call
            .query("follow", wanted.follow.then_some("true"))
            .query("invocation", wanted.invocation);
        let call = call.header(ACCEPT, HeaderValue::from_static(NDJSON));
        Ok(LogStream(Lines::new(call.begin_endless().await?)))
    }

    /// Changes what the patch names of a function, and nothing else, and tells `progress` what the node is doing. Otherwise
    /// like [`Client::create`].
    ///
    /// # Errors
    /// [`ClientError::Problem`] with status 404 and the code `function_unknown` if there is none of that name; else as
    /// for [`Client::create`].
    pub async fn patch(
        &self,
        function: &FunctionName,
        patch: &FunctionPatch<'_>,
        progress: impl FnMut(&str),
    ) -> Result<Updated, ClientError> {
        self.call(Method::PATCH, &["functions", function.as_str()])
            .json(patch)
            .told(progress)
            .await
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
            let Some(line) = self.0.next().await? else {
                return Ok(None);
            };
            let line: LogLine = self.0.answer.decode(&line)?;
            // A sign of life says nothing.
            if line != LogLine::default() {
                return Ok(Some(line));
            }
        }
    }
}
