//! The choice of the idle sandboxes that yield to calls that wait for memory or for a pooled sandbox's place.
//!
//! In the order of service (who has a claim goes first), each waiting call is promised what will do for it: a place in
//! a sandbox of its own key that is starting, an idle one of its own key, or its demand out of what is free or being
//! stopped. The latter is promised to no more calls of a key than those whose starts pay: the others wait for
//! sandboxes in use. If memory or a place is short, and the idle sandboxes that nobody was promised are enough, the longest idle
//! of them are stopped.
//!
//! Calls that lack CPU as well are promised nothing, so that a long queue does not stop in vain what it could not use
//! anyway. But the next to start (in the order of service, and at a turn) is seen to ahead of the CPU: else, on a node
//! short of CPU, whoever finds an idle sandbox would always be quicker than a call that needs another stopped.

use std::collections::BTreeMap;

use super::{Effects, Scheduler, TicketId};
use crate::arrival::{Amounts, Demand, PoolKey, Want};
use crate::pool::SandboxId;
use crate::pool_times::Places;

/// An idle sandbox, and what its end would free.
#[derive(Debug, Clone, Copy)]
struct Candidate {
    id: SandboxId,
    key: PoolKey,
    kept: Amounts,
}

/// Whether a call is promised anything without the CPU for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Cpu {
    Now,
    Later,
}

/// The line of a key, and what was promised to it.
#[derive(Debug, Clone, Copy, Default)]
struct Line {
    /// The number of its calls that want the same, where that is greatest.
    calls: usize,
    /// Free places in starting or promised sandboxes.
    places: usize,
    /// Promised starts, and the places that these bring.
    more: Places,
}

/// The promises made so far.
struct Plan<'a> {
    node: &'a Scheduler,
    /// Idle and not promised, the longest idle first.
    candidates: Vec<Candidate>,
    lines: BTreeMap<PoolKey, Line>,
    /// The amounts that are free or being stopped.
    left: Amounts,
    victims: Vec<Candidate>,
}

impl Scheduler {
    /// Stops idle sandboxes, if that is what waiting calls need.
    pub(super) fn make_room(&mut self, effects: &mut Effects) {
        if !self.pool.has_idle() {
            return;
        }
        if self.ledger.overdrawn().iter().any(|over| *over > 0) {
            self.shrink(effects);
        }
        if !self.queue.is_empty() && self.may_lack_memory() {
            for victim in self.plan().victims {
                self.evict(victim.id, effects);
            }
        }
    }

    /// Whether a plan may have anything to stop; cheaper than a plan.
    fn may_lack_memory(&self) -> bool {
        let running = self.ledger.room(Demand::NONE);
        let others_count = || {
            self.queue
                .wants()
                .any(|want| running.fits(want.demand.running()))
        };
        let kept = |head: Option<(TicketId, Want)>| {
            head.map_or(Demand::NONE, |(_, want)| want.demand.kept())
                .amounts()
        };
        let [first, oldest] = self.heads().map(kept);
        others_count() || !covers(self.ledger.left(), plus(first, oldest))
    }

    /// The calls that start next, in the order of service and at a turn.
    fn heads(&self) -> [Option<(TicketId, Want)>; 2] {
        let oldest = self
            .queue
            .oldest()
            .map(|(ticket, waiter)| (ticket, waiter.arrival.want()));
        [self.queue.first(), oldest]
    }

    /// Stops idle sandboxes that a shrunk node has no room for.
    fn shrink(&mut self, effects: &mut Effects) {
        loop {
            let over = self.ledger.overdrawn();
            let helps = |kept: Amounts| {
                kept.iter()
                    .zip(over)
                    .any(|(kept, over)| *kept > 0 && over > 0)
            };
            let Some(id) = self
                .pool
                .idle()
                .find(|(_, idle)| helps(idle.demand.kept().amounts()))
                .map(|(id, _)| id)
            else {
                return;
            };
            self.evict(id, effects);
        }
    }

    fn evict(&mut self, id: SandboxId, effects: &mut Effects) {
        self.stop(id, effects);
        self.counters.evictions += 1;
    }

    /// Whether this is free and no waiting call is promised it.
    pub(super) fn is_spare(&self, demand: Demand) -> bool {
        let free = self.ledger.room(self.held()).fits(demand);
        free && (self.queue.is_empty() || covers(self.plan().left, demand.amounts()))
    }

    /// Nested calls come first, claims or not: who holds what a claim waits for may wait for them. Returns whom it saw to.
    fn promise_nested(&self, plan: &mut Plan<'_>) -> Vec<TicketId> {
        let mut seen = Vec::new();
        if self.queue.has_nested() {
            self.queue.visit_in_order(|ticket, want| {
                let cpu = if seen.is_empty() {
                    Cpu::Later
                } else {
                    Cpu::Now
                };
                let nested = self.queue.is_nested(ticket);
                seen.extend(nested.then_some(ticket));
                nested && plan.promise(want, cpu)
            });
        }
        seen
    }

    /// The promises that can be made to the waiting calls.
    fn plan(&self) -> Plan<'_> {
        let returning = self.held_for_returning().amounts();
        let mut plan = Plan::new(self, minus(self.ledger.left(), returning));
        let nested = self.promise_nested(&mut plan);
        let claim = self
            .fairness
            .claim()
            .filter(|claim| !nested.contains(&claim.ticket));
        if claim.is_none_or(|claim| plan.promise_start(&claim.want, Cpu::Later)) {
            let mut served = nested;
            served.extend(claim.map(|claim| claim.ticket));
            for (ticket, want) in self.heads().into_iter().flatten() {
                if !served.contains(&ticket) {
                    plan.promise(&want, Cpu::Later);
                    served.push(ticket);
                }
            }
            self.queue.visit_in_order(|ticket, want| {
                served.contains(&ticket) || plan.promise(want, Cpu::Now)
            });
        }
        plan.spare();
        plan
    }
}

// === impl Plan ===

impl<'a> Plan<'a> {
    fn new(node: &'a Scheduler, left: Amounts) -> Self {
        let candidates = node.pool.idle().map(|(id, idle)| Candidate {
            id,
            key: idle.key,
            kept: idle.demand.kept().amounts(),
        });
        let mut lines = BTreeMap::new();
        for (want, calls) in node.queue.lines() {
            if let Some(pooled) = want.pool {
                let line = lines.entry(pooled.key).or_insert_with(|| Line {
                    places: node.coming(pooled.key),
                    ..Line::default()
                });
                line.calls = line.calls.max(calls.total());
            }
        }
        Self {
            node,
            candidates: candidates.collect(),
            lines,
            left,
            victims: Vec::new(),
        }
    }

    /// Promises a call what will do for it; false if there is nothing, or if it waits for a sandbox in use: nothing is
    /// to be promised to others that want the same then.
    fn promise(&mut self, want: &Want, cpu: Cpu) -> bool {
        let Some(key) = want.pool.map(|pooled| pooled.key) else {
            return self.promise_start(want, cpu);
        };
        if self.take_place(key) {
            return true;
        }
        if self.start_pays(key) {
            self.promise_start(want, cpu)
        } else {
            self.take_idle(want.demand, key)
        }
    }

    /// Whether another start for the line makes sense beside those promised.
    fn start_pays(&self, key: PoolKey) -> bool {
        self.lines.get(&key).is_none_or(|line| {
            let in_line = line.calls.saturating_sub(line.more.starters);
            self.node.start_pays_beside(key, in_line, line.more)
        })
    }

    /// The same for a call that does not wait for a sandbox which is starting or in use.
    fn promise_start(&mut self, want: &Want, cpu: Cpu) -> bool {
        let Some(pooled) = want.pool else {
            return self.take(want.demand, cpu);
        };
        let idle = self.take_idle(want.demand, pooled.key);
        let promised = idle || self.take(want.demand, cpu);
        if promised {
            let places = usize::from(pooled.concurrency.max(1));
            let line = self.lines.entry(pooled.key).or_default();
            line.places += places - 1;
            if !idle {
                line.more.add(Places {
                    starting: places,
                    starters: 1,
                    ..Places::default()
                });
            }
        }
        promised
    }

    /// An idle sandbox of the call's own key. It is spared even if the CPU is short.
    fn take_idle(&mut self, demand: Demand, key: PoolKey) -> bool {
        let Some(at) = self
            .candidates
            .iter()
            .rposition(|candidate| candidate.key == key)
        else {
            return false;
        };
        self.candidates.remove(at);
        self.left = minus(self.left, demand.running().amounts());
        true
    }

    fn take_place(&mut self, key: PoolKey) -> bool {
        let Some(line) = self.lines.get_mut(&key).filter(|line| line.places > 0) else {
            return false;
        };
        line.places -= 1;
        true
    }

    /// The demand out of what is left, after evictions if they help.
    fn take(&mut self, demand: Demand, cpu: Cpu) -> bool {
        let in_time = cpu == Cpu::Later || covers(self.left, demand.running().amounts());
        let possible = in_time && self.evict_for(demand.kept().amounts());
        if possible {
            self.left = minus(self.left, demand.amounts());
        }
        possible
    }

    /// Chooses victims until `kept` is covered; none if it is already, or if all candidates are not enough.
    fn evict_for(&mut self, kept: Amounts) -> bool {
        let mut freed = self.left;
        let mut chosen = 0;
        while !covers(freed, kept) {
            let Some(candidate) = self.candidates.get(chosen) else {
                return false;
            };
            freed = plus(freed, candidate.kept);
            chosen += 1;
        }
        self.victims.extend(self.candidates.drain(..chosen));
        self.left = freed;
        true
    }

    /// Spares victims that are superfluous beside bigger ones chosen later, the last used first.
    fn spare(&mut self) {
        let left = &mut self.left;
        self.victims.reverse();
        self.victims.retain(|victim| {
            let superfluous = covers(*left, victim.kept);
            if superfluous {
                *left = minus(*left, victim.kept);
            }
            !superfluous
        });
        self.victims.reverse();
    }
}

fn covers(left: Amounts, needed: Amounts) -> bool {
    left.iter()
        .zip(needed)
        .all(|(left, needed)| *left >= needed)
}

fn minus(amounts: Amounts, less: Amounts) -> Amounts {
    std::array::from_fn(|at| amounts[at].saturating_sub(less[at]))
}

fn plus(amounts: Amounts, more: Amounts) -> Amounts {
    std::array::from_fn(|at| amounts[at].saturating_add(more[at]))
}
