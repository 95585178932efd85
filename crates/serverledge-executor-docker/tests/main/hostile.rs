//! Functions that play the agent: they share its process, so they can write what they like into its connections. The node
//! believes nothing, hangs on nothing, and keeps its memory.

use std::time::Duration;

use serde_json::{Value, json};
use serverledge_core::{FailureKind, FunctionLimits, InvokeError};
use tokio::time::Instant;

use crate::support::{ECHO, Lab, invoke, json_of, python_with, timeout};

/// Finds the connection that the request came in on, and answers in the agent's place.
const HELPERS: &str = r#"
import os, socket, stat, struct, time, threading
def connections():
    found = []
    for name in os.listdir('/proc/self/fd'):
        try:
            if not stat.S_ISSOCK(os.fstat(int(name)).st_mode): continue
            one = socket.socket(fileno=os.dup(int(name)))
            if not one.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN): found.append(one)
        except OSError: pass
    return found
def listening():
    for name in os.listdir('/proc/self/fd'):
        try:
            if not stat.S_ISSOCK(os.fstat(int(name)).st_mode): continue
            one = socket.socket(fileno=os.dup(int(name)))
            if one.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN): return one
        except OSError: pass
def say(data):
    for one in connections():
        one.setblocking(True)
        try: one.sendall(data)
        except OSError: pass
def frame(kind, data): return kind + struct.pack('>I', len(data)) + data
def answer(body, more=b''): say(b'HTTP/1.1 200 OK\r\ncontent-length: %d\r\n%s\r\n' % (len(body), more) + body)
def chunked(pieces):
    say(b'HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n')
    for piece in pieces: say(b'%x\r\n' % len(piece) + piece + b'\r\n')
"#;

/// The node's verdict on it: the failure's kind or the reply, in few words.
fn words(outcome: Result<serverledge_core::Outcome, InvokeError>) -> String {
    match outcome {
        Ok(outcome) => json_of(&outcome).to_string(),
        Err(InvokeError::Function(failure)) => format!("{:?}", failure.kind),
        Err(InvokeError::Internal { .. }) => "Internal".to_owned(),
        Err(InvokeError::Gone) => "Gone".to_owned(),
        Err(other) => format!("{other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn forged_answers_are_not_believed() {
    // After a forged answer the function stays, so that the agent's own answer does not mend it.
    let rows: [(&str, &[&str]); 18] = [
        ("say(b'garbage\\r\\n\\r\\n')", &["Exited"]),
        ("say(b'\\x00' * 100000)", &["Exited"]),
        (
            "say(b'HTTP/1.1 500 No\\r\\ncontent-length: 0\\r\\n\\r\\n')",
            &["Exited"],
        ),
        (
            "say(b'HTTP/1.1 200 OK\\r\\n' + b'a: b\\r\\n' * 100000)",
            &["Exited"],
        ),
        (
            "say(b'HTTP/1.1 200 OK\\r\\ncontent-length: 99999999999999999999999\\r\\n\\r\\n')",
            &["Exited"],
        ),
        (
            "say(b'HTTP/1.1 100 Continue\\r\\n\\r\\n' * 10000)",
            &["TimeLimit", "Exited"],
        ),
        ("answer(b'')", &["Exited"]),
        ("answer(b'r')", &["Exited"]),
        ("answer(frame(b'r', b'not json'))", &["BadOutput"]),
        ("answer(frame(b'r', b'1') + frame(b'r', b'2'))", &["Exited"]),
        (
            "answer(frame(b'r', b'1') + frame(b'l', b'late'))",
            &["Exited"],
        ),
        ("answer(frame(b'?', b'1'))", &["Exited"]),
        ("answer(b'r\\xff\\xff\\xff\\xff')", &["OutputLimit"]),
        ("answer(frame(b'e', b'[1, 2'))", &["Error"]),
        ("answer(frame(b'e', b'\\xff\\xfe'))", &["Error"]),
        (
            "chunked(frame(b'l', b'x' * 60000) for _ in range(10**9))",
            &["TimeLimit"],
        ),
        (
            "chunked(frame(b'l', b'') for _ in range(10**9))",
            &["TimeLimit"],
        ),
        (
            "chunked([b'r\\x00\\x50\\x00\\x00'] + [b'x' * 60000] * 10**6)",
            &["TimeLimit", "OutputLimit", "BadOutput", "Exited"],
        ),
    ];
    let lab = Lab::with_cells(2).await;
    let bystander = lab.python(ECHO).await;
    let code = format!("{HELPERS}def handler(p):\n    exec(p, globals())\n    time.sleep(60)\n");
    let version = lab.prepared(python_with(&code, timeout(2)), &code).await;
    // Most of them take the whole limit: several at once.
    for some in rows.chunks(6) {
        let forged = some.iter().map(|(line, allowed)| {
            let lab = &lab;
            let version = &version;
            async move {
                let sandbox = lab.start(version).await;
                let began = Instant::now();
                let told = words(invoke(sandbox.as_ref(), json!(line)).await);
                assert!(allowed.contains(&told.as_str()), "{line}: {told}");
                assert!(
                    began.elapsed() < Duration::from_secs(30),
                    "{line} took {:?}",
                    began.elapsed()
                );
                sandbox.stop().await.unwrap();
            }
        });
        futures_util::future::join_all(forged).await;
    }
    lab.still_serves(&bystander).await;
}

/// A forged answer may leave the connection in any state; what comes next on this sandbox must end in its time.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_follows_a_forged_answer_ends_in_time() {
    let rows = [
        // An answer while the agent still works on the request: its own answer comes later.
        "answer(frame(b'r', b'1')); time.sleep(0.2)",
        // A second answer that nobody asked for.
        "answer(frame(b'r', b'1') ); answer(frame(b'r', b'2'))",
        // Every connection stays open and nobody reads from it.
        "answer(frame(b'r', b'1')); time.sleep(60)",
        "answer(frame(b'r', b'1'), b'connection: close\\r\\n')",
        "answer(frame(b'r', b'1')); [one.shutdown(2) for one in connections()]",
    ];
    let lab = Lab::with_cells(2).await;
    let code = format!("{HELPERS}def handler(p):\n    exec(p, globals())\n    return 'own'\n");
    let limits = FunctionLimits {
        max_concurrency: 4,
        ..timeout(2)
    };
    let version = lab.prepared(python_with(&code, limits), &code).await;
    for line in rows {
        let sandbox = lab.start(&version).await;
        for round in 0..3 {
            let began = Instant::now();
            let told = words(invoke(sandbox.as_ref(), json!(line)).await);
            assert!(
                began.elapsed() < Duration::from_secs(30),
                "{line}, {round}: {told} after {:?}",
                began.elapsed()
            );
        }
        sandbox.stop().await.unwrap();
    }
}

/// The answer comes before the request was read: the connection must not be taken for a free one.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_to_an_unread_request_blocks_nobody() {
    let code = format!(
        "{HELPERS}
def handler(p):
    # From now on the process answers each request at its first bytes, and reads no more.
    def forge(one):
        while one.recv(1, socket.MSG_PEEK):
            one.sendall(b'HTTP/1.1 200 OK\\r\\ncontent-length: 6\\r\\n\\r\\n' + frame(b'r', b'1'))
            time.sleep(60)
    listener = listening()
    listener.setblocking(True)
    def accept():
        while True: threading.Thread(target=forge, args=(listener.accept()[0],), daemon=True).start()
    # All acceptors compete; many of ours win.
    for _ in range(20): threading.Thread(target=accept, daemon=True).start()
    for one in connections(): one.shutdown(2)
    return 1
"
    );
    let lab = Lab::new().await;
    let version = lab.prepared(python_with(&code, timeout(2)), &code).await;
    let sandbox = lab.start(&version).await;
    drop(invoke(sandbox.as_ref(), Value::Null).await);
    let large = json!("x".repeat(4 << 20));
    for round in 0..4 {
        let began = Instant::now();
        let told = words(invoke(sandbox.as_ref(), large.clone()).await);
        assert!(
            began.elapsed() < Duration::from_secs(30),
            "{round}: {told} after {:?}",
            began.elapsed()
        );
    }
    sandbox.stop().await.unwrap();
}

/// The kinds that the node tells are its own: a function cannot claim another limit than those of the protocol.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_long_error_is_bounded() {
    let lab = Lab::new().await;
    let code = "def handler(p): raise ValueError('x' * (10 << 20))\n";
    let version = lab.prepared(python_with(code, timeout(10)), code).await;
    let sandbox = lab.start(&version).await;
    match invoke(sandbox.as_ref(), Value::Null).await {
        Err(InvokeError::Function(failure)) => {
            assert!(
                matches!(failure.kind, FailureKind::Error | FailureKind::OutputLimit),
                "{:?}",
                failure.kind
            );
            assert!(failure.message.len() < 8 << 20);
        }
        other => panic!("{other:?}"),
    }
    sandbox.stop().await.unwrap();
}
