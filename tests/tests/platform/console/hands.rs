//! The hands of these tests: clicks and keys reach a page in every browser.

use std::collections::BTreeMap;

use anyhow::Result;
use serverledge_testing::browser::BrowserKey;

use crate::support::shop::{expect, in_every_browser};
use crate::support::site::{Document, Site};

const PAGE: &str = r#"<!doctype html><title>hands</title><input id="box" style="position: fixed; left: 0; top: 0; width: 200px; height: 40px">
<form onsubmit="event.preventDefault(); said.textContent = 'sent'"><input id="line" style="position: fixed; left: 0; top: 60px; width: 200px; height: 40px"></form>
<p id="said"></p>"#;

#[test]
fn clicks_and_keys_reach_the_page() -> Result<()> {
    let page = Document::new("text/html", PAGE);
    let site = Site::serve_documents(BTreeMap::from([(String::new(), page)]))?;
    let url = format!("http://localhost:{}/", site.address.port());
    in_every_browser(&url, |window| {
        window.click(20, 20)?;
        window.write("({ a: \"b\" })")?;
        expect("the box", window.run("box.value")?, "({ a: \"b\" })")?;
        window.press(BrowserKey::Letter('a'), true)?;
        window.press(BrowserKey::Delete, false)?;
        window.write("anew")?;
        expect("the box", window.run("box.value")?, "anew")?;
        window.click(20, 80)?;
        window.press(BrowserKey::Enter, false)?;
        expect("the form", window.run("said.textContent")?, "sent")?;
        window.run("addEventListener('keydown', ({ key }) => { said.textContent = key; })")?;
        window.press(BrowserKey::Escape, false)?;
        expect("the key", window.run("said.textContent")?, "Escape")
    })
}
