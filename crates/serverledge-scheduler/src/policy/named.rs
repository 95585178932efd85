//! Policies by the names that a configuration has for them.

use super::edge::{TierPolicy, TierRule};
use super::qos_aware::QosAware;
use super::{LocalOnly, Policy};

/// The names of all policies. The first two mean the same.
pub const POLICY_NAMES: [&str; 6] = [
    "default",
    "localonly",
    "cloudonly",
    "edgecloud",
    "edgeonly",
    "qosaware",
];

/// Options of a policy beside its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct PolicyOptions {
    /// `edgeonly`: a call that no neighbour can take runs here instead of being turned away.
    pub fallback_local: bool,
    /// The seed of the spreading over equal peers; nodes should have different ones.
    pub seed: u64,
}

/// There is no policy of this name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no policy; there are {names}", names = POLICY_NAMES.join(", "))]
pub struct UnknownPolicy(String);

/// The policy of this name, knowing nothing yet.
///
/// # Errors
/// If it is none of [`POLICY_NAMES`].
pub fn policy_named(name: &str, options: PolicyOptions) -> Result<Box<dyn Policy>, UnknownPolicy> {
    let PolicyOptions {
        fallback_local,
        seed,
    } = options;
    Ok(match name {
        "default" | "localonly" => Box::new(LocalOnly),
        "cloudonly" => Box::new(TierPolicy::new(TierRule::CloudOnly, seed)),
        "edgecloud" => Box::new(TierPolicy::new(TierRule::EdgeCloud, seed)),
        "edgeonly" => Box::new(TierPolicy::new(TierRule::EdgeOnly { fallback_local }, seed)),
        "qosaware" => Box::new(QosAware::new(seed)),
        _ => return Err(UnknownPolicy(name.to_owned())),
    })
}

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
