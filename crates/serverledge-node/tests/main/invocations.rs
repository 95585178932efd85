//! Invocations on a whole node: resources, nested calls, asynchronous ones, and metrics.

use serde_json::json;
use serverledge_core::{CpuMilli, MemoryMib};

use crate::support::{ECHO, Lab, SLEEPER, calling, calling_often, constant, one_at_a_time};

#[tokio::test]
async fn a_full_node_says_so_and_recovers() {
    let lab = Lab::new();
    let node = lab.start_with(one_at_a_time).await;
    lab.compile(SLEEPER).await;
    lab.compile(ECHO).await;
    node.create("sleeper", SLEEPER).await;
    node.create("echo", ECHO).await;
    let running = node.begin("/fn/sleeper").await;
    node.wait_for_running(1).await;
    let refused = node.ask("POST", "/invoke/echo", "{}").await;
    assert_eq!(refused.outcome(), "429 queue_full");
    assert!(refused.head.contains("retry-after: "), "{}", refused.head);
    // The client goes away, and its resources come back.
    drop(running);
    node.wait_for_running(0).await;
    assert_eq!(node.invoke("echo", "[2]").await, json!([2]));
    node.stop().await;
}

#[tokio::test]
async fn functions_call_functions() {
    let lab = Lab::new();
    let chain = calling("echo");
    let round = calling("round");
    // Every caller keeps its memory while it waits: room for the deepest chain.
    let node = lab
        .start_with(|config| config.pool.memory = MemoryMib::new(2048))
        .await;
    for code in [ECHO, &chain, &round] {
        lab.compile(code).await;
    }
    node.create("echo", ECHO).await;
    node.create("chain", &chain).await;
    node.create("round", &round).await;
    assert_eq!(node.invoke("chain", "{\"a\":1}").await, json!({"a": 1}));
    assert_eq!(node.invoke("round", "{}").await["error"], "call_too_deep");
    assert_eq!(
        node.ask("POST", "/delete", "{\"Name\":\"echo\"}")
            .await
            .status,
        200
    );
    assert_eq!(
        node.invoke("chain", "{}").await["error"],
        "function_unknown"
    );
    node.stop().await;
}

/// A caller keeps its memory while it waits; a callee that finds no more is refused, and nothing hangs.
#[tokio::test]
async fn a_call_without_room_is_an_error_object() {
    let lab = Lab::new();
    let chain = calling("echo");
    let node = lab.start_with(one_at_a_time).await;
    lab.compile(&chain).await;
    lab.compile(ECHO).await;
    node.create("echo", ECHO).await;
    node.create("chain", &chain).await;
    let error = node.invoke("chain", "{}").await;
    assert_eq!(error["error"], "call_would_deadlock", "{error}");
    node.stop().await;
}

/// A caller lends its CPU and its slot to its callee.
#[tokio::test]
async fn one_slot_and_one_cpu_are_enough_for_nested_calls() {
    let lab = Lab::new();
    let codes = [calling("echo"), calling("one"), calling("two")];
    let one_slot = |config: &mut serverledge_node::config::Config| {
        config.pool.memory = MemoryMib::new(4 * 128);
        config.pool.cpus = CpuMilli::new(1000);
        config.wasm.instances_max = 1;
    };
    let node = lab.start_with(one_slot).await;
    lab.compile(ECHO).await;
    node.deploy("/create", "echo", ECHO, json!({"CPUDemand": 1.0}))
        .await;
    for (name, code) in ["one", "two", "three"].into_iter().zip(&codes) {
        lab.compile(code).await;
        let created = node
            .deploy("/create", name, code, json!({"CPUDemand": 1.0}))
            .await;
        assert_eq!(created.status, 200, "{}", created.body);
    }
    let (first, second) = tokio::join!(node.invoke("three", "[1]"), node.invoke("three", "[2]"));
    assert_eq!(
        (first, second),
        (json!([1]), json!([2])),
        "two trees of four calls each, on one slot"
    );
    node.wait_for_running(0).await;
    node.stop().await;
}

#[tokio::test]
async fn an_invocation_makes_so_many_calls_and_no_more() {
    let lab = Lab::new();
    let node = lab.start().await;
    let enough = calling_often("echo", 1_000);
    let too_many = calling_often("echo", 1_001);
    for code in [ECHO, &enough, &too_many] {
        lab.compile(code).await;
    }
    node.create("echo", ECHO).await;
    node.create("enough", &enough).await;
    node.create("too-many", &too_many).await;
    assert_eq!(node.invoke("enough", "[3]").await, json!([3]));
    assert_eq!(
        node.invoke("too-many", "[3]").await["error"],
        "call_too_many"
    );
    node.stop().await;
}

#[tokio::test]
async fn asynchronous_invocations_end_with_an_outcome() {
    let lab = Lab::new();
    let bad = constant("{");
    let node = lab.start().await;
    for code in [ECHO, &bad] {
        lab.compile(code).await;
    }
    node.create("echo", ECHO).await;
    node.create("bad", &bad).await;
    let (_, outcome) = node.invoke_later("echo", "{\"n\":1}").await;
    assert_eq!(
        (&outcome["Success"], &outcome["Result"]),
        (&json!(true), &json!("{\"n\":1}"))
    );
    let (_, outcome) = node.invoke_later("bad", "{}").await;
    assert_eq!(
        (&outcome["Success"], &outcome["ErrorCode"]),
        (&json!(false), &json!("function_bad_output"))
    );
    let unknown = node.ask("POST", "/invoke/nobody", "{\"Async\":true}").await;
    assert_eq!(unknown.outcome(), "404 function_unknown");
    node.stop().await;
}

#[tokio::test]
async fn what_happens_is_counted() {
    let lab = Lab::new();
    let node = lab.start().await;
    lab.compile(ECHO).await;
    node.create("echo", ECHO).await;
    for _ in 0..3 {
        node.invoke("echo", "1").await;
    }
    let metrics = node.get("/metrics").await;
    assert!(
        metrics
            .body
            .lines()
            .any(|line| line.starts_with("completed_count") && line.ends_with(" 3")),
        "{}",
        metrics.body
    );
    let status = node.get("/status").await.json();
    assert_eq!(
        (&status["Running"], &status["Functions"]),
        (&json!(0), &json!(1))
    );
    node.stop().await;
}

#[tokio::test]
async fn only_its_own_names_reach_a_node() {
    let lab = Lab::new();
    let node = lab.start().await;
    let mut stream = tokio::net::TcpStream::connect(node.address).await.unwrap();
    let request = "GET /functions HTTP/1.1\r\nhost: evil.example\r\nconnection: close\r\n\r\n";
    tokio::io::AsyncWriteExt::write_all(&mut stream, request.as_bytes())
        .await
        .unwrap();
    assert_eq!(
        crate::support::read(stream).await.outcome(),
        "421 host_unknown"
    );
    node.stop().await;
}
