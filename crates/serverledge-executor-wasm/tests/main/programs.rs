//! `wasi:cli` components: programs with parameters on stdin and their result on stdout, as commands of WASI preview 1.

use bytes::Bytes;
use http::Request;
use http_body_util::BodyExt as _;
use serde_json::{Value, json};
use serverledge_core::{FailureKind, FunctionLimits, Interface, InvokeError, Payload};
use serverledge_executor_wasm::{NotPortable, portable};
use serverledge_testing::fake_host::FakeHost;

use crate::support::{Lab, call_with, code, example, failure, json_of, with_env, words};

fn echo_cli() -> Vec<u8> {
    example("echo-cli")
}

/// The same program by version of WASI, 0.2 and 0.3.
fn programs() -> [Vec<u8>; 2] {
    [echo_cli(), example("echo-concurrent-cli")]
}

#[tokio::test]
async fn a_component_with_a_main_function_is_a_program() {
    let lab = Lab::new();
    let mut recognised = Vec::new();
    for program in programs() {
        let prepared = lab.prepare(program).await.unwrap();
        assert_eq!(prepared.interface, Interface::Json);
        recognised.push(prepared.recognised);
    }
    assert_eq!(
        recognised,
        ["wasi:cli component", "wasi:cli component of WASI 0.3"]
    );
}

#[tokio::test]
async fn a_program_sees_its_function() {
    let lab = Lab::new();
    for program in programs() {
        let version = lab.version(program, FunctionLimits::default()).await;
        let version = with_env(&version, &[("COLOUR", "red")]);
        let seen = json_of(&lab.invoke(&version, "{\"a\":1}").await.unwrap());
        assert_eq!(seen["arguments"], json!(["guest"]));
        assert_eq!(seen["params"], "{\"a\":1}");
        assert_eq!(seen["terminals"], json!([false, false]));
        let environment = seen["environment"].as_object().unwrap();
        assert_eq!(environment["COLOUR"], "red");
        assert_eq!(environment["SERVERLEDGE_HANDLER"], "main");
        assert!(environment.contains_key("SERVERLEDGE_INVOCATION_ID"));
        assert!(environment.contains_key("SERVERLEDGE_DEADLINE_MS"));
        let memory = version.limits.memory.get().to_string();
        assert_eq!(environment["SERVERLEDGE_MEMORY_MB"], memory);
        assert_eq!(environment.len(), 5, "{environment:?}");
    }
}

/// A browser has no host for it, and its owner is told what to build instead.
#[test]
fn a_program_stays_at_the_node() {
    let refused = programs().map(|program| portable(&Bytes::from(program)).err());
    assert_eq!(
        refused,
        [Some(NotPortable::Program), Some(NotPortable::Preview3)]
    );
}

/// Nothing of a call is seen by the next: each has an instance of its own.
#[tokio::test]
async fn calls_do_not_see_each_other() {
    let lab = Lab::new();
    for program in programs() {
        let version = lab.version(program, FunctionLimits::default()).await;
        let params = |outcome| json_of(&outcome)["params"].clone();
        for number in 0..5 {
            let outcome = lab.invoke(&version, &number.to_string()).await.unwrap();
            assert_eq!(params(outcome), Value::from(number.to_string()));
        }
    }
}

#[tokio::test]
async fn the_end_of_a_program_is_told() {
    let lab = Lab::new();
    for program in programs() {
        let version = lab.version(program, FunctionLimits::default()).await;
        let ended = async |params: Value| lab.invoke(&version, &params.to_string()).await;
        // Exit code 0 in the middle is an end like any other.
        assert!(ended(json!({"exit": true})).await.is_ok());
        assert_eq!(
            words(ended(json!({"fail": true})).await),
            "Error: the function exited with code 1: it was asked to fail"
        );
        let panicked = failure(ended(json!({"log": "before\n", "panic": "on purpose"})).await);
        assert_eq!(panicked.kind, FailureKind::Trap);
        assert_eq!(panicked.log, "before\n");
        let logged = ended(json!({"log": "a line\n"})).await.unwrap();
        assert_eq!(logged.log, "a line\n");
    }
}

#[tokio::test]
async fn output_has_its_limit() {
    let lab = Lab::with(|config| config.output_bytes_max = 10_000);
    for program in programs() {
        let version = lab.version(program, FunctionLimits::default()).await;
        let fill = async |bytes: usize| {
            let params = json!({ "fill": bytes }).to_string();
            lab.invoke(&version, &params).await
        };
        assert!(fill(10_000).await.is_ok());
        assert_eq!(
            words(fill(10_001).await),
            "OutputLimit: the function was stopped: it wrote more than 10000 bytes of output"
        );
        assert_eq!(failure(fill(0).await).kind, FailureKind::BadOutput);
    }
}

#[tokio::test]
async fn a_program_takes_no_request() {
    let lab = Lab::new();
    let version = lab.version(echo_cli(), FunctionLimits::default()).await;
    let body = Box::pin(http_body_util::Empty::new().map_err(|never| match never {}));
    let call = call_with(Payload::Http(Box::new(Request::new(body))));
    let sandbox = lab.start(&version).await.unwrap();
    match sandbox.invoke(call, FakeHost::new().0).await {
        Err(InvokeError::Request { code, .. }) => assert_eq!(code, "not_http"),
        other => panic!("{other:?}"),
    }
}

/// A program in text that does what is said with core instructions, without WASI.
fn program(memory: &str, run: &str) -> String {
    format!(
        r#"(component
            (core module $m
                (memory {memory})
                (func (export "run") (result i32) {run}))
            (core instance $i (instantiate $m))
            (func $run (result (result)) (canon lift (core func $i "run")))
            (component $exports
                (import "run" (func $run (result (result))))
                (export "run" (func $run)))
            (instance $cli (instantiate $exports (with "run" (func $run))))
            (export "wasi:cli/run@0.2.0" (instance $cli)))"#
    )
}

#[tokio::test]
async fn programs_have_the_limits_of_functions() {
    let lab = Lab::new();
    let limits = FunctionLimits {
        cpu_time: Some(std::time::Duration::from_millis(50)),
        ..FunctionLimits::default()
    };
    let endless = lab
        .version(program("1", "(loop (br 0)) (i32.const 0)"), limits)
        .await;
    assert_eq!(
        failure(lab.invoke(&endless, "{}").await).kind,
        FailureKind::CpuLimit
    );
    // More memory than the function has: refused, so the program fails.
    let greedy = program(
        "1",
        "(if (i32.eq (memory.grow (i32.const 4000)) (i32.const -1)) (then (unreachable))) (i32.const 0)",
    );
    let greedy = lab.version(greedy, FunctionLimits::default()).await;
    assert_eq!(
        failure(lab.invoke(&greedy, "{}").await).kind,
        FailureKind::MemoryLimit
    );
    let (told, message) = code(lab.prepare(program("5000", "(i32.const 0)")).await);
    assert_eq!(told, "memory_too_small", "{message}");
    // Its memories together.
    let (told, message) = code(
        lab.prepare(program("1500) (memory 1500", "(i32.const 0)"))
            .await,
    );
    assert_eq!(told, "memory_too_small", "{message}");
    // The result without a value that says that it failed.
    let failing = lab
        .version(program("1", "(i32.const 1)"), FunctionLimits::default())
        .await;
    assert_eq!(
        words(lab.invoke(&failing, "{}").await),
        "Error: the function exited with code 1"
    );
}
