//! The functions this node knows: an in-memory snapshot that requests read without a lock and without the registry.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, OnceLock};

use arc_swap::ArcSwap;
use parking_lot::Mutex;
use serverledge_core::kv::{KvError, Revision};
use serverledge_core::{Digest, Function, FunctionName, SpaceId};
use serverledge_registry::{Deployed, FunctionChange, FunctionStore, Loaded};
use serverledge_scheduler::{Arrival, Demand, FunctionKey, PoolKey, Pooled};

use crate::executors::is_pooled;
use crate::metrics::{FunctionMetrics, Metrics};

use self::generation::{Generation, LocalNumbers};

mod generation;

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
    /// Length of the code; 0 where the record does not say it.
    pub(crate) code_bytes: u64,
}

impl Entry {
    fn new(
        Known {
            function,
            revision,
            code_bytes,
        }: Known,
    ) -> Self {
        let pooled = pooled(&function);
        let digest = function.version.digest;
        let key = digest
            .as_bytes()
            .first_chunk()
            .map_or(FunctionKey::NONE, |bytes| {
                FunctionKey::new(u64::from_le_bytes(*bytes))
            });
        Self {
            function,
            revision,
            metrics: OnceLock::new(),
            pooled,
            key,
            code_bytes,
        }
    }

    /// What a call of it asks the scheduler for.
    pub(crate) fn arrival(&self) -> Arrival {
        let limits = &self.function.version.limits;
        let demand = if self.pooled.is_some() {
            Demand::pooled_of(limits)
        } else {
            Demand::of(limits)
        };
        Arrival {
            demand,
            pool: self.pooled,
            function: self.key,
            ..Arrival::default()
        }
    }

    /// The function's metrics, made at its first invocation.
    pub(crate) fn metrics(&self, metrics: &Metrics) -> &FunctionMetrics {
        self.metrics
            .get_or_init(|| metrics.of_function(&label(&self.function)))
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
        hasher
            .update(&(part.len() as u64).to_le_bytes())
            .update(part.as_bytes());
    }
    hasher.update(function.version.digest.as_bytes());
    let key = PoolKey::new(Digest::new(*hasher.finalize().as_bytes()));
    Some(Pooled {
        key,
        concurrency: function.version.limits.max_concurrency,
    })
}

/// What is known of a function's record.
#[derive(Debug, Clone)]
pub(crate) struct Known {
    pub(crate) function: Arc<Function>,
    pub(crate) revision: Revision,
    pub(crate) code_bytes: u64,
}

impl From<&Deployed> for Known {
    fn from(deployed: &Deployed) -> Self {
        let function = Arc::clone(&deployed.function);
        Self {
            function,
            revision: deployed.revision,
            code_bytes: deployed.code_bytes,
        }
    }
}

impl From<(Function, Revision)> for Known {
    fn from((function, revision): (Function, Revision)) -> Self {
        Self {
            function: Arc::new(function),
            revision,
            code_bytes: 0,
        }
    }
}

/// What changes took away.
#[derive(Debug, Default)]
pub(crate) struct Gone {
    pub(crate) deleted: Vec<Arc<Function>>,
    pub(crate) replaced: Vec<Arc<Function>>,
}

/// The functions of one space, all of one state.
#[derive(Debug, Clone, Default)]
struct Space {
    functions: HashMap<FunctionName, Arc<Entry>>,
    generation: Generation,
}

/// A change copies the list of spaces and one space's functions, not all of them.
type Table = HashMap<SpaceId, Arc<Space>>;

/// What is remembered beside the table; locked for a change.
#[derive(Debug, Default)]
struct Changes {
    /// Deletions, so that an older record does not bring a function back.
    deleted: HashMap<(SpaceId, FunctionName), Revision>,
    numbers: LocalNumbers,
}

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Functions {
    table: ArcSwap<Table>,
    changes: Mutex<Changes>,
}

impl Functions {
    pub(crate) fn get(&self, space: &SpaceId, name: &str) -> Option<Arc<Entry>> {
        self.table.load().get(space)?.functions.get(name).cloned()
    }

    /// Names the state of a space's functions: equal on all nodes that have this state, and never the same again after a
    /// change; 0 if there never was one. Read before the functions that it shall stand for.
    pub(crate) fn generation(&self, space: &SpaceId) -> u64 {
        self.table
            .load()
            .get(space)
            .map_or(0, |space| space.generation.number())
    }

    /// Of all spaces.
    pub(crate) fn len(&self) -> usize {
        self.table
            .load()
            .values()
            .map(|space| space.functions.len())
            .sum()
    }

    /// The names in a space, sorted.
    pub(crate) fn names(&self, space: &SpaceId) -> Vec<String> {
        let mut names: Vec<String> = self
            .of(space)
            .iter()
            .map(|entry| entry.function.name.to_string())
            .collect();
        names.sort_unstable();
        names
    }

    /// Those of a space.
    pub(crate) fn of(&self, space: &SpaceId) -> Vec<Arc<Entry>> {
        self.table
            .load()
            .get(space)
            .map(|space| space.functions.values().cloned().collect())
            .unwrap_or_default()
    }

    /// Of all spaces.
    pub(crate) fn entries(&self) -> Vec<Arc<Entry>> {
        self.table
            .load()
            .values()
            .flat_map(|space| space.functions.values().cloned())
            .collect()
    }

    /// Of all spaces.
    pub(crate) fn all(&self) -> Vec<Arc<Function>> {
        self.entries()
            .iter()
            .map(|entry| Arc::clone(&entry.function))
            .collect()
    }

    /// Takes over records, where they are newer than what is known, perhaps ahead of older changes. Returns the functions that
    /// were replaced.
    pub(crate) fn put<R: Into<Known>>(
        &self,
        records: impl IntoIterator<Item = R>,
    ) -> Vec<Arc<Function>> {
        self.change(|table, changes, gone| {
            for record in records {
                let known = record.into();
                let (space, revision) = (known.function.space.clone(), known.revision);
                put_in(table, changes, known, gone);
                Arc::make_mut(table.entry(space).or_default())
                    .generation
                    .skip_to(revision, &mut changes.numbers);
            }
        })
        .replaced
    }

    /// Forgets a function that was deleted at this revision, perhaps ahead of older changes.
    pub(crate) fn remove(
        &self,
        space: &SpaceId,
        name: &FunctionName,
        revision: Revision,
    ) -> Option<Arc<Function>> {
        let gone = self.change(|table, changes, gone| {
            remove_in(table, changes, (space, name, revision), gone);
            let space = Arc::make_mut(table.entry(space.clone()).or_default());
            space.generation.skip_to(revision, &mut changes.numbers);
        });
        gone.deleted.into_iter().next()
    }

    /// Applies what the registry's watch brought, all at once: nobody sees a part of a transaction.
    pub(crate) fn follow(&self, followed: &[FunctionChange]) -> Gone {
        self.change(|table, changes, gone| {
            for change in followed {
                let (space, revision) = match change {
                    FunctionChange::Deployed(deployed) => {
                        put_in(table, changes, deployed.into(), gone);
                        (&deployed.function.space, deployed.revision)
                    }
                    FunctionChange::Deleted {
                        space,
                        name,
                        revision,
                    } => {
                        remove_in(table, changes, (space, name, *revision), gone);
                        (space, *revision)
                    }
                    FunctionChange::Generation { space, revision } => (space, *revision),
                    FunctionChange::Unreadable(unreadable) => {
                        tracing::warn!(key = unreadable.key, "an unreadable record");
                        continue;
                    }
                };
                let space = Arc::make_mut(table.entry(space.clone()).or_default());
                space.generation.follow(revision, &mut changes.numbers);
            }
        })
    }

    /// One change at a time; seen whole or not at all.
    fn change(&self, change: impl FnOnce(&mut Table, &mut Changes, &mut Gone)) -> Gone {
        let mut changes = self.changes.lock();
        let mut table = Table::clone(&self.table.load());
        let mut gone = Gone::default();
        change(&mut table, &mut changes, &mut gone);
        self.table.store(Arc::new(table));
        gone
    }

    /// The entry of a pinned version: the current one where it is that version, else one of its own.
    pub(crate) fn entry_for(&self, function: &Arc<Function>) -> Arc<Entry> {
        let current = self
            .get(&function.space, function.name.as_str())
            .filter(|entry| entry.function.version == function.version);
        let own = || Known {
            function: Arc::clone(function),
            revision: Revision::default(),
            code_bytes: 0,
        };
        current.unwrap_or_else(|| Arc::new(Entry::new(own())))
    }

    /// Reads all functions; returns what that took away, and the revision from which to watch.
    pub(crate) async fn load(&self, store: &FunctionStore) -> Result<(Gone, Revision), KvError> {
        let loaded = store.load_all().await?;
        for unreadable in &loaded.unreadable {
            tracing::error!(
                key = unreadable.key,
                "a function's record cannot be read; it is left alone"
            );
        }
        Ok((self.resync(&loaded), loaded.revision.next()))
    }

    /// Makes the table equal to what the registry holds at a revision, keeping what was changed since. Returns what was
    /// deleted, and what was replaced.
    pub(crate) fn resync(&self, loaded: &Loaded) -> Gone {
        let at = loaded.revision;
        let held: HashSet<(&SpaceId, &FunctionName)> = loaded
            .functions
            .iter()
            .map(|one| (&one.function.space, &one.function.name))
            .collect();
        self.change(|table, changes, gone| {
            let known: Vec<Arc<Entry>> = table
                .values()
                .flat_map(|space| space.functions.values().cloned())
                .collect();
            for function in known.iter().map(|entry| &entry.function) {
                if !held.contains(&(&function.space, &function.name)) {
                    remove_in(table, changes, (&function.space, &function.name, at), gone);
                }
            }
            for deployed in &loaded.functions {
                put_in(table, changes, deployed.into(), gone);
            }
            // Functions of older programs have no generation beside them.
            let records = loaded
                .functions
                .iter()
                .map(|one| (&one.function.space, one.revision));
            let generations = loaded
                .generations
                .iter()
                .map(|(space, revision)| (space, *revision));
            for (space, revision) in records.chain(generations) {
                let space = Arc::make_mut(table.entry(space.clone()).or_default());
                space.generation.follow(revision, &mut changes.numbers);
            }
            // Spaces that have ended.
            let lasting: HashSet<&SpaceId> =
                loaded.generations.iter().map(|(space, _)| space).collect();
            table.retain(|id, space| {
                !space.functions.is_empty() || lasting.contains(id) || space.generation.is_ahead()
            });
            // Deletions older than a full listing can no longer be undone by an older record.
            changes.deleted.retain(|_, revision| *revision > at);
        })
    }
}

fn put_in(table: &mut Table, changes: &mut Changes, known: Known, gone: &mut Gone) {
    let key = (known.function.space.clone(), known.function.name.clone());
    let present = table
        .get(&key.0)
        .and_then(|space| space.functions.get(&key.1));
    let newest = present
        .map(|entry| entry.revision)
        .max(changes.deleted.get(&key).copied());
    if newest.is_some_and(|newest| newest >= known.revision) {
        return;
    }
    changes.deleted.remove(&key);
    let (space, name) = key;
    let space = Arc::make_mut(table.entry(space).or_default());
    if let Some(old) = space.functions.insert(name, Arc::new(Entry::new(known))) {
        gone.replaced.push(Arc::clone(&old.function));
    }
}

/// What was deployed after the revision stays.
fn remove_in(
    table: &mut Table,
    changes: &mut Changes,
    (space, name, revision): (&SpaceId, &FunctionName, Revision),
    gone: &mut Gone,
) {
    let Some(present) = table
        .get_mut(space)
        .filter(|space| space.functions.contains_key(name))
    else {
        return;
    };
    let functions = &mut Arc::make_mut(present).functions;
    if functions
        .get(name)
        .is_some_and(|entry| entry.revision > revision)
    {
        return;
    }
    if let Some(old) = functions.remove(name) {
        changes
            .deleted
            .insert((space.clone(), name.clone()), revision);
        gone.deleted.push(Arc::clone(&old.function));
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use serverledge_core::{
        Digest, Flags, FunctionLimits, Interface, Network, Runtime, Secrets, SpaceId, Version,
    };

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
        functions
            .get(&SpaceId::default_space(), "f")
            .map(|entry| entry.function.version.digest)
    }

    #[test]
    fn older_records_never_win() {
        let functions = Functions::default();
        functions.put([(function("f", 2), Revision::new(5))]);
        functions.put([(function("f", 1), Revision::new(4))]);
        assert_eq!(digest(&functions), Some(Digest::new([2; 32])));
        let name = FunctionName::parse("f").unwrap();
        assert!(
            functions
                .remove(&SpaceId::default_space(), &name, Revision::new(4))
                .is_none()
        );
        assert!(
            functions
                .remove(&SpaceId::default_space(), &name, Revision::new(6))
                .is_some()
        );
        functions.put([(function("f", 2), Revision::new(5))]);
        assert_eq!(digest(&functions), None);
        functions.put([(function("f", 3), Revision::new(7))]);
        assert_eq!(digest(&functions), Some(Digest::new([3; 32])));
    }

    fn deployed(function: Function, revision: Revision) -> Deployed {
        Deployed {
            function: Arc::new(function),
            revision,
            code_bytes: 0,
            deployed_unix_ms: 0,
        }
    }

    fn loaded<const N: usize>(records: [(Function, Revision); N], at: u64) -> Loaded {
        let functions = records
            .map(|(function, revision)| deployed(function, revision))
            .into();
        let generations = vec![(SpaceId::default_space(), Revision::new(at))];
        Loaded {
            functions,
            unreadable: Vec::new(),
            generations,
            revision: Revision::new(at),
        }
    }

    #[test]
    fn a_change_and_its_generation_are_seen_together() {
        let (functions, space) = (Functions::default(), SpaceId::default_space());
        let followed = |number: u8, revision: u64| {
            let revision = Revision::new(revision);
            let deployed = FunctionChange::Deployed(deployed(function("f", number), revision));
            functions.follow(&[
                deployed,
                FunctionChange::Generation {
                    space: space.clone(),
                    revision,
                },
            ]);
        };
        assert_eq!(functions.generation(&space), 0);
        followed(1, 3);
        assert_eq!(functions.generation(&space), 3);
        functions.put([(function("g", 1), Revision::new(9))]);
        let ahead = functions.generation(&space);
        assert!(ahead > 9, "the node cannot know what lies between");
        followed(2, 8);
        assert!(functions.generation(&space) > 9 && functions.generation(&space) != ahead);
        functions.follow(&[FunctionChange::Generation {
            space: space.clone(),
            revision: Revision::new(9),
        }]);
        assert_eq!(functions.generation(&space), 9);
        let name = FunctionName::parse("g").unwrap();
        functions.follow(&[FunctionChange::Deleted {
            space: space.clone(),
            name,
            revision: Revision::new(12),
        }]);
        assert_eq!(
            (functions.generation(&space), functions.names(&space)),
            (12, vec!["f".to_owned()])
        );
        let name = FunctionName::parse("f").unwrap();
        functions.remove(&space, &name, Revision::new(15));
        assert!(functions.generation(&space) > 15);
        functions.resync(&loaded([], 20));
        assert_eq!(
            (functions.generation(&space), functions.len()),
            (20, 0),
            "kept when no function is left"
        );
        let ended = SpaceId::new();
        functions.follow(&[FunctionChange::Generation {
            space: ended.clone(),
            revision: Revision::new(19),
        }]);
        assert_eq!(functions.generation(&ended), 19);
        functions.resync(&loaded([], 20));
        assert_eq!(
            (functions.generation(&ended), functions.table.load().len()),
            (0, 1),
            "a space that has ended"
        );
    }

    #[test]
    fn a_resync_drops_what_is_gone_and_keeps_what_is_newer() {
        let functions = Functions::default();
        functions.put([
            (function("f", 1), Revision::new(3)),
            (function("g", 1), Revision::new(9)),
        ]);
        let resynced = functions.resync(&loaded([], 5));
        assert_eq!(functions.names(&SpaceId::default_space()), ["g"]);
        assert_eq!((resynced.deleted.len(), resynced.replaced.len()), (1, 0));
        let resynced = functions.resync(&loaded([(function("g", 2), Revision::new(12))], 12));
        assert_eq!((resynced.deleted.len(), resynced.replaced.len()), (0, 1));
    }

    #[test]
    fn spaces_have_names_of_their_own() {
        let (functions, name, other) = (
            Functions::default(),
            FunctionName::parse("f").unwrap(),
            SpaceId::new(),
        );
        let elsewhere = Function {
            space: other.clone(),
            ..function("f", 2)
        };
        functions.put([
            (function("f", 1), Revision::new(3)),
            (elsewhere, Revision::new(4)),
        ]);
        assert_eq!(functions.len(), 2);
        assert_ne!(
            functions.get(&other, "f").map(|entry| entry.key),
            functions
                .get(&SpaceId::default_space(), "f")
                .map(|entry| entry.key)
        );
        assert!(functions.remove(&other, &name, Revision::new(5)).is_some());
        assert_eq!(
            (functions.names(&other).len(), digest(&functions)),
            (0, Some(Digest::new([1; 32])))
        );
        assert!(functions.get(&SpaceId::new(), "f").is_none());
    }
}
