//! `app`, `endpoint`, `function`, and `--app` before the other commands.

use super::*;

const INFO: &str = r#"{"name":"shop","id":"0","up":false,"functions":[],"endpoints":[],"cors":"closed","hands_out_nested":true,"own_origin":false,"created_unix_ms":0}"#;
const ENDPOINTS: &str = r#"[{"method":"POST","path":"a","function":"f"}]"#;

#[test]
fn applications_are_managed() {
    let ok = ("200 OK", INFO);
    check(&["app", "create", "shop"], ("201 Created", INFO), "POST /apps ", 0, "\"name\": \"shop\"");
    check(&["app", "list"], ("200 OK", "[]"), "GET /apps ", 0, "[]");
    check(&["app", "show", "shop"], ok, "GET /apps/shop ", 0, "\"cors\": \"closed\"");
    check(&["app", "rename", "shop", "store"], ok, "PATCH /apps/shop ", 0, "\"shop\"");
    check(&["app", "settings", "shop", "-cors", "any"], ok, "PATCH /apps/shop ", 0, "\"shop\"");
    check(&["app", "delete", "shop"], ("204 No Content", ""), "DELETE /apps/shop ", 0, "\"deleted\": \"shop\"");
    check(&["app", "dependencies", "shop"], ("200 OK", "requests\n"), "GET /apps/shop/dependencies ", 0, "requests");
    let unknown = ("404 Not Found", r#"{"code":"application_unknown","detail":"there is no application \"shop\""}"#);
    check(&["app", "show", "shop"], unknown, "GET /apps/shop ", 2, "hint: `serverledge-cli app list`");
    let taken = ("409 Conflict", r#"{"code":"application_exists","detail":"the application name shop is taken"}"#);
    check(&["app", "create", "shop"], taken, "POST /apps ", 2, "name shop is taken (409)");
}

#[test]
fn endpoints_are_managed() {
    let ok = ("200 OK", ENDPOINTS);
    check(&["endpoint", "list", "--app", "shop"], ok, "GET /apps/shop/endpoints ", 0, "\"path\": \"a\"");
    check(&["--app", "shop", "endpoint", "add", "/a", "-f", "f"], ok, "PUT /apps/shop/endpoints ", 0, "\"f\"");
    let route = "DELETE /apps/shop/endpoints?method=GET&path=a%2Fb ";
    check(&["endpoint", "remove", "a/b", "-app=shop", "-method", "get"], ok, route, 0, "\"f\"");
    check_alone(&["endpoint", "list"], &[], 1, "hint: name one with --app");
}

#[test]
fn functions_of_an_application() {
    check(&["function", "list"], ("200 OK", "[]"), "GET /function ", 0, "[]");
    check(&["--app", "shop", "function", "list"], ("200 OK", "[]"), "GET /apps/shop/function ", 0, "[]");
    check(&["list", "--app", "shop"], ("200 OK", "[]"), "GET /apps/shop/function ", 0, "[]");
    let deleted = ("200 OK", r#"{"Deleted":"f"}"#);
    check(&["function", "delete", "f", "--app", "shop"], deleted, "POST /apps/shop/delete ", 0, "\"f\"");
    check(
        &["--app", "shop", "function", "show", "f"],
        ("404 Not Found", ""),
        "GET /apps/shop/functions/f ",
        2,
        "no such",
    );
    check(&["--app", "shop", "invoke", "f", "-a"], ("200 OK", r#"{"ReqId":"r"}"#), "POST /apps/shop/invoke/f ", 0, "r");
    check(&["--app", "shop", "peers"], ("200 OK", "[]"), "GET /peers ", 0, "[]");
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
    check_alone(&["app", "dependencies", "shop", "--file", "none.txt"], &[], 1, "none.txt cannot be used");
}
