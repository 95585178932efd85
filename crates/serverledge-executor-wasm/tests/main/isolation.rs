//! No instance sees anything of another one: not in its memory, not in its globals, not in its tables.

use std::sync::Arc;

use serverledge_core::{FunctionLimits, Version};
use serverledge_testing::fake_host::FakeHost;

use crate::support::{Lab, call, json_of};

/// Invocations, over all tasks.
const RUNS: usize = 6000;
/// Invocations at once, each with a slot to itself: the slots change hands all the time.
const TASKS: usize = 3;

/// A reactor that looks for foreign bytes before it does anything: in all of its memory beyond its data, in a global, in
/// a table (if it may change one), and in memory that it grows by as many pages as its parameter's first digit says times eight (more than what
/// stays resident between instances). Then it fills everything with `secret`. It gives the number of words it should
/// not have seen.
fn snoop(secret: u8, changes_table: bool) -> String {
    let change = if changes_table {
        "(table.set $left_too (i32.const 3) (ref.func $scan))"
    } else {
        ""
    };
    format!(
        r#"(module
          (memory (export "memory") 3)
          (data (i32.const 0) "data of {secret:02x}")
          (global $left (mut i64) (i64.const 0))
          (table $left_too 8 8 funcref)
          (global $seen (mut i32) (i32.const 0))
          (elem declare func $scan)
          (func $scan (param $at i32) (param $end i32)
            (loop $next
              (if (i64.ne (i64.load (local.get $at)) (i64.const 0))
                (then (global.set $seen (i32.add (global.get $seen) (i32.const 1)))))
              (local.set $at (i32.add (local.get $at) (i32.const 8)))
              (br_if $next (i32.lt_u (local.get $at) (local.get $end)))))
          (func (export "_initialize")
            (call $scan (i32.const 16) (i32.mul (memory.size) (i32.const 65536)))
            (if (i64.ne (global.get $left) (i64.const 0)) (then (global.set $seen (i32.add (global.get $seen) (i32.const 1)))))
            (if (i32.eqz (ref.is_null (table.get $left_too (i32.const 3))))
              (then (global.set $seen (i32.add (global.get $seen) (i32.const 1))))))
          (func (export "serverledge_alloc") (param i32) (result i32) (i32.const 64))
          (func (export "serverledge_handle") (param $at i32) (param i32) (result i64) (local $old i32)
            (local.set $old (memory.grow (i32.mul (i32.sub (i32.load8_u (local.get $at)) (i32.const 48)) (i32.const 8))))
            (if (i32.lt_u (local.get $old) (memory.size))
              (then (call $scan (i32.mul (local.get $old) (i32.const 65536)) (i32.mul (memory.size) (i32.const 65536)))))
            (memory.fill (i32.const 0) (i32.const {secret}) (i32.mul (memory.size) (i32.const 65536)))
            (global.set $left (i64.const {secret}))
            {change}
            (i32.store8 (i32.const 8) (i32.add (i32.const 48) (select (global.get $seen) (i32.const 9) (i32.lt_u (global.get $seen) (i32.const 9)))))
            (i64.or (i64.shl (i64.const 8) (i64.const 32)) (i64.const 1))))"#
    )
}

/// One task: alternates the two, now and then with much memory.
async fn alternate(lab: Arc<Lab>, versions: [Arc<Version>; 2], offset: usize) {
    for run in 0..RUNS / TASKS {
        let version = &versions[(run + offset) % 2];
        let params = if run % 40 < 2 { "5" } else { "0" };
        let outcome = lab
            .start(version)
            .await
            .unwrap()
            .invoke(call(params), FakeHost::new().0)
            .await
            .unwrap();
        assert_eq!(json_of(&outcome), 0, "run {run} saw foreign words");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_foreign_byte_is_ever_seen() {
    look_for_foreign_bytes(true).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_foreign_byte_is_seen_in_kept_instances() {
    look_for_foreign_bytes(false).await;
}

async fn look_for_foreign_bytes(changes_table: bool) {
    let lab = Arc::new(Lab::with(|config| {
        config.slots = u32::try_from(TASKS).unwrap()
    }));
    let versions = [
        lab.version(snoop(0xa5, changes_table), FunctionLimits::default())
            .await,
        lab.version(snoop(0x5a, changes_table), FunctionLimits::default())
            .await,
    ];
    let mut tasks = tokio::task::JoinSet::new();
    for offset in 0..TASKS {
        tasks.spawn(alternate(Arc::clone(&lab), versions.clone(), offset));
    }
    while let Some(ended) = tasks.join_next().await {
        ended.unwrap();
    }
}
