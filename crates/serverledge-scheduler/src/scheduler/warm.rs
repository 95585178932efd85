//! What becomes of pooled sandboxes: who runs in them, and when they are kept or stopped.

use std::time::Instant;

use serverledge_core::MemoryMib;

use super::{Effects, End, Lease, Place, Scheduler};
use crate::arrival::{Demand, PoolKey, Pooled, Want};
use crate::ledger::Room;
use crate::pool::{Phase, Sandbox, SandboxId};

/// Where a call could start.
#[derive(Debug, Clone, Copy)]
pub(super) enum Spot {
    /// In a sandbox of its own.
    Once,
    /// In this one, with other calls or alone.
    Warm(SandboxId),
    /// In a new one of this pool.
    New(Pooled),
}

impl Scheduler {
    /// The sandbox that the holder of a [`Place::Start`] lease or of [`Scheduler::prewarm`] starts is up: calls can run
    /// in it. Ignored unless it is starting.
    pub fn started(&mut self, now: Instant, id: SandboxId, effects: &mut Effects) {
        self.now = self.now.max(now);
        if self.phase(id) == Some(Phase::Starting) {
            self.settle(id, effects, |_| {});
        }
        self.advance(now, effects);
    }

    /// A sandbox of [`Scheduler::prewarm`] could not be started, and nothing of it exists: what it held is free.
    /// Ignored unless it is starting without a lease; a lease says [`End::NeverStarted`].
    pub fn failed(&mut self, now: Instant, id: SandboxId, effects: &mut Effects) {
        self.now = self.now.max(now);
        if self
            .pool
            .get(id)
            .is_some_and(|sandbox| sandbox.phase == Phase::Starting && sandbox.leases == 0)
        {
            self.pool.remove(&mut self.ledger, id);
        }
        self.advance(now, effects);
    }

    /// A sandbox named in [`Effects::stop`] exists no more: what it held is free. Ignored for any other.
    pub fn gone(&mut self, now: Instant, id: SandboxId, effects: &mut Effects) {
        self.now = self.now.max(now);
        if self.phase(id) == Some(Phase::Stopping) {
            self.pool.remove(&mut self.ledger, id);
        }
        self.advance(now, effects);
    }

    /// A sandbox was found dead, or is not to be trusted: it takes no new lease, and is stopped as soon as it has none.
    /// Idempotent; an unknown one is ignored.
    pub fn condemn(&mut self, now: Instant, id: SandboxId, effects: &mut Effects) {
        self.now = self.now.max(now);
        self.taint(id, effects);
        self.advance(now, effects);
    }

    /// The function of this key was deleted or replaced: condemns the sandboxes that it has now. Calls of the key that
    /// wait or come later run all the same, in sandboxes started after this, which are kept like any other.
    pub fn retire(&mut self, now: Instant, key: PoolKey, effects: &mut Effects) {
        self.now = self.now.max(now);
        for id in self.pool.ids(Some(key)) {
            self.taint(id, effects);
        }
        self.advance(now, effects);
    }

    /// Reserves memory and places for up to `count` new sandboxes, as far as they are free and no waiting call is
    /// about to get them; nothing is evicted for them, and they take no CPU until a call runs in them. The caller
    /// starts each, and reports [`Scheduler::started`] or [`Scheduler::failed`].
    #[must_use = "each of them waits to be started"]
    pub fn prewarm(
        &mut self,
        now: Instant,
        demand: Demand,
        pooled: Pooled,
        count: usize,
        effects: &mut Effects,
    ) -> Vec<SandboxId> {
        self.advance(now, effects);
        let mut ids = Vec::new();
        while ids.len() < count && self.can_prewarm(demand) {
            ids.push(self.pool.start(&mut self.ledger, demand, pooled, 0));
        }
        ids
    }

    /// When [`Scheduler::expire`] will next have an idle sandbox to stop.
    #[must_use]
    pub fn next_idle_expiry(&self) -> Option<Instant> {
        self.pool.next_expiry().map(|(at, _)| at)
    }

    /// How many sandboxes are idle, for each key that has any.
    #[must_use]
    pub fn idle_by_key(&self) -> Vec<(PoolKey, usize)> {
        self.pool.idle_by_key()
    }

    pub(super) fn idle_memory(&self) -> MemoryMib {
        self.pool.idle_kept().memory
    }

    /// Where a call could start now, if there is this room and it is one of `in_line` that want the same: in a sandbox
    /// with calls, in an idle one, or in a new one. No new one is started for calls that have a place in those that are
    /// starting, since these will be up sooner.
    pub(super) fn spot(&self, want: &Want, in_line: usize, room: &Room) -> Option<Spot> {
        let Some(pooled) = want.pool else {
            return room.fits(want.demand).then_some(Spot::Once);
        };
        let warm = self
            .pool
            .warm(pooled.key, |sandbox| may_occupy(sandbox, room));
        let new = || in_line > self.pool.coming(pooled.key) && room.fits(want.demand);
        warm.map(Spot::Warm)
            .or_else(|| new().then_some(Spot::New(pooled)))
    }

    /// Whether a waiting call could not even start in a new sandbox. Who only waits for one that is starting lacks
    /// nothing.
    pub(super) fn lacks_room(&self, want: &Want) -> bool {
        let coming = want.pool.map_or(0, |pooled| self.pool.coming(pooled.key));
        coming < self.queue.in_line(want)
            && self
                .spot(want, usize::MAX, &self.ledger.room(Demand::NONE))
                .is_none()
    }

    fn can_prewarm(&self, demand: Demand) -> bool {
        let kept = demand.kept();
        // Who takes nothing would fit for ever.
        let bounded = kept != Demand::NONE;
        !self.draining && bounded && self.ledger.could_fit(demand) && self.is_spare(kept)
    }

    /// Takes what a lease on this spot needs.
    pub(super) fn occupy(&mut self, want: Want, spot: Spot) -> Place {
        match spot {
            Spot::Once => {
                self.ledger.take(want.demand);
                Place::Once
            }
            Spot::New(pooled) => {
                Place::Start(self.pool.start(&mut self.ledger, want.demand, pooled, 1))
            }
            Spot::Warm(id) => {
                self.pool.change(&mut self.ledger, id, |sandbox| {
                    sandbox.leases += 1;
                    sandbox.phase = Phase::Busy;
                });
                Place::Reuse(id)
            }
        }
    }

    /// Gives back what a lease took.
    pub(super) fn vacate(&mut self, lease: &Lease, end: End, effects: &mut Effects) {
        self.ledger.lease_back();
        let (Place::Start(id) | Place::Reuse(id)) = lease.place else {
            return self.ledger.give_back(lease.demand);
        };
        if end == End::NeverStarted && self.phase(id) == Some(Phase::Starting) {
            return self.pool.remove(&mut self.ledger, id);
        }
        self.settle(id, effects, |sandbox| {
            sandbox.leases -= 1;
            sandbox.tainted |= end != End::Clean;
        });
    }

    /// Gives back what a lease took that nobody came for: its sandbox is as it was before.
    pub(super) fn vacate_unused(&mut self, lease: &Lease, effects: &mut Effects) {
        let end = if matches!(lease.place, Place::Start(_)) {
            End::NeverStarted
        } else {
            End::Clean
        };
        self.vacate(lease, end, effects);
    }

    /// Stops all idle sandboxes.
    pub(super) fn stop_all_idle(&mut self, effects: &mut Effects) {
        while let Some((_, id)) = self.pool.next_expiry() {
            self.stop(id, effects);
        }
    }

    /// Stops the sandboxes that have been idle for too long.
    pub(super) fn expire_idle(&mut self, effects: &mut Effects) {
        while let Some((_, id)) = self.pool.next_expiry().filter(|(at, _)| *at <= self.now) {
            self.stop(id, effects);
            self.counters.expiries += 1;
        }
    }

    /// Stops a sandbox without leases.
    pub(super) fn stop(&mut self, id: SandboxId, effects: &mut Effects) {
        self.pool.change(&mut self.ledger, id, |sandbox| {
            sandbox.phase = Phase::Stopping
        });
        effects.stop.push(id);
    }

    fn taint(&mut self, id: SandboxId, effects: &mut Effects) {
        match self.phase(id) {
            Some(Phase::Starting | Phase::Busy) => {
                self.pool
                    .change(&mut self.ledger, id, |sandbox| sandbox.tainted = true);
            }
            Some(Phase::Idle { .. }) => self.stop(id, effects),
            Some(Phase::Stopping) | None => {}
        }
    }

    /// A sandbox is up and has changed: it is busy, or to be kept, or to be stopped.
    fn settle(&mut self, id: SandboxId, effects: &mut Effects, how: impl FnOnce(&mut Sandbox)) {
        let expires = self.now + self.config.idle_max;
        let draining = self.draining;
        let after = self.pool.change(&mut self.ledger, id, |sandbox| {
            how(sandbox);
            sandbox.phase = match sandbox.leases {
                0 if sandbox.tainted || draining => Phase::Stopping,
                0 => Phase::Idle { expires },
                _ => Phase::Busy,
            };
        });
        if after.is_some_and(|after| after.phase == Phase::Stopping) {
            effects.stop.push(id);
        }
    }

    fn phase(&self, id: SandboxId) -> Option<Phase> {
        self.pool.get(id).map(|sandbox| sandbox.phase)
    }
}

/// Whether a call may run in a sandbox that is up: what the sandbox has is kept for longer, what it lacks must be free.
fn may_occupy(sandbox: &Sandbox, room: &Room) -> bool {
    let demand = sandbox.demand;
    if sandbox.active() > 0 {
        room.may_stay(demand)
    } else {
        room.may_stay(demand.kept()) && room.fits(demand.running())
    }
}
