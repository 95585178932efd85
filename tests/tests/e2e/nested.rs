//! Functions that call functions.

use anyhow::{Context, Result};
use serde_json::json;

use crate::guests;
use crate::support::Node;

#[test]
fn a_function_calls_another() -> Result<()> {
    let node = Node::start()?;
    node.deploy_example("call-chain")?;
    let missing = node.invoke("call-chain", &json!({"a": 2, "b": 3}))?;
    assert_eq!(
        missing.status,
        500,
        "add is not deployed: {}",
        missing.text()
    );
    node.deploy_example("add")?;
    for way in ["/fn/call-chain", "/fn/call-chain?x"] {
        assert_eq!(
            node.post(way, &json!({"a": 20, "b": 1}))?.json()?,
            json!({"double": 42})
        );
    }
    assert_eq!(
        node.invoke("call-chain", &json!({"a": 2, "b": 3}))?
            .result()?,
        json!({"double": 10})
    );
    // The callee's failure reaches the caller.
    assert_eq!(
        node.invoke("call-chain", &json!({"a": "x", "b": 3}))?
            .status,
        500
    );
    node.wait_until_free()
}

/// A function that calls itself ends at the depth limit, with an error that it can read.
#[test]
fn calls_nested_too_deeply_end() -> Result<()> {
    let node = Node::start()?;
    node.deploy("deep", guests::caller_of("deep", 0))?;
    let result = node.invoke("deep", &json!({}))?.result()?;
    assert_eq!(result["error"], "call_too_deep", "{result}");
    let runs = node.get("/metrics")?.text();
    // The call from outside and eight inside it.
    assert!(
        runs.contains(r#"completed_count{area="ROME",function="deep"} 9"#),
        "{runs}"
    );
    node.wait_until_free()
}

#[test]
fn errors_of_callees_are_readable() -> Result<()> {
    let node = Node::start()?;
    node.deploy("trap", guests::command("unreachable"))?;
    for (callee, error) in [
        ("nobody", "function_unknown"),
        ("trap", "function_trap"),
        ("a/b", ""),
    ] {
        let name = format!("f{}", node.names()?.len());
        node.deploy(&name, guests::caller_of(callee, 0))?;
        let result = node.invoke(&name, &json!({}))?.result()?;
        let found = result["error"].as_str().context("an error object")?;
        assert!(found == error || error.is_empty(), "{callee}: {result}");
        assert!(
            result["message"]
                .as_str()
                .is_some_and(|message| !message.is_empty()),
            "{result}"
        );
    }
    Ok(())
}

/// The callee counts against the time of its caller, and ends with it.
#[test]
fn a_callees_time_is_the_callers() -> Result<()> {
    let node = Node::start()?;
    node.deploy_with("spin", guests::infinite_loop(), &json!({"Timeout": 20}))?;
    node.deploy_with(
        "outer",
        guests::caller_of("spin", 0),
        &json!({"Timeout": 0.5}),
    )?;
    node.invoke("outer", &json!({}))?
        .assert_problem(500, "function_timeout");
    node.wait_until_free()
}
