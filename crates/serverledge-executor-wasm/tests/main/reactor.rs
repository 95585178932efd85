//! Reactors, as `docs/guest-abi.md` promises them.

use serde_json::json;
use serverledge_core::{FailureKind, limits::OUTPUT_BYTES_MAX};

use crate::support::{Lab, data, failure, json_of, kind, packed, reactor, reactor_with, words};

/// Address and tagged length as the i64 that is returned.
fn returned(at: u64, tagged: u64) -> String {
    format!("(i64.const {})", (at << 32 | tagged).cast_signed())
}

const ERROR: u64 = 1 << 31;

fn failing(object: &str) -> String {
    reactor(
        &data(0x100, object),
        &returned(0x100, ERROR | object.len() as u64),
    )
}

#[tokio::test]
async fn an_error_object_is_a_function_error() {
    let lab = Lab::new();
    for (object, message, stack) in [
        (
            r#"{"error":"BadParams","message":"a is missing","stack":"at f"}"#,
            "BadParams: a is missing",
            Some("at f"),
        ),
        (r#"{"error":"BadParams"}"#, "BadParams", None),
        (r#"{"message":"just words","extra":1}"#, "just words", None),
        (
            "{}",
            "the function reported an error without a message",
            None,
        ),
        ("plain text", "plain text", None),
    ] {
        let failed = failure(lab.run(failing(object), "{}").await);
        assert_eq!(
            (failed.kind, failed.message.as_str()),
            (FailureKind::Error, message),
            "{object}"
        );
        assert_eq!(failed.stack.as_deref(), stack, "{object}");
    }
}

#[tokio::test]
async fn results_outside_of_memory_trap() {
    let lab = Lab::new();
    for body in [
        returned(0x3ffff, 2),
        returned(0x40000, 1),
        returned(0xffff_ffff, 1),
        returned(0, 0x50000),
        returned(0x40000, ERROR | 1),
    ] {
        let told = words(lab.run(reactor("", &body), "{}").await);
        assert!(
            told.starts_with("Trap: ") && told.contains("serverledge_handle"),
            "{body}: {told}"
        );
    }
}

#[tokio::test]
async fn a_result_beyond_the_limit_is_not_copied() {
    let lab = Lab::new();
    for tagged in [OUTPUT_BYTES_MAX as u64 + 1, 0x7fff_ffff] {
        assert_eq!(
            kind(lab.run(reactor("", &returned(0, tagged)), "{}").await),
            FailureKind::OutputLimit
        );
    }
}

#[tokio::test]
async fn results_that_are_no_json_are_bad() {
    let lab = Lab::new();
    for body in [returned(0, 0), returned(0x3ffff, 1), returned(0x100, 2)] {
        assert_eq!(
            kind(lab.run(reactor(&data(0x100, "{]"), &body), "{}").await),
            FailureKind::BadOutput,
            "{body}"
        );
    }
}

fn allocating(at: &str) -> String {
    let alloc =
        format!("(func (export \"serverledge_alloc\") (param i32) (result i32) (i32.const {at}))");
    reactor_with(&alloc, "", &packed("(local.get $ptr)", "(local.get $len)"))
}

/// 0 says that there is no room: nothing may be written there.
#[tokio::test]
async fn an_allocator_without_room_is_a_function_error() {
    let lab = Lab::new();
    let outcome = lab.run(allocating("0"), "{\"a\":1}").await;
    let Err(error) = outcome else {
        panic!(
            "serverledge_alloc gave 0, and the parameters were written to address 0: {:?}",
            json_of(&outcome.unwrap())
        )
    };
    assert_eq!(kind(Err(error)), FailureKind::Error);
}

#[tokio::test]
async fn an_allocator_that_points_outside_of_memory_traps() {
    let lab = Lab::new();
    for at in ["0x3ffff", "0x40000", "-1", "-4"] {
        let told = words(lab.run(allocating(at), "[1]").await);
        assert!(
            told.starts_with("Trap: ") && told.contains("serverledge_alloc"),
            "{at}: {told}"
        );
    }
    assert_eq!(
        json_of(&lab.run(allocating("0x3fffd"), "[1]").await.unwrap()),
        json!([1]),
        "the very end is inside"
    );
}

#[tokio::test]
async fn initialize_runs_first() {
    let lab = Lab::new();
    let guest = reactor(
        "(global $ready (mut i32) (i32.const 0))
         (func (export \"_initialize\") (global.set $ready (i32.add (global.get $ready) (i32.const 1))))",
        &format!("(i32.store8 (i32.const 0x100) (i32.add (i32.const 48) (global.get $ready))) {}", returned(0x100, 1)),
    );
    for _ in 0..2 {
        assert_eq!(
            json_of(&lab.run(&guest, "{}").await.unwrap()),
            json!(1),
            "once in every instance"
        );
    }
    let trapping = reactor(
        "(func (export \"_initialize\") unreachable)",
        "(i64.const 0)",
    );
    assert_eq!(kind(lab.run(trapping, "{}").await), FailureKind::Trap);
}

/// There is no result then, whatever the code.
#[tokio::test]
async fn proc_exit_is_a_function_error() {
    let lab = Lab::new();
    for code in [0, 3] {
        let guest = reactor(
            "",
            &format!("(call $proc_exit (i32.const {code})) (i64.const 0)"),
        );
        assert_eq!(
            words(lab.run(guest, "{}").await),
            format!("Error: the function exited with code {code}")
        );
    }
}

#[tokio::test]
async fn streams_of_a_reactor() {
    let lab = Lab::new();
    // Says what a read of stdin gives, writes to stdout, which is nothing, and to the log.
    let guest = reactor(
        &data(0x100, "noise"),
        &format!(
            "(call $iovec (i32.const 0x200) (i32.const 0x300) (i32.const 100))
             (drop (call $fd_read (i32.const 0) (i32.const 0x200) (i32.const 1) (i32.const 0x210)))
             (i32.store8 (i32.const 0x220) (i32.add (i32.const 48) (i32.load (i32.const 0x210))))
             (call $emit (i32.const 0x100) (i32.const 5))
             (call $log (i32.const 0x100) (i32.const 5))
             {}",
            returned(0x220, 1)
        ),
    );
    let outcome = lab.run(guest, "[1,2,3]").await.unwrap();
    assert_eq!(
        (json_of(&outcome), &outcome.log[..]),
        (json!(0), &b"noise"[..])
    );
}
