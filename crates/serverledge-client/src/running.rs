//! Applications as they run: started, stopped, tested, taken away and brought back.

use bytes::Bytes;
use http::header::CONTENT_LENGTH;
use serde_json::Value;
use serverledge_core::AppName;
use serverledge_wire::hosting::{ImportedApplication, RunningApplication, TestAnswer};

use crate::call::{Answer, DEPLOY_TIMEOUT};
use crate::client::Client;
use crate::error::ClientError;

/// An application's file as it comes. Dropping it ends the transfer.
#[derive(Debug)]
pub struct ExportStream(Answer);

// === impl ExportStream ===

impl ExportStream {
    /// The length of the whole file, if the node says so.
    #[must_use]
    pub fn length(&self) -> Option<u64> {
        self.0.response.content_length()
    }

    /// The next piece; `None` at the end. Dropping the future loses nothing.
    ///
    /// # Errors
    /// See [`ClientError`]; the transfer is then over, and what came is not the whole file.
    pub async fn next(&mut self) -> Result<Option<Bytes>, ClientError> {
        self.0.chunk().await
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
        self.post(&["apps", name.as_str(), "start"])
            .told(progress)
            .await
    }

    /// Takes no new calls for an application. Dropping the future: it may be stopped or not.
    ///
    /// # Errors
    /// As for [`Client::show_app`].
    pub async fn stop_app(&self, name: &AppName) -> Result<RunningApplication, ClientError> {
        self.post(&["apps", name.as_str(), "stop"])
            .within(DEPLOY_TIMEOUT)
            .read()
            .await
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
        self.post(&["apps", name.as_str(), "test"])
            .json(body)
            .told(progress)
            .await
    }

    /// An application as one file, of any length: it comes piece by piece. Dropping the future has no effect on the node.
    ///
    /// # Errors
    /// As for [`Client::show_app`].
    pub async fn export_app(&self, name: &AppName) -> Result<ExportStream, ClientError> {
        self.get(&["apps", name.as_str(), "export"])
            .begin_long()
            .await
            .map(ExportStream)
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
        let call = self
            .post(&["apps", "import"])
            .query("name", name.map(AppName::as_str));
        call.body("application/x-tar", file)
            .header(CONTENT_LENGTH, length.into())
            .told(progress)
            .await
    }
}
