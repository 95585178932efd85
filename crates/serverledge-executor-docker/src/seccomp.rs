//! A stricter seccomp profile for Podman. Its own leaves to the kernel what Docker's refuses beforehand: new namespaces, in which a
//! process has all capabilities, mounts, and keyrings, which all containers of one user share. Made of the engine's own profile,
//! so that what that refuses stays refused.

use std::path::Path;

use serde_json::{Value, json};

/// System calls that no function needs and that lead to other namespaces, other users' keys, or the machine's own settings.
const REFUSED: [&str; 24] = [
    "add_key",
    "keyctl",
    "request_key",
    "unshare",
    "setns",
    "mount",
    "umount",
    "umount2",
    "pivot_root",
    "mount_setattr",
    "move_mount",
    "open_tree",
    "fsconfig",
    "fsmount",
    "fsopen",
    "fspick",
    "reboot",
    "syslog",
    "mbind",
    "set_mempolicy",
    "get_mempolicy",
    // Its flags lie in memory, where a filter does not look; C libraries do without it.
    "clone3",
    // Allowed below, by their arguments.
    "clone",
    "socket",
];
/// Flags of `clone` that make a namespace of any kind.
const NAMESPACE_FLAGS: u32 = 0x7e02_0000;
/// Sockets to the hypervisor, past every network.
const AF_VSOCK: u32 = 40;
/// The argument in which `clone` has its flags.
const CLONE_FLAGS_ARGUMENT: u32 = if cfg!(target_arch = "s390x") { 1 } else { 0 };

/// The reason why there is no stricter profile.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SeccompError {
    /// A file cannot be read or written.
    #[error("failed to use {path}")]
    File {
        path: String,
        source: std::io::Error,
    },
    /// The engine's profile has another form.
    #[error("the engine's seccomp profile is not understood")]
    Form,
}

/// Writes the profile that is stricter than the engine's.
pub(crate) fn write(engines: &Path, ours: &Path) -> Result<(), SeccompError> {
    let file = |path: &Path, source| SeccompError::File {
        path: path.display().to_string(),
        source,
    };
    let text = std::fs::read_to_string(engines).map_err(|error| file(engines, error))?;
    let stricter = stricter(&text).ok_or(SeccompError::Form)?;
    std::fs::write(ours, stricter).map_err(|error| file(ours, error))
}

/// `None` if the profile refuses too little by itself or has another form.
fn stricter(profile: &str) -> Option<String> {
    let mut profile: Value = serde_json::from_str(profile).ok()?;
    // What is taken out of the rules is refused only where that is the default.
    if profile["defaultAction"] != "SCMP_ACT_ERRNO" {
        return None;
    }
    let rules = profile["syscalls"].as_array_mut()?;
    for rule in rules
        .iter_mut()
        .filter(|rule| rule["action"] == "SCMP_ACT_ALLOW")
    {
        rule["names"]
            .as_array_mut()?
            .retain(|name| !name.as_str().is_some_and(|name| REFUSED.contains(&name)));
    }
    // The rules for `socket` that refuse would contradict the one below.
    rules.retain(|rule| rule["names"] != json!([]) && rule["names"] != json!(["socket"]));
    rules.push(allow(
        "clone",
        &json!({
            "index": CLONE_FLAGS_ARGUMENT, "value": NAMESPACE_FLAGS, "valueTwo": 0, "op": "SCMP_CMP_MASKED_EQ"
        }),
    ));
    rules.push(allow(
        "socket",
        &json!({ "index": 0, "value": AF_VSOCK, "op": "SCMP_CMP_NE" }),
    ));
    Some(profile.to_string())
}

fn allow(name: &str, argument: &Value) -> Value {
    json!({ "names": [name], "action": "SCMP_ACT_ALLOW", "args": [argument] })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_profile_becomes_stricter_and_stays_one() {
        let engines = json!({
            "defaultAction": "SCMP_ACT_ERRNO",
            "defaultErrnoRet": 38,
            "syscalls": [
                {"names": ["read", "keyctl", "clone"], "action": "SCMP_ACT_ALLOW", "args": []},
                {"names": ["mount"], "action": "SCMP_ACT_ALLOW", "args": []},
                {"names": ["socket"], "action": "SCMP_ACT_ERRNO", "errnoRet": 22, "args": []},
                {"names": ["bpf", "setns"], "action": "SCMP_ACT_ERRNO", "errnoRet": 1, "args": []},
            ],
        });
        let ours: Value = serde_json::from_str(&stricter(&engines.to_string()).unwrap()).unwrap();
        let names: Vec<_> = ours["syscalls"]
            .as_array()
            .unwrap()
            .iter()
            .map(|rule| rule["names"].clone())
            .collect();
        assert_eq!(
            names,
            [
                json!(["read"]),
                json!(["bpf", "setns"]),
                json!(["clone"]),
                json!(["socket"])
            ]
        );
        assert_eq!(ours["defaultErrnoRet"], 38);
    }

    #[test]
    fn a_profile_that_allows_by_default_is_not_made_of() {
        assert_eq!(
            stricter(r#"{"defaultAction":"SCMP_ACT_ALLOW","syscalls":[]}"#),
            None
        );
        assert_eq!(stricter("[]"), None);
        assert_eq!(stricter(""), None);
    }
}
