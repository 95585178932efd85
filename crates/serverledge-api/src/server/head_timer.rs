//! The timer behind the time limit for a request's head. hyper asks for a new sleep before every request of a connection
//! and drops it when the head is there; each would be put into the runtime's timers and taken out again. Here a
//! connection has one entry there, which is moved only when it fires: seldom more than once in a time limit.

use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use hyper::rt::{Sleep, Timer};

/// One connection's timer.
#[derive(Debug, Default)]
pub(super) struct HeadTimer(Arc<Mutex<Option<TimerEntry>>>);

/// A connection's entry in the runtime's timers.
#[derive(Debug)]
struct TimerEntry {
    sleep: Pin<Box<tokio::time::Sleep>>,
    /// The task that it wakes.
    wakes: Option<Waker>,
}

/// Until a moment, by the connection's entry, which fires no later.
struct Until {
    deadline: Instant,
    entry: Arc<Mutex<Option<TimerEntry>>>,
}

impl Timer for HeadTimer {
    fn sleep(&self, duration: Duration) -> Pin<Box<dyn Sleep>> {
        self.sleep_until(self.now() + duration)
    }

    fn sleep_until(&self, deadline: Instant) -> Pin<Box<dyn Sleep>> {
        Box::pin(Until {
            deadline,
            entry: Arc::clone(&self.0),
        })
    }

    fn now(&self) -> Instant {
        tokio::time::Instant::now().into_std()
    }
}

impl Sleep for Until {}

impl Future for Until {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let deadline = tokio::time::Instant::from_std(self.deadline);
        // Nothing panics while it is held.
        let mut entry = self.entry.lock().unwrap_or_else(PoisonError::into_inner);
        let TimerEntry { sleep, wakes } = entry.get_or_insert_with(|| TimerEntry {
            sleep: Box::pin(tokio::time::sleep_until(deadline)),
            wakes: None,
        });
        if sleep.deadline() > deadline {
            sleep.as_mut().reset(deadline);
        }
        // The usual case, and several times cheaper than to poll.
        if !sleep.is_elapsed()
            && wakes
                .as_ref()
                .is_some_and(|waker| waker.will_wake(cx.waker()))
        {
            return Poll::Pending;
        }
        // Unconstrained: a task that has used up its turn would be told to wait before the timer knows of it.
        while Pin::new(&mut tokio::task::unconstrained(sleep.as_mut()))
            .poll(cx)
            .is_ready()
        {
            if sleep.deadline() >= deadline {
                return Poll::Ready(());
            }
            sleep.as_mut().reset(deadline);
        }
        *wakes = Some(cx.waker().clone());
        Poll::Pending
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[tokio::test(start_paused = true)]
    async fn each_sleep_ends_when_it_should() {
        let timer = HeadTimer::default();
        let began = timer.now();
        // Dropped without having fired, as after a head that came in time.
        drop(timer.sleep(10 * SECOND));
        let mut first = timer.sleep(10 * SECOND);
        assert!(futures_util::poll!(&mut first).is_pending());
        tokio::time::advance(9 * SECOND).await;
        drop(first);
        timer.sleep(10 * SECOND).await;
        assert_eq!(
            timer.now() - began,
            19 * SECOND,
            "not when the entry fired for the first one"
        );
        timer.sleep(SECOND).await;
        assert_eq!(timer.now() - began, 20 * SECOND);
        let mut long = timer.sleep(10 * SECOND);
        assert!(futures_util::poll!(&mut long).is_pending());
        timer.sleep(2 * SECOND).await;
        assert_eq!(
            timer.now() - began,
            22 * SECOND,
            "an earlier one moves the entry"
        );
        long.await;
        assert_eq!(timer.now() - began, 30 * SECOND);
    }
}
