//! Chromium: opens pages, runs scripts in them, takes pictures. It is driven over two pipes with the Chrome DevTools
//! Protocol (<https://chromedevtools.github.io/devtools-protocol/>), so that it listens nowhere.

use std::collections::VecDeque;
use std::fs::{File, OpenOptions};
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use tempfile::TempDir;

use super::input::BrowserKey;
use super::processes::end;

/// The time that an answer may take; generous, since tests share their machine.
const WAIT_MAX: Duration = Duration::from_secs(60);

/// A running browser. All its pages share cookies.
#[derive(Debug)]
pub struct Browser {
    child: Child,
    commands: File,
    messages: Receiver<Value>,
    /// Events that came while an answer was waited for.
    events: VecDeque<Value>,
    /// See [`Self::faults`].
    faults: Vec<String>,
    last: u64,
    _dir: TempDir,
}

/// An open page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page {
    session: String,
}

// === impl Browser ===

impl Browser {
    /// Starts one. `names` are host names that lead to 127.0.0.1.
    ///
    /// # Errors
    /// If there is no Chromium, or it does not start.
    pub fn start(names: &[&str]) -> Result<Self> {
        let dir = tempfile::Builder::new()
            .prefix("serverledge-browser-")
            .tempdir()?;
        let commands = dir.path().join("commands");
        let messages = dir.path().join("messages");
        ensure!(
            Command::new("mkfifo")
                .args([&commands, &messages])
                .status()?
                .success(),
            "failed to make pipes"
        );
        let rules: Vec<String> = names
            .iter()
            .map(|name| format!("MAP {name} 127.0.0.1"))
            .collect();
        let child = Command::new("sh")
            // The pipes are its descriptors 3 and 4.
            .args([
                "-c",
                r#"exec chromium "$@" 3<"$COMMANDS" 4>"$MESSAGES""#,
                "sh",
            ])
            .args([
                "--headless=new",
                "--no-sandbox",
                "--disable-gpu",
                "--disable-dev-shm-usage",
                "--no-first-run",
            ])
            .args([
                "--disable-extensions",
                "--disable-background-networking",
                "--remote-debugging-pipe",
            ])
            .arg(format!(
                "--user-data-dir={}",
                dir.path().join("profile").display()
            ))
            .arg(format!("--host-resolver-rules={}", rules.join(",")))
            .env("COMMANDS", &commands)
            .env("MESSAGES", &messages)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(File::create(dir.path().join("stderr"))?)
            .spawn()
            .context("failed to start chromium")?;
        // In the order of the shell, which waits for the other end of each.
        let commands = OpenOptions::new().write(true).open(&commands)?;
        let messages = messages_of(File::open(&messages)?);
        let mut browser = Self {
            child,
            commands,
            messages,
            events: VecDeque::new(),
            faults: Vec::new(),
            last: 0,
            _dir: dir,
        };
        browser
            .ask(None, "Browser.getVersion", &json!({}))
            .context("chromium does not answer")?;
        Ok(browser)
    }

    /// Its process.
    #[must_use]
    pub fn process(&self) -> u32 {
        self.child.id()
    }

    /// Opens a page and waits until it is loaded.
    ///
    /// # Errors
    /// If the browser does not answer. A page that cannot be loaded is no error: the browser shows its own.
    pub fn open(&mut self, url: &str) -> Result<Page> {
        let target = self.ask(None, "Target.createTarget", &json!({"url": "about:blank"}))?;
        let attached = self.ask(
            None,
            "Target.attachToTarget",
            &json!({"targetId": target["targetId"], "flatten": true}),
        )?;
        let page = Page {
            session: attached["sessionId"]
                .as_str()
                .context("a session")?
                .to_owned(),
        };
        for domain in ["Page", "Log", "Runtime"] {
            self.ask(Some(&page), &format!("{domain}.enable"), &json!({}))?;
        }
        self.go(&page, url)?;
        Ok(page)
    }

    /// Leads a page to another address and waits until it is loaded.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub fn go(&mut self, page: &Page, url: &str) -> Result<()> {
        self.events.clear();
        self.ask(Some(page), "Page.navigate", &json!({"url": url}))?;
        self.wait_for("Page.loadEventFired", page)
    }

    /// Runs an expression in a page and returns its value; of a promise, what it comes to.
    ///
    /// # Errors
    /// If it throws: the error says what.
    pub fn run(&mut self, page: &Page, expression: &str) -> Result<Value> {
        let asked = json!({"expression": expression, "awaitPromise": true, "returnByValue": true, "userGesture": true});
        let answer = self.ask(Some(page), "Runtime.evaluate", &asked)?;
        if let Some(details) = answer.get("exceptionDetails") {
            bail!(
                "the page threw: {}",
                details["exception"]["description"]
                    .as_str()
                    .unwrap_or("something")
            );
        }
        Ok(answer["result"]["value"].clone())
    }

    /// Sets the size of a page's window, in pixels.
    ///
    /// # Errors
    /// If the browser does not answer.
    pub fn resize(&mut self, page: &Page, width: u32, height: u32) -> Result<()> {
        let asked =
            json!({"width": width, "height": height, "deviceScaleFactor": 1, "mobile": false});
        self.ask(Some(page), "Emulation.setDeviceMetricsOverride", &asked)
            .map(drop)
    }

    /// Has a page look as on a system that prefers `light` or `dark`.
    ///
    /// # Errors
    /// If the browser does not answer.
    pub fn prefer(&mut self, page: &Page, scheme: &str) -> Result<()> {
        let features = json!([
            {"name": "prefers-color-scheme", "value": scheme},
            {"name": "prefers-reduced-motion", "value": "reduce"},
        ]);
        let asked = json!({ "features": features });
        self.ask(Some(page), "Emulation.setEmulatedMedia", &asked)
            .map(drop)
    }

    pub(super) fn click(&mut self, page: &Page, x: i32, y: i32) -> Result<()> {
        for kind in ["mouseMoved", "mousePressed", "mouseReleased"] {
            let button = if kind == "mouseMoved" { "none" } else { "left" };
            let asked = json!({"type": kind, "x": x, "y": y, "button": button, "clickCount": 1});
            self.ask(Some(page), "Input.dispatchMouseEvent", &asked)?;
        }
        Ok(())
    }

    pub(super) fn write(&mut self, page: &Page, text: &str) -> Result<()> {
        self.ask(Some(page), "Input.insertText", &json!({ "text": text }))
            .map(drop)
    }

    pub(super) fn press(&mut self, page: &Page, key: BrowserKey, control: bool) -> Result<()> {
        let (name, code, number) = match key {
            BrowserKey::Delete => ("Delete".to_owned(), "Delete".to_owned(), 46),
            BrowserKey::Enter => ("Enter".to_owned(), "Enter".to_owned(), 13),
            BrowserKey::Escape => ("Escape".to_owned(), "Escape".to_owned(), 27),
            BrowserKey::Letter(letter) => {
                let upper = letter.to_ascii_uppercase();
                (
                    letter.to_string(),
                    format!("BrowserKey{upper}"),
                    u32::from(upper),
                )
            }
        };
        let modifiers = if control { 2 } else { 0 };
        // A form is sent by the character of the key, not by the key.
        let text = if name == "Enter" { "\r" } else { "" };
        for kind in ["keyDown", "keyUp"] {
            let asked = json!({
                "type": kind, "key": name, "code": code, "windowsVirtualKeyCode": number, "modifiers": modifiers,
                "text": if kind == "keyDown" { text } else { "" },
            });
            self.ask(Some(page), "Input.dispatchKeyEvent", &asked)?;
        }
        Ok(())
    }

    /// Uncaught errors of pages and what their policies forbade, since this was asked last. Answers that are errors
    /// are not among them.
    ///
    /// # Errors
    /// If the browser does not answer.
    pub fn faults(&mut self) -> Result<Vec<String>> {
        // Events come before the answer to what is asked after them.
        self.ask(None, "Browser.getVersion", &json!({}))?;
        Ok(std::mem::take(&mut self.faults))
    }

    /// A picture of a page: PNG.
    ///
    /// # Errors
    /// If the browser does not answer.
    pub fn picture(&mut self, page: &Page) -> Result<Vec<u8>> {
        let answer = self.ask(
            Some(page),
            "Page.captureScreenshot",
            &json!({"format": "png"}),
        )?;
        Ok(STANDARD.decode(answer["data"].as_str().context("a picture")?)?)
    }

    /// Sends a command of the protocol and waits for its answer.
    ///
    /// # Errors
    /// If the browser refuses it.
    pub fn ask(&mut self, page: Option<&Page>, method: &str, params: &Value) -> Result<Value> {
        self.last += 1;
        let mut command = json!({"id": self.last, "method": method, "params": params});
        if let Some(page) = page {
            command["sessionId"] = Value::from(page.session.clone());
        }
        let mut bytes = command.to_string().into_bytes();
        bytes.push(0);
        self.commands.write_all(&bytes)?;
        loop {
            let message = self
                .receive()
                .with_context(|| format!("no answer to {method}"))?;
            if message["id"] == self.last {
                if let Some(error) = message.get("error") {
                    bail!("{method}: {error}");
                }
                return Ok(message["result"].clone());
            }
            self.events.push_back(message);
        }
    }

    fn wait_for(&mut self, event: &str, page: &Page) -> Result<()> {
        let wanted = |message: &Value| {
            message["method"] == event && message["sessionId"] == page.session.as_str()
        };
        if self.events.drain(..).any(|message| wanted(&message)) {
            return Ok(());
        }
        while !wanted(&self.receive().with_context(|| format!("no {event}"))?) {}
        Ok(())
    }

    fn receive(&mut self) -> Result<Value> {
        let message = self.messages.recv_timeout(WAIT_MAX)?;
        self.faults.extend(fault_in(&message));
        Ok(message)
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        end(&mut self.child);
    }
}

/// The fault that an event tells of, if it does.
fn fault_in(message: &Value) -> Option<String> {
    let params = &message["params"];
    match message["method"].as_str()? {
        "Runtime.exceptionThrown" => {
            let details = &params["exceptionDetails"];
            let thrown = &details["exception"]["description"];
            Some(thrown.as_str().unwrap_or("something thrown").to_owned())
        }
        "Log.entryAdded" => {
            let entry = &params["entry"];
            let is_fault = matches!(entry["level"].as_str(), Some("error" | "warning"));
            // Of the source `network` are answers with a status beyond 399.
            (is_fault && entry["source"] != "network").then(|| format!("{entry}"))
        }
        _ => None,
    }
}

/// Messages end with a zero byte.
fn messages_of(pipe: File) -> Receiver<Value> {
    let (sender, receiver) = channel();
    std::thread::spawn(move || {
        let mut pipe = BufReader::new(pipe);
        let mut bytes = Vec::new();
        while pipe.read_until(0, &mut bytes).is_ok_and(|count| count > 0) {
            let message = serde_json::from_slice(bytes.strip_suffix(&[0]).unwrap_or(&bytes));
            bytes.clear();
            if !message.is_ok_and(|message| sender.send(message).is_ok()) {
                return;
            }
        }
    });
    receiver
}
