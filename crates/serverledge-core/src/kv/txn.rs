//! Transactions: compares, two branches of operations, and what they answer.

use std::collections::BTreeSet;

use bytes::Bytes;

use super::{
    KEY_BYTES_MAX, KeyValue, KvError, LeaseId, Revision, TXN_BYTES_MAX, TXN_OPS_MAX,
    VALUE_BYTES_MAX,
};

/// A transaction: if all compares hold, `then` runs, else `otherwise`. Built with [`Txn::when`] and its siblings.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Txn {
    /// The conditions for `then`; with none, `then` runs.
    pub compares: Vec<Compare>,
    /// Runs if all compares hold.
    pub then: Vec<Op>,
    /// Runs if any compare does not.
    pub otherwise: Vec<Op>,
}

/// One compare.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Compare {
    /// The key of the entry that is checked.
    pub key: Bytes,
    /// The condition that the entry must meet.
    pub condition: Condition,
}

/// A condition on an entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Condition {
    /// The key is there.
    Exists,
    /// The key is not there.
    Missing,
    /// It was created at this revision; 0 means that it is not there.
    CreateRevision(Revision),
    /// It was last changed at this revision; 0 means that it is not there.
    ModRevision(Revision),
    /// It is there and has this value.
    Value(Bytes),
}

/// One operation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Op {
    /// Creates or changes a key. A key that was bound to another lease, or is put without one, leaves its old lease.
    Put {
        /// The key.
        key: Bytes,
        /// Its new value.
        value: Bytes,
        /// The lease to bind it to.
        lease: Option<LeaseId>,
    },
    /// Deletes a key if it is there.
    Delete {
        /// The key.
        key: Bytes,
    },
    /// Deletes all keys with this prefix (not empty).
    DeletePrefix {
        /// The prefix.
        prefix: Bytes,
    },
    /// Reads a key as the operations before this one left it.
    Get {
        /// The key.
        key: Bytes,
    },
}

/// The reply to one operation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OpReply {
    /// The put is done; the key's `mod_revision` is the transaction's revision.
    Put,
    /// So many keys were deleted.
    Deleted(u64),
    /// The entry, if there is one.
    Got(Option<KeyValue>),
}

/// The reply to a transaction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TxnReply {
    /// All compares held and `then` ran; else `otherwise` ran.
    pub succeeded: bool,
    /// One reply for each operation of the branch that ran, in their order.
    pub replies: Vec<OpReply>,
    /// The revision that the transaction made, or the newest one if it changed nothing.
    pub revision: Revision,
}

// === impl Txn ===

impl Txn {
    /// Without compares and operations.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Requires this, too.
    #[must_use]
    pub fn when(mut self, compare: Compare) -> Self {
        self.compares.push(compare);
        self
    }

    /// Does this as well if all compares hold.
    #[must_use]
    pub fn then(mut self, op: Op) -> Self {
        self.then.push(op);
        self
    }

    /// Does this as well if a compare does not hold.
    #[must_use]
    pub fn otherwise(mut self, op: Op) -> Self {
        self.otherwise.push(op);
        self
    }

    /// Checks what can be checked without a store: every implementation calls it first.
    ///
    /// # Errors
    /// `TooManyOps`, `Key`, `ValueTooLarge`, `TxnTooLarge`, `DuplicateKey`.
    pub fn check(&self) -> Result<(), KvError> {
        let ops = self
            .compares
            .len()
            .max(self.then.len())
            .max(self.otherwise.len());
        if ops > TXN_OPS_MAX {
            return Err(KvError::TooManyOps(ops));
        }
        let mut bytes = 0;
        for compare in &self.compares {
            bytes += compare.check()?;
        }
        for op in self.then.iter().chain(&self.otherwise) {
            bytes += op.check()?;
        }
        if bytes > TXN_BYTES_MAX {
            return Err(KvError::TxnTooLarge(bytes));
        }
        check_branch(&self.then)?;
        check_branch(&self.otherwise)
    }
}

/// No key may be put twice, or both put and deleted.
fn check_branch(ops: &[Op]) -> Result<(), KvError> {
    let mut puts: BTreeSet<&[u8]> = BTreeSet::new();
    for op in ops {
        if let Op::Put { key, .. } = op
            && !puts.insert(key)
        {
            return Err(KvError::DuplicateKey(key.clone()));
        }
    }
    let clash = ops.iter().find_map(|op| match op {
        Op::Delete { key } => puts.get(key.as_ref()).copied(),
        Op::DeletePrefix { prefix } => puts
            .range(prefix.as_ref()..)
            .next()
            .copied()
            .filter(|key| key.starts_with(prefix)),
        Op::Put { .. } | Op::Get { .. } => None,
    });
    clash.map_or(Ok(()), |key| {
        Err(KvError::DuplicateKey(Bytes::copy_from_slice(key)))
    })
}

fn check_key(key: &[u8]) -> Result<usize, KvError> {
    match key.len() {
        bytes @ 1..=KEY_BYTES_MAX => Ok(bytes),
        bytes => Err(KvError::Key(bytes)),
    }
}

// === impl Compare ===

impl Compare {
    /// Requires `condition` of `key`'s entry.
    pub fn new(key: impl Into<Bytes>, condition: Condition) -> Self {
        Self {
            key: key.into(),
            condition,
        }
    }

    /// The key must be there.
    pub fn exists(key: impl Into<Bytes>) -> Self {
        Self::new(key, Condition::Exists)
    }

    /// The key must not be there.
    pub fn missing(key: impl Into<Bytes>) -> Self {
        Self::new(key, Condition::Missing)
    }

    /// The key must have been last changed at `revision`.
    pub fn mod_revision(key: impl Into<Bytes>, revision: Revision) -> Self {
        Self::new(key, Condition::ModRevision(revision))
    }

    /// The key must have been created at `revision`.
    pub fn create_revision(key: impl Into<Bytes>, revision: Revision) -> Self {
        Self::new(key, Condition::CreateRevision(revision))
    }

    fn check(&self) -> Result<usize, KvError> {
        let value = match &self.condition {
            Condition::Value(value) => value.len(),
            _ => 0,
        };
        Ok(check_key(&self.key)? + value)
    }
}

// === impl Condition ===

impl Condition {
    /// Does it hold of this entry (`None`: the key is not there)?
    #[must_use]
    pub fn holds(&self, entry: Option<&KeyValue>) -> bool {
        match self {
            Self::Exists => entry.is_some(),
            Self::Missing => entry.is_none(),
            Self::CreateRevision(revision) => {
                entry.map_or(Revision::default(), |e| e.create_revision) == *revision
            }
            Self::ModRevision(revision) => {
                entry.map_or(Revision::default(), |e| e.mod_revision) == *revision
            }
            Self::Value(value) => entry.is_some_and(|e| e.value == value),
        }
    }
}

// === impl Op ===

impl Op {
    /// Puts a key without a lease.
    pub fn put(key: impl Into<Bytes>, value: impl Into<Bytes>) -> Self {
        Self::Put {
            key: key.into(),
            value: value.into(),
            lease: None,
        }
    }

    /// Puts a key bound to a lease.
    pub fn put_leased(key: impl Into<Bytes>, value: impl Into<Bytes>, lease: LeaseId) -> Self {
        Self::Put {
            key: key.into(),
            value: value.into(),
            lease: Some(lease),
        }
    }

    /// Deletes a key.
    pub fn delete(key: impl Into<Bytes>) -> Self {
        Self::Delete { key: key.into() }
    }

    /// Deletes all keys with a prefix.
    pub fn delete_prefix(prefix: impl Into<Bytes>) -> Self {
        Self::DeletePrefix {
            prefix: prefix.into(),
        }
    }

    /// Reads a key.
    pub fn get(key: impl Into<Bytes>) -> Self {
        Self::Get { key: key.into() }
    }

    fn check(&self) -> Result<usize, KvError> {
        match self {
            Self::Put { key, value, .. } if value.len() > VALUE_BYTES_MAX => {
                Err(KvError::ValueTooLarge {
                    key: key.clone(),
                    bytes: value.len(),
                })
            }
            Self::Put { key, value, .. } => Ok(check_key(key)? + value.len()),
            Self::Delete { key } | Self::Get { key } | Self::DeletePrefix { prefix: key } => {
                check_key(key)
            }
        }
    }
}

// === impl OpReply ===

impl OpReply {
    /// The entry that a [`Op::Get`] found; `None` for other operations.
    #[must_use]
    pub fn into_entry(self) -> Option<KeyValue> {
        match self {
            Self::Got(entry) => entry,
            Self::Put | Self::Deleted(_) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_branch_changes_a_key_once() {
        let twice = |ops: &[Op]| check_branch(ops).is_err();
        assert!(twice(&[Op::put("a", "1"), Op::put("a", "2")]));
        assert!(twice(&[Op::put("a", "1"), Op::delete("a")]));
        assert!(twice(&[Op::delete_prefix("a/"), Op::put("a/1", "1")]));
        assert!(!twice(&[
            Op::delete("a"),
            Op::delete("a"),
            Op::delete_prefix("b"),
            Op::put("a0", "1"),
            Op::get("a0")
        ]));
    }

    #[test]
    fn limits_are_checked() {
        let mut txn = Txn::new();
        txn.then = (0..=TXN_OPS_MAX).map(|i| Op::get(i.to_string())).collect();
        assert!(matches!(txn.check(), Err(KvError::TooManyOps(129))));
        let large = Txn::new().then(Op::put("k", vec![0; VALUE_BYTES_MAX + 1]));
        assert!(matches!(large.check(), Err(KvError::ValueTooLarge { .. })));
        let sum = Txn::new()
            .then(Op::put("a", vec![0; VALUE_BYTES_MAX]))
            .then(Op::put("b", vec![0; VALUE_BYTES_MAX]));
        assert!(matches!(sum.check(), Err(KvError::TxnTooLarge { .. })));
        assert!(matches!(
            Txn::new().then(Op::get("")).check(),
            Err(KvError::Key(0))
        ));
        assert!(
            Txn::new()
                .then(Op::put("k", vec![0; VALUE_BYTES_MAX]))
                .check()
                .is_ok()
        );
    }
}
