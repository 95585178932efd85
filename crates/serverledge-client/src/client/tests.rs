//! The client against a listener that answers from a script.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::thread::JoinHandle;

use serde_json::value::RawValue;
use serverledge_wire::function::FunctionBody;

use super::*;
use crate::WantedLog;

/// A listener that gives each connection one scripted answer and hands back what it was asked.
struct Script {
    client: Client,
    requests: JoinHandle<Vec<String>>,
}

impl Script {
    fn new(answers: &'static [&'static str]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let requests = std::thread::spawn(move || {
            let answer = |text: &&str| {
                let (mut stream, _) = listener.accept().unwrap();
                let request = read_request(&mut stream);
                stream.write_all(text.as_bytes()).unwrap();
                request
            };
            answers.iter().map(answer).collect()
        });
        Self {
            client: client(port, None),
            requests,
        }
    }

    fn requests(self) -> Vec<String> {
        self.requests.join().unwrap()
    }
}

fn client(port: u16, timeout: Option<Duration>) -> Client {
    let config = ClientConfig {
        timeout,
        ..ClientConfig::default()
    };
    Client::new(Endpoint::new("127.0.0.1", port).unwrap(), &config).unwrap()
}

fn read_request(stream: &mut TcpStream) -> String {
    let mut read = Vec::new();
    let mut buffer = [0; 4096];
    loop {
        let text = String::from_utf8_lossy(&read).into_owned();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length = head
                .lines()
                .find_map(|line| line.strip_prefix("content-length: "))
                .unwrap_or("0");
            if body.len() >= length.parse::<usize>().unwrap() {
                return text;
            }
        }
        let count = stream.read(&mut buffer).unwrap();
        assert_ne!(count, 0, "the request ended early: {text}");
        read.extend_from_slice(&buffer[..count]);
    }
}

/// A call without parameters and wishes.
fn call() -> InvocationBody {
    InvocationBody {
        params: RawValue::from_string("{}".to_owned()).unwrap(),
        qos_class: 0,
        qos_max_resp_t: -1.0,
        can_do_offloading: true,
        r#async: false,
        return_output: false,
        callback: None,
    }
}

fn name(name: &str) -> FunctionName {
    FunctionName::parse(name).unwrap()
}

/// A whole answer with `connection: close`.
macro_rules! answer {
    ($status:literal, $body:expr) => {
        answer!($status, $body, "")
    };
    ($status:literal, $body:expr, $headers:literal) => {
        concat!(
            "HTTP/1.1 ",
            $status,
            "\r\nconnection: close\r\n",
            $headers,
            "\r\n",
            $body
        )
    };
}

// Below the macro that they use.
mod account;
mod asynchronous;
mod kv;
mod runs;

const DONE: &str = answer!(
    "200 OK",
    r#"{"Success":true,"Result":"{\"a\":\"\u00e9\"}","ResponseTime":0.5,"IsWarmStart":true,"InitTime":0.0,"QueueingTime":0.0,"OffloadLatency":0.0,"Duration":0.25,"Output":"log","ExecutionArea":"ROME","ExecutionNode":"n1"}"#
);

#[tokio::test]
async fn invocations_are_sent_and_read() {
    let script = Script::new(&[DONE, answer!("200 OK", r#"{"ReqId":"f-1"}"#)]);
    let timely = || InvocationBody {
        qos_max_resp_t: 1.5,
        ..call()
    };
    let result = script
        .client
        .invoke(&name("f"), timely(), None)
        .await
        .unwrap();
    assert_eq!(
        (
            result.result.as_ref(),
            result.output.as_ref(),
            result.is_warm_start
        ),
        ("{\"a\":\"é\"}", "log", true)
    );
    assert_eq!(
        script
            .client
            .invoke_async(&name("f"), timely(), None)
            .await
            .unwrap()
            .req_id,
        "f-1"
    );
    let requests = script.requests();
    assert!(
        requests[0].starts_with("POST /invoke/f HTTP/1.1\r\n"),
        "{}",
        requests[0]
    );
    assert!(
        requests[0].contains("\r\nhost: 127.0.0.1:"),
        "{}",
        requests[0]
    );
    assert!(requests[0].ends_with(
        r#"{"Params":{},"QoSClass":0,"QoSMaxRespT":1.5,"CanDoOffloading":true,"Async":false,"ReturnOutput":false}"#
    ));
    assert!(requests[1].contains(r#""Async":true"#));
}

#[tokio::test]
async fn refusals_keep_code_and_delay() {
    let script = Script::new(&[
        answer!(
            "500 Internal Server Error",
            r#"{"title":"x","code":"function_trap","detail":"unreachable"}"#
        ),
        answer!("429 Too Many Requests", "", "retry-after: 2\r\n"),
        answer!("404 Not Found", "Function unknown"),
        answer!(
            "429 Too Many Requests",
            r#"{"code":"exceeds_node","detail":"too large"}"#
        ),
    ]);
    let failed = script
        .client
        .invoke(&name("f"), call(), None)
        .await
        .unwrap_err();
    assert!(
        failed.is_function_failure() && !failed.is_overload(),
        "{failed:?}"
    );
    assert_eq!(failed.to_string(), "unreachable");
    let busy = script
        .client
        .invoke(&name("f"), call(), None)
        .await
        .unwrap_err();
    assert!(busy.is_overload(), "{busy:?}");
    assert!(
        matches!(busy, ClientError::Problem { retry_after: Some(delay), .. } if delay.as_secs() == 2)
    );
    let unknown = script.client.delete(&name("f")).await.unwrap_err();
    assert!(unknown.is_not_found());
    assert_eq!(unknown.to_string(), "Function unknown");
    assert!(
        !script
            .client
            .invoke(&name("f"), call(), None)
            .await
            .unwrap_err()
            .is_overload()
    );
    assert!(script.requests()[2].ends_with(r#"{"Name":"f"}"#));
}

#[tokio::test]
async fn polls_tell_pending_from_unknown() {
    let script = Script::new(&[
        answer!(
            "404 Not Found",
            r#"{"code":"invocation_not_finished","detail":"wait"}"#
        ),
        answer!(
            "404 Not Found",
            r#"{"code":"invocation_unknown","detail":"no"}"#
        ),
        answer!("404 Not Found", ""),
        DONE,
    ]);
    assert_eq!(script.client.poll("f-1").await.unwrap(), Poll::Pending);
    assert_eq!(script.client.poll("f-1").await.unwrap(), Poll::Unknown);
    assert_eq!(script.client.poll("f-1").await.unwrap(), Poll::Unknown);
    assert!(matches!(
        script.client.poll("f-1").await.unwrap(),
        Poll::Done(_)
    ));
    for odd in ["", "..", "a/b", "a b", "a?b"] {
        assert_eq!(
            script.client.poll(odd).await.unwrap(),
            Poll::Unknown,
            "{odd}"
        );
    }
    assert!(script.requests()[0].starts_with("GET /poll/f-1 HTTP/1.1\r\n"));
}

#[tokio::test]
async fn foreign_and_endless_answers_are_refused() {
    let script = Script::new(&[
        answer!("200 OK", "<html>"),
        answer!("200 OK", "x", "content-length: 99999999999\r\n"),
        answer!("302 Found", "", "location: /elsewhere\r\n"),
    ]);
    assert!(matches!(
        script.client.list().await,
        Err(ClientError::Answer { .. })
    ));
    let long = script.client.list().await.unwrap_err().to_string();
    assert!(long.ends_with("it is longer than 13631488 bytes"), "{long}");
    assert!(matches!(
        script.client.status().await,
        Err(ClientError::Problem { status: 302, .. })
    ));
}

#[tokio::test]
async fn transport_failures_are_told_apart() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let slow = client(port, Some(Duration::from_secs(2)));
    assert!(matches!(
        slow.list().await,
        Err(ClientError::Timeout { .. })
    ));

    let closing = std::thread::spawn(move || {
        drop(listener.accept().unwrap());
        let (mut stream, _) = listener.accept().unwrap();
        read_request(&mut stream);
    });
    let broken = client(port, None).list().await;
    assert!(
        matches!(broken, Err(ClientError::Interrupted { .. })),
        "{broken:?}"
    );
    closing.join().unwrap();

    let refused = client(port, None).list().await;
    assert!(
        matches!(&refused, Err(ClientError::Unreachable { url, .. }) if *url == format!("http://127.0.0.1:{port}")),
        "{refused:?}"
    );
}

fn hello() -> FunctionBody<'static> {
    FunctionBody {
        name: "f".into(),
        ..FunctionBody::default()
    }
}

#[tokio::test]
async fn deploys_tell_their_steps() {
    let script = Script::new(&[
        answer!(
            "200 OK",
            "{\"Progress\":\"one\"}\n{}\n{\"Progress\":\"two\"}\n{\"Created\":{\"Created\":\"f\"}}\n",
            "content-type: application/x-ndjson\r\n"
        ),
        answer!(
            "200 OK",
            "{\"Progress\":\"one\"}\n{\"Problem\":{\"status\":503,\"code\":\"docker_unavailable\",\"detail\":\"gone\"},\"RetryAfter\":2}",
            "content-type: application/x-ndjson\r\n"
        ),
        answer!(
            "200 OK",
            "{\"Created\":\"f\"}",
            "content-type: application/json\r\n"
        ),
        answer!("409 Conflict", ""),
        answer!(
            "200 OK",
            "{\"Progress\":\"one\"}\n",
            "content-type: application/x-ndjson\r\n"
        ),
    ]);
    let mut steps = Vec::new();
    let created = script
        .client
        .create(&hello(), |step| steps.push(step.to_owned()))
        .await
        .unwrap();
    assert_eq!(
        (created.created.as_str(), steps),
        ("f", vec!["one".to_owned(), "two".to_owned()])
    );
    let failed = script.client.update(&hello(), |_| {}).await.unwrap_err();
    assert_eq!(
        (failed.code(), failed.to_string().as_str()),
        (Some("docker_unavailable"), "gone")
    );
    assert!(
        matches!(failed, ClientError::Problem { status: 503, retry_after: Some(delay), .. } if delay.as_secs() == 2)
    );
    let quiet = script
        .client
        .create(&hello(), |step| panic!("{step}"))
        .await
        .unwrap();
    assert_eq!(
        quiet.created, "f",
        "a node that tells nothing deploys all the same"
    );
    let taken = script.client.create(&hello(), |_| {}).await;
    assert!(
        matches!(taken, Err(ClientError::Problem { status: 409, .. })),
        "{taken:?}"
    );
    let open = script.client.create(&hello(), |_| {}).await;
    assert!(matches!(open, Err(ClientError::Answer { .. })), "{open:?}");
    let requests = script.requests();
    assert!(requests[0].starts_with("POST /create ") && requests[1].starts_with("POST /update "));
    assert!(
        requests[0].contains("\r\naccept: application/x-ndjson, application/json;q=0.5\r\n"),
        "{}",
        requests[0]
    );
}

#[tokio::test]
async fn logs_are_read_line_by_line() {
    let script = Script::new(&[
        answer!(
            "200 OK",
            "{\"Time\":\"t\",\"Invocation\":\"i\",\"Failed\":true,\"Text\":\"a\"}\n{}\n{\"Skipped\":3}",
            "content-type: application/x-ndjson\r\n"
        ),
        answer!(
            "404 Not Found",
            r#"{"code":"function_unknown","detail":"no"}"#
        ),
        answer!("200 OK", "<html>\n"),
    ]);
    let wanted = WantedLog {
        tail: Some(5),
        follow: true,
        invocation: Some("00ff"),
    };
    let mut log = script.client.logs(&name("f"), &wanted).await.unwrap();
    let line = log.next().await.unwrap().unwrap();
    assert_eq!(
        (line.time.as_str(), line.failed, line.text.as_deref()),
        ("t", true, Some("a"))
    );
    assert_eq!(log.next().await.unwrap().unwrap().skipped, Some(3));
    assert!(log.next().await.unwrap().is_none());
    assert!(
        script
            .client
            .logs(&name("f"), &WantedLog::default())
            .await
            .unwrap_err()
            .is_not_found()
    );
    let mut foreign = script
        .client
        .logs(&name("f"), &WantedLog::default())
        .await
        .unwrap();
    assert!(matches!(
        foreign.next().await,
        Err(ClientError::Answer { .. })
    ));
    let requests = script.requests();
    assert!(
        requests[0]
            .starts_with("GET /functions/f/logs?tail=5&follow=true&invocation=00ff HTTP/1.1\r\n"),
        "{}",
        requests[0]
    );
    assert!(
        requests[1].starts_with("GET /functions/f/logs HTTP/1.1\r\n"),
        "{}",
        requests[1]
    );
}
