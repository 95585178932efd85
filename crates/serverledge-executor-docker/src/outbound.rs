//! The third socket of a container, by which its function sends requests to hosts outside: the node is an HTTP proxy on it. It
//! takes `CONNECT HOST:PORT` and requests with a whole URL (RFC 9110 §9.3.6 and §3.7). The container has no other way out.
//!
//! A request belongs to the invocation that runs; of several that run at once, to one of them. The host of that invocation
//! judges the request. A connection ends when no invocation runs any more.

use std::convert::Infallible;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderValue, Method, Request, Response, StatusCode, Version};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::ext::ReasonPhrase;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::{TokioIo, TokioTimer};
use parking_lot::Mutex;
use serverledge_core::{BodyError, BoxTunnel, HostCalls, HttpBody, OutboundError};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::calls::{Active, CallServer};
use crate::container::Hub;

/// Connections of one container that are served at once; others wait to be accepted. Sixteen requests of each of several
/// invocations fit.
const CONNECTIONS_MAX: usize = 64;
/// Time in which the head of a request must come. A connection without a request is closed after it.
const HEAD_LIMIT: Duration = Duration::from_secs(60);
/// Longest head of a request.
const HEAD_BYTES_MAX: usize = 64 * 1024;
/// Pause after a connection that could not be accepted: the machine is out of something.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// A connection that `CONNECT` has opened, and its way back to the function.
type OpenedTunnel = Mutex<Option<(OnUpgrade, BoxTunnel)>>;

/// A tunnel as tokio's copying has it.
struct TunnelIo(BoxTunnel);

/// Takes a container's requests on this socket, in tasks of the hub, for as long as its calls are taken.
pub(crate) fn start(hub: &Hub, listener: UnixListener, calls: &CallServer) {
    let accepting = accept(listener, calls.active(), calls.stopped());
    let closing = hub.stop.clone();
    drop(hub.tasks.spawn(async move {
        tokio::select! {
            () = accepting => {}
            () = closing.cancelled() => {}
        }
    }));
}

async fn accept(listener: UnixListener, active: Arc<Active>, stop: CancellationToken) {
    let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    let tasks = TaskTracker::new();
    loop {
        let next = async {
            let place = Arc::clone(&places).acquire_owned().await;
            (place, listener.accept().await)
        };
        let next = tokio::select! {
            next = next => next,
            () = stop.cancelled() => return,
        };
        let (Ok(place), Ok((stream, _))) = next else {
            tokio::time::sleep(ACCEPT_PAUSE).await;
            continue;
        };
        let active = Arc::clone(&active);
        let stop = stop.clone();
        drop(tasks.spawn(async move {
            let _place = place;
            let busy = active.busy();
            tokio::select! {
                () = serve(stream, active) => {}
                () = busy.cancelled() => {}
                () = stop.cancelled() => {}
            }
        }));
    }
}

/// One connection, from its first request to its end.
async fn serve(stream: UnixStream, active: Arc<Active>) {
    let opened = Arc::<OpenedTunnel>::default();
    let slot = Arc::clone(&opened);
    let service = service_fn(move |request: Request<Incoming>| {
        let active = Arc::clone(&active);
        let slot = Arc::clone(&slot);
        async move { Ok::<_, Infallible>(answer(request, &active, &slot).await) }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_LIMIT)
        .max_buf_size(HEAD_BYTES_MAX)
        .serve_connection(TokioIo::new(stream), service)
        .with_upgrades();
    if let Err(error) = connection.await {
        tracing::debug!(%error, "a function's connection to the node's proxy broke");
        return;
    }
    let taken = opened.lock().take();
    let Some((upgrade, tunnel)) = taken else {
        return;
    };
    let Ok(upgraded) = upgrade.await else {
        return;
    };
    let mut function = TokioIo::new(upgraded);
    // Whoever breaks off is not waited for: the other side finds its connection closed.
    let _copied = tokio::io::copy_bidirectional(&mut function, &mut TunnelIo(tunnel)).await;
}

/// The answer to a request of a function.
async fn answer(
    request: Request<Incoming>,
    active: &Active,
    opened: &OpenedTunnel,
) -> Response<HttpBody> {
    let Some(host) = active.host() else {
        let why = "requests go out while a call runs, and none does";
        return refusal(StatusCode::FORBIDDEN, "not_running", why);
    };
    if request.method() == Method::CONNECT {
        connect(request, &*host, opened).await
    } else {
        forward(request, &*host).await
    }
}

/// Opens a tunnel. Its bytes flow once this answer is sent.
async fn connect(
    request: Request<Incoming>,
    host: &dyn HostCalls,
    opened: &OpenedTunnel,
) -> Response<HttpBody> {
    let target = request.uri().authority().cloned();
    let Some(target) = target.filter(|target| target.port().is_some()) else {
        let why = "CONNECT takes a host and a port";
        return refusal(StatusCode::BAD_REQUEST, "outbound_url_invalid", why);
    };
    match host.tunnel(&target).await {
        Ok(tunnel) => {
            let upgrade = hyper::upgrade::on(request);
            *opened.lock() = Some((upgrade, tunnel));
            Response::new(body(Bytes::new()))
        }
        Err(error) => refused(&error),
    }
}

/// Sends a request with a whole URL. For one by https, TLS is the node's.
async fn forward(request: Request<Incoming>, host: &dyn HostCalls) -> Response<HttpBody> {
    if request.uri().authority().is_none() {
        let why = "a request through a proxy begins with a whole URL";
        return refusal(StatusCode::BAD_REQUEST, "outbound_url_invalid", why);
    }
    let request = request
        .map(|body| -> HttpBody { Box::pin(body.map_err(|error| -> BodyError { error.into() })) });
    match host.send(request).await {
        Ok(mut response) => {
            *response.version_mut() = Version::HTTP_11;
            response
        }
        Err(error) => refused(&error),
    }
}

fn refused(error: &OutboundError) -> Response<HttpBody> {
    let status = match error {
        OutboundError::NotGranted(_)
        | OutboundError::Host(_)
        | OutboundError::SecretHost { .. }
        | OutboundError::Refused(_) => StatusCode::FORBIDDEN,
        OutboundError::Url(_) => StatusCode::BAD_REQUEST,
        OutboundError::TooManyAtOnce(_) | OutboundError::TooMany(_) => {
            StatusCode::TOO_MANY_REQUESTS
        }
        OutboundError::Timeout { .. } => StatusCode::GATEWAY_TIMEOUT,
        _ => StatusCode::BAD_GATEWAY,
    };
    refusal(status, error.code(), &error.to_string())
}

/// An answer of the node's own. Its first line says the same as its body: of a tunnel that does not open, clients show that line.
fn refusal(status: StatusCode, code: &str, message: &str) -> Response<HttpBody> {
    let object = serde_json::json!({ "error": code, "message": message });
    let mut response = Response::new(body(object.to_string().into()));
    *response.status_mut() = status;
    let json = HeaderValue::from_static("application/json");
    response.headers_mut().insert(CONTENT_TYPE, json);
    if let Ok(reason) = ReasonPhrase::try_from(format!("{code}: {message}")) {
        response.extensions_mut().insert(reason);
    }
    response
}

fn body(bytes: Bytes) -> HttpBody {
    Box::pin(Full::new(bytes).map_err(|never| -> BodyError { match never {} }))
}

// === impl TunnelIo ===

impl AsyncRead for TunnelIo {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let polled = self.0.as_mut().poll_read(cx, buf.initialize_unfilled());
        let count = ready!(polled).map_err(io::Error::other)?;
        buf.advance(count);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for TunnelIo {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.0
            .as_mut()
            .poll_write(cx, buf)
            .map_err(io::Error::other)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.0.as_mut().poll_flush(cx).map_err(io::Error::other)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.0.as_mut().poll_shutdown(cx).map_err(io::Error::other)
    }
}

#[cfg(test)]
mod tests;
