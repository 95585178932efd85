//! The routes for asynchronous invocations, and idempotency keys.

use expect_test::expect;
use http::Method;
use serverledge_api::{ChangeError, OnceError, SubmitError};
use serverledge_core::{InvocationError, InvocationId, OverloadReason};
use serverledge_wire::invocations::{
    CallbackInfo, HistoryEntry, InvocationInfo, InvocationProblem,
};
use serverledge_wire::records::InvocationState;

use crate::backend::ACCEPTED;
use crate::support::{app, check, get, outcome, post, request, text, with};

fn info() -> InvocationInfo {
    InvocationInfo {
        id: ACCEPTED.to_owned(),
        function: "json".to_owned(),
        version: "abab".to_owned(),
        state: InvocationState::Expired,
        attempts: 2,
        accepted_unix_ms: 1,
        started_unix_ms: Some(2),
        finished_unix_ms: Some(7),
        result: None,
        error: Some(InvocationProblem {
            code: "expired".to_owned(),
            message: "too old".to_owned(),
        }),
        node: Some("n1".to_owned()),
        dead_letter: true,
        redrive_of: None,
        callback: Some(CallbackInfo {
            url: "https://receiver.example/".to_owned(),
            state: "pending".to_owned(),
            attempts: 1,
            last_error: Some("busy".to_owned()),
        }),
        history: vec![HistoryEntry {
            unix_ms: 1,
            event: "accepted".to_owned(),
            node: "n1".to_owned(),
        }],
        runs: Vec::new(),
    }
}

#[tokio::test]
async fn submitting_answers_where_to_ask() {
    let (app, handle) = app();
    let body = r#"{"Params":[1],"CALLBACK":"https://receiver.example/","QoSClass":2,"CanDoOffloading":false}"#;
    let asked = with(
        post("/functions/json/invocations", body),
        &[("idempotency-key", "k")],
    );
    let response = app.handle(asked).await;
    assert_eq!(
        (
            response.status().as_u16(),
            response.headers()["location"].to_str().unwrap()
        ),
        (202, &*format!("/invocations/{ACCEPTED}"))
    );
    assert_eq!(text(response).await, format!("{{\"id\":\"{ACCEPTED}\"}}"));
    let call = handle.calls().remove(0);
    assert_eq!(
        (call.call.qos_class, call.call.context.may_offload),
        (2, false)
    );
    assert_eq!(call.stored.key.unwrap().as_str(), "k");
    assert_eq!(
        call.stored.callback.as_deref(),
        Some("https://receiver.example/")
    );
    handle.repeat();
    let again = text(app.handle(post("/functions/json/invocations", "")).await).await;
    assert_eq!(
        again,
        format!("{{\"id\":\"{ACCEPTED}\",\"repeated\":true}}")
    );
    for (fault, told) in [
        (SubmitError::Full { waiting: 9 }, "429 async_queue_full"),
        (
            SubmitError::KeyReused {
                first: InvocationId::new(),
            },
            "422 idempotency_key_reused",
        ),
        (
            SubmitError::Callback {
                why: "it is private".to_owned(),
            },
            "400 callback_refused",
        ),
    ] {
        handle.refuse_submit(fault);
        assert_eq!(
            outcome(app.handle(post("/functions/json/invocations", "")).await).await,
            told
        );
    }
    assert_eq!(
        outcome(app.handle(post("/functions/json/invocations", "[")).await).await,
        "400 malformed_json"
    );
    assert_eq!(
        outcome(app.handle(post("/functions/%FF/invocations", "")).await).await,
        "404 function_unknown"
    );
}

#[tokio::test]
async fn an_invocation_is_shown_and_cancelled() {
    let (app, handle) = app();
    let place = format!("/invocations/{ACCEPTED}");
    let cancel = format!("/invocations/{ACCEPTED}/cancel");
    for uri in [&place, "/invocations/1", "/invocations/%FF"] {
        assert_eq!(
            outcome(app.handle(get(uri)).await).await,
            "404 invocation_unknown",
            "{uri}"
        );
    }
    assert_eq!(
        outcome(app.handle(post(&cancel, "")).await).await,
        "404 invocation_unknown"
    );
    handle.keep(info());
    check(app.handle(get(&place)).await, expect![[r#"
        200 OK
        content-type: application/json
        {"id":"01890000-0000-7000-8000-000000000001","function":"json","version":"abab","state":"expired","attempts":2,"accepted_unix_ms":1,"started_unix_ms":2,"finished_unix_ms":7,"error":{"code":"expired","message":"too old"},"node":"n1","dead_letter":true,"callback":{"url":"https://receiver.example/","state":"pending","attempts":1,"last_error":"busy"},"history":[{"unix_ms":1,"event":"accepted","node":"n1"}]}"#]]).await;
    assert_eq!(app.handle(post(&cancel, "")).await.status(), 200);
    handle.refuse_change(ChangeError::Ended { state: "done" });
    check(app.handle(post(&cancel, "")).await, expect![[r#"
        409 Conflict
        content-type: application/problem+json
        {"code":"invocation_ended","detail":"the invocation has ended already: it is done","status":409,"title":"Conflict","type":"about:blank"}"#]]).await;
}

#[tokio::test]
async fn dead_letters_are_tended() {
    let (app, handle) = app();
    let one = format!("/dead-letters/{ACCEPTED}");
    let redrive = format!("/dead-letters/{ACCEPTED}/redrive");
    assert_eq!(
        outcome(app.handle(get(&one)).await).await,
        "404 dead_letter_unknown"
    );
    handle.keep(info());
    check(app.handle(get("/dead-letters")).await, expect![[r#"
        200 OK
        content-type: application/json
        {"dead_letters":[{"id":"01890000-0000-7000-8000-000000000001","function":"json","error":{"code":"expired","message":"too old"},"attempts":2,"finished_unix_ms":7}],"next":"01890000-0000-7000-8000-000000000001"}"#]]).await;
    assert_eq!(
        app.handle(get(&format!("/dead-letters?after={ACCEPTED}&limit=3")))
            .await
            .status(),
        200
    );
    assert_eq!(
        handle.pages(),
        [(None, 50), (InvocationId::parse(ACCEPTED), 3)]
    );
    for query in [
        "limit=0",
        "limit=501",
        "limit=x",
        "after=1",
        "before=1",
        "limit",
    ] {
        let uri = format!("/dead-letters?{query}");
        assert_eq!(
            outcome(app.handle(get(&uri)).await).await,
            "400 malformed_query",
            "{query}"
        );
    }
    assert_eq!(app.handle(get(&one)).await.status(), 200);
    let response = app.handle(post(&redrive, "")).await;
    assert_eq!(
        (
            response.status().as_u16(),
            response.headers()["location"].to_str().unwrap()
        ),
        (202, &*format!("/invocations/{ACCEPTED}"))
    );
    assert_eq!(
        text(response).await,
        format!("{{\"id\":\"{ACCEPTED}\",\"redrive_of\":\"{ACCEPTED}\"}}")
    );
    handle.refuse_change(ChangeError::NotDead);
    assert_eq!(
        outcome(app.handle(post(&redrive, "")).await).await,
        "404 dead_letter_unknown"
    );
    let response = app.handle(request(&Method::DELETE, &one, "")).await;
    assert_eq!(
        (response.status().as_u16(), text(response).await.as_str()),
        (204, "")
    );
    for uri in ["/dead-letters/1", "/dead-letters/%FF"] {
        assert_eq!(
            outcome(app.handle(request(&Method::DELETE, uri, "")).await).await,
            "404 dead_letter_unknown"
        );
    }
    let all = app
        .handle(request(&Method::DELETE, "/dead-letters", ""))
        .await;
    assert_eq!(text(all).await, "{\"purged\":3}");
}

/// A call with a key goes another way than one without.
#[tokio::test]
async fn a_key_makes_calls_one() {
    let (app, handle) = app();
    let asked = || {
        with(
            post("/invoke/json", r#"{"Params":[1],"ReturnOutput":true}"#),
            &[("Idempotency-Key", "k 1")],
        )
    };
    assert_eq!(
        outcome(app.handle(asked()).await).await,
        "400 idempotency_key_malformed"
    );
    let asked = || {
        with(
            post("/invoke/json", r#"{"Params":[1],"ReturnOutput":true}"#),
            &[("Idempotency-Key", "k-1")],
        )
    };
    let response = app.handle(asked()).await;
    assert!(
        response.headers().contains_key("server-timing")
            && response.headers().contains_key("serverledge-free-mem")
    );
    assert_eq!(text(response).await, "{\"Success\":true}");
    let call = handle.calls().remove(0);
    assert_eq!(
        (call.stored.key.unwrap().as_str(), call.stored.return_output),
        ("k-1", true)
    );
    let twice = with(asked(), &[("Idempotency-Key", "k-2")]);
    let long = "x".repeat(129);
    for malformed in [
        twice,
        with(post("/invoke/json", ""), &[("idempotency-key", &long)]),
    ] {
        assert_eq!(
            outcome(app.handle(malformed).await).await,
            "400 idempotency_key_malformed"
        );
    }
    assert_eq!(handle.counts().begun, 0, "no plain invocation");
}

#[tokio::test]
async fn a_kept_outcome_is_answered_as_a_plain_one() {
    let (app, handle) = app();
    let asked = || with(post("/invoke/json", ""), &[("idempotency-key", "k")]);
    let ended = |code: &str| OnceError::Ended {
        code: code.to_owned(),
        message: "why".to_owned(),
    };
    let late = InvocationError::Overloaded {
        reason: OverloadReason::Deadline,
        retry_after: std::time::Duration::ZERO,
    };
    for (fault, told) in [
        (
            SubmitError::KeyReused {
                first: InvocationId::new(),
            }
            .into(),
            "422 idempotency_key_reused",
        ),
        (
            InvocationError::Unknown("json".to_owned()).into(),
            "404 function_unknown",
        ),
        (late.into(), "429 deadline_unreachable"),
        (ended("expired"), "504 expired"),
        (ended("cancelled"), "409 cancelled"),
        (ended("attempts_exhausted"), "500 attempts_exhausted"),
    ] {
        handle.refuse_once(fault);
        assert_eq!(outcome(app.handle(asked()).await).await, told);
    }
    let id = InvocationId::parse(ACCEPTED).unwrap();
    handle.refuse_once(OnceError::NotFinished {
        id,
        retry_after: std::time::Duration::from_millis(10),
    });
    check(app.handle(asked()).await, expect![[r#"
        409 Conflict
        content-type: application/problem+json
        retry-after: 1
        serverledge-node-name: (ROME)n1
        {"code":"invocation_not_finished","detail":"invocation 01890000-0000-7000-8000-000000000001, which this idempotency key stands for, has not ended yet","function":"json","status":409,"title":"Conflict","type":"about:blank"}"#]]).await;
}

#[tokio::test]
async fn who_waits_for_the_answer_gets_no_callback() {
    let (app, handle) = app();
    let body = r#"{"Callback":"https://receiver.example/"}"#;
    assert_eq!(
        outcome(app.handle(post("/invoke/json", body)).await).await,
        "400 callback_needs_async"
    );
    let body = r#"{"Callback":"https://receiver.example/","Async":true}"#;
    assert_eq!(app.handle(post("/invoke/json", body)).await.status(), 200);
    assert!(handle.calls().remove(0).stored.callback.is_some());
    assert_eq!(
        outcome(app.handle(post("/invoke/json", r#"{"Callback":7}"#)).await).await,
        "400 malformed_member"
    );
}
