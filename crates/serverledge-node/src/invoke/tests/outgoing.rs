//! Requests to hosts outside, by functions on a whole node.

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, TcpListener};
use std::sync::atomic::{AtomicUsize, Ordering};

use serverledge_core::{Report, Source};

use super::*;

/// A server that counts its requests, one for each connection; its URL without a path.
fn counting() -> (String, Arc<AtomicUsize>) {
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
            let answer = "HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 0\r\n\r\n";
            // A client that has left needs no answer.
            let _sent = stream.write_all(answer.as_bytes());
        }
    });
    (origin, requests)
}

/// An idempotent function that may send requests to this host, and sends one to that URL in each run.
async fn deploy_sender(lab: &InvokeLab, name: &str, allowed: &str, url: &str) {
    let behaviour = Behaviour::Send {
        url: url.to_owned(),
    };
    let more = json!({"Runtime": "wasm", "Idempotent": true, "AllowHosts": [allowed]});
    lab.deploy(name, &behaviour, more).await;
}

async fn report(lab: &InvokeLab, name: &str) -> (Source, Bytes) {
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
