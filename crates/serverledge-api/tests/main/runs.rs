//! Runs, their figures, and events.

use expect_test::expect;
use http_body_util::BodyExt as _;
use serverledge_core::{Role, Scopes};
use serverledge_wire::runs::InvocationTraces;
use serverledge_wire::stream::LogLine;

use crate::backend::ACCEPTED;
use crate::fake_apps::application;
use crate::fake_runs::run;
use crate::support::{app, app_with_accounts, check, get, outcome, text, with};

fn traces() -> InvocationTraces {
    InvocationTraces {
        runs: vec![run(ACCEPTED)],
        log: vec![LogLine {
            time: "2026-01-02T03:04:05.678Z".to_owned(),
            invocation: ACCEPTED.to_owned(),
            text: Some("hello".to_owned()),
            ..LogLine::default()
        }],
    }
}

#[tokio::test]
async fn a_list_asks_for_what_the_query_says() {
    let (app, handle) = app();
    handle.runs().keep(traces());
    let answer = text(
        app.handle(get(
            "/invocations?function=json&status=failed&cluster=true&limit=2",
        ))
        .await,
    )
    .await;
    assert!(answer.contains("\"status\":\"completed\""), "{answer}");
    expect![[r#"
        [
            "All RunFilter { function: Some(\"json\"), statuses: [\"failed\"], trigger: None, since_unix_ms: None, until_unix_ms: None, after: None, limit: 2 } true",
        ]"#]]
    .assert_eq(&format!("{:#?}", handle.runs().asked()));
    assert_eq!(
        outcome(app.handle(get("/invocations?limit=x")).await).await,
        "400 malformed_query"
    );
}

#[tokio::test]
async fn an_invocation_that_was_not_stored_is_shown_by_its_runs() {
    let (app, handle) = app();
    let uri = format!("/invocations/{ACCEPTED}");
    assert_eq!(
        outcome(app.handle(get(&uri)).await).await,
        "404 invocation_unknown"
    );
    handle.runs().keep(traces());
    let answer = text(app.handle(get(&uri)).await).await;
    let answer: serde_json::Value = serde_json::from_str(&answer).unwrap();
    assert_eq!(
        (
            &answer["state"],
            &answer["attempts"],
            &answer["started_unix_ms"],
            &answer["finished_unix_ms"]
        ),
        (&"done".into(), &1.into(), &1001.into(), &1007.into())
    );
    assert_eq!(answer["runs"][0]["total_us"], 7000);
}

#[tokio::test]
async fn a_failed_run_says_why() {
    let (app, handle) = app();
    let mut failed = run(ACCEPTED);
    failed.status = "failed".to_owned();
    failed.code = Some("function_trap".to_owned());
    failed.message = Some("unreachable".to_owned());
    handle.runs().keep(InvocationTraces {
        runs: vec![failed],
        log: Vec::new(),
    });
    let answer = text(app.handle(get(&format!("/invocations/{ACCEPTED}"))).await).await;
    let answer: serde_json::Value = serde_json::from_str(&answer).unwrap();
    assert_eq!(answer["state"], "failed");
    assert_eq!(answer["error"]["code"], "function_trap");
}

#[tokio::test]
async fn the_log_of_one_invocation_is_shown() {
    let (app, handle) = app();
    let uri = format!("/invocations/{ACCEPTED}/logs");
    assert_eq!(
        outcome(app.handle(get(&uri)).await).await,
        "404 invocation_unknown"
    );
    handle.runs().keep(traces());
    check(
        app.handle(get(&uri)).await,
        expect![[r#"
            200 OK
            content-type: text/plain; charset=utf-8
            content-security-policy: sandbox allow-scripts
            x-content-type-options: nosniff
            2026-01-02T03:04:05.678Z hello
        "#]],
    )
    .await;
    let asked = with(get(&uri), &[("accept", "application/x-ndjson")]);
    let answer = text(app.handle(asked).await).await;
    assert!(answer.contains("\"Text\":\"hello\""), "{answer}");
}

#[tokio::test]
async fn events_are_a_stream_that_a_reader_resumes() {
    let (app, handle) = app();
    handle
        .runs()
        .events(&["event: hello\ndata: {}\n\n", "event: run\ndata: {}\n\n"]);
    let asked = with(
        get("/events?kinds=run,log&function=json"),
        &[("last-event-id", "0a-7")],
    );
    let mut response = app.handle(asked).await;
    assert_eq!(response.headers()["content-type"], "text/event-stream");
    assert_eq!(response.headers()["x-accel-buffering"], "no");
    for expected in ["event: hello\ndata: {}\n\n", "event: run\ndata: {}\n\n"] {
        let frame = response.body_mut().frame().await.unwrap().unwrap();
        assert_eq!(frame.into_data().unwrap(), expected);
    }
    expect![[r#"
        [
            "EventFilter { scope: All, of_node: true, kinds: [\"run\", \"log\"], function: Some(\"json\"), last: Some(EventId { epoch: \"0a\", seq: 7 }) }",
        ]"#]]
    .assert_eq(&format!("{:#?}", handle.runs().asked()));
    for bad in ["/events?kinds=weather", "/events?since=1"] {
        assert_eq!(
            outcome(app.handle(get(bad)).await).await,
            "400 malformed_query"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_silent_stream_gives_signs_of_life() {
    let (app, handle) = app();
    handle.runs().events(&[]);
    let mut response = app.handle(get("/events")).await;
    let frame = response.body_mut().frame().await.unwrap().unwrap();
    assert_eq!(frame.into_data().unwrap(), ":\n\n");
}

#[tokio::test]
async fn an_applications_prefix_means_its_runs_alone() {
    let (app, handle) = app();
    handle.apps().add(application("shop", None));
    let space = format!("Spaces([{:?}])", handle.apps().space("shop"));
    for uri in [
        "/apps/shop/invocations",
        "/apps/shop/stats",
        "/apps/shop/events",
    ] {
        let status = app.handle(get(uri)).await.status();
        assert!(status.is_success(), "{uri}: {status}");
        let asked = handle.runs().asked();
        assert!(asked[0].contains(&space), "{uri}: {asked:?}");
    }
}

#[tokio::test]
async fn an_account_sees_its_own_and_only_operators_all() {
    let (app, handle, accounts) = app_with_accounts(true, false);
    let token = |email: &str, role| {
        accounts.add(email, "correct horse battery", role);
        accounts.add_token(email, Scopes::parse(["invoke", "admin"]).unwrap())
    };
    let user = token("ada@example.org", Role::User);
    let operator = token("bob@example.org", Role::Operator);
    let ask = async |uri: &str, token: &str| {
        let asked = with(get(uri), &[("authorization", &format!("Bearer {token}"))]);
        outcome(app.handle(asked).await).await
    };
    assert_eq!(ask("/invocations", &user).await, "200");
    assert!(handle.runs().asked()[0].starts_with("Spaces("));
    assert_eq!(ask("/invocations?all=true", &user).await, "403 forbidden");
    assert_eq!(ask("/invocations?all=true", &operator).await, "200");
    assert!(handle.runs().asked()[0].starts_with("All "));
}

#[tokio::test]
async fn the_console_is_a_page_with_addresses_below_it() {
    let (app, _) = app();
    let response = app.handle(get("/console")).await;
    assert_eq!(
        (response.status().as_u16(), &response.headers()["location"]),
        (308, &"/console/".parse().unwrap())
    );
    for uri in ["/console/", "/console/functions/f", "/console/index.html"] {
        let response = app.handle(get(uri)).await;
        let headers = response.headers().clone();
        assert_eq!(headers["content-type"], "text/html; charset=utf-8", "{uri}");
        assert_eq!(headers["cache-control"], "no-cache");
        let policy = headers["content-security-policy"].to_str().unwrap();
        assert!(policy.starts_with("default-src 'none'; script-src 'self'"));
        for weak in ["unsafe-inline", "'unsafe-eval'", "http:", "https:"] {
            assert!(!policy.contains(weak), "{policy}");
        }
        let page = text(response).await;
        assert!(page.contains("=\"/console/assets/"), "{page}");
    }
    assert_eq!(
        outcome(app.handle(get("/console/assets/gone.js")).await).await,
        "404 route_unknown"
    );
}

#[tokio::test]
async fn files_of_the_console_are_kept_and_compressed() {
    let (app, _) = app();
    let page = text(app.handle(get("/console/")).await).await;
    let at = page.find("/console/assets/index-").unwrap();
    let uri = &page[at..at + page[at..].find('"').unwrap()];
    let plain = app.handle(get(uri)).await;
    assert_eq!(
        plain.headers()["cache-control"],
        "public, max-age=31536000, immutable"
    );
    assert_eq!(plain.headers()["vary"], "accept-encoding");
    let plain = plain.into_body().collect().await.unwrap().to_bytes();
    let asked = with(get(uri), &[("accept-encoding", "gzip")]);
    let coded = app.handle(asked).await;
    assert_eq!(coded.headers()["content-encoding"], "gzip");
    let coded = coded.into_body().collect().await.unwrap().to_bytes();
    assert!(coded.len() < plain.len());
}
