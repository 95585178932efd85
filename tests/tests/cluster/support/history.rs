//! The record of a workload, and the check whether a cluster that keeps its promises could have shown it: every
//! accepted invocation has exactly one outcome, the same from every node and for ever; equal keys have one invocation;
//! every effect happened.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

use serde_json::Value;

/// One thing that was seen. Its place in the history is when it was known.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Event {
    /// A call was accepted under an id. Calls have names of their own; requests with one key are requests of one call.
    Accepted {
        call: String,
        key: Option<String>,
        id: String,
    },
    /// A node's reply about an id. The question was asked when the history had `begun` events.
    Read {
        id: String,
        node: String,
        begun: usize,
        reading: Reading,
    },
    /// A run of a call did something that can be seen from outside.
    Effect { call: String, run: String },
}

/// The state of an invocation that a node reports.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Reading {
    Pending,
    Unknown,
    /// It gave this result.
    Done(Value),
    /// It ended in another state, with a code.
    Failed(String),
}

/// A fault that a cluster which keeps its promises does not show.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Violation {
    /// Equal keys, different invocations.
    KeyTwice { key: String, ids: BTreeSet<String> },
    /// Different calls, one invocation.
    IdTwice { id: String, calls: BTreeSet<String> },
    /// Accepted, and no outcome was ever read.
    NoOutcome { id: String },
    /// An outcome, and later or elsewhere another one.
    OtherOutcome {
        id: String,
        first: Reading,
        then: Reading,
    },
    /// An outcome was read, and a question asked after that had no outcome for an answer.
    Forgotten { id: String, node: String },
    /// It ended without a result although nothing was wrong with it.
    Failed { id: String, code: String },
    /// The result is that of another call, or none of this function's.
    OtherCall { id: String, result: Value },
    /// Two invocations have the result of one run.
    SharedRun { run: String, ids: BTreeSet<String> },
    /// A result, and nothing was seen of the run that gave it.
    NoEffect { id: String, run: String },
}

/// A history that grows, also from several threads.
#[derive(Debug, Default)]
pub(crate) struct History(Mutex<Vec<Event>>);

/// The effects that can have been seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Effects {
    /// All: no node that had seen one is gone.
    All,
    /// Some went with their nodes. A result is then the trace of its run: only a run knows its number.
    Some,
}

// === impl History ===

impl History {
    pub(crate) fn push(&self, event: Event) {
        self.events_mut().push(event);
    }

    /// The number of events seen so far: the `begun` of a question.
    pub(crate) fn now(&self) -> usize {
        self.events_mut().len()
    }

    pub(crate) fn accepted(&self) -> BTreeSet<String> {
        let accepted = |event: &Event| match event {
            Event::Accepted { id, .. } => Some(id.clone()),
            Event::Read { .. } | Event::Effect { .. } => None,
        };
        self.events_mut().iter().filter_map(accepted).collect()
    }

    /// Everything that cannot be.
    pub(crate) fn violations(&self, effects: Effects) -> Vec<Violation> {
        check(&self.events_mut(), effects)
    }

    fn events_mut(&self) -> MutexGuard<'_, Vec<Event>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The run that a result names: its number, and the call.
pub(crate) fn run_of(result: &Value) -> Option<(String, String)> {
    let run = result["run"].as_str().filter(|run| run.len() == 16)?;
    Some((run.to_owned(), result["call"]["name"].as_str()?.to_owned()))
}

/// Everything in a history that cannot be.
pub(crate) fn check(events: &[Event], effects: Effects) -> Vec<Violation> {
    let mut violations = acceptances(events);
    let mut runs: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for (id, call) in calls(events) {
        match outcome(events, &id, &mut violations) {
            None => violations.push(Violation::NoOutcome { id }),
            Some(Reading::Done(result)) => match run_of(&result).filter(|(_, of)| *of == call) {
                None => violations.push(Violation::OtherCall { id, result }),
                Some((run, _)) => {
                    let seen = Event::Effect {
                        call,
                        run: run.clone(),
                    };
                    if effects == Effects::All && !events.contains(&seen) {
                        violations.push(Violation::NoEffect {
                            id: id.clone(),
                            run: run.clone(),
                        });
                    }
                    runs.entry(run).or_default().insert(id);
                }
            },
            Some(Reading::Failed(code)) => violations.push(Violation::Failed { id, code }),
            Some(Reading::Pending | Reading::Unknown) => {}
        }
    }
    let shared = runs.into_iter().filter(|(_, ids)| ids.len() > 1);
    violations.extend(shared.map(|(run, ids)| Violation::SharedRun { run, ids }));
    violations
}

/// Each accepted id, with the first call that got it.
fn calls(events: &[Event]) -> BTreeMap<String, String> {
    let mut calls = BTreeMap::new();
    for event in events {
        if let Event::Accepted { call, id, .. } = event {
            calls.entry(id.clone()).or_insert_with(|| call.clone());
        }
    }
    calls
}

fn acceptances(events: &[Event]) -> Vec<Violation> {
    let (mut of_key, mut of_id) = (
        BTreeMap::<_, BTreeSet<_>>::new(),
        BTreeMap::<_, BTreeSet<_>>::new(),
    );
    // Whoever gives no key gets an invocation of its own each time.
    let mut keyless = BTreeMap::<_, usize>::new();
    for event in events {
        let Event::Accepted { call, key, id } = event else {
            continue;
        };
        match key {
            Some(key) => {
                of_key.entry(key).or_default().insert(id.clone());
            }
            None => *keyless.entry(id).or_default() += 1,
        }
        of_id.entry(id).or_default().insert(call.clone());
    }
    let keys = of_key.into_iter().filter(|(_, ids)| ids.len() > 1);
    let keys = keys.map(|(key, ids)| Violation::KeyTwice {
        key: key.clone(),
        ids,
    });
    let twice = |id: &String, calls: &BTreeSet<String>| {
        calls.len() > 1 || keyless.get(id).is_some_and(|n| *n > 1)
    };
    let ids = of_id.into_iter().filter(|(id, calls)| twice(id, calls));
    keys.chain(ids.map(|(id, calls)| Violation::IdTwice {
        id: id.clone(),
        calls,
    }))
    .collect()
}

/// The first outcome of an id that was read, after adding what contradicts it.
fn outcome(events: &[Event], id: &str, violations: &mut Vec<Violation>) -> Option<Reading> {
    let mut first: Option<(usize, &Reading)> = None;
    for (at, event) in events.iter().enumerate() {
        let Event::Read {
            id: of,
            node,
            begun,
            reading,
        } = event
        else {
            continue;
        };
        if of != id {
            continue;
        }
        let ended = matches!(reading, Reading::Done(_) | Reading::Failed(_));
        match first {
            None if ended => first = Some((at, reading)),
            // An answer that was on its way when the outcome was read may be older than it.
            Some((known, _)) if !ended && *begun > known => {
                violations.push(Violation::Forgotten {
                    id: id.to_owned(),
                    node: node.clone(),
                });
            }
            Some((_, known)) if ended && known != reading => {
                let first = known.clone();
                let then = reading.clone();
                violations.push(Violation::OtherOutcome {
                    id: id.to_owned(),
                    first,
                    then,
                });
            }
            _ => {}
        }
    }
    first.map(|(_, reading)| reading.clone())
}

#[cfg(test)]
mod tests;
