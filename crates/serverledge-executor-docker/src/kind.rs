//! The engine's kind, and the places where Podman's Docker-compatible API is not Docker's. Found once, when the engine is first
//! reached; whoever acts on a difference asks here, and nothing is found out by a call that fails.

use std::path::Path;

use bollard::models::SystemVersion;

use crate::libpod::Host;
use crate::network::Reach;

/// The oldest Podman that changes the limits of a running container over its own API.
const PODMAN_WITH_UPDATE: (u32, u32) = (4, 3);
/// The name of Podman among the components that it tells of.
const PODMAN: &str = "Podman Engine";

/// An engine that has answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct EngineKind {
    pub(crate) is_podman: bool,
    /// As it tells it.
    version: String,
    /// Podman's description of its machine; empty for Docker.
    pub(crate) host: Host,
}

/// The way in which the limits of a running container change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Updates {
    /// Docker's `POST /containers/{id}/update`.
    Docker,
    /// Podman's own `POST /libpod/containers/{id}/update`; its Docker-compatible one is missing.
    Podman,
    /// They do not change: limits are set when a container is created.
    Never,
}

impl EngineKind {
    pub(crate) fn of(told: SystemVersion) -> Self {
        let components = told.components.unwrap_or_default();
        let podman = components
            .into_iter()
            .find(|component| component.name == PODMAN);
        let is_podman = podman.is_some();
        let version = podman
            .map_or(told.version, |podman| Some(podman.version))
            .unwrap_or_default();
        Self {
            is_podman,
            version,
            host: Host::default(),
        }
    }

    #[cfg(test)]
    pub(crate) fn docker() -> Self {
        Self {
            is_podman: false,
            version: "28.2.2".to_owned(),
            host: Host::default(),
        }
    }

    #[cfg(test)]
    pub(crate) fn podman(version: &str) -> Self {
        Self {
            is_podman: true,
            version: version.to_owned(),
            host: Host::default(),
        }
    }

    pub(crate) fn updates(&self) -> Updates {
        if !self.is_podman {
            Updates::Docker
        } else if numbers(&self.version) >= PODMAN_WITH_UPDATE {
            Updates::Podman
        } else {
            Updates::Never
        }
    }

    /// Whether containers can wait without code and get their function's limits later.
    pub(crate) fn has_template_containers(&self) -> bool {
        self.updates() != Updates::Never
    }

    /// Whether a network can keep its containers apart (`enable_icc`), so that a node needs one of each sort; else each
    /// container has a network of its own.
    pub(crate) fn shares_networks(&self) -> bool {
        !self.is_podman
    }

    /// The seccomp profile of an engine whose own allows more than Docker's.
    pub(crate) fn lax_seccomp(&self) -> Option<&Path> {
        let security = &self.host.security;
        let known = security.seccomp_enabled && !security.seccomp_profile_path.is_empty();
        (self.is_podman && known).then(|| Path::new(&security.seccomp_profile_path))
    }

    /// Whether containers may write beside their control groups' files: crun's mount for cgroup v1 is open to all.
    pub(crate) fn opens_cgroups(&self) -> bool {
        self.host.cgroup_version == "v1" && self.host.oci_runtime.name == "crun"
    }

    /// The feature that the engine lacks for a container with such a network; `None` if nothing.
    pub(crate) fn lacks_for(&self, reach: Reach) -> Option<&'static str> {
        if !self.host.security.rootless {
            return None;
        }
        if self.host.cgroup_version == "v1" {
            return Some(
                "a user's Podman sets no limits under cgroup v1; use the Podman of root, or cgroup v2",
            );
        }
        (reach == Reach::Node).then_some(
            "a user's Podman has its networks where the node does not reach them; images of your own need the Podman of root",
        )
    }
}

/// As messages name it.
impl std::fmt::Display for EngineKind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let name = if self.is_podman {
            "Podman"
        } else {
            "Docker Engine"
        };
        write!(f, "{name} {}", self.version)
    }
}

/// Major and minor; what cannot be read is the oldest.
fn numbers(version: &str) -> (u32, u32) {
    let mut parts = version
        .split(['.', '-'])
        .map(|part| part.parse().unwrap_or(0));
    (parts.next().unwrap_or(0), parts.next().unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kind(json: &str) -> EngineKind {
        EngineKind::of(serde_json::from_str(json).unwrap())
    }

    #[test]
    fn engines_are_known_by_what_they_say() {
        let docker = r#"{"Version":"28.2.2","ApiVersion":"1.50","Components":[{"Name":"Engine","Version":"28.2.2"},{"Name":"containerd","Version":"1.7"}]}"#;
        assert_eq!(kind(docker), EngineKind::docker());
        assert_eq!(kind(docker).to_string(), "Docker Engine 28.2.2");
        let podman = r#"{"Version":"4.3.1","ApiVersion":"1.41","Components":[{"Name":"Podman Engine","Version":"4.3.1","Details":{"APIVersion":"4.3.1"}},{"Name":"Conmon","Version":"2"}]}"#;
        assert_eq!(kind(podman), EngineKind::podman("4.3.1"));
        assert_eq!(kind(podman).to_string(), "Podman 4.3.1");
        assert_eq!(
            kind(r#"{"Version":"18.09"}"#).to_string(),
            "Docker Engine 18.09"
        );
    }

    #[test]
    fn a_users_podman_is_not_fit_for_everything() {
        let lacks = |rootless, version: &str, reach| {
            let mut host = Host {
                cgroup_version: version.to_owned(),
                ..Host::default()
            };
            host.security.rootless = rootless;
            EngineKind {
                host,
                ..EngineKind::podman("4.3.1")
            }
            .lacks_for(reach)
            .is_some()
        };
        assert!(!lacks(false, "v1", Reach::Node) && !lacks(true, "v2", Reach::Nothing));
        assert!(lacks(true, "v1", Reach::Nothing) && lacks(true, "v2", Reach::Node));
    }

    #[test]
    fn old_podmans_keep_the_limits_that_they_are_given_first() {
        let updates = |version| EngineKind::podman(version).updates();
        assert_eq!(EngineKind::docker().updates(), Updates::Docker);
        assert_eq!(
            [updates("4.3.1"), updates("5.0.0-dev"), updates("10.1")],
            [Updates::Podman; 3]
        );
        assert_eq!(
            [updates("3.4.4"), updates("4.2.9"), updates("")],
            [Updates::Never; 3]
        );
    }
}
