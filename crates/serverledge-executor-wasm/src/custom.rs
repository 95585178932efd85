//! Custom sections: bytes that travel in a module without being part of the program (core specification, "Binary
//! Format", "Modules"). Here a snapshot carries what it was made from.

/// Magic and version.
const HEADER_BYTES: usize = 8;
const CUSTOM: u8 = 0;

/// The module with one more custom section at its end.
#[must_use]
pub fn with_section(mut module: Vec<u8>, name: &str, content: &[u8]) -> Vec<u8> {
    let mut body = Vec::with_capacity(name.len() + content.len() + 5);
    put_u32(&mut body, name.len());
    body.extend_from_slice(name.as_bytes());
    body.extend_from_slice(content);
    module.push(CUSTOM);
    put_u32(&mut module, body.len());
    module.extend_from_slice(&body);
    module
}

/// Where the content of the last custom section of this name lies in a module; `None` if there is none, or it is no module.
#[must_use]
pub fn section(module: &[u8], name: &str) -> Option<std::ops::Range<usize>> {
    let mut found = None;
    let mut at = HEADER_BYTES;
    while at < module.len() {
        let id = module[at];
        let (length, begin) = get_u32(module, at + 1)?;
        let end = begin
            .checked_add(length)
            .filter(|end| *end <= module.len())?;
        if id == CUSTOM {
            let (name_length, name_begin) = get_u32(module, begin)?;
            let content = name_begin
                .checked_add(name_length)
                .filter(|content| *content <= end)?;
            if &module[name_begin..content] == name.as_bytes() {
                found = Some(content..end);
            }
        }
        at = end;
    }
    found
}

/// LEB128. Longer than 32 bits can say is no module; modules are limited to a few MiB long before.
fn put_u32(target: &mut Vec<u8>, value: usize) {
    let mut left = value;
    loop {
        let low = u8::try_from(left & 0x7f).unwrap_or(0);
        left >>= 7;
        if left == 0 {
            return target.push(low);
        }
        target.push(low | 0x80);
    }
}

/// The number at a place, and the place behind it.
fn get_u32(bytes: &[u8], at: usize) -> Option<(usize, usize)> {
    let mut value = 0_u64;
    for index in 0..5 {
        let byte = *bytes.get(at + index)?;
        value |= u64::from(byte & 0x7f) << (7 * index);
        if byte & 0x80 == 0 {
            return Some((
                usize::try_from(u32::try_from(value).ok()?).ok()?,
                at + index + 1,
            ));
        }
    }
    None
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
    fn what_is_no_module_has_none() {
        let whole = with_section(EMPTY.to_vec(), "source", b"content");
        for cut in HEADER_BYTES..whole.len() {
            assert_eq!(section(&whole[..cut], "source"), None, "{cut}");
        }
        for bytes in [&b""[..], b"(module)", &[0xff; 40]] {
            assert_eq!(section(bytes, "source"), None);
        }
    }
}
