//! Codings: stacked, unknown, broken, and too large once decoded.

use std::io::Write as _;

use flate2::Compression;
use flate2::write::{GzEncoder, ZlibEncoder};
use http::HeaderValue;

use super::*;

const TEXT: &[u8] = br#"{"n":5}"#;
/// The same text, by other programs.
const BROTLI: &str = "0b03807b226e223a357d03";
const ZSTD: &str = "28b52ffd24073900007b226e223a357d01099f96";
/// Ten million spaces.
const BROTLI_BOMB: &str = "9f7f9698f82540e2b14020c71113";
/// With a window that only a client and a server that have agreed on it may use.
const BROTLI_LARGE: &str = "111e0c00027b226e223a357d03";

fn bytes(hex: &str) -> Vec<u8> {
    (0..hex.len() / 2)
        .map(|at| u8::from_str_radix(&hex[2 * at..2 * at + 2], 16).unwrap())
        .collect()
}

fn gzip(text: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(text).unwrap();
    encoder.finish().unwrap()
}

fn deflate(text: &[u8]) -> Vec<u8> {
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(text).unwrap();
    encoder.finish().unwrap()
}

fn undone(codings: &[&'static str], body: Vec<u8>) -> Result<Vec<u8>, ReadError> {
    let mut headers = HeaderMap::new();
    for coding in codings {
        headers.append(CONTENT_ENCODING, HeaderValue::from_static(coding));
    }
    decode(&of(&headers)?, Bytes::from(body), 1_000).map(|body| body.to_vec())
}

#[test]
fn codings_are_undone_one_after_the_other() {
    let twice = [bytes(ZSTD), bytes("502a4d18ff000000616263")].concat();
    for (codings, body, expected) in [
        (&["gzip"][..], gzip(TEXT), TEXT.to_vec()),
        (
            &["X-GZIP"],
            [gzip(b"a"), gzip(b"b")].concat(),
            b"ab".to_vec(),
        ),
        (&["deflate"], deflate(TEXT), TEXT.to_vec()),
        (&["br"], bytes(BROTLI), TEXT.to_vec()),
        (&["zstd"], bytes(ZSTD), TEXT.to_vec()),
        (&["identity, gzip", "identity"], gzip(TEXT), TEXT.to_vec()),
        (&["br, gzip"], gzip(&bytes(BROTLI)), TEXT.to_vec()),
        (
            &["zstd", "deflate", "gzip"],
            gzip(&deflate(&bytes(ZSTD))),
            TEXT.to_vec(),
        ),
        (&["identity"], TEXT.to_vec(), TEXT.to_vec()),
        (&[""], TEXT.to_vec(), TEXT.to_vec()),
    ] {
        assert_eq!(undone(codings, body).unwrap(), expected, "{codings:?}");
    }
    // Skipped by its length, which is more than there is.
    assert!(undone(&["zstd"], twice).is_err());
    let skipped = [bytes("502a4d1803000000616263"), bytes(ZSTD), bytes(ZSTD)].concat();
    assert_eq!(undone(&["zstd"], skipped).unwrap(), [TEXT, TEXT].concat());
}

#[test]
fn little_does_not_become_much() {
    let spaces = vec![b' '; 10_000_000];
    for (codings, body) in [
        (&["gzip"][..], gzip(&spaces)),
        (&["gzip, gzip"], gzip(&gzip(&spaces))),
        (&["deflate"], deflate(&spaces)),
        (&["br"], bytes(BROTLI_BOMB)),
        (&["zstd"], bytes(ZSTD).repeat(200)),
        (&["gzip"], gzip(&vec![b' '; 1_001])),
    ] {
        let refused = undone(codings, body).unwrap_err();
        assert!(
            matches!(refused, ReadError::TooLargeDecoded { max: 1_000 }),
            "{codings:?}: {refused}"
        );
    }
    assert_eq!(
        undone(&["gzip"], gzip(&vec![b' '; 1_000])).unwrap().len(),
        1_000
    );
}

#[test]
fn what_cannot_be_undone_is_told() {
    for (codings, body, told) in [
        (
            &["compress"][..],
            TEXT.to_vec(),
            "content coding \"compress\" is not known",
        ),
        (&["gzip, dcb"], TEXT.to_vec(), "content coding \"dcb\""),
        (
            &["gzip,gzip", "gzip,gzip"],
            TEXT.to_vec(),
            "more than 3 content codings",
        ),
        (&["gzip"], TEXT.to_vec(), "no gzip"),
        (&["gzip"], gzip(TEXT)[..15].to_vec(), "no gzip"),
        (&["deflate"], TEXT.to_vec(), "no deflate"),
        (&["br"], b"\xFF\xFF\xFF".to_vec(), "no brotli"),
        (&["br"], bytes(BROTLI_LARGE), "no brotli"),
        (&["zstd"], TEXT.to_vec(), "no zstd"),
        (&["zstd"], bytes(ZSTD)[..12].to_vec(), "no zstd"),
        // A window of a gigabyte.
        (&["zstd"], bytes("28b52ffd04a0010000"), "no zstd"),
    ] {
        let error = undone(codings, body).unwrap_err().to_string();
        assert!(error.contains(told), "{codings:?}: {error}");
    }
}
