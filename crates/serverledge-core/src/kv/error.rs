//! Errors of the store.

use bytes::Bytes;

use super::{KEY_BYTES_MAX, LeaseId, Revision, TXN_BYTES_MAX, TXN_OPS_MAX, VALUE_BYTES_MAX};

/// The reason why the store did not do an operation.
#[derive(Debug, thiserror::Error)]
pub enum KvError {
    /// The store does not answer or its disk fails. Whether a write was applied is unknown.
    #[error("the registry failed to {attempt}")]
    Unavailable {
        /// The operation that failed; follows "failed to".
        attempt: &'static str,
        /// The cause.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The disk, or the store's quota, is full. Nothing was written; reads and watches go on.
    #[error("the registry is full")]
    RegistryFull,
    /// A list of the transaction has more than [`TXN_OPS_MAX`] members.
    #[error("the transaction has {0} operations, {TXN_OPS_MAX} are allowed")]
    TooManyOps(usize),
    /// The key, or the prefix of a deletion, is empty or too long.
    #[error("the key has {0} bytes, 1 to {KEY_BYTES_MAX} are allowed")]
    Key(usize),
    /// The value is longer than [`VALUE_BYTES_MAX`].
    #[error(
        "the value of {:?} has {bytes} bytes, {VALUE_BYTES_MAX} are allowed",
        String::from_utf8_lossy(key)
    )]
    ValueTooLarge {
        /// The key of the value.
        key: Bytes,
        /// Its length.
        bytes: usize,
    },
    /// Keys and values of the transaction together are longer than [`TXN_BYTES_MAX`].
    #[error("the transaction has {0} bytes, {TXN_BYTES_MAX} are allowed")]
    TxnTooLarge(usize),
    /// One branch puts this key twice, or puts it and deletes it.
    #[error("the transaction changes {:?} twice", String::from_utf8_lossy(.0))]
    DuplicateKey(Bytes),
    /// The revision has been forgotten; this is the oldest that can be read.
    #[error("history before revision {0} is compacted")]
    Compacted(Revision),
    /// The revision has not come yet.
    #[error("revision {asked} lies after the newest, {now}")]
    FutureRevision {
        /// The requested revision.
        asked: Revision,
        /// The newest revision.
        now: Revision,
    },
    /// No such lease: it has ended or never was.
    #[error("lease {0} is unknown")]
    LeaseUnknown(LeaseId),
}

/// The reason why a watch ended.
#[derive(Debug, thiserror::Error)]
pub enum WatchError {
    /// The revisions that the watch has still to report are forgotten: read everything anew and watch from there. This is
    /// the oldest revision that can be watched from.
    #[error("history before revision {0} is compacted")]
    Compacted(Revision),
    /// The store does not answer, or was closed; with the cause.
    #[error("the registry failed to report changes")]
    Unavailable(#[source] Box<dyn std::error::Error + Send + Sync>),
}
