//! The node's side of snapshots: a base is compiled once and kept like all machine code; each snapshot is taken by a child
//! of its own. What a base is, an interpreter or anything else, is not known here.

use std::path::Path;
use std::time::Duration;

use bytes::Bytes;
use serverledge_core::{Digest, PrepareError};

use crate::cache::{CacheError, DiskCache};
use crate::config::InitLimits;
use crate::engine;
use crate::protocol::{InitFault, Job, Order, SnapshotVerdict};
use crate::worker::{self, Compiler};

/// A base that was initialised.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Snapshot {
    /// An ordinary module, the same for the same base and input.
    pub module: Vec<u8>,
    /// What was written to stderr meanwhile.
    pub log: String,
}

/// Why there is no snapshot.
#[derive(Debug, thiserror::Error)]
pub enum SnapshotError {
    /// The initialisation gave up (`proc_exit`).
    #[error("the initialisation ended with exit code {code}")]
    InitFailed {
        /// The code.
        code: u32,
        /// What it wrote to stdout.
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
    /// It ran too long.
    #[error("the initialisation took more than {limit:?} of processor time")]
    CpuTime {
        /// The limit.
        limit: Duration,
    },
    /// It was refused memory and did not go on.
    #[error("the initialisation needs more than {} MiB of memory", limit >> 20)]
    Memory {
        /// The limit in bytes.
        limit: u64,
    },
    /// It wrote too much to stdout.
    #[error("the initialisation wrote more than {limit} bytes of output")]
    Output {
        /// The limit in bytes.
        limit: usize,
    },
    /// The module is longer than one may be: the initialisation filled that much memory.
    #[error("the snapshot has more than {limit} bytes")]
    TooLarge {
        /// The limit in bytes.
        limit: usize,
    },
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
    bases: DiskCache,
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
            bases,
            compiling: tokio::sync::Mutex::new(()),
        })
    }

    /// Initialises `base` with `input` on its stdin. Dropping the future ends the child.
    pub(crate) async fn take(
        &self,
        compiler: &Compiler,
        base: Bytes,
        input: Bytes,
        memory_bytes_max: u64,
    ) -> Result<Snapshot, SnapshotError> {
        let machine_code = self.machine_code(compiler, &base).await?;
        let order = Order {
            base_bytes: base.len(),
            machine_code_bytes: machine_code.len(),
            memory_bytes_max,
            cpu_time_ms: u64::try_from(self.limits.cpu_time.as_millis()).unwrap_or(u64::MAX),
            output_bytes_max: self.limits.output_bytes_max,
            module_bytes_max: self.limits.module_bytes_max,
            log_bytes_max: self.log_bytes_max,
        };
        let mut head =
            serde_json::to_vec(&order).map_err(|e| worker::internal("write the order", e))?;
        head.push(b'\n');
        let answer = compiler
            .run(Job::Snapshot, vec![head.into(), base, machine_code, input])
            .await?;
        let (verdict, module): (SnapshotVerdict, _) = worker::line(&answer)?;
        if let Some(fault) = verdict.fault {
            return Err(self.error(fault, verdict.stdout, verdict.log, memory_bytes_max));
        }
        if module.len() as u64 != verdict.module_bytes {
            return Err(
                worker::internal("understand the compiler", "the snapshot is incomplete").into(),
            );
        }
        Ok(Snapshot {
            module: module.to_vec(),
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
            InitFault::CpuTime => SnapshotError::CpuTime {
                limit: self.limits.cpu_time,
            },
            InitFault::Memory => SnapshotError::Memory {
                limit: memory_bytes_max,
            },
            InitFault::Output => SnapshotError::Output {
                limit: self.limits.output_bytes_max,
            },
            InitFault::TooLarge => SnapshotError::TooLarge {
                limit: self.limits.module_bytes_max,
            },
            InitFault::Base(message) => SnapshotError::Base(message),
        }
    }

    /// The compiled base, verified; compiled now if it is not there or was changed.
    async fn machine_code(
        &self,
        compiler: &Compiler,
        base: &Bytes,
    ) -> Result<Bytes, SnapshotError> {
        let digest = Digest::new(*blake3::hash(base).as_bytes());
        let _turn = self.compiling.lock().await;
        if let Ok(machine_code) = self.bases.read(&digest) {
            return Ok(machine_code.into());
        }
        let (compiled, machine_code) = match compiler.compile(Job::Instrument, base.clone()).await {
            Ok(done) => done,
            Err(PrepareError::Invalid { message, .. }) => return Err(SnapshotError::Base(message)),
            Err(other) => return Err(other.into()),
        };
        let stored = self.bases.store(&digest, &compiled, &machine_code);
        stored.map_err(|e| worker::internal("keep the machine code of a base", e))?;
        Ok(machine_code.into())
    }
}
