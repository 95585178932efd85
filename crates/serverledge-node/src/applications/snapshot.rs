//! The applications this node knows: an in-memory snapshot that requests read without a lock and without the registry.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use arc_swap::ArcSwap;
use parking_lot::Mutex;
use serverledge_core::kv::Revision;
use serverledge_core::{AppId, Application, SpaceId, UserId};
use serverledge_registry::KeptApp;

/// All applications, indexed by id, name and space.
#[derive(Debug, Default, Clone)]
pub(super) struct AppTable {
    by_id: HashMap<AppId, KeptApp>,
    pub(super) by_name: HashMap<String, Arc<Application>>,
    by_space: HashMap<SpaceId, Arc<Application>>,
}

/// The applications that this node knows; see the module.
#[derive(Debug, Default)]
pub(crate) struct Applications {
    pub(super) table: ArcSwap<AppTable>,
    /// The deletions since the last full listing; the lock allows one change at a time. Ids are never used again.
    deleted: Mutex<HashMap<AppId, Revision>>,
}

impl Applications {
    /// The application of this name.
    pub(crate) fn by_name(&self, name: &str) -> Option<Arc<Application>> {
        self.table.load().by_name.get(name).cloned()
    }

    /// The applications of this owner (`None`: everybody's), by name.
    pub(crate) fn of(&self, owner: Option<&UserId>) -> Vec<Arc<Application>> {
        let table = self.table.load();
        let mut found: Vec<_> = table
            .by_name
            .values()
            .filter(|one| one.owner.as_ref() == owner)
            .cloned()
            .collect();
        found.sort_unstable_by(|a, b| a.name.cmp(&b.name));
        found
    }

    /// The application whose functions live in this space.
    pub(crate) fn by_space(&self, space: &SpaceId) -> Option<Arc<Application>> {
        self.table.load().by_space.get(space).cloned()
    }

    /// Takes over the records that are newer than the known ones.
    pub(crate) fn put(&self, records: impl IntoIterator<Item = KeptApp>) {
        let deleted = self.deleted.lock();
        let mut table = AppTable::clone(&self.table.load());
        for record in records {
            let known = table
                .by_id
                .get(&record.application.id)
                .map(|kept| kept.revision);
            if known.is_none_or(|known| known < record.revision)
                && !deleted.contains_key(&record.application.id)
            {
                table.put(record);
            }
        }
        self.table.store(Arc::new(table));
    }

    /// Forgets an application that was deleted at this revision.
    pub(crate) fn remove(&self, id: &AppId, revision: Revision) {
        let mut deleted = self.deleted.lock();
        deleted.insert(id.clone(), revision);
        let mut table = AppTable::clone(&self.table.load());
        table.take(id);
        self.table.store(Arc::new(table));
    }

    /// Makes the table equal to the registry's state at a revision, keeping later changes.
    pub(crate) fn resync(&self, records: Vec<KeptApp>, at: Revision) {
        let held: HashSet<&AppId> = records.iter().map(|kept| &kept.application.id).collect();
        let table = self.table.load_full();
        let gone = table
            .by_id
            .iter()
            .filter(|(id, kept)| kept.revision <= at && !held.contains(id));
        gone.for_each(|(id, _)| self.remove(id, at));
        self.put(records);
        // A deletion older than a full listing can no longer be undone by an older record.
        self.deleted.lock().retain(|_, revision| *revision > at);
    }
}

impl AppTable {
    fn put(&mut self, kept: KeptApp) {
        self.take(&kept.application.id);
        let application = &kept.application;
        self.by_space
            .insert(application.space.clone(), Arc::clone(application));
        self.by_name
            .insert(application.name.to_string(), Arc::clone(application));
        self.by_id.insert(application.id.clone(), kept);
    }

    /// Removes an application from the table. Its name may belong to another one by now, if changes of two are seen in
    /// the order of their keys.
    fn take(&mut self, id: &AppId) {
        let Some(KeptApp { application, .. }) = self.by_id.remove(id) else {
            return;
        };
        self.by_space.remove(&application.space);
        if self
            .by_name
            .get(application.name.as_str())
            .is_some_and(|one| one.id == *id)
        {
            self.by_name.remove(application.name.as_str());
        }
    }
}

#[cfg(test)]
mod tests {
    use serverledge_core::{AppName, Cors};

    use super::*;

    fn kept(id: &AppId, name: &str, revision: u64) -> KeptApp {
        let application = Application {
            id: id.clone(),
            name: AppName::parse(name).unwrap(),
            owner: None,
            space: SpaceId::parse(id.as_str()).unwrap(),
            endpoints: Vec::new(),
            dependencies: serverledge_core::Dependencies::default(),
            up: false,
            cors: Cors::Closed,
            hands_out_nested: true,
            own_origin: false,
            created_unix_ms: 0,
        };
        KeptApp {
            application: Arc::new(application),
            revision: Revision::new(revision),
        }
    }

    #[test]
    fn older_records_never_win() {
        let applications = Applications::default();
        let id = AppId::new();
        applications.put([kept(&id, "new", 5)]);
        applications.put([kept(&id, "old", 4)]);
        assert!(applications.by_name("old").is_none());
        assert_eq!(
            applications.by_name("new").map(|one| one.id.clone()),
            Some(id.clone())
        );
        applications.remove(&id, Revision::new(6));
        applications.put([kept(&id, "new", 5)]);
        assert!(applications.by_name("new").is_none() && applications.of(None).is_empty());
    }

    #[test]
    fn a_name_moves_between_applications() {
        let applications = Applications::default();
        let a = AppId::new();
        let b = AppId::new();
        applications.put([kept(&a, "x", 1), kept(&b, "y", 2)]);
        // `a` gives up its name and `b` takes it; `b` is heard of first.
        applications.put([kept(&b, "x", 4)]);
        applications.put([kept(&a, "z", 3)]);
        let id = |name: &str| applications.by_name(name).map(|one| one.id.clone());
        assert_eq!((id("x"), id("y"), id("z")), (Some(b), None, Some(a)));
        assert_eq!(applications.of(None).len(), 2);
        assert_eq!(applications.of(Some(&UserId::new())).len(), 0);
    }

    #[test]
    fn a_resync_drops_what_is_gone_and_keeps_what_is_newer() {
        let applications = Applications::default();
        let a = AppId::new();
        let b = AppId::new();
        applications.put([kept(&a, "a", 3), kept(&b, "b", 9)]);
        applications.resync(vec![], Revision::new(5));
        assert!(applications.by_name("a").is_none());
        let space = SpaceId::parse(b.as_str()).unwrap();
        assert_eq!(
            applications
                .by_space(&space)
                .map(|one| one.name.to_string()),
            Some("b".to_owned())
        );
        assert_eq!(applications.of(None).len(), 1);
    }
}
