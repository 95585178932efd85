//! The state of functions: entries with versions and lifetimes, in named stores of a space.
//!
//! An entry is one key of the registry, so that a read is one read. What the stores of a space hold is counted in
//! 16 parts, each changed in the transaction that changes an entry: writers of different keys rarely meet. An
//! entry whose time is over is as if it were not there; it counts until a sweep, or another write, takes it away.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use serverledge_core::kv::{KeySpan, Kv, KvError, RangeRequest};
use serverledge_core::{
    STATE_KEY_BYTES_MAX, STATE_LIST_MAX, SpaceId, StateEntry, StateError, StateKey, StateLimits,
    StateOp, StatePage, StateReply, StateUsage, StateVersion, StoreName,
};
use tokio::sync::Mutex;

use crate::{keys, paging};

mod entry_keys;
mod record;
mod removal;
#[cfg(test)]
mod tests;
mod write;

use entry_keys::SHARDS;
use record::{StoredEntry, read_usage, sum};
use write::{Edit, NewEntry};

/// Gates for writers of this process that met another one: so many that those of different spaces rarely share one.
const GATES: usize = 1024;
/// Longest wait at a gate.
const GATE_WAIT_MAX: Duration = Duration::from_secs(2);
/// Time after which a write that others defeat is not tried again.
const WRITE_TIME_MAX: Duration = Duration::from_secs(10);
/// Most attempts at a listing whose revision is forgotten between its two reads.
const LIST_ATTEMPTS_MAX: usize = 3;

/// The stores of functions in the registry. Cloning is cheap.
#[derive(Debug, Clone)]
pub struct Stores {
    kv: Arc<dyn Kv>,
    turns: Arc<Turns>,
}

/// The order in which those who use the same stores in this process take their turns.
#[derive(Debug)]
struct Turns {
    /// Writers that lost against another one go on one by one, so that those of one process do not defeat each other.
    gates: Box<[Mutex<()>]>,
    /// One clears at a time: requests do not multiply the memory that it takes.
    clear: Mutex<()>,
    /// The same for sweeps.
    sweep: Mutex<()>,
    /// Entries that the last sweep could not read.
    unreadable: AtomicU64,
    patience: Patience,
}

/// The times that a write has.
#[derive(Debug, Clone, Copy)]
struct Patience {
    /// Longest wait at a gate.
    gate: Duration,
    /// After this it is not tried again.
    write: Duration,
}

/// A clock: Unix time in milliseconds. It is read where a lifetime is looked at, after whatever had to be waited for.
type Clock<'a> = &'a (dyn Fn() -> u64 + Sync);

// === impl Stores ===

impl Stores {
    /// The stores of this registry.
    #[must_use]
    pub fn new(kv: Arc<dyn Kv>) -> Self {
        let patience = Patience {
            gate: GATE_WAIT_MAX,
            write: WRITE_TIME_MAX,
        };
        Self::with_patience(kv, patience)
    }

    fn with_patience(kv: Arc<dyn Kv>, patience: Patience) -> Self {
        let turns = Turns {
            gates: (0..GATES).map(|_| Mutex::new(())).collect(),
            clear: Mutex::new(()),
            sweep: Mutex::new(()),
            unreadable: AtomicU64::new(0),
            patience,
        };
        let turns = Arc::new(turns);
        Self { kv, turns }
    }

    /// Carries out one operation; `clock` tells the Unix time in milliseconds, for lifetimes. It is read after each
    /// wait for the registry or for other writers.
    ///
    /// # Errors
    /// [`StateError::Unavailable`]: a write may have been made all the same. With all others nothing has changed.
    pub async fn apply(
        &self,
        space: &SpaceId,
        store: &StoreName,
        op: &StateOp,
        limits: &StateLimits,
        clock: &(dyn Fn() -> u64 + Sync),
    ) -> Result<StateReply, StateError> {
        let (key, edit) = match op {
            StateOp::Get { key } => return self.get(space, store, key, clock).await,
            StateOp::List {
                prefix,
                cursor,
                limit,
            } => {
                let cursor = cursor.as_deref();
                let page = self.list(space, store, prefix, cursor, *limit, clock);
                return Ok(StateReply::Keys(page.await?));
            }
            StateOp::Set { key, value, ttl } => {
                (key, Edit::Set(NewEntry::new(value, *ttl, limits)?))
            }
            StateOp::Delete { key } => (key, Edit::Delete),
            StateOp::CompareAndSet {
                key,
                expected,
                value,
                ttl,
            } => {
                let entry = NewEntry::new(value, *ttl, limits)?;
                (key, Edit::Swap(*expected, entry))
            }
            StateOp::Increment { key, by } => (key, Edit::Add(*by)),
        };
        self.write(space, store, key, &edit, limits, clock).await
    }

    /// The usage of all stores of a space, with entries whose time is over and that no sweep has taken away.
    ///
    /// # Errors
    /// [`StateError::Unavailable`].
    pub async fn usage(&self, space: &SpaceId) -> Result<StateUsage, StateError> {
        let request = RangeRequest::prefix(keys::state_usage_of(space)).limit(usize::from(SHARDS));
        let parts = self.kv.range(request).await?;
        let mut all = StateUsage::default();
        for part in &parts.entries {
            all = sum(all, read_usage(part)?);
        }
        Ok(all)
    }

    /// Number of entries that the last sweep left because this program does not know their form, or that of the usage
    /// that counts them.
    #[must_use]
    pub fn unreadable(&self) -> u64 {
        self.turns.unreadable.load(Ordering::Relaxed)
    }

    /// The stores of a space that hold anything, by name, with what each holds.
    ///
    /// # Errors
    /// [`StateError::Unavailable`].
    pub async fn stores(
        &self,
        space: &SpaceId,
    ) -> Result<Vec<(StoreName, StateUsage)>, StateError> {
        let request = RangeRequest::prefix(keys::state_stores_of(space));
        let (parts, _) = paging::read_all(&*self.kv, request).await?;
        let mut stores: BTreeMap<StoreName, StateUsage> = BTreeMap::new();
        for part in &parts {
            if let Some(store) = keys::parse_state_store(&part.key) {
                let usage = stores.entry(store).or_default();
                *usage = sum(*usage, read_usage(part)?);
            }
        }
        Ok(stores.into_iter().collect())
    }

    async fn get(
        &self,
        space: &SpaceId,
        store: &StoreName,
        key: &StateKey,
        clock: Clock<'_>,
    ) -> Result<StateReply, StateError> {
        let found = self.kv.get(&keys::state(space, store, key)).await?;
        let Some(found) = found else {
            return Ok(StateReply::Entry(None));
        };
        let entry = StoredEntry::from_value(&found)?;
        let version = StateVersion::new(found.mod_revision.get());
        Ok(StateReply::Entry((!entry.is_over(clock())).then_some(
            StateEntry {
                value: entry.value,
                version,
            },
        )))
    }

    async fn list(
        &self,
        space: &SpaceId,
        store: &StoreName,
        prefix: &str,
        cursor: Option<&str>,
        limit: usize,
        clock: Clock<'_>,
    ) -> Result<StatePage, StateError> {
        let last = cursor.map(|text| read_cursor(text, prefix)).transpose()?;
        if prefix.len() > STATE_KEY_BYTES_MAX {
            return Ok(StatePage::default());
        }
        let mut span = KeySpan::prefix(keys::state_from(space, store, prefix));
        if let Some(last) = last {
            span = span.after(&keys::state(space, store, &last));
        }
        let limit = match limit {
            0 => STATE_LIST_MAX,
            limit => limit.min(STATE_LIST_MAX),
        };
        let mut attempts = 1;
        loop {
            match self.page(space, store, span.clone(), limit, clock).await {
                Err(KvError::Compacted(_)) if attempts < LIST_ATTEMPTS_MAX => attempts += 1,
                page => return Ok(page?),
            }
        }
    }

    /// One page of keys: read without values, and without those whose ends, read as of the same revision, have passed.
    async fn page(
        &self,
        space: &SpaceId,
        store: &StoreName,
        span: KeySpan,
        limit: usize,
        clock: Clock<'_>,
    ) -> Result<StatePage, KvError> {
        let request = RangeRequest::new(span).limit(limit).keys_only();
        let read = self.kv.range(request).await?;
        let mut found: Vec<StateKey> = read
            .entries
            .iter()
            .filter_map(|entry| Some(keys::parse_state(&entry.key)?.2))
            .collect();
        let (Some(first), Some(last)) = (found.first(), found.last()) else {
            return Ok(StatePage::default());
        };
        let cursor = read
            .more
            .then(|| URL_SAFE_NO_PAD.encode(last.as_str().as_bytes()));
        let end = [&keys::state_time(space, store, last)[..], &[0]].concat();
        let span = KeySpan::new(
            keys::state_time(space, store, first),
            Some(Bytes::from(end)),
        );
        let times = self
            .kv
            .range(RangeRequest::new(span).at(read.revision))
            .await?;
        let now = clock();
        let mut over = BTreeSet::new();
        for time in &times.entries {
            if record::read_time(time)? <= now {
                over.extend(keys::parse_state_time(&time.key).map(|(_, _, key)| key));
            }
        }
        found.retain(|key| !over.contains(key));
        Ok(StatePage {
            keys: found,
            cursor,
        })
    }
}

/// The key at which the page before has ended.
fn read_cursor(text: &str, prefix: &str) -> Result<StateKey, StateError> {
    let bytes = URL_SAFE_NO_PAD
        .decode(text)
        .map_err(|_| StateError::Cursor)?;
    let text = String::from_utf8(bytes).map_err(|_| StateError::Cursor)?;
    let key = StateKey::new(text).map_err(|_| StateError::Cursor)?;
    if !key.as_str().starts_with(prefix) {
        return Err(StateError::Cursor);
    }
    Ok(key)
}
