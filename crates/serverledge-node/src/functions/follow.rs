//! The functions that this node knows: it reads them, follows their changes, and prepares those that it lacks.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use async_trait::async_trait;
use serverledge_api::{FunctionCatalogue, LogFeed, Readiness};
use serverledge_core::kv::{KvError, Revision};
use serverledge_core::{Digest, Function, FunctionName, Runtime, SpaceId};
use serverledge_registry::{ChangeWatch, Follower, FunctionChange, FunctionStore};
use serverledge_wire::rollout::{VersionQuestion, VersionStand};

use crate::background::Background;
use crate::config::Config;
use crate::executors::is_pooled;
use crate::functions::Functions;
use crate::functions::preparing::jobs::Jobs;
use crate::functions::preparing::recency::Recency;
use crate::functions::preparing::startup::Startup;
use crate::functions::preparing::unheard::FunctionFinder;
use crate::functions::resources::FunctionResources;
use crate::functions::spaces::Spaces;
use crate::program::foundation::Foundation;

/// The service that keeps the functions current.
pub(crate) struct Catalogue {
    pub(super) resources: FunctionResources,
    pub(super) store: FunctionStore,
    pub(super) spaces: Arc<dyn Spaces>,
    finder: FunctionFinder,
    /// The versions to prepare here.
    pub(super) jobs: Arc<Jobs>,
    /// The functions to prepare before this node counts as ready.
    pub(super) startup: Startup,
    /// The last calls of functions.
    pub(super) recency: Recency,
    /// Number of modules that are compiled at once.
    pub(super) compile_parallel: usize,
    pub(super) ready: AtomicBool,
    pub(super) background: Background,
}

#[async_trait]
impl FunctionCatalogue for Catalogue {
    fn function(&self, space: &SpaceId, name: &str) -> Option<Arc<Function>> {
        self.functions()
            .get(space, name)
            .map(|entry| Arc::clone(&entry.function))
    }

    fn served(&self, space: &SpaceId, name: &str) -> Option<Arc<Function>> {
        self.functions()
            .served(space, name)
            .map(|entry| Arc::clone(&entry.function))
    }

    /// An unknown function is looked for in the registry.
    async fn find_served(&self, space: &SpaceId, name: &str) -> Option<Arc<Function>> {
        self.finder
            .find(space, name)
            .await
            .map(|entry| Arc::clone(&entry.function))
    }

    fn names(&self, space: &SpaceId) -> Vec<String> {
        self.functions().names(space)
    }

    fn logs(&self, space: &SpaceId, name: &str) -> Option<LogFeed> {
        self.functions()
            .get(space, name)
            .map(|entry| self.resources.logs.feed(&entry.function))
    }

    fn version_stand(&self, question: &VersionQuestion) -> VersionStand {
        let space = SpaceId::parse(&question.space);
        let entry = space.and_then(|space| self.functions().get(&space, &question.function));
        match entry {
            Some(entry) if entry.digest().to_string() == question.version => self.stand_of(&entry),
            // Not yet, or not any more: whoever asks has heard of another change.
            other => Self::unheard(other),
        }
    }

    fn readiness(&self) -> Readiness {
        if self.ready.load(Ordering::Acquire) {
            self.startup_readiness()
        } else {
            Readiness::Away
        }
    }
}

impl Catalogue {
    pub(crate) fn new(base: Foundation, config: &Config) -> Self {
        Self {
            resources: base.resources,
            store: base.store,
            spaces: base.reach,
            finder: base.finder,
            jobs: base.jobs,
            startup: Startup::default(),
            recency: Recency::open(&config.data.dir),
            compile_parallel: config.wasm.compile_parallel,
            ready: AtomicBool::new(false),
            background: base.background,
        }
    }

    pub(super) fn functions(&self) -> &Functions {
        &self.resources.functions
    }

    #[cfg(test)]
    pub(crate) fn jobs(&self) -> &Jobs {
        &self.jobs
    }

    /// Number of functions in all spaces.
    pub(crate) fn len(&self) -> usize {
        self.functions().len()
    }

    /// The functions that anybody can call.
    pub(crate) fn reachable_functions(&self) -> Vec<Arc<Function>> {
        let all = self.functions().all().into_iter();
        all.filter(|function| self.spaces.is_reachable(&function.space))
            .collect()
    }

    /// Reads all functions; returns the revision to watch from.
    pub(crate) async fn load_functions(&self) -> Result<Revision, KvError> {
        let (gone, next) = self.functions().load(&self.store).await?;
        self.resources.clean_up_removed(gone).await;
        Ok(next)
    }

    /// The container runtimes of the existing functions, for which template containers (stem cells) pay.
    pub(crate) fn container_runtimes(&self) -> Vec<Runtime> {
        let runtimes = self
            .reachable_functions()
            .into_iter()
            .map(|function| function.version.runtime);
        let used: BTreeSet<Runtime> = runtimes.filter(|runtime| is_pooled(*runtime)).collect();
        used.into_iter().collect()
    }

    /// The changes that this node has not made itself, with the version that each function has since.
    fn news<'a>(
        &self,
        changes: &'a [FunctionChange],
    ) -> Vec<(&'a SpaceId, &'a FunctionName, Option<&'a Digest>)> {
        let known =
            |space: &SpaceId, name: &FunctionName| self.functions().get(space, name.as_str());
        let news = changes.iter().filter_map(|change| match change {
            FunctionChange::Deployed(deployed) => {
                let function = &deployed.function;
                known(&function.space, &function.name)
                    .is_none_or(|entry| entry.is_before(deployed.revision))
                    .then_some((
                        &function.space,
                        &function.name,
                        Some(&function.version.digest),
                    ))
            }
            FunctionChange::Deleted { space, name, .. } => {
                known(space, name).map(|_| (space, name, None))
            }
            _ => None,
        });
        news.collect()
    }

    /// Queues a function that another node deployed, if it is not prepared here; it goes on with its previous version
    /// until then.
    fn prepare_if_missing(&self, function: &Function) {
        let entry = self
            .functions()
            .get(&function.space, function.name.as_str());
        if let Some(entry) =
            entry.filter(|entry| !entry.is_ready() && self.spaces.is_reachable(&function.space))
        {
            self.jobs.want(&entry, false);
        }
    }
}

impl Follower for Catalogue {
    type Change = FunctionChange;

    const PART: &'static str = "the registry";
    const MEANWHILE: &'static str = "known functions are served on";

    async fn load(&self) -> Result<Revision, KvError> {
        let next = self.load_functions().await?;
        self.prepare_missing();
        Ok(next)
    }

    async fn watch(&self, from: Revision) -> Result<ChangeWatch<FunctionChange>, KvError> {
        self.store.watch(Some(from)).await
    }

    async fn apply(&self, changes: Vec<FunctionChange>) {
        let news = self.news(&changes);
        let gone = self.functions().follow(&changes);
        self.resources.clean_up_removed(gone).await;
        for (space, name, version) in news {
            let action = if version.is_some() {
                "synced"
            } else {
                "deleted"
            };
            self.resources.tell_of(space, name, version, action);
        }
        for change in changes {
            if let FunctionChange::Deployed(deployed) = change {
                self.prepare_if_missing(&deployed.function);
            }
        }
    }
}
