//! The child's side of snapshots: runs a base's initialisation on some input, in a world that stands still, and writes
//! what has become of it as a module that begins there.

use std::ffi::OsStr;
use std::fs::File;
use std::os::unix::ffi::OsStrExt as _;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::Bytes;
use rustix::time::{ClockId, clock_gettime};
use wasmtime::{Engine, Extern, Instance, Module, Result, Store, Trap, Val};
use wasmtime_wizer::{InstanceState, SnapshotVal, ValType, Wizer};

use crate::compile;
use crate::core_guest::CoreGuest;
use crate::log_tail::LogTail;
use crate::meter::{Meter, Metered as _, Stop};
use crate::protocol::{Compiled, InitFault, ModuleRefusal, Order, RefusalCode, SnapshotVerdict};
use crate::{engine, linker, protocol, surface};

/// The export that initialises a base: no parameters, no results.
pub(crate) const INITIALIZE: &str = "wizer-initialize";
/// The interval at which the processor time of an initialisation is checked.
const LOOK: Duration = Duration::from_millis(20);

/// Compiles a base so that its state can be read when it has been initialised.
pub(crate) fn instrument(base: &[u8]) -> Result<(Compiled, Vec<u8>), ModuleRefusal> {
    let engine = engine::initialising().map_err(|e| compile::invalid(&e))?;
    let base = compile::binary(base)?;
    surface::check(&base)?;
    let (_, instrumented) = Wizer::new()
        .instrument(&base)
        .map_err(|e| compile::invalid(&e))?;
    let module = Module::new(&engine, &instrumented).map_err(|e| compile::invalid(&e))?;
    check(&module)?;
    compile::finish(&engine, &module)
}

/// Does what the order says; the error is for an order that is none.
pub(crate) fn snapshot(input: &[u8]) -> std::io::Result<(SnapshotVerdict, Vec<u8>)> {
    let (order, rest): (Order, _) = protocol::line(input)?;
    let (base, rest) = rest
        .split_at_checked(order.base_bytes)
        .ok_or(std::io::ErrorKind::UnexpectedEof)?;
    let (path, input) = rest
        .split_at_checked(order.path_bytes)
        .ok_or(std::io::ErrorKind::UnexpectedEof)?;
    let machine_code = File::open(OsStr::from_bytes(path))?;
    let log = LogTail::new(order.log_bytes_max);
    let mut stdout = Vec::new();
    let outcome = freeze(
        base,
        machine_code,
        Bytes::copy_from_slice(input),
        &order,
        &log,
        &mut stdout,
    );
    let (fault, module) = match outcome {
        Ok(module) => (None, module),
        Err(fault) => (Some(fault), Vec::new()),
    };
    let verdict = SnapshotVerdict {
        fault,
        module_bytes: module.len() as u64,
        stdout: String::from_utf8_lossy(&stdout).into_owned(),
        log: String::from_utf8_lossy(&log.take()).into_owned(),
    };
    Ok((verdict, module))
}

fn freeze(
    base: &[u8],
    machine_code: File,
    input: Bytes,
    order: &Order,
    log: &LogTail,
    stdout: &mut Vec<u8>,
) -> Result<Vec<u8>, InitFault> {
    let broken = |e: &wasmtime::Error| InitFault::Base(compile::chain(e));
    let base = compile::binary(base).map_err(|refusal| InitFault::Base(refusal.message))?;
    let wizer = Wizer::new();
    let (context, _) = wizer.instrument(&base).map_err(|e| broken(&e))?;
    let engine = engine::initialising().map_err(|e| broken(&e))?;
    let module = load(&engine, machine_code).map_err(|e| broken(&e))?;
    let linker = linker::core(&engine).map_err(|e| broken(&e))?;
    let meter = Meter::new(order.memory_bytes_max, None, Arc::default());
    let guest = CoreGuest::still(meter, log.clone(), input, order.output_bytes_max);
    let mut store = Store::new(&engine, guest);
    store.limiter(|guest| guest.meter());
    store.set_epoch_deadline(1);
    watch(engine, Duration::from_millis(order.cpu_time_ms))
        .map_err(|e| InitFault::Base(e.to_string()))?;
    let initialised = run_now(async {
        let instance = linker.instantiate_async(&mut store, &module).await?;
        let initialize = instance.get_typed_func::<(), ()>(&mut store, INITIALIZE)?;
        initialize.call_async(&mut store, ()).await?;
        Ok(instance)
    });
    *stdout = std::mem::take(&mut store.data_mut().stdout);
    let refused = store.data_mut().meter().memory_refused;
    let instance = initialised.map_err(|e| fault(&e, refused))?;
    let module = run_now(wizer.snapshot(
        &context,
        &mut InitialisedInstance {
            store: &mut store,
            instance,
        },
    ))
    .map_err(|e| broken(&e))?;
    if module.len() > order.module_bytes_max {
        Err(InitFault::TooLarge)
    } else {
        Ok(module)
    }
}

#[expect(
    unsafe_code,
    reason = "loading machine code is unsafe by nature; the node verified the file before it named it here"
)]
fn load(engine: &Engine, machine_code: File) -> Result<Module> {
    // SAFETY: stdin is a pipe from the node, which verified the file's keyed digest before it named it. What lies in that
    // folder is replaced and never written to, and only by the node's user.
    unsafe { Module::deserialize_open_file(engine, machine_code) }
}

/// Ends the initialisation when the process has had so much processor time.
fn watch(engine: Engine, cpu_time: Duration) -> std::io::Result<()> {
    let used = || {
        let now = clock_gettime(ClockId::ProcessCPUTime);
        Duration::new(
            u64::try_from(now.tv_sec).unwrap_or(0),
            u32::try_from(now.tv_nsec).unwrap_or(0),
        )
    };
    let end = used() + cpu_time;
    std::thread::Builder::new()
        .name("watch".to_owned())
        .stack_size(64 << 10)
        .spawn(move || {
            while used() < end {
                std::thread::park_timeout(LOOK);
            }
            engine.increment_epoch();
        })?;
    Ok(())
}

/// Nothing here waits: sleeping moves the guest's clock and no other, and there is nobody to call.
fn run_now<T>(future: impl Future<Output = Result<T>>) -> Result<T> {
    let mut future = pin!(future);
    let mut context = Context::from_waker(Waker::noop());
    loop {
        if let Poll::Ready(done) = future.as_mut().poll(&mut context) {
            return done;
        }
    }
}

fn fault(error: &wasmtime::Error, memory_refused: bool) -> InitFault {
    match (error.downcast_ref::<Stop>(), error.downcast_ref::<Trap>()) {
        (Some(Stop::Exit(code)), _) => InitFault::Exit(*code),
        (Some(Stop::Output(_)), _) => InitFault::Output,
        (_, Some(Trap::Interrupt)) => InitFault::CpuTime,
        _ if memory_refused => InitFault::Memory,
        (Some(stop), _) => InitFault::Trap(stop.to_string()),
        (None, Some(trap)) => InitFault::Trap(trap.to_string()),
        (None, None) => InitFault::Base(compile::chain(error)),
    }
}

/// An initialised instance, as its snapshot is taken.
struct InitialisedInstance<'a> {
    store: &'a mut Store<CoreGuest>,
    instance: Instance,
}

impl InstanceState for InitialisedInstance<'_> {
    #[expect(
        clippy::unreachable,
        reason = "the trait's contract: the name is one that `instrument` exported"
    )]
    async fn global_get(&mut self, name: &str, _type: ValType) -> SnapshotVal {
        let global = self
            .instance
            .get_export(&mut *self.store, name)
            .and_then(Extern::into_global);
        match global.map(|global| global.get(&mut *self.store)) {
            Some(Val::I32(value)) => SnapshotVal::I32(value),
            Some(Val::I64(value)) => SnapshotVal::I64(value),
            Some(Val::F32(value)) => SnapshotVal::F32(value),
            Some(Val::F64(value)) => SnapshotVal::F64(value),
            Some(Val::V128(value)) => SnapshotVal::V128(value.as_u128()),
            _ => unreachable!("{name} is an exported global of a number"),
        }
    }

    #[expect(
        clippy::unreachable,
        reason = "the trait's contract: the name is one that `instrument` exported"
    )]
    async fn memory_contents(&mut self, name: &str, contents: impl FnOnce(&[u8]) + Send) {
        match self
            .instance
            .get_export(&mut *self.store, name)
            .and_then(Extern::into_memory)
        {
            Some(memory) => contents(memory.data(&*self.store)),
            None => unreachable!("{name} is an exported memory"),
        }
    }
}

/// Checks that a base has what it must have beyond any guest's duties.
fn check(module: &Module) -> Result<(), ModuleRefusal> {
    let is_there = matches!(module.get_export(INITIALIZE), Some(wasmtime::ExternType::Func(function))
        if function.params().len() == 0 && function.results().len() == 0);
    if is_there {
        return Ok(());
    }
    Err(ModuleRefusal::new(
        RefusalCode::NoInterface,
        format!("the base exports no function {INITIALIZE} without parameters and results"),
    ))
}
