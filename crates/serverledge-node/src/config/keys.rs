//! The one table of keys: name, kind, default, meaning. Known names, names of variables, proposals for misspelt names,
//! the shipped file and the table in the documentation all come from here.

use std::path::PathBuf;
use std::time::Duration;

use serverledge_core::{MemoryMib, limits};

use super::computed::{
    body_bytes, connections, container_starts, data_dir, docker_socket, pool_cpus, pool_memory,
    signup, smtp_port, wasm_instances, wasm_loaded,
};
use super::kind::{Kind, Shape};
use super::machine::Machine;
use super::parts::Config;
use super::raw::quoted;

/// The word that asks for the computed default.
pub(super) const AUTO: &str = "auto";
/// What the names of variables begin with.
pub(super) const PREFIX: &str = "SERVERLEDGE_";
/// Variables with that beginning which are others': the command line client's.
const FOREIGN_VARIABLES: [&str; 4] = [
    "SERVERLEDGE_HOST",
    "SERVERLEDGE_PORT",
    "SERVERLEDGE_TLS",
    "SERVERLEDGE_CA_FILE",
];

const KIB: usize = 1024;
pub(super) const MIB: usize = 1024 * KIB;
/// Far beyond any machine of today: 16 TiB.
pub(super) const POOL_MAX: MemoryMib = MemoryMib::new(16 * 1024 * 1024);
/// Instances, connections, requests: bounds of what one process can mean seriously.
const COUNT_MAX: usize = 1_000_000;

/// A key.
pub(super) struct Key {
    /// Name, in lower case.
    pub(super) name: &'static str,
    /// Names that are refused with this one as the answer.
    pub(super) was: &'static [&'static str],
    /// What its value is, and where it goes.
    pub(super) kind: Kind,
    /// The default, where it is computed. It may then be asked for as `"auto"`.
    pub(super) auto: Option<Auto>,
    /// One line.
    pub(super) doc: &'static str,
}

/// A computed default.
pub(super) struct Auto {
    /// How, in words.
    pub(super) said: &'static str,
    /// Writes it. Keys above in the table have their final values by then.
    pub(super) fill: fn(&mut Config, &Facts),
}

/// What computed defaults depend on beside the configuration.
pub(super) struct Facts {
    pub(super) machine: Machine,
    pub(super) data_dir: PathBuf,
    pub(super) docker_socket: PathBuf,
}

/// What a name stands for.
pub(super) enum Meaning {
    Known(&'static Key),
    Renamed(&'static Key),
    Unknown { hint: String },
}

// === impl Key ===

impl Key {
    const fn new(name: &'static str, kind: Kind, doc: &'static str) -> Self {
        Self {
            name,
            was: &[],
            kind,
            auto: None,
            doc,
        }
    }

    /// A key of Serverledge's without effect here. `default` as TOML.
    const fn inert(
        name: &'static str,
        shape: Shape,
        default: &'static str,
        doc: &'static str,
    ) -> Self {
        Self::new(name, Kind::Inert(shape, default), doc)
    }

    const fn auto(mut self, said: &'static str, fill: fn(&mut Config, &Facts)) -> Self {
        self.auto = Some(Auto { said, fill });
        self
    }

    const fn was(mut self, names: &'static [&'static str]) -> Self {
        self.was = names;
        self
    }

    pub(super) const fn has_effect(&self) -> bool {
        !matches!(self.kind, Kind::Inert(..))
    }

    /// The variable that overrides it.
    pub(super) fn variable(&self) -> String {
        variable_of(self.name)
    }

    /// Whether the key's value is a table, so that what stands below it is not keys.
    pub(super) const fn is_table(&self) -> bool {
        matches!(self.kind, Kind::Inert(Shape::Table, _))
    }
}

fn variable_of(name: &str) -> String {
    format!("{PREFIX}{}", name.replace('.', "_").to_ascii_uppercase())
}

// === Looking up ===

/// What a (lower-case) name in a file stands for.
pub(super) fn by_name(name: &str) -> Meaning {
    meaning(name, str::to_owned, || {
        group_of(name).or_else(|| by_last_part(name))
    })
}

/// What a variable that begins with [`PREFIX`] stands for; `None` if it is another program's.
pub(super) fn by_variable(variable: &str) -> Option<Meaning> {
    if FOREIGN_VARIABLES.contains(&variable) {
        return None;
    }
    Some(meaning(variable, variable_of, || None))
}

fn meaning(given: &str, spell: fn(&str) -> String, other: impl Fn() -> Option<String>) -> Meaning {
    if let Some(key) = KEYS.iter().find(|key| spell(key.name) == given) {
        return Meaning::Known(key);
    }
    if let Some(key) = KEYS
        .iter()
        .find(|key| key.was.iter().any(|old| spell(old) == given))
    {
        return Meaning::Renamed(key);
    }
    let hint =
        other().or_else(|| nearest(given, spell).map(|name| format!("; did you mean {name}?")));
    Meaning::Unknown {
        hint: hint.unwrap_or_default(),
    }
}

/// The known name with the fewest slips between, if they are few enough to be slips.
fn nearest(given: &str, spell: fn(&str) -> String) -> Option<String> {
    let slips_max = (given.len() / 4).clamp(1, 4);
    let names = KEYS.iter().map(|key| spell(key.name));
    let distances = names.map(|name| (strsim::osa_distance(&name, given), name));
    distances
        .filter(|(distance, _)| *distance <= slips_max)
        .min()
        .map(|(_, name)| name)
}

/// For a value where a group of keys belongs.
fn group_of(name: &str) -> Option<String> {
    let members: Vec<_> = KEYS
        .iter()
        .filter(|key| is_below(key.name, name))
        .map(|key| key.name)
        .take(3)
        .collect();
    (!members.is_empty()).then(|| format!("; it is a group ({}, …)", members.join(", ")))
}

/// For a key given without its group.
fn by_last_part(name: &str) -> Option<String> {
    let mut whole = KEYS.iter().filter(|key| {
        key.name
            .strip_suffix(name)
            .is_some_and(|group| group.ends_with('.'))
    });
    let only = whole.next().filter(|_| whole.next().is_none())?;
    Some(format!("; did you mean {}?", only.name))
}

/// Whether keys begin with this name.
pub(super) fn is_group(name: &str) -> bool {
    KEYS.iter().any(|key| is_below(key.name, name))
}

/// The name as TOML must write it: in quotes where the key above it is no group but has a value of its own.
pub(super) fn toml_name(name: &str) -> String {
    if KEYS.iter().any(|key| is_below(name, key.name)) {
        quoted(name)
    } else {
        String::from(name)
    }
}

fn is_below(name: &str, group: &str) -> bool {
    name.strip_prefix(group)
        .is_some_and(|rest| rest.starts_with('.'))
}

// === The table ===

const fn seconds(n: u64) -> Duration {
    Duration::from_secs(n)
}

const MOMENT: Duration = Duration::from_millis(1);
const MINUTE: u64 = 60;
const HOUR: u64 = 60 * MINUTE;
const DAY: u64 = 24 * HOUR;

/// Every key, those with an effect first.
pub(super) static KEYS: &[Key] = &[
    // Where they are computed from others, keys stand below them.
    Key::new(
        "data.dir",
        Kind::Directory(|c| &mut c.data.dir),
        "Folder of the node: registry, code, compiled code, secrets.",
    )
    .auto("$XDG_DATA_HOME/serverledge, else $HOME/.local/share/serverledge, else ./serverledge-data", data_dir)
    .was(&["data_dir"]),
    Key::new(
        "function.memory",
        Kind::Memory(MemoryMib::new(1)..=limits::MEMORY_MAX, |c| &mut c.function.memory),
        "Memory of a function that declares none.",
    ),
    Key::new(
        "function.timeout",
        Kind::Duration(MOMENT..=seconds(DAY), |c| &mut c.function.timeout),
        "Time limit of a function that declares none.",
    ),
    Key::new(
        "function.timeout_max",
        Kind::Duration(MOMENT..=seconds(DAY), |c| &mut c.function.timeout_max),
        "Largest time limit that a function may declare.",
    ),
    Key::new(
        "function.params_bytes_max",
        Kind::Bytes(KIB..=64 * MIB, |c| &mut c.function.params_bytes_max),
        "Largest parameters of one invocation.",
    ),
    Key::new(
        "function.output_bytes_max",
        Kind::Bytes(KIB..=64 * MIB, |c| &mut c.function.output_bytes_max),
        "Largest result of one invocation.",
    ),
    Key::new(
        "function.code_bytes_max",
        Kind::Bytes(KIB..=512 * MIB, |c| &mut c.function.code_bytes_max),
        "Largest code of one version, before base64.",
    ),
    Key::new(
        "function.log_tail_bytes_max",
        Kind::Bytes(0..=MIB, |c| &mut c.function.log_tail_bytes_max),
        "How much of the end of an invocation's log is kept.",
    ),
    Key::new(
        "api.ip",
        Kind::Address(|c| &mut c.api.ip),
        "Address to listen on; beyond loopback see api.allow_insecure.",
    )
    .was(&["api.host", "api.address"]),
    Key::new("api.port", Kind::Port(|c| &mut c.api.port), "Port to listen on; 0 lets the system choose one."),
    Key::new(
        "api.hosts",
        Kind::Hosts(|c| &mut c.api.hosts),
        "Further names under which clients address the node, without port.",
    ),
    Key::new(
        "api.trusted_proxies",
        Kind::Networks(|c| &mut c.api.trusted_proxies),
        "Addresses or networks whose forwarded headers are believed.",
    ),
    Key::new(
        "api.tls.cert_file",
        Kind::Text(|c| &mut c.api.tls_cert_file),
        "File with the certificate of this node and those that lead to its authority (PEM); empty: plain HTTP.",
    ),
    Key::new(
        "api.tls.key_file",
        Kind::Text(|c| &mut c.api.tls_key_file),
        "File with the private key of that certificate (PEM, not encrypted).",
    ),
    Key::new(
        "api.allow_insecure",
        Kind::Switch(|c| &mut c.api.allow_insecure),
        "Allows listening beyond loopback without authentication: whoever reaches the port can run code.",
    ),
    Key::new(
        "api.body_bytes_max",
        Kind::Bytes(KIB..=1024 * MIB, |c| &mut c.api.body_bytes_max),
        "Largest body of any request.",
    )
    .auto("room for function.code_bytes_max in base64", body_bytes),
    Key::new(
        "api.header_timeout",
        Kind::Duration(MOMENT..=seconds(HOUR), |c| &mut c.api.header_timeout),
        "Time for the head of a request to arrive, and for the next request on an open connection.",
    ),
    Key::new(
        "api.body_timeout",
        Kind::Duration(MOMENT..=seconds(HOUR), |c| &mut c.api.body_timeout),
        "Time within which the body of a request must have arrived.",
    ),
    Key::new(
        "api.connections_max",
        Kind::Count(1..=COUNT_MAX, |c| &mut c.api.connections_max),
        "Most open connections.",
    )
    .auto("4096, or half of the file descriptors", connections),
    Key::new(
        "api.concurrency_max",
        Kind::Count(1..=COUNT_MAX, |c| &mut c.api.concurrency_max),
        "Most requests in progress at once, waiting ones included.",
    ),
    Key::new(
        "container.pool.memory",
        Kind::Memory(MemoryMib::new(1)..=POOL_MAX, |c| &mut c.pool.memory),
        "Memory of all sandboxes together, WebAssembly included.",
    )
    .auto("75 % of the memory of the machine or control group", pool_memory)
    .was(&["pool.memory"]),
    Key::new("container.pool.cpus", Kind::Cores(|c| &mut c.pool.cpus), "Cores of all sandboxes together.")
        .auto("all cores", pool_cpus)
        .was(&["pool.cpus"]),
    Key::new(
        "container.enabled",
        Kind::Switch(|c| &mut c.container.enabled),
        "Whether functions may run in containers; without a Docker Engine they are refused all the same.",
    ),
    Key::new(
        "container.docker_socket",
        Kind::Directory(|c| &mut c.container.socket),
        "Unix socket of the Docker Engine.",
    )
    .auto("$DOCKER_HOST, if it names a Unix socket, else /var/run/docker.sock", docker_socket),
    Key::new(
        "container.image.python",
        Kind::Text(|c| &mut c.container.image_python),
        "Image of the python runtime; one with a '/' in its name is fetched if it is missing.",
    ),
    Key::new("container.image.nodejs", Kind::Text(|c| &mut c.container.image_nodejs), "Image of the nodejs runtime."),
    Key::new(
        "container.max",
        Kind::Slots(1..=10_000, |c| &mut c.container.max),
        "Most containers with a function in them, idle ones included.",
    ),
    Key::new(
        "container.cells",
        Kind::Count(0..=64, |c| &mut c.container.cells),
        "Started containers without code kept ready per runtime in use; 0: every cold start makes its own.",
    ),
    Key::new(
        "container.expiration",
        Kind::Duration(seconds(1)..=seconds(30 * DAY), |c| &mut c.container.expiration),
        "How long a container stays idle before it is removed.",
    ),
    Key::new(
        "janitor.interval",
        Kind::Duration(seconds(1)..=seconds(HOUR), |c| &mut c.container.janitor_interval),
        "Longest time between two looks for idle containers.",
    ),
    Key::new(
        "container.starts_max",
        Kind::Count(1..=256, |c| &mut c.container.starts_max),
        "Containers that are started at once.",
    )
    .auto("the number of cores, from 2 to 16", container_starts),
    Key::new(
        "container.start_timeout",
        Kind::Duration(seconds(1)..=seconds(600), |c| &mut c.container.start_timeout),
        "How long a container may take to listen, and a function's code to load.",
    ),
    Key::new(
        "container.tmp",
        Kind::Memory(MemoryMib::new(1)..=MemoryMib::new(4096), |c| &mut c.container.tmp),
        "Size of /tmp in a container; what lies there counts as the function's memory.",
    ),
    Key::new(
        "container.pids_max",
        Kind::Slots(8..=32_768, |c| &mut c.container.pids_max),
        "Most processes and threads in one container.",
    ),
    Key::new(
        "container.allow_bridge",
        Kind::Switch(|c| &mut c.container.allow_bridge),
        "Whether functions may ask for a network with which they reach what this machine reaches.",
    ),
    Key::new(
        "container.install.timeout",
        Kind::Duration(seconds(1)..=seconds(HOUR), |c| &mut c.container.install_timeout),
        "How long installing a function's dependencies may take.",
    ),
    Key::new(
        "container.install.memory",
        Kind::Memory(MemoryMib::new(64)..=POOL_MAX, |c| &mut c.container.install_memory),
        "Memory of an installation, its temporary files included.",
    ),
    Key::new(
        "container.install.size_max",
        Kind::Memory(MemoryMib::new(1)..=POOL_MAX, |c| &mut c.container.install_size_max),
        "Largest size of a function's installed dependencies.",
    ),
    Key::new(
        "container.install.npm_registry",
        Kind::Text(|c| &mut c.container.npm_registry),
        "Address of npm's registry; empty: npm's default.",
    ),
    Key::new(
        "container.install.pip_index",
        Kind::Text(|c| &mut c.container.pip_index),
        "Address of pip's index; empty: pip's default.",
    ),
    Key::new(
        "container.install.ca_file",
        Kind::Text(|c| &mut c.container.ca_file),
        "File with the certificate authorities that npm and pip believe; empty: the image's own.",
    ),
    Key::new(
        "container.install.proxy",
        Kind::Text(|c| &mut c.container.proxy),
        "HTTP proxy of npm and pip; empty: none.",
    ),
    Key::new(
        "scheduler.policy",
        Kind::Policy(|c| &mut c.scheduler.policy),
        "Where invocations run; all but default and localonly send some to other nodes.",
    ),
    Key::new(
        "scheduler.fallback.local",
        Kind::Switch(|c| &mut c.scheduler.fallback_local),
        "Whether edgeonly runs an invocation here where no neighbour takes it.",
    ),
    Key::new(
        "scheduler.queue.capacity",
        Kind::Count(0..=COUNT_MAX, |c| &mut c.queue.capacity),
        "Most invocations that wait for a sandbox; 0: none waits.",
    )
    .was(&["queue.capacity"]),
    Key::new(
        "scheduler.queue.wait_max",
        Kind::Duration(MOMENT..=seconds(HOUR), |c| &mut c.queue.wait_max),
        "Longest time an invocation waits for a sandbox.",
    )
    .was(&["queue.wait_max"]),
    Key::new(
        "wasm.keep_resident",
        Kind::Bytes(0..=64 * MIB, |c| &mut c.wasm.keep_resident),
        "Bytes of an instance's memory that stay resident for the next; less where all together would exceed a tenth of container.pool.memory.",
    ),
    Key::new(
        "wasm.instances_max",
        Kind::Slots(1..=100_000, |c| &mut c.wasm.instances_max),
        "Most WebAssembly instances that run at once; as many more, at least 64, may wait in calls.",
    )
    .auto("a twentieth of container.pool.memory over wasm.keep_resident, from 4 to 1000", wasm_instances),
    Key::new(
        "wasm.compile_memory",
        Kind::Memory(MemoryMib::new(64)..=POOL_MAX, |c| &mut c.wasm.compile_memory),
        "Memory of one compilation; over it the module is too complex.",
    ),
    Key::new(
        "wasm.compile_time",
        Kind::Duration(seconds(1)..=seconds(HOUR), |c| &mut c.wasm.compile_time),
        "Wall-clock time of one compilation.",
    ),
    Key::new(
        "wasm.compile_cpu_time",
        Kind::Duration(seconds(1)..=seconds(HOUR), |c| &mut c.wasm.compile_cpu_time),
        "Processor time of one compilation.",
    ),
    Key::new("wasm.compile_parallel", Kind::Count(1..=64, |c| &mut c.wasm.compile_parallel), "Compilations at once."),
    Key::new(
        "wasm.loaded_bytes_max",
        Kind::Bytes(MIB..=64 * 1024 * MIB, |c| &mut c.wasm.loaded_bytes_max),
        "Machine code kept loaded.",
    ),
    Key::new(
        "wasm.loaded_max",
        Kind::Count(1..=COUNT_MAX, |c| &mut c.wasm.loaded_max),
        "Modules kept loaded; each holds a file descriptor.",
    )
    .auto("256, or a quarter of the file descriptors", wasm_loaded),
    Key::new(
        "wasm.cpu_time_max",
        Kind::DurationOrNone(MOMENT..=seconds(DAY), |c| &mut c.wasm.cpu_time_max),
        "Processor time of one invocation; none: only its time limit counts.",
    ),
    Key::new(
        "cache.results.bytes",
        Kind::Bytes(0..=1024 * 1024 * MIB, |c| &mut c.cache.results_bytes),
        "Most bytes of results of idempotent functions that are kept; 0 keeps none.",
    ),
    Key::new(
        "cache.results.ttl",
        Kind::Duration(seconds(1)..=seconds(30 * DAY), |c| &mut c.cache.results_ttl),
        "How long the result of an idempotent function is kept.",
    ),
    Key::new(
        "async.result_ttl",
        Kind::Duration(seconds(1)..=seconds(30 * DAY), |c| &mut c.asynchronous.result_ttl),
        "How long the outcome of an asynchronous invocation can be read.",
    ),
    Key::new(
        "async.age_max",
        Kind::Duration(seconds(1)..=seconds(30 * DAY), |c| &mut c.asynchronous.age_max),
        "Age at which an asynchronous invocation without outcome expires.",
    ),
    Key::new(
        "async.concurrency_max",
        Kind::Count(1..=COUNT_MAX, |c| &mut c.asynchronous.concurrency_max),
        "Most asynchronous invocations that run at once.",
    ),
    Key::new(
        "async.queued_max",
        Kind::Count(1..=COUNT_MAX, |c| &mut c.asynchronous.queued_max),
        "Most accepted asynchronous invocations without outcome.",
    ),
    Key::new(
        "async.attempts_max",
        Kind::Count(1..=100, |c| &mut c.asynchronous.attempts_max),
        "How often an asynchronous invocation is begun at most: one that kills its node does not go round for ever.",
    ),
    Key::new(
        "async.dead_letter_ttl",
        Kind::Duration(seconds(1)..=seconds(365 * DAY), |c| &mut c.asynchronous.dead_letter_ttl),
        "How long an asynchronous invocation that was given up can be read and driven anew.",
    ),
    Key::new(
        "async.idempotency_ttl",
        Kind::Duration(seconds(1)..=seconds(30 * DAY), |c| &mut c.asynchronous.idempotency_ttl),
        "How long an Idempotency-Key stands for its first request, whose outcome is kept as long.",
    ),
    Key::new(
        "async.callback.allow",
        Kind::Receivers(|c| &mut c.asynchronous.callback.allow),
        "Networks and host names that callbacks may reach although they are not public.",
    ),
    Key::new(
        "async.callback.attempts_max",
        Kind::Count(1..=100, |c| &mut c.asynchronous.callback.attempts_max),
        "How often a callback is attempted at most.",
    ),
    Key::new(
        "async.callback.key_file",
        Kind::Text(|c| &mut c.asynchronous.callback.key_file),
        "File with the key that signs callbacks; empty: made once, kept in data.dir.",
    ),
    Key::new("registry.area", Kind::Name(|c| &mut c.registry.area), "Area of the node."),
    Key::new(
        "registry.remote.area",
        Kind::Text(|c| &mut c.registry.remote_area),
        "Area that counts as the cloud; empty: there is none.",
    ),
    Key::new(
        "etcd.address",
        Kind::EtcdAddress(|c| &mut c.registry.url),
        "etcd's host and port, as in Serverledge; short for registry.url, which goes first.",
    ),
    Key::new(
        "registry.url",
        Kind::Registry(|c| &mut c.registry.url),
        "Which registry: embedded (the node's own, in data.dir), or a cluster's etcd.",
    ),
    Key::new("registry.user", Kind::Text(|c| &mut c.registry.user), "Who asks etcd; empty: nobody in particular."),
    Key::new(
        "registry.password_file",
        Kind::Text(|c| &mut c.registry.password_file),
        "File with that user's password.",
    ),
    Key::new(
        "registry.ca_file",
        Kind::Text(|c| &mut c.registry.ca_file),
        "File with the certificate authorities for etcds://; empty: the system's.",
    ),
    Key::new(
        "registry.cert_file",
        Kind::Text(|c| &mut c.registry.cert_file),
        "File with this node's certificate for etcd; empty: none.",
    ),
    Key::new("registry.key_file", Kind::Text(|c| &mut c.registry.key_file), "File with that certificate's key."),
    Key::new(
        "registry.ttl",
        Kind::Duration(seconds(2)..=seconds(HOUR), |c| &mut c.registry.ttl),
        "How long the record of a node outlives the node; then its work is taken over.",
    ),
    Key::new(
        "registry.monitoring.interval",
        Kind::Duration(seconds(1)..=seconds(HOUR), |c| &mut c.registry.monitoring_interval),
        "Longest time between two listings of the nodes.",
    ),
    Key::new(
        "registry.nearby.interval",
        Kind::Duration(Duration::from_millis(100)..=seconds(HOUR), |c| &mut c.cluster.nearby_interval),
        "How often neighbours are asked how they are.",
    ),
    Key::new(
        "offloading.cache.validity",
        Kind::Duration(Duration::from_millis(100)..=seconds(HOUR), |c| &mut c.cluster.load_age_max),
        "Age at which what a peer said of its load is no longer used.",
    ),
    Key::new(
        "cluster.key",
        Kind::Secret(|c| &mut c.cluster.key),
        "What the nodes of a cluster know each other by; without it nothing is sent to peers or taken from them.",
    ),
    Key::new("cluster.key_file", Kind::Text(|c| &mut c.cluster.key_file), "File with cluster.key, instead."),
    Key::new(
        "cluster.address",
        Kind::Authority(|c| &mut c.cluster.address),
        "Host and port under which peers reach this node.",
    )
    .auto("where it listens", |c, _| c.cluster.address = None),
    Key::new(
        "cluster.allow_plain",
        Kind::Switch(|c| &mut c.cluster.allow_plain),
        "Allows peers beyond loopback without TLS: whoever is on the way can read what is sent.",
    ),
    Key::new(
        "cluster.ca_file",
        Kind::Text(|c| &mut c.cluster.ca_file),
        "File with the certificate authorities of the peers; empty: the system's.",
    ),
    Key::new("registry.node.id", Kind::NameIfAny(|c| &mut c.registry.node_id), "Id of the node.")
        .auto("made once, kept in data.dir", |c, _| c.registry.node_id = None)
        .was(&["registry.node_id"]),
    Key::new(
        "lb.replicas",
        Kind::Slots(1..=10_000, |c| &mut c.balancer.replicas),
        "Load balancer: points on its ring for each core of a node.",
    ),
    Key::new(
        "lb.load_factor",
        Kind::Ratio(1.0..=100.0, |c| &mut c.balancer.load_factor),
        "Load balancer: how many times the average of calls in progress a node may have before the next one is taken.",
    ),
    Key::new(
        "lb.refresh_interval",
        Kind::Duration(seconds(1)..=seconds(HOUR), |c| &mut c.balancer.refresh_interval),
        "Load balancer: longest time between two listings of the nodes.",
    ),
    Key::new(
        "quota.applications",
        Kind::Count(0..=COUNT_MAX, |c| &mut c.quota.applications),
        "Most applications of one user; 0: as many as they like.",
    ),
    Key::new(
        "quota.functions",
        Kind::Count(0..=COUNT_MAX, |c| &mut c.quota.functions),
        "Most functions of one user, those of their applications included; 0: as many as they like.",
    ),
    Key::new(
        "quota.code_bytes",
        Kind::Bytes(0..=1024 * 1024 * MIB, |c| &mut c.quota.code_bytes),
        "Most code of one user's functions together, equal code counted once; 0: as much as they like.",
    ),
    Key::new(
        "quota.concurrent",
        Kind::Count(0..=COUNT_MAX, |c| &mut c.quota.concurrent),
        "Most invocations of one user's functions at once, on each node; 0: as many as they like.",
    ),
    Key::new(
        "quota.per_minute",
        Kind::Slots(0..=60_000_000, |c| &mut c.quota.per_minute),
        "Most invocations of one user's functions a minute, on each node; 0: as many as they like.",
    ),
    Key::new("auth.enabled", Kind::Switch(|c| &mut c.auth.enabled), "Whether requests need a session or an API token."),
    Key::new(
        "auth.offline_grace",
        Kind::Duration(Duration::ZERO..=seconds(DAY), |c| &mut c.auth.offline_grace),
        "How long known sessions and tokens are believed while the registry is away.",
    ),
    Key::new(
        "auth.session.idle",
        Kind::Duration(seconds(10 * MINUTE)..=seconds(30 * DAY), |c| &mut c.auth.session_idle),
        "How long a session lives without being used.",
    ),
    Key::new(
        "auth.session.lifetime",
        Kind::Duration(seconds(10 * MINUTE)..=seconds(365 * DAY), |c| &mut c.auth.session_lifetime),
        "How long a session lives at most.",
    ),
    Key::new(
        "accounts.signup",
        Kind::Signup(|c| &mut c.accounts.signup),
        "Who may sign up: open (everybody), invite (whoever has an invitation) or closed.",
    )
    .auto("open on loopback, else closed", signup),
    Key::new(
        "accounts.base_url",
        Kind::Text(|c| &mut c.accounts.base_url),
        "What links in mails begin with, as people reach this node; empty: where it listens.",
    ),
    Key::new(
        "smtp.host",
        Kind::Text(|c| &mut c.smtp.host),
        "Mail server; empty: there is none, and links are written to the log.",
    ),
    Key::new(
        "smtp.tls",
        Kind::SmtpTls(|c| &mut c.smtp.tls),
        "How the way to it is kept private: starttls, tls or none.",
    ),
    Key::new("smtp.port", Kind::Port(|c| &mut c.smtp.port), "Its port.")
        .auto("587 for starttls, 465 for tls, 25 for none", smtp_port),
    Key::new("smtp.user", Kind::Text(|c| &mut c.smtp.user), "Who asks it; empty: nobody in particular."),
    Key::new("smtp.password_file", Kind::Text(|c| &mut c.smtp.password_file), "File with that user's password."),
    Key::new("smtp.from", Kind::Text(|c| &mut c.smtp.from), "Who mails are from: an address, or Name <address>."),
    Key::new(
        "smtp.ca_file",
        Kind::Text(|c| &mut c.smtp.ca_file),
        "File with the certificate authorities of the mail server, beside the system's.",
    ),
    Key::new(
        "platform.domain",
        Kind::Host(|c| &mut c.platform.domain),
        "Domain whose direct subdomains are running applications; it is a name of the node as well.",
    ),
    Key::new("metrics.enabled", Kind::Switch(|c| &mut c.metrics.enabled), "Whether GET /metrics answers."),
    Key::new("log.level", Kind::Filter(|c| &mut c.log.filter), "What is logged: a level, or directives by module.")
        .was(&["log.filter"]),
    Key::new("log.format", Kind::Format(|c| &mut c.log.format), "text (lines for people) or json (one object a line)."),
    Key::new(
        "drain.timeout",
        Kind::Duration(Duration::ZERO..=seconds(HOUR), |c| &mut c.drain_timeout),
        "How long a stopping node waits for the invocations it has begun.",
    )
    .was(&["drain_timeout"]),
    // Serverledge's, accepted so that its files are.
    Key::inert("factory.images.refresh", Shape::Switch, "false", "Pull each image anew once per process."),
    Key::inert("node.architecture", Shape::Text, "\"\"", "Architecture that the registry shows for the node."),
    Key::inert("cache.size", Shape::Whole, "100", "Entries of the cache of function definitions."),
    Key::inert("cache.cleanup", Shape::Duration, "60", "Interval of that cache's sweep."),
    Key::inert("cache.expiration", Shape::Duration, "60", "Lifetime of that cache's entries."),
    Key::inert("registry.udp.port", Shape::Whole, "9876", "Port of the status server."),
    Key::inert("cloud", Shape::Switch, "false", "Whether the node is in the cloud (older versions)."),
    Key::inert("cloud.server.url", Shape::Text, "\"\"", "Address of the cloud (older versions)."),
    Key::inert("lb.mode", Shape::Text, "\"RoundRobin\"", "How targets are chosen."),
    Key::inert("lb.arch_awareness", Shape::Switch, "false", "Whether architectures are told apart."),
    Key::inert("loadbalancer.policy", Shape::Text, "\"\"", "Declared and unused."),
    Key::inert("loadbalancer.targets.interval", Shape::Duration, "30", "Declared and unused."),
    Key::inert("mab.policy", Shape::Text, "\"UCB1\"", "Bandit: UCB1 or LinUCB."),
    Key::inert("mab.ucb1.c", Shape::Number, "0.8", "Exploration of UCB1."),
    Key::inert("mab.linucb.alpha", Shape::Number, "0.1", "Exploration of LinUCB."),
    Key::inert("mab.linucb.lambda", Shape::Number, "0.0", "Weight of the memory penalty."),
    Key::inert("metrics.prometheus.host", Shape::Text, "\"127.0.0.1\"", "Host of the Prometheus that is asked."),
    Key::inert("metrics.prometheus.port", Shape::Whole, "9090", "Its port."),
    Key::inert("metrics.prometheus.pushgateway.host", Shape::Text, "\"\"", "Host of the push gateway."),
    Key::inert("metrics.prometheus.pushgateway.port", Shape::Whole, "9091", "Its port."),
    Key::inert("metrics.retriever.interval", Shape::Duration, "60", "Interval of asking Prometheus."),
    Key::inert("metrics.dump.json.file", Shape::Text, "\"\"", "File to which retrieved metrics are written."),
    Key::inert("metrics.load.json.file", Shape::Text, "\"\"", "File from which metrics are loaded instead."),
    Key::inert("tracing.enabled", Shape::Switch, "false", "Whether traces are written."),
    Key::inert("tracing.outfile", Shape::Text, "\"\"", "File of the traces."),
    Key::inert("workflow.always_save_progress", Shape::Switch, "false", "Whether each step is stored."),
    Key::inert("workflow.offloading.policy", Shape::Text, "\"disable\"", "disable, ilp, heftless or threshold."),
    Key::inert("workflow.offloading.policy.optimizer.host", Shape::Text, "\"localhost\"", "Host of the optimiser."),
    Key::inert("workflow.offloading.policy.optimizer.port", Shape::Whole, "8080", "Its port."),
    Key::inert("workflow.offloading.policy.ilp.placement.ttl", Shape::Whole, "2", "Uses of one plan."),
    Key::inert("workflow.offloading.policy.region.cost", Shape::Table, "{}", "Cost by area."),
    Key::inert("workflow.offloading.policy.ilp.obj.violations", Shape::Number, "0.3", "Weight of violations."),
    Key::inert("workflow.offloading.policy.ilp.obj.data", Shape::Number, "0.3", "Weight of data."),
    Key::inert("workflow.offloading.policy.ilp.obj.cost", Shape::Number, "0.3", "Weight of cost."),
    Key::inert("workflow.offloading.policy.ilp.obj.reclaimed", Shape::Number, "0.1", "Weight of reclaimed memory."),
    Key::inert("workflow.offloading.policy.node2datastore.bandwidth", Shape::Number, "40.0", "Estimated bandwidth."),
    Key::inert("workflow.offloading.policy.cloud2datastore.bandwidth", Shape::Number, "1000.0", "Estimated bandwidth."),
    Key::inert("workflow.offloading.policy.threshold", Shape::Number, "0.75", "Utilisation threshold."),
    Key::inert("workflow.offloading.policy.threshold.offloaded.max", Shape::Whole, "5", "Most grouped tasks."),
    Key::inert("workflow.profiling.saveinput", Shape::Switch, "false", "Whether inputs are written to files."),
];
