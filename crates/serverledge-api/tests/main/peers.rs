//! The routes of other nodes: what is believed, what travels, and how outcomes are told apart.

use std::time::Duration;

use axum::body::Body;
use http::{Method, Request, Response};
use serverledge_api::PeerInvokeError;
use serverledge_core::{FailureKind, FunctionFailure, InvocationError, OverloadReason};
use serverledge_wire::peer::{
    CALL, LOAD, PROOF, PeerCall, PeerReport, Proved, REPORT, STALE, STARTED,
};

use crate::backend::{cluster_key, report};
use crate::support::{app, outcome, request, text, with};

const PATH: &str = "/peer/invoke/json";

fn call() -> PeerCall {
    PeerCall {
        space: "default".to_owned(),
        offer: "01890000-0000-7000-8000-000000000003".to_owned(),
        id: "01890000-0000-7000-8000-000000000001".to_owned(),
        root: "01890000-0000-7000-8000-000000000002".to_owned(),
        depth: 1,
        hops: 1,
        path: vec!["ROME/n2".to_owned()],
        stays: false,
        deadline_ms: Some(250),
        class: 2,
        version: "ab".repeat(32),
        or_version: String::new(),
        any_version: false,
        epoch: "first".to_owned(),
        again_ms: None,
        request_id: "r-1".to_owned(),
        trace: String::new(),
        trace_state: String::new(),
        params_bytes: None,
        returns_cache: false,
        generation: None,
        chain: Vec::new(),
    }
}

/// A request that is proved for the fake node.
fn proved(path: &str, head: &str, body: &'static str) -> Request<Body> {
    let what = Proved {
        to: "ROME/n1",
        path,
        call: head.as_bytes(),
        body: body.as_bytes(),
    };
    let proof = cluster_key().prove(1, [1; 12], &what).to_text();
    // Hosts and origins are judged on the routes of clients only: the proof says who asks.
    let mut request = request(&Method::POST, path, body);
    request
        .headers_mut()
        .insert("host", "10.1.2.3:1323".parse().unwrap());
    with(request, &[(PROOF, proof.as_str()), (CALL, head)])
}

fn invoke() -> Request<Body> {
    proved(PATH, &serde_json::to_string(&call()).unwrap(), "[7]")
}

fn header<'a>(response: &'a Response<Body>, name: &str) -> &'a str {
    response
        .headers()
        .get(name)
        .map_or("", |value| value.to_str().unwrap())
}

#[tokio::test]
async fn a_peers_call_travels_whole_and_its_result_comes_back_with_its_log() {
    let (app, handle) = app();
    handle.peer_invoke(Ok(report("{\"a\":1}", "hello\n")));
    let response = app.handle(invoke()).await;
    let told: PeerReport = serde_json::from_str(header(&response, REPORT)).unwrap();
    assert_eq!(
        (told.warm, told.queue_us, told.execution_us, told.log_bytes),
        (true, 1_500, 20_000, 6)
    );
    assert!(header(&response, LOAD).contains("\"epoch\":\"first\",\"free_memory_mib\":512"));
    assert_eq!(text(response).await, "{\"a\":1}hello\n");
    let calls = handle.peer_calls();
    assert_eq!(
        (calls.len(), &calls[0].call, &calls[0].params[..]),
        (1, &call(), &b"[7]"[..])
    );
    assert_eq!(calls[0].function.as_str(), "json");
}

#[tokio::test]
async fn what_is_not_proved_is_not_run() {
    let (app, handle) = app();
    let head = serde_json::to_string(&call()).unwrap();
    let plain = request(&Method::POST, PATH, "[7]");
    let other_body = {
        let (parts, _) = invoke().into_parts();
        Request::from_parts(parts, Body::from("[8]"))
    };
    let other_head = {
        let mut request = invoke();
        request.headers_mut().insert(
            CALL,
            head.replace("\"hops\":1", "\"hops\":0").parse().unwrap(),
        );
        request
    };
    let other_path = {
        let mut request = invoke();
        *request.uri_mut() = "/peer/invoke/http".parse().unwrap();
        request
    };
    let malformed = with(
        request(&Method::POST, PATH, "[7]"),
        &[(PROOF, "1.2.3"), (CALL, &head)],
    );
    for request in [plain, other_body, other_head, other_path, malformed] {
        let response = app.handle(request).await;
        assert_eq!(header(&response, STARTED), "no");
        assert_eq!(outcome(response).await, "401 peer_proof_false");
    }
    // Of a call that was sent before, a refusal says nothing.
    let again = serde_json::to_string(&PeerCall {
        again_ms: Some(5),
        ..call()
    })
    .unwrap();
    let unproved = with(
        request(&Method::POST, PATH, "[7]"),
        &[(CALL, again.as_str())],
    );
    assert_eq!(header(&app.handle(unproved).await, STARTED), "");
    assert!(handle.peer_calls().is_empty());
    assert_eq!(
        outcome(app.handle(proved(PATH, "{", "")).await).await,
        "400 peer_call_malformed"
    );
    assert_eq!(
        outcome(app.handle(proved("/peer/nothing", "", "")).await).await,
        "404 route_unknown"
    );
    assert_eq!(
        outcome(app.handle(request(&Method::GET, PATH, "")).await).await,
        "405 method_not_allowed"
    );
    let state = app.handle(proved("/peer/load", "", "")).await;
    assert!(
        text(state)
            .await
            .starts_with("{\"load\":{\"epoch\":\"first\"")
    );
}

/// Whoever sent it may ask another node exactly if the function did not start here.
#[tokio::test]
async fn a_refusal_says_whether_the_function_may_have_started() {
    let failure = FunctionFailure {
        kind: FailureKind::Error,
        message: "no".to_owned(),
        stack: Some("at f".to_owned()),
        log: "log".into(),
        stale: false,
    };
    let of_the_moment = FunctionFailure {
        stale: true,
        ..failure.clone()
    };
    let overload = |reason| InvocationError::Overloaded {
        reason,
        retry_after: Duration::from_secs(1),
    };
    let missing = InvocationError::Dependency {
        what: "it",
        code: "function_not_prepared",
        source: "x".into(),
    };
    let cases: [(PeerInvokeError, &str, &str); 10] = [
        (
            overload(OverloadReason::QueueFull).into(),
            "429 queue_full",
            "no",
        ),
        (
            overload(OverloadReason::Draining).into(),
            "503 draining",
            "no",
        ),
        (missing.into(), "503 function_not_prepared", "no"),
        (
            InvocationError::Unknown("json".to_owned()).into(),
            "404 function_unknown",
            "no",
        ),
        (PeerInvokeError::OtherLife, "409 node_restarted", "no"),
        (
            PeerInvokeError::Version,
            "409 function_version_differs",
            "no",
        ),
        (PeerInvokeError::Loop, "508 offload_loop", "no"),
        (PeerInvokeError::Forgotten, "410 invocation_forgotten", ""),
        (
            InvocationError::Function(failure).into(),
            "500 function_error",
            "",
        ),
        (
            InvocationError::Function(of_the_moment).into(),
            "500 function_error",
            "",
        ),
    ];
    let (app, handle) = app();
    for (error, expected, started) in cases {
        let stale = matches!(&error, PeerInvokeError::Invocation(InvocationError::Function(failure)) if failure.stale);
        handle.peer_invoke(Err(error));
        let response = app.handle(invoke()).await;
        assert_eq!(header(&response, STARTED), started, "{expected}");
        assert_eq!(
            header(&response, STALE),
            if stale { "yes" } else { "" },
            "{expected}"
        );
        assert!(!header(&response, LOAD).is_empty());
        assert_eq!(outcome(response).await, expected);
    }
}
