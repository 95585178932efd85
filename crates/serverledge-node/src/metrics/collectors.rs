//! Collectors that a registry knows, for all parts of the metrics.

use prometheus::core::Collector;
use prometheus::{IntCounterVec, Opts, Registry};

/// A collector that the registry knows from now on.
pub(super) fn registered<C: Collector + Clone + 'static>(
    registry: &Registry,
    collector: prometheus::Result<C>,
) -> prometheus::Result<C> {
    let collector = collector?;
    registry.register(Box::new(collector.clone()))?;
    Ok(collector)
}

/// Counters with labels, which the registry knows from now on.
pub(super) fn counters(
    registry: &Registry,
    name: &str,
    help: &str,
    labels: &[&str],
) -> prometheus::Result<IntCounterVec> {
    registered(registry, IntCounterVec::new(Opts::new(name, help), labels))
}
