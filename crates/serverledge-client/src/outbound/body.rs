//! The body of a response, which ends with an error where it is too long.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use serverledge_core::{BodyError, OutboundError};

use super::fault;

/// The body; see the module. Dropping it before its end closes the connection.
pub(super) struct LimitedBody {
    /// `None` after an error.
    body: Option<Incoming>,
    /// Bytes that may still come.
    left: u64,
    bytes_max: u64,
    host: String,
}

impl LimitedBody {
    pub(super) fn new(body: Incoming, bytes_max: u64, host: String) -> Self {
        Self {
            body: Some(body),
            left: bytes_max,
            bytes_max,
            host,
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
