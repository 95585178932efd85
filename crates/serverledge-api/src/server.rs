//! Carries the application over TCP or TLS, in HTTP/1.1 or HTTP/2: limits on connections, headers and idleness, and a drain that lets requests end.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Poll, ready};
use std::time::Duration;

use axum::body::Body;
use bytes::Bytes;
use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use http::header::EXPECT;
use http::{Request, Response};
use http_body::Body as _;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::dispatch::App;

mod head_timer;
mod http2;
mod preface;
pub(crate) mod tls;
mod transport;
mod unread;

use head_timer::HeadTimer;
use tls::Tls;
use transport::Transport;
use unread::{Drain, Unread};

/// Bytes of a request's head: generous for browsers, small against floods.
const HEAD_BYTES_MAX: usize = 64 * 1024;
/// Pause after the machine refuses a connection (no descriptors left): others must end first.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Limits of connections.
#[derive(Debug, Clone, Copy)]
pub struct ServerLimits {
    /// Connections at once; more wait in the kernel's backlog.
    pub connections_max: usize,
    /// Time for a request's head to arrive, for a TLS handshake, and for the next request on an idle connection.
    pub header_timeout: Duration,
}

/// A server that accepts connections until it is told to stop.
#[derive(Debug)]
pub struct Serving {
    /// The address that it listens on.
    pub address: SocketAddr,
    stop: CancellationToken,
    cut: CancellationToken,
    tasks: TaskTracker,
}

impl Serving {
    /// Stops accepting, ends answers that have no end of their own, lets running requests end for at most `patience`, then cuts them off. Returns whether all
    /// ended by themselves. Dropping the future leaves the drain under way.
    pub async fn drain(self, patience: Duration) -> bool {
        self.stop.cancel();
        self.tasks.close();
        let ended = tokio::time::timeout(patience, self.tasks.wait())
            .await
            .is_ok();
        self.cut.cancel();
        self.tasks.wait().await;
        ended
    }
}

/// Starts serving on a bound listener.
///
/// # Errors
/// Only if the listener has no address.
pub fn serve(listener: TcpListener, app: App, limits: ServerLimits) -> io::Result<Serving> {
    start(listener, None, app, limits)
}

/// The same with TLS: a connection that does not begin with a handshake is closed. The certificate is read again when its
/// files change.
///
/// # Errors
/// Only if the listener has no address.
pub fn serve_tls(
    listener: TcpListener,
    tls: Tls,
    app: App,
    limits: ServerLimits,
) -> io::Result<Serving> {
    start(listener, Some(tls), app, limits)
}

fn start(
    listener: TcpListener,
    tls: Option<Tls>,
    app: App,
    limits: ServerLimits,
) -> io::Result<Serving> {
    let address = listener.local_addr()?;
    let stop = CancellationToken::new();
    let cut = CancellationToken::new();
    let tasks = TaskTracker::new();
    let app = app.until(stop.clone());
    let acceptor = tls.as_ref().map(Tls::acceptor);
    if let Some(tls) = tls {
        drop(tasks.spawn(stop.clone().run_until_cancelled_owned(tls.follow())));
    }
    let acceptor = Acceptor {
        app,
        tls: acceptor,
        limits,
        tasks: tasks.clone(),
        stop: stop.clone(),
        cut: cut.clone(),
    };
    drop(tasks.spawn(acceptor.run(listener)));
    Ok(Serving {
        address,
        stop,
        cut,
        tasks,
    })
}

struct Acceptor {
    app: App,
    tls: Option<TlsAcceptor>,
    limits: ServerLimits,
    tasks: TaskTracker,
    stop: CancellationToken,
    cut: CancellationToken,
}

impl Acceptor {
    async fn run(self, listener: TcpListener) {
        let places = Arc::new(Semaphore::new(self.limits.connections_max));
        loop {
            tokio::select! {
                () = self.stop.cancelled() => return,
                accepted = accept(&listener, &places) => match accepted {
                    Ok((stream, place)) => self.start(stream, place),
                    Err(fault) => {
                        tracing::warn!(%fault, "failed to accept a connection");
                        tokio::time::sleep(ACCEPT_PAUSE).await;
                    }
                },
            }
        }
    }

    fn start(&self, stream: TcpStream, place: OwnedSemaphorePermit) {
        let app = self.app.clone().on_connection(stream.peer_addr().ok());
        let tls = self.tls.clone();
        let tasks = self.tasks.clone();
        let stop = self.stop.clone();
        let cut = self.cut.clone();
        let connection = Connection {
            app,
            limits: self.limits,
            tasks,
            stop,
            cut: cut.clone(),
        };
        let serving = async move {
            match tls {
                None => connection.plain(stream).await,
                Some(tls) => connection.under_tls(stream, &tls).await,
            }
        };
        drop(self.tasks.spawn(async move {
            let mut cut = aside(cut.cancelled());
            tokio::select! {
                biased;
                () = serving => {}
                Some(()) = cut.next() => {}
            }
            drop(place);
        }));
    }
}

/// The means to serve one connection.
struct Connection {
    app: App,
    limits: ServerLimits,
    tasks: TaskTracker,
    stop: CancellationToken,
    cut: CancellationToken,
}

impl Connection {
    /// Without TLS the first bytes say which HTTP is spoken.
    async fn plain(self, mut stream: TcpStream) {
        let reading = tokio::time::timeout(self.limits.header_timeout, preface::read(&mut stream));
        match self.stop.run_until_cancelled(reading).await {
            Some(Ok(Ok((http2, ahead)))) => self.serve(stream, ahead, http2).await,
            Some(Ok(Err(fault))) => {
                tracing::debug!(%fault, "a connection ended before its first request")
            }
            Some(Err(_)) | None => {}
        }
    }

    /// Under TLS the handshake says it (RFC 7301).
    async fn under_tls(self, stream: TcpStream, tls: &TlsAcceptor) {
        let Some(stream) = handshake(tls, stream, self.limits, &self.stop).await else {
            return;
        };
        let http2 = stream.get_ref().1.alpn_protocol() == Some(tls::HTTP_2);
        self.serve(stream, Bytes::new(), http2).await;
    }

    async fn serve<S>(self, stream: S, ahead: Bytes, http2: bool)
    where
        S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        let unread = Arc::new(Unread::default());
        let transport = Transport::new(stream, ahead, Arc::clone(&unread), self.stop.clone());
        let Self {
            app,
            limits,
            tasks,
            stop,
            cut,
        } = self;
        if http2 {
            let setting = http2::Setting {
                app,
                idle_timeout: limits.header_timeout,
                tasks,
                stop,
                cut,
            };
            // Boxed: the future of a connection is no larger than the usual kind needs.
            return Box::pin(http2::serve(transport, setting)).await;
        }
        http1_connection(transport, &app, unread, limits, stop).await;
    }
}

/// A future that is polled only when it wakes: a connection is polled for every request, and whether a token was cancelled
/// is asked under a lock that all connections share.
fn aside<F: Future>(future: F) -> FuturesUnordered<F> {
    std::iter::once(future).collect()
}

async fn accept(
    listener: &TcpListener,
    places: &Arc<Semaphore>,
) -> io::Result<(TcpStream, OwnedSemaphorePermit)> {
    let place = Arc::clone(places)
        .acquire_owned()
        .await
        .map_err(io::Error::other)?;
    let (stream, _) = listener.accept().await?;
    // Replies are one small write each; waiting to fill a segment would only add delay.
    stream.set_nodelay(true)?;
    Ok((stream, place))
}

/// The connection under TLS; `None` if it does not come about in time.
async fn handshake(
    tls: &TlsAcceptor,
    stream: TcpStream,
    limits: ServerLimits,
    stop: &CancellationToken,
) -> Option<TlsStream<TcpStream>> {
    let shaken = tokio::time::timeout(limits.header_timeout, tls.accept(stream));
    match stop.run_until_cancelled(shaken).await? {
        Ok(Ok(stream)) => return Some(stream),
        Ok(Err(fault)) => tracing::debug!(%fault, "a TLS handshake failed"),
        Err(_) => tracing::debug!(
            "a TLS handshake took longer than {:?}",
            limits.header_timeout
        ),
    }
    None
}

async fn http1_connection<S>(
    transport: Transport<S>,
    app: &App,
    unread: Arc<Unread>,
    limits: ServerLimits,
    stop: CancellationToken,
) where
    S: AsyncRead + AsyncWrite + Send + Unpin,
{
    let service = service_fn(|request: Request<Incoming>| answer(app, &unread, request));
    // hyper takes at most 100 header lines; told another number, it makes room for so many on the heap, twice a request.
    let connection = http1::Builder::new()
        .timer(HeadTimer::default())
        .header_read_timeout(limits.header_timeout)
        .max_buf_size(HEAD_BYTES_MAX)
        .serve_connection(TokioIo::new(transport), service);
    let mut connection = std::pin::pin!(connection);
    let mut stopped = aside(stop.cancelled());
    let mut drain = Drain::default();
    let ended = tokio::select! {
        biased;
        ended = driven(connection.as_mut(), &unread, &mut drain) => ended,
        Some(()) = stopped.next() => {
            connection.as_mut().graceful_shutdown();
            driven(connection, &unread, &mut drain).await
        }
    };
    if let Err(fault) = ended {
        tracing::debug!(%fault, "a connection ended early");
    }
}

/// One request of a connection, whose answer says so if the connection ends with it.
async fn answer(
    app: &App,
    unread: &Arc<Unread>,
    request: Request<Incoming>,
) -> Result<Response<Body>, Infallible> {
    if request.body().is_end_stream() {
        return Ok(app.handle(request.map(|_| Body::empty())).await);
    }
    let expects = request.headers().contains_key(EXPECT);
    let mut response = app
        .handle(request.map(|body| Body::new(unread.watch(body))))
        .await;
    unread.settle(response.headers_mut(), expects);
    Ok(response)
}

/// Drives a connection, and reads what its handlers left of their requests' bodies.
async fn driven<F: Future>(
    mut connection: Pin<&mut F>,
    unread: &Unread,
    drain: &mut Drain,
) -> F::Output {
    std::future::poll_fn(|cx| {
        loop {
            if let Poll::Ready(ended) = connection.as_mut().poll(cx) {
                return Poll::Ready(ended);
            }
            ready!(unread.poll_drained(drain, cx));
        }
    })
    .await
}
