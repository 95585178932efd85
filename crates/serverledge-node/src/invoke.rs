//! The invoke path: snapshot, admission, sandbox, report. No registry call, no task, no channel on the way.

use std::sync::Arc;
use std::time::{Duration, Instant};

use serverledge_core::{
    CallContext, FunctionName, InvocationError, InvocationId, InvokeError, Outcome, OverloadReason, Payload, Phases,
    Reply, Report, SandboxCall, StartError, Started,
};
use serverledge_scheduler::{Arrival, Demand, QosClass};

use crate::admission::Origin;
use crate::functions::Entry;
use crate::host::NodeHost;
use crate::leased::LeasedBody;
use crate::node::Node;

/// When to try again after the executor ran out of instances: they end within milliseconds.
const EXHAUSTED_RETRY: Duration = Duration::from_secs(1);

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
}

impl Node {
    /// Runs an invocation and counts its outcome. Dropping the future stops it and gives its resources back.
    pub(crate) async fn run(self: &Arc<Self>, request: Request) -> Result<Report, InvocationError> {
        let entry = Arc::clone(&request.entry);
        let outcome = self.admit_and_run(request).await;
        match &outcome {
            Ok(report) => {
                let bytes = if let Reply::Json(result) = &report.reply { Some(result.len()) } else { None };
                entry.metrics(&self.metrics).completed(&report.phases, report.warm, bytes);
            }
            Err(error) => self.metrics.failed(error),
        }
        outcome
    }

    /// A call that a running function makes: it inherits class 0 and the deadline of its tree.
    pub(crate) fn invoke_nested(
        self: &Arc<Self>,
        name: &FunctionName,
        id: InvocationId,
        payload: Payload,
        context: CallContext,
    ) -> std::pin::Pin<Box<dyn Future<Output = Result<Report, InvocationError>> + Send + 'static>> {
        let Some(entry) = self.functions.get(name.as_str()) else {
            let name = name.to_string();
            return Box::pin(async move { Err(InvocationError::Unknown(name)) });
        };
        let arrived = now();
        let request =
            Request { entry, id, payload, class: QosClass::LOW, deadline: context.deadline, context, arrived };
        let node = Arc::clone(self);
        // Boxed, since an invocation can contain another.
        Box::pin(async move { node.run(request).await })
    }

    async fn admit_and_run(self: &Arc<Self>, request: Request) -> Result<Report, InvocationError> {
        let function = &request.entry.function;
        let asked = now();
        let origin = if request.context.depth == 0 { Origin::Outside } else { Origin::Nested };
        let demand = Demand::of(&function.version.limits);
        let arrival = Arrival { demand, class: request.class, deadline: request.deadline };
        let lease = self.admissions.acquire(arrival, origin).await?;
        let admitted = now();
        let started = match self.executor.start(&function.version).await {
            Ok(started) => started,
            Err(error) => return Err(self.start_failed(function, error)),
        };
        let running = now();
        let arrived = request.arrived;
        let outcome = self.invoke_in(started.sandbox.as_ref(), request).await?;
        let ended = now();
        let phases = Phases {
            queue: admitted.saturating_duration_since(asked),
            start: running.saturating_duration_since(admitted),
            execution: ended.saturating_duration_since(running),
            total: ended.saturating_duration_since(arrived),
        };
        let Started { warm, .. } = started;
        let reply = match outcome.reply {
            Reply::Http(response) => Reply::Http(Box::new(
                response.map(|body| -> serverledge_core::HttpBody { Box::pin(LeasedBody::new(body, lease)) }),
            )),
            json @ Reply::Json(_) => {
                drop(lease);
                json
            }
        };
        Ok(Report { reply, log: outcome.log, warm, phases })
    }

    async fn invoke_in(
        self: &Arc<Self>,
        sandbox: &dyn serverledge_core::Sandbox,
        request: Request,
    ) -> Result<Outcome, InvocationError> {
        let name = &request.entry.function.name;
        let deadline = request.context.deadline;
        let host = NodeHost { node: Arc::clone(self), context: request.context, caller: name.clone() };
        let call = SandboxCall { id: request.id, function: name.clone(), payload: request.payload, deadline };
        sandbox.invoke(call, Arc::new(host)).await.map_err(invocation_error)
    }

    pub(crate) fn start_failed(
        self: &Arc<Self>,
        function: &Arc<serverledge_core::Function>,
        error: StartError,
    ) -> InvocationError {
        match error {
            StartError::NotPrepared(_) => {
                self.prepare_in_background(Arc::clone(function));
                InvocationError::Dependency {
                    what: "the function's machine code, which is being prepared from its stored module,",
                    code: "function_not_prepared",
                    source: Box::new(error),
                }
            }
            StartError::Exhausted => exhausted(),
            StartError::Internal { .. } => internal(&error),
        }
    }
}

pub(crate) fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}

fn invocation_error(error: InvokeError) -> InvocationError {
    match error {
        InvokeError::Function(failure) => InvocationError::Function(failure),
        InvokeError::Request { code, message } => InvocationError::Request { code, message },
        InvokeError::Exhausted => exhausted(),
        InvokeError::Internal { .. } => internal(&error),
    }
}

fn exhausted() -> InvocationError {
    InvocationError::Overloaded { reason: OverloadReason::QueueFull, retry_after: EXHAUSTED_RETRY }
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
