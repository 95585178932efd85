//! The imports and exports of a module, read without compiling it. A module that no host here can serve is refused by
//! them, in a sentence that says which toolchain makes such modules and what to do instead.

use wasmparser::{Encoding, Parser, Payload, TypeRef};

use crate::protocol::{ModuleRefusal, RefusalCode};

/// Imports and exports of the outermost module or component.
#[derive(Debug, Default)]
pub(crate) struct Surface {
    /// Of a core module: module, name, and whether it is a function. Of a component: its name alone.
    pub(crate) imports: Vec<(String, String, bool)>,
    pub(crate) exports: Vec<String>,
    pub(crate) is_component: bool,
}

/// The export that a `wasi:http` component must have, without its version.
const HANDLER: &str = "wasi:http/incoming-handler";
/// The packages of WASI 0.2 that components may import from.
const PACKAGES: [&str; 7] = [
    "wasi:cli/",
    "wasi:clocks/",
    "wasi:filesystem/",
    "wasi:http/",
    "wasi:io/",
    "wasi:random/",
    "wasi:sockets/",
];

/// Refuses what cannot be served, whatever its code does.
pub(crate) fn check(binary: &[u8]) -> Result<(), ModuleRefusal> {
    let surface = read(binary).map_err(|fault| {
        ModuleRefusal::new(
            RefusalCode::InvalidModule,
            format!("the module is not valid: {fault}"),
        )
    })?;
    if surface.is_component {
        surface.check_component()
    } else {
        surface.check_module()
    }
}

/// Reads what there is outside of the functions' bodies.
pub(crate) fn read(binary: &[u8]) -> Result<Surface, wasmparser::BinaryReaderError> {
    let mut surface = Surface::default();
    let mut depth = 0_u32;
    for payload in Parser::new(0).parse_all(binary) {
        match payload? {
            Payload::ModuleSection { .. } | Payload::ComponentSection { .. } => depth += 1,
            Payload::End(_) => depth = depth.saturating_sub(1),
            payload if depth == 0 => surface.add(payload)?,
            _ => {}
        }
    }
    Ok(surface)
}

impl Surface {
    fn add(&mut self, payload: Payload<'_>) -> Result<(), wasmparser::BinaryReaderError> {
        match payload {
            Payload::Version { encoding, .. } => {
                self.is_component = encoding == Encoding::Component
            }
            Payload::ImportSection(section) => {
                for import in section.into_imports() {
                    let import = import?;
                    let is_function = matches!(import.ty, TypeRef::Func(_) | TypeRef::FuncExact(_));
                    self.imports.push((
                        import.module.to_owned(),
                        import.name.to_owned(),
                        is_function,
                    ));
                }
            }
            Payload::ComponentImportSection(section) => {
                for import in section {
                    self.imports
                        .push((String::new(), import?.name.name.to_owned(), true));
                }
            }
            Payload::ExportSection(section) => {
                for export in section {
                    self.exports.push(export?.name.to_owned());
                }
            }
            Payload::ComponentExportSection(section) => {
                for export in section {
                    self.exports.push(export?.name.name.to_owned());
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn check_module(&self) -> Result<(), ModuleRefusal> {
        let unknown: Vec<_> = self
            .imports
            .iter()
            .filter(|import| !is_offered(import))
            .collect();
        let Some(first) = unknown.first() else {
            return Ok(());
        };
        // The import that tells most stands for all.
        let telling = unknown
            .iter()
            .find_map(|import| toolchain(import).map(|hint| (*import, hint)));
        let ((module, name, _), hint) = telling.unwrap_or((*first, UNRESOLVED));
        let more = more(unknown.len() - 1);
        Err(ModuleRefusal::new(
            RefusalCode::UnknownImport,
            format!("the module imports {module}::{name}{more}: {hint}; {OFFERED}"),
        ))
    }

    fn check_component(&self) -> Result<(), ModuleRefusal> {
        let exports = |name: &str| {
            self.exports
                .iter()
                .any(|export| export.split('@').next() == Some(name))
        };
        let of_preview_3 = self
            .exports
            .iter()
            .chain(self.imports.iter().map(|(_, name, _)| name))
            .find(|name| is_preview_3(name));
        if exports(HANDLER) {
            return self.check_component_imports();
        }
        let message = match of_preview_3 {
            Some(name) => format!(
                "the component is made for WASI 0.3 ({name}), as the newest SDKs of Spin and the crate wasip3 do; this node \
                 offers WASI 0.2: build it with an SDK for 0.2 (wstd, Spin's SDK before), so that it exports {HANDLER}@0.2"
            ),
            None if exports("wasi:cli/run") => format!(
                "the component is a program (it exports wasi:cli/run and not {HANDLER}), as `cargo build --target \
                 wasm32-wasip2` and TinyGo's wasip2 make of a main function; build it for WASI preview 1 \
                 (wasm32-wasip1, TinyGo's wasip1), or export {HANDLER}"
            ),
            None => format!(
                "the component does not export {HANDLER}{}; make it one of the world wasi:http/proxy@0.2, or build a core \
                 module for WASI preview 1",
                self.exports
                    .first()
                    .map_or_else(String::new, |name| format!(
                        " (it exports {name}{})",
                        more(self.exports.len() - 1)
                    ))
            ),
        };
        Err(ModuleRefusal::new(RefusalCode::NoInterface, message))
    }

    fn check_component_imports(&self) -> Result<(), ModuleRefusal> {
        let offered = |name: &str| {
            PACKAGES.iter().any(|package| name.starts_with(package))
                && name
                    .split_once('@')
                    .is_none_or(|(_, version)| version.starts_with("0.2."))
        };
        let unknown: Vec<&str> = self
            .imports
            .iter()
            .map(|(_, name, _)| name.as_str())
            .filter(|name| !offered(name))
            .collect();
        let Some(first) = unknown.first() else {
            return Ok(());
        };
        let (name, hint) = unknown
            .iter()
            .find_map(|name| platform(name).map(|hint| (name, hint)))
            .unwrap_or((first, "no host here has it"));
        let message = format!(
            "the component imports {name}{}: {hint}; the interfaces offered are those of WASI 0.2 (wasi:cli, clocks, \
             filesystem, http, io, random, sockets)",
            more(unknown.len() - 1)
        );
        Err(ModuleRefusal::new(RefusalCode::UnknownImport, message))
    }
}

const OFFERED: &str = "only functions of wasi_snapshot_preview1 and serverledge::call are offered";
const UNRESOLVED: &str =
    "the linker left it open, or it is made for another host; link the library that has it";

fn more(count: usize) -> String {
    if count == 0 {
        String::new()
    } else {
        format!(" (and {count} more)")
    }
}

fn is_offered((module, name, is_function): &(String, String, bool)) -> bool {
    match module.as_str() {
        "wasi_snapshot_preview1" => *is_function,
        "serverledge" => name == "call",
        "env" => *is_function && name == "emscripten_notify_memory_growth",
        _ => false,
    }
}

fn is_preview_3(name: &str) -> bool {
    name.starts_with("wasi:")
        && name
            .split_once('@')
            .is_some_and(|(_, version)| version.starts_with("0.3"))
}

const BROWSER: &str =
    "it is made for a JavaScript host; build a program for WASI preview 1 instead";

/// The toolchain that makes modules with such an import, and the way out.
fn toolchain((module, name, is_function): &(String, String, bool)) -> Option<&'static str> {
    Some(match module.as_str() {
        "wbg" | "__wbindgen_placeholder__" | "__wbindgen_externref_xform__" => WASM_BINDGEN,
        "wasi" if name == "thread-spawn" => THREADS,
        "env" if name == "memory" && !is_function => THREADS,
        "env" => env(name)?,
        "gojs" | "go" => {
            "it is made for a browser (GOOS=js); build it with GOOS=wasip1 GOARCH=wasm"
        }
        "wasi_unstable" => {
            "it is made for the WASI of 2019; build it anew with a toolchain for WASI preview 1"
        }
        "wasi_snapshot_preview1" => {
            "WASI preview 1 has no such thing; some hosts add it, such as WasmEdge for sockets"
        }
        "wasi_ephemeral_nn" | "wasi_nn" => {
            "it asks for a neural network of its host (wasi-nn); bring the model along, or call a service"
        }
        "rb-js-abi-host" | "canonical_abi" => {
            "it is the Ruby of the packages @ruby/wasm-wasi, whose host is JavaScript; use a build of Ruby for plain WASI, or a container"
        }
        "wasm:js-string" | "wasm:text-encoder" | "teavm" | "teavmJso" | "teavmMath"
        | "dart2wasm" | "js_code" | "js" | "Math" | "console" => {
            "it is made for a JavaScript host, as TeaVM, Dart and Kotlin/Wasm (wasmJs) do; take the toolchain's WASI target (Kotlin: wasmWasi), or a container"
        }
        "GOT.mem" | "GOT.func" => SIDE_MODULE,
        "extism:host/env" | "extism:host/user" => {
            "it is a plug-in for Extism; build a program for WASI preview 1 instead"
        }
        "spectest" => {
            "it prints as MoonBit's and the test suite's modules do; read stdin and write stdout through WASI"
        }
        "$root" => COMPONENT,
        other
            if other.starts_with("./")
                && (other.ends_with("_bg.js") || other.contains("snippets/")) =>
        {
            WASM_BINDGEN
        }
        other if other.starts_with("wasix_") => {
            "it is made for WASIX (Wasmer); build it for plain WASI preview 1"
        }
        other if other.starts_with("fastly_") => {
            "it is made for Fastly's Compute; build it for WASI preview 1"
        }
        other if other.starts_with("cm32p2|") || other.contains(':') => COMPONENT,
        other if other.ends_with("js") || other.starts_with("./") => BROWSER,
        _ => return None,
    })
}

const WASM_BINDGEN: &str = "it is made for a JavaScript host, as wasm-bindgen and wasm-pack do; build a program for wasm32-wasip1 without wasm-bindgen";
const THREADS: &str = "it wants threads or a memory that its host makes, as wasm32-wasip1-threads and -pthread do; build it for wasm32-wasip1, without threads";
const COMPONENT: &str = "it is the core of a component, as wit-bindgen makes; make a component of it (wasm-tools component new, or the target wasm32-wasip2)";

const SIDE_MODULE: &str =
    "it is a library for dynamic linking (a side module); link it statically into a program";

/// Beginnings of the functions with which a JavaScript host helps C++ and setjmp.
const HELPED: [&str; 9] = [
    "invoke_",
    "__cxa_",
    "__resumeException",
    "llvm_eh_",
    "getTempRet0",
    "setTempRet0",
    "_emscripten_throw_longjmp",
    "saveSetjmp",
    "testSetjmp",
];
/// Packages of WASI's that are proposals.
const PROPOSALS: [&str; 7] = [
    "wasi:keyvalue/",
    "wasi:config/",
    "wasi:blobstore/",
    "wasi:messaging/",
    "wasi:logging/",
    "wasi:nn/",
    "wasi:tls/",
];

/// The module that C compilers name by default.
fn env(name: &str) -> Option<&'static str> {
    Some(match name {
        _ if begins(name, &HELPED) => {
            "C++ exceptions or setjmp that a JavaScript host helps with, as Emscripten makes; build with -sSTANDALONE_WASM, without -fexceptions and setjmp"
        }
        _ if begins(
            name,
            &[
                "emscripten_",
                "_emscripten_",
                "__syscall_",
                "_embind_",
                "_emval_",
            ],
        ) =>
        {
            "it is made for Emscripten's JavaScript host; build with -sSTANDALONE_WASM, or with wasi-sdk"
        }
        _ if begins(name, &["mono_", "dotnet_"]) => {
            "it is .NET for browsers; build it for wasi-wasm"
        }
        _ if begins(name, &["proxy_"]) => {
            "it is a filter for Envoy (proxy-wasm); build a program for WASI preview 1 instead"
        }
        "abort" | "seed" | "trace" | "console.log" => {
            "it is AssemblyScript without a host; build it with @assemblyscript/wasi-shim"
        }
        "__memory_base" | "__table_base" | "__indirect_function_table" | "__stack_pointer" => {
            SIDE_MODULE
        }
        "_longjmp" | "setjmp" | "longjmp" => {
            "setjmp needs exceptions, which are not offered; build without it"
        }
        _ => return None,
    })
}

/// The platform whose components import such a thing, and the way out.
fn platform(name: &str) -> Option<&'static str> {
    Some(match name {
        _ if is_preview_3(name) => "it is of WASI 0.3; build with an SDK for WASI 0.2",
        _ if begins(name, &["spin:", "fermyon:"]) => {
            "it is of Spin; use what wasi:http has instead of Spin's own interfaces"
        }
        _ if begins(name, &["wasmcloud:"]) => "it is of wasmCloud; use what wasi:http has instead",
        _ if begins(name, &PROPOSALS) => {
            "it is a proposal of WASI's that is not offered; pass what it would give in parameters or environment"
        }
        _ => return None,
    })
}

fn begins(name: &str, beginnings: &[&str]) -> bool {
    beginnings
        .iter()
        .any(|beginning| name.starts_with(beginning))
}
