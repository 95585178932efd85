//! A function whose runs can be counted: each has a number of its own, by chance, which it tells at once and in its result.

use std::fmt::Write;

/// Answers `{"run":"<16 hexadecimal digits>","call":<the parameters>}` after so many milliseconds, and logs `effect ` with
/// the same. With a `witness` it calls that function with it, before it waits: what the witness logs is known although the
/// run itself may be given up. Parameters of up to 32 KiB.
pub(crate) fn effect(milliseconds: u64, witness: Option<&str>) -> String {
    let mut call = String::new();
    let mut import = "";
    if let Some(witness) = witness {
        import = r#"(import "serverledge" "call" (func $call (param i32 i32 i32 i32 i32 i32) (result i64)))"#;
        let length = witness.len();
        let _infallible = write!(
            call,
            "(drop (call $call (i32.const 512) (i32.const {length}) (i32.const 4103) (local.get $size)
               (i32.const 131072) (i32.const 65536)))"
        );
    }
    let name = witness.unwrap_or_default();
    let nanoseconds = milliseconds * 1_000_000;
    // Addresses: 0 an i/o vector, 16 the random bytes, 32 the digits, 4096 the line of the log, of which the result is a part.
    format!(
        r#"(module
  {import}
  (import "wasi_snapshot_preview1" "fd_write" (func $fd_write (param i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "random_get" (func $random_get (param i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "poll_oneoff" (func $poll_oneoff (param i32 i32 i32 i32) (result i32)))
  (memory (export "memory") 4)
  (data (i32.const 32) "0123456789abcdef")
  (data (i32.const 512) "{name}")
  (data (i32.const 4096) "effect {{\22run\22:\22----------------\22,\22call\22:")
  (func $digit (param $at i32) (param $value i32)
    (i32.store8 (local.get $at) (i32.load8_u (i32.add (i32.const 32) (local.get $value)))))
  (func $number (local $i i32) (local $byte i32) (local $at i32)
    (drop (call $random_get (i32.const 16) (i32.const 8)))
    (loop $next
      (local.set $byte (i32.load8_u (i32.add (i32.const 16) (local.get $i))))
      (local.set $at (i32.add (i32.const 4111) (i32.shl (local.get $i) (i32.const 1))))
      (call $digit (local.get $at) (i32.shr_u (local.get $byte) (i32.const 4)))
      (call $digit (i32.add (local.get $at) (i32.const 1)) (i32.and (local.get $byte) (i32.const 15)))
      (br_if $next (i32.lt_u (local.tee $i (i32.add (local.get $i) (i32.const 1))) (i32.const 8)))))
  (func $sleep (param $ns i64)
    (i32.store (i32.const 272) (i32.const 1))
    (i64.store (i32.const 280) (local.get $ns))
    (drop (call $poll_oneoff (i32.const 256) (i32.const 320) (i32.const 1) (i32.const 376))))
  (func (export "serverledge_alloc") (param $len i32) (result i32)
    (select (i32.const 65536) (i32.const 0) (i32.le_u (local.get $len) (i32.const 32768))))
  (func (export "serverledge_handle") (param $ptr i32) (param $len i32) (result i64)
    (local $size i32)
    (local.set $size (i32.add (local.get $len) (i32.const 34)))
    (call $number)
    (memory.copy (i32.const 4136) (local.get $ptr) (local.get $len))
    (i32.store8 (i32.add (i32.const 4136) (local.get $len)) (i32.const 125))
    (i32.store8 (i32.add (i32.const 4137) (local.get $len)) (i32.const 10))
    (i32.store (i32.const 0) (i32.const 4096))
    (i32.store (i32.const 4) (i32.add (local.get $size) (i32.const 8)))
    (drop (call $fd_write (i32.const 2) (i32.const 0) (i32.const 1) (i32.const 8)))
    {call}
    (if (i64.gt_u (i64.const {nanoseconds}) (i64.const 0)) (then (call $sleep (i64.const {nanoseconds}))))
    (i64.or (i64.shl (i64.const 4103) (i64.const 32)) (i64.extend_i32_u (local.get $size)))))"#
    )
}

/// Answers `true` to the parameters `{"name":"ready"}`, with which nodes are seen to be ready, and never to longer or
/// shorter ones.
pub(crate) fn endless() -> &'static str {
    r#"(module (memory (export "memory") 1) (data (i32.const 0) "true")
      (func (export "serverledge_alloc") (param i32) (result i32) (i32.const 1024))
      (func (export "serverledge_handle") (param $ptr i32) (param $len i32) (result i64)
        (loop $again (br_if $again (i32.ne (local.get $len) (i32.const 16))))
        (i64.const 4)))"#
}

#[cfg(test)]
mod tests {
    use anyhow::{Context, Result};
    use serde_json::{Value, json};

    use super::*;
    use crate::e2e::Node;
    use crate::support::history::run_of;

    fn log(node: &Node, function: &str) -> Result<Vec<Value>> {
        let log = node.get(&format!("/functions/{function}/logs"))?.text();
        let effects = log
            .lines()
            .map(|line| line.split_once(" effect ").context("an effect"));
        effects
            .map(|effect| Ok(serde_json::from_str(effect?.1)?))
            .collect()
    }

    #[test]
    fn runs_tell_their_numbers() -> Result<()> {
        let node = Node::start()?;
        node.deploy("witness", effect(0, None))?;
        node.deploy("effect", effect(10, Some("witness")))?;
        let results =
            ["one", "two"].map(|name| node.invoke("effect", &json!({ "name": name }))?.result());
        let [one, two] = results;
        let one = one?;
        let two = two?;
        assert_eq!(one["call"], json!({"name": "one"}));
        let first = run_of(&one).context("a run")?;
        let second = run_of(&two).context("a run")?;
        assert!(
            first.0 != second.0 && first.0.bytes().all(|byte| byte.is_ascii_hexdigit()),
            "{first:?}, {second:?}"
        );
        assert_eq!(log(&node, "effect")?, [one.clone(), two.clone()]);
        let witnessed: Vec<Value> = log(&node, "witness")?
            .into_iter()
            .map(|seen| seen["call"].clone())
            .collect();
        assert_eq!(witnessed, [one, two]);
        Ok(())
    }
}
