//! The functions this node knows: an in-memory snapshot that requests read without a lock and without the registry.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use arc_swap::ArcSwap;
use parking_lot::Mutex;
use serverledge_core::kv::{KvError, Revision};
use serverledge_core::{Digest, Function, FunctionName, InvocationError, SpaceId, Version};
use serverledge_registry::{Deployed, FunctionChange, FunctionStore, Loaded};

pub(crate) use self::entry::{FunctionEntry, label, pooled};
use self::generation::{Generation, LocalNumbers};

pub(crate) mod deploy;
pub(crate) mod edge_fit;
mod entry;
pub(crate) mod errors;
pub(crate) mod follow;
mod generation;
pub(crate) mod javascript;
pub(crate) mod logs;
pub(crate) mod patch;
pub(crate) mod preparing;
pub(crate) mod python;
pub(crate) mod quotas;
pub(crate) mod resources;
pub(crate) mod scripts;
pub(crate) mod snapshots;
pub(crate) mod source;
pub(crate) mod spaces;
pub(crate) mod versions;
pub(crate) mod warm;

/// Whether a version is prepared on this node.
type IsPrepared = Box<dyn Fn(&Version) -> bool + Send + Sync>;

/// The functions that changes have removed.
#[derive(Debug, Default)]
pub(crate) struct Gone {
    pub(crate) deleted: Vec<Arc<Function>>,
    /// Versions that no call runs any more.
    pub(crate) replaced: Vec<Arc<Function>>,
}

/// The functions of one space, in one consistent state.
#[derive(Debug, Clone, Default)]
struct Space {
    functions: HashMap<FunctionName, Arc<FunctionEntry>>,
    generation: Generation,
}

/// The table of spaces. A change copies the list of spaces and one space's functions, not all of them.
type SpaceTable = HashMap<SpaceId, Arc<Space>>;

/// State beside the table; locked for a change.
#[derive(Debug, Default)]
struct Changes {
    /// Deletions, so that an older record does not bring a function back.
    deleted: HashMap<(SpaceId, FunctionName), Revision>,
    numbers: LocalNumbers,
}

/// The functions; see the module.
pub(crate) struct Functions {
    table: ArcSwap<SpaceTable>,
    changes: Mutex<Changes>,
    is_prepared: IsPrepared,
}

impl std::fmt::Debug for Functions {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Functions")
            .field("table", &self.table)
            .finish_non_exhaustive()
    }
}

/// The functions of a program that runs and prepares nothing.
impl Default for Functions {
    fn default() -> Self {
        Self::new(|_| true)
    }
}

impl Functions {
    /// An empty table, on a node where these versions are prepared.
    pub(crate) fn new(is_prepared: impl Fn(&Version) -> bool + Send + Sync + 'static) -> Self {
        Self {
            table: ArcSwap::default(),
            changes: Mutex::default(),
            is_prepared: Box::new(is_prepared),
        }
    }

    /// The version that calls of a function run now, for a call: see [`FunctionEntry::served`].
    pub(crate) fn served(&self, space: &SpaceId, name: &str) -> Option<Arc<FunctionEntry>> {
        self.get(space, name).map(FunctionEntry::served)
    }

    /// The version that a call of a function runs now.
    pub(crate) fn resolve(
        &self,
        space: &SpaceId,
        name: &str,
    ) -> Result<Arc<FunctionEntry>, InvocationError> {
        self.served(space, name)
            .ok_or_else(|| InvocationError::Unknown(name.to_owned()))
    }

    /// The newest version of a function, prepared or not.
    pub(crate) fn get(&self, space: &SpaceId, name: &str) -> Option<Arc<FunctionEntry>> {
        self.table.load().get(space)?.functions.get(name).cloned()
    }

    /// The generation of a space's functions: equal on all nodes that have this state, and never the same again after a
    /// change; 0 if the space never had a function. It must be read before the functions that it is to stand for.
    pub(crate) fn generation(&self, space: &SpaceId) -> u64 {
        self.table
            .load()
            .get(space)
            .map_or(0, |space| space.generation.number())
    }

    /// Number of functions in all spaces.
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

    /// The functions of a space.
    pub(crate) fn of(&self, space: &SpaceId) -> Vec<Arc<FunctionEntry>> {
        self.table
            .load()
            .get(space)
            .map(|space| space.functions.values().cloned().collect())
            .unwrap_or_default()
    }

    /// The entries of all spaces.
    pub(crate) fn entries(&self) -> Vec<Arc<FunctionEntry>> {
        self.table
            .load()
            .values()
            .flat_map(|space| space.functions.values().cloned())
            .collect()
    }

    /// The functions of all spaces.
    pub(crate) fn all(&self) -> Vec<Arc<Function>> {
        self.entries()
            .iter()
            .map(|entry| Arc::clone(&entry.function))
            .collect()
    }

    /// Takes over the records that are newer than the known ones, perhaps ahead of older changes. Returns the functions
    /// that were replaced.
    pub(crate) fn put(&self, records: impl IntoIterator<Item = Deployed>) -> Vec<Arc<Function>> {
        self.change(|table, changes, gone| {
            for deployed in records {
                let space = deployed.function.space.clone();
                let revision = deployed.revision;
                self.put_in(table, changes, deployed, gone);
                Arc::make_mut(table.entry(space).or_default())
                    .generation
                    .skip_to(revision, &mut changes.numbers);
            }
        })
        .replaced
    }

    /// Forgets a function that was deleted at this revision, perhaps ahead of older changes.
    pub(crate) fn remove(&self, space: &SpaceId, name: &FunctionName, revision: Revision) -> Gone {
        self.change(|table, changes, gone| {
            remove_in(table, changes, (space, name, revision), gone);
            let space = Arc::make_mut(table.entry(space.clone()).or_default());
            space.generation.skip_to(revision, &mut changes.numbers);
        })
    }

    /// Reports a prepared version: calls run it, wherever it is the newest that they can. Returns the versions that
    /// they run no more.
    pub(crate) fn prepared(&self, prepared: &Arc<FunctionEntry>) -> Vec<Arc<Function>> {
        self.change(|table, changes, gone| {
            gone.replaced
                .extend(prepared.set_ready().map(|ran| Arc::clone(&ran.function)));
            for space in table.values_mut() {
                let mut changed = false;
                for entry in space.functions.values() {
                    changed |= take_over(entry, prepared, gone);
                }
                if changed {
                    Arc::make_mut(space).generation.turn(&mut changes.numbers);
                }
            }
        })
        .replaced
    }

    /// Whether calls of a function need not wait for its preparation.
    pub(crate) fn can_run(&self, function: &Function) -> bool {
        let entry = self.get(&function.space, function.name.as_str());
        entry.is_none_or(|entry| entry.runs_as().is_ready())
    }

    /// Whether the version of an entry is the newest of its function.
    pub(crate) fn is_current(&self, entry: &FunctionEntry) -> bool {
        let current = self.get(&entry.function.space, entry.function.name.as_str());
        current.is_some_and(|current| current.digest() == entry.digest())
    }

    /// Whether there is such a function.
    pub(crate) fn has(&self, function: &Function) -> bool {
        self.get(&function.space, function.name.as_str()).is_some()
    }

    /// The newest versions that are not prepared here.
    pub(crate) fn unprepared(&self) -> Vec<Arc<FunctionEntry>> {
        self.entries()
            .into_iter()
            .filter(|entry| !entry.is_ready())
            .collect()
    }

    /// The code of the versions that calls run until newer ones are prepared.
    pub(crate) fn earlier_code(&self) -> Vec<Digest> {
        let earlier = self
            .unprepared()
            .into_iter()
            .filter_map(|entry| entry.earlier());
        earlier.map(|entry| entry.function.version.code).collect()
    }

    /// Applies changes from the registry's watch, all at once: nobody sees a part of a transaction.
    pub(crate) fn follow(&self, followed: &[FunctionChange]) -> Gone {
        self.change(|table, changes, gone| {
            for change in followed {
                let (space, revision) = match change {
                    FunctionChange::Deployed(deployed) => {
                        self.put_in(table, changes, deployed.clone(), gone);
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

    /// Makes one change, alone, which readers see whole or not at all.
    fn change(&self, change: impl FnOnce(&mut SpaceTable, &mut Changes, &mut Gone)) -> Gone {
        let mut changes = self.changes.lock();
        let mut table = SpaceTable::clone(&self.table.load());
        let mut gone = Gone::default();
        change(&mut table, &mut changes, &mut gone);
        for space in table.values_mut() {
            let behind = space
                .functions
                .values()
                .any(|entry| !entry.is_ready() && entry.earlier().is_some());
            if space.generation.is_behind() != behind {
                Arc::make_mut(space)
                    .generation
                    .set_behind(behind, &mut changes.numbers);
            }
        }
        self.table.store(Arc::new(table));
        gone
    }

    /// The entry of a pinned version: the current one or the earlier one if it has that version, else one of its own.
    pub(crate) fn entry_for(&self, function: &Arc<Function>) -> Arc<FunctionEntry> {
        let is_it = |entry: &Arc<FunctionEntry>| entry.function.version == function.version;
        let current = self.get(&function.space, function.name.as_str());
        let earlier = current.as_ref().and_then(|entry| entry.earlier());
        let known = [current, earlier].into_iter().flatten().find(is_it);
        let revision = Revision::default();
        let created = Revision::default();
        let own = || Deployed {
            function: Arc::clone(function),
            revision,
            created,
            code_bytes: 0,
            deployed_unix_ms: 0,
        };
        known.unwrap_or_else(|| {
            Arc::new(FunctionEntry::new(
                own(),
                (self.is_prepared)(&function.version),
            ))
        })
    }

    /// Reads all functions; returns the removed ones, and the revision to watch from.
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

    /// Makes the table equal to the registry's state at a revision, keeping later changes. Returns the deleted and the
    /// replaced functions.
    pub(crate) fn resync(&self, loaded: &Loaded) -> Gone {
        let at = loaded.revision;
        let held: HashSet<(&SpaceId, &FunctionName)> = loaded
            .functions
            .iter()
            .map(|one| (&one.function.space, &one.function.name))
            .collect();
        self.change(|table, changes, gone| {
            let known: Vec<Arc<FunctionEntry>> = table
                .values()
                .flat_map(|space| space.functions.values().cloned())
                .collect();
            for function in known.iter().map(|entry| &entry.function) {
                if !held.contains(&(&function.space, &function.name)) {
                    remove_in(table, changes, (&function.space, &function.name, at), gone);
                }
            }
            for deployed in &loaded.functions {
                self.put_in(table, changes, deployed.clone(), gone);
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

    fn put_in(
        &self,
        table: &mut SpaceTable,
        changes: &mut Changes,
        known: Deployed,
        gone: &mut Gone,
    ) {
        let key = (known.function.space.clone(), known.function.name.clone());
        let present = table
            .get(&key.0)
            .and_then(|space| space.functions.get(&key.1));
        let newest = present
            .map(|entry| entry.revision)
            .max(changes.deleted.get(&key).copied());
        let ready = (self.is_prepared)(&known.function.version);
        if newest.is_some_and(|newest| newest >= known.revision) {
            // What this node has just deployed runs until what another one deployed after it is prepared.
            if let Some(present) =
                present.filter(|present| ready && present.revision > known.revision)
            {
                let unused = present.offer(Arc::new(FunctionEntry::new(known, ready)));
                gone.replaced
                    .extend(unused.map(|entry| Arc::clone(&entry.function)));
            }
            return;
        }
        changes.deleted.remove(&key);
        let entry = Arc::new(FunctionEntry::new(known, ready));
        let unused = present.map(|old| entry.follow(old)).unwrap_or_default();
        gone.replaced
            .extend(unused.iter().map(|old| Arc::clone(&old.function)));
        let (space, name) = key;
        Arc::make_mut(table.entry(space).or_default())
            .functions
            .insert(name, entry);
    }
}

/// Lets an entry run a prepared version, if it is its own, or a newer one than it runs; returns whether it does.
fn take_over(entry: &Arc<FunctionEntry>, prepared: &Arc<FunctionEntry>, gone: &mut Gone) -> bool {
    if entry.digest() == prepared.digest() {
        let ran = entry.set_ready();
        gone.replaced
            .extend(ran.map(|ran| Arc::clone(&ran.function)));
        return true;
    }
    let one = &entry.function;
    let other = &prepared.function;
    if entry.is_ready() || (&one.space, &one.name) != (&other.space, &other.name) {
        return false;
    }
    let unused = entry.offer(Arc::clone(prepared));
    let taken = unused
        .as_ref()
        .is_none_or(|unused| !Arc::ptr_eq(unused, prepared));
    gone.replaced
        .extend(unused.map(|unused| Arc::clone(&unused.function)));
    taken
}

/// Removes a function from the table, unless it was deployed after the revision.
fn remove_in(
    table: &mut SpaceTable,
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
        gone.replaced
            .extend(old.earlier().map(|earlier| Arc::clone(&earlier.function)));
        gone.deleted.push(Arc::clone(&old.function));
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use serverledge_core::{
        Digest, Flags, FunctionLimits, Interface, Network, ProgramIo, Runtime, Secrets, SpaceId,
        Version,
    };
    use serverledge_registry::Deployed;

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
                outbound: std::collections::BTreeSet::new(),
                image: String::new(),
                io: ProgramIo::default(),
                limits: FunctionLimits::default(),
            }),
            interface: Interface::Json,
            flags: Flags::default(),
            signature: None,
        }
    }

    /// A function of this name, in the version with this digest.
    pub(crate) fn versioned(name: &str, digest: u8) -> Function {
        function(name, digest)
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
        functions.put([deployed(function("f", 2), Revision::new(5))]);
        functions.put([deployed(function("f", 1), Revision::new(4))]);
        assert_eq!(digest(&functions), Some(Digest::new([2; 32])));
        let name = FunctionName::parse("f").unwrap();
        assert!(
            functions
                .remove(&SpaceId::default_space(), &name, Revision::new(4))
                .deleted
                .is_empty()
        );
        assert_eq!(
            functions
                .remove(&SpaceId::default_space(), &name, Revision::new(6))
                .deleted
                .len(),
            1
        );
        functions.put([deployed(function("f", 2), Revision::new(5))]);
        assert_eq!(digest(&functions), None);
        functions.put([deployed(function("f", 3), Revision::new(7))]);
        assert_eq!(digest(&functions), Some(Digest::new([3; 32])));
    }

    pub(crate) fn deployed(function: Function, revision: Revision) -> Deployed {
        let function = Arc::new(function);
        let created = Revision::default();
        Deployed {
            function,
            revision,
            created,
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
        let functions = Functions::default();
        let space = SpaceId::default_space();
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
        functions.put([deployed(function("g", 1), Revision::new(9))]);
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
            deployed(function("f", 1), Revision::new(3)),
            deployed(function("g", 1), Revision::new(9)),
        ]);
        let resynced = functions.resync(&loaded([], 5));
        assert_eq!(functions.names(&SpaceId::default_space()), ["g"]);
        assert_eq!((resynced.deleted.len(), resynced.replaced.len()), (1, 0));
        let resynced = functions.resync(&loaded([(function("g", 2), Revision::new(12))], 12));
        assert_eq!((resynced.deleted.len(), resynced.replaced.len()), (0, 1));
    }

    #[test]
    fn spaces_have_names_of_their_own() {
        let functions = Functions::default();
        let name = FunctionName::parse("f").unwrap();
        let other = SpaceId::new();
        let elsewhere = Function {
            space: other.clone(),
            ..function("f", 2)
        };
        functions.put([
            deployed(function("f", 1), Revision::new(3)),
            deployed(elsewhere, Revision::new(4)),
        ]);
        assert_eq!(functions.len(), 2);
        assert_ne!(
            functions.get(&other, "f").map(|entry| entry.key),
            functions
                .get(&SpaceId::default_space(), "f")
                .map(|entry| entry.key)
        );
        assert_eq!(
            functions
                .remove(&other, &name, Revision::new(5))
                .deleted
                .len(),
            1
        );
        assert_eq!(
            (functions.names(&other).len(), digest(&functions)),
            (0, Some(Digest::new([1; 32])))
        );
        assert!(functions.get(&SpaceId::new(), "f").is_none());
    }

    /// The functions of a node where only these versions are prepared, and the set to prepare more.
    fn preparing(prepared: &[u8]) -> (Functions, Arc<Mutex<HashSet<u8>>>) {
        let known: Arc<Mutex<HashSet<u8>>> =
            Arc::new(Mutex::new(prepared.iter().copied().collect()));
        let asked = Arc::clone(&known);
        (
            Functions::new(move |version| asked.lock().contains(&version.digest.as_bytes()[0])),
            known,
        )
    }

    fn follow(functions: &Functions, number: u8, revision: u64, created: u64) -> Gone {
        let revision = Revision::new(revision);
        let created = Revision::new(created);
        let deployed = Deployed {
            created,
            ..deployed(function("f", number), revision)
        };
        let generation = FunctionChange::Generation {
            space: SpaceId::default_space(),
            revision,
        };
        functions.follow(&[FunctionChange::Deployed(deployed), generation])
    }

    /// The newest version, and the one that calls run; 0: they wait.
    fn stand(functions: &Functions) -> (u8, u8) {
        let newest = functions
            .get(&SpaceId::default_space(), "f")
            .expect("the function is there");
        let served = Arc::clone(&newest).served();
        let served_number = if served.is_ready() {
            served.digest().as_bytes()[0]
        } else {
            0
        };
        (newest.digest().as_bytes()[0], served_number)
    }

    fn prepare(functions: &Functions, number: u8) -> Vec<u8> {
        let entry = Arc::new(FunctionEntry::new(
            deployed(function("f", number), Revision::new(u64::from(number))),
            false,
        ));
        numbers(&functions.prepared(&entry))
    }

    fn numbers(functions: &[Arc<Function>]) -> Vec<u8> {
        functions
            .iter()
            .map(|function| function.version.digest.as_bytes()[0])
            .collect()
    }

    #[test]
    fn a_function_goes_on_until_its_new_version_is_prepared() {
        let (functions, _) = preparing(&[1]);
        let space = SpaceId::default_space();
        assert!(follow(&functions, 1, 1, 1).replaced.is_empty());
        assert_eq!(
            (stand(&functions), functions.generation(&space)),
            ((1, 1), 1)
        );
        assert!(
            follow(&functions, 2, 2, 1).replaced.is_empty(),
            "it runs still"
        );
        let behind = functions.generation(&space);
        assert!(
            stand(&functions) == (2, 1) && behind > 2,
            "no other node has this state"
        );
        assert!(follow(&functions, 3, 3, 1).replaced.is_empty());
        assert_eq!(stand(&functions), (3, 1));
        assert_eq!(functions.earlier_code(), [Digest::new([1; 32])]);
        assert_eq!(
            prepare(&functions, 2),
            [1],
            "the second is newer than the first"
        );
        assert_eq!(stand(&functions), (3, 2));
        assert!(
            functions.generation(&space) > behind.min(1 << 62)
                && functions.generation(&space) != behind
        );
        assert_eq!(prepare(&functions, 3), [2]);
        assert_eq!(
            (stand(&functions), functions.generation(&space)),
            ((3, 3), 3)
        );
        assert!(functions.unprepared().is_empty());
    }

    #[test]
    fn what_a_node_has_acknowledged_runs_until_what_came_after_it_is_prepared() {
        let (functions, known) = preparing(&[1]);
        follow(&functions, 1, 1, 1);
        // Another node's deploy came while this node prepared the version that it then acknowledges.
        follow(&functions, 4, 4, 1);
        known.lock().insert(3);
        assert_eq!(
            numbers(&functions.put([deployed(function("f", 3), Revision::new(3))])),
            [1]
        );
        assert_eq!(stand(&functions), (4, 3));
        known.lock().insert(2);
        assert_eq!(
            numbers(&functions.put([deployed(function("f", 2), Revision::new(2))])),
            [2],
            "older than what runs"
        );
        assert_eq!(stand(&functions), (4, 3));
    }

    #[test]
    fn a_deleted_function_does_not_go_on_as_another_of_its_name() {
        let (functions, _) = preparing(&[1]);
        follow(&functions, 1, 1, 1);
        // The deletion itself was lost: only the record says since when there is one.
        let gone = follow(&functions, 2, 5, 5);
        assert_eq!(
            (numbers(&gone.replaced), stand(&functions)),
            (vec![1], (2, 0))
        );
        let name = FunctionName::parse("f").unwrap();
        follow(&functions, 1, 6, 5);
        follow(&functions, 2, 7, 5);
        let gone = functions.remove(&SpaceId::default_space(), &name, Revision::new(8));
        assert_eq!(
            (numbers(&gone.deleted), numbers(&gone.replaced)),
            (vec![2], vec![1])
        );
        assert!(functions.get(&SpaceId::default_space(), "f").is_none());
    }

    #[test]
    fn peers_get_what_is_prepared_alone() {
        let (functions, _) = preparing(&[1]);
        follow(&functions, 1, 1, 1);
        follow(&functions, 2, 2, 1);
        let newest = functions.get(&SpaceId::default_space(), "f").unwrap();
        let number = |wanted: u8| {
            let found = newest.prepared_as(|digest| digest.as_bytes()[0] == wanted);
            found.map(|entry| entry.digest().as_bytes()[0])
        };
        assert_eq!((number(1), number(2), number(3)), (Some(1), None, None));
        prepare(&functions, 2);
        assert_eq!((number(1), number(2)), (None, Some(2)));
        newest.lost();
        assert_eq!(
            (stand(&functions), number(2)),
            ((2, 0), None),
            "damaged machine code is made anew"
        );
    }
}
