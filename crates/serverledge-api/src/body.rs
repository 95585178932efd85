//! Reads request bodies within a limit of bytes and of time.

use std::task::Poll;
use std::time::Duration;

use axum::body::Body;
use bytes::{Bytes, BytesMut};
use http_body::Body as _;
use http_body_util::BodyExt;

/// Why a body could not be read.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ReadError {
    #[error("the body is larger than {max} bytes")]
    TooLarge { max: usize },
    #[error("the body did not arrive within {0:?}")]
    TooSlow(Duration),
    #[error("the body broke off")]
    Broken(#[source] axum::Error),
}

/// The whole body. One that arrives in one piece, as most do, is not copied.
pub(crate) async fn read(body: Body, max: usize, timeout: Duration) -> Result<Bytes, ReadError> {
    // Told too long in advance: refuse before reading.
    if body.size_hint().lower() > max as u64 {
        return Err(ReadError::TooLarge { max });
    }
    let mut collected = std::pin::pin!(collect(body, max));
    // Most come with their head, and then no timer is needed.
    if let Poll::Ready(read) = futures_util::poll!(&mut collected) {
        return read;
    }
    match tokio::time::timeout(timeout, collected).await {
        Ok(read) => read,
        Err(_) => Err(ReadError::TooSlow(timeout)),
    }
}

async fn collect(mut body: Body, max: usize) -> Result<Bytes, ReadError> {
    let mut first = Bytes::new();
    let mut rest: Option<BytesMut> = None;
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame.map_err(ReadError::Broken)?.into_data() else {
            continue;
        };
        let length = rest.as_ref().map_or(first.len(), BytesMut::len);
        if length + data.len() > max {
            return Err(ReadError::TooLarge { max });
        }
        match &mut rest {
            Some(rest) => rest.extend_from_slice(&data),
            None if first.is_empty() => first = data,
            None => {
                let mut both = BytesMut::with_capacity(first.len() + data.len());
                both.extend_from_slice(&first);
                both.extend_from_slice(&data);
                rest = Some(both);
            }
        }
    }
    Ok(rest.map_or(first, BytesMut::freeze))
}
