//! The bytes of a connection below HTTP: those that were read to find out which HTTP is spoken, then the stream's own; and
//! an end in stages (RFC 9112 §9.6). A connection that is closed while the client sends is reset, and the reset can
//! overtake the answer: so the sending side is closed first, and what comes in is read and dropped for a while.

use std::future::Future as _;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Buf as _, Bytes};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep};
use tokio_util::sync::CancellationToken;

use super::unread::{REST_BYTES_MAX, REST_TIME_MAX, Unread};

/// Silence after which a client that was told of the end is taken for gone.
const QUIET_MAX: Duration = Duration::from_secs(5);
/// Bytes that are dropped at once.
const DROPPED_BYTES: usize = 64 * 1024;

/// A connection's stream.
#[derive(Debug)]
pub(super) struct Transport<S> {
    stream: S,
    /// Bytes that were read before the protocol was known.
    ahead: Bytes,
    unread: Arc<Unread>,
    stop: CancellationToken,
    end: WriteEnd,
}

/// The stages of the end.
#[derive(Debug)]
enum WriteEnd {
    Open,
    /// The sending side is closed; the client's is read.
    Lingering(Box<Lingering>),
    Over,
}

/// The bounds of reading on.
#[derive(Debug)]
struct Lingering {
    bytes: u64,
    until: Pin<Box<Sleep>>,
    quiet: Pin<Box<Sleep>>,
    buffer: Vec<u8>,
}

impl<S> Transport<S> {
    pub(super) fn new(
        stream: S,
        ahead: Bytes,
        unread: Arc<Unread>,
        stop: CancellationToken,
    ) -> Self {
        Self {
            stream,
            ahead,
            unread,
            stop,
            end: WriteEnd::Open,
        }
    }

    /// A server that stops waits for no client, unless it owes one the end of an answer.
    fn lingers(&self) -> bool {
        self.unread.is_close_announced() || !self.stop.is_cancelled()
    }
}

impl Lingering {
    fn new() -> Self {
        Self {
            bytes: 0,
            until: Box::pin(tokio::time::sleep(REST_TIME_MAX)),
            quiet: Box::pin(tokio::time::sleep(QUIET_MAX)),
            buffer: vec![0; DROPPED_BYTES],
        }
    }

    /// Ready when the client has closed its side, or a bound is reached.
    fn poll<S: AsyncRead + Unpin>(&mut self, stream: &mut S, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            let mut buffer = ReadBuf::new(&mut self.buffer);
            let read = Pin::new(&mut *stream).poll_read(cx, &mut buffer);
            let length = buffer.filled().len() as u64;
            match read {
                Poll::Ready(Ok(())) if length > 0 && self.bytes < REST_BYTES_MAX => {
                    self.bytes += length;
                    self.quiet.as_mut().reset(Instant::now() + QUIET_MAX);
                }
                Poll::Ready(_) => return Poll::Ready(()),
                Poll::Pending => break,
            }
            if self.until.as_mut().poll(cx).is_ready() {
                return Poll::Ready(());
            }
        }
        let over =
            self.until.as_mut().poll(cx).is_ready() || self.quiet.as_mut().poll(cx).is_ready();
        if over { Poll::Ready(()) } else { Poll::Pending }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Transport<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.ahead.has_remaining() {
            let length = self.ahead.len().min(buffer.remaining());
            buffer.put_slice(&self.ahead.split_to(length));
            return Poll::Ready(Ok(()));
        }
        Pin::new(&mut self.stream).poll_read(cx, buffer)
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Transport<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, bytes)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        loop {
            match &mut this.end {
                WriteEnd::Open => {
                    ready!(Pin::new(&mut this.stream).poll_shutdown(cx))?;
                    let lingering = this
                        .lingers()
                        .then(|| WriteEnd::Lingering(Box::new(Lingering::new())));
                    this.end = lingering.unwrap_or(WriteEnd::Over);
                }
                WriteEnd::Lingering(lingering) => {
                    ready!(lingering.poll(&mut this.stream, cx));
                    this.end = WriteEnd::Over;
                }
                WriteEnd::Over => return Poll::Ready(Ok(())),
            }
        }
    }
}
