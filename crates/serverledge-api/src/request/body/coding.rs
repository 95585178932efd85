//! Content codings (RFC 9110 §8.4): `gzip`, `deflate`, `br` and `zstd`, alone or one over the other. What comes out is
//! bounded, however little goes in.

use std::io::{self, Read};

use brotli_decompressor::Decompressor;
use bytes::Bytes;
use flate2::read::{MultiGzDecoder, ZlibDecoder};
use http::HeaderMap;
use http::header::CONTENT_ENCODING;
use ruzstd::decoding::StreamingDecoder;
use ruzstd::decoding::errors::{FrameDecoderError, ReadFrameHeaderError};

use super::ReadError;

/// The codings that a client may use, for `Accept-Encoding` of a refusal.
pub(crate) const ACCEPTED: &str = "gzip, deflate, br, zstd";
/// Codings one over the other. Nobody has a use for more than two.
const STACKED_MAX: usize = 3;
/// The largest window of the coding `zstd` in HTTP (RFC 9659 §3).
const ZSTD_WINDOW_MAX: u64 = 8 * 1024 * 1024;
/// The decoder's buffer of compressed bytes.
const BROTLI_BUFFER: usize = 4096;
/// The seven first bits of a body with a "large window", of up to a gigabyte: no size of RFC 7932 (§9.1), and the decoder
/// takes it.
const BROTLI_LARGE_WINDOW: u8 = 0b001_0001;
/// Characters of an unknown coding in an error.
const SHOWN_CHARACTERS: usize = 40;

/// A coding that can be undone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Coding {
    Gzip,
    Deflate,
    Brotli,
    Zstd,
}

/// The reason why a body's content codings cannot be undone.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CodingError {
    #[error("the content coding {0:?} is not known here; these are: {ACCEPTED}")]
    Unknown(String),
    #[error("the body has more than {STACKED_MAX} content codings one over the other")]
    TooMany,
    #[error("the body is no {name}, though Content-Encoding says so")]
    Malformed {
        name: &'static str,
        source: io::Error,
    },
}

impl Coding {
    fn parse(name: &str) -> Option<Self> {
        let known = [
            ("gzip", Self::Gzip),
            ("x-gzip", Self::Gzip),
            ("deflate", Self::Deflate),
            ("br", Self::Brotli),
            ("zstd", Self::Zstd),
        ];
        known
            .into_iter()
            .find(|(known, _)| known.eq_ignore_ascii_case(name))
            .map(|(_, coding)| coding)
    }

    fn name(self) -> &'static str {
        match self {
            Self::Gzip => "gzip",
            Self::Deflate => "deflate",
            Self::Brotli => "brotli",
            Self::Zstd => "zstd",
        }
    }

    /// At most `max` bytes and one.
    fn undo(self, body: &[u8], max: usize) -> io::Result<Vec<u8>> {
        match self {
            Self::Gzip => all(MultiGzDecoder::new(body), max),
            Self::Deflate => all(ZlibDecoder::new(body), max),
            Self::Brotli
                if body
                    .first()
                    .is_some_and(|first| first & 0x7F == BROTLI_LARGE_WINDOW) =>
            {
                Err(io::Error::new(
                    io::ErrorKind::InvalidData,
                    "its window is larger than the coding has",
                ))
            }
            Self::Brotli => all(Decompressor::new(body, BROTLI_BUFFER), max),
            Self::Zstd => frames(body, max),
        }
    }
}

/// The codings of a request, in the order in which they were applied.
pub(super) fn of(headers: &HeaderMap) -> Result<Vec<Coding>, CodingError> {
    let mut codings = Vec::new();
    for value in headers.get_all(CONTENT_ENCODING) {
        let text = String::from_utf8_lossy(value.as_bytes());
        for name in text
            .split(',')
            .map(str::trim)
            .filter(|name| !name.is_empty())
        {
            if name.eq_ignore_ascii_case("identity") {
                continue;
            }
            let unknown = || CodingError::Unknown(name.chars().take(SHOWN_CHARACTERS).collect());
            codings.push(Coding::parse(name).ok_or_else(unknown)?);
        }
    }
    if codings.len() > STACKED_MAX {
        Err(CodingError::TooMany)
    } else {
        Ok(codings)
    }
}

/// Undoes codings, the last one first. No step gives more than `max` bytes.
pub(super) fn decode(codings: &[Coding], body: Bytes, max: usize) -> Result<Bytes, ReadError> {
    let mut body = body;
    for coding in codings.iter().rev() {
        let decoded = coding.undo(&body, max);
        let decoded = decoded.map_err(|source| CodingError::Malformed {
            name: coding.name(),
            source,
        })?;
        if decoded.len() > max {
            return Err(ReadError::TooLargeDecoded { max });
        }
        body = Bytes::from(decoded);
    }
    Ok(body)
}

fn all(decoder: impl Read, max: usize) -> io::Result<Vec<u8>> {
    let mut decoded = Vec::new();
    decoder.take(max as u64 + 1).read_to_end(&mut decoded)?;
    Ok(decoded)
}

/// Frames of zstd one after the other, those to be skipped left out (RFC 8878 §3.1).
fn frames(body: &[u8], max: usize) -> io::Result<Vec<u8>> {
    let mut rest = body;
    let mut decoded = Vec::new();
    while !rest.is_empty() && decoded.len() <= max {
        match StreamingDecoder::new_with_max_window_size(&mut rest, ZSTD_WINDOW_MAX) {
            Ok(decoder) => {
                let room = (max - decoded.len()) as u64 + 1;
                decoder.take(room).read_to_end(&mut decoded)?;
            }
            Err(FrameDecoderError::ReadFrameHeaderError(ReadFrameHeaderError::SkipFrame {
                length,
                ..
            })) => {
                let length = usize::try_from(length).unwrap_or(usize::MAX);
                rest = rest.get(length..).ok_or(io::ErrorKind::UnexpectedEof)?;
            }
            Err(fault) => return Err(io::Error::other(fault)),
        }
    }
    Ok(decoded)
}

#[cfg(test)]
mod tests;
