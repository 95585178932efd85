//! Logs of functions, whole and followed.

use std::time::Duration;

use axum::body::Body;
use bytes::Bytes;
use expect_test::expect;
use futures_util::FutureExt as _;
use http::Response;
use http_body_util::BodyExt as _;
use serverledge_api::LogEntry;
use serverledge_core::InvocationId;

use crate::backend::LIVE_MAX;
use crate::support::{app, check, get, outcome, text, with};

/// 2026-01-02T03:04:05.678Z.
const TIME: u64 = 1_767_323_045_678;

fn entry(nth: u64, text: &'static str) -> LogEntry {
    let invocation = InvocationId::parse(&format!("01890000-0000-7000-8000-{nth:012}")).unwrap();
    let invocation = Some(invocation);
    LogEntry {
        time_unix_ms: TIME + nth,
        invocation,
        failed: nth % 2 == 1,
        text: Bytes::from_static(text.as_bytes()),
    }
}

async fn piece(response: &mut Response<Body>) -> Option<String> {
    let frame = response.body_mut().frame().await?.unwrap();
    Some(String::from_utf8(frame.into_data().unwrap().to_vec()).unwrap())
}

#[tokio::test]
async fn the_end_of_a_log_is_shown() {
    let (app, handle) = app();
    for (nth, text) in [
        (0, "first\n"),
        (1, "second\nthird\n\n"),
        (2, ""),
        (3, "ö \""),
    ] {
        handle.log(entry(nth, text));
    }
    check(
        app.handle(get("/functions/json/logs")).await,
        expect![[r#"
        200 OK
        content-type: text/plain; charset=utf-8
        content-security-policy: sandbox allow-scripts
        x-content-type-options: nosniff
        2026-01-02T03:04:05.678Z 000000000000 first
        2026-01-02T03:04:05.679Z 000000000001 second
        2026-01-02T03:04:05.679Z 000000000001 third
        2026-01-02T03:04:05.679Z 000000000001
        2026-01-02T03:04:05.681Z 000000000003 ö "
    "#]],
    )
    .await;
    check(
        app.handle(get("/functions/json/logs?tail=2")).await,
        expect![[r#"
        200 OK
        content-type: text/plain; charset=utf-8
        content-security-policy: sandbox allow-scripts
        x-content-type-options: nosniff
        2026-01-02T03:04:05.679Z 000000000001
        2026-01-02T03:04:05.681Z 000000000003 ö "
    "#]],
    )
    .await;
    let json = |uri| with(get(uri), &[("accept", "application/x-ndjson")]);
    check(app.handle(json("/functions/json/logs?tail=3")).await, expect![[r#"
        200 OK
        content-type: application/x-ndjson
        content-security-policy: sandbox allow-scripts
        x-content-type-options: nosniff
        {"Time":"2026-01-02T03:04:05.679Z","Invocation":"01890000-0000-7000-8000-000000000001","Failed":true,"Text":"third"}
        {"Time":"2026-01-02T03:04:05.679Z","Invocation":"01890000-0000-7000-8000-000000000001","Failed":true,"Text":""}
        {"Time":"2026-01-02T03:04:05.681Z","Invocation":"01890000-0000-7000-8000-000000000003","Failed":true,"Text":"ö \""}
    "#]]).await;
    assert_eq!(
        text(app.handle(get("/functions/json/logs?tail=0")).await).await,
        ""
    );
}

#[tokio::test]
async fn lines_of_one_invocation_can_be_asked_for() {
    let (app, handle) = app();
    for (nth, text) in [(1, "one\n"), (21, "two\n"), (1, "one again\n")] {
        handle.log(entry(nth, text));
    }
    handle.log(LogEntry {
        invocation: None,
        ..entry(4, "while it was loaded\n")
    });
    let shown = async |query: &str| {
        text(
            app.handle(get(&format!("/functions/json/logs?{query}")))
                .await,
        )
        .await
    };
    let whole = "01890000-0000-7000-8000-000000000001";
    assert_eq!(
        shown(&format!("invocation={whole}"))
            .await
            .matches(" one")
            .count(),
        2
    );
    assert!(
        shown("invocation=0021&tail=5")
            .await
            .ends_with(" 000000000021 two\n")
    );
    assert_eq!(shown("invocation=9999").await, "");
    assert!(shown("tail=1").await.ends_with("Z - while it was loaded\n"));
    let mut followed = app
        .handle(get("/functions/json/logs?follow&tail=0&invocation=0021"))
        .await;
    handle.log(entry(1, "not this one\n"));
    handle.log(entry(21, "this one\n"));
    assert!(
        piece(&mut followed)
            .await
            .unwrap()
            .ends_with(" 000000000021 this one\n")
    );
}

#[tokio::test]
async fn bytes_that_are_no_text_do_no_harm() {
    let (app, handle) = app();
    handle.log(LogEntry {
        text: Bytes::from_static(b"a\xffb"),
        ..entry(0, "")
    });
    assert!(
        text(app.handle(get("/functions/json/logs")).await)
            .await
            .ends_with(" a\u{fffd}b\n")
    );
}

#[tokio::test]
async fn what_cannot_be_shown_is_a_problem() {
    let (app, _) = app();
    for (uri, expected) in [
        ("/functions/nobody/logs", "404 function_unknown"),
        ("/functions/%FF/logs", "404 function_unknown"),
        ("/functions/json/logs?tail=x", "400 malformed_query"),
        ("/functions/json/logs?follow=x", "400 malformed_query"),
        ("/functions/json/logs?since=1", "400 malformed_query"),
        ("/functions/json/logs?invocation=me", "400 malformed_query"),
        ("/functions/json/logs/1", "404 route_unknown"),
    ] {
        assert_eq!(outcome(app.handle(get(uri)).await).await, expected, "{uri}");
    }
}

#[tokio::test]
async fn followers_see_what_comes() {
    let (app, handle) = app();
    handle.log(entry(0, "before\n"));
    let mut response = app
        .handle(get("/functions/json/logs?follow=true&tail=1"))
        .await;
    assert!(piece(&mut response).await.unwrap().ends_with(" before\n"));
    assert!(
        piece(&mut response).now_or_never().is_none(),
        "nothing has come yet"
    );
    handle.log(entry(1, ""));
    handle.log(entry(2, "after\nit\n"));
    let both = piece(&mut response).await.unwrap();
    assert_eq!(
        both.lines()
            .filter(|line| line.contains(" 000000000002 "))
            .count(),
        2,
        "{both}"
    );
    handle.close_logs();
    assert_eq!(piece(&mut response).await, None);
}

#[tokio::test]
async fn slow_followers_are_told_what_they_missed() {
    let (app, handle) = app();
    let follow = || {
        with(
            get("/functions/json/logs?follow"),
            &[("accept", "application/x-ndjson")],
        )
    };
    let mut people = app.handle(get("/functions/json/logs?follow")).await;
    let mut program = app.handle(follow()).await;
    for nth in 0..LIVE_MAX as u64 + 3 {
        handle.log(entry(nth, "x\n"));
    }
    let told = piece(&mut people).await.unwrap();
    assert_eq!(
        told,
        "... 3 pieces of the log were skipped: too many for this reader\n"
    );
    assert!(
        piece(&mut people)
            .await
            .unwrap()
            .contains(" 000000000003 x\n")
    );
    assert_eq!(piece(&mut program).await.unwrap(), "{\"Skipped\":3}\n");
    assert!(
        piece(&mut program)
            .await
            .unwrap()
            .contains("\"Text\":\"x\"")
    );
}

#[tokio::test(start_paused = true)]
async fn programs_get_signs_of_life() {
    let (app, _handle) = app();
    let follow = with(
        get("/functions/json/logs?follow"),
        &[("accept", "application/x-ndjson")],
    );
    let mut program = app.handle(follow).await;
    assert_eq!(piece(&mut program).await.unwrap(), "{}\n");
    let mut people = app.handle(get("/functions/json/logs?follow")).await;
    let silent = tokio::time::timeout(Duration::from_secs(60), piece(&mut people)).await;
    assert!(silent.is_err(), "people get nothing but the log");
}

/// Followers have places of their own: they take none of those of requests, and there are not arbitrarily many.
#[tokio::test]
async fn followers_are_limited() {
    let (app, _handle) = app();
    let mut followers = Vec::new();
    for _ in 0..64 {
        followers.push(app.handle(get("/functions/json/logs?follow")).await);
    }
    let refused = app.handle(get("/functions/json/logs?follow")).await;
    assert_eq!(outcome(refused).await, "503 too_many_requests_at_once");
    assert_eq!(
        outcome(app.handle(get("/functions/json/logs")).await).await,
        "200"
    );
    followers.pop();
    assert_eq!(
        app.handle(get("/functions/json/logs?follow"))
            .await
            .status(),
        200
    );
}
