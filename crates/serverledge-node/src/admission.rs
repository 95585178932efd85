//! The scheduler behind its lock, for tasks: a lease is a guard, waiting is a future, dropping either gives back what it held.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use serverledge_core::{InvocationError, OverloadReason};
use serverledge_scheduler::{
    Admission, Arrival, Config, Decided, Lease, Rejection, Scheduler, Snapshot, Ticket, TicketId,
};
use tokio::sync::oneshot;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// When to ask again after a node that stops: another node, or this one after its restart.
const DRAINING_RETRY: Duration = Duration::from_secs(1);

/// See the module. Cloning shares.
#[derive(Debug, Clone)]
pub(crate) struct Admissions {
    state: Arc<Mutex<State>>,
    draining: CancellationToken,
}

/// Where a call comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Origin {
    /// A request, or an accepted asynchronous invocation: does not wait in a node that stops.
    Outside,
    /// A function that runs: it is let finish, and so are its calls.
    Nested,
}

#[derive(Debug)]
struct State {
    scheduler: Scheduler,
    /// Whom to wake when a ticket is decided.
    waiters: HashMap<TicketId, oneshot::Sender<()>>,
}

/// Resources of the node, given back when dropped.
#[derive(Debug)]
pub(crate) struct LeaseGuard {
    lease: Option<Lease>,
    admissions: Admissions,
}

/// A place in the queue, given up when dropped.
struct Waiting {
    ticket: Option<Ticket>,
    admissions: Admissions,
}

impl Admissions {
    pub(crate) fn new(config: Config) -> Self {
        let scheduler = Scheduler::new(config, now());
        let state = Arc::new(Mutex::new(State { scheduler, waiters: HashMap::new() }));
        Self { state, draining: CancellationToken::new() }
    }

    /// Waits for resources as long as the scheduler allows. Dropping the future gives the place up.
    pub(crate) async fn acquire(&self, arrival: Arrival, origin: Origin) -> Result<LeaseGuard, InvocationError> {
        let (admission, signal) = self.admit(arrival);
        match admission {
            Admission::Run(lease) => Ok(self.guard(lease)),
            Admission::Reject(rejection) => Err(overloaded(rejection)),
            Admission::Wait(ticket) if origin == Origin::Nested => self.wait(ticket, signal).await,
            Admission::Wait(ticket) => {
                let stopped = self.draining.clone();
                tokio::select! {
                    waited = self.wait(ticket, signal) => waited,
                    () = stopped.cancelled() => Err(draining()),
                }
            }
        }
    }

    fn admit(&self, arrival: Arrival) -> (Admission, Option<oneshot::Receiver<()>>) {
        let mut decided = Vec::new();
        let mut state = self.state.lock();
        let admission = state.scheduler.admit(now(), arrival, &mut decided);
        let signal = if let Admission::Wait(ticket) = &admission { Some(state.subscribe(ticket.id())) } else { None };
        state.wake(&decided);
        (admission, signal)
    }

    async fn wait(&self, ticket: Ticket, signal: Option<oneshot::Receiver<()>>) -> Result<LeaseGuard, InvocationError> {
        let expires = Instant::from_std(ticket.expires());
        let mut waiting = Waiting { ticket: Some(ticket), admissions: self.clone() };
        let mut signal = signal;
        loop {
            if let Some(signal) = signal.take() {
                let _ = tokio::time::timeout_at(expires, signal).await;
            }
            let Some(ticket) = waiting.ticket.take() else {
                return Err(InvocationError::Internal { message: "a ticket was lost".to_owned() });
            };
            match self.resume(ticket) {
                (Admission::Run(lease), _) => return Ok(self.guard(lease)),
                (Admission::Reject(rejection), _) => return Err(overloaded(rejection)),
                (Admission::Wait(ticket), again) => {
                    waiting.ticket = Some(ticket);
                    signal = again;
                }
            }
        }
    }

    fn resume(&self, ticket: Ticket) -> (Admission, Option<oneshot::Receiver<()>>) {
        let mut decided = Vec::new();
        let mut state = self.state.lock();
        let id = ticket.id();
        let admission = state.scheduler.resume(now(), ticket, &mut decided);
        state.waiters.remove(&id);
        let signal = if matches!(admission, Admission::Wait(_)) { Some(state.subscribe(id)) } else { None };
        state.wake(&decided);
        (admission, signal)
    }

    fn guard(&self, lease: Lease) -> LeaseGuard {
        LeaseGuard { lease: Some(lease), admissions: self.clone() }
    }

    /// From now on nothing from outside is let in, and what waits is turned away; what runs goes on.
    pub(crate) fn drain(&self) {
        self.draining.cancel();
    }

    pub(crate) fn is_draining(&self) -> bool {
        self.draining.is_cancelled()
    }

    pub(crate) fn snapshot(&self) -> Snapshot {
        self.state.lock().scheduler.snapshot()
    }
}

impl State {
    fn subscribe(&mut self, id: TicketId) -> oneshot::Receiver<()> {
        let (sender, receiver) = oneshot::channel();
        self.waiters.insert(id, sender);
        receiver
    }

    fn wake(&mut self, decided: &[Decided]) {
        for one in decided {
            if let Some(waiter) = self.waiters.remove(&one.ticket) {
                // The receiver may have gone; it then hands its ticket back by itself.
                let _ = waiter.send(());
            }
        }
    }
}

impl Drop for LeaseGuard {
    fn drop(&mut self) {
        if let Some(lease) = self.lease.take() {
            let mut decided = Vec::new();
            let mut state = self.admissions.state.lock();
            state.scheduler.release(now(), lease, &mut decided);
            state.wake(&decided);
        }
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        if let Some(ticket) = self.ticket.take() {
            let mut decided = Vec::new();
            let mut state = self.admissions.state.lock();
            state.waiters.remove(&ticket.id());
            state.scheduler.cancel(now(), ticket, &mut decided);
            state.wake(&decided);
        }
    }
}

/// The rejection of a node that stops.
pub(crate) fn draining() -> InvocationError {
    InvocationError::Overloaded { reason: OverloadReason::Draining, retry_after: DRAINING_RETRY }
}

fn now() -> std::time::Instant {
    Instant::now().into_std()
}

fn overloaded(rejection: Rejection) -> InvocationError {
    InvocationError::Overloaded { reason: rejection.reason, retry_after: rejection.retry_after }
}

#[cfg(test)]
mod tests {
    use serverledge_core::{CpuMilli, MemoryMib};
    use serverledge_scheduler::{Capacity, Demand};

    use super::*;

    fn one_slot() -> Admissions {
        let capacity = Capacity { memory: MemoryMib::new(100), cpu: CpuMilli::new(1000), slots: 1 };
        Admissions::new(Config::new(capacity))
    }

    fn arrival() -> Arrival {
        Arrival { demand: Demand::one(MemoryMib::new(10), CpuMilli::new(0)), ..Arrival::default() }
    }

    #[tokio::test(start_paused = true)]
    async fn a_released_lease_wakes_the_next() {
        let admissions = one_slot();
        let lease = admissions.acquire(arrival(), Origin::Outside).await.unwrap();
        let mut second = Box::pin(admissions.acquire(arrival(), Origin::Outside));
        assert!(futures_now(&mut second).await.is_none());
        drop(lease);
        drop(second.await.unwrap());
        assert_eq!(admissions.snapshot().running, 0);
    }

    #[tokio::test(start_paused = true)]
    async fn whoever_leaves_gives_the_place_up() {
        let admissions = one_slot();
        let lease = admissions.acquire(arrival(), Origin::Outside).await.unwrap();
        let mut second = Box::pin(admissions.acquire(arrival(), Origin::Outside));
        assert!(futures_now(&mut second).await.is_none());
        assert_eq!(admissions.snapshot().waiting.total(), 1);
        drop(second);
        assert_eq!(admissions.snapshot().waiting.total(), 0);
        // Granted, but gone before it looked.
        let mut third = Box::pin(admissions.acquire(arrival(), Origin::Outside));
        assert!(futures_now(&mut third).await.is_none());
        drop(lease);
        drop(third);
        let snapshot = admissions.snapshot();
        assert_eq!((snapshot.running, snapshot.unclaimed), (0, 0));
        assert!(admissions.state.lock().waiters.is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn waiting_ends() {
        let admissions = one_slot();
        let _lease = admissions.acquire(arrival(), Origin::Outside).await.unwrap();
        let began = Instant::now();
        let Err(InvocationError::Overloaded { reason, .. }) = admissions.acquire(arrival(), Origin::Outside).await
        else {
            panic!("there is no room")
        };
        assert_eq!(reason, OverloadReason::WaitedTooLong);
        assert!(began.elapsed() >= Duration::from_secs(10));
    }

    async fn futures_now<F: Future + Unpin>(future: &mut F) -> Option<F::Output> {
        std::future::poll_fn(|cx| match std::pin::Pin::new(&mut *future).poll(cx) {
            std::task::Poll::Ready(output) => std::task::Poll::Ready(Some(output)),
            std::task::Poll::Pending => std::task::Poll::Ready(None),
        })
        .await
    }
}
