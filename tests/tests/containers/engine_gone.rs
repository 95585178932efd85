//! The engine stops, or is killed, in the middle of everything: typed errors, nothing stuck, and recovery by itself.

use anyhow::Result;
use serde_json::json;

use crate::support::engine::python_image;
use crate::support::private_engine::PrivateEngine;
use crate::support::{ECHO, Lab, Request, Response, is_free, request, wait_for};

const SLEEPER: &str = "import time\ndef handler(params):\n    time.sleep(params.get('seconds', 0))\n    return 'done'\n";

/// A node on an engine of its own, with a warm container and template containers.
fn start() -> Result<(PrivateEngine, Lab)> {
    let engine = PrivateEngine::with_images(&[&python_image()])?;
    let lab = Lab::on(engine.engine(), |setup| setup.with("container.cells", 1))?;
    lab.python("warm", ECHO)?;
    lab.python("slow", SLEEPER)?;
    lab.python("cold", "def handler(params): return 'cold'\n")?;
    assert_eq!(lab.call("warm", &json!([1]))?, json!([1]));
    assert_eq!(lab.call("slow", &json!({}))?, "done");
    Ok((engine, lab))
}

/// A refusal for lack of the engine says why, and when to come back.
fn check_unavailable(lab: &Lab) -> Result<()> {
    let deploy = lab.post(
        "/create",
        &request("refused", "python", ECHO.as_bytes(), &json!({})),
    )?;
    deploy.assert_problem(503, "docker_unavailable");
    lab.wait_until_free()?;
    assert!(!lab.names()?.contains(&"refused".to_owned()));
    lab.deploy("wasm", crate::guests::constant(3))?;
    assert_eq!(lab.call("wasm", &json!({}))?, json!({"n": 3}));
    lab.post("/delete", &json!({"Name": "wasm"}))?;
    Ok(())
}

/// An answer that is typed: a result, the function's end, or the engine's absence.
fn is_typed(response: &Response) -> bool {
    response.status == 200
        || ["docker_unavailable", "engine_refused", "function_exited"]
            .contains(&response.code().as_str())
}

/// Without restarting the node.
fn check_recovered(lab: &Lab) -> Result<()> {
    for (name, params, expected) in [
        ("warm", json!([2]), json!([2])),
        ("slow", json!({}), json!("done")),
        ("cold", json!({}), json!("cold")),
    ] {
        wait_for(&format!("{name} to work again"), || {
            let answer = lab.invoke(name, &params)?;
            assert!(is_typed(&answer), "{}", answer.text());
            Ok((answer.status == 200 && answer.result()? == expected).then_some(()))
        })?;
    }
    lab.python("new", ECHO)?;
    assert_eq!(lab.call("new", &json!([3]))?, json!([3]));
    lab.wait_until_free()?;
    assert!(lab.call_is_warm("new")?);
    lab.post("/delete", &json!({"Name": "new"}))?;
    Ok(())
}

#[test]
fn an_engine_that_is_stopped_and_killed() -> Result<()> {
    let (mut engine, lab) = start()?;
    // Stopped: it ends its containers, also the one that is busy.
    let mut call = lab.connect()?;
    call.send_only(&Request::json(
        "/invoke/slow",
        &json!({"Params": {"seconds": 20}}),
    ))?;
    lab.wait_for_status("Running", 1)?;
    engine.stop()?;
    let ended = call.receive(false)?;
    assert!(ended.status >= 500 && is_typed(&ended), "{}", ended.text());
    lab.wait_until_free()?;
    for name in ["warm", "slow", "cold"] {
        let answer = lab.invoke(name, &json!({}))?;
        assert_eq!(
            (answer.status, answer.code().as_str()),
            (503, "docker_unavailable"),
            "{name}: {}",
            answer.text()
        );
        assert!(answer.header("retry-after").is_some());
    }
    check_unavailable(&lab)?;
    engine.start()?;
    check_recovered(&lab)?;

    // Killed: its containers run on, and so do their calls.
    let mut call = lab.connect()?;
    call.send_only(&Request::json(
        "/invoke/slow",
        &json!({"Params": {"seconds": 20}}),
    ))?;
    lab.wait_for_status("Running", 1)?;
    engine.kill()?;
    assert!(lab.call_is_warm("warm")?, "a warm call needs no engine");
    check_killed(&lab)?;
    assert_eq!(call.receive(false)?.result()?, "done");
    check_unavailable(&lab)?;
    engine.start()?;
    check_recovered(&lab)?;
    lab.stop()?;
    engine.stop()
}

/// Calls that need a new container fail in a typed way, however many they are, and hold nothing.
fn check_killed(lab: &Lab) -> Result<()> {
    let mut calls = Vec::new();
    for seconds in [5; 4] {
        let mut call = lab.connect()?;
        call.send_only(&Request::json(
            "/invoke/slow",
            &json!({"Params": {"seconds": seconds}}),
        ))?;
        calls.push(call);
    }
    for mut call in calls {
        let answer = call.receive(false)?;
        assert!(is_typed(&answer), "{}", answer.text());
    }
    wait_for("the running call alone", || {
        Ok((lab.status()?["Running"] == 1).then_some(()))
    })
}

/// A node may be stopped while its engine is away: it does not wait for it, and the next one cleans up.
#[test]
fn a_node_stops_and_starts_without_its_engine() -> Result<()> {
    let mut engine = PrivateEngine::with_images(&[&python_image()])?;
    let mut lab = Lab::on(engine.engine(), |setup| setup.with("container.cells", 0))?;
    lab.python("f", ECHO)?;
    assert_eq!(lab.call("f", &json!([1]))?, json!([1]));
    let old = lab.wait_for_containers(1)?;
    engine.kill()?;
    let ended = lab.take()?.stop()?;
    lab.restart(ended)?;
    assert_eq!(lab.names()?, ["f"]);
    lab.invoke("f", &json!([2]))?
        .assert_problem(503, "docker_unavailable");
    engine.start()?;
    wait_for("the function to work", || {
        Ok((lab.invoke("f", &json!([2]))?.status == 200).then_some(()))
    })?;
    let now = lab.wait_for_containers(1)?;
    assert_ne!(now, old, "what the earlier run left is gone");
    lab.stop()?;
    engine.stop()
}

/// It accepts connections and says nothing: warm calls go on, deploys are refused in bounded time, cold starts wait for it.
#[test]
fn an_engine_that_hangs() -> Result<()> {
    let engine = PrivateEngine::with_images(&[&python_image()])?;
    let lab = Lab::on(engine.engine(), |setup| setup.with("container.cells", 0))?;
    lab.python("warm", ECHO)?;
    lab.python("cold", "def handler(params): return 'cold'\n")?;
    assert_eq!(lab.call("warm", &json!([1]))?, json!([1]));
    lab.wait_for_containers(1)?;
    engine.signal("STOP")?;
    assert!(lab.call_is_warm("warm")?);
    let deploy = lab.post(
        "/create",
        &request("refused", "python", ECHO.as_bytes(), &json!({})),
    )?;
    deploy.assert_problem(503, "docker_unavailable");
    let mut call = lab.connect()?;
    call.send_only(&Request::json("/invoke/cold", &json!({})))?;
    wait_for("a call that waits for its container", || {
        Ok((!is_free(&lab.status()?)).then_some(()))
    })?;
    assert!(lab.call_is_warm("warm")?, "nobody else waits");
    engine.signal("CONT")?;
    assert_eq!(call.receive(false)?.result()?, "cold");
    lab.wait_until_free()?;
    lab.stop().map(drop)
}
