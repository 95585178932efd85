//! Outgoing requests of components: the invocation's host sends them, and the faults that it tells become error codes of
//! `wasi:http`. Those have no words, so that the words go to the function's log.

use std::pin::Pin;
use std::sync::{Arc, LazyLock};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body::{Body, Frame, SizeHint};
use http_body_util::BodyExt as _;
use http_body_util::combinators::UnsyncBoxBody;
use serverledge_core::{BodyError, HostCalls, HttpBody, OutboundError};
use tokio::time::Sleep;
use tokio_util::sync::{CancellationToken, DropGuard, WaitForCancellationFutureOwned};
use wasmtime_wasi_http::p2::bindings::http::types::ErrorCode;
use wasmtime_wasi_http::{
    DEFAULT_FORBIDDEN_HEADERS, Error, ForbiddenHeaderFilter, RequestOptions, WasiHttpHooks,
};

use crate::log_tail::LogTail;

/// Longest line of the log about a request: a host's name may be as long as a guest's memory.
const LINE_CHARS_MAX: usize = 1024;

/// A body as `wasi:http` has it.
type GuestBody = UnsyncBoxBody<Bytes, Error>;

/// The rest of the work for a request, which a host that drives its connections itself has none of.
type Io = Box<dyn Future<Output = Result<(), Error>> + Send>;

/// The outgoing requests of one invocation.
pub(crate) struct Outbound {
    host: Arc<dyn HostCalls>,
    reports: Reports,
}

/// The place where faults of requests are told, while the invocation lasts.
#[derive(Clone)]
struct Reports {
    log: LogTail,
    /// Cancelled at the invocation's end.
    ended: CancellationToken,
}

// === impl Outbound ===

impl Outbound {
    pub(crate) fn new(host: Arc<dyn HostCalls>, log: LogTail) -> Self {
        let ended = CancellationToken::new();
        Self {
            host,
            reports: Reports { log, ended },
        }
    }

    /// The host of the invocation.
    pub(crate) fn host(&self) -> Arc<dyn HostCalls> {
        Arc::clone(&self.host)
    }

    /// The log of the invocation.
    pub(crate) const fn log(&self) -> &LogTail {
        &self.reports.log
    }

    /// Ends the bodies of the requests when it is dropped. It is dropped before the store: what a store drops of a body
    /// that is still being written looks like its end, and the request would look whole.
    pub(crate) fn guard(&self) -> DropGuard {
        self.reports.ended.clone().drop_guard()
    }
}

static FORBIDDEN: LazyLock<ForbiddenHeaderFilter> =
    LazyLock::new(|| Arc::new(|name| DEFAULT_FORBIDDEN_HEADERS.contains(name)));

impl WasiHttpHooks for Outbound {
    fn forbidden_header_filter(&mut self) -> ForbiddenHeaderFilter {
        Arc::clone(&FORBIDDEN)
    }

    fn is_forbidden_header(&mut self, name: &http::HeaderName) -> bool {
        DEFAULT_FORBIDDEN_HEADERS.contains(name)
    }

    /// The guest polls the future in its store (0.3), or in a task that ends with its handle (0.2).
    fn send_request(
        &mut self,
        request: Request<GuestBody>,
        options: Option<RequestOptions>,
        _processed: Io,
    ) -> Box<dyn Future<Output = Result<(Response<GuestBody>, Io), Error>> + Send> {
        let host = Arc::clone(&self.host);
        let options = options.unwrap_or_default();
        Box::new(send(host, self.reports.clone(), request, options))
    }
}

/// Sends a request. The bodies are passed on as they come.
async fn send(
    host: Arc<dyn HostCalls>,
    reports: Reports,
    request: Request<GuestBody>,
    options: RequestOptions,
) -> Result<(Response<GuestBody>, Io), Error> {
    let name = request.uri().host().unwrap_or_default().to_owned();
    let request = request.map(|body| RequestBody::boxed(body, &reports.ended));
    let sending = host.send(request);
    let sent = match head_limit(&options) {
        Some(limit) => match tokio::time::timeout(limit, sending).await {
            Ok(sent) => sent,
            Err(_) => Err(OutboundError::Timeout {
                host: name.clone(),
                limit,
            }),
        },
        None => sending.await,
    };
    let response = sent.map_err(|fault| reports.report(&fault))?;
    let response = response.map(|body| {
        ResponseBody {
            body,
            host: name,
            reports,
            limit: options.between_bytes_timeout,
            wait: None,
        }
        .boxed_unsync()
    });
    let io: Io = Box::new(std::future::ready(Ok(())));
    Ok((response, io))
}

/// The longest time until the head of the response. The host has a limit of its own for connections, so that one for
/// these alone adds nothing.
fn head_limit(options: &RequestOptions) -> Option<Duration> {
    let connect = options.connect_timeout.unwrap_or_default();
    let first = options.first_byte_timeout?;
    Some(first.saturating_add(connect))
}

// === impl Reports ===

impl Reports {
    /// The code of a fault, whose words go to the log.
    fn report(&self, fault: &OutboundError) -> Error {
        // A request that ends with its function is nobody's fault.
        if !self.ended.is_cancelled() {
            let words = format!("{}: {fault}", fault.code());
            let shown = |c: char| if c.is_control() { ' ' } else { c };
            let line: String = words.chars().take(LINE_CHARS_MAX).map(shown).collect();
            self.log.push_line(&line);
        }
        error_code(fault)
    }

    /// The same for the fault of a response's body.
    fn report_body(&self, host: &str, fault: &BodyError) -> Error {
        match fault.downcast_ref() {
            Some(fault) => self.report(fault),
            None => self.report(&OutboundError::Broken {
                host: host.to_owned(),
                cause: fault.to_string(),
            }),
        }
    }
}

fn error_code(fault: &OutboundError) -> Error {
    match fault {
        OutboundError::NotGranted(_)
        | OutboundError::Host(_)
        | OutboundError::SecretHost { .. } => Error::HttpRequestDenied,
        OutboundError::Refused(_) => Error::DestinationIpProhibited,
        OutboundError::Url(_) => Error::HttpRequestUriInvalid,
        OutboundError::TooManyAtOnce(_) | OutboundError::TooMany(_) => {
            Error::ConnectionLimitReached
        }
        OutboundError::TooLarge { bytes_max, .. } => Error::HttpResponseBodySize(Some(*bytes_max)),
        OutboundError::Timeout { .. } => Error::HttpResponseTimeout,
        OutboundError::Unreachable { .. } => Error::DestinationUnavailable,
        OutboundError::Broken { .. } => Error::ConnectionTerminated,
        // A reason that is newer than this list.
        _ => Error::InternalError(None),
    }
}

/// The code of WASI 0.2 for an error with which bodies break off.
pub(crate) fn body_error_code(fault: &Error) -> ErrorCode {
    match fault {
        Error::HttpResponseBodySize(bytes) => ErrorCode::HttpResponseBodySize(*bytes),
        Error::HttpResponseTimeout => ErrorCode::HttpResponseTimeout,
        Error::ConnectionTerminated => ErrorCode::ConnectionTerminated,
        other => ErrorCode::InternalError(Some(other.to_string())),
    }
}

// === Bodies ===

/// The body of a request, as the host has it. It breaks off when the invocation ends.
struct RequestBody {
    body: GuestBody,
    ended: CancellationToken,
    end: Pin<Box<WaitForCancellationFutureOwned>>,
}

impl RequestBody {
    fn boxed(body: GuestBody, ended: &CancellationToken) -> HttpBody {
        Box::pin(Self {
            body,
            ended: ended.clone(),
            end: Box::pin(ended.clone().cancelled_owned()),
        })
    }
}

impl Body for RequestBody {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let this = &mut *self;
        match Pin::new(&mut this.body).poll_frame(cx) {
            Poll::Ready(None) if !this.ended.is_cancelled() => return Poll::Ready(None),
            Poll::Ready(None) => {}
            Poll::Ready(Some(frame)) => {
                return Poll::Ready(Some(frame.map_err(BodyError::from)));
            }
            Poll::Pending => ready!(this.end.as_mut().poll(cx)),
        }
        Poll::Ready(Some(Err("the function has ended".into())))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// The body of a response, as the guest has it.
struct ResponseBody {
    body: HttpBody,
    host: String,
    reports: Reports,
    /// The longest wait for a part of it that the guest wants, and the wait that is under way.
    limit: Option<Duration>,
    wait: Option<Pin<Box<Sleep>>>,
}

impl Body for ResponseBody {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        let this = &mut *self;
        if let Poll::Ready(frame) = this.body.as_mut().poll_frame(cx) {
            this.wait = None;
            let told = |fault: BodyError| this.reports.report_body(&this.host, &fault);
            return Poll::Ready(frame.map(|frame| frame.map_err(told)));
        }
        let Some(limit) = this.limit else {
            return Poll::Pending;
        };
        let wait = this
            .wait
            .get_or_insert_with(|| Box::pin(tokio::time::sleep(limit)));
        ready!(wait.as_mut().poll(cx));
        let host = this.host.clone();
        let fault = OutboundError::Timeout { host, limit };
        Poll::Ready(Some(Err(this.reports.report(&fault))))
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
    use tokio::sync::mpsc;

    use super::*;

    /// A body of what comes through a channel; the end of the channel is its end, as with `wasi:http`.
    struct Sent(mpsc::Receiver<Bytes>);

    impl Body for Sent {
        type Data = Bytes;
        type Error = Error;

        fn poll_frame(
            mut self: Pin<&mut Self>,
            cx: &mut Context<'_>,
        ) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
            let data = ready!(self.0.poll_recv(cx));
            Poll::Ready(data.map(|data| Ok(Frame::data(data))))
        }
    }

    fn request_body() -> (mpsc::Sender<Bytes>, CancellationToken, HttpBody) {
        let (sender, receiver) = mpsc::channel(1);
        let ended = CancellationToken::new();
        let body = RequestBody::boxed(Sent(receiver).boxed_unsync(), &ended);
        (sender, ended, body)
    }

    #[tokio::test]
    async fn a_body_that_was_ended_is_whole() {
        let (sender, _ended, mut body) = request_body();
        sender.send(Bytes::from_static(b"all")).await.unwrap();
        drop(sender);
        let frame = body.frame().await.unwrap().unwrap();
        assert_eq!(frame.into_data().unwrap(), "all");
        assert!(body.frame().await.is_none());
    }

    #[tokio::test]
    async fn a_body_whose_function_has_ended_is_not() {
        let (sender, ended, mut body) = request_body();
        ended.cancel();
        drop(sender);
        assert!(body.frame().await.unwrap().is_err());
    }

    /// A host that waits for more of it is told.
    #[tokio::test]
    async fn the_end_of_a_function_ends_a_wait() {
        let (_sender, ended, mut body) = request_body();
        let (frame, ()) = tokio::join!(body.frame(), async {
            tokio::task::yield_now().await;
            ended.cancel();
        });
        assert!(frame.unwrap().is_err());
    }

    fn response_body(body: HttpBody, limit: Option<Duration>) -> (LogTail, ResponseBody) {
        let log = LogTail::new(1024);
        let reports = Reports {
            log: log.clone(),
            ended: CancellationToken::new(),
        };
        let host = "example.org".to_owned();
        let body = ResponseBody {
            body,
            host,
            reports,
            limit,
            wait: None,
        };
        (log, body)
    }

    #[tokio::test]
    async fn a_guest_waits_as_long_as_it_likes() {
        let (_sender, receiver) = mpsc::channel(1);
        let silent = Box::pin(Sent(receiver).map_err(BodyError::from));
        let (log, mut body) = response_body(silent, Some(Duration::from_millis(20)));
        let fault = body.frame().await.unwrap().unwrap_err();
        assert!(matches!(fault, Error::HttpResponseTimeout), "{fault}");
        let line = "outbound_timeout: example.org did not answer within 0.02 s\n";
        assert_eq!(log.take(), line);
    }

    #[tokio::test]
    async fn a_fault_has_a_code_and_words() {
        let too_large = OutboundError::TooLarge {
            host: "example.org".to_owned(),
            bytes_max: 7,
        };
        for (fault, expected, line) in [
            (
                BodyError::from(too_large),
                "HttpResponseBodySize(Some(7))",
                "outbound_response_too_large: the response of example.org is longer than 7 bytes\n",
            ),
            (
                BodyError::from("cut\noff"),
                "ConnectionTerminated",
                "outbound_broken: the connection to example.org broke: cut off\n",
            ),
        ] {
            let frames = futures_util::stream::iter([Err::<Frame<Bytes>, _>(fault)]);
            let broken = Box::pin(http_body_util::StreamBody::new(frames));
            let (log, mut body) = response_body(broken, None);
            let code = body.frame().await.unwrap().unwrap_err();
            assert_eq!(format!("{code:?}"), expected);
            assert_eq!(log.take(), line);
        }
    }
}
