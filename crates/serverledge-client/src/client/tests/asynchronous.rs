//! The routes for asynchronous invocations, dead letters and peers.

use serverledge_wire::invocations::InvocationProblem;
use serverledge_wire::records::InvocationState;

use super::*;

const ID: &str = "01890000-0000-7000-8000-00000000000a";

const FAILED: &str = answer!(
    "200 OK",
    r#"{"id":"i","function":"f","version":"0123","state":"failed","attempts":3,"accepted_unix_ms":1,"finished_unix_ms":9,
    "error":{"code":"attempts_exhausted","message":"three nodes died"},"dead_letter":true,
    "callback":{"url":"https://a.example/","state":"pending","attempts":1},
    "history":[{"unix_ms":1,"event":"accepted","node":"n1"}],"later":true}"#
);

#[tokio::test]
async fn submissions_carry_key_and_callback() {
    let script = Script::new(&[answer!("200 OK", r#"{"ReqId":"i"}"#), DONE]);
    let told = InvocationBody {
        callback: Some("https://a.example/?b=c".to_owned()),
        ..call()
    };
    assert_eq!(
        script
            .client
            .invoke_async(&name("f"), told, Some("order-7!"))
            .await
            .unwrap()
            .req_id,
        "i"
    );
    script
        .client
        .invoke(&name("f"), call(), Some("order-7!"))
        .await
        .unwrap();
    let requests = script.requests();
    assert!(
        requests[0].starts_with("POST /invoke/f HTTP/1.1\r\n"),
        "{}",
        requests[0]
    );
    assert!(
        requests[0]
            .ends_with(r#""Async":true,"ReturnOutput":false,"Callback":"https://a.example/?b=c"}"#),
        "{}",
        requests[0]
    );
    for request in &requests {
        assert!(
            request.contains("\r\nidempotency-key: order-7!\r\n"),
            "{request}"
        );
    }
    assert!(!requests[1].contains("Callback"), "{}", requests[1]);
}

#[tokio::test]
async fn calls_that_break_a_rule_are_not_sent() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let client = client(listener.local_addr().unwrap().port(), None);
    for key in ["", "a b", "é", "a\r\nb", "\u{7f}", &"k".repeat(129)] {
        let refused = client.invoke(&name("f"), call(), Some(key)).await;
        assert!(
            matches!(refused, Err(ClientError::Request { .. })),
            "{key:?}: {refused:?}"
        );
        let refused = client.invoke_async(&name("f"), call(), Some(key)).await;
        assert!(
            matches!(refused, Err(ClientError::Request { .. })),
            "{key:?}: {refused:?}"
        );
    }
    let told = InvocationBody {
        callback: Some("https://a.example/".to_owned()),
        ..call()
    };
    assert!(matches!(
        client.invoke(&name("f"), told, None).await,
        Err(ClientError::Request { .. })
    ));
    for id in ["", ".", "..", "a/b", "a?b", "%2e%2e", "a b"] {
        assert!(
            matches!(
                client.invocation(id).await,
                Err(ClientError::Request { .. })
            ),
            "{id}"
        );
        assert!(
            matches!(client.cancel(id).await, Err(ClientError::Request { .. })),
            "{id}"
        );
        assert!(
            matches!(
                client.dead_letter(id).await,
                Err(ClientError::Request { .. })
            ),
            "{id}"
        );
        assert!(
            matches!(client.redrive(id).await, Err(ClientError::Request { .. })),
            "{id}"
        );
        assert!(
            matches!(client.purge(id).await, Err(ClientError::Request { .. })),
            "{id}"
        );
    }
    listener.set_nonblocking(true).unwrap();
    let came = listener
        .accept()
        .map(|(_, peer)| peer)
        .map_err(|error| error.kind());
    assert_eq!(
        came,
        Err(std::io::ErrorKind::WouldBlock),
        "nobody has connected"
    );
}

#[tokio::test]
async fn keys_of_the_greatest_length_are_sent() {
    let script = Script::new(&[answer!("200 OK", r#"{"ReqId":"i"}"#)]);
    let key = "~".repeat(128);
    assert_eq!(
        script
            .client
            .invoke_async(&name("f"), call(), Some(&key))
            .await
            .unwrap()
            .req_id,
        "i"
    );
    assert!(script.requests()[0].contains(&format!("\r\nidempotency-key: {key}\r\n")));
}

#[tokio::test]
async fn invocations_are_shown_and_cancelled() {
    let script = Script::new(&[
        FAILED,
        answer!(
            "404 Not Found",
            r#"{"code":"invocation_unknown","detail":"no"}"#
        ),
        FAILED,
        answer!(
            "409 Conflict",
            r#"{"code":"invocation_ended","detail":"it is done"}"#
        ),
    ]);
    let info = script.client.invocation(ID).await.unwrap();
    assert_eq!(
        (info.state, info.attempts, info.dead_letter),
        (InvocationState::Failed, 3, true)
    );
    assert_eq!(
        info.callback.map(|callback| callback.state).as_deref(),
        Some("pending")
    );
    assert_eq!(info.history[0].event, "accepted");
    let unknown = script.client.invocation(ID).await.unwrap_err();
    assert!(
        unknown.is_not_found() && unknown.code() == Some("invocation_unknown"),
        "{unknown:?}"
    );
    assert_eq!(script.client.cancel(ID).await.unwrap().function, "f");
    let ended = script.client.cancel(ID).await.unwrap_err();
    assert_eq!(
        (ended.code(), ended.to_string().as_str()),
        (Some("invocation_ended"), "it is done")
    );
    let requests = script.requests();
    assert!(
        requests[0].starts_with(&format!("GET /invocations/{ID} HTTP/1.1\r\n")),
        "{}",
        requests[0]
    );
    assert!(
        requests[2].starts_with(&format!("POST /invocations/{ID}/cancel HTTP/1.1\r\n")),
        "{}",
        requests[2]
    );
}

#[tokio::test]
async fn dead_letters_are_listed_shown_and_driven_anew() {
    let script = Script::new(&[
        answer!(
            "200 OK",
            r#"{"dead_letters":[{"id":"i","function":"f","error":{"code":"c","message":"m"},"attempts":3,"finished_unix_ms":9}],"next":"i"}"#
        ),
        answer!("200 OK", r#"{"dead_letters":[]}"#),
        FAILED,
        answer!("202 Accepted", r#"{"id":"j","redrive_of":"i"}"#),
        answer!(
            "404 Not Found",
            r#"{"code":"invocation_unknown","detail":"no"}"#
        ),
    ]);
    let page = script.client.dead_letters(Some(1), None).await.unwrap();
    let error = InvocationProblem {
        code: "c".to_owned(),
        message: "m".to_owned(),
    };
    assert_eq!(
        (
            page.dead_letters[0].id.as_str(),
            &page.dead_letters[0].error
        ),
        ("i", &error)
    );
    let last = script
        .client
        .dead_letters(None, page.next.as_deref())
        .await
        .unwrap();
    assert!(last.dead_letters.is_empty() && last.next.is_none());
    assert!(script.client.dead_letter(ID).await.unwrap().dead_letter);
    let anew = script.client.redrive(ID).await.unwrap();
    assert_eq!(
        (anew.id.as_str(), anew.redrive_of.as_deref()),
        ("j", Some("i"))
    );
    assert!(script.client.redrive(ID).await.unwrap_err().is_not_found());
    let requests = script.requests();
    for (request, line) in requests.iter().zip([
        "GET /dead-letters?limit=1",
        "GET /dead-letters?after=i",
        &format!("GET /dead-letters/{ID}"),
        &format!("POST /dead-letters/{ID}/redrive"),
    ]) {
        assert!(
            request.starts_with(&format!("{line} HTTP/1.1\r\n")),
            "{request}"
        );
    }
}

#[tokio::test]
async fn dead_letters_are_purged() {
    let script = Script::new(&[
        answer!("204 No Content", ""),
        answer!("200 OK", r#"{"purged":7}"#),
        answer!(
            "503 Service Unavailable",
            r#"{"code":"registry_unavailable","detail":"no"}"#
        ),
    ]);
    script.client.purge(ID).await.unwrap();
    assert_eq!(script.client.purge_all().await.unwrap().purged, 7);
    assert!(script.client.purge_all().await.unwrap_err().is_dependency());
    let requests = script.requests();
    assert!(
        requests[0].starts_with(&format!("DELETE /dead-letters/{ID} HTTP/1.1\r\n")),
        "{}",
        requests[0]
    );
    assert!(
        requests[1].starts_with("DELETE /dead-letters HTTP/1.1\r\n"),
        "{}",
        requests[1]
    );
}

#[tokio::test]
async fn peers_are_read() {
    let script = Script::new(&[answer!(
        "200 OK",
        r#"[{"node":"n2","area":"ROME","kind":"node","address":"10.0.0.2:1323","cloud":true,"round_trip_ms":null,"age_ms":12,
        "free_memory_mib":512,"free_cpu":2,"wait_ms":0,"draining":false,"offloadable":true}]"#
    )]);
    let peers = script.client.peers().await.unwrap();
    let peer = &peers[0];
    assert_eq!(
        (
            peer.node.as_str(),
            peer.cloud,
            peer.round_trip_ms,
            peer.free_cpu
        ),
        ("n2", true, None, 2.0)
    );
    assert!(script.requests()[0].starts_with("GET /peers HTTP/1.1\r\n"));
}
