//! The editor and what is live: a deploy with its steps, errors where they happened, lines of a log while the call still
//! runs, and runs that appear by themselves.

use anyhow::{Result, ensure};
use serde_json::json;

use super::in_chromium;
use crate::e2e::Setup;
use crate::support::shop::Shop;
use crate::support::visitor::Kind;

const ADD: &str = "module.exports = ({ a, b }) => ({ sum: a + b });";
/// It cannot be read: a bracket is missing.
const UNREADABLE: &str = "module.exports = ({ a, b } => ({ sum: a + b });";
const FAILS: &str =
    "module.exports = () => { console.log('so far'); throw new TypeError('no such shelf'); };";
/// Says that it waits, and waits until the function `word` says to go on.
const WAITER: &str = "module.exports = async () => {
  while (!(await call('word', {})).go) {
    console.log('waiting for the word');
    await new Promise((done) => setTimeout(done, 20));
  }
  return { went: 'on' };
};";

fn word(go: bool) -> String {
    format!("module.exports = () => ({{ go: {go} }});")
}

#[test]
fn the_editor_deploys_with_steps_and_shows_errors_where_they_are() -> Result<()> {
    let shop = Shop::new(Setup::new()?, "closed")?;
    in_chromium(&shop.node, "/apps/shop/new-function", |visitor| {
        visitor.fill("Name", "add")?;
        visitor.fill("Code of the function", UNREADABLE)?;
        visitor.choose("Runtime", "javascript")?;
        visitor.button("Deploy")?;
        visitor.see("SyntaxError")?;
        let marked = "[...document.querySelectorAll('*')].some(({ shadowRoot }) => shadowRoot?.querySelector('.cm-fault-text'))";
        visitor.wait("the error below its line", marked)?;
        // What was typed is there after a reload.
        visitor.open("/apps/shop/new-function")?;
        visitor.holds("Code of the function", UNREADABLE)?;
        visitor.fill("Code of the function", ADD)?;
        visitor.button("Deploy")?;
        visitor.see("add is deployed")?;
        visitor.tab("Code")?;
        visitor.fill("Code of main.js", &ADD.replace("a + b", "a + b + 1"))?;
        visitor.button("Deploy as a new version")?;
        visitor.see("Deployed in")?;
        visitor.see("from now on")?;
        let steps = visitor.wait(
            "the steps",
            "document.querySelector('[aria-label=Steps]')?.children.length ?? null",
        )?;
        ensure!(steps.as_u64() > Some(0), "a deploy without steps");
        visitor.tab("Try it")?;
        visitor.fill("Parameters as JSON", r#"{"a":1,"b":2}"#)?;
        visitor.button("Run on the node")?;
        visitor.see(r#"{ "sum": 4 }"#)?;
        visitor.tab("Versions")?;
        visitor.see("current")
    })
}

#[test]
fn python_is_recognised_by_what_it_imports() -> Result<()> {
    let shop = Shop::new(Setup::new()?, "closed")?;
    in_chromium(
        &shop.node,
        "/apps/shop/new-function?template=python",
        |visitor| {
            visitor.see("python-wasm (recognised)")?;
            visitor.see("Python, in WebAssembly: it needs nothing that only a container has.")?;
            visitor.button("Memory, time and other limits")?;
            visitor.see("Reserved cores")?;
            visitor.miss("Calls at once in a container")?;
            visitor.fill("Code of the function", "import numpy")?;
            visitor.see("python (recognised)")?;
            visitor.see("Python, in a container: it imports numpy, which has compiled parts.")?;
            visitor.see("Calls at once in a container")?;
            visitor.see("Hosts for its requests")?;
            visitor.choose("Runtime", "python-wasm")?;
            visitor.miss("Calls at once in a container")
        },
    )
}

#[test]
fn a_failing_test_run_says_where_and_what_was_written() -> Result<()> {
    let shop = Shop::new(Setup::new()?, "closed")?;
    shop.deploy("shelf", ADD.as_bytes(), &json!({"Runtime": "javascript"}))?;
    in_chromium(&shop.node, "/apps/shop/functions/shelf/code", |visitor| {
        visitor.fill("Code of main.js", FAILS)?;
        visitor.button("Run the test")?;
        visitor.see("no such shelf")?;
        visitor.see("so far")?;
        visitor.see("function_error")?;
        visitor.see("not deployed")?;
        // The code of an error leads to what it means.
        visitor.link("function_error")?;
        visitor.see("the function failed")
    })
}

#[test]
fn a_log_is_seen_while_the_call_runs_and_runs_come_by_themselves() -> Result<()> {
    let shop = Shop::new(Setup::new()?, "closed")?;
    let javascript = json!({"Runtime": "javascript", "Timeout": 600, "CPUTime": 600});
    shop.deploy("word", word(false).as_bytes(), &javascript)?;
    shop.deploy("waiter", WAITER.as_bytes(), &javascript)?;
    shop.deploy("add", ADD.as_bytes(), &javascript)?;
    in_chromium(&shop.node, "/apps/shop/functions/waiter/try", |visitor| {
        visitor.button("Run on the node")?;
        visitor.see("waiting for the word")?;
        visitor.find(Kind::Button, "Stop waiting")?;
        shop.redeploy("word", word(true).as_bytes(), &javascript)?;
        visitor.see(r#"{ "went": "on" }"#)?;
        visitor.miss("Stop waiting")?;
        visitor.open("/runs?function=add")?;
        visitor.see("No run fits this filter")?;
        shop.run("add", r#"{"a":1,"b":2}"#)?;
        visitor.find(Kind::Row, "shop/add")?;
        visitor.click(Kind::Row, "shop/add")?;
        visitor.see("Where the time went")
    })
}
