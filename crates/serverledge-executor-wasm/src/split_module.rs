//! A snapshot in two parts, ready to be instantiated: an engine that is loaded once, and data for its memory.

use std::sync::Arc;

use wasmtime::{Extern, Instance, InstancePre, Module, ModuleExport, Result, Store, Val};

use crate::core_guest::CoreGuest;
use crate::exports::global_name;
use crate::split::{ChangedGlobal, MEMORY, Number, function_name};

/// The engine of snapshots, loaded.
pub(crate) struct SharedEngine {
    pub(crate) module: Module,
    pub(crate) bytes: u64,
    /// Whether its instances can be put back to their beginning.
    pub(crate) is_restorable: bool,
}

/// See the module.
pub(crate) struct SplitModule {
    engine: Arc<SharedEngine>,
    data: InstancePre<CoreGuest>,
    /// The exports of the data that the engine imports, in the engine's order.
    imports: Box<[ModuleExport]>,
    /// The globals of the engine that begin with other values.
    globals: Box<[(ModuleExport, Val)]>,
}

impl SplitModule {
    /// `None` if the parts do not belong together.
    pub(crate) fn new(
        engine: Arc<SharedEngine>,
        data: InstancePre<CoreGuest>,
        globals: &[ChangedGlobal],
    ) -> Option<Self> {
        let functions = engine.module.imports().len().checked_sub(1)?;
        let names = (0..functions).map(function_name).chain([MEMORY.to_owned()]);
        let imports = names
            .map(|name| data.module().get_export_index(&name))
            .collect::<Option<_>>()?;
        let global = |changed: &ChangedGlobal| {
            Some((
                engine
                    .module
                    .get_export_index(&global_name(changed.index))?,
                value(changed.value),
            ))
        };
        let globals = globals.iter().map(global).collect::<Option<_>>()?;
        Some(Self {
            engine,
            data,
            imports,
            globals,
        })
    }

    pub(crate) fn engine(&self) -> &Module {
        &self.engine.module
    }

    pub(crate) fn data(&self) -> &Module {
        self.data.module()
    }

    /// A fresh instance of both; the one of the engine exports everything, memory too.
    pub(crate) async fn instantiate(&self, store: &mut Store<CoreGuest>) -> Result<Instance> {
        let lost = || wasmtime::Error::msg("the module lost an export");
        let data = self.data.instantiate_async(&mut *store).await?;
        let imports = self
            .imports
            .iter()
            .map(|import| data.get_module_export(&mut *store, import).ok_or_else(lost));
        let imports = imports.collect::<Result<Vec<Extern>>>()?;
        let instance = Instance::new_async(&mut *store, &self.engine.module, &imports).await?;
        for (export, value) in &self.globals {
            let global = instance
                .get_module_export(&mut *store, export)
                .and_then(Extern::into_global);
            global.ok_or_else(lost)?.set(&mut *store, *value)?;
        }
        Ok(instance)
    }
}

const fn value(number: Number) -> Val {
    match number {
        Number::I32(value) => Val::I32(value),
        Number::I64(value) => Val::I64(value),
        Number::F32(bits) => Val::F32(bits),
        Number::F64(bits) => Val::F64(bits),
    }
}
