//! The executors of this node, by runtime.

use std::sync::Arc;

use serverledge_core::{Executor, Footprint, Runtime, Version};
use serverledge_executor_wasm::WasmExecutor;

/// The executors; see the module.
#[derive(Clone)]
pub(crate) struct Executors {
    pub(crate) wasm: Arc<dyn Executor>,
    /// The executor that takes snapshots; `None`: no function of the runtimes `javascript` and `python-wasm` can be
    /// deployed here.
    pub(crate) snapshots: Option<WasmExecutor>,
    pub(crate) containers: Option<Arc<dyn Executor>>,
}

impl Executors {
    /// The executor of a runtime; `None` if this node does not have it.
    pub(crate) fn of(&self, runtime: Runtime) -> Option<&Arc<dyn Executor>> {
        match runtime {
            Runtime::Wasm | Runtime::JavaScript | Runtime::PythonWasm => Some(&self.wasm),
            Runtime::Python | Runtime::NodeJs | Runtime::Custom => self.containers.as_ref(),
        }
    }

    /// The runtimes with an executor on this node.
    pub(crate) fn runtimes(&self) -> Vec<Runtime> {
        Runtime::ALL
            .into_iter()
            .filter(|runtime| self.of(*runtime).is_some())
            .collect()
    }

    /// Whether a version is prepared. One whose runtime has no executor counts as prepared: nothing can be prepared for
    /// it.
    pub(crate) fn is_prepared(&self, version: &Version) -> bool {
        self.of(version.runtime)
            .is_none_or(|executor| executor.is_prepared(version))
    }

    /// The sizes of a version that is prepared here as machine code.
    pub(crate) fn footprint(&self, version: &Version) -> Option<Footprint> {
        self.of(version.runtime)?.footprint(version)
    }

    /// All executors.
    pub(crate) fn all(&self) -> impl Iterator<Item = &Arc<dyn Executor>> {
        std::iter::once(&self.wasm).chain(&self.containers)
    }
}

/// Whether a runtime's sandboxes serve several calls, one after the other or at once.
pub(crate) fn is_pooled(runtime: Runtime) -> bool {
    matches!(runtime, Runtime::Python | Runtime::NodeJs | Runtime::Custom)
}
