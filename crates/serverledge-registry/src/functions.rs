//! Deployed functions, as records in the registry; their code lies in blobs.
//!
//! Every transaction that changes a function, or anything else on which results of its space depend, puts the space's
//! generation key as well, unconditionally, so that changes of different functions never contend; the generation is the
//! revision of that key. Functions and generations have one watch, which gives whole revisions in their order: whoever
//! follows it holds, at each generation, exactly the functions that there were then.

use std::sync::Arc;

use bytes::Bytes;
use serverledge_core::kv::{
    Compare, Event, KeyValue, Kv, KvError, Op, OpReply, RangeRequest, Revision, Txn,
};
use serverledge_core::{Digest, Function, FunctionName, SpaceId};
use serverledge_wire::records::{FunctionRecord, Record, RecordError};

use crate::blobs::{BlobError, BlobStore};
use crate::follow::ChangeWatch;
use crate::version::code_digest;
use crate::{keys, paging};

mod moves;
mod versions;

pub use moves::MoveError;
pub use versions::{ChangeError, FlagsChange, History, VERSIONS_MAX};

/// Records read at once: some are as long as their environment, up to 200 KiB.
const PAGE: usize = 64;
/// Most attempts at a deploy if the sweeper takes the code away meanwhile.
const SWEPT_MAX: usize = 3;
/// Most attempts at a change if others change the same function meanwhile; each time one of them has succeeded.
const ATTEMPTS_MAX: usize = 64;

/// The reason why a function was not deployed.
#[derive(Debug, thiserror::Error)]
pub enum DeployError {
    /// The registry failed; if it is unavailable, the function may be deployed all the same.
    #[error(transparent)]
    Kv(#[from] KvError),
    /// The code was not stored.
    #[error(transparent)]
    Code(#[from] BlobError),
    /// A function of this name exists.
    #[error("function {0} exists")]
    Exists(FunctionName),
    /// Others changed the function again and again meanwhile.
    #[error("function {0} is being changed by too many at once")]
    Contended(FunctionName),
    /// It is not (any more) as it was when it was read.
    #[error("function {0} was changed or deleted meanwhile")]
    Changed(FunctionName),
    /// The code is not that of the version.
    #[error("the code's digest is {found}, the version says {expected}")]
    Digest {
        /// The digest of the code.
        found: Digest,
        /// The digest that the version names.
        expected: Digest,
    },
    /// The space was deleted.
    #[error("the space of function {0} is gone")]
    SpaceGone(FunctionName),
}

/// The reason why a record was not read.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The registry failed.
    #[error(transparent)]
    Kv(#[from] KvError),
    /// There is a value, but it is no record of its kind.
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

impl Unreadable {
    pub(crate) fn new(key: &[u8], source: Option<RecordError>) -> Self {
        Self {
            key: String::from_utf8_lossy(key).into_owned(),
            source,
        }
    }
}

/// A deploy that took place.
#[derive(Debug, Clone)]
pub struct Replaced {
    /// The revision of the deploy.
    pub revision: Revision,
    /// The function that the name was bound to until then; `None` also where its record cannot be read.
    pub before: Option<Arc<Function>>,
}

/// A function and when it was last changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Deployed {
    /// The function.
    pub function: Arc<Function>,
    /// The revision of its last change: a deploy, a roll-back, other flags.
    pub revision: Revision,
    /// The revision since which the name was bound without a break: what it was bound to before that was deleted. The least
    /// revision where that is not known, and of kept versions.
    pub created: Revision,
    /// Length of its code in bytes; 0 if that was not noted.
    pub code_bytes: u64,
    /// Time at which the name was bound to this version, in Unix milliseconds; 0 if that was not noted.
    pub deployed_unix_ms: u64,
}

/// All functions at one moment.
#[derive(Debug)]
pub struct Loaded {
    /// Those that could be read.
    pub functions: Vec<Deployed>,
    /// Those that could not. They do not keep the others from being served.
    pub unreadable: Vec<Unreadable>,
    /// The generation of each space that has one.
    pub generations: Vec<(SpaceId, Revision)>,
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
    /// A space has a new generation. Comes with each change of its functions, and alone where something else changed on
    /// which results depend.
    Generation {
        /// The space.
        space: SpaceId,
        /// Its generation.
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

/// The state of the name that a deploy expects.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Expected {
    Nothing,
    Anything,
    /// A record that was last changed at this revision.
    At(Revision),
}

// === impl FunctionStore ===

impl FunctionStore {
    /// The functions of this registry.
    #[must_use]
    pub fn new(kv: Arc<dyn Kv>) -> Self {
        let blobs = BlobStore::new(kv.clone());
        Self { kv, blobs }
    }

    /// The blobs that hold the code.
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
    pub async fn create(
        &self,
        function: &Function,
        code: &Bytes,
        now_unix_ms: u64,
    ) -> Result<Revision, DeployError> {
        Ok(self
            .deploy(Expected::Nothing, function, code, now_unix_ms)
            .await?
            .revision)
    }

    /// Deploys a function whether or not the name is taken. Another version that the name was bound to is kept, of all that
    /// are kept the newest [`VERSIONS_MAX`]. Otherwise like [`Self::create`].
    ///
    /// # Errors
    /// `Digest` if the code is not the version's, `SpaceGone` if the space was deleted, `Contended` if too many
    /// deploy the same name at once.
    pub async fn replace(
        &self,
        function: &Function,
        code: &Bytes,
        now_unix_ms: u64,
    ) -> Result<Replaced, DeployError> {
        self.deploy(Expected::Anything, function, code, now_unix_ms)
            .await
    }

    /// Deploys a function in place of what was read at this revision ([`Deployed::revision`]), and of nothing else. Otherwise
    /// like [`Self::replace`].
    ///
    /// # Errors
    /// `Changed` if it was deployed anew, changed or deleted since: read it again. Else as [`Self::replace`], but never
    /// `Contended`.
    pub async fn replace_read(
        &self,
        read: Revision,
        function: &Function,
        code: &Bytes,
        now_unix_ms: u64,
    ) -> Result<Revision, DeployError> {
        Ok(self
            .deploy(Expected::At(read), function, code, now_unix_ms)
            .await?
            .revision)
    }

    async fn deploy(
        &self,
        expected: Expected,
        function: &Function,
        code: &Bytes,
        now_unix_ms: u64,
    ) -> Result<Replaced, DeployError> {
        let found = code_digest(code);
        let said = function.version.code;
        if found != said {
            return Err(DeployError::Digest {
                found,
                expected: said,
            });
        }
        let record = FunctionRecord {
            code_bytes: code.len() as u64,
            deployed_unix_ms: now_unix_ms,
            ..FunctionRecord::from_function(function)
        };
        let mut swept = 0;
        for _ in 0..ATTEMPTS_MAX {
            let bound = self.bound(&function.space, &function.name).await?;
            match expected {
                Expected::Nothing if bound.entry.is_some() => {
                    return Err(DeployError::Exists(function.name.clone()));
                }
                Expected::At(read) if bound.revision() != read => {
                    return Err(DeployError::Changed(function.name.clone()));
                }
                _ => {}
            }
            let uploaded = self.blobs.upload(code, now_unix_ms).await?;
            let gone = keys::deletion(&function.space);
            let txn = uploaded.name_in(bound.rebind(&record, &function.version), now_unix_ms);
            let txn = txn.when(Compare::missing(gone.clone()));
            let reply = self
                .kv
                .txn(txn.otherwise(Op::get(bound.key())).otherwise(Op::get(gone)))
                .await?;
            if reply.succeeded {
                return Ok(Replaced {
                    revision: reply.revision,
                    before: bound.function(),
                });
            }
            if matches!(reply.replies.as_slice(), [.., OpReply::Got(Some(_))]) {
                return Err(DeployError::SpaceGone(function.name.clone()));
            }
            swept += usize::from(bound.holds(reply.replies));
            if swept >= SWEPT_MAX {
                return Err(BlobError::Contended(said).into());
            }
        }
        Err(DeployError::Contended(function.name.clone()))
    }

    /// Deletes a function and the versions that were kept of it; returns the deletion's revision, `None` if there was no
    /// such function. Its code is swept later.
    ///
    /// # Errors
    /// The registry's errors.
    pub async fn delete(
        &self,
        space: &SpaceId,
        name: &FunctionName,
    ) -> Result<Option<Revision>, KvError> {
        let key = keys::function(space, name);
        let txn = Txn::new()
            .when(Compare::exists(key.clone()))
            .then(Op::delete(key))
            .then(Op::delete_prefix(keys::versions_of(space, name)));
        let reply = self.kv.txn(Self::raise_generation(txn, space)).await?;
        Ok(reply.succeeded.then_some(reply.revision))
    }

    /// Adds to a transaction that it changes something on which results of the space's functions depend: what was cached of
    /// runs that made calls is void. To be added once; it never makes a transaction fail.
    #[must_use]
    pub fn raise_generation(txn: Txn, space: &SpaceId) -> Txn {
        txn.then(Op::put(keys::generation(space), Bytes::new()))
    }

    /// Adds to a transaction that the space has ended: no generation is kept of it. Its id never comes back.
    #[must_use]
    pub fn forget_generation(txn: Txn, space: &SpaceId) -> Txn {
        txn.then(Op::delete(keys::generation(space)))
    }

    /// One function, `None` if there is none.
    ///
    /// # Errors
    /// `Unreadable` if its value is no record that this program knows.
    pub async fn get(
        &self,
        space: &SpaceId,
        name: &FunctionName,
    ) -> Result<Option<Deployed>, LoadError> {
        let entry = self.kv.get(&keys::function(space, name)).await?;
        Ok(entry.map(|entry| decode(&entry)).transpose()?)
    }

    /// The names of a space's functions, in their order. Reads no record.
    ///
    /// # Errors
    /// The registry's errors.
    pub async fn list(&self, space: &SpaceId) -> Result<Vec<FunctionName>, KvError> {
        let request = RangeRequest::prefix(keys::functions_of(space)).keys_only();
        let (entries, _) = paging::read_all(&*self.kv, request).await?;
        Ok(entries
            .iter()
            .filter_map(|entry| keys::parse_function(&entry.key))
            .map(|(_, name)| name)
            .collect())
    }

    /// All functions of all spaces, as of one revision.
    ///
    /// # Errors
    /// The registry's errors. Records that cannot be read are no error here: see [`Loaded::unreadable`].
    pub async fn load_all(&self) -> Result<Loaded, KvError> {
        let request = RangeRequest::prefix(keys::FUNCTIONS).limit(PAGE);
        let (entries, revision) = paging::read_all(&*self.kv, request).await?;
        let request = RangeRequest::prefix(keys::GENERATIONS)
            .keys_only()
            .at(revision);
        let (generations, _) = paging::read_all(&*self.kv, request).await?;
        let generations = generations
            .iter()
            .filter_map(|one| Some((keys::parse_generation(&one.key)?, one.mod_revision)));
        let (functions, unreadable) = sort_out(entries.iter().map(decode));
        Ok(Loaded {
            functions,
            unreadable,
            generations: generations.collect(),
            revision,
        })
    }

    /// Watches all functions and generations; `from` as in [`Kv::watch`]: after [`Self::load_all`], the revision after its own.
    ///
    /// # Errors
    /// The registry's errors.
    pub async fn watch(
        &self,
        from: Option<Revision>,
    ) -> Result<ChangeWatch<FunctionChange>, KvError> {
        let watch = self
            .kv
            .watch(keys::FUNCTIONS_AND_GENERATIONS.as_bytes(), from)
            .await?;
        Ok(ChangeWatch::new(vec![watch], change))
    }
}

fn decode(entry: &KeyValue) -> Result<Deployed, Unreadable> {
    let (space, name) =
        keys::parse_function(&entry.key).ok_or_else(|| Unreadable::new(&entry.key, None))?;
    let deployed = decode_value(entry, space, name, entry.mod_revision)?;
    Ok(Deployed {
        created: entry.create_revision,
        ..deployed
    })
}

/// The function in the value of an entry that says when it was bound.
fn decode_value(
    entry: &KeyValue,
    space: SpaceId,
    name: FunctionName,
    revision: Revision,
) -> Result<Deployed, Unreadable> {
    let record: FunctionRecord = read(entry)?;
    let code_bytes = record.code_bytes;
    let deployed_unix_ms = record.deployed_unix_ms;
    let function = Arc::new(
        record
            .into_function(space, name)
            .map_err(|source| Unreadable::new(&entry.key, Some(source)))?,
    );
    Ok(Deployed {
        function,
        revision,
        created: Revision::default(),
        code_bytes,
        deployed_unix_ms,
    })
}

/// The record in the value of an entry.
pub(crate) fn read<R: Record>(entry: &KeyValue) -> Result<R, Unreadable> {
    R::from_value(&entry.value).map_err(|source| Unreadable::new(&entry.key, Some(source)))
}

/// Tells what could be read from what could not.
pub(crate) fn sort_out<T>(
    read: impl Iterator<Item = Result<T, Unreadable>>,
) -> (Vec<T>, Vec<Unreadable>) {
    let mut good = Vec::new();
    let mut bad = Vec::new();
    for one in read {
        match one {
            Ok(one) => good.push(one),
            Err(unreadable) => bad.push(unreadable),
        }
    }
    (good, bad)
}

/// `None` if it is nothing to anybody: the generation of a space that has ended.
fn change(event: &Event) -> Option<FunctionChange> {
    let is_generation = |key: &[u8]| key.starts_with(keys::GENERATIONS.as_bytes());
    Some(match event {
        Event::Put(entry) if is_generation(&entry.key) => {
            match keys::parse_generation(&entry.key) {
                Some(space) => FunctionChange::Generation {
                    space,
                    revision: entry.mod_revision,
                },
                None => FunctionChange::Unreadable(Unreadable::new(&entry.key, None)),
            }
        }
        Event::Put(entry) => match decode(entry) {
            Ok(deployed) => FunctionChange::Deployed(deployed),
            Err(unreadable) => FunctionChange::Unreadable(unreadable),
        },
        Event::Delete { key, .. } if is_generation(key) => return None,
        Event::Delete { key, revision } => match keys::parse_function(key) {
            Some((space, name)) => FunctionChange::Deleted {
                space,
                name,
                revision: *revision,
            },
            None => FunctionChange::Unreadable(Unreadable::new(key, None)),
        },
    })
}
