//! A function that changes its space: with its code, its flags and the versions that are kept of it.

use serverledge_core::kv::{Compare, KvError, Op, Txn};
use serverledge_core::{FunctionName, SpaceId};

use super::versions::BoundFunction;
use super::{ATTEMPTS_MAX, FunctionStore};
use crate::keys;

/// The reason why a function was not moved; nothing was changed.
#[derive(Debug, thiserror::Error)]
pub enum MoveError {
    /// The registry failed; if it is unavailable, the function may have moved all the same.
    #[error(transparent)]
    Kv(#[from] KvError),
    /// The other space has a function of this name.
    #[error("a function {0} exists there")]
    Exists(FunctionName),
    /// The function was deleted meanwhile.
    #[error("function {0} is gone")]
    Gone(FunctionName),
    /// The other space was deleted.
    #[error("the space is gone")]
    SpaceGone,
    /// Others changed the function again and again meanwhile.
    #[error("function {0} is being changed by too many at once")]
    Contended(FunctionName),
}

impl FunctionStore {
    /// Moves a function with its versions from one space to another, in one transaction. What was cached of it stays behind.
    ///
    /// # Errors
    /// [`MoveError`].
    pub async fn move_to(
        &self,
        from: &SpaceId,
        name: &FunctionName,
        to: &SpaceId,
    ) -> Result<(), MoveError> {
        for _ in 0..ATTEMPTS_MAX {
            let bound = self.bound(from, name).await?;
            let Some(txn) = self.moving(&bound, from, name, to).await? else {
                return Err(MoveError::Gone(name.clone()));
            };
            if self.kv.txn(txn).await?.succeeded {
                return Ok(());
            }
            if self.kv.get(&keys::function(to, name)).await?.is_some() {
                return Err(MoveError::Exists(name.clone()));
            }
            if self.kv.get(&keys::deletion(to)).await?.is_some() {
                return Err(MoveError::SpaceGone);
            }
        }
        Err(MoveError::Contended(name.clone()))
    }

    /// The transaction for what is bound now; `None` if nothing is.
    async fn moving(
        &self,
        bound: &BoundFunction,
        from: &SpaceId,
        name: &FunctionName,
        to: &SpaceId,
    ) -> Result<Option<Txn>, KvError> {
        let Some(entry) = &bound.entry else {
            return Ok(None);
        };
        let mut txn = Txn::new()
            .when(Compare::mod_revision(bound.key(), bound.revision()))
            .when(Compare::missing(keys::function(to, name)))
            .when(Compare::missing(keys::deletion(to)))
            .then(Op::put(keys::function(to, name), entry.value.clone()))
            .then(Op::delete(bound.key()))
            .then(Op::delete_prefix(keys::versions_of(from, name)));
        for key in bound.kept.iter().map(|kept| &kept.key) {
            let Some((.., at, version, code)) = keys::parse_version(key) else {
                continue;
            };
            // One that is gone by now went with a change of the record, which the transaction notices.
            let Some(entry) = self.kv.get(key).await? else {
                continue;
            };
            txn = txn.then(Op::put(
                keys::version(to, name, at, &version, &code),
                entry.value,
            ));
        }
        Ok(Some(Self::raise_generation(
            Self::raise_generation(txn, from),
            to,
        )))
    }
}
