//! The response of a `wasi:http` component on its way out: gathered whole where the guest is done at once, else passed on
//! piece by piece while the guest runs, and watched to the guest's end, which may come long after that of the response.

use std::collections::VecDeque;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::header::CONTENT_LENGTH;
use http::{HeaderMap, HeaderValue, StatusCode};
use http_body::{Body, Frame};
use serverledge_core::{BodyError, Ending, FailureKind, HttpBody, InvokeError, Rest};
use tokio::sync::mpsc;
use tokio::task::coop::has_budget_remaining;
use tokio::time::Sleep;
use wasmtime_wasi_http::p2::body::HyperOutgoingBody;

use crate::failure::{bad_output, component_failure, failure, internal_from, timed_out};
use crate::http::{GuestEnd, GuestEnding};
use crate::lane::Laned;
use crate::lent::Lender;
use crate::log_tail::LogTail;
use crate::ticker::RunningGuest;

/// Body bytes gathered before the response is sent on as a stream: most replies then need one write and carry their length.
const GATHER_BYTES_MAX: usize = 64 * 1024;
/// Pieces of a body between the guest and the connection: one is sent while the next is written.
const PIECES_MAX: usize = 2;

/// A response and the guest that may still be writing it.
pub(crate) struct Exchange {
    /// `None` once the guest has ended.
    pub(crate) guest: Option<Laned<GuestEnd>>,
    /// Its end.
    pub(crate) end: Option<GuestEnding>,
    /// `None` once it has ended.
    pub(crate) body: Option<HyperOutgoingBody>,
    pub(crate) length: BodyLength,
    pub(crate) limit: Pin<Box<Sleep>>,
    pub(crate) timeout: Duration,
    pub(crate) bytes_max: usize,
    pub(crate) running: Option<RunningGuest>,
    pub(crate) log: LogTail,
    /// The request's body, if it has one and the response is not whole.
    pub(crate) lender: Option<Lender>,
    /// The fields behind the body.
    pub(crate) trailers: Option<HeaderMap>,
}

/// The length of a body: the declared one, the written one, and whether the body is sent at all.
pub(crate) struct BodyLength {
    declared: Option<u64>,
    written: u64,
    /// The answer to `HEAD`, 204 and 304: what the guest writes is not sent, and need not be what its header says.
    unsent: bool,
}

impl BodyLength {
    /// Reads the length from the head of a response; the error is the function's fault.
    pub(crate) fn of(parts: &mut http::response::Parts, is_head: bool) -> Result<Self, String> {
        let status = parts.status;
        if !(200..600).contains(&status.as_u16()) {
            let kind = if status.is_informational() {
                "informational"
            } else {
                "no known"
            };
            return Err(format!(
                "the function answered with status {}, which is {kind}; a response has a final status from 200 to 599",
                status.as_u16()
            ));
        }
        if status == StatusCode::NO_CONTENT {
            parts.headers.remove(CONTENT_LENGTH);
        }
        let declared = declared(&mut parts.headers)?;
        let unsent =
            is_head || status == StatusCode::NO_CONTENT || status == StatusCode::NOT_MODIFIED;
        Ok(Self {
            declared,
            written: 0,
            unsent,
        })
    }

    /// Takes a body that is there as a whole, and says whether it is sent; the error is the function's fault.
    pub(crate) fn whole(mut self, bytes: usize) -> Result<bool, String> {
        self.written = bytes as u64;
        self.fault(true).map_or(Ok(!self.unsent), Err)
    }

    /// The fault of a body that ends here, if it has one.
    fn fault(&self, finished: bool) -> Option<String> {
        match self.declared {
            _ if self.unsent => None,
            Some(declared) if declared != self.written => Some(format!(
                "the function's Content-Length is {declared} and its body has {} bytes: {}",
                self.written,
                if self.written < declared {
                    format!("{} are missing", declared - self.written)
                } else {
                    format!("{} too many", self.written - declared)
                }
            )),
            _ if finished => None,
            _ => Some(UNFINISHED.to_owned()),
        }
    }

    /// The client has all that the head promised.
    fn is_all(&self) -> bool {
        self.unsent || self.declared == Some(self.written)
    }
}

const UNFINISHED: &str = "the function did not finish the body of its response (WASI 0.2: outgoing-body.finish; \
     WASI 0.3: the stream and its trailers)";

/// The length that a head declares. Where it does so several times, with the same number (RFC 9112 §6.3), one is left.
fn declared(headers: &mut HeaderMap) -> Result<Option<u64>, String> {
    let shown = |value: &HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
    let mut values = headers.get_all(CONTENT_LENGTH).iter();
    let Some(first) = values.next().cloned() else {
        return Ok(None);
    };
    let mut is_alone = true;
    for other in values {
        if *other != first {
            return Err(format!(
                "the function's response has several Content-Length headers: {:?} and {:?}",
                shown(&first),
                shown(other)
            ));
        }
        is_alone = false;
    }
    let length = digits(&first).ok_or_else(|| {
        format!(
            "the function's Content-Length is no number: {:?}",
            shown(&first)
        )
    })?;
    if !is_alone {
        headers.insert(CONTENT_LENGTH, first);
    }
    Ok(Some(length))
}

fn digits(value: &HeaderValue) -> Option<u64> {
    let text = value
        .to_str()
        .ok()
        .filter(|text| text.bytes().all(|byte| byte.is_ascii_digit()))?;
    text.parse().ok()
}

/// The state of guest and body, as found without waiting.
enum Step {
    Data(Bytes),
    /// The body has ended as it should.
    Finished,
    Fault(InvokeError),
    /// The guest has ended well too.
    End,
    Wait,
}

/// The outcome of a response before anything of it was sent on.
pub(crate) enum Gathered {
    /// All of the body, and the guest if it runs on.
    Whole {
        body: Bytes,
        trailers: Option<HeaderMap>,
        /// Bytes that the guest wrote where none are sent.
        unsent: Option<u64>,
        rest: Option<Exchange>,
    },
    /// The guest is still writing, or the body is long.
    Streaming(Bytes, Exchange),
    /// Nothing was sent yet, so that a failure can still be told as such.
    Failed(InvokeError),
}

impl Exchange {
    /// Takes what the guest writes without waiting.
    pub(crate) async fn gather(mut self) -> Gathered {
        let mut gathered = BytesMut::new();
        let last = std::future::poll_fn(|cx| Poll::Ready(self.gather_now(cx, &mut gathered))).await;
        let body = gathered.freeze();
        let unsent = self.length.unsent.then_some(self.length.written);
        match last {
            Step::End => Gathered::Whole {
                body,
                trailers: self.trailers.take(),
                unsent,
                rest: None,
            },
            Step::Fault(fault) => {
                self.stop().await;
                Gathered::Failed(fault)
            }
            Step::Finished | Step::Data(_) | Step::Wait
                if self.body.is_none() || self.length.unsent =>
            {
                Gathered::Whole {
                    body,
                    trailers: self.trailers.take(),
                    unsent,
                    rest: Some(self),
                }
            }
            Step::Finished | Step::Data(_) | Step::Wait => Gathered::Streaming(body, self),
        }
    }

    fn gather_now(&mut self, cx: &mut Context<'_>, gathered: &mut BytesMut) -> Step {
        while gathered.len() < GATHER_BYTES_MAX {
            match self.step(cx) {
                Step::Data(data) => gathered.extend_from_slice(&data),
                Step::Finished => {}
                last => return last,
            }
        }
        Step::Wait
    }

    fn step(&mut self, cx: &mut Context<'_>) -> Step {
        loop {
            self.look_at_guest(cx);
            let Some(body) = &mut self.body else {
                return self.after_body();
            };
            match Pin::new(body).poll_frame(cx) {
                Poll::Ready(Some(Ok(frame))) => match frame.into_data() {
                    // HTTP/2 has no flow control for what has no length: it would queue without end (GHSA-f8mm-ggr3-89wh).
                    Ok(data) if data.is_empty() => {}
                    Ok(data) if !self.length.unsent => return self.count(data),
                    Ok(data) => self.length.written += data.len() as u64,
                    Err(frame) if !self.length.unsent => {
                        self.trailers = frame.into_trailers().ok();
                    }
                    Err(_) => {}
                },
                Poll::Ready(None) => return self.body_ended(true),
                // Given up by the guest, or found too short by the host.
                Poll::Ready(Some(Err(_))) => return self.body_ended(false),
                // Nobody is left who could write more. A channel of a task whose budget is spent says nothing.
                Poll::Pending if self.end.is_some() && has_budget_remaining() => {
                    return self.body_ended(false);
                }
                Poll::Pending => return Step::Wait,
            }
        }
    }

    fn look_at_guest(&mut self, cx: &mut Context<'_>) {
        if let Some(guest) = &mut self.guest
            && let Poll::Ready(end) = Pin::new(guest).poll(cx)
        {
            (self.end, self.guest, self.running) = (Some(end), None, None);
        }
    }

    /// A guest that failed tells why; only one that did not is told what is wrong with its body.
    fn body_ended(&mut self, finished: bool) -> Step {
        self.body = None;
        if let Some(lender) = self.lender.take() {
            lender.take_back();
        }
        let Some(fault) = self.length.fault(finished) else {
            return Step::Finished;
        };
        Step::Fault(
            self.failed()
                .unwrap_or_else(|| bad_output(fault, self.log.take())),
        )
    }

    fn after_body(&mut self) -> Step {
        match (self.failed(), &self.guest) {
            (Some(failed), _) => Step::Fault(failed),
            (None, None) => Step::End,
            (None, Some(_)) => Step::Wait,
        }
    }

    fn failed(&mut self) -> Option<InvokeError> {
        match self.end.as_mut()? {
            Ok(GuestEnd { result: Ok(()), .. }) => None,
            Ok(GuestEnd {
                result,
                memory_refused,
                ..
            }) => {
                let result = std::mem::replace(result, Ok(()));
                result
                    .err()
                    .map(|fault| component_failure(&fault, *memory_refused, self.log.take()))
            }
            Err(_) => Some(internal_from("run the instance", crate::lane::Lost)),
        }
    }

    fn count(&mut self, data: Bytes) -> Step {
        self.length.written += data.len() as u64;
        if self.length.written > self.bytes_max as u64 {
            let message = format!(
                "the function was stopped: it wrote more than {} bytes of output",
                self.bytes_max
            );
            return Step::Fault(failure(FailureKind::OutputLimit, message, self.log.take()));
        }
        match self.length.declared {
            // Said with all that the guest has written by then; the client gets no more than the head promised.
            Some(declared) if self.length.written > declared => self.overflow(data, declared),
            _ => Step::Data(data),
        }
    }

    fn overflow(&mut self, mut data: Bytes, declared: u64) -> Step {
        let surplus = usize::try_from(self.length.written - declared).unwrap_or(usize::MAX);
        if data.len() > surplus {
            // The rest is found wanting when the body ends.
            data.truncate(data.len() - surplus);
            return Step::Data(data);
        }
        self.body = None;
        let fault = self.length.fault(true).unwrap_or_default();
        Step::Fault(bad_output(fault, self.log.take()))
    }

    /// The whole body, waited for, and the guest's end.
    pub(crate) async fn collect(mut self) -> Result<Bytes, InvokeError> {
        let mut collected = BytesMut::new();
        loop {
            match self.next().await {
                Step::Data(data) => collected.extend_from_slice(&data),
                Step::Finished | Step::Wait => {}
                Step::End => return Ok(collected.freeze()),
                Step::Fault(fault) => {
                    self.stop().await;
                    return Err(fault);
                }
            }
        }
    }

    /// The next thing that happens, within the function's time.
    async fn next(&mut self) -> Step {
        std::future::poll_fn(|cx| {
            if self.guest.is_some() && self.limit.as_mut().poll(cx).is_ready() {
                return Poll::Ready(Step::Fault(timed_out(self.timeout, self.log.take())));
            }
            match self.step(cx) {
                Step::Wait => Poll::Pending,
                other => Poll::Ready(other),
            }
        })
        .await
    }

    async fn stop(self) {
        if let Some(guest) = self.guest {
            guest.stop().await;
        }
    }

    /// The guest's rest where its response is whole already.
    pub(crate) fn run_on(self) -> Rest {
        Rest(Box::pin(pump(self, None)))
    }

    /// The stream of a response that is still being written, and the guest's rest, which writes it.
    pub(crate) fn stream(self, head: Bytes) -> (HttpBody, Rest) {
        let (pieces, receiver) = mpsc::channel(PIECES_MAX);
        let head = Some(head).filter(|head| !head.is_empty());
        (
            Box::pin(StreamedBody {
                head,
                pieces: Some(receiver),
            }),
            Rest(Box::pin(pump(self, Some(pieces)))),
        )
    }
}

/// One thing that the guest's task tells the connection.
enum Piece {
    Data(Bytes),
    /// The body is whole, with the fields behind it. Without this piece, it is not.
    End(Option<Box<HeaderMap>>),
    Broken(String),
}

/// The fate of a piece.
enum Sent {
    Taken,
    /// The connection is gone.
    Gone,
    /// It took nothing for as long as the function may run.
    Late,
}

/// Passes the body on and runs the guest to its end.
async fn pump(mut exchange: Exchange, mut to: Option<mpsc::Sender<Piece>>) -> Ending {
    loop {
        let step = match &to {
            Some(pieces) => tokio::select! {
                biased;
                step = exchange.next() => Some(step),
                () = pieces.closed() => None,
            },
            None => Some(exchange.next().await),
        };
        let sent = match (step, &to) {
            (Some(Step::End), _) => {
                return Ending::Completed {
                    log: exchange.log.take(),
                };
            }
            (Some(Step::Fault(fault)), _) => return broken(exchange, fault, to).await,
            (Some(Step::Data(data)), Some(pieces)) => {
                exchange.send(pieces, Piece::Data(data)).await
            }
            (Some(Step::Finished), Some(pieces)) => {
                let last = Piece::End(exchange.trailers.take().map(Box::new));
                match exchange.send(pieces, last).await {
                    Sent::Taken => Sent::Gone,
                    other => other,
                }
            }
            (Some(_), _) => Sent::Taken,
            (None, _) => Sent::Gone,
        };
        match sent {
            Sent::Taken | Sent::Late => {}
            // A connection that has all that was promised looks at nothing further; the guest goes on.
            Sent::Gone if exchange.body.is_none() || exchange.length.is_all() => to = None,
            Sent::Gone => return abandoned(exchange).await,
        }
    }
}

async fn abandoned(exchange: Exchange) -> Ending {
    let log = exchange.log.clone();
    exchange.stop().await;
    Ending::Abandoned { log: log.take() }
}

/// Ends a reply that has begun with the reason for the failure. If there is no room for the reason, the missing end
/// says that the reply is not whole.
async fn broken(exchange: Exchange, fault: InvokeError, to: Option<mpsc::Sender<Piece>>) -> Ending {
    if let Some(pieces) = to {
        let _ = pieces.try_send(Piece::Broken(fault.to_string()));
    }
    exchange.stop().await;
    Ending::Failed(fault)
}

impl Exchange {
    async fn send(&mut self, to: &mpsc::Sender<Piece>, piece: Piece) -> Sent {
        let limited = self.guest.is_some() && !self.limit.is_elapsed();
        tokio::select! {
            biased;
            sent = to.send(piece) => if sent.is_ok() { Sent::Taken } else { Sent::Gone },
            () = self.limit.as_mut(), if limited => Sent::Late,
        }
    }
}

/// A whole body with the fields behind it. It is sent in pieces: a length in its head would leave no place for these.
pub(crate) fn with_trailers(body: Bytes, trailers: HeaderMap) -> HttpBody {
    let frames = [Frame::data(body), Frame::trailers(trailers)];
    Box::pin(FramedBody(VecDeque::from(frames)))
}

/// A body of these frames.
struct FramedBody(VecDeque<Frame<Bytes>>);

impl Body for FramedBody {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        Poll::Ready(self.0.pop_front().map(Ok))
    }

    fn is_end_stream(&self) -> bool {
        self.0.is_empty()
    }
}

/// The body of a response, as the guest's task tells it.
struct StreamedBody {
    head: Option<Bytes>,
    /// `None` after its end.
    pieces: Option<mpsc::Receiver<Piece>>,
}

impl Body for StreamedBody {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        if let Some(head) = self.head.take() {
            return Poll::Ready(Some(Ok(Frame::data(head))));
        }
        let Some(pieces) = &mut self.pieces else {
            return Poll::Ready(None);
        };
        let piece = std::task::ready!(pieces.poll_recv(cx));
        let last = match piece {
            Some(Piece::Data(data)) => return Poll::Ready(Some(Ok(Frame::data(data)))),
            Some(Piece::End(None)) => Poll::Ready(None),
            Some(Piece::End(Some(trailers))) => Poll::Ready(Some(Ok(Frame::trailers(*trailers)))),
            Some(Piece::Broken(why)) => Poll::Ready(Some(Err(why.into()))),
            None => Poll::Ready(Some(Err("the function was stopped".into()))),
        };
        self.pieces = None;
        last
    }
}
