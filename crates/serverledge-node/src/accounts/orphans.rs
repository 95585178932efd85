//! Functions and applications without an owner, made while authentication was off, and out of reach now.

use std::fmt;

use serverledge_core::SpaceId;

use crate::applications::reach::Reach;
use crate::functions::Functions;

/// The number of functions and applications without an owner.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct OrphanCount {
    /// Functions of the default space.
    functions: usize,
    /// Applications without an owner.
    applications: usize,
    /// Functions of these applications.
    in_applications: usize,
}

impl fmt::Display for OrphanCount {
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

/// The functions and applications out of reach now; `None` if there are none.
pub(crate) fn orphans(reach: &Reach, functions: &Functions) -> Option<OrphanCount> {
    if !reach.auth_required() {
        return None;
    }
    let applications = reach.applications().of(None);
    let found = OrphanCount {
        functions: functions.names(&SpaceId::default_space()).len(),
        in_applications: applications
            .iter()
            .map(|one| functions.names(&one.space).len())
            .sum(),
        applications: applications.len(),
    };
    (found.functions + found.applications > 0).then_some(found)
}

/// Warns the operator who switched authentication on of the functions and applications out of reach now, with the way
/// to recover them.
pub(crate) fn warn_of_orphans(reach: &Reach, functions: &Functions) {
    let Some(orphans) = orphans(reach, functions) else {
        return;
    };
    tracing::warn!(
        "auth.enabled = true: {orphans} are kept, but nobody reaches them, and no such application runs; on this \
         machine, serverledge user adopt EMAIL gives them to an account; auth.enabled = false serves them again"
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_are_told_in_words() {
        let told = OrphanCount {
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
