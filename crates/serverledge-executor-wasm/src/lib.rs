//! WebAssembly sandboxes: recognises, compiles and runs guests on wasmtime, each invocation in an instance that is fresh or as good as fresh.
//!
//! Compilation happens in a limited child process ([`compile_worker`] is its main function); machine code is kept on
//! disk, loaded on demand, and instantiated from a pool. Guests run inside the task of their request and yield at
//! every tick of the epoch clock; one that runs on is moved to low-priority threads (`docs/decisions/0005-where-guests-run.md`).

mod arguments;
mod cache;
mod cli;
mod command;
mod compile;
mod component_files;
mod component_guest;
mod component_program;
mod component_state;
mod config;
mod core_guest;
mod core_instance;
mod core_outbound;
mod core_state;
mod custom;
mod deadline;
mod descriptor_table;
mod engine;
mod engines;
mod exchange;
mod executor;
mod explain;
mod exports;
mod failure;
mod files;
mod freeze;
mod guest_headers;
mod http;
mod http_reactor;
mod inspect;
mod invocation_facts;
mod kept;
mod lane;
mod lent;
mod linked;
mod linker;
mod loaded;
mod log_tail;
mod memory_image;
mod meter;
mod outbound;
mod portable;
mod program_call;
mod proposals;
mod protocol;
mod queue;
mod reactor;
mod restorable;
mod rights;
mod sandbox;
mod service;
mod skeleton;
mod snapshot;
mod split;
mod split_module;
mod stub;
mod surface;
mod ticker;
mod unroll;
mod wasi;
mod worker;
mod written_pages;

pub use compile::compile_worker;
pub use config::{CompileLimits, FileLayout, InitLimits, PackedBase, WasmConfig, Worker};
pub use custom::{answering_requests, section, with_section};
pub use deadline::with_deadline;
pub use executor::{WasmExecutor, WasmOpenError};
pub use linked::linked_with_deadline;
pub use portable::{CoreInterface, NotPortable, portable};
pub use snapshot::{ModuleSnapshot, SnapshotBase, SnapshotError};
