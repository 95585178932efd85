//! The engines: one that compiles (in the child), one that runs (in the node); their code-shaping settings are the same
//! by construction, so that what one makes the other loads. Components of WASI 0.3 have a pair of their own. One more
//! initialises bases for snapshots, in the child.

use std::hash::{Hash, Hasher};

use fnv::FnvHasher;
use wasmtime::{
    Collector, Config, Enabled, Engine, InstanceAllocationStrategy, PoolingAllocationConfig, Result,
};

use crate::config::WasmConfig;

/// Elements of one table: large C++ and Python programs have some ten thousand functions.
pub(crate) const TABLE_ELEMENTS_MAX: usize = 65_536;
/// Core instances of one component: a guest, its adapter and a few shims.
const CORE_INSTANCES_PER_COMPONENT_MAX: u32 = 16;
/// Linear memories of one component or module. The function's memory is that of all together.
pub(crate) const MEMORIES_MAX: u32 = 4;
/// Tables of one component or module.
pub(crate) const TABLES_MAX: u32 = 16;
/// Reserved address space of one memory: all that 32 bits can name, so that no bounds check is compiled in. One of 64 bits
/// is checked, and has no more.
pub(crate) const MEMORY_RESERVATION: u64 = 4 << 30;

/// Address space that a memory under initialisation has to spare, so that it is not moved by every growth.
const INITIALISING_GROWTH_BYTES: u64 = 16 << 20;

/// Longest image of a snapshot's memory that is kept as one, whatever part of it is zero: wasmtime's own limit of 16 MiB is
/// less than interpreters with large packages have, and their memory would then be copied for every instance.
const SNAPSHOT_IMAGE_BYTES_MAX: u64 = 64 << 20;

/// Stack of an initialisation: ample, since it runs once. (Compiling the base without optimisation would be quicker, but an
/// interpreter's frames then take tens of kilobytes each, and real packages exhaust any stack.)
const INITIALISING_STACK_BYTES: usize = 4 << 20;

/// The settings that shape machine code.
fn base() -> Config {
    let mut config = Config::new();
    config
        .epoch_interruption(true)
        .memory_reservation(MEMORY_RESERVATION)
        .memory_may_move(false)
        .memory_init_cow(true)
        // Relaxed SIMD would make results depend on the machine; versions must not.
        .relaxed_simd_deterministic(true)
        .wasm_threads(false)
        .wasm_function_references(true)
        .wasm_gc(true)
        .wasm_exceptions(true)
        // The only one that frees cycles.
        .collector(Collector::Copying)
        // Calls of components that know nothing of it would cost more.
        .concurrency_support(false);
    config
}

/// The settings of the engine for WASI 0.3, whose components have tasks that go on side by side.
fn concurrent_base() -> Config {
    let mut config = base();
    config
        .concurrency_support(true)
        .wasm_component_model_async(true);
    config
}

/// The engine of the compiling child: it reserves no pool.
pub(crate) fn compiling() -> Result<Engine> {
    Engine::new(&base())
}

/// The same for the memory of a snapshot.
pub(crate) fn compiling_data() -> Result<Engine> {
    Engine::new(base().memory_guaranteed_dense_image_size(SNAPSHOT_IMAGE_BYTES_MAX))
}

/// The same for WASI 0.3.
pub(crate) fn compiling_concurrent() -> Result<Engine> {
    Engine::new(&concurrent_base())
}

/// The engine that initialises bases in the child, whose address space is limited: memories are reserved as they grow.
pub(crate) fn initialising() -> Result<Engine> {
    let mut config = base();
    config
        .memory_reservation(0)
        .memory_reservation_for_growth(INITIALISING_GROWTH_BYTES)
        .memory_guard_size(0)
        .memory_may_move(true)
        .memory_init_cow(false)
        .max_wasm_stack(INITIALISING_STACK_BYTES)
        .async_stack_size(2 * INITIALISING_STACK_BYTES);
    Engine::new(&config)
}

/// Numbers of what a guest takes from the pool, or of what the pool has.
#[derive(Debug, Clone, Copy)]
pub(crate) struct GuestParts {
    pub(crate) memories: u32,
    pub(crate) tables: u32,
    pub(crate) core_instances: u32,
}

/// The most that a core module with so many memories, its heap of objects included, takes: a snapshot is two instances.
pub(crate) const fn core_guest(memories: u32) -> GuestParts {
    GuestParts {
        memories,
        tables: TABLES_MAX,
        core_instances: 2,
    }
}

/// The most that a component takes.
pub(crate) const COMPONENT_GUEST: GuestParts = GuestParts {
    memories: MEMORIES_MAX,
    tables: TABLES_MAX,
    core_instances: CORE_INSTANCES_PER_COMPONENT_MAX,
};

/// The pool with so many slots.
pub(crate) const fn pool(slots: u32) -> GuestParts {
    GuestParts {
        memories: slots,
        tables: slots.saturating_mul(4),
        core_instances: slots.saturating_mul(4),
    }
}

/// The engine of the node: it never compiles.
pub(crate) fn running(settings: &WasmConfig) -> Result<Engine> {
    pooled(base(), settings, settings.slots)
}

/// Most instances of components of WASI 0.3 at once. They have a pool of their own, of four gigabytes of addresses each.
const CONCURRENT_SLOTS_MAX: u32 = 1000;

/// The same for WASI 0.3.
pub(crate) fn running_concurrent(settings: &WasmConfig) -> Result<Engine> {
    let slots = settings.slots.min(CONCURRENT_SLOTS_MAX);
    pooled(concurrent_base(), settings, slots)
}

fn pooled(mut config: Config, settings: &WasmConfig, slots: u32) -> Result<Engine> {
    let parts = self::pool(slots);
    let mut pool = PoolingAllocationConfig::new();
    pool.total_core_instances(parts.core_instances)
        .total_component_instances(slots)
        .total_memories(parts.memories)
        .total_tables(parts.tables)
        .total_gc_heaps(slots)
        .total_stacks(slots.saturating_mul(2))
        .max_core_instances_per_component(CORE_INSTANCES_PER_COMPONENT_MAX)
        .max_memories_per_component(MEMORIES_MAX)
        .max_memories_per_module(MEMORIES_MAX)
        .max_tables_per_component(TABLES_MAX)
        .max_tables_per_module(TABLES_MAX)
        .max_core_instance_size(4 << 20)
        .max_component_instance_size(4 << 20)
        .table_elements(TABLE_ELEMENTS_MAX)
        .max_memory_size(usize::try_from(MEMORY_RESERVATION).unwrap_or(usize::MAX))
        .linear_memory_keep_resident(settings.keep_resident_bytes)
        .table_keep_resident(512 << 10)
        .async_stack_keep_resident(128 << 10)
        // Unsafe in wasmtime 48 and 49: it leaves swapped or compacted pages to the next guest.
        .pagemap_scan(Enabled::No);
    config.allocation_strategy(InstanceAllocationStrategy::Pooling(pool));
    Engine::new(&config)
}

/// The version of what is done to modules before they are compiled, and of what is noted about them: machine code of
/// another one lies in a folder of its own, where a program before an upgrade finds it unchanged.
const FORMAT: u32 = 4;

/// Names everything that machine code depends on: wasmtime's version, its settings, the processor's features, and
/// [`FORMAT`].
pub(crate) fn compatibility(engine: &Engine) -> String {
    // Stable across processes, unlike std's default hasher's promise. It names a directory; nothing trusts it.
    let mut hasher = FnvHasher::default();
    engine.precompile_compatibility_hash().hash(&mut hasher);
    FORMAT.hash(&mut hasher);
    format!("{:016x}", hasher.finish())
}
