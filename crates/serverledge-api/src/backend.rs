//! What the routes need of a node. The node implements it, and so does the fake of the tests.

use std::time::Instant;

use async_trait::async_trait;
use bytes::Bytes;
use serverledge_core::{
    Caller, Carried, Function, FunctionName, InvocationError, InvocationId, Payload, PrepareError,
    Progress, Report, Travel,
};
use serverledge_wire::function::{FunctionBody, SpecError};
use serverledge_wire::invocations::{DeadLetters, InvocationInfo};
use serverledge_wire::peer::{PeerCall, PeerLoad, PeerState, Proof};
use serverledge_wire::peer_info::PeerInfo;
use serverledge_wire::status::StatusInformation;
use serverledge_wire::versions::{FlagsRequest, FunctionVersions};
use std::sync::Arc;
use tokio::sync::broadcast;

use crate::applications::Applications;
use crate::hosting::Hosting;
use crate::stored::{ChangeError, KeptReply, OnceError, Stored, Submitted};

/// Who a node is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// The node's name in its area.
    pub node: String,
    /// Its area.
    pub area: String,
}

/// What is free now; goes out with every reply of `/invoke`.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Load {
    /// Memory not reserved, in MiB.
    pub free_memory_mib: u64,
    /// Cores not reserved.
    pub free_cpu: f64,
}

/// One invocation from outside.
#[derive(Debug)]
pub struct Call {
    /// Who asks; the function is one of their space.
    pub caller: Caller,
    /// Which function.
    pub function: FunctionName,
    /// Its id.
    pub id: InvocationId,
    /// What goes in.
    pub payload: Payload,
    /// Serverledge's QoS class.
    pub qos_class: i64,
    /// When the answer is of no use any more; it is then not started.
    pub deadline: Option<Instant>,
    /// When the request arrived.
    pub arrived: Instant,
    /// Whether another node may run it.
    pub may_offload: bool,
    /// What its request says of where it comes from; `None` if that is nothing.
    pub travel: Option<Arc<Travel>>,
    /// What its client carries of results.
    pub carried: Option<Arc<Carried>>,
    /// Whether the answer is to bring entries that the client may carry back.
    pub hands_out: bool,
    /// What it asks for if it is stored.
    pub stored: Stored,
}

/// One invocation that another node sends. The request is proved.
#[derive(Debug)]
pub struct PeerRequest {
    /// Which function.
    pub function: FunctionName,
    /// What the other node says of it.
    pub call: PeerCall,
    /// The parameters: JSON.
    pub params: Bytes,
    /// When the request arrived.
    pub arrived: Instant,
}

/// Why a request is not taken for a peer's.
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
        /// What is allowed.
        max: u64,
    },
    /// It was seen before.
    #[error("the proof was used before")]
    Replayed,
    /// More requests than can be told from replays.
    #[error("peers send more requests than this node can check")]
    TooMany,
}

/// Why a peer's invocation gave no result.
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

/// Whether a deployment may replace a function.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Deploy {
    /// The name must be free.
    Create,
    /// The name may be taken.
    Update,
}

/// A deployment that succeeded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Deployed {
    /// The function as it is now.
    pub function: Arc<Function>,
    /// What was recognised, in words for people.
    pub recognised: String,
    /// Remarks for the person who deploys.
    pub remarks: Vec<String>,
}

/// Why a deployment or deletion did not happen; nothing was changed.
#[derive(Debug, thiserror::Error)]
pub enum DeployError {
    /// The name is taken.
    #[error("function {0} exists already; update it, or delete it first")]
    Exists(FunctionName),
    /// No such function.
    #[error("function {0:?} is unknown")]
    Unknown(String),
    /// Where it was to be deployed is gone: the application or the account was deleted meanwhile.
    #[error("the application was deleted meanwhile")]
    SpaceGone,
    /// The function has no such version (any more).
    #[error(
        "function {name} has no version {version:?}; /functions/{name}/versions lists those it has"
    )]
    UnknownVersion {
        /// The function's name.
        name: FunctionName,
        /// What was asked for.
        version: String,
    },
    /// Several of its versions begin so.
    #[error("several versions of function {name} begin with {version:?}")]
    AmbiguousVersion {
        /// The function's name.
        name: FunctionName,
        /// What was asked for.
        version: String,
    },
    /// Others changed the function again and again meanwhile.
    #[error("function {0} is being changed by too many at once")]
    Contended(FunctionName),
    /// The owner has as much as they may have.
    #[error(transparent)]
    Quota(#[from] QuotaExceeded),
    /// The request breaks a rule.
    #[error(transparent)]
    Spec(#[from] SpecError),
    /// The code cannot be read out of the request.
    #[error("{message}")]
    Code {
        /// A stable code.
        code: &'static str,
        /// What is wrong, and the way out.
        message: String,
    },
    /// This node cannot run such functions.
    #[error("{0}")]
    Unsupported(String),
    /// The executor refuses the code.
    #[error(transparent)]
    Prepare(#[from] PrepareError),
    /// The registry did not take it.
    #[error("the registry is unavailable")]
    Registry {
        /// A stable code.
        code: &'static str,
        /// The cause.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

/// An owner has as much as they may have.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct QuotaExceeded {
    /// A stable code.
    pub code: &'static str,
    /// Which quota, with its figures.
    pub message: String,
}

/// Why an asynchronous invocation was not accepted; nothing was stored.
#[derive(Debug, thiserror::Error)]
pub enum SubmitError {
    /// As for a synchronous one.
    #[error(transparent)]
    Invocation(#[from] InvocationError),
    /// Too many are waiting.
    #[error("{waiting} asynchronous invocations are waiting already")]
    Full {
        /// How many.
        waiting: usize,
    },
    /// The idempotency key stands for a request with another payload.
    #[error(
        "this idempotency key stands for another request, invocation {first}, with other parameters"
    )]
    KeyReused {
        /// That request's invocation.
        first: InvocationId,
    },
    /// The callback's URL is not one that callbacks go to.
    #[error("the callback is refused: {why}")]
    Callback {
        /// Why.
        why: String,
    },
}

/// Where an asynchronous invocation stands.
#[derive(Debug, Clone, PartialEq)]
pub enum Polled {
    /// It ended; the body that Serverledge's clients read.
    Done(Vec<u8>),
    /// Accepted and not ended.
    Unfinished,
    /// Never accepted here, or forgotten after its time.
    Unknown,
}

/// Why nothing can be said about an asynchronous invocation.
#[derive(Debug, thiserror::Error)]
#[error("the registry is unavailable")]
pub struct PollError(#[source] pub Box<dyn std::error::Error + Send + Sync>);

/// What one invocation wrote to its log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogEntry {
    /// When the invocation ended, in Unix milliseconds.
    pub time_unix_ms: u64,
    /// Which invocation.
    pub invocation: InvocationId,
    /// It failed, and the function is to blame.
    pub failed: bool,
    /// The end of its log; lines of whatever bytes the function wrote.
    pub text: Bytes,
}

/// The log of a function: what is kept of it, and what comes from now on, with nothing in between lost or twice.
#[derive(Debug)]
pub struct LogFeed {
    /// What is kept, oldest first.
    pub backlog: Vec<Arc<LogEntry>>,
    /// What comes. It closes when the function is deleted or the node stops.
    pub live: broadcast::Receiver<Arc<LogEntry>>,
}

/// A node, as the routes see it.
#[async_trait]
pub trait Backend: Hosting {
    /// Who it is.
    fn identity(&self) -> &Identity;

    /// Its applications.
    fn applications(&self) -> &dyn Applications;

    /// What is free now.
    fn load(&self) -> Load;

    /// A deployed function of the caller's space.
    fn function(&self, caller: &Caller, name: &str) -> Option<Arc<Function>>;

    /// The names of all functions of the caller's space, sorted.
    fn names(&self, caller: &Caller) -> Vec<String>;

    /// Runs a function. Dropping the future stops it and gives its resources back.
    async fn invoke(&self, call: Call) -> Result<Report, InvocationError>;

    /// Accepts an invocation to be run later; it is stored when this returns. Dropping the future does not take it back.
    async fn submit(&self, call: Call) -> Result<Submitted, SubmitError>;

    /// Accepts an invocation with an idempotency key, or finds the one that the key stands for, and waits for its outcome.
    /// Dropping the future does not stop it.
    async fn invoke_once(&self, call: Call) -> Result<KeptReply, OnceError>;

    /// All that is known of an asynchronous invocation of the caller's space; `None` if there is none (any more).
    async fn invocation(
        &self,
        caller: &Caller,
        id: InvocationId,
    ) -> Result<Option<InvocationInfo>, PollError>;

    /// Ends an asynchronous invocation without a result; what runs is stopped.
    async fn cancel(
        &self,
        caller: &Caller,
        id: InvocationId,
    ) -> Result<InvocationInfo, ChangeError>;

    /// Dead letters, the oldest first, at most `limit` of them, after this one.
    async fn dead_letters(
        &self,
        caller: &Caller,
        after: Option<InvocationId>,
        limit: usize,
    ) -> Result<DeadLetters, PollError>;

    /// One dead letter; `None` if it is none (any more).
    async fn dead_letter(
        &self,
        caller: &Caller,
        id: InvocationId,
    ) -> Result<Option<InvocationInfo>, PollError>;

    /// Makes a new invocation from a dead letter; done twice, it gives the same.
    async fn redrive(&self, caller: &Caller, id: InvocationId) -> Result<Submitted, ChangeError>;

    /// Deletes a dead letter.
    async fn purge(&self, caller: &Caller, id: InvocationId) -> Result<(), ChangeError>;

    /// Deletes all dead letters of the caller's space; says how many.
    async fn purge_all(&self, caller: &Caller) -> Result<u64, PollError>;

    /// Where an accepted invocation stands.
    async fn poll(&self, caller: &Caller, id: InvocationId) -> Result<Polled, PollError>;

    /// Deploys. Everything slow happens here, and `progress` hears of it; on error nothing has changed. Dropping the future
    /// (the caller has left) stops the work; the function is then as it was before, unless the registry has it already.
    async fn deploy(
        &self,
        caller: &Caller,
        mode: Deploy,
        request: FunctionBody<'_>,
        progress: &dyn Progress,
    ) -> Result<Deployed, DeployError>;

    /// The log of a function on this node; `None` if there is no such function.
    fn logs(&self, caller: &Caller, name: &str) -> Option<LogFeed>;

    /// Deletes. Running invocations end as they would have.
    async fn delete(&self, caller: &Caller, name: &str) -> Result<(), DeployError>;

    /// The versions of a function: the current one, then those that are kept, the newest first.
    async fn versions(&self, caller: &Caller, name: &str) -> Result<FunctionVersions, DeployError>;

    /// Binds a function to one of its kept versions again: the one whose digest begins with `version`. Made ready here
    /// first, like a deploy. Dropping the future: it may have happened or not.
    async fn roll_back(
        &self,
        caller: &Caller,
        name: &str,
        version: &str,
    ) -> Result<Arc<Function>, DeployError>;

    /// Changes a function's flags. Dropping the future: it may have happened or not.
    async fn set_flags(
        &self,
        caller: &Caller,
        name: &str,
        flags: FlagsRequest,
    ) -> Result<Arc<Function>, DeployError>;

    /// Loads what a function needs; returns how many of `instances` sandboxes can then start at once.
    async fn prewarm(
        &self,
        caller: &Caller,
        name: &str,
        instances: i64,
    ) -> Result<i64, InvocationError>;

    /// Whether a request comes from a node of this cluster and is meant for this one.
    ///
    /// # Errors
    /// [`PeerRefused`] says why it is not believed.
    fn check_peer(
        &self,
        proof: &Proof,
        path: &str,
        call: &[u8],
        body: &[u8],
    ) -> Result<(), PeerRefused>;

    /// Runs another node's invocation, or joins the run that there is under its id. Dropping the future leaves the run to
    /// whoever asks again; if nobody does, it is stopped.
    async fn peer_invoke(&self, request: PeerRequest) -> Result<Report, PeerInvokeError>;

    /// How this node is, for its peers.
    fn peer_load(&self) -> PeerLoad;

    /// The same, and where it and some others are.
    fn peer_state(&self) -> PeerState;

    /// The other nodes, as this one sees them.
    fn peers(&self) -> Vec<PeerInfo>;

    /// The node's figures.
    fn status(&self) -> StatusInformation;

    /// Metrics in the Prometheus text format; `None` if they are switched off.
    fn metrics(&self) -> Option<String>;

    /// Whether new requests should be sent here.
    fn ready(&self) -> bool;
}
