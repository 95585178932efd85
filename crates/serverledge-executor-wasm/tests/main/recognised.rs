//! Modules that are recognised at deploy, and those that are refused, each with its code.

use serverledge_core::{Executor as _, FunctionLimits, Interface, MemoryMib, PrepareError};
use serverledge_testing::executor::version;

use crate::support::{Lab, code, command, echo, json_of, large_command, reactor};

#[tokio::test]
async fn interfaces_are_recognised() {
    let lab = Lab::new();
    let both = reactor("(func (export \"_start\"))", "(i64.const 0)");
    for (guest, recognised) in [
        (echo(), "WASI command"),
        (reactor("", "(i64.const 0)"), "reactor"),
        (both, "reactor"),
        ("(module (memory (export \"memory\") 0) (func (export \"_start\")))".to_owned(), "WASI command"),
        (
            ";; a comment first\n(module (memory (export \"memory\") 1) (func (export \"_start\")))".to_owned(),
            "WASI command",
        ),
        ("\n\t (module (memory (export \"memory\") 1) (func (export \"_start\")))".to_owned(), "WASI command"),
    ] {
        let prepared = lab.prepare(&guest).await.unwrap();
        assert_eq!((prepared.recognised, prepared.interface), (recognised, Interface::Json), "{guest}");
        assert_eq!(prepared.remarks, Vec::<String>::new());
    }
}

#[tokio::test]
async fn a_binary_is_taken_as_its_text_is() {
    let lab = Lab::new();
    let binary = wat::parse_str(echo()).unwrap();
    assert_eq!(
        lab.prepare(&binary).await.unwrap().recognised,
        "WASI command"
    );
    assert_eq!(
        json_of(&lab.run(&binary, "[1]").await.unwrap()),
        serde_json::json!([1])
    );
}

#[tokio::test]
async fn a_large_initial_memory_is_remarked() {
    let lab = Lab::new();
    let prepared = lab.prepare(large_command(17, "", "")).await.unwrap();
    assert_eq!(prepared.remarks.len(), 1, "{:?}", prepared.remarks);
    assert!(
        prepared.remarks[0].contains("1088 KiB"),
        "{}",
        prepared.remarks[0]
    );
}

/// Refusals: the module, the code, a word of the message.
fn refused() -> Vec<(Vec<u8>, &'static str, &'static str)> {
    let with_memory =
        |items: &str| format!("(module (memory (export \"memory\") 1) {items})").into_bytes();
    let mut cut = wat::parse_str(echo()).unwrap();
    cut.truncate(cut.len() / 2);
    vec![
        (b"".to_vec(), "not_wasm", "neither"),
        (b"\x7fELF\x02\x01\x01".to_vec(), "not_wasm", "neither"),
        (b"print('hello')".to_vec(), "not_wasm", "neither"),
        (b"(module".to_vec(), "not_wasm", "text form"),
        (b"(\xff\xfe)".to_vec(), "not_wasm", ""),
        (b"\0asm".to_vec(), "invalid_module", ""),
        (b"\0asm\x09\0\0\0".to_vec(), "invalid_module", ""),
        (cut, "invalid_module", ""),
        (with_memory("(func (export \"_start\") (i32.add))"), "invalid_module", "i32"),
        (with_memory(""), "no_interface", "_start"),
        (b"(module (func (export \"_start\")))".to_vec(), "no_interface", "\"memory\""),
        (b"(module (func (export \"memory\")) (func (export \"_start\")))".to_vec(), "no_interface", "\"memory\""),
        (with_memory("(func (export \"_start\") (param i32))"), "no_interface", "_start"),
        (with_memory("(global (export \"_start\") i32 (i32.const 0))"), "no_interface", "_start"),
        (
            with_memory("(func (export \"serverledge_alloc\") (param i32) (result i32) unreachable)"),
            "no_interface",
            "serverledge_handle",
        ),
        (
            with_memory(
                "(func (export \"serverledge_alloc\") (param i64) (result i32) unreachable)
                 (func (export \"serverledge_handle\") (param i32 i32) (result i64) unreachable)",
            ),
            "no_interface",
            "serverledge_alloc",
        ),
        (
            with_memory(
                "(func (export \"serverledge_alloc\") (param i32) (result i32) unreachable)
                 (func (export \"serverledge_handle\") (param i32 i32) (result i32) unreachable)",
            ),
            "no_interface",
            "serverledge_handle",
        ),
        (
            with_memory(
                "(func (export \"serverledge_alloc\") (param i32) (result i32) unreachable)
                 (func (export \"serverledge_handle\") (param i32 i32) (result i64) unreachable)
                 (func (export \"_initialize\") (param i32))",
            ),
            "no_interface",
            "_initialize",
        ),
        (
            b"(module (import \"env\" \"f\" (func)) (memory (export \"memory\") 1) (func (export \"_start\")))".to_vec(),
            "unknown_import",
            "env::f",
        ),
        (
            b"(module (import \"serverledge\" \"spawn\" (func)) (memory (export \"memory\") 1) (func (export \"_start\")))".to_vec(),
            "unknown_import",
            "serverledge::spawn",
        ),
        (
            b"(module (import \"serverledge\" \"kv\" (func (param i32))) (memory (export \"memory\") 1) (func (export \"_start\")))".to_vec(),
            "unknown_import",
            "kv",
        ),
        (
            b"(module (import \"wasi_snapshot_preview1\" \"fd_teleport\" (func)) (memory (export \"memory\") 1) (func (export \"_start\")))".to_vec(),
            "unknown_import",
            "fd_teleport",
        ),
        (
            b"(module (import \"wasi_snapshot_preview1\" \"fd_close\" (func)) (memory (export \"memory\") 1) (func (export \"_start\")))".to_vec(),
            "unknown_import",
            "fd_close",
        ),
        (
            b"(module (import \"wasi_snapshot_preview1\" \"memory\" (memory 1)) (func (export \"_start\")))".to_vec(),
            "unknown_import",
            "wasi_snapshot_preview1::memory",
        ),
        (
            b"(module (import \"serverledge\" \"call\" (func (param i32))) (memory (export \"memory\") 1) (func (export \"_start\")))".to_vec(),
            "unknown_import",
            "call",
        ),
        (b"(component)".to_vec(), "no_interface", "wasi:http/incoming-handler"),
    ]
}

#[tokio::test]
async fn everything_else_is_refused_with_a_code() {
    let lab = Lab::new();
    let mut wrong = Vec::new();
    for (guest, expected, word) in refused() {
        let (given, message) = code(lab.prepare(&guest).await);
        if given != expected || !message.contains(word) {
            wrong.push(format!(
                "{}: {given}: {message}",
                String::from_utf8_lossy(&guest)
            ));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(
        lab.cached_files().is_empty(),
        "something refused was stored: {:?}",
        lab.cached_files()
    );
}

#[tokio::test]
async fn memory_beyond_the_limit_is_refused_at_deploy() {
    let lab = Lab::new();
    let large = large_command(33, "", "");
    let limited = |mib| FunctionLimits {
        memory: MemoryMib::new(mib),
        ..FunctionLimits::default()
    };
    let small = version(large.as_bytes(), limited(2));
    let (given, message) = code(
        lab.executor
            .prepare(&small, large.clone().into(), &())
            .await,
    );
    assert_eq!(given, "memory_too_small");
    assert!(
        message.contains("3 MiB") && message.contains("2 MiB"),
        "{message}"
    );
    assert!(lab.cached_files().is_empty(), "on error nothing is kept");
    // With the machine code there, the answer stays the same for a version that declares too little.
    let fits = version(large.as_bytes(), limited(3));
    lab.executor
        .prepare(&fits, large.clone().into(), &())
        .await
        .unwrap();
    assert_eq!(
        code(lab.executor.prepare(&small, large.into(), &()).await).0,
        "memory_too_small"
    );
}

/// More than the pool could ever hold: refused at deploy, not at the first call.
#[tokio::test]
async fn what_the_pool_cannot_hold_is_refused_at_deploy() {
    let lab = Lab::new();
    for (what, items) in [
        (
            "a table of 70,000 elements",
            "(table 70000 funcref)".to_owned(),
        ),
        ("17 tables", "(table 1 funcref)".repeat(17)),
        ("5 memories", "(memory 1)".repeat(4)),
        ("a memory beyond 4 GiB", "(memory i64 65537)".to_owned()),
    ] {
        let version = std::sync::Arc::new(version(
            command(&items, "").as_bytes(),
            FunctionLimits::default(),
        ));
        match lab
            .executor
            .prepare(&version, command(&items, "").into(), &())
            .await
        {
            Err(PrepareError::Invalid { .. }) => {}
            other => {
                let started = lab.executor.start(&version).await;
                panic!("{what} was prepared: {other:?}; its start gives {started:?}");
            }
        }
    }
}

/// A component is recognised by what it can do, not by a name: one that no request could be handed to is refused at
/// deploy.
#[tokio::test]
async fn a_component_must_be_able_to_handle() {
    let lab = Lab::new();
    let hollow = "(component (instance (export \"wasi:http/incoming-handler@0.2.0\")))";
    for text in [hollow] {
        let version = std::sync::Arc::new(version(text.as_bytes(), FunctionLimits::default()));
        if let Ok(prepared) = lab.executor.prepare(&version, text.into(), &()).await {
            let started = lab.executor.start(&version).await;
            panic!("{text} was prepared: {prepared:?}; its start gives {started:?}");
        }
    }
}

/// The way in which a guest of [`FOREIGN`] is put together from its text.
#[derive(Clone, Copy)]
enum Made {
    /// A reactor with this item.
    Reactor,
    /// A command that imports a function: module and name, with a blank between.
    Importing,
    /// A component that exports an instance of this name.
    Exporting,
    /// As it is.
    Plain,
}

impl Made {
    fn text(self, of: &str) -> String {
        match self {
            Self::Reactor => format!(
                r#"(module (memory (export "memory") 1)
                   (func (export "serverledge_alloc") (param i32) (result i32) (i32.const 1024))
                   (func (export "serverledge_handle") (param i32 i32) (result i64) (i64.const 11)) {of})"#
            ),
            Self::Importing => {
                let (module, name) = of.split_once(' ').unwrap();
                format!(
                    r#"(module (import "{module}" "{name}" (func)) (memory (export "memory") 1) (func (export "_start")))"#
                )
            }
            Self::Exporting => format!(r#"(component (instance (export "{of}")))"#),
            Self::Plain => of.to_owned(),
        }
    }
}

/// Modules of real toolchains that no host here serves; the code and words of the refusal.
const FOREIGN: [(Made, &str, &str, [&str; 2]); 20] = [
    (
        Made::Plain,
        r#"(component (core module (table 1 externref)) (instance (export "wasi:http/incoming-handler@0.2.0")))"#,
        "invalid_module",
        ["externref", "a core module"],
    ),
    (
        Made::Plain,
        r#"(component (core module (type (struct (field i32)))) (instance (export "wasi:http/incoming-handler@0.2.0")))"#,
        "invalid_module",
        ["garbage collection", "Kotlin"],
    ),
    (
        Made::Plain,
        r#"(component (core module (tag (param i32))) (instance (export "wasi:http/incoming-handler@0.2.0")))"#,
        "invalid_module",
        ["exnref", "a core module"],
    ),
    (
        Made::Plain,
        // A tag, and a function with the instructions try, throw, catch_all of before 2025: the text form has them no more.
        r#"(module binary "\00asm\01\00\00\00" "\01\04\01\60\00\00" "\03\02\01\00" "\0d\03\01\00\00"
           "\0a\0a\01\08\00\06\40\08\00\19\0b\0b")"#,
        "invalid_module",
        ["old form", "-wasm-use-legacy-eh=false"],
    ),
    (
        Made::Reactor,
        "(memory $s 1 1 shared)",
        "invalid_module",
        ["threads", "wasm32-wasip1"],
    ),
    (
        Made::Importing,
        "wbg __wbg_now",
        "unknown_import",
        ["wbg::__wbg_now", "wasm-bindgen"],
    ),
    (
        Made::Importing,
        "./greet_bg.js f",
        "unknown_import",
        ["wasm-bindgen", "wasm32-wasip1"],
    ),
    (
        Made::Importing,
        "wasi thread-spawn",
        "unknown_import",
        ["threads", "wasm32-wasip1"],
    ),
    (
        Made::Importing,
        "env invoke_ii",
        "unknown_import",
        ["C++ exceptions", "-sSTANDALONE_WASM"],
    ),
    (
        Made::Importing,
        "env abort",
        "unknown_import",
        ["AssemblyScript", "wasi-shim"],
    ),
    (
        Made::Importing,
        "env area",
        "unknown_import",
        ["env::area", "linker"],
    ),
    (
        Made::Importing,
        "gojs runtime.wasmExit",
        "unknown_import",
        ["GOOS=js", "GOOS=wasip1"],
    ),
    (
        Made::Importing,
        "wasi_unstable fd_write",
        "unknown_import",
        ["2019", "preview 1"],
    ),
    (
        Made::Importing,
        "wasi:http/types@0.2.0 f",
        "unknown_import",
        ["core of a component", "wasm-tools"],
    ),
    (
        Made::Exporting,
        "wasi:cli/run@0.2.6",
        "no_interface",
        ["no wasi:cli component", "run"],
    ),
    (
        Made::Exporting,
        "wasi:http/handler@0.3.0",
        "no_interface",
        ["no wasi:http component of WASI 0.3", "handle"],
    ),
    (
        Made::Exporting,
        "wasi:http/handler@0.3.0-rc-2026-01-06",
        "no_interface",
        ["draft", "released"],
    ),
    (
        Made::Exporting,
        "acme:shop/orders",
        "no_interface",
        ["acme:shop/orders", "wasi:http/incoming-handler"],
    ),
    (
        Made::Plain,
        r#"(component (import "fermyon:spin/llm@2.0.0" (instance)) (import "wasi:cli/stdin@0.2.3" (instance))
           (instance (export "wasi:http/incoming-handler@0.2.0")))"#,
        "unknown_import",
        ["fermyon:spin/llm@2.0.0", "Spin"],
    ),
    (
        Made::Plain,
        r#"(component (import "acme:shop/orders" (instance)) (import "wasi:keyvalue/store@0.2.0-draft" (instance))
           (import "wasi:clocks/types@0.3.0" (instance)) (instance (export "wasi:http/handler@0.3.1")))"#,
        "unknown_import",
        [
            "acme:shop/orders, wasi:keyvalue/store@0.2.0-draft:",
            "0.2.0-draft2",
        ],
    ),
];

/// One sentence names what is missing, for which toolchain that is typical, and the way out.
#[tokio::test]
async fn a_refusal_names_the_toolchain_and_the_way_out() {
    let lab = Lab::new();
    let mut wrong = Vec::new();
    for (made, of, expected, words) in FOREIGN {
        let guest = made.text(of);
        let (given, message) = code(lab.prepare(&guest).await);
        if given != expected
            || words.iter().any(|word| !message.contains(word))
            || message.contains("not valid")
        {
            wrong.push(format!("{guest}: {given}: {message}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(lab.cached_files().is_empty());
}

/// Features that the looks before compiling take for offered are those that the engine offers.
#[tokio::test]
async fn newer_instructions_that_are_offered_are_taken() {
    let lab = Lab::new();
    for items in [
        "(func $f (param i32) (result i32) (return_call $f (local.get 0)))",
        "(func (param v128) (result v128) (i8x16.relaxed_swizzle (local.get 0) (local.get 0)))",
        "(func (param (ref func)))",
        "(global i32 (i32.add (i32.const 1) (i32.const 2)))",
        "(memory $second 1) (func (memory.copy $second 0 (i32.const 0) (i32.const 0) (i32.const 1)))",
        "(memory $long i64 1 9) (func (result i32) (i32.load $long (i64.const 8)))",
        "(func (param i32 i32 i32) (memory.fill (local.get 0) (local.get 1) (local.get 2)))",
        "(type $open (sub (func)))",
        "(table 1 externref) (func (param externref) (table.set (i32.const 0) (local.get 0)))",
        "(type $s (struct (field i32))) (func (result (ref $s)) (struct.new $s (i32.const 1)))",
        "(type $a (array (mut i8))) (func (param i32) (result (ref $a)) (array.new_default $a (local.get 0)))",
        "(func (param i32) (result i31ref) (ref.i31 (local.get 0)))",
        "(tag $e (param i32)) (func (result i32) (block $l (result i32) (try_table (catch $e $l) (throw $e (i32.const 1))) (i32.const 0)))",
        "(func (param exnref) (throw_ref (local.get 0)))",
    ] {
        lab.prepare(crate::support::command(items, ""))
            .await
            .unwrap();
    }
}

/// Addresses of 64 bits are like others: the host finds what is there, and every call its instance as it began.
#[tokio::test]
async fn a_memory_with_long_addresses_is_like_others() {
    let lab = Lab::new();
    let counts = r#"(module (memory (export "memory") i64 1) (data (i64.const 0) "{\"n\":0}")
        (func (export "serverledge_alloc") (param i32) (result i32) (i32.const 1024))
        (func (export "serverledge_handle") (param i32 i32) (result i64)
            (i32.store8 (i64.const 5) (i32.add (i32.load8_u (i64.const 5)) (i32.const 1)))
            (i64.const 7)))"#;
    let version = lab.version(counts, FunctionLimits::default()).await;
    for _ in 0..3 {
        let counted = json_of(&lab.invoke(&version, "{}").await.unwrap());
        assert_eq!(counted["n"], 1);
    }
}
