//! `wasi:http` components that misbehave in the middle of an answer, put together from text: whatever they do, a reply
//! that is not whole never looks whole, and nothing of ours breaks.

use std::time::Duration;

use bytes::Bytes;
use http::{Method, Request};
use http_body_util::{BodyExt as _, Empty};
use serverledge_core::{FailureKind, FunctionLimits, HttpBody, InvokeError, Outcome, Payload};
use serverledge_testing::fake_host::FakeHost;
pub(crate) use serverledge_testing::http_component::component;

use crate::support::{Lab, call, call_with, failure, kind, settled, time_limit};

pub(crate) async fn ask(
    lab: &Lab,
    body: &str,
    limits: FunctionLimits,
) -> Result<Outcome, InvokeError> {
    ask_as(Method::GET, lab, body, limits).await
}

pub(crate) async fn ask_as(
    method: Method,
    lab: &Lab,
    body: &str,
    limits: FunctionLimits,
) -> Result<Outcome, InvokeError> {
    let version = lab.version(component(body), limits).await;
    let sent: HttpBody = Box::pin(Empty::<Bytes>::new().map_err(|never| match never {}));
    let request = Request::builder()
        .method(method)
        .uri("/")
        .header("host", "localhost")
        .body(sent)
        .unwrap();
    let sandbox = lab.start(&version).await.unwrap();
    sandbox
        .invoke(
            call_with(Payload::Http(Box::new(request))),
            FakeHost::new().0,
        )
        .await
}

/// The whole body, or why it broke off.
async fn read(outcome: Outcome) -> Result<String, String> {
    let (response, _) = settled(outcome);
    let whole = response
        .into_body()
        .collect()
        .await
        .map_err(|fault| fault.to_string())?;
    Ok(String::from_utf8(whole.to_bytes().to_vec()).unwrap())
}

#[tokio::test]
async fn a_whole_answer_is_whole() {
    let lab = Lab::new();
    for (body, expected) in [
        ("(call $answer (local.get $out)) (call $finish-body)", ""),
        (
            "(call $answer (local.get $out)) (call $say) (call $finish-body)",
            "hello",
        ),
        (
            "(call $answer (local.get $out)) (call $say) (call $compute) (call $say) (call $finish-body)",
            "hellohello",
        ),
    ] {
        let outcome = ask(&lab, body, FunctionLimits::default()).await.unwrap();
        assert_eq!(read(outcome).await.as_deref(), Ok(expected), "{body}");
    }
}

#[tokio::test]
async fn a_handler_without_an_answer_fails() {
    let lab = Lab::new();
    for (body, expected) in [
        ("unreachable", FailureKind::Trap),
        ("(call $compute) unreachable", FailureKind::Trap),
        ("", FailureKind::BadOutput),
        (
            "(call $drop-outparam (local.get $out))",
            FailureKind::BadOutput,
        ),
        (
            "(call $drop-outparam (local.get $out)) unreachable",
            FailureKind::Trap,
        ),
        // The answer is given up long before the guest ends: it is waited for across many turns.
        (
            "(call $drop-outparam (local.get $out)) (call $compute)",
            FailureKind::BadOutput,
        ),
        (
            "(call $drop-outparam (local.get $out)) (call $compute) unreachable",
            FailureKind::Trap,
        ),
    ] {
        assert_eq!(
            kind(ask(&lab, body, FunctionLimits::default()).await),
            expected,
            "{body}"
        );
    }
}

/// Failing after the answer was set, at any point, never gives a reply that looks whole.
#[tokio::test]
async fn a_broken_answer_never_looks_whole() {
    let lab = Lab::new();
    let mut wrong = Vec::new();
    for rest in [
        "unreachable",
        "(call $compute) unreachable",
        "(call $say) unreachable",
        "(call $say) (call $compute) unreachable",
        "(call $say) (call $compute) (call $say) unreachable",
        // Without its end a body is not whole, however well the handler returned (`outgoing-body.finish`).
        "(call $say)",
        "(call $say) (call $compute)",
        "(call $say) (call $drop-stream (global.get $s))",
    ] {
        let body = format!("(call $answer (local.get $out)) {rest}");
        match ask(&lab, &body, FunctionLimits::default()).await {
            Err(InvokeError::Function(_)) => {}
            Err(other) => wrong.push(format!("{rest}: {other:?}")),
            Ok(outcome) => {
                let read = read(outcome).await;
                if read.is_ok() {
                    wrong.push(format!("{rest}: {read:?}"));
                }
            }
        }
        let version = lab
            .version(component(&body), FunctionLimits::default())
            .await;
        let invoked = lab
            .start(&version)
            .await
            .unwrap()
            .invoke(call("{}"), FakeHost::new().0)
            .await;
        if !matches!(invoked, Err(InvokeError::Function(_))) {
            wrong.push(format!("{rest}, as an invocation: {invoked:?}"));
        }
    }
    assert!(
        wrong.is_empty(),
        "broken replies that look whole:\n{}",
        wrong.join("\n")
    );
}

/// The first byte is out and the guest computes for ever: the time limit ends the stream, and a reader that leaves ends
/// the guest.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_endless_guest_behind_a_reply_ends() {
    let lab = Lab::with(|config| config.slots = 1);
    let body = "(call $answer (local.get $out)) (call $say) (loop $again (br $again))";
    let outcome = ask(&lab, body, time_limit(Duration::from_millis(300)))
        .await
        .unwrap();
    let fault = read(outcome).await.unwrap_err();
    assert!(fault.contains("300ms"), "{fault}");
    // What computes stops at its next tick; until then its slot is taken.
    let outcome = ask_until_free(&lab, body, time_limit(Duration::from_secs(600))).await;
    let mut stream = settled(outcome).0.into_body();
    assert_eq!(
        stream.frame().await.unwrap().unwrap().into_data().unwrap(),
        "hello"
    );
    drop(stream);
    let next = "(call $answer (local.get $out)) (call $say) (call $finish-body)";
    let outcome = ask_until_free(&lab, next, FunctionLimits::default()).await;
    assert_eq!(read(outcome).await.as_deref(), Ok("hello"));
}

async fn ask_until_free(lab: &Lab, body: &str, limits: FunctionLimits) -> Outcome {
    let asking = async {
        loop {
            match ask(lab, body, limits).await {
                Err(InvokeError::Exhausted) => tokio::time::sleep(Duration::from_millis(5)).await,
                other => return other.unwrap(),
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(60), asking)
        .await
        .expect("the slot did not come free")
}

/// Computing behind a reply costs processor time as computing before it does.
#[tokio::test]
async fn the_processor_limit_covers_the_streamed_reply() {
    let lab = Lab::new();
    let limits = FunctionLimits {
        cpu_time: Some(Duration::from_millis(50)),
        ..FunctionLimits::default()
    };
    let body = "(call $answer (local.get $out)) (call $say) (loop $again (br $again))";
    match ask(&lab, body, limits).await {
        Ok(outcome) => assert!(read(outcome).await.is_err(), "the stream should break off"),
        Err(error) => assert_eq!(failure(Err(error)).kind, FailureKind::CpuLimit),
    }
}
