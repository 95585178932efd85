//! Functions that cannot be deployed are refused with a code that says why, and leave nothing behind.

use anyhow::Result;
use serde_json::{Value, json};

use crate::guests;
use crate::support::{Node, Request, Setup, example};

const WASI_ONLY_MEMORY: &str = r#"(memory (export "memory") 1)"#;

fn refused(
    node: &Node,
    name: &str,
    module: impl AsRef<[u8]>,
    more: &Value,
    status: u16,
    code: &str,
) -> Result<()> {
    let response = node.try_deploy(name, module.as_ref(), more)?;
    assert_eq!(
        (response.status, response.code().as_str()),
        (status, code),
        "{name}: {}",
        response.text()
    );
    response.assert_problem(status, code);
    Ok(())
}

#[test]
fn bad_modules_are_refused_and_nothing_is_stored() -> Result<()> {
    let node = Node::start()?;
    node.deploy("good", guests::constant(1))?;
    let invalid = |body: &str| refused(&node, "bad", body, &json!({}), 422, "invalid_module");
    let without = |body: &str| {
        refused(
            &node,
            "bad",
            format!("(module {body})"),
            &json!({}),
            422,
            "no_interface",
        )
    };
    let unknown = |import: &str| {
        let module = format!("(module {import} {WASI_ONLY_MEMORY} (func (export \"_start\")))");
        refused(&node, "bad", module, &json!({}), 422, "unknown_import")
    };
    for garbage in [
        &b"hello, world"[..],
        b"\x7fELF\x02\x01\x01",
        b"\0\0\0\0",
        b"(module",
        b"(modul)",
        b" ",
    ] {
        refused(&node, "bad", garbage, &json!({}), 422, "not_wasm")?;
    }
    invalid("(module (func (export \"_start\") (result i32) (i64.const 1)))")?;
    invalid("(module (memory 1 1 shared) (func (export \"_start\")))")?;
    refused(
        &node,
        "bad",
        b"\0asm\x01\0\0\0\xff\xff",
        &json!({}),
        422,
        "invalid_module",
    )?;
    refused(&node, "bad", b"\0asm", &json!({}), 422, "invalid_module")?;
    let add = example("add")?;
    refused(
        &node,
        "bad",
        &add[..add.len() / 2],
        &json!({}),
        422,
        "invalid_module",
    )?;
    without("")?;
    without(WASI_ONLY_MEMORY)?;
    without("(func (export \"_start\"))")?;
    without(&format!(
        "{WASI_ONLY_MEMORY} (func (export \"_start\") (param i32))"
    ))?;
    without(&format!(
        "{WASI_ONLY_MEMORY} (func (export \"serverledge_handle\") (param i32 i32) (result i64) (i64.const 0))"
    ))?;
    refused(&node, "bad", "(component)", &json!({}), 422, "no_interface")?;
    unknown("(import \"env\" \"abort\" (func))")?;
    unknown("(import \"wasi_snapshot_preview1\" \"no_such\" (func))")?;
    unknown("(import \"serverledge\" \"call\" (func (param i32)))")?;
    let borrowed = "(module (import \"env\" \"m\" (memory 1)) (export \"memory\" (memory 0)) (func (export \"_start\")))";
    refused(&node, "bad", borrowed, &json!({}), 422, "unknown_import")?;
    refused(
        &node,
        "bad",
        guests::spy(64, 1),
        &json!({"MemoryMB": 3}),
        422,
        "memory_too_small",
    )?;
    check_nothing_stored(node)
}

fn check_nothing_stored(node: Node) -> Result<()> {
    assert_eq!(node.names()?, ["good"]);
    node.invoke("bad", &json!({}))?
        .assert_problem(404, "function_unknown");
    let files = machine_code(&node)?;
    let node = node.stop()?.restart()?;
    assert_eq!(node.names()?, ["good"]);
    assert_eq!(node.invoke("good", &json!({}))?.result()?, json!({"n": 1}));
    assert_eq!(machine_code(&node)?, files);
    // The machine code of what was good, and the cache's key.
    assert_eq!(files.len(), 3, "{files:?}");
    node.stop()?;
    Ok(())
}

fn machine_code(node: &Node) -> Result<Vec<std::path::PathBuf>> {
    crate::restart::files_below(&node.data().join("machine-code"))
}

#[test]
fn a_refused_update_keeps_what_there_was() -> Result<()> {
    let node = Node::start()?;
    node.deploy("f", guests::constant(1))?;
    let body = crate::support::node::deployment("f", b"(module)", &json!({}));
    node.post("/update", &body)?
        .assert_problem(422, "no_interface");
    assert_eq!(node.invoke("f", &json!({}))?.result()?, json!({"n": 1}));
    Ok(())
}

#[test]
fn names_have_rules() -> Result<()> {
    let node = Node::start()?;
    let long = "x".repeat(129);
    for name in [
        "", "a/b", "../x", ".", "$tags", "-f", "é", "a b", "a\0b", "a\nb", &long,
    ] {
        refused(
            &node,
            name,
            guests::constant(1),
            &json!({}),
            422,
            "invalid_name",
        )?;
    }
    for name in ["a", "A.b-c_d", "0", "_", &"x".repeat(128)] {
        node.deploy(name, guests::constant(1))?;
        assert_eq!(
            node.get(&format!("/fn/{name}"))?.json()?,
            json!({"n": 1}),
            "{name}"
        );
    }
    // Encoded or not, what is no name is no function.
    for path in ["a%2Fb", "%00", "%", "%zz", "..%2f..%2fstatus"] {
        node.post(&format!("/invoke/{path}"), &json!({}))?
            .assert_problem(404, "function_unknown");
        node.get(&format!("/fn/{path}"))?
            .assert_problem(404, "function_unknown");
    }
    node.post("/invoke/", &json!({}))?
        .assert_problem(404, "route_unknown");
    assert_eq!(node.get("/fn/%41.b-c_d")?.json()?, json!({"n": 1}));
    Ok(())
}

#[test]
fn limits_have_ranges() -> Result<()> {
    let node = Setup::new()?
        .with("container.pool.memory", 1024)
        .with("function.timeout_max", "60s")
        .start()?;
    for (member, value, code) in [
        ("MemoryMB", json!(4097), "invalid_memory"),
        ("MemoryMB", json!(2048), "exceeds_node"),
        ("CPUDemand", json!(-1), "invalid_member"),
        ("Timeout", json!(0), "invalid_member"),
        ("Timeout", json!(-1), "invalid_member"),
        ("Timeout", json!(61), "invalid_member"),
        ("Timeout", json!(1e300), "invalid_member"),
        ("CPUTime", json!(0), "invalid_member"),
        ("MaxConcurrency", json!(100_000), "invalid_member"),
        ("Handler", json!("h".repeat(1000)), "invalid_member"),
        ("Env", json!({"SERVERLEDGE_X": "1"}), "invalid_member"),
        ("Env", json!({"a=b": "1"}), "invalid_member"),
        ("Env", json!({"big": "x".repeat(40_000)}), "invalid_member"),
    ] {
        refused(
            &node,
            "f",
            guests::constant(1),
            &json!({ member: value }),
            422,
            code,
        )?;
    }
    for (member, value) in [
        ("Name", json!(5)),
        ("MemoryMB", json!("128")),
        ("Env", json!([])),
        ("Timeout", json!("1s")),
    ] {
        refused(
            &node,
            "f",
            guests::constant(1),
            &json!({ member: value }),
            400,
            "malformed_member",
        )?;
    }
    assert!(node.names()?.is_empty());
    Ok(())
}

#[test]
fn code_that_cannot_be_read_is_refused() -> Result<()> {
    let node = Node::start()?;
    let with = |code: &str| {
        node.post(
            "/create",
            &json!({"Name": "f", "Runtime": "wasm", "TarFunctionCode": code}),
        )
    };
    with("")?.assert_problem(422, "no_code");
    with("%%%")?.assert_problem(422, "malformed_base64");
    with("aHR0cHM6Ly9leGFtcGxlLmNvbS9mLndhc20=")?.assert_problem(422, "url_unsupported");
    let response = node.post(
        "/create",
        &json!({"Name": "f", "Runtime": "javascript", "TarFunctionCode": "eA=="}),
    )?;
    response.assert_problem(422, "function_does_not_load");
    assert!(node.names()?.is_empty());
    Ok(())
}

#[test]
fn malformed_json_is_refused() -> Result<()> {
    let node = Node::start()?;
    node.deploy_example("add")?;
    let deep = format!(r#"{{"Params":{}}}"#, "[".repeat(100_000));
    for body in [
        "{",
        "[]",
        "1",
        "\"x\"",
        "{}x",
        "{\"Params\":}",
        "{'a':1}",
        &deep,
    ] {
        for route in ["/create", "/update", "/delete", "/invoke/add", "/prewarm"] {
            let response = node.ask(&Request::post(route, body))?;
            assert_eq!(
                (response.status, response.code().as_str()),
                (400, "malformed_json"),
                "{route} {body:.40}"
            );
        }
    }
    // A byte order mark is no part of the text.
    node.ask(&Request::post("/create", "\u{feff}{}"))?
        .assert_problem(422, "invalid_name");
    for body in ["{", "{}x", "{'a':1}", "a=1", "\0"] {
        node.ask(&Request::post("/fn/add", body))?
            .assert_problem(400, "malformed_json");
    }
    node.ask(&Request::post("/invoke/add", r#"{"Async":"yes"}"#))?
        .assert_problem(400, "malformed_member");
    Ok(())
}

/// Cranelift can be neither cancelled nor limited from inside: a child process is, by each of its limits.
#[test]
fn modules_that_take_too_much_to_compile_are_refused() -> Result<()> {
    let monster = guests::monster(4, 8_000);
    // Wall-clock time bounds a stall: whether the module or the machine is at fault is not known then.
    let node = Setup::new()?.with("wasm.compile_time", "1s").start()?;
    refused(
        &node,
        "monster",
        &monster,
        &json!({}),
        503,
        "compiler_stalled",
    )?;
    assert!(node.names()?.is_empty());
    node.stop()?;
    for (key, value) in [
        ("wasm.compile_cpu_time", "1s"),
        ("wasm.compile_memory", "160 MiB"),
    ] {
        let node = Setup::new()?.with(key, value).start()?;
        refused(
            &node,
            "monster",
            &monster,
            &json!({}),
            422,
            "module_too_complex",
        )?;
        assert!(node.names()?.is_empty());
        // The limit is no hindrance to what is small.
        node.deploy_example("add")?;
        assert_eq!(
            node.invoke("add", &json!({"a": 1, "b": 2}))?.result()?,
            json!({"sum": 3}),
            "{key}"
        );
        node.stop()?;
    }
    Ok(())
}
