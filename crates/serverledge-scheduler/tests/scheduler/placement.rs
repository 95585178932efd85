//! Laws that hold for every policy, over random nodes, peers and calls; and that `qosaware` meets the deadlines that
//! can be met, against an oracle that knows what everything takes.

use std::time::{Duration, Instant};

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use serverledge_core::{CpuMilli, MemoryMib, OverloadReason};
use serverledge_scheduler::{
    Admission, Arrival, Config, Demand, Effects, FunctionKey, POLICY_NAMES, Peer, PeerId, PeerView,
    PolicyOptions, QosClass, Ran, Sample, SandboxCondition, Scheduler, policy_named,
};

use crate::epoch;
use crate::model::{capacity, demand};

const FUNCTION: FunctionKey = FunctionKey(1);
const AGE_MAX_MS: u64 = 10_000;
/// Long enough after the start for what was sent then to have ended; and instants before it must exist.
const START_MS: u64 = 60_000;

/// A peer in numbers: cloud, runs, round trip, free memory, free CPU, wait, age.
type Numbers = (bool, bool, u64, u64, u64, u64, u64);

#[derive(Debug, Clone)]
struct Call {
    memory: u64,
    cpu: u64,
    class: i64,
    may_offload: bool,
    deadline_ms: Option<u64>,
    bytes: u64,
    tried: Vec<u32>,
    /// Whether it ends, `pass_ms` later; else nothing becomes of it yet.
    ends: bool,
    pass_ms: u64,
}

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

fn any_peer() -> impl Strategy<Value = Numbers> {
    let room = || prop_oneof![Just(0_u64), 0..8_u64];
    let wait = prop_oneof![2 => Just(0), 1 => 0..15_000_u64];
    (
        any::<bool>(),
        prop::bool::weighted(0.8),
        0..200_u64,
        room(),
        room(),
        wait,
        0..20_000_u64,
    )
}

fn any_call() -> impl Strategy<Value = Call> {
    let size = (0..5_u64, 0..5_u64, 0..1_000_000_u64);
    let wish = (
        0..4_i64,
        prop::bool::weighted(0.8),
        option::of(0..3_000_u64),
        vec(0..6_u32, 0..3),
    );
    let end = (any::<bool>(), prop_oneof![Just(0), 0..500_u64]);
    (size, wish, end).prop_map(
        |((memory, cpu, bytes), (class, may_offload, deadline_ms, tried), (ends, pass_ms))| Call {
            memory,
            cpu,
            class,
            may_offload,
            deadline_ms,
            bytes,
            tried,
            ends,
            pass_ms,
        },
    )
}

fn peer(id: u32, now: Instant, (cloud, runs, round_trip, memory, cpu, wait, age): Numbers) -> Peer {
    Peer {
        id: PeerId(id),
        cloud,
        runs,
        round_trip: ms(round_trip),
        bytes_per_second: 1_000_000,
        free_memory: MemoryMib::new(memory),
        free_cpu: CpuMilli::new(cpu),
        wait: ms(wait),
        seen: now.checked_sub(ms(age)).unwrap_or(now),
    }
}

fn scheduler(policy: &str, fallback_local: bool, queue_capacity: usize, now: Instant) -> Scheduler {
    let policy = policy_named(
        policy,
        PolicyOptions {
            fallback_local,
            seed: 5,
        },
    )
    .expect("a policy");
    let config = Config {
        queue_capacity,
        ..Config::new(capacity(4, 4, 3))
    };
    Scheduler::with_policy(config, policy, now)
}

/// One call at one node: nothing that a policy may not do is done, and an offload leaves the books as they were.
fn check_one(node: &mut Scheduler, now: Instant, call: &Call, peers: &[Peer]) -> Admission {
    let tried: Vec<_> = call.tried.iter().copied().map(PeerId).collect();
    let arrival = Arrival {
        demand: demand(call.memory, call.cpu, 1),
        class: QosClass(call.class),
        deadline: call.deadline_ms.map(|left| now + ms(left)),
        function: FUNCTION,
        may_offload: call.may_offload,
        bytes: call.bytes,
        ..Arrival::default()
    };
    node.expire(now, &mut Effects::default());
    let before = node.snapshot();
    let view = PeerView {
        peers,
        tried: &tried,
        age_max: ms(AGE_MAX_MS),
    };
    let admission = node.admit(now, arrival, view, &mut Effects::default());
    let after = node.snapshot();
    if let Admission::Offload(id) = &admission {
        assert!(call.may_offload && !tried.contains(id));
        let peer = peers
            .iter()
            .find(|peer| peer.id == *id)
            .expect("one of those told of");
        assert!(peer.runs && now.saturating_duration_since(peer.seen) <= ms(AGE_MAX_MS));
        let fits = peer.free_memory >= arrival.demand.memory && peer.free_cpu >= arrival.demand.cpu;
        assert!(
            fits || !peer.wait.is_zero(),
            "neither room nor a queue there"
        );
        assert!(arrival.deadline.is_none_or(|deadline| deadline > now));
        let mut expected = before;
        expected.counters.offloaded += 1;
        assert_eq!(after, expected, "nothing is held for it here");
    }
    if let Admission::Reject(rejection) = &admission {
        let dead = arrival.deadline.is_some();
        assert!(
            rejection.reason != OverloadReason::Deadline || dead,
            "no deadline, so none is missed"
        );
    }
    admission
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]

    #[test]
    fn no_policy_does_what_it_may_not(
        policy in prop::sample::select(POLICY_NAMES.to_vec()),
        fallback_local in any::<bool>(),
        queue_capacity in 0..4_usize,
        calls in vec((any_call(), vec(any_peer(), 0..6)), 1..40),
    ) {
        let mut now = epoch() + ms(START_MS);
        let mut node = scheduler(policy, fallback_local, queue_capacity, now);
        let mut leases = Vec::new();
        let mut tickets = Vec::new();
        for (arrivals, (call, peers)) in (1..).zip(calls) {
            now += ms(call.pass_ms);
            let peers: Vec<_> = (0..).zip(peers).map(|(id, numbers)| peer(id, now, numbers)).collect();
            match check_one(&mut node, now, &call, &peers) {
                Admission::Run(lease) => leases.push(lease),
                Admission::Wait(ticket) => tickets.push(ticket),
                Admission::Offload(id) => {
                    prop_assert!(!["default", "localonly"].contains(&policy));
                    let cloud = peers[id.0 as usize].cloud;
                    prop_assert!(policy == "qosaware" || cloud == (policy != "edgeonly"));
                    node.learn(now, sample(Ran::On(id), call.pass_ms));
                }
                Admission::Reject(rejection) => {
                    let nobody = rejection.reason == OverloadReason::NoPeer;
                    prop_assert!(!nobody || policy == "cloudonly" || (policy == "edgeonly" && !fallback_local));
                }
            }
            if call.ends && let Some(lease) = leases.pop() {
                node.release(now, lease, SandboxCondition::Clean, &mut Effects::default());
                node.learn(now, sample(Ran::Here, call.pass_ms));
            }
            let after = node.snapshot();
            let counters = node.snapshot().counters;
            let placed = counters.started_at_once + counters.started_after_wait + counters.offloaded + counters.cancelled;
            let pending = (after.waiting.total() + after.unclaimed) as u64;
            prop_assert_eq!(arrivals, placed + counters.rejected.total() + pending, "one outcome for each arrival");
        }
        node.drain(now, &mut Effects::default());
        let draining = Call { memory: 1, cpu: 1, class: 1, may_offload: true, deadline_ms: None, bytes: 0, tried: vec![], ends: false, pass_ms: 0 };
        let willing = [peer(0, now, (true, true, 1, 8, 8, 0, 0)), peer(1, now, (false, true, 1, 8, 8, 0, 0))];
        match check_one(&mut node, now, &draining, &willing) {
            Admission::Reject(rejection) => prop_assert_eq!(rejection.reason, OverloadReason::Draining),
            other => prop_assert!(false, "a draining node said {:?}", other),
        }
        tickets.into_iter().for_each(|ticket| node.cancel(now, ticket, &mut Effects::default()));
        leases.into_iter().for_each(|lease| node.release(now, lease, SandboxCondition::Clean, &mut Effects::default()));
        prop_assert_eq!(node.snapshot().free, capacity(4, 4, 3));
    }

    /// All times are known here: a call of a fixed time, peers with exact waits. If the deadline can be met somewhere,
    /// the call goes to a place where it is met; if nowhere and by a margin, it is turned away.
    #[test]
    fn qosaware_meets_what_can_be_met(
        execution in 5..400_u64,
        left in 2..900_u64,
        class in 0..3_i64,
        full in any::<bool>(),
        peers in vec((any::<bool>(), 0..300_u64, prop_oneof![Just(0), 1..600_u64]), 0..5),
    ) {
        let start = epoch();
        let now = start + ms(START_MS);
        let mut node = scheduler("qosaware", false, 0, start);
        let peers: Vec<_> = (0..).zip(peers).map(|(id, (cloud, round_trip, wait))| {
            let room = u64::from(wait == 0) * 8;
            peer(id, now, (cloud, true, round_trip, room, room, wait, 0))
        }).collect();
        teach(&mut node, start, execution, &peers);
        let lease = full.then(|| node.admit(now, Arrival { demand: demand(4, 4, 3), ..Arrival::default() }, PeerView::NONE, &mut Effects::default()));
        prop_assert!(lease.is_none_or(|lease| matches!(lease, Admission::Run(_))));
        // With room a call starts at once; without, it waits as long as the peer said.
        let takes = |peer: &Peer| peer.round_trip + peer.wait + ms(execution);
        let here = (!full).then(|| ms(execution));
        let best = peers.iter().map(takes).chain(here).min();
        let arrival = Arrival {
            demand: demand(1, 1, 1),
            class: QosClass(class),
            deadline: Some(now + ms(left)),
            function: FUNCTION,
            may_offload: true,
            ..Arrival::default()
        };
        let view = PeerView { peers: &peers, tried: &[], age_max: ms(AGE_MAX_MS) };
        let slop = ms(2);
        let possible = best.is_some_and(|best| best + slop <= ms(left));
        match node.admit(now, arrival, view, &mut Effects::default()) {
            Admission::Run(_) => prop_assert!(!full && (!possible || ms(execution) <= ms(left) + slop)),
            Admission::Offload(id) => {
                let peer = peers[id.0 as usize];
                prop_assert!(!possible || takes(&peer) <= ms(left) + slop, "in time is possible, but not there");
                let late_here = here.is_none_or(|here| here + slop > ms(left));
                prop_assert!(late_here || !possible || class > 0 || takes(&peer) <= ms(left), "here is cheaper");
            }
            Admission::Reject(_) => prop_assert!(!possible),
            Admission::Wait(ticket) => prop_assert!(false, "there is no queue, but {:?}", ticket),
        }
        if best.is_some_and(|best| best > ms(left) * 4 + ms(50)) {
            prop_assert_eq!(node.snapshot().counters.rejected.total(), 1, "hopeless everywhere");
        }
    }
}

fn sample(place: Ran, took_ms: u64) -> Sample {
    Sample {
        function: FUNCTION,
        place,
        cold: false,
        start: ms(0),
        execution: ms(took_ms),
        overhead: ms(took_ms),
    }
}

/// Lets the node see many calls of the same time everywhere. It learns where a peer is by sending to it, so each is the
/// only one that it can send to for a while.
fn teach(node: &mut Scheduler, start: Instant, execution: u64, peers: &[Peer]) {
    for _ in 0..60 {
        node.learn(start, sample(Ran::Here, execution));
    }
    let whole = Demand {
        memory: MemoryMib::new(99),
        ..Demand::NONE
    };
    for peer in peers {
        let roomy = [Peer {
            free_memory: MemoryMib::new(99),
            free_cpu: CpuMilli::new(99),
            wait: ms(0),
            seen: start,
            ..*peer
        }];
        let view = PeerView {
            peers: &roomy,
            tried: &[],
            age_max: ms(AGE_MAX_MS),
        };
        let arrival = Arrival {
            demand: whole,
            function: FUNCTION,
            may_offload: true,
            ..Arrival::default()
        };
        let sent = node.admit(start, arrival, view, &mut Effects::default());
        assert!(
            matches!(sent, Admission::Offload(id) if id == peer.id),
            "{sent:?}"
        );
        for _ in 0..60 {
            let overhead = peer.round_trip;
            node.learn(
                start,
                Sample {
                    overhead,
                    ..sample(Ran::On(peer.id), execution)
                },
            );
        }
    }
}
