//! An executor with a node id and a folder of its own, and what is needed to look at its containers from outside. Whatever
//! becomes of a test, nothing of it is left.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use serde_json::{Value, json};
use serverledge_core::{
    CpuMilli, Executor, FailureKind, FunctionFailure, FunctionLimits, InvocationId, InvokeError,
    MemoryMib, Outcome, Payload, PrepareError, Reply, Runtime, Sandbox, StartError, StartPhase,
    Version,
};
use serverledge_executor_docker::{DockerConfig, DockerExecutor, Images, InstallConfig};
use serverledge_testing::executor::{self, Fixtures};
use serverledge_testing::fake_host::FakeHost;
use tempfile::TempDir;
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::Instant;

/// The longest time that a test waits for an event: far longer than anything takes, so that a slow machine passes.
pub(crate) const WAIT_MAX: Duration = Duration::from_secs(60);
/// Tests that use containers at the same time: a starting container takes a core.
static TESTS: Semaphore = Semaphore::const_new(2);

/// The socket of the engine that the tests share.
pub(crate) fn engine_socket() -> PathBuf {
    std::env::var_os("SERVERLEDGE_TEST_ENGINE")
        .unwrap_or_else(|| "/var/run/docker.sock".into())
        .into()
}

/// The image under test.
pub(crate) fn python_image() -> String {
    std::env::var("SERVERLEDGE_TEST_IMAGE_PYTHON")
        .unwrap_or_else(|_| "serverledge-python".to_owned())
}

/// The image under test.
pub(crate) fn nodejs_image() -> String {
    std::env::var("SERVERLEDGE_TEST_IMAGE_NODEJS")
        .unwrap_or_else(|_| "serverledge-nodejs".to_owned())
}

/// An executor with a node id of its own.
pub(crate) struct Lab {
    pub(crate) executor: DockerExecutor,
    pub(crate) config: DockerConfig,
    dir: TempDir,
    _turn: SemaphorePermit<'static>,
}

impl Lab {
    /// Without template containers: every start is a plain one.
    pub(crate) async fn new() -> Self {
        Self::with(|_| {}).await
    }

    /// With template containers of Python, which are ready.
    pub(crate) async fn with_cells(cells: usize) -> Self {
        let lab = Self::with(|config| config.cells = cells).await;
        lab.executor.warm_up(&[Runtime::Python]);
        lab.wait_for_cells(cells).await;
        lab
    }

    pub(crate) async fn with(change: impl FnOnce(&mut DockerConfig)) -> Self {
        let turn = TESTS.acquire().await.unwrap();
        let dir = tempfile::tempdir().unwrap();
        let mut config = config(dir.path());
        change(&mut config);
        Self {
            executor: DockerExecutor::open(config.clone()).unwrap(),
            config,
            dir,
            _turn: turn,
        }
    }

    pub(crate) fn dir(&self) -> &Path {
        self.dir.path()
    }

    pub(crate) async fn wait_for_cells(&self, cells: usize) {
        wait_until("the template containers", || {
            self.executor.cells_ready() >= cells
        })
        .await;
    }

    /// A prepared version.
    pub(crate) async fn prepared(&self, version: Version, code: impl AsRef<[u8]>) -> Arc<Version> {
        self.prepare(&version, code).await.unwrap();
        Arc::new(version)
    }

    pub(crate) async fn prepare(
        &self,
        version: &Version,
        code: impl AsRef<[u8]>,
    ) -> Result<(), PrepareError> {
        self.executor
            .prepare(version, Bytes::copy_from_slice(code.as_ref()), &())
            .await
            .map(drop)
    }

    /// A prepared Python function under the default limits.
    pub(crate) async fn python(&self, code: &str) -> Arc<Version> {
        self.prepared(python(code), code).await
    }

    pub(crate) async fn start(&self, version: &Arc<Version>) -> Box<dyn Sandbox> {
        self.executor.start(version).await.unwrap().sandbox
    }

    /// Prepares, starts, and invokes once.
    pub(crate) async fn run(
        &self,
        version: Version,
        code: &str,
        params: Value,
    ) -> Result<Outcome, InvokeError> {
        let version = self.prepared(version, code).await;
        let sandbox = self.start(&version).await;
        let outcome = invoke(sandbox.as_ref(), params).await;
        sandbox.stop().await.unwrap();
        outcome
    }

    /// Another function of this node answers.
    pub(crate) async fn still_serves(&self, version: &Arc<Version>) {
        let sandbox = self.start(version).await;
        assert_eq!(
            json_of(&invoke(sandbox.as_ref(), json!("alive")).await.unwrap()),
            json!("alive")
        );
        sandbox.stop().await.unwrap();
    }

    /// All containers of this node, as the engine knows them; none where it does not answer.
    pub(crate) fn containers(&self) -> Vec<String> {
        listed(
            &self.config.socket,
            &[
                "ps",
                "-aq",
                "--no-trunc",
                "--filter",
                &label(&self.config.node_id),
            ],
        )
    }

    pub(crate) fn networks(&self) -> Vec<String> {
        listed(
            &self.config.socket,
            &[
                "network",
                "ls",
                "-q",
                "--filter",
                &label(&self.config.node_id),
            ],
        )
    }

    /// Waits until exactly so many containers of this node exist and run, and so many folders of sockets.
    pub(crate) async fn wait_for_containers(&self, count: usize) {
        let filter = label(&self.config.node_id);
        let limit = Instant::now() + WAIT_MAX;
        loop {
            let running = listed(&self.config.socket, &["ps", "-q", "--filter", &filter]).len();
            if self.containers().len() == count
                && running == count
                && self.files("sockets").len() == count
            {
                return;
            }
            assert!(
                Instant::now() < limit,
                "{count} containers were expected; there are {:#?}, folders {:?}, {} cells",
                listed(&self.config.socket, &["ps", "-a", "--filter", &filter]),
                self.files("sockets"),
                self.executor.cells_ready()
            );
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// The names of the files in a folder of the executor's.
    pub(crate) fn files(&self, folder: &str) -> Vec<String> {
        let entries = std::fs::read_dir(self.dir().join(folder))
            .into_iter()
            .flatten()
            .flatten();
        entries
            .map(|entry| entry.file_name().to_string_lossy().into_owned())
            .collect()
    }

    /// The only container of this node, once what was tried at deploy is gone.
    pub(crate) async fn container(&self) -> String {
        wait_until("one container", || self.containers().len() == 1).await;
        self.containers().remove(0)
    }
}

/// Also in a test that panics: the executor is closed, and what it should have removed and did not is removed all the same.
impl Drop for Lab {
    fn drop(&mut self) {
        let executor = self.executor.clone();
        tokio::task::block_in_place(|| {
            tokio::runtime::Handle::current().block_on(executor.close())
        });
        remove_all_of(&self.config.socket, &self.config.node_id);
    }
}

/// Removes what carries a node's label, without its executor.
fn remove_all_of(socket: &Path, node_id: &str) {
    for (list, remove) in [
        (["ps", "-aq"], &["rm", "-f", "-v"][..]),
        (["network", "ls"], &["network", "rm"]),
    ] {
        let found = listed(
            socket,
            &[&list[..], &["-q", "--filter", &label(node_id)]].concat(),
        );
        if !found.is_empty() {
            let found: Vec<&str> = found.iter().map(String::as_str).collect();
            let _ = docker_at(socket, &[remove, &found].concat());
        }
    }
}

fn label(node_id: &str) -> String {
    format!("label=serverledge.node={node_id}")
}

fn listed(socket: &Path, args: &[&str]) -> Vec<String> {
    docker_at(socket, args)
        .unwrap_or_default()
        .lines()
        .map(ToOwned::to_owned)
        .collect()
}

/// The settings of a node in a temporary folder.
pub(crate) fn config(dir: &Path) -> DockerConfig {
    DockerConfig {
        socket: engine_socket(),
        node_id: unique("test"),
        dir: dir.to_owned(),
        images: Images {
            python: python_image(),
            nodejs: nodejs_image(),
        },
        cells: 0,
        cells_max: 0,
        starts_max: 2,
        start_timeout: Duration::from_secs(60),
        cpus_max: CpuMilli::new(2000),
        tmp: MemoryMib::new(32),
        pids_max: 64,
        output_bytes_max: 6 << 20,
        log_bytes_max: 64 << 10,
        code_bytes_max: 16 << 20,
        allow_bridge: true,
        install: InstallConfig {
            timeout: Duration::from_secs(90),
            memory: MemoryMib::new(512),
            layer_max: MemoryMib::new(64),
            npm_registry: None,
            pip_index: None,
            ca_file: Some("/etc/ssl/certs/ca-certificates.crt".into()),
            proxy: None,
        },
    }
}

/// A name that nothing else has.
pub(crate) fn unique(prefix: &str) -> String {
    format!("{prefix}-{}", InvocationId::new())
}

pub(crate) fn python(code: &str) -> Version {
    python_with(code, limits())
}

pub(crate) fn python_with(code: &str, limits: FunctionLimits) -> Version {
    Version {
        runtime: Runtime::Python,
        handler: "main.handler".to_owned(),
        ..executor::version(code.as_bytes(), limits)
    }
}

pub(crate) fn nodejs(code: &str) -> Version {
    nodejs_with(code, limits())
}

pub(crate) fn nodejs_with(code: &str, limits: FunctionLimits) -> Version {
    Version {
        runtime: Runtime::NodeJs,
        handler: "main.handler".to_owned(),
        ..executor::version(code.as_bytes(), limits)
    }
}

pub(crate) fn limits() -> FunctionLimits {
    FunctionLimits {
        timeout: Duration::from_secs(20),
        ..FunctionLimits::default()
    }
}

pub(crate) fn timeout(seconds: u64) -> FunctionLimits {
    FunctionLimits {
        timeout: Duration::from_secs(seconds),
        ..FunctionLimits::default()
    }
}

/// Gives its parameters back.
pub(crate) const ECHO: &str = "def handler(params): return params\n";

pub(crate) async fn invoke(sandbox: &dyn Sandbox, params: Value) -> Result<Outcome, InvokeError> {
    let call = executor::call_of("probe", Payload::Json(params.to_string().into()));
    // Nothing may hang, whatever the function does: the longest limit is far below this.
    tokio::time::timeout(WAIT_MAX, sandbox.invoke(call, FakeHost::new().0))
        .await
        .expect("an invocation hangs")
}

pub(crate) fn json_of(outcome: &Outcome) -> Value {
    let Reply::Json(bytes) = &outcome.reply else {
        panic!("{:?} is no JSON", outcome.reply)
    };
    serde_json::from_slice(bytes).unwrap()
}

pub(crate) fn failure(outcome: Result<Outcome, InvokeError>) -> FunctionFailure {
    match outcome {
        Err(InvokeError::Function(failure)) => failure,
        other => panic!("the function should have failed; it gave {other:?}"),
    }
}

pub(crate) fn kind(outcome: Result<Outcome, InvokeError>) -> FailureKind {
    failure(outcome).kind
}

/// Code and text of an error at deploy.
pub(crate) fn refusal(outcome: Result<(), PrepareError>) -> (&'static str, String) {
    match outcome {
        Err(PrepareError::Invalid { code, message }) => (code, message),
        Err(PrepareError::Unavailable { code, what, .. }) => (code, what),
        other => panic!("a typed refusal was expected; it gave {other:?}"),
    }
}

/// The start, which must come from a template container or not.
pub(crate) fn phase_names(phases: &[StartPhase]) -> Vec<&'static str> {
    phases.iter().map(|(name, _)| *name).collect()
}

/// The code of an error at a start.
pub(crate) fn start_words(outcome: Result<serverledge_core::Started, StartError>) -> String {
    match outcome {
        Ok(_) => "started".to_owned(),
        Err(StartError::Unavailable { code, .. }) => code.to_owned(),
        Err(StartError::Function(failure)) => format!("{:?}: {}", failure.kind, failure.message),
        Err(other) => format!("{other:?}"),
    }
}

/// Runs the `docker` command on the shared engine; what it prints.
pub(crate) fn docker(args: &[&str]) -> String {
    docker_quiet(args).unwrap_or_else(|error| panic!("docker {args:?}: {error}"))
}

pub(crate) fn docker_quiet(args: &[&str]) -> Result<String, String> {
    docker_at(&engine_socket(), args)
}

/// The same on another engine.
pub(crate) fn docker_at(socket: &Path, args: &[&str]) -> Result<String, String> {
    let host = format!("unix://{}", socket.display());
    let output = Command::new("docker")
        .args(["-H", &host])
        .args(args)
        .stdin(Stdio::null())
        .output();
    let output = output.map_err(|error| error.to_string())?;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim().to_owned();
    if output.status.success() {
        Ok(text(&output.stdout))
    } else {
        Err(text(&output.stderr))
    }
}

/// Numbers of the processes of a container, as this machine counts.
pub(crate) fn processes_of(container: &str) -> Vec<u32> {
    let all = std::fs::read_dir("/proc").unwrap().flatten();
    let numbers = all.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    let inside = |pid: &u32| {
        std::fs::read_to_string(format!("/proc/{pid}/cgroup"))
            .is_ok_and(|group| group.contains(container))
    };
    numbers.filter(inside).collect()
}

/// Memory in bytes, and period and quota of the processor in microseconds, as the kernel holds them for a container.
pub(crate) fn limits_in_force(container: &str) -> Result<[String; 3], String> {
    let pid = docker_quiet(&["inspect", "-f", "{{.State.Pid}}", container])?;
    let groups = std::fs::read_to_string(format!("/proc/{pid}/cgroup"))
        .map_err(|error| error.to_string())?;
    let read = |place: String| std::fs::read_to_string(place).map_err(|error| error.to_string());
    let of = |controller: &str| {
        let mut all = groups
            .lines()
            .filter_map(|line| line.split_once(':')?.1.split_once(':'));
        all.find(|(names, _)| names.split(',').any(|name| name == controller))
            .map(|(_, path)| path)
    };
    let [memory, cpu] = ["memory", "cpu"].map(of);
    if let (Some(memory), Some(cpu)) = (memory, cpu) {
        let cpu = |name: &str| read(format!("/sys/fs/cgroup/cpu{cpu}/cpu.cfs_{name}_us"));
        let memory = read(format!(
            "/sys/fs/cgroup/memory{memory}/memory.limit_in_bytes"
        ))?;
        return Ok([memory, cpu("period")?, cpu("quota")?].map(|text| text.trim().to_owned()));
    }
    let path = of("").unwrap_or_default();
    let memory = read(format!("/sys/fs/cgroup{path}/memory.max"))?
        .trim()
        .to_owned();
    let cpu = read(format!("/sys/fs/cgroup{path}/cpu.max"))?;
    let (quota, period) = cpu.trim().split_once(' ').ok_or("no quota")?;
    Ok([memory, period.to_owned(), quota.to_owned()])
}

/// Waits until a condition holds; a test never sleeps and hopes.
pub(crate) async fn wait_until(what: &str, mut condition: impl FnMut() -> bool) {
    let limit = Instant::now() + WAIT_MAX;
    while !condition() {
        assert!(
            Instant::now() < limit,
            "{what} did not come within {WAIT_MAX:?}"
        );
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// The pace that the conformance suite needs; see [`executor::Fixtures`].
pub(crate) fn pace() -> executor::Pace {
    executor::Pace {
        short: Duration::from_secs(2),
        concurrent: 4,
    }
}

/// Fixtures of a language by its code.
pub(crate) fn fixtures(runtime: Runtime, handler: &str, code: [&str; 6]) -> Fixtures {
    let [echo, fails, endless, logs, large, calls] =
        code.map(|text| Bytes::copy_from_slice(text.as_bytes()));
    Fixtures {
        runtime,
        handler: handler.to_owned(),
        echo,
        fails,
        endless,
        logs,
        large,
        calls: Some(calls),
        pace: pace(),
    }
}
