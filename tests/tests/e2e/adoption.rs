//! Authentication is switched on for a node that was used without: what there is gets an owner, and nothing is lost.

use std::process::Command;

use anyhow::{Context, Result, ensure};
use serde_json::json;

use crate::support::programs::programs;
use crate::support::{Node, Request, example, wait_for};

const ADA: &str = "ada@example.org";
const PASSWORD: &str = "correct horse battery staple";

/// Runs `serverledge user …` on the node's data.
fn user(node: &Node, arguments: &[&str]) -> Result<String> {
    let mut command = Command::new(&programs()?.node);
    let output = command
        .arg("user")
        .args(arguments)
        .env("SERVERLEDGE_DATA_DIR", node.data())
        .output()?;
    ensure!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(String::from_utf8(output.stdout)?)
}

/// Signs up, and returns the cookie of the session.
fn sign_up(node: &Node, email: &str) -> Result<String> {
    let response = node.post(
        "/account/sign-up",
        &json!({"email": email, "password": PASSWORD}),
    )?;
    ensure!(response.status == 201, "{}", response.text());
    let cookie = response.header("set-cookie").context("a session begins")?;
    Ok(cookie.split(';').next().unwrap_or_default().to_owned())
}

#[test]
fn an_account_adopts_what_nobody_owns() -> Result<()> {
    let node = Node::start()?;
    node.deploy_example("hello")?;
    node.deploy("add", example("add")?)?;
    ensure!(node.post("/apps", &json!({"name": "shop"}))?.status == 201);
    let setup = node
        .stop()?
        .into_setup()
        .with("auth.enabled", true)
        .with("accounts.signup", "open");
    let node = setup.start()?;
    for told in [
        "nobody is an operator",
        "serverledge user grant EMAIL --create",
        "serverledge user adopt EMAIL",
    ] {
        wait_for(told, || Ok(node.stderr().contains(told).then_some(())))?;
    }
    let cookie = sign_up(&node, ADA)?;
    let ada = |request: Request| node.ask(&request.header("Cookie", &cookie));
    ada(Request::get("/fn/hello?name=Ada"))?.assert_problem(404, "function_unknown");
    // She has one of this name, which stays hers.
    let own = json!({"Name": "add", "Runtime": "wasm", "TarFunctionCode": base64_of(&example("word-count")?)});
    ensure!(ada(Request::json("/create", &own))?.status == 200);

    let told = user(&node, &["adopt", ADA])?;
    ensure!(
        told.contains("function hello is ada@example.org's now"),
        "{told}"
    );
    ensure!(
        told.contains("function add stays without an owner: ada@example.org has one of this name"),
        "{told}"
    );
    ensure!(
        told.contains("application shop is ada@example.org's now"),
        "{told}"
    );
    wait_for("the adopted function", || {
        Ok((ada(Request::get("/fn/hello?name=Ada"))?.status == 200).then_some(()))
    })?;
    wait_for("the adopted application", || {
        Ok((ada(Request::get("/apps/shop"))?.status == 200).then_some(()))
    })?;
    let counted = ada(Request::json("/fn/add", &json!({"text": "a b"})))?;
    ensure!(
        counted.json()?["words"] == 2,
        "her own function is as it was: {}",
        counted.text()
    );
    let again = user(&node, &["adopt", ADA])?;
    ensure!(
        again.lines().count() == 1 && again.contains("function add stays"),
        "{again}"
    );
    node.stop()?;
    Ok(())
}

fn base64_of(bytes: &[u8]) -> String {
    use base64::Engine as _;
    base64::engine::general_purpose::STANDARD.encode(bytes)
}
