//! What is counted of asynchronous invocations.

use prometheus::{IntCounter, IntCounterVec, Opts, Registry};
use serverledge_wire::records::{CallbackState, InvocationRecord};

/// See the module.
#[derive(Debug)]
pub(crate) struct InvocationMetrics {
    accepted: IntCounter,
    finished: IntCounterVec,
    taken_over: IntCounter,
    dead_letters: IntCounter,
    callbacks: IntCounterVec,
}

impl InvocationMetrics {
    /// # Errors
    /// Only if two metrics had one name.
    pub(crate) fn new(registry: &Registry) -> prometheus::Result<Self> {
        let metrics = Self {
            accepted: IntCounter::new(
                "serverledge_async_accepted_total",
                "Asynchronous invocations accepted",
            )?,
            finished: IntCounterVec::new(
                Opts::new(
                    "serverledge_async_finished_total",
                    "Asynchronous invocations that ended, by state",
                ),
                &["state"],
            )?,
            taken_over: IntCounter::new(
                "serverledge_async_taken_over_total",
                "Asynchronous invocations taken over from nodes that were gone",
            )?,
            dead_letters: IntCounter::new(
                "serverledge_dead_letters_total",
                "Invocations that became dead letters",
            )?,
            callbacks: IntCounterVec::new(
                Opts::new(
                    "serverledge_callbacks_total",
                    "Attempts of callbacks, by result",
                ),
                &["result"],
            )?,
        };
        registry.register(Box::new(metrics.accepted.clone()))?;
        registry.register(Box::new(metrics.finished.clone()))?;
        registry.register(Box::new(metrics.taken_over.clone()))?;
        registry.register(Box::new(metrics.dead_letters.clone()))?;
        registry.register(Box::new(metrics.callbacks.clone()))?;
        Ok(metrics)
    }

    pub(super) fn accepted(&self) {
        self.accepted.inc();
    }

    pub(super) fn taken_over(&self) {
        self.taken_over.inc();
    }

    pub(super) fn finished(&self, record: &InvocationRecord) {
        self.finished
            .with_label_values(&[record.state.name()])
            .inc();
        if record.dead_letter {
            self.dead_letters.inc();
        }
    }

    pub(super) fn called_back(&self, state: CallbackState) {
        let result = match state {
            CallbackState::Delivered => "delivered",
            CallbackState::Pending => "to_be_repeated",
            CallbackState::Failed => "failed",
        };
        self.callbacks.with_label_values(&[result]).inc();
    }
}
