//! Snapshots: what is kept of an initialisation, what it is told of the world, and how one that fails is told apart.

use std::time::Duration;

use bytes::Bytes;
use serde_json::json;
use serverledge_core::FunctionLimits;
use serverledge_executor_wasm::{ModuleSnapshot, SnapshotError};

use crate::support::{Lab, json_of};

const MEMORY: u64 = 16 << 20;
const INPUT: &str = r#"{"kept":[1,2]}"#;

/// A base that keeps its stdin at 1024, does `more` in its initialisation, and answers with what it kept.
fn base(more: &str) -> Bytes {
    format!(
        r#"(module
        (import "wasi_snapshot_preview1" "fd_read" (func $read (param i32 i32 i32 i32) (result i32)))
        (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
        (import "wasi_snapshot_preview1" "random_get" (func $random (param i32 i32) (result i32)))
        (import "wasi_snapshot_preview1" "clock_time_get" (func $clock (param i32 i64 i32) (result i32)))
        (import "wasi_snapshot_preview1" "environ_sizes_get" (func $environ (param i32 i32) (result i32)))
        (import "wasi_snapshot_preview1" "poll_oneoff" (func $poll (param i32 i32 i32 i32) (result i32)))
        (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
        (import "serverledge" "call" (func $call (param i32 i32 i32 i32 i32 i32) (result i64)))
        (import "serverledge" "send" (func $send (param i32 i32 i32 i32) (result i64)))
        (import "serverledge" "kv" (func $kv (param i32 i32 i32 i32) (result i64)))
        (memory (export "memory") 2)
        (global $length (mut i32) (i32.const 0))
        (func $say (param $fd i32)
            (i32.store (i32.const 16) (i32.const 1024))
            (i32.store (i32.const 20) (global.get $length))
            (drop (call $write (local.get $fd) (i32.const 16) (i32.const 1) (i32.const 24))))
        (func (export "wizer-initialize")
            (i32.store (i32.const 16) (i32.const 1024))
            (i32.store (i32.const 20) (i32.const 60000))
            (drop (call $read (i32.const 0) (i32.const 16) (i32.const 1) (i32.const 24)))
            (global.set $length (i32.load (i32.const 24)))
            {more})
        (func (export "serverledge_alloc") (param i32) (result i32) (i32.const 65536))
        (func (export "serverledge_handle") (param i32 i32) (result i64)
            (i64.or (i64.shl (i64.const 1024) (i64.const 32)) (i64.extend_i32_u (global.get $length)))))"#
    )
    .into()
}

async fn take(lab: &Lab, more: &str) -> Result<ModuleSnapshot, SnapshotError> {
    lab.executor
        .snapshot(base(more), INPUT.into(), MEMORY)
        .await
}

async fn fault(more: &str) -> SnapshotError {
    let lab = Lab::with(|config| {
        config.init.cpu_time = Duration::from_millis(200);
        config.init.output_bytes_max = 1000;
        config.init.module_bytes_max = 30_000;
    });
    take(&lab, more).await.unwrap_err()
}

#[tokio::test]
async fn a_snapshot_is_an_ordinary_module() {
    let lab = Lab::new();
    let snapshot = take(&lab, "(call $say (i32.const 2))").await.unwrap();
    assert_eq!(snapshot.log, INPUT);
    for _ in 0..2 {
        assert_eq!(
            json_of(&lab.run(&snapshot.module, "{}").await.unwrap()),
            json!({"kept": [1, 2]})
        );
    }
}

/// Time, randomness and sleeping are there and the same each time, in another process and after a restart too.
#[tokio::test]
async fn the_same_input_gives_the_same_module() {
    let asks = r"
        (drop (call $random (i32.const 2048) (i32.const 100)))
        (drop (call $clock (i32.const 0) (i64.const 1) (i32.const 2200)))
        (drop (call $environ (i32.const 2300) (i32.const 2304)))
        (i64.store (i32.const 3024) (i64.const 3600000000000)) ;; an hour from now
        (drop (call $poll (i32.const 3000) (i32.const 3100) (i32.const 1) (i32.const 3200)))
        (drop (call $clock (i32.const 1) (i64.const 1) (i32.const 2208)))";
    let mut lab = Lab::new();
    let first = take(&lab, asks).await.unwrap();
    lab.restart();
    assert_eq!(take(&lab, asks).await.unwrap(), first);
    assert_eq!(take(&Lab::new(), asks).await.unwrap(), first);
    let other = lab
        .executor
        .snapshot(base(asks), "1".into(), MEMORY)
        .await
        .unwrap();
    assert_ne!(other.module, first.module);
}

/// The randomness is no run of zeros, which programs that look for a number of a kind would draw for ever; the clock moves
/// by what was slept.
#[tokio::test]
async fn the_still_world_is_one_to_live_in() {
    let refuses = r#"
        (drop (call $random (i32.const 2048) (i32.const 100)))
        (if (i64.eq (i64.load (i32.const 2048)) (i64.load (i32.const 2056))) (then unreachable))
        (drop (call $clock (i32.const 0) (i64.const 1) (i32.const 2200)))
        (i64.store (i32.const 3024) (i64.const 5000))
        (drop (call $poll (i32.const 3000) (i32.const 3100) (i32.const 1) (i32.const 3200)))
        (drop (call $clock (i32.const 0) (i64.const 1) (i32.const 2208)))
        (if (i64.ne (i64.sub (i64.load (i32.const 2208)) (i64.load (i32.const 2200))) (i64.const 5000))
            (then unreachable))
        (if (i64.ge_s (call $call (i32.const 1024) (i32.const 1) (i32.const 1025) (i32.const 1) (i32.const 4096) (i32.const 999))
            (i64.const 0)) (then unreachable))
        (if (i64.ge_s (call $send (i32.const 1024) (i32.const 1) (i32.const 4096) (i32.const 999)) (i64.const 0))
            (then unreachable))
        ;; `not_runn`, behind `{"error":"`.
        (if (i64.ne (i64.load (i32.const 4106)) (i64.const 0x6e6e75725f746f6e)) (then unreachable))
        (i64.store (i32.const 4106) (i64.const 0))
        (if (i64.ge_s (call $kv (i32.const 1024) (i32.const 1) (i32.const 4096) (i32.const 999)) (i64.const 0))
            (then unreachable))
        (if (i64.ne (i64.load (i32.const 4106)) (i64.const 0x6e6e75725f746f6e)) (then unreachable))"#;
    take(&Lab::new(), refuses).await.unwrap();
}

/// The base is compiled the first time, and again if what was kept of it was changed.
#[tokio::test]
async fn a_base_is_compiled_once() {
    let mut lab = Lab::new();
    let first = take(&lab, "").await.unwrap();
    let files = lab.cached_files();
    assert_eq!(files.len(), 2, "{files:?}");
    let machine_code = files
        .iter()
        .find(|path| path.extension().is_some_and(|end| end == "cwasm"))
        .unwrap();
    let made = std::fs::metadata(machine_code).unwrap().modified().unwrap();
    lab.restart();
    assert_eq!(take(&lab, "").await.unwrap(), first);
    assert_eq!(
        std::fs::metadata(machine_code).unwrap().modified().unwrap(),
        made,
        "it was compiled again"
    );
    std::fs::write(machine_code, b"changed").unwrap();
    assert_eq!(take(&lab, "").await.unwrap(), first);
    assert!(std::fs::metadata(machine_code).unwrap().len() > 1000);
}

#[tokio::test]
async fn giving_up_is_told_with_what_was_said() {
    match fault("(call $say (i32.const 1)) (call $say (i32.const 2)) (call $exit (i32.const 1))")
        .await
    {
        SnapshotError::InitFailed {
            code: 1,
            stdout,
            log,
        } => assert_eq!((&*stdout, &*log), (INPUT, INPUT)),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_trap_is_told() {
    match fault("(call $say (i32.const 2)) unreachable").await {
        SnapshotError::Trapped { message, log } => {
            assert!(message.contains("unreachable"), "{message}");
            assert_eq!(log, INPUT);
        }
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn an_endless_loop_ends() {
    let ended = fault("(loop $again (br $again))").await;
    assert!(
        matches!(ended, SnapshotError::CpuTime(limit) if limit == Duration::from_millis(200)),
        "{ended:?}"
    );
}

#[tokio::test]
async fn a_memory_bomb_is_told() {
    let grow = "(loop $again (br_if $again (i32.ge_s (memory.grow (i32.const 16)) (i32.const 0)))) unreachable";
    let ended = fault(grow).await;
    assert!(matches!(ended, SnapshotError::Memory(MEMORY)), "{ended:?}");
}

#[tokio::test]
async fn a_flood_of_output_ends() {
    let ended = fault("(loop $again (call $say (i32.const 1)) (br $again))").await;
    assert!(matches!(ended, SnapshotError::Output(1000)), "{ended:?}");
    let filled = fault("(memory.fill (i32.const 70000) (i32.const 1) (i32.const 40000))").await;
    assert!(
        matches!(filled, SnapshotError::TooLarge(30_000)),
        "{filled:?}"
    );
    let lab = Lab::new();
    let talks = r"(loop $again (call $say (i32.const 2))
        (i32.store (i32.const 4096) (i32.add (i32.load (i32.const 4096)) (i32.const 1)))
        (br_if $again (i32.lt_u (i32.load (i32.const 4096)) (i32.const 100000))))";
    let kept = take(&lab, talks).await.unwrap().log;
    assert_eq!(kept.len(), lab.config.log_bytes_max);
}

/// Memory that a snapshot begins with is its function's to pay for.
#[tokio::test]
async fn memory_that_was_grown_is_kept() {
    let lab = Lab::new();
    let grown = r"(if (i32.lt_s (memory.grow (i32.const 100)) (i32.const 0)) (then unreachable))
        (i32.store (i32.const 6000000) (i32.const 7))";
    let module = take(&lab, grown).await.unwrap().module;
    let limits = FunctionLimits::default();
    let version = lab.version(&module, limits).await;
    assert_eq!(
        json_of(&lab.invoke(&version, "{}").await.unwrap()),
        json!({"kept": [1, 2]})
    );
}

#[tokio::test]
async fn what_is_no_base_is_refused() {
    let lab = Lab::new();
    let no_init = r#"(module (memory (export "memory") 1) (func (export "_start")))"#;
    for (base, part) in [
        (no_init, "wizer-initialize"),
        ("nothing", "neither"),
        ("(module", "parse"),
    ] {
        match lab
            .executor
            .snapshot(Bytes::from(base), INPUT.into(), MEMORY)
            .await
        {
            Err(SnapshotError::Base(message)) => assert!(message.contains(part), "{message}"),
            other => panic!("{other:?}"),
        }
    }
    assert!(lab.cached_files().is_empty());
}
