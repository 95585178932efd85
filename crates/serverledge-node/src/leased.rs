//! A reply's body that holds its invocation's lease: resources are free when the body has ended or is dropped.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use serverledge_core::{BodyError, HttpBody};

use crate::admission::LeaseGuard;

/// See the module.
pub(crate) struct LeasedBody {
    body: HttpBody,
    lease: Option<LeaseGuard>,
}

impl LeasedBody {
    pub(crate) fn new(body: HttpBody, lease: LeaseGuard) -> Self {
        Self { body, lease: Some(lease) }
    }
}

impl Body for LeasedBody {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
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
