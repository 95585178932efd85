//! Versions that are kept of a function: what its name was bound to before, so that it can be bound to it again.
//!
//! `versions/<space>/<name>/<revision>/<version>/<code>` holds the function's record as it was. Each version is there once,
//! and never the one that the name is bound to. All changes of a function compare the revision of its record, and nothing
//! else writes its versions: what was read with the record is what the transaction finds.

use std::collections::HashSet;
use std::sync::Arc;

use bytes::Bytes;
use serverledge_core::kv::{Compare, KeyValue, KvError, Op, OpReply, RangeRequest, Revision, Txn};
use serverledge_core::{Digest, Function, FunctionName, Isolation, SpaceId, Version};
use serverledge_wire::records::{FunctionRecord, Record, isolation_member};

use super::{
    ATTEMPTS_MAX, DeployError, Deployed, FunctionStore, LoadError, PAGE, Unreadable, decode,
    decode_value, read,
};
use crate::blobs::BlobError;
use crate::{keys, paging};

/// Versions kept of one function beside the one it is bound to: enough to go back over a bad week, and a bound for the code
/// that is stored.
pub const VERSIONS_MAX: usize = 10;

/// A function's versions.
#[derive(Debug, Clone)]
pub struct History {
    /// The version that the name is bound to.
    pub current: Deployed,
    /// The versions that it was bound to before, the newest first; [`Deployed::revision`] is the last change while it
    /// was bound.
    pub kept: Vec<Deployed>,
}

/// Flags to change; `None` leaves one as it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct FlagsChange {
    /// Whether equal parameters give an equal result.
    pub idempotent: Option<bool>,
    /// Whether the same is said of results that depend on hosts outside. Taken away with `idempotent`.
    pub keeps_outbound: Option<bool>,
    /// Whether callers may download and run the code.
    pub edge: Option<bool>,
    /// The lifetime of its instances.
    pub isolation: Option<Isolation>,
}

/// The reason why a function was not bound to another version, or its flags not changed; nothing was changed.
#[derive(Debug, thiserror::Error)]
pub enum ChangeError {
    /// The registry failed; if it is unavailable, the change may have happened all the same.
    #[error(transparent)]
    Kv(#[from] KvError),
    /// A record that is needed cannot be read.
    #[error(transparent)]
    Unreadable(#[from] Unreadable),
    /// The version's code cannot be read.
    #[error(transparent)]
    Code(#[from] BlobError),
    /// The version's code is not in the registry.
    #[error("the code {0} of this version is not in the registry")]
    CodeGone(Digest),
    /// No such function.
    #[error("function {0} is unknown")]
    Unknown(FunctionName),
    /// The version is not kept (any more).
    #[error("function {name} has no version {version}")]
    UnknownVersion {
        /// The function's name.
        name: FunctionName,
        /// The version.
        version: Digest,
    },
    /// Results that depend on hosts outside shall be kept, and the function is not idempotent.
    #[error("function {0} is not idempotent: none of its results is kept")]
    NotIdempotent(FunctionName),
    /// Others changed the function again and again meanwhile.
    #[error("function {0} is being changed by too many at once")]
    Contended(FunctionName),
}

impl FunctionStore {
    /// A function's versions; `None` if there is no such function. Kept ones that cannot be read are left out.
    ///
    /// # Errors
    /// `Unreadable` if the function's own record is.
    pub async fn versions(
        &self,
        space: &SpaceId,
        name: &FunctionName,
    ) -> Result<Option<History>, LoadError> {
        let Some(current) = self.get(space, name).await? else {
            return Ok(None);
        };
        let request = RangeRequest::prefix(keys::versions_of(space, name)).limit(PAGE);
        let (entries, _) = paging::read_all(&*self.kv, request).await?;
        let kept = entries
            .iter()
            .rev()
            .filter_map(|entry| decode_kept(entry).ok());
        // Between the two reads the name may have been bound anew.
        let kept = kept
            .filter(|one| one.function.version.digest != current.function.version.digest)
            .collect();
        Ok(Some(History { current, kept }))
    }

    /// The digests of all code that kept versions need.
    ///
    /// # Errors
    /// `Unreadable` if there is a key that this program does not know: then nothing is known to be unused.
    pub async fn code_of_versions(&self) -> Result<HashSet<Digest>, LoadError> {
        let (entries, _) =
            paging::read_all(&*self.kv, RangeRequest::prefix(keys::VERSIONS).keys_only()).await?;
        let code = |entry: &KeyValue| {
            keys::parse_version(&entry.key)
                .map(|kept| kept.4)
                .ok_or_else(|| Unreadable::new(&entry.key, None))
        };
        Ok(entries.iter().map(code).collect::<Result<_, _>>()?)
    }

    /// Binds a function to a version that is kept of it; the one it was bound to is kept in turn, with its flags. Returns the
    /// function as it is now. If it is bound to that version already, nothing changes.
    ///
    /// # Errors
    /// `UnknownVersion` if it is not kept.
    pub async fn roll_back(
        &self,
        space: &SpaceId,
        name: &FunctionName,
        version: &Digest,
        now_unix_ms: u64,
    ) -> Result<Deployed, ChangeError> {
        for _ in 0..ATTEMPTS_MAX {
            let bound = self.bound(space, name).await?;
            let current = decode(bound.entry(name)?)?;
            if current.function.version.digest == *version {
                return Ok(current);
            }
            let unknown = || ChangeError::UnknownVersion {
                name: name.clone(),
                version: *version,
            };
            let kept = bound
                .kept
                .iter()
                .find(|kept| kept.version == *version)
                .ok_or_else(unknown)?;
            // Gone only if somebody was faster, which the transaction would find out as well.
            let Some(entry) = self.kv.get(&kept.key).await? else {
                continue;
            };
            let again = decode_kept(&entry)?;
            let record = FunctionRecord {
                deployed_unix_ms: now_unix_ms,
                ..read(&entry)?
            };
            let code = again.function.version.code;
            let Some(blob) = self.blobs.present(&code).await? else {
                return Err(ChangeError::CodeGone(code));
            };
            let txn = blob.name_in(bound.rebind(&record, &again.function.version), now_unix_ms);
            let reply = self.kv.txn(txn).await?;
            if reply.succeeded {
                return Ok(Deployed {
                    revision: reply.revision,
                    created: current.created,
                    deployed_unix_ms: now_unix_ms,
                    ..again
                });
            }
        }
        Err(ChangeError::Contended(name.clone()))
    }

    /// Changes a function's flags; its version stays. Returns the function as it is now.
    ///
    /// # Errors
    /// `NotIdempotent` if the flags do not go together; else see [`ChangeError`].
    pub async fn set_flags(
        &self,
        space: &SpaceId,
        name: &FunctionName,
        flags: FlagsChange,
    ) -> Result<Deployed, ChangeError> {
        for _ in 0..ATTEMPTS_MAX {
            let bound = self.bound(space, name).await?;
            let mut entry = bound.entry(name)?.clone();
            let current = decode(&entry)?;
            let record: FunctionRecord = read(&entry)?;
            let idempotent = flags.idempotent.unwrap_or(record.idempotent);
            if flags.keeps_outbound == Some(true) && !idempotent {
                return Err(ChangeError::NotIdempotent(name.clone()));
            }
            let keeps_outbound = flags.keeps_outbound.unwrap_or(record.keeps_outbound);
            let record = FunctionRecord {
                idempotent,
                keeps_outbound: keeps_outbound && idempotent,
                edge: flags.edge.unwrap_or(record.edge),
                isolation: flags.isolation.map_or(record.isolation, isolation_member),
                ..record
            };
            let value = record.to_value();
            if value == entry.value {
                return Ok(current);
            }
            let reply = self
                .kv
                .txn(bound.rebind(&record, &current.function.version))
                .await?;
            if reply.succeeded {
                entry.value = value;
                entry.mod_revision = reply.revision;
                return Ok(decode(&entry)?);
            }
        }
        Err(ChangeError::Contended(name.clone()))
    }

    /// Changes what is said of a function beside its version, which must be that of what was read. Returns the revision.
    ///
    /// # Errors
    /// `Changed` if it was deployed anew, changed or deleted since it was read: read it again.
    pub async fn describe_read(
        &self,
        read: &Deployed,
        function: &Function,
    ) -> Result<Revision, DeployError> {
        let space = &read.function.space;
        let name = &read.function.name;
        let bound = self.bound(space, name).await?;
        let changed = || DeployError::Changed(name.clone());
        if bound.revision() != read.revision || read.function.version != function.version {
            return Err(changed());
        }
        let record = FunctionRecord {
            code_bytes: read.code_bytes,
            deployed_unix_ms: read.deployed_unix_ms,
            ..FunctionRecord::from_function(function)
        };
        let reply = self
            .kv
            .txn(bound.rebind(&record, &function.version))
            .await?;
        if reply.succeeded {
            Ok(reply.revision)
        } else {
            Err(changed())
        }
    }

    /// Reads the version that a name is bound to, and the versions that are kept of it.
    pub(super) async fn bound(
        &self,
        space: &SpaceId,
        name: &FunctionName,
    ) -> Result<BoundFunction, KvError> {
        // In this order: if something changes between the two reads, then the record as well.
        let entry = self.kv.get(&keys::function(space, name)).await?;
        let request = RangeRequest::prefix(keys::versions_of(space, name)).keys_only();
        let (keys, _) = paging::read_all(&*self.kv, request).await?;
        let kept = keys.into_iter().filter_map(|one| {
            let (.., version, _) = keys::parse_version(&one.key)?;
            Some(KeptVersion {
                key: one.key,
                version,
            })
        });
        Ok(BoundFunction {
            space: space.clone(),
            name: name.clone(),
            entry,
            kept: kept.collect(),
        })
    }
}

fn decode_kept(entry: &KeyValue) -> Result<Deployed, Unreadable> {
    let (space, name, bound, ..) =
        keys::parse_version(&entry.key).ok_or_else(|| Unreadable::new(&entry.key, None))?;
    decode_value(entry, space, name, bound)
}

/// See [`FunctionStore::bound`].
pub(super) struct BoundFunction {
    space: SpaceId,
    name: FunctionName,
    /// The function's record, if there is one.
    pub(super) entry: Option<KeyValue>,
    /// The oldest first.
    pub(super) kept: Vec<KeptVersion>,
}

pub(super) struct KeptVersion {
    pub(super) key: Bytes,
    version: Digest,
}

impl BoundFunction {
    /// The function's key.
    pub(super) fn key(&self) -> Bytes {
        keys::function(&self.space, &self.name)
    }

    /// The function; `None` also if its record cannot be read.
    pub(super) fn function(&self) -> Option<Arc<Function>> {
        Some(decode(self.entry.as_ref()?).ok()?.function)
    }

    fn entry(&self, name: &FunctionName) -> Result<&KeyValue, ChangeError> {
        self.entry
            .as_ref()
            .ok_or_else(|| ChangeError::Unknown(name.clone()))
    }

    /// Of the function's record; zero if there is none.
    pub(super) fn revision(&self) -> Revision {
        self.entry
            .as_ref()
            .map(|entry| entry.mod_revision)
            .unwrap_or_default()
    }

    /// Whether a transaction that failed and then read the function's record found it as it was here.
    pub(super) fn holds(&self, replies: Vec<OpReply>) -> bool {
        let found = replies.into_iter().next().and_then(OpReply::into_entry);
        found.map(|entry| entry.mod_revision).unwrap_or_default() == self.revision()
    }

    /// A transaction that binds the name anew if nobody has done so meanwhile: it keeps what the name is bound to now, unless
    /// that is the same version, and raises the space's generation.
    pub(super) fn rebind(&self, record: &FunctionRecord, version: &Version) -> Txn {
        let txn = Txn::new()
            .when(Compare::mod_revision(self.key(), self.revision()))
            .then(Op::put(self.key(), record.to_value()));
        let mut txn = FunctionStore::raise_generation(txn, &self.space);
        let leaves = self.leaves(version);
        if let Some((key, value)) = &leaves {
            txn = txn.then(Op::put(key.clone(), value.clone()));
        }
        let (again, others): (Vec<&KeptVersion>, Vec<&KeptVersion>) = self
            .kept
            .iter()
            .partition(|kept| kept.version == version.digest);
        let surplus = (others.len() + usize::from(leaves.is_some())).saturating_sub(VERSIONS_MAX);
        let gone = again.into_iter().chain(others.into_iter().take(surplus));
        gone.fold(txn, |txn, kept| txn.then(Op::delete(kept.key.clone())))
    }

    /// Key and value of what is kept of the present binding. A record that cannot be read cannot be bound to again.
    fn leaves(&self, successor: &Version) -> Option<(Bytes, Bytes)> {
        let entry = self.entry.as_ref()?;
        let function = decode(entry).ok()?.function;
        let version = &function.version;
        let key = keys::version(
            &self.space,
            &self.name,
            entry.mod_revision,
            &version.digest,
            &version.code,
        );
        (version.digest != successor.digest).then(|| (key, entry.value.clone()))
    }
}
