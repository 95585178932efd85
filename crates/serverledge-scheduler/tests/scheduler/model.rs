//! A naive model of the scheduler: it knows who holds what, and checks after every operation that the scheduler's
//! answers keep the laws. It does not repeat the scheduler's choices; it says what no choice may break.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use serverledge_core::{CpuMilli, MemoryMib, OverloadReason};
use serverledge_scheduler::{
    Admission, Arrival, Capacity, Config, Decided, Demand, Effects, Lease, PeerView, QosClass,
    RETRY_AFTER_MAX, RETRY_AFTER_MIN, Rank, Rejection, SandboxCondition, Scheduler,
    SchedulerSnapshot, Ticket, TicketId, Verdict,
};

use crate::epoch;

/// One step of a random history. Indices choose among what there is, modulo its number.
#[derive(Debug, Clone)]
pub(crate) enum Op {
    Pass {
        ms: u64,
    },
    Admit {
        demand: Demand,
        class: i64,
        deadline_ms: Option<u64>,
    },
    Release(usize),
    Resume(usize),
    Cancel(usize),
    Expire,
    Resize(Capacity),
    Drain,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Waiting,
    Granted,
    Rejected(OverloadReason),
    Cancelled,
}

#[derive(Debug, Clone, Copy)]
struct Call {
    arrival: Arrival,
    since: Instant,
    state: State,
}

pub(crate) struct Model {
    pub(crate) scheduler: Scheduler,
    config: Config,
    capacity: Capacity,
    now: Instant,
    draining: bool,
    arrivals: u64,
    leases: Vec<Lease>,
    tickets: Vec<Ticket>,
    /// Every call that ever waited.
    calls: BTreeMap<TicketId, Call>,
    effects: Effects,
    /// Demands started by the current operation.
    started: Vec<Demand>,
}

impl Model {
    pub(crate) fn new(config: Config) -> Self {
        let now = epoch();
        Self {
            scheduler: Scheduler::new(config, now),
            config,
            capacity: config.capacity,
            now,
            draining: false,
            arrivals: 0,
            leases: Vec::new(),
            tickets: Vec::new(),
            calls: BTreeMap::new(),
            effects: Effects::default(),
            started: Vec::new(),
        }
    }

    /// Does one step and checks the laws.
    pub(crate) fn step(&mut self, op: &Op) {
        let before = self.scheduler.snapshot();
        let claimant = self.claimant(&before);
        self.started.clear();
        match *op {
            Op::Pass { ms } => self.now += Duration::from_millis(ms),
            Op::Admit {
                demand,
                class,
                deadline_ms,
            } => self.admit(demand, class, deadline_ms),
            Op::Release(index) => self.release(index),
            Op::Resume(index) => self.resume(index),
            Op::Cancel(index) => self.cancel(index),
            Op::Expire => self.expire(),
            Op::Resize(capacity) => self.resize(capacity),
            Op::Drain => self.drain(),
        }
        if !matches!(op, Op::Pass { .. }) {
            self.check(&before, claimant);
        }
    }

    /// Everybody goes; then the node must be entirely free.
    pub(crate) fn finish(mut self) {
        while let Some(index) = self.tickets.len().checked_sub(1) {
            self.step(&if index % 2 == 0 {
                Op::Cancel(index)
            } else {
                Op::Resume(index)
            });
            self.step(&Op::Pass { ms: 3_000 });
        }
        while !self.leases.is_empty() {
            self.step(&Op::Release(0));
        }
        let end = self.scheduler.snapshot();
        assert_eq!(
            (end.free, end.running, end.unclaimed, end.waiting.total()),
            (self.capacity, 0, 0, 0)
        );
        assert_eq!(end.held_back, Demand::NONE);
        assert_eq!(self.scheduler.next_expiry(), None);
    }

    // === The operations ===

    fn admit(&mut self, demand: Demand, class: i64, deadline_ms: Option<u64>) {
        self.arrivals += 1;
        let deadline = deadline_ms.map(|ms| self.now + Duration::from_millis(ms));
        let arrival = Arrival {
            demand,
            class: QosClass(class),
            deadline,
            ..Arrival::default()
        };
        let admission = self
            .scheduler
            .admit(self.now, arrival, PeerView::NONE, &mut self.effects);
        self.learn(Some(arrival));
        match admission {
            Admission::Run(lease) => {
                assert_eq!(lease.demand(), demand);
                self.check_runnable(&arrival);
                self.started.push(demand);
                self.leases.push(lease);
            }
            Admission::Wait(ticket) => {
                self.check_runnable(&arrival);
                self.calls.insert(
                    ticket.id(),
                    Call {
                        arrival,
                        since: self.now,
                        state: State::Waiting,
                    },
                );
                assert_eq!(ticket.expires(), self.expiry(&self.calls[&ticket.id()]).0);
                self.tickets.push(ticket);
            }
            Admission::Reject(rejection) => self.check_rejected_arrival(&arrival, rejection),
            Admission::Offload(peer) => panic!("sent to {peer:?}, of which nobody told"),
        }
    }

    fn release(&mut self, index: usize) {
        if self.leases.is_empty() {
            return self.expire();
        }
        let lease = self.leases.swap_remove(index % self.leases.len());
        self.scheduler
            .release(self.now, lease, SandboxCondition::Clean, &mut self.effects);
        self.learn(None);
    }

    fn resume(&mut self, index: usize) {
        if self.tickets.is_empty() {
            return;
        }
        let ticket = self.tickets.swap_remove(index % self.tickets.len());
        let id = ticket.id();
        let admission = self.scheduler.resume(self.now, ticket, &mut self.effects);
        self.learn(None);
        let call = self.calls[&id];
        match (admission, call.state) {
            (Admission::Wait(ticket), State::Waiting) => self.tickets.push(ticket),
            (Admission::Run(lease), State::Granted) => {
                assert_eq!(lease.demand(), call.arrival.demand);
                self.calls.remove(&id);
                self.leases.push(lease);
            }
            (Admission::Reject(rejection), State::Rejected(reason)) => {
                assert_eq!(rejection.reason, reason);
                check_retry(rejection);
            }
            (admission, state) => panic!("told {admission:?} but was {state:?}"),
        }
    }

    fn cancel(&mut self, index: usize) {
        if self.tickets.is_empty() {
            return;
        }
        let ticket = self.tickets.swap_remove(index % self.tickets.len());
        if let Some(call) = self.calls.get_mut(&ticket.id())
            && !matches!(call.state, State::Rejected(_))
        {
            call.state = State::Cancelled;
        }
        self.scheduler.cancel(self.now, ticket, &mut self.effects);
        self.learn(None);
    }

    fn expire(&mut self) {
        self.scheduler.expire(self.now, &mut self.effects);
        self.learn(None);
    }

    fn resize(&mut self, capacity: Capacity) {
        self.capacity = capacity;
        self.scheduler
            .set_capacity(self.now, capacity, &mut self.effects);
        self.learn(None);
    }

    fn drain(&mut self) {
        self.draining = true;
        self.scheduler.drain(self.now, &mut self.effects);
        self.learn(None);
    }

    // === The laws, decision by decision ===

    /// Takes the decisions in, in their order. `newcomer` is the call that arrived with them, if any.
    fn learn(&mut self, newcomer: Option<Arrival>) {
        for Decided { ticket, verdict } in std::mem::take(&mut self.effects.decided) {
            let call = self.calls[&ticket];
            assert_eq!(call.state, State::Waiting, "one outcome for each call");
            let state = match verdict {
                Verdict::Granted => {
                    self.check_order(ticket, &call);
                    self.started.push(call.arrival.demand);
                    State::Granted
                }
                Verdict::Rejected(reason) => {
                    self.check_rejected_waiter(&call, reason, newcomer);
                    State::Rejected(reason)
                }
                Verdict::Moved => panic!("no call of this model starts a pooled sandbox"),
            };
            self.calls.insert(ticket, Call { state, ..call });
        }
    }

    /// Checks that a call that starts before another which would have fitted as well is older, or ahead by class,
    /// deadline and arrival.
    fn check_order(&self, ticket: TicketId, call: &Call) {
        assert!(!self.draining, "a draining node grants nothing");
        assert!(
            call.arrival
                .deadline
                .is_none_or(|deadline| deadline > self.now),
            "not after the deadline"
        );
        for (other, passed) in self.waiting() {
            if other < ticket && within(passed.arrival.demand, call.arrival.demand) {
                assert!(
                    place(ticket, call) < place(other, passed),
                    "{ticket:?} passed {other:?}"
                );
            }
        }
    }

    fn check_rejected_waiter(
        &self,
        call: &Call,
        reason: OverloadReason,
        newcomer: Option<Arrival>,
    ) {
        let (expires, expires_as) = self.expiry(call);
        match reason {
            OverloadReason::Deadline | OverloadReason::WaitedTooLong => {
                assert!(self.now >= expires, "never early");
                assert_eq!(reason, expires_as);
            }
            OverloadReason::Draining => assert!(self.draining),
            OverloadReason::NeverFits => {
                assert!(!within_capacity(call.arrival.demand, self.capacity))
            }
            OverloadReason::QueueFull => {
                let newcomer = newcomer.expect("only an arrival displaces");
                assert_eq!(call.arrival.class.rank(), Rank::Low);
                assert!(newcomer.class.rank() > Rank::Low);
                assert!(self.now < call.since + self.config.patience);
                assert_eq!(
                    self.waiting().count(),
                    self.config.queue_capacity,
                    "only from a full queue"
                );
            }
            OverloadReason::NoPeer | OverloadReason::CallWouldDeadlock => {
                panic!("it waited here, and nobody calls")
            }
        }
    }

    fn check_rejected_arrival(&self, arrival: &Arrival, rejection: Rejection) {
        check_retry(rejection);
        match rejection.reason {
            OverloadReason::Draining => assert!(self.draining),
            OverloadReason::Deadline => assert!(
                arrival
                    .deadline
                    .is_some_and(|deadline| deadline <= self.now)
            ),
            OverloadReason::NeverFits => assert!(!within_capacity(arrival.demand, self.capacity)),
            OverloadReason::QueueFull => {
                assert_eq!(self.waiting().count(), self.config.queue_capacity)
            }
            OverloadReason::WaitedTooLong => panic!("it has not waited"),
            OverloadReason::NoPeer | OverloadReason::CallWouldDeadlock => {
                panic!("it runs here, and nobody calls")
            }
        }
    }

    fn check_runnable(&self, arrival: &Arrival) {
        assert!(!self.draining);
        assert!(arrival.deadline.is_none_or(|deadline| deadline > self.now));
        assert!(within_capacity(arrival.demand, self.capacity));
    }

    // === The laws after each operation ===

    fn check(&self, before: &SchedulerSnapshot, claimant: Option<TicketId>) {
        let after = self.scheduler.snapshot();
        self.check_books(&after);
        self.check_outcomes(&after);
        self.check_expiries(&after);
        self.check_work(&after);
        self.check_claim(before, &after, claimant);
    }

    /// Checks that the amounts taken are those of live leases, and that no start takes more than there is.
    fn check_books(&self, after: &SchedulerSnapshot) {
        let used = self.used();
        for (used, free, capacity) in [
            (used.0, after.free.memory.get(), self.capacity.memory.get()),
            (used.1, after.free.cpu.get(), self.capacity.cpu.get()),
            (used.2, after.free.slots.into(), self.capacity.slots.into()),
        ] {
            assert_eq!(free, capacity.saturating_sub(used));
        }
        for demand in &self.started {
            assert!(
                self.room(*demand, Demand::NONE, Demand::NONE),
                "{demand:?} was started beyond the node"
            );
        }
        let granted = self
            .calls
            .values()
            .filter(|call| call.state == State::Granted)
            .count();
        assert_eq!(after.unclaimed, granted);
        assert_eq!(after.running as usize, self.leases.len() + granted);
        assert_eq!(after.waiting.total(), self.waiting().count());
        assert!(after.waiting.total() <= self.config.queue_capacity);
    }

    fn check_outcomes(&self, after: &SchedulerSnapshot) {
        let counters = after.counters;
        let ended = counters.started_at_once + counters.started_after_wait + counters.cancelled;
        let pending = after.waiting.total() + after.unclaimed;
        assert_eq!(
            self.arrivals,
            ended + counters.rejected.total() + pending as u64
        );
        let out = counters.started_at_once + counters.started_after_wait - counters.released;
        assert_eq!(out, self.leases.len() as u64);
    }

    fn check_expiries(&self, after: &SchedulerSnapshot) {
        let next = self.waiting().map(|(_, call)| self.expiry(call).0).min();
        assert_eq!(self.scheduler.next_expiry(), next);
        assert!(
            next.is_none_or(|at| at > self.now),
            "nobody waits beyond the end"
        );
        assert!(!after.draining || after.waiting.total() == 0);
    }

    /// Nobody waits who could run, unless a claim needs the room; the claim itself waits only for want of room.
    fn check_work(&self, after: &SchedulerSnapshot) {
        let claimant = self.claimant(after);
        for (ticket, call) in self.waiting() {
            let held = if claimant == Some(ticket) {
                Demand::NONE
            } else {
                after.held_back
            };
            assert!(
                !self.room(Demand::NONE, call.arrival.demand, held),
                "{ticket:?} could run"
            );
        }
    }

    /// A claim is the longest waiting call's, after its patience; whatever starts beside it leaves what it needs.
    fn check_claim(
        &self,
        before: &SchedulerSnapshot,
        after: &SchedulerSnapshot,
        claimant: Option<TicketId>,
    ) {
        if after.held_back == Demand::NONE {
            return;
        }
        let (oldest, call) = self.waiting().next().expect("a claim is somebody's");
        assert_eq!(call.arrival.demand, after.held_back);
        assert!(self.now >= call.since + self.config.patience);
        if before.held_back == after.held_back && claimant == Some(oldest) {
            for demand in &self.started {
                assert!(
                    self.room(*demand, Demand::NONE, after.held_back),
                    "{demand:?} delays the claim"
                );
            }
        }
    }

    // === What the model knows ===

    /// Whether everything in use, `extra` and `held` fit together, in those resources that `taken` or `extra` need.
    fn room(&self, taken: Demand, extra: Demand, held: Demand) -> bool {
        let used = self.used();
        let capacity = self.capacity;
        let one = |taken: u64, extra: u64, held: u64, used: u64, capacity: u64| {
            (taken == 0 && extra == 0) || used + extra + held <= capacity
        };
        one(
            taken.memory.get(),
            extra.memory.get(),
            held.memory.get(),
            used.0,
            capacity.memory.get(),
        ) && one(
            taken.cpu.get(),
            extra.cpu.get(),
            held.cpu.get(),
            used.1,
            capacity.cpu.get(),
        ) && one(
            taken.slots.into(),
            extra.slots.into(),
            held.slots.into(),
            used.2,
            capacity.slots.into(),
        )
    }

    fn used(&self) -> (u64, u64, u64) {
        let granted = self
            .calls
            .values()
            .filter(|call| call.state == State::Granted)
            .map(|call| call.arrival.demand);
        self.leases.iter().map(Lease::demand).chain(granted).fold(
            (0, 0, 0),
            |(memory, cpu, slots), demand| {
                (
                    memory + demand.memory.get(),
                    cpu + demand.cpu.get(),
                    slots + u64::from(demand.slots),
                )
            },
        )
    }

    fn waiting(&self) -> impl Iterator<Item = (TicketId, &Call)> {
        self.calls
            .iter()
            .filter(|(_, call)| call.state == State::Waiting)
            .map(|(ticket, call)| (*ticket, call))
    }

    fn claimant(&self, snapshot: &SchedulerSnapshot) -> Option<TicketId> {
        let oldest = self.waiting().next().map(|(ticket, _)| ticket);
        oldest.filter(|_| snapshot.held_back != Demand::NONE)
    }

    fn expiry(&self, call: &Call) -> (Instant, OverloadReason) {
        let longest = call.since + self.config.wait_max;
        match call.arrival.deadline {
            Some(deadline) if deadline <= longest => (deadline, OverloadReason::Deadline),
            _ => (longest, OverloadReason::WaitedTooLong),
        }
    }
}

/// The documented order of service.
fn place(ticket: TicketId, call: &Call) -> (Reverse<Rank>, bool, Option<Instant>, TicketId) {
    let Arrival {
        class, deadline, ..
    } = call.arrival;
    (Reverse(class.rank()), deadline.is_none(), deadline, ticket)
}

fn within(demand: Demand, other: Demand) -> bool {
    demand.memory <= other.memory && demand.cpu <= other.cpu && demand.slots <= other.slots
}

fn within_capacity(demand: Demand, capacity: Capacity) -> bool {
    within(
        demand,
        Demand {
            memory: capacity.memory,
            cpu: capacity.cpu,
            slots: capacity.slots,
            containers: 0,
        },
    )
}

fn check_retry(rejection: Rejection) {
    assert!((RETRY_AFTER_MIN..=RETRY_AFTER_MAX).contains(&rejection.retry_after));
}

pub(crate) fn demand(memory: u64, cpu: u64, slots: u32) -> Demand {
    Demand {
        memory: MemoryMib::new(memory),
        cpu: CpuMilli::new(cpu),
        slots,
        containers: 0,
    }
}

pub(crate) fn capacity(memory: u64, cpu: u64, slots: u32) -> Capacity {
    Capacity {
        memory: MemoryMib::new(memory),
        cpu: CpuMilli::new(cpu),
        slots,
        containers: 1_000,
    }
}
