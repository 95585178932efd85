//! One engine for all snapshots of a base: the same results as whole modules, machine code that is damaged or swept, and
//! what is kept in memory.

use std::collections::HashSet;
use std::fs;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use serde_json::{Value, json};
use serverledge_core::{Executor, FunctionLimits, StartError, Version};
use serverledge_executor_wasm::{PackedBase, WasmConfig, with_section};

use crate::support::{Lab, json_of, kind, words};

const SCRIPTS: &[u8] = include_bytes!("../../../../runtimes/javascript/javascript.wasm");
const SCRIPTS_WITH_INTL: &[u8] =
    include_bytes!("../../../../runtimes/javascript/javascript-intl.wasm");
const MEMORY: u64 = 64 << 20;

/// A base that keeps its stdin and its length, in memory and in a global, and says both.
fn base() -> Bytes {
    let text = r#"(module
        (import "wasi_snapshot_preview1" "fd_read" (func $read (param i32 i32 i32 i32) (result i32)))
        (memory (export "memory") 2)
        (global $length (mut i32) (i32.const 0))
        (func (export "wizer-initialize")
            (i32.store (i32.const 16) (i32.const 1024))
            (i32.store (i32.const 20) (i32.const 60000))
            (drop (call $read (i32.const 0) (i32.const 16) (i32.const 1) (i32.const 24)))
            (global.set $length (i32.load (i32.const 24))))
        (func (export "serverledge_alloc") (param i32) (result i32) (i32.const 65536))
        (func (export "serverledge_handle") (param i32 i32) (result i64) (local $length i32)
            (local.set $length (global.get $length))
            ;; No other call sees these changes.
            (global.set $length (i32.const 1))
            (i32.store8 (i32.const 1025) (i32.add (i32.load8_u (i32.const 1025)) (i32.const 1)))
            (i64.or (i64.shl (i64.const 1024) (i64.const 32)) (i64.extend_i32_u (local.get $length)))))"#;
    wat::parse_str(text).unwrap().into()
}

fn sharing(base: Bytes) -> Lab {
    sharing_with(base, |_| {})
}

fn sharing_with(base: Bytes, change: impl FnOnce(&mut WasmConfig)) -> Lab {
    Lab::with(|config| {
        config.bases = vec![base];
        change(config);
    })
}

async fn snapshot(lab: &Lab, input: &str) -> Vec<u8> {
    lab.executor
        .snapshot(base(), input.to_owned().into(), MEMORY)
        .await
        .unwrap()
        .module
}

/// A prepared version that answers with what it was made from, its second digit one higher.
async fn version(lab: &Lab, input: &str) -> (Arc<Version>, Vec<u8>) {
    let module = snapshot(lab, input).await;
    (
        lab.version(&module, FunctionLimits::default()).await,
        module,
    )
}

/// The files of engines: machine code that is neither a version's nor that of the base while it is initialised.
fn engines(lab: &Lab, versions: &[&Version]) -> Vec<PathBuf> {
    let own: HashSet<String> = versions
        .iter()
        .map(|version| version.code.to_string())
        .collect();
    let base = blake3::hash(&base()).to_hex().to_string();
    let stem = |path: &PathBuf| path.file_stem().unwrap().to_str().unwrap().to_owned();
    let mut files = lab.cached_files();
    files.retain(|path| {
        path.extension().unwrap() == "cwasm" && !own.contains(&stem(path)) && stem(path) != base
    });
    files
}

async fn says(lab: &Lab, version: &Arc<Version>, expected: Value) {
    for _ in 0..2 {
        assert_eq!(json_of(&lab.invoke(version, "{}").await.unwrap()), expected);
    }
}

async fn heals(lab: &Lab, version: &Arc<Version>, module: &[u8], expected: Value) {
    let started = lab.executor.start(version).await;
    assert!(
        matches!(&started, Err(StartError::NotPrepared(code)) if *code == version.code),
        "{started:?}"
    );
    lab.executor
        .prepare(version, Bytes::copy_from_slice(module), &())
        .await
        .unwrap();
    says(lab, version, expected).await;
}

#[tokio::test]
async fn two_versions_share_one_engine() {
    let mut lab = sharing(base());
    let (one, _) = version(&lab, "[1]").await;
    let (two, _) = version(&lab, "[2, 1]").await;
    assert_eq!(engines(&lab, &[&one, &two]).len(), 1);
    let engine = engines(&lab, &[&one, &two]).remove(0);
    let made = fs::metadata(&engine).unwrap().modified().unwrap();
    says(&lab, &one, json!([2])).await;
    says(&lab, &two, json!([3, 1])).await;
    lab.restart();
    let (three, _) = version(&lab, "[4]").await;
    says(&lab, &three, json!([5])).await;
    says(&lab, &one, json!([2])).await;
    assert_eq!(
        fs::metadata(&engine).unwrap().modified().unwrap(),
        made,
        "the engine was compiled again"
    );
    // One that is loaded is not read again.
    fs::remove_file(&engine).unwrap();
    says(&lab, &two, json!([3, 1])).await;
}

/// A packed base is unpacked for modules that are long enough to be its snapshots, and for nothing else.
#[tokio::test]
async fn a_packed_base_shares_an_engine() {
    for (snapshot_bytes_min, is_shared) in [(0, true), (1 << 20, false)] {
        let packed = PackedBase {
            name: "packed",
            snapshot_bytes_min,
            unpack: || Some(base()),
        };
        let lab = Lab::with(|config| config.packed_bases = vec![packed]);
        let (one, _) = version(&lab, "[1]").await;
        assert_eq!(engines(&lab, &[&one]).len(), usize::from(is_shared));
        assert_eq!(lab.executor.unpacked_base("packed"), Some(base().into()));
        assert_eq!(lab.executor.unpacked_base("other"), None);
        says(&lab, &one, json!([2])).await;
        let used = HashSet::from([one.code]);
        assert_eq!(lab.executor.sweep(&used, Duration::ZERO).await, 0);
        assert!(lab.executor.is_prepared(&one));
    }
}

#[tokio::test]
async fn preparing_the_base_makes_the_engine() {
    let lab = sharing(base());
    lab.executor.prepare_base(base()).await.unwrap();
    let engine = engines(&lab, &[]);
    assert_eq!(engine.len(), 1);
    let made = fs::metadata(&engine[0]).unwrap().modified().unwrap();
    let (one, _) = version(&lab, "[1]").await;
    assert_eq!(engines(&lab, &[&one]), engine);
    assert_eq!(fs::metadata(&engine[0]).unwrap().modified().unwrap(), made);
}

#[tokio::test]
async fn snapshots_of_other_bases_are_compiled_as_a_whole() {
    let lab = Lab::new();
    let (one, _) = version(&lab, "[1]").await;
    assert!(engines(&lab, &[&one]).is_empty());
    says(&lab, &one, json!([2])).await;
}

/// With an export more it is another module, which is no snapshot.
#[tokio::test]
async fn what_only_looks_like_a_snapshot_is_compiled_as_a_whole() {
    let lab = sharing(base());
    let text = r#"(module (import "wasi_snapshot_preview1" "fd_read" (func (param i32 i32 i32 i32) (result i32)))
        (memory (export "memory") 2) (data (i32.const 1024) "[7]")
        (func (export "serverledge_alloc") (param i32) (result i32) (i32.const 65536))
        (func (export "serverledge_handle") (param i32 i32) (result i64)
            (i64.or (i64.shl (i64.const 1024) (i64.const 32)) (i64.const 3))))"#;
    let version = lab.version(text, FunctionLimits::default()).await;
    assert!(engines(&lab, &[&version]).is_empty());
    says(&lab, &version, json!([7])).await;
}

#[tokio::test]
async fn a_damaged_engine_is_made_again() {
    for damage in [
        |path: &PathBuf| fs::write(path, b"changed").unwrap(),
        |path: &PathBuf| fs::remove_file(path).unwrap(),
    ] {
        let mut lab = sharing(base());
        let (one, module) = version(&lab, "[1]").await;
        let (two, _) = version(&lab, "[2]").await;
        // What is loaded is mapped, and must not change.
        lab.restart();
        damage(&engines(&lab, &[&one, &two])[0]);
        heals(&lab, &one, &module, json!([2])).await;
        says(&lab, &two, json!([3])).await;
    }
}

#[tokio::test]
async fn an_engine_whose_file_is_lost_while_it_is_loaded_is_made_again() {
    let lab = sharing(base());
    let (one, _) = version(&lab, "[1]").await;
    let path = engines(&lab, &[&one])[0].clone();
    fs::remove_file(&path).unwrap();
    version(&lab, "[2]").await;
    assert!(path.exists(), "the next deploy makes it");
}

#[tokio::test]
async fn damaged_data_is_made_again() {
    for extension in ["cwasm", "json"] {
        let mut lab = sharing(base());
        let (one, module) = version(&lab, "[1]").await;
        lab.restart();
        let path = lab.cached(&one, extension);
        let mut bytes = fs::read(&path).unwrap();
        *bytes.last_mut().unwrap() ^= 1;
        fs::write(&path, bytes).unwrap();
        heals(&lab, &one, &module, json!([2])).await;
    }
}

/// The seal covers the engine's digest and the globals: a label that names others is not believed.
#[tokio::test]
async fn data_of_another_engine_is_not_loaded() {
    let mut lab = sharing(base());
    let (one, module) = version(&lab, "[1]").await;
    let engine = engines(&lab, &[&one])[0]
        .file_stem()
        .unwrap()
        .to_str()
        .unwrap()
        .to_owned();
    let path = lab.cached(&one, "json");
    let label = fs::read_to_string(&path).unwrap();
    let others = [
        (engine.clone(), one.code.to_string()),
        (engine.clone(), "no digest".to_owned()),
        ("{\"i32\":3}".to_owned(), "{\"i32\":2}".to_owned()),
        (
            format!(
                "\"needs\":{{\"engine\":\"{engine}\",\"globals\":[{{\"index\":0,\"value\":{{\"i32\":3}}}}]}},"
            ),
            String::new(),
        ),
    ];
    for (part, other) in others {
        let changed = label.replace(&part, &other);
        assert_ne!(changed, label, "{part} is not in {label}");
        fs::write(&path, changed).unwrap();
        lab.restart();
        heals(&lab, &one, &module, json!([2])).await;
        assert_eq!(
            fs::read_to_string(&path).unwrap(),
            label,
            "it is sealed as before"
        );
    }
}

#[tokio::test]
async fn the_sweep_keeps_engines_that_are_named_or_current() {
    let mut lab = sharing(base());
    let (one, _) = version(&lab, "[1]").await;
    let (two, _) = version(&lab, "[2]").await;
    let used = |versions: &[&Version]| {
        versions
            .iter()
            .map(|version| version.code)
            .collect::<HashSet<_>>()
    };
    assert_eq!(
        lab.executor.sweep(&used(&[&one]), Duration::ZERO).await,
        2,
        "both files of the other version"
    );
    says(&lab, &one, json!([2])).await;
    assert!(!lab.executor.is_prepared(&two));
    // With another base the engine is an earlier one.
    lab.config.bases = vec![Bytes::from_static(SCRIPTS)];
    lab.restart();
    assert_eq!(lab.executor.sweep(&used(&[&one]), Duration::ZERO).await, 0);
    says(&lab, &one, json!([2])).await;
    assert_eq!(
        lab.executor.sweep(&used(&[]), Duration::ZERO).await,
        4,
        "data and engine"
    );
    lab.restart();
    assert!(!lab.executor.is_prepared(&one));
}

#[tokio::test]
async fn without_its_engine_nothing_is_prepared() {
    let lab = sharing(base());
    let (one, _) = version(&lab, "[1]").await;
    assert!(lab.executor.is_prepared(&one));
    fs::remove_file(&engines(&lab, &[&one])[0]).unwrap();
    assert!(!lab.executor.is_prepared(&one));
}

/// An engine is counted once, however many share it, and as long as one does.
#[tokio::test]
async fn an_engine_counts_once_among_what_is_loaded() {
    let mut lab = sharing(base());
    let mut versions = Vec::new();
    for input in ["[1]", "[2]", "[3]"] {
        versions.push(version(&lab, input).await.0);
    }
    let file = |path: &PathBuf| fs::metadata(path).unwrap().len();
    let engine = file(&engines(&lab, &versions.iter().map(|one| &**one).collect::<Vec<_>>())[0]);
    let data = versions
        .iter()
        .map(|version| file(&lab.cached(version, "cwasm")))
        .max()
        .unwrap();
    for (bytes, files, warm) in [
        (engine + 3 * data, 4, [true, true, true]),
        (engine + 3 * data, 3, [false, true, true]),
        (engine + 2 * data, 99, [false, true, true]),
        (engine + data, 99, [false, false, true]),
        (1, 99, [false, false, true]),
    ] {
        (lab.config.loaded_bytes_max, lab.config.loaded_max) = (bytes, files);
        lab.restart();
        for version in &versions {
            lab.executor.start(version).await.unwrap();
        }
        // The last one first: a start that loads pushes others out.
        for (version, warm) in versions
            .iter()
            .zip(warm)
            .rev()
            .take(warm.iter().filter(|warm| **warm).count())
        {
            assert_eq!(
                lab.executor.start(version).await.unwrap().warm,
                warm,
                "{bytes} bytes, {files} files"
            );
        }
        if !warm[0] {
            assert!(
                !lab.executor.start(&versions[0]).await.unwrap().warm,
                "{bytes} bytes, {files} files"
            );
        }
        for version in &versions {
            lab.executor.forget(version).await;
        }
        assert!(!lab.executor.start(&versions[2]).await.unwrap().warm);
    }
}

/// The first call of a new version finds it loaded, and others stay loaded.
#[tokio::test]
async fn what_is_prepared_is_loaded_if_there_is_room() {
    // Two modules and their engine.
    let lab = sharing_with(base(), |config| config.loaded_max = 3);
    let (first, _) = version(&lab, "[1]").await;
    let (second, _) = version(&lab, "[2]").await;
    for (version, warm) in [(&first, true), (&second, false), (&first, true)] {
        let started = lab.executor.start(version).await.unwrap();
        assert_eq!((started.warm, started.phases.is_empty()), (warm, warm));
    }
}

/// An instance waits for the first call, and then for the next one; it takes nobody's place.
#[tokio::test]
async fn an_instance_waits_for_the_first_call() {
    for kept_max in [0, 1, 4] {
        let lab = sharing_with(base(), |config| config.kept_max = kept_max);
        let (one, _) = version(&lab, "[1]").await;
        assert_eq!(lab.executor.instances_kept(), kept_max.min(1));
        says(&lab, &one, json!([2])).await;
        assert_eq!(lab.executor.instances_kept(), kept_max.min(1));
        let (two, _) = version(&lab, "[2]").await;
        assert_eq!(lab.executor.instances_kept(), kept_max.min(2));
        says(&lab, &two, json!([3])).await;
    }
}

/// A script has the same results, logs and failures in one module and in two parts.
#[tokio::test]
async fn scripts_do_the_same_in_two_parts() {
    let whole = Lab::new();
    let split = sharing(Bytes::from_static(SCRIPTS));
    let hello = include_str!("../../../../examples/hello.js");
    let sieve = include_str!("../../../../examples/sieve.js");
    let cases = [
        ("hello.js", hello, r#"{"name":"Ada"}"#),
        ("sieve.js", sieve, r#"{"limit":100000}"#),
        ("sieve.js", sieve, r#"{"limit":-1}"#),
        (
            "grows.js",
            "exports.handler = () => new Uint8Array(40 << 20).fill(7).reduce((a, b) => a + b)",
            "{}",
        ),
        (
            "state.js",
            "let n = 0; const a = []; exports.handler = (x) => { a.push(x); return [++n, a]; };",
            "[1]",
        ),
        (
            "deep.js",
            "exports.handler = function f(n) { return f(n) + 1; };",
            "{}",
        ),
        (
            "hungry.js",
            "exports.handler = () => new Uint8Array(900 << 20).length",
            "{}",
        ),
    ];
    for (file, source, params) in cases {
        let input = json!({ "file": file, "source": source, "handler": "" }).to_string();
        let module = split
            .executor
            .snapshot(Bytes::from_static(SCRIPTS), input.into(), MEMORY)
            .await
            .unwrap()
            .module;
        let module = with_section(module, "serverledge.source", source.as_bytes());
        let mut ends = Vec::new();
        for lab in [&whole, &split] {
            let version = lab.version(&module, FunctionLimits::default()).await;
            for _ in 0..2 {
                let outcome = lab.invoke(&version, params).await;
                ends.push(match &outcome {
                    Ok(done) => (
                        json_of(done).to_string(),
                        String::from_utf8_lossy(&done.log).into_owned(),
                    ),
                    Err(_) => (words(outcome), String::new()),
                });
            }
        }
        assert!(
            ends.windows(2).all(|two| two[0] == two[1]),
            "{file}: {ends:?}"
        );
    }
    assert_eq!(
        split.cached_files().len(),
        2 * (1 + 1 + 6),
        "a base, an engine, and data of each"
    );
}

/// A function's limits hold for memory that comes with data.
#[tokio::test]
async fn limits_hold_in_two_parts() {
    let lab = sharing(Bytes::from_static(SCRIPTS));
    let script = "exports.handler = () => { for (;;); }";
    let input = json!({ "file": "loop.js", "source": script, "handler": "" }).to_string();
    let module = lab
        .executor
        .snapshot(Bytes::from_static(SCRIPTS), input.into(), MEMORY)
        .await
        .unwrap()
        .module;
    let version = lab
        .version(
            &module,
            crate::support::time_limit(Duration::from_millis(50)),
        )
        .await;
    assert_eq!(
        kind(lab.invoke(&version, "{}").await),
        serverledge_core::FailureKind::TimeLimit
    );
}

/// A node has two engines of scripts. A snapshot of one shares that one's machine code, and a sweep keeps both.
/// A node that knows the other base only compiles the same module as a whole, with the same results.
#[tokio::test]
async fn each_base_has_an_engine_of_its_own() {
    let (plain, intl) = (
        Bytes::from_static(SCRIPTS),
        Bytes::from_static(SCRIPTS_WITH_INTL),
    );
    let lab = sharing_with(plain.clone(), |config| config.bases.push(intl.clone()));
    let older = sharing(plain);
    assert!(!lab.executor.is_base_prepared(&intl.clone().into()));
    lab.executor.prepare_base(intl.clone()).await.unwrap();
    assert!(lab.executor.is_base_prepared(&intl.clone().into()));
    assert!(
        !lab.executor
            .is_base_prepared(&Bytes::from_static(SCRIPTS).into())
    );
    let before = lab.cached_files().len();
    for (locale, expected) in [("de", "1.234,5"), ("en", "1,234.5")] {
        let source = format!("exports.handler = (n) => n.toLocaleString('{locale}')");
        let input = json!({ "file": "n.js", "source": source, "handler": "" }).to_string();
        let taken = lab
            .executor
            .snapshot(intl.clone(), input.into(), MEMORY)
            .await;
        let module = taken.unwrap().module;
        for lab in [&lab, &older] {
            let version = lab.version(&module, FunctionLimits::default()).await;
            let done = lab.invoke(&version, "1234.5").await.unwrap();
            assert_eq!(json_of(&done), json!(expected));
        }
    }
    assert_eq!(
        lab.cached_files().len() - before,
        2 * 2,
        "the data of both, and no more machine code"
    );
    assert_eq!(older.cached_files().len(), 2 * 2, "both as a whole");
    let swept = lab.executor.sweep(&HashSet::new(), Duration::ZERO).await;
    assert_eq!(swept, 2 * 2, "the data");
    assert!(lab.executor.is_base_prepared(&intl.clone().into()));
}
