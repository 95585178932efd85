//! A logged-in session under attack, in a real browser: by pages that functions made, on the node's own origin and on an
//! application's host, and by pages of other sites. Each test ends with the same actions on a page of the node's own, where
//! they work: so they were refused for what they are.

use anyhow::{Result, ensure};
use serde_json::json;
use serverledge_testing::browser::{Browser, Page};

use crate::e2e::wait_for;
use crate::support::lab::PASSWORD;
use crate::support::site::Site;
use crate::support::stage::{ADA, EVIL, Stage, who};

const ELSEWHERE: &str = "<!doctype html><title>elsewhere</title><body>";
const PLANTED: &str =
    r#"{"Name": "planted", "Runtime": "wasm", "TarFunctionCode": "AGFzbQEAAAA="}"#;

/// Reads that a page could want to do with somebody's session: each comes to `refused`, or to what was learnt.
fn reads(base: &str) -> Vec<String> {
    let mut all: Vec<String> = [
        "/account",
        "/account/tokens",
        "/functions",
        "/functions/add",
        "/apps",
    ]
    .into_iter()
    .map(|path| {
        format!(
            "fetch('{base}{path}', {{credentials: 'include'}}).then(r => r.text(), () => 'refused')"
        )
    })
    .collect();
    all.push(
        "(() => { try { return /serverledge/.test(document.cookie) ? document.cookie : 'refused' } catch { return 'refused' } })()"
            .to_owned(),
    );
    all.push(format!(
        "new Promise(done => {{ const s = new EventSource('{base}/functions/add/logs?follow=true', {{withCredentials: true}}); \
         s.onopen = () => done('open'); s.onerror = () => done('refused'); }})"
    ));
    all.push(format!(
        "new Promise(done => {{ const s = new WebSocket('{}/functions'); s.onopen = () => done('open'); s.onerror = () => done('refused'); }})",
        base.replacen("http", "ws", 1)
    ));
    all.push(format!(
        "new Promise(done => {{ const s = document.createElement('script'); s.src = '{base}/functions'; \
         s.onload = () => done('ran'); s.onerror = () => done('refused'); document.head.append(s); }})"
    ));
    all
}

/// Writes that a page could want to do with it. It learns the outcome of none.
fn writes(base: &str) -> Vec<String> {
    let tokens = r#"{"name": "mallory", "scopes": ["admin"]}"#;
    let password = json!({"old": PASSWORD, "new": "of Mallory's choice"}).to_string();
    let bodies = [
        ("/create", PLANTED),
        ("/invoke/add", r#"{"Params":{"a":1,"b":2}}"#),
        ("/fn/add", r#"{"a":1,"b":2}"#),
        ("/functions/add/invocations", r#"{"Params":{"a":1,"b":2}}"#),
        ("/delete", r#"{"Name":"add"}"#),
        ("/apps", r#"{"name":"planted"}"#),
        ("/account/tokens", tokens),
        ("/account/password", &password),
        ("/account/log-out", ""),
        ("/account/log-out-everywhere", ""),
    ];
    let mut all = Vec::new();
    for (path, body) in bodies {
        let url = format!("'{base}{path}'");
        let body = json!(body);
        let options =
            format!("{{method: 'POST', mode: 'no-cors', credentials: 'include', body: {body}}}");
        all.push(format!(
            "fetch({url}, {options}).then(() => 'sent', () => 'sent')"
        ));
        all.push(format!("String(navigator.sendBeacon({url}, {body}))"));
        // Its body has a `=` behind it; some of these routes look at none.
        all.push(format!(
            "new Promise(done => {{ const into = document.createElement('iframe'); into.name = 'into' + Math.random(); \
             document.body.append(into); const form = document.createElement('form'); form.method = 'POST'; form.enctype = 'text/plain'; \
             form.action = {url}; form.target = into.name; const field = document.createElement('input'); \
             field.name = {body} || 'a'; form.append(field); document.body.append(form); \
             into.onload = () => done('sent'); form.submit(); setTimeout(() => done('blocked'), 300); }})"
        ));
    }
    for path in ["/fn/add?a=1&b=2", "/fn/add/?a=1&b=2"] {
        all.push(format!(
            "new Promise(done => {{ const i = new Image(); i.onload = i.onerror = () => done('sent'); i.src = '{base}{path}'; }})"
        ));
    }
    all.push(format!(
        "fetch('{base}/account', {{method: 'DELETE', credentials: 'include'}}).then(() => 'sent', () => 'refused')"
    ));
    all
}

const WORKER: &str = "(() => { try { return navigator.serviceWorker.register('/fn/echo-http/worker.js', {scope: '/'})
    .then(() => 'registered', () => 'refused') } catch { return 'refused' } })()";

fn text(browser: &mut Browser, page: &Page, script: &str) -> Result<String> {
    Ok(browser
        .run(page, script)?
        .as_str()
        .unwrap_or_default()
        .to_owned())
}

/// Does everything from this page; Ada's things stay as they were.
fn attack(stage: &Stage, browser: &mut Browser, page: &Page, base: &str, what: &str) -> Result<()> {
    let before = stage.state()?;
    for script in reads(base) {
        assert_eq!(text(browser, page, &script)?, "refused", "{what}: {script}");
    }
    for script in writes(base) {
        let sent = text(browser, page, &script)?;
        assert!(
            ["sent", "true", "false", "blocked", "refused"].contains(&sent.as_str()),
            "{what}: {sent} {script}"
        );
        let after = stage.state()?;
        assert_eq!(after, before, "{what}: {script}");
    }
    Ok(())
}

/// The same on a page of the node's own, with the same session.
fn control(stage: &Stage, browser: &mut Browser, page: &Page) -> Result<()> {
    assert_eq!(who(browser, page)?, ADA, "the session was taken away");
    assert_eq!(stage.state()?["ran"], false);
    assert_eq!(
        text(browser, page, "fetch('/functions').then(r => r.text())")?,
        r#"["add","echo-http"]"#
    );
    let image = "new Promise(done => { const i = new Image(); i.onload = i.onerror = () => done('sent'); i.src = '/fn/add?a=1&b=2'; })";
    assert_eq!(text(browser, page, image)?, "sent");
    assert_eq!(
        stage.state()?["ran"],
        true,
        "Ada runs her function with an image"
    );
    let make = "fetch('/apps', {method: 'POST', mode: 'no-cors', body: '{\"name\": \"mine\"}'}).then(r => r.status)";
    assert_eq!(browser.run(page, make)?, 201);
    assert_eq!(stage.state()?["apps"][0]["name"], "mine");
    Ok(())
}

#[test]
fn a_functions_page_on_the_nodes_origin_cannot_use_the_session() -> Result<()> {
    let stage = Stage::start(&[])?;
    let mut browser = Browser::start(&[])?;
    let own = stage.log_in(&mut browser, "localhost")?;
    for path in ["/app/evil/page", "/fn/echo-http/page"] {
        let page = browser.open(&stage.url("localhost", path))?;
        let origin = text(
            &mut browser,
            &page,
            "document.getElementById('who').textContent",
        )?;
        assert_eq!(origin, "a page of origin null", "{path}");
        assert_eq!(text(&mut browser, &page, WORKER)?, "refused", "{path}");
        attack(
            &stage,
            &mut browser,
            &page,
            &stage.url("localhost", ""),
            path,
        )?;
    }
    let workers = "navigator.serviceWorker.getRegistrations().then(all => String(all.length))";
    assert_eq!(text(&mut browser, &own, workers)?, "0");
    control(&stage, &mut browser, &own)
}

/// An application's host name lies below the node's own: for a browser they are one site, and it sends the cookie.
#[test]
fn an_applications_host_cannot_use_the_session() -> Result<()> {
    let stage = Stage::start(&[("platform.domain", "apps.localhost")])?;
    let mut browser = Browser::start(&[])?;
    let own = stage.log_in(&mut browser, "apps.localhost")?;
    let page = browser.open(&stage.url(&format!("{EVIL}.apps.localhost"), "/page"))?;
    attack(
        &stage,
        &mut browser,
        &page,
        &stage.url("apps.localhost", ""),
        "its host",
    )?;
    toss(
        &stage,
        &mut browser,
        &page,
        "serverledge_session",
        "apps.localhost",
    )?;
    control(&stage, &mut browser, &own)
}

/// With an origin of its own an application's page may set cookies; none reaches the node.
#[test]
fn an_application_with_an_origin_cannot_toss_a_session() -> Result<()> {
    let stage = Stage::start(&[])?;
    let mut browser = Browser::start(&[])?;
    let own = stage.log_in(&mut browser, "localhost")?;
    let page = browser.open(&stage.url(&format!("{EVIL}.localhost"), "/page"))?;
    check_has_origin(&mut browser, &page)?;
    attack(
        &stage,
        &mut browser,
        &page,
        &stage.url("localhost", ""),
        "its origin",
    )?;
    toss(
        &stage,
        &mut browser,
        &page,
        "serverledge_session",
        "localhost",
    )?;
    control(&stage, &mut browser, &own)
}

/// The cookie's name keeps neighbours away if people reach the node over TLS. `*.localhost` counts as secure.
#[test]
fn a_cookie_bound_to_its_host_cannot_be_tossed() -> Result<()> {
    let stage = Stage::start(&[
        ("platform.domain", "apps.localhost"),
        ("accounts.base_url", "https://faas.example.org"),
    ])?;
    let mut browser = Browser::start(&[])?;
    let own = stage.log_in(&mut browser, "apps.localhost")?;
    let page = browser.open(&stage.url(&format!("{EVIL}.apps.localhost"), "/page"))?;
    check_has_origin(&mut browser, &page)?;
    attack(
        &stage,
        &mut browser,
        &page,
        &stage.url("apps.localhost", ""),
        "its origin",
    )?;
    for name in [
        "serverledge_session",
        "__Host-serverledge_session",
        "__host-serverledge_session",
    ] {
        toss(&stage, &mut browser, &page, name, "apps.localhost")?;
    }
    control(&stage, &mut browser, &own)
}

fn check_has_origin(browser: &mut Browser, page: &Page) -> Result<()> {
    let origin = text(browser, page, "self.origin")?;
    ensure!(origin.starts_with("http://evil."), "{origin}");
    assert_eq!(
        text(browser, page, "document.cookie = 'mine=1'; document.cookie")?,
        "mine=1"
    );
    Ok(())
}

/// The page gives the browser Mallory's session for the node, in every way: Ada stays Ada, and whoever is not logged in stays
/// nobody.
fn toss(stage: &Stage, browser: &mut Browser, page: &Page, name: &str, domain: &str) -> Result<()> {
    let mallory = &stage.mallory.session;
    for path in ["/", "/account"] {
        for secure in ["", "; Secure"] {
            let cookie = format!("{name}={mallory}; Domain={domain}; Path={path}{secure}");
            let script = format!("try {{ document.cookie = {} }} catch {{}}", json!(cookie));
            browser.run(page, &script)?;
        }
    }
    let own = browser.open(&stage.url(domain, "/docs/"))?;
    assert_eq!(who(browser, &own)?, ADA, "{name}");
    // Logged out, as if it had never been otherwise.
    let fresh = browser.run(
        &own,
        "fetch('/account/log-out', {method: 'POST'}).then(r => r.status)",
    )?;
    assert_eq!(fresh, 204);
    assert_eq!(
        who(browser, &own)?,
        "",
        "{name}: the browser was given Mallory's session"
    );
    stage.log_in(browser, domain).map(drop)
}

#[test]
fn a_page_of_another_site_cannot_use_the_session() -> Result<()> {
    let stage = Stage::start(&[])?;
    let site = Site::serve(ELSEWHERE)?;
    let mut browser = Browser::start(&["elsewhere.example", "evil.localhost"])?;
    let own = stage.log_in(&mut browser, "localhost")?;
    // Another site, and another port of the same one, to which the browser sends the cookie.
    for host in ["elsewhere.example", "localhost", "evil.localhost"] {
        let page = browser.open(&format!("http://{host}:{}/", site.address.port()))?;
        attack(
            &stage,
            &mut browser,
            &page,
            &stage.url("localhost", ""),
            host,
        )?;
        follow(&stage, &mut browser, &page)?;
    }
    control(&stage, &mut browser, &own)
}

/// A link to a function: the browser goes there, and the node does not run it.
fn follow(stage: &Stage, browser: &mut Browser, page: &Page) -> Result<()> {
    let to = stage.url("localhost", "/fn/add?a=1&b=2");
    browser.run(
        page,
        &format!("setTimeout(() => {{ location.href = '{to}' }}); null"),
    )?;
    wait_for("the answer to a link", || {
        // While a page goes, it cannot be asked.
        let shown = text(browser, page, "document.body.innerText").unwrap_or_default();
        Ok(shown.contains("cross_origin").then_some(()))
    })?;
    assert_eq!(stage.state()?["ran"], false);
    Ok(())
}

/// A name of the attacker's that was made to lead to the node. The browser has no session there, nor can it get one.
#[test]
fn a_rebound_name_has_no_session() -> Result<()> {
    let stage = Stage::start(&[])?;
    let mut browser = Browser::start(&["rebound.example"])?;
    let own = stage.log_in(&mut browser, "localhost")?;
    let before = stage.state()?;
    let page = browser.open(&stage.url("rebound.example", "/docs/"))?;
    for (path, method) in [
        ("/account", "GET"),
        ("/functions", "GET"),
        ("/invoke/add", "POST"),
        ("/account/log-in", "POST"),
    ] {
        let body = if method == "POST" { ", body: '{}'" } else { "" };
        let asked = format!("fetch('{path}', {{method: '{method}'{body}}}).then(r => r.text())");
        let told = text(&mut browser, &page, &asked)?;
        assert!(told.contains("host_unknown"), "{path}: {told}");
    }
    attack(
        &stage,
        &mut browser,
        &page,
        &stage.url("localhost", ""),
        "a rebound name",
    )?;
    assert_eq!(stage.state()?, before);
    control(&stage, &mut browser, &own)
}

/// Clickjacking: nothing that acts with a session is shown in somebody's frame, not even in one of the node's own.
#[test]
fn pages_that_act_cannot_be_framed() -> Result<()> {
    let stage = Stage::start(&[])?;
    let mut browser = Browser::start(&[])?;
    let own = stage.log_in(&mut browser, "localhost")?;
    // Of a frame that was refused, the document is the browser's own and out of reach.
    let framed = |path: &str| {
        format!(
            "new Promise(done => {{ const f = document.createElement('iframe'); f.src = '{path}'; \
             f.onload = () => done(f.contentDocument === null ? 'refused' : 'shown'); document.body.append(f); }})"
        )
    };
    assert_eq!(
        text(&mut browser, &own, &framed("/healthz"))?,
        "shown",
        "the control"
    );
    for path in ["/account/reset", "/account/confirm", "/docs/"] {
        assert_eq!(
            text(&mut browser, &own, &framed(path))?,
            "refused",
            "{path}"
        );
        let answer = stage.node.get(path)?;
        let policy = answer.header("content-security-policy").unwrap_or_default();
        assert!(
            policy.contains("frame-ancestors 'none'"),
            "{path}: {policy}"
        );
        assert_eq!(answer.header("x-frame-options"), Some("DENY"), "{path}");
    }
    Ok(())
}
