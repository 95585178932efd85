//! The operations on the stores of functions that the routes need of a node.

use async_trait::async_trait;
use serverledge_core::{
    SpaceId, StateError, StateLimits, StateOp, StateReply, StateUsage, StoreName,
};

/// The stores of a space that hold something, what they hold together, and what they may hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KvStores {
    /// The stores in the order of their names, each with what it holds.
    pub stores: Vec<(StoreName, StateUsage)>,
    /// Their contents together.
    pub usage: StateUsage,
    /// The limits of their contents together.
    pub limits: StateLimits,
}

/// The key-value stores of spaces. Another space's stores are not seen.
#[async_trait]
pub trait StateStores: Send + Sync + 'static {
    /// Carries an operation out, within the limits of the space and its rate of writes. A write is durable when this
    /// returns. Dropping the future: it may have happened or not.
    ///
    /// # Errors
    /// All of [`StateError`] but [`StateError::TooMany`]. Nothing has changed, except that with
    /// [`StateError::Unavailable`] nobody knows.
    async fn kv(
        &self,
        space: &SpaceId,
        store: &StoreName,
        op: StateOp,
    ) -> Result<StateReply, StateError>;

    /// The stores of a space.
    ///
    /// # Errors
    /// [`StateError::Unavailable`].
    async fn kv_stores(&self, space: &SpaceId) -> Result<KvStores, StateError>;

    /// Deletes all entries of a store, and says how many there were. Done in steps: after an error, or if the future is
    /// dropped, some are gone and the rest is there.
    ///
    /// # Errors
    /// [`StateError::Unavailable`] and [`StateError::Contended`].
    async fn kv_clear(&self, space: &SpaceId, store: &StoreName) -> Result<u64, StateError>;
}
