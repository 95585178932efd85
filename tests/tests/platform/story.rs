//! The whole story, as people live it: sign up, forget the password, make an application of functions that call each other,
//! test it, start it, use it with caches and edge results, go through a restart, stop it, leave. On both registries.

use anyhow::Result;
use serde_json::{Value, json};

use crate::e2e::{Request, example, wait_for};
use crate::support::lab::{Kept, Lab, PASSWORD, Person, Source};

const ADA: &str = "ada@example.org";
const BOB: &str = "bob@example.org";
const NEW_PASSWORD: &str = "quite another battery";

const INNER: &str = "module.exports = async (args) => ({ result: args.a + args.b });";
const OUTER: &str = "module.exports = async (args) => { const r = await call('inner-function', { a: args.a, b: args.b }); return { out: r.result * args.c }; };";
const TOTAL: &str = "
def handler(params, context):
    outer = call('outer-function', {'a': params['a'], 'b': params['b'], 'c': params['c']})
    added = call('add', {'a': outer['out'], 'b': 1})
    return {'total': added['sum']}
";

/// The worked example of a nested call with a cache: the arguments, and base64 of theirs and of the inner call's.
fn arguments() -> Value {
    json!({"a": 4, "b": 5, "c": 6})
}
const OUTER_KEY: &str = "eyJhIjo0LCJiIjo1LCJjIjo2fQ==";
const INNER_KEY: &str = "eyJhIjo0LCJiIjo1fQ==";

#[test]
fn the_whole_story_on_one_machine() -> Result<()> {
    story(Kept::Embedded)
}

#[test]
fn the_whole_story_on_etcd() -> Result<()> {
    story(Kept::Etcd)
}

fn story(kept: Kept) -> Result<()> {
    let mut lab = Lab::start(kept)?;
    let ada = account(&lab)?;
    application(&lab, &ada)?;
    visitors(&lab)?;
    strangers(&lab, &ada)?;
    lab.restart()?;
    wait_for("the application after the restart", || {
        Ok((lab.get(&Person::default(), "/app/shop/up")?.status == 200).then_some(()))
    })?;
    visitors(&lab)?;
    end(&lab, &ada)?;
    lab.stop()
}

/// Signs up, forgets the password, and gets a token. Requirements 1 to 3.
fn account(lab: &Lab) -> Result<Person> {
    let nobody = Person::default();
    lab.get(&nobody, "/functions")?
        .assert_problem(401, "authentication_required");
    let first = lab.sign_up(ADA)?;
    let token = lab.with_token(&first, &["invoke"])?;
    for email in [ADA, "nobody@example.org"] {
        let answer = lab.done(
            &nobody,
            "/account/request-reset",
            &json!({ "email": email }),
        )?;
        assert_eq!(
            (answer.status, answer.text().as_str()),
            (202, "{\"delivery\":\"mail\"}"),
            "no answer tells who has an account"
        );
    }
    let secret = lab.link(ADA)?;
    lab.done(
        &nobody,
        "/account/reset",
        &json!({"secret": secret, "password": NEW_PASSWORD}),
    )?;
    assert_eq!(lab.mail_to(ADA)?.subject, "Your password was changed");
    let again = lab.post(
        &nobody,
        "/account/reset",
        &json!({"secret": secret, "password": PASSWORD}),
    )?;
    assert_eq!(again.status, 410, "{}", again.text());
    for old in [&first, &token] {
        lab.get(old, "/account")?
            .assert_problem(401, "credential_invalid");
    }
    let refused = lab.post(
        &nobody,
        "/account/log-in",
        &json!({"email": ADA, "password": PASSWORD}),
    )?;
    refused.assert_problem(403, "wrong_credentials");
    let session = lab.log_in("Ada@Example.org", NEW_PASSWORD)?;
    assert_eq!(lab.get(&session, "/account")?.json()?["email"], ADA);
    lab.with_token(&session, &["invoke", "deploy", "admin"])
}

/// Functions in three languages, endpoints, a test run, and the start. Requirements 4 to 8.
fn application(lab: &Lab, ada: &Person) -> Result<()> {
    lab.done(ada, "/apps", &json!({"name": "shop"}))?;
    let idempotent = json!({"Idempotent": true, "MemoryMB": 256, "Timeout": 120});
    let edge = json!({"Idempotent": true, "Edge": true, "MemoryMB": 256});
    lab.deploy(ada, "shop", "inner-function", Source::Node(INNER), &edge)?;
    lab.deploy(
        ada,
        "shop",
        "outer-function",
        Source::Node(OUTER),
        &idempotent,
    )?;
    lab.deploy(
        ada,
        "shop",
        "add",
        Source::Wasm(&example("add")?),
        &json!({}),
    )?;
    lab.deploy(
        ada,
        "shop",
        "total",
        Source::Python(TOTAL),
        &json!({"MemoryMB": 256, "Handler": "function.handler", "Timeout": 120}),
    )?;
    for function in ["outer-function", "total"] {
        let endpoint = json!({"path": format!("/{function}"), "function": function});
        let bound = lab.ask(
            ada,
            Request::new("PUT", "/apps/shop/endpoints").body(endpoint.to_string()),
        )?;
        assert!(bound.status < 300, "{}", bound.text());
    }
    let tested = lab.done(
        ada,
        "/apps/shop/test",
        &json!({"Runtime": "nodejs", "MemoryMB": 256, "args": {"a": 1}, "TarFunctionCode": base64(
            "module.exports = async (args) => { console.log('hello'); return await call('inner-function', { a: args.a, b: 2 }); };"
        )}),
    )?;
    let tested = tested.json()?;
    assert_eq!(tested["answer"]["result"], json!({"result": 3}), "{tested}");
    assert!(
        tested["output"]
            .as_str()
            .is_some_and(|output| output.contains("hello")),
        "{tested}"
    );
    let down = lab.get(&Person::default(), "/app/shop/up")?;
    down.assert_problem(404, "application_not_running");
    lab.done(ada, "/apps/shop/start", &json!({}))?;
    Ok(())
}

/// Endpoints, caches and edge results, without an account. Requirements 9 to 12.
fn visitors(lab: &Lab) -> Result<()> {
    let nobody = Person::default();
    assert_eq!(
        lab.get(&nobody, "/app/shop/up")?.json()?,
        json!({"status": "up"})
    );
    let total = lab
        .done(&nobody, "/app/shop/total", &json!({"args": arguments()}))?
        .json()?;
    assert_eq!(total["result"], json!({"total": 55}));
    // The inner result is the client's own: it is not in the cache, because it was not run.
    let edge = json!({"inner-function": {INNER_KEY: {"result": 9}}});
    let answer = lab.done(
        &nobody,
        "/app/shop/outer-function",
        &json!({"args": arguments(), "edgeResults": edge}),
    )?;
    let mut answer = answer.json()?;
    let carried = answer["cache"].clone();
    answer["cache"]
        .as_object_mut()
        .map(|cache| cache.remove("$tags"));
    assert_eq!(
        answer,
        json!({"result": {"out": 54}, "cache": {"outer-function": {OUTER_KEY: {"out": 54}}}})
    );
    // What is carried back unread is the answer.
    let again = lab.done(
        &nobody,
        "/app/shop/outer-function",
        &json!({"args": arguments(), "cache": carried}),
    )?;
    assert_eq!(
        (
            again.header("serverledge-cache"),
            again.json()?["result"].clone()
        ),
        (Some("carried"), json!({"out": 54}))
    );
    // What is forged is none.
    let forged = json!({"outer-function": {OUTER_KEY: {"out": 1}}});
    let judged = lab.done(
        &nobody,
        "/app/shop/outer-function",
        &json!({"args": arguments(), "cache": forged}),
    )?;
    assert_eq!(judged.json()?["result"], json!({"out": 54}));
    assert_eq!(judged.header("serverledge-cache-ignored"), Some("untrue=1"));
    let code = lab
        .done(
            &nobody,
            "/app/shop/edge",
            &json!({"functions": ["inner-function"]}),
        )?
        .json()?;
    assert_eq!(
        code["functions"]["inner-function"]["idempotent"], true,
        "{code}"
    );
    assert!(
        code["runEdgeFunction"]
            .as_str()
            .is_some_and(|source| source.contains("runEdgeFunction"))
    );
    let refused = lab.post(
        &nobody,
        "/app/shop/edge",
        &json!({"functions": ["outer-function"]}),
    )?;
    refused.assert_problem(404, "not_edge");
    Ok(())
}

/// A second user sees nothing of it.
fn strangers(lab: &Lab, ada: &Person) -> Result<()> {
    let bob = lab.sign_up(BOB)?;
    let bob = lab.with_token(&bob, &["invoke", "deploy", "admin"])?;
    for target in [
        "/apps/shop",
        "/apps/shop/functions",
        "/apps/shop/functions/total",
        "/apps/shop/export",
    ] {
        lab.get(&bob, target)?
            .assert_problem(404, "application_unknown");
    }
    lab.post(&bob, "/apps/shop/stop", &json!({}))?
        .assert_problem(404, "application_unknown");
    lab.post(&bob, "/apps", &json!({"name": "shop"}))?
        .assert_problem(409, "application_exists");
    assert_eq!(lab.get(&bob, "/apps")?.json()?, json!([]));
    assert_eq!(lab.get(&bob, "/functions")?.json()?, json!([]));
    lab.get(&bob, "/status")?.assert_problem(403, "forbidden");
    // Ada's own space is not her application's.
    assert_eq!(lab.get(ada, "/functions")?.json()?, json!([]));
    Ok(())
}

fn end(lab: &Lab, ada: &Person) -> Result<()> {
    lab.done(ada, "/apps/shop/stop", &json!({}))?;
    let nobody = Person::default();
    lab.get(&nobody, "/app/shop/up")?
        .assert_problem(404, "application_not_running");
    lab.post(&nobody, "/app/shop/total", &json!({}))?
        .assert_problem(404, "application_not_running");
    let gone = lab.ask(
        ada,
        Request::new("DELETE", "/account").body(json!({ "password": NEW_PASSWORD }).to_string()),
    )?;
    assert!(gone.status < 300, "{}", gone.text());
    lab.get(ada, "/account")?
        .assert_problem(401, "credential_invalid");
    // The name is free once what the account owned is deleted.
    let bob = lab.log_in(BOB, PASSWORD)?;
    wait_for("the name of a deleted application", || {
        Ok((lab.post(&bob, "/apps", &json!({"name": "shop"}))?.status == 201).then_some(()))
    })
}

fn base64(text: &str) -> String {
    use base64::Engine as _;
    base64::engine::general_purpose::STANDARD.encode(text)
}
