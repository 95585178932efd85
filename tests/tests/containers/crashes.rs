//! Ends that nobody planned: of the node, of its callers, of containers. Nothing stays behind, and the next call works.

use anyhow::{Context, Result};
use serde_json::json;

use crate::support::{ECHO, Lab, Request, deployed, request, sleeper, wait_for};

/// SIGKILL, with containers idle, busy and without code. The next start removes them all and serves.
#[test]
fn a_killed_node_leaves_nothing_to_the_next() -> Result<()> {
    // So few that the starts of a slow run do not raise the number of template containers.
    let mut lab = Lab::with(|setup| setup.with("container.cells", 2).with("container.max", 16))?;
    lab.python("warm", ECHO)?;
    lab.python_with("busy", &sleeper(300.0), &json!({"Timeout": 300}))?;
    assert_eq!(lab.call("warm", &json!([1]))?, json!([1]));
    let mut call = lab.connect()?;
    call.send_only(&Request::post("/invoke/busy", ""))?;
    lab.wait_for_warm("warm", 1)?;
    lab.wait_for_status("Running", 1)?;
    // Two template containers behind the two functions; what the deploys tried the code in is gone.
    lab.wait_for_containers(4)?;
    let ended = lab.take()?.kill()?;
    // The engine may still be at what the node asked of it last, so the count can be one off.
    let old = lab.containers()?;
    assert!(
        old.len() >= 3,
        "containers that nobody has removed: {old:?}"
    );
    lab.restart(ended)?;
    assert_eq!(lab.names()?, ["busy", "warm"]);
    let first = lab.invoke("warm", &json!([2]))?;
    assert_eq!(
        (first.result()?, &first.json()?["IsWarmStart"]),
        (json!([2]), &json!(false))
    );
    wait_for("the end of all old containers", || {
        let now = lab.containers()?;
        Ok(old.iter().all(|id| !now.contains(id)).then_some(()))
    })?;
    assert!(
        lab.call_is_warm("warm")?,
        "the sweep took the old ones only"
    );
    lab.wait_until_free()?;
    lab.stop().map(drop)
}

/// Other nodes' containers are none of its business.
#[test]
fn a_restart_leaves_other_nodes_alone() -> Result<()> {
    let other = Lab::start()?;
    other.python("f", ECHO)?;
    other.call("f", &json!({}))?;
    let theirs = other.wait_for_containers(1)?;
    let mut lab = Lab::start()?;
    lab.python("f", ECHO)?;
    let ended = lab.take()?.kill()?;
    lab.restart(ended)?;
    lab.call("f", &json!({}))?;
    lab.stop()?;
    assert_eq!(other.containers()?, theirs);
    assert!(other.call_is_warm("f")?);
    Ok(())
}

/// SIGTERM: the call that runs ends with its result; then no container is there, and no network.
#[test]
fn a_node_that_is_told_to_stop_ends_its_calls() -> Result<()> {
    let mut lab = Lab::with(|setup| {
        setup
            .with("container.cells", 1)
            .with("container.max", 8)
            .with("container.allow_bridge", true)
    })?;
    lab.python("slow", &sleeper(2.0))?;
    lab.python("idle", ECHO)?;
    deployed(&lab.post(
        "/create",
        &request(
            "net",
            "python",
            ECHO.as_bytes(),
            &json!({"Network": "bridge"}),
        ),
    )?)?;
    for name in ["idle", "net"] {
        assert_eq!(lab.call(name, &json!([1]))?, json!([1]));
    }
    assert_eq!(lab.engine.networks(&lab.id)?.len(), 1);
    let mut call = lab.connect()?;
    call.send_only(&Request::post("/invoke/slow", ""))?;
    lab.wait_for_status("Running", 1)?;
    let node = lab.take()?;
    node.terminate()?;
    assert_eq!(call.receive(false)?.result()?, "done");
    let ended = node.wait()?;
    assert_eq!(ended.status.code(), Some(0), "{}", ended.stderr);
    assert!(!ended.stderr.contains("panicked"), "{}", ended.stderr);
    lab.check_nothing_left()
}

/// A drain has an end: what runs on is cut off with its container.
#[test]
fn patience_ends() -> Result<()> {
    let mut lab = Lab::with(|setup| setup.with("drain.timeout", "500ms"))?;
    lab.python_with("f", &sleeper(600.0), &json!({"Timeout": 900}))?;
    let mut call = lab.connect()?;
    call.send_only(&Request::post("/invoke/f", ""))?;
    lab.wait_for_status("Running", 1)?;
    let node = lab.take()?;
    node.terminate()?;
    assert_eq!(node.wait()?.status.code(), Some(0));
    lab.check_nothing_left()
}

/// Whoever goes away in the middle of a call, or while its container starts, leaves nothing that is held.
#[test]
fn callers_that_go_away_free_everything() -> Result<()> {
    let lab = Lab::start()?;
    // By itself it would outlast the test's patience.
    lab.python_with(
        "f",
        &sleeper(600.0),
        &json!({"CPUDemand": 0.5, "Timeout": 900}),
    )?;
    lab.python("g", ECHO)?;
    lab.wait_for_containers(0)?;
    let mut call = lab.connect()?;
    call.send_only(&Request::post("/invoke/f", ""))?;
    wait_for("a call that holds memory", || {
        Ok((!crate::support::is_free(&lab.status()?)).then_some(()))
    })?;
    let ids = wait_for("its container", || {
        Ok(Some(lab.containers()?).filter(|ids| !ids.is_empty()))
    })?;
    wait_for("its first words", || {
        Ok(lab
            .engine
            .docker(&["top", &ids[0]])
            .ok()
            .filter(|all| all.contains("agent")))
    })?;
    drop(call);
    lab.wait_until_free()?;
    // At its start, whatever it has come to: the container is left to others, or removed; nothing runs in it.
    for _ in 0..3 {
        lab.connect()?.send_only(&Request::post("/invoke/g", ""))?;
    }
    lab.wait_until_free()?;
    assert_eq!(lab.call("g", &json!({"x": 1}))?, json!({"x": 1}));
    lab.cli(&["delete", "f"])?.assert_code(0);
    lab.cli(&["delete", "g"])?.assert_code(0);
    lab.wait_for_containers(0).map(drop)
}

/// Somebody else ends a container: while it is idle nobody notices, while it is busy its call fails and says how.
#[test]
fn containers_that_are_killed_are_replaced() -> Result<()> {
    let lab = Lab::start()?;
    let code = "import time\ndef handler(params):\n    print('begun')\n    time.sleep(params.get('seconds', 0))\n    return 'done'\n";
    lab.python("f", code)?;
    lab.call("f", &json!({}))?;
    let idle = lab.wait_for_containers(1)?.pop().context("one container")?;
    lab.engine.docker(&["kill", &idle])?;
    let next = lab.invoke("f", &json!({}))?;
    assert_eq!(
        (next.result()?, &next.json()?["IsWarmStart"]),
        (json!("done"), &json!(false))
    );

    let busy = wait_for("a container in its place", || {
        Ok(lab.containers()?.into_iter().find(|id| *id != idle))
    })?;
    let mut call = lab.connect()?;
    call.send_only(&Request::json(
        "/invoke/f",
        &json!({"Params": {"seconds": 30}}),
    ))?;
    lab.wait_for_status("Running", 1)?;
    lab.engine.docker(&["kill", &busy])?;
    let failed = call.receive(false)?;
    failed.assert_problem(500, "function_exited");
    assert!(
        failed.text().contains("137"),
        "the code of SIGKILL: {}",
        failed.text()
    );
    assert_eq!(lab.call("f", &json!({}))?, "done");
    lab.wait_until_free()?;
    let left = lab.wait_for_containers(1)?;
    assert!(
        !left.contains(&idle) && !left.contains(&busy),
        "what is dead is removed"
    );
    lab.stop().map(drop)
}
