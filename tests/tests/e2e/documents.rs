//! The README's first commands, typed as they stand there, on a node on which the quick start has run.

use std::process::Command;

use anyhow::{Context, Result, ensure};
use serde_json::json;

use crate::support::programs::{programs, root};
use crate::support::{Node, example};

/// The functions that the quick start deploys on every node; `tidy` keeps the documents' names apart from them.
const QUICKSTART: [&str; 10] = [
    "hello",
    "sieve",
    "markdown",
    "thumbnail",
    "word-count",
    "echo-http",
    "add",
    "call-chain",
    "greet",
    "primes",
];

/// The blocks of code below a heading, up to the next one: language and text.
fn blocks(document: &str, heading: &str) -> Result<Vec<(String, String)>> {
    let (_, rest) = document
        .split_once(&format!("\n{heading}\n"))
        .with_context(|| format!("no {heading}"))?;
    let mut found = Vec::new();
    let mut open: Option<(String, String)> = None;
    for line in rest.lines() {
        match (&mut open, line.strip_prefix("```")) {
            (None, None) if line.starts_with('#') => break,
            (None, None) => {}
            (None, Some(language)) => open = Some((language.to_owned(), String::new())),
            (Some(_), Some(_)) => found.extend(open.take()),
            (Some((_, text)), None) => {
                text.push_str(line);
                text.push('\n');
            }
        }
    }
    Ok(found)
}

/// Types a block of commands in a folder; what it prints.
fn typed(node: &Node, folder: &std::path::Path, commands: &str) -> Result<String> {
    let address = node.address.to_string();
    let commands = commands
        .replace("127.0.0.1:1323", &address)
        .replace("localhost:1323", &address);
    let clients = programs()?
        .cli
        .parent()
        .context("the client lies in a folder")?;
    let path = format!("{}:{}", clients.display(), std::env::var("PATH")?);
    let output = Command::new("bash")
        .args(["-euo", "pipefail", "-c", &commands])
        .current_dir(folder)
        .env("PATH", path)
        .env("HOME", folder)
        .env("SERVERLEDGE_PORT", node.address.port().to_string())
        .output()?;
    let out = String::from_utf8_lossy(&output.stdout);
    let err = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{commands}\n{out}{err}");
    Ok(out.into_owned())
}

#[test]
fn the_readme_works_after_the_quick_start() -> Result<()> {
    let node = Node::start()?;
    for name in QUICKSTART {
        node.deploy_with(name, example("hello")?, &json!({}))?;
    }
    let readme = std::fs::read_to_string(root().join("README.md"))?;
    let folder = tempfile::tempdir()?;
    let mut tried = 0;
    for (heading, file, expected) in [
        ("### From a template", None, "Hello, Ada!"),
        ("### JavaScript", None, "Hello, Ada!"),
        ("### WebAssembly text", Some(("wat", "first.wat")), "Hello!"),
        ("## State", None, "\"visits\":1"),
        ("## An application", None, "\"sum\":5"),
    ] {
        let mut printed = String::new();
        for (language, text) in blocks(&readme, heading)? {
            match file {
                Some((kind, name)) if language == kind => {
                    std::fs::write(folder.path().join(name), text)?
                }
                _ if language == "sh" => printed.push_str(&typed(&node, folder.path(), &text)?),
                _ => {}
            }
        }
        let plain: String = printed.split_whitespace().collect();
        let wanted: String = expected.split_whitespace().collect();
        ensure!(plain.contains(&wanted), "{heading}: {printed}");
        tried += 1;
    }
    ensure!(tried == 5);
    node.stop()?;
    Ok(())
}
