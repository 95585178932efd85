//! A naive model of pooled sandboxes and of the calls in them. Like the one in `tests/scheduler/model.rs` it does not
//! repeat the scheduler's choices but says what no choice may break. It lives here, since it must see where calls were
//! granted a place that nobody has come for yet.

mod laws;

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use serverledge_core::{CpuMilli, Digest, MemoryMib};

use super::epoch;
use crate::PeerView;
use crate::arrival::{Amounts, Arrival, Demand, PoolKey, Pooled, QosClass};
use crate::config::{Capacity, Config};
use crate::pool::SandboxId;
use crate::scheduler::{
    Admission, Decided, Effects, Lease, SandboxCondition, SandboxUse, Scheduler, Ticket, TicketId,
    TicketOutcome, Verdict,
};
use crate::snapshot::{Counters, PooledCounts, SchedulerSnapshot};

/// Memory, CPU and concurrency of each key.
pub(super) const KEYS: [(u64, u64, u16); 4] = [(2, 1, 1), (3, 1, 2), (1, 0, 3), (4, 2, 1)];

/// One step of a random history. Indices choose among what there is, modulo its number.
#[derive(Debug, Clone)]
pub(super) enum Op {
    Pass {
        ms: u64,
    },
    Admit {
        key: usize,
        class: i64,
        deadline_ms: Option<u64>,
    },
    AdmitOnce {
        demand: Demand,
        class: i64,
        deadline_ms: Option<u64>,
    },
    Release(usize, SandboxCondition),
    Started(usize),
    Failed(usize),
    Gone(usize),
    Resume(usize),
    Cancel(usize),
    Condemn(usize),
    Retire(usize),
    Prewarm {
        key: usize,
        count: usize,
    },
    Expire,
    Resize(Capacity),
    Drain,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Starting,
    Up,
    Stopping,
}

#[derive(Debug, Clone, Copy)]
struct Sandbox {
    pooled: Pooled,
    demand: Demand,
    state: State,
    leases: u16,
    /// Condemned, retired or tainted.
    barred: bool,
    idle_since: Instant,
    idle_turn: u64,
}

#[derive(Debug, Clone, Copy)]
struct Call {
    arrival: Arrival,
    since: Instant,
    /// The place in which it was granted to run; `None` while it waits.
    granted: Option<SandboxUse>,
    rejected: bool,
}

pub(super) struct Model {
    scheduler: Scheduler,
    config: Config,
    capacity: Capacity,
    now: Instant,
    draining: bool,
    leases: Vec<Lease>,
    tickets: Vec<Ticket>,
    /// Every call that has a ticket.
    calls: BTreeMap<TicketId, Call>,
    sandboxes: BTreeMap<SandboxId, Sandbox>,
    /// All ids ever stopped.
    stopped: BTreeSet<SandboxId>,
    ids: Option<SandboxId>,
    idle_turns: u64,
    /// A lease that was granted and handed out by one operation.
    taken: Option<(TicketId, SandboxUse)>,
    warm: u64,
    cold: u64,
    effects: Effects,
    /// The amounts that the current operation's starts took, and those that they keep taken for longer.
    took: Amounts,
    prolonged: Amounts,
    evicted: Vec<Sandbox>,
    expired: u64,
    overdrawn: bool,
}

impl Model {
    pub(super) fn new(config: Config) -> Self {
        let now = epoch();
        Self {
            scheduler: Scheduler::new(config, now),
            config,
            capacity: config.capacity,
            now,
            draining: false,
            leases: Vec::new(),
            tickets: Vec::new(),
            calls: BTreeMap::new(),
            sandboxes: BTreeMap::new(),
            stopped: BTreeSet::new(),
            ids: None,
            idle_turns: 0,
            taken: None,
            warm: 0,
            cold: 0,
            effects: Effects::default(),
            took: Amounts::default(),
            prolonged: Amounts::default(),
            evicted: Vec::new(),
            expired: 0,
            overdrawn: false,
        }
    }

    /// Does one step and checks the laws.
    pub(super) fn step(&mut self, op: &Op) {
        let before = self.scheduler.snapshot();
        let claimant = self.claimant(&before);
        (self.took, self.prolonged, self.expired) = Default::default();
        self.evicted.clear();
        if let Op::Resize(capacity) = op {
            self.capacity = *capacity;
        }
        self.overdrawn = !covers(self.capacity.amounts(), self.staying());
        self.perform(op);
        if !matches!(op, Op::Pass { .. }) {
            self.learn();
            self.check(&before, claimant);
        }
    }

    fn perform(&mut self, op: &Op) {
        match *op {
            Op::Pass { ms } => self.now += Duration::from_millis(ms),
            Op::Admit {
                key,
                class,
                deadline_ms,
            } => {
                let (demand, pooled) = pooled(key);
                self.admit(demand, Some(pooled), class, deadline_ms);
            }
            Op::AdmitOnce {
                demand,
                class,
                deadline_ms,
            } => self.admit(demand, None, class, deadline_ms),
            Op::Release(index, end) => self.release(index, end),
            Op::Started(index) => self.started(index),
            Op::Failed(index) => self.failed(index),
            Op::Gone(index) => self.gone(index),
            Op::Resume(index) => self.resume(index),
            Op::Cancel(index) => self.cancel(index),
            Op::Condemn(index) => self.condemn(index),
            Op::Retire(key) => self.retire(key),
            Op::Prewarm { key, count } => self.prewarm(key, count),
            Op::Expire => self.expire(),
            Op::Resize(capacity) => {
                self.scheduler
                    .set_capacity(self.now, capacity, &mut self.effects)
            }
            Op::Drain => {
                self.draining = true;
                self.scheduler.drain(self.now, &mut self.effects);
            }
        }
    }

    /// Everybody goes; then the node must be entirely free.
    pub(super) fn finish(mut self) {
        while let Some(index) = self.tickets.len().checked_sub(1) {
            self.step(&if index % 2 == 0 {
                Op::Cancel(index)
            } else {
                Op::Resume(index)
            });
            self.step(&Op::Pass { ms: 3_000 });
        }
        while !self.leases.is_empty() {
            self.step(&Op::Release(0, SandboxCondition::Clean));
        }
        while self.ids_in(State::Starting).next().is_some() {
            self.step(&Op::Started(0));
        }
        self.step(&Op::Pass { ms: 5_000 });
        self.step(&Op::Expire);
        while self.ids_in(State::Stopping).next().is_some() {
            self.step(&Op::Gone(0));
        }
        let end = self.scheduler.snapshot();
        assert_eq!(
            (end.free, end.running, end.unclaimed, end.waiting.total()),
            (self.capacity, 0, 0, 0)
        );
        assert_eq!(
            (end.held_back, end.pooled),
            (Demand::NONE, PooledCounts::default())
        );
        assert_eq!(self.scheduler.next_expiry(), None);
    }

    // === The operations ===

    fn admit(
        &mut self,
        demand: Demand,
        pool: Option<Pooled>,
        class: i64,
        deadline_ms: Option<u64>,
    ) {
        let deadline = deadline_ms.map(|ms| self.now + Duration::from_millis(ms));
        let arrival = Arrival {
            demand,
            class: QosClass(class),
            deadline,
            pool,
            ..Arrival::default()
        };
        let admission = self
            .scheduler
            .admit(self.now, arrival, PeerView::NONE, &mut self.effects);
        self.learn_grants();
        match admission {
            Admission::Run(lease) => {
                assert!(!self.draining);
                self.occupy(lease.place(), &arrival);
                self.hold(lease);
            }
            Admission::Wait(ticket) => {
                let call = Call {
                    arrival,
                    since: self.now,
                    granted: None,
                    rejected: false,
                };
                self.calls.insert(ticket.id(), call);
                self.tickets.push(ticket);
            }
            Admission::Reject(_) => {}
            Admission::Offload(peer) => panic!("sent to {peer:?}"),
        }
    }

    fn release(&mut self, index: usize, end: SandboxCondition) {
        if self.leases.is_empty() {
            return self.expire();
        }
        let lease = self.leases.swap_remove(index % self.leases.len());
        self.vacate(lease.place(), end);
        self.scheduler
            .release(self.now, lease, end, &mut self.effects);
    }

    fn resume(&mut self, index: usize) {
        if self.tickets.is_empty() {
            return self.expire();
        }
        let ticket = self.tickets.swap_remove(index % self.tickets.len());
        let id = ticket.id();
        let admission = self.scheduler.resume(self.now, ticket, &mut self.effects);
        self.taken = if let Admission::Run(lease) = &admission {
            Some((id, lease.place()))
        } else {
            None
        };
        self.learn_grants();
        let call = self.calls[&id];
        match admission {
            Admission::Wait(ticket) => {
                assert!(call.granted.is_none() && !call.rejected);
                self.tickets.push(ticket);
            }
            Admission::Run(lease) => {
                assert_eq!(call.granted, Some(lease.place()));
                self.hold(lease);
            }
            Admission::Reject(_) => assert!(call.rejected),
            Admission::Offload(peer) => panic!("sent to {peer:?}"),
        }
        if self.tickets.last().is_none_or(|last| last.id() != id) {
            self.calls.remove(&id);
        }
    }

    fn cancel(&mut self, index: usize) {
        if self.tickets.is_empty() {
            return self.expire();
        }
        let ticket = self.tickets.swap_remove(index % self.tickets.len());
        if let Some(place) = self
            .calls
            .remove(&ticket.id())
            .and_then(|call| call.granted)
        {
            self.vacate(
                place,
                if matches!(place, SandboxUse::Start(_)) {
                    SandboxCondition::NeverStarted
                } else {
                    SandboxCondition::Clean
                },
            );
        }
        self.scheduler.cancel(self.now, ticket, &mut self.effects);
    }

    /// Of any sandbox, most often of one that is starting.
    fn started(&mut self, index: usize) {
        let starting: Vec<_> = self.ids_in(State::Starting).collect();
        let id = pick(&starting, index).or_else(|| self.any_id(index));
        let Some(id) = id else { return self.expire() };
        if let Some(sandbox) = self
            .sandboxes
            .get_mut(&id)
            .filter(|sandbox| sandbox.state == State::Starting)
        {
            sandbox.state = State::Up;
            self.rest(id);
        }
        self.scheduler.started(self.now, id, &mut self.effects);
    }

    fn failed(&mut self, index: usize) {
        let Some(id) = self.any_id(index) else {
            return self.expire();
        };
        if self
            .sandboxes
            .get(&id)
            .is_some_and(|sandbox| sandbox.state == State::Starting)
        {
            self.sandboxes.remove(&id);
        }
        self.scheduler.failed(self.now, id, &mut self.effects);
    }

    fn gone(&mut self, index: usize) {
        let stopping: Vec<_> = self.ids_in(State::Stopping).collect();
        let Some(id) = pick(&stopping, index).or_else(|| self.any_id(index)) else {
            return self.expire();
        };
        if stopping.contains(&id) {
            self.sandboxes.remove(&id);
        }
        self.scheduler.gone(self.now, id, &mut self.effects);
    }

    fn condemn(&mut self, index: usize) {
        let Some(id) = self.any_id(index) else {
            return self.expire();
        };
        self.sandboxes.get_mut(&id).expect("it is there").barred = true;
        self.scheduler.condemn(self.now, id, &mut self.effects);
    }

    fn retire(&mut self, key: usize) {
        let key = pooled(key).1.key;
        self.sandboxes
            .values_mut()
            .for_each(|sandbox| sandbox.barred |= sandbox.pooled.key == key);
        self.scheduler.retire(self.now, key, &mut self.effects);
    }

    fn prewarm(&mut self, key: usize, count: usize) {
        let (demand, pooled) = pooled(key);
        let ids = self
            .scheduler
            .prewarm(self.now, demand, pooled, count, &mut self.effects);
        self.learn_grants();
        assert!(ids.len() <= count);
        assert!(ids.is_empty() || !self.draining);
        for id in ids {
            self.create(id, pooled, demand, 0);
        }
    }

    fn expire(&mut self) {
        self.scheduler.expire(self.now, &mut self.effects);
    }

    // === What becomes of sandboxes ===

    fn create(&mut self, id: SandboxId, pooled: Pooled, demand: Demand, leases: u16) {
        assert!(
            self.ids.replace(id).is_none_or(|last| last < id),
            "ids count up"
        );
        let state = State::Starting;
        let now = self.now;
        let sandbox = Sandbox {
            pooled,
            demand,
            state,
            leases,
            barred: false,
            idle_since: now,
            idle_turn: 0,
        };
        self.took = plus(self.took, demand.kept().amounts());
        self.sandboxes.insert(id, sandbox);
    }

    fn occupy(&mut self, place: SandboxUse, arrival: &Arrival) {
        match (place, arrival.pool) {
            (SandboxUse::Once, None) => self.took = plus(self.took, arrival.demand.amounts()),
            (SandboxUse::Start(id), Some(pooled)) => {
                self.create(id, pooled, arrival.demand, 1);
                self.took = plus(self.took, arrival.demand.running().amounts());
            }
            (SandboxUse::Reuse(id), Some(pooled)) => self.reuse(id, pooled),
            other => panic!("{other:?}"),
        }
    }

    fn reuse(&mut self, id: SandboxId, pooled: Pooled) {
        let chosen = self.sandboxes[&id];
        assert_eq!(
            (chosen.pooled, chosen.state, chosen.barred),
            (pooled, State::Up, false),
            "{id} cannot be used"
        );
        assert!(chosen.leases < pooled.concurrency, "{id} has no place");
        for other in self
            .sandboxes
            .values()
            .filter(|other| other.pooled == pooled && is_warm(other))
        {
            if other.leases == 0 && chosen.leases == 0 {
                assert!(
                    other.idle_turn <= chosen.idle_turn,
                    "the last idle one is used first"
                );
            } else {
                assert!(other.leases <= chosen.leases, "the fullest is used first");
            }
        }
        let kept = chosen.demand.kept().amounts();
        let running = chosen.demand.running().amounts();
        self.prolonged = plus(self.prolonged, kept);
        if chosen.leases == 0 {
            self.took = plus(self.took, running);
        } else {
            self.prolonged = plus(self.prolonged, running);
        }
        self.sandboxes.get_mut(&id).expect("it was there").leases += 1;
    }

    fn vacate(&mut self, place: SandboxUse, end: SandboxCondition) {
        let (SandboxUse::Start(id) | SandboxUse::Reuse(id)) = place else {
            return;
        };
        // One that could not be started is gone before its lease.
        let Some(sandbox) = self.sandboxes.get_mut(&id) else {
            return;
        };
        sandbox.leases -= 1;
        if sandbox.state == State::Starting && end == SandboxCondition::StillStarting {
            return;
        }
        if sandbox.state == State::Starting && end == SandboxCondition::NeverStarted {
            self.sandboxes.remove(&id);
            return;
        }
        sandbox.state = State::Up;
        sandbox.barred |= matches!(
            end,
            SandboxCondition::Tainted | SandboxCondition::NeverStarted
        );
        self.rest(id);
    }

    fn rest(&mut self, id: SandboxId) {
        let sandbox = self.sandboxes.get_mut(&id).expect("it is up");
        self.idle_turns += 1;
        (sandbox.idle_since, sandbox.idle_turn) = (self.now, self.idle_turns);
    }

    fn hold(&mut self, lease: Lease) {
        match lease.place() {
            SandboxUse::Once => {}
            SandboxUse::Start(_) => self.cold += 1,
            SandboxUse::Reuse(_) => self.warm += 1,
        }
        self.leases.push(lease);
    }

    // === Effects ===

    fn learn(&mut self) {
        self.learn_grants();
        for id in std::mem::take(&mut self.effects.stop) {
            self.learn_stop(id);
        }
    }

    fn learn_grants(&mut self) {
        for Decided { ticket, verdict } in std::mem::take(&mut self.effects.decided) {
            if verdict == Verdict::Moved {
                self.move_lease(ticket);
                continue;
            }
            let call = self.calls[&ticket];
            assert!(
                call.granted.is_none() && !call.rejected,
                "one outcome for each call"
            );
            let granted = (verdict == Verdict::Granted).then(|| self.granted_place(ticket));
            if let Some(place) = granted {
                self.check_order(ticket, &call);
                self.occupy(place, &call.arrival);
            }
            self.calls.insert(
                ticket,
                Call {
                    granted,
                    rejected: granted.is_none(),
                    ..call
                },
            );
        }
    }

    /// A lease is for another sandbox, which is up; the one that its holder starts is the pool's.
    fn move_lease(&mut self, ticket: TicketId) {
        if let Some(call) = self.calls.get(&ticket).copied() {
            return self.move_grant(ticket, call);
        }
        let lease = self
            .leases
            .iter_mut()
            .find(|lease| lease.ticket() == ticket)
            .expect("only running calls move");
        let SandboxUse::Start(old) = lease.place() else {
            panic!("{ticket:?} starts none")
        };
        assert!(
            self.scheduler.moved(lease) && !self.scheduler.moved(lease),
            "it is told once"
        );
        let SandboxUse::Reuse(new) = lease.place() else {
            panic!("{ticket:?} has none")
        };
        let starting = self.sandboxes.get_mut(&old).expect("it is starting");
        assert_eq!((starting.state, starting.leases), (State::Starting, 1));
        starting.leases = 0;
        let pooled = starting.pooled;
        let took = self.took;
        self.reuse(new, pooled);
        // It has the CPU already.
        self.took = took;
    }

    /// The same for one that nobody has come for: the sandbox that it would have started is none.
    fn move_grant(&mut self, ticket: TicketId, call: Call) {
        let Some(SandboxUse::Start(old)) = call.granted else {
            panic!("{ticket:?} starts none")
        };
        let new = self.granted_place(ticket);
        let took = self.took;
        self.sandboxes.remove(&old).expect("it was starting");
        self.occupy(new, &call.arrival);
        self.took = took;
        self.calls.insert(
            ticket,
            Call {
                granted: Some(new),
                ..call
            },
        );
    }

    /// Among the calls that want the same, who starts before an older one goes before it in the order of service.
    fn check_order(&self, ticket: TicketId, call: &Call) {
        assert!(
            call.arrival
                .deadline
                .is_none_or(|deadline| deadline > self.now),
            "not after the deadline"
        );
        for (_, passed) in self.waiting().filter(|(other, _)| *other < ticket) {
            if passed.arrival.want() == call.arrival.want() {
                assert!(
                    place(ticket, call) < place(ticket, passed),
                    "{ticket:?} passed {passed:?}"
                );
            }
        }
    }

    fn granted_place(&self, ticket: TicketId) -> SandboxUse {
        match self.scheduler.outcomes.get(&ticket) {
            Some(TicketOutcome::Granted(lease)) => lease.place(),
            _ => match self.taken {
                Some((taken, place)) if taken == ticket => place,
                _ => panic!("{ticket:?} has no lease"),
            },
        }
    }

    fn learn_stop(&mut self, id: SandboxId) {
        assert!(self.stopped.insert(id), "{id} is stopped once");
        let sandbox = self
            .sandboxes
            .get_mut(&id)
            .expect("what is stopped was there");
        assert_eq!(
            (sandbox.state, sandbox.leases),
            (State::Up, 0),
            "{id} is still of use"
        );
        sandbox.state = State::Stopping;
        if !sandbox.barred && !self.draining {
            if sandbox.idle_since + self.config.idle_max <= self.now {
                self.expired += 1;
            } else {
                self.evicted.push(*sandbox);
            }
        }
    }
}

fn is_warm(sandbox: &Sandbox) -> bool {
    sandbox.state == State::Up && !sandbox.barred && sandbox.leases < sandbox.pooled.concurrency
}

fn taken(sandbox: &Sandbox) -> Demand {
    if sandbox.leases > 0 {
        sandbox.demand
    } else {
        sandbox.demand.kept()
    }
}

/// The documented order of service; of the tickets only those of calls count that are alike otherwise.
fn place(
    ticket: TicketId,
    call: &Call,
) -> (
    std::cmp::Reverse<crate::Rank>,
    bool,
    Option<Instant>,
    TicketId,
) {
    let Arrival {
        class, deadline, ..
    } = call.arrival;
    (
        std::cmp::Reverse(class.rank()),
        deadline.is_none(),
        deadline,
        ticket,
    )
}

fn pick(ids: &[SandboxId], index: usize) -> Option<SandboxId> {
    index.checked_rem(ids.len()).map(|at| ids[at])
}

pub(super) fn pooled(key: usize) -> (Demand, Pooled) {
    let (memory, cpu, concurrency) = KEYS[key];
    let name = u8::try_from(key).expect("few keys");
    let demand = Demand::pooled(MemoryMib::new(memory), CpuMilli::new(cpu));
    (
        demand,
        Pooled {
            key: PoolKey(Digest::new([name; 32])),
            concurrency,
        },
    )
}

pub(super) fn demand(memory: u64, cpu: u64, slots: u32) -> Demand {
    Demand {
        memory: MemoryMib::new(memory),
        cpu: CpuMilli::new(cpu),
        slots,
        containers: 0,
    }
}

fn fits(free: Amounts, demand: Demand) -> bool {
    covers(free, demand.amounts())
}

fn covers(amounts: Amounts, needed: Amounts) -> bool {
    amounts
        .iter()
        .zip(needed)
        .all(|(amount, needed)| *amount >= needed)
}

fn plus(amounts: Amounts, more: Amounts) -> Amounts {
    std::array::from_fn(|at| amounts[at] + more[at])
}

fn minus(amounts: Amounts, less: Amounts) -> Amounts {
    std::array::from_fn(|at| amounts[at].saturating_sub(less[at]))
}
