//! Changes of single members: what the answer tells, entity tags, and what is refused.

use axum::body::Body;
use expect_test::expect;
use http::{Method, Request, Response};
use serde_json::json;
use serverledge_api::DeployError;
use serverledge_core::FunctionName;

use crate::support::{LIMITS, app, get, json, outcome, post, request, shown, with};

fn patch(uri: &str, body: impl Into<Body>) -> Request<Body> {
    request(&Method::PATCH, uri, body)
}

fn tag(response: &Response<Body>) -> String {
    response.headers()["etag"].to_str().unwrap().to_owned()
}

#[tokio::test]
async fn the_answer_tells_what_has_changed() {
    let (app, _) = app();
    let body = r#"{"MemoryMB":64,"Env":{"A":"1"},"Secrets":{"K":"hunter2"},"edge":true}"#;
    let told = shown(app.handle(patch("/functions/json", body)).await).await;
    expect![[r#"
        200 OK
        content-type: application/json
        {"Updated":"json","Changes":[{"Member":"MemoryMB","From":128,"To":64},{"Member":"Edge","From":false,"To":true},{"Member":"Env","Name":"A","Change":"added"},{"Member":"Secrets","Name":"K","Change":"added"}],"Previous":"abababababababababababababababababababababababababababababababab","Function":{"Name":"json","Runtime":"wasm","Version":"abababababababababababababababababababababababababababababababab","Code":"cdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcd","Handler":"main","MemoryMB":64,"CPUDemand":0.0,"MaxConcurrency":1,"Timeout":30.0,"CPUTime":0.5,"Env":["A","SECRET"],"Secrets":["K","KEY"],"Network":"none","Idempotent":true,"Edge":true,"Isolation":"kept"},"Interface":"reactor","Footprint":{"MachineCodeBytes":2048,"MemoryBytes":65536}}"#]].assert_eq(&told);
    for body in ["", "{}", body] {
        let again = json(app.handle(patch("/functions/json", body)).await).await;
        assert_eq!(again["Changes"], json!([]), "{body}");
    }
}

#[tokio::test]
async fn steps_are_told_on_request() {
    let (app, handle) = app();
    handle.deploys_tell(&["one"]);
    let asked = with(
        patch("/functions/json", r#"{"MemoryMB":64}"#),
        &[("accept", "application/x-ndjson")],
    );
    let told = shown(app.handle(asked).await).await;
    assert!(
        told.contains("{\"Progress\":\"one\"}\n{\"Updated\":{\"Updated\":\"json\",\"Changes\":["),
        "{told}"
    );
    let unknown = with(
        patch("/functions/nobody", "{}"),
        &[("accept", "application/x-ndjson")],
    );
    assert!(
        shown(app.handle(unknown).await)
            .await
            .contains("\"code\":\"function_unknown\"")
    );
}

#[tokio::test]
async fn a_tag_names_a_state() {
    let (app, _) = app();
    let first = tag(&app.handle(get("/functions/json")).await);
    assert_eq!(tag(&app.handle(get("/functions/json")).await), first);
    let change = |tag: &str, memory: u32| {
        with(
            patch("/functions/json", format!("{{\"MemoryMB\":{memory}}}")),
            &[("if-match", tag)],
        )
    };
    let changed = app.handle(change(&first, 64)).await;
    let second = tag(&changed);
    assert_ne!(first, second);
    assert_eq!(tag(&app.handle(get("/functions/json")).await), second);
    assert_eq!(
        outcome(app.handle(change(&first, 65)).await).await,
        "412 precondition_failed"
    );
    let both = with(change("\"x\"", 65), &[("if-match", &second)]);
    assert_eq!(outcome(app.handle(both).await).await, "200");
    assert_eq!(outcome(app.handle(change("*", 66)).await).await, "200");
}

#[tokio::test]
async fn what_is_wrong_is_named() {
    let (app, handle) = app();
    let long = " ".repeat(LIMITS.code_body_bytes_max + 1);
    for (uri, body, expected) in [
        ("/functions/json", r#"{"Memory":64}"#, "400 unknown_member"),
        (
            "/functions/json",
            r#"{"MemoryMB":"64"}"#,
            "400 malformed_member",
        ),
        (
            "/functions/json",
            r#"[{"op":"replace"}]"#,
            "400 malformed_json",
        ),
        ("/functions/json", r#"{"MemoryMB":0}"#, "422 invalid_memory"),
        (
            "/functions/json",
            r#"{"Runtime":"cobol"}"#,
            "404 unknown_runtime",
        ),
        ("/functions/json", &long, "413 body_too_large"),
        ("/functions/nobody", "{}", "404 function_unknown"),
        ("/functions/%FF", "{}", "404 function_unknown"),
        ("/functions", "{}", "405 method_not_allowed"),
    ] {
        assert_eq!(
            outcome(app.handle(patch(uri, body.to_owned())).await).await,
            expected,
            "{uri} {body}"
        );
    }
    handle.refuse_deploy(DeployError::Contended(FunctionName::parse("json").unwrap()));
    assert_eq!(
        outcome(app.handle(patch("/functions/json", "{}")).await).await,
        "503 function_contended"
    );
    let refused = shown(
        app.handle(patch("/functions/json", r#"{"Secrets":{"K":["hunter2"]}}"#))
            .await,
    )
    .await;
    assert!(
        refused.contains("malformed_member") && !refused.contains("hunter2"),
        "{refused}"
    );
    let other = app
        .handle(request(&Method::PUT, "/functions/json", "{}"))
        .await;
    assert_eq!(other.headers()["allow"], "GET, PATCH");
}

/// Serverledge's own route replaces the whole function, and says so.
#[tokio::test]
async fn a_whole_replacement_says_what_is_gone() {
    let (app, _) = app();
    let change = r#"{"MemoryMB":64,"Env":{"A":"1"},"AllowHosts":["a.example"],"Idempotent":false,"Edge":true,"Isolation":"fresh"}"#;
    app.handle(patch("/functions/json", change)).await;
    let replaced = json(app.handle(post("/update", r#"{"Name":"json"}"#)).await).await;
    assert_eq!(replaced["Replaced"], true);
    let remark = "the whole function was replaced; back at their defaults are MemoryMB, AllowHosts, Edge, \
                  Isolation, Env A; PATCH /functions/{name}, or `update` of the client, changes only what it names";
    assert_eq!(replaced["Remarks"], json!(["a remark", remark]));
    let created = json(app.handle(post("/create", r#"{"Name":"new"}"#)).await).await;
    assert_eq!(
        (&created["Replaced"], &created["Remarks"]),
        (&json!(null), &json!(["a remark"]))
    );
}
