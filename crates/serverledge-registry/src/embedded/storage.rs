//! The storage of an embedded store: a file that only its owner may read, or memory.

use std::fs::{self, DirBuilder, File, OpenOptions, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use redb::backends::{FileBackend, InMemoryBackend};
use redb::{Builder, Database, StorageBackend};

use super::shared::{Storage, prepare};
use super::tables::{BOUND, FACTS, Facts, KEYS, LEASES, LOG, VERSIONS};
use crate::private_file::link;

/// Disk space that puts leave free, so that deletions, compaction and other programs still can write.
const DISK_RESERVE_BYTES: u64 = 16 * 1024 * 1024;
/// The tree's pages are copied when they change: a put costs about so many times its bytes until the old ones are free.
const DISK_AMPLIFICATION: u64 = 3;

/// The file `registry.redb` in a directory.
#[derive(Debug)]
pub(super) struct RegistryFile {
    dir: PathBuf,
    cache_bytes: usize,
}

/// Memory that outlives its database, so that reopening works as with a file.
#[derive(Debug, Clone, Default)]
pub(super) struct Memory(Arc<InMemoryBackend>);

// === impl RegistryFile ===

impl RegistryFile {
    /// The file in `dir`, which is created (0700) if need be.
    pub(super) fn new(dir: &Path, cache_bytes: usize) -> io::Result<Self> {
        DirBuilder::new().recursive(true).mode(0o700).create(dir)?;
        Ok(Self {
            dir: dir.to_owned(),
            cache_bytes,
        })
    }

    pub(super) fn path(dir: &Path) -> PathBuf {
        dir.join("registry.redb")
    }

    /// Makes a whole store under another name and then gives it its name: a crash leaves a store or none.
    fn create(&self, path: &Path) -> Result<(), redb::Error> {
        let draft = self
            .dir
            .join(format!("registry.redb.{}", std::process::id()));
        let made = self.fill(&draft).and_then(|()| Ok(link(&draft, path)?));
        let removed = fs::remove_file(&draft);
        made?;
        removed?;
        File::open(&self.dir)?.sync_all()?;
        Ok(())
    }

    fn fill(&self, draft: &Path) -> Result<(), redb::Error> {
        let file = private(draft, true)?;
        let database = builder(self.cache_bytes).create_with_backend(FileBackend::new(file)?)?;
        initialize(&database)?;
        database.close()?;
        Ok(())
    }
}

impl Storage for RegistryFile {
    fn open(&self) -> Result<Database, redb::Error> {
        let path = Self::path(&self.dir);
        if !path.try_exists()? {
            self.create(&path)?;
        }
        let file = private(&path, false)?;
        file.set_permissions(Permissions::from_mode(0o600))?;
        Ok(builder(self.cache_bytes).create_with_backend(FileBackend::new(file)?)?)
    }

    fn room_bytes(&self) -> Option<u64> {
        let disk = rustix::fs::statvfs(&self.dir).ok()?;
        let free = disk.f_bavail.saturating_mul(disk.f_frsize);
        Some(free.saturating_sub(DISK_RESERVE_BYTES) / DISK_AMPLIFICATION)
    }
}

/// Opens a file for its owner only.
fn private(path: &Path, empty: bool) -> io::Result<File> {
    OpenOptions::new()
        .read(true)
        .write(true)
        .create(empty)
        .truncate(empty)
        .mode(0o600)
        .open(path)
}

pub(super) fn builder(cache_bytes: usize) -> Builder {
    let mut builder = Builder::new();
    builder.set_cache_size(cache_bytes);
    builder
}

/// Writes the tables of an empty store. Its first revision is 1, as in etcd.
pub(super) fn initialize(database: &Database) -> Result<(), redb::Error> {
    let mut txn = database.begin_write()?;
    prepare(&mut txn)?;
    txn.open_table(KEYS)?;
    txn.open_table(VERSIONS)?;
    txn.open_table(LOG)?;
    txn.open_table(LEASES)?;
    txn.open_table(BOUND)?;
    let (cluster, _) = uuid::Uuid::now_v7().as_u64_pair();
    let (_, random) = uuid::Uuid::now_v7().as_u64_pair();
    Facts {
        cluster: cluster ^ random,
        revision: 1,
        ..Facts::default()
    }
    .write(&mut txn.open_table(FACTS)?)?;
    txn.commit()?;
    Ok(())
}

// === impl Memory ===

impl Storage for Memory {
    fn open(&self) -> Result<Database, redb::Error> {
        let fresh = self.0.len()? == 0;
        let database = builder(1024 * 1024).create_with_backend(self.clone())?;
        if fresh {
            initialize(&database)?;
        }
        Ok(database)
    }

    fn room_bytes(&self) -> Option<u64> {
        None
    }
}

impl StorageBackend for Memory {
    fn len(&self) -> io::Result<u64> {
        self.0.len()
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.0.read(offset, out)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.0.set_len(len)
    }

    fn sync_data(&self) -> io::Result<()> {
        Ok(())
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.0.write(offset, data)
    }
}
