//! The rules of the warm pool one by one, on small nodes; the laws that hold for all of them together are in `pool_laws`.

mod lines;

use std::fmt::Write as _;

use serverledge_core::Digest;

use super::*;
use crate::arrival::{PoolKey, Pooled};
use crate::config::IDLE_MAX_DEFAULT;
use crate::snapshot::PooledCounts;
use crate::{Effects, SandboxId};

/// A node on which calls go by names, and whose sandboxes are numbered.
struct Warm {
    scheduler: Scheduler,
    start: Instant,
    now: u64,
    effects: Effects,
    leases: BTreeMap<&'static str, Lease>,
    tickets: BTreeMap<&'static str, Ticket>,
}

/// Sandboxes take a MiB for each of the key's letters, and a thousandth of a core.
fn pooled_call(key: &str, concurrency: u16) -> Arrival {
    let mut name = [0; 32];
    name[..key.len()].copy_from_slice(key.as_bytes());
    let demand = Demand::pooled(MemoryMib::new(key.len() as u64), CpuMilli::new(1));
    Arrival {
        demand,
        pool: Some(Pooled {
            key: PoolKey(Digest::new(name)),
            concurrency,
        }),
        ..Arrival::default()
    }
}

impl Warm {
    fn new(memory: u64, cpu: u64, containers: u32) -> Self {
        let queue_capacity = Config::new(capacity(memory)).queue_capacity;
        Self::with_queue(memory, cpu, containers, queue_capacity)
    }

    fn with_queue(memory: u64, cpu: u64, containers: u32, queue_capacity: usize) -> Self {
        let capacity = Capacity {
            cpu: CpuMilli::new(cpu),
            containers,
            ..capacity(memory)
        };
        let start = epoch();
        let effects = Effects::default();
        let config = Config {
            queue_capacity,
            ..Config::new(capacity)
        };
        let scheduler = Scheduler::new(config, start);
        Self {
            scheduler,
            start,
            now: 0,
            effects,
            leases: BTreeMap::new(),
            tickets: BTreeMap::new(),
        }
    }

    fn at(&self) -> Instant {
        self.start + Duration::from_millis(self.now)
    }

    fn admit(&mut self, name: &'static str, arrival: Arrival) -> String {
        let admission = self
            .scheduler
            .admit(self.at(), arrival, PeerView::NONE, &mut self.effects);
        self.file(name, admission)
    }

    fn file(&mut self, name: &'static str, admission: Admission) -> String {
        match admission {
            Admission::Run(lease) => {
                let place = lease.place();
                self.leases.insert(name, lease);
                match place {
                    SandboxUse::Once => "once".to_owned(),
                    SandboxUse::Start(id) => format!("start {id}"),
                    SandboxUse::Reuse(id) => format!("reuse {id}"),
                }
            }
            Admission::Wait(ticket) => {
                self.tickets.insert(name, ticket);
                "wait".to_owned()
            }
            Admission::Reject(rejection) => rejection.reason.code().to_owned(),
            Admission::Offload(peer) => panic!("sent to {peer:?}"),
        }
    }

    fn id(&self, number: &str) -> SandboxId {
        let known = self
            .scheduler
            .pool
            .ids(None)
            .into_iter()
            .find(|id| id.to_string() == number);
        known.expect("a sandbox of that number")
    }

    /// One command; see the tests. `call:keys*concurrency`, `once:memory` and `take:name` answer with what came of it.
    fn run(&mut self, command: &'static str) -> String {
        let (verb, what) = command.split_once(' ').unwrap_or((command, ""));
        let now = self.at();
        let ticket = |node: &mut Self| node.tickets.remove(what).expect("a ticket of that name");
        match verb {
            "call" => {
                let (name, key) = what.split_once('=').expect("name=key");
                let (key, concurrency) = key.split_once('*').unwrap_or((key, "1"));
                return self.admit(
                    name,
                    pooled_call(key, concurrency.parse().expect("a number")),
                );
            }
            "once" => {
                let (name, memory) = what.split_once('=').expect("name=memory");
                return self.admit(name, arrival(memory.parse().expect("a number"), LOW, None));
            }
            "take" => {
                let ticket = ticket(self);
                let admission = self.scheduler.resume(now, ticket, &mut self.effects);
                return self.file(what, admission);
            }
            "cancel" => {
                let ticket = ticket(self);
                self.scheduler.cancel(now, ticket, &mut self.effects);
            }
            "end" => self.end(what, SandboxCondition::Clean),
            "spoil" => self.end(what, SandboxCondition::Tainted),
            "leave" => self.end(what, SandboxCondition::StillStarting),
            "fail" => self.end(what, SandboxCondition::NeverStarted),
            "up" => self
                .scheduler
                .started(now, self.id(what), &mut self.effects),
            "down" => self.scheduler.failed(now, self.id(what), &mut self.effects),
            "gone" => self.scheduler.gone(now, self.id(what), &mut self.effects),
            "condemn" => self
                .scheduler
                .condemn(now, self.id(what), &mut self.effects),
            "retire" => {
                let key = pooled_call(what, 1).pool.expect("pooled").key;
                self.scheduler.retire(now, key, &mut self.effects);
            }
            "prewarm" => return self.prewarm(what),
            "memory" => {
                let memory = MemoryMib::new(what.parse().expect("a number"));
                let capacity = Capacity {
                    memory,
                    ..self.scheduler.snapshot().capacity
                };
                self.scheduler
                    .set_capacity(now, capacity, &mut self.effects);
            }
            "drain" => self.scheduler.drain(now, &mut self.effects),
            "at" => {
                self.now = what.parse().expect("milliseconds");
                self.scheduler.expire(self.at(), &mut self.effects);
            }
            other => panic!("{other}?"),
        }
        String::new()
    }

    fn end(&mut self, name: &str, end: SandboxCondition) {
        let lease = self.leases.remove(name).expect("a lease of that name");
        self.scheduler
            .release(self.at(), lease, end, &mut self.effects);
    }

    fn prewarm(&mut self, what: &str) -> String {
        let (key, count) = what.split_once('=').expect("key=count");
        let Arrival { demand, pool, .. } = pooled_call(key, 1);
        let count = count.parse().expect("a number");
        let ids = self.scheduler.prewarm(
            self.at(),
            demand,
            pool.expect("pooled"),
            count,
            &mut self.effects,
        );
        ids.iter()
            .map(SandboxId::to_string)
            .collect::<Vec<_>>()
            .join(" ")
    }

    /// The result of a command: the answer, the calls that were granted or turned away, and the sandboxes to be
    /// stopped.
    fn step(&mut self, command: &'static str) -> String {
        let mut said = self.run(command);
        for Decided {
            ticket,
            verdict: made,
        } in std::mem::take(&mut self.effects.decided)
        {
            let held = self
                .tickets
                .iter()
                .find(|(_, held)| held.id() == ticket)
                .map(|(name, _)| name);
            let run = self
                .leases
                .iter()
                .find(|(_, lease)| lease.ticket() == ticket)
                .map(|(name, _)| name);
            let name = held.or(run).unwrap_or(&"?");
            write!(said, " {name}:{}", verdict(made)).expect("a string takes all");
        }
        for id in std::mem::take(&mut self.effects.stop) {
            write!(said, " stop:{id}").expect("a string takes all");
        }
        said.trim_start().to_owned()
    }
}

/// A history on a node of so much memory, CPU and so many containers: each command, and what comes of it.
#[track_caller]
fn check(node: (u64, u64, u32), history: &[(&'static str, &str)]) -> Warm {
    let mut warm = Warm::new(node.0, node.1, node.2);
    for (at, (command, expected)) in history.iter().enumerate() {
        assert_eq!(warm.step(command), *expected, "step {at}: {command}");
    }
    warm
}

#[test]
fn the_last_idle_one_is_used_first_and_the_others_expire() {
    check(
        (100, 100, 100),
        &[
            ("call a=k", "start 0"),
            ("call b=k", "start 1"),
            ("call other=x", "start 2"),
            ("up 0", ""),
            ("end b", ""),
            ("at 1000", ""),
            ("end a", ""),
            ("end other", ""),
            ("call c=k", "reuse 0"),
            ("call d=k", "reuse 1"),
            ("end d", ""),
            ("at 2000", ""),
            ("end c", ""),
            ("at 600999", ""),
            ("at 601000", "stop:2 stop:1"),
            ("at 602000", "stop:0"),
        ],
    );
    assert_eq!(IDLE_MAX_DEFAULT, Duration::from_secs(600));
}

#[test]
fn books_follow_the_sandbox_and_cpu_follows_its_calls() {
    let mut node = Warm::new(10, 10, 10);
    let mut at = |command, memory, cpu, containers| {
        node.step(command);
        let free = node.scheduler.snapshot().free;
        assert_eq!(
            (free.memory.get(), free.cpu.get(), free.containers),
            (memory, cpu, containers),
            "{command}"
        );
    };
    at("call a=kk*3", 8, 9, 9);
    at("up 0", 8, 9, 9);
    at("call b=kk*3", 8, 9, 9);
    at("end a", 8, 9, 9);
    at("end b", 8, 10, 9);
    at("call c=kk*3", 8, 9, 9);
    at("spoil c", 8, 10, 9);
    at("gone 0", 10, 10, 10);
    at("prewarm kk=2", 6, 10, 8);
    at("call d=kkk", 3, 9, 7);
    at("fail d", 6, 10, 8);
    at("down 1", 8, 10, 9);
}

#[test]
fn calls_join_the_fullest_that_is_up() {
    check(
        (100, 100, 100),
        &[
            ("call a=k*3", "start 0"),
            ("call b=k*3", "wait"),
            ("call c=k*3", "wait"),
            // Whoever is first in line starts it.
            ("call d=k*3", "wait b:granted"),
            ("take b", "start 1"),
            // Whoever starts the other takes a place in this one, before those in line.
            ("up 1", "a:moved c:granted"),
            ("take c", "reuse 1"),
            ("call e=k*3", "wait"),
            ("up 0", "d:granted e:granted"),
            ("take d", "reuse 0"),
            ("take e", "reuse 0"),
            ("end c", ""),
            ("end b", ""),
            ("call f=k*3", "reuse 0"),
            ("call g=k*3", "reuse 1"),
        ],
    );
}

#[test]
fn who_waits_for_one_that_is_starting_starts_its_own_if_that_fails() {
    check(
        (100, 100, 100),
        &[
            ("call a=k*2", "start 0"),
            ("call b=k*2", "wait"),
            ("fail a", "b:granted"),
            ("take b", "start 1"),
            ("call c=k*2", "wait"),
            ("condemn 1", "c:granted"),
            ("take c", "start 2"),
            ("prewarm x=1", "3"),
            ("call d=x", "wait"),
            ("down 3", "d:granted"),
            ("take d", "start 4"),
        ],
    );
}

/// Sandboxes 0 and 1 of two MiB are idle and 2 is busy, and then comes what comes. Returns the evictions.
#[track_caller]
fn check_yielding(node: (u64, u64, u32), rest: &[(&'static str, &str)]) -> u64 {
    let before = [
        ("call a=aa", "start 0"),
        ("end a", ""),
        ("call b=bb", "start 1"),
        ("end b", ""),
        ("call c=cc", "start 2"),
    ];
    let history: Vec<_> = before.iter().chain(rest).copied().collect();
    check(node, &history)
        .scheduler
        .snapshot()
        .counters
        .evictions
}

#[test]
fn the_longest_idle_ones_yield_when_memory_or_places_are_short() {
    for (node, rest, evictions) in [
        (
            (6, 10, 10),
            &[
                ("call d=dd", "wait stop:0"),
                ("gone 0", "d:granted"),
                ("take d", "start 3"),
            ][..],
            1,
        ),
        (
            (6, 10, 10),
            &[
                ("once d=3", "wait stop:0 stop:1"),
                ("gone 1", ""),
                ("gone 0", "d:granted"),
            ],
            2,
        ),
        // Places alone.
        (
            (100, 10, 3),
            &[("call d=d", "wait stop:0"), ("gone 0", "d:granted")],
            1,
        ),
        // Nothing if all together are not enough.
        (
            (6, 10, 10),
            &[("once d=5", "wait"), ("end c", "stop:0 stop:1 stop:2")],
            3,
        ),
        // What is free counts, and so does what is being stopped.
        (
            (7, 10, 10),
            &[
                ("once d=3", "wait stop:0"),
                ("once e=2", "wait stop:1"),
                ("once f=1", "once"),
            ],
            2,
        ),
        // Nothing for want of CPU alone.
        (
            (9, 1, 10),
            &[
                ("call d=dd", "wait"),
                ("call e=bb", "wait"),
                ("end c", "d:granted"),
            ],
            0,
        ),
        // Where both are short, only for the next to start, so that it is not always passed.
        (
            (6, 1, 10),
            &[
                ("call d=dd", "wait stop:0"),
                ("call e=ee", "wait"),
                ("gone 0", ""),
                ("end c", "d:granted stop:1"),
            ],
            2,
        ),
    ] {
        assert_eq!(check_yielding(node, rest), evictions, "{rest:?}");
    }
}

#[test]
fn small_ones_are_spared_beside_a_big_one() {
    check(
        (4, 10, 10),
        &[
            ("call a=a", "start 0"),
            ("call b=bbb", "start 1"),
            ("end a", ""),
            ("end b", ""),
            ("once c=3", "wait stop:1"),
        ],
    );
}

#[test]
fn what_cannot_be_trusted_is_not_used_again() {
    check(
        (100, 100, 100),
        &[
            ("call a=k*2", "start 0"),
            ("up 0", ""),
            ("call b=k*2", "reuse 0"),
            ("spoil b", ""),
            ("call c=k*2", "start 1"),
            ("end a", "stop:0"),
            ("condemn 0", ""),
            ("condemn 1", ""),
            ("condemn 1", ""),
            ("end c", "stop:1"),
            ("call d=k", "start 2"),
            ("end d", ""),
            ("condemn 2", "stop:2"),
            ("gone 2", ""),
            ("call e=k", "start 3"),
        ],
    );
}

#[test]
fn a_retired_key_starts_anew() {
    let node = check(
        (100, 100, 100),
        &[
            ("call a=k", "start 0"),
            ("call b=k", "start 1"),
            ("call other=x", "start 2"),
            ("up 1", ""),
            ("end a", ""),
            ("end other", ""),
            ("prewarm k=1", "3"),
            ("retire k", "stop:0"),
            ("call c=k", "start 4"),
            ("end b", "stop:1"),
            ("up 3", "stop:3"),
            ("end c", ""),
            ("call d=k", "reuse 4"),
            ("call e=x", "reuse 2"),
        ],
    );
    let expected = PooledCounts {
        starting: 0,
        idle: 0,
        busy: 2,
        stopping: 3,
    };
    assert_eq!(node.scheduler.snapshot().pooled, expected);
}

#[test]
fn prewarmed_ones_are_ready_and_kept_and_take_only_what_is_spare() {
    let node = check(
        (6, 1, 10),
        &[
            ("prewarm k=9", "0 1 2 3 4 5"),
            ("down 4", ""),
            ("down 5", ""),
            ("at 1000", ""),
            ("up 0", ""),
            ("up 1", ""),
            ("at 600999", ""),
            ("call a=k", "reuse 1"),
            ("once b=2", "wait"),
            ("prewarm k=1", ""),
            ("at 601000", "stop:0"),
            ("end a", "b:granted"),
        ],
    );
    let counters = node.scheduler.snapshot().counters;
    assert_eq!(
        (
            counters.warm_reuses,
            counters.cold_starts,
            counters.expiries
        ),
        (1, 0, 1)
    );
}

#[test]
fn a_grant_that_nobody_takes_leaves_the_sandbox_as_it_was() {
    check(
        (1, 10, 10),
        &[
            ("call a=k", "start 0"),
            ("call b=k", "wait"),
            ("end a", "b:granted"),
            ("cancel b", ""),
            ("call c=x", "wait stop:0"),
            ("gone 0", "c:granted"),
            ("cancel c", ""),
            ("call d=k", "start 2"),
        ],
    );
}

#[test]
fn a_smaller_node_keeps_fewer_idle_ones() {
    check(
        (6, 10, 10),
        &[
            ("call a=aa", "start 0"),
            ("call b=bb", "start 1"),
            ("call c=cc", "start 2"),
            ("end a", ""),
            ("end b", ""),
            ("memory 3", "stop:0 stop:1"),
            ("memory 1", ""),
            ("end c", "stop:2"),
        ],
    );
}

#[test]
fn draining_empties_the_pool() {
    let node = check(
        (100, 100, 100),
        &[
            ("call a=k", "start 0"),
            ("call b=k", "start 1"),
            ("prewarm k=1", "2"),
            ("up 1", ""),
            ("end a", ""),
            ("drain", "stop:0"),
            ("drain", ""),
            ("end b", "stop:1"),
            ("up 2", "stop:2"),
            ("prewarm k=1", ""),
            ("gone 0", ""),
            ("gone 1", ""),
            ("gone 2", ""),
        ],
    );
    assert_eq!(node.scheduler.snapshot().pooled.total(), 0);
}

#[test]
fn what_the_whole_node_cannot_hold_is_said_at_once() {
    let refused = "exceeds_node";
    check(
        (2, 1, 1),
        &[("call a=aaa", refused), ("call b=aa", "start 0")],
    );
    check((2, 1, 0), &[("call a=a", refused)]);
    check((2, 0, 1), &[("call a=a", refused), ("prewarm a=1", "")]);
}

/// Small pooled calls keep coming; the call for the whole node is held back for, and idle ones yield to it.
#[test]
fn a_claim_keeps_warm_sandboxes_from_being_taken() {
    let mut node = Warm::new(4, 100, 100);
    for command in ["call a=aa*9", "call b=bb", "up 0", "once big=4"] {
        node.step(command);
    }
    node.now = 2500;
    for _ in 1..TURN_EVERY {
        assert_eq!(node.step("call c=aa*9"), "reuse 0");
        assert_eq!(node.step("end c"), "");
    }
    assert_eq!(node.step("end b"), "");
    assert_eq!(
        node.scheduler.snapshot().held_back.memory,
        MemoryMib::new(4)
    );
    assert_eq!(
        node.step("call c=aa*9"),
        "wait",
        "it would keep sandbox 0 from becoming idle"
    );
    assert_eq!(
        node.step("call d=bb"),
        "wait",
        "it would keep sandbox 1 from yielding"
    );
    assert_eq!(node.step("end a"), "stop:1 stop:0");
    assert_eq!(node.step("gone 0"), "");
    assert_eq!(node.step("gone 1"), "big:granted");
}

#[test]
fn who_waits_for_one_that_is_starting_claims_nothing() {
    let mut node = Warm::new(3, 100, 100);
    node.step("call a=kk*3");
    assert_eq!(node.step("call b=kk*3"), "wait");
    node.now = 2500;
    for _ in 0..2 * TURN_EVERY {
        assert_eq!(node.step("once c=1"), "once");
        node.step("end c");
    }
    assert_eq!(node.scheduler.snapshot().held_back, Demand::NONE);
    assert_eq!(node.step("up 0"), "b:granted");
}
