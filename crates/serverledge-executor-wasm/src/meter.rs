//! The limits of one invocation, and the way it learns that it used them up: memory by the store's limiter, processor
//! time by the callback of the epoch clock.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use wasmtime::{ResourceLimiter, Store, StoreContextMut, UpdateDeadline};

use crate::engine::TABLE_ELEMENTS_MAX;
use crate::files::MemoryRoom;
use crate::ticker::TICK;

/// Slices after which a guest counts as heavy and leaves the request's task for the low-priority threads.
const LIGHT_SLICES_MAX: u32 = 2;

/// The reason why the host ended a guest.
#[derive(Debug, Clone, thiserror::Error)]
pub(crate) enum Stop {
    /// The guest called `proc_exit`.
    #[error("exit with code {0}")]
    Exit(u32),
    #[error("it used more than {0:?} of processor time")]
    CpuTime(Duration),
    #[error("it wrote more than {0} bytes of output")]
    Output(usize),
    #[error("serverledge_alloc found no room for {0} bytes of parameters")]
    NoRoom(u32),
    #[error("it passed a pointer outside its memory to {0}")]
    Pointer(&'static str),
}

/// The account of one invocation.
#[derive(Debug)]
pub(crate) struct Meter {
    memory_bytes_max: usize,
    /// Bytes of all memories together.
    memory_bytes: usize,
    /// The account that it shares with the call's files, if it has any.
    room: Option<MemoryRoom>,
    /// Whether the guest was ever refused memory.
    pub(crate) memory_refused: bool,
    cpu_time_max: Option<Duration>,
    cpu_time: Duration,
    slices: u32,
    heavy: Arc<AtomicBool>,
}

/// Store data that has a meter.
pub(crate) trait Metered: Send + 'static {
    fn meter(&mut self) -> &mut Meter;
}

impl Meter {
    pub(crate) fn new(
        memory_bytes_max: u64,
        cpu_time_max: Option<Duration>,
        heavy: Arc<AtomicBool>,
    ) -> Self {
        Self {
            memory_bytes_max: usize::try_from(memory_bytes_max).unwrap_or(usize::MAX),
            memory_bytes: 0,
            room: None,
            memory_refused: false,
            cpu_time_max,
            cpu_time: Duration::ZERO,
            slices: 0,
            heavy,
        }
    }

    /// Shares the memory of the call with its files: what either takes, the other one has not.
    pub(crate) fn share(&mut self) -> MemoryRoom {
        let room = MemoryRoom::new(self.memory_bytes_max as u64);
        self.room = Some(room.clone());
        room
    }

    /// Takes an instance over that has so much memory already.
    pub(crate) fn take_over(&mut self, memory_bytes: usize) {
        self.memory_bytes = memory_bytes;
        if let Some(room) = &self.room {
            room.take(memory_bytes as u64);
        }
    }

    /// Charges the slice that just ended: one tick, the most it can have been. A guest pays less than a tick too much
    /// for each time it waited for the host, and what the machine took from its thread within a tick.
    pub(crate) fn charge(&mut self) -> Result<(), Stop> {
        self.cpu_time += TICK;
        self.slices += 1;
        if self.slices > LIGHT_SLICES_MAX {
            self.heavy.store(true, Ordering::Relaxed);
        }
        match self.cpu_time_max {
            Some(max) if self.cpu_time > max => Err(Stop::CpuTime(max)),
            _ => Ok(()),
        }
    }
}

/// Arms a store: the guest yields at every tick and is charged for it.
pub(crate) fn arm<T: Metered>(store: &mut Store<T>) {
    store.limiter(|data| data.meter());
    store.set_epoch_deadline(1);
    store.epoch_deadline_callback(on_tick::<T>);
}

fn on_tick<T: Metered>(mut context: StoreContextMut<'_, T>) -> wasmtime::Result<UpdateDeadline> {
    context.data_mut().meter().charge()?;
    Ok(UpdateDeadline::Yield(1))
}

impl ResourceLimiter for Meter {
    fn memory_growing(
        &mut self,
        current: usize,
        desired: usize,
        max: Option<usize>,
    ) -> wasmtime::Result<bool> {
        let growth = desired.saturating_sub(current);
        let all = self.memory_bytes.saturating_add(growth);
        let room = self.room.as_ref();
        if all > self.memory_bytes_max || room.is_some_and(|room| room.left() < growth as u64) {
            self.memory_refused = true;
            return Ok(false);
        }
        // Beyond what the memory itself declares: fails whatever is said here.
        if max.is_some_and(|max| desired > max) {
            return Ok(false);
        }
        // What the machine then refuses stays counted.
        self.memory_bytes = all;
        if let Some(room) = room {
            room.take(growth as u64);
        }
        Ok(true)
    }

    fn table_growing(
        &mut self,
        _current: usize,
        desired: usize,
        _max: Option<usize>,
    ) -> wasmtime::Result<bool> {
        Ok(desired <= TABLE_ELEMENTS_MAX)
    }
}
