//! Applications that run: what visitors reach of them, and what their owners do with them beside changing them.

mod edge;
mod export;
mod testing;

#[cfg(test)]
mod tests;

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use serverledge_api::{AppError, DeployError, EdgeCode, Hosting, HostingError, Imported, TestRun};
use serverledge_core::{AppName, Application, Caller, Function, PrepareError, Progress, Report};
use serverledge_registry::BlobError;

use crate::functions;
use crate::node::{Node, NodeBackend};

pub(crate) use edge::EdgeCodes;
pub(crate) use testing::Testing;

#[async_trait]
impl Hosting for NodeBackend {
    fn application(&self, name: &str) -> Option<Arc<Application>> {
        self.0
            .applications
            .by_name(name)
            .filter(|application| application.up && self.0.is_served(application))
    }

    fn is_prepared(&self, application: &Application) -> bool {
        self.0
            .functions_of(application)
            .iter()
            .all(|function| self.0.is_prepared(&function.version))
    }

    async fn edge_code(
        &self,
        application: &Application,
        function: &str,
    ) -> Result<Option<EdgeCode>, HostingError> {
        self.0.edge_code(application, function).await
    }

    async fn start(
        &self,
        caller: &Caller,
        name: &str,
        progress: &dyn Progress,
    ) -> Result<Arc<Application>, HostingError> {
        self.0.check_open()?;
        let application = self.0.own(caller, name)?;
        for function in self.0.functions_of(&application) {
            progress.step(&format!("preparing {}", function.name));
            let prepared = self.0.prepare_for(&application, &function, progress).await;
            prepared.map_err(|source| HostingError::Function {
                function: function.name.clone(),
                source,
            })?;
        }
        Ok(self.0.set_up(caller, name, true).await?)
    }

    async fn stop(&self, caller: &Caller, name: &str) -> Result<Arc<Application>, HostingError> {
        let application = self.0.set_up(caller, name, false).await?;
        // Nobody waits for what is idle now; on other nodes it goes when its time has come.
        for function in self.0.functions_of(&application) {
            if let Some(pooled) = functions::pooled(&function) {
                self.0.admissions.retire(pooled.key);
            }
        }
        Ok(application)
    }

    async fn test(
        &self,
        caller: &Caller,
        name: &str,
        run: TestRun<'_>,
        progress: &dyn Progress,
    ) -> Result<Report, HostingError> {
        self.0.test(caller, name, run, progress).await
    }

    async fn export(&self, caller: &Caller, name: &str) -> Result<Bytes, HostingError> {
        let application = self.0.own(caller, name)?;
        self.0.export_application(&application).await
    }

    async fn import(
        &self,
        caller: &Caller,
        name: Option<AppName>,
        file: Bytes,
        progress: &dyn Progress,
    ) -> Result<Imported, HostingError> {
        self.0.check_open()?;
        self.import_application(caller, name, &file, progress).await
    }
}

impl Node {
    fn own(&self, caller: &Caller, name: &str) -> Result<Arc<Application>, AppError> {
        self.own_application(caller, name)
            .ok_or_else(|| AppError::Unknown(name.to_owned()))
    }

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

    /// Its functions, by name.
    fn functions_of(&self, application: &Application) -> Vec<Arc<Function>> {
        let names = self.functions.names(&application.space);
        let entries = names
            .iter()
            .filter_map(|name| self.functions.get(&application.space, name));
        entries.map(|entry| Arc::clone(&entry.function)).collect()
    }

    /// With the packages that the application asks for now; from the stored code where this node has not prepared it.
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
        let Some(entry) = self.functions.get(&function.space, function.name.as_str()) else {
            return Ok(());
        };
        let version = &entry.function.version;
        self.check_runtime(version.runtime)?;
        if self.is_prepared(version) {
            return Ok(());
        }
        let code = self.stored_code(&entry.function).await?;
        let executor = self.executors.of(version.runtime);
        let executor =
            executor.ok_or_else(|| DeployError::Unsupported(version.runtime.to_string()))?;
        executor.prepare(version, code, progress).await?;
        Ok(())
    }

    async fn stored_code(&self, function: &Function) -> Result<Bytes, DeployError> {
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
