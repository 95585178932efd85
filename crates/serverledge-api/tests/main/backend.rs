//! A node that does as it is told. Its handle scripts answers, holds invocations, and tells what was asked.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use async_trait::async_trait;
use serverledge_api::{
    AsyncInvocations, Backend, ChangeError, ClientCall, DeadLetterQueue, Deploy, DeployError,
    Deployed, Deployments, ExpectedState, FunctionCatalogue, Identity, Invocations, KeptReply,
    Load, LogEntry, LogFeed, NodeStatus, OnceError, Patched, PeerInvokeError, PeerRequest,
    PollError, Polled, Readiness, SubmitError, Submitted, VersionHistory,
};
use serverledge_core::{
    CacheMetadata, Call, Caller, Digest, Flags, Footprint, Function, FunctionLimits, FunctionName,
    Interface, InvocationError, InvocationId, Network, Payload, Phases, ProgramIo, Progress, Reply,
    Report, Runtime, Secrets, SpaceId, Version,
};
use serverledge_wire::function::{FunctionBody, checked_isolation};
use serverledge_wire::invocations::{DeadLetter, DeadLetters, InvocationInfo};
use serverledge_wire::patch::FunctionPatch;
use serverledge_wire::peer::ClusterKey;
use serverledge_wire::quotas::{QuotaUsage, UserQuotas};
use serverledge_wire::rollout::{self, VersionQuestion, VersionStand};
use serverledge_wire::status::StatusInformation;
use serverledge_wire::versions::{FlagsRequest, FunctionVersions, VersionInfo};
use tokio::sync::{broadcast, watch};

use crate::fake_apps::FakeApps;
use crate::fake_runs::FakeRuns;
use crate::fake_state::FakeStores;
use crate::running_apps::FakeHosting;

mod peers;

/// The node. Without a script it echoes JSON parameters and HTTP bodies, and accepts everything.
pub(crate) struct FakeBackend {
    shared: Arc<Shared>,
}

/// The sizes of everything that is deployed here.
const FOOTPRINT: Footprint = Footprint {
    machine_code_bytes: 2048,
    memory_bytes: 65_536,
};

/// Scripts and observes a [`FakeBackend`].
#[derive(Clone)]
pub(crate) struct Handle {
    shared: Arc<Shared>,
}

/// Invocations so far.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Counts {
    pub(crate) begun: usize,
    pub(crate) ended: usize,
    pub(crate) dropped: usize,
}

struct Shared {
    hosting: FakeHosting,
    identity: Identity,
    apps: Arc<FakeApps>,
    runs: Arc<FakeRuns>,
    stores: Arc<FakeStores>,
    state: Mutex<State>,
    counts: watch::Sender<Counts>,
    held: watch::Sender<bool>,
    /// Deploys that run, and that were dropped before they ended.
    deploying: watch::Sender<Counts>,
    held_deploys: watch::Sender<bool>,
    live: Mutex<Option<broadcast::Sender<LogEntry>>>,
}

#[derive(Default)]
struct State {
    functions: BTreeMap<String, Arc<Function>>,
    calls: Vec<ClientCall>,
    deploys: Vec<(Deploy, String)>,
    prewarms: Vec<(String, i64)>,
    invoke: VecDeque<Result<Report, InvocationError>>,
    peer_invoke: VecDeque<Result<Report, PeerInvokeError>>,
    peer_calls: Vec<PeerRequest>,
    submit: VecDeque<SubmitError>,
    once: VecDeque<OnceError>,
    change: VecDeque<ChangeError>,
    info: Option<InvocationInfo>,
    pages: Vec<(Option<InvocationId>, usize)>,
    repeated: bool,
    poll: VecDeque<Result<Polled, PollError>>,
    deploy: VecDeque<Result<Deployed, DeployError>>,
    delete: VecDeque<DeployError>,
    prewarm: VecDeque<InvocationError>,
    steps: Vec<String>,
    backlog: Vec<LogEntry>,
    metrics_off: bool,
    not_ready: bool,
    preparing: bool,
}

/// Log entries that a reader may be behind.
pub(crate) const LIVE_MAX: usize = 4;

/// The key with which peers prove their requests.
pub(crate) fn cluster_key() -> ClusterKey {
    ClusterKey::derive("0123456789abcdef0123456789abcdef")
}

/// The id that every accepted invocation gets.
pub(crate) const ACCEPTED: &str = "01890000-0000-7000-8000-000000000001";

pub(crate) const PHASES: Phases = Phases {
    queue: Duration::from_micros(1_500),
    start: Duration::from_micros(250),
    execution: Duration::from_millis(20),
    total: Duration::from_micros(21_750),
};

/// A report of a JSON result.
pub(crate) fn report(result: &'static str, log: &'static str) -> Report {
    Report {
        reply: Reply::Json(result.into()),
        log: log.into(),
        warm: true,
        phases: PHASES,
        remote: None,
        memo: CacheMetadata::default(),
    }
}

/// A deployed function.
pub(crate) fn function(name: &str, interface: Interface) -> Function {
    let limits = FunctionLimits {
        cpu_time: Some(Duration::from_millis(500)),
        ..FunctionLimits::default()
    };
    let env = BTreeMap::from([("SECRET".to_owned(), "hidden".to_owned())]);
    let version = Version {
        digest: Digest::new([0xab; 32]),
        runtime: Runtime::Wasm,
        code: Digest::new([0xcd; 32]),
        handler: "main".to_owned(),
        env,
        secrets: Secrets {
            values: BTreeMap::from([("KEY".to_owned(), "hidden".to_owned())]),
            ..Secrets::default()
        },
        network: Network::None,
        outbound: BTreeSet::new(),
        image: String::new(),
        io: ProgramIo::default(),
        limits,
    };
    Function {
        space: SpaceId::default_space(),
        name: FunctionName::parse(name).unwrap(),
        version: Arc::new(version),
        interface,
        flags: Flags {
            idempotent: true,
            ..Flags::default()
        },
        signature: None,
    }
}

// === impl FakeBackend ===

impl FakeBackend {
    /// A node with the functions `json` and `http`.
    pub(crate) fn node() -> (Backend, Handle) {
        let functions = [("json", Interface::Json), ("http", Interface::Http)];
        let functions = functions
            .map(|(name, interface)| (name.to_owned(), Arc::new(function(name, interface))));
        let shared = Arc::new(Shared {
            hosting: FakeHosting::default(),
            identity: Identity {
                node: "n1".to_owned(),
                area: "ROME".to_owned(),
            },
            apps: Arc::default(),
            runs: Arc::default(),
            stores: Arc::default(),
            state: Mutex::new(State {
                functions: functions.into(),
                ..State::default()
            }),
            counts: watch::Sender::default(),
            held: watch::Sender::default(),
            deploying: watch::Sender::default(),
            held_deploys: watch::Sender::default(),
            live: Mutex::new(Some(broadcast::Sender::new(LIVE_MAX))),
        });
        let fake = Arc::new(Self {
            shared: Arc::clone(&shared),
        });
        let backend = Backend {
            functions: fake.clone(),
            deployments: fake.clone(),
            versions: fake.clone(),
            invocations: fake.clone(),
            async_invocations: fake.clone(),
            dead_letters: fake.clone(),
            applications: shared.apps.clone(),
            running_apps: fake.clone(),
            runs: shared.runs.clone(),
            state: shared.stores.clone(),
            peers: fake.clone(),
            status: fake,
        };
        (backend, Handle { shared })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.shared.state.lock().unwrap()
    }

    pub(crate) fn hosting(&self) -> &FakeHosting {
        &self.shared.hosting
    }

    fn changed(&self) -> Result<(), ChangeError> {
        self.state().change.pop_front().map_or(Ok(()), Err)
    }
}

fn echo(call: Payload) -> Report {
    let reply = match call {
        Payload::Json(params) => Reply::Json(params),
        Payload::Http(request) => Reply::Http(Box::new(http::Response::new(request.into_body()))),
    };
    Report {
        reply,
        log: bytes::Bytes::new(),
        warm: false,
        phases: PHASES,
        remote: None,
        memo: CacheMetadata::default(),
    }
}

#[async_trait]
impl FunctionCatalogue for FakeBackend {
    fn function(&self, _space: &SpaceId, name: &str) -> Option<Arc<Function>> {
        self.state().functions.get(name).cloned()
    }

    fn names(&self, _space: &SpaceId) -> Vec<String> {
        self.state().functions.keys().cloned().collect()
    }

    fn logs(&self, _space: &SpaceId, name: &str) -> Option<LogFeed> {
        let state = self.state();
        state.functions.get(name)?;
        let live = self.shared.live.lock().unwrap();
        let live = live.as_ref().map_or_else(
            || broadcast::Sender::new(1).subscribe(),
            broadcast::Sender::subscribe,
        );
        Some(LogFeed {
            backlog: state.backlog.clone(),
            live,
        })
    }

    fn version_stand(&self, question: &VersionQuestion) -> VersionStand {
        VersionStand {
            state: rollout::UNHEARD.to_owned(),
            runs: question.version.clone(),
            detail: String::new(),
        }
    }

    fn readiness(&self) -> Readiness {
        let state = self.state();
        match (state.not_ready, state.preparing) {
            (true, _) => Readiness::Away,
            (false, true) => Readiness::Preparing {
                prepared: 3,
                failed: 1,
                of: 10,
            },
            (false, false) => Readiness::Ready,
        }
    }
}

#[async_trait]
impl Deployments for FakeBackend {
    async fn deploy(
        &self,
        _space: &SpaceId,
        mode: Deploy,
        request: FunctionBody<'_>,
        progress: &dyn Progress,
    ) -> Result<Deployed, DeployError> {
        let mut run = Run::begin(&self.shared.deploying);
        self.state()
            .steps
            .iter()
            .for_each(|step| progress.step(step));
        let _ = self
            .shared
            .held_deploys
            .subscribe()
            .wait_for(|held| !held)
            .await;
        run.ended = true;
        let mut state = self.state();
        state
            .deploys
            .push((mode, serde_json::to_string(&request).unwrap()));
        state.deploy.pop_front().unwrap_or_else(|| {
            let spec = request.to_spec(Runtime::Wasm)?;
            let function = Arc::new(function(spec.name.as_str(), Interface::Json));
            let replaced = state
                .functions
                .get(spec.name.as_str())
                .filter(|_| mode == Deploy::Update)
                .cloned();
            let (recognised, remarks) = ("reactor".to_owned(), vec!["a remark".to_owned()]);
            Ok(Deployed {
                function,
                recognised,
                footprint: Some(FOOTPRINT),
                replaced,
                remarks,
            })
        })
    }

    async fn patch(
        &self,
        space: &SpaceId,
        name: &str,
        request: &FunctionPatch<'_>,
        expected: Option<&ExpectedState>,
        progress: &dyn Progress,
    ) -> Result<Patched, DeployError> {
        self.state()
            .steps
            .iter()
            .for_each(|step| progress.step(step));
        if let Some(Err(fault)) = self.state().deploy.pop_front() {
            return Err(fault);
        }
        let before = self
            .function(space, name)
            .ok_or_else(|| DeployError::Unknown(name.to_owned()))?;
        if expected.is_some_and(|expected| !expected.matches(&before)) {
            return Err(DeployError::NotAsExpected(before.name.clone()));
        }
        let spec = request.over(&before).to_spec(Runtime::Wasm)?;
        let limits = spec.limits;
        let env = spec.env;
        let secrets = spec.secrets;
        let outbound = spec.outbound;
        let version = Arc::new(Version {
            limits,
            env,
            secrets,
            outbound,
            ..Version::clone(&before.version)
        });
        let function = Arc::new(Function {
            version,
            flags: spec.flags,
            ..Function::clone(&before)
        });
        self.state()
            .functions
            .insert(name.to_owned(), Arc::clone(&function));
        Ok(Patched {
            before,
            function,
            remade: true,
            recognised: "reactor".to_owned(),
            footprint: Some(FOOTPRINT),
            remarks: Vec::new(),
        })
    }

    async fn delete(&self, _space: &SpaceId, name: &str) -> Result<(), DeployError> {
        let mut state = self.state();
        match state.delete.pop_front() {
            Some(fault) => Err(fault),
            None => state
                .functions
                .remove(name)
                .map(drop)
                .ok_or_else(|| DeployError::Unknown(name.to_owned())),
        }
    }

    fn quotas(&self, caller: &Caller) -> Option<UserQuotas> {
        let of = |used, limit| QuotaUsage { used, limit };
        caller.account.as_ref().map(|_| UserQuotas {
            applications: of(2, Some(20)),
            functions: of(3, Some(200)),
            code_bytes: of(1024, None),
            concurrent: of(1, Some(100)),
            per_minute: Some(6000),
        })
    }
}

#[async_trait]
impl VersionHistory for FakeBackend {
    async fn versions(&self, space: &SpaceId, name: &str) -> Result<FunctionVersions, DeployError> {
        let current = self
            .function(space, name)
            .ok_or_else(|| DeployError::Unknown(name.to_owned()))?;
        let current = VersionInfo {
            version: current.version.digest.to_string(),
            current: true,
            deployed_unix_ms: 7,
            runtime: current.version.runtime.to_string(),
            interface: current.interface.name().to_owned(),
            code: current.version.code.to_string(),
            code_bytes: 9,
            idempotent: current.flags.idempotent,
            idempotent_outbound: current.flags.may_keep_outbound(),
            edge: current.flags.edge,
            isolation: current.flags.isolation.name().to_owned(),
            footprint: Some(FOOTPRINT.into()),
        };
        Ok(FunctionVersions {
            function: name.to_owned(),
            versions: vec![current],
        })
    }

    async fn roll_back(
        &self,
        space: &SpaceId,
        name: &str,
        version: &str,
    ) -> Result<Arc<Function>, DeployError> {
        if let Some(fault) = self.state().deploy.pop_front() {
            return fault.map(|deployed| deployed.function);
        }
        let function = self
            .function(space, name)
            .ok_or_else(|| DeployError::Unknown(name.to_owned()))?;
        let name = || function.name.clone();
        match function.version.digest.to_string() {
            digest if version.is_empty() || !digest.starts_with(version) => {
                Err(DeployError::UnknownVersion {
                    name: name(),
                    version: version.to_owned(),
                })
            }
            _ => Ok(function),
        }
    }

    async fn set_flags(
        &self,
        space: &SpaceId,
        name: &str,
        flags: FlagsRequest,
    ) -> Result<Arc<Function>, DeployError> {
        let function = self
            .function(space, name)
            .ok_or_else(|| DeployError::Unknown(name.to_owned()))?;
        let old = function.flags;
        let idempotent = flags.idempotent.unwrap_or(old.idempotent);
        let keeps_outbound = flags.idempotent_outbound.unwrap_or(old.keeps_outbound);
        let edge = flags.edge.unwrap_or(old.edge);
        let isolation = match &flags.isolation {
            Some(isolation) => checked_isolation(isolation)?,
            None => old.isolation,
        };
        let function = Arc::new(Function {
            flags: Flags {
                idempotent,
                keeps_outbound: keeps_outbound && idempotent,
                edge,
                isolation,
                ..old
            },
            ..Function::clone(&function)
        });
        self.state()
            .functions
            .insert(name.to_owned(), Arc::clone(&function));
        Ok(function)
    }
}

#[async_trait]
impl Invocations for FakeBackend {
    async fn call(self: Arc<Self>, call: ClientCall) -> Result<Report, InvocationError> {
        let mut run = Run::begin(&self.shared.counts);
        let mut held = self.shared.held.subscribe();
        let _ = held.wait_for(|held| !held).await;
        run.ended = true;
        let mut state = self.state();
        let scripted = state.invoke.pop_front();
        let ClientCall {
            caller,
            call,
            stored,
        } = call;
        let (seen, payload) = match call.payload {
            Payload::Json(params) => (Payload::Json(params.clone()), Payload::Json(params)),
            Payload::Http(request) => {
                let (parts, body) = request.into_parts();
                let empty: serverledge_core::HttpBody = Box::pin(crate::support::empty());
                let seen = http::Request::from_parts(parts.clone(), empty);
                (
                    Payload::Http(Box::new(seen)),
                    Payload::Http(Box::new(http::Request::from_parts(parts, body))),
                )
            }
        };
        state.calls.push(ClientCall {
            caller,
            call: Call {
                payload: seen,
                ..call
            },
            stored,
        });
        scripted.unwrap_or_else(|| Ok(echo(payload)))
    }

    async fn prewarm(
        self: Arc<Self>,
        _space: &SpaceId,
        name: &str,
        instances: i64,
    ) -> Result<i64, InvocationError> {
        let mut state = self.state();
        state.prewarms.push((name.to_owned(), instances));
        match state.prewarm.pop_front() {
            Some(fault) => Err(fault),
            None => Ok(instances.min(4)),
        }
    }
}

#[async_trait]
impl AsyncInvocations for FakeBackend {
    async fn submit(self: Arc<Self>, call: ClientCall) -> Result<Submitted, SubmitError> {
        let mut state = self.state();
        state.calls.push(call);
        match state.submit.pop_front() {
            Some(fault) => Err(fault),
            None => Ok(Submitted {
                id: InvocationId::parse(ACCEPTED).unwrap(),
                repeated: state.repeated,
            }),
        }
    }

    async fn invoke_once(self: Arc<Self>, call: ClientCall) -> Result<KeptReply, OnceError> {
        let mut state = self.state();
        state.calls.push(call);
        match state.once.pop_front() {
            Some(fault) => Err(fault),
            None => Ok(KeptReply {
                body: b"{\"Success\":true}".to_vec(),
                phases: PHASES,
            }),
        }
    }

    async fn poll(&self, _space: &SpaceId, _id: InvocationId) -> Result<Polled, PollError> {
        self.state().poll.pop_front().unwrap_or(Ok(Polled::Unknown))
    }

    async fn invocation(
        &self,
        _space: &SpaceId,
        _id: InvocationId,
    ) -> Result<Option<InvocationInfo>, PollError> {
        Ok(self.state().info.clone())
    }

    async fn cancel(
        self: Arc<Self>,
        _space: &SpaceId,
        _id: InvocationId,
    ) -> Result<InvocationInfo, ChangeError> {
        self.changed()?;
        self.state().info.clone().ok_or(ChangeError::Unknown)
    }
}

#[async_trait]
impl DeadLetterQueue for FakeBackend {
    async fn dead_letters(
        &self,
        _space: &SpaceId,
        after: Option<InvocationId>,
        limit: usize,
    ) -> Result<DeadLetters, PollError> {
        let mut state = self.state();
        state.pages.push((after, limit));
        let dead_letters = state.info.iter().map(|info| DeadLetter {
            id: info.id.clone(),
            function: info.function.clone(),
            error: info.error.clone().unwrap(),
            attempts: info.attempts,
            finished_unix_ms: 7,
        });
        Ok(DeadLetters {
            dead_letters: dead_letters.collect(),
            next: Some(ACCEPTED.to_owned()),
        })
    }

    async fn dead_letter(
        &self,
        _space: &SpaceId,
        _id: InvocationId,
    ) -> Result<Option<InvocationInfo>, PollError> {
        Ok(self.state().info.clone())
    }

    async fn redrive(
        self: Arc<Self>,
        _space: &SpaceId,
        _id: InvocationId,
    ) -> Result<Submitted, ChangeError> {
        self.changed()?;
        Ok(Submitted {
            id: InvocationId::parse(ACCEPTED).unwrap(),
            repeated: self.state().repeated,
        })
    }

    async fn purge(&self, _space: &SpaceId, _id: InvocationId) -> Result<(), ChangeError> {
        self.changed()
    }

    async fn purge_all(&self, _space: &SpaceId) -> Result<u64, PollError> {
        Ok(3)
    }
}

impl NodeStatus for FakeBackend {
    fn identity(&self) -> &Identity {
        &self.shared.identity
    }

    fn load(&self) -> Load {
        Load {
            free_memory_mib: 1024,
            free_cpu: 1.5,
        }
    }

    fn status(&self) -> StatusInformation {
        StatusInformation {
            node: self.shared.identity.node.clone(),
            ..StatusInformation::default()
        }
    }

    fn metrics(&self) -> Option<String> {
        (!self.state().metrics_off).then(|| "up 1\n".to_owned())
    }
}

/// Counts an invocation and how it ends.
struct Run<'a> {
    counts: &'a watch::Sender<Counts>,
    ended: bool,
}

impl<'a> Run<'a> {
    fn begin(counts: &'a watch::Sender<Counts>) -> Self {
        counts.send_modify(|counts| counts.begun += 1);
        Self {
            counts,
            ended: false,
        }
    }
}

impl Drop for Run<'_> {
    fn drop(&mut self) {
        let ended = self.ended;
        self.counts.send_modify(|counts| {
            if ended {
                counts.ended += 1
            } else {
                counts.dropped += 1
            }
        });
    }
}

// === impl Handle ===

impl Handle {
    fn state(&self) -> MutexGuard<'_, State> {
        self.shared.state.lock().unwrap()
    }

    /// There is this function.
    pub(crate) fn declare(&self, function: Function) {
        let name = function.name.to_string();
        self.state().functions.insert(name, Arc::new(function));
    }

    /// The node's applications.
    pub(crate) fn apps(&self) -> &FakeApps {
        &self.shared.apps
    }

    /// The fake of the runs and events.
    pub(crate) fn runs(&self) -> &FakeRuns {
        &self.shared.runs
    }

    /// The fake of the key-value stores.
    pub(crate) fn stores(&self) -> &FakeStores {
        &self.shared.stores
    }

    /// The next invocation ends so.
    pub(crate) fn invoke(&self, outcome: Result<Report, InvocationError>) {
        self.state().invoke.push_back(outcome);
    }

    /// The next one of a peer ends so.
    pub(crate) fn peer_invoke(&self, outcome: Result<Report, PeerInvokeError>) {
        self.state().peer_invoke.push_back(outcome);
    }

    /// Takes the calls of peers so far, oldest first.
    pub(crate) fn peer_calls(&self) -> Vec<PeerRequest> {
        std::mem::take(&mut self.state().peer_calls)
    }

    /// The next asynchronous one is not accepted.
    pub(crate) fn refuse_submit(&self, fault: SubmitError) {
        self.state().submit.push_back(fault);
    }

    /// The next call with a key ends so.
    pub(crate) fn refuse_once(&self, fault: OnceError) {
        self.state().once.push_back(fault);
    }

    /// The next cancel, redrive or purge fails so.
    pub(crate) fn refuse_change(&self, fault: ChangeError) {
        self.state().change.push_back(fault);
    }

    /// There is this one asynchronous invocation.
    pub(crate) fn keep(&self, info: InvocationInfo) {
        self.state().info = Some(info);
    }

    /// Every submission from now on repeats an earlier one.
    pub(crate) fn repeat(&self) {
        self.state().repeated = true;
    }

    /// Takes the pages of dead letters asked for so far.
    pub(crate) fn pages(&self) -> Vec<(Option<InvocationId>, usize)> {
        std::mem::take(&mut self.state().pages)
    }

    /// The next poll is answered so.
    pub(crate) fn poll(&self, outcome: Result<Polled, PollError>) {
        self.state().poll.push_back(outcome);
    }

    /// The next deployment fails so.
    pub(crate) fn refuse_deploy(&self, fault: DeployError) {
        self.state().deploy.push_back(Err(fault));
    }

    /// The next deletion fails so.
    pub(crate) fn refuse_delete(&self, fault: DeployError) {
        self.state().delete.push_back(fault);
    }

    /// The next prewarming fails so.
    pub(crate) fn refuse_prewarm(&self, fault: InvocationError) {
        self.state().prewarm.push_back(fault);
    }

    /// Sets the steps that deploys report while they run.
    pub(crate) fn deploys_tell(&self, steps: &[&str]) {
        self.state().steps = steps.iter().map(|step| (*step).to_owned()).collect();
    }

    /// Deploys wait from now on, after they have told their steps.
    pub(crate) fn hold_deploys(&self) {
        self.shared.held_deploys.send_replace(true);
    }

    /// All deploys go on.
    pub(crate) fn release_deploys(&self) {
        self.shared.held_deploys.send_replace(false);
    }

    /// Waits until the deploys are so; panics naming `what` did not come.
    pub(crate) async fn wait_for_deploys(
        &self,
        what: &str,
        condition: impl FnMut(&Counts) -> bool,
    ) {
        let mut counts = self.shared.deploying.subscribe();
        let waited =
            tokio::time::timeout(Duration::from_secs(60), counts.wait_for(condition)).await;
        assert!(
            waited.is_ok(),
            "{what} did not come; instead: {:?}",
            self.deploying()
        );
    }

    /// Deploys so far.
    pub(crate) fn deploying(&self) -> Counts {
        *self.shared.deploying.borrow()
    }

    /// Adds to what is kept of every function's log, and sends it to those who follow.
    pub(crate) fn log(&self, entry: LogEntry) {
        self.state().backlog.push(entry.clone());
        if let Some(live) = &*self.shared.live.lock().unwrap() {
            let _ = live.send(entry);
        }
    }

    /// Nothing more comes.
    pub(crate) fn close_logs(&self) {
        self.shared.live.lock().unwrap().take();
    }

    pub(crate) fn switch_metrics_off(&self) {
        self.state().metrics_off = true;
    }

    pub(crate) fn be_preparing(&self) {
        self.state().preparing = true;
    }

    pub(crate) fn be_not_ready(&self) {
        self.state().not_ready = true;
    }

    /// Invocations wait from now on.
    pub(crate) fn hold(&self) {
        self.shared.held.send_replace(true);
    }

    /// The fake of the running applications.
    pub(crate) fn hosting(&self) -> &FakeHosting {
        &self.shared.hosting
    }

    /// All invocations go on.
    pub(crate) fn release(&self) {
        self.shared.held.send_replace(false);
    }

    /// Takes the invocations asked for so far.
    pub(crate) fn calls(&self) -> Vec<ClientCall> {
        std::mem::take(&mut self.state().calls)
    }

    /// Takes the deployments asked for so far, as the JSON of their requests.
    pub(crate) fn deploys(&self) -> Vec<(Deploy, String)> {
        std::mem::take(&mut self.state().deploys)
    }

    /// Takes the prewarmings asked for so far.
    pub(crate) fn prewarms(&self) -> Vec<(String, i64)> {
        std::mem::take(&mut self.state().prewarms)
    }

    pub(crate) fn counts(&self) -> Counts {
        *self.shared.counts.borrow()
    }

    /// Waits until the counts are so; panics naming `what` did not come.
    pub(crate) async fn wait_for(&self, what: &str, condition: impl FnMut(&Counts) -> bool) {
        let mut counts = self.shared.counts.subscribe();
        let waited =
            tokio::time::timeout(Duration::from_secs(60), counts.wait_for(condition)).await;
        assert!(
            waited.is_ok(),
            "{what} did not come; instead: {:?}",
            self.counts()
        );
    }
}
