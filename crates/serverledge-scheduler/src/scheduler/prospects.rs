//! A policy's view of this node, and the load that this node reports to others.

use std::time::{Duration, Instant};

use serverledge_core::{CpuMilli, MemoryMib};

use super::Scheduler;
use super::warm::Spot;
use crate::arrival::{Arrival, Demand, Pooled, Rank, Want};
use crate::fairness::TURN_EVERY;
use crate::policy::{Fit, LocalView, Start};
use crate::snapshot::WaitingByClass;

/// The demand of a small call: the memory that a function has if it does not say, and a tenth of a core.
const SMALL: Demand = Demand {
    memory: MemoryMib::new(128),
    cpu: CpuMilli::new(100),
    slots: 0,
    containers: 0,
};

/// The time that a sandbox is thought to take to stop: a container's few tenths of a second.
const STOP_PRIOR: Duration = Duration::from_millis(300);

/// The load that a node reports to its peers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Load {
    /// Memory that a new call may take, idle sandboxes counted as free.
    pub free_memory: MemoryMib,
    /// Processor share that a new call may take.
    pub free_cpu: CpuMilli,
    /// The expected wait of a new call; see [`Scheduler::wait_estimate`].
    pub wait: Duration,
}

impl Scheduler {
    /// The load to report to peers; cheap enough to go with every reply.
    #[must_use]
    pub fn load(&self, now: Instant) -> Load {
        let free = self.ledger.free();
        let idle = self.idle_memory();
        let free_memory = MemoryMib::new(free.memory.get().saturating_add(idle.get()));
        Load {
            free_memory,
            free_cpu: free.cpu,
            wait: self.wait_estimate(now),
        }
    }

    /// The expected wait of a new call here, for other nodes to know; zero if nobody waits for room and a small call (128 MiB
    /// and a tenth of a core, or the whole of a smaller node) could start now. At most [`crate::RETRY_AFTER_MAX`].
    #[must_use]
    pub fn wait_estimate(&self, now: Instant) -> Duration {
        let waiting = self.waiting_for_room().total();
        if waiting == 0 && self.takes_small() {
            return Duration::ZERO;
        }
        self.estimate
            .wait(self.now.max(now), self.ledger.leases, waiting)
    }

    /// The waiting calls without those that have room and rather wait in line: these take nothing from a new call.
    fn waiting_for_room(&self) -> WaitingByClass {
        let mut waiting = WaitingByClass::default();
        if !self.queue.is_empty() {
            let room = self.ledger.room(Demand::NONE);
            for (want, calls) in self.queue.lines() {
                let pays = |pooled: Pooled| self.start_pays(pooled.key, calls.total());
                if want.pool.is_none_or(pays) || !room.fits(want.demand) {
                    waiting.add(calls);
                }
            }
        }
        waiting
    }

    /// Whether a small call could start, at the cost of idle sandboxes at most.
    fn takes_small(&self) -> bool {
        let capacity = self.ledger.capacity;
        let free = self.ledger.free();
        let idle = self.pool.idle_kept();
        let place = free.slots > 0 || free.containers > 0 || idle.containers > 0;
        let memory = free.memory.get() + idle.memory.get();
        place
            && free.cpu >= SMALL.cpu.min(capacity.cpu)
            && memory >= SMALL.memory.min(capacity.memory).get()
    }

    /// Whether a new call would start as soon as idle sandboxes have stopped; not if others wait for that already.
    fn yields_to(&self, demand: Demand) -> bool {
        let free = self.ledger.left();
        let idle = self.pool.idle_kept().amounts();
        let covers = |at: usize, need: u64| free[at].saturating_add(idle[at]) >= need;
        self.waiting_for_room().total() == 0
            && (0..)
                .zip(demand.amounts())
                .all(|(at, need)| covers(at, need))
    }

    pub(super) fn local_view(&self, arrival: &Arrival, fit: Fit, spot: Option<&Spot>) -> LocalView {
        let waits = fit == Fit::Later;
        let yields = waits && self.yields_to(arrival.demand);
        let wait = match fit {
            Fit::Later if yields => self.wait_here(arrival.class.rank()).min(STOP_PRIOR),
            Fit::Later => self.wait_here(arrival.class.rank()),
            Fit::Now if spot.is_none() => self.wait_in_line(&arrival.want()),
            Fit::Now | Fit::Never => Duration::ZERO,
        };
        LocalView {
            fit,
            start: self.start_of(&arrival.want(), spot),
            wait,
            wait_max: self.config.wait_max,
            yields,
            may_wait: waits
                && self.has_place_for(arrival)
                && !(arrival.nested && self.would_deadlock(&arrival.want())),
        }
    }

    /// The expected wait of a call that waits for a sandbox in use.
    fn wait_in_line(&self, want: &Want) -> Duration {
        let line = want
            .pool
            .and_then(|pooled| self.line_wait(pooled.key, self.queue.in_line(want) + 1));
        line.unwrap_or(Duration::ZERO)
    }

    fn start_of(&self, want: &Want, spot: Option<&Spot>) -> Start {
        match (want.pool, spot) {
            (None, _) => Start::Once,
            (_, Some(Spot::New(_))) => Start::Cold,
            (_, Some(_)) => Start::Warm,
            // It waits: for a sandbox of its own key if there are some, else for room to start one.
            (Some(pooled), None) => {
                if self.pool.has(pooled.key) {
                    Start::Warm
                } else {
                    Start::Cold
                }
            }
        }
    }

    /// The expected wait of a call of this rank: until those of its rank and above have started, and those below whose
    /// turns come in between.
    fn wait_here(&self, rank: Rank) -> Duration {
        let mut waiting = self.waiting_for_room();
        let ahead: usize = [Rank::Low, Rank::Availability, Rank::Performance]
            .into_iter()
            .filter(|one| *one >= rank)
            .map(|one| *waiting.of(one))
            .sum();
        let below = waiting.total() - ahead;
        let turns = (ahead / (TURN_EVERY as usize - 1)).min(below);
        self.estimate
            .wait(self.now, self.ledger.leases, ahead + turns)
    }

    fn has_place_for(&self, arrival: &Arrival) -> bool {
        self.queue.len() < self.config.queue_capacity || self.displaceable(arrival).is_some()
    }
}
