//! `examples/browser-edge`: photos are shrunk in the page, and again while the node is away.

use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use serverledge_testing::browser::{Engine, Window};

use crate::e2e::Node;
use crate::e2e::programs::{programs, root};
use crate::support::shop::expect;

/// The time that a picture of 12 megapixels may take, on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// The text of an element, once it has one that matches.
fn text(window: &mut dyn Window, id: &str, pattern: &str) -> Result<Value> {
    let script = format!(
        "new Promise((done, failed) => {{ \
         const at = document.getElementById('{id}'); \
         const look = () => /{pattern}/.test(at.textContent) && done(at.textContent); \
         new MutationObserver(look).observe(at, {{ childList: true, characterData: true, subtree: true }}); \
         setTimeout(() => failed(new Error(document.body.innerText)), {}); \
         look(); }})",
        PATIENCE.as_millis()
    );
    window.run(&script)
}

#[test]
fn photos_are_shrunk_in_the_page_and_without_the_node() -> Result<()> {
    let node = Node::start()?;
    let port = node.address.port();
    let deployed = Command::new(root().join("examples/browser-edge/deploy.sh"))
        .env("HOME", node.home())
        .env("SERVERLEDGE_CLI", &programs()?.cli)
        .env("SERVERLEDGE_URL", format!("http://127.0.0.1:{port}"))
        .output()
        .context("failed to start deploy.sh")?;
    let told = String::from_utf8_lossy(&deployed.stdout).into_owned();
    ensure!(deployed.status.success(), "{deployed:?}");
    let url = format!("http://photos.localhost:{port}/index.html");
    ensure!(told.contains(&format!("open {url}")), "{told}");
    let mut window = Engine::Chromium.open(&format!("{url}#drawn"))?;
    let window = window.as_mut();
    text(window, "total", "% less")?;
    text(window, "state", "works offline")?;
    let sent = "document.getElementById('photos').textContent.includes('waits')";
    expect("sent on", window.run(sent)?, false)?;
    node.stop()?;
    window.go("about:blank")?;
    window.go(&format!("{url}#drawn"))?;
    text(window, "total", "% less")?;
    expect("without the node", window.run(sent)?, true)?;
    Ok(())
}
