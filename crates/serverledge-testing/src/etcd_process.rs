//! A real etcd of one member on loopback, for tests: stopped, killed, frozen, wiped, filled and repaired at will. Needs
//! the program `etcd` (Debian: etcd-server). Its process ends with the value, also when a test panics.

use std::fs::File;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout};

use crate::certificates::{NEW_KEY, openssl, run};

/// The time that etcd may take to start, stop or answer; generous, since tests share their machine.
const WAIT_MAX: Duration = Duration::from_secs(60);
/// The interval between checks whether it has.
const POLL: Duration = Duration::from_millis(50);
/// Ports are taken from here: below those that the kernel gives to clients, of which one that calls a stopped etcd
/// again and again would sooner or later get etcd's own, and call itself.
const PORTS: std::ops::Range<u16> = 20_000..32_000;
const SIZE: u64 = (PORTS.end - PORTS.start) as u64;
/// Starts before giving up, if others take the ports meanwhile.
const ATTEMPTS_MAX: usize = 5;
/// Pause before a start on the same ports, if others hold one of them.
const TAKEN_PAUSE: Duration = Duration::from_secs(1);
/// Bytes of a value that fills: zeros, which base64 writes as `AAAA` for three of them.
const FILLING_BYTES: usize = 1_000_000 / 3 * 3;

/// Settings with which an etcd is started.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct EtcdSettings {
    /// Bytes after which it is full; etcd's default if `None`.
    pub quota_bytes: Option<u64>,
    /// Listen with TLS as well, on [`EtcdProcess::tls_address`]. Needs the program `openssl`.
    pub tls: bool,
}

/// A running, stopped or frozen etcd. Its data lie in a temporary directory that goes with it.
#[derive(Debug)]
pub struct EtcdProcess {
    child: Option<Child>,
    settings: EtcdSettings,
    dir: TempDir,
    /// Counts the data directories: wiping begins a new one.
    life: u32,
    client_port: u16,
    tls_port: u16,
    peer_port: u16,
}

// === impl EtcdProcess ===

impl EtcdProcess {
    /// Starts one and waits until it answers.
    ///
    /// # Panics
    /// If there is no etcd, or it does not start; the end of its log is in the message.
    pub async fn start() -> Self {
        Self::start_with(EtcdSettings::default()).await
    }

    /// The same with settings.
    ///
    /// # Panics
    /// As [`Self::start`].
    pub async fn start_with(settings: EtcdSettings) -> Self {
        let mut failure = String::new();
        for _ in 0..ATTEMPTS_MAX {
            let dir = tempfile::Builder::new()
                .prefix("serverledge-etcd-")
                .tempdir()
                .expect("a temporary directory");
            let [client_port, tls_port, peer_port] = [free_port(), free_port(), free_port()];
            let settings = settings.clone();
            let mut etcd = Self {
                child: None,
                settings,
                dir,
                life: 0,
                client_port,
                tls_port,
                peer_port,
            };
            match etcd.try_start().await {
                Ok(()) => return etcd,
                Err(error) => failure = format!("{error:#}\n{}", etcd.log()),
            }
            if !is_taken(&failure) {
                break;
            }
        }
        panic!("etcd does not start: {failure}");
    }

    /// `host:port` for clients; the same in all its lives.
    #[must_use]
    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.client_port)
    }

    /// `host:port` for clients with TLS.
    #[must_use]
    pub fn tls_address(&self) -> String {
        format!("127.0.0.1:{}", self.tls_port)
    }

    /// The certificate that it has signed for itself, in PEM.
    ///
    /// # Panics
    /// If it has none: see [`EtcdSettings::tls`].
    #[must_use]
    pub fn certificate(&self) -> Vec<u8> {
        std::fs::read(self.certificate_path()).expect("a certificate")
    }

    /// Starts it again on the same data, and waits until it answers.
    ///
    /// # Panics
    /// If it runs, or does not start.
    pub async fn restart(&mut self) {
        assert!(self.child.is_none(), "etcd runs");
        let mut failure = String::new();
        for _ in 0..ATTEMPTS_MAX {
            match self.try_start().await {
                Ok(()) => return,
                Err(error) => failure = format!("{error:#}\n{}", self.log()),
            }
            self.end();
            if !is_taken(&failure) {
                break;
            }
            tokio::time::sleep(TAKEN_PAUSE).await;
        }
        panic!("etcd does not start again: {failure}");
    }

    /// Starts it again, stopped before or not, without any data: the cluster's id is the same, all else is gone.
    ///
    /// # Panics
    /// If it does not start.
    pub async fn restart_empty(&mut self) {
        if self.child.is_some() {
            self.kill();
        }
        self.life += 1;
        self.restart().await;
    }

    /// Ends it in an orderly way (SIGTERM) and waits for that.
    ///
    /// # Panics
    /// If it does not run, or does not end.
    pub async fn stop(&mut self) {
        self.signal(Signal::TERM);
        let mut child = self.child.take().expect("etcd runs");
        wait_for("etcd to end", async || {
            child.try_wait().expect("a child").is_some()
        })
        .await;
    }

    /// Kills it (SIGKILL), frozen or not.
    ///
    /// # Panics
    /// If it does not run.
    pub fn kill(&mut self) {
        let status = self.end();
        assert!(status.is_some(), "etcd does not run");
    }

    /// Freezes it (SIGSTOP): connections stay, nothing answers.
    ///
    /// # Panics
    /// If it does not run.
    pub fn freeze(&self) {
        self.signal(Signal::STOP);
    }

    /// Lets it go on (SIGCONT).
    ///
    /// # Panics
    /// If it does not run.
    pub fn thaw(&self) {
        self.signal(Signal::CONT);
    }

    /// Its newest revision.
    ///
    /// # Panics
    /// If it does not answer.
    pub async fn revision(&self) -> u64 {
        let read = self
            .ask("kv/range", &json!({ "key": "AA==" }))
            .await
            .expect("a read");
        read["header"]["revision"]
            .as_str()
            .and_then(|number| number.parse().ok())
            .unwrap_or(0)
    }

    /// Forgets all history, also physically.
    ///
    /// # Panics
    /// If it does not answer, or has just done so.
    pub async fn compact(&self) {
        let revision = self.revision().await.to_string();
        self.ask(
            "kv/compaction",
            &json!({ "revision": revision, "physical": true }),
        )
        .await
        .expect("a compaction");
    }

    /// Writes one key outside every prefix again and again, until etcd says that it is full.
    ///
    /// # Panics
    /// If it refuses for another reason, or is not full after a gigabyte.
    pub async fn fill(&self) {
        let value = "AAAA".repeat(FILLING_BYTES / 3);
        for _ in 0..1000 {
            // The key `fill`.
            match self
                .ask("kv/put", &json!({ "key": "ZmlsbA==", "value": value }))
                .await
            {
                Ok(_) => {}
                Err(error) if format!("{error:#}").contains("database space exceeded") => return,
                Err(error) => panic!("etcd refuses to be filled: {error:#}"),
            }
        }
        panic!("etcd has a quota that is too large to be filled");
    }

    /// Gives free space back to the disk, which is what the quota counts.
    ///
    /// # Panics
    /// If it does not answer.
    pub async fn defragment(&self) {
        self.ask("maintenance/defragment", &json!({}))
            .await
            .expect("a defragmentation");
    }

    /// Takes back all alarms: after one, etcd stays full until somebody says otherwise.
    ///
    /// # Panics
    /// If it does not answer.
    pub async fn disarm(&self) {
        let alarms = self
            .ask("maintenance/alarm", &json!({ "action": "GET" }))
            .await
            .expect("the alarms");
        for alarm in alarms["alarms"].as_array().into_iter().flatten() {
            let disarm = json!({ "action": "DEACTIVATE", "memberID": alarm["memberID"], "alarm": alarm["alarm"] });
            self.ask("maintenance/alarm", &disarm)
                .await
                .expect("a disarmed alarm");
        }
    }

    /// The number of raft's log entries: grows with every write, and with nothing else while there is no election.
    ///
    /// # Panics
    /// If it does not answer.
    pub async fn raft_index(&self) -> u64 {
        let status = self
            .ask("maintenance/status", &json!({}))
            .await
            .expect("a status");
        status["raftIndex"]
            .as_str()
            .and_then(|number| number.parse().ok())
            .expect("an index")
    }

    /// Turns authentication on: a root, and a user who may read and write what begins with `prefix`. Afterwards this
    /// fixture's own requests are refused.
    ///
    /// # Panics
    /// If it does not answer, or is on already.
    pub async fn enable_users(&self, name: &str, password: &str, prefix: &str) {
        let role = json!({ "name": name, "perm": {
            "permType": "READWRITE", "key": STANDARD.encode(prefix), "range_end": STANDARD.encode(end_of(prefix)),
        }});
        let steps = [
            (
                "auth/user/add",
                json!({ "name": "root", "password": "root" }),
            ),
            ("auth/role/add", json!({ "name": "root" })),
            ("auth/user/grant", json!({ "user": "root", "role": "root" })),
            (
                "auth/user/add",
                json!({ "name": name, "password": password }),
            ),
            ("auth/role/add", json!({ "name": name })),
            ("auth/role/grant", role),
            ("auth/user/grant", json!({ "user": name, "role": name })),
            ("auth/enable", json!({})),
        ];
        for (path, body) in steps {
            self.ask(path, &body)
                .await
                .unwrap_or_else(|error| panic!("{path} fails: {error:#}"));
        }
    }

    /// Voids the tokens of a user's logins, with the connections left open: the password is set anew to what it is.
    ///
    /// # Panics
    /// If it does not answer, or if users are not enabled.
    pub async fn void_logins(&self, name: &str, password: &str) {
        let login = self
            .ask(
                "auth/authenticate",
                &json!({ "name": "root", "password": "root" }),
            )
            .await;
        let login = login.expect("a login of root");
        let token = login["token"].as_str().expect("a token");
        let body = json!({ "name": name, "password": password }).to_string();
        let header = format!("Authorization: {token}\r\n");
        let answer = self
            .http_with("POST", "/v3/auth/user/changepw", &header, &body)
            .await
            .expect("a new password");
        assert!(!answer.contains("\"error\""), "{answer}");
    }

    /// The number of keys in the store, of everybody.
    ///
    /// # Panics
    /// If it does not answer.
    pub async fn keys(&self) -> usize {
        let all = json!({ "key": "AA==", "range_end": "AA==", "count_only": true });
        let read = self.ask("kv/range", &all).await.expect("a read");
        read["count"]
            .as_str()
            .and_then(|number| number.parse().ok())
            .unwrap_or(0)
    }

    /// The number of keys that begin so.
    ///
    /// # Panics
    /// If it does not answer.
    pub async fn keys_under(&self, prefix: &str) -> usize {
        let span = json!({
            "key": STANDARD.encode(prefix), "range_end": STANDARD.encode(end_of(prefix)), "count_only": true,
        });
        let read = self.ask("kv/range", &span).await.expect("a read");
        read["count"]
            .as_str()
            .and_then(|number| number.parse().ok())
            .unwrap_or(0)
    }

    /// The end of what it has written to its log.
    #[must_use]
    pub fn log(&self) -> String {
        let log = std::fs::read_to_string(self.log_path()).unwrap_or_default();
        let lines: Vec<_> = log.lines().rev().take(10).collect();
        lines.into_iter().rev().collect::<Vec<_>>().join("\n")
    }

    fn data(&self) -> PathBuf {
        self.dir.path().join(format!("data-{}", self.life))
    }

    fn certificate_path(&self) -> PathBuf {
        self.dir.path().join("certificate.pem")
    }

    fn log_path(&self) -> PathBuf {
        self.dir.path().join("log")
    }

    async fn try_start(&mut self) -> anyhow::Result<()> {
        let client = url(self.client_port);
        let peer = url(self.peer_port);
        let log = File::options()
            .create(true)
            .append(true)
            .open(self.log_path())
            .context("open the log")?;
        let mut command = self.command(&client, &peer)?;
        command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log);
        self.child = Some(
            command
                .spawn()
                .context("run etcd; on Debian it is in the package etcd-server")?,
        );
        let deadline = Instant::now() + WAIT_MAX;
        while !self.is_healthy().await {
            self.check_runs()?;
            ensure!(
                Instant::now() < deadline,
                "etcd does not answer after {WAIT_MAX:?}"
            );
            tokio::time::sleep(POLL).await;
        }
        // Another test's may have answered on a port that both have chosen: then this one is about to end.
        tokio::time::sleep(POLL).await;
        self.check_runs()
    }

    fn check_runs(&mut self) -> anyhow::Result<()> {
        let child = self.child.as_mut();
        if let Some(status) = child.and_then(|child| child.try_wait().ok().flatten()) {
            self.child = None;
            bail!("etcd ended with {status}");
        }
        Ok(())
    }

    fn command(&self, client: &str, peer: &str) -> anyhow::Result<Command> {
        let mut command = Command::new("etcd");
        // Settings of the machine's own etcd are not for this one.
        for (name, _) in
            std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("ETCD"))
        {
            command.env_remove(name);
        }
        if cfg!(target_arch = "aarch64") {
            command.env("ETCD_UNSUPPORTED_ARCH", "arm64");
        }
        command.arg("--data-dir").arg(self.data());
        command.args([
            "--name",
            "test",
            "--logger",
            "zap",
            "--log-outputs",
            "stderr",
            "--log-level",
            "warn",
        ]);
        let mut client = client.to_owned();
        if self.settings.tls {
            client = format!("{client},https://{}", self.tls_address());
            let key = self.dir.path().join("key.pem");
            certify(&self.certificate_path(), &key)?;
            command
                .arg("--cert-file")
                .arg(self.certificate_path())
                .arg("--key-file")
                .arg(key);
        }
        command.args([
            "--listen-client-urls",
            &client,
            "--advertise-client-urls",
            &client,
        ]);
        command.args([
            "--listen-peer-urls",
            peer,
            "--initial-advertise-peer-urls",
            peer,
        ]);
        command.args(["--initial-cluster", &format!("test={peer}")]);
        if let Some(quota) = self.settings.quota_bytes {
            command.args(["--quota-backend-bytes", &quota.to_string()]);
        }
        Ok(command)
    }

    async fn is_healthy(&self) -> bool {
        self.http("GET", "/health", "")
            .await
            .is_ok_and(|body| body.contains("\"true\""))
    }

    /// A request through etcd's JSON gateway.
    async fn ask(&self, path: &str, body: &Value) -> anyhow::Result<Value> {
        let answer = self
            .http("POST", &format!("/v3/{path}"), &body.to_string())
            .await?;
        let answer: Value =
            serde_json::from_str(&answer).with_context(|| format!("read {answer:?}"))?;
        ensure!(answer["error"].is_null(), "{}", answer["error"]);
        Ok(answer)
    }

    async fn http(&self, method: &str, path: &str, body: &str) -> anyhow::Result<String> {
        self.http_with(method, path, "", body).await
    }

    /// Headers end with their line ends.
    async fn http_with(
        &self,
        method: &str,
        path: &str,
        headers: &str,
        body: &str,
    ) -> anyhow::Result<String> {
        let exchange = async {
            let mut stream = TcpStream::connect(self.address()).await?;
            let length = body.len();
            let head = format!(
                "{method} {path} HTTP/1.0\r\nHost: etcd\r\n{headers}Content-Length: {length}\r\n\r\n"
            );
            stream.write_all(head.as_bytes()).await?;
            stream.write_all(body.as_bytes()).await?;
            let mut answer = String::new();
            stream.read_to_string(&mut answer).await?;
            anyhow::Ok(answer)
        };
        let answer = timeout(WAIT_MAX, exchange)
            .await
            .with_context(|| format!("wait for {path}"))??;
        let (_, body) = answer
            .split_once("\r\n\r\n")
            .context("an answer without a body")?;
        Ok(body.to_owned())
    }

    fn signal(&self, signal: Signal) {
        let child = self.child.as_ref().expect("etcd runs");
        // The child has not been waited for, so its id is still its own.
        let pid = i32::try_from(child.id())
            .ok()
            .and_then(Pid::from_raw)
            .expect("a process id");
        kill_process(pid, signal).expect("a signal to a child");
    }

    fn end(&mut self) -> Option<ExitStatus> {
        let mut child = self.child.take()?;
        let _gone_already = child.kill();
        child.wait().ok()
    }
}

impl Drop for EtcdProcess {
    fn drop(&mut self) {
        self.end();
    }
}

/// Makes a key, and a certificate for 127.0.0.1. etcd's own (`--auto-tls`) are on a curve that ring does not know.
fn certify(certificate: &Path, key: &Path) -> anyhow::Result<()> {
    let mut command = openssl(&["req", "-x509", "-days", "2", "-subj", "/CN=etcd"]);
    command
        .args(NEW_KEY)
        .args(["-addext", "subjectAltName=IP:127.0.0.1"]);
    command.args(["-addext", "basicConstraints=critical,CA:FALSE"]);
    run(command.arg("-out").arg(certificate).arg("-keyout").arg(key))
}

/// Whether a start has failed because others have one of its ports.
fn is_taken(failure: &str) -> bool {
    failure.contains("address already in use")
}

fn url(port: u16) -> String {
    format!("http://127.0.0.1:{port}")
}

/// A port that nobody listens on, and that the kernel gives to no client; by chance, so that tests at the same time get
/// different ones.
///
/// # Panics
/// If there is none.
#[must_use]
pub fn free_port() -> u16 {
    let free = |port: &u16| TcpListener::bind(("127.0.0.1", *port)).is_ok();
    let random = || {
        PORTS.start
            + u16::try_from(RandomState::new().build_hasher().finish() % SIZE).expect("below 65536")
    };
    std::iter::repeat_with(random)
        .take(1000)
        .find(free)
        .expect("a free port")
}

/// The end of the keys with this prefix, which does not end with the largest byte.
fn end_of(prefix: &str) -> Vec<u8> {
    let mut end = prefix.as_bytes().to_vec();
    *end.last_mut().expect("a prefix") += 1;
    end
}

/// Waits until the condition holds.
///
/// # Panics
/// If it does not within a minute; `what` is in the message.
pub async fn wait_for(what: &str, mut condition: impl AsyncFnMut() -> bool) {
    let deadline = Instant::now() + WAIT_MAX;
    while !condition().await {
        assert!(Instant::now() < deadline, "waited in vain for {what}");
        tokio::time::sleep(POLL).await;
    }
}
