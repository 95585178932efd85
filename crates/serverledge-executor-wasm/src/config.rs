//! Settings of the wasm executor.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use bytes::Bytes;

/// The command that starts the child process that compiles.
#[derive(Debug, Clone)]
pub struct Worker {
    /// The program; usually the node's own binary.
    pub program: PathBuf,
    /// Arguments that make it call [`crate::compile_worker`].
    pub args: Vec<OsString>,
}

/// Limits of one compilation. Cranelift can be neither cancelled nor limited from inside, and a valid module of 218 KB
/// was measured to take 54 s and 2.4 GB.
#[derive(Debug, Clone, Copy)]
pub struct CompileLimits {
    /// Address space in bytes (`RLIMIT_AS` of the child).
    pub memory_bytes: u64,
    /// Processor time (`RLIMIT_CPU` of the child, rounded up to seconds).
    pub cpu_time: Duration,
    /// Wall-clock time, after which a child that stalls is killed: far above the processor time, so that a busy machine
    /// decides nothing.
    pub wall_time: Duration,
    /// Compilations of any size at once, and one more for a small module; more wait.
    pub parallel: usize,
}

/// Limits of the initialisation before a snapshot; memory is the function's own.
#[derive(Debug, Clone, Copy)]
pub struct InitLimits {
    /// Processor time, exact to some hundredths of a second.
    pub cpu_time: Duration,
    /// Bytes of stdout: one line that says what is wrong.
    pub output_bytes_max: usize,
    /// Bytes of the module that it ends with: what the initialisation fills memory with is in there.
    pub module_bytes_max: usize,
}

/// The place where a call finds the files that come with its code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum FileLayout {
    /// `/` is read-only and has them; `/tmp` is the call's own and begins empty.
    #[default]
    Apart,
    /// `/` is the call's own and begins with copies of them, which count as its memory.
    Copied,
}

/// A base that is packed until it is first needed.
#[derive(Debug, Clone, Copy)]
pub struct PackedBase {
    /// Its name among the configured ones.
    pub name: &'static str,
    /// Bytes that each of its snapshots has at least: shorter modules are not compared with it.
    pub snapshot_bytes_min: usize,
    /// Gives the base in the binary form, the same each time; `None` if it cannot be unpacked.
    pub unpack: fn() -> Option<Bytes>,
}

/// Settings of the wasm executor.
#[derive(Debug, Clone)]
pub struct WasmConfig {
    /// The folder for machine code; made with mode 0700.
    pub cache_dir: PathBuf,
    /// The compiling child.
    pub worker: Worker,
    /// Bases, in the binary form, whose snapshots share one engine; those of others are whole modules.
    pub bases: Vec<Bytes>,
    /// More of them, which cost memory only where they are used.
    pub packed_bases: Vec<PackedBase>,
    /// Limits of one compilation.
    pub compile: CompileLimits,
    /// Limits of one initialisation; those of a compilation hold for the child that it happens in.
    pub init: InitLimits,
    /// Instances at once: those that run, and those that wait for another call.
    pub slots: u32,
    /// Bytes of each slot's memory that stay resident between instances: resetting them by `memset` is several times
    /// cheaper than giving them back.
    pub keep_resident_bytes: usize,
    /// Instances that are put back to their beginning and wait for another call of their version; each keeps up to
    /// `keep_resident_bytes` resident. They leave when their slots are needed.
    pub kept_max: usize,
    /// Time after which such an instance is dropped.
    pub kept_idle_max: Duration,
    /// Bytes of machine code kept loaded.
    pub loaded_bytes_max: u64,
    /// Modules kept loaded; each holds one open file.
    pub loaded_max: usize,
    /// Bytes of output of one invocation.
    pub output_bytes_max: usize,
    /// Bytes of log kept of one invocation.
    pub log_bytes_max: usize,
    /// Most processor time of any invocation, whatever its function declares.
    pub cpu_time_max: Option<std::time::Duration>,
    /// Whether components of WASI 0.3 run.
    pub preview3: bool,
    /// Low-priority threads for guests that run on.
    pub heavy_threads: usize,
    /// The place of files.
    pub file_layout: FileLayout,
}

impl WasmConfig {
    /// Defaults for a machine with so much memory for sandboxes and so many cores.
    #[must_use]
    pub fn new(cache_dir: PathBuf, worker: Worker, pool_bytes: u64, cores: usize) -> Self {
        let keep_resident_bytes: usize = 2 << 20;
        let warm = (pool_bytes / 10 / keep_resident_bytes as u64).clamp(4, 1000);
        Self {
            cache_dir,
            worker,
            bases: Vec::new(),
            packed_bases: Vec::new(),
            compile: CompileLimits::default(),
            init: InitLimits::default(),
            slots: u32::try_from(warm).unwrap_or(1000),
            keep_resident_bytes,
            kept_max: usize::try_from(warm / 2).unwrap_or(500),
            kept_idle_max: Duration::from_secs(60),
            loaded_bytes_max: 256 << 20,
            loaded_max: 256,
            output_bytes_max: serverledge_core::limits::OUTPUT_BYTES_MAX,
            log_bytes_max: serverledge_core::limits::LOG_TAIL_BYTES_MAX,
            cpu_time_max: None,
            preview3: true,
            heavy_threads: cores.max(1),
            file_layout: FileLayout::default(),
        }
    }
}

impl Default for CompileLimits {
    fn default() -> Self {
        Self {
            memory_bytes: 2 << 30,
            cpu_time: Duration::from_secs(60),
            wall_time: Duration::from_secs(1200),
            parallel: 1,
        }
    }
}

impl Default for InitLimits {
    fn default() -> Self {
        Self {
            cpu_time: Duration::from_secs(5),
            output_bytes_max: 256 << 10,
            module_bytes_max: 64 << 20,
        }
    }
}
