//! The life of pooled sandboxes: which calls run in them, and when they are kept or stopped.

use std::time::Instant;

use serverledge_core::MemoryMib;

use super::{Effects, Lease, SandboxCondition, SandboxUse, Scheduler};
use crate::arrival::{Demand, PoolKey, Pooled, Want};
use crate::ledger::Room;
use crate::pool::{Phase, PooledSandbox, SandboxId};
use crate::pool_times::PoolTimes;
use crate::snapshot::PooledView;

/// The place in which a call could start.
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
    /// The sandbox that the holder of a [`SandboxUse::Start`] lease or of [`Scheduler::prewarm`] starts is up: calls can run
    /// in it. Ignored unless it is starting.
    pub fn started(&mut self, now: Instant, id: SandboxId, effects: &mut Effects) {
        self.now = self.now.max(now);
        if self.phase(id) == Some(Phase::Starting) {
            self.settle(id, effects, |_| {});
        }
        self.advance(now, effects);
    }

    /// A sandbox could not be started, and nothing of it exists: what it held is free, though the lease of a call that
    /// was to start it is still to be released. Ignored unless it is starting.
    pub fn failed(&mut self, now: Instant, id: SandboxId, effects: &mut Effects) {
        self.now = self.now.max(now);
        self.not_started(id);
        self.advance(now, effects);
    }

    /// A sandbox that is starting will not be up. Where others are in use, their times hold all the same.
    pub(super) fn not_started(&mut self, id: SandboxId) {
        if let Some(sandbox) = self
            .pool
            .get(id)
            .filter(|sandbox| sandbox.phase == Phase::Starting)
        {
            if self.pool.places(sandbox.key).running == 0 {
                self.lines
                    .learn(sandbox.key, self.now, PoolTimes::start_failed);
            }
            self.forget(id);
        }
    }

    /// A sandbox that is starting does not exist.
    pub(super) fn forget(&mut self, id: SandboxId) {
        self.lines.end_start(id);
        self.pool.remove(&mut self.ledger, id);
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
            self.count_first_start(pooled.key);
            ids.push(
                self.pool
                    .start(self.now, &mut self.ledger, demand, pooled, 0),
            );
        }
        ids
    }

    /// The time at which [`Scheduler::expire`] will next have an idle sandbox to stop.
    #[must_use]
    pub fn next_idle_expiry(&self) -> Option<Instant> {
        self.pool.next_expiry().map(|(at, _)| at)
    }

    /// The number of idle sandboxes, for each key that has any.
    #[must_use]
    pub fn idle_by_key(&self) -> Vec<(PoolKey, usize)> {
        self.pool.idle_by_key()
    }

    /// The pooled sandboxes, the oldest first.
    #[must_use]
    pub fn pooled(&self, now: Instant) -> Vec<PooledView> {
        self.pool.views(now)
    }

    pub(super) fn idle_memory(&self) -> MemoryMib {
        self.pool.idle_kept().memory
    }

    /// The place in which a call could start now, if there is this room and it is one of `in_line` that want the same:
    /// in a sandbox with calls, in an idle one, or in a new one. No new one is started for calls that have a place in
    /// those that are starting, since these will be up sooner, nor where the line is quicker.
    pub(super) fn spot(&self, want: &Want, in_line: usize, room: &Room) -> Option<Spot> {
        let Some(pooled) = want.pool else {
            return room.fits(want.demand).then_some(Spot::Once);
        };
        let warm = self
            .pool
            .warm(pooled.key, |sandbox| may_occupy(sandbox, room));
        let pays = || in_line > self.coming(pooled.key) && self.start_pays(pooled.key, in_line);
        let new = || room.fits(want.demand) && pays();
        warm.map(Spot::Warm)
            .or_else(|| new().then_some(Spot::New(pooled)))
    }

    /// Whether a waiting call could not even start in a new sandbox. Who only waits for one that is starting lacks
    /// nothing.
    pub(super) fn lacks_room(&self, want: &Want) -> bool {
        let coming = want.pool.map_or(0, |pooled| self.coming(pooled.key));
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
    pub(super) fn occupy(&mut self, want: Want, spot: Spot) -> SandboxUse {
        match spot {
            Spot::Once => {
                self.ledger.take(want.demand);
                SandboxUse::Once
            }
            Spot::New(pooled) => {
                self.count_first_start(pooled.key);
                self.lines
                    .learn(pooled.key, self.now, PoolTimes::start_begun);
                SandboxUse::Start(self.pool.start(
                    self.now,
                    &mut self.ledger,
                    want.demand,
                    pooled,
                    1,
                ))
            }
            Spot::Warm(id) => {
                self.count_progress(id);
                self.pool.change(&mut self.ledger, id, |sandbox| {
                    sandbox.leases += 1;
                    sandbox.phase = Phase::Busy;
                });
                SandboxUse::Reuse(id)
            }
        }
    }

    /// Gives back what a lease took.
    pub(super) fn vacate(&mut self, lease: &Lease, end: SandboxCondition, effects: &mut Effects) {
        self.ledger.leases -= 1;
        let (SandboxUse::Start(id) | SandboxUse::Reuse(id)) = lease.place else {
            return self.ledger.give_back(lease.demand);
        };
        let starting = self.phase(id) == Some(Phase::Starting);
        match end {
            SandboxCondition::NeverStarted if starting => self.forget(id),
            SandboxCondition::StillStarting if starting => {
                self.lines.end_start(id);
                self.pool
                    .change(&mut self.ledger, id, |sandbox| sandbox.leases -= 1);
            }
            _ => self.settle(id, effects, |sandbox| {
                sandbox.leases -= 1;
                sandbox.tainted |= matches!(
                    end,
                    SandboxCondition::Tainted | SandboxCondition::NeverStarted
                );
            }),
        }
    }

    /// Learns from a call that ends for how long it held its place.
    pub(super) fn learn_hold(&mut self, lease: &Lease, end: SandboxCondition) {
        let (SandboxUse::Start(id) | SandboxUse::Reuse(id)) = lease.place else {
            return;
        };
        let Some(sandbox) = self
            .pool
            .get(id)
            .filter(|sandbox| sandbox.phase == Phase::Busy)
        else {
            return;
        };
        let first = matches!(lease.place, SandboxUse::Start(_));
        let held = self
            .now
            .saturating_duration_since(lease.granted.max(sandbox.since));
        let now = self.now;
        self.lines.learn(sandbox.key, now, |times| {
            times.progressed(now);
            if end == SandboxCondition::Clean {
                times.held(held, first);
            }
        });
    }

    /// A start begins: if it is the only one, and no place is in use, those who wait for places begin to count now.
    fn count_first_start(&mut self, key: PoolKey) {
        let (now, places) = (self.now, self.pool.places(key));
        if places.running + places.starting == 0 {
            self.lines.learn(key, now, |times| times.progressed(now));
        }
    }

    /// A place is taken: if it is the only one in use, those who wait for places begin to count now.
    pub(super) fn count_progress(&mut self, id: SandboxId) {
        let (now, Some(key)) = (self.now, self.pool.get(id).map(|sandbox| sandbox.key)) else {
            return;
        };
        if self.pool.places(key).running == 0 {
            self.lines.learn(key, now, |times| times.progressed(now));
        }
    }

    /// Gives back what a lease took that nobody came for: its sandbox is as it was before.
    pub(super) fn vacate_unused(&mut self, lease: &Lease, effects: &mut Effects) {
        let end = if matches!(lease.place, SandboxUse::Start(_)) {
            SandboxCondition::NeverStarted
        } else {
            SandboxCondition::Clean
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
    fn settle(
        &mut self,
        id: SandboxId,
        effects: &mut Effects,
        how: impl FnOnce(&mut PooledSandbox),
    ) {
        let (now, expires) = (self.now, self.now + self.config.idle_max);
        let draining = self.draining;
        self.learn_start(id);
        let after = self.pool.change(&mut self.ledger, id, |sandbox| {
            how(sandbox);
            if sandbox.phase == Phase::Starting {
                sandbox.since = now;
            }
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

    /// A sandbox is up, which may have been starting until now.
    fn learn_start(&mut self, id: SandboxId) {
        self.lines.end_start(id);
        let now = self.now;
        if let Some(sandbox) = self
            .pool
            .get(id)
            .filter(|sandbox| sandbox.phase == Phase::Starting)
        {
            self.lines.learn(sandbox.key, now, |times| {
                times.started(now.saturating_duration_since(sandbox.since));
                times.progressed(now);
            });
        }
    }

    fn phase(&self, id: SandboxId) -> Option<Phase> {
        self.pool.get(id).map(|sandbox| sandbox.phase)
    }
}

/// Whether a call may run in a sandbox that is up: what the sandbox has is kept for longer, what it lacks must be free.
fn may_occupy(sandbox: &PooledSandbox, room: &Room) -> bool {
    let demand = sandbox.demand;
    if sandbox.active() > 0 {
        room.may_stay(demand)
    } else {
        room.may_stay(demand.kept()) && room.fits(demand.running())
    }
}
