//! What was made while authentication was off and has no owner: once authentication is required nobody could stop or delete
//! it, so it is kept in the registry, and neither served nor prepared.

use std::fmt;

use serverledge_core::{Application, SpaceId};

use crate::node::Node;

/// How much of it there is.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Ownerless {
    /// Functions of the default space.
    functions: usize,
    /// Applications without an owner.
    applications: usize,
    /// Functions of these applications.
    in_applications: usize,
}

impl fmt::Display for Ownerless {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let counted = |count: usize, what: &str| {
            format!("{count} {what}{}", if count == 1 { "" } else { "s" })
        };
        let functions = counted(self.functions, "function");
        let applications = counted(self.applications, "application");
        let in_applications = counted(self.in_applications, "function");
        write!(
            f,
            "{functions} and {applications} (with {in_applications}) made without a login"
        )
    }
}

impl Node {
    /// Whether visitors reach an application, provided that it runs.
    pub(crate) fn is_served(&self, application: &Application) -> bool {
        !self.auth_required || application.owner.is_some()
    }

    /// Whether anybody can call the functions of a space.
    pub(crate) fn is_reachable(&self, space: &SpaceId) -> bool {
        let served = || {
            self.applications
                .by_space(space)
                .is_none_or(|application| self.is_served(&application))
        };
        !self.auth_required || (*space != SpaceId::default_space() && served())
    }

    /// What nobody reaches now; `None` if that is nothing.
    pub(crate) fn ownerless(&self) -> Option<Ownerless> {
        if !self.auth_required {
            return None;
        }
        let applications = self.applications.of(None);
        let found = Ownerless {
            functions: self.functions.names(&SpaceId::default_space()).len(),
            in_applications: applications
                .iter()
                .map(|one| self.functions.names(&one.space).len())
                .sum(),
            applications: applications.len(),
        };
        (found.functions + found.applications > 0).then_some(found)
    }

    /// Tells whoever switched authentication on what is out of reach now, and how to get at it.
    pub(crate) fn warn_of_ownerless(&self) {
        let Some(ownerless) = self.ownerless() else {
            return;
        };
        tracing::warn!(
            "auth.enabled = true: {ownerless} are kept, but nobody reaches them, and no such application runs; log in and \
             make them anew, or start with auth.enabled = false to use them, to export the applications \
             (serverledge-cli app export, and app import after logging in), or to delete them"
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_are_told_in_words() {
        let told = Ownerless {
            functions: 1,
            applications: 2,
            in_applications: 3,
        }
        .to_string();
        assert_eq!(
            told,
            "1 function and 2 applications (with 3 functions) made without a login"
        );
    }
}
