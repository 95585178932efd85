//! The operations that the routes need of a node, by role. Each service of the node implements its role, and the fake
//! of the tests implements all. Functions are asked for by the space that they are in: another space's are unknown
//! ones.

use std::sync::Arc;

use async_trait::async_trait;
use serverledge_core::{
    Caller, Function, InvocationError, InvocationId, Progress, Report, SpaceId,
};
use serverledge_wire::function::FunctionBody;
use serverledge_wire::invocations::{DeadLetters, InvocationInfo};
use serverledge_wire::patch::FunctionPatch;
use serverledge_wire::peer::{PeerLoad, PeerState, Proof};
use serverledge_wire::peer_info::PeerInfo;
use serverledge_wire::quotas::UserQuotas;
use serverledge_wire::rollout::{FunctionNodes, VersionQuestion, VersionStand};
use serverledge_wire::status::StatusInformation;
use serverledge_wire::versions::{FlagsRequest, FunctionVersions};

use crate::backend::applications::Applications;
use crate::backend::errors::{Deploy, DeployError, PollError, SubmitError};
use crate::backend::invocations::{ChangeError, KeptReply, OnceError, Submitted};
use crate::backend::running_apps::Hosting;
use crate::backend::runs::RunRecords;
use crate::backend::state::StateStores;
use crate::backend::{
    ClientCall, Deployed, ExpectedState, Identity, Load, LogFeed, Patched, PeerInvokeError,
    PeerRefused, PeerRequest, Polled, Readiness,
};

/// A node, as the routes see it: one service for each role. Clones share them.
#[derive(Clone)]
pub struct Backend {
    /// The functions.
    pub functions: Arc<dyn FunctionCatalogue>,
    /// Their deploys.
    pub deployments: Arc<dyn Deployments>,
    /// Their versions.
    pub versions: Arc<dyn VersionHistory>,
    /// Invocations whose callers wait.
    pub invocations: Arc<dyn Invocations>,
    /// Those that are stored.
    pub async_invocations: Arc<dyn AsyncInvocations>,
    /// Those that failed for good.
    pub dead_letters: Arc<dyn DeadLetterQueue>,
    /// The applications.
    pub applications: Arc<dyn Applications>,
    /// Those that run.
    pub running_apps: Arc<dyn Hosting>,
    /// The records of runs, and the events of the node.
    pub runs: Arc<dyn RunRecords>,
    /// The key-value stores of functions.
    pub state: Arc<dyn StateStores>,
    /// The other nodes.
    pub peers: Arc<dyn PeerGateway>,
    /// The node itself.
    pub status: Arc<dyn NodeStatus>,
}

impl Backend {
    /// The version of a function that a call runs here now. A function that is known needs no wait.
    pub(crate) async fn served(&self, space: &SpaceId, name: &str) -> Option<Arc<Function>> {
        match self.functions.served(space, name) {
            Some(function) => Some(function),
            None => self.functions.find_served(space, name).await,
        }
    }
}

impl std::fmt::Debug for Backend {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Backend").finish_non_exhaustive()
    }
}

/// The functions that a node knows.
#[async_trait]
pub trait FunctionCatalogue: Send + Sync + 'static {
    /// The newest version of a deployed function.
    fn function(&self, space: &SpaceId, name: &str) -> Option<Arc<Function>>;

    /// The version of it that a call runs here now: an earlier one while the newest is not prepared.
    fn served(&self, space: &SpaceId, name: &str) -> Option<Arc<Function>> {
        self.function(space, name)
    }

    /// The same; of one that another node has deployed a moment ago as well.
    async fn find_served(&self, space: &SpaceId, name: &str) -> Option<Arc<Function>> {
        self.served(space, name)
    }

    /// The names of all functions of a space, sorted.
    fn names(&self, space: &SpaceId) -> Vec<String>;

    /// The log of a function on this node; `None` if there is no such function.
    fn logs(&self, space: &SpaceId, name: &str) -> Option<LogFeed>;

    /// The state of a version on this node, for its peers.
    fn version_stand(&self, question: &VersionQuestion) -> VersionStand;

    /// Whether new requests should be sent here.
    fn readiness(&self) -> Readiness;
}

/// Deploys, changes and deletions of functions.
#[async_trait]
pub trait Deployments: Send + Sync + 'static {
    /// Deploys. Everything slow happens here, and `progress` hears of it; on error nothing has changed. Dropping the
    /// future (the caller has left) stops the work; the function is then as it was before, unless the registry has it
    /// already.
    async fn deploy(
        &self,
        space: &SpaceId,
        mode: Deploy,
        request: FunctionBody<'_>,
        progress: &dyn Progress,
    ) -> Result<Deployed, DeployError>;

    /// Changes what the request names of a function, and nothing else: made ready here first, like a deploy, and done
    /// anew if others change the function meanwhile. Dropping the future: it may have happened or not.
    async fn patch(
        &self,
        space: &SpaceId,
        name: &str,
        request: &FunctionPatch<'_>,
        expected: Option<&ExpectedState>,
        progress: &dyn Progress,
    ) -> Result<Patched, DeployError>;

    /// Deletes. Running invocations end as they would have.
    async fn delete(&self, space: &SpaceId, name: &str) -> Result<(), DeployError>;

    /// The quotas that count for the caller. `None`: none does, as in the default space.
    fn quotas(&self, caller: &Caller) -> Option<UserQuotas>;
}

/// The versions of functions, and their flags.
#[async_trait]
pub trait VersionHistory: Send + Sync + 'static {
    /// The versions of a function: the current one, then those that are kept, the newest first.
    async fn versions(&self, space: &SpaceId, name: &str) -> Result<FunctionVersions, DeployError>;

    /// Binds a function to one of its kept versions again: the one whose digest begins with `version`. Made ready here
    /// first, like a deploy. Dropping the future: it may have happened or not.
    async fn roll_back(
        &self,
        space: &SpaceId,
        name: &str,
        version: &str,
    ) -> Result<Arc<Function>, DeployError>;

    /// Changes a function's flags; an absent one stays as it is. Dropping the future: it may have happened or not.
    async fn set_flags(
        &self,
        space: &SpaceId,
        name: &str,
        flags: FlagsRequest,
    ) -> Result<Arc<Function>, DeployError>;
}

/// Invocations whose callers wait.
#[async_trait]
pub trait Invocations: Send + Sync + 'static {
    /// Runs a function. Dropping the future stops it and gives its resources back.
    async fn call(self: Arc<Self>, call: ClientCall) -> Result<Report, InvocationError>;

    /// Loads what a function needs; returns how many of `instances` sandboxes can then start at once.
    async fn prewarm(
        self: Arc<Self>,
        space: &SpaceId,
        name: &str,
        instances: i64,
    ) -> Result<i64, InvocationError>;
}

/// Invocations that are stored before they run.
#[async_trait]
pub trait AsyncInvocations: Send + Sync + 'static {
    /// Accepts an invocation to be run later; it is stored when this returns. Dropping the future does not take it
    /// back.
    async fn submit(self: Arc<Self>, call: ClientCall) -> Result<Submitted, SubmitError>;

    /// Accepts an invocation with an idempotency key, or finds the one that the key stands for, and waits for its
    /// outcome. Dropping the future does not stop it.
    async fn invoke_once(self: Arc<Self>, call: ClientCall) -> Result<KeptReply, OnceError>;

    /// The state of an accepted invocation, in the form that Serverledge's clients read.
    async fn poll(&self, space: &SpaceId, id: InvocationId) -> Result<Polled, PollError>;

    /// All that is known of an asynchronous invocation; `None` if there is none (any more).
    async fn invocation(
        &self,
        space: &SpaceId,
        id: InvocationId,
    ) -> Result<Option<InvocationInfo>, PollError>;

    /// Ends an asynchronous invocation without a result; what runs is stopped, wherever it does.
    async fn cancel(
        self: Arc<Self>,
        space: &SpaceId,
        id: InvocationId,
    ) -> Result<InvocationInfo, ChangeError>;
}

/// Asynchronous invocations that failed for good.
#[async_trait]
pub trait DeadLetterQueue: Send + Sync + 'static {
    /// The oldest first, at most `limit` of them, after this one.
    async fn dead_letters(
        &self,
        space: &SpaceId,
        after: Option<InvocationId>,
        limit: usize,
    ) -> Result<DeadLetters, PollError>;

    /// One dead letter; `None` if it is none (any more).
    async fn dead_letter(
        &self,
        space: &SpaceId,
        id: InvocationId,
    ) -> Result<Option<InvocationInfo>, PollError>;

    /// Makes a new invocation from a dead letter; done twice, it gives the same.
    async fn redrive(
        self: Arc<Self>,
        space: &SpaceId,
        id: InvocationId,
    ) -> Result<Submitted, ChangeError>;

    /// Deletes a dead letter.
    async fn purge(&self, space: &SpaceId, id: InvocationId) -> Result<(), ChangeError>;

    /// Deletes all dead letters of a space; says how many.
    async fn purge_all(&self, space: &SpaceId) -> Result<u64, PollError>;
}

/// The other nodes, and their requests to this one.
#[async_trait]
pub trait PeerGateway: Send + Sync + 'static {
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

    /// Runs another node's invocation, or joins the run that there is under its id. Dropping the future leaves the run
    /// to whoever asks again; if nobody does, it is stopped.
    async fn peer_invoke(self: Arc<Self>, request: PeerRequest) -> Result<Report, PeerInvokeError>;

    /// The load of this node, for its peers.
    fn peer_load(&self) -> PeerLoad;

    /// The same, and where it and some others are.
    fn peer_state(&self) -> PeerState;

    /// The other nodes, as this one sees them.
    fn peers(&self) -> Vec<PeerInfo>;

    /// On which nodes a function's newest version is prepared; `None` if there is no such function. Asks the other
    /// nodes.
    async fn nodes(&self, space: &SpaceId, name: &str) -> Option<FunctionNodes>;
}

/// The node itself, and its figures.
pub trait NodeStatus: Send + Sync + 'static {
    /// Its name and area.
    fn identity(&self) -> &Identity;

    /// The resources that are free now.
    fn load(&self) -> Load;

    /// The node's figures.
    fn status(&self) -> StatusInformation;

    /// Metrics in the Prometheus text format; `None` if they are switched off.
    fn metrics(&self) -> Option<String>;
}
