//! Operations on stores, by functions on a whole node.

use serverledge_core::{
    STATE_OPS_MAX, Source, StateEntry, StateKey, StateOp, StateReply, StoreName,
};

use super::outgoing::report;
use super::*;

/// An idempotent function that reads an entry so many times, and then adds 1 to it.
async fn deploy_counter(lab: &InvokeLab, name: &str, reads: usize) {
    let key = "visits".to_owned();
    let more = json!({"Runtime": "wasm", "Idempotent": true});
    lab.deploy(name, &Behaviour::Count { key, reads }, more)
        .await;
}

/// The entry that the functions of the default space count in.
async fn visits(lab: &InvokeLab) -> Option<StateEntry> {
    let key = StateKey::new("visits").unwrap();
    let space = SpaceId::default_space();
    let read = lab
        .node
        .base
        .state
        .apply(&space, &StoreName::default(), &StateOp::Get { key })
        .await;
    match read.unwrap() {
        StateReply::Entry(entry) => entry,
        other => panic!("{other:?}"),
    }
}

/// Number of operations of this kind with this outcome.
fn total(lab: &InvokeLab, operation: &str, outcome: &str) -> u64 {
    let metrics = &lab.node.base.resources.metrics;
    metrics.state.total(operation, outcome)
}

#[tokio::test]
async fn functions_of_a_space_share_its_stores_and_no_run_is_kept() {
    let lab = InvokeLab::new();
    deploy_counter(&lab, "f", 1).await;
    deploy_counter(&lab, "g", 0).await;
    for (name, sum) in [("f", "1"), ("f", "2"), ("g", "3"), ("g", "4")] {
        let (source, result) = report(&lab, name).await;
        assert_eq!((source, &result[..]), (Source::Ran, sum.as_bytes()));
    }
    assert_eq!(total(&lab, "increment", "ok"), 4);
    assert_eq!(total(&lab, "get", "ok"), 2);
    assert_eq!(visits(&lab).await.unwrap().value, "4");
}

/// A run that was refused may do better another time.
#[tokio::test]
async fn one_invocation_makes_so_many_operations() {
    let lab = InvokeLab::new();
    deploy_counter(&lab, "f", STATE_OPS_MAX).await;
    for run in 1..=2 {
        let (source, result) = report(&lab, "f").await;
        assert_eq!(
            (source, &result[..]),
            (Source::Ran, &b"\"kv_too_many\""[..])
        );
        assert_eq!(total(&lab, "increment", "refused"), run);
    }
    assert_eq!(total(&lab, "get", "ok"), 2 * STATE_OPS_MAX as u64);
    assert_eq!(visits(&lab).await, None, "the last one was not carried out");
}
