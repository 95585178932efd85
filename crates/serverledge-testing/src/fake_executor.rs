//! An executor that runs nothing: a function's code says in words what it does ([`Behaviour`]), and a handle scripts
//! faults, holds invocations back and tells what happened. Its sandboxes serve once, as wasm instances do, or are pooled, as
//! containers are.

use std::collections::{HashMap, HashSet, VecDeque};
use std::future::pending;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use http::uri::Authority;
use http_body_util::{BodyExt as _, Empty};
use parking_lot::Mutex;
use serverledge_core::{
    BodyError, Call, Digest, Executor, FailureKind, FunctionFailure, FunctionName, HostCalls,
    HttpBody, InstanceKey, Interface, InvocationId, InvokeError, Outcome, Payload, PrepareError,
    Prepared, Progress, Reply, Reuse, Sandbox, StartError, Started, StateError, StateKey, StateOp,
    StateReply, StopError, StoreName, Version, unix_ms,
};
use tokio::sync::watch;
use tokio::time::Instant;

use crate::fake_host::wait_for;

/// The step that every `prepare` of the fake reports to its listener.
pub const PREPARE_STEP: &str = "preparing nothing";

/// The behaviour of a fake function. Its code is its text form.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Behaviour {
    /// Gives its parameters back.
    Echo,
    /// Writes a line to its log and fails with a message.
    Fail {
        /// The line.
        log: String,
        /// The message.
        message: String,
    },
    /// Writes a line to its log and never ends.
    Endless {
        /// The line.
        log: String,
    },
    /// Writes a line to its log and gives its parameters back.
    Log {
        /// The line.
        log: String,
    },
    /// Gives a JSON string of so many bytes, quotes included.
    Large {
        /// The number of bytes.
        bytes: usize,
    },
    /// Calls this function with its parameters, and gives its result back.
    Call {
        /// The name of the function.
        function: String,
    },
    /// The same, but a failed call gives its code.
    Attempt {
        /// The name of the function.
        function: String,
    },
    /// Takes HTTP; answers 200 with the request's body.
    Http,
    /// Sends a request; gives the status of the response, or the code of the fault, as a JSON string. Or opens a tunnel, and
    /// gives `open`.
    Send {
        /// The URL; or `tunnel:`, a host and a port. `shared:` before it says that its requests may be another call's.
        url: String,
    },
    /// Reads an entry of the default store so many times, then adds 1 to it; gives the sum, or the code of the first
    /// fault as a JSON string.
    Count {
        /// Its key.
        key: String,
        /// Number of times that it is read.
        reads: usize,
    },
}

/// The executor. Its [`FakeExecutorHandle`] scripts and observes it. Clones share everything.
#[derive(Clone)]
pub struct FakeExecutor {
    shared: Arc<ExecutorShared>,
}

/// Scripts and observes a [`FakeExecutor`]. Clones share everything.
#[derive(Clone)]
pub struct FakeExecutorHandle {
    shared: Arc<ExecutorShared>,
}

/// Counts of all events so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ExecutorCounts {
    /// Sandboxes that were started.
    pub started: usize,
    /// Sandboxes that were stopped; each counts once.
    pub stopped: usize,
    /// Sandboxes that were started and not stopped. One that was only dropped still counts, as its container would.
    pub live: usize,
    /// Starts that have begun and wait for [`FakeExecutorHandle::release_starts`].
    pub starting: usize,
    /// Most invocations that one sandbox ran at once.
    pub most_in_one: usize,
    /// Invocations that run now.
    pub running: usize,
    /// Invocations that ended, well or not.
    pub ended: usize,
    /// Invocations whose future was dropped before they ended.
    pub dropped: usize,
}

/// One invocation that reached a sandbox.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordedCall {
    /// Its id.
    pub id: InvocationId,
    /// The function.
    pub function: FunctionName,
    /// The JSON parameters; empty for an HTTP request.
    pub params: Bytes,
    /// The sandbox that it reached; they are numbered from 0 in the order of their starts.
    pub sandbox: usize,
    /// The instances that it may run in.
    pub instance: Option<InstanceKey>,
}

#[derive(Default)]
struct ExecutorShared {
    state: Mutex<ExecutorState>,
    counts: watch::Sender<ExecutorCounts>,
    held: watch::Sender<bool>,
    held_starts: watch::Sender<bool>,
    held_prepares: watch::Sender<bool>,
    pooled: AtomicBool,
    refused_calls: AtomicU64,
}

#[derive(Default)]
struct ExecutorState {
    prepared: HashMap<Digest, Behaviour>,
    /// The time at which that was last asked for.
    prepared_at: HashMap<Digest, Instant>,
    loaded: HashSet<Digest>,
    prepares: Vec<Digest>,
    forgotten: Vec<Digest>,
    calls: Vec<RecordedCall>,
    /// Code that names no behaviour is taken for one that echoes.
    takes_anything: bool,
    prepare_faults: VecDeque<PrepareError>,
    start_faults: VecDeque<StartError>,
    invoke_faults: VecDeque<InvokeError>,
    /// Invocations to come that leave their sandbox unfit.
    spoiled: usize,
    /// The time that a start takes, and that a run takes.
    start_time: Duration,
    run_time: Duration,
    /// Sandboxes with a number below this are dead.
    killed_below: usize,
    sandboxes: usize,
}

/// A started fake.
struct FakeSandbox {
    shared: Arc<ExecutorShared>,
    version: Arc<Version>,
    behaviour: Behaviour,
    number: usize,
    reuse: Reuse,
    health: Mutex<Health>,
}

/// The state of a sandbox.
#[derive(Default)]
struct Health {
    stopped: bool,
    /// It must not serve again.
    spent: bool,
    running: usize,
}

/// Passes so much time, none at all if it is zero.
async fn take(time: Duration) {
    if !time.is_zero() {
        tokio::time::sleep(time).await;
    }
}

/// Sends a request without a body, or opens a tunnel.
async fn send(url: &str, host: &dyn HostCalls) -> Bytes {
    let url = match url.strip_prefix("shared:") {
        Some(url) => {
            host.shares_requests();
            url
        }
        None => url,
    };
    let outcome = match url.strip_prefix("tunnel:") {
        Some(target) => {
            let target: Authority = target.parse().expect("a host and a port");
            host.tunnel(&target).await.map(|_| "open".to_owned())
        }
        None => {
            let body = Empty::<Bytes>::new().map_err(|never| -> BodyError { match never {} });
            let body: HttpBody = Box::pin(body);
            let request = http::Request::get(url).body(body).expect("a URL");
            let response = host.send(request).await;
            response.map(|response| response.status().as_str().to_owned())
        }
    };
    let told = outcome.unwrap_or_else(|fault| fault.code().to_owned());
    format!("\"{told}\"").into()
}

/// Reads an entry so many times, and adds 1 to it.
async fn count(key: &str, reads: usize, host: &dyn HostCalls) -> Result<Bytes, StateError> {
    let store = StoreName::default();
    let key = StateKey::new(key)?;
    for _ in 0..reads {
        let key = key.clone();
        host.state(&store, StateOp::Get { key }).await?;
    }
    match host
        .state(&store, StateOp::Increment { key, by: 1 })
        .await?
    {
        StateReply::Number(sum) => Ok(sum.to_string().into()),
        other => panic!("an increment was answered with {other:?}"),
    }
}

// === impl Behaviour ===

impl Behaviour {
    /// The code of a function that behaves so.
    #[must_use]
    pub fn code(&self) -> Bytes {
        let text = match self {
            Self::Echo => "echo".to_owned(),
            Self::Fail { log, message } => format!("fail\n{log}\n{message}"),
            Self::Endless { log } => format!("endless\n{log}"),
            Self::Log { log } => format!("log\n{log}"),
            Self::Large { bytes } => format!("large\n{bytes}"),
            Self::Call { function } => format!("call\n{function}"),
            Self::Attempt { function } => format!("attempt\n{function}"),
            Self::Http => "http".to_owned(),
            Self::Send { url } => format!("send\n{url}"),
            Self::Count { key, reads } => format!("count\n{key}\n{reads}"),
        };
        text.into()
    }

    fn parse(code: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(code).ok()?;
        let lines: Vec<&str> = text.split('\n').collect();
        Some(match *lines {
            ["echo"] => Self::Echo,
            ["fail", log, message] => Self::Fail {
                log: log.to_owned(),
                message: message.to_owned(),
            },
            ["endless", log] => Self::Endless {
                log: log.to_owned(),
            },
            ["log", log] => Self::Log {
                log: log.to_owned(),
            },
            ["large", bytes] => Self::Large {
                bytes: bytes.parse().ok()?,
            },
            ["call", function] => Self::Call {
                function: function.to_owned(),
            },
            ["attempt", function] => Self::Attempt {
                function: function.to_owned(),
            },
            ["http"] => Self::Http,
            ["send", url] => Self::Send {
                url: url.to_owned(),
            },
            ["count", key, reads] => Self::Count {
                key: key.to_owned(),
                reads: reads.parse().ok()?,
            },
            _ => return None,
        })
    }

    fn prepared(&self) -> Prepared {
        let interface = if *self == Self::Http {
            Interface::Http
        } else {
            Interface::Json
        };
        Prepared {
            interface,
            recognised: "fake",
            remarks: Vec::new(),
        }
    }

    /// The line that it writes to its log first of all.
    fn log(&self) -> Bytes {
        match self {
            Self::Fail { log, .. } | Self::Endless { log } | Self::Log { log } => {
                format!("{log}\n").into()
            }
            Self::Echo
            | Self::Large { .. }
            | Self::Call { .. }
            | Self::Attempt { .. }
            | Self::Http
            | Self::Send { .. }
            | Self::Count { .. } => Bytes::new(),
        }
    }
}

// === impl FakeExecutor ===

impl FakeExecutor {
    /// An executor on which nothing is prepared, and its handle. Its sandboxes serve once.
    #[must_use]
    pub fn new() -> (Self, FakeExecutorHandle) {
        let shared = Arc::<ExecutorShared>::default();
        (
            Self {
                shared: Arc::clone(&shared),
            },
            FakeExecutorHandle { shared },
        )
    }

    /// The same with pooled sandboxes: every start is cold, and one sandbox serves many invocations.
    #[must_use]
    pub fn pooled() -> (Self, FakeExecutorHandle) {
        let (executor, handle) = Self::new();
        executor.shared.pooled.store(true, Ordering::Relaxed);
        (executor, handle)
    }

    /// The same executor, for code that says nothing: it echoes.
    #[must_use]
    pub fn taking_anything(self) -> Self {
        self.shared.state.lock().takes_anything = true;
        self
    }
}

impl std::fmt::Debug for FakeExecutor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("FakeExecutor").finish_non_exhaustive()
    }
}

#[async_trait]
impl Executor for FakeExecutor {
    async fn prepare(
        &self,
        version: &Version,
        code: Bytes,
        progress: &dyn Progress,
    ) -> Result<Prepared, PrepareError> {
        self.shared.state.lock().prepares.push(version.code);
        progress.step(PREPARE_STEP);
        // Preparing takes time: whoever drops the future here keeps nothing.
        tokio::task::yield_now().await;
        released(&self.shared.held_prepares).await;
        let mut state = self.shared.state.lock();
        if let Some(fault) = state.prepare_faults.pop_front() {
            return Err(fault);
        }
        let echo = || Some(Behaviour::Echo).filter(|_| state.takes_anything);
        let Some(behaviour) = Behaviour::parse(&code).or_else(echo) else {
            return Err(PrepareError::Invalid {
                code: "not_fake",
                message: "the code names no behaviour".to_owned(),
            });
        };
        let prepared = behaviour.prepared();
        state.prepared.insert(version.code, behaviour);
        state.prepared_at.insert(version.code, Instant::now());
        Ok(prepared)
    }

    async fn start(&self, version: &Arc<Version>) -> Result<Started, StartError> {
        {
            let _starting = Starting::begin(&self.shared.counts);
            released(&self.shared.held_starts).await;
            let time = self.shared.state.lock().start_time;
            take(time).await;
        }
        let pooled = self.shared.pooled.load(Ordering::Relaxed);
        let mut state = self.shared.state.lock();
        if let Some(fault) = state.start_faults.pop_front() {
            return Err(fault);
        }
        let behaviour = state
            .prepared
            .get(&version.code)
            .cloned()
            .ok_or(StartError::NotPrepared(version.code))?;
        let warm = !state.loaded.insert(version.code) && !pooled;
        let number = state.sandboxes;
        state.sandboxes += 1;
        drop(state);
        self.shared.counts.send_modify(|counts| {
            counts.started += 1;
            counts.live += 1;
        });
        let shared = Arc::clone(&self.shared);
        let version = Arc::clone(version);
        let reuse = if pooled { Reuse::Pooled } else { Reuse::Once };
        let sandbox = Box::new(FakeSandbox {
            shared,
            version,
            behaviour,
            number,
            reuse,
            health: Mutex::default(),
        });
        let phases = if warm {
            Vec::new()
        } else {
            vec![("load", Duration::ZERO)]
        };
        Ok(Started {
            sandbox,
            warm,
            phases,
        })
    }

    fn is_prepared(&self, version: &Version) -> bool {
        self.shared
            .state
            .lock()
            .prepared
            .contains_key(&version.code)
    }

    async fn forget(&self, version: &Version) {
        let mut state = self.shared.state.lock();
        state.loaded.remove(&version.code);
        state.forgotten.push(version.code);
    }

    async fn sweep(&self, code_in_use: &HashSet<Digest>, grace: Duration) -> usize {
        let mut state = self.shared.state.lock();
        let ExecutorState {
            prepared,
            prepared_at,
            loaded,
            ..
        } = &mut *state;
        let before = prepared.len();
        let young = |code: &Digest| prepared_at.get(code).is_some_and(|at| at.elapsed() < grace);
        prepared.retain(|code, _| code_in_use.contains(code) || young(code));
        loaded.retain(|code| prepared.contains_key(code));
        before - prepared.len()
    }

    fn refused_calls(&self) -> u64 {
        self.shared.refused_calls.load(Ordering::Relaxed)
    }
}

// === impl FakeSandbox ===

#[async_trait]
impl Sandbox for FakeSandbox {
    async fn invoke(&self, call: Call, host: Arc<dyn HostCalls>) -> Result<Outcome, InvokeError> {
        let mut running = RunGuard::begin(self);
        let outcome = self.run(call, host).await;
        running.ended = true;
        outcome
    }

    fn reuse(&self) -> Reuse {
        let spent = self.health.lock().spent;
        if spent || self.is_dead() {
            Reuse::Once
        } else {
            self.reuse
        }
    }

    async fn stop(&self) -> Result<(), StopError> {
        let mut health = self.health.lock();
        health.spent = true;
        if !std::mem::replace(&mut health.stopped, true) {
            self.shared.counts.send_modify(|counts| {
                counts.stopped += 1;
                counts.live -= 1;
            });
        }
        Ok(())
    }
}

impl FakeSandbox {
    async fn run(&self, call: Call, host: Arc<dyn HostCalls>) -> Result<Outcome, InvokeError> {
        if self.is_dead() {
            return Err(InvokeError::Gone);
        }
        if let Some(fault) = self.record(&call) {
            self.health.lock().spent |= matches!(fault, InvokeError::Gone);
            return Err(fault);
        }
        let limit = Instant::now() + self.version.limits.timeout;
        let limit = call
            .context
            .deadline
            .map_or(limit, |deadline| limit.min(deadline.into()));
        let run = async {
            if self.reuse == Reuse::Pooled {
                // Others may begin in the same sandbox meanwhile.
                tokio::task::yield_now().await;
            }
            self.write_log(&call, host.as_ref());
            released(&self.shared.held).await;
            let time = self.shared.state.lock().run_time;
            take(time).await;
            self.behave(call.payload, host.as_ref()).await
        };
        let outcome = tokio::time::timeout_at(limit, run).await;
        if outcome.is_err() || self.is_spoiled() {
            self.health.lock().spent = true;
        }
        match outcome {
            Ok(outcome) => outcome,
            Err(_) => Err(self.failure(
                FailureKind::TimeLimit,
                "the function ran longer than its limit",
            )),
        }
    }

    fn write_log(&self, call: &Call, host: &dyn HostCalls) {
        let text = self.behaviour.log();
        if let Some(log) = host.log().filter(|_| !text.is_empty()) {
            log.write(Some(call.id), unix_ms(), &text);
        }
    }

    /// Whether nothing answers any more. A sandbox that serves once does not notice that it was stopped.
    fn is_dead(&self) -> bool {
        let killed = self.number < self.shared.state.lock().killed_below;
        killed || (self.reuse == Reuse::Pooled && self.health.lock().stopped)
    }

    fn is_spoiled(&self) -> bool {
        let spoiled = &mut self.shared.state.lock().spoiled;
        let is_spoiled = *spoiled > 0;
        *spoiled = spoiled.saturating_sub(1);
        is_spoiled
    }

    fn record(&self, call: &Call) -> Option<InvokeError> {
        let params = if let Payload::Json(params) = &call.payload {
            params.clone()
        } else {
            Bytes::new()
        };
        let mut state = self.shared.state.lock();
        let fault = state.invoke_faults.pop_front();
        if !matches!(fault, Some(InvokeError::Gone)) {
            let function = call.function.clone();
            state.calls.push(RecordedCall {
                id: call.id,
                function,
                params,
                sandbox: self.number,
                instance: call.instance,
            });
        }
        fault
    }

    async fn behave(&self, payload: Payload, host: &dyn HostCalls) -> Result<Outcome, InvokeError> {
        let log = self.behaviour.log();
        let params = match payload {
            Payload::Http(request) if self.behaviour == Behaviour::Http => {
                let reply = Reply::Http(Box::new(http::Response::new(request.into_body())));
                return Ok(Outcome {
                    reply,
                    log,
                    rest: None,
                });
            }
            Payload::Http(_) => return Err(not_http()),
            Payload::Json(params) => params,
        };
        let result = match &self.behaviour {
            Behaviour::Echo | Behaviour::Log { .. } | Behaviour::Http => params,
            Behaviour::Fail { message, .. } => {
                return Err(self.failure(FailureKind::Error, message));
            }
            Behaviour::Endless { .. } => pending().await,
            Behaviour::Large { bytes } => {
                format!("\"{}\"", "x".repeat(bytes.saturating_sub(2))).into()
            }
            Behaviour::Call { function } => host
                .call(function, params)
                .await
                .map_err(|fault| self.failure(FailureKind::Error, &fault.to_string()))?,
            Behaviour::Attempt { function } => host
                .call(function, params)
                .await
                .unwrap_or_else(|fault| format!("\"{}\"", fault.code()).into()),
            Behaviour::Send { url } => send(url, host).await,
            Behaviour::Count { key, reads } => count(key, *reads, host)
                .await
                .unwrap_or_else(|fault| format!("\"{}\"", fault.code()).into()),
        };
        Ok(Outcome {
            reply: Reply::Json(result),
            log,
            rest: None,
        })
    }

    fn failure(&self, kind: FailureKind, message: &str) -> InvokeError {
        FunctionFailure {
            kind,
            message: message.to_owned(),
            stack: None,
            log: self.behaviour.log(),
            stale: false,
        }
        .into()
    }
}

fn not_http() -> InvokeError {
    InvokeError::Request {
        code: "not_http",
        message: "the function takes JSON parameters".to_owned(),
    }
}

/// Waits until nothing is held back.
async fn released(held: &watch::Sender<bool>) {
    // The sender lives as long as the executor.
    let _ = held.subscribe().wait_for(|held| !held).await;
}

/// Counts a start while it is held back.
struct Starting<'a>(&'a watch::Sender<ExecutorCounts>);

impl<'a> Starting<'a> {
    fn begin(counts: &'a watch::Sender<ExecutorCounts>) -> Self {
        counts.send_modify(|counts| counts.starting += 1);
        Self(counts)
    }
}

impl Drop for Starting<'_> {
    fn drop(&mut self) {
        self.0.send_modify(|counts| counts.starting -= 1);
    }
}

/// Counts an invocation while it runs, and how it ends.
struct RunGuard<'a> {
    sandbox: &'a FakeSandbox,
    ended: bool,
}

impl<'a> RunGuard<'a> {
    fn begin(sandbox: &'a FakeSandbox) -> Self {
        let mut health = sandbox.health.lock();
        health.running += 1;
        sandbox.shared.counts.send_modify(|counts| {
            counts.running += 1;
            counts.most_in_one = counts.most_in_one.max(health.running);
        });
        drop(health);
        Self {
            sandbox,
            ended: false,
        }
    }
}

impl Drop for RunGuard<'_> {
    fn drop(&mut self) {
        let ended = self.ended;
        let mut health = self.sandbox.health.lock();
        health.running -= 1;
        health.spent |= !ended;
        drop(health);
        self.sandbox.shared.counts.send_modify(|counts| {
            counts.running -= 1;
            if ended {
                counts.ended += 1
            } else {
                counts.dropped += 1
            }
        });
    }
}

// === impl FakeExecutorHandle ===

impl FakeExecutorHandle {
    /// The code digests given to `prepare` so far, in their order, whatever became of it.
    #[must_use]
    pub fn prepares(&self) -> Vec<Digest> {
        self.shared.state.lock().prepares.clone()
    }

    /// The code digests given to `forget` so far, in their order.
    #[must_use]
    pub fn forgotten(&self) -> Vec<Digest> {
        self.shared.state.lock().forgotten.clone()
    }

    /// The invocations that reached a sandbox so far, in their order.
    #[must_use]
    pub fn calls(&self) -> Vec<RecordedCall> {
        self.shared.state.lock().calls.clone()
    }

    /// The next `prepare` fails so; several queue up.
    pub fn fail_prepare(&self, fault: PrepareError) {
        self.shared.state.lock().prepare_faults.push_back(fault);
    }

    /// The next `start` fails so; several queue up.
    pub fn fail_start(&self, fault: StartError) {
        self.shared.state.lock().start_faults.push_back(fault);
    }

    /// The next `invoke` fails so; several queue up.
    pub fn fail_invoke(&self, fault: InvokeError) {
        self.shared.state.lock().invoke_faults.push_back(fault);
    }

    /// From now on invocations wait before they do anything, until [`release`](Self::release). Time limits run on.
    pub fn hold(&self) {
        self.shared.held.send_replace(true);
    }

    /// Lets all invocations go on.
    pub fn release(&self) {
        self.shared.held.send_replace(false);
    }

    /// Lets each start and each run from now on take so much time; of use with a paused clock.
    pub fn take_time(&self, start: Duration, run: Duration) {
        let mut state = self.shared.state.lock();
        (state.start_time, state.run_time) = (start, run);
    }

    /// From now on starts wait before they do anything, until [`release_starts`](Self::release_starts).
    pub fn hold_starts(&self) {
        self.shared.held_starts.send_replace(true);
    }

    /// Lets all starts go on.
    pub fn release_starts(&self) {
        self.shared.held_starts.send_replace(false);
    }

    /// Sets the count that [`Executor::refused_calls`] returns.
    pub fn refuse_calls(&self, count: u64) {
        self.shared.refused_calls.store(count, Ordering::Relaxed);
    }

    /// From now on deploys wait after their first step, until [`release_prepares`](Self::release_prepares).
    pub fn hold_prepares(&self) {
        self.shared.held_prepares.send_replace(true);
    }

    /// Lets all deploys go on.
    pub fn release_prepares(&self) {
        self.shared.held_prepares.send_replace(false);
    }

    /// The next invocation that ends leaves its sandbox unfit: `reuse` says [`Reuse::Once`]. Several add up.
    pub fn spoil(&self) {
        self.shared.state.lock().spoiled += 1;
    }

    /// All sandboxes that were started so far are dead: they answer [`InvokeError::Gone`] and say [`Reuse::Once`].
    /// Invocations that run go on.
    pub fn kill(&self) {
        let mut state = self.shared.state.lock();
        state.killed_below = state.sandboxes;
    }

    /// The counts now.
    #[must_use]
    pub fn counts(&self) -> ExecutorCounts {
        *self.shared.counts.borrow()
    }

    /// Waits until the counts are so.
    ///
    /// # Panics
    /// If that does not come; the message then says `what` did not.
    pub async fn wait_for(&self, what: &str, condition: impl FnMut(&ExecutorCounts) -> bool) {
        wait_for(&self.shared.counts, what, condition).await;
    }
}

impl std::fmt::Debug for FakeExecutorHandle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("FakeExecutorHandle")
            .field("counts", &self.counts())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
