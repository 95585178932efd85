//! The calls that running functions make through the node: `serverledge::call` re-enters the invoke path, within limits
//! of its own, requests go to hosts outside, and operations to the stores of the function's space.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use async_trait::async_trait;
use bytes::Bytes;
use http::uri::Authority;
use parking_lot::Mutex;
use serverledge_core::limits::{CALL_DEPTH_MAX, CALLS_AT_ONCE_MAX, CALLS_MAX};
use serverledge_core::{
    BoxTunnel, CacheMetadata, Call, CallContext, CallError, CallOrigin, FailureKind, FunctionLog,
    FunctionName, HostCalls, HttpBody, InvocationError, InvocationId, OutboundError, Payload,
    Reply, Report, STATE_OPS_MAX, SpaceId, StateError, StateOp, StateReply, StoreName,
    TraceContext, TraceId, TraceIds, Trigger,
};

use super::outgoing::{
    Outgoing, RequestCounts, UnsettledRequests, check, pool_of, tunnel_request, unseal,
};
use crate::admission::HeldLease;
use crate::clock::now;
use crate::functions::FunctionEntry;
use crate::functions::logs::KeptLog;
use crate::runs::requests::{LoggedRequest, RequestLog};
use crate::state::StateService;

/// The node, as the calls of running functions see it.
pub(crate) trait CallTarget: Send + Sync {
    /// Runs a call that a running function makes, to a function of its own space. The lease of its caller is suspended
    /// while it waits or runs. Dropping the future stops it.
    fn call_nested(
        self: Arc<Self>,
        space: &SpaceId,
        call: Call,
        caller: Arc<HeldLease>,
    ) -> Pin<Box<dyn Future<Output = Result<Report, InvocationError>> + Send + 'static>>;

    /// The way of requests to hosts outside.
    fn outgoing(&self) -> &Outgoing;

    /// The stores of functions.
    fn state(&self) -> &StateService;

    /// The log of a function.
    fn log_of(&self, entry: &FunctionEntry) -> Arc<KeptLog>;

    /// The flags of a trace that begins here; `None` where no traces are recorded.
    fn trace_flags(&self, trace: TraceId) -> Option<u8>;
}

/// The node, as one invocation sees it.
pub(crate) struct InvocationHost {
    target: Arc<dyn CallTarget>,
    /// The invocation.
    id: InvocationId,
    context: CallContext,
    qos_class: i64,
    /// The function that makes the calls: names are looked up in its space.
    caller: Arc<FunctionEntry>,
    /// The invocation's lease.
    held: Arc<HeldLease>,
    /// Number of calls so far.
    made: AtomicUsize,
    /// Number of outstanding calls.
    outstanding: AtomicUsize,
    /// Its requests to hosts outside.
    requests: RequestCounts,
    /// Those of them that have no response that may come again.
    unsettled: UnsettledRequests,
    /// The lines of them in the record of the run, if its function may send any.
    request_log: Option<Arc<RequestLog>>,
    /// Whether its requests cannot be told from those of other calls.
    shares_requests: AtomicBool,
    /// Number of operations on stores so far.
    state_ops: AtomicUsize,
    /// Cache metadata collected from its calls.
    gathered: Mutex<CacheMetadata>,
}

/// Counts an outstanding call until it is dropped.
struct OutstandingCall<'a>(&'a AtomicUsize);

// === impl InvocationHost ===

impl InvocationHost {
    /// The node for an invocation with this context and class; calls inherit both.
    pub(crate) fn new(
        target: Arc<dyn CallTarget>,
        id: InvocationId,
        context: CallContext,
        qos_class: i64,
        caller: Arc<FunctionEntry>,
        held: Arc<HeldLease>,
        request_log: Option<Arc<RequestLog>>,
    ) -> Self {
        let made = AtomicUsize::new(0);
        let outstanding = AtomicUsize::new(0);
        let requests = RequestCounts::default();
        let unsettled = UnsettledRequests::default();
        let shares_requests = AtomicBool::new(false);
        let state_ops = AtomicUsize::new(0);
        let gathered = Mutex::default();
        Self {
            target,
            id,
            context,
            qos_class,
            caller,
            held,
            made,
            outstanding,
            requests,
            unsettled,
            request_log,
            shares_requests,
            state_ops,
            gathered,
        }
    }

    /// Takes the cache metadata of the calls so far. Called once, at the invocation's end.
    pub(crate) fn take_metadata(&self) -> CacheMetadata {
        let mut metadata = std::mem::take(&mut *self.gathered.lock());
        metadata.uncacheable |= self.unsettled.is_any();
        metadata
    }

    /// Collects the cache metadata of a call. A failed call has none that could tell whether the client's cache had
    /// part in it. A call that failed for want of time or room, for the place where it was made, or because of a call
    /// that it made, might succeed another time: what its caller answers then is not kept.
    fn gather(&self, outcome: &mut Result<Report, InvocationError>) {
        let take_metadata = match outcome {
            Ok(report) => std::mem::take(&mut report.memo),
            Err(error) => CacheMetadata {
                client_influenced: self.context.client_cache.is_some(),
                uncacheable: !comes_again(error),
                ..CacheMetadata::default()
            },
        };
        self.gathered.lock().gather(take_metadata);
    }

    /// Counts a call, if it may be made.
    fn count(&self) -> Result<OutstandingCall<'_>, CallError> {
        if self.context.depth >= CALL_DEPTH_MAX {
            return Err(CallError::TooDeep(CALL_DEPTH_MAX));
        }
        let at_once = self.outstanding.fetch_add(1, Ordering::Relaxed);
        let counted = OutstandingCall(&self.outstanding);
        if at_once >= CALLS_AT_ONCE_MAX {
            return Err(CallError::TooManyAtOnce(CALLS_AT_ONCE_MAX));
        }
        if self.made.fetch_add(1, Ordering::Relaxed) >= CALLS_MAX {
            return Err(CallError::TooMany(CALLS_MAX));
        }
        Ok(counted)
    }

    /// The trace context of what it calls: `None` unless its caller gave one, or the node records traces.
    fn trace(&self) -> Option<TraceContext> {
        let caller = self.context.propagated.as_ref();
        let is_given = caller.is_some_and(|known| !known.trace.is_empty());
        let flags = self
            .target
            .trace_flags(TraceId(*self.context.root.as_bytes()));
        if !is_given && flags.is_none() {
            return None;
        }
        let known = self.context.propagated.as_deref();
        let ids = TraceIds::of(self.id, self.context.root, None, known);
        let parent = ids.traceparent(flags.unwrap_or_default());
        Some(TraceContext::new(parent, caller))
    }

    /// The line of a request that begins. There is none where it may be another call's.
    fn line<B>(&self, request: &http::Request<B>) -> Option<LoggedRequest> {
        if self.shares_requests.load(Ordering::Relaxed) {
            return None;
        }
        self.request_log.as_ref().map(|log| log.begin(request))
    }

    /// Notes that the result depends on more than the version and the parameters.
    fn goes_out(&self) {
        if !self.caller.function.flags.may_keep_outbound() {
            self.gathered.lock().uncacheable = true;
        }
    }

    /// Counts a request that brought nothing.
    fn request_failed(&self, line: Option<&LoggedRequest>, error: &OutboundError) {
        self.target.outgoing().failed(error);
        if let Some(line) = line {
            line.failed(error.code());
        }
    }

    /// Sends a request within the rules of the function. What it then returns depends on more than its version and its
    /// parameters, so it is kept only if its owner says so, and if it has a response that may come again.
    async fn send_allowed(
        &self,
        mut request: http::Request<HttpBody>,
        line: Option<LoggedRequest>,
    ) -> Result<http::Response<HttpBody>, OutboundError> {
        let function = &self.caller.function;
        check(&function.version.outbound, request.uri())?;
        unseal(&function.version.secrets, &mut request)?;
        self.goes_out();
        let (pool, trace) = (pool_of(function), self.trace());
        let outgoing = self.target.outgoing();
        let sent = outgoing.send(&self.requests, &pool, trace.as_ref(), request);
        self.unsettled.watch(line, sent).await
    }
}

#[async_trait]
impl HostCalls for InvocationHost {
    async fn call(&self, function: &str, params: Bytes) -> Result<Bytes, CallError> {
        let _counted = self
            .count()
            .inspect_err(|_| self.gathered.lock().uncacheable = true)?;
        let name = FunctionName::parse(function).map_err(|source| CallError::Name {
            name: function.chars().take(64).collect(),
            source,
        })?;
        let call = Call {
            origin: CallOrigin {
                trigger: Trigger::Nested,
                parent: Some(self.id),
                caller: None,
            },
            qos_class: self.qos_class,
            deadline: self.context.deadline,
            context: CallContext {
                depth: self.context.depth + 1,
                ..self.context.clone()
            },
            ..Call::new(
                InvocationId::new(),
                name.clone(),
                Payload::Json(params),
                now(),
            )
        };
        let held = Arc::clone(&self.held);
        self.gathered.lock().called = true;
        let mut outcome = Arc::clone(&self.target)
            .call_nested(&self.caller.function.space, call, held)
            .await;
        self.gather(&mut outcome);
        // The caller goes on with the CPU that it gave back.
        self.held.regained().await;
        match outcome.map_err(Box::new)?.reply {
            Reply::Json(result) => Ok(result),
            Reply::Http(_) => Err(CallError::Invocation(Box::new(InvocationError::Internal {
                message: format!("function {name} answered a nested call with HTTP"),
            }))),
        }
    }

    async fn send(
        &self,
        request: http::Request<HttpBody>,
    ) -> Result<http::Response<HttpBody>, OutboundError> {
        let line = self.line(&request);
        self.send_allowed(request, line.clone())
            .await
            .inspect_err(|error| self.request_failed(line.as_ref(), error))
    }

    /// The node sees no status in a tunnel: with `--idempotent=outbound` only a tunnel that fails or breaks keeps the result
    /// from being kept.
    async fn tunnel(&self, target: &Authority) -> Result<BoxTunnel, OutboundError> {
        let function = &self.caller.function;
        let (request, allowed) = tunnel_request(&function.version.outbound, target);
        let line = self.line(&request);
        let opened = async {
            allowed?;
            self.goes_out();
            let outgoing = self.target.outgoing();
            let pool = pool_of(function);
            let opened = outgoing.open(&self.requests, &pool, target);
            self.unsettled.watch_tunnel(line.clone(), opened).await
        };
        opened
            .await
            .inspect_err(|error| self.request_failed(line.as_ref(), error))
    }

    fn shares_requests(&self) {
        self.shares_requests.store(true, Ordering::Relaxed);
        self.gathered.lock().uncacheable = true;
    }

    /// The result then depends on more than the version and the parameters, so it is not kept.
    async fn state(&self, store: &StoreName, op: StateOp) -> Result<StateReply, StateError> {
        self.gathered.lock().uncacheable = true;
        let state = self.target.state();
        if self.state_ops.fetch_add(1, Ordering::Relaxed) >= STATE_OPS_MAX {
            state.refused(&op);
            return Err(StateError::TooMany);
        }
        state.apply(&self.caller.function.space, store, &op).await
    }

    fn caller(&self) -> &FunctionName {
        &self.caller.function.name
    }

    fn log(&self) -> Option<Arc<dyn FunctionLog>> {
        Some(self.target.log_of(&self.caller))
    }

    fn trace_flags(&self, trace: TraceId) -> Option<u8> {
        self.target.trace_flags(trace)
    }
}

/// Whether a call would fail in the same way whenever and wherever it is made, until the next deploy.
fn comes_again(error: &InvocationError) -> bool {
    match error {
        InvocationError::Function(failure) => {
            !failure.stale
                && matches!(
                    failure.kind,
                    FailureKind::Error | FailureKind::Trap | FailureKind::BadOutput
                )
        }
        InvocationError::Unknown(_) => true,
        _ => false,
    }
}

// === impl OutstandingCall ===

impl Drop for OutstandingCall<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}
