//! The functions of an application that run in the browsers of its visitors: which they are, and their modules.

use std::sync::Arc;

use bytes::Bytes;
use serverledge_api::HostingError;
use serverledge_core::{Application, Function, Interface, Runtime};
use serverledge_wire::edge::SignedManifest;

use crate::applications::Apps;
use crate::applications::edge_modules::ModuleDigest;

/// Functions of one manifest: a browser may load them all.
const FUNCTIONS_MAX: usize = 50;

impl Apps {
    /// The signed manifest of the functions that visitors may run.
    pub(super) async fn manifest(
        &self,
        application: &Application,
    ) -> Result<SignedManifest, HostingError> {
        let mut functions = Vec::new();
        for function in self.visitors_functions(application) {
            if let Some(module) = self.module_digest(&function).await? {
                functions.push(self.edge_tier.described(&function, &module));
            }
        }
        Ok(self.edge_tier.manifest(&application.name, functions))
    }

    /// The module with this SHA-256 in hexadecimal digits, if it is one of the manifest's.
    pub(super) async fn module_of(
        &self,
        application: &Application,
        sha256: &str,
    ) -> Result<Option<Bytes>, HostingError> {
        for function in self.visitors_functions(application) {
            let known = self.module_digest(&function).await?;
            if known.is_some_and(|known| known.sha256.to_string() == sha256) {
                return self.module_bytes(&function).await;
            }
        }
        Ok(None)
    }

    /// The functions with the flag `edge` that could run in a browser. One with secrets stays here: whoever has its module
    /// and its environment has them.
    fn visitors_functions(&self, application: &Application) -> Vec<Arc<Function>> {
        let runs_there = |function: &Arc<Function>| {
            function.flags.edge
                && function.interface == Interface::Json
                && matches!(
                    function.version.runtime,
                    Runtime::Wasm | Runtime::JavaScript
                )
                && function.version.secrets.values.is_empty()
        };
        let mut functions = self.functions_of(application);
        functions.retain(runs_there);
        functions.truncate(FUNCTIONS_MAX);
        functions
    }

    async fn module_digest(
        &self,
        function: &Function,
    ) -> Result<Option<ModuleDigest>, HostingError> {
        let code = &function.version.code;
        match self.edge_tier.modules.digest(code) {
            Some(known) => Ok(known),
            None => {
                let stored = self.stored_code(function).await?;
                let made = self.edge_tier.modules.make(*code, &stored);
                Ok(made.map(|(module, _)| module))
            }
        }
    }

    async fn module_bytes(&self, function: &Function) -> Result<Option<Bytes>, HostingError> {
        let code = &function.version.code;
        match self.edge_tier.modules.module(code) {
            Some(module) => Ok(Some(module)),
            None => {
                let stored = self.stored_code(function).await?;
                let made = self.edge_tier.modules.make(*code, &stored);
                Ok(made.map(|(_, module)| module))
            }
        }
    }
}
