//! The configuration of the parts of a node, as one table: each row is a value with its type, default, kind and key.

use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;
use std::time::Duration;

use serverledge_core::{CpuMilli, IpNet, Isolation, MemoryMib, limits};
use serverledge_platform::{Signup, SmtpTls};

use super::derived::{
    body_bytes, connections, container_starts, data_dir, docker_socket, outbound_connections,
    pool_cpus, pool_memory, signup, smtp_port, wasm_instances, wasm_loaded,
};
use super::kind::{Key, ValueKind, name_of};

const KIB: usize = 1024;
pub(super) const MIB: usize = 1024 * KIB;
/// Largest pool, far beyond any machine of today: 16 TiB.
pub(super) const POOL_MAX: MemoryMib = MemoryMib::new(16 * 1024 * 1024);
/// Most instances, connections or requests: beyond anything that one process can serve.
const COUNT_MAX: usize = 1_000_000;
const MOMENT: Duration = Duration::from_millis(1);
const MINUTE: u64 = 60;
const HOUR: u64 = 60 * MINUTE;
const DAY: u64 = 24 * HOUR;

/// Least number of instances for callers that wait.
const CALLERS_LEAST: u32 = 64;
/// Slots beside those of running guests: a guest whose caller went away holds its slot until its next tick, when its
/// lease is free already.
const SPARE_SLOTS: u32 = 8;
/// The page size of WebAssembly, by which guests' memory grows.
const WASM_PAGE: usize = 64 * 1024;

const fn seconds(n: u64) -> Duration {
    Duration::from_secs(n)
}

/// Declares the structures of the configuration, their defaults and their keys. A row is
///
/// ```text
/// /// Description of the field and of the key, in one or more lines.
/// field: Type = default;
///     "name.of.the.key" => Kind(range).auto(…).was(…);
/// ```
///
/// with the name of a [`ValueKind`], and methods of [`Key`]. `also` adds a key that sets the same field.
macro_rules! configuration {
    ($(
        $(#[doc = $about:literal])+
        $part:ident: $structure:ident {$(
            $(#[doc = $doc:literal])+
            $field:ident: $type:ty = $default:expr;
                $(also $other:literal => $other_kind:ident, $other_doc:literal;)?
                $key:literal => $kind:ident$(($range:expr))? $(.$method:ident($($argument:expr),+))*;
        )+}
    )+) => {
        /// The whole configuration of a node, checked: every value is in its range, and the values fit together.
        #[derive(Debug, Clone, PartialEq)]
        pub struct Config {$(
            $(#[doc = $about])+
            pub $part: $structure,
        )+}

        impl Config {
            /// The defaults that depend on nothing. Those that depend on the machine or on other values are
            /// placeholders here, until the table of keys fills them in.
            pub(super) fn base() -> Self {
                Self {$($part: $structure {$($field: $default),+}),+}
            }
        }

        $(
            $(#[doc = $about])+
            #[derive(Debug, Clone, PartialEq)]
            pub struct $structure {$(
                $(#[doc = $doc])+
                pub $field: $type,
            )+}
        )+

        /// Every key with an effect. Where they are derived from others, keys stand below them.
        pub(super) static KEYS: &[Key] = &[$($(
            $(Key::new($other, ValueKind::$other_kind(|config| &mut config.$part.$field), $other_doc),)?
            Key::new(
                $key,
                ValueKind::$kind($($range,)? |config| &mut config.$part.$field),
                concat!($($doc),+).trim_ascii_start(),
            )$(.$method($($argument),+))*,
        )+)+];
    };
}

configuration! {
    /// The node's files.
    data: DataConfig {
        /// Folder of the node: registry, code, compiled code, secrets.
        // Created with owner-only rights if it is missing. May be relative to the working directory.
        dir: PathBuf = PathBuf::new();
            "data.dir" => Directory
                .auto("$XDG_DATA_HOME/serverledge, else $HOME/.local/share/serverledge, else ./serverledge-data", data_dir)
                .was(&["data_dir"]);
    }

    /// Defaults and limits of functions.
    function: FunctionConfig {
        /// Memory of a function that declares none.
        memory: MemoryMib = limits::MEMORY_DEFAULT;
            "function.memory" => Memory(MemoryMib::new(1)..=limits::MEMORY_MAX);
        /// Time limit of a function that declares none.
        // At most `timeout_max`.
        timeout: Duration = limits::TIMEOUT_DEFAULT;
            "function.timeout" => Duration(MOMENT..=seconds(DAY));
        /// Largest time limit that a function may declare.
        timeout_max: Duration = limits::TIMEOUT_MAX;
            "function.timeout_max" => Duration(MOMENT..=seconds(DAY));
        /// Largest parameters of one invocation.
        params_bytes_max: usize = limits::PARAMS_BYTES_MAX;
            "function.params_bytes_max" => Bytes(KIB..=64 * MIB);
        /// Largest result of one invocation.
        output_bytes_max: usize = limits::OUTPUT_BYTES_MAX;
            "function.output_bytes_max" => Bytes(KIB..=64 * MIB);
        /// Largest code of one version, before base64.
        code_bytes_max: usize = limits::CODE_BYTES_MAX;
            "function.code_bytes_max" => Bytes(KIB..=512 * MIB);
        /// Bytes kept of the end of an invocation's log.
        log_tail_bytes_max: usize = limits::LOG_TAIL_BYTES_MAX;
            "function.log_tail_bytes_max" => Bytes(0..=MIB);
    }

    /// The HTTP server.
    api: ApiConfig {
        /// Address to listen on; beyond loopback see api.allow_insecure.
        ip: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
            "api.ip" => Address
                .was(&["api.host", "api.address"]);
        /// Port to listen on; 0 lets the system choose one.
        port: u16 = 1323;
            "api.port" => Port;
        /// Further names under which clients address the node, without port.
        // In lower case.
        hosts: Vec<String> = Vec::new();
            "api.hosts" => Hosts;
        /// Addresses or networks whose forwarded headers are believed.
        trusted_proxies: Vec<IpNet> = Vec::new();
            "api.trusted_proxies" => Networks;
        /// File with the certificate of this node and those that lead to its authority (PEM); empty: plain HTTP.
        // If it is empty, the key's file is empty too.
        tls_cert_file: String = String::new();
            "api.tls.cert_file" => Text;
        /// File with the private key of that certificate (PEM, not encrypted).
        tls_key_file: String = String::new();
            "api.tls.key_file" => Text;
        /// Allows listening beyond loopback without authentication: whoever reaches the port can run code.
        allow_insecure: bool = false;
            "api.allow_insecure" => Switch;
        /// Largest body of any request.
        body_bytes_max: usize = 0;
            "api.body_bytes_max" => Bytes(KIB..=1024 * MIB)
                .auto("room for function.code_bytes_max in base64", body_bytes);
        /// Time for the head of a request to arrive, and for the next request on an open connection.
        // hyper has one clock for both.
        header_timeout: Duration = seconds(30);
            "api.header_timeout" => Duration(MOMENT..=seconds(HOUR));
        /// Time within which the body of a request must have arrived.
        // The largest code at 12 Mbit/s.
        body_timeout: Duration = seconds(60);
            "api.body_timeout" => Duration(MOMENT..=seconds(HOUR));
        /// Most open connections.
        connections_max: usize = 0;
            "api.connections_max" => Count(1..=COUNT_MAX)
                .auto("4096, or 13 in 32 file descriptors", connections);
        /// Most requests in progress at once, waiting ones included.
        // Twice the queue: it fills before this does, and answers better.
        concurrency_max: usize = 2_048;
            "api.concurrency_max" => Count(1..=COUNT_MAX);
    }

    /// The resources of all sandboxes together.
    pool: PoolConfig {
        /// Memory of all sandboxes together, WebAssembly included.
        memory: MemoryMib = MemoryMib::new(0);
            "container.pool.memory" => Memory(MemoryMib::new(1)..=POOL_MAX)
                .auto("75 % of the memory of the machine or control group", pool_memory)
                .was(&["pool.memory"]);
        /// Cores of all sandboxes together.
        cpus: CpuMilli = CpuMilli::new(0);
            "container.pool.cpus" => Cores
                .auto("all cores", pool_cpus)
                .was(&["pool.cpus"]);
    }

    /// The container executor. Empty texts mean none.
    container: ContainerConfig {
        /// Whether functions may run in containers; without a container engine they are refused all the same.
        enabled: bool = true;
            "container.enabled" => Switch;
        /// Unix socket of the Docker Engine, or of Podman.
        socket: PathBuf = PathBuf::new();
            "container.docker_socket" => Directory
                .auto("$DOCKER_HOST, if it names a Unix socket, else /var/run/docker.sock", docker_socket);
        /// Image of the python runtime; one with a '/' in its name is fetched if it is missing.
        image_python: String = String::from("serverledge-python");
            "container.image.python" => Text;
        /// Image of the nodejs runtime.
        image_nodejs: String = String::from("serverledge-nodejs");
            "container.image.nodejs" => Text;
        /// Most containers with a function in them, idle ones included.
        // Each costs the kernel a few megabytes beside its function's memory.
        max: u32 = 200;
            "container.max" => Slots(1..=10_000);
        /// Started containers without code kept ready per runtime in use; 0: every cold start makes its own.
        cells: usize = 2;
            "container.cells" => Count(0..=64);
        /// Time for which a container stays idle before it is removed.
        expiration: Duration = seconds(600);
            "container.expiration" => Duration(seconds(1)..=seconds(30 * DAY));
        /// Longest time between two looks for idle containers.
        janitor_interval: Duration = seconds(30);
            "janitor.interval" => Duration(seconds(1)..=seconds(HOUR));
        /// Containers that are started at once.
        starts_max: usize = 0;
            "container.starts_max" => Count(1..=256)
                .auto("the number of cores, from 2 to 16", container_starts);
        /// Longest time for a container to listen, and for a function's code to load.
        start_timeout: Duration = seconds(10);
            "container.start_timeout" => Duration(seconds(1)..=seconds(600));
        /// Size of /tmp in a container; what lies there counts as the function's memory.
        tmp: MemoryMib = MemoryMib::new(64);
            "container.tmp" => Memory(MemoryMib::new(1)..=MemoryMib::new(4096));
        /// Most processes and threads in one container.
        pids_max: u32 = 128;
            "container.pids_max" => Slots(8..=32_768);
        /// Whether functions may ask for a network with which they reach what this machine reaches.
        allow_bridge: bool = false;
            "container.allow_bridge" => Switch;
        /// Longest time for installing a function's dependencies.
        install_timeout: Duration = seconds(300);
            "container.install.timeout" => Duration(seconds(1)..=seconds(HOUR));
        /// Memory of an installation, its temporary files included.
        install_memory: MemoryMib = MemoryMib::new(1024);
            "container.install.memory" => Memory(MemoryMib::new(64)..=POOL_MAX);
        /// Largest size of a function's installed dependencies.
        install_size_max: MemoryMib = MemoryMib::new(1024);
            "container.install.size_max" => Memory(MemoryMib::new(1)..=POOL_MAX);
        /// Address of npm's registry; empty: npm's default.
        npm_registry: String = String::new();
            "container.install.npm_registry" => Text;
        /// Address of pip's index; empty: pip's default.
        pip_index: String = String::new();
            "container.install.pip_index" => Text;
        /// File with the certificate authorities that npm and pip believe; empty: the image's own.
        ca_file: String = String::new();
            "container.install.ca_file" => Text;
        /// HTTP proxy of npm and pip; empty: none.
        proxy: String = String::new();
            "container.install.proxy" => Text;
    }

    /// Scheduling of invocations.
    scheduler: SchedulerConfig {
        /// The policy that decides where invocations run; all but default and localonly send some to other nodes.
        policy: PolicyName = PolicyName::Default;
            "scheduler.policy" => Policy;
        /// Whether edgeonly runs an invocation here where no neighbour takes it.
        fallback_local: bool = false;
            "scheduler.fallback.local" => Switch;
    }

    /// Invocations that wait for a sandbox.
    queue: QueueConfig {
        /// Most invocations that wait for a sandbox; 0: none waits.
        capacity: usize = 1_000;
            "scheduler.queue.capacity" => Count(0..=COUNT_MAX)
                .was(&["queue.capacity"]);
        /// Longest time an invocation waits for a sandbox.
        wait_max: Duration = seconds(10);
            "scheduler.queue.wait_max" => Duration(MOMENT..=seconds(HOUR))
                .was(&["queue.wait_max"]);
    }

    /// The WebAssembly executor.
    wasm: WasmConfig {
        /// Bytes of an instance's memory that stay resident for the next; less where all together would exceed a tenth
        /// of container.pool.memory.
        // Above the megabyte of shadow stack that Rust's linker gives a guest by default (measured: 21 µs, not 106
        // µs).
        keep_resident: usize = 2 * MIB;
            "wasm.keep_resident" => Bytes(0..=64 * MIB);
        /// kept: an instance may be put back in place for the next call of its version, if its function allows it;
        /// fresh: none is.
        isolation: Isolation = Isolation::Kept;
            "wasm.isolation" => Isolation;
        /// Most WebAssembly instances that run at once; as many more, at least 64, may wait in calls.
        instances_max: u32 = 0;
            "wasm.instances_max" => Slots(1..=100_000)
                .auto("a twentieth of container.pool.memory over wasm.keep_resident, from 4 to 1000", wasm_instances);
        /// Memory of one compilation; over it the module is too complex.
        compile_memory: MemoryMib = MemoryMib::new(2048);
            "wasm.compile_memory" => Memory(MemoryMib::new(64)..=POOL_MAX);
        /// Wall-clock time after which a compilation has stalled; processor time decides before.
        compile_time: Duration = seconds(1200);
            "wasm.compile_time" => Duration(seconds(1)..=seconds(HOUR));
        /// Processor time of one compilation, all its threads together; over it the module is too complex.
        compile_cpu_time: Duration = seconds(60);
            "wasm.compile_cpu_time" => Duration(seconds(1)..=seconds(HOUR));
        /// Compilations at once; one more is for modules of at most 2 MiB, which do not wait for larger ones.
        compile_parallel: usize = 1;
            "wasm.compile_parallel" => Count(1..=64);
        /// Whether components of WASI 0.3 run here. wasmtime calls its code for them experimental; false keeps it out of
        /// reach.
        preview3: bool = true;
            "wasm.preview3" => Switch;
        /// Whether a node that starts compiles the engine of the runtime javascript, beside other work; else the first
        /// deploy of a script does.
        engine_at_start: bool = true;
            "wasm.engine_at_start" => Switch;
        /// Machine code kept loaded.
        loaded_bytes_max: usize = 256 * MIB;
            "wasm.loaded_bytes_max" => Bytes(MIB..=64 * 1024 * MIB);
        /// Modules kept loaded; each holds a file descriptor.
        loaded_max: usize = 0;
            "wasm.loaded_max" => Count(1..=COUNT_MAX)
                .auto("256, or a quarter of the file descriptors", wasm_loaded);
        /// Processor time of one invocation; none: only its time limit counts.
        cpu_time_max: Option<Duration> = None;
            "wasm.cpu_time_max" => DurationOrNone(MOMENT..=seconds(DAY));
    }

    /// The cache of results of idempotent functions.
    cache: CacheConfig {
        /// Most bytes of results of idempotent functions that are kept; 0 keeps none.
        // Some thousand results of the usual size; a tenth of a percent of a small server's memory.
        results_bytes: usize = 64 * MIB;
            "cache.results.bytes" => Bytes(0..=1024 * 1024 * MIB);
        /// Time for which the result of an idempotent function is cached.
        results_ttl: Duration = seconds(600);
            "cache.results.ttl" => Duration(seconds(1)..=seconds(30 * DAY));
    }

    /// Asynchronous invocations.
    asynchronous: AsyncConfig {
        /// Time for which the outcome of an asynchronous invocation can be read.
        result_ttl: Duration = seconds(30 * MINUTE);
            "async.result_ttl" => Duration(seconds(1)..=seconds(30 * DAY));
        /// Age at which an asynchronous invocation without outcome expires.
        age_max: Duration = seconds(HOUR);
            "async.age_max" => Duration(seconds(1)..=seconds(30 * DAY));
        /// Most asynchronous invocations that run at once.
        concurrency_max: usize = 64;
            "async.concurrency_max" => Count(1..=COUNT_MAX);
        /// Most accepted asynchronous invocations without outcome.
        queued_max: usize = 10_000;
            "async.queued_max" => Count(1..=COUNT_MAX);
        /// Most attempts at an asynchronous invocation: one that kills its node must not be repeated for ever.
        attempts_max: usize = 3;
            "async.attempts_max" => Count(1..=100);
        /// Time for which an asynchronous invocation that was given up (a dead letter) can be read and retried.
        dead_letter_ttl: Duration = seconds(7 * DAY);
            "async.dead_letter_ttl" => Duration(seconds(1)..=seconds(365 * DAY));
        /// Time for which an Idempotency-Key stands for its first request, whose outcome is kept as long.
        idempotency_ttl: Duration = seconds(DAY);
            "async.idempotency_ttl" => Duration(seconds(1)..=seconds(30 * DAY));
        /// Networks and host names that callbacks may reach although they are not public.
        callback_allow: Vec<String> = Vec::new();
            "async.callback.allow" => Receivers;
        /// Most attempts at a callback.
        // The pauses between eight attempts come to about half an hour.
        callback_attempts_max: usize = 8;
            "async.callback.attempts_max" => Count(1..=100);
        /// File with the key that signs callbacks; empty: made once, kept in data.dir.
        callback_key_file: String = String::new();
            "async.callback.key_file" => Text;
    }

    /// Requests that functions send to hosts outside.
    outbound: OutgoingConfig {
        /// The hosts that functions may send requests to, where they ask for it: public (public addresses), networks, host names.
        // Private, loopback and link-local addresses are reached only if they are named. An empty list: nothing is.
        allow: Vec<String> = vec![String::from("public")];
            "outbound.allow" => Receivers;
        /// Longest body of a response to a function's request.
        response_bytes_max: usize = 64 * MIB;
            "outbound.response_bytes_max" => Bytes(KIB..=1024 * 1024 * MIB);
        /// Time within which a connection to a host must come about, its name resolved.
        connect_timeout: Duration = seconds(10);
            "outbound.connect_timeout" => Duration(MOMENT..=seconds(HOUR));
        /// Most open connections to hosts outside, of all functions together.
        connections_max: usize = 0;
            "outbound.connections_max" => Count(1..=COUNT_MAX)
                .auto("256, or 3 in 32 file descriptors", outbound_connections);
    }

    /// The key-value stores of functions.
    state: StateConfig {
        /// Most bytes of keys and values in the stores of one space together; 0: nothing can be written.
        // The registry holds them; etcd's limit for everything is 2 GiB by default.
        bytes_max: usize = 64 * MIB;
            "state.bytes_max" => Bytes(0..=1024 * 1024 * MIB);
        /// Most entries in the stores of one space together; 0: nothing can be written.
        keys_max: usize = 100_000;
            "state.keys_max" => Count(0..=100 * COUNT_MAX);
        /// Longest value of an entry.
        // With what is kept beside it, it is one value of the registry, which may have 1 MiB.
        value_bytes_max: usize = 256 * KIB;
            "state.value_bytes_max" => Bytes(KIB..=MIB - 4 * KIB);
        /// Most writes to the stores of one space a second, on each node; 0: as many as they like.
        // Those of five seconds may come at once.
        writes_per_second: u32 = 200;
            "state.writes_per_second" => Slots(0..=1_000_000);
        /// Most bytes of keys and values that are written to the stores of one space a second, on each node; 0: no limit.
        // History counts in the registry, so that an entry that is written again and again fills it as well.
        write_bytes_per_second: usize = MIB;
            "state.write_bytes_per_second" => Bytes(0..=1024 * MIB);
    }

    /// The registry and this node's place in it.
    registry: RegistryConfig {
        /// Area of the node.
        area: String = String::from("ROME");
            "registry.area" => Name;
        /// Area that counts as the cloud; empty: there is none.
        remote_area: String = String::new();
            "registry.remote.area" => Text;
        /// The kind of registry: embedded (the node's own, in data.dir), or a cluster's etcd.
        url: RegistryUrl = RegistryUrl::Embedded;
            also "etcd.address" => EtcdAddress,
                "etcd's host and port, as in Serverledge; short for registry.url, which goes first.";
            "registry.url" => Registry;
        /// User name for etcd; empty: no authentication.
        user: String = String::new();
            "registry.user" => Text;
        /// File with that user's password.
        password_file: String = String::new();
            "registry.password_file" => Text;
        /// File with the certificate authorities for etcds://; empty: the system's.
        ca_file: String = String::new();
            "registry.ca_file" => Text;
        /// File with this node's certificate for etcd; empty: none.
        cert_file: String = String::new();
            "registry.cert_file" => Text;
        /// File with that certificate's key.
        key_file: String = String::new();
            "registry.key_file" => Text;
        /// Time by which the record of a node outlives the node; then its work is taken over.
        // Three lost keep-alives: long enough for a restart of etcd's leader, short enough for work to be taken over soon.
        ttl: Duration = seconds(15);
            "registry.ttl" => Duration(seconds(2)..=seconds(HOUR));
        /// Longest time between two listings of the nodes.
        monitoring_interval: Duration = seconds(30);
            "registry.monitoring.interval" => Duration(seconds(1)..=seconds(HOUR));
    }

    /// The other nodes.
    cluster: ClusterConfig {
        /// Interval at which the load of neighbours is probed.
        nearby_interval: Duration = seconds(2);
            "registry.nearby.interval" => Duration(Duration::from_millis(100)..=seconds(HOUR));
        /// Age at which what a peer said of its load is no longer used.
        load_age_max: Duration = seconds(10);
            "offloading.cache.validity" => Duration(Duration::from_millis(100)..=seconds(HOUR));
        /// Secret by which the nodes of a cluster authenticate each other; without it nothing is offloaded.
        // `None`: no peer is asked and none is answered.
        key: Option<Secret> = None;
            "cluster.key" => Secret;
        /// File with cluster.key, instead.
        key_file: String = String::new();
            "cluster.key_file" => Text;
        /// Host and port under which peers reach this node.
        address: Option<String> = None;
            "cluster.address" => Authority
                .auto("where it listens", |c, _| c.cluster.address = None);
        /// Allows peers beyond loopback without TLS: whoever is on the way can read what is sent.
        allow_plain: bool = false;
            "cluster.allow_plain" => Switch;
        /// File with the certificate authorities of the peers; empty: the system's.
        ca_file: String = String::new();
            "cluster.ca_file" => Text;
        /// Id of the node.
        node_id: Option<String> = None;
            "registry.node.id" => NameIfAny
                .auto("made once, kept in data.dir", |c, _| c.cluster.node_id = None)
                .was(&["registry.node_id"]);
    }

    /// The load balancer, `serverledge lb`.
    balancer: BalancerConfig {
        /// Load balancer: points on its ring for each core of a node.
        replicas: u32 = 128;
            "lb.replicas" => Slots(1..=10_000);
        /// Load balancer: how many times the average of calls in progress a node may have before the next one is taken.
        load_factor: f64 = 1.25;
            "lb.load_factor" => Ratio(1.0..=100.0);
        /// Load balancer: longest time between two listings of the nodes.
        refresh_interval: Duration = seconds(30);
            "lb.refresh_interval" => Duration(seconds(1)..=seconds(HOUR));
    }

    /// The quotas of each user; 0: unlimited.
    quota: QuotaConfig {
        /// Most applications of one user; 0: as many as they like.
        applications: usize = 20;
            "quota.applications" => Count(0..=COUNT_MAX);
        /// Most functions of one user, those of their applications included; 0: as many as they like.
        functions: usize = 200;
            "quota.functions" => Count(0..=COUNT_MAX);
        /// Most code of one user's functions together, equal code counted once; 0: as much as they like.
        code_bytes: usize = 1024 * MIB;
            "quota.code_bytes" => Bytes(0..=1024 * 1024 * MIB);
        /// Most invocations of one user's functions at once, on each node; 0: as many as they like.
        concurrent: usize = 100;
            "quota.concurrent" => Count(0..=COUNT_MAX);
        /// Most invocations of one user's functions a minute, on each node; 0: as many as they like.
        per_minute: u32 = 6000;
            "quota.per_minute" => Slots(0..=60_000_000);
    }

    /// Authentication.
    auth: AuthConfig {
        /// Whether requests need a session or an API token.
        enabled: bool = false;
            "auth.enabled" => Switch;
        /// Time for which known sessions and tokens stay valid while the registry is unreachable.
        // Long enough to restart etcd, short enough that a stolen token is not good for the day.
        offline_grace: Duration = seconds(15 * MINUTE);
            "auth.offline_grace" => Duration(Duration::ZERO..=seconds(DAY));
        /// Time after which an unused session ends.
        session_idle: Duration = seconds(DAY);
            "auth.session.idle" => Duration(seconds(10 * MINUTE)..=seconds(30 * DAY));
        /// Longest life of a session.
        session_lifetime: Duration = seconds(30 * DAY);
            "auth.session.lifetime" => Duration(seconds(10 * MINUTE)..=seconds(365 * DAY));
    }

    /// Accounts.
    accounts: AccountsConfig {
        /// Sign-up: open (everybody), invite (with an invitation) or closed.
        signup: Signup = Signup::Closed;
            "accounts.signup" => Signup
                .auto("open on loopback, else closed", signup);
        /// Beginning of links in mails: the node's address as people reach it; empty: where it listens.
        base_url: String = String::new();
            "accounts.base_url" => Text;
    }

    /// The mail server.
    smtp: SmtpConfig {
        /// Mail server; empty: there is none, and links are written to the log.
        host: String = String::new();
            "smtp.host" => Text;
        /// Encryption of the connection to it: starttls, tls or none.
        tls: SmtpTls = SmtpTls::StartTls;
            "smtp.tls" => SmtpTls;
        /// Its port.
        port: u16 = 0;
            "smtp.port" => Port
                .auto("587 for starttls, 465 for tls, 25 for none", smtp_port);
        /// User name for the mail server; empty: no authentication.
        // If it is not empty, there is a password file as well.
        user: String = String::new();
            "smtp.user" => Text;
        /// File with that user's password.
        password_file: String = String::new();
            "smtp.password_file" => Text;
        /// Sender of mails.
        // Not empty if there is a host.
        from: String = String::new();
            "smtp.from" => Text
                .doc("Sender of mails: an address, or Name <address>.");
        /// File with the certificate authorities of the mail server, beside the system's.
        ca_file: String = String::new();
            "smtp.ca_file" => Text;
    }

    /// The addresses of running applications.
    platform: PlatformConfig {
        /// Domain whose direct subdomains are running applications; it is a name of the node as well.
        domain: String = String::from("localhost");
            "platform.domain" => Host;
    }

    /// Metrics.
    metrics: MetricsConfig {
        /// Whether GET /metrics answers.
        enabled: bool = true;
            "metrics.enabled" => Switch;
    }

    /// The records of runs.
    runs: RunsConfig {
        /// Number of runs that the node keeps a record of; a quarter is for those without a result.
        capacity: usize = 10_000;
            "runs.capacity" => Count(0..=1_000_000);
        /// Memory for the records of runs.
        memory: usize = 8 * MIB;
            "runs.memory" => Bytes(0..=1024 * MIB);
        /// Runs with a result in a second of which all are recorded; of those beyond, one in 64 is.
        full_rate: usize = 500;
            "runs.full_rate" => Count(0..=COUNT_MAX);
    }

    /// Telemetry: traces, metrics and logs for others.
    tracing: TracingConfig {
        /// Address of a receiver of OTLP over HTTP, to which /v1/traces, /v1/metrics and /v1/logs are added; empty: none.
        otlp_endpoint: String = String::new();
            "tracing.otlp.endpoint" => Text;
        /// File with headers for the receiver, one `Name: value` a line; empty: none.
        otlp_headers_file: String = String::new();
            "tracing.otlp.headers_file" => Text;
        /// File with the certificate authorities of the receiver, beside the system's.
        otlp_ca_file: String = String::new();
            "tracing.otlp.ca_file" => Text;
        /// Share of the traces beginning here that are recorded; a caller's own choice is kept.
        sample_ratio: f64 = 1.0;
            "tracing.otlp.sample_ratio" => Ratio(0.0..=1.0);
        /// Interval at which metrics are sent to the receiver.
        metrics_interval: Duration = seconds(60);
            "tracing.otlp.metrics.interval" => Duration(seconds(1)..=seconds(HOUR));
        /// Longest wait for the receiver.
        otlp_timeout: Duration = seconds(10);
            "tracing.otlp.timeout" => Duration(Duration::from_millis(100)..=seconds(60));
        /// Whether traces are written to a file.
        file_enabled: bool = false;
            "tracing.enabled" => Switch;
        /// File of the traces, one request of OTLP as JSON a line; empty: traces.jsonl in data.dir.
        outfile: String = String::new();
            "tracing.outfile" => Text;
    }

    /// The node's own log.
    log: LogConfig {
        /// Log level, or directives by module.
        // `EnvFilter` accepts it.
        filter: String = String::from("info");
            "log.level" => Filter
                .was(&["log.filter"]);
        /// Format of the lines.
        format: LogFormat = LogFormat::Text;
            "log.format" => Format
                .doc("text (lines for people) or json (one object a line).");
    }

    /// The end of a node.
    drain: DrainConfig {
        /// Time for which a stopping node waits for the invocations it has begun.
        // As long as a function without a time limit of its own may run.
        timeout: Duration = limits::TIMEOUT_DEFAULT;
            "drain.timeout" => Duration(Duration::ZERO..=seconds(HOUR))
                .was(&["drain_timeout"]);
    }
}

/// Name of a scheduling policy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PolicyName {
    /// Runs invocations here, or lets them wait in the queue.
    Default,
    /// The same as `Default`, under a name that says so.
    LocalOnly,
    /// Runs invocations in the cloud only.
    CloudOnly,
    /// Runs invocations here if there is room, else in the cloud.
    EdgeCloud,
    /// Runs invocations on a neighbouring node.
    EdgeOnly,
    /// Runs an invocation where it most likely meets its deadline at the least cost.
    QosAware,
}

/// The registry that the node uses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RegistryUrl {
    /// The node's own, in the data folder.
    Embedded,
    /// A cluster's etcd: `etcd://host:port,…/prefix/`, or `etcds://…` for TLS.
    Etcd(String),
}

/// A text that is never shown.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

/// Format of the node's log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// Lines for people.
    Text,
    /// One JSON object a line.
    Json,
}

// === impl WasmConfig ===

impl WasmConfig {
    /// Number of instances that there is room for: those that run and those that wait in calls. Waiting guests return
    /// their slots of the scheduler and keep their instances: as many as run, and on a small node enough for some call
    /// trees of full depth. Instances that nobody ever needed take address space only.
    #[must_use]
    pub fn slots(&self) -> u32 {
        self.instances_max
            .saturating_add(self.instances_max.max(CALLERS_LEAST))
            .saturating_add(SPARE_SLOTS)
    }

    /// Bytes of each instance's memory that stay resident: as configured, or less, so that all slots together, once all
    /// have been used, keep no more than a tenth of the pool.
    #[must_use]
    pub fn kept_per_slot(&self, pool: MemoryMib) -> usize {
        let share = pool.bytes() / 10 / u64::from(self.slots());
        let share = usize::try_from(share).unwrap_or(usize::MAX) / WASM_PAGE * WASM_PAGE;
        self.keep_resident.min(share)
    }
}

// === impl Secret ===

impl Secret {
    /// Wraps a text so that it is not shown.
    #[must_use]
    pub const fn new(text: String) -> Self {
        Self(text)
    }

    /// The text. It must not go to logs, errors or program arguments.
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
    /// Every policy by its name in the configuration, in the order in which it is documented.
    pub(super) const NAMES: [(&str, Self); 6] = [
        ("default", Self::Default),
        ("localonly", Self::LocalOnly),
        ("cloudonly", Self::CloudOnly),
        ("edgecloud", Self::EdgeCloud),
        ("edgeonly", Self::EdgeOnly),
        ("qosaware", Self::QosAware),
    ];

    /// The name in the configuration.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        name_of(&Self::NAMES, self)
    }

    /// Whether it ever sends an invocation to another node.
    #[must_use]
    pub const fn offloads(self) -> bool {
        !matches!(self, Self::Default | Self::LocalOnly)
    }
}
