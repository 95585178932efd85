//! The scheduler behind its lock, for tasks: a lease is a guard, waiting is a future, and dropping either returns its
//! resources. The pooled sandboxes are kept beside it; the scheduler's decisions about them are carried out outside the
//! lock.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use parking_lot::{Mutex, MutexGuard};
use serverledge_core::{InvocationError, OverloadReason, Reuse, Runtime, Sandbox};
use serverledge_scheduler::{
    Admission, Arrival, Config, Decided, Demand, Effects, Load, PeerId, PeerView, Policy, PoolKey,
    Pooled, PooledView, Rejection, Sample, SandboxCondition, SandboxId, SandboxUse, Scheduler,
    SchedulerSnapshot, Ticket, TicketId,
};
use tokio::sync::oneshot;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::clock::now;

mod nested;

pub(crate) use nested::{HeldLease, Outstanding};

/// `Retry-After` of a node that stops: the caller tries another node, or this one after its restart.
const DRAINING_RETRY: Duration = Duration::from_secs(1);

/// Shortest time between two looks for idle sandboxes.
const EXPIRY_PAUSE: Duration = Duration::from_millis(100);

/// The admissions of a node; see the module. Cloning shares them, and costs one reference count: every lease has a
/// clone.
#[derive(Clone)]
pub(crate) struct Admissions(Arc<AdmissionsInner>);

/// State that all clones share.
pub(crate) struct AdmissionsInner {
    state: Mutex<SchedulerState>,
    /// Whether the policy may send calls to peers, and learns from the durations of calls.
    offloads: bool,
    draining: CancellationToken,
    /// Whether the node drains: the same as `draining`, for every call to read without a lock.
    drains: AtomicBool,
    /// The sandboxes that are being stopped; their stop is never cut off.
    stops: TaskTracker,
}

/// The origin of a call.
#[derive(Clone, Copy)]
pub(crate) enum Origin<'a> {
    /// A request, or an accepted asynchronous invocation. It does not wait in a node that stops.
    Outside,
    /// A running function, on this node if its lease is known. A node that stops lets it finish, and its calls too.
    Nested(Option<&'a Arc<HeldLease>>),
}

struct SchedulerState {
    scheduler: Scheduler,
    /// The tasks to wake when a ticket is decided.
    waiters: HashMap<TicketId, Vec<oneshot::Sender<()>>>,
    /// The pooled sandboxes that have started.
    sandboxes: HashMap<SandboxId, Arc<dyn Sandbox>>,
}

/// The peers, as policies see them.
pub(crate) trait PeerViews {
    /// Shows a policy the peers that can run functions of this runtime, except those that were tried.
    fn with_view<T>(
        &self,
        runtime: Runtime,
        tried: &[PeerId],
        look: impl FnOnce(PeerView<'_>) -> T,
    ) -> T;
}

/// The peers that may run a call instead of this node.
pub(crate) struct Others<'a, P> {
    pub(crate) peers: &'a P,
    pub(crate) runtime: Runtime,
    /// The peers that did not take the call.
    pub(crate) tried: &'a [PeerId],
}

/// The place that runs a call.
pub(crate) enum Granted {
    /// This node.
    Here(LeaseGuard),
    /// That peer. The caller on this node, if there is one, waits until the second field is dropped.
    On(PeerId, Option<Outstanding>),
}

/// The right of one call to run, returned when dropped. For a pooled sandbox it records the state in which the call
/// left it; a call that is dropped in the middle has tainted it.
pub(crate) struct LeaseGuard {
    held: Arc<HeldLease>,
    place: SandboxUse,
    end: SandboxCondition,
    /// The pooled sandbox, if it has started.
    sandbox: Option<Arc<dyn Sandbox>>,
    /// The running call that waits for this one.
    outstanding: Option<Outstanding>,
    admissions: Admissions,
}

/// A place in the queue, given up when dropped.
struct Waiting {
    ticket: Option<Ticket>,
    admissions: Admissions,
}

impl std::ops::Deref for Admissions {
    type Target = AdmissionsInner;

    fn deref(&self) -> &AdmissionsInner {
        &self.0
    }
}

impl Admissions {
    /// Builds the admissions of a node, with a policy that may offload, or with one that runs everything here.
    pub(crate) fn new(config: Config, policy: Option<Box<dyn Policy>>) -> Self {
        let offloads = policy.is_some();
        let scheduler = match policy {
            Some(policy) => Scheduler::with_policy(config, policy, now()),
            None => Scheduler::new(config, now()),
        };
        let state = SchedulerState {
            scheduler,
            waiters: HashMap::new(),
            sandboxes: HashMap::new(),
        };
        let draining = CancellationToken::new();
        let stops = TaskTracker::new();
        let drains = AtomicBool::new(false);
        Self(Arc::new(AdmissionsInner {
            state: Mutex::new(state),
            offloads,
            draining,
            drains,
            stops,
        }))
    }

    /// Waits for resources as long as the scheduler allows, or names the peer that is to run the call. Dropping the
    /// future gives up the place in the queue.
    pub(crate) async fn acquire<P: PeerViews>(
        &self,
        arrival: Arrival,
        origin: Origin<'_>,
        others: Option<&Others<'_, P>>,
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
            Decision::Run(guard) => Ok(guard),
            Decision::Reject(rejection) => Err(overloaded(rejection)),
            Decision::Offload(peer) => return Ok(Granted::On(peer, outstanding)),
            // Boxed: who waits has time, and who does not should not carry what waiting needs.
            Decision::Wait(ticket) => Box::pin(self.wait_as(origin, ticket, signal)).await,
        };
        lease.map(|mut lease| {
            lease.outstanding = outstanding;
            Granted::Here(lease)
        })
    }

    /// Reports the duration of a call to policies that learn from it.
    pub(crate) fn learn(&self, sample: Sample) {
        if self.offloads {
            self.state.lock().scheduler.learn(now(), sample);
        }
    }

    /// This node's load, as it is reported to peers.
    pub(crate) fn load(&self) -> Load {
        self.state.lock().scheduler.load(now())
    }

    fn admit(
        &self,
        arrival: Arrival,
        caller: Option<&Arc<HeldLease>>,
        peers: PeerView<'_>,
    ) -> Admitted {
        // A caller that has ended meanwhile has nothing to give back.
        let mut lease = caller.map(|caller| (caller, caller.lease.lock()));
        let mut caller = lease
            .as_mut()
            .and_then(|(caller, lease)| Some((*caller, lease.as_mut()?)));
        self.change(|state, effects| {
            let admission = match &mut caller {
                Some((_, lease)) => {
                    state
                        .scheduler
                        .admit_nested(now(), lease, arrival, peers, effects)
                }
                None => state.scheduler.admit(now(), arrival, peers, effects),
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
            (self.asked(state, admission), signal, outstanding)
        })
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
        let mut review = Instant::from_std(ticket.review());
        let mut waiting = Waiting {
            ticket: Some(ticket),
            admissions: self.clone(),
        };
        let mut signal = signal;
        loop {
            if let Some(signal) = signal.take() {
                let _ = tokio::time::timeout_at(review, signal).await;
            }
            let Some(ticket) = waiting.ticket.take() else {
                return Err(InvocationError::Internal {
                    message: "a ticket was lost".to_owned(),
                });
            };
            match self.resume(ticket) {
                (Decision::Run(guard), _) => return Ok(guard),
                (Decision::Reject(rejection), _) => return Err(overloaded(rejection)),
                (Decision::Offload(peer), _) => return Err(misplaced(peer)),
                (Decision::Wait(ticket), again) => {
                    review = Instant::from_std(ticket.review());
                    waiting.ticket = Some(ticket);
                    signal = again;
                }
            }
        }
    }

    fn resume(&self, ticket: Ticket) -> (Decision, Option<oneshot::Receiver<()>>) {
        self.change(|state, effects| {
            let id = ticket.id();
            let admission = state.scheduler.resume(now(), ticket, effects);
            state.waiters.remove(&id);
            let signal = matches!(admission, Admission::Wait(_)).then(|| state.subscribe(id));
            (self.asked(state, admission), signal)
        })
    }

    /// Turns a lease into a guard, with the sandbox that it is for.
    fn asked(&self, state: &SchedulerState, admission: Admission) -> Decision {
        match admission {
            Admission::Reject(rejection) => Decision::Reject(rejection),
            Admission::Wait(ticket) => Decision::Wait(ticket),
            Admission::Offload(peer) => Decision::Offload(peer),
            Admission::Run(lease) => {
                let (end, sandbox) = match lease.place() {
                    SandboxUse::Once => (SandboxCondition::Clean, None),
                    SandboxUse::Start(_) => (SandboxCondition::NeverStarted, None),
                    SandboxUse::Reuse(id) => {
                        (SandboxCondition::Clean, state.sandboxes.get(&id).cloned())
                    }
                };
                let place = lease.place();
                let held = HeldLease::new(lease, self.clone());
                Decision::Run(LeaseGuard {
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

    /// Carries out the scheduler's effects: wakes the tasks that it names, and stops sandboxes in tasks of their own,
    /// outside the lock.
    fn apply(&self, mut state: MutexGuard<'_, SchedulerState>, effects: Effects) {
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
                admissions.change(|state, effects| state.scheduler.gone(now(), id, effects));
            }));
        }
    }

    /// Makes a change, and carries out its effects.
    fn change<T>(&self, change: impl FnOnce(&mut SchedulerState, &mut Effects) -> T) -> T {
        let mut effects = Effects::default();
        let mut state = self.state.lock();
        let outcome = change(&mut state, &mut effects);
        self.apply(state, effects);
        outcome
    }

    /// Reports a started sandbox: from now on other calls may use it.
    fn up(&self, id: SandboxId, sandbox: &Arc<dyn Sandbox>) {
        self.change(|state, effects| {
            state.sandboxes.insert(id, Arc::clone(sandbox));
            state.scheduler.started(now(), id, effects);
        });
    }

    /// Reserves room for up to `count` new sandboxes that no call waits for. Each must be reported with
    /// [`Admissions::prewarmed`] or [`Admissions::not_prewarmed`].
    pub(crate) fn prewarm(&self, demand: Demand, pooled: Pooled, count: usize) -> Vec<SandboxId> {
        self.change(|state, effects| {
            state
                .scheduler
                .prewarm(now(), demand, pooled, count, effects)
        })
    }

    pub(crate) fn prewarmed(&self, id: SandboxId, sandbox: Box<dyn Sandbox>) {
        self.up(id, &Arc::from(sandbox));
    }

    /// Whether a call of this pool has a sandbox to wait for.
    pub(crate) fn may_serve(&self, key: PoolKey) -> bool {
        self.state.lock().scheduler.may_serve(key)
    }

    pub(crate) fn not_prewarmed(&self, id: SandboxId) {
        self.change(|state, effects| state.scheduler.failed(now(), id, effects));
    }

    /// Retires the sandboxes of a function that was deleted or replaced: they serve no further calls.
    pub(crate) fn retire(&self, key: PoolKey) {
        self.change(|state, effects| state.scheduler.retire(now(), key, effects));
    }

    /// Stops idle sandboxes when they expire. Runs for ever.
    pub(crate) async fn expire_idle_forever(&self, interval: Duration) {
        loop {
            let latest = Instant::now() + interval;
            let expiry = self
                .state
                .lock()
                .scheduler
                .next_idle_expiry()
                .map(Instant::from_std);
            let next = expiry.map_or(latest, |expiry| expiry.min(latest));
            // Not at once again where many expire one after the other.
            tokio::time::sleep_until(next.max(Instant::now() + EXPIRY_PAUSE)).await;
            self.change(|state, effects| state.scheduler.expire(now(), effects));
        }
    }

    /// Number of idle sandboxes by function version.
    pub(crate) fn idle_by_key(&self) -> Vec<(PoolKey, usize)> {
        self.state.lock().scheduler.idle_by_key()
    }

    /// The pooled sandboxes, the oldest first.
    pub(crate) fn pooled(&self) -> Vec<PooledView> {
        self.state.lock().scheduler.pooled(now())
    }

    /// Refuses new requests and those that wait from now on; running calls, and the calls that they make, go on.
    pub(crate) fn drain(&self) {
        self.drains.store(true, Ordering::Release);
        self.draining.cancel();
    }

    /// Stops the pooled sandboxes and waits until they have stopped. Called when no call runs any more.
    pub(crate) async fn close(&self) {
        self.change(|state, effects| state.scheduler.drain(now(), effects));
        self.stops.close();
        self.stops.wait().await;
    }

    pub(crate) fn is_draining(&self) -> bool {
        self.drains.load(Ordering::Acquire)
    }

    pub(crate) fn snapshot(&self) -> SchedulerSnapshot {
        self.state.lock().scheduler.snapshot()
    }
}

/// The outcome of an arrival: the scheduler's decision, the signal to wait for, and the caller that waits.
type Admitted = (Decision, Option<oneshot::Receiver<()>>, Option<Outstanding>);

/// The scheduler's decision, with a lease in its guard.
enum Decision {
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

impl SchedulerState {
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
    /// The sandbox that the call has to start, and that goes to the pool afterwards.
    pub(crate) const fn starts_pooled(&self) -> Option<SandboxId> {
        if let SandboxUse::Start(id) = self.place {
            Some(id)
        } else {
            None
        }
    }

    /// The pooled sandbox that the call runs in, if it has started.
    pub(crate) fn sandbox(&self) -> Option<Arc<dyn Sandbox>> {
        self.sandbox.clone()
    }

    /// The lease, for the calls that its holder makes.
    pub(crate) fn held(&self) -> Arc<HeldLease> {
        Arc::clone(&self.held)
    }

    /// The start of the call's sandbox is another's task from now on. A guard that is dropped leaves it to others.
    pub(crate) const fn start_begun(&mut self) {
        self.end = SandboxCondition::StillStarting;
    }

    /// The sandbox that the call goes on in, if there is one by now: the one that it was to start, or another that was
    /// free before (then the answer is true). Else the signal that will tell of another.
    pub(crate) fn settle(&mut self) -> Result<bool, oneshot::Receiver<()>> {
        let mut lease = self.held.lease.lock();
        let mut state = self.admissions.state.lock();
        let state = &mut *state;
        let moved = lease
            .as_mut()
            .is_some_and(|lease| state.scheduler.moved(lease));
        let (place, ticket) = lease.as_ref().map_or((self.place, None), |lease| {
            (lease.place(), Some(lease.ticket()))
        });
        self.place = place;
        if let SandboxUse::Start(id) | SandboxUse::Reuse(id) = place {
            self.sandbox = state.sandboxes.get(&id).cloned();
        }
        if moved || self.sandbox.is_some() {
            self.end = SandboxCondition::Clean;
            ticket
                .iter()
                .for_each(|ticket| drop(state.waiters.remove(ticket)));
            return Ok(moved);
        }
        // Without a ticket nobody sends: that is a signal too.
        Err(ticket.map_or_else(|| oneshot::channel().1, |ticket| state.subscribe(ticket)))
    }

    /// Marks that the call enters its sandbox. A guard dropped before [`LeaseGuard::leaves`] has tainted it.
    pub(crate) fn enters(&mut self) {
        self.end = SandboxCondition::Tainted;
    }

    /// Marks that the call has left its sandbox, and whether that can be used again.
    pub(crate) fn leaves(&mut self, reuse: Reuse) {
        self.end = if reuse == Reuse::Pooled {
            SandboxCondition::Clean
        } else {
            SandboxCondition::Tainted
        };
    }
}

impl Drop for LeaseGuard {
    fn drop(&mut self) {
        let Some(lease) = self.held.lease.lock().take() else {
            return;
        };
        let end = self.end;
        let ticket = lease.ticket();
        if end == SandboxCondition::StillStarting {
            self.admissions.state.lock().waiters.remove(&ticket);
        }
        let release = |scheduler: &mut Scheduler, effects: &mut Effects| {
            scheduler.release(now(), lease, end, effects)
        };
        match self.outstanding.take() {
            Some(outstanding) => outstanding.end_with(release),
            None => self
                .admissions
                .change(|state, effects| release(&mut state.scheduler, effects)),
        }
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        if let Some(ticket) = self.ticket.take() {
            self.admissions.change(|state, effects| {
                state.waiters.remove(&ticket.id());
                state.scheduler.cancel(now(), ticket, effects);
            });
        }
    }
}

/// The rejection of a node that drains.
pub(crate) fn draining() -> InvocationError {
    InvocationError::Overloaded {
        reason: OverloadReason::Draining,
        retry_after: DRAINING_RETRY,
    }
}

/// The fault of a policy that names a peer although it runs everything here, and knows no other node.
fn misplaced(peer: PeerId) -> InvocationError {
    InvocationError::Internal {
        message: format!("a call was sent to peer {}, of which nobody told", peer.0),
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

    struct NoPeers;

    impl PeerViews for NoPeers {
        fn with_view<T>(
            &self,
            _: Runtime,
            _: &[PeerId],
            look: impl FnOnce(PeerView<'_>) -> T,
        ) -> T {
            look(PeerView::NONE)
        }
    }

    const NOBODY: Option<&Others<'static, NoPeers>> = None;

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
            .acquire(arrival(), Origin::Outside, NOBODY)
            .await
            .unwrap();
        let mut second = Box::pin(admissions.acquire(arrival(), Origin::Outside, NOBODY));
        assert!(futures_now(&mut second).await.is_none());
        drop(lease);
        drop(second.await.unwrap());
        assert_eq!(admissions.snapshot().running, 0);
    }

    #[tokio::test(start_paused = true)]
    async fn whoever_leaves_gives_the_place_up() {
        let admissions = one_slot();
        let lease = admissions
            .acquire(arrival(), Origin::Outside, NOBODY)
            .await
            .unwrap();
        let mut second = Box::pin(admissions.acquire(arrival(), Origin::Outside, NOBODY));
        assert!(futures_now(&mut second).await.is_none());
        assert_eq!(admissions.snapshot().waiting.total(), 1);
        drop(second);
        assert_eq!(admissions.snapshot().waiting.total(), 0);
        // Granted, but gone before it looked.
        let mut third = Box::pin(admissions.acquire(arrival(), Origin::Outside, NOBODY));
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
            .acquire(arrival(), Origin::Outside, NOBODY)
            .await
            .unwrap();
        let began = Instant::now();
        let Err(InvocationError::Overloaded { reason, .. }) =
            admissions.acquire(arrival(), Origin::Outside, NOBODY).await
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
