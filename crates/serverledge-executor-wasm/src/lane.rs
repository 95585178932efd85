//! The threads on which guests run. A light guest runs inside the task of its request: no hop between threads. One that
//! runs on is moved to threads of low priority, where the kernel preempts it as soon as a light one is ready.

use std::future::Future;
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

/// The guest's task panicked: our bug, never the guest's.
#[derive(Debug, thiserror::Error)]
#[error("the guest's task ended without a result")]
pub(crate) struct Lost;

impl<T: Send + 'static> Future for Laned<T> {
    type Output = Result<T, Lost>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = &mut *self;
        if let Some(guest) = &mut this.light {
            match guest.as_mut().poll(cx) {
                Poll::Ready(result) => return Poll::Ready(Ok(result)),
                Poll::Pending if !this.heavy.load(Ordering::Relaxed) => return Poll::Pending,
                Poll::Pending => {}
            }
        }
        if let Some(guest) = this.light.take() {
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
