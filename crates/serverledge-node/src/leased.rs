//! A reply's body that holds something of its invocation, such as its lease: that is dropped when the body has ended or is
//! dropped.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use serverledge_core::{BodyError, HttpBody};

/// See the module.
pub(crate) struct LeasedBody<T> {
    body: HttpBody,
    lease: Option<T>,
}

impl<T> LeasedBody<T> {
    pub(crate) fn new(body: HttpBody, lease: T) -> Self {
        Self {
            body,
            lease: Some(lease),
        }
    }
}

impl<T: Unpin> Body for LeasedBody<T> {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let polled = self.body.as_mut().poll_frame(cx);
        if matches!(polled, Poll::Ready(None | Some(Err(_)))) {
            self.lease = None;
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
