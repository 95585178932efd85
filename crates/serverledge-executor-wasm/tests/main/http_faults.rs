//! Faults of a `wasi:http` component are its own, reported with reason and log; and its work after its response.

use std::time::Duration;

use bytes::Bytes;
use http::{Method, StatusCode};
use http_body_util::BodyExt as _;
use serverledge_core::{Ending, FailureKind, FunctionLimits, InvokeError, Outcome};

use crate::components::{ask, ask_as};
use crate::support::{Lab, failure, settled, time_limit};

const LOG: &str = "setting DB_URL is missing";

/// Body of the response (or why it broke off), and the end.
async fn both(outcome: Outcome) -> (Result<Bytes, String>, Ending) {
    let (response, ending) = settled(outcome);
    let body = response.into_body().collect().await;
    (
        body.map(http_body_util::Collected::to_bytes)
            .map_err(|fault| fault.to_string()),
        ending.await.unwrap(),
    )
}

/// A guest's action, and the kind and text of the failure that it is reported as.
const FAULTS: [(&str, FailureKind, &str); 14] = [
    (
        "(call $log) (call $exit (i32.const 1))",
        FailureKind::Error,
        "exited with code 1: setting DB_URL is missing",
    ),
    (
        "(call $exit (i32.const 0))",
        FailureKind::BadOutput,
        "without setting a response",
    ),
    (
        "(call $answer (local.get $out)) (call $write (global.get $s) (i32.const 0) (i32.const 4097) (i32.const 16))",
        FailureKind::Trap,
        "4096",
    ),
    (
        "(call $answer (local.get $out)) (call $say) (call $finish (global.get $b) (i32.const 0) (i32.const 0) (i32.const 16))",
        FailureKind::Trap,
        "a body before its stream",
    ),
    (
        "(call $many-headers)",
        FailureKind::Trap,
        "in a call to the host",
    ),
    (
        "(call $answer-with (local.get $out) (i32.const 103)) (call $finish-body)",
        FailureKind::BadOutput,
        "103, which is informational",
    ),
    (
        "(call $answer-with (local.get $out) (i32.const 101)) (call $finish-body)",
        FailureKind::BadOutput,
        "101, which is informational",
    ),
    (
        "(call $answer-with (local.get $out) (i32.const 600)) (call $finish-body)",
        FailureKind::BadOutput,
        "status 600",
    ),
    (
        "(call $length (i32.const 9)) (call $answer (local.get $out)) (call $say) (call $finish-body)",
        FailureKind::BadOutput,
        "4 are missing",
    ),
    (
        "(call $length (i32.const 9)) (call $answer (local.get $out)) (call $finish-body)",
        FailureKind::BadOutput,
        "9 are missing",
    ),
    (
        "(call $length (i32.const 3)) (call $answer (local.get $out)) (call $say) (call $finish-body)",
        FailureKind::BadOutput,
        "2 too many",
    ),
    (
        "(call $answer (local.get $out)) (call $say)",
        FailureKind::BadOutput,
        "did not finish the body",
    ),
    (
        "(call $answer (local.get $out)) (call $finish-body) (call $answer (local.get $out))",
        FailureKind::Trap,
        "the function trapped",
    ),
    (
        "(call $log) (call $answer (local.get $out)) (call $finish-body) unreachable",
        FailureKind::Trap,
        "unreachable",
    ),
];

#[tokio::test]
async fn a_guests_own_faults_are_told_as_its_own() {
    let lab = Lab::new();
    let mut wrong = Vec::new();
    for (body, kind, words) in FAULTS {
        match ask(&lab, body, FunctionLimits::default()).await {
            Err(InvokeError::Function(failure))
                if failure.kind == kind && failure.message.contains(words) =>
            {
                if body.contains("$log") && !String::from_utf8_lossy(&failure.log).contains(LOG) {
                    wrong.push(format!("{body}: without its log"));
                }
            }
            other => wrong.push(format!("{body}: {other:?}")),
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[tokio::test]
async fn a_failure_after_the_response_began_is_one() {
    let lab = Lab::new();
    let body =
        "(call $answer (local.get $out)) (call $say) (call $compute) (call $log) unreachable";
    let (read, ending) = both(ask(&lab, body, FunctionLimits::default()).await.unwrap()).await;
    assert!(read.unwrap_err().contains("unreachable"));
    let Ending::Failed(InvokeError::Function(failed)) = ending else {
        panic!("{ending:?}")
    };
    assert_eq!(failed.kind, FailureKind::Trap);
    assert!(
        String::from_utf8_lossy(&failed.log).contains(LOG),
        "{failed:?}"
    );
}

#[tokio::test]
async fn what_is_logged_after_the_response_began_is_in_the_log() {
    let lab = Lab::new();
    let body = "(call $answer (local.get $out)) (call $say) (call $compute) (call $log) (call $say) (call $finish-body)";
    let (read, ending) = both(ask(&lab, body, FunctionLimits::default()).await.unwrap()).await;
    assert_eq!(read.unwrap(), "hellohello");
    let Ending::Completed { log } = ending else {
        panic!("{ending:?}")
    };
    assert!(String::from_utf8_lossy(&log).contains(LOG), "{log:?}");
}

/// A whole response is sent at once, with its length or without; the guest goes on within its limits.
#[tokio::test]
async fn work_goes_on_after_a_whole_response() {
    let lab = Lab::new();
    for length in ["", "(call $length (i32.const 5))"] {
        let begin = format!(
            "{length} (call $answer (local.get $out)) (call $say) (call $finish-body) (call $compute) (call $log)"
        );
        let outcome = ask(&lab, &begin, FunctionLimits::default()).await.unwrap();
        assert!(
            outcome.rest.is_some(),
            "the guest ended before its response was sent"
        );
        let (read, ending) = both(outcome).await;
        assert_eq!(read.unwrap(), "hello");
        let Ending::Completed { log } = ending else {
            panic!("{ending:?}")
        };
        assert!(String::from_utf8_lossy(&log).contains(LOG), "{log:?}");

        let outcome = ask(
            &lab,
            &format!("{begin} unreachable"),
            FunctionLimits::default(),
        )
        .await
        .unwrap();
        let (read, ending) = both(outcome).await;
        assert_eq!(read.unwrap(), "hello", "the response was whole before");
        assert!(
            matches!(ending, Ending::Failed(InvokeError::Function(_))),
            "{ending:?}"
        );
    }
    let endless =
        "(call $answer (local.get $out)) (call $say) (call $finish-body) (loop $again (br $again))";
    let (read, ending) = both(
        ask(&lab, endless, time_limit(Duration::from_millis(300)))
            .await
            .unwrap(),
    )
    .await;
    assert_eq!(read.unwrap(), "hello");
    let Ending::Failed(InvokeError::Function(failed)) = ending else {
        panic!("{ending:?}")
    };
    assert_eq!(failed.kind, FailureKind::TimeLimit);
}

#[tokio::test]
async fn a_reader_that_leaves_ends_the_guest() {
    let lab = Lab::new();
    let body = "(call $answer (local.get $out)) (call $say) (call $log) (loop $again (br $again))";
    let (response, ending) = settled(
        ask(&lab, body, time_limit(Duration::from_secs(600)))
            .await
            .unwrap(),
    );
    drop(response);
    let Ending::Abandoned { log } = ending.await.unwrap() else {
        panic!("the guest was not stopped")
    };
    assert!(String::from_utf8_lossy(&log).contains(LOG), "{log:?}");
}

/// RFC 9112 §6.3: the same length several times is that length.
#[tokio::test]
async fn a_length_that_is_declared_twice_is_told_once() {
    let lab = Lab::new();
    let body = "(call $length (i32.const 5)) (call $length (i32.const 5)) (call $answer (local.get $out)) (call $say) (call $finish-body)";
    let outcome = ask(&lab, body, FunctionLimits::default()).await.unwrap();
    let (response, _) = settled(outcome);
    let lengths = response.headers().get_all("content-length").iter();
    assert_eq!(lengths.collect::<Vec<_>>(), ["5"]);
    let read = response.into_body().collect().await.unwrap().to_bytes();
    assert_eq!(read, "hello");
}

/// RFC 9110 §9.3.2: the headers of `GET`, and no body.
#[tokio::test]
async fn head_has_the_headers_of_get() {
    let lab = Lab::new();
    for (body, length) in [
        (
            "(call $length (i32.const 5)) (call $answer (local.get $out)) (call $finish-body)",
            Some("5"),
        ),
        (
            "(call $length (i32.const 5)) (call $answer (local.get $out)) (call $say) (call $finish-body)",
            Some("5"),
        ),
        (
            "(call $answer (local.get $out)) (call $say) (call $finish-body)",
            Some("5"),
        ),
        ("(call $answer (local.get $out)) (call $finish-body)", None),
    ] {
        let outcome = ask_as(Method::HEAD, &lab, body, FunctionLimits::default())
            .await
            .unwrap();
        let (response, ending) = settled(outcome);
        assert_eq!(response.status(), StatusCode::OK, "{body}");
        assert_eq!(
            response
                .headers()
                .get("content-length")
                .map(|value| value.to_str().unwrap()),
            length,
            "{body}"
        );
        assert!(
            response
                .into_body()
                .collect()
                .await
                .unwrap()
                .to_bytes()
                .is_empty(),
            "{body}"
        );
        assert!(
            matches!(ending.await.unwrap(), Ending::Completed { .. }),
            "{body}"
        );
    }
    let failed = ask_as(
        Method::HEAD,
        &lab,
        "(call $answer (local.get $out)) unreachable",
        FunctionLimits::default(),
    )
    .await;
    assert_eq!(failure(failed).kind, FailureKind::Trap);
}

/// 204 and 304 have no body either, whatever the guest writes.
#[tokio::test]
async fn responses_without_a_body_have_none() {
    let lab = Lab::new();
    for code in [204, 304] {
        let body = format!(
            "(call $answer-with (local.get $out) (i32.const {code})) (call $say) (call $finish-body)"
        );
        let (read, ending) = both(ask(&lab, &body, FunctionLimits::default()).await.unwrap()).await;
        assert!(read.unwrap().is_empty());
        assert!(matches!(ending, Ending::Completed { .. }), "{ending:?}");
    }
}
