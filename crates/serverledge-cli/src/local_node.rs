//! A node of the client's own: started for one command, with its data in a temporary folder, and gone with it.
//!
//! The node ends by itself once its stdin does, however its client has ended. A folder that a client could not remove is
//! removed by the next one: the node's log, which is locked while client or node have it open, tells that both are gone.

use std::ffi::OsStr;
use std::fs::{self, File, Permissions};
use std::io;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, getuid, kill_process};
use serverledge_client::Endpoint;
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio::time::timeout;

use crate::exit::Exit;
use crate::failure::Failure;
use crate::machine_code::MachineCode;
use crate::{files, progress};

/// The program of the node.
const PROGRAM: &str = "serverledge";
/// Longest wait until a node says where it listens; it takes a fraction of a second on a machine that is not busy.
const START_MAX: Duration = Duration::from_secs(60);
/// Longest wait for its end, once it was told to.
const STOP_MAX: Duration = Duration::from_secs(15);
/// Lines of its log that are shown of a node that has failed.
const LOG_LINES_SHOWN: usize = 20;
/// The end of its log in which they are.
const LOG_BYTES_MAX: u64 = 64 * 1024;
/// Longest wait for the end of a node that has broken a connection.
const END_SEEN_MAX: Duration = Duration::from_millis(500);
/// Begin of the names of temporary folders.
const FOLDER_PREFIX: &str = "serverledge-node-";
/// Begins of the environment variables that the node keeps of the caller's. All others could lead it to data or to a cluster
/// of somebody else's.
const KEPT_VARIABLES: [&str; 3] = [
    "SERVERLEDGE_CONTAINER_",
    "SERVERLEDGE_WASM_",
    "SERVERLEDGE_LOG_",
];

/// A running node. Dropping it kills the node; [`LocalNode::stop`] lets it end.
#[derive(Debug)]
pub(crate) struct LocalNode {
    child: Child,
    endpoint: Endpoint,
    folder: TempDir,
    machine_code: Option<MachineCode>,
    /// Held open: a node whose reader has gone would fail to write.
    _stdout: BufReader<ChildStdout>,
    /// Held open: the node ends when it is closed.
    _stdin: Option<ChildStdin>,
    /// Held open: its lock says that the folder is in use.
    _log: File,
}

impl LocalNode {
    /// Starts a node on a free port of this machine, and waits until it listens. Dropping the future kills it.
    pub(crate) async fn start() -> Result<Self, Failure> {
        progress::during("starting a node", Self::started()).await
    }

    async fn started() -> Result<Self, Failure> {
        let program = find(&std::env::var_os("PATH").unwrap_or_default())?;
        sweep(&std::env::temp_dir());
        let folder = tempfile::Builder::new()
            .prefix(FOLDER_PREFIX)
            // For its owner alone.
            .permissions(Permissions::from_mode(0o700))
            .tempdir()
            .map_err(|fault| failed(format!("failed to make a temporary folder: {fault}")))?;
        let log = locked_log(folder.path())
            .map_err(|fault| failed(format!("failed to make the node's log: {fault}")))?;
        let variable = |name| std::env::var_os(name);
        let machine_code = MachineCode::of_user(variable("XDG_CACHE_HOME"), variable("HOME"));
        if let Some(code) = &machine_code {
            // Without it the node compiles anew.
            let _ = code.restore(&data_of(folder.path()));
        }
        let mut child = log
            .try_clone()
            .and_then(|log| command(&program, folder.path(), log)?.spawn())
            .map_err(|fault| failed(format!("failed to start {program:?}: {fault}")))?;
        let stdin = child.stdin.take();
        let stdout = child
            .stdout
            .take()
            .ok_or_else(|| failed("the node has no output".to_owned()))?;
        let mut stdout = BufReader::new(stdout);
        let mut line = String::new();
        let read = timeout(START_MAX, stdout.read_line(&mut line)).await;
        let Some(endpoint) = endpoint_in(&line) else {
            let why = match read {
                Err(_) => format!(
                    "it did not say where it listens within {} s",
                    START_MAX.as_secs()
                ),
                Ok(_) if line.is_empty() => "it ended".to_owned(),
                Ok(_) => format!("it said {:?}", line.trim_end()),
            };
            // Its last words are written once it has ended.
            let _ = child.kill().await;
            return Err(failed(format!("the node {program:?} did not start: {why}"))
                .section("log", &end_of_log(folder.path())));
        };
        Ok(Self {
            child,
            endpoint,
            folder,
            machine_code,
            _stdout: stdout,
            _stdin: stdin,
            _log: log,
        })
    }

    /// Its address.
    pub(crate) const fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    /// Waits until it ends by itself, which is a failure.
    pub(crate) async fn ended(&mut self) -> Failure {
        let status = self.child.wait().await;
        let status = status.map_or_else(
            |fault| fault.to_string(),
            |status: ExitStatus| status.to_string(),
        );
        failed(format!("the node ended by itself: {status}"))
            .section("log", &end_of_log(self.folder.path()))
    }

    /// The end of the node, if that is why a connection to it broke.
    pub(crate) async fn end_behind(&mut self) -> Option<Failure> {
        timeout(END_SEEN_MAX, self.ended()).await.ok()
    }

    /// Tells it to stop, waits for its end, and removes its folder.
    pub(crate) async fn stop(mut self) {
        let pid = self
            .child
            .id()
            .and_then(|id| i32::try_from(id).ok())
            .and_then(Pid::from_raw);
        if let Some(pid) = pid {
            // It may have ended just now.
            let _ = kill_process(pid, Signal::TERM);
        }
        if timeout(STOP_MAX, self.child.wait()).await.is_err() {
            let _ = self.child.kill().await;
        }
        if let Some(code) = &self.machine_code {
            // What is not kept is compiled anew.
            let _ = code.save(&data_of(self.folder.path()));
        }
        // What is left in the temporary folder is for the next start to remove.
        let _ = self.folder.close();
    }
}

fn failed(message: String) -> Failure {
    Failure::new(Exit::Request, message)
}

/// The node's command: loopback, a port that the system chooses, and a folder of its own for data and log.
fn command(program: &Path, folder: &Path, log: File) -> io::Result<Command> {
    let config = folder.join("node.toml");
    fs::write(
        &config,
        "# A node of serverledge-cli. Its settings are in its environment.\n",
    )?;
    let mut command = Command::new(program);
    for (name, _) in std::env::vars_os().filter(|(name, _)| !is_kept(name)) {
        command.env_remove(name);
    }
    command
        .arg("--with-parent")
        .arg(&config)
        .env("SERVERLEDGE_API_IP", "127.0.0.1")
        .env("SERVERLEDGE_API_PORT", "0")
        .env("SERVERLEDGE_DATA_DIR", data_of(folder))
        // The first script compiles it; other functions do without.
        .env("SERVERLEDGE_WASM_ENGINE_AT_START", "false")
        .current_dir(folder)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::from(log))
        // Control-C is for the client, which stops the node.
        .process_group(0)
        .kill_on_drop(true);
    Ok(command)
}

/// Whether a node gets this variable of the caller's.
fn is_kept(name: &OsStr) -> bool {
    let name = name.to_string_lossy();
    !name.starts_with("SERVERLEDGE_") || KEPT_VARIABLES.iter().any(|begin| name.starts_with(begin))
}

/// The program beside this one, else on the path.
fn find(path: &OsStr) -> Result<PathBuf, Failure> {
    let own = std::env::current_exe().ok();
    let beside = own
        .as_deref()
        .and_then(Path::parent)
        .and_then(|folder| files::program_at(&folder.join(PROGRAM)));
    let program = beside.or_else(|| files::on_path(PROGRAM, path));
    program.ok_or_else(|| {
        failed(format!("there is no program {PROGRAM:?} to start a node with"))
            .hint("put it beside serverledge-cli or on the PATH, or name a running node with --host and --port")
    })
}

/// The address in the line that a node begins with.
fn endpoint_in(line: &str) -> Option<Endpoint> {
    let (_, rest) = line.split_once(" listening on ")?;
    Endpoint::of_url(rest.split(' ').next()?).ok()
}

fn data_of(folder: &Path) -> PathBuf {
    folder.join("data")
}

fn log_of(folder: &Path) -> PathBuf {
    folder.join("node.log")
}

/// The log of a node, made and locked. It gets its name with the lock: until then nobody takes the folder for abandoned.
fn locked_log(folder: &Path) -> io::Result<File> {
    let unnamed = folder.join("node.log.new");
    let log = File::create(&unnamed)?;
    log.try_lock()?;
    fs::rename(unnamed, log_of(folder))?;
    Ok(log)
}

/// Removes the folders of nodes that have ended after their clients.
fn sweep(temporary: &Path) {
    let Ok(entries) = fs::read_dir(temporary) else {
        return;
    };
    for entry in entries.flatten() {
        let is_named = entry
            .file_name()
            .to_string_lossy()
            .starts_with(FOLDER_PREFIX);
        if is_named && is_abandoned(&entry.path()) {
            // What cannot be removed is in nobody's way.
            let _ = fs::remove_dir_all(entry.path());
        }
    }
}

/// Whether a folder is this user's, and neither its node nor a client has its log open.
fn is_abandoned(folder: &Path) -> bool {
    let is_own = fs::symlink_metadata(folder)
        .is_ok_and(|about| about.is_dir() && about.uid() == getuid().as_raw());
    is_own && File::open(log_of(folder)).is_ok_and(|log| log.try_lock().is_ok())
}

fn end_of_log(folder: &Path) -> String {
    let text =
        File::open(log_of(folder)).and_then(|mut log| files::end_of(&mut log, LOG_BYTES_MAX));
    let text = text.unwrap_or_default();
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(LOG_LINES_SHOWN)..].join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_address_is_in_the_first_line() {
        let line = "serverledge 0.1.0 listening on http://127.0.0.1:40123 (area ROME, node a1)\n";
        assert_eq!(
            endpoint_in(line).unwrap().to_string(),
            "http://127.0.0.1:40123"
        );
        for line in [
            "",
            "listening",
            "x listening on nowhere",
            "x listening on http://127.0.0.1:0 (",
        ] {
            assert_eq!(endpoint_in(line), None, "{line}");
        }
    }

    #[test]
    fn settings_of_other_nodes_are_left_out() {
        for (name, kept) in [
            ("PATH", true),
            ("DOCKER_HOST", true),
            ("SERVERLEDGE_CONTAINER_DOCKER_SOCKET", true),
            ("SERVERLEDGE_WASM_ISOLATION", true),
            ("SERVERLEDGE_LOG_LEVEL", true),
            ("SERVERLEDGE_REGISTRY_ETCD", false),
            ("SERVERLEDGE_TOKEN", false),
            ("SERVERLEDGE_DATA_DIR", false),
        ] {
            assert_eq!(is_kept(OsStr::new(name)), kept, "{name}");
        }
    }

    #[test]
    fn the_end_of_a_log_is_shown() {
        let lab = tempfile::tempdir().unwrap();
        assert_eq!(end_of_log(lab.path()), "");
        let lines: Vec<String> = (0..100).map(|line| line.to_string()).collect();
        std::fs::write(log_of(lab.path()), lines.join("\n")).unwrap();
        assert!(end_of_log(lab.path()).starts_with("80\n81\n"));
        let long = format!("{}\n", "x".repeat(1023)).repeat(20_000);
        std::fs::write(log_of(lab.path()), format!("{long}last words\n")).unwrap();
        assert!(
            end_of_log(lab.path()).ends_with("x\nlast words"),
            "however long it is"
        );
    }
    #[test]
    fn abandoned_folders_are_swept() {
        let lab = tempfile::tempdir().unwrap();
        let folder = |name: &str| {
            let folder = lab.path().join(name);
            fs::create_dir(&folder).unwrap();
            folder
        };
        let abandoned = folder("serverledge-node-abandoned");
        drop(locked_log(&abandoned).unwrap());
        let in_use = folder("serverledge-node-in-use");
        let log = locked_log(&in_use).unwrap();
        let of_a_node = log.try_clone().unwrap();
        let fresh = folder("serverledge-node-fresh");
        let other = folder("other");
        drop(locked_log(&other).unwrap());
        std::os::unix::fs::symlink(&other, lab.path().join("serverledge-node-link")).unwrap();
        sweep(lab.path());
        assert!(!abandoned.exists());
        assert!(in_use.exists() && fresh.exists() && other.exists());
        // The lock goes with the last of those that have the log open.
        drop(log);
        sweep(lab.path());
        assert!(in_use.exists());
        drop(of_a_node);
        sweep(lab.path());
        assert!(!in_use.exists() && other.join("node.log").exists());
    }
}
