//! The executor's configuration.

use std::path::PathBuf;
use std::time::Duration;

use serverledge_core::{CpuMilli, MemoryMib};

/// Everything that the executor can be told; checked values.
#[derive(Debug, Clone, PartialEq)]
pub struct DockerConfig {
    /// Path of the Docker Engine's Unix socket.
    pub socket: PathBuf,
    /// The node's id: everything created carries it as a label, and whatever carries it belongs to this node.
    pub node_id: String,
    /// The folder for sockets, unpacked code and installed dependencies; made with owner-only rights.
    pub dir: PathBuf,
    /// Images of the runtimes.
    pub images: Images,
    /// Started containers without code that are kept ready, per runtime in use.
    pub cells: usize,
    /// The number to which they rise per runtime while starts come in quick succession.
    pub cells_max: usize,
    /// Containers that are started at once.
    pub starts_max: usize,
    /// The time that a container may take from its start to its first answer.
    pub start_timeout: Duration,
    /// Processor share of a container whose function declares none.
    pub cpus_max: CpuMilli,
    /// Size of `/tmp`, which counts as the function's memory.
    pub tmp: MemoryMib,
    /// Processes and threads in one container.
    pub pids_max: u32,
    /// Largest result.
    pub output_bytes_max: usize,
    /// The number of bytes that are kept of the end of a log.
    pub log_bytes_max: usize,
    /// Largest code of one version, unpacked.
    pub code_bytes_max: usize,
    /// Whether functions may ask for a network.
    pub allow_bridge: bool,
    /// The settings for installing dependencies.
    pub install: InstallConfig,
}

/// Images by runtime.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Images {
    /// Of `python`.
    pub python: String,
    /// Of `nodejs`.
    pub nodejs: String,
}

/// The settings for installing dependencies, which happens once, at deploy, in a container of its own.
#[derive(Debug, Clone, PartialEq)]
pub struct InstallConfig {
    /// The time that it may take.
    pub timeout: Duration,
    /// Memory of the container that installs.
    pub memory: MemoryMib,
    /// Largest size of what is installed.
    pub layer_max: MemoryMib,
    /// npm's registry, if not its default.
    pub npm_registry: Option<String>,
    /// pip's index, if not its default.
    pub pip_index: Option<String>,
    /// A file with further certificate authorities.
    pub ca_file: Option<PathBuf>,
    /// An HTTP proxy.
    pub proxy: Option<String>,
}
