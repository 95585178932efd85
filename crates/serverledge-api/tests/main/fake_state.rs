//! Key-value stores in memory, without a clock: lifetimes are noted and never end.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Mutex, MutexGuard};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use serverledge_api::{KvStores, StateStores};
use serverledge_core::{
    SpaceId, StateEntry, StateError, StateKey, StateLimits, StateOp, StatePage, StateReply,
    StateUsage, StateVersion, StoreName,
};

/// Longest value.
pub(crate) const VALUE_BYTES_MAX: usize = 1000;

/// The stores of all spaces.
#[derive(Default)]
pub(crate) struct FakeStores(Mutex<Contents>);

#[derive(Default)]
struct Contents {
    entries: BTreeMap<(String, StoreName, StateKey), StateEntry>,
    version: u64,
    ttls: Vec<Option<Duration>>,
    refusals: VecDeque<StateError>,
}

impl FakeStores {
    fn contents(&self) -> MutexGuard<'_, Contents> {
        self.0.lock().unwrap()
    }

    /// The next operation fails so.
    pub(crate) fn refuse(&self, error: StateError) {
        self.contents().refusals.push_back(error);
    }

    /// Takes the lifetimes of the writes so far.
    pub(crate) fn ttls(&self) -> Vec<Option<Duration>> {
        std::mem::take(&mut self.contents().ttls)
    }
}

impl Contents {
    fn write(
        &mut self,
        at: (String, StoreName, StateKey),
        value: Bytes,
        ttl: Option<Duration>,
    ) -> Result<StateVersion, StateError> {
        if value.len() > VALUE_BYTES_MAX {
            return Err(StateError::ValueTooLarge {
                bytes: value.len(),
                bytes_max: VALUE_BYTES_MAX,
            });
        }
        self.version += 1;
        self.ttls.push(ttl);
        let version = StateVersion::new(self.version);
        self.entries.insert(at, StateEntry { value, version });
        Ok(version)
    }

    /// The keys of a store that begin so, a page of them; the cursor is the last key of the page before.
    fn page(
        &self,
        space: &str,
        store: &StoreName,
        prefix: &str,
        cursor: Option<&str>,
        limit: usize,
    ) -> StatePage {
        let mut keys: Vec<StateKey> = self
            .entries
            .keys()
            .filter(|(of, name, _)| of == space && name == store)
            .map(|(_, _, key)| key.clone())
            .filter(|key| key.as_str().starts_with(prefix))
            .filter(|key| cursor.is_none_or(|cursor| key.as_str() > cursor))
            .collect();
        let is_last = keys.len() <= limit;
        keys.truncate(limit);
        let cursor = keys.last().filter(|_| !is_last).map(ToString::to_string);
        StatePage { keys, cursor }
    }
}

#[async_trait]
impl StateStores for FakeStores {
    async fn kv(
        &self,
        space: &SpaceId,
        store: &StoreName,
        op: StateOp,
    ) -> Result<StateReply, StateError> {
        let mut contents = self.contents();
        if let Some(refusal) = contents.refusals.pop_front() {
            return Err(refusal);
        }
        let at = |key: StateKey| (space.to_string(), store.clone(), key);
        match op {
            StateOp::Get { key } => Ok(StateReply::Entry(contents.entries.get(&at(key)).cloned())),
            StateOp::Set { key, value, ttl } => {
                contents.write(at(key), value, ttl).map(StateReply::Written)
            }
            StateOp::Delete { key } => Ok(StateReply::Deleted(
                contents.entries.remove(&at(key)).is_some(),
            )),
            StateOp::List {
                prefix,
                cursor,
                limit,
            } => Ok(StateReply::Keys(contents.page(
                &space.to_string(),
                store,
                &prefix,
                cursor.as_deref(),
                limit,
            ))),
            StateOp::CompareAndSet {
                key,
                expected,
                value,
                ttl,
            } => {
                let found = contents.entries.get(&at(key.clone()));
                if found.map(|entry| entry.version) != expected {
                    return Ok(StateReply::Swapped(None));
                }
                let version = contents.write(at(key), value, ttl)?;
                Ok(StateReply::Swapped(Some(version)))
            }
            StateOp::Increment { key, by } => {
                let number = match contents.entries.get(&at(key.clone())) {
                    None => Some(0),
                    Some(entry) => std::str::from_utf8(&entry.value)
                        .ok()
                        .and_then(|text| text.parse::<i64>().ok()),
                };
                let sum = number
                    .ok_or_else(|| StateError::NotANumber(key.to_string()))?
                    .checked_add(by)
                    .ok_or_else(|| StateError::Overflow(key.to_string()))?;
                contents.write(at(key), sum.to_string().into(), None)?;
                Ok(StateReply::Number(sum))
            }
        }
    }

    async fn kv_stores(&self, space: &SpaceId) -> Result<KvStores, StateError> {
        let mut contents = self.contents();
        if let Some(refusal) = contents.refusals.pop_front() {
            return Err(refusal);
        }
        let mut stores: BTreeMap<StoreName, StateUsage> = BTreeMap::new();
        let mut usage = StateUsage::default();
        for ((of, name, key), entry) in &contents.entries {
            if *of != space.to_string() {
                continue;
            }
            let bytes = (key.as_str().len() + entry.value.len()) as u64;
            for sum in [stores.entry(name.clone()).or_default(), &mut usage] {
                sum.bytes += bytes;
                sum.keys += 1;
            }
        }
        Ok(KvStores {
            stores: stores.into_iter().collect(),
            usage,
            limits: StateLimits {
                bytes_max: 5000,
                keys_max: 50,
                value_bytes_max: VALUE_BYTES_MAX,
            },
        })
    }

    async fn kv_clear(&self, space: &SpaceId, store: &StoreName) -> Result<u64, StateError> {
        let mut contents = self.contents();
        if let Some(refusal) = contents.refusals.pop_front() {
            return Err(refusal);
        }
        let before = contents.entries.len();
        let space = space.to_string();
        contents
            .entries
            .retain(|(of, name, _), _| *of != space || name != store);
        Ok((before - contents.entries.len()) as u64)
    }
}
