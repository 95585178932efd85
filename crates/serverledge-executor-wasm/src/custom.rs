//! Custom sections: bytes that travel in a module without being part of the program (core specification, "Binary
//! Format", "Modules"). Here a snapshot carries what it was made from.

use wasm_encoder::{CustomSection, Section as _};
use wasmparser::{Parser, Payload};

/// The module with one more custom section at its end.
#[must_use]
pub fn with_section(mut module: Vec<u8>, name: &str, content: &[u8]) -> Vec<u8> {
    CustomSection {
        name: name.into(),
        data: content.into(),
    }
    .append_to(&mut module);
    module
}

/// The custom section with which a reactor says that its handler takes requests and not parameters, and its content.
const INTERFACE: &str = "serverledge.interface";
const REQUESTS: &[u8] = b"http";

/// The module with the mark of a reactor that answers requests.
#[must_use]
pub fn answering_requests(module: Vec<u8>) -> Vec<u8> {
    with_section(module, INTERFACE, REQUESTS)
}

/// Whether a module has the mark of a reactor that answers requests.
pub(crate) fn answers_requests(module: &[u8]) -> bool {
    section(module, INTERFACE).and_then(|range| module.get(range)) == Some(REQUESTS)
}

/// The range in a module of the content of its last custom section of this name; `None` if there is none, or it is no
/// module.
#[must_use]
pub fn section(module: &[u8], name: &str) -> Option<std::ops::Range<usize>> {
    let mut found = None;
    for payload in Parser::new(0).parse_all(module) {
        if let Payload::CustomSection(section) = payload.ok()?
            && section.name() == name
        {
            found = Some(section.data_offset()..section.range().end);
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    const EMPTY: &[u8] = b"\0asm\x01\0\0\0";

    #[test]
    fn what_was_put_in_is_found() {
        for length in [0, 1, 127, 128, 20_000] {
            let content = vec![7; length];
            let module = with_section(
                with_section(EMPTY.to_vec(), "a", b"first"),
                "source",
                &content,
            );
            let module = with_section(module, "b", b"last");
            wasmtime::Module::validate(&wasmtime::Engine::default(), &module).unwrap();
            assert_eq!(
                section(&module, "source").map(|range| &module[range]),
                Some(&content[..])
            );
            assert_eq!(
                section(&module, "a").map(|range| &module[range]),
                Some(&b"first"[..])
            );
            assert_eq!(section(&module, "c"), None);
        }
    }

    #[test]
    fn the_mark_of_requests_is_found() {
        let marked = answering_requests(EMPTY.to_vec());
        assert!(!answers_requests(EMPTY));
        assert!(answers_requests(&marked));
        assert!(answers_requests(&with_section(marked, "source", b"more")));
        let other = with_section(EMPTY.to_vec(), INTERFACE, b"other");
        assert!(!answers_requests(&other));
    }

    #[test]
    fn what_is_no_module_has_none() {
        let whole = with_section(EMPTY.to_vec(), "source", b"content");
        for cut in EMPTY.len()..whole.len() {
            assert_eq!(section(&whole[..cut], "source"), None, "{cut}");
        }
        for bytes in [&b""[..], b"(module)", &[0xff; 40]] {
            assert_eq!(section(bytes, "source"), None);
        }
    }
}
