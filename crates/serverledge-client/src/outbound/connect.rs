//! Connections to hosts outside: to judged addresses, over TLS where the URL says so, within a time and a number.

use std::future::Future;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use http::Uri;
use hyper::rt::{Read, ReadBufCursor, Write};
use hyper_rustls::{HttpsConnector, MaybeHttpsStream};
use hyper_util::client::legacy::connect::{Connected, Connection, HttpConnector};
use hyper_util::rt::TokioIo;
use rustls::ClientConfig;
use tokio::net::TcpStream;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tower_service::Service;

use crate::error::Cause;
use crate::reach::Judge;

/// Makes connections. Clones share the number of connections.
#[derive(Clone)]
pub(super) struct Connector {
    https: HttpsConnector<HttpConnector<Judge>>,
    slots: Arc<Semaphore>,
    timeout: Duration,
}

/// An open connection, which counts until it is dropped.
pub(super) struct CountedStream {
    stream: MaybeHttpsStream<TokioIo<TcpStream>>,
    _slot: OwnedSemaphorePermit,
}

/// The reason why a connection was not tried, or not to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum ConnectFault {
    /// There are as many as there may be.
    #[error("no connection is free")]
    NoneFree,
    /// It did not come about in time.
    #[error("no connection came about in time")]
    Timeout,
}

// === impl Connector ===

impl Connector {
    pub(super) fn new(
        judge: Judge,
        tls: ClientConfig,
        timeout: Duration,
        connections_max: usize,
    ) -> Self {
        let mut http = HttpConnector::new_with_resolver(judge);
        // TLS comes on top.
        http.enforce_http(false);
        http.set_nodelay(true);
        // Divided among the addresses of a name, so that one that is silent leaves time for the next.
        http.set_connect_timeout(Some(timeout));
        Self {
            https: HttpsConnector::from((http, tls)),
            slots: Arc::new(Semaphore::new(connections_max)),
            timeout,
        }
    }

    /// Number of connections that may still be made.
    pub(super) fn free(&self) -> usize {
        self.slots.available_permits()
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
            timeout,
        } = self.clone();
        Box::pin(async move {
            let slot = tokio::time::timeout(timeout, slots.acquire_owned()).await;
            let slot = slot.map_err(|_| ConnectFault::NoneFree)??;
            let stream = tokio::time::timeout(timeout, https.call(uri)).await;
            let stream = stream.map_err(|_| ConnectFault::Timeout)??;
            Ok(CountedStream {
                stream,
                _slot: slot,
            })
        })
    }
}

// === impl CountedStream ===

impl CountedStream {
    fn stream(self: Pin<&mut Self>) -> Pin<&mut MaybeHttpsStream<TokioIo<TcpStream>>> {
        Pin::new(&mut self.get_mut().stream)
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
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.stream().poll_write(cx, buf)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.stream().poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.stream().poll_shutdown(cx)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.stream().poll_write_vectored(cx, bufs)
    }
}
