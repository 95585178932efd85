//! Modules in memory, ready to be instantiated: an LRU bounded by bytes and by open files, filled from the disk cache,
//! each module loaded once however many ask for it, and each engine once however many snapshots share it.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Weak};
use std::time::Duration;

use lru::LruCache;
use parking_lot::Mutex;
use serverledge_core::{Digest, Footprint};
use tokio::sync::OnceCell;
use wasmtime::component::Component;
use wasmtime::{Engine, Linker, Module, ModuleExport, component};

use crate::cache::{CacheEntry, CacheError, DiskCache, EngineUse, pack_digest};
use crate::command::CommandModule;
use crate::component_guest::ComponentGuest;
use crate::component_program::{CliProgram, ComponentProgram, HttpProgram};
use crate::core_guest::CoreGuest;
use crate::core_instance::RestorePlan;
use crate::files::{self, BaseTree};
use crate::kept::{KeptInstance, KeptInstances};
use crate::linker;
use crate::protocol::{Compiled, GuestKind};
use crate::reactor::Reactor;
use crate::split_module::{SharedEngine, SplitModule};

/// Memory with which a module may begin if its instances are kept: all of it is compared with its image once, in about
/// a millisecond for 2 MiB.
const RESTORED_BYTES_MAX: u64 = 64 << 20;

/// A module that can be instantiated.
pub(crate) struct LoadedModule {
    pub(crate) program: Program,
    /// `None`: its instances cannot be put back to their beginning.
    pub(crate) plan: Option<Arc<RestorePlan>>,
    /// Those that were put back, and wait.
    pub(crate) kept: KeptInstances,
    /// The number of its memories, if it is a core module, with its heap of objects.
    pub(crate) memories: u32,
    /// Whether its instances have a heap of objects.
    pub(crate) has_heap: bool,
    /// Whether it is a reactor that answers requests.
    pub(crate) answers_requests: bool,
    /// Whether it runs on the engine of WASI 0.3.
    pub(crate) is_concurrent: bool,
    /// The files that come with it, which all calls share.
    pub(crate) files: Option<Arc<BaseTree>>,
    /// Bytes of its own.
    bytes: u64,
    /// The engine that it shares with others, by its digest.
    engine: Option<(Digest, Arc<SharedEngine>)>,
}

/// By guest interface.
pub(crate) enum Program {
    Core(CoreProgram),
    Http(HttpProgram),
    Cli(CliProgram),
}

/// A core module, by guest interface.
pub(crate) enum CoreProgram {
    Command(CommandModule),
    Reactor(Reactor),
}

/// Loads from disk.
pub(crate) struct Loader {
    engine: Engine,
    core: Linker<CoreGuest>,
    components: component::Linker<ComponentGuest>,
    /// `None` where components of WASI 0.3 are switched off.
    concurrent: Option<(Engine, component::Linker<ComponentGuest>)>,
    disk: DiskCache,
    /// The engines that loaded modules hold.
    engines: Mutex<HashMap<Digest, Weak<SharedEngine>>>,
}

/// See the module.
pub(crate) struct LoadedModules {
    pub(crate) loader: Arc<Loader>,
    bytes_max: u64,
    modules_max: usize,
    state: Mutex<LoadedState>,
}

/// A module that is not kept loaded any more, and the instances that waited.
struct ReleasedModule {
    _kept: Vec<KeptInstance>,
    _module: Arc<LoadedModule>,
}

struct LoadedState {
    kept: LruCache<Digest, Arc<LoadedModule>>,
    /// The number of kept modules that share each engine.
    engines: HashMap<Digest, usize>,
    bytes: u64,
    /// Loads under way: whoever asks meanwhile waits for the same one.
    loading: HashMap<Digest, Arc<OnceCell<Arc<LoadedModule>>>>,
}

impl LoadedModule {
    /// Whether it is a snapshot in two parts: an instance of it begins without running anything.
    pub(crate) const fn is_split(&self) -> bool {
        self.engine.is_some()
    }
}

impl Program {
    fn memories(&self) -> u32 {
        match self {
            Self::Core(program) => program.memory_module().resources_required().num_memories,
            Self::Http(_) | Self::Cli(_) => 0,
        }
    }

    fn plan(&self, is_restorable: bool, compiled: &Compiled) -> Option<Arc<RestorePlan>> {
        match self {
            Self::Core(program)
                if is_restorable && compiled.memory_bytes_min <= RESTORED_BYTES_MAX =>
            {
                Some(Arc::new(RestorePlan::new(program.module())))
            }
            _ => None,
        }
    }
}

impl CoreProgram {
    /// The module whose exports an instance has.
    fn module(&self) -> &Module {
        match self {
            Self::Command(command) => command.module(),
            Self::Reactor(reactor) => reactor.module(),
        }
    }

    /// The export of an instance that is its memory.
    pub(crate) fn memory(&self) -> &ModuleExport {
        match self {
            Self::Command(command) => command.memory(),
            Self::Reactor(reactor) => reactor.memory(),
        }
    }

    /// The module that brings the memory.
    pub(crate) fn memory_module(&self) -> &Module {
        match self {
            Self::Command(command) => command.module(),
            Self::Reactor(reactor) => reactor.memory_module(),
        }
    }
}

impl Loader {
    pub(crate) fn new(
        engine: Engine,
        concurrent: Option<Engine>,
        disk: DiskCache,
    ) -> wasmtime::Result<Self> {
        let core = linker::core(&engine)?;
        let components = linker::component(&engine)?;
        let concurrent = match concurrent {
            Some(engine) => {
                let components = linker::concurrent_component(&engine)?;
                Some((engine, components))
            }
            None => None,
        };
        Ok(Self {
            core,
            components,
            concurrent,
            engine,
            disk,
            engines: Mutex::default(),
        })
    }

    /// Reads, verifies, maps. Blocks for about a millisecond per MB of machine code, and never compiles.
    pub(crate) fn load(&self, code: &Digest) -> Result<Arc<LoadedModule>, CacheError> {
        let (file, entry) = self.disk.open(code)?;
        if entry.compiled.is_concurrent && self.concurrent.is_none() {
            return Err(CacheError::Preview3Off(*code));
        }
        let files = self.files(code, &entry)?;
        let CacheEntry {
            compiled, needs, ..
        } = entry;
        let bytes = compiled.code_bytes + files.as_ref().map_or(0, |files| files.bytes());
        let failed = |source| CacheError::Load {
            code: *code,
            source,
        };
        let answers_requests = compiled.kind == GuestKind::HttpReactor;
        let Some(needs) = needs else {
            let program = self.program(&compiled, file).map_err(failed)?;
            return Ok(Arc::new(LoadedModule {
                plan: program.plan(compiled.is_restorable, &compiled),
                // A heap of objects lies in one more.
                memories: program.memories() + u32::from(compiled.has_heap),
                has_heap: compiled.has_heap,
                answers_requests,
                is_concurrent: compiled.is_concurrent,
                program,
                kept: KeptInstances::new(),
                files,
                bytes,
                engine: None,
            }));
        };
        let engine = self.engine(&needs.engine).map_err(|error| match error {
            // Preparing the version makes its engine as well.
            CacheError::Missing(_) => CacheError::Missing(*code),
            other => other,
        })?;
        let program = self
            .split_program(Arc::clone(&engine), file, &needs, compiled.kind)
            .map_err(failed)?;
        Ok(Arc::new(LoadedModule {
            plan: program.plan(engine.is_restorable, &compiled),
            memories: program.memories(),
            has_heap: false,
            answers_requests,
            is_concurrent: false,
            program,
            kept: KeptInstances::new(),
            files,
            bytes,
            engine: Some((needs.engine, engine)),
        }))
    }

    /// The files that come with code which was opened.
    fn files(
        &self,
        code: &Digest,
        entry: &CacheEntry,
    ) -> Result<Option<Arc<BaseTree>>, CacheError> {
        let Some(pack) = self.disk.files(code, entry)? else {
            return Ok(None);
        };
        let tree = files::unpacked(&pack).ok_or(CacheError::Missing(*code))?;
        Ok(Some(Arc::new(tree)))
    }

    /// The engine that is loaded, or loads it: others wait meanwhile.
    fn engine(&self, digest: &Digest) -> Result<Arc<SharedEngine>, CacheError> {
        let mut engines = self.engines.lock();
        if let Some(loaded) = engines.get(digest).and_then(Weak::upgrade) {
            return Ok(loaded);
        }
        let (file, entry) = self.disk.open(digest)?;
        let module = self.module(file).map_err(|source| CacheError::Load {
            code: *digest,
            source,
        })?;
        let loaded = Arc::new(SharedEngine {
            module,
            bytes: entry.compiled.code_bytes,
            is_restorable: entry.compiled.is_restorable,
        });
        engines.retain(|_, engine| engine.strong_count() > 0);
        engines.insert(*digest, Arc::downgrade(&loaded));
        Ok(loaded)
    }

    /// Whether an engine is loaded.
    pub(crate) fn has_engine(&self, digest: &Digest) -> bool {
        let engines = self.engines.lock();
        engines
            .get(digest)
            .is_some_and(|engine| engine.strong_count() > 0)
    }

    fn split_program(
        &self,
        engine: Arc<SharedEngine>,
        file: std::fs::File,
        needs: &EngineUse,
        kind: GuestKind,
    ) -> wasmtime::Result<Program> {
        let data = self.core.instantiate_pre(&self.module(file)?)?;
        let reactor = SplitModule::new(engine, data, &needs.globals)
            .and_then(|split| Reactor::split(split, kind.handler()));
        let lost = || wasmtime::Error::msg("data and engine do not belong together");
        Ok(Program::Core(CoreProgram::Reactor(
            reactor.ok_or_else(lost)?,
        )))
    }

    /// The facts about machine code that is on disk already, if it and the engine that it needs are whole.
    pub(crate) async fn verified(self: &Arc<Self>, code: Digest) -> Option<Compiled> {
        let verify = move |disk: &DiskCache| {
            let (_, entry) = disk.open(&code).ok()?;
            disk.files(&code, &entry).ok()?;
            match entry.needs {
                Some(needs) => disk.open(&needs.engine).is_ok().then_some(entry.compiled),
                None => Some(entry.compiled),
            }
        };
        self.on_disk(verify).await.ok().flatten()
    }

    /// Keeps machine code, and the pack of the files that come with it.
    pub(crate) async fn store(
        self: &Arc<Self>,
        code: Digest,
        mut entry: CacheEntry,
        machine_code: Vec<u8>,
        pack: Option<Vec<u8>>,
    ) -> Result<(), CacheError> {
        let store = move |disk: &DiskCache| {
            if let Some(pack) = pack {
                disk.store_files(&code, &pack)?;
                entry.files = Some(pack_digest(&pack));
            }
            disk.store(&code, &entry, &machine_code)
        };
        self.on_disk(store)
            .await
            .map_err(|_| CacheError::Lost(code))?
    }

    /// Removes what is not used; returns how many files were removed.
    pub(crate) async fn sweep(self: &Arc<Self>, used: HashSet<Digest>, grace: Duration) -> usize {
        self.on_disk(move |disk| disk.sweep(used, grace))
            .await
            .unwrap_or(0)
    }

    /// The sizes of a module whose machine code is there.
    pub(crate) fn footprint(&self, code: &Digest) -> Option<Footprint> {
        let compiled = self.disk.label(code)?.compiled;
        Some(Footprint {
            machine_code_bytes: compiled.code_bytes,
            memory_bytes: compiled.memory_bytes_min,
        })
    }

    /// Bytes of machine code that loading a module adds, with those of its engine unless that is loaded.
    fn bytes_to_load(&self, code: &Digest) -> Option<u64> {
        let entry = self.disk.label(code)?;
        let needs = entry.needs.map(|needs| needs.engine);
        let engine = needs
            .filter(|engine| !self.has_engine(engine))
            .and_then(|engine| self.disk.label(&engine));
        let of_engine = engine.map_or(0, |engine| engine.compiled.code_bytes);
        Some(entry.compiled.code_bytes + of_engine)
    }

    /// Whether machine code and the engine that it needs are there.
    pub(crate) fn is_complete(&self, code: &Digest) -> bool {
        self.disk.is_complete(code)
    }

    async fn on_disk<T: Send + 'static>(
        self: &Arc<Self>,
        work: impl FnOnce(&DiskCache) -> T + Send + 'static,
    ) -> Result<T, tokio::task::JoinError> {
        let loader = Arc::clone(self);
        tokio::task::spawn_blocking(move || work(&loader.disk)).await
    }

    fn program(&self, compiled: &Compiled, file: std::fs::File) -> wasmtime::Result<Program> {
        let lost = || wasmtime::Error::msg("the module lost an export");
        Ok(match compiled.kind {
            GuestKind::Command => {
                let command = CommandModule::new(self.core.instantiate_pre(&self.module(file)?)?);
                Program::Core(CoreProgram::Command(command.ok_or_else(lost)?))
            }
            kind @ (GuestKind::Reactor | GuestKind::HttpReactor) => {
                let linked = self.core.instantiate_pre(&self.module(file)?)?;
                let reactor = Reactor::new(linked, kind.handler());
                Program::Core(CoreProgram::Reactor(reactor.ok_or_else(lost)?))
            }
            kind => {
                let (engine, linker) = match &self.concurrent {
                    Some((engine, linker)) if compiled.is_concurrent => (engine, linker),
                    _ => (&self.engine, &self.components),
                };
                let linked = linker.instantiate_pre(&component(engine, file)?)?;
                match ComponentProgram::new(kind, linked)? {
                    ComponentProgram::Http(program) => Program::Http(program),
                    ComponentProgram::Cli(program) => Program::Cli(program),
                }
            }
        })
    }

    #[expect(
        unsafe_code,
        reason = "loading machine code is unsafe by nature; the file's keyed digest was verified through this very descriptor"
    )]
    fn module(&self, file: std::fs::File) -> wasmtime::Result<Module> {
        // SAFETY: `DiskCache::open` verified that the bytes behind this descriptor were written by this node's own
        // compiling child and are unchanged; the directory is writable by the node's user alone.
        unsafe { Module::deserialize_open_file(&self.engine, file) }
    }
}

#[expect(
    unsafe_code,
    reason = "as for modules; components offer no descriptor form, so the verified bytes are copied"
)]
fn component(engine: &Engine, mut file: std::fs::File) -> wasmtime::Result<Component> {
    use std::io::{Read, Seek};
    let mut bytes = Vec::new();
    file.rewind()?;
    file.read_to_end(&mut bytes)?;
    // SAFETY: as above.
    unsafe { Component::deserialize(engine, &bytes) }
}

impl LoadedModules {
    pub(crate) fn new(loader: Loader, bytes_max: u64, modules_max: usize) -> Self {
        let state = LoadedState::default();
        Self {
            loader: Arc::new(loader),
            bytes_max,
            modules_max,
            state: Mutex::new(state),
        }
    }

    /// A module that is loaded already.
    pub(crate) fn get(&self, code: &Digest) -> Option<Arc<LoadedModule>> {
        self.state.lock().kept.get(code).cloned()
    }

    /// Loads a module, or waits for a load that is under way. Dropping the future leaves a load that others wait for.
    pub(crate) async fn load(&self, code: Digest) -> Result<Arc<LoadedModule>, CacheError> {
        let cell = Arc::clone(self.state.lock().loading.entry(code).or_default());
        let loader = Arc::clone(&self.loader);
        let loaded = cell
            .get_or_try_init(|| async move {
                tokio::task::spawn_blocking(move || loader.load(&code))
                    .await
                    .map_err(|_| CacheError::Lost(code))?
            })
            .await
            .cloned();
        let mut state = self.state.lock();
        state.loading.remove(&code);
        let gone = match &loaded {
            Ok(loaded) => state.keep(code, loaded, self.bytes_max, self.modules_max),
            Err(_) => Vec::new(),
        };
        drop(state);
        // Whatever they kept goes where nobody waits for the lock.
        drop(gone);
        loaded
    }

    /// Loads a module for the calls to come, unless others would have to go for it. That it cannot be loaded is told when it is
    /// started. Dropping the future leaves a load that others wait for.
    pub(crate) async fn load_ahead(&self, code: Digest) -> Option<Arc<LoadedModule>> {
        let bytes = self.loader.bytes_to_load(&code)?;
        let has_room = {
            let state = self.state.lock();
            // Its own file, and that of an engine which is not loaded yet.
            state.files() + 2 <= self.modules_max && state.bytes + bytes <= self.bytes_max
        };
        if has_room {
            self.load(code).await.ok()
        } else {
            None
        }
    }

    /// Takes out the instance that waits for a call of the module that was called longest ago; `None` if none waits.
    /// Instances are dropped where no lock is held.
    pub(crate) fn oldest_kept(&self) -> Option<KeptInstance> {
        let state = self.state.lock();
        state
            .kept
            .iter()
            .rev()
            .find_map(|(_, loaded)| loaded.kept.oldest())
    }

    /// Takes out the instances that have waited so long.
    pub(crate) fn kept_idle_for(&self, idle: Duration) -> Vec<KeptInstance> {
        let state = self.state.lock();
        let modules = state.kept.iter();
        modules
            .flat_map(|(_, loaded)| loaded.kept.idle_for(idle))
            .collect()
    }

    pub(crate) fn forget(&self, code: &Digest) {
        let mut state = self.state.lock();
        let gone = state.kept.pop(code).map(|gone| state.release(gone));
        drop(state);
        drop(gone);
    }
}

impl Default for LoadedState {
    fn default() -> Self {
        Self {
            kept: LruCache::unbounded(),
            engines: HashMap::new(),
            bytes: 0,
            loading: HashMap::new(),
        }
    }
}

impl LoadedState {
    /// Keeps a module that was loaded; what has to go for it comes back, to be dropped where no lock is held.
    fn keep(
        &mut self,
        code: Digest,
        loaded: &Arc<LoadedModule>,
        bytes_max: u64,
        modules_max: usize,
    ) -> Vec<ReleasedModule> {
        let mut released = Vec::new();
        if let Some(same) = self.kept.get(&code)
            && Arc::ptr_eq(same, loaded)
        {
            // Another one has waited for the same load.
            return released;
        }
        self.charge(loaded);
        if let Some(old) = self.kept.put(code, Arc::clone(loaded)) {
            released.push(self.release(old));
        }
        // The newest stays, however large: it is about to be used.
        while self.kept.len() > 1 && (self.files() > modules_max || self.bytes > bytes_max) {
            let Some((_, gone)) = self.kept.pop_lru() else {
                break;
            };
            released.push(self.release(gone));
        }
        released
    }

    /// Open files: one of each module and each engine.
    fn files(&self) -> usize {
        self.kept.len() + self.engines.len()
    }

    /// Counts what a module brings along: its engine, if it is the first one that shares it.
    fn charge(&mut self, loaded: &LoadedModule) {
        self.bytes += loaded.bytes;
        if let Some((digest, engine)) = &loaded.engine {
            let users = self.engines.entry(*digest).or_default();
            if *users == 0 {
                self.bytes += engine.bytes;
            }
            *users += 1;
        }
    }

    fn release(&mut self, gone: Arc<LoadedModule>) -> ReleasedModule {
        self.bytes = self.bytes.saturating_sub(gone.bytes);
        if let Some((digest, engine)) = &gone.engine
            && let Some(users) = self.engines.get_mut(digest)
        {
            *users -= 1;
            if *users == 0 {
                self.engines.remove(digest);
                self.bytes = self.bytes.saturating_sub(engine.bytes);
            }
        }
        let kept = gone.kept.close();
        ReleasedModule {
            _kept: kept,
            _module: gone,
        }
    }
}
