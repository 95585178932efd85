//! One invocation in the hands of nodes that die, come back, and act on what they saw long ago: whatever they do, there is
//! a claim exactly as long as there is work, and an outcome never changes.

use std::sync::Arc;

use bytes::Bytes;
use proptest::collection::vec;
use proptest::prelude::*;
use serverledge_core::InvocationId;
use serverledge_core::kv::Kv;
use serverledge_registry::{
    Acceptance, FinalOutcome, Held, Invocation, InvocationStore, InvocationStoreError,
    NewInvocation, NodeStore, Owner,
};
use serverledge_wire::records::CallbackState;

use crate::invocations::checks::{NOW, error, finish, new, owner, start};
use crate::stores::{function, store};

const NODES: [&str; 3] = ["n0", "n1", "n2"];

/// A step of a node. Handles are numbered in the order in which they came about, and may be as old as can be.
#[derive(Debug, Clone)]
enum Step {
    Begin(usize),
    Done(usize),
    GiveUp(usize),
    Callback(usize, CallbackState),
    Cancel(usize),
    /// Takes over what a node has left, if it has.
    TakeOver(usize),
    /// Dies and comes back with another life.
    Restart(usize),
}

struct World {
    kv: Arc<dyn Kv>,
    invocations: InvocationStore,
    nodes: NodeStore,
    lives: Vec<Owner>,
    id: InvocationId,
    handles: Vec<Held>,
    last: Invocation,
}

fn step() -> impl Strategy<Value = Step> {
    let any = 0..20_usize;
    let state = prop_oneof![
        Just(CallbackState::Pending),
        Just(CallbackState::Delivered),
        Just(CallbackState::Failed)
    ];
    prop_oneof![
        4 => any.clone().prop_map(Step::Begin),
        2 => any.clone().prop_map(Step::Done),
        1 => any.clone().prop_map(Step::GiveUp),
        2 => (any, state).prop_map(|(handle, state)| Step::Callback(handle, state)),
        1 => (0..NODES.len()).prop_map(Step::Cancel),
        4 => (0..NODES.len()).prop_map(Step::TakeOver),
        3 => (0..NODES.len()).prop_map(Step::Restart),
    ]
}

impl World {
    async fn new(callback: bool) -> Self {
        let kv = store();
        let lives: Vec<Owner> = NODES.iter().map(|node| owner(node, "0")).collect();
        for life in &lives {
            start(&kv, life).await;
        }
        let invocations = InvocationStore::new(kv.clone());
        let f = function("f", b"code");
        let params = Bytes::from_static(b"{}");
        let callback = callback.then(|| "http://receiver.example/".to_owned());
        let new = NewInvocation {
            callback,
            ..new(InvocationId::new(), &f, &params)
        };
        let Acceptance::Accepted(held) = invocations.accept(&new, &lives[0], NOW).await.unwrap()
        else {
            panic!("a new invocation is not accepted");
        };
        let nodes = NodeStore::new(kv.clone());
        let last = Invocation::clone(&held);
        Self {
            kv,
            invocations,
            nodes,
            lives,
            id: held.id,
            handles: vec![*held],
            last,
        }
    }

    fn handle(&self, number: usize) -> Held {
        self.handles[number % self.handles.len()].clone()
    }

    async fn act(&mut self, number: usize, step: &Step) {
        let now = NOW + 1 + number as u64;
        let changed = match *step {
            Step::Begin(handle) => self.invocations.begin(&self.handle(handle), now).await,
            Step::Done(handle) => {
                let done = finish(FinalOutcome::Done(now.to_string().into()));
                self.invocations
                    .finish(&self.handle(handle), done, now)
                    .await
            }
            Step::GiveUp(handle) => {
                let given_up = finish(FinalOutcome::GivenUp(error(&now.to_string())));
                self.invocations
                    .finish(&self.handle(handle), given_up, now)
                    .await
            }
            Step::Callback(handle, state) => {
                let held = self.handle(handle);
                // As the node: only what has ended and is pending is told.
                let Some(mut callback) = held.record.callback.clone() else {
                    return;
                };
                if !held.record.state.is_terminal() || callback.state != CallbackState::Pending {
                    return;
                }
                callback.state = state;
                self.invocations.note_callback(&held, callback, now).await
            }
            Step::Cancel(node) => return self.cancel(node, now).await,
            Step::TakeOver(node) => return self.take_over(node, now).await,
            Step::Restart(node) => {
                self.lives[node].epoch = now.to_string();
                return start(&self.kv, &self.lives[node]).await;
            }
        };
        match changed {
            Ok(held) => self.handles.push(held),
            Err(InvocationStoreError::Superseded { .. } | InvocationStoreError::Ended { .. }) => {}
            Err(other) => panic!("{other:?}"),
        }
    }

    async fn cancel(&self, node: usize, now: u64) {
        match self
            .invocations
            .cancel(self.id, &error("cancelled"), &self.lives[node], now)
            .await
        {
            Ok(Some(_)) => assert!(!self.last.record.state.is_terminal()),
            Err(InvocationStoreError::Ended { .. }) => {
                assert!(self.last.record.state.is_terminal())
            }
            other => panic!("{other:?}"),
        }
    }

    async fn take_over(&mut self, node: usize, now: u64) {
        let me = &self.lives[node];
        for claim in self.invocations.claims().await.unwrap() {
            let alive = self.lives.contains(&claim.owner);
            let gone = self.nodes.gone(&claim.owner).await.unwrap();
            assert_eq!(gone.is_none(), alive, "{claim:?}");
            if let Some(gone) = gone {
                self.handles.extend(
                    self.invocations
                        .take_over(&claim, &gone, me, now)
                        .await
                        .unwrap(),
                );
            }
        }
    }

    async fn check(&mut self) {
        let found = self.invocations.get(self.id).await.unwrap().unwrap();
        let claims = self.invocations.claims().await.unwrap();
        assert_eq!(
            claims.len(),
            usize::from(found.record.has_pending_work()),
            "{found:?}"
        );
        assert!(found.record.attempt >= self.last.record.attempt);
        let dead = self
            .invocations
            .dead_letters(&found.function().unwrap().space, None, 9)
            .await
            .unwrap();
        assert_eq!(
            dead.dead_letters.len(),
            usize::from(found.record.dead_letter)
        );
        if self.last.record.state.is_terminal() {
            let outcome = |one: &Invocation| {
                let record = &one.record;
                let result = serde_json::to_string(&record.result).unwrap();
                (
                    record.state,
                    record.error.clone(),
                    record.finished_unix_ms,
                    record.dead_letter,
                    result,
                )
            };
            assert_eq!(outcome(&found), outcome(&self.last), "an outcome changed");
        }
        self.last = found;
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    #[test]
    fn whatever_nodes_do_there_is_one_outcome(callback: bool, steps in vec(step(), 1..40)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let mut world = World::new(callback).await;
            for (number, step) in steps.iter().enumerate() {
                world.act(number, step).await;
                world.check().await;
            }
        });
    }
}
