//! Recognises the guest interface of a module by what it exports, and says what is missing where there is none.

use wasmtime::component::Component;
use wasmtime::{Engine, ExternType, FuncType, Module, ResourcesRequired, ValType};

use crate::engine::{MEMORIES_MAX, TABLE_ELEMENTS_MAX, TABLES_MAX};
use crate::protocol::{GuestKind, Refusal, RefusalCode};

/// What a module promises.
#[derive(Debug)]
pub(crate) struct Inspected {
    pub(crate) kind: GuestKind,
    pub(crate) memory_bytes_min: u64,
}

const PAGE_BYTES: u64 = 65_536;
/// The export that a `wasi:http` component must have, without its version.
const HANDLER: &str = "wasi:http/incoming-handler";

pub(crate) fn module(module: &Module) -> Result<Inspected, Refusal> {
    check_imports(module)?;
    let kind = module_kind(module)?;
    if !matches!(module.get_export("memory"), Some(ExternType::Memory(_))) {
        return Err(none("the module exports no memory named \"memory\""));
    }
    let needs = module.resources_required();
    check_size(&needs)?;
    Ok(Inspected {
        kind,
        memory_bytes_min: needs
            .max_initial_memory_size
            .unwrap_or(0)
            .saturating_mul(PAGE_BYTES),
    })
}

fn module_kind(module: &Module) -> Result<GuestKind, Refusal> {
    use ValType::{I32, I64};
    let has = |name: &str| module.get_export(name).is_some();
    if has("serverledge_handle") || has("serverledge_alloc") {
        signature(module, "serverledge_alloc", &[I32], &[I32])?;
        signature(module, "serverledge_handle", &[I32, I32], &[I64])?;
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

fn signature(
    module: &Module,
    name: &str,
    params: &[ValType],
    results: &[ValType],
) -> Result<(), Refusal> {
    let Some(ExternType::Func(found)) = module.get_export(name) else {
        return Err(none(&format!("the module exports no function {name}")));
    };
    let wanted = FuncType::new(
        module.engine(),
        params.iter().cloned(),
        results.iter().cloned(),
    );
    if FuncType::eq(&found, &wanted) {
        return Ok(());
    }
    Err(none(&format!(
        "the export {name} has the signature {found}, not {wanted}"
    )))
}

/// Names the first import that no host here offers; its type is checked by the linker.
fn check_imports(module: &Module) -> Result<(), Refusal> {
    for import in module.imports() {
        let known = match import.module() {
            "wasi_snapshot_preview1" => matches!(import.ty(), ExternType::Func(_)),
            "serverledge" => import.name() == "call",
            _ => false,
        };
        if !known {
            return Err(Refusal {
                code: RefusalCode::UnknownImport,
                message: format!(
                    "the module imports {}::{}; only functions of wasi_snapshot_preview1 and serverledge::call are offered",
                    import.module(),
                    import.name()
                ),
            });
        }
    }
    Ok(())
}

pub(crate) fn component(engine: &Engine, component: &Component) -> Result<Inspected, Refusal> {
    let exports_handler = component
        .component_type()
        .exports(engine)
        .any(|(name, _)| name.split('@').next() == Some(HANDLER));
    if !exports_handler {
        return Err(none(
            "the component does not export wasi:http/incoming-handler",
        ));
    }
    let needs = component
        .resources_required()
        .ok_or_else(|| none("the component imports core modules or components"))?;
    check_size(&needs)?;
    Ok(Inspected {
        kind: GuestKind::Http,
        memory_bytes_min: needs
            .max_initial_memory_size
            .unwrap_or(0)
            .saturating_mul(PAGE_BYTES),
    })
}

/// What the pool has no room for must not be found out by the first call.
fn check_size(needs: &ResourcesRequired) -> Result<(), Refusal> {
    let elements = needs.max_initial_table_size.unwrap_or(0);
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
    } else {
        return Ok(());
    };
    Err(Refusal {
        code: RefusalCode::InvalidModule,
        message: format!("the module is too large for a sandbox: {fault}"),
    })
}

fn none(message: &str) -> Refusal {
    Refusal {
        code: RefusalCode::NoInterface,
        message: message.to_owned(),
    }
}
