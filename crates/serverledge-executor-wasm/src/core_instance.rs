//! An instance of a core module with its store: made fresh for a call, and put back to its beginning after it where that
//! is possible.

use std::ops::Range;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use rustix::mm::{Advice, madvise};
use wasmtime::{
    Engine, Extern, Global, Instance, Memory, Module, ModuleExport, Result, Store, Val,
};

use crate::command::CommandEntry;
use crate::core_guest::CoreGuest;
use crate::exports::GLOBAL_PREFIX;
use crate::loaded::CoreProgram;
use crate::memory_image::MemoryImage;
use crate::meter;
use crate::reactor::{Handled, ReactorEntry};
use crate::written_pages::{PAGE_BYTES, WrittenPages};

/// See the module.
pub(crate) struct CoreInstance {
    store: Store<CoreGuest>,
    memory: Memory,
    entry: Entry,
    beginning: Option<Beginning>,
}

/// The functions that a call goes through.
enum Entry {
    Command(CommandEntry),
    Reactor(ReactorEntry),
}

/// The end of a call in an instance.
pub(crate) struct CallEnd {
    pub(crate) result: Result<Handled>,
    /// Whether the guest was ever refused memory.
    pub(crate) memory_refused: bool,
    /// Whether the guest came back from its call, and so left its stack.
    returned: bool,
}

impl CallEnd {
    /// The end of no call: nothing has run in the instance.
    pub(crate) const fn untouched() -> Self {
        Self {
            result: Ok(Handled::Value(Bytes::new())),
            memory_refused: false,
            returned: true,
        }
    }
}

/// The state that an instance began with.
struct Beginning {
    plan: Arc<RestorePlan>,
    image: Arc<MemoryImage>,
    globals: Box<[(Global, Val)]>,
    /// Whether its written pages are those since the beginning. At first they may be all: wasmtime resets a slot by
    /// writing to it.
    is_tracked: bool,
}

/// Restores in a row that would have put back too much, after which instances of a module are not kept any more.
const FAILURES_MAX: u8 = 3;

/// The places of the state of a module's instances, if that is all the state they have.
pub(crate) struct RestorePlan {
    globals: Box<[ModuleExport]>,
    /// Restores in a row that would have put back too much.
    failures: AtomicU8,
    image: OnceLock<Option<Arc<MemoryImage>>>,
}

impl RestorePlan {
    /// Of a module whose mutable globals are exported.
    pub(crate) fn new(module: &Module) -> Self {
        let globals = module
            .exports()
            .filter(|export| export.name().starts_with(GLOBAL_PREFIX))
            .filter_map(|export| module.get_export_index(export.name()))
            .collect();
        Self {
            globals,
            failures: AtomicU8::new(0),
            image: OnceLock::new(),
        }
    }

    /// Whether instances are worth keeping: those of a module that writes much each time are not.
    pub(crate) fn pays(&self) -> bool {
        self.failures.load(Ordering::Relaxed) < FAILURES_MAX
    }

    fn note_written(&self, is_little: bool) {
        if is_little {
            self.failures.store(0, Ordering::Relaxed);
        } else {
            self.failures.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// The beginning of an instance to which nothing has happened yet.
    fn beginning(
        self: &Arc<Self>,
        store: &mut Store<CoreGuest>,
        instance: Instance,
        program: &CoreProgram,
        memory: Memory,
    ) -> Option<Beginning> {
        let image = self
            .image
            .get_or_init(|| {
                let image = MemoryImage::of(program.memory_module(), memory.data(&*store));
                image.map(Arc::new)
            })
            .clone()?;
        let global = |export| {
            let global = instance
                .get_module_export(&mut *store, export)
                .and_then(Extern::into_global)?;
            Some((global, global.get(&mut *store)))
        };
        Some(Beginning {
            plan: Arc::clone(self),
            image,
            globals: self.globals.iter().map(global).collect::<Option<_>>()?,
            is_tracked: false,
        })
    }
}

impl CoreInstance {
    /// A fresh instance, in which nothing of the guest has run but its start function. The error comes with whether the
    /// guest was refused memory.
    pub(crate) async fn fresh(
        engine: &Engine,
        program: &CoreProgram,
        plan: Option<&Arc<RestorePlan>>,
        guest: CoreGuest,
    ) -> Result<Self, (wasmtime::Error, bool)> {
        let mut store = Store::new(engine, guest);
        meter::arm(&mut store);
        match parts(&mut store, program, plan).await {
            Ok((memory, entry, beginning)) => {
                store.data_mut().memory = Some(memory);
                Ok(Self {
                    store,
                    memory,
                    entry,
                    beginning,
                })
            }
            Err(error) => Err((error, store.data().meter.memory_refused)),
        }
    }

    /// Makes an instance that was put back ready for another call.
    pub(crate) fn begin(&mut self, mut guest: CoreGuest) {
        guest.memory = Some(self.memory);
        // It was put back to this.
        let memory_bytes = self.beginning.as_ref().map(|one| one.image.len());
        guest.meter.take_over(memory_bytes.unwrap_or_default());
        *self.store.data_mut() = guest;
        self.store.set_epoch_deadline(1);
    }

    /// One call of the guest that the store holds.
    pub(crate) async fn call(&mut self) -> CallEnd {
        let (result, returned) = match &self.entry {
            Entry::Command(command) => match command.run(&mut self.store).await {
                Ok((output, returned)) => (Ok(Handled::Value(output)), returned),
                Err(error) => (Err(error), false),
            },
            Entry::Reactor(reactor) => {
                let result = reactor.call(&mut self.store, self.memory).await;
                let returned = result.is_ok();
                (result, returned)
            }
        };
        CallEnd {
            result,
            memory_refused: self.store.data().meter.memory_refused,
            returned,
        }
    }

    /// Puts the instance back to its beginning after a call, and lets go of the call. `None` if it cannot be had as it
    /// began: the guest did not return, its memory has grown, or more than `bytes_max` of it was written.
    pub(crate) fn restore(
        mut self,
        end: &CallEnd,
        pages: &WrittenPages,
        bytes_max: usize,
    ) -> Option<Self> {
        let mut beginning = self.beginning.take().filter(|_| end.returned)?;
        let memory = self.memory.data_mut(&mut self.store);
        if memory.len() != beginning.image.len() {
            return None;
        }
        if beginning.is_tracked {
            let written = written(pages, memory, &beginning.image.range())?;
            let bytes: usize = written.iter().map(ExactSizeIterator::len).sum();
            beginning.plan.note_written(bytes <= bytes_max);
            if bytes > bytes_max {
                return None;
            }
            for range in written {
                beginning.image.restore(memory, range);
            }
        } else {
            give_back(memory).ok()?;
            if !beginning.image.is_known_to_come_back() {
                if !beginning.image.comes_back_to(memory) {
                    return None;
                }
                // It was read throughout; what was mapped for that would make every scan longer.
                give_back(memory).ok()?;
            }
            beginning.is_tracked = true;
        }
        for (global, value) in &beginning.globals {
            global.set(&mut self.store, *value).ok()?;
        }
        self.store.data_mut().clear();
        #[cfg(feature = "verify-restores")]
        self.verify(&beginning);
        self.beginning = Some(beginning);
        Some(self)
    }

    /// Compares all that can be compared.
    #[cfg(feature = "verify-restores")]
    fn verify(&mut self, beginning: &Beginning) {
        assert!(
            beginning.image.is_that_of(self.memory.data(&self.store)),
            "the memory of an instance was not put back"
        );
        for (global, value) in &beginning.globals {
            let found = global.get(&mut self.store);
            assert_eq!(
                format!("{found:?}"),
                format!("{value:?}"),
                "a global of an instance was not put back"
            );
        }
    }
}

/// An instance's memory, its functions, and its beginning if it can be put back to it.
async fn parts(
    store: &mut Store<CoreGuest>,
    program: &CoreProgram,
    plan: Option<&Arc<RestorePlan>>,
) -> Result<(Memory, Entry, Option<Beginning>)> {
    let instance = match program {
        CoreProgram::Command(command) => command.instantiate(store).await?,
        CoreProgram::Reactor(reactor) => reactor.instantiate(store).await?,
    };
    let memory = instance
        .get_module_export(&mut *store, program.memory())
        .and_then(Extern::into_memory)
        .ok_or_else(|| wasmtime::Error::msg("the module lost its memory"))?;
    let entry = match program {
        CoreProgram::Command(command) => Entry::Command(command.entry(store, instance)?),
        CoreProgram::Reactor(reactor) => Entry::Reactor(reactor.entry(store, instance)?),
    };
    let beginning = plan.and_then(|plan| plan.beginning(store, instance, program, memory));
    Ok((memory, entry, beginning))
}

/// The ranges that were written; `None` if they cannot be found.
fn written(
    pages: &WrittenPages,
    memory: &[u8],
    contents: &Range<usize>,
) -> Option<Vec<Range<usize>>> {
    let mut found = Vec::with_capacity(64);
    match pages.find(memory, contents, &mut found) {
        Ok(()) => Some(found),
        Err(error) => {
            tracing::warn!(%error, "failed to find the pages that a guest has written");
            None
        }
    }
}

/// Gives all pages back: the memory is then mapped as at the beginning, and nothing of it is anonymous.
fn give_back(memory: &mut [u8]) -> rustix::io::Result<()> {
    debug_assert_eq!(memory.as_ptr().addr() % PAGE_BYTES, 0);
    #[expect(unsafe_code, reason = "the memory is named by its address")]
    // SAFETY: the range is the guest's memory, whole pages, borrowed by nobody else, and any content of it is valid.
    unsafe {
        madvise(
            memory.as_mut_ptr().cast(),
            memory.len(),
            Advice::LinuxDontNeed,
        )
    }
}
