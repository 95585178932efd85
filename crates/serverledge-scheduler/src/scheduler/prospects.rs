//! What a policy is told about this node, and what this node tells others about itself.

use std::time::{Duration, Instant};

use serverledge_core::{CpuMilli, MemoryMib};

use super::Scheduler;
use super::warm::Spot;
use crate::arrival::{Arrival, Demand, Rank, Want};
use crate::fairness::TURN_EVERY;
use crate::policy::{Fit, LocalView, Start};

/// What counts as a small call: the memory that a function has if it does not say, and a tenth of a core.
const SMALL: Demand = Demand { memory: MemoryMib::new(128), cpu: CpuMilli::new(100), slots: 0, containers: 0 };

impl Scheduler {
    /// How long a new call would wait here, for other nodes to know; zero if nobody waits and a small call (128 MiB
    /// and a tenth of a core, or the whole of a smaller node) could start now. At most [`crate::RETRY_AFTER_MAX`].
    #[must_use]
    pub fn wait_estimate(&self, now: Instant) -> Duration {
        if self.queue.is_empty() && self.takes_small() {
            return Duration::ZERO;
        }
        self.estimate.wait(self.now.max(now), self.ledger.leases(), self.queue.len())
    }

    /// Whether a small call could start, at the cost of idle sandboxes at most.
    fn takes_small(&self) -> bool {
        let free = self.ledger.free();
        let capacity = self.ledger.capacity();
        let place = free.slots > 0 || free.containers > 0 || self.pool.has_idle();
        let cpu = free.cpu >= SMALL.cpu.min(capacity.cpu);
        let memory = SMALL.memory.min(capacity.memory);
        place && cpu && (free.memory >= memory || free.memory.get() + self.idle_memory().get() >= memory.get())
    }

    pub(super) fn local_view(&self, arrival: &Arrival, fit: Fit, spot: Option<&Spot>) -> LocalView {
        let waits = fit == Fit::Later;
        LocalView {
            fit,
            start: self.start_of(&arrival.want(), spot),
            wait: if waits { self.wait_here(arrival.class.rank()) } else { Duration::ZERO },
            wait_max: self.config.wait_max,
            may_wait: waits && self.has_place_for(arrival),
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
        self.estimate.wait(self.now, self.ledger.leases(), ahead + turns)
    }

    fn has_place_for(&self, arrival: &Arrival) -> bool {
        self.queue.len() < self.config.queue_capacity || self.displaceable(arrival.class).is_some()
    }
}
