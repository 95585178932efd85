//! A WASI command: parameters on stdin, the result on stdout.

use bytes::Bytes;
use wasmtime::{Instance, InstancePre, Module, ModuleExport, Result, Store, TypedFunc};

use crate::core_guest::CoreGuest;
use crate::meter::Stop;
use crate::reactor::function;

/// A command, ready to be instantiated.
pub(crate) struct CommandModule {
    pre: InstancePre<CoreGuest>,
    memory: ModuleExport,
    start: ModuleExport,
}

/// The function of an instance that a run is.
pub(crate) struct CommandEntry(TypedFunc<(), ()>);

impl CommandModule {
    /// `None` if an export is missing, which the inspection at deploy rules out.
    pub(crate) fn new(pre: InstancePre<CoreGuest>) -> Option<Self> {
        let memory = pre.module().get_export_index("memory")?;
        let start = pre.module().get_export_index("_start")?;
        Some(Self { pre, memory, start })
    }

    pub(crate) fn memory(&self) -> &ModuleExport {
        &self.memory
    }

    pub(crate) fn module(&self) -> &Module {
        self.pre.module()
    }

    pub(crate) async fn instantiate(&self, store: &mut Store<CoreGuest>) -> Result<Instance> {
        self.pre.instantiate_async(store).await
    }

    pub(crate) fn entry(
        &self,
        store: &mut Store<CoreGuest>,
        instance: Instance,
    ) -> Result<CommandEntry> {
        function(store, instance, &self.start).map(CommandEntry)
    }
}

impl CommandEntry {
    /// One run: what the guest wrote to stdout, and whether it returned. Otherwise it ended well in the middle, by
    /// `proc_exit(0)`.
    pub(crate) async fn run(&self, store: &mut Store<CoreGuest>) -> Result<(Bytes, bool)> {
        let returned = match self.0.call_async(&mut *store, ()).await {
            Ok(()) => true,
            Err(error) if matches!(error.downcast_ref(), Some(Stop::Exit(0))) => false,
            Err(error) => return Err(error),
        };
        Ok((
            Bytes::from(std::mem::take(&mut store.data_mut().stdout)),
            returned,
        ))
    }
}
