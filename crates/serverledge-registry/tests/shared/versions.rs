//! Checks of generations and kept versions, over any store. Each check wants one of its own.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use serverledge_core::kv::{Kv, RangeRequest, Revision, Txn};
use serverledge_core::{Digest, Flags, Function, FunctionName, Isolation, SpaceId};
use serverledge_registry::{
    ChangeError, ChangeWatch, DeployError, FlagsChange, FunctionChange, FunctionStore, MoveError,
    VERSIONS_MAX,
};

use super::checks::function;

const NOW: u64 = 1_700_000_000_000;
/// Roll-backs between sweeps, at least; and at most until the sweeper has come in between once.
const ROUNDS_MIN: usize = 20;
const ROUNDS_MAX: usize = 1000;

fn code(n: usize) -> Bytes {
    format!("code {n}").into()
}

/// The nth version of a function.
fn version(name: &str, n: usize) -> Function {
    function(name, &code(n))
}

async fn deploy(store: &FunctionStore, function: &Function, n: usize) -> Revision {
    store
        .replace(function, &code(n), NOW + n as u64)
        .await
        .unwrap()
        .revision
}

async fn generation(store: &FunctionStore, space: &SpaceId) -> Option<Revision> {
    let loaded = store.load_all().await.unwrap();
    loaded
        .generations
        .iter()
        .find(|(one, _)| one == space)
        .map(|(_, revision)| *revision)
}

/// The digests of what is kept, the newest first.
async fn kept(store: &FunctionStore, of: &Function) -> Vec<Digest> {
    let history = store.versions(&of.space, &of.name).await.unwrap().unwrap();
    history
        .kept
        .iter()
        .map(|one| one.function.version.digest)
        .collect()
}

fn digest(name: &str, n: usize) -> Digest {
    version(name, n).version.digest
}

/// With everything that belongs to it; where its name is taken, nothing happens.
pub(crate) async fn a_function_changes_its_space(kv: Arc<dyn Kv>) {
    let store = FunctionStore::new(kv);
    let first = version("f", 1);
    let second = version("f", 2);
    let from = &first.space;
    let to = SpaceId::new();
    let name = &first.name;
    deploy(&store, &first, 1).await;
    deploy(&store, &second, 2).await;
    let flags = FlagsChange {
        idempotent: Some(true),
        ..FlagsChange::default()
    };
    store.set_flags(from, name, flags).await.unwrap();
    let before = generation(&store, from).await;
    store.move_to(from, name, &to).await.unwrap();
    assert!(store.get(from, name).await.unwrap().is_none());
    assert!(generation(&store, from).await > before && generation(&store, &to).await > before);
    let moved = store.versions(&to, name).await.unwrap().unwrap();
    assert_eq!(moved.current.function.version.digest, second.version.digest);
    assert!(moved.current.function.flags.idempotent);
    assert_eq!(
        kept(
            &store,
            &Function {
                space: to.clone(),
                ..first.clone()
            }
        )
        .await,
        [first.version.digest]
    );
    store
        .roll_back(&to, name, &first.version.digest, NOW)
        .await
        .unwrap();
    assert!(matches!(
        store.move_to(from, name, &to).await,
        Err(MoveError::Gone { .. })
    ));
    deploy(&store, &first, 1).await;
    assert!(matches!(
        store.move_to(from, name, &to).await,
        Err(MoveError::Exists { .. })
    ));
    assert!(store.get(from, name).await.unwrap().is_some());
}

pub(crate) async fn every_change_raises_the_generation(kv: Arc<dyn Kv>) {
    let store = FunctionStore::new(kv.clone());
    let first = version("f", 1);
    let second = version("f", 2);
    let space = &first.space;
    let name = &first.name;
    let elsewhere = Function {
        space: SpaceId::new(),
        ..version("f", 1)
    };
    assert_eq!(generation(&store, space).await, None);
    let other = deploy(&store, &elsewhere, 1).await;
    let mut watch = store.watch(None).await.unwrap();
    let mut changes = Vec::new();
    changes.push(store.create(&first, &code(1), NOW).await.unwrap());
    assert_eq!(
        generation(&store, space).await,
        changes.last().copied(),
        "a first deploy"
    );
    changes.push(deploy(&store, &second, 2).await);
    assert_eq!(
        generation(&store, space).await,
        changes.last().copied(),
        "a deploy"
    );
    changes.push(
        store
            .roll_back(space, name, &first.version.digest, NOW)
            .await
            .unwrap()
            .revision,
    );
    assert_eq!(
        generation(&store, space).await,
        changes.last().copied(),
        "a roll-back"
    );
    let flags = FlagsChange {
        idempotent: Some(true),
        ..FlagsChange::default()
    };
    changes.push(store.set_flags(space, name, flags).await.unwrap().revision);
    assert_eq!(
        generation(&store, space).await,
        changes.last().copied(),
        "other flags"
    );
    assert_eq!(
        store.set_flags(space, name, flags).await.unwrap().revision,
        changes[3],
        "the same flags"
    );
    changes.push(store.delete(space, name).await.unwrap().unwrap());
    assert_eq!(
        generation(&store, space).await,
        changes.last().copied(),
        "a deletion"
    );
    assert_eq!(store.delete(space, name).await.unwrap(), None);
    let raised = kv
        .txn(FunctionStore::raise_generation(Txn::new(), space))
        .await
        .unwrap()
        .revision;
    assert_eq!(
        generation(&store, space).await,
        Some(raised),
        "something else"
    );
    assert_eq!(
        generation(&store, &elsewhere.space).await,
        Some(other),
        "that of another space"
    );
    assert!(changes.is_sorted() && raised > changes[4]);
    together(&mut watch, &changes, raised).await;
    kv.txn(FunctionStore::forget_generation(Txn::new(), space))
        .await
        .unwrap();
    assert_eq!(generation(&store, space).await, None);
}

/// Checks that a change and its generation are seen together, in this order.
async fn together(watch: &mut ChangeWatch<FunctionChange>, changes: &[Revision], raised: Revision) {
    let mut functions = Vec::new();
    let mut generations = Vec::new();
    while generations.last() != Some(&raised) {
        for change in watch.next().await.unwrap() {
            match change {
                FunctionChange::Deployed(deployed) => functions.push(deployed.revision),
                FunctionChange::Deleted { revision, .. } => functions.push(revision),
                FunctionChange::Generation { revision, .. } => generations.push(revision),
                FunctionChange::Unreadable(unreadable) => panic!("{unreadable:?}"),
            }
        }
        let last = generations.last().copied().filter(|last| *last != raised);
        assert!(
            last.is_none() || functions.last().copied() == last,
            "{functions:?} {generations:?}"
        );
    }
    assert_eq!(functions, changes);
    assert_eq!(generations, [changes, &[raised]].concat());
}

pub(crate) async fn the_newest_versions_are_kept(kv: Arc<dyn Kv>) {
    let store = FunctionStore::new(kv.clone());
    let all = VERSIONS_MAX + 3;
    for n in 0..all {
        deploy(&store, &version("f", n), n).await;
        deploy(&store, &version("f", n), n).await;
    }
    deploy(&store, &version("g", 0), 0).await;
    deploy(&store, &version("g", 1), 1).await;
    let newest: Vec<Digest> = (0..all - 1)
        .rev()
        .take(VERSIONS_MAX)
        .map(|n| digest("f", n))
        .collect();
    assert_eq!(
        kept(&store, &version("f", 0)).await,
        newest,
        "each once, and not the current one"
    );
    let history = store
        .versions(&version("f", 0).space, &version("f", 0).name)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(*history.current.function, version("f", all - 1));
    assert_eq!(
        (history.current.code_bytes, history.current.deployed_unix_ms),
        (7, NOW + all as u64 - 1)
    );
    assert_eq!(history.kept[0].deployed_unix_ms, NOW + all as u64 - 2);
    let used = store.code_of_versions().await.unwrap();
    let expected: HashSet<Digest> = history
        .kept
        .iter()
        .map(|one| one.function.version.code)
        .collect();
    assert_eq!(
        used.difference(&expected).count(),
        1,
        "and that of the other function"
    );
    assert!(used.is_superset(&expected));

    let f = version("f", 0);
    assert!(store.delete(&f.space, &f.name).await.unwrap().is_some());
    assert!(store.versions(&f.space, &f.name).await.unwrap().is_none());
    assert_eq!(
        kv.range(RangeRequest::prefix("versions/"))
            .await
            .unwrap()
            .entries
            .len(),
        1
    );
    deploy(&store, &f, 0).await;
    assert_eq!(
        kept(&store, &f).await,
        [],
        "a name that was freed inherits nothing"
    );
}

/// Checks the flag of results that depend on hosts outside, of a function that is idempotent and lacks it.
async fn outbound_goes_with_idempotent(store: &FunctionStore, function: &Function) {
    let (space, name) = (&function.space, &function.name);
    let outbound = async |idempotent: Option<bool>, keeps_outbound: Option<bool>| {
        let change = FlagsChange {
            idempotent,
            keeps_outbound,
            ..FlagsChange::default()
        };
        let changed = store.set_flags(space, name, change).await?;
        let flags = changed.function.flags;
        Ok::<_, ChangeError>((flags.idempotent, flags.keeps_outbound))
    };
    assert_eq!(outbound(None, Some(true)).await.unwrap(), (true, true));
    assert_eq!(outbound(Some(false), None).await.unwrap(), (false, false));
    assert!(matches!(
        outbound(None, Some(true)).await,
        Err(ChangeError::NotIdempotent(_))
    ));
    assert_eq!(outbound(Some(true), None).await.unwrap(), (true, false));
}

pub(crate) async fn a_function_goes_back_and_forth(kv: Arc<dyn Kv>) {
    let store = FunctionStore::new(kv);
    let flags = Flags {
        edge: true,
        isolation: Isolation::Fresh,
        ..Flags::default()
    };
    let [one, two, three] = [1, 2, 3].map(|n| version("f", n));
    let one = Function { flags, ..one };
    let space = &one.space;
    let name = &one.name;
    let back = async |n: usize| {
        store
            .roll_back(space, name, &digest("f", n), NOW + 99)
            .await
    };
    assert!(matches!(back(1).await, Err(ChangeError::Unknown { .. })));
    for (n, function) in [(1, &one), (2, &two), (3, &three)] {
        deploy(&store, function, n).await;
    }
    assert!(matches!(
        back(9).await,
        Err(ChangeError::UnknownVersion { .. })
    ));
    let first = back(1).await.unwrap();
    assert_eq!(*first.function, one, "with its flags");
    assert_eq!((first.deployed_unix_ms, first.code_bytes), (NOW + 99, 6));
    assert_eq!(store.get(space, name).await.unwrap().unwrap(), first);
    assert_eq!(kept(&store, &one).await, [3, 2].map(|n| digest("f", n)));
    assert_eq!(
        back(1).await.unwrap().revision,
        first.revision,
        "twice is once"
    );
    let changed = FlagsChange {
        idempotent: Some(true),
        keeps_outbound: None,
        edge: Some(false),
        isolation: None,
    };
    let changed = store.set_flags(space, name, changed).await.unwrap();
    assert_eq!(
        changed.function.flags,
        Flags {
            idempotent: true,
            edge: false,
            ..flags
        }
    );
    assert_eq!(
        (changed.function.version.digest, changed.deployed_unix_ms),
        (digest("f", 1), NOW + 99)
    );
    assert_eq!(store.get(space, name).await.unwrap().unwrap(), changed);
    let isolation = async |isolation: Isolation| {
        let change = FlagsChange {
            isolation: Some(isolation),
            ..FlagsChange::default()
        };
        let changed = store.set_flags(space, name, change).await.unwrap();
        changed.function.flags.isolation
    };
    for wanted in [Isolation::Kept, Isolation::Fresh] {
        assert_eq!(isolation(wanted).await, wanted);
    }
    outbound_goes_with_idempotent(&store, &one).await;
    back(3).await.unwrap();
    assert_eq!(kept(&store, &one).await, [1, 2].map(|n| digest("f", n)));
    assert_eq!(
        back(1).await.unwrap().function.flags,
        changed.function.flags,
        "as they were last"
    );
    deploy(&store, &two, 2).await;
    assert_eq!(
        kept(&store, &one).await,
        [1, 3].map(|n| digest("f", n)),
        "deployed anew, it is kept no more"
    );
    let unknown = FunctionName::parse("nobody").unwrap();
    let nobody = store
        .set_flags(space, &unknown, FlagsChange::default())
        .await;
    assert!(matches!(nobody, Err(ChangeError::Unknown { .. })));
}

/// Any change, of the flags too, makes what was read old; of many who replace the same reading one succeeds.
pub(crate) async fn only_what_was_read_is_replaced(kv: Arc<dyn Kv>) {
    let store = FunctionStore::new(kv);
    let f = version("f", 0);
    let replace = async |read: Revision, n: usize| {
        let replaced = store
            .replace_read(read, &version("f", n), &code(n), NOW)
            .await;
        replaced.map_err(|error| assert!(matches!(error, DeployError::Changed { .. }), "{error}"))
    };
    let first = deploy(&store, &f, 0).await;
    let second = replace(first, 1).await.unwrap();
    assert_eq!(
        kept(&store, &f).await,
        [digest("f", 0)],
        "replacing keeps what was there"
    );
    replace(first, 2).await.unwrap_err();
    let flags = FlagsChange {
        idempotent: Some(true),
        ..FlagsChange::default()
    };
    let third = store
        .set_flags(&f.space, &f.name, flags)
        .await
        .unwrap()
        .revision;
    replace(second, 2).await.unwrap_err();
    assert_eq!(
        store
            .get(&f.space, &f.name)
            .await
            .unwrap()
            .unwrap()
            .revision,
        third,
        "a refusal changes nothing"
    );

    let mut tasks = tokio::task::JoinSet::new();
    for n in 2..8 {
        let store = store.clone();
        tasks.spawn(async move {
            store
                .replace_read(third, &version("f", n), &code(n), NOW)
                .await
                .ok()
        });
    }
    let done: Vec<Revision> = tasks.join_all().await.into_iter().flatten().collect();
    assert_eq!(done.len(), 1);
    assert_eq!(
        store
            .get(&f.space, &f.name)
            .await
            .unwrap()
            .unwrap()
            .revision,
        done[0]
    );

    store.delete(&f.space, &f.name).await.unwrap();
    replace(done[0], 9).await.unwrap_err();
    assert!(
        store.get(&f.space, &f.name).await.unwrap().is_none(),
        "what was deleted does not come back"
    );
}

/// Of one function and of several in one space: all succeed, and nothing is lost but what is too old.
pub(crate) async fn concurrent_deploys_all_succeed(kv: Arc<dyn Kv>) {
    let store = FunctionStore::new(kv);
    let mut tasks = tokio::task::JoinSet::new();
    for n in 0..8 {
        let same = store.clone();
        tasks.spawn(async move { deploy(&same, &version("f", n), n).await });
        let own = store.clone();
        tasks.spawn(async move { deploy(&own, &version(&format!("f{n}"), n), n).await });
    }
    let revisions = tasks.join_all().await;
    let space = SpaceId::default_space();
    assert_eq!(
        generation(&store, &space).await,
        revisions.iter().max().copied()
    );
    let f = version("f", 0);
    let history = store.versions(&f.space, &f.name).await.unwrap().unwrap();
    let mut found = kept(&store, &f).await;
    found.push(history.current.function.version.digest);
    assert_eq!(found.into_iter().collect::<HashSet<_>>().len(), 8);
}

/// Sweeps between roll-backs, without any grace time: no version is ever left without its code.
pub(crate) async fn roll_backs_and_sweeps_do_not_cross(kv: Arc<dyn Kv>) {
    let store = FunctionStore::new(kv);
    let f = version("f", 0);
    deploy(&store, &f, 0).await;
    deploy(&store, &version("f", 1), 1).await;
    let done = AtomicBool::new(false);
    let sweeps = AtomicUsize::new(0);
    let roll_backs = async {
        for round in 0..ROUNDS_MAX {
            if round >= ROUNDS_MIN && sweeps.load(Ordering::SeqCst) > 2 {
                break;
            }
            let now = store
                .roll_back(&f.space, &f.name, &digest("f", round % 2), NOW)
                .await
                .unwrap();
            let found = store.blobs().get(&now.function.version.code).await.unwrap();
            assert_eq!(found, Some(code(round % 2)));
        }
        done.store(true, Ordering::SeqCst);
    };
    let sweeping = async {
        while !done.load(Ordering::SeqCst) {
            let survey = store.blobs().survey().await.unwrap();
            let loaded = store.load_all().await.unwrap();
            let mut named: HashSet<Digest> = loaded
                .functions
                .iter()
                .map(|one| one.function.version.code)
                .collect();
            named.extend(store.code_of_versions().await.unwrap());
            let swept = store
                .blobs()
                .sweep(&survey, &named, NOW, Duration::ZERO)
                .await
                .unwrap();
            assert_eq!(swept.blobs, 0);
            sweeps.fetch_add(1, Ordering::SeqCst);
        }
    };
    tokio::join!(sweeping, roll_backs);
    assert!(sweeps.into_inner() > 0, "nothing was swept");
}
