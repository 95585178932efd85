//! Headers as guests write and read them: names with values, whose bytes are each the character with its number.

use http::{HeaderMap, HeaderName, HeaderValue};

/// Characters of the guest's own that an error repeats.
const SHOWN_CHARS_MAX: usize = 256;

/// The headers that a guest has written. The error is the guest's fault, in words.
pub(crate) fn read(list: &[(String, String)]) -> Result<HeaderMap, String> {
    let mut headers = HeaderMap::new();
    for (name, value) in list {
        let key = HeaderName::from_bytes(name.as_bytes())
            .map_err(|_| format!("{:?} is no name of a header", shown(name)))?;
        let value = header_value(value)
            .ok_or_else(|| format!("the header {key} has a value that cannot be sent"))?;
        headers
            .try_append(key, value)
            .map_err(|_| "it has too many headers".to_owned())?;
    }
    Ok(headers)
}

/// Headers for a guest to read.
pub(crate) fn written(headers: &HeaderMap) -> Vec<(&str, String)> {
    let text = |value: &HeaderValue| -> String {
        value.as_bytes().iter().copied().map(char::from).collect()
    };
    let headers = headers.iter();
    headers
        .map(|(name, value)| (name.as_str(), text(value)))
        .collect()
}

/// The begin of what a guest has written.
pub(crate) fn shown(text: &str) -> String {
    text.chars().take(SHOWN_CHARS_MAX).collect()
}

fn header_value(text: &str) -> Option<HeaderValue> {
    let bytes: Option<Vec<u8>> = text.chars().map(|c| u8::try_from(c).ok()).collect();
    HeaderValue::from_bytes(&bytes?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_of_values_are_characters() {
        let list = [("X-A", "caf\u{e9}"), ("x-a", "2")];
        let list = list.map(|(name, value)| (name.to_owned(), value.to_owned()));
        let headers = read(&list).unwrap();
        assert_eq!(headers["x-a"].as_bytes(), b"caf\xe9");
        let expected = [("x-a", "caf\u{e9}"), ("x-a", "2")];
        let expected = expected.map(|(name, value)| (name, value.to_owned()));
        assert_eq!(written(&headers), expected);
        for (name, value, told) in [
            ("a b", "1", "\"a b\" is no name of a header"),
            (
                "a",
                "\u{2603}",
                "the header a has a value that cannot be sent",
            ),
            ("a", "x\ny", "the header a has a value that cannot be sent"),
        ] {
            let list = [(name.to_owned(), value.to_owned())];
            assert_eq!(read(&list), Err(told.to_owned()));
        }
    }
}
