//! An instance that is put back to its beginning gives what a fresh one gives: random guests are run in both, and what
//! they find in their memory and globals is compared.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use serverledge_core::{
    Call, Executor as _, FailureKind, FunctionLimits, InstanceKey, InvokeError, Outcome, Reply,
    Version,
};
use serverledge_testing::fake_host::FakeHost;

use crate::support::{
    Lab, call, command, endless, json_of, listing, reactor, time_limit, wait_until,
};

/// Pages of 64 KiB that the guest begins with: more than is put back by copying.
const PAGES: u32 = 48;
/// Cases of each property; each runs in both executors.
const CASES: u32 = 150;

/// The guest: its parameters are operations, three numbers each. It gives a digest of all of its memory and globals at the
/// beginning of the call, and one at the end.
fn machine() -> String {
    let bytes = PAGES * 65536;
    format!(
        r#"(module
  (import "wasi_snapshot_preview1" "clock_time_get" (func $clock (param i32 i64 i32) (result i32)))
  (import "wasi_snapshot_preview1" "random_get" (func $random (param i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
  (memory (export "memory") {PAGES})
  (data (i32.const 70000) "the machine's data")
  (data (i32.const 500000) "more of it")
  (global $whole (mut i32) (i32.const 7))
  (global $long (mut i64) (i64.const -8))
  (global $real (mut f64) (f64.const 0.5))
  (global $vector (mut v128) (v128.const i64x2 3 4))
  (global $found (mut i64) (i64.const 0))
  (table 4 funcref)
  (elem (i32.const 1) $mix)
  (type $mixer (func (param i64 i64) (result i64)))
  (func $mix (type $mixer)
    (i64.mul (i64.xor (i64.rotl (local.get 0) (i64.const 5)) (local.get 1)) (i64.const 0x9E3779B97F4A7C15)))
  (func $digest (result i64) (local $at i32) (local $sum i64)
    (local.set $sum (i64.add (i64.extend_i32_u (memory.size)) (i64.extend_i32_u (global.get $whole))))
    (local.set $sum (call_indirect (type $mixer) (local.get $sum) (global.get $long) (i32.const 1)))
    (local.set $sum (call $mix (local.get $sum) (i64.reinterpret_f64 (global.get $real))))
    (local.set $sum (call $mix (local.get $sum) (i64x2.extract_lane 1 (global.get $vector))))
    (loop $next
      (local.set $sum (call $mix (local.get $sum) (i64.load (local.get $at))))
      (local.set $at (i32.add (local.get $at) (i32.const 8)))
      (br_if $next (i32.lt_u (local.get $at) (i32.mul (memory.size) (i32.const 65536)))))
    (local.get $sum))
  (func $deep (param i32)
    (if (local.get 0) (then
      (i32.store (i32.sub (i32.const 400000) (i32.mul (local.get 0) (i32.const 16))) (local.get 0))
      (call $deep (i32.sub (local.get 0) (i32.const 1))))))
  (func $number (param $at i32) (result i64) (local $n i64) (local $digit i32)
    (block $done (loop $next
      (local.set $digit (i32.sub (i32.load8_u (local.get $at)) (i32.const 48)))
      (br_if $done (i32.gt_u (local.get $digit) (i32.const 9)))
      (local.set $n (i64.add (i64.mul (local.get $n) (i64.const 10)) (i64.extend_i32_u (local.get $digit))))
      (local.set $at (i32.add (local.get $at) (i32.const 1)))
      (br $next)))
    (global.set $cursor (i32.add (local.get $at) (i32.const 1)))
    (local.get $n))
  (global $cursor (mut i32) (i32.const 0))
  (func $place (param i64) (result i32) (i32.wrap_i64 (i64.rem_u (local.get 0) (i64.const {room}))))
  (func $operate (param $kind i32) (param $a i64) (param $b i64)
    (block $end
      (block $b9 (block $b8 (block $b7 (block $b6 (block $b5 (block $b4 (block $b3 (block $b2 (block $b1 (block $b0
        (br_table $b0 $b1 $b2 $b3 $b4 $b5 $b6 $b7 $b8 $b9 $end (local.get $kind)))
        (i64.store (call $place (local.get $a)) (local.get $b)) (br $end))
        (memory.fill (call $place (local.get $a)) (i32.wrap_i64 (local.get $b))
          (i32.wrap_i64 (i64.rem_u (local.get $b) (i64.const 300000)))) (br $end))
        (global.set $whole (i32.wrap_i64 (local.get $a))) (global.set $long (local.get $b))
        (global.set $real (f64.convert_i64_u (local.get $a))) (global.set $vector (i64x2.splat (local.get $b))) (br $end))
        (drop (memory.grow (i32.wrap_i64 (i64.rem_u (local.get $a) (i64.const 4))))) (br $end))
        unreachable)
        (call $deep (i32.wrap_i64 (i64.rem_u (local.get $a) (i64.const 1000)))) (br $end))
        (drop (call $clock (i32.const 1) (i64.const 0) (call $place (local.get $a))))
        (drop (call $random (call $place (local.get $b)) (i32.const 16))) (br $end))
        (loop $ever (br $ever)))
        (memory.copy (call $place (local.get $a)) (i32.const 70000) (i32.const 4096)) (br $end))
      (call $exit (i32.wrap_i64 (i64.rem_u (local.get $a) (i64.const 2))))))
  (func $say (param $n i64) (param $at i32) (result i32)
    (loop $digit
      (local.set $at (i32.sub (local.get $at) (i32.const 1)))
      (i32.store8 (local.get $at) (i32.add (i32.const 48) (i32.wrap_i64 (i64.rem_u (local.get $n) (i64.const 10)))))
      (local.set $n (i64.div_u (local.get $n) (i64.const 10)))
      (br_if $digit (i64.ne (local.get $n) (i64.const 0))))
    (local.get $at))
  (func (export "serverledge_alloc") (param i32) (result i32)
    (global.set $found (call $digest))
    (i32.const {params}))
  (func (export "serverledge_handle") (param $at i32) (param $len i32) (result i64)
    (local $kind i32) (local $a i64) (local $b i64) (local $end i32) (local $start i32)
    (global.set $cursor (i32.add (local.get $at) (i32.const 1)))
    (local.set $end (i32.add (local.get $at) (local.get $len)))
    (block $done (loop $next
      (br_if $done (i32.ge_u (i32.add (global.get $cursor) (i32.const 1)) (local.get $end)))
      (local.set $kind (i32.wrap_i64 (call $number (global.get $cursor))))
      (local.set $a (call $number (global.get $cursor)))
      (local.set $b (call $number (global.get $cursor)))
      (call $operate (local.get $kind) (local.get $a) (local.get $b))
      (br $next)))
    (local.set $end (i32.const {result}))
    (i32.store8 (local.get $end) (i32.const 93))
    (local.set $start (call $say (call $digest) (local.get $end)))
    (local.set $start (i32.sub (local.get $start) (i32.const 1)))
    (i32.store8 (local.get $start) (i32.const 44))
    (local.set $start (call $say (global.get $found) (local.get $start)))
    (local.set $start (i32.sub (local.get $start) (i32.const 1)))
    (i32.store8 (local.get $start) (i32.const 91))
    (i64.or (i64.shl (i64.extend_i32_u (local.get $start)) (i64.const 32))
      (i64.extend_i32_u (i32.sub (i32.add (local.get $end) (i32.const 1)) (local.get $start))))))"#,
        // Operations stay below the parameters.
        room = bytes - 600_000,
        params = bytes - 200_000,
        result = bytes - 8,
    )
}

/// An operation of the guest; its result does not depend on the world.
fn operation() -> impl Strategy<Value = (u8, u64, u64)> {
    let kind = prop_oneof![
        8 => Just(0u8), 4 => Just(1), 3 => Just(2), 1 => Just(3), 1 => Just(4), 2 => Just(5), 2 => Just(8), 1 => Just(9)
    ];
    (kind, any::<u64>(), any::<u64>())
}

/// Calls, each of some operations.
fn calls() -> impl Strategy<Value = Vec<Vec<(u8, u64, u64)>>> {
    prop::collection::vec(prop::collection::vec(operation(), 0..6), 1..8)
}

fn params(operations: &[(u8, u64, u64)]) -> String {
    let numbers: Vec<String> = operations
        .iter()
        .map(|(kind, a, b)| format!("{kind},{a},{b}"))
        .collect();
    format!("[{}]", numbers.join(","))
}

/// A key as a node would make it.
fn key(space: u8) -> InstanceKey {
    InstanceKey::new([space; 32])
}

fn call_in(params: &str, instance: Option<InstanceKey>) -> Call {
    Call {
        instance,
        ..call(params)
    }
}

/// The result, or the failure in words.
async fn run(lab: &Lab, version: &Arc<Version>, params: &str, key: Option<InstanceKey>) -> String {
    let sandbox = lab.start(version).await.unwrap();
    match sandbox
        .invoke(call_in(params, key), FakeHost::new().0)
        .await
    {
        Ok(outcome) => json_of(&outcome).to_string(),
        Err(InvokeError::Function(failure)) => format!("{:?} {}", failure.kind, failure.message),
        Err(other) => panic!("{other}"),
    }
}

fn kept(lab: &Lab) -> usize {
    lab.executor.instances_kept()
}

fn property(config: Config, test: impl Fn(Vec<Vec<(u8, u64, u64)>>)) {
    let mut runner = TestRunner::new(config);
    runner
        .run(&calls(), |calls| {
            test(calls);
            Ok(())
        })
        .unwrap();
}

fn cases() -> Config {
    Config {
        cases: CASES,
        failure_persistence: None,
        ..Config::default()
    }
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap()
}

#[test]
fn kept_and_fresh_instances_give_the_same() {
    let runtime = runtime();
    let (lab, version) = runtime.block_on(async {
        let lab = Lab::new();
        let version = lab.version(machine(), FunctionLimits::default()).await;
        (lab, version)
    });
    property(cases(), |calls| {
        runtime.block_on(async {
            for operations in calls {
                let params = params(&operations);
                let in_kept = run(&lab, &version, &params, Some(key(1))).await;
                assert_eq!(
                    in_kept,
                    run(&lab, &version, &params, None).await,
                    "{params}"
                );
            }
        });
    });
    runtime.block_on(run(&lab, &version, "[]", Some(key(1))));
    assert_eq!(
        kept(&lab),
        1,
        "calls one after the other share one instance"
    );
}

/// The same with calls that depend on the world, that end in the middle, and beside each other: what a call finds at its
/// beginning is always the same.
#[test]
fn nothing_of_a_call_is_found_by_the_next() {
    let runtime = runtime();
    let (lab, version, clean) = runtime.block_on(async {
        let lab = Arc::new(Lab::new());
        let limits = FunctionLimits {
            timeout: Duration::from_millis(400),
            ..FunctionLimits::default()
        };
        let version = lab.version(machine(), limits).await;
        let fresh = run(&lab, &version, "[]", None).await;
        let clean = beginning(&fresh).unwrap();
        (lab, version, clean)
    });
    let worldly = Config {
        cases: 40,
        ..cases()
    };
    let compared = AtomicUsize::new(0);
    property(worldly, |calls| {
        let compared = &compared;
        let beside = calls
            .into_iter()
            .enumerate()
            .map(|(number, mut operations)| {
                operations.push((6, number as u64 * 5000, 800_000));
                if number % 3 == 1 {
                    // It runs into its time limit, or is dropped before.
                    operations.push((7, 0, 0));
                }
                let params = params(&operations);
                let (lab, version, clean) = (Arc::clone(&lab), Arc::clone(&version), clean.clone());
                async move {
                    let running = run(&lab, &version, &params, Some(key(1)));
                    let limit = Duration::from_millis(if number % 2 == 0 { 50 } else { 5000 });
                    if let Ok(told) = tokio::time::timeout(limit, running).await
                        && let Some(found) = beginning(&told)
                    {
                        assert_eq!(found, clean, "{params}");
                        compared.fetch_add(1, Ordering::Relaxed);
                    }
                }
            });
        runtime.block_on(async {
            futures_util::future::join_all(beside).await;
        });
    });
    assert!(compared.into_inner() > 20, "some calls came to their end");
}

/// The digest of the beginning, in an answer of the machine.
fn beginning(answer: &str) -> Option<String> {
    let (found, _) = answer.strip_prefix('[')?.split_once(',')?;
    Some(found.to_owned())
}

/// Marks its memory, and says what was there.
fn marking() -> String {
    reactor(
        "(global $mark (mut i32) (i32.const 0))",
        "(local.set $n (i32.add (i32.load8_u (i32.const 0x2000)) (global.get $mark))) \
         (i32.store8 (i32.const 0x2000) (i32.const 1)) (global.set $mark (i32.const 1)) \
         (i32.store8 (i32.const 0x3000) (i32.add (i32.const 48) (local.get $n))) \
         (i64.const 0x0000300000000001)",
    )
}

#[tokio::test]
async fn an_instance_is_kept_for_calls_of_its_key_alone() {
    let lab = Lab::new();
    let version = lab.version(marking(), FunctionLimits::default()).await;
    for number in 1..=4 {
        assert_eq!(run(&lab, &version, "{}", Some(key(number))).await, "0");
        assert_eq!(kept(&lab), usize::from(number), "of its own");
    }
    for number in 1..=4 {
        assert_eq!(run(&lab, &version, "{}", Some(key(number))).await, "0");
        assert_eq!(kept(&lab), 4, "taken, and put back");
    }
    assert_eq!(run(&lab, &version, "{}", None).await, "0");
    assert_eq!(kept(&lab), 4, "a call without a key keeps none");
}

#[tokio::test]
async fn instances_that_cannot_be_put_back_are_dropped() {
    let lab = Lab::new();
    let table = "(table $t 1 funcref) (func $f) (elem declare func $f)";
    let value = "(i32.store8 (i32.const 0x3000) (i32.const 48)) (i64.const 0x0000300000000001)";
    for (case, code) in [
        (
            "a table is written",
            reactor(
                table,
                &format!("(table.set $t (i32.const 0) (ref.func $f)) {value}"),
            ),
        ),
        (
            "memory grew",
            reactor("", &format!("(drop (memory.grow (i32.const 1))) {value}")),
        ),
        (
            "a start function",
            reactor("(func $begin) (start $begin)", value),
        ),
        ("a trap", reactor("", "unreachable")),
        (
            "an exit in the middle",
            command(
                "",
                "(call $emit (i32.const 2) (i32.const 1)) (call $proc_exit (i32.const 0))",
            ),
        ),
    ] {
        let version = lab.version(code, FunctionLimits::default()).await;
        let first = run(&lab, &version, "{}", Some(key(1))).await;
        assert_eq!(
            run(&lab, &version, "{}", Some(key(1))).await,
            first,
            "{case}"
        );
        assert_eq!(kept(&lab), 0, "{case}");
    }
}

/// A guest that writes more than is put back by copying.
#[tokio::test]
async fn a_guest_that_writes_much_is_not_kept() {
    let lab = Lab::new();
    let version = lab.version(machine(), FunctionLimits::default()).await;
    let much: Vec<_> = (0..9).map(|part| (1, part * 290_000, 299_999)).collect();
    let clean = beginning(&run(&lab, &version, "[]", Some(key(1))).await);
    assert_eq!(kept(&lab), 1);
    assert_eq!(
        beginning(&run(&lab, &version, &params(&much), Some(key(1))).await),
        clean
    );
    assert_eq!(kept(&lab), 0);
    assert_eq!(
        beginning(&run(&lab, &version, "[]", Some(key(1))).await),
        clean
    );
}

#[tokio::test]
async fn commands_are_kept_where_they_return() {
    let lab = Lab::new();
    let code = listing(
        "(global $calls (mut i32) (i32.const 0))",
        "(global.set $calls (i32.add (global.get $calls) (i32.const 1))) (call $say (global.get $calls)) (call $quote (i32.const 0x10000) (call $read_params))",
    );
    let version = lab.version(code, FunctionLimits::default()).await;
    for params in ["1234", "5", "67"] {
        let told = run(&lab, &version, params, Some(key(1))).await;
        assert_eq!(told, format!("[1,\"{params}\",0]"));
        assert_eq!(kept(&lab), 1);
    }
}

#[tokio::test]
async fn kept_instances_leave_for_others_and_after_a_while() {
    let lab = Lab::with(|config| {
        config.slots = 4;
        config.kept_max = 2;
        config.kept_idle_max = Duration::from_millis(200);
    });
    let version = lab.version(marking(), FunctionLimits::default()).await;
    for number in 1..=5 {
        run(&lab, &version, "{}", Some(key(number))).await;
        assert!(kept(&lab) <= 2);
    }
    // As many at once as there are slots: those that wait make room.
    let limits = time_limit(Duration::from_millis(300));
    let endless = lab.version(endless(), limits).await;
    let all = (0..4).map(|_| run(&lab, &endless, "{}", None));
    for told in futures_util::future::join_all(all).await {
        assert!(told.starts_with("TimeLimit"), "it had a slot: {told}");
    }
    assert_eq!(kept(&lab), 0);
    run(&lab, &version, "{}", Some(key(1))).await;
    wait_until("the end of an instance that waits", || kept(&lab) == 0).await;
}

#[tokio::test]
async fn a_forgotten_version_keeps_nothing() {
    let lab = Lab::new();
    let version = lab.version(marking(), FunctionLimits::default()).await;
    run(&lab, &version, "{}", Some(key(1))).await;
    assert_eq!(kept(&lab), 1);
    lab.executor.forget(&version).await;
    assert_eq!(kept(&lab), 0);
    // Nor one that was running meanwhile.
    let sandbox = lab.start(&version).await.unwrap();
    lab.executor.forget(&version).await;
    let call = call_in("{}", Some(key(1)));
    sandbox.invoke(call, FakeHost::new().0).await.unwrap();
    assert_eq!(kept(&lab), 0);
}

/// `_initialize` runs for each call, as in a fresh instance, and finds nothing of the call before.
#[tokio::test]
async fn a_kept_reactor_is_initialised_again() {
    let lab = Lab::new();
    let code = reactor(
        "(global $set (mut i32) (i32.const 0)) (func (export \"_initialize\") \
         (global.set $set (i32.add (global.get $set) (i32.const 1))))",
        "(i32.store8 (i32.const 0x3000) (i32.add (i32.const 48) (global.get $set))) \
         (i64.const 0x0000300000000001)",
    );
    let version = lab.version(code, FunctionLimits::default()).await;
    for _ in 0..3 {
        assert_eq!(run(&lab, &version, "{}", Some(key(1))).await, "1");
        assert_eq!(kept(&lab), 1);
    }
}

/// Instances that wait hold tables too, of which the pool has fewer than modules may have.
#[tokio::test]
async fn kept_instances_leave_where_another_part_of_the_pool_is_short() {
    let lab = Lab::with(|config| {
        config.slots = 4;
        config.kept_max = 2;
    });
    let value = "(i32.store8 (i32.const 0x3000) (i32.const 48)) (i64.const 0x0000300000000001)";
    let one = reactor("(table 1 funcref) (table 1 funcref)", value);
    let one = lab.version(one, FunctionLimits::default()).await;
    let many = reactor(&"(table 1 funcref)".repeat(16), value);
    let many = lab.version(many, FunctionLimits::default()).await;
    for number in 0..2 {
        assert_eq!(run(&lab, &one, "{}", Some(key(number))).await, "0");
    }
    assert_eq!(run(&lab, &many, "{}", Some(key(1))).await, "0");
}

/// Two scripts on one engine, and one of them twice: nothing of a call stays.
#[tokio::test]
async fn scripts_are_kept() {
    let base = Bytes::from_static(include_bytes!(
        "../../../../runtimes/javascript/javascript.wasm"
    ));
    let bases = vec![base.clone()];
    let lab = Lab::with(|config| config.bases = bases);
    let source = "let calls = 0; globalThis.seen = []; module.exports = (params) => { seen.push(params); return [++calls, seen.length, name]; };";
    for name in ["first", "second"] {
        let source = format!("const name = '{name}'; {source}");
        let input = serde_json::json!({ "file": "count.js", "source": source, "handler": "" });
        let taken = lab
            .executor
            .snapshot(base.clone(), input.to_string().into(), 64 << 20)
            .await
            .unwrap();
        let version = lab.version(&taken.module, FunctionLimits::default()).await;
        for number in 0..20 {
            let told = run(&lab, &version, &format!("{{\"n\":{number}}}"), Some(key(1))).await;
            assert_eq!(told, format!("[1,1,\"{name}\"]"));
        }
        assert_eq!(kept(&lab), if name == "first" { 1 } else { 2 });
    }
}

#[tokio::test]
async fn a_timed_out_guest_is_dropped() {
    let lab = Lab::new();
    let limits = time_limit(Duration::from_millis(50));
    let version = lab.version(machine(), limits).await;
    let told = run(&lab, &version, &params(&[(7, 0, 0)]), Some(key(1))).await;
    assert!(
        told.starts_with(&format!("{:?}", FailureKind::TimeLimit)),
        "{told}"
    );
    assert_eq!(kept(&lab), 0);
}

/// The examples whose instances are kept. The others let their memory grow in each call.
const KEPT_EXAMPLES: [&str; 7] = [
    "add",
    "call-c",
    "hello",
    "markdown",
    "sieve",
    "thumbnail",
    "word-count",
];

/// Calls of each example, half of them kept; `SERVERLEDGE_EXAMPLE_CALLS` says another number.
fn example_calls() -> usize {
    let said = std::env::var("SERVERLEDGE_EXAMPLE_CALLS").ok();
    said.and_then(|said| said.parse().ok()).unwrap_or(200)
}

/// The bytes of a call's result or failure.
async fn bytes_of(lab: &Lab, version: &Arc<Version>, params: &str, kept: bool) -> String {
    let (host, handle) = FakeHost::new();
    handle.answer("add", |_| Ok(Bytes::from_static(b"{\"sum\":5}")));
    let call = call_in(params, kept.then(|| key(1)));
    let outcome = lab.start(version).await.unwrap().invoke(call, host).await;
    match outcome {
        Ok(Outcome {
            reply: Reply::Json(bytes),
            ..
        }) => String::from_utf8(bytes.to_vec()).unwrap(),
        other => format!("{other:?}"),
    }
}

#[tokio::test]
async fn every_example_gives_the_same_bytes() {
    let lab = Lab::with(|config| config.kept_idle_max = Duration::from_secs(3600));
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../wasm-examples");
    let mut kept_before = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let folder = entry.unwrap().path();
        let Ok(examples) = std::fs::read(folder.join("examples.json")) else {
            continue;
        };
        let name = folder.file_name().unwrap().to_string_lossy().into_owned();
        let code = std::fs::read(folder.join(&name).with_extension("wasm")).unwrap();
        // Components are never kept.
        if code[6..8] == [1, 0] {
            continue;
        }
        let examples: Vec<serde_json::Value> = serde_json::from_slice(&examples).unwrap();
        let version = lab.version(&code, FunctionLimits::default()).await;
        for number in 0..example_calls() / 2 {
            let params = examples[number % examples.len()]["params"].to_string();
            let kept = bytes_of(&lab, &version, &params, true).await;
            assert_eq!(
                kept,
                bytes_of(&lab, &version, &params, false).await,
                "{name} {params}"
            );
        }
        if self::kept(&lab) > kept_before.len() {
            kept_before.push(name);
        }
    }
    kept_before.sort();
    assert_eq!(kept_before, KEPT_EXAMPLES);
}
