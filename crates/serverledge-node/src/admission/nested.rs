//! The calls that running calls make, as admission sees them. A caller's lease is suspended while the caller waits, and
//! has priority when its calls have ended. Locks are taken in one order: a caller's lease, then the scheduler.

use std::sync::Arc;

use parking_lot::Mutex;
use serverledge_scheduler::{Effects, Lease, Scheduler, TicketId};

use super::Admissions;
use crate::clock::now;

/// A lease that the calls of its holder can reach; empty once it was returned.
pub(crate) struct HeldLease {
    pub(super) lease: Mutex<Option<Lease>>,
    admissions: Admissions,
}

/// A call that a running call waits for. Dropping it ends it.
pub(crate) struct Outstanding {
    /// The caller that waits; `None` once it was notified.
    caller: Option<Arc<HeldLease>>,
    /// The ticket of the call while it waits in the queue itself, if it does.
    ticket: Option<TicketId>,
}

// === impl HeldLease ===

impl HeldLease {
    pub(super) fn new(lease: Lease, admissions: Admissions) -> Arc<Self> {
        Arc::new(Self {
            lease: Mutex::new(Some(lease)),
            admissions,
        })
    }

    /// Waits until the holder may go on after its calls: at once, unless the CPU that it had released is in use.
    /// Dropping the future changes nothing: the lease comes back all the same.
    pub(crate) async fn regained(&self) {
        loop {
            let signal = {
                let mut lease = self.lease.lock();
                let Some(lease) = lease.as_mut() else { return };
                let mut state = self.admissions.state.lock();
                let Some(ticket) = state.scheduler.regain(lease) else {
                    return;
                };
                state.subscribe(ticket)
            };
            // Its end says as much: look again.
            let _ = signal.await;
        }
    }
}

// === impl Outstanding ===

impl Outstanding {
    pub(super) fn new(caller: &Arc<HeldLease>, ticket: Option<TicketId>) -> Self {
        Self {
            caller: Some(Arc::clone(caller)),
            ticket,
        }
    }

    /// Ends the call, and returns its resources with `then`: its caller is served first.
    pub(super) fn end_with(mut self, then: impl FnOnce(&mut Scheduler, &mut Effects)) {
        self.end(then);
    }

    fn end(&mut self, then: impl FnOnce(&mut Scheduler, &mut Effects)) {
        let Some(caller) = self.caller.take() else {
            return;
        };
        let mut lease = caller.lease.lock();
        caller.admissions.change(|state, effects| {
            if let Some(lease) = lease.as_mut() {
                state
                    .scheduler
                    .call_ended(now(), lease, self.ticket, effects);
            }
            then(&mut state.scheduler, effects);
        });
    }
}

impl Drop for Outstanding {
    fn drop(&mut self) {
        self.end(|_, _| {});
    }
}
