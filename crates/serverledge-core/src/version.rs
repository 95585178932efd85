//! Versions: what a function's result depends on, frozen and named by its digest.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use crate::function::FunctionLimits;
use crate::outbound::HostRule;
use crate::program_io::ProgramIo;

/// A BLAKE3 digest (32 bytes), written as 64 lower-case hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Digest([u8; 32]);

impl Digest {
    /// From the digest's bytes.
    #[must_use]
    pub const fn new(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The digest's bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The text is not 64 hexadecimal digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a digest is 64 hexadecimal digits")]
pub struct ParseDigestError;

impl std::str::FromStr for Digest {
    type Err = ParseDigestError;

    fn from_str(text: &str) -> Result<Self, ParseDigestError> {
        let mut bytes = [0; 32];
        hex::decode_to_slice(text, &mut bytes).map_err(|_| ParseDigestError)?;
        Ok(Self(bytes))
    }
}

/// The environment that runs a function's code. Each runtime declares its executor; none is ever found by trying.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Runtime {
    /// A WebAssembly module or component.
    Wasm,
    /// Python in a container.
    Python,
    /// Python on a WebAssembly engine.
    PythonWasm,
    /// Node.js in a container.
    NodeJs,
    /// JavaScript on a WebAssembly engine.
    JavaScript,
    /// Any image that speaks the executor protocol.
    Custom,
}

/// The text names no runtime.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "unknown runtime {0:?}; known are wasm, python, python-wasm, nodejs, javascript, custom and their old names"
)]
pub struct ParseRuntimeError(pub String);

impl Runtime {
    /// All of them.
    pub const ALL: [Self; 6] = [
        Self::Wasm,
        Self::Python,
        Self::PythonWasm,
        Self::NodeJs,
        Self::JavaScript,
        Self::Custom,
    ];

    /// The runtime's name in the API.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Wasm => "wasm",
            Self::Python => "python",
            Self::PythonWasm => "python-wasm",
            Self::NodeJs => "nodejs",
            Self::JavaScript => "javascript",
            Self::Custom => "custom",
        }
    }
}

impl std::str::FromStr for Runtime {
    type Err = ParseRuntimeError;

    /// Accepts the names and Serverledge's old ones, in any case.
    fn from_str(text: &str) -> Result<Self, ParseRuntimeError> {
        Ok(match text.to_ascii_lowercase().as_str() {
            "wasm" | "wasi" => Self::Wasm,
            "python" | "python310" | "python314" => Self::Python,
            "python-wasm" => Self::PythonWasm,
            "nodejs" | "nodejs17" | "nodejs17ng" => Self::NodeJs,
            "javascript" => Self::JavaScript,
            "custom" => Self::Custom,
            _ => return Err(ParseRuntimeError(text.to_owned())),
        })
    }
}

impl fmt::Display for Runtime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The network that a function may reach beyond its own sandbox.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Network {
    /// Nothing.
    #[default]
    None,
    /// The network of the machine; containers only, and only where the node allows it.
    Bridge,
}

impl Network {
    /// Its name in records and in the API.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Bridge => "bridge",
        }
    }
}

/// The text names no network.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("unknown network {0:?}; known are none and bridge")]
pub struct ParseNetworkError(pub String);

impl std::str::FromStr for Network {
    type Err = ParseNetworkError;

    fn from_str(text: &str) -> Result<Self, ParseNetworkError> {
        match text {
            "" | "none" => Ok(Self::None),
            "bridge" => Ok(Self::Bridge),
            _ => Err(ParseNetworkError(text.to_owned())),
        }
    }
}

/// Environment variables whose values are never shown: not in logs, errors, records for people, or argument lists.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Secrets {
    /// Random for each deploy that has secrets; it goes into the version's digest with the values, so that nobody can
    /// find a weak secret by comparing digests.
    pub nonce: [u8; 16],
    /// The variables.
    pub values: BTreeMap<String, String>,
    /// The hosts that a secret is for, by its name. The guest finds a placeholder in the variable, which its node replaces
    /// in the headers of requests to these hosts. One that is not here is the guest's own.
    pub hosts: BTreeMap<String, BTreeSet<HostRule>>,
    /// The random part of placeholders, so that no input of a function holds one by chance or by design.
    pub seal: [u8; 16],
}

impl Secrets {
    /// The variables as the guest finds them.
    pub fn guest_values(&self) -> impl Iterator<Item = (&str, Cow<'_, str>)> {
        self.values.iter().map(|(name, value)| {
            let seen = self.placeholder(name).map(Cow::Owned);
            (name.as_str(), seen.unwrap_or(Cow::Borrowed(value.as_str())))
        })
    }

    /// The text in the place of a secret that is for hosts; `None` if this one is the guest's own. All have one length, and none
    /// is part of another.
    #[must_use]
    pub fn placeholder(&self, name: &str) -> Option<String> {
        let place = self.hosts.keys().position(|known| known == name)?;
        Some(format!("sealed-{}-{place:02}", hex::encode(self.seal)))
    }
}

impl fmt::Debug for Secrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.values.keys()).finish()
    }
}

/// An immutable version of a function: everything that affects its result.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Version {
    /// BLAKE3 over all the other fields (computed by `serverledge-registry`, which knows the canonical form).
    pub digest: Digest,
    /// The runtime of its code.
    pub runtime: Runtime,
    /// Digest of the code's bytes as they are stored.
    pub code: Digest,
    /// The entry point inside the code; its form depends on the runtime. Empty where the runtime needs none.
    pub handler: String,
    /// The function's own environment variables.
    pub env: BTreeMap<String, String>,
    /// More of them, which are not shown.
    pub secrets: Secrets,
    /// The network that it may reach.
    pub network: Network,
    /// The hosts that its node may send requests to for it; none: it sends no requests.
    pub outbound: BTreeSet<HostRule>,
    /// The image of a `custom` function; empty otherwise.
    pub image: String,
    /// The arguments and the standard streams of a program; the default for every other function.
    pub io: ProgramIo,
    /// The resources that one invocation may use.
    pub limits: FunctionLimits,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digest_round_trips() {
        let digest = Digest::new(std::array::from_fn(|i| u8::try_from(i * 7).unwrap_or(3)));
        assert_eq!(digest.to_string().parse(), Ok(digest));
        for bad in ["", "00", &"g".repeat(64), &"+1".repeat(32)] {
            assert_eq!(bad.parse::<Digest>(), Err(ParseDigestError));
        }
    }

    #[test]
    fn a_secret_for_hosts_is_a_placeholder_to_the_guest() {
        let values = ["A", "B", "C"].map(|name| (name.to_owned(), format!("hidden {name}")));
        let rules = BTreeSet::from(["api.example.org".parse().unwrap()]);
        let secrets = Secrets {
            values: BTreeMap::from(values),
            hosts: BTreeMap::from([("A".to_owned(), rules.clone()), ("C".to_owned(), rules)]),
            seal: [7; 16],
            ..Secrets::default()
        };
        let seal = "07".repeat(16);
        let seen: Vec<(&str, String)> = secrets
            .guest_values()
            .map(|(n, v)| (n, v.into_owned()))
            .collect();
        let expected = [
            ("A", format!("sealed-{seal}-00")),
            ("B", "hidden B".to_owned()),
            ("C", format!("sealed-{seal}-01")),
        ];
        assert_eq!(seen, expected);
    }

    #[test]
    fn old_runtime_names_are_aliases() {
        assert_eq!("python310".parse(), Ok(Runtime::Python));
        assert_eq!("nodejs17ng".parse(), Ok(Runtime::NodeJs));
        assert!("python38".parse::<Runtime>().is_err());
    }

    #[test]
    fn names_are_read_back() {
        for runtime in Runtime::ALL {
            assert_eq!(runtime.name().parse(), Ok(runtime));
        }
        assert_eq!("Python-Wasm".parse(), Ok(Runtime::PythonWasm));
    }
}
