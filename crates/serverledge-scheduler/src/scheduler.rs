//! The state machine: calls arrive, run, wait and leave; every operation takes the time and answers at once.
//!
//! Who holds what: a running call holds a [`Lease`], a waiting one a [`Ticket`]. Both are plain values that cannot be
//! copied and are used up by handing them in, so nothing is given back twice, and what a lease took is what it gives
//! back, whatever has become of the function meanwhile.
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
use crate::ledger::Ledger;
use crate::peers::{PeerId, PeerView};
use crate::policy::{Fit, LocalOnly, Placement, Policy, Sample};
use crate::pool::{Pool, SandboxId};
use crate::queue::{Queue, Waiter};
use crate::snapshot::{Counters, Snapshot};

mod calls;
mod prospects;
mod room;
mod warm;

#[cfg(test)]
pub(crate) mod tests;

pub(crate) use calls::LeaseId;
pub use prospects::Load;

use calls::{Callers, Hold};
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

/// Why a call does not run, and when to try again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rejection {
    /// Which limit was met.
    pub reason: OverloadReason,
    /// When another try makes sense, as far as the recent past tells: between [`crate::RETRY_AFTER_MIN`] and
    /// [`crate::RETRY_AFTER_MAX`].
    pub retry_after: Duration,
}

/// The right of one call to run, and what it took for that. Hand it to [`Scheduler::release`] when the call has ended, however it
/// ended; until then its resources stay taken.
#[derive(Debug)]
#[must_use = "a lease that is not released holds its resources for ever"]
pub struct Lease {
    demand: Demand,
    place: Place,
    granted: Instant,
    issuer: usize,
    id: LeaseId,
    hold: Hold,
}

/// Where a call runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Place {
    /// In a sandbox of its own, used once.
    Once,
    /// In a pooled sandbox that the holder starts. Report [`Scheduler::started`] when it is up, which lets other calls
    /// join; a release as [`End::Clean`] says so too. If it cannot be started, release as [`End::NeverStarted`].
    Start(SandboxId),
    /// In this pooled sandbox, which is up.
    Reuse(SandboxId),
}

/// How a call left its sandbox. Means nothing for [`Place::Once`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum End {
    /// It can serve other calls.
    Clean,
    /// It must not: it crashed, was killed, or cannot be trusted. It is stopped when its last lease is back.
    Tainted,
    /// The holder of [`Place::Start`] could not start it, and nothing of it exists: what it held is free at once. Of a
    /// sandbox that is up this says as much as [`End::Tainted`].
    NeverStarted,
}

/// A place in the queue. Hand it to [`Scheduler::resume`] when it is decided or has expired, or to
/// [`Scheduler::cancel`] when the caller is gone; one of the two, always.
#[derive(Debug)]
#[must_use = "a ticket that is not handed in may hold a lease for ever"]
pub struct Ticket {
    id: TicketId,
    expires: Instant,
    issuer: usize,
}

/// The name of a ticket: for finding whom to wake. Unique in a scheduler; later tickets are greater.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TicketId(u64);

/// A ticket's fate is known: wake its holder, who learns it from [`Scheduler::resume`]. Only a hint: the holder may
/// have gone or come already.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Decided {
    /// Whose.
    pub ticket: TicketId,
    /// Which way.
    pub verdict: Verdict,
}

/// Which way a waiting call was decided.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// A lease is ready.
    Granted,
    /// It does not run.
    Rejected(OverloadReason),
}

/// What the caller must do after an operation, outside its lock. Operations append to it.
#[derive(Debug, Default)]
pub struct Effects {
    /// Whom to wake.
    pub decided: Vec<Decided>,
    /// Which sandboxes to stop. Each is named once, when it has no leases and will have none; report
    /// [`Scheduler::gone`] when it really is, for until then its memory and its place stay taken.
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
    outcomes: BTreeMap<TicketId, Outcome>,
    unclaimed: usize,
    estimate: Estimate,
    counters: Counters,
    now: Instant,
    draining: bool,
    tickets: u64,
    leases: u64,
    callers: Callers,
    /// Its address tells this scheduler's leases and tickets from another's.
    identity: Box<u8>,
}

#[derive(Debug)]
enum Outcome {
    Granted(Lease),
    Rejected(Rejection),
}

// === impl Lease ===

impl Lease {
    /// What its call asked for. A once-only call took just this; for a pooled one see [`crate::Pooled`].
    #[must_use]
    pub const fn demand(&self) -> Demand {
        self.demand
    }

    /// Where it runs.
    #[must_use]
    pub const fn place(&self) -> Place {
        self.place
    }
}

// === impl Ticket ===

impl Ticket {
    /// Its name.
    #[must_use]
    pub const fn id(&self) -> TicketId {
        self.id
    }

    /// When waiting ends; resume it then, if it was not decided before.
    #[must_use]
    pub const fn expires(&self) -> Instant {
        self.expires
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
            (_, _, Some(spot)) => Admission::Run(self.start_at_once(&arrival, spot, effects)),
            (_, _, None) if arrival.nested && self.would_deadlock(&arrival.want()) => {
                Admission::Reject(self.reject(OverloadReason::CallWouldDeadlock))
            }
            (_, _, None) => self.wait(arrival, caller, effects),
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
    pub fn release(&mut self, now: Instant, mut lease: Lease, end: End, effects: &mut Effects) {
        self.check_issuer(lease.issuer);
        self.now = self.now.max(now);
        self.end_suspension(&mut lease, effects);
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
    pub fn resume(&mut self, now: Instant, ticket: Ticket, effects: &mut Effects) -> Admission {
        self.check_issuer(ticket.issuer);
        self.advance(now, effects);
        match self.outcomes.remove(&ticket.id) {
            None => Admission::Wait(ticket),
            Some(Outcome::Rejected(rejection)) => Admission::Reject(rejection),
            Some(Outcome::Granted(lease)) => {
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
            Some(Outcome::Rejected(_)) => {}
            Some(Outcome::Granted(lease)) => {
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

    /// When [`Scheduler::expire`] will next have something to do.
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
    /// [`Snapshot::running`] and [`crate::PooledCounts::total`] are zero. Idempotent; there is no way back.
    pub fn drain(&mut self, now: Instant, effects: &mut Effects) {
        self.now = self.now.max(now);
        self.draining = true;
        while let Some((ticket, _)) = self.queue.oldest() {
            self.turn_away(ticket, OverloadReason::Draining, effects);
        }
        self.stop_all_idle(effects);
    }

    /// The node has become bigger or smaller. Running calls keep what they have; waiting ones that the whole node can
    /// no longer hold are turned away, and idle sandboxes that it has no room for are stopped.
    pub fn set_capacity(&mut self, now: Instant, capacity: Capacity, effects: &mut Effects) {
        self.now = self.now.max(now);
        self.ledger.set_capacity(capacity);
        for ticket in self.queue.select(|demand| !self.ledger.could_fit(demand)) {
            self.turn_away(ticket, OverloadReason::NeverFits, effects);
        }
        self.advance(now, effects);
    }

    /// The state in numbers.
    #[must_use]
    pub fn snapshot(&self) -> Snapshot {
        Snapshot {
            capacity: self.ledger.capacity(),
            free: self.ledger.free(),
            held_back: self.fairness.held(),
            running: self.ledger.leases(),
            suspended: self.callers.len(),
            unclaimed: self.unclaimed,
            waiting: self.queue.by_class(),
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
        if !self.queue.is_empty() {
            self.serve(effects);
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

    /// Who starts next, and where: the first nested call that fits; else the call with the claim, as soon as it fits; else, at
    /// a turn, the longest waiting; else the first in the order of service. The latter two only if they fit beside the
    /// claim, and all but nested calls beside the first nested one.
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
            let lease = self.lease(waiter.arrival.want(), spot);
            self.outcomes.insert(ticket, Outcome::Granted(lease));
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
        let in_line = if self.queue.is_empty() {
            1
        } else {
            self.queue.in_line(want) + 1
        };
        let held = if arrival.nested {
            self.held_for_returning()
        } else {
            self.held()
        };
        let spot = self.spot(want, in_line, &self.ledger.room(held));
        (if spot.is_some() { Fit::Now } else { Fit::Later }, spot)
    }

    fn start_at_once(&mut self, arrival: &Arrival, spot: Spot, effects: &mut Effects) -> Lease {
        let passes = !self.queue.is_empty();
        if passes && !arrival.nested {
            self.fairness.started();
        }
        self.counters.started_at_once += 1;
        let lease = self.lease(arrival.want(), spot);
        self.counters.placed(lease.place);
        if passes {
            // It may have taken what others counted on.
            self.make_room(effects);
        }
        lease
    }

    fn lease(&mut self, want: Want, spot: Spot) -> Lease {
        if self.ledger.leases() == 0 {
            self.estimate.busy_again(self.now);
        }
        self.ledger.lease_out();
        let place = self.occupy(want, spot);
        let id = LeaseId(self.leases);
        self.leases += 1;
        Lease {
            demand: want.demand,
            place,
            granted: self.now,
            issuer: self.issuer(),
            id,
            hold: Hold::Running,
        }
    }

    fn wait(
        &mut self,
        arrival: Arrival,
        caller: Option<LeaseId>,
        effects: &mut Effects,
    ) -> Admission {
        if self.queue.len() >= self.config.queue_capacity && !self.displace_for(&arrival, effects) {
            return Admission::Reject(self.reject(OverloadReason::QueueFull));
        }
        let id = self.next_ticket();
        let waiter = self.waiter(arrival, caller);
        self.queue.push(id, waiter);
        self.make_room(effects);
        Admission::Wait(Ticket {
            id,
            expires: waiter.expires,
            issuer: self.issuer(),
        })
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

    /// Who would have to yield to this call in a full queue.
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
        self.outcomes.insert(ticket, Outcome::Rejected(rejection));
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
                    .retry_after(self.now, self.ledger.leases(), self.queue.len())
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
