//! The functions as a load balancer knows them: their records, never their code.

use std::sync::Arc;
use std::time::Duration;

use serverledge_core::kv::{KvError, Revision};
use serverledge_core::{FunctionName, InvocationError, SpaceId};
use serverledge_registry::{ChangeWatch, Follower, FunctionChange};

use super::LoadBalancer;
use crate::functions::FunctionEntry;

/// Longest wait for the registry when a function is looked for there.
const LOOK_UP_MAX: Duration = Duration::from_secs(2);

impl LoadBalancer {
    /// Finds a function. One that is not known may have just been deployed: the registry is asked.
    pub(super) async fn function(
        &self,
        space: &SpaceId,
        name: &FunctionName,
    ) -> Result<Arc<FunctionEntry>, InvocationError> {
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
        self.functions
            .put(found.map_err(|error| unavailable(error.into()))?);
        Ok(())
    }
}

impl Follower for LoadBalancer {
    type Change = FunctionChange;

    const PART: &'static str = "the registry";
    const MEANWHILE: &'static str = "known functions are served on";

    async fn load(&self) -> Result<Revision, KvError> {
        self.functions.load(&self.store).await.map(|(_, next)| next)
    }

    async fn watch(&self, from: Revision) -> Result<ChangeWatch<FunctionChange>, KvError> {
        self.store.watch(Some(from)).await
    }

    async fn apply(&self, changes: Vec<FunctionChange>) {
        self.functions.follow(&changes);
    }
}
