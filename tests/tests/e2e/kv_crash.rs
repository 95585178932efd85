//! A key-value store on the node's own data folder: the node is killed with -9 while clients write, and started again.
//! What the clients saw before and after is one history, which some order explains.

use std::net::SocketAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};

use anyhow::{Context, Result, ensure};
use serverledge_core::{StateEntry, StateOp, StateReply};
use serverledge_testing::linear::Operation;

use crate::support::kv::{CLIENTS, KvNote, KvRound, check_notes};
use crate::support::{Connection, Node, Setup};

const SEED: u64 = 0x0006_b765_eed0_0001;
const ROUNDS: u64 = 8;
const KEYS: usize = 4;
/// The least number of histories that are checked.
const RUNS_MIN: usize = 20;

/// A node that lets a space write as fast as it can.
fn start() -> Result<Node> {
    Setup::new()?.with("state.writes_per_second", 0).start()
}

fn locked(address: &Mutex<SocketAddr>) -> MutexGuard<'_, SocketAddr> {
    address.lock().unwrap_or_else(PoisonError::into_inner)
}

#[test]
fn acknowledged_writes_of_stores_survive_kills() -> Result<()> {
    let first = start()?;
    let address = Mutex::new(first.address);
    let connect = |_: usize| Connection::open(*locked(&address));
    let mut node = Some(first);
    let mut runs = 0;
    for number in 0..ROUNDS {
        let store = format!("crash-{number}");
        let round = KvRound::new(&store, SEED.wrapping_add(number), KEYS, 1, &connect)?;
        round.run(|round| {
            let ended = node.take().context("the node runs")?.kill()?;
            ensure!(!ended.stderr.contains("panicked"), "{}", ended.stderr);
            round.mark_struck();
            round.wait_until_met(None, 0)?;
            round.mark_relieved();
            let again = ended.restart()?;
            *locked(&address) = again.address;
            node = Some(again);
            Ok(())
        })?;
        round.read_everywhere()?;
        round.check()?;
        round.wait_until_agreed()?;
        let figures = round.figures(None);
        ensure!(
            figures.failures > 0,
            "{store}: no client has met a node that was killed"
        );
        ensure!(
            figures.during == 0,
            "{store}: a node that was killed has answered: {figures:?}"
        );
        ensure!(
            figures.after >= KEYS * CLIENTS,
            "{store}: hardly anything was answered after the restart: {figures:?}"
        );
        runs += round.runs();
    }
    assert!(runs >= RUNS_MIN, "{runs} runs");
    node.context("the node runs")?.stop()?;
    Ok(())
}

/// A read of what another write has replaced before, as the last operation of all.
fn stale_read(notes: &[KvNote]) -> Option<KvNote> {
    let written = |note: &KvNote| match (&note.operation.op, &note.operation.answer) {
        (StateOp::Set { key, value, .. }, Some((StateReply::Written(version), _))) => Some((
            key.clone(),
            StateEntry {
                value: value.clone(),
                version: *version,
            },
        )),
        _ => None,
    };
    let mut writes: Vec<_> = notes.iter().filter_map(written).collect();
    writes.sort_by_key(|(_, entry)| entry.version);
    if writes.len() < 2 {
        return None;
    }
    let (key, entry) = writes.swap_remove(0);
    let answers = notes
        .iter()
        .filter_map(|note| note.operation.answer.as_ref());
    let end = answers.map(|(_, returned)| *returned).max()?;
    Some(KvNote {
        client: CLIENTS,
        node: 0,
        operation: Operation {
            op: StateOp::Get { key },
            invoked: end + 1,
            answer: Some((StateReply::Entry(Some(entry)), end + 2)),
        },
    })
}

/// The check is one that fails: a single read that came too late for its value is found in a history that was right.
#[test]
fn a_stale_read_does_not_pass() -> Result<()> {
    let node = start()?;
    let address = node.address;
    let connect = |_: usize| Connection::open(address);
    let round = KvRound::new("stale", SEED, KEYS, 1, &connect)?;
    round.run(|_| Ok(()))?;
    round.read_everywhere()?;
    round.check()?;
    for key in 0..KEYS {
        let mut notes = round.notes(key);
        notes.push(stale_read(&notes).context("a value that was replaced")?);
        let error = check_notes(&format!("kv-stale-{key}"), &notes);
        let error = error.err().map(|error| error.to_string());
        let error = error.context("the stale read has passed")?;
        ensure!(error.contains("no order explains"), "{error}");
    }
    node.stop()?;
    Ok(())
}
