//! The invoke path: snapshot, admission, sandbox, report. For a function that is known it makes no registry call. A call
//! that nobody shares, in a sandbox of its own, needs no task and no channel.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use async_trait::async_trait;
use serverledge_api::{ClientCall, Invocations};
use serverledge_core::{
    CacheMetadata, Call, Caller, Ending, Function, FunctionLog, InvocationError, InvocationId,
    InvokeError, Isolation, Link, Outcome, OverloadReason, Payload, Phases, Reply, Report, Runtime,
    Sandbox, SpaceId, StartError, Started, TraceId,
};
use serverledge_scheduler::{Arrival, QosClass, Ran, Sample, SandboxId};
use serverledge_wire::events::SandboxEvent;

use self::attempts::{AttemptFailure, Attempts, LOST_MAX, Times};
use self::errors::{
    dead_sandboxes, exhausted, internal, invocation_error, is_elsewhere, no_executor, trace,
};
use self::guarded_body::GuardedBody;
use self::guarded_body::until_its_end;
use self::host::{CallTarget, InvocationHost};
use self::outgoing::Outgoing;
use self::request::{ResolvedCall, is_not_prepared, not_prepared};
use self::result_cache::{EntryMacs, ResultCache};
use self::unprepared::Elsewhere;
use crate::admission::{Admissions, Granted, HeldLease, LeaseGuard, Origin, Others, draining};
use crate::background::Background;
use crate::clock::{now, unix_ms};
use crate::cluster::{Cluster, HOPS_MAX, Offloaded, carries_little, lacks_version};
use crate::config::Config;
use crate::events::{EventBody, EventBus};
use crate::executors::Executors;
use crate::functions::logs::{FunctionLogs, KeptLog};
use crate::functions::preparing::jobs::Jobs;
use crate::functions::preparing::unheard::FunctionFinder;
use crate::functions::quotas::{Permit, Quotas};
use crate::functions::resources::FunctionResources;
use crate::functions::{FunctionEntry, Functions, label};
use crate::metrics::{CacheFigures, Metrics};
use crate::program::foundation::Foundation;
use crate::runs::RunRecorder;
use crate::runs::shown::is_under_test;
use crate::state::StateService;
use crate::telemetry::Sampler;

mod attempts;
mod errors;
pub(crate) mod guarded_body;
mod host;
mod offload;
mod outgoing;
mod prewarm;
pub(crate) mod request;
pub(crate) mod result_cache;
#[cfg(test)]
mod tests;
mod unprepared;

/// Time by which a callee outlives its caller, if it is not dropped with it, on another node for instance. If both
/// ended at the same moment, chance would decide whether the caller meets its own limit or gets its callee's error.
const CALLEE_GRACE: Duration = Duration::from_secs(1);

/// The service that runs calls.
pub(crate) struct Invoker {
    functions: Arc<Functions>,
    finder: FunctionFinder,
    admissions: Admissions,
    executors: Executors,
    logs: Arc<FunctionLogs>,
    cluster: Arc<Cluster>,
    result_cache: ResultCache,
    outgoing: Outgoing,
    state: Arc<StateService>,
    quotas: Arc<Quotas>,
    metrics: Arc<Metrics>,
    runs: Arc<RunRecorder>,
    events: Arc<EventBus>,
    sampler: Sampler,
    jobs: Arc<Jobs>,
    background: Background,
    isolation: Isolation,
}

/// The sandbox of a call that may run.
struct FoundSandbox {
    lease: LeaseGuard,
    sandbox: CallSandbox,
    /// Whether it was up before the call.
    warm: bool,
    /// Whether it is another one than the call began to start.
    moved: bool,
}

/// The sandbox that a call runs in.
enum CallSandbox {
    Once(Box<dyn Sandbox>),
    Pooled(Arc<dyn Sandbox>),
}

impl CallSandbox {
    fn get(&self) -> &dyn Sandbox {
        match self {
            Self::Once(sandbox) => sandbox.as_ref(),
            Self::Pooled(sandbox) => sandbox.as_ref(),
        }
    }
}

#[async_trait]
impl Invocations for Invoker {
    async fn call(self: Arc<Self>, call: ClientCall) -> Result<Report, InvocationError> {
        self.check_open()?;
        let ClientCall { caller, call, .. } = call;
        let permit = self.permit(&caller)?;
        let entry = match self
            .functions
            .resolve(&caller.space, call.function.as_str())
        {
            Ok(entry) => entry,
            Err(unknown) => Box::pin(self.finder.find(&caller.space, call.function.as_str()))
                .await
                .ok_or(unknown)?,
        };
        Ok(until_its_end(
            self.invoke(ResolvedCall::new(entry, call)).await?,
            permit,
        ))
    }

    /// Pooled sandboxes are started up to the number asked for, as far as there is room. Wasm instances are made or put
    /// back in microseconds, so a loaded module is ready for as many as the node can run at once.
    async fn prewarm(
        self: Arc<Self>,
        space: &SpaceId,
        name: &str,
        instances: i64,
    ) -> Result<i64, InvocationError> {
        let entry = self.functions.resolve(space, name)?;
        if let Some(pooled) = entry.pooled {
            return self
                .prewarm_pooled(&entry, pooled, usize::try_from(instances).unwrap_or(0))
                .await;
        }
        self.start_sandbox(&entry.function).await?;
        let capacity = self.admissions.snapshot().capacity;
        let fit = capacity.memory.get() / entry.function.version.limits.memory.get().max(1);
        let most = i64::try_from(fit.min(u64::from(capacity.slots))).unwrap_or(i64::MAX);
        Ok(instances.clamp(0, most))
    }
}

impl Invoker {
    pub(crate) fn new(base: Foundation, config: &Config) -> Result<Self> {
        let FunctionResources {
            functions,
            admissions,
            executors,
            logs,
            metrics,
            runs,
            events,
            telemetry,
        } = base.resources;
        let macs = match &base.cluster.key {
            Some(key) => EntryMacs::of_cluster(key),
            None => EntryMacs::of_node(&config.data.dir)
                .context("failed to read or make the key of result tags")?,
        };
        Ok(Self {
            result_cache: ResultCache::new(
                config.cache.results_bytes,
                config.cache.results_ttl,
                macs,
                &metrics,
            ),
            outgoing: Outgoing::new(&config.outbound, &metrics)?,
            functions,
            finder: base.finder,
            admissions,
            executors,
            logs,
            cluster: base.cluster,
            state: base.state,
            quotas: base.quotas,
            metrics,
            runs,
            events,
            sampler: telemetry.sampler(),
            jobs: base.jobs,
            background: base.background,
            isolation: config.wasm.isolation,
        })
    }

    /// Refuses new requests on a node that stops; running functions may still call others.
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

    /// Counts an invocation from outside that runs later.
    pub(crate) fn spend(&self, caller: &Caller) -> Result<(), InvocationError> {
        self.quotas
            .spend(caller)
            .inspect_err(|error| self.count_refusal(error))
    }

    fn count_refusal(&self, error: &InvocationError) {
        if let InvocationError::Quota { code, .. } = error {
            self.metrics.quota_refused(code);
        }
    }

    /// The size of the result cache.
    pub(crate) fn cache_figures(&self) -> CacheFigures {
        self.result_cache.figures()
    }

    /// Runs an invocation, without a look at the result cache, and counts its outcome. Dropping the future stops it and
    /// returns its resources.
    pub(crate) async fn execute(
        self: &Arc<Self>,
        request: ResolvedCall,
    ) -> Result<Report, InvocationError> {
        let entry = Arc::clone(&request.entry);
        let id = request.call.id;
        let mut changed = false;
        let mut outcome = self.place_and_execute(request, &mut changed).await;
        if changed && let Ok(report) = &mut outcome {
            // It is of another version than the one that it would be kept under.
            report.memo.uncacheable = true;
        }
        match &outcome {
            // Who ran it counts it, and a function that answers with HTTP is counted at its end.
            Ok(report) if report.remote.is_some() || matches!(report.reply, Reply::Http(_)) => {}
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
            Err(error) => self.count_failure(&entry, id, error),
        }
        outcome
    }

    /// The log of a function; a log that nobody reads if the function is not deployed any more, or under test.
    pub(crate) fn log_of<'a>(&self, entry: &'a FunctionEntry) -> &'a Arc<KeptLog> {
        entry.log(|function| {
            if self.functions.has(function) {
                self.logs.of(function)
            } else {
                KeptLog::unread()
            }
        })
    }

    fn count_failure(&self, entry: &FunctionEntry, id: InvocationId, error: &InvocationError) {
        if let InvocationError::Function(failure) = error {
            // Whoever called sees it in the response; whoever owns the function looks here.
            let trace = trace(failure).unwrap_or_default();
            self.keep_log(entry, id, trace.as_bytes());
            if !trace.is_empty() || !failure.log.is_empty() {
                self.log_of(entry).mark_failed(id);
            }
        }
        // Series of functions that are gone would stay for ever.
        let label = if self.functions.has(&entry.function) {
            label(&entry.function)
        } else {
            String::new()
        };
        self.metrics.failed(&label, error);
    }

    /// Adds text to the function's log that was not written while it ran here: the log of another node's run, or of a
    /// failed start.
    pub(crate) fn keep_log(&self, entry: &FunctionEntry, id: InvocationId, text: &[u8]) {
        if !text.is_empty() {
            self.log_of(entry).write(Some(id), unix_ms(), text);
        }
    }

    pub(crate) fn with_log(
        &self,
        request: &ResolvedCall,
        error: InvocationError,
    ) -> InvocationError {
        if let InvocationError::Function(failure) = &error {
            self.keep_log(&request.entry, request.call.id, &failure.log);
        }
        error
    }

    /// Attempts until the call has run somewhere: a sandbox that was dead before the call, a version that is not prepared
    /// here, or a refusing peer leads to the next attempt. `changed`: the function has another version by then.
    async fn place_and_execute(
        self: &Arc<Self>,
        mut request: ResolvedCall,
        changed: &mut bool,
    ) -> Result<Report, InvocationError> {
        let mut attempts = Attempts::new(now());
        loop {
            if !request.entry.is_ready()
                && let Elsewhere::Ran(report) =
                    Box::pin(self.run_where_prepared(&mut request, changed)).await?
            {
                return Ok(report);
            }
            let placement = self.place(&mut request, &mut attempts).await;
            let lease = match placement.map_err(|error| attempts.cause(error))? {
                Placement::Here(lease) => lease,
                Placement::Ran(report) => return Ok(report),
                Placement::Again => continue,
            };
            // Only a pooled sandbox can be dead before its call.
            let again = match (&request.call.payload, request.entry.pooled) {
                (Payload::Json(params), Some(_)) => Some(request.again(params.clone())),
                _ => None,
            };
            request = match (
                self.execute_local(request, lease, attempts.asked).await,
                again,
            ) {
                (Ok(report), _) => return Ok(report),
                (Err(AttemptFailure::Gone { warm }), Some(again)) => {
                    attempts.found_dead(warm)?;
                    again
                }
                (Err(AttemptFailure::NotStarted(request, error)), _)
                    if attempts.not_started.is_none() =>
                {
                    attempts.not_started = Some(error);
                    *request
                }
                (Err(AttemptFailure::Unprepared(request, error)), _) => {
                    match Box::pin(self.without_preparation(request, error, &mut attempts)).await? {
                        Ok(report) => return Ok(report),
                        Err(request) => *request,
                    }
                }
                (Err(failed), _) => return Err(failed.into_error()),
            };
        }
    }

    /// Asks the scheduler where a call runs, and runs it there if that is another node.
    async fn place(
        self: &Arc<Self>,
        request: &mut ResolvedCall,
        attempts: &mut Attempts,
    ) -> Result<Placement, InvocationError> {
        let (mut arrival, origin, runtime) = self.arrival(request);
        arrival.placed |= attempts.here;
        attempts.other_version |= self
            .cluster
            .lacking
            .add_to(&mut attempts.peers, request.entry.digest());
        let others = Others {
            peers: &self.cluster.peers,
            runtime,
            tried: &attempts.peers,
        };
        let peer = match self
            .admissions
            .acquire(arrival, origin, Some(&others))
            .await
        {
            Ok(Granted::Here(lease)) => return Ok(Placement::Here(lease)),
            Ok(Granted::On(peer, waits)) => (peer, waits),
            // The others are to run it and cannot yet: better here than not at all.
            Err(InvocationError::Overloaded {
                reason: OverloadReason::NoPeer,
                ..
            }) if !attempts.here && attempts.other_version => {
                attempts.here = true;
                return Ok(Placement::Again);
            }
            Err(error) => return Err(error),
        };
        // Whoever waits for it does so until here.
        let (peer, _waits) = peer;
        // Boxed, as whatever is rare: the future of a call is moved about, and should be no larger than running it here.
        match Box::pin(self.offload(peer, request)).await {
            Offloaded::Done { report, .. } => {
                self.keep_log(&request.entry, request.call.id, &report.log);
                Ok(Placement::Ran(report))
            }
            Offloaded::Failed(error) => Err(self.with_log(request, error)),
            Offloaded::Elsewhere(why) => {
                attempts.peers.push(peer);
                attempts.other_version |= lacks_version(&why);
                Ok(Placement::Again)
            }
        }
    }

    /// Goes on with a call that was to run here and cannot: another node may have what it needs, or it is prepared
    /// again.
    async fn without_preparation(
        self: &Arc<Self>,
        mut request: Box<ResolvedCall>,
        error: InvocationError,
        attempts: &mut Attempts,
    ) -> Result<Result<Report, Box<ResolvedCall>>, InvocationError> {
        attempts.lost += 1;
        if !is_not_prepared(&error) {
            return self.forward(&mut request).await?.map(Ok).ok_or(error);
        }
        if attempts.lost > LOST_MAX {
            return Err(error);
        }
        request.entry.lost();
        Ok(Err(request))
    }

    /// Whether a call may go to another node.
    pub(crate) fn may_offload(&self, request: &ResolvedCall) -> bool {
        let context = &request.call.context;
        matches!(request.call.payload, Payload::Json(_))
            && carries_little(context)
            && context.may_offload
            && context.hops() < HOPS_MAX
            && self.cluster.client.is_some()
    }

    /// The request of a call to the scheduler.
    fn arrival<'a>(&self, request: &'a ResolvedCall) -> (Arrival, Origin<'a>, Runtime) {
        let context = &request.call.context;
        let origin = if context.depth == 0 {
            Origin::Outside
        } else {
            Origin::Nested(request.caller.as_ref())
        };
        let bytes = if let Payload::Json(params) = &request.call.payload {
            params.len()
        } else {
            0
        };
        let may_offload = self.may_offload(request);
        let arrival = Arrival {
            class: QosClass(request.call.qos_class),
            deadline: request.call.deadline,
            may_offload,
            bytes: bytes as u64,
            placed: context.hops() > 0,
            nested: context.depth > 0,
            ..request.entry.arrival()
        };
        (arrival, origin, request.entry.function.version.runtime)
    }

    async fn execute_local(
        self: &Arc<Self>,
        request: ResolvedCall,
        lease: LeaseGuard,
        asked: Instant,
    ) -> Result<Report, AttemptFailure> {
        let times = Times::admitted(request.call.arrived, asked, now());
        let FoundSandbox {
            mut lease,
            sandbox,
            warm,
            moved,
        } = match self.sandbox_for(lease, &request.entry).await {
            Ok(found) => found,
            Err(error) if is_elsewhere(&error) => {
                return Err(AttemptFailure::Unprepared(Box::new(request), error));
            }
            Err(error) if self.may_wait_for_another(&request.entry) => {
                let error = self.with_log(&request, error);
                return Err(AttemptFailure::NotStarted(Box::new(request), error));
            }
            Err(error) => {
                request.failed.set(times.started(now()).until(now()));
                return Err(AttemptFailure::Failed(self.with_log(&request, error)));
            }
        };
        let mut times = times.started(now());
        if moved {
            // Whoever took another sandbox than it started has waited in line.
            times.admitted = times.running;
        }
        let failed = Arc::clone(&request.failed);
        let entry = Arc::clone(&request.entry);
        let id = request.call.id;
        lease.enters();
        let (outcome, memo) = self
            .run_in_sandbox(sandbox.get(), request, lease.held())
            .await;
        lease.leaves(sandbox.get().reuse());
        let phases = times.until(now());
        let outcome = outcome.map_err(|error| match error {
            InvokeError::Gone => AttemptFailure::Gone { warm },
            other => {
                failed.set(phases);
                AttemptFailure::Failed(invocation_error(other, &memo))
            }
        })?;
        let reply = match (outcome.reply, outcome.rest) {
            (Reply::Http(response), None) => {
                self.counted(&entry, &phases, warm, None);
                Reply::Http(Box::new(response.map(
                    |body| -> serverledge_core::HttpBody {
                        Box::pin(GuardedBody::new(body, lease))
                    },
                )))
            }
            (reply, Some(rest)) => {
                let invoker = Arc::clone(self);
                self.background.spawn(async move {
                    let ending = rest.0.await;
                    invoker.ended(&entry, id, ending, &times.until(now()), warm);
                    drop(lease);
                });
                reply
            }
            (json @ Reply::Json(_), None) => {
                self.learn(&entry, &phases, warm);
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

    /// Records the end of a run that went on beside or after its reply: only now is it known.
    fn ended(
        &self,
        entry: &FunctionEntry,
        id: InvocationId,
        ending: Ending,
        phases: &Phases,
        warm: bool,
    ) {
        match ending {
            Ending::Completed { .. } => self.counted(entry, phases, warm, None),
            Ending::Failed(error) => {
                let error = invocation_error(error, &CacheMetadata::default());
                self.runs.failed_late(id, &error);
                // No reply tells the reason any more; an exception's trace does.
                if !matches!(&error, InvocationError::Function(failure) if trace(failure).is_some())
                {
                    self.keep_log(entry, id, format!("{error}\n").as_bytes());
                    self.log_of(entry).mark_failed(id);
                }
                self.count_failure(entry, id, &error);
            }
            Ending::Abandoned { .. } => entry.metrics(&self.metrics).abandoned(),
        }
    }

    fn counted(
        &self,
        entry: &FunctionEntry,
        phases: &Phases,
        warm: bool,
        output_bytes: Option<usize>,
    ) {
        self.learn(entry, phases, warm);
        entry
            .metrics(&self.metrics)
            .completed(phases, warm, output_bytes);
    }

    fn learn(&self, entry: &FunctionEntry, phases: &Phases, warm: bool) {
        self.admissions.learn(Sample {
            function: entry.key,
            place: Ran::Here,
            cold: !warm,
            start: phases.start,
            execution: phases.execution,
            overhead: Duration::ZERO,
        });
    }

    /// The sandbox for a call that may run: the one of its lease, or a new one.
    async fn sandbox_for(
        self: &Arc<Self>,
        lease: LeaseGuard,
        entry: &Arc<FunctionEntry>,
    ) -> Result<FoundSandbox, InvocationError> {
        if let Some(sandbox) = lease.sandbox() {
            return Ok(FoundSandbox {
                lease,
                sandbox: CallSandbox::Pooled(sandbox),
                warm: true,
                moved: false,
            });
        }
        if let Some(id) = lease.starts_pooled() {
            return Box::pin(self.start_pooled(lease, id, entry)).await;
        }
        let started = self.start_sandbox(&entry.function).await?;
        let sandbox = CallSandbox::Once(started.sandbox);
        Ok(FoundSandbox {
            lease,
            sandbox,
            warm: started.warm,
            moved: false,
        })
    }

    /// Whether a call whose sandbox could not be started has another one to wait for.
    fn may_wait_for_another(&self, entry: &FunctionEntry) -> bool {
        entry
            .pooled
            .is_some_and(|pooled| self.admissions.may_serve(pooled.key))
    }

    /// Starts a pooled sandbox in a task of its own, and waits for it or for another that is free before. If the caller
    /// takes another or goes away, others can use it.
    async fn start_pooled(
        self: &Arc<Self>,
        mut lease: LeaseGuard,
        id: SandboxId,
        entry: &Arc<FunctionEntry>,
    ) -> Result<FoundSandbox, InvocationError> {
        let mut started = self.start_for_pool(entry, id);
        lease.start_begun();
        let mut over = None;
        loop {
            match (lease.settle(), over.take()) {
                (Ok(moved), _) => {
                    let sandbox = CallSandbox::Pooled(lease.sandbox().ok_or_else(dead_sandboxes)?);
                    return Ok(FoundSandbox {
                        lease,
                        sandbox,
                        warm: moved,
                        moved,
                    });
                }
                (Err(_), Some(Ok(()))) => return Err(dead_sandboxes()),
                (Err(_), Some(Err(error))) => return Err(error),
                (Err(other), None) => tokio::select! {
                    Ok(()) = other => {}
                    outcome = &mut started => over = Some(outcome.unwrap_or_else(|_| Err(draining()))),
                },
            }
        }
    }

    /// Starts a sandbox: a cold start, or the executor's substitute for it.
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
                if !started.warm {
                    let took = started.phases.iter().map(|(_, took)| *took).sum();
                    self.tell_started(function, took);
                }
                Ok(started)
            }
            Err(error) => Err(Self::start_failed(error)),
        }
    }

    fn tell_started(&self, function: &Function, took: Duration) {
        if is_under_test(&function.name) {
            return;
        }
        self.events.publish(&function.space, &function.name, || {
            EventBody::Sandbox(SandboxEvent {
                unix_ms: unix_ms(),
                function: function.name.to_string(),
                app: None,
                action: "started".to_owned(),
                runtime: function.version.runtime.to_string(),
                took_us: u64::try_from(took.as_micros()).ok(),
            })
        });
    }

    /// Runs the call in its sandbox. Returns the outcome, and the cache metadata of the calls that it made (for a
    /// streamed reply: until it began).
    async fn run_in_sandbox(
        self: &Arc<Self>,
        sandbox: &dyn Sandbox,
        request: ResolvedCall,
        held: Arc<HeldLease>,
    ) -> (Result<Outcome, InvokeError>, CacheMetadata) {
        let ResolvedCall {
            entry,
            mut call,
            key,
            request_log,
            ..
        } = request;
        // Of the version that runs, which may be another than the call was resolved to.
        call.instance = entry.instance_on(self.isolation);
        // Whatever it calls ends with it.
        let own = now().checked_add(entry.function.version.limits.timeout + CALLEE_GRACE);
        let mut context = call.context.clone();
        context.deadline = context.deadline.into_iter().chain(own).min();
        if let Some(key) = key {
            context.chain = Some(Arc::new(Link {
                key,
                up: context.chain.take(),
            }));
        }
        let host = Arc::new(InvocationHost::new(
            Arc::<Self>::clone(self),
            call.id,
            context,
            call.qos_class,
            entry,
            held,
            request_log,
        ));
        let outcome = sandbox
            .invoke(call, Arc::<InvocationHost>::clone(&host))
            .await;
        (outcome, host.take_metadata())
    }

    fn start_failed(error: StartError) -> InvocationError {
        match error {
            StartError::NotPrepared(_) => not_prepared(error.to_string()),
            StartError::Exhausted => exhausted(),
            StartError::Function(failure) => InvocationError::Function(failure),
            StartError::Unavailable { code, what, source } => {
                InvocationError::Dependency { what, code, source }
            }
            StartError::Internal { .. } => internal(&error),
        }
    }
}

impl CallTarget for Invoker {
    /// Runs a call that a running function makes, to a function of its own space. It inherits the class and the
    /// deadline of its caller, whose lease is suspended while it waits or runs.
    fn call_nested(
        self: Arc<Self>,
        space: &SpaceId,
        call: Call,
        caller: Arc<HeldLease>,
    ) -> std::pin::Pin<Box<dyn Future<Output = Result<Report, InvocationError>> + Send + 'static>>
    {
        let Some(entry) = self.functions.served(space, call.function.as_str()) else {
            let name = call.function.to_string();
            return Box::pin(async move { Err(InvocationError::Unknown(name)) });
        };
        let request = ResolvedCall {
            caller: Some(caller),
            ..ResolvedCall::new(entry, call)
        };
        // Boxed, since an invocation can contain another.
        Box::pin(async move { self.invoke(request).await })
    }

    fn outgoing(&self) -> &Outgoing {
        &self.outgoing
    }

    fn state(&self) -> &StateService {
        &self.state
    }

    fn log_of(&self, entry: &FunctionEntry) -> Arc<KeptLog> {
        Arc::clone(Self::log_of(self, entry))
    }

    fn trace_flags(&self, trace: TraceId) -> Option<u8> {
        self.sampler.flags(trace)
    }
}

/// The placement of a call.
enum Placement {
    Here(LeaseGuard),
    /// The call has run elsewhere.
    Ran(Report),
    /// The call has not run yet.
    Again,
}
