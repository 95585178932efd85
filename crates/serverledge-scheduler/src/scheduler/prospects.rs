//! What a policy is told about this node, and what this node tells others about itself.

use std::time::{Duration, Instant};

use serverledge_core::{CpuMilli, MemoryMib};

use super::Scheduler;
use super::warm::Spot;
use crate::arrival::{Arrival, Demand, Rank, Want};
use crate::fairness::TURN_EVERY;
use crate::policy::{Fit, LocalView, Start};

/// What counts as a small call: the memory that a function has if it does not say, and a tenth of a core.
const SMALL: Demand = Demand {
    memory: MemoryMib::new(128),
    cpu: CpuMilli::new(100),
    slots: 0,
    containers: 0,
};

/// How long a sandbox is thought to take to stop: a container's few tenths of a second.
const STOP_PRIOR: Duration = Duration::from_millis(300);

/// What a node tells its peers about itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Load {
    /// Memory that a new call may take, idle sandboxes counted as free.
    pub free_memory: MemoryMib,
    /// Processor share that a new call may take.
    pub free_cpu: CpuMilli,
    /// How long a new call would wait; see [`Scheduler::wait_estimate`].
    pub wait: Duration,
}

impl Scheduler {
    /// What to tell peers; cheap enough to go with every reply.
    #[must_use]
    pub fn load(&self, now: Instant) -> Load {
        let (free, idle) = (self.ledger.free(), self.idle_memory());
        let free_memory = MemoryMib::new(free.memory.get().saturating_add(idle.get()));
        Load {
            free_memory,
            free_cpu: free.cpu,
            wait: self.wait_estimate(now),
        }
    }

    /// How long a new call would wait here, for other nodes to know; zero if nobody waits and a small call (128 MiB
    /// and a tenth of a core, or the whole of a smaller node) could start now. At most [`crate::RETRY_AFTER_MAX`].
    #[must_use]
    pub fn wait_estimate(&self, now: Instant) -> Duration {
        if self.queue.is_empty() && self.takes_small() {
            return Duration::ZERO;
        }
        self.estimate
            .wait(self.now.max(now), self.ledger.leases(), self.queue.len())
    }

    /// Whether a small call could start, at the cost of idle sandboxes at most.
    fn takes_small(&self) -> bool {
        let capacity = self.ledger.capacity();
        let (free, idle) = (self.ledger.free(), self.pool.idle_kept());
        let place = free.slots > 0 || free.containers > 0 || idle.containers > 0;
        let memory = free.memory.get() + idle.memory.get();
        place
            && free.cpu >= SMALL.cpu.min(capacity.cpu)
            && memory >= SMALL.memory.min(capacity.memory).get()
    }

    /// Whether a new call would start as soon as idle sandboxes have stopped; not if others wait for that already.
    fn yields_to(&self, demand: Demand) -> bool {
        let (free, idle) = (self.ledger.left(), self.pool.idle_kept().amounts());
        let covers = |at: usize, need: u64| free[at].saturating_add(idle[at]) >= need;
        self.queue.is_empty()
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

    /// How long a call of this rank would wait: until those of its rank and above have started, and those below whose
    /// turns come in between.
    fn wait_here(&self, rank: Rank) -> Duration {
        let mut waiting = self.queue.by_class();
        let ahead: usize = [Rank::Low, Rank::Availability, Rank::Performance]
            .into_iter()
            .filter(|one| *one >= rank)
            .map(|one| *waiting.of(one))
            .sum();
        let below = waiting.total() - ahead;
        let turns = (ahead / (TURN_EVERY as usize - 1)).min(below);
        self.estimate
            .wait(self.now, self.ledger.leases(), ahead + turns)
    }

    fn has_place_for(&self, arrival: &Arrival) -> bool {
        self.queue.len() < self.config.queue_capacity || self.displaceable(arrival).is_some()
    }
}
