//! Calls that running calls make: a caller that waits in one gives back its CPU and its place among the running, keeps its
//! memory, and takes both again before anybody else.
//!
//! A lease is *suspended* from its first outstanding call until its last has ended, then it *returns*: it waits, ahead of every
//! arrival, for the CPU that it gave back. What suspended leases keep is *stuck*: no time frees it but their own calls'. So a
//! nested call that could start only with what is stuck waits for nobody who can run, and is refused. A caller all of whose
//! calls were refused is as good as back: what it keeps is stuck no more. `docs/decisions/0014-calls.md` has the argument.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

use serverledge_core::OverloadReason;

use super::{Admission, Decided, Effects, Lease, SandboxUse, Scheduler, TicketId, Verdict};
use crate::arrival::{Arrival, Demand, Want};
use crate::peers::PeerView;
use crate::pool::SandboxId;

/// Names a lease within its scheduler.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct LeaseId(pub(super) u64);

/// The state of a lease's holder, as its lease knows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Hold {
    /// It runs.
    Running,
    /// It waits in calls.
    Suspended,
    /// Its calls have ended. It waits for its CPU while the ticket is among those that return; it runs once it is not.
    Returning(TicketId),
}

/// A suspended lease.
#[derive(Debug)]
struct Caller {
    demand: Demand,
    place: SandboxUse,
    /// Its outstanding calls.
    calls: u32,
    /// Those of them that were turned away, of which it will learn.
    refused: BTreeSet<TicketId>,
}

/// A lease that returns.
#[derive(Debug, Clone, Copy)]
struct Return {
    demand: Demand,
    place: SandboxUse,
}

/// All leases that do not run.
#[derive(Debug, Default)]
pub(super) struct Callers {
    suspended: BTreeMap<LeaseId, Caller>,
    /// In the order in which they asked.
    returning: BTreeMap<TicketId, Return>,
}

// === impl Callers ===

impl Callers {
    pub(super) fn len(&self) -> usize {
        self.suspended.len() + self.returning.len()
    }

    pub(super) fn anybody_returns(&self) -> bool {
        !self.returning.is_empty()
    }
}

// === impl Caller ===

impl Caller {
    fn is_stuck(&self) -> bool {
        self.calls as usize > self.refused.len()
    }
}

// === impl Scheduler ===

impl Scheduler {
    /// Decides about a call that the holder of `caller` makes. If it runs, waits or goes to a peer, the caller is suspended until
    /// [`Scheduler::call_ended`] was called as often as this; a rejection changes nothing.
    ///
    /// The call goes before all that come from outside. It is refused ([`OverloadReason::CallWouldDeadlock`]) where only leases
    /// that wait in calls hold what it needs, at once or as soon as that becomes so.
    ///
    /// # Panics
    /// If another scheduler issued the lease.
    pub fn admit_nested(
        &mut self,
        now: Instant,
        caller: &mut Lease,
        arrival: Arrival,
        peers: PeerView<'_>,
        effects: &mut Effects,
    ) -> Admission {
        self.check_issuer(caller.issuer);
        // First those who could start before: what the caller gives back is for its call.
        self.advance(now, effects);
        let ran = self.begin_call(caller, effects);
        let admission = self.decide(
            Arrival {
                nested: true,
                ..arrival
            },
            Some(caller.id),
            peers,
            effects,
        );
        if matches!(admission, Admission::Reject(_)) {
            self.end_call(caller, None, ran);
        }
        self.advance(now, effects);
        admission
    }

    /// A call of this lease's holder has ended, or was given up; `ticket` is the one it waited with, if it did. With the last
    /// one the lease returns: ask [`Scheduler::regain`] whether it runs.
    ///
    /// # Panics
    /// If another scheduler issued the lease.
    pub fn call_ended(
        &mut self,
        now: Instant,
        caller: &mut Lease,
        ticket: Option<TicketId>,
        effects: &mut Effects,
    ) {
        self.check_issuer(caller.issuer);
        self.end_call(caller, ticket, false);
        self.advance(now, effects);
    }

    /// Whether the holder of a lease may go on: `None` if it runs, or waits in other calls; else the ticket that will be among
    /// [`Effects::decided`] when that has changed. There is nothing to hand in for it.
    pub fn regain(&mut self, caller: &mut Lease) -> Option<TicketId> {
        self.see(caller);
        if let Hold::Returning(ticket) = caller.hold {
            Some(ticket)
        } else {
            None
        }
    }

    /// A lease that returned and was let runs.
    pub(super) fn see(&mut self, lease: &mut Lease) {
        self.moved(lease);
        if let Hold::Returning(ticket) = lease.hold
            && !self.callers.returning.contains_key(&ticket)
        {
            lease.hold = Hold::Running;
        }
    }

    /// Counts a call; whether its caller ran until now.
    pub(super) fn begin_call(&mut self, lease: &mut Lease, effects: &mut Effects) -> bool {
        self.see(lease);
        if let Some(id) = sandbox_of(lease.place) {
            // Whoever calls is where it stays.
            self.lines.end_start(id);
        }
        let ran = lease.hold == Hold::Running;
        match lease.hold {
            Hold::Running => self.suspend(lease.demand, lease.place),
            Hold::Returning(ticket) => self.stop_returning(ticket, effects),
            Hold::Suspended => {}
        }
        lease.hold = Hold::Suspended;
        let demand = lease.demand;
        let place = lease.place;
        let new = || Caller {
            demand,
            place,
            calls: 0,
            refused: BTreeSet::new(),
        };
        let caller = self.callers.suspended.remove(&lease.id).unwrap_or_else(new);
        self.change_caller(lease.id, caller, |caller| caller.calls += 1);
        ran
    }

    /// Counts the end of a call. `at_once`: nothing has happened since it began, so that its caller just goes on.
    fn end_call(&mut self, lease: &mut Lease, ticket: Option<TicketId>, at_once: bool) {
        if lease.hold != Hold::Suspended {
            return;
        }
        let Some(mut caller) = self.callers.suspended.remove(&lease.id) else {
            return;
        };
        let was_stuck = caller.is_stuck();
        caller.calls = caller.calls.saturating_sub(1);
        if let Some(ticket) = ticket {
            caller.refused.remove(&ticket);
        }
        self.stick(caller.demand, caller.place, was_stuck, caller.is_stuck());
        if caller.calls > 0 {
            self.callers.suspended.insert(lease.id, caller);
        } else if at_once {
            self.unsuspend(lease.demand, lease.place);
            lease.hold = Hold::Running;
        } else {
            let ticket = self.next_ticket();
            self.mark_returning(lease.place, true);
            self.callers.returning.insert(
                ticket,
                Return {
                    demand: lease.demand,
                    place: lease.place,
                },
            );
            lease.hold = Hold::Returning(ticket);
        }
    }

    /// A call of this lease was turned away, of which its holder does not know yet.
    pub(super) fn call_refused(&mut self, caller: LeaseId, ticket: TicketId) {
        if let Some(suspended) = self.callers.suspended.remove(&caller) {
            self.change_caller(caller, suspended, |caller| {
                caller.refused.insert(ticket);
            });
        }
    }

    /// The lease is being given back by a holder that does not run: it takes what it gave up, on paper, so that it can give
    /// everything back.
    pub(super) fn end_suspension(&mut self, lease: &mut Lease, effects: &mut Effects) {
        self.see(lease);
        match lease.hold {
            Hold::Running => return,
            Hold::Returning(ticket) => self.stop_returning(ticket, effects),
            Hold::Suspended => {
                if let Some(caller) = self.callers.suspended.remove(&lease.id) {
                    self.stick(caller.demand, caller.place, caller.is_stuck(), false);
                }
            }
        }
        self.unsuspend(lease.demand, lease.place);
        lease.hold = Hold::Running;
    }

    /// Lets those go on whose calls have ended, in the order in which they asked. Who lacks CPU keeps it from all behind.
    pub(super) fn serve_returning(&mut self, effects: &mut Effects) {
        let mut cpu_is_short = false;
        let asking: Vec<_> = self
            .callers
            .returning
            .iter()
            .map(|(ticket, asks)| (*ticket, *asks))
            .collect();
        for (ticket, Return { demand, place }) in asking {
            let (has_place, needs) = self.lacks_to_return(demand, place);
            if !has_place {
                continue;
            }
            if needs != Demand::NONE {
                cpu_is_short = cpu_is_short || !self.ledger.regains(needs);
                if cpu_is_short {
                    continue;
                }
            }
            self.stop_returning(ticket, effects);
            self.unsuspend(demand, place);
        }
    }

    /// The demand that is kept free for those who return.
    pub(super) fn held_for_returning(&self) -> Demand {
        let needs = self
            .callers
            .returning
            .values()
            .map(|asks| self.lacks_to_return(asks.demand, asks.place).1);
        needs.fold(Demand::NONE, Demand::plus)
    }

    /// The demand that is kept free from arrivals from outside: for those who return, and for the first nested call
    /// that lacks room.
    pub(super) fn held_for_calls(&self) -> Demand {
        let first = self
            .queue
            .first_nested()
            .filter(|(_, want)| self.lacks_room(want));
        self.held_for_returning()
            .plus(first.map_or(Demand::NONE, |(_, want)| want.demand))
    }

    /// The demand that is kept free from arrivals from outside, claims included.
    pub(super) fn held(&self) -> Demand {
        let claimed = self.fairness.held();
        if self.callers.anybody_returns() || self.queue.has_nested() {
            claimed.plus(self.held_for_calls())
        } else {
            claimed
        }
    }

    /// Whether there is a place for it in its sandbox, and what it needs beside.
    fn lacks_to_return(&self, demand: Demand, place: SandboxUse) -> (bool, Demand) {
        let sandbox = sandbox_of(place).and_then(|id| self.pool.get(id));
        match sandbox {
            Some(sandbox) if !sandbox.has_place_to_return() => (false, Demand::NONE),
            Some(sandbox) if sandbox.active() > 0 => (true, Demand::NONE),
            _ => (true, demand.running()),
        }
    }

    /// Whether a nested call that wants this could start only with what suspended leases keep.
    pub(super) fn would_deadlock(&self, want: &Want) -> bool {
        self.ledger.anything_stuck()
            && !self.ledger.can_become_free(want.demand)
            && want
                .pool
                .is_none_or(|pooled| !self.pool.place_may_become_free(pooled.key))
    }

    /// Turns nested calls away that wait for nobody who can run: the latest first, and no more than that takes, since their
    /// callers will run then.
    pub(super) fn refuse_deadlocked(&mut self, effects: &mut Effects) {
        while self.ledger.anything_stuck()
            && let Some(ticket) = self.queue.latest_nested(|want| self.would_deadlock(want))
        {
            self.turn_away(ticket, OverloadReason::CallWouldDeadlock, effects);
        }
    }

    pub(super) fn next_ticket(&mut self) -> TicketId {
        let id = TicketId(self.tickets);
        self.tickets += 1;
        id
    }

    fn stop_returning(&mut self, ticket: TicketId, effects: &mut Effects) {
        if let Some(asked) = self.callers.returning.remove(&ticket) {
            self.mark_returning(asked.place, false);
            effects.decided.push(Decided {
                ticket,
                verdict: Verdict::Granted,
            });
        }
    }

    fn change_caller(&mut self, id: LeaseId, mut caller: Caller, change: impl FnOnce(&mut Caller)) {
        let was_stuck = caller.is_stuck();
        change(&mut caller);
        self.stick(caller.demand, caller.place, was_stuck, caller.is_stuck());
        self.callers.suspended.insert(id, caller);
    }

    /// Gives back what only running calls have.
    fn suspend(&mut self, demand: Demand, place: SandboxUse) {
        match sandbox_of(place) {
            None => self.ledger.give_back(demand.running()),
            Some(id) => drop(
                self.pool
                    .change(&mut self.ledger, id, |sandbox| sandbox.suspended += 1),
            ),
        }
    }

    /// Takes it again.
    fn unsuspend(&mut self, demand: Demand, place: SandboxUse) {
        match sandbox_of(place) {
            None => self.ledger.take(demand.running()),
            Some(id) => {
                self.count_progress(id);
                self.pool
                    .change(&mut self.ledger, id, |sandbox| sandbox.suspended -= 1);
            }
        }
    }

    fn mark_returning(&mut self, place: SandboxUse, returns: bool) {
        if let Some(id) = sandbox_of(place) {
            self.pool.change(&mut self.ledger, id, |sandbox| {
                sandbox.returning = if returns {
                    sandbox.returning + 1
                } else {
                    sandbox.returning - 1
                };
            });
        }
    }

    /// Notes whether what a suspended lease keeps can become free otherwise than by its calls.
    fn stick(&mut self, demand: Demand, place: SandboxUse, was: bool, is: bool) {
        match (was, is, sandbox_of(place)) {
            (false, true, None) => self.ledger.stick(demand.kept()),
            (true, false, None) => self.ledger.unstick(demand.kept()),
            (false, true, Some(id)) => drop(
                self.pool
                    .change(&mut self.ledger, id, |sandbox| sandbox.stuck += 1),
            ),
            (true, false, Some(id)) => drop(
                self.pool
                    .change(&mut self.ledger, id, |sandbox| sandbox.stuck -= 1),
            ),
            _ => {}
        }
    }
}

fn sandbox_of(place: SandboxUse) -> Option<SandboxId> {
    match place {
        SandboxUse::Once => None,
        SandboxUse::Start(id) | SandboxUse::Reuse(id) => Some(id),
    }
}
