//! Applications: functions under one name, with public addresses.

use std::sync::Arc;

use serverledge_core::kv::{KvError, Revision};
use serverledge_registry::{AppChange, AppStore, ChangeWatch, Follower, FunctionStore};
use tokio::sync::Notify;

use self::edge::EdgeCodes;
use self::edge_tier::EdgeTier;
use self::reach::Reach;
use self::snapshot::Applications;
use self::test_run::TestRuns;
use crate::background::Background;
use crate::functions::deploy::Deployer;
use crate::functions::quotas::Quotas;
use crate::functions::resources::FunctionResources;
use crate::invoke::Invoker;
use crate::program::foundation::Foundation;

mod delta;
mod dependencies;
mod edge;
mod edge_base;
mod edge_files;
mod edge_manifest;
mod edge_modules;
mod edge_signer;
pub(crate) mod edge_tier;
mod export;
mod manage;
#[cfg(test)]
mod node_tests;
mod packages;
pub(crate) mod reach;
mod running;
pub(crate) mod snapshot;
mod test_run;

/// The service for applications: managing them, and their public addresses.
pub(crate) struct Apps {
    applications: Arc<Applications>,
    app_store: AppStore,
    reach: Arc<Reach>,
    invoker: Arc<Invoker>,
    deployer: Arc<Deployer>,
    store: FunctionStore,
    quotas: Arc<Quotas>,
    shared: FunctionResources,
    test_runs: TestRuns,
    edge_codes: EdgeCodes,
    edge_tier: EdgeTier,
    /// Notified when a space was deleted.
    sweep_soon: Arc<Notify>,
    background: Background,
}

impl Apps {
    pub(crate) fn new(
        base: Foundation,
        invoker: Arc<Invoker>,
        deployer: Arc<Deployer>,
        edge_tier: EdgeTier,
    ) -> Self {
        Self {
            applications: Arc::clone(base.reach.applications()),
            app_store: base.app_store,
            reach: base.reach,
            invoker,
            deployer,
            store: base.store,
            quotas: base.quotas,
            shared: base.resources,
            test_runs: TestRuns::default(),
            edge_codes: EdgeCodes::default(),
            edge_tier,
            sweep_soon: base.sweep_soon,
            background: base.background,
        }
    }
}

impl Follower for Apps {
    type Change = AppChange;

    const PART: &'static str = "the applications";
    const MEANWHILE: &'static str = "known ones are served on";

    async fn load(&self) -> Result<Revision, KvError> {
        let loaded = self.app_store.load_all().await?;
        for unreadable in &loaded.unreadable {
            tracing::error!(
                key = unreadable.key,
                "an application's record cannot be read; it is left alone"
            );
        }
        self.applications
            .resync(loaded.applications, loaded.revision);
        Ok(loaded.revision.next())
    }

    async fn watch(&self, from: Revision) -> Result<ChangeWatch<AppChange>, KvError> {
        self.app_store.watch(Some(from)).await
    }

    async fn apply(&self, changes: Vec<AppChange>) {
        for change in changes {
            match change {
                AppChange::Kept(kept) => self.applications.put([kept]),
                AppChange::Deleted { id, revision } => self.applications.remove(&id, revision),
                AppChange::Unreadable(unreadable) => {
                    tracing::warn!(key = unreadable.key, "an unreadable record")
                }
            }
        }
    }
}
