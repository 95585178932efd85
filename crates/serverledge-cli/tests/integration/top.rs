//! `top`: one look at a node, and a terminal that is taken and given back.

use std::io::BufReader;
use std::process::Child;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, SystemTime};

use super::*;

/// Longest wait for a text that must come.
const PATIENCE: Duration = Duration::from_secs(30);

const STATS: &str = r#"{"step_ms":10000,"window_ms":600000,"unix_ms":1,"functions":[{"function":"hello","per_second":12.5,
    "calls":600,"failures":2,"rejected":0,"cold":2,"cache_hits":30,"p50_us":1200,"p99_us":48000}]}"#;
const RUNS: &str = r#"{"runs":[],"kept_since_unix_ms":5}"#;
const STATUS: &str = r#"{"TotalMemory":1024,"AvailableMemory":896,"TotalCPU":8.0,"UsedCPU":0.5,"LoadAvg":[-1,-1,-1],
    "Version":"0.1.0","Node":"n1","Area":"ROME"}"#;
const HELLO: &str = "event: hello\ndata: {\"node\":\"ROME/n1\",\"version\":\"1\"}\n\n";
const LOAD: &str = "event: load\ndata: {\"unix_ms\":1,\"running\":3,\"waiting\":1,\"memory_used_mib\":512,\"memory_mib\":1024,\
    \"cpu_used_milli\":1500,\"cpu_milli\":8000,\"sandboxes\":{\"starting\":1,\"idle\":4,\"busy\":2},\"calls\":124,\
    \"failures\":1,\"rejected\":0}\n\n";

/// A node that answers by route, as often as it is asked.
struct FakeNode {
    port: String,
    /// It closes connections without an answer.
    is_silent: Arc<AtomicBool>,
}

impl FakeNode {
    /// With these events; `None`: it has none.
    fn start(events: Option<&'static str>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
        let port = listener
            .local_addr()
            .expect("a listener has an address")
            .port();
        let is_silent = Arc::new(AtomicBool::new(false));
        let silent = Arc::clone(&is_silent);
        std::thread::spawn(move || {
            while let Ok((stream, _)) = listener.accept() {
                if !silent.load(Ordering::SeqCst) {
                    // The program opens connections ahead, and may be gone in the middle of one.
                    std::thread::spawn(move || converse(stream, events));
                }
            }
        });
        Self {
            port: port.to_string(),
            is_silent,
        }
    }
}

/// Answers one request; a stream of events stays open.
fn converse(mut stream: TcpStream, events: Option<&str>) {
    let mut head = [0; 4096];
    let Ok(count @ 1..) = stream.read(&mut head) else {
        return;
    };
    let request = String::from_utf8_lossy(&head[..count]);
    let _ = stream.write_all(answer(&request, events).as_bytes());
    if request.starts_with("GET /events") && events.is_some() {
        let _ = stream.read(&mut head);
    }
}

fn answer(request: &str, events: Option<&str>) -> String {
    let json = |body: &str| format!("HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n{body}");
    let route = request.split([' ', '?']).nth(1).unwrap_or_default();
    match (route, events) {
        ("/stats", _) => json(STATS),
        ("/invocations", _) => json(RUNS),
        ("/status", _) => json(STATUS),
        ("/events", Some(events)) => {
            format!("HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n{events}")
        }
        _ => "HTTP/1.1 404 Not Found\r\nconnection: close\r\n\r\n".to_owned(),
    }
}

fn look(node: &FakeNode, arguments: &[&str]) -> String {
    let folder = tempfile::tempdir().expect("a folder can be made");
    let output = program(&folder)
        .args(arguments)
        .args(["-port", &node.port])
        .output()
        .expect("the program runs");
    let told = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{told}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[test]
fn one_look_is_a_table_or_json() {
    let node = FakeNode::start(Some(const_str(HELLO, LOAD)));
    let shown = look(&node, &["top"]);
    for words in [
        "ROME/n1  version 0.1.0",
        "memory 512 of 1024 MiB  cpu 1.50 of 8.00  running 3  waiting 1",
        "calls 124/s  failures 1/s",
        "hello                 12         1.2 ms",
    ] {
        assert!(shown.contains(words), "{shown}");
    }
    assert!(!shown.contains('\u{1b}'), "{shown}");
    let shown = look(&node, &["top", "--json", "--all"]);
    for words in [
        "\"node\": \"ROME/n1\"",
        "\"memory_used_mib\": 512",
        "\"per_second\": 12.5",
        "\"runs\": []",
    ] {
        assert!(shown.contains(words), "{shown}");
    }
}

/// Both texts as one that lives as long as the program.
fn const_str(first: &str, second: &str) -> &'static str {
    Box::leak(format!("{first}{second}").into_boxed_str())
}

#[test]
fn without_load_the_status_is_shown() {
    let node = FakeNode::start(None);
    let shown = look(&node, &["top", "--once"]);
    for words in ["ROME/n1", "memory 128 of 1024 MiB", "calls 12/s"] {
        assert!(shown.contains(words), "{shown}");
    }
}

#[test]
fn one_look_at_no_node_fails() {
    check_alone(
        &["top"],
        &[("SERVERLEDGE_PORT", "1")],
        2,
        "failed to get the figures: the node is unreachable",
    );
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
    let port = listener
        .local_addr()
        .expect("a listener has an address")
        .port()
        .to_string();
    std::thread::spawn(move || {
        while let Ok((mut stream, _)) = listener.accept() {
            read_request(&mut stream);
            let _ = stream.write_all(
                b"HTTP/1.1 403 Forbidden\r\nconnection: close\r\n\r\n{\"code\":\"forbidden\",\"detail\":\"no\"}",
            );
        }
    });
    check_alone(&["top"], &[("SERVERLEDGE_PORT", &port)], 2, "no (403)");
}

/// A terminal in which a command runs: that of `script`, which util-linux has.
struct Terminal {
    child: Child,
    pieces: Receiver<Vec<u8>>,
    shown: String,
    _folder: tempfile::TempDir,
}

impl Terminal {
    /// `top` at this node, and the terminal's settings after it.
    fn top(node: &FakeNode) -> Self {
        let folder = tempfile::tempdir().expect("a folder can be made");
        let line = format!(
            "stty rows 20 cols 100; {} top --port {}; echo ended with $?; stty -a",
            env!("CARGO_BIN_EXE_serverledge-cli"),
            node.port
        );
        let mut child = command("script", &folder)
            .args(["--quiet", "--return", "--command", &line, "/dev/null"])
            .env("SHELL", "/bin/sh")
            .env("TERM", "xterm")
            .stdin(Stdio::piped())
            .spawn()
            .expect("script of util-linux is installed");
        let out = child.stdout.take().expect("stdout is a pipe");
        let (sender, pieces) = channel();
        std::thread::spawn(move || {
            let mut out = BufReader::new(out);
            let mut buffer = [0; 4096];
            while let Ok(count @ 1..) = out.read(&mut buffer) {
                if sender.send(buffer[..count].to_vec()).is_err() {
                    break;
                }
            }
        });
        Self {
            child,
            pieces,
            shown: String::new(),
            _folder: folder,
        }
    }

    /// Reads until this is shown; gives back what was shown since the last time.
    fn wait_for(&mut self, text: &str) -> String {
        let began = SystemTime::now();
        loop {
            if let Some(at) = self.shown.find(text) {
                let rest = self.shown.split_off(at + text.len());
                return std::mem::replace(&mut self.shown, rest);
            }
            let left = PATIENCE.checked_sub(began.elapsed().unwrap_or_default());
            let piece = self.pieces.recv_timeout(left.unwrap_or_default());
            let piece = piece.unwrap_or_else(|_| panic!("{text:?} did not come: {}", self.shown));
            self.shown.push_str(&String::from_utf8_lossy(&piece));
        }
    }

    fn press(&mut self, keys: &str) {
        let input = self.child.stdin.as_mut().expect("stdin is a pipe");
        input
            .write_all(keys.as_bytes())
            .and_then(|()| input.flush())
            .expect("the keys are taken");
    }

    /// Waits for the end of `top`, after which the terminal is as it was.
    fn ends_well(mut self) {
        self.wait_for("\u{1b}[?1049l");
        self.wait_for("ended with 0");
        let settings = self.wait_for("echoke");
        let words: Vec<&str> = settings.split_whitespace().collect();
        for setting in ["isig", "icanon", "echo", "opost", "icrnl"] {
            assert!(words.contains(&setting), "{settings}");
        }
        drop(self.child.stdin.take());
        self.child.wait().expect("script ends");
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        // Also of a test that fails.
        let _ = self.child.kill();
    }
}

#[test]
fn the_terminal_is_taken_and_given_back() {
    let node = FakeNode::start(Some(const_str(HELLO, LOAD)));
    let mut terminal = Terminal::top(&node);
    terminal.wait_for("\u{1b}[?1049h");
    terminal.wait_for("memory 512 of 1024 MiB");
    terminal.wait_for("hello");
    terminal.press("s");
    terminal.wait_for("P99 ▾");
    terminal.press("f");
    terminal.wait_for("hello");
    terminal.press("q");
    terminal.ends_well();
}

#[test]
fn a_lost_node_is_waited_for() {
    let node = FakeNode::start(Some(const_str(HELLO, LOAD)));
    let mut terminal = Terminal::top(&node);
    terminal.wait_for("hello");
    node.is_silent.store(true, Ordering::SeqCst);
    terminal.wait_for("the node does not answer; trying again");
    node.is_silent.store(false, Ordering::SeqCst);
    // The line is empty again.
    terminal.wait_for("rejected 0/s\u{1b}[K\r\n\u{1b}[2m\u{1b}[0m\u{1b}[K");
    // Control-C, which is a key to a raw terminal.
    terminal.press("\u{3}");
    terminal.ends_well();
}
