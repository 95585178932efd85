//! Core modules as other hosts get them: in binary form, with nothing but the program, and with the interface that such a
//! host has to call.

use std::borrow::Cow;

use bytes::Bytes;
use serverledge_wire::upload;
use wasm_encoder::{Module, RawSection};
use wasmparser::{Encoding, MemorySectionReader, Parser, Payload};

use crate::compile::binary;
use crate::custom::section;
use crate::linked::{CODE_BYTES_MAX, is_component, linked};
use crate::protocol::GuestKind;
use crate::{custom, proposals, surface};

/// Longest text form that is translated for another host. Text grows by little in its binary form, and the node
/// translates it outside of the limits of a deploy.
const TEXT_BYTES_MAX: usize = 1 << 20;

/// The custom section with the source of a script.
const SCRIPT: &str = "serverledge.source";

/// The interface of a core module (`docs/guest-abi.md`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CoreInterface {
    /// `_start`: parameters on stdin, the result on stdout.
    Command,
    /// `serverledge_alloc` and `serverledge_handle`: parameters and result in memory.
    Reactor,
    /// A `wasi:http` component: its modules, and how they are linked.
    Component,
}

/// The reason why another host cannot run the deployed code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NotPortable {
    /// Text form of more than a mebibyte.
    #[error("it is a module in text form of more than 1 MiB; deploy its binary form")]
    LongText,
    /// A component that is not of the simple kind, which one linker makes of one program.
    #[error(
        "it is a component composed of others, or with resources or more memories of its own; build one of a single \
         program"
    )]
    Component,
    /// A component that is a program.
    #[error(
        "it is a component that is a program (wasi:cli), and in a browser components only answer requests (wasi:http); \
         build it for WASI preview 1 (wasm32-wasip1)"
    )]
    Program,
    /// A component of WASI 0.3.
    #[error(
        "it is a component of WASI 0.3, for which browsers have no host here; build it for WASI 0.2 (wasi:http/proxy)"
    )]
    Preview3,
    /// A reactor that answers requests.
    #[error(
        "it answers requests itself (export default {{ fetch }}), and in a browser scripts only take parameters; export a \
         handler"
    )]
    Requests,
    /// A module with objects outside of its memory.
    #[error(
        "it has objects outside of its memory (garbage collection, exceptions or references to its host's objects), \
         which no page can limit"
    )]
    Objects,
    /// A module whose memory no page can limit as the node does.
    #[error(
        "it has several memories, or one with addresses of 64 bits, and a page limits one of 32 bits; build it with a \
         single memory for wasm32"
    )]
    Memories,
    /// A component with too much code.
    #[error("it is a component with more than {} MiB of code", CODE_BYTES_MAX >> 20)]
    LargeComponent,
    /// A module or component that keeps state.
    #[error("it keeps state (serverledge::kv, wasi:keyvalue), which is at the node")]
    State,
    /// Code that comes with files.
    #[error("it has files of its own, which only a node gives to a program")]
    Files,
    /// Not a module, or one without an interface.
    #[error("it is no WebAssembly module with an interface of functions")]
    NoModule,
    /// A start function that may call the host. Another host has no memory to give it before the module is instantiated,
    /// which the start function is a part of.
    #[error(
        "it has a start function (the start section) and imports functions, and a browser cannot serve these while it starts; \
         export the function as _start or _initialize"
    )]
    StartFunction,
}

/// The binary form of a deployed core module without custom sections, and its interface. Custom sections are no part of
/// the program, and hold what its owner may keep to themselves: the source of a script, names, paths.
///
/// # Errors
/// [`NotPortable`]: the reason why there is none.
pub fn portable(code: &Bytes) -> Result<(CoreInterface, Bytes), NotPortable> {
    if upload::is_tar(code) {
        return Err(NotPortable::Files);
    }
    let module = match code.first() {
        Some(0) => Cow::Borrowed(code.as_ref()),
        _ if code.len() > TEXT_BYTES_MAX => return Err(NotPortable::LongText),
        _ => Cow::Owned(
            binary(code)
                .map_err(|_| NotPortable::NoModule)?
                .into_owned(),
        ),
    };
    if is_component(&module) {
        let surface = surface::read(&module).map_err(|_| NotPortable::NoModule)?;
        if surface.is_of_preview_3() || proposals::is_concurrent(&module) {
            return Err(NotPortable::Preview3);
        }
        if surface.component_kind() == Some(GuestKind::Cli) {
            return Err(NotPortable::Program);
        }
        if surface.keeps_state() {
            return Err(NotPortable::State);
        }
        return Ok((CoreInterface::Component, linked(&module)?));
    }
    if custom::answers_requests(&module) {
        return Err(NotPortable::Requests);
    }
    if proposals::has_heap(&module) {
        return Err(NotPortable::Objects);
    }
    let program = program(&module)?;
    let surface = surface::read(&program.module).map_err(|_| NotPortable::NoModule)?;
    // All scripts import what their engine offers; in a page the engine is told that there are no stores.
    if surface.keeps_state() && section(&module, SCRIPT).is_none() {
        return Err(NotPortable::State);
    }
    let exports = |name: &str| surface.exports.iter().any(|export| export == name);
    if program.has_start && !surface.imports.is_empty() {
        return Err(NotPortable::StartFunction);
    }
    let interface = if exports("serverledge_handle") {
        CoreInterface::Reactor
    } else if exports("_start") {
        CoreInterface::Command
    } else {
        return Err(NotPortable::NoModule);
    };
    Ok((interface, program.module.into()))
}

/// A module without its custom sections.
pub(crate) struct BareModule {
    pub(crate) module: Vec<u8>,
    has_start: bool,
}

pub(crate) fn program(module: &[u8]) -> Result<BareModule, NotPortable> {
    let mut bare = Module::new();
    let mut has_start = false;
    for payload in Parser::new(0).parse_all(module) {
        match payload.map_err(|_| NotPortable::NoModule)? {
            Payload::Version {
                encoding: Encoding::Component,
                ..
            } => return Err(NotPortable::Component),
            Payload::CustomSection(_) => {}
            Payload::MemorySection(section) if !is_plain(&section) => {
                return Err(NotPortable::Memories);
            }
            payload => {
                has_start |= matches!(payload, Payload::StartSection { .. });
                if let Some((id, range)) = payload.as_section() {
                    let data = module.get(range).ok_or(NotPortable::NoModule)?;
                    bare.section(&RawSection { id, data });
                }
            }
        }
    }
    Ok(BareModule {
        module: bare.finish(),
        has_start,
    })
}

/// Whether it is one memory of 32 bits.
fn is_plain(section: &MemorySectionReader<'_>) -> bool {
    let mut memories = section.clone().into_iter().flatten();
    section.count() <= 1 && memories.all(|memory| !memory.memory64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::custom::with_section;

    fn interface(code: impl Into<Bytes>) -> Result<CoreInterface, NotPortable> {
        portable(&code.into()).map(|(interface, _)| interface)
    }

    #[test]
    fn modules_are_told_apart_in_both_forms() {
        let reactor =
            r#"(module (func (export "serverledge_handle")) (func (export "_start")))"#.to_owned();
        let command = r#"(module (func (export "_start")))"#.to_owned();
        let binary = wat::parse_str(&command).unwrap();
        let (interface_of_binary, module) = portable(&Bytes::from(binary.clone())).unwrap();
        assert_eq!(interface_of_binary, CoreInterface::Command);
        assert_eq!(module, binary);
        let (interface_of_text, translated) = portable(&Bytes::from(command)).unwrap();
        assert_eq!(interface_of_text, CoreInterface::Command);
        assert_eq!(translated, binary);
        assert_eq!(interface(reactor), Ok(CoreInterface::Reactor));
    }

    #[test]
    fn only_the_program_is_handed_on() {
        let text = r#"(module (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
            (memory (export "memory") 1) (data (i32.const 8) "kept") (global $g (mut i32) (i32.const 7))
            (table 1 funcref) (elem (i32.const 0) $named)
            (@custom "serverledge.early" (before first) "SECRET")
            (func $named (export "_start") (call $exit (global.get $g))))"#;
        let whole = wat::parse_str(text).unwrap();
        assert!(
            whole.windows(5).any(|bytes| bytes == b"named"),
            "the text's names are in it"
        );
        let whole = with_section(whole, "serverledge.source", b".env: SECRET");
        let (_, module) = portable(&Bytes::from(whole)).unwrap();
        wasmtime::Module::validate(&wasmtime::Engine::default(), &module).unwrap();
        for gone in [&b"SECRET"[..], b"serverledge.", b"named"] {
            assert!(!module.windows(gone.len()).any(|bytes| bytes == gone));
        }
        assert!(module.windows(4).any(|bytes| bytes == b"kept"));
        let again = portable(&module).unwrap().1;
        assert_eq!(again, module, "what is bare stays as it is");
    }

    #[test]
    fn others_are_not_handed_on() {
        let component = wat::parse_str("(component)").unwrap();
        assert_eq!(interface(component), Err(NotPortable::Component));
        for none in [
            "",
            "(module)",
            "(module",
            "exports.handler = () => 1",
            "\0asm",
            "\0asm\x01\0\0\0\x01",
        ] {
            assert_eq!(interface(none), Err(NotPortable::NoModule), "{none:?}");
        }
        let mut tar = vec![b'm'; 512];
        tar[257..262].copy_from_slice(b"ustar");
        assert_eq!(interface(tar), Err(NotPortable::Files));
        let long = format!(
            "(module (func (export \"_start\"))){}",
            " ".repeat(TEXT_BYTES_MAX)
        );
        assert_eq!(interface(long), Err(NotPortable::LongText));
        for memories in ["(memory 1) (memory 1)", "(memory i64 1)"] {
            let module = format!(r#"(module {memories} (func (export "_start")))"#);
            assert_eq!(interface(module), Err(NotPortable::Memories), "{memories}");
        }
    }

    #[test]
    fn what_keeps_state_stays_at_the_node() {
        let text = r#"(module (import "serverledge" "kv" (func (param i32 i32 i32 i32) (result i64)))
            (func (export "_start")))"#;
        let module = wat::parse_str(text).unwrap();
        assert_eq!(interface(module.clone()), Err(NotPortable::State));
        let script = with_section(module, "serverledge.source", b"source");
        assert_eq!(interface(script), Ok(CoreInterface::Command));
        let component = r#"(component (import "wasi:keyvalue/store@0.2.0-draft2" (instance))
            (instance $i) (export "wasi:http/incoming-handler@0.2.0" (instance $i)))"#;
        let component = wat::parse_str(component).unwrap();
        assert_eq!(interface(component), Err(NotPortable::State));
    }

    #[test]
    fn what_answers_requests_is_not_handed_on() {
        let reactor = wat::parse_str(r#"(module (func (export "serverledge_handle")))"#).unwrap();
        assert_eq!(interface(reactor.clone()), Ok(CoreInterface::Reactor));
        let marked = custom::answering_requests(reactor);
        assert_eq!(interface(marked), Err(NotPortable::Requests));
    }

    #[test]
    fn a_start_function_calls_no_host() {
        let with = |import: &str| {
            format!(r#"(module {import} (func $s) (start $s) (func (export "_start")))"#)
        };
        let write = r#"(import "wasi_snapshot_preview1" "sched_yield" (func (result i32)))"#;
        assert_eq!(interface(with(write)), Err(NotPortable::StartFunction));
        assert_eq!(interface(with("")), Ok(CoreInterface::Command));
    }
}
