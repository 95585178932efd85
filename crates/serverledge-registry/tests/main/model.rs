//! The embedded store against a model: maps, one for each revision. Includes old reads, compaction and reopening.

use std::collections::BTreeMap;
use std::path::Path;

use bytes::Bytes;
use proptest::collection::vec;
use proptest::prelude::*;
use serverledge_core::kv::{
    Compare, Event, KeyValue, Kv, KvError, Op, OpReply, RangeRequest, Revision, Txn, WatchError,
};
use serverledge_registry::{Embedded, Options};

type State = BTreeMap<Bytes, KeyValue>;

#[derive(Debug, Clone)]
enum Step {
    Txn(Txn),
    /// Compacts at this share (of 255) of the history.
    Compact(u8),
    Reopen,
}

/// The contents that the store should have.
struct Model {
    /// The state after each revision; the first is that of an empty store, revision 1.
    states: Vec<State>,
    compacted: u64,
}

fn key() -> impl Strategy<Value = String> {
    "[ab](/[ab])?"
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        4 => (key(), "[x-z]{0,3}").prop_map(|(key, value)| Op::put(key, value)),
        2 => key().prop_map(Op::delete),
        1 => "[ab]/?".prop_map(Op::delete_prefix),
        2 => key().prop_map(Op::get),
    ]
}

fn compare() -> impl Strategy<Value = Compare> {
    prop_oneof![
        key().prop_map(Compare::exists),
        key().prop_map(Compare::missing),
        (key(), 0..20_u64)
            .prop_map(|(key, revision)| Compare::mod_revision(key, Revision::new(revision))),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    let txn = (vec(compare(), 0..2), vec(op(), 0..4), vec(op(), 0..2));
    prop_oneof![
        12 => txn.prop_map(|(compares, then, otherwise)| Step::Txn(Txn { compares, then, otherwise })),
        1 => any::<u8>().prop_map(Step::Compact),
        1 => Just(Step::Reopen),
    ]
}

impl Model {
    fn now(&self) -> u64 {
        self.states.len() as u64
    }

    fn newest(&self) -> &State {
        self.states.last().unwrap()
    }

    fn txn(&mut self, txn: &Txn) -> (bool, Vec<OpReply>) {
        let holds = |compare: &Compare| compare.condition.holds(self.newest().get(&compare.key));
        let succeeded = txn.compares.iter().all(holds);
        let mut state = self.newest().clone();
        let mut changed = false;
        let revision = Revision::new(self.now() + 1);
        let ops = if succeeded { &txn.then } else { &txn.otherwise };
        let replies = ops
            .iter()
            .map(|op| apply(&mut state, &mut changed, op, revision))
            .collect();
        if changed {
            self.states.push(state);
        }
        (succeeded, replies)
    }

    /// The changes that a watch from a revision on reports, by revision, as unordered pairs of key and new value.
    fn changes(&self, from: u64) -> BTreeMap<u64, BTreeMap<Bytes, Option<KeyValue>>> {
        let mut all = BTreeMap::new();
        for revision in from.max(2)..=self.now() {
            let old = &self.states[usize_of(revision) - 2];
            let new = &self.states[usize_of(revision) - 1];
            let keys = old
                .keys()
                .chain(new.keys())
                .filter(|key| old.get(*key) != new.get(*key));
            all.insert(
                revision,
                keys.map(|key| (key.clone(), new.get(key).cloned()))
                    .collect(),
            );
        }
        all
    }
}

fn apply(state: &mut State, changed: &mut bool, op: &Op, revision: Revision) -> OpReply {
    match op {
        Op::Put { key, value, .. } => {
            let old = state.get(key);
            let entry = KeyValue {
                key: key.clone(),
                value: value.clone(),
                create_revision: old.map_or(revision, |old| old.create_revision),
                mod_revision: revision,
                version: old.map_or(1, |old| old.version + 1),
                lease: None,
            };
            state.insert(key.clone(), entry);
            *changed = true;
            OpReply::Put
        }
        Op::Delete { key } => delete(state, changed, |other| other == key),
        Op::DeletePrefix { prefix } => delete(state, changed, |other| other.starts_with(prefix)),
        Op::Get { key } => OpReply::Got(state.get(key).cloned()),
    }
}

fn delete(state: &mut State, changed: &mut bool, which: impl Fn(&Bytes) -> bool) -> OpReply {
    let before = state.len();
    state.retain(|key, _| !which(key));
    *changed |= state.len() != before;
    OpReply::Deleted((before - state.len()) as u64)
}

fn usize_of(number: u64) -> usize {
    usize::try_from(number).unwrap()
}

async fn run(dir: &Path, steps: Vec<Step>) {
    let mut model = Model {
        states: vec![State::new()],
        compacted: 0,
    };
    let mut store = Embedded::open(dir, &Options::default()).unwrap();
    for step in steps {
        match step {
            Step::Txn(txn) => match store.txn(txn.clone()).await {
                Ok(reply) => {
                    assert_eq!((reply.succeeded, reply.replies), model.txn(&txn));
                    assert_eq!(reply.revision.get(), model.now());
                }
                Err(KvError::DuplicateKey { .. }) => assert!(txn.check().is_err()),
                Err(other) => panic!("{other:?}"),
            },
            Step::Compact(share) => compact(&store, &mut model, share).await,
            Step::Reopen => {
                drop(store);
                store = Embedded::open(dir, &Options::default()).unwrap();
            }
        }
        compare_states(&store, &model).await;
    }
    compare_watches(&store, &model).await;
}

async fn compact(store: &Embedded, model: &mut Model, share: u8) {
    let at = model.now() * u64::from(share) / 255;
    match store.compact(Revision::new(at)).await {
        Ok(()) => model.compacted = at,
        Err(KvError::Compacted(oldest)) => {
            assert!(at <= model.compacted && oldest.get() == model.compacted)
        }
        Err(other) => panic!("{other:?}"),
    }
}

/// All readable revisions.
async fn compare_states(store: &Embedded, model: &Model) {
    for revision in 1..=model.now() {
        let reply = store
            .range(RangeRequest::prefix("").at(Revision::new(revision)))
            .await;
        if revision < model.compacted && revision < model.now() {
            assert!(matches!(reply, Err(KvError::Compacted(at)) if at.get() == model.compacted));
        } else {
            let expected: Vec<_> = model.states[usize_of(revision) - 1]
                .values()
                .cloned()
                .collect();
            assert_eq!(reply.unwrap().entries, expected, "at revision {revision}");
        }
    }
    assert_eq!(store.status().await.unwrap().revision.get(), model.now());
}

async fn compare_watches(store: &Embedded, model: &Model) {
    for from in 1..=model.now() {
        let mut watch = store.watch(b"", Some(Revision::new(from))).await.unwrap();
        let expected = model.changes(from);
        if from < model.compacted {
            assert!(matches!(
                watch.next().await,
                Err(WatchError::Compacted { .. })
            ));
        } else if !expected.is_empty() {
            let mut seen: BTreeMap<u64, BTreeMap<_, _>> = BTreeMap::new();
            while seen.keys().last() != expected.keys().last() {
                for event in watch.next().await.unwrap() {
                    let key = event.key().clone();
                    let revision = event.revision().get();
                    let entry = if let Event::Put(entry) = event {
                        Some(entry)
                    } else {
                        None
                    };
                    seen.entry(revision).or_default().insert(key, entry);
                }
            }
            assert_eq!(seen, expected, "watching from {from}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn embedded_is_what_the_model_says(steps in vec(step(), 1..40)) {
        let dir = tempfile::tempdir().unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(run(dir.path(), steps));
    }
}
