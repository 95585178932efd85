//! Deploying, replacing and deleting functions on a whole node.

use serde_json::json;

use crate::support::{ECHO, Lab, constant};

#[tokio::test]
async fn functions_are_created_replaced_and_deleted() {
    let lab = Lab::new();
    let one = constant("1");
    let two = constant("2");
    let node = lab.start().await;
    lab.compile(&one).await;
    lab.compile(&two).await;
    let created = node.deploy("/create", "f", &one, json!({})).await.json();
    assert_eq!(
        (&created["Created"], &created["Interface"]),
        (&json!("f"), &json!("reactor"))
    );
    assert_eq!(node.invoke("f", "{}").await, json!(1));
    assert_eq!(
        node.deploy("/create", "f", &two, json!({})).await.outcome(),
        "409 function_exists"
    );
    assert_eq!(
        node.invoke("f", "{}").await,
        json!(1),
        "a refused deployment changes nothing"
    );
    let updated = node.deploy("/update", "f", &two, json!({})).await.json();
    assert_ne!(created["Version"], updated["Version"]);
    assert_eq!(node.invoke("f", "{}").await, json!(2));
    assert_eq!(
        node.ask("POST", "/delete", "{\"Name\":\"f\"}").await.status,
        200
    );
    assert_eq!(
        node.ask("POST", "/fn/f", "").await.outcome(),
        "404 function_unknown"
    );
    assert_eq!(
        node.ask("POST", "/delete", "{\"Name\":\"f\"}")
            .await
            .outcome(),
        "404 function_unknown"
    );
    assert_eq!(
        node.deploy("/create", "f", &one, json!({})).await.status,
        200,
        "the name is free again"
    );
    assert_eq!(node.invoke("f", "{}").await, json!(1));
    node.stop().await;
}

#[tokio::test]
async fn what_is_refused_is_not_stored() {
    let lab = Lab::new();
    let node = lab.start().await;
    lab.compile(ECHO).await;
    for (name, more, expected) in [
        ("a/b", json!({}), "422 invalid_name"),
        ("", json!({}), "422 invalid_name"),
        (&"x".repeat(129), json!({}), "422 invalid_name"),
        ("f", json!({"Runtime": "cobol"}), "404 unknown_runtime"),
        (
            "f",
            json!({"Runtime": "python310"}),
            "503 docker_unavailable",
        ),
        ("f", json!({"MemoryMB": 0}), "422 invalid_memory"),
        ("f", json!({"MemoryMB": 4000}), "422 exceeds_node"),
        ("f", json!({"Timeout": 1e6}), "422 invalid_member"),
        (
            "f",
            json!({"Env": {"SERVERLEDGE_X": "1"}}),
            "422 invalid_member",
        ),
        ("f", json!({"TarFunctionCode": ""}), "422 no_code"),
        ("f", json!({"TarFunctionCode": "%"}), "422 malformed_base64"),
    ] {
        assert_eq!(
            node.deploy("/create", name, ECHO, more.clone())
                .await
                .outcome(),
            expected,
            "{name:?} {more}"
        );
    }
    assert_eq!(node.get("/functions").await.json(), json!([]));
    node.stop().await;
}

/// Many clients deploy the same name at once: one wins each time, and the stored function is the one that is served.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn concurrent_creations_have_one_winner() {
    let lab = Lab::new();
    let codes: Vec<String> = (0..8).map(|n| constant(&n.to_string())).collect();
    let node = lab.start().await;
    for code in &codes {
        lab.compile(code).await;
    }
    let answers = codes
        .iter()
        .map(|code| node.deploy("/create", "f", code, json!({})));
    let mut won = Vec::new();
    for (n, answer) in join_all(answers).await.into_iter().enumerate() {
        match answer.outcome().as_str() {
            "200" => won.push(n),
            other => assert_eq!(other, "409 function_exists"),
        }
    }
    assert_eq!(won.len(), 1, "{won:?}");
    assert_eq!(node.invoke("f", "{}").await, json!(won[0]));
    node.stop().await;
    let node = lab.start().await;
    assert_eq!(
        node.invoke("f", "{}").await,
        json!(won[0]),
        "after a restart"
    );
    node.stop().await;
}

pub(crate) async fn join_all<T>(futures: impl Iterator<Item = impl Future<Output = T>>) -> Vec<T> {
    let mut pending: Vec<_> = futures.map(|future| (Box::pin(future), None)).collect();
    std::future::poll_fn(|cx| {
        let mut all = true;
        for (future, done) in &mut pending {
            if done.is_none() {
                match future.as_mut().poll(cx) {
                    std::task::Poll::Ready(value) => *done = Some(value),
                    std::task::Poll::Pending => all = false,
                }
            }
        }
        if all {
            std::task::Poll::Ready(())
        } else {
            std::task::Poll::Pending
        }
    })
    .await;
    pending.into_iter().filter_map(|(_, done)| done).collect()
}
