//! `update` and `secret`: what is sent, and what is not.

use super::*;

const INFO: &str = r#"{"Name":"f","Runtime":"nodejs","Version":"0123456789abcdef","Code":"","Handler":"h","MemoryMB":128,
    "CPUDemand":0,"MaxConcurrency":1,"Timeout":30,"Env":["A"],"Secrets":["K"],"Idempotent":true,"Edge":false}"#;

/// Runs the program in a folder with sources against these answers, one connection each; gives the requests.
fn exchange(
    arguments: &[&str],
    environment: &[(&str, &str)],
    input: &str,
    answers: &[(&str, &str)],
) -> (Vec<String>, Output) {
    let folder = tempfile::tempdir().expect("a folder can be made");
    let write = |name: &str, text: &str| {
        std::fs::write(folder.path().join(name), text).expect("a file can be written")
    };
    write("f.js", "module.exports = p => p");
    write("f.py", "def handler(p): return p");
    write("value", "hunter2\n");
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
    let port = listener
        .local_addr()
        .expect("a listener has an address")
        .port()
        .to_string();
    let mut command = program(&folder);
    let command = command
        .envs(environment.iter().copied())
        .args(arguments)
        .args(["-port", &port])
        .stdin(Stdio::piped());
    let mut child = command.spawn().expect("the program starts");
    // A program that reads nothing may have ended already.
    let _ = child
        .stdin
        .take()
        .expect("stdin is piped")
        .write_all(input.as_bytes());
    let requests = answers.iter().map(|(status, body)| {
        let (mut stream, _) = listener.accept().expect("a connection comes");
        let request = read_request(&mut stream);
        let answer = format!("HTTP/1.1 {status}\r\nconnection: close\r\n\r\n{body}");
        stream
            .write_all(answer.as_bytes())
            .expect("the answer is read");
        request
    });
    (
        requests.collect(),
        child.wait_with_output().expect("the program ends"),
    )
}

fn updated(changes: &str) -> String {
    format!(r#"{{"Updated":"f","Changes":[{changes}],"Previous":"00","Function":{INFO}}}"#)
}

fn body(request: &str) -> &str {
    request.split_once("\r\n\r\n").map_or("", |(_, body)| body)
}

/// The body of the change that these arguments make of the function above.
#[track_caller]
fn sent(arguments: &[&str]) -> String {
    let answer = updated("");
    let (requests, output) = exchange(
        arguments,
        &[("K2", "hunter2")],
        "",
        &[("200 OK", INFO), ("200 OK", &answer)],
    );
    assert_eq!(
        output.status.code(),
        Some(0),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    assert!(
        requests[0].starts_with("GET /functions/f ")
            && requests[1].starts_with("PATCH /functions/f "),
        "{requests:?}"
    );
    body(&requests[1]).to_owned()
}

#[test]
fn hosts_of_secrets_that_are_refused_have_a_way_out() {
    let refusal = r#"{"code":"invalid_member","status":422,"detail":"invalid SecretHosts: \"K\": the function may send no requests to https://a.example (AllowHosts)"}"#;
    for (arguments, way_out) in [
        (
            &["update", "f", "--allow-host", "none"][..],
            "name this host in --allow-host too",
        ),
        (
            &["update", "f", "--secret-for", "K=a.example"],
            "hint: --secret-for NAME=HOST names a secret of --secret, and a host that --allow-host allows",
        ),
    ] {
        let answers = [("200 OK", INFO), ("422 Unprocessable Entity", refusal)];
        let (_, output) = exchange(arguments, &[], "", &answers);
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{stderr}");
        assert!(stderr.contains(way_out), "{stderr}");
    }
}

#[test]
fn only_what_is_named_is_sent() {
    assert_eq!(
        sent(&["update", "f", "--memory", "256"]),
        r#"{"MemoryMB":256}"#
    );
    assert_eq!(
        sent(&["update", "-f", "f", "--timeout", "default"]),
        r#"{"Timeout":null}"#
    );
    let line = [
        "update",
        "f",
        "--env",
        "A=1",
        "--unset-env",
        "B",
        "--secret",
        "K2",
        "--unset-secret",
        "K",
    ];
    assert_eq!(
        sent(&line),
        r#"{"Env":{"A":"1","B":null},"Secrets":{"K":null,"K2":"hunter2"}}"#
    );
    let line = [
        "update",
        "f",
        "--no-idempotent",
        "--edge",
        "-o",
        "r:Int",
        "--cpu",
        "0.5",
        "-C",
        "2",
        "--handler",
        "",
    ];
    let flags = r#"{"CPUDemand":0.5,"MaxConcurrency":2,"Handler":"","Signature":{"Outputs":[{"Name":"r","Type":"Int"}]},"Idempotent":false,"Edge":true}"#;
    assert_eq!(sent(&line), flags);
    assert_eq!(
        sent(&["update", "f", "--idempotent=outbound"]),
        r#"{"Idempotent":true,"IdempotentOutbound":true}"#
    );
    assert_eq!(
        sent(&["update", "f", "--idempotent"]),
        r#"{"Idempotent":true}"#
    );
    assert_eq!(
        sent(&["update", "f", "--isolation", "kept"]),
        r#"{"Isolation":"kept"}"#
    );
    assert_eq!(
        sent(&["update", "f", "--args", "-w {w} 'a b'", "--stdin", "none"]),
        r#"{"Arguments":["-w","{w}","a b"],"Stdin":"none"}"#
    );
    assert_eq!(
        sent(&["update", "f", "--args", "", "--stdout-type", "a/b"]),
        r#"{"Arguments":[],"StdoutType":"a/b"}"#
    );
    assert_eq!(
        sent(&[
            "update",
            "f",
            "--allow-host",
            "a.example",
            "--allow-host",
            "*.b.example"
        ]),
        r#"{"AllowHosts":["a.example","*.b.example"]}"#
    );
    assert_eq!(
        sent(&["update", "f", "--allow-host", "none"]),
        r#"{"AllowHosts":[]}"#
    );
    assert_eq!(
        sent(&["update", "f", "--runtime", "javascript"]),
        r#"{"Runtime":"javascript"}"#
    );
    assert_eq!(
        sent(&["update", "f", "--custom-image", "i"]),
        r#"{"Runtime":"custom","CustomImage":"i"}"#
    );
}

/// The runtime stays as long as the new source is in its language.
#[test]
fn code_alone_leaves_the_runtime() {
    let same = sent(&["update", "f.js"]);
    assert!(
        same.starts_with(r#"{"TarFunctionCode":""#) && same.ends_with("\"}"),
        "{same}"
    );
    let other = sent(&["update", "f.py", "--memory", "64"]);
    assert!(
        other.starts_with(r#"{"Runtime":"python-wasm","MemoryMB":64,"TarFunctionCode":""#),
        "{other}"
    );
    let named = sent(&[
        "update",
        "-f",
        "f",
        "--src",
        "f.js",
        "--runtime",
        "javascript",
    ]);
    assert!(
        named.starts_with(r#"{"Runtime":"javascript","TarFunctionCode":""#),
        "{named}"
    );
}

#[test]
fn a_missing_function_is_created_from_its_source() {
    let unknown = (
        "404 Not Found",
        r#"{"code":"function_unknown","detail":"no"}"#,
    );
    let (requests, output) = exchange(
        &["update", "f.js", "--memory", "64"],
        &[],
        "",
        &[unknown, ("200 OK", r#"{"Created":"f"}"#)],
    );
    let told = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{told}");
    assert!(
        requests[1].starts_with("POST /create ") && requests[1].contains(r#""MemoryMB":64"#),
        "{requests:?}"
    );
    assert!(
        told.contains("note: there is no function f; it is created"),
        "{told}"
    );
    let (_, output) = exchange(&["update", "f", "--memory", "64"], &[], "", &[unknown]);
    let told = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{told}");
    assert!(
        told.contains("function \"f\" is unknown (404)") && told.contains("create -f f --src FILE"),
        "{told}"
    );
}

#[test]
fn mistakes_are_told_before_anything_is_sent() {
    check_alone(
        &["update", "--memory", "64"],
        &[],
        1,
        "no function is named",
    );
    check_alone(
        &["update", "f.wat", "--src", "f.wat"],
        &[],
        1,
        "two sources are named",
    );
    for (line, words) in [
        (&["update", "f"][..], "nothing is named"),
        (
            &["update", "f", "--env", "A=1", "--unset-env", "A"],
            "A is named by --env and by --unset-env",
        ),
        (
            &["update", "f", "--deps", "value"],
            "--deps goes with new code",
        ),
        (
            &["update", "f", "--secret", "K=hunter2"],
            "does not belong on the command line",
        ),
        (&["update", "f", "-i", "a:Thing"], "is not a type"),
    ] {
        let (_, output) = exchange(line, &[], "", &[("200 OK", INFO)]);
        let told = String::from_utf8_lossy(&output.stderr);
        assert!(
            matches!(output.status.code(), Some(1 | 4)) && told.contains(words),
            "{line:?}: {told}"
        );
    }
    let old = (
        "405 Method Not Allowed",
        r#"{"code":"method_not_allowed","detail":"GET only"}"#,
    );
    let (_, output) = exchange(
        &["update", "f", "--memory", "64"],
        &[],
        "",
        &[("200 OK", INFO), old],
    );
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.code() == Some(2) && told.contains("`create --update` does"),
        "{told}"
    );
}

#[test]
fn secrets_come_from_environment_file_or_stdin() {
    let secret = |line: &[&str], environment: &[(&str, &str)], input: &str| {
        let answer = updated(r#"{"Member":"Secrets","Name":"K","Change":"changed"}"#);
        let (requests, output) = exchange(line, environment, input, &[("200 OK", &answer)]);
        let shown = format!(
            "{}{}",
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr)
        );
        assert_eq!(output.status.code(), Some(0), "{shown}");
        assert!(
            requests[0].starts_with("PATCH /functions/f ") && !shown.contains("hunter2"),
            "{shown}"
        );
        (body(&requests[0]).to_owned(), shown)
    };
    let sent = r#"{"Secrets":{"K":"hunter2"}}"#;
    assert_eq!(
        secret(&["secret", "set", "f", "K"], &[], "hunter2\n").0,
        sent
    );
    assert_eq!(
        secret(
            &["secret", "set", "-f", "f", "K=@-"],
            &[("K", "other")],
            "hunter2"
        )
        .0,
        sent
    );
    assert_eq!(secret(&["secret", "set", "f", "K=@value"], &[], "").0, sent);
    let (body, shown) = secret(&["secret", "set", "f", "K"], &[("K", "hunter2")], "piped");
    assert_eq!(body, sent);
    assert!(
        shown.contains("note: K has the value of the environment variable K"),
        "{shown}"
    );
    check_alone(
        &["secret", "set", "f", "K"],
        &[],
        1,
        "nothing came on stdin",
    );
    check_alone(
        &["secret", "set", "f", "K", "L"],
        &[],
        1,
        "the secret K has no value",
    );
    check_alone(&["secret", "set", "f"], &[], 1, "no secret is named");
    check_alone(
        &["secret", "set", "f", "K=hunter2"],
        &[],
        1,
        "does not belong on the command line",
    );
}

#[test]
fn secrets_are_listed_and_removed_by_name() {
    let (_, output) = exchange(&["secret", "list", "f"], &[], "", &[("200 OK", INFO)]);
    assert_eq!(String::from_utf8_lossy(&output.stdout), "[\n\t\"K\"\n]\n");
    let answer = updated("");
    let (requests, output) = exchange(
        &["secret", "remove", "f", "K"],
        &[],
        "",
        &[("200 OK", INFO), ("200 OK", &answer)],
    );
    assert_eq!(
        (output.status.code(), body(&requests[1])),
        (Some(0), r#"{"Secrets":{"K":null}}"#)
    );
    let (_, output) = exchange(
        &["secret", "remove", "f", "L"],
        &[],
        "",
        &[("200 OK", INFO)],
    );
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.code() == Some(2) && told.contains("f has none of that name"),
        "{told}"
    );
}
