//! The requests of Go Serverledge's own client, byte for byte, and the parts of the answers that it reads.

use std::io::Write;

use anyhow::{Context, Result};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use crate::guests;
use crate::support::{Node, Request, Response, Setup, example};

/// A tar as Go's `archive/tar` writes it: one regular file, ustar.
fn tar_of(name: &str, content: &[u8]) -> Result<Vec<u8>> {
    let mut builder = tar::Builder::new(Vec::new());
    let mut header = tar::Header::new_ustar();
    header.set_size(content.len() as u64);
    header.set_mode(0o644);
    builder.append_data(&mut header, name, content)?;
    let mut bytes = builder.into_inner()?;
    bytes.flush()?;
    Ok(bytes)
}

/// The request of `serverledge-cli create`, all members in Go's order.
fn create(name: &str, runtime: &str, memory: i64, tar: &[u8]) -> Request {
    let body = format!(
        r#"{{"Name":"{name}","Runtime":"{runtime}","MemoryMB":{memory},"CPUDemand":0,"MaxConcurrency":1,"Handler":"","TarFunctionCode":"{}","CustomImage":"","SupportedArchs":null,"Signature":{{"Inputs":[],"Outputs":[]}}}}"#,
        STANDARD.encode(tar)
    );
    Request::post("/create", body)
        .header("Content-Type", "application/json")
        .header("User-Agent", "Go-http-client/1.1")
}

/// The request of `serverledge-cli invoke`.
fn invoke(name: &str, params: &str, asynchronous: bool) -> Request {
    let body = format!(
        r#"{{"Params":{params},"QoSClass":0,"QoSMaxRespT":-1,"CanDoOffloading":true,"Async":{asynchronous},"ReturnOutput":false}}"#
    );
    Request::post(&format!("/invoke/{name}"), body).header("Content-Type", "application/json")
}

fn node_with_add() -> Result<Node> {
    let node = Node::start()?;
    let created = node.ask(&create(
        "add",
        "wasm",
        128,
        &tar_of("add.wasm", &example("add")?)?,
    ))?;
    assert_eq!(
        (created.status, &created.json()?["Created"]),
        (200, &json!("add"))
    );
    Ok(node)
}

#[test]
fn the_life_of_a_function() -> Result<()> {
    let node = node_with_add()?;
    for route in ["/function", "/functions"] {
        assert_eq!(node.get(route)?.text(), r#"["add"]"#);
    }
    let again = node.ask(&create(
        "add",
        "wasm",
        128,
        &tar_of("add.wasm", &example("add")?)?,
    ))?;
    again.assert_problem(409, "function_exists");
    let mut update = create(
        "add",
        "wasm",
        64,
        &tar_of("x/hello.wasm", &example("hello")?)?,
    );
    update.target = "/update".to_owned();
    assert_eq!(node.ask(&update)?.json()?["Created"], "add");
    assert_eq!(
        node.ask(&invoke("add", r#"{"name":"Ada"}"#, false))?
            .result()?,
        json!({"message": "Hello, Ada!"})
    );
    let info = node.get("/functions/add")?.json()?;
    assert_eq!(
        (&info["Runtime"], &info["MemoryMB"]),
        (&json!("wasm"), &json!(64))
    );
    let deleted = node.ask(&Request::post("/delete", r#"{"Name":"add"}"#))?;
    assert_eq!(
        (deleted.status, deleted.text()),
        (200, r#"{"Deleted":"add"}"#.to_owned())
    );
    assert_eq!(node.get("/function")?.text(), "[]");
    node.ask(&Request::post("/delete", r#"{"Name":"add"}"#))?
        .assert_problem(404, "function_unknown");
    node.ask(&invoke("add", "{}", false))?
        .assert_problem(404, "function_unknown");
    node.get("/functions/add")?
        .assert_problem(404, "function_unknown");
    Ok(())
}

#[test]
fn an_invocations_answer_has_serverledges_members() -> Result<()> {
    // What is deployed is loaded; after a start the first call loads it.
    let node = node_with_add()?.stop()?.restart()?;
    for warm in [false, true] {
        let response = node.ask(&invoke("add", r#"{"a":2,"b":3}"#, false))?;
        let envelope = response.json()?;
        assert_eq!(envelope["Result"], r#"{"sum":5}"#, "JSON in a string");
        assert_eq!(
            (&envelope["Success"], &envelope["IsWarmStart"]),
            (&json!(true), &json!(warm))
        );
        for seconds in [
            "ResponseTime",
            "InitTime",
            "QueueingTime",
            "OffloadLatency",
            "Duration",
        ] {
            assert!(
                envelope[seconds]
                    .as_f64()
                    .is_some_and(|time| (0.0..60.0).contains(&time)),
                "{seconds}: {envelope}"
            );
        }
        assert_eq!(
            (&envelope["Output"], &envelope["ExecutionArea"]),
            (&json!(""), &json!("ROME"))
        );
        assert!(
            envelope["ExecutionNode"]
                .as_str()
                .is_some_and(|node| !node.is_empty())
        );
        check_headers(&response)?;
    }
    Ok(())
}

/// Checks the headers that Serverledge's load balancer reads.
fn check_headers(response: &Response) -> Result<()> {
    let header = |name: &str| {
        response
            .header(name)
            .with_context(|| format!("{name} is missing: {response:?}"))
    };
    assert!(header("serverledge-node-name")?.starts_with("(ROME)"));
    assert!(header("serverledge-free-mem")?.parse::<u64>()? > 0);
    assert!(header("serverledge-free-cpu")?.parse::<f64>()? > 0.0);
    assert!(header("serverledge-timestamp")?.parse::<u64>()? > 1_700_000_000);
    assert!(["amd64", "arm64"].contains(&header("serverledge-node-arch")?));
    let timing = header("server-timing")?;
    for phase in ["queue;dur=", "start;dur=", "exec;dur=", "total;dur="] {
        assert!(timing.contains(phase), "{timing}");
    }
    Ok(())
}

#[test]
fn members_match_in_any_case_and_bodies_may_be_empty() -> Result<()> {
    let node = node_with_add()?;
    let lower = Request::post(
        "/invoke/add",
        r#"{"params":{"a":1,"b":2},"qosclass":1,"CANDOOFFLOADING":false}"#,
    );
    assert_eq!(node.ask(&lower)?.result()?, json!({"sum": 3}));
    let unknown = Request::post("/invoke/add", r#"{"Params":{"a":1,"b":2},"unknown":[1]}"#);
    node.ask(&unknown)?.assert_problem(400, "unknown_member");
    node.deploy_example("hello")?;
    for empty in ["", "{}", r#"{"Params":null}"#, " \r\n"] {
        let response = node.ask(&Request::post("/invoke/hello", empty))?;
        assert_eq!(
            response.result()?,
            json!({"message": "Hello, world!"}),
            "{empty:?}"
        );
    }
    let code = STANDARD.encode(guests::constant(7));
    let lower = Request::post(
        "/create",
        format!(r#"{{"name":"seven","RUNTIME":"wasm","memorymb":16,"tarFunctionCode":"{code}"}}"#),
    );
    assert_eq!(node.ask(&lower)?.status, 200);
    assert_eq!(node.get("/functions/seven")?.json()?["MemoryMB"], 16);
    let deleted = node.ask(&Request::post("/delete", r#"{"name":"seven"}"#))?;
    assert_eq!(deleted.json()?["Deleted"], "seven");
    Ok(())
}

#[test]
fn the_functions_log_comes_on_request() -> Result<()> {
    let node = Node::start()?;
    node.deploy("f", guests::command("(call $done)"))?;
    for (asked, log) in [(true, "last words\n"), (false, "")] {
        let response = node.post("/invoke/f", &json!({ "ReturnOutput": asked }))?;
        assert_eq!(response.json()?["Output"], log);
        assert_eq!(response.result()?, json!({"done": true}));
    }
    Ok(())
}

#[test]
fn asynchronous_invocations_are_polled() -> Result<()> {
    let node = Node::start()?;
    node.deploy("slow", guests::sleeper(5_000))?;
    let accepted = node.ask(&invoke("slow", "{}", true))?;
    assert_eq!(accepted.status, 200);
    let accepted = accepted.json()?;
    let id = accepted["ReqId"].as_str().context("ReqId is a text")?;
    assert_eq!(accepted.as_object().map(serde_json::Map::len), Some(1));
    node.get(&format!("/poll/{id}"))?
        .assert_problem(404, "invocation_not_finished");
    let done = crate::asynchronous::poll(&node, id)?;
    assert_eq!(done.result()?, json!({"done": true}));
    for unknown in ["01890000-0000-7000-8000-000000000000", "add-12345", "x"] {
        node.get(&format!("/poll/{unknown}"))?
            .assert_problem(404, "invocation_unknown");
    }
    node.ask(&invoke("nobody", "{}", true))?
        .assert_problem(404, "function_unknown");
    Ok(())
}

#[test]
fn prewarming_counts_what_fits() -> Result<()> {
    let node = Setup::new()?.with("container.pool.memory", 256).start()?;
    node.deploy_example("add")?;
    let node = node.stop()?.restart()?;
    for (asked, answered) in [(1, 1), (2, 2), (50, 2), (0, 0), (-3, 0)] {
        let body = format!(r#"{{"Function":"add","Instances":{asked},"ForceImagePull":false}}"#);
        assert_eq!(
            node.ask(&Request::post("/prewarm", body))?.json()?,
            json!({ "Prewarmed": answered }),
            "{asked}"
        );
    }
    assert_eq!(
        node.invoke("add", &json!({"a": 1, "b": 1}))?.json()?["IsWarmStart"],
        true
    );
    node.ask(&Request::post(
        "/prewarm",
        r#"{"Function":"nobody","Instances":1}"#,
    ))?
    .assert_problem(404, "function_unknown");
    Ok(())
}

#[test]
fn status_has_serverledges_members() -> Result<()> {
    let node = Setup::new()?
        .with("container.pool.memory", 512)
        .with("container.pool.cpus", 2)
        .start()?;
    let status = node.status()?;
    assert_eq!(status["AvailableWarmContainers"], json!({}));
    for (member, value) in [
        ("TotalMemory", 512),
        ("AvailableMemory", 512),
        ("FreeMemory", 512),
    ] {
        assert_eq!(status[member], value, "{member}");
    }
    assert_eq!(
        (&status["TotalCPU"], &status["UsedCPU"]),
        (&json!(2.0), &json!(0.0))
    );
    assert_eq!(status["Coordinates"]["Vec"], json!([0.0, 0.0, 0.0]));
    assert_eq!(status["LoadAvg"].as_array().map(Vec::len), Some(3));
    assert!(
        status["LastUpdateTime"]
            .as_i64()
            .is_some_and(|time| time > 1_700_000_000)
    );
    Ok(())
}

/// A running invocation holds what its function declares.
#[test]
fn status_tells_what_is_reserved() -> Result<()> {
    let node = Setup::new()?
        .with("container.pool.memory", 512)
        .with("container.pool.cpus", 2)
        .start()?;
    node.deploy_with(
        "slow",
        guests::sleeper(5_000),
        &json!({"MemoryMB": 100, "CPUDemand": 0.5}),
    )?;
    std::thread::scope(|scope| {
        let call = crate::support::beside(scope, || node.invoke("slow", &json!({})));
        node.wait_for_status("Running", 1)?;
        let status = node.status()?;
        assert_eq!(
            (&status["AvailableMemory"], &status["UsedCPU"]),
            (&json!(412), &json!(0.5)),
            "{status}"
        );
        crate::support::joined(call)?.result()?;
        node.wait_until_free()
    })
}

#[test]
fn faults_have_serverledges_statuses() -> Result<()> {
    let node = node_with_add()?;
    let tar = tar_of("f.wasm", &example("add")?)?;
    node.ask(&create("f", "python38", 128, &tar))?
        .assert_problem(404, "unknown_runtime");
    node.ask(&create("f", "wasm", 0, &tar))?
        .assert_problem(422, "invalid_memory");
    node.ask(&create("f", "wasm", -5, &tar))?
        .assert_problem(422, "invalid_memory");
    // The function's own failure.
    node.ask(&invoke("add", r#"{"a":"x"}"#, false))?
        .assert_problem(500, "function_error");
    node.ask(&Request::get("/invoke/add"))?
        .assert_problem(405, "method_not_allowed");
    node.ask(&Request::get("/create"))?
        .assert_problem(405, "method_not_allowed");
    node.ask(&Request::get("/nowhere"))?
        .assert_problem(404, "route_unknown");
    let echoed = node.ask(
        &invoke("add", r#"{"a":1,"b":2}"#, false).header("Serverledge-MAB-Request-ID", "mab-7"),
    )?;
    assert_eq!(echoed.header("serverledge-mab-request-id"), Some("mab-7"));
    Ok(())
}

#[test]
fn metrics_count() -> Result<()> {
    let node = node_with_add()?.stop()?.restart()?;
    for n in 0..5 {
        node.invoke("add", &json!({"a": n, "b": 1}))?.result()?;
    }
    node.invoke("add", &json!({"a": "x"}))?;
    let response = node.get("/metrics")?;
    assert!(
        response
            .header("content-type")
            .is_some_and(|kind| kind.starts_with("text/plain; version=0.0.4"))
    );
    let text = response.text();
    for line in [
        r#"completed_count{area="ROME",function="add"} 5"#,
        r#"cold_starts_count{area="ROME",function="add"} 1"#,
        r#"execution_time_count{function="add"} 5"#,
        r#"init_time_count{function="add"} 1"#,
        r#"output_size_count{function="add"} 5"#,
        r#"serverledge_failures_total{code="function_error",function="add"} 1"#,
        "serverledge_running 0",
        "serverledge_functions 1",
    ] {
        assert!(
            text.lines().any(|found| found == line),
            "{line} is missing:\n{text}"
        );
    }
    let off = Setup::new()?.with("metrics.enabled", false).start()?;
    off.get("/metrics")?.assert_problem(404, "metrics_disabled");
    Ok(())
}

#[test]
fn signatures_are_kept() -> Result<()> {
    let node = Node::start()?;
    let signature = json!({"Inputs": [{"Name": "a", "Type": "Int"}], "Outputs": [{"Name": "r", "Type": "Text"}]});
    node.deploy_with("f", guests::constant(1), &json!({ "Signature": signature }))?;
    let kept: Value = node.get("/functions/f")?.json()?;
    assert_eq!(kept["Signature"], signature);
    Ok(())
}
