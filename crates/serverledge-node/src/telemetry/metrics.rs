//! The exporter's own metrics, for Prometheus: telemetry that is lost must show elsewhere.

use prometheus::{IntCounter, IntCounterVec, Opts, Registry};

/// The exporter's own metrics. Clones share them.
#[derive(Debug, Clone)]
pub(crate) struct TelemetryMetrics {
    dropped: IntCounterVec,
    requests: IntCounterVec,
}

impl TelemetryMetrics {
    pub(crate) fn new(registry: &Registry) -> prometheus::Result<Self> {
        let counters = |name: &str, help: &str, labels: &[&str]| {
            let counters = IntCounterVec::new(Opts::new(name, help), labels)?;
            registry.register(Box::new(counters.clone()))?;
            Ok::<_, prometheus::Error>(counters)
        };
        Ok(Self {
            dropped: counters(
                "serverledge_telemetry_dropped_total",
                "Runs, figures and log lines that telemetry lost, by signal",
                &["signal"],
            )?,
            requests: counters(
                "serverledge_telemetry_requests_total",
                "Requests to the collector of telemetry, by signal and outcome",
                &["signal", "outcome"],
            )?,
        })
    }

    /// Gives each metric a value.
    #[cfg(test)]
    pub(crate) fn touch(&self) {
        self.dropped("traces").inc();
        self.requests("traces", "taken").inc();
    }

    /// The counter of what a signal lost.
    pub(super) fn dropped(&self, signal: &str) -> IntCounter {
        self.dropped.with_label_values(&[signal])
    }

    /// The counter of a signal's requests with this outcome.
    pub(super) fn requests(&self, signal: &str, outcome: &str) -> IntCounter {
        self.requests.with_label_values(&[signal, outcome])
    }
}
