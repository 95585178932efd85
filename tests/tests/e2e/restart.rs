//! The state that a node finds again after a restart: its functions; machine code that is missing or was changed is
//! made anew, beside requests.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use crate::guests;
use crate::support::programs::programs;
use crate::support::{Node, Request, Setup, wait_for};

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
    assert_eq!(prepared(&node.stop()?.stderr), 0);
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

/// The result, after a wait for what it needs.
fn check_answers(node: &Node, function: &str, result: &Value) -> Result<()> {
    let response = node.invoke(function, &json!({}))?;
    assert_eq!(
        (response.status, response.result()?),
        (200, result.clone()),
        "{}",
        response.text()
    );
    Ok(())
}

/// The number of times that a node has prepared something from its stored code, by its log.
fn prepared(log: &str) -> usize {
    log.lines()
        .filter(|line| line.contains(" prepared name="))
        .count()
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
    for n in (0..5).rev() {
        check_answers(&node, &format!("f{n}"), &json!({ "n": n }))?;
    }
    // All of it is made at the start, not only what was asked for.
    wait_for("a node that is ready", || {
        Ok((node.get("/readyz")?.status == 200).then_some(()))
    })?;
    assert_eq!(machine_code(&node)?.len(), 5);
    let log = node.stop()?.stderr;
    assert_eq!(prepared(&log), 5, "{log}");
    Ok(())
}

/// Until what was called lately is prepared, a node that starts says so, with counts; what was called last comes first.
#[test]
fn a_node_is_ready_when_what_was_called_lately_is_prepared() -> Result<()> {
    let node = Node::start()?;
    let slow = |n: u64| guests::large_constant(n);
    for n in 0..8 {
        node.deploy(&format!("f{n}"), slow(n))?;
    }
    check_answers(&node, "f5", &json!({"n": 5}))?;
    let setup = node.stop()?.into_setup();
    std::fs::remove_dir_all(setup.data().join("machine-code"))?;
    let node = setup.start()?;
    let mut preparing = 0;
    wait_for("a node that is ready", || {
        let response = node.get("/readyz")?;
        if response.status == 200 {
            return Ok(Some(()));
        }
        response.assert_problem(503, "preparing");
        assert!(
            response.text().contains("0 of 1 functions"),
            "{}",
            response.text()
        );
        preparing += 1;
        Ok(None)
    })?;
    assert!(preparing > 0, "it was ready at once");
    let left = node.status()?["Preparing"].as_array().map_or(0, Vec::len);
    assert!(left > 0, "the others are prepared after it is ready");
    check_answers(&node, "f7", &json!({"n": 7}))?;
    let log = node.stop()?.stderr;
    let first = log.lines().find(|line| line.contains(" prepared name="));
    assert!(first.is_some_and(|line| line.contains("name=f5 ")), "{log}");
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
    check_answers(&node, "f", &json!({"n": 6}))?;
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
    for n in 0..4 {
        check_answers(&node, &format!("f{n}"), &json!({ "n": n }))?;
    }
    let log = node.stop()?.stderr;
    assert_eq!(prepared(&log), 3, "changed machine code was loaded: {log}");
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
        check_answers(&node, name, &json!({ "n": n }))?;
    }
    Ok(())
}

/// All of it but the key of its seals.
fn remove_machine_code(data: &Path) -> Result<()> {
    let is_key = |path: &PathBuf| path.file_name().is_some_and(|name| name == "key");
    files_below(&data.join("machine-code"))?
        .iter()
        .filter(|path| !is_key(path))
        .try_for_each(std::fs::remove_file)?;
    Ok(())
}

/// Runs `serverledge prepare` on a node's folder; its output.
fn prepare(data: &Path) -> Result<String> {
    let mut command = std::process::Command::new(&programs()?.node);
    let output = command
        .arg("prepare")
        .env("SERVERLEDGE_DATA_DIR", data)
        .env("HOME", data)
        .output()?;
    let said = format!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    ensure!(output.status.success(), "{said}");
    Ok(said)
}

/// Another program's machine code is made while the node runs, and while it does not.
#[test]
fn functions_are_prepared_ahead_of_an_upgrade() -> Result<()> {
    let node = Node::start()?;
    for n in 0..3 {
        node.deploy(&format!("f{n}"), guests::constant(n))?;
    }
    check_answers(&node, "f1", &json!({"n": 1}))?;
    // As if the node's machine code were another program's.
    remove_machine_code(&node.data())?;
    let said = prepare(&node.data())?;
    assert!(said.contains("3 prepared, 0 failed"), "{said}");
    assert_eq!(machine_code(&node)?.len(), 3);
    check_answers(&node, "f1", &json!({"n": 1}))?;
    let setup = node.stop()?.into_setup();
    remove_machine_code(&setup.data())?;
    assert!(prepare(&setup.data())?.contains("3 prepared, 0 failed"));
    let node = setup.start()?;
    assert_eq!(node.get("/readyz")?.status, 200, "{}", node.stderr());
    check_answers(&node, "f2", &json!({"n": 2}))?;
    assert_eq!(prepared(&node.stop()?.stderr), 0);
    Ok(())
}

/// The first script then deploys as fast as later ones.
#[test]
fn the_engine_of_scripts_is_compiled_at_the_start() -> Result<()> {
    let node = Setup::new()?
        .with("wasm.engine_at_start", true)
        .with("log.level", "debug")
        .start()?;
    let told = "an engine of scripts is compiled";
    wait_for(told, || Ok(node.stderr().contains(told).then_some(())))?;
    node.stop()?;
    Ok(())
}
