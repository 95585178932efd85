//! The resources of the machine: memory, cores, file descriptors, each within the limits of this process.

use std::fs;
use std::path::{Path, PathBuf};
use std::thread::available_parallelism;

use rustix::process::{Resource, getrlimit};

/// Memory assumed where the system does not report it.
const MEMORY_BYTES_FALLBACK: u64 = 1024 * 1024 * 1024;
/// Descriptors assumed where the system sets no limit: Linux's own ceiling.
const FILES_FALLBACK: u64 = 1024 * 1024;

/// Facts from which defaults are derived. A plain value: tests write one down.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Machine {
    /// Memory in bytes: the smallest of the machine's own and of the limits of the process's control groups.
    pub memory_bytes: u64,
    /// Cores that this process may use (affinity and processor quota counted in).
    pub cores: u32,
    /// Most file descriptors that this process may open, once it has raised its soft limit to the hard one.
    pub files_max: u64,
}

impl Machine {
    /// Reads the resources from the system.
    #[must_use]
    pub fn detect() -> Self {
        let cores = available_parallelism()
            .map_or(1, |cores| u32::try_from(cores.get()).unwrap_or(u32::MAX));
        let files_max = getrlimit(Resource::Nofile)
            .maximum
            .unwrap_or(FILES_FALLBACK);
        Self {
            memory_bytes: memory_bytes(Path::new("/")),
            cores,
            files_max,
        }
    }
}

/// Memory, read below this file system root, which is another one in tests.
fn memory_bytes(root: &Path) -> u64 {
    let machine = fs::read_to_string(root.join("proc/meminfo"))
        .ok()
        .and_then(|text| total_of(&text));
    let groups = fs::read_to_string(root.join("proc/self/cgroup")).unwrap_or_default();
    let limits = groups
        .lines()
        .filter_map(limit_file)
        .filter_map(|file| smallest_limit(root, &file));
    machine
        .into_iter()
        .chain(limits)
        .min()
        .unwrap_or(MEMORY_BYTES_FALLBACK)
}

/// `MemTotal` in bytes.
fn total_of(meminfo: &str) -> Option<u64> {
    let line = meminfo
        .lines()
        .find_map(|line| line.strip_prefix("MemTotal:"))?;
    let kibibytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    kibibytes.checked_mul(1024)
}

/// The memory limit of the control group in one line of `/proc/self/cgroup`.
struct LimitFile {
    mount: &'static str,
    group: PathBuf,
    name: &'static str,
}

/// Version 2 (`0::/group`) or the memory controller of version 1 (`7:memory:/group`).
fn limit_file(line: &str) -> Option<LimitFile> {
    let mut parts = line.splitn(3, ':').skip(1);
    let controllers = parts.next()?;
    let group = parts.next()?;
    let (mount, name) = if controllers.is_empty() {
        ("sys/fs/cgroup", "memory.max")
    } else if controllers
        .split(',')
        .any(|controller| controller == "memory")
    {
        ("sys/fs/cgroup/memory", "memory.limit_in_bytes")
    } else {
        return None;
    };
    Some(LimitFile {
        mount,
        group: PathBuf::from(group.trim_start_matches('/')),
        name,
    })
}

/// The smallest limit of the group and of its parents. A missing group (the path of another namespace) and `max` limit
/// nothing.
fn smallest_limit(root: &Path, file: &LimitFile) -> Option<u64> {
    let mount = root.join(file.mount);
    file.group
        .ancestors()
        .filter_map(|group| fs::read_to_string(mount.join(group).join(file.name)).ok())
        .filter_map(|text| text.trim().parse::<u64>().ok())
        .min()
}

#[cfg(test)]
mod tests {
    use super::*;

    const MEMINFO: (&str, &str) = ("proc/meminfo", "MemTotal:        8192 kB\nMemFree: 12 kB\n");

    fn check(files: &[(&str, &str)], expected_bytes: u64) {
        let root = tempfile::tempdir().unwrap();
        for (path, content) in files {
            let path = root.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, content).unwrap();
        }
        assert_eq!(memory_bytes(root.path()), expected_bytes, "{files:?}");
    }

    #[test]
    fn memory_is_the_smallest_limit() {
        check(&[], MEMORY_BYTES_FALLBACK);
        check(&[MEMINFO], 8192 * 1024);
        check(
            &[
                MEMINFO,
                ("proc/self/cgroup", "0::/\n"),
                ("sys/fs/cgroup/memory.max", "max\n"),
            ],
            8192 * 1024,
        );
        check(
            &[
                MEMINFO,
                ("proc/self/cgroup", "0::/a/b\n"),
                ("sys/fs/cgroup/a/b/memory.max", "4096\n"),
            ],
            4096,
        );
        check(
            &[
                MEMINFO,
                ("proc/self/cgroup", "0::/a/b\n"),
                ("sys/fs/cgroup/a/b/memory.max", "4096\n"),
                ("sys/fs/cgroup/a/memory.max", "2048\n"),
            ],
            2048,
        );
        check(
            &[
                MEMINFO,
                (
                    "proc/self/cgroup",
                    "9:cpu:/c\n7:memory:/docker/x\n0::/unified\n",
                ),
                ("sys/fs/cgroup/memory/memory.limit_in_bytes", "1024\n"),
            ],
            1024,
        );
        let unlimited = (
            "sys/fs/cgroup/memory/memory.limit_in_bytes",
            "9223372036854771712\n",
        );
        check(
            &[MEMINFO, ("proc/self/cgroup", "7:memory:/\n"), unlimited],
            8192 * 1024,
        );
    }

    #[test]
    fn this_machine_has_something() {
        let machine = Machine::detect();
        assert!(
            machine.memory_bytes > 0 && machine.cores > 0 && machine.files_max > 0,
            "{machine:?}"
        );
    }
}
