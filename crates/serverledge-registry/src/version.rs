//! Digests: of code, and of versions.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serverledge_core::{
    Digest, FunctionSpec, HostRule, Network, ProgramIo, Secrets, Stdin, Version, whole_millis,
};

/// Separates this use of BLAKE3 from all others; a change of the canonical form needs a new one.
const VERSION_DOMAIN: &str = "serverledge 2026 function version 1";

/// The digest of code, or of any other blob: plain BLAKE3, so that any tool can check it.
#[must_use]
pub fn code_digest(code: &[u8]) -> Digest {
    Digest::new(*blake3::hash(code).as_bytes())
}

/// The version that a checked request to deploy describes. Its secrets' nonce must be filled in already.
#[must_use]
pub fn version(spec: &FunctionSpec, code: Digest) -> Version {
    let mut version = Version {
        digest: Digest::new([0; 32]),
        runtime: spec.runtime,
        code,
        handler: spec.handler.clone(),
        env: spec.env.clone(),
        secrets: spec.secrets.clone(),
        network: spec.network,
        outbound: spec.outbound.clone(),
        image: spec.image.clone(),
        io: spec.io.clone(),
        limits: spec.limits,
    };
    version.digest = version_digest(&version);
    version
}

/// The digest of a version: BLAKE3 in a domain of its own over everything that affects a result, which is all but the
/// digest that it holds. Each part is preceded by its length, so that no two versions have the same canonical form. Times
/// count in whole milliseconds, as stored. What was added later counts only where it is there, under a name of its own, so
/// that versions without it keep their digest; the nonce counts only beside secrets.
#[must_use]
pub fn version_digest(version: &Version) -> Digest {
    let mut form = Canonical(blake3::Hasher::new_derive_key(VERSION_DOMAIN));
    form.bytes(version.runtime.name().as_bytes());
    form.bytes(version.code.as_bytes());
    form.bytes(version.handler.as_bytes());
    form.variables(&version.env);
    let limits = &version.limits;
    form.number(limits.memory.get());
    form.number(limits.cpu.get());
    form.time(limits.timeout);
    form.number(u64::from(limits.cpu_time.is_some()));
    form.time(limits.cpu_time.unwrap_or_default());
    form.number(u64::from(limits.max_concurrency));
    if !version.secrets.values.is_empty() {
        form.bytes(b"secrets");
        form.bytes(&version.secrets.nonce);
        form.variables(&version.secrets.values);
    }
    form.secret_hosts(&version.secrets);
    if version.network != Network::None {
        form.bytes(b"network");
        form.bytes(version.network.name().as_bytes());
    }
    if !version.image.is_empty() {
        form.bytes(b"image");
        form.bytes(version.image.as_bytes());
    }
    form.program_io(&version.io);
    form.outbound(&version.outbound);
    Digest::new(*form.0.finalize().as_bytes())
}

/// Writes parts so that they can be told apart.
struct Canonical(blake3::Hasher);

impl Canonical {
    fn number(&mut self, number: u64) {
        self.0.update(&number.to_le_bytes());
    }

    fn bytes(&mut self, bytes: &[u8]) {
        self.number(bytes.len() as u64);
        self.0.update(bytes);
    }

    fn variables(&mut self, variables: &BTreeMap<String, String>) {
        self.number(variables.len() as u64);
        for (name, value) in variables {
            self.bytes(name.as_bytes());
            self.bytes(value.as_bytes());
        }
    }

    fn program_io(&mut self, io: &ProgramIo) {
        if !io.args.is_empty() {
            self.bytes(b"args");
            self.number(io.args.len() as u64);
            io.args.iter().for_each(|arg| self.bytes(arg.as_bytes()));
        }
        if io.stdin != Stdin::default() {
            self.bytes(b"stdin");
            self.bytes(io.stdin.name().as_bytes());
        }
        if let Some(content_type) = io.stdout.content_type() {
            self.bytes(b"stdout");
            self.bytes(content_type.as_bytes());
        }
    }

    fn outbound(&mut self, hosts: &BTreeSet<HostRule>) {
        if !hosts.is_empty() {
            self.bytes(b"outbound");
            self.rules(hosts);
        }
    }

    fn secret_hosts(&mut self, secrets: &Secrets) {
        if secrets.hosts.is_empty() {
            return;
        }
        self.bytes(b"secret hosts");
        self.bytes(&secrets.seal);
        self.number(secrets.hosts.len() as u64);
        for (name, hosts) in &secrets.hosts {
            self.bytes(name.as_bytes());
            self.rules(hosts);
        }
    }

    /// In the order of their texts, whatever that of the type is.
    fn rules(&mut self, hosts: &BTreeSet<HostRule>) {
        let texts: BTreeSet<String> = hosts.iter().map(HostRule::to_string).collect();
        self.number(texts.len() as u64);
        texts.iter().for_each(|text| self.bytes(text.as_bytes()));
    }

    fn time(&mut self, time: Duration) {
        self.number(whole_millis(time));
    }
}

#[cfg(test)]
mod tests {
    use serverledge_core::{CpuMilli, FunctionLimits, MemoryMib, Runtime, Stdout};

    use super::*;

    fn digest(change: impl FnOnce(&mut Version)) -> Digest {
        let mut v = Version {
            digest: Digest::new([0; 32]),
            runtime: Runtime::Wasm,
            code: Digest::new([1; 32]),
            handler: "h".to_owned(),
            env: BTreeMap::from([("A".to_owned(), "1".to_owned())]),
            secrets: Secrets::default(),
            network: Network::None,
            outbound: BTreeSet::new(),
            image: String::new(),
            io: ProgramIo::default(),
            limits: FunctionLimits::default(),
        };
        change(&mut v);
        version_digest(&v)
    }

    #[test]
    fn every_part_counts() {
        let secrets = |nonce: u8, name: &str, value: &str| Secrets {
            nonce: [nonce; 16],
            values: BTreeMap::from([(name.to_owned(), value.to_owned())]),
            ..Secrets::default()
        };
        let sealed = |seal: u8, host: &str| Secrets {
            hosts: BTreeMap::from([("A".to_owned(), BTreeSet::from([host.parse().unwrap()]))]),
            seal: [seal; 16],
            ..secrets(0, "A", "1")
        };
        let args = |args: &[&str]| args.iter().map(|arg| (*arg).to_owned()).collect();
        let raw = |content_type: &str| Stdout::Raw(content_type.to_owned());
        let hosts = |hosts: &[&str]| hosts.iter().map(|host| host.parse().unwrap()).collect();
        let env = |name: &str, value: &str| BTreeMap::from([(name.to_owned(), value.to_owned())]);
        let digests = BTreeSet::from([
            digest(|_| {}),
            digest(|v| v.runtime = Runtime::Custom),
            digest(|v| v.code = Digest::new([2; 32])),
            digest(|v| v.handler = "h2".to_owned()),
            digest(|v| v.handler.clear()),
            digest(|v| v.env.clear()),
            digest(|v| v.env = env("A1", "")),
            digest(|v| v.env = env("", "A1")),
            digest(|v| v.limits.memory = MemoryMib::new(1)),
            digest(|v| v.limits.cpu = CpuMilli::new(1)),
            digest(|v| v.limits.timeout = Duration::from_secs(1)),
            digest(|v| v.limits.cpu_time = Some(Duration::ZERO)),
            digest(|v| v.limits.max_concurrency = 2),
            digest(|v| v.secrets = secrets(0, "A", "1")),
            digest(|v| v.secrets = secrets(0, "A", "2")),
            digest(|v| v.secrets = secrets(0, "A2", "")),
            digest(|v| v.secrets = secrets(1, "A", "1")),
            digest(|v| v.network = Network::Bridge),
            digest(|v| v.image = "i".to_owned()),
            digest(|v| v.image = "i:1".to_owned()),
            digest(|v| (v.network, v.image) = (Network::Bridge, "i".to_owned())),
            digest(|v| v.io.args = args(&["a", "b"])),
            digest(|v| v.io.args = args(&["ab"])),
            digest(|v| v.io.args = args(&["stdin", "body"])),
            digest(|v| v.io.args = args(&[""])),
            digest(|v| v.io.stdin = Stdin::Body),
            digest(|v| v.io.stdin = Stdin::None),
            digest(|v| v.io.stdout = raw("a/b")),
            digest(|v| v.io.stdout = raw("a/c")),
            digest(|v| v.outbound = hosts(&["a.example"])),
            digest(|v| v.outbound = hosts(&["*.a.example"])),
            digest(|v| v.outbound = hosts(&["http://a.example"])),
            digest(|v| v.outbound = hosts(&["a.example:8443"])),
            digest(|v| v.outbound = hosts(&["a.example", "b.example"])),
            digest(|v| v.secrets = sealed(0, "a.example")),
            digest(|v| v.secrets = sealed(0, "b.example")),
            digest(|v| v.secrets = sealed(1, "a.example")),
        ]);
        assert_eq!(digests.len(), 37);
        assert_eq!(
            digest(|v| v.outbound = hosts(&["a.example", "b.example"])),
            digest(|v| v.outbound = hosts(&["b.example:443", "https://A.example"])),
            "hosts have neither an order nor a second form"
        );
        assert_eq!(
            digest(|_| {}),
            digest(|v| v.digest = Digest::new([9; 32])),
            "the digest is not part of itself"
        );
        assert_eq!(
            digest(|_| {}),
            digest(|v| v.secrets.nonce = [9; 16]),
            "a nonce without secrets is nothing"
        );
    }

    #[test]
    fn the_canonical_form_is_stable() {
        // A changed form would lose all cached compilations and results, and needs a new domain.
        assert_eq!(
            digest(|_| {}).to_string(),
            "d8b2f9729915dd31cf948fd3a76b619b6a4fb5159cadfb637b457d4a5f4bdc70"
        );
    }
}
