//! The rest of a request's body that a handler leaves unread. An answer may come before the body was read (a 404, a
//! 413, a function that does not look at it). The client sends the rest all the same, and its next request stands
//! behind it. A small rest is read and dropped while the answer is on its way. For a large one, or one of unknown
//! length, the answer says `Connection: close` and the connection is closed in stages (RFC 9112 §9.6, see
//! [`super::transport`]).

use std::future::Future as _;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use futures_util::task::AtomicWaker;
use http::header::CONNECTION;
use http::{HeaderMap, HeaderValue};
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use tokio::time::Sleep;

/// Longest rest of a body that is read for the sake of the connection: about what a client has sent anyway before it could
/// see an answer. Reading more costs both sides more than a new connection.
const KEEP_BYTES_MAX: u64 = 256 * 1024;
/// Most bytes of an unread rest that are read where the answer did not, or could not, keep the client from sending them.
/// Larger than every body that a client sends in good faith to a wrong place; the time limit is the one that protects.
pub(super) const REST_BYTES_MAX: u64 = 256 * 1024 * 1024;
/// Longest time for which an unread rest is read: as common servers linger.
pub(super) const REST_TIME_MAX: Duration = Duration::from_secs(30);

/// The state is in the lowest bits, the number of the request above them: a body that outlives its request's turn (a
/// function holds it still, though all of it has arrived) says nothing about the next one.
const STATE_BITS: u32 = 3;
const STATE_MASK: u64 = (1 << STATE_BITS) - 1;

/// There is no body, or all of it was read.
const NONE: u64 = 0;
/// The handler has the body; its answer has not come.
const HELD: u64 = 1;
/// The handler has dropped the body before its end; its answer has not come.
const LEFT: u64 = 2;
/// The handler has the body still, and its answer is on its way.
const HELD_AFTER_ANSWER: u64 = 3;
/// The rest is being read and dropped.
const DRAINING: u64 = 4;

/// The unread rest of the request body of one connection. HTTP/1.1 has one request at a time.
#[derive(Debug, Default)]
pub(super) struct Unread {
    state: AtomicU64,
    rest: Mutex<Option<Incoming>>,
    /// The connection's task, while it waits for a handler to let go of a body.
    connection: AtomicWaker,
    announced: AtomicBool,
}

/// A request's body, which leaves its unread rest to its connection.
#[derive(Debug)]
pub(super) struct RequestBody {
    incoming: Option<Incoming>,
    turn: u64,
    unread: Arc<Unread>,
}

/// Reads and drops an unread rest, within bounds.
#[derive(Debug, Default)]
pub(super) struct Drain {
    turn: u64,
    bytes: u64,
    until: Option<Pin<Box<Sleep>>>,
}

// === impl Unread ===

impl Unread {
    /// Takes the body of the connection's next request.
    pub(super) fn watch(self: &Arc<Self>, incoming: Incoming) -> RequestBody {
        let was = self.state.load(Ordering::Relaxed);
        if was & STATE_MASK == DRAINING {
            // Its end has arrived, and was not looked at.
            *self.rest.lock().unwrap_or_else(PoisonError::into_inner) = None;
        }
        let turn = (was >> STATE_BITS).wrapping_add(1) & (u64::MAX >> STATE_BITS);
        self.state
            .store(turn << STATE_BITS | HELD, Ordering::Relaxed);
        RequestBody {
            incoming: Some(incoming),
            turn,
            unread: Arc::clone(self),
        }
    }

    /// Decides, when the answer has come, what becomes of a rest that was left: it is read while the answer goes out, or the
    /// answer says that the connection ends. `expects`: the client waits for a word before it sends the body.
    pub(super) fn settle(&self, answer: &mut HeaderMap, expects: bool) {
        let was = self.state.load(Ordering::Acquire);
        match was & STATE_MASK {
            HELD => {
                let after = was & !STATE_MASK | HELD_AFTER_ANSWER;
                let changed =
                    self.state
                        .compare_exchange(was, after, Ordering::AcqRel, Ordering::Acquire);
                if changed.is_err() {
                    // It was dropped in this moment.
                    self.settle_left(answer, expects);
                }
            }
            LEFT => self.settle_left(answer, expects),
            _ => {}
        }
    }

    fn settle_left(&self, answer: &mut HeaderMap, expects: bool) {
        let mut rest = self.rest.lock().unwrap_or_else(PoisonError::into_inner);
        let turn = self.state.load(Ordering::Relaxed) & !STATE_MASK;
        let small = rest.as_ref().is_none_or(|rest| {
            rest.size_hint()
                .upper()
                .is_some_and(|left| left <= KEEP_BYTES_MAX)
        });
        // Whoever waits for a word may send the body or not after this answer: what comes next would be a guess.
        if small && !expects {
            self.state.store(turn | DRAINING, Ordering::Relaxed);
            return;
        }
        *rest = None;
        self.state.store(turn | NONE, Ordering::Relaxed);
        self.announced.store(true, Ordering::Relaxed);
        answer.insert(CONNECTION, HeaderValue::from_static("close"));
    }

    /// Whether an answer has told the client that the connection ends while a body was on its way.
    pub(super) fn is_close_announced(&self) -> bool {
        self.announced.load(Ordering::Relaxed)
    }

    /// Reads on in an unread rest. Ready when there is something for the connection to do; pending as well when there is no
    /// rest, which costs one look.
    pub(super) fn poll_drained(&self, drain: &mut Drain, cx: &mut Context<'_>) -> Poll<()> {
        let mut state = self.state.load(Ordering::Acquire);
        if state & STATE_MASK == HELD_AFTER_ANSWER {
            self.connection.register(cx.waker());
            state = self.state.load(Ordering::Acquire);
        }
        if state & STATE_MASK != DRAINING {
            return Poll::Pending;
        }
        if drain.turn != state >> STATE_BITS {
            *drain = Drain {
                turn: state >> STATE_BITS,
                ..Drain::default()
            };
        }
        let mut rest = self.rest.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(incoming) = rest.as_mut() {
            std::task::ready!(drain.poll(incoming, cx));
        }
        *rest = None;
        self.state
            .store(state & !STATE_MASK | NONE, Ordering::Relaxed);
        Poll::Ready(())
    }

    /// The handler lets go of its body: what then holds, before and after the answer. `false` if its turn is over.
    fn leave(&self, turn: u64, before: u64, after: u64) -> bool {
        let mut was = self.state.load(Ordering::Acquire);
        while was >> STATE_BITS == turn {
            let waits = was & STATE_MASK == HELD_AFTER_ANSWER;
            let new = turn << STATE_BITS | if waits { after } else { before };
            match self
                .state
                .compare_exchange_weak(was, new, Ordering::AcqRel, Ordering::Acquire)
            {
                Ok(_) => {
                    if waits {
                        self.connection.wake();
                    }
                    return true;
                }
                Err(other) => was = other,
            }
        }
        false
    }
}

// === impl Drain ===

impl Drain {
    /// Ready at the rest's end, or at a bound.
    fn poll(&mut self, incoming: &mut Incoming, cx: &mut Context<'_>) -> Poll<()> {
        let until = self
            .until
            .get_or_insert_with(|| Box::pin(tokio::time::sleep(REST_TIME_MAX)));
        if until.as_mut().poll(cx).is_ready() {
            return Poll::Ready(());
        }
        while let Some(Ok(frame)) = std::task::ready!(Pin::new(&mut *incoming).poll_frame(cx)) {
            self.bytes += frame.data_ref().map_or(0, |data| data.len() as u64);
            if self.bytes > REST_BYTES_MAX {
                break;
            }
        }
        Poll::Ready(())
    }
}

// === impl RequestBody ===

impl RequestBody {
    /// Nothing more is to be read: the next request may come before this body is dropped.
    fn ended(&mut self) {
        if self.incoming.take().is_some() {
            self.unread.leave(self.turn, NONE, NONE);
        }
    }
}

impl Drop for RequestBody {
    fn drop(&mut self) {
        let Some(incoming) = self.incoming.take() else {
            return;
        };
        if incoming.is_end_stream() {
            self.unread.leave(self.turn, NONE, NONE);
            return;
        }
        let mut rest = self
            .unread
            .rest
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        // There before anybody is told of it, and gone again if the next request has begun.
        *rest = Some(incoming);
        if !self.unread.leave(self.turn, LEFT, DRAINING) {
            *rest = None;
        }
    }
}

impl Body for RequestBody {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let Some(incoming) = &mut self.incoming else {
            return Poll::Ready(None);
        };
        let polled = std::task::ready!(Pin::new(&mut *incoming).poll_frame(cx));
        if !matches!(polled, Some(Ok(_))) || incoming.is_end_stream() {
            self.ended();
        }
        Poll::Ready(polled)
    }

    fn is_end_stream(&self) -> bool {
        self.incoming.as_ref().is_none_or(Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.incoming
            .as_ref()
            .map_or_else(|| SizeHint::with_exact(0), Body::size_hint)
    }
}
