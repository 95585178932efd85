//! The bodies of a request and its response. That of a response ends with an error where it is too long.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use serverledge_core::{BodyError, HttpBody, OutboundError};

use super::fault;

/// Marks its function's connections as used while it or a clone lives.
pub(super) type InUse = Arc<()>;

/// The body of a request.
pub(super) struct SentBody {
    body: HttpBody,
    _in_use: InUse,
}

/// The body of a response; see the module. Dropping it before its end closes the connection.
pub(super) struct LimitedBody {
    /// `None` after an error.
    body: Option<Incoming>,
    /// Bytes that may still come.
    left: u64,
    bytes_max: u64,
    host: String,
    _in_use: InUse,
}

// === impl SentBody ===

impl SentBody {
    pub(super) fn boxed(body: HttpBody, in_use: InUse) -> HttpBody {
        Box::pin(Self {
            body,
            _in_use: in_use,
        })
    }
}

impl Body for SentBody {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        self.body.as_mut().poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

// === impl LimitedBody ===

impl LimitedBody {
    pub(super) fn new(body: Incoming, bytes_max: u64, host: String, in_use: InUse) -> Self {
        Self {
            body: Some(body),
            left: bytes_max,
            bytes_max,
            host,
            _in_use: in_use,
        }
    }

    /// Ends the body, and with it the connection.
    fn fail(&mut self, error: OutboundError) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        self.body = None;
        Poll::Ready(Some(Err(error.into())))
    }
}

impl Body for LimitedBody {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let this = &mut *self;
        let Some(body) = &mut this.body else {
            return Poll::Ready(None);
        };
        let frame = match ready!(Pin::new(body).poll_frame(cx)) {
            Some(Ok(frame)) => frame,
            Some(Err(error)) => {
                let error = fault::of_body(this.host.clone(), &error);
                return this.fail(error);
            }
            None => return Poll::Ready(None),
        };
        let length = frame.data_ref().map_or(0, Bytes::len);
        match this.left.checked_sub(length as u64) {
            Some(left) => {
                this.left = left;
                Poll::Ready(Some(Ok(frame)))
            }
            None => {
                let error = OutboundError::TooLarge {
                    host: this.host.clone(),
                    bytes_max: this.bytes_max,
                };
                this.fail(error)
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.body.as_ref().is_none_or(Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.body
            .as_ref()
            .map_or_else(|| SizeHint::with_exact(0), Body::size_hint)
    }
}
