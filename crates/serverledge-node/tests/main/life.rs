//! Starting, stopping, and the faults that keep a node from starting.

use std::time::Duration;

use serde_json::json;
use serverledge_node::start;
use tokio::net::{TcpListener, TcpStream};

use crate::support::{ECHO, Lab, SLEEPER, read};

#[tokio::test]
async fn a_started_node_answers_and_a_stopped_one_does_not() {
    let lab = Lab::new();
    let node = lab.start().await;
    assert_ne!(node.address.port(), 0);
    assert_eq!(
        (
            node.get("/healthz").await.status,
            node.get("/readyz").await.status
        ),
        (200, 200)
    );
    assert_eq!(node.get("/functions").await.json(), json!([]));
    let address = node.address;
    node.stop().await;
    assert!(
        TcpStream::connect(address).await.is_err(),
        "a stopped node still listens"
    );
}

#[tokio::test]
async fn a_restart_keeps_functions_results_and_the_nodes_id() {
    let lab = Lab::new();
    let node = lab.start().await;
    lab.compile(ECHO).await;
    node.create("echo", ECHO).await;
    let info = node.get("/functions/echo").await.json();
    let status = node.get("/status").await.json();
    let (id, outcome) = node.invoke_later("echo", "[1]").await;
    assert_eq!(
        (&outcome["Success"], &outcome["Result"]),
        (&json!(true), &json!("[1]"))
    );
    node.stop().await;
    let node = lab.start().await;
    assert_eq!(node.get("/functions").await.json(), json!(["echo"]));
    assert_eq!(node.get("/functions/echo").await.json(), info);
    assert_eq!(node.get("/status").await.json()["Node"], status["Node"]);
    assert_eq!(node.invoke("echo", "{\"a\":1}").await, json!({"a": 1}));
    assert_eq!(node.get(&format!("/poll/{id}")).await.json(), outcome);
    node.stop().await;
}

#[tokio::test]
async fn a_second_node_on_the_same_data_is_refused() {
    let lab = Lab::new();
    let first = lab.start().await;
    let told = format!("{:#}", start(&lab.config()).await.unwrap_err());
    assert!(
        told.contains(lab.data().to_str().unwrap()) && told.contains("in use"),
        "{told}"
    );
    assert_eq!(
        first.get("/readyz").await.status,
        200,
        "the first node is not disturbed"
    );
    first.stop().await;
    lab.start().await.stop().await;
}

#[tokio::test]
async fn a_port_that_is_taken_is_named() {
    let lab = Lab::new();
    let taken = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = taken.local_addr().unwrap().port();
    let mut config = lab.config();
    config.api.port = port;
    let told = format!("{:#}", start(&config).await.unwrap_err());
    assert!(
        told.contains(&port.to_string()) && told.contains("api.port"),
        "{told}"
    );
    // What failed to start holds nothing.
    let node = lab.start().await;
    assert_eq!(node.get("/readyz").await.status, 200);
    node.stop().await;
}

#[tokio::test]
async fn a_data_folder_that_cannot_be_made_is_named() {
    let lab = Lab::new();
    std::fs::write(lab.data(), "a file, not a folder").unwrap();
    let told = format!("{:#}", start(&lab.config()).await.unwrap_err());
    assert!(told.contains(lab.data().to_str().unwrap()), "{told}");
}

/// An endless invocation does not keep the node from stopping; its client gets an error or is cut off.
#[tokio::test]
async fn a_stop_cuts_off_what_does_not_end() {
    let lab = Lab::new();
    let node = lab
        .start_with(|config| config.drain.timeout = Duration::from_millis(100))
        .await;
    lab.compile(SLEEPER).await;
    node.create("sleeper", SLEEPER).await;
    let stream = node.begin("/fn/sleeper").await;
    node.wait_for_running(1).await;
    node.stop().await;
    let mut rest = Vec::new();
    let mut stream = stream;
    let ended = tokio::io::AsyncReadExt::read_to_end(&mut stream, &mut rest);
    assert!(
        tokio::time::timeout(Duration::from_secs(5), ended)
            .await
            .is_ok(),
        "the node stopped, its invocation runs on"
    );
    // The data is free again.
    lab.start().await.stop().await;
}

/// A node that stops lets running invocations end, and runs nothing new.
#[tokio::test]
async fn a_stop_lets_short_work_end() {
    let lab = Lab::new();
    let node = lab.start().await;
    lab.compile(SLEEPER).await;
    let answer = node
        .deploy("/create", "sleeper", SLEEPER, json!({"Timeout": 0.5}))
        .await;
    assert_eq!(answer.status, 200, "{answer:?}");
    let stream = node.begin("/fn/sleeper").await;
    node.wait_for_running(1).await;
    node.stop().await;
    assert_eq!(read(stream).await.outcome(), "504 function_timeout");
}
