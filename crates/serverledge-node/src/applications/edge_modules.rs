//! The modules of functions that run in browsers: which functions have one, its digest, and its bytes.

use bytes::Bytes;
use quick_cache::sync::Cache;
use quick_cache::{OptionsBuilder, Weighter};
use ring::digest::{SHA256, digest};
use serverledge_core::Digest;
use serverledge_executor_wasm::{CoreInterface, portable};

/// Longest module that is handed out: anybody may ask, and a browser loads it before the first call.
const MODULE_BYTES_MAX: usize = 16 * 1024 * 1024;
/// Bytes of modules that are kept, so that not each visitor makes the node read the registry.
const KEPT_BYTES_MAX: u64 = 64 * 1024 * 1024;
/// Modules of which the digest is kept. Making one reads the whole code.
const DIGESTS_MAX: usize = 10_000;

/// A module that browsers can run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct ModuleDigest {
    pub(super) interface: CoreInterface,
    pub(super) sha256: Digest,
    pub(super) bytes: u64,
}

/// The modules of deployed code, by the digest of the code, which never changes.
pub(crate) struct EdgeModules {
    /// `None` inside: browsers cannot run it.
    digests: Cache<Digest, Option<ModuleDigest>>,
    modules: Cache<Digest, Bytes, ModuleBytes>,
}

#[derive(Clone)]
struct ModuleBytes;

impl Weighter<Digest, Bytes> for ModuleBytes {
    fn weight(&self, _: &Digest, module: &Bytes) -> u64 {
        module.len().max(1) as u64
    }
}

impl EdgeModules {
    pub(super) fn digest(&self, code: &Digest) -> Option<Option<ModuleDigest>> {
        self.digests.get(code)
    }

    pub(super) fn module(&self, code: &Digest) -> Option<Bytes> {
        self.modules.get(code)
    }

    /// Makes the module of deployed code, and keeps it and its digest.
    pub(super) fn make(
        &self,
        digest_of_code: Digest,
        code: &Bytes,
    ) -> Option<(ModuleDigest, Bytes)> {
        let made = portable(code)
            .filter(|(_, module)| module.len() <= MODULE_BYTES_MAX)
            .map(|(interface, module)| (described(interface, &module), module));
        self.digests.insert(
            digest_of_code,
            made.as_ref().map(|(described, _)| *described),
        );
        if let Some((_, module)) = &made {
            self.modules.insert(digest_of_code, module.clone());
        }
        made
    }
}

impl Default for EdgeModules {
    fn default() -> Self {
        // One part: a module may weigh a good part of the whole.
        let options = OptionsBuilder::new()
            .shards(1)
            .estimated_items_capacity(64)
            .weight_capacity(KEPT_BYTES_MAX)
            .build();
        let modules = Cache::with_options(
            options.expect("sizes are given"),
            ModuleBytes,
            quick_cache::DefaultHashBuilder::default(),
            quick_cache::sync::DefaultLifecycle::default(),
        );
        Self {
            digests: Cache::new(DIGESTS_MAX),
            modules,
        }
    }
}

fn described(interface: CoreInterface, module: &Bytes) -> ModuleDigest {
    let mut sha256 = [0; 32];
    sha256.copy_from_slice(digest(&SHA256, module).as_ref());
    ModuleDigest {
        interface,
        sha256: Digest::new(sha256),
        bytes: module.len() as u64,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A module with a custom section of so many bytes.
    fn module(section: usize) -> Bytes {
        // A type, a function of it, its export as `_start`, its body.
        let command = b"\0asm\x01\0\0\0\x01\x04\x01\x60\0\0\x03\x02\x01\0\x07\x0a\x01\x06_start\0\0\x0a\x04\x01\x02\0\x0b";
        let content = vec![7; section];
        serverledge_executor_wasm::with_section(command.to_vec(), "filler", &content).into()
    }

    #[test]
    fn a_module_is_made_once() {
        let modules = EdgeModules::default();
        let code = module(10);
        let digest_of_code = Digest::new([1; 32]);
        assert_eq!(modules.digest(&digest_of_code), None);
        let (made, bytes) = modules.make(digest_of_code, &code).unwrap();
        assert_eq!(
            (made.interface, made.bytes),
            (CoreInterface::Command, code.len() as u64)
        );
        assert_eq!(bytes, code);
        assert_eq!(modules.digest(&digest_of_code), Some(Some(made)));
        assert_eq!(modules.module(&digest_of_code), Some(code));
    }

    #[test]
    fn what_cannot_run_in_a_browser_is_known_as_well() {
        let modules = EdgeModules::default();
        let large = module(MODULE_BYTES_MAX);
        for (nth, code) in [Bytes::from_static(b"module.exports = 1"), large]
            .iter()
            .enumerate()
        {
            let digest_of_code = Digest::new([u8::try_from(nth).unwrap(); 32]);
            assert_eq!(modules.make(digest_of_code, code), None);
            assert_eq!(modules.digest(&digest_of_code), Some(None));
        }
    }
}
