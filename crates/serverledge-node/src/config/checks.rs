//! Checks of values that are valid alone and do not fit together: faults where the node would be wrong, warnings where
//! it would be worse than it could be.

use serverledge_platform::SmtpTls;

use super::derived;
use super::faults::{Fault, SettingSource};
use super::layers::Setting;
use super::machine::Machine;
use super::parts::{Config, PolicyName, RegistryUrl};
use super::units;

/// Descriptors for everything that is neither a connection nor a loaded module: registry, log, listeners, pipes.
const FILES_RESERVE: u64 = 64;

/// The conflicts, as faults.
pub(super) fn conflicts(config: &Config, settings: &[Setting], faults: &[Fault]) -> Vec<Fault> {
    [
        exposed(config),
        tls(config),
        timeout(config),
        two_keys(config),
        mail(config),
        base_url(config),
        collector(config),
    ]
    .into_iter()
    .flatten()
    .filter(|conflict| !conflict.keys.iter().any(|key| is_faulty(faults, key)))
    .map(|conflict| conflict.into_fault(settings))
    .collect()
}

/// A conflict between values, with its keys; the first is the one to change.
struct Conflict {
    keys: [&'static str; 2],
    problem: String,
}

impl Conflict {
    fn into_fault(self, settings: &[Setting]) -> Fault {
        let key = self.keys[0];
        let setting = settings.iter().find(|setting| setting.key == key);
        let (value, origin) = setting.map_or((String::new(), SettingSource::Default), |setting| {
            (setting.value.clone(), setting.origin.clone())
        });
        Fault::Conflict {
            key,
            value,
            origin,
            problem: self.problem,
        }
    }
}

/// Whether the value of a key was refused. The key then holds its default, which need not fit anything.
fn is_faulty(faults: &[Fault], wanted: &str) -> bool {
    faults.iter().any(|fault| matches!(fault, Fault::Value { key, .. } | Fault::Twice { key, .. } if *key == wanted))
}

fn exposed(config: &Config) -> Option<Conflict> {
    let exposed = !config.api.ip.to_canonical().is_loopback()
        && !config.api.allow_insecure
        && !config.auth.enabled;
    exposed.then(|| Conflict {
        keys: ["api.ip", "api.allow_insecure"],
        problem: String::from(
            "listening beyond loopback without authentication is refused: set auth.enabled = true, or api.allow_insecure = \
             true if everyone who reaches the port may run code",
        ),
    })
}

fn tls(config: &Config) -> Option<Conflict> {
    let cert = "api.tls.cert_file";
    let key = "api.tls.key_file";
    let keys = match (
        config.api.tls_cert_file.is_empty(),
        config.api.tls_key_file.is_empty(),
    ) {
        (true, false) => [cert, key],
        (false, true) => [key, cert],
        _ => return None,
    };
    Some(Conflict {
        keys,
        problem: format!("TLS needs both files, and {} is given", keys[1]),
    })
}

fn timeout(config: &Config) -> Option<Conflict> {
    let most = config.function.timeout_max;
    (config.function.timeout > most).then(|| Conflict {
        keys: ["function.timeout", "function.timeout_max"],
        problem: format!(
            "longer than function.timeout_max, {}",
            units::show_duration(most)
        ),
    })
}

fn two_keys(config: &Config) -> Option<Conflict> {
    let both = config.cluster.key.is_some() && !config.cluster.key_file.is_empty();
    both.then(|| Conflict {
        keys: ["cluster.key_file", "cluster.key"],
        problem: String::from("cluster.key is given as well; one of the two is enough"),
    })
}

fn mail(config: &Config) -> Option<Conflict> {
    let smtp = &config.smtp;
    if smtp.host.is_empty() {
        return None;
    }
    let here = ["localhost", "127.0.0.1", "::1"].contains(&smtp.host.as_str());
    let (keys, problem) = match (smtp.user.is_empty(), smtp.password_file.is_empty()) {
        _ if smtp.from.is_empty() => (["smtp.from", "smtp.host"], "mail needs a sender"),
        (true, false) => (
            ["smtp.user", "smtp.password_file"],
            "smtp.password_file is given without it",
        ),
        (false, true) => (
            ["smtp.password_file", "smtp.user"],
            "smtp.user is given without it",
        ),
        (false, false) if smtp.tls == SmtpTls::None && !here => (
            ["smtp.tls", "smtp.user"],
            "the password of smtp.user would go over the network for everybody to read",
        ),
        _ => return None,
    };
    Some(Conflict {
        keys,
        problem: String::from(problem),
    })
}

fn base_url(config: &Config) -> Option<Conflict> {
    let url = &config.accounts.base_url;
    let fits = url.is_empty() || url.starts_with("https://") || url.starts_with("http://");
    let plain = !url.contains(['#', '?', ' ']);
    (!fits || !plain).then(|| Conflict {
        keys: ["accounts.base_url", "accounts.base_url"],
        problem: String::from(
            "expected an address such as https://faas.example.org, without ? and #",
        ),
    })
}

fn collector(config: &Config) -> Option<Conflict> {
    let url = &config.tracing.otlp_endpoint;
    let fits = url.is_empty() || url.starts_with("https://") || url.starts_with("http://");
    let plain = !url.contains(['#', '?', ' ', '@']);
    (!fits || !plain).then(|| Conflict {
        keys: ["tracing.otlp.endpoint", "tracing.otlp.headers_file"],
        problem: String::from(
            "expected an address such as http://127.0.0.1:4318, without ?, # and @; secrets are in tracing.otlp.headers_file",
        ),
    })
}

/// The warnings.
pub(super) fn warnings(config: &Config, machine: &Machine) -> Vec<String> {
    [
        policy(config),
        pool(config),
        resident(config),
        files(config, machine),
        links(config),
        headers(config),
    ]
    .into_iter()
    .flatten()
    .collect()
}

fn policy(config: &Config) -> Option<String> {
    let policy = config.scheduler.policy;
    let keyless = config.cluster.key.is_none() && config.cluster.key_file.is_empty();
    let missing = match policy {
        _ if !policy.offloads() => return None,
        _ if keyless => "cluster.key",
        PolicyName::CloudOnly | PolicyName::EdgeCloud if config.registry.remote_area.is_empty() => {
            "registry.remote.area"
        }
        _ if config.registry.url == RegistryUrl::Embedded => {
            "a registry.url that is shared with other nodes"
        }
        _ => return None,
    };
    Some(format!(
        "scheduler.policy = {} finds no other node without {missing}",
        policy.as_str()
    ))
}

fn pool(config: &Config) -> Option<String> {
    let function = config.function.memory;
    let pool = config.pool.memory;
    (function > pool).then(|| {
        format!("a function that declares no memory ({function}) does not fit into container.pool.memory ({pool})")
    })
}

fn resident(config: &Config) -> Option<String> {
    let most = config.wasm.instances_max;
    let kept = config.wasm.kept_per_slot(config.pool.memory);
    (most > derived::instances_kept(config) && kept < config.wasm.keep_resident).then(|| {
        format!(
            "wasm.instances_max = {most} leaves {} of each instance's memory resident, less than wasm.keep_resident: all \
             together keep a tenth of container.pool.memory ({})",
            units::show_bytes(kept as u64),
            config.pool.memory
        )
    })
}

fn files(config: &Config, machine: &Machine) -> Option<String> {
    let held = (config.api.connections_max as u64)
        .saturating_add(config.wasm.loaded_max as u64)
        .saturating_add(config.outbound.connections_max as u64);
    (held.saturating_add(FILES_RESERVE) > machine.files_max).then(|| {
        format!(
            "api.connections_max, wasm.loaded_max and outbound.connections_max together may need {held} file descriptors; the \
             process may open {}",
            machine.files_max
        )
    })
}

fn links(config: &Config) -> Option<String> {
    let nowhere = config.accounts.base_url.is_empty() && !config.smtp.host.is_empty();
    nowhere.then(|| {
        String::from("mails are sent (smtp.host) and accounts.base_url is not given: their links lead to where this node listens")
    })
}

fn headers(config: &Config) -> Option<String> {
    let tracing = &config.tracing;
    let rest = tracing.otlp_endpoint.strip_prefix("http://")?;
    let here = ["127.0.0.1", "localhost", "[::1]"];
    let is_far = !here.iter().any(|name| rest.starts_with(name));
    (is_far && !tracing.otlp_headers_file.is_empty()).then(|| {
        String::from("the headers of tracing.otlp.headers_file go over the network without TLS (tracing.otlp.endpoint)")
    })
}
