//! Connections to hosts outside: to judged addresses, over TLS where the URL says so, within a time and a number. One
//! whose other end takes nothing more for a while ends with an error: hyper looks at nothing else while it has something
//! to write.

use std::future::Future;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use http::Uri;
use hyper::rt::{Read, ReadBufCursor, Write};
use hyper_rustls::{HttpsConnector, MaybeHttpsStream};
use hyper_util::client::legacy::connect::{Connected, Connection, HttpConnector};
use hyper_util::rt::TokioIo;
use rustls::ClientConfig;
use tokio::net::TcpStream;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Sleep;
use tower_service::Service;

use crate::error::Cause;
use crate::reach::Judge;

/// Longest time for which the other machine may not confirm what was sent to it.
#[cfg(target_os = "linux")]
const CONFIRM_TIMEOUT: Duration = Duration::from_secs(30);
/// The smallest share of the connections that one function may have.
const SHARE_MIN: usize = 8;

/// Makes connections. Clones share the number of connections.
#[derive(Clone)]
pub(super) struct Connector {
    https: HttpsConnector<HttpConnector<Judge>>,
    /// The connections of all functions.
    slots: Arc<Semaphore>,
    /// The connections of one function.
    share: Arc<Semaphore>,
    share_max: usize,
    limits: ConnectLimits,
}

/// The times of a connection.
#[derive(Debug, Clone, Copy)]
pub(super) struct ConnectLimits {
    /// Longest time in which it must come about.
    pub(super) connect: Duration,
    /// Longest time for which its other end may take nothing of what is there to be written.
    pub(super) stall: Duration,
}

/// An open connection, which counts until it is dropped.
pub(super) struct CountedStream {
    stream: MaybeHttpsStream<TokioIo<TcpStream>>,
    /// The wait that is under way while nothing can be written.
    stalled: Option<Pin<Box<Sleep>>>,
    stall_timeout: Duration,
    _slots: [OwnedSemaphorePermit; 2],
}

/// The reason why a connection was not tried, or not to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum ConnectFault {
    /// There are as many as there may be.
    #[error("no connection is free")]
    NoneFree,
    /// The function has as many as one may have.
    #[error("the function's share of the connections is taken")]
    ShareTaken,
    /// It did not come about in time.
    #[error("no connection came about in time")]
    Timeout,
}

// === impl Connector ===

impl Connector {
    pub(super) fn new(
        judge: Judge,
        tls: ClientConfig,
        limits: ConnectLimits,
        connections_max: usize,
    ) -> Self {
        let mut http = HttpConnector::new_with_resolver(judge);
        // TLS comes on top.
        http.enforce_http(false);
        http.set_nodelay(true);
        // Divided among the addresses of a name, so that one that is silent leaves time for the next.
        http.set_connect_timeout(Some(limits.connect));
        // A machine that is gone says nothing, and what was sent to it is not confirmed.
        #[cfg(target_os = "linux")]
        http.set_tcp_user_timeout(Some(CONFIRM_TIMEOUT));
        let share_max = (connections_max / 4).max(SHARE_MIN);
        Self {
            https: HttpsConnector::from((http, tls)),
            slots: Arc::new(Semaphore::new(connections_max)),
            share: Arc::new(Semaphore::new(share_max)),
            share_max,
            limits,
        }
    }

    /// The same for another function: with a share of its own.
    pub(super) fn for_another(&self) -> Self {
        Self {
            share: Arc::new(Semaphore::new(self.share_max)),
            ..self.clone()
        }
    }

    /// Number of connections that may still be made.
    pub(super) fn free(&self) -> usize {
        self.slots.available_permits()
    }

    /// Number of connections of the function.
    pub(super) fn open(&self) -> usize {
        self.share_max
            .saturating_sub(self.share.available_permits())
    }

    /// Whether the function has as many connections as it may.
    pub(super) fn is_share_taken(&self) -> bool {
        self.share.available_permits() == 0
    }
}

impl Service<Uri> for Connector {
    type Response = CountedStream;
    type Error = Cause;
    type Future = Pin<Box<dyn Future<Output = Result<CountedStream, Cause>> + Send>>;

    /// Ready at any time, and so are the connectors below.
    fn poll_ready(&mut self, _cx: &mut Context<'_>) -> Poll<Result<(), Cause>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let Self {
            mut https,
            slots,
            share,
            limits,
            ..
        } = self.clone();
        Box::pin(async move {
            let timeout = limits.connect;
            let share = tokio::time::timeout(timeout, share.acquire_owned()).await;
            let share = share.map_err(|_| ConnectFault::ShareTaken)??;
            let slot = tokio::time::timeout(timeout, slots.acquire_owned()).await;
            let slot = slot.map_err(|_| ConnectFault::NoneFree)??;
            let stream = tokio::time::timeout(timeout, https.call(uri)).await;
            let stream = stream.map_err(|_| ConnectFault::Timeout)??;
            Ok(CountedStream {
                stream,
                stalled: None,
                stall_timeout: limits.stall,
                _slots: [share, slot],
            })
        })
    }
}

// === impl CountedStream ===

impl CountedStream {
    fn stream(self: Pin<&mut Self>) -> Pin<&mut MaybeHttpsStream<TokioIo<TcpStream>>> {
        Pin::new(&mut self.get_mut().stream)
    }

    /// The outcome of an attempt to write. The wait begins with the first one that gets nowhere, and ends with one that
    /// gets somewhere.
    fn watched<T>(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        polled: Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        let this = self.get_mut();
        if polled.is_ready() {
            this.stalled = None;
            return polled;
        }
        let timeout = this.stall_timeout;
        let stalled = this
            .stalled
            .get_or_insert_with(|| Box::pin(tokio::time::sleep(timeout)));
        ready!(stalled.as_mut().poll(cx));
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }
}

impl Connection for CountedStream {
    fn connected(&self) -> Connected {
        self.stream.connected()
    }
}

impl Read for CountedStream {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        self.stream().poll_read(cx, buf)
    }
}

impl Write for CountedStream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let polled = self.as_mut().stream().poll_write(cx, buf);
        self.watched(cx, polled)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let polled = self.as_mut().stream().poll_flush(cx);
        self.watched(cx, polled)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let polled = self.as_mut().stream().poll_shutdown(cx);
        self.watched(cx, polled)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let polled = self.as_mut().stream().poll_write_vectored(cx, bufs);
        self.watched(cx, polled)
    }
}
