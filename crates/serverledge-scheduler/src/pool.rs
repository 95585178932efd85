//! The pooled sandboxes: each is in one phase, and every index of them follows from it.
//!
//! [`Pool::change`] is the only way in which a sandbox changes: it takes the sandbox out of the indices and the books as
//! it was and enters it as it is then. So neither can drift from the sandboxes themselves.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fmt;
use std::time::Instant;

use serverledge_core::MemoryMib;

use crate::arrival::{Demand, PoolKey, Pooled};
use crate::ledger::Ledger;
use crate::pool_times::Places;
use crate::snapshot::{PooledCounts, PooledView};

/// The number of leases that a sandbox with several places may have for each place, those waiting in calls included: as
/// many again as run, so that callers do not pile up in it without bound.
const CALLERS_PER_PLACE: u16 = 2;

/// The name of a pooled sandbox. Unique in a scheduler; later ones are greater.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SandboxId(u64);

/// The phases of a sandbox's life.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Phase {
    /// Not yet up. It has the lease of the call that starts it, or none if it is prewarmed or that call has another.
    Starting,
    /// Up, with leases.
    Busy,
    /// Up, without leases.
    Idle { expires: Instant },
    /// The caller was told to stop it.
    Stopping,
}

/// A pooled sandbox.
#[derive(Debug, Clone, Copy)]
pub(crate) struct PooledSandbox {
    pub(crate) key: PoolKey,
    pub(crate) demand: Demand,
    pub(crate) phase: Phase,
    pub(crate) leases: u16,
    /// The number of them that are suspended, those that return included.
    pub(crate) suspended: u16,
    /// The number of those that return.
    pub(crate) returning: u16,
    /// The number of those that keep what the sandbox holds from becoming free.
    pub(crate) stuck: u16,
    /// Takes no new lease.
    pub(crate) tainted: bool,
    /// The number of leases that it can have at once.
    places: u16,
    /// Counts the times that any sandbox became idle.
    idle_turn: u64,
    /// The time at which its start began; once it is up, the time at which it came up.
    pub(crate) since: Instant,
}

/// The sandboxes of one key that are not being stopped; never without any.
#[derive(Debug, Default)]
struct Shelf {
    /// The last became idle last.
    idle: VecDeque<SandboxId>,
    /// Those that can be joined, by the number of free places.
    open: BTreeSet<(u16, SandboxId)>,
    /// Free places in those that are starting.
    coming: usize,
    places: Places,
    /// The number of sandboxes, in whatever phase; as long as there is one, the shelf keeps its buffers.
    members: usize,
}

/// All pooled sandboxes.
#[derive(Debug, Default)]
pub(crate) struct Pool {
    sandboxes: BTreeMap<SandboxId, PooledSandbox>,
    shelves: BTreeMap<PoolKey, Shelf>,
    /// The idle ones by `idle_turn`: the longest idle is first and expires first.
    idle: BTreeMap<u64, (Instant, SandboxId)>,
    /// The memory that those hold.
    idle_memory: u64,
    ids: u64,
    idle_turns: u64,
}

// === impl SandboxId ===

impl fmt::Display for SandboxId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

// === impl PooledSandbox ===

impl PooledSandbox {
    fn view(&self, now: Instant) -> PooledView {
        PooledView {
            key: self.key,
            state: match self.phase {
                Phase::Starting => "starting",
                Phase::Busy => "busy",
                Phase::Idle { .. } => "idle",
                Phase::Stopping => "stopping",
            },
            age: now.saturating_duration_since(self.since),
            memory: self.demand.kept().memory,
        }
    }

    /// Leases whose holders run in it.
    pub(crate) const fn active(&self) -> u16 {
        self.leases - self.suspended
    }

    /// Whether one who returns has a place. Where calls come one at a time, a suspended one keeps it.
    pub(crate) const fn has_place_to_return(&self) -> bool {
        self.places == 1 || self.active() < self.places
    }

    /// The number of leases that it can have in addition. A suspended lease leaves its place to another one, except
    /// where there is only one; with those that wait, twice as many as run.
    fn free_places(&self) -> u16 {
        if self.places == 1 {
            return 1_u16.saturating_sub(self.leases);
        }
        let running = self.places.saturating_sub(self.active() + self.returning);
        running.min(
            self.places
                .saturating_mul(CALLERS_PER_PLACE)
                .saturating_sub(self.leases),
        )
    }

    fn taken(&self) -> Demand {
        if self.active() > 0 {
            self.demand
        } else {
            self.demand.kept()
        }
    }

    fn coming(&self) -> usize {
        if self.phase == Phase::Starting && !self.tainted {
            self.free_places().into()
        } else {
            0
        }
    }

    /// Its part of the places of its pool.
    fn part(&self) -> Places {
        match self.phase {
            _ if self.tainted => Places::default(),
            Phase::Starting => Places {
                running: 0,
                starting: self.places.into(),
                starters: self.leases.into(),
            },
            Phase::Busy => Places {
                running: self.active().into(),
                ..Places::default()
            },
            Phase::Idle { .. } | Phase::Stopping => Places::default(),
        }
    }

    fn is_open(&self) -> bool {
        self.phase == Phase::Busy && !self.tainted && self.free_places() > 0
    }

    /// Whether a call of its key may find a place in it without the end of any suspended lease.
    fn place_may_become_free(&self) -> bool {
        let moves = self.phase != Phase::Busy || self.active() > 0 || self.stuck < self.suspended;
        !self.tainted && self.phase != Phase::Stopping && (moves || self.is_open())
    }

    fn enter(&self, ledger: &mut Ledger) {
        ledger.take(self.taken());
        if self.stuck > 0 {
            ledger.stick(self.demand.kept());
        }
        if self.phase == Phase::Stopping {
            ledger.leave(self.demand.kept());
        }
    }

    fn leave(&self, ledger: &mut Ledger) {
        if self.stuck > 0 {
            ledger.unstick(self.demand.kept());
        }
        if self.phase == Phase::Stopping {
            ledger.left_for_good(self.demand.kept());
        } else {
            ledger.give_back(self.taken());
        }
    }
}

// === impl Shelf ===

impl Shelf {
    fn put(&mut self, id: SandboxId, sandbox: &PooledSandbox) {
        self.coming += sandbox.coming();
        self.places.add(sandbox.part());
        self.members += usize::from(sandbox.phase != Phase::Stopping);
        if sandbox.is_open() {
            self.open.insert((sandbox.free_places(), id));
        }
        if matches!(sandbox.phase, Phase::Idle { .. }) {
            self.idle.push_back(id);
        }
    }

    fn take(&mut self, id: SandboxId, sandbox: &PooledSandbox) {
        self.coming -= sandbox.coming();
        self.places.subtract(sandbox.part());
        self.members -= usize::from(sandbox.phase != Phase::Stopping);
        if sandbox.is_open() {
            self.open.remove(&(sandbox.free_places(), id));
        }
        if matches!(sandbox.phase, Phase::Idle { .. }) {
            self.take_idle(id);
        }
    }

    /// Calls take the last, time and want of memory the first; only a crash takes another.
    fn take_idle(&mut self, id: SandboxId) {
        if self.idle.back() == Some(&id) {
            self.idle.pop_back();
        } else if let Some(at) = self.idle.iter().position(|other| *other == id) {
            self.idle.remove(at);
        }
    }
}

// === impl Pool ===

impl Pool {
    /// All sandboxes, the oldest first.
    pub(crate) fn views(&self, now: Instant) -> Vec<PooledView> {
        self.sandboxes
            .values()
            .map(|sandbox| sandbox.view(now))
            .collect()
    }

    /// A new sandbox, to be started by the holder of its one lease, or by whoever prewarms it.
    pub(crate) fn start(
        &mut self,
        now: Instant,
        ledger: &mut Ledger,
        demand: Demand,
        pooled: Pooled,
        leases: u16,
    ) -> SandboxId {
        let id = SandboxId(self.ids);
        self.ids += 1;
        let sandbox = PooledSandbox {
            key: pooled.key,
            demand,
            phase: Phase::Starting,
            leases,
            suspended: 0,
            returning: 0,
            stuck: 0,
            tainted: false,
            places: pooled.concurrency.max(1),
            idle_turn: 0,
            since: now,
        };
        sandbox.enter(ledger);
        self.shelves
            .entry(sandbox.key)
            .or_default()
            .put(id, &sandbox);
        self.sandboxes.insert(id, sandbox);
        id
    }

    pub(crate) fn get(&self, id: SandboxId) -> Option<&PooledSandbox> {
        self.sandboxes.get(&id)
    }

    /// Changes a sandbox, if there is one of that name, and returns it as it is then.
    pub(crate) fn change(
        &mut self,
        ledger: &mut Ledger,
        id: SandboxId,
        how: impl FnOnce(&mut PooledSandbox),
    ) -> Option<PooledSandbox> {
        let sandbox = self.sandboxes.get_mut(&id)?;
        let before = *sandbox;
        how(sandbox);
        if matches!(sandbox.phase, Phase::Idle { .. }) {
            sandbox.idle_turn = self.idle_turns;
            self.idle_turns += 1;
        }
        let after = *sandbox;
        before.leave(ledger);
        after.enter(ledger);
        self.reindex(id, &before, Some(&after));
        Some(after)
    }

    /// A sandbox is gone; its resources are free.
    pub(crate) fn remove(&mut self, ledger: &mut Ledger, id: SandboxId) {
        if let Some(sandbox) = self.sandboxes.remove(&id) {
            sandbox.leave(ledger);
            self.reindex(id, &sandbox, None);
        }
    }

    fn reindex(&mut self, id: SandboxId, before: &PooledSandbox, after: Option<&PooledSandbox>) {
        if matches!(before.phase, Phase::Idle { .. }) {
            self.idle.remove(&before.idle_turn);
            self.idle_memory -= before.demand.memory.get();
        }
        if let Some(PooledSandbox {
            phase: Phase::Idle { expires },
            idle_turn,
            demand,
            ..
        }) = after
        {
            self.idle.insert(*idle_turn, (*expires, id));
            self.idle_memory += demand.memory.get();
        }
        let shelf = self.shelves.entry(before.key).or_default();
        shelf.take(id, before);
        if let Some(after) = after {
            shelf.put(id, after);
        }
        if shelf.members == 0 {
            self.shelves.remove(&before.key);
        }
    }

    /// A sandbox of this key that is up and passes the test. Of those with calls and a free place the fullest, so that
    /// the others empty and give their CPU back; else the one that became idle last: its caches are warmest, and the
    /// others may expire.
    pub(crate) fn warm(
        &self,
        key: PoolKey,
        test: impl Fn(&PooledSandbox) -> bool,
    ) -> Option<SandboxId> {
        let shelf = self.shelves.get(&key)?;
        let passes = |id: &SandboxId| self.sandboxes.get(id).is_some_and(&test);
        // As a rule the first: only one in which nobody runs may lack what another has.
        let joined = shelf.open.iter().map(|(_, id)| *id).find(|id| passes(id));
        joined.or_else(|| shelf.idle.back().copied().filter(passes))
    }

    /// Whether there is a sandbox of this key that is not being stopped.
    pub(crate) fn has(&self, key: PoolKey) -> bool {
        self.shelves.contains_key(&key)
    }

    /// Whether a call of this key may find a place in a sandbox that there is, without the end of any suspended lease.
    pub(crate) fn place_may_become_free(&self, key: PoolKey) -> bool {
        self.sandboxes
            .values()
            .any(|sandbox| sandbox.key == key && sandbox.place_may_become_free())
    }

    /// The number of calls of this key that have a place in sandboxes that are starting.
    pub(crate) fn coming(&self, key: PoolKey) -> usize {
        self.shelves.get(&key).map_or(0, |shelf| shelf.coming)
    }

    /// The places of the sandboxes of this key.
    pub(crate) fn places(&self, key: PoolKey) -> Places {
        self.shelves
            .get(&key)
            .map_or_else(Places::default, |shelf| shelf.places)
    }

    /// Idle sandboxes, the longest idle first.
    pub(crate) fn idle(&self) -> impl Iterator<Item = (SandboxId, &PooledSandbox)> {
        self.idle
            .values()
            .filter_map(|(_, id)| self.sandboxes.get(id).map(|sandbox| (*id, sandbox)))
    }

    pub(crate) fn has_idle(&self) -> bool {
        !self.idle.is_empty()
    }

    /// The resources that the idle ones hold.
    pub(crate) fn idle_kept(&self) -> Demand {
        let containers = u32::try_from(self.idle.len()).unwrap_or(u32::MAX);
        Demand {
            memory: MemoryMib::new(self.idle_memory),
            containers,
            ..Demand::NONE
        }
    }

    /// The time at which the first idle sandbox expires, and that sandbox.
    pub(crate) fn next_expiry(&self) -> Option<(Instant, SandboxId)> {
        self.idle.first_key_value().map(|(_, next)| *next)
    }

    /// All sandboxes of a key, or of all keys.
    pub(crate) fn ids(&self, key: Option<PoolKey>) -> Vec<SandboxId> {
        let chosen = self
            .sandboxes
            .iter()
            .filter(|(_, sandbox)| key.is_none_or(|key| sandbox.key == key));
        chosen.map(|(id, _)| *id).collect()
    }

    pub(crate) fn counts(&self) -> PooledCounts {
        let mut counts = PooledCounts::default();
        self.sandboxes
            .values()
            .for_each(|sandbox| *counts.of(sandbox.phase) += 1);
        counts
    }

    pub(crate) fn idle_by_key(&self) -> Vec<(PoolKey, usize)> {
        let shelves = self
            .shelves
            .iter()
            .filter(|(_, shelf)| !shelf.idle.is_empty());
        shelves
            .map(|(key, shelf)| (*key, shelf.idle.len()))
            .collect()
    }
}
