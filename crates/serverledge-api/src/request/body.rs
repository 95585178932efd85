//! Request bodies: read within a limit of bytes and of time, their content codings undone, their text in UTF-8.

mod charset;
mod coding;
mod form;

use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use axum::body::Body;
use bytes::{Bytes, BytesMut};
use http::HeaderMap;
use http::header::{CONTENT_ENCODING, CONTENT_TYPE};
use http_body::Body as _;
use http_body_util::BodyExt;
use tokio::sync::Semaphore;

pub(crate) use charset::CharsetError;
pub(crate) use coding::{ACCEPTED, CodingError};
pub(crate) use form::{FormError, query_params};

/// Encoded bodies that are decoded at once. Each may take a window of 16 MiB and as much processor time as its decoded
/// size costs; those beyond wait for their turn.
const DECODERS_MAX: usize = 4;

/// The reason why a body could not be read.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ReadError {
    #[error("the body is larger than {max} bytes")]
    TooLarge { max: usize },
    #[error("the body is larger than {max} bytes once it is decoded")]
    TooLargeDecoded { max: usize },
    #[error("the body did not arrive within {0:?}")]
    TooSlow(Duration),
    #[error("the body broke off")]
    Broken(#[source] axum::Error),
    #[error(transparent)]
    Coding(#[from] CodingError),
    #[error(transparent)]
    Charset(#[from] CharsetError),
    #[error(transparent)]
    Form(#[from] FormError),
    #[error("the body could not be decoded: the node is going down")]
    Stopped,
}

/// The reader of request bodies.
#[derive(Debug, Clone)]
pub(crate) struct Bodies {
    timeout: Duration,
    decoders: Arc<Semaphore>,
}

impl Bodies {
    /// A reader that gives bodies this time to arrive.
    pub(crate) fn new(timeout: Duration) -> Self {
        Self {
            timeout,
            decoders: Arc::new(Semaphore::new(DECODERS_MAX)),
        }
    }

    /// The whole body as it was sent. One that arrives in one piece, as most do, is not copied.
    pub(crate) async fn raw(&self, body: Body, max: usize) -> Result<Bytes, ReadError> {
        read(body, max, self.timeout).await
    }

    /// The whole body without its content codings; `max` holds before and after.
    pub(crate) async fn bytes(
        &self,
        headers: &HeaderMap,
        body: Body,
        max: usize,
    ) -> Result<Bytes, ReadError> {
        let body = read(body, max, self.timeout).await?;
        self.decoded(headers, body, max).await
    }

    /// The whole body as text in UTF-8, without content codings and byte order mark. The parts of a form with files are
    /// left as they are.
    pub(crate) async fn text(
        &self,
        headers: &HeaderMap,
        body: Body,
        max: usize,
    ) -> Result<Bytes, ReadError> {
        let body = self.bytes(headers, body, max).await?;
        as_text(headers, body, max)
    }

    /// The text of a body that was read already.
    pub(crate) async fn text_of(
        &self,
        headers: &HeaderMap,
        body: Bytes,
        max: usize,
    ) -> Result<Bytes, ReadError> {
        let body = self.decoded(headers, body, max).await?;
        as_text(headers, body, max)
    }

    async fn decoded(
        &self,
        headers: &HeaderMap,
        body: Bytes,
        max: usize,
    ) -> Result<Bytes, ReadError> {
        if body.is_empty() || !headers.contains_key(CONTENT_ENCODING) {
            return Ok(body);
        }
        // Boxed, like whatever is rare: the future of a request should be no larger than a call needs.
        Box::pin(self.undone(headers, body, max)).await
    }

    async fn undone(
        &self,
        headers: &HeaderMap,
        body: Bytes,
        max: usize,
    ) -> Result<Bytes, ReadError> {
        let codings = coding::of(headers)?;
        if codings.is_empty() {
            return Ok(body);
        }
        let turn = Arc::clone(&self.decoders)
            .acquire_owned()
            .await
            .map_err(|_| ReadError::Stopped)?;
        let decoding = tokio::task::spawn_blocking(move || {
            let _turn = turn;
            coding::decode(&codings, body, max)
        });
        decoding.await.map_err(|_| ReadError::Stopped)?
    }
}

fn as_text(headers: &HeaderMap, body: Bytes, max: usize) -> Result<Bytes, ReadError> {
    let text = charset::decode(headers.get(CONTENT_TYPE), body)?;
    if text.len() > max {
        Err(ReadError::TooLargeDecoded { max })
    } else {
        Ok(text)
    }
}

/// The parameters of a form, as the member `member` of an object; any other body as it is.
pub(crate) async fn enveloped(
    headers: &HeaderMap,
    body: Bytes,
    member: &str,
    max: usize,
) -> Result<Bytes, ReadError> {
    let Some(params) = form_params(headers, &body, max).await? else {
        return Ok(body);
    };
    let params = String::from_utf8_lossy(&params);
    Ok(Bytes::from(format!("{{\"{member}\":{params}}}")))
}

/// The parameters of a form; `None` if the body is none.
pub(crate) async fn form_params(
    headers: &HeaderMap,
    body: &Bytes,
    max: usize,
) -> Result<Option<Bytes>, ReadError> {
    let first = body.iter().find(|byte| !byte.is_ascii_whitespace());
    if matches!(first, None | Some(b'{' | b'[' | b'"')) {
        return Ok(None);
    }
    Box::pin(form::params(headers, body, max)).await
}

async fn read(body: Body, max: usize, timeout: Duration) -> Result<Bytes, ReadError> {
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
