//! The context of one request: its id, its caller, its admission.

use std::net::SocketAddr;
use std::sync::Arc;

use axum::body::Body;
use http::{HeaderName, HeaderValue, Request};
use serverledge_core::{
    Call, CallOrigin, Caller, FunctionName, InvocationId, Payload, PropagatedContext, Trigger,
};
use serverledge_wire::header as wire;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::backend::ClientCall;

pub(crate) const REQUEST_ID: HeaderName = HeaderName::from_static(wire::REQUEST_ID);

/// The place of a request among those at once. A handler whose work goes on in its answer's body keeps a clone there.
#[derive(Debug, Clone)]
pub(crate) struct AdmissionPermit(
    #[expect(dead_code, reason = "held until it is dropped")] pub(crate) Arc<OwnedSemaphorePermit>,
);

/// Tells answers without an end that the server drains.
#[derive(Debug, Clone)]
pub(crate) struct Draining(pub(crate) CancellationToken);

/// A request that was let in: what its handler needs beside the request itself.
#[derive(Debug, Clone)]
pub(crate) struct RequestContext {
    /// The time of its arrival.
    pub(crate) arrived: Instant,
    /// Its id: the caller's, if well-formed.
    pub(crate) request_id: HeaderValue,
    /// The id of an invocation that it may become; the request id shows it where the caller sent none.
    pub(crate) invocation: InvocationId,
    /// The caller.
    pub(crate) caller: Caller,
    /// The address at the other end of the connection.
    pub(crate) peer: Option<SocketAddr>,
    /// Whether the cluster's load balancer passed it on, and proved it.
    pub(crate) forwarded: bool,
}

impl RequestContext {
    pub(crate) fn request_id(&self) -> &str {
        self.request_id.to_str().unwrap_or_default()
    }

    /// A call of the caller on this road, of the lowest class and without a deadline.
    pub(crate) fn call(
        &self,
        trigger: Trigger,
        function: FunctionName,
        payload: Payload,
        propagated: Option<Arc<PropagatedContext>>,
    ) -> ClientCall {
        let mut call = Call::new(self.invocation, function, payload, self.arrived.into_std());
        call.context.propagated = propagated;
        call.origin = CallOrigin {
            trigger,
            parent: None,
            caller: self.caller.user().cloned(),
        };
        ClientCall::new(self.caller.clone(), call)
    }
}

/// A request without its body, which cannot be shared while something is waited for.
pub(crate) fn head(request: &Request<Body>) -> Request<()> {
    let mut head = Request::new(());
    *head.method_mut() = request.method().clone();
    *head.uri_mut() = request.uri().clone();
    *head.headers_mut() = request.headers().clone();
    head
}
