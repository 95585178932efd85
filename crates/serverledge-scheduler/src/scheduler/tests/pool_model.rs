//! A naive model of pooled sandboxes and of the calls in them. Like the one in `tests/scheduler/model.rs` it does not
//! repeat the scheduler's choices but says what no choice may break. It lives here, since it must see where calls were
//! granted a place that nobody has come for yet.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use serverledge_core::{CpuMilli, Digest, MemoryMib};

use super::epoch;
use crate::PeerView;
use crate::arrival::{Amounts, Arrival, Demand, PoolKey, Pooled, QosClass};
use crate::config::{Capacity, Config};
use crate::pool::SandboxId;
use crate::scheduler::{
    Admission, Decided, Effects, End, Lease, Outcome, Place, Scheduler, Ticket, TicketId, Verdict,
};
use crate::snapshot::{Counters, PooledCounts, Snapshot};

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
    Release(usize, End),
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
    /// Where it was granted to run; `None` while it waits.
    granted: Option<Place>,
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
    taken: Option<(TicketId, Place)>,
    warm: u64,
    cold: u64,
    effects: Effects,
    /// What the current operation's starts took, and what they keep taken for longer.
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
            self.step(&Op::Release(0, End::Clean));
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
            class: QosClass::new(class),
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

    fn release(&mut self, index: usize, end: End) {
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
                if matches!(place, Place::Start(_)) {
                    End::NeverStarted
                } else {
                    End::Clean
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
            .is_some_and(|sandbox| sandbox.state == State::Starting && sandbox.leases == 0)
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
        let (state, now) = (State::Starting, self.now);
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

    fn occupy(&mut self, place: Place, arrival: &Arrival) {
        match (place, arrival.pool) {
            (Place::Once, None) => self.took = plus(self.took, arrival.demand.amounts()),
            (Place::Start(id), Some(pooled)) => {
                self.create(id, pooled, arrival.demand, 1);
                self.took = plus(self.took, arrival.demand.running().amounts());
            }
            (Place::Reuse(id), Some(pooled)) => self.reuse(id, pooled),
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
        let (kept, running) = (
            chosen.demand.kept().amounts(),
            chosen.demand.running().amounts(),
        );
        self.prolonged = plus(self.prolonged, kept);
        if chosen.leases == 0 {
            self.took = plus(self.took, running);
        } else {
            self.prolonged = plus(self.prolonged, running);
        }
        self.sandboxes.get_mut(&id).expect("it was there").leases += 1;
    }

    fn vacate(&mut self, place: Place, end: End) {
        let (Place::Start(id) | Place::Reuse(id)) = place else {
            return;
        };
        let sandbox = self.sandboxes.get_mut(&id).expect("it has a lease");
        sandbox.leases -= 1;
        if sandbox.state == State::Starting && end == End::NeverStarted {
            self.sandboxes.remove(&id);
            return;
        }
        sandbox.state = State::Up;
        sandbox.barred |= end != End::Clean;
        self.rest(id);
    }

    fn rest(&mut self, id: SandboxId) {
        let sandbox = self.sandboxes.get_mut(&id).expect("it is up");
        self.idle_turns += 1;
        (sandbox.idle_since, sandbox.idle_turn) = (self.now, self.idle_turns);
    }

    fn hold(&mut self, lease: Lease) {
        match lease.place() {
            Place::Once => {}
            Place::Start(_) => self.cold += 1,
            Place::Reuse(_) => self.warm += 1,
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

    fn granted_place(&self, ticket: TicketId) -> Place {
        match self.scheduler.outcomes.get(&ticket) {
            Some(Outcome::Granted(lease)) => lease.place(),
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

    // === The laws after each operation ===

    fn check(&self, before: &Snapshot, claimant: Option<TicketId>) {
        let after = self.scheduler.snapshot();
        self.check_books(&after);
        self.check_sandboxes(&after);
        self.check_counters(&before.counters, &after.counters);
        self.check_expiries();
        self.check_work(&after);
        self.check_evictions(self.claimant(&after));
        self.check_room_is_made(&after);
        self.check_claim(before, &after, claimant);
    }

    /// What is taken is the sum of what calls and sandboxes hold; and no start took more than there is.
    fn check_books(&self, after: &Snapshot) {
        let (used, capacity) = (self.used(), self.capacity.amounts());
        assert_eq!(after.free.amounts(), minus(capacity, used));
        for at in 0..used.len() {
            assert!(
                self.took[at] == 0 || used[at] <= capacity[at],
                "resource {at}: {used:?} of {capacity:?}"
            );
        }
        let granted = self
            .calls
            .values()
            .filter(|call| call.granted.is_some())
            .count();
        assert_eq!(
            (after.unclaimed, after.running as usize),
            (granted, granted + self.leases.len())
        );
        assert_eq!(after.waiting.total(), self.waiting().count());
        assert!(after.waiting.total() <= self.config.queue_capacity);
    }

    /// Each is in one state, and no sandbox without a use is left.
    fn check_sandboxes(&self, after: &Snapshot) {
        let mut counts = PooledCounts::default();
        let (mut idle_memory, mut idle) = (0, BTreeMap::new());
        for sandbox in self.sandboxes.values() {
            match (sandbox.state, sandbox.leases) {
                (State::Starting, _) => counts.starting += 1,
                (State::Stopping, _) => counts.stopping += 1,
                (State::Up, 1..) => counts.busy += 1,
                (State::Up, 0) => {
                    assert!(
                        !sandbox.barred && !self.draining,
                        "{sandbox:?} must be stopped"
                    );
                    counts.idle += 1;
                    idle_memory += sandbox.demand.memory.get();
                    *idle.entry(sandbox.pooled.key).or_insert(0) += 1;
                }
            }
        }
        assert_eq!(
            (after.pooled, after.idle_memory.get()),
            (counts, idle_memory)
        );
        assert_eq!(
            self.scheduler.idle_by_key(),
            idle.into_iter().collect::<Vec<_>>()
        );
    }

    fn check_counters(&self, before: &Counters, after: &Counters) {
        assert_eq!(
            (after.warm_reuses, after.cold_starts),
            (self.warm, self.cold)
        );
        // One that expires may have yielded at the same moment.
        assert_eq!(after.expiries - before.expiries, self.expired);
        assert_eq!(
            after.evictions - before.evictions,
            self.evicted.len() as u64
        );
    }

    fn check_expiries(&self) {
        let idle = self
            .idle()
            .map(|sandbox| sandbox.idle_since + self.config.idle_max)
            .min();
        assert_eq!(self.scheduler.next_idle_expiry(), idle);
        assert!(
            idle.is_none_or(|at| at > self.now),
            "none is kept beyond its time"
        );
        let longest = |call: &Call| call.since + self.config.wait_max;
        let waiting = self.waiting().map(|(_, call)| {
            call.arrival
                .deadline
                .unwrap_or(longest(call))
                .min(longest(call))
        });
        assert_eq!(self.scheduler.next_expiry(), waiting.chain(idle).min());
    }

    /// Nobody waits who could run, except beside a claim.
    fn check_work(&self, after: &Snapshot) {
        let claimant = self.claimant(after);
        for (ticket, call) in self.waiting() {
            if claimant.is_none_or(|claimant| claimant == ticket) {
                assert!(
                    !self.could_start(call, claimant.is_some()),
                    "{ticket:?} could run: {call:?}"
                );
            }
        }
    }

    fn could_start(&self, call: &Call, claims: bool) -> bool {
        let free = minus(self.capacity.amounts(), self.used());
        let Arrival { demand, pool, .. } = call.arrival;
        let Some(pooled) = pool else {
            return fits(free, demand);
        };
        let warm = || {
            self.sandboxes
                .values()
                .filter(|sandbox| sandbox.pooled == pooled && is_warm(sandbox))
        };
        let joins = warm().any(|sandbox| sandbox.leases > 0);
        let reuses = warm().next().is_some() && fits(free, demand.running());
        joins || reuses || (fits(free, demand) && (claims || !self.banks(pooled)))
    }

    /// Whether the calls of a key that wait have places in sandboxes that are starting.
    fn banks(&self, pooled: Pooled) -> bool {
        self.coming(pooled)
            >= self
                .waiting()
                .filter(|(_, call)| call.arrival.pool == Some(pooled))
                .count()
    }

    fn coming(&self, pooled: Pooled) -> usize {
        let starting = self.sandboxes.values().filter(|sandbox| {
            sandbox.pooled == pooled && sandbox.state == State::Starting && !sandbox.barred
        });
        starting
            .map(|sandbox| usize::from(pooled.concurrency - sandbox.leases))
            .sum()
    }

    /// Sandboxes yield only to calls that wait (or to a smaller node), and none without need.
    fn check_evictions(&self, claimant: Option<TicketId>) {
        if self.overdrawn || self.evicted.is_empty() {
            return;
        }
        let wanted = self.waiting().fold(Amounts::default(), |sum, (_, call)| {
            plus(sum, call.arrival.demand.amounts())
        });
        let left = minus(self.capacity.amounts(), self.staying());
        for evicted in &self.evicted {
            let without = minus(left, evicted.demand.kept().amounts());
            assert!(
                without[0] < wanted[0] || without[3] < wanted[3],
                "{evicted:?} was stopped for nobody"
            );
        }
        // A call that has only just come may have come too late.
        let first = self
            .first(claimant)
            .filter(|(_, call)| call.since < self.now);
        if let Some(own) = first.and_then(|(_, call)| call.arrival.pool) {
            let promised = self.evicted.iter().any(|evicted| evicted.pooled == own);
            let another = self.coming(own) > 0 || self.idle().any(|idle| idle.pooled == own);
            assert!(!promised || another, "the first was robbed of its own");
        }
    }

    /// The memory and the place for the first in the order of service are there or on their way, unless all idle
    /// sandboxes together are not enough, or one of its own key is idle or coming.
    fn check_room_is_made(&self, after: &Snapshot) {
        let claimant = self.claimant(after);
        let Some((ticket, call)) = self.first(claimant) else {
            return;
        };
        let banks = claimant.is_none()
            && call
                .arrival
                .pool
                .is_some_and(|pooled| self.coming(pooled) > 0);
        let own = self
            .idle()
            .any(|idle| Some(idle.pooled) == call.arrival.pool);
        if banks || own {
            return;
        }
        let demand = call.arrival.demand;
        let left = minus(self.capacity.amounts(), self.staying());
        let idle = self
            .idle()
            .fold(left, |sum, idle| plus(sum, idle.demand.kept().amounts()));
        assert!(
            fits(left, demand.kept()) || !fits(idle, demand.kept()),
            "idle ones must yield to {ticket:?}"
        );
    }

    /// A claim is the longest waiting call's, after its patience; whatever starts beside it leaves what it needs.
    fn check_claim(&self, before: &Snapshot, after: &Snapshot, claimant: Option<TicketId>) {
        if after.held_back == Demand::NONE {
            return;
        }
        let (oldest, call) = self.waiting().next().expect("a claim is somebody's");
        assert_eq!(call.arrival.demand, after.held_back);
        assert!(self.now >= call.since + self.config.patience);
        if before.held_back == after.held_back && claimant == Some(oldest) {
            let held = after.held_back.amounts();
            let needed = plus(self.staying(), held);
            for at in 0..held.len() {
                let used = self.took[at] > 0 || (self.prolonged[at] > 0 && held[at] > 0);
                assert!(
                    !used || needed[at] <= self.capacity.amounts()[at],
                    "resource {at}: the claim is delayed"
                );
            }
        }
    }

    // === What the model knows ===

    fn used(&self) -> Amounts {
        let granted = self
            .calls
            .values()
            .filter(|call| call.granted == Some(Place::Once));
        let once = self
            .leases
            .iter()
            .filter(|lease| lease.place() == Place::Once);
        let calls = once
            .map(Lease::demand)
            .chain(granted.map(|call| call.arrival.demand));
        calls
            .chain(self.sandboxes.values().map(taken))
            .fold(Amounts::default(), |sum, one| plus(sum, one.amounts()))
    }

    /// What is taken and is not being stopped.
    fn staying(&self) -> Amounts {
        let stopping = self
            .sandboxes
            .values()
            .filter(|sandbox| sandbox.state == State::Stopping);
        stopping.fold(self.used(), |sum, sandbox| {
            minus(sum, taken(sandbox).amounts())
        })
    }

    fn waiting(&self) -> impl Iterator<Item = (TicketId, &Call)> {
        let waiting = self
            .calls
            .iter()
            .filter(|(_, call)| call.granted.is_none() && !call.rejected);
        waiting.map(|(ticket, call)| (*ticket, call))
    }

    /// Who is served first: the call with the claim, else the first in the order of service.
    fn first(&self, claimant: Option<TicketId>) -> Option<(TicketId, &Call)> {
        self.waiting()
            .min_by_key(|(ticket, call)| (Some(*ticket) != claimant, place(*ticket, call)))
    }

    fn idle(&self) -> impl Iterator<Item = &Sandbox> {
        self.sandboxes
            .values()
            .filter(|sandbox| sandbox.state == State::Up && sandbox.leases == 0)
    }

    fn claimant(&self, snapshot: &Snapshot) -> Option<TicketId> {
        let oldest = self.waiting().next().map(|(ticket, _)| ticket);
        oldest.filter(|_| snapshot.held_back != Demand::NONE)
    }

    fn ids_in(&self, state: State) -> impl Iterator<Item = SandboxId> {
        self.sandboxes
            .iter()
            .filter(move |(_, sandbox)| sandbox.state == state)
            .map(|(id, _)| *id)
    }

    fn any_id(&self, index: usize) -> Option<SandboxId> {
        pick(&self.sandboxes.keys().copied().collect::<Vec<_>>(), index)
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
            key: PoolKey::new(Digest::new([name; 32])),
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
