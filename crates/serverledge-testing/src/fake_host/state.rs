//! The stores of a fake host: in memory, without limits. A lifetime is recorded with its operation and has no effect.

use std::collections::BTreeMap;

use bytes::Bytes;
use serverledge_core::{
    STATE_LIST_MAX, StateEntry, StateError, StateKey, StateOp, StatePage, StateReply, StateVersion,
    StoreName,
};

/// The entries of all stores.
#[derive(Debug, Default)]
pub(super) struct FakeStores {
    stores: BTreeMap<StoreName, BTreeMap<StateKey, StateEntry>>,
    /// The version of the last change, in whichever store.
    changed: u64,
}

impl FakeStores {
    /// The entry with this key.
    pub(super) fn get(&self, store: &StoreName, key: &StateKey) -> Option<StateEntry> {
        self.stores.get(store)?.get(key).cloned()
    }

    /// Writes an entry; returns its version.
    pub(super) fn put(&mut self, store: &StoreName, key: StateKey, value: Bytes) -> StateVersion {
        self.changed += 1;
        let version = StateVersion::new(self.changed);
        self.stores
            .entry(store.clone())
            .or_default()
            .insert(key, StateEntry { value, version });
        version
    }

    /// Carries out an operation.
    pub(super) fn apply(
        &mut self,
        store: &StoreName,
        op: StateOp,
    ) -> Result<StateReply, StateError> {
        Ok(match op {
            StateOp::Get { key } => StateReply::Entry(self.get(store, &key)),
            StateOp::Set { key, value, .. } => StateReply::Written(self.put(store, key, value)),
            StateOp::Delete { key } => {
                let entries = self.stores.get_mut(store);
                StateReply::Deleted(entries.is_some_and(|entries| entries.remove(&key).is_some()))
            }
            StateOp::List {
                prefix,
                cursor,
                limit,
            } => StateReply::Keys(self.page(store, &prefix, cursor.as_deref(), limit)),
            StateOp::CompareAndSet {
                key,
                expected,
                value,
                ..
            } => {
                let present = self.get(store, &key).map(|entry| entry.version);
                let swapped = (present == expected).then(|| self.put(store, key, value));
                StateReply::Swapped(swapped)
            }
            StateOp::Increment { key, by } => StateReply::Number(self.increment(store, key, by)?),
        })
    }

    /// The keys after the cursor, which is the last key of the page before.
    fn page(
        &self,
        store: &StoreName,
        prefix: &str,
        cursor: Option<&str>,
        limit: usize,
    ) -> StatePage {
        let limit = match limit {
            0 => STATE_LIST_MAX,
            asked => asked.min(STATE_LIST_MAX),
        };
        let after = cursor.unwrap_or_default();
        let mut keys: Vec<StateKey> = self
            .stores
            .get(store)
            .into_iter()
            .flat_map(BTreeMap::keys)
            .filter(|key| key.as_str().starts_with(prefix) && key.as_str() > after)
            .take(limit + 1)
            .cloned()
            .collect();
        let is_more = keys.len() > limit;
        keys.truncate(limit);
        let last = keys.last().filter(|_| is_more);
        StatePage {
            cursor: last.map(|key| key.as_str().to_owned()),
            keys,
        }
    }

    fn increment(&mut self, store: &StoreName, key: StateKey, by: i64) -> Result<i64, StateError> {
        let present = match self.get(store, &key) {
            None => 0,
            Some(entry) => std::str::from_utf8(&entry.value)
                .ok()
                .and_then(|text| text.parse::<i64>().ok())
                .ok_or_else(|| StateError::NotANumber(key.as_str().to_owned()))?,
        };
        let sum = present
            .checked_add(by)
            .ok_or_else(|| StateError::Overflow(key.as_str().to_owned()))?;
        self.put(store, key, sum.to_string().into());
        Ok(sum)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(text: &str) -> StateKey {
        StateKey::new(text).unwrap()
    }

    #[test]
    fn pages_lead_on_to_each_other() {
        let mut stores = FakeStores::default();
        let store = StoreName::default();
        for text in ["b1", "a", "b3", "b2"] {
            stores.put(&store, key(text), Bytes::new());
        }
        let first = stores.page(&store, "b", None, 2);
        assert_eq!(first.keys, [key("b1"), key("b2")]);
        let second = stores.page(&store, "b", first.cursor.as_deref(), 2);
        assert_eq!((second.keys, second.cursor), (vec![key("b3")], None));
    }

    #[test]
    fn an_entry_is_swapped_if_it_is_as_expected() {
        let mut stores = FakeStores::default();
        let store = StoreName::default();
        let mut swap = |expected| {
            let op = StateOp::CompareAndSet {
                key: key("k"),
                expected,
                value: Bytes::from_static(b"1"),
                ttl: None,
            };
            match stores.apply(&store, op).unwrap() {
                StateReply::Swapped(version) => version,
                other => panic!("{other:?}"),
            }
        };
        let first = swap(None);
        assert!(first.is_some());
        assert_eq!(swap(None), None);
        let second = swap(first);
        assert!(second > first);
        assert_eq!(swap(first), None);
    }

    #[test]
    fn numbers_are_added() {
        let mut stores = FakeStores::default();
        let store = StoreName::default();
        let mut add = |by| stores.increment(&store, key("n"), by);
        assert_eq!(add(5).unwrap(), 5);
        assert_eq!(add(-7).unwrap(), -2);
        assert!(matches!(add(i64::MIN), Err(StateError::Overflow(_))));
        stores.put(&store, key("n"), Bytes::from_static(b"x"));
        let text = stores.increment(&store, key("n"), 1);
        assert!(matches!(text, Err(StateError::NotANumber(_))));
    }
}
