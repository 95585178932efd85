//! Checks of the store of invocations, over any store, races included. Each check wants one of its own.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use serverledge_core::kv::{Kv, RangeRequest};
use serverledge_core::{Function, InvocationId, SpaceId};
use serverledge_registry::{
    Acceptance, BlobStore, FinalOutcome, Finish, Held, IdempotencyKey, InvocationStore,
    InvocationStoreError, NewInvocation, NodeStore, Owner, Redriven, Retention, code_digest,
};
use serverledge_wire::records::{CallbackState, ErrorRecord, InvocationState, StoredJson};

use crate::stores::{function, node_record};

pub(crate) const NOW: u64 = 1_700_000_000_000;
const HOUR: u64 = 3_600_000;
const RETENTION: Retention = Retention {
    result: Duration::from_secs(1800),
    dead_letter: Duration::from_secs(7200),
};
/// Rounds of a race: each round goes one way or the other.
const ROUNDS: usize = 20;

/// One life of a node.
pub(crate) fn owner(node: &str, epoch: &str) -> Owner {
    Owner {
        area: "ROME".to_owned(),
        node: node.to_owned(),
        epoch: epoch.to_owned(),
    }
}

/// A node's record appears.
pub(crate) async fn start(kv: &Arc<dyn Kv>, owner: &Owner) {
    let lease = kv.lease_grant(Duration::from_secs(600)).await.unwrap().id;
    let nodes = NodeStore::new(kv.clone());
    nodes
        .register(&owner.area, &owner.node, &node_record(&owner.epoch), lease)
        .await
        .unwrap();
}

/// An id that was made then.
fn id_at(unix_ms: u64, number: u16) -> InvocationId {
    let high = unix_ms >> 16;
    let low = unix_ms & 0xffff;
    InvocationId::parse(&format!(
        "{high:08x}-{low:04x}-7000-8000-00000000{number:04x}"
    ))
    .unwrap()
}

pub(crate) fn new<'a>(
    id: InvocationId,
    function: &'a Function,
    params: &'a Bytes,
) -> NewInvocation<'a> {
    NewInvocation {
        id,
        function,
        params,
        qos_class: 0,
        deadline_unix_ms: None,
        trace: None,
        may_offload: true,
        return_output: false,
        callback: None,
        key: None,
    }
}

fn held(acceptance: Acceptance) -> Held {
    match acceptance {
        Acceptance::Accepted(held) => *held,
        Acceptance::Repeated(id) => panic!("repeated {id}"),
    }
}

async fn accepted(invocations: &InvocationStore, params: &str, owner: &Owner) -> Held {
    let function = function("f", b"code");
    let params = Bytes::copy_from_slice(params.as_bytes());
    held(
        invocations
            .accept(&new(InvocationId::new(), &function, &params), owner, NOW)
            .await
            .unwrap(),
    )
}

async fn with_callback(invocations: &InvocationStore, owner: &Owner) -> Held {
    let function = function("f", b"code");
    let params = Bytes::from_static(b"{}");
    let callback = Some("http://receiver.example/".to_owned());
    let new = NewInvocation {
        callback,
        ..new(InvocationId::new(), &function, &params)
    };
    held(invocations.accept(&new, owner, NOW).await.unwrap())
}

pub(crate) fn error(code: &str) -> ErrorRecord {
    ErrorRecord {
        code: code.to_owned(),
        message: "why".to_owned(),
        stack: None,
    }
}

pub(crate) fn finish(outcome: FinalOutcome) -> Finish {
    Finish {
        outcome,
        log: None,
        report: None,
    }
}

fn done(json: &'static str) -> Finish {
    finish(FinalOutcome::Done(Bytes::from_static(json.as_bytes())))
}

fn superseded<T: std::fmt::Debug>(outcome: &Result<T, InvocationStoreError>) -> bool {
    matches!(outcome, Err(InvocationStoreError::Superseded { .. }))
}

async fn keys(kv: &Arc<dyn Kv>, prefix: &'static str) -> Vec<String> {
    let page = kv
        .range(RangeRequest::prefix(prefix).keys_only())
        .await
        .unwrap();
    page.entries
        .iter()
        .map(|entry| String::from_utf8(entry.key.to_vec()).unwrap())
        .collect()
}

pub(crate) async fn an_invocation_ends_once(kv: Arc<dyn Kv>) {
    let invocations = InvocationStore::new(kv.clone());
    let me = owner("n1", "a");
    let queued = accepted(&invocations, r#"{"n": 1}"#, &me).await;
    assert_eq!(queued.function().unwrap(), function("f", b"code"));
    let taken = function("f", b"code");
    let params = Bytes::from_static(b"{}");
    let again = invocations
        .accept(&new(queued.id, &taken, &params), &me, NOW)
        .await;
    assert!(matches!(again, Err(InvocationStoreError::Exists { .. })));
    let running = invocations.begin(&queued, NOW + 1).await.unwrap();
    assert_eq!(
        (running.record.state, running.record.attempt),
        (InvocationState::Running, 1)
    );
    assert!(superseded(&invocations.begin(&queued, NOW + 1).await));
    assert_eq!(invocations.claims().await.unwrap().len(), 1);

    let ended = invocations
        .finish(&running, done("[1, 2]"), NOW + 2)
        .await
        .unwrap();
    assert!(superseded(
        &invocations
            .finish(
                &running,
                finish(FinalOutcome::Failed(error("late"))),
                NOW + 3
            )
            .await
    ));
    assert!(superseded(
        &invocations.finish(&running, done("1"), NOW + 3).await
    ));
    let over = invocations
        .finish(
            &ended,
            finish(FinalOutcome::Expired(error("late"))),
            NOW + 3,
        )
        .await;
    assert!(matches!(
        over,
        Err(InvocationStoreError::Ended {
            state: InvocationState::Done,
            ..
        })
    ));
    let found = invocations.get(ended.id).await.unwrap().unwrap();
    assert_eq!(invocations.params(&found).await.unwrap(), r#"{"n": 1}"#);
    assert_eq!(invocations.result(&found).await.unwrap().unwrap(), "[1, 2]");
    let events: Vec<&str> = found
        .record
        .history
        .iter()
        .map(|entry| entry.event.as_str())
        .collect();
    assert_eq!(events, ["accepted", "begun", "done"]);
    assert!(keys(&kv, "claims/").await.is_empty() && keys(&kv, "deadletters/").await.is_empty());
}

pub(crate) async fn large_parameters_and_results_go_into_blobs(kv: Arc<dyn Kv>) {
    let invocations = InvocationStore::new(kv.clone());
    let me = owner("n1", "a");
    let text = |bytes: usize| format!("\"{}\"", "x".repeat(bytes - 2));
    let params = text(6 * 1024 * 1024);
    let queued = accepted(&invocations, &params, &me).await;
    assert!(matches!(queued.record.params, StoredJson::Blob(_)));
    assert_eq!(invocations.params(&queued).await.unwrap(), params);
    let result = Bytes::from(text(5 * 1024 * 1024));
    let outcome = Finish {
        log: Some("\0".repeat(64 * 1024)),
        ..finish(FinalOutcome::Done(result.clone()))
    };
    let ended = invocations.finish(&queued, outcome, NOW).await.unwrap();
    assert_eq!(invocations.result(&ended).await.unwrap(), Some(result));
    assert_eq!(invocations.blobs_in_use().await.unwrap().len(), 2);

    let other = accepted(&invocations, "{}", &me).await;
    let code = code_digest(b"code");
    assert!(
        invocations.blobs_in_use().await.unwrap().contains(&code),
        "code still to run is in use"
    );
    let large = finish(FinalOutcome::Done(text(6 * 1024 * 1024 + 1).into()));
    let refused = invocations.finish(&other, large, NOW).await;
    assert!(matches!(
        refused,
        Err(InvocationStoreError::ResultTooLarge { .. })
    ));
    let refused = invocations.finish(&other, done("not json"), NOW).await;
    assert!(matches!(refused, Err(InvocationStoreError::NotJson { .. })));
    let dead = finish(FinalOutcome::GivenUp(error("result_too_large")));
    let dead = invocations.finish(&other, dead, NOW).await.unwrap();
    assert!(
        invocations.blobs_in_use().await.unwrap().contains(&code),
        "a dead letter may be driven anew"
    );

    assert!(invocations.purge(&dead).await.unwrap() && invocations.purge(&ended).await.unwrap());
    let blobs = BlobStore::new(kv.clone());
    let survey = blobs.survey().await.unwrap();
    let used = invocations.blobs_in_use().await.unwrap();
    assert_eq!(used, HashSet::new());
    assert_eq!(
        blobs
            .sweep(&survey, &used, NOW, Duration::ZERO)
            .await
            .unwrap()
            .blobs,
        2
    );
    assert!(keys(&kv, "uses/").await.is_empty());
}

/// Nobody takes what a living node has claimed; of several that take what is left, one gets it.
pub(crate) async fn of_many_takers_one_wins(kv: Arc<dyn Kv>) {
    let invocations = InvocationStore::new(kv.clone());
    let nodes = NodeStore::new(kv.clone());
    let dead = owner("n1", "a");
    start(&kv, &dead).await;
    let begun = invocations
        .begin(&accepted(&invocations, "{}", &dead).await, NOW)
        .await
        .unwrap();
    assert_eq!(nodes.gone(&dead).await.unwrap(), None);
    start(&kv, &owner("n1", "b")).await;
    let gone = nodes.gone(&dead).await.unwrap().unwrap();
    let claim = invocations.claims().await.unwrap().remove(0);
    let mut takers = tokio::task::JoinSet::new();
    for number in 0..8 {
        let invocations = invocations.clone();
        let claim = claim.clone();
        let gone = gone.clone();
        takers.spawn(async move {
            let me = owner(&format!("taker{number}"), "a");
            invocations
                .take_over(&claim, &gone, &me, NOW + 1)
                .await
                .unwrap()
        });
    }
    let winners: Vec<Held> = takers.join_all().await.into_iter().flatten().collect();
    let [winner] = &winners[..] else {
        panic!("{} took it over", winners.len())
    };
    assert!(
        superseded(&invocations.finish(&begun, done("1"), NOW + 2).await),
        "the dead node came back"
    );
    assert!(invocations.held(begun.id, &dead).await.unwrap().is_none());
    assert_eq!(winner.record.history.last().unwrap().event, "taken_over");
    let again = invocations.begin(winner, NOW + 2).await.unwrap();
    assert_eq!(again.record.attempt, 2, "both attempts count");
    invocations
        .finish(&again, done("2"), NOW + 3)
        .await
        .unwrap();
    assert_eq!(
        invocations
            .result(&invocations.get(begun.id).await.unwrap().unwrap())
            .await
            .unwrap()
            .unwrap(),
        "2"
    );
}

/// A proof that a node is gone is void when the node is back with the same life.
pub(crate) async fn a_node_that_comes_back_keeps_its_work(kv: Arc<dyn Kv>) {
    let invocations = InvocationStore::new(kv.clone());
    let nodes = NodeStore::new(kv.clone());
    let me = owner("n1", "a");
    let queued = accepted(&invocations, "{}", &me).await;
    let gone = nodes.gone(&me).await.unwrap().unwrap();
    start(&kv, &me).await;
    let claim = invocations.claims().await.unwrap().remove(0);
    assert!(
        invocations
            .take_over(&claim, &gone, &owner("n2", "a"), NOW)
            .await
            .unwrap()
            .is_none()
    );
    invocations.finish(&queued, done("1"), NOW).await.unwrap();
}

pub(crate) async fn finishing_races_with_a_take_over(kv: Arc<dyn Kv>) {
    let invocations = InvocationStore::new(kv.clone());
    let nodes = NodeStore::new(kv.clone());
    let dead = owner("n1", "a");
    let other = owner("n2", "a");
    let gone = nodes.gone(&dead).await.unwrap().unwrap();
    for _ in 0..ROUNDS {
        let begun = invocations
            .begin(&accepted(&invocations, "{}", &dead).await, NOW)
            .await
            .unwrap();
        let claim = invocations.claims().await.unwrap().remove(0);
        let (ended, taken) = tokio::join!(
            invocations.finish(&begun, done("1"), NOW),
            invocations.take_over(&claim, &gone, &other, NOW)
        );
        let found = invocations.get(begun.id).await.unwrap().unwrap();
        match taken.unwrap() {
            Some(taken) => {
                assert!(superseded(&ended));
                assert_eq!(found.record.state, InvocationState::Running);
                invocations.finish(&taken, done("2"), NOW).await.unwrap();
            }
            None => {
                ended.unwrap();
                assert_eq!(found.record.state, InvocationState::Done);
            }
        }
        assert!(keys(&kv, "claims/").await.is_empty());
    }
}

pub(crate) async fn cancelling_races_with_finishing(kv: Arc<dyn Kv>) {
    let invocations = InvocationStore::new(kv.clone());
    let runner = owner("n1", "a");
    let canceller = owner("n2", "a");
    for _ in 0..ROUNDS {
        let begun = invocations
            .begin(&accepted(&invocations, "{}", &runner).await, NOW)
            .await
            .unwrap();
        let why = error("cancelled");
        let (ended, cancelled) = tokio::join!(
            invocations.finish(&begun, done("1"), NOW),
            invocations.cancel(begun.id, &why, &canceller, NOW)
        );
        let found = invocations.get(begun.id).await.unwrap().unwrap();
        let told = keys(&kv, "cancels/").await;
        match cancelled {
            Ok(cancelled) => {
                assert!(superseded(&ended));
                assert_eq!(found.record.state, InvocationState::Cancelled);
                assert_eq!(cancelled.unwrap().owner, Some(runner.clone()));
                assert_eq!(told, [format!("cancels/ROME/n1/{}", begun.id)]);
                invocations.forget_cancel(&runner, begun.id).await.unwrap();
            }
            Err(InvocationStoreError::Ended {
                state: InvocationState::Done,
                ..
            }) => {
                ended.unwrap();
                assert!(told.is_empty());
            }
            Err(other) => panic!("{other:?}"),
        }
        assert!(keys(&kv, "claims/").await.is_empty());
    }
}

pub(crate) async fn a_node_hears_what_it_shall_stop(kv: Arc<dyn Kv>) {
    let invocations = InvocationStore::new(kv.clone());
    let me = owner("n1", "a");
    let other = owner("n2", "a");
    let first = accepted(&invocations, "1", &me).await;
    let second = accepted(&invocations, "2", &me).await;
    invocations
        .cancel(first.id, &error("cancelled"), &other, NOW)
        .await
        .unwrap()
        .unwrap();
    let (told, from) = invocations.cancels(&me).await.unwrap();
    assert_eq!(told, [first.id]);
    let mut watch = invocations.watch_cancels(&me, from).await.unwrap();
    invocations
        .cancel(second.id, &error("cancelled"), &other, NOW + HOUR)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(watch.next().await.unwrap(), [second.id]);
    // What a node cancels itself it need not be told; nor is anybody told of what does not exist.
    let own = accepted(&invocations, "3", &me).await;
    invocations
        .cancel(own.id, &error("cancelled"), &me, NOW)
        .await
        .unwrap()
        .unwrap();
    assert!(
        invocations
            .cancel(InvocationId::new(), &error("cancelled"), &me, NOW)
            .await
            .unwrap()
            .is_none()
    );
    assert_eq!(invocations.cancels(&me).await.unwrap().0.len(), 2);
    assert!(invocations.cancels(&other).await.unwrap().0.is_empty());
    // A node that never came back leaves nothing behind.
    invocations
        .sweep_expired(NOW + HOUR, RETENTION)
        .await
        .unwrap();
    assert_eq!(invocations.cancels(&me).await.unwrap().0, [second.id]);
    invocations.forget_cancel(&me, second.id).await.unwrap();
    assert!(invocations.cancels(&me).await.unwrap().0.is_empty());
}

fn key(key: &str, payload: &str, expires_unix_ms: u64) -> Option<IdempotencyKey> {
    Some(IdempotencyKey {
        key: code_digest(key.as_bytes()),
        payload: code_digest(payload.as_bytes()),
        expires_unix_ms,
    })
}

pub(crate) async fn a_key_stands_for_its_first_request(kv: Arc<dyn Kv>) {
    let invocations = InvocationStore::new(kv.clone());
    let me = owner("n1", "a");
    let f = function("f", b"code");
    let g = function("g", b"code");
    let params = Bytes::from_static(b"{}");
    let accept = async |function: &Function, key: Option<IdempotencyKey>, now: u64| {
        let new = NewInvocation {
            key,
            ..new(InvocationId::new(), function, &params)
        };
        invocations.accept(&new, &me, now).await
    };
    let first = held(accept(&f, key("k", "p", NOW + 10), NOW).await.unwrap());
    let again = accept(&f, key("k", "p", NOW + 99), NOW + 9).await.unwrap();
    assert!(matches!(again, Acceptance::Repeated(id) if id == first.id));
    let other = accept(&f, key("k", "q", NOW + 99), NOW + 9).await;
    assert!(matches!(other, Err(InvocationStoreError::KeyReused(id)) if id == first.id));
    assert_eq!(
        invocations
            .repeated(&f, &key("k", "p", 0).unwrap(), NOW)
            .await
            .unwrap(),
        Some(first.id)
    );
    assert_eq!(
        invocations
            .repeated(&f, &key("k", "p", 0).unwrap(), NOW + 10)
            .await
            .unwrap(),
        None
    );
    held(accept(&g, key("k", "q", NOW + 10), NOW).await.unwrap());
    held(accept(&f, None, NOW).await.unwrap());
    // Its time is over, whatever still lies there.
    let second = held(accept(&f, key("k", "q", NOW + 20), NOW + 10).await.unwrap());
    let again = accept(&f, key("k", "q", NOW + 99), NOW + 11).await.unwrap();
    assert!(matches!(again, Acceptance::Repeated(id) if id == second.id));
    // The first request's record does not take the second's key with it.
    let ended = invocations.finish(&first, done("1"), NOW).await.unwrap();
    assert!(invocations.purge(&ended).await.unwrap());
    assert_eq!(keys(&kv, "idempotency/").await.len(), 2);
}

pub(crate) async fn of_many_equal_requests_one_is_accepted(kv: Arc<dyn Kv>) {
    let invocations = InvocationStore::new(kv.clone());
    let mut requests = tokio::task::JoinSet::new();
    for number in 0..16 {
        let invocations = invocations.clone();
        requests.spawn(async move {
            let function = function("f", b"code");
            let params = Bytes::from(vec![b'1'; 200_000]);
            let new = NewInvocation {
                key: key("k", "p", NOW + 10),
                ..new(InvocationId::new(), &function, &params)
            };
            match invocations
                .accept(&new, &owner(&format!("n{number}"), "a"), NOW)
                .await
                .unwrap()
            {
                Acceptance::Accepted(held) => (held.id, 1),
                Acceptance::Repeated(id) => (id, 0),
            }
        });
    }
    let answers = requests.join_all().await;
    assert_eq!(
        answers.iter().map(|(_, accepted)| accepted).sum::<usize>(),
        1
    );
    assert_eq!(
        answers
            .iter()
            .map(|(id, _)| id)
            .collect::<HashSet<_>>()
            .len(),
        1
    );
    assert_eq!(
        (
            keys(&kv, "claims/").await.len(),
            keys(&kv, "invocations/").await.len()
        ),
        (1, 1)
    );
}

pub(crate) async fn dead_letters_are_listed_driven_anew_and_purged(kv: Arc<dyn Kv>) {
    let invocations = InvocationStore::new(kv.clone());
    let me = owner("n1", "a");
    let space = SpaceId::default_space();
    let mut ids = Vec::new();
    for number in 0..5 {
        let queued = accepted(&invocations, &format!("{{\"n\":{number}}}"), &me).await;
        invocations
            .finish(&queued, finish(FinalOutcome::GivenUp(error("gone"))), NOW)
            .await
            .unwrap();
        ids.push(queued.id);
    }
    let own_fault = accepted(&invocations, "{}", &me).await;
    invocations
        .finish(
            &own_fault,
            finish(FinalOutcome::Failed(error("function_error"))),
            NOW,
        )
        .await
        .unwrap();
    let first = invocations.dead_letters(&space, None, 3).await.unwrap();
    let rest = invocations
        .dead_letters(&space, first.next, 3)
        .await
        .unwrap();
    let listed: Vec<InvocationId> = first
        .dead_letters
        .iter()
        .chain(&rest.dead_letters)
        .map(|one| one.id)
        .collect();
    assert_eq!((listed, rest.next), (ids.clone(), None));

    let old = invocations.get(ids[1]).await.unwrap().unwrap();
    let (one, other) = tokio::join!(
        invocations.redrive(&old, InvocationId::new(), &me, NOW + 1),
        invocations.redrive(&old, InvocationId::new(), &me, NOW + 1)
    );
    let (made, again) = match (one.unwrap(), other.unwrap()) {
        (Redriven::Accepted(made), Redriven::Already(id))
        | (Redriven::Already(id), Redriven::Accepted(made)) => (made, id),
        both => panic!("{both:?}"),
    };
    assert_eq!(made.id, again);
    let later = invocations.get(ids[1]).await.unwrap().unwrap();
    let later = invocations
        .redrive(&later, InvocationId::new(), &me, NOW + 2)
        .await
        .unwrap();
    assert!(matches!(later, Redriven::Already(id) if id == made.id));
    assert_eq!(made.record.redrive_of, Some(ids[1].to_string()));
    assert_eq!(invocations.params(&made).await.unwrap(), r#"{"n":1}"#);
    assert_eq!(invocations.claims().await.unwrap().len(), 1);
    let ended = invocations.finish(&made, done("1"), NOW + 3).await.unwrap();

    let dead = invocations.get(ids[0]).await.unwrap().unwrap();
    assert!(invocations.purge(&dead).await.unwrap());
    assert!(!invocations.purge(&dead).await.unwrap());
    assert_eq!(invocations.purge_all(&space).await.unwrap(), 3);
    assert!(keys(&kv, "deadletters/").await.is_empty());
    assert_eq!(
        keys(&kv, "invocations/").await.len(),
        3,
        "the driven one, what was made of it, and the function's failure"
    );
    assert_eq!(ended.record.state, InvocationState::Done);
}

/// A claim stays until the callback is delivered, also over a cancel and a take-over.
pub(crate) async fn a_pending_callback_keeps_its_claim(kv: Arc<dyn Kv>) {
    let invocations = InvocationStore::new(kv.clone());
    let nodes = NodeStore::new(kv.clone());
    let me = owner("n1", "a");
    let other = owner("n2", "a");
    let queued = with_callback(&invocations, &me).await;
    let ended = invocations.finish(&queued, done("1"), NOW).await.unwrap();
    assert!(ended.record.has_pending_work());
    let gone = nodes.gone(&me).await.unwrap().unwrap();
    let claim = invocations.claims().await.unwrap().remove(0);
    let taken = invocations
        .take_over(&claim, &gone, &other, NOW)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(taken.record.state, InvocationState::Done);
    assert_eq!(
        invocations
            .sweep_expired(NOW + 99 * HOUR, RETENTION)
            .await
            .unwrap(),
        0,
        "it is still owed"
    );
    let mut callback = taken.record.callback.clone().unwrap();
    callback.attempts = 1;
    let tried = invocations
        .note_callback(&taken, callback.clone(), NOW)
        .await
        .unwrap();
    assert!(superseded(
        &invocations
            .note_callback(&ended, callback.clone(), NOW)
            .await
    ));
    callback.state = CallbackState::Delivered;
    invocations
        .note_callback(&tried, callback, NOW)
        .await
        .unwrap();
    assert!(keys(&kv, "claims/").await.is_empty());

    let queued = with_callback(&invocations, &me).await;
    let cancelled = invocations
        .cancel(queued.id, &error("cancelled"), &me, NOW)
        .await
        .unwrap()
        .unwrap();
    assert!(cancelled.invocation.record.has_pending_work());
    let held = invocations.held(queued.id, &me).await.unwrap().unwrap();
    let mut callback = held.record.callback.clone().unwrap();
    callback.state = CallbackState::Failed;
    let over = invocations
        .note_callback(&held, callback, NOW)
        .await
        .unwrap();
    assert_eq!(
        (over.record.state, over.record.has_pending_work()),
        (InvocationState::Cancelled, false)
    );
    assert!(keys(&kv, "claims/").await.is_empty());
}

pub(crate) async fn what_was_kept_long_enough_goes(kv: Arc<dyn Kv>) {
    let invocations = InvocationStore::new(kv.clone());
    let me = owner("n1", "a");
    let f = function("f", b"code");
    let params = Bytes::from(vec![b'1'; 200_000]);
    let accept = async |number: u16, key: Option<IdempotencyKey>| {
        let new = NewInvocation {
            key,
            ..new(id_at(NOW, number), &f, &params)
        };
        held(invocations.accept(&new, &me, NOW).await.unwrap())
    };
    let keyed = accept(0, key("k", "p", NOW + 3 * HOUR)).await;
    let open = accept(1, None).await;
    let dead = accept(2, None).await;
    for number in 3..50 {
        invocations
            .finish(&accept(number, None).await, done("1"), NOW + HOUR)
            .await
            .unwrap();
    }
    invocations.finish(&keyed, done("1"), NOW).await.unwrap();
    invocations
        .finish(&dead, finish(FinalOutcome::Expired(error("expired"))), NOW)
        .await
        .unwrap();
    let left = async || keys(&kv, "invocations/").await.len();
    let sweep = async |now: u64| invocations.sweep_expired(now, RETENTION).await.unwrap();

    assert_eq!((sweep(NOW + 3 * HOUR / 2 - 1).await, left().await), (0, 50));
    let swept = tokio::join!(sweep(NOW + 3 * HOUR / 2), sweep(NOW + 3 * HOUR / 2));
    assert_eq!(
        (swept.0 + swept.1, left().await),
        (47, 3),
        "two sweepers sweep each once"
    );
    assert_eq!(
        (sweep(NOW + 2 * HOUR).await, left().await),
        (1, 2),
        "the dead letter"
    );
    assert_eq!(keys(&kv, "idempotency/").await.len(), 1);
    assert_eq!(
        (sweep(NOW + 3 * HOUR).await, left().await),
        (1, 1),
        "as long as its key"
    );
    assert!(
        keys(&kv, "idempotency/").await.is_empty() && keys(&kv, "deadletters/").await.is_empty()
    );
    assert_eq!(keys(&kv, "uses/").await.len(), 1, "of the open one");
    let before = kv.status().await.unwrap().revision;
    assert_eq!((sweep(NOW + 999 * HOUR).await, left().await), (0, 1));
    assert_eq!(
        kv.status().await.unwrap().revision,
        before,
        "a sweep without finds writes nothing"
    );
    invocations.finish(&open, done("1"), NOW).await.unwrap();
}

pub(crate) async fn an_end_is_heard_of(kv: Arc<dyn Kv>) {
    let invocations = InvocationStore::new(kv.clone());
    let queued = accepted(&invocations, "{}", &owner("n1", "a")).await;
    let mut watch = invocations.watch(&queued).await.unwrap();
    let seen = invocations.begin(&queued, NOW).await.unwrap();
    let mut later = invocations.watch(&seen).await.unwrap();
    let ending = async { invocations.finish(&seen, done("1"), NOW).await.unwrap() };
    let (heard, heard_later, ended) = tokio::join!(watch.ended(), later.ended(), ending);
    assert!(heard.is_ok() && heard_later.is_ok());
    let mut gone = invocations.watch(&ended).await.unwrap();
    let (heard, purged) = tokio::join!(gone.ended(), invocations.purge(&ended));
    assert!(heard.is_ok() && purged.unwrap());
}
