//! The types between the routes and a node: calls, outcomes, refusals. The operations are in `backend/roles.rs`.

use std::time::Instant;

use bytes::Bytes;
use serverledge_core::{
    Call, Caller, Footprint, Function, FunctionName, InvocationError, InvocationId,
};
use serverledge_wire::function::FunctionInfo;
use serverledge_wire::peer::PeerCall;
use std::sync::Arc;
use tokio::sync::broadcast;

pub(crate) mod applications;
pub(crate) mod balancer;
pub(crate) mod dependencies;
pub(crate) mod errors;
pub(crate) mod invocations;
pub(crate) mod roles;
pub(crate) mod running_apps;
pub(crate) mod runs;
pub(crate) mod state;

use invocations::InvocationOptions;

/// The name of a node and its area.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// The node's name in its area.
    pub node: String,
    /// Its area.
    pub area: String,
}

/// Resources that are free now; sent with every reply of `/invoke`.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Load {
    /// Memory not reserved, in MiB.
    pub free_memory_mib: u64,
    /// Cores not reserved.
    pub free_cpu: f64,
}

/// One call from outside.
#[derive(Debug)]
pub struct ClientCall {
    /// The caller; the function is one of their space.
    pub caller: Caller,
    /// The call.
    pub call: Call,
    /// Options that hold if the invocation is stored.
    pub stored: InvocationOptions,
}

impl ClientCall {
    /// A call whose outcome is kept as if nothing was asked for.
    #[must_use]
    pub fn new(caller: Caller, call: Call) -> Self {
        Self {
            caller,
            call,
            stored: InvocationOptions::default(),
        }
    }
}

/// One invocation that another node sends. The request is proved.
#[derive(Debug)]
pub struct PeerRequest {
    /// The function's name.
    pub function: FunctionName,
    /// The other node's description of the call.
    pub call: PeerCall,
    /// The parameters: JSON.
    pub params: Bytes,
    /// The time at which the request arrived.
    pub arrived: Instant,
}

/// The reason why a request is not accepted as a peer's.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PeerRefused {
    /// This node has none to check with.
    #[error("this node has no cluster.key and answers no peers")]
    NoKey,
    /// It is missing, malformed, or of another key, node or request.
    #[error("the request is not proved with this cluster's key for this node")]
    Proof,
    /// It was made at another time.
    #[error("the clocks of the two nodes differ by {seconds} s, {max} are allowed")]
    Clock {
        /// By how much.
        seconds: u64,
        /// The largest difference that is allowed, in seconds.
        max: u64,
    },
    /// It was seen before.
    #[error("the proof was used before")]
    Replayed,
    /// More requests than can be told from replays.
    #[error("peers send more requests than this node can check")]
    TooMany,
}

/// The reason why a peer's invocation gave no result.
#[derive(Debug, thiserror::Error)]
pub enum PeerInvokeError {
    /// As for a client's.
    #[error(transparent)]
    Invocation(#[from] InvocationError),
    /// The peer means another version than the one that is deployed here.
    #[error("another version of the function is deployed here")]
    Version,
    /// It was meant for an earlier life of this node.
    #[error("this node has been started anew")]
    OtherLife,
    /// It was offloaded too often, or by this node.
    #[error("the call has been here already, or was offloaded too often")]
    Loop,
    /// It is asked for again, and this node cannot tell whether it ran.
    #[error("whether this invocation ran here is not known any more")]
    Forgotten,
}

/// A deployment that succeeded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Deployed {
    /// The function as it is now.
    pub function: Arc<Function>,
    /// The kind of code that was recognised, in words for people.
    pub recognised: String,
    /// Its sizes, where it is prepared as machine code of this node.
    pub footprint: Option<Footprint>,
    /// The version that the name was bound to before.
    pub replaced: Option<Arc<Function>>,
    /// Remarks for the person who deploys.
    pub remarks: Vec<String>,
}

/// A change of a function that succeeded.
#[derive(Debug, Clone, PartialEq)]
pub struct Patched {
    /// The function before.
    pub before: Arc<Function>,
    /// The function as it is now.
    pub function: Arc<Function>,
    /// Its code was made anew from the source that there was.
    pub remade: bool,
    /// The kind that was recognised, in words for people; empty if nothing had to be made ready.
    pub recognised: String,
    /// Its sizes, where it was made ready as machine code of this node.
    pub footprint: Option<Footprint>,
    /// Remarks for the person who deploys.
    pub remarks: Vec<String>,
}

/// The state that a change expects to find: the value of `If-Match` (RFC 9110 §13.1.1).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExpectedState(String);

impl ExpectedState {
    /// From the header's value.
    #[must_use]
    pub fn new(if_match: impl Into<String>) -> Self {
        Self(if_match.into())
    }

    /// Whether this is that state. Weak tags match nothing, nor does what is no list of tags.
    #[must_use]
    pub fn matches(&self, function: &Function) -> bool {
        let tag = FunctionInfo::from(function).etag();
        self.0
            .split(',')
            .map(str::trim)
            .any(|one| one == "*" || one == tag)
    }
}

/// The state of an asynchronous invocation.
#[derive(Debug, Clone, PartialEq)]
pub enum Polled {
    /// It ended; the body that Serverledge's clients read.
    Done(Vec<u8>),
    /// Accepted and not ended.
    Unfinished,
    /// Never accepted here, or forgotten after its time.
    Unknown,
}

/// Lines of a function's log that were written at one time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogEntry {
    /// The time at which they were written, in Unix milliseconds.
    pub time_unix_ms: u64,
    /// The invocation that wrote them; `None` for what was written while code was loaded, and where nobody can tell.
    pub invocation: Option<InvocationId>,
    /// The invocation has failed since, and the function is to blame.
    pub failed: bool,
    /// Lines of whatever bytes the function wrote.
    pub text: Bytes,
}

/// The log of a function: what is kept of it, and what comes from now on, with nothing in between lost or twice.
#[derive(Debug)]
pub struct LogFeed {
    /// The entries that are kept, oldest first.
    pub backlog: Vec<LogEntry>,
    /// New entries. The channel closes when the function is deleted or the node stops.
    pub live: broadcast::Receiver<LogEntry>,
}

/// Whether new requests should be sent to a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Readiness {
    /// Yes.
    Ready,
    /// It starts or drains.
    Away,
    /// It prepares the functions that were called lately.
    Preparing {
        /// So many of them are prepared.
        prepared: usize,
        /// So many could not be prepared.
        failed: usize,
        /// So many there are.
        of: usize,
    },
}
