//! Clients of a key-value store, at one node or at several, who write down what they did and saw; and the check whether
//! a store that keeps its promises could have shown them that.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;
use serverledge_core::{SplitMix64, StateEntry, StateKey, StateOp, StateReply, StateVersion};
use serverledge_testing::linear::{self, Operation};
use tokio::time::Instant;

use super::http::{Connection, Request, Response};
use super::wait::{pause, wait_for};
use super::{beside, joined};

/// Clients of each key.
pub(crate) const CLIENTS: usize = 4;
/// Operations of a client. The reads with which it looks for a node that answers come on top.
const OPERATIONS: usize = 12;
/// Those that it makes before the fault is over; the others come after it.
const EARLY: usize = 8;
/// Further ones that it makes until the fault is about to end. Behind these it only reads.
const EXTRA: usize = 4;
/// A fault comes when one in so many operations has ended.
const STRUCK_AFTER: usize = 6;
/// Longest silence of a node before a client gives a request up.
const SILENCE_MAX: Duration = Duration::from_secs(2);
/// Longest time between two looks for a node that answers, in short pauses.
const PAUSES_MAX: usize = 10;
/// A moment that has not come yet.
const NOT_YET: u64 = u64::MAX;
/// Characters of a value that are shown.
const SHOWN_MAX: usize = 16;

/// The way in which clients reach the node with a number.
pub(crate) type Connect<'a> = dyn Fn(usize) -> Result<Connection> + Sync + 'a;

/// Clients of some keys in a store of their own, and what they have seen.
pub(crate) struct KvRound<'a> {
    store: String,
    seed: u64,
    nodes: usize,
    connect: &'a Connect<'a>,
    begun: Instant,
    keys: Vec<KeyHistory>,
    /// Operations that have ended, in whatever way.
    ended: AtomicUsize,
    /// A client saw what none may see.
    is_broken: AtomicBool,
    /// The requests to each node since the fault was begun.
    meetings: Vec<NodeMeetings>,
    /// The time before the fault, in nanoseconds: what fails from now on may have failed through it.
    begun_fault: AtomicU64,
    /// The time when it had taken hold.
    struck: AtomicU64,
    /// The time before it is taken back.
    relieved: AtomicU64,
    /// The time when it was over.
    healed: AtomicU64,
}

/// The requests of clients to one node while a fault lasts.
#[derive(Debug, Default)]
struct NodeMeetings {
    /// Without an answer, or with one that leaves the outcome open.
    failures: AtomicUsize,
    /// Begun when the fault had taken hold, and answered.
    answers: AtomicUsize,
}

/// The history of one key.
struct KeyHistory {
    key: StateKey,
    /// All its values are numbers, to which clients add.
    holds_numbers: bool,
    /// The version that was seen last; 0: there was no entry.
    seen: AtomicU64,
    notes: Mutex<Vec<KvNote>>,
}

/// One operation, with the client that made it and the node that it asked.
#[derive(Debug, Clone)]
pub(crate) struct KvNote {
    pub(crate) client: usize,
    pub(crate) node: usize,
    pub(crate) operation: Operation,
}

/// The number of the clients' operations with an answer, and of requests without.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct KvFigures {
    /// Begun and answered while the fault had hold, by other nodes than the one that it struck, or by any node if it
    /// struck all.
    pub(crate) during: usize,
    /// Begun when it was over, and answered.
    pub(crate) after: usize,
    /// Requests that failed through the fault: those to the node that it struck, or all of them if it struck all.
    pub(crate) failures: usize,
}

/// A client's knowledge of an operation.
enum Attempt {
    Answered(StateReply),
    /// Nothing has changed, and the node is well.
    Refused,
    /// Nothing has changed: the node was not reached.
    NotSent,
    /// It may have taken effect, or may do so later.
    Unknown,
}

/// A client of one key.
struct KvClient<'a> {
    round: &'a KvRound<'a>,
    history: &'a KeyHistory,
    number: usize,
    node: usize,
    random: SplitMix64,
    writes: usize,
    connection: Option<Connection>,
}

/// A store as one node shows it.
#[derive(Debug, Default, PartialEq)]
struct StoreView {
    entries: BTreeMap<String, StateEntry>,
    listed: Vec<String>,
    bytes: u64,
    keys: u64,
}

// === impl KvRound ===

impl<'a> KvRound<'a> {
    /// Clients of so many keys at so many nodes, with a store that nobody else uses. Every second key holds numbers.
    pub(crate) fn new(
        store: &str,
        seed: u64,
        keys: usize,
        nodes: usize,
        connect: &'a Connect<'a>,
    ) -> Result<Self> {
        let histories = (0..keys).map(|number| {
            anyhow::Ok(KeyHistory {
                key: StateKey::new(format!("key/{number}"))?,
                holds_numbers: number % 2 == 1,
                seen: AtomicU64::new(0),
                notes: Mutex::default(),
            })
        });
        Ok(Self {
            store: store.to_owned(),
            seed,
            nodes,
            connect,
            begun: Instant::now(),
            keys: histories.collect::<Result<_>>()?,
            ended: AtomicUsize::new(0),
            is_broken: AtomicBool::new(false),
            meetings: (0..nodes).map(|_| NodeMeetings::default()).collect(),
            begun_fault: AtomicU64::new(NOT_YET),
            struck: AtomicU64::new(NOT_YET),
            relieved: AtomicU64::new(NOT_YET),
            healed: AtomicU64::new(NOT_YET),
        })
    }

    /// Runs all clients to their end. The fault comes while they write; when it returns, it is over. It tells with
    /// [`Self::mark_struck`] and [`Self::mark_relieved`] how far it is.
    pub(crate) fn run(&self, fault: impl FnOnce(&Self) -> Result<()>) -> Result<()> {
        let outcome = std::thread::scope(|scope| {
            let clients: Vec<_> = (0..self.clients())
                .map(|number| beside(scope, move || KvClient::new(self, number).run()))
                .collect();
            let struck = self.strike(fault);
            // Clients wait for this also where the fault itself has failed.
            self.mark_relieved();
            self.healed.store(self.now(), Ordering::SeqCst);
            let ended: Vec<Result<()>> = clients.into_iter().map(joined).collect();
            let ended = ended.into_iter().collect::<Result<()>>();
            if self.is_broken.load(Ordering::SeqCst) {
                // The fault has failed for that reason.
                return ended;
            }
            struck.and(ended)
        });
        outcome.with_context(|| self.name())
    }

    fn strike(&self, fault: impl FnOnce(&Self) -> Result<()>) -> Result<()> {
        let enough = self.clients() * OPERATIONS / STRUCK_AFTER;
        self.wait_with_clients("a load that is on its way", || {
            self.ended.load(Ordering::SeqCst) >= enough
        })?;
        self.begun_fault.store(self.now(), Ordering::SeqCst);
        fault(self)
    }

    /// The fault has taken hold from now on.
    pub(crate) fn mark_struck(&self) {
        self.struck.store(self.now(), Ordering::SeqCst);
    }

    /// The fault is taken back from now on.
    pub(crate) fn mark_relieved(&self) {
        if !self.is_relieved() {
            self.relieved.store(self.now(), Ordering::SeqCst);
        }
    }

    fn is_relieved(&self) -> bool {
        self.relieved.load(Ordering::SeqCst) != NOT_YET
    }

    /// Waits until clients have met the fault, at the node that it struck, or anywhere if it struck all; and until the
    /// other nodes have answered so many operations since it took hold. Clients go on until then.
    pub(crate) fn wait_until_met(&self, victim: Option<usize>, answers_min: usize) -> Result<()> {
        self.wait_with_clients("clients that notice the fault", || {
            self.failures(victim) > 0
        })?;
        self.wait_with_clients("other nodes that answer during the fault", || {
            let others = (0..self.nodes).filter(|node| victim.is_some_and(|one| one != *node));
            let answers = others.map(|node| self.meetings[node].answers.load(Ordering::SeqCst));
            answers.sum::<usize>() >= answers_min
        })
    }

    /// Waits for something that clients bring about, as long as none of them has broken off.
    fn wait_with_clients(&self, what: &str, has_come: impl Fn() -> bool) -> Result<()> {
        wait_for(what, || {
            ensure!(
                !self.is_broken.load(Ordering::SeqCst),
                "waited in vain for {what}: a client broke off"
            );
            Ok(has_come().then_some(()))
        })
    }

    /// Requests that failed during the fault, to one node or to all.
    fn failures(&self, victim: Option<usize>) -> usize {
        let nodes = (0..self.nodes).filter(|node| victim.is_none_or(|victim| victim == *node));
        nodes
            .map(|node| self.meetings[node].failures.load(Ordering::SeqCst))
            .sum()
    }

    /// Reads every key at every node once more: these reads belong to the histories.
    pub(crate) fn read_everywhere(&self) -> Result<()> {
        for node in 0..self.nodes {
            for history in &self.keys {
                let mut client = KvClient::reader(self, history, node);
                wait_for(&format!("node {node} to answer"), || {
                    client.node = node;
                    let get = client.read();
                    Ok(client.perform(get)?.then_some(()))
                })
                .with_context(|| self.name())?;
            }
        }
        Ok(())
    }

    /// Finds an order that explains everything, for every key.
    pub(crate) fn check(&self) -> Result<()> {
        for (number, history) in self.keys.iter().enumerate() {
            check_notes(&format!("{}-{number}", self.name()), &history.notes())?;
        }
        Ok(())
    }

    /// Waits until all nodes show the same entries, and their figures are those of the entries. A request that a client
    /// gave up may be on its way until then.
    pub(crate) fn wait_until_agreed(&self) -> Result<()> {
        let mut seen = String::new();
        wait_for("nodes that agree about a store", || {
            let views: Vec<Result<StoreView>> =
                (0..self.nodes).map(|node| self.view(node)).collect();
            seen = format!("{views:#?}");
            let Ok(views) = views.into_iter().collect::<Result<Vec<_>>>() else {
                return Ok(None);
            };
            let equal = views.windows(2).all(|pair| pair[0] == pair[1]);
            Ok((equal && views.iter().all(StoreView::is_sound)).then_some(()))
        })
        .with_context(|| format!("{}: {seen}", self.name()))
    }

    fn view(&self, node: usize) -> Result<StoreView> {
        let mut connection = self.open(node)?;
        let mut view = StoreView::default();
        for history in &self.keys {
            let get = StateOp::Get {
                key: history.key.clone(),
            };
            let response = connection.send(&request(&self.store, &get))?;
            match read_answer(&get, &response)? {
                Attempt::Answered(StateReply::Entry(Some(entry))) => {
                    view.entries.insert(history.key.to_string(), entry);
                }
                Attempt::Answered(StateReply::Entry(None)) => {}
                _ => bail!("{}: {}", response.status, response.text()),
            }
        }
        let mut read = |target: &str| -> Result<Value> {
            let response = connection.send(&Request::get(target))?;
            let text = response.text();
            ensure!(response.status == 200, "{}: {text}", response.status);
            response.json()
        };
        let page = read(&format!("/kv/{}", self.store))?;
        let keys = page["keys"].as_array().context("keys")?;
        let listed = keys.iter().filter_map(Value::as_str).map(str::to_owned);
        view.listed = listed.collect();
        let all = read("/kv")?;
        let stores = all["stores"].as_array().context("stores")?;
        // One that holds nothing is not listed.
        if let Some(store) = stores
            .iter()
            .find(|store| store["name"] == self.store.as_str())
        {
            view.bytes = store["bytes"].as_u64().context("bytes")?;
            view.keys = store["keys"].as_u64().context("keys")?;
        }
        Ok(view)
    }

    /// The operations on one key, by its number.
    pub(crate) fn notes(&self, key: usize) -> Vec<KvNote> {
        self.keys[key].notes().clone()
    }

    /// The number of histories, of which each is checked.
    pub(crate) fn runs(&self) -> usize {
        self.keys.len()
    }

    /// The figures of a round whose fault struck this node, or all of them.
    pub(crate) fn figures(&self, victim: Option<usize>) -> KvFigures {
        let struck = self.struck.load(Ordering::SeqCst);
        let relieved = self.relieved.load(Ordering::SeqCst);
        let healed = self.healed.load(Ordering::SeqCst);
        let mut figures = KvFigures {
            failures: self.failures(victim),
            ..KvFigures::default()
        };
        for history in &self.keys {
            for note in history.notes().iter() {
                let Some((_, returned)) = note.operation.answer.as_ref() else {
                    continue;
                };
                // The reads at the end are none of the clients'.
                if note.client == CLIENTS {
                    continue;
                }
                let invoked = note.operation.invoked;
                let is_beside = victim.is_none_or(|victim| victim != note.node);
                let is_during = invoked >= struck && *returned <= relieved;
                figures.during += usize::from(is_beside && is_during);
                figures.after += usize::from(invoked >= healed);
            }
        }
        figures
    }

    /// The name that a failure tells, and the file with its history has.
    fn name(&self) -> String {
        format!("kv-{}-seed-{:x}", self.store, self.seed)
    }

    fn clients(&self) -> usize {
        self.keys.len() * CLIENTS
    }

    fn now(&self) -> u64 {
        u64::try_from(self.begun.elapsed().as_nanos()).unwrap_or(NOT_YET - 1)
    }

    fn open(&self, node: usize) -> Result<Connection> {
        let connection = (self.connect)(node)?;
        connection.set_silence_max(SILENCE_MAX)?;
        Ok(connection)
    }
}

// === impl KeyHistory ===

impl KeyHistory {
    fn notes(&self) -> MutexGuard<'_, Vec<KvNote>> {
        self.notes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Remembers the version that an answer tells: what the next compare-and-set expects.
    fn learn(&self, reply: &StateReply) {
        let version = match reply {
            StateReply::Entry(Some(entry)) => entry.version.get(),
            StateReply::Written(version) | StateReply::Swapped(Some(version)) => version.get(),
            StateReply::Entry(None) | StateReply::Deleted(_) => 0,
            _ => return,
        };
        self.seen.store(version, Ordering::SeqCst);
    }

    fn expected(&self) -> Option<StateVersion> {
        let version = self.seen.load(Ordering::SeqCst);
        (version > 0).then(|| StateVersion::new(version))
    }
}

// === impl KvClient ===

impl<'a> KvClient<'a> {
    fn new(round: &'a KvRound<'a>, number: usize) -> Self {
        Self {
            history: &round.keys[number / CLIENTS],
            number: number % CLIENTS,
            node: number % round.nodes,
            random: SplitMix64::new(SplitMix64::mix(round.seed) ^ number as u64),
            writes: 0,
            connection: None,
            round,
        }
    }

    /// One that reads only.
    fn reader(round: &'a KvRound<'a>, history: &'a KeyHistory, node: usize) -> Self {
        Self {
            round,
            history,
            number: CLIENTS,
            node,
            random: SplitMix64::new(0),
            writes: 0,
            connection: None,
        }
    }

    fn run(mut self) -> Result<()> {
        let home = self.node;
        let early = self.work(EARLY).and_then(|()| self.work_until_relieved());
        if early.is_err() {
            self.round.is_broken.store(true, Ordering::SeqCst);
        }
        early?;
        wait_for("the end of the fault", || {
            Ok((self.round.healed.load(Ordering::SeqCst) != NOT_YET).then_some(()))
        })?;
        if self.node != home {
            self.node = home;
            self.connection = None;
        }
        self.work(OPERATIONS - EARLY)
    }

    /// Makes operations. After one without an answer it reads until some node answers: so no client leaves more than a
    /// few operations whose outcome is unknown.
    fn work(&mut self, operations: usize) -> Result<()> {
        for _ in 0..operations {
            let op = self.next_op();
            self.make(op)?;
        }
        Ok(())
    }

    /// Goes on until the fault is about to end: so there is somebody who meets it, and the other nodes are asked
    /// meanwhile. More and more rarely, and in the end with reads, so that histories stay short.
    fn work_until_relieved(&mut self) -> Result<()> {
        let mut made = 0;
        while !self.round.is_relieved() {
            let op = if made < EXTRA {
                self.next_op()
            } else {
                self.read()
            };
            self.make(op)?;
            made += 1;
            (0..PAUSES_MAX.min(made)).for_each(|_| pause());
        }
        Ok(())
    }

    fn make(&mut self, op: StateOp) -> Result<()> {
        let is_settled = self.perform(op)?;
        self.round.ended.fetch_add(1, Ordering::SeqCst);
        if is_settled {
            return Ok(());
        }
        self.find_a_node()
    }

    fn read(&self) -> StateOp {
        StateOp::Get {
            key: self.history.key.clone(),
        }
    }

    fn find_a_node(&mut self) -> Result<()> {
        let mut failed = 0;
        wait_for("a node that answers", || {
            // More and more rarely: the machine is left to those that bring the nodes back.
            (0..failed).for_each(|_| pause());
            failed = PAUSES_MAX.min(failed + 1);
            let get = self.read();
            Ok(self.perform(get)?.then_some(()))
        })
    }

    fn next_op(&mut self) -> StateOp {
        let key = self.history.key.clone();
        match self.random.below(100) {
            0..30 => StateOp::Get { key },
            30..50 => StateOp::Set {
                key,
                value: self.next_value().into(),
                ttl: None,
            },
            50..60 => StateOp::Delete { key },
            60..85 if self.history.holds_numbers => StateOp::Increment {
                key,
                by: 1 + self.random.below(9) as i64,
            },
            _ => StateOp::CompareAndSet {
                key,
                expected: self.history.expected(),
                value: self.next_value().into(),
                ttl: None,
            },
        }
    }

    /// A value that nobody else writes, of whatever length.
    fn next_value(&mut self) -> String {
        self.writes += 1;
        if self.history.holds_numbers {
            return ((self.number * 100 + self.writes) * 1000).to_string();
        }
        let filling = ".".repeat(self.random.below(200));
        format!("{}-{}{filling}", self.number, self.writes)
    }

    /// Makes one operation and writes it down; false if the node does not answer.
    fn perform(&mut self, op: StateOp) -> Result<bool> {
        let invoked = self.round.now();
        let node = self.node;
        let attempt = self.attempt(&op)?;
        let returned = self.round.now();
        if matches!(attempt, Attempt::Unknown | Attempt::NotSent) {
            self.move_on();
        }
        let answer = match attempt {
            Attempt::Answered(reply) => {
                self.history.learn(&reply);
                Some((reply, returned))
            }
            Attempt::Refused => return Ok(true),
            Attempt::NotSent => return Ok(false),
            Attempt::Unknown => None,
        };
        let is_answered = answer.is_some();
        let is_struck = invoked >= self.round.struck.load(Ordering::SeqCst);
        if is_answered || op.writes() {
            self.history.notes().push(KvNote {
                client: self.number,
                node,
                operation: Operation {
                    op,
                    invoked,
                    answer,
                },
            });
        }
        if is_answered && is_struck {
            // Behind its note, which is counted in the end.
            let answers = &self.round.meetings[node].answers;
            answers.fetch_add(1, Ordering::SeqCst);
        }
        Ok(is_answered)
    }

    fn attempt(&mut self, op: &StateOp) -> Result<Attempt> {
        let connection = match self.connection.take() {
            Some(connection) => Ok(connection),
            None => self.round.open(self.node),
        };
        let Ok(mut connection) = connection else {
            return Ok(Attempt::NotSent);
        };
        let Ok(response) = connection.send(&request(&self.round.store, op)) else {
            return Ok(Attempt::Unknown);
        };
        if response.header("connection") != Some("close") {
            self.connection = Some(connection);
        }
        read_answer(op, &response)
    }

    /// Goes to the next node.
    fn move_on(&mut self) {
        let is_begun = self.round.begun_fault.load(Ordering::SeqCst) != NOT_YET;
        if is_begun && !self.round.is_relieved() {
            let failures = &self.round.meetings[self.node].failures;
            failures.fetch_add(1, Ordering::SeqCst);
        }
        self.connection = None;
        self.node = (self.node + 1) % self.round.nodes;
    }
}

// === impl StoreView ===

impl StoreView {
    /// Whether list and figures are those of the entries.
    fn is_sound(&self) -> bool {
        let bytes = self.entries.iter();
        let bytes: usize = bytes
            .map(|(key, entry)| key.len() + entry.value.len())
            .sum();
        (self.bytes, self.keys) == (bytes as u64, self.entries.len() as u64)
            && self.listed.iter().eq(self.entries.keys())
    }
}

fn request(store: &str, op: &StateOp) -> Request {
    let target = |key: &StateKey| format!("/kv/{store}/{key}");
    match op {
        StateOp::Get { key } => Request::get(&target(key)),
        StateOp::Set { key, value, .. } => Request::new("PUT", &target(key)).body(value.to_vec()),
        StateOp::Delete { key } => Request::new("DELETE", &target(key)),
        StateOp::List { .. } => Request::get(&format!("/kv/{store}")),
        StateOp::CompareAndSet {
            key,
            expected,
            value,
            ..
        } => {
            let request = Request::new("PUT", &target(key)).body(value.to_vec());
            match expected {
                None => request.header("if-none-match", "*"),
                Some(version) => request.header("if-match", &format!("\"{version}\"")),
            }
        }
        StateOp::Increment { key, by } => {
            Request::post(&format!("{}?increment={by}", target(key)), "")
        }
    }
}

/// The meaning of a response to an operation.
///
/// # Errors
/// A response that no client expects, whatever happens to the nodes.
fn read_answer(op: &StateOp, response: &Response) -> Result<Attempt> {
    let code = response.code();
    let reply = match (op, response.status, code.as_str()) {
        (StateOp::Get { .. }, 200, _) => StateReply::Entry(Some(StateEntry {
            value: response.body.clone().into(),
            version: version_of(response)?,
        })),
        (StateOp::Get { .. }, 404, "kv_not_found") => StateReply::Entry(None),
        (StateOp::Set { .. }, 204, _) => StateReply::Written(version_of(response)?),
        (StateOp::Delete { .. }, 204, _) => StateReply::Deleted(true),
        (StateOp::Delete { .. }, 404, "kv_not_found") => StateReply::Deleted(false),
        (StateOp::CompareAndSet { .. }, 204, _) => StateReply::Swapped(Some(version_of(response)?)),
        (StateOp::CompareAndSet { .. }, 412, "kv_changed") => StateReply::Swapped(None),
        (StateOp::Increment { .. }, 200, _) => {
            let sum = response.json()?["value"].as_i64();
            StateReply::Number(sum.context("the reply tells the sum")?)
        }
        (_, 429, _) | (_, 503, "kv_contended") => return Ok(Attempt::Refused),
        (_, 503, _) => return Ok(Attempt::Unknown),
        _ => bail!("{op:?}: {}: {}", response.status, response.text()),
    };
    Ok(Attempt::Answered(reply))
}

fn version_of(response: &Response) -> Result<StateVersion> {
    let tag = response.header("etag").context("the reply has an ETag")?;
    let number = tag.trim_matches('"').parse::<u64>();
    let number = number.with_context(|| format!("{tag} is no version"))?;
    Ok(StateVersion::new(number))
}

/// Finds an order that explains the operations on one key; else shows them, and leaves them in a file as well.
pub(crate) fn check_notes(name: &str, notes: &[KvNote]) -> Result<()> {
    let history: Vec<Operation> = notes.iter().map(|note| note.operation.clone()).collect();
    let Err(violation) = linear::check(&history) else {
        return Ok(());
    };
    let text = format!("{name}: {violation}\n{}", show(notes));
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}.txt"));
    std::fs::write(&path, &text).with_context(|| format!("failed to write {}", path.display()))?;
    bail!("{text}(also in {})", path.display())
}

/// Operations in the order of their begin, a line each.
fn show(notes: &[KvNote]) -> String {
    let mut notes: Vec<&KvNote> = notes.iter().collect();
    notes.sort_by_key(|note| note.operation.invoked);
    let mut text = String::new();
    for note in notes {
        let Operation {
            op,
            invoked,
            answer,
        } = &note.operation;
        let (end, answer) = match answer {
            None => ("?".to_owned(), "unknown".to_owned()),
            Some((reply, returned)) => (micros(*returned), show_reply(reply)),
        };
        let begin = micros(*invoked);
        let op = show_op(op);
        // Writing to a string does not fail.
        let _ = writeln!(
            text,
            "{begin:>12} to {end:>12} us, client {} at node {}: {op} -> {answer}",
            note.client, note.node
        );
    }
    text
}

fn micros(nanos: u64) -> String {
    (nanos / 1000).to_string()
}

fn show_op(op: &StateOp) -> String {
    match op {
        StateOp::Set { value, .. } => format!("set {}", show_value(value)),
        StateOp::CompareAndSet {
            expected, value, ..
        } => {
            let expected = expected.map_or("nothing".to_owned(), |version| version.to_string());
            format!("compare {expected} and set {}", show_value(value))
        }
        StateOp::Increment { by, .. } => format!("increment by {by}"),
        _ => op.name().to_owned(),
    }
}

fn show_reply(reply: &StateReply) -> String {
    match reply {
        StateReply::Entry(Some(entry)) => {
            format!("{} version {}", show_value(&entry.value), entry.version)
        }
        StateReply::Entry(None) => "nothing".to_owned(),
        StateReply::Written(version) | StateReply::Swapped(Some(version)) => {
            format!("version {version}")
        }
        StateReply::Swapped(None) => "not swapped".to_owned(),
        StateReply::Deleted(was_there) => format!("deleted: {was_there}"),
        StateReply::Number(sum) => sum.to_string(),
        StateReply::Keys(page) => format!("{:?}", page.keys),
    }
}

fn show_value(value: &[u8]) -> String {
    let text = String::from_utf8_lossy(value);
    let shown: String = text.chars().take(SHOWN_MAX).collect();
    format!("{shown:?}")
}
