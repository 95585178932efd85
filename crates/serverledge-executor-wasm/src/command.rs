//! Runs a WASI command: parameters on stdin, the result on stdout.

use bytes::Bytes;
use wasmtime::{InstancePre, ModuleExport, Result, Store};

use crate::core_guest::CoreGuest;
use crate::reactor::function;

/// A command, ready to be instantiated.
#[derive(Clone)]
pub(crate) struct CommandModule {
    pre: InstancePre<CoreGuest>,
    memory: ModuleExport,
    start: ModuleExport,
}

impl CommandModule {
    /// `None` if an export is missing, which the inspection at deploy rules out.
    pub(crate) fn new(pre: InstancePre<CoreGuest>) -> Option<Self> {
        let memory = pre.module().get_export_index("memory")?;
        let start = pre.module().get_export_index("_start")?;
        Some(Self { pre, memory, start })
    }

    /// One run; what the guest wrote to stdout is left in the store.
    pub(crate) async fn run(&self, store: &mut Store<CoreGuest>) -> Result<Bytes> {
        let instance = self.pre.instantiate_async(&mut *store).await?;
        store.data_mut().memory = instance
            .get_module_export(&mut *store, &self.memory)
            .and_then(wasmtime::Extern::into_memory);
        match function::<(), ()>(store, instance, &self.start)?
            .call_async(&mut *store, ())
            .await
        {
            Err(error) if !exited_well(&error) => Err(error),
            _ => Ok(Bytes::from(std::mem::take(&mut store.data_mut().stdout))),
        }
    }
}

fn exited_well(error: &wasmtime::Error) -> bool {
    matches!(error.downcast_ref(), Some(crate::meter::Stop::Exit(0)))
}
