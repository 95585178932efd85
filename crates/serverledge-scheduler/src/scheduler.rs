//! The state machine: calls arrive, run, wait and leave; every operation takes the time and answers at once.
//!
//! Two values stand for a call: a running call holds a [`Lease`], a waiting one a [`Ticket`]. Both are plain values
//! that cannot be copied and are used up when they are handed in, so nothing is given back twice. A lease gives back
//! what it took, whatever has become of the function meanwhile.
//!
//! A ticket that is granted keeps its lease *here* until its holder comes for it with [`Scheduler::resume`]. Whoever
//! wakes the holder learns the [`TicketId`] only, with which nothing can be taken or lost. So a caller that goes away
//! hands its ticket to [`Scheduler::cancel`], without asking whether it was granted a moment ago: one call gives up
//! the place in the queue, or the lease, or nothing, as the case may be.
//!
//! A pooled call's lease is for a place in a sandbox that exists beside it: `warm` has what becomes of those, `room`
//! who of them yields when calls wait.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use serverledge_core::OverloadReason;

use crate::arrival::{Arrival, Demand, Rank, Want};
use crate::config::{Capacity, Config, IDLE_CEILING, WAIT_CEILING};
use crate::estimate::{Estimate, RETRY_AFTER_MAX, RETRY_AFTER_MIN};
use crate::fairness::Fairness;
use crate::ledger::{Ledger, Room};
use crate::peers::{PeerId, PeerView};
use crate::policy::{Fit, LocalOnly, Placement, Policy, Sample};
use crate::pool::{Pool, SandboxId};
use crate::queue::{Queue, QueuePlace, Waiter};
use crate::snapshot::{Counters, SchedulerSnapshot};

mod calls;
mod line;
mod prospects;
mod room;
mod warm;

#[cfg(test)]
pub(crate) mod tests;

pub(crate) use calls::LeaseId;
pub use prospects::Load;

use calls::{Callers, Hold};
use line::Lines;
use warm::Spot;

/// The answer to a call that asks to run.
#[derive(Debug)]
#[must_use = "a dropped lease or ticket is never given back"]
pub enum Admission {
    /// Run it now.
    Run(Lease),
    /// It waits; bring the ticket back.
    Wait(Ticket),
    /// Send it to this peer; nothing is held for it here.
    Offload(PeerId),
    /// It does not run.
    Reject(Rejection),
}

/// The reason why a call does not run, and the time after which to try again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rejection {
    /// The limit that was met.
    pub reason: OverloadReason,
    /// The time after which another try makes sense, as far as the recent past tells: between
    /// [`crate::RETRY_AFTER_MIN`] and [`crate::RETRY_AFTER_MAX`].
    pub retry_after: Duration,
}

/// The right of one call to run, and what it took for that. Hand it to [`Scheduler::release`] when the call has ended, however it
/// ended; until then its resources stay taken.
#[derive(Debug)]
#[must_use = "a lease that is not released holds its resources for ever"]
pub struct Lease {
    demand: Demand,
    place: SandboxUse,
    granted: Instant,
    issuer: usize,
    id: LeaseId,
    ticket: TicketId,
    hold: Hold,
}

/// The place in which a call runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum SandboxUse {
    /// In a sandbox of its own, used once.
    Once,
    /// In a pooled sandbox that the holder starts. Report [`Scheduler::started`] when it is up, which lets other calls
    /// join; a release as [`SandboxCondition::Clean`] says so too. If it cannot be started, report
    /// [`Scheduler::failed`], or release as [`SandboxCondition::NeverStarted`]. Until it is up the lease may be given
    /// another sandbox that is: see [`Verdict::Moved`].
    Start(SandboxId),
    /// In this pooled sandbox, which is up.
    Reuse(SandboxId),
}

/// The state in which a call left its sandbox. It means nothing for [`SandboxUse::Once`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum SandboxCondition {
    /// It can serve other calls.
    Clean,
    /// It must not: it crashed, was killed, or cannot be trusted. It is stopped when its last lease is back.
    Tainted,
    /// The holder of [`SandboxUse::Start`] could not start it, and nothing of it exists: what it held is free at once. Of a
    /// sandbox that is up this says as much as [`SandboxCondition::Tainted`].
    NeverStarted,
    /// The holder of [`SandboxUse::Start`] does not wait for it any more, and the start goes on: [`Scheduler::started`]
    /// or [`Scheduler::failed`] will tell its end. Of a sandbox that is up this says as much as
    /// [`SandboxCondition::Clean`].
    StillStarting,
}

/// A place in the queue. Hand it to [`Scheduler::resume`] when it is decided or has expired, or to
/// [`Scheduler::cancel`] when the caller is gone; one of the two, always.
#[derive(Debug)]
#[must_use = "a ticket that is not handed in may hold a lease for ever"]
pub struct Ticket {
    id: TicketId,
    expires: Instant,
    review: Instant,
    issuer: usize,
}

/// The name of a ticket: for finding whom to wake. Unique in a scheduler; later tickets are greater.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TicketId(u64);

/// A ticket's fate is known: wake its holder, who learns it from [`Scheduler::resume`]. Only a hint: the holder may
/// have gone or come already.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Decided {
    /// The ticket of the call.
    pub ticket: TicketId,
    /// The decision.
    pub verdict: Verdict,
}

/// The decision on a waiting call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// A lease is ready.
    Granted,
    /// It does not run.
    Rejected(OverloadReason),
    /// It has a lease, or was granted one, for a sandbox that it starts, and was given another one, which is up:
    /// [`Scheduler::moved`] changes a lease that it has. The ticket is [`Lease::ticket`].
    Moved,
}

/// The work that the caller must do after an operation, outside its lock. Operations append to it.
#[derive(Debug, Default)]
pub struct Effects {
    /// Waiting calls that were decided, whose holders are to be woken.
    pub decided: Vec<Decided>,
    /// Sandboxes to stop. Each is named once, when it has no leases and will have none. Report [`Scheduler::gone`] when
    /// it is really gone: until then its memory and its place stay taken.
    pub stop: Vec<SandboxId>,
}

/// Admission to one node.
///
/// Times come from the caller. Operations may reach the lock in another order than their clocks were read, so a time
/// earlier than the latest seen counts as the latest seen.
///
/// Every operation turns away what has expired, starts what can start, and finds out which idle sandboxes must yield;
/// it appends the tickets so decided and the sandboxes to be stopped to `effects`. That never allocates while nobody
/// waits and no sandbox is to be stopped.
#[derive(Debug)]
pub struct Scheduler {
    config: Config,
    policy: Box<dyn Policy>,
    ledger: Ledger,
    pool: Pool,
    queue: Queue,
    fairness: Fairness,
    /// Tickets whose holders have not come since they were decided.
    outcomes: BTreeMap<TicketId, TicketOutcome>,
    unclaimed: usize,
    estimate: Estimate,
    counters: Counters,
    now: Instant,
    draining: bool,
    tickets: u64,
    leases: u64,
    callers: Callers,
    lines: Lines,
    /// Its address tells this scheduler's leases and tickets from another's.
    identity: Box<u8>,
}

#[derive(Debug)]
enum TicketOutcome {
    Granted(Lease),
    Rejected(Rejection),
}

// === impl Lease ===

impl Lease {
    /// The demand of its call. A once-only call took just this; for a pooled one see [`crate::Pooled`].
    #[must_use]
    pub const fn demand(&self) -> Demand {
        self.demand
    }

    /// The place in which the call runs.
    #[must_use]
    pub const fn place(&self) -> SandboxUse {
        self.place
    }

    /// The name by which [`Verdict::Moved`] tells of it.
    #[must_use]
    pub const fn ticket(&self) -> TicketId {
        self.ticket
    }
}

// === impl Ticket ===

impl Ticket {
    /// Its name.
    #[must_use]
    pub const fn id(&self) -> TicketId {
        self.id
    }

    /// The time at which waiting ends; resume it then, if it was not decided before.
    #[must_use]
    pub const fn expires(&self) -> Instant {
        self.expires
    }

    /// The time at which it should be resumed if it was not decided before: not later than it expires. A call that
    /// waits for a sandbox of its pool may have waited for as long as a start would have taken.
    #[must_use]
    pub const fn review(&self) -> Instant {
        self.review
    }
}

// === impl Scheduler ===

impl Scheduler {
    /// An idle node that runs everything itself.
    #[must_use]
    pub fn new(config: Config, now: Instant) -> Self {
        Self::with_policy(config, Box::new(LocalOnly), now)
    }

    /// An idle node with this policy.
    #[must_use]
    pub fn with_policy(config: Config, policy: Box<dyn Policy>, now: Instant) -> Self {
        Self {
            config: Config {
                wait_max: config.wait_max.min(WAIT_CEILING),
                idle_max: config.idle_max.min(IDLE_CEILING),
                ..config
            },
            policy,
            ledger: Ledger::new(config.capacity),
            pool: Pool::default(),
            queue: Queue::default(),
            fairness: Fairness::new(now, config.patience),
            outcomes: BTreeMap::new(),
            unclaimed: 0,
            estimate: Estimate::new(now),
            counters: Counters::default(),
            now,
            draining: false,
            tickets: 0,
            leases: 0,
            callers: Callers::default(),
            lines: Lines::new(),
            identity: Box::new(0),
        }
    }

    /// Decides about a new call. With a full queue, a call above the low class displaces the last waiting call, if
    /// that one is of the low class and has waited less than the patience.
    ///
    /// Only an arrival that may be offloaded is, and only to one of `peers`. If that peer refuses it, ask again with
    /// the peer among those tried.
    pub fn admit(
        &mut self,
        now: Instant,
        arrival: Arrival,
        peers: PeerView<'_>,
        effects: &mut Effects,
    ) -> Admission {
        self.advance(now, effects);
        self.decide(arrival, None, peers, effects)
    }

    /// The same, for a state that is up to date.
    fn decide(
        &mut self,
        arrival: Arrival,
        caller: Option<LeaseId>,
        peers: PeerView<'_>,
        effects: &mut Effects,
    ) -> Admission {
        if self.draining {
            return Admission::Reject(self.reject(OverloadReason::Draining));
        }
        if arrival
            .deadline
            .is_some_and(|deadline| deadline <= self.now)
        {
            return Admission::Reject(self.reject(OverloadReason::Deadline));
        }
        let (fit, spot) = self.fit(&arrival);
        let local = self.local_view(&arrival, fit, spot.as_ref());
        let placement = if arrival.placed {
            Placement::Local
        } else {
            self.policy.place(self.now, &arrival, &local, peers)
        };
        match (placement, fit, spot) {
            (Placement::Reject(reason), ..) => Admission::Reject(self.reject(reason)),
            (Placement::Peer(peer), ..) if arrival.may_offload => {
                self.counters.offloaded += 1;
                Admission::Offload(peer)
            }
            // Too big for this node, and no other one can take it now.
            (_, Fit::Never, _) if arrival.may_offload && self.policy.offloads() => {
                Admission::Reject(self.reject(OverloadReason::NoPeer))
            }
            (_, Fit::Never, _) => Admission::Reject(self.reject(OverloadReason::NeverFits)),
            // Whoever is first in line gets the sandbox that is started.
            (_, _, Some(spot @ Spot::New(_)))
                if self.queue.first_place(&arrival.want()).is_some() =>
            {
                self.wait(arrival, caller, Some(spot), effects)
            }
            (_, _, Some(spot)) => Admission::Run(self.start_at_once(&arrival, spot, effects)),
            (_, _, None) if arrival.nested && self.would_deadlock(&arrival.want()) => {
                Admission::Reject(self.reject(OverloadReason::CallWouldDeadlock))
            }
            (_, _, None) => self.wait(arrival, caller, None, effects),
        }
    }

    /// A call gave a result, here or on a peer: the policy learns from it.
    pub fn learn(&mut self, now: Instant, sample: Sample) {
        self.now = self.now.max(now);
        self.policy.learn(self.now, &sample);
    }

    /// A call has ended; what its lease took is free again. A pooled sandbox whose last lease this was is kept for the
    /// next call or stopped, as `end` says.
    ///
    /// # Panics
    /// If another scheduler issued the lease.
    pub fn release(
        &mut self,
        now: Instant,
        mut lease: Lease,
        end: SandboxCondition,
        effects: &mut Effects,
    ) {
        self.check_issuer(lease.issuer);
        self.now = self.now.max(now);
        // Whoever does not know of another sandbox has not used it, and tells of the one that it was to start.
        let known = lease.place;
        let unused = self.moved(&mut lease);
        if let (true, SandboxUse::Start(id), SandboxCondition::NeverStarted) = (unused, known, end)
        {
            self.not_started(id);
        }
        let end = if unused { SandboxCondition::Clean } else { end };
        self.end_suspension(&mut lease, effects);
        if let (SandboxUse::Start(id), SandboxCondition::NeverStarted) = (lease.place, end) {
            self.not_started(id);
        }
        if !unused {
            self.learn_hold(&lease, end);
        }
        self.vacate(&lease, end, effects);
        self.estimate
            .released(self.now, self.now.saturating_duration_since(lease.granted));
        self.counters.released += 1;
        self.advance(now, effects);
    }

    /// The holder of a ticket asks what became of it: a lease, a rejection, or the ticket again if it still waits.
    /// Needs no [`Scheduler::expire`] before it.
    ///
    /// # Panics
    /// If another scheduler issued the ticket.
    pub fn resume(&mut self, now: Instant, mut ticket: Ticket, effects: &mut Effects) -> Admission {
        self.check_issuer(ticket.issuer);
        self.advance(now, effects);
        match self.outcomes.remove(&ticket.id) {
            None => {
                let want = self
                    .queue
                    .get(ticket.id)
                    .map(|waiter| waiter.arrival.want());
                ticket.review =
                    want.map_or(ticket.expires, |want| self.review(&want, ticket.expires));
                Admission::Wait(ticket)
            }
            Some(TicketOutcome::Rejected(rejection)) => Admission::Reject(rejection),
            Some(TicketOutcome::Granted(lease)) => {
                self.unclaimed -= 1;
                self.counters.started_after_wait += 1;
                self.counters.placed(lease.place);
                Admission::Run(lease)
            }
        }
    }

    /// The caller behind a ticket is gone. Right in every state: a waiting call leaves the queue, a granted one gives
    /// its resources back, a rejected one is forgotten.
    ///
    /// # Panics
    /// If another scheduler issued the ticket.
    #[expect(clippy::needless_pass_by_value, reason = "the ticket is used up")]
    pub fn cancel(&mut self, now: Instant, ticket: Ticket, effects: &mut Effects) {
        self.check_issuer(ticket.issuer);
        self.now = self.now.max(now);
        match self.outcomes.remove(&ticket.id) {
            Some(TicketOutcome::Rejected(_)) => {}
            Some(TicketOutcome::Granted(lease)) => {
                self.vacate_unused(&lease, effects);
                self.unclaimed -= 1;
                self.counters.cancelled += 1;
            }
            None => {
                let _ = self.leave(ticket.id);
                self.counters.cancelled += 1;
            }
        }
        self.advance(now, effects);
    }

    /// Turns away whatever waited too long, and stops sandboxes that were idle for too long. The former each ticket's
    /// holder can see to by itself.
    pub fn expire(&mut self, now: Instant, effects: &mut Effects) {
        self.advance(now, effects);
    }

    /// The time at which [`Scheduler::expire`] will next have something to do.
    #[must_use]
    pub fn next_expiry(&self) -> Option<Instant> {
        self.queue
            .next_expiry()
            .into_iter()
            .chain(self.next_idle_expiry())
            .min()
    }

    /// From now on every new call is turned away, and all waiting ones are. What runs or is granted goes on. Idle
    /// sandboxes are stopped now, the others when their last lease is back. The node is empty when
    /// [`SchedulerSnapshot::running`] and [`crate::PooledCounts::total`] are zero. Idempotent; there is no way back.
    pub fn drain(&mut self, now: Instant, effects: &mut Effects) {
        self.now = self.now.max(now);
        self.draining = true;
        while let Some((ticket, _)) = self.queue.oldest() {
            self.turn_away(ticket, OverloadReason::Draining, effects);
        }
        // No claim keeps a free place from those who start a sandbox any more.
        self.move_starters(effects);
        self.stop_all_idle(effects);
    }

    /// The node has become bigger or smaller. Running calls keep what they have; waiting ones that the whole node can
    /// no longer hold are turned away, and idle sandboxes that it has no room for are stopped.
    pub fn set_capacity(&mut self, now: Instant, capacity: Capacity, effects: &mut Effects) {
        self.now = self.now.max(now);
        self.ledger.capacity = capacity;
        for ticket in self.queue.select(|demand| !self.ledger.could_fit(demand)) {
            self.turn_away(ticket, OverloadReason::NeverFits, effects);
        }
        self.advance(now, effects);
    }

    /// The state in numbers.
    #[must_use]
    pub fn snapshot(&self) -> SchedulerSnapshot {
        SchedulerSnapshot {
            capacity: self.ledger.capacity,
            free: self.ledger.free(),
            held_back: self.fairness.held(),
            running: self.ledger.leases,
            suspended: self.callers.len(),
            unclaimed: self.unclaimed,
            waiting: self.queue.by_class,
            draining: self.draining,
            pooled: self.pool.counts(),
            idle_memory: self.idle_memory(),
            counters: self.counters,
        }
    }

    /// Brings the state up to `now`. Afterwards no waiting call and no idle sandbox has expired; no waiting call could
    /// start, except beside a claim; and none waits for what idle sandboxes hold, if they are enough.
    fn advance(&mut self, now: Instant, effects: &mut Effects) {
        self.now = self.now.max(now);
        if self.callers.anybody_returns() {
            self.serve_returning(effects);
        }
        while self.move_starters(effects) || !self.queue.is_empty() {
            self.serve(effects);
            if !self.a_starter_can_move() {
                break;
            }
        }
        if self.pool.has_idle() {
            self.expire_idle(effects);
            self.make_room(effects);
        }
    }

    fn serve(&mut self, effects: &mut Effects) {
        while let Some((ticket, waiter)) = self.queue.expired(self.now) {
            let reason = waiter.expires_as;
            self.turn_away(ticket, reason, effects);
        }
        while let Some((ticket, spot)) = self.next_to_start() {
            self.grant(ticket, spot, effects);
        }
        self.refuse_deadlocked(effects);
    }

    /// The next call to start, and its place: the first nested call that fits; else the call with the claim, as soon as
    /// it fits; else, at a turn, the longest waiting; else the first in the order of service. The latter two only if
    /// they fit beside the claim, and all but nested calls beside the first nested one.
    fn next_to_start(&mut self) -> Option<(TicketId, Spot)> {
        if self.queue.has_nested() {
            let room = self.ledger.room(self.held_for_returning());
            let first = self
                .queue
                .first_nested_with(|want, in_line| self.spot(want, in_line, &room));
            if first.is_some() {
                return first;
            }
        }
        if let Some(claim) = self.fairness.claim()
            && let Some(spot) = self.spot(
                &claim.want,
                usize::MAX,
                &self.ledger.room(self.held_for_calls()),
            )
        {
            return Some((claim.ticket, spot));
        }
        self.claim_for_oldest();
        let room = self.ledger.room(self.held());
        let spot = |want: &Want, in_line| self.spot(want, in_line, &room);
        if self.fairness.turn_is_due() {
            self.queue.oldest_with(spot)
        } else {
            self.queue.first_with(spot)
        }
    }

    /// Holds resources back for the longest waiting call, if it is its turn and its size is what keeps it waiting.
    fn claim_for_oldest(&mut self) {
        let Some((ticket, waiter)) = self.queue.oldest() else {
            return;
        };
        let want = waiter.arrival.want();
        if self.fairness.may_claim(self.now, waiter) && self.lacks_room(&want) {
            self.fairness.set_claim(self.now, ticket, want);
        }
    }

    fn grant(&mut self, ticket: TicketId, spot: Spot, effects: &mut Effects) {
        let claimed = self
            .fairness
            .claim()
            .is_some_and(|claim| claim.ticket == ticket);
        if let Some(waiter) = self.queue.remove(ticket) {
            if claimed {
                self.fairness.claim_served()
            } else if !waiter.arrival.nested {
                self.fairness.started()
            }
            let want = waiter.arrival.want();
            if let (Spot::Warm(_), Some(pooled)) = (spot, want.pool) {
                let waited = self.now.saturating_duration_since(waiter.since);
                self.lines
                    .learn(pooled.key, self.now, |times| times.waited(waited));
            }
            let lease = self.lease(&waiter.arrival, spot, ticket);
            self.outcomes.insert(ticket, TicketOutcome::Granted(lease));
            self.unclaimed += 1;
            effects.decided.push(Decided {
                ticket,
                verdict: Verdict::Granted,
            });
        }
    }

    /// Whether and where a new call could start. Nobody who waits could (see `advance`), so it passes nobody who might
    /// have.
    fn fit(&self, arrival: &Arrival) -> (Fit, Option<Spot>) {
        let want = &arrival.want();
        if !self.ledger.could_fit(want.demand) {
            return (Fit::Never, None);
        }
        let spot = self.spot(want, self.line_with(want), &self.room_for(arrival));
        let fits = spot.is_some() || self.rather_waits(arrival).is_some();
        (if fits { Fit::Now } else { Fit::Later }, spot)
    }

    /// The number of calls that want this, one more included.
    fn line_with(&self, want: &Want) -> usize {
        if self.queue.is_empty() {
            1
        } else {
            self.queue.in_line(want) + 1
        }
    }

    fn room_for(&self, arrival: &Arrival) -> Room {
        self.ledger.room(if arrival.nested {
            self.held_for_returning()
        } else {
            self.held()
        })
    }

    fn start_at_once(&mut self, arrival: &Arrival, spot: Spot, effects: &mut Effects) -> Lease {
        let passes = !self.queue.is_empty();
        if passes && !arrival.nested {
            self.fairness.started();
        }
        self.counters.started_at_once += 1;
        let ticket = self.next_ticket();
        let lease = self.lease(arrival, spot, ticket);
        self.counters.placed(lease.place);
        if passes {
            // It may have taken what others counted on.
            self.make_room(effects);
        }
        lease
    }

    fn lease(&mut self, arrival: &Arrival, spot: Spot, ticket: TicketId) -> Lease {
        let want = arrival.want();
        if self.ledger.leases == 0 {
            self.estimate.busy_again(self.now);
        }
        self.ledger.leases += 1;
        let place = self.occupy(want, spot);
        let id = LeaseId(self.leases);
        self.leases += 1;
        if let SandboxUse::Start(sandbox) = place {
            self.lines
                .begin_start(QueuePlace::new(ticket, arrival), id, want, sandbox);
        }
        Lease {
            demand: want.demand,
            place,
            granted: self.now,
            issuer: self.issuer(),
            id,
            ticket,
            hold: Hold::Running,
        }
    }

    /// It gets in line; `start`: because of it, the first in line has this sandbox to start. If there is no place in
    /// the queue, it starts that itself.
    fn wait(
        &mut self,
        arrival: Arrival,
        caller: Option<LeaseId>,
        start: Option<Spot>,
        effects: &mut Effects,
    ) -> Admission {
        let full = self.queue.len() >= self.config.queue_capacity;
        if full && let Some(spot) = start.or_else(|| self.rather_waits(&arrival)) {
            return Admission::Run(self.start_at_once(&arrival, spot, effects));
        }
        if full && !self.displace_for(&arrival, effects) {
            return Admission::Reject(self.reject(OverloadReason::QueueFull));
        }
        let id = self.next_ticket();
        let waiter = self.waiter(arrival, caller);
        self.queue.push(id, waiter);
        if start.is_some() {
            self.serve(effects);
        }
        self.make_room(effects);
        match self.granted_at_once(id, effects) {
            Some(lease) => {
                self.counters.started_at_once += 1;
                self.counters.placed(lease.place);
                Admission::Run(lease)
            }
            None => Admission::Wait(self.ticket(id, &waiter)),
        }
    }

    fn ticket(&self, id: TicketId, waiter: &Waiter) -> Ticket {
        let review = self.review(&waiter.arrival.want(), waiter.expires);
        Ticket {
            id,
            expires: waiter.expires,
            review,
            issuer: self.issuer(),
        }
    }

    fn waiter(&self, arrival: Arrival, caller: Option<LeaseId>) -> Waiter {
        let longest = self.now + self.config.wait_max;
        let (expires, expires_as) = match arrival.deadline {
            Some(deadline) if deadline <= longest => (deadline, OverloadReason::Deadline),
            _ => (longest, OverloadReason::WaitedTooLong),
        };
        Waiter {
            arrival,
            caller,
            since: self.now,
            expires,
            expires_as,
        }
    }

    /// Makes room in a full queue for this call; false if nobody has to yield to it.
    fn displace_for(&mut self, arrival: &Arrival, effects: &mut Effects) -> bool {
        let Some(ticket) = self.displaceable(arrival) else {
            return false;
        };
        self.turn_away(ticket, OverloadReason::QueueFull, effects);
        true
    }

    /// The waiting call that would have to yield to this call in a full queue.
    fn displaceable(&self, arrival: &Arrival) -> Option<TicketId> {
        let (ticket, last) = self.queue.last()?;
        let low = last.arrival.class.rank() == Rank::Low && arrival.class.rank() > Rank::Low;
        let goes_first = if last.arrival.nested {
            false
        } else {
            arrival.nested || low
        };
        (goes_first && !self.fairness.out_of_patience(self.now, last)).then_some(ticket)
    }

    fn turn_away(&mut self, ticket: TicketId, reason: OverloadReason, effects: &mut Effects) {
        if let Some(caller) = self.leave(ticket).and_then(|waiter| waiter.caller) {
            self.call_refused(caller, ticket);
        }
        let rejection = self.reject(reason);
        self.outcomes
            .insert(ticket, TicketOutcome::Rejected(rejection));
        effects.decided.push(Decided {
            ticket,
            verdict: Verdict::Rejected(reason),
        });
    }

    /// A waiting call leaves the queue without a start.
    fn leave(&mut self, ticket: TicketId) -> Option<Waiter> {
        self.fairness.left(self.now, ticket);
        self.queue.remove(ticket)
    }

    fn reject(&mut self, reason: OverloadReason) -> Rejection {
        self.counters.rejected.count(reason);
        let retry_after = match reason {
            // Only another configuration helps.
            OverloadReason::NeverFits => RETRY_AFTER_MAX,
            // Another node may take it at once, or news of one may come at any time.
            OverloadReason::Draining | OverloadReason::NoPeer => RETRY_AFTER_MIN,
            OverloadReason::QueueFull
            | OverloadReason::WaitedTooLong
            | OverloadReason::Deadline
            | OverloadReason::CallWouldDeadlock => {
                self.estimate
                    .retry_after(self.now, self.ledger.leases, self.queue.len())
            }
        };
        Rejection {
            reason,
            retry_after,
        }
    }

    fn issuer(&self) -> usize {
        std::ptr::from_ref::<u8>(&self.identity).addr()
    }

    /// A lease or ticket in the wrong scheduler is a fault in the program, and going on would spoil the books.
    fn check_issuer(&self, issuer: usize) {
        assert_eq!(
            issuer,
            self.issuer(),
            "leases and tickets go back to the scheduler that issued them"
        );
    }
}
