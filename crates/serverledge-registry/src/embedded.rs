//! The embedded store: [`Kv`] in one file, for a node without etcd.
//!
//! Reads see the last commit and run beside each other and beside the writer. Writes are queued (bounded), applied by
//! one thread, and answered after a commit that many of them share.

use std::path::{Path, PathBuf};
use std::sync::mpsc::Sender;
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::thread::JoinHandle;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use redb::{Database, ReadableDatabase, ReadableTable};
use serverledge_core::kv::{
    KeyValue, Kv, KvError, Lease, LeaseId, RangeReply, RangeRequest, Revision, Status, Txn,
    TxnReply, Watch,
};
use tokio::sync::{Semaphore, oneshot};

mod batch;
mod shared;
mod snapshot;
mod storage;
mod tables;
#[cfg(test)]
mod tests;
mod watch;
mod writer;

use shared::{Closed, SharedStore, Storage, unavailable};
use storage::{Memory, RegistryFile};
use tables::{FACTS, Facts, LEASES};
use watch::LogWatch;
use writer::{Queued, ReplyTo, Writer, WriterCommand};

/// Most writes that wait for the writer; more wait in their callers.
const QUEUE_MAX: usize = 1024;
/// Entries up to which a range with values is read on the caller's thread: well below a millisecond if they are small.
const INLINE_ENTRIES: usize = 16;

/// The options of an embedded store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// Memory for cached pages of the file. Small, since a node reads its functions once and then follows a watch.
    pub cache_bytes: usize,
    /// The most bytes the store may keep, history included; beyond it puts fail with `RegistryFull`, but for short ones
    /// in a transaction that leaves less than it found.
    pub bytes_max: u64,
    /// Revisions of history that are kept: how far a watch may fall behind, or a read look back.
    pub history_revisions: u64,
    /// Bytes that may be kept for history alone; beyond them the older half of it is forgotten.
    pub history_bytes_max: u64,
}

/// The reason why a store could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The directory is not there and cannot be made.
    #[error("failed to create the directory {}", path.display())]
    Directory {
        /// The directory.
        path: PathBuf,
        /// The cause.
        #[source]
        source: std::io::Error,
    },
    /// Another process, or another store in this one, has the file open.
    #[error("the registry {} is in use by another process", .0.display())]
    InUse(PathBuf),
    /// The file cannot be opened, or is no store of ours.
    #[error("failed to open the registry {}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// The cause.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The system gave no thread.
    #[error("failed to start the registry's writer")]
    Thread(#[source] std::io::Error),
}

/// An open embedded store. Dropping it closes it, see [`Embedded::close`].
#[derive(Debug)]
pub struct Embedded {
    shared: Arc<SharedStore>,
    queue: Sender<Queued>,
    places: Arc<Semaphore>,
    writer: Mutex<Option<JoinHandle<()>>>,
}

// === impl Options ===

impl Default for Options {
    fn default() -> Self {
        Self {
            cache_bytes: 4 * 1024 * 1024,
            bytes_max: 4 * 1024 * 1024 * 1024,
            history_revisions: 10_000,
            history_bytes_max: 64 * 1024 * 1024,
        }
    }
}

// === impl Embedded ===

impl Embedded {
    /// Opens the store in `dir`, or makes directory (0700) and file (0600). Blocks for file access; fast after a crash, too.
    ///
    /// # Errors
    /// [`OpenError`] names the file. `InUse` if any process has it open.
    pub fn open(dir: &Path, options: &Options) -> Result<Self, OpenError> {
        let file =
            RegistryFile::new(dir, options.cache_bytes).map_err(|source| OpenError::Directory {
                path: dir.to_owned(),
                source,
            })?;
        Self::on(Box::new(file), &RegistryFile::path(dir), options)
    }

    /// A store in memory, for tests: the same code, nothing kept.
    ///
    /// # Errors
    /// [`OpenError::Thread`].
    pub fn in_memory(options: &Options) -> Result<Self, OpenError> {
        Self::on(Box::new(Memory::default()), Path::new("memory"), options)
    }

    fn on(storage: Box<dyn Storage>, path: &Path, options: &Options) -> Result<Self, OpenError> {
        let database = storage.open().map_err(|error| open_error(path, error))?;
        let (facts, leases) = remembered(&database).map_err(|error| open_error(path, error))?;
        let shared = Arc::new(SharedStore::new(
            database,
            storage,
            facts.revision,
            options.bytes_max,
        ));
        let (queue, commands) = mpsc::channel();
        let writer = Writer::new(shared.clone(), commands, facts, &leases, options.clone());
        let thread = std::thread::Builder::new()
            .name("registry".to_owned())
            .spawn(move || writer.run());
        let writer = Mutex::new(Some(thread.map_err(OpenError::Thread)?));
        Ok(Self {
            shared,
            queue,
            places: Arc::new(Semaphore::new(QUEUE_MAX)),
            writer,
        })
    }

    /// Finishes what is queued and closes the file; later calls and running watches fail. Blocks for at most a few
    /// commits. Idempotent.
    pub fn close(&self) {
        let thread = self
            .writer
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        if let Some(thread) = thread {
            // If the writer is gone already, there is nothing to tell it.
            let _sent = self.queue.send(Queued {
                command: WriterCommand::Close,
                place: None,
            });
            if thread.join().is_err() {
                tracing::error!("the registry's writer panicked");
                self.shared.close();
            }
        }
    }

    /// Queues a command and waits for its answer. A dropped future may leave the command in the queue.
    async fn ask<T>(
        &self,
        command: impl FnOnce(ReplyTo<T>) -> WriterCommand,
    ) -> Result<T, KvError> {
        let place = self
            .places
            .clone()
            .acquire_owned()
            .await
            .map_err(|_| unavailable("write", Closed))?;
        let (reply, answer) = oneshot::channel();
        let queued = Queued {
            command: command(reply),
            place: Some(place),
        };
        self.queue
            .send(queued)
            .map_err(|_| unavailable("write", Closed))?;
        answer.await.map_err(|_| unavailable("write", Closed))?
    }
}

impl Drop for Embedded {
    fn drop(&mut self) {
        self.close();
    }
}

#[async_trait]
impl Kv for Embedded {
    async fn get(&self, key: &[u8]) -> Result<Option<KeyValue>, KvError> {
        self.shared.read(|snapshot| Ok(snapshot.get(key)?))
    }

    async fn range(&self, request: RangeRequest) -> Result<RangeReply, KvError> {
        if request.limit_effective() <= INLINE_ENTRIES {
            return self.shared.read(|snapshot| snapshot.range(&request));
        }
        let shared = self.shared.clone();
        off_thread(move || shared.read(|snapshot| snapshot.range(&request))).await
    }

    async fn txn(&self, txn: Txn) -> Result<TxnReply, KvError> {
        txn.check()?;
        self.ask(|reply| WriterCommand::Txn(txn, reply)).await
    }

    async fn watch(
        &self,
        prefix: &[u8],
        from: Option<Revision>,
    ) -> Result<Box<dyn Watch>, KvError> {
        let next = match from {
            Some(from) => from.get(),
            None => self
                .shared
                .read(|snapshot| Ok(snapshot.facts.revision + 1))?,
        };
        Ok(Box::new(LogWatch::new(
            self.shared.clone(),
            Bytes::copy_from_slice(prefix),
            next,
        )))
    }

    async fn compact(&self, at: Revision) -> Result<(), KvError> {
        self.ask(|reply| WriterCommand::Compact(at, reply)).await
    }

    async fn lease_grant(&self, ttl: Duration) -> Result<Lease, KvError> {
        self.ask(|reply| WriterCommand::Grant(ttl, reply)).await
    }

    async fn lease_keep_alive(&self, lease: LeaseId) -> Result<Duration, KvError> {
        self.ask(|reply| WriterCommand::KeepAlive(lease, reply))
            .await
    }

    async fn lease_revoke(&self, lease: LeaseId) -> Result<(), KvError> {
        self.ask(|reply| WriterCommand::Revoke(lease, reply)).await
    }

    async fn status(&self) -> Result<Status, KvError> {
        let facts = self.shared.read(|snapshot| Ok(snapshot.facts))?;
        Ok(Status {
            cluster: facts.cluster,
            revision: Revision::new(facts.revision),
            bytes_used: facts.bytes,
            bytes_in_use: facts.bytes,
            bytes_max: Some(self.shared.bytes_max),
        })
    }
}

/// Reads the state that the writer continues from: the numbers and the leases.
fn remembered(database: &Database) -> Result<(Facts, Vec<(LeaseId, Duration)>), redb::Error> {
    let txn = database.begin_read()?;
    let facts = Facts::read(&txn.open_table(FACTS)?)?;
    let mut leases = Vec::new();
    for row in txn.open_table(LEASES)?.iter()? {
        let (id, seconds) = row?;
        let id =
            LeaseId::new(id.value()).ok_or_else(|| tables::corrupted("a lease has number zero"))?;
        leases.push((id, Duration::from_secs(seconds.value())));
    }
    Ok((facts, leases))
}

fn open_error(path: &Path, error: redb::Error) -> OpenError {
    let path = path.to_owned();
    match error {
        redb::Error::DatabaseAlreadyOpen => OpenError::InUse(path),
        source => OpenError::File {
            path,
            source: Box::new(source),
        },
    }
}

/// Runs a read where it may block.
async fn off_thread<T: Send + 'static>(
    read: impl FnOnce() -> Result<T, KvError> + Send + 'static,
) -> Result<T, KvError> {
    tokio::task::spawn_blocking(read)
        .await
        .map_err(|error| unavailable("read", error))?
}
