//! The kernel's own count of what it killed in a container for want of memory. Docker may tell of it after the container's end,
//! and Podman's monitor does not tell of it at all on cgroup v1.

use std::path::{Path, PathBuf};

/// The folder in which control groups are mounted.
const CGROUPS: &str = "/sys/fs/cgroup";

/// The file in which a container's control group counts. It is gone soon after the container has ended.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct MemoryKills(PathBuf);

impl MemoryKills {
    /// Of the container in which a process runs, by the process's number on this machine.
    pub(crate) fn of(pid: i32) -> Option<Self> {
        Self::in_groups(&std::fs::read_to_string(format!("/proc/{pid}/cgroup")).ok()?)
    }

    /// From the lines of `/proc/<pid>/cgroup`: a controller's of cgroup v1, else that of cgroup v2.
    fn in_groups(lines: &str) -> Option<Self> {
        let group = |controller: &str| {
            let mut all = lines.lines().map(|line| line.splitn(3, ':'));
            all.find_map(
                |mut parts| match (parts.next(), parts.next(), parts.next()) {
                    (Some(_), Some(names), Some(path))
                        if names.split(',').any(|name| name == controller) =>
                    {
                        Some(path)
                    }
                    _ => None,
                },
            )
        };
        let file = |below: &str, group: &str, name: &str| {
            Self(
                Path::new(CGROUPS)
                    .join(below)
                    .join(group.trim_start_matches('/'))
                    .join(name),
            )
        };
        match group("memory") {
            Some(path) => Some(file("memory", path, "memory.oom_control")),
            None => group("").map(|path| file("", path, "memory.events")),
        }
    }

    /// Whether there has been one. False if that cannot be known any more.
    pub(crate) fn any(&self) -> bool {
        std::fs::read_to_string(&self.0).is_ok_and(|text| count(&text) > 0)
    }
}

fn count(text: &str) -> u64 {
    let mut lines = text
        .lines()
        .filter_map(|line| line.strip_prefix("oom_kill "));
    lines
        .next()
        .and_then(|number| number.trim().parse().ok())
        .unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_is_found_in_both_versions_of_cgroups() {
        let found =
            |lines| MemoryKills::in_groups(lines).map(|kills| kills.0.display().to_string());
        let v1 = "5:devices:/x\n4:memory:/libpod_parent/libpod-1\n0::/libpod_parent/libpod-1\n";
        assert_eq!(
            found(v1).unwrap(),
            "/sys/fs/cgroup/memory/libpod_parent/libpod-1/memory.oom_control"
        );
        let v2 = "0::/machine.slice/libpod-1.scope/container\n";
        assert_eq!(
            found(v2).unwrap(),
            "/sys/fs/cgroup/machine.slice/libpod-1.scope/container/memory.events"
        );
        assert_eq!(found(""), None);
    }

    #[test]
    fn kills_are_counted() {
        assert_eq!(count("oom_kill_disable 0\nunder_oom 0\noom_kill 2\n"), 2);
        assert_eq!(count("low 0\noom 3\noom_kill 0\noom_group_kill 0\n"), 0);
        assert_eq!(count("oom_kill_disable 0\n"), 0);
    }
}
