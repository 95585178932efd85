//! Metrics of asynchronous invocations.

use prometheus::{IntCounter, IntCounterVec, Registry};
use serverledge_wire::records::{CallbackState, InvocationRecord};

use super::collectors::{counters, registered};

/// The counters; see the module.
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
        let counter = |name: &str, help: &str| registered(registry, IntCounter::new(name, help));
        Ok(Self {
            accepted: counter(
                "serverledge_async_accepted_total",
                "Asynchronous invocations accepted",
            )?,
            finished: counters(
                registry,
                "serverledge_async_finished_total",
                "Asynchronous invocations that ended, by state",
                &["state"],
            )?,
            taken_over: counter(
                "serverledge_async_taken_over_total",
                "Asynchronous invocations taken over from nodes that were gone",
            )?,
            dead_letters: counter(
                "serverledge_dead_letters_total",
                "Invocations that became dead letters",
            )?,
            callbacks: counters(
                registry,
                "serverledge_callbacks_total",
                "Attempts of callbacks, by result",
                &["result"],
            )?,
        })
    }

    pub(crate) fn accepted(&self) {
        self.accepted.inc();
    }

    /// Gives each metric a value.
    #[cfg(test)]
    pub(crate) fn touch(&self) {
        self.finished.with_label_values(&["done"]).inc();
        self.called_back(CallbackState::Delivered);
    }

    pub(crate) fn taken_over(&self) {
        self.taken_over.inc();
    }

    pub(crate) fn finished(&self, record: &InvocationRecord) {
        self.finished
            .with_label_values(&[record.state.name()])
            .inc();
        if record.dead_letter {
            self.dead_letters.inc();
        }
    }

    pub(crate) fn called_back(&self, state: CallbackState) {
        let result = match state {
            CallbackState::Delivered => "delivered",
            CallbackState::Pending => "to_be_repeated",
            CallbackState::Failed => "failed",
        };
        self.callbacks.with_label_values(&[result]).inc();
    }
}
