//! The node's side of snapshots: a base is compiled once and kept like all machine code; each snapshot is taken by a child
//! of its own. What a base is, an interpreter or anything else, is not known here.

use std::os::unix::ffi::OsStringExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use serverledge_core::{Digest, PrepareError, whole_millis};

use crate::cache::{CacheError, DiskCache};
use crate::config::InitLimits;
use crate::engine;
use crate::protocol::{self, InitFault, Job, Order, SnapshotVerdict};
use crate::skeleton::{fleshed_out, skeleton};
use crate::worker::{self, Compiler};

/// A module to initialise, and its digest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SnapshotBase {
    bytes: Bytes,
    digest: Digest,
}

impl From<Bytes> for SnapshotBase {
    fn from(bytes: Bytes) -> Self {
        let digest = Digest::new(*blake3::hash(&bytes).as_bytes());
        Self { bytes, digest }
    }
}

impl SnapshotBase {
    pub(crate) const fn bytes(&self) -> &Bytes {
        &self.bytes
    }

    pub(crate) const fn digest(&self) -> &Digest {
        &self.digest
    }
}

/// A base that was initialised.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ModuleSnapshot {
    /// An ordinary module, the same for the same base and input.
    pub module: Vec<u8>,
    /// Text written to stdout meanwhile.
    pub output: String,
    /// Text written to stderr meanwhile.
    pub log: String,
}

/// The reason why there is no snapshot.
#[derive(Debug, thiserror::Error)]
pub enum SnapshotError {
    /// The initialisation gave up (`proc_exit`).
    #[error("the initialisation ended with exit code {code}")]
    InitFailed {
        /// The code.
        code: u32,
        /// The text that it wrote to stdout.
        stdout: String,
        /// The end of what it wrote to stderr.
        log: String,
    },
    /// It trapped.
    #[error("the initialisation trapped: {message}")]
    Trapped {
        /// The trap, in words.
        message: String,
        /// The end of what it wrote to stderr.
        log: String,
    },
    /// It ran too long; the limit.
    #[error("the initialisation took more than {0:?} of processor time")]
    CpuTime(Duration),
    /// It was refused memory and did not go on; the limit in bytes.
    #[error("the initialisation needs more than {} MiB of memory", .0 >> 20)]
    Memory(u64),
    /// It wrote too much to stdout; the limit in bytes.
    #[error("the initialisation wrote more than {0} bytes of output")]
    Output(usize),
    /// The module is longer than one may be: the initialisation filled that much memory. The limit in bytes.
    #[error("the snapshot has more than {0} bytes")]
    TooLarge(usize),
    /// The base is not one: not valid, or without `wizer-initialize`.
    #[error("the base cannot be initialised: {0}")]
    Base(String),
    /// The child met a limit of its own or failed.
    #[error(transparent)]
    Child(#[from] PrepareError),
}

/// Takes snapshots.
#[derive(Debug)]
pub(crate) struct Snapshots {
    limits: InitLimits,
    log_bytes_max: usize,
    bases: Arc<DiskCache>,
    /// Whoever finds a base not compiled yet compiles it; others wait.
    compiling: tokio::sync::Mutex<()>,
}

impl Snapshots {
    /// Opens the cache of bases below `dir`.
    pub(crate) fn open(
        dir: &Path,
        limits: InitLimits,
        log_bytes_max: usize,
    ) -> Result<Self, CacheError> {
        let engine = engine::initialising().map_err(|source| CacheError::Load {
            code: Digest::new([0; 32]),
            source,
        })?;
        let bases = DiskCache::open_dir(dir, &engine::compatibility(&engine))?;
        Ok(Self {
            limits,
            log_bytes_max,
            bases: Arc::new(bases),
            compiling: tokio::sync::Mutex::new(()),
        })
    }

    /// Initialises `base` with `input` on its stdin. Dropping the future ends the child.
    pub(crate) async fn take(
        &self,
        compiler: &Compiler,
        base: &SnapshotBase,
        input: Bytes,
        memory_bytes_max: u64,
    ) -> Result<ModuleSnapshot, SnapshotError> {
        let path = self.machine_code(compiler, base).await?;
        let path = path.into_os_string().into_vec();
        // Its code is read, checked and sent here and there for nothing: no snapshot changes it.
        let skeleton = skeleton(base.bytes());
        let has_code = skeleton.is_none();
        let sent = skeleton.map_or_else(|| base.bytes().clone(), Bytes::from);
        let order = Order {
            base_bytes: sent.len(),
            path_bytes: path.len(),
            memory_bytes_max,
            cpu_time_ms: whole_millis(self.limits.cpu_time),
            output_bytes_max: self.limits.output_bytes_max,
            module_bytes_max: self.limits.module_bytes_max,
            log_bytes_max: self.log_bytes_max,
        };
        let mut head =
            serde_json::to_vec(&order).map_err(|e| worker::internal("write the order", e))?;
        head.push(b'\n');
        let answer = compiler
            .run(Job::Snapshot, vec![head.into(), sent, path.into(), input])
            .await?;
        let line =
            protocol::line(&answer).map_err(|e| worker::internal("understand the compiler", e));
        let (verdict, answered): (SnapshotVerdict, _) = line?;
        if let Some(fault) = verdict.fault {
            return Err(self.error(fault, verdict.stdout, verdict.log, memory_bytes_max));
        }
        let incomplete =
            || worker::internal("understand the compiler", "the snapshot is incomplete");
        if answered.len() as u64 != verdict.module_bytes {
            return Err(incomplete().into());
        }
        let module = if has_code {
            answered.to_vec()
        } else {
            fleshed_out(answered, base.bytes()).ok_or_else(incomplete)?
        };
        if module.len() > self.limits.module_bytes_max {
            return Err(SnapshotError::TooLarge(self.limits.module_bytes_max));
        }
        Ok(ModuleSnapshot {
            module,
            output: verdict.stdout,
            log: verdict.log,
        })
    }

    fn error(
        &self,
        fault: InitFault,
        stdout: String,
        log: String,
        memory_bytes_max: u64,
    ) -> SnapshotError {
        match fault {
            InitFault::Exit(code) => SnapshotError::InitFailed { code, stdout, log },
            InitFault::Trap(message) => SnapshotError::Trapped { message, log },
            InitFault::CpuTime => SnapshotError::CpuTime(self.limits.cpu_time),
            InitFault::Memory => SnapshotError::Memory(memory_bytes_max),
            InitFault::Output => SnapshotError::Output(self.limits.output_bytes_max),
            InitFault::TooLarge => SnapshotError::TooLarge(self.limits.module_bytes_max),
            InitFault::Base(message) => SnapshotError::Base(message),
        }
    }

    /// Whether the compiled base is here; the seal is not checked.
    pub(crate) fn is_compiled(&self, base: &SnapshotBase) -> bool {
        self.bases.is_complete(base.digest())
    }

    /// The file of the compiled base, verified; compiled now if it is not there or was changed.
    pub(crate) async fn machine_code(
        &self,
        compiler: &Compiler,
        base: &SnapshotBase,
    ) -> Result<PathBuf, SnapshotError> {
        let digest = *base.digest();
        let _turn = self.compiling.lock().await;
        if let Ok(path) = self
            .on_disk(move |bases| bases.verified_path(&digest))
            .await?
        {
            return Ok(path);
        }
        let (compiled, machine_code) = match compiler
            .compile(Job::Instrument, base.bytes().clone(), &())
            .await
        {
            Ok(done) => done,
            Err(PrepareError::Invalid { message, .. }) => return Err(SnapshotError::Base(message)),
            Err(other) => return Err(other.into()),
        };
        let store = move |bases: &DiskCache| {
            bases.store(&digest, &compiled.into(), &machine_code)?;
            bases.verified_path(&digest)
        };
        let stored = self.on_disk(store).await?;
        Ok(stored.map_err(|e| worker::internal("keep the machine code of a base", e))?)
    }

    async fn on_disk<T: Send + 'static>(
        &self,
        work: impl FnOnce(&DiskCache) -> T + Send + 'static,
    ) -> Result<T, PrepareError> {
        let bases = Arc::clone(&self.bases);
        let done = tokio::task::spawn_blocking(move || work(&bases)).await;
        done.map_err(|e| worker::internal("look after the machine code of a base", e))
    }
}
