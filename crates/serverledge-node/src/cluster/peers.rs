//! The other nodes as this one knows them: those that are registered, each with its last reported state.

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::{Mutex, RwLock};
use serverledge_client::PeerTarget;
use serverledge_core::{CpuMilli, MemoryMib, Runtime};
use serverledge_registry::KnownNode;
use serverledge_scheduler::vivaldi::{Coordinate, Vivaldi};
use serverledge_scheduler::{Peer, PeerId, PeerView};
use serverledge_wire::peer::{PeerLoad, PeerState, SIGHTINGS_MAX};
use serverledge_wire::peer_info::PeerInfo;
use serverledge_wire::records::NodeRecord;
use serverledge_wire::status::Coordinates;
use tokio::time::Instant;

use crate::admission::PeerViews;
use crate::config::Config;

/// Weights of a new round-trip time: an eighth for a longer one, as in TCP (RFC 6298), and half for a shorter one. The
/// causes of a longer one (a new connection, a busy moment) say less about the network.
const LONGER_WEIGHT: u32 = 8;
const SHORTER_WEIGHT: u32 = 2;

/// The peers; see the module.
pub(crate) struct Peers {
    remote_area: String,
    allow_plain: bool,
    age_max: Duration,
    /// Numbers of nodes; each is assigned once.
    ids: Mutex<HashMap<String, PeerId>>,
    table: RwLock<PeerTable>,
    vivaldi: Mutex<Vivaldi>,
    generation: AtomicU64,
}

#[derive(Default)]
struct PeerTable {
    entries: Vec<PeerEntry>,
    /// The entries with a known state, as policies see them.
    view: Vec<Peer>,
    /// By runtime, in the order of [`Runtime::ALL`]: the peers without an executor for it.
    lacking: [Vec<PeerId>; Runtime::ALL.len()],
}

struct PeerEntry {
    id: PeerId,
    known: KnownNode,
    target: PeerTarget,
    cloud: bool,
    /// Whether requests may be sent to its URL.
    allowed: bool,
    report: Option<LastReport>,
    round_trip: Option<Duration>,
    coordinate: Option<Coordinate>,
    warm: BTreeMap<String, u32>,
}

/// A peer's last report of itself.
struct LastReport {
    load: PeerLoad,
    /// When it was asked for, or heard if it came unasked: a call that arrives there later need not be counted in it.
    since: Instant,
    heard: Instant,
}

/// A node as a load balancer sees it.
pub(crate) struct PeerSnapshot<'a> {
    pub(crate) id: PeerId,
    /// As `area/node`.
    pub(crate) name: &'a str,
    pub(crate) area: &'a str,
    pub(crate) cloud: bool,
    pub(crate) record: &'a NodeRecord,
    /// Its load, if its last report is recent and it takes calls.
    pub(crate) load: Option<&'a PeerLoad>,
    /// Its idle containers by function, from the last probe.
    pub(crate) warm: &'a BTreeMap<String, u32>,
}

/// The address of a peer, for a request.
#[derive(Clone)]
pub(crate) struct Contact {
    pub(super) id: PeerId,
    pub(crate) target: PeerTarget,
    pub(crate) area: String,
    pub(crate) node: String,
    pub(super) epoch: String,
    pub(super) round_trip: Option<Duration>,
}

impl Contact {
    pub(crate) const fn id(&self) -> PeerId {
        self.id
    }
}

impl Peers {
    pub(crate) fn new(config: &Config, me: &str) -> Self {
        Self {
            remote_area: config.registry.remote_area.clone(),
            allow_plain: config.cluster.allow_plain,
            age_max: config.cluster.load_age_max,
            ids: Mutex::default(),
            table: RwLock::default(),
            vivaldi: Mutex::new(Vivaldi::new(key_of(me))),
            generation: AtomicU64::new(0),
        }
    }

    /// The peers that take calls of this runtime as far as is known, the nearest first.
    pub(crate) fn takers(&self, runtime: Runtime) -> Vec<PeerId> {
        self.with_view(runtime, &[], |view| {
            let now = Instant::now().into_std();
            let fresh = |peer: &&Peer| now.saturating_duration_since(peer.seen) <= view.age_max;
            let able = view
                .peers
                .iter()
                .filter(|peer| peer.runs && !view.tried.contains(&peer.id));
            let mut takers: Vec<_> = able
                .filter(fresh)
                .map(|peer| (peer.round_trip, peer.id))
                .collect();
            takers.sort_by_key(|(distance, _)| *distance);
            takers.into_iter().map(|(_, id)| id).collect()
        })
    }

    /// Takes over the registered nodes; the known state of those that stay is kept.
    pub(crate) fn set(&self, others: &[KnownNode]) {
        let mut table = self.table.write();
        let mut before: HashMap<PeerId, PeerEntry> = table
            .entries
            .drain(..)
            .map(|entry| (entry.id, entry))
            .collect();
        for known in others
            .iter()
            .filter(|known| known.record.kind == NodeRecord::NODE)
        {
            let name = format!("{}/{}", known.area, known.node);
            let target = match PeerTarget::new(&known.record.url, &name) {
                Ok(target) => target,
                Err(error) => {
                    tracing::warn!(name, %error, "a node cannot be reached as it says");
                    continue;
                }
            };
            let id = self.id(&name);
            let old = before
                .remove(&id)
                .filter(|old| old.known.record.epoch == known.record.epoch);
            let (report, round_trip, coordinate, warm) = old.map_or_else(Default::default, |old| {
                (old.report, old.round_trip, old.coordinate, old.warm)
            });
            table.entries.push(PeerEntry {
                id,
                cloud: !self.remote_area.is_empty() && known.area == self.remote_area,
                allowed: target.is_secure() || target.is_loopback() || self.allow_plain,
                known: known.clone(),
                target,
                report,
                round_trip,
                coordinate,
                warm,
            });
        }
        table.rebuild();
        self.generation.fetch_add(1, Ordering::AcqRel);
    }

    /// The generation of the nodes: another number whenever they may have changed.
    pub(crate) fn generation(&self) -> u64 {
        self.generation.load(Ordering::Acquire)
    }

    /// Visits every node in its current state.
    pub(crate) fn each(&self, mut see: impl FnMut(PeerSnapshot<'_>)) {
        let table = self.table.read();
        for entry in &table.entries {
            let runs = entry.peer().is_some_and(|peer| peer.runs);
            let fresh = entry
                .report
                .as_ref()
                .filter(|report| runs && report.since.elapsed() <= self.age_max);
            see(PeerSnapshot {
                id: entry.id,
                name: entry.target.name(),
                area: &entry.known.area,
                cloud: entry.cloud,
                record: &entry.known.record,
                load: fresh.map(|report| &report.load),
                warm: &entry.warm,
            });
        }
    }

    fn id(&self, name: &str) -> PeerId {
        let mut ids = self.ids.lock();
        let next = PeerId(u32::try_from(ids.len()).unwrap_or(u32::MAX));
        *ids.entry(name.to_owned()).or_insert(next)
    }

    pub(crate) fn contact(&self, id: PeerId) -> Option<Contact> {
        let table = self.table.read();
        table
            .entries
            .iter()
            .find(|entry| entry.id == id)
            .map(PeerEntry::contact)
    }

    /// The address of a node, if requests may be sent to it.
    pub(crate) fn contact_of(&self, area: &str, node: &str) -> Option<Contact> {
        let table = self.table.read();
        let is_it = |entry: &&PeerEntry| entry.known.area == area && entry.known.node == node;
        table
            .entries
            .iter()
            .find(is_it)
            .filter(|entry| entry.allowed)
            .map(PeerEntry::contact)
    }

    /// All peers that may be probed, the nearest first by their known coordinates.
    pub(super) fn by_distance(&self) -> Vec<(Contact, bool)> {
        let here = self.vivaldi.lock().coordinate();
        let table = self.table.read();
        let mut all: Vec<(Duration, Contact, bool)> = table
            .entries
            .iter()
            .filter(|entry| entry.allowed)
            .map(|entry| {
                let estimated = entry.coordinate.map(|there| here.distance(&there));
                (
                    entry.round_trip.or(estimated).unwrap_or(Duration::MAX),
                    entry.contact(),
                    entry.cloud,
                )
            })
            .collect();
        all.sort_by_key(|(distance, ..)| *distance);
        all.into_iter()
            .map(|(_, contact, cloud)| (contact, cloud))
            .collect()
    }

    /// Stores a load that a peer reported with another response.
    pub(super) fn heard(&self, id: PeerId, load: PeerLoad) {
        self.table.write().heard(id, load, None);
    }

    /// Stores the response to a probe.
    pub(super) fn measured(&self, contact: &Contact, state: PeerState, round_trip: Duration) {
        let there = coordinate(&state.coordinates);
        if let Some(there) = &there {
            // What cannot be is refused there and changes nothing.
            let _ = self
                .vivaldi
                .lock()
                .observe(key_of(contact.target.name()), there, round_trip);
        }
        let mut table = self.table.write();
        table.heard(contact.id, state.load, Some(round_trip));
        if let Some(entry) = table
            .entries
            .iter_mut()
            .find(|entry| entry.id == contact.id)
        {
            entry.coordinate = there;
            entry.warm = state.warm;
        }
        for entry in table
            .entries
            .iter_mut()
            .filter(|entry| entry.round_trip.is_none())
        {
            if let Some(seen) = state
                .sightings
                .get(entry.target.name())
                .and_then(coordinate)
            {
                entry.coordinate = Some(seen);
            }
        }
    }

    /// Marks a peer as unreachable: it is not considered until it is heard of again.
    pub(crate) fn unreachable(&self, id: PeerId) {
        let mut table = self.table.write();
        if let Some(entry) = table.entries.iter_mut().find(|entry| entry.id == id) {
            entry.report = None;
        }
        table.rebuild();
    }

    /// Whether a peer was heard of within this time.
    pub(super) fn heard_within(&self, id: PeerId, time: Duration) -> bool {
        let table = self.table.read();
        let entry = table.entries.iter().find(|entry| entry.id == id);
        entry
            .and_then(|entry| entry.report.as_ref())
            .is_some_and(|report| report.heard.elapsed() <= time)
    }

    /// The network coordinates of this node.
    pub(crate) fn coordinates(&self) -> Coordinates {
        reported(self.vivaldi.lock().coordinate())
    }

    /// The network coordinates of some other nodes, as measured from here.
    pub(super) fn sightings(&self) -> BTreeMap<String, Coordinates> {
        let table = self.table.read();
        let measured = table
            .entries
            .iter()
            .filter(|entry| entry.round_trip.is_some());
        let seen = measured.filter_map(|entry| {
            Some((entry.target.name().to_owned(), reported(entry.coordinate?)))
        });
        seen.take(SIGHTINGS_MAX).collect()
    }

    /// All peers, for the route that lists them.
    pub(crate) fn infos(&self) -> Vec<PeerInfo> {
        let table = self.table.read();
        table
            .entries
            .iter()
            .map(|entry| entry.info(self.age_max))
            .collect()
    }
}

impl PeerViews for Peers {
    fn with_view<T>(
        &self,
        runtime: Runtime,
        tried: &[PeerId],
        look: impl FnOnce(PeerView<'_>) -> T,
    ) -> T {
        let table = self.table.read();
        let lacking = Runtime::ALL
            .iter()
            .position(|one| *one == runtime)
            .and_then(|at| table.lacking.get(at));
        let lacking = lacking.map_or(&[][..], Vec::as_slice);
        let all: Vec<PeerId>;
        let tried = match (tried, lacking) {
            (tried, []) => tried,
            ([], lacking) => lacking,
            (tried, lacking) => {
                all = [tried, lacking].concat();
                &all
            }
        };
        look(PeerView {
            peers: &table.view,
            tried,
            age_max: self.age_max,
        })
    }
}

impl PeerTable {
    fn heard(&mut self, id: PeerId, load: PeerLoad, round_trip: Option<Duration>) {
        let Some(entry) = self.entries.iter_mut().find(|entry| entry.id == id) else {
            return;
        };
        if load.epoch != entry.known.record.epoch {
            // Of an earlier or later life than the registry has shown so far.
            return;
        }
        let heard = Instant::now();
        // The peer may have answered a probe at any time since it was sent.
        let since = heard.checked_sub(round_trip.unwrap_or_default());
        entry.report = Some(LastReport {
            load,
            since: since.unwrap_or(heard),
            heard,
        });
        if let Some(measured) = round_trip {
            let before = entry.round_trip.unwrap_or(measured);
            let weight = if measured < before {
                SHORTER_WEIGHT
            } else {
                LONGER_WEIGHT
            };
            entry.round_trip = Some(before - before / weight + measured / weight);
        }
        let peer = entry.peer();
        match (self.view.iter_mut().find(|one| one.id == id), peer) {
            (Some(slot), Some(peer)) => *slot = peer,
            (None, Some(peer)) => self.view.push(peer),
            (_, None) => self.view.retain(|one| one.id != id),
        }
    }

    fn rebuild(&mut self) {
        self.view = self.entries.iter().filter_map(PeerEntry::peer).collect();
        let lacks = |runtime: Runtime| {
            let without = |entry: &&PeerEntry| {
                !entry
                    .known
                    .record
                    .runtimes
                    .iter()
                    .any(|name| name == runtime.name())
            };
            self.entries
                .iter()
                .filter(without)
                .map(|entry| entry.id)
                .collect()
        };
        self.lacking = Runtime::ALL.map(lacks);
    }
}

impl PeerEntry {
    /// The peer as policies see it; `None` until it was heard of.
    fn peer(&self) -> Option<Peer> {
        let LastReport { load, since, .. } = self.report.as_ref()?;
        Some(Peer {
            id: self.id,
            cloud: self.cloud,
            runs: self.allowed && !load.draining && !self.known.record.draining,
            round_trip: self.round_trip.unwrap_or_default(),
            bytes_per_second: 0,
            free_memory: MemoryMib::new(load.free_memory_mib),
            free_cpu: CpuMilli::new(load.free_cpu_milli),
            wait: Duration::from_micros(load.wait_us),
            seen: since.into_std(),
        })
    }

    fn contact(&self) -> Contact {
        Contact {
            id: self.id,
            target: self.target.clone(),
            area: self.known.area.clone(),
            node: self.known.node.clone(),
            epoch: self.known.record.epoch.clone(),
            round_trip: self.round_trip,
        }
    }

    fn info(&self, age_max: Duration) -> PeerInfo {
        let millis = |time: Duration| time.as_secs_f64() * 1000.0;
        let report = self.report.as_ref();
        let load = report.map(|report| report.load.clone()).unwrap_or_default();
        let age = report.map(|report| report.since.elapsed());
        let runs = self.peer().is_some_and(|peer| peer.runs);
        PeerInfo {
            node: self.known.node.clone(),
            area: self.known.area.clone(),
            kind: self.known.record.kind.clone(),
            address: self.known.record.url.clone(),
            cloud: self.cloud,
            round_trip_ms: self.round_trip.map(millis),
            age_ms: age.map(millis),
            free_memory_mib: load.free_memory_mib,
            free_cpu: CpuMilli::new(load.free_cpu_milli).cores(),
            wait_ms: millis(Duration::from_micros(load.wait_us)),
            draining: load.draining || self.known.record.draining,
            offloadable: runs && age.is_some_and(|age| age <= age_max),
            coordinates: self.coordinate.map(reported),
        }
    }
}

const fn reported(coordinate: Coordinate) -> Coordinates {
    let Coordinate {
        vec,
        error,
        adjustment,
        height,
    } = coordinate;
    Coordinates {
        vec,
        error,
        adjustment,
        height,
    }
}

fn coordinate(given: &Coordinates) -> Option<Coordinate> {
    let Coordinates {
        vec,
        error,
        adjustment,
        height,
    } = *given;
    // All zero: a node that has measured nothing yet.
    Some(Coordinate {
        vec,
        error,
        adjustment,
        height,
    })
    .filter(|one| one.is_valid() && error > 0.0)
}

/// A stable number for a node's name.
fn key_of(name: &str) -> u64 {
    let digest = blake3::hash(name.as_bytes());
    u64::from_le_bytes(digest.as_bytes().first_chunk().copied().unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use serverledge_core::kv::Revision;

    use super::*;
    use crate::config::{Machine, load};

    const MACHINE: Machine = Machine {
        memory_bytes: 1 << 30,
        cores: 2,
        files_max: 4096,
    };
    const NO_VARIABLES: [(&str, &str); 0] = [];
    const EPOCH: &str = "its only life";

    fn known() -> KnownNode {
        KnownNode {
            area: "ROME".to_owned(),
            node: "there".to_owned(),
            record: NodeRecord {
                schema: 1,
                epoch: EPOCH.to_owned(),
                kind: NodeRecord::NODE.to_owned(),
                url: "http://127.0.0.1:1".to_owned(),
                arch: String::new(),
                version: String::new(),
                memory_mib: 512,
                cpu_milli: 2000,
                runtimes: vec![Runtime::Wasm.name().to_owned()],
                draining: false,
                started_unix_ms: 0,
            },
            revision: Revision::new(1),
        }
    }

    fn told() -> PeerLoad {
        PeerLoad {
            epoch: EPOCH.to_owned(),
            ..PeerLoad::default()
        }
    }

    /// A call that was sent meanwhile need not be counted in the answer.
    #[tokio::test(start_paused = true)]
    async fn a_probe_tells_of_the_time_at_which_it_was_sent() {
        let config = load(None, &NO_VARIABLES, &MACHINE, &[]).unwrap().config;
        let peers = Peers::new(&config, "ROME/here");
        peers.set(&[known()]);
        let (contact, _) = peers.by_distance().remove(0);
        let seen = || peers.with_view(Runtime::Wasm, &[], |view| view.peers[0].seen);
        let sent = Instant::now();
        let took = Duration::from_millis(300);
        tokio::time::advance(took).await;
        let state = PeerState {
            load: told(),
            ..PeerState::default()
        };
        peers.measured(&contact, state, took);
        assert_eq!(seen(), sent.into_std());
        assert!(
            peers.heard_within(contact.id, Duration::ZERO),
            "it was heard of just now"
        );
        tokio::time::advance(took).await;
        peers.heard(contact.id, told());
        assert_eq!(seen(), (sent + 2 * took).into_std());
    }
}
