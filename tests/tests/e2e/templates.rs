//! `new`, `run` and `dev` of the client without a node of anybody's: they start their own, and leave nothing behind.

use std::io::{BufRead, BufReader, Read};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::cli::Ran;
use crate::support::programs::programs;
use crate::support::{Connection, Request, example_path, wait_for};

/// A port at which nobody listens, and nobody can while this lives: it is the near end of a connection.
struct NobodysPort {
    _far_end: TcpListener,
    near_end: TcpStream,
}

impl NobodysPort {
    fn new() -> Result<Self> {
        let far_end = TcpListener::bind("127.0.0.1:0")?;
        Ok(Self {
            near_end: TcpStream::connect(far_end.local_addr()?)?,
            _far_end: far_end,
        })
    }

    fn number(&self) -> Result<u16> {
        Ok(self.near_end.local_addr()?.port())
    }
}

/// A home in which no node runs, with a folder for what is temporary.
struct Place {
    home: TempDir,
    /// The port of the usual node; the machine may have one at the default.
    _port: NobodysPort,
}

impl Place {
    fn new() -> Result<Self> {
        let home = tempfile::Builder::new()
            .prefix("serverledge-e2e-")
            .tempdir()?;
        std::fs::create_dir(home.path().join("tmp"))?;
        let port = NobodysPort::new()?;
        let config = format!("api.port = {}\n", port.number()?);
        std::fs::write(home.path().join("serverledge-conf.toml"), config)?;
        Ok(Self { home, _port: port })
    }

    fn path(&self, name: &str) -> PathBuf {
        self.home.path().join(name)
    }

    /// The client in a folder of this place.
    fn client(&self, folder: &str, arguments: &[&str]) -> Result<Command> {
        let mut command = Command::new(&programs()?.cli);
        command
            .args(arguments)
            .env_clear()
            .envs(std::env::var_os("PATH").map(|path| ("PATH", path)))
            .env("HOME", self.home.path())
            .env("TMPDIR", self.path("tmp"))
            .env(
                "SERVERLEDGE_CONTAINER_DOCKER_SOCKET",
                self.path("no-engine.sock"),
            )
            .current_dir(self.path(folder))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        Ok(command)
    }

    fn ran(&self, folder: &str, arguments: &[&str]) -> Result<Ran> {
        let output = self.client(folder, arguments)?.output()?;
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Ok(Ran {
            code: output.status.code(),
            stdout: text(&output.stdout),
            stderr: text(&output.stderr),
        })
    }

    /// Checks that nothing is left of the nodes that were started.
    fn assert_clean(&self) -> Result<()> {
        let left: Vec<_> = std::fs::read_dir(self.path("tmp"))?
            .map(|entry| entry.map(|entry| entry.file_name()))
            .collect::<Result<_, _>>()?;
        ensure!(left.is_empty(), "left behind: {left:?}");
        Ok(())
    }
}

/// A running `dev`. Told to end when dropped.
struct Running {
    child: Child,
    stdout: Arc<Mutex<String>>,
    stderr: Arc<Mutex<String>>,
}

impl Running {
    fn start(place: &Place, folder: &str, line: &[&str]) -> Result<Self> {
        let mut child = place.client(folder, line)?.spawn()?;
        let stdout = gathered(child.stdout.take().context("stdout is piped")?);
        let stderr = gathered(child.stderr.take().context("stderr is piped")?);
        Ok(Self {
            child,
            stdout,
            stderr,
        })
    }

    fn out(&self) -> String {
        text(&self.stdout)
    }

    fn err(&self) -> String {
        text(&self.stderr)
    }

    /// The address in the first line that says where the function is live.
    fn address(&mut self) -> Result<SocketAddr> {
        let line = wait_for("the function's URL", || {
            if let Some(status) = self.child.try_wait()? {
                anyhow::bail!("it ended with {status}: {}{}", self.out(), self.err());
            }
            Ok(self
                .out()
                .lines()
                .find(|line| line.contains(" is live at "))
                .map(str::to_owned))
        })?;
        let url = line.split_once("http://").map(|(_, rest)| rest);
        let address = url.and_then(|rest| rest.split('/').next());
        Ok(address.context("a URL")?.parse()?)
    }

    /// The process of the node that it has started.
    fn node(&self) -> Result<PathBuf> {
        let pid = self.child.id();
        let children = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children"))?;
        let node = children.split_whitespace().next().context("no node")?;
        Ok(Path::new("/proc").join(node))
    }

    fn interrupt(&mut self) -> Result<ExitStatus> {
        signal(self.child.id(), "INT")?;
        let child = &mut self.child;
        wait_for("the end of dev", || Ok(child.try_wait()?))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It stops its node, which it could not if it were killed.
        if matches!(self.child.try_wait(), Ok(None)) {
            let _ = signal(self.child.id(), "TERM");
            let _ = self.child.wait();
        }
    }
}

/// Whether a process is gone; one that nobody has waited for yet counts as well.
fn has_ended(process: &Path) -> bool {
    let status = std::fs::read_to_string(process.join("status")).unwrap_or_default();
    status.is_empty() || status.contains("State:\tZ")
}

fn signal(pid: u32, name: &str) -> Result<()> {
    let status = Command::new("sh")
        .args(["-c", "kill -s \"$1\" \"$0\"", &pid.to_string(), name])
        .status()?;
    ensure!(status.success(), "failed to send SIG{name}");
    Ok(())
}

/// Reads a stream to its end beside the test.
fn gathered(stream: impl Read + Send + 'static) -> Arc<Mutex<String>> {
    let text = Arc::new(Mutex::new(String::new()));
    let into = Arc::clone(&text);
    std::thread::spawn(move || {
        for line in BufReader::new(stream).lines().map_while(Result::ok) {
            let mut text = into.lock().unwrap_or_else(PoisonError::into_inner);
            text.push_str(&line);
            text.push('\n');
        }
    });
    text
}

fn text(text: &Mutex<String>) -> String {
    text.lock().unwrap_or_else(PoisonError::into_inner).clone()
}

/// The function's answer.
fn asked(address: SocketAddr, target: &str) -> Result<Value> {
    let response = Connection::open(address)?.send(&Request::get(target))?;
    response.json()
}

fn script(message: &str) -> String {
    format!(
        "export default ({{ name }}) => {{ console.log('asked by', name); return `{message}, ${{name}}!`; }};\n"
    )
}

#[test]
fn a_template_runs_once_without_a_node() -> Result<()> {
    let place = Place::new()?;
    let made = place.ran("", &["new", "hey", "--template", "javascript"])?;
    assert_eq!(made.assert_code(0).json()?["Template"], "javascript");
    let refused = place.ran("", &["new", "hey"])?;
    assert!(refused.assert_code(1).stderr.contains("is not empty"));
    let ran = place.ran("", &["run", "hey", "-p", "name:Ada"])?;
    assert_eq!(
        ran.assert_code(0).json()?,
        json!({ "message": "Hello, Ada!" })
    );
    assert!(ran.stderr.contains("greeting Ada"), "{ran:?}");
    assert!(ran.stderr.contains("compiling"), "{ran:?}");
    let again = place.ran("", &["run", "hey", "-p", "name:Bob"])?;
    let greeting = json!({ "message": "Hello, Bob!" });
    assert_eq!(again.assert_code(0).json()?, greeting);
    assert!(!again.stderr.contains("compiling"), "{again:?}");
    place.assert_clean()
}

#[test]
fn a_file_runs_once_and_its_failure_is_the_exit_code() -> Result<()> {
    let place = Place::new()?;
    let path = example_path("word-count");
    let path = path.to_str().context("the path is text")?;
    let ran = place.ran("", &["run", path, "-p", "text:to be or not to be"])?;
    assert_eq!(ran.assert_code(0).json()?["words"], 6, "{ran:?}");
    let failing = "(module (import \"wasi_snapshot_preview1\" \"proc_exit\" (func $exit (param i32))) \
                   (memory (export \"memory\") 1) (func (export \"_start\") (call $exit (i32.const 3))))";
    std::fs::write(place.path("fails.wat"), failing)?;
    let ran = place.ran("", &["run", "fails.wat"])?;
    assert!(ran.assert_code(5).stderr.contains("code 3"), "{ran:?}");
    let ran = place.ran("", &["run", "nowhere.wasm"])?;
    assert!(
        ran.assert_code(3).stderr.contains("nowhere.wasm"),
        "{ran:?}"
    );
    place.assert_clean()
}

#[test]
fn a_build_that_fails_is_shown() -> Result<()> {
    let place = Place::new()?;
    std::fs::create_dir(place.path("f"))?;
    let describe = |build: &str| {
        let description = json!({ "function": "f", "src": "f.wasm", "build": build });
        std::fs::write(place.path("f/serverledge.json"), description.to_string())
    };
    describe("echo no luck >&2; exit 1")?;
    let ran = place.ran("f", &["run"])?;
    assert!(ran.assert_code(3).stderr.contains("no luck"), "{ran:?}");
    describe("true")?;
    let ran = place.ran("f", &["run"])?;
    assert!(ran.assert_code(3).stderr.contains("made no"), "{ran:?}");
    place.assert_clean()
}

#[test]
fn changes_are_live_until_it_is_interrupted() -> Result<()> {
    let place = Place::new()?;
    place.ran("", &["new", "hey"])?.assert_code(0);
    let main = place.path("hey/main.js");
    std::fs::write(&main, script("Hello"))?;
    let mut dev = Running::start(&place, "hey", &["dev"])?;
    let address = dev.address()?;
    let target = "/fn/hey?name=Ada";
    assert_eq!(asked(address, target)?, "Hello, Ada!");
    std::fs::write(&main, script("Good morning"))?;
    wait_for("the changed function", || {
        Ok((asked(address, target)? == "Good morning, Ada!").then_some(()))
    })?;
    wait_for("the log of a call", || {
        Ok(dev.out().contains("asked by Ada").then_some(()))
    })?;
    std::fs::write(&main, "export default (")?;
    wait_for("the complaint about a fault", || {
        Ok(dev.err().contains("SyntaxError").then_some(()))
    })?;
    assert_eq!(asked(address, target)?, "Good morning, Ada!");
    std::fs::write(&main, script("Good evening"))?;
    wait_for("the mended function", || {
        Ok((asked(address, target)? == "Good evening, Ada!").then_some(()))
    })?;
    let node = dev.node()?;
    let status = dev.interrupt()?;
    assert!(status.success(), "{status}: {}", dev.err());
    assert!(has_ended(&node), "{node:?}");
    place.assert_clean()
}

#[test]
fn a_client_that_is_killed_leaves_no_node() -> Result<()> {
    let place = Place::new()?;
    std::fs::write(place.path("f.js"), script("Hello"))?;
    let mut dev = Running::start(&place, "", &["dev", "f.js"])?;
    dev.address()?;
    let node = dev.node()?;
    dev.child.kill()?;
    dev.child.wait()?;
    wait_for("the end of the node", || Ok(has_ended(&node).then_some(())))?;
    // The next one removes the folder.
    let ran = place.ran("", &["run", "f.js", "-p", "name:Ada"])?;
    assert_eq!(ran.assert_code(0).json()?, "Hello, Ada!");
    place.assert_clean()
}

#[test]
fn a_build_that_writes_beside_the_source_is_run_once() -> Result<()> {
    let place = Place::new()?;
    std::fs::create_dir(place.path("f"))?;
    let source = |text: &str| {
        let module = format!(
            "(module (memory (export \"memory\") 1) (func (export \"_start\")) (data (i32.const 0) {text:?}))"
        );
        std::fs::write(place.path("f/f.source"), module)
    };
    source("one")?;
    let build = "echo built >> ../builds; cp f.source main.wat";
    let description = json!({ "function": "f", "src": ".", "build": build });
    std::fs::write(place.path("f/serverledge.json"), description.to_string())?;
    let mut dev = Running::start(&place, "f", &["dev"])?;
    dev.address()?;
    wait_for("the remark on its own file", || {
        Ok(dev.err().contains("the build itself writes").then_some(()))
    })?;
    let builds = || -> Result<usize> {
        Ok(std::fs::read_to_string(place.path("builds"))?
            .lines()
            .count())
    };
    assert_eq!(builds()?, 2);
    source("two")?;
    wait_for("a build after a change", || {
        Ok((builds()? == 3).then_some(()))
    })?;
    dev.interrupt()?;
    assert_eq!(builds()?, 3);
    place.assert_clean()
}

#[test]
fn a_damaged_cache_of_machine_code_does_no_harm() -> Result<()> {
    let place = Place::new()?;
    let module = "(module (memory (export \"memory\") 1) (func (export \"_start\")))";
    std::fs::write(place.path("f.wat"), module)?;
    let line = ["run", "f.wat", "--stdout", "raw"];
    place.ran("", &line)?.assert_code(0);
    let key = place.path(".cache/serverledge/machine-code/key");
    std::fs::write(&key, "")?;
    place.ran("", &line)?.assert_code(0);
    assert_eq!(std::fs::metadata(&key)?.len(), 32, "it has healed");
    place.assert_clean()
}

#[test]
fn parameters_of_a_body_are_in_the_query() -> Result<()> {
    let place = Place::new()?;
    std::fs::write(place.path("in"), "a body")?;
    let module = "(module (memory (export \"memory\") 1) (func (export \"_start\")))";
    std::fs::write(place.path("f.wat"), module)?;
    let options = "run f.wat --args {w} --stdin body --stdout raw --body in";
    let line: Vec<&str> = options.split(' ').collect();
    let refused = place.ran("", &line)?;
    assert!(
        refused.assert_code(2).stderr.contains("\"w\""),
        "{refused:?}"
    );
    let ran = place.ran("", &[&line[..], &["-p", "w:640"]].concat())?;
    assert_eq!(ran.assert_code(0).stdout, "", "{ran:?}");
    place.assert_clean()
}

#[test]
fn a_node_that_is_there_is_used() -> Result<()> {
    let node = crate::support::Node::start()?;
    let folder: &Path = node.home();
    std::fs::write(folder.join("morning.js"), script("Good morning"))?;
    let done = node.cli(&["dev", "--once", "morning.js"])?;
    assert_eq!(done.assert_code(0).json()?["Created"], "morning");
    let answer = node.get("/fn/morning?name=Ada")?.json()?;
    assert_eq!(answer, "Good morning, Ada!");
    node.stop()?;
    Ok(())
}

#[test]
fn a_named_node_that_is_not_there_is_a_failure() -> Result<()> {
    let place = Place::new()?;
    std::fs::write(place.path("f.js"), script("Hello"))?;
    let port = NobodysPort::new()?;
    let ran = place.ran("", &["dev", "f.js", "--port", &port.number()?.to_string()])?;
    assert!(ran.assert_code(2).stderr.contains("unreachable"), "{ran:?}");
    place.assert_clean()
}
