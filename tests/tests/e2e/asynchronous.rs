//! Asynchronous invocations: how they end, what survives a crash, cancelling, idempotency keys, dead letters.

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use crate::guests;
use crate::support::{Node, Request, Response, Setup, wait_for};

/// Hands an invocation over; returns its id.
pub(crate) fn submit(node: &Node, function: &str) -> Result<String> {
    let accepted = node.post(
        &format!("/invoke/{function}"),
        &json!({ "Params": {"a": 1, "b": 2}, "Async": true }),
    )?;
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
    assert_eq!(
        (&outcome["Success"], &outcome["Result"]),
        (&json!(false), &json!(""))
    );
    assert_eq!(outcome["ErrorCode"], "function_trap");
    assert_eq!(outcome["Output"], "last words\n");
    assert!(
        outcome["Error"]
            .as_str()
            .is_some_and(|message| message.contains("unreachable")),
        "{outcome}"
    );
    Ok(())
}

/// An accepted call runs the version of that time, whatever happens to its name.
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
    let setup = Setup::new()?
        .with("async.queued_max", 3)
        .with("async.concurrency_max", 1);
    let node = setup.start()?;
    node.deploy("slow", guests::sleeper(3_000))?;
    let ids = (0..3)
        .map(|_| submit(&node, "slow"))
        .collect::<Result<Vec<_>>>()?;
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
    let setup = Setup::new()?
        .with("container.pool.memory", 128)
        .with("scheduler.queue.capacity", 0);
    let node = setup.start()?;
    node.deploy("slow", guests::sleeper(300))?;
    let ids = (0..4)
        .map(|_| submit(&node, "slow"))
        .collect::<Result<Vec<_>>>()?;
    for id in ids {
        assert_eq!(poll(&node, &id)?.result()?, json!({"done": true}));
    }
    Ok(())
}

#[test]
fn outcomes_are_forgotten_after_their_time() -> Result<()> {
    let node = Setup::new()?.with("async.result_ttl", "5s").start()?;
    node.deploy("f", guests::constant(1))?;
    let id = submit(&node, "f")?;
    poll(&node, &id)?.result()?;
    wait_for("an outcome that is forgotten", || {
        let response = node.get(&format!("/poll/{id}"))?;
        Ok((response.code() == "invocation_unknown").then_some(()))
    })
}

fn info(node: &Node, id: &str) -> Result<Value> {
    let response = node.get(&format!("/invocations/{id}"))?;
    ensure!(response.status == 200, "{}", response.text());
    response.json()
}

/// Waits until an invocation is in this state.
fn wait_for_state(node: &Node, id: &str, state: &str) -> Result<Value> {
    wait_for(&format!("{id} {state}"), || {
        Ok(Some(info(node, id)?).filter(|info| info["state"] == state))
    })
}

fn events(info: &Value) -> Vec<&str> {
    info["history"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|entry| entry["event"].as_str())
        .collect()
}

#[test]
fn the_own_routes_show_what_happens() -> Result<()> {
    let node = Node::start()?;
    node.deploy("slow", guests::sleeper(3_000))?;
    let accepted = node.post("/functions/slow/invocations", &json!({}))?;
    assert_eq!(accepted.status, 202);
    let id = accepted.json()?["id"]
        .as_str()
        .context("there is no id")?
        .to_owned();
    assert_eq!(
        accepted.header("location"),
        Some(&*format!("/invocations/{id}"))
    );
    wait_for_state(&node, &id, "running")?;
    let ended = wait_for_state(&node, &id, "done")?;
    assert_eq!(
        (&ended["result"], &ended["attempts"]),
        (&json!({"done": true}), &json!(1))
    );
    assert_eq!(events(&ended), ["accepted", "begun", "done"]);
    node.get("/invocations/018bcfe5-6800-7000-8000-000000000001")?
        .assert_problem(404, "invocation_unknown");
    Ok(())
}

/// A guest that would run for ever is stopped, gives its resources back, and stays cancelled.
#[test]
fn a_cancelled_guest_stops() -> Result<()> {
    let node = Node::start()?;
    node.deploy("endless", guests::infinite_loop())?;
    let id = submit(&node, "endless")?;
    wait_for_state(&node, &id, "running")?;
    node.wait_for_status("Running", 1)?;
    let cancelled = node.post(&format!("/invocations/{id}/cancel"), &json!({}))?;
    assert_eq!(
        (cancelled.status, &cancelled.json()?["state"]),
        (200, &json!("cancelled"))
    );
    node.wait_until_free()?;
    node.post(&format!("/invocations/{id}/cancel"), &json!({}))?
        .assert_problem(409, "invocation_ended");
    let outcome = poll(&node, &id)?.json()?;
    assert_eq!(
        (&outcome["Success"], &outcome["ErrorCode"]),
        (&json!(false), &json!("cancelled"))
    );
    let node = node.kill()?.restart()?;
    assert_eq!(info(&node, &id)?["state"], "cancelled");
    Ok(())
}

fn keyed(node: &Node, function: &str, key: &str, body: &Value) -> Result<Response> {
    node.ask(&Request::json(&format!("/invoke/{function}"), body).header("Idempotency-Key", key))
}

/// A call with a key survives the crash of its node: the same call again gets the first's outcome.
#[test]
fn a_key_outlives_a_crash() -> Result<()> {
    let node = Node::start()?;
    node.deploy("slow", guests::sleeper(5_000))?;
    let asynchronous = json!({ "Params": {"a": 1}, "Async": true });
    let id = keyed(&node, "slow", "k", &asynchronous)?.json()?["ReqId"].clone();
    let id = id.as_str().context("not accepted")?.to_owned();
    wait_for_state(&node, &id, "running")?;
    let node = node.kill()?.restart()?;
    let answer = keyed(&node, "slow", "k", &json!({ "Params": {"a": 1} }))?;
    assert_eq!(answer.result()?, json!({"done": true}));
    let ended = info(&node, &id)?;
    assert_eq!(
        (&ended["state"], &ended["attempts"]),
        (&json!("done"), &json!(2))
    );
    assert_eq!(
        events(&ended),
        ["accepted", "begun", "taken_over", "begun", "done"]
    );
    assert_eq!(
        keyed(&node, "slow", "k", &json!({ "Params": {"a": 1} }))?.body,
        answer.body
    );
    assert_eq!(
        keyed(&node, "slow", "k", &asynchronous)?.json()?["ReqId"],
        id
    );
    keyed(&node, "slow", "k", &json!({ "Params": {"a": 2} }))?
        .assert_problem(422, "idempotency_key_reused");
    keyed(&node, "slow", "k k", &json!({}))?.assert_problem(400, "idempotency_key_malformed");
    Ok(())
}

/// Also a failure is the first's, with everything that a plain call tells.
#[test]
fn a_kept_failure_looks_like_a_plain_one() -> Result<()> {
    let node = Node::start()?;
    node.deploy("trap", guests::command("unreachable"))?;
    let told = |response: Response| -> Result<Value> {
        assert_eq!(response.status, 500);
        let mut problem = response.json()?;
        problem
            .as_object_mut()
            .context("an object")?
            .remove("request_id");
        Ok(problem)
    };
    let plain = told(node.invoke("trap", &json!({}))?)?;
    for _ in 0..2 {
        assert_eq!(
            told(keyed(&node, "trap", "k", &json!({ "Params": {} }))?)?,
            plain
        );
    }
    Ok(())
}

#[test]
fn a_duplicate_that_cannot_wait_is_told() -> Result<()> {
    let node = Node::start()?;
    node.deploy("slow", guests::sleeper(5_000))?;
    let first = keyed(&node, "slow", "k", &json!({ "Async": true }))?.json()?["ReqId"].clone();
    wait_for_state(&node, first.as_str().context("not accepted")?, "running")?;
    let hasty = json!({ "QoSMaxRespT": 0.2 });
    let told = keyed(&node, "slow", "k", &hasty)?;
    told.assert_problem(409, "invocation_not_finished");
    assert!(told.header("retry-after").is_some());
    assert_eq!(
        keyed(&node, "slow", "k", &json!({}))?.result()?,
        json!({"done": true})
    );
    Ok(())
}

/// A call that its node does not survive becomes a dead letter; driven anew on a better day, it ends.
#[test]
fn a_dead_letter_is_driven_anew() -> Result<()> {
    let node = Setup::new()?.with("async.attempts_max", 1).start()?;
    node.deploy("slow", guests::sleeper(5_000))?;
    let ids = [submit(&node, "slow")?, submit(&node, "slow")?];
    for id in &ids {
        wait_for_state(&node, id, "running")?;
    }
    let node = node.kill()?.restart()?;
    for id in &ids {
        assert_eq!(
            wait_for_state(&node, id, "failed")?["error"]["code"],
            "attempts_exhausted"
        );
    }
    let listed = node.get("/dead-letters?limit=1")?.json()?;
    assert_eq!(
        (&listed["dead_letters"][0]["id"], &listed["next"]),
        (&json!(ids[0]), &json!(ids[0]))
    );
    let redrive = || node.post(&format!("/dead-letters/{}/redrive", ids[0]), &json!({}));
    let first = redrive()?;
    let second = redrive()?;
    assert_eq!((first.status, second.status), (202, 202));
    let first = first.json()?;
    let second = second.json()?;
    assert_eq!(
        (&first["redrive_of"], &second["repeated"]),
        (&json!(ids[0]), &json!(true))
    );
    assert_eq!(first["id"], second["id"]);
    let made = first["id"].as_str().context("there is no id")?;
    assert_eq!(wait_for_state(&node, made, "done")?["redrive_of"], ids[0]);
    node.get(&format!("/dead-letters/{}", ids[0]))?
        .assert_problem(404, "dead_letter_unknown");
    assert_eq!(
        node.ask(&Request::new("DELETE", "/dead-letters"))?.json()?,
        json!({"purged": 1})
    );
    node.get(&format!("/invocations/{}", ids[1]))?
        .assert_problem(404, "invocation_unknown");
    Ok(())
}
