//! Metrics of the operations on the stores of functions.

use std::time::Duration;

use prometheus::{HistogramOpts, HistogramVec, IntCounterVec, Registry, exponential_buckets};
use serverledge_core::StateError;

use super::collectors::{counters, registered};

/// The metrics; see the module.
#[derive(Debug)]
pub(crate) struct StateMetrics {
    operations: IntCounterVec,
    seconds: HistogramVec,
}

impl StateMetrics {
    /// # Errors
    /// Only if two metrics had one name.
    pub(crate) fn new(registry: &Registry) -> prometheus::Result<Self> {
        // From 10 µs, where a read from memory ends, to 10 s.
        let times = exponential_buckets(1e-5, 10_f64.sqrt(), 13)?;
        let seconds = HistogramOpts::new(
            "serverledge_kv_operation_seconds",
            "Time of operations on the stores of functions, in seconds",
        );
        Ok(Self {
            operations: counters(
                registry,
                "serverledge_kv_operations_total",
                "Operations on the stores of functions, by kind and outcome",
                &["operation", "outcome"],
            )?,
            seconds: registered(
                registry,
                HistogramVec::new(seconds.buckets(times), &["operation"]),
            )?,
        })
    }

    /// Counts an operation that the stores have answered, well or not.
    pub(crate) fn ended<T>(
        &self,
        operation: &str,
        outcome: &Result<T, StateError>,
        took: Duration,
    ) {
        self.count(operation, outcome_of(outcome));
        self.seconds
            .with_label_values(&[operation])
            .observe(took.as_secs_f64());
    }

    /// Counts an operation that a limit refused before it reached the stores.
    pub(crate) fn refused(&self, operation: &str) {
        self.count(operation, "refused");
    }

    fn count(&self, operation: &str, outcome: &str) {
        self.operations
            .with_label_values(&[operation, outcome])
            .inc();
    }

    /// Number of operations of this kind with this outcome.
    #[cfg(test)]
    pub(crate) fn total(&self, operation: &str, outcome: &str) -> u64 {
        self.operations
            .with_label_values(&[operation, outcome])
            .get()
    }
}

/// The label of an outcome: what the caller may not do is refused, the rest has failed.
fn outcome_of<T>(outcome: &Result<T, StateError>) -> &'static str {
    match outcome {
        Ok(_) => "ok",
        Err(StateError::Unavailable(_) | StateError::RegistryFull | StateError::Contended(_)) => {
            "failed"
        }
        Err(_) => "refused",
    }
}
