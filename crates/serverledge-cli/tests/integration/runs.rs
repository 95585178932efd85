//! `invocation list`, invocations with their runs, and logs without a function's name.

use super::*;

const ID: &str = "01890000-0000-7000-8000-00000000000a";

fn run(status: &str, members: &str) -> String {
    format!(
        r#"{{"id":"{ID}","function":"f","version":"0123","trigger":"invoke","status":"{status}",{members}
        "started_unix_ms":1772323200000,"queue_us":1,"start_us":2,"execution_us":3,"total_us":9,"warm":true,"cache":"run",
        "node":"ROME/n1","ran_on":"ROME/n1","params_bytes":1,"result_bytes":2,"root":"{ID}","depth":0,"trace_id":"t",
        "span_id":"s"}}"#
    )
}

fn page(runs: &[String], members: &str) -> String {
    format!(
        r#"{{"runs":[{}],{members}"kept_since_unix_ms":5}}"#,
        runs.join(",")
    )
}

#[test]
fn runs_are_listed_page_by_page() {
    let first = page(
        &[run("completed", "")],
        r#""next":"7-a","unreachable":["ROME/n2"],"#,
    );
    let second = page(
        &[run("failed", r#""code":"function_trap","#)],
        r#""next":"7-b","unreachable":["ROME/n2","ROME/n3"],"#,
    );
    let arguments = [
        "invocation",
        "list",
        "-f",
        "f",
        "--status",
        "failed,rejected",
        "--trigger",
        "http",
        "--since",
        "1970-01-01T00:00:01Z",
        "--until",
        "2000",
        "--limit",
        "2",
        "--cluster",
        "--all",
    ];
    let (requests, output) =
        asynchronous::converse(&arguments, &[("200 OK", &first), ("200 OK", &second)]);
    let query =
        "GET /invocations?function=f&status=failed%2Crejected&trigger=http&since=1000&until=2000";
    assert!(
        requests[0].starts_with(&format!("{query}&limit=2&cluster=true&all=true ")),
        "{}",
        requests[0]
    );
    assert!(
        requests[1].starts_with(&format!(
            "{query}&limit=1&cursor=7-a&cluster=true&all=true "
        )),
        "{}",
        requests[1]
    );
    let shown = String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(0), "{shown}");
    for words in [
        "\"code\": \"function_trap\"",
        "\"next\": \"7-b\"",
        "\"ROME/n2\",\n\t\t\"ROME/n3\"\n",
    ] {
        assert!(shown.contains(words), "{shown}");
    }
}

#[test]
fn lists_of_an_application_and_mistakes() {
    check(
        &["--app", "shop", "invocation", "list"],
        ("200 OK", &page(&[], "")),
        "GET /apps/shop/invocations?limit=100 ",
        0,
        "\"runs\": []",
    );
    check(
        &["invocation", "list"],
        (
            "400 Bad Request",
            r#"{"code":"malformed_query","detail":"no"}"#,
        ),
        "GET /invocations?limit=100 ",
        2,
        "failed to list the runs: no (400)",
    );
    for (option, value, words) in [
        ("--status", "done", "invalid value 'done' for '--status"),
        ("--trigger", "cron", "invalid value 'cron' for '--trigger"),
        (
            "--since",
            "yesterday",
            "a number with s, m, h or d is needed",
        ),
        ("--limit", "0", "0 is not in 1.."),
        ("-f", "a/b", "is no function name"),
    ] {
        check_alone(&["invocation", "list", option, value], &[], 1, words);
    }
}

#[test]
fn an_invocation_has_its_runs() {
    let info = format!(
        r#"{{"id":"{ID}","function":"f","version":"0123","state":"done","attempts":1,"accepted_unix_ms":1,"history":[],
        "runs":[{}]}}"#,
        run("completed", "")
    );
    check(
        &["invocation", "show", ID],
        ("200 OK", &info),
        &format!("GET /invocations/{ID} "),
        0,
        "\"ran_on\": \"ROME/n1\"",
    );
}

#[test]
fn logs_of_one_invocation_need_no_function() {
    let folder = tempfile::tempdir().expect("a folder can be made");
    let line = |text: &str| {
        format!(r#"{{"Time":"2026-01-02T03:04:05.678Z","Invocation":"{ID}","Text":"{text}"}}"#)
    };
    let answer = format!("{STREAMED}{}\n{{}}\n{}\n", line("one"), line("two"));
    let (request, output) = ask_in(&folder, &[], &["logs", "--invocation", ID], &answer);
    assert!(
        request.starts_with(&format!("GET /invocations/{ID}/logs ")),
        "{request}"
    );
    assert_eq!(
        String::from_utf8_lossy(&output.stdout),
        "2026-01-02T03:04:05.678Z 00000000000a one\n2026-01-02T03:04:05.678Z 00000000000a two\n"
    );
    let arguments = ["logs", "--invocation", ID, "--tail", "1", "--json"];
    let (_, output) = ask_in(&folder, &[], &arguments, &answer);
    assert_eq!(
        String::from_utf8_lossy(&output.stdout),
        format!("{}\n", line("two"))
    );
    check(
        &["logs", "--invocation", ID],
        (
            "404 Not Found",
            r#"{"code":"invocation_unknown","detail":"no node knows it"}"#,
        ),
        &format!("GET /invocations/{ID}/logs "),
        2,
        "no node knows it (404)\nhint: its log is forgotten after a while",
    );
    for (arguments, words) in [
        (&["logs"][..], "no function is named\nhint: name one"),
        (
            &["logs", "--invocation", ID, "--follow"],
            "its function must be named",
        ),
        (&["logs", "--follow", "--tail", "5"], "--tail needs"),
        (&["logs", "--invocation", "../x"], "is no invocation's id"),
    ] {
        check_alone(arguments, &[], 1, words);
    }
}

const EVENTS: &str =
    "HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-type: text/event-stream\r\n\r\n";

/// Answers as many connections as there are answers, then is gone; the last is read to its end by the program, which
/// then tries again in vain until it is stopped.
fn follow(arguments: &[&str], answers: &[String], stdout: &str, stderr: &str) -> Vec<String> {
    let folder = tempfile::tempdir().expect("a folder can be made");
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
    let port = listener
        .local_addr()
        .expect("a listener has an address")
        .port()
        .to_string();
    let mut child = program(&folder)
        .args(arguments)
        .args(["-port", &port])
        .spawn()
        .expect("the program starts");
    let answer = |answer: &String| {
        let (mut stream, _) = listener.accept().expect("a connection comes");
        let request = read_request(&mut stream);
        stream
            .write_all(answer.as_bytes())
            .expect("the answer is read");
        request
    };
    let requests = answers.iter().map(answer).collect();
    let mut shown = vec![0; stdout.len()];
    let mut told = vec![0; stderr.len()];
    let streams = (child.stdout.as_mut(), child.stderr.as_mut());
    let (Some(out), Some(err)) = streams else {
        panic!("both streams are pipes")
    };
    out.read_exact(&mut shown).expect("the lines come");
    err.read_exact(&mut told).expect("the notes come");
    child.kill().expect("the program runs");
    child.wait().expect("the program ends");
    assert_eq!(String::from_utf8_lossy(&shown), stdout);
    assert_eq!(String::from_utf8_lossy(&told), stderr);
    requests
}

#[test]
fn logs_of_all_functions_are_followed_over_lost_connections() {
    let hello =
        "retry: 1\nid: e-1\nevent: hello\ndata: {\"node\":\"ROME/n1\",\"version\":\"1\"}\n\n";
    let log = |id: u32, text: &str| {
        format!(
            "id: e-{id}\nevent: log\ndata: {{\"unix_ms\":1772323200000,\"function\":\"f\",\"invocation\":\"{ID}\",\"text\":\"{text}\"}}\n\n"
        )
    };
    let answers = [
        format!("{EVENTS}{hello}{}", log(2, "one\\ntwo\\n")),
        format!(
            "{EVENTS}{hello}event: missed\ndata: {{\"missed\":4}}\n\n{}",
            log(7, "\\u001bthree")
        ),
    ];
    let begin = "2026-03-01T00:00:00.000Z f 00000000000a";
    let requests = follow(
        &["logs", "--follow"],
        &answers,
        &format!("{begin} one\n{begin} two\n{begin} \\u{{1b}}three\n"),
        "note: the node does not answer; trying again\nnote: 4 events were skipped: they came too fast\n",
    );
    assert!(
        requests[0].starts_with("GET /events?kinds=log "),
        "{}",
        requests[0]
    );
    assert!(
        requests[1].contains("\r\nlast-event-id: e-2\r\n"),
        "{}",
        requests[1]
    );
    follow(
        &["logs", "--follow", "--json"],
        &answers,
        &format!(
            "{{\"unix_ms\":1772323200000,\"function\":\"f\",\"invocation\":\"{ID}\",\"text\":\"one\\ntwo\\n\"}}\n{{\"missed\":4}}\n"
        ),
        "",
    );
}

#[test]
fn a_node_without_events_is_told() {
    check(
        &["logs", "--follow"],
        (
            "404 Not Found",
            r#"{"code":"route_unknown","detail":"no such route"}"#,
        ),
        "GET /events?kinds=log ",
        2,
        "hint: this node has no events: name a function",
    );
    check_alone(
        &["logs", "--follow"],
        &[("SERVERLEDGE_PORT", "1")],
        2,
        "the node is unreachable at http://127.0.0.1:1",
    );
}
