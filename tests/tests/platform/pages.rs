//! Hostile pages in a real browser: one that a function made, and ones of other sites, on a node without authentication, as
//! it is on everybody's own machine.

use anyhow::Result;
use serde_json::json;
use serverledge_testing::browser::{Browser, Page};

use crate::e2e::{Node, example};
use crate::support::site::Site;

/// Runs in a page; each gives `refused` or what was got.
const READ: &str = "fetch('/functions').then(r => r.text(), () => 'refused')";
const RUN: &str =
    "fetch('/invoke/add', {method: 'POST', body: '{\"Params\": {\"a\": 1, \"b\": 2}}'})
    .then(r => r.text(), () => 'refused')";
const WORKER: &str = "navigator.serviceWorker
    ? navigator.serviceWorker.register('/fn/echo-http/worker.js').then(() => 'registered', () => 'refused')
    : 'refused'";

fn node() -> Result<Node> {
    let node = Node::start()?;
    node.deploy("echo-http", example("echo-http")?)?;
    node.deploy("add", example("add")?)?;
    Ok(node)
}

/// The node as the browser's pages name it.
fn url(node: &Node, path: &str) -> String {
    format!("http://localhost:{}{path}", node.address.port())
}

fn text(browser: &mut Browser, page: &Page, script: &str) -> Result<String> {
    Ok(browser
        .run(page, script)?
        .as_str()
        .unwrap_or_default()
        .to_owned())
}

/// Nothing ran and nothing changed.
fn check_untouched(node: &Node) -> Result<()> {
    assert_eq!(node.names()?, ["add", "echo-http"]);
    assert!(
        !node.get("/metrics")?.text().contains("function=\"add\""),
        "a refused request ran something"
    );
    Ok(())
}

#[test]
fn a_page_of_a_function_has_no_origin() -> Result<()> {
    let node = node()?;
    let mut browser = Browser::start(&[])?;
    let page = browser.open(&url(&node, "/fn/echo-http/page"))?;
    assert_eq!(
        text(
            &mut browser,
            &page,
            "document.getElementById('who').textContent"
        )?,
        "a page of origin null"
    );
    assert_eq!(text(&mut browser, &page, READ)?, "refused");
    assert_eq!(text(&mut browser, &page, RUN)?, "refused");
    // Without an origin there are no cookies, no storage and no service workers: asking for them throws.
    for script in ["document.cookie", "localStorage.length", WORKER] {
        let got = browser.run(&page, script);
        assert!(
            got.as_ref().map_or(true, |value| value == "refused"),
            "{script}: {got:?}"
        );
    }
    // What it gets with an image or a form is marked by the browser.
    let image = "new Promise(done => { const i = new Image(); i.onload = i.onerror = () => done('sent'); i.src = '/fn/add?a=1&b=2'; })";
    assert_eq!(text(&mut browser, &page, image)?, "sent");
    check_untouched(&node)
}

/// The control: a page of the node's own may do it, so that the others fail for the right reason.
#[test]
fn a_page_of_the_node_may() -> Result<()> {
    let node = node()?;
    let mut browser = Browser::start(&[])?;
    let page = browser.open(&url(&node, "/docs/"))?;
    assert_eq!(text(&mut browser, &page, READ)?, r#"["add","echo-http"]"#);
    assert_ne!(text(&mut browser, &page, RUN)?, "refused");
    assert!(
        node.get("/metrics")?.text().contains("function=\"add\""),
        "what ran is seen"
    );
    Ok(())
}

#[test]
fn a_page_of_another_site_cannot_deploy_run_or_read() -> Result<()> {
    let node = node()?;
    let site = Site::serve("<!doctype html><title>elsewhere</title>")?;
    let mut browser = Browser::start(&["elsewhere.example", "evil.localhost"])?;
    let own = url(&node, "");
    // Another site, and another port of the same one.
    for host in ["elsewhere.example", "localhost", "evil.localhost"] {
        let page = browser.open(&format!("http://{host}:{}/", site.address.port()))?;
        let read = format!("fetch('{own}/functions').then(r => r.text(), () => 'refused')");
        assert_eq!(text(&mut browser, &page, &read)?, "refused", "{host}");
        let body = json!({"Name": "planted", "Runtime": "wasm", "TarFunctionCode": "AGFzbQ=="})
            .to_string();
        for (path, body) in [
            ("/create", body.as_str()),
            ("/invoke/add", r#"{"Params":{"a":1,"b":2}}"#),
            ("/delete", r#"{"Name":"add"}"#),
        ] {
            let post = format!(
                "fetch('{own}{path}', {{method: 'POST', mode: 'no-cors', body: {}}}).then(() => 'sent', () => 'refused')",
                json!(body)
            );
            assert_eq!(
                text(&mut browser, &page, &post)?,
                "sent",
                "{host}: a no-cors request goes out and tells nothing"
            );
        }
        let image = format!(
            "new Promise(done => {{ const i = new Image(); i.onload = i.onerror = () => done('sent'); i.src = '{own}/fn/add?a=1&b=2'; }})"
        );
        assert_eq!(text(&mut browser, &page, &image)?, "sent");
    }
    check_untouched(&node)
}

/// A name of the attacker's that was made to lead to the node: for the browser its pages and the node's are one site.
#[test]
fn a_rebound_name_is_not_answered() -> Result<()> {
    let node = node()?;
    let mut browser = Browser::start(&["rebound.example"])?;
    let page = browser.open(&format!(
        "http://rebound.example:{}/docs/",
        node.address.port()
    ))?;
    let shown = text(&mut browser, &page, "document.body.innerText")?;
    assert!(shown.contains("host_unknown"), "{shown}");
    assert!(text(&mut browser, &page, READ)?.contains("host_unknown"));
    assert!(text(&mut browser, &page, RUN)?.contains("host_unknown"));
    check_untouched(&node)
}
