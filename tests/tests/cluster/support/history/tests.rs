//! The checker accepts what a faithful cluster shows, and finds each kind of planted violation in it.

use proptest::prelude::*;
use serde_json::json;

use super::*;

const NODES: [&str; 3] = ["a", "b", "c"];

fn result(call: &str, run: u64) -> Value {
    json!({"run": format!("{run:016x}"), "call": {"name": call}})
}

fn accepted(call: usize, keyed: bool) -> Event {
    let key = keyed.then(|| format!("key {call}"));
    Event::Accepted {
        call: format!("call {call}"),
        key,
        id: format!("id {call}"),
    }
}

fn read(call: usize, node: usize, begun: usize, reading: Reading) -> Event {
    Event::Read {
        id: format!("id {call}"),
        node: NODES[node % 3].to_owned(),
        begun,
        reading,
    }
}

fn done(call: usize) -> Reading {
    Reading::Done(result(&format!("call {call}"), call as u64))
}

fn effect(call: usize, run: usize) -> Event {
    Event::Effect {
        call: format!("call {call}"),
        run: format!("{run:016x}"),
    }
}

/// The events that a faithful cluster shows: calls accepted, some of them twice by their key, read while pending, run
/// once or more, read again and again at any node.
fn faithful() -> impl Strategy<Value = Vec<Event>> {
    let call = (
        any::<bool>(),
        1_usize..3,
        0_usize..3,
        1_usize..4,
        0_usize..3,
    );
    prop::collection::vec(call, 1..8).prop_map(|calls| {
        let mut events = Vec::new();
        for (call, (keyed, times, pending, reads, reruns)) in calls.into_iter().enumerate() {
            for _ in 0..if keyed { times } else { 1 } {
                events.push(accepted(call, keyed));
            }
            for node in 0..pending {
                events.push(read(call, node, events.len(), Reading::Pending));
            }
            // Runs whose outcome was not the one that counts.
            for rerun in 0..reruns {
                events.push(effect(call, 1_000 + 10 * call + rerun));
            }
            events.push(effect(call, call));
            let before = events.len();
            for node in 0..reads {
                events.push(read(call, node, events.len(), done(call)));
            }
            // An answer that took long.
            events.push(read(call, pending, before, Reading::Pending));
        }
        events
    })
}

/// A history of this many calls, with this one of them.
fn with_one() -> impl Strategy<Value = (Vec<Event>, usize)> {
    (faithful(), any::<prop::sample::Index>()).prop_map(|(events, index)| {
        let calls = calls(&events).len();
        (events, index.index(calls))
    })
}

fn found(events: &[Event], wanted: impl Fn(&Violation) -> bool) -> Result<(), TestCaseError> {
    let violations = check(events, Effects::All);
    prop_assert!(
        violations.iter().any(wanted),
        "{violations:?} in {events:#?}"
    );
    Ok(())
}

fn is_about(of: &str, one: usize) -> bool {
    of == format!("id {one}")
}

proptest! {
    #[test]
    fn a_faithful_history_is_accepted(events in faithful()) {
        prop_assert_eq!(check(&events, Effects::All), []);
    }

    #[test]
    fn a_lost_outcome_is_found((mut events, one) in with_one()) {
        for event in &mut events {
            match event {
                Event::Read { id, reading, .. } if is_about(id, one) => *reading = Reading::Pending,
                _ => {}
            }
        }
        found(&events, |found| matches!(found, Violation::NoOutcome { id } if is_about(id, one)))?;
    }

    #[test]
    fn another_outcome_is_found((mut events, one) in with_one(), node in 0_usize..3, failed: bool) {
        let name = format!("call {one}");
        let other = if failed { Reading::Failed("node_lost".to_owned()) } else { Reading::Done(result(&name, 77)) };
        events.push(read(one, node, events.len(), other));
        found(&events, |found| matches!(found, Violation::OtherOutcome { id, .. } if is_about(id, one)))?;
    }

    #[test]
    fn a_forgotten_outcome_is_found((mut events, one) in with_one(), node in 0_usize..3, unknown: bool) {
        let nothing = if unknown { Reading::Unknown } else { Reading::Pending };
        events.push(read(one, node, events.len(), nothing));
        found(&events, |found| matches!(found, Violation::Forgotten { id, .. } if is_about(id, one)))?;
    }

    #[test]
    fn a_failure_is_found((mut events, one) in with_one()) {
        for event in &mut events {
            match event {
                Event::Read { id, reading, .. } if is_about(id, one) && matches!(reading, Reading::Done(_)) => {
                    *reading = Reading::Failed("expired".to_owned());
                }
                _ => {}
            }
        }
        found(&events, |found| matches!(found, Violation::Failed { id, .. } if is_about(id, one)))?;
    }

    #[test]
    fn a_result_of_another_call_is_found((mut events, one) in with_one(), nonsense: bool) {
        for event in &mut events {
            match event {
                Event::Read { id, reading: Reading::Done(value), .. } if is_about(id, one) => {
                    *value = if nonsense { json!({"n": 1}) } else { result("call 99", 5) };
                }
                _ => {}
            }
        }
        found(&events, |found| matches!(found, Violation::OtherCall { id, .. } if is_about(id, one)))?;
    }

    #[test]
    fn a_key_with_two_invocations_is_found((mut events, one) in with_one()) {
        let id = format!("id {}", 500 + one);
        let call = format!("call {one}");
        for id in [id, format!("id {one}")] {
            events.push(Event::Accepted { call: call.clone(), key: Some(format!("key {one}")), id });
        }
        found(&events, |found| matches!(found, Violation::KeyTwice { key, .. } if *key == format!("key {one}")))?;
    }

    #[test]
    fn an_invocation_of_two_calls_is_found((mut events, one) in with_one(), keyed: bool) {
        let key = keyed.then(|| "another key".to_owned());
        events.push(Event::Accepted { call: "another call".to_owned(), key, id: format!("id {one}") });
        found(&events, |found| matches!(found, Violation::IdTwice { id, .. } if is_about(id, one)))?;
    }

    #[test]
    fn an_effect_that_did_not_happen_is_found((mut events, one) in with_one()) {
        let call = format!("call {one}");
        for event in &mut events {
            match event {
                Event::Effect { call: of, .. } if *of == call => *of = "a call of another workload".to_owned(),
                _ => {}
            }
        }
        prop_assert_eq!(check(&events, Effects::Some), []);
        found(&events, |found| matches!(found, Violation::NoEffect { id, .. } if is_about(id, one)))?;
    }

    /// A run belongs to one invocation: the second one never ran.
    #[test]
    fn a_shared_run_is_found((mut events, one) in with_one()) {
        let id = "id of the second".to_owned();
        events.push(Event::Accepted { call: format!("call {one}"), key: None, id: id.clone() });
        let begun = events.len();
        events.push(Event::Read { id: id.clone(), node: "a".to_owned(), begun, reading: done(one) });
        found(&events, |found| matches!(found, Violation::SharedRun { ids, .. } if ids.contains(&id)))?;
    }
}
