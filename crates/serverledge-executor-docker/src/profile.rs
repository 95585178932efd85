//! The hardening profile: what every container gets unless its function asked for more and was allowed it (design §6).

use std::collections::HashMap;

use bollard::models::{
    ContainerCreateBody, ContainerUpdateBody, HostConfig, HostConfigLogConfig, Mount, MountType,
    ResourcesUlimits, RestartPolicy, RestartPolicyNameEnum,
};
use serverledge_core::{CpuMilli, MemoryMib};

use crate::engine::NODE_LABEL;

/// The user inside: no account of the machine, so that not even a file left open to "others" is its own.
pub(crate) const USER: &str = "65532:65532";
/// Where the container finds its socket's folder.
pub(crate) const SOCKET_DIR: &str = "/run/serverledge";
/// Descriptors of one process: enough for any handler, few enough that the machine's table survives all containers.
const NOFILE: i64 = 1024;
/// What a container's processes may write past the agent is kept up to here.
const LOG_SIZE: &str = "256k";
/// Short, so that a throttled function's pauses are short, but not shorter: the kernel hands a quota out in pieces, and of a
/// tenth of a core 10 ms periods give 28 % fewer calls than these (measured with a no-op: 1,390 and 1,720 a second).
const CPU_PERIOD_US_MIN: u64 = 25_000;
/// Docker's longest period is a second; a hundredth of a core is the smallest share that is told apart.
const CPU_PERIOD_US_MAX: u64 = 100_000;
/// Written files of a version live in memory too: this much beside `/tmp`.
const CODE_TMPFS: &str = "rw,nosuid,nodev,size=128m,mode=0755,uid=65532,gid=65532";

/// What a container is for.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Recipe {
    pub(crate) image: String,
    pub(crate) node_id: String,
    /// `cell`, `function`, `custom` or `install`.
    pub(crate) kind: &'static str,
    pub(crate) limits: Share,
    pub(crate) tmp: MemoryMib,
    pub(crate) pids_max: u32,
    /// A network's name, or `none`.
    pub(crate) network: String,
    /// Name servers, where Docker's own must not be asked.
    pub(crate) dns: Vec<String>,
    /// Folder of the machine, place in the container, read-only.
    pub(crate) mounts: Vec<(String, String, bool)>,
    /// Whether there is an agent, which needs a place for the code.
    pub(crate) agent: bool,
    /// Set for containers that install; functions get theirs over the socket.
    pub(crate) env: Vec<String>,
    pub(crate) command: Option<Vec<String>>,
    pub(crate) user: Option<String>,
}

/// What a container may use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Share {
    pub(crate) memory: MemoryMib,
    pub(crate) cpu: CpuMilli,
}

impl Share {
    fn memory_bytes(self) -> i64 {
        i64::try_from(self.memory.bytes()).unwrap_or(i64::MAX)
    }

    /// Period and quota in microseconds; the quota is at least the kernel's least, 1 ms.
    fn cpu_us(self) -> (i64, i64) {
        let milli = self.cpu.get().max(1);
        let period = (1_000_000 / milli).clamp(CPU_PERIOD_US_MIN, CPU_PERIOD_US_MAX);
        let quota = (period * milli / 1000).max(1000);
        (
            i64::try_from(period).unwrap_or(100_000),
            i64::try_from(quota).unwrap_or(i64::MAX),
        )
    }

    /// What a running container is told when its function is known.
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
    /// The container that Docker is asked for.
    pub(crate) fn body(&self) -> ContainerCreateBody {
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
            labels: Some(labels),
            // One name for all: a container learns nothing from its own.
            hostname: Some("function".to_owned()),
            attach_stdin: Some(false),
            open_stdin: Some(false),
            host_config: Some(self.host_config()),
            ..ContainerCreateBody::default()
        }
    }

    fn host_config(&self) -> HostConfig {
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
            network_mode: Some(self.network.clone()),
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
            tmpfs: Some(self.tmpfs()),
            ipc_mode: Some("private".to_owned()),
            shm_size: Some(i64::try_from(self.tmp.bytes()).unwrap_or(i64::MAX)),
            ..HostConfig::default()
        }
    }

    fn tmpfs(&self) -> HashMap<String, String> {
        let tmp = format!("rw,nosuid,nodev,size={}m,mode=1777", self.tmp.get());
        let mut all = HashMap::from([("/tmp".to_owned(), tmp)]);
        if self.agent {
            all.insert("/app/code".to_owned(), CODE_TMPFS.to_owned());
        }
        all
    }
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
        let recipe = Recipe {
            image: "i".to_owned(),
            node_id: "n".to_owned(),
            kind: "cell",
            limits: Share {
                memory: MemoryMib::new(64),
                cpu: CpuMilli::new(500),
            },
            tmp: MemoryMib::new(16),
            pids_max: 32,
            network: "none".to_owned(),
            dns: vec![],
            mounts: vec![],
            agent: true,
            env: vec![],
            command: None,
            user: None,
        };
        let body = recipe.body();
        let host = body.host_config.unwrap();
        assert_eq!(body.user.as_deref(), Some(USER));
        assert_eq!(host.memory, host.memory_swap);
        assert_eq!(host.cap_drop, Some(vec!["ALL".to_owned()]));
        assert_eq!(host.readonly_rootfs, Some(true));
        assert_eq!(host.network_mode.as_deref(), Some("none"));
        assert_eq!(
            host.security_opt,
            Some(vec!["no-new-privileges".to_owned()])
        );
        assert_eq!(host.pids_limit, Some(32));
        assert!(host.cap_add.is_none() && host.binds.is_none() && host.devices.is_none());
    }
}
