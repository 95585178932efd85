//! The web console in real browsers: the whole story by clicks and keys alone, the editor and what is live, a node that
//! goes away, and each page for its policy, for people who cannot see it well, and for the eye.

mod cluster;
mod demo;
mod editor;
mod hands;
mod pages;
mod programs;
mod story;

use anyhow::{Result, ensure};
use serverledge_testing::browser::Tab;

use crate::e2e::Node;
use crate::support::visitor::Visitor;

/// The node as a browser's pages name it.
fn url(node: &Node) -> String {
    format!("http://localhost:{}", node.address.port())
}

/// Does something in Chromium at a page of the console; nothing may go wrong in the page.
fn in_chromium(
    node: &Node,
    path: &str,
    visit: impl FnOnce(&mut Visitor<'_>) -> Result<()>,
) -> Result<()> {
    let mut tab = Tab::open("about:blank")?;
    let mut visitor = Visitor::new(&mut tab, &url(node));
    visitor.open(path)?;
    visit(&mut visitor)?;
    check(&visitor.faults()?)?;
    check(&tab.browser.faults()?)
}

/// Fails if something went wrong in a page.
fn check(faults: &[String]) -> Result<()> {
    ensure!(faults.is_empty(), "in the page: {faults:#?}");
    Ok(())
}
