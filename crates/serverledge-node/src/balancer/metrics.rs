//! A load balancer's metrics.

use std::collections::BTreeSet;

use parking_lot::Mutex;
use prometheus::{Encoder, IntCounter, IntCounterVec, IntGaugeVec, Opts, Registry, TextEncoder};

/// The possible outcomes of a request at one node.
const OUTCOMES: [&str; 5] = ["done", "failed", "unknown", "not_taken", "passed"];

/// The metrics; see the module.
#[derive(Debug)]
pub(crate) struct BalancerMetrics {
    registry: Registry,
    requests: IntCounterVec,
    retries: IntCounter,
    in_flight: IntGaugeVec,
    /// The nodes that have series.
    nodes: Mutex<BTreeSet<String>>,
}

impl BalancerMetrics {
    /// # Errors
    /// Only if two metrics had one name.
    pub(crate) fn new() -> prometheus::Result<Self> {
        let requests = Opts::new(
            "serverledge_lb_requests_total",
            "Calls and requests sent to a node, by what came of it",
        );
        let in_flight = Opts::new(
            "serverledge_lb_in_flight",
            "Calls in progress at a node, as the balancer counts them",
        );
        let retries = "Tries after the first of a call or request, at another node";
        let metrics = Self {
            registry: Registry::new(),
            requests: IntCounterVec::new(requests, &["node", "outcome"])?,
            retries: IntCounter::new("serverledge_lb_retries_total", retries)?,
            in_flight: IntGaugeVec::new(in_flight, &["node"])?,
            nodes: Mutex::default(),
        };
        metrics
            .registry
            .register(Box::new(metrics.requests.clone()))?;
        metrics
            .registry
            .register(Box::new(metrics.retries.clone()))?;
        metrics
            .registry
            .register(Box::new(metrics.in_flight.clone()))?;
        Ok(metrics)
    }

    /// Counts a request that was forwarded to a node (`area/node`), with one of the outcomes.
    pub(crate) fn passed(&self, node: &str, outcome: &'static str) {
        self.requests.with_label_values(&[node, outcome]).inc();
        let mut nodes = self.nodes.lock();
        if !nodes.contains(node) {
            nodes.insert(node.to_owned());
        }
    }

    /// Counts a request that is retried at another node.
    pub(crate) fn retried(&self) {
        self.retries.inc();
    }

    /// The text format, with the number of calls in progress at each node. The series of nodes that are not named end,
    /// so that their number stays bounded by the number of nodes.
    pub(crate) fn text(&self, in_flight: &[(String, u32)]) -> String {
        let names: BTreeSet<String> = in_flight.iter().map(|(name, _)| name.clone()).collect();
        let before = std::mem::replace(&mut *self.nodes.lock(), names.clone());
        for gone in before.difference(&names) {
            let _ = self.in_flight.remove_label_values(&[gone.as_str()]);
            for outcome in OUTCOMES {
                let _ = self.requests.remove_label_values(&[gone.as_str(), outcome]);
            }
        }
        for (name, count) in in_flight {
            self.in_flight
                .with_label_values(&[name.as_str()])
                .set(i64::from(*count));
        }
        let mut text = Vec::new();
        // Writing to memory fails only for families without metrics, which gather() leaves out.
        let _ = TextEncoder::new().encode(&self.registry.gather(), &mut text);
        String::from_utf8(text).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn series_end_with_their_node() {
        let metrics = BalancerMetrics::new().unwrap();
        metrics.passed("ROME/n0", "done");
        metrics.passed("ROME/n1", "passed");
        metrics.passed("ROME/n2", "not_taken");
        // The first time that they are asked for, one node has gone already.
        let both = metrics.text(&[("ROME/n1".to_owned(), 2), ("ROME/n2".to_owned(), 0)]);
        assert!(
            both.contains(r#"serverledge_lb_requests_total{node="ROME/n2",outcome="not_taken"} 1"#),
            "{both}"
        );
        assert!(!both.contains("ROME/n0"), "{both}");
        assert!(
            both.contains(r#"serverledge_lb_in_flight{node="ROME/n1"} 2"#),
            "{both}"
        );
        let one = metrics.text(&[("ROME/n1".to_owned(), 0)]);
        assert!(one.contains("ROME/n1") && !one.contains("ROME/n2"), "{one}");
    }
}
