//! What can be wrong with a configuration, and how it is said: all at once, each with key, value and place.

use std::fmt;
use std::path::PathBuf;

/// Where a value comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// Nowhere: the default holds.
    Default,
    /// A file.
    File(PathBuf),
    /// An environment variable, by name.
    Variable(String),
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::File(path) => path.display().fmt(f),
            Self::Variable(name) => f.write_str(name),
        }
    }
}

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Fault {
    /// The file cannot be read, or its name says no format.
    #[error("{}: {message}", file.display())]
    Unreadable {
        /// The file.
        file: PathBuf,
        /// Why.
        message: String,
    },
    /// The file is not what its format demands.
    #[error("{}:{line}:{column}: {message}", file.display())]
    Malformed {
        /// The file.
        file: PathBuf,
        /// Line, from 1.
        line: usize,
        /// Column, from 1.
        column: usize,
        /// What the format's reader says.
        message: String,
    },
    /// No key has this name.
    #[error("{key} ({origin}): unknown key{hint}")]
    UnknownKey {
        /// The name as given, in lower case.
        key: String,
        /// Where it stands.
        origin: Source,
        /// Empty, or a proposal.
        hint: String,
    },
    /// The key has another name.
    #[error("{key} ({origin}): the key is called {new}")]
    Renamed {
        /// The name as given, in lower case.
        key: String,
        /// Where it stands.
        origin: Source,
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
        /// Where it stands.
        origin: Source,
        /// What is allowed.
        allowed: String,
    },
    /// A file gives a key twice (nested and dotted, or in another case).
    #[error("{key} ({origin}): given twice")]
    Twice {
        /// The key.
        key: &'static str,
        /// The file.
        origin: Source,
    },
    /// A variable holds something that is not text.
    #[error("{variable}: the value is not valid UTF-8")]
    NotText {
        /// The variable.
        variable: String,
    },
    /// Values that are fine alone do not fit together.
    #[error("{key} = {value} ({origin}): {problem}")]
    Conflict {
        /// The key to change.
        key: &'static str,
        /// Its value.
        value: String,
        /// Where it stands.
        origin: Source,
        /// With what it does not fit.
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
