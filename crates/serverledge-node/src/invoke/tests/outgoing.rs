//! Requests to hosts outside, by functions on a whole node.

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, TcpListener};
use std::sync::atomic::{AtomicUsize, Ordering};

use serverledge_core::{Report, Source};

use super::*;
use crate::runs::record::Run;

/// A server that counts its requests, one for each connection; its URL without a path.
fn counting() -> (String, Arc<AtomicUsize>) {
    answering("200 OK")
}

/// The same with this status.
fn answering(status: &'static str) -> (String, Arc<AtomicUsize>) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let origin = format!("http://{}", listener.local_addr().unwrap());
    let requests = Arc::<AtomicUsize>::default();
    let counted = Arc::clone(&requests);
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut head = Vec::new();
            let mut byte = [0];
            while !head.ends_with(b"\r\n\r\n") && stream.read_exact(&mut byte).is_ok() {
                head.push(byte[0]);
            }
            counted.fetch_add(1, Ordering::SeqCst);
            let answer =
                format!("HTTP/1.1 {status}\r\nconnection: close\r\ncontent-length: 0\r\n\r\n");
            // A client that has left needs no answer.
            let _sent = stream.write_all(answer.as_bytes());
        }
    });
    (origin, requests)
}

/// An idempotent function that may send requests to this host, and sends one to that URL in each run.
async fn deploy_sender(lab: &InvokeLab, name: &str, allowed: &str, url: &str) {
    deploy_keeper(lab, name, (allowed, url), false).await;
}

/// The same; its results may be kept all the same.
async fn deploy_keeper(lab: &InvokeLab, name: &str, (allowed, url): (&str, &str), keeps: bool) {
    let behaviour = Behaviour::Send {
        url: url.to_owned(),
    };
    let more = json!({
        "Runtime": "wasm", "Idempotent": true, "IdempotentOutbound": keeps, "AllowHosts": [allowed]
    });
    lab.deploy(name, &behaviour, more).await;
}

pub(super) async fn report(lab: &InvokeLab, name: &str) -> (Source, Bytes) {
    let called = Arc::clone(&lab.node.invoker).call(call_of(name, "7")).await;
    let Report { reply, memo, .. } = called.unwrap();
    match reply {
        Reply::Json(result) => (memo.source, result),
        Reply::Http(_) => panic!("it answered with HTTP"),
    }
}

#[tokio::test]
async fn a_run_that_sends_a_request_is_not_kept() {
    let lab = InvokeLab::new();
    let (origin, requests) = counting();
    deploy_sender(&lab, "f", &origin, &format!("{origin}/x")).await;
    for run in 1..=2 {
        let (source, result) = report(&lab, "f").await;
        assert_eq!((source, &result[..]), (Source::Ran, &b"\"200\""[..]));
        assert_eq!(requests.load(Ordering::SeqCst), run);
    }
}

#[tokio::test]
async fn a_host_that_the_function_did_not_name_gets_nothing() {
    let lab = InvokeLab::new();
    let (origin, requests) = counting();
    deploy_sender(&lab, "f", "https://api.example.org", &origin).await;
    assert_eq!(report(&lab, "f").await.1, "\"outbound_host_not_allowed\"");
    let behaviour = Behaviour::Send { url: origin };
    lab.deploy("g", &behaviour, json!({"Runtime": "wasm"}))
        .await;
    assert_eq!(report(&lab, "g").await.1, "\"outbound_not_granted\"");
    assert_eq!(requests.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn a_run_that_sends_a_request_is_kept_if_its_owner_says_so() {
    let lab = InvokeLab::new();
    let (origin, requests) = counting();
    let url = format!("{origin}/x");
    deploy_keeper(&lab, "f", (&origin, &url), true).await;
    for source in [Source::Ran, Source::Cache, Source::Cache] {
        let (found, result) = report(&lab, "f").await;
        assert_eq!((found, &result[..]), (source, &b"\"200\""[..]));
    }
    assert_eq!(requests.load(Ordering::SeqCst), 1);
    let calls = Behaviour::Call {
        function: "f".to_owned(),
    };
    lab.deploy("outer", &calls, json!({"Idempotent": true}))
        .await;
    assert_eq!(report(&lab, "outer").await.0, Source::Ran);
    assert_eq!(report(&lab, "outer").await.0, Source::Cache);

    deploy_keeper(&lab, "f", (&origin, &url), false).await;
    assert_eq!(
        report(&lab, "f").await.0,
        Source::Ran,
        "what was kept is not found any more"
    );
    assert_eq!(requests.load(Ordering::SeqCst), 2);
}

#[tokio::test]
async fn what_hosts_may_answer_better_another_time_is_not_kept() {
    let lab = InvokeLab::new();
    for (at, (status, is_kept)) in [
        ("404 Not Found", true),
        ("429 Too Many Requests", false),
        ("503 Service Unavailable", false),
    ]
    .into_iter()
    .enumerate()
    {
        let (origin, _) = answering(status);
        let name = format!("f{at}");
        deploy_keeper(&lab, &name, (&origin, &origin), true).await;
        assert_eq!(report(&lab, &name).await.0, Source::Ran);
        let again = report(&lab, &name).await.0;
        assert_eq!(again == Source::Cache, is_kept, "{status}");
    }
    let closed = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let origin = format!("http://{}", closed.local_addr().unwrap());
    drop(closed);
    deploy_keeper(&lab, "f", (&origin, &origin), true).await;
    for _ in 0..2 {
        let (source, result) = report(&lab, "f").await;
        assert_eq!(
            (source, &result[..]),
            (Source::Ran, &b"\"outbound_unreachable\""[..])
        );
    }
}

#[tokio::test]
async fn the_record_of_a_run_has_its_requests() {
    let lab = InvokeLab::new();
    let (origin, _) = answering("404 Not Found");
    let url = format!("{origin}/secret?secret");
    deploy_keeper(&lab, "f", (&origin, &url), true).await;
    let refused = "https://user:secret@api.example.org/secret";
    deploy_sender(&lab, "g", &origin, refused).await;
    for name in ["f", "f", "g"] {
        report(&lab, name).await;
    }
    let (runs, _) = lab.node.invoker.runs.kept();
    let told = |name: &str, cache: Source| {
        let is_it = |run: &&Arc<Run>| run.function.name.as_str() == name && run.cache == cache;
        runs.iter().find(is_it).unwrap().requests.clone()
    };
    let (lines, more) = told("f", Source::Ran).unwrap().lines();
    let [line] = &lines[..] else {
        panic!("{lines:?}");
    };
    assert_eq!((&*line.method, &*line.host, more), ("GET", &*origin, 0));
    assert_eq!(line.status.map(|status| status.as_u16()), Some(404));
    assert!(line.took.is_some() && line.code.is_none());
    assert!(told("f", Source::Cache).is_none(), "nothing ran");
    let (lines, _) = told("g", Source::Ran).unwrap().lines();
    assert_eq!(
        (&*lines[0].host, lines[0].status, lines[0].code),
        (
            "https://api.example.org",
            None,
            Some("outbound_host_not_allowed")
        )
    );
    assert!(!format!("{runs:?}").contains("secret"));
}

#[tokio::test]
async fn a_tunnel_is_a_request_of_its_run() {
    let lab = InvokeLab::new();
    let (origin, _) = counting();
    let target = origin.strip_prefix("http://").unwrap();
    let tunnel = format!("tunnel:{target}");
    let shared = format!("shared:{tunnel}");
    for (name, url, keeps, again) in [
        ("f", &tunnel, false, Source::Ran),
        ("g", &tunnel, true, Source::Cache),
        ("h", &shared, true, Source::Ran),
    ] {
        deploy_keeper(&lab, name, (&origin, url), keeps).await;
        for source in [Source::Ran, again] {
            let (found, result) = report(&lab, name).await;
            assert_eq!((found, &result[..]), (source, &b"\"open\""[..]), "{name}");
        }
    }
    deploy_sender(&lab, "i", "https://api.example.org", &tunnel).await;
    assert_eq!(report(&lab, "i").await.1, "\"outbound_host_not_allowed\"");

    let (runs, _) = lab.node.invoker.runs.kept();
    let told = |name: &str| {
        let is_it =
            |run: &&Arc<Run>| run.function.name.as_str() == name && run.cache == Source::Ran;
        runs.iter().find(is_it).unwrap().requests.clone()
    };
    let (lines, _) = told("f").unwrap().lines();
    let line = &lines[0];
    let status = line.status.map(|status| status.as_u16());
    assert_eq!(
        (&*line.method, &*line.host, status),
        ("CONNECT", &*origin, Some(200))
    );
    assert!(told("h").is_none(), "it may be another call's");
    let (lines, _) = told("i").unwrap().lines();
    assert_eq!(lines[0].code, Some("outbound_host_not_allowed"));
}
