//! A node on plain HTTP with a victim (Ada), somebody who attacks her (Mallory), and whoever runs it. Ada is logged in in
//! the browser; Mallory has an application whose page does what a test says.

use std::process::Command;

use anyhow::{Context, Result, ensure};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use serverledge_testing::browser::{Browser, Page};

use crate::e2e::programs::programs;
use crate::e2e::{Node, Request, Response, Setup, example};
use crate::support::lab::PASSWORD;

pub(crate) const ADA: &str = "ada@example.org";
const MALLORY: &str = "mallory@example.org";
const OPERATOR: &str = "operator@example.org";
/// Mallory's application; `page` is an endpoint of it.
pub(crate) const EVIL: &str = "evil";

/// See the module.
#[derive(Debug)]
pub(crate) struct Stage {
    pub(crate) node: Node,
    pub(crate) ada: Account,
    pub(crate) mallory: Account,
    operator: Account,
}

/// Somebody with a session and a token.
#[derive(Debug)]
pub(crate) struct Account {
    /// The cookie's value.
    pub(crate) session: String,
    pub(crate) token: String,
}

// === impl Stage ===

impl Stage {
    /// `with` are keys of the configuration.
    pub(crate) fn start(with: &[(&str, &str)]) -> Result<Self> {
        let setup = with
            .iter()
            .fold(Setup::new()?, |setup, (key, value)| setup.with(key, value));
        let node = setup
            .with("auth.enabled", true)
            .with("accounts.signup", "open")
            .start()?;
        let sign_up = |email: &str| Account::sign_up(&node, email);
        let ada = sign_up(ADA)?;
        let mallory = sign_up(MALLORY)?;
        let operator = sign_up(OPERATOR)?;
        let granted = Command::new(&programs()?.node)
            .args(["user", "grant", OPERATOR])
            .env("SERVERLEDGE_DATA_DIR", node.data())
            .output()?;
        ensure!(
            granted.status.success(),
            "{}",
            String::from_utf8_lossy(&granted.stderr)
        );
        let stage = Self {
            node,
            ada,
            mallory,
            operator,
        };
        stage.furnish()?;
        Ok(stage)
    }

    /// Ada's functions, of which one has a page; and Mallory's application, which would have an origin of its own.
    fn furnish(&self) -> Result<()> {
        for name in ["add", "echo-http"] {
            self.ada.done(&self.node, "/create", &deployment(name)?)?;
        }
        self.mallory
            .done(&self.node, "/apps", &json!({ "name": EVIL }))?;
        self.mallory
            .done(&self.node, "/apps/evil/create", &deployment("echo-http")?)?;
        let endpoint = json!({"path": "page", "method": "GET", "function": "echo-http"});
        self.mallory.asked(
            &self.node,
            Request::new("PUT", "/apps/evil/endpoints").body(endpoint.to_string()),
        )?;
        let settings = json!({"own_origin": true, "cors": "any"});
        self.mallory.asked(
            &self.node,
            Request::new("PATCH", "/apps/evil").body(settings.to_string()),
        )?;
        self.mallory
            .done(&self.node, "/apps/evil/start", &json!({}))
            .map(drop)
    }

    /// The node under one of its names.
    pub(crate) fn url(&self, host: &str, path: &str) -> String {
        format!("http://{host}:{}{path}", self.node.address.port())
    }

    /// Ada logs in on a page of the node's, under this name; the page stays open.
    pub(crate) fn log_in(&self, browser: &mut Browser, host: &str) -> Result<Page> {
        let page = browser.open(&self.url(host, "/docs/"))?;
        let body = json!({"email": ADA, "password": PASSWORD}).to_string();
        let script = format!(
            "fetch('/account/log-in', {{method: 'POST', body: {}}}).then(r => r.status)",
            json!(body)
        );
        ensure!(browser.run(&page, &script)? == 200, "Ada is not logged in");
        ensure!(who(browser, &page)? == ADA, "the browser has no session");
        Ok(page)
    }

    /// Whether anything of Ada's was changed or run: what she owns, and what ran.
    pub(crate) fn state(&self) -> Result<Value> {
        let get = |path: &str| self.ada.asked(&self.node, Request::get(path))?.json();
        let count = |path: &str, member: &str| -> Result<usize> {
            Ok(get(path)?[member].as_array().context("a list")?.len())
        };
        let metrics = self
            .operator
            .asked(&self.node, Request::get("/metrics"))?
            .text();
        Ok(json!({
            "functions": get("/functions")?, "apps": get("/apps")?, "email": get("/account")?["email"],
            "tokens": count("/account/tokens", "tokens")?, "sessions": count("/account/sessions", "sessions")?,
            "ran": metrics.lines().any(|line| line.contains("function=") && line.contains("add\"")),
        }))
    }
}

// === impl Account ===

impl Account {
    pub(crate) fn sign_up(node: &Node, email: &str) -> Result<Self> {
        let body = json!({"email": email, "password": PASSWORD});
        let answer = node.post("/account/sign-up", &body)?;
        ensure!(answer.status == 201, "{}", answer.text());
        let cookie = answer
            .header("set-cookie")
            .and_then(|cookie| cookie.split(';').next())
            .context("a cookie")?;
        let wanted = json!({"name": "test", "scopes": ["invoke", "deploy", "admin"]});
        let made = node
            .ask(&Request::json("/account/tokens", &wanted).header("Cookie", cookie))?
            .json()?;
        let token = made["token"]
            .as_str()
            .with_context(|| format!("no token: {made}"))?
            .to_owned();
        let session = cookie.split_once('=').context("a value")?.1.to_owned();
        Ok(Self { session, token })
    }

    /// Asks with the token; the answer must be good.
    pub(crate) fn asked(&self, node: &Node, request: Request) -> Result<Response> {
        let answer =
            node.ask(&request.header("Authorization", &format!("Bearer {}", self.token)))?;
        ensure!(
            (200..300).contains(&answer.status),
            "{}: {}",
            answer.status,
            answer.text()
        );
        Ok(answer)
    }

    pub(crate) fn done(&self, node: &Node, path: &str, body: &Value) -> Result<Response> {
        self.asked(node, Request::json(path, body))
    }
}

pub(crate) fn deployment(example_name: &str) -> Result<Value> {
    let code = STANDARD.encode(example(example_name)?);
    Ok(json!({"Name": example_name, "Runtime": "wasm", "TarFunctionCode": code}))
}

/// The user that the node takes the browser for, on a page of its own; empty: nobody.
pub(crate) fn who(browser: &mut Browser, page: &Page) -> Result<String> {
    let asked = browser.run(page, "fetch('/account').then(r => r.json())")?;
    Ok(asked["email"].as_str().unwrap_or_default().to_owned())
}
