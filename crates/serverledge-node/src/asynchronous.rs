//! Asynchronous invocations: stored before they are accepted, run in the background by the node that has claimed them,
//! and taken over when that node is gone. A call with an idempotency key is such an invocation whose caller waits.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use serverledge_api::{ClientCall, Identity, InvocationOptions, SubmitError, Submitted};
use serverledge_core::kv::KvError;
use serverledge_core::{
    Call, Digest, InvocationError, InvocationId, Payload, PropagatedContext, whole_millis,
};
use serverledge_registry::{
    Acceptance, BlobError, IdempotencyKey, InvocationStore, InvocationStoreError, NewInvocation,
    Retention, code_digest,
};
use tokio::sync::{Semaphore, oneshot};

use crate::admission::{Admissions, draining};
use crate::background::Background;
use crate::clock::{later, now, unix_ms};
use crate::cluster::membership::Membership;
use crate::config::{AsyncConfig, Config};
use crate::functions::preparing::unheard::FunctionFinder;
use crate::functions::resources::FunctionResources;
use crate::functions::{FunctionEntry, Functions};
use crate::invoke::Invoker;
use crate::metrics::Metrics;
use crate::program::foundation::Foundation;
use crate::telemetry::Sampler;

mod callbacks;
mod claims;
mod dead_letters;
pub(crate) mod notifier;
mod outcome;
pub(crate) mod read;
mod run;
mod table;
#[cfg(test)]
mod tests;

pub(crate) use callbacks::{Notifier, NotifyError};
use table::{WorkPlace, WorkTable};

/// Most callbacks that are sent at once.
const SENDS_MAX: usize = 64;
/// Most take-overs at once; the registry commits them together.
const TAKE_OVERS_MAX: usize = 32;

/// The service that accepts asynchronous invocations and works on them.
pub(crate) struct AsyncWorker {
    config: AsyncConfig,
    notifier: Arc<dyn Notifier>,
    invoker: Arc<Invoker>,
    functions: Arc<Functions>,
    finder: FunctionFinder,
    admissions: Admissions,
    invocations: InvocationStore,
    membership: Arc<Membership>,
    metrics: Arc<Metrics>,
    identity: Identity,
    background: Background,
    /// Longest wait of a call in the scheduler's queue.
    wait_max: Duration,
    permits: Semaphore,
    sends: Semaphore,
    take_overs: Semaphore,
    table: Arc<WorkTable>,
    /// The choice of traces that are recorded.
    sampler: Sampler,
}

/// A request that is yet to be accepted.
struct Submission {
    id: InvocationId,
    entry: Arc<FunctionEntry>,
    params: Bytes,
    qos_class: i64,
    deadline: Option<std::time::Instant>,
    propagated: Option<Arc<PropagatedContext>>,
    may_offload: bool,
    stored: InvocationOptions,
    key: Option<IdempotencyKey>,
}

/// The lifetimes of stored outcomes.
pub(crate) const fn retention(config: &AsyncConfig) -> Retention {
    Retention {
        result: config.result_ttl,
        dead_letter: config.dead_letter_ttl,
    }
}

impl AsyncWorker {
    pub(crate) fn new(
        base: Foundation,
        config: &Config,
        invoker: Arc<Invoker>,
        notifier: Arc<dyn Notifier>,
    ) -> Self {
        let FunctionResources {
            functions,
            admissions,
            metrics,
            ..
        } = base.resources;
        Self {
            permits: Semaphore::new(config.asynchronous.concurrency_max),
            config: config.asynchronous.clone(),
            notifier,
            invoker,
            functions,
            finder: base.finder,
            admissions,
            invocations: base.invocations,
            membership: base.membership,
            metrics,
            identity: base.identity,
            background: base.background,
            wait_max: config.queue.wait_max,
            sends: Semaphore::new(SENDS_MAX),
            take_overs: Semaphore::new(TAKE_OVERS_MAX),
            table: Arc::default(),
            sampler: Sampler::new(&config.tracing),
        }
    }

    /// Accepts an invocation: it is stored when this returns. If the future is dropped it may still be accepted, and
    /// then runs.
    async fn enqueue(self: &Arc<Self>, call: ClientCall) -> Result<Submitted, SubmitError> {
        let wanted = self.wanted(call)?;
        let Some(place) = self.table.enter(wanted.id, self.config.queued_max) else {
            return self.repeated_although_full(&wanted).await;
        };
        let worker = Arc::clone(self);
        let (sender, answer) = oneshot::channel();
        // Apart from the request: a caller that goes away must leave neither a taken place nor a stored invocation that
        // nobody runs.
        self.background.spawn(async move {
            let _ = sender.send(worker.accept(wanted, place).await);
        });
        answer.await.unwrap_or_else(|_| Err(draining().into()))
    }

    fn wanted(&self, call: ClientCall) -> Result<Submission, SubmitError> {
        let entry = self
            .functions
            .resolve(&call.caller.space, call.call.function.as_str())?;
        let Payload::Json(params) = call.call.payload else {
            return Err(InvocationError::Request {
                code: "not_json",
                message: "an asynchronous invocation takes JSON parameters".to_owned(),
            }
            .into());
        };
        if let Some(url) = &call.stored.callback {
            self.notifier
                .check(url)
                .map_err(|why| SubmitError::Callback { why })?;
        }
        let ttl = whole_millis(self.config.idempotency_ttl);
        let key = call.stored.key.as_ref().map(|key| IdempotencyKey {
            key: code_digest(key.as_str().as_bytes()),
            payload: payload_digest(&params, call.stored.return_output),
            expires_unix_ms: unix_ms().saturating_add(ttl),
        });
        let ClientCall {
            call:
                Call {
                    id,
                    qos_class,
                    deadline,
                    context,
                    ..
                },
            stored,
            ..
        } = call;
        let may_offload = context.may_offload;
        Ok(Submission {
            id,
            entry,
            params,
            qos_class,
            deadline,
            propagated: context.propagated,
            may_offload,
            stored,
            key,
        })
    }

    async fn accept(
        self: &Arc<Self>,
        wanted: Submission,
        place: WorkPlace,
    ) -> Result<Submitted, SubmitError> {
        let now_unix_ms = unix_ms();
        let left = wanted
            .deadline
            .map(|deadline| deadline.saturating_duration_since(now()));
        let id = wanted.id;
        let new = NewInvocation {
            id,
            function: &wanted.entry.function,
            params: &wanted.params,
            qos_class: wanted.qos_class,
            deadline_unix_ms: left.map(|left| later(now_unix_ms, left)),
            trace: wanted.propagated.as_deref(),
            may_offload: wanted.may_offload,
            return_output: wanted.stored.return_output,
            callback: wanted.stored.callback,
            key: wanted.key,
        };
        match self
            .invocations
            .accept(&new, self.membership.owner(), now_unix_ms)
            .await
        {
            Ok(Acceptance::Accepted(held)) => {
                self.metrics.invocations.accepted();
                self.work_on(*held, place);
                Ok(Submitted {
                    id,
                    repeated: false,
                })
            }
            Ok(Acceptance::Repeated(first)) => Ok(Submitted {
                id: first,
                repeated: true,
            }),
            Err(error) => Err(submit_fault(error)),
        }
    }

    /// The first invocation with the same idempotency key, which needs no place in a full queue; else the refusal.
    async fn repeated_although_full(&self, wanted: &Submission) -> Result<Submitted, SubmitError> {
        if let Some(key) = &wanted.key {
            let first = self
                .invocations
                .repeated(&wanted.entry.function, key, unix_ms())
                .await
                .map_err(submit_fault)?;
            if let Some(id) = first {
                return Ok(Submitted { id, repeated: true });
            }
        }
        Err(SubmitError::Full {
            waiting: self.table.open(),
        })
    }

    /// Waits until no begun invocation runs any more, at most until then; returns whether that is so. For a node that
    /// drains: invocations that have not begun are left.
    pub(crate) async fn ended_by(&self, until: tokio::time::Instant) -> bool {
        let all = u32::try_from(self.config.concurrency_max).unwrap_or(u32::MAX);
        tokio::time::timeout_at(until, self.permits.acquire_many(all))
            .await
            .is_ok()
    }
}

/// The digest of the parameters as they were sent, and of the options that change the response.
fn payload_digest(params: &[u8], return_output: bool) -> Digest {
    let mut hasher = blake3::Hasher::new();
    hasher.update(&[u8::from(return_output)]);
    hasher.update(params);
    Digest::new(*hasher.finalize().as_bytes())
}

/// Whether the registry may accept later what it refused now.
fn is_passing(error: &InvocationStoreError) -> bool {
    let kv = |error: &KvError| {
        matches!(
            error,
            KvError::Unavailable { .. } | KvError::RegistryFull | KvError::Compacted { .. }
        )
    };
    match error {
        InvocationStoreError::Kv(error) | InvocationStoreError::Blob(BlobError::Kv(error)) => {
            kv(error)
        }
        InvocationStoreError::Blob(BlobError::Contended { .. }) => true,
        _ => false,
    }
}

fn submit_fault(error: InvocationStoreError) -> SubmitError {
    match error {
        InvocationStoreError::KeyReused(first) => SubmitError::KeyReused { first },
        other => store_fault(other).into(),
    }
}

fn store_fault(error: InvocationStoreError) -> InvocationError {
    let full = matches!(
        error,
        InvocationStoreError::Kv(KvError::RegistryFull)
            | InvocationStoreError::Blob(BlobError::Kv(KvError::RegistryFull))
    );
    let code = if full {
        "registry_full"
    } else {
        "registry_unavailable"
    };
    InvocationError::Dependency {
        what: "the registry",
        code,
        source: Box::new(error),
    }
}
