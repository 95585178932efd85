//! Deploying, deleting, prewarming. Everything slow happens here, and nothing is stored before it has succeeded.

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use serverledge_api::{Deploy, DeployError, Deployed, QuotaExceeded};
use serverledge_core::{
    Digest, Function, FunctionName, FunctionSpec, InvocationError, PrepareError, Progress, Runtime,
    Sandbox, SpaceId, Version,
};
use serverledge_registry::{self as registry, code_digest};
use serverledge_scheduler::{Pooled, SandboxId};
use serverledge_wire::function::{FunctionBody, SpecError};
use tokio::sync::oneshot;

use crate::admission::{Admissions, draining};
use crate::code::{self, Code};
use crate::functions::{self, Entry, Known};
use crate::javascript::{self, Made};
use crate::node::Node;

impl Node {
    /// Checks, prepares, stores; then the function is known here at once, and elsewhere through the registry's watch.
    pub(crate) async fn deploy(
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
        let source = self.with_dependencies(space, code.bytes, spec.runtime, &spec.handler)?;
        self.check_quota(
            space,
            &spec.name,
            (&code_digest(&source), source.len() as u64),
        )?;
        let Made {
            code: bytes,
            remark,
        } = self.make(&spec, source, progress).await?;
        let version = Arc::new(registry::version(&spec, code_digest(&bytes)));
        let code_bytes = bytes.len() as u64;
        let executor = self.executors.of(version.runtime);
        // Checked with everything else that needs no executor.
        let executor =
            executor.ok_or_else(|| DeployError::Unsupported(version.runtime.to_string()))?;
        let prepared = executor.prepare(&version, bytes.clone(), progress).await;
        let prepared = prepared.map_err(|error| with_way_out(error, version.runtime))?;
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
            Deploy::Create => self.store.create(&function, &bytes, now).await,
            Deploy::Update => self.store.replace(&function, &bytes, now).await,
        };
        let revision = stored.map_err(registry_error)?;
        let known = Known {
            function: Arc::new(function.clone()),
            revision,
            code_bytes,
        };
        for old in self.functions.put([known]) {
            self.retire(&old, Some(&function.version)).await;
        }
        drop(turn);
        let is_script = function.version.runtime == Runtime::JavaScript;
        Ok(Deployed {
            function: Arc::new(function),
            recognised: if is_script {
                "JavaScript"
            } else {
                prepared.recognised
            }
            .to_owned(),
            // A module that its owner did not build is not remarked upon.
            remarks: if is_script {
                remark.into_iter().collect()
            } else {
                prepared.remarks
            },
        })
    }

    /// The code of a version: what was sent, or what is made of it.
    pub(crate) async fn make(
        &self,
        spec: &FunctionSpec,
        source: Bytes,
        progress: &dyn Progress,
    ) -> Result<Made, DeployError> {
        if spec.runtime != Runtime::JavaScript {
            return Ok(Made {
                code: source,
                remark: None,
            });
        }
        let snapshots = self.executors.snapshots.as_ref();
        let snapshots =
            snapshots.ok_or_else(|| DeployError::Unsupported(spec.runtime.to_string()))?;
        let max = self.limits.code_bytes_max;
        if source.len() > max {
            return Err(DeployError::Code {
                code: "code_too_large",
                message: format!("the code has more than {max} bytes"),
            });
        }
        javascript::make(snapshots, spec, &source, progress).await
    }

    /// Whether the owner of the space, if there is one, may bind code of this length to the name.
    pub(crate) fn check_quota(
        &self,
        space: &SpaceId,
        name: &FunctionName,
        code: (&Digest, u64),
    ) -> Result<(), QuotaExceeded> {
        let checked = self.quotas.check_deploy(&self.functions, space, name, code);
        checked.inspect_err(|exceeded| self.metrics.quota_refused(exceeded.code))
    }

    /// Everything that can be said without running anything.
    pub(crate) fn check(
        &self,
        request: &FunctionBody<'_>,
    ) -> Result<(FunctionSpec, Code), DeployError> {
        // The name first, as Serverledge; then the runtime, before any code is looked at.
        FunctionName::parse(&request.name).map_err(SpecError::from)?;
        let said = match &*request.runtime {
            "" => None,
            said => Some(said.parse().map_err(SpecError::from)?),
        };
        if let Some(runtime) = said {
            self.check_runtime(runtime)?;
        }
        if said == Some(Runtime::Custom) {
            return self.check_custom(request);
        }
        let max = self.limits.code_bytes_max;
        let mut code = code::extract(&request.tar_function_code, said, &request.handler, max)?;
        // What only containers can do says which of the two runtimes of scripts is meant.
        let asks_container =
            request.max_concurrency > 1 || !matches!(&*request.network, "" | "none");
        if said.is_none() && code.inferred == Runtime::JavaScript && asks_container {
            code.inferred = Runtime::NodeJs;
        }
        let mut spec = request.to_spec(code.inferred)?;
        self.check_runtime(spec.runtime)?;
        self.complete(request, &mut spec)?;
        Ok((spec, code))
    }

    /// The code of a custom function is its image, by name.
    fn check_custom(
        &self,
        request: &FunctionBody<'_>,
    ) -> Result<(FunctionSpec, Code), DeployError> {
        let mut spec = request.to_spec(Runtime::Custom)?;
        self.complete(request, &mut spec)?;
        let code = Code {
            bytes: Bytes::from(spec.image.clone()),
            inferred: Runtime::Custom,
        };
        Ok((spec, code))
    }

    fn complete(
        &self,
        request: &FunctionBody<'_>,
        spec: &mut FunctionSpec,
    ) -> Result<(), DeployError> {
        if !spec.secrets.values.is_empty() {
            getrandom::fill(&mut spec.secrets.nonce).map_err(|error| PrepareError::Internal {
                attempt: "draw a random number".to_owned(),
                source: Box::new(error),
            })?;
        }
        self.apply_limits(request, spec)
    }

    fn apply_limits(
        &self,
        request: &FunctionBody<'_>,
        spec: &mut FunctionSpec,
    ) -> Result<(), DeployError> {
        let limits = &mut spec.limits;
        if request.memory_mb.is_none() {
            limits.memory = self.limits.memory;
        }
        if request.timeout.is_none() {
            limits.timeout = self.limits.timeout;
        }
        if limits.timeout > self.limits.timeout_max {
            let fault = format!(
                "{:?}; this node allows at most {:?}",
                limits.timeout, self.limits.timeout_max
            );
            return Err(SpecError::Member {
                member: "Timeout",
                fault,
            }
            .into());
        }
        if limits.memory > self.pool_memory {
            let message = format!(
                "the function declares {}; this node has {}",
                limits.memory, self.pool_memory
            );
            return Err(DeployError::Code {
                code: "exceeds_node",
                message,
            });
        }
        Ok(())
    }

    /// Deletes a function; invocations that run end as they would have.
    pub(crate) async fn delete(&self, space: &SpaceId, name: &str) -> Result<(), DeployError> {
        let unknown = || DeployError::Unknown(name.to_owned());
        let parsed = FunctionName::parse(name).map_err(|_| unknown())?;
        let deleted = self
            .store
            .delete(space, &parsed)
            .await
            .map_err(|error| registry_error(error.into()))?;
        let revision = deleted.ok_or_else(unknown)?;
        if let Some(gone) = self.functions.remove(space, &parsed, revision) {
            self.forget_deleted(&gone).await;
        }
        Ok(())
    }

    /// A version that no name is bound to any more needs no memory.
    pub(crate) async fn retire(&self, old: &Function, successor: Option<&Version>) {
        if let Some(pooled) = functions::pooled(old)
            && successor.is_none_or(|new| is_another(old, new))
        {
            self.admissions.retire(pooled.key);
        }
        if successor.is_none_or(|new| new.code != old.version.code)
            && let Some(executor) = self.executors.of(old.version.runtime)
        {
            executor.forget(&old.version).await;
        }
    }

    /// Makes the next calls warm. Of pooled sandboxes so many are started, as far as there is room; wasm instances are
    /// made for each call and never kept, so that a loaded module is ready for as many as the node can run at once.
    pub(crate) async fn prewarm(
        self: &Arc<Self>,
        space: &SpaceId,
        name: &str,
        instances: i64,
    ) -> Result<i64, InvocationError> {
        let entry = self.lookup(space, name)?;
        if let Some(pooled) = entry.pooled {
            return self
                .prewarm_pooled(&entry, pooled, usize::try_from(instances).unwrap_or(0))
                .await;
        }
        self.start_sandbox(&entry.function).await?;
        let capacity = self.admissions.snapshot().capacity;
        let fit = capacity.memory.get() / entry.function.version.limits.memory.get().max(1);
        let most = i64::try_from(fit.min(u64::from(capacity.slots))).unwrap_or(i64::MAX);
        Ok(instances.clamp(0, most))
    }

    /// In tasks of their own: a caller that goes away leaves what was begun to the calls to come.
    async fn prewarm_pooled(
        self: &Arc<Self>,
        entry: &Arc<Entry>,
        pooled: Pooled,
        count: usize,
    ) -> Result<i64, InvocationError> {
        let ids = self
            .admissions
            .prewarm(entry.arrival().demand, pooled, count);
        let starts = ids.into_iter().map(|id| {
            let (node, function) = (Arc::clone(self), Arc::clone(&entry.function));
            let (sender, receiver) = oneshot::channel();
            let room = Prewarming {
                id: Some(id),
                admissions: self.admissions.clone(),
            };
            self.background.spawn(async move {
                let started = node.start_sandbox(&function).await;
                let _ = sender.send(started.map(|started| room.up(started.sandbox)));
            });
            receiver
        });
        let receivers: Vec<_> = starts.collect();
        let (mut up, mut failed) = (0, None);
        for receiver in receivers {
            match receiver.await.unwrap_or_else(|_| Err(draining())) {
                Ok(()) => up += 1,
                Err(error) => failed = Some(error),
            }
        }
        match failed {
            Some(error) if up == 0 => Err(error),
            _ => Ok(up),
        }
    }

    /// Prepares what a start found missing, once however many ask.
    pub(crate) fn prepare_in_background(self: &Arc<Self>, function: Arc<Function>) {
        if self.preparing.lock().insert(function.version.digest) {
            let node = Arc::clone(self);
            self.background.spawn(async move {
                node.prepare_again(&function).await;
                node.preparing.lock().remove(&function.version.digest);
            });
        }
    }

    /// Prepares a deployed function from its stored code: after an upgrade of the node, or a lost cache.
    pub(crate) async fn prepare_again(&self, function: &Function) {
        let (name, version) = (&function.name, &function.version);
        let code = match self.store.blobs().get(&version.code).await {
            Ok(Some(code)) => code,
            Ok(None) => {
                return tracing::error!(%name, code = %version.code, "the function's code is not in the registry");
            }
            Err(error) => {
                return tracing::warn!(%name, %error, "failed to read the function's code");
            }
        };
        let Some(executor) = self.executors.of(version.runtime) else {
            return tracing::warn!(%name, runtime = %version.runtime, "this node has no executor for the function");
        };
        match executor.prepare(version, code, &()).await {
            Ok(_) => tracing::info!(%name, "prepared anew"),
            Err(error) => tracing::error!(%name, %error, "failed to prepare"),
        }
    }
}

/// Where there is no engine for containers, many scripts need none.
fn with_way_out(error: PrepareError, runtime: Runtime) -> PrepareError {
    match error {
        PrepareError::Unavailable { code, what, source } if runtime == Runtime::NodeJs => {
            let what = format!(
                "{what}; a script that needs nothing of Node.js runs without: --runtime javascript"
            );
            PrepareError::Unavailable { code, what, source }
        }
        other => other,
    }
}

/// Whether sandboxes of the old version are of no use to the new one. An image's name says nothing of what it names now.
fn is_another(old: &Function, new: &Version) -> bool {
    new.digest != old.version.digest || new.runtime == Runtime::Custom
}

/// Room for a sandbox that no call waits for; given back unless the sandbox comes up.
struct Prewarming {
    id: Option<SandboxId>,
    admissions: Admissions,
}

impl Prewarming {
    fn up(mut self, sandbox: Box<dyn Sandbox>) {
        if let Some(id) = self.id.take() {
            self.admissions.prewarmed(id, sandbox);
        }
    }
}

impl Drop for Prewarming {
    fn drop(&mut self) {
        if let Some(id) = self.id.take() {
            self.admissions.not_prewarmed(id);
        }
    }
}

pub(crate) fn unix_ms() -> u64 {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or(Duration::ZERO);
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

pub(crate) fn registry_fault(
    code: &'static str,
    error: impl std::error::Error + Send + Sync + 'static,
) -> DeployError {
    DeployError::Registry {
        code,
        source: Box::new(error),
    }
}

pub(crate) fn registry_error(error: registry::DeployError) -> DeployError {
    use serverledge_core::kv::KvError;
    use serverledge_registry::BlobError;
    match error {
        registry::DeployError::Exists { name } => DeployError::Exists(name),
        registry::DeployError::SpaceGone { .. } => DeployError::SpaceGone,
        registry::DeployError::Contended { name } | registry::DeployError::Changed { name } => {
            DeployError::Contended(name)
        }
        registry::DeployError::Kv(KvError::RegistryFull)
        | registry::DeployError::Code(BlobError::Kv(KvError::RegistryFull)) => {
            registry_fault("registry_full", error)
        }
        registry::DeployError::Digest { .. } => DeployError::Prepare(PrepareError::Internal {
            attempt: "store the function".to_owned(),
            source: Box::new(error),
        }),
        registry::DeployError::Kv(_) | registry::DeployError::Code(_) => {
            registry_fault("registry_unavailable", error)
        }
    }
}
