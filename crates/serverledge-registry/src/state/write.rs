//! Writes: what they make of an entry, and the transaction that holds only if nobody else wrote meanwhile.

use std::collections::BTreeSet;
use std::time::Duration;

use bytes::Bytes;
use serverledge_core::kv::{
    Compare, KeySpan, KeyValue, KvError, Op, OpReply, RangeRequest, Revision, Txn,
};
use serverledge_core::{
    STATE_STORES_MAX, STATE_TTL_MAX, SpaceId, StateError, StateKey, StateLimits, StateReply,
    StateUsage, StateVersion, StoreName, whole_millis,
};
use tokio::sync::MutexGuard;
use tokio::time::{Instant, timeout};
use uuid::Uuid;

use super::entry_keys::{EntryKeys, SHARDS};
use super::record::{StoredEntry, difference, read_usage, sum, usage_value};
use super::{Clock, GATES, Stores};
use crate::keys;

/// Most attempts at a write that others defeat.
const ATTEMPTS_MAX: u32 = 64;
/// Attempts that follow one another at once.
const EAGER_ATTEMPTS: u32 = 8;
/// Longest wait between two later attempts.
const WAIT_MS_MAX: u64 = 32;

/// A write.
#[derive(Debug)]
pub(super) enum Edit {
    /// Writes this, whatever was there.
    Set(NewEntry),
    /// Removes it.
    Delete,
    /// Writes this if there is this version.
    Swap(Option<StateVersion>, NewEntry),
    /// Adds this.
    Add(i64),
}

/// An entry that is to be written. Its lifetime begins with the attempt that writes it.
#[derive(Debug)]
pub(super) struct NewEntry {
    value: Bytes,
    ttl: Option<Duration>,
}

/// The result of a write, given the entry that is there.
#[derive(Debug)]
enum EditDecision {
    /// Nothing is written.
    Answer(StateReply),
    /// This is written, and then answered so.
    Write(Option<StoredEntry>, EditOutcome),
}

/// A write that was made.
#[derive(Debug)]
enum EditOutcome {
    Set,
    Deleted,
    Swapped,
    Added(i64),
}

/// An entry, and the usages that count it, as they were read. A key that is not there has revision 0.
#[derive(Debug, Default)]
struct Reading {
    entry: Option<StoredEntry>,
    revision: Revision,
    space_part: UsagePart,
    store_part: UsagePart,
    /// Of all parts of the space.
    space_usage: StateUsage,
    /// The space is deleted.
    gone: bool,
}

/// A part of a usage as it was read.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct UsagePart {
    pub(super) usage: StateUsage,
    pub(super) revision: Revision,
}

// === impl NewEntry ===

impl NewEntry {
    pub(super) fn new(
        value: &Bytes,
        ttl: Option<Duration>,
        limits: &StateLimits,
    ) -> Result<Self, StateError> {
        check_length(value, limits)?;
        let allowed = Duration::from_millis(1)..=STATE_TTL_MAX;
        if ttl.is_some_and(|ttl| !allowed.contains(&ttl)) {
            return Err(StateError::Ttl);
        }
        Ok(Self {
            value: value.clone(),
            ttl,
        })
    }

    /// The entry if it is written now.
    fn at(&self, now: u64) -> StoredEntry {
        StoredEntry {
            value: self.value.clone(),
            expires_unix_ms: self.ttl.map(|ttl| now.saturating_add(whole_millis(ttl))),
        }
    }
}

// === impl Edit ===

impl Edit {
    /// `live`: the entry that is there and not over, with its version.
    fn decide(
        &self,
        key: &StateKey,
        live: Option<(&StoredEntry, StateVersion)>,
        now: u64,
    ) -> Result<EditDecision, StateError> {
        match self {
            Self::Set(entry) => Ok(EditDecision::Write(Some(entry.at(now)), EditOutcome::Set)),
            Self::Delete if live.is_none() => Ok(EditDecision::Answer(StateReply::Deleted(false))),
            Self::Delete => Ok(EditDecision::Write(None, EditOutcome::Deleted)),
            Self::Swap(expected, _) if *expected != live.map(|(_, version)| version) => {
                Ok(EditDecision::Answer(StateReply::Swapped(None)))
            }
            Self::Swap(_, entry) => Ok(EditDecision::Write(
                Some(entry.at(now)),
                EditOutcome::Swapped,
            )),
            Self::Add(by) => {
                let number = live.map_or(Ok(0), |(entry, _)| number(key, entry))?;
                let sum = number
                    .checked_add(*by)
                    .ok_or_else(|| StateError::Overflow(key.to_string()))?;
                let entry = StoredEntry {
                    value: sum.to_string().into(),
                    expires_unix_ms: live.and_then(|(entry, _)| entry.expires_unix_ms),
                };
                Ok(EditDecision::Write(Some(entry), EditOutcome::Added(sum)))
            }
        }
    }
}

fn number(key: &StateKey, entry: &StoredEntry) -> Result<i64, StateError> {
    std::str::from_utf8(&entry.value)
        .ok()
        .and_then(|text| text.parse().ok())
        .ok_or_else(|| StateError::NotANumber(key.to_string()))
}

// === impl EditOutcome ===

impl EditOutcome {
    /// The answer, given the revision of the transaction.
    fn reply(self, revision: Revision) -> StateReply {
        let version = StateVersion::new(revision.get());
        match self {
            Self::Set => StateReply::Written(version),
            Self::Deleted => StateReply::Deleted(true),
            Self::Swapped => StateReply::Swapped(Some(version)),
            Self::Added(sum) => StateReply::Number(sum),
        }
    }
}

// === impl Reading ===

impl Reading {
    /// Sorts out the keys that were read at a place, in whatever order.
    fn of(place: &EntryKeys, found: impl IntoIterator<Item = KeyValue>) -> Result<Self, KvError> {
        let parts = keys::state_usage_of(place.space());
        let gone = keys::deletion(place.space());
        let mut seen = Self::default();
        for found in found {
            if found.key == place.entry {
                seen.entry = Some(StoredEntry::from_value(&found)?);
                seen.revision = found.mod_revision;
            } else if found.key == place.store_part {
                seen.store_part = UsagePart::of(&found)?;
            } else if found.key == gone {
                seen.gone = true;
            } else if found.key.starts_with(&parts) {
                let part = UsagePart::of(&found)?;
                seen.space_usage = sum(seen.space_usage, part.usage);
                if found.key == place.space_part {
                    seen.space_part = part;
                }
            }
        }
        Ok(seen)
    }

    /// The entry, if it is there and not over.
    fn live(&self, now: u64) -> Option<(&StoredEntry, StateVersion)> {
        let entry = self.entry.as_ref().filter(|entry| !entry.is_over(now))?;
        Some((entry, StateVersion::new(self.revision.get())))
    }

    /// A write that does not grow the usage is allowed in a space that is over its limits, too: else nothing could be
    /// mended.
    fn check_room(
        &self,
        before: StateUsage,
        after: StateUsage,
        limits: &StateLimits,
    ) -> Result<(), StateError> {
        let now = self.space_usage;
        let then = sum(difference(now, before), after);
        if after.bytes > before.bytes && then.bytes > limits.bytes_max {
            return Err(StateError::FullOfBytes {
                bytes: now.bytes,
                bytes_max: limits.bytes_max,
            });
        }
        if after.keys > before.keys && then.keys > limits.keys_max {
            return Err(StateError::FullOfKeys {
                keys: now.keys,
                keys_max: limits.keys_max,
            });
        }
        Ok(())
    }

    /// The transaction that makes `new` of what was seen. If it fails, it answers with what is there instead.
    fn txn(&self, place: &EntryKeys, new: Option<&StoredEntry>) -> Txn {
        let (before, after) = (place.usage(self.entry.as_ref()), place.usage(new));
        let gone = keys::deletion(place.space());
        let mut txn = Txn::new()
            .when(Compare::missing(gone.clone()))
            .when(Compare::mod_revision(place.entry.clone(), self.revision))
            .when(self.space_part.unchanged(&place.space_part))
            .when(self.store_part.unchanged(&place.store_part))
            .then(self.space_part.put(&place.space_part, before, after))
            .then(self.store_part.put(&place.store_part, before, after));
        let end = self.entry.as_ref().and_then(|entry| entry.expires_unix_ms);
        txn.then.extend(place.replace(end, new));
        let parts = (0..SHARDS).map(|shard| keys::state_usage(place.space(), shard));
        let read = parts.chain([place.entry.clone(), place.store_part.clone(), gone]);
        txn.otherwise.extend(read.map(Op::get));
        txn
    }
}

// === impl UsagePart ===

impl UsagePart {
    pub(super) fn of(found: &KeyValue) -> Result<Self, KvError> {
        Ok(Self {
            usage: read_usage(found)?,
            revision: found.mod_revision,
        })
    }

    pub(super) fn unchanged(&self, key: &Bytes) -> Compare {
        Compare::mod_revision(key.clone(), self.revision)
    }

    /// Counts `after` instead of `before`. A part that counts nothing is not kept.
    pub(super) fn put(&self, key: &Bytes, before: StateUsage, after: StateUsage) -> Op {
        let usage = sum(difference(self.usage, before), after);
        if usage == StateUsage::default() {
            return Op::delete(key.clone());
        }
        Op::put(key.clone(), usage_value(usage))
    }
}

// === impl Stores ===

impl Stores {
    /// Writes one entry. Reads first, and then writes if nothing has changed since; what a lost attempt answers with is
    /// the next one's read.
    pub(super) async fn write(
        &self,
        space: &SpaceId,
        store: &StoreName,
        key: &StateKey,
        edit: &Edit,
        limits: &StateLimits,
        clock: Clock<'_>,
    ) -> Result<StateReply, StateError> {
        let begun = Instant::now();
        let place = EntryKeys::new(space, store, key);
        let mut seen = self.look(&place).await?;
        let mut gate = None;
        let mut store_is_known = false;
        for attempt in 1..=ATTEMPTS_MAX {
            let now = clock();
            let (new, written) = match edit.decide(key, seen.live(now), now)? {
                EditDecision::Answer(reply) => return Ok(reply),
                EditDecision::Write(new, written) => (new, written),
            };
            if let Some(new) = &new {
                check_length(&new.value, limits)?;
                if !store_is_known && seen.store_part.revision == Revision::default() {
                    self.check_store_count(&place).await?;
                    store_is_known = true;
                    // Time has passed: it is decided anew.
                    continue;
                }
            }
            let before = place.usage(seen.entry.as_ref());
            seen.check_room(before, place.usage(new.as_ref()), limits)?;
            let reply = self.kv.txn(seen.txn(&place, new.as_ref())).await?;
            if reply.succeeded {
                return Ok(written.reply(reply.revision));
            }
            let found = reply.replies.into_iter().filter_map(OpReply::into_entry);
            seen = Reading::of(&place, found)?;
            if seen.gone {
                return Err(StateError::Missing("the space was deleted"));
            }
            if begun.elapsed() >= self.turns.patience.write {
                break;
            }
            if gate.is_none() {
                let (guard, waited) = self.pass_gate(&place).await?;
                gate = Some(guard);
                if waited {
                    seen = self.look(&place).await?;
                }
            } else if attempt > EAGER_ATTEMPTS {
                tokio::time::sleep(wait(attempt)).await;
                seen = self.look(&place).await?;
            }
        }
        Err(StateError::Contended(place.text().to_owned()))
    }

    /// Reads an entry and its usages, side by side: a transaction that only reads would wait for the embedded store's
    /// writer. That they may be of different revisions does no harm, because all of them are compared.
    async fn look(&self, place: &EntryKeys) -> Result<Reading, KvError> {
        let parts = RangeRequest::prefix(keys::state_usage_of(place.space()));
        let (entry, store_part, parts) = tokio::try_join!(
            self.kv.get(&place.entry),
            self.kv.get(&place.store_part),
            self.kv.range(parts.limit(usize::from(SHARDS))),
        )?;
        Reading::of(
            place,
            entry.into_iter().chain(store_part).chain(parts.entries),
        )
    }

    /// One writer of this process at a time among those that write to this part and lost before. Says whether there
    /// was another one. Nobody waits long: a registry that is slow would have all of them wait.
    async fn pass_gate(
        &self,
        place: &EntryKeys,
    ) -> Result<(Option<MutexGuard<'_, ()>>, bool), StateError> {
        let [first, second, ..] = *blake3::hash(&place.space_part).as_bytes();
        let number = usize::from(u16::from_be_bytes([first, second]));
        let Some(gate) = self.turns.gates.get(number % GATES) else {
            return Ok((None, false));
        };
        if let Ok(guard) = gate.try_lock() {
            return Ok((Some(guard), false));
        }
        let guard = timeout(self.turns.patience.gate, gate.lock())
            .await
            .map_err(|_| StateError::Contended(place.text().to_owned()))?;
        Ok((Some(guard), true))
    }

    /// Refuses the first entry of a store in a space that has as many stores as it may. Those who begin one at the same
    /// moment may exceed that by a few.
    async fn check_store_count(&self, place: &EntryKeys) -> Result<(), StateError> {
        let own = RangeRequest::prefix(place.store_parts.clone());
        let own = self.kv.range(own.limit(1).keys_only()).await?;
        if !own.entries.is_empty() {
            return Ok(());
        }
        let mut span = KeySpan::prefix(keys::state_stores_of(place.space()));
        let mut stores = BTreeSet::new();
        loop {
            let request = RangeRequest::new(span.clone()).keys_only();
            let page = self.kv.range(request).await?;
            let names = page.entries.iter();
            stores.extend(names.filter_map(|part| keys::parse_state_store(&part.key)));
            if stores.len() >= STATE_STORES_MAX {
                return Err(StateError::FullOfStores);
            }
            match page.entries.last() {
                Some(last) if page.more => span = span.after(&last.key),
                _ => return Ok(()),
            }
        }
    }
}

fn check_length(value: &Bytes, limits: &StateLimits) -> Result<(), StateError> {
    if value.len() > limits.value_bytes_max {
        return Err(StateError::ValueTooLarge {
            bytes: value.len(),
            bytes_max: limits.value_bytes_max,
        });
    }
    Ok(())
}

/// A wait by chance, longer with each attempt.
fn wait(attempt: u32) -> Duration {
    let longest = (1_u64 << (attempt - EAGER_ATTEMPTS).min(5)).min(WAIT_MS_MAX) * 1000;
    // The random bits of a new id.
    let (_, chance) = Uuid::now_v7().as_u64_pair();
    Duration::from_micros(chance % longest)
}
