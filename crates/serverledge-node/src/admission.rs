//! The scheduler behind its lock, for tasks: a lease is a guard, waiting is a future, dropping either gives back what it held.
//! The pooled sandboxes lie beside it; what it decides about them is done outside the lock.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use parking_lot::{Mutex, MutexGuard};
use serverledge_core::{InvocationError, OverloadReason, Reuse, Runtime, Sandbox};
use serverledge_scheduler::{
    Admission, Arrival, Config, Decided, Demand, Effects, End, Load, PeerId, PeerView, Place,
    Policy, PoolKey, Pooled, Rejection, Sample, SandboxId, Scheduler, Snapshot, Ticket, TicketId,
};

use crate::cluster::Peers;
use tokio::sync::oneshot;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

mod nested;

pub(crate) use nested::{Held, Outstanding};

/// When to ask again after a node that stops: another node, or this one after its restart.
const DRAINING_RETRY: Duration = Duration::from_secs(1);

/// See the module. Cloning shares, and costs one count: every lease has a clone.
#[derive(Debug, Clone)]
pub(crate) struct Admissions(Arc<Shared>);

/// What clones share.
#[derive(Debug)]
pub(crate) struct Shared {
    state: Mutex<State>,
    /// The policy may send calls to peers, and learns from what calls take.
    offloads: bool,
    draining: CancellationToken,
    /// The same, for every call to ask without a lock.
    drains: AtomicBool,
    /// Sandboxes that are being stopped; never cut off.
    stops: TaskTracker,
}

/// Where a call comes from.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Origin<'a> {
    /// A request, or an accepted asynchronous invocation: does not wait in a node that stops.
    Outside,
    /// A function that runs, here if its lease is known: it is let finish, and so are its calls.
    Nested(Option<&'a Arc<Held>>),
}

struct State {
    scheduler: Scheduler,
    /// Whom to wake when a ticket is decided.
    waiters: HashMap<TicketId, Vec<oneshot::Sender<()>>>,
    /// The pooled sandboxes that are up.
    sandboxes: HashMap<SandboxId, Arc<dyn Sandbox>>,
}

/// Who else may run a call.
pub(crate) struct Others<'a> {
    pub(crate) peers: &'a Peers,
    pub(crate) runtime: Runtime,
    /// Those that did not take it.
    pub(crate) tried: &'a [PeerId],
}

/// Where a call runs.
#[derive(Debug)]
pub(crate) enum Granted {
    /// Here.
    Here(LeaseGuard),
    /// On that peer; the caller here, if there is one, waits until the other is dropped.
    On(PeerId, Option<Outstanding>),
}

/// The right of one call to run, given back when dropped. For a pooled sandbox it says how the call left it; a call that is
/// dropped in the middle has spoilt it.
#[derive(Debug)]
pub(crate) struct LeaseGuard {
    held: Arc<Held>,
    place: Place,
    end: End,
    sandbox: Option<Running>,
    /// Whoever waits for this call.
    outstanding: Option<Outstanding>,
    admissions: Admissions,
}

/// A sandbox that is up, as guards hold it.
struct Running(Arc<dyn Sandbox>);

/// A place in the queue, given up when dropped.
struct Waiting {
    ticket: Option<Ticket>,
    admissions: Admissions,
}

impl std::fmt::Debug for Running {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Running")
    }
}

impl std::fmt::Debug for State {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("State")
            .field("scheduler", &self.scheduler)
            .finish_non_exhaustive()
    }
}

impl std::ops::Deref for Admissions {
    type Target = Shared;

    fn deref(&self) -> &Shared {
        &self.0
    }
}

impl Admissions {
    /// With a policy that may offload, or with one that runs everything here.
    pub(crate) fn new(config: Config, policy: Option<Box<dyn Policy>>) -> Self {
        let offloads = policy.is_some();
        let scheduler = match policy {
            Some(policy) => Scheduler::with_policy(config, policy, now()),
            None => Scheduler::new(config, now()),
        };
        let state = State {
            scheduler,
            waiters: HashMap::new(),
            sandboxes: HashMap::new(),
        };
        let (draining, stops) = (CancellationToken::new(), TaskTracker::new());
        let drains = AtomicBool::new(false);
        Self(Arc::new(Shared {
            state: Mutex::new(state),
            offloads,
            draining,
            drains,
            stops,
        }))
    }

    /// Waits for resources as long as the scheduler allows, or says which of the peers is to run the call. Dropping the
    /// future gives the place up.
    pub(crate) async fn acquire(
        &self,
        arrival: Arrival,
        origin: Origin<'_>,
        others: Option<&Others<'_>>,
    ) -> Result<Granted, InvocationError> {
        let caller = if let Origin::Nested(caller) = origin {
            caller
        } else {
            None
        };
        // Declared before what waits, and so told after it.
        let outstanding;
        let (asked, signal);
        (asked, signal, outstanding) = match others {
            Some(others) if self.offloads && arrival.may_offload => {
                others
                    .peers
                    .with_view(others.runtime, others.tried, |view| {
                        self.admit(arrival, caller, view)
                    })
            }
            // A policy that runs everything here needs not look.
            _ => self.admit(arrival, caller, PeerView::NONE),
        };
        let lease = match asked {
            Asked::Run(guard) => Ok(guard),
            Asked::Reject(rejection) => Err(overloaded(rejection)),
            Asked::Offload(peer) => return Ok(Granted::On(peer, outstanding)),
            // Boxed: who waits has time, and who does not should not carry what waiting needs.
            Asked::Wait(ticket) => Box::pin(self.wait_as(origin, ticket, signal)).await,
        };
        lease.map(|mut lease| {
            lease.outstanding = outstanding;
            Granted::Here(lease)
        })
    }

    /// What a call took, for policies that learn from it.
    pub(crate) fn learn(&self, sample: Sample) {
        if self.offloads {
            self.state.lock().scheduler.learn(now(), sample);
        }
    }

    /// What peers are told of this node.
    pub(crate) fn load(&self) -> Load {
        self.state.lock().scheduler.load(now())
    }

    fn admit(&self, arrival: Arrival, caller: Option<&Arc<Held>>, peers: PeerView<'_>) -> Admitted {
        let mut effects = Effects::default();
        // A caller that has ended meanwhile has nothing to give back.
        let mut lease = caller.map(|caller| (caller, caller.lease.lock()));
        let mut caller = lease
            .as_mut()
            .and_then(|(caller, lease)| Some((*caller, lease.as_mut()?)));
        let mut state = self.state.lock();
        let admission = match &mut caller {
            Some((_, lease)) => {
                state
                    .scheduler
                    .admit_nested(now(), lease, arrival, peers, &mut effects)
            }
            None => state.scheduler.admit(now(), arrival, peers, &mut effects),
        };
        let ticket = if let Admission::Wait(ticket) = &admission {
            Some(ticket.id())
        } else {
            None
        };
        let waits = !matches!(admission, Admission::Reject(_));
        let outstanding = caller
            .filter(|_| waits)
            .map(|(caller, _)| Outstanding::new(caller, ticket));
        let signal = ticket.map(|ticket| state.subscribe(ticket));
        let asked = self.asked(&state, admission);
        self.apply(state, effects);
        (asked, signal, outstanding)
    }

    async fn wait_as(
        &self,
        origin: Origin<'_>,
        ticket: Ticket,
        signal: Option<oneshot::Receiver<()>>,
    ) -> Result<LeaseGuard, InvocationError> {
        if let Origin::Nested(_) = origin {
            return self.wait(ticket, signal).await;
        }
        tokio::select! {
            waited = self.wait(ticket, signal) => waited,
            () = self.draining.cancelled() => Err(draining()),
        }
    }

    async fn wait(
        &self,
        ticket: Ticket,
        signal: Option<oneshot::Receiver<()>>,
    ) -> Result<LeaseGuard, InvocationError> {
        let expires = Instant::from_std(ticket.expires());
        let mut waiting = Waiting {
            ticket: Some(ticket),
            admissions: self.clone(),
        };
        let mut signal = signal;
        loop {
            if let Some(signal) = signal.take() {
                let _ = tokio::time::timeout_at(expires, signal).await;
            }
            let Some(ticket) = waiting.ticket.take() else {
                return Err(InvocationError::Internal {
                    message: "a ticket was lost".to_owned(),
                });
            };
            match self.resume(ticket) {
                (Asked::Run(guard), _) => return Ok(guard),
                (Asked::Reject(rejection), _) => return Err(overloaded(rejection)),
                (Asked::Offload(peer), _) => return Err(misplaced(peer)),
                (Asked::Wait(ticket), again) => {
                    waiting.ticket = Some(ticket);
                    signal = again;
                }
            }
        }
    }

    fn resume(&self, ticket: Ticket) -> (Asked, Option<oneshot::Receiver<()>>) {
        let mut effects = Effects::default();
        let mut state = self.state.lock();
        let id = ticket.id();
        let admission = state.scheduler.resume(now(), ticket, &mut effects);
        state.waiters.remove(&id);
        let signal = if matches!(admission, Admission::Wait(_)) {
            Some(state.subscribe(id))
        } else {
            None
        };
        let asked = self.asked(&state, admission);
        self.apply(state, effects);
        (asked, signal)
    }

    /// A lease becomes a guard, with the sandbox that it is for.
    fn asked(&self, state: &State, admission: Admission) -> Asked {
        match admission {
            Admission::Reject(rejection) => Asked::Reject(rejection),
            Admission::Wait(ticket) => Asked::Wait(ticket),
            Admission::Offload(peer) => Asked::Offload(peer),
            Admission::Run(lease) => {
                let (end, sandbox) = match lease.place() {
                    Place::Once => (End::Clean, None),
                    Place::Start(_) => (End::NeverStarted, None),
                    Place::Reuse(id) => (
                        End::Clean,
                        state
                            .sandboxes
                            .get(&id)
                            .map(|sandbox| Running(Arc::clone(sandbox))),
                    ),
                };
                let (place, held) = (lease.place(), Held::new(lease, self.clone()));
                Asked::Run(LeaseGuard {
                    held,
                    place,
                    end,
                    sandbox,
                    outstanding: None,
                    admissions: self.clone(),
                })
            }
        }
    }

    /// What the scheduler wants done: wakes whom it names, and stops sandboxes in tasks of their own, outside the lock.
    fn apply(&self, mut state: MutexGuard<'_, State>, effects: Effects) {
        state.wake(&effects.decided);
        if effects.stop.is_empty() {
            return;
        }
        let stops: Vec<_> = effects
            .stop
            .into_iter()
            .map(|id| (id, state.sandboxes.remove(&id)))
            .collect();
        drop(state);
        for (id, sandbox) in stops {
            let admissions = self.clone();
            drop(self.stops.spawn(async move {
                // What cannot be stopped now is the executor's to stop later.
                if let Some(Err(error)) = stop(sandbox).await {
                    tracing::warn!(%id, %error, "a sandbox could not be stopped yet");
                }
                admissions.change(|scheduler, effects| scheduler.gone(now(), id, effects));
            }));
        }
    }

    fn change<T>(&self, change: impl FnOnce(&mut Scheduler, &mut Effects) -> T) -> T {
        let mut effects = Effects::default();
        let mut state = self.state.lock();
        let outcome = change(&mut state.scheduler, &mut effects);
        self.apply(state, effects);
        outcome
    }

    /// A sandbox is up: other calls may use it.
    fn up(&self, id: SandboxId, sandbox: &Arc<dyn Sandbox>) {
        let mut effects = Effects::default();
        let mut state = self.state.lock();
        state.sandboxes.insert(id, Arc::clone(sandbox));
        state.scheduler.started(now(), id, &mut effects);
        self.apply(state, effects);
    }

    /// Reserves room for up to `count` new sandboxes that no call waits for. Each must be reported with
    /// [`Admissions::prewarmed`] or [`Admissions::not_prewarmed`].
    pub(crate) fn prewarm(&self, demand: Demand, pooled: Pooled, count: usize) -> Vec<SandboxId> {
        self.change(|scheduler, effects| scheduler.prewarm(now(), demand, pooled, count, effects))
    }

    pub(crate) fn prewarmed(&self, id: SandboxId, sandbox: Box<dyn Sandbox>) {
        self.up(id, &Arc::from(sandbox));
    }

    pub(crate) fn not_prewarmed(&self, id: SandboxId) {
        self.change(|scheduler, effects| scheduler.failed(now(), id, effects));
    }

    /// The sandboxes of a function that was deleted or replaced serve no more.
    pub(crate) fn retire(&self, key: PoolKey) {
        self.change(|scheduler, effects| scheduler.retire(now(), key, effects));
    }

    /// Lets go of idle sandboxes whose time has come.
    pub(crate) fn expire_idle(&self) {
        self.change(|scheduler, effects| scheduler.expire(now(), effects));
    }

    /// When the next idle sandbox expires.
    pub(crate) fn next_idle_expiry(&self) -> Option<Instant> {
        self.state
            .lock()
            .scheduler
            .next_idle_expiry()
            .map(Instant::from_std)
    }

    /// Idle sandboxes by function version.
    pub(crate) fn idle_by_key(&self) -> Vec<(PoolKey, usize)> {
        self.state.lock().scheduler.idle_by_key()
    }

    /// From now on nothing from outside is let in, and what waits is turned away; what runs goes on.
    pub(crate) fn drain(&self) {
        self.drains.store(true, Ordering::Release);
        self.draining.cancel();
    }

    /// Nothing runs any more: stops the pooled sandboxes and waits for that.
    pub(crate) async fn close(&self) {
        self.change(|scheduler, effects| scheduler.drain(now(), effects));
        self.stops.close();
        self.stops.wait().await;
    }

    pub(crate) fn is_draining(&self) -> bool {
        self.drains.load(Ordering::Acquire)
    }

    pub(crate) fn snapshot(&self) -> Snapshot {
        self.state.lock().scheduler.snapshot()
    }
}

/// What became of an arrival: the answer, what to wait for, and the caller that waits.
type Admitted = (Asked, Option<oneshot::Receiver<()>>, Option<Outstanding>);

/// The scheduler's answer, with a lease in its guard.
enum Asked {
    Run(LeaseGuard),
    Wait(Ticket),
    Offload(PeerId),
    Reject(Rejection),
}

async fn stop(
    sandbox: Option<Arc<dyn Sandbox>>,
) -> Option<Result<(), serverledge_core::StopError>> {
    Some(sandbox?.stop().await)
}

impl State {
    fn subscribe(&mut self, id: TicketId) -> oneshot::Receiver<()> {
        let (sender, receiver) = oneshot::channel();
        self.waiters.entry(id).or_default().push(sender);
        receiver
    }

    fn wake(&mut self, decided: &[Decided]) {
        for one in decided {
            for waiter in self.waiters.remove(&one.ticket).into_iter().flatten() {
                // The receiver may have gone; it then hands its ticket back by itself.
                let _ = waiter.send(());
            }
        }
    }
}

impl LeaseGuard {
    /// Whether the call needs a sandbox that goes to the pool, and starts it.
    pub(crate) fn starts_pooled(&self) -> bool {
        matches!(self.place, Place::Start(_))
    }

    /// The pooled sandbox that the call runs in, if it is up.
    pub(crate) fn sandbox(&self) -> Option<Arc<dyn Sandbox>> {
        self.sandbox.as_ref().map(|running| Arc::clone(&running.0))
    }

    /// For the calls that its holder makes.
    pub(crate) fn held(&self) -> Arc<Held> {
        Arc::clone(&self.held)
    }

    /// The sandbox that the call was to start is up. A guard dropped from here on leaves it to others.
    pub(crate) fn started(&mut self, sandbox: Box<dyn Sandbox>) {
        let sandbox: Arc<dyn Sandbox> = Arc::from(sandbox);
        if let Place::Start(id) = self.place {
            self.admissions.up(id, &sandbox);
            self.end = End::Clean;
        }
        self.sandbox = Some(Running(sandbox));
    }

    /// The call enters its sandbox: dropped before [`LeaseGuard::leaves`], it has spoilt it.
    pub(crate) fn enters(&mut self) {
        self.end = End::Tainted;
    }

    /// The call has left its sandbox, which says whether it can be used again.
    pub(crate) fn leaves(&mut self, reuse: Reuse) {
        self.end = if reuse == Reuse::Pooled {
            End::Clean
        } else {
            End::Tainted
        };
    }
}

impl Drop for LeaseGuard {
    fn drop(&mut self) {
        let Some(lease) = self.held.lease.lock().take() else {
            return;
        };
        let end = self.end;
        let release = |scheduler: &mut Scheduler, effects: &mut Effects| {
            scheduler.release(now(), lease, end, effects)
        };
        match self.outstanding.take() {
            Some(outstanding) => outstanding.end_with(release),
            None => self.admissions.change(release),
        }
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        if let Some(ticket) = self.ticket.take() {
            let mut effects = Effects::default();
            let mut state = self.admissions.state.lock();
            state.waiters.remove(&ticket.id());
            state.scheduler.cancel(now(), ticket, &mut effects);
            self.admissions.apply(state, effects);
        }
    }
}

/// The rejection of a node that stops.
pub(crate) fn draining() -> InvocationError {
    InvocationError::Overloaded {
        reason: OverloadReason::Draining,
        retry_after: DRAINING_RETRY,
    }
}

fn now() -> std::time::Instant {
    Instant::now().into_std()
}

/// The policy in use runs everything here, and was told of no other node.
fn misplaced(peer: PeerId) -> InvocationError {
    InvocationError::Internal {
        message: format!(
            "a call was sent to peer {}, of which nobody told",
            peer.get()
        ),
    }
}

fn overloaded(rejection: Rejection) -> InvocationError {
    InvocationError::Overloaded {
        reason: rejection.reason,
        retry_after: rejection.retry_after,
    }
}

#[cfg(test)]
mod tests {
    use serverledge_core::{CpuMilli, MemoryMib};
    use serverledge_scheduler::{Capacity, Demand};

    use super::*;

    fn one_slot() -> Admissions {
        let capacity = Capacity {
            memory: MemoryMib::new(100),
            cpu: CpuMilli::new(1000),
            slots: 1,
            containers: 0,
        };
        Admissions::new(Config::new(capacity), None)
    }

    fn arrival() -> Arrival {
        Arrival {
            demand: Demand::one(MemoryMib::new(10), CpuMilli::new(0)),
            ..Arrival::default()
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_released_lease_wakes_the_next() {
        let admissions = one_slot();
        let lease = admissions
            .acquire(arrival(), Origin::Outside, None)
            .await
            .unwrap();
        let mut second = Box::pin(admissions.acquire(arrival(), Origin::Outside, None));
        assert!(futures_now(&mut second).await.is_none());
        drop(lease);
        drop(second.await.unwrap());
        assert_eq!(admissions.snapshot().running, 0);
    }

    #[tokio::test(start_paused = true)]
    async fn whoever_leaves_gives_the_place_up() {
        let admissions = one_slot();
        let lease = admissions
            .acquire(arrival(), Origin::Outside, None)
            .await
            .unwrap();
        let mut second = Box::pin(admissions.acquire(arrival(), Origin::Outside, None));
        assert!(futures_now(&mut second).await.is_none());
        assert_eq!(admissions.snapshot().waiting.total(), 1);
        drop(second);
        assert_eq!(admissions.snapshot().waiting.total(), 0);
        // Granted, but gone before it looked.
        let mut third = Box::pin(admissions.acquire(arrival(), Origin::Outside, None));
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
        let _lease = admissions
            .acquire(arrival(), Origin::Outside, None)
            .await
            .unwrap();
        let began = Instant::now();
        let Err(InvocationError::Overloaded { reason, .. }) =
            admissions.acquire(arrival(), Origin::Outside, None).await
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
