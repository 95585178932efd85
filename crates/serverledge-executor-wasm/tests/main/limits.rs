//! Limits of output, log, memory, processor time and time: each ends what exceeds it, and says which one it was.

use std::time::Duration;

use serde_json::json;
use serverledge_core::{FailureKind, FunctionLimits, InvokeError, MemoryMib};
use serverledge_testing::fake_host::FakeHost;
use tokio::time::Instant;

use crate::support::{
    Lab, call, code, command, data, echo, endless, failure, json_of, kind, listing, time_limit,
    words,
};

/// Writes so many bytes of a JSON string, in pieces of `piece`.
fn writes(total: u32, piece: u32) -> String {
    command(
        "",
        &format!(
            "(memory.fill (i32.const 0x10000) (i32.const 120) (i32.const {piece}))
             (i32.store8 (i32.const 0x100) (i32.const 34))
             (call $emit (i32.const 0x100) (i32.const 1))
             (local.set $n (i32.const {}))
             (loop $more
               (call $emit (i32.const 0x10000) (i32.const {piece}))
               (local.set $n (i32.sub (local.get $n) (i32.const {piece})))
               (br_if $more (local.get $n)))
             (call $emit (i32.const 0x100) (i32.const 1))",
            total - 2
        ),
    )
}

#[tokio::test]
async fn output_ends_at_its_limit() {
    let lab = Lab::with(|config| config.output_bytes_max = 1002);
    assert_eq!(
        json_of(&lab.run(writes(1002, 100), "{}").await.unwrap())
            .as_str()
            .unwrap()
            .len(),
        1000
    );
    let failed = failure(lab.run(writes(1102, 100), "{}").await);
    assert_eq!(failed.kind, FailureKind::OutputLimit);
    assert!(failed.message.contains("1002"), "{}", failed.message);
    let forever = command(
        "",
        "(loop $more (call $emit (i32.const 0) (i32.const 6)) (br $more))",
    );
    assert_eq!(kind(lab.run(forever, "{}").await), FailureKind::OutputLimit);
}

#[tokio::test]
async fn the_log_keeps_its_end() {
    let lab = Lab::with(|config| config.log_bytes_max = 100);
    // Numbers 0 to 999, three digits each, then a trap.
    let guest = command(
        "",
        "(loop $more
           (i32.store8 (i32.const 0x100) (i32.add (i32.const 48) (i32.div_u (local.get $n) (i32.const 100))))
           (i32.store8 (i32.const 0x101) (i32.add (i32.const 48) (i32.rem_u (i32.div_u (local.get $n) (i32.const 10)) (i32.const 10))))
           (i32.store8 (i32.const 0x102) (i32.add (i32.const 48) (i32.rem_u (local.get $n) (i32.const 10))))
           (i32.store8 (i32.const 0x103) (i32.const 10))
           (call $log (i32.const 0x100) (i32.const 4))
           (local.set $n (i32.add (local.get $n) (i32.const 1)))
           (br_if $more (i32.lt_u (local.get $n) (i32.const 1000))))
         unreachable",
    );
    let expected: String = (975..1000).map(|n| format!("{n}\n")).collect();
    assert_eq!(failure(lab.run(guest, "{}").await).log, expected);
}

/// The log is bounded for an endless writer too, and it comes with the time limit.
#[tokio::test]
async fn an_endless_log_is_bounded() {
    let lab = Lab::with(|config| config.log_bytes_max = 1000);
    let guest = command(
        "",
        "(loop $more (call $log (i32.const 0) (i32.const 6)) (br $more))",
    );
    let version = lab
        .version(guest, time_limit(Duration::from_millis(200)))
        .await;
    let failed = failure(lab.invoke(&version, "{}").await);
    assert_eq!(
        (failed.kind, failed.log.len()),
        (FailureKind::TimeLimit, 1000)
    );
}

fn memory(mib: u64) -> FunctionLimits {
    FunctionLimits {
        memory: MemoryMib::new(mib),
        ..FunctionLimits::default()
    }
}

#[tokio::test]
async fn memory_grows_to_its_limit_and_no_further() {
    let lab = Lab::new();
    // 4 pages at first, 32 are 2 MiB.
    let guest = listing(
        "",
        "(call $say (memory.grow (i32.const 28)))
         (i32.store (i32.const 0x1ffffc) (i32.const 9))
         (call $say (memory.grow (i32.const 1)))
         (call $say (memory.grow (i32.const 65535)))
         (call $say (memory.size))
         (call $say (i32.load (i32.const 0x1ffffc)))",
    );
    let version = lab.version(&guest, memory(2)).await;
    let refused = u32::MAX;
    assert_eq!(
        json_of(&lab.invoke(&version, "{}").await.unwrap()),
        json!([4, refused, refused, 32, 9, 0])
    );
}

/// The memories of a function share its memory, whatever their addresses are.
#[tokio::test]
async fn several_memories_are_counted_together() {
    let lab = Lab::new();
    let refused = u32::MAX;
    for (items, second) in [("(memory $b 2)", "i32"), ("(memory $b i64 2)", "i64")] {
        let wrap = if second == "i64" { "i32.wrap_i64" } else { "" };
        let grow =
            |pages: u32| format!("(memory.grow $b ({second}.const {pages})) {wrap} (call $say)");
        let body = format!(
            "{} {} (memory.grow (i32.const 1)) (call $say) (memory.size $b) {wrap} (call $say)",
            grow(26),
            grow(1)
        );
        // 4 pages of its own, 32 are 2 MiB.
        let version = lab.version(listing(items, &body), memory(2)).await;
        assert_eq!(
            json_of(&lab.invoke(&version, "{}").await.unwrap()),
            json!([2, refused, refused, 28, 0]),
            "{items}"
        );
    }
    // Growth that a memory's own bound refuses takes nothing of the others.
    let bounded = listing(
        "(memory $b 1 2)",
        "(call $say (memory.grow $b (i32.const 5))) (call $say (memory.grow (i32.const 27)))",
    );
    let version = lab.version(bounded, memory(2)).await;
    assert_eq!(
        json_of(&lab.invoke(&version, "{}").await.unwrap()),
        json!([refused, 4, 0])
    );
    // Together they begin with a page more than the default.
    let (code, message) = code(lab.prepare(command("(memory 2045)", "")).await);
    assert_eq!(code, "memory_too_small", "{message}");
}

/// A function that goes on after a refusal has not failed; one that then fails has failed for want of memory.
#[tokio::test]
async fn a_failure_after_a_refusal_is_a_memory_limit() {
    let lab = Lab::new();
    let grow = "(drop (memory.grow (i32.const 1000)))";
    for (end, expected) in [
        ("unreachable", FailureKind::MemoryLimit),
        ("(call $proc_exit (i32.const 1))", FailureKind::MemoryLimit),
        (
            "(i32.store (i32.const 0x1000000) (i32.const 1))",
            FailureKind::MemoryLimit,
        ),
    ] {
        let version = lab
            .version(command("", &format!("{grow} {end}")), memory(2))
            .await;
        assert_eq!(kind(lab.invoke(&version, "{}").await), expected, "{end}");
        let roomy = lab
            .version(command("", &format!("{grow} {end}")), memory(100))
            .await;
        assert_ne!(
            lab.invoke(&roomy, "{}").await.map_err(kind_of).err(),
            Some(expected),
            "{end}"
        );
    }
}

fn kind_of(error: InvokeError) -> FailureKind {
    kind(Err(error))
}

#[tokio::test]
async fn traps_say_what_happened() {
    let lab = Lab::new();
    for (body, word) in [
        ("unreachable", "unreachable"),
        ("(drop (i32.load (i32.const 0x7fffffff)))", "out of bounds"),
        (
            "(drop (i32.load offset=4294967295 (i32.const -1)))",
            "out of bounds",
        ),
        (
            "(drop (i32.div_u (i32.const 1) (local.get $n)))",
            "divide by zero",
        ),
        ("(drop (i32.trunc_f64_s (f64.const nan)))", "conversion"),
        ("(call $deeper)", "stack"),
        ("(call_indirect (i32.const 99))", "undefined element"),
    ] {
        let items = "(table 1 funcref) (func $deeper (call $deeper))";
        let told = words(lab.run(command(items, body), "{}").await);
        assert!(
            told.starts_with("Trap: ") && told.contains(word),
            "{body}: {told}"
        );
    }
}

#[tokio::test]
async fn a_start_function_is_under_the_same_limits() {
    let lab = Lab::new();
    let trapping = command("(func $first unreachable) (start $first)", "");
    assert_eq!(kind(lab.run(trapping, "{}").await), FailureKind::Trap);
    let endless = command("(func $first (loop $again (br $again))) (start $first)", "");
    let version = lab
        .version(endless, time_limit(Duration::from_millis(100)))
        .await;
    assert_eq!(
        kind(lab.invoke(&version, "{}").await),
        FailureKind::TimeLimit
    );
    // Host functions called that early find the memory as well.
    let writing = command(
        &format!(
            "(func $first (call $emit (i32.const 0x100) (i32.const 1))) (start $first) {}",
            data(0x100, "5")
        ),
        "",
    );
    assert_eq!(json_of(&lab.run(writing, "{}").await.unwrap()), json!(5));
}

#[tokio::test]
async fn the_limit_that_fired_is_named() {
    let lab = Lab::new();
    let limits = |cpu_ms: u64, wall_ms: u64| FunctionLimits {
        timeout: Duration::from_millis(wall_ms),
        cpu_time: Some(Duration::from_millis(cpu_ms)),
        ..FunctionLimits::default()
    };
    let by_cpu = lab.version(endless(), limits(40, 60_000)).await;
    let told = words(lab.invoke(&by_cpu, "{}").await);
    assert!(
        told.starts_with("CpuLimit: ") && told.contains("40ms"),
        "{told}"
    );
    let by_wall = lab.version(endless(), limits(60_000, 200)).await;
    let told = words(lab.invoke(&by_wall, "{}").await);
    assert!(
        told.starts_with("TimeLimit: ") && told.contains("200ms"),
        "{told}"
    );
    // Sleeping is not computing. The subscription at 0x400 is the monotonic clock in 300 ms.
    let sleeper = listing(
        "",
        "(i32.store (i32.const 0x410) (i32.const 1))
         (i64.store (i32.const 0x418) (i64.const 300000000))
         (call $say (call $poll_oneoff (i32.const 0x400) (i32.const 0x800) (i32.const 1) (i32.const 0xf00)))",
    );
    let sleeping = lab.version(&sleeper, limits(100, 60_000)).await;
    assert_eq!(
        json_of(&lab.invoke(&sleeping, "{}").await.unwrap()),
        json!([0, 0])
    );
}

#[tokio::test]
async fn a_deadline_in_the_past_runs_nothing_for_long() {
    let lab = Lab::new();
    let version = lab.version(endless(), FunctionLimits::default()).await;
    let mut call = call("{}");
    call.context.deadline = Some(Instant::now().into_std());
    let sandbox = lab.start(&version).await.unwrap();
    assert_eq!(
        kind(sandbox.invoke(call, FakeHost::new().0).await),
        FailureKind::TimeLimit
    );
}

#[tokio::test]
async fn tables_do_not_grow_beyond_their_limit() {
    let lab = Lab::new();
    let guest = listing(
        "(table $t 1 funcref)",
        "(call $say (table.grow $t (ref.null func) (i32.const 70000)))
         (call $say (table.grow $t (ref.null func) (i32.const 100)))",
    );
    assert_eq!(lab.list(&guest).await, [json!(u32::MAX), json!(1)]);
}

/// All slots in use: the next one is told so, and nothing is broken afterwards.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn exhaustion_is_told_and_passes() {
    let lab = Lab::with(|config| config.slots = 2);
    let calling = lab.version(
        command(
            &format!("{} {}", data(0x100, "callee"), data(0x200, "1")),
            "(drop (call $call (i32.const 0x100) (i32.const 6) (i32.const 0x200) (i32.const 1) (i32.const 0x300) (i32.const 9)))
             (call $emit (i32.const 0x200) (i32.const 1))",
        ),
        FunctionLimits::default(),
    ).await;
    let (host, handle) = FakeHost::new();
    handle.hold("callee");
    let first = lab.start(&calling).await.unwrap();
    let second = lab.start(&calling).await.unwrap();
    {
        let mut held = std::pin::pin!(async {
            tokio::join!(
                first.invoke(call("1"), host.clone()),
                second.invoke(call("1"), host.clone())
            )
        });
        tokio::select! {
            biased;
            ended = held.as_mut() => panic!("{ended:?}"),
            () = handle.wait_for("two guests that wait", |counts| counts.begun == 2) => {}
        }
        let third = lab.invoke(&calling, "1").await;
        assert!(matches!(third, Err(InvokeError::Exhausted)), "{third:?}");
    }
    handle
        .wait_for("the end of both", |counts| counts.dropped == 2)
        .await;
    let echo = lab.version(echo(), FunctionLimits::default()).await;
    assert_eq!(json_of(&lab.invoke(&echo, "3").await.unwrap()), json!(3));
}
