//! The hardening profile: the restrictions of every container, unless its function asked for more and was allowed it.
//! The reasons are in `docs/decisions/0009-containers.md`.

use std::collections::HashMap;
use std::path::PathBuf;

use bollard::models::{
    ContainerCreateBody, ContainerUpdateBody, HostConfig, HostConfigLogConfig, Mount, MountType,
    ResourcesUlimits, RestartPolicy, RestartPolicyNameEnum,
};
use serverledge_core::{CpuMilli, MemoryMib};

use crate::engine::NODE_LABEL;
use crate::kind::EngineKind;
use crate::network::Reach;

/// The user inside: no account of the machine, so that not even a file left open to "others" is its own.
pub(crate) const USER: &str = "65532:65532";
/// The same as a number.
pub(crate) const USER_ID: u32 = 65532;
/// The path at which the container finds its socket's folder.
pub(crate) const SOCKET_DIR: &str = "/run/serverledge";
/// Descriptors of one process: enough for any handler, few enough that the machine's table survives all containers.
const NOFILE: i64 = 1024;
/// The size up to which the engine keeps the output that a container's processes write past the agent.
const LOG_SIZE: &str = "256k";
/// Short, so that a throttled function's pauses are short, but not shorter: the kernel hands a quota out in pieces, and of a
/// tenth of a core 10 ms periods give 28 % fewer calls than these (measured with a no-op: 1,390 and 1,720 a second).
const CPU_PERIOD_US_MIN: u64 = 25_000;
/// Docker's longest period is a second; a hundredth of a core is the smallest share that is told apart.
const CPU_PERIOD_US_MAX: u64 = 100_000;
/// Written files of a version live in memory too: this much beside `/tmp`. Uploads may hold programs and native libraries; the
/// folder is the function's own to write, so that forbidding it to run what lies there would keep nobody from anything.
const CODE_TMPFS: &str = "rw,exec,nosuid,nodev,size=128m,mode=0755,uid=65532,gid=65532";

/// Files of the kernel that tell its addresses and modules. Engines leave them open: the kernel itself writes zeros for
/// addresses, but not where `kernel.perf_event_paranoid` is 1 or less and `kernel.kptr_restrict` is 0 (`kallsyms_show_value`).
const ADDRESSES: [&str; 2] = ["/proc/kallsyms", "/proc/modules"];
/// The paths that Docker 29 masks by itself, named since a list of own replaces Docker's. Files that the kernel lacks are passed over.
const MASKED_BY_DOCKER: [&str; 12] = [
    "/proc/acpi",
    "/proc/asound",
    "/proc/interrupts",
    "/proc/kcore",
    "/proc/keys",
    "/proc/latency_stats",
    "/proc/sched_debug",
    "/proc/scsi",
    "/proc/timer_list",
    "/proc/timer_stats",
    "/sys/devices/virtual/powercap",
    "/sys/firmware",
];

/// The description of one container: its purpose, its image, and the limits and network that it gets.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Recipe {
    pub(crate) image: String,
    pub(crate) node_id: String,
    /// `cell`, `function`, `custom` or `install`.
    pub(crate) kind: &'static str,
    pub(crate) limits: Share,
    pub(crate) tmp: MemoryMib,
    pub(crate) pids_max: u32,
    pub(crate) reach: Reach,
    /// Name servers, where Docker's own must not be asked.
    pub(crate) dns: Vec<String>,
    /// Folder of the machine, place in the container, read-only.
    pub(crate) mounts: Vec<(String, String, bool)>,
    /// Whether there is an agent, which needs a place for the code.
    pub(crate) agent: bool,
    /// Set for containers that install; functions get theirs over the socket.
    pub(crate) env: Vec<String>,
    pub(crate) command: Option<Vec<String>>,
    /// The folder in which the command runs, if not the image's.
    pub(crate) folder: Option<String>,
    pub(crate) user: Option<String>,
}

/// Files of the node's that containers on Podman are made with.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct PodmanFiles {
    /// For `/etc/hosts`: else they would have the machine's own.
    pub(crate) hosts: PathBuf,
    /// A stricter seccomp profile than Podman's, if one could be made.
    pub(crate) seccomp: Option<PathBuf>,
}

/// The resources that a container may use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Share {
    pub(crate) memory: MemoryMib,
    pub(crate) cpu: CpuMilli,
}

impl Share {
    pub(crate) fn memory_bytes(self) -> i64 {
        i64::try_from(self.memory.bytes()).unwrap_or(i64::MAX)
    }

    /// Period and quota in microseconds; the quota is at least the kernel's least, 1 ms.
    pub(crate) fn cpu_us(self) -> (i64, i64) {
        let milli = self.cpu.get().max(1);
        let period = (1_000_000 / milli).clamp(CPU_PERIOD_US_MIN, CPU_PERIOD_US_MAX);
        let quota = (period * milli / 1000).max(1000);
        (
            i64::try_from(period).unwrap_or(100_000),
            i64::try_from(quota).unwrap_or(i64::MAX),
        )
    }

    /// The update of a running container's limits, sent when its function is known.
    pub(crate) fn update(self) -> ContainerUpdateBody {
        let (period, quota) = self.cpu_us();
        ContainerUpdateBody {
            memory: Some(self.memory_bytes()),
            memory_swap: Some(self.memory_bytes()),
            cpu_period: Some(period),
            cpu_quota: Some(quota),
            ..ContainerUpdateBody::default()
        }
    }
}

impl Recipe {
    /// The container that an engine of this kind is asked for, in a network.
    pub(crate) fn body(
        &self,
        kind: &EngineKind,
        network: &str,
        files: &PodmanFiles,
    ) -> ContainerCreateBody {
        let labels = HashMap::from([
            (NODE_LABEL.to_owned(), self.node_id.clone()),
            ("serverledge.kind".to_owned(), self.kind.to_owned()),
        ]);
        ContainerCreateBody {
            image: Some(self.image.clone()),
            user: Some(self.user.clone().unwrap_or_else(|| USER.to_owned())),
            env: Some(self.env.clone()),
            cmd: self.command.clone().map(|command| command[1..].to_vec()),
            entrypoint: self.command.clone().map(|command| command[..1].to_vec()),
            working_dir: self.folder.clone(),
            labels: Some(labels),
            // One name for all: a container learns nothing from its own.
            hostname: Some("function".to_owned()),
            attach_stdin: Some(false),
            open_stdin: Some(false),
            host_config: Some(if kind.is_podman {
                self.podman_config(kind, network, files)
            } else {
                self.host_config(network)
            }),
            ..ContainerCreateBody::default()
        }
    }

    fn host_config(&self, network: &str) -> HostConfig {
        let (period, quota) = self.limits.cpu_us();
        let memory = self.limits.memory_bytes();
        HostConfig {
            memory: Some(memory),
            // Equal to the memory: no swap.
            memory_swap: Some(memory),
            cpu_period: Some(period),
            cpu_quota: Some(quota),
            pids_limit: Some(i64::from(self.pids_max)),
            ulimits: Some(vec![
                ulimit("nofile", NOFILE),
                // No core dumps: they would be files of the machine.
                ulimit("core", 0),
            ]),
            init: Some(true),
            log_config: Some(HostConfigLogConfig {
                typ: Some("json-file".to_owned()),
                config: Some(HashMap::from([
                    ("max-size".to_owned(), LOG_SIZE.to_owned()),
                    ("max-file".to_owned(), "1".to_owned()),
                ])),
            }),
            network_mode: Some(network.to_owned()),
            dns: (!self.dns.is_empty()).then(|| self.dns.clone()),
            restart_policy: Some(RestartPolicy {
                name: Some(RestartPolicyNameEnum::NO),
                maximum_retry_count: None,
            }),
            mounts: Some(
                self.mounts
                    .iter()
                    .map(|(source, target, read_only)| mount(source, target, *read_only))
                    .collect(),
            ),
            cap_drop: Some(vec!["ALL".to_owned()]),
            privileged: Some(false),
            readonly_rootfs: Some(true),
            security_opt: Some(vec!["no-new-privileges".to_owned()]),
            masked_paths: Some(masked_paths()),
            tmpfs: Some(self.tmpfs()),
            ipc_mode: Some("private".to_owned()),
            shm_size: Some(i64::try_from(self.tmp.bytes()).unwrap_or(i64::MAX)),
            ..HostConfig::default()
        }
    }

    /// The same profile in Podman's words.
    fn podman_config(&self, kind: &EngineKind, network: &str, files: &PodmanFiles) -> HostConfig {
        let mut config = self.host_config(network);
        let tmpfs = self
            .tmpfs()
            .into_iter()
            .map(|(place, options)| (place, in_podmans_words(&options)));
        // Podman makes these two writable, without a limit, wherever the root is read-only.
        let closed = ["/run", "/var/tmp"]
            .map(|place| (place.to_owned(), "ro,nosuid,nodev,noexec".to_owned()));
        config.tmpfs = Some(tmpfs.chain(closed).collect());
        let processes = processes_max().map(|max| ulimit("nproc", max));
        config.ulimits.get_or_insert_default().extend(processes);
        config.mounts.get_or_insert_default().push(mount(
            &files.hosts.to_string_lossy(),
            "/etc/hosts",
            true,
        ));
        let security = config.security_opt.get_or_insert_default();
        security.extend(
            files
                .seccomp
                .as_ref()
                .map(|profile| format!("seccomp={}", profile.display())),
        );
        // Podman passes over the list of Docker's API, and adds these to its own.
        config.masked_paths = None;
        security.extend(ADDRESSES.map(|path| format!("mask={path}")));
        if kind.opens_cgroups() {
            security.push("mask=/sys/fs/cgroup".to_owned());
        }
        if self.reach != Reach::Nothing {
            // Every interface would have a link-local address, by which the machine is reached past IPv4's rules.
            let off = ["all", "default"]
                .map(|of| (format!("net.ipv6.conf.{of}.disable_ipv6"), "1".to_owned()));
            config.sysctls = Some(off.into());
        }
        config
    }

    fn tmpfs(&self) -> HashMap<String, String> {
        // `exec`, which the engine leaves out unless it is asked for: packages are built here, and programs unpack themselves.
        let tmp = format!("rw,exec,nosuid,nodev,size={}m,mode=1777", self.tmp.get());
        let mut all = HashMap::from([("/tmp".to_owned(), tmp)]);
        if self.agent {
            all.insert("/app/code".to_owned(), CODE_TMPFS.to_owned());
        }
        all
    }
}

fn masked_paths() -> Vec<String> {
    let processors = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let heat =
        (0..processors).map(|cpu| format!("/sys/devices/system/cpu/cpu{cpu}/thermal_throttle"));
    let named = MASKED_BY_DOCKER.into_iter().chain(ADDRESSES);
    named.map(ToOwned::to_owned).chain(heat).collect()
}

/// Podman has no `uid` and `gid` for a tmpfs: `U` gives it to the container's user. It copies the image's files into one unless
/// told not to, and allows programs where Docker does not.
fn in_podmans_words(options: &str) -> String {
    let same = options
        .split(',')
        .filter(|option| !option.starts_with("uid=") && !option.starts_with("gid="));
    let mut words: Vec<&str> = same.collect();
    if !words.contains(&"exec") {
        words.push("noexec");
    }
    words.extend(["notmpcopyup", "U"]);
    words.join(",")
}

/// Processes of the containers' user on the whole machine: as many as this process may have. Podman asks for a million unless
/// it is told, which it may not grant where it runs in a container itself. `None`: no limit.
fn processes_max() -> Option<i64> {
    let own = rustix::process::getrlimit(rustix::process::Resource::Nproc).maximum?;
    let numbers = std::fs::read_to_string("/proc/sys/kernel/pid_max")
        .ok()
        .and_then(|text| text.trim().parse().ok());
    i64::try_from(own.min(numbers.unwrap_or(u64::MAX))).ok()
}

fn ulimit(name: &str, value: i64) -> ResourcesUlimits {
    ResourcesUlimits {
        name: Some(name.to_owned()),
        soft: Some(value),
        hard: Some(value),
    }
}

fn mount(source: &str, target: &str, read_only: bool) -> Mount {
    Mount {
        source: Some(source.to_owned()),
        target: Some(target.to_owned()),
        typ: Some(MountType::BIND),
        read_only: Some(read_only),
        ..Mount::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(milli: u64, expected: (i64, i64)) {
        assert_eq!(
            Share {
                memory: MemoryMib::new(1),
                cpu: CpuMilli::new(milli)
            }
            .cpu_us(),
            expected
        );
    }

    #[test]
    fn small_shares_get_longer_periods() {
        check(2000, (25_000, 50_000));
        check(1000, (25_000, 25_000));
        check(100, (25_000, 2_500));
        check(50, (25_000, 1_250));
        check(20, (50_000, 1_000));
        check(10, (100_000, 1_000));
        // Less cannot be told apart.
        check(1, (100_000, 1_000));
        check(0, (100_000, 1_000));
    }

    #[test]
    fn the_profile_is_strict() {
        for kind in [EngineKind::docker(), EngineKind::podman("4.3.1")] {
            let body = recipe().body(&kind, "none", &PodmanFiles::default());
            let host = body.host_config.unwrap();
            assert_eq!(body.user.as_deref(), Some(USER));
            assert_eq!(host.memory, host.memory_swap);
            assert_eq!(host.cap_drop, Some(vec!["ALL".to_owned()]));
            assert_eq!(host.readonly_rootfs, Some(true));
            assert_eq!(host.network_mode.as_deref(), Some("none"));
            let security = host.security_opt.unwrap();
            assert_eq!(security[0], "no-new-privileges");
            let masked = host.masked_paths.unwrap_or(security);
            for path in ADDRESSES {
                assert!(masked.iter().any(|mask| mask.ends_with(path)), "{masked:?}");
            }
            assert_eq!(host.pids_limit, Some(32));
            assert!(host.cap_add.is_none() && host.binds.is_none() && host.devices.is_none());
            let tmpfs = host.tmpfs.unwrap();
            for place in ["/tmp", "/app/code"] {
                let has = |wanted: &&str| tmpfs[place].split(',').any(|option| option == *wanted);
                assert!(
                    ["rw", "exec", "nosuid", "nodev"].iter().all(has),
                    "{place}: {}",
                    tmpfs[place]
                );
            }
        }
    }

    #[test]
    fn podman_is_asked_in_its_own_words() {
        let mut recipe = recipe();
        let files = PodmanFiles {
            hosts: "/h".into(),
            seccomp: Some("/s".into()),
        };
        let config = |recipe: &Recipe| {
            recipe
                .body(&EngineKind::podman("4.3.1"), "n", &files)
                .host_config
                .unwrap()
        };
        let told = config(&recipe);
        let tmpfs = told.tmpfs.unwrap();
        assert_eq!(
            tmpfs["/tmp"],
            "rw,exec,nosuid,nodev,size=16m,mode=1777,notmpcopyup,U"
        );
        assert!(
            tmpfs["/app/code"].ends_with(",notmpcopyup,U") && !tmpfs["/app/code"].contains("uid=")
        );
        assert!(tmpfs["/run"].starts_with("ro,") && tmpfs["/var/tmp"].starts_with("ro,"));
        assert_eq!(in_podmans_words("rw,uid=1"), "rw,noexec,notmpcopyup,U");
        assert!(
            told.mounts
                .unwrap()
                .iter()
                .any(|mount| mount.target.as_deref() == Some("/etc/hosts"))
        );
        assert_eq!(
            told.security_opt.unwrap(),
            [
                "no-new-privileges",
                "seccomp=/s",
                "mask=/proc/kallsyms",
                "mask=/proc/modules"
            ]
        );
        assert_eq!(told.sysctls, None);
        recipe.reach = Reach::World;
        assert_eq!(
            config(&recipe).sysctls.unwrap()["net.ipv6.conf.all.disable_ipv6"],
            "1"
        );
    }

    fn recipe() -> Recipe {
        Recipe {
            image: "i".to_owned(),
            node_id: "n".to_owned(),
            kind: "cell",
            limits: Share {
                memory: MemoryMib::new(64),
                cpu: CpuMilli::new(500),
            },
            tmp: MemoryMib::new(16),
            pids_max: 32,
            reach: Reach::Nothing,
            dns: vec![],
            mounts: vec![],
            agent: true,
            env: vec![],
            command: None,
            folder: None,
            user: None,
        }
    }
}
