//! Runs a component of WASI 0.3 that answers requests (`wasi:http/handler`). Its tasks go on in the store's own loop of events,
//! so that a run lasts until the response is taken and none of them is left.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::header::{CONTENT_LENGTH, HOST};
use http::{HeaderMap, Request, Response, uri};
use http_body::{Body, Frame, SizeHint};
use http_body_util::BodyExt as _;
use http_body_util::combinators::UnsyncBoxBody;
use serverledge_core::HttpBody;
use tokio::sync::oneshot;
use wasmtime::component::{Access, Accessor};
use wasmtime::{Result, Store};
use wasmtime_wasi_http::p3::bindings::{Service, ServicePre};
use wasmtime_wasi_http::{Error, FieldMap, WasiHttpView as _, p3};

use crate::component_guest::ComponentGuest;
use crate::http::{GuestEnd, GuestFault, GuestReply, brief, ended, lost_body};
use crate::lane::guarded;

/// The body of a response.
type GuestBody = UnsyncBoxBody<Bytes, Error>;

/// One run of the handler, to be polled until it ends. The answer is sent through the channel on the way.
pub(crate) async fn run(
    pre: ServicePre<ComponentGuest>,
    mut store: Store<ComponentGuest>,
    request: Request<HttpBody>,
    answer: oneshot::Sender<GuestReply>,
) -> GuestEnd {
    let outbound = store.data().outbound_guard();
    let result = guarded(handle(&pre, &mut store, request, answer)).await;
    GuestEnd::new(store, outbound, result.map_err(GuestFault::from).flatten())
}

async fn handle(
    pre: &ServicePre<ComponentGuest>,
    store: &mut Store<ComponentGuest>,
    request: Request<HttpBody>,
    answer: oneshot::Sender<GuestReply>,
) -> std::result::Result<(), GuestFault> {
    let service = pre
        .instantiate_async(&mut *store)
        .await
        .map_err(GuestFault::Host)?;
    let request = incoming(store.data_mut(), request);
    let run = store.run_concurrent(async |tasks| {
        serve(&service, tasks, request, answer).await?;
        finish(tasks).await;
        Ok(())
    });
    ended(run.await.flatten())
}

async fn serve(
    service: &Service,
    tasks: &Accessor<ComponentGuest>,
    request: p3::Request,
    answer: oneshot::Sender<GuestReply>,
) -> Result<()> {
    let response = match service.handle(tasks, request).await? {
        Ok(response) => response,
        Err(code) => {
            // Whoever waited may be gone.
            let _ = answer.send(Err(brief(&code)));
            return Ok(());
        }
    };
    let (taken, end) = oneshot::channel();
    let response = tasks.with(|store| outgoing(store, response))?;
    let response = response.map(|body| WatchedBody::new(body, taken).boxed_unsync());
    if answer.send(Ok(response)).is_ok() {
        let _ = end.await;
    }
    Ok(())
}

/// Waits until the guest has no task left.
pub(crate) async fn finish(tasks: &Accessor<ComponentGuest>) {
    std::future::poll_fn(|cx| tasks.poll_no_interesting_tasks(cx)).await;
}

/// The request as the guest has it: with its scheme, and the authority that the client named.
fn incoming(guest: &mut ComponentGuest, request: Request<HttpBody>) -> p3::Request {
    let scheme = request.extensions().get::<uri::Scheme>().cloned();
    let (parts, body) = request.into_parts();
    let named = |headers: &HeaderMap| headers.get(HOST)?.to_str().ok()?.parse().ok();
    let authority = parts
        .uri
        .authority()
        .cloned()
        .or_else(|| named(&parts.headers));
    let (request, _outcome) = p3::Request::new(
        parts.method,
        Some(scheme.unwrap_or(uri::Scheme::HTTP)),
        authority,
        parts.uri.path_and_query().cloned(),
        FieldMap::new_immutable(guest.http().hooks, parts.headers),
        None,
        lost_body(body),
    );
    request
}

/// The response as the node has it. Its length is compared with its head by the node, which knows where no body is sent.
fn outgoing(
    mut store: Access<'_, ComponentGuest>,
    mut response: p3::Response,
) -> Result<Response<GuestBody>> {
    let mut headers = HeaderMap::from(response.headers);
    let length = headers.remove(CONTENT_LENGTH);
    response.headers = FieldMap::new_immutable(store.data_mut().http().hooks, headers);
    let mut response = response.into_http(&mut store, async { Ok(()) })?;
    if let Some(length) = length {
        response.headers_mut().insert(CONTENT_LENGTH, length);
    }
    Ok(response)
}

/// A body that tells when it has ended, or when nobody wants it any more.
struct WatchedBody {
    body: GuestBody,
    taken: Option<oneshot::Sender<()>>,
}

impl WatchedBody {
    fn new(body: GuestBody, taken: oneshot::Sender<()>) -> Self {
        let is_over = body.is_end_stream();
        Self {
            body,
            taken: (!is_over).then_some(taken),
        }
    }
}

impl Body for WatchedBody {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<std::result::Result<Frame<Bytes>, Error>>> {
        let frame = Pin::new(&mut self.body).poll_frame(cx);
        let is_last = matches!(frame, Poll::Ready(None | Some(Err(_))));
        if is_last || self.body.is_end_stream() {
            self.taken = None;
        }
        frame
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
