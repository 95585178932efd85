//! `kv`: what is sent, and what is shown of the answers.

use super::*;

/// An answer with an entry's version.
fn versioned(status: &str, version: u64, body: &str) -> String {
    format!("HTTP/1.1 {status}\r\nconnection: close\r\netag: \"{version}\"\r\n\r\n{body}")
}

fn plain(status: &str, body: &str) -> String {
    format!("HTTP/1.1 {status}\r\nconnection: close\r\n\r\n{body}")
}

/// Runs the program in a folder with a file against one answer; checks the exit code, and gives the request and the streams.
fn run(arguments: &[&str], answer: &str, code: i32) -> (String, String, String) {
    let folder = tempfile::tempdir().expect("a folder can be made");
    std::fs::write(folder.path().join("value"), "from a file\n").expect("a file can be written");
    let (request, output) = ask_in(&folder, &[], arguments, answer);
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let (stdout, stderr) = (text(&output.stdout), text(&output.stderr));
    assert_eq!(
        output.status.code(),
        Some(code),
        "{arguments:?}: {stdout}{stderr}"
    );
    (request, stdout, stderr)
}

/// Runs the program against these answers in their order; checks the exit code, and gives the requests and stderr.
fn run_answered(arguments: &[&str], answers: &[String], code: i32) -> (Vec<String>, String) {
    let (requests, output) = answered(arguments, answers);
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(code), "{arguments:?}: {stderr}");
    (requests, stderr)
}

fn first_line(request: &str) -> &str {
    request.lines().next().unwrap_or_default()
}

#[test]
fn a_value_is_written_to_stdout_as_it_is() {
    let answer = versioned("200 OK", 12, "no line end");
    let (request, stdout, stderr) = run(&["kv", "get", "a/b c"], &answer, 0);
    assert_eq!(first_line(&request), "GET /kv/default/a%2Fb%20c HTTP/1.1");
    assert_eq!((stdout.as_str(), stderr.as_str()), ("no line end", ""));
    let (_, stdout, _) = run(&["kv", "get", "k", "--json"], &answer, 0);
    assert_eq!(
        stdout,
        "{\n\t\"key\": \"k\",\n\t\"version\": 12,\n\t\"text\": \"no line end\"\n}\n"
    );
    let missing = plain(
        "404 Not Found",
        r#"{"code":"kv_not_found","detail":"there is none"}"#,
    );
    let (_, stdout, stderr) = run(&["--app", "shop", "kv", "get", "k"], &missing, 2);
    assert_eq!(stdout, "");
    assert!(
        stderr.contains(r#"there is no entry "k" in the store default in the application shop"#),
        "{stderr}"
    );
    assert!(
        stderr.contains("hint: `serverledge-cli --app shop kv list` shows"),
        "{stderr}"
    );
    let (_, _, stderr) = run(&["kv", "get", "k", "--store", "s", "--json"], &missing, 2);
    let told: serde_json::Value = serde_json::from_str(&stderr).expect("the error is JSON");
    assert_eq!(told["code"], "kv_not_found");
    assert_eq!(told["detail"], "there is no entry \"k\" in the store s");
    let old = plain("404 Not Found", r#"{"message":"Not Found"}"#);
    let (_, _, stderr) = run(&["kv", "get", "k"], &old, 2);
    assert!(
        stderr.contains("this node has no such operation"),
        "{stderr}"
    );
}

#[test]
fn values_come_from_the_line_a_file_or_stdin() {
    let answer = versioned("204 No Content", 13, "");
    let (request, stdout, _) = run(&["kv", "set", "k", "v", "--store", "s"], &answer, 0);
    assert_eq!(first_line(&request), "PUT /kv/s/k HTTP/1.1");
    assert!(request.ends_with("\r\n\r\nv"), "{request}");
    assert!(!request.contains("if-"), "{request}");
    assert_eq!(stdout, "{\n\t\"version\": 13\n}\n");
    let (request, _, _) = run(&["kv", "set", "k", "--file", "value"], &answer, 0);
    assert!(request.ends_with("\r\n\r\nfrom a file\n"), "{request}");
    // Its stdin is empty.
    for arguments in [["kv", "set", "k", "-"], ["kv", "set", "k", "--file=-"]] {
        let (request, _, _) = run(&arguments, &answer, 0);
        assert!(request.ends_with("\r\n\r\n"), "{request}");
        assert!(!request.contains("transfer-encoding"), "{request}");
    }
    let (request, _, _) = run(&["kv", "set", "k", "v", "--ttl", "10m"], &answer, 0);
    assert_eq!(first_line(&request), "PUT /kv/default/k?ttl=600 HTTP/1.1");
}

#[test]
fn a_write_may_have_a_condition() {
    let changed = plain(
        "412 Precondition Failed",
        r#"{"code":"kv_changed","detail":"the entry \"k\" is not as expected: read it again"}"#,
    );
    let answers = [changed, versioned("200 OK", 7, "there")];
    let arguments = ["kv", "set", "k", "v", "--if-absent", "--store", "s"];
    let (requests, stderr) = run_answered(&arguments, &answers, 2);
    assert!(requests[0].contains("\r\nif-none-match: *\r\n"));
    assert_eq!(first_line(&requests[1]), "GET /kv/s/k HTTP/1.1");
    assert_eq!(
        stderr,
        "error: failed to set \"k\": the entry exists already, at version 7; nothing was changed\n\
         hint: `serverledge-cli kv get \"k\" --json --store s` shows the entry's value and version\n"
    );
    let answer = versioned("204 No Content", 14, "");
    let (request, _, _) = run(&["kv", "set", "k", "v", "--if-version", "13"], &answer, 0);
    assert!(request.contains("\r\nif-match: \"13\"\r\n"), "{request}");
}

#[test]
fn entries_are_deleted_counted_and_cleared() {
    let deleted = plain("204 No Content", "");
    let (request, stdout, _) = run(&["kv", "delete", "k"], &deleted, 0);
    assert_eq!(first_line(&request), "DELETE /kv/default/k HTTP/1.1");
    assert_eq!(stdout, "{\n\t\"deleted\": true\n}\n");
    let missing = plain(
        "404 Not Found",
        r#"{"code":"kv_not_found","detail":"none"}"#,
    );
    let (_, stdout, _) = run(&["kv", "delete", "k"], &missing, 0);
    assert_eq!(stdout, "{\n\t\"deleted\": false\n}\n");
    check(
        &["kv", "increment", "n"],
        ("200 OK", r#"{"value":6}"#),
        "POST /kv/default/n?increment=1 ",
        0,
        "\"value\": 6",
    );
    check(
        &["kv", "increment", "n", "--by", "-3"],
        ("200 OK", r#"{"value":3}"#),
        "POST /kv/default/n?increment=-3 ",
        0,
        "\"value\": 3",
    );
    check(
        &["--app", "shop", "kv", "clear", "--store", "carts"],
        ("200 OK", r#"{"cleared":2}"#),
        "DELETE /apps/shop/kv/carts ",
        0,
        "\"cleared\": 2",
    );
    check(
        &["kv", "stores"],
        (
            "200 OK",
            r#"{"stores":[],"usage":{"bytes":0,"keys":0},"limits":{"bytes_max":9,"keys_max":8,"value_bytes_max":7}}"#,
        ),
        "GET /kv ",
        0,
        "\"keys_max\": 8",
    );
    check(
        &["kv", "set", "k", "v"],
        (
            "429 Too Many Requests",
            r#"{"code":"kv_too_fast","detail":"too fast"}"#,
        ),
        "PUT /kv/default/k ",
        6,
        "too fast (429)",
    );
}

/// As many pages as `--limit` takes, and no more.
#[test]
fn keys_are_listed_over_pages() {
    let keys: Vec<String> = (0..1000).map(|number| format!("\"a/{number}\"")).collect();
    let pages = [
        format!(r#"{{"keys":[{}],"cursor":"one"}}"#, keys.join(",")),
        r#"{"keys":["a/last"],"cursor":"two"}"#.to_owned(),
    ];
    let answers = pages.map(|page| plain("200 OK", &page));
    let (requests, output) = answered(&["kv", "list", "a/", "--limit", "1001"], &answers);
    let requests: Vec<&str> = requests.iter().map(|request| first_line(request)).collect();
    assert_eq!(
        requests,
        [
            "GET /kv/default?prefix=a%2F&limit=1000 HTTP/1.1",
            "GET /kv/default?prefix=a%2F&limit=1&cursor=one HTTP/1.1",
        ]
    );
    let shown = String::from_utf8_lossy(&output.stdout);
    assert_eq!(shown.matches("\"a/").count(), 1001);
    assert!(shown.contains("\"cursor\": \"two\""), "{shown}");
}

#[test]
fn what_names_no_entry_is_not_sent() {
    let long = "k".repeat(513);
    for (arguments, words) in [
        (&["kv", "get", ""][..], "a key has at least one byte"),
        (&["kv", "get", &long], "a key may have 512 bytes, not 513"),
        (&["kv", "delete", ".."], "cannot stand in a URL"),
        (&["kv", "clear", "--store", "A"], "is no name of a store"),
        (
            &["kv", "increment", "k", "--by", "1.5"],
            "invalid value '1.5' for '--by <NUMBER>': a whole number of 64 bits is needed, such as 5 or -3",
        ),
        (
            &["kv", "set", "k", "v", "--if-version", "x"],
            "invalid value 'x' for '--if-version <VERSION>': a version is needed: the whole number that",
        ),
        (
            &["kv", "list", "--limit", "x"],
            "hint: a whole number is needed",
        ),
        (
            &["kv", "set", "k", "v", "--ttl", "7 days"],
            "a number of seconds above 0 is needed, or one with ms, s, m, h or d",
        ),
    ] {
        check_alone(arguments, &[], 1, words);
    }
    check_alone(
        &["kv", "set", "k", "--file", "nowhere"],
        &[],
        3,
        "failed to read the value from nowhere: there is no such file",
    );
}
