//! The limits of one invocation, and the way it learns that it used them up: memory by the store's limiter, processor
//! time by the callback of the epoch clock.

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use wasmtime::{ResourceLimiter, Store, StoreContextMut, UpdateDeadline};

use crate::engine::TABLE_ELEMENTS_MAX;
use crate::files::MemoryRoom;
use crate::ticker::TICK;

/// Bytes that a component hands to the host in one call: more than any part of a body, much less than wasmtime's default.
pub(crate) const HOST_CALL_BYTES_MAX: usize = 16 << 20;

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

    /// Charges the slice that just ended: one tick, the most it can have been. A guest pays what the machine took from
    /// its thread within a tick, and less than a tick too much for each wait that does not go through [`awaited`].
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

/// Waits for the host. If it really had to wait, a slice begins afterwards: the ticks that passed meanwhile are none of
/// the guest's. A host that answers at once begins none, or a guest could ask it again and again and never be charged.
pub(crate) async fn awaited<T: Metered, F: Future>(
    mut store: StoreContextMut<'_, T>,
    host: F,
) -> F::Output {
    let mut host = pin!(host);
    let mut has_waited = false;
    let output = std::future::poll_fn(|cx| {
        let polled = host.as_mut().poll(cx);
        has_waited |= polled.is_pending();
        polled
    })
    .await;
    if has_waited {
        store.set_epoch_deadline(1);
    }
    output
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

#[cfg(test)]
mod tests {
    use wasmtime::{AsContextMut as _, Caller, Config, Engine, Linker, Module};

    use super::*;

    struct MeteredGuest(Meter);

    impl Metered for MeteredGuest {
        fn meter(&mut self) -> &mut Meter {
            &mut self.0
        }
    }

    /// The account of a guest that calls the host once, which takes three ticks and waits for them or does not.
    async fn account(waits: bool) -> Meter {
        let mut config = Config::new();
        config.epoch_interruption(true);
        let engine = Engine::new(&config).unwrap();
        let clock = engine.clone();
        let mut linker = Linker::<MeteredGuest>::new(&engine);
        linker
            .func_wrap_async(
                "host",
                "work",
                move |mut guest: Caller<'_, MeteredGuest>, (): ()| {
                    let clock = clock.clone();
                    Box::new(async move {
                        let work = async {
                            if waits {
                                tokio::task::yield_now().await;
                            }
                            (0..3).for_each(|_| clock.increment_epoch());
                        };
                        awaited(guest.as_context_mut(), work).await;
                    })
                },
            )
            .unwrap();
        let module = wat::parse_str(
            r#"(module (import "host" "work" (func $work)) (func (export "run") (call $work) (loop)))"#,
        );
        let module = Module::new(&engine, module.unwrap()).unwrap();
        let meter = Meter::new(1 << 20, None, Arc::default());
        let mut store = Store::new(&engine, MeteredGuest(meter));
        arm(&mut store);
        let instance = linker.instantiate_async(&mut store, &module).await.unwrap();
        let run = instance
            .get_typed_func::<(), ()>(&mut store, "run")
            .unwrap();
        run.call_async(&mut store, ()).await.unwrap();
        store.into_data().0
    }

    #[tokio::test]
    async fn waiting_for_the_host_is_not_charged() {
        let waited = account(true).await;
        assert_eq!((waited.cpu_time, waited.slices), (Duration::ZERO, 0));
        let worked = account(false).await;
        assert_eq!((worked.cpu_time, worked.slices), (TICK, 1));
    }
}
