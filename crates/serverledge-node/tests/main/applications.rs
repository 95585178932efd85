//! Applications on a whole node: their functions, endpoints and settings, across renames, deletions and restarts.

use serde_json::json;

use crate::functions::join_all;
use crate::support::{ECHO, Lab, constant};

#[tokio::test]
async fn functions_of_an_application_are_its_own() {
    let lab = Lab::new();
    let one = constant("1");
    let two = constant("2");
    let node = lab.start().await;
    lab.compile(&one).await;
    lab.compile(&two).await;
    assert_eq!(
        node.ask("POST", "/apps", r#"{"name":"shop"}"#).await.status,
        201
    );
    node.create("f", &one).await;
    assert_eq!(
        node.deploy("/apps/shop/create", "f", &two, json!({}))
            .await
            .status,
        200
    );
    assert_eq!(
        node.deploy("/apps/shop/create", "f", &two, json!({}))
            .await
            .outcome(),
        "409 function_exists"
    );
    let result = async |uri: &str| node.ask("POST", uri, "{}").await;
    assert_eq!(result("/fn/f").await.json(), json!(1));
    assert_eq!(result("/apps/shop/fn/f").await.json(), json!(2));
    assert_eq!(result("/apps/shop/invoke/f").await.json()["Result"], "2");
    assert_eq!(node.get("/apps/shop/functions").await.json(), json!(["f"]));
    assert_eq!(
        node.get("/apps/shop").await.json()["functions"],
        json!(["f"])
    );
    let accepted = node
        .ask("POST", "/apps/shop/functions/f/invocations", "{}")
        .await;
    let id = accepted.json()["id"].as_str().unwrap().to_owned();
    let place = format!("/apps/shop/invocations/{id}");
    assert!(
        accepted.head.contains(&format!("location: {place}\r\n")),
        "{accepted:?}"
    );
    node.wait_for("the outcome", &place, |answer| {
        answer.json()["state"] == "done"
    })
    .await;
    assert_eq!(
        node.ask("POST", "/apps", r#"{"name":"other"}"#)
            .await
            .status,
        201
    );
    assert_eq!(
        node.get(&format!("/apps/other/invocations/{id}"))
            .await
            .outcome(),
        "404 invocation_unknown"
    );
    assert_eq!(
        node.ask("POST", "/apps/shop/delete", r#"{"Name":"f"}"#)
            .await
            .status,
        200
    );
    assert_eq!(
        result("/apps/shop/fn/f").await.outcome(),
        "404 function_unknown"
    );
    assert_eq!(result("/fn/f").await.json(), json!(1));
    node.stop().await;
}

#[tokio::test]
async fn what_was_kept_outlives_a_restart() {
    let lab = Lab::new();
    let node = lab.start().await;
    lab.compile(ECHO).await;
    node.ask("POST", "/apps", r#"{"name":"shop"}"#).await;
    assert_eq!(
        node.ask("POST", "/apps", r#"{"name":"shop"}"#)
            .await
            .outcome(),
        "409 application_exists"
    );
    node.deploy("/apps/shop/create", "echo", ECHO, json!({}))
        .await;
    let endpoint =
        |path: &str, function: &str| json!({"path": path, "function": function}).to_string();
    let put = async |body: String| node.ask("PUT", "/apps/shop/endpoints", &body).await;
    assert_eq!(
        put(endpoint("b", "nobody")).await.outcome(),
        "422 function_unknown"
    );
    assert_eq!(put(endpoint("b", "echo")).await.status, 200);
    assert_eq!(put(endpoint("a", "echo")).await.status, 200);
    let all = put(endpoint("b", "echo")).await.json();
    let paths: Vec<_> = all
        .as_array()
        .unwrap()
        .iter()
        .map(|one| one["path"].clone())
        .collect();
    assert_eq!(paths, ["a", "b"], "sorted, and one for each path");
    assert_eq!(
        node.ask("PATCH", "/apps/shop", r#"{"name":"store","cors":"any"}"#)
            .await
            .status,
        200
    );
    node.ask("PUT", "/apps/store/dependencies", "requests==2.32.3\n")
        .await;
    assert_eq!(
        node.ask("DELETE", "/apps/store/endpoints?path=a", "")
            .await
            .status,
        200
    );
    let before = node.get("/apps/store").await.json();
    node.stop().await;

    let node = lab.start().await;
    assert_eq!(node.get("/apps/store").await.json(), before);
    assert_eq!(
        before["endpoints"],
        json!([{"method": "POST", "path": "b", "function": "echo"}])
    );
    assert_eq!(before["dependencies"], "requirements.txt");
    assert_eq!(
        node.get("/apps/shop").await.outcome(),
        "404 application_unknown"
    );
    assert_eq!(
        node.ask("POST", "/apps/store/fn/echo", "7").await.json(),
        json!(7)
    );
    node.stop().await;
}

/// Its name is free at once, and a new owner of the name gets nothing of the old application.
#[tokio::test]
async fn a_deleted_application_leaves_nothing() {
    let lab = Lab::new();
    let node = lab.start().await;
    lab.compile(ECHO).await;
    node.ask("POST", "/apps", r#"{"name":"shop"}"#).await;
    node.deploy("/apps/shop/create", "echo", ECHO, json!({}))
        .await;
    node.ask(
        "PUT",
        "/apps/shop/endpoints",
        r#"{"path":"a","function":"echo"}"#,
    )
    .await;
    let first = node.get("/apps/shop").await.json();
    assert_eq!(node.ask("DELETE", "/apps/shop", "").await.status, 204);
    assert_eq!(
        node.ask("DELETE", "/apps/shop", "").await.outcome(),
        "404 application_unknown"
    );
    assert_eq!(
        node.ask("POST", "/apps/shop/fn/echo", "1").await.outcome(),
        "404 application_unknown"
    );
    assert_eq!(node.get("/apps").await.json(), json!([]));
    assert_eq!(node.get("/status").await.json()["Functions"], 0);
    assert_eq!(
        node.ask("POST", "/apps", r#"{"name":"shop"}"#).await.status,
        201
    );
    let second = node.get("/apps/shop").await.json();
    assert_ne!(second["id"], first["id"]);
    assert_eq!(
        (&second["functions"], &second["endpoints"]),
        (&json!([]), &json!([]))
    );
    node.stop().await;

    let node = lab.start().await;
    assert_eq!(node.get("/apps/shop").await.json(), second);
    assert_eq!(node.get("/status").await.json()["Functions"], 0);
    node.stop().await;
}

/// Concurrent changes of different endpoints: none is lost.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn concurrent_changes_are_all_made() {
    let lab = Lab::new();
    let node = lab.start().await;
    lab.compile(ECHO).await;
    node.ask("POST", "/apps", r#"{"name":"shop"}"#).await;
    node.deploy("/apps/shop/create", "echo", ECHO, json!({}))
        .await;
    let bodies: Vec<String> = (0..8)
        .map(|i| json!({"path": format!("p{i}"), "function": "echo"}).to_string())
        .collect();
    let puts = bodies
        .iter()
        .map(|body| node.ask("PUT", "/apps/shop/endpoints", body));
    let answers = join_all(puts).await;
    assert!(
        answers.iter().all(|answer| answer.status == 200),
        "{answers:?}"
    );
    assert_eq!(
        node.get("/apps/shop/endpoints")
            .await
            .json()
            .as_array()
            .unwrap()
            .len(),
        8
    );
    let names: Vec<String> = (0..8).map(|_| r#"{"name":"wanted"}"#.to_owned()).collect();
    let creations = join_all(names.iter().map(|body| node.ask("POST", "/apps", body))).await;
    let mut outcomes: Vec<u16> = creations.iter().map(|answer| answer.status).collect();
    outcomes.sort_unstable();
    assert_eq!(outcomes, [201, 409, 409, 409, 409, 409, 409, 409]);
    node.stop().await;
}
