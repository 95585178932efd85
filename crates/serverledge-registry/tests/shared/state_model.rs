//! The stores of a space against a model: a map with a clock of its own. Replies, listings and usages are the same.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use proptest::prelude::*;
use serverledge_core::kv::{Kv, RangeRequest};
use serverledge_core::{
    SpaceId, StateError, StateKey, StateLimits, StateOp, StateReply, StateUsage, StateVersion,
    StoreName,
};
use serverledge_registry::Stores;

use super::checks::{NOW, key};

const KEYS: [&str; 5] = ["a", "a/b", "a/c", "b/ü", "c"];
const STORES: [&str; 2] = ["default", "other"];
/// Small, so that histories reach them.
const LIMITS: StateLimits = StateLimits {
    bytes_max: 90,
    keys_max: 6,
    value_bytes_max: 30,
};

#[derive(Debug, Clone)]
pub(crate) enum Step {
    Act {
        store: usize,
        key: usize,
        act: Act,
    },
    List {
        store: usize,
        prefix: &'static str,
        limit: usize,
    },
    Clear {
        store: usize,
    },
    Sweep,
    Wait(u64),
}

#[derive(Debug, Clone)]
pub(crate) enum Act {
    Get,
    Set(Vec<u8>, Option<u64>),
    Delete,
    Swap(Expected, Vec<u8>, Option<u64>),
    Add(i64),
}

/// The version that a swap names.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Expected {
    Current,
    Nothing,
    Earlier,
}

/// An entry that is kept, over or not.
#[derive(Debug, Clone, PartialEq)]
struct Kept {
    value: Vec<u8>,
    end: Option<u64>,
    version: StateVersion,
}

/// The outcome that an operation should have.
#[derive(Debug)]
enum Due {
    Refusal(&'static str),
    Unchanged(StateReply),
    /// This is kept afterwards, with the end.
    Kept(Vec<u8>, Option<u64>),
    Gone,
}

/// The model, and the stores that should do the same.
struct Pair {
    stores: Stores,
    space: SpaceId,
    entries: BTreeMap<(&'static str, &'static str), Kept>,
    now: u64,
    newest: StateVersion,
}

fn value() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        3 => prop::collection::vec(any::<u8>(), 0..33),
        2 => (-20_i64..20).prop_map(|number| number.to_string().into_bytes()),
        1 => Just(i64::MAX.to_string().into_bytes()),
    ]
}

fn ttl() -> impl Strategy<Value = Option<u64>> {
    prop_oneof![3 => Just(None), 4 => (1_u64..20).prop_map(Some), 1 => Just(Some(0))]
}

fn act() -> impl Strategy<Value = Act> {
    let expected = prop_oneof![
        3 => Just(Expected::Current),
        1 => Just(Expected::Nothing),
        1 => Just(Expected::Earlier),
    ];
    prop_oneof![
        2 => Just(Act::Get),
        4 => (value(), ttl()).prop_map(|(value, ttl)| Act::Set(value, ttl)),
        2 => Just(Act::Delete),
        3 => (expected, value(), ttl()).prop_map(|(expected, value, ttl)| Act::Swap(expected, value, ttl)),
        3 => prop_oneof![4 => -3_i64..100, 1 => Just(i64::MIN)].prop_map(Act::Add),
    ]
}

pub(crate) fn step() -> impl Strategy<Value = Step> {
    let store = 0..STORES.len();
    let prefix = prop_oneof![Just(""), Just("a"), Just("a/"), Just("b/ü"), Just("x")];
    prop_oneof![
        16 => (store.clone(), 0..KEYS.len(), act()).prop_map(|(store, key, act)| Step::Act { store, key, act }),
        3 => (store.clone(), prefix, 0_usize..4).prop_map(|(store, prefix, limit)| Step::List { store, prefix, limit }),
        1 => store.prop_map(|store| Step::Clear { store }),
        2 => Just(Step::Sweep),
        4 => (1_u64..12).prop_map(Step::Wait),
    ]
}

/// Does the same with both, and compares after each step. Nothing is left in the registry at the end.
pub(crate) async fn run(kv: Arc<dyn Kv>, steps: &[Step]) {
    let mut pair = Pair {
        stores: Stores::new(kv.clone()),
        space: SpaceId::new(),
        entries: BTreeMap::new(),
        now: NOW,
        newest: StateVersion::new(0),
    };
    for step in steps {
        match step {
            Step::Act { store, key, act } => pair.act(STORES[*store], KEYS[*key], act).await,
            Step::List {
                store,
                prefix,
                limit,
            } => pair.list(STORES[*store], prefix, *limit).await,
            Step::Clear { store } => pair.clear(STORES[*store]).await,
            Step::Sweep => pair.sweep().await,
            Step::Wait(time) => pair.now += time,
        }
        pair.compare_usages().await;
    }
    pair.stores.remove_space(&pair.space).await.unwrap();
    let left = kv.range(RangeRequest::prefix("state")).await.unwrap();
    assert!(left.entries.is_empty(), "{:?}", left.entries);
}

impl Pair {
    fn is_over(&self, kept: &Kept) -> bool {
        kept.end.is_some_and(|end| end <= self.now)
    }

    fn live(&self, store: &'static str, key: &'static str) -> Option<&Kept> {
        let kept = self.entries.get(&(store, key))?;
        (!self.is_over(kept)).then_some(kept)
    }

    fn usage(&self, store: Option<&str>) -> StateUsage {
        let mut usage = StateUsage::default();
        for ((in_store, key), kept) in &self.entries {
            if store.is_none_or(|store| store == *in_store) {
                usage.bytes += (key.len() + kept.value.len()) as u64;
                usage.keys += 1;
            }
        }
        usage
    }

    fn op(&self, store: &'static str, name: &'static str, act: &Act) -> StateOp {
        let key = key(name);
        match act.clone() {
            Act::Get => StateOp::Get { key },
            Act::Delete => StateOp::Delete { key },
            Act::Add(by) => StateOp::Increment { key, by },
            Act::Set(value, ttl) => StateOp::Set {
                key,
                value: value.into(),
                ttl: ttl.map(Duration::from_millis),
            },
            Act::Swap(expected, value, ttl) => StateOp::CompareAndSet {
                key,
                expected: match expected {
                    Expected::Current => self.live(store, name).map(|kept| kept.version),
                    Expected::Nothing => None,
                    Expected::Earlier => Some(StateVersion::new(1)),
                },
                value: value.into(),
                ttl: ttl.map(Duration::from_millis),
            },
        }
    }

    fn due(&self, store: &'static str, key: &'static str, act: &Act) -> Due {
        let live = self.live(store, key);
        match act {
            Act::Get => Due::Unchanged(StateReply::Entry(live.map(|kept| {
                serverledge_core::StateEntry {
                    value: Bytes::from(kept.value.clone()),
                    version: kept.version,
                }
            }))),
            Act::Delete if live.is_none() => Due::Unchanged(StateReply::Deleted(false)),
            Act::Delete => Due::Gone,
            Act::Set(value, ttl) | Act::Swap(_, value, ttl) => {
                if value.len() > LIMITS.value_bytes_max {
                    return Due::Refusal("kv_value_too_large");
                }
                if *ttl == Some(0) {
                    return Due::Refusal("kv_ttl_invalid");
                }
                let mismatch = match act {
                    Act::Swap(Expected::Nothing, ..) => live.is_some(),
                    Act::Swap(Expected::Earlier, ..) => true,
                    _ => false,
                };
                if mismatch {
                    return Due::Unchanged(StateReply::Swapped(None));
                }
                self.kept(store, key, value.clone(), ttl.map(|ttl| self.now + ttl))
            }
            Act::Add(by) => {
                let text = live.map_or(Ok("0"), |kept| std::str::from_utf8(&kept.value));
                let number = text.ok().and_then(|text| text.parse::<i64>().ok());
                let Some(sum) = number.and_then(|number| number.checked_add(*by)) else {
                    return Due::Refusal("kv_not_a_number");
                };
                let end = live.and_then(|kept| kept.end);
                self.kept(store, key, sum.to_string().into_bytes(), end)
            }
        }
    }

    /// Kept, if there is room: what is over and not swept counts.
    fn kept(
        &self,
        store: &'static str,
        key: &'static str,
        value: Vec<u8>,
        end: Option<u64>,
    ) -> Due {
        let usage = self.usage(None);
        let before = self.entries.get(&(store, key));
        let freed = before.map_or(0, |kept| key.len() + kept.value.len());
        let taken = key.len() + value.len();
        let bytes = usage.bytes - freed as u64 + taken as u64;
        if taken > freed && bytes > LIMITS.bytes_max
            || before.is_none() && usage.keys + 1 > LIMITS.keys_max
        {
            return Due::Refusal("kv_full");
        }
        Due::Kept(value, end)
    }

    async fn act(&mut self, store: &'static str, key: &'static str, act: &Act) {
        let op = self.op(store, key, act);
        let due = self.due(store, key, act);
        let name: StoreName = store.parse().unwrap();
        let reply = self
            .stores
            .apply(&self.space, &name, &op, &LIMITS, &|| self.now)
            .await;
        match (due, reply) {
            (Due::Refusal(code), Err(error)) => assert_eq!(error.code(), code),
            (Due::Unchanged(due), Ok(reply)) => assert_eq!(reply, due),
            (Due::Gone, Ok(StateReply::Deleted(true))) => {
                self.entries.remove(&(store, key));
            }
            (Due::Kept(value, end), Ok(reply)) => {
                let version = self.written(&name, key, act, &value, reply).await;
                assert!(version > self.newest, "versions grow");
                self.newest = version;
                let kept = Kept {
                    value,
                    end,
                    version,
                };
                self.entries.insert((store, key), kept);
            }
            (due, reply) => panic!("{act:?}: {due:?}, not {reply:?}"),
        }
    }

    /// The version that a write has made.
    async fn written(
        &self,
        store: &StoreName,
        name: &'static str,
        act: &Act,
        value: &[u8],
        reply: StateReply,
    ) -> StateVersion {
        match (act, reply) {
            (Act::Set(..), StateReply::Written(version))
            | (Act::Swap(..), StateReply::Swapped(Some(version))) => version,
            (Act::Add(_), StateReply::Number(sum)) => {
                assert_eq!(sum.to_string().as_bytes(), value);
                let get = StateOp::Get { key: key(name) };
                let read = self
                    .stores
                    .apply(&self.space, store, &get, &LIMITS, &|| self.now)
                    .await;
                let Ok(StateReply::Entry(Some(entry))) = read else {
                    panic!("{read:?}")
                };
                assert_eq!(entry.value, value);
                entry.version
            }
            (act, reply) => panic!("{act:?}: {reply:?}"),
        }
    }

    async fn list(&self, store: &'static str, prefix: &str, limit: usize) {
        let name: StoreName = store.parse().unwrap();
        let mut found: Vec<StateKey> = Vec::new();
        let mut cursor = None;
        loop {
            let op = StateOp::List {
                prefix: prefix.to_owned(),
                cursor,
                limit,
            };
            let reply = self
                .stores
                .apply(&self.space, &name, &op, &LIMITS, &|| self.now)
                .await;
            let Ok(StateReply::Keys(page)) = reply else {
                panic!("{reply:?}")
            };
            assert!(limit == 0 || page.keys.len() <= limit);
            found.extend(page.keys);
            cursor = page.cursor;
            if cursor.is_none() {
                break;
            }
        }
        let due = self.entries.iter().filter(|((in_store, name), kept)| {
            *in_store == store && name.starts_with(prefix) && !self.is_over(kept)
        });
        let due: Vec<StateKey> = due.map(|((_, name), _)| key(name)).collect();
        assert_eq!(found, due);
    }

    async fn clear(&mut self, store: &'static str) {
        let name: StoreName = store.parse().unwrap();
        let due = self.usage(Some(store)).keys;
        let cleared = self.stores.clear(&self.space, &name).await;
        assert!(matches!(cleared, Ok(keys) if keys == due), "{cleared:?}");
        self.entries.retain(|(in_store, _), _| *in_store != store);
    }

    async fn sweep(&mut self) {
        let before = self.entries.len();
        let now = self.now;
        self.entries
            .retain(|_, kept| kept.end.is_none_or(|end| end > now));
        let due = (before - self.entries.len()) as u64;
        let swept: Result<u64, StateError> = self.stores.sweep(now).await;
        assert!(matches!(swept, Ok(keys) if keys == due), "{swept:?}");
    }

    async fn compare_usages(&self) {
        let usage = self.stores.usage(&self.space).await.unwrap();
        assert_eq!(usage, self.usage(None));
        let due = STORES.map(|store| {
            let name: StoreName = store.parse().unwrap();
            (name, self.usage(Some(store)))
        });
        let mut due = due.to_vec();
        due.retain(|(_, usage)| usage.keys > 0);
        assert_eq!(self.stores.stores(&self.space).await.unwrap(), due);
    }
}
