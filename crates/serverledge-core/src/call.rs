//! The calls that a running function may make through its node, and the context that nested calls inherit.

use std::sync::Arc;
use std::time::Instant;

use async_trait::async_trait;
use bytes::Bytes;
use http::uri::Authority;

use crate::cache::ClientCache;
use crate::error::InvocationError;
use crate::executor::{HttpBody, Payload};
use crate::id::InvocationId;
use crate::log::FunctionLog;
use crate::name::FunctionName;
use crate::outbound::{BoxTunnel, OutboundError};
use crate::run::CallOrigin;
use crate::state::{StateError, StateOp, StateReply, StoreName};
use crate::trace::{TraceContext, TraceId, TraceIds};

/// One invocation, from the request that asks for it to the sandbox that runs it.
#[derive(Debug)]
pub struct Call {
    /// Its id.
    pub id: InvocationId,
    /// The function's name.
    pub function: FunctionName,
    /// The input.
    pub payload: Payload,
    /// Serverledge's QoS class.
    pub qos_class: i64,
    /// The time at which its request arrived.
    pub arrived: Instant,
    /// The time after which it is not started any more.
    pub deadline: Option<Instant>,
    /// The calls with which it may share an instance that is put back in place between them; `None`: with none.
    pub instance: Option<InstanceKey>,
    /// Its trigger, and on whose behalf it runs.
    pub origin: CallOrigin,
    /// The part that the calls that it makes inherit.
    pub context: CallContext,
}

/// The calls that may run in one instance, one after the other: those of one version of one function in one space. Two
/// keys are equal only if all three are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct InstanceKey([u8; 32]);

impl InstanceKey {
    /// From a digest of space, function and version.
    #[must_use]
    pub const fn new(digest: [u8; 32]) -> Self {
        Self(digest)
    }
}

/// The context of a call, which the calls that it makes inherit.
#[derive(Debug, Clone)]
pub struct CallContext {
    /// The id of the invocation at the root of the call tree.
    pub root: InvocationId,
    /// 0 for a call from outside, one more for each nested call.
    pub depth: u32,
    /// The time by which the caller needs the result, if it said so. Nested calls inherit it.
    pub deadline: Option<Instant>,
    /// Whether other nodes may run it. Nested calls inherit it.
    pub may_offload: bool,
    /// The path of the call so far, and the data of its first request; `None` for a call from outside that brought
    /// none.
    pub propagated: Option<Arc<PropagatedContext>>,
    /// The results that its client carries; nested calls are looked up there as well.
    pub client_cache: Option<Arc<ClientCache>>,
    /// Whether the answer is to bring entries that its client may carry back. Nested calls inherit it.
    pub returns_cache: bool,
    /// The idempotent calls that this one is made in, the innermost first.
    pub chain: Option<Arc<Link>>,
}

/// The key of an idempotent call: a digest of space, function, version and canonical parameters.
pub type CallKey = [u8; 32];

/// One of the idempotent calls that a call is made in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Link {
    /// Its key.
    pub key: CallKey,
    /// The one that it is made in itself.
    pub up: Option<Arc<Link>>,
}

/// The data that is sent with a call tree from node to node.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct PropagatedContext {
    /// Number of times that this call, or one above it, was offloaded.
    pub hops: u32,
    /// The nodes (`area/node`) that sent it on, the last one last.
    pub path: Vec<String>,
    /// The id of the first request, where it is not the invocation's; empty: there is none.
    pub request_id: String,
    /// The caller's trace context (W3C `traceparent`); empty: there is none.
    pub trace: String,
    /// Additions of the systems on the way to that (W3C `tracestate`); empty: none.
    pub trace_state: String,
}

impl Call {
    /// A call from outside, of the lowest class and without a deadline.
    #[must_use]
    pub fn new(
        id: InvocationId,
        function: FunctionName,
        payload: Payload,
        arrived: Instant,
    ) -> Self {
        Self {
            id,
            function,
            payload,
            qos_class: 0,
            arrived,
            deadline: None,
            instance: None,
            origin: CallOrigin::default(),
            context: CallContext::root(id, None),
        }
    }

    /// The place of its run in its trace.
    #[must_use]
    pub fn trace_ids(&self) -> TraceIds {
        let context = &self.context;
        TraceIds::of(
            self.id,
            context.root,
            self.origin.parent,
            context.propagated.as_deref(),
        )
    }

    /// The trace context that its function is given: `None` unless its caller gave one, or the node records traces.
    #[must_use]
    pub fn guest_trace(&self, host: &dyn HostCalls) -> Option<TraceContext> {
        let caller = self.context.propagated.as_ref();
        let is_given = caller.is_some_and(|known| !known.trace.is_empty());
        let flags = host.trace_flags(TraceId(*self.context.root.as_bytes()));
        if !is_given && flags.is_none() {
            return None;
        }
        let parent = self.trace_ids().traceparent(flags.unwrap_or_default());
        Some(TraceContext::new(parent, caller))
    }

    /// The same call, with JSON parameters, for another sandbox or node.
    #[must_use]
    pub fn again(&self, params: Bytes) -> Self {
        Self {
            qos_class: self.qos_class,
            deadline: self.deadline,
            instance: self.instance,
            origin: self.origin.clone(),
            context: self.context.clone(),
            ..Self::new(
                self.id,
                self.function.clone(),
                Payload::Json(params),
                self.arrived,
            )
        }
    }
}

impl CallContext {
    /// The context of a call from outside.
    #[must_use]
    pub fn root(id: InvocationId, deadline: Option<Instant>) -> Self {
        Self {
            root: id,
            depth: 0,
            deadline,
            may_offload: true,
            propagated: None,
            client_cache: None,
            returns_cache: false,
            chain: None,
        }
    }

    /// Number of times that this call, or one above it, was offloaded.
    #[must_use]
    pub fn hops(&self) -> u32 {
        self.propagated
            .as_ref()
            .map_or(0, |propagated| propagated.hops)
    }

    /// The keys of the idempotent calls that this one is made in, the innermost first.
    pub fn chain(&self) -> impl Iterator<Item = &CallKey> {
        std::iter::successors(self.chain.as_deref(), |link| link.up.as_deref())
            .map(|link| &link.key)
    }
}

/// The reason why a nested call gave no result.
#[derive(Debug, thiserror::Error)]
pub enum CallError {
    /// The calls are nested deeper than [`crate::limits::CALL_DEPTH_MAX`].
    #[error("calls are nested more than {0} deep")]
    TooDeep(u32),
    /// The invocation has as many calls outstanding as it may.
    #[error("an invocation may have {0} calls outstanding at once")]
    TooManyAtOnce(usize),
    /// The invocation has made as many calls as it may.
    #[error("an invocation may make {0} calls")]
    TooMany(usize),
    /// The parameters are longer than an invocation's may be.
    #[error("parameters may have {0} bytes")]
    TooLarge(usize),
    /// The parameters are no JSON.
    #[error("the parameters are not JSON")]
    NotJson,
    /// The name cannot be a function's.
    #[error("failed to call {name:?}")]
    Name {
        /// The name that the function asked for.
        name: String,
        /// The rule that the name breaks.
        #[source]
        source: crate::name::NameError,
    },
    /// The called function, or the way to it, failed.
    #[error(transparent)]
    Invocation(#[from] Box<InvocationError>),
}

impl CallError {
    /// The stable code that the calling function reads.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::TooDeep { .. } => "call_too_deep",
            Self::TooManyAtOnce { .. } => "call_too_many_at_once",
            Self::TooMany { .. } => "call_too_many",
            Self::TooLarge { .. } => "params_too_large",
            Self::NotJson => "invalid_params",
            Self::Name { .. } => "invalid_name",
            Self::Invocation(error) => error.code(),
        }
    }

    /// The message for the calling function. An internal error is stated without its details.
    #[must_use]
    pub fn message(&self) -> String {
        match self {
            Self::Invocation(error) if matches!(**error, InvocationError::Internal { .. }) => {
                "the node failed to run the called function".to_owned()
            }
            other => other.to_string(),
        }
    }
}

/// Asked by a sandbox on behalf of the function it runs.
#[async_trait]
pub trait HostCalls: Send + Sync {
    /// Runs another function of the same space with these parameters and returns its result (both JSON).
    /// Dropping the future cancels the nested call.
    async fn call(&self, function: &str, params: Bytes) -> Result<Bytes, CallError>;

    /// Sends a request to a host outside of the node, within the rules of the function and of the node, and returns the
    /// response once its head is there. Redirects are responses as any other. The call's own time limit is kept by who
    /// runs the function. Dropping the future, or the response's body, closes the connection or gives it back.
    async fn send(
        &self,
        request: http::Request<HttpBody>,
    ) -> Result<http::Response<HttpBody>, OutboundError> {
        let host = request.uri().host().unwrap_or_default().to_owned();
        Err(OutboundError::NotGranted(host))
    }

    /// Opens a connection to a host and port outside of the node, within the rules of [`HostCalls::send`], for a function that says
    /// itself what goes through it. It may outlive this; whoever runs the function closes it. Dropping the future gives it up.
    async fn tunnel(&self, target: &Authority) -> Result<BoxTunnel, OutboundError> {
        Err(OutboundError::NotGranted(target.host().to_owned()))
    }

    /// Says, before the function runs, that its requests cannot be told from those of other calls which run beside it.
    fn shares_requests(&self) {}

    /// Carries out an operation on a store of the function's space. Dropping the future of a write leaves open whether it is
    /// applied.
    async fn state(&self, _store: &StoreName, _op: StateOp) -> Result<StateReply, StateError> {
        Err(StateError::Missing("the node keeps none for functions"))
    }

    /// The caller as a name, for messages.
    fn caller(&self) -> &FunctionName;

    /// The keeper of what the function writes; `None` where nobody keeps it. Sandboxes hand it each line while the function
    /// runs, also after the answer.
    fn log(&self) -> Option<Arc<dyn FunctionLog>> {
        None
    }

    /// The flags of a trace that begins on this node, for the functions that run in it; `None` where no traces are
    /// recorded.
    fn trace_flags(&self, _trace: TraceId) -> Option<u8> {
        None
    }
}
