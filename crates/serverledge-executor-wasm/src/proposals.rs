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
const NOT_OFFERED: [Proposal; 11] = [
    Proposal {
        feature: WasmFeatures::LEGACY_EXCEPTIONS,
        name: "exceptions in their old form (try, catch)",
        hint: "clang and Emscripten make it with -fwasm-exceptions or -sSUPPORT_LONGJMP=wasm; build with the new form (clang: -mllvm -wasm-use-legacy-eh=false, Emscripten: -sWASM_LEGACY_EXCEPTIONS=0), or without exceptions",
    },
    Proposal {
        feature: WasmFeatures::THREADS,
        name: "threads (shared memory, atomic instructions)",
        hint: "wasm32-wasip1-threads and -pthread make it; build for wasm32-wasip1, without threads",
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
        hint: "experimental toolchains use it; build without",
    },
    Proposal {
        feature: WasmFeatures::CM_ASYNC_STACKFUL
            .union(WasmFeatures::CM_MORE_ASYNC_BUILTINS)
            .union(WasmFeatures::CM_ERROR_CONTEXT),
        name: "asynchronous functions of the component model beyond WASI 0.3.0 (stackful tasks, error contexts, more built-ins)",
        hint: "drafts of WASI 0.3 and experimental toolchains use it; build with a released SDK for WASI 0.3.0, or for WASI 0.2",
    },
    Proposal {
        feature: WasmFeatures::CM_FIXED_LENGTH_LISTS
            .union(WasmFeatures::CM_VALUES)
            .union(WasmFeatures::CM_NESTED_NAMES),
        name: "experimental parts of the component model",
        hint: "newer versions of wit-bindgen use it; build for WASI 0.2",
    },
];

/// The features with which a guest has objects outside of its memory, in a heap that the engine collects.
const HEAP: WasmFeatures = WasmFeatures::GC
    .union(WasmFeatures::GC_TYPES)
    .union(WasmFeatures::EXCEPTIONS);

/// The same in the core modules of a component: there the heap may be made when code runs already, which is a fault of
/// wasmtime 48.0.8 (GHSA-43j2-gcp4-m22g).
const IN_COMPONENTS: Proposal = Proposal {
    feature: HEAP,
    name: "garbage collection, exceptions (exnref) or references to its host's objects (externref) inside of a component",
    hint: "Kotlin/Wasm and C++ with exceptions use it; build a core module for WASI preview 1, which may have them",
};

/// The features that the engine offers to core modules (`engine.rs`; a test compares): the third edition of WebAssembly and
/// components, but for the above.
fn offered() -> WasmFeatures {
    let all = WasmFeatures::WASM3 | WasmFeatures::COMPONENT_MODEL | WasmFeatures::CM_ASYNC;
    NOT_OFFERED
        .iter()
        .fold(all, |features, proposal| features - proposal.feature)
}

/// Whether a component has asynchronous functions.
pub(crate) fn is_concurrent(binary: &[u8]) -> bool {
    is_valid(binary, offered() - WasmFeatures::CM_ASYNC).is_err()
        && is_valid(binary, offered()).is_ok()
}

/// Whether an instance of a core module has objects outside of its memory.
pub(crate) fn has_heap(binary: &[u8]) -> bool {
    is_valid(binary, offered() - HEAP).is_err() && is_valid(binary, offered()).is_ok()
}

fn is_valid(binary: &[u8], features: WasmFeatures) -> Result<(), wasmparser::BinaryReaderError> {
    Validator::new_with_features(features)
        .validate_all(binary)
        .map(|_| ())
}

/// Whether a module is valid with what is offered; it costs a hundredth of a compilation.
pub(crate) fn check(binary: &[u8], is_component: bool) -> Result<(), ModuleRefusal> {
    let refused = || {
        let more = is_component.then_some(&IN_COMPONENTS);
        NOT_OFFERED.iter().chain(more)
    };
    let offered = refused().fold(offered(), |features, proposal| features - proposal.feature);
    let Err(fault) = is_valid(binary, offered) else {
        return Ok(());
    };
    let all = refused().fold(offered, |features, proposal| features | proposal.feature);
    let needed: Vec<&Proposal> = match is_valid(binary, all) {
        Err(_) => Vec::new(),
        Ok(()) => refused()
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
