//! The imports and exports of a module, read without compiling it. A module that no host here can serve is refused by
//! them, in a sentence that says which toolchain makes such modules and what to do instead.

use wasmparser::{Encoding, Parser, Payload, TypeRef};

use crate::protocol::{GuestKind, ModuleRefusal, RefusalCode};

/// Imports and exports of the outermost module or component.
#[derive(Debug, Default)]
pub(crate) struct Surface {
    /// Of a core module: module, name, and whether it is a function. Of a component: its name alone.
    pub(crate) imports: Vec<(String, String, bool)>,
    pub(crate) exports: Vec<String>,
    pub(crate) is_component: bool,
}

/// The exports that make a component a handler of requests and a program, without their versions. One with both is a
/// handler.
const HANDLER: &str = "wasi:http/incoming-handler";
const SERVICE: &str = "wasi:http/handler";
const PROGRAM: &str = "wasi:cli/run";
/// The packages of WASI that components may import from.
const PACKAGES: [&str; 7] = [
    "wasi:cli/",
    "wasi:clocks/",
    "wasi:filesystem/",
    "wasi:http/",
    "wasi:io/",
    "wasi:random/",
    "wasi:sockets/",
];
/// The interfaces of stores, which are offered in this draft alone.
const KEYVALUE: [&str; 3] = [
    "wasi:keyvalue/store@0.2.0-draft2",
    "wasi:keyvalue/atomics@0.2.0-draft2",
    "wasi:keyvalue/batch@0.2.0-draft2",
];
/// Most imports that a refusal names.
const NAMED_MAX: usize = 20;

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

    /// The kind of a component, by its exports; `None` if none of them is known. Of several interfaces one that answers
    /// requests counts, and then the newer one: Rust's standard library leaves an export of WASI 0.2 without a function
    /// behind it beside that of 0.3.
    pub(crate) fn component_kind(&self) -> Option<GuestKind> {
        let of = |version: &str, interface: &str| {
            let mut exports = self.exports.iter().filter_map(|name| name.split_once('@'));
            exports.any(|(before, behind)| {
                before == interface && behind.starts_with(version) && !behind.contains('-')
            })
        };
        // A component in text need not name a version.
        let bare = |interface: &str| self.exports.iter().any(|name| name == interface);
        if of("0.3.", SERVICE) {
            Some(GuestKind::Service)
        } else if of("0.2.", HANDLER) || bare(HANDLER) {
            Some(GuestKind::Http)
        } else if of("0.3.", PROGRAM) {
            Some(GuestKind::ConcurrentCli)
        } else if of("0.2.", PROGRAM) || bare(PROGRAM) {
            Some(GuestKind::Cli)
        } else {
            None
        }
    }

    /// Whether anything of a component is of WASI 0.3.
    pub(crate) fn is_of_preview_3(&self) -> bool {
        let imports = self.imports.iter().map(|(_, name, _)| name);
        self.exports
            .iter()
            .chain(imports)
            .any(|name| is_preview_3(name))
    }

    /// Whether it imports what reaches the stores of its space.
    pub(crate) fn keeps_state(&self) -> bool {
        self.imports.iter().any(|(module, name, _)| {
            (module == "serverledge" && name == "kv") || name.starts_with(KEYVALUE_PACKAGE)
        })
    }

    fn check_component(&self) -> Result<(), ModuleRefusal> {
        if self.component_kind().is_some() {
            return self.check_component_imports();
        }
        let message = match self.exports.iter().find(|name| is_preview_3(name)) {
            Some(name) if name.contains('-') => format!("the component exports {name}: {DRAFT}"),
            _ => format!(
                "the component exports neither {HANDLER} or {SERVICE} nor {PROGRAM}{}; make it one of the world \
                 wasi:http/proxy@0.2, wasi:http/service@0.3 or wasi:cli/command, or build a core module for WASI preview 1",
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
            let is_of_wasi = PACKAGES.iter().any(|package| name.starts_with(package))
                && name.split_once('@').is_none_or(|(_, version)| {
                    version.starts_with("0.2.")
                        || version.starts_with("0.3.") && !version.contains('-')
                });
            is_of_wasi || KEYVALUE.contains(&name)
        };
        let unknown: Vec<&str> = self
            .imports
            .iter()
            .map(|(_, name, _)| name.as_str())
            .filter(|name| !offered(name))
            .collect();
        if unknown.is_empty() {
            return Ok(());
        }
        let hint = unknown.iter().find_map(|name| platform(name));
        let named = &unknown[..unknown.len().min(NAMED_MAX)];
        let message = format!(
            "the component imports {}{}: {}; the interfaces offered are those of WASI 0.2 and 0.3 (wasi:cli, clocks, \
             filesystem, http, io, random, sockets), and wasi:keyvalue in the draft 0.2.0-draft2 (store, atomics, batch)",
            named.join(", "),
            more(unknown.len() - named.len()),
            hint.unwrap_or("no host here has it"),
        );
        Err(ModuleRefusal::new(RefusalCode::UnknownImport, message))
    }
}

const OFFERED: &str = "only functions of wasi_snapshot_preview1, serverledge::call, serverledge::send and serverledge::kv are offered";
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
        "serverledge" => matches!(name.as_str(), "call" | "send" | "kv"),
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
const DRAFT: &str =
    "it is of a draft of WASI 0.3; build with a released SDK for WASI 0.3, or for 0.2";
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
/// The package of [`KEYVALUE`].
const KEYVALUE_PACKAGE: &str = "wasi:keyvalue/";
/// Packages of WASI's that are proposals, and not offered.
const PROPOSALS: [&str; 6] = [
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
            "setjmp of a JavaScript host; build it with exceptions in their new form (exnref), or without"
        }
        _ => return None,
    })
}

/// The platform whose components import such a thing, and the way out.
fn platform(name: &str) -> Option<&'static str> {
    Some(match name {
        _ if is_preview_3(name) => DRAFT,
        _ if begins(name, &["spin:", "fermyon:"]) => {
            "it is of Spin; use what wasi:http has instead of Spin's own interfaces"
        }
        _ if begins(name, &["wasmcloud:"]) => "it is of wasmCloud; use what wasi:http has instead",
        _ if name.starts_with(KEYVALUE_PACKAGE) => {
            "of wasi:keyvalue only store, atomics and batch of the draft 0.2.0-draft2 are offered; build with these"
        }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_two_versions_the_newer_one_counts() {
        for (exports, expected) in [
            (
                &["wasi:cli/run@0.2.0", "wasi:cli/run@0.3.0"][..],
                Some(GuestKind::ConcurrentCli),
            ),
            (
                &[
                    "wasi:http/incoming-handler@0.2.3",
                    "wasi:http/handler@0.3.0",
                ],
                Some(GuestKind::Service),
            ),
            (
                &["wasi:cli/run@0.3.0", "wasi:http/incoming-handler@0.2.3"],
                Some(GuestKind::Http),
            ),
            (
                &["wasi:cli/run@0.2.0", "wasi:cli/run@0.3.0-rc-1"],
                Some(GuestKind::Cli),
            ),
            (&["run"], None),
        ] {
            let exports: String = exports
                .iter()
                .map(|name| format!("(export \"{name}\" (instance $i))"))
                .collect();
            let component = wat::parse_str(format!("(component (instance $i) {exports})")).unwrap();
            assert_eq!(
                read(&component).unwrap().component_kind(),
                expected,
                "{exports}"
            );
        }
    }
}
