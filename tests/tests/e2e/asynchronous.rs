//! Asynchronous invocations: how they end.

use anyhow::{Context, Result};
use serde_json::json;

use crate::guests;
use crate::support::{Node, Response, Setup, wait_for};

/// Hands an invocation over; returns its id.
pub(crate) fn submit(node: &Node, function: &str) -> Result<String> {
    let accepted = node.post(&format!("/invoke/{function}"), &json!({ "Params": {"a": 1, "b": 2}, "Async": true }))?;
    let id = accepted.json()?["ReqId"].as_str().map(str::to_owned);
    id.with_context(|| format!("not accepted: {}", accepted.text()))
}

/// Polls until the invocation has ended.
pub(crate) fn poll(node: &Node, id: &str) -> Result<Response> {
    wait_for(&format!("the end of {id}"), || {
        let response = node.get(&format!("/poll/{id}"))?;
        if response.status == 200 {
            return Ok(Some(response));
        }
        response.assert_problem(404, "invocation_not_finished");
        Ok(None)
    })
}

#[test]
fn a_functions_failure_is_the_outcome() -> Result<()> {
    let node = Node::start()?;
    node.deploy("trap", guests::command("unreachable"))?;
    let outcome = poll(&node, &submit(&node, "trap")?)?.json()?;
    assert_eq!((&outcome["Success"], &outcome["Result"]), (&json!(false), &json!("")));
    assert_eq!(outcome["ErrorCode"], "function_trap");
    assert_eq!(outcome["Output"], "last words\n");
    assert!(outcome["Error"].as_str().is_some_and(|message| message.contains("unreachable")), "{outcome}");
    Ok(())
}

/// What was accepted runs as it was then, whatever happens to its name.
#[test]
fn the_version_is_pinned_when_it_is_accepted() -> Result<()> {
    let node = Setup::new()?.with("async.concurrency_max", 1).start()?;
    node.deploy("slow", guests::sleeper(700))?;
    node.deploy("f", guests::constant(1))?;
    let first = submit(&node, "slow")?;
    let pinned = submit(&node, "f")?;
    let body = crate::support::node::deployment("f", guests::constant(2).as_bytes(), &json!({}));
    assert_eq!(node.post("/update", &body)?.status, 200);
    assert_eq!(node.invoke("f", &json!({}))?.result()?, json!({"n": 2}));
    assert_eq!(poll(&node, &first)?.result()?, json!({"done": true}));
    assert_eq!(poll(&node, &pinned)?.result()?, json!({"n": 1}));
    Ok(())
}

#[test]
fn too_many_at_once_are_refused() -> Result<()> {
    let setup = Setup::new()?.with("async.queued_max", 3).with("async.concurrency_max", 1);
    let node = setup.start()?;
    node.deploy("slow", guests::sleeper(1_000))?;
    let ids = (0..3).map(|_| submit(&node, "slow")).collect::<Result<Vec<_>>>()?;
    let refused = node.post("/invoke/slow", &json!({ "Async": true }))?;
    refused.assert_problem(429, "async_queue_full");
    assert!(refused.header("retry-after").is_some());
    for id in ids {
        assert_eq!(poll(&node, &id)?.result()?, json!({"done": true}));
    }
    let id = submit(&node, "slow")?;
    poll(&node, &id)?.result()?;
    Ok(())
}

/// Overload is no outcome: it is tried again.
#[test]
fn overload_only_delays() -> Result<()> {
    let setup = Setup::new()?.with("container.pool.memory", 128).with("scheduler.queue.capacity", 0);
    let node = setup.start()?;
    node.deploy("slow", guests::sleeper(300))?;
    let ids = (0..4).map(|_| submit(&node, "slow")).collect::<Result<Vec<_>>>()?;
    for id in ids {
        assert_eq!(poll(&node, &id)?.result()?, json!({"done": true}));
    }
    Ok(())
}

#[test]
fn outcomes_are_forgotten_after_their_time() -> Result<()> {
    let node = Setup::new()?.with("async.result_ttl", "1s").start()?;
    node.deploy("f", guests::constant(1))?;
    let id = submit(&node, "f")?;
    poll(&node, &id)?.result()?;
    wait_for("an outcome that is forgotten", || {
        let response = node.get(&format!("/poll/{id}"))?;
        Ok((response.code() == "invocation_unknown").then_some(()))
    })
}
