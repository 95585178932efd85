//! The functions of an application that run in the browsers of its visitors: which they are, and their files.

use std::sync::Arc;

use bytes::Bytes;
use serverledge_api::{ContentCoding, DeployError, EdgeFile, HostingError};
use serverledge_core::{Application, Digest, Function, error_chain};
use serverledge_wire::edge::{EdgeModuleKind, SignedManifest};

use crate::applications::Apps;
use crate::applications::edge_modules::{CodeId, FilePart, ModuleInfo};
use crate::functions::edge_fit::fits;
use crate::functions::snapshots;

/// Functions of one manifest: a browser may load them all.
const FUNCTIONS_MAX: usize = 50;

impl Apps {
    /// The signed manifest of the functions that visitors may run. A function whose code is damaged is left out.
    ///
    /// # Errors
    /// The registry cannot be asked: a manifest holds for a day, and one without the functions would hold so long.
    pub(super) async fn manifest(
        &self,
        application: &Application,
    ) -> Result<SignedManifest, HostingError> {
        let mut functions = Vec::new();
        let mut components = Vec::new();
        for function in self.visitors_functions(application) {
            match self.module_info(&function).await {
                Ok(Some(module)) => {
                    let described = self.edge_tier.described(&function, &module);
                    match described.kind {
                        EdgeModuleKind::Component => components.push(described),
                        _ => functions.push(described),
                    }
                }
                Ok(None) => {}
                Err(error @ DeployError::Registry { .. }) => return Err(error.into()),
                Err(error) => tracing::warn!(
                    application = %application.name,
                    function = %function.name,
                    error = error_chain(&error),
                    "a function cannot be given to browsers"
                ),
            }
            if functions.len() + components.len() == FUNCTIONS_MAX {
                break;
            }
        }
        Ok(self
            .edge_tier
            .manifest(&application.name, functions, components))
    }

    /// Whether a file is one of the manifest's.
    pub(super) async fn names_file(
        &self,
        application: &Application,
        file: EdgeFile<'_>,
    ) -> Result<bool, HostingError> {
        Ok(self.find_file(application, file).await?.is_some())
    }

    /// The file in this coding, if it is one of the manifest's.
    pub(super) async fn read_file(
        &self,
        application: &Application,
        file: EdgeFile<'_>,
        coding: ContentCoding,
    ) -> Result<Option<Bytes>, HostingError> {
        let Some((function, part)) = self.find_file(application, file).await? else {
            return Ok(None);
        };
        let (EdgeFile::Module(name) | EdgeFile::Delta(name) | EdgeFile::Component(name)) = file;
        // It was found by its digest.
        let Ok(sha256) = name.parse::<Digest>() else {
            return Ok(None);
        };
        let read = self.stored_code(&function);
        let modules = &self.edge_tier.modules;
        let made = modules.file((code_of(&function), part), (sha256, coding), read);
        Ok(made.await?)
    }

    /// The function of a file, and which file of it that is. One whose code cannot be read keeps no other from being found.
    async fn find_file(
        &self,
        application: &Application,
        file: EdgeFile<'_>,
    ) -> Result<Option<(Arc<Function>, FilePart)>, HostingError> {
        let mut failed = None;
        let mut left = FUNCTIONS_MAX;
        for function in self.visitors_functions(application) {
            match self.module_info(&function).await {
                Ok(Some(module)) => {
                    if let Some(part) = module.part(file) {
                        return Ok(Some((function, part)));
                    }
                    left -= 1;
                }
                Ok(None) => {}
                Err(error) => failed = Some(error),
            }
            if left == 0 {
                break;
            }
        }
        match failed {
            Some(error @ DeployError::Registry { .. }) => Err(error.into()),
            _ => Ok(None),
        }
    }

    /// The functions with the flag `edge` that could run in a browser, in the versions that calls run now. A flag that was
    /// taken away counts at once.
    fn visitors_functions(&self, application: &Application) -> Vec<Arc<Function>> {
        let names = self.shared.functions.names(&application.space);
        let runs_there = |name: &String| {
            let newest = self.shared.functions.get(&application.space, name)?;
            if !newest.function.flags.edge {
                return None;
            }
            let function = Arc::clone(&newest.runs_as().function);
            (function.flags.edge && fits(&function).is_ok()).then_some(function)
        };
        names.iter().filter_map(runs_there).collect()
    }

    /// The description of a function's module; `None` if browsers cannot run it.
    async fn module_info(
        &self,
        function: &Function,
    ) -> Result<Option<Arc<ModuleInfo>>, DeployError> {
        let read = self.stored_code(function);
        let snapshots = self.shared.executors.snapshots.as_ref();
        let modules = &self.edge_tier.modules;
        let described = modules.describe(code_of(function), read, snapshots).await?;
        match described {
            Ok(module) => Ok(Some(module)),
            Err(reason) => {
                tracing::debug!(function = %function.name, %reason, "browsers cannot run a function");
                Ok(None)
            }
        }
    }
}

fn code_of(function: &Function) -> CodeId {
    CodeId {
        digest: function.version.code,
        snapshot: snapshots::language(function.version.runtime),
    }
}
