//! Asynchronous invocations: stored before they are accepted, run in the background by the node that has claimed them,
//! taken over when that node is gone. A call with an idempotency key is one of them, whose caller waits.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use serverledge_api::{Call, Stored, SubmitError, Submitted};
use serverledge_core::kv::KvError;
use serverledge_core::{Digest, InvocationError, InvocationId, Payload};
use serverledge_registry::{
    Acceptance, BlobError, IdempotencyKey, InvocationStoreError, NewInvocation, Retention,
    code_digest,
};
use tokio::sync::{Semaphore, oneshot};

use crate::admission::draining;
use crate::config::AsyncConfig;
use crate::deploy::unix_ms;
use crate::functions::Entry;
use crate::invoke::now;
use crate::node::Node;

mod callbacks;
mod claims;
mod counts;
mod dead_letters;
mod keyed;
mod outcome;
mod run;
mod table;
#[cfg(test)]
mod tests;

pub(crate) use callbacks::{Notifier, NotifyError};
pub(crate) use counts::InvocationMetrics;
use table::{Place, Table};

/// Callbacks that are sent at once.
const SENDS_MAX: usize = 64;
/// Take-overs at once; the registry commits them together.
const GRASPS_MAX: usize = 32;

/// Bounds of what is under way, and who is told of ends.
pub(crate) struct Asynchronous {
    pub(crate) config: AsyncConfig,
    pub(crate) notifier: Arc<dyn Notifier>,
    /// Longest wait of a call in the scheduler's queue.
    wait_max: Duration,
    permits: Semaphore,
    sends: Semaphore,
    grasps: Semaphore,
    table: Arc<Table>,
}

/// A request that is to be accepted.
struct Wanted {
    id: InvocationId,
    entry: Arc<Entry>,
    params: Bytes,
    qos_class: i64,
    deadline: Option<std::time::Instant>,
    may_offload: bool,
    stored: Stored,
    key: Option<IdempotencyKey>,
}

impl Asynchronous {
    pub(crate) fn new(
        config: AsyncConfig,
        wait_max: Duration,
        notifier: Arc<dyn Notifier>,
    ) -> Self {
        let permits = Semaphore::new(config.concurrency_max);
        let (sends, grasps) = (Semaphore::new(SENDS_MAX), Semaphore::new(GRASPS_MAX));
        Self {
            config,
            notifier,
            wait_max,
            permits,
            sends,
            grasps,
            table: Arc::default(),
        }
    }

    /// How long outcomes are kept.
    pub(crate) fn retention(&self) -> Retention {
        Retention {
            result: self.config.result_ttl,
            dead_letter: self.config.dead_letter_ttl,
        }
    }
}

impl Node {
    /// Accepts an invocation: stored when this returns. If the future is dropped it may still be accepted, and then runs.
    pub(crate) async fn submit(self: &Arc<Self>, call: Call) -> Result<Submitted, SubmitError> {
        let wanted = self.wanted(call)?;
        let Some(place) = self
            .asynchronous
            .table
            .enter(wanted.id, self.asynchronous.config.queued_max)
        else {
            return self.repeated_although_full(&wanted).await;
        };
        let node = Arc::clone(self);
        let (sender, answer) = oneshot::channel();
        // Apart from the request: a caller that goes away must leave neither a taken place nor a stored invocation that
        // nobody runs.
        self.background.spawn(async move {
            let _ = sender.send(node.accept(wanted, place).await);
        });
        answer.await.unwrap_or_else(|_| Err(draining().into()))
    }

    fn wanted(&self, call: Call) -> Result<Wanted, SubmitError> {
        let entry = self.lookup(&call.caller.space, call.function.as_str())?;
        let Payload::Json(params) = call.payload else {
            return Err(InvocationError::Request {
                code: "not_json",
                message: "an asynchronous invocation takes JSON parameters".to_owned(),
            }
            .into());
        };
        if let Some(url) = &call.stored.callback {
            self.asynchronous
                .notifier
                .check(url)
                .map_err(|why| SubmitError::Callback { why })?;
        }
        let ttl =
            u64::try_from(self.asynchronous.config.idempotency_ttl.as_millis()).unwrap_or(u64::MAX);
        let key = call.stored.key.as_ref().map(|key| IdempotencyKey {
            key: code_digest(key.as_str().as_bytes()),
            payload: payload_digest(&params, call.stored.return_output),
            expires_unix_ms: unix_ms().saturating_add(ttl),
        });
        let Call {
            id,
            qos_class,
            deadline,
            may_offload,
            stored,
            ..
        } = call;
        Ok(Wanted {
            id,
            entry,
            params,
            qos_class,
            deadline,
            may_offload,
            stored,
            key,
        })
    }

    async fn accept(
        self: &Arc<Self>,
        wanted: Wanted,
        place: Place,
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

    /// What was accepted before needs no place.
    async fn repeated_although_full(&self, wanted: &Wanted) -> Result<Submitted, SubmitError> {
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
            waiting: self.asynchronous.table.open(),
        })
    }
}

/// Of the parameters as they were sent, and of what else shapes the answer.
fn payload_digest(params: &[u8], return_output: bool) -> Digest {
    let mut hasher = blake3::Hasher::new();
    hasher.update(&[u8::from(return_output)]);
    hasher.update(params);
    Digest::new(*hasher.finalize().as_bytes())
}

/// A moment, given how long it is till then.
fn later(now_unix_ms: u64, left: Duration) -> u64 {
    now_unix_ms.saturating_add(u64::try_from(left.as_millis()).unwrap_or(u64::MAX))
}

/// How long it is till a moment.
fn until(unix_milliseconds: u64) -> Duration {
    Duration::from_millis(unix_milliseconds.saturating_sub(unix_ms()))
}

/// Between half and the whole of a pause, so that those who wait for the same thing do not come back together.
pub(crate) fn jittered(pause: Duration) -> Duration {
    let mut byte = [0];
    let share = getrandom::fill(&mut byte).map_or(128, |()| u32::from(byte[0]));
    pause / 2 + pause / 512 * share
}

impl Asynchronous {
    /// Waits until nothing that was begun runs any more, at most until then; says whether that is so. For a node that drains:
    /// what is not begun is left.
    pub(crate) async fn ended_by(&self, until: tokio::time::Instant) -> bool {
        let all = u32::try_from(self.config.concurrency_max).unwrap_or(u32::MAX);
        tokio::time::timeout_at(until, self.permits.acquire_many(all))
            .await
            .is_ok()
    }
}

/// Whether the registry may do later what it did not do now.
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
        InvocationStoreError::KeyReused { first } => SubmitError::KeyReused { first },
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
