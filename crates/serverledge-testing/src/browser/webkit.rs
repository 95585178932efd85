//! WebKit of GTK, driven with WebDriver (<https://www.w3.org/TR/webdriver2/>) by its own driver, which starts the
//! browser. It has no mode without a window, so it gets a screen of its own that nobody sees.

use std::fs::{read_dir, read_link, read_to_string};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::channel;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::time::Instant;

use super::input::{BrowserKey, click_actions, press_actions, write_actions};
use super::processes::{end, terminate};
use super::window::Window;

/// The time that an answer may take; generous, since tests share their machine.
const WAIT_MAX: Duration = Duration::from_secs(60);
/// Between two looks whether the driver listens.
const PAUSE: Duration = Duration::from_millis(10);
/// The state of a socket that listens, in `/proc/net/tcp`.
const LISTENING: &str = "0A";

/// A running WebKit with its first page.
#[derive(Debug)]
pub(super) struct WebKit {
    driver: Child,
    address: SocketAddr,
    /// The path of its session.
    session: String,
    /// Ends after the browser.
    _screen: Screen,
    _dir: TempDir,
}

/// An X server without a screen.
#[derive(Debug)]
struct Screen {
    server: Child,
    /// Its name, as in `DISPLAY`.
    display: String,
}

// === impl WebKit ===

impl WebKit {
    pub(super) fn open(url: &str) -> Result<Self> {
        let dir = tempfile::Builder::new()
            .prefix("serverledge-browser-")
            .tempdir()?;
        let screen = Screen::start()?;
        let driver = Command::new("WebKitWebDriver")
            .args(["--host=127.0.0.1", "--port=0"])
            .env("DISPLAY", &screen.display)
            .env("GDK_BACKEND", "x11")
            // Neither of them is needed, and both outlive what starts them.
            .env("NO_AT_BRIDGE", "1")
            .env("DBUS_SESSION_BUS_ADDRESS", "disabled:")
            .envs(["HOME", "XDG_CACHE_HOME", "XDG_CONFIG_HOME"].map(|name| (name, dir.path())))
            .envs(["XDG_DATA_HOME", "XDG_RUNTIME_DIR"].map(|name| (name, dir.path())))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .context("failed to start WebKitWebDriver")?;
        let mut webkit = Self {
            driver,
            address: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            session: String::new(),
            _screen: screen,
            _dir: dir,
        };
        let port = webkit.port()?;
        webkit.address.set_port(port);
        let made = webkit.ask("/session", &json!({"capabilities": {}}))?;
        let id = made["sessionId"].as_str().context("a session")?;
        webkit.session = format!("/session/{id}");
        let timeouts = json!({"script": WAIT_MAX.as_millis(), "pageLoad": WAIT_MAX.as_millis()});
        webkit.ask_session("timeouts", &timeouts)?;
        webkit.go(url)?;
        Ok(webkit)
    }

    /// The port on which the driver listens. It has taken a free one and tells nobody.
    fn port(&mut self) -> Result<u16> {
        let begun = Instant::now();
        loop {
            if let Some(port) = listening(self.driver.id())? {
                return Ok(port);
            }
            if let Some(status) = self.driver.try_wait()? {
                bail!("WebKitWebDriver ended: {status}");
            }
            ensure!(
                begun.elapsed() < WAIT_MAX,
                "WebKitWebDriver listens nowhere"
            );
            pause();
        }
    }

    fn ask_session(&self, command: &str, params: &Value) -> Result<Value> {
        self.ask(&format!("{}/{command}", self.session), params)
    }

    fn act(&self, actions: &Value) -> Result<()> {
        self.ask_session("actions", &json!({ "actions": actions }))
            .map(drop)
    }

    /// Sends a command and waits for its answer.
    fn ask(&self, path: &str, params: &Value) -> Result<Value> {
        let answer = exchange(self.address, path, &params.to_string())
            .with_context(|| format!("no answer to {path}"))?;
        let value = answer["value"].clone();
        if let Some(error) = value.get("error") {
            bail!("{path}: {error}: {}", value["message"]);
        }
        Ok(value)
    }
}

impl Window for WebKit {
    fn go(&mut self, url: &str) -> Result<()> {
        self.ask_session("url", &json!({"url": url})).map(drop)
    }

    fn run(&mut self, expression: &str) -> Result<Value> {
        // As text, since the protocol takes some objects for elements of the page.
        let script = format!(
            "const done = arguments[arguments.length - 1]; \
             (async () => JSON.stringify((await ({expression})) ?? null))()\
             .then((value) => done([value]), (error) => done([null, String(error)]));"
        );
        let answer = self.ask_session("execute/async", &json!({"script": script, "args": []}))?;
        match answer[0].as_str() {
            Some(text) => Ok(serde_json::from_str(text)?),
            None => bail!(
                "the page threw: {}",
                answer[1].as_str().unwrap_or("something")
            ),
        }
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
        self.driver.id()
    }
}

impl Drop for WebKit {
    fn drop(&mut self) {
        end(&mut self.driver);
    }
}

/// An exchange of HTTP on a connection of its own.
fn exchange(address: SocketAddr, path: &str, body: &str) -> Result<Value> {
    let mut stream = TcpStream::connect(address)?;
    // The driver's own limits come first, and say more.
    stream.set_read_timeout(Some(2 * WAIT_MAX))?;
    let request = format!(
        "POST {path} HTTP/1.1\r\nHost: {address}\r\nContent-Type: application/json\r\nConnection: close\r\n\
         Content-Length: {}\r\n\r\n{body}",
        body.len()
    );
    stream.write_all(request.as_bytes())?;
    let mut response = BufReader::new(stream);
    let mut length = None;
    let mut line = String::new();
    while line != "\r\n" {
        line.clear();
        ensure!(response.read_line(&mut line)? > 0, "the head is cut off");
        let field = line.split_once(':');
        if let Some((_, value)) =
            field.filter(|(name, _)| name.eq_ignore_ascii_case("content-length"))
        {
            length = Some(value.trim().parse()?);
        }
    }
    let mut body = vec![0; length.context("no length")?];
    response.read_exact(&mut body)?;
    Ok(serde_json::from_slice(&body)?)
}

/// The port on which a process listens, if it does.
fn listening(process: u32) -> Result<Option<u16>> {
    let sockets: Vec<String> = read_dir(format!("/proc/{process}/fd"))?
        .flatten()
        .filter_map(|entry| {
            read_link(entry.path())
                .ok()?
                .into_os_string()
                .into_string()
                .ok()
        })
        .filter_map(|link| Some(link.strip_prefix("socket:[")?.strip_suffix(']')?.to_owned()))
        .collect();
    let table = read_to_string("/proc/net/tcp")?;
    let found = table.lines().skip(1).find_map(|line| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let inode = fields.get(9)?;
        if *fields.get(3)? != LISTENING || !sockets.iter().any(|socket| socket == inode) {
            return None;
        }
        u16::from_str_radix(fields.get(1)?.rsplit_once(':')?.1, 16).ok()
    });
    Ok(found)
}

#[expect(
    clippy::disallowed_methods,
    reason = "the pause between two looks at a condition; nothing relies on its length"
)]
fn pause() {
    std::thread::sleep(PAUSE);
}

// === impl Screen ===

impl Screen {
    /// Starts one. It takes a free number by itself, and listens on a socket of this machine only.
    fn start() -> Result<Self> {
        let server = Command::new("Xvfb")
            .args([
                "-displayfd",
                "1",
                "-screen",
                "0",
                "800x600x24",
                "-nolisten",
                "tcp",
            ])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .context("failed to start Xvfb")?;
        let mut screen = Self {
            server,
            display: String::new(),
        };
        let stdout = screen.server.stdout.take().context("stdout is piped")?;
        let (sender, number) = channel();
        std::thread::spawn(move || {
            let mut line = String::new();
            if BufReader::new(stdout)
                .read_line(&mut line)
                .is_ok_and(|length| length > 0)
            {
                let _ = sender.send(line);
            }
        });
        let number = number
            .recv_timeout(WAIT_MAX)
            .context("Xvfb does not say which screen it is")?;
        screen.display = format!(":{}", number.trim());
        Ok(screen)
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        terminate(&mut self.server);
    }
}
