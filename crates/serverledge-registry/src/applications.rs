//! Applications in the registry: their records, the names that lead to them, and the spaces that went with them.
//!
//! A space is deleted in one transaction: its functions, and with an application its record and its name. What lies under
//! other keys is swept later, for which a mark is left in the same transaction; as long as the mark is there no deploy
//! that began before brings a function back.

use std::sync::Arc;

use bytes::Bytes;
use serverledge_core::kv::{
    Compare, Event, KeyValue, Kv, KvError, Op, OpReply, RangeRequest, Revision, Txn,
};
use serverledge_core::{AppId, AppName, Application, SpaceId};
use serverledge_wire::records::{AppNameRecord, ApplicationRecord, DeletionRecord, Record};

use crate::follow::ChangeWatch;
use crate::functions::{FunctionStore, LoadError, Unreadable, read, sort_out};
use crate::state::Stores;
use crate::{keys, paging};

/// Records read at once: one with many endpoints has 100 KiB.
const PAGE: usize = 32;

/// The reason why an application was not changed.
#[derive(Debug, thiserror::Error)]
pub enum AppStoreError {
    /// The registry failed; if it is unavailable, the change may have happened all the same.
    #[error(transparent)]
    Kv(#[from] KvError),
    /// Another application has the name.
    #[error("an application named {0} exists")]
    NameTaken(AppName),
    /// Somebody changed or deleted it since it was read: read it again.
    #[error("the application was changed meanwhile")]
    Changed,
}

/// An application and when it was last changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeptApp {
    /// The application.
    pub application: Arc<Application>,
    /// The revision of its last change.
    pub revision: Revision,
}

/// All applications at one moment.
#[derive(Debug)]
pub struct LoadedApps {
    /// Those that could be read.
    pub applications: Vec<KeptApp>,
    /// Those that could not. They do not keep the others from being served.
    pub unreadable: Vec<Unreadable>,
    /// The moment; watch from the revision after it.
    pub revision: Revision,
}

/// A change of an application.
#[derive(Debug)]
pub enum AppChange {
    /// Made or changed.
    Kept(KeptApp),
    /// Deleted.
    Deleted {
        /// Its id.
        id: AppId,
        /// The deletion's revision.
        revision: Revision,
    },
    /// Something else was written under the applications' prefix.
    Unreadable(Unreadable),
}

/// The mark of a deleted space.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Deletion {
    /// The deleted space.
    pub space: SpaceId,
    /// The record of the mark.
    pub record: DeletionRecord,
}

/// Applications in the registry. Cloning is cheap.
#[derive(Debug, Clone)]
pub struct AppStore {
    kv: Arc<dyn Kv>,
}

// === impl AppStore ===

impl AppStore {
    /// The applications of this registry.
    #[must_use]
    pub fn new(kv: Arc<dyn Kv>) -> Self {
        Self { kv }
    }

    /// Keeps a new application, whose name must be free; returns the revision.
    ///
    /// # Errors
    /// `NameTaken`, or what the registry says.
    pub async fn create(&self, application: &Application) -> Result<Revision, AppStoreError> {
        let key = keys::app(&application.id);
        let name = keys::app_name(&application.name);
        let txn = Txn::new()
            .when(Compare::missing(name.clone()))
            .when(Compare::missing(key.clone()))
            .then(put(key, application))
            .then(Op::put(name, AppNameRecord::of(&application.id).to_value()));
        let reply = self.kv.txn(txn).await?;
        if reply.succeeded {
            return Ok(reply.revision);
        }
        // Ids are random: it is the name.
        Err(AppStoreError::NameTaken(application.name.clone()))
    }

    /// Replaces what was read by what it shall be; a new name in the same transaction. Id and space stay. Other dependencies
    /// give the space a new generation.
    ///
    /// # Errors
    /// `Changed` if the registry holds another revision by now, `NameTaken` if a new name is not free.
    pub async fn change(
        &self,
        seen: &KeptApp,
        new: &Application,
    ) -> Result<Revision, AppStoreError> {
        let old = &*seen.application;
        let key = keys::app(&seen.application.id);
        let mut txn = Txn::new()
            .when(Compare::mod_revision(key.clone(), seen.revision))
            .then(put(key.clone(), new))
            .otherwise(Op::get(key));
        if old.name != new.name {
            let name = keys::app_name(&new.name);
            txn = txn
                .when(Compare::missing(name.clone()))
                .then(Op::delete(keys::app_name(&old.name)))
                .then(Op::put(name, AppNameRecord::of(&new.id).to_value()));
        }
        if old.dependencies != new.dependencies {
            txn = FunctionStore::raise_generation(txn, &old.space);
        }
        let reply = self.kv.txn(txn).await?;
        if reply.succeeded {
            return Ok(reply.revision);
        }
        match reply.replies.first() {
            Some(OpReply::Got(Some(entry))) if entry.mod_revision == seen.revision => {
                Err(AppStoreError::NameTaken(new.name.clone()))
            }
            _ => Err(AppStoreError::Changed),
        }
    }

    /// Deletes what was read, with its name and all functions of its space; the name is free at once. Returns the revision.
    ///
    /// # Errors
    /// `Changed` if the registry holds another revision by now.
    pub async fn delete(
        &self,
        seen: &KeptApp,
        now_unix_ms: u64,
    ) -> Result<Revision, AppStoreError> {
        let (application, key) = (&*seen.application, keys::app(&seen.application.id));
        let txn = Txn::new()
            .when(Compare::mod_revision(key.clone(), seen.revision))
            .then(Op::delete(key))
            .then(Op::delete(keys::app_name(&application.name)));
        let reply = self
            .kv
            .txn(without_space(txn, &application.space, now_unix_ms))
            .await?;
        if reply.succeeded {
            Ok(reply.revision)
        } else {
            Err(AppStoreError::Changed)
        }
    }

    /// Deletes a space that belongs to no application, with all its functions; returns a revision at which they are gone.
    /// Done twice, it is done once.
    ///
    /// # Errors
    /// The registry's errors.
    pub async fn delete_space(
        &self,
        space: &SpaceId,
        now_unix_ms: u64,
    ) -> Result<Revision, KvError> {
        let txn = Txn::new().when(Compare::missing(keys::deletion(space)));
        Ok(self
            .kv
            .txn(without_space(txn, space, now_unix_ms))
            .await?
            .revision)
    }

    /// One application, as it is now.
    ///
    /// # Errors
    /// `Unreadable` if its value is no record that this program knows.
    pub async fn get(&self, id: &AppId) -> Result<Option<KeptApp>, LoadError> {
        let entry = self.kv.get(&keys::app(id)).await?;
        Ok(entry.map(|entry| decode(&entry)).transpose()?)
    }

    /// All applications, as of one revision.
    ///
    /// # Errors
    /// The registry's errors. Records that cannot be read are no error here: see [`LoadedApps::unreadable`].
    pub async fn load_all(&self) -> Result<LoadedApps, KvError> {
        let (entries, revision) =
            paging::read_all(&*self.kv, RangeRequest::prefix(keys::APPS).limit(PAGE)).await?;
        let (applications, unreadable) = sort_out(entries.iter().map(decode));
        Ok(LoadedApps {
            applications,
            unreadable,
            revision,
        })
    }

    /// Watches all applications; `from` as in [`Kv::watch`]: after [`Self::load_all`], the revision after its own.
    ///
    /// # Errors
    /// The registry's errors.
    pub async fn watch(&self, from: Option<Revision>) -> Result<ChangeWatch<AppChange>, KvError> {
        let watch = self.kv.watch(keys::APPS.as_bytes(), from).await?;
        Ok(ChangeWatch::new(vec![watch], |event| Some(change(event))))
    }

    /// The marks of deleted spaces. What is no mark is left out.
    ///
    /// # Errors
    /// The registry's errors.
    pub async fn deletions(&self) -> Result<Vec<Deletion>, KvError> {
        let (entries, _) =
            paging::read_all(&*self.kv, RangeRequest::prefix(keys::DELETIONS)).await?;
        let deletion = |entry: &KeyValue| {
            let record = DeletionRecord::from_value(&entry.value).ok()?;
            Some(Deletion {
                space: keys::parse_deletion(&entry.key)?,
                record,
            })
        };
        Ok(entries.iter().filter_map(deletion).collect())
    }

    /// Nothing is left of a deleted space; its mark says so from now on. The last keys that are found by its name go here.
    ///
    /// # Errors
    /// The registry's errors.
    pub async fn finish_deletion(&self, deletion: &Deletion) -> Result<(), KvError> {
        // Page by page: in one transaction as many entries as a space may have would hold up all other writes.
        Stores::new(self.kv.clone())
            .remove_space_entries(&deletion.space)
            .await?;
        let key = keys::deletion(&deletion.space);
        let swept = DeletionRecord {
            swept: true,
            ..deletion.record.clone()
        };
        let mut txn = Txn::new()
            .when(Compare::exists(key.clone()))
            .then(Op::put(key, swept.to_value()));
        for prefix in keys::all_of_space(&deletion.space) {
            txn = txn.then(Op::delete_prefix(prefix));
        }
        self.kv.txn(txn).await?;
        Ok(())
    }

    /// Forgets a deleted space altogether.
    ///
    /// # Errors
    /// The registry's errors.
    pub async fn forget_deletion(&self, space: &SpaceId) -> Result<(), KvError> {
        self.kv
            .txn(Txn::new().then(Op::delete(keys::deletion(space))))
            .await?;
        Ok(())
    }
}

/// The transaction, which deletes a space's functions as well and marks it.
fn without_space(txn: Txn, space: &SpaceId, now_unix_ms: u64) -> Txn {
    let mark = DeletionRecord::begun(now_unix_ms).to_value();
    let txn = txn
        .then(Op::put(keys::deletion(space), mark))
        .then(Op::delete_prefix(keys::functions_of(space)));
    FunctionStore::forget_generation(txn, space)
}

fn put(key: Bytes, application: &Application) -> Op {
    Op::put(
        key,
        ApplicationRecord::from_application(application).to_value(),
    )
}

fn decode(entry: &KeyValue) -> Result<KeptApp, Unreadable> {
    let unreadable = |source| Unreadable::new(&entry.key, source);
    let id = keys::parse_app(&entry.key).ok_or_else(|| unreadable(None))?;
    let record: ApplicationRecord = read(entry)?;
    let application = record
        .into_application(id)
        .map_err(|source| unreadable(Some(source)))?;
    Ok(KeptApp {
        application: Arc::new(application),
        revision: entry.mod_revision,
    })
}

fn change(event: &Event) -> AppChange {
    match event {
        Event::Put(entry) => decode(entry).map_or_else(AppChange::Unreadable, AppChange::Kept),
        Event::Delete { key, revision } => match keys::parse_app(key) {
            Some(id) => AppChange::Deleted {
                id,
                revision: *revision,
            },
            None => AppChange::Unreadable(Unreadable::new(key, None)),
        },
    }
}
