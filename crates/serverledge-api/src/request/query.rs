//! Queries, and the encodings of paths and queries, undone.

use http::StatusCode;
use percent_encoding::{percent_decode, percent_decode_str};

use crate::response::problem::ApiError;

/// The members of a query, decoded.
pub(crate) fn members(query: &str) -> impl Iterator<Item = (&str, String)> {
    query
        .split('&')
        .filter(|pair| !pair.is_empty())
        .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
        .map(|(name, value)| (name, form_decoded(value)))
}

/// The value of a switch; its name alone switches it on.
pub(crate) fn flag(name: &str, value: &str) -> Result<bool, ApiError> {
    match value {
        "" | "true" | "1" => Ok(true),
        "false" | "0" => Ok(false),
        _ => Err(malformed(format!("{name} is true or false"))),
    }
}

/// The refusal of a query.
pub(crate) fn malformed(detail: impl Into<String>) -> ApiError {
    ApiError::new(StatusCode::BAD_REQUEST, "malformed_query", detail)
}

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
