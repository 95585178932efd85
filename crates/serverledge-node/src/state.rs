//! The key-value stores of functions, as a node reaches them: within the limits of the space, for running functions and
//! for clients of the API. Entries that have outlived their time are deleted by rounds of every node.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use serverledge_api::{KvStores, StateStores};
use serverledge_core::kv::Kv;
use serverledge_core::{
    SpaceId, StateError, StateLimits, StateOp, StateReply, StateUsage, StoreName, error_chain,
};
use serverledge_registry::Stores;

use self::rates::WriteRates;
use self::room::RegistryRoom;
use crate::clock::{jittered, now, unix_ms};
use crate::config::StateConfig;
use crate::metrics::Metrics;

mod rates;
mod room;
#[cfg(test)]
mod tests;

/// Longest time between two looks for entries that have outlived their time. Until then they count, and nobody reads
/// them.
const SWEEP_EVERY: Duration = Duration::from_secs(10);

/// The stores of all spaces; see the module.
pub(crate) struct StateService {
    stores: Stores,
    limits: StateLimits,
    rates: WriteRates,
    room: RegistryRoom,
    metrics: Arc<Metrics>,
}

impl StateService {
    /// The stores in this registry.
    pub(crate) fn new(config: &StateConfig, kv: &Arc<dyn Kv>, metrics: Arc<Metrics>) -> Self {
        Self {
            stores: Stores::new(Arc::clone(kv)),
            limits: StateLimits {
                bytes_max: config.bytes_max as u64,
                keys_max: config.keys_max as u64,
                value_bytes_max: config.value_bytes_max,
            },
            rates: WriteRates::new(config),
            room: RegistryRoom::new(kv),
            metrics,
        }
    }

    /// The stores themselves, without limits and rates.
    pub(crate) fn stores(&self) -> Stores {
        self.stores.clone()
    }

    /// Carries out an operation on a store of a space.
    pub(crate) async fn apply(
        &self,
        space: &SpaceId,
        store: &StoreName,
        op: &StateOp,
    ) -> Result<StateReply, StateError> {
        if op.writes() {
            self.admit(space, op)
                .await
                .inspect_err(|_| self.refused(op))?;
        }
        let outcome = self.stores.apply(space, store, op, &self.limits, &unix_ms);
        self.timed(op.name(), outcome).await
    }

    /// Checks that a space may write this now. Deletions are let into a registry that is nearly full: they make room.
    async fn admit(&self, space: &SpaceId, op: &StateOp) -> Result<(), StateError> {
        self.rates.check(space, op)?;
        if matches!(op, StateOp::Delete { .. }) {
            return Ok(());
        }
        self.room.check().await
    }

    /// Counts an operation that a limit refused before it reached the stores.
    pub(crate) fn refused(&self, op: &StateOp) {
        self.metrics.state.refused(op.name());
    }

    /// Waits for the outcome of an operation, and counts it.
    async fn timed<T>(
        &self,
        operation: &str,
        outcome: impl Future<Output = Result<T, StateError>> + Send,
    ) -> Result<T, StateError> {
        let begun = now();
        let outcome = outcome.await;
        let took = now().saturating_duration_since(begun);
        self.metrics.state.ended(operation, &outcome, took);
        outcome
    }

    /// Deletes entries that have outlived their time, again and again. Several nodes may do so at once. Runs for ever.
    pub(crate) async fn sweep_forever(&self) {
        let mut is_failing = false;
        loop {
            if let Err(error) = self.sweep().await {
                let error = error_chain(&error);
                let problem = "failed to delete expired entries of the functions' stores";
                // Once for as long as the registry is away.
                if is_failing {
                    tracing::debug!(error, "{problem}");
                } else {
                    tracing::warn!(error, "{problem}");
                }
                is_failing = true;
            } else {
                is_failing = false;
            }
            // Nodes that share a registry do not all sweep it at once.
            tokio::time::sleep(jittered(SWEEP_EVERY)).await;
        }
    }

    /// Deletes the entries that have outlived their time, one bounded round after the other.
    async fn sweep(&self) -> Result<(), StateError> {
        let now = unix_ms();
        while self.stores.sweep(now).await? > 0 {
            // Whatever else is to run here comes first.
            tokio::task::yield_now().await;
        }
        Ok(())
    }
}

#[async_trait]
impl StateStores for StateService {
    async fn kv(
        &self,
        space: &SpaceId,
        store: &StoreName,
        op: StateOp,
    ) -> Result<StateReply, StateError> {
        self.apply(space, store, &op).await
    }

    async fn kv_stores(&self, space: &SpaceId) -> Result<KvStores, StateError> {
        let stores = self.timed("stores", self.stores.stores(space)).await?;
        let usage = stores
            .iter()
            .fold(StateUsage::default(), |sum, (_, usage)| StateUsage {
                bytes: sum.bytes.saturating_add(usage.bytes),
                keys: sum.keys.saturating_add(usage.keys),
            });
        Ok(KvStores {
            stores,
            usage,
            limits: self.limits,
        })
    }

    async fn kv_clear(&self, space: &SpaceId, store: &StoreName) -> Result<u64, StateError> {
        self.timed("clear", self.stores.clear(space, store)).await
    }
}
