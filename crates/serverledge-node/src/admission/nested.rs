//! The calls that running calls make, as admission sees them: a caller's lease is suspended while it waits, and comes first
//! when its calls have ended. Locks are taken in one order: a caller's lease, then the scheduler.

use std::sync::Arc;

use parking_lot::Mutex;
use serverledge_scheduler::{Effects, Lease, Scheduler, TicketId};

use super::{Admissions, now};

/// A lease, where the calls that its holder makes find it; empty once it was given back.
#[derive(Debug)]
pub(crate) struct Held {
    pub(super) lease: Mutex<Option<Lease>>,
    admissions: Admissions,
}

/// A call that a running call waits for: dropped, it is over.
#[derive(Debug)]
pub(crate) struct Outstanding {
    /// Who waits; `None` once it was told.
    caller: Option<Arc<Held>>,
    /// What the call waited with itself, if it did.
    ticket: Option<TicketId>,
}

// === impl Held ===

impl Held {
    pub(super) fn new(lease: Lease, admissions: Admissions) -> Arc<Self> {
        Arc::new(Self {
            lease: Mutex::new(Some(lease)),
            admissions,
        })
    }

    /// Waits until the holder may go on after its calls: at once, unless the CPU that it gave back is in use. Dropping the future
    /// changes nothing: the lease comes back all the same.
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
    pub(super) fn new(caller: &Arc<Held>, ticket: Option<TicketId>) -> Self {
        Self {
            caller: Some(Arc::clone(caller)),
            ticket,
        }
    }

    /// The call is over, and what it held is given back by `then`: its caller is there first.
    pub(super) fn end_with(mut self, then: impl FnOnce(&mut Scheduler, &mut Effects)) {
        self.end(then);
    }

    fn end(&mut self, then: impl FnOnce(&mut Scheduler, &mut Effects)) {
        let Some(caller) = self.caller.take() else {
            return;
        };
        let mut lease = caller.lease.lock();
        caller.admissions.change(|scheduler, effects| {
            if let Some(lease) = lease.as_mut() {
                scheduler.call_ended(now(), lease, self.ticket, effects);
            }
            then(scheduler, effects);
        });
    }
}

impl Drop for Outstanding {
    fn drop(&mut self) {
        self.end(|_, _| {});
    }
}
