//! Starting, stopping, testing, exporting and importing applications.

use bytes::Bytes;
use serde_json::Value;
use serverledge_api::{AppError, DeployError, HostingError};
use serverledge_core::{
    AppName, FailureKind, FunctionFailure, FunctionName, InvocationError, PrepareError,
};

use crate::backend::report;
use crate::running_apps::application;
use crate::support::{app, get, json, outcome, post, text, with};

#[tokio::test]
async fn a_start_tells_what_happens() {
    let (app, handle) = app();
    handle.hosting().run(application("shop"));
    let start = |accept: &'static str| with(post("/apps/shop/start", ""), &[("accept", accept)]);
    assert_eq!(
        text(app.handle(start("*/*")).await).await,
        r#"{"name":"shop","up":true}"#
    );
    let response = app.handle(start("application/x-ndjson")).await;
    assert_eq!(response.headers()["content-type"], "application/x-ndjson");
    let expected =
        "{\"Progress\":\"preparing json\"}\n{\"Started\":{\"name\":\"shop\",\"up\":true}}\n";
    assert_eq!(text(response).await, expected);
    let response = app.handle(start("text/event-stream")).await;
    assert_eq!(response.headers()["content-type"], "text/event-stream");
    let expected = "event: progress\ndata: {\"Progress\":\"preparing json\"}\n\n\
                    event: started\ndata: {\"Started\":{\"name\":\"shop\",\"up\":true}}\n\n";
    assert_eq!(text(response).await, expected);
    assert_eq!(
        text(app.handle(post("/apps/shop/stop", "")).await).await,
        r#"{"name":"shop","up":false}"#
    );
}

fn complex() -> DeployError {
    DeployError::Prepare(PrepareError::TooComplex {
        message: "over 256 MiB".to_owned(),
    })
}

#[tokio::test]
async fn every_fault_has_a_code() {
    let (app, handle) = app();
    handle.hosting().run(application("shop"));
    let function = FunctionName::parse("f").unwrap();
    let faults = [
        (
            AppError::Unknown("x".to_owned()).into(),
            "404 application_unknown",
        ),
        (
            AppError::NameTaken(AppName::parse("x").unwrap()).into(),
            "409 application_exists",
        ),
        (AppError::Contended.into(), "409 application_contended"),
        (
            AppError::Invalid {
                code: "malformed_export",
                message: String::new(),
            }
            .into(),
            "422 malformed_export",
        ),
        (
            AppError::Registry {
                code: "registry_unavailable",
                source: "gone".into(),
            }
            .into(),
            "503 registry_unavailable",
        ),
        (
            HostingError::Function {
                function,
                source: complex(),
            },
            "422 module_too_complex",
        ),
        (HostingError::Deploy(complex()), "422 module_too_complex"),
        (HostingError::TestsBusy { max: 4 }, "429 too_many_tests"),
        (
            HostingError::TestTooLong { seconds: 600 },
            "504 test_timeout",
        ),
        (
            HostingError::Internal {
                message: "secret".to_owned(),
            },
            "500 internal",
        ),
    ];
    for (fault, expected) in faults {
        handle.hosting().refuse(fault);
        assert_eq!(
            outcome(app.handle(post("/apps/shop/start", "")).await).await,
            expected
        );
    }
    handle.hosting().refuse(AppError::Contended.into());
    let told = with(
        post("/apps/shop/start", ""),
        &[("accept", "text/event-stream")],
    );
    let told = text(app.handle(told).await).await;
    assert!(
        told.contains("event: problem\ndata: {\"Problem\":{")
            && told.contains("application_contended"),
        "{told}"
    );
    for uri in [
        "/apps/nobody/start",
        "/apps/nobody/stop",
        "/apps/nobody/test",
        "/apps/__proto__/start",
    ] {
        assert_eq!(
            outcome(app.handle(post(uri, "{}")).await).await,
            "404 application_unknown",
            "{uri}"
        );
    }
}

#[tokio::test]
async fn a_test_run_answers_as_an_endpoint_would_and_shows_the_log() {
    let (app, handle) = app();
    handle.hosting().run(application("shop"));
    handle
        .hosting()
        .test_ends(report(r#"{"out":54}"#, "a line\n"));
    let body = r#"{"Name":"outer","Runtime":"nodejs","TarFunctionCode":"eA==","args":{"a":4},
                   "edgeResults":{"inner":{"eyJhIjo0fQ==":{"result":9}}}}"#;
    let answer = json(app.handle(post("/apps/shop/test", body)).await).await;
    assert_eq!(answer["answer"]["result"]["out"], 54);
    assert_eq!(
        (answer["output"].as_str(), answer["milliseconds"].as_f64()),
        (Some("a line\n"), Some(20.0))
    );
    let (name, params, client_cache) = handle.hosting().tests().pop().unwrap();
    assert_eq!(
        (name.as_str(), params),
        ("outer", Bytes::from_static(br#"{"a":4}"#))
    );
    assert_eq!(client_cache.unwrap().edge.len(), 1);
    let failure = FunctionFailure {
        kind: FailureKind::Error,
        message: "boom".to_owned(),
        stack: None,
        log: Bytes::from_static(b"said before"),
        stale: false,
    };
    handle
        .hosting()
        .refuse(HostingError::Invocation(InvocationError::Function(failure)));
    let problem = text(app.handle(post("/apps/shop/test", body)).await).await;
    assert!(
        problem.contains("function_error") && problem.contains("said before"),
        "{problem}"
    );
    assert_eq!(
        outcome(app.handle(post("/apps/shop/test", "{")).await).await,
        "400 malformed_json"
    );
}

#[tokio::test]
async fn an_application_leaves_and_comes_back_as_one_file() {
    let (app, handle) = app();
    handle.hosting().run(application("shop"));
    let response = app.handle(get("/apps/shop/export")).await;
    assert_eq!(response.headers()["content-type"], "application/x-tar");
    assert_eq!(
        response.headers()["content-disposition"],
        "attachment; filename=\"shop.tar\""
    );
    assert_eq!(text(response).await, "a tar");
    assert_eq!(
        outcome(app.handle(get("/apps/nobody/export")).await).await,
        "404 application_unknown"
    );
    let answer: Value = json(app.handle(post("/apps/import?name=copy", "a tar")).await).await;
    assert_eq!(
        (answer["name"].as_str(), answer["functions"][0].as_str()),
        (Some("copy"), Some("json"))
    );
    assert_eq!(
        handle.hosting().imports(),
        [(Some("copy".to_owned()), Bytes::from_static(b"a tar"))]
    );
    for (query, expected) in [
        ("?name=..", "422 invalid_app_name"),
        ("?name=a%2fb", "422 invalid_app_name"),
        ("?nmae=a", "400 malformed_query"),
        ("", "200"),
    ] {
        assert_eq!(
            outcome(app.handle(post(&format!("/apps/import{query}"), "x")).await).await,
            expected,
            "{query}"
        );
    }
}
