//! Right histories are accepted, wrong ones refused.

use std::time::Duration;

use proptest::prelude::*;
use serverledge_core::{StateEntry, StatePage, StateVersion};

use super::*;

fn key() -> StateKey {
    StateKey::new("k").unwrap()
}

fn bytes(text: &str) -> Bytes {
    Bytes::copy_from_slice(text.as_bytes())
}

fn done(op: StateOp, reply: StateReply, invoked: u64, returned: u64) -> Operation {
    Operation {
        op,
        invoked,
        answer: Some((reply, returned)),
    }
}

fn lost(operation: Operation) -> Operation {
    Operation {
        answer: None,
        ..operation
    }
}

fn get(found: Option<(&str, u64)>, invoked: u64, returned: u64) -> Operation {
    let entry = found.map(|(value, version)| StateEntry {
        value: bytes(value),
        version: StateVersion::new(version),
    });
    let op = StateOp::Get { key: key() };
    done(op, StateReply::Entry(entry), invoked, returned)
}

fn set(value: &str, version: u64, invoked: u64, returned: u64) -> Operation {
    let op = StateOp::Set {
        key: key(),
        value: bytes(value),
        ttl: None,
    };
    let reply = StateReply::Written(StateVersion::new(version));
    done(op, reply, invoked, returned)
}

fn delete(deleted: bool, invoked: u64, returned: u64) -> Operation {
    let op = StateOp::Delete { key: key() };
    done(op, StateReply::Deleted(deleted), invoked, returned)
}

fn swap(
    expected: Option<u64>,
    value: &str,
    version: Option<u64>,
    invoked: u64,
    returned: u64,
) -> Operation {
    let op = StateOp::CompareAndSet {
        key: key(),
        expected: expected.map(StateVersion::new),
        value: bytes(value),
        ttl: None,
    };
    let reply = StateReply::Swapped(version.map(StateVersion::new));
    done(op, reply, invoked, returned)
}

fn add(by: i64, sum: i64, invoked: u64, returned: u64) -> Operation {
    let op = StateOp::Increment { key: key(), by };
    done(op, StateReply::Number(sum), invoked, returned)
}

#[track_caller]
fn accepts(history: &[Operation]) {
    assert_eq!(check(history), Ok(()));
}

#[track_caller]
fn refuses(history: &[Operation], stuck: usize) {
    match check(history) {
        Err(Violation::NotLinearizable { stuck: found, .. }) => {
            assert_eq!(*found, history[stuck]);
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn sequences_are_accepted() {
    accepts(&[]);
    accepts(&[
        get(None, 0, 1),
        set("a", 2, 2, 3),
        get(Some(("a", 2)), 4, 5),
        swap(Some(2), "b", Some(4), 6, 7),
        swap(Some(2), "c", None, 8, 9),
        get(Some(("b", 4)), 10, 11),
        delete(true, 12, 13),
        delete(false, 14, 15),
        swap(None, "7", Some(9), 16, 17),
        add(-8, -1, 18, 19),
        get(Some(("-1", 12)), 20, 21),
        swap(Some(12), "x", Some(13), 22, 23),
    ]);
}

#[test]
fn what_overlaps_may_have_any_order() {
    accepts(&[set("a", 2, 0, 10), get(None, 1, 9)]);
    accepts(&[set("a", 2, 0, 10), get(Some(("a", 2)), 1, 2)]);
    accepts(&[add(1, 2, 0, 10), add(1, 1, 0, 10), add(1, 3, 10, 20)]);
    // The later of two writes by version took effect first by invocation.
    accepts(&[
        set("a", 3, 0, 10),
        set("b", 2, 5, 10),
        get(Some(("a", 3)), 11, 12),
    ]);
    // The list may have any order as well.
    accepts(&[get(Some(("a", 2)), 11, 12), set("a", 2, 0, 10)]);
}

#[test]
fn stale_reads_are_refused() {
    refuses(&[set("a", 2, 0, 1), get(None, 2, 3)], 1);
    refuses(
        &[
            set("a", 2, 0, 1),
            set("b", 3, 2, 3),
            get(Some(("a", 2)), 4, 5),
        ],
        2,
    );
    // One reader saw the new value, and a later one the old one, while the write was under way.
    refuses(
        &[
            set("a", 2, 0, 1),
            set("b", 3, 2, 100),
            get(Some(("b", 3)), 3, 4),
            get(Some(("a", 2)), 5, 6),
        ],
        3,
    );
    refuses(&[set("a", 2, 0, 1), delete(false, 2, 3)], 1);
    refuses(
        &[set("a", 2, 0, 1), delete(true, 2, 3), delete(true, 4, 5)],
        2,
    );
}

#[test]
fn lost_updates_are_refused() {
    // Both swaps succeeded on one version.
    let both = [
        set("a", 2, 0, 1),
        swap(Some(2), "b", Some(3), 2, 10),
        swap(Some(2), "c", Some(4), 2, 10),
    ];
    assert!(matches!(
        check(&both),
        Err(Violation::NotLinearizable {
            ordered: 2,
            answered: 3,
            ..
        })
    ));
    assert!(check(&[add(1, 1, 0, 10), add(1, 1, 0, 10)]).is_err());
    refuses(&[set("a", 2, 0, 1), swap(None, "b", Some(3), 2, 3)], 1);
    refuses(&[set("a", 2, 0, 1), swap(Some(2), "b", None, 2, 3)], 1);
}

#[test]
fn double_additions_are_refused() {
    refuses(&[add(1, 1, 0, 1), add(1, 3, 2, 3)], 1);
    refuses(&[add(1, 1, 0, 1), get(Some(("2", 9)), 2, 3)], 1);
    refuses(&[set("x", 2, 0, 1), add(1, 1, 2, 3)], 1);
}

#[test]
fn values_and_versions_come_from_somewhere() {
    refuses(&[get(Some(("a", 2)), 0, 1)], 0);
    refuses(&[set("a", 2, 0, 1), get(Some(("b", 2)), 2, 3)], 1);
    refuses(&[set("a", 2, 0, 1), get(Some(("a", 3)), 2, 3)], 1);
    refuses(&[set("a", 2, 0, 1), set("b", 2, 2, 3)], 1);
    refuses(
        &[
            set("1", 5, 0, 1),
            add(1, 2, 2, 3),
            get(Some(("2", 5)), 4, 5),
        ],
        2,
    );
}

#[test]
fn a_version_that_was_told_late_is_the_same_ever_after() {
    let add = add(1, 1, 0, 1);
    accepts(&[
        add.clone(),
        get(Some(("1", 7)), 2, 3),
        swap(Some(7), "2", Some(8), 4, 5),
    ]);
    refuses(
        &[
            add.clone(),
            get(Some(("1", 7)), 2, 3),
            get(Some(("1", 8)), 4, 5),
        ],
        2,
    );
    refuses(
        &[
            add,
            get(Some(("1", 7)), 2, 3),
            swap(Some(6), "2", Some(8), 4, 5),
        ],
        2,
    );
}

/// A comparison that failed has told a version that the entry does not have.
#[test]
fn a_version_that_was_denied_is_not_the_entrys() {
    let denied = swap(Some(5), "2", None, 2, 3);
    refuses(
        &[add(1, 1, 0, 1), denied.clone(), get(Some(("1", 5)), 4, 5)],
        2,
    );
    refuses(
        &[
            add(1, 1, 0, 1),
            denied.clone(),
            swap(Some(5), "2", Some(9), 4, 5),
        ],
        2,
    );
    for other in [4, 6] {
        accepts(&[
            add(1, 1, 0, 1),
            denied.clone(),
            get(Some(("1", other)), 4, 5),
        ]);
        accepts(&[
            add(1, 1, 0, 1),
            denied.clone(),
            swap(Some(other), "2", Some(9), 4, 5),
        ]);
    }
    // The next entry may have it.
    accepts(&[
        add(1, 1, 0, 1),
        denied.clone(),
        add(1, 2, 4, 5),
        get(Some(("2", 5)), 6, 7),
    ]);
    // All that were possible below 7 are denied, so what follows has at least 8.
    let below = [
        set("1", 4, 0, 1),
        add(1, 2, 2, 3),
        swap(Some(6), "x", None, 4, 5),
        swap(Some(5), "x", None, 6, 7),
    ];
    accepts(&[&below[..], &[set("x", 8, 8, 9)]].concat());
    refuses(&[&below[..], &[set("x", 7, 8, 9)]].concat(), 4);
}

#[test]
fn every_write_has_a_version_of_its_own() {
    let two = |version| [set("1", 5, 0, 1), add(1, 2, 2, 3), set("x", version, 4, 5)];
    accepts(&two(7));
    refuses(&two(6), 2);
    let read = |version| {
        [
            set("1", 5, 0, 1),
            add(1, 2, 2, 3),
            add(1, 3, 4, 5),
            get(Some(("3", version)), 6, 7),
        ]
    };
    accepts(&read(7));
    refuses(&read(6), 3);
    let gone = |version| {
        [
            set("1", 5, 0, 1),
            delete(true, 2, 3),
            delete(false, 4, 5),
            set("x", version, 6, 7),
        ]
    };
    accepts(&gone(7));
    refuses(&gone(6), 3);
    let swapped = |version| {
        [
            set("1", 5, 0, 1),
            add(1, 2, 2, 3),
            swap(Some(version), "x", Some(9), 4, 5),
        ]
    };
    accepts(&swapped(6));
    refuses(&swapped(5), 2);
}

#[test]
fn unknown_outcomes_may_be_any() {
    let write = lost(set("b", 0, 2, 3));
    for seen in ["a", "b"] {
        let version = if seen == "a" { 2 } else { 9 };
        accepts(&[
            set("a", 2, 0, 1),
            write.clone(),
            get(Some((seen, version)), 1000, 1001),
        ]);
    }
    // Late, after somebody saw the old value.
    accepts(&[
        set("a", 2, 0, 1),
        write.clone(),
        get(Some(("a", 2)), 10, 11),
        get(Some(("b", 9)), 12, 13),
    ]);
    // But not back again, not twice, and not before it was invoked.
    refuses(
        &[
            set("a", 2, 0, 1),
            write.clone(),
            get(Some(("b", 9)), 10, 11),
            get(Some(("a", 2)), 12, 13),
        ],
        3,
    );
    refuses(
        &[
            write,
            get(Some(("b", 9)), 10, 11),
            set("a", 10, 12, 13),
            get(Some(("b", 11)), 14, 15),
        ],
        3,
    );
    refuses(&[get(Some(("b", 9)), 0, 1), lost(set("b", 0, 2, 3))], 0);
    accepts(&[lost(add(5, 0, 0, 1)), add(1, 6, 2, 3)]);
    accepts(&[lost(delete(true, 0, 1)), get(None, 2, 3)]);
    accepts(&[lost(get(None, 0, 1)), set("a", 2, 2, 3)]);
    let swap = lost(swap(Some(2), "b", None, 2, 3));
    accepts(&[set("a", 2, 0, 1), swap.clone(), get(Some(("b", 4)), 5, 6)]);
    refuses(&[set("a", 3, 0, 1), swap, get(Some(("b", 4)), 5, 6)], 2);
}

#[test]
fn keys_are_apart() {
    let other = Operation {
        op: StateOp::Get {
            key: StateKey::new("l").unwrap(),
        },
        ..get(None, 2, 3)
    };
    accepts(&[set("a", 2, 0, 1), other.clone()]);
    let wrong = [other, set("a", 2, 0, 1), get(None, 2, 3)];
    let violation = check(&wrong).unwrap_err();
    assert!(
        violation.to_string().contains("does not fit"),
        "{violation}"
    );
}

#[test]
fn what_cannot_be_checked_is_said() {
    let list = StateOp::List {
        prefix: String::new(),
        cursor: None,
        limit: 0,
    };
    let timed = StateOp::Set {
        key: key(),
        value: Bytes::new(),
        ttl: Some(Duration::from_secs(1)),
    };
    let written = StateReply::Written(StateVersion::new(1));
    for (op, reply) in [
        (list, StateReply::Keys(StatePage::default())),
        (timed, written.clone()),
        (StateOp::Get { key: key() }, written),
    ] {
        let one = done(op, reply, 0, 1);
        let checked = check(std::slice::from_ref(&one));
        assert_eq!(checked, Err(Violation::Unfit(Box::new(one))));
    }
}

#[derive(Debug, Clone)]
struct Planned {
    act: u8,
    value: u8,
    before: u64,
    after: u64,
    lost: bool,
}

fn planned() -> impl Strategy<Value = Planned> {
    (
        0..7_u8,
        0..5_u8,
        0..30_u64,
        0..30_u64,
        prop::bool::weighted(0.05),
    )
        .prop_map(|(act, value, before, after, lost)| Planned {
            act,
            value,
            before,
            after,
            lost,
        })
}

/// One after the other on a register; each takes effect at a moment inside of its interval.
fn performed(plan: &[Planned]) -> Vec<Operation> {
    let mut register: Option<(String, u64)> = None;
    let mut revision = 1;
    let mut history = Vec::new();
    for (number, one) in plan.iter().enumerate() {
        let moment = 100 + 10 * number as u64;
        let (invoked, returned) = (moment - one.before, moment + one.after);
        let value = one.value.to_string();
        let current = register.as_ref().map(|(_, version)| *version);
        revision += 1;
        let operation = match one.act {
            0 | 1 => {
                let found = register
                    .as_ref()
                    .map(|(value, version)| (&**value, *version));
                get(found, invoked, returned)
            }
            2 => {
                register = Some((value.clone(), revision));
                set(&value, revision, invoked, returned)
            }
            3 => delete(register.take().is_some(), invoked, returned),
            4 => {
                register = Some((value.clone(), revision));
                swap(current, &value, Some(revision), invoked, returned)
            }
            5 => swap(Some(revision), &value, None, invoked, returned),
            _ => {
                let number = register.as_ref().map_or("0", |(value, _)| value.as_str());
                let sum = number.parse::<i64>().unwrap() + 1;
                register = Some((sum.to_string(), revision));
                add(1, sum, invoked, returned)
            }
        };
        history.push(if one.lost { lost(operation) } else { operation });
    }
    history
}

proptest! {
    #[test]
    fn what_a_register_did_is_accepted(plan in prop::collection::vec(planned(), 0..60)) {
        prop_assert_eq!(check(&performed(&plan)), Ok(()));
    }

    #[test]
    fn a_version_that_earlier_writes_have_used_up_is_refused(
        plan in prop::collection::vec(planned(), 1..40),
    ) {
        let mut history = performed(&plan);
        let writes = history.iter().filter(|one| match &one.answer {
            Some((StateReply::Deleted(was_there), _)) => *was_there,
            Some((StateReply::Swapped(version), _)) => version.is_some(),
            Some((reply, _)) => matches!(reply, StateReply::Written(_) | StateReply::Number(_)),
            None => false,
        });
        let writes = writes.count() as u64;
        prop_assume!(writes > 0);
        // So many versions of at least 1 are taken when it begins.
        history.push(set("last", writes, 10_000, 10_001));
        prop_assert!(check(&history).is_err());
    }

    #[test]
    fn a_value_that_nobody_wrote_is_refused(
        plan in prop::collection::vec(planned(), 1..40),
        chosen: prop::sample::Index,
    ) {
        let mut history = performed(&plan);
        let reads: Vec<usize> = (0..history.len())
            .filter(|number| matches!(history[*number].answer, Some((StateReply::Entry(_), _))))
            .collect();
        prop_assume!(!reads.is_empty());
        let read = &mut history[*chosen.get(&reads)];
        if let Some((StateReply::Entry(entry), _)) = &mut read.answer {
            let version = entry.take().map_or(StateVersion::new(7), |entry| entry.version);
            *entry = Some(StateEntry { value: bytes("never written"), version });
        }
        prop_assert!(check(&history).is_err());
    }
}
