//! The whole story through the console alone: sign up, forget the password, make an application of functions that call
//! each other, test them before they are deployed, start it, call it, run a function in the browser, make a token, stop
//! it, delete it.

use anyhow::{Result, ensure};
use serde_json::json;
use serverledge_testing::browser::{Engine, Tab, Window};

use super::{check, url};
use crate::e2e::Request;
use crate::support::lab::{Kept, Lab, PASSWORD, Person};
use crate::support::visitor::{Kind, Visitor};

const ADA: &str = "ada@example.org";
const NEW_PASSWORD: &str = "quite another battery";
const INNER: &str = "module.exports = ({ a, b }) => ({ sum: a + b });";
const OUTER: &str =
    "module.exports = async ({ a, b, c }) => ({ out: (await call('inner', { a, b })).sum * c });";
/// It does not know what it reads.
const WRONG: &str =
    "module.exports = async ({ a }) => ({ out: (await call('inner', { a, b })).sum });";
const ARGUMENTS: &str = r#"{"a":4,"b":5,"c":6}"#;

#[test]
fn the_whole_story_in_chromium() -> Result<()> {
    let mut tab = Tab::open("about:blank")?;
    story(&mut tab)?;
    check(&tab.browser.faults()?)
}

#[test]
fn the_whole_story_in_firefox() -> Result<()> {
    story(Engine::Firefox.open("about:blank")?.as_mut())
}

fn story(window: &mut dyn Window) -> Result<()> {
    let lab = Lab::start(Kept::Embedded)?;
    let mut visitor = Visitor::new(window, &url(lab.node()?));
    account(&mut visitor, &lab)?;
    functions(&mut visitor)?;
    test_run(&mut visitor)?;
    endpoint(&mut visitor, &lab)?;
    in_this_browser(&mut visitor)?;
    token(&mut visitor, &lab)?;
    end(&mut visitor, &lab)?;
    check(&visitor.faults()?)
}

fn log_in(visitor: &mut Visitor<'_>, password: &str) -> Result<()> {
    visitor.fill("E-mail address", ADA)?;
    visitor.fill("Password", password)?;
    visitor.button("Log in")
}

/// Signs up, logs in and out, and forgets the password.
fn account(visitor: &mut Visitor<'_>, lab: &Lab) -> Result<()> {
    visitor.open("/apps")?;
    visitor.see("You come back to the page that you asked for.")?;
    visitor.link("Sign up")?;
    visitor.fill("E-mail address", ADA)?;
    visitor.fill("Password", PASSWORD)?;
    visitor.button("Sign up")?;
    visitor.see("Look into your mail")?;
    let secret = lab.link(ADA)?;
    visitor.open("/confirm")?;
    visitor.fill("The link", &secret)?;
    visitor.button("Confirm")?;
    visitor.see("The address is confirmed.")?;
    visitor.link("Log in")?;
    log_in(visitor, PASSWORD)?;
    visitor.see("There are no functions yet")?;
    visitor.button("Log out")?;
    visitor.link("Forgot the password?")?;
    visitor.fill("E-mail address", ADA)?;
    visitor.button("Ask for a link")?;
    visitor.see("a mail with a link is on its way there")?;
    let secret = lab.link(ADA)?;
    visitor.fill("The link", &secret)?;
    visitor.button("Go on")?;
    visitor.fill("New password", NEW_PASSWORD)?;
    visitor.button("Set the password")?;
    visitor.see("The new password counts from now on.")?;
    ensure!(lab.mail_to(ADA)?.subject == "Your password was changed");
    visitor.link("Log in")?;
    log_in(visitor, PASSWORD)?;
    visitor.see("wrong_credentials")?;
    log_in(visitor, NEW_PASSWORD)?;
    visitor.see("There are no functions yet")
}

/// An application with two functions, of which one calls the other.
fn functions(visitor: &mut Visitor<'_>) -> Result<()> {
    visitor.link("Applications")?;
    visitor.see("No applications yet")?;
    visitor.button("New application")?;
    visitor.fill("Name", "shop")?;
    visitor.button("Make it")?;
    visitor.link("Write a function")?;
    visitor.fill("Name", "inner")?;
    visitor.fill("Code of the function", INNER)?;
    visitor.see("javascript (recognised)")?;
    visitor.button("Flags: none")?;
    visitor.click(Kind::Field, "Idempotent")?;
    visitor.click(Kind::Field, "Edge")?;
    visitor.see("Flags: idempotent, edge")?;
    visitor.button("Deploy")?;
    visitor.see("inner is deployed")?;
    visitor.link("shop")?;
    visitor.link("New function in this application")?;
    visitor.fill("Name", "outer")?;
    visitor.fill("Code of the function", OUTER)?;
    visitor.button("Deploy")?;
    visitor.see("outer is deployed")?;
    visitor.fill("Parameters as JSON", ARGUMENTS)?;
    visitor.button("Run on the node")?;
    visitor.see(r#"{ "out": 54 }"#)
}

/// Code that is not deployed is tested: first it fails, then it does not. The function stays as it is.
fn test_run(visitor: &mut Visitor<'_>) -> Result<()> {
    visitor.tab("Code")?;
    visitor.fill("Code of main.js", WRONG)?;
    visitor.see("not deployed")?;
    visitor.fill("Parameters of the test as JSON", r#"{"a":4}"#)?;
    visitor.button("Run the test")?;
    visitor.see("b is not defined")?;
    visitor.see("function_error")?;
    visitor.fill("Code of main.js", &WRONG.replace("{ a, b }", "{ a, b: 3 }"))?;
    visitor.button("Run the test")?;
    visitor.see(r#"{ "out": 7 }"#)?;
    visitor.button("Discard the changes")?;
    visitor.miss("not deployed")?;
    visitor.holds("Code of main.js", OUTER)
}

/// Binds a function to a path, starts the application, and calls it there and as a visitor does.
fn endpoint(visitor: &mut Visitor<'_>, lab: &Lab) -> Result<()> {
    visitor.link("shop")?;
    visitor.tab("Endpoints")?;
    visitor.fill("Path", "/outer")?;
    visitor.choose("Function", "outer")?;
    visitor.button("Add")?;
    visitor.see("POST /outer runs outer")?;
    let nobody = Person::default();
    let call = json!({"args": {"a": 1, "b": 2, "c": 3}});
    let early = lab.post(&nobody, "/app/shop/outer", &call)?;
    early.assert_problem(404, "application_not_running");
    visitor.button("Start")?;
    visitor.see("shop runs")?;
    visitor.fill("Arguments of POST /outer, as JSON", ARGUMENTS)?;
    visitor.button("Call it")?;
    visitor.see(r#"{ "out": 54 }"#)?;
    let answer = lab.done(&nobody, "/app/shop/outer", &call)?;
    ensure!(
        answer.json()?["result"] == json!({"out": 9}),
        "{}",
        answer.text()
    );
    Ok(())
}

/// Runs a function that has the flag in this browser, beside the node: it gives the same.
fn in_this_browser(visitor: &mut Visitor<'_>) -> Result<()> {
    visitor.tab("In browsers")?;
    visitor.see("runs there")?;
    visitor.link("inner")?;
    visitor.tab("Try it")?;
    visitor.fill("Parameters as JSON", r#"{"a":20,"b":22}"#)?;
    visitor.button("Run on both and compare")?;
    visitor.see("equal results")?;
    visitor.see("In this browser")?;
    visitor.see(r#"{ "sum": 42 }"#)?;
    visitor.button("Run in this browser")?;
    visitor.miss("equal results")?;
    visitor.see(r#"{ "sum": 42 }"#)
}

/// A token is shown once, and good for what was chosen.
fn token(visitor: &mut Visitor<'_>, lab: &Lab) -> Result<()> {
    visitor.link("Settings")?;
    visitor.tab("Tokens")?;
    visitor.see("No tokens yet")?;
    visitor.fill("Name", "laptop")?;
    visitor.button("Make the token")?;
    visitor.see("Copy it now: it is not shown again.")?;
    let shown = visitor.text()?;
    let after = shown.split("SERVERLEDGE_TOKEN=").nth(1).unwrap_or_default();
    let token = after.split(' ').next().unwrap_or_default().to_owned();
    let person = Person::bearing(&token);
    ensure!(lab.get(&person, "/apps")?.json()?[0]["name"] == "shop");
    lab.ask(&person, Request::new("DELETE", "/apps/shop"))?
        .assert_problem(403, "forbidden");
    visitor.button("I have copied it")?;
    visitor.miss(&token)?;
    visitor.open("/settings/tokens")?;
    visitor.see("laptop")?;
    ensure!(
        !visitor.text()?.contains(&token),
        "the token is shown again"
    );
    Ok(())
}

fn end(visitor: &mut Visitor<'_>, lab: &Lab) -> Result<()> {
    visitor.link("Applications")?;
    visitor.click_in("shop", Kind::Button, "Stop")?;
    visitor.see("shop is stopped")?;
    lab.get(&Person::default(), "/app/shop/up")?
        .assert_problem(404, "application_not_running");
    visitor.click(Kind::Row, "shop")?;
    visitor.tab("Settings")?;
    visitor.button("Delete shop")?;
    visitor.fill("Type shop to go on", "shop")?;
    visitor.button("Delete it for good")?;
    visitor.see("No applications yet")
}
