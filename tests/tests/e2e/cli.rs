//! `serverledge-cli` against a real node: every form of its options, its exit codes, what it prints when piped.

use anyhow::{Context, Result};
use serde_json::{Value, json};

use crate::guests;
use crate::support::{Node, Setup, example_path};

fn path_of(name: &str) -> Result<String> {
    Ok(example_path(name)
        .to_str()
        .context("the path is text")?
        .to_owned())
}

/// The forms of Serverledge's first README.
#[test]
fn the_oldest_forms_work() -> Result<()> {
    let node = Node::start()?;
    let host = node.address.ip().to_string();
    let port = node.address.port().to_string();
    let source = path_of("add")?;
    let create = [
        "-host",
        &host,
        "-port",
        &port,
        "-cmd",
        "create",
        "-function",
        "func",
        "-memory",
        "600",
        "-src",
        &source,
    ];
    let created = node.cli(
        &[
            &create[..],
            &["-runtime", "wasm", "-handler", "hello.handler"],
        ]
        .concat(),
    )?;
    assert_eq!(created.assert_code(0).json()?["Created"], "func");
    let info = node.get("/functions/func")?.json()?;
    assert_eq!(
        (&info["MemoryMB"], &info["Handler"]),
        (&json!(600), &json!("hello.handler"))
    );
    let invoke = [
        "-host",
        &host,
        "-port",
        &port,
        "-cmd",
        "invoke",
        "-function",
        "func",
        "-param",
        "a:2",
        "-param",
        "b:3",
    ];
    assert_eq!(
        node.cli(&invoke)?.assert_code(0).result()?,
        json!({"sum": 5})
    );
    let newer = [
        "invoke",
        "-function",
        "func",
        "-param",
        "a:2",
        "-param",
        "b:3",
        "-qosclass",
        "1",
        "-qosrespt",
        "5",
    ];
    assert_eq!(
        node.cli(&newer)?.assert_code(0).result()?,
        json!({"sum": 5})
    );
    let accepted = node.cli(&[&invoke[..], &["-qosclass", "async"]].concat())?;
    let accepted = accepted.assert_code(0).json()?;
    let id = accepted["ReqId"].as_str().context("an id")?;
    let polled = node.cli(&["poll", "-request", id, "--wait"])?;
    assert_eq!(polled.assert_code(0).result()?, json!({"sum": 5}));
    let status = node.cli(&["status", "-host", &host, "-port", &port])?;
    assert_eq!(status.assert_code(0).json()?["Functions"], 1);
    Ok(())
}

#[test]
fn the_newer_forms_work() -> Result<()> {
    let node = Node::start()?;
    let source = path_of("hello")?;
    node.cli(&["create", "--function=f", "--src", &source, "--memory", "64"])?
        .assert_code(0);
    node.cli(&["create", "-f", "f", "--src", &source])?
        .assert_code(2);
    node.cli(&["create", "-f", "f", "--src", &source, "-u", "--memory=32"])?
        .assert_code(0);
    node.cli(&["update", "-f", "f", "--src", &source, "--timeout", "5"])?
        .assert_code(0);
    assert_eq!(node.get("/functions/f")?.json()?["Timeout"], 5.0);
    // The name is the file's.
    let created = node.cli(&["create", &source])?;
    assert_eq!(created.assert_code(0).json()?["Created"], "hello");
    assert_eq!(
        node.cli(&["list"])?.assert_code(0).json()?,
        json!(["f", "hello"])
    );
    assert_eq!(
        node.cli(&["prewarm", "-f", "f", "-c", "3"])?
            .assert_code(0)
            .json()?,
        json!({"Prewarmed": 3})
    );
    assert_eq!(
        node.cli(&["delete", "-f", "f"])?.assert_code(0).json()?,
        json!({"Deleted": "f"})
    );
    node.cli(&["delete", "f"])?.assert_code(2);
    assert_eq!(node.names()?, ["hello"]);
    Ok(())
}

#[test]
fn parameters_have_kinds() -> Result<()> {
    let node = Node::start()?;
    node.deploy_example("echo-http")?;
    let sent = |arguments: &[&str], input: &str| -> Result<Value> {
        let ran = node.cli_with_input(
            &[&["invoke", "echo-http"], arguments].concat(),
            input.as_bytes(),
        )?;
        let echoed = ran.assert_code(0).result()?;
        Ok(serde_json::from_str(
            echoed["body"].as_str().context("the body is text")?,
        )?)
    };
    assert_eq!(
        sent(&["-p", "a:2,b:hello,c:true,d:null"], "")?,
        json!({"a": 2, "b": "hello", "c": true, "d": null})
    );
    assert_eq!(
        sent(&["-p", "l:[1,2]", "--param", "o:{\"x\":1}"], "")?,
        json!({"l": [1, 2], "o": {"x": 1}})
    );
    assert_eq!(
        sent(&["--param-string", "n:007,x", "-p", "t:1.5"], "")?,
        json!({"n": "007,x", "t": 1.5})
    );
    assert_eq!(sent(&[], "")?, json!({}));
    assert_eq!(
        sent(&["-j", "-"], "[1, {\"a\": null}]")?,
        json!([1, {"a": null}])
    );
    std::fs::write(node.home().join("params.json"), "{\"file\": true}")?;
    assert_eq!(
        sent(&["-params_file", "params.json"], "")?,
        json!({"file": true})
    );
    node.cli_with_input(&["invoke", "echo-http", "-j", "-"], b"{")?
        .assert_code(1);
    node.cli(&["invoke", "echo-http", "-j", "none.json"])?
        .assert_code(1);
    node.cli(&["invoke", "echo-http", "-j", "-", "-p", "a:1"])?
        .assert_code(1);
    Ok(())
}

#[test]
fn exit_codes_are_as_documented() -> Result<()> {
    let node = Setup::new()?
        .with("container.pool.memory", 128)
        .with("scheduler.queue.capacity", 0)
        .start()?;
    node.deploy("slow", guests::sleeper(10_000))?;
    node.deploy("trap", guests::command("unreachable"))?;
    node.cli(&["--help"])?.assert_code(0);
    node.cli(&["invoke"])?.assert_code(1);
    node.cli(&["invoke", "-f", "nobody"])?.assert_code(2);
    node.cli(&["invoke", "-f", "f", "-H", "127.0.0.1", "-P", "1"])?
        .assert_code(2);
    node.cli(&["create", "-f", "f", "--src", "none.wasm"])?
        .assert_code(3);
    let failed = node.cli(&["invoke", "-f", "trap"])?;
    assert!(
        failed.assert_code(5).stderr.contains("last words"),
        "{failed:?}"
    );
    let accepted = node.cli(&["invoke", "-f", "slow", "--async"])?.json()?;
    let id = accepted["ReqId"].as_str().context("an id")?.to_owned();
    node.wait_for_status("Running", 1)?;
    node.cli(&["invoke", "-f", "slow"])?.assert_code(6);
    node.cli(&["poll", &id])?.assert_code(7);
    assert_eq!(
        node.cli(&["poll", &id, "--wait"])?
            .assert_code(0)
            .result()?,
        json!({"done": true})
    );
    node.cli(&["poll", "unknown"])?.assert_code(2);
    std::fs::write(node.home().join("f.wat"), guests::constant(1))?;
    node.cli(&["create", "--src", "f.wat", "-i", "a:Thing"])?
        .assert_code(4);
    node.cli(&["create", "--src", "f.wat", "-i", "a:Int", "-o", "n:Int"])?
        .assert_code(0);
    Ok(())
}

#[test]
fn piped_output_is_json() -> Result<()> {
    let node = Node::start()?;
    node.deploy_example("add")?;
    for arguments in [
        &["list"][..],
        &["status"],
        &["invoke", "add", "-p", "a:1,b:2"],
        &["list", "--json"],
    ] {
        let ran = node.cli(arguments)?;
        ran.assert_code(0).json()?;
        assert_eq!(ran.stderr, "", "{arguments:?}");
        assert!(!ran.stdout.contains('\u{1b}'));
    }
    assert!(
        node.cli(&["status"])?.stdout.starts_with("{\n\t\""),
        "indented with tabs, as Go's client"
    );
    let refused = node.cli(&["invoke", "nobody", "--json"])?;
    let problem: Value = serde_json::from_str(&refused.assert_code(2).stderr)
        .with_context(|| format!("{refused:?}"))?;
    assert_eq!(problem["code"], "function_unknown");
    Ok(())
}

#[test]
fn refusals_say_why() -> Result<()> {
    let node = Node::start()?;
    std::fs::write(
        node.home().join("bad.wat"),
        "(module (import \"env\" \"abort\" (func)))",
    )?;
    let ran = node.cli(&["create", "--src", "bad.wat"])?;
    assert!(ran.assert_code(2).stderr.contains("env::abort"), "{ran:?}");
    let unknown = node.cli(&["invoke", "nobody"])?;
    assert!(
        unknown.assert_code(2).stderr.contains("nobody"),
        "{unknown:?}"
    );
    Ok(())
}

#[test]
fn text_form_and_archives_deploy() -> Result<()> {
    let node = Node::start()?;
    std::fs::write(node.home().join("f.wat"), guests::constant(3))?;
    assert_eq!(
        node.cli(&["create", "--src", "f.wat"])?
            .assert_code(0)
            .json()?["Interface"],
        "reactor"
    );
    let mut builder = tar::Builder::new(std::fs::File::create(node.home().join("g.tar"))?);
    builder.append_path_with_name(example_path("add"), "g/add.wasm")?;
    builder.finish()?;
    node.cli(&["create", "-f", "g", "--src", "g.tar"])?
        .assert_code(0);
    assert_eq!(
        node.cli(&["invoke", "g", "-p", "a:1,b:2"])?
            .assert_code(0)
            .result()?,
        json!({"sum": 3})
    );
    Ok(())
}

/// `--env` reaches the function.
#[test]
fn functions_have_an_environment() -> Result<()> {
    let node = Node::start()?;
    // Answers with the number of variables.
    let module = r#"(module
      (import "wasi_snapshot_preview1" "environ_sizes_get" (func $sizes (param i32 i32) (result i32)))
      (memory (export "memory") 1)
      (func (export "serverledge_alloc") (param i32) (result i32) (i32.const 1024))
      (func (export "serverledge_handle") (param i32 i32) (result i64)
        (drop (call $sizes (i32.const 0) (i32.const 4)))
        (i32.store8 (i32.const 16) (i32.add (i32.load (i32.const 0)) (i32.const 48)))
        (i64.const 0x1000000001)))"#;
    std::fs::write(node.home().join("f.wat"), module)?;
    node.cli(&["create", "--src", "f.wat", "--env", "A=1", "--env", "B=x=y"])?
        .assert_code(0);
    assert_eq!(
        node.cli(&["invoke", "f"])?.assert_code(0).result()?,
        json!(6),
        "two of its own, four of ours"
    );
    let info = node.get("/functions/f")?;
    assert_eq!(info.json()?["Env"], json!(["A", "B"]));
    assert!(!info.text().contains("x=y"), "values are not shown");
    Ok(())
}
