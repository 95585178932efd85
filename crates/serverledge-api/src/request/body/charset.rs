//! The charset of a body: UTF-8, with or without a byte order mark, or what `Content-Type` names (WHATWG Encoding). What
//! comes out is UTF-8.

use bytes::{Buf as _, Bytes};
use encoding_rs::{Encoding, UTF_8, UTF_16BE, UTF_16LE};
use http::HeaderValue;

/// Characters of an unknown charset in an error.
const SHOWN_CHARACTERS: usize = 40;

/// The reason why a body cannot be read as text.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CharsetError {
    #[error("the charset {0:?} is not known here; send the body in UTF-8")]
    Unknown(String),
    #[error("the body is not UTF-8, and its Content-Type names no other charset")]
    Unnamed,
    #[error("the body is no {0}, though its Content-Type says so")]
    Malformed(&'static str),
}

/// The body in UTF-8, without a byte order mark. One that is so already is not copied.
pub(super) fn decode(
    content_type: Option<&HeaderValue>,
    body: Bytes,
) -> Result<Bytes, CharsetError> {
    let content_type = content_type.map_or(&b""[..], HeaderValue::as_bytes);
    if content_type.is_empty() || content_type == b"application/json" {
        return unlabelled(body);
    }
    let content_type = String::from_utf8_lossy(content_type);
    // Each part has a charset of its own, and some are files.
    if is(&content_type, "multipart/form-data") {
        return Ok(body);
    }
    match parameter(&content_type, "charset") {
        None => unlabelled(body),
        // What stands behind percent signs is of that charset as well.
        Some(_) if is(&content_type, "application/x-www-form-urlencoded") => Ok(body),
        Some(label) => labelled(&label, body),
    }
}

/// The encoding of a label; `None` of none.
pub(super) fn named(label: &str) -> Result<&'static Encoding, CharsetError> {
    let unknown = || CharsetError::Unknown(label.chars().take(SHOWN_CHARACTERS).collect());
    Encoding::for_label_no_replacement(label.as_bytes()).ok_or_else(unknown)
}

fn labelled(label: &str, body: Bytes) -> Result<Bytes, CharsetError> {
    let encoding = named(label)?;
    if encoding == UTF_8 {
        unlabelled(body)
    } else {
        recoded(encoding, &body)
    }
}

fn unlabelled(mut body: Bytes) -> Result<Bytes, CharsetError> {
    match body.get(..4).unwrap_or(&body) {
        [0xEF, 0xBB, 0xBF, ..] => body.advance(3),
        [0xFF, 0xFE, 0, 0] | [0, 0, 0xFE, 0xFF] => {
            return Err(CharsetError::Unknown("UTF-32".to_owned()));
        }
        // By their mark, or by the zeros beside the first character, which is ASCII in JSON (RFC 4627 §3).
        [0xFF, 0xFE, ..] => return recoded(UTF_16LE, &body),
        [0xFE, 0xFF, ..] => return recoded(UTF_16BE, &body),
        [1..=0x7F, 0, ..] => return recoded(UTF_16LE, &body),
        [0, 1..=0x7F, ..] => return recoded(UTF_16BE, &body),
        _ => {}
    }
    if std::str::from_utf8(&body).is_ok() {
        Ok(body)
    } else {
        Err(CharsetError::Unnamed)
    }
}

/// A byte order mark wins over the name, and goes.
fn recoded(encoding: &'static Encoding, body: &[u8]) -> Result<Bytes, CharsetError> {
    let (text, used, malformed) = encoding.decode(body);
    if malformed {
        Err(CharsetError::Malformed(used.name()))
    } else {
        Ok(Bytes::from(text.into_owned()))
    }
}

/// Whether a content type is this one, whatever its parameters.
pub(super) fn is(content_type: &str, essence: &str) -> bool {
    content_type
        .split(';')
        .next()
        .unwrap_or_default()
        .trim()
        .eq_ignore_ascii_case(essence)
}

/// A parameter of a content type, without quotes.
pub(super) fn parameter(content_type: &str, name: &str) -> Option<String> {
    let mut parameters = content_type
        .split(';')
        .skip(1)
        .filter_map(|parameter| parameter.split_once('='));
    let (_, value) = parameters.find(|(given, _)| given.trim().eq_ignore_ascii_case(name))?;
    let value = value.trim();
    let unquoted = value
        .strip_prefix('"')
        .and_then(|value| value.strip_suffix('"'))
        .unwrap_or(value);
    (!unquoted.is_empty()).then(|| unquoted.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decoded(content_type: &'static str, body: &'static [u8]) -> Result<String, String> {
        let header = (!content_type.is_empty()).then(|| HeaderValue::from_static(content_type));
        let decoded =
            decode(header.as_ref(), Bytes::from_static(body)).map_err(|error| error.to_string())?;
        Ok(String::from_utf8(decoded.to_vec()).unwrap())
    }

    #[test]
    fn text_becomes_utf_8() {
        for (content_type, body, expected) in [
            ("", &b"\"\xC3\xB6\""[..], "\"ö\""),
            ("application/json", b"\xEF\xBB\xBF{}", "{}"),
            ("application/json; charset=utf-8", b"\xEF\xBB\xBF{}", "{}"),
            ("application/x-www-form-urlencoded", b"\xEF\xBB\xBF{}", "{}"),
            (
                "application/json; charset=\"ISO-8859-1\"",
                b"\"\xF6\"",
                "\"ö\"",
            ),
            ("application/json;CHARSET=latin1", b"\"\xC3\xB6\"", "\"Ã¶\""),
            (
                "application/json; charset=utf-16",
                b"\"\0\xF6\0\"\0",
                "\"ö\"",
            ),
            (
                "application/json; charset=utf-16",
                b"\xFE\xFF\0\"\0\xF6\0\"",
                "\"ö\"",
            ),
            (
                "application/json; charset=shift_jis",
                b"\"\x83\x65\"",
                "\"テ\"",
            ),
            ("application/json", b"\xFF\xFE{\0}\0", "{}"),
            ("", b"{\0}\0", "{}"),
            ("", b"\0{\0}", "{}"),
            ("text/plain; x=1", b"", ""),
        ] {
            assert_eq!(
                decoded(content_type, body).as_deref(),
                Ok(expected),
                "{content_type} {body:?}"
            );
        }
        assert_eq!(decode(None, Bytes::from_static(b"1")).unwrap(), "1");
    }

    #[test]
    fn what_is_no_text_is_told() {
        for (content_type, body, told) in [
            (
                "",
                &b"\"\xF6\""[..],
                "not UTF-8, and its Content-Type names no other",
            ),
            ("application/json; charset=utf-8", b"\"\xF6\"", "not UTF-8"),
            (
                "application/json; charset=utf-7",
                b"{}",
                "charset \"utf-7\" is not known",
            ),
            (
                "application/json; charset=klingon",
                b"{}",
                "charset \"klingon\"",
            ),
            (
                "application/json; charset=iso-2022-kr",
                b"{}",
                "charset \"iso-2022-kr\"",
            ),
            ("", b"\xFF\xFE\0\0{\0\0\0", "charset \"UTF-32\""),
            ("application/json; charset=euc-kr", b"\"\xFF\"", "no EUC-KR"),
            ("", b"{\0}", "no UTF-16LE"),
        ] {
            let error = decoded(content_type, body).unwrap_err();
            assert!(error.contains(told), "{content_type} {body:?}: {error}");
        }
    }

    #[test]
    fn parts_of_a_form_are_left_as_they_are() {
        assert_eq!(
            decode(
                Some(&HeaderValue::from_static("Multipart/Form-Data; boundary=x")),
                Bytes::from_static(b"\xFF")
            )
            .unwrap(),
            &b"\xFF"[..]
        );
    }
}
