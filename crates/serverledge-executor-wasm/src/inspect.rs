//! Recognises the guest interface of a module by what it exports, and says what is missing where there is none.

use wasmparser::{Parser, Payload};
use wasmtime::component::Component;
use wasmtime::{ExternType, FuncType, Module, ResourcesRequired, ValType};

use crate::engine::{MEMORIES_MAX, MEMORY_RESERVATION, TABLE_ELEMENTS_MAX, TABLES_MAX};
use crate::protocol::{FETCH, GuestKind, HANDLE, ModuleRefusal, RefusalCode};
use crate::{custom, surface};

const PAGE_BYTES: u64 = 65_536;

/// The interface of a module, and the memory that it begins with, in bytes.
pub(crate) fn module(module: &Module) -> Result<(GuestKind, u64), ModuleRefusal> {
    let kind = module_kind(module)?;
    if !matches!(module.get_export("memory"), Some(ExternType::Memory(_))) {
        return Err(none("the module exports no memory named \"memory\""));
    }
    Ok((kind, memory_bytes_min(&module.resources_required())?))
}

/// The memories of a core module at its beginning, in bytes together; of a component, those of all its modules.
pub(crate) fn memories_bytes(binary: &[u8]) -> u64 {
    let sections = Parser::new(0).parse_all(binary).filter_map(Result::ok);
    let memories = sections.filter_map(|payload| match payload {
        Payload::MemorySection(section) => Some(section.into_iter().filter_map(Result::ok)),
        _ => None,
    });
    memories
        .flatten()
        .map(|memory| memory.initial.saturating_mul(PAGE_BYTES))
        .fold(0, u64::saturating_add)
}

fn module_kind(module: &Module) -> Result<GuestKind, ModuleRefusal> {
    use ValType::{I32, I64};
    let has = |name: &str| module.get_export(name).is_some();
    if has(HANDLE) || has("serverledge_alloc") {
        signature(module, "serverledge_alloc", &[I32], &[I32])?;
        signature(module, HANDLE, &[I32, I32], &[I64])?;
        if has(FETCH) {
            signature(module, FETCH, &[I32, I32], &[I64])?;
        }
        if has("_initialize") {
            signature(module, "_initialize", &[], &[])?;
        }
        return Ok(GuestKind::Reactor);
    }
    if has("_start") {
        signature(module, "_start", &[], &[])?;
        return Ok(GuestKind::Command);
    }
    Err(none(
        "no recognised interface: export _start (WASI command), or serverledge_alloc and serverledge_handle \
         (reactor), or build a component that exports wasi:http/incoming-handler",
    ))
}

/// The kind of a binary with this kind by its exports: its mark can say that a reactor answers requests.
pub(crate) fn marked(kind: GuestKind, binary: &[u8]) -> Result<GuestKind, ModuleRefusal> {
    if kind != GuestKind::Reactor || !custom::answers_requests(binary) {
        return Ok(kind);
    }
    let surface = surface::read(binary).unwrap_or_default();
    if surface.exports.iter().any(|export| export == FETCH) {
        return Ok(GuestKind::HttpReactor);
    }
    Err(none(
        "the module says that it answers requests (the custom section serverledge.interface), and exports no function \
         serverledge_fetch",
    ))
}

fn signature(
    module: &Module,
    name: &str,
    params: &[ValType],
    results: &[ValType],
) -> Result<(), ModuleRefusal> {
    let Some(ExternType::Func(found)) = module.get_export(name) else {
        return Err(none(&format!("the module exports no function {name}")));
    };
    // Not by the identity of the types: that includes the group in which a type is defined.
    let same = |types: &mut dyn ExactSizeIterator<Item = ValType>, wanted: &[ValType]| {
        types.len() == wanted.len() && types.zip(wanted).all(|(a, b)| ValType::eq(&a, b))
    };
    if same(&mut found.params(), params) && same(&mut found.results(), results) {
        return Ok(());
    }
    let wanted = FuncType::new(
        module.engine(),
        params.iter().cloned(),
        results.iter().cloned(),
    );
    Err(none(&format!(
        "the export {name} has the signature {found}, not {wanted}"
    )))
}

/// The memory that a component begins with, in bytes.
pub(crate) fn component(component: &Component) -> Result<u64, ModuleRefusal> {
    let needs = component.resources_required();
    memory_bytes_min(
        &needs.ok_or_else(|| none("the component imports core modules or components"))?,
    )
}

/// Refuses a module that the pool has no room for, so that the first call does not find it out.
pub(crate) fn memory_bytes_min(needs: &ResourcesRequired) -> Result<u64, ModuleRefusal> {
    let elements = needs.max_initial_table_size.unwrap_or(0);
    let bytes = needs
        .max_initial_memory_size
        .unwrap_or(0)
        .saturating_mul(PAGE_BYTES);
    let fault = if needs.num_memories > MEMORIES_MAX {
        format!(
            "it has {} memories, {MEMORIES_MAX} are allowed",
            needs.num_memories
        )
    } else if needs.num_tables > TABLES_MAX {
        format!(
            "it has {} tables, {TABLES_MAX} are allowed",
            needs.num_tables
        )
    } else if elements > TABLE_ELEMENTS_MAX as u64 {
        format!("it has a table of {elements} elements, {TABLE_ELEMENTS_MAX} are allowed")
    } else if bytes > MEMORY_RESERVATION {
        format!("it begins with a memory of {bytes} bytes, {MEMORY_RESERVATION} are allowed")
    } else {
        return Ok(bytes);
    };
    Err(ModuleRefusal::new(
        RefusalCode::InvalidModule,
        format!("the module is too large for a sandbox: {fault}"),
    ))
}

fn none(message: &str) -> ModuleRefusal {
    ModuleRefusal::new(RefusalCode::NoInterface, message)
}
