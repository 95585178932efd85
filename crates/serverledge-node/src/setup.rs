//! The settings of the parts, from the configuration.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use serverledge_api::{Access, Limits, OriginPolicy, Tls, TlsFiles};
use serverledge_core::kv::Kv;
use serverledge_core::{Accounts, Isolation, MemoryMib};
use serverledge_executor_docker::{DockerConfig, Images, InstallConfig};
use serverledge_executor_wasm::{CompileLimits, FileLayout, InitLimits, WasmConfig, Worker};
use serverledge_platform::{
    LogMailer, Mailer, Options, Platform, SmtpLogin, SmtpMailer, SmtpOptions, SystemClock,
};
use serverledge_registry::node_id;
use serverledge_scheduler::{Policy, PolicyOptions, policy_named};

use crate::config::{Config, RegistryUrl, SmtpConfig};
use crate::functions::{javascript, python};

/// By so much the number of template containers may rise: so many cold starts in quick succession find one.
/// Time after which an instance that waits for another call is dropped.
const KEPT_IDLE_MAX: Duration = Duration::from_secs(60);
const CELLS_GROWTH: usize = 4;
/// The memory of an idle template container, rounded up.
const CELL_MEMORY: MemoryMib = MemoryMib::new(64);
/// The number of runtimes that have template containers: Python and Node.js.
const CELL_RUNTIMES: u64 = 2;

/// Opens the accounts in this registry. No account is known before they are loaded.
pub(crate) fn open_accounts(config: &Config, kv: &Arc<dyn Kv>) -> Result<Platform> {
    let options = Options {
        signup: config.accounts.signup,
        base_url: Some(config.accounts.base_url.clone()).filter(|url| !url.is_empty()),
        session_idle: config.auth.session_idle,
        session_lifetime: config.auth.session_lifetime,
        offline_grace: config.auth.offline_grace,
    };
    Ok(Platform::new(
        Arc::clone(kv),
        mailer(&config.smtp)?,
        Arc::new(SystemClock),
        options,
    ))
}

fn mailer(smtp: &SmtpConfig) -> Result<Arc<dyn Mailer>> {
    if smtp.host.is_empty() {
        return Ok(Arc::new(LogMailer));
    }
    let login = if smtp.user.is_empty() {
        None
    } else {
        Some(SmtpLogin {
            user: smtp.user.clone(),
            password: read_password(&smtp.password_file)?,
        })
    };
    let options = SmtpOptions {
        host: smtp.host.clone(),
        port: smtp.port,
        tls: smtp.tls,
        authorities_pem: read_given(&smtp.ca_file)?,
        login,
        from: smtp.from.clone(),
    };
    let mailer = SmtpMailer::new(options)
        .map_err(|error| anyhow::anyhow!(error))
        .context("failed to set up mail (smtp.*)")?;
    Ok(Arc::new(mailer))
}

fn read(path: &str) -> Result<Vec<u8>> {
    std::fs::read(path).with_context(|| format!("failed to read {path}"))
}

/// The content of a file that may be configured; `None` if the path is empty.
pub(crate) fn read_given(path: &str) -> Result<Option<Vec<u8>>> {
    (!path.is_empty()).then(|| read(path)).transpose()
}

/// The text of a file, without line breaks at its end.
pub(crate) fn read_password(path: &str) -> Result<String> {
    let text = String::from_utf8(read(path)?).with_context(|| format!("{path} is no text"))?;
    Ok(text.trim_end_matches(['\r', '\n']).to_owned())
}

/// The server certificate, if TLS is configured.
pub(crate) fn open_tls(config: &Config) -> Result<Option<Tls>> {
    let cert_file = &config.api.tls_cert_file;
    let key_file = &config.api.tls_key_file;
    if cert_file.is_empty() {
        return Ok(None);
    }
    let files = TlsFiles {
        cert_file: cert_file.into(),
        key_file: key_file.into(),
    };
    Tls::open(files)
        .context("failed to set up TLS (api.tls.cert_file, api.tls.key_file)")
        .map(Some)
}

pub(crate) fn own_id(config: &Config) -> Result<String> {
    match &config.cluster.node_id {
        Some(id) => Ok(id.clone()),
        None => Ok(node_id(&config.data.dir)?),
    }
}

/// The URL at which peers reach a node that listens on this address.
pub(crate) fn own_url(config: &Config, address: SocketAddr) -> String {
    let scheme = if config.api.tls_cert_file.is_empty() {
        "http"
    } else {
        "https"
    };
    match &config.cluster.address {
        Some(given) => format!("{scheme}://{given}"),
        None => format!("{scheme}://{address}"),
    }
}

pub(crate) fn unreachable_registry(config: &Config) -> String {
    match &config.registry.url {
        RegistryUrl::Embedded => "failed to write to the registry".to_owned(),
        RegistryUrl::Etcd(url) => {
            format!("failed to use the registry at {url}; is etcd running there?")
        }
    }
}

pub(crate) fn policy(config: &Config, id: &str) -> Result<Option<Box<dyn Policy>>> {
    let name = config.scheduler.policy;
    let fallback_local = config.scheduler.fallback_local;
    if !name.offloads() {
        return Ok(None);
    }
    let seed = blake3::hash(id.as_bytes())
        .as_bytes()
        .first_chunk()
        .map_or(0, |bytes| u64::from_le_bytes(*bytes));
    Ok(Some(policy_named(
        name.as_str(),
        PolicyOptions {
            fallback_local,
            seed,
        },
    )?))
}

/// The names that a node, or a load balancer, answers to.
pub(crate) fn guard(config: &Config, over_tls: bool) -> OriginPolicy {
    OriginPolicy::new(config.api.ip, config.api.hosts.clone())
        .over_tls(over_tls)
        .domain(&config.platform.domain)
}

/// The rules for the authentication of requests. A base URL with https means that a proxy speaks TLS for the node.
pub(crate) fn access(config: &Config, accounts: &Arc<Platform>, over_tls: bool) -> Access {
    let accounts: Arc<dyn Accounts> = Arc::<Platform>::clone(accounts);
    Access {
        accounts: Some(accounts),
        required: config.auth.enabled,
        secure_cookies: over_tls || config.accounts.base_url.starts_with("https://"),
        trusted_proxies: config.api.trusted_proxies.clone(),
    }
}

pub(crate) fn wasm_config(config: &Config) -> Result<WasmConfig> {
    // The path by which the kernel knows this program: right also after the file was replaced by an upgrade.
    let program = std::env::current_exe().context("failed to find this program's file")?;
    let wasm = &config.wasm;
    Ok(WasmConfig {
        cache_dir: config.data.dir.join("machine-code"),
        worker: Worker {
            program,
            args: vec!["internal-compile".into()],
        },
        bases: javascript::bases(),
        packed_bases: vec![python::packed_base()],
        compile: CompileLimits {
            memory_bytes: wasm.compile_memory.bytes(),
            cpu_time: wasm.compile_cpu_time,
            wall_time: wasm.compile_time,
            parallel: wasm.compile_parallel,
        },
        init: InitLimits {
            module_bytes_max: config.function.code_bytes_max,
            ..InitLimits::default()
        },
        slots: wasm.slots(),
        keep_resident_bytes: wasm.kept_per_slot(config.pool.memory),
        kept_max: match wasm.isolation {
            Isolation::Kept => wasm.slots() as usize / 2,
            Isolation::Fresh => 0,
        },
        kept_idle_max: KEPT_IDLE_MAX,
        loaded_bytes_max: wasm.loaded_bytes_max as u64,
        loaded_max: wasm.loaded_max,
        output_bytes_max: config.function.output_bytes_max,
        log_bytes_max: config.function.log_tail_bytes_max,
        cpu_time_max: wasm.cpu_time_max,
        preview3: wasm.preview3,
        file_layout: FileLayout::Apart,
        heavy_threads: std::thread::available_parallelism().map_or(1, std::num::NonZero::get),
    })
}

pub(crate) fn docker_config(config: &Config, node_id: String) -> DockerConfig {
    let container = &config.container;
    let given = |text: &String| (!text.is_empty()).then(|| text.clone());
    DockerConfig {
        socket: container.socket.clone(),
        node_id,
        dir: config.data.dir.join("containers"),
        images: Images {
            python: container.image_python.clone(),
            nodejs: container.image_nodejs.clone(),
        },
        cells: container.cells,
        cells_max: cells_max(config),
        starts_max: container.starts_max,
        start_timeout: container.start_timeout,
        cpus_max: config.pool.cpus,
        tmp: container.tmp,
        pids_max: container.pids_max,
        output_bytes_max: config.function.output_bytes_max,
        log_bytes_max: config.function.log_tail_bytes_max,
        code_bytes_max: config.function.code_bytes_max,
        allow_bridge: container.allow_bridge,
        install: InstallConfig {
            timeout: container.install_timeout,
            memory: container.install_memory,
            layer_max: container.install_size_max,
            npm_registry: given(&container.npm_registry),
            pip_index: given(&container.pip_index),
            ca_file: given(&container.ca_file).map(Into::into),
            proxy: given(&container.proxy),
        },
    }
}

/// The number to which a runtime's template containers rise: so many times the usual one, and those of all runtimes
/// together at most a quarter of the containers that may exist, and as many as have [`CELL_MEMORY`] in a quarter of the
/// functions' memory.
fn cells_max(config: &Config) -> usize {
    let count = |number: u64| usize::try_from(number).unwrap_or(usize::MAX);
    let by_memory = count(config.pool.memory.get() / 4 / CELL_MEMORY.get() / CELL_RUNTIMES);
    let by_number = count(u64::from(config.container.max) / 4 / CELL_RUNTIMES);
    config
        .container
        .cells
        .saturating_mul(CELLS_GROWTH)
        .min(by_number)
        .min(by_memory)
}

pub(crate) fn request_limits(config: &Config) -> Limits {
    Limits {
        code_body_bytes_max: config.api.body_bytes_max,
        // The envelope around the parameters is small.
        params_body_bytes_max: config.function.params_bytes_max + 64 * 1024,
        body_timeout: config.api.body_timeout,
        concurrency_max: config.api.concurrency_max,
    }
}
