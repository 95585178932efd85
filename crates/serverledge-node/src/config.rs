//! What the node is told, and by whom: defaults, one file, the environment, in this order of rising precedence.
//!
//! The only module that knows configuration files, their keys and the environment. [`load`] reads all of them once, at
//! start, and gives a [`Config`] in which every value has been checked; what is wrong is reported together. Names,
//! kinds, defaults and meanings stand in one table (`keys`), from which `serverledge-conf.toml` and the table in
//! `docs/configuration.md` are made.

mod checks;
mod computed;
mod environment;
mod faults;
mod file;
mod keys;
mod kind;
mod layers;
mod machine;
mod parts;
mod people;
mod raw;
mod shipped;
#[cfg(test)]
mod tests;
mod units;

use std::path::{Path, PathBuf};

pub use environment::{Environment, ProcessEnvironment, search_directories};
pub use faults::{ConfigFaults, Fault, Source};
pub use layers::Setting;
pub use machine::Machine;
pub use parts::{
    ApiConfig, AsyncConfig, BalancerConfig, ClusterConfig, Config, ContainerConfig, DataConfig,
    FunctionConfig, LogConfig, LogFormat, MetricsConfig, PlatformConfig, PolicyName, PoolConfig,
    QueueConfig, QuotaConfig, RegistryConfig, RegistryUrl, SchedulerConfig, Secret, WasmConfig,
};
pub use people::{AccountsConfig, AuthConfig, SmtpConfig};
pub use shipped::shipped_file;

use keys::Facts;
use layers::Layers;

/// A configuration, and what there is to say about it.
#[derive(Debug, Clone, PartialEq)]
pub struct Loaded {
    /// The checked configuration.
    pub config: Config,
    /// What the log should say once it is there; whole lower-case fragments.
    pub warnings: Vec<String>,
    /// The file that was read.
    pub source: Option<PathBuf>,
    /// Every key that has an effect, and those given without one, with value and origin.
    pub settings: Vec<Setting>,
}

/// Loads the configuration: from `named` and no other file, or, without it, from the first `serverledge-conf` file in
/// `directories` (see [`search_directories`]), or from none; then from the environment. Blocks on files, at start only.
///
/// # Errors
/// [`ConfigFaults`] holds everything that is wrong in the file, in the variables and between values.
pub fn load(
    named: Option<&Path>,
    env: &dyn Environment,
    machine: &Machine,
    directories: &[PathBuf],
) -> Result<Loaded, ConfigFaults> {
    let mut layers = Layers::default();
    let source = named
        .map(Path::to_path_buf)
        .or_else(|| file::find(directories, &mut layers.warnings));
    if let Some(path) = &source {
        layers.add_file(path);
    }
    layers.add_variables(env);
    let facts = Facts {
        machine: *machine,
        data_dir: environment::data_directory(env),
        docker_socket: environment::docker_socket(env),
    };
    let (config, settings) = layers.resolve(&facts);
    let Layers {
        mut faults,
        mut warnings,
        ..
    } = layers;
    faults.extend(checks::conflicts(&config, &settings, &faults));
    if !faults.is_empty() {
        return Err(ConfigFaults(faults));
    }
    warnings.extend(checks::warnings(&config, machine));
    Ok(Loaded {
        config,
        warnings,
        source,
        settings,
    })
}

// === impl Loaded ===

impl Loaded {
    /// The settings as lines `key = value  # origin`: a TOML file that gives this configuration again.
    #[must_use]
    pub fn render(&self) -> String {
        let lines: Vec<_> = self
            .settings
            .iter()
            .map(|s| format!("{} = {}", keys::toml_name(s.key), s.value))
            .collect();
        let width = lines
            .iter()
            .map(|line| line.chars().count())
            .max()
            .unwrap_or(0);
        let origins = self.settings.iter().map(|setting| &setting.origin);
        lines
            .iter()
            .zip(origins)
            .map(|(line, origin)| format!("{line:width$}  # {origin}\n"))
            .collect()
    }
}
