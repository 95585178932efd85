//! The configuration of the node: defaults, one file, the environment, in this order of rising precedence.
//!
//! The only module that knows configuration files, their keys and the environment. [`load`] reads all of them once, at
//! start, and returns a [`Config`] in which every value has been checked; all faults are reported together. Names,
//! kinds, defaults and descriptions are in one table (`parts`), from which `serverledge-conf.toml` and the table in
//! `docs/configuration.md` are generated.

mod checks;
mod derived;
mod environment;
mod faults;
mod file;
mod keys;
mod kind;
mod layers;
mod machine;
mod parts;
mod raw;
mod shipped;
#[cfg(test)]
mod tests;
mod units;

use std::path::{Path, PathBuf};

pub use environment::{Environment, ProcessEnvironment, search_directories};
pub use faults::{ConfigFaults, Fault, SettingSource};
pub use layers::Setting;
pub use machine::Machine;
pub use parts::{
    AccountsConfig, ApiConfig, AsyncConfig, AuthConfig, BalancerConfig, ClusterConfig, Config,
    ContainerConfig, DataConfig, DrainConfig, FunctionConfig, LogConfig, LogFormat, MetricsConfig,
    OutgoingConfig, PlatformConfig, PolicyName, PoolConfig, QueueConfig, QuotaConfig,
    RegistryConfig, RegistryUrl, RunsConfig, SchedulerConfig, Secret, SmtpConfig, StateConfig,
    TracingConfig, WasmConfig,
};
pub use shipped::shipped_file;

use kind::Facts;
use layers::Layers;

/// A configuration, with its warnings and origins.
#[derive(Debug, Clone, PartialEq)]
pub struct LoadedConfig {
    /// The checked configuration.
    pub config: Config,
    /// Warnings for the log, once it is started; whole lower-case fragments.
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
) -> Result<LoadedConfig, ConfigFaults> {
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
    Ok(LoadedConfig {
        config,
        warnings,
        source,
        settings,
    })
}

// === impl LoadedConfig ===

impl LoadedConfig {
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
