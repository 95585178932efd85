//! A module without what it does: the same imports, exports, types and sizes, and functions that trap. It compiles in no time,
//! so that everything that can be said about the outside of a module is said before its code is compiled.

use wasm_encoder::{CodeSection, RawSection, Section as _};
use wasmparser::{Parser, Payload};

/// A function's body without locals: `unreachable`, `end`.
const TRAP: [u8; 3] = [0, 0x00, 0x0b];

/// Deepest nesting of components, as of everything else in a module: each level is copied once more.
const DEPTH_MAX: usize = 100;

/// The stub of a valid binary; `None` if it is none, or is nested deeper than [`DEPTH_MAX`].
pub(crate) fn stub(binary: &[u8]) -> Option<Vec<u8>> {
    let mut out = Vec::new();
    // The components around what is being read, each with the id of its open section.
    let mut around = Vec::new();
    for payload in Parser::new(0).parse_all(binary) {
        let payload = payload.ok()?;
        let section = payload.as_section();
        match payload {
            Payload::Version { range, .. } => out.extend_from_slice(binary.get(range)?),
            Payload::CustomSection(_)
            | Payload::CodeSectionEntry(_)
            | Payload::DataCountSection { .. }
            | Payload::DataSection(_) => {}
            Payload::CodeSectionStart { count, size, .. } => {
                traps(count, size)?.append_to(&mut out)
            }
            Payload::ModuleSection { .. } | Payload::ComponentSection { .. } => {
                if around.len() >= DEPTH_MAX {
                    return None;
                }
                around.push((section?.0, std::mem::take(&mut out)));
            }
            Payload::End(_) => {
                let Some((id, outer)) = around.pop() else {
                    continue;
                };
                let inner = std::mem::replace(&mut out, outer);
                RawSection { id, data: &inner }.append_to(&mut out);
            }
            _ => {
                let (id, range) = section?;
                RawSection {
                    id,
                    data: binary.get(range)?,
                }
                .append_to(&mut out);
            }
        }
    }
    Some(out)
}

/// As many traps as a section of so many bytes has functions, each of which takes at least two.
fn traps(count: u32, bytes: u32) -> Option<CodeSection> {
    if count > bytes {
        return None;
    }
    let mut code = CodeSection::new();
    for _ in 0..count {
        code.raw(&TRAP);
    }
    Some(code)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nested_components_are_bounded() {
        const EMPTY: &[u8] = b"\0asm\x0d\0\x01\0";
        const COMPONENT: u8 = 4;
        let nested = |levels: usize| {
            let mut binary = EMPTY.to_vec();
            for _ in 0..levels {
                let data = &std::mem::replace(&mut binary, EMPTY.to_vec());
                RawSection {
                    id: COMPONENT,
                    data,
                }
                .append_to(&mut binary);
            }
            stub(&binary)
        };
        assert!(nested(DEPTH_MAX).is_some());
        assert!(nested(DEPTH_MAX + 1).is_none());
    }

    #[test]
    fn a_stub_shows_the_same_and_does_nothing() {
        let module = wat::parse_str(
            r#"(module (import "a" "b" (func (param i32))) (memory (export "memory") 3 7) (table 5 funcref) (elem (i32.const 0) $f)
               (data (i32.const 0) "text") (func $f (export "f") (result i64) (memory.init $d (i32.const 0) (i32.const 0) (i32.const 0))
               (i64.const 1)) (data $d "more"))"#,
        )
        .unwrap();
        let stub = stub(&module).unwrap();
        wasmparser::Validator::new().validate_all(&stub).unwrap();
        let text = |binary: &[u8]| format!("{:?}", crate::surface::read(binary).unwrap());
        assert_eq!(text(&stub), text(&module));
        assert!(stub.len() < module.len(), "{stub:?}");
    }

    #[test]
    fn components_are_stubbed_at_every_depth() {
        let component = wat::parse_str(
            r#"(component (core module (func (export "f") (loop (br 0)))) (component (core module (func (loop (br 0))))))"#,
        )
        .unwrap();
        let stub = stub(&component).unwrap();
        wasmparser::Validator::new().validate_all(&stub).unwrap();
        assert!(stub.len() < component.len());
    }

    #[test]
    fn what_is_no_module_has_no_stub() {
        let whole = wat::parse_str("(module (func))").unwrap();
        for cut in 9..whole.len() {
            let part = stub(&whole[..cut]);
            assert!(part.is_none_or(|part| part.len() <= whole.len()), "{cut}");
        }
        for bytes in [&b""[..], b"\0asm", &[0xff; 40]] {
            assert!(stub(bytes).is_none());
        }
    }
}
