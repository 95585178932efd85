//! Every function of `wasm-examples/`, deployed with the client, gives the results of its `examples.json` on every way in.

use anyhow::{Context, Result};
use serde_json::{Value, json};

use crate::support::{Node, Request, example_path, requests_of};

#[test]
fn hello() -> Result<()> {
    check("hello", &[])
}

#[test]
fn sieve() -> Result<()> {
    check("sieve", &[])
}

#[test]
fn markdown() -> Result<()> {
    check("markdown", &[])
}

#[test]
fn thumbnail() -> Result<()> {
    check("thumbnail", &[])
}

#[test]
fn word_count() -> Result<()> {
    check("word-count", &[])
}

#[test]
fn add() -> Result<()> {
    check("add", &[])
}

#[test]
fn call_chain() -> Result<()> {
    check("call-chain", &["add"])
}

#[test]
fn echo_concurrent_cli() -> Result<()> {
    check("echo-concurrent-cli", &[])
}

#[test]
fn call_c() -> Result<()> {
    check("call-c", &["add"])
}

#[test]
fn every_example_is_tried() -> Result<()> {
    let tried = [
        "add",
        "call-c",
        "call-chain",
        "echo-cli",
        "echo-concurrent-cli",
        "echo-http",
        "echo-service",
        "hello",
        "markdown",
        "sieve",
        "thumbnail",
        "word-count",
    ];
    let folder = crate::support::programs::root().join("wasm-examples");
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        if entry.path().join("examples.json").exists() {
            found.push(entry.file_name().to_string_lossy().into_owned());
        }
    }
    found.sort();
    assert_eq!(found, tried);
    Ok(())
}

/// Deploys the example and what it needs, and tries its requests.
fn check(name: &str, needed: &[&str]) -> Result<()> {
    let node = Node::start()?;
    for name in needed.iter().copied().chain([name]) {
        let path = example_path(name);
        let path = path.to_str().context("the path is text")?;
        let created = node.cli(&["create", "-f", name, "--src", path])?;
        created.assert_code(0);
        assert_eq!(created.json()?["Created"], name);
    }
    for example in requests_of(name)? {
        let params = &example["params"];
        let expected = &example["result"];
        assert_eq!(
            node.invoke(name, params)?.result()?,
            *expected,
            "/invoke with {params}"
        );
        let target = format!("/fn/{name}");
        let plain = node.post(&target, params)?;
        assert_eq!(
            (plain.status, plain.json()?),
            (200, expected.clone()),
            "/fn with {params}"
        );
        if let Some(query) = as_query(params) {
            let plain = node.ask(&Request::get(&format!("{target}?{query}")))?;
            assert_eq!(
                (plain.status, plain.json()?),
                (200, expected.clone()),
                "/fn?{query}"
            );
        }
        let ran = node.cli_with_input(
            &["invoke", "-f", name, "-j", "-"],
            params.to_string().as_bytes(),
        )?;
        assert_eq!(
            ran.assert_code(0).result()?,
            *expected,
            "the client with {params}"
        );
    }
    node.stop()?;
    Ok(())
}

/// The parameters as a query, if they are scalars that a query can carry: a text that looks like a number becomes one.
fn as_query(params: &Value) -> Option<String> {
    let pair = |(name, value): (&String, &Value)| match value {
        Value::String(text) if serde_json::from_str::<Value>(text).is_err() && text.len() < 200 => {
            Some(format!("{}={}", encoded(name), encoded(text)))
        }
        Value::Number(_) | Value::Bool(_) => Some(format!("{}={value}", encoded(name))),
        _ => None,
    };
    Some(
        params
            .as_object()?
            .iter()
            .map(pair)
            .collect::<Option<Vec<_>>>()?
            .join("&"),
    )
}

fn encoded(text: &str) -> String {
    text.bytes()
        .map(|byte| {
            if byte.is_ascii_alphanumeric() {
                char::from(byte).to_string()
            } else {
                format!("%{byte:02X}")
            }
        })
        .collect()
}

#[test]
fn queries_carry_scalars() {
    assert_eq!(
        as_query(&json!({"a": 1, "b": "x y"})),
        Some("a=1&b=x%20y".to_owned())
    );
    assert_eq!(as_query(&json!({"a": [1]})), None);
    assert_eq!(as_query(&json!({"a": "1"})), None);
}
