//! The registry's keys of one entry, and of the parts of usages that count it.

use bytes::Bytes;
use serverledge_core::kv::Op;
use serverledge_core::{SpaceId, StateKey, StateUsage, StoreName};

use super::record::{StoredEntry, time_value};
use crate::keys;

/// Parts in which the usage of a space, and of each store, is counted.
pub(super) const SHARDS: u8 = 16;

/// The place of one entry.
#[derive(Debug, Clone)]
pub(super) struct EntryKeys {
    space: SpaceId,
    store: StoreName,
    key: StateKey,
    /// The entry itself.
    pub(super) entry: Bytes,
    /// The part of the space's usage that counts it.
    pub(super) space_part: Bytes,
    /// The part of the store's usage that counts it.
    pub(super) store_part: Bytes,
    /// The prefix of all parts of the store's usage.
    pub(super) store_parts: Bytes,
}

// === impl EntryKeys ===

impl EntryKeys {
    pub(super) fn new(space: &SpaceId, store: &StoreName, key: &StateKey) -> Self {
        let entry = keys::state(space, store, key);
        let shard = shard(&entry);
        let store_part = keys::state_store(space, store, shard);
        // Without the two digits of the part.
        let store_parts = store_part.slice(..store_part.len().saturating_sub(2));
        Self {
            space: space.clone(),
            store: store.clone(),
            key: key.clone(),
            entry,
            space_part: keys::state_usage(space, shard),
            store_part,
            store_parts,
        }
    }

    /// Takes the key of an entry apart.
    pub(super) fn parse(entry: &[u8]) -> Option<Self> {
        let (space, store, key) = keys::parse_state(entry)?;
        Some(Self::new(&space, &store, &key))
    }

    /// The space of the store.
    pub(super) const fn space(&self) -> &SpaceId {
        &self.space
    }

    /// The key that the function knows.
    pub(super) fn text(&self) -> &str {
        self.key.as_str()
    }

    /// The usage that an entry here makes.
    pub(super) fn usage(&self, entry: Option<&StoredEntry>) -> StateUsage {
        entry.map_or(StateUsage::default(), |entry| StateUsage {
            bytes: (self.key.as_str().len() + entry.value.len()) as u64,
            keys: 1,
        })
    }

    /// Operations that replace an entry by another one, with the keys by which its end is found; `old`: the end of the
    /// one that is there.
    pub(super) fn replace(&self, old: Option<u64>, new: Option<&StoredEntry>) -> Vec<Op> {
        let mut ops = vec![match new {
            Some(new) => Op::put(self.entry.clone(), new.to_value()),
            None => Op::delete(self.entry.clone()),
        }];
        let new = new.and_then(|entry| entry.expires_unix_ms);
        if old == new {
            return ops;
        }
        let time = keys::state_time(&self.space, &self.store, &self.key);
        if let Some(old) = old {
            ops.push(Op::delete(self.expiry(old)));
        }
        match new {
            Some(new) => {
                ops.push(Op::put(self.expiry(new), Bytes::new()));
                ops.push(Op::put(time, time_value(new)));
            }
            None => ops.push(Op::delete(time)),
        }
        ops
    }

    fn expiry(&self, unix_ms: u64) -> Bytes {
        keys::state_expiry(unix_ms, &self.space, &self.store, &self.key)
    }
}

/// The part that counts an entry. The same for ever: an entry is taken out of the part that it was added to.
fn shard(entry: &[u8]) -> u8 {
    let [first, ..] = *blake3::hash(entry).as_bytes();
    first % SHARDS
}
