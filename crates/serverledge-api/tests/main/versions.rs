//! Versions, roll-backs, flags, and what quotas refuse.

use std::time::Duration;

use expect_test::expect;
use serverledge_api::{DeployError, QuotaExceeded};
use serverledge_core::{FunctionName, InvocationError};

use crate::support::{app, check, get, json, outcome, post};

#[tokio::test]
async fn versions_are_listed() {
    let (app, _) = app();
    check(app.handle(get("/functions/json/versions")).await, expect![[r#"
        200 OK
        content-type: application/json
        {"Function":"json","Versions":[{"Version":"abababababababababababababababababababababababababababababababab","Current":true,"DeployedUnixMs":7,"Runtime":"wasm","Interface":"json","Code":"cdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcd","CodeBytes":9,"Idempotent":true,"Edge":false,"Isolation":"kept","Footprint":{"MachineCodeBytes":2048,"MemoryBytes":65536}}]}"#]]).await;
    for uri in ["/functions/nobody/versions", "/functions/%FF/versions"] {
        assert_eq!(
            outcome(app.handle(get(uri)).await).await,
            "404 function_unknown",
            "{uri}"
        );
    }
}

#[tokio::test]
async fn the_nodes_that_have_a_version_are_listed() {
    let (app, _) = app();
    check(app.handle(get("/functions/json/nodes")).await, expect![[r#"
        200 OK
        content-type: application/json
        {"Function":"json","Version":"abababababababababababababababababababababababababababababababab","Nodes":[{"Node":"n1","Area":"ROME","State":"ready","Runs":"abababababababababababababababababababababababababababababababab"}]}"#]]).await;
    assert_eq!(
        outcome(app.handle(get("/functions/nobody/nodes")).await).await,
        "404 function_unknown"
    );
}

#[tokio::test]
async fn a_roll_back_answers_with_the_function() {
    let (app, handle) = app();
    let back = app
        .handle(post("/functions/json/rollback", r#"{"version":"abab"}"#))
        .await;
    assert_eq!(json(back).await["Name"], "json");
    check(app.handle(post("/functions/json/rollback", r#"{"Version":"0"}"#)).await, expect![[r#"
        404 Not Found
        content-type: application/problem+json
        {"code":"version_unknown","detail":"function json has no version \"0\"; /functions/json/versions lists those it has","status":404,"title":"Not Found","type":"about:blank"}"#]]).await;
    for (uri, body, expected) in [
        (
            "/functions/nobody/rollback",
            r#"{"Version":"ab"}"#,
            "404 function_unknown",
        ),
        ("/functions/json/rollback", "", "404 version_unknown"),
        ("/functions/json/rollback", "[]", "400 malformed_json"),
        (
            "/functions/json/rollback",
            r#"{"Version":5}"#,
            "400 malformed_member",
        ),
    ] {
        assert_eq!(
            outcome(app.handle(post(uri, body)).await).await,
            expected,
            "{uri} {body}"
        );
    }
    let name = FunctionName::parse("json").unwrap();
    for (error, expected) in [
        (
            DeployError::AmbiguousVersion {
                name: name.clone(),
                version: "a".to_owned(),
            },
            "422 version_ambiguous",
        ),
        (DeployError::Contended(name), "503 function_contended"),
    ] {
        handle.refuse_deploy(error);
        let answer = app
            .handle(post("/functions/json/rollback", r#"{"Version":"ab"}"#))
            .await;
        assert_eq!(outcome(answer).await, expected);
    }
}

#[tokio::test]
async fn flags_change_one_by_one() {
    let (app, _) = app();
    for (body, idempotent, edge) in [
        ("{}", true, false),
        (r#"{"Edge":true}"#, true, true),
        (r#"{"idempotent":false}"#, false, true),
        (r#"{"Idempotent":true,"Edge":false}"#, true, false),
    ] {
        let told = json(app.handle(post("/functions/json/flags", body)).await).await;
        assert_eq!(
            (&told["Idempotent"], &told["Edge"]),
            (&idempotent.into(), &edge.into()),
            "{body}"
        );
    }
    for (body, outbound) in [
        (r#"{"IdempotentOutbound":true}"#, true.into()),
        (r#"{"Edge":true}"#, true.into()),
        (
            r#"{"IdempotentOutbound":false,"Edge":false}"#,
            serde_json::Value::Null,
        ),
    ] {
        let told = json(app.handle(post("/functions/json/flags", body)).await).await;
        assert_eq!(told["IdempotentOutbound"], outbound, "{body}");
    }
    let wrong = app
        .handle(post("/functions/json/flags", r#"{"Edge":"yes"}"#))
        .await;
    assert_eq!(outcome(wrong).await, "400 malformed_member");
    for (body, isolation) in [
        (r#"{"Isolation":"fresh"}"#, "fresh"),
        ("{}", "fresh"),
        (r#"{"Isolation":"kept"}"#, "kept"),
    ] {
        let told = json(app.handle(post("/functions/json/flags", body)).await).await;
        assert_eq!(told["Isolation"], isolation, "{body}");
    }
    check(app.handle(post("/functions/json/flags", r#"{"Isolation":"shared"}"#)).await, expect![[r#"
        422 Unprocessable Entity
        content-type: application/problem+json
        {"code":"invalid_member","detail":"invalid Isolation: unknown isolation \"shared\"; known are kept and fresh","status":422,"title":"Unprocessable Entity","type":"about:blank"}"#]]).await;
    assert_eq!(
        outcome(app.handle(post("/functions/nobody/flags", "{}")).await).await,
        "404 function_unknown"
    );
}

#[tokio::test]
async fn quotas_refuse_with_their_figures() {
    let (app, handle) = app();
    let message = "you have 200 functions, 200 are allowed".to_owned();
    handle.refuse_deploy(
        QuotaExceeded {
            code: "quota_functions",
            message,
        }
        .into(),
    );
    check(app.handle(post("/create", r#"{"Name":"f"}"#)).await, expect![[r#"
        403 Forbidden
        content-type: application/problem+json
        {"code":"quota_functions","detail":"you have 200 functions, 200 are allowed","status":403,"title":"Forbidden","type":"about:blank"}"#]]).await;
    let message = "6000 invocations a minute are allowed".to_owned();
    let retry_after = Duration::from_millis(1200);
    handle.invoke(Err(InvocationError::Quota {
        code: "quota_per_minute",
        message,
        retry_after,
    }));
    check(app.handle(post("/invoke/json", "")).await, expect![[r#"
        429 Too Many Requests
        content-type: application/problem+json
        retry-after: 2
        serverledge-node-name: (ROME)n1
        {"code":"quota_per_minute","detail":"6000 invocations a minute are allowed","function":"json","status":429,"title":"Too Many Requests","type":"about:blank"}"#]]).await;
}
