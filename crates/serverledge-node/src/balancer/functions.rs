//! The functions as a load balancer knows them: what they are, never their code.

use std::sync::Arc;
use std::time::Duration;

use serverledge_core::kv::Revision;
use serverledge_core::{FunctionName, InvocationError, SpaceId};
use serverledge_registry::FunctionWatch;
use tokio::time::Instant;

use super::LoadBalancer;
use crate::functions::{Entry, Known};

/// Pause before a watch that broke is begun again.
const WATCH_PAUSE: Duration = Duration::from_secs(1);
/// How often everything is read anew: what a watch lost is repaired then.
const RESYNC_EVERY: Duration = Duration::from_secs(300);
/// Longest wait for the registry when a function is looked for there.
const LOOK_UP_MAX: Duration = Duration::from_secs(2);

impl LoadBalancer {
    /// A function. One that is not known may have been deployed a moment ago: the registry is asked.
    pub(super) async fn function(
        &self,
        space: &SpaceId,
        name: &FunctionName,
    ) -> Result<Arc<Entry>, InvocationError> {
        if let Some(entry) = self.functions.get(space, name.as_str()) {
            return Ok(entry);
        }
        self.look_up(space, name).await?;
        self.functions
            .get(space, name.as_str())
            .ok_or_else(|| InvocationError::Unknown(name.to_string()))
    }

    /// Reads one function from the registry.
    pub(super) async fn look_up(
        &self,
        space: &SpaceId,
        name: &FunctionName,
    ) -> Result<(), InvocationError> {
        let unavailable = |source| InvocationError::Dependency {
            what: "the registry, which may know the function,",
            code: "registry_unavailable",
            source,
        };
        let asking = async {
            // Never closed.
            let _place = self.look_ups.acquire().await;
            self.store.get(space, name).await
        };
        let found = tokio::time::timeout(LOOK_UP_MAX, asking)
            .await
            .map_err(|late| unavailable(late.into()))?;
        self.functions.put(
            found
                .map_err(|error| unavailable(error.into()))?
                .iter()
                .map(Known::from),
        );
        Ok(())
    }

    /// Follows the registry. Runs for ever.
    pub(super) async fn follow_functions(&self, mut from: Revision) {
        loop {
            match self.store.watch(Some(from)).await {
                Ok(watch) => self.apply_changes(watch).await,
                Err(error) => tracing::warn!(%error, "failed to watch the registry"),
            }
            tokio::time::sleep(WATCH_PAUSE).await;
            match self.functions.load(&self.store).await {
                Ok((_, next)) => from = next,
                Err(error) => {
                    tracing::warn!(%error, "failed to read the registry; known functions are served on")
                }
            }
        }
    }

    /// Until the watch breaks, or a resync is due.
    async fn apply_changes(&self, mut watch: FunctionWatch) {
        let due = Instant::now() + RESYNC_EVERY;
        while let Ok(changes) = tokio::time::timeout_at(due, watch.next()).await {
            match changes {
                Ok(changes) => {
                    self.functions.follow(&changes);
                }
                Err(error) => return tracing::warn!(%error, "the registry's watch ended"),
            }
        }
    }
}
