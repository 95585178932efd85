//! The invoke path: snapshot, admission, sandbox, report. No registry call, no task, no channel on the way.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use serverledge_api::{Call, LogEntry};
use serverledge_core::{
    CallContext, CallKey, FailureKind, Function, FunctionFailure, FunctionName, InvocationError,
    InvocationId, InvokeError, Link, Memo, Outcome, OverloadReason, Payload, Phases, Reply, Report,
    Runtime, Sandbox, SandboxCall, SpaceId, StartError, Started,
};
use serverledge_scheduler::{Arrival, QosClass, Ran, Sample};
use tokio::sync::oneshot;

use crate::admission::{Granted, Held, LeaseGuard, Origin, Others, draining};
use crate::cluster::{HOPS_MAX, Offloaded, carries_little};
use crate::deploy::unix_ms;
use crate::functions::Entry;
use crate::host::NodeHost;
use crate::leased::LeasedBody;
use crate::node::Node;

#[cfg(test)]
mod tests;

/// When to try again after the executor ran out of instances: they end within milliseconds.
const EXHAUSTED_RETRY: Duration = Duration::from_secs(1);

/// Sandboxes that are found dead before a call gives up: as many as a node may have, since an engine that is restarted
/// ends all of them.
const SANDBOXES_TRIED_MAX: u32 = 256;

/// Sandboxes started for a call and found dead at once, after the first: such a function would be started for ever.
const FRESH_TRIED_MAX: u32 = 1;

/// How much later than its caller a callee ends that is not dropped with it, on another node for instance: at the same moment, it
/// would be chance whether the caller meets its own limit or reads of its callee's.
const CALLEE_GRACE: Duration = Duration::from_secs(1);

/// Why one try gave no result.
enum Tried {
    /// The sandbox was dead before; another may do. Whether it had served before.
    Gone { warm: bool },
    /// That is the outcome.
    Failed(InvocationError),
}

impl Tried {
    fn into_error(self) -> InvocationError {
        match self {
            Self::Gone { .. } => dead_sandboxes(),
            Self::Failed(error) => error,
        }
    }
}

/// A sandbox that a call runs in.
enum InUse {
    Once(Box<dyn Sandbox>),
    Pooled(Arc<dyn Sandbox>),
}

impl InUse {
    fn get(&self) -> &dyn Sandbox {
        match self {
            Self::Once(sandbox) => sandbox.as_ref(),
            Self::Pooled(sandbox) => sandbox.as_ref(),
        }
    }
}

/// One invocation, wherever it came from.
pub(crate) struct Request {
    pub(crate) entry: Arc<Entry>,
    pub(crate) id: InvocationId,
    pub(crate) payload: Payload,
    pub(crate) class: QosClass,
    /// After this it is not started any more.
    pub(crate) deadline: Option<Instant>,
    pub(crate) context: CallContext,
    pub(crate) arrived: Instant,
    /// The lease of the call that makes this one, if that runs here.
    pub(crate) caller: Option<Arc<Held>>,
    /// What its result is kept under, if it may be kept: joins the chain of the calls that it makes.
    pub(crate) key: Option<CallKey>,
}

impl Request {
    /// A call from outside.
    pub(crate) fn of(call: Call, entry: Arc<Entry>) -> Self {
        Self {
            entry,
            id: call.id,
            payload: call.payload,
            class: QosClass::new(call.qos_class),
            deadline: call.deadline,
            context: CallContext {
                may_offload: call.may_offload,
                travel: call.travel,
                carried: call.carried,
                hands_out: call.hands_out,
                ..CallContext::root(call.id, None)
            },
            arrived: call.arrived,
            caller: None,
            key: None,
        }
    }

    /// The same once more, for another sandbox.
    pub(crate) fn again(&self, params: Bytes) -> Self {
        Self {
            entry: Arc::clone(&self.entry),
            id: self.id,
            payload: Payload::Json(params),
            class: self.class,
            deadline: self.deadline,
            context: self.context.clone(),
            arrived: self.arrived,
            caller: self.caller.clone(),
            key: self.key,
        }
    }
}

impl Node {
    /// Runs an invocation, whatever is known of its like, and counts its outcome. Dropping the future stops it and gives its
    /// resources back.
    pub(crate) async fn run_counted(
        self: &Arc<Self>,
        request: Request,
    ) -> Result<Report, InvocationError> {
        let entry = Arc::clone(&request.entry);
        let id = request.id;
        let outcome = self.admit_and_run(request).await;
        self.keep_log(&entry, id, &outcome);
        match &outcome {
            // Who ran it counts it.
            Ok(report) if report.remote.is_some() => {}
            Ok(report) => {
                let bytes = if let Reply::Json(result) = &report.reply {
                    Some(result.len())
                } else {
                    None
                };
                entry
                    .metrics(&self.metrics)
                    .completed(&report.phases, report.warm, bytes);
            }
            Err(error) => self.metrics.failed(error),
        }
        outcome
    }

    /// What a function wrote is kept for its owner, however it ended. A streamed reply's log is not known yet.
    fn keep_log(&self, entry: &Entry, id: InvocationId, outcome: &Result<Report, InvocationError>) {
        let (text, failed) = match outcome {
            Ok(report) => (&report.log, false),
            Err(InvocationError::Function(failure)) => (&failure.log, true),
            Err(_) => return,
        };
        // A call may end after its function was deleted, and the log with it.
        let function = &entry.function;
        if !text.is_empty()
            && self
                .functions
                .get(&function.space, function.name.as_str())
                .is_some()
        {
            let entry_of_log = LogEntry {
                time_unix_ms: unix_ms(),
                invocation: id,
                failed,
                text: text.clone(),
            };
            self.logs.push(function, entry_of_log);
        }
    }

    /// A call that a running function makes, to a function of its own space: it inherits the class and the deadline of its
    /// caller, whose lease is suspended while it waits or runs.
    pub(crate) fn invoke_nested(
        self: &Arc<Self>,
        space: &SpaceId,
        name: &FunctionName,
        payload: Payload,
        context: CallContext,
        class: QosClass,
        caller: Arc<Held>,
    ) -> std::pin::Pin<Box<dyn Future<Output = Result<Report, InvocationError>> + Send + 'static>>
    {
        let Some(entry) = self.functions.get(space, name.as_str()) else {
            let name = name.to_string();
            return Box::pin(async move { Err(InvocationError::Unknown(name)) });
        };
        let (id, arrived) = (InvocationId::new(), now());
        let request = Request {
            entry,
            id,
            payload,
            class,
            deadline: context.deadline,
            context,
            arrived,
            caller: Some(caller),
            key: None,
        };
        let node = Arc::clone(self);
        // Boxed, since an invocation can contain another.
        Box::pin(async move { node.run(request).await })
    }

    /// Until it has run somewhere: a sandbox that was dead before the call, or a peer that did not take it, sends it on.
    async fn admit_and_run(
        self: &Arc<Self>,
        mut request: Request,
    ) -> Result<Report, InvocationError> {
        let asked = now();
        let mut tried = Vec::new();
        let (mut dead_ones, mut fresh_ones) = (0, 0);
        loop {
            let (arrival, origin, runtime) = self.arrival(&request);
            let others = Others {
                peers: &self.cluster.peers,
                runtime,
                tried: &tried,
            };
            let lease = match self
                .admissions
                .acquire(arrival, origin, Some(&others))
                .await?
            {
                Granted::Here(lease) => lease,
                // Whoever waits for it does so until here.
                // Boxed, as whatever is rare: the future of a call is moved about, and should be no larger than running it here.
                Granted::On(peer, _waits) => match Box::pin(self.offload(peer, &request)).await {
                    Offloaded::Done { report, .. } => return Ok(report),
                    Offloaded::Failed(error) => return Err(error),
                    Offloaded::Elsewhere(_) => {
                        tried.push(peer);
                        continue;
                    }
                },
            };
            // Only a pooled sandbox can be dead before its call.
            let again = match (&request.payload, request.entry.pooled) {
                (Payload::Json(params), Some(_)) => Some(request.again(params.clone())),
                _ => None,
            };
            let warm = match (self.run_here(request, lease, asked).await, again) {
                (Ok(report), _) => return Ok(report),
                (Err(Tried::Gone { warm }), Some(again)) => {
                    request = again;
                    warm
                }
                (Err(failed), _) => return Err(failed.into_error()),
            };
            dead_ones += 1;
            fresh_ones += u32::from(!warm);
            if fresh_ones > FRESH_TRIED_MAX {
                return Err(ended_before_its_call());
            }
            if dead_ones >= SANDBOXES_TRIED_MAX {
                return Err(dead_sandboxes());
            }
        }
    }

    /// What the scheduler is told of a call.
    fn arrival<'a>(&self, request: &'a Request) -> (Arrival, Origin<'a>, Runtime) {
        let context = &request.context;
        let origin = if context.depth == 0 {
            Origin::Outside
        } else {
            Origin::Nested(request.caller.as_ref())
        };
        let (json, bytes) = match &request.payload {
            Payload::Json(params) => (true, params.len()),
            Payload::Http(_) => (false, 0),
        };
        let may_offload = json
            && carries_little(context)
            && context.may_offload
            && context.hops() < HOPS_MAX
            && self.cluster.client.is_some();
        let arrival = Arrival {
            class: request.class,
            deadline: request.deadline,
            may_offload,
            bytes: bytes as u64,
            placed: context.hops() > 0,
            nested: context.depth > 0,
            ..request.entry.arrival()
        };
        (arrival, origin, request.entry.function.version.runtime)
    }

    async fn run_here(
        self: &Arc<Self>,
        request: Request,
        lease: LeaseGuard,
        asked: Instant,
    ) -> Result<Report, Tried> {
        let admitted = now();
        let (mut lease, sandbox, warm) = self
            .sandbox_for(lease, &request.entry)
            .await
            .map_err(Tried::Failed)?;
        let running = now();
        let (arrived, function) = (request.arrived, request.entry.key);
        lease.enters();
        let (outcome, memo) = self.invoke_in(sandbox.get(), request, lease.held()).await;
        lease.leaves(sandbox.get().reuse());
        let outcome = outcome.map_err(|error| match error {
            InvokeError::Gone => Tried::Gone { warm },
            other => Tried::Failed(invocation_error(other, &memo)),
        })?;
        let ended = now();
        let phases = Phases {
            queue: admitted.saturating_duration_since(asked),
            start: running.saturating_duration_since(admitted),
            execution: ended.saturating_duration_since(running),
            total: ended.saturating_duration_since(arrived),
        };
        self.admissions.learn(Sample {
            function,
            place: Ran::Here,
            cold: !warm,
            start: phases.start,
            execution: phases.execution,
            overhead: Duration::ZERO,
        });
        let reply = match outcome.reply {
            Reply::Http(response) => Reply::Http(Box::new(response.map(
                |body| -> serverledge_core::HttpBody { Box::pin(LeasedBody::new(body, lease)) },
            ))),
            json @ Reply::Json(_) => {
                drop(lease);
                json
            }
        };
        Ok(Report {
            reply,
            log: outcome.log,
            warm,
            phases,
            remote: None,
            memo,
        })
    }

    /// A sandbox for a call that may run: the one that its lease is for, or a new one. The last is whether it was warm.
    async fn sandbox_for(
        self: &Arc<Self>,
        lease: LeaseGuard,
        entry: &Arc<Entry>,
    ) -> Result<(LeaseGuard, InUse, bool), InvocationError> {
        if let Some(sandbox) = lease.sandbox() {
            return Ok((lease, InUse::Pooled(sandbox), true));
        }
        if lease.starts_pooled() {
            let (lease, sandbox) = Box::pin(self.start_pooled(lease, entry)).await?;
            return Ok((lease, InUse::Pooled(sandbox), false));
        }
        let started = self.start_sandbox(&entry.function).await?;
        Ok((lease, InUse::Once(started.sandbox), started.warm))
    }

    /// In a task of its own: a caller that goes away leaves the sandbox to others.
    async fn start_pooled(
        self: &Arc<Self>,
        mut lease: LeaseGuard,
        entry: &Arc<Entry>,
    ) -> Result<(LeaseGuard, Arc<dyn Sandbox>), InvocationError> {
        let (node, function) = (Arc::clone(self), Arc::clone(&entry.function));
        let (sender, receiver) = oneshot::channel();
        self.background.spawn(async move {
            let started = node.start_sandbox(&function).await.map(|started| {
                lease.started(started.sandbox);
                lease
            });
            let _ = sender.send(started);
        });
        let lease = receiver.await.unwrap_or_else(|_| Err(draining()))?;
        let sandbox = lease.sandbox().ok_or_else(dead_sandboxes)?;
        Ok((lease, sandbox))
    }

    /// A cold start, or what an executor does in its place.
    pub(crate) async fn start_sandbox(
        self: &Arc<Self>,
        function: &Arc<Function>,
    ) -> Result<Started, InvocationError> {
        let version = &function.version;
        let executor = self
            .executors
            .of(version.runtime)
            .ok_or_else(|| no_executor(version.runtime))?;
        match executor.start(version).await {
            Ok(started) => {
                self.metrics.started(version.runtime, &started.phases);
                Ok(started)
            }
            Err(error) => Err(self.start_failed(function, error)),
        }
    }

    /// The outcome, and what the calls that it made have brought (for a streamed reply: until that began).
    async fn invoke_in(
        self: &Arc<Self>,
        sandbox: &dyn Sandbox,
        request: Request,
        held: Arc<Held>,
    ) -> (Result<Outcome, InvokeError>, Memo) {
        let function = &request.entry.function;
        let deadline = request.context.deadline;
        // Whatever it calls ends with it.
        let own = now().checked_add(function.version.limits.timeout + CALLEE_GRACE);
        let mut context = CallContext {
            deadline: deadline.into_iter().chain(own).min(),
            ..request.context
        };
        if let Some(key) = request.key {
            context.chain = Some(Arc::new(Link {
                key,
                up: context.chain.take(),
            }));
        }
        let host = Arc::new(NodeHost::new(self, context, request.class, function, held));
        let call = SandboxCall {
            id: request.id,
            function: function.name.clone(),
            payload: request.payload,
            deadline,
        };
        let outcome = sandbox.invoke(call, Arc::<NodeHost>::clone(&host)).await;
        (outcome, host.brought())
    }

    pub(crate) fn start_failed(
        self: &Arc<Self>,
        function: &Arc<Function>,
        error: StartError,
    ) -> InvocationError {
        match error {
            StartError::NotPrepared(_) => {
                self.prepare_in_background(Arc::clone(function));
                InvocationError::Dependency {
                    what: "what the function needs, which is being prepared from its stored code,",
                    code: "function_not_prepared",
                    source: Box::new(error),
                }
            }
            StartError::Exhausted => exhausted(),
            StartError::Function(failure) => InvocationError::Function(failure),
            StartError::Unavailable { code, what, source } => {
                InvocationError::Dependency { what, code, source }
            }
            StartError::Internal { .. } => internal(&error),
        }
    }
}

pub(crate) fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}

/// With what the calls that it made have brought: a function may fail only because they did.
fn invocation_error(error: InvokeError, memo: &Memo) -> InvocationError {
    match error {
        InvokeError::Function(failure) => InvocationError::Function(FunctionFailure {
            stale: failure.stale || memo.stale,
            ..failure
        }),
        InvokeError::Request { code, message } => InvocationError::Request { code, message },
        InvokeError::Exhausted => exhausted(),
        InvokeError::Gone | InvokeError::Internal { .. } => internal(&error),
    }
}

/// One that was started for this very call and did not wait for it is the function's own doing.
fn ended_before_its_call() -> InvocationError {
    InvocationError::Function(FunctionFailure {
        kind: FailureKind::Exited,
        message: "the function's process ended, or stopped listening, before its first call"
            .to_owned(),
        stack: None,
        log: Bytes::new(),
        stale: false,
    })
}

fn dead_sandboxes() -> InvocationError {
    InvocationError::Internal {
        message: "every sandbox that was tried was dead".to_owned(),
    }
}

fn no_executor(runtime: Runtime) -> InvocationError {
    let source = format!("this node has no executor for runtime {runtime}").into();
    InvocationError::Dependency {
        what: "the executor of the function's runtime",
        code: "runtime_unavailable",
        source,
    }
}

fn exhausted() -> InvocationError {
    InvocationError::Overloaded {
        reason: OverloadReason::QueueFull,
        retry_after: EXHAUSTED_RETRY,
    }
}

fn internal(error: &dyn std::error::Error) -> InvocationError {
    let mut message = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        message = format!("{message}: {cause}");
        next = cause.source();
    }
    InvocationError::Internal { message }
}
