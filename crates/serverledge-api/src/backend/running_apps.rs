//! The operations on running applications that the routes need of a node. The node implements them, and so does the
//! fake of the tests.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use serverledge_core::{
    AppName, Application, Caller, ClientCache, FunctionName, InvocationError, Progress, Report,
};
use serverledge_wire::edge::{EdgeKeys, SignedManifest};
use serverledge_wire::function::FunctionBody;

use crate::backend::applications::AppError;
use crate::backend::errors::DeployError;

/// The language of a function for edge execution.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EdgeKind {
    /// The text of one JavaScript file.
    JavaScript,
    /// A WebAssembly module.
    Wasm,
}

/// The code of a function that its owner lets callers run themselves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EdgeCode {
    /// The language of the code.
    pub kind: EdgeKind,
    /// The code; UTF-8 for JavaScript.
    pub code: Bytes,
    /// The exported function to call; empty: what the file exports.
    pub handler: String,
    /// Equal parameters give an equal result.
    pub idempotent: bool,
}

/// A file that an application's manifest for browsers names, by its own SHA-256 in hexadecimal digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EdgeFile<'a> {
    /// A module.
    Module(&'a str),
    /// A delta that makes a module of another one.
    Delta(&'a str),
    /// A component: its modules, and how they are linked.
    Component(&'a str),
}

/// The content coding of a response (RFC 9110 §8.4.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ContentCoding {
    /// None.
    Identity,
    /// `gzip`.
    Gzip,
    /// `br`.
    Brotli,
}

/// A function as it is in somebody's editor, to be run once with the saved functions around it.
#[derive(Debug)]
pub struct TestRun<'a> {
    /// The function; nothing of it is stored.
    pub function: FunctionBody<'a>,
    /// Its parameters: JSON.
    pub params: Bytes,
    /// Results that a client of it would send with its request: its own, and cache entries.
    pub client_cache: Option<Arc<ClientCache>>,
}

/// An application that was made from a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Imported {
    /// Its name.
    pub name: AppName,
    /// Its functions.
    pub functions: Vec<FunctionName>,
    /// Remarks on what the file could not bring, for the person who imports.
    pub remarks: Vec<String>,
}

/// The reason why an operation on an application failed.
#[derive(Debug, thiserror::Error)]
pub enum HostingError {
    /// As for every other operation on applications.
    #[error(transparent)]
    App(#[from] AppError),
    /// One of the functions cannot be prepared or deployed.
    #[error("function {function}: {source}")]
    Function {
        /// The function's name.
        function: FunctionName,
        /// The cause.
        source: DeployError,
    },
    /// The function of a test run cannot be prepared.
    #[error(transparent)]
    Deploy(#[from] DeployError),
    /// The function of a test run gave no result.
    #[error(transparent)]
    Invocation(#[from] InvocationError),
    /// As many test runs as there may be at once are under way.
    #[error("this node makes {max} test runs at once; try again when one has ended")]
    TestsBusy {
        /// The number of test runs that are allowed at once.
        max: usize,
    },
    /// Preparing and running together took too long.
    #[error("the test run was stopped after {seconds} s")]
    TestTooLong {
        /// The time that is allowed, in seconds.
        seconds: u64,
    },
    /// Our fault.
    #[error("internal error: {message}")]
    Internal {
        /// The action that failed; for the log, not for the caller.
        message: String,
    },
}

/// Applications that run, and what their owners do with them. Names that belong to another user are unknown ones.
#[async_trait]
pub trait Hosting: Send + Sync + 'static {
    /// The application that is to run under this name; `None` if there is none, or if it is stopped. Looks in memory only.
    fn application(&self, name: &str) -> Option<Arc<Application>>;

    /// Whether all functions of an application are prepared on this node.
    fn is_prepared(&self, application: &Application) -> bool;

    /// The code of a function that callers may run themselves; `None` if there is no such function, if its owner has not
    /// allowed it, or if its code is no such text or module.
    ///
    /// # Errors
    /// [`AppError::Registry`] if the code cannot be read.
    async fn edge_code(
        &self,
        application: &Application,
        function: &str,
    ) -> Result<Option<EdgeCode>, HostingError>;

    /// The signed manifest of the functions that callers may run in their browsers.
    ///
    /// # Errors
    /// [`AppError::Registry`] if the code of one cannot be read.
    async fn edge_manifest(
        &self,
        application: &Application,
    ) -> Result<SignedManifest, HostingError>;

    /// Whether the manifest names this file now.
    ///
    /// # Errors
    /// [`AppError::Registry`] if the code of a function cannot be read.
    async fn has_edge_file(
        &self,
        application: &Application,
        file: EdgeFile<'_>,
    ) -> Result<bool, HostingError>;

    /// A file that the manifest names, in this coding; `None` if it names none such now.
    ///
    /// # Errors
    /// [`AppError::Registry`] if it cannot be read.
    async fn edge_file(
        &self,
        application: &Application,
        file: EdgeFile<'_>,
        coding: ContentCoding,
    ) -> Result<Option<Bytes>, HostingError>;

    /// The public keys of the manifests' signatures.
    fn edge_keys(&self) -> EdgeKeys;

    /// Prepares everything the caller's application needs on this node, then lets it run here and elsewhere, also after a
    /// restart. Dropping the future stops the preparing; the application is then as it was, unless the registry has it already.
    async fn start(
        &self,
        caller: &Caller,
        name: &str,
        progress: &dyn Progress,
    ) -> Result<Arc<Application>, HostingError>;

    /// Takes no new calls for the caller's application; those that run end as they would have.
    async fn stop(&self, caller: &Caller, name: &str) -> Result<Arc<Application>, HostingError>;

    /// Runs a function that is not saved, with the saved ones of the application within reach of its calls. Nothing of it
    /// stays behind, however it ends; dropping the future stops it.
    async fn test(
        self: Arc<Self>,
        caller: &Caller,
        name: &str,
        run: TestRun<'_>,
        progress: &dyn Progress,
    ) -> Result<Report, HostingError>;

    /// The caller's application as one file.
    async fn export(&self, caller: &Caller, name: &str) -> Result<Bytes, HostingError>;

    /// Makes an application from such a file, under this name or the one in the file. On an error nothing is left of it.
    /// Dropping the future stops it; what was made until then is deleted.
    async fn import(
        self: Arc<Self>,
        caller: &Caller,
        name: Option<AppName>,
        file: Bytes,
        progress: &dyn Progress,
    ) -> Result<Imported, HostingError>;
}
