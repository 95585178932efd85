//! The sizes of the bodies of requests and responses, for the records of runs.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::HeaderMap;
use http::header::CONTENT_LENGTH;
use http_body::{Body, Frame, SizeHint};
use http_body_util::{BodyExt as _, Empty};
use serverledge_core::{BodyError, HttpBody};

/// The length that a body says of itself before it is read, or that its message says in a header.
pub(super) fn known(headers: &HeaderMap, body: &HttpBody) -> Option<u64> {
    let exact = body.size_hint().exact();
    exact.or_else(|| headers.get(CONTENT_LENGTH)?.to_str().ok()?.parse().ok())
}

/// Makes a body count its bytes as they are read.
pub(super) fn count(body: &mut HttpBody) -> Arc<AtomicU64> {
    let read = Arc::new(AtomicU64::new(0));
    let empty: HttpBody =
        Box::pin(Empty::<Bytes>::new().map_err(|never| -> BodyError { match never {} }));
    *body = Box::pin(CountedBody {
        body: std::mem::replace(body, empty),
        read: Arc::clone(&read),
    });
    read
}

/// A body, and the number of its bytes that were read.
struct CountedBody {
    body: HttpBody,
    read: Arc<AtomicU64>,
}

impl Body for CountedBody {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let polled = self.body.as_mut().poll_frame(cx);
        if let Poll::Ready(Some(Ok(frame))) = &polled
            && let Some(data) = frame.data_ref()
        {
            self.read.fetch_add(data.len() as u64, Relaxed);
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

#[cfg(test)]
mod tests {
    use http::HeaderValue;
    use http_body_util::{Full, StreamBody};

    use super::*;

    #[tokio::test]
    async fn a_size_is_known_or_counted() {
        let none = HeaderMap::new();
        let full = Full::new(Bytes::from_static(b"hello"));
        let full: HttpBody = Box::pin(full.map_err(|never| -> BodyError { match never {} }));
        assert_eq!(known(&none, &full), Some(5));

        let pieces = ["ab", "cde"]
            .map(|piece| Ok::<_, BodyError>(Frame::data(Bytes::from_static(piece.as_bytes()))));
        let mut streamed: HttpBody = Box::pin(StreamBody::new(futures_util::stream::iter(pieces)));
        assert_eq!(known(&none, &streamed), None);
        let said = HeaderMap::from_iter([(CONTENT_LENGTH, HeaderValue::from_static("5"))]);
        assert_eq!(known(&said, &streamed), Some(5));
        let read = count(&mut streamed);
        assert_eq!(read.load(Relaxed), 0);
        let whole = streamed.collect().await.unwrap().to_bytes();
        assert_eq!((&whole[..], read.load(Relaxed)), (&b"abcde"[..], 5));
    }
}
