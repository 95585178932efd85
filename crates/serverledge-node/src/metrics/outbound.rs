//! Metrics of the requests that functions send.

use std::time::Duration;

use prometheus::{
    Histogram, HistogramOpts, IntCounter, IntCounterVec, IntGauge, Registry, exponential_buckets,
};

use super::collectors::{counters, registered};

/// The metrics; see the module.
#[derive(Debug)]
pub(crate) struct OutboundMetrics {
    requests: IntCounterVec,
    seconds: Histogram,
    /// Bytes of the bodies of responses.
    pub(crate) received: IntCounter,
    /// Requests whose response has not been read to its end.
    pub(crate) outstanding: IntGauge,
}

impl OutboundMetrics {
    /// # Errors
    /// Only if two metrics had one name.
    pub(crate) fn new(registry: &Registry) -> prometheus::Result<Self> {
        // From 1 ms to 100 s: a network is in between.
        let times = exponential_buckets(1e-3, 10_f64.sqrt(), 11)?;
        let seconds = HistogramOpts::new(
            "serverledge_outbound_seconds",
            "Time to the head of a response, in seconds",
        );
        Ok(Self {
            requests: counters(
                registry,
                "serverledge_outbound_requests_total",
                "Requests of functions to hosts outside, by status class, as tunnel, or by code where there was no response",
                &["outcome"],
            )?,
            seconds: registered(registry, Histogram::with_opts(seconds.buckets(times)))?,
            received: registered(
                registry,
                IntCounter::new(
                    "serverledge_outbound_received_bytes_total",
                    "Bytes of the bodies of responses to functions' requests",
                ),
            )?,
            outstanding: registered(
                registry,
                IntGauge::new(
                    "serverledge_outbound_outstanding",
                    "Requests of functions whose response has not been read to its end",
                ),
            )?,
        })
    }

    /// Counts a response.
    pub(crate) fn answered(&self, status: http::StatusCode, took: Duration) {
        let class = match status.as_u16() / 100 {
            1 => "1xx",
            2 => "2xx",
            3 => "3xx",
            4 => "4xx",
            5 => "5xx",
            _ => "other",
        };
        self.requests.with_label_values(&[class]).inc();
        self.seconds.observe(took.as_secs_f64());
    }

    /// Counts a connection that a function speaks on itself: its responses are not seen.
    pub(crate) fn tunnel_opened(&self) {
        self.requests.with_label_values(&["tunnel"]).inc();
    }

    /// Counts a request without a response, by its stable code.
    pub(crate) fn failed(&self, code: &str) {
        self.requests.with_label_values(&[code]).inc();
    }

    /// Number of requests with this outcome.
    #[cfg(test)]
    pub(crate) fn count(&self, outcome: &str) -> u64 {
        self.requests.with_label_values(&[outcome]).get()
    }
}
