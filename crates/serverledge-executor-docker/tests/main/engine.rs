//! An engine that comes and goes, an engine that hangs, and how often it is asked at all. The tests own the engine that they
//! stop: a second `dockerd` in a temporary folder.

use std::fs::File;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use serverledge_core::{Executor, FailureKind, InvokeError, Version};
use tempfile::TempDir;
use tokio::time::Instant;

use crate::proxy::CountingProxy;
use crate::support::{
    ECHO, Lab, docker_at, failure, invoke, json_of, phase_names, python, python_image, refusal,
    start_words, wait_until,
};

/// A typed error has to come sooner than this, whatever the engine does.
const SOON: Duration = Duration::from_secs(40);
/// Sleeps as long as it is told, then gives that back.
const SLEEPS: &str = "import time\ndef handler(p):\n    time.sleep(p)\n    return p\n";

/// An engine without networks. Dropping it removes its containers, stops it, and removes its folder.
struct PrivateEngine {
    dir: TempDir,
    child: Option<Child>,
}

impl PrivateEngine {
    fn new() -> Self {
        Self {
            dir: tempfile::Builder::new()
                .prefix("sledge-engine-")
                .tempdir()
                .unwrap(),
            child: None,
        }
    }

    fn socket(&self) -> PathBuf {
        self.dir.path().join("docker.sock")
    }

    fn docker(&self, args: &[&str]) -> Result<String, String> {
        docker_at(&self.socket(), args)
    }

    fn spawn(&mut self) {
        let at = |name: &str| self.dir.path().join(name).display().to_string();
        let log = File::options()
            .create(true)
            .append(true)
            .open(at("log"))
            .unwrap();
        // What one that was killed left would keep the next from starting.
        for stale in [
            "pid",
            "exec/containerd/containerd.pid",
            "exec/containerd/containerd.sock",
        ] {
            let _ = std::fs::remove_file(at(stale));
        }
        // In a network of its own: without a bridge it would take the machine's `docker0` away.
        let child = Command::new("unshare")
            .args(["--net", "dockerd"])
            .args([
                "--data-root",
                &at("data"),
                "--exec-root",
                &at("exec"),
                "--pidfile",
                &at("pid"),
            ])
            .args(["-H", &format!("unix://{}", at("docker.sock"))])
            .args(["--bridge=none", "--iptables=false", "--shutdown-timeout=2"])
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn();
        self.child = Some(child.expect("unshare and dockerd are installed"));
    }

    async fn start(&mut self) {
        self.spawn();
        wait_until("the private engine", || self.docker(&["version"]).is_ok()).await;
    }

    /// Copies the image under test from the shared engine.
    fn load(&self) {
        let save = Command::new("docker")
            .args(["save", &python_image()])
            .stdout(Stdio::piped())
            .spawn();
        let mut save = save.unwrap();
        let host = format!("unix://{}", self.socket().display());
        let load = Command::new("docker")
            .args(["-H", &host, "load", "-q"])
            .stdin(save.stdout.take().unwrap())
            .output();
        assert!(
            save.wait().unwrap().success() && load.unwrap().status.success(),
            "the image is copied"
        );
    }

    fn signal(&self, signal: &str) {
        let pid = self
            .child
            .as_ref()
            .expect("the engine runs")
            .id()
            .to_string();
        assert!(
            Command::new("kill")
                .args([signal, &pid])
                .status()
                .unwrap()
                .success()
        );
    }

    /// Ends it by a signal and waits for its end.
    async fn end(&mut self, signal: &str) {
        self.signal(signal);
        let mut child = self.child.take().unwrap();
        tokio::task::spawn_blocking(move || child.wait())
            .await
            .unwrap()
            .unwrap();
        // Its socket stays after a kill; nobody listens.
        wait_until("the end of the engine", || {
            self.docker(&["version"]).is_err()
        })
        .await;
    }
}

impl Drop for PrivateEngine {
    fn drop(&mut self) {
        if self.child.is_none() {
            // Only an engine ends the containers that one before it left.
            self.spawn();
        }
        self.signal("-CONT");
        for _ in 0..200 {
            if self.docker(&["version"]).is_ok() {
                break;
            }
            let _ = Command::new("sleep").arg("0.05").status();
        }
        let left = self.docker(&["ps", "-aq"]).unwrap_or_default();
        let left: Vec<&str> = left.lines().collect();
        if !left.is_empty() {
            let _ = self.docker(&[&["rm", "-f"], &left[..]].concat());
        }
        self.signal("-TERM");
        let _ = self.child.take().unwrap().wait();
        // It mounts its folder onto itself.
        let _ = Command::new("umount")
            .arg("-l")
            .arg(self.dir.path().join("data"))
            .status();
    }
}

/// An engine and an executor that uses it. The executor goes first.
struct Stage {
    lab: Lab,
    engine: PrivateEngine,
}

impl Stage {
    async fn new() -> Self {
        let engine = PrivateEngine::new();
        let socket = engine.socket();
        let lab = Lab::with(|config| {
            config.socket = socket;
            config.cells = 1;
        });
        Self {
            lab: lab.await,
            engine,
        }
    }

    async fn start_fails_softly(&self, version: &Arc<Version>) {
        let began = Instant::now();
        assert_eq!(
            start_words(self.lab.executor.start(version).await),
            "docker_unavailable"
        );
        assert_eq!(
            refusal(self.lab.prepare(version, SLEEPS).await).0,
            "docker_unavailable"
        );
        assert!(
            began.elapsed() < SOON,
            "the errors took {:?}",
            began.elapsed()
        );
    }

    async fn works(&self, version: &Arc<Version>) {
        let sandbox = self.lab.start(version).await;
        assert_eq!(
            json_of(&invoke(sandbox.as_ref(), json!(0)).await.unwrap()),
            json!(0)
        );
        sandbox.stop().await.unwrap();
        self.lab.wait_for_cells(1).await;
        self.lab.wait_for_containers(1).await;
    }

    async fn between_invocations(&mut self, version: &Arc<Version>) {
        let sandbox = self.lab.start(version).await;
        assert!(invoke(sandbox.as_ref(), json!(0)).await.is_ok());
        self.engine.end("-KILL").await;
        // The container lives, and nobody is asked.
        assert!(
            invoke(sandbox.as_ref(), json!(0)).await.is_ok(),
            "a warm sandbox needs no engine"
        );
        self.start_fails_softly(version).await;
        assert!(
            sandbox.stop().await.is_err(),
            "a stop without an engine says so"
        );
        drop(sandbox);
        self.engine.start().await;
        self.works(version).await;
    }

    async fn in_mid_invocation(&mut self, version: &Arc<Version>, signal: &str) {
        let sandbox = self.lab.start(version).await;
        let began = Instant::now();
        let (outcome, ()) = tokio::join!(invoke(sandbox.as_ref(), json!(4)), async {
            self.engine.end(signal).await;
        });
        match outcome {
            // Killed alone, the engine leaves its containers.
            Ok(outcome) => assert_eq!(json_of(&outcome), json!(4)),
            Err(InvokeError::Function(failure)) => {
                assert_eq!(failure.kind, FailureKind::Exited, "{failure:?}")
            }
            Err(other) => panic!("{other:?}"),
        }
        assert!(began.elapsed() < SOON, "it took {:?}", began.elapsed());
        self.start_fails_softly(version).await;
        drop(sandbox);
        self.engine.start().await;
        self.works(version).await;
    }

    /// The container dies while the engine answers nobody: the function's end is told without the engine's word.
    async fn while_the_engine_hangs(&mut self, version: &Arc<Version>) {
        let before = self.lab.containers();
        let sandbox = self.lab.start(version).await;
        let pid = self
            .engine
            .docker(&["inspect", "-f", "{{.State.Pid}}", &before[0]])
            .unwrap();
        let mut running = Box::pin(invoke(sandbox.as_ref(), json!(15)));
        assert!(
            tokio::time::timeout(Duration::from_millis(300), running.as_mut())
                .await
                .is_err()
        );
        self.engine.signal("-STOP");
        assert!(
            Command::new("kill")
                .args(["-KILL", &pid])
                .status()
                .unwrap()
                .success()
        );
        let began = Instant::now();
        let outcome = tokio::time::timeout(SOON, running).await;
        self.engine.signal("-CONT");
        let failed = failure(outcome.expect("the end of the function is told"));
        assert_eq!(failed.kind, FailureKind::Exited);
        assert!(began.elapsed() < SOON, "it took {:?}", began.elapsed());
        drop(sandbox);
        self.works(version).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_engine_that_comes_and_goes() {
    let mut stage = Stage::new().await;
    let version = python(SLEEPS);
    stage.lab.executor.warm_up(&[version.runtime]);
    let (code, message) = refusal(stage.lab.prepare(&version, SLEEPS).await);
    assert_eq!(code, "docker_unavailable");
    assert!(
        message.contains("docker.sock") && message.contains("WebAssembly"),
        "{message}"
    );

    stage.engine.start().await;
    assert_eq!(
        refusal(stage.lab.prepare(&version, SLEEPS).await).0,
        "image_missing"
    );
    stage.engine.load();
    let version = stage.lab.prepared(version, SLEEPS).await;
    stage.works(&version).await;

    stage.between_invocations(&version).await;
    stage.in_mid_invocation(&version, "-KILL").await;
    stage.in_mid_invocation(&version, "-TERM").await;
    stage.while_the_engine_hangs(&version).await;

    let held = stage.lab.start(&version).await;
    let began = Instant::now();
    stage.lab.executor.close().await;
    assert!(began.elapsed() < SOON, "closing took {:?}", began.elapsed());
    drop(held);
    wait_until("an engine on which nothing is left", || {
        stage.engine.docker(&["ps", "-aq"]).unwrap().is_empty()
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_engine_is_hardly_asked() {
    let dir = tempfile::tempdir().unwrap();
    let proxy = CountingProxy::start(dir.path().join("docker.sock"));
    let socket = proxy.path.clone();
    let lab = Lab::with(|config| {
        config.socket = socket;
        config.cells = 1;
    });
    let lab = lab.await;
    let version = lab.python(ECHO).await;
    lab.wait_for_cells(1).await;
    lab.wait_for_containers(1).await;
    proxy.taken();
    let started = lab.executor.start(&version).await.unwrap();
    assert_eq!(phase_names(&started.phases), ["limits", "bind"]);
    lab.wait_for_cells(1).await;
    let mut asked = proxy.taken();
    // One that is slow to listen is looked at each 250 ms.
    asked.retain(|path| !path.contains("label") && path != "containers/*/json");
    asked.sort();
    // The first is the start; the others make the next cell.
    assert_eq!(
        asked,
        [
            "containers/*/start",
            "containers/*/update",
            "containers/create"
        ]
    );
    // With its first call the container's log is followed, over one request that stays open.
    invoke(started.sandbox.as_ref(), json!(0)).await.unwrap();
    let mut asked = Vec::new();
    wait_until("a request for the log", || {
        asked.extend(proxy.taken());
        !asked.is_empty()
    })
    .await;
    assert_eq!(asked, ["containers/*/logs"]);
    for index in 0..100 {
        let outcome = invoke(started.sandbox.as_ref(), json!(index))
            .await
            .unwrap();
        assert_eq!(json_of(&outcome), json!(index));
    }
    assert_eq!(
        proxy.taken(),
        Vec::<String>::new(),
        "a warm invocation asks nobody"
    );
    started.sandbox.stop().await.unwrap();
    assert!(invoke(started.sandbox.as_ref(), Value::Null).await.is_err());
}
