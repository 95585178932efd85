//! The epoch clock: one thread that advances the engines' epochs at every tick while a guest runs, and sleeps otherwise.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::Thread;
use std::time::Duration;

use wasmtime::Engine;

/// The length of a slice: short enough that a few of them are not felt, long enough that five hundred wake-ups a second
/// cost nothing that can be measured.
pub(crate) const TICK: Duration = Duration::from_millis(2);
/// Idle ticks before the thread sleeps: about a second, so that ordinary traffic never pays for waking it.
const IDLE_TICKS_MAX: u32 = 500;

/// The clock; it stops when dropped.
#[derive(Debug)]
pub(crate) struct Ticker {
    state: Arc<ClockState>,
    thread: Thread,
}

#[derive(Debug, Default)]
struct ClockState {
    running: AtomicUsize,
    asleep: AtomicBool,
    stopped: AtomicBool,
}

/// Keeps the clock going while a guest runs.
#[derive(Debug)]
pub(crate) struct RunningGuest(Arc<ClockState>);

impl Ticker {
    pub(crate) fn start(engines: Vec<Engine>) -> std::io::Result<Self> {
        let state = Arc::new(ClockState::default());
        let seen = Arc::clone(&state);
        let join = std::thread::Builder::new()
            .name("wasm-ticker".to_owned())
            .spawn(move || tick(&engines, &seen))?;
        Ok(Self {
            state,
            thread: join.thread().clone(),
        })
    }

    /// Call before a guest runs; drop the guard after.
    pub(crate) fn running(&self) -> RunningGuest {
        // Sequentially consistent, as is the thread's side: either it sees the guest, or we see it asleep.
        self.state.running.fetch_add(1, Ordering::SeqCst);
        if self.state.asleep.load(Ordering::SeqCst) {
            self.thread.unpark();
        }
        RunningGuest(Arc::clone(&self.state))
    }
}

impl Drop for RunningGuest {
    fn drop(&mut self) {
        self.0.running.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Drop for Ticker {
    fn drop(&mut self) {
        self.state.stopped.store(true, Ordering::SeqCst);
        self.thread.unpark();
    }
}

fn tick(engines: &[Engine], state: &ClockState) {
    let mut idle = 0;
    while !state.stopped.load(Ordering::SeqCst) {
        std::thread::park_timeout(TICK);
        engines.iter().for_each(Engine::increment_epoch);
        idle = if state.running.load(Ordering::SeqCst) == 0 {
            idle + 1
        } else {
            0
        };
        if idle > IDLE_TICKS_MAX {
            sleep(state);
            idle = 0;
        }
    }
}

fn sleep(state: &ClockState) {
    state.asleep.store(true, Ordering::SeqCst);
    while state.running.load(Ordering::SeqCst) == 0 && !state.stopped.load(Ordering::SeqCst) {
        std::thread::park();
    }
    state.asleep.store(false, Ordering::SeqCst);
}
