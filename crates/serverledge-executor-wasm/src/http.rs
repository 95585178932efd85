//! Runs a `wasi:http` component: the request goes in, the response comes out, its body possibly while the guest runs on.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::{Request, Response, Uri};
use http_body::{Body, Frame};
use http_body_util::{BodyExt, Full};
use serverledge_core::{BodyError, HttpBody};
use tokio::sync::oneshot;
use tokio::time::Sleep;
use wasmtime::{Result, Store};
use wasmtime_wasi_http::WasiHttpView;
use wasmtime_wasi_http::p2::bindings::ProxyPre;
use wasmtime_wasi_http::p2::bindings::http::types::{ErrorCode, Scheme};
use wasmtime_wasi_http::p2::body::HyperOutgoingBody;

use crate::http_guest::HttpGuest;
use crate::lane::{Laned, Lost};
use crate::meter::Metered as _;
use crate::ticker::Running;

/// Body bytes gathered before the response is sent on as a stream: most replies then need one write and carry their length.
const GATHER_BYTES_MAX: usize = 64 * 1024;

/// What the guest's future ends with.
pub(crate) struct GuestEnd {
    pub(crate) result: Result<()>,
    pub(crate) memory_refused: bool,
    /// Kept until the body has ended: as long as it lives, a body that the guest never finished does not look finished.
    _store: Store<HttpGuest>,
}

/// What the guest sets as its response.
pub(crate) type Answer = std::result::Result<Response<HyperOutgoingBody>, ErrorCode>;

/// One run of the handler, to be polled until it ends. The answer is sent through the channel on the way.
pub(crate) async fn run(
    pre: ProxyPre<HttpGuest>,
    mut store: Store<HttpGuest>,
    request: Request<HttpBody>,
    answer: oneshot::Sender<Answer>,
) -> GuestEnd {
    let result = handle(&pre, &mut store, request, answer).await;
    let memory_refused = store.data_mut().meter().memory_refused();
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
    answer: oneshot::Sender<Answer>,
) -> Result<()> {
    let request =
        request.map(|body| body.map_err(|_| wasmtime_wasi_http::Error::ConnectionTerminated));
    let incoming = store
        .data_mut()
        .http()
        .new_incoming_request(Scheme::Http, request)?;
    let out = store.data_mut().http().new_response_outparam(answer)?;
    let proxy = pre.instantiate_async(&mut *store).await?;
    proxy
        .wasi_http_incoming_handler()
        .call_handle(&mut *store, incoming, out)
        .await
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

/// How a guest's future ended, if the guest was not lost.
pub(crate) type End = std::result::Result<GuestEnd, Lost>;

/// The first of two things: the guest set its answer (and may have ended as well by then), or it ended without one.
pub(crate) enum First {
    Answered(Answer, Option<End>),
    Ended(End),
}

/// Polls the guest until it answers or ends.
pub(crate) async fn first(guest: &mut Laned<GuestEnd>, answer: oneshot::Receiver<Answer>) -> First {
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

/// The body of a response whose guest may still be running. Dropping it stops the guest.
pub(crate) struct GuestBody {
    /// `None` once the guest has ended.
    pub(crate) guest: Option<Laned<GuestEnd>>,
    /// How it ended.
    pub(crate) end: Option<End>,
    pub(crate) body: HyperOutgoingBody,
    pub(crate) limit: Pin<Box<Sleep>>,
    pub(crate) timeout: Duration,
    pub(crate) bytes_left: usize,
    pub(crate) running: Option<Running>,
    /// A fault was told; nothing follows it.
    pub(crate) broken: bool,
}

/// Why a streamed reply broke off.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StreamFault {
    #[error("the function ran longer than its limit of {0:?}")]
    TimeLimit(Duration),
    #[error("the function wrote more output than is allowed")]
    OutputLimit,
    #[error("the function failed while it wrote its response: {0}")]
    Guest(String),
    #[error("the function ended without finishing the body of its response")]
    Unfinished,
}

/// What came of a response before anything of it was sent on.
pub(crate) enum Gathered {
    /// The guest has ended well, and this is all of the body.
    Whole(Bytes),
    /// The guest runs on, or the body is long.
    Streaming(Chained),
    /// The guest failed; nothing was sent yet, so that its failure can still be told as such.
    Failed(End),
    /// The guest returned without finishing the body.
    Unfinished,
}

/// What a look at guest and body tells, without waiting.
enum Step {
    Data(Bytes),
    Fault(StreamFault),
    /// Both have ended well.
    End,
    Wait,
}

impl GuestBody {
    /// Takes what the guest writes without waiting.
    pub(crate) async fn gather(mut self) -> Gathered {
        let mut gathered = BytesMut::new();
        let last = std::future::poll_fn(|cx| Poll::Ready(self.gather_now(cx, &mut gathered))).await;
        match last {
            Step::End => Gathered::Whole(gathered.freeze()),
            Step::Fault(StreamFault::Unfinished) => Gathered::Unfinished,
            Step::Fault(_) if self.end.is_some() => {
                Gathered::Failed(self.end.take().unwrap_or(Err(Lost)))
            }
            Step::Data(_) | Step::Fault(_) | Step::Wait => Gathered::Streaming(Chained {
                head: Some(gathered.freeze()),
                tail: self,
            }),
        }
    }

    fn gather_now(&mut self, cx: &mut Context<'_>, gathered: &mut BytesMut) -> Step {
        while gathered.len() < GATHER_BYTES_MAX {
            match self.step(cx) {
                Step::Data(data) => gathered.extend_from_slice(&data),
                last => return last,
            }
        }
        Step::Wait
    }

    fn step(&mut self, cx: &mut Context<'_>) -> Step {
        if let Some(guest) = &mut self.guest
            && let Poll::Ready(end) = Pin::new(guest).poll(cx)
        {
            self.end = Some(end);
            self.guest = None;
            self.running = None;
        }
        let frame = Pin::new(&mut self.body).poll_frame(cx);
        match (frame, &self.end) {
            (Poll::Ready(Some(Ok(frame))), _) => match frame.into_data() {
                Ok(data) => self.count(data),
                // Trailers: nothing follows them, and HTTP/1.1 clients rarely ask for them.
                Err(_) => self.step(cx),
            },
            // A guest that failed or was lost does not leave a reply that looks whole.
            (_, Some(Err(lost))) => Step::Fault(StreamFault::Guest(lost.to_string())),
            (
                _,
                Some(Ok(GuestEnd {
                    result: Err(error), ..
                })),
            ) => Step::Fault(StreamFault::Guest(format!("{error:#}"))),
            (Poll::Ready(Some(Err(fault))), _) => {
                Step::Fault(StreamFault::Guest(format!("{fault:?}")))
            }
            (Poll::Ready(None), Some(Ok(_))) => Step::End,
            // Nobody is left who could write more.
            (Poll::Pending, Some(Ok(_))) => Step::Fault(StreamFault::Unfinished),
            // The guest may still be doing something after its last byte; the reply ends with it.
            (Poll::Ready(None) | Poll::Pending, None) => Step::Wait,
        }
    }

    fn count(&mut self, data: Bytes) -> Step {
        match self.bytes_left.checked_sub(data.len()) {
            Some(left) => {
                self.bytes_left = left;
                Step::Data(data)
            }
            None => Step::Fault(StreamFault::OutputLimit),
        }
    }
}

impl Body for GuestBody {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<std::result::Result<Frame<Bytes>, BodyError>>> {
        if self.broken {
            return Poll::Ready(None);
        }
        let step = if self.guest.is_some() && self.limit.as_mut().poll(cx).is_ready() {
            Step::Fault(StreamFault::TimeLimit(self.timeout))
        } else {
            self.step(cx)
        };
        match step {
            Step::Data(data) => Poll::Ready(Some(Ok(Frame::data(data)))),
            Step::End => Poll::Ready(None),
            Step::Wait => Poll::Pending,
            Step::Fault(fault) => {
                (self.broken, self.guest) = (true, None);
                Poll::Ready(Some(Err(fault.into())))
            }
        }
    }
}

/// Bytes that were gathered, then the stream.
pub(crate) struct Chained {
    head: Option<Bytes>,
    tail: GuestBody,
}

impl Body for Chained {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<std::result::Result<Frame<Bytes>, BodyError>>> {
        if let Some(head) = self.head.take().filter(|head| !head.is_empty()) {
            return Poll::Ready(Some(Ok(Frame::data(head))));
        }
        Pin::new(&mut self.tail).poll_frame(cx)
    }
}
