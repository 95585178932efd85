//! How the store fails.

use bytes::Bytes;

use super::{KEY_BYTES_MAX, LeaseId, Revision, TXN_BYTES_MAX, TXN_OPS_MAX, VALUE_BYTES_MAX};

/// Why the store did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum KvError {
    /// The store does not answer or its disk fails. Whether a write was applied is unknown.
    #[error("the registry failed to {attempt}")]
    Unavailable {
        /// What was attempted; follows "failed to".
        attempt: &'static str,
        /// The cause.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The disk, or the store's quota, is full. Nothing was written; reads and watches go on.
    #[error("the registry is full")]
    RegistryFull,
    /// A list of the transaction has more than [`TXN_OPS_MAX`] members.
    #[error("the transaction has {ops} operations, {TXN_OPS_MAX} are allowed")]
    TooManyOps {
        /// How many there are.
        ops: usize,
    },
    /// The key, or the prefix of a deletion, is empty or too long.
    #[error("the key has {bytes} bytes, 1 to {KEY_BYTES_MAX} are allowed")]
    Key {
        /// Its length.
        bytes: usize,
    },
    /// The value is longer than [`VALUE_BYTES_MAX`].
    #[error(
        "the value of {:?} has {bytes} bytes, {VALUE_BYTES_MAX} are allowed",
        String::from_utf8_lossy(key)
    )]
    ValueTooLarge {
        /// Whose value.
        key: Bytes,
        /// Its length.
        bytes: usize,
    },
    /// Keys and values of the transaction together are longer than [`TXN_BYTES_MAX`].
    #[error("the transaction has {bytes} bytes, {TXN_BYTES_MAX} are allowed")]
    TxnTooLarge {
        /// Their length.
        bytes: usize,
    },
    /// One branch puts this key twice, or puts it and deletes it.
    #[error("the transaction changes {:?} twice", String::from_utf8_lossy(key))]
    DuplicateKey {
        /// Which key.
        key: Bytes,
    },
    /// The revision has been forgotten.
    #[error("history before revision {at} is compacted")]
    Compacted {
        /// The oldest revision that can be read.
        at: Revision,
    },
    /// The revision has not come yet.
    #[error("revision {asked} lies after the newest, {now}")]
    FutureRevision {
        /// What was asked for.
        asked: Revision,
        /// The newest revision.
        now: Revision,
    },
    /// No such lease: it has ended or never was.
    #[error("lease {lease} is unknown")]
    LeaseUnknown {
        /// Which.
        lease: LeaseId,
    },
}

/// Why a watch ended.
#[derive(Debug, thiserror::Error)]
pub enum WatchError {
    /// What the watch has still to report has been forgotten: read everything anew and watch from there.
    #[error("history before revision {at} is compacted")]
    Compacted {
        /// The oldest revision that can be watched from.
        at: Revision,
    },
    /// The store does not answer, or was closed.
    #[error("the registry failed to report changes")]
    Unavailable {
        /// The cause.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}
