//! Defaults that depend on the machine or on other values.

use serverledge_core::{CpuMilli, MemoryMib};
use serverledge_platform::{Signup, SmtpTls};

use super::kind::Facts;
use super::parts::{Config, MIB, POOL_MAX};

/// Most connections by default; each holds a descriptor and some kilobytes.
const CONNECTIONS_DEFAULT: u64 = 4_096;
/// Most loaded modules by default; each holds a descriptor.
const LOADED_DEFAULT: u64 = 256;
/// Most connections of functions to hosts outside by default; each holds a descriptor.
const OUTBOUND_DEFAULT: u64 = 256;
/// Slots of the instance pool by default: enough for a small machine, and an upper limit on a big one.
const SLOTS_LEAST: u64 = 4;
const SLOTS_MOST: u64 = 1_000;

/// Three quarters of the machine's memory: the rest is for the node itself and the system.
pub(super) fn pool_memory(config: &mut Config, facts: &Facts) {
    let mib = facts.machine.memory_bytes / (MIB as u64) * 3 / 4;
    config.pool.memory = MemoryMib::new(mib.max(1)).min(POOL_MAX);
}

pub(super) fn pool_cpus(config: &mut Config, facts: &Facts) {
    config.pool.cpus = CpuMilli::new(u64::from(facts.machine.cores) * 1000);
}

/// Instances such that resident slots stay within a tenth of the pool's memory, if as many callers wait as run.
pub(super) fn wasm_instances(config: &mut Config, _: &Facts) {
    config.wasm.instances_max = instances_kept(config);
}

/// Number of instances that may run while all that wait and run keep their configured resident memory; a few in any
/// case, on a small machine.
pub(super) fn instances_kept(config: &Config) -> u32 {
    let twentieth = config.pool.memory.bytes() / 20;
    let slots = twentieth
        .checked_div(config.wasm.keep_resident as u64)
        .unwrap_or(SLOTS_MOST);
    u32::try_from(slots.clamp(SLOTS_LEAST, SLOTS_MOST)).unwrap_or(u32::MAX)
}

/// The number of loaded modules: a quarter of the descriptors at most.
pub(super) fn wasm_loaded(config: &mut Config, facts: &Facts) {
    config.wasm.loaded_max = share(facts.machine.files_max / 4, LOADED_DEFAULT);
}

/// The number of connections: 13 in 32 descriptors at most. Hosts outside have 3 in 32, loaded modules a quarter.
pub(super) fn connections(config: &mut Config, facts: &Facts) {
    config.api.connections_max = share(facts.machine.files_max / 32 * 13, CONNECTIONS_DEFAULT);
}

/// The number of connections to hosts outside: 3 in 32 descriptors at most.
pub(super) fn outbound_connections(config: &mut Config, facts: &Facts) {
    config.outbound.connections_max = share(facts.machine.files_max / 32 * 3, OUTBOUND_DEFAULT);
}

fn share(offered: u64, wanted: u64) -> usize {
    usize::try_from(offered.clamp(1, wanted)).unwrap_or(usize::MAX)
}

/// Room for the largest code in base64, or for the largest parameters, and for the JSON around them.
pub(super) fn body_bytes(config: &mut Config, _: &Facts) {
    let code = config.function.code_bytes_max.div_ceil(3).saturating_mul(4);
    config.api.body_bytes_max = code
        .max(config.function.params_bytes_max)
        .saturating_add(MIB);
}

pub(super) fn data_dir(config: &mut Config, facts: &Facts) {
    config.data.dir.clone_from(&facts.data_dir);
}

pub(super) fn docker_socket(config: &mut Config, facts: &Facts) {
    config.container.socket.clone_from(&facts.docker_socket);
}

/// Container starts at once. More would only wait for each other: a start is mostly work of the engine and the kernel.
pub(super) fn container_starts(config: &mut Config, facts: &Facts) {
    config.container.starts_max = usize::try_from(facts.machine.cores)
        .unwrap_or(1)
        .clamp(2, 16);
}

/// Sign-up: open on loopback, which only users of this machine reach; closed elsewhere, where people are invited.
pub(super) fn signup(config: &mut Config, _: &Facts) {
    let own_machine = config.api.ip.to_canonical().is_loopback();
    config.accounts.signup = if own_machine {
        Signup::Open
    } else {
        Signup::Closed
    };
}

pub(super) fn smtp_port(config: &mut Config, _: &Facts) {
    config.smtp.port = match config.smtp.tls {
        SmtpTls::StartTls => 587,
        SmtpTls::Tls => 465,
        SmtpTls::None => 25,
    };
}
