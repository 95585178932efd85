//! A connection to a host outside for a function that speaks on it itself. The address is judged as for a request.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use http::Uri;
use hyper_util::rt::TokioIo;
use serverledge_core::{BoxTunnel, Tunnel, TunnelError};
use tokio::io::{AsyncRead as _, AsyncWrite as _, ReadBuf};
use tower_service::Service as _;

use super::body::InUse;
use super::connect::{Connector, CountedStream};
use crate::error::Cause;

/// The connection; it counts until it is dropped.
struct OpenTunnel {
    stream: TokioIo<CountedStream>,
    _in_use: InUse,
}

/// Connects, within the time and the number that the connector allows.
pub(super) async fn open(
    mut connector: Connector,
    uri: Uri,
    in_use: InUse,
) -> Result<BoxTunnel, Cause> {
    let stream = connector.call(uri).await?;
    Ok(Box::pin(OpenTunnel {
        stream: TokioIo::new(stream),
        _in_use: in_use,
    }))
}

// === impl OpenTunnel ===

impl OpenTunnel {
    fn stream(self: Pin<&mut Self>) -> Pin<&mut TokioIo<CountedStream>> {
        Pin::new(&mut self.get_mut().stream)
    }
}

impl Tunnel for OpenTunnel {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut [u8],
    ) -> Poll<Result<usize, TunnelError>> {
        let mut buf = ReadBuf::new(buf);
        ready!(self.stream().poll_read(cx, &mut buf))?;
        Poll::Ready(Ok(buf.filled().len()))
    }

    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<Result<usize, TunnelError>> {
        self.stream().poll_write(cx, buf).map_err(Into::into)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), TunnelError>> {
        self.stream().poll_flush(cx).map_err(Into::into)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), TunnelError>> {
        self.stream().poll_shutdown(cx).map_err(Into::into)
    }
}
