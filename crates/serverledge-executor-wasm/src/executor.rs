//! The executor: prepares versions at deploy and starts sandboxes on request.

use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use serverledge_core::{
    Digest, Executor, Footprint, InstanceKey, Interface, PrepareError, Prepared, Progress,
    StartError, Started, Version, error_chain,
};
use serverledge_wire::upload;
use tokio::time::Instant;
use wasmtime::Engine;

use crate::cache::{CacheEntry, CacheError, DiskCache};
use crate::config::WasmConfig;
use crate::core_guest::CoreGuest;
use crate::core_instance::{CallEnd, CoreInstance};
use crate::engine::{self, GuestParts};
use crate::engines::{Divided, Engines};
use crate::files::CodeParts;
use crate::kept::KeptCount;
use crate::lane::HeavyLane;
use crate::loaded::{LoadedModule, LoadedModules, Loader, Program};
use crate::log_tail::LogTail;
use crate::meter::Meter;
use crate::protocol::{Compiled, GuestKind, Job};
use crate::sandbox::WasmSandbox;
use crate::snapshot::{ModuleSnapshot, SnapshotBase, SnapshotError, Snapshots};
use crate::surface;
use crate::ticker::Ticker;
use crate::worker::{Compiler, internal};
use crate::written_pages::WrittenPages;

/// Initial memory that is for the most part a shadow stack of a linker's default, 1 MiB. Of that the person who deploys is told:
/// all of it is reset for every fresh instance. More than this is the memory of a whole interpreter.
const REMARK_MEMORY_BYTES: std::ops::Range<u64> = (1 << 20) + 1..4 << 20;

/// The code of refusals of WASI 0.3 where it is switched off.
const PREVIEW3_OFF: &str = "preview3_off";
const PREVIEW3_HINT: &str = "this node has that switched off (wasm.preview3 = false); build for WASI 0.2, or ask the node's operator";

/// Runs WebAssembly. Clones share everything.
#[derive(Clone)]
pub struct WasmExecutor {
    shared: Arc<ExecutorParts>,
}

/// State that all sandboxes share.
pub(crate) struct ExecutorParts {
    pub(crate) config: WasmConfig,
    pub(crate) engine: Engine,
    /// That of components of WASI 0.3; `None` where they are switched off.
    pub(crate) concurrent: Option<Engine>,
    pub(crate) ticker: Ticker,
    pub(crate) lane: HeavyLane,
    compiler: Compiler,
    snapshots: Snapshots,
    engines: Engines,
    modules: LoadedModules,
    /// `None`: the machine does not tell which pages were written, and no instance is kept.
    pages: Option<WrittenPages>,
    kept: KeptCount,
    /// Whether a task runs that drops instances which have waited long enough.
    expiring: AtomicBool,
}

/// The reason why the executor cannot start.
#[derive(Debug, thiserror::Error)]
#[error("failed to {attempt}: {cause}")]
pub struct WasmOpenError {
    attempt: &'static str,
    cause: String,
}

impl WasmExecutor {
    /// Opens the cache, reserves the pool's address space and starts the epoch clock and the low-priority threads.
    ///
    /// # Errors
    /// [`WasmOpenError`] if the cache directory cannot be used, or the machine refuses the address space or the threads.
    pub fn open(config: WasmConfig) -> Result<Self, WasmOpenError> {
        let engine = engine::running(&config)
            .map_err(|e| open_error("create the engine", format!("{e:#}")))?;
        let disk = DiskCache::open_dir(&config.cache_dir, &engine::compatibility(&engine))
            .map_err(|e| open_error("open the cache of compiled modules", error_chain(&e)))?;
        let concurrent = config
            .preview3
            .then(|| engine::running_concurrent(&config))
            .transpose()
            .map_err(|e| open_error("create the engine of WASI 0.3", format!("{e:#}")))?;
        let engines = std::iter::once(&engine).chain(&concurrent);
        let ticker = Ticker::start(engines.cloned().collect())
            .map_err(|e| open_error("start the epoch clock", e.to_string()))?;
        let lane = HeavyLane::start(config.heavy_threads)
            .map_err(|e| open_error("start threads", e.to_string()))?;
        let loader = Loader::new(engine.clone(), concurrent.clone(), disk)
            .map_err(|e| open_error("link the host functions", format!("{e:#}")))?;
        let compiler = Compiler::new(config.worker.clone(), config.compile);
        let modules = LoadedModules::new(loader, config.loaded_bytes_max, config.loaded_max);
        let snapshots = Snapshots::open(&config.cache_dir, config.init, config.log_bytes_max)
            .map_err(|e| open_error("open the cache of compiled bases", error_chain(&e)))?;
        let engines = Engines::new(&config.bases).with_packed(&config.packed_bases);
        let parts = ExecutorParts {
            config,
            engine,
            concurrent,
            ticker,
            lane,
            compiler,
            snapshots,
            engines,
            modules,
            pages: WrittenPages::open(),
            kept: KeptCount::default(),
            expiring: AtomicBool::new(false),
        };
        if parts.pages.is_none() {
            tracing::warn!(
                "the machine does not tell which pages were written; every call gets a fresh instance"
            );
        }
        Ok(Self {
            shared: Arc::new(parts),
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
        base: impl Into<SnapshotBase>,
        input: Bytes,
        memory_bytes_max: u64,
    ) -> Result<ModuleSnapshot, SnapshotError> {
        self.shared
            .snapshots
            .take(&self.shared.compiler, &base.into(), input, memory_bytes_max)
            .await
    }

    /// Compiles a base and the engine that its snapshots share, unless that was done before, so that the first snapshot
    /// need not wait. Dropping the future ends the child.
    ///
    /// # Errors
    /// [`SnapshotError::Base`] if it is none, `Child` if a limit is met.
    pub async fn prepare_base(&self, base: impl Into<SnapshotBase>) -> Result<(), SnapshotError> {
        let base = base.into();
        let ExecutorParts {
            compiler,
            snapshots,
            engines,
            modules,
            ..
        } = &*self.shared;
        snapshots.machine_code(compiler, &base).await?;
        Ok(engines.prepare(compiler, &modules.loader, &base).await?)
    }

    /// Whether [`Self::prepare_base`] has been done for a base; the seals of what it made are not checked.
    #[must_use]
    pub fn is_base_prepared(&self, base: &SnapshotBase) -> bool {
        let ExecutorParts {
            snapshots,
            engines,
            modules,
            ..
        } = &*self.shared;
        snapshots.is_compiled(base) && engines.is_there(&modules.loader, base)
    }

    /// A packed base by its name, unpacked now if it was not before: that blocks for a tenth of a second. `None` if no base
    /// has the name, or it cannot be unpacked.
    #[must_use]
    pub fn unpacked_base(&self, name: &str) -> Option<SnapshotBase> {
        self.shared.engines.unpacked_base(name)
    }

    /// Number of instances that were put back to their beginning and wait for a call.
    #[must_use]
    pub fn instances_kept(&self) -> usize {
        self.shared.kept.get()
    }

    /// Takes the code apart if it is a snapshot that can share an engine, and sees to that engine.
    async fn divided(&self, code: &Bytes, progress: &dyn Progress) -> Option<Divided> {
        let shared = Arc::clone(&self.shared);
        let module = code.clone();
        let divided = tokio::task::spawn_blocking(move || shared.engines.divide(&module))
            .await
            .ok()??;
        let ExecutorParts {
            compiler,
            engines,
            modules,
            ..
        } = &*self.shared;
        engines
            .is_made(compiler, &modules.loader, &divided, progress)
            .await
            .then_some(divided)
    }

    /// The facts about a version that was compiled, if it can run here.
    fn prepared(&self, version: &Version, compiled: &Compiled) -> Result<Prepared, PrepareError> {
        self.check_preview3(compiled.is_concurrent)?;
        prepared(version, compiled)
    }

    /// Refuses a component of WASI 0.3 where these are switched off.
    fn check_preview3(&self, is_concurrent: bool) -> Result<(), PrepareError> {
        if is_concurrent && !self.shared.config.preview3 {
            return Err(PrepareError::Invalid {
                code: PREVIEW3_OFF,
                message: format!("the component is made for WASI 0.3, and {PREVIEW3_HINT}"),
            });
        }
        Ok(())
    }

    /// Compiles a snapshot's data, or the whole module.
    async fn compile(
        &self,
        code: Bytes,
        progress: &dyn Progress,
    ) -> Result<(CacheEntry, Vec<u8>), PrepareError> {
        let compiler = &self.shared.compiler;
        let Some(divided) = self.divided(&code, progress).await else {
            let (compiled, machine_code) = compiler.compile(Job::Compile, code, progress).await?;
            return Ok((compiled.into(), machine_code));
        };
        let needs = Some(divided.needs());
        let answers_requests = divided.answers_requests;
        let (mut compiled, machine_code) = compiler
            .compile(Job::Data, divided.data.wasm.into(), progress)
            .await?;
        if answers_requests {
            compiled.kind = GuestKind::HttpReactor;
        }
        let entry = CacheEntry {
            needs,
            ..CacheEntry::from(compiled)
        };
        Ok((entry, machine_code))
    }
}

impl ExecutorParts {
    /// A fresh instance of a core module. The error comes with whether the guest was refused memory.
    pub(crate) async fn fresh(
        &self,
        loaded: &LoadedModule,
        is_kept: bool,
        guest: CoreGuest,
    ) -> Result<CoreInstance, (wasmtime::Error, bool)> {
        let Program::Core(program) = &loaded.program else {
            return Err((wasmtime::Error::msg("a component is no core module"), false));
        };
        self.make_room(engine::core_guest(loaded.memories));
        let plan = loaded
            .plan
            .as_ref()
            .filter(|plan| is_kept && self.keeps() && plan.pays());
        CoreInstance::fresh(&self.engine, program, plan, guest).await
    }

    /// Keeps an instance of a snapshot in two parts for its first call, unless others would have to go for it. To see that
    /// instances can be put back takes longer than a call. Nothing of the guest runs.
    async fn make_first(self: &Arc<Self>, loaded: &LoadedModule, memory_bytes_max: u64) {
        let may_keep = self.keeps() && self.kept.get() < self.config.kept_max;
        if !loaded.is_split() || !may_keep || !self.has_room(engine::core_guest(loaded.memories)) {
            return;
        }
        let meter = Meter::new(memory_bytes_max, None, Arc::default());
        let guest = CoreGuest::still(meter, LogTail::new(0), Bytes::new(), 0);
        if let Ok(instance) = self.fresh(loaded, true, guest).await {
            self.keep(loaded, None, instance, &CallEnd::untouched());
        }
    }

    fn keeps(&self) -> bool {
        self.pages.is_some() && self.config.kept_max > 0 && self.config.keep_resident_bytes > 0
    }

    /// Drops instances that wait until the pool has room for another guest.
    pub(crate) fn make_room(&self, guest: GuestParts) {
        while !self.has_room(guest) {
            let Some(gone) = self.modules.oldest_kept() else {
                return;
            };
            drop(gone);
        }
    }

    /// By what is in use now, whoever uses it: also guests whose callers have left.
    fn has_room(&self, guest: GuestParts) -> bool {
        if self.kept.get() == 0 {
            return true;
        }
        let Some(used) = self.engine.pooling_allocator_metrics() else {
            return true;
        };
        let most = engine::pool(self.config.slots);
        used.memories() + guest.memories as usize <= most.memories as usize
            && used.tables() + guest.tables as usize <= most.tables as usize
            && used.core_instances() + u64::from(guest.core_instances)
                <= u64::from(most.core_instances)
    }

    /// Puts an instance back to its beginning after a call and keeps it for the next one, or drops it.
    pub(crate) fn keep(
        self: &Arc<Self>,
        loaded: &LoadedModule,
        key: Option<InstanceKey>,
        instance: CoreInstance,
        end: &CallEnd,
    ) {
        let Some(pages) = self.pages.as_ref().filter(|_| self.keeps()) else {
            return;
        };
        let restored = instance.restore(end, pages, self.config.keep_resident_bytes);
        let Some(instance) = restored else {
            return;
        };
        if self.kept.get() >= self.config.kept_max {
            let Some(gone) = self.modules.oldest_kept() else {
                return;
            };
            drop(gone);
        }
        loaded.kept.put(key, instance, &self.kept);
        if !self.expiring.swap(true, Ordering::SeqCst) {
            let task = expire(Arc::downgrade(self), self.config.kept_idle_max);
            self.lane.tend(task);
        }
    }
}

/// Drops instances that have waited long enough, as long as there are any.
async fn expire(parts: Weak<ExecutorParts>, idle_max: Duration) {
    loop {
        tokio::time::sleep(idle_max / 4).await;
        let Some(parts) = parts.upgrade() else {
            return;
        };
        drop(parts.modules.kept_idle_for(idle_max));
        if parts.kept.get() == 0 {
            // Sequentially consistent, as is the other side: either it sees that the task has ended, or the task sees it.
            parts.expiring.store(false, Ordering::SeqCst);
            if parts.kept.get() == 0 || parts.expiring.swap(true, Ordering::SeqCst) {
                return;
            }
        }
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
        let loader = &self.shared.modules.loader;
        // A damaged file is made again.
        if let Some(compiled) = loader.verified(version.code).await {
            return self.prepared(version, &compiled);
        }
        let CodeParts { module, pack } = taken_apart(code).await?;
        if !self.shared.config.preview3 {
            // Before it is compiled for nothing.
            let surface = surface::read(&module).unwrap_or_default();
            self.check_preview3(surface.is_component && surface.is_of_preview_3())?;
        }
        let (entry, machine_code) = self.compile(module, progress).await?;
        let prepared = self.prepared(version, &entry.compiled)?;
        let stored = loader.store(version.code, entry, machine_code, pack).await;
        stored.map_err(|source| internal("keep the machine code", source))?;
        if let Some(loaded) = self.shared.modules.load_ahead(version.code).await {
            let shared = Arc::clone(&self.shared);
            let memory_bytes_max = version.limits.memory.bytes();
            let first = async move { shared.make_first(&loaded, memory_bytes_max).await };
            // It compares tens of megabytes at once.
            let handle = tokio::runtime::Handle::current();
            let made = tokio::task::spawn_blocking(move || handle.block_on(first)).await;
            made.map_err(|source| internal("make an instance", source))?;
        }
        Ok(prepared)
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
        self.shared.modules.loader.is_complete(&version.code)
    }

    fn footprint(&self, version: &Version) -> Option<Footprint> {
        self.shared.modules.loader.footprint(&version.code)
    }

    async fn forget(&self, version: &Version) {
        self.shared.modules.forget(&version.code);
    }

    async fn sweep(&self, code_in_use: &HashSet<Digest>, grace: Duration) -> usize {
        let used = code_in_use
            .iter()
            .copied()
            .chain(self.shared.engines.digests())
            .collect();
        self.shared.modules.loader.sweep(used, grace).await
    }
}

/// The module and the files of deployed code. A tar is read where nobody waits.
async fn taken_apart(code: Bytes) -> Result<CodeParts, PrepareError> {
    if !upload::is_tar(&code) {
        return Ok(CodeParts::module(code));
    }
    tokio::task::spawn_blocking(move || CodeParts::of_tar(&code))
        .await
        .map_err(|lost| internal("take the code apart", lost))?
}

/// The interface of a version with code of this kind. Only programs have arguments and standard streams to set.
fn interface(version: &Version, kind: GuestKind) -> Result<Interface, PrepareError> {
    let io = &version.io;
    match kind {
        GuestKind::Command | GuestKind::Cli | GuestKind::ConcurrentCli if io.has_bytes() => {
            Ok(Interface::Http)
        }
        GuestKind::Reactor | GuestKind::HttpReactor | GuestKind::Http | GuestKind::Service
            if !io.is_default() =>
        {
            Err(PrepareError::Invalid {
                code: "invalid_member",
                message: format!(
                    "Arguments, Stdin and Stdout are for programs, which are WASI commands and wasi:cli components; this is a {}",
                    kind.words()
                ),
            })
        }
        _ => Ok(kind.interface()),
    }
}

fn prepared(version: &Version, compiled: &Compiled) -> Result<Prepared, PrepareError> {
    let interface = interface(version, compiled.kind)?;
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
    if REMARK_MEMORY_BYTES.contains(&compiled.memory_bytes_min) {
        remarks.push(format!(
            "the module begins with {} KiB of memory, which is reset for every fresh instance; a smaller shadow stack \
             (-z stack-size=65536) makes calls faster",
            compiled.memory_bytes_min >> 10
        ));
    }
    Ok(Prepared {
        interface,
        recognised: compiled.kind.words(),
        remarks,
    })
}

fn start_error(error: CacheError) -> StartError {
    match error {
        // Changed machine code is as good as none: it is made again from the module.
        CacheError::Missing(code) => StartError::NotPrepared(code),
        CacheError::Preview3Off(_) => StartError::Unavailable {
            code: PREVIEW3_OFF,
            what: "WASI 0.3",
            source: PREVIEW3_HINT.into(),
        },
        other => StartError::Internal {
            attempt: "load the module".to_owned(),
            source: Box::new(other),
        },
    }
}

fn open_error(attempt: &'static str, cause: String) -> WasmOpenError {
    WasmOpenError { attempt, cause }
}
