//! A real node on a port of its own with a data folder of its own.

use std::borrow::Cow;
use std::io::{BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, ChildStderr, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, mpsc};
use std::thread::JoinHandle;

use anyhow::{Context, Result, bail, ensure};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use tempfile::TempDir;

use super::http::{Connection, Dial, Request, Response};
use super::programs::programs;
use super::wait::{PATIENCE, wait_for};

/// Settings with which a node is started.
#[derive(Debug)]
pub(crate) struct Setup {
    home: Arc<TempDir>,
    environment: Vec<(String, String)>,
    /// A shell command before the node; it ends in `exec "$0"`.
    shell: Option<Cow<'static, str>>,
    pub(crate) dial: Dial,
}

/// A running node. Killed when dropped.
#[derive(Debug)]
pub(crate) struct Node {
    pub(crate) address: SocketAddr,
    pub(crate) scheme: String,
    child: Child,
    home: Arc<TempDir>,
    environment: Vec<(String, String)>,
    shell: Option<Cow<'static, str>>,
    pub(crate) dial: Dial,
    stderr: Arc<Mutex<Vec<u8>>>,
    reader: Option<JoinHandle<()>>,
}

/// A node that has ended.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) status: ExitStatus,
    pub(crate) stderr: String,
    setup: Setup,
}

impl Setup {
    pub(crate) fn new() -> Result<Self> {
        let home = tempfile::Builder::new()
            .prefix("serverledge-e2e-")
            .tempdir()?;
        let setup = Self {
            home: Arc::new(home),
            environment: Vec::new(),
            shell: None,
            dial: Dial::default(),
        };
        // Whether there is a Docker Engine on the machine makes no difference, unless a test asks for it.
        let nowhere = setup.home().join("no-engine.sock");
        let setup = setup.with("container.docker_socket", nowhere.display());
        // Hundreds of nodes of tests would each compile it, most for nothing.
        Ok(setup.with("wasm.engine_at_start", false))
    }

    /// Sets a key of the configuration through its variable.
    pub(crate) fn with(mut self, key: &str, value: impl std::fmt::Display) -> Self {
        let name = format!("SERVERLEDGE_{}", key.replace('.', "_").to_uppercase());
        self.environment.retain(|(known, _)| *known != name);
        self.environment.push((name, format!("{value}")));
        self
    }

    pub(crate) fn under_shell(mut self, shell: impl Into<Cow<'static, str>>) -> Self {
        self.shell = Some(shell.into());
        self
    }

    pub(crate) fn home(&self) -> &Path {
        self.home.path()
    }

    pub(crate) fn data(&self) -> std::path::PathBuf {
        self.home.path().join("data")
    }

    pub(crate) fn start(self) -> Result<Node> {
        let mut child = self
            .command()?
            .spawn()
            .context("failed to start the node")?;
        let stderr = Arc::new(Mutex::new(Vec::new()));
        let reader = read_stderr(
            child.stderr.take().context("stderr is piped")?,
            Arc::clone(&stderr),
        );
        let stdout = child.stdout.take().context("stdout is piped")?;
        let (sender, lines) = mpsc::channel();
        std::thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                let _ = sender.send(line);
            }
        });
        let placeholder = SocketAddr::from(([127, 0, 0, 1], 0));
        let Self {
            home,
            environment,
            shell,
            dial,
        } = self;
        let scheme = String::new();
        let mut node = Node {
            address: placeholder,
            scheme,
            child,
            home,
            environment,
            shell,
            dial,
            stderr,
            reader: Some(reader),
        };
        let Ok(line) = lines.recv_timeout(PATIENCE) else {
            let _ = node.child.kill();
            let status = node.child.wait()?;
            // Its last words may still be on their way.
            bail!(
                "the node did not say where it listens:\n{}",
                node.ended(status).stderr
            );
        };
        (node.scheme, node.address) = address(&line)?;
        Ok(node)
    }

    fn command(&self) -> Result<Command> {
        let program = &programs()?.node;
        let mut command = match &self.shell {
            Some(shell) => {
                let mut command = Command::new("sh");
                command.arg("-c").arg(shell.as_ref()).arg(program);
                command
            }
            None => Command::new(program),
        };
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("SERVERLEDGE_") {
                command.env_remove(name);
            }
        }
        command
            .env("HOME", self.home())
            .env("SERVERLEDGE_API_PORT", "0")
            .env("SERVERLEDGE_DATA_DIR", self.data())
            .env("RUST_BACKTRACE", "1")
            .envs(self.environment.iter().map(|(name, value)| (name, value)))
            .current_dir(self.home())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        Ok(command)
    }
}

/// Scheme and address in the line that a node begins with.
fn address(line: &str) -> Result<(String, SocketAddr)> {
    let url = line
        .split_once(" listening on ")
        .and_then(|(_, rest)| rest.split(' ').next());
    let parts = url.and_then(|url| url.split_once("://"));
    let address =
        parts.and_then(|(scheme, address)| Some((scheme.to_owned(), address.parse().ok()?)));
    address.with_context(|| format!("{line:?} tells no address"))
}

fn read_stderr(mut stderr: ChildStderr, into: Arc<Mutex<Vec<u8>>>) -> JoinHandle<()> {
    std::thread::spawn(move || {
        let mut buffer = [0; 4096];
        while let Ok(count @ 1..) = stderr.read(&mut buffer) {
            locked(&into).extend_from_slice(&buffer[..count]);
        }
    })
}

fn locked(bytes: &Mutex<Vec<u8>>) -> MutexGuard<'_, Vec<u8>> {
    bytes.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Node {
    /// A node with every setting at its default.
    pub(crate) fn start() -> Result<Self> {
        Setup::new()?.start()
    }

    pub(crate) fn connect(&self) -> Result<Connection> {
        Connection::open_by(&self.dial, self.address)
    }

    /// Asks on a connection of its own.
    pub(crate) fn ask(&self, request: &Request) -> Result<Response> {
        self.dial.ask(self.address, request)
    }

    pub(crate) fn get(&self, target: &str) -> Result<Response> {
        self.ask(&Request::get(target))
    }

    pub(crate) fn post(&self, target: &str, body: &Value) -> Result<Response> {
        self.ask(&Request::json(target, body))
    }

    /// Runs a function through `/invoke`.
    pub(crate) fn invoke(&self, function: &str, params: &Value) -> Result<Response> {
        self.post(&format!("/invoke/{function}"), &json!({ "Params": params }))
    }

    /// Asks for a deployment of a bare module, binary or text, with further members of the request.
    pub(crate) fn try_deploy(&self, name: &str, module: &[u8], more: &Value) -> Result<Response> {
        self.post("/create", &deployment(name, module, more))
    }

    pub(crate) fn deploy_with(
        &self,
        name: &str,
        module: impl AsRef<[u8]>,
        more: &Value,
    ) -> Result<()> {
        let response = self.try_deploy(name, module.as_ref(), more)?;
        ensure!(
            response.status == 200,
            "{name} was not deployed: {}",
            response.text()
        );
        Ok(())
    }

    pub(crate) fn deploy(&self, name: &str, module: impl AsRef<[u8]>) -> Result<()> {
        self.deploy_with(name, module, &json!({}))
    }

    /// Deploys one of `wasm-examples/`.
    pub(crate) fn deploy_example(&self, name: &str) -> Result<()> {
        self.deploy(name, super::example(name)?)
    }

    pub(crate) fn names(&self) -> Result<Vec<String>> {
        Ok(serde_json::from_slice(&self.get("/functions")?.body)?)
    }

    pub(crate) fn status(&self) -> Result<Value> {
        self.get("/status")?.json()
    }

    /// Waits for a figure of `/status`.
    pub(crate) fn wait_for_status(&self, member: &str, value: i64) -> Result<()> {
        wait_for(&format!("{member} = {value} in /status"), || {
            Ok((self.status()?[member] == value).then_some(()))
        })
    }

    /// Waits until nothing runs, nothing waits, and all memory and cores are free.
    pub(crate) fn wait_until_free(&self) -> Result<()> {
        wait_for("a node with everything free", || {
            Ok(is_free(&self.status()?).then_some(()))
        })
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Resident memory in KiB.
    pub(crate) fn resident_kib(&self) -> Result<u64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.pid()))?;
        let line = status
            .lines()
            .find_map(|line| line.strip_prefix("VmRSS:"))
            .context("the kernel tells the memory")?;
        Ok(line.trim().trim_end_matches("kB").trim().parse()?)
    }

    pub(crate) fn home(&self) -> &Path {
        self.home.path()
    }

    pub(crate) fn data(&self) -> std::path::PathBuf {
        self.home.path().join("data")
    }

    /// The log so far, from its stderr.
    pub(crate) fn stderr(&self) -> String {
        String::from_utf8_lossy(&locked(&self.stderr)).into_owned()
    }

    /// Sends SIGTERM and does not wait.
    pub(crate) fn terminate(&self) -> Result<()> {
        self.signal("TERM")
    }

    /// Sends a signal by its name.
    pub(crate) fn signal(&self, name: &str) -> Result<()> {
        let command = "kill -s \"$1\" \"$0\"";
        let status = Command::new("sh")
            .args(["-c", command, &self.pid().to_string(), name])
            .status()?;
        ensure!(status.success(), "failed to send SIG{name}");
        Ok(())
    }

    /// Waits for the end of a node that was told to.
    pub(crate) fn wait(mut self) -> Result<Ended> {
        let child = &mut self.child;
        let status = wait_for("the node's end", || Ok(child.try_wait()?))?;
        Ok(self.ended(status))
    }

    /// SIGTERM; the node must end well, and must not have panicked.
    pub(crate) fn stop(self) -> Result<Ended> {
        self.terminate()?;
        let ended = self.wait()?;
        ensure!(
            ended.status.success(),
            "the node ended with {}:\n{}",
            ended.status,
            ended.stderr
        );
        ensure!(
            !ended.stderr.contains("panicked"),
            "the node panicked:\n{}",
            ended.stderr
        );
        Ok(ended)
    }

    /// SIGKILL.
    pub(crate) fn kill(mut self) -> Result<Ended> {
        self.child.kill()?;
        let status = self.child.wait()?;
        Ok(self.ended(status))
    }

    fn ended(&mut self, status: ExitStatus) -> Ended {
        if let Some(reader) = self.reader.take() {
            let _ = reader.join();
        }
        let setup = Setup {
            home: Arc::clone(&self.home),
            environment: std::mem::take(&mut self.environment),
            shell: self.shell.take(),
            dial: self.dial.clone(),
        };
        Ended {
            status,
            stderr: self.stderr(),
            setup,
        }
    }
}

impl Ended {
    /// The same node again, on the same data.
    pub(crate) fn restart(self) -> Result<Node> {
        self.setup.start()
    }

    pub(crate) fn into_setup(self) -> Setup {
        self.setup
    }
}

impl Drop for Node {
    #[expect(
        clippy::print_stderr,
        reason = "the log of the node tells why a test failed"
    )]
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            eprintln!("=== the node's log\n{}===", self.stderr());
        }
    }
}

/// The body of `/create` for a bare module.
pub(crate) fn deployment(name: &str, module: &[u8], more: &Value) -> Value {
    let mut body =
        json!({ "Name": name, "Runtime": "wasm", "TarFunctionCode": STANDARD.encode(module) });
    if let (Some(body), Some(more)) = (body.as_object_mut(), more.as_object()) {
        body.extend(more.clone());
    }
    body
}

pub(crate) fn is_free(status: &Value) -> bool {
    status["Running"] == 0
        && status["Queued"] == 0
        && status["AvailableMemory"] == status["TotalMemory"]
        && status["UsedCPU"] == 0.0
}
