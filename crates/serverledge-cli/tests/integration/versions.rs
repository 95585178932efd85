//! `function versions|rollback|flags`.

use super::*;

const INFO: &str = r#"{"Name":"f","Runtime":"wasm","Version":"0123456789abcdef","Code":"","Handler":"","MemoryMB":128,
    "CPUDemand":0,"MaxConcurrency":1,"Timeout":30,"Env":[],"Idempotent":true,"Edge":false}"#;
const VERSIONS: &str = r#"{"Function":"f","Versions":[{"Version":"0123","Current":true,"DeployedUnixMs":1,"Runtime":"wasm",
    "Interface":"json","Code":"","CodeBytes":1,"Idempotent":false,"Edge":false}]}"#;

#[test]
fn versions_are_listed_and_rolled_back() {
    let ok = "200 OK";
    check(
        &["function", "versions", "f"],
        (ok, VERSIONS),
        "GET /functions/f/versions ",
        0,
        "\"Current\": true",
    );
    let route = "POST /functions/f/rollback ";
    check(
        &["function", "rollback", "-f", "f", "--to", "0123"],
        (ok, INFO),
        route,
        0,
        "\"0123456789abcdef\"",
    );
    let alone = "\"f\" has no other version";
    check(
        &["function", "rollback", "f"],
        (ok, VERSIONS),
        "GET /functions/f/versions ",
        1,
        alone,
    );
    let unknown = (
        "404 Not Found",
        r#"{"code":"version_unknown","detail":"no version"}"#,
    );
    check(
        &["function", "rollback", "f", "--to", "9"],
        unknown,
        route,
        2,
        "no version (404)\nhint: `serverledge-cli function versions f`",
    );
    check_alone(
        &["function", "rollback", "a/b", "--to", "9"],
        &[],
        1,
        "is no function name",
    );
}

#[test]
fn flags_are_switched() {
    let folder = tempfile::tempdir().expect("a folder can be made");
    let answer = format!("HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n{INFO}");
    let (asked, output) = ask_in(
        &folder,
        &[],
        &["function", "flags", "-f", "f", "--idempotent", "--no-edge"],
        &answer,
    );
    assert!(asked.starts_with("POST /functions/f/flags "), "{asked}");
    assert!(
        asked.ends_with(r#"{"Idempotent":true,"IdempotentOutbound":false,"Edge":false}"#),
        "{asked}"
    );
    assert_eq!(output.status.code(), Some(0));
    for (option, flags) in [
        (
            "-idempotent=outbound",
            r#"{"Idempotent":true,"IdempotentOutbound":true}"#,
        ),
        ("--no-idempotent", r#"{"Idempotent":false}"#),
    ] {
        let (asked, _) = ask_in(&folder, &[], &["function", "flags", "f", option], &answer);
        assert!(asked.ends_with(flags), "{asked}");
    }
    let (asked, _) = ask_in(
        &folder,
        &[],
        &["-cmd", "function", "flags", "f", "--edge"],
        &answer,
    );
    assert!(asked.ends_with(r#"{"Edge":true}"#), "{asked}");
    let (asked, _) = ask_in(
        &folder,
        &[],
        &["function", "flags", "f", "--isolation", "fresh"],
        &answer,
    );
    assert!(asked.ends_with(r#"{"Isolation":"fresh"}"#), "{asked}");
    check_alone(&["function", "flags", "f"], &[], 1, "no flag is named");
    check_alone(
        &["function", "flags", "f", "--edge", "--no-edge"],
        &[],
        1,
        "cannot be used with",
    );
    check_alone(
        &["function", "flags", "f", "--isolation", "none"],
        &[],
        1,
        "invalid value 'none' for '--isolation <ISOLATION>'",
    );
}
