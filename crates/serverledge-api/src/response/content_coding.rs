//! The choice of a content coding by `Accept-Encoding` (RFC 9110 §12.5.3).
//!
//! `zstd` is not among them: every browser that accepts it accepts `br`, which makes the files here smaller.

use http::HeaderMap;
use http::header::ACCEPT_ENCODING;

use crate::backend::running_apps::ContentCoding;

/// The codings, the preferred one first.
const CODINGS: [ContentCoding; 3] = [
    ContentCoding::Brotli,
    ContentCoding::Gzip,
    ContentCoding::Identity,
];

/// The name in `Content-Encoding`; `None` for no coding.
pub(crate) const fn name(coding: ContentCoding) -> Option<&'static str> {
    match coding {
        ContentCoding::Brotli => Some("br"),
        ContentCoding::Gzip => Some("gzip"),
        ContentCoding::Identity => None,
    }
}

/// The coding that a request likes best. A request that accepts none of them gets the file as it is.
pub(crate) fn accepted(headers: &HeaderMap) -> ContentCoding {
    accepted_of(&CODINGS, headers)
}

/// The same of these, the preferred one first.
pub(crate) fn accepted_of(codings: &[ContentCoding], headers: &HeaderMap) -> ContentCoding {
    let wanted: Vec<(&str, u16)> = headers
        .get_all(ACCEPT_ENCODING)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .filter_map(weighted)
        .collect();
    let mut best = (ContentCoding::Identity, 0);
    for coding in codings.iter().copied() {
        let weight = weight(coding, &wanted);
        if weight > best.1 {
            best = (coding, weight);
        }
    }
    best.0
}

/// A coding, or `*`, and its weight in thousandths; `None` if that is no member of the list.
fn weighted(member: &str) -> Option<(&str, u16)> {
    let mut parts = member.split(';');
    let coding = parts.next()?.trim();
    let Some(parameter) = parts.next() else {
        return (!coding.is_empty()).then_some((coding, 1000));
    };
    let (name, value) = parameter.split_once('=')?;
    if !name.trim().eq_ignore_ascii_case("q") {
        return None;
    }
    Some((coding, thousandths(value.trim())?))
}

/// The thousandths of a `qvalue`: 0 to 1, with at most three decimals.
fn thousandths(value: &str) -> Option<u16> {
    let (whole, decimals) = value.split_once('.').unwrap_or((value, ""));
    if decimals.len() > 3 || !decimals.bytes().all(|digit| digit.is_ascii_digit()) {
        return None;
    }
    let parts: u16 = format!("{decimals:0<3}").parse().ok()?;
    match whole {
        "0" => Some(parts),
        "1" if parts == 0 => Some(1000),
        _ => None,
    }
}

/// The weight of a coding. No coding at all is accepted without being named, after all that are.
fn weight(coding: ContentCoding, wanted: &[(&str, u16)]) -> u16 {
    let of = |name: &str| {
        wanted
            .iter()
            .find(|(coding, _)| coding.eq_ignore_ascii_case(name))
            .map(|(_, weight)| *weight)
    };
    match name(coding) {
        Some(name) => of(name).or_else(|| of("*")).unwrap_or(0),
        None => of("identity").unwrap_or(0),
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn choice(values: &[&'static str]) -> &'static str {
        let headers = values
            .iter()
            .map(|value| (ACCEPT_ENCODING, HeaderValue::from_static(value)))
            .collect();
        name(accepted(&headers)).unwrap_or("identity")
    }

    #[test]
    fn the_highest_weight_wins() {
        for (value, expected) in [
            ("gzip, deflate, br, zstd", "br"),
            ("gzip, deflate", "gzip"),
            ("br;q=0.5, gzip;q=0.8", "gzip"),
            ("br;q=0.5,gzip;q=0.500", "br"),
            ("BR ; Q=1.000, gzip", "br"),
            ("br;q=0, gzip;q=0.001", "gzip"),
            ("br;q=0, gzip;q=0", "identity"),
            ("identity, gzip;q=0.5", "identity"),
            ("identity;q=0.5, gzip", "gzip"),
            ("identity;q=0", "identity"),
            ("*", "br"),
            ("*;q=0.5, br;q=0", "gzip"),
            ("*;q=0, gzip", "gzip"),
            ("*;q=0", "identity"),
            ("zstd, deflate", "identity"),
            ("", "identity"),
        ] {
            assert_eq!(choice(&[value]), expected, "{value}");
        }
        assert_eq!(choice(&[]), "identity");
        assert_eq!(choice(&["gzip;q=0.2", "br;q=0.1"]), "gzip");
    }

    #[test]
    fn malformed_members_are_left_out() {
        for value in [
            "br;q=2",
            "br;q=1.001",
            "br;q=0.0001",
            "br;q=-1",
            "br;q=",
            "br;q=x",
            "br;level=1",
            "br;q",
            ";q=1",
            "br gzip",
            "br;q=0.+1",
        ] {
            assert_eq!(choice(&[value]), "identity", "{value}");
        }
        assert_eq!(choice(&["br;q=9, , gzip"]), "gzip");
    }
}
