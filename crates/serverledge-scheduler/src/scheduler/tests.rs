//! The rules one by one, on small nodes; the laws that hold for all of them together are in `tests/scheduler/laws.rs`.

mod calls_laws;
mod pool;
mod pool_laws;
mod pool_model;

use std::collections::BTreeMap;

use serverledge_core::{CpuMilli, MemoryMib};

use super::*;
use crate::arrival::QosClass;
use crate::config::PATIENCE_DEFAULT;
use crate::fairness::TURN_EVERY;
use crate::policy::LocalView;

const LOW: QosClass = QosClass::LOW;
const PERFORMANCE: QosClass = QosClass::PERFORMANCE;
const AVAILABILITY: QosClass = QosClass::AVAILABILITY;
const MADE_UP: QosClass = QosClass(99);

/// A moment to count from; tests never look at the clock again.
#[expect(
    clippy::disallowed_methods,
    reason = "an instant cannot be made otherwise, and no runtime is known here"
)]
pub(crate) fn epoch() -> Instant {
    Instant::now()
}

/// A scheduler with named calls and a clock in milliseconds.
struct Node {
    scheduler: Scheduler,
    start: Instant,
    now: u64,
    effects: Effects,
    leases: BTreeMap<&'static str, Lease>,
    tickets: BTreeMap<&'static str, Ticket>,
}

impl Node {
    /// A node with so much memory and enough of everything else.
    fn new(memory: u64, queue_capacity: usize) -> Self {
        let config = Config {
            queue_capacity,
            ..Config::new(capacity(memory))
        };
        let start = epoch();
        let scheduler = Scheduler::new(config, start);
        let leases = BTreeMap::new();
        let tickets = BTreeMap::new();
        Self {
            scheduler,
            start,
            now: 0,
            effects: Effects::default(),
            leases,
            tickets,
        }
    }

    /// `memory` leases of one MiB, named by no one, so that everything else has to wait.
    fn full(memory: u64, queue_capacity: usize) -> (Self, Vec<Lease>) {
        let mut node = Self::new(memory, queue_capacity);
        let leases = (0..memory).map(|_| node.admit_lease(1)).collect();
        (node, leases)
    }

    fn at(&self, ms: u64) -> Instant {
        self.start + Duration::from_millis(ms)
    }

    fn admit_lease(&mut self, memory: u64) -> Lease {
        match self.scheduler.admit(
            self.at(self.now),
            arrival(memory, LOW, None),
            PeerView::NONE,
            &mut self.effects,
        ) {
            Admission::Run(lease) => lease,
            other => panic!("no lease but {other:?}"),
        }
    }

    /// "runs", "waits", or the code of the rejection.
    fn arrive(
        &mut self,
        name: &'static str,
        memory: u64,
        class: QosClass,
        deadline: Option<u64>,
    ) -> &'static str {
        let arrival = arrival(memory, class, deadline.map(|ms| self.at(ms)));
        let admission = self.scheduler.admit(
            self.at(self.now),
            arrival,
            PeerView::NONE,
            &mut self.effects,
        );
        self.file(name, admission)
    }

    fn resume(&mut self, name: &'static str) -> &'static str {
        let ticket = self.tickets.remove(name).expect("a ticket of that name");
        let admission = self
            .scheduler
            .resume(self.at(self.now), ticket, &mut self.effects);
        self.file(name, admission)
    }

    fn cancel(&mut self, name: &'static str) {
        let ticket = self.tickets.remove(name).expect("a ticket of that name");
        self.scheduler
            .cancel(self.at(self.now), ticket, &mut self.effects);
    }

    fn release(&mut self, lease: Lease) {
        self.scheduler.release(
            self.at(self.now),
            lease,
            SandboxCondition::Clean,
            &mut self.effects,
        );
    }

    fn end(&mut self, name: &'static str) {
        let lease = self.leases.remove(name).expect("a lease of that name");
        self.release(lease);
    }

    fn expire(&mut self) {
        self.scheduler.expire(self.at(self.now), &mut self.effects);
    }

    fn file(&mut self, name: &'static str, admission: Admission) -> &'static str {
        match admission {
            Admission::Run(lease) => {
                self.leases.insert(name, lease);
                "runs"
            }
            Admission::Wait(ticket) => {
                self.tickets.insert(name, ticket);
                "waits"
            }
            Admission::Reject(rejection) => rejection.reason.code(),
            Admission::Offload(_) => "goes",
        }
    }

    /// The decisions since the last look: name and "granted" or the code of the rejection.
    fn news(&mut self) -> Vec<(&'static str, &'static str)> {
        let decided = std::mem::take(&mut self.effects.decided);
        decided
            .into_iter()
            .map(|news| (self.name(news.ticket), verdict(news.verdict)))
            .collect()
    }

    fn name(&self, ticket: TicketId) -> &'static str {
        self.tickets
            .iter()
            .find(|(_, held)| held.id() == ticket)
            .map_or("?", |(name, _)| name)
    }
}

fn verdict(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Granted => "granted",
        Verdict::Rejected(reason) => reason.code(),
        Verdict::Moved => "moved",
    }
}

fn capacity(memory: u64) -> Capacity {
    Capacity {
        memory: MemoryMib::new(memory),
        cpu: CpuMilli::new(1_000_000),
        slots: 1_000,
        containers: 0,
    }
}

fn arrival(memory: u64, class: QosClass, deadline: Option<Instant>) -> Arrival {
    Arrival {
        demand: Demand::one(MemoryMib::new(memory), CpuMilli::new(1)),
        class,
        deadline,
        ..Arrival::default()
    }
}

#[test]
fn runs_then_waits_then_turns_away() {
    let mut node = Node::new(2, 1);
    let answers = ["a", "b", "c", "d"].map(|name| node.arrive(name, 1, LOW, None));
    assert_eq!(answers, ["runs", "runs", "waits", "queue_full"]);
    assert_eq!(node.resume("c"), "waits", "nothing has changed");
    node.end("a");
    assert_eq!(node.news(), [("c", "granted")]);
    assert_eq!(node.resume("c"), "runs");
    assert_eq!(node.scheduler.snapshot().running, 2);
}

#[test]
fn what_cannot_help_is_said_at_once() {
    let mut node = Node::new(4, 0);
    node.now = 100;
    for (memory, deadline, answer) in [
        (5, None, "exceeds_node"),
        (4, Some(100), "deadline_unreachable"),
        (5, Some(50), "deadline_unreachable"),
        (4, Some(101), "runs"),
        (1, None, "queue_full"),
    ] {
        assert_eq!(
            node.arrive("a", memory, LOW, deadline),
            answer,
            "{memory} MiB by {deadline:?}"
        );
    }
}

/// Calls of one MiB wait for a full node, which then frees one after the other.
#[track_caller]
fn check_order(arrivals: &[(&'static str, QosClass, Option<u64>)], expected: &[&str]) {
    let (mut node, leases) = Node::full(10, 100);
    for (name, class, deadline) in arrivals {
        assert_eq!(node.arrive(name, 1, *class, *deadline), "waits");
    }
    leases.into_iter().for_each(|lease| node.release(lease));
    let order: Vec<_> = node.news().into_iter().map(|(name, _)| name).collect();
    assert_eq!(order, expected);
}

#[test]
fn serves_by_class_deadline_and_arrival() {
    check_order(
        &[
            ("a", LOW, None),
            ("b", AVAILABILITY, None),
            ("c", PERFORMANCE, None),
        ],
        &["c", "b", "a"],
    );
    check_order(
        &[
            ("a", LOW, None),
            ("b", LOW, Some(900)),
            ("c", LOW, Some(800)),
        ],
        &["c", "b", "a"],
    );
    check_order(
        &[("a", MADE_UP, None), ("b", LOW, None), ("c", MADE_UP, None)],
        &["a", "b", "c"],
    );
    check_order(
        &[("a", LOW, Some(1)), ("b", PERFORMANCE, None)],
        &["b", "a"],
    );
}

#[test]
fn every_fourth_start_belongs_to_the_longest_waiting() {
    let high = |name| (name, PERFORMANCE, None);
    let arrivals = [
        ("low1", LOW, None),
        ("low2", LOW, None),
        high("a"),
        high("b"),
        high("c"),
        high("d"),
        high("e"),
    ];
    check_order(&arrivals, &["a", "b", "c", "low1", "d", "e", "low2"]);
}

#[test]
fn a_small_call_passes_a_big_one_until_that_has_waited_too_long() {
    let (mut node, mut leases) = Node::full(4, 100);
    assert_eq!(node.arrive("big", 4, LOW, None), "waits");
    for _ in 0..2 * TURN_EVERY {
        node.release(leases.remove(0));
        leases.push(node.admit_lease(1));
    }
    node.now = 2500;
    for _ in 0..TURN_EVERY {
        node.release(leases.remove(0));
        match node.arrive("small", 1, PERFORMANCE, None) {
            "runs" => leases.extend(node.leases.remove("small")),
            answer => assert_eq!(answer, "waits"),
        }
    }
    assert_eq!(
        node.scheduler.snapshot().held_back,
        arrival(4, LOW, None).demand
    );
    leases.into_iter().for_each(|lease| node.release(lease));
    assert_eq!(node.news(), [("big", "granted")], "and the small one waits");
    assert_eq!(node.scheduler.snapshot().held_back, Demand::NONE);
}

/// A node of four MiB where a call for all of it has a claim, and one lease is out.
fn claimed() -> (Node, Lease) {
    let (mut node, mut leases) = Node::full(4, 100);
    assert_eq!(node.arrive("big", 4, LOW, None), "waits");
    node.now = 2500;
    for _ in 1..TURN_EVERY {
        node.release(leases.remove(0));
        leases.push(node.admit_lease(1));
    }
    let last = leases.remove(0);
    leases.into_iter().for_each(|lease| node.release(lease));
    assert_eq!(
        node.scheduler.snapshot().held_back.memory,
        MemoryMib::new(4)
    );
    (node, last)
}

#[test]
fn a_claim_that_fails_pauses_claims_as_long_as_it_lasted() {
    let (mut node, _last) = claimed();
    assert_eq!(
        node.arrive("small", 1, PERFORMANCE, None),
        "waits",
        "the claim holds it back"
    );
    node.now = 3500;
    node.cancel("big");
    assert_eq!(node.news(), [("small", "granted")]);
    assert_eq!(node.resume("small"), "runs");
    assert_eq!(node.arrive("big", 4, LOW, None), "waits");
    // Out of patience at 6000; the pause ended at 4500, a second after the claim of a second.
    let mut claims_at = |ms, held| {
        node.now = ms;
        for _ in 0..TURN_EVERY {
            if node.arrive("other", 1, LOW, None) == "runs" {
                node.end("other");
            }
        }
        assert_eq!(
            node.scheduler.snapshot().held_back.memory,
            MemoryMib::new(held),
            "at {ms}"
        );
    };
    claims_at(5999, 0);
    claims_at(6000, 4);
}

#[test]
fn a_pause_outlasts_patience() {
    let (mut node, _last) = claimed();
    node.now = 9999;
    assert_eq!(node.arrive("next", 4, LOW, None), "waits");
    node.now = 10_000;
    node.expire();
    assert_eq!(node.news(), [("big", "queue_timeout")]);
    // The claim lasted from 2500 to 10000, so none begins before 17500.
    for (ms, held) in [(12_499, 0), (17_499, 0), (17_500, 4)] {
        node.now = ms;
        for _ in 0..TURN_EVERY {
            if node.arrive("other", 1, LOW, None) == "runs" {
                node.end("other");
            }
        }
        assert_eq!(
            node.scheduler.snapshot().held_back.memory,
            MemoryMib::new(held),
            "at {ms}"
        );
    }
}

#[test]
fn a_full_queue_yields_young_low_calls_to_higher_classes() {
    for (waiting, waited, newcomer, displaced) in [
        (LOW, 0, PERFORMANCE, true),
        (LOW, 0, AVAILABILITY, true),
        (MADE_UP, 2499, AVAILABILITY, true),
        (LOW, 2500, PERFORMANCE, false),
        (LOW, 0, LOW, false),
        (LOW, 0, MADE_UP, false),
        (AVAILABILITY, 0, PERFORMANCE, false),
        (PERFORMANCE, 0, PERFORMANCE, false),
    ] {
        let (mut node, _leases) = Node::full(1, 1);
        assert_eq!(node.arrive("old", 1, waiting, None), "waits");
        node.now = waited;
        let (answer, news) = if displaced {
            ("waits", vec![("old", "queue_full")])
        } else {
            ("queue_full", vec![])
        };
        assert_eq!(
            node.arrive("new", 1, newcomer, None),
            answer,
            "{waiting:?} for {waited} ms, {newcomer:?}"
        );
        assert_eq!(node.news(), news);
    }
}

#[test]
fn displaces_the_last_in_the_order_of_service() {
    let (mut node, _leases) = Node::full(1, 3);
    for (name, class) in [("a", LOW), ("b", LOW), ("c", PERFORMANCE)] {
        node.arrive(name, 1, class, None);
    }
    node.arrive("d", 1, AVAILABILITY, None);
    assert_eq!(node.news(), [("b", "queue_full")]);
    assert_eq!(node.resume("b"), "queue_full");
}

#[test]
fn expires_on_time_with_the_reason() {
    let (mut node, _leases) = Node::full(1, 100);
    node.arrive("patient", 1, LOW, None);
    node.arrive("urgent", 1, LOW, Some(300));
    node.arrive("late", 1, LOW, Some(60_000));
    assert_eq!(node.scheduler.next_expiry(), Some(node.at(300)));
    for (ms, news) in [
        (299, vec![]),
        (300, vec![("urgent", "deadline_unreachable")]),
        (9_999, vec![]),
        (
            10_000,
            vec![("patient", "queue_timeout"), ("late", "queue_timeout")],
        ),
    ] {
        node.now = ms;
        node.expire();
        assert_eq!(node.news(), news, "at {ms}");
    }
    assert_eq!(node.scheduler.next_expiry(), None);
    assert_eq!(node.resume("urgent"), "deadline_unreachable");
}

#[test]
fn nobody_is_granted_after_the_deadline() {
    let (mut node, mut leases) = Node::full(1, 100);
    node.arrive("a", 1, LOW, Some(300));
    node.now = 300;
    node.release(leases.remove(0));
    assert_eq!(node.news(), [("a", "deadline_unreachable")]);
    assert_eq!(node.scheduler.snapshot().running, 0);
}

#[test]
fn a_holder_that_keeps_its_own_time_needs_no_one_else() {
    let (mut node, _leases) = Node::full(1, 100);
    node.arrive("a", 1, LOW, None);
    assert_eq!(node.tickets["a"].expires(), node.at(10_000));
    node.now = 10_000;
    assert_eq!(node.resume("a"), "queue_timeout");
}

#[test]
fn cancelling_is_right_in_every_state() {
    let (mut node, mut leases) = Node::full(2, 100);
    for (name, memory) in [("waiting", 2), ("granted", 1), ("next", 1)] {
        assert_eq!(node.arrive(name, memory, LOW, None), "waits");
    }
    node.cancel("waiting");
    node.release(leases.remove(0));
    assert_eq!(node.news(), [("granted", "granted")]);
    node.cancel("granted");
    assert_eq!(
        node.news(),
        [("next", "granted")],
        "its lease went on to the next"
    );
    node.arrive("rejected", 1, LOW, Some(5));
    node.now = 5;
    node.expire();
    node.cancel("rejected");
    assert_eq!(node.resume("next"), "runs");
    node.end("next");
    node.release(leases.remove(0));
    let snapshot = node.scheduler.snapshot();
    assert_eq!(
        (snapshot.free, snapshot.running, snapshot.unclaimed),
        (capacity(2), 0, 0)
    );
    assert_eq!(
        (
            snapshot.counters.cancelled,
            snapshot.counters.rejected.deadline
        ),
        (2, 1)
    );
}

#[test]
fn turns_go_on_beside_a_claim() {
    let mut node = Node::new(4, 100);
    node.scheduler = Scheduler::new(
        Config::new(Capacity {
            cpu: CpuMilli::new(5),
            ..capacity(4)
        }),
        node.start,
    );
    let _last = node.admit_lease(1);
    let mut leases: Vec<_> = (0..3).map(|_| node.admit_lease(0)).collect();
    node.arrive("big", 4, LOW, None);
    node.now = 2500;
    for _ in 1..TURN_EVERY {
        node.release(leases.remove(0));
        leases.push(node.admit_lease(0));
    }
    // The claim lacks memory, which these do not need; but it keeps its part of the CPU, so they wait.
    for (name, class) in [
        ("low", LOW),
        ("a", PERFORMANCE),
        ("b", PERFORMANCE),
        ("c", PERFORMANCE),
    ] {
        assert_eq!(node.arrive(name, 0, class, None), "waits");
    }
    leases.into_iter().for_each(|lease| node.release(lease));
    assert_eq!(
        node.news(),
        [("low", "granted"), ("a", "granted"), ("b", "granted")]
    );
}

#[test]
fn leaving_unblocks_others() {
    let (mut node, last) = claimed();
    node.arrive("small", 1, LOW, None);
    node.cancel("big");
    assert_eq!(node.news(), [("small", "granted")]);
    node.release(last);
}

#[test]
fn draining_turns_away_all_that_do_not_run() {
    let (mut node, mut leases) = Node::full(1, 100);
    node.arrive("granted", 1, LOW, None);
    node.arrive("waiting", 1, LOW, None);
    node.release(leases.remove(0));
    node.news();
    node.scheduler.drain(node.at(0), &mut node.effects);
    assert_eq!(node.news(), [("waiting", "draining")]);
    assert_eq!(node.arrive("new", 1, LOW, None), "draining");
    assert_eq!(node.resume("granted"), "runs");
    node.end("granted");
    let snapshot = node.scheduler.snapshot();
    assert!(snapshot.draining && snapshot.running == 0);
}

#[test]
fn capacity_may_change() {
    let (mut node, mut leases) = Node::full(4, 100);
    node.arrive("big", 3, LOW, None);
    node.arrive("small", 1, LOW, None);
    node.scheduler
        .set_capacity(node.at(0), capacity(2), &mut node.effects);
    assert_eq!(node.news(), [("big", "exceeds_node")]);
    node.release(leases.remove(0));
    node.release(leases.remove(0));
    assert_eq!(node.news(), [], "as much is in use as there is now");
    node.scheduler
        .set_capacity(node.at(0), capacity(3), &mut node.effects);
    assert_eq!(node.news(), [("small", "granted")]);
}

#[test]
fn time_does_not_run_backwards() {
    let (mut node, _leases) = Node::full(1, 100);
    node.now = 5_000;
    node.expire();
    node.now = 1_000;
    node.arrive("a", 1, LOW, None);
    assert_eq!(node.tickets["a"].expires(), node.at(15_000));
}

#[test]
fn any_configuration_works() {
    let start = epoch();
    let capacity = Capacity {
        memory: MemoryMib::new(u64::MAX),
        cpu: CpuMilli::new(u64::MAX),
        slots: u32::MAX,
        containers: u32::MAX,
    };
    let config = Config {
        wait_max: Duration::MAX,
        patience: Duration::MAX,
        ..Config::new(capacity)
    };
    let mut scheduler = Scheduler::new(config, start);
    let everything = Demand {
        memory: capacity.memory,
        cpu: capacity.cpu,
        slots: capacity.slots,
        containers: capacity.containers,
    };
    let arrival = Arrival {
        demand: everything,
        ..Arrival::default()
    };
    let mut effects = Effects::default();
    let Admission::Run(lease) = scheduler.admit(start, arrival, PeerView::NONE, &mut effects)
    else {
        panic!("it fits")
    };
    let Admission::Wait(ticket) = scheduler.admit(start, arrival, PeerView::NONE, &mut effects)
    else {
        panic!("it waits")
    };
    assert_eq!(ticket.expires(), start + WAIT_CEILING);
    scheduler.release(start, lease, SandboxCondition::Clean, &mut effects);
    scheduler.cancel(start, ticket, &mut effects);
    assert_eq!(scheduler.snapshot().free, capacity);
}

#[test]
#[should_panic(expected = "go back to the scheduler that issued them")]
fn a_foreign_lease_is_refused() {
    let mut one = Node::new(1, 0);
    let mut other = Node::new(1, 0);
    let _own = one.admit_lease(1);
    let foreign = other.admit_lease(1);
    one.release(foreign);
}

#[test]
fn a_policy_chooses_but_the_books_decide() {
    #[derive(Debug)]
    struct Whatever(Placement);
    impl Policy for Whatever {
        fn place(&mut self, _: Instant, _: &Arrival, _: &LocalView, _: PeerView<'_>) -> Placement {
            self.0
        }
    }
    let reject = Placement::Reject(OverloadReason::QueueFull);
    for (placement, memory, answer) in [
        (Placement::Local, 1, "runs"),
        (Placement::Local, 2, "exceeds_node"),
        (reject, 1, "queue_full"),
    ] {
        let mut node = Node::new(1, 0);
        node.scheduler = Scheduler::with_policy(
            Config::new(capacity(1)),
            Box::new(Whatever(placement)),
            node.start,
        );
        assert_eq!(node.arrive("a", memory, LOW, None), answer);
    }
}

#[test]
fn patience_leaves_time_for_a_claim() {
    let config = Config::new(capacity(1));
    assert!(PATIENCE_DEFAULT * 4 <= config.wait_max);
}
