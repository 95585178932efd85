//! The state that readers, watches and the writer of one embedded store share: the open file and the newest revision.

use std::fmt;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard};

use redb::{Database, Durability, ReadableDatabase, WriteTransaction};
use serverledge_core::kv::KvError;
use tokio::sync::watch;

use super::snapshot::{ReadFault, StoreView};
use super::tables::{FACTS, Facts};

/// The storage of the data: opens it, again if need be, and knows the room that is left.
pub(super) trait Storage: Send + Sync + fmt::Debug {
    /// Opens or creates the database.
    fn open(&self) -> Result<Database, redb::Error>;

    /// Bytes that may still be written before the disk is full; `None`: unknown.
    fn room_bytes(&self) -> Option<u64>;
}

/// Shared by all parts of one store. The database is gone after a close, or while its disk fails.
#[derive(Debug)]
pub(super) struct SharedStore {
    database: RwLock<Option<Database>>,
    storage: Box<dyn Storage>,
    /// The newest revision; watches wait for it to grow. Closed together with the store.
    pub(super) revision: watch::Sender<u64>,
    /// The most bytes the store may keep.
    pub(super) bytes_max: u64,
}

/// There is nobody to ask.
#[derive(Debug, Clone, Copy, thiserror::Error)]
#[error("the store is closed, or its disk fails")]
pub(super) struct Closed;

// === impl SharedStore ===

impl SharedStore {
    pub(super) fn new(
        database: Database,
        storage: Box<dyn Storage>,
        revision: u64,
        bytes_max: u64,
    ) -> Self {
        let revision = watch::Sender::new(revision);
        Self {
            database: RwLock::new(Some(database)),
            storage,
            revision,
            bytes_max,
        }
    }

    /// Runs a read on the state of the last commit. Blocks for disk reads, never for the writer's commit.
    pub(super) fn read<T>(
        &self,
        read: impl FnOnce(&StoreView) -> Result<T, ReadFault>,
    ) -> Result<T, KvError> {
        self.try_read(read).map_err(|fault| match fault {
            ReadFault::Refused(error) => error,
            ReadFault::Storage(error) => unavailable("read", Arc::new(error)),
        })
    }

    fn try_read<T>(
        &self,
        read: impl FnOnce(&StoreView) -> Result<T, ReadFault>,
    ) -> Result<T, ReadFault> {
        let database = self.database();
        let database = database.as_ref().ok_or(redb::Error::DatabaseClosed)?;
        read(&StoreView::new(
            &database.begin_read().map_err(redb::Error::from)?,
        )?)
    }

    /// Runs a write and commits it durably if it says that something changed; its numbers are returned.
    pub(super) fn write(
        &self,
        write: impl FnOnce(&WriteTransaction) -> Result<(Facts, bool), redb::Error>,
    ) -> Result<Facts, redb::Error> {
        let database = self.database();
        let mut txn = database
            .as_ref()
            .ok_or(redb::Error::DatabaseClosed)?
            .begin_write()?;
        prepare(&mut txn)?;
        let (facts, changed) = write(&txn)?;
        if changed {
            txn.commit()?;
        } else {
            txn.abort()?;
        }
        Ok(facts)
    }

    /// Closes the file and opens it anew: after a failed write, the database accepts nothing else.
    pub(super) fn reopen(&self) -> Result<Facts, redb::Error> {
        let mut slot = self
            .database
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        drop(slot.take());
        let database = self.storage.open()?;
        let facts = Facts::read(&database.begin_read()?.open_table(FACTS)?)?;
        *slot = Some(database);
        Ok(facts)
    }

    /// Closes the file, after reads that are under way; wakes watches, which then end.
    pub(super) fn close(&self) {
        drop(
            self.database
                .write()
                .unwrap_or_else(PoisonError::into_inner)
                .take(),
        );
        self.revision.send_modify(|_| {});
    }

    pub(super) fn is_closed(&self) -> bool {
        self.database().is_none()
    }

    /// Bytes that puts may add, given what the store holds.
    pub(super) fn room_bytes(&self, used: u64) -> u64 {
        let quota = self.bytes_max.saturating_sub(used);
        self.storage
            .room_bytes()
            .map_or(quota, |disk| disk.min(quota))
    }

    fn database(&self) -> RwLockReadGuard<'_, Option<Database>> {
        self.database.read().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Every commit is on disk when it returns, and the file needs no repair after a crash.
pub(super) fn prepare(txn: &mut WriteTransaction) -> Result<(), redb::Error> {
    txn.set_durability(Durability::Immediate)?;
    txn.set_quick_repair(true);
    Ok(())
}

/// Is this the disk's or the quota's end?
pub(super) fn is_full(error: &redb::Error) -> bool {
    use std::io::ErrorKind::{FileTooLarge, QuotaExceeded, StorageFull};
    matches!(error, redb::Error::Io(error) if matches!(error.kind(), StorageFull | QuotaExceeded | FileTooLarge))
}

pub(super) fn unavailable(
    attempt: &'static str,
    source: impl std::error::Error + Send + Sync + 'static,
) -> KvError {
    KvError::Unavailable {
        attempt,
        source: Box::new(source),
    }
}
