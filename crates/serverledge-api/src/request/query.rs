//! Encodings of paths and queries, undone.

use percent_encoding::{percent_decode, percent_decode_str};

/// Undoes the encoding of a query.
pub(crate) fn form_decoded(text: &str) -> String {
    String::from_utf8_lossy(&form_bytes(text.as_bytes())).into_owned()
}

/// Undoes form encoding (WHATWG URL §5.1): plus signs are spaces, then percent-encoding.
pub(crate) fn form_bytes(text: &[u8]) -> Vec<u8> {
    let spaced: Vec<u8> = text
        .iter()
        .map(|byte| if *byte == b'+' { b' ' } else { *byte })
        .collect();
    percent_decode(&spaced).collect()
}

/// Undoes percent-encoding (RFC 3986 §2.1); what is malformed stays, and then names no function.
pub(crate) fn percent_decoded(raw: &str) -> String {
    percent_decode_str(raw).decode_utf8_lossy().into_owned()
}
