//! `serverledge::call`, as `docs/guest-abi.md` promises it.

use std::time::Duration;

use bytes::Bytes;
use serde_json::{Value, json};
use serverledge_core::limits::PARAMS_BYTES_MAX;
use serverledge_core::{FailureKind, FunctionLimits};
use serverledge_testing::fake_host::{FakeHost, FakeHostHandle};

use crate::support::{
    Lab, command, data, json_of, kind, large_command, listing, time_limit, words,
};

/// A call of `callee` (6 bytes at 0x100) with the 2 bytes at 0x110; the reply goes to 0x1000.
fn call(room: u32) -> String {
    format!(
        "(call $call (i32.const 0x100) (i32.const 6) (i32.const 0x110) (i32.const 2) (i32.const 0x1000) (i32.const {room}))"
    )
}

/// Fetches what was kept.
fn fetch(room: u32) -> String {
    format!(
        "(call $call (i32.const -1) (i32.const 0) (i32.const -1) (i32.const -1) (i32.const 0x1000) (i32.const {room}))"
    )
}

fn items() -> String {
    format!("{} {}", data(0x100, "callee"), data(0x110, "{}"))
}

/// Lists what a guest says about its calls.
async fn list(host: (std::sync::Arc<FakeHost>, &FakeHostHandle), body: &str) -> Vec<Value> {
    let lab = Lab::new();
    let version = lab
        .version(listing(&items(), body), FunctionLimits::default())
        .await;
    let outcome = lab.invoke_on(&version, "{}", host.0).await.unwrap();
    let Value::Array(mut list) = json_of(&outcome) else {
        panic!("a listing is an array")
    };
    list.pop();
    list
}

const REPLY: &[u8] = b"[1234567]";

fn answering() -> (std::sync::Arc<FakeHost>, FakeHostHandle) {
    let (host, handle) = FakeHost::new();
    handle.answer("callee", |_| Ok(Bytes::from_static(REPLY)));
    (host, handle)
}

/// Says length and mark of the reply, and the first 9 bytes where it goes.
fn say(call: &str) -> String {
    format!(
        "(memory.fill (i32.const 0x1000) (i32.const 46) (i32.const 512))
         (local.set $r {call})
         (call $say (i32.wrap_i64 (local.get $r)))
         (call $say64 (i64.shr_u (local.get $r) (i64.const 32)))
         (call $quote (i32.const 0x1000) (i32.const 9))\n"
    )
}

const MARK: u64 = 1 << 31;

#[tokio::test]
async fn a_reply_that_fits_is_written() {
    let (host, handle) = answering();
    let listed = list(
        (host, &handle),
        &format!("{}{}", say(&call(9)), say(&call(4096))),
    )
    .await;
    assert_eq!(
        listed,
        [
            json!(9),
            json!(0),
            json!("[1234567]"),
            json!(9),
            json!(0),
            json!("[1234567]")
        ]
    );
    let calls = handle.calls();
    assert_eq!(calls.len(), 2);
    assert_eq!(
        (calls[0].function.as_str(), &calls[0].params[..]),
        ("callee", &b"{}"[..])
    );
}

#[tokio::test]
async fn a_reply_that_does_not_fit_is_kept() {
    let (host, handle) = answering();
    let body = [call(8), fetch(0), fetch(8), fetch(9), fetch(9)]
        .map(|call| say(&call))
        .concat();
    let listed = list((host, &handle), &body).await;
    assert_eq!(
        listed[..3],
        [json!(9), json!(0), json!(".........")],
        "nothing is written before it fits"
    );
    assert_eq!(
        listed[3..6],
        [json!(9), json!(0), json!(".........")],
        "it can be asked for again"
    );
    assert_eq!(listed[6..9], [json!(9), json!(0), json!(".........")]);
    assert_eq!(listed[9..12], [json!(9), json!(0), json!("[1234567]")]);
    assert_eq!(
        listed[13],
        json!(MARK),
        "a kept reply is gone once it was copied: {listed:?}"
    );
    assert_eq!(handle.calls().len(), 1, "fetching calls nobody");
}

#[tokio::test]
async fn another_call_drops_what_was_kept() {
    let (host, handle) = answering();
    let body = [call(0), call(9), fetch(9)].map(|call| say(&call)).concat();
    let listed = list((host, &handle), &body).await;
    assert_eq!(
        listed[7],
        json!(MARK),
        "the kept reply outlived another call: {listed:?}"
    );
}

/// A guest that calls and gives the reply back, whatever it is.
fn giving_back(call: &str) -> String {
    command(
        &items(),
        &format!(
            "(local.set $r {call}) (call $emit (i32.const 0x1000) (i32.wrap_i64 (local.get $r)))"
        ),
    )
}

#[tokio::test]
async fn errors_are_objects_and_the_caller_goes_on() {
    let lab = Lab::new();
    let named = |name: &str, params: &str| {
        let items = format!("{} {}", data(0x400, name), data(0x500, params));
        let call = format!(
            "(call $call (i32.const 0x400) (i32.const {}) (i32.const 0x500) (i32.const {}) (i32.const 0x1000) (i32.const 4096))",
            name.len(),
            params.len()
        );
        command(
            &items,
            &format!(
                "(local.set $r {call}) (call $emit (i32.const 0x1000) (i32.wrap_i64 (local.get $r)))"
            ),
        )
    };
    for (guest, expected) in [
        (giving_back(&call(4096)), "function_unknown"),
        (giving_back(&fetch(4096)), "no_reply"),
        (named("callee", "nonsense"), "invalid_params"),
        (named("callee", ""), "invalid_params"),
        (named("callee", "1 2"), "invalid_params"),
    ] {
        let object = json_of(&lab.run(&guest, "{}").await.unwrap());
        assert_eq!(object["error"], expected, "{object}");
        assert!(
            object["message"]
                .as_str()
                .is_some_and(|message| !message.is_empty()),
            "{object}"
        );
        assert_eq!(object.as_object().unwrap().len(), 2, "{object}");
    }
    let not_text = command(
        "(data (i32.const 0x400) \"\\ff\\fe\")",
        "(local.set $r (call $call (i32.const 0x400) (i32.const 2) (i32.const 0x400) (i32.const 0) (i32.const 0x1000) (i32.const 4096)))
         (call $emit (i32.const 0x1000) (i32.wrap_i64 (local.get $r)))",
    );
    let object = json_of(&lab.run(&not_text, "{}").await.unwrap());
    assert!(
        matches!(
            object["error"].as_str(),
            Some("invalid_name" | "invalid_params")
        ),
        "{object}"
    );
}

#[tokio::test]
async fn addresses_outside_of_memory_trap() {
    let lab = Lab::new();
    let with = |name: (i64, i64), params: (i64, i64), out: (i64, i64)| {
        let words = [name.0, name.1, params.0, params.1, out.0, out.1]
            .map(|word| format!("(i32.const {word})"))
            .join(" ");
        command(&items(), &format!("(drop (call $call {words}))"))
    };
    let good_name = (0x100, 6);
    let good_params = (0x110, 2);
    let good_out = (0x1000, 4096);
    for guest in [
        with((0x3fffb, 6), good_params, good_out),
        with((-1, 1), good_params, good_out),
        with((0x100, -1), good_params, good_out),
        with(good_name, (0x3ffff, 2), good_out),
        with(good_name, (-2, -2), good_out),
        with(good_name, good_params, (0x3fff8, 9)),
        with(good_name, good_params, (-1, -1)),
    ] {
        let (host, handle) = answering();
        let version = lab.version(&guest, FunctionLimits::default()).await;
        let told = words(lab.invoke_on(&version, "{}", host).await);
        assert!(
            told.starts_with("Trap: ") && told.contains("serverledge::call"),
            "{told}"
        );
        drop(handle);
    }
}

#[tokio::test]
async fn waiting_for_a_reply_counts_against_the_caller() {
    let lab = Lab::new();
    let version = lab
        .version(
            giving_back(&call(9)),
            time_limit(Duration::from_millis(100)),
        )
        .await;
    let (host, handle) = FakeHost::new();
    handle.hold("callee");
    assert_eq!(
        kind(lab.invoke_on(&version, "{}", host).await),
        FailureKind::TimeLimit
    );
    handle
        .wait_for("the end of the nested call", |counts| {
            counts.dropped == 1 && counts.gone
        })
        .await;
}

/// The parameters of a call are limited as those of any other invocation: the host copies them.
#[tokio::test]
async fn parameters_beyond_the_limit_are_refused() {
    let lab = Lab::new();
    let bytes = PARAMS_BYTES_MAX + 1;
    let guest = large_command(
        120,
        &items(),
        &format!(
            "(memory.fill (i32.const 0x10000) (i32.const 48) (i32.const {bytes}))
             (i32.store8 (i32.const 0x10000) (i32.const 34))
             (i32.store8 (i32.const {}) (i32.const 34))
             (local.set $r (call $call (i32.const 0x100) (i32.const 6) (i32.const 0x10000) (i32.const {bytes})
               (i32.const 0x1000) (i32.const 4096)))
             (call $emit (i32.const 0x1000) (i32.wrap_i64 (local.get $r)))",
            0x10000 + bytes - 1
        ),
    );
    let version = lab.version(&guest, FunctionLimits::default()).await;
    let (host, handle) = answering();
    let outcome = lab.invoke_on(&version, "{}", host).await.unwrap();
    assert_eq!(
        handle.calls().len(),
        0,
        "{bytes} bytes of parameters reached the host"
    );
    assert!(json_of(&outcome)["error"].is_string(), "{outcome:?}");
}
