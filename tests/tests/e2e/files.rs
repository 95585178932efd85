//! Files that come with a module: the client deploys a folder or tar, and the module reads what lies beside it.

use anyhow::Result;
use serde_json::json;

use crate::support::Node;

/// A command that gives the contents of `data/greeting.json`, or ends with the errno of what failed. It leaves a file in
/// `/tmp`, which must not be there yet.
const READER: &str = r#"(module
  (import "wasi_snapshot_preview1" "path_open"
    (func $open (param i32 i32 i32 i32 i32 i64 i64 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_read" (func $read (param i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
  (memory (export "memory") 1)
  (data (i32.const 64) "data/greeting.json")
  (data (i32.const 96) "left")
  (func $must (param $errno i32) (if (local.get $errno) (then (call $exit (local.get $errno)))))
  (func (export "_start")
    (call $must (call $open (i32.const 4) (i32.const 0) (i32.const 96) (i32.const 4) (i32.const 5)
      (i64.const 64) (i64.const 0) (i32.const 0) (i32.const 0)))
    (call $must (call $open (i32.const 3) (i32.const 0) (i32.const 64) (i32.const 18) (i32.const 0)
      (i64.const 2) (i64.const 0) (i32.const 0) (i32.const 0)))
    (i32.store (i32.const 16) (i32.const 1024))
    (i32.store (i32.const 20) (i32.const 4096))
    (call $must (call $read (i32.load (i32.const 0)) (i32.const 16) (i32.const 1) (i32.const 24)))
    (i32.store (i32.const 20) (i32.load (i32.const 24)))
    (call $must (call $write (i32.const 1) (i32.const 16) (i32.const 1) (i32.const 24)))))"#;

/// A node, and in its folder `program` these files.
fn with_folder(files: &[(&str, &str)]) -> Result<Node> {
    let node = Node::start()?;
    let folder = node.home().join("program");
    std::fs::create_dir_all(folder.join("data"))?;
    for (name, text) in files {
        std::fs::write(folder.join(name), text)?;
    }
    Ok(node)
}

#[test]
fn a_folder_is_deployed_with_its_files() -> Result<()> {
    let greeting = |text: &str| json!(text).to_string();
    let node = with_folder(&[
        ("main.wat", READER),
        ("data/greeting.json", &greeting("hello from a file")),
        ("tool.py", "print('not the function')"),
    ])?;
    let created = node.cli(&["create", "-f", "reader", "--src", "program"])?;
    created.assert_code(0);
    for _ in 0..3 {
        let result = node.invoke("reader", &json!({}))?.result()?;
        assert_eq!(result, json!("hello from a file"));
    }
    assert_eq!(node.get("/functions/reader")?.json()?["Runtime"], "wasm");

    // The files are part of the version.
    let changed = node.home().join("program/data/greeting.json");
    std::fs::write(changed, greeting("changed"))?;
    node.cli(&["update", "-f", "reader", "--src", "program"])?
        .assert_code(0);
    assert_eq!(
        node.invoke("reader", &json!({}))?.result()?,
        json!("changed")
    );
    let node = node.stop()?.restart()?;
    assert_eq!(
        node.invoke("reader", &json!({}))?.result()?,
        json!("changed")
    );

    // A browser has no such files.
    let told = node.cli(&["update", "reader", "--edge"])?;
    told.assert_code(0);
    assert!(format!("{told:?}").contains("files of its own"), "{told:?}");
    Ok(())
}

#[test]
fn folders_that_do_not_say_what_runs_are_refused() -> Result<()> {
    let node = with_folder(&[("a.wat", READER), ("b.wat", READER)])?;
    let refused = node.cli(&["create", "-f", "f", "--src", "program"])?;
    assert_ne!(refused.code, Some(0), "{refused:?}");
    assert!(refused.stderr.contains("main.wasm"), "{refused:?}");
    let node = with_folder(&[("data/words.txt", "words")])?;
    let runtime = ["--runtime", "wasm"];
    let create = ["create", "-f", "f", "--src", "program"];
    let refused = node.cli(&[&create[..], &runtime].concat())?;
    assert_ne!(refused.code, Some(0), "{refused:?}");
    assert!(node.names()?.is_empty());
    Ok(())
}
