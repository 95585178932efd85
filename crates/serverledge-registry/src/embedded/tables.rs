//! The contents of the store's file: its tables, the encoding of rows, and the reads that readers and the writer share.
//!
//! - `keys`: the living keys, without values, so that listing names touches no value.
//! - `versions`: every state of every key that history still needs, by key and revision. An empty row is a deletion.
//! - `log`: which keys each revision changed, in order; watches read it.
//! - `leases`, `bound`: leases with their time, and the keys that hang on each.
//! - `facts`: the store's own numbers, among them the newest revision.

use bytes::Bytes;
use redb::{AccessGuard, ReadableTable, TableDefinition};
use serverledge_core::kv::{KeyValue, LeaseId, Revision};

/// Create revision, mod revision, version, lease (0: none), bytes of the value.
pub(super) type KeyRow = (u64, u64, u64, u64, u64);

pub(super) const KEYS: TableDefinition<'static, &[u8], KeyRow> = TableDefinition::new("keys");
pub(super) const VERSIONS: TableDefinition<'static, (&[u8], u64), &[u8]> =
    TableDefinition::new("versions");
pub(super) const LOG: TableDefinition<'static, (u64, u32), &[u8]> = TableDefinition::new("log");
pub(super) const LEASES: TableDefinition<'static, u64, u64> = TableDefinition::new("leases");
pub(super) const BOUND: TableDefinition<'static, (u64, &[u8]), ()> = TableDefinition::new("bound");
pub(super) const FACTS: TableDefinition<'static, &str, u64> = TableDefinition::new("facts");

/// The layout that this code reads and writes.
pub(super) const FORMAT: u64 = 1;
/// Bytes that a row needs beside key and value: an estimate, so that the store's limit holds for small rows, too.
pub(super) const ROW_OVERHEAD_BYTES: u64 = 96;

const HEADER_BYTES: usize = 24;
const LOG_PUT: u8 = 0;
const LOG_DELETE: u8 = 1;

/// The store's own numbers, as kept in `facts`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Facts {
    pub(super) cluster: u64,
    pub(super) revision: u64,
    /// The oldest readable revision. What only older ones need is removed bit by bit after this was raised.
    pub(super) compacted: u64,
    /// Bytes of all rows of `versions`, overhead included.
    pub(super) bytes: u64,
    /// Those of them that only history needs.
    pub(super) bytes_stale: u64,
    /// The newest lease's number.
    pub(super) lease: u64,
}

/// One entry of the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct LogRow<'a> {
    pub(super) key: &'a [u8],
    pub(super) delete: bool,
}

/// A state of a key as `versions` holds it.
#[derive(Debug, Clone, Copy)]
pub(super) struct VersionRow<'a> {
    pub(super) create: u64,
    pub(super) version: u64,
    pub(super) lease: u64,
    pub(super) value: &'a [u8],
}

pub(super) fn corrupted(what: &str) -> redb::Error {
    redb::Error::Corrupted(what.to_owned())
}

/// Bytes of a row of `versions` that count against the store's limit.
pub(super) fn row_bytes(key: &[u8], value_bytes: usize) -> u64 {
    (key.len() + value_bytes) as u64 + ROW_OVERHEAD_BYTES
}

/// The entry of a living key.
pub(super) fn living(
    keys: &impl ReadableTable<&'static [u8], KeyRow>,
    versions: &impl ReadableTable<(&'static [u8], u64), &'static [u8]>,
    key: &[u8],
) -> Result<Option<KeyValue>, redb::Error> {
    let Some(row) = keys.get(key)? else {
        return Ok(None);
    };
    with_value(versions, key, row.value()).map(Some)
}

/// The entry of a living key whose row is known.
pub(super) fn with_value(
    versions: &impl ReadableTable<(&'static [u8], u64), &'static [u8]>,
    key: &[u8],
    row: KeyRow,
) -> Result<KeyValue, redb::Error> {
    let version = versions
        .get((key, row.1))?
        .ok_or_else(|| corrupted("a living key has no value"))?;
    entry(key, row.1, &version)?.ok_or_else(|| corrupted("a living key is deleted"))
}

/// The entry without its value.
pub(super) fn without_value(key: &[u8], row: KeyRow) -> KeyValue {
    KeyValue {
        key: Bytes::copy_from_slice(key),
        value: Bytes::new(),
        create_revision: Revision::new(row.0),
        mod_revision: Revision::new(row.1),
        version: row.2,
        lease: LeaseId::new(row.3),
    }
}

/// Decodes a row of `versions`; `None` for a deletion.
pub(super) fn entry(
    key: &[u8],
    revision: u64,
    row: &AccessGuard<'_, &'static [u8]>,
) -> Result<Option<KeyValue>, redb::Error> {
    let Some(row) = VersionRow::decode(row.value())? else {
        return Ok(None);
    };
    Ok(Some(KeyValue {
        key: Bytes::copy_from_slice(key),
        value: Bytes::copy_from_slice(row.value),
        create_revision: Revision::new(row.create),
        mod_revision: Revision::new(revision),
        version: row.version,
        lease: LeaseId::new(row.lease),
    }))
}

// === impl Facts ===

impl Facts {
    /// Reads the facts; fails if the file has another layout.
    pub(super) fn read(table: &impl ReadableTable<&'static str, u64>) -> Result<Self, redb::Error> {
        let fact = |name| Ok::<_, redb::Error>(table.get(name)?.map_or(0, |row| row.value()));
        match fact("format")? {
            FORMAT => {}
            other => {
                return Err(corrupted(&format!(
                    "the layout is {other}, this program knows {FORMAT}"
                )));
            }
        }
        Ok(Self {
            cluster: fact("cluster")?,
            revision: fact("revision")?,
            compacted: fact("compacted")?,
            bytes: fact("bytes")?,
            bytes_stale: fact("bytes_stale")?,
            lease: fact("lease")?,
        })
    }

    pub(super) fn write(
        &self,
        table: &mut redb::Table<'_, &'static str, u64>,
    ) -> Result<(), redb::Error> {
        let facts = [
            ("format", FORMAT),
            ("cluster", self.cluster),
            ("revision", self.revision),
            ("compacted", self.compacted),
            ("bytes", self.bytes),
            ("bytes_stale", self.bytes_stale),
            ("lease", self.lease),
        ];
        for (name, value) in facts {
            table.insert(name, value)?;
        }
        Ok(())
    }
}

// === impl VersionRow ===

impl<'a> VersionRow<'a> {
    pub(super) fn decode(row: &'a [u8]) -> Result<Option<Self>, redb::Error> {
        if row.is_empty() {
            return Ok(None);
        }
        let (header, value) = row
            .split_at_checked(HEADER_BYTES)
            .ok_or_else(|| corrupted("a version row is cut"))?;
        let number = |i: usize| {
            let mut bytes = [0; 8];
            bytes.copy_from_slice(&header[i * 8..i * 8 + 8]);
            u64::from_le_bytes(bytes)
        };
        Ok(Some(Self {
            create: number(0),
            version: number(1),
            lease: number(2),
            value,
        }))
    }

    pub(super) fn encoded_len(&self) -> usize {
        HEADER_BYTES + self.value.len()
    }

    /// Writes into a buffer of [`Self::encoded_len`] bytes.
    pub(super) fn encode(&self, row: &mut [u8]) {
        for (i, number) in [self.create, self.version, self.lease]
            .into_iter()
            .enumerate()
        {
            row[i * 8..i * 8 + 8].copy_from_slice(&number.to_le_bytes());
        }
        row[HEADER_BYTES..].copy_from_slice(self.value);
    }
}

// === impl LogRow ===

impl<'a> LogRow<'a> {
    pub(super) fn decode(row: &'a [u8]) -> Result<Self, redb::Error> {
        match row.split_first() {
            Some((&LOG_PUT, key)) => Ok(Self { key, delete: false }),
            Some((&LOG_DELETE, key)) => Ok(Self { key, delete: true }),
            _ => Err(corrupted("a log row is of no known kind")),
        }
    }

    pub(super) fn encode(&self) -> Vec<u8> {
        let mut row = Vec::with_capacity(1 + self.key.len());
        row.push(if self.delete { LOG_DELETE } else { LOG_PUT });
        row.extend_from_slice(self.key);
        row
    }
}
