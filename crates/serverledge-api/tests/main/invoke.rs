//! `/invoke` and `/poll`: what is asked of the node, and how its answers go out.

use std::time::Duration;

use expect_test::expect;
use http::Method;
use serde_json::json as j;
use serverledge_api::{ClientCall, Polled};
use serverledge_core::{InvocationId, Payload, Reply};
use tokio::time::Instant;

use crate::backend::{ACCEPTED, PHASES, report};
use crate::support::{app, empty, get, json, outcome, pieces, post, request, text, with};

fn params(call: &ClientCall) -> String {
    match &call.call.payload {
        Payload::Json(params) => String::from_utf8(params.to_vec()).unwrap(),
        Payload::Http(_) => panic!("/invoke gives JSON"),
    }
}

#[tokio::test]
async fn the_reply_is_serverledges() {
    let (app, handle) = app();
    handle.invoke(Ok(report("{\"a\": [1, \"\\\"\"]}", "a log\n")));
    let response = app
        .handle(post("/invoke/json", "{\"ReturnOutput\":true}"))
        .await;
    let headers = response.headers().clone();
    let expected = expect![[
        r#"{"Success":true,"Result":"{\"a\": [1, \"\\\"\"]}","ResponseTime":0.02175,"IsWarmStart":true,"InitTime":0.00175,"QueueingTime":0.0015,"OffloadLatency":0.0,"Duration":0.02,"Output":"a log\n","ExecutionArea":"ROME","ExecutionNode":"n1"}"#
    ]];
    expected.assert_eq(&text(response).await);
    for (name, value) in [
        ("content-type", "application/json"),
        (
            "server-timing",
            "queue;dur=1.500, start;dur=0.250, exec;dur=20.000, total;dur=21.750",
        ),
        ("serverledge-node-name", "(ROME)n1"),
        ("serverledge-free-mem", "1024"),
        ("serverledge-free-cpu", "1.500"),
    ] {
        assert_eq!(headers[name], value, "{name}");
    }
    assert!(
        headers["serverledge-timestamp"]
            .to_str()
            .unwrap()
            .parse::<u64>()
            .unwrap()
            > 1_700_000_000
    );
    assert!(headers.contains_key("serverledge-node-arch"));
    assert_eq!(PHASES.total, PHASES.queue + PHASES.start + PHASES.execution);
}

#[tokio::test]
async fn the_log_comes_only_if_it_was_asked_for() {
    let (app, handle) = app();
    for body in [
        "",
        "{}",
        "{\"ReturnOutput\":false}",
        "{\"ReturnOutput\":null}",
    ] {
        handle.invoke(Ok(report("1", "a log\n")));
        assert_eq!(
            json(app.handle(post("/invoke/json", body)).await).await["Output"],
            "",
            "{body}"
        );
    }
}

#[tokio::test]
async fn parameters_go_in_as_they_were_sent() {
    let (app, handle) = app();
    for (body, expected) in [
        ("", "{}"),
        (" \r\n", "{}"),
        ("{}", "{}"),
        ("{\"Params\":null}", "{}"),
        ("{\"Params\":{}}", "{}"),
        (
            "{\"Params\": { \"b\" : 1.0e2, \"a\":\"\\u00e9\" } }",
            "{ \"b\" : 1.0e2, \"a\":\"\\u00e9\" }",
        ),
        ("{\"params\":[1]}", "[1]"),
        ("{\"PARAMS\":\"text\"}", "\"text\""),
        ("{\"Params\":1,\"Params\":2}", "2"),
        ("{\"Params\":1,\"params\":2}", "2"),
        (
            "{\"Params\":123456789012345678901234567890}",
            "123456789012345678901234567890",
        ),
        ("{\"Params\":0}", "0"),
        ("{\"Params\":false}", "false"),
    ] {
        assert_eq!(
            outcome(app.handle(post("/invoke/json", body)).await).await,
            "200",
            "{body}"
        );
        assert_eq!(params(&handle.calls()[0]), expected, "{body}");
    }
    let split = pieces(&["{\"Par", "ams\":", "[1,", "2]}", ""]);
    assert_eq!(
        outcome(app.handle(post("/invoke/json", split)).await).await,
        "200"
    );
    assert_eq!(params(&handle.calls()[0]), "[1,2]");
}

#[tokio::test]
async fn malformed_requests_are_refused() {
    let (app, handle) = app();
    for (body, expected) in [
        ("{", "400 malformed_json"),
        ("[]", "400 malformed_json"),
        ("1", "400 malformed_json"),
        ("\"text\"", "400 malformed_json"),
        ("null", "400 malformed_json"),
        ("{} {}", "400 malformed_json"),
        ("{\"Params\":}", "400 malformed_json"),
        ("{\"Params\":01}", "400 malformed_json"),
        ("{\"Unknown\":{\"Params\":3}}", "400 unknown_member"),
        ("{\"QoSClass\":\"high\"}", "400 malformed_member"),
        ("{\"QoSClass\":1.5}", "400 malformed_member"),
        ("{\"QoSMaxRespT\":\"1\"}", "400 malformed_member"),
        ("{\"QoSMaxRespT\":1e999}", "400 malformed_member"),
        ("{\"Async\":1}", "400 malformed_member"),
        ("{\"ReturnOutput\":\"yes\"}", "400 malformed_member"),
        ("{\"CanDoOffloading\":[]}", "400 malformed_member"),
    ] {
        assert_eq!(
            outcome(app.handle(post("/invoke/json", body)).await).await,
            expected,
            "{body}"
        );
    }
    let deep = format!("{{\"Params\":{}{}}}", "[".repeat(400), "]".repeat(400));
    let told = outcome(app.handle(post("/invoke/json", deep)).await).await;
    assert!(
        ["200", "400 malformed_json"].contains(&told.as_str()),
        "{told}"
    );
    let many: String = (0..60).map(|n| format!("\"m{n}\":1,")).collect();
    let told = outcome(
        app.handle(post("/invoke/json", format!("{{{many}\"z\":1}}")))
            .await,
    )
    .await;
    assert_eq!(told, "400 unknown_member");
    handle.calls();
}

#[tokio::test]
async fn quality_of_service_goes_in() {
    let (app, handle) = app();
    for (body, class, patience) in [
        ("{}", 0, None),
        ("{\"QoSClass\":2}", 2, None),
        ("{\"qosclass\":-7}", -7, None),
        ("{\"QoSMaxRespT\":0}", 0, None),
        ("{\"QoSMaxRespT\":-1.0}", 0, None),
        (
            "{\"QoSMaxRespT\":1.5}",
            0,
            Some(Duration::from_millis(1500)),
        ),
        ("{\"QoSMaxRespT\":1e300}", 0, None),
    ] {
        let before = Instant::now().into_std();
        app.handle(post("/invoke/json", body)).await;
        let call = &handle.calls()[0];
        assert_eq!(call.call.qos_class, class, "{body}");
        assert_eq!(
            call.call
                .deadline
                .map(|deadline| deadline - call.call.arrived),
            patience,
            "{body}"
        );
        assert!(call.call.arrived >= before, "{body}");
    }
}

#[tokio::test]
async fn names_come_out_of_the_path() {
    let (app, handle) = app();
    for (uri, expected) in [
        ("/invoke/json", "200"),
        ("/invoke/j%73on", "200"),
        ("/invoke/json?query=ignored", "200"),
        ("/invoke/", "404 route_unknown"),
        ("/invoke/a/b", "404 function_unknown"),
        ("/invoke/json/", "200"),
        ("/invoke/json//", "404 function_unknown"),
        ("/invoke/a%2Fb", "404 function_unknown"),
        ("/invoke/..%2fcreate", "404 function_unknown"),
        ("/invoke/%00", "404 function_unknown"),
        ("/invoke/%ff%fe", "404 function_unknown"),
        ("/invoke/%zz", "404 function_unknown"),
        ("/invoke/%", "404 function_unknown"),
        ("/invoke", "404 route_unknown"),
        ("//invoke/json", "404 route_unknown"),
        ("/Invoke/json", "404 route_unknown"),
    ] {
        assert_eq!(
            outcome(app.handle(post(uri, "")).await).await,
            expected,
            "{uri}"
        );
    }
    assert!(
        handle
            .calls()
            .iter()
            .all(|call| call.call.function.as_str() == "json")
    );
    let long = format!("/invoke/{}", "x".repeat(129));
    assert_eq!(
        outcome(app.handle(post(&long, "")).await).await,
        "404 function_unknown"
    );
}

#[tokio::test]
async fn only_posts_invoke() {
    let (app, handle) = app();
    for method in [
        Method::GET,
        Method::HEAD,
        Method::PUT,
        Method::DELETE,
        Method::PATCH,
        Method::OPTIONS,
    ] {
        let response = app.handle(request(&method, "/invoke/json", "")).await;
        assert_eq!(
            (response.status().as_u16(), &response.headers()["allow"]),
            (405, &"POST".parse().unwrap()),
            "{method}"
        );
    }
    assert_eq!(handle.counts().begun, 0);
}

#[tokio::test]
async fn an_asynchronous_invocation_is_accepted() {
    let (app, handle) = app();
    let asked = "{\"Async\":true,\"Params\":{\"a\":1},\"QoSClass\":1}";
    let response = app
        .handle(with(
            post("/invoke/json", asked),
            &[("serverledge-mab-request-id", "mab-7")],
        ))
        .await;
    assert_eq!(response.status(), 200);
    assert_eq!(response.headers()["serverledge-node-name"], "(ROME)n1");
    assert_eq!(response.headers()["serverledge-mab-request-id"], "mab-7");
    assert_eq!(
        text(response).await,
        format!("{{\"ReqId\":\"{ACCEPTED}\"}}")
    );
    let calls = handle.calls();
    assert_eq!(
        (params(&calls[0]).as_str(), calls[0].call.qos_class),
        ("{\"a\":1}", 1)
    );
    assert_eq!(handle.counts().begun, 0, "it was accepted, not run");
}

#[tokio::test]
async fn polling_tells_where_an_invocation_stands() {
    let (app, handle) = app();
    let uri = format!("/poll/{ACCEPTED}");
    handle.poll(Ok(Polled::Unfinished));
    assert_eq!(
        outcome(app.handle(get(&uri)).await).await,
        "404 invocation_not_finished"
    );
    handle.poll(Ok(Polled::Done(b"{\"Success\":true}".to_vec())));
    let done = app.handle(get(&uri)).await;
    assert_eq!(
        (done.status().as_u16(), &done.headers()["content-type"]),
        (200, &"application/json".parse().unwrap())
    );
    assert_eq!(json(done).await, j!({"Success": true}));
    assert_eq!(
        outcome(app.handle(get(&uri)).await).await,
        "404 invocation_unknown"
    );
    for id in [
        "x",
        "%20",
        "01890000-0000-7000-8000-00000000000",
        "..",
        "%2F",
        "%FF",
    ] {
        assert_eq!(
            outcome(app.handle(get(&format!("/poll/{id}"))).await).await,
            "404 invocation_unknown",
            "{id}"
        );
    }
    assert_eq!(
        outcome(app.handle(get("/poll/")).await).await,
        "404 route_unknown"
    );
    assert_eq!(
        outcome(app.handle(post(&uri, "")).await).await,
        "405 method_not_allowed"
    );
}

/// `InvocationId::parse` promises to take the canonical form and nothing else.
#[tokio::test]
async fn an_id_has_one_form() {
    for id in [
        ACCEPTED.replace('-', ""),
        format!("{{{ACCEPTED}}}"),
        format!("urn:uuid:{ACCEPTED}"),
    ] {
        assert_eq!(InvocationId::parse(&id), None, "{id}");
    }
}

#[tokio::test]
async fn an_http_reply_is_no_result_of_an_invocation() {
    let (app, handle) = app();
    let body: serverledge_core::HttpBody = Box::pin(empty());
    let reply = Reply::Http(Box::new(http::Response::new(body)));
    handle.invoke(Ok(serverledge_core::Report {
        reply,
        ..report("1", "")
    }));
    assert_eq!(
        outcome(app.handle(post("/invoke/http", "")).await).await,
        "400 not_json"
    );
}

/// Serverledge's load balancer reads these from every reply of the route, errors included.
#[tokio::test]
async fn every_reply_tells_the_load() {
    let (app, handle) = app();
    handle.refuse_submit(serverledge_api::SubmitError::Full { waiting: 9 });
    let echoed = [("serverledge-mab-request-id", "mab-7")];
    for (what, asked) in [
        ("a result", post("/invoke/json", "")),
        (
            "a full queue of asynchronous ones",
            post("/invoke/json", "{\"Async\":true}"),
        ),
        ("an accepted one", post("/invoke/json", "{\"Async\":true}")),
    ] {
        let response = app.handle(with(asked, &echoed)).await;
        for name in [
            "serverledge-node-name",
            "serverledge-free-mem",
            "serverledge-free-cpu",
            "serverledge-mab-request-id",
        ] {
            assert!(response.headers().contains_key(name), "{what} lacks {name}");
        }
    }
}
