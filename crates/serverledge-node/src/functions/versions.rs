//! A function's versions: listing them, rolling back to one, changing flags. As in a deploy, nothing is stored before
//! all slow work has succeeded; other nodes prepare what they need when they learn of it.

use std::sync::Arc;

use async_trait::async_trait;
use serverledge_api::{DeployError, VersionHistory};
use serverledge_core::{Function, PrepareError, SpaceId};
use serverledge_registry::{BlobError, ChangeError, Deployed, FlagsChange, History, LoadError};
use serverledge_wire::function::{checked_isolation, outbound_alone};
use serverledge_wire::versions::{FlagsRequest, FunctionVersions, VersionInfo};

use crate::clock::unix_ms;
use crate::functions::deploy::{Deployer, known_name};
use crate::functions::errors::registry_fault;

#[cfg(test)]
mod tests;

#[async_trait]
impl VersionHistory for Deployer {
    async fn versions(&self, space: &SpaceId, name: &str) -> Result<FunctionVersions, DeployError> {
        let history = self.history(space, name).await?;
        let info = |deployed: &Deployed, current| VersionInfo {
            footprint: self
                .executors
                .footprint(&deployed.function.version)
                .map(Into::into),
            ..info(deployed, current)
        };
        let current = std::iter::once(info(&history.current, true));
        let versions = current
            .chain(history.kept.iter().map(|kept| info(kept, false)))
            .collect();
        Ok(FunctionVersions {
            function: name.to_owned(),
            versions,
        })
    }

    async fn roll_back(
        &self,
        space: &SpaceId,
        name: &str,
        wanted: &str,
    ) -> Result<Arc<Function>, DeployError> {
        let history = self.history(space, name).await?;
        let version = find(&history, wanted)?;
        let function = &version.function;
        self.prepare_for_roll_back(function).await?;
        let _turn = self.quotas.turn(space).await;
        self.check_quota(
            space,
            &function.name,
            (&function.version.code, version.code_bytes),
        )?;
        let bound = self
            .store
            .roll_back(space, &function.name, &function.version.digest, unix_ms())
            .await;
        let function = self.rebound(bound.map_err(change_error)?).await;
        self.resources.tell_change(&function, "rolled_back");
        Ok(function)
    }

    async fn set_flags(
        &self,
        space: &SpaceId,
        name: &str,
        flags: FlagsRequest,
    ) -> Result<Arc<Function>, DeployError> {
        let name = known_name(name)?;
        let change = FlagsChange {
            idempotent: flags.idempotent,
            keeps_outbound: flags.idempotent_outbound,
            edge: flags.edge,
            isolation: flags
                .isolation
                .as_deref()
                .map(checked_isolation)
                .transpose()?,
        };
        let bound = self
            .store
            .set_flags(space, &name, change)
            .await
            .map_err(change_error)?;
        let function = self.rebound(bound).await;
        self.resources.tell_change(&function, "changed");
        Ok(function)
    }
}

impl Deployer {
    async fn history(&self, space: &SpaceId, name: &str) -> Result<History, DeployError> {
        let history = self
            .store
            .versions(space, &known_name(name)?)
            .await
            .map_err(load_error)?;
        history.ok_or_else(|| DeployError::Unknown(name.to_owned()))
    }

    /// Prepares a version for a roll-back. Sweeps leave the data of kept versions, but another node may have deployed
    /// it, or this one lost it.
    async fn prepare_for_roll_back(&self, function: &Function) -> Result<(), DeployError> {
        let version = &function.version;
        self.check_runtime(version.runtime)?;
        let Some(executor) = self
            .executors
            .of(version.runtime)
            .filter(|executor| !executor.is_prepared(version))
        else {
            return Ok(());
        };
        let code = self
            .store
            .blobs()
            .get(&version.code)
            .await
            .map_err(|error| match error {
                BlobError::Kv(_) => registry_fault("registry_unavailable", error),
                _ => internal(error),
            })?;
        let code = code.ok_or_else(|| internal(ChangeError::CodeGone(version.code)))?;
        executor.prepare(version, code, &()).await?;
        Ok(())
    }

    /// Takes over a function as this node has just changed it, or read it.
    pub(crate) async fn rebound(&self, bound: Deployed) -> Arc<Function> {
        for old in self.functions.put([bound.clone()]) {
            self.resources
                .retire(&old, Some(&bound.function.version))
                .await;
        }
        bound.function
    }
}

fn info(deployed: &Deployed, current: bool) -> VersionInfo {
    let function = &deployed.function;
    VersionInfo {
        version: function.version.digest.to_string(),
        current,
        deployed_unix_ms: deployed.deployed_unix_ms,
        runtime: function.version.runtime.to_string(),
        interface: function.interface.name().to_owned(),
        code: function.version.code.to_string(),
        code_bytes: deployed.code_bytes,
        idempotent: function.flags.idempotent,
        idempotent_outbound: function.flags.may_keep_outbound(),
        edge: function.flags.edge,
        isolation: function.flags.isolation.name().to_owned(),
        footprint: None,
    }
}

/// The one version whose digest has this prefix. The current one is among them: a roll-back to it changes nothing.
fn find<'a>(history: &'a History, wanted: &str) -> Result<&'a Deployed, DeployError> {
    let begins = |one: &&Deployed| one.function.version.digest.to_string().starts_with(wanted);
    let mut found = std::iter::once(&history.current)
        .chain(&history.kept)
        .filter(begins);
    let name = history.current.function.name.clone();
    let version = wanted.to_owned();
    match (found.next(), found.next()) {
        (Some(one), None) if !wanted.is_empty() => Ok(one),
        (Some(_), Some(_)) if !wanted.is_empty() => {
            Err(DeployError::AmbiguousVersion { name, version })
        }
        _ => Err(DeployError::UnknownVersion { name, version }),
    }
}

pub(crate) fn load_error(error: LoadError) -> DeployError {
    match error {
        LoadError::Kv(_) => registry_fault("registry_unavailable", error),
        LoadError::Unreadable(_) => internal(error),
    }
}

fn change_error(error: ChangeError) -> DeployError {
    use serverledge_core::kv::KvError;
    match error {
        ChangeError::Unknown(name) => DeployError::Unknown(name.to_string()),
        ChangeError::UnknownVersion { name, version } => DeployError::UnknownVersion {
            name,
            version: version.to_string(),
        },
        ChangeError::NotIdempotent(_) => outbound_alone().into(),
        ChangeError::Contended(name) => DeployError::Contended(name),
        ChangeError::Kv(KvError::RegistryFull)
        | ChangeError::Code(BlobError::Kv(KvError::RegistryFull)) => {
            registry_fault("registry_full", error)
        }
        ChangeError::Kv(_) | ChangeError::Code(BlobError::Kv(_)) => {
            registry_fault("registry_unavailable", error)
        }
        ChangeError::Unreadable(_) | ChangeError::Code(_) | ChangeError::CodeGone { .. } => {
            internal(error)
        }
    }
}

fn internal(error: impl std::error::Error + Send + Sync + 'static) -> DeployError {
    let attempt = "read the function's versions".to_owned();
    DeployError::Prepare(PrepareError::Internal {
        attempt,
        source: Box::new(error),
    })
}
