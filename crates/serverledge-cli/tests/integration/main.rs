//! The real binary against a listener that answers from a script: exit codes, streams, closed pipes.

mod accounts;
mod applications;
mod asynchronous;
mod kv;
mod runs;
mod top;
mod updates;
mod versions;

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Command, Output, Stdio};

/// The program without the caller's settings, in an empty folder that lives as long as the result.
fn program(folder: &tempfile::TempDir) -> Command {
    command(env!("CARGO_BIN_EXE_serverledge-cli"), folder)
}

/// Any program in the same way.
fn command(program: &str, folder: &tempfile::TempDir) -> Command {
    let mut command = Command::new(program);
    let own = [
        "SERVERLEDGE_URL",
        "SERVERLEDGE_HOST",
        "SERVERLEDGE_PORT",
        "SERVERLEDGE_TLS",
        "SERVERLEDGE_CA_FILE",
    ];
    for variable in own.iter().chain(&[
        "SERVERLEDGE_TOKEN",
        "SERVERLEDGE_TOKEN_FILE",
        "XDG_CONFIG_HOME",
    ]) {
        command.env_remove(variable);
    }
    command.env("HOME", folder.path());
    command
        .current_dir(folder.path())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

/// Answers one connection with `answer` and hands back the request's first line.
fn serve(listener: &TcpListener, answer: &[u8]) -> String {
    let (mut stream, _) = listener.accept().expect("a connection comes");
    let request = read_request(&mut stream);
    stream.write_all(answer).expect("the answer is read");
    request.lines().next().unwrap_or_default().to_owned()
}

/// Runs the program against one whole answer for each of its connections; gives back what it asked.
fn answered(arguments: &[&str], answers: &[String]) -> (Vec<String>, Output) {
    let folder = tempfile::tempdir().expect("a folder can be made");
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
    let port = listener
        .local_addr()
        .expect("a listener has an address")
        .port()
        .to_string();
    let child = program(&folder)
        .args(arguments)
        .args(["-port", &port])
        .spawn()
        .expect("the program starts");
    let requests = answers.iter().map(|answer| {
        let (mut stream, _) = listener.accept().expect("a connection comes");
        let request = read_request(&mut stream);
        stream
            .write_all(answer.as_bytes())
            .expect("the answer is read");
        request
    });
    let requests = requests.collect();
    (
        requests,
        child.wait_with_output().expect("the program ends"),
    )
}

fn read_request(stream: &mut TcpStream) -> String {
    let mut read = Vec::new();
    let mut buffer = [0; 4096];
    loop {
        let text = String::from_utf8_lossy(&read).into_owned();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length = head
                .lines()
                .find_map(|line| line.strip_prefix("content-length: "));
            if body.len()
                >= length.map_or(0, |length| length.parse().expect("a length is a number"))
            {
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
    let port = listener
        .local_addr()
        .expect("a listener has an address")
        .port();
    let child = program(&folder)
        .args(arguments)
        .args(["-port", &port.to_string()])
        .spawn()
        .expect("the program starts");
    let request = serve(
        &listener,
        format!("HTTP/1.1 {status}\r\nconnection: close\r\n\r\n{body}").as_bytes(),
    );
    (request, child.wait_with_output().expect("the program ends"))
}

fn check(arguments: &[&str], answer: (&str, &str), request: &str, code: i32, words: &str) {
    let (asked, output) = ask(arguments, answer.0, answer.1);
    let streams = format!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    assert!(asked.starts_with(request), "{arguments:?} asked {asked}");
    assert_eq!(output.status.code(), Some(code), "{arguments:?}: {streams}");
    assert!(streams.contains(words), "{arguments:?}: {streams}");
}

#[test]
fn answers_lead_to_documented_exit_codes() {
    check(
        &["list"],
        ("200 OK", r#"["a","b"]"#),
        "GET /function ",
        0,
        "[\n\t\"a\",\n\t\"b\"\n]\n",
    );
    check(
        &["-cmd", "delete", "-function", "f"],
        ("200 OK", r#"{"Deleted":"f"}"#),
        "POST /delete ",
        0,
        "\"f\"",
    );
    check(
        &["invoke", "f"],
        ("404 Not Found", "Function unknown"),
        "POST /invoke/f ",
        2,
        "Function unknown (404)",
    );
    let failed = r#"{"code":"function_trap","detail":"unreachable code","output":"last words"}"#;
    check(
        &["invoke", "-f", "f"],
        ("500 Internal Server Error", failed),
        "POST /invoke/f ",
        5,
        "last words",
    );
    check(
        &["invoke", "f", "-a"],
        ("429 Too Many Requests", ""),
        "POST /invoke/f ",
        6,
        "the node is busy",
    );
    let pending = r#"{"code":"invocation_not_finished","detail":"x"}"#;
    check(
        &["poll", "-request", "f-1"],
        ("404 Not Found", pending),
        "GET /poll/f-1 ",
        7,
        "has not ended yet",
    );
    check(
        &["poll", "f-1"],
        ("404 Not Found", ""),
        "GET /poll/f-1 ",
        2,
        "knows no invocation",
    );
    let ended = r#"{"Success":false,"Result":"","ResponseTime":0,"IsWarmStart":false,"InitTime":0,"QueueingTime":0,
        "OffloadLatency":0,"Duration":0,"Output":"","ExecutionArea":"","ExecutionNode":"","Error":"it was","ErrorCode":"CODE"}"#;
    let cancelled = ended.replace("CODE", "cancelled");
    check(
        &["poll", "f-1"],
        ("200 OK", &cancelled),
        "GET /poll/f-1 ",
        2,
        "error: the invocation was cancelled",
    );
    let failed = ended.replace("CODE", "function_error");
    check(
        &["poll", "f-1"],
        ("200 OK", &failed),
        "GET /poll/f-1 ",
        5,
        "the function failed: it was (function_error)",
    );
}

fn check_alone(arguments: &[&str], environment: &[(&str, &str)], code: i32, words: &str) {
    let folder = tempfile::tempdir().expect("a folder can be made");
    std::fs::write(folder.path().join("f.wat"), "(module)").expect("a file can be written");
    let mut command = program(&folder);
    let output = command
        .envs(environment.iter().copied())
        .args(arguments)
        .output()
        .expect("the program runs");
    let shown = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{arguments:?}: {shown}");
    assert!(shown.contains(words), "{arguments:?}: {shown}");
}

#[test]
fn mistakes_lead_to_documented_exit_codes() {
    check_alone(
        &["list"],
        &[("SERVERLEDGE_PORT", "x")],
        1,
        "SERVERLEDGE_PORT is \"x\"",
    );
    check_alone(
        &["invoke", "f", "-p", "a"],
        &[],
        1,
        "parameter \"a\" is not of the form name:value",
    );
    check_alone(
        &["list"],
        &[("SERVERLEDGE_TLS", "x")],
        1,
        "SERVERLEDGE_TLS is \"x\"",
    );
    check_alone(
        &["list", "--ca-file", "no.pem"],
        &[],
        1,
        "in no.pem cannot be used: there is no such file",
    );
    check_alone(
        &["list"],
        &[("SERVERLEDGE_CA_FILE", "/dev/null")],
        1,
        "in /dev/null cannot be used: there is no certificate",
    );
    check_alone(
        &["list", "--tls", "--port", "1"],
        &[],
        2,
        "the node is unreachable at https://127.0.0.1:1: connection refused",
    );
    check_alone(&["fly"], &[], 1, "unrecognized subcommand");
    check_alone(
        &["invoke", "f", "name:Ada"],
        &[],
        1,
        "hint: a parameter goes into -p: -p name:Ada\n",
    );
    check_alone(
        &["create", "-f", "f", "-src", "no.wasm"],
        &[],
        3,
        "failed to read the source \"no.wasm\"",
    );
    check_alone(
        &["create", "-src", "f.wat", "-i", "a:Thing"],
        &[],
        4,
        "is not a type",
    );
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
    let port = listener
        .local_addr()
        .expect("a listener has an address")
        .port()
        .to_string();
    let mut child = program(&folder)
        .args(["list", "--port", &port])
        .spawn()
        .expect("the program starts");
    drop(child.stdout.take());
    let names = vec!["\"a-function\""; 50_000].join(",");
    serve(
        &listener,
        format!("HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n[{names}]").as_bytes(),
    );
    let output = child.wait_with_output().expect("the program ends");
    assert_eq!(
        output.status.code(),
        Some(0),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    assert!(
        output.stderr.is_empty(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
}

/// Runs the program in this folder against one scripted answer, with these variables.
fn ask_in(
    folder: &tempfile::TempDir,
    environment: &[(&str, &str)],
    arguments: &[&str],
    answer: &str,
) -> (String, Output) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
    let port = listener
        .local_addr()
        .expect("a listener has an address")
        .port()
        .to_string();
    let mut command = program(folder);
    let child = command
        .envs(environment.iter().copied())
        .args(arguments)
        .args(["-port", &port]);
    let child = child.spawn().expect("the program starts");
    let (mut stream, _) = listener.accept().expect("a connection comes");
    let request = read_request(&mut stream);
    stream
        .write_all(answer.as_bytes())
        .expect("the answer is read");
    drop(stream);
    (request, child.wait_with_output().expect("the program ends"))
}

const STREAMED: &str =
    "HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-type: application/x-ndjson\r\n\r\n";

#[test]
fn deploys_tell_their_steps_and_send_secrets_from_the_environment() {
    let folder = tempfile::tempdir().expect("a folder can be made");
    std::fs::create_dir_all(folder.path().join("greet/node_modules"))
        .expect("a folder can be made");
    std::fs::write(
        folder.path().join("greet/main.py"),
        "def handler(p): return p",
    )
    .expect("a file can be written");
    let arguments = [
        "create",
        "-src",
        "greet",
        "--secret",
        "API_KEY",
        "--env",
        "A=1",
        "--network",
        "bridge",
    ];
    let answer = format!(
        "{STREAMED}{{\"Progress\":\"installing six\u{1}\"}}\n{{}}\n{{\"Created\":{{\"Created\":\"greet\"}}}}\n"
    )
    .replace('\u{1}', "\\u0001");
    let (request, output) = ask_in(&folder, &[("API_KEY", "hunter2")], &arguments, &answer);
    let shown = String::from_utf8_lossy(&output.stdout);
    let told = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{told}");
    assert!(request.starts_with("POST /create "), "{request}");
    for sent in [
        r#""Runtime":"python""#,
        r#""Secrets":{"API_KEY":"hunter2"}"#,
        r#""Network":"bridge""#,
    ] {
        assert!(request.contains(sent), "{request}");
    }
    assert!(
        told.contains("installing six\\u{1}\n")
            && told.contains("note: node_modules is left out\n"),
        "{told}"
    );
    assert!(
        shown.contains("\"Created\": \"greet\"") && !shown.contains("hunter2"),
        "{shown}"
    );
}

#[test]
fn deploys_that_fail_on_the_way_lead_to_exit_codes() {
    let folder = tempfile::tempdir().expect("a folder can be made");
    std::fs::write(folder.path().join("f.js"), "module.exports = p => p")
        .expect("a file can be written");
    let problem = r#"{"Problem":{"status":422,"code":"install_failed","detail":"npm failed:\nno such package"}}"#;
    let (_, output) = ask_in(
        &folder,
        &[],
        &["create", "f.js"],
        &format!("{STREAMED}{problem}\n"),
    );
    let told = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{told}");
    assert!(
        told.contains("npm failed (422)\noutput:\n  no such package\n"),
        "{told}"
    );
    let (_, output) = ask_in(&folder, &[], &["create", "f.js"], STREAMED);
    assert_eq!(
        output.status.code(),
        Some(2),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
}

#[test]
fn secrets_on_the_command_line_are_refused() {
    check_alone(
        &["create", "f.wat", "--secret", "K=hunter2"],
        &[],
        1,
        "does not belong on the command line",
    );
    check_alone(
        &["create", "f.wat", "--secret", "K"],
        &[],
        1,
        "there is no environment variable K",
    );
    check_alone(
        &["create", "f.wat", "--secret", "K=@missing"],
        &[],
        3,
        "failed to read the secret K",
    );
}

#[test]
fn logs_are_lines_of_text_or_of_json() {
    let folder = tempfile::tempdir().expect("a folder can be made");
    let id = "01890000-0000-7000-8000-00000000000a";
    let line = format!(
        r#"{{"Time":"2026-01-02T03:04:05.678Z","Invocation":"{id}","Failed":true,"Text":"boom"}}"#
    );
    let answer = format!("{STREAMED}{line}\n{{}}\n{{\"Skipped\":3}}\n");
    let (request, output) = ask_in(
        &folder,
        &[],
        &[
            "logs",
            "f",
            "--follow",
            "--tail",
            "5",
            "--invocation",
            "00ff",
        ],
        &answer,
    );
    assert!(
        request.starts_with("GET /functions/f/logs?tail=5&follow=true&invocation=00ff "),
        "{request}"
    );
    assert_eq!(
        String::from_utf8_lossy(&output.stdout),
        "2026-01-02T03:04:05.678Z 00000000000a boom\n"
    );
    assert!(String::from_utf8_lossy(&output.stderr).contains("3 pieces of the log were skipped"));
    assert_eq!(output.status.code(), Some(0));
    let (_, output) = ask_in(&folder, &[], &["logs", "-f", "f", "--json"], &answer);
    assert_eq!(
        String::from_utf8_lossy(&output.stdout),
        format!("{line}\n{{\"Skipped\":3}}\n")
    );
    let unknown =
        r#"{"code":"function_unknown","detail":"function \"f\" is unknown; deploy it first"}"#;
    check(
        &["logs", "f"],
        ("404 Not Found", unknown),
        "GET /functions/f/logs ",
        2,
        "`serverledge-cli list` shows",
    );
}
