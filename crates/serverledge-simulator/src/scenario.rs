//! The simulated world: nodes on a plane, the links between them, functions, and who calls them when. All of it follows
//! from the scenario's numbers and seed, and is the same for every policy.

use std::time::Duration;

use serverledge_core::{CpuMilli, Digest, MemoryMib};
use serverledge_scheduler::ring::{MemberId, REPLICAS_DEFAULT, Ring, hash};
use serverledge_scheduler::{Capacity, Demand, PoolKey, Pooled, QosClass};

use crate::random::Random;

/// One node in so many is a cloud node.
const CLOUD_SHARE: u32 = 25;
/// So many edge nodes make an area.
const AREA_NODES: u32 = 48;
/// Kilometres: areas lie anywhere on a square of this side, the cloud in its middle, the nodes of an area around it.
const PLANE: f64 = 3_000.0;
const AREA_RADIUS: f64 = 60.0;
/// The round trip of light in fibre that does not run straight, and of the access network at each end.
const ROUND_TRIP_PER_KM: f64 = 0.000_015;
const ROUND_TRIP_ACCESS: f64 = 0.001;
/// Parameters travel at a hundred megabits a second.
const BYTES_PER_SECOND: u64 = 12_500_000;
/// The number of neighbours that an edge node watches, and the number of cloud nodes.
const NEIGHBOURS: usize = 8;
const CLOUD_NODES: usize = 4;
/// Versions of each kind of function.
const FUNCTIONS_PER_KIND: usize = 8;
/// Bursts: in each area one in so many seconds, this long on average, this many times the usual rate, at this share of
/// the area's nodes.
const BURST_EVERY: f64 = 30.0;
const BURST_LENGTH: f64 = 5.0;
const BURST_FACTOR: f64 = 5.0;
const BURST_SHARE: f64 = 0.25;
/// By how much the day raises and lowers the rate. A day is as long as the run; each area has its own noon.
const DAY_SWING: f64 = 0.6;
/// The spread of load: how much busier some nodes are than others.
const NODE_SIGMA: f64 = 0.4;
/// The spread of the executions of one function.
const EXECUTION_SIGMA: f64 = 0.3;

/// The numbers that a run starts from.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Scenario {
    pub(crate) nodes: u32,
    pub(crate) seconds: u32,
    pub(crate) seed: u64,
    /// The share of the edge's processors that the calls need on average, bursts not counted.
    pub(crate) load: f64,
}

/// A node, before anything happens.
#[derive(Debug, Clone)]
pub(crate) struct Site {
    pub(crate) cloud: bool,
    pub(crate) capacity: Capacity,
    /// The speed at which functions run here; an edge node has one.
    pub(crate) speed: f64,
    /// Links to the nodes that it watches.
    pub(crate) links: Vec<NodeLink>,
    area: u32,
    place: (f64, f64),
}

/// From a node to another that it knows.
#[derive(Debug, Clone, Copy)]
pub(crate) struct NodeLink {
    pub(crate) to: u32,
    pub(crate) round_trip: Duration,
    pub(crate) bytes_per_second: u64,
}

/// A kind of function, and how it is called.
#[derive(Debug)]
pub(crate) struct FunctionKind {
    pub(crate) demand: Demand,
    /// In pooled sandboxes (containers), or one for each call (wasm).
    pub(crate) pooled: bool,
    pub(crate) execution: f64,
    /// The time that a sandbox takes to start.
    pub(crate) start: f64,
    pub(crate) bytes: u64,
    share: f64,
    /// Class, deadline in seconds, and how many of the calls.
    wishes: &'static [(QosClass, Option<f64>, f64)],
}

/// One call.
#[derive(Debug, Clone, Copy)]
pub(crate) struct SimulatedCall {
    pub(crate) at: Duration,
    pub(crate) node: u32,
    pub(crate) kind: u8,
    pub(crate) function: u16,
    pub(crate) class: QosClass,
    /// From its arrival on.
    pub(crate) deadline: Option<Duration>,
    /// The time for which it runs on an edge node.
    pub(crate) execution: Duration,
}

/// Everything but the policy.
#[derive(Debug)]
pub(crate) struct World {
    pub(crate) scenario: Scenario,
    pub(crate) sites: Vec<Site>,
    pub(crate) calls: Vec<SimulatedCall>,
}

/// The kinds: short ones in wasm, medium and long ones in containers.
pub(crate) const KINDS: [FunctionKind; 3] = [
    FunctionKind {
        demand: Demand::one(MemoryMib::new(64), CpuMilli::new(1_000)),
        pooled: false,
        execution: 0.020,
        start: 0.001,
        bytes: 2_000,
        share: 0.56,
        wishes: &[
            (QosClass::PERFORMANCE, Some(0.1), 0.5),
            (QosClass::PERFORMANCE, None, 0.1),
            (QosClass::LOW, None, 0.4),
        ],
    },
    FunctionKind {
        demand: Demand::pooled(MemoryMib::new(256), CpuMilli::new(500)),
        pooled: true,
        execution: 0.2,
        start: 0.4,
        bytes: 50_000,
        share: 0.28,
        wishes: &[
            (QosClass::PERFORMANCE, Some(1.0), 0.3),
            (QosClass::AVAILABILITY, None, 0.3),
            (QosClass::LOW, Some(2.0), 0.2),
            (QosClass::LOW, None, 0.2),
        ],
    },
    FunctionKind {
        demand: Demand::pooled(MemoryMib::new(512), CpuMilli::new(1_000)),
        pooled: true,
        execution: 2.0,
        start: 0.8,
        bytes: 1_000_000,
        share: 0.16,
        wishes: &[
            (QosClass::AVAILABILITY, None, 0.4),
            (QosClass::LOW, Some(8.0), 0.4),
            (QosClass::LOW, None, 0.2),
        ],
    },
];

impl FunctionKind {
    /// The pool of one of its functions.
    pub(crate) fn pool(&self, function: u16) -> Option<Pooled> {
        let mut digest = [0; 32];
        digest[..2].copy_from_slice(&function.to_le_bytes());
        self.pooled.then_some(Pooled {
            key: PoolKey(Digest::new(digest)),
            concurrency: 1,
        })
    }

    /// Core-seconds of a call.
    fn work(&self) -> f64 {
        self.execution * self.demand.cpu.cores()
    }
}

impl World {
    pub(crate) fn new(scenario: Scenario) -> Self {
        let mut sites = sites(scenario);
        link(&mut sites);
        let calls = calls(scenario, &sites);
        Self {
            scenario,
            sites,
            calls,
        }
    }

    pub(crate) fn round_trip(&self, one: u32, other: u32) -> Duration {
        round_trip(&self.sites[one as usize], &self.sites[other as usize])
    }
}

fn sites(scenario: Scenario) -> Vec<Site> {
    let mut random = Random::new(scenario.seed, 1);
    let cloud = (scenario.nodes / CLOUD_SHARE).max(1);
    let edge = scenario.nodes.saturating_sub(cloud).max(1);
    let areas = edge.div_ceil(AREA_NODES);
    let mut anywhere = || (random.between(0.0, PLANE), random.between(0.0, PLANE));
    let centres: Vec<_> = (0..areas).map(|_| anywhere()).collect();
    let mut random = Random::new(scenario.seed, 2);
    let edge = (0..edge)
        .map(|n| edge_site(n % areas, centres[(n % areas) as usize], &mut random))
        .collect::<Vec<_>>();
    edge.into_iter()
        .chain((0..cloud).map(|_| cloud_site(areas)))
        .collect()
}

fn edge_site(area: u32, centre: (f64, f64), random: &mut Random) -> Site {
    let cores = [2, 4, 4, 8][random.below(4)];
    let mut around = || random.between(-AREA_RADIUS, AREA_RADIUS);
    let place = (centre.0 + around(), centre.1 + around());
    let memory = MemoryMib::new(cores * 1_024);
    let cpu = CpuMilli::new(cores * 1_000);
    let capacity = Capacity {
        memory,
        cpu,
        slots: 256,
        containers: 64,
    };
    Site {
        cloud: false,
        capacity,
        speed: 1.0,
        links: Vec::new(),
        area,
        place,
    }
}

fn cloud_site(area: u32) -> Site {
    let memory = MemoryMib::new(256 * 1_024);
    let cpu = CpuMilli::new(64_000);
    let capacity = Capacity {
        memory,
        cpu,
        slots: 4_096,
        containers: 1_024,
    };
    Site {
        cloud: true,
        capacity,
        speed: 1.25,
        links: Vec::new(),
        area,
        place: (PLANE / 2.0, PLANE / 2.0),
    }
}

fn round_trip(one: &Site, other: &Site) -> Duration {
    let distance = (one.place.0 - other.place.0).hypot(one.place.1 - other.place.1);
    Duration::from_secs_f64(2.0 * ROUND_TRIP_ACCESS + distance * ROUND_TRIP_PER_KM)
}

/// Edge nodes know the nearest of their area, and some cloud nodes: those after them on a ring, so that the cloud nodes
/// are known to about equally many.
fn link(sites: &mut [Site]) {
    let names: Vec<_> = (0..)
        .zip(sites.iter())
        .filter(|(_, site)| site.cloud)
        .map(|(n, _)| n)
        .collect();
    let keys: Vec<_> = names.iter().map(|n: &u32| format!("cloud-{n}")).collect();
    let members: Vec<_> = names
        .iter()
        .zip(&keys)
        .map(|(n, key)| (MemberId(*n), 1, key.as_str()))
        .collect();
    let mut ring = Ring::new(REPLICAS_DEFAULT);
    ring.set_members(&members);
    for one in 0..sites.len() {
        let links = if sites[one].cloud {
            Vec::new()
        } else {
            links(sites, one, &ring)
        };
        sites[one].links = links;
    }
}

fn links(sites: &[Site], one: usize, ring: &Ring) -> Vec<NodeLink> {
    let me = &sites[one];
    let to = |n: u32| {
        let round_trip = round_trip(me, &sites[n as usize]);
        NodeLink {
            to: n,
            round_trip,
            bytes_per_second: BYTES_PER_SECOND,
        }
    };
    let near = (0..)
        .zip(sites)
        .filter(|(n, site)| *n as usize != one && !site.cloud && site.area == me.area);
    let mut near: Vec<NodeLink> = near.map(|(n, _)| to(n)).collect();
    near.sort_by_key(|link| (link.round_trip, link.to));
    near.truncate(NEIGHBOURS);
    near.extend(
        ring.walk(hash(format!("edge-{one}").as_bytes()))
            .take(CLOUD_NODES)
            .map(|member| to(member.0)),
    );
    near
}

/// All calls in the order of their arrival.
fn calls(scenario: Scenario, sites: &[Site]) -> Vec<SimulatedCall> {
    let end = f64::from(scenario.seconds);
    let areas = sites
        .iter()
        .map(|site| site.area)
        .max()
        .map_or(0, |last| last + 1);
    let bursts: Vec<Vec<(f64, f64)>> = (0..areas).map(|area| bursts(scenario, area, end)).collect();
    let mut calls = Vec::new();
    for (node, site) in (0..).zip(sites).filter(|(_, site)| !site.cloud) {
        calls_of(
            scenario,
            node,
            site,
            &bursts[site.area as usize],
            &mut calls,
        );
    }
    calls.sort_by_key(|call| (call.at, call.node));
    calls
}

/// Begin and end of an area's bursts.
fn bursts(scenario: Scenario, area: u32, end: f64) -> Vec<(f64, f64)> {
    let mut random = Random::new(scenario.seed, 1_000_000 + u64::from(area));
    let mut bursts = Vec::new();
    let mut at = random.exponential(1.0 / BURST_EVERY);
    while at < end {
        let length = random.exponential(1.0 / BURST_LENGTH);
        bursts.push((at, at + length));
        at += length + random.exponential(1.0 / BURST_EVERY);
    }
    bursts
}

/// A Poisson process whose rate follows the day and the bursts (thinned from the highest rate: Lewis and Shedler 1979).
fn calls_of(
    scenario: Scenario,
    node: u32,
    site: &Site,
    bursts: &[(f64, f64)],
    calls: &mut Vec<SimulatedCall>,
) {
    let mut random = Random::new(scenario.seed, 2_000_000 + u64::from(node));
    let work: f64 = KINDS.iter().map(|kind| kind.share * kind.work()).sum();
    let usual = scenario.load * site.capacity.cpu.cores() / work * random.lognormal(NODE_SIGMA);
    let joins: Vec<bool> = bursts.iter().map(|_| random.unit() < BURST_SHARE).collect();
    let end = f64::from(scenario.seconds);
    let noon = f64::from(site.area) * 2.4;
    let highest = usual * (1.0 + DAY_SWING) * BURST_FACTOR;
    let mut at = random.exponential(highest);
    while at < end {
        let day = 1.0 + DAY_SWING * (std::f64::consts::TAU * at / end + noon).sin();
        let bursting = bursts
            .iter()
            .zip(&joins)
            .any(|((from, to), joins)| *joins && (*from..*to).contains(&at));
        let rate = usual * day * if bursting { BURST_FACTOR } else { 1.0 };
        if random.unit() * highest < rate {
            calls.push(call(at, node, &mut random));
        }
        at += random.exponential(highest);
    }
}

fn call(at: f64, node: u32, random: &mut Random) -> SimulatedCall {
    let kind = random.weighted(&KINDS.each_ref().map(|kind| kind.share));
    let chosen = &KINDS[kind];
    let shares: Vec<f64> = chosen.wishes.iter().map(|(_, _, share)| *share).collect();
    let (class, deadline, _) = chosen.wishes[random.weighted(&shares)];
    let function = kind * FUNCTIONS_PER_KIND + random.below(FUNCTIONS_PER_KIND);
    SimulatedCall {
        at: Duration::from_secs_f64(at),
        node,
        kind: u8::try_from(kind).unwrap_or(0),
        function: u16::try_from(function).unwrap_or(0),
        class,
        deadline: deadline.map(Duration::from_secs_f64),
        execution: Duration::from_secs_f64(chosen.execution * random.lognormal(EXECUTION_SIGMA)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SMALL: Scenario = Scenario {
        nodes: 100,
        seconds: 30,
        seed: 4,
        load: 0.5,
    };

    #[test]
    fn a_world_follows_from_its_numbers() {
        let one = World::new(SMALL);
        let two = World::new(SMALL);
        assert_eq!(format!("{one:?}"), format!("{two:?}"));
        let other = World::new(Scenario { seed: 5, ..SMALL });
        assert_ne!(format!("{one:?}"), format!("{other:?}"));
    }

    #[test]
    fn nodes_know_their_neighbours_and_some_of_the_cloud() {
        let world = World::new(SMALL);
        assert_eq!(world.sites.iter().filter(|site| site.cloud).count(), 4);
        for site in world.sites.iter().filter(|site| !site.cloud) {
            let (near, far): (Vec<&NodeLink>, Vec<&NodeLink>) = site
                .links
                .iter()
                .partition(|link| !world.sites[link.to as usize].cloud);
            assert_eq!((near.len(), far.len()), (NEIGHBOURS, CLOUD_NODES));
            assert!(
                near.iter()
                    .all(|link| world.sites[link.to as usize].area == site.area)
            );
            assert!(
                near.iter()
                    .all(|link| link.round_trip < Duration::from_millis(6))
            );
        }
    }

    #[test]
    fn the_load_is_about_what_is_asked_for() {
        let world = World::new(Scenario {
            nodes: 400,
            seconds: 60,
            ..SMALL
        });
        assert!(world.calls.is_sorted_by_key(|call| call.at));
        let work: f64 = world
            .calls
            .iter()
            .map(|call| call.execution.as_secs_f64() * KINDS[call.kind as usize].demand.cpu.cores())
            .sum();
        let cores: f64 = world
            .sites
            .iter()
            .filter(|site| !site.cloud)
            .map(|site| site.capacity.cpu.cores())
            .sum();
        let load = work / cores / 60.0;
        // Bursts come on top: a seventh of the time, a quarter of the nodes, four times the rate more.
        assert!((0.48..0.72).contains(&load), "{load}");
    }
}
