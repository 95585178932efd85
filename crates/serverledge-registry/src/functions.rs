//! Deployed functions, as records in the registry; their code lies in blobs.

use std::sync::Arc;

use bytes::Bytes;
use serverledge_core::kv::{
    Compare, Event, KeyValue, Kv, KvError, Op, OpReply, RangeRequest, Revision, Txn, Watch, WatchError,
};
use serverledge_core::{Digest, Function, FunctionName, SpaceId};
use serverledge_wire::records::{FunctionRecord, Record, RecordError};

use crate::blobs::{BlobError, BlobStore};
use crate::version::code_digest;
use crate::{keys, paging};

/// Records read at once: some are as long as their environment, up to 200 KiB.
const PAGE: usize = 64;
/// How often a deploy is tried if the sweeper takes the code away meanwhile.
const ATTEMPTS_MAX: usize = 3;

/// Why a function was not deployed.
#[derive(Debug, thiserror::Error)]
pub enum DeployError {
    /// The registry failed; if it is unavailable, the function may be deployed all the same.
    #[error(transparent)]
    Kv(#[from] KvError),
    /// The code was not stored.
    #[error(transparent)]
    Code(#[from] BlobError),
    /// A function of this name exists.
    #[error("function {name} exists")]
    Exists {
        /// Its name.
        name: FunctionName,
    },
    /// The code is not that of the version.
    #[error("the code's digest is {found}, the version says {expected}")]
    Digest {
        /// The digest of the code.
        found: Digest,
        /// What the version says.
        expected: Digest,
    },
    /// The space was deleted.
    #[error("the space of function {name} is gone")]
    SpaceGone {
        /// Its name.
        name: FunctionName,
    },
}

/// Why a function was not read.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The registry failed.
    #[error(transparent)]
    Kv(#[from] KvError),
    /// There is a value, but it is no function.
    #[error(transparent)]
    Unreadable(#[from] Unreadable),
}

/// A registry value that is no record, for instance because a newer program wrote it.
#[derive(Debug, thiserror::Error)]
#[error("failed to read {key:?} from the registry")]
pub struct Unreadable {
    /// The value's key.
    pub key: String,
    /// The cause; `None` if the key itself is malformed.
    #[source]
    pub source: Option<RecordError>,
}

/// A function and when it was last deployed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Deployed {
    /// The function.
    pub function: Arc<Function>,
    /// The revision of its last deploy.
    pub revision: Revision,
}

/// All functions at one moment.
#[derive(Debug)]
pub struct Loaded {
    /// Those that could be read.
    pub functions: Vec<Deployed>,
    /// Those that could not. They do not keep the others from being served.
    pub unreadable: Vec<Unreadable>,
    /// The moment; watch from the revision after it.
    pub revision: Revision,
}

/// A change of a function.
#[derive(Debug)]
pub enum FunctionChange {
    /// Deployed, for the first time or anew.
    Deployed(Deployed),
    /// Deleted.
    Deleted {
        /// Its space.
        space: SpaceId,
        /// Its name.
        name: FunctionName,
        /// The deletion's revision.
        revision: Revision,
    },
    /// Something else was written under the functions' prefix.
    Unreadable(Unreadable),
}

/// Functions in the registry. Cloning is cheap.
#[derive(Debug, Clone)]
pub struct FunctionStore {
    kv: Arc<dyn Kv>,
    blobs: BlobStore,
}

/// A running watch over all functions. Dropping it ends it.
#[derive(Debug)]
pub struct FunctionWatch {
    watch: Box<dyn Watch>,
}

// === impl FunctionStore ===

impl FunctionStore {
    /// The functions of this registry.
    #[must_use]
    pub fn new(kv: Arc<dyn Kv>) -> Self {
        let blobs = BlobStore::new(kv.clone());
        Self { kv, blobs }
    }

    /// Where the code lies.
    #[must_use]
    pub fn blobs(&self) -> &BlobStore {
        &self.blobs
    }

    /// Deploys a function whose name is free; returns the revision.
    ///
    /// A dropped future may leave it deployed, or leave code that is swept later; never a function without code.
    ///
    /// # Errors
    /// `Exists` if the name is taken, `SpaceGone` if the space was deleted, `Digest` if the code is not the version's.
    pub async fn create(&self, function: &Function, code: &Bytes, now_unix_ms: u64) -> Result<Revision, DeployError> {
        let free = Txn::new().when(Compare::missing(keys::function(&function.space, &function.name)));
        self.deploy(&free, function, code, now_unix_ms).await
    }

    /// Deploys a function whether or not the name is taken; returns the revision. Otherwise like [`Self::create`].
    ///
    /// # Errors
    /// `Digest` if the code is not the version's, `SpaceGone` if the space was deleted.
    pub async fn replace(&self, function: &Function, code: &Bytes, now_unix_ms: u64) -> Result<Revision, DeployError> {
        self.deploy(&Txn::new(), function, code, now_unix_ms).await
    }

    async fn deploy(
        &self,
        condition: &Txn,
        function: &Function,
        code: &Bytes,
        now_unix_ms: u64,
    ) -> Result<Revision, DeployError> {
        let (found, expected) = (code_digest(code), function.version.code);
        if found != expected {
            return Err(DeployError::Digest { found, expected });
        }
        let key = keys::function(&function.space, &function.name);
        let record = FunctionRecord::from_function(function).to_value();
        for _ in 0..ATTEMPTS_MAX {
            let uploaded = self.blobs.upload(code, now_unix_ms).await?;
            let txn = uploaded.name_in(condition.clone(), now_unix_ms);
            let gone = keys::deletion(&function.space);
            let txn = txn.when(Compare::missing(gone.clone())).then(Op::put(key.clone(), record.clone()));
            let reply = self.kv.txn(txn.otherwise(Op::get(key.clone())).otherwise(Op::get(gone))).await?;
            if reply.succeeded {
                return Ok(reply.revision);
            }
            if matches!(reply.replies.as_slice(), [.., OpReply::Got(Some(_))]) {
                return Err(DeployError::SpaceGone { name: function.name.clone() });
            }
            let taken = matches!(reply.replies.as_slice(), [OpReply::Got(Some(_)), ..]);
            if taken && !condition.compares.is_empty() {
                return Err(DeployError::Exists { name: function.name.clone() });
            }
        }
        Err(BlobError::Contended { digest: expected }.into())
    }

    /// Deletes a function; says whether there was one. Its code is swept later.
    ///
    /// # Errors
    /// What the registry says.
    pub async fn delete(&self, space: &SpaceId, name: &FunctionName) -> Result<bool, KvError> {
        let reply = self.kv.txn(Txn::new().then(Op::delete(keys::function(space, name)))).await?;
        Ok(matches!(reply.replies.as_slice(), [OpReply::Deleted(1)]))
    }

    /// One function, `None` if there is none.
    ///
    /// # Errors
    /// `Unreadable` if its value is no record that this program knows.
    pub async fn get(&self, space: &SpaceId, name: &FunctionName) -> Result<Option<Deployed>, LoadError> {
        let entry = self.kv.get(&keys::function(space, name)).await?;
        Ok(entry.map(|entry| decode(&entry)).transpose()?)
    }

    /// The names of a space's functions, in their order. Reads no record.
    ///
    /// # Errors
    /// What the registry says.
    pub async fn list(&self, space: &SpaceId) -> Result<Vec<FunctionName>, KvError> {
        let request = RangeRequest::prefix(keys::functions_of(space)).keys_only();
        let (entries, _) = paging::read_all(&*self.kv, request).await?;
        Ok(entries.iter().filter_map(|entry| keys::parse_function(&entry.key)).map(|(_, name)| name).collect())
    }

    /// All functions of all spaces, as of one revision.
    ///
    /// # Errors
    /// What the registry says. Records that cannot be read are no error here: see [`Loaded::unreadable`].
    pub async fn load_all(&self) -> Result<Loaded, KvError> {
        let request = RangeRequest::prefix(keys::FUNCTIONS).limit(PAGE);
        let (entries, revision) = paging::read_all(&*self.kv, request).await?;
        let mut loaded = Loaded { functions: Vec::with_capacity(entries.len()), unreadable: Vec::new(), revision };
        for entry in &entries {
            match decode(entry) {
                Ok(deployed) => loaded.functions.push(deployed),
                Err(unreadable) => loaded.unreadable.push(unreadable),
            }
        }
        Ok(loaded)
    }

    /// Watches all functions; `from` as in [`Kv::watch`]: after [`Self::load_all`], the revision after its own.
    ///
    /// # Errors
    /// What the registry says.
    pub async fn watch(&self, from: Option<Revision>) -> Result<FunctionWatch, KvError> {
        Ok(FunctionWatch { watch: self.kv.watch(keys::FUNCTIONS.as_bytes(), from).await? })
    }
}

fn decode(entry: &KeyValue) -> Result<Deployed, Unreadable> {
    let unreadable = |source| Unreadable { key: String::from_utf8_lossy(&entry.key).into_owned(), source };
    let (space, name) = keys::parse_function(&entry.key).ok_or_else(|| unreadable(None))?;
    let record = FunctionRecord::from_value(&entry.value).map_err(|source| unreadable(Some(source)))?;
    let function = record.into_function(space, name).map_err(|source| unreadable(Some(source)))?;
    Ok(Deployed { function: Arc::new(function), revision: entry.mod_revision })
}

// === impl FunctionWatch ===

impl FunctionWatch {
    /// Waits for changes, in order, at least one. Dropping the future loses nothing. After an error the watch is over.
    ///
    /// # Errors
    /// `Compacted`: load everything anew.
    pub async fn next(&mut self) -> Result<Vec<FunctionChange>, WatchError> {
        Ok(self.watch.next().await?.iter().map(change).collect())
    }
}

fn change(event: &Event) -> FunctionChange {
    match event {
        Event::Put(entry) => match decode(entry) {
            Ok(deployed) => FunctionChange::Deployed(deployed),
            Err(unreadable) => FunctionChange::Unreadable(unreadable),
        },
        Event::Delete { key, revision } => match keys::parse_function(key) {
            Some((space, name)) => FunctionChange::Deleted { space, name, revision: *revision },
            None => {
                let key = String::from_utf8_lossy(key).into_owned();
                FunctionChange::Unreadable(Unreadable { key, source: None })
            }
        },
    }
}
