//! The functions this node knows: an in-memory snapshot that requests read without a lock and without the registry.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, OnceLock};

use arc_swap::ArcSwap;
use parking_lot::Mutex;
use serverledge_core::kv::{KvError, Revision};
use serverledge_core::{Digest, Function, FunctionName, SpaceId};
use serverledge_registry::{Deployed, FunctionStore};
use serverledge_scheduler::{Arrival, Demand, FunctionKey, PoolKey, Pooled};

use crate::executors::is_pooled;
use crate::metrics::{FunctionMetrics, Metrics};

/// Separates this use of BLAKE3 from all others.
const POOL_DOMAIN: &str = "serverledge 2026 sandbox pool 1";

/// A function and what the node keeps beside it.
#[derive(Debug)]
pub(crate) struct Entry {
    pub(crate) function: Arc<Function>,
    /// The registry's revision of the record; older ones never replace it.
    revision: Revision,
    metrics: OnceLock<FunctionMetrics>,
    /// Which pooled sandboxes it can run in; `None` if each call has its own.
    pub(crate) pooled: Option<Pooled>,
    /// What is learnt of how long it takes belongs to its version.
    pub(crate) key: FunctionKey,
}

impl Entry {
    fn new(function: Arc<Function>, revision: Revision) -> Self {
        let pooled = pooled(&function);
        let digest = function.version.digest;
        let key = digest
            .as_bytes()
            .first_chunk()
            .map_or(FunctionKey::NONE, |bytes| FunctionKey::new(u64::from_le_bytes(*bytes)));
        Self { function, revision, metrics: OnceLock::new(), pooled, key }
    }

    /// What a call of it asks the scheduler for.
    pub(crate) fn arrival(&self) -> Arrival {
        let limits = &self.function.version.limits;
        let demand = if self.pooled.is_some() { Demand::pooled_of(limits) } else { Demand::of(limits) };
        Arrival { demand, pool: self.pooled, function: self.key, ..Arrival::default() }
    }

    /// The function's metrics, made at its first invocation.
    pub(crate) fn metrics(&self, metrics: &Metrics) -> &FunctionMetrics {
        self.metrics.get_or_init(|| metrics.of_function(&label(&self.function)))
    }
}

/// What a function is called where those of all spaces stand together: its name alone in the default space.
pub(crate) fn label(function: &Function) -> String {
    if function.space.is_default() {
        function.name.to_string()
    } else {
        format!("{}/{}", function.space, function.name)
    }
}

/// The pooled sandboxes of a function: of this version, and of this owner's function alone, whoever else has equal code.
pub(crate) fn pooled(function: &Function) -> Option<Pooled> {
    if !is_pooled(function.version.runtime) {
        return None;
    }
    let mut hasher = blake3::Hasher::new_derive_key(POOL_DOMAIN);
    for part in [function.space.as_str(), function.name.as_str()] {
        hasher.update(&(part.len() as u64).to_le_bytes()).update(part.as_bytes());
    }
    hasher.update(function.version.digest.as_bytes());
    let key = PoolKey::new(Digest::new(*hasher.finalize().as_bytes()));
    Some(Pooled { key, concurrency: function.version.limits.max_concurrency })
}

/// What a resync took away.
#[derive(Debug, Default)]
pub(crate) struct Resynced {
    pub(crate) deleted: Vec<Arc<Function>>,
    pub(crate) replaced: Vec<Arc<Function>>,
}

/// The functions of each space. A change copies the list of spaces and one space's table, not all of them.
type Table = HashMap<SpaceId, Arc<HashMap<FunctionName, Arc<Entry>>>>;

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Functions {
    table: ArcSwap<Table>,
    /// One change at a time; remembers deletions, so that an older record does not bring a function back.
    changes: Mutex<HashMap<(SpaceId, FunctionName), Revision>>,
}

impl Functions {
    pub(crate) fn get(&self, space: &SpaceId, name: &str) -> Option<Arc<Entry>> {
        self.table.load().get(space)?.get(name).cloned()
    }

    /// Of all spaces.
    pub(crate) fn len(&self) -> usize {
        self.table.load().values().map(|functions| functions.len()).sum()
    }

    /// The names in a space, sorted.
    pub(crate) fn names(&self, space: &SpaceId) -> Vec<String> {
        let table = self.table.load();
        let mut names: Vec<String> =
            table.get(space).map(|functions| functions.keys().map(ToString::to_string).collect()).unwrap_or_default();
        names.sort_unstable();
        names
    }

    /// Of all spaces.
    pub(crate) fn entries(&self) -> Vec<Arc<Entry>> {
        self.table.load().values().flat_map(|functions| functions.values().cloned()).collect()
    }

    /// Of all spaces.
    pub(crate) fn all(&self) -> Vec<Arc<Function>> {
        self.entries().iter().map(|entry| Arc::clone(&entry.function)).collect()
    }

    /// Takes over records, where they are newer than what is known. Returns the functions that were replaced.
    pub(crate) fn put(&self, records: impl IntoIterator<Item = (Function, Revision)>) -> Vec<Arc<Function>> {
        let mut changes = self.changes.lock();
        let mut table = Table::clone(&self.table.load());
        let mut replaced = Vec::new();
        for (function, revision) in records {
            let key = (function.space.clone(), function.name.clone());
            let present = table.get(&key.0).and_then(|functions| functions.get(&key.1));
            let known = present.map(|entry| entry.revision).max(changes.get(&key).copied());
            if known.is_some_and(|known| known >= revision) {
                continue;
            }
            changes.remove(&key);
            let (space, name) = key;
            let entry = Entry::new(Arc::new(function), revision);
            let functions = Arc::make_mut(table.entry(space).or_default());
            if let Some(old) = functions.insert(name, Arc::new(entry)) {
                replaced.push(Arc::clone(&old.function));
            }
        }
        self.table.store(Arc::new(table));
        replaced
    }

    /// Forgets a function that was deleted at this revision.
    pub(crate) fn remove(&self, space: &SpaceId, name: &FunctionName, revision: Revision) -> Option<Arc<Function>> {
        let mut changes = self.changes.lock();
        let mut table = Table::clone(&self.table.load());
        let functions = Arc::make_mut(table.get_mut(space)?);
        if functions.get(name).is_some_and(|entry| entry.revision > revision) {
            return None;
        }
        let gone = functions.remove(name)?;
        if functions.is_empty() {
            table.remove(space);
        }
        changes.insert((space.clone(), name.clone()), revision);
        self.table.store(Arc::new(table));
        Some(Arc::clone(&gone.function))
    }

    /// Forgets a function that was just deleted by us, unless it was deployed anew meanwhile.
    pub(crate) fn remove_seen(&self, space: &SpaceId, name: &FunctionName) -> Option<Arc<Function>> {
        let seen = self.get(space, name.as_str())?;
        self.remove(space, name, seen.revision)
    }

    /// The entry of a pinned version: the current one where it is that version, else one of its own.
    pub(crate) fn entry_for(&self, function: &Arc<Function>) -> Arc<Entry> {
        let current = self
            .get(&function.space, function.name.as_str())
            .filter(|entry| entry.function.version == function.version);
        current.unwrap_or_else(|| Arc::new(Entry::new(Arc::clone(function), Revision::default())))
    }

    /// Reads all functions; returns what that took away, and the revision from which to watch.
    pub(crate) async fn load(&self, store: &FunctionStore) -> Result<(Resynced, Revision), KvError> {
        let loaded = store.load_all().await?;
        for unreadable in &loaded.unreadable {
            tracing::error!(key = unreadable.key, "a function's record cannot be read; it is left alone");
        }
        let own = loaded.functions.iter().map(owned).collect();
        Ok((self.resync(own, loaded.revision), loaded.revision.next()))
    }

    /// Makes the table equal to what the registry holds at a revision, keeping what was changed since. Returns what was
    /// deleted, and what was replaced.
    pub(crate) fn resync(&self, records: Vec<(Function, Revision)>, at: Revision) -> Resynced {
        let held: HashSet<(SpaceId, FunctionName)> =
            records.iter().map(|(function, _)| (function.space.clone(), function.name.clone())).collect();
        let known = self.all().into_iter().map(|function| (function.space.clone(), function.name.clone()));
        let gone: Vec<_> = known.filter(|key| !held.contains(key)).collect();
        let deleted = gone.iter().filter_map(|(space, name)| self.remove(space, name, at)).collect();
        let replaced = self.put(records);
        // Deletions older than a full listing can no longer be undone by an older record.
        self.changes.lock().retain(|_, revision| *revision > at);
        Resynced { deleted, replaced }
    }
}

/// What the table takes of a record.
pub(crate) fn owned(deployed: &Deployed) -> (Function, Revision) {
    (Function::clone(&deployed.function), deployed.revision)
}

#[cfg(test)]
pub(crate) mod tests {
    use serverledge_core::{Digest, Flags, FunctionLimits, Interface, Network, Runtime, Secrets, SpaceId, Version};

    use super::*;

    fn function(name: &str, digest: u8) -> Function {
        Function {
            space: SpaceId::default_space(),
            name: FunctionName::parse(name).unwrap(),
            version: Arc::new(Version {
                digest: Digest::new([digest; 32]),
                runtime: Runtime::Wasm,
                code: Digest::new([digest; 32]),
                handler: String::new(),
                env: std::collections::BTreeMap::new(),
                secrets: Secrets::default(),
                network: Network::None,
                image: String::new(),
                limits: FunctionLimits::default(),
            }),
            interface: Interface::Json,
            flags: Flags::default(),
            signature: None,
        }
    }

    /// Any function of this name.
    pub(crate) fn named(name: &str) -> Function {
        function(name, 1)
    }

    fn digest(functions: &Functions) -> Option<Digest> {
        functions.get(&SpaceId::default_space(), "f").map(|entry| entry.function.version.digest)
    }

    #[test]
    fn older_records_never_win() {
        let functions = Functions::default();
        functions.put([(function("f", 2), Revision::new(5))]);
        functions.put([(function("f", 1), Revision::new(4))]);
        assert_eq!(digest(&functions), Some(Digest::new([2; 32])));
        let name = FunctionName::parse("f").unwrap();
        assert!(functions.remove(&SpaceId::default_space(), &name, Revision::new(4)).is_none());
        assert!(functions.remove(&SpaceId::default_space(), &name, Revision::new(6)).is_some());
        functions.put([(function("f", 2), Revision::new(5))]);
        assert_eq!(digest(&functions), None);
        functions.put([(function("f", 3), Revision::new(7))]);
        assert_eq!(digest(&functions), Some(Digest::new([3; 32])));
    }

    #[test]
    fn a_resync_drops_what_is_gone_and_keeps_what_is_newer() {
        let functions = Functions::default();
        functions.put([(function("f", 1), Revision::new(3)), (function("g", 1), Revision::new(9))]);
        let resynced = functions.resync(vec![], Revision::new(5));
        assert_eq!(functions.names(&SpaceId::default_space()), ["g"]);
        assert_eq!((resynced.deleted.len(), resynced.replaced.len()), (1, 0));
        let resynced = functions.resync(vec![(function("g", 2), Revision::new(12))], Revision::new(12));
        assert_eq!((resynced.deleted.len(), resynced.replaced.len()), (0, 1));
    }

    #[test]
    fn spaces_have_names_of_their_own() {
        let (functions, name, other) = (Functions::default(), FunctionName::parse("f").unwrap(), SpaceId::new());
        let elsewhere = Function { space: other.clone(), ..function("f", 2) };
        functions.put([(function("f", 1), Revision::new(3)), (elsewhere, Revision::new(4))]);
        assert_eq!(functions.len(), 2);
        assert_ne!(
            functions.get(&other, "f").map(|entry| entry.key),
            functions.get(&SpaceId::default_space(), "f").map(|entry| entry.key)
        );
        assert!(functions.remove(&other, &name, Revision::new(5)).is_some());
        assert_eq!((functions.names(&other).len(), digest(&functions)), (0, Some(Digest::new([1; 32]))));
        assert!(functions.get(&SpaceId::new(), "f").is_none());
    }
}
