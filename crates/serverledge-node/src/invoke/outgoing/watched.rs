//! Responses of hosts outside while functions read them: their lines in the record of the run, and whether the run depends
//! on something that may be another next time.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{Response, StatusCode};
use http_body::{Body, Frame, SizeHint};
use serverledge_core::{BodyError, BoxTunnel, HttpBody, OutboundError};

use super::tunnels::{self, BROKEN};
use crate::runs::requests::LoggedRequest;

/// The requests of an invocation without a response that may come again: outstanding, failed, or answered with the
/// state of a server at one moment.
#[derive(Debug, Default)]
pub(in crate::invoke) struct UnsettledRequests(Arc<AtomicUsize>);

/// The body of a response.
struct WatchedBody {
    body: HttpBody,
    unsettled: Arc<AtomicUsize>,
    line: Option<LoggedRequest>,
}

// === impl UnsettledRequests ===

impl UnsettledRequests {
    /// Whether there is any.
    pub(in crate::invoke) fn is_any(&self) -> bool {
        self.0.load(Ordering::Relaxed) > 0
    }

    /// Awaits the response of a request, and watches its body.
    pub(in crate::invoke) async fn watch(
        &self,
        line: Option<LoggedRequest>,
        sent: impl Future<Output = Result<Response<HttpBody>, OutboundError>>,
    ) -> Result<Response<HttpBody>, OutboundError> {
        // Not taken back where it fails, or where the function drops it.
        self.0.fetch_add(1, Ordering::Relaxed);
        let response = sent.await?;
        let status = response.status();
        if lasts(status) {
            self.0.fetch_sub(1, Ordering::Relaxed);
        }
        if let Some(line) = &line {
            line.answered(status);
        }
        let unsettled = Arc::clone(&self.0);
        Ok(response.map(|body| -> HttpBody {
            Box::pin(WatchedBody {
                body,
                unsettled,
                line,
            })
        }))
    }

    /// Awaits a tunnel, and watches it. The line says 200, as the answer to CONNECT does.
    pub(in crate::invoke) async fn watch_tunnel(
        &self,
        line: Option<LoggedRequest>,
        opened: impl Future<Output = Result<BoxTunnel, OutboundError>>,
    ) -> Result<BoxTunnel, OutboundError> {
        // Not taken back where it fails, or where the function gives it up.
        self.0.fetch_add(1, Ordering::Relaxed);
        let tunnel = opened.await?;
        self.0.fetch_sub(1, Ordering::Relaxed);
        if let Some(line) = &line {
            line.answered(StatusCode::OK);
        }
        Ok(tunnels::watched(tunnel, Arc::clone(&self.0), line))
    }
}

/// Whether a response stands for more than the state of its server at one moment.
fn lasts(status: StatusCode) -> bool {
    !status.is_server_error() && status != StatusCode::TOO_MANY_REQUESTS
}

// === impl WatchedBody ===

impl Body for WatchedBody {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let polled = self.body.as_mut().poll_frame(cx);
        match (&polled, &self.line) {
            (Poll::Ready(Some(Ok(frame))), Some(line)) => {
                line.received(frame.data_ref().map_or(0, Bytes::len));
            }
            (Poll::Ready(Some(Err(error))), line) => {
                self.unsettled.fetch_add(1, Ordering::Relaxed);
                if let Some(line) = line {
                    let known = error.downcast_ref::<OutboundError>();
                    line.failed(known.map_or(BROKEN, OutboundError::code));
                }
            }
            _ => {}
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
    use http_body_util::{BodyExt as _, StreamBody};

    use super::*;
    use crate::clock::now;
    use crate::runs::requests::RequestLog;

    fn response(status: StatusCode, last: Option<BodyError>) -> Response<HttpBody> {
        let first = Ok(Frame::data(Bytes::from_static(b"12345")));
        let frames = [Some(first), last.map(Err)].into_iter().flatten();
        let body: HttpBody = Box::pin(StreamBody::new(futures_util::stream::iter(frames)));
        let mut response = Response::new(body);
        *response.status_mut() = status;
        response
    }

    #[tokio::test]
    async fn what_may_be_another_next_time_is_unsettled() {
        let settles = async |status: StatusCode| {
            let unsettled = UnsettledRequests::default();
            let sent = std::future::ready(Ok(response(status, None)));
            unsettled.watch(None, sent).await.unwrap();
            !unsettled.is_any()
        };
        for (status, expected) in [
            (StatusCode::OK, true),
            (StatusCode::NOT_FOUND, true),
            (StatusCode::FOUND, true),
            (StatusCode::TOO_MANY_REQUESTS, false),
            (StatusCode::BAD_GATEWAY, false),
        ] {
            assert_eq!(settles(status).await, expected, "{status}");
        }
        let unsettled = UnsettledRequests::default();
        let failed = std::future::ready(Err(OutboundError::TooMany(1)));
        assert!(unsettled.watch(None, failed).await.is_err());
        assert!(unsettled.is_any());
        let dropped = UnsettledRequests::default();
        let mut waiting = Box::pin(dropped.watch(None, std::future::pending()));
        assert!(futures_util::poll!(waiting.as_mut()).is_pending());
        drop(waiting);
        assert!(dropped.is_any());
    }

    #[tokio::test]
    async fn bodies_are_counted_and_may_break() {
        let unsettled = UnsettledRequests::default();
        let log = Arc::new(RequestLog::new(now()));
        let request = http::Request::get("https://a.example/").body(()).unwrap();
        for fault in [
            None,
            Some(BodyError::from("broken")),
            Some(BodyError::from(OutboundError::TooLarge {
                host: "a.example".to_owned(),
                bytes_max: 1,
            })),
        ] {
            let is_whole = fault.is_none();
            let sent = std::future::ready(Ok(response(StatusCode::OK, fault)));
            let line = log.begin(&request);
            let response = unsettled.watch(Some(line), sent).await.unwrap();
            assert_eq!(response.into_body().collect().await.is_ok(), is_whole);
            assert_eq!(unsettled.is_any(), !is_whole);
        }
        let (lines, _) = log.lines();
        let told = lines.iter().map(|line| (line.received, line.code));
        assert_eq!(
            told.collect::<Vec<_>>(),
            [
                (5, None),
                (5, Some("outbound_broken")),
                (5, Some("outbound_response_too_large"))
            ]
        );
    }
}
