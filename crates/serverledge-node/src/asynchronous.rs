//! Asynchronous invocations: stored before they are accepted, run in the background, polled by id. What a node had not
//! finished when it died is begun again at its next start.

use std::borrow::Cow;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use serverledge_api::{Call, PollError, Polled, SubmitError};
use serverledge_core::{CallContext, Function, InvocationError, InvocationId, OverloadReason, Payload, Reply, Report};
use serverledge_registry::{FinalOutcome, Finish, Invocation, InvocationStoreError};
use serverledge_scheduler::QosClass;
use serverledge_wire::invoke::InvocationResponse;
use serverledge_wire::records::{ErrorRecord, InvocationState, ReportRecord};
use tokio::sync::{Semaphore, oneshot};

use crate::admission::draining;
use crate::config::AsyncConfig;
use crate::deploy::unix_ms;
use crate::invoke::{Request, now};
use crate::node::Node;

/// Times an invocation is begun: one that kills its node must not go round for ever.
const ATTEMPTS_MAX: u32 = 3;
/// First pause after overload; it doubles up to [`PAUSE_MAX`], with jitter.
const PAUSE_MIN: Duration = Duration::from_millis(200);
/// Longest pause after overload.
const PAUSE_MAX: Duration = Duration::from_secs(10);

/// Bounds and counts of what is under way.
#[derive(Debug)]
pub(crate) struct Asynchronous {
    pub(crate) config: AsyncConfig,
    permits: Semaphore,
    waiting: AtomicUsize,
}

impl Asynchronous {
    pub(crate) fn new(config: AsyncConfig) -> Self {
        let permits = Semaphore::new(config.concurrency_max);
        Self { config, permits, waiting: AtomicUsize::new(0) }
    }

    /// A place among those accepted and not ended; `None` if all are taken.
    fn place(&self) -> Option<usize> {
        let taken = self.waiting.fetch_add(1, Ordering::Relaxed);
        if taken < self.config.queued_max {
            return None;
        }
        self.waiting.fetch_sub(1, Ordering::Relaxed);
        Some(taken)
    }
}

impl Node {
    /// Accepts an invocation: stored when this returns. If the future is dropped it may still be accepted, and then runs.
    pub(crate) async fn submit(self: &Arc<Self>, call: Call) -> Result<InvocationId, SubmitError> {
        let entry = self.lookup(call.function.as_str())?;
        let Payload::Json(params) = &call.payload else {
            return Err(InvocationError::Request {
                code: "not_json",
                message: "an asynchronous invocation takes JSON parameters".to_owned(),
            }
            .into());
        };
        if let Some(waiting) = self.asynchronous.place() {
            return Err(SubmitError::Full { waiting });
        }
        let (node, id, params) = (Arc::clone(self), call.id, params.clone());
        let (sender, answer) = oneshot::channel();
        // Apart from the request: a caller that goes away must leave neither a taken place nor a stored invocation that
        // nobody runs.
        self.background.spawn(async move {
            let _ = sender.send(node.accept(&entry.function, id, &params).await);
        });
        answer.await.unwrap_or_else(|_| Err(draining())).map_err(SubmitError::from)
    }

    async fn accept(
        self: &Arc<Self>,
        function: &Function,
        id: InvocationId,
        params: &Bytes,
    ) -> Result<InvocationId, InvocationError> {
        match self.invocations.accept(id, function, params, unix_ms()).await {
            Ok(accepted) => {
                self.start_async(accepted);
                Ok(id)
            }
            Err(error) => {
                self.asynchronous.waiting.fetch_sub(1, Ordering::Relaxed);
                Err(store_fault(error))
            }
        }
    }

    /// Goes on with what an earlier run of this node had accepted and not ended. Before the first request: what this run
    /// accepts is not recovered beside its own task.
    pub(crate) async fn recover_async(self: &Arc<Self>) {
        let unfinished = match self.invocations.unfinished().await {
            Ok(unfinished) => unfinished,
            Err(error) => return tracing::error!(%error, "failed to read unfinished invocations"),
        };
        if !unfinished.is_empty() {
            tracing::info!(count = unfinished.len(), "going on with unfinished asynchronous invocations");
        }
        for invocation in unfinished {
            self.asynchronous.waiting.fetch_add(1, Ordering::Relaxed);
            self.start_async(invocation);
        }
    }

    fn start_async(self: &Arc<Self>, accepted: Invocation) {
        let node = Arc::clone(self);
        self.background.spawn(async move {
            if let Ok(_permit) = node.asynchronous.permits.acquire().await {
                let id = accepted.id;
                if let Err(error) = node.run_async(accepted).await {
                    tracing::error!(%id, %error, "an asynchronous invocation could not be kept up to date");
                }
            }
            node.asynchronous.waiting.fetch_sub(1, Ordering::Relaxed);
        });
    }

    async fn run_async(self: &Arc<Self>, accepted: Invocation) -> Result<(), InvocationStoreError> {
        if accepted.record.attempt >= ATTEMPTS_MAX {
            let why = failed("attempts_exhausted", format!("begun {ATTEMPTS_MAX} times, and the node died each time"));
            return self.finish(&accepted, why).await;
        }
        let begun = self.invocations.begin(&accepted, unix_ms()).await?;
        let function = match begun.function() {
            Ok(function) => Arc::new(function),
            Err(error) => return self.finish(&begun, failed("invocation_unreadable", error.to_string())).await,
        };
        let params = self.invocations.params(&begun).await?;
        let finish = self.run_until_decided(&begun, &function, &params).await;
        self.finish(&begun, finish).await
    }

    /// Overload and faults of dependencies are tried again until the invocation is too old; a function's own failure
    /// is its outcome.
    async fn run_until_decided(
        self: &Arc<Self>,
        begun: &Invocation,
        function: &Arc<Function>,
        params: &Bytes,
    ) -> Finish {
        let mut pause = PAUSE_MIN;
        loop {
            let age = unix_ms().saturating_sub(begun.record.accepted_unix_ms);
            if Duration::from_millis(age) > self.asynchronous.config.age_max {
                let message = format!("it did not end within {:?}", self.asynchronous.config.age_max);
                return finish(FinalOutcome::Expired(ErrorRecord { code: "expired".to_owned(), message }));
            }
            let error = match self.run_pinned(begun.id, function, params.clone()).await {
                Ok(report) => return self.done(report),
                Err(error) => error,
            };
            match error {
                InvocationError::Overloaded { reason, .. } if reason != OverloadReason::NeverFits => {}
                InvocationError::Dependency { .. } => {}
                decided => return decided_failure(&decided),
            }
            tokio::time::sleep(jittered(pause)).await;
            pause = (pause * 2).min(PAUSE_MAX);
        }
    }

    async fn run_pinned(
        self: &Arc<Self>,
        id: InvocationId,
        function: &Arc<Function>,
        params: Bytes,
    ) -> Result<Report, InvocationError> {
        let entry = self.functions.entry_for(function);
        let request = Request {
            entry,
            id,
            payload: Payload::Json(params),
            class: QosClass::LOW,
            deadline: None,
            context: CallContext::root(id, None),
            arrived: now(),
        };
        self.run(request).await
    }

    fn done(&self, report: Report) -> Finish {
        let phases = report.phases;
        let outcome = match report.reply {
            Reply::Json(result) => FinalOutcome::Done(result),
            Reply::Http(_) => FinalOutcome::Failed(ErrorRecord {
                code: "internal".to_owned(),
                message: "the function answered HTTP to JSON parameters".to_owned(),
            }),
        };
        let record = ReportRecord {
            response_time: phases.total.as_secs_f64(),
            is_warm_start: report.warm,
            init_time: (phases.queue + phases.start).as_secs_f64(),
            queueing_time: phases.queue.as_secs_f64(),
            offload_latency: 0.0,
            duration: phases.execution.as_secs_f64(),
            execution_area: self.identity.area.clone(),
            execution_node: self.identity.node.clone(),
        };
        Finish { outcome, log: text(&report.log), report: Some(record) }
    }

    async fn finish(&self, seen: &Invocation, finish: Finish) -> Result<(), InvocationStoreError> {
        match self.invocations.finish(seen, finish, unix_ms()).await {
            Err(InvocationStoreError::ResultTooLarge { .. }) => {
                let finish = failed("result_too_large", "the result is larger than can be kept".to_owned());
                self.invocations.finish(seen, finish, unix_ms()).await.map(drop)
            }
            other => other.map(drop),
        }
    }

    /// Whether an outcome was kept long enough; the sweep that removes it comes later.
    fn is_forgotten(&self, invocation: &Invocation) -> bool {
        let age = invocation.record.finished_unix_ms.map(|end| Duration::from_millis(unix_ms().saturating_sub(end)));
        age.is_some_and(|age| age >= self.asynchronous.config.result_ttl)
    }

    /// Where an accepted invocation stands, as Serverledge's clients read it.
    pub(crate) async fn poll_invocation(&self, id: InvocationId) -> Result<Polled, PollError> {
        let found = self.invocations.get(id).await.map_err(|error| PollError(Box::new(error)))?;
        let Some(invocation) = found.filter(|one| one.belongs_to(&self.space) && !self.is_forgotten(one)) else {
            return Ok(Polled::Unknown);
        };
        if matches!(invocation.record.state, InvocationState::Queued | InvocationState::Running) {
            return Ok(Polled::Unfinished);
        }
        let result = self.invocations.result(&invocation).await.map_err(|error| PollError(Box::new(error)))?;
        Ok(Polled::Done(response(&invocation, result.as_deref())))
    }
}

fn response(invocation: &Invocation, result: Option<&[u8]>) -> Vec<u8> {
    let record = &invocation.record;
    let report = record.report.clone().unwrap_or_default();
    let error = record.error.as_ref();
    let body = InvocationResponse {
        success: record.state == InvocationState::Done,
        result: result.map_or(Cow::Borrowed(""), String::from_utf8_lossy),
        response_time: report.response_time,
        is_warm_start: report.is_warm_start,
        init_time: report.init_time,
        queueing_time: report.queueing_time,
        offload_latency: report.offload_latency,
        duration: report.duration,
        output: record.log.as_deref().unwrap_or_default().into(),
        execution_area: report.execution_area.into(),
        execution_node: report.execution_node.into(),
        error: error.map_or("", |error| &error.message).into(),
        error_code: error.map_or("", |error| &error.code).into(),
    };
    // The type has string keys and no failing serializers.
    serde_json::to_vec(&body).unwrap_or_default()
}

fn decided_failure(error: &InvocationError) -> Finish {
    let (code, log) = match error {
        InvocationError::Function(failure) => (failure.kind.code(), text(&failure.log)),
        InvocationError::Request { code, .. } | InvocationError::Dependency { code, .. } => (*code, None),
        InvocationError::Overloaded { reason, .. } => (reason.code(), None),
        InvocationError::Unknown(_) => ("function_unknown", None),
        InvocationError::OutcomeUnknown { .. } => ("offload_outcome_unknown", None),
        InvocationError::Internal { .. } => ("internal", None),
    };
    Finish { log, ..failed(code, error.to_string()) }
}

fn failed(code: &str, message: String) -> Finish {
    finish(FinalOutcome::Failed(ErrorRecord { code: code.to_owned(), message }))
}

fn finish(outcome: FinalOutcome) -> Finish {
    Finish { outcome, log: None, report: None }
}

fn text(log: &Bytes) -> Option<String> {
    (!log.is_empty()).then(|| String::from_utf8_lossy(log).into_owned())
}

/// Between half and the whole of a pause, so that those who wait for the same thing do not come back together.
fn jittered(pause: Duration) -> Duration {
    let mut byte = [0];
    let share = getrandom::fill(&mut byte).map_or(128, |()| u32::from(byte[0]));
    pause / 2 + pause / 512 * share
}

fn store_fault(error: InvocationStoreError) -> InvocationError {
    use serverledge_core::kv::KvError;
    let code = if matches!(error, InvocationStoreError::Kv(KvError::RegistryFull)) {
        "registry_full"
    } else {
        "registry_unavailable"
    };
    InvocationError::Dependency { what: "the registry", code, source: Box::new(error) }
}
