//! Callbacks: requests to a caller's URL that report an invocation's end, sent by the node that has claimed it, once
//! the outcome is stored. They are sent at least once: the claim stays until the callback is delivered or given up, so
//! that a node that takes over goes on with it.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use serverledge_core::{InvocationId, PropagatedContext, TraceContext, TraceIds};
use serverledge_registry::Held;
use serverledge_wire::records::{CallbackRecord, CallbackState};

use super::outcome::info;
use super::{AsyncWorker, is_passing};
use crate::clock::unix_ms;
use crate::clock::{jittered, later, until};

/// Pause after the first attempt; each further one is four times as long, up to [`PAUSE_MAX`], with jitter.
const PAUSE_MIN: Duration = Duration::from_secs(1);
/// Longest pause between two attempts.
const PAUSE_MAX: Duration = Duration::from_secs(600);
/// Pause after the registry failed.
const RETRY_PAUSE: Duration = Duration::from_secs(2);
/// Longest error text of a failed attempt that is stored.
const ERROR_BYTES_MAX: usize = 512;

/// The sender of callbacks.
#[async_trait]
pub(crate) trait Notifier: Send + Sync + fmt::Debug {
    /// Whether callbacks may go to this URL, as far as the URL shows. Called before the invocation is accepted.
    fn check(&self, url: &str) -> Result<(), String>;

    /// Makes one attempt, as a part of this trace. Dropping the future ends it; the receiver may have got the request all
    /// the same.
    async fn send(
        &self,
        url: &str,
        id: InvocationId,
        trace: &TraceContext,
        body: Bytes,
    ) -> Result<(), NotifyError>;
}

/// A failed attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct NotifyError {
    /// Whether another attempt would fail as well.
    pub(crate) is_final: bool,
    /// The cause, without anything that its reader may not know.
    pub(crate) message: String,
}

impl AsyncWorker {
    /// Sends the callback, retrying for as long as the claim stands. Between attempts only the id is held in memory.
    pub(super) async fn call_back(self: &Arc<Self>, id: InvocationId) {
        loop {
            let held = match self.invocations.held(id, self.membership.owner()).await {
                Ok(Some(held)) => held,
                Ok(None) => return,
                Err(error) if is_passing(&error) => {
                    tokio::time::sleep(jittered(RETRY_PAUSE)).await;
                    continue;
                }
                Err(error) => return tracing::error!(%id, %error, "a callback cannot be sent"),
            };
            let Some(callback) = held
                .record
                .callback
                .clone()
                .filter(|one| one.state == CallbackState::Pending)
            else {
                return;
            };
            match callback
                .next_unix_ms
                .map(until)
                .filter(|wait| !wait.is_zero())
            {
                Some(wait) => {
                    drop(held);
                    tokio::time::sleep(wait).await;
                }
                None => self.attempt(&held, callback).await,
            }
        }
    }

    async fn attempt(&self, held: &Held, callback: CallbackRecord) {
        let result = match self.invocations.result(held).await {
            Ok(result) => result,
            Err(error) if is_passing(&error) => {
                tracing::warn!(id = %held.id, %error, "a callback waits for the result that it tells");
                return tokio::time::sleep(jittered(RETRY_PAUSE)).await;
            }
            // It will never be readable: the callback tells the rest.
            Err(error) => {
                tracing::error!(id = %held.id, %error, "a result cannot be read; its callback goes without it");
                None
            }
        };
        let mut body = info(held, result.as_deref());
        body.history.clear();
        body.callback = None;
        // The type has string keys and no failing serializers.
        let body = Bytes::from(serde_json::to_vec(&body).unwrap_or_default());
        let sent = {
            let Ok(_permit) = self.sends.acquire().await else {
                return;
            };
            let trace = self.trace(held);
            self.notifier
                .send(&callback.url, held.id, &trace, body)
                .await
        };
        let told = after(callback, sent, self.config.callback_attempts_max);
        self.metrics.invocations.called_back(told.state);
        if let Err(error) = self.invocations.note_callback(held, told, unix_ms()).await {
            // It may be sent once more: at least once is what is promised.
            tracing::warn!(id = %held.id, %error, "how far a callback has come is not stored");
            tokio::time::sleep(jittered(RETRY_PAUSE)).await;
        }
    }
}

impl AsyncWorker {
    /// The trace of an invocation, for its callback.
    fn trace(&self, held: &Held) -> TraceContext {
        let caller = propagated(held);
        let ids = TraceIds::of(held.id, held.id, None, caller.as_deref());
        let flags = self.sampler.flags(ids.trace).unwrap_or_default();
        TraceContext::new(ids.traceparent(flags), caller.as_ref())
    }
}

/// The trace context that an invocation was accepted with.
pub(super) fn propagated(held: &Held) -> Option<Arc<PropagatedContext>> {
    let record = &held.record;
    (!record.trace.is_empty()).then(|| {
        Arc::new(PropagatedContext {
            trace: record.trace.clone(),
            trace_state: record.trace_state.clone(),
            ..PropagatedContext::default()
        })
    })
}

/// The callback's record after an attempt.
fn after(
    was: CallbackRecord,
    sent: Result<(), NotifyError>,
    attempts_max: usize,
) -> CallbackRecord {
    let attempts = was.attempts.saturating_add(1);
    let (state, next_unix_ms, last_error) = match sent {
        Ok(()) => (CallbackState::Delivered, None, None),
        Err(NotifyError {
            is_final,
            mut message,
        }) => {
            message.truncate(message.floor_char_boundary(ERROR_BYTES_MAX));
            let over = is_final
                || usize::try_from(attempts).is_ok_and(|attempts| attempts >= attempts_max);
            let pause = PAUSE_MIN
                .saturating_mul(4_u32.saturating_pow(attempts - 1))
                .min(PAUSE_MAX);
            let state = if over {
                CallbackState::Failed
            } else {
                CallbackState::Pending
            };
            (
                state,
                (!over).then(|| later(unix_ms(), jittered(pause))),
                Some(message),
            )
        }
    };
    CallbackRecord {
        url: was.url,
        state,
        attempts,
        next_unix_ms,
        last_error,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failing(is_final: bool) -> Result<(), NotifyError> {
        Err(NotifyError {
            is_final,
            message: "ä".repeat(ERROR_BYTES_MAX),
        })
    }

    #[test]
    fn attempts_are_counted_and_bounded() {
        let mut callback = CallbackRecord::new("http://receiver.example/".to_owned());
        for attempt in 1..3 {
            callback = after(callback, failing(false), 3);
            assert_eq!(
                (callback.state, callback.attempts),
                (CallbackState::Pending, attempt)
            );
            assert!(callback.next_unix_ms.is_some());
            assert_eq!(
                callback.last_error.as_ref().map(String::len),
                Some(ERROR_BYTES_MAX)
            );
        }
        let failed = after(callback.clone(), failing(false), 3);
        assert_eq!(
            (failed.state, failed.next_unix_ms),
            (CallbackState::Failed, None)
        );
        let delivered = after(callback.clone(), Ok(()), 3);
        assert_eq!(
            (delivered.state, delivered.last_error),
            (CallbackState::Delivered, None)
        );
        assert_eq!(
            after(callback, failing(true), 99).state,
            CallbackState::Failed
        );
    }
}
