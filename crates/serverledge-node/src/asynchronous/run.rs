//! The work on a claimed invocation: begin, run, end, and callback. A write that the registry does not accept now is
//! kept and retried while the claim stands.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use serverledge_core::{
    Call, CallOrigin, Function, InvocationError, OverloadReason, Payload, Report, Trigger,
    whole_millis,
};
use serverledge_registry::{FinalOutcome, Finish, Held, InvocationStoreError};
use serverledge_wire::records::InvocationState;
use tokio::sync::SemaphorePermit;
use tokio::time::Instant;

use super::callbacks::propagated;
use super::outcome::{decided_failure, expired, given_up, succeeded};
use super::table::WorkPlace;
use super::{AsyncWorker, is_passing};
use crate::clock::now;
use crate::clock::unix_ms;
use crate::clock::{jittered, until};
use crate::invoke::request::ResolvedCall;

/// First pause after overload or a fault; it doubles up to [`PAUSE_MAX`], with jitter.
const PAUSE_MIN: Duration = Duration::from_millis(200);
/// Longest pause.
const PAUSE_MAX: Duration = Duration::from_secs(10);

/// Pauses that double each time.
struct Pauses(Duration);

/// The result of a run.
enum Ran {
    Ended(Finish),
    /// This node stops: the work is left to another node, or to this node's next process.
    Left,
}

impl Pauses {
    const fn new() -> Self {
        Self(PAUSE_MIN)
    }

    async fn pause(&mut self) {
        tokio::time::sleep(jittered(self.0)).await;
        self.0 = (self.0 * 2).min(PAUSE_MAX);
    }
}

impl AsyncWorker {
    /// Does everything that is to be done for an invocation.
    pub(super) async fn work(self: &Arc<Self>, held: Held, place: WorkPlace) {
        let held = if held.record.state.is_terminal() {
            Some(held)
        } else {
            self.run_to_its_end(held).await
        };
        let Some(held) = held else { return };
        place.ended(&held);
        if held.record.has_pending_work() {
            let id = held.id;
            drop(held);
            self.call_back(id).await;
        }
    }

    /// Runs the invocation; `None` if another node has it now, or if it was left.
    async fn run_to_its_end(self: &Arc<Self>, held: Held) -> Option<Held> {
        let limit = self.limit(&held);
        let waited = tokio::time::timeout_at(limit, self.permits.acquire()).await;
        // Kept until the outcome is stored, which bounds the outcomes that wait for the registry.
        let mut permit = match waited {
            Ok(permit) => Some(permit.ok()?),
            Err(_) => {
                let expired = self.too_late(&held);
                return self.end(held, expired).await;
            }
        };
        if self.admissions.is_draining() {
            return None;
        }
        let attempts_max = self.config.attempts_max;
        if usize::try_from(held.record.attempt).is_ok_and(|attempt| attempt >= attempts_max) {
            let message = format!("begun {attempts_max} times, and the node died each time");
            return self
                .end(held, given_up("attempts_exhausted", message))
                .await;
        }
        let begun = self.begin(held).await?;
        match self.run_until_decided(&begun, limit, &mut permit).await {
            Ran::Ended(finish) => self.end(begun, finish).await,
            Ran::Left => None,
        }
    }

    /// The moment after which the invocation is not begun any more.
    fn limit(&self, held: &Held) -> Instant {
        let age_max = whole_millis(self.config.age_max);
        let oldest = held.record.accepted_unix_ms.saturating_add(age_max);
        let end = held
            .record
            .deadline_unix_ms
            .map_or(oldest, |deadline| deadline.min(oldest));
        Instant::now() + until(end)
    }

    /// The outcome of an invocation that was not decided within its limit.
    fn too_late(&self, held: &Held) -> Finish {
        let by_its_deadline = held
            .record
            .deadline_unix_ms
            .is_some_and(|deadline| deadline <= unix_ms());
        expired(self.config.age_max, by_its_deadline)
    }

    /// Stores that an attempt begins. A write whose response was lost may have been made: then the record says so.
    async fn begin(&self, mut held: Held) -> Option<Held> {
        let before = held.record.attempt;
        let mut pauses = Pauses::new();
        loop {
            let error = match self.invocations.begin(&held, unix_ms()).await {
                Ok(begun) => return Some(begun),
                Err(error) => error,
            };
            if !is_passing(&error) && !matches!(error, InvocationStoreError::Superseded { .. }) {
                return left(&held, &error);
            }
            if is_passing(&error) {
                pauses.pause().await;
            }
            held = self.still_held(held, &mut pauses).await?;
            if held.record.attempt > before && held.record.state == InvocationState::Running {
                return Some(held);
            }
        }
    }

    /// The invocation as it is now, if this node still holds it.
    async fn still_held(&self, held: Held, pauses: &mut Pauses) -> Option<Held> {
        loop {
            match self
                .invocations
                .held(held.id, self.membership.owner())
                .await
            {
                Ok(found) => return found,
                Err(error) if is_passing(&error) => pauses.pause().await,
                Err(error) => return left(&held, &error),
            }
        }
    }

    /// Runs the invocation until its outcome is decided. Overload and faults of dependencies are retried until the
    /// invocation is too old; a function's own failure is its outcome.
    async fn run_until_decided<'a>(
        self: &'a Arc<Self>,
        begun: &Held,
        limit: Instant,
        permit: &mut Option<SemaphorePermit<'a>>,
    ) -> Ran {
        let function = match begun.function() {
            Ok(function) => Arc::new(function),
            Err(error) => return Ran::Ended(given_up("invocation_unreadable", error.to_string())),
        };
        let mut pauses = Pauses::new();
        let mut lost = 0;
        loop {
            if Instant::now() >= limit {
                return Ran::Ended(self.too_late(begun));
            }
            let error = match self.invocations.params(begun).await {
                Ok(params) => match self.run_pinned(begun, &function, params).await {
                    Ok(report) => {
                        return Ran::Ended(succeeded(
                            report,
                            begun.record.return_output,
                            &self.identity,
                        ));
                    }
                    Err(error) => error,
                },
                Err(error) if is_passing(&error) => {
                    self.step_aside(&mut pauses, limit, permit).await;
                    continue;
                }
                Err(error) => {
                    return Ran::Ended(given_up("invocation_unreadable", error.to_string()));
                }
            };
            match error {
                InvocationError::Overloaded {
                    reason: OverloadReason::Draining,
                    ..
                } => return Ran::Left,
                InvocationError::Overloaded {
                    reason: OverloadReason::Deadline,
                    ..
                } => {
                    return Ran::Ended(expired(self.config.age_max, true));
                }
                InvocationError::Overloaded { reason, .. }
                    if reason != OverloadReason::NeverFits => {}
                InvocationError::Dependency { .. } => {}
                // Lost with the node that it was offloaded to: that counts like an attempt here.
                InvocationError::OutcomeUnknown { .. } => {
                    lost += 1;
                    let begun = usize::try_from(begun.record.attempt.saturating_add(lost))
                        .unwrap_or(usize::MAX);
                    if begun > self.config.attempts_max {
                        let message =
                            format!("begun {} times, and the node died each time", begun - 1);
                        return Ran::Ended(given_up("attempts_exhausted", message));
                    }
                }
                decided => return Ran::Ended(decided_failure(&decided)),
            }
            self.step_aside(&mut pauses, limit, permit).await;
            if self.admissions.is_draining() {
                return Ran::Left;
            }
        }
    }

    /// Pauses, and gives the permit to others meanwhile.
    async fn step_aside<'a>(
        self: &'a Arc<Self>,
        pauses: &mut Pauses,
        limit: Instant,
        permit: &mut Option<SemaphorePermit<'a>>,
    ) {
        *permit = None;
        pauses.pause().await;
        let again = tokio::time::timeout_at(limit, self.permits.acquire()).await;
        *permit = again.ok().and_then(Result::ok);
    }

    async fn run_pinned(
        self: &Arc<Self>,
        begun: &Held,
        function: &Arc<Function>,
        params: Bytes,
    ) -> Result<Report, InvocationError> {
        let entry = self.functions.entry_for(function);
        let mut call = Call::new(
            begun.id,
            function.name.clone(),
            Payload::Json(params),
            now(),
        );
        call.origin = CallOrigin::of(Trigger::Async);
        call.qos_class = begun.record.qos_class;
        call.deadline = begun
            .record
            .deadline_unix_ms
            .map(|deadline| call.arrived + until(deadline));
        call.context.may_offload = !begun.record.local_only;
        call.context.propagated = propagated(begun);
        let request = ResolvedCall {
            pinned: true,
            ..ResolvedCall::new(entry, call)
        };
        self.invoker.invoke(request).await
    }

    /// Stores the outcome, and retries while the registry fails and the claim stands, up to the largest age of an
    /// invocation. `None` if another node has it.
    async fn end(&self, mut held: Held, mut finish: Finish) -> Option<Held> {
        let give_up = Instant::now() + self.config.age_max;
        let mut pauses = Pauses::new();
        loop {
            let error = match self
                .invocations
                .finish(&held, finish.clone(), unix_ms())
                .await
            {
                Ok(ended) => {
                    self.metrics.invocations.finished(&ended.record);
                    return Some(ended);
                }
                Err(error) => error,
            };
            match error {
                InvocationStoreError::Superseded { .. } | InvocationStoreError::Ended { .. } => {
                    tracing::debug!(id = %held.id, %error, "an outcome is discarded");
                    // Unless it is this node's own, whose answer was lost.
                    return self
                        .still_held(held, &mut pauses)
                        .await
                        .filter(|now| now.record.state.is_terminal());
                }
                error if is_passing(&error) && Instant::now() < give_up => {
                    tracing::warn!(id = %held.id, %error, "an outcome is not stored yet; trying again");
                    pauses.pause().await;
                    held = self.still_held(held, &mut pauses).await?;
                    if held.record.state.is_terminal() {
                        return Some(held);
                    }
                }
                error => finish = instead(&held, &finish, &error)?,
            }
        }
    }
}

/// The outcome that is stored in place of a result that cannot be stored; `None` if nothing is to be stored.
fn instead(held: &Held, finish: &Finish, error: &InvocationStoreError) -> Option<Finish> {
    match (error, &finish.outcome) {
        (InvocationStoreError::NotJson { .. }, _) => Some(given_up("internal", error.to_string())),
        (error, FinalOutcome::Done(_)) if !is_passing(error) => Some(given_up(
            "result_too_large",
            "the result is larger than can be kept".to_owned(),
        )),
        _ => left(held, error).and(None),
    }
}

fn left(held: &Held, error: &InvocationStoreError) -> Option<Held> {
    tracing::error!(id = %held.id, %error, "an asynchronous invocation could not be kept up to date");
    None
}
