//! Podman's own API, for what its Docker-compatible one lacks: limits of running containers, networks, and what the engine knows of
//! its machine.

use serde::Deserialize;
use serde_json::json;

use crate::engine::NODE_LABEL;
use crate::profile::Share;
use crate::requests::EngineRequest;

/// The version whose form of requests is used: the oldest that has them all. Newer Podmans serve it, too.
const PREFIX: &str = "/v4.3.0/libpod";

/// The part of Podman's description of itself that counts here.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
pub(crate) struct Info {
    #[serde(default)]
    pub(crate) host: Host,
}

/// The machine, as Podman sees it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct Host {
    /// `v1` or `v2`.
    pub(crate) cgroup_version: String,
    pub(crate) oci_runtime: OciRuntime,
    pub(crate) security: Security,
}

/// The program that makes containers.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub(crate) struct OciRuntime {
    pub(crate) name: String,
}

/// The protections that Podman puts around containers.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct Security {
    pub(crate) rootless: bool,
    pub(crate) seccomp_enabled: bool,
    pub(crate) seccomp_profile_path: String,
}

/// The request for Podman's description of itself and its machine.
pub(crate) fn info() -> EngineRequest {
    EngineRequest::get("/v4.0.0/libpod/info".to_owned())
}

/// New limits of a running container; the body is the OCI runtime's `LinuxResources`.
pub(crate) fn update(id: &str, share: Share) -> EngineRequest {
    let (period, quota) = share.cpu_us();
    let memory = share.memory_bytes();
    let body = json!({
        "memory": { "limit": memory, "swap": memory },
        "cpu": { "period": period, "quota": quota },
    });
    EngineRequest::post(format!("{PREFIX}/containers/{id}/update"), body)
}

/// A network of a node, whose interface has this name. An internal one has Podman's name server, without which the machine
/// would have no address in it and could not reach the container.
pub(crate) fn create_network(
    name: &str,
    interface: &str,
    internal: bool,
    node_id: &str,
) -> EngineRequest {
    let body = json!({
        "name": name,
        "driver": "bridge",
        "network_interface": interface,
        "internal": internal,
        "dns_enabled": internal,
        "labels": { NODE_LABEL: node_id },
        // No traffic from and to other networks that say the same.
        "options": { "isolate": "true" },
    });
    EngineRequest::post(format!("{PREFIX}/networks/create"), body)
}

#[cfg(test)]
mod tests {
    use serverledge_core::{CpuMilli, MemoryMib};

    use super::*;

    #[test]
    fn requests_have_podmans_form() {
        let share = Share {
            memory: MemoryMib::new(64),
            cpu: CpuMilli::new(500),
        };
        let body = json!({"memory": {"limit": 67_108_864, "swap": 67_108_864}, "cpu": {"period": 25_000, "quota": 12_500}});
        assert_eq!(
            update("c", share),
            EngineRequest::post("/v4.3.0/libpod/containers/c/update".to_owned(), body)
        );
        let body = json!({
            "name": "n", "driver": "bridge", "network_interface": "slg0", "internal": true, "dns_enabled": true,
            "labels": {"serverledge.node": "id"}, "options": {"isolate": "true"},
        });
        assert_eq!(
            create_network("n", "slg0", true, "id"),
            EngineRequest::post("/v4.3.0/libpod/networks/create".to_owned(), body)
        );
    }

    #[test]
    fn a_description_is_read_as_far_as_it_counts() {
        let told = r#"{"host":{"cgroupVersion":"v1","ociRuntime":{"name":"crun","path":"/usr/bin/crun"},
            "security":{"rootless":false,"seccompEnabled":true,"seccompProfilePath":"/p.json"},"arch":"amd64"},"store":{}}"#;
        let Info { host } = serde_json::from_str(told).unwrap();
        assert_eq!(
            (host.cgroup_version.as_str(), host.oci_runtime.name.as_str()),
            ("v1", "crun")
        );
        assert_eq!(host.security.seccomp_profile_path, "/p.json");
        assert_eq!(serde_json::from_str::<Info>("{}").unwrap(), Info::default());
    }
}
