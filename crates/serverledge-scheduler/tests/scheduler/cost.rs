//! The cost of operations. It is measured, not asserted: a loaded machine is no failure.
//!
//! `cargo test --release -p serverledge-scheduler --test scheduler -- --ignored --nocapture cost`

use std::collections::BTreeMap;
use std::hint::black_box;
use std::time::{Duration, Instant};

use serverledge_core::{CpuMilli, Digest, MemoryMib};
use serverledge_scheduler::{
    Admission, Arrival, Config, Demand, Effects, FunctionKey, Lease, POLICY_NAMES, Peer, PeerId,
    PeerView, PolicyOptions, PoolKey, Pooled, QosClass, Ran, Sample, SandboxCondition, SandboxUse,
    Scheduler, policy_named,
};

use crate::epoch;
use crate::model::{capacity, demand};

const ROUNDS: u32 = 2_000_000;

#[test]
#[ignore = "a measurement; run it in release"]
fn cost() {
    report("admit + release, nobody waits", uncontended());
    for (keys, concurrency) in [(1, 1), (100, 1), (100, 10)] {
        let name =
            format!("warm admit + release, nobody waits, {keys} keys, concurrency {concurrency}");
        report(&name, warm(keys, concurrency));
    }
    for policy in POLICY_NAMES {
        for peers in [10, 100] {
            for (what, time) in ["mean", "median", "99th percentile"]
                .iter()
                .zip(decision(policy, peers))
            {
                report(
                    &format!("decision of {policy} on a full node with {peers} peers, {what}"),
                    time,
                );
            }
        }
    }
    for functions in [1, 10, 100] {
        let name = format!("release + resume + admit, 1000 wait, {functions} different demands");
        report(&name, contended(functions));
    }
}

#[expect(clippy::print_stderr, reason = "the report")]
fn report(name: &str, each: Duration) {
    eprintln!("{name}: {} ns", each.as_nanos());
}

/// The best of several runs, for each round.
fn time(rounds: u32, mut run: impl FnMut(Instant)) -> Duration {
    let runs = (0..5).map(|_| {
        let start = epoch();
        (0..rounds).for_each(|round| run(start + Duration::from_micros(round.into())));
        start.elapsed() / rounds
    });
    runs.min().unwrap_or_default()
}

fn arrival(memory: u64) -> Arrival {
    Arrival {
        demand: demand(memory, 100, 1),
        ..Arrival::default()
    }
}

fn uncontended() -> Duration {
    let mut scheduler = Scheduler::new(Config::new(capacity(16_384, 8_000, 1_000)), epoch());
    let mut effects = Effects::default();
    time(ROUNDS, |now| {
        let admission = scheduler.admit(
            black_box(now),
            black_box(arrival(128)),
            PeerView::NONE,
            &mut effects,
        );
        if let Admission::Run(lease) = black_box(admission) {
            scheduler.release(now, lease, SandboxCondition::Clean, &mut effects);
        }
    })
}

/// A node with two idle sandboxes for each key; calls come for one key after the other.
fn warm(keys: u8, concurrency: u16) -> Duration {
    let mut scheduler = Scheduler::new(Config::new(capacity(65_536, 8_000, 0)), epoch());
    let mut effects = Effects::default();
    let call = |key: u8| {
        let pooled = Pooled {
            key: PoolKey(Digest::new([key; 32])),
            concurrency,
        };
        Arrival {
            demand: Demand::pooled(MemoryMib::new(128), CpuMilli::new(100)),
            pool: Some(pooled),
            ..arrival(0)
        }
    };
    for arrival in (0..keys).map(call) {
        let pooled = arrival.pool.expect("a pooled call");
        for id in scheduler.prewarm(epoch(), arrival.demand, pooled, 2, &mut effects) {
            scheduler.started(epoch(), id, &mut effects);
        }
    }
    let mut next = (0..keys).cycle();
    time(ROUNDS, |now| {
        let arrival = call(next.next().unwrap_or(0));
        let Admission::Run(lease) = scheduler.admit(
            black_box(now),
            black_box(arrival),
            PeerView::NONE,
            &mut effects,
        ) else {
            panic!("an idle one is there")
        };
        assert!(matches!(lease.place(), SandboxUse::Reuse(_)));
        scheduler.release(now, black_box(lease), SandboxCondition::Clean, &mut effects);
    })
}

/// A node whose queue has no place, so that every call looks at all peers, and learns when it has gone. Reading the clock
/// twice is part of it; on a machine that does other things the mean says more about those.
fn decision(policy: &str, count: u32) -> [Duration; 3] {
    const CALLS: usize = 200_000;
    let start = epoch();
    let policy = policy_named(policy, PolicyOptions::default()).expect("a policy");
    let config = Config {
        queue_capacity: 0,
        ..Config::new(capacity(128, 100, 1))
    };
    let mut scheduler = Scheduler::with_policy(config, policy, start);
    let mut effects = Effects::default();
    let _running = run(scheduler.admit(start, arrival(128), PeerView::NONE, &mut effects));
    let mut peers: Vec<_> = (0..count).map(|n| peer(n, start)).collect();
    let mut times: Vec<Duration> = (0..CALLS)
        .map(|n| {
            let now = start + Duration::from_micros(50 * n as u64);
            let heard = n % peers.len();
            peers[heard].seen = now;
            let deadline = (n % 2 == 0).then(|| now + Duration::from_millis(500));
            let class = QosClass((n % 3).try_into().expect("small"));
            let function = FunctionKey(1 + n as u64 % 500);
            let call = Arrival {
                class,
                deadline,
                function,
                may_offload: true,
                bytes: 1_000,
                ..arrival(128)
            };
            let view = PeerView {
                peers: &peers,
                tried: &[],
                age_max: Duration::from_secs(10),
            };
            let before = epoch();
            let admission = scheduler.admit(
                black_box(now),
                black_box(call),
                black_box(view),
                &mut effects,
            );
            let took = before.elapsed();
            if let Admission::Offload(id) = black_box(admission) {
                let start = Duration::ZERO;
                let execution = Duration::from_millis(20);
                let sample = Sample {
                    function,
                    place: Ran::On(id),
                    cold: false,
                    start,
                    execution,
                    overhead: execution,
                };
                scheduler.learn(now, sample);
            }
            took
        })
        .collect();
    times.sort_unstable();
    let mean = times.iter().sum::<Duration>() / times.len().try_into().expect("fits");
    [mean, times[CALLS / 2], times[CALLS / 100 * 99]]
}

fn peer(n: u32, now: Instant) -> Peer {
    Peer {
        id: PeerId(n),
        cloud: n.is_multiple_of(2),
        runs: true,
        round_trip: Duration::from_millis(20),
        bytes_per_second: 1_000_000,
        free_memory: MemoryMib::new(100_000),
        free_cpu: CpuMilli::new(100_000),
        wait: Duration::ZERO,
        seen: now,
    }
}

/// A full node with a full queue: one call ends, the next starts, a new one waits.
fn contended(functions: u64) -> Duration {
    let start = epoch();
    let mut scheduler = Scheduler::new(Config::new(capacity(16_384, 8_000, 1)), start);
    let mut tickets = BTreeMap::new();
    let mut effects = Effects::default();
    let mut memory = (1..=functions).cycle();
    let mut wait = |scheduler: &mut Scheduler, tickets: &mut BTreeMap<_, _>, now| match scheduler
        .admit(
            now,
            arrival(memory.next().unwrap_or(1)),
            PeerView::NONE,
            &mut Effects::default(),
        ) {
        Admission::Wait(ticket) => tickets.insert(ticket.id(), ticket),
        other => panic!("the queue has room and the node none, but {other:?}"),
    };
    let mut running = run(scheduler.admit(start, arrival(1), PeerView::NONE, &mut effects));
    for _ in 0..1_000 {
        wait(&mut scheduler, &mut tickets, start);
    }
    time(ROUNDS / 20, |now| {
        scheduler.release(
            now,
            running.take().expect("one always runs"),
            SandboxCondition::Clean,
            &mut effects,
        );
        let ticket = effects
            .decided
            .pop()
            .and_then(|news| tickets.remove(&news.ticket))
            .expect("one starts");
        running = run(scheduler.resume(now, ticket, &mut effects));
        wait(&mut scheduler, &mut tickets, now);
    })
}

fn run(admission: Admission) -> Option<Lease> {
    if let Admission::Run(lease) = admission {
        Some(lease)
    } else {
        None
    }
}
