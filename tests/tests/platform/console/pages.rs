//! Each page of the console with something in it: nothing that its policy forbids, no serious finding of axe-core
//! (<https://github.com/dequelabs/axe-core>) in light and dark, and pictures for people to look at. They lie in the folder
//! that `SERVERLEDGE_TEST_SCREENSHOTS` names, or in `console` among the temporary files of the build.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use serverledge_testing::browser::Tab;

use super::demo::Demo;
use super::{check, url};
use crate::e2e::programs::root;
use crate::e2e::{Setup, npm};
use crate::support::visitor::Visitor;

const AXE: &str = "axe-core@4.14.1";
/// Serious findings and worse, each with its rule and its places.
const FINDINGS: &str = "axe.run(document, { resultTypes: ['violations'] }).then(({ violations }) => violations
    .filter(({ impact }) => impact === 'serious' || impact === 'critical')
    .map(({ id, nodes }) => `${id}: ${nodes.slice(0, 3).map(({ target, failureSummary }) => `${target.join(' ')} ${failureSummary}`).join('; ')}`))";
const DESKTOP: (u32, u32) = (1280, 800);
const PHONE: (u32, u32) = (390, 844);
/// As long as a picture may be.
const HEIGHT_MAX: u64 = 4000;
/// Nothing loads, waits or moves any more: pages, cells of tables, editors and charts.
const STILL: &str = "document.fonts.status === 'loaded'
    && document.querySelector('.loading, .spinner') === null
    && [...document.querySelectorAll('td .muted')].every(({ textContent }) => textContent !== '…')
    && document.getAnimations().every(({ playState }) => playState !== 'running')";

/// Pages for everybody: name of the picture, address, a text on it.
const ENTRY: [(&str, &str, &str); 5] = [
    ("log-in", "/log-in", "Forgot the password?"),
    ("sign-up", "/sign-up", "You have an account?"),
    ("reset", "/reset", "Ask for a link"),
    ("confirm", "/confirm", "The link"),
    ("errors", "/errors", "function_error"),
];
/// Pages of somebody with functions, applications and runs.
const INSIDE: [(&str, &str, &str); 31] = [
    ("functions", "/functions", "greet-all"),
    ("new-function", "/new-function", "Begin with"),
    ("code", "/functions/primes/code", "Deploy as a new version"),
    ("try", "/functions/primes/try", "Run on the node"),
    ("function-runs", "/functions/divide/runs", "runs"),
    ("log", "/functions/greet/log", "greeting Ada"),
    ("versions", "/functions/greet/versions", "current"),
    ("function-settings", "/functions/greet/settings", "TONE"),
    ("function-unknown", "/functions/nobody", "function_unknown"),
    ("runs", "/runs", "Live"),
    ("runs-failed", "/runs?status=failures", "function_error"),
    (
        "runs-none",
        "/runs?q=nothing-has-this",
        "No run fits this filter",
    ),
    ("run", "/runs/ID", "Where the time went"),
    (
        "run-unknown",
        "/runs/01a20364-e627-71db-baa3-adca6653fac0",
        "No record of this run",
    ),
    ("asynchronous", "/runs/asynchronous", "primes"),
    ("dead-letters", "/runs/dead-letters", "patience"),
    ("apps", "/apps", "drafts"),
    ("new-app", "/apps?new=1", "Make it"),
    ("app", "/apps/shop", "price"),
    ("endpoints", "/apps/shop/endpoints", "Add an endpoint"),
    ("dependencies", "/apps/shop/dependencies", "ackages"),
    ("browsers", "/apps/shop/browsers", "runs there"),
    (
        "app-settings",
        "/apps/shop/settings",
        "Delete the application",
    ),
    ("app-empty", "/apps/drafts", "No functions yet"),
    (
        "app-try",
        "/apps/shop/functions/price/try",
        "Run on both and compare",
    ),
    ("node", "/node", "This node stands alone"),
    ("settings", "/settings", ADA_IS),
    ("tokens", "/settings/tokens", "New token"),
    ("sessions", "/settings/sessions", "Sessions"),
    ("invitations", "/settings/invitations", "nvitation"),
    ("nowhere", "/nowhere", "No such page"),
];
const ADA_IS: &str = super::demo::ADA;

/// Takes pictures and looks for findings.
struct Looker {
    tab: Tab,
    node: String,
    axe: String,
    folder: PathBuf,
    findings: Vec<String>,
}

#[test]
fn pages_are_as_they_should_be() -> Result<()> {
    let demo = Demo::start()?;
    let mut looker = Looker::start(url(&demo.node))?;
    for page in ENTRY {
        looker.look(page, |_| Ok(()))?;
    }
    let logged_in = looker
        .tab
        .browser
        .run(&looker.tab.page, &Demo::log_in_script())?;
    ensure!(logged_in == 200, "Ada is not logged in: {logged_in}");
    for (name, path, text) in INSIDE {
        let path = path.replace("ID", &demo.run);
        looker.look((name, &path, text), |visitor| prepare(name, visitor))?;
    }
    looker.end()
}

/// Does on a page what belongs there before it is looked at.
fn prepare(name: &str, visitor: &mut Visitor<'_>) -> Result<()> {
    match name {
        "try" => {
            visitor.fill("Parameters as JSON", r#"{ "limit": 100000 }"#)?;
            visitor.button("Run on the node")?;
            visitor.see("9592")?;
            visitor.see("Record")
        }
        "app-try" => {
            visitor.fill("Parameters as JSON", r#"{ "count": 3, "each": 2.5 }"#)?;
            visitor.button("Run on both and compare")?;
            visitor.see("equal results")?;
            visitor.see("Record")
        }
        "endpoints" => {
            visitor.fill(
                "Arguments of POST /order, as JSON",
                r#"{ "count": 3, "each": 2.5, "tax": 0.22 }"#,
            )?;
            visitor.button("Call it")?;
            visitor.see("9.15")
        }
        "tokens" => {
            visitor.fill("Name", "laptop")?;
            visitor.button("Make the token")?;
            visitor.see("Copy it now")
        }
        _ => Ok(()),
    }
}

/// A node on which nothing was done yet says what to do, on each page.
#[test]
fn empty_pages_say_what_to_do() -> Result<()> {
    let node = Setup::new()?.start()?;
    let mut looker = Looker::start(url(&node))?;
    for page in [
        (
            "empty-functions",
            "/functions",
            "There are no functions yet",
        ),
        ("empty-runs", "/runs", "No runs yet"),
        ("empty-asynchronous", "/runs/asynchronous", "asynchronous"),
        ("empty-dead-letters", "/runs/dead-letters", "ead letters"),
        ("empty-apps", "/apps", "No applications yet"),
        ("empty-node", "/node", "This node stands alone"),
    ] {
        looker.look(page, |_| Ok(()))?;
    }
    looker.end()
}

/// The control: faults are seen, so that the others are right to find none.
#[test]
fn what_a_page_may_not_do_is_noticed() -> Result<()> {
    let node = Setup::new()?.start()?;
    let mut looker = Looker::start(url(&node))?;
    let page = looker.tab.page.clone();
    looker.visit("/functions", "There are no functions yet")?;
    let bad = "document.body.append(Object.assign(document.createElement('style'), { textContent: 'body { color: red }' }))";
    looker.tab.browser.run(&page, bad)?;
    let faults = looker.tab.browser.faults()?;
    ensure!(
        faults.iter().any(|fault| fault.contains("style-src")),
        "{faults:?}"
    );
    let bad = "document.body.append(Object.assign(document.createElement('img'), { src: 'data:image/gif;base64,R0lGODlhAQABAAAAACw=' }))";
    looker.tab.browser.run(&page, bad)?;
    looker.inject_axe()?;
    let findings = looker.tab.browser.run(&page, FINDINGS)?.to_string();
    ensure!(findings.contains("image-alt"), "{findings}");
    Ok(())
}

// === impl Looker ===

impl Looker {
    fn start(node: String) -> Result<Self> {
        let folder = std::env::var_os("SERVERLEDGE_TEST_SCREENSHOTS").map_or_else(
            || Path::new(env!("CARGO_TARGET_TMPDIR")).join("console"),
            PathBuf::from,
        );
        std::fs::create_dir_all(&folder)?;
        Ok(Self {
            tab: Tab::open(&format!("{node}/healthz"))?,
            node,
            axe: axe()?,
            folder,
            findings: Vec::new(),
        })
    }

    fn visit(&mut self, path: &str, text: &str) -> Result<()> {
        let mut visitor = Visitor::new(&mut self.tab, &self.node);
        visitor.open(path)?;
        visitor.see(text)
    }

    /// Opens a page, does something there, and looks at it in all ways.
    fn look(
        &mut self,
        (name, path, text): (&str, &str, &str),
        prepare: impl FnOnce(&mut Visitor<'_>) -> Result<()>,
    ) -> Result<()> {
        self.prefer("light")?;
        self.resize(DESKTOP)?;
        self.visit(path, text).with_context(|| name.to_owned())?;
        let mut visitor = Visitor::new(&mut self.tab, &self.node);
        prepare(&mut visitor).with_context(|| name.to_owned())?;
        self.rest()?;
        let faults = self.faults()?;
        check(&faults).with_context(|| name.to_owned())?;
        for scheme in ["light", "dark"] {
            self.prefer(scheme)?;
            self.rest()?;
            self.picture(&format!("{name}-{scheme}"), DESKTOP)?;
            check(&self.faults()?).with_context(|| format!("{name} in {scheme}"))?;
            self.find(&format!("{name} in {scheme}"))?;
        }
        self.prefer("light")?;
        self.resize(PHONE)?;
        self.rest()?;
        self.picture(&format!("{name}-phone"), PHONE)?;
        let wide = "document.documentElement.scrollWidth - document.documentElement.clientWidth";
        let wide = self.tab.browser.run(&self.tab.page, wide)?;
        if wide != 0 {
            self.findings
                .push(format!("{name} on a phone is {wide} pixels too wide"));
        }
        Ok(())
    }

    fn faults(&mut self) -> Result<Vec<String>> {
        let mut faults = self.tab.browser.faults()?;
        faults.extend(Visitor::new(&mut self.tab, &self.node).faults()?);
        Ok(faults)
    }

    fn prefer(&mut self, scheme: &str) -> Result<()> {
        self.tab.browser.prefer(&self.tab.page, scheme)
    }

    fn resize(&mut self, (width, height): (u32, u32)) -> Result<()> {
        self.tab.browser.resize(&self.tab.page, width, height)
    }

    /// Waits until the page stands still.
    fn rest(&mut self) -> Result<()> {
        Visitor::new(&mut self.tab, &self.node)
            .wait("a page that stands still", STILL)
            .map(drop)
    }

    /// The whole page, also what is below the window.
    fn picture(&mut self, name: &str, (width, height): (u32, u32)) -> Result<()> {
        let length = self
            .tab
            .browser
            .run(&self.tab.page, "document.documentElement.scrollHeight")?;
        let length = length.as_u64().unwrap_or_default().min(HEIGHT_MAX);
        let clip = json!({
            "x": 0, "y": 0, "width": width, "height": length.max(u64::from(height)), "scale": 1,
        });
        let asked = json!({"format": "png", "captureBeyondViewport": true, "clip": clip});
        let picture =
            self.tab
                .browser
                .ask(Some(&self.tab.page), "Page.captureScreenshot", &asked)?;
        let picture = STANDARD.decode(picture["data"].as_str().context("a picture")?)?;
        Ok(std::fs::write(
            self.folder.join(format!("{name}.png")),
            picture,
        )?)
    }

    fn inject_axe(&mut self) -> Result<()> {
        let source = format!("{}; null", self.axe);
        self.tab.browser.run(&self.tab.page, &source).map(drop)
    }

    fn find(&mut self, place: &str) -> Result<()> {
        self.inject_axe()?;
        let found = self.tab.browser.run(&self.tab.page, FINDINGS)?;
        let found = found.as_array().context("a list")?;
        let texts = found.iter().filter_map(Value::as_str);
        self.findings
            .extend(texts.map(|text| format!("{place}: {text}")));
        // It makes styles of its own, which the policy forbids.
        self.faults().map(drop)
    }

    fn end(self) -> Result<()> {
        ensure!(self.findings.is_empty(), "{:#?}", self.findings);
        Ok(())
    }
}

/// The source of axe-core, installed once.
fn axe() -> Result<String> {
    let tools =
        std::env::var_os("SERVERLEDGE_TOOLS").map_or_else(|| root().join(".tools"), PathBuf::from);
    let folder = tools.join(AXE.replace('@', "-"));
    let file = folder.join("node_modules/axe-core/axe.min.js");
    if !file.exists() {
        std::fs::create_dir_all(&tools)?;
        // Another test may do the same: one of the folders gets the name.
        let fresh = tempfile::Builder::new().prefix("axe-").tempdir_in(&tools)?;
        npm::install(fresh.path(), &[AXE])?;
        let _ = std::fs::rename(fresh.path(), &folder);
    }
    std::fs::read_to_string(&file).with_context(|| format!("failed to read {}", file.display()))
}
