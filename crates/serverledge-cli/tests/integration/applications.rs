//! `app`, `endpoint`, `function`, and `--app` before the other commands.

use super::*;

const INFO: &str = r#"{"name":"shop","id":"0","up":false,"functions":[],"endpoints":[],"cors":"closed","hands_out_nested":true,"own_origin":false,"created_unix_ms":0}"#;
const ENDPOINTS: &str = r#"[{"method":"POST","path":"a","function":"f"}]"#;

#[test]
fn applications_are_managed() {
    let ok = ("200 OK", INFO);
    check(
        &["app", "create", "shop"],
        ("201 Created", INFO),
        "POST /apps ",
        0,
        "\"name\": \"shop\"",
    );
    check(&["app", "list"], ("200 OK", "[]"), "GET /apps ", 0, "[]");
    check(
        &["app", "show", "shop"],
        ok,
        "GET /apps/shop ",
        0,
        "\"cors\": \"closed\"",
    );
    check(
        &["app", "rename", "shop", "store"],
        ok,
        "PATCH /apps/shop ",
        0,
        "\"shop\"",
    );
    check(
        &["app", "settings", "shop", "-cors", "any"],
        ok,
        "PATCH /apps/shop ",
        0,
        "\"shop\"",
    );
    check(
        &["app", "delete", "shop"],
        ("204 No Content", ""),
        "DELETE /apps/shop ",
        0,
        "\"deleted\": \"shop\"",
    );
    check(
        &["app", "dependencies", "shop"],
        ("200 OK", "requests\n"),
        "GET /apps/shop/dependencies ",
        0,
        "requests",
    );
    let unknown = (
        "404 Not Found",
        r#"{"code":"application_unknown","detail":"there is no application \"shop\""}"#,
    );
    check(
        &["app", "show", "shop"],
        unknown,
        "GET /apps/shop ",
        2,
        "hint: `serverledge-cli app list`",
    );
    let taken = (
        "409 Conflict",
        r#"{"code":"application_exists","detail":"the application name shop is taken"}"#,
    );
    check(
        &["app", "create", "shop"],
        taken,
        "POST /apps ",
        2,
        "name shop is taken (409)",
    );
}

#[test]
fn endpoints_are_managed() {
    let ok = ("200 OK", ENDPOINTS);
    check(
        &["endpoint", "list", "--app", "shop"],
        ok,
        "GET /apps/shop/endpoints ",
        0,
        "\"path\": \"a\"",
    );
    check(
        &["--app", "shop", "endpoint", "add", "/a", "-f", "f"],
        ok,
        "PUT /apps/shop/endpoints ",
        0,
        "\"f\"",
    );
    let route = "DELETE /apps/shop/endpoints?method=GET&path=a%2Fb ";
    check(
        &["endpoint", "remove", "a/b", "-app=shop", "-method", "get"],
        ok,
        route,
        0,
        "\"f\"",
    );
    check_alone(&["endpoint", "list"], &[], 1, "hint: name one with --app");
    let unknown = (
        "404 Not Found",
        r#"{"code":"endpoint_unknown","detail":"no such endpoint"}"#,
    );
    let words = "remove the endpoint POST /a of shop: no such endpoint (404)\nhint: `serverledge-cli --app shop endpoint list`";
    check(
        &["endpoint", "remove", "a", "--app", "shop"],
        unknown,
        "DELETE /apps/shop/endpoints",
        2,
        words,
    );
}

#[test]
fn functions_of_an_application() {
    check(
        &["function", "list"],
        ("200 OK", "[]"),
        "GET /function ",
        0,
        "[]",
    );
    check(
        &["--app", "shop", "function", "list"],
        ("200 OK", "[]"),
        "GET /apps/shop/function ",
        0,
        "[]",
    );
    check(
        &["list", "--app", "shop"],
        ("200 OK", "[]"),
        "GET /apps/shop/function ",
        0,
        "[]",
    );
    let deleted = ("200 OK", r#"{"Deleted":"f"}"#);
    check(
        &["function", "delete", "f", "--app", "shop"],
        deleted,
        "POST /apps/shop/delete ",
        0,
        "\"f\"",
    );
    check(
        &["--app", "shop", "function", "show", "f"],
        ("404 Not Found", ""),
        "GET /apps/shop/functions/f ",
        2,
        "no such",
    );
    check(
        &["--app", "shop", "invoke", "f", "-a"],
        ("200 OK", r#"{"ReqId":"r"}"#),
        "POST /apps/shop/invoke/f ",
        0,
        "r",
    );
    check(
        &["--app", "shop", "peers"],
        ("200 OK", "[]"),
        "GET /peers ",
        0,
        "[]",
    );
    check(
        &["--app", "shop", "function", "logs", "f"],
        ("404 Not Found", ""),
        "GET /apps/shop/functions/f/logs ",
        2,
        "",
    );
}

#[test]
fn names_that_lead_elsewhere_are_refused() {
    for name in ["..", "a/b", "A", "", "%2e", "__proto__"] {
        check_alone(&["list", "--app", name], &[], 1, "names no application");
        check_alone(&["app", "show", name], &[], 1, "names no application");
    }
    check_alone(&["app", "settings", "shop"], &[], 1, "no setting is named");
    check_alone(
        &["app", "dependencies", "shop", "--file", "none.txt"],
        &[],
        1,
        "none.txt cannot be used",
    );
}

/// Longer than any answer that is held in memory. A transfer that breaks leaves nothing, and nothing is overwritten.
#[test]
fn an_application_is_written_to_a_file_as_it_comes() {
    const LENGTH: usize = 40 * 1024 * 1024;
    let folder = tempfile::tempdir().expect("a folder can be made");
    let file = folder.path().join("shop.tar");
    let answer = |sent: usize| {
        format!(
            "HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: {LENGTH}\r\n\r\n{}",
            "x".repeat(sent)
        )
    };
    let (request, output) = ask_in(
        &folder,
        &[],
        &["app", "export", "shop"],
        &answer(LENGTH - 1),
    );
    assert!(request.starts_with("GET /apps/shop/export "), "{request}");
    assert_eq!(
        output.status.code(),
        Some(2),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    assert!(!file.exists(), "half a file");
    let (_, output) = ask_in(&folder, &[], &["app", "export", "shop"], &answer(LENGTH));
    assert_eq!(
        output.status.code(),
        Some(0),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    assert!(String::from_utf8_lossy(&output.stdout).contains("\"bytes\": 41943040"));
    assert_eq!(
        std::fs::metadata(&file).expect("it is there").len(),
        LENGTH as u64
    );
    check_alone(
        &["app", "export", "shop", "--file", "f.wat"],
        &[],
        1,
        "f.wat cannot be written: it is there already\nhint: --file",
    );
    let unknown = "HTTP/1.1 404 Not Found\r\nconnection: close\r\n\r\n{\"code\":\"application_unknown\",\"detail\":\"x\"}";
    let (_, output) = ask_in(&folder, &[], &["app", "export", "nobody"], unknown);
    assert_eq!(
        (
            output.status.code(),
            folder.path().join("nobody.tar").exists()
        ),
        (Some(2), false)
    );
}

#[test]
fn an_application_is_sent_from_a_file() {
    let folder = tempfile::tempdir().expect("a folder can be made");
    std::fs::write(folder.path().join("shop.tar"), "a whole tar").expect("a file can be written");
    let answer = format!(
        "{STREAMED}{{\"Imported\":{{\"name\":\"store\",\"functions\":[\"f\"],\"remarks\":[]}}}}\n"
    );
    let (request, output) = ask_in(
        &folder,
        &[],
        &["app", "import", "shop.tar", "--name", "store"],
        &answer,
    );
    assert!(
        request.starts_with("POST /apps/import?name=store "),
        "{request}"
    );
    assert!(
        request.contains("\r\ncontent-length: 11\r\n") && request.ends_with("\r\n\r\na whole tar"),
        "{request}"
    );
    assert_eq!(
        output.status.code(),
        Some(0),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    check_alone(
        &["app", "import", "."],
        &[],
        3,
        ". cannot be read: it is no regular file",
    );
    check_alone(
        &["app", "import", "no.tar"],
        &[],
        3,
        "no.tar cannot be read: there is no such file",
    );
    let refused = "HTTP/1.1 422 Unprocessable Content\r\nconnection: close\r\n\r\n{\"code\":\"malformed_export\",\"detail\":\"x\"}";
    let (_, output) = ask_in(&folder, &[], &["app", "import", "shop.tar"], refused);
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(
        told.contains("hint: `serverledge-cli app export NAME` writes what can be imported"),
        "{told}"
    );
}
