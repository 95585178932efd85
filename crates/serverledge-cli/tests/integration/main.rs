//! The real binary against a listener that answers from a script: exit codes, streams, closed pipes.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Command, Output, Stdio};

/// The program without the caller's settings, in an empty folder that lives as long as the result.
fn program(folder: &tempfile::TempDir) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_serverledge-cli"));
    command.env_remove("SERVERLEDGE_HOST").env_remove("SERVERLEDGE_PORT").env("HOME", folder.path());
    command.current_dir(folder.path()).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// Answers one connection with `answer` and hands back the request's first line.
fn serve(listener: &TcpListener, answer: &[u8]) -> String {
    let (mut stream, _) = listener.accept().expect("a connection comes");
    let request = read_request(&mut stream);
    stream.write_all(answer).expect("the answer is read");
    request.lines().next().unwrap_or_default().to_owned()
}

fn read_request(stream: &mut TcpStream) -> String {
    let mut read = Vec::new();
    let mut buffer = [0; 4096];
    loop {
        let text = String::from_utf8_lossy(&read).into_owned();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
            if body.len() >= length.map_or(0, |length| length.parse().expect("a length is a number")) {
                return text;
            }
        }
        let count = stream.read(&mut buffer).expect("the request is sent");
        assert_ne!(count, 0, "the request ended early: {text}");
        read.extend_from_slice(&buffer[..count]);
    }
}

/// Runs the program against one scripted answer.
fn ask(arguments: &[&str], status: &str, body: &str) -> (String, Output) {
    let folder = tempfile::tempdir().expect("a folder can be made");
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
    let port = listener.local_addr().expect("a listener has an address").port();
    let child =
        program(&folder).args(arguments).args(["-port", &port.to_string()]).spawn().expect("the program starts");
    let request = serve(&listener, format!("HTTP/1.1 {status}\r\nconnection: close\r\n\r\n{body}").as_bytes());
    (request, child.wait_with_output().expect("the program ends"))
}

fn check(arguments: &[&str], answer: (&str, &str), request: &str, code: i32, words: &str) {
    let (asked, output) = ask(arguments, answer.0, answer.1);
    let streams = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(asked.starts_with(request), "{arguments:?} asked {asked}");
    assert_eq!(output.status.code(), Some(code), "{arguments:?}: {streams}");
    assert!(streams.contains(words), "{arguments:?}: {streams}");
}

#[test]
fn answers_lead_to_documented_exit_codes() {
    check(&["list"], ("200 OK", r#"["a","b"]"#), "GET /function ", 0, "[\n\t\"a\",\n\t\"b\"\n]\n");
    check(&["-cmd", "delete", "-function", "f"], ("200 OK", r#"{"Deleted":"f"}"#), "POST /delete ", 0, "\"f\"");
    check(&["invoke", "f"], ("404 Not Found", "Function unknown"), "POST /invoke/f ", 2, "Function unknown (404)");
    let failed = r#"{"code":"function_trap","detail":"unreachable code","output":"last words"}"#;
    check(&["invoke", "-f", "f"], ("500 Internal Server Error", failed), "POST /invoke/f ", 5, "last words");
    check(&["invoke", "f", "-a"], ("429 Too Many Requests", ""), "POST /invoke/f ", 6, "the node is busy");
    let pending = r#"{"code":"invocation_not_finished","detail":"x"}"#;
    check(&["poll", "-request", "f-1"], ("404 Not Found", pending), "GET /poll/f-1 ", 7, "has not ended yet");
    check(&["poll", "f-1"], ("404 Not Found", ""), "GET /poll/f-1 ", 2, "knows no invocation");
}

fn check_alone(arguments: &[&str], environment: &[(&str, &str)], code: i32, words: &str) {
    let folder = tempfile::tempdir().expect("a folder can be made");
    std::fs::write(folder.path().join("f.wat"), "(module)").expect("a file can be written");
    let mut command = program(&folder);
    let output = command.envs(environment.iter().copied()).args(arguments).output().expect("the program runs");
    let shown = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{arguments:?}: {shown}");
    assert!(shown.contains(words), "{arguments:?}: {shown}");
}

#[test]
fn mistakes_lead_to_documented_exit_codes() {
    check_alone(&["list"], &[("SERVERLEDGE_PORT", "x")], 1, "SERVERLEDGE_PORT is \"x\"");
    check_alone(&["invoke", "f", "-p", "a"], &[], 1, "parameter \"a\" is not of the form name:value");
    check_alone(&["fly"], &[], 1, "unrecognized subcommand");
    check_alone(&["create", "-f", "f", "-src", "no.wasm"], &[], 3, "failed to read the source \"no.wasm\"");
    check_alone(&["create", "-src", "f.wat", "-i", "a:Thing"], &[], 4, "is not a type");
    check_alone(&["--version"], &[], 0, "");
    check_alone(&["completions", "bash"], &[], 0, "");
    // Port 1 of the loopback belongs to nobody on a usual machine.
    check_alone(
        &["list"],
        &[("SERVERLEDGE_PORT", "1")],
        2,
        "the node is unreachable at http://127.0.0.1:1: connection refused",
    );
}

#[test]
fn a_reader_that_has_gone_is_no_failure() {
    let folder = tempfile::tempdir().expect("a folder can be made");
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
    let port = listener.local_addr().expect("a listener has an address").port().to_string();
    let mut child = program(&folder).args(["list", "--port", &port]).spawn().expect("the program starts");
    drop(child.stdout.take());
    let names = vec!["\"a-function\""; 50_000].join(",");
    serve(&listener, format!("HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n[{names}]").as_bytes());
    let output = child.wait_with_output().expect("the program ends");
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(output.stderr.is_empty(), "{}", String::from_utf8_lossy(&output.stderr));
}
