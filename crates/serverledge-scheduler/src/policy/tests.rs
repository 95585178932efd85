//! Every policy's rule, one situation after the other; what holds for all of them is in `tests/scheduler/placement.rs`.

use serverledge_core::{CpuMilli, MemoryMib};

use super::*;
use crate::arrival::{Demand, QosClass};
use crate::peers::Peer;
use crate::scheduler::tests::epoch;

const LOW: QosClass = QosClass::LOW;
const PERFORMANCE: QosClass = QosClass::PERFORMANCE;
const AVAILABILITY: QosClass = QosClass::AVAILABILITY;
const FUNCTION: FunctionKey = FunctionKey(7);

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

/// A world with times in milliseconds.
struct World {
    start: Instant,
    local: LocalView,
    peers: Vec<Peer>,
    tried: Vec<PeerId>,
}

impl World {
    fn new() -> Self {
        let local = LocalView {
            fit: Fit::Now,
            start: Start::Warm,
            wait: ms(0),
            wait_max: ms(10_000),
            yields: false,
            may_wait: true,
        };
        Self {
            start: epoch(),
            local,
            peers: Vec::new(),
            tried: Vec::new(),
        }
    }

    /// This node is taken: calls would wait so long.
    fn full(mut self, wait: u64) -> Self {
        self.local = LocalView {
            fit: Fit::Later,
            wait: ms(wait),
            ..self.local
        };
        self
    }

    /// This node is taken, and so is its queue.
    fn stuffed(mut self) -> Self {
        self.local = LocalView {
            fit: Fit::Later,
            wait: ms(5_000),
            may_wait: false,
            ..self.local
        };
        self
    }

    /// Idle sandboxes would make way.
    fn yielding(mut self) -> Self {
        self.local.yields = true;
        self
    }

    fn never(mut self) -> Self {
        self.local = LocalView {
            fit: Fit::Never,
            may_wait: false,
            ..self.local
        };
        self
    }

    /// Adds a peer with room; the next number names it.
    fn peer(mut self, cloud: bool, round_trip: u64) -> Self {
        let id = PeerId(u32::try_from(self.peers.len()).expect("few"));
        self.peers.push(Peer {
            id,
            cloud,
            runs: true,
            round_trip: ms(round_trip),
            bytes_per_second: 0,
            free_memory: MemoryMib::new(4_096),
            free_cpu: CpuMilli::new(8_000),
            wait: ms(0),
            seen: self.start,
        });
        self
    }

    fn near(self, round_trip: u64) -> Self {
        self.peer(false, round_trip)
    }

    fn cloud(self, round_trip: u64) -> Self {
        self.peer(true, round_trip)
    }

    /// The last peer has no room, and a queue of so long.
    fn busy(mut self, wait: u64) -> Self {
        let last = self.peers.last_mut().expect("a peer");
        *last = Peer {
            free_cpu: CpuMilli::new(0),
            wait: ms(wait),
            ..*last
        };
        self
    }

    fn at(&self, ms_later: u64) -> Instant {
        self.start + ms(ms_later)
    }

    fn view(&self) -> PeerView<'_> {
        PeerView {
            peers: &self.peers,
            tried: &self.tried,
            age_max: ms(10_000),
        }
    }

    fn place(&self, policy: &mut dyn Policy, call: &Arrival) -> String {
        match policy.place(self.start, call, &self.local, self.view()) {
            Placement::Local => "here".to_owned(),
            Placement::Peer(peer) => format!("peer {}", peer.0),
            Placement::Reject(reason) => reason.code().to_owned(),
        }
    }
}

fn call(class: QosClass) -> Arrival {
    let demand = Demand::one(MemoryMib::new(128), CpuMilli::new(1_000));
    Arrival {
        demand,
        class,
        function: FUNCTION,
        may_offload: true,
        ..Arrival::default()
    }
}

fn by(world: &World, class: QosClass, ms_left: u64) -> Arrival {
    Arrival {
        deadline: Some(world.at(ms_left)),
        ..call(class)
    }
}

fn named(name: &str) -> Box<dyn Policy> {
    policy_named(
        name,
        PolicyOptions {
            fallback_local: false,
            seed: 1,
        },
    )
    .expect("a policy")
}

/// A policy that has seen the function take so long, here and on each peer.
fn taught(name: &str, world: &World, execution: u64) -> Box<dyn Policy> {
    let mut policy = named(name);
    let places = world
        .peers
        .iter()
        .map(|peer| Ran::On(peer.id))
        .chain([Ran::Here]);
    for place in places.cycle().take(40 * (world.peers.len() + 1)) {
        let sample = Sample {
            function: FUNCTION,
            place,
            cold: false,
            start: ms(0),
            execution: ms(execution),
            overhead: ms(0),
        };
        policy.learn(world.start, &sample);
    }
    policy
}

#[track_caller]
fn check(name: &str, cases: &[(World, &str)]) {
    for (number, (world, expected)) in cases.iter().enumerate() {
        let placed = world.place(&mut *taught(name, world, 100), &call(LOW));
        assert_eq!(placed, *expected, "{name}, case {number}");
        let stays = Arrival {
            may_offload: false,
            ..call(LOW)
        };
        let placed = world.place(&mut *taught(name, world, 100), &stays);
        assert!(
            !placed.starts_with("peer"),
            "{name}, case {number}: {placed}"
        );
    }
}

#[test]
fn default_and_localonly_stay_here() {
    for name in ["default", "localonly"] {
        check(
            name,
            &[
                (World::new().near(1).cloud(20), "here"),
                (World::new().full(5_000).near(1).cloud(20), "here"),
                (World::new().never().near(1).cloud(20), "exceeds_node"),
            ],
        );
    }
}

#[test]
fn cloudonly_goes_to_the_cloud_or_nowhere() {
    check(
        "cloudonly",
        &[
            (World::new(), "no_peer"),
            (World::new().near(1), "no_peer"),
            (World::new().near(1).cloud(20), "peer 1"),
            (World::new().never().near(1).cloud(20), "peer 1"),
            (World::new().cloud(80).cloud(20), "peer 1"),
            (World::new().cloud(20).busy(300).cloud(90), "peer 1"),
            (World::new().cloud(20).busy(300), "peer 0"),
            (World::new().cloud(20).busy(11_000), "no_peer"),
            (World::new().cloud(20).busy(0), "no_peer"),
        ],
    );
    let mut world = World::new().cloud(20).cloud(30);
    world.tried.push(PeerId(0));
    assert_eq!(world.place(&mut *named("cloudonly"), &call(LOW)), "peer 1");
    world.peers[1].runs = false;
    assert_eq!(world.place(&mut *named("cloudonly"), &call(LOW)), "no_peer");
    let stays = Arrival {
        may_offload: false,
        ..call(LOW)
    };
    assert_eq!(
        World::new()
            .cloud(20)
            .place(&mut *named("cloudonly"), &stays),
        "no_peer"
    );
    let world = World::new().cloud(20).busy(300);
    assert_eq!(
        world.place(&mut *named("cloudonly"), &by(&world, LOW, 200)),
        "no_peer",
        "it starts too late there"
    );
}

#[test]
fn edgecloud_is_here_first_and_waits_where_the_cloud_cannot() {
    check(
        "edgecloud",
        &[
            (World::new().near(1).cloud(20), "here"),
            (World::new().full(1).near(1).cloud(20), "peer 1"),
            (World::new().full(1).near(1), "here"),
            (World::new().full(1).cloud(20).busy(0), "here"),
            (World::new().full(100).yielding().cloud(20), "here"),
            (World::new().stuffed().yielding().cloud(20), "peer 0"),
            (World::new().never().cloud(20), "peer 0"),
            (World::new().never(), "here"),
        ],
    );
}

#[test]
fn edgeonly_goes_to_the_nearest_neighbour_with_room() {
    check(
        "edgeonly",
        &[
            (World::new().near(30).near(5).near(60).cloud(1), "peer 1"),
            (World::new().near(5).busy(10).near(60), "peer 1"),
            (World::new().near(5).busy(10).cloud(1), "no_peer"),
            (World::new(), "no_peer"),
        ],
    );
    let stays = Arrival {
        may_offload: false,
        ..call(LOW)
    };
    assert_eq!(
        World::new().near(1).place(&mut *named("edgeonly"), &stays),
        "here"
    );
    let mut falls_back = policy_named(
        "edgeonly",
        PolicyOptions {
            fallback_local: true,
            seed: 1,
        },
    )
    .expect("a policy");
    assert_eq!(World::new().place(&mut *falls_back, &call(LOW)), "here");
    assert_eq!(
        World::new().near(1).place(&mut *falls_back, &call(LOW)),
        "peer 0"
    );
}

#[test]
fn qosaware_takes_the_cheapest_place_that_is_in_time() {
    // (this node's wait, neighbour's round trip, cloud's round trip, time left, where); the call runs for 100 ms.
    for (wait, near, cloud, left, expected) in [
        (0, 5, 20, 200, "here"),
        (400, 5, 20, 200, "peer 0"),
        (400, 150, 20, 200, "peer 1"),
        (400, 150, 120, 150, "deadline_unreachable"),
        (400, 150, 20, 5_000, "here"),
        (0, 5, 20, 50, "deadline_unreachable"),
    ] {
        let world = World::new().near(near).cloud(cloud);
        let world = if wait > 0 { world.full(wait) } else { world };
        let placed = world.place(
            &mut *taught("qosaware", &world, 100),
            &by(&world, PERFORMANCE, left),
        );
        assert_eq!(
            placed, expected,
            "wait {wait}, near {near}, cloud {cloud}, left {left}"
        );
    }
}

/// One node, one moment, one deadline or none: where a call goes depends on its class.
#[test]
fn qosaware_treats_classes_differently() {
    // It would wait here for 700 ms; in the cloud it starts at once; the neighbour is taken.
    let world = World::new().full(700).near(5).busy(900).cloud(40);
    for (class, expected) in [
        (LOW, "here"),
        (PERFORMANCE, "peer 1"),
        (AVAILABILITY, "peer 1"),
    ] {
        assert_eq!(
            world.place(&mut *taught("qosaware", &world, 100), &call(class)),
            expected,
            "{class:?}"
        );
    }
    // With a deadline: 300 ms of waiting here may well be 450. The low class risks it, the others do not.
    let world = World::new().full(300).cloud(40);
    for (class, expected) in [
        (LOW, "here"),
        (PERFORMANCE, "peer 0"),
        (AVAILABILITY, "peer 0"),
    ] {
        let placed = world.place(
            &mut *taught("qosaware", &world, 100),
            &by(&world, class, 600),
        );
        assert_eq!(placed, expected, "{class:?}");
    }
    // It runs here, though the neighbour were quicker: only performance is in a hurry.
    let world = World {
        local: LocalView {
            start: Start::Cold,
            ..World::new().local
        },
        ..World::new().near(5)
    };
    for (class, expected) in [
        (LOW, "here"),
        (PERFORMANCE, "peer 0"),
        (AVAILABILITY, "here"),
    ] {
        let pooled = Arrival {
            pool: None,
            ..call(class)
        };
        assert_eq!(
            world.place(&mut *taught("qosaware", &world, 100), &pooled),
            expected,
            "{class:?}"
        );
    }
}

#[test]
fn qosaware_turns_away_only_where_nobody_has_a_place() {
    for (world, low, availability) in [
        (World::new().stuffed(), "here", "here"),
        (World::new().stuffed().near(5), "peer 0", "peer 0"),
        (World::new().stuffed().near(5).busy(800), "here", "peer 0"),
        (
            World::new()
                .full(3_000)
                .near(5)
                .busy(800)
                .cloud(20)
                .busy(200),
            "here",
            "peer 1",
        ),
        (World::new().full(100).near(5).busy(800), "here", "here"),
        (World::new().never().near(5), "peer 0", "peer 0"),
        (World::new().never(), "here", "here"),
    ] {
        let place = |class| world.place(&mut *taught("qosaware", &world, 100), &call(class));
        // "here" for a stuffed node means: let the books say that the queue is full.
        assert_eq!(
            [place(LOW), place(AVAILABILITY)],
            [low, availability],
            "{:?} {:?}",
            world.local,
            world.peers
        );
    }
}

/// A function of which nothing is known is not turned away on a guess.
#[test]
fn qosaware_gives_the_unknown_a_chance() {
    let world = World::new().near(5).cloud(20);
    for left in [1, 50, 150, 1_000] {
        assert!(
            !world
                .place(&mut *named("qosaware"), &by(&world, LOW, left))
                .contains("deadline"),
            "{left} ms"
        );
    }
}

/// Seven of eight calls fill the room that a peer said it has; the rest goes elsewhere until there is news.
#[test]
fn what_was_sent_counts_until_there_is_news() {
    let mut world = World::new().full(5_000).near(5);
    world.peers[0].free_cpu = CpuMilli::new(3_000);
    let mut policy = taught("edgeonly", &world, 100);
    let mut place = |world: &World| world.place(&mut *policy, &call(LOW));
    assert_eq!(
        [(); 4].map(|()| place(&world)),
        ["peer 0", "peer 0", "peer 0", "no_peer"]
    );
    world.start += ms(50);
    assert_eq!(place(&world), "no_peer", "they still run there");
    world.peers[0].seen = world.at(0);
    world.peers[0].free_cpu = CpuMilli::new(1_000);
    assert_eq!(
        [place(&world), place(&world)],
        ["peer 0", "no_peer"],
        "the peer has counted the first three itself"
    );
    world.start += ms(150);
    assert_eq!(place(&world), "peer 0", "a call of 100 ms has ended");
}

#[test]
fn equal_peers_share_the_load() {
    let mut world = World::new().full(5_000);
    for _ in 0..10 {
        world = world.near(20);
    }
    for name in ["edgeonly", "qosaware"] {
        let mut policy = taught(name, &world, 100);
        let mut counts = [0; 10];
        for n in 0..1_000_u64 {
            // Ten calls each second, so that nothing is in flight for long.
            let now = World {
                start: world.at(n * 110),
                peers: fresh(&world, n * 110),
                tried: vec![],
                ..world
            };
            let placed = now.place(&mut *policy, &call(AVAILABILITY));
            counts[placed
                .strip_prefix("peer ")
                .expect("a peer")
                .parse::<usize>()
                .expect("a number")] += 1;
        }
        assert!(
            counts.iter().all(|count| (50..200).contains(count)),
            "{name}: {counts:?}"
        );
        assert_eq!(
            repeated(name, &world),
            repeated(name, &world),
            "the same seed, the same choices"
        );
    }
}

fn fresh(world: &World, ms_later: u64) -> Vec<Peer> {
    world
        .peers
        .iter()
        .map(|peer| Peer {
            seen: world.at(ms_later),
            ..*peer
        })
        .collect()
}

fn repeated(name: &str, world: &World) -> Vec<String> {
    let mut policy = taught(name, world, 100);
    (0..50)
        .map(|_| world.place(&mut *policy, &call(AVAILABILITY)))
        .collect()
}

/// Room for one call that was there two seconds ago is not worth a tight deadline; room for many is.
#[test]
fn old_news_is_doubted() {
    let mut world = World::new().full(5_000).near(5).cloud(30);
    world.peers[0].free_cpu = CpuMilli::new(1_000);
    let mut policy = taught("qosaware", &world, 100);
    assert_eq!(
        world.place(&mut *policy, &by(&world, PERFORMANCE, 500)),
        "peer 0"
    );
    let later = World {
        start: world.at(2_000),
        peers: world.peers.clone(),
        tried: vec![],
        ..world
    };
    assert_eq!(
        later.place(&mut *policy, &by(&later, PERFORMANCE, 500)),
        "peer 1"
    );
}

/// A peer whose hops take longer than it says is avoided for a while.
#[test]
fn what_hops_took_is_remembered_for_a_while() {
    let mut world = World::new().full(5_000).near(5).near(15);
    let mut policy = taught("qosaware", &world, 100);
    assert_eq!(world.place(&mut *policy, &call(PERFORMANCE)), "peer 0");
    for _ in 0..20 {
        let place = Ran::On(PeerId(0));
        let sample = Sample {
            function: FUNCTION,
            place,
            cold: false,
            start: ms(0),
            execution: ms(100),
            overhead: ms(905),
        };
        policy.learn(world.start, &sample);
    }
    assert_eq!(world.place(&mut *policy, &call(PERFORMANCE)), "peer 1");
    let later = world.at(120_000);
    world = World {
        peers: fresh(&world, 120_000),
        start: later,
        ..world
    };
    assert_eq!(world.place(&mut *policy, &call(PERFORMANCE)), "peer 0");
}
