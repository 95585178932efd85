//! Runs a `wasi:http` component: the request goes in, the response comes out. What happens to the response while the
//! guest runs on is in `exchange.rs`.

use std::fmt::Write as _;
use std::future::Future;
use std::pin::Pin;
use std::task::Poll;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response, Uri};
use http_body_util::{BodyExt, Full};
use serverledge_core::{HttpBody, TraceContext};
use tokio::sync::oneshot;
use tokio::task::coop::unconstrained;
use tokio_util::sync::DropGuard;
use wasmtime::{Result, Store};
use wasmtime_wasi::I32Exit;
use wasmtime_wasi_http::p2::bindings::ProxyPre;
use wasmtime_wasi_http::p2::bindings::http::types::Scheme;
use wasmtime_wasi_http::p2::body::HyperOutgoingBody;
use wasmtime_wasi_http::{Error, WasiHttpView};

use crate::component_guest::ComponentGuest;
use crate::lane::{Laned, Lost, guarded};
use crate::lent::{self, Lender};
use crate::meter::Metered as _;

/// Most of a guest's reason that is told.
const CODE_BYTES_MAX: usize = 1024;

/// The headers of W3C Trace Context.
const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
const TRACESTATE: HeaderName = HeaderName::from_static("tracestate");

/// The end of a guest's future.
pub(crate) struct GuestEnd {
    pub(crate) result: Result<(), GuestFault>,
    pub(crate) memory_refused: bool,
    /// Goes before the store.
    _outbound: DropGuard,
    /// Kept until the body has ended: as long as it lives, a body that the guest never finished does not look finished.
    _store: Store<ComponentGuest>,
}

impl GuestEnd {
    pub(crate) fn new(
        mut store: Store<ComponentGuest>,
        outbound: DropGuard,
        result: std::result::Result<(), GuestFault>,
    ) -> Self {
        Self {
            result,
            memory_refused: store.data_mut().meter().memory_refused,
            _outbound: outbound,
            _store: store,
        }
    }
}

/// The reason why the handler did not return.
pub(crate) enum GuestFault {
    /// Before any code of the guest ran.
    Host(wasmtime::Error),
    /// While it ran: whatever the host refused it then, it asked for.
    Guest(wasmtime::Error),
}

impl From<Lost> for GuestFault {
    fn from(lost: Lost) -> Self {
        Self::Host(lost.into())
    }
}

/// The response that the guest sets, or the error that it sets instead, in words.
pub(crate) type GuestReply = std::result::Result<Response<HyperOutgoingBody>, String>;

/// One run of the handler, to be polled until it ends. The answer is sent through the channel on the way.
pub(crate) async fn run(
    pre: ProxyPre<ComponentGuest>,
    mut store: Store<ComponentGuest>,
    request: Request<HttpBody>,
    answer: oneshot::Sender<GuestReply>,
) -> GuestEnd {
    let outbound = store.data().outbound_guard();
    let result = guarded(handle(&pre, &mut store, request, answer)).await;
    GuestEnd::new(store, outbound, result.map_err(GuestFault::from).flatten())
}

async fn handle(
    pre: &ProxyPre<ComponentGuest>,
    store: &mut Store<ComponentGuest>,
    request: Request<HttpBody>,
    answer: oneshot::Sender<GuestReply>,
) -> Result<(), GuestFault> {
    let scheme = scheme(&request);
    let request = request.map(lost_body);
    let incoming = store
        .data_mut()
        .http()
        .new_incoming_request(scheme, request)
        .map_err(GuestFault::Host)?;
    let out = store
        .data_mut()
        .http()
        .new_response_outparam_from_callback(move |reply| {
            // Whoever waited may be gone.
            let _ = answer.send(reply.map_err(|code| brief(&code)));
        })
        .map_err(GuestFault::Host)?;
    let proxy = pre
        .instantiate_async(&mut *store)
        .await
        .map_err(GuestFault::Host)?;
    let handled = proxy
        .wasi_http_incoming_handler()
        .call_handle(&mut *store, incoming, out)
        .await;
    ended(handled)
}

/// The beginning of what a guest gave as the reason for having no response. It may be as long as its memory.
pub(crate) fn brief(code: &impl std::fmt::Debug) -> String {
    let mut text = Brief(String::new());
    // An error is the end of what is kept.
    let _ = write!(text, "{code:?}");
    text.0
}

/// A text of at most [`CODE_BYTES_MAX`].
struct Brief(String);

impl std::fmt::Write for Brief {
    fn write_str(&mut self, text: &str) -> std::fmt::Result {
        for character in text.chars() {
            if self.0.len() + character.len_utf8() > CODE_BYTES_MAX {
                return Err(std::fmt::Error);
            }
            self.0.push(character);
        }
        Ok(())
    }
}

/// The end of a guest's code. One that exits with 0 has ended well.
pub(crate) fn ended(result: Result<()>) -> std::result::Result<(), GuestFault> {
    match result {
        Ok(()) => Ok(()),
        Err(error) if matches!(error.downcast_ref(), Some(I32Exit(0))) => Ok(()),
        Err(error) => Err(GuestFault::Guest(error)),
    }
}

/// A request's body, whose faults are a lost connection to the guest.
pub(crate) fn lost_body(
    body: HttpBody,
) -> impl http_body::Body<Data = Bytes, Error = Error> + Send + 'static {
    body.map_err(|_| Error::ConnectionTerminated)
}

/// The scheme that the client used, which whoever took the request leaves in its extensions where it is not `http`.
fn scheme(request: &Request<HttpBody>) -> Scheme {
    match request.extensions().get::<http::uri::Scheme>() {
        Some(scheme) if *scheme == http::uri::Scheme::HTTPS => Scheme::Https,
        _ => Scheme::Http,
    }
}

/// The request with a body that can be taken back, where there is a connection to take it back.
pub(crate) fn lent(
    request: Request<HttpBody>,
    as_json: bool,
) -> (Request<HttpBody>, Option<Lender>) {
    if as_json {
        return (request, None);
    }
    let (parts, body) = request.into_parts();
    let (body, lender) = lent::lend(body);
    (Request::from_parts(parts, body), lender)
}

/// The request that a JSON invocation becomes: `POST /` with the parameters.
pub(crate) fn json_request(params: Bytes) -> Request<HttpBody> {
    let length = params.len();
    let body: HttpBody = Box::pin(Full::new(params).map_err(|never| match never {}));
    let mut request = Request::new(body);
    *request.method_mut() = http::Method::POST;
    *request.uri_mut() = Uri::from_static("/");
    let headers = request.headers_mut();
    headers.insert(
        http::header::HOST,
        http::HeaderValue::from_static("localhost"),
    );
    headers.insert(
        http::header::CONTENT_TYPE,
        http::HeaderValue::from_static("application/json"),
    );
    headers.insert(http::header::CONTENT_LENGTH, length.into());
    request
}

/// Sets the headers of the trace that the guest runs in. Those of its caller name the caller's span, or are malformed.
pub(crate) fn set_trace(headers: &mut HeaderMap, trace: Option<&TraceContext>) {
    let mut set = |name: HeaderName, value: Option<String>| match value
        .and_then(|value| HeaderValue::try_from(value).ok())
    {
        Some(value) => drop(headers.insert(name, value)),
        None => drop(headers.remove(name)),
    };
    set(TRACEPARENT, trace.map(|trace| trace.parent.to_string()));
    let state = trace.and_then(TraceContext::state);
    set(TRACESTATE, state.map(str::to_owned));
}

/// The end of a guest's future, if the guest was not lost.
pub(crate) type GuestEnding = std::result::Result<GuestEnd, Lost>;

/// The first of two things: the guest set its answer (and may have ended as well by then), or it ended without one.
pub(crate) enum First {
    Answered(GuestReply, Option<GuestEnding>),
    Ended(GuestEnding),
}

/// Polls the guest until it answers or ends.
pub(crate) async fn first(
    guest: &mut Laned<GuestEnd>,
    answer: oneshot::Receiver<GuestReply>,
) -> First {
    let mut answer = Some(answer);
    std::future::poll_fn(|cx| {
        let end = match Pin::new(&mut *guest).poll(cx) {
            Poll::Ready(end) => Some(end),
            Poll::Pending => None,
        };
        // An answer that is there is seen even where the task's budget is spent.
        let answered = answer
            .as_mut()
            .map(|answer| Pin::new(&mut unconstrained(answer)).poll(cx));
        match answered {
            Some(Poll::Ready(Ok(answered))) => return Poll::Ready(First::Answered(answered, end)),
            // The guest dropped its chance to answer; it may still be running.
            Some(Poll::Ready(Err(_))) => answer = None,
            Some(Poll::Pending) | None => {}
        }
        end.map_or(Poll::Pending, |end| Poll::Ready(First::Ended(end)))
    })
    .await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_is_cut() {
        assert_eq!(brief(&"short"), "\"short\"");
        let long = brief(&"\u{1}".repeat(1 << 20));
        assert!(long.len() <= CODE_BYTES_MAX, "{}", long.len());
    }
}
