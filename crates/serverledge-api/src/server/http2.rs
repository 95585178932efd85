//! HTTP/2 (RFC 9113) on a connection. Behind this module a request is the same whatever the connection speaks: its host is in
//! the field `Host`, its target is a path. What HTTP/1.1 bounds by its nature is bounded here by name: requests at once,
//! requests given up, and the time for which nothing is asked.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::Body;
use bytes::Bytes;
use http::header::{CONTENT_LENGTH, COOKIE, HOST};
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, Uri, Version};
use http_body::{Body as _, Frame, SizeHint};
use hyper::body::Incoming;
use hyper::rt::Executor;
use hyper::server::conn::http2;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::Notify;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::transport::Transport;
use super::{HEAD_BYTES_MAX, aside};
use crate::dispatch::App;
use crate::response::problem::ApiError;

/// Requests at once on one connection. What is admitted of them is bounded for the whole server, as for any connection.
const STREAMS_MAX: u32 = 100;
/// Bytes that a client may send ahead of what is read, for one request and for all of a connection.
const STREAM_WINDOW: u32 = 256 * 1024;
const CONNECTION_WINDOW: u32 = 1024 * 1024;
/// Bytes of an answer that wait for a slow reader.
const SEND_BUFFER: usize = 256 * 1024;
/// Header lines of a request, as in HTTP/1.1.
const HEADER_LINES_MAX: usize = 100;
/// Requests that a client has reset before the server took them, and errors of its own: beyond, it is told to go.
const RESETS_MAX: usize = 20;
const ERRORS_MAX: usize = 256;
/// Requests given up by their client in excess of those that were answered. A browser gives up a page's worth at once;
/// whoever gives up more than ten times what runs at once only makes work.
const GIVEN_UP_MAX: usize = 1_000;
/// Between two questions whether the client is there, and the time for its answer.
const PING_INTERVAL: Duration = Duration::from_secs(20);
/// Time for a client to take leave once it is told that the connection ends and nothing is under way.
const FAREWELL_MAX: Duration = Duration::from_secs(2);

/// Spawns a connection's requests where the drain waits for them, and ends them when it cuts.
#[derive(Debug, Clone)]
struct Requests {
    tasks: TaskTracker,
    cut: CancellationToken,
}

/// The requests of a connection, counted.
#[derive(Debug)]
struct Activity {
    began: Instant,
    /// Requests whose answers have not ended.
    open: AtomicUsize,
    /// The end of the last one, in milliseconds since the beginning.
    last_ms: AtomicU64,
    /// Given up by the client, less those that were answered.
    given_up: AtomicUsize,
    too_many: Notify,
}

/// One request, open until this is dropped with the end of its answer.
#[derive(Debug)]
struct OpenRequest {
    activity: Arc<Activity>,
    answered: bool,
}

/// The body of an answer, which keeps its request open.
struct AnswerBody {
    body: Body,
    _open: OpenRequest,
}

/// The means to serve a connection's requests, and the time that it may be idle.
pub(super) struct Setting {
    pub(super) app: App,
    pub(super) idle_timeout: Duration,
    pub(super) tasks: TaskTracker,
    pub(super) stop: CancellationToken,
    pub(super) cut: CancellationToken,
}

/// Serves a connection until its client leaves, or nothing was asked for too long, or the server stops.
pub(super) async fn serve<S>(transport: Transport<S>, setting: Setting)
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let Setting {
        app,
        idle_timeout,
        tasks,
        stop,
        cut,
    } = setting;
    let activity = Arc::new(Activity::new());
    let counted = Arc::clone(&activity);
    let service = service_fn(move |request: Request<Incoming>| {
        answer(app.clone(), OpenRequest::new(&counted), request)
    });
    let connection = http2::Builder::new(Requests { tasks, cut })
        .timer(TokioTimer::new())
        .max_concurrent_streams(STREAMS_MAX)
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_send_buf_size(SEND_BUFFER)
        .max_header_list_size(u32::try_from(HEAD_BYTES_MAX).unwrap_or(u32::MAX))
        .max_pending_accept_reset_streams(RESETS_MAX)
        .max_local_error_reset_streams(ERRORS_MAX)
        .keep_alive_interval(PING_INTERVAL)
        .keep_alive_timeout(PING_INTERVAL)
        .serve_connection(TokioIo::new(transport), service);
    let mut connection = std::pin::pin!(connection);
    let mut stopped = aside(stop.cancelled());
    let ended = tokio::select! {
        biased;
        ended = connection.as_mut() => Some(ended),
        () = activity.too_many.notified() => {
            tracing::debug!("a client gave up more than {GIVEN_UP_MAX} requests");
            return;
        }
        Some(()) = futures_util::StreamExt::next(&mut stopped) => None,
        () = activity.idle(idle_timeout) => None,
    };
    let ended = match ended {
        Some(ended) => ended,
        None => {
            connection.as_mut().graceful_shutdown();
            tokio::select! {
                biased;
                ended = connection => ended,
                () = activity.over() => return,
            }
        }
    };
    if let Err(fault) = ended {
        tracing::debug!(%fault, "a connection ended early");
    }
}

async fn answer(
    app: App,
    mut open: OpenRequest,
    request: Request<Incoming>,
) -> Result<Response<Body>, Infallible> {
    let is_head = request.method() == Method::HEAD;
    let mut response = match as_in_http1(request) {
        Ok(request) => app.handle(request.map(Body::new)).await,
        Err(refused) => app.refuse(refused),
    };
    if is_head {
        drop_body(&mut response);
    }
    open.answered();
    Ok(response.map(|body| Body::new(AnswerBody { body, _open: open })))
}

/// The answer to `HEAD` says how long the body would be, and has none (RFC 9110 §9.3.2): hyper leaves it out in HTTP/1.1,
/// and not in HTTP/2.
fn drop_body(response: &mut Response<Body>) {
    if let Some(length) = response
        .body()
        .size_hint()
        .exact()
        .filter(|length| *length > 0)
    {
        response
            .headers_mut()
            .entry(CONTENT_LENGTH)
            .or_insert_with(|| HeaderValue::from(length));
    }
    *response.body_mut() = Body::empty();
}

/// The request as it would have come over HTTP/1.1.
fn as_in_http1<B>(mut request: Request<B>) -> Result<Request<B>, ApiError> {
    if request.headers().len() > HEADER_LINES_MAX {
        let detail = format!("the request has more than {HEADER_LINES_MAX} header lines");
        return Err(ApiError::new(
            StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
            "too_many_headers",
            detail,
        ));
    }
    *request.version_mut() = Version::HTTP_11;
    join_cookies(request.headers_mut());
    let Some(authority) = request.uri().authority().cloned() else {
        return Ok(request);
    };
    let host = HeaderValue::from_str(authority.as_str()).map_err(|_| two_hosts())?;
    // RFC 9113 §8.3.1: another host there makes the request malformed.
    let same = |given: &HeaderValue| given.as_bytes().eq_ignore_ascii_case(host.as_bytes());
    if !request.headers().get_all(HOST).iter().all(same) {
        return Err(two_hosts());
    }
    request.headers_mut().insert(HOST, host);
    let mut parts = std::mem::take(request.uri_mut()).into_parts();
    if parts.path_and_query.is_some() {
        (parts.scheme, parts.authority) = (None, None);
    }
    *request.uri_mut() = Uri::from_parts(parts).map_err(|_| two_hosts())?;
    Ok(request)
}

fn two_hosts() -> ApiError {
    ApiError::new(
        StatusCode::BAD_REQUEST,
        "no_host",
        "the request names two hosts, or one that is none",
    )
}

/// HTTP/2 may split the field (RFC 9113 §8.2.3), and readers of HTTP/1.1 know one.
fn join_cookies(headers: &mut HeaderMap) {
    if headers.get_all(COOKIE).iter().nth(1).is_none() {
        return;
    }
    let all: Vec<&[u8]> = headers
        .get_all(COOKIE)
        .iter()
        .map(HeaderValue::as_bytes)
        .collect();
    if let Ok(joined) = HeaderValue::from_bytes(&all.join(&b"; "[..])) {
        headers.insert(COOKIE, joined);
    }
}

// === impl Requests ===

impl<F> Executor<F> for Requests
where
    F: Future<Output = ()> + Send + 'static,
{
    fn execute(&self, request: F) {
        drop(
            self.tasks
                .spawn(self.cut.clone().run_until_cancelled_owned(request)),
        );
    }
}

// === impl Activity ===

impl Activity {
    fn new() -> Self {
        Self {
            began: Instant::now(),
            open: AtomicUsize::new(0),
            last_ms: AtomicU64::new(0),
            given_up: AtomicUsize::new(0),
            too_many: Notify::new(),
        }
    }

    /// The end of the last request; `None` while one is open.
    fn quiet_since(&self) -> Option<Instant> {
        let last = self.began + Duration::from_millis(self.last_ms.load(Ordering::Acquire));
        (self.open.load(Ordering::Acquire) == 0).then_some(last)
    }

    /// Ends when nothing was asked for this time.
    async fn idle(&self, timeout: Duration) {
        loop {
            let until = self.quiet_since().unwrap_or_else(Instant::now) + timeout;
            if until <= Instant::now() {
                return;
            }
            tokio::time::sleep_until(until).await;
        }
    }

    /// Ends when nothing is under way, and the client has had time to leave.
    async fn over(&self) {
        loop {
            tokio::time::sleep(FAREWELL_MAX).await;
            if self.quiet_since().is_some() {
                return;
            }
        }
    }
}

// === impl OpenRequest ===

impl OpenRequest {
    fn new(activity: &Arc<Activity>) -> Self {
        activity.open.fetch_add(1, Ordering::AcqRel);
        Self {
            activity: Arc::clone(activity),
            answered: false,
        }
    }

    fn answered(&mut self) {
        self.answered = true;
        let less = |count: usize| Some(count.saturating_sub(1));
        let _ = self
            .activity
            .given_up
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, less);
    }
}

impl Drop for OpenRequest {
    fn drop(&mut self) {
        let activity = &self.activity;
        let ms = u64::try_from(activity.began.elapsed().as_millis()).unwrap_or(u64::MAX);
        activity.last_ms.store(ms, Ordering::Release);
        activity.open.fetch_sub(1, Ordering::AcqRel);
        if !self.answered && activity.given_up.fetch_add(1, Ordering::AcqRel) >= GIVEN_UP_MAX {
            activity.too_many.notify_one();
        }
    }
}

// === impl AnswerBody ===

impl http_body::Body for AnswerBody {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.body).poll_frame(cx)
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
    use super::*;

    fn converted(
        uri: &str,
        headers: &[(&'static str, &str)],
    ) -> Result<(String, String, String), String> {
        let mut request = Request::builder().version(Version::HTTP_2).uri(uri);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request =
            as_in_http1(request.body(()).unwrap()).map_err(|refused| refused.code().to_owned())?;
        let of = |name: &str| {
            request
                .headers()
                .get(name)
                .map_or("", |value| value.to_str().unwrap())
                .to_owned()
        };
        Ok((request.uri().to_string(), of("host"), of("cookie")))
    }

    #[test]
    fn a_request_is_what_it_would_have_been() {
        let told = |uri: &str, host: &str, cookie: &str| {
            Ok((uri.to_owned(), host.to_owned(), cookie.to_owned()))
        };
        assert_eq!(
            converted("https://a.example:1323/x?y=1", &[]),
            told("/x?y=1", "a.example:1323", "")
        );
        assert_eq!(
            converted("https://a.example/", &[("host", "A.example")]),
            told("/", "a.example", "")
        );
        assert_eq!(
            converted("/x", &[("host", "a.example")]),
            told("/x", "a.example", "")
        );
        assert_eq!(
            converted("/x", &[("cookie", "a=1"), ("cookie", "b=2")]),
            told("/x", "", "a=1; b=2")
        );
        assert_eq!(
            converted("https://a.example/", &[("host", "b.example")]),
            Err("no_host".to_owned())
        );
        let lines: Vec<_> = (0..=HEADER_LINES_MAX).map(|_| ("x-a", "1")).collect();
        assert_eq!(converted("/", &lines), Err("too_many_headers".to_owned()));
    }

    #[tokio::test(start_paused = true)]
    async fn a_connection_is_idle_when_nothing_was_asked_for_long() {
        let second = Duration::from_secs(1);
        let activity = Arc::new(Activity::new());
        let mut idle = std::pin::pin!(activity.idle(10 * second));
        assert!(futures_util::poll!(&mut idle).is_pending());
        tokio::time::advance(9 * second).await;
        let open = OpenRequest::new(&activity);
        tokio::time::advance(100 * second).await;
        assert!(
            futures_util::poll!(&mut idle).is_pending(),
            "a request is open"
        );
        drop(open);
        let began = Instant::now();
        idle.await;
        assert_eq!(began.elapsed(), 10 * second);
    }

    #[tokio::test]
    async fn whoever_only_gives_up_is_told_to_go() {
        let activity = Arc::new(Activity::new());
        for _ in 0..2 * GIVEN_UP_MAX {
            drop(OpenRequest::new(&activity));
            OpenRequest::new(&activity).answered();
        }
        let told =
            async || futures_util::poll!(std::pin::pin!(activity.too_many.notified())).is_ready();
        assert!(!told().await, "as many were answered");
        for _ in 0..=GIVEN_UP_MAX {
            drop(OpenRequest::new(&activity));
        }
        assert!(told().await);
    }
}
