//! Tells HTTP/2 from HTTP/1.1 on a connection without TLS by its first bytes ("prior knowledge", RFC 9113 §3.3).

use std::io;

use bytes::{Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt as _};

/// The first bytes of every HTTP/2 client (RFC 9113 §3.4). No method of HTTP/1.1 is `PRI`.
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// Bytes that are read at once: most requests' heads.
const AHEAD_BYTES: usize = 2048;

/// Whether the client speaks HTTP/2, and what was read to find out. An end of the connection is no error here.
pub(super) async fn read<S: AsyncRead + Unpin>(stream: &mut S) -> io::Result<(bool, Bytes)> {
    let mut ahead = BytesMut::with_capacity(AHEAD_BYTES);
    loop {
        let ended = stream.read_buf(&mut ahead).await? == 0;
        let seen = ahead.len().min(PREFACE.len());
        let begins = ahead[..seen] == PREFACE[..seen];
        if ended || !begins || seen == PREFACE.len() {
            return Ok((begins && seen == PREFACE.len(), ahead.freeze()));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn only_the_whole_preface_is_http_2() {
        for (sent, http2) in [
            (&b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0"[..], true),
            (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", true),
            (b"PRI * HTTP/2.0\r\n\r\nSM\r\n", false),
            (b"POST / HTTP/1.1\r\n\r\n", false),
            (b"PUT", false),
            (b"", false),
        ] {
            // A byte at a time.
            let (mut ours, mut theirs) = tokio::io::duplex(1);
            let writing = async {
                let _ = tokio::io::AsyncWriteExt::write_all(&mut theirs, sent).await;
                drop(theirs);
            };
            let reading = async {
                let read = read(&mut ours).await.unwrap();
                drop(ours);
                read
            };
            let ((spoken, ahead), ()) = tokio::join!(reading, writing);
            assert_eq!(spoken, http2, "{sent:?}");
            assert!(sent.starts_with(&ahead));
        }
    }
}
