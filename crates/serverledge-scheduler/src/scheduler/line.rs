//! Waiting in line or starting a sandbox: whichever is expected to take less time, and never bound to it.
//!
//! A call that finds no free place in its pool waits in line where a start would take longer
//! ([`PoolTimes::start_pays`]). A call that is told to start a sandbox is a *starter* until that is up: a place that
//! becomes free before is its own ([`Verdict::Moved`]), and what it started goes to the next in line, or stays warm.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use lru::LruCache;

use super::warm::Spot;
use super::{Decided, Effects, Lease, SandboxUse, Scheduler, TicketId, TicketOutcome, Verdict};
use crate::arrival::{Arrival, PoolKey, Want};
use crate::bounded::bounded;
use crate::ledger::Room;
use crate::policy::{COLD_START_PRIOR, FUNCTIONS_MAX};
use crate::pool::{PooledSandbox, SandboxId};
use crate::pool_times::{Places, PoolTimes};
use crate::queue::QueuePlace;
use crate::scheduler::calls::LeaseId;

/// Shortest time until a waiting call looks again.
const REVIEW_MIN: Duration = Duration::from_millis(10);

/// A call that starts a sandbox, and has no other yet.
#[derive(Debug, Clone, Copy)]
struct Starter {
    lease: LeaseId,
    want: Want,
    sandbox: SandboxId,
}

/// The times of the pools, and the calls that start sandboxes.
#[derive(Debug)]
pub(super) struct Lines {
    times: LruCache<PoolKey, PoolTimes>,
    /// In the order of service.
    starters: BTreeMap<QueuePlace, Starter>,
    /// The place of each sandbox's starter.
    places: BTreeMap<SandboxId, QueuePlace>,
    /// Leases of starters that were given another sandbox, which their holders do not know yet.
    moved: BTreeMap<LeaseId, (SandboxId, Instant)>,
}

// === impl Lines ===

impl Lines {
    pub(super) fn new() -> Self {
        Self {
            times: bounded(FUNCTIONS_MAX),
            starters: BTreeMap::new(),
            places: BTreeMap::new(),
            moved: BTreeMap::new(),
        }
    }

    fn of(&self, key: PoolKey) -> Option<&PoolTimes> {
        self.times.peek(&key)
    }

    pub(super) fn learn(&mut self, key: PoolKey, now: Instant, learn: impl FnOnce(&mut PoolTimes)) {
        learn(self.times.get_or_insert_mut(key, || PoolTimes::new(now)));
    }

    /// The holder of a lease is to start a sandbox.
    pub(super) fn begin_start(
        &mut self,
        place: QueuePlace,
        lease: LeaseId,
        want: Want,
        sandbox: SandboxId,
    ) {
        self.places.insert(sandbox, place);
        self.starters.insert(
            place,
            Starter {
                lease,
                want,
                sandbox,
            },
        );
    }

    /// The start of a sandbox is over, or its starter needs it no more.
    pub(super) fn end_start(&mut self, id: SandboxId) {
        if let Some(place) = self.places.remove(&id) {
            self.starters.remove(&place);
        }
    }
}

// === impl Scheduler ===

impl Scheduler {
    /// Whether the holder of a lease was given another sandbox than the one that it starts. The lease is for that then;
    /// the one that it starts is the pool's, and is to be reported with [`Scheduler::started`] or
    /// [`Scheduler::failed`] all the same.
    ///
    /// # Panics
    /// If another scheduler issued the lease.
    pub fn moved(&mut self, lease: &mut Lease) -> bool {
        self.check_issuer(lease.issuer);
        let Some((id, at)) = self.lines.moved.remove(&lease.id) else {
            return false;
        };
        (lease.place, lease.granted) = (SandboxUse::Reuse(id), at);
        true
    }

    /// Whether a call of this pool has something to wait for: a sandbox that is up or starting.
    #[must_use]
    pub fn may_serve(&self, key: PoolKey) -> bool {
        self.pool.place_may_become_free(key)
    }

    /// Whether another start makes sense, if so many calls want a place. All wait for one whose call lacks room, for
    /// which the number is the greatest.
    pub(super) fn start_pays(&self, key: PoolKey, in_line: usize) -> bool {
        self.start_pays_beside(key, in_line, Places::default())
    }

    /// The same if these places and starters are added, whose calls are not in line any more.
    pub(super) fn start_pays_beside(&self, key: PoolKey, in_line: usize, more: Places) -> bool {
        let Some(mut times) = self.lines.of(key).copied().filter(|_| in_line < usize::MAX) else {
            return true;
        };
        if more != Places::default() {
            times.start_begun();
        }
        let mut places = self.pool.places(key);
        places.add(more);
        !self.in_time(&times) || times.start_pays(self.now, places, in_line)
    }

    /// Whether a call learns that the line is too slow before it would be turned away.
    fn in_time(&self, times: &PoolTimes) -> bool {
        times.patience() < self.config.wait_max
    }

    /// The number of calls of a pool that may count on a place in sandboxes that are starting.
    pub(super) fn coming(&self, key: PoolKey) -> usize {
        let places = self.pool.places(key);
        let in_vain =
            |times: &PoolTimes| !self.in_time(times) || times.starts_in_vain(self.now, places);
        if self.lines.of(key).is_some_and(in_vain) {
            0
        } else {
            self.pool.coming(key)
        }
    }

    /// The expected time until the last of so many calls has a place.
    pub(super) fn line_wait(&self, key: PoolKey, in_line: usize) -> Option<Duration> {
        self.lines
            .of(key)?
            .line(self.now, self.pool.places(key), in_line)
    }

    /// The time at which a waiting call is to look whether a start pays by now.
    pub(super) fn review(&self, want: &Want, expires: Instant) -> Instant {
        want.pool.map_or(expires, |pooled| {
            let patience = self
                .lines
                .of(pooled.key)
                .map_or(COLD_START_PRIOR, PoolTimes::patience);
            (self.now + patience.max(REVIEW_MIN)).min(expires)
        })
    }

    /// The sandbox that a call could start and rather waits in line for another.
    pub(super) fn rather_waits(&self, arrival: &Arrival) -> Option<Spot> {
        let want = arrival.want();
        let in_line = self.line_with(&want);
        let key = want.pool?.key;
        let waits = in_line > self.coming(key) && !self.start_pays(key, in_line);
        if waits {
            self.spot(&want, usize::MAX, &self.room_for(arrival))
        } else {
            None
        }
    }

    pub(super) fn a_starter_can_move(&self) -> bool {
        self.next_to_move().is_some()
    }

    /// Gives places that are free to starters, as far as nobody in line comes first; whether there was any.
    pub(super) fn move_starters(&mut self, effects: &mut Effects) -> bool {
        let mut any = false;
        while let Some((place, starter, id)) = self.next_to_move() {
            let ticket = place.ticket();
            let unclaimed = matches!(self.outcomes.get(&ticket), Some(TicketOutcome::Granted(_)));
            if unclaimed {
                // Nobody has begun to start it.
                self.forget(starter.sandbox);
            } else {
                // It is the pool's now, as if it were prewarmed.
                self.lines.end_start(starter.sandbox);
                self.pool
                    .change(&mut self.ledger, starter.sandbox, |sandbox| {
                        sandbox.leases -= 1
                    });
            }
            let now_in = self.occupy(starter.want, Spot::Warm(id));
            match self.outcomes.get_mut(&ticket) {
                Some(TicketOutcome::Granted(lease)) => {
                    (lease.place, lease.granted) = (now_in, self.now)
                }
                _ => drop(self.lines.moved.insert(starter.lease, (id, self.now))),
            }
            effects.decided.push(Decided {
                ticket,
                verdict: Verdict::Moved,
            });
            any = true;
        }
        any
    }

    fn next_to_move(&self) -> Option<(QueuePlace, Starter, SandboxId)> {
        if self.lines.starters.is_empty() {
            return None;
        }
        let room = self.ledger.room(self.held());
        self.lines.starters.iter().find_map(|(place, starter)| {
            let key = starter.want.pool?.key;
            let id = self.free_place(key, &starter.want, *place, &room)?;
            Some((*place, *starter, id))
        })
    }

    /// A free place for a starter, which holds the CPU for it already.
    fn free_place(
        &self,
        key: PoolKey,
        want: &Want,
        place: QueuePlace,
        room: &Room,
    ) -> Option<SandboxId> {
        let id = self
            .pool
            .warm(key, |sandbox| may_take_over(sandbox, room))?;
        self.queue
            .first_place(want)
            .is_none_or(|first| place < first)
            .then_some(id)
    }

    /// Takes back the outcome of a call that has only just come, if it was granted: it need not wait.
    pub(super) fn granted_at_once(
        &mut self,
        ticket: TicketId,
        effects: &mut Effects,
    ) -> Option<Lease> {
        match self.outcomes.remove(&ticket)? {
            TicketOutcome::Granted(lease) => {
                self.unclaimed -= 1;
                effects.decided.retain(|one| one.ticket != ticket);
                Some(lease)
            }
            rejected @ TicketOutcome::Rejected(_) => {
                self.outcomes.insert(ticket, rejected);
                None
            }
        }
    }
}

/// Whether a call that holds its CPU may go on in another sandbox, which is kept for longer then.
fn may_take_over(sandbox: &PooledSandbox, room: &Room) -> bool {
    room.may_stay(if sandbox.active() > 0 {
        sandbox.demand
    } else {
        sandbox.demand.kept()
    })
}
