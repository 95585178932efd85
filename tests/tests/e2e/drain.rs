//! SIGTERM: what runs ends with its result, what is new is refused, and nothing is left behind.

use std::net::TcpStream;
use std::path::Path;

use anyhow::{Context, Result};
use serde_json::json;

use crate::asynchronous::{poll, submit};
use crate::guests;
use crate::support::{Node, Request, Setup, wait_for};

#[test]
fn running_calls_end_with_their_results() -> Result<()> {
    let node = Node::start()?;
    node.deploy("slow", guests::sleeper(6_000))?;
    node.deploy_example("echo-http")?;
    let mut idle = node.connect()?;
    assert_eq!(idle.send(&Request::get("/readyz"))?.status, 200);
    let mut call = node.connect()?;
    call.send_only(&Request::post("/invoke/slow", ""))?;
    let mut stream = node.connect()?;
    stream.send_only(&Request::get("/fn/echo-http/stream?chunks=4&pause_ms=2000"))?;
    let head = stream.receive_head()?;
    node.wait_for_status("Running", 2)?;
    node.terminate()?;
    // New connections and requests on old ones are turned away.
    wait_for("a closed door", || {
        Ok(TcpStream::connect(node.address).is_err().then_some(()))
    })?;
    assert!(idle.is_closed_by_peer()?);
    assert_eq!(call.receive(false)?.result()?, json!({"done": true}));
    let lines = stream.receive_body(&head)?;
    assert!(String::from_utf8(lines)?.ends_with("chunk 4 of 4\n"));
    assert!(call.is_closed_by_peer()?);
    let ended = node.wait()?;
    assert_eq!(ended.status.code(), Some(0), "{}", ended.stderr);
    assert!(
        ended.stderr.contains("stopped") && !ended.stderr.contains("panicked"),
        "{}",
        ended.stderr
    );
    check_nothing_left(ended.into_setup().home())
}

/// A running call may still call: that belongs to what was begun.
#[test]
fn nested_calls_of_running_calls_are_served() -> Result<()> {
    let node = Node::start()?;
    node.deploy("f", guests::constant(5))?;
    node.deploy("outer", guests::caller_of("f", 5_000))?;
    let mut call = node.connect()?;
    call.send_only(&Request::post("/invoke/outer", ""))?;
    node.wait_for_status("Running", 1)?;
    node.terminate()?;
    assert_eq!(call.receive(false)?.result()?, json!({"n": 5}));
    assert_eq!(node.wait()?.status.code(), Some(0));
    Ok(())
}

/// A waiting call has not begun: it is refused at once, with the reason.
#[test]
fn waiting_calls_are_refused() -> Result<()> {
    let node = Setup::new()?.with("container.pool.memory", 128).start()?;
    node.deploy("slow", guests::sleeper(8_000))?;
    let mut calls = Vec::new();
    for (member, value) in [("Running", 1), ("Queued", 1)] {
        let mut call = node.connect()?;
        call.send_only(&Request::post("/invoke/slow", ""))?;
        node.wait_for_status(member, value)?;
        calls.push(call);
    }
    node.terminate()?;
    let refused = calls[1].receive(false)?;
    refused.assert_problem(503, "draining");
    assert!(refused.header("retry-after").is_some());
    assert_eq!(calls[0].receive(false)?.result()?, json!({"done": true}));
    assert_eq!(node.wait()?.status.code(), Some(0));
    Ok(())
}

/// The drain has an end: what runs on is cut off.
#[test]
fn patience_ends() -> Result<()> {
    let node = Setup::new()?.with("drain.timeout", "300ms").start()?;
    node.deploy("spin", guests::infinite_loop())?;
    node.deploy("slow", guests::sleeper(25_000))?;
    let mut calls = Vec::new();
    for function in ["spin", "slow"] {
        let mut call = node.connect()?;
        call.send_only(&Request::post(&format!("/invoke/{function}"), ""))?;
        calls.push(call);
    }
    node.wait_for_status("Running", 2)?;
    node.terminate()?;
    let ended = node.wait()?;
    assert_eq!(ended.status.code(), Some(0), "{}", ended.stderr);
    assert!(ended.stderr.contains("cut off"), "{}", ended.stderr);
    check_nothing_left(ended.into_setup().home())
}

/// A compilation under way is a child process: it goes with its parent.
#[test]
fn no_child_survives() -> Result<()> {
    let node = Setup::new()?.with("drain.timeout", "200ms").start()?;
    let module = guests::monster(8, 8_000);
    let mut deploy = node.connect()?;
    let body = crate::support::node::deployment("monster", module.as_bytes(), &json!({}));
    deploy.send_only(&Request::json("/create", &body))?;
    let pid = node.pid();
    let child = wait_for("a compiling child", || {
        Ok(children_of(pid)?.first().copied())
    })?;
    node.terminate()?;
    let ended = node.wait()?;
    assert_eq!(ended.status.code(), Some(0), "{}", ended.stderr);
    wait_for("the end of the child", || {
        Ok((!Path::new(&format!("/proc/{child}/exe")).exists()).then_some(()))
    })?;
    let setup = ended.into_setup();
    check_nothing_left(setup.home())?;
    assert!(setup.start()?.names()?.is_empty());
    Ok(())
}

/// Processes whose parent this is (`/proc/PID/stat`, field 4).
fn children_of(parent: u32) -> Result<Vec<u32>> {
    let mut children = Vec::new();
    for entry in std::fs::read_dir("/proc")? {
        let Ok(pid) = entry?.file_name().to_string_lossy().parse::<u32>() else {
            continue;
        };
        // It may have ended meanwhile.
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        let after_name = stat.rsplit_once(") ").map_or("", |(_, rest)| rest);
        if after_name.split(' ').nth(1) == Some(&parent.to_string()) {
            children.push(pid);
        }
    }
    Ok(children)
}

/// Of a node that has ended there is its registry, its name and its cache of machine code, when functions were called, and nothing half-written.
fn check_nothing_left(home: &Path) -> Result<()> {
    for path in crate::restart::files_below(home)? {
        let inside = path
            .strip_prefix(home)?
            .to_str()
            .context("names are text")?
            .to_owned();
        let kept = [
            "data/registry.redb",
            "data/node-id",
            "data/callback.key",
            "data/result-tags.key",
            "data/edge-manifest.key",
            "data/machine-code/key",
            "data/called.json",
        ];
        let known = kept.contains(&inside.as_str())
            || (inside.starts_with("data/machine-code/")
                && (inside.ends_with(".cwasm") || inside.ends_with(".json")));
        assert!(known, "{inside} was left behind");
    }
    Ok(())
}

/// SIGTERM is no reason to lose what was accepted.
#[test]
fn accepted_invocations_are_finished_by_the_next_start() -> Result<()> {
    let node = Setup::new()?.with("async.concurrency_max", 1).start()?;
    node.deploy("slow", guests::sleeper(500))?;
    let ids = (0..4)
        .map(|_| submit(&node, "slow"))
        .collect::<Result<Vec<_>>>()?;
    let node = node.stop()?.restart()?;
    for id in ids {
        assert_eq!(poll(&node, &id)?.result()?, json!({"done": true}));
    }
    Ok(())
}
