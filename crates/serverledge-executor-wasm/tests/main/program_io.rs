//! Programs as they are: arguments from parameters, bodies on stdin, bytes on stdout; components and core modules.

use std::sync::Arc;

use bytes::Bytes;
use http::Request;
use http_body_util::{BodyExt as _, Full};
use serde_json::{Value, json};
use serverledge_core::{
    Executor as _, FailureKind, FunctionLimits, HttpBody, Interface, InvokeError, Outcome, Payload,
    PrepareError, ProgramIo, RequestParams, Stdin, Stdout, Version,
};
use serverledge_testing::executor;
use serverledge_testing::fake_host::FakeHost;

use crate::support::{Lab, call_with, code, example, failure, json_of, kind, settled};

/// A command of WASI preview 1 that writes its arguments, each with a NUL behind it, and then its standard input.
const COMMAND: &str = r#"(module
  (import "wasi_snapshot_preview1" "args_sizes_get" (func $sizes (param i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "args_get" (func $args (param i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_read" (func $read (param i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
  (memory (export "memory") 3)
  (func $say (param $at i32) (param $length i32)
    (i32.store (i32.const 16) (local.get $at))
    (i32.store (i32.const 20) (local.get $length))
    (drop (call $write (i32.const 1) (i32.const 16) (i32.const 1) (i32.const 24))))
  (func (export "_start")
    (drop (call $sizes (i32.const 0) (i32.const 4)))
    (drop (call $args (i32.const 1024) (i32.const 2048)))
    (call $say (i32.const 2048) (i32.load (i32.const 4)))
    (i32.store (i32.const 16) (i32.const 131072))
    (i32.store (i32.const 20) (i32.const 65536))
    (drop (call $read (i32.const 0) (i32.const 16) (i32.const 1) (i32.const 24)))
    (call $say (i32.const 131072) (i32.load (i32.const 24)))))"#;

fn echo_cli() -> Vec<u8> {
    example("echo-cli")
}

fn io(args: &[&str], stdin: Stdin, stdout: Stdout) -> ProgramIo {
    ProgramIo {
        args: args.iter().map(|arg| (*arg).to_owned()).collect(),
        stdin,
        stdout,
    }
}

fn raw(content_type: &str) -> Stdout {
    Stdout::Raw(content_type.to_owned())
}

async fn version(lab: &Lab, code: impl AsRef<[u8]>, io: ProgramIo) -> Arc<Version> {
    let version = lab.version(code, FunctionLimits::default()).await;
    Arc::new(Version {
        io,
        ..(*version).clone()
    })
}

/// The call of a program by request, as the API makes it.
async fn ask(
    lab: &Lab,
    version: &Arc<Version>,
    params: &Value,
    body: &'static [u8],
) -> Result<Outcome, InvokeError> {
    let body: HttpBody =
        Box::pin(Full::new(Bytes::from_static(body)).map_err(|never| match never {}));
    let mut request = Request::new(body);
    let params = Bytes::from(params.to_string());
    request.extensions_mut().insert(RequestParams(params));
    let sandbox = lab.start(version).await.unwrap();
    let call = call_with(Payload::Http(Box::new(request)));
    sandbox.invoke(call, FakeHost::new().0).await
}

/// Content type and body of a response.
async fn answer(outcome: Outcome) -> (String, Bytes) {
    let (response, ending) = settled(outcome);
    assert_eq!(response.status(), 200);
    let content_type = response.headers()["content-type"].to_str().unwrap();
    let content_type = content_type.to_owned();
    let body = response.into_body().collect().await.unwrap().to_bytes();
    ending.await.unwrap();
    (content_type, body)
}

async fn prepare(
    lab: &Lab,
    code: impl AsRef<[u8]>,
    io: ProgramIo,
) -> Result<serverledge_core::Prepared, PrepareError> {
    let version = Version {
        io,
        ..executor::version(code.as_ref(), FunctionLimits::default())
    };
    let code = Bytes::copy_from_slice(code.as_ref());
    lab.executor.prepare(&version, code, &()).await
}

#[tokio::test]
async fn what_reads_or_writes_bytes_is_called_by_request() {
    let lab = Lab::new();
    for code in [echo_cli(), COMMAND.as_bytes().to_vec()] {
        for (io, interface) in [
            (ProgramIo::default(), Interface::Json),
            (io(&["{a}"], Stdin::None, Stdout::Json), Interface::Json),
            (io(&[], Stdin::Body, Stdout::Json), Interface::Http),
            (io(&[], Stdin::Params, raw("a/b")), Interface::Http),
        ] {
            let prepared = prepare(&lab, &code, io).await.unwrap();
            assert_eq!(prepared.interface, interface);
        }
    }
}

#[tokio::test]
async fn only_programs_have_arguments_and_streams() {
    let lab = Lab::new();
    let reactor = r#"(module (memory (export "memory") 1)
        (func (export "serverledge_alloc") (param i32) (result i32) (i32.const 0))
        (func (export "serverledge_handle") (param i32 i32) (result i64) (i64.const 0)))"#;
    for io in [
        io(&["a"], Stdin::Params, Stdout::Json),
        io(&[], Stdin::None, Stdout::Json),
        io(&[], Stdin::Params, raw("a/b")),
    ] {
        let (told, message) = code(prepare(&lab, reactor, io).await);
        assert_eq!(told, "invalid_member");
        assert!(message.ends_with("this is a reactor"), "{message}");
    }
    assert!(prepare(&lab, reactor, ProgramIo::default()).await.is_ok());
}

#[tokio::test]
async fn parameters_become_arguments() {
    let lab = Lab::new();
    let args = ["--width", "{width}", "{{}}", "{name}={list}"];
    let params = json!({"width": 640, "name": "a b", "list": [1, null]});
    let component = version(&lab, echo_cli(), io(&args, Stdin::None, Stdout::Json)).await;
    let seen = json_of(&lab.invoke(&component, &params.to_string()).await.unwrap());
    let expected = json!(["guest", "--width", "640", "{}", "a b=[1,null]"]);
    assert_eq!(
        (&seen["arguments"], &seen["params"]),
        (&expected, &json!(""))
    );

    let module = version(&lab, COMMAND, io(&args, Stdin::None, raw("text/plain"))).await;
    for width in [640, 7] {
        // The second call finds the instance of the first one.
        let params = json!({"width": width, "name": "a b", "list": []}).to_string();
        let seen = json_of(&lab.invoke(&module, &params).await.unwrap());
        assert_eq!(seen["type"], "text/plain");
        let expected = format!("guest\0--width\0{width}\0{{}}\0a b=[]\0");
        assert_eq!(seen["base64"], base64_of(expected.as_bytes()));
    }
}

#[tokio::test]
async fn what_does_not_become_an_argument_is_the_requests_fault() {
    let lab = Lab::new();
    let component = version(&lab, echo_cli(), io(&["{a}"], Stdin::Params, Stdout::Json)).await;
    let module = version(&lab, COMMAND, io(&["{a}"], Stdin::Params, Stdout::Json)).await;
    for version in [component, module] {
        for (params, expected) in [
            (json!({"b": 1}), "args_param_missing"),
            (json!([]), "args_param_missing"),
            (json!({"a": "\0"}), "args_param_invalid"),
            (json!({"a": "x".repeat(65_537)}), "args_too_long"),
        ] {
            match lab.invoke(&version, &params.to_string()).await {
                Err(InvokeError::Request { code, .. }) => assert_eq!(code, expected),
                other => panic!("{other:?}"),
            }
        }
    }
}

#[tokio::test]
async fn a_body_goes_in_and_bytes_come_out() {
    let lab = Lab::new();
    let module = version(&lab, COMMAND, io(&["{a}"], Stdin::Body, raw("image/png"))).await;
    let outcome = ask(&lab, &module, &json!({"a": 1}), b"\x89PNG\xff").await;
    let (content_type, body) = answer(outcome.unwrap()).await;
    assert_eq!(content_type, "image/png");
    assert_eq!(body, &b"guest\x001\0\x89PNG\xff"[..]);
    // Called with JSON, that is the body, and the bytes are in a JSON result.
    let seen = json_of(&lab.invoke(&module, r#"{"a": 1}"#).await.unwrap());
    assert_eq!(seen["base64"], base64_of(b"guest\x001\0{\"a\": 1}"));

    let component = version(&lab, echo_cli(), io(&[], Stdin::Body, Stdout::Json)).await;
    let outcome = ask(&lab, &component, &json!({}), b"no JSON").await;
    let (content_type, body) = answer(outcome.unwrap()).await;
    assert_eq!(content_type, "application/json");
    let seen: Value = serde_json::from_slice(&body).unwrap();
    assert_eq!(seen["params"], "no JSON");

    let component = version(&lab, echo_cli(), io(&[], Stdin::Params, raw("a/b"))).await;
    let outcome = ask(&lab, &component, &json!({"fill": 3}), b"").await;
    let (content_type, body) = answer(outcome.unwrap()).await;
    assert_eq!((content_type.as_str(), &body[..]), ("a/b", &b"111"[..]));
}

#[tokio::test]
async fn output_keeps_its_rules() {
    let lab = Lab::with(|config| config.output_bytes_max = 1_000);
    let json = version(&lab, COMMAND, io(&[], Stdin::Body, Stdout::Json)).await;
    let outcome = ask(&lab, &json, &json!({}), b"").await;
    assert_eq!(failure(outcome).kind, FailureKind::BadOutput);
    let raw = version(&lab, echo_cli(), io(&[], Stdin::Params, raw("a/b"))).await;
    let filled = async |bytes: usize| ask(&lab, &raw, &json!({ "fill": bytes }), b"").await;
    assert_eq!(answer(filled(1_000).await.unwrap()).await.1.len(), 1_000);
    assert_eq!(kind(filled(1_001).await), FailureKind::OutputLimit);
    // Base64 is longer.
    let as_json = lab.invoke(&raw, r#"{"fill":1000}"#).await;
    assert_eq!(kind(as_json), FailureKind::OutputLimit);
    // Nothing is an output like any other.
    let outcome = filled(0).await.unwrap();
    assert_eq!(answer(outcome).await.1.len(), 0);
}

fn base64_of(bytes: &[u8]) -> Value {
    use base64::Engine as _;
    Value::from(base64::engine::general_purpose::STANDARD.encode(bytes))
}
