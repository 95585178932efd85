//! One snapshot per error: status, the headers that clients read, the problem.

use std::time::Duration;

use bytes::Bytes;
use expect_test::{Expect, expect};
use serverledge_api::{DeployError, PollError, SubmitError};
use serverledge_core::{
    FailureKind, FunctionFailure, FunctionName, InvocationError, OverloadReason, PrepareError,
};

use crate::support::{app, check, get, post, shown};

fn cause() -> Box<dyn std::error::Error + Send + Sync> {
    "the disk is on fire".into()
}

async fn invocation(error: fn() -> InvocationError, on_invoke: Expect, on_fn: Expect) {
    let (app, handle) = app();
    handle.invoke(Err(error()));
    check(app.handle(post("/invoke/json", "")).await, on_invoke).await;
    handle.invoke(Err(error()));
    check(app.handle(post("/fn/json", "1")).await, on_fn).await;
}

fn failed(kind: FailureKind) -> InvocationError {
    FunctionFailure {
        kind,
        message: "it broke".to_owned(),
        stack: Some("at f".to_owned()),
        log: Bytes::from_static(b"line\n\xff"),
        stale: false,
    }
    .into()
}

fn overloaded(reason: OverloadReason, millis: u64) -> InvocationError {
    InvocationError::Overloaded {
        reason,
        retry_after: Duration::from_millis(millis),
    }
}

#[tokio::test]
async fn of_an_unknown_function() {
    invocation(|| InvocationError::Unknown("json".to_owned()), expect![[r#"
        404 Not Found
        content-type: application/problem+json
        serverledge-node-name: (ROME)n1
        {"code":"function_unknown","detail":"function \"json\" is unknown; deploy it first","function":"json","status":404,"title":"Not Found","type":"about:blank"}"#]], expect![[r#"
            404 Not Found
            content-type: application/problem+json
            content-security-policy: sandbox allow-scripts
            x-content-type-options: nosniff
            {"code":"function_unknown","detail":"function \"json\" is unknown; deploy it first","function":"json","status":404,"title":"Not Found","type":"about:blank"}"#]]).await;
}

#[tokio::test]
async fn of_a_request_that_does_not_fit() {
    let error = || InvocationError::Request {
        code: "not_http",
        message: "the function takes JSON".to_owned(),
    };
    invocation(error, expect![[r#"
        400 Bad Request
        content-type: application/problem+json
        serverledge-node-name: (ROME)n1
        {"code":"not_http","detail":"the function takes JSON","function":"json","status":400,"title":"Bad Request","type":"about:blank"}"#]], expect![[r#"
            400 Bad Request
            content-type: application/problem+json
            content-security-policy: sandbox allow-scripts
            x-content-type-options: nosniff
            {"code":"not_http","detail":"the function takes JSON","function":"json","status":400,"title":"Bad Request","type":"about:blank"}"#]]).await;
}

#[tokio::test]
async fn of_a_function_that_failed() {
    invocation(|| failed(FailureKind::Error), expect![[r#"
        500 Internal Server Error
        content-type: application/problem+json
        serverledge-node-name: (ROME)n1
        {"code":"function_error","detail":"it broke","function":"json","output":"line\n�","stack":"at f","status":500,"title":"Internal Server Error","type":"about:blank"}"#]], expect![[r#"
            502 Bad Gateway
            content-type: application/problem+json
            content-security-policy: sandbox allow-scripts
            x-content-type-options: nosniff
            {"code":"function_error","detail":"it broke","function":"json","output":"line\n�","stack":"at f","status":502,"title":"Bad Gateway","type":"about:blank"}"#]]).await;
}

#[tokio::test]
async fn of_a_function_at_its_time_limit() {
    invocation(|| failed(FailureKind::TimeLimit), expect![[r#"
        500 Internal Server Error
        content-type: application/problem+json
        serverledge-node-name: (ROME)n1
        {"code":"function_timeout","detail":"it broke","function":"json","output":"line\n�","stack":"at f","status":500,"title":"Internal Server Error","type":"about:blank"}"#]], expect![[r#"
            504 Gateway Timeout
            content-type: application/problem+json
            content-security-policy: sandbox allow-scripts
            x-content-type-options: nosniff
            {"code":"function_timeout","detail":"it broke","function":"json","output":"line\n�","stack":"at f","status":504,"title":"Gateway Timeout","type":"about:blank"}"#]]).await;
}

/// The other kinds differ in their code, and in the status on `/fn`.
#[tokio::test]
async fn of_each_kind_of_failure() {
    let (app, handle) = app();
    let mut table = String::new();
    for kind in [
        FailureKind::Error,
        FailureKind::Trap,
        FailureKind::TimeLimit,
        FailureKind::CpuLimit,
        FailureKind::MemoryLimit,
        FailureKind::OutputLimit,
        FailureKind::BadOutput,
        FailureKind::Exited,
    ] {
        handle.invoke(Err(failed(kind)));
        let on_invoke = crate::support::outcome(app.handle(post("/invoke/json", "")).await).await;
        handle.invoke(Err(failed(kind)));
        let on_fn = crate::support::outcome(app.handle(post("/fn/json", "1")).await).await;
        table.push_str(&format!("{kind:?}: {on_invoke}; {on_fn}\n"));
    }
    expect![[r#"
        Error: 500 function_error; 502 function_error
        Trap: 500 function_trap; 502 function_trap
        TimeLimit: 500 function_timeout; 504 function_timeout
        CpuLimit: 500 function_cpu_limit; 504 function_cpu_limit
        MemoryLimit: 500 function_out_of_memory; 502 function_out_of_memory
        OutputLimit: 500 function_output_too_large; 502 function_output_too_large
        BadOutput: 500 function_bad_output; 502 function_bad_output
        Exited: 500 function_exited; 502 function_exited
    "#]]
    .assert_eq(&table);
}

#[tokio::test]
async fn of_a_full_queue() {
    invocation(|| overloaded(OverloadReason::QueueFull, 3_000), expect![[r#"
        429 Too Many Requests
        content-type: application/problem+json
        retry-after: 3
        serverledge-node-name: (ROME)n1
        {"code":"queue_full","detail":"no resources are free and the queue is full","function":"json","status":429,"title":"Too Many Requests","type":"about:blank"}"#]], expect![[r#"
            429 Too Many Requests
            content-type: application/problem+json
            retry-after: 3
            content-security-policy: sandbox allow-scripts
            x-content-type-options: nosniff
            {"code":"queue_full","detail":"no resources are free and the queue is full","function":"json","status":429,"title":"Too Many Requests","type":"about:blank"}"#]]).await;
}

#[tokio::test]
async fn of_a_node_that_drains() {
    invocation(|| overloaded(OverloadReason::Draining, 5_000), expect![[r#"
        503 Service Unavailable
        content-type: application/problem+json
        retry-after: 5
        serverledge-node-name: (ROME)n1
        {"code":"draining","detail":"the node is shutting down","function":"json","status":503,"title":"Service Unavailable","type":"about:blank"}"#]], expect![[r#"
            503 Service Unavailable
            content-type: application/problem+json
            retry-after: 5
            content-security-policy: sandbox allow-scripts
            x-content-type-options: nosniff
            {"code":"draining","detail":"the node is shutting down","function":"json","status":503,"title":"Service Unavailable","type":"about:blank"}"#]]).await;
}

#[tokio::test]
async fn of_a_function_that_never_fits() {
    invocation(|| overloaded(OverloadReason::NeverFits, 5_000), expect![[r#"
        503 Service Unavailable
        content-type: application/problem+json
        serverledge-node-name: (ROME)n1
        {"code":"exceeds_node","detail":"the function declares more memory or CPU than this node has","function":"json","status":503,"title":"Service Unavailable","type":"about:blank"}"#]], expect![[r#"
            503 Service Unavailable
            content-type: application/problem+json
            content-security-policy: sandbox allow-scripts
            x-content-type-options: nosniff
            {"code":"exceeds_node","detail":"the function declares more memory or CPU than this node has","function":"json","status":503,"title":"Service Unavailable","type":"about:blank"}"#]]).await;
}

/// The pause before another try is given in whole seconds: never shorter than the one that was meant.
#[tokio::test]
async fn when_to_try_again_is_never_too_soon() {
    let (app, handle) = app();
    let reasons = [
        OverloadReason::QueueFull,
        OverloadReason::WaitedTooLong,
        OverloadReason::Deadline,
        OverloadReason::NoPeer,
    ];
    for reason in reasons {
        for (millis, seconds) in [
            (0, "1"),
            (200, "1"),
            (1_000, "1"),
            (1_001, "2"),
            (2_900, "3"),
        ] {
            handle.invoke(Err(overloaded(reason, millis)));
            let response = app.handle(post("/invoke/json", "")).await;
            assert_eq!(response.status(), 429, "{reason:?}");
            assert_eq!(
                response.headers()["retry-after"],
                seconds,
                "{reason:?} after {millis} ms"
            );
        }
    }
}

/// Nothing of the caller's class helps: its own calls hold what it lacks, until some of them end.
#[tokio::test]
async fn a_call_that_would_deadlock_is_unavailable_for_now() {
    let (app, handle) = app();
    handle.invoke(Err(overloaded(OverloadReason::CallWouldDeadlock, 1_200)));
    let response = app.handle(post("/invoke/json", "")).await;
    assert_eq!(
        (
            response.status().as_u16(),
            &response.headers()["retry-after"]
        ),
        (503, &"2".parse().unwrap())
    );
}

#[tokio::test]
async fn of_something_unavailable() {
    let error = || InvocationError::Dependency {
        what: "the registry",
        code: "registry_unavailable",
        source: cause(),
    };
    invocation(error, expect![[r#"
        503 Service Unavailable
        content-type: application/problem+json
        retry-after: 1
        serverledge-node-name: (ROME)n1
        {"code":"registry_unavailable","detail":"the registry is unavailable: the disk is on fire","function":"json","status":503,"title":"Service Unavailable","type":"about:blank"}"#]], expect![[r#"
            503 Service Unavailable
            content-type: application/problem+json
            retry-after: 1
            content-security-policy: sandbox allow-scripts
            x-content-type-options: nosniff
            {"code":"registry_unavailable","detail":"the registry is unavailable: the disk is on fire","function":"json","status":503,"title":"Service Unavailable","type":"about:blank"}"#]]).await;
}

/// The internal cause is for the log, not for the caller.
#[tokio::test]
async fn of_our_own() {
    let error = || InvocationError::Internal {
        message: "secret path".to_owned(),
    };
    invocation(error, expect![[r#"
        500 Internal Server Error
        content-type: application/problem+json
        serverledge-node-name: (ROME)n1
        {"code":"internal","detail":"the node failed, not the function; its log has the cause under this request id","function":"json","status":500,"title":"Internal Server Error","type":"about:blank"}"#]], expect![[r#"
            500 Internal Server Error
            content-type: application/problem+json
            content-security-policy: sandbox allow-scripts
            x-content-type-options: nosniff
            {"code":"internal","detail":"the node failed, not the function; its log has the cause under this request id","function":"json","status":500,"title":"Internal Server Error","type":"about:blank"}"#]]).await;
}

async fn deployment(error: DeployError, expected: Expect) {
    let (app, handle) = app();
    handle.refuse_deploy(error);
    check(
        app.handle(post("/create", "{\"Name\":\"f\"}")).await,
        expected,
    )
    .await;
}

#[tokio::test]
async fn of_a_name_that_is_taken() {
    deployment(DeployError::Exists(FunctionName::parse("f").unwrap()), expect![[r#"
        409 Conflict
        content-type: application/problem+json
        {"code":"function_exists","detail":"function f exists already; update it, or delete it first","status":409,"title":"Conflict","type":"about:blank"}"#]]).await;
}

#[tokio::test]
async fn of_code_that_cannot_be_read() {
    deployment(DeployError::Code { code: "no_code", message: "the request carries no code".to_owned() }, expect![[r#"
        422 Unprocessable Entity
        content-type: application/problem+json
        {"code":"no_code","detail":"the request carries no code","status":422,"title":"Unprocessable Entity","type":"about:blank"}"#]]).await;
}

#[tokio::test]
async fn of_a_runtime_that_is_not_here() {
    deployment(DeployError::Unsupported("runtime python needs the container executor".to_owned()), expect![[r#"
        422 Unprocessable Entity
        content-type: application/problem+json
        {"code":"runtime_unsupported","detail":"runtime python needs the container executor","status":422,"title":"Unprocessable Entity","type":"about:blank"}"#]]).await;
}

#[tokio::test]
async fn of_code_that_is_refused() {
    let error = PrepareError::Invalid {
        code: "not_wasm",
        message: "the code is neither".to_owned(),
    };
    deployment(error.into(), expect![[r#"
        422 Unprocessable Entity
        content-type: application/problem+json
        {"code":"not_wasm","detail":"the code is neither","status":422,"title":"Unprocessable Entity","type":"about:blank"}"#]]).await;
}

#[tokio::test]
async fn of_code_that_is_too_complex() {
    deployment(PrepareError::TooComplex { message: "it took 60s".to_owned() }.into(), expect![[r#"
        422 Unprocessable Entity
        content-type: application/problem+json
        {"code":"module_too_complex","detail":"the module is too complex: it took 60s","status":422,"title":"Unprocessable Entity","type":"about:blank"}"#]]).await;
}

#[tokio::test]
async fn of_a_container_engine_that_is_away() {
    let what =
        "Docker does not answer at /var/run/docker.sock; start it, or deploy to another node"
            .to_owned();
    let error = PrepareError::Unavailable {
        code: "docker_unavailable",
        what,
        source: cause(),
    };
    deployment(error.into(), expect![[r#"
        503 Service Unavailable
        content-type: application/problem+json
        retry-after: 1
        {"code":"docker_unavailable","detail":"Docker does not answer at /var/run/docker.sock; start it, or deploy to another node: the disk is on fire","status":503,"title":"Service Unavailable","type":"about:blank"}"#]]).await;
}

/// Asking again mends nothing: no other time is named.
#[tokio::test]
async fn of_a_container_engine_that_refuses() {
    let what = "the container engine does not run a container".to_owned();
    let source = "Podman 4.3.1 refused (500): container-init binary not found".into();
    let error = PrepareError::Unavailable {
        code: "engine_refused",
        what,
        source,
    };
    deployment(error.into(), expect![[r#"
        502 Bad Gateway
        content-type: application/problem+json
        {"code":"engine_refused","detail":"the container engine does not run a container: Podman 4.3.1 refused (500): container-init binary not found","status":502,"title":"Bad Gateway","type":"about:blank"}"#]]).await;
}

#[tokio::test]
async fn of_a_preparation_that_broke() {
    deployment(PrepareError::Internal { attempt: "start the compiler".to_owned(), source: cause() }.into(), expect![[r#"
        500 Internal Server Error
        content-type: application/problem+json
        {"code":"internal","detail":"the node failed, not the function; its log has the cause under this request id","status":500,"title":"Internal Server Error","type":"about:blank"}"#]]).await;
}

#[tokio::test]
async fn of_a_full_registry() {
    deployment(DeployError::Registry { code: "registry_full", source: cause() }, expect![[r#"
        503 Service Unavailable
        content-type: application/problem+json
        retry-after: 1
        {"code":"registry_full","detail":"the registry is unavailable: the disk is on fire","status":503,"title":"Service Unavailable","type":"about:blank"}"#]]).await;
}

#[tokio::test]
async fn of_requests_to_deploy() {
    let (app, _) = app();
    let mut table = String::new();
    for body in [
        "",
        "{}",
        "{\"Name\":\"a/b\"}",
        "{\"Name\":7}",
        "{\"Name\":\"f\",\"Runtime\":\"cobol\"}",
        "{\"Name\":\"f\",\"MemoryMB\":-5}",
        "{\"Name\":\"f\",\"CPUDemand\":-1}",
        "{\"Name\":\"f\",\"Timeout\":0}",
        "[1]",
        "{\"Name\":\"f\"",
    ] {
        for route in ["/create", "/update"] {
            let response = app.handle(post(route, body)).await;
            table.push_str(&format!("{route} {body}\n{}\n\n", shown(response).await));
        }
    }
    expect![[r#"
        /create 
        422 Unprocessable Entity
        content-type: application/problem+json
        {"code":"invalid_name","detail":"invalid name: the name is empty","status":422,"title":"Unprocessable Entity","type":"about:blank"}

        /update 
        422 Unprocessable Entity
        content-type: application/problem+json
        {"code":"invalid_name","detail":"invalid name: the name is empty","status":422,"title":"Unprocessable Entity","type":"about:blank"}

        /create {}
        422 Unprocessable Entity
        content-type: application/problem+json
        {"code":"invalid_name","detail":"invalid name: the name is empty","status":422,"title":"Unprocessable Entity","type":"about:blank"}

        /update {}
        422 Unprocessable Entity
        content-type: application/problem+json
        {"code":"invalid_name","detail":"invalid name: the name is empty","status":422,"title":"Unprocessable Entity","type":"about:blank"}

        /create {"Name":"a/b"}
        422 Unprocessable Entity
        content-type: application/problem+json
        {"code":"invalid_name","detail":"invalid name: the name contains '/'; letters, digits, '-', '_' and '.' are allowed","status":422,"title":"Unprocessable Entity","type":"about:blank"}

        /update {"Name":"a/b"}
        422 Unprocessable Entity
        content-type: application/problem+json
        {"code":"invalid_name","detail":"invalid name: the name contains '/'; letters, digits, '-', '_' and '.' are allowed","status":422,"title":"Unprocessable Entity","type":"about:blank"}

        /create {"Name":7}
        400 Bad Request
        content-type: application/problem+json
        {"code":"malformed_member","detail":"member \"Name\": invalid type: integer `7`, expected a string at line 1 column 1","status":400,"title":"Bad Request","type":"about:blank"}

        /update {"Name":7}
        400 Bad Request
        content-type: application/problem+json
        {"code":"malformed_member","detail":"member \"Name\": invalid type: integer `7`, expected a string at line 1 column 1","status":400,"title":"Bad Request","type":"about:blank"}

        /create {"Name":"f","Runtime":"cobol"}
        404 Not Found
        content-type: application/problem+json
        {"code":"unknown_runtime","detail":"unknown runtime \"cobol\"; known are wasm, python, python-wasm, nodejs, javascript, custom and their old names","status":404,"title":"Not Found","type":"about:blank"}

        /update {"Name":"f","Runtime":"cobol"}
        404 Not Found
        content-type: application/problem+json
        {"code":"unknown_runtime","detail":"unknown runtime \"cobol\"; known are wasm, python, python-wasm, nodejs, javascript, custom and their old names","status":404,"title":"Not Found","type":"about:blank"}

        /create {"Name":"f","MemoryMB":-5}
        422 Unprocessable Entity
        content-type: application/problem+json
        {"code":"invalid_memory","detail":"invalid memory limit: -5 MB; 1 to 4096 are allowed","status":422,"title":"Unprocessable Entity","type":"about:blank"}

        /update {"Name":"f","MemoryMB":-5}
        422 Unprocessable Entity
        content-type: application/problem+json
        {"code":"invalid_memory","detail":"invalid memory limit: -5 MB; 1 to 4096 are allowed","status":422,"title":"Unprocessable Entity","type":"about:blank"}

        /create {"Name":"f","CPUDemand":-1}
        422 Unprocessable Entity
        content-type: application/problem+json
        {"code":"invalid_member","detail":"invalid CPUDemand: -1 cores; 0 or more are allowed","status":422,"title":"Unprocessable Entity","type":"about:blank"}

        /update {"Name":"f","CPUDemand":-1}
        422 Unprocessable Entity
        content-type: application/problem+json
        {"code":"invalid_member","detail":"invalid CPUDemand: -1 cores; 0 or more are allowed","status":422,"title":"Unprocessable Entity","type":"about:blank"}

        /create {"Name":"f","Timeout":0}
        422 Unprocessable Entity
        content-type: application/problem+json
        {"code":"invalid_member","detail":"invalid Timeout: 0 seconds; more than 0 and at most 900 are allowed","status":422,"title":"Unprocessable Entity","type":"about:blank"}

        /update {"Name":"f","Timeout":0}
        422 Unprocessable Entity
        content-type: application/problem+json
        {"code":"invalid_member","detail":"invalid Timeout: 0 seconds; more than 0 and at most 900 are allowed","status":422,"title":"Unprocessable Entity","type":"about:blank"}

        /create [1]
        400 Bad Request
        content-type: application/problem+json
        {"code":"malformed_json","detail":"the body is not a JSON object: invalid type: sequence, expected an object at line 1 column 0","status":400,"title":"Bad Request","type":"about:blank"}

        /update [1]
        400 Bad Request
        content-type: application/problem+json
        {"code":"malformed_json","detail":"the body is not a JSON object: invalid type: sequence, expected an object at line 1 column 0","status":400,"title":"Bad Request","type":"about:blank"}

        /create {"Name":"f"
        400 Bad Request
        content-type: application/problem+json
        {"code":"malformed_json","detail":"the body is not a JSON object: EOF while parsing an object at line 1 column 11","status":400,"title":"Bad Request","type":"about:blank"}

        /update {"Name":"f"
        400 Bad Request
        content-type: application/problem+json
        {"code":"malformed_json","detail":"the body is not a JSON object: EOF while parsing an object at line 1 column 11","status":400,"title":"Bad Request","type":"about:blank"}

    "#]].assert_eq(&table);
}

#[tokio::test]
async fn of_deletions() {
    let (app, handle) = app();
    check(app.handle(post("/delete", "{\"Name\":\"nobody\"}")).await, expect![[r#"
        404 Not Found
        content-type: application/problem+json
        {"code":"function_unknown","detail":"function \"nobody\" is unknown; deploy it first","status":404,"title":"Not Found","type":"about:blank"}"#]]).await;
    check(app.handle(post("/delete", "{\"Name\":[]}")).await, expect![[r#"
        400 Bad Request
        content-type: application/problem+json
        {"code":"malformed_member","detail":"member \"Name\": invalid type: sequence, expected a string at line 1 column 0","status":400,"title":"Bad Request","type":"about:blank"}"#]]).await;
    check(app.handle(post("/delete", "")).await, expect![[r#"
        404 Not Found
        content-type: application/problem+json
        {"code":"function_unknown","detail":"function \"\" is unknown; deploy it first","status":404,"title":"Not Found","type":"about:blank"}"#]]).await;
    handle.refuse_delete(DeployError::Registry {
        code: "registry_unavailable",
        source: cause(),
    });
    check(app.handle(post("/delete", "{\"Name\":\"json\"}")).await, expect![[r#"
        503 Service Unavailable
        content-type: application/problem+json
        retry-after: 1
        {"code":"registry_unavailable","detail":"the registry is unavailable: the disk is on fire","status":503,"title":"Service Unavailable","type":"about:blank"}"#]]).await;
}

#[tokio::test]
async fn of_prewarming() {
    let (app, handle) = app();
    handle.refuse_prewarm(InvocationError::Unknown("nobody".to_owned()));
    check(app.handle(post("/prewarm", "{\"Function\":\"nobody\"}")).await, expect![[r#"
        404 Not Found
        content-type: application/problem+json
        {"code":"function_unknown","detail":"function \"nobody\" is unknown; deploy it first","status":404,"title":"Not Found","type":"about:blank"}"#]]).await;
    check(app.handle(post("/prewarm", "{\"Function\":\"json\",\"Instances\":\"many\"}")).await, expect![[r#"
        400 Bad Request
        content-type: application/problem+json
        {"code":"malformed_member","detail":"member \"Instances\": invalid type: string \"many\", expected i64 at line 1 column 6","status":400,"title":"Bad Request","type":"about:blank"}"#]]).await;
}

#[tokio::test]
async fn of_asynchronous_invocations() {
    let (app, handle) = app();
    handle.refuse_submit(SubmitError::Full { waiting: 1000 });
    check(app.handle(post("/invoke/json", "{\"Async\":true}")).await, expect![[r#"
        429 Too Many Requests
        content-type: application/problem+json
        retry-after: 5
        serverledge-node-name: (ROME)n1
        {"code":"async_queue_full","detail":"1000 asynchronous invocations are waiting already","status":429,"title":"Too Many Requests","type":"about:blank"}"#]]).await;
    handle.refuse_submit(InvocationError::Unknown("json".to_owned()).into());
    check(app.handle(post("/invoke/json", "{\"Async\":true}")).await, expect![[r#"
        404 Not Found
        content-type: application/problem+json
        serverledge-node-name: (ROME)n1
        {"code":"function_unknown","detail":"function \"json\" is unknown; deploy it first","status":404,"title":"Not Found","type":"about:blank"}"#]]).await;
}

#[tokio::test]
async fn of_polling() {
    let (app, handle) = app();
    let id = crate::backend::ACCEPTED;
    handle.poll(Err(PollError(cause())));
    check(app.handle(get(&format!("/poll/{id}"))).await, expect![[r#"
        503 Service Unavailable
        content-type: application/problem+json
        retry-after: 1
        {"code":"registry_unavailable","detail":"the registry is unavailable: the disk is on fire","status":503,"title":"Service Unavailable","type":"about:blank"}"#]]).await;
    handle.poll(Ok(serverledge_api::Polled::Unfinished));
    check(app.handle(get(&format!("/poll/{id}"))).await, expect![[r#"
        404 Not Found
        content-type: application/problem+json
        {"code":"invocation_not_finished","detail":"the invocation has not finished; ask again","status":404,"title":"Not Found","type":"about:blank"}"#]]).await;
    check(app.handle(get(&format!("/poll/{id}"))).await, expect![[r#"
        404 Not Found
        content-type: application/problem+json
        {"code":"invocation_unknown","detail":"no such invocation, or its result was kept long enough","status":404,"title":"Not Found","type":"about:blank"}"#]]).await;
}

#[tokio::test]
async fn of_metrics_that_are_off() {
    let (app, handle) = app();
    handle.switch_metrics_off();
    check(app.handle(get("/metrics")).await, expect![[r#"
        404 Not Found
        content-type: application/problem+json
        {"code":"metrics_disabled","detail":"metrics.enabled is false on this node","status":404,"title":"Not Found","type":"about:blank"}"#]]).await;
}
