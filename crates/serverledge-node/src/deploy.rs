//! Deploying, deleting, prewarming. Everything slow happens here, and nothing is stored before it has succeeded.

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serverledge_api::{Deploy, DeployError, Deployed};
use serverledge_core::{Function, FunctionName, FunctionSpec, InvocationError, PrepareError, Version};
use serverledge_registry::{self as registry, code_digest};
use serverledge_wire::function::{FunctionBody, SpecError};

use crate::code::{self, Code};
use crate::node::Node;

impl Node {
    /// Checks, prepares, stores; then the function is known here at once, and elsewhere through the registry's watch.
    pub(crate) async fn deploy(&self, mode: Deploy, request: FunctionBody<'_>) -> Result<Deployed, DeployError> {
        let (spec, code) = self.check(&request)?;
        if mode == Deploy::Create && self.functions.get(spec.name.as_str()).is_some() {
            return Err(DeployError::Exists(spec.name));
        }
        let version = Arc::new(registry::version(&spec, code_digest(&code.bytes)));
        let prepared = self.executor.prepare(&version, code.bytes.clone()).await?;
        let function = Function {
            space: self.space.clone(),
            name: spec.name,
            version,
            interface: prepared.interface,
            flags: spec.flags,
            signature: spec.signature,
        };
        let now = unix_ms();
        let stored = match mode {
            Deploy::Create => self.store.create(&function, &code.bytes, now).await,
            Deploy::Update => self.store.replace(&function, &code.bytes, now).await,
        };
        let revision = stored.map_err(registry_error)?;
        for old in self.functions.put([(function.clone(), revision)]) {
            self.retire(&old, Some(&function.version)).await;
        }
        Ok(Deployed {
            function: Arc::new(function),
            recognised: prepared.recognised.to_owned(),
            remarks: prepared.remarks,
        })
    }

    /// Everything that can be said without running anything.
    fn check(&self, request: &FunctionBody<'_>) -> Result<(FunctionSpec, Code), DeployError> {
        // The name first, as Serverledge; then the runtime, before any code is looked at.
        FunctionName::parse(&request.name).map_err(SpecError::from)?;
        if !request.runtime.is_empty() {
            let runtime = request.runtime.parse().map_err(SpecError::from)?;
            Self::check_runtime(runtime)?;
        }
        let code = code::extract(&request.tar_function_code, &request.handler, self.limits.code_bytes_max)?;
        let mut spec = request.to_spec(code.inferred)?;
        Self::check_runtime(spec.runtime)?;
        self.apply_limits(request, &mut spec)?;
        Ok((spec, code))
    }

    fn apply_limits(&self, request: &FunctionBody<'_>, spec: &mut FunctionSpec) -> Result<(), DeployError> {
        let limits = &mut spec.limits;
        if request.memory_mb.is_none() {
            limits.memory = self.limits.memory;
        }
        if request.timeout.is_none() {
            limits.timeout = self.limits.timeout;
        }
        if limits.timeout > self.limits.timeout_max {
            let fault = format!("{:?}; this node allows at most {:?}", limits.timeout, self.limits.timeout_max);
            return Err(SpecError::Member { member: "Timeout", fault }.into());
        }
        if limits.memory > self.pool_memory {
            let message = format!("the function declares {}; this node has {}", limits.memory, self.pool_memory);
            return Err(DeployError::Code { code: "exceeds_node", message });
        }
        Ok(())
    }

    /// Deletes a function; invocations that run end as they would have.
    pub(crate) async fn delete(&self, name: &str) -> Result<(), DeployError> {
        let unknown = || DeployError::Unknown(name.to_owned());
        let parsed = FunctionName::parse(name).map_err(|_| unknown())?;
        let deleted = self.store.delete(&self.space, &parsed).await.map_err(|error| registry_error(error.into()))?;
        if let Some(gone) = self.functions.remove_seen(&parsed) {
            self.metrics.forget(name);
            self.retire(&gone, None).await;
        }
        if deleted { Ok(()) } else { Err(unknown()) }
    }

    /// A version that no name is bound to any more needs no memory.
    pub(crate) async fn retire(&self, old: &Function, successor: Option<&Version>) {
        if successor.is_none_or(|new| new.code != old.version.code) {
            self.executor.forget(&old.version).await;
        }
    }

    /// Loads what the function needs. Wasm instances are made for each call and never kept, so that a loaded module is
    /// ready for as many as the node can run at once.
    pub(crate) async fn prewarm(self: &Arc<Self>, name: &str, instances: i64) -> Result<i64, InvocationError> {
        let entry = self.lookup(name)?;
        let version = &entry.function.version;
        self.executor.start(version).await.map_err(|error| self.start_failed(&entry.function, error))?;
        let capacity = self.admissions.snapshot().capacity;
        let fit = capacity.memory.get() / version.limits.memory.get().max(1);
        let most = i64::try_from(fit.min(u64::from(capacity.slots))).unwrap_or(i64::MAX);
        Ok(instances.clamp(0, most))
    }

    /// Prepares what a start found missing, once however many ask.
    pub(crate) fn prepare_in_background(self: &Arc<Self>, function: Arc<Function>) {
        if self.preparing.lock().insert(function.version.code) {
            let node = Arc::clone(self);
            self.background.spawn(async move {
                node.prepare_again(&function).await;
                node.preparing.lock().remove(&function.version.code);
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
            Err(error) => return tracing::warn!(%name, %error, "failed to read the function's code"),
        };
        match self.executor.prepare(version, code).await {
            Ok(_) => tracing::info!(%name, "prepared anew"),
            Err(error) => tracing::error!(%name, %error, "failed to prepare"),
        }
    }
}

pub(crate) fn unix_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

fn registry_error(error: registry::DeployError) -> DeployError {
    use serverledge_core::kv::KvError;
    match error {
        registry::DeployError::Exists { name } => DeployError::Exists(name),
        registry::DeployError::Kv(KvError::RegistryFull) => {
            DeployError::Registry { code: "registry_full", source: Box::new(error) }
        }
        registry::DeployError::Digest { .. } => DeployError::Prepare(PrepareError::Internal {
            attempt: "store the function".to_owned(),
            source: Box::new(error),
        }),
        registry::DeployError::Kv(_) | registry::DeployError::Code(_) => {
            DeployError::Registry { code: "registry_unavailable", source: Box::new(error) }
        }
    }
}
