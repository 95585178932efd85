//! Firefox, driven with WebDriver BiDi (<https://www.w3.org/TR/webdriver-bidi/>): its scripts run in the page's own
//! realm, whatever the page's content security policy says.

use std::io::{BufRead, BufReader};
use std::net::{SocketAddr, TcpStream};
use std::process::{Child, ChildStderr, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};
use tempfile::TempDir;
use tungstenite::{Message, WebSocket};

use super::input::{BrowserKey, click_actions, press_actions, write_actions};
use super::processes::end;
use super::window::Window;

/// The time that an answer may take; generous, since tests share their machine.
const WAIT_MAX: Duration = Duration::from_secs(60);
/// The beginning of the line on stderr that tells the address.
const LISTENING: &str = "WebDriver BiDi listening on ws://";
/// Nothing is asked of other machines, so that tests need none and their time is their own.
const PREFERENCES: &str = r#"
user_pref("app.update.disabledForTesting", true);
user_pref("app.normandy.enabled", false);
user_pref("browser.safebrowsing.blockedURIs.enabled", false);
user_pref("browser.safebrowsing.downloads.enabled", false);
user_pref("browser.safebrowsing.malware.enabled", false);
user_pref("browser.safebrowsing.phishing.enabled", false);
user_pref("browser.safebrowsing.update.enabled", false);
user_pref("browser.shell.checkDefaultBrowser", false);
user_pref("browser.startup.homepage_override.mstone", "ignore");
user_pref("datareporting.policy.dataSubmissionEnabled", false);
user_pref("extensions.update.enabled", false);
user_pref("network.captive-portal-service.enabled", false);
user_pref("network.connectivity-service.enabled", false);
user_pref("services.settings.server", "data:,");
user_pref("toolkit.telemetry.server", "data:,");
"#;

/// A running Firefox with its first page.
#[derive(Debug)]
pub(super) struct Firefox {
    child: Child,
    socket: Option<WebSocket<TcpStream>>,
    context: String,
    last: u64,
    _dir: TempDir,
}

// === impl Firefox ===

impl Firefox {
    pub(super) fn open(url: &str) -> Result<Self> {
        let dir = tempfile::Builder::new()
            .prefix("serverledge-browser-")
            .tempdir()?;
        std::fs::write(dir.path().join("user.js"), PREFERENCES)?;
        let mut child = Command::new("firefox-esr")
            .args(["--headless", "--no-remote", "--remote-debugging-port=0"])
            .arg("--profile")
            .arg(dir.path())
            .env("HOME", dir.path())
            .env("MOZ_CRASHREPORTER_DISABLE", "1")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .context("failed to start firefox-esr")?;
        let stderr = child.stderr.take();
        let mut firefox = Self {
            child,
            socket: None,
            context: String::new(),
            last: 0,
            _dir: dir,
        };
        let address = addresses(stderr.context("stderr is piped")?)
            .recv_timeout(WAIT_MAX)
            .context("firefox-esr did not say where it listens")?;
        firefox.socket = Some(connect(address)?);
        firefox.ask("session.new", &json!({"capabilities": {}}))?;
        let tree = firefox.ask("browsingContext.getTree", &json!({}))?;
        firefox.context = tree["contexts"][0]["context"]
            .as_str()
            .context("a page")?
            .to_owned();
        firefox.go(url)?;
        Ok(firefox)
    }

    fn act(&mut self, actions: &Value) -> Result<()> {
        let asked = json!({"context": self.context, "actions": actions});
        self.ask("input.performActions", &asked).map(drop)
    }

    /// Sends a command and waits for its answer.
    fn ask(&mut self, method: &str, params: &Value) -> Result<Value> {
        let socket = self.socket.as_mut().context("not connected")?;
        self.last += 1;
        let command = json!({"id": self.last, "method": method, "params": params});
        socket.send(Message::text(command.to_string()))?;
        loop {
            let message = socket
                .read()
                .with_context(|| format!("no answer to {method}"))?;
            let Message::Text(message) = message else {
                continue;
            };
            let message: Value = serde_json::from_str(&message)?;
            if message["id"] != self.last {
                continue;
            }
            if message["type"] == "error" {
                bail!("{method}: {}: {}", message["error"], message["message"]);
            }
            return Ok(message["result"].clone());
        }
    }
}

impl Window for Firefox {
    fn go(&mut self, url: &str) -> Result<()> {
        let asked = json!({"context": self.context, "url": url, "wait": "complete"});
        self.ask("browsingContext.navigate", &asked).map(drop)
    }

    fn run(&mut self, expression: &str) -> Result<Value> {
        // The protocol's own values are not JSON.
        let expression = format!("(async () => JSON.stringify((await ({expression})) ?? null))()");
        let asked = json!({
            "expression": expression, "target": {"context": self.context}, "awaitPromise": true, "userActivation": true,
        });
        let answer = self.ask("script.evaluate", &asked)?;
        if let Some(details) = answer.get("exceptionDetails") {
            let text = details["text"].as_str();
            bail!("the page threw: {}", text.unwrap_or("something"));
        }
        let text = answer["result"]["value"].as_str().context("a value")?;
        Ok(serde_json::from_str(text)?)
    }

    fn click(&mut self, x: i32, y: i32) -> Result<()> {
        self.act(&click_actions(x, y))
    }

    fn write(&mut self, text: &str) -> Result<()> {
        self.act(&write_actions(text))
    }

    fn press(&mut self, key: BrowserKey, control: bool) -> Result<()> {
        self.act(&press_actions(key, control))
    }

    fn process(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for Firefox {
    fn drop(&mut self) {
        end(&mut self.child);
    }
}

fn connect(address: SocketAddr) -> Result<WebSocket<TcpStream>> {
    let stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(WAIT_MAX))?;
    stream.set_nodelay(true)?;
    let (socket, _) = tungstenite::client(format!("ws://{address}/session"), stream)
        .context("firefox-esr takes no connection")?;
    Ok(socket)
}

/// The address at which it listens, once it says so. Reads on, so that it can go on writing.
fn addresses(stderr: ChildStderr) -> Receiver<SocketAddr> {
    let (sender, receiver) = channel();
    std::thread::spawn(move || {
        for line in BufReader::new(stderr).lines().map_while(Result::ok) {
            let address = line.strip_prefix(LISTENING);
            if let Some(address) = address.and_then(|address| address.trim().parse().ok()) {
                let _ = sender.send(address);
            }
        }
    });
    receiver
}
