//! Tunnels of functions while they are open: what they count for, their lines in the record of the run, and whether one broke.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};

use prometheus::IntCounter;
use serverledge_core::{BoxTunnel, Tunnel, TunnelError};

use super::OutstandingRequest;
use crate::runs::requests::LoggedRequest;

/// The code of a tunnel or a body that ended early for a reason that has none.
pub(super) const BROKEN: &str = "outbound_broken";

/// A tunnel that counts as an outstanding request.
struct CountedTunnel {
    tunnel: BoxTunnel,
    /// Counts the bytes of the host.
    received: IntCounter,
    _outstanding: OutstandingRequest,
}

/// A tunnel with its line in the record of the run.
struct WatchedTunnel {
    tunnel: BoxTunnel,
    unsettled: Arc<AtomicUsize>,
    line: Option<LoggedRequest>,
    is_broken: bool,
}

pub(super) fn counted(
    tunnel: BoxTunnel,
    outstanding: OutstandingRequest,
    received: IntCounter,
) -> BoxTunnel {
    Box::pin(CountedTunnel {
        tunnel,
        received,
        _outstanding: outstanding,
    })
}

/// The number that is given grows if the tunnel breaks.
pub(super) fn watched(
    tunnel: BoxTunnel,
    unsettled: Arc<AtomicUsize>,
    line: Option<LoggedRequest>,
) -> BoxTunnel {
    Box::pin(WatchedTunnel {
        tunnel,
        unsettled,
        line,
        is_broken: false,
    })
}

// === impl CountedTunnel ===

impl Tunnel for CountedTunnel {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut [u8],
    ) -> Poll<Result<usize, TunnelError>> {
        let polled = self.tunnel.as_mut().poll_read(cx, buf);
        if let Poll::Ready(Ok(bytes)) = &polled {
            self.received.inc_by(*bytes as u64);
        }
        polled
    }

    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<Result<usize, TunnelError>> {
        self.tunnel.as_mut().poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), TunnelError>> {
        self.tunnel.as_mut().poll_flush(cx)
    }

    fn poll_shutdown(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Result<(), TunnelError>> {
        self.tunnel.as_mut().poll_shutdown(cx)
    }
}

// === impl WatchedTunnel ===

impl WatchedTunnel {
    /// Notes the first fault.
    fn noted<T>(&mut self, polled: Poll<Result<T, TunnelError>>) -> Poll<Result<T, TunnelError>> {
        if matches!(polled, Poll::Ready(Err(_))) && !self.is_broken {
            self.is_broken = true;
            self.unsettled.fetch_add(1, Ordering::Relaxed);
            if let Some(line) = &self.line {
                line.failed(BROKEN);
            }
        }
        polled
    }
}

impl Tunnel for WatchedTunnel {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut [u8],
    ) -> Poll<Result<usize, TunnelError>> {
        let polled = self.tunnel.as_mut().poll_read(cx, buf);
        if let (Poll::Ready(Ok(bytes)), Some(line)) = (&polled, &self.line) {
            line.received(*bytes);
        }
        self.noted(polled)
    }

    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<Result<usize, TunnelError>> {
        let polled = self.tunnel.as_mut().poll_write(cx, buf);
        self.noted(polled)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), TunnelError>> {
        let polled = self.tunnel.as_mut().poll_flush(cx);
        self.noted(polled)
    }

    fn poll_shutdown(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Result<(), TunnelError>> {
        let polled = self.tunnel.as_mut().poll_shutdown(cx);
        self.noted(polled)
    }
}
