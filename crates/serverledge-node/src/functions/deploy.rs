//! Deploys and deletions. All slow work happens here, and nothing is stored before it has succeeded.

use std::future::ready;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use serverledge_api::{
    Deploy, DeployError, Deployed, Deployments, ExpectedState, Patched, QuotaExceeded,
};
use serverledge_core::kv::Revision;
use serverledge_core::{
    Caller, Digest, Function, FunctionName, FunctionSpec, Interface, MemoryMib, PrepareError,
    Prepared, Progress, Runtime, Secrets, SpaceId, Version,
};
use serverledge_registry::{self as registry, FunctionStore, Replaced, code_digest};
use serverledge_wire::function::{FunctionBody, SpecError};
use serverledge_wire::patch::FunctionPatch;
use serverledge_wire::quotas::UserQuotas;

use crate::clock::unix_ms;
use crate::config::{Config, FunctionConfig};
use crate::executors::Executors;
use crate::functions::Functions;
use crate::functions::edge_fit;
use crate::functions::errors::registry_error;
use crate::functions::javascript;
use crate::functions::patch::PatchTurns;
use crate::functions::python;
use crate::functions::quotas::Quotas;
use crate::functions::resources::FunctionResources;
use crate::functions::snapshots::{self, Made};
use crate::functions::source::{self, Code};
use crate::functions::spaces::Spaces;
use crate::metrics::Metrics;
use crate::program::foundation::Foundation;

/// The service that deploys functions and changes them.
pub(crate) struct Deployer {
    pub(super) functions: Arc<Functions>,
    pub(super) executors: Executors,
    pub(super) resources: FunctionResources,
    pub(super) store: FunctionStore,
    pub(super) quotas: Arc<Quotas>,
    pub(super) spaces: Arc<dyn Spaces>,
    pub(super) metrics: Arc<Metrics>,
    pub(super) limits: FunctionConfig,
    pool_memory: MemoryMib,
    pub(super) patching: PatchTurns,
}

impl Deployer {
    pub(crate) fn new(base: Foundation, config: &Config) -> Self {
        Self {
            functions: Arc::clone(&base.resources.functions),
            executors: base.resources.executors.clone(),
            metrics: Arc::clone(&base.resources.metrics),
            resources: base.resources,
            store: base.store,
            quotas: base.quotas,
            spaces: base.reach,
            limits: config.function.clone(),
            pool_memory: config.pool.memory,
            patching: PatchTurns::default(),
        }
    }

    /// Most bytes of a function's code.
    pub(crate) fn code_bytes_max(&self) -> usize {
        self.limits.code_bytes_max
    }

    /// Checks that this node has an executor for a runtime.
    pub(crate) fn check_runtime(&self, runtime: Runtime) -> Result<(), DeployError> {
        if self.executors.of(runtime).is_some() {
            return Ok(());
        }
        let way_out = match runtime {
            Runtime::NodeJs => {
                "deploy it with the runtime javascript, if it needs nothing of Node.js's own"
            }
            Runtime::Python => {
                "deploy it with the runtime python-wasm, if it needs no compiled packages, threads or sockets"
            }
            _ => "build the function as WebAssembly",
        };
        Err(DeployError::Unsupported(format!(
            "runtime {runtime} needs containers, which this node's configuration switches off (container.enabled); {way_out}"
        )))
    }
}

#[async_trait]
impl Deployments for Deployer {
    /// The function is then known here at once, and elsewhere through the registry's watch.
    async fn deploy(
        &self,
        space: &SpaceId,
        mode: Deploy,
        request: FunctionBody<'_>,
        progress: &dyn Progress,
    ) -> Result<Deployed, DeployError> {
        let (spec, code) = self.check(&request)?;
        if mode == Deploy::Create && self.functions.get(space, spec.name.as_str()).is_some() {
            return Err(DeployError::Exists(spec.name));
        }
        let source =
            self.spaces
                .with_dependencies(space, code.bytes, spec.runtime, &spec.handler)?;
        self.check_quota(
            space,
            &spec.name,
            (&code_digest(&source), source.len() as u64),
        )?;
        let Made {
            code: bytes,
            remarks,
        } = self.make(&spec, source, progress).await?;
        let version = Arc::new(registry::version(&spec, code_digest(&bytes)));
        let code_bytes = bytes.len() as u64;
        let prepared = self.prepare(&version, bytes.clone(), progress).await?;
        let function = Function {
            space: space.clone(),
            name: spec.name,
            version,
            interface: prepared.interface,
            flags: spec.flags,
            signature: spec.signature,
        };
        let now = unix_ms();
        // Once more, since others may have come in between.
        let turn = self.quotas.turn(space).await;
        self.check_quota(space, &function.name, (&function.version.code, code_bytes))?;
        let stored = match mode {
            Deploy::Create => self
                .store
                .create(&function, &bytes, now)
                .await
                .map(|revision| Replaced {
                    revision,
                    before: None,
                }),
            Deploy::Update => self.store.replace(&function, &bytes, now).await,
        };
        let Replaced { revision, before } = stored.map_err(registry_error)?;
        let function = Arc::new(function);
        let created = Revision::default();
        let bound = registry::Deployed {
            function,
            revision,
            created,
            code_bytes,
            deployed_unix_ms: now,
        };
        // It does not always retire what was replaced: the watch may have told of this deploy before.
        let function = self.rebound(bound).await;
        self.resources.tell_change(&function, "deployed");
        drop(turn);
        let (recognised, mut remarks) = described(function.version.runtime, prepared, remarks);
        remarks.extend(edge_fit::remark(&function, ready(Some(bytes))).await);
        Ok(Deployed {
            footprint: self.executors.footprint(&function.version),
            function,
            recognised,
            replaced: before,
            remarks,
        })
    }

    async fn patch(
        &self,
        space: &SpaceId,
        name: &str,
        request: &FunctionPatch<'_>,
        expected: Option<&ExpectedState>,
        progress: &dyn Progress,
    ) -> Result<Patched, DeployError> {
        let name = known_name(name)?;
        let _turn = self.patching.take(space, &name).await;
        self.patch_in_turn(space, name, request, expected, progress)
            .await
    }

    async fn delete(&self, space: &SpaceId, name: &str) -> Result<(), DeployError> {
        let parsed = known_name(name)?;
        let deleted = self
            .store
            .delete(space, &parsed)
            .await
            .map_err(|error| registry_error(error.into()))?;
        let revision = deleted.ok_or_else(|| DeployError::Unknown(name.to_owned()))?;
        let gone = self.functions.remove(space, &parsed, revision);
        self.resources.tell_of(space, &parsed, None, "deleted");
        self.resources.clean_up_removed(gone).await;
        Ok(())
    }

    fn quotas(&self, caller: &Caller) -> Option<UserQuotas> {
        self.quotas.usage(&self.functions, caller)
    }
}

impl Deployer {
    /// Prepares a version.
    pub(crate) async fn prepare(
        &self,
        version: &Version,
        code: Bytes,
        progress: &dyn Progress,
    ) -> Result<Prepared, DeployError> {
        let executor = self.executors.of(version.runtime);
        // Checked with everything else that needs no executor.
        let executor =
            executor.ok_or_else(|| DeployError::Unsupported(version.runtime.to_string()))?;
        let prepared = executor.prepare(version, code, progress).await;
        Ok(prepared.map_err(|error| with_way_out(error, version.runtime))?)
    }

    /// The code of a version: the code that was sent, or the code made from it.
    pub(crate) async fn make(
        &self,
        spec: &FunctionSpec,
        source: Bytes,
        progress: &dyn Progress,
    ) -> Result<Made, DeployError> {
        if !snapshots::is_snapshot(spec.runtime) {
            return Ok(Made {
                code: source,
                remarks: Vec::new(),
            });
        }
        let executor = self.executors.snapshots.as_ref();
        let executor =
            executor.ok_or_else(|| DeployError::Unsupported(spec.runtime.to_string()))?;
        match spec.runtime {
            Runtime::PythonWasm => python::make(executor, spec, &source, progress).await,
            _ => javascript::make(executor, spec, &source, progress).await,
        }
    }

    /// Checks whether the owner of the space, if there is one, may bind code of this length to the name.
    pub(crate) fn check_quota(
        &self,
        space: &SpaceId,
        name: &FunctionName,
        code: (&Digest, u64),
    ) -> Result<(), QuotaExceeded> {
        let checked = self.quotas.check_deploy(&self.functions, space, name, code);
        checked.inspect_err(|exceeded| self.metrics.quota_refused(exceeded.code))
    }

    /// Makes all checks of a request that need no run.
    pub(crate) fn check(
        &self,
        request: &FunctionBody<'_>,
    ) -> Result<(FunctionSpec, Code), DeployError> {
        // The name first, as Serverledge; then the runtime, before any code is looked at.
        FunctionName::parse(&request.name).map_err(SpecError::from)?;
        let said = runtime(&request.runtime)?;
        if let Some(runtime) = said {
            self.check_runtime(runtime)?;
        }
        if said == Some(Runtime::Custom) {
            let spec = self.spec(request, Runtime::Custom, None)?;
            // Its code is the name of its image.
            let code = Code {
                bytes: Bytes::from(spec.image.clone()),
                inferred: Runtime::Custom,
            };
            return Ok((spec, code));
        }
        let max = self.limits.code_bytes_max;
        let mut code = source::extract(&request.tar_function_code, said, &request.handler, max)?;
        // What only containers can do says which of the two runtimes of scripts is meant.
        let asks_container =
            request.max_concurrency > 1 || !matches!(&*request.network, "" | "none");
        if said.is_none() && code.inferred == Runtime::JavaScript && asks_container {
            code.inferred = Runtime::NodeJs;
        }
        Ok((self.spec(request, code.inferred, None)?, code))
    }

    /// The specification, by the rules for the whole function; this node's own rules apply only to what differs from the
    /// version before: that may have been deployed under others, and on another node.
    pub(super) fn spec(
        &self,
        body: &FunctionBody<'_>,
        inferred: Runtime,
        before: Option<&Version>,
    ) -> Result<FunctionSpec, DeployError> {
        let mut spec = body.to_spec(inferred)?;
        if before.is_none() {
            self.check_runtime(spec.runtime)?;
        }
        if body.memory_mb.is_none() {
            spec.limits.memory = self.limits.memory;
        }
        if body.timeout.is_none() {
            spec.limits.timeout = self.limits.timeout;
        }
        if before.is_none_or(|before| before.limits.timeout != spec.limits.timeout) {
            self.check_timeout(spec.limits.timeout)?;
        }
        if before.is_none_or(|before| before.limits.memory != spec.limits.memory) {
            self.check_memory(spec.limits.memory)?;
        }
        let are_same = |before: &&Version| {
            before.secrets.values == spec.secrets.values
                && before.secrets.hosts == spec.secrets.hosts
        };
        match before.filter(are_same) {
            // The same secrets are the same version.
            Some(before) => spec.secrets = before.secrets.clone(),
            None => draw_random_parts(&mut spec.secrets)?,
        }
        Ok(spec)
    }

    fn check_timeout(&self, timeout: Duration) -> Result<(), DeployError> {
        if timeout <= self.limits.timeout_max {
            return Ok(());
        }
        let fault = format!(
            "{timeout:?}; this node allows at most {:?}",
            self.limits.timeout_max
        );
        Err(SpecError::member("Timeout", fault).into())
    }

    fn check_memory(&self, memory: MemoryMib) -> Result<(), DeployError> {
        if memory <= self.pool_memory {
            return Ok(());
        }
        let message = format!(
            "the function declares {memory}; this node has {}",
            self.pool_memory
        );
        Err(DeployError::Code {
            code: "exceeds_node",
            message,
        })
    }
}

/// The name of a function that there may be.
pub(crate) fn known_name(name: &str) -> Result<FunctionName, DeployError> {
    FunctionName::parse(name).map_err(|_| DeployError::Unknown(name.to_owned()))
}

/// The runtime of this name; `None` if it is empty.
pub(super) fn runtime(name: &str) -> Result<Option<Runtime>, SpecError> {
    Ok(if name.is_empty() {
        None
    } else {
        Some(name.parse()?)
    })
}

/// Draws the nonce that makes the digest of a version with secrets unpredictable, and the random part of placeholders.
fn draw_random_parts(secrets: &mut Secrets) -> Result<(), DeployError> {
    if secrets.values.is_empty() {
        return Ok(());
    }
    let failed = |error| PrepareError::Internal {
        attempt: "draw a random number".to_owned(),
        source: Box::new(error),
    };
    getrandom::fill(&mut secrets.nonce).map_err(failed)?;
    if !secrets.hosts.is_empty() {
        getrandom::fill(&mut secrets.seal).map_err(failed)?;
    }
    Ok(())
}

/// The recognised kind of code, and the remarks. There are no remarks about a module that its owner did not build.
pub(crate) fn described(
    runtime: Runtime,
    prepared: Prepared,
    remarks: Vec<String>,
) -> (String, Vec<String>) {
    match runtime {
        Runtime::JavaScript => {
            let recognised = match prepared.interface {
                Interface::Json => "JavaScript",
                Interface::Http => "JavaScript that answers requests",
            };
            (recognised.to_owned(), remarks)
        }
        Runtime::PythonWasm => ("Python".to_owned(), remarks),
        _ => (prepared.recognised.to_owned(), prepared.remarks),
    }
}

/// Adds a hint to the error of a missing container engine: much of what is written in JavaScript and Python needs none.
fn with_way_out(error: PrepareError, runtime: Runtime) -> PrepareError {
    match error {
        PrepareError::Unavailable { code, what, source } if runtime == Runtime::NodeJs => {
            let what = format!(
                "{what}; a script that needs nothing of Node.js runs without: --runtime javascript"
            );
            PrepareError::Unavailable { code, what, source }
        }
        PrepareError::Unavailable { code, what, source } if runtime == Runtime::Python => {
            let what = format!(
                "{what}; Python without compiled packages, threads and sockets runs without: --runtime python-wasm"
            );
            PrepareError::Unavailable { code, what, source }
        }
        other => other,
    }
}
