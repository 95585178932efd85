//! Policies by the names that a configuration has for them.

use std::error::Error;
use std::fmt;

use super::{CloudOnly, EdgeCloud, EdgeOnly, LocalOnly, Policy, QosAware};

/// The names of all policies. The first two mean the same.
pub const POLICY_NAMES: [&str; 6] = [
    "default",
    "localonly",
    "cloudonly",
    "edgecloud",
    "edgeonly",
    "qosaware",
];

/// What a policy may be told beside its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct PolicyOptions {
    /// `edgeonly`: a call that no neighbour can take runs here instead of being turned away.
    pub fallback_local: bool,
    /// What the spreading over equal peers starts from; nodes should have different ones.
    pub seed: u64,
}

/// There is no policy of this name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnknownPolicy(String);

/// The policy of this name, knowing nothing yet.
///
/// # Errors
/// If it is none of [`POLICY_NAMES`].
pub fn policy_named(name: &str, options: PolicyOptions) -> Result<Box<dyn Policy>, UnknownPolicy> {
    Ok(match name {
        "default" | "localonly" => Box::new(LocalOnly),
        "cloudonly" => Box::new(CloudOnly::new(options.seed)),
        "edgecloud" => Box::new(EdgeCloud::new(options.seed)),
        "edgeonly" => Box::new(EdgeOnly::new(options.seed, options.fallback_local)),
        "qosaware" => Box::new(QosAware::new(options.seed)),
        _ => return Err(UnknownPolicy(name.to_owned())),
    })
}

impl fmt::Display for UnknownPolicy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{:?} is no policy; there are {}",
            self.0,
            POLICY_NAMES.join(", ")
        )
    }
}

impl Error for UnknownPolicy {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_has_a_policy_and_no_other() {
        for name in POLICY_NAMES {
            assert!(
                policy_named(name, PolicyOptions::default()).is_ok(),
                "{name}"
            );
        }
        let error = policy_named("Default", PolicyOptions::default())
            .expect_err("names are as they are written");
        assert!(
            error
                .to_string()
                .starts_with("\"Default\" is no policy; there are default, localonly")
        );
    }
}
