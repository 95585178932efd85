//! The executors of this node, by the runtimes that declare them.

use std::sync::Arc;

use serverledge_core::{Executor, Runtime};
use serverledge_executor_wasm::WasmExecutor;

/// See the module.
#[derive(Clone)]
pub(crate) struct Executors {
    pub(crate) wasm: Arc<dyn Executor>,
    /// What takes snapshots of scripts; `None`: nothing of that runtime can be deployed here.
    pub(crate) snapshots: Option<WasmExecutor>,
    pub(crate) containers: Option<Arc<dyn Executor>>,
}

impl Executors {
    /// The one that a runtime declares; `None` if this node does not have it.
    pub(crate) fn of(&self, runtime: Runtime) -> Option<&Arc<dyn Executor>> {
        match runtime {
            Runtime::Wasm | Runtime::JavaScript => Some(&self.wasm),
            Runtime::Python | Runtime::NodeJs | Runtime::Custom => self.containers.as_ref(),
        }
    }

    /// The runtimes that there is an executor for.
    pub(crate) fn runtimes(&self) -> Vec<Runtime> {
        Runtime::ALL
            .into_iter()
            .filter(|runtime| self.of(*runtime).is_some())
            .collect()
    }

    /// All of them.
    pub(crate) fn all(&self) -> impl Iterator<Item = &Arc<dyn Executor>> {
        std::iter::once(&self.wasm).chain(&self.containers)
    }
}

/// Whether a runtime's sandboxes serve several calls, one after the other or at once.
pub(crate) fn is_pooled(runtime: Runtime) -> bool {
    matches!(runtime, Runtime::Python | Runtime::NodeJs | Runtime::Custom)
}
