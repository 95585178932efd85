//! Runs a `wasi:http` component: the request goes in, the response comes out. What happens to the response while the
//! guest runs on is in `exchange.rs`.

use std::future::Future;
use std::pin::Pin;
use std::task::Poll;

use bytes::Bytes;
use http::{Request, Response, Uri};
use http_body_util::{BodyExt, Full};
use serverledge_core::HttpBody;
use tokio::sync::oneshot;
use wasmtime::{Result, Store};
use wasmtime_wasi::I32Exit;
use wasmtime_wasi_http::WasiHttpView;
use wasmtime_wasi_http::p2::bindings::ProxyPre;
use wasmtime_wasi_http::p2::bindings::http::types::{ErrorCode, Scheme};
use wasmtime_wasi_http::p2::body::HyperOutgoingBody;

use crate::http_guest::HttpGuest;
use crate::lane::{Laned, Lost};
use crate::lent::{self, Lender};
use crate::meter::Metered as _;

/// The end of a guest's future.
pub(crate) struct GuestEnd {
    pub(crate) result: Result<(), GuestFault>,
    pub(crate) memory_refused: bool,
    /// Kept until the body has ended: as long as it lives, a body that the guest never finished does not look finished.
    _store: Store<HttpGuest>,
}

/// The reason why the handler did not return.
pub(crate) enum GuestFault {
    /// Before any code of the guest ran.
    Host(wasmtime::Error),
    /// While it ran: whatever the host refused it then, it asked for.
    Guest(wasmtime::Error),
}

/// The response that the guest sets, or the error that it sets instead.
pub(crate) type GuestReply = std::result::Result<Response<HyperOutgoingBody>, ErrorCode>;

/// One run of the handler, to be polled until it ends. The answer is sent through the channel on the way.
pub(crate) async fn run(
    pre: ProxyPre<HttpGuest>,
    mut store: Store<HttpGuest>,
    request: Request<HttpBody>,
    answer: oneshot::Sender<GuestReply>,
) -> GuestEnd {
    let result = handle(&pre, &mut store, request, answer).await;
    let memory_refused = store.data_mut().meter().memory_refused;
    GuestEnd {
        result,
        memory_refused,
        _store: store,
    }
}

async fn handle(
    pre: &ProxyPre<HttpGuest>,
    store: &mut Store<HttpGuest>,
    request: Request<HttpBody>,
    answer: oneshot::Sender<GuestReply>,
) -> Result<(), GuestFault> {
    let scheme = scheme(&request);
    let request =
        request.map(|body| body.map_err(|_| wasmtime_wasi_http::Error::ConnectionTerminated));
    let incoming = store
        .data_mut()
        .http()
        .new_incoming_request(scheme, request)
        .map_err(GuestFault::Host)?;
    let out = store
        .data_mut()
        .http()
        .new_response_outparam(answer)
        .map_err(GuestFault::Host)?;
    let proxy = pre
        .instantiate_async(&mut *store)
        .await
        .map_err(GuestFault::Host)?;
    match proxy
        .wasi_http_incoming_handler()
        .call_handle(&mut *store, incoming, out)
        .await
    {
        Ok(()) => Ok(()),
        Err(error) if matches!(error.downcast_ref(), Some(I32Exit(0))) => Ok(()),
        Err(error) => Err(GuestFault::Guest(error)),
    }
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
        match answer.as_mut().map(|answer| Pin::new(answer).poll(cx)) {
            Some(Poll::Ready(Ok(answered))) => return Poll::Ready(First::Answered(answered, end)),
            // The guest dropped its chance to answer; it may still be running.
            Some(Poll::Ready(Err(_))) => answer = None,
            Some(Poll::Pending) | None => {}
        }
        end.map_or(Poll::Pending, |end| Poll::Ready(First::Ended(end)))
    })
    .await
}
