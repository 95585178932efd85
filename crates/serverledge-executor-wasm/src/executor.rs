//! The executor: prepares versions at deploy and starts sandboxes on request.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use serverledge_core::{
    Digest, Executor, PrepareError, Prepared, Progress, StartError, Started, Version,
};
use tokio::time::Instant;
use wasmtime::Engine;

use crate::cache::{CacheError, DiskCache};
use crate::config::WasmConfig;
use crate::engine;
use crate::lane::HeavyLane;
use crate::loaded::{Bounds, LoadedModules, Loader};
use crate::protocol::{Compiled, Job};
use crate::sandbox::WasmSandbox;
use crate::snapshot::{Snapshot, SnapshotError, Snapshots};
use crate::ticker::Ticker;
use crate::worker::Compiler;

/// Initial memory above which the person who deploys is told: all of it is reset for every call.
const REMARK_MEMORY_BYTES: u64 = 1 << 20;

/// Runs WebAssembly. Clones share everything.
#[derive(Clone)]
pub struct WasmExecutor {
    shared: Arc<Shared>,
}

/// What all sandboxes share.
pub(crate) struct Shared {
    pub(crate) config: WasmConfig,
    pub(crate) engine: Engine,
    pub(crate) ticker: Ticker,
    pub(crate) lane: HeavyLane,
    compiler: Compiler,
    snapshots: Snapshots,
    modules: LoadedModules,
}

/// Why the executor cannot start.
#[derive(Debug, thiserror::Error)]
#[error("failed to {attempt}: {cause}")]
pub struct OpenError {
    attempt: &'static str,
    cause: String,
}

impl WasmExecutor {
    /// Opens the cache, reserves the pool's address space and starts the epoch clock and the low-priority threads.
    ///
    /// # Errors
    /// [`OpenError`] if the cache directory cannot be used, or the machine refuses the address space or the threads.
    pub fn open(config: WasmConfig) -> Result<Self, OpenError> {
        let engine = engine::running(&config)
            .map_err(|e| open_error("create the engine", format!("{e:#}")))?;
        let disk = DiskCache::open_dir(&config.cache_dir, &engine::compatibility(&engine))
            .map_err(|e| open_error("open the cache of compiled modules", describe(&e)))?;
        let ticker = Ticker::start(&engine)
            .map_err(|e| open_error("start the epoch clock", e.to_string()))?;
        let lane = HeavyLane::start(config.heavy_threads)
            .map_err(|e| open_error("start threads", e.to_string()))?;
        let loader = Loader::new(engine.clone(), disk)
            .map_err(|e| open_error("link the host functions", format!("{e:#}")))?;
        let bounds = Bounds {
            bytes: config.loaded_bytes_max,
            modules: config.loaded_max,
        };
        let compiler = Compiler::new(config.worker.clone(), config.compile);
        let modules = LoadedModules::new(loader, bounds);
        let snapshots = Snapshots::open(&config.cache_dir, config.init, config.log_bytes_max)
            .map_err(|e| open_error("open the cache of compiled bases", describe(&e)))?;
        Ok(Self {
            shared: Arc::new(Shared {
                config,
                engine,
                ticker,
                lane,
                compiler,
                snapshots,
                modules,
            }),
        })
    }

    /// Runs a module's `wizer-initialize` on `input` as its stdin, and gives back the module as it is then, for
    /// [`Executor::prepare`]. It happens in a limited child, where clock and randomness are constants and there is nothing but
    /// the three streams, so that the same base and input give the same module. A base is compiled the first time only.
    ///
    /// Dropping the future ends the child; what was compiled of the base is kept.
    ///
    /// # Errors
    /// [`SnapshotError`] if the initialisation does not come to a good end within `memory_bytes_max` and the limits of
    /// the configuration, or if the base is none.
    pub async fn snapshot(
        &self,
        base: Bytes,
        input: Bytes,
        memory_bytes_max: u64,
    ) -> Result<Snapshot, SnapshotError> {
        self.shared
            .snapshots
            .take(&self.shared.compiler, base, input, memory_bytes_max)
            .await
    }
}

impl std::fmt::Debug for WasmExecutor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("WasmExecutor")
            .field("config", &self.shared.config)
            .finish_non_exhaustive()
    }
}

#[async_trait]
impl Executor for WasmExecutor {
    async fn prepare(
        &self,
        version: &Version,
        code: Bytes,
        progress: &dyn Progress,
    ) -> Result<Prepared, PrepareError> {
        let disk = Arc::clone(self.shared.modules.loader());
        if let Some(compiled) = verified(&disk, version.code).await {
            return prepared(version, &compiled);
        }
        progress.step("compiling the module");
        let (compiled, machine_code) = self.shared.compiler.compile(Job::Compile, code).await?;
        let prepared = prepared(version, &compiled)?;
        let digest = version.code;
        let stored = tokio::task::spawn_blocking(move || {
            disk.disk().store(&digest, &compiled, &machine_code)
        })
        .await;
        match stored {
            Ok(Ok(())) => Ok(prepared),
            Ok(Err(source)) => Err(internal(source)),
            Err(lost) => Err(internal(lost)),
        }
    }

    async fn start(&self, version: &Arc<Version>) -> Result<Started, StartError> {
        let (loaded, warm, phases) = match self.shared.modules.get(&version.code) {
            Some(loaded) => (loaded, true, Vec::new()),
            None => {
                let began = Instant::now();
                let loaded = self
                    .shared
                    .modules
                    .load(version.code)
                    .await
                    .map_err(start_error)?;
                (loaded, false, vec![("load", began.elapsed())])
            }
        };
        let sandbox = WasmSandbox {
            shared: Arc::clone(&self.shared),
            loaded,
            version: Arc::clone(version),
        };
        Ok(Started {
            sandbox: Box::new(sandbox),
            warm,
            phases,
        })
    }

    /// Whether the machine code is on disk; after an upgrade of the node it is not.
    fn is_prepared(&self, version: &Version) -> bool {
        self.shared
            .modules
            .loader()
            .disk()
            .label(&version.code)
            .is_some()
    }

    async fn forget(&self, version: &Version) {
        self.shared.modules.forget(&version.code);
    }

    async fn sweep(&self, code_in_use: &HashSet<Digest>, grace: Duration) -> usize {
        let (loader, used) = (
            Arc::clone(self.shared.modules.loader()),
            code_in_use.clone(),
        );
        tokio::task::spawn_blocking(move || loader.disk().sweep(&used, grace))
            .await
            .unwrap_or(0)
    }
}

/// What is on disk already, if it is whole: a damaged file is made again.
async fn verified(loader: &Arc<Loader>, code: Digest) -> Option<Compiled> {
    let loader = Arc::clone(loader);
    let opened = tokio::task::spawn_blocking(move || loader.disk().open(&code))
        .await
        .ok()?;
    opened.ok().map(|(_, compiled)| compiled)
}

fn prepared(version: &Version, compiled: &Compiled) -> Result<Prepared, PrepareError> {
    let limit = version.limits.memory;
    if compiled.memory_bytes_min > limit.bytes() {
        return Err(PrepareError::Invalid {
            code: "memory_too_small",
            message: format!(
                "the module begins with {} MiB of memory and the function's limit is {limit}; declare more",
                compiled.memory_bytes_min.div_ceil(1 << 20)
            ),
        });
    }
    let mut remarks = Vec::new();
    if compiled.memory_bytes_min > REMARK_MEMORY_BYTES {
        remarks.push(format!(
            "the module begins with {} KiB of memory, which is reset for every call; a smaller shadow stack \
             (-z stack-size=65536) makes calls faster",
            compiled.memory_bytes_min >> 10
        ));
    }
    Ok(Prepared {
        interface: compiled.kind.interface(),
        recognised: compiled.kind.words(),
        remarks,
    })
}

fn start_error(error: CacheError) -> StartError {
    match error {
        // Changed machine code is as good as none: it is made again from the module.
        CacheError::Missing(code) | CacheError::Changed { code, .. } => {
            StartError::NotPrepared(code)
        }
        other => StartError::Internal {
            attempt: "load the module".to_owned(),
            source: Box::new(other),
        },
    }
}

fn internal(source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> PrepareError {
    PrepareError::Internal {
        attempt: "keep the machine code".to_owned(),
        source: source.into(),
    }
}

fn open_error(attempt: &'static str, cause: String) -> OpenError {
    OpenError { attempt, cause }
}

fn describe(error: &CacheError) -> String {
    use std::error::Error;
    match error.source() {
        Some(source) => format!("{error}: {source}"),
        None => error.to_string(),
    }
}
