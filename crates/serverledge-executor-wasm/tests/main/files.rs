//! Files of guests: those that come with the code, and those that a call makes; preview 1 and components.

use std::fs;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use serverledge_core::{
    Executor as _, FailureKind, FunctionLimits, MemoryMib, ProgramIo, StartError, Stdin, Stdout,
    Version,
};
use serverledge_executor_wasm::FileLayout;

use crate::support::{Lab, code, data, example, failure, json_of, listing};

const BADF: u32 = 8;
const EXIST: u32 = 20;
const INVAL: u32 = 28;
const ISDIR: u32 = 31;
const MFILE: u32 = 33;
const NAMETOOLONG: u32 = 37;
const NOENT: u32 = 44;
const NOSPC: u32 = 51;
const NOTDIR: u32 = 54;
const NOTSOCK: u32 = 57;
const PERM: u32 = 63;
const ROFS: u32 = 69;

/// A tar of these files.
fn tar(files: &[(&str, &[u8])]) -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    for (path, contents) in files {
        let mut header = tar::Header::new_gnu();
        header.set_size(contents.len() as u64);
        header.set_mode(0o644);
        builder.append_data(&mut header, path, *contents).unwrap();
    }
    builder.into_inner().unwrap()
}

/// A module with the files of these tests.
fn with_files(module: &str) -> Vec<u8> {
    tar(&[
        ("main.wat", module.as_bytes()),
        ("data/words.txt", b"hello words"),
        ("data/empty", b""),
        ("top", b"top"),
    ])
}

/// Paths that the guests of these tests name, each at its address.
const PATHS: [(u32, &str); 8] = [
    (0x800, "data/words.txt"),
    (0x820, "f"),
    (0x830, "../f"),
    (0x840, "d"),
    (0x850, "d/g"),
    (0x860, "missing"),
    (0x870, "data"),
    (0x880, "."),
];

/// The place and length of a path, as arguments.
fn path(name: &str) -> String {
    let (at, _) = PATHS.iter().find(|(_, path)| *path == name).unwrap();
    format!("(i32.const {at}) (i32.const {})", name.len())
}

/// Opens a path from a directory; the descriptor goes to 0x400.
fn open(fd: u32, name: &str, flags: u32, rights: u32) -> String {
    format!(
        "call $path_open (i32.const {fd}) (i32.const 1) {} (i32.const {flags}) (i64.const {rights}) (i64.const 0) \
         (i32.const 0) (i32.const 0x400)",
        path(name)
    )
}

/// A guest with the paths, that lists what its body says.
fn guest(body: &str) -> String {
    let items: String = PATHS.iter().map(|(at, path)| data(*at, path)).collect();
    listing(&items, body)
}

/// Says the errno of a call.
fn say(call: &str) -> String {
    format!("(call $say ({call}))\n")
}

const READ: u32 = 1 << 1;
const WRITE: u32 = 1 << 6;
const CREATE: u32 = 1;
const FD: &str = "(i32.load (i32.const 0x400))";

async fn list_of(lab: &Lab, version: &Arc<Version>) -> Vec<Value> {
    let Value::Array(mut list) = json_of(&lab.invoke(version, "{}").await.unwrap()) else {
        panic!("a listing is an array");
    };
    list.pop();
    list
}

async fn version(lab: &Lab, body: &str) -> Arc<Version> {
    lab.version(with_files(&guest(body)), FunctionLimits::default())
        .await
}

/// Runs a guest and compares what it says.
async fn check(body: &str, expected: &[Value]) {
    let lab = Lab::new();
    let version = version(&lab, body).await;
    assert_eq!(list_of(&lab, &version).await, expected, "{body}");
}

/// Says the errno of each call; all must be as expected.
async fn check_calls(cases: &[(String, u32)]) {
    let body: String = cases.iter().map(|(call, _)| say(call)).collect();
    let lab = Lab::new();
    let version = version(&lab, &body).await;
    let listed = list_of(&lab, &version).await;
    assert_eq!(listed.len(), cases.len());
    for ((call, expected), found) in cases.iter().zip(listed) {
        assert_eq!(found, json!(expected), "{call}");
    }
}

#[tokio::test]
async fn files_of_the_code_are_read() {
    let body = format!(
        "{}(call $say {FD})
         (call $iovec (i32.const 0x410) (i32.const 0x500) (i32.const 5))
         (call $iovec (i32.const 0x418) (i32.const 0x505) (i32.const 64))
         {}(call $quote (i32.const 0x500) (i32.load (i32.const 0x420)))
         {}(call $say64 (i64.load (i32.const 0x430)))
         {}(call $quote (i32.const 0x500) (i32.load (i32.const 0x420)))
         {}(call $say64 (i64.load offset=32 (i32.const 0x440)))
         (call $say (i32.load8_u offset=16 (i32.const 0x440)))",
        say(&open(3, "data/words.txt", 0, READ)),
        say(&format!(
            "call $fd_read {FD} (i32.const 0x410) (i32.const 2) (i32.const 0x420)"
        )),
        say(&format!(
            "call $fd_seek {FD} (i64.const -5) (i32.const 2) (i32.const 0x430)"
        )),
        say(&format!(
            "call $fd_read {FD} (i32.const 0x410) (i32.const 2) (i32.const 0x420)"
        )),
        say(&format!("call $fd_filestat_get {FD} (i32.const 0x440)")),
    );
    let expected = [
        json!(0),
        json!(5),
        json!(0),
        json!("hello words"),
        json!(0),
        json!(6),
        json!(0),
        json!("words"),
        json!(0),
        json!(11),
        json!(4),
    ];
    check(&body, &expected).await;
}

#[tokio::test]
async fn directories_have_names_and_listings() {
    // ".", "..", "data" and "top": four records of 24 bytes, each with its name behind it.
    let body = format!(
        "{}(call $say (i32.load (i32.const 0x404)))
         {}(call $quote (i32.const 0x500) (i32.const 4))
         {}(call $say (i32.load (i32.const 0x410)))
         (call $quote (i32.const 0x304b) (i32.const 4))
         {}(call $say (i32.load (i32.const 0x410)))
         (call $quote (i32.const 0x3018) (i32.const 3))",
        say("call $fd_prestat_get (i32.const 4) (i32.const 0x400)"),
        say("call $fd_prestat_dir_name (i32.const 4) (i32.const 0x500) (i32.const 4)"),
        say(
            "call $fd_readdir (i32.const 3) (i32.const 0x3000) (i32.const 0x1000) (i64.const 0) (i32.const 0x410)"
        ),
        say(
            "call $fd_readdir (i32.const 3) (i32.const 0x3000) (i32.const 0x1000) (i64.const 3) (i32.const 0x410)"
        ),
    );
    let expected = [
        json!(0),
        json!(4),
        json!(0),
        json!("/tmp"),
        json!(0),
        json!(4 * 24 + 1 + 2 + 4 + 3),
        json!("data"),
        json!(0),
        json!(24 + 3),
        json!("top"),
    ];
    check(&body, &expected).await;
}

#[tokio::test]
async fn a_call_has_a_directory_of_its_own() {
    let body = format!(
        "{}{}(call $iovec (i32.const 0x410) (i32.const 0x800) (i32.const 14))
         {}(call $say (i32.load (i32.const 0x420)))
         (call $iovec (i32.const 0x410) (i32.const 0x500) (i32.const 14))
         {}(call $quote (i32.const 0x500) (i32.load (i32.const 0x420)))
         {}{}{}",
        say(&open(4, "f", 0, READ)),
        say(&open(4, "f", CREATE, READ | WRITE)),
        say(&format!(
            "call $fd_write {FD} (i32.const 0x410) (i32.const 1) (i32.const 0x420)"
        )),
        say(&format!(
            "call $fd_pread {FD} (i32.const 0x410) (i32.const 1) (i64.const 5) (i32.const 0x420)"
        )),
        say(&format!("call $fd_close {FD}")),
        say(&format!("call $fd_close {FD}")),
        say(&open(4, "f", 0, READ)),
    );
    let expected = [
        json!(NOENT),
        json!(0),
        json!(0),
        json!(14),
        json!(0),
        json!("words.txt"),
        json!(0),
        json!(BADF),
        json!(0),
    ];
    let lab = Lab::new();
    let version = version(&lab, &body).await;
    for nth in 0..4 {
        let listed = list_of(&lab, &version).await;
        assert_eq!(listed, expected, "the call {nth}");
    }
    assert_eq!(
        lab.executor.instances_kept(),
        1,
        "an instance is used again"
    );
}

#[tokio::test]
async fn what_is_not_allowed_has_its_number() {
    let long = "(i32.const 0x1000) (i32.const 5000)";
    check_calls(&[
        (open(3, "f", CREATE, WRITE), ROFS),
        (open(3, "data/words.txt", 0, WRITE), ROFS),
        (open(3, "data/words.txt", 8, 0), ROFS),
        (open(3, "data", 0, READ | WRITE), ISDIR),
        (open(3, "data/words.txt", 2, READ), NOTDIR),
        (open(3, "../f", 0, READ), PERM),
        (open(4, "missing", 0, READ), NOENT),
        (open(4, "f", 16, READ), INVAL),
        (open(9, "f", 0, READ), BADF),
        (open(0, "f", 0, READ), NOTDIR),
        (
            format!(
                "call $path_unlink_file (i32.const 3) {}",
                path("data/words.txt")
            ),
            ROFS,
        ),
        (
            format!("call $path_create_directory (i32.const 4) {}", path("d")),
            0,
        ),
        (
            format!("call $path_create_directory (i32.const 4) {}", path("d")),
            EXIST,
        ),
        (open(4, "d/g", CREATE, WRITE), 0),
        (
            format!("call $path_remove_directory (i32.const 4) {}", path("d")),
            55,
        ),
        (
            format!("call $path_unlink_file (i32.const 4) {}", path("d")),
            ISDIR,
        ),
        (
            format!("call $path_unlink_file (i32.const 4) {}", path("d/g")),
            0,
        ),
        (
            format!("call $path_remove_directory (i32.const 4) {}", path("d")),
            0,
        ),
        (
            format!("call $path_create_directory (i32.const 4) {long}"),
            NAMETOOLONG,
        ),
        (
            "call $path_create_directory (i32.const 4) (i32.const -1) (i32.const 8)".to_owned(),
            21,
        ),
        (
            "call $fd_seek (i32.const 3) (i64.const 0) (i32.const 0) (i32.const 0x410)".to_owned(),
            ISDIR,
        ),
        (
            "call $fd_prestat_get (i32.const 5) (i32.const 0x410)".to_owned(),
            BADF,
        ),
        (
            "call $fd_prestat_dir_name (i32.const 4) (i32.const 0x410) (i32.const 3)".to_owned(),
            NAMETOOLONG,
        ),
        (
            "call $sock_shutdown (i32.const 4) (i32.const 0)".to_owned(),
            NOTSOCK,
        ),
        ("call $fd_close (i32.const 3)".to_owned(), 0),
        (open(3, "data/words.txt", 0, READ), BADF),
    ])
    .await;
}

#[tokio::test]
async fn files_and_memory_share_the_limit() {
    let size = |bytes: u32| {
        say(&format!(
            "call $fd_filestat_set_size {FD} (i64.const {bytes})"
        ))
    };
    // 4 pages of the instance, and 2 MiB for all.
    let grow = "(call $say (memory.grow (i32.const 20)))\n";
    let body = format!(
        "{}{}{}{grow}{}{grow}{}{}",
        say(&open(4, "f", CREATE, READ | WRITE)),
        size(1 << 30),
        size(1 << 20),
        size(0),
        size(1 << 20),
        size(256 << 10),
    );
    let lab = Lab::new();
    let limits = FunctionLimits {
        memory: MemoryMib::new(2),
        ..FunctionLimits::default()
    };
    let version = lab.version(with_files(&guest(&body)), limits).await;
    let expected = [
        json!(0),
        json!(NOSPC),
        json!(0),
        json!(u32::MAX),
        json!(0),
        json!(4),
        json!(NOSPC),
        json!(0),
    ];
    for _ in 0..3 {
        assert_eq!(list_of(&lab, &version).await, expected);
    }
}

#[tokio::test]
async fn descriptors_have_a_limit() {
    let body = format!(
        "(block $full (loop $more
           (br_if $full (i32.eq ({}) (i32.const {MFILE})))
           (local.set $n (i32.add (local.get $n) (i32.const 1)))
           (br_if $more (i32.lt_u (local.get $n) (i32.const 5000)))))
         (call $say (local.get $n))",
        open(4, ".", 0, 0)
    );
    check(&body, &[json!(1024 - 5)]).await;
}

#[tokio::test]
async fn files_can_be_copies_at_the_root() {
    let body = format!(
        "{}{}{}{}",
        say(&open(3, "data/words.txt", 0, READ | WRITE)),
        say(&format!(
            "call $path_unlink_file (i32.const 3) {}",
            path("data/words.txt")
        )),
        say(&open(3, "data/words.txt", 0, READ)),
        say("call $fd_prestat_get (i32.const 4) (i32.const 0x410)"),
    );
    let lab = Lab::with(|config| config.file_layout = FileLayout::Copied);
    let version = version(&lab, &body).await;
    // The file that is open has the number 4, and is no directory that was there at the beginning.
    let expected = [json!(0), json!(0), json!(NOENT), json!(BADF)];
    for _ in 0..2 {
        assert_eq!(list_of(&lab, &version).await, expected);
    }
}

#[tokio::test]
async fn a_module_alone_has_no_files() {
    let lab = Lab::new();
    let body = say("call $fd_prestat_get (i32.const 3) (i32.const 0x400)");
    let module = guest(&body);
    assert_eq!(lab.list(&module).await, [json!(BADF)]);
    let version = lab
        .version(
            tar(&[("f.wat", module.as_bytes())]),
            FunctionLimits::default(),
        )
        .await;
    assert_eq!(list_of(&lab, &version).await, [json!(BADF)]);
}

#[tokio::test]
async fn bad_uploads_are_refused() {
    let lab = Lab::new();
    let module: (&str, &[u8]) = ("main.wat", b"(module)");
    let long = "n".repeat(256);
    let many: Vec<String> = (0..10_001).map(|n| format!("f{n}")).collect();
    let many: Vec<(&str, &[u8])> = many.iter().map(|name| (name.as_str(), &b""[..])).collect();
    for (files, expected) in [
        (vec![("a", &b"x"[..]), ("b", b"y")], "no_code"),
        (
            vec![("a.wat", &b"(module)"[..]), ("b.wat", b"(module)")],
            "ambiguous_code",
        ),
        (vec![module, ("a", b"x"), ("a", b"y")], "duplicate_path"),
        (vec![module, (long.as_str(), b"x")], "unsafe_path"),
        (many, "too_many_files"),
        (vec![("main.wasm", &b"text"[..]), ("a", b"x")], "not_wasm"),
    ] {
        let (found, message) = code(lab.prepare(tar(&files)).await);
        assert_eq!(found, expected, "{message}");
    }
    let mut escaping = tar(&[module, ("aa/x", b"x")]);
    let at = 1024;
    escaping[at..at + 2].copy_from_slice(b"..");
    let header = &mut escaping[at..at + 512];
    header[148..156].fill(b' ');
    let sum: u32 = header.iter().map(|byte| u32::from(*byte)).sum();
    header[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    assert_eq!(code(lab.prepare(escaping).await).0, "unsafe_path");
}

#[tokio::test]
async fn files_are_verified_like_machine_code() {
    let code = with_files(&guest(&say(&open(3, "data/words.txt", 0, READ))));
    let damages: [fn(&mut Vec<u8>); 3] = [
        |bytes| bytes[0] ^= 1,
        |bytes| bytes.push(0),
        |bytes| bytes.truncate(3),
    ];
    for damage in damages {
        let mut lab = Lab::new();
        let version = lab.version(&code, FunctionLimits::default()).await;
        lab.restart();
        assert_eq!(list_of(&lab, &version).await, [json!(0)]);
        lab.restart();
        let path = lab.cached(&version, "files");
        let mut bytes = fs::read(&path).unwrap();
        damage(&mut bytes);
        fs::write(&path, bytes).unwrap();
        let started = lab.executor.start(&version).await;
        assert!(
            matches!(started, Err(StartError::NotPrepared(_))),
            "changed files are not given to anybody"
        );
        lab.executor
            .prepare(&version, code.clone().into(), &())
            .await
            .unwrap();
        assert_eq!(list_of(&lab, &version).await, [json!(0)]);
    }
    let lab = Lab::new();
    let version = lab.version(&code, FunctionLimits::default()).await;
    fs::remove_file(lab.cached(&version, "files")).unwrap();
    assert!(!lab.executor.is_prepared(&version));
}

/// A program that reads a file of its code, writes one of its own, and is refused to write beside the first one. It ends
/// well if all of that went as it should.
const COMPONENT: &str = r#"(component
  (import "wasi:filesystem/types@0.2.0" (instance $types
    (export "descriptor" (type $descriptor (sub resource)))
    (type $flags-def (flags "read" "write" "file-integrity-sync" "data-integrity-sync" "requested-write-sync"
      "mutate-directory"))
    (export "descriptor-flags" (type $flags (eq $flags-def)))
    (type $path-flags-def (flags "symlink-follow"))
    (export "path-flags" (type $path-flags (eq $path-flags-def)))
    (type $open-flags-def (flags "create" "directory" "exclusive" "truncate"))
    (export "open-flags" (type $open-flags (eq $open-flags-def)))
    (type $code-def (enum "access" "would-block" "already" "bad-descriptor" "busy" "deadlock" "quota" "exist"
      "file-too-large" "illegal-byte-sequence" "in-progress" "interrupted" "invalid" "io" "is-directory" "loop"
      "too-many-links" "message-size" "name-too-long" "no-device" "no-entry" "no-lock" "insufficient-memory"
      "insufficient-space" "not-directory" "not-empty" "not-recoverable" "unsupported" "no-tty" "no-such-device"
      "overflow" "not-permitted" "pipe" "read-only" "invalid-seek" "text-file-busy" "cross-device"))
    (export "error-code" (type $code (eq $code-def)))
    (export "[method]descriptor.open-at" (func (param "self" (borrow $descriptor)) (param "path-flags" $path-flags)
      (param "path" string) (param "open-flags" $open-flags) (param "flags" $flags)
      (result (result (own $descriptor) (error $code)))))
    (export "[method]descriptor.read" (func (param "self" (borrow $descriptor)) (param "length" u64)
      (param "offset" u64) (result (result (tuple (list u8) bool) (error $code)))))
    (export "[method]descriptor.write" (func (param "self" (borrow $descriptor)) (param "buffer" (list u8))
      (param "offset" u64) (result (result u64 (error $code)))))))
  (alias export $types "descriptor" (type $descriptor))
  (import "wasi:filesystem/preopens@0.2.0" (instance $preopens
    (alias outer 1 $descriptor (type $d))
    (export "descriptor" (type $own (eq $d)))
    (export "get-directories" (func (result (list (tuple (own $own) string)))))))
  (core module $store-module
    (memory (export "memory") 1)
    (data (i32.const 16) "data/words.txt")
    (data (i32.const 64) "f")
    (global $next (mut i32) (i32.const 0x8000))
    (func (export "realloc") (param i32 i32 i32 i32) (result i32) (local $at i32)
      (local.set $at (i32.and (i32.add (global.get $next) (i32.const 7)) (i32.const -8)))
      (global.set $next (i32.add (local.get $at) (local.get 3)))
      (local.get $at)))
  (core instance $store (instantiate $store-module))
  (alias core export $store "memory" (core memory $memory))
  (alias core export $store "realloc" (core func $realloc))
  (core func $directories
    (canon lower (func $preopens "get-directories") (memory $memory) (realloc $realloc)))
  (core func $open (canon lower (func $types "[method]descriptor.open-at") (memory $memory)))
  (core func $read (canon lower (func $types "[method]descriptor.read") (memory $memory) (realloc $realloc)))
  (core func $write (canon lower (func $types "[method]descriptor.write") (memory $memory)))
  (core module $program
    (import "host" "memory" (memory 1))
    (import "host" "directories" (func $directories (param i32)))
    (import "host" "open" (func $open (param i32 i32 i32 i32 i32 i32 i32)))
    (import "host" "read" (func $read (param i32 i64 i64 i32)))
    (import "host" "write" (func $write (param i32 i32 i32 i64 i32)))
    (func (export "run") (result i32) (local $list i32) (local $bytes i32)
      (block $failed
        (call $directories (i32.const 256))
        (br_if $failed (i32.ne (i32.load (i32.const 260)) (i32.const 2)))
        (local.set $list (i32.load (i32.const 256)))
        (call $open (i32.load (local.get $list)) (i32.const 1) (i32.const 16) (i32.const 14) (i32.const 0)
          (i32.const 1) (i32.const 272))
        (br_if $failed (i32.load8_u (i32.const 272)))
        (call $read (i32.load (i32.const 276)) (i64.const 64) (i64.const 0) (i32.const 288))
        (br_if $failed (i32.load8_u (i32.const 288)))
        (br_if $failed (i32.ne (i32.load (i32.const 296)) (i32.const 11)))
        (local.set $bytes (i32.load (i32.const 292)))
        (br_if $failed (i64.ne (i64.load (local.get $bytes)) (i64.const 0x6f77206f6c6c6568)))
        (call $open (i32.load offset=12 (local.get $list)) (i32.const 0) (i32.const 64) (i32.const 1) (i32.const 1)
          (i32.const 3) (i32.const 304))
        (br_if $failed (i32.load8_u (i32.const 304)))
        (call $write (i32.load (i32.const 308)) (local.get $bytes) (i32.const 11) (i64.const 5) (i32.const 320))
        (br_if $failed (i32.load8_u (i32.const 320)))
        (br_if $failed (i64.ne (i64.load (i32.const 328)) (i64.const 11)))
        (call $read (i32.load (i32.const 308)) (i64.const 64) (i64.const 0) (i32.const 288))
        (br_if $failed (i32.load8_u (i32.const 288)))
        (br_if $failed (i32.ne (i32.load (i32.const 296)) (i32.const 16)))
        (call $open (i32.load (local.get $list)) (i32.const 0) (i32.const 64) (i32.const 1) (i32.const 1)
          (i32.const 3) (i32.const 336))
        (br_if $failed (i32.ne (i32.load8_u (i32.const 336)) (i32.const 1)))
        (br_if $failed (i32.ne (i32.load8_u (i32.const 340)) (i32.const 33)))
        (return (i32.const 0)))
      (i32.const 1)))
  (core instance $i (instantiate $program (with "host" (instance
    (export "memory" (memory $memory))
    (export "directories" (func $directories))
    (export "open" (func $open))
    (export "read" (func $read))
    (export "write" (func $write))))))
  (func $run (result (result)) (canon lift (core func $i "run")))
  (component $exports
    (import "run" (func $run (result (result))))
    (export "run" (func $run)))
  (instance $cli (instantiate $exports (with "run" (func $run))))
  (export "wasi:cli/run@0.2.0" (instance $cli)))"#;

#[tokio::test]
async fn components_have_files_too() {
    let lab = Lab::new();
    let io = ProgramIo {
        args: Vec::new(),
        stdin: Stdin::None,
        stdout: Stdout::Raw("text/plain".to_owned()),
    };
    let program = |version: Arc<Version>| {
        Arc::new(Version {
            io: io.clone(),
            ..(*version).clone()
        })
    };
    let version = lab
        .version(with_files(COMPONENT), FunctionLimits::default())
        .await;
    let version = program(version);
    for _ in 0..2 {
        let outcome = lab.invoke(&version, "{}").await.unwrap();
        assert_eq!(
            json_of(&outcome),
            json!({"base64": "", "type": "text/plain"})
        );
    }
    // The same without files finds no directory.
    let version = lab.version(COMPONENT, FunctionLimits::default()).await;
    assert!(lab.invoke(&program(version), "{}").await.is_err());
}

/// The answer of the example of WASI 0.3 when it is asked for a file.
async fn answered(lab: &Lab, version: &Arc<Version>, params: &Value) -> Value {
    json_of(&lab.invoke(version, &params.to_string()).await.unwrap())
}

/// The example of WASI 0.3 with files, in so much memory.
async fn concurrent_program(lab: &Lab, big: &[u8], mib: u64) -> Arc<Version> {
    let program = example("echo-concurrent-cli");
    let code = tar(&[
        ("main.wasm", &program),
        ("data/words.txt", b"hello words"),
        ("data/empty", b""),
        ("data/one", b"1"),
        ("big", big),
    ]);
    let limits = FunctionLimits {
        memory: MemoryMib::new(mib),
        ..FunctionLimits::default()
    };
    lab.version(code, limits).await
}

#[tokio::test]
async fn components_of_wasi_0_3_have_them_as_streams() {
    let lab = Lab::new();
    let big = vec![b'1'; 3 << 20];
    let version = concurrent_program(&lab, &big, 32).await;
    for (params, expected) in [
        (json!({"read": "data/words.txt"}), json!("hello words")),
        (json!({"read": "data/../data/empty"}), json!("")),
        (json!({"list": "."}), json!(["big", "data"])),
        (
            json!({"list": "data"}),
            json!(["empty", "one", "words.txt"]),
        ),
        (json!({"copy": "data/words.txt"}), json!([22, 22])),
        // More than a stream reads in one turn.
        (json!({"copy": "big"}), json!([6 << 20, 6 << 20])),
        (
            json!({"grow": "big"}),
            json!({"error": "ErrorCode::InsufficientSpace"}),
        ),
        (
            json!({"read": "missing"}),
            json!({"error": "ErrorCode::NoEntry"}),
        ),
        (
            json!({"read": "data"}),
            json!({"error": "ErrorCode::IsDirectory"}),
        ),
        (
            json!({"list": "big"}),
            json!({"error": "ErrorCode::NotDirectory"}),
        ),
        (
            json!({"read": "../big"}),
            json!({"error": "ErrorCode::NotPermitted"}),
        ),
    ] {
        assert_eq!(
            answered(&lab, &version, &params).await,
            expected,
            "{params}"
        );
    }
}

#[tokio::test]
async fn a_stream_that_feeds_itself_ends_with_the_time() {
    let lab = Lab::new();
    // Byte by byte, which is far from the end of its memory when its time is over.
    let mut version = (*concurrent_program(&lab, b"", 512).await).clone();
    version.limits.timeout = Duration::from_millis(300);
    let version = Arc::new(version);
    let outcome = lab.invoke(&version, r#"{"grow": "data/one"}"#).await;
    assert_eq!(failure(outcome).kind, FailureKind::TimeLimit);
}

#[tokio::test]
async fn a_component_of_wasi_0_3_alone_has_no_files() {
    let lab = Lab::new();
    let version = lab
        .version(example("echo-concurrent-cli"), FunctionLimits::default())
        .await;
    assert_eq!(
        answered(&lab, &version, &json!({"read": "etc/passwd"})).await,
        json!({"error": "ErrorCode::NoEntry"})
    );
}
