//! The threads on which guests run. A light guest runs inside the task of its request: no hop between threads. One that
//! runs on is moved to threads of low priority, where the kernel preempts it as soon as a light one is ready.

use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};

use rustix::process::setpriority_process;
use tokio::runtime::{Builder, Handle, Runtime};
use tokio_util::task::AbortOnDropHandle;

/// Niceness of the threads for heavy guests: enough that the scheduler's wake-up preemption favours every other thread
/// of the node, not so much that other programs on the machine starve them.
const HEAVY_NICENESS: i32 = 10;

/// A guest in execution.
pub(crate) type GuestFuture<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// The threads for heavy guests. Stops when dropped, without waiting for them.
#[derive(Debug)]
pub(crate) struct HeavyLane(Option<Runtime>);

impl HeavyLane {
    pub(crate) fn start(threads: usize) -> std::io::Result<Self> {
        let runtime = Builder::new_multi_thread()
            .worker_threads(threads)
            .thread_name("wasm-heavy")
            .enable_time()
            .on_thread_start(lower_priority)
            .build()?;
        Ok(Self(Some(runtime)))
    }

    /// Runs a guest; it is moved here once `heavy` is set. Dropping the future stops the guest: at once if it is light,
    /// at its next tick if it is heavy.
    pub(crate) fn run<T: Send + 'static>(
        &self,
        guest: GuestFuture<T>,
        heavy: Arc<AtomicBool>,
    ) -> Laned<T> {
        Laned {
            light: Some(guest),
            moved: None,
            heavy,
            lane: self.handle().clone(),
        }
    }

    /// Runs a task of the executor's own on these threads; it ends with them.
    pub(crate) fn tend(&self, task: impl Future<Output = ()> + Send + 'static) {
        self.handle().spawn(task);
    }

    fn handle(&self) -> &Handle {
        self.0
            .as_ref()
            .expect("the runtime is taken only by drop")
            .handle()
    }
}

impl Drop for HeavyLane {
    fn drop(&mut self) {
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_background();
        }
    }
}

fn lower_priority() {
    // On Linux priorities are per thread, and "process 0" is the calling one. Failing leaves an ordinary thread.
    let _ = setpriority_process(None, HEAVY_NICENESS);
}

/// A guest, wherever it runs.
pub(crate) struct Laned<T> {
    /// `None` once it was moved.
    light: Option<GuestFuture<T>>,
    moved: Option<AbortOnDropHandle<T>>,
    heavy: Arc<AtomicBool>,
    lane: Handle,
}

/// The guest's task panicked: our bug or wasmtime's, never the guest's.
#[derive(Debug, thiserror::Error)]
#[error("the guest's task ended without a result")]
pub(crate) struct Lost;

/// Keeps a panic to the guest whose code it happened in: the connection may have other requests.
fn caught<T>(poll: impl FnOnce() -> T) -> Result<T, Lost> {
    catch_unwind(AssertUnwindSafe(poll)).map_err(|_| Lost)
}

/// Runs what borrows a store, so that a panic comes to its owner as an error. The store is then dropped as ever, not while
/// the stack unwinds, where a second panic would end the process.
pub(crate) async fn guarded<T>(run: impl Future<Output = T>) -> Result<T, Lost> {
    let mut run = std::pin::pin!(run);
    std::future::poll_fn(|cx| match caught(|| run.as_mut().poll(cx)) {
        Ok(poll) => poll.map(Ok),
        Err(lost) => Poll::Ready(Err(lost)),
    })
    .await
}

/// A guest whose calls of the node find the network, the clock and the threads of this runtime, wherever it is polled: the
/// threads for heavy guests lend their processor time and have nothing else.
async fn within<T>(runtime: Handle, mut guest: GuestFuture<T>) -> T {
    std::future::poll_fn(|cx| {
        let _entered = runtime.enter();
        guest.as_mut().poll(cx)
    })
    .await
}

impl<T: Send + 'static> Future for Laned<T> {
    type Output = Result<T, Lost>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = &mut *self;
        if let Some(guest) = &mut this.light {
            match caught(|| guest.as_mut().poll(cx)) {
                Ok(Poll::Ready(result)) => return Poll::Ready(Ok(result)),
                Ok(Poll::Pending) if !this.heavy.load(Ordering::Relaxed) => return Poll::Pending,
                Ok(Poll::Pending) => {}
                Err(lost) => {
                    this.light = None;
                    return Poll::Ready(Err(lost));
                }
            }
        }
        if let Some(guest) = this.light.take() {
            let guest = within(Handle::current(), guest);
            this.moved = Some(AbortOnDropHandle::new(this.lane.spawn(guest)));
        }
        match &mut this.moved {
            Some(task) => Pin::new(task).poll(cx).map_err(|_| Lost),
            None => Poll::Ready(Err(Lost)),
        }
    }
}

impl<T> Laned<T> {
    /// Stops the guest and waits until its instance is gone: at most a few ticks.
    pub(crate) async fn stop(self) {
        if let Some(task) = self.moved {
            task.abort();
            let _ = task.await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn broken() -> u32 {
        tokio::task::yield_now().await;
        panic!("on purpose");
    }

    #[tokio::test]
    async fn a_panic_ends_its_guest_only() {
        let lane = HeavyLane::start(1).expect("threads");
        for heavy in [false, true] {
            let heavy = Arc::new(AtomicBool::new(heavy));
            let lost = lane.run(Box::pin(broken()), heavy).await;
            assert!(lost.is_err());
        }
        let heavy = Arc::new(AtomicBool::new(false));
        let next = lane.run(Box::pin(async { 7 }), heavy).await;
        assert!(matches!(next, Ok(7)));
    }

    /// A heavy guest's call of another function may go to another node.
    #[tokio::test]
    async fn a_heavy_guest_has_the_network_of_the_node() {
        let lane = HeavyLane::start(1).expect("threads");
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0")
            .await
            .expect("a port");
        let address = listener.local_addr().expect("an address");
        let guest = async move {
            tokio::task::yield_now().await;
            let thread = std::thread::current().name().map(str::to_owned);
            (thread, tokio::net::TcpStream::connect(address).await)
        };
        let heavy = Arc::new(AtomicBool::new(true));
        let (thread, connected) = lane.run(Box::pin(guest), heavy).await.expect("an end");
        assert_eq!(thread.as_deref(), Some("wasm-heavy"));
        assert!(connected.is_ok(), "{connected:?}");
    }

    /// The store of a broken guest outlives its unwinding.
    #[tokio::test]
    async fn what_a_broken_run_borrowed_is_dropped_afterwards() {
        struct Borrowed(bool);
        impl Drop for Borrowed {
            fn drop(&mut self) {
                assert!(!std::thread::panicking());
                self.0 = true;
            }
        }
        let mut store = Borrowed(false);
        let run = async {
            let store = &mut store;
            store.0 = false;
            broken().await
        };
        assert!(guarded(run).await.is_err());
        drop(store);
        assert!(matches!(guarded(async { 7 }).await, Ok(7)));
    }
}
