//! Programs as they are: the client sets their arguments and streams, and requests bring parameters and bodies.

use anyhow::{Context, Result};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;

use crate::support::{Node, Request, example_path};

/// A command that writes its arguments, each with a NUL behind it, and then its standard input.
const COMMAND: &str = r#"(module
  (import "wasi_snapshot_preview1" "args_sizes_get" (func $sizes (param i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "args_get" (func $args (param i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_read" (func $read (param i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
  (memory (export "memory") 3)
  (func $say (param $at i32) (param $length i32)
    (i32.store (i32.const 16) (local.get $at))
    (i32.store (i32.const 20) (local.get $length))
    (drop (call $write (i32.const 1) (i32.const 16) (i32.const 1) (i32.const 24))))
  (func (export "_start")
    (drop (call $sizes (i32.const 0) (i32.const 4)))
    (drop (call $args (i32.const 1024) (i32.const 2048)))
    (call $say (i32.const 2048) (i32.load (i32.const 4)))
    (i32.store (i32.const 16) (i32.const 131072))
    (i32.store (i32.const 20) (i32.const 65536))
    (drop (call $read (i32.const 0) (i32.const 16) (i32.const 1) (i32.const 24)))
    (call $say (i32.const 131072) (i32.load (i32.const 24)))))"#;

fn path_of(name: &str) -> Result<String> {
    let path = example_path(name);
    Ok(path.to_str().context("the path is text")?.to_owned())
}

/// A node with the command, deployed by the client with these options more.
fn with_command(options: &[&str]) -> Result<Node> {
    let node = Node::start()?;
    std::fs::write(node.home().join("command.wat"), COMMAND)?;
    let create = ["create", "-f", "command", "--src", "command.wat"];
    node.cli(&[&create[..], options].concat())?.assert_code(0);
    Ok(node)
}

#[test]
fn parameters_become_arguments() -> Result<()> {
    let node = Node::start()?;
    let source = path_of("echo-cli")?;
    let create = ["create", "-f", "echo", "--src", &source];
    let options = ["--args", "--width {width} 'a b' {{}} -", "--stdin", "none"];
    node.cli(&[&create[..], &options].concat())?.assert_code(0);
    let info = node.get("/functions/echo")?.json()?;
    assert_eq!(
        (&info["Arguments"], &info["Stdin"], &info["Stdout"]),
        (
            &json!(["--width", "{width}", "a b", "{{}}", "-"]),
            &json!("none"),
            &json!(null)
        )
    );
    let expected = json!(["echo", "--width", "640", "a b", "{}", "-"]);
    let ran = node.cli(&["invoke", "echo", "-p", "width:640"])?;
    let result = ran.assert_code(0).result()?;
    assert_eq!(
        (&result["arguments"], &result["params"]),
        (&expected, &json!(""))
    );
    let plain = node.get("/fn/echo?width=640")?;
    assert_eq!(plain.json()?["arguments"], expected);
    let missing = node.get("/fn/echo?height=640")?;
    missing.assert_problem(400, "args_param_missing");
    assert!(missing.text().contains("width"), "{}", missing.text());
    node.invoke("echo", &json!({"width": "a\0"}))?
        .assert_problem(400, "args_param_invalid");
    node.invoke("echo", &json!({"width": "x".repeat(70_000)}))?
        .assert_problem(400, "args_too_long");

    // A change of them is another version; without them it is the version of before.
    let changed = node.cli(&["update", "echo", "--args", "{width}", "--stdin", "params"])?;
    changed.assert_code(0);
    let result = node.invoke("echo", &json!({"width": 1}))?.result()?;
    assert_eq!(result["arguments"], json!(["echo", "1"]));
    assert_eq!(result["params"], r#"{"width":1}"#);
    Ok(())
}

#[test]
fn bodies_go_in_and_bytes_come_out() -> Result<()> {
    let options = [
        "--args=-o {name}",
        "--stdin",
        "body",
        "--stdout-type",
        "image/png",
    ];
    let node = with_command(&options)?;
    let sent = b"\x89PNG\r\n\x1a\n\0\xff".to_vec();
    let request = Request::post("/fn/command?name=a%20b", sent.clone())
        .header("Content-Type", "image/jpeg")
        .header("Content-Encoding", "gzip");
    let response = node.ask(&request)?;
    assert_eq!(response.status, 200, "{}", response.text());
    assert_eq!(response.header("content-type"), Some("image/png"));
    assert_eq!(
        response.header("content-security-policy"),
        Some("sandbox allow-scripts")
    );
    assert_eq!(response.body, [&b"command\0-o\0a b\0"[..], &sent].concat());
    let chunked = Request::post(
        "/fn/command?name=c",
        "5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n",
    )
    .header("Transfer-Encoding", "chunked");
    assert_eq!(node.ask(&chunked)?.text(), "command\0-o\0c\0hello world");
    node.ask(&Request::post("/fn/command", "no name"))?
        .assert_problem(400, "args_param_missing");

    // By JSON: the parameters are the body, and the bytes are in the result.
    let result = node.invoke("command", &json!({"name": "d"}))?.result()?;
    assert_eq!(result["type"], "image/png");
    let bytes = STANDARD.decode(result["base64"].as_str().context("base64")?)?;
    assert_eq!(bytes, b"command\0-o\0d\0{\"name\":\"d\"}");

    // The record keeps them.
    let node = node.stop()?.restart()?;
    let response = node.ask(&Request::post("/fn/command?name=e", "again"))?;
    assert_eq!(response.text(), "command\0-o\0e\0again");
    Ok(())
}

#[test]
fn other_functions_have_none() -> Result<()> {
    let node = Node::start()?;
    let source = path_of("add")?;
    let refused = node.cli(&["create", "-f", "add", "--src", &source, "--args", "a"])?;
    assert_ne!(refused.code, Some(0), "{refused:?}");
    assert!(refused.stderr.contains("this is a reactor"), "{refused:?}");
    assert!(node.names()?.is_empty());
    Ok(())
}

/// A browser has no such program, and its owner is told.
#[test]
fn programs_with_settings_stay_at_the_node() -> Result<()> {
    let node = with_command(&["--stdout", "raw", "--stdin", "none"])?;
    let told = node.cli(&["update", "command", "--edge"])?;
    let told = told.assert_code(0);
    assert!(
        format!("{told:?}").contains("stays at the node"),
        "{told:?}"
    );
    Ok(())
}
