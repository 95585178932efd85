//! Rules that keep the order of service from starving any call: turns for the longest waiting, and claims for the big.
//!
//! - **Turns.** Of [`TURN_EVERY`] successive starts while calls wait, one goes to the longest waiting call that fits,
//!   whatever its class and deadline. So a call that fits, with *p* older ones before it, starts within
//!   `TURN_EVERY * (p + 1)` starts.
//! - **Claims.** If at a turn the longest waiting call of all does not fit and has waited for the patience, its demand
//!   is held back: nothing that could delay it starts any more, and it starts as soon as enough leases have ended.
//! - **Pauses.** A claim that ends without a start (the caller left, or time ran out) is followed by a time without
//!   claims as long as it lasted, so that calls too big ever to start cost at most half of the node's time.

use std::time::{Duration, Instant};

use crate::arrival::{Demand, Want};
use crate::queue::Waiter;
use crate::scheduler::TicketId;

/// One start in so many belongs to the longest waiting: a quarter keeps low classes moving and leaves the higher
/// ones most of the node.
pub const TURN_EVERY: u32 = 4;

/// Resources held back for one waiting call.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Claim {
    pub(crate) ticket: TicketId,
    pub(crate) want: Want,
    since: Instant,
}

/// The state of the turns, and the claim of a big call if there is one.
#[derive(Debug)]
pub(crate) struct Fairness {
    patience: Duration,
    starts_since_turn: u32,
    claim: Option<Claim>,
    paused_until: Instant,
}

impl Fairness {
    pub(crate) const fn new(now: Instant, patience: Duration) -> Self {
        Self {
            patience,
            starts_since_turn: 0,
            claim: None,
            paused_until: now,
        }
    }

    pub(crate) const fn claim(&self) -> Option<Claim> {
        self.claim
    }

    /// The demand that must stay free for the claim.
    pub(crate) fn held(&self) -> Demand {
        self.claim.map_or(Demand::NONE, |claim| claim.want.demand)
    }

    /// Whether the next start belongs to the longest waiting.
    pub(crate) const fn turn_is_due(&self) -> bool {
        self.starts_since_turn + 1 >= TURN_EVERY
    }

    /// Whether a call has waited so long that it is neither passed over nor displaced.
    pub(crate) fn out_of_patience(&self, now: Instant, waiter: &Waiter) -> bool {
        now.saturating_duration_since(waiter.since) >= self.patience
    }

    /// Whether the longest waiting may claim now, if it does not fit.
    pub(crate) fn may_claim(&self, now: Instant, oldest: &Waiter) -> bool {
        self.claim.is_none()
            && self.turn_is_due()
            && now >= self.paused_until
            && self.out_of_patience(now, oldest)
    }

    pub(crate) const fn set_claim(&mut self, now: Instant, ticket: TicketId, want: Want) {
        self.claim = Some(Claim {
            ticket,
            want,
            since: now,
        });
    }

    /// A call started while others waited.
    pub(crate) const fn started(&mut self) {
        self.starts_since_turn = if self.turn_is_due() {
            0
        } else {
            self.starts_since_turn + 1
        };
    }

    /// The call with the claim started: that was a turn.
    pub(crate) const fn claim_served(&mut self) {
        self.claim = None;
        self.starts_since_turn = 0;
    }

    /// A waiting call left without a start.
    pub(crate) fn left(&mut self, now: Instant, ticket: TicketId) {
        if let Some(claim) = self.claim.take_if(|claim| claim.ticket == ticket) {
            self.paused_until = now + now.saturating_duration_since(claim.since);
        }
    }
}
