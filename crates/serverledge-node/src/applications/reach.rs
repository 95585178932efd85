//! The reach of functions and applications. Those without an owner were made while authentication was off; once it is
//! required nobody could stop or delete them, so they are kept in the registry, and neither served nor prepared.

use std::sync::Arc;

use bytes::Bytes;
use serverledge_api::DeployError;
use serverledge_core::{Application, Runtime, SpaceId};

use crate::applications::packages;
use crate::applications::snapshot::Applications;
use crate::functions::spaces::Spaces;

/// The rules for who is reached; see the module.
pub(crate) struct Reach {
    /// Whether every request must be authenticated (`auth.enabled`).
    auth_required: bool,
    applications: Arc<Applications>,
}

impl Reach {
    pub(crate) fn new(auth_required: bool, applications: Arc<Applications>) -> Self {
        Self {
            auth_required,
            applications,
        }
    }

    pub(crate) fn auth_required(&self) -> bool {
        self.auth_required
    }

    pub(crate) fn applications(&self) -> &Arc<Applications> {
        &self.applications
    }

    /// Whether visitors can reach an application, provided that it runs.
    pub(crate) fn is_served(&self, application: &Application) -> bool {
        !self.auth_required || application.owner.is_some()
    }
}

impl Spaces for Reach {
    fn is_reachable(&self, space: &SpaceId) -> bool {
        let served = || {
            self.applications
                .by_space(space)
                .is_none_or(|application| self.is_served(&application))
        };
        !self.auth_required || (*space != SpaceId::default_space() && served())
    }

    fn application(&self, space: &SpaceId) -> Option<String> {
        self.applications
            .by_space(space)
            .map(|application| application.name.to_string())
    }

    fn with_dependencies(
        &self,
        space: &SpaceId,
        code: Bytes,
        runtime: Runtime,
        handler: &str,
    ) -> Result<Bytes, DeployError> {
        match self.applications.by_space(space) {
            Some(application) => {
                Ok(packages::refreshed(&application, &code, runtime, handler)?.unwrap_or(code))
            }
            None => Ok(code),
        }
    }
}
