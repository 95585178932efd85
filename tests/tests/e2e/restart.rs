//! What a node finds again: its functions, and machine code that is missing or was changed is made anew, beside requests.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use serde_json::{Value, json};

use crate::guests;
use crate::support::{Node, Request, Response, wait_for};

/// All files below a folder, sorted.
pub(crate) fn files_below(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in
        std::fs::read_dir(folder).with_context(|| format!("failed to read {}", folder.display()))?
    {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            files.append(&mut files_below(&entry.path())?);
        } else {
            files.push(entry.path());
        }
    }
    files.sort();
    Ok(files)
}

fn machine_code(node: &Node) -> Result<Vec<PathBuf>> {
    let files = files_below(&node.data().join("machine-code"))?;
    Ok(files
        .into_iter()
        .filter(|path| {
            path.extension()
                .is_some_and(|extension| extension == "cwasm")
        })
        .collect())
}

#[test]
fn functions_are_kept() -> Result<()> {
    let node = Node::start()?;
    for name in ["add", "call-chain", "hello", "echo-http"] {
        node.deploy_example(name)?;
    }
    let more = json!({"MemoryMB": 32, "Timeout": 3, "Env": {"A": "1"}, "Idempotent": true});
    node.deploy_with("more", guests::constant(4), &more)?;
    let before = (
        node.names()?,
        node.get("/functions/more")?.json()?,
        node.status()?["Node"].clone(),
    );
    let node = node.stop()?.restart()?;
    assert_eq!(
        (
            node.names()?,
            node.get("/functions/more")?.json()?,
            node.status()?["Node"].clone()
        ),
        before
    );
    assert_eq!(
        node.invoke("call-chain", &json!({"a": 2, "b": 3}))?
            .result()?,
        json!({"double": 10})
    );
    assert_eq!(
        node.invoke("hello", &json!({"name": "Ada"}))?.result()?,
        json!({"message": "Hello, Ada!"})
    );
    assert_eq!(node.get("/fn/echo-http/x")?.json()?["path"], "/x");
    assert_eq!(node.get("/fn/more")?.json()?, json!({"n": 4}));
    assert!(!node.stop()?.stderr.contains("prepared anew"));
    Ok(())
}

#[test]
fn files_are_for_their_owner_only() -> Result<()> {
    use std::os::unix::fs::PermissionsExt;
    let node = Node::start()?;
    node.deploy_example("add")?;
    for path in files_below(&node.data())? {
        let mode = std::fs::metadata(&path)?.permissions().mode();
        assert_eq!(mode & 0o077, 0, "{} has mode {mode:o}", path.display());
    }
    let mode = std::fs::metadata(node.data())?.permissions().mode();
    assert_eq!(mode & 0o077, 0, "the folder has mode {mode:o}");
    Ok(())
}

/// 503 with the reason until it is prepared, then the result; nothing else, and never the caller's wait.
fn check_prepared_again(node: &Node, function: &str, result: &Value) -> Result<usize> {
    let mut refused = 0;
    wait_for("a function that is prepared again", || {
        let response = node.invoke(function, &json!({}))?;
        if response.status == 200 {
            assert_eq!(response.result()?, *result);
            return Ok(Some(()));
        }
        check_not_prepared(&response)?;
        refused += 1;
        Ok(None)
    })?;
    Ok(refused)
}

fn check_not_prepared(response: &Response) -> Result<()> {
    response.assert_problem(503, "function_not_prepared");
    let seconds: u64 = response
        .header("retry-after")
        .context("Retry-After is missing")?
        .parse()?;
    assert!(seconds >= 1);
    Ok(())
}

#[test]
fn missing_machine_code_is_made_again() -> Result<()> {
    let node = Node::start()?;
    for n in 0..5 {
        node.deploy(&format!("f{n}"), guests::constant(n))?;
    }
    let setup = node.stop()?.into_setup();
    std::fs::remove_dir_all(setup.data().join("machine-code"))?;
    let node = setup.start()?;
    for n in 0..5 {
        check_prepared_again(&node, &format!("f{n}"), &json!({ "n": n }))?;
    }
    // All of it is made at the start, not only what was asked for.
    assert_eq!(machine_code(&node)?.len(), 5);
    let log = node.stop()?.stderr;
    for n in 0..5 {
        assert!(log.contains(&format!("prepared anew name=f{n}\n")), "{log}");
    }
    Ok(())
}

#[test]
fn machine_code_that_vanishes_is_made_again() -> Result<()> {
    let node = Node::start()?;
    node.deploy("f", guests::constant(6))?;
    // Not loaded yet after a start.
    let node = node.stop()?.restart()?;
    for path in machine_code(&node)? {
        std::fs::remove_file(path)?;
    }
    assert!(
        check_prepared_again(&node, "f", &json!({"n": 6}))? > 0,
        "the machine code was gone"
    );
    let plain = node.ask(&Request::get("/fn/f"))?;
    assert_eq!(plain.json()?, json!({"n": 6}));
    Ok(())
}

/// Machine code that anybody touched is never loaded: one flipped bit, a file cut off, another function's code.
#[test]
fn changed_machine_code_is_not_loaded() -> Result<()> {
    let node = Node::start()?;
    for n in 0..4 {
        node.deploy(&format!("f{n}"), guests::constant(n))?;
    }
    let node = node.stop()?.restart()?;
    let files = machine_code(&node)?;
    assert_eq!(files.len(), 4);
    let mut flipped = std::fs::read(&files[0])?;
    let middle = flipped.len() / 2;
    flipped[middle] ^= 1;
    std::fs::write(&files[0], flipped)?;
    let whole = std::fs::read(&files[1])?;
    std::fs::write(&files[1], &whole[..whole.len() - 1])?;
    std::fs::write(&files[2], std::fs::read(&files[3])?)?;
    let mut refused = 0;
    for n in 0..4 {
        refused += usize::from(node.invoke(&format!("f{n}"), &json!({}))?.status != 200);
    }
    assert_eq!(refused, 3, "changed machine code was loaded");
    for n in 0..4 {
        check_prepared_again(&node, &format!("f{n}"), &json!({ "n": n }))?;
    }
    Ok(())
}

/// A label that was changed with the code is no better: the seal is keyed.
#[test]
fn a_forged_label_does_not_help() -> Result<()> {
    let node = Node::start()?;
    node.deploy("f", guests::constant(1))?;
    node.deploy("g", guests::constant(2))?;
    let node = node.stop()?.restart()?;
    let files = machine_code(&node)?;
    for path in [files[0].clone(), files[0].with_extension("json")] {
        let from = if path.extension() == files[1].extension() {
            files[1].clone()
        } else {
            files[1].with_extension("json")
        };
        std::fs::write(path, std::fs::read(from)?)?;
    }
    for (name, n) in [("f", 1), ("g", 2)] {
        check_prepared_again(&node, name, &json!({ "n": n }))?;
    }
    Ok(())
}
