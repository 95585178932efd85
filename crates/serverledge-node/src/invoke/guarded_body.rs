//! A reply's body that holds a resource of its invocation, such as its lease, until the body has ended or is dropped.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use serverledge_core::{BodyError, HttpBody, Reply, Report};

use crate::functions::quotas::Permit;

/// The body; see the module.
pub(crate) struct GuardedBody<T> {
    body: HttpBody,
    lease: Option<T>,
}

impl<T> GuardedBody<T> {
    pub(crate) fn new(body: HttpBody, lease: T) -> Self {
        Self {
            body,
            lease: Some(lease),
        }
    }
}

impl<T: Unpin> Body for GuardedBody<T> {
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

/// The report, with the permit kept until the end of a streamed body.
pub(crate) fn until_its_end(report: Report, permit: Option<Permit>) -> Report {
    match (report.reply, permit) {
        (Reply::Http(response), Some(permit)) => {
            let response =
                response.map(|body| -> HttpBody { Box::pin(GuardedBody::new(body, permit)) });
            Report {
                reply: Reply::Http(Box::new(response)),
                ..report
            }
        }
        (reply, _) => Report { reply, ..report },
    }
}
