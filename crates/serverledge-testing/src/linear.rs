//! Linearizability of what clients of a store saw: a history of operations is right if each of them can have taken
//! effect at one moment between its invocation and its answer.
//!
//! The search is that of J. Wing and C. Gong, "Testing and Verifying Concurrent Objects" (JPDC 1993), and remembers the
//! states that it has seen at a set of operations, after G. Lowe, "Testing for linearizability" (CCPE 2017).

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::fmt;

use bytes::Bytes;
use serverledge_core::{StateKey, StateOp, StateReply};

/// One operation of a client.
///
/// Times are nanoseconds of one monotonic clock. `invoked` is taken before the request is sent, and the time of the
/// answer after it has come. Operations that were refused, so that nothing changed, do not belong into a history.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Operation {
    /// The request. Lifetimes and listings are not checked, and have no place here.
    pub op: StateOp,
    /// The time of the invocation.
    pub invoked: u64,
    /// The answer and its time. `None`: nobody knows the outcome. Such an operation may have taken effect at any time
    /// after its invocation, or never.
    pub answer: Option<(StateReply, u64)>,
}

/// The proof that a history is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Violation {
    /// An operation that this check knows nothing of, or whose answer belongs to another one.
    Unfit(Box<Operation>),
    /// No order of the operations on one key explains all answers.
    NotLinearizable {
        /// The key.
        key: StateKey,
        /// Operations of the key in the longest order that was found.
        ordered: usize,
        /// All operations of the key that have an answer.
        answered: usize,
        /// The first operation, by the time of its answer, that does not fit behind that order.
        stuck: Box<Operation>,
        /// The state of the entry at the end of that order: its value, and its version where that is known.
        state: Option<(Bytes, Option<u64>)>,
    },
}

/// Checks a history, key by key. No entry is there at its beginning. The order of the list says nothing.
///
/// ```
/// use serverledge_core::{StateKey, StateOp, StateReply};
/// use serverledge_testing::linear::{Operation, check};
///
/// let key = StateKey::new("k").unwrap();
/// let add = |invoked, sum: Option<i64>| Operation {
///     op: StateOp::Increment { key: key.clone(), by: 1 },
///     invoked,
///     answer: sum.map(|sum| (StateReply::Number(sum), invoked + 10)),
/// };
/// // The second one got no answer, and took effect.
/// assert!(check(&[add(0, Some(1)), add(20, None), add(40, Some(3))]).is_ok());
/// // Nobody added twice.
/// assert!(check(&[add(0, Some(1)), add(40, Some(3))]).is_err());
/// ```
///
/// The time that a check takes grows with the number of operations that overlap, and fast with the number of those
/// whose outcome is unknown: up to ten of those, and a few hundred operations in all, are checked in no time.
///
/// # Errors
/// [`Violation`] names the key and the operation that does not fit.
pub fn check(history: &[Operation]) -> Result<(), Violation> {
    let mut keys: BTreeMap<&StateKey, Vec<&Operation>> = BTreeMap::new();
    for operation in history {
        match key_of(operation) {
            Some(key) => keys.entry(key).or_default().push(operation),
            None => return Err(Violation::Unfit(Box::new(operation.clone()))),
        }
    }
    for (key, operations) in keys {
        Search::new(operations).run(key)?;
    }
    Ok(())
}

/// The key of an operation that can be checked, if its answer is one to it.
fn key_of(operation: &Operation) -> Option<&StateKey> {
    let reply = operation.answer.as_ref().map(|(reply, _)| reply);
    match (&operation.op, reply) {
        (StateOp::Get { key }, None | Some(StateReply::Entry(_)))
        | (StateOp::Set { key, ttl: None, .. }, None | Some(StateReply::Written(_)))
        | (StateOp::Delete { key }, None | Some(StateReply::Deleted(_)))
        | (StateOp::CompareAndSet { key, ttl: None, .. }, None | Some(StateReply::Swapped(_)))
        | (StateOp::Increment { key, .. }, None | Some(StateReply::Number(_))) => Some(key),
        _ => None,
    }
}

/// An entry between two operations.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
struct RegisterState {
    /// The value, and the version as far as an answer has told it.
    entry: Option<(Bytes, Option<u64>)>,
    /// A lower bound of the newest version: that of the entry, if nothing has told it, is no less, and those of later
    /// writes are greater. A version is the revision of the whole registry, which other keys' writes raise as well. So
    /// a write without a told version raises this by one, deletions included.
    newest: u64,
    /// Versions that the entry does not have, while nothing has told the one that it has. All are above `newest`.
    excluded: BTreeSet<u64>,
}

/// Whether the entry is what a compare-and-set expects.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Match {
    Yes,
    No,
    /// No answer has told the version yet.
    Perhaps,
}

// === impl RegisterState ===

impl RegisterState {
    /// The state after an operation; `None`: it cannot take effect here, or not with this answer.
    fn step(&self, op: &StateOp, reply: Option<&StateReply>) -> Option<Self> {
        match (op, reply) {
            (StateOp::Get { .. }, Some(StateReply::Entry(found))) => match (found, &self.entry) {
                (None, None) => Some(self.clone()),
                (Some(found), Some((value, version))) if found.value == *value => {
                    let read = found.version.get();
                    match version {
                        Some(version) => (*version == read).then(|| self.clone()),
                        None => self.may_be(read).then(|| Self {
                            entry: Some((value.clone(), Some(read))),
                            newest: read,
                            excluded: BTreeSet::new(),
                        }),
                    }
                }
                _ => None,
            },
            (StateOp::Set { value, .. }, None) => self.with(value.clone(), None),
            (StateOp::Set { value, .. }, Some(StateReply::Written(version))) => {
                self.with(value.clone(), Some(version.get()))
            }
            (StateOp::Delete { .. }, Some(StateReply::Deleted(false))) => {
                self.entry.is_none().then(|| self.clone())
            }
            (StateOp::Delete { .. }, _) if self.entry.is_none() => None,
            (StateOp::Delete { .. }, _) => Some(Self {
                entry: None,
                newest: self.newest.checked_add(1)?,
                excluded: BTreeSet::new(),
            }),
            (
                StateOp::CompareAndSet {
                    expected, value, ..
                },
                reply,
            ) => self.swap(expected.map(|version| version.get()), value, reply),
            (StateOp::Increment { by, .. }, reply) => self.add(*by, reply),
            _ => None,
        }
    }

    fn swap(
        &self,
        expected: Option<u64>,
        value: &Bytes,
        reply: Option<&StateReply>,
    ) -> Option<Self> {
        let matches = self.matches(expected);
        if let Some(StateReply::Swapped(None)) = reply {
            return match (matches, expected) {
                (Match::Yes, _) => None,
                (Match::Perhaps, Some(version)) => self.without(version),
                _ => Some(self.clone()),
            };
        }
        if matches == Match::No {
            return None;
        }
        let before = Self {
            entry: None,
            newest: self.newest.max(expected.unwrap_or(0)),
            excluded: BTreeSet::new(),
        };
        match reply {
            Some(StateReply::Swapped(Some(version))) => {
                before.with(value.clone(), Some(version.get()))
            }
            _ => before.with(value.clone(), None),
        }
    }

    fn add(&self, by: i64, reply: Option<&StateReply>) -> Option<Self> {
        let number = match &self.entry {
            None => 0,
            Some((value, _)) => std::str::from_utf8(value).ok()?.parse::<i64>().ok()?,
        };
        let sum = number.checked_add(by)?;
        match reply {
            Some(StateReply::Number(told)) if *told != sum => None,
            _ => self.with(sum.to_string().into(), None),
        }
    }

    /// The state with another entry, if its version can follow.
    fn with(&self, value: Bytes, version: Option<u64>) -> Option<Self> {
        let least = self.newest.checked_add(1)?;
        let newest = version.unwrap_or(least);
        (newest >= least).then(|| Self {
            entry: Some((value, version)),
            newest,
            excluded: BTreeSet::new(),
        })
    }

    /// The state in which the entry, whose version nothing has told, does not have this one.
    fn without(&self, version: u64) -> Option<Self> {
        let mut state = self.clone();
        state.excluded.insert(version);
        // Where the least possible version is excluded, the next one is the least.
        while state.excluded.remove(&state.newest) {
            state.newest = state.newest.checked_add(1)?;
        }
        Some(state)
    }

    /// Whether an entry whose version nothing has told can have this one.
    fn may_be(&self, version: u64) -> bool {
        version >= self.newest && !self.excluded.contains(&version)
    }

    fn matches(&self, expected: Option<u64>) -> Match {
        match (expected, &self.entry) {
            (None, None) => Match::Yes,
            (Some(expected), Some((_, Some(version)))) if expected == *version => Match::Yes,
            (Some(expected), Some((_, None))) if self.may_be(expected) => Match::Perhaps,
            _ => Match::No,
        }
    }
}

/// An invocation or an answer, by the number of its operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Moment {
    Call(usize),
    Return(usize),
}

/// The search for an order of the operations on one key. Moments that are not ordered yet form a list in the order of
/// time, which is as long as the search goes: operations leave it and come back.
#[derive(Debug)]
struct Search<'a> {
    operations: Vec<&'a Operation>,
    /// All moments; those before the first one's place have number 0, which is the list's head.
    moments: Vec<Moment>,
    next: Vec<usize>,
    previous: Vec<usize>,
    /// The places of each operation's invocation and answer.
    places: Vec<(usize, Option<usize>)>,
}

// === impl Search ===

impl<'a> Search<'a> {
    fn new(mut operations: Vec<&'a Operation>) -> Self {
        // A read without an answer says nothing.
        operations.retain(|one| one.answer.is_some() || one.op.writes());
        let mut times = Vec::new();
        for (number, one) in operations.iter().enumerate() {
            // At the same time invocations come first: then both are concurrent.
            times.push((one.invoked, 0, Moment::Call(number)));
            if let Some((_, returned)) = &one.answer {
                times.push((*returned.max(&one.invoked), 1, Moment::Return(number)));
            }
        }
        times.sort_by_key(|(time, kind, _)| (*time, *kind));
        let moments: Vec<Moment> = times.into_iter().map(|(.., moment)| moment).collect();
        let mut places = vec![(0, None); operations.len()];
        for (index, moment) in moments.iter().enumerate() {
            match moment {
                Moment::Call(number) => places[*number].0 = index + 1,
                Moment::Return(number) => places[*number].1 = Some(index + 1),
            }
        }
        // Place 0 is before the first moment; the place after the last one leads back to it.
        let count = moments.len() + 1;
        Self {
            operations,
            moments,
            next: (0..count).map(|place| (place + 1) % count).collect(),
            previous: (0..count)
                .map(|place| (place + count - 1) % count)
                .collect(),
            places,
        }
    }

    fn run(mut self, key: &StateKey) -> Result<(), Violation> {
        let answered = self.operations.iter().filter(|one| one.answer.is_some());
        let answered = answered.count();
        let mut left = answered;
        let mut state = RegisterState::default();
        let mut ordered = Ordered::new(self.operations.len());
        let mut seen = HashSet::new();
        let mut path: Vec<(usize, RegisterState)> = Vec::new();
        let mut best: Option<(usize, usize, RegisterState)> = None;
        let mut place = self.next[0];
        while left > 0 {
            // As long as an answer is missing, its moment is in the list: the list does not end before.
            match self.moments[place - 1] {
                Moment::Call(number) => {
                    let one = self.operations[number];
                    let reply = one.answer.as_ref().map(|(reply, _)| reply);
                    let stepped = state.step(&one.op, reply);
                    let after =
                        stepped.filter(|after| seen.insert((ordered.with(number), after.clone())));
                    let Some(after) = after else {
                        place = self.next[place];
                        continue;
                    };
                    path.push((number, std::mem::replace(&mut state, after)));
                    ordered.toggle(number);
                    left -= usize::from(reply.is_some());
                    self.take_out(number);
                    place = self.next[0];
                }
                Moment::Return(stuck) => {
                    if best
                        .as_ref()
                        .is_none_or(|(length, ..)| path.len() > *length)
                    {
                        best = Some((path.len(), stuck, state.clone()));
                    }
                    let Some((number, before)) = path.pop() else {
                        break;
                    };
                    state = before;
                    ordered.toggle(number);
                    left += usize::from(self.operations[number].answer.is_some());
                    self.put_back(number);
                    place = self.next[self.places[number].0];
                }
            }
        }
        match best {
            Some((length, stuck, state)) if left > 0 => Err(Violation::NotLinearizable {
                key: key.clone(),
                ordered: length,
                answered,
                stuck: Box::new(self.operations[stuck].clone()),
                state: state.entry,
            }),
            _ => Ok(()),
        }
    }

    fn take_out(&mut self, number: usize) {
        let (call, answer) = self.places[number];
        for place in std::iter::once(call).chain(answer) {
            let (before, after) = (self.previous[place], self.next[place]);
            self.next[before] = after;
            self.previous[after] = before;
        }
    }

    /// In the opposite order: each moment comes back between those that it was taken from.
    fn put_back(&mut self, number: usize) {
        let (call, answer) = self.places[number];
        for place in answer.into_iter().chain(std::iter::once(call)) {
            let (before, after) = (self.previous[place], self.next[place]);
            self.next[before] = place;
            self.previous[after] = place;
        }
    }
}

/// A set of operations, a bit for each.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Ordered(Vec<u64>);

// === impl Ordered ===

impl Ordered {
    fn new(operations: usize) -> Self {
        Self(vec![0; operations.div_ceil(64)])
    }

    fn toggle(&mut self, number: usize) {
        self.0[number / 64] ^= 1 << (number % 64);
    }

    fn with(&self, number: usize) -> Self {
        let mut more = self.clone();
        more.toggle(number);
        more
    }
}

// === impl Violation ===

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unfit(operation) => write!(f, "{operation:?} cannot be checked"),
            Self::NotLinearizable {
                key,
                ordered,
                answered,
                stuck,
                state,
            } => write!(
                f,
                "no order explains the answers for {key:?}: after {ordered} operations ({answered} were answered) \
                 the entry is {state:?}, and {stuck:?} does not fit"
            ),
        }
    }
}

impl std::error::Error for Violation {}

#[cfg(test)]
mod tests;
