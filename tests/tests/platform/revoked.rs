//! A session or token that ends on one node ends on the others. The time that this takes is measured by
//! `scripts/bench/enumeration.py`.

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use serverledge_testing::etcd_process::EtcdProcess;

use crate::e2e::{Node, Request, Response, Setup, wait_for};
use crate::support::lab::PASSWORD;

const ADA: &str = "ada@example.org";
const KEY: &str = "a key of this test's own, of 32 characters and more";

/// A header that shows a session or a token.
type Credential = (&'static str, String);

fn ask(node: &Node, credential: &Credential, request: Request) -> Result<Response> {
    node.ask(&request.header(credential.0, &credential.1))
}

fn whole(
    node: &Node,
    credential: &Credential,
    method: &str,
    path: &str,
    body: &Value,
) -> Result<Response> {
    let answer = ask(
        node,
        credential,
        Request::new(method, path).body(body.to_string()),
    )?;
    ensure!(
        (200..300).contains(&answer.status),
        "{path}: {} {}",
        answer.status,
        answer.text()
    );
    Ok(answer)
}

fn log_in(node: &Node) -> Result<Credential> {
    let answer = node.post(
        "/account/log-in",
        &json!({"email": ADA, "password": PASSWORD}),
    )?;
    let cookie = answer
        .header("set-cookie")
        .and_then(|cookie| cookie.split(';').next());
    Ok(("Cookie", cookie.with_context(|| answer.text())?.to_owned()))
}

fn token(node: &Node, session: &Credential) -> Result<(String, Credential)> {
    let wanted = json!({"name": "t", "scopes": ["invoke", "admin"]});
    let made = whole(node, session, "POST", "/account/tokens", &wanted)?.json()?;
    let text = |value: &Value| {
        value
            .as_str()
            .map(str::to_owned)
            .with_context(|| made.to_string())
    };
    Ok((
        text(&made["info"]["id"])?,
        ("Authorization", format!("Bearer {}", text(&made["token"])?)),
    ))
}

fn wait_until_known(node: &Node, credential: &Credential) -> Result<()> {
    wait_for("a credential of the other node", || {
        Ok((ask(node, credential, Request::get("/account"))?.status == 200).then_some(()))
    })
}

/// At once where it was said, and soon on the other node; and then for good.
fn check_over(here: &Node, there: &Node, credential: &Credential) -> Result<()> {
    ask(here, credential, Request::get("/account"))?.assert_problem(401, "credential_invalid");
    wait_for("the end of a credential on the other node", || {
        Ok((ask(there, credential, Request::get("/account"))?.status == 401).then_some(()))
    })?;
    for node in [here, there] {
        for _ in 0..10 {
            ask(node, credential, Request::get("/account"))?
                .assert_problem(401, "credential_invalid");
        }
    }
    Ok(())
}

#[test]
fn what_ends_on_one_node_ends_on_the_other() -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let etcd = runtime.block_on(EtcdProcess::start());
    let node = || -> Result<Node> {
        let url = format!("etcd://{}/revoked/", etcd.address());
        let setup = Setup::new()?
            .with("registry.url", url)
            .with("cluster.key", KEY);
        setup
            .with("auth.enabled", true)
            .with("accounts.signup", "open")
            .start()
    };
    let here = node()?;
    let there = node()?;
    let signed_up = here.post(
        "/account/sign-up",
        &json!({"email": ADA, "password": PASSWORD}),
    )?;
    ensure!(signed_up.status == 201, "{}", signed_up.text());

    let session = log_in(&here)?;
    let (id, one) = token(&here, &session)?;
    wait_until_known(&there, &one)?;
    whole(
        &here,
        &session,
        "DELETE",
        &format!("/account/tokens/{id}"),
        &json!({}),
    )?;
    check_over(&here, &there, &one)?;

    let (_, kept) = token(&here, &session)?;
    wait_until_known(&there, &kept)?;
    wait_until_known(&there, &session)?;
    whole(
        &here,
        &session,
        "POST",
        "/account/log-out-everywhere",
        &json!({}),
    )?;
    check_over(&here, &there, &session)?;
    assert_eq!(
        ask(&there, &kept, Request::get("/account"))?.status,
        200,
        "tokens stay"
    );

    let session = log_in(&here)?;
    wait_until_known(&there, &session)?;
    let gone = whole(
        &here,
        &session,
        "DELETE",
        "/account",
        &json!({ "password": PASSWORD }),
    )?;
    ensure!(gone.status < 300);
    check_over(&here, &there, &session)?;
    check_over(&here, &there, &kept)?;
    drop((here.stop()?, there.stop()?));
    Ok(())
}
