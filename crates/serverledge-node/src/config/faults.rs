//! The faults of a configuration, and their messages: all reported together, each with key, value and place.

use std::fmt;
use std::path::PathBuf;

/// The origin of a value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SettingSource {
    /// The default: the value is not set.
    Default,
    /// A file.
    File(PathBuf),
    /// An environment variable, by name.
    Variable(String),
}

impl fmt::Display for SettingSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::File(path) => path.display().fmt(f),
            Self::Variable(name) => f.write_str(name),
        }
    }
}

/// One fault of a configuration.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Fault {
    /// The file cannot be read, or its extension names no known format.
    #[error("{}: {message}", file.display())]
    Unreadable {
        /// The file.
        file: PathBuf,
        /// The reason.
        message: String,
    },
    /// The file is not valid in its format.
    #[error("{}:{line}:{column}: {message}", file.display())]
    Malformed {
        /// The file.
        file: PathBuf,
        /// Line, from 1.
        line: usize,
        /// Column, from 1.
        column: usize,
        /// The message of the format's parser.
        message: String,
    },
    /// No key has this name.
    #[error("{key} ({origin}): unknown key{hint}")]
    UnknownKey {
        /// The name as given, in lower case.
        key: String,
        /// The origin of the key.
        origin: SettingSource,
        /// A suggestion, or an empty text.
        hint: String,
    },
    /// The key was renamed.
    #[error("{key} ({origin}): the key is called {new}")]
    Renamed {
        /// The name as given, in lower case.
        key: String,
        /// The origin of the key.
        origin: SettingSource,
        /// The right name.
        new: &'static str,
    },
    /// The value is of the wrong type or out of range.
    #[error("{key} = {value} ({origin}): expected {allowed}")]
    Value {
        /// The key.
        key: &'static str,
        /// The value as given.
        value: String,
        /// The origin of the value.
        origin: SettingSource,
        /// The allowed values.
        allowed: String,
    },
    /// A file gives a key twice (nested and dotted, or in another case).
    #[error("{key} ({origin}): given twice")]
    Twice {
        /// The key.
        key: &'static str,
        /// The file.
        origin: SettingSource,
    },
    /// A variable holds something that is not text.
    #[error("{variable}: the value is not valid UTF-8")]
    NotText {
        /// The variable.
        variable: String,
    },
    /// Values that are valid alone do not fit together.
    #[error("{key} = {value} ({origin}): {problem}")]
    Conflict {
        /// The key to change.
        key: &'static str,
        /// Its value.
        value: String,
        /// The origin of the value.
        origin: SettingSource,
        /// The conflict, in words.
        problem: String,
    },
}

/// Everything that is wrong with a configuration; never empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigFaults(pub(super) Vec<Fault>);

impl ConfigFaults {
    /// The faults: the file's in its order, then those of variables, then those of values that do not fit together.
    #[must_use]
    pub fn faults(&self) -> &[Fault] {
        &self.0
    }
}

impl fmt::Display for ConfigFaults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let noun = if self.0.len() == 1 { "fault" } else { "faults" };
        write!(f, "{} {noun} in the configuration:", self.0.len())?;
        self.0.iter().try_for_each(|fault| write!(f, "\n  {fault}"))
    }
}

impl std::error::Error for ConfigFaults {}
