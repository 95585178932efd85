//! Guests written for single tests, in WebAssembly text.

/// The base of every command below. Addresses: 0 an i/o vector, 8 its count of bytes, 16 to 127 for the body. `$say fd
/// ptr len` writes, `$exit code` ends.
const COMMAND: &str = r#"
  (import "wasi_snapshot_preview1" "fd_write" (func $fd_write (param i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
  (import "wasi_snapshot_preview1" "poll_oneoff" (func $poll_oneoff (param i32 i32 i32 i32) (result i32)))
  (memory (export "memory") 2)
  (data (i32.const 1024) "last words\n")
  (data (i32.const 1100) "{\22done\22:true}")
  (func $say (param $fd i32) (param $ptr i32) (param $len i32)
    (i32.store (i32.const 0) (local.get $ptr))
    (i32.store (i32.const 4) (local.get $len))
    (drop (call $fd_write (local.get $fd) (i32.const 0) (i32.const 1) (i32.const 8))))
  (func $log (call $say (i32.const 2) (i32.const 1024) (i32.const 11)))
  (func $done (call $say (i32.const 1) (i32.const 1100) (i32.const 13)))
  ;; A subscription to the monotonic clock at 128, its event at 256.
  (func $sleep (param $ns i64)
    (i32.store (i32.const 144) (i32.const 1))
    (i64.store (i32.const 152) (local.get $ns))
    (drop (call $poll_oneoff (i32.const 128) (i32.const 256) (i32.const 1) (i32.const 8))))
"#;

/// A WASI command that logs `last words` and then does what `body` says.
pub(crate) fn command(body: &str) -> String {
    format!("(module {COMMAND} (func (export \"_start\") (local $i i32) (call $log) {body}))")
}

/// Runs for ever.
pub(crate) fn infinite_loop() -> String {
    command("(loop $again (br $again))")
}

/// Sleeps, then answers `{"done":true}`.
pub(crate) fn sleeper(milliseconds: u64) -> String {
    command(&format!(
        "(call $sleep (i64.const {})) (call $done)",
        milliseconds * 1_000_000
    ))
}

/// A reactor whose answer is a constant; each constant is another module.
pub(crate) fn constant(number: u64) -> String {
    let answer = format!("{{\"n\":{number}}}");
    let escaped = answer.replace('"', "\\22");
    format!(
        r#"(module (memory (export "memory") 1) (data (i32.const 0) "{escaped}")
          (func (export "serverledge_alloc") (param i32) (result i32) (i32.const 1024))
          (func (export "serverledge_handle") (param i32 i32) (result i64) (i64.const {})))"#,
        answer.len()
    )
}

/// The same, in a module that takes about a second to compile.
pub(crate) fn large_constant(number: u64) -> String {
    let idle: String = (0..LARGE).map(idle_function).collect();
    constant(number).replacen("(module", &format!("(module {idle}"), 1)
}

/// Functions of a module that takes a while to compile.
const LARGE: u32 = 60;

/// A function that nobody calls, and of which there are no two alike.
fn idle_function(n: u32) -> String {
    let step = |k: u32| {
        format!(
            "(local.set 0 (i32.add (i32.mul (local.get 0) (i32.const {})) (local.get 1)))",
            n * 64 + k
        )
    };
    let steps: String = (0..64).map(step).collect();
    format!("(func (param i32 i32) (result i32) {steps} (local.get 0))")
}

/// A reactor that answers with what the function `callee` answered to the same parameters, error objects included.
/// Waits for `milliseconds` first.
pub(crate) fn caller_of(callee: &str, milliseconds: u64) -> String {
    let length = callee.len();
    let nanoseconds = milliseconds * 1_000_000;
    format!(
        r#"(module
          (import "serverledge" "call" (func $call (param i32 i32 i32 i32 i32 i32) (result i64)))
          (import "wasi_snapshot_preview1" "poll_oneoff" (func $poll_oneoff (param i32 i32 i32 i32) (result i32)))
          (memory (export "memory") 1) (data (i32.const 0) "{callee}")
          (func (export "serverledge_alloc") (param i32) (result i32) (i32.const 1024))
          (func (export "serverledge_handle") (param $ptr i32) (param $len i32) (result i64)
            (if (i64.gt_u (i64.const {nanoseconds}) (i64.const 0)) (then
              (i32.store (i32.const 272) (i32.const 1))
              (i64.store (i32.const 280) (i64.const {nanoseconds}))
              (drop (call $poll_oneoff (i32.const 256) (i32.const 512) (i32.const 1) (i32.const 600)))))
            (i64.or
              (i64.and (i64.const 0x7fffffff)
                (call $call (i32.const 0) (i32.const {length}) (local.get $ptr) (local.get $len)
                  (i32.const 16384) (i32.const 32768)))
              (i64.shl (i64.const 16384) (i64.const 32)))))"#
    )
}

/// A reactor that answers `true` if it finds a byte in its memory that nobody put there, else `false`, and leaves its
/// memory full of `secret`. It begins with so many pages and grows by as many again.
pub(crate) fn spy(pages: u32, secret: u64) -> String {
    format!(
        r#"(module
          (memory (export "memory") {pages}) (data (i32.const 0) "true") (data (i32.const 8) "false")
          (global $found (mut i32) (i32.const 0))
          (func $sweep (param $at i32)
            (local $end i32)
            (local.set $end (i32.mul (memory.size) (i32.const 65536)))
            (loop $next
              (if (i64.ne (i64.load (local.get $at)) (i64.const 0)) (then (global.set $found (i32.const 1))))
              (i64.store (local.get $at) (i64.const 0x{secret:x}))
              (br_if $next (i32.lt_u (local.tee $at (i32.add (local.get $at) (i32.const 8))) (local.get $end)))))
          (func (export "serverledge_alloc") (param i32) (result i32) (i32.const 16))
          (func (export "serverledge_handle") (param i32 i32) (result i64)
            (local $old i32)
            (call $sweep (i32.const 64))
            (local.set $old (memory.grow (i32.const {pages})))
            (call $sweep (i32.mul (local.get $old) (i32.const 65536)))
            (if (result i64) (global.get $found)
              (then (i64.const 4))
              (else (i64.const 0x800000005)))))"#
    )
}

/// A WASI command with functions so large that compiling them takes many seconds.
pub(crate) fn monster(functions: usize, blocks: usize) -> String {
    let step = "(local.set $a (i64.add (i64.mul (local.get $a) (local.get $b)) (i64.load (i32.wrap_i64 (local.get $b)))))\
                (if (i64.lt_u (local.get $a) (local.get $b)) (then (local.set $b (i64.xor (local.get $a) (local.get $b)))))";
    let body = step.repeat(blocks);
    let one = |n: usize| {
        format!("(func $f{n} (param $a i64) (param $b i64) (result i64) {body} (local.get $b))")
    };
    let all: String = (0..functions).map(one).collect();
    format!("(module {COMMAND} {all} (func (export \"_start\") (call $done)))")
}
