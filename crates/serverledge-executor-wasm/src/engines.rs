//! The engines that snapshots share: each is compiled once for its base and wasmtime, by a child that has seen nothing
//! else, and kept like all machine code, under a digest that no upload can have.

use std::collections::HashSet;
use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use serverledge_core::{Digest, PrepareError, Progress, error_chain};

use crate::cache::EngineUse;
use crate::config::PackedBase;
use crate::custom;
use crate::loaded::Loader;
use crate::protocol::Job;
use crate::snapshot::SnapshotBase;
use crate::split::{SplitBase, SplitData};
use crate::worker::{Compiler, internal};

/// A base that can share an engine, and the digest of the whole base.
type NamedBase = (Digest, Arc<SplitBase>);

/// The engines of the configured bases.
#[derive(Debug)]
pub(crate) struct Engines {
    bases: Vec<NamedBase>,
    /// Asked last, since they have to be unpacked for it.
    packed: Vec<PackedEngine>,
    /// Held by the one that compiles an engine; others wait.
    compiling: tokio::sync::Mutex<()>,
}

/// A base that is unpacked when it is first needed.
#[derive(Debug)]
struct PackedEngine {
    base: PackedBase,
    unpacked: OnceLock<Option<SnapshotBase>>,
    split: OnceLock<Option<NamedBase>>,
}

/// A snapshot taken apart, and its engine's part in it.
pub(crate) struct Divided {
    pub(crate) data: SplitData,
    /// Whether the snapshot has the mark of a reactor that answers requests.
    pub(crate) answers_requests: bool,
    base: Arc<SplitBase>,
}

impl Divided {
    pub(crate) fn needs(&self) -> EngineUse {
        EngineUse {
            engine: self.base.digest,
            globals: self.data.globals.clone(),
        }
    }
}

impl Engines {
    /// Engines of these bases, as far as they can have one.
    pub(crate) fn new(bases: &[Bytes]) -> Self {
        Self {
            bases: bases
                .iter()
                .filter_map(|base| named(&base.clone().into()))
                .collect(),
            packed: Vec::new(),
            compiling: tokio::sync::Mutex::new(()),
        }
    }

    /// The same with bases that are packed until one is needed.
    pub(crate) fn with_packed(mut self, bases: &[PackedBase]) -> Self {
        let packed = bases.iter().map(|base| PackedEngine {
            base: *base,
            unpacked: OnceLock::new(),
            split: OnceLock::new(),
        });
        self.packed.extend(packed);
        self
    }

    /// The digests of all engines that new snapshots use, except those of bases that nobody has needed yet.
    pub(crate) fn digests(&self) -> HashSet<Digest> {
        let needed = self
            .packed
            .iter()
            .filter_map(|packed| packed.split.get()?.as_ref());
        self.bases
            .iter()
            .chain(needed)
            .map(|(_, base)| base.digest)
            .collect()
    }

    /// The packed bases that a module so long can be, or can be a snapshot of; they are unpacked one by one.
    fn unpacked(&self, bytes: usize) -> impl Iterator<Item = &NamedBase> {
        self.packed
            .iter()
            .filter(move |packed| bytes >= packed.base.snapshot_bytes_min)
            .filter_map(PackedEngine::split)
    }

    /// A packed base by its name.
    pub(crate) fn unpacked_base(&self, name: &str) -> Option<SnapshotBase> {
        let mut packed = self.packed.iter();
        packed
            .find(|packed| packed.base.name == name)?
            .unpacked()
            .cloned()
    }

    /// The part of a base that can share an engine; `None` if it cannot, or is none of the configured ones.
    fn of_base(&self, base: &SnapshotBase) -> Option<&SplitBase> {
        let found = self
            .bases
            .iter()
            .chain(self.unpacked(base.bytes().len()))
            .find(|(digest, _)| digest == base.digest());
        found.map(|(_, base)| &**base)
    }

    /// Takes a snapshot of one of the bases apart; `None` for every other module. Reads all of the module. One that says
    /// that it answers requests, and cannot, is left whole: it is then refused like any such module. It may unpack
    /// bases.
    pub(crate) fn divide(&self, module: &[u8]) -> Option<Divided> {
        let answers_requests = custom::answers_requests(module);
        let mut bases = self.bases.iter().chain(self.unpacked(module.len()));
        bases.find_map(|(_, base)| {
            if answers_requests && !base.has_fetch {
                return None;
            }
            Some(Divided {
                data: base.data_of(module)?,
                answers_requests,
                base: Arc::clone(base),
            })
        })
    }

    /// Whether the engine of a base is here, or the base has none; the seal is not checked.
    pub(crate) fn is_there(&self, loader: &Loader, base: &SnapshotBase) -> bool {
        let base = self.of_base(base);
        base.is_none_or(|base| loader.is_complete(&base.digest))
    }

    /// Compiles the engine of a base, unless it is there or the base has none.
    pub(crate) async fn prepare(
        &self,
        compiler: &Compiler,
        loader: &Arc<Loader>,
        base: &SnapshotBase,
    ) -> Result<(), PrepareError> {
        match self.of_base(base) {
            Some(base) => self.make(compiler, loader, base, &()).await,
            None => Ok(()),
        }
    }

    /// Sees to the engine of a snapshot. Where it cannot be had, the snapshot is compiled as a whole.
    pub(crate) async fn is_made(
        &self,
        compiler: &Compiler,
        loader: &Arc<Loader>,
        divided: &Divided,
        progress: &dyn Progress,
    ) -> bool {
        let made = self.make(compiler, loader, &divided.base, progress).await;
        if let Err(error) = &made {
            tracing::warn!(
                error = error_chain(error),
                "failed to compile the engine that snapshots share"
            );
        }
        made.is_ok()
    }

    async fn make(
        &self,
        compiler: &Compiler,
        loader: &Arc<Loader>,
        base: &SplitBase,
        progress: &dyn Progress,
    ) -> Result<(), PrepareError> {
        let _turn = self.compiling.lock().await;
        // One that is loaded was verified then. Its file may be gone.
        let is_there = loader.has_engine(&base.digest) && loader.is_complete(&base.digest);
        if is_there || loader.verified(base.digest).await.is_some() {
            return Ok(());
        }
        let (compiled, machine_code) = compiler
            .compile(Job::Engine, Bytes::copy_from_slice(&base.engine), progress)
            .await?;
        let stored = loader
            .store(base.digest, compiled.into(), machine_code, None)
            .await;
        stored.map_err(|error| internal("keep the machine code of an engine", error))
    }
}

impl PackedEngine {
    fn unpacked(&self) -> Option<&SnapshotBase> {
        let unpack = || (self.base.unpack)().map(SnapshotBase::from);
        self.unpacked.get_or_init(unpack).as_ref()
    }

    fn split(&self) -> Option<&NamedBase> {
        let split = self.split.get_or_init(|| named(self.unpacked()?));
        split.as_ref()
    }
}

/// A base by its digest; `None` if its snapshots cannot share an engine.
fn named(base: &SnapshotBase) -> Option<NamedBase> {
    let split = SplitBase::new(base.bytes());
    if split.is_none() {
        tracing::warn!(
            bytes = base.bytes().len(),
            "the snapshots of a base cannot share an engine"
        );
    }
    Some((*base.digest(), Arc::new(split?)))
}
