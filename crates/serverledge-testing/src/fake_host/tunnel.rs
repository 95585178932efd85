//! Tunnels to a host that is none: what is written to them is recorded, and all have one answer.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use http::uri::Authority;
use serverledge_core::{BoxTunnel, Tunnel, TunnelError};

use super::HostShared;

/// A tunnel of a function.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpenedTunnel {
    /// Host and port.
    pub target: String,
    /// The bytes that were written so far.
    pub written: Vec<u8>,
    /// Whether it is still open.
    pub is_open: bool,
}

struct FakeTunnel {
    shared: Arc<HostShared>,
    index: usize,
    /// The rest of the answer.
    answer: Bytes,
    /// Waits for the blank line.
    reader: Option<Waker>,
}

pub(super) fn open(shared: &Arc<HostShared>, target: &Authority, answer: Bytes) -> BoxTunnel {
    let opened = OpenedTunnel {
        target: target.to_string(),
        written: Vec::new(),
        is_open: true,
    };
    let mut index = 0;
    shared.tunnels.send_modify(|all| {
        index = all.len();
        all.push(opened);
    });
    Box::pin(FakeTunnel {
        shared: Arc::clone(shared),
        index,
        answer,
        reader: None,
    })
}

// === impl FakeTunnel ===

impl FakeTunnel {
    fn update(&self, change: impl FnOnce(&mut OpenedTunnel)) {
        let index = self.index;
        self.shared
            .tunnels
            .send_modify(|all| change(&mut all[index]));
    }

    fn is_asked(&self) -> bool {
        let all = self.shared.tunnels.borrow();
        all[self.index]
            .written
            .windows(4)
            .any(|four| four == b"\r\n\r\n")
    }
}

impl Tunnel for FakeTunnel {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut [u8],
    ) -> Poll<Result<usize, TunnelError>> {
        if !self.is_asked() {
            self.reader = Some(cx.waker().clone());
            return Poll::Pending;
        }
        let count = buf.len().min(self.answer.len());
        let piece = self.answer.split_to(count);
        buf[..count].copy_from_slice(&piece);
        Poll::Ready(Ok(count))
    }

    fn poll_write(
        mut self: Pin<&mut Self>,
        _cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<Result<usize, TunnelError>> {
        self.update(|opened| opened.written.extend_from_slice(buf));
        if let Some(reader) = self.reader.take() {
            reader.wake();
        }
        Poll::Ready(Ok(buf.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<Result<(), TunnelError>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<Result<(), TunnelError>> {
        Poll::Ready(Ok(()))
    }
}

impl Drop for FakeTunnel {
    fn drop(&mut self) {
        self.update(|opened| opened.is_open = false);
    }
}
