//! Proposals that extend WebAssembly and that this node does not offer: a module that needs one is valid and refused, with
//! the proposal's name, the toolchains that use it, and the way out.

use wasmparser::{Validator, WasmFeatures};

use crate::protocol::{ModuleRefusal, RefusalCode};

/// A proposal that is not offered.
struct Proposal {
    feature: WasmFeatures,
    name: &'static str,
    /// The tools that make such modules, and the way out.
    hint: &'static str,
}

const CONTAINER: &str = "or run it in a container";

/// The more telling first: it gives the hint where a module needs several.
const NOT_OFFERED: [Proposal; 16] = [
    Proposal {
        feature: WasmFeatures::CM_ASYNC,
        name: "the component model's asynchronous functions (WASI 0.3)",
        hint: "the newest SDKs of Spin and the crate wasip3 use it; build with an SDK for WASI 0.2",
    },
    Proposal {
        feature: WasmFeatures::LEGACY_EXCEPTIONS,
        name: "exceptions in their old form (try, catch)",
        hint: "clang and Emscripten make it with -fwasm-exceptions or -sSUPPORT_LONGJMP=wasm; build without exceptions",
    },
    Proposal {
        feature: WasmFeatures::GC_TYPES,
        name: "garbage collection or references to its host's objects (gc, externref)",
        hint: "Kotlin/Wasm, Dart, TeaVM, OCaml and wasm-bindgen's tables use it; build without reference types where there is such an option",
    },
    Proposal {
        feature: WasmFeatures::EXCEPTIONS,
        name: "exceptions (try_table, exnref)",
        hint: "Kotlin/Wasm and C++ with -fwasm-exceptions use it; build without exceptions",
    },
    Proposal {
        feature: WasmFeatures::THREADS,
        name: "threads (shared memory, atomic instructions)",
        hint: "wasm32-wasip1-threads and -pthread make it; build for wasm32-wasip1, without threads",
    },
    Proposal {
        feature: WasmFeatures::MEMORY64,
        name: "memories of 64 bits (memory64)",
        hint: "the targets wasm64 and Emscripten's -sMEMORY64 make it; build for wasm32",
    },
    Proposal {
        feature: WasmFeatures::MULTI_MEMORY,
        name: "several memories (multi-memory)",
        hint: "wasm-merge and tools that instrument modules make it; link everything into one memory (wasm-opt --multi-memory-lowering)",
    },
    Proposal {
        feature: WasmFeatures::STACK_SWITCHING,
        name: "stack switching",
        hint: "experimental compilers use it; build without",
    },
    Proposal {
        feature: WasmFeatures::WIDE_ARITHMETIC,
        name: "arithmetic on 128 bits (wide-arithmetic)",
        hint: "-mwide-arithmetic makes it; build without that option",
    },
    Proposal {
        feature: WasmFeatures::CUSTOM_PAGE_SIZES,
        name: "pages of other sizes (custom-page-sizes)",
        hint: "linkers make it with --page-size; build without that option",
    },
    Proposal {
        feature: WasmFeatures::SHARED_EVERYTHING_THREADS,
        name: "threads (shared-everything)",
        hint: "experimental compilers use it; build without threads",
    },
    Proposal {
        feature: WasmFeatures::MEMORY_CONTROL,
        name: "memory control",
        hint: "experimental compilers use it; build without",
    },
    Proposal {
        feature: WasmFeatures::CM_GC,
        name: "garbage collection in the component model",
        hint: "experimental compilers use it; build without",
    },
    Proposal {
        feature: WasmFeatures::CM_THREADING,
        name: "threads in the component model",
        hint: "WASI 0.3 toolchains use it; build for WASI 0.2",
    },
    Proposal {
        feature: WasmFeatures::CM_ASYNC_STACKFUL
            .union(WasmFeatures::CM_MORE_ASYNC_BUILTINS)
            .union(WasmFeatures::CM_ERROR_CONTEXT),
        name: "further asynchronous functions of the component model",
        hint: "WASI 0.3 toolchains use it; build for WASI 0.2",
    },
    Proposal {
        feature: WasmFeatures::CM_FIXED_LENGTH_LISTS
            .union(WasmFeatures::CM_VALUES)
            .union(WasmFeatures::CM_NESTED_NAMES),
        name: "experimental parts of the component model",
        hint: "newer versions of wit-bindgen use it; build for WASI 0.2",
    },
];

/// The features that the engine offers (`engine.rs`; a test compares): the third edition of WebAssembly and components,
/// but for the above.
fn offered() -> WasmFeatures {
    let all = WasmFeatures::WASM3 | WasmFeatures::COMPONENT_MODEL;
    NOT_OFFERED
        .iter()
        .fold(all, |features, proposal| features - proposal.feature)
}

fn is_valid(binary: &[u8], features: WasmFeatures) -> Result<(), wasmparser::BinaryReaderError> {
    Validator::new_with_features(features)
        .validate_all(binary)
        .map(|_| ())
}

/// Whether a module is valid with what is offered; it costs a hundredth of a compilation.
pub(crate) fn check(binary: &[u8]) -> Result<(), ModuleRefusal> {
    let Err(fault) = is_valid(binary, offered()) else {
        return Ok(());
    };
    let all = NOT_OFFERED
        .iter()
        .fold(offered(), |features, proposal| features | proposal.feature);
    let needed: Vec<&Proposal> = match is_valid(binary, all) {
        Err(_) => Vec::new(),
        Ok(()) => NOT_OFFERED
            .iter()
            .filter(|one| is_valid(binary, all - one.feature).is_err())
            .collect(),
    };
    Err(ModuleRefusal::new(
        RefusalCode::InvalidModule,
        sentence(&needed, &fault),
    ))
}

fn sentence(needed: &[&Proposal], fault: &wasmparser::BinaryReaderError) -> String {
    let Some(first) = needed.first() else {
        return format!("the module is not valid: {fault}");
    };
    let names: Vec<&str> = needed.iter().map(|proposal| proposal.name).collect();
    format!(
        "the module needs {}, which this node does not offer: {}, {CONTAINER}",
        names.join(" and "),
        first.hint
    )
}
