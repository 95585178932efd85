//! The owners of spaces, as quotas need them.

use std::sync::Arc;

use serverledge_core::{SpaceId, UserId};
use serverledge_platform::Platform;

use crate::applications::snapshot::Applications;
use crate::functions::quotas::Owners;

/// Owners from the accounts and applications: users own their own space and those of their applications.
pub(crate) struct AccountsAndApplications {
    pub(crate) accounts: Arc<Platform>,
    pub(crate) applications: Arc<Applications>,
}

impl Owners for AccountsAndApplications {
    fn owner(&self, space: &SpaceId) -> Option<UserId> {
        match self.applications.by_space(space) {
            Some(application) => application.owner.clone(),
            None => self.accounts.owner_of(space),
        }
    }

    fn spaces(&self, user: &UserId) -> Vec<SpaceId> {
        let applications = self
            .applications
            .of(Some(user))
            .into_iter()
            .map(|one| one.space.clone());
        self.accounts
            .space_of(user)
            .into_iter()
            .chain(applications)
            .collect()
    }

    fn applications(&self, user: &UserId) -> usize {
        self.applications.of(Some(user)).len()
    }
}
