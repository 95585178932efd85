//! Reads: one consistent view of the store, as of the last commit.

use std::ops::Bound;

use bytes::Bytes;
use redb::{ReadOnlyTable, ReadTransaction};
use serverledge_core::kv::{Event, KeySpan, KeyValue, KvError, RangeReply, RangeRequest, Revision};

use super::tables::{self, FACTS, Facts, KEYS, KeyRow, LOG, LogRow, VERSIONS};

/// Events after which a batch ends at the next revision: keeps a slow watcher's memory small.
const BATCH_EVENTS: usize = 256;
/// Bytes of values after which a batch ends at the next revision, for the same reason.
const BATCH_BYTES: usize = 4 * 1024 * 1024;
/// Log rows that one batch looks at, even if none is for this watch: bounds the time of one read.
const BATCH_ROWS: usize = 10_000;

/// One consistent view. Holding it keeps pages from being reused: short-lived.
pub(super) struct StoreView {
    keys: ReadOnlyTable<&'static [u8], KeyRow>,
    versions: ReadOnlyTable<(&'static [u8], u64), &'static [u8]>,
    log: ReadOnlyTable<(u64, u32), &'static [u8]>,
    /// The numbers of the store in this view.
    pub(super) facts: Facts,
}

/// The reason why a read failed: its own fault, or the file's.
pub(super) enum ReadFault {
    Refused(KvError),
    Storage(redb::Error),
}

/// A piece of the log, filtered by prefix.
pub(super) struct LogPiece {
    pub(super) events: Vec<Event>,
    /// The first revision that was not looked at.
    pub(super) next: u64,
}

// === impl StoreView ===

impl StoreView {
    pub(super) fn new(txn: &ReadTransaction) -> Result<Self, redb::Error> {
        Ok(Self {
            keys: txn.open_table(KEYS)?,
            versions: txn.open_table(VERSIONS)?,
            log: txn.open_table(LOG)?,
            facts: Facts::read(&txn.open_table(FACTS)?)?,
        })
    }

    pub(super) fn get(&self, key: &[u8]) -> Result<Option<KeyValue>, redb::Error> {
        tables::living(&self.keys, &self.versions, key)
    }

    pub(super) fn range(&self, request: &RangeRequest) -> Result<RangeReply, ReadFault> {
        let limit = request.limit_effective();
        let mut entries = match self.checked(request.at)? {
            None => self.range_now(&request.span, limit + 1, request.keys_only)?,
            Some(at) => self.range_at(&request.span, limit + 1, request.keys_only, at)?,
        };
        let more = entries.len() > limit;
        entries.truncate(limit);
        Ok(RangeReply {
            entries,
            more,
            revision: Revision::new(self.facts.revision),
        })
    }

    /// The revision to read at if it is not the newest.
    fn checked(&self, at: Option<Revision>) -> Result<Option<u64>, ReadFault> {
        let Facts {
            revision,
            compacted,
            ..
        } = self.facts;
        match at {
            None => Ok(None),
            Some(at) if at.get() == revision => Ok(None),
            Some(at) if at.get() > revision => Err(ReadFault::Refused(KvError::FutureRevision {
                asked: at,
                now: Revision::new(revision),
            })),
            Some(at) if at.get() < compacted => Err(ReadFault::Refused(KvError::Compacted(
                Revision::new(compacted),
            ))),
            Some(at) => Ok(Some(at.get())),
        }
    }

    fn range_now(
        &self,
        span: &KeySpan,
        count: usize,
        keys_only: bool,
    ) -> Result<Vec<KeyValue>, redb::Error> {
        if span.end().is_some_and(|end| end <= span.start()) {
            return Ok(Vec::new());
        }
        let end = span.end().map_or(Bound::Unbounded, Bound::Excluded);
        let rows = self
            .keys
            .range::<&[u8]>((Bound::Included(span.start()), end))?;
        rows.take(count)
            .map(|row| {
                let (key, row) = row?;
                match keys_only {
                    true => Ok(tables::without_value(key.value(), row.value())),
                    false => tables::with_value(&self.versions, key.value(), row.value()),
                }
            })
            .collect()
    }

    /// Two searches for each key that history knows in the span: old reads are rare.
    fn range_at(
        &self,
        span: &KeySpan,
        count: usize,
        keys_only: bool,
        at: u64,
    ) -> Result<Vec<KeyValue>, redb::Error> {
        let mut entries = Vec::new();
        let mut next = self.key_from(Bound::Included((span.start(), 0)))?;
        while let Some(key) = next.filter(|key| span.contains(key) && entries.len() < count) {
            if let Some(entry) = self.state_at(&key, at)? {
                entries.push(if keys_only {
                    KeyValue {
                        value: Bytes::new(),
                        ..entry
                    }
                } else {
                    entry
                });
            }
            next = self.key_from(Bound::Excluded((&key, u64::MAX)))?;
        }
        Ok(entries)
    }

    fn key_from(&self, start: Bound<(&[u8], u64)>) -> Result<Option<Vec<u8>>, redb::Error> {
        let row = self
            .versions
            .range::<(&[u8], u64)>((start, Bound::Unbounded))?
            .next()
            .transpose()?;
        Ok(row.map(|(key, _)| key.value().0.to_vec()))
    }

    fn state_at(&self, key: &[u8], at: u64) -> Result<Option<KeyValue>, redb::Error> {
        let newest = self
            .versions
            .range((key, 0)..=(key, at))?
            .next_back()
            .transpose()?;
        newest.map_or(Ok(None), |(id, row)| tables::entry(key, id.value().1, &row))
    }

    /// The changes of keys with this prefix from a revision on: whole revisions only. Fails if they are forgotten.
    pub(super) fn events(&self, prefix: &[u8], from: u64) -> Result<LogPiece, ReadFault> {
        if from < self.facts.compacted {
            return Err(ReadFault::Refused(KvError::Compacted(Revision::new(
                self.facts.compacted,
            ))));
        }
        Ok(self.events_kept(prefix, from)?)
    }

    fn events_kept(&self, prefix: &[u8], from: u64) -> Result<LogPiece, redb::Error> {
        let mut piece = LogPiece {
            events: Vec::new(),
            next: from,
        };
        let mut bytes = 0;
        for (count, row) in self.log.range((from, 0)..)?.enumerate() {
            let (id, row) = row?;
            let revision = id.value().0;
            let full =
                piece.events.len() >= BATCH_EVENTS || bytes >= BATCH_BYTES || count >= BATCH_ROWS;
            if full && revision >= piece.next {
                return Ok(piece);
            }
            piece.next = revision + 1;
            let change = LogRow::decode(row.value())?;
            if change.key.starts_with(prefix) {
                let event = self.event(change, revision)?;
                bytes += if let Event::Put(entry) = &event {
                    entry.value.len()
                } else {
                    0
                };
                piece.events.push(event);
            }
        }
        piece.next = piece.next.max(self.facts.revision + 1);
        Ok(piece)
    }

    fn event(&self, change: LogRow<'_>, revision: u64) -> Result<Event, redb::Error> {
        if change.delete {
            let key = Bytes::copy_from_slice(change.key);
            return Ok(Event::Delete {
                key,
                revision: Revision::new(revision),
            });
        }
        let missing = || tables::corrupted("a logged change has no value");
        let row = self
            .versions
            .get((change.key, revision))?
            .ok_or_else(missing)?;
        Ok(Event::Put(
            tables::entry(change.key, revision, &row)?.ok_or_else(missing)?,
        ))
    }
}

// === impl ReadFault ===

impl<E: Into<redb::Error>> From<E> for ReadFault {
    fn from(error: E) -> Self {
        Self::Storage(error.into())
    }
}
