//! A function's own failures: each has its code, its message and the end of the function's log, on every way in.

use anyhow::{Context, Result};
use serde_json::{Value, json};

use crate::guests;
use crate::support::{Node, Setup};

/// Deploys, fails once on each way in, and checks what is said. `gateway` is the status of `/fn`.
fn check(
    node: &Node,
    module: &str,
    more: &Value,
    gateway: u16,
    code: &str,
    words: &str,
) -> Result<()> {
    let name = format!("f{}", node.names()?.len());
    node.deploy_with(&name, module, more)?;
    let invoked = node.invoke(&name, &json!({}))?;
    invoked.assert_problem(500, code);
    let plain = node.get(&format!("/fn/{name}"))?;
    plain.assert_problem(gateway, code);
    for response in [invoked, plain] {
        let problem = response.json()?;
        assert_eq!(problem["output"], "last words\n", "{problem}");
        assert!(
            problem["detail"]
                .as_str()
                .is_some_and(|detail| detail.contains(words)),
            "{problem}"
        );
    }
    let ran = node.cli(&["invoke", "-f", &name])?;
    ran.assert_code(5);
    assert!(ran.stderr.contains("last words"), "{ran:?}");
    assert!(ran.stderr.contains(code), "{ran:?}");
    Ok(())
}

#[test]
fn every_kind_has_its_code() -> Result<()> {
    let node = Setup::new()?
        .with("function.output_bytes_max", "100 KiB")
        .start()?;
    let none = json!({});
    check(
        &node,
        &guests::command("unreachable"),
        &none,
        502,
        "function_trap",
        "unreachable",
    )?;
    check(
        &node,
        &guests::command("(drop (i32.div_u (i32.const 1) (local.get $i)))"),
        &none,
        502,
        "function_trap",
        "zero",
    )?;
    check(
        &node,
        &guests::command("(drop (i32.load (i32.const -1)))"),
        &none,
        502,
        "function_trap",
        "out of bounds",
    )?;
    check(
        &node,
        &guests::command("(call $exit (i32.const 3))"),
        &none,
        502,
        "function_error",
        "code 3",
    )?;
    check(
        &node,
        &guests::command(""),
        &none,
        502,
        "function_bad_output",
        "no output",
    )?;
    check(
        &node,
        &guests::command("(call $say (i32.const 1) (i32.const 1024) (i32.const 4))"),
        &none,
        502,
        "function_bad_output",
        "not one JSON",
    )?;
    let twice = guests::command("(call $done) (call $done)");
    check(
        &node,
        &twice,
        &none,
        502,
        "function_bad_output",
        "not one JSON",
    )?;
    let wide = guests::command(
        "(loop $more (call $say (i32.const 1) (i32.const 0) (i32.const 65536)) (br $more))",
    );
    check(
        &node,
        &wide,
        &none,
        502,
        "function_output_too_large",
        "output",
    )?;
    let hungry = guests::command(
        "(loop $more (br_if $more (i32.ne (memory.grow (i32.const 16)) (i32.const -1)))) unreachable",
    );
    check(
        &node,
        &hungry,
        &json!({"MemoryMB": 16}),
        502,
        "function_out_of_memory",
        "memory",
    )?;
    node.wait_until_free()
}

#[test]
fn every_limit_of_time_has_its_code() -> Result<()> {
    let node = Node::start()?;
    let spin = guests::infinite_loop();
    check(
        &node,
        &spin,
        &json!({"Timeout": 0.3}),
        504,
        "function_timeout",
        "300ms",
    )?;
    check(
        &node,
        &spin,
        &json!({"Timeout": 120, "CPUTime": 0.1}),
        504,
        "function_cpu_limit",
        "100ms",
    )?;
    // Sleeping costs no processor time, but time.
    let sleepy = guests::sleeper(20_000);
    check(
        &node,
        &sleepy,
        &json!({"Timeout": 0.3, "CPUTime": 10}),
        504,
        "function_timeout",
        "300ms",
    )?;
    node.wait_until_free()
}

/// The operator's own limit of processor time holds for functions that declare none, or more.
#[test]
fn the_operators_limit_of_processor_time_holds() -> Result<()> {
    let node = Setup::new()?.with("wasm.cpu_time_max", "100ms").start()?;
    for more in [
        json!({"Timeout": 120}),
        json!({"Timeout": 120, "CPUTime": 4}),
    ] {
        let name = format!("f{}", node.names()?.len());
        node.deploy_with(&name, guests::infinite_loop(), &more)?;
        node.invoke(&name, &json!({}))?
            .assert_problem(500, "function_cpu_limit");
    }
    Ok(())
}

#[test]
fn defaults_of_the_node_are_the_functions_limits() -> Result<()> {
    let node = Setup::new()?
        .with("function.timeout", "400ms")
        .with("function.memory", "8 MiB")
        .start()?;
    node.deploy("spin", guests::infinite_loop())?;
    let info = node.get("/functions/spin")?.json()?;
    assert_eq!(
        (&info["Timeout"], &info["MemoryMB"]),
        (&json!(0.4), &json!(8))
    );
    node.invoke("spin", &json!({}))?
        .assert_problem(500, "function_timeout");
    Ok(())
}

/// Memory within the limit is given, beyond it refused, and refusal is no failure by itself.
#[test]
fn a_refused_memory_is_the_functions_affair() -> Result<()> {
    let node = Node::start()?;
    let body = "(loop $more (br_if $more (i32.ne (memory.grow (i32.const 16)) (i32.const -1)))) (call $done)";
    node.deploy_with("careful", guests::command(body), &json!({"MemoryMB": 16}))?;
    assert_eq!(
        node.invoke("careful", &json!({}))?.result()?,
        json!({"done": true})
    );
    Ok(())
}

#[test]
fn only_the_end_of_a_long_log_is_kept() -> Result<()> {
    let node = Node::start()?;
    // 32 times 8 KiB of zeros, then some words: more than the 64 KiB that are kept.
    let body = "(loop $more (call $say (i32.const 2) (i32.const 65536) (i32.const 8192))
        (br_if $more (i32.lt_u (local.tee $i (i32.add (local.get $i) (i32.const 1))) (i32.const 32))))
        (call $log) unreachable";
    node.deploy("chatty", guests::command(body))?;
    let problem = node.invoke("chatty", &json!({}))?.json()?;
    let output = problem["output"].as_str().context("the log is text")?;
    assert!(output.ends_with("\0last words\n"), "{}", output.len());
    assert!(
        (60_000..=64 * 1024).contains(&output.len()),
        "{}",
        output.len()
    );
    Ok(())
}

#[test]
fn reactors_report_errors_of_their_own() -> Result<()> {
    let node = Node::start()?;
    node.deploy_example("add")?;
    let response = node.invoke("add", &json!({"a": "x"}))?;
    response.assert_problem(500, "function_error");
    let detail = response.json()?["detail"].clone();
    assert!(
        detail
            .as_str()
            .is_some_and(|detail| detail.contains("digits")),
        "{detail}"
    );
    for (answer, code) in [
        ("(i64.const 0x7fffffff)", "function_output_too_large"),
        ("(i64.const 0xffffffff00000010)", "function_trap"),
        ("(i64.const 0)", "function_bad_output"),
        ("(i64.const 5)", "function_bad_output"),
        ("(i64.const 0x80000000)", "function_error"),
        ("(i64.const 0x80000005)", "function_error"),
    ] {
        let name = format!("f{}", node.names()?.len());
        let module = format!(
            r#"(module (memory (export "memory") 1) (data (i32.const 0) "words")
              (func (export "serverledge_alloc") (param i32) (result i32) (i32.const 1024))
              (func (export "serverledge_handle") (param i32 i32) (result i64) {answer}))"#
        );
        node.deploy(&name, module)?;
        node.invoke(&name, &json!({}))?.assert_problem(500, code);
    }
    Ok(())
}

/// An address that the guest gives and does not have is its own failure.
#[test]
fn addresses_outside_of_memory_trap() -> Result<()> {
    let node = Node::start()?;
    for (name, alloc) in [("none", "0"), ("far", "-16"), ("edge", "65530")] {
        let module = format!(
            r#"(module (memory (export "memory") 1) (data (i32.const 0) "1")
              (func (export "serverledge_alloc") (param i32) (result i32) (i32.const {alloc}))
              (func (export "serverledge_handle") (param i32 i32) (result i64) (i64.const 1)))"#
        );
        node.deploy(name, module)?;
        let response = node.invoke(name, &json!({"some": "parameters of some length"}))?;
        assert_eq!(response.status, 500, "{name}: {}", response.text());
        assert!(
            ["function_trap", "function_error"].contains(&response.code().as_str()),
            "{name}: {}",
            response.text()
        );
    }
    Ok(())
}

/// A guest's output to the two streams that it was not given goes nowhere.
#[test]
fn nothing_is_granted() -> Result<()> {
    let node = Node::start()?;
    let body = "(call $say (i32.const 7) (i32.const 1024) (i32.const 11)) (call $done)";
    node.deploy("curious", guests::command(body))?;
    assert_eq!(
        node.invoke("curious", &json!({}))?.result()?,
        json!({"done": true})
    );
    Ok(())
}
