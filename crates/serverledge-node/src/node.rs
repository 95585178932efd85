//! The node: its parts, and how the HTTP surface sees them.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use parking_lot::Mutex;
use serverledge_api::{
    Backend, Call, ChangeError, Deploy, DeployError, Deployed, Identity, KeptReply, Load, LogFeed,
    OnceError, PeerInvokeError, PeerRefused, PeerRequest, PollError, Polled, SubmitError,
    Submitted,
};
use serverledge_core::{
    Caller, Digest, Function, InvocationError, InvocationId, MemoryMib, Progress, Report, Runtime,
    SpaceId,
};
use serverledge_platform::Platform;
use serverledge_registry::{AppStore, FunctionStore, InvocationStore};
use serverledge_wire::function::FunctionBody;
use serverledge_wire::invocations::{DeadLetters, InvocationInfo};
use serverledge_wire::peer::{PeerLoad, PeerState, Proof};
use serverledge_wire::peer_info::PeerInfo;
use serverledge_wire::status::StatusInformation;
use serverledge_wire::versions::{FlagsRequest, FunctionVersions};
use tokio::sync::Notify;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::admission::{Admissions, draining};
use crate::applications::Applications;
use crate::asynchronous::Asynchronous;
use crate::cluster::Cluster;
use crate::config::{FunctionConfig, MetricsConfig};
use crate::executors::Executors;
use crate::function_logs::FunctionLogs;
use crate::functions::{Entry, Functions};
use crate::hosting::{EdgeCodes, Testing};
use crate::invoke::Request;
use crate::membership::Membership;
use crate::memo::Memos;
use crate::metrics::Metrics;
use crate::quotas::{Permit, Quotas, until_its_end};

/// A running node.
pub(crate) struct Node {
    pub(crate) identity: Identity,
    pub(crate) limits: FunctionConfig,
    pub(crate) pool_memory: MemoryMib,
    pub(crate) functions: Functions,
    pub(crate) admissions: Admissions,
    pub(crate) executors: Executors,
    pub(crate) logs: FunctionLogs,
    pub(crate) store: FunctionStore,
    pub(crate) applications: Arc<Applications>,
    pub(crate) app_store: AppStore,
    pub(crate) invocations: InvocationStore,
    pub(crate) asynchronous: Asynchronous,
    pub(crate) membership: Membership,
    pub(crate) cluster: Cluster,
    pub(crate) memos: Memos,
    pub(crate) quotas: Quotas,
    pub(crate) accounts: Arc<Platform>,
    /// Whether everybody has to say who they are (`auth.enabled`).
    pub(crate) auth_required: bool,
    pub(crate) metrics: Metrics,
    pub(crate) metrics_config: MetricsConfig,
    pub(crate) preparing: Mutex<HashSet<Digest>>,
    pub(crate) ready: AtomicBool,
    pub(crate) started: Instant,
    pub(crate) background: Background,
    /// A space was deleted, and the sweeper need not wait for its time.
    pub(crate) sweep_soon: Notify,
    pub(crate) testing: Testing,
    pub(crate) edge_codes: EdgeCodes,
    pub(crate) janitor_interval: Duration,
}

/// Tasks that belong to no request: they end with the node.
#[derive(Debug, Default)]
pub(crate) struct Background {
    tasks: TaskTracker,
    stop: CancellationToken,
}

impl Background {
    /// Runs a task until it ends or the node stops, whichever comes first.
    pub(crate) fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        let stop = self.stop.clone();
        drop(self.tasks.spawn(async move {
            tokio::select! {
                () = stop.cancelled() => {}
                () = task => {}
            }
        }));
    }

    /// Ends all tasks and waits for that.
    pub(crate) async fn stop(&self) {
        self.stop.cancel();
        self.tasks.close();
        self.tasks.wait().await;
    }
}

impl Node {
    pub(crate) fn lookup(
        &self,
        space: &SpaceId,
        name: &str,
    ) -> Result<Arc<Entry>, InvocationError> {
        self.functions
            .get(space, name)
            .ok_or_else(|| InvocationError::Unknown(name.to_owned()))
    }

    /// A node that stops takes nothing new from outside; what runs may still call other functions.
    pub(crate) fn check_open(&self) -> Result<(), InvocationError> {
        if self.admissions.is_draining() {
            Err(draining())
        } else {
            Ok(())
        }
    }

    /// Counts an invocation from outside that waits for its outcome.
    pub(crate) fn permit(&self, caller: &Caller) -> Result<Option<Permit>, InvocationError> {
        self.quotas
            .admit(caller)
            .inspect_err(|error| self.count_refusal(error))
    }

    fn count_refusal(&self, error: &InvocationError) {
        if let InvocationError::Quota { code, .. } = error {
            self.metrics.quota_refused(code);
        }
    }

    fn request(&self, call: Call) -> Result<Request, InvocationError> {
        let entry = self.lookup(&call.caller.space, call.function.as_str())?;
        Ok(Request::of(call, entry))
    }

    /// Whether this node has an executor for a runtime.
    pub(crate) fn check_runtime(&self, runtime: Runtime) -> Result<(), DeployError> {
        if self.executors.of(runtime).is_some() {
            return Ok(());
        }
        let way_out = match runtime {
            Runtime::NodeJs => {
                "deploy it with the runtime javascript, if it needs nothing of Node.js's own"
            }
            _ => "build the function as WebAssembly",
        };
        Err(DeployError::Unsupported(format!(
            "runtime {runtime} needs containers, which this node's configuration switches off (container.enabled); {way_out}"
        )))
    }
}

/// The node as the routes see it.
#[derive(Clone)]
pub(crate) struct NodeBackend(pub(crate) Arc<Node>);

#[async_trait]
impl Backend for NodeBackend {
    fn identity(&self) -> &Identity {
        &self.0.identity
    }

    fn applications(&self) -> &dyn serverledge_api::Applications {
        self
    }

    fn load(&self) -> Load {
        let snapshot = self.0.admissions.snapshot();
        // What idle sandboxes hold makes room where it is needed.
        let memory = snapshot.free.memory.get() + snapshot.idle_memory.get();
        Load {
            free_memory_mib: memory,
            free_cpu: snapshot.free.cpu.cores(),
        }
    }

    fn function(&self, caller: &Caller, name: &str) -> Option<Arc<Function>> {
        self.0
            .functions
            .get(&caller.space, name)
            .map(|entry| Arc::clone(&entry.function))
    }

    fn names(&self, caller: &Caller) -> Vec<String> {
        self.0.functions.names(&caller.space)
    }

    async fn invoke(&self, call: Call) -> Result<Report, InvocationError> {
        self.0.check_open()?;
        let permit = self.0.permit(&call.caller)?;
        let request = self.0.request(call)?;
        Ok(until_its_end(self.0.run(request).await?, permit))
    }

    async fn submit(&self, call: Call) -> Result<Submitted, SubmitError> {
        self.0.check_open()?;
        self.0
            .quotas
            .spend(&call.caller)
            .inspect_err(|error| self.0.count_refusal(error))?;
        self.0.submit(call).await
    }

    async fn invoke_once(&self, call: Call) -> Result<KeptReply, OnceError> {
        self.0.check_open()?;
        let _permit = self.0.permit(&call.caller)?;
        self.0.invoke_once(call).await
    }

    async fn invocation(
        &self,
        caller: &Caller,
        id: InvocationId,
    ) -> Result<Option<InvocationInfo>, PollError> {
        self.0.invocation_info(&caller.space, id).await
    }

    async fn cancel(
        &self,
        caller: &Caller,
        id: InvocationId,
    ) -> Result<InvocationInfo, ChangeError> {
        self.0.cancel_invocation(&caller.space, id).await
    }

    async fn dead_letters(
        &self,
        caller: &Caller,
        after: Option<InvocationId>,
        limit: usize,
    ) -> Result<DeadLetters, PollError> {
        self.0.list_dead_letters(&caller.space, after, limit).await
    }

    async fn dead_letter(
        &self,
        caller: &Caller,
        id: InvocationId,
    ) -> Result<Option<InvocationInfo>, PollError> {
        self.0.show_dead_letter(&caller.space, id).await
    }

    async fn redrive(&self, caller: &Caller, id: InvocationId) -> Result<Submitted, ChangeError> {
        self.0.redrive_dead_letter(&caller.space, id).await
    }

    async fn purge(&self, caller: &Caller, id: InvocationId) -> Result<(), ChangeError> {
        self.0.purge_dead_letter(&caller.space, id).await
    }

    async fn purge_all(&self, caller: &Caller) -> Result<u64, PollError> {
        self.0.purge_dead_letters(&caller.space).await
    }

    async fn poll(&self, caller: &Caller, id: InvocationId) -> Result<Polled, PollError> {
        self.0.poll_invocation(&caller.space, id).await
    }

    async fn deploy(
        &self,
        caller: &Caller,
        mode: Deploy,
        request: FunctionBody<'_>,
        progress: &dyn Progress,
    ) -> Result<Deployed, DeployError> {
        self.0.deploy(&caller.space, mode, request, progress).await
    }

    fn logs(&self, caller: &Caller, name: &str) -> Option<LogFeed> {
        self.0
            .functions
            .get(&caller.space, name)
            .map(|entry| self.0.logs.feed(&entry.function))
    }

    async fn delete(&self, caller: &Caller, name: &str) -> Result<(), DeployError> {
        self.0.delete(&caller.space, name).await
    }

    async fn versions(&self, caller: &Caller, name: &str) -> Result<FunctionVersions, DeployError> {
        self.0.versions(&caller.space, name).await
    }

    async fn roll_back(
        &self,
        caller: &Caller,
        name: &str,
        version: &str,
    ) -> Result<Arc<Function>, DeployError> {
        self.0.roll_back(&caller.space, name, version).await
    }

    async fn set_flags(
        &self,
        caller: &Caller,
        name: &str,
        flags: FlagsRequest,
    ) -> Result<Arc<Function>, DeployError> {
        self.0.set_flags(&caller.space, name, flags).await
    }

    async fn prewarm(
        &self,
        caller: &Caller,
        name: &str,
        instances: i64,
    ) -> Result<i64, InvocationError> {
        self.0.prewarm(&caller.space, name, instances).await
    }

    fn check_peer(
        &self,
        proof: &Proof,
        path: &str,
        call: &[u8],
        body: &[u8],
    ) -> Result<(), PeerRefused> {
        match &self.0.cluster.proofs {
            Some(proofs) => proofs.check(proof, path, call, body),
            None => Err(PeerRefused::NoKey),
        }
    }

    async fn peer_invoke(&self, request: PeerRequest) -> Result<Report, PeerInvokeError> {
        self.0.peer_invoke(request).await
    }

    fn peer_load(&self) -> PeerLoad {
        self.0.peer_load()
    }

    fn peer_state(&self) -> PeerState {
        self.0.peer_state()
    }

    fn peers(&self) -> Vec<PeerInfo> {
        self.0.cluster.peers.infos()
    }

    fn status(&self) -> StatusInformation {
        self.0.status_information()
    }

    fn metrics(&self) -> Option<String> {
        let node = &self.0;
        node.metrics_config.enabled.then(|| {
            let refused = node
                .executors
                .all()
                .map(|executor| executor.refused_calls())
                .sum();
            node.metrics.text(
                &node.admissions.snapshot(),
                node.functions.len(),
                node.memos.figures(),
                refused,
            )
        })
    }

    fn ready(&self) -> bool {
        self.0.ready.load(Ordering::Acquire)
    }
}
