//! The node's own results of idempotent functions: bounded by bytes and by age.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use quick_cache::sync::Cache;
use quick_cache::{DefaultHashBuilder, Lifecycle, OptionsBuilder, Weighter};
use serverledge_core::CallKey;

use crate::metrics::CacheFigures;

/// Bytes that an entry takes beside its result: key, value, and its places in the table.
const OVERHEAD_BYTES: usize = 160;
/// Bytes of one part of the cache, which has a lock of its own. A result larger than half a part is not kept; the
/// largest result by default (6 MiB) is smaller.
const PART_BYTES: usize = 16 * 1024 * 1024;
/// Most parts: far more than cores that can meet at one lock.
const PARTS_MAX: usize = 64;
/// The usual size of an entry; an estimate from which tables are sized.
const ENTRY_BYTES: usize = 1024;

/// The cache; see the module. `None` inside: nothing is kept.
pub(crate) struct ResultStore {
    entries: Option<Cache<CallKey, StoredEntry, Weigh, DefaultHashBuilder, Evictions>>,
    ttl: Duration,
    evicted: Arc<AtomicU64>,
}

/// A result that is kept, and valid.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct StoredResult {
    pub(crate) result: Bytes,
    /// Whether its run made a call, so that it is valid for this generation only.
    pub(crate) called: bool,
}

#[derive(Debug, Clone)]
struct StoredEntry {
    result: Bytes,
    until: Instant,
    /// The only generation of the space for which it is valid; `None`: its run made no call, and it is valid for all.
    generation: Option<u64>,
}

#[derive(Clone)]
struct Weigh;

impl Weighter<CallKey, StoredEntry> for Weigh {
    fn weight(&self, _: &CallKey, kept: &StoredEntry) -> u64 {
        (OVERHEAD_BYTES + kept.result.len()) as u64
    }
}

/// Counts the entries evicted for want of room.
#[derive(Clone)]
struct Evictions(Arc<AtomicU64>);

impl Lifecycle<CallKey, StoredEntry> for Evictions {
    type RequestState = ();

    fn on_evict(&self, (): &mut (), _: CallKey, _: StoredEntry) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

impl ResultStore {
    /// A cache for this many bytes; 0 keeps nothing.
    pub(crate) fn new(bytes: usize, ttl: Duration) -> Self {
        let evicted = Arc::<AtomicU64>::default();
        let options = OptionsBuilder::new()
            .shards((bytes / PART_BYTES).clamp(1, PARTS_MAX))
            .estimated_items_capacity(bytes / ENTRY_BYTES)
            .weight_capacity(bytes as u64)
            .build();
        let options = options.ok().filter(|_| bytes > 0);
        let entries = options.map(|options| {
            Cache::with_options(
                options,
                Weigh,
                DefaultHashBuilder::default(),
                Evictions(Arc::clone(&evicted)),
            )
        });
        Self {
            entries,
            ttl,
            evicted,
        }
    }

    /// A result that is valid now. The generation is asked for only where it matters.
    pub(crate) fn get(
        &self,
        key: &CallKey,
        now: Instant,
        generation: impl FnOnce() -> u64,
    ) -> Option<StoredResult> {
        let entries = self.entries.as_ref()?;
        let kept = entries.get(key)?;
        if kept.until <= now || kept.generation.is_some_and(|held| held != generation()) {
            // It may have been put anew just now.
            entries.remove_if(key, |there| there.until == kept.until);
            return None;
        }
        Some(StoredResult {
            result: kept.result,
            called: kept.generation.is_some(),
        })
    }

    /// Keeps a copy of a result: what was given may be a small part of something large.
    pub(crate) fn put(&self, key: CallKey, result: &Bytes, now: Instant, generation: Option<u64>) {
        let Some(entries) = &self.entries else { return };
        let Some(until) = now.checked_add(self.ttl) else {
            return;
        };
        if result.len() <= PART_BYTES / 2 {
            entries.insert(
                key,
                StoredEntry {
                    result: Bytes::copy_from_slice(result),
                    until,
                    generation,
                },
            );
        }
    }

    pub(crate) fn figures(&self) -> CacheFigures {
        let (entries, bytes) = self
            .entries
            .as_ref()
            .map_or((0, 0), |entries| (entries.len() as u64, entries.weight()));
        CacheFigures {
            entries,
            bytes,
            evictions: self.evicted.load(Ordering::Relaxed),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn now() -> Instant {
        crate::clock::now()
    }

    #[test]
    fn a_result_is_kept_for_its_time_and_its_generation() {
        let cache = ResultStore::new(1 << 20, SECOND);
        let then = now();
        cache.put([1; 32], &Bytes::from_static(b"7"), then, None);
        cache.put([2; 32], &Bytes::from_static(b"8"), then, Some(4));
        assert_eq!(
            cache
                .get(&[1; 32], then, || panic!("it does not matter"))
                .unwrap(),
            StoredResult {
                result: "7".into(),
                called: false
            }
        );
        assert_eq!(
            cache.get(&[2; 32], then, || 4).unwrap(),
            StoredResult {
                result: "8".into(),
                called: true
            }
        );
        assert_eq!(cache.get(&[2; 32], then, || 5), None);
        assert_eq!(cache.get(&[1; 32], then + SECOND, || 0), None);
        assert_eq!(
            cache.figures().entries,
            0,
            "what does not hold any more is gone"
        );
    }

    #[test]
    fn bytes_are_bounded() {
        let cache = ResultStore::new(100_000, SECOND);
        let then = now();
        for n in 0..=255 {
            cache.put([n; 32], &Bytes::from(vec![b'1'; 1_000]), then, None);
        }
        let figures = cache.figures();
        assert!(
            figures.bytes <= 100_000 && figures.entries > 20,
            "{figures:?}"
        );
        assert!(figures.entries + figures.evictions == 256, "{figures:?}");
        cache.put([0; 32], &Bytes::from(vec![b'1'; 200_000]), then, None);
        assert!(
            cache
                .get(&[0; 32], then, || 0)
                .is_none_or(|hit| hit.result.len() == 1_000)
        );
    }

    #[test]
    fn nothing_is_kept_where_there_is_no_room() {
        let cache = ResultStore::new(0, SECOND);
        cache.put([1; 32], &Bytes::from_static(b"7"), now(), None);
        assert_eq!(
            (cache.get(&[1; 32], now(), || 0), cache.figures()),
            (None, CacheFigures::default())
        );
    }
}
