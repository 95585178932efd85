//! More work than a node can do: it says so, and when to come again; what was accepted is done.

use anyhow::{Context, Result};
use serde_json::json;

use crate::guests;
use crate::support::{Connection, Node, Request, Response, Setup};

/// Room for one invocation and a queue of so many.
fn narrow(queue: usize) -> Result<Setup> {
    Ok(Setup::new()?
        .with("container.pool.memory", 128)
        .with("scheduler.queue.capacity", queue)
        .with("scheduler.queue.wait_max", "60s"))
}

fn check_refusal(response: &Response, code: &str) -> Result<()> {
    response.assert_problem(429, code);
    let seconds: u64 = response
        .header("retry-after")
        .context("Retry-After is missing")?
        .parse()?;
    assert!((1..=60).contains(&seconds), "{seconds}");
    Ok(())
}

#[test]
fn a_full_queue_refuses() -> Result<()> {
    let node = narrow(2)?.start()?;
    node.deploy("slow", guests::sleeper(6_000))?;
    let mut accepted = Vec::new();
    for (member, value) in [("Running", 1), ("Queued", 1), ("Queued", 2)] {
        let mut connection = node.connect()?;
        connection.send_only(&Request::post("/invoke/slow", ""))?;
        node.wait_for_status(member, value)?;
        accepted.push(connection);
    }
    for request in [Request::post("/invoke/slow", ""), Request::get("/fn/slow")] {
        check_refusal(&node.ask(&request)?, "queue_full")?;
    }
    node.cli(&["invoke", "-f", "slow"])?.assert_code(6);
    for mut connection in accepted {
        assert_eq!(connection.receive(false)?.result()?, json!({"done": true}));
    }
    let metrics = node.get("/metrics")?.text();
    assert!(
        metrics.contains(r#"serverledge_rejections_total{code="queue_full"} 3"#),
        "{metrics}"
    );
    node.wait_until_free()
}

#[test]
fn waiting_has_an_end() -> Result<()> {
    let node = narrow(10)?
        .with("scheduler.queue.wait_max", "200ms")
        .start()?;
    node.deploy("slow", guests::sleeper(8_000))?;
    let mut running = start(&node, "slow")?;
    check_refusal(&node.invoke("slow", &json!({}))?, "queue_timeout")?;
    running.receive(false)?.result()?;
    node.wait_until_free()
}

#[test]
fn a_deadline_that_cannot_be_met_refuses() -> Result<()> {
    let node = narrow(10)?.start()?;
    node.deploy("slow", guests::sleeper(8_000))?;
    let mut running = start(&node, "slow")?;
    let hurried = node.post("/invoke/slow", &json!({"QoSMaxRespT": 0.2}))?;
    check_refusal(&hurried, "deadline_unreachable")?;
    running.receive(false)?.result()?;
    node.wait_until_free()
}

fn start(node: &Node, function: &str) -> Result<Connection> {
    let mut connection = node.connect()?;
    connection.send_only(&Request::post(&format!("/invoke/{function}"), ""))?;
    node.wait_for_status("Running", 1)?;
    Ok(connection)
}

/// Whoever leaves the queue makes room in it.
#[test]
fn callers_that_leave_give_their_place_up() -> Result<()> {
    let node = narrow(1)?.start()?;
    node.deploy("slow", guests::sleeper(5_000))?;
    let mut running = start(&node, "slow")?;
    let mut queued = node.connect()?;
    queued.send_only(&Request::post("/invoke/slow", ""))?;
    node.wait_for_status("Queued", 1)?;
    drop(queued);
    node.wait_for_status("Queued", 0)?;
    running.receive(false)?.result()?;
    // And a caller that leaves while its function runs ends it.
    let running = start(&node, "slow")?;
    drop(running);
    node.wait_until_free()
}

#[test]
fn what_never_fits_is_not_told_to_come_again() -> Result<()> {
    let node = Setup::new()?.with("container.pool.cpus", 1).start()?;
    node.deploy_with("wide", guests::constant(1), &json!({"CPUDemand": 64}))?;
    let response = node.invoke("wide", &json!({}))?;
    response.assert_problem(503, "exceeds_node");
    assert!(response.header("retry-after").is_none());
    Ok(())
}

/// A crowd: every request is answered, with its result or with when to come again, and nothing leaks.
#[test]
fn a_crowd_is_answered() -> Result<()> {
    let node = Setup::new()?
        .with("container.pool.memory", 512)
        .with("scheduler.queue.capacity", 20)
        .start()?;
    node.deploy("slow", guests::sleeper(50))?;
    let mut crowd = (0..200)
        .map(|_| node.connect())
        .collect::<Result<Vec<_>>>()?;
    for connection in &mut crowd {
        connection.send_only(&Request::post("/invoke/slow", ""))?;
    }
    let mut done = 0;
    let mut refused = 0;
    for connection in &mut crowd {
        let response = connection.receive(false)?;
        if response.status == 200 {
            assert_eq!(response.result()?, json!({"done": true}));
            done += 1;
        } else {
            check_refusal(&response, "queue_full")?;
            refused += 1;
        }
    }
    assert!(done >= 24, "{done} done, {refused} refused");
    node.wait_until_free()
}
