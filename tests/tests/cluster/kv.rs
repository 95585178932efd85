//! Key-value stores in a cluster. Clients at all nodes write the same keys while a node is killed or cut off from etcd,
//! or etcd is killed: what they saw is linearizable, other nodes than the struck one go on, and afterwards all nodes
//! show the same entries and figures. Entries end on every node when their time is over, when their store is cleared,
//! and with the application whose functions write them.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use serverledge_testing::links::Condition;
use tokio::time::Instant;

use crate::e2e::kv::{CLIENTS, KvFigures, KvRound};
use crate::e2e::node::deployment;
use crate::e2e::wait::PATIENCE;
use crate::support::cluster::ETCD;
use crate::support::{CLOUD, Cluster, Door, EDGE, Request, Response, beside, joined, wait_for};

const NODES: [&str; 3] = ["edge1", "edge2", "cloud"];
const SEED: u64 = 0x0006_b765_eed0_0002;
const ROUNDS: usize = 20;
/// Keys in each round; each has a history of its own, with [`CLIENTS`] clients.
const KEYS: usize = 12;
/// The least number of histories that are checked.
const RUNS_MIN: usize = 200;
/// Operations that the other nodes answer during a fault of one, in each round.
const DURING_MIN: usize = 5;
/// The lifetime of entries that end.
const LIFETIME: Duration = Duration::from_secs(2);
/// Longest time until a sweep has taken away what is over; nodes sweep every 10 s or so.
const SWEPT_MAX: Duration = Duration::from_secs(30);
/// Entries of each kind.
const ENTRIES: usize = 9;
/// Entries of each writer.
const PLACES: usize = 20;
/// Writes that are made before something is taken from under the writers.
const WRITES_BEFORE: usize = 60;
/// The begin of all keys of stores in etcd: entries, their ends, and what is counted.
const STATE_KEYS: &str = "cluster/state";
/// Counts in its application's store.
const COUNTER: &str = r"
import { kv } from 'serverledge';

export default async ({ key }) => await kv.increment(key);
";

/// The event in the middle of a round.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum StoreFault {
    /// Nothing.
    Calm,
    /// A node is killed with -9, and started again.
    NodeKilled,
    /// The link between a node and etcd is cut, and heals.
    NodeCutOff,
    /// etcd is killed with -9, and started again on its data.
    EtcdKilled,
}

const FAULTS: [StoreFault; 4] = [
    StoreFault::NodeKilled,
    StoreFault::NodeCutOff,
    StoreFault::EtcdKilled,
    StoreFault::Calm,
];

// === impl StoreFault ===

impl StoreFault {
    /// The node of this number, if the fault strikes one node and not all.
    fn struck(self, node: usize) -> Option<usize> {
        matches!(self, Self::NodeKilled | Self::NodeCutOff).then_some(node)
    }

    /// Brings it about, lets clients meet it, and takes it back.
    fn strike(
        self,
        cluster: &mut Cluster,
        victim: usize,
        doors: &Mutex<Vec<Door>>,
        round: &KvRound<'_>,
    ) -> Result<()> {
        let name = NODES[victim];
        match self {
            Self::Calm => {}
            Self::NodeKilled => {
                cluster.kill(name)?;
                self.let_clients_meet(victim, round)?;
                cluster.restart(name, |setup| setup)?;
                locked(doors)[victim] = cluster.door(name);
            }
            Self::NodeCutOff => {
                cluster.links().set(name, ETCD, Condition::CUT);
                let met = self.let_clients_meet(victim, round);
                cluster.links().heal();
                met?;
            }
            Self::EtcdKilled => {
                cluster.etcd(async |etcd| etcd.kill());
                self.let_clients_meet(victim, round)?;
                cluster.etcd(async |etcd| etcd.restart().await);
            }
        }
        Ok(())
    }

    /// The time in which it has hold: it ends when clients have met the fault, and have had answers of the nodes that
    /// it does not concern.
    fn let_clients_meet(self, victim: usize, round: &KvRound<'_>) -> Result<()> {
        round.mark_struck();
        let struck = self.struck(victim);
        round.wait_until_met(struck, struck.map_or(0, |_| DURING_MIN))?;
        round.mark_relieved();
        Ok(())
    }

    /// Whether a round has shown anything: clients met the fault, and had answers during it and afterwards.
    fn check(self, figures: KvFigures) -> Result<()> {
        ensure!(
            figures.after >= KEYS * CLIENTS,
            "hardly anything was answered afterwards: {figures:?}"
        );
        ensure!(
            self == Self::Calm || figures.failures > 0,
            "no client has noticed: {figures:?}"
        );
        let others_answer = matches!(self, Self::NodeKilled | Self::NodeCutOff);
        ensure!(
            !others_answer || figures.during >= DURING_MIN,
            "the other nodes have hardly answered: {figures:?}"
        );
        ensure!(
            self != Self::EtcdKilled || figures.during == 0,
            "nodes have answered without etcd: {figures:?}"
        );
        Ok(())
    }
}

fn locked(doors: &Mutex<Vec<Door>>) -> MutexGuard<'_, Vec<Door>> {
    doors.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Nodes that let a space write as fast as it can.
fn join_all(cluster: &mut Cluster) -> Result<()> {
    for name in NODES {
        let area = if name == "cloud" { CLOUD } else { EDGE };
        cluster.join(name, area, 4, |setup| {
            setup.with("state.writes_per_second", 0)
        })?;
    }
    cluster.wait_until_acquainted()
}

#[test]
fn histories_of_stores_are_linearizable_whatever_happens() -> Result<()> {
    let mut cluster = Cluster::on_links(&NODES)?;
    join_all(&mut cluster)?;
    let doors = Mutex::new(NODES.map(|name| cluster.door(name)).to_vec());
    let connect = |node: usize| {
        let door = locked(&doors)[node].clone();
        door.connect()
    };
    let mut runs = 0;
    for number in 0..ROUNDS {
        let fault = FAULTS[number % FAULTS.len()];
        // Each fault comes to each node in turn.
        let victim = number / FAULTS.len() % NODES.len();
        let store = format!("round-{number}");
        let seed = SEED.wrapping_add(number as u64);
        let round = KvRound::new(&store, seed, KEYS, NODES.len(), &connect)?;
        let told = || format!("{store}: {fault:?} of {}", NODES[victim]);
        round
            .run(|round| fault.strike(&mut cluster, victim, &doors, round))
            .with_context(told)?;
        round.read_everywhere().with_context(told)?;
        round.check().with_context(told)?;
        round.wait_until_agreed().with_context(told)?;
        let figures = round.figures(fault.struck(victim));
        fault.check(figures).with_context(told)?;
        runs += round.runs();
    }
    assert!(runs >= RUNS_MIN, "{runs} runs");
    Ok(())
}

/// A store as a node shows it: what it counts, and what its entries add up to.
#[derive(Debug)]
struct StoreFigures {
    keys: Vec<String>,
    bytes: u64,
    counted_bytes: u64,
    counted_keys: u64,
}

// === impl StoreFigures ===

impl StoreFigures {
    fn read(door: &Door, store: &str) -> Result<Self> {
        let page = read(door, &format!("/kv/{store}"))?.json()?;
        let listed = page["keys"].as_array().context("keys")?;
        let listed = listed.iter().filter_map(Value::as_str).map(str::to_owned);
        let keys: Vec<String> = listed.collect();
        let mut bytes = 0;
        for key in &keys {
            bytes += key.len() + read(door, &format!("/kv/{store}/{key}"))?.body.len();
        }
        let all = read(door, "/kv")?.json()?;
        let stores = all["stores"].as_array().context("stores")?;
        // One that holds nothing is not listed.
        let counted = stores.iter().find(|one| one["name"] == store);
        let count = |member: &str| counted.map_or(Some(0), |one| one[member].as_u64());
        Ok(Self {
            bytes: bytes as u64,
            counted_bytes: count("bytes").context("bytes")?,
            counted_keys: count("keys").context("keys")?,
            keys,
        })
    }

    /// Whether the counts are those of the entries that can be read.
    fn add_up(&self) -> bool {
        (self.counted_bytes, self.counted_keys) == (self.bytes, self.keys.len() as u64)
    }
}

fn read(door: &Door, target: &str) -> Result<Response> {
    let response = door.get(target)?;
    let text = response.text();
    ensure!(response.status == 200, "{target} at {}: {text}", door.node);
    Ok(response)
}

fn put(door: &Door, target: &str) -> Result<()> {
    let response = door.ask(&Request::new("PUT", target).body("value"))?;
    let text = response.text();
    ensure!(response.status == 204, "{target} at {}: {text}", door.node);
    Ok(())
}

/// Clears a store through one node; returns how many entries went.
fn clear(door: &Door, store: &str) -> Result<u64> {
    wait_for("a store that is cleared", || {
        let response = door.ask(&Request::new("DELETE", &format!("/kv/{store}")))?;
        match (response.status, response.code().as_str()) {
            (200, _) => response.json()?["cleared"]
                .as_u64()
                .context("the reply tells how many entries went")
                .map(Some),
            // Others were faster each time.
            (503, "kv_contended") => Ok(None),
            (status, _) => anyhow::bail!("{store}: {status}: {}", response.text()),
        }
    })
}

/// Entries with a lifetime, written at one node and read at the next one: they are there until it is over, and gone at
/// all nodes then. Counts go back to what the other entries add up to.
fn lifetimes_end_everywhere(doors: &[Door]) -> Result<()> {
    for number in 0..ENTRIES {
        put(
            &doors[number % doors.len()],
            &format!("/kv/lived/stays/{number}"),
        )?;
        put(
            &doors[number % doors.len()],
            &format!("/kv/lived/lasts/{number}?ttl=3600"),
        )?;
    }
    for number in 0..ENTRIES {
        let target = format!("/kv/lived/ends/{number}");
        let begun = Instant::now();
        put(
            &doors[number % doors.len()],
            &format!("{target}?ttl={}", LIFETIME.as_secs()),
        )?;
        let status = doors[(number + 1) % doors.len()].get(&target)?.status;
        ensure!(
            status == 200 || begun.elapsed() >= LIFETIME,
            "{target} was gone after {:?}",
            begun.elapsed()
        );
    }
    for door in doors {
        for number in 0..ENTRIES {
            let target = format!("/kv/lived/ends/{number}");
            wait_for(&format!("the end of {target} at {}", door.node), || {
                let response = door.get(&target)?;
                ensure!(matches!(response.status, 200 | 404), "{}", response.text());
                Ok((response.status == 404).then_some(()))
            })?;
        }
    }
    let over = Instant::now();
    // What is over is no entry, and what comes in its place is not swept.
    let anew = Request::new("PUT", "/kv/lived/ends/0").header("if-none-match", "*");
    let status = doors[0].ask(&anew.body("value"))?.status;
    ensure!(status == 204, "{status}");
    for door in doors {
        let mut seen = String::new();
        wait_for("counts without what is over", || {
            let figures = StoreFigures::read(door, "lived")?;
            seen = format!("{figures:?}");
            ensure!(
                figures.keys.len() == 2 * ENTRIES + 1,
                "{}: {seen}",
                door.node
            );
            Ok(figures.add_up().then_some(()))
        })
        .with_context(|| format!("{}: {seen}", door.node))?;
        let figures = StoreFigures::read(door, "lived")?;
        let all = json!({"bytes": figures.bytes, "keys": figures.keys.len()});
        let stores = read(door, "/kv")?.json()?;
        ensure!(stores["usage"] == all, "{}: {stores}", door.node);
        ensure!(
            over.elapsed() < SWEPT_MAX,
            "swept after {:?}",
            over.elapsed()
        );
    }
    Ok(())
}

/// A store that is cleared while all nodes write to it. What is written meanwhile may stay, and is counted; cleared
/// once more when nobody writes, it is empty.
fn a_store_is_cleared_under_its_writers(doors: &[Door]) -> Result<()> {
    let is_over = AtomicBool::new(false);
    let written = AtomicUsize::new(0);
    let write = |door: &Door| -> Result<()> {
        for number in 0.. {
            if is_over.load(Ordering::SeqCst) {
                break;
            }
            let target = format!("/kv/cleared/{}/{}?increment=1", door.node, number % PLACES);
            let response = door.ask(&Request::post(&target, ""))?;
            let is_expected = response.status == 200 || response.code() == "kv_contended";
            ensure!(is_expected, "{target}: {}", response.text());
            written.fetch_add(1, Ordering::SeqCst);
        }
        Ok(())
    };
    let cleared = std::thread::scope(|scope| {
        let write = &write;
        let writers: Vec<_> = doors
            .iter()
            .map(|door| beside(scope, move || write(door)))
            .collect();
        let cleared = wait_for("writes", || {
            let is_enough = written.load(Ordering::SeqCst) >= WRITES_BEFORE;
            let are_broken = writers.iter().any(|writer| writer.is_finished());
            Ok((is_enough || are_broken).then_some(()))
        })
        .and_then(|()| clear(&doors[0], "cleared"));
        is_over.store(true, Ordering::SeqCst);
        writers.into_iter().try_for_each(joined)?;
        cleared
    })?;
    ensure!(cleared > 0, "there was nothing to clear");
    for door in doors {
        let figures = StoreFigures::read(door, "cleared")?;
        ensure!(figures.add_up(), "{}: {figures:?}", door.node);
    }
    clear(&doors[1], "cleared")?;
    for door in doors {
        let figures = StoreFigures::read(door, "cleared")?;
        let is_empty = figures.add_up() && figures.keys.is_empty();
        ensure!(is_empty, "{}: {figures:?}", door.node);
    }
    Ok(())
}

/// Creates the application; returns its id.
fn create_shop(door: &Door) -> Result<String> {
    let made = door.ask(&Request::json("/apps", &json!({"name": "shop"})))?;
    ensure!((200..300).contains(&made.status), "{}", made.text());
    shop_id(&made)
}

fn shop_id(response: &Response) -> Result<String> {
    let id = response.json()?["id"].as_str().map(str::to_owned);
    id.context("an application has an id")
}

/// An application that is deleted while all nodes run its function, which writes: nothing of its stores is left, and
/// another application of its name has none.
fn nothing_is_left_of_a_deleted_space(cluster: &mut Cluster, doors: &[Door]) -> Result<()> {
    create_shop(&doors[0])?;
    let body = deployment(
        "count",
        COUNTER.as_bytes(),
        &json!({"Runtime": "javascript"}),
    );
    let made = doors[0].ask(&Request::json("/apps/shop/create", &body))?;
    ensure!(made.status == 200, "{}", made.text());
    let call = |door: &Door, number: usize| {
        let params = json!({"key": format!("{}/{}", door.node, number % PLACES)});
        door.ask(&Request::json("/apps/shop/fn/count", &params))
    };
    for door in doors {
        wait_for(&format!("the function at {}", door.node), || {
            Ok((call(door, 0)?.status == 200).then_some(()))
        })?;
    }
    let is_deleting = AtomicBool::new(false);
    let has_failed = AtomicBool::new(false);
    let written = AtomicUsize::new(0);
    // Until the application is gone.
    let write = |door: &Door| -> Result<()> {
        let begun = Instant::now();
        for number in 0.. {
            let response = call(door, number)?;
            let is_deleting = is_deleting.load(Ordering::SeqCst);
            let is_gone = is_deleting && response.status == 404;
            if is_gone || has_failed.load(Ordering::SeqCst) {
                break;
            }
            // A run may lose its space half-way.
            let is_expected = is_deleting || response.status == 200;
            ensure!(is_expected, "{}: {}", door.node, response.text());
            ensure!(begun.elapsed() < PATIENCE, "{} runs it for ever", door.node);
            written.fetch_add(1, Ordering::SeqCst);
        }
        Ok(())
    };
    std::thread::scope(|scope| {
        let write = &write;
        let writers: Vec<_> = doors
            .iter()
            .map(|door| beside(scope, move || write(door)))
            .collect();
        let deleted = wait_for("writes", || {
            let is_enough = written.load(Ordering::SeqCst) >= WRITES_BEFORE;
            let are_broken = writers.iter().any(|writer| writer.is_finished());
            Ok((is_enough || are_broken).then_some(()))
        })
        .and_then(|()| {
            let entries = cluster.etcd(async |etcd| etcd.keys_under(STATE_KEYS).await);
            ensure!(entries > 0, "the functions have written nothing");
            is_deleting.store(true, Ordering::SeqCst);
            let deleted = doors[0].ask(&Request::new("DELETE", "/apps/shop"))?;
            ensure!(deleted.status == 204, "{}", deleted.text());
            Ok(())
        });
        has_failed.store(deleted.is_err(), Ordering::SeqCst);
        writers.into_iter().try_for_each(joined)?;
        deleted
    })?;
    let new = create_shop(&doors[1])?;
    for door in doors {
        wait_for(&format!("the new application at {}", door.node), || {
            let shown = door.get("/apps/shop")?;
            // Until it hears of the deletion, a node shows the one that was there before.
            Ok((shown.status == 200 && shop_id(&shown)? == new).then_some(()))
        })?;
        let stores = read(door, "/apps/shop/kv")?.json()?;
        ensure!(stores["stores"] == json!([]), "{}: {stores}", door.node);
        let nothing = json!({"bytes": 0, "keys": 0});
        ensure!(stores["usage"] == nothing, "{}: {stores}", door.node);
    }
    wait_until_empty(cluster)
}

/// Waits until etcd has no key of any store.
fn wait_until_empty(cluster: &mut Cluster) -> Result<()> {
    wait_for("an etcd without anything of stores", || {
        let left = cluster.etcd(async |etcd| etcd.keys_under(STATE_KEYS).await);
        Ok((left == 0).then_some(()))
    })
}

#[test]
fn entries_that_end_are_gone_at_all_nodes() -> Result<()> {
    let mut cluster = Cluster::on_loopback()?;
    join_all(&mut cluster)?;
    let doors = NODES.map(|name| cluster.door(name));
    lifetimes_end_everywhere(&doors).context("lifetimes")?;
    a_store_is_cleared_under_its_writers(&doors).context("a store that is cleared")?;
    let cleared = clear(&doors[2], "lived")?;
    ensure!(cleared == (2 * ENTRIES + 1) as u64, "{cleared} entries");
    wait_until_empty(&mut cluster)?;
    nothing_is_left_of_a_deleted_space(&mut cluster, &doors).context("an application")
}
