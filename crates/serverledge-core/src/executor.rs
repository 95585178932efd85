//! The traits between the node and what runs functions. One level above Docker's words: no image, no address.

use std::collections::HashSet;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;

use crate::call::{Call, HostCalls};
use crate::error::FunctionFailure;
use crate::function::Interface;
use crate::version::{Digest, Version};

/// An error while a body streams.
pub type BodyError = Box<dyn std::error::Error + Send + Sync>;
/// A streamed body. Dropping it ends the lease of the invocation that it belongs to.
pub type HttpBody = Pin<Box<dyn http_body::Body<Data = Bytes, Error = BodyError> + Send>>;

/// The input of a function.
pub enum Payload {
    /// Parameters: one JSON value, already checked to be JSON.
    Json(Bytes),
    /// The HTTP request itself, for functions with that interface.
    Http(Box<http::Request<HttpBody>>),
}

/// The output of a function.
pub enum Reply {
    /// One JSON value, checked to be JSON.
    Json(Bytes),
    /// The response; its body may still be produced by the running function.
    Http(Box<http::Response<HttpBody>>),
}

impl std::fmt::Debug for Payload {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Json(bytes) => write!(f, "Json({} bytes)", bytes.len()),
            Self::Http(request) => write!(f, "Http({} {})", request.method(), request.uri()),
        }
    }
}

impl std::fmt::Debug for Reply {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Json(bytes) => write!(f, "Json({} bytes)", bytes.len()),
            Self::Http(response) => write!(f, "Http({})", response.status()),
        }
    }
}

/// The outcome of an invocation that succeeded in a sandbox.
#[derive(Debug)]
pub struct Outcome {
    /// The result.
    pub reply: Reply,
    /// The end of the function's log, for the caller; empty where the function runs on. All of it goes to
    /// [`HostCalls::log`] as it is written.
    pub log: Bytes,
    /// The rest of a run whose reply has begun; `None`: the function has ended.
    pub rest: Option<Rest>,
}

/// The rest of a run that goes on beside or after its reply, to be polled to its end by whoever holds the invocation's
/// lease. Dropping it stops the function, and a reply that was not whole breaks off.
pub struct Rest(pub Pin<Box<dyn Future<Output = Ending> + Send>>);

impl std::fmt::Debug for Rest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Rest")
    }
}

/// The end of a run whose reply had begun before.
#[derive(Debug)]
pub enum Ending {
    /// The reply was whole, and the function ended well.
    Completed {
        /// The end of its log.
        log: Bytes,
    },
    /// It failed: before its reply was whole, which then broke off, or after.
    Failed(InvokeError),
    /// The client left before the reply was whole, and the function was stopped.
    Abandoned {
        /// The end of its log.
        log: Bytes,
    },
}

/// Whether a sandbox may serve again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reuse {
    /// One invocation, then it is gone (a wasm sandbox).
    Once,
    /// Goes back to the pool (a container).
    Pooled,
}

/// The sizes of a prepared version on this node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Footprint {
    /// Bytes of its machine code, data included.
    pub machine_code_bytes: u64,
    /// Bytes of memory with which an instance begins.
    pub memory_bytes: u64,
}

/// The properties of a version that `prepare` found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Prepared {
    /// The interface of the function.
    pub interface: Interface,
    /// The recognised form of the code, in words for people (`WASI command`, `reactor`, …).
    pub recognised: &'static str,
    /// Remarks for the person who deploys, such as a large shadow stack.
    pub remarks: Vec<String>,
}

/// The reason why a version cannot be prepared.
#[derive(Debug, thiserror::Error)]
pub enum PrepareError {
    /// The code is not what its runtime takes; nothing was stored.
    #[error("{message}")]
    Invalid {
        /// A stable code, such as `not_wasm` or `unknown_import`.
        code: &'static str,
        /// The fault, and how to correct it.
        message: String,
    },
    /// Preparing took more memory, processor time or time than is allowed; nothing was stored.
    #[error("the module is too complex: {message}")]
    TooComplex {
        /// The limit that was reached.
        message: String,
    },
    /// Something that the executor depends on (a container engine, a package index) does not answer or does not do its part.
    #[error("{what}")]
    Unavailable {
        /// A stable code, such as `docker_unavailable`.
        code: &'static str,
        /// The dependency that does not answer, and how to correct it.
        what: String,
        /// The cause.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// Our fault or the machine's.
    #[error("failed to {attempt}")]
    Internal {
        /// The operation that failed, and its object.
        attempt: String,
        /// The cause.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

/// The reason why a sandbox did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The version was never prepared on this node; `prepare` it and try again.
    #[error("code {0} is not prepared on this node")]
    NotPrepared(Digest),
    /// No slot is free; nothing is broken.
    #[error("all sandboxes of this executor are in use")]
    Exhausted,
    /// The function's code failed while it was loaded.
    #[error(transparent)]
    Function(FunctionFailure),
    /// Something that the executor depends on does not answer.
    #[error("{what} is unavailable")]
    Unavailable {
        /// A stable code, such as `docker_unavailable`.
        code: &'static str,
        /// The dependency that does not answer.
        what: &'static str,
        /// The cause.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// Our fault or the machine's.
    #[error("failed to {attempt}")]
    Internal {
        /// The operation that failed, and its object.
        attempt: String,
        /// The cause.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

/// The reason why a sandbox could not be stopped.
#[derive(Debug, thiserror::Error)]
#[error("failed to stop the sandbox: {0}")]
pub struct StopError(pub String);

/// The reason why an invocation in a sandbox gave no outcome.
#[derive(Debug, thiserror::Error)]
pub enum InvokeError {
    /// The function failed or met one of its limits.
    #[error(transparent)]
    Function(#[from] FunctionFailure),
    /// The request does not fit the function's interface.
    #[error("{message}")]
    Request {
        /// A stable code.
        code: &'static str,
        /// The fault, and how to correct it.
        message: String,
    },
    /// No room for the instance; nothing ran.
    #[error("all sandboxes of this executor are in use")]
    Exhausted,
    /// The sandbox was dead before the invocation reached it; nothing ran, and another sandbox may be tried.
    #[error("the sandbox was gone before the invocation began")]
    Gone,
    /// Our fault.
    #[error("failed to {attempt}")]
    Internal {
        /// The operation that failed, and its object.
        attempt: String,
        /// The cause.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

/// A started sandbox.
pub struct Started {
    /// The sandbox.
    pub sandbox: Box<dyn Sandbox>,
    /// Whether everything was in place already (a warm start, in Serverledge's words).
    pub warm: bool,
    /// The parts of the start that took time, in order; empty for a warm start. The names are the executor's own and
    /// few.
    pub phases: Vec<StartPhase>,
}

/// A part of a cold start, and how long it took.
pub type StartPhase = (&'static str, Duration);

impl std::fmt::Debug for Started {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Started")
            .field("warm", &self.warm)
            .field("phases", &self.phases)
            .finish_non_exhaustive()
    }
}

/// Hears what a deploy is doing, for the person who waits. Must not block.
pub trait Progress: Send + Sync {
    /// A step has begun, or a tool has printed a line.
    fn step(&self, text: &str);
}

/// Nobody listens.
impl Progress for () {
    fn step(&self, _text: &str) {}
}

/// Prepares versions and starts sandboxes of the runtimes it serves.
#[async_trait]
pub trait Executor: Send + Sync {
    /// Makes later starts fast (compile, build, pull, install). Idempotent. Runs at deploy, never on the request path.
    /// On error nothing is kept. Dropping the future stops the work and keeps nothing.
    async fn prepare(
        &self,
        version: &Version,
        code: Bytes,
        progress: &dyn Progress,
    ) -> Result<Prepared, PrepareError>;

    /// Starts a sandbox of a prepared version. On error, or if the future is dropped, nothing is left behind: no
    /// container, no memory, no file.
    async fn start(&self, version: &Arc<Version>) -> Result<Started, StartError>;

    /// Whether starts need no `prepare` first: false for a version that was prepared by an older program, or elsewhere.
    fn is_prepared(&self, version: &Version) -> bool;

    /// The sizes of a version that is prepared here. May read a small file. `None` for every other version, and where code
    /// is no machine code of this node's.
    fn footprint(&self, _version: &Version) -> Option<Footprint> {
        None
    }

    /// Forgets what was loaded for a version (a deletion, an update). Running invocations end as they would have.
    async fn forget(&self, version: &Version);

    /// Removes what was prepared at least `grace` ago for code that is in no use; returns how much was removed, in
    /// pieces. The grace is for deploys that have prepared and not stored yet.
    async fn sweep(&self, code_in_use: &HashSet<Digest>, grace: Duration) -> usize;

    /// Number of calls, since the start, that came from sandboxes without the right of a running invocation. Each is a
    /// function that goes on after its end, or tries the right of another one. Zero where sandboxes cannot call without
    /// one.
    fn refused_calls(&self) -> u64 {
        0
    }
}

/// One isolated place where a version runs.
#[async_trait]
pub trait Sandbox: Send + Sync {
    /// One invocation. If the future is dropped the invocation is stopped and the sandbox is never reused. With a
    /// streamed reply the function may go on running until the reply's body ends or is dropped; its time limit covers that.
    async fn invoke(&self, call: Call, host: Arc<dyn HostCalls>) -> Result<Outcome, InvokeError>;

    /// Whether it may serve again. Asked after each invocation: a pooled sandbox in which something was left running, or
    /// whose process has ended, says [`Reuse::Once`] from then on.
    fn reuse(&self) -> Reuse;

    /// Stops it. Idempotent; callable while calls run.
    async fn stop(&self) -> Result<(), StopError>;
}
