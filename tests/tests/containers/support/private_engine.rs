//! A Docker Engine of one test's own, to be stopped and killed: its folders, socket, processes and network namespace are its own,
//! and its images are copied from the shared one.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use anyhow::{Context, Result, ensure};
use tempfile::TempDir;

use super::{Engine, wait_for};

/// The number of times that a start is tried.
const START_TRIES: usize = 3;

/// See the module. Dropping it ends every process that was started from its folder, and unmounts what they mounted.
#[derive(Debug)]
pub(crate) struct PrivateEngine {
    folder: TempDir,
    daemon: Option<Child>,
}

impl PrivateEngine {
    /// Starts one with these images of the shared engine.
    pub(crate) fn with_images(images: &[&str]) -> Result<Self> {
        let folder = tempfile::Builder::new().prefix("sl-engine-").tempdir()?;
        let mut engine = Self {
            folder,
            daemon: None,
        };
        engine.start()?;
        let mut save = Engine::shared().command();
        let mut save = save
            .arg("save")
            .args(images)
            .stdout(Stdio::piped())
            .spawn()?;
        let tar = save.stdout.take().context("stdout is piped")?;
        let load = engine.engine().command().arg("load").stdin(tar).output()?;
        ensure!(
            save.wait()?.success() && load.status.success(),
            "the images {images:?} were not copied: {load:?}"
        );
        Ok(engine)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn engine(&self) -> Engine {
        Engine::at(&self.path("docker.sock"))
    }

    /// Starts it, and waits until it answers. On a machine that is busy its containerd may be too slow for it at first.
    pub(crate) fn start(&mut self) -> Result<()> {
        (1..START_TRIES)
            .find_map(|_| self.try_start().ok())
            .map_or_else(|| self.try_start(), Ok)
    }

    fn try_start(&mut self) -> Result<()> {
        let log = File::options()
            .create(true)
            .append(true)
            .open(self.path("log"))?;
        // A daemon that was killed has left it.
        let _ = std::fs::remove_file(self.path("pid"));
        // In a network namespace of its own: a daemon without a bridge removes `docker0`, which would be the machine's.
        let child = Command::new("unshare")
            .args(["--net", "dockerd"])
            .arg("--host")
            .arg(format!("unix://{}", self.path("docker.sock").display()))
            .arg("--data-root")
            .arg(self.path("data"))
            .arg("--exec-root")
            .arg(self.path("exec"))
            .arg("--pidfile")
            .arg(self.path("pid"))
            .args([
                "--bridge=none",
                "--iptables=false",
                "--ip6tables=false",
                "--ip-forward=false",
            ])
            .args(["--shutdown-timeout=2", "--storage-driver=overlay2"])
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()
            .context("failed to start dockerd")?;
        self.daemon = Some(child);
        wait_for("an engine of the test's own", || {
            let ended = self
                .daemon
                .as_mut()
                .and_then(|daemon| daemon.try_wait().transpose())
                .transpose()?;
            ensure!(
                ended.is_none(),
                "dockerd does not start here (it needs root):\n{}",
                self.log()
            );
            Ok(self
                .engine()
                .docker(&["version", "--format", "{{.Server.Version}}"])
                .ok())
        })?;
        Ok(())
    }

    fn log(&self) -> String {
        let log = std::fs::read_to_string(self.path("log")).unwrap_or_default();
        log.lines().rev().take(10).collect::<Vec<_>>().join("\n")
    }

    /// `STOP` lets it hang, `CONT` lets it go on.
    pub(crate) fn signal(&self, name: &str) -> Result<()> {
        let daemon = self.daemon.as_ref().context("the engine runs")?;
        let status = Command::new("kill")
            .args([&format!("-{name}"), &daemon.id().to_string()])
            .status()?;
        ensure!(status.success(), "failed to send SIG{name}");
        Ok(())
    }

    /// SIGTERM: it stops its containers first, and then itself.
    pub(crate) fn stop(&mut self) -> Result<()> {
        self.signal("TERM")?;
        let mut daemon = self.daemon.take().context("the engine runs")?;
        wait_for("the end of the engine", || Ok(daemon.try_wait()?))?;
        Ok(())
    }

    /// SIGKILL: its containers run on.
    pub(crate) fn kill(&mut self) -> Result<()> {
        let mut daemon = self.daemon.take().context("the engine runs")?;
        daemon.kill()?;
        daemon.wait()?;
        Ok(())
    }
}

impl Drop for PrivateEngine {
    fn drop(&mut self) {
        if let Some(mut daemon) = self.daemon.take() {
            let _ = daemon.kill();
            let _ = daemon.wait();
        }
        let folder = self.folder.path();
        // Containers are children of their shims, which name the folder; so does containerd.
        let ours = processes()
            .into_iter()
            .filter(|pid| command_line(*pid).contains(&*folder.to_string_lossy()));
        let ours: Vec<u32> = ours.collect();
        let children = processes()
            .into_iter()
            .filter(|pid| parent(*pid).is_some_and(|parent| ours.contains(&parent)));
        let all: Vec<String> = ours
            .iter()
            .copied()
            .chain(children)
            .map(|pid| pid.to_string())
            .collect();
        if !all.is_empty() {
            let _ = Command::new("kill")
                .arg("-KILL")
                .args(&all)
                .stderr(Stdio::null())
                .status();
        }
        let _ = wait_for("the end of the engine's processes", || {
            Ok(all
                .iter()
                .all(|pid| !Path::new(&format!("/proc/{pid}/exe")).exists())
                .then_some(()))
        });
        for mounted in mounts_below(folder) {
            let _ = Command::new("umount")
                .arg("-l")
                .arg(mounted)
                .stderr(Stdio::null())
                .status();
        }
    }
}

fn processes() -> Vec<u32> {
    let entries = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    entries
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .collect()
}

fn command_line(pid: u32) -> String {
    let bytes = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    String::from_utf8_lossy(&bytes).replace('\0', " ")
}

fn parent(pid: u32) -> Option<u32> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    stat.rsplit_once(") ")?.1.split(' ').nth(1)?.parse().ok()
}

/// The deepest first.
fn mounts_below(folder: &Path) -> Vec<PathBuf> {
    let mounts = std::fs::read_to_string("/proc/mounts").unwrap_or_default();
    let places = mounts
        .lines()
        .filter_map(|line| line.split(' ').nth(1))
        .map(PathBuf::from);
    let mut below: Vec<_> = places.filter(|place| place.starts_with(folder)).collect();
    below.sort();
    below.reverse();
    below
}
