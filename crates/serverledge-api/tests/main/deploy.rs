//! Deploys that tell what happens meanwhile.

use axum::body::Body;
use expect_test::expect;
use http::{Request, Response};
use http_body_util::BodyExt as _;
use serverledge_api::DeployError;
use serverledge_core::PrepareError;

use crate::support::{LIMITS, app, get, outcome, post, shown, with};

const BODY: &str = "{\"Name\":\"f\"}";

fn streamed(uri: &str, body: &'static str) -> Request<Body> {
    with(post(uri, body), &[("accept", "application/x-ndjson")])
}

/// The next piece of a body, as text; `None` at its end.
async fn piece(response: &mut Response<Body>) -> Option<String> {
    let frame = response.body_mut().frame().await?.unwrap();
    Some(String::from_utf8(frame.into_data().unwrap().to_vec()).unwrap())
}

#[tokio::test]
async fn steps_come_before_the_outcome() {
    let (app, handle) = app();
    handle.deploys_tell(&["installing dependencies\n", "starting"]);
    let created = shown(app.handle(streamed("/create", BODY)).await).await;
    expect![[r#"
        200 OK
        content-type: application/x-ndjson
        x-content-type-options: nosniff
        {"Progress":"installing dependencies"}
        {"Progress":"starting"}
        {"Created":{"Created":"f","Runtime":"wasm","Version":"abababababababababababababababababababababababababababababababab","Interface":"reactor","Footprint":{"MachineCodeBytes":2048,"MemoryBytes":65536},"Remarks":["a remark"]}}
    "#]].assert_eq(&created);
    assert_eq!(
        shown(app.handle(streamed("/update", BODY)).await).await,
        created
    );
    assert_eq!(handle.deploys().len(), 2);
}

#[tokio::test]
async fn steps_come_as_events() {
    let (app, handle) = app();
    handle.deploys_tell(&["one"]);
    let request = with(post("/create", BODY), &[("accept", "text/event-stream")]);
    let told = shown(app.handle(request).await).await;
    let events = "event: progress\ndata: {\"Progress\":\"one\"}\n\nevent: created\ndata: {\"Created\":{\"Created\":\"f\",";
    assert!(
        told.contains("content-type: text/event-stream") && told.contains(events),
        "{told}"
    );
}

#[tokio::test]
async fn steps_come_while_it_runs() {
    let (app, handle) = app();
    handle.deploys_tell(&["one", "two"]);
    handle.hold_deploys();
    let mut response = app.handle(streamed("/create", BODY)).await;
    assert_eq!(
        piece(&mut response).await.unwrap(),
        "{\"Progress\":\"one\"}\n"
    );
    assert_eq!(
        piece(&mut response).await.unwrap(),
        "{\"Progress\":\"two\"}\n"
    );
    handle.release_deploys();
    assert!(
        piece(&mut response)
            .await
            .unwrap()
            .starts_with("{\"Created\":{")
    );
    assert_eq!(piece(&mut response).await, None);
}

#[tokio::test(start_paused = true)]
async fn silence_is_broken_by_signs_of_life() {
    let (app, handle) = app();
    handle.hold_deploys();
    let mut response = app.handle(streamed("/create", BODY)).await;
    for _ in 0..3 {
        let began = tokio::time::Instant::now();
        assert_eq!(piece(&mut response).await.unwrap(), "{}\n");
        assert_eq!(began.elapsed().as_secs(), 10);
    }
    handle.release_deploys();
    assert!(
        piece(&mut response)
            .await
            .unwrap()
            .starts_with("{\"Created\":{")
    );
}

#[tokio::test]
async fn a_caller_that_leaves_ends_it() {
    let (app, handle) = app();
    handle.hold_deploys();
    handle.deploys_tell(&["one"]);
    let mut response = app.handle(streamed("/create", BODY)).await;
    assert!(piece(&mut response).await.is_some());
    assert_eq!(
        (handle.deploying().begun, handle.deploying().dropped),
        (1, 0)
    );
    drop(response);
    assert_eq!(
        (handle.deploying().ended, handle.deploying().dropped),
        (0, 1)
    );
}

#[tokio::test]
async fn failures_keep_their_status() {
    let (app, handle) = app();
    let source = std::io::Error::other("no such file").into();
    let what = "Docker does not answer".to_owned();
    handle.refuse_deploy(
        PrepareError::Unavailable {
            code: "docker_unavailable",
            what,
            source,
        }
        .into(),
    );
    let told = shown(
        app.handle(with(streamed("/create", BODY), &[("x-request-id", "r1")]))
            .await,
    )
    .await;
    expect![[r#"
        200 OK
        content-type: application/x-ndjson
        x-content-type-options: nosniff
        {"Problem":{"type":"about:blank","title":"Service Unavailable","status":503,"code":"docker_unavailable","detail":"Docker does not answer: no such file","request_id":"r1"},"RetryAfter":1}
    "#]].assert_eq(&told);
    handle.refuse_deploy(DeployError::Code {
        code: "unsafe_path",
        message: "../x leads out".to_owned(),
    });
    let told = shown(
        app.handle(with(streamed("/update", BODY), &[("x-request-id", "r1")]))
            .await,
    )
    .await;
    expect![[r#"
        200 OK
        content-type: application/x-ndjson
        x-content-type-options: nosniff
        {"Problem":{"type":"about:blank","title":"Unprocessable Entity","status":422,"code":"unsafe_path","detail":"../x leads out","request_id":"r1"}}
    "#]].assert_eq(&told);
    let told = shown(
        app.handle(with(streamed("/create", "[1]"), &[("x-request-id", "r1")]))
            .await,
    )
    .await;
    assert!(
        told.contains("\"code\":\"malformed_json\"") && told.starts_with("200 OK"),
        "{told}"
    );
}

/// Faults of the request's transport are known before the answer begins.
#[tokio::test]
async fn bodies_that_are_too_large_are_refused_at_once() {
    let (app, _) = app();
    let large = with(
        post("/create", " ".repeat(LIMITS.code_body_bytes_max + 1)),
        &[("accept", "application/x-ndjson")],
    );
    assert_eq!(outcome(app.handle(large).await).await, "413 body_too_large");
}

/// A deploy under way counts among the requests at once: its code lies in memory.
#[tokio::test]
async fn deploys_under_way_keep_their_places() {
    let (app, handle) = app();
    handle.hold_deploys();
    let mut under_way = Vec::new();
    for _ in 0..LIMITS.concurrency_max {
        under_way.push(app.handle(streamed("/create", BODY)).await);
    }
    assert_eq!(
        outcome(app.handle(get("/functions")).await).await,
        "503 too_many_requests_at_once"
    );
    under_way.pop();
    assert_eq!(outcome(app.handle(get("/functions")).await).await, "200");
    handle.release_deploys();
    for response in under_way {
        assert!(shown(response).await.contains("Created"));
    }
    assert_eq!(outcome(app.handle(get("/functions")).await).await, "200");
}

/// Values of secrets are in no answer and in no `Debug` form.
#[tokio::test]
async fn secrets_are_not_echoed() {
    let (app, handle) = app();
    let secret =
        |rest: &str| format!("{{\"Name\":\"f\",\"Secrets\":{{\"KEY\":\"hunter2\"{rest}}}}}");
    let malformed = ",\"N\":77777";
    let twice = ",\"SERVERLEDGE_X\":\"hunter2\"";
    let many = ",\"A=B\":\"hunter2\"";
    for body in ["", malformed, twice, many].map(secret) {
        let told = shown(app.handle(post("/create", body.clone())).await).await;
        assert!(
            !told.contains("hunter2") && !told.contains("77777"),
            "{told}"
        );
        let asked = serverledge_wire::function::FunctionBody::parse(body.as_bytes());
        assert!(!format!("{asked:?}").contains("hunter2"), "{asked:?}");
    }
    assert!(
        handle.deploys()[0].1.contains("hunter2"),
        "the node gets them"
    );
    let bad = shown(app.handle(post("/create", secret(malformed))).await).await;
    expect![[r#"
        400 Bad Request
        content-type: application/problem+json
        {"code":"malformed_member","detail":"member \"Secrets\": expected an object of strings","status":400,"title":"Bad Request","type":"about:blank"}"#]].assert_eq(&bad);
}
