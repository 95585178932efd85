//! Writes: applies commands inside one write transaction of the file, each with a revision of its own.

use std::collections::BTreeSet;
use std::ops::Bound;

use redb::{ReadableTable, Table, WriteTransaction};
use serverledge_core::kv::{
    KeySpan, KeyValue, KvError, LEASE_TTL_MAX, LEASE_TTL_MIN, Lease, LeaseId, Op, OpReply,
    Revision, Txn, TxnReply,
};
use std::time::Duration;

use super::tables::{
    self, BOUND, FACTS, Facts, KEYS, KeyRow, LEASES, LOG, LogRow, VERSIONS, VersionRow, corrupted,
    row_bytes,
};

/// Most bytes that the puts of a transaction have which a full store takes because it leaves less than it found. Until
/// history is forgotten it needs room all the same: what is kept free on the disk is for many small ones.
const MENDING_BYTES_MAX: u64 = 16 * 1024;

/// The reply to a command. The outer error of the methods below is the file's and fails the whole batch.
pub(super) type BatchReply<T> = Result<Result<T, KvError>, redb::Error>;

/// The open tables of one write transaction.
pub(super) struct Batch<'t> {
    keys: Table<'t, &'static [u8], KeyRow>,
    versions: Table<'t, (&'static [u8], u64), &'static [u8]>,
    log: Table<'t, (u64, u32), &'static [u8]>,
    leases: Table<'t, u64, u64>,
    bound: Table<'t, (u64, &'static [u8]), ()>,
    facts_table: Table<'t, &'static str, u64>,
    /// The store's numbers as this batch leaves them.
    pub(super) facts: Facts,
    /// Bytes that puts may still add.
    room_bytes: u64,
    /// Something needs a commit.
    changed: bool,
}

/// The position inside the revision that is being made.
struct Cursor {
    revision: u64,
    changes: u32,
}

// === impl Batch ===

impl<'t> Batch<'t> {
    /// Opens (or, in a new file, creates) the tables.
    pub(super) fn open(
        txn: &'t WriteTransaction,
        facts: Facts,
        room_bytes: u64,
    ) -> Result<Self, redb::Error> {
        Ok(Self {
            keys: txn.open_table(KEYS)?,
            versions: txn.open_table(VERSIONS)?,
            log: txn.open_table(LOG)?,
            leases: txn.open_table(LEASES)?,
            bound: txn.open_table(BOUND)?,
            facts_table: txn.open_table(FACTS)?,
            facts,
            room_bytes,
            changed: false,
        })
    }

    /// Writes the numbers; says whether there is anything to commit.
    pub(super) fn finish(mut self) -> Result<(Facts, bool), redb::Error> {
        if self.changed {
            self.facts.write(&mut self.facts_table)?;
        }
        Ok((self.facts, self.changed))
    }

    /// Checks and applies a transaction.
    pub(super) fn txn(&mut self, txn: &Txn) -> BatchReply<TxnReply> {
        let succeeded = self.holds(txn)?;
        let ops = if succeeded { &txn.then } else { &txn.otherwise };
        if let Err(refused) = self.admit(ops)? {
            return Ok(Err(refused));
        }
        let mut cursor = self.cursor();
        let mut replies = Vec::with_capacity(ops.len());
        for op in ops {
            replies.push(self.op(op, &mut cursor)?);
        }
        self.close(&cursor);
        Ok(Ok(TxnReply {
            succeeded,
            replies,
            revision: Revision::new(self.facts.revision),
        }))
    }

    fn holds(&self, txn: &Txn) -> Result<bool, redb::Error> {
        for compare in &txn.compares {
            if !compare.condition.holds(self.living(&compare.key)?.as_ref()) {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Everything that could refuse the branch, before it changes anything.
    fn admit(&self, ops: &[Op]) -> BatchReply<()> {
        let mut bytes = 0;
        for op in ops {
            let Op::Put { key, value, lease } = op else {
                continue;
            };
            bytes += row_bytes(key, value.len());
            if let Some(lease) = lease
                && self.leases.get(lease.get())?.is_none()
            {
                return Ok(Err(KvError::LeaseUnknown(*lease)));
            }
        }
        if bytes > self.room_bytes
            && (bytes > MENDING_BYTES_MAX || bytes > self.freed_bytes(ops)?)
        {
            return Ok(Err(KvError::RegistryFull));
        }
        Ok(Ok(()))
    }

    /// Bytes of the living rows that these operations replace or delete.
    fn freed_bytes(&self, ops: &[Op]) -> Result<u64, redb::Error> {
        let mut keys: BTreeSet<Vec<u8>> = BTreeSet::new();
        for op in ops {
            match op {
                Op::Put { key, .. } | Op::Delete { key } => {
                    keys.insert(key.to_vec());
                }
                Op::DeletePrefix { prefix } => keys.extend(self.keys_with(prefix)?),
                Op::Get { .. } => {}
            }
        }
        let mut bytes = 0;
        for key in keys {
            if let Some(row) = self.keys.get(key.as_slice())? {
                let (_, _, _, _, value_bytes) = row.value();
                bytes += row_bytes(&key, 0) + value_bytes;
            }
        }
        Ok(bytes)
    }

    fn op(&mut self, op: &Op, cursor: &mut Cursor) -> Result<OpReply, redb::Error> {
        match op {
            Op::Put { key, value, lease } => {
                self.put(key, value, lease.map_or(0, LeaseId::get), cursor)?;
                Ok(OpReply::Put)
            }
            Op::Delete { key } => Ok(OpReply::Deleted(u64::from(self.delete(key, cursor)?))),
            Op::DeletePrefix { prefix } => {
                let keys = self.keys_with(prefix)?;
                self.delete_all(&keys, cursor).map(OpReply::Deleted)
            }
            Op::Get { key } => Ok(OpReply::Got(self.living(key)?)),
        }
    }

    fn living(&self, key: &[u8]) -> Result<Option<KeyValue>, redb::Error> {
        tables::living(&self.keys, &self.versions, key)
    }

    fn keys_with(&self, prefix: &[u8]) -> Result<Vec<Vec<u8>>, redb::Error> {
        let span = KeySpan::prefix(prefix.to_vec());
        let end = span.end().map_or(Bound::Unbounded, Bound::Excluded);
        let rows = self
            .keys
            .range::<&[u8]>((Bound::Included(span.start()), end))?;
        rows.map(|row| Ok(row?.0.value().to_vec())).collect()
    }

    fn cursor(&self) -> Cursor {
        Cursor {
            revision: self.facts.revision + 1,
            changes: 0,
        }
    }

    /// Makes the revision if anything changed in it.
    fn close(&mut self, cursor: &Cursor) {
        if cursor.changes > 0 {
            self.facts.revision = cursor.revision;
            self.changed = true;
        }
    }

    fn put(
        &mut self,
        key: &[u8],
        value: &[u8],
        lease: u64,
        cursor: &mut Cursor,
    ) -> Result<(), redb::Error> {
        let old = self.keys.get(key)?.map(|row| row.value());
        if let Some(old) = old {
            self.supersede(key, old)?;
        }
        let create = old.map_or(cursor.revision, |old| old.0);
        let version = old.map_or(1, |old| old.2 + 1);
        self.keys.insert(
            key,
            (create, cursor.revision, version, lease, value.len() as u64),
        )?;
        if lease != 0 {
            self.bound.insert((lease, key), ())?;
        }
        let row = VersionRow {
            create,
            version,
            lease,
            value,
        };
        row.encode(
            self.versions
                .insert_reserve((key, cursor.revision), row.encoded_len())?
                .as_mut(),
        );
        let bytes = row_bytes(key, value.len());
        self.facts.bytes += bytes;
        self.room_bytes = self.room_bytes.saturating_sub(bytes);
        self.record(LogRow { key, delete: false }, cursor)
    }

    fn delete(&mut self, key: &[u8], cursor: &mut Cursor) -> Result<bool, redb::Error> {
        let Some(old) = self.keys.remove(key)?.map(|row| row.value()) else {
            return Ok(false);
        };
        self.supersede(key, old)?;
        self.versions
            .insert((key, cursor.revision), [].as_slice())?;
        self.facts.bytes += row_bytes(key, 0);
        self.facts.bytes_stale += row_bytes(key, 0);
        self.record(LogRow { key, delete: true }, cursor)?;
        Ok(true)
    }

    fn delete_all(&mut self, keys: &[Vec<u8>], cursor: &mut Cursor) -> Result<u64, redb::Error> {
        let mut deleted = 0;
        for key in keys {
            deleted += u64::from(self.delete(key, cursor)?);
        }
        Ok(deleted)
    }

    /// The key's newest state becomes history and leaves its lease.
    fn supersede(&mut self, key: &[u8], old: KeyRow) -> Result<(), redb::Error> {
        let (_, _, _, lease, value_bytes) = old;
        if lease != 0 {
            self.bound.remove((lease, key))?;
        }
        let value_bytes =
            usize::try_from(value_bytes).map_err(|_| corrupted("a value is longer than memory"))?;
        self.facts.bytes_stale += row_bytes(key, value_bytes);
        Ok(())
    }

    fn record(&mut self, row: LogRow<'_>, cursor: &mut Cursor) -> Result<(), redb::Error> {
        self.log
            .insert((cursor.revision, cursor.changes), row.encode().as_slice())?;
        cursor.changes += 1;
        Ok(())
    }
}

// Leases.
impl Batch<'_> {
    pub(super) fn grant(&mut self, ttl: Duration) -> BatchReply<Lease> {
        let ttl = ttl.clamp(LEASE_TTL_MIN, LEASE_TTL_MAX);
        let seconds = ttl.as_secs() + u64::from(ttl.subsec_nanos() > 0);
        self.facts.lease += 1;
        self.leases.insert(self.facts.lease, seconds)?;
        self.changed = true;
        let id =
            LeaseId::new(self.facts.lease).ok_or_else(|| corrupted("the lease number is zero"))?;
        Ok(Ok(Lease {
            id,
            ttl: Duration::from_secs(seconds),
        }))
    }

    /// The lease's time, if it lives.
    pub(super) fn lease_ttl(&self, lease: LeaseId) -> BatchReply<Duration> {
        let seconds = self.leases.get(lease.get())?.map(|row| row.value());
        Ok(seconds
            .map(Duration::from_secs)
            .ok_or(KvError::LeaseUnknown(lease)))
    }

    /// Ends the lease and deletes its keys in one revision.
    pub(super) fn revoke(&mut self, lease: LeaseId) -> BatchReply<()> {
        if self.leases.remove(lease.get())?.is_none() {
            return Ok(Err(KvError::LeaseUnknown(lease)));
        }
        self.changed = true;
        let keys = self.bound_to(lease.get())?;
        let mut cursor = self.cursor();
        self.delete_all(&keys, &mut cursor)?;
        self.close(&cursor);
        Ok(Ok(()))
    }

    fn bound_to(&self, lease: u64) -> Result<Vec<Vec<u8>>, redb::Error> {
        let rows = self
            .bound
            .range::<(u64, &[u8])>((lease, [].as_slice())..(lease + 1, [].as_slice()))?;
        rows.map(|row| Ok(row?.0.value().1.to_vec())).collect()
    }
}

// Compaction.
impl Batch<'_> {
    /// Forgets history before `at`; the rows go bit by bit, in [`Self::sweep`].
    pub(super) fn compact(&mut self, at: Revision) -> Result<(), KvError> {
        let Facts {
            revision,
            compacted,
            ..
        } = self.facts;
        if at.get() > revision {
            return Err(KvError::FutureRevision {
                asked: at,
                now: Revision::new(revision),
            });
        }
        if at.get() <= compacted {
            return Err(KvError::Compacted(Revision::new(compacted)));
        }
        self.facts.compacted = at.get();
        self.changed = true;
        Ok(())
    }

    /// Is there a log row to sweep?
    pub(super) fn sweepable(&self) -> Result<bool, redb::Error> {
        Ok(self
            .log
            .first()?
            .is_some_and(|(id, _)| id.value().0 < self.facts.compacted))
    }

    /// Removes up to `rows_max` log rows that are forgotten, and the states of keys that were only kept for them.
    ///
    /// A state is dead when a newer one of the same key is not after the oldest readable revision. So each forgotten
    /// change kills what came before it; a forgotten deletion dies as well. The oldest readable revision's own changes
    /// stay in the log, since watches may begin there; they are visited each time, which finds nothing the second time.
    pub(super) fn sweep(&mut self, rows_max: usize) -> Result<(), redb::Error> {
        let compacted = self.facts.compacted;
        let rows = self
            .log
            .range((0, 0)..=(compacted, u32::MAX))?
            .take(rows_max);
        let rows: Vec<_> = rows
            .map(|row| row.map(|(id, change)| (id.value(), change.value().to_vec())))
            .collect::<Result<_, _>>()?;
        let mut newest = BTreeSet::new();
        for (id, change) in rows.iter().rev() {
            let change = LogRow::decode(change)?;
            // Later changes of this key, in this sweep, have killed what this one would.
            if newest.insert(change.key) {
                self.forget_before(change, id.0)?;
            }
            if id.0 < compacted {
                self.log.remove(*id)?;
                self.changed = true;
            }
        }
        Ok(())
    }

    fn forget_before(&mut self, change: LogRow<'_>, revision: u64) -> Result<(), redb::Error> {
        let last = if change.delete {
            revision
        } else {
            revision - 1
        };
        let dead = self.versions.range((change.key, 0)..=(change.key, last))?;
        let dead: Vec<_> = dead
            .map(|row| row.map(|(id, _)| id.value().1))
            .collect::<Result<_, redb::StorageError>>()?;
        for revision in dead {
            let bytes = match self.versions.remove((change.key, revision))? {
                Some(row) => row_bytes(
                    change.key,
                    VersionRow::decode(row.value())?.map_or(0, |row| row.value.len()),
                ),
                None => 0,
            };
            self.facts.bytes = self.facts.bytes.saturating_sub(bytes);
            self.facts.bytes_stale = self.facts.bytes_stale.saturating_sub(bytes);
            self.changed = true;
        }
        Ok(())
    }
}
