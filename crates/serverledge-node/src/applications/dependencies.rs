//! The packages of deployed functions, as their application asks for them now.

use std::sync::Arc;

use bytes::Bytes;
use serverledge_api::DeployError;
use serverledge_core::kv::Revision;
use serverledge_core::{Application, Function, Progress, Version};
use serverledge_registry::{Deployed, code_digest, version_digest};

use crate::applications::Apps;
use crate::applications::packages::{file_of, refreshed};
use crate::clock::unix_ms;
use crate::functions::errors::registry_error;
use crate::functions::versions::load_error;

/// Most attempts at a function that others deploy at the same time: each attempt may take minutes.
const ATTEMPTS_MAX: usize = 4;

impl Apps {
    /// The code of a deployed function with the application's current dependencies; `None` if it has them already.
    pub(super) async fn code_with_dependencies(
        &self,
        application: &Application,
        function: &Function,
    ) -> Result<Option<Bytes>, DeployError> {
        let version = &function.version;
        if file_of(version.runtime).is_none() {
            return Ok(None);
        }
        let code = self
            .store
            .blobs()
            .get(&version.code)
            .await
            .map_err(|error| registry_error(error.into()))?;
        let Some(code) = code else { return Ok(None) };
        refreshed(application, &code, version.runtime, &version.handler)
    }

    /// Gives a function the packages that its application asks for now: installs them, and deploys the function anew
    /// from the same source, in its newest state. `None` if it has them already, or if it was deleted. On error nothing
    /// has changed.
    pub(crate) async fn refresh_dependencies(
        &self,
        application: &Application,
        function: &Function,
        progress: &dyn Progress,
    ) -> Result<Option<Arc<Function>>, DeployError> {
        if self
            .code_with_dependencies(application, function)
            .await?
            .is_none()
        {
            return Ok(None);
        }
        for _ in 0..ATTEMPTS_MAX {
            // What is stored, not what this node has heard of: that is what the new record is to replace.
            let read = self
                .store
                .get(&function.space, &function.name)
                .await
                .map_err(load_error)?;
            let Some(read) = read else { return Ok(None) };
            match self
                .replace_dependencies(application, &read, progress)
                .await
            {
                Err(DeployError::Contended(_)) => {}
                Ok(None) => {
                    self.deployer.rebound(read).await;
                    return Ok(None);
                }
                outcome => return outcome,
            }
        }
        Err(DeployError::Contended(function.name.clone()))
    }

    /// Makes one attempt; `Contended` if the function was changed since it was read.
    async fn replace_dependencies(
        &self,
        application: &Application,
        read: &Deployed,
        progress: &dyn Progress,
    ) -> Result<Option<Arc<Function>>, DeployError> {
        let function = &read.function;
        let Some(code) = self.code_with_dependencies(application, function).await? else {
            return Ok(None);
        };
        let mut version = Version {
            code: code_digest(&code),
            ..Version::clone(&function.version)
        };
        version.digest = version_digest(&version);
        let executor = self.shared.executors.of(version.runtime);
        let executor =
            executor.ok_or_else(|| DeployError::Unsupported(version.runtime.to_string()))?;
        let prepared = executor.prepare(&version, code.clone(), progress).await?;
        let new = Function {
            version: Arc::new(version),
            interface: prepared.interface,
            ..Function::clone(function)
        };
        let now = unix_ms();
        let revision = self
            .store
            .replace_read(read.revision, &new, &code, now)
            .await
            .map_err(registry_error)?;
        let function = Arc::new(new);
        let code_bytes = code.len() as u64;
        let created = Revision::default();
        let bound = Deployed {
            function,
            revision,
            created,
            code_bytes,
            deployed_unix_ms: now,
        };
        let function = self.deployer.rebound(bound).await;
        self.shared.tell_change(&function, "deployed");
        Ok(Some(function))
    }
}
