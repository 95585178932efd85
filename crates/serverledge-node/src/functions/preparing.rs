//! Preparation of the versions that this node lacks: those that another node deployed, and all of them after an
//! upgrade. Meanwhile a function goes on with its previous version; without one, its calls go to a node that has it, or
//! wait.

use std::sync::Arc;

use serverledge_core::error_chain;

use self::jobs::{Lane, NextJob, PreparationState};
use crate::functions::FunctionEntry;
use crate::functions::follow::Catalogue;

pub(crate) mod command;
pub(crate) mod jobs;
pub(crate) mod recency;
pub(crate) mod startup;
mod state;
#[cfg(test)]
mod tests;
pub(crate) mod unheard;

/// Preparations of containers at once: they wait for the engine and for package indexes more than for this machine.
const CONTAINERS_AT_ONCE: usize = 2;
/// Modules beyond those that are compiled at once: they wait at the compiler, which chooses among them.
const MODULES_BEYOND: usize = 2;

impl Catalogue {
    /// Starts the workers that prepare versions.
    pub(crate) fn start_preparing(self: &Arc<Self>) {
        let modules = self.compile_parallel + MODULES_BEYOND;
        for (lane, count) in [
            (Lane::Modules, modules),
            (Lane::Containers, CONTAINERS_AT_ONCE),
        ] {
            for _ in 0..count {
                let catalogue = Arc::clone(self);
                self.background
                    .spawn(async move { catalogue.prepare_forever(lane).await });
            }
        }
    }

    async fn prepare_forever(self: &Arc<Self>, lane: Lane) {
        let mut changes = self.jobs.changes();
        loop {
            changes.mark_unchanged();
            match self
                .jobs
                .next(lane, |entry| self.recency.of(&entry.function))
            {
                NextJob::Prepare(entry) => self.prepare_next(&entry).await,
                NextJob::Later(due) => {
                    let _ = tokio::time::timeout_at(due, changes.changed()).await;
                }
                NextJob::Nothing => {
                    let _ = changes.changed().await;
                }
            }
        }
    }

    async fn prepare_next(self: &Arc<Self>, entry: &Arc<FunctionEntry>) {
        let needed = self.jobs.is_urgent(entry.digest()) || self.functions().is_current(entry);
        let stand = if !needed {
            PreparationState::Dropped
        } else {
            match self.prepare_again(&entry.function).await {
                Ok(()) => PreparationState::Done,
                Err(reason) => {
                    tracing::error!(name = %entry.function.name, reason, "failed to prepare a function; trying again later");
                    PreparationState::Failed(reason)
                }
            }
        };
        if stand == PreparationState::Done {
            tracing::info!(name = %entry.function.name, version = %entry.digest(), "prepared");
            self.resources.adopt(entry).await;
        }
        self.jobs.ended(entry, stand);
    }

    /// Queues all unprepared versions, to be prepared in the background.
    pub(crate) fn prepare_missing(&self) {
        let missing = self.functions().unprepared();
        for entry in missing
            .iter()
            .filter(|entry| self.spaces.is_reachable(&entry.function.space))
        {
            self.jobs.want(entry, false);
        }
    }

    /// Prepares a deployed function from its stored code: after an upgrade of the node, or a lost cache.
    async fn prepare_again(&self, function: &serverledge_core::Function) -> Result<(), String> {
        let version = &function.version;
        let code = match self.store.blobs().get(&version.code).await {
            Ok(Some(code)) => code,
            Ok(None) => return Err("the function's code is not in the registry".to_owned()),
            Err(error) => {
                return Err(format!(
                    "the function's code cannot be read: {}",
                    error_chain(&error)
                ));
            }
        };
        let executor = self.resources.executors.of(version.runtime);
        let executor = executor
            .ok_or_else(|| format!("this node has no executor for runtime {}", version.runtime))?;
        executor
            .prepare(version, code, &())
            .await
            .map_err(|error| error_chain(&error))?;
        Ok(())
    }
}
