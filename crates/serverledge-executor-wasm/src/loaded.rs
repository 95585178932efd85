//! Modules in memory, ready to be instantiated: an LRU bounded by bytes and by open files, filled from the disk cache,
//! each module loaded once however many ask for it.

use std::collections::HashMap;
use std::num::NonZeroUsize;
use std::sync::Arc;

use lru::LruCache;
use parking_lot::Mutex;
use serverledge_core::Digest;
use tokio::sync::OnceCell;
use wasmtime::component::Component;
use wasmtime::{Engine, Linker, Module, component};
use wasmtime_wasi_http::p2::bindings::ProxyPre;

use crate::cache::{CacheError, DiskCache};
use crate::command::Command;
use crate::core_guest::CoreGuest;
use crate::http_guest::HttpGuest;
use crate::linker;
use crate::protocol::GuestKind;
use crate::reactor::Reactor;

/// A module that can be instantiated.
pub(crate) struct Loaded {
    pub(crate) program: Program,
    bytes: u64,
}

/// By guest interface.
pub(crate) enum Program {
    Command(Command),
    Reactor(Reactor),
    Http(ProxyPre<HttpGuest>),
}

/// Bounds of the modules kept.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Bounds {
    pub(crate) bytes: u64,
    pub(crate) modules: usize,
}

/// Loads from disk.
pub(crate) struct Loader {
    engine: Engine,
    core: Linker<CoreGuest>,
    http: component::Linker<HttpGuest>,
    disk: DiskCache,
}

/// See the module.
pub(crate) struct LoadedModules {
    loader: Arc<Loader>,
    bounds: Bounds,
    state: Mutex<State>,
}

struct State {
    kept: LruCache<Digest, Arc<Loaded>>,
    bytes: u64,
    /// Loads under way: whoever asks meanwhile waits for the same one.
    loading: HashMap<Digest, Arc<OnceCell<Arc<Loaded>>>>,
}

impl Loader {
    pub(crate) fn new(engine: Engine, disk: DiskCache) -> wasmtime::Result<Self> {
        Ok(Self {
            core: linker::core(&engine)?,
            http: linker::http(&engine)?,
            engine,
            disk,
        })
    }

    pub(crate) fn disk(&self) -> &DiskCache {
        &self.disk
    }

    /// Reads, verifies, maps. Blocks for about a millisecond per MB of machine code, and never compiles.
    pub(crate) fn load(&self, code: &Digest) -> Result<Arc<Loaded>, CacheError> {
        let (file, compiled) = self.disk.open(code)?;
        let bytes = compiled.code_bytes;
        let program = self
            .program(compiled.kind, file)
            .map_err(|source| CacheError::Load {
                code: *code,
                source,
            })?;
        Ok(Arc::new(Loaded { program, bytes }))
    }

    fn program(&self, kind: GuestKind, file: std::fs::File) -> wasmtime::Result<Program> {
        let lost = || wasmtime::Error::msg("the module lost an export");
        Ok(match kind {
            GuestKind::Command => Program::Command(
                Command::new(self.core.instantiate_pre(&self.module(file)?)?).ok_or_else(lost)?,
            ),
            GuestKind::Reactor => Program::Reactor(
                Reactor::new(self.core.instantiate_pre(&self.module(file)?)?).ok_or_else(lost)?,
            ),
            GuestKind::Http => Program::Http(ProxyPre::new(
                self.http.instantiate_pre(&self.component(file)?)?,
            )?),
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

    #[expect(
        unsafe_code,
        reason = "as for modules; components offer no descriptor form, so the verified bytes are copied"
    )]
    fn component(&self, mut file: std::fs::File) -> wasmtime::Result<Component> {
        use std::io::{Read, Seek};
        let mut bytes = Vec::new();
        file.rewind()?;
        file.read_to_end(&mut bytes)?;
        // SAFETY: as above.
        unsafe { Component::deserialize(&self.engine, &bytes) }
    }
}

impl LoadedModules {
    pub(crate) fn new(loader: Loader, bounds: Bounds) -> Self {
        let state = State {
            kept: LruCache::unbounded(),
            bytes: 0,
            loading: HashMap::new(),
        };
        Self {
            loader: Arc::new(loader),
            bounds,
            state: Mutex::new(state),
        }
    }

    pub(crate) fn loader(&self) -> &Arc<Loader> {
        &self.loader
    }

    /// A module that is loaded already.
    pub(crate) fn get(&self, code: &Digest) -> Option<Arc<Loaded>> {
        self.state.lock().kept.get(code).cloned()
    }

    /// Loads a module, or waits for a load that is under way. Dropping the future leaves a load that others wait for.
    pub(crate) async fn load(&self, code: Digest) -> Result<Arc<Loaded>, CacheError> {
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
        if let Ok(loaded) = &loaded {
            state.keep(code, loaded, self.bounds);
        }
        loaded
    }

    pub(crate) fn forget(&self, code: &Digest) {
        let mut state = self.state.lock();
        if let Some(gone) = state.kept.pop(code) {
            state.bytes = state.bytes.saturating_sub(gone.bytes);
        }
    }
}

impl State {
    fn keep(&mut self, code: Digest, loaded: &Arc<Loaded>, bounds: Bounds) {
        self.bytes += loaded.bytes;
        if let Some(old) = self.kept.put(code, Arc::clone(loaded)) {
            self.bytes = self.bytes.saturating_sub(old.bytes);
        }
        let modules = NonZeroUsize::new(bounds.modules).map_or(1, NonZeroUsize::get);
        // The newest stays, however large: it is about to be used.
        while self.kept.len() > 1 && (self.kept.len() > modules || self.bytes > bounds.bytes) {
            let Some((_, gone)) = self.kept.pop_lru() else {
                return;
            };
            self.bytes = self.bytes.saturating_sub(gone.bytes);
        }
    }
}
