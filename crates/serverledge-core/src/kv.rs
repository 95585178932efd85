//! etcd's model as a trait: keys with revisions, transactions, watches and leases. Implemented embedded and on etcd;
//! both pass the same conformance suite (`serverledge-testing`).
//!
//! Every successful transaction that changes something gets one new [`Revision`]. A read at a revision sees the store
//! as it was after that transaction, until [`Kv::compact`] forgets it.

use std::fmt;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;

mod error;
mod txn;

pub use error::{KvError, WatchError};
pub use txn::{Compare, Condition, Op, OpReply, Txn, TxnReply};

/// Longest key in bytes: longer than any key of ours, short enough for every index.
pub const KEY_BYTES_MAX: usize = 1024;
/// Longest value in bytes: with its key and the envelope it stays below etcd's 1.5 MiB for one request.
pub const VALUE_BYTES_MAX: usize = 1024 * 1024;
/// Most bytes of keys and values in one transaction, for the same reason.
pub const TXN_BYTES_MAX: usize = VALUE_BYTES_MAX + 256 * 1024;
/// Most compares, and most operations in each branch, of one transaction: etcd's default.
pub const TXN_OPS_MAX: usize = 128;
/// Most entries in one answer to a range; more are read page by page.
pub const RANGE_LIMIT_MAX: usize = 1000;
/// Shortest time of a lease: etcd's floor with default election timeouts.
pub const LEASE_TTL_MIN: Duration = Duration::from_secs(2);
/// Longest time of a lease; more is lowered to it. Leases only clean up, and nothing needs a year for that.
pub const LEASE_TTL_MAX: Duration = Duration::from_secs(365 * 24 * 3600);

/// A point in the store's history. Grows by one with each transaction that changes something; 0 is before all of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Revision(u64);

/// A lease's id; not zero.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LeaseId(u64);

/// A granted lease.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lease {
    /// Its id.
    pub id: LeaseId,
    /// Its lifetime unless it is kept alive; may be longer than requested.
    pub ttl: Duration,
}

/// A key with its value and history.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyValue {
    /// The key.
    pub key: Bytes,
    /// The value; empty where only keys were asked for.
    pub value: Bytes,
    /// The revision that created the key (after its last deletion).
    pub create_revision: Revision,
    /// The revision that last changed it.
    pub mod_revision: Revision,
    /// 1 after the creation, one more with each put.
    pub version: u64,
    /// The lease that the key hangs on, if any.
    pub lease: Option<LeaseId>,
}

/// A half-open span of keys.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeySpan {
    start: Bytes,
    end: Option<Bytes>,
}

/// A request for one page of entries.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RangeRequest {
    /// The keys to read.
    pub span: KeySpan,
    /// Most entries in the answer; 0 and what exceeds [`RANGE_LIMIT_MAX`] mean [`RANGE_LIMIT_MAX`].
    pub limit: usize,
    /// Leave the values empty.
    pub keys_only: bool,
    /// Read the store as it was then; `None` is now.
    pub at: Option<Revision>,
}

/// One page of entries.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RangeReply {
    /// Entries in the order of their keys (bytewise).
    pub entries: Vec<KeyValue>,
    /// There are more entries in the span than the limit let through.
    pub more: bool,
    /// The store's newest revision when the range was read (not the `at` that was asked for).
    pub revision: Revision,
}

/// One change, as watches report it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// The key was created or changed; its `mod_revision` is the event's revision.
    Put(KeyValue),
    /// The key was deleted, by a transaction or because its lease ended.
    Delete {
        /// The deleted key.
        key: Bytes,
        /// The deletion's revision.
        revision: Revision,
    },
}

/// Figures about a store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Status {
    /// Tells stores apart. If it changes between two answers, all that was learnt from the first is void.
    pub cluster: u64,
    /// The newest revision. If it goes back, all that was learnt before is void.
    pub revision: Revision,
    /// Bytes of all that the store keeps: keys and values, history included.
    pub bytes_used: u64,
    /// The same without room that is free again, which a store may keep in its file.
    pub bytes_in_use: u64,
    /// The most bytes that it may keep, if it knows a limit; beyond it puts fail with `RegistryFull`.
    pub bytes_max: Option<u64>,
}

/// The registry's store. Shared by everything in a node that remembers; every method may be called concurrently.
///
/// Reads are linearizable: they see every write that was answered before. A dropped future of a *read* has no effect.
/// A dropped future of a *write*, or a write that fails with [`KvError::Unavailable`], may or may not be applied;
/// every other error says that nothing changed.
#[async_trait]
pub trait Kv: Send + Sync + fmt::Debug {
    /// The entry of one key now, `None` if there is none.
    async fn get(&self, key: &[u8]) -> Result<Option<KeyValue>, KvError>;

    /// One page of entries, all as of one revision. Fails with `Compacted` or `FutureRevision` if [`RangeRequest::at`]
    /// lies outside the history. Later pages stay consistent with the first when they ask for its revision.
    async fn range(&self, request: RangeRequest) -> Result<RangeReply, KvError>;

    /// Checks the compares and runs one of both branches, atomically and in the order of the operations; durable when
    /// answered. Operations see the effects of earlier ones of the same branch.
    ///
    /// Fails without effect if the transaction exceeds a limit, puts a key twice in one branch or puts a key that the
    /// same branch deletes (`DuplicateKey`), or binds a key to an unknown lease.
    async fn txn(&self, txn: Txn) -> Result<TxnReply, KvError>;

    /// Watches the keys with this prefix (empty: all keys) from a revision on, that one included; it may lie in the
    /// future. `None` watches what comes after this call was answered. That history is gone is reported by the
    /// watch's first [`Watch::next`], not here.
    async fn watch(&self, prefix: &[u8], from: Option<Revision>)
    -> Result<Box<dyn Watch>, KvError>;

    /// Forgets what no read at `at` or later needs. Afterwards reads before `at`, and watches from before `at`, fail with
    /// `Compacted`. Fails with `Compacted` if that has already happened, with `FutureRevision` if `at` is not yet.
    async fn compact(&self, at: Revision) -> Result<(), KvError>;

    /// A new lease. Less than [`LEASE_TTL_MIN`] is raised to it, more than [`LEASE_TTL_MAX`] lowered;
    /// fractions of a second are rounded up.
    ///
    /// A lease that is not kept alive ends some time (usually less than a second) after its time, and all keys bound to
    /// it are deleted in one revision. Leases only clean up: a restarted store gives each its full time again.
    async fn lease_grant(&self, ttl: Duration) -> Result<Lease, KvError>;

    /// Gives the lease its full time again and returns that time. `LeaseUnknown` if it has ended or never was.
    async fn lease_keep_alive(&self, lease: LeaseId) -> Result<Duration, KvError>;

    /// Ends the lease and deletes its keys in one revision. `LeaseUnknown` if it has ended or never was.
    async fn lease_revoke(&self, lease: LeaseId) -> Result<(), KvError>;

    /// The store's figures now; also the cheapest way to learn the newest revision.
    async fn status(&self) -> Result<Status, KvError>;
}

/// A running watch. Dropping it ends it.
#[async_trait]
pub trait Watch: Send + fmt::Debug {
    /// Waits for changes and returns them: one or more whole revisions, in their order, never a part of one; at least
    /// one event. Inside a revision events are in the order of the operations, those of a prefix or lease in key order.
    ///
    /// Dropping the future loses nothing: the next call returns what this one would have. A slow watcher loses
    /// nothing either, until the history it has still to read is compacted. After an error the watch is over.
    async fn next(&mut self) -> Result<Vec<Event>, WatchError>;
}

// === impl Revision ===

impl Revision {
    /// The revision with this number.
    #[must_use]
    pub const fn new(number: u64) -> Self {
        Self(number)
    }

    /// Its number.
    #[must_use]
    pub const fn get(self) -> u64 {
        self.0
    }

    /// The one after.
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0 + 1)
    }
}

impl fmt::Display for Revision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

// === impl LeaseId ===

impl LeaseId {
    /// The lease with this number; `None` for zero, which means "no lease" in etcd.
    #[must_use]
    pub const fn new(number: u64) -> Option<Self> {
        if number == 0 {
            None
        } else {
            Some(Self(number))
        }
    }

    /// Its number.
    #[must_use]
    pub const fn get(self) -> u64 {
        self.0
    }
}

impl fmt::Display for LeaseId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:x}", self.0)
    }
}

// === impl KeySpan ===

impl KeySpan {
    /// Keys from `start` (inclusive) to `end` (exclusive; `None`: to the last key).
    pub fn new(start: impl Into<Bytes>, end: Option<Bytes>) -> Self {
        Self {
            start: start.into(),
            end,
        }
    }

    /// Keys that begin with `prefix`; all keys if it is empty.
    pub fn prefix(prefix: impl Into<Bytes>) -> Self {
        let start = prefix.into();
        let end = prefix_end(&start);
        Self { start, end }
    }

    /// The first key of the span.
    #[must_use]
    pub fn start(&self) -> &[u8] {
        &self.start
    }

    /// The first key after the span; `None`: the span reaches to the last key.
    #[must_use]
    pub fn end(&self) -> Option<&[u8]> {
        self.end.as_deref()
    }

    /// Does the span hold this key?
    #[must_use]
    pub fn contains(&self, key: &[u8]) -> bool {
        key >= &*self.start && self.end.as_deref().is_none_or(|end| key < end)
    }

    /// The rest of the span after `key`: where the next page begins.
    #[must_use]
    pub fn after(&self, key: &[u8]) -> Self {
        let mut start = Vec::with_capacity(key.len() + 1);
        start.extend_from_slice(key);
        start.push(0);
        Self {
            start: start.into(),
            end: self.end.clone(),
        }
    }
}

/// The first key that is greater than every key with this prefix; `None` if there is none.
fn prefix_end(prefix: &[u8]) -> Option<Bytes> {
    let last = prefix.iter().rposition(|byte| *byte != u8::MAX)?;
    let mut end = prefix.get(..=last)?.to_vec();
    *end.last_mut()? += 1;
    Some(end.into())
}

// === impl RangeRequest ===

impl RangeRequest {
    /// All of the span, now, in pages of [`RANGE_LIMIT_MAX`].
    #[must_use]
    pub fn new(span: KeySpan) -> Self {
        Self {
            span,
            limit: RANGE_LIMIT_MAX,
            keys_only: false,
            at: None,
        }
    }

    /// The keys that begin with `prefix`.
    pub fn prefix(prefix: impl Into<Bytes>) -> Self {
        Self::new(KeySpan::prefix(prefix))
    }

    /// With at most so many entries in the answer.
    #[must_use]
    pub fn limit(self, limit: usize) -> Self {
        Self { limit, ..self }
    }

    /// Without values.
    #[must_use]
    pub fn keys_only(self) -> Self {
        Self {
            keys_only: true,
            ..self
        }
    }

    /// As of this revision.
    #[must_use]
    pub fn at(self, revision: Revision) -> Self {
        Self {
            at: Some(revision),
            ..self
        }
    }

    /// The limit that holds: between 1 and [`RANGE_LIMIT_MAX`].
    #[must_use]
    pub fn limit_effective(&self) -> usize {
        if self.limit == 0 {
            RANGE_LIMIT_MAX
        } else {
            self.limit.min(RANGE_LIMIT_MAX)
        }
    }
}

// === impl Event ===

impl Event {
    /// The key that changed.
    #[must_use]
    pub fn key(&self) -> &Bytes {
        match self {
            Self::Put(entry) => &entry.key,
            Self::Delete { key, .. } => key,
        }
    }

    /// The revision that changed it.
    #[must_use]
    pub fn revision(&self) -> Revision {
        match self {
            Self::Put(entry) => entry.mod_revision,
            Self::Delete { revision, .. } => *revision,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prefixes_end_behind_their_last_key() {
        assert_eq!(prefix_end(b"a/"), Some(Bytes::from_static(b"a0")));
        assert_eq!(prefix_end(b"a\xff\xff"), Some(Bytes::from_static(b"b")));
        assert_eq!(prefix_end(b"\xff"), None);
        assert_eq!(prefix_end(b""), None);
        let span = KeySpan::prefix("a/");
        assert!(
            span.contains(b"a/")
                && span.contains(b"a/\xff")
                && !span.contains(b"a0")
                && !span.contains(b"a")
        );
        assert!(KeySpan::prefix("").contains(b"\xff\xff"));
    }

    #[test]
    fn the_next_page_begins_right_after() {
        let rest = KeySpan::prefix("a/").after(b"a/b");
        assert!(!rest.contains(b"a/b") && rest.contains(b"a/b\0") && !rest.contains(b"a0"));
    }
}
