//! Objects outside of a guest's memory: garbage collection, exceptions, references to the host's objects.

use serde_json::json;
use serverledge_core::{FailureKind, FunctionLimits, MemoryMib};

use crate::support::{Lab, failure, json_of, kind};

/// A reactor with these fields, whose result is the JSON text that `$handle`, a function without parameters, leaves at
/// address 0, of so many bytes as it says.
fn objects(fields: &str) -> String {
    format!(
        r#"(module (memory (export "memory") 1)
            (func (export "serverledge_alloc") (param i32) (result i32) (i32.const 1024))
            (func (export "serverledge_handle") (param i32 i32) (result i64)
                (i64.extend_i32_u (call $handle)))
            (func $digit (param i32) (result i32)
                (i32.store8 (i32.const 0) (i32.add (i32.const 48) (local.get 0)))
                (i32.const 1))
            {fields})"#
    )
}

const LIST: &str = "(type $list (struct (field $value i32) (field $next (mut (ref null $list)))))";

#[tokio::test]
async fn objects_are_made_and_read() {
    let lab = Lab::new();
    let guest = objects(&format!(
        "{LIST} (func $handle (result i32)
            (call $digit (struct.get $list $value (struct.get $list $next
                (struct.new $list (i32.const 1) (struct.new $list (i32.const 7) (ref.null $list)))))))"
    ));
    assert_eq!(json_of(&lab.run(guest, "{}").await.unwrap()), json!(7));
}

/// A global object is no leftover of the call before: every call begins with its own.
#[tokio::test]
async fn every_call_has_its_own_objects() {
    let lab = Lab::new();
    let guest = objects(&format!(
        "{LIST} (global $all (mut (ref null $list)) (ref.null $list))
         (func $handle (result i32) (local $count i32)
            (global.set $all (struct.new $list (i32.const 1) (global.get $all)))
            (loop $next
                (local.set $count (i32.add (local.get $count) (i32.const 1)))
                (global.set $all (struct.get $list $next (global.get $all)))
                (br_if $next (i32.eqz (ref.is_null (global.get $all)))))
            (global.set $all (struct.new $list (i32.const 1) (ref.null $list)))
            (call $digit (local.get $count)))"
    ));
    let version = lab.version(&guest, FunctionLimits::default()).await;
    for _ in 0..3 {
        let answer = lab.invoke(&version, "{}").await.unwrap();
        assert_eq!(json_of(&answer), json!(1));
    }
}

/// Objects that nobody refers to any more, circles included, are collected: a program makes many times its memory.
#[tokio::test]
async fn garbage_is_collected() {
    let lab = Lab::new();
    let guest = objects(
        "(type $bytes (array (mut i8)))
         (type $knot (struct (field $self (mut (ref null $knot))) (field $bytes (ref $bytes))))
         (func $handle (result i32) (local $left i32) (local $knot (ref null $knot))
            (local.set $left (i32.const 20000))
            (loop $next
                (local.set $knot (struct.new $knot (ref.null $knot) (array.new_default $bytes (i32.const 4096))))
                (struct.set $knot $self (local.get $knot) (local.get $knot))
                (local.set $left (i32.sub (local.get $left) (i32.const 1)))
                (br_if $next (local.get $left)))
            (call $digit (i32.const 5)))",
    );
    let version = lab.version(&guest, memory(4)).await;
    assert_eq!(
        json_of(&lab.invoke(&version, "{}").await.unwrap()),
        json!(5)
    );
}

fn memory(mib: u64) -> FunctionLimits {
    FunctionLimits {
        memory: MemoryMib::new(mib),
        ..FunctionLimits::default()
    }
}

/// The heap is memory of the function's: both together end at its limit, and nothing of it stays.
#[tokio::test]
async fn objects_count_as_memory() {
    let lab = Lab::new();
    let endless = objects(&format!(
        "{LIST} (func $handle (result i32) (local $list (ref null $list))
            (loop $next
                (local.set $list (struct.new $list (i32.const 1) (local.get $list)))
                (br $next))
            (unreachable))"
    ));
    for mib in [2, 16] {
        let version = lab.version(&endless, memory(mib)).await;
        for _ in 0..2 {
            let kind = kind(lab.invoke(&version, "{}").await);
            assert_eq!(kind, FailureKind::MemoryLimit, "{mib} MB");
        }
    }
    // One that takes all its memory first has none left for objects.
    let full = objects(&format!(
        "{LIST} (func $handle (result i32)
            (drop (memory.grow (i32.const 31)))
            (call $digit (struct.get $list $value (struct.new $list (i32.const 3) (ref.null $list)))))"
    ));
    let version = lab.version(&full, memory(2)).await;
    let refused = kind(lab.invoke(&version, "{}").await);
    assert_eq!(refused, FailureKind::MemoryLimit);
    let version = lab.version(&full, memory(4)).await;
    assert_eq!(
        json_of(&lab.invoke(&version, "{}").await.unwrap()),
        json!(3)
    );
    // An array of more than there is of anything.
    let huge = objects(
        "(type $bytes (array (mut i8)))
         (func $handle (result i32) (call $digit (array.len (array.new_default $bytes (i32.const 0x7fff_fff0)))))",
    );
    let version = lab.version(&huge, memory(16)).await;
    let refused = kind(lab.invoke(&version, "{}").await);
    assert_eq!(refused, FailureKind::MemoryLimit);
}

#[tokio::test]
async fn exceptions_are_thrown_and_caught() {
    let lab = Lab::new();
    let guest = objects(
        "(tag $e (param i32))
         (func $deep (param i32)
            (if (i32.eqz (local.get 0)) (then (throw $e (i32.const 6))))
            (call $deep (i32.sub (local.get 0) (i32.const 1))))
         (func $handle (result i32)
            (call $digit (block $caught (result i32)
                (try_table (catch $e $caught) (call $deep (i32.const 50)))
                (i32.const 0))))",
    );
    let version = lab.version(&guest, FunctionLimits::default()).await;
    for _ in 0..2 {
        let answer = lab.invoke(&version, "{}").await.unwrap();
        assert_eq!(json_of(&answer), json!(6));
    }
}

/// One that nothing catches is the function's fault, in words.
#[tokio::test]
async fn an_uncaught_exception_is_a_trap() {
    let lab = Lab::new();
    let guest =
        objects("(tag $e (param i32)) (func $handle (result i32) (throw $e (i32.const 1)))");
    let version = lab.version(&guest, FunctionLimits::default()).await;
    for _ in 0..2 {
        let fault = failure(lab.invoke(&version, "{}").await);
        assert_eq!(fault.kind, FailureKind::Trap, "{}", fault.message);
        assert!(
            fault.message.contains("nothing caught"),
            "{}",
            fault.message
        );
    }
}

/// The signature of an export counts, not the group that its type is defined in.
#[tokio::test]
async fn types_of_exports_may_be_part_of_a_group() {
    let lab = Lab::new();
    let guest = r#"(module (rec (type $start (func)) (type $other (struct (field (ref null $start)))))
        (memory (export "memory") 1)
        (func (export "_start") (type $start)))"#;
    let prepared = lab.prepare(guest).await.unwrap();
    assert_eq!(prepared.recognised, "WASI command");
    let version = lab.version(guest, FunctionLimits::default()).await;
    assert_eq!(
        kind(lab.invoke(&version, "{}").await),
        FailureKind::BadOutput
    );
}

/// Objects that a start function makes are there in the call, and a cast to the wrong type is a trap.
#[tokio::test]
async fn objects_of_the_start_live_on() {
    let lab = Lab::new();
    let guest = |of: &str| {
        objects(&format!(
            "(type $a (struct (field i32))) (type $b (struct (field i64)))
             (global $one (mut (ref null struct)) (ref.null struct))
             (func $begin (global.set $one (struct.new $a (i32.const 4))))
             (start $begin)
             (func $handle (result i32)
                (call $digit (i32.const 4)) (drop)
                (drop (ref.cast (ref {of}) (global.get $one)))
                (i32.const 1))"
        ))
    };
    assert_eq!(
        json_of(&lab.run(guest("$a"), "{}").await.unwrap()),
        json!(4)
    );
    assert_eq!(kind(lab.run(guest("$b"), "{}").await), FailureKind::Trap);
}

/// A heap grows, is refused, and collects: that is no reason for what goes wrong later.
#[tokio::test]
async fn a_failure_after_a_collection_is_told_as_it_is() {
    let lab = Lab::new();
    let guest = objects(
        "(type $bytes (array (mut i8)))
         (tag $e)
         (func $handle (result i32) (local $left i32)
            (local.set $left (i32.const 20000))
            (loop $next
                (drop (array.new_default $bytes (i32.const 4096)))
                (local.set $left (i32.sub (local.get $left) (i32.const 1)))
                (br_if $next (local.get $left)))
            (throw $e))",
    );
    let version = lab.version(&guest, memory(4)).await;
    let fault = failure(lab.invoke(&version, "{}").await);
    assert_eq!(fault.kind, FailureKind::Trap, "{}", fault.message);
    assert!(
        fault.message.contains("nothing caught"),
        "{}",
        fault.message
    );
}
