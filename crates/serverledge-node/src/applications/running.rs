//! Running applications: their public address, and what their owners do with them beside changing them.

#[cfg(test)]
mod tests;

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use serverledge_api::{
    AppError, ContentCoding, DeployError, EdgeCode, EdgeFile, Hosting, HostingError, Imported,
    TestRun,
};
use serverledge_core::{AppName, Application, Caller, Function, PrepareError, Progress, Report};
use serverledge_registry::BlobError;
use serverledge_wire::edge::{EdgeKeys, SignedManifest};

use crate::applications::Apps;

#[async_trait]
impl Hosting for Apps {
    fn application(&self, name: &str) -> Option<Arc<Application>> {
        self.applications
            .by_name(name)
            .filter(|application| application.up && self.reach.is_served(application))
    }

    fn is_prepared(&self, application: &Application) -> bool {
        self.functions_of(application)
            .iter()
            .all(|function| self.shared.functions.can_run(function))
    }

    async fn start(
        &self,
        caller: &Caller,
        name: &str,
        progress: &dyn Progress,
    ) -> Result<Arc<Application>, HostingError> {
        self.invoker.check_open()?;
        let application = self.own(caller, name)?;
        for function in self.functions_of(&application) {
            progress.step(&format!("preparing {}", function.name));
            let prepared = self.prepare_for(&application, &function, progress).await;
            prepared.map_err(|source| HostingError::Function {
                function: function.name.clone(),
                source,
            })?;
        }
        Ok(self.set_up(caller, name, true).await?)
    }

    async fn stop(&self, caller: &Caller, name: &str) -> Result<Arc<Application>, HostingError> {
        let application = self.set_up(caller, name, false).await?;
        // Nobody waits for what is idle now; on other nodes it goes when its time has come.
        for function in self.functions_of(&application) {
            self.shared.retire_sandboxes(&function, None);
        }
        Ok(application)
    }

    async fn export(&self, caller: &Caller, name: &str) -> Result<Bytes, HostingError> {
        let application = self.own(caller, name)?;
        self.export_application(&application).await
    }

    async fn edge_code(
        &self,
        application: &Application,
        function: &str,
    ) -> Result<Option<EdgeCode>, HostingError> {
        let newest = self.shared.functions.get(&application.space, function);
        let Some(newest) = newest.filter(|newest| newest.function.flags.edge) else {
            return Ok(None);
        };
        self.code_for_callers(&newest.runs_as().function).await
    }

    async fn edge_manifest(
        &self,
        application: &Application,
    ) -> Result<SignedManifest, HostingError> {
        self.manifest(application).await
    }

    async fn has_edge_file(
        &self,
        application: &Application,
        file: EdgeFile<'_>,
    ) -> Result<bool, HostingError> {
        self.names_file(application, file).await
    }

    async fn edge_file(
        &self,
        application: &Application,
        file: EdgeFile<'_>,
        coding: ContentCoding,
    ) -> Result<Option<Bytes>, HostingError> {
        self.read_file(application, file, coding).await
    }

    fn edge_keys(&self) -> EdgeKeys {
        self.edge_tier.keys()
    }

    async fn test(
        self: Arc<Self>,
        caller: &Caller,
        name: &str,
        run: TestRun<'_>,
        progress: &dyn Progress,
    ) -> Result<Report, HostingError> {
        self.invoker.check_open()?;
        let application = self.own(caller, name)?;
        self.test_in_time(caller, &application, run, progress).await
    }

    async fn import(
        self: Arc<Self>,
        caller: &Caller,
        name: Option<AppName>,
        file: Bytes,
        progress: &dyn Progress,
    ) -> Result<Imported, HostingError> {
        self.invoker.check_open()?;
        self.import_application(caller, name, &file, progress).await
    }
}

impl Apps {
    async fn set_up(
        &self,
        caller: &Caller,
        name: &str,
        up: bool,
    ) -> Result<Arc<Application>, AppError> {
        let change = |application: &mut Application| {
            application.up = up;
            Ok(())
        };
        self.edit_application(caller, name, change).await
    }

    /// The application's functions, by name.
    pub(super) fn functions_of(&self, application: &Application) -> Vec<Arc<Function>> {
        let names = self.shared.functions.names(&application.space);
        let entries = names
            .iter()
            .filter_map(|name| self.shared.functions.get(&application.space, name));
        entries.map(|entry| Arc::clone(&entry.function)).collect()
    }

    /// Prepares a function with the packages that the application asks for now; from the stored code where this node
    /// has not prepared it.
    async fn prepare_for(
        &self,
        application: &Application,
        function: &Function,
        progress: &dyn Progress,
    ) -> Result<(), DeployError> {
        if self
            .refresh_dependencies(application, function, progress)
            .await?
            .is_some()
        {
            return Ok(());
        }
        // As it is now: others may have deployed or deleted it since the start began.
        let Some(entry) = self
            .shared
            .functions
            .get(&function.space, function.name.as_str())
        else {
            return Ok(());
        };
        let version = &entry.function.version;
        self.deployer.check_runtime(version.runtime)?;
        if self.shared.executors.is_prepared(version) {
            return Ok(());
        }
        let code = self.stored_code(&entry.function).await?;
        let executor = self.shared.executors.of(version.runtime);
        let executor =
            executor.ok_or_else(|| DeployError::Unsupported(version.runtime.to_string()))?;
        executor.prepare(version, code, progress).await?;
        self.shared.adopt(&entry).await;
        Ok(())
    }

    pub(super) async fn stored_code(&self, function: &Function) -> Result<Bytes, DeployError> {
        let digest = &function.version.code;
        match self.store.blobs().get(digest).await {
            Ok(Some(code)) => Ok(code),
            Ok(None) => Err(DeployError::Prepare(PrepareError::Internal {
                attempt: format!("read the code of {}", function.name),
                source: format!("code {digest} is not in the registry").into(),
            })),
            Err(error) => Err(unreadable(error)),
        }
    }
}

fn unreadable(error: BlobError) -> DeployError {
    DeployError::Registry {
        code: "registry_unavailable",
        source: Box::new(error),
    }
}
