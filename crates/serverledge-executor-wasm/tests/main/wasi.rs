//! WASI preview 1, seen from guests: arguments, environment, clocks, randomness, streams, polling, and refusals.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};
use serverledge_core::{FailureKind, FunctionLimits, unix_ms};
use serverledge_testing::fake_host::FakeHost;

use crate::support::{
    Lab, TRACE, call, command, data, failure, json_of, kind, large_command, listing, time_limit,
    traced, with_env, words,
};

const SUCCESS: u32 = 0;
const BADF: u32 = 8;
const FAULT: u32 = 21;
const INVAL: u32 = 28;
const NOSYS: u32 = 52;
const SPIPE: u32 = 70;
const NOTCAPABLE: u32 = 76;

/// Says the errno of each expression; all must be as expected.
async fn check(cases: &[(&str, u32)]) {
    let body: String = cases
        .iter()
        .map(|(call, _)| format!("(call $say ({call}))\n"))
        .collect();
    let listed = Lab::new().list(&listing("", &body)).await;
    let wrong: Vec<String> = cases
        .iter()
        .zip(&listed)
        .filter(|((_, expected), given)| **given != json!(expected))
        .map(|((call, expected), given)| format!("{call}: {given}, not {expected}"))
        .collect();
    assert!(
        wrong.is_empty() && listed.len() == cases.len(),
        "{}",
        wrong.join("\n")
    );
}

#[tokio::test]
async fn the_argument_is_the_functions_name() {
    let guest = listing(
        "",
        "(call $say (call $args_sizes_get (i32.const 0x400) (i32.const 0x404)))
         (call $say (i32.load (i32.const 0x400)))
         (call $say (i32.load (i32.const 0x404)))
         (call $say (call $args_get (i32.const 0x410) (i32.const 0x500)))
         (call $quotez (i32.load (i32.const 0x410)))",
    );
    assert_eq!(
        Lab::new().list(&guest).await,
        [json!(0), json!(1), json!(6), json!(0), json!("guest")]
    );
}

/// Lists the number of variables, their length, and each.
fn lists_environment() -> String {
    listing(
        "",
        "(drop (call $environ_sizes_get (i32.const 0x400) (i32.const 0x404)))
         (call $say (i32.load (i32.const 0x400)))
         (call $say (i32.load (i32.const 0x404)))
         (drop (call $environ_get (i32.const 0x410) (i32.const 0x500)))
         (loop $next
           (call $quotez (i32.load (i32.add (i32.const 0x410) (i32.mul (local.get $n) (i32.const 4)))))
           (local.set $n (i32.add (local.get $n) (i32.const 1)))
           (br_if $next (i32.lt_u (local.get $n) (i32.load (i32.const 0x400)))))",
    )
}

#[tokio::test]
async fn the_trace_is_in_the_environment() {
    let lab = Lab::new();
    let version = lab
        .version(lists_environment(), FunctionLimits::default())
        .await;
    let call = traced(call("{}"));
    let own = call.trace_ids();
    let sandbox = lab.start(&version).await.unwrap();
    let listed = json_of(&sandbox.invoke(call, FakeHost::new().0).await.unwrap());
    let listed = listed.as_array().unwrap();
    let parent = format!("TRACEPARENT=00-{TRACE}-{}-01", own.span);
    assert_eq!(listed[6..8], [json!(parent), json!("TRACESTATE=a=1,b=2")]);
    let untraced = json_of(&lab.invoke(&version, "{}").await.unwrap()).to_string();
    assert!(!untraced.contains("TRACE"), "{untraced}");
}

#[tokio::test]
async fn the_environment_is_the_functions_own() {
    let lab = Lab::new();
    let guest = lists_environment();
    let version = lab.version(&guest, FunctionLimits::default()).await;
    let version = with_env(&version, &[("COLOUR", "blue=green"), ("EMPTY", "")]);
    let mut version = serverledge_core::Version::clone(&version);
    version
        .secrets
        .values
        .insert("KEY".to_owned(), "hidden".to_owned());
    let version = std::sync::Arc::new(version);
    let listed = json_of(&lab.invoke(&version, "{}").await.unwrap());
    let listed = listed.as_array().unwrap();
    let (sizes, entries) = listed[..listed.len() - 1].split_at(2);
    let entries: Vec<&str> = entries
        .iter()
        .map(|entry| entry.as_str().unwrap())
        .collect();
    assert_eq!(
        entries[..4],
        [
            "COLOUR=blue=green",
            "EMPTY=",
            "KEY=hidden",
            "SERVERLEDGE_HANDLER=main"
        ]
    );
    let id = entries[4]
        .strip_prefix("SERVERLEDGE_INVOCATION_ID=")
        .unwrap();
    assert!(serverledge_core::InvocationId::parse(id).is_some(), "{id}");
    let deadline = entries[5].strip_prefix("SERVERLEDGE_DEADLINE_MS=").unwrap();
    let left = deadline.parse::<u64>().unwrap().saturating_sub(unix_ms());
    assert!(
        (1..=version.limits.timeout.as_millis()).contains(&left.into()),
        "{left} ms"
    );
    let memory = version.limits.memory.get();
    assert_eq!(entries[6], format!("SERVERLEDGE_MEMORY_MB={memory}"));
    assert_eq!(
        sizes,
        [
            json!(7),
            json!(entries.iter().map(|entry| entry.len() + 1).sum::<usize>())
        ]
    );
}

#[tokio::test]
async fn clocks_tell_the_time() {
    let guest = listing(
        "",
        "(drop (call $clock_time_get (i32.const 0) (i64.const 0) (i32.const 0x400)))
         (call $say64 (i64.load (i32.const 0x400)))
         (drop (call $clock_time_get (i32.const 1) (i64.const 0) (i32.const 0x400)))
         (drop (call $clock_time_get (i32.const 1) (i64.const 0) (i32.const 0x408)))
         (call $say (i64.le_u (i64.load (i32.const 0x400)) (i64.load (i32.const 0x408))))
         (drop (call $clock_res_get (i32.const 0) (i32.const 0x400)))
         (call $say64 (i64.load (i32.const 0x400)))",
    );
    let before = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    let listed = Lab::new().list(&guest).await;
    let after = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    let told = Duration::from_nanos(listed[0].as_u64().unwrap());
    assert!(
        before <= told && told <= after,
        "{before:?} {told:?} {after:?}"
    );
    assert_eq!(listed[1], json!(1), "the monotonic clock went back");
    assert!(
        (1..=1_000_000).contains(&listed[2].as_u64().unwrap()),
        "{}",
        listed[2]
    );
}

#[tokio::test]
async fn errors_of_clocks_and_randomness() {
    check(&[
        (
            "call $clock_time_get (i32.const 2) (i64.const 0) (i32.const 0x400)",
            INVAL,
        ),
        (
            "call $clock_time_get (i32.const -1) (i64.const 0) (i32.const 0x400)",
            INVAL,
        ),
        (
            "call $clock_time_get (i32.const 0) (i64.const 0) (i32.const 0x3fff9)",
            FAULT,
        ),
        (
            "call $clock_time_get (i32.const 0) (i64.const 0) (i32.const -4)",
            FAULT,
        ),
        ("call $clock_res_get (i32.const 7) (i32.const 0x400)", INVAL),
        (
            "call $clock_res_get (i32.const 0) (i32.const 0x40000)",
            FAULT,
        ),
        ("call $random_get (i32.const 0x400) (i32.const 0)", SUCCESS),
        (
            "call $random_get (i32.const 0x40000) (i32.const 0)",
            SUCCESS,
        ),
        (
            "call $random_get (i32.const 0x3ffff) (i32.const 1)",
            SUCCESS,
        ),
        ("call $random_get (i32.const 0x3ffff) (i32.const 2)", FAULT),
        ("call $random_get (i32.const -1) (i32.const 2)", FAULT),
        (
            "call $args_get (i32.const 0x3fffd) (i32.const 0x400)",
            FAULT,
        ),
        (
            "call $args_get (i32.const 0x400) (i32.const 0x3fffb)",
            FAULT,
        ),
        ("call $args_get (i32.const -1) (i32.const -1)", FAULT),
        (
            "call $args_sizes_get (i32.const 0x3fffe) (i32.const 0x400)",
            FAULT,
        ),
        (
            "call $args_sizes_get (i32.const 0x400) (i32.const 0x3fffe)",
            FAULT,
        ),
        (
            "call $environ_get (i32.const 0x3fffc) (i32.const 0x400)",
            FAULT,
        ),
        (
            "call $environ_sizes_get (i32.const 0x400) (i32.const -3)",
            FAULT,
        ),
        ("call $sched_yield", SUCCESS),
        ("call $proc_raise (i32.const 9)", NOSYS),
    ])
    .await;
}

#[tokio::test]
async fn randomness_differs() {
    let guest = listing(
        "",
        "(drop (call $random_get (i32.const 0x400) (i32.const 16)))
         (call $say64 (i64.load (i32.const 0x400)))
         (call $say64 (i64.load (i32.const 0x408)))
         (call $say64 (i64.load (i32.const 0x410)))",
    );
    let lab = Lab::new();
    let first = lab.list(&guest).await;
    let second = lab.list(&guest).await;
    assert_ne!(first[..2], second[..2]);
    assert_ne!(first[0], first[1]);
    assert_eq!(first[2], json!(0), "more than was asked for was written");
}

#[tokio::test]
async fn reads_are_partial_and_vectored() {
    // Two buffers of 3 and 5 bytes; says how much each read gave and what the buffers hold then.
    let guest = listing(
        "",
        "(call $iovec (i32.const 0x400) (i32.const 0x500) (i32.const 3))
         (call $iovec (i32.const 0x408) (i32.const 0x503) (i32.const 5))
         (loop $more
           (memory.fill (i32.const 0x500) (i32.const 46) (i32.const 8))
           (drop (call $fd_read (i32.const 0) (i32.const 0x400) (i32.const 2) (i32.const 0x410)))
           (call $say (i32.load (i32.const 0x410)))
           (call $quote (i32.const 0x500) (i32.const 8))
           (br_if $more (i32.load (i32.const 0x410))))",
    );
    let lab = Lab::new();
    let version = lab.version(&guest, FunctionLimits::default()).await;
    let outcome = lab.invoke(&version, "1234567890123456789").await.unwrap();
    let expected = json!([
        8, "12345678", 8, "90123456", 3, "789.....", 0, "........", 0
    ]);
    assert_eq!(json_of(&outcome), expected);
}

#[tokio::test]
async fn writes_are_vectored() {
    let guest = listing(
        &data(0x600, "\"abcdef\","),
        "(call $iovec (i32.const 0x400) (i32.const 0x600) (i32.const 2))
         (call $iovec (i32.const 0x408) (i32.const 0xfffffff0) (i32.const 0))
         (call $iovec (i32.const 0x410) (i32.const 0x602) (i32.const 7))
         (call $iovec (i32.const 0x408) (i32.const 0x40000) (i32.const 0))
         (local.set $n (call $fd_write (i32.const 1) (i32.const 0x400) (i32.const 3) (i32.const 0x420)))
         (call $say (local.get $n))
         (call $say (i32.load (i32.const 0x420)))
         (call $say (call $fd_write (i32.const 1) (i32.const 0x400) (i32.const 0) (i32.const 0x420)))
         (call $say (i32.load (i32.const 0x420)))",
    );
    assert_eq!(
        Lab::new().list(&guest).await,
        [json!("abcdef"), json!(0), json!(9), json!(0), json!(0)]
    );
}

/// One call copies at most 1 MiB; programs go on with the rest, as with any pipe.
#[tokio::test]
async fn long_reads_and_writes_are_short() {
    let lab = Lab::new();
    let guest = large_command(
        80,
        "",
        "(call $iovec (i32.const 0x400) (i32.const 0x10000) (i32.const 0x200000))
         (loop $more
           (drop (call $fd_read (i32.const 0) (i32.const 0x400) (i32.const 1) (i32.const 0x410)))
           (local.set $n (i32.add (local.get $n) (i32.load (i32.const 0x410))))
           (i32.store (i32.const 0x400) (i32.add (i32.const 0x10000) (local.get $n)))
           (br_if $more (i32.load (i32.const 0x410))))
         (call $iovec (i32.const 0x400) (i32.const 0x10000) (local.get $n))
         (drop (call $fd_write (i32.const 1) (i32.const 0x400) (i32.const 1) (i32.const 0x410)))
         (local.set $n (i32.load (i32.const 0x410)))
         (call $iovec (i32.const 0x400) (i32.add (i32.const 0x10000) (local.get $n)) (i32.const 0x100000))
         (drop (call $fd_write (i32.const 1) (i32.const 0x400) (i32.const 1) (i32.const 0x410)))",
    );
    let version = lab.version(&guest, FunctionLimits::default()).await;
    let params = format!("\"{}\"", "p".repeat(0x200000 - 2));
    let outcome = lab.invoke(&version, &params).await.unwrap();
    assert_eq!(
        json_of(&outcome),
        Value::String(params.trim_matches('"').to_owned())
    );
}

#[tokio::test]
async fn bad_pointers_are_faults() {
    check(&[
        (
            "call $fd_write (i32.const 1) (i32.const 0x3fffc) (i32.const 1) (i32.const 0x400)",
            FAULT,
        ),
        (
            "call $fd_write (i32.const 1) (i32.const -8) (i32.const 1) (i32.const 0x400)",
            FAULT,
        ),
        (
            "call $fd_write (i32.const 1) (i32.const -8) (i32.const 2) (i32.const 0x400)",
            FAULT,
        ),
        (
            "call $fd_write (i32.const 1) (i32.const 0x40000) (i32.const 0) (i32.const 0x3fffd)",
            FAULT,
        ),
        (
            "call $fd_read (i32.const 0) (i32.const 0x3fffc) (i32.const 1) (i32.const 0x400)",
            FAULT,
        ),
        (
            "call $fd_read (i32.const 0) (i32.const 0x400) (i32.const 0) (i32.const -1)",
            FAULT,
        ),
        (
            "call $fd_fdstat_get (i32.const 1) (i32.const 0x3ffe9)",
            FAULT,
        ),
        (
            "call $fd_fdstat_get (i32.const 1) (i32.const 0x3ffe8)",
            SUCCESS,
        ),
        (
            "call $fd_filestat_get (i32.const 0) (i32.const 0x3ffff)",
            FAULT,
        ),
    ])
    .await;
    // Buffers outside of memory.
    let body = "(call $iovec (i32.const 0x400) (i32.const 0x3ffff) (i32.const 2))
         (call $say (call $fd_write (i32.const 2) (i32.const 0x400) (i32.const 1) (i32.const 0x410)))
         (call $say (call $fd_read (i32.const 0) (i32.const 0x400) (i32.const 1) (i32.const 0x410)))
         (call $iovec (i32.const 0x400) (i32.const -1) (i32.const -1))
         (call $say (call $fd_write (i32.const 2) (i32.const 0x400) (i32.const 1) (i32.const 0x410)))
         (call $say (call $fd_read (i32.const 0) (i32.const 0x400) (i32.const 1) (i32.const 0x410)))";
    let lab = Lab::new();
    let outcome = lab
        .run(listing("", body), "\"longer than one byte\"")
        .await
        .unwrap();
    assert_eq!(json_of(&outcome), json!([FAULT, FAULT, FAULT, FAULT, 0]));
    assert!(outcome.log.is_empty());
}

#[tokio::test]
async fn descriptors_beyond_the_standard_streams_do_not_exist() {
    check(&[
        ("call $fd_write (i32.const 0) (i32.const 0x400) (i32.const 0) (i32.const 0x410)", BADF),
        ("call $fd_write (i32.const 3) (i32.const 0x400) (i32.const 0) (i32.const 0x410)", BADF),
        ("call $fd_write (i32.const -1) (i32.const 0x400) (i32.const 0) (i32.const 0x410)", BADF),
        ("call $fd_read (i32.const 1) (i32.const 0x400) (i32.const 0) (i32.const 0x410)", BADF),
        ("call $fd_read (i32.const 2) (i32.const 0x400) (i32.const 0) (i32.const 0x410)", BADF),
        ("call $fd_read (i32.const 3) (i32.const 0x400) (i32.const 0) (i32.const 0x410)", BADF),
        ("call $fd_close (i32.const 1)", SUCCESS),
        ("call $fd_close (i32.const 3)", BADF),
        ("call $fd_fdstat_get (i32.const 0) (i32.const 0x400)", SUCCESS),
        ("call $fd_fdstat_get (i32.const 3) (i32.const 0x400)", BADF),
        ("call $fd_filestat_get (i32.const 2) (i32.const 0x400)", SUCCESS),
        ("call $fd_filestat_get (i32.const 3) (i32.const 0x400)", BADF),
        ("call $fd_prestat_get (i32.const 3) (i32.const 0x400)", BADF),
        ("call $fd_prestat_dir_name (i32.const 3) (i32.const 0x400) (i32.const 4)", BADF),
        ("call $fd_seek (i32.const 1) (i64.const 0) (i32.const 1) (i32.const 0x400)", SPIPE),
        ("call $fd_seek (i32.const 9) (i64.const 0) (i32.const 1) (i32.const 0x400)", BADF),
        ("call $fd_tell (i32.const 0) (i32.const 0x400)", SPIPE),
        ("call $fd_pread (i32.const 0) (i32.const 0x400) (i32.const 0) (i64.const 0) (i32.const 0x410)", SPIPE),
        ("call $fd_pwrite (i32.const 3) (i32.const 0x400) (i32.const 0) (i64.const 0) (i32.const 0x410)", BADF),
        ("call $fd_advise (i32.const 4) (i64.const 0) (i64.const 0) (i32.const 0)", BADF),
        ("call $fd_allocate (i32.const 1) (i64.const 0) (i64.const 1)", INVAL),
        ("call $fd_readdir (i32.const 3) (i32.const 0x400) (i32.const 9) (i64.const 0) (i32.const 0x410)", BADF),
        ("call $fd_renumber (i32.const 1) (i32.const 2)", BADF),
        ("call $fd_sync (i32.const 1)", SUCCESS),
        ("call $fd_datasync (i32.const 5)", BADF),
        ("call $fd_fdstat_set_flags (i32.const 3) (i32.const 0)", BADF),
        ("call $fd_fdstat_set_rights (i32.const 3) (i64.const 0) (i64.const 0)", BADF),
        ("call $fd_filestat_set_size (i32.const 3) (i64.const 0)", BADF),
        ("call $fd_filestat_set_times (i32.const 3) (i64.const 0) (i64.const 0) (i32.const 0)", BADF),
        ("call $sock_accept (i32.const 3) (i32.const 0) (i32.const 0x400)", BADF),
        ("call $sock_recv (i32.const 3) (i32.const 0x400) (i32.const 0) (i32.const 0) (i32.const 0x400) (i32.const 0x400)", BADF),
        ("call $sock_send (i32.const 3) (i32.const 0x400) (i32.const 0) (i32.const 0) (i32.const 0x400)", BADF),
        ("call $sock_shutdown (i32.const 3) (i32.const 0)", BADF),
    ])
    .await;
}

#[tokio::test]
async fn there_are_no_paths() {
    let at = "(i32.const 0x400) (i32.const 1)";
    let cases = [
        format!("call $path_create_directory (i32.const 3) {at}"),
        format!("call $path_filestat_get (i32.const 3) (i32.const 0) {at} (i32.const 0x500)"),
        format!(
            "call $path_filestat_set_times (i32.const 3) (i32.const 0) {at} (i64.const 0) (i64.const 0) (i32.const 0)"
        ),
        format!("call $path_link (i32.const 3) (i32.const 0) {at} (i32.const 3) {at}"),
        format!(
            "call $path_open (i32.const 3) (i32.const 0) {at} (i32.const 0) (i64.const -1) (i64.const -1) (i32.const 0) (i32.const 0x500)"
        ),
        format!(
            "call $path_readlink (i32.const 3) {at} (i32.const 0x500) (i32.const 9) (i32.const 0x600)"
        ),
        format!("call $path_remove_directory (i32.const 3) {at}"),
        format!("call $path_rename (i32.const 3) {at} (i32.const 3) {at}"),
        format!("call $path_symlink {at} (i32.const 3) {at}"),
        format!("call $path_unlink_file (i32.const 3) {at}"),
    ];
    let cases: Vec<(&str, u32)> = cases
        .iter()
        .map(|case| (case.as_str(), NOTCAPABLE))
        .collect();
    check(&cases).await;
}

#[tokio::test]
async fn exit_codes_tell_success_from_failure() {
    let lab = Lab::new();
    let exit = |code: i64| {
        command(
            &data(0x100, "7"),
            &format!(
                "(call $emit (i32.const 0x100) (i32.const 1)) (call $proc_exit (i32.const {code})) unreachable"
            ),
        )
    };
    assert_eq!(json_of(&lab.run(exit(0), "{}").await.unwrap()), json!(7));
    for (code, expected) in [
        (1, "Error: the function exited with code 1"),
        (134, "Error: the function exited with code 134"),
        (-1, "Error: the function exited with code 4294967295"),
    ] {
        assert_eq!(words(lab.run(exit(code), "{}").await), expected);
    }
}

#[tokio::test]
async fn the_log_survives_every_end() {
    let lab = Lab::new();
    let log = "(call $log (i32.const 0x100) (i32.const 5))";
    for (end, expected) in [
        ("unreachable", FailureKind::Trap),
        ("(call $proc_exit (i32.const 2))", FailureKind::Error),
        ("", FailureKind::BadOutput),
    ] {
        let failed = failure(
            lab.run(
                command(&data(0x100, "oops\n"), &format!("{log} {end}")),
                "{}",
            )
            .await,
        );
        assert_eq!((failed.kind, &failed.log[..]), (expected, &b"oops\n"[..]));
    }
}

#[tokio::test]
async fn output_that_is_not_one_json_value_is_bad() {
    let lab = Lab::new();
    for text in ["", " \n", "{", "1 2", "{}x", "hello", "NaN", "\u{feff}1"] {
        let body = format!("(call $emit (i32.const 0x100) (i32.const {}))", text.len());
        assert_eq!(
            kind(lab.run(command(&data(0x100, text), &body), "{}").await),
            FailureKind::BadOutput,
            "{text:?}"
        );
    }
    let body = "(call $emit (i32.const 0x100) (i32.const 5))";
    assert_eq!(
        json_of(
            &lab.run(command(&data(0x100, "\n 12\t"), body), "{}")
                .await
                .unwrap()
        ),
        json!(12)
    );
    let not_text = "(i32.store (i32.const 0x200) (i32.const 0x22ff22)) (call $emit (i32.const 0x200) (i32.const 3))";
    assert_eq!(
        kind(lab.run(command("", not_text), "{}").await),
        FailureKind::BadOutput,
        "not UTF-8"
    );
}

/// A subscription at `slot`: user data, clock, time in nanoseconds, flags.
fn clock(slot: u32, user_data: u64, clock: u32, nanos: &str, flags: u32) -> String {
    format!(
        "(i64.store (i32.const {slot}) (i64.const {user_data}))
         (i32.store8 (i32.const {}) (i32.const 0))
         (i32.store (i32.const {}) (i32.const {clock}))
         (i64.store (i32.const {}) {nanos})
         (i32.store16 (i32.const {}) (i32.const {flags}))\n",
        slot + 8,
        slot + 16,
        slot + 24,
        slot + 40
    )
}

const POLL: &str =
    "(call $say (call $poll_oneoff (i32.const 0x400) (i32.const 0x800) (local.get $n) (i32.const 0xf00)))
    (call $say (i32.load (i32.const 0xf00)))";
/// Says user data, errno and type of the first event.
const EVENT: &str = "(call $say64 (i64.load (i32.const 0x800)))
    (call $say (i32.load16_u (i32.const 0x808)))
    (call $say (i32.load8_u (i32.const 0x80a)))";

fn poll(count: u32, subscriptions: &str) -> String {
    listing(
        "",
        &format!("{subscriptions} (local.set $n (i32.const {count})) {POLL} {EVENT}"),
    )
}

#[tokio::test]
async fn sleeping_takes_its_time() {
    let lab = Lab::new();
    let pause = Duration::from_millis(30);
    let guest = poll(1, &clock(0x400, 77, 1, "(i64.const 30000000)", 0));
    let version = lab.version(&guest, FunctionLimits::default()).await;
    let began = tokio::time::Instant::now();
    let outcome = lab.invoke(&version, "{}").await.unwrap();
    assert!(
        began.elapsed() >= pause,
        "woken after {:?}",
        began.elapsed()
    );
    assert_eq!(json_of(&outcome), json!([0, 1, 77, 0, 0, 0]));
}

#[tokio::test]
async fn the_first_of_several_wakes() {
    let lab = Lab::new();
    let far = clock(0x400, 1, 1, "(i64.const 3600000000000)", 0);
    let near = clock(0x430, 2, 0, "(i64.const 1000000)", 0);
    assert_eq!(
        lab.list(&poll(2, &format!("{far}{near}"))).await,
        [json!(0), json!(1), json!(2), json!(0), json!(0)]
    );
    // A stream is always ready; so is an absolute time in the past.
    let ready = "(i64.store (i32.const 0x430) (i64.const 3)) (i32.store8 (i32.const 0x438) (i32.const 2)) (i32.store (i32.const 0x440) (i32.const 1))";
    assert_eq!(
        lab.list(&poll(2, &format!("{far}{ready}"))).await,
        [json!(0), json!(1), json!(3), json!(0), json!(2)]
    );
    let past = clock(0x400, 4, 0, "(i64.const 1)", 1);
    assert_eq!(
        lab.list(&poll(1, &past)).await,
        [json!(0), json!(1), json!(4), json!(0), json!(0)]
    );
    // What cannot be waited for is told in its event.
    let unknown = clock(0x400, 5, 9, "(i64.const 1)", 0);
    assert_eq!(
        lab.list(&poll(1, &unknown)).await,
        [json!(0), json!(1), json!(5), json!(INVAL), json!(0)]
    );
}

#[tokio::test]
async fn errors_of_polling() {
    check(&[
        ("call $poll_oneoff (i32.const 0x400) (i32.const 0x800) (i32.const 0) (i32.const 0xf00)", INVAL),
        ("call $poll_oneoff (i32.const 0x400) (i32.const 0x800) (i32.const 65) (i32.const 0xf00)", INVAL),
        ("call $poll_oneoff (i32.const 0x3fff0) (i32.const 0x800) (i32.const 1) (i32.const 0xf00)", FAULT),
        ("call $poll_oneoff (i32.const -16) (i32.const 0x800) (i32.const 1) (i32.const 0xf00)", FAULT),
        // Zero bytes are a subscription: the wall clock, now.
        ("call $poll_oneoff (i32.const 0x2000) (i32.const 0x3fff0) (i32.const 1) (i32.const 0xf00)", FAULT),
        ("call $poll_oneoff (i32.const 0x2000) (i32.const 0x800) (i32.const 1) (i32.const 0x3fffe)", FAULT),
        ("call $poll_oneoff (i32.const 0x2000) (i32.const 0x800) (i32.const 64) (i32.const 0xf00)", SUCCESS),
    ])
    .await;
}

/// The longest sleep there is neither overflows nor outlasts the time limit.
#[tokio::test]
async fn a_sleeper_meets_its_time_limit() {
    let lab = Lab::new();
    for nanos in ["(i64.const 60000000000)", "(i64.const -1)"] {
        let guest = poll(1, &clock(0x400, 1, 1, nanos, 0));
        let version = lab
            .version(&guest, time_limit(Duration::from_millis(100)))
            .await;
        assert_eq!(
            kind(lab.invoke(&version, "{}").await),
            FailureKind::TimeLimit
        );
    }
}

/// `isatty` of wasi-libc: a character device whose descriptor cannot seek. A program that believes to be on a terminal prompts
/// and colours its output.
#[tokio::test]
async fn the_streams_are_no_terminals() {
    let body: String = (0..3)
        .map(|fd| {
            format!(
                "(call $say (call $fd_fdstat_get (i32.const {fd}) (i32.const 0x400))) (call $say (i32.load8_u (i32.const 0x400)))
                 (call $say (call $fd_filestat_get (i32.const {fd}) (i32.const 0x400))) (call $say (i32.load8_u (i32.const 0x410)))"
            )
        })
        .collect();
    assert_eq!(
        Lab::new().list(&listing("", &body)).await,
        vec![json!(0); 12]
    );
}

/// A key of 2 MiB and more: programs take a refusal for a broken machine.
#[tokio::test]
async fn randomness_has_any_length() {
    let guest = large_command(
        64,
        "",
        "(call $emit (i32.const 0) (i32.const 1))
         (call $say (call $random_get (i32.const 0x10001) (i32.const 0x300001)))
         (call $say (i64.eqz (i64.load (i32.const 0x30fff8))))
         (call $say (i32.load8_u (i32.const 0x310003)))
         (call $say (call $random_get (i32.const 0x10000) (i32.const 0x3fffff)))
         (call $emit (i32.const 4) (i32.const 2))",
    );
    // The last bytes asked for are written, none behind them; a range that ends outside of memory is refused whole.
    assert_eq!(
        json_of(&Lab::new().run(&guest, "{}").await.unwrap()),
        json!([0, 0, 0, FAULT, 0])
    );
}

/// Emscripten tells its host that memory has grown; there is nothing to do about it.
#[tokio::test]
async fn a_notice_about_grown_memory_is_taken() {
    let guest = r#"(module (import "env" "emscripten_notify_memory_growth" (func $grown (param i32)))
        (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
        (memory (export "memory") 1) (data (i32.const 0) "\08\00\00\00\01\00\00\007")
        (func (export "_start") (drop (memory.grow (i32.const 1))) (call $grown (i32.const 0))
          (drop (call $write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 64)))))"#;
    assert_eq!(
        json_of(&Lab::new().run(guest, "{}").await.unwrap()),
        json!(7)
    );
}

/// A program's words when it gives up are the message: the reason, wherever its runtime prints it.
#[tokio::test]
async fn a_failure_is_explained_by_what_the_program_said() {
    let lab = Lab::new();
    for (log, end, expected) in [
        (
            "panic: assignment to entry in nil map\n\ngoroutine 1 [running]:\nmain.main()\n\t/tmp/main.go:6 +0x2\n",
            "(call $proc_exit (i32.const 2))",
            "Error: the function exited with code 2: panic: assignment to entry in nil map",
        ),
        (
            "thread 'main' (1) panicked at src/main.rs:3:21:\nno such order\nnote: run with `RUST_BACKTRACE=1`\n",
            "unreachable",
            "Trap: the function trapped: wasm trap: wasm `unreachable` instruction executed: panicked at src/main.rs:3:21: no such order",
        ),
        (
            "only a line of its log\n",
            "unreachable",
            "Trap: the function trapped: wasm trap: wasm `unreachable` instruction executed",
        ),
    ] {
        let body = format!(
            "(call $log (i32.const 0x2000) (i32.const {})) {end}",
            log.len()
        );
        assert_eq!(
            words(lab.run(command(&data(0x2000, log), &body), "{}").await),
            expected
        );
    }
}

#[tokio::test]
async fn an_exhausted_stack_says_so() {
    let lab = Lab::new();
    let deep = command(
        "(func $deep (param i64) (result i64) (i64.add (call $deep (local.get 0)) (local.get 0)))",
        "(drop (call $deep (i64.const 1)))",
    );
    let told = words(lab.run(deep, "{}").await);
    assert!(
        told.contains("call stack exhausted") && told.contains("nest deeper"),
        "{told}"
    );
    // A stack in linear memory grows downwards, past address 0.
    let told = words(
        lab.run(
            command("", "(i32.store (i32.const -16) (i32.const 1))"),
            "{}",
        )
        .await,
    );
    assert!(
        told.contains("at address 0xfffffff0 of a memory of 0x40000 bytes")
            && told.contains("stack-size"),
        "{told}"
    );
    let told = words(
        lab.run(
            command("", "(i32.store (i32.const 0x50000) (i32.const 1))"),
            "{}",
        )
        .await,
    );
    assert!(
        told.contains("at address 0x50000 of") && !told.contains("stack"),
        "{told}"
    );
}

/// A line of chatter beside the result: the message says where, and shows it.
#[tokio::test]
async fn chatter_beside_the_result_is_shown() {
    let guest = command(
        &data(0x2000, "starting up\n{\"ok\":1}\n"),
        "(call $emit (i32.const 0x2000) (i32.const 21))",
    );
    let told = words(Lab::new().run(guest, "{}").await);
    assert!(
        told.contains(r#"at byte 0 of 21: "starting up\n{\"ok\":1}\n""#) && told.contains("stderr"),
        "{told}"
    );
}
