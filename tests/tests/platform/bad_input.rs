//! Bad input at the real node: what is forged, replayed, malformed or too deep is answered with a client's error that has a
//! code; never with one of the node's, and nothing of it is believed.

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use crate::e2e::{Connection, Request, Response, wait_for};
use crate::support::lab::PASSWORD;
use crate::support::stage::{ADA, EVIL, Stage, deployment};

/// Deep enough for whoever reads it by recursion to run out of stack.
const DEPTH: usize = 10_000;
/// A reactor that answers `{"n":1}` to whatever it gets.
const CONSTANT: &str = r#"(module (memory (export "memory") 1) (data (i32.const 0) "{\22n\22:1}")
    (func (export "serverledge_alloc") (param i32) (result i32) (i32.const 1024))
    (func (export "serverledge_handle") (param i32 i32) (result i64) (i64.const 7)))"#;

fn as_ada(stage: &Stage, request: Request) -> Result<Response> {
    stage
        .node
        .ask(&request.header("Authorization", &format!("Bearer {}", stage.ada.token)))
}

/// Status and code on one line; only the status of what is no problem.
fn outcome(response: &Response) -> String {
    format!("{} {}", response.status, response.code())
        .trim_end()
        .to_owned()
}

/// The node is as it was before all this.
fn check_well(stage: Stage) -> Result<()> {
    assert_eq!(stage.node.get("/healthz")?.status, 200);
    let sum = as_ada(
        &stage,
        Request::post("/invoke/add", r#"{"Params": {"a": 1, "b": 2}}"#),
    )?;
    ensure!(sum.status == 200, "{}", sum.text());
    stage.node.stop().map(drop)
}

#[test]
fn credentials_that_are_not_good() -> Result<()> {
    let stage = Stage::start(&[])?;
    let token = stage.ada.token.clone();
    let session = stage.ada.session.clone();
    let turned = |text: &str| -> String {
        let (rest, last) = text.split_at(text.len() - 1);
        format!("{rest}{}", if last == "A" { "B" } else { "A" })
    };
    let cases = |good: &str| {
        vec![
            turned(good),
            good[..good.len() - 1].to_owned(),
            format!("{good}A"),
            good[..8].to_owned(),
            good.to_ascii_uppercase(),
            "A".repeat(64),
            "A".repeat(300),
            "../../users".to_owned(),
            "%00".to_owned(),
            "__proto__".to_owned(),
        ]
    };
    let told = |name: &str, value: &str| -> Result<String> {
        Ok(outcome(
            &stage
                .node
                .ask(&Request::get("/account").header(name, value))?,
        ))
    };
    for bad in cases(&token).iter().chain([&session, &String::new()]) {
        for bad in [
            bad.clone(),
            format!("slt_{}", bad.trim_start_matches("slt_")),
        ] {
            assert_eq!(
                told("Authorization", &format!("Bearer {bad}"))?,
                "401 credential_invalid",
                "{bad}"
            );
        }
    }
    for bad in cases(&session).iter().chain([&token, &String::new()]) {
        assert_eq!(
            told("Cookie", &format!("serverledge_session={bad}"))?,
            "401 credential_invalid",
            "{bad}"
        );
    }
    let two = format!(
        "serverledge_session={session}; serverledge_session={}",
        stage.mallory.session
    );
    assert_eq!(
        told("Cookie", &two)?,
        "401 credential_invalid",
        "one of two may be somebody else's"
    );
    let other_name = format!("__Host-serverledge_session={session}");
    assert_eq!(
        told("Cookie", &other_name)?,
        "401 authentication_required",
        "another connection's name"
    );
    assert_eq!(
        told("Authorization", &format!("Bearer {token}"))?,
        "200",
        "the control"
    );
    assert_eq!(
        told("Cookie", &format!("serverledge_session={session}"))?,
        "200",
        "the control"
    );
    over(&stage)?;
    check_well(stage)
}

/// Checks credentials that were good and are over: logged out, revoked, expired.
fn over(stage: &Stage) -> Result<()> {
    let cookie = format!("serverledge_session={}", stage.mallory.session);
    let ask = |method: &str, path: &str| {
        stage
            .node
            .ask(&Request::new(method, path).header("Cookie", &cookie))
    };
    assert_eq!(ask("POST", "/account/log-out")?.status, 204);
    for (method, path) in [
        ("GET", "/account"),
        ("POST", "/account/log-out"),
        ("POST", "/account/log-out-everywhere"),
    ] {
        ask(method, path)?.assert_problem(401, "credential_invalid");
    }
    // A token ends after a minute at least: that it does is tested where there is a clock to be set.
    let revoked = json!({"name": "short", "scopes": ["invoke"]});
    let made = as_ada(stage, Request::json("/account/tokens", &revoked))?.json()?;
    let id = made["info"]["id"]
        .as_str()
        .with_context(|| format!("{made}"))?;
    let token = format!("Bearer {}", made["token"].as_str().unwrap_or_default());
    let shown = || {
        stage
            .node
            .ask(&Request::get("/functions").header("Authorization", &token))
    };
    assert_eq!(shown()?.status, 200, "the control");
    assert_eq!(
        as_ada(
            stage,
            Request::new("DELETE", &format!("/account/tokens/{id}"))
        )?
        .status,
        204
    );
    shown()?.assert_problem(401, "credential_invalid");
    Ok(())
}

#[test]
fn links_that_are_not_good() -> Result<()> {
    let stage = Stage::start(&[])?;
    let nobody = |path: &str, body: &Value| stage.node.post(path, body);
    assert_eq!(
        nobody("/account/request-reset", &json!({ "email": ADA }))?.status,
        202
    );
    let good = wait_for("the link in the log", || {
        let log = stage.node.stderr();
        let link = log
            .split("/account/reset#")
            .nth(1)
            // Not before the whole line is there.
            .filter(|rest| rest.contains('\n'))
            .and_then(|rest| rest.split_whitespace().next());
        Ok(link.map(|link| {
            link.trim_end_matches(['"', '\\'])
                .split('\\')
                .next()
                .unwrap_or_default()
                .to_owned()
        }))
    })?;
    let reset = |secret: &str| {
        nobody(
            "/account/reset",
            &json!({"secret": secret, "password": "another battery staple"}),
        )
    };
    let bad = [
        String::new(),
        good[1..].to_owned(),
        good[..good.len() - 1].to_owned(),
        format!("{good}A"),
        format!("{good}\0"),
        good.chars().rev().collect(),
        good.to_ascii_uppercase(),
        stage.ada.token.clone(),
        stage.ada.session.clone(),
        "../users".to_owned(),
        "__proto__".to_owned(),
        "A".repeat(8000),
    ];
    for secret in &bad {
        for path in ["/account/reset", "/account/confirm"] {
            let body = match path {
                "/account/reset" => json!({"secret": secret, "password": "another battery staple"}),
                _ => json!({ "secret": secret }),
            };
            nobody(path, &body)?.assert_problem(410, "link_invalid");
        }
    }
    nobody("/account/confirm", &json!({ "secret": good }))?.assert_problem(410, "link_invalid");
    let still = nobody(
        "/account/log-in",
        &json!({"email": ADA, "password": PASSWORD}),
    )?;
    assert_eq!(still.status, 200, "nothing was changed");
    assert_eq!(reset(&good)?.status, 204, "the control");
    reset(&good)?.assert_problem(410, "link_invalid");
    // Her token went with the password.
    as_ada(&stage, Request::get("/account"))?.assert_problem(401, "credential_invalid");
    stage.node.stop().map(drop)
}

/// Ada's application with one idempotent function of the client's own, and one that is not.
fn shop(stage: &Stage) -> Result<()> {
    stage
        .ada
        .done(&stage.node, "/apps", &json!({"name": "shop"}))?;
    for (name, edge) in [("f", false), ("edge-f", true)] {
        let mut body = deployment("add")?;
        body["TarFunctionCode"] = Value::from(base64(CONSTANT));
        body["Name"] = Value::from(name);
        (body["Idempotent"], body["Edge"]) = (Value::from(true), Value::from(edge));
        stage.ada.done(&stage.node, "/apps/shop/create", &body)?;
        let endpoint = json!({"path": format!("call/{name}"), "function": name}).to_string();
        stage.ada.asked(
            &stage.node,
            Request::new("PUT", "/apps/shop/endpoints").body(endpoint),
        )?;
    }
    stage
        .ada
        .done(&stage.node, "/apps/shop/start", &json!({}))
        .map(drop)
}

fn base64(text: &str) -> String {
    use base64::Engine as _;
    base64::engine::general_purpose::STANDARD.encode(text)
}

#[test]
fn carried_answers_that_are_not_good() -> Result<()> {
    let stage = Stage::start(&[])?;
    shop(&stage)?;
    let call = |body: &str| stage.node.ask(&Request::post("/app/shop/call/f", body));
    let one = base64("{}");
    for member in ["cache", "edgeResults"] {
        let of = |key: &str| json!({ member: {"f": {key: {"n": 9}}} }).to_string();
        for (body, expected) in [
            (of("***"), "400 carried_key_not_base64"),
            (of("e30=e30="), "400 carried_key_not_base64"),
            (of("é"), "400 carried_key_not_base64"),
            (of(&base64("not json")), "400 carried_key_not_json"),
            (of(&base64("{} {}")), "400 carried_key_not_json"),
            (of(""), "400 carried_key_not_json"),
            (
                json!({ member: {"../f": {&one: 1}} }).to_string(),
                "400 carried_name_malformed",
            ),
            (
                json!({ member: {"": {&one: 1}} }).to_string(),
                "400 carried_name_malformed",
            ),
            (
                json!({ member: {"f": [1]} }).to_string(),
                "400 malformed_json",
            ),
            (json!({ member: [] }).to_string(), "400 malformed_json"),
            (json!({ member: "f" }).to_string(), "400 malformed_json"),
            // Names are compared and nothing else.
            (
                json!({ member: {"__proto__": {&one: {"n": 9}}, "constructor": {&one: 1}} })
                    .to_string(),
                "200",
            ),
            (
                json!({ member: {"f": {base64(r#"{"__proto__":{"n":9}}"#): {"n": 9}}} })
                    .to_string(),
                "200",
            ),
            (of(&base64(r#"{"a":1,"a":2}"#)), "200"),
            (of(&one), "200"),
        ] {
            let answer = call(&body)?;
            assert_eq!(outcome(&answer), expected, "{member}: {body}");
            if answer.status == 200 {
                assert_eq!(
                    answer.json()?["result"],
                    json!({"n": 1}),
                    "it was believed: {body}"
                );
            }
        }
    }
    // Foreign and forged tags are counted and not believed.
    for tags in [
        json!("x"),
        json!([]),
        json!({"f": 1}),
        json!({"f": {&one: "AAAA"}}),
        json!({"f": {&one: 7}}),
        json!({"__proto__": {}}),
    ] {
        let body = json!({"cache": {"f": {&one: {"n": 9}}, "$tags": tags}}).to_string();
        let answer = call(&body)?;
        if answer.status == 200 {
            assert_eq!(answer.json()?["result"], json!({"n": 1}), "{body}");
            assert_eq!(
                answer.header("serverledge-cache-ignored"),
                Some("untrue=1"),
                "{body}"
            );
        } else {
            assert_eq!(outcome(&answer), "400 malformed_json", "{body}");
        }
    }
    // The control: a function that is the client's own is believed.
    let own = json!({"edgeResults": {"edge-f": {&one: {"n": 9}}}}).to_string();
    let answer = stage
        .node
        .ask(&Request::post("/app/shop/call/edge-f", own))?;
    assert_eq!(
        answer.json()?["result"],
        json!({"n": 9}),
        "{}",
        answer.text()
    );
    check_well(stage)
}

/// Names that mean something to JavaScript's objects are names like others here, or refused as malformed.
#[test]
fn names_of_prototypes() -> Result<()> {
    let stage = Stage::start(&[])?;
    let names = [
        "__proto__",
        "constructor",
        "prototype",
        "hasOwnProperty",
        "toString",
        "__defineGetter__",
    ];
    let mut expected = vec!["add".to_owned(), "echo-http".to_owned()];
    for name in names {
        let mut body = deployment("add")?;
        body["Name"] = Value::from(name);
        stage.ada.done(&stage.node, "/create", &body)?;
        expected.push(name.to_owned());
        let sum = as_ada(
            &stage,
            Request::post(
                &format!("/invoke/{name}"),
                r#"{"Params": {"a": 1, "b": 2, "__proto__": {"a": 9}}}"#,
            ),
        )?;
        assert_eq!(sum.result()?["sum"], 3, "{name}");
        let app = as_ada(&stage, Request::json("/apps", &json!({ "name": name })))?;
        let told = outcome(&app);
        // Labels of the DNS are in lower case and without underscores.
        assert_eq!(
            told == "201",
            ["constructor", "prototype"].contains(&name),
            "{name}: {told}"
        );
        assert!(
            app.status == 201 || (400..500).contains(&app.status) && !app.code().is_empty(),
            "{name}: {told}"
        );
    }
    expected.sort();
    let listed = as_ada(&stage, Request::get("/functions"))?.json()?;
    let mut listed: Vec<String> = serde_json::from_value(listed)?;
    listed.sort();
    assert_eq!(listed, expected);
    // A member of this name is one that nobody knows.
    for (path, body) in [
        ("/apps", r#"{"name":"x","__proto__":{"name":"y"}}"#),
        (
            "/account/tokens",
            r#"{"name":"x","scopes":["invoke"],"__proto__":{"scopes":["admin"]}}"#,
        ),
        (
            "/account/log-in",
            r#"{"email":"a@b.example","password":"x","constructor":1}"#,
        ),
    ] {
        let told = outcome(&as_ada(&stage, Request::post(path, body))?);
        assert!(
            ["400 malformed_json", "400 malformed_member"].contains(&told.as_str()),
            "{path}: {told}"
        );
    }
    check_well(stage)
}

#[test]
fn json_that_is_ten_thousand_deep() -> Result<()> {
    let stage = Stage::start(&[])?;
    shop(&stage)?;
    let mut body = deployment("add")?;
    (body["Name"], body["TarFunctionCode"]) = (Value::from("f"), Value::from(base64(CONSTANT)));
    stage.ada.done(&stage.node, "/create", &body)?;
    let arrays = format!("{}{}", "[".repeat(DEPTH), "]".repeat(DEPTH));
    let objects = format!("{}1{}", r#"{"a":"#.repeat(DEPTH), "}".repeat(DEPTH));
    let open = "[".repeat(DEPTH);
    let posts = [
        "/create",
        "/update",
        "/delete",
        "/prewarm",
        "/invoke/f",
        "/fn/f",
        "/functions/f/invocations",
        "/functions/f/rollback",
        "/functions/f/flags",
        "/apps",
        "/apps/shop/create",
        "/apps/shop/update",
        "/apps/shop/delete",
        "/apps/shop/test",
        "/apps/shop/start",
        "/apps/shop/invoke/f",
        "/apps/shop/fn/f",
        "/account/sign-up",
        "/account/log-in",
        "/account/request-reset",
        "/account/reset",
        "/account/confirm",
        "/account/email",
        "/account/password",
        "/account/tokens",
        "/account/invitations",
        "/app/shop/call/f",
        "/app/shop/edge",
        "/apps/shop/stop",
    ];
    let others = [
        ("PATCH", "/apps/shop"),
        ("PUT", "/apps/shop/endpoints"),
        ("PUT", "/apps/shop/dependencies"),
        ("DELETE", "/account"),
    ];
    let routes = posts.into_iter().map(|path| ("POST", path)).chain(others);
    for (method, path) in routes {
        for deep in [&arrays, &objects, &open] {
            let members = [
                "Params",
                "args",
                "cache",
                "edgeResults",
                "Name",
                "name",
                "email",
                "secret",
                "endpoints",
            ];
            let mut bodies = vec![deep.clone()];
            bodies.extend(members.map(|member| format!("{{\"{member}\":{deep}}}")));
            for body in bodies {
                let answer = as_ada(&stage, Request::new(method, path).body(body.clone()))?;
                let told = outcome(&answer);
                let begin: String = body.chars().take(20).collect();
                assert!(answer.status < 500, "{method} {path} {begin}: {told}");
                assert!(
                    answer.status < 300 || !answer.code().is_empty() || path.contains("/invoke/"),
                    "{method} {path} {begin}: {told} {}",
                    answer.text()
                );
            }
        }
    }
    check_well(stage)
}

/// Paths have one reading: what is not the endpoint's own path, letter for letter, is another one or none.
#[test]
fn tricks_with_paths() -> Result<()> {
    let stage = Stage::start(&[])?;
    shop(&stage)?;
    let long = format!("call/{}", "a".repeat(6_000));
    let tricks = [
        "call/../call/f",
        "call/./f",
        "./call/f",
        "../shop/call/f",
        "call//f",
        "/call/f",
        "call/f/.",
        "call/f/..",
        "call/f/../f",
        "call%2ff",
        "call%2Ff",
        "call/%66",
        "%63all/f",
        "call/%2e%2e/call/f",
        "%2e%2e/shop/call/f",
        "..%2fshop/call/f",
        "%252e%252e/shop/call/f",
        "call\\f",
        "call%5cf",
        "call/f%00",
        "call/f%00.txt",
        "call/f%20",
        "call/f%0a",
        "call/f;a=1",
        "call/f%3fa=1",
        "call/f%23",
        "CALL/F",
        "call/F",
        "call/f%c0%af",
        "call/%e2%80%ae",
        "*",
        "%",
        "%zz",
        "call/f%",
        "up/../call/f",
        "edge/../call/f",
        "up%2f",
        "__proto__",
        "constructor",
        long.as_str(),
    ];
    let host = format!("shop.localhost:{}", stage.node.address.port());
    for trick in tricks {
        let by_path = Request::post(&format!("/app/shop/{trick}"), "{}");
        let by_host = Request::post(&format!("/{trick}"), "{}").header("Host", &host);
        for request in [by_path, by_host] {
            let told = outcome(&stage.node.ask(&request)?);
            let expected = [
                "404 endpoint_unknown",
                "404 application_not_running",
                "400",
                "414",
            ];
            assert!(expected.contains(&told.as_str()), "{request:?}: {told}");
        }
    }
    // A slash at the end finds what is meant, or says so.
    for (found, told) in [("call/f/", "200"), ("up/", "405 method_not_allowed")] {
        let request = Request::post(&format!("/app/shop/{found}"), "{}");
        assert_eq!(outcome(&stage.node.ask(&request)?), told, "{found}");
    }
    bind(&stage, &tricks)?;
    raw(&stage)?;
    let control = stage.node.ask(&Request::post("/app/shop/call/f", "{}"))?;
    assert_eq!(control.json()?["result"], json!({"n": 1}));
    check_well(stage)
}

/// None of them can be bound, nor can they lead from an application to another or to the node.
fn bind(stage: &Stage, tricks: &[&str]) -> Result<()> {
    for path in tricks
        .iter()
        .filter(|path| !["CALL/F", "call/F", "__proto__", "constructor"].contains(path))
    {
        let endpoint = json!({"path": path, "function": "f"}).to_string();
        let told = outcome(&as_ada(
            stage,
            Request::new("PUT", "/apps/shop/endpoints").body(endpoint),
        )?);
        // The slash that a path may begin with is not part of it.
        if *path != "/call/f" {
            assert!(told.starts_with("4") && told.len() > 4, "{path}: {told}");
        }
    }
    for target in [
        "/app/shop/../../functions",
        "/app/%2e%2e/functions",
        "/app/../functions",
        "/app//functions",
        "/app/shop%2f..%2f..%2ffunctions",
        "//functions",
        "/functions/../functions",
        "/functions/%2e%2e/status",
        "/fn/%2e%2e/functions",
        "/apps/shop/../../status",
        "/apps/%2e%2e/status",
        "/functions%00",
        "/functions/add%00",
        "/functions/a%2fb",
        "/.%2e/functions",
        "/account/..%2f..%2fstatus",
        "/docs/..%2f..%2fetc/passwd",
        "/docs/../functions",
    ] {
        // Without a credential: none of it is a way around the table of what each route needs.
        let answer = stage.node.ask(&Request::get(target))?;
        let told = outcome(&answer);
        assert!((400..500).contains(&answer.status), "{target}: {told}");
        assert!(
            !answer.text().contains("echo-http"),
            "{target}: {}",
            answer.text()
        );
        let asked = outcome(&as_ada(stage, Request::get(target))?);
        assert!(asked.starts_with('4'), "{target}: {asked}");
    }
    Ok(())
}

/// Checks that bytes which are no request line at all are answered as such, and the connection closed.
fn raw(stage: &Stage) -> Result<()> {
    for line in [
        &b"POST /app/shop/call/f\0 HTTP/1.1\r\n"[..],
        b"POST /app/shop/call\x01f HTTP/1.1\r\n",
        b"POST /app/shop/call f HTTP/1.1\r\n",
        b"POST /app/shop/call/\xff\xfe HTTP/1.1\r\n",
        b"POST app/shop/call/f HTTP/1.1\r\n",
    ] {
        let mut connection = Connection::open(stage.node.address)?;
        let rest = format!(
            "Host: {}\r\nContent-Length: 2\r\n\r\n{{}}",
            stage.node.address
        );
        connection.send_raw(&[line, rest.as_bytes()].concat())?;
        let status = connection.receive(false)?.status;
        assert!(
            (400..500).contains(&status),
            "{}: {status}",
            String::from_utf8_lossy(line)
        );
    }
    let far = format!("/app/{EVIL}/{}", "a/".repeat(100_000));
    let status = stage.node.ask(&Request::get(&far))?.status;
    assert!((400..500).contains(&status), "{status}");
    Ok(())
}
