//! Operations on stores, as an agent sends them.

use serde_json::{Value, json};
use serverledge_core::{StateError, StateKey, StoreName};
use serverledge_testing::fake_host::{FakeHost, FakeHostHandle};

use super::*;

/// A node with one running invocation, and the handle of its host.
fn node() -> (Active, FakeHostHandle) {
    let (host, handle) = FakeHost::new();
    handle.answer("callee", Ok);
    let active = Active::default();
    let invocation = ActiveInvocation::new(host);
    active.begin(capability(), invocation);
    (active, handle)
}

fn capability() -> String {
    "a1".repeat(CAPABILITY_BYTES / 2)
}

/// The place of a connection that is alone.
fn place() -> Place {
    let one = || Arc::new(Semaphore::new(1));
    Place {
        accepted: one().try_acquire_owned().unwrap(),
        operations: one(),
    }
}

/// The bytes that an agent sends for an operation.
fn frame(capability: &str, name: &str, content: &[u8]) -> Vec<u8> {
    let name_length = u16::try_from(name.len()).unwrap().to_be_bytes();
    let length = u32::try_from(content.len()).unwrap().to_be_bytes();
    let parts = [
        capability.as_bytes(),
        &name_length,
        &length,
        name.as_bytes(),
        content,
    ];
    parts.concat()
}

/// An operation in the form of the guest ABI.
fn operation(head: &Value, value: &[u8]) -> Vec<u8> {
    let head = head.to_string();
    let length = u32::try_from(head.len()).unwrap().to_le_bytes();
    [&length[..], head.as_bytes(), value].concat()
}

/// Kind and content of the answer to a frame.
async fn answer(active: &Active, frame: Vec<u8>) -> (u8, Vec<u8>) {
    let (mut agent, mut node) = UnixStream::pair().unwrap();
    let refused = AtomicU64::new(0);
    let serving = serve(&mut node, active, &refused, place());
    let asking = async {
        agent.write_all(&frame).await.unwrap();
        let kind = agent.read_u8().await.unwrap();
        let length = agent.read_u32().await.unwrap();
        let mut content = vec![0; usize::try_from(length).unwrap()];
        agent.read_exact(&mut content).await.unwrap();
        (kind, content)
    };
    let (served, answer) = tokio::join!(serving, asking);
    served.unwrap();
    answer
}

/// Head and value of the reply to an operation.
async fn reply(active: &Active, head: Value, value: &[u8]) -> (Value, Vec<u8>) {
    let frame = frame(&capability(), "", &operation(&head, value));
    let (kind, content) = answer(active, frame).await;
    assert_eq!(kind, b'r', "{head}: {}", String::from_utf8_lossy(&content));
    let (length, rest) = content.split_first_chunk().unwrap();
    let (head, value) = rest.split_at(usize::try_from(u32::from_le_bytes(*length)).unwrap());
    (serde_json::from_slice(head).unwrap(), value.to_vec())
}

/// The error object that answers a frame, with its kind.
async fn error(active: &Active, frame: Vec<u8>) -> (u8, String) {
    let (kind, content) = answer(active, frame).await;
    let object: Value = serde_json::from_slice(&content).unwrap();
    assert!(object["message"].is_string(), "{object}");
    (kind, object["error"].as_str().unwrap().to_owned())
}

#[tokio::test]
async fn a_function_reads_and_writes() {
    let (active, handle) = node();
    let set = json!({"op": "set", "key": "k", "store": "other"});
    let (head, _) = reply(&active, set, b"\0value\xff").await;
    assert_eq!(head, json!({"version": "1"}));
    let key = StateKey::new("k").unwrap();
    let store: StoreName = "other".parse().unwrap();
    assert_eq!(handle.entry(&store, &key).unwrap(), &b"\0value\xff"[..]);
    let get = json!({"op": "get", "key": "k", "store": "other"});
    let (head, value) = reply(&active, get, b"").await;
    assert_eq!(head, json!({"found": true, "version": "1"}));
    assert_eq!(value, b"\0value\xff");
    // Calls of functions are what they were.
    let called = answer(&active, frame(&capability(), "callee", b"[1]")).await;
    assert_eq!(called, (b'r', b"[1]".to_vec()));
}

#[tokio::test]
async fn what_is_no_operation_is_an_error() {
    let (active, handle) = node();
    let long = "k".repeat(10 << 10);
    for (content, code) in [
        (Vec::new(), "kv_request_invalid"),
        (vec![0xff; 8], "kv_request_invalid"),
        (operation(&json!({"op": "get"}), b""), "kv_request_invalid"),
        (
            operation(&json!({"op": "get", "key": ""}), b""),
            "kv_key_invalid",
        ),
        (
            operation(&json!({"op": "set", "key": long}), b""),
            "kv_key_invalid",
        ),
        (
            operation(&json!({"op": "get", "key": "k", "store": "No"}), b""),
            "kv_store_invalid",
        ),
        (vec![b' '; PARAMS_BYTES_MAX + 1], "kv_value_too_large"),
    ] {
        let refused = error(&active, frame(&capability(), "", &content)).await;
        assert_eq!(refused, (b'e', code.to_owned()));
    }
    assert!(handle.state_ops().is_empty());
    let get = operation(&json!({"op": "get", "key": "k"}), b"");
    handle.fail_state(|| StateError::TooFast { per_second: 7 });
    let refused = error(&active, frame(&capability(), "", &get)).await;
    assert_eq!(refused, (b'e', "kv_too_fast".to_owned()));
    let refused = error(&active, frame(&"b2".repeat(32), "", &get)).await;
    assert_eq!(refused, (b'x', "call_refused".to_owned()));
    handle.apply_state();
    let (head, _) = reply(&active, json!({"op": "get", "key": "k"}), b"").await;
    assert_eq!(head, json!({"found": false}));
}

/// An operation that is one too many waits for its turn, and has no part in the number of calls.
#[tokio::test]
async fn operations_wait_for_each_other() {
    let (active, handle) = node();
    let add = json!({"op": "increment", "key": "n"});
    let adding = (0..40).map(|_| reply(&active, add.clone(), b""));
    let replies = futures_util::future::join_all(adding).await;
    let mut sums: Vec<u64> = replies
        .iter()
        .map(|(head, _)| head["value"].as_str().unwrap().parse().unwrap())
        .collect();
    sums.sort_unstable();
    assert!(sums.into_iter().eq(1..=40));
    // All places are taken.
    handle.hold_state();
    let held = (0..OPERATIONS_AT_ONCE_MAX).map(|_| reply(&active, add.clone(), b""));
    let held = futures_util::future::join_all(held);
    let called = async {
        handle
            .wait_for("the operations", |counts| {
                counts.begun == 40 + OPERATIONS_AT_ONCE_MAX
            })
            .await;
        answer(&active, frame(&capability(), "callee", b"[1]")).await
    };
    tokio::select! {
        _ = held => panic!("nobody answers these"),
        called = called => assert_eq!(called, (b'r', b"[1]".to_vec())),
    }
}

/// However many operations of one invocation wait, the calls and operations of another are answered.
#[tokio::test]
async fn nobody_waits_for_the_operations_of_another() {
    let (active, busy) = node();
    let (host, other) = FakeHost::new();
    other.answer("callee", Ok);
    let capability_of_other = "c3".repeat(CAPABILITY_BYTES / 2);
    let invocation = ActiveInvocation::new(host);
    active.begin(capability_of_other.clone(), invocation);
    busy.hold_state();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("call.sock");
    let listener = UnixListener::bind(&path).unwrap();
    let accepting = accept(
        listener,
        Arc::new(active),
        Arc::default(),
        CancellationToken::new(),
    );
    let get = operation(&json!({"op": "get", "key": "k"}), b"");
    let asking = async {
        let mut waiting = Vec::new();
        for _ in 0..2 * CONNECTIONS_MAX {
            let mut agent = UnixStream::connect(&path).await.unwrap();
            agent
                .write_all(&frame(&capability(), "", &get))
                .await
                .unwrap();
            waiting.push(agent);
        }
        busy.wait_for("the operations", |counts| {
            counts.begun == OPERATIONS_AT_ONCE_MAX
        })
        .await;
        let mut kinds = Vec::new();
        for (name, content) in [("callee", &b"[1]"[..]), ("", &get[..])] {
            let mut agent = UnixStream::connect(&path).await.unwrap();
            let frame = frame(&capability_of_other, name, content);
            agent.write_all(&frame).await.unwrap();
            let mut answer = Vec::new();
            let reading = agent.read_to_end(&mut answer);
            tokio::time::timeout(TRANSFER_LIMIT, reading)
                .await
                .unwrap()
                .unwrap();
            kinds.push(answer.first().copied());
        }
        assert_eq!(busy.counts().begun, OPERATIONS_AT_ONCE_MAX);
        kinds
    };
    let kinds = tokio::select! {
        () = accepting => panic!("nobody stops it"),
        kinds = asking => kinds,
    };
    assert_eq!(kinds, [Some(b'r'), Some(b'r')]);
}

/// An operation ends with its invocation, and with the connection that it came on.
#[tokio::test]
async fn an_operation_is_given_up() {
    let (active, handle) = node();
    handle.hold_state();
    let get = operation(&json!({"op": "get", "key": "k"}), b"");
    let get = frame(&capability(), "", &get);
    let refused = AtomicU64::new(0);
    let (mut agent, mut node) = UnixStream::pair().unwrap();
    let (served, ()) = tokio::join!(serve(&mut node, &active, &refused, place()), async {
        agent.write_all(&get).await.unwrap();
        handle
            .wait_for("the operation", |counts| counts.begun == 1)
            .await;
        drop(agent);
    });
    assert!(served.is_err());
    handle
        .wait_for("its end", |counts| counts.dropped == 1)
        .await;
    let (mut agent, mut node) = UnixStream::pair().unwrap();
    let ended = active.get(&capability()).unwrap().ended;
    let (served, ()) = tokio::join!(serve(&mut node, &active, &refused, place()), async {
        agent.write_all(&get).await.unwrap();
        handle
            .wait_for("the operation", |counts| counts.begun == 2)
            .await;
        ended.cancel();
    });
    served.unwrap();
    handle
        .wait_for("its end", |counts| counts.dropped == 2)
        .await;
}

/// The time in which any invocation runs has one end, whichever ends last.
#[tokio::test]
async fn the_last_invocation_ends_what_all_share() {
    let (active, _) = node();
    let other = "b2".repeat(CAPABILITY_BYTES / 2);
    active.begin(other.clone(), ActiveInvocation::new(FakeHost::new().0));
    let busy = active.busy();
    assert!(active.host().is_some());
    active.end(&capability());
    assert!(!busy.is_cancelled() && active.host().is_some());
    active.end(&other);
    assert!(busy.is_cancelled() && active.host().is_none());
    assert!(!active.busy().is_cancelled());
}
