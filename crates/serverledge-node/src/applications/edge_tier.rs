//! The parts of manifests of functions that run in browsers: the key, the modules, the node's limits of calls.

use std::time::Duration;

use anyhow::{Context, Result};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serverledge_core::{AppName, Digest, Function, Runtime};
use serverledge_executor_wasm::CoreInterface;
use serverledge_wire::edge::{
    EdgeDelta, EdgeFunctionInfo, EdgeKeys, EdgeLimits, EdgeManifest, EdgeModuleFile,
    EdgeModuleKind, MANIFEST_FORMAT, SignedManifest,
};
use serverledge_wire::peer::ClusterKey;

use crate::applications::edge_modules::{EdgeModules, FormInfo, ModuleInfo};
use crate::applications::edge_signer::EdgeSigner;
use crate::clock::unix_ms;
use crate::config::Config;

/// The time for which a manifest holds. So long a page without a connection goes on, and so long a visitor may run a
/// version that was replaced.
const VALID_FOR: Duration = Duration::from_secs(24 * 3600);

/// See the module.
pub(crate) struct EdgeTier {
    signer: EdgeSigner,
    pub(super) modules: EdgeModules,
    params_bytes_max: usize,
    output_bytes_max: usize,
    log_bytes_max: usize,
}

impl EdgeTier {
    /// With the cluster's key, if there is a cluster.
    pub(crate) fn new(config: &Config, key: Option<&ClusterKey>) -> Result<Self> {
        let signer = match key {
            Some(key) => EdgeSigner::of_cluster(key),
            None => EdgeSigner::of_node(&config.data.dir),
        };
        Ok(Self {
            signer: signer.context("failed to read or make the key of edge manifests")?,
            modules: EdgeModules::default(),
            params_bytes_max: config.function.params_bytes_max,
            output_bytes_max: config.function.output_bytes_max,
            log_bytes_max: config.function.log_tail_bytes_max,
        })
    }

    pub(super) fn keys(&self) -> EdgeKeys {
        self.signer.keys()
    }

    /// The signed manifest of an application with these functions and components, from now on.
    pub(super) fn manifest(
        &self,
        app: &AppName,
        functions: Vec<EdgeFunctionInfo>,
        components: Vec<EdgeFunctionInfo>,
    ) -> SignedManifest {
        let issued = unix_ms() / 1000;
        self.signer.sign(&EdgeManifest {
            format: MANIFEST_FORMAT,
            app: app.to_string(),
            issued,
            expires: issued + VALID_FOR.as_secs(),
            functions,
            components,
        })
    }

    /// A function with this module, in the form of a manifest.
    pub(super) fn described(&self, function: &Function, module: &ModuleInfo) -> EdgeFunctionInfo {
        let version = &function.version;
        let folder = match module.interface {
            CoreInterface::Component => "components",
            CoreInterface::Reactor | CoreInterface::Command => "modules",
        };
        let plain = file_of(&module.plain, folder);
        let kind = match (version.runtime, module.interface) {
            (Runtime::JavaScript | Runtime::PythonWasm, _) => EdgeModuleKind::Snapshot,
            (_, CoreInterface::Reactor) => EdgeModuleKind::Reactor,
            (_, CoreInterface::Command) => EdgeModuleKind::Command,
            (_, CoreInterface::Component) => EdgeModuleKind::Component,
        };
        EdgeFunctionInfo {
            name: function.name.to_string(),
            version: version.digest.to_string(),
            kind,
            idempotent: function.flags.idempotent,
            integrity: plain.integrity,
            bytes: plain.bytes,
            module: plain.module,
            delta: plain.delta,
            deadline: module.deadline.as_ref().map(|form| file_of(form, folder)),
            handler: version.handler.clone(),
            env: version.env.clone(),
            limits: EdgeLimits {
                memory_bytes: version.limits.memory.bytes(),
                timeout_ms: u64::try_from(version.limits.timeout.as_millis()).unwrap_or(u64::MAX),
                params_bytes: self.params_bytes_max as u64,
                output_bytes: self.output_bytes_max as u64,
                log_bytes: self.log_bytes_max as u64,
            },
        }
    }
}

/// A form of a module, in the form of a manifest.
fn file_of(form: &FormInfo, folder: &str) -> EdgeModuleFile {
    EdgeModuleFile {
        integrity: integrity(form.module.sha256),
        bytes: form.module.bytes,
        module: format!("edge/{folder}/{}", form.module.sha256),
        delta: form.delta.map(|delta| EdgeDelta {
            base: format!("edge/modules/{}", delta.base),
            base_integrity: integrity(delta.base),
            module: format!("edge/deltas/{}", delta.file.sha256),
            bytes: delta.file.bytes,
        }),
    }
}

/// A digest as browsers check it.
fn integrity(sha256: Digest) -> String {
    format!("sha256-{}", STANDARD.encode(sha256.as_bytes()))
}
