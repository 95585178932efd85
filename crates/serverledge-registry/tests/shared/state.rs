//! Checks of the stores of functions, over any store. Each check has a space of its own.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use serverledge_core::kv::{Kv, Op, RangeRequest, Txn};
use serverledge_core::{
    STATE_TTL_MAX, SpaceId, StateEntry, StateError, StateKey, StateLimits, StateOp, StatePage,
    StateReply, StateUsage, StateVersion, StoreName,
};
use serverledge_registry::{AppStore, Stores};
use tokio::task::JoinSet;

pub(crate) const NOW: u64 = 1_700_000_000_000;
pub(crate) const WIDE: StateLimits = StateLimits {
    bytes_max: 1 << 30,
    keys_max: 100_000,
    value_bytes_max: 1 << 20,
};

pub(crate) fn key(text: &str) -> StateKey {
    StateKey::new(text).unwrap()
}

/// The stores of a space of its own.
#[derive(Debug, Clone)]
struct Fixture {
    kv: Arc<dyn Kv>,
    stores: Stores,
    space: SpaceId,
    store: StoreName,
}

impl Fixture {
    fn new(kv: Arc<dyn Kv>) -> Self {
        Self {
            stores: Stores::new(kv.clone()),
            kv,
            space: SpaceId::new(),
            store: StoreName::default(),
        }
    }

    fn in_store(&self, name: &str) -> Self {
        Self {
            store: name.parse().unwrap(),
            ..self.clone()
        }
    }

    async fn apply(&self, op: &StateOp, now: u64) -> Result<StateReply, StateError> {
        self.apply_within(op, &WIDE, now).await
    }

    async fn apply_within(
        &self,
        op: &StateOp,
        limits: &StateLimits,
        now: u64,
    ) -> Result<StateReply, StateError> {
        self.stores
            .apply(&self.space, &self.store, op, limits, &|| now)
            .await
    }

    async fn get(&self, name: &str, now: u64) -> Option<StateEntry> {
        match self.apply(&StateOp::Get { key: key(name) }, now).await {
            Ok(StateReply::Entry(entry)) => entry,
            other => panic!("{other:?}"),
        }
    }

    async fn value(&self, name: &str, now: u64) -> Option<Bytes> {
        self.get(name, now).await.map(|entry| entry.value)
    }

    async fn set(&self, name: &str, value: &[u8], ttl_ms: Option<u64>) -> StateVersion {
        match self.apply(&set(name, value, ttl_ms), NOW).await {
            Ok(StateReply::Written(version)) => version,
            other => panic!("{other:?}"),
        }
    }

    async fn delete(&self, name: &str) -> bool {
        match self.apply(&StateOp::Delete { key: key(name) }, NOW).await {
            Ok(StateReply::Deleted(deleted)) => deleted,
            other => panic!("{other:?}"),
        }
    }

    async fn add(&self, name: &str, by: i64, now: u64) -> i64 {
        let op = StateOp::Increment { key: key(name), by };
        match self.apply(&op, now).await {
            Ok(StateReply::Number(sum)) => sum,
            other => panic!("{other:?}"),
        }
    }

    async fn swap(
        &self,
        name: &str,
        expected: Option<StateVersion>,
        value: &[u8],
    ) -> Option<StateVersion> {
        let op = StateOp::CompareAndSet {
            key: key(name),
            expected,
            value: Bytes::copy_from_slice(value),
            ttl: None,
        };
        match self.apply(&op, NOW).await {
            Ok(StateReply::Swapped(version)) => version,
            other => panic!("{other:?}"),
        }
    }

    async fn list(&self, prefix: &str, cursor: Option<String>, limit: usize) -> StatePage {
        let op = StateOp::List {
            prefix: prefix.to_owned(),
            cursor,
            limit,
        };
        match self.apply(&op, NOW).await {
            Ok(StateReply::Keys(page)) => page,
            other => panic!("{other:?}"),
        }
    }

    async fn usage(&self) -> StateUsage {
        self.stores.usage(&self.space).await.unwrap()
    }

    /// The usage of this store as its entries themselves say it.
    async fn counted(&self) -> StateUsage {
        let mut usage = StateUsage::default();
        for key in self.list("", None, 0).await.keys {
            let value = self.value(key.as_str(), NOW).await.unwrap();
            usage.bytes += (key.as_str().len() + value.len()) as u64;
            usage.keys += 1;
        }
        usage
    }

    /// All keys of the registry that name this space and belong to stores.
    async fn keys_left(&self) -> Vec<String> {
        let request = RangeRequest::prefix("state").keys_only();
        let found = self.kv.range(request).await.unwrap().entries;
        let text = |key: &[u8]| String::from_utf8(key.to_vec()).unwrap();
        let mut keys: Vec<_> = found.iter().map(|entry| text(&entry.key)).collect();
        keys.retain(|key| key.contains(self.space.as_str()));
        keys
    }
}

fn set(name: &str, value: &[u8], ttl_ms: Option<u64>) -> StateOp {
    StateOp::Set {
        key: key(name),
        value: Bytes::copy_from_slice(value),
        ttl: ttl_ms.map(Duration::from_millis),
    }
}

fn names(page: &StatePage) -> Vec<&str> {
    page.keys.iter().map(StateKey::as_str).collect()
}

fn code(result: Result<StateReply, StateError>) -> &'static str {
    result.unwrap_err().code()
}

pub(crate) async fn entries_are_written_read_and_deleted(kv: Arc<dyn Kv>) {
    let f = Fixture::new(kv);
    assert_eq!(f.get("k", NOW).await, None);
    let first = f.set("k", b"\0\xff", None).await;
    let second = f.set("k", b"", None).await;
    assert!(second > first);
    let entry = f.get("k", NOW).await.unwrap();
    assert_eq!((entry.value, entry.version), (Bytes::new(), second));
    assert_eq!(f.in_store("other").get("k", NOW).await, None);
    assert_eq!(Fixture::new(f.kv.clone()).get("k", NOW).await, None);
    let usage = StateUsage { bytes: 1, keys: 1 };
    assert_eq!(f.usage().await, usage);
    f.in_store("other").set("kk", b"vvv", None).await;
    let other = StateUsage { bytes: 5, keys: 1 };
    let stores = f.stores.stores(&f.space).await.unwrap();
    let expected = [
        (StoreName::default(), usage),
        ("other".parse().unwrap(), other),
    ];
    assert_eq!(stores, expected);
    assert!(f.delete("k").await && !f.delete("k").await);
    assert_eq!(f.usage().await, other);
    assert!(f.in_store("other").delete("kk").await);
    assert_eq!(f.keys_left().await, [""; 0], "nothing is left of nothing");
}

pub(crate) async fn a_swap_wants_its_version(kv: Arc<dyn Kv>) {
    let f = Fixture::new(kv);
    let version = StateVersion::new;
    assert_eq!(f.swap("k", Some(version(0)), b"x").await, None);
    let first = f.swap("k", None, b"1").await.unwrap();
    assert_eq!(f.swap("k", None, b"x").await, None);
    let second = f.swap("k", Some(first), b"2").await.unwrap();
    assert_eq!(f.swap("k", Some(first), b"x").await, None);
    assert_eq!(f.value("k", NOW).await.unwrap(), "2");
    f.delete("k").await;
    assert_eq!(f.swap("k", Some(second), b"x").await, None);
    let third = f.swap("k", None, b"3").await.unwrap();
    assert!(third > second && second > first);
}

pub(crate) async fn numbers_are_added_to(kv: Arc<dyn Kv>) {
    let f = Fixture::new(kv);
    assert_eq!(f.add("n", 5, NOW).await, 5);
    assert_eq!(f.add("n", -7, NOW).await, -2);
    assert_eq!(f.value("n", NOW).await.unwrap(), "-2");
    f.set("n", i64::MAX.to_string().as_bytes(), None).await;
    let add = |name: &str| StateOp::Increment {
        key: key(name),
        by: 1,
    };
    let over = f.apply(&add("n"), NOW).await;
    assert!(matches!(&over, Err(StateError::Overflow(name)) if name == "n"));
    assert_eq!(f.add("n", -1, NOW).await, i64::MAX - 1);
    for text in [&b"x"[..], b"", b"1.5", b"\xff", b" 1"] {
        f.set("t", text, None).await;
        assert_eq!(code(f.apply(&add("t"), NOW).await), "kv_not_a_number");
        assert_eq!(f.value("t", NOW).await.unwrap(), text);
    }
}

pub(crate) async fn entries_end_with_their_time(kv: Arc<dyn Kv>) {
    let f = Fixture::new(kv);
    f.set("k", b"1", Some(10)).await;
    assert_eq!(f.value("k", NOW + 9).await.unwrap(), "1");
    // An addition keeps the end.
    assert_eq!(f.add("k", 1, NOW + 9).await, 2);
    assert_eq!(f.get("k", NOW + 10).await, None);
    assert_eq!(f.usage().await.keys, 1, "it counts until it is swept");
    assert_eq!(
        f.add("k", 3, NOW + 10).await,
        3,
        "an end is a new beginning"
    );
    assert_eq!(f.value("k", NOW + 1_000_000).await.unwrap(), "3");
    // A write without a lifetime takes the old one away.
    f.set("k", b"x", Some(10)).await;
    f.set("k", b"y", None).await;
    f.set("l", b"z", Some(20)).await;
    f.set("l", b"z", Some(30)).await;
    assert_eq!(f.stores.sweep(NOW + 25).await.unwrap(), 0);
    assert_eq!(f.value("k", NOW + 25).await.unwrap(), "y");
    assert_eq!(f.value("l", NOW + 25).await.unwrap(), "z");
    assert_eq!(f.stores.sweep(NOW + 30).await.unwrap(), 1);
    assert_eq!(f.usage().await, StateUsage { bytes: 2, keys: 1 });
    let left = f.keys_left().await;
    assert_eq!(left.len(), 3, "an entry and two usages: {left:?}");
    for ttl in [
        Duration::ZERO,
        Duration::from_micros(999),
        STATE_TTL_MAX * 2,
    ] {
        let op = StateOp::Set {
            key: key("t"),
            value: Bytes::new(),
            ttl: Some(ttl),
        };
        assert_eq!(code(f.apply(&op, NOW).await), "kv_ttl_invalid");
    }
}

pub(crate) async fn keys_are_listed_in_pages(kv: Arc<dyn Kv>) {
    let f = Fixture::new(kv);
    for name in ["b", "a/1", "a/2", "a/3", "a0", "ä", "a"] {
        f.set(name, b"v", None).await;
    }
    f.set("a/25", b"v", Some(1)).await;
    f.in_store("default0").set("a/9", b"v", None).await;
    let later = async |prefix: &str, cursor: Option<String>, limit| {
        let op = StateOp::List {
            prefix: prefix.to_owned(),
            cursor,
            limit,
        };
        match f.apply(&op, NOW + 1).await {
            Ok(StateReply::Keys(page)) => page,
            other => panic!("{other:?}"),
        }
    };
    let all = later("", None, 0).await;
    assert_eq!(names(&all), ["a", "a/1", "a/2", "a/3", "a0", "b", "ä"]);
    assert_eq!(all.cursor, None);
    assert_eq!(later("a/", None, usize::MAX).await.keys.len(), 3);
    assert_eq!(later("x", None, 0).await, StatePage::default());
    let long = "x".repeat(10_000);
    assert_eq!(later(&long, None, 0).await, StatePage::default());
    // The third page has a key that is over, and nothing else; the one after it goes on.
    let mut pages = Vec::new();
    let mut cursor = None;
    loop {
        let page = later("a/", cursor, 1).await;
        pages.push(names(&page).join(","));
        cursor = page.cursor;
        if cursor.is_none() {
            break;
        }
    }
    assert_eq!(pages, ["a/1", "a/2", "", "a/3"]);
    let first = later("a/", None, 1).await.cursor.unwrap();
    for (prefix, cursor) in [("b", &*first), ("", "!"), ("", ""), ("", "_w")] {
        let op = StateOp::List {
            prefix: prefix.to_owned(),
            cursor: Some(cursor.to_owned()),
            limit: 0,
        };
        let refused = f.apply(&op, NOW).await;
        assert!(matches!(refused, Err(StateError::Cursor)), "{refused:?}");
    }
    // A key that is gone is a place to go on from all the same.
    f.delete("a/1").await;
    let rest = f.list("a/", Some(first), 0).await;
    assert_eq!(names(&rest), ["a/2", "a/25", "a/3"]);
}

pub(crate) async fn spaces_are_limited(kv: Arc<dyn Kv>) {
    let f = Fixture::new(kv);
    let limits = StateLimits {
        bytes_max: 20,
        keys_max: 3,
        value_bytes_max: 15,
    };
    let write = async |name: &str, bytes: usize| {
        let op = set(name, &vec![b'x'; bytes], None);
        f.apply_within(&op, &limits, NOW).await.map(drop)
    };
    let refused = |result: Result<(), StateError>| result.unwrap_err().to_string();
    assert!(refused(write("a", 16).await).contains("15 bytes, not 16"));
    write("a", 15).await.unwrap();
    let full = write("b", 4).await;
    let held = 16;
    assert!(matches!(full, Err(StateError::FullOfBytes { bytes, bytes_max: 20 }) if bytes == held));
    write("b", 3).await.unwrap();
    let other = f.in_store("other");
    let op = set("c", b"", None);
    let across = other.apply_within(&op, &limits, NOW).await;
    assert_eq!(code(across), "kv_full", "stores share what a space has");
    write("a", 1).await.unwrap();
    write("c", 0).await.unwrap();
    let many = write("d", 0).await;
    assert!(matches!(
        many,
        Err(StateError::FullOfKeys {
            keys: 3,
            keys_max: 3
        })
    ));
    // Over limits that were lowered, what does not grow is written.
    let low = StateLimits {
        bytes_max: 1,
        keys_max: 1,
        value_bytes_max: 15,
    };
    let same = f.apply_within(&set("b", b"yyy", None), &low, NOW).await;
    assert!(matches!(same, Ok(StateReply::Written(_))), "{same:?}");
    let grown = f.apply_within(&set("b", b"yyyy", None), &low, NOW).await;
    assert_eq!(code(grown), "kv_full");
    let delete = StateOp::Delete { key: key("c") };
    let gone = f.apply_within(&delete, &low, NOW).await;
    assert!(matches!(gone, Ok(StateReply::Deleted(true))), "{gone:?}");
}

pub(crate) async fn stores_are_cleared(kv: Arc<dyn Kv>) {
    let f = Fixture::new(kv);
    let other = f.in_store("other");
    let mut tasks = JoinSet::new();
    for number in 0..300 {
        let f = f.clone();
        let ttl = (number % 3 == 0).then_some(1_000);
        tasks.spawn(async move { f.set(&format!("k/{number}"), b"value", ttl).await });
    }
    tasks.join_all().await;
    other.set("k", b"v", Some(1_000)).await;
    assert_eq!(f.usage().await.keys, 301);
    assert_eq!(f.stores.clear(&f.space, &f.store).await.unwrap(), 300);
    assert_eq!(f.stores.clear(&f.space, &f.store).await.unwrap(), 0);
    let left = StateUsage { bytes: 2, keys: 1 };
    let stores = f.stores.stores(&f.space).await.unwrap();
    assert_eq!(stores, [(other.store.clone(), left)]);
    assert_eq!(f.usage().await, left);
    assert_eq!(
        f.keys_left().await.len(),
        5,
        "an entry with an end, two usages"
    );
    assert_eq!(other.value("k", NOW).await.unwrap(), "v");
}

pub(crate) async fn stores_go_with_their_space(kv: Arc<dyn Kv>) {
    let f = Fixture::new(kv.clone());
    let apps = AppStore::new(kv.clone());
    let neighbour = Fixture::new(kv.clone());
    neighbour.set("k", b"v", None).await;
    for number in 0..20 {
        f.in_store("other")
            .set(&format!("k{number}"), b"v", Some(1_000))
            .await;
        f.add("n", 1, NOW).await;
    }
    let damaged = Op::put(format!("state/{}/default/x", f.space), "?");
    kv.txn(Txn::new().then(damaged)).await.unwrap();
    apps.delete_space(&f.space, NOW).await.unwrap();
    let late = f.apply(&set("k", b"v", None), NOW).await;
    assert!(matches!(late, Err(StateError::Missing(_))), "{late:?}");
    let deletions = apps.deletions().await.unwrap();
    let mut ours = deletions.iter().filter(|one| one.space == f.space);
    apps.finish_deletion(ours.next().unwrap()).await.unwrap();
    assert_eq!(f.keys_left().await, [""; 0]);
    assert_eq!(f.usage().await, StateUsage::default());
    let late = f.apply(&set("k", b"v", None), NOW).await;
    assert!(matches!(late, Err(StateError::Missing(_))), "{late:?}");
    assert_eq!(neighbour.value("k", NOW).await.unwrap(), "v");
    neighbour
        .stores
        .remove_space(&neighbour.space)
        .await
        .unwrap();
    assert_eq!(neighbour.keys_left().await, [""; 0]);
}

pub(crate) async fn other_forms_are_not_guessed_at(kv: Arc<dyn Kv>) {
    let f = Fixture::new(kv);
    let newer = Op::put(
        format!("state/{}/default/k", f.space),
        &b"\x02........."[..],
    );
    f.kv.txn(Txn::new().then(newer)).await.unwrap();
    let ops = [
        StateOp::Get { key: key("k") },
        set("k", b"", None),
        StateOp::Delete { key: key("k") },
    ];
    for op in ops {
        assert_eq!(code(f.apply(&op, NOW).await), "kv_unavailable");
    }
    let cleared = f.stores.clear(&f.space, &f.store).await;
    assert!(matches!(cleared, Err(StateError::Unavailable(_))));
    assert_eq!(f.keys_left().await.len(), 1);
}

pub(crate) async fn concurrent_additions_add_up(kv: Arc<dyn Kv>) {
    const TASKS: i64 = 12;
    const EACH: i64 = 25;
    let f = Fixture::new(kv);
    let mut tasks = JoinSet::new();
    for task in 0..TASKS {
        let f = f.clone();
        tasks.spawn(async move {
            let mut sums = Vec::new();
            for _ in 0..EACH {
                sums.push(f.add("all", 1, NOW).await);
                f.add(&format!("own/{task}"), 2, NOW).await;
            }
            sums
        });
    }
    let sums: Vec<Vec<i64>> = tasks.join_all().await;
    assert!(sums.iter().all(|sums| sums.is_sorted()));
    let seen: BTreeSet<i64> = sums.into_iter().flatten().collect();
    assert!(seen.into_iter().eq(1..=TASKS * EACH), "each sum once");
    for task in 0..TASKS {
        assert_eq!(f.add(&format!("own/{task}"), 0, NOW).await, 2 * EACH);
    }
    assert_eq!(f.usage().await, f.counted().await);
}

pub(crate) async fn of_concurrent_swaps_one_wins(kv: Arc<dyn Kv>) {
    const TASKS: usize = 8;
    const EACH: usize = 10;
    let f = Fixture::new(kv);
    let mut tasks = JoinSet::new();
    for _ in 0..TASKS {
        let f = f.clone();
        tasks.spawn(async move {
            for _ in 0..EACH {
                loop {
                    let found = f.get("k", NOW).await;
                    let length = found.as_ref().map_or(0, |entry| entry.value.len());
                    let longer = vec![b'x'; length + 1];
                    let version = found.map(|entry| entry.version);
                    if f.swap("k", version, &longer).await.is_some() {
                        break;
                    }
                }
            }
        });
    }
    tasks.join_all().await;
    let value = f.value("k", NOW).await.unwrap();
    assert_eq!(value.len(), TASKS * EACH);
    assert_eq!(f.usage().await, f.counted().await);
}

pub(crate) async fn whoever_writes_the_usage_is_exact(kv: Arc<dyn Kv>) {
    let f = Fixture::new(kv);
    let other = f.in_store("other");
    let mut tasks = JoinSet::new();
    for task in 0..6_usize {
        let (f, other) = (f.clone(), other.clone());
        tasks.spawn(async move {
            for round in 0..30_usize {
                let name = format!("k{}", (task * 7 + round * 5) % 11);
                let store = if round % 3 == 0 { &other } else { &f };
                let ttl = ((task + round) % 4 == 1).then_some(1);
                if (task + round) % 4 == 0 {
                    store.delete(&name).await;
                } else {
                    store.set(&name, &vec![b'x'; round], ttl).await;
                }
            }
        });
    }
    let sweeper = f.clone();
    tasks.spawn(async move {
        for _ in 0..10 {
            sweeper.stores.sweep(NOW + 1).await.unwrap();
            tokio::task::yield_now().await;
        }
    });
    let clearer = other.clone();
    tasks.spawn(async move {
        let (space, store) = (&clearer.space, &clearer.store);
        clearer.stores.clear(space, store).await.unwrap();
    });
    tasks.join_all().await;
    f.stores.sweep(NOW + 1).await.unwrap();
    let (ours, theirs) = (f.counted().await, other.counted().await);
    let sum = StateUsage {
        bytes: ours.bytes + theirs.bytes,
        keys: ours.keys + theirs.keys,
    };
    assert_eq!(f.usage().await, sum);
    let mut expected = vec![(f.store.clone(), ours), (other.store.clone(), theirs)];
    expected.retain(|(_, usage)| usage.keys > 0);
    assert_eq!(f.stores.stores(&f.space).await.unwrap(), expected);
    f.stores.remove_space(&f.space).await.unwrap();
    assert_eq!(f.keys_left().await, [""; 0], "no end is left over");
}
