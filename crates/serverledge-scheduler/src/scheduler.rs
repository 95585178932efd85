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

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use serverledge_core::OverloadReason;

use crate::arrival::{Arrival, Demand, QosClass, Rank};
use crate::config::{Capacity, Config, WAIT_CEILING};
use crate::estimate::{Estimate, RETRY_AFTER_MAX, RETRY_AFTER_MIN};
use crate::fairness::Fairness;
use crate::ledger::Ledger;
use crate::policy::{Fit, LocalOnly, LocalView, PeerView, Placement, Policy};
use crate::queue::{Queue, Waiter};
use crate::snapshot::{Counters, Snapshot};

#[cfg(test)]
pub(crate) mod tests;

/// The answer to a call that asks to run. Offloading to a peer will be a variant of its own (design §5).
#[derive(Debug)]
#[must_use = "a dropped lease or ticket is never given back"]
pub enum Admission {
    /// Run it now.
    Run(Lease),
    /// It waits; bring the ticket back.
    Wait(Ticket),
    /// It does not run here.
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

/// What one running call took from the node. Hand it to [`Scheduler::release`] when the call has ended, however it
/// ended; until then its resources stay taken.
#[derive(Debug)]
#[must_use = "a lease that is not released holds its resources for ever"]
pub struct Lease {
    demand: Demand,
    granted: Instant,
    issuer: usize,
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

/// Admission to one node.
///
/// Times come from the caller. Operations may reach the lock in another order than their clocks were read, so a time
/// earlier than the latest seen counts as the latest seen.
///
/// Every operation first turns away what has expired and starts what can start, and appends the tickets so decided to
/// `decided`. That never allocates while nobody waits.
#[derive(Debug)]
pub struct Scheduler {
    config: Config,
    policy: Box<dyn Policy>,
    ledger: Ledger,
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
    /// What it took.
    #[must_use]
    pub const fn demand(&self) -> Demand {
        self.demand
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
            config: Config { wait_max: config.wait_max.min(WAIT_CEILING), ..config },
            policy,
            ledger: Ledger::new(config.capacity),
            queue: Queue::default(),
            fairness: Fairness::new(now, config.patience),
            outcomes: BTreeMap::new(),
            unclaimed: 0,
            estimate: Estimate::new(now),
            counters: Counters::default(),
            now,
            draining: false,
            tickets: 0,
            identity: Box::new(0),
        }
    }

    /// Decides about a new call. With a full queue, a call above the low class displaces the last waiting call, if
    /// that one is of the low class and has waited less than the patience.
    pub fn admit(&mut self, now: Instant, arrival: Arrival, decided: &mut Vec<Decided>) -> Admission {
        self.advance(now, decided);
        if self.draining {
            return Admission::Reject(self.reject(OverloadReason::Draining));
        }
        if arrival.deadline.is_some_and(|deadline| deadline <= self.now) {
            return Admission::Reject(self.reject(OverloadReason::Deadline));
        }
        let local = LocalView { fit: self.fit(arrival.demand) };
        match (self.policy.place(self.now, &arrival, &local, &PeerView), local.fit) {
            (Placement::Reject(reason), _) => Admission::Reject(self.reject(reason)),
            (Placement::Local, Fit::Never) => Admission::Reject(self.reject(OverloadReason::NeverFits)),
            (Placement::Local, Fit::Now) => Admission::Run(self.start_at_once(arrival.demand)),
            (Placement::Local, Fit::Later) => self.wait(arrival, decided),
        }
    }

    /// A call has ended, well or not; what its lease took is free again.
    ///
    /// # Panics
    /// If another scheduler issued the lease.
    #[expect(clippy::needless_pass_by_value, reason = "the lease is used up")]
    pub fn release(&mut self, now: Instant, lease: Lease, decided: &mut Vec<Decided>) {
        self.check_issuer(lease.issuer);
        self.now = self.now.max(now);
        self.ledger.give_back(lease.demand);
        self.estimate.released(self.now, self.now.saturating_duration_since(lease.granted));
        self.counters.released += 1;
        self.advance(now, decided);
    }

    /// The holder of a ticket asks what became of it: a lease, a rejection, or the ticket again if it still waits.
    /// Needs no [`Scheduler::expire`] before it.
    ///
    /// # Panics
    /// If another scheduler issued the ticket.
    pub fn resume(&mut self, now: Instant, ticket: Ticket, decided: &mut Vec<Decided>) -> Admission {
        self.check_issuer(ticket.issuer);
        self.advance(now, decided);
        match self.outcomes.remove(&ticket.id) {
            None => Admission::Wait(ticket),
            Some(Outcome::Rejected(rejection)) => Admission::Reject(rejection),
            Some(Outcome::Granted(lease)) => {
                self.unclaimed -= 1;
                self.counters.started_after_wait += 1;
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
    pub fn cancel(&mut self, now: Instant, ticket: Ticket, decided: &mut Vec<Decided>) {
        self.check_issuer(ticket.issuer);
        self.now = self.now.max(now);
        match self.outcomes.remove(&ticket.id) {
            Some(Outcome::Rejected(_)) => {}
            Some(Outcome::Granted(lease)) => {
                self.ledger.give_back(lease.demand);
                self.unclaimed -= 1;
                self.counters.cancelled += 1;
            }
            None => {
                self.leave(ticket.id);
                self.counters.cancelled += 1;
            }
        }
        self.advance(now, decided);
    }

    /// Turns away whatever waited too long. For a caller that does not let each ticket's holder keep the time.
    pub fn expire(&mut self, now: Instant, decided: &mut Vec<Decided>) {
        self.advance(now, decided);
    }

    /// When [`Scheduler::expire`] will next have something to do.
    #[must_use]
    pub fn next_expiry(&self) -> Option<Instant> {
        self.queue.next_expiry()
    }

    /// From now on every new call is turned away, and all waiting ones are. What runs or is granted goes on; the node
    /// is empty when [`Snapshot::running`] is zero. Idempotent; there is no way back.
    pub fn drain(&mut self, now: Instant, decided: &mut Vec<Decided>) {
        self.now = self.now.max(now);
        self.draining = true;
        while let Some((ticket, _)) = self.queue.oldest() {
            self.turn_away(ticket, OverloadReason::Draining, decided);
        }
    }

    /// The node has become bigger or smaller. Running calls keep what they have; waiting ones that the whole node can
    /// no longer hold are turned away.
    pub fn set_capacity(&mut self, now: Instant, capacity: Capacity, decided: &mut Vec<Decided>) {
        self.now = self.now.max(now);
        self.ledger.set_capacity(capacity);
        for ticket in self.queue.select(|demand| !self.ledger.could_fit(demand)) {
            self.turn_away(ticket, OverloadReason::NeverFits, decided);
        }
        self.advance(now, decided);
    }

    /// The state in numbers.
    #[must_use]
    pub fn snapshot(&self) -> Snapshot {
        Snapshot {
            capacity: self.ledger.capacity(),
            free: self.ledger.free(),
            held_back: self.fairness.held(),
            running: self.ledger.leases(),
            unclaimed: self.unclaimed,
            waiting: self.queue.by_class(),
            draining: self.draining,
            counters: self.counters,
        }
    }

    /// Brings the state up to `now`. Afterwards no waiting call has expired, and none could start, except beside a
    /// claim.
    fn advance(&mut self, now: Instant, decided: &mut Vec<Decided>) {
        self.now = self.now.max(now);
        if self.queue.is_empty() {
            return;
        }
        while let Some((ticket, waiter)) = self.queue.expired(self.now) {
            let reason = waiter.expires_as;
            self.turn_away(ticket, reason, decided);
        }
        while let Some(ticket) = self.next_to_start() {
            self.grant(ticket, decided);
        }
    }

    /// Who starts next: the call with the claim, as soon as it fits; else, at a turn, the longest waiting; else the
    /// first in the order of service. The latter two only if they fit beside the claim.
    fn next_to_start(&mut self) -> Option<TicketId> {
        if let Some(claim) = self.fairness.claim()
            && self.ledger.fits(claim.demand, Demand::NONE)
        {
            return Some(claim.ticket);
        }
        self.claim_for_oldest();
        let held = self.fairness.held();
        let fits = |demand| self.ledger.fits(demand, held);
        if self.fairness.turn_is_due() { self.queue.oldest_fitting(fits) } else { self.queue.first_fitting(fits) }
    }

    /// Holds resources back for the longest waiting call, if it is its turn and its size is what keeps it waiting.
    fn claim_for_oldest(&mut self) {
        let Some((ticket, waiter)) = self.queue.oldest() else { return };
        let demand = waiter.arrival.demand;
        if self.fairness.may_claim(self.now, waiter) && !self.ledger.fits(demand, Demand::NONE) {
            self.fairness.set_claim(self.now, ticket, demand);
        }
    }

    fn grant(&mut self, ticket: TicketId, decided: &mut Vec<Decided>) {
        let claimed = self.fairness.claim().is_some_and(|claim| claim.ticket == ticket);
        if claimed {
            self.fairness.claim_served()
        } else {
            self.fairness.started()
        }
        if let Some(waiter) = self.queue.remove(ticket) {
            let lease = self.lease(waiter.arrival.demand);
            self.outcomes.insert(ticket, Outcome::Granted(lease));
            self.unclaimed += 1;
            decided.push(Decided { ticket, verdict: Verdict::Granted });
        }
    }

    /// Whether a new call could start. Nobody who waits could (see `advance`), so it passes nobody who might have.
    fn fit(&self, demand: Demand) -> Fit {
        if !self.ledger.could_fit(demand) {
            Fit::Never
        } else if self.ledger.fits(demand, self.fairness.held()) {
            Fit::Now
        } else {
            Fit::Later
        }
    }

    fn start_at_once(&mut self, demand: Demand) -> Lease {
        if !self.queue.is_empty() {
            self.fairness.started();
        }
        self.counters.started_at_once += 1;
        self.lease(demand)
    }

    fn lease(&mut self, demand: Demand) -> Lease {
        if self.ledger.leases() == 0 {
            self.estimate.busy_again(self.now);
        }
        self.ledger.reserve(demand);
        Lease { demand, granted: self.now, issuer: self.issuer() }
    }

    fn wait(&mut self, arrival: Arrival, decided: &mut Vec<Decided>) -> Admission {
        if self.queue.len() >= self.config.queue_capacity && !self.displace_for(arrival.class, decided) {
            return Admission::Reject(self.reject(OverloadReason::QueueFull));
        }
        let id = TicketId(self.tickets);
        self.tickets += 1;
        let waiter = self.waiter(arrival);
        self.queue.push(id, waiter);
        Admission::Wait(Ticket { id, expires: waiter.expires, issuer: self.issuer() })
    }

    fn waiter(&self, arrival: Arrival) -> Waiter {
        let longest = self.now + self.config.wait_max;
        let (expires, expires_as) = match arrival.deadline {
            Some(deadline) if deadline <= longest => (deadline, OverloadReason::Deadline),
            _ => (longest, OverloadReason::WaitedTooLong),
        };
        Waiter { arrival, since: self.now, expires, expires_as }
    }

    /// Makes room in a full queue for a call of this class; false if nobody has to yield to it.
    fn displace_for(&mut self, class: QosClass, decided: &mut Vec<Decided>) -> bool {
        let Some((ticket, last)) = self.queue.last() else { return false };
        let low = last.arrival.class.rank() == Rank::Low && class.rank() > Rank::Low;
        let yields = low && !self.fairness.out_of_patience(self.now, last);
        if yields {
            self.turn_away(ticket, OverloadReason::QueueFull, decided);
        }
        yields
    }

    fn turn_away(&mut self, ticket: TicketId, reason: OverloadReason, decided: &mut Vec<Decided>) {
        self.leave(ticket);
        let rejection = self.reject(reason);
        self.outcomes.insert(ticket, Outcome::Rejected(rejection));
        decided.push(Decided { ticket, verdict: Verdict::Rejected(reason) });
    }

    /// A waiting call leaves the queue without a start.
    fn leave(&mut self, ticket: TicketId) {
        self.queue.remove(ticket);
        self.fairness.left(self.now, ticket);
    }

    fn reject(&mut self, reason: OverloadReason) -> Rejection {
        self.counters.rejected.count(reason);
        let retry_after = match reason {
            // Only another configuration helps.
            OverloadReason::NeverFits => RETRY_AFTER_MAX,
            // Another node may take it at once.
            OverloadReason::Draining => RETRY_AFTER_MIN,
            OverloadReason::QueueFull | OverloadReason::WaitedTooLong | OverloadReason::Deadline => {
                self.estimate.retry_after(self.now, self.ledger.leases(), self.queue.len())
            }
        };
        Rejection { reason, retry_after }
    }

    fn issuer(&self) -> usize {
        std::ptr::from_ref::<u8>(&self.identity).addr()
    }

    /// A lease or ticket in the wrong scheduler is a fault in the program, and going on would spoil the books.
    fn check_issuer(&self, issuer: usize) {
        assert_eq!(issuer, self.issuer(), "leases and tickets go back to the scheduler that issued them");
    }
}
