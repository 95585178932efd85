//! Reactors that answer requests: modules in text, and a script whose snapshot shares its engine with others.

use std::sync::Arc;

use bytes::Bytes;
use http::{Method, Request, Response};
use http_body_util::{BodyExt as _, Full};
use serde_json::json;
use serverledge_core::{
    Call, FailureKind, FunctionLimits, HttpBody, InstanceKey, Interface, InvokeError, Outcome,
    Payload, Version,
};
use serverledge_executor_wasm::{NotPortable, answering_requests, portable};
use serverledge_testing::fake_host::FakeHost;

use crate::support::{Lab, call_with, failure, json_of, settled, words};

const ENGINE: &[u8] = include_bytes!("../../../../runtimes/javascript/javascript.wasm");

/// A module that answers with this head and this body, behind which the request follows if it is told to echo. Its calls are
/// counted in a header's value, where the head has a `?`.
fn module(head: &str, body: &str, echoes: bool) -> Vec<u8> {
    let escaped = |text: &str| -> String {
        let bytes = text.bytes();
        bytes.map(|byte| format!("\\{byte:02x}")).collect()
    };
    let length = u32::try_from(head.len()).unwrap().to_le_bytes();
    let length: String = length.iter().map(|byte| format!("\\{byte:02x}")).collect();
    let data = format!("{length}{}{}", escaped(head), escaped(body));
    let bytes = 4 + head.len() + body.len();
    let count = head.find('?').map_or(0, |at| 256 + 4 + at);
    let end = 256 + bytes;
    let echo = if echoes {
        format!("(memory.copy (i32.const {end}) (local.get $at) (local.get $length))")
    } else {
        "(local.set $length (i32.const 0))".to_owned()
    };
    let text = format!(
        r#"(module
  (memory (export "memory") 4)
  (data (i32.const 256) "{data}")
  (global $calls (mut i32) (i32.const 48))
  (func (export "serverledge_alloc") (param i32) (result i32) (i32.const 65536))
  (func (export "serverledge_handle") (param i32 i32) (result i64) unreachable)
  (func (export "serverledge_fetch") (param $at i32) (param $length i32) (result i64)
    (global.set $calls (i32.add (global.get $calls) (i32.const 1)))
    (if (i32.const {count}) (then (i32.store8 (i32.const {count}) (global.get $calls))))
    {echo}
    (i64.or (i64.const {at}) (i64.extend_i32_u (i32.add (local.get $length) (i32.const {bytes}))))))"#,
        at = 256_u64 << 32,
    );
    wat::parse_str(text).unwrap()
}

fn marked(head: &str, body: &str) -> Vec<u8> {
    answering_requests(module(head, body, false))
}

fn request(method: Method, body: &'static str) -> Call {
    let body = Full::new(Bytes::from_static(body.as_bytes()));
    let body: HttpBody = Box::pin(body.map_err(|never| match never {}));
    let request = Request::builder()
        .method(method)
        .uri("/a?b=1")
        .header("host", "h.example")
        .body(body)
        .unwrap();
    call_with(Payload::Http(Box::new(request)))
}

async fn ask(lab: &Lab, version: &Arc<Version>, call: Call) -> Result<Outcome, InvokeError> {
    let call = Call {
        instance: Some(InstanceKey::new(*version.digest.as_bytes())),
        ..call
    };
    let sandbox = lab.start(version).await.unwrap();
    sandbox.invoke(call, FakeHost::new().0).await
}

async fn whole(outcome: Outcome) -> Response<String> {
    let (parts, body) = settled(outcome).0.into_parts();
    let body = body.collect().await.unwrap().to_bytes();
    Response::from_parts(parts, String::from_utf8(body.to_vec()).unwrap())
}

#[tokio::test]
async fn a_mark_makes_the_difference() {
    let lab = Lab::new();
    let plain = module(r#"{"status":200}"#, "", false);
    let prepared = lab.prepare(&plain).await.unwrap();
    assert_eq!(
        (prepared.recognised, prepared.interface),
        ("reactor", Interface::Json)
    );
    let code = answering_requests(plain);
    let prepared = lab.prepare(&code).await.unwrap();
    assert_eq!(
        (prepared.recognised, prepared.interface),
        ("reactor that answers requests", Interface::Http)
    );
    assert_eq!(portable(&code.into()).err(), Some(NotPortable::Requests));
    let without = r#"(module (memory (export "memory") 1)
        (func (export "serverledge_alloc") (param i32) (result i32) (i32.const 8))
        (func (export "serverledge_handle") (param i32 i32) (result i64) (i64.const 0)))"#;
    let without = answering_requests(wat::parse_str(without).unwrap());
    let refused = lab.prepare(without).await.unwrap_err().to_string();
    assert!(
        refused.contains("exports no function serverledge_fetch"),
        "{refused}"
    );
}

#[tokio::test]
async fn the_request_goes_in_and_the_response_comes_out() {
    let lab = Lab::new();
    let head =
        r#"{"status":201,"headers":[["x-calls","?"],["set-cookie","a"],["set-cookie","b"]]}"#;
    let code = answering_requests(module(head, "seen ", true));
    let version = lab.version(code, FunctionLimits::default()).await;
    // Again in the same instance, which is as at its beginning.
    for _ in 0..3 {
        let answer = ask(&lab, &version, request(Method::PUT, "text"))
            .await
            .unwrap();
        let answer = whole(answer).await;
        assert_eq!(answer.status(), 201);
        assert_eq!(answer.headers()["x-calls"], "1");
        assert_eq!(answer.headers().get_all("set-cookie").iter().count(), 2);
        let expected =
            r#"{"method":"PUT","url":"http://h.example/a?b=1","headers":[["host","h.example"]]}"#;
        let length = char::from(u8::try_from(expected.len()).unwrap());
        assert_eq!(answer.body(), &format!("seen {length}\0\0\0{expected}text"));
    }
    assert_eq!(lab.executor.instances_kept(), 1);
}

#[tokio::test]
async fn what_has_no_body_is_sent_without() {
    let lab = Lab::new();
    for (method, status, length) in [
        (Method::HEAD, 200, Some("4")),
        (Method::GET, 204, None),
        (Method::GET, 304, None),
    ] {
        let head = json!({ "status": status }).to_string();
        let version = lab
            .version(marked(&head, "body"), FunctionLimits::default())
            .await;
        let answer = ask(&lab, &version, request(method, "")).await.unwrap();
        let answer = whole(answer).await;
        assert_eq!(
            (answer.status().as_u16(), answer.body().as_str()),
            (status, "")
        );
        let told = answer.headers().get("content-length");
        assert_eq!(told.map(|value| value.to_str().unwrap()), length);
    }
}

#[tokio::test]
async fn faults_of_a_response_are_the_functions() {
    let lab = Lab::new();
    for (head, words) in [
        (r#"{"status":99}"#, "99 is no status"),
        (r#"{"status":101}"#, "informational"),
        (
            r#"{"status":200,"headers":[["content-length","9"]]}"#,
            "Content-Length is 9 and its body has 4 bytes",
        ),
        (
            r#"{"status":200,"headers":[["content-length","4"],["Content-Length","9"]]}"#,
            "several Content-Length headers: \"4\" and \"9\"",
        ),
        (
            r#"{"status":200,"headers":[["content-length","4, 4"]]}"#,
            "Content-Length is no number",
        ),
        (
            r#"{"status":200,"headers":[["a b","x"]]}"#,
            "no name of a header",
        ),
        ("[]", "its head: "),
    ] {
        let version = lab
            .version(marked(head, "body"), FunctionLimits::default())
            .await;
        let failed = failure(ask(&lab, &version, request(Method::GET, "")).await);
        assert_eq!(failed.kind, FailureKind::BadOutput, "{head}");
        assert!(failed.message.contains(words), "{}", failed.message);
    }
}

#[tokio::test]
async fn a_head_is_tidied() {
    let lab = Lab::new();
    let head = r#"{"status":200,"headers":[["content-length","4"],["connection","x-hop"],["x-hop","1"],["content-length","4"],["x-own","2"]]}"#;
    let version = lab
        .version(marked(head, "body"), FunctionLimits::default())
        .await;
    let answer = ask(&lab, &version, request(Method::GET, "")).await.unwrap();
    let answer = whole(answer).await;
    let mut headers: Vec<(&str, &[u8])> = answer
        .headers()
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_bytes()))
        .collect();
    headers.sort_unstable();
    assert_eq!(
        headers,
        [("content-length", &b"4"[..]), ("x-own", &b"2"[..])]
    );
    assert_eq!(answer.body(), "body");
}

/// A base that answers no requests, so that its snapshots do not either, whatever they say.
#[tokio::test]
async fn a_mark_alone_is_not_enough_for_a_snapshot() {
    let base = r#"(module
        (import "wasi_snapshot_preview1" "proc_exit" (func (param i32)))
        (memory (export "memory") 1)
        (func (export "wizer-initialize") (i32.store8 (i32.const 1024) (i32.const 49)))
        (func (export "serverledge_alloc") (param i32) (result i32) (i32.const 2048))
        (func (export "serverledge_handle") (param i32 i32) (result i64)
            (i64.or (i64.shl (i64.const 1024) (i64.const 32)) (i64.const 1))))"#;
    let base = Bytes::from(wat::parse_str(base).unwrap());
    let lab = Lab::with(|config| config.bases = vec![base.clone()]);
    let taken = lab
        .executor
        .snapshot(base, Bytes::new(), 16 << 20)
        .await
        .unwrap();
    let outcome = lab.run(&taken.module, "{}").await.unwrap();
    assert_eq!(json_of(&outcome), json!(1));
    let refused = lab.prepare(answering_requests(taken.module)).await;
    let told = refused.unwrap_err().to_string();
    assert!(
        told.contains("exports no function serverledge_fetch"),
        "{told}"
    );
}

#[tokio::test]
async fn parameters_become_a_post() {
    let lab = Lab::new();
    let version = |head: &'static str, body: &'static str| {
        lab.version(marked(head, body), FunctionLimits::default())
    };
    let good = version(r#"{"status":200}"#, r#" {"a":1}"#).await;
    let outcome = lab.invoke(&good, "{}").await.unwrap();
    assert_eq!(json_of(&outcome), json!({"a": 1}));
    let bad = version(r#"{"status":404}"#, "none").await;
    let told = words(lab.invoke(&bad, "{}").await);
    assert_eq!(told, "Error: the function answered 404 Not Found: none");
}

/// With its own data and the engine of all scripts.
#[tokio::test]
async fn a_script_answers_requests() {
    let lab = Lab::with(|config| config.bases = vec![Bytes::from_static(ENGINE)]);
    let source = "let calls = 0;
        export default { async fetch(request) { calls += 1; return new Response(`${request.method} ${request.url} ${await request.text()} ${calls}`); } };";
    let input = json!({ "file": "index.js", "source": source }).to_string();
    let taken = lab
        .executor
        .snapshot(Bytes::from_static(ENGINE), input.into(), 64 << 20)
        .await
        .unwrap();
    assert!(
        taken.output.contains(r#""interface":"http""#),
        "{}",
        taken.output
    );
    let whole_bytes = taken.module.len() as u64;
    let version = lab
        .version(answering_requests(taken.module), FunctionLimits::default())
        .await;
    let footprint = serverledge_core::Executor::footprint(&lab.executor, &version).unwrap();
    assert!(
        footprint.machine_code_bytes < whole_bytes,
        "it shares the engine's machine code"
    );
    for _ in 0..2 {
        let answer = ask(&lab, &version, request(Method::POST, "text"))
            .await
            .unwrap();
        let answer = whole(answer).await;
        assert_eq!(answer.body(), "POST http://h.example/a?b=1 text 1");
        assert_eq!(answer.headers()["content-type"], "text/plain;charset=UTF-8");
    }
}
