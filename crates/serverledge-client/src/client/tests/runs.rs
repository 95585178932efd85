//! The routes for runs, their figures, and events.

use serverledge_core::AppName;
use serverledge_wire::events::{Hello, LogEvent, Missed};

use super::*;
use crate::{EventStream, EventUpdate, NodeEvent, WantedEvents, WantedRuns, WantedStats};

const ID: &str = "01890000-0000-7000-8000-00000000000a";

const PAGE: &str = answer!(
    "200 OK",
    r#"{"runs":[{"id":"i","function":"f","version":"0123","trigger":"invoke","status":"failed","code":"function_trap",
    "message":"m","started_unix_ms":1,"queue_us":2,"start_us":3,"execution_us":4,"total_us":10,"warm":true,"cache":"run",
    "node":"ROME/n1","ran_on":"ROME/n2","params_bytes":1,"result_bytes":0,"root":"i","depth":0,"trace_id":"t","span_id":"s",
    "later":1}],"next":"1-i","kept_since_unix_ms":5,"unreachable":["ROME/n3"]}"#
);

#[tokio::test]
async fn runs_are_asked_for_and_read() {
    let script = Script::new(&[PAGE, PAGE]);
    let wanted = WantedRuns {
        function: Some("f"),
        status: Some("failures"),
        trigger: Some("http"),
        since_unix_ms: Some(1),
        until_unix_ms: Some(2),
        limit: Some(7),
        cursor: Some("1-a"),
        cluster: true,
        all: true,
    };
    let page = script.client.runs(&wanted).await.unwrap();
    assert_eq!(page.runs[0].code.as_deref(), Some("function_trap"));
    assert_eq!(page.runs[0].ran_on, "ROME/n2");
    assert_eq!(page.next.as_deref(), Some("1-i"));
    assert_eq!(page.unreachable, ["ROME/n3"]);
    script.client.runs(&WantedRuns::default()).await.unwrap();
    let requests = script.requests();
    assert!(
        requests[0].starts_with(
            "GET /invocations?function=f&status=failures&trigger=http&since=1&until=2&limit=7&cursor=1-a&cluster=true&all=true HTTP/1.1\r\n"
        ),
        "{}",
        requests[0]
    );
    assert!(
        requests[1].starts_with("GET /invocations HTTP/1.1\r\n"),
        "{}",
        requests[1]
    );
}

#[tokio::test]
async fn figures_are_read_and_know_applications() {
    let script = Script::new(&[
        answer!(
            "200 OK",
            r#"{"step_ms":10000,"window_ms":600000,"unix_ms":1,"functions":[{"function":"f","app":"shop","per_second":1.5,
            "calls":9,"failures":1,"rejected":0,"cold":2,"cache_hits":3,"p50_us":1200}],
            "points":[{"unix_ms":1,"calls":9,"failures":1,"rejected":0,"cold":2,"cache_hits":3}]}"#
        ),
        answer!("200 OK", r#"{"step_ms":10000,"points":[]}"#),
        answer!(
            "200 OK",
            r#"{"sandboxes":[{"function":"f","runtime":"python","state":"idle","age_ms":5,"memory_mib":128}]}"#
        ),
        answer!(
            "200 OK",
            "{\"Time\":\"2026-01-02T03:04:05.678Z\",\"Text\":\"boom\"}\n{}\n"
        ),
    ]);
    let client = script
        .client
        .clone()
        .in_app(AppName::parse("shop").unwrap());
    let wanted = WantedStats {
        function: Some(&name("f")),
        all: true,
    };
    let stats = client.stats(&wanted).await.unwrap();
    assert_eq!(stats.functions[0].figures.p50_us, Some(1200));
    assert_eq!(stats.points.unwrap()[0].figures.calls, 9);
    assert!(client.node_stats().await.unwrap().points.is_empty());
    assert_eq!(client.sandboxes().await.unwrap().sandboxes[0].state, "idle");
    let mut log = client.invocation_logs(ID).await.unwrap();
    assert_eq!(
        log.next().await.unwrap().unwrap().text.as_deref(),
        Some("boom")
    );
    assert_eq!(log.next().await.unwrap(), None);
    assert!(matches!(
        client.invocation_logs("../x").await,
        Err(ClientError::Request { .. })
    ));
    let requests = script.requests();
    let logs = format!("GET /apps/shop/invocations/{ID}/logs ");
    let routes = [
        "GET /apps/shop/stats?function=f&all=true ",
        "GET /stats/node ",
        "GET /sandboxes ",
        &logs,
    ];
    for (request, route) in requests.iter().zip(routes) {
        assert!(request.starts_with(route), "{request}");
    }
}

const BEGIN: &str = answer!(
    "200 OK",
    "retry: 1\n\nid: e-1\nevent: hello\ndata: {\"node\":\"ROME/n1\",\"version\":\"1\"}\n\n: alive\n\nid: e-2\nevent: log\n\
    data: {\"unix_ms\":1,\"function\":\"f\",\ndata: \"text\":\"a\\nb\"}\n\nid: e-3\nevent: log\ndata: {\"cut",
    "content-type: text/event-stream; charset=utf-8\r\n"
);
const REST: &str = answer!(
    "200 OK",
    "event: missed\ndata: {\"missed\":3}\n\nid: e-9\nevent: later\ndata: ?\n\n",
    "content-type: text/event-stream\r\n"
);

async fn event(stream: &mut EventStream) -> NodeEvent {
    match stream.next().await.unwrap() {
        EventUpdate::Event(received) => received.event,
        EventUpdate::Lost { error, .. } => panic!("the connection is lost: {error}"),
    }
}

async fn loss(stream: &mut EventStream) -> ClientError {
    match stream.next().await.unwrap() {
        EventUpdate::Lost { error, .. } => error,
        EventUpdate::Event(received) => panic!("an event came: {received:?}"),
    }
}

#[tokio::test]
async fn events_go_on_after_a_lost_connection() {
    let script = Script::new(&[
        BEGIN,
        answer!("503 Service Unavailable", "{}", "retry-after: 0\r\n"),
        REST,
    ]);
    let wanted = WantedEvents {
        kinds: vec!["log", "run"],
        function: Some(name("f")),
        all: true,
    };
    let mut stream = script.client.events(wanted);
    let hello = Hello {
        node: "ROME/n1".to_owned(),
        version: "1".to_owned(),
    };
    assert_eq!(event(&mut stream).await, NodeEvent::Hello(hello));
    let log = LogEvent {
        unix_ms: 1,
        function: "f".to_owned(),
        app: None,
        invocation: None,
        text: "a\nb".to_owned(),
    };
    assert_eq!(event(&mut stream).await, NodeEvent::Log(log));
    let broken = loss(&mut stream).await;
    assert!(
        matches!(broken, ClientError::Interrupted { .. }),
        "{broken}"
    );
    let refused = loss(&mut stream).await;
    assert!(
        matches!(refused, ClientError::Problem { status: 503, .. }),
        "{refused}"
    );
    assert_eq!(
        event(&mut stream).await,
        NodeEvent::Missed(Missed { missed: 3 })
    );
    assert_eq!(event(&mut stream).await, NodeEvent::Other);
    drop(stream);
    let requests = script.requests();
    for request in &requests {
        assert!(
            request.starts_with("GET /events?kinds=log%2Crun&function=f&all=true HTTP/1.1\r\n"),
            "{request}"
        );
        assert!(
            request.contains("\r\naccept: text/event-stream\r\n"),
            "{request}"
        );
    }
    assert!(!requests[0].contains("last-event-id"), "{}", requests[0]);
    for request in &requests[1..] {
        assert!(request.contains("\r\nlast-event-id: e-2\r\n"), "{request}");
    }
}

#[tokio::test]
async fn refusals_end_a_stream_of_events() {
    let script = Script::new(&[
        answer!("404 Not Found", r#"{"code":"route_unknown","detail":"x"}"#),
        answer!("200 OK", "{}", "content-type: application/json\r\n"),
        answer!(
            "200 OK",
            "event: load\ndata: {}\n\n",
            "content-type: text/event-stream\r\n"
        ),
    ]);
    for expected in ["x", "it is no stream of events", "missing field `unix_ms`"] {
        let mut stream = script.client.events(WantedEvents::default());
        let error = stream.next().await.unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    }
    script.requests();
}
