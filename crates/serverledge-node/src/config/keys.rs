//! Keys: looking them up by name or variable, and suggestions for misspelt names. The keys with an effect are in the
//! table of `parts`, the others here.

use super::kind::{Key, Shape};
use super::parts::KEYS;
use super::raw::quoted;

/// The prefix of the names of variables.
pub(super) const PREFIX: &str = "SERVERLEDGE_";
/// Variables with that prefix that belong to another program: the command line client.
const FOREIGN_VARIABLES: [&str; 5] = [
    "SERVERLEDGE_URL",
    "SERVERLEDGE_HOST",
    "SERVERLEDGE_PORT",
    "SERVERLEDGE_TLS",
    "SERVERLEDGE_CA_FILE",
];

/// The meaning of a name.
pub(super) enum KeyLookup {
    Known(&'static Key),
    Renamed(&'static Key),
    Unknown { hint: String },
}

impl Key {
    /// The environment variable that overrides it.
    pub(super) fn variable(&self) -> String {
        variable_of(self.name)
    }
}

fn variable_of(name: &str) -> String {
    format!("{PREFIX}{}", name.replace('.', "_").to_ascii_uppercase())
}

// === Looking up ===

/// The meaning of a (lower-case) name in a file.
pub(super) fn by_name(name: &str) -> KeyLookup {
    meaning(name, str::to_owned, || {
        group_of(name).or_else(|| by_last_part(name))
    })
}

/// The meaning of a variable that begins with [`PREFIX`]; `None` if it is another program's.
pub(super) fn by_variable(variable: &str) -> Option<KeyLookup> {
    if FOREIGN_VARIABLES.contains(&variable) {
        return None;
    }
    Some(meaning(variable, variable_of, || None))
}

fn meaning(
    given: &str,
    spell: fn(&str) -> String,
    other: impl Fn() -> Option<String>,
) -> KeyLookup {
    if let Some(key) = all().find(|key| spell(key.name) == given) {
        return KeyLookup::Known(key);
    }
    if let Some(key) = all().find(|key| key.was.iter().any(|old| spell(old) == given)) {
        return KeyLookup::Renamed(key);
    }
    let hint =
        other().or_else(|| nearest(given, spell).map(|name| format!("; did you mean {name}?")));
    KeyLookup::Unknown {
        hint: hint.unwrap_or_default(),
    }
}

/// The nearest known name, if it is close enough for a misspelling.
fn nearest(given: &str, spell: fn(&str) -> String) -> Option<String> {
    let slips_max = (given.len() / 4).clamp(1, 4);
    let names = all().map(|key| spell(key.name));
    let distances = names.map(|name| (strsim::osa_distance(&name, given), name));
    distances
        .filter(|(distance, _)| *distance <= slips_max)
        .min()
        .map(|(_, name)| name)
}

/// A suggestion for a value where a group of keys belongs.
fn group_of(name: &str) -> Option<String> {
    let members: Vec<_> = all()
        .filter(|key| is_below(key.name, name))
        .map(|key| key.name)
        .take(3)
        .collect();
    (!members.is_empty()).then(|| format!("; it is a group ({}, …)", members.join(", ")))
}

/// A suggestion for a key given without its group.
fn by_last_part(name: &str) -> Option<String> {
    let mut whole = all().filter(|key| {
        key.name
            .strip_suffix(name)
            .is_some_and(|group| group.ends_with('.'))
    });
    let only = whole.next().filter(|_| whole.next().is_none())?;
    Some(format!("; did you mean {}?", only.name))
}

/// Whether keys begin with this name.
pub(super) fn is_group(name: &str) -> bool {
    all().any(|key| is_below(key.name, name))
}

/// The name as TOML must write it: in quotes where the key above it is no group but has a value of its own.
pub(super) fn toml_name(name: &str) -> String {
    if all().any(|key| is_below(name, key.name)) {
        quoted(name)
    } else {
        String::from(name)
    }
}

fn is_below(name: &str, group: &str) -> bool {
    name.strip_prefix(group)
        .is_some_and(|rest| rest.starts_with('.'))
}

/// Every key, those with an effect first.
pub(super) fn all() -> impl Iterator<Item = &'static Key> {
    KEYS.iter().chain(INERT)
}

/// Serverledge's keys without effect here, accepted so that its files are.
pub(super) static INERT: &[Key] = &[
    Key::inert(
        "factory.images.refresh",
        Shape::Switch,
        "false",
        "Pull each image anew once per process.",
    ),
    Key::inert(
        "node.architecture",
        Shape::Text,
        "\"\"",
        "Architecture that the registry shows for the node.",
    ),
    Key::inert(
        "cache.size",
        Shape::Whole,
        "100",
        "Entries of the cache of function definitions.",
    ),
    Key::inert(
        "cache.cleanup",
        Shape::Duration,
        "60",
        "Interval of that cache's sweep.",
    ),
    Key::inert(
        "cache.expiration",
        Shape::Duration,
        "60",
        "Lifetime of that cache's entries.",
    ),
    Key::inert(
        "registry.udp.port",
        Shape::Whole,
        "9876",
        "Port of the status server.",
    ),
    Key::inert(
        "cloud",
        Shape::Switch,
        "false",
        "Whether the node is in the cloud (older versions).",
    ),
    Key::inert(
        "cloud.server.url",
        Shape::Text,
        "\"\"",
        "Address of the cloud (older versions).",
    ),
    Key::inert(
        "lb.mode",
        Shape::Text,
        "\"RoundRobin\"",
        "How targets are chosen.",
    ),
    Key::inert(
        "lb.arch_awareness",
        Shape::Switch,
        "false",
        "Whether architectures are told apart.",
    ),
    Key::inert(
        "loadbalancer.policy",
        Shape::Text,
        "\"\"",
        "Declared and unused.",
    ),
    Key::inert(
        "loadbalancer.targets.interval",
        Shape::Duration,
        "30",
        "Declared and unused.",
    ),
    Key::inert(
        "mab.policy",
        Shape::Text,
        "\"UCB1\"",
        "Bandit: UCB1 or LinUCB.",
    ),
    Key::inert("mab.ucb1.c", Shape::Number, "0.8", "Exploration of UCB1."),
    Key::inert(
        "mab.linucb.alpha",
        Shape::Number,
        "0.1",
        "Exploration of LinUCB.",
    ),
    Key::inert(
        "mab.linucb.lambda",
        Shape::Number,
        "0.0",
        "Weight of the memory penalty.",
    ),
    Key::inert(
        "metrics.prometheus.host",
        Shape::Text,
        "\"127.0.0.1\"",
        "Host of the Prometheus that is asked.",
    ),
    Key::inert("metrics.prometheus.port", Shape::Whole, "9090", "Its port."),
    Key::inert(
        "metrics.prometheus.pushgateway.host",
        Shape::Text,
        "\"\"",
        "Host of the push gateway.",
    ),
    Key::inert(
        "metrics.prometheus.pushgateway.port",
        Shape::Whole,
        "9091",
        "Its port.",
    ),
    Key::inert(
        "metrics.retriever.interval",
        Shape::Duration,
        "60",
        "Interval of asking Prometheus.",
    ),
    Key::inert(
        "metrics.dump.json.file",
        Shape::Text,
        "\"\"",
        "File to which retrieved metrics are written.",
    ),
    Key::inert(
        "metrics.load.json.file",
        Shape::Text,
        "\"\"",
        "File from which metrics are loaded instead.",
    ),
    Key::inert(
        "workflow.always_save_progress",
        Shape::Switch,
        "false",
        "Whether each step is stored.",
    ),
    Key::inert(
        "workflow.offloading.policy",
        Shape::Text,
        "\"disable\"",
        "disable, ilp, heftless or threshold.",
    ),
    Key::inert(
        "workflow.offloading.policy.optimizer.host",
        Shape::Text,
        "\"localhost\"",
        "Host of the optimiser.",
    ),
    Key::inert(
        "workflow.offloading.policy.optimizer.port",
        Shape::Whole,
        "8080",
        "Its port.",
    ),
    Key::inert(
        "workflow.offloading.policy.ilp.placement.ttl",
        Shape::Whole,
        "2",
        "Uses of one plan.",
    ),
    Key::inert(
        "workflow.offloading.policy.region.cost",
        Shape::Table,
        "{}",
        "Cost by area.",
    ),
    Key::inert(
        "workflow.offloading.policy.ilp.obj.violations",
        Shape::Number,
        "0.3",
        "Weight of violations.",
    ),
    Key::inert(
        "workflow.offloading.policy.ilp.obj.data",
        Shape::Number,
        "0.3",
        "Weight of data.",
    ),
    Key::inert(
        "workflow.offloading.policy.ilp.obj.cost",
        Shape::Number,
        "0.3",
        "Weight of cost.",
    ),
    Key::inert(
        "workflow.offloading.policy.ilp.obj.reclaimed",
        Shape::Number,
        "0.1",
        "Weight of reclaimed memory.",
    ),
    Key::inert(
        "workflow.offloading.policy.node2datastore.bandwidth",
        Shape::Number,
        "40.0",
        "Estimated bandwidth.",
    ),
    Key::inert(
        "workflow.offloading.policy.cloud2datastore.bandwidth",
        Shape::Number,
        "1000.0",
        "Estimated bandwidth.",
    ),
    Key::inert(
        "workflow.offloading.policy.threshold",
        Shape::Number,
        "0.75",
        "Utilisation threshold.",
    ),
    Key::inert(
        "workflow.offloading.policy.threshold.offloaded.max",
        Shape::Whole,
        "5",
        "Most grouped tasks.",
    ),
    Key::inert(
        "workflow.profiling.saveinput",
        Shape::Switch,
        "false",
        "Whether inputs are written to files.",
    ),
];
