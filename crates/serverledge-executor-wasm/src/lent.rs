//! A request's body, lent to a guest until its response is whole: then the connection takes back what was not read, and goes
//! on with the next request, though the guest may still be busy.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use parking_lot::Mutex;
use serverledge_core::{BodyError, HttpBody};

/// The body as the guest has it.
pub(crate) struct LentBody(Arc<Mutex<Lent>>);

/// The right to take it back.
pub(crate) struct Lender(Arc<Mutex<Lent>>);

struct Lent {
    /// `None` once it was taken back.
    body: Option<HttpBody>,
    /// Whoever waits for more of it.
    reader: Option<Waker>,
}

/// Lends a body. One that is at its end already is handed over as it is.
pub(crate) fn lend(body: HttpBody) -> (HttpBody, Option<Lender>) {
    if body.is_end_stream() {
        return (body, None);
    }
    let lent = Arc::new(Mutex::new(Lent {
        body: Some(body),
        reader: None,
    }));
    (Box::pin(LentBody(Arc::clone(&lent))), Some(Lender(lent)))
}

impl Lender {
    /// Takes the body back, and tells whoever waits for more of it.
    pub(crate) fn take_back(self) {
        let (body, reader) = {
            let mut lent = self.0.lock();
            (lent.body.take(), lent.reader.take())
        };
        drop(body);
        if let Some(reader) = reader {
            reader.wake();
        }
    }
}

impl Body for LentBody {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let mut lent = self.0.lock();
        let Some(body) = &mut lent.body else {
            return Poll::Ready(Some(Err(
                "the response is whole; a request is read before that".into(),
            )));
        };
        let polled = body.as_mut().poll_frame(cx);
        lent.reader = polled.is_pending().then(|| cx.waker().clone());
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.0.lock().body.as_ref().is_none_or(Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.0
            .lock()
            .body
            .as_ref()
            .map_or_else(SizeHint::default, Body::size_hint)
    }
}

#[cfg(test)]
mod tests {
    use http_body_util::{BodyExt as _, Empty, Full};

    use super::*;

    fn boxed<B>(body: B) -> HttpBody
    where
        B: Body<Data = Bytes, Error = std::convert::Infallible> + Send + 'static,
    {
        Box::pin(body.map_err(|never| match never {}))
    }

    #[tokio::test]
    async fn what_was_taken_back_is_not_read() {
        assert!(lend(boxed(Empty::new())).1.is_none());
        let (body, _lender) = lend(boxed(Full::new(Bytes::from_static(b"all of it"))));
        assert_eq!(body.collect().await.unwrap().to_bytes(), "all of it");
        let (mut body, lender) = lend(boxed(Full::new(Bytes::from_static(b"all of it"))));
        lender.unwrap().take_back();
        assert!(
            body.frame()
                .await
                .unwrap()
                .unwrap_err()
                .to_string()
                .contains("is whole")
        );
        assert!(body.is_end_stream());
    }

    #[tokio::test]
    #[expect(clippy::disallowed_methods, reason = "the task ends with the test")]
    async fn whoever_waits_is_told() {
        let never = http_body_util::StreamBody::new(futures_util::stream::pending::<
            Result<Frame<Bytes>, _>,
        >());
        let (mut body, lender) = lend(boxed(never));
        let reading = tokio::spawn(async move { body.frame().await.unwrap().is_err() });
        tokio::task::yield_now().await;
        lender.unwrap().take_back();
        assert!(reading.await.unwrap());
    }
}
