//! `invocation`, `dead-letter`, `peers`, and keys and callbacks of `invoke`.

use super::*;

const ID: &str = "01890000-0000-7000-8000-00000000000a";

/// Runs the program against one scripted answer for each of its connections; gives back what it asked.
pub(super) fn converse(arguments: &[&str], answers: &[(&str, &str)]) -> (Vec<String>, Output) {
    let answer = |(status, body): &(&str, &str)| {
        format!("HTTP/1.1 {status}\r\nconnection: close\r\n\r\n{body}")
    };
    let answers: Vec<String> = answers.iter().map(answer).collect();
    answered(arguments, &answers)
}

fn info(state: &str, members: &str) -> String {
    format!(
        r#"{{"id":"{ID}","function":"f","version":"0123","state":"{state}","attempts":1,"accepted_unix_ms":1,{members}"history":[]}}"#
    )
}

#[test]
fn invocations_are_shown_and_cancelled() {
    let route = format!("GET /invocations/{ID} ");
    let ok = "200 OK";
    let failed = info(
        "failed",
        r#""error":{"code":"function_trap","message":"m"},"#,
    );
    check(
        &["invocation", "show", ID],
        (ok, &failed),
        &route,
        0,
        "\t\"state\": \"failed\",\n",
    );
    check(
        &["-cmd", "invocation", "show", ID],
        (ok, &info("queued", "")),
        &route,
        0,
        "\"queued\"",
    );
    let unknown = (
        "404 Not Found",
        r#"{"code":"invocation_unknown","detail":"no such invocation"}"#,
    );
    check(
        &["invocation", "show", ID],
        unknown,
        &route,
        2,
        "no such invocation (404)\nhint: what has ended is forgotten",
    );
    check(
        &["invocation", "wait", ID],
        unknown,
        &route,
        2,
        "failed to wait for invocation",
    );

    let route = format!("POST /invocations/{ID}/cancel ");
    check(
        &["invocation", "cancel", ID],
        (ok, &info("cancelled", "")),
        &route,
        0,
        "\"cancelled\"",
    );
    check(
        &["invocation", "cancel", ID],
        unknown,
        &route,
        2,
        "no such invocation (404)",
    );
    let ended = (
        "409 Conflict",
        r#"{"code":"invocation_ended","detail":"it is done"}"#,
    );
    let words = format!(
        "it is done (409)\nhint: `serverledge-cli invocation show {ID}` shows how it ended\n"
    );
    check(&["invocation", "cancel", ID], ended, &route, 2, &words);
    let older = ("404 Not Found", r#"{"message":"Not Found"}"#);
    check(
        &["invocation", "cancel", ID],
        older,
        &route,
        2,
        "this node has no such operation",
    );
}

#[test]
fn waiting_asks_until_the_end() {
    let queued = info("queued", "");
    let running = info("running", "");
    let done = info("done", r#""result":{"a":1},"#);
    let answers = [
        ("200 OK", queued.as_str()),
        ("200 OK", &running),
        ("200 OK", &done),
    ];
    let (requests, output) = converse(&["invocation", "wait", ID, "--timeout", "10m"], &answers);
    let route = format!("GET /invocations/{ID} ");
    assert!(
        requests.iter().all(|request| request.starts_with(&route)),
        "{requests:?}"
    );
    assert_eq!(output.status.code(), Some(0));
    assert!(String::from_utf8_lossy(&output.stdout).contains("\"a\": 1"));
    assert!(output.stderr.is_empty(), "no progress without a terminal");

    for (state, error, code, words) in [
        (
            "failed",
            r#""error":{"code":"function_error","message":"no"},"#,
            5,
            "error: the function failed: no (function_error)",
        ),
        (
            "failed",
            r#""error":{"code":"attempts_exhausted","message":"no"},"#,
            2,
            "error: the invocation failed: no",
        ),
        ("cancelled", "", 2, "error: the invocation was cancelled"),
        (
            "expired",
            r#""error":{"code":"deadline_unreachable","message":"late"},"#,
            2,
            "error: the invocation expired: late",
        ),
    ] {
        let ended = info(state, error);
        let (_, output) = converse(
            &["invocation", "wait", ID],
            &[("200 OK", &running), ("200 OK", &ended)],
        );
        let told = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{state}: {told}");
        assert!(told.starts_with(words), "{state}: {told}");
        assert!(
            String::from_utf8_lossy(&output.stdout).contains(&format!("\"state\": \"{state}\""))
        );
    }
}

#[test]
fn waiting_ends_at_its_limit() {
    // The listener takes the connection and never answers.
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
    let port = listener
        .local_addr()
        .expect("a listener has an address")
        .port()
        .to_string();
    check_alone(
        &[
            "invocation",
            "wait",
            ID,
            "--timeout",
            "100ms",
            "-port",
            &port,
        ],
        &[],
        7,
        "has not ended yet\nhint: `--timeout` waits longer",
    );
    check_alone(
        &["invocation", "wait", ID, "--timeout", "soon"],
        &[],
        1,
        "a number of seconds above 0 is needed",
    );
}

#[test]
fn dead_letters_are_listed_page_by_page() {
    let letter = |id: &str| {
        let error = r#"{"code":"result_too_large","message":"m"}"#;
        format!(
            r#"{{"id":"{id}","function":"f","error":{error},"attempts":1,"finished_unix_ms":9}}"#
        )
    };
    let full = (0..100)
        .map(|number| letter(&format!("i-{number}")))
        .collect::<Vec<_>>()
        .join(",");
    let first = format!(r#"{{"dead_letters":[{full}],"next":"i-99"}}"#);
    let second = format!(r#"{{"dead_letters":[{}],"next":"last"}}"#, letter("last"));
    let answers = [("200 OK", first.as_str()), ("200 OK", &second)];
    let (requests, output) = converse(&["dead-letter", "list", "--limit", "101"], &answers);
    assert!(
        requests[0].starts_with("GET /dead-letters?limit=100 "),
        "{}",
        requests[0]
    );
    assert!(
        requests[1].starts_with("GET /dead-letters?limit=1&after=i-99 "),
        "{}",
        requests[1]
    );
    let shown = String::from_utf8_lossy(&output.stdout);
    assert!(
        shown.contains("\"id\": \"i-0\"") && shown.contains("\"next\": \"last\""),
        "{shown}"
    );
    assert_eq!(
        (output.status.code(), shown.matches("\"attempts\"").count()),
        (Some(0), 101)
    );

    let circle = r#"{"dead_letters":[],"next":"x"}"#;
    let (requests, output) = converse(
        &["dead-letter", "list"],
        &[("200 OK", circle), ("200 OK", circle)],
    );
    assert!(
        requests[1].starts_with("GET /dead-letters?limit=100&after=x "),
        "{}",
        requests[1]
    );
    assert_eq!(
        output.status.code(),
        Some(0),
        "a page that leads to itself is the last"
    );
}

#[test]
fn dead_letters_are_shown_driven_anew_and_purged() {
    let ok = "200 OK";
    let route = format!("GET /dead-letters/{ID} ");
    let dead = info("failed", r#""dead_letter":true,"#);
    check(
        &["dead-letter", "show", ID],
        (ok, &dead),
        &route,
        0,
        "\"dead_letter\": true",
    );
    let none = (
        "404 Not Found",
        r#"{"code":"dead_letter_unknown","detail":"it is no dead letter"}"#,
    );
    let words = "it is no dead letter (404)\nhint: `serverledge-cli dead-letter list` shows which there are\n";
    check(&["dead-letter", "show", ID], none, &route, 2, words);

    let route = format!("POST /dead-letters/{ID}/redrive ");
    let anew = format!(r#"{{"id":"new","redrive_of":"{ID}"}}"#);
    check(
        &["dead-letter", "redrive", ID],
        ("202 Accepted", &anew),
        &route,
        0,
        "\"id\": \"new\"",
    );
    check(&["dead-letter", "redrive", ID], none, &route, 2, words);
    let busy = (
        "503 Service Unavailable",
        r#"{"code":"registry_unavailable","detail":"no registry"}"#,
    );
    check(
        &["dead-letter", "redrive", ID],
        busy,
        &route,
        2,
        "something that the node needs is away",
    );

    let route = format!("DELETE /dead-letters/{ID} ");
    check(
        &["dead-letter", "purge", ID],
        ("204 No Content", ""),
        &route,
        0,
        "{\n\t\"purged\": 1\n}\n",
    );
    check(&["dead-letter", "purge", ID], none, &route, 2, words);
    let all = (ok, r#"{"purged":12}"#);
    check(
        &["dead-letter", "purge", "--all"],
        all,
        "DELETE /dead-letters ",
        0,
        "{\n\t\"purged\": 12\n}\n",
    );
}

#[test]
fn what_names_nothing_is_not_sent() {
    for command in [
        ["invocation", "show"],
        ["invocation", "cancel"],
        ["dead-letter", "show"],
        ["dead-letter", "redrive"],
    ] {
        check_alone(
            &[command[0], command[1], ".."],
            &[],
            1,
            "\"..\" is no invocation's id",
        );
        check_alone(&command, &[], 1, "required arguments were not provided");
    }
    check_alone(
        &["dead-letter", "purge", ".."],
        &[],
        1,
        "\"..\" is no invocation's id",
    );
    check_alone(
        &["dead-letter", "purge", ""],
        &[],
        1,
        "\"\" is no invocation's id",
    );
    check_alone(
        &["dead-letter", "purge"],
        &[],
        1,
        "required arguments were not provided",
    );
    check_alone(
        &["dead-letter", "purge", ID, "--all"],
        &[],
        1,
        "cannot be used with '--all'",
    );
    check_alone(&["invocation"], &[], 1, "Usage: serverledge-cli invocation");
    check_alone(
        &["invoke", "f", "--idempotency-key", "a b"],
        &[],
        1,
        "1 to 128 visible ASCII characters",
    );
    let url = "https://a.example/";
    check_alone(
        &["invoke", "f", "--callback", url],
        &[],
        1,
        "do not wait\nhint: add --async\n",
    );
}

#[test]
fn calls_carry_key_and_callback() {
    let accepted = ("200 OK", r#"{"ReqId":"i"}"#);
    let (key, url) = ("order-7", "https://a.example/paid");
    for form in [
        [
            "invoke",
            "f",
            "--idempotency-key",
            key,
            "--callback",
            url,
            "--async",
        ]
        .as_slice(),
        &[
            "-cmd",
            "invoke",
            "-f",
            "f",
            "-idempotency_key",
            key,
            "-callback",
            url,
            "-qosclass",
            "async",
        ],
    ] {
        let (requests, output) = converse(form, &[accepted]);
        assert_eq!(
            output.status.code(),
            Some(0),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
        assert!(
            requests[0].starts_with("POST /invoke/f "),
            "{}",
            requests[0]
        );
        assert!(
            requests[0].contains("\r\nidempotency-key: order-7\r\n"),
            "{}",
            requests[0]
        );
        assert!(
            requests[0].ends_with(r#""Callback":"https://a.example/paid"}"#),
            "{}",
            requests[0]
        );
    }
    let key = ["invoke", "f", "--idempotency-key", key];
    let unfinished = (
        "409 Conflict",
        r#"{"code":"invocation_not_finished","detail":"it still runs"}"#,
    );
    check(
        &key,
        unfinished,
        "POST /invoke/f ",
        7,
        "it still runs (409)",
    );
    let reused = (
        "422 Unprocessable Content",
        r#"{"code":"idempotency_key_reused","detail":"other payload"}"#,
    );
    check(
        &key,
        reused,
        "POST /invoke/f ",
        2,
        "other payload (422)\nhint: send what was sent with that key first",
    );
    let (requests, _) = converse(&["invoke", "f", "-a"], &[accepted]);
    assert!(
        !requests[0].contains("Callback") && !requests[0].contains("idempotency-key"),
        "{}",
        requests[0]
    );
}

#[test]
fn peers_are_shown() {
    let peer = r#"{"node":"n2","area":"ROME","kind":"node","address":"10.0.0.2:1323","cloud":false,"round_trip_ms":null,
        "age_ms":3,"free_memory_mib":512,"free_cpu":2,"wait_ms":0,"draining":false,"offloadable":true}"#;
    check(
        &["peers"],
        ("200 OK", &format!("[{peer}]")),
        "GET /peers ",
        0,
        "\t\t\"round_trip_ms\": null,\n",
    );
    check(
        &["-cmd", "peers"],
        ("200 OK", "[]"),
        "GET /peers ",
        0,
        "[]\n",
    );
    let older = (
        "404 Not Found",
        r#"{"code":"route_unknown","detail":"no route /peers"}"#,
    );
    check(
        &["peers"],
        older,
        "GET /peers ",
        2,
        "this node has no such operation",
    );
}
