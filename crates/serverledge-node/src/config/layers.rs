//! The values of the file and of the environment, on top of the defaults: the later layer wins, and every given value
//! is checked.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::path::Path;

use super::environment::Environment;
use super::faults::{Fault, SettingSource};
use super::file;
use super::keys::{self, INERT, KeyLookup};
use super::kind::{AUTO, Facts, Key};
use super::parts::Config;
use super::raw::RawValue;

/// A key's effective value, and its origin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Setting {
    /// The key.
    pub key: &'static str,
    /// The value, as TOML.
    pub value: String,
    /// The origin of the value.
    pub origin: SettingSource,
}

/// The values that the layers above the defaults give.
#[derive(Default)]
pub(super) struct Layers {
    given: BTreeMap<&'static str, Vec<Given>>,
    pub(super) faults: Vec<Fault>,
    pub(super) warnings: Vec<String>,
}

struct Given {
    origin: SettingSource,
    raw: RawValue,
}

// === impl Layers ===

impl Layers {
    /// Adds the values of a file.
    pub(super) fn add_file(&mut self, path: &Path) {
        match file::read(path) {
            Ok(entries) => entries
                .into_iter()
                .for_each(|(name, raw)| self.add_entry(path, name, raw)),
            Err(fault) => self.faults.push(fault),
        }
    }

    fn add_entry(&mut self, path: &Path, name: String, raw: RawValue) {
        let origin = SettingSource::File(path.to_path_buf());
        match keys::by_name(&name) {
            KeyLookup::Known(key) if self.given.contains_key(key.name) => {
                self.faults.push(Fault::Twice {
                    key: key.name,
                    origin,
                });
            }
            KeyLookup::Known(key) => self.add(key, origin, raw),
            KeyLookup::Renamed(key) => self.faults.push(Fault::Renamed {
                key: name,
                origin,
                new: key.name,
            }),
            // A group whose keys are all commented out.
            KeyLookup::Unknown { .. } if raw == RawValue::Null && keys::is_group(&name) => {}
            KeyLookup::Unknown { hint } => self.faults.push(Fault::UnknownKey {
                key: name,
                origin,
                hint,
            }),
        }
    }

    /// Adds the values of variables. Empty ones count as not set.
    pub(super) fn add_variables(&mut self, env: &dyn Environment) {
        let mut variables: Vec<_> = env
            .variables()
            .into_iter()
            .filter_map(own_variable)
            .collect();
        variables.sort();
        for (name, value) in variables {
            match keys::by_variable(&name) {
                None => {}
                Some(KeyLookup::Known(key)) => self.add_variable(key, name, &value),
                Some(KeyLookup::Renamed(key)) => {
                    self.warnings.push(format!(
                        "{name} is ignored: the variable is called {}",
                        key.variable()
                    ));
                }
                Some(KeyLookup::Unknown { hint }) => self
                    .warnings
                    .push(format!("{name} is ignored: unknown variable{hint}")),
            }
        }
    }

    fn add_variable(&mut self, key: &'static Key, variable: String, value: &OsStr) {
        match value.to_str() {
            Some(text) => self.add(
                key,
                SettingSource::Variable(variable),
                RawValue::Text(String::from(text)),
            ),
            None => self.faults.push(Fault::NotText { variable }),
        }
    }

    fn add(&mut self, key: &'static Key, origin: SettingSource, raw: RawValue) {
        self.given
            .entry(key.name)
            .or_default()
            .push(Given { origin, raw });
    }

    /// The configuration, and each key's value in it. With faults, both serve only to find further faults.
    pub(super) fn resolve(&mut self, facts: &Facts) -> (Config, Vec<Setting>) {
        let mut config = Config::base();
        let origins: Vec<_> = keys::all()
            .map(|key| self.settle(key, &mut config, facts))
            .collect();
        self.warn_of_inert();
        let settings = keys::all()
            .zip(origins)
            .filter(|(key, origin)| key.has_effect() || *origin != SettingSource::Default);
        let settings = settings.map(|(key, origin)| Setting {
            key: key.name,
            value: self.shown(key, &mut config),
            origin,
        });
        let settings = settings.collect();
        (config, settings)
    }

    /// Gives one key its final value; returns its origin.
    fn settle(&mut self, key: &'static Key, config: &mut Config, facts: &Facts) -> SettingSource {
        let mut origin = SettingSource::Default;
        for given in self.given.get(key.name).into_iter().flatten() {
            if key.auto.is_some() && is_auto(&given.raw) {
                origin = SettingSource::Default;
                continue;
            }
            match key.kind.set(config, &given.raw) {
                Ok(()) => origin = given.origin.clone(),
                Err(allowed) => self.faults.push(Fault::Value {
                    key: key.name,
                    value: key.kind.told(&given.raw),
                    origin: given.origin.clone(),
                    allowed,
                }),
            }
        }
        if let (SettingSource::Default, Some(auto)) = (&origin, &key.auto) {
            (auto.fill)(config, facts);
        }
        origin
    }

    fn shown(&self, key: &Key, config: &mut Config) -> String {
        let last = self.given.get(key.name).and_then(|all| all.last());
        match last {
            Some(given) if !key.has_effect() => given.raw.to_toml(),
            _ => key.kind.show(config),
        }
    }

    fn warn_of_inert(&mut self) {
        let given: Vec<_> = INERT
            .iter()
            .filter(|key| self.given.contains_key(key.name))
            .map(|key| key.name)
            .collect();
        if !given.is_empty() {
            self.warnings.push(format!(
                "without effect in this version: {}",
                given.join(", ")
            ));
        }
    }
}

/// A variable that begins with the prefix and is not empty.
fn own_variable((name, value): (OsString, OsString)) -> Option<(String, OsString)> {
    let name = name.into_string().ok()?;
    (name.starts_with(keys::PREFIX) && !value.is_empty()).then_some((name, value))
}

/// Whether the value is `auto`, or Serverledge's form of it: an empty text.
fn is_auto(raw: &RawValue) -> bool {
    raw.as_text()
        .is_some_and(|text| text.is_empty() || text.eq_ignore_ascii_case(AUTO))
}
