//! The laws that hold after each operation of the model.

use super::*;
use crate::pool_times::Places;

impl Model {
    // === The laws after each operation ===

    pub(super) fn check(&self, before: &SchedulerSnapshot, claimant: Option<TicketId>) {
        let after = self.scheduler.snapshot();
        self.check_books(&after);
        self.check_sandboxes(&after);
        self.check_counters(&before.counters, &after.counters);
        self.check_expiries();
        self.check_work(&after);
        self.check_starters(&after);
        self.check_evictions(self.claimant(&after));
        self.check_room_is_made(&after);
        self.check_claim(before, &after, claimant);
    }

    /// Checks that the amounts taken are the sum of what calls and sandboxes hold, and that no start took more than
    /// there is.
    pub(super) fn check_books(&self, after: &SchedulerSnapshot) {
        let used = self.used();
        let capacity = self.capacity.amounts();
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
    pub(super) fn check_sandboxes(&self, after: &SchedulerSnapshot) {
        let mut counts = PooledCounts::default();
        let mut idle_memory = 0;
        let mut idle = BTreeMap::new();
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

    pub(super) fn check_counters(&self, before: &Counters, after: &Counters) {
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

    pub(super) fn check_expiries(&self) {
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
    pub(super) fn check_work(&self, after: &SchedulerSnapshot) {
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

    pub(super) fn could_start(&self, call: &Call, claims: bool) -> bool {
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
        joins
            || reuses
            || (fits(free, demand) && (claims || !(self.banks(pooled) || self.in_use(pooled))))
    }

    /// Whether there is a sandbox to wait for in line: with calls, or starting.
    pub(super) fn in_use(&self, pooled: Pooled) -> bool {
        let used = |one: &Sandbox| {
            one.state == State::Starting || (one.state == State::Up && one.leases > 0)
        };
        self.sandboxes
            .values()
            .any(|one| one.pooled == pooled && !one.barred && used(one))
    }

    /// No call starts a sandbox beside a free place, unless somebody in line comes first or a claim is in the way.
    pub(super) fn check_starters(&self, after: &SchedulerSnapshot) {
        if after.held_back != Demand::NONE {
            return;
        }
        let granted = self.calls.values().filter_map(|call| call.granted);
        for place in self.leases.iter().map(Lease::place).chain(granted) {
            let SandboxUse::Start(id) = place else {
                continue;
            };
            let Some(sandbox) = self
                .sandboxes
                .get(&id)
                .filter(|sandbox| sandbox.state == State::Starting)
            else {
                continue;
            };
            let free = self
                .sandboxes
                .values()
                .any(|other| other.pooled == sandbox.pooled && is_warm(other));
            let others = self
                .waiting()
                .any(|(_, call)| call.arrival.pool == Some(sandbox.pooled));
            assert!(!free || others, "{id} is started beside a free place");
        }
    }

    /// Whether the calls of a key that wait have places in sandboxes that are starting.
    pub(super) fn banks(&self, pooled: Pooled) -> bool {
        self.coming(pooled)
            >= self
                .waiting()
                .filter(|(_, call)| call.arrival.pool == Some(pooled))
                .count()
    }

    pub(super) fn coming(&self, pooled: Pooled) -> usize {
        let starting = self.sandboxes.values().filter(|sandbox| {
            sandbox.pooled == pooled && sandbox.state == State::Starting && !sandbox.barred
        });
        starting
            .map(|sandbox| usize::from(pooled.concurrency - sandbox.leases))
            .sum()
    }

    /// Sandboxes yield only to calls that wait (or to a smaller node), and none without need.
    pub(super) fn check_evictions(&self, claimant: Option<TicketId>) {
        if self.overdrawn || self.evicted.is_empty() {
            return;
        }
        let wanted = self.wanted();
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

    /// The demand of the calls that wait: of those of one key no more than those whose starts pay, and one with a claim.
    fn wanted(&self) -> Amounts {
        let mut lines: BTreeMap<PoolKey, Vec<&Call>> = BTreeMap::new();
        let mut wanted = Amounts::default();
        for (_, call) in self.waiting() {
            match call.arrival.pool {
                Some(pooled) => lines.entry(pooled.key).or_default().push(call),
                None => wanted = plus(wanted, call.arrival.demand.amounts()),
            }
        }
        for (key, line) in lines {
            let pays = |starts: &usize| {
                let pooled = line[0].arrival.pool.expect("pooled");
                let more = Places {
                    running: 0,
                    starting: starts * usize::from(pooled.concurrency),
                    starters: *starts,
                };
                self.scheduler
                    .start_pays_beside(key, line.len() - starts, more)
            };
            let starts = (0..line.len()).take_while(pays).count();
            let starts = line.iter().take(starts.max(1));
            wanted = starts.fold(wanted, |sum, call| plus(sum, call.arrival.demand.amounts()));
        }
        wanted
    }

    /// The memory and the place for the first in the order of service are there or on their way, unless all idle
    /// sandboxes together are not enough, or one of its own key is idle, coming or in use.
    pub(super) fn check_room_is_made(&self, after: &SchedulerSnapshot) {
        let claimant = self.claimant(after);
        let Some((ticket, call)) = self.first(claimant) else {
            return;
        };
        let waits = |pooled| self.coming(pooled) > 0 || self.in_use(pooled);
        let banks = claimant.is_none() && call.arrival.pool.is_some_and(waits);
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
    pub(super) fn check_claim(
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

    pub(super) fn used(&self) -> Amounts {
        let granted = self
            .calls
            .values()
            .filter(|call| call.granted == Some(SandboxUse::Once));
        let once = self
            .leases
            .iter()
            .filter(|lease| lease.place() == SandboxUse::Once);
        let calls = once
            .map(Lease::demand)
            .chain(granted.map(|call| call.arrival.demand));
        calls
            .chain(self.sandboxes.values().map(taken))
            .fold(Amounts::default(), |sum, one| plus(sum, one.amounts()))
    }

    /// The amounts that are taken and not being stopped.
    pub(super) fn staying(&self) -> Amounts {
        let stopping = self
            .sandboxes
            .values()
            .filter(|sandbox| sandbox.state == State::Stopping);
        stopping.fold(self.used(), |sum, sandbox| {
            minus(sum, taken(sandbox).amounts())
        })
    }

    pub(super) fn waiting(&self) -> impl Iterator<Item = (TicketId, &Call)> {
        let waiting = self
            .calls
            .iter()
            .filter(|(_, call)| call.granted.is_none() && !call.rejected);
        waiting.map(|(ticket, call)| (*ticket, call))
    }

    /// The call that is served first: the call with the claim, else the first in the order of service.
    pub(super) fn first(&self, claimant: Option<TicketId>) -> Option<(TicketId, &Call)> {
        self.waiting()
            .min_by_key(|(ticket, call)| (Some(*ticket) != claimant, place(*ticket, call)))
    }

    pub(super) fn idle(&self) -> impl Iterator<Item = &Sandbox> {
        self.sandboxes
            .values()
            .filter(|sandbox| sandbox.state == State::Up && sandbox.leases == 0)
    }

    pub(super) fn claimant(&self, snapshot: &SchedulerSnapshot) -> Option<TicketId> {
        let oldest = self.waiting().next().map(|(ticket, _)| ticket);
        oldest.filter(|_| snapshot.held_back != Demand::NONE)
    }

    pub(super) fn ids_in(&self, state: State) -> impl Iterator<Item = SandboxId> {
        self.sandboxes
            .iter()
            .filter(move |(_, sandbox)| sandbox.state == state)
            .map(|(id, _)| *id)
    }

    pub(super) fn any_id(&self, index: usize) -> Option<SandboxId> {
        pick(&self.sandboxes.keys().copied().collect::<Vec<_>>(), index)
    }
}
