//! Removal of many entries: a store that is cleared, a space that is deleted, and entries whose time is over.

use std::collections::BTreeMap;
use std::sync::atomic::Ordering;

use bytes::Bytes;
use futures_util::future::{join_all, try_join_all};
use serverledge_core::kv::{
    Compare, KeySpan, KeyValue, KvError, Op, RangeRequest, Revision, TXN_OPS_MAX, Txn,
};
use serverledge_core::{SpaceId, StateError, StateUsage, StoreName};

use super::Stores;
use super::entry_keys::EntryKeys;
use super::record::{self, StoredEntry, sum};
use super::write::UsagePart;
use crate::keys;

/// Entries read at once with their values, which are dropped before the next ones are read.
const PAGE: usize = 32;
/// Pages whose entries are removed together: a sixteenth of them, more or less, with each transaction.
const PAGES: usize = 8;
/// Entries in one transaction, each with its key and the two by which its end is found.
const TXN_ENTRIES_MAX: usize = 40;
/// Most attempts at the same entries of a store that others defeat.
const ROUNDS_MAX: usize = 64;
/// Ends looked at in one round of a sweep.
const ENDS: usize = 128;
/// Ends whose entries are read at once, with their values.
const LOOKS: usize = 16;
/// Rounds of one sweep.
const SWEEP_ROUNDS_MAX: usize = 64;

/// An entry that was read, to be removed as it is. Its value is not kept, since only its length counts.
#[derive(Debug)]
struct Doomed {
    place: EntryKeys,
    usage: StateUsage,
    /// The Unix time in milliseconds at which it ends, if it does.
    end: Option<u64>,
    revision: Revision,
}

/// The entry that a key of an end leads to.
#[derive(Debug)]
enum Looked {
    /// Its time is over.
    Over(Box<Doomed>),
    /// There is none with this end; the key is gone now.
    Stale,
    /// It changed meanwhile.
    Changed,
    /// This program cannot read it.
    Unreadable,
}

/// The entries of one part of a store that were to be removed: their number, and how many are.
type PartRemoval = (u64, Result<u64, KvError>);

/// The outcome of a part of a sweep.
#[derive(Debug, Default)]
struct SweepRound {
    removed: u64,
    unreadable: u64,
}

// === impl Doomed ===

impl Doomed {
    fn new(place: EntryKeys, entry: &StoredEntry, revision: Revision) -> Self {
        Self {
            usage: place.usage(Some(entry)),
            end: entry.expires_unix_ms,
            place,
            revision,
        }
    }

    fn read(found: &KeyValue) -> Result<Option<Self>, KvError> {
        let Some(place) = EntryKeys::parse(&found.key) else {
            return Ok(None);
        };
        let entry = StoredEntry::from_value(found)?;
        Ok(Some(Self::new(place, &entry, found.mod_revision)))
    }
}

// === impl Stores ===

// Stores and spaces.
impl Stores {
    /// Removes all entries of a store, some at a time; returns how many. What is written after it has begun stays.
    /// After a failure some are gone, and it may be repeated.
    ///
    /// # Errors
    /// [`StateError::Contended`] if others write all the time, and some entries are left; [`StateError::RegistryFull`]
    /// and [`StateError::Unavailable`].
    pub async fn clear(&self, space: &SpaceId, store: &StoreName) -> Result<u64, StateError> {
        let _turn = self.turns.clear.lock().await;
        let mut rest = KeySpan::prefix(keys::state_from(space, store, ""));
        let mut begun = None;
        let (mut removed, mut is_empty) = (0, true);
        loop {
            let (doomed, last) = self.read_doomed(&rest, PAGES, &mut begun).await?;
            let Some(last) = last else { break };
            let behind = rest.after(&last);
            let end = Bytes::copy_from_slice(behind.start());
            let read = KeySpan::new(Bytes::copy_from_slice(rest.start()), Some(end));
            rest = behind;
            let (gone, all) = self.clear_span(&read, doomed, &mut begun).await?;
            removed += gone;
            is_empty &= all;
        }
        if is_empty {
            Ok(removed)
        } else {
            Err(StateError::Contended(store.to_string()))
        }
    }

    /// Removes these entries of a span, and those again that others have kept from it; returns how many, and whether
    /// these are all.
    async fn clear_span(
        &self,
        span: &KeySpan,
        mut doomed: Vec<Doomed>,
        begun: &mut Option<Revision>,
    ) -> Result<(u64, bool), KvError> {
        let mut removed = 0;
        for _ in 0..ROUNDS_MAX {
            if doomed.is_empty() {
                break;
            }
            for (_, gone) in self.remove(doomed).await {
                removed += gone?;
            }
            // Those that were defeated, and those that another writer has changed: both are found as they are now.
            (doomed, _) = self.read_doomed(span, usize::MAX, begun).await?;
        }
        Ok((removed, doomed.is_empty()))
    }

    /// Reads entries from the beginning of a span on, and the last key that was read. Entries that were changed after
    /// the revision at which this has begun are left out.
    async fn read_doomed(
        &self,
        span: &KeySpan,
        pages: usize,
        begun: &mut Option<Revision>,
    ) -> Result<(Vec<Doomed>, Option<Bytes>), KvError> {
        let mut rest = span.clone();
        let (mut doomed, mut last) = (Vec::new(), None);
        for _ in 0..pages {
            let request = RangeRequest::new(rest.clone()).limit(PAGE);
            let page = self.kv.range(request).await?;
            let begun = *begun.get_or_insert(page.revision);
            for found in &page.entries {
                if found.mod_revision <= begun {
                    doomed.extend(Doomed::read(found)?);
                }
            }
            let Some(end) = page.entries.last() else {
                break;
            };
            rest = rest.after(&end.key);
            last = Some(Bytes::copy_from_slice(&end.key));
            if !page.more {
                break;
            }
        }
        Ok((doomed, last))
    }

    /// Removes everything of a space whose deletion is marked, so that nothing is written to it any more. Nothing is
    /// put, so a full registry allows it.
    ///
    /// # Errors
    /// [`StateError::Unavailable`]; it may be repeated.
    pub async fn remove_space(&self, space: &SpaceId) -> Result<(), StateError> {
        self.remove_space_entries(space).await?;
        let txn = keys::all_of_state(space)
            .into_iter()
            .map(Op::delete_prefix)
            .fold(Txn::new(), Txn::then);
        self.kv.txn(txn).await?;
        Ok(())
    }

    /// Removes the entries of a space, and the keys by which their ends are found, page by page. The usages are left as
    /// they are: they go with the space, and nobody reads them any more.
    pub(crate) async fn remove_space_entries(&self, space: &SpaceId) -> Result<(), KvError> {
        let [_, times, ..] = keys::all_of_state(space);
        let mut rest = KeySpan::prefix(times);
        loop {
            // Each goes with the end that it leads to.
            let request = RangeRequest::new(rest.clone()).limit(TXN_OPS_MAX / 2);
            let page = self.kv.range(request).await?;
            let Some(last) = page.entries.last() else {
                break;
            };
            rest = rest.after(&last.key);
            let mut txn = Txn::new();
            for time in &page.entries {
                // An end that is not found so leads to nothing, and a sweep removes it.
                let place = keys::parse_state_time(&time.key);
                if let (Ok(end), Some((_, store, key))) = (record::read_time(time), place) {
                    txn = txn.then(Op::delete(keys::state_expiry(end, space, &store, &key)));
                }
                txn = txn.then(Op::delete(time.key.clone()));
            }
            self.kv.txn(txn).await?;
        }
        let mut rest = KeySpan::prefix(keys::state_of_space(space));
        loop {
            let request = RangeRequest::new(rest.clone()).limit(TXN_OPS_MAX);
            let page = self.kv.range(request.keys_only()).await?;
            let Some(last) = page.entries.last() else {
                return Ok(());
            };
            rest = rest.after(&last.key);
            let entries = page.entries.iter();
            let ops = entries.map(|entry| Op::delete(entry.key.clone()));
            let txn = ops.fold(Txn::new(), Txn::then);
            self.kv.txn(txn).await?;
        }
    }
}

// Entries whose time is over.
impl Stores {
    /// Removes entries whose time is over at `now` (Unix milliseconds), oldest first; returns how many. Bounded:
    /// the next sweep does the rest. Several nodes may sweep at once. What this program cannot read is left, counted
    /// ([`Self::unreadable`]), and looked at again by the next sweep.
    ///
    /// # Errors
    /// [`StateError::RegistryFull`] and [`StateError::Unavailable`]; some may have been removed.
    pub async fn sweep(&self, now: u64) -> Result<u64, StateError> {
        let _turn = self.turns.sweep.lock().await;
        let mut rest = KeySpan::new(keys::STATE_EXPIRY, Some(keys::state_expiry_after(now)));
        let mut all = SweepRound::default();
        for _ in 0..SWEEP_ROUNDS_MAX {
            let request = RangeRequest::new(rest.clone()).limit(ENDS).keys_only();
            let ends = self.kv.range(request).await?.entries;
            let Some(last) = ends.last() else { break };
            // Whatever becomes of these: those behind them do not wait for them.
            rest = rest.after(&last.key);
            let round = self.sweep_round(ends).await?;
            all.removed += round.removed;
            all.unreadable += round.unreadable;
        }
        let before = self
            .turns
            .unreadable
            .swap(all.unreadable, Ordering::Relaxed);
        if all.unreadable > 0 && all.unreadable != before {
            tracing::warn!(
                entries = all.unreadable,
                "entries of stores have outlived their time, and have a form that this program does not know"
            );
        }
        Ok(all.removed)
    }

    async fn sweep_round(&self, ends: Vec<KeyValue>) -> Result<SweepRound, KvError> {
        let mut round = SweepRound::default();
        let mut doomed = Vec::new();
        let mut ends = ends.into_iter();
        loop {
            let group: Vec<KeyValue> = ends.by_ref().take(LOOKS).collect();
            if group.is_empty() {
                break;
            }
            let looks = group.into_iter().map(|end| self.look_at_end(end));
            for looked in try_join_all(looks).await? {
                match looked {
                    Looked::Over(one) => doomed.push(*one),
                    Looked::Stale | Looked::Changed => {}
                    Looked::Unreadable => round.unreadable += 1,
                }
            }
        }
        for (count, removed) in self.remove(doomed).await {
            match removed {
                Ok(removed) => round.removed += removed,
                // One space does not hold up those of others.
                Err(error) if record::is_unreadable(&error) => round.unreadable += count,
                Err(error) => return Err(error),
            }
        }
        Ok(round)
    }

    /// Reads the entry that a key of an end leads to. A key that leads to nothing is removed.
    async fn look_at_end(&self, end: KeyValue) -> Result<Looked, KvError> {
        let Some((unix_ms, space, store, key)) = keys::parse_state_expiry(&end.key) else {
            return Ok(Looked::Unreadable);
        };
        let place = EntryKeys::new(&space, &store, &key);
        let found = self.kv.get(&place.entry).await?;
        let revision = found
            .as_ref()
            .map_or(Revision::default(), |found| found.mod_revision);
        let Ok(entry) = found.as_ref().map(StoredEntry::from_value).transpose() else {
            return Ok(Looked::Unreadable);
        };
        if let Some(entry) = entry.filter(|entry| entry.expires_unix_ms == Some(unix_ms)) {
            let doomed = Doomed::new(place, &entry, revision);
            return Ok(Looked::Over(Box::new(doomed)));
        }
        let txn = Txn::new()
            .when(Compare::mod_revision(place.entry, revision))
            .then(Op::delete(end.key));
        let removed = self.kv.txn(txn).await?.succeeded;
        Ok(if removed {
            Looked::Stale
        } else {
            Looked::Changed
        })
    }
}

// Both.
impl Stores {
    /// Removes those of the entries that nobody has changed. The parts of stores that count for one part of their space come
    /// one after the other, so that none defeats another; the rest goes side by side.
    async fn remove(&self, doomed: Vec<Doomed>) -> Vec<PartRemoval> {
        let mut parts: BTreeMap<Bytes, BTreeMap<Bytes, Vec<Doomed>>> = BTreeMap::new();
        for one in doomed {
            let of_space = parts.entry(one.place.space_part.clone()).or_default();
            let part = of_space.entry(one.place.store_part.clone());
            part.or_default().push(one);
        }
        let removals = parts.into_values().map(|of_space| async move {
            let mut removals = Vec::new();
            for part in of_space.into_values() {
                let count = part.len() as u64;
                removals.push((count, self.remove_part(&part).await));
            }
            removals
        });
        // All of them end, also after a failure: none is dropped half-way.
        join_all(removals).await.into_iter().flatten().collect()
    }

    async fn remove_part(&self, doomed: &[Doomed]) -> Result<u64, KvError> {
        let mut removed = 0;
        for together in doomed.chunks(TXN_ENTRIES_MAX) {
            removed += self.remove_together(together).await?;
        }
        Ok(removed)
    }

    /// Removes entries of one part in one transaction, or none of them.
    async fn remove_together(&self, doomed: &[Doomed]) -> Result<u64, KvError> {
        let Some(Doomed { place, .. }) = doomed.first() else {
            return Ok(0);
        };
        let (space_part, store_part) =
            tokio::try_join!(self.part(&place.space_part), self.part(&place.store_part))?;
        let mut before = StateUsage::default();
        let mut txn = Txn::new()
            .when(space_part.unchanged(&place.space_part))
            .when(store_part.unchanged(&place.store_part));
        for one in doomed {
            before = sum(before, one.usage);
            let entry = one.place.entry.clone();
            txn = txn.when(Compare::mod_revision(entry, one.revision));
            txn.then.extend(one.place.replace(one.end, None));
        }
        let nothing = StateUsage::default();
        let txn = txn
            .then(space_part.put(&place.space_part, before, nothing))
            .then(store_part.put(&place.store_part, before, nothing));
        let reply = self.kv.txn(txn).await?;
        Ok(if reply.succeeded {
            doomed.len() as u64
        } else {
            0
        })
    }

    async fn part(&self, key: &Bytes) -> Result<UsagePart, KvError> {
        let found = self.kv.get(key).await?;
        Ok(found
            .as_ref()
            .map(UsagePart::of)
            .transpose()?
            .unwrap_or_default())
    }
}
