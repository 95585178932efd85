//! What the parts of a node are told: plain, checked values. No file, variable or key name is known here.

use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;
use std::time::Duration;

use serverledge_core::{CpuMilli, IpNet, MemoryMib, limits};

use super::people::{AccountsConfig, AuthConfig, SmtpConfig};

const KIB: usize = 1024;
const MIB: usize = 1024 * KIB;

/// Instances of callers that wait, at least.
const CALLERS_LEAST: u32 = 64;
/// A guest whose caller went away holds its slot until its next tick, when its lease is free already.
const SPARE_SLOTS: u32 = 8;
/// What guests' memory grows by.
const WASM_PAGE: usize = 64 * 1024;

/// Everything a node can be told, checked: every value is in its range, and the values fit together.
#[derive(Debug, Clone, PartialEq)]
pub struct Config {
    /// The HTTP server.
    pub api: ApiConfig,
    /// Where the node keeps its files.
    pub data: DataConfig,
    /// What all sandboxes may use together.
    pub pool: PoolConfig,
    /// Invocations that wait for a sandbox.
    pub queue: QueueConfig,
    /// Where invocations run.
    pub scheduler: SchedulerConfig,
    /// Defaults and limits of functions.
    pub function: FunctionConfig,
    /// The WebAssembly executor.
    pub wasm: WasmConfig,
    /// The container executor.
    pub container: ContainerConfig,
    /// Results that are kept.
    pub cache: CacheConfig,
    /// Asynchronous invocations.
    pub asynchronous: AsyncConfig,
    /// The registry and this node's place in it.
    pub registry: RegistryConfig,
    /// The other nodes.
    pub cluster: ClusterConfig,
    /// The load balancer.
    pub balancer: BalancerConfig,
    /// What one user may have and run.
    pub quota: QuotaConfig,
    /// Who is let in.
    pub auth: AuthConfig,
    /// Accounts.
    pub accounts: AccountsConfig,
    /// The mail server.
    pub smtp: SmtpConfig,
    /// Where applications are found.
    pub platform: PlatformConfig,
    /// Metrics.
    pub metrics: MetricsConfig,
    /// The node's own log.
    pub log: LogConfig,
    /// How long a stopping node waits for the invocations it has begun.
    pub drain_timeout: Duration,
}

/// The HTTP server.
#[derive(Debug, Clone, PartialEq)]
pub struct ApiConfig {
    /// Address to listen on.
    pub ip: IpAddr,
    /// Port to listen on; 0 lets the system choose one.
    pub port: u16,
    /// Further names under which clients may address the node (lower case, without port).
    pub hosts: Vec<String>,
    /// Certificate chain for TLS, PEM; empty: plain HTTP, and then the key's file is empty too.
    pub tls_cert_file: String,
    /// Its private key, PEM.
    pub tls_key_file: String,
    /// Peers whose forwarded headers are believed.
    pub trusted_proxies: Vec<IpNet>,
    /// Listening beyond loopback without authentication is wanted. If false, `ip` is a loopback address.
    pub allow_insecure: bool,
    /// Largest request body of any route.
    pub body_bytes_max: usize,
    /// Time for the head of a request to arrive, and for the next request on an open connection: hyper has one clock for both.
    pub header_timeout: Duration,
    /// Time within which the body of a request must have arrived.
    pub body_timeout: Duration,
    /// Most open connections.
    pub connections_max: usize,
    /// Most requests in progress at once.
    pub concurrency_max: usize,
}

/// Where the node keeps its files.
#[derive(Debug, Clone, PartialEq)]
pub struct DataConfig {
    /// The folder; made with owner-only rights where it is missing. May be relative to the working directory.
    pub dir: PathBuf,
}

/// What all sandboxes may use together.
#[derive(Debug, Clone, PartialEq)]
pub struct PoolConfig {
    /// Memory.
    pub memory: MemoryMib,
    /// Processor share.
    pub cpus: CpuMilli,
}

/// Invocations that wait for a sandbox.
#[derive(Debug, Clone, PartialEq)]
pub struct QueueConfig {
    /// Most that wait; 0 means that none does.
    pub capacity: usize,
    /// Longest time one waits.
    pub wait_max: Duration,
}

/// Where invocations run.
#[derive(Debug, Clone, PartialEq)]
pub struct SchedulerConfig {
    /// The policy.
    pub policy: PolicyName,
    /// Whether `edgeonly` runs an invocation here where no neighbour takes it.
    pub fallback_local: bool,
}

/// Results of idempotent functions that are kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CacheConfig {
    /// Most bytes; 0 keeps none.
    pub results_bytes: usize,
    /// How long one is kept.
    pub results_ttl: Duration,
}

/// Name of a scheduling policy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PolicyName {
    /// Here, or in the queue.
    Default,
    /// The same, by the name that says so.
    LocalOnly,
    /// In the cloud only.
    CloudOnly,
    /// Here if there is room, else in the cloud.
    EdgeCloud,
    /// On a neighbouring node.
    EdgeOnly,
    /// Where its deadline is most likely met at the least cost.
    QosAware,
}

/// Defaults and limits of functions.
#[derive(Debug, Clone, PartialEq)]
pub struct FunctionConfig {
    /// Memory of a function that declares none.
    pub memory: MemoryMib,
    /// Time limit of a function that declares none; at most `timeout_max`.
    pub timeout: Duration,
    /// Largest time limit a function may declare.
    pub timeout_max: Duration,
    /// Largest parameters of one invocation.
    pub params_bytes_max: usize,
    /// Largest result of one invocation.
    pub output_bytes_max: usize,
    /// Largest code of one version, before base64.
    pub code_bytes_max: usize,
    /// How much of the end of a function's log is kept.
    pub log_tail_bytes_max: usize,
}

/// The WebAssembly executor.
#[derive(Debug, Clone, PartialEq)]
pub struct WasmConfig {
    /// Slots of the instance pool: most instances at once.
    pub instances_max: u32,
    /// Memory of one compiling child process.
    pub compile_memory: MemoryMib,
    /// Wall-clock time of one compilation.
    pub compile_time: Duration,
    /// Processor time of one compilation.
    pub compile_cpu_time: Duration,
    /// Compilations at once.
    pub compile_parallel: usize,
    /// Machine code kept loaded.
    pub loaded_bytes_max: usize,
    /// Modules kept loaded; each holds a file descriptor.
    pub loaded_max: usize,
    /// Bytes of a slot's memory that stay resident between instances.
    pub keep_resident: usize,
    /// Processor time of one invocation; `None`: only the function's time limit counts.
    pub cpu_time_max: Option<Duration>,
}

/// The container executor. Empty texts mean none.
#[derive(Debug, Clone, PartialEq)]
pub struct ContainerConfig {
    /// Whether there is one.
    pub enabled: bool,
    /// The Docker Engine's socket.
    pub socket: PathBuf,
    /// Image of the `python` runtime.
    pub image_python: String,
    /// Image of the `nodejs` runtime.
    pub image_nodejs: String,
    /// Most containers with a function in them.
    pub max: u32,
    /// Stem cells per runtime in use.
    pub cells: usize,
    /// Idle lifetime.
    pub expiration: Duration,
    /// Longest time between two looks for expired ones.
    pub janitor_interval: Duration,
    /// Starts at once.
    pub starts_max: usize,
    /// Time for one to listen, and for code to load.
    pub start_timeout: Duration,
    /// Size of `/tmp`.
    pub tmp: MemoryMib,
    /// Processes and threads in one.
    pub pids_max: u32,
    /// Whether functions may ask for a network.
    pub allow_bridge: bool,
    /// Time of one installation of dependencies.
    pub install_timeout: Duration,
    /// Memory of one installation.
    pub install_memory: MemoryMib,
    /// Largest size of what is installed.
    pub install_size_max: MemoryMib,
    /// npm's registry.
    pub npm_registry: String,
    /// pip's index.
    pub pip_index: String,
    /// Certificate authorities for both.
    pub ca_file: String,
    /// Proxy for both.
    pub proxy: String,
}

/// Asynchronous invocations.
#[derive(Debug, Clone, PartialEq)]
pub struct AsyncConfig {
    /// How long an outcome can be read.
    pub result_ttl: Duration,
    /// Age at which an invocation without outcome expires.
    pub age_max: Duration,
    /// Most that this node runs at once.
    pub concurrency_max: usize,
    /// Most accepted ones without outcome.
    pub queued_max: usize,
    /// How often one is begun.
    pub attempts_max: usize,
    /// How long a dead letter can be read.
    pub dead_letter_ttl: Duration,
    /// How long an idempotency key stands for its first request.
    pub idempotency_ttl: Duration,
    /// Telling a caller's URL of the end.
    pub callback: CallbackConfig,
}

/// Callbacks.
#[derive(Debug, Clone, PartialEq)]
pub struct CallbackConfig {
    /// Networks and host names that may be reached although they are not public.
    pub allow: Vec<String>,
    /// Most attempts.
    pub attempts_max: usize,
    /// File with the key of the signature; empty: made once, kept in the data folder.
    pub key_file: String,
}

/// The registry and this node's place in it.
#[derive(Debug, Clone, PartialEq)]
pub struct RegistryConfig {
    /// Area of the node.
    pub area: String,
    /// Which registry.
    pub url: RegistryUrl,
    /// Id of the node; `None`: made once and kept in the data folder.
    pub node_id: Option<String>,
    /// Who asks etcd; empty: nobody in particular.
    pub user: String,
    /// File with that user's password.
    pub password_file: String,
    /// File with the certificate authorities that etcd's certificate is checked with; empty: the system's.
    pub ca_file: String,
    /// File with this node's certificate for etcd; empty: none.
    pub cert_file: String,
    /// File with that certificate's key.
    pub key_file: String,
    /// How long the node's record outlives the node.
    pub ttl: Duration,
    /// The area that counts as the cloud; empty: none.
    pub remote_area: String,
    /// Longest time between two listings of the nodes.
    pub monitoring_interval: Duration,
}

/// Which registry the node uses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RegistryUrl {
    /// The node's own, in the data folder.
    Embedded,
    /// A cluster's etcd: `etcd://host:port,…/prefix/`, or `etcds://…` for TLS.
    Etcd(String),
}

/// The other nodes.
#[derive(Debug, Clone, PartialEq)]
pub struct ClusterConfig {
    /// What peers know each other by; `None`: no peer is asked and none is answered.
    pub key: Option<Secret>,
    /// File with the key, instead.
    pub key_file: String,
    /// Host and port under which peers reach this node; `None`: where it listens.
    pub address: Option<String>,
    /// Peers may be spoken to without TLS beyond loopback.
    pub allow_plain: bool,
    /// File with the certificate authorities that peers' certificates are checked with; empty: the system's.
    pub ca_file: String,
    /// How often neighbours are asked how they are.
    pub nearby_interval: Duration,
    /// Age at which what a peer said of its load is no longer used.
    pub load_age_max: Duration,
}

/// The load balancer, `serverledge lb`.
#[derive(Debug, Clone, PartialEq)]
pub struct BalancerConfig {
    /// Points on the ring for each core of a node.
    pub replicas: u32,
    /// By how much a node may be busier than the average.
    pub load_factor: f64,
    /// Longest time between two listings of the nodes.
    pub refresh_interval: Duration,
}

/// A text that is not shown.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

/// What one user may have and run; 0: as much as they like.
#[derive(Debug, Clone, PartialEq)]
pub struct QuotaConfig {
    /// Applications.
    pub applications: usize,
    /// Functions, in all of their spaces together.
    pub functions: usize,
    /// Bytes of their functions' code, equal code counted once.
    pub code_bytes: usize,
    /// Invocations at once on one node.
    pub concurrent: usize,
    /// Invocations a minute on one node.
    pub per_minute: u32,
}

/// Where applications are found.
#[derive(Debug, Clone, PartialEq)]
pub struct PlatformConfig {
    /// Applications that run answer to the names directly below this one.
    pub domain: String,
}

/// Metrics.
#[derive(Debug, Clone, PartialEq)]
pub struct MetricsConfig {
    /// Whether `GET /metrics` answers.
    pub enabled: bool,
}

/// The node's own log.
#[derive(Debug, Clone, PartialEq)]
pub struct LogConfig {
    /// A level, or directives such as `info,serverledge_node=debug`; `EnvFilter` accepts it.
    pub filter: String,
    /// How lines are written.
    pub format: LogFormat,
}

/// How the node writes its log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// Lines for people.
    Text,
    /// One JSON object a line.
    Json,
}

// === impl Config ===

impl Config {
    /// The defaults that depend on nothing. Those which depend on the machine or on other values hold a
    /// placeholder here, until the table of keys fills them in.
    pub(super) fn base() -> Self {
        Self {
            api: ApiConfig::base(),
            data: DataConfig {
                dir: PathBuf::new(),
            },
            pool: PoolConfig {
                memory: MemoryMib::new(0),
                cpus: CpuMilli::new(0),
            },
            queue: QueueConfig {
                capacity: 1_000,
                wait_max: Duration::from_secs(10),
            },
            scheduler: SchedulerConfig {
                policy: PolicyName::Default,
                fallback_local: false,
            },
            function: FunctionConfig::base(),
            wasm: WasmConfig::base(),
            container: ContainerConfig::base(),
            // Some thousand results of the usual size; a tenth of a percent of a small server's memory.
            cache: CacheConfig {
                results_bytes: 64 * MIB,
                results_ttl: Duration::from_secs(600),
            },
            asynchronous: AsyncConfig::base(),
            registry: RegistryConfig::base(),
            cluster: ClusterConfig::base(),
            balancer: BalancerConfig {
                replicas: 128,
                load_factor: 1.25,
                refresh_interval: Duration::from_secs(30),
            },
            quota: QuotaConfig {
                applications: 20,
                functions: 200,
                code_bytes: 1024 * MIB,
                concurrent: 100,
                per_minute: 6000,
            },
            auth: AuthConfig::base(),
            accounts: AccountsConfig::base(),
            smtp: SmtpConfig::base(),
            platform: PlatformConfig {
                domain: "localhost".to_owned(),
            },
            metrics: MetricsConfig { enabled: true },
            log: LogConfig {
                filter: String::from("info"),
                format: LogFormat::Text,
            },
            // As long as a function without a time limit of its own may run.
            drain_timeout: limits::TIMEOUT_DEFAULT,
        }
    }
}

impl ApiConfig {
    fn base() -> Self {
        Self {
            ip: IpAddr::V4(Ipv4Addr::LOCALHOST),
            port: 1323,
            hosts: Vec::new(),
            tls_cert_file: String::new(),
            tls_key_file: String::new(),
            trusted_proxies: Vec::new(),
            allow_insecure: false,
            body_bytes_max: 0,
            header_timeout: Duration::from_secs(30),
            // The largest code at 12 Mbit/s.
            body_timeout: Duration::from_secs(60),
            connections_max: 0,
            // Twice the queue: it fills before this does, and answers better.
            concurrency_max: 2_048,
        }
    }
}

impl FunctionConfig {
    fn base() -> Self {
        Self {
            memory: limits::MEMORY_DEFAULT,
            timeout: limits::TIMEOUT_DEFAULT,
            timeout_max: limits::TIMEOUT_MAX,
            params_bytes_max: limits::PARAMS_BYTES_MAX,
            output_bytes_max: limits::OUTPUT_BYTES_MAX,
            code_bytes_max: limits::CODE_BYTES_MAX,
            log_tail_bytes_max: limits::LOG_TAIL_BYTES_MAX,
        }
    }
}

impl WasmConfig {
    /// Instances that there is room for: those that run and those that wait in calls. Guests that wait give their slots of the
    /// scheduler back and keep their instances: as many as run, and on a small node enough for some trees of calls of full depth.
    /// Those that nobody ever needed take address space only.
    #[must_use]
    pub fn slots(&self) -> u32 {
        self.instances_max
            .saturating_add(self.instances_max.max(CALLERS_LEAST))
            .saturating_add(SPARE_SLOTS)
    }

    /// Bytes of each instance's memory that stay resident: as configured, or less, so that all slots together, once all have
    /// been used, keep no more than a tenth of the pool.
    #[must_use]
    pub fn kept_per_slot(&self, pool: MemoryMib) -> usize {
        let share = pool.bytes() / 10 / u64::from(self.slots());
        let share = usize::try_from(share).unwrap_or(usize::MAX) / WASM_PAGE * WASM_PAGE;
        self.keep_resident.min(share)
    }

    fn base() -> Self {
        Self {
            instances_max: 0,
            compile_memory: MemoryMib::new(2048),
            compile_time: Duration::from_secs(60),
            compile_cpu_time: Duration::from_secs(60),
            compile_parallel: 1,
            loaded_bytes_max: 256 * MIB,
            loaded_max: 0,
            // Above the megabyte of shadow stack that Rust's linker gives a guest by default (design: 21 µs, not 106 µs).
            keep_resident: 2 * MIB,
            cpu_time_max: None,
        }
    }
}

impl ContainerConfig {
    fn base() -> Self {
        Self {
            enabled: true,
            socket: PathBuf::new(),
            image_python: String::from("serverledge-python"),
            image_nodejs: String::from("serverledge-nodejs"),
            // Each costs the kernel a few megabytes beside its function's memory.
            max: 200,
            cells: 2,
            expiration: Duration::from_secs(600),
            janitor_interval: Duration::from_secs(30),
            starts_max: 0,
            start_timeout: Duration::from_secs(10),
            tmp: MemoryMib::new(64),
            pids_max: 128,
            allow_bridge: false,
            install_timeout: Duration::from_secs(300),
            install_memory: MemoryMib::new(1024),
            install_size_max: MemoryMib::new(1024),
            npm_registry: String::new(),
            pip_index: String::new(),
            ca_file: String::new(),
            proxy: String::new(),
        }
    }
}

impl AsyncConfig {
    fn base() -> Self {
        Self {
            result_ttl: Duration::from_secs(30 * 60),
            age_max: Duration::from_secs(60 * 60),
            concurrency_max: 64,
            queued_max: 10_000,
            attempts_max: 3,
            dead_letter_ttl: Duration::from_secs(7 * 24 * 3600),
            idempotency_ttl: Duration::from_secs(24 * 3600),
            // The pauses between eight attempts come to about half an hour.
            callback: CallbackConfig {
                allow: Vec::new(),
                attempts_max: 8,
                key_file: String::new(),
            },
        }
    }
}

impl RegistryConfig {
    fn base() -> Self {
        Self {
            area: String::from("ROME"),
            url: RegistryUrl::Embedded,
            node_id: None,
            user: String::new(),
            password_file: String::new(),
            ca_file: String::new(),
            cert_file: String::new(),
            key_file: String::new(),
            // Three lost keep-alives: long enough for a restart of etcd's leader, short enough for work to be taken over soon.
            ttl: Duration::from_secs(15),
            remote_area: String::new(),
            monitoring_interval: Duration::from_secs(30),
        }
    }
}

impl ClusterConfig {
    const fn base() -> Self {
        Self {
            key: None,
            key_file: String::new(),
            address: None,
            allow_plain: false,
            ca_file: String::new(),
            nearby_interval: Duration::from_secs(2),
            load_age_max: Duration::from_secs(10),
        }
    }
}

// === impl Secret ===

impl Secret {
    /// Hides a text.
    #[must_use]
    pub const fn new(text: String) -> Self {
        Self(text)
    }

    /// The text. Not for logs, errors or arguments of programs.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secret(…)")
    }
}

// === impl PolicyName ===

impl PolicyName {
    /// Every policy, in the order in which it is documented.
    pub const ALL: [Self; 6] = [
        Self::Default,
        Self::LocalOnly,
        Self::CloudOnly,
        Self::EdgeCloud,
        Self::EdgeOnly,
        Self::QosAware,
    ];

    /// The name in the configuration.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Default => "default",
            Self::LocalOnly => "localonly",
            Self::CloudOnly => "cloudonly",
            Self::EdgeCloud => "edgecloud",
            Self::EdgeOnly => "edgeonly",
            Self::QosAware => "qosaware",
        }
    }

    /// Whether it ever sends an invocation to another node.
    #[must_use]
    pub const fn offloads(self) -> bool {
        !matches!(self, Self::Default | Self::LocalOnly)
    }
}

// === impl LogFormat ===

impl LogFormat {
    /// Every format.
    pub const ALL: [Self; 2] = [Self::Text, Self::Json];

    /// The name in the configuration.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::Json => "json",
        }
    }
}
