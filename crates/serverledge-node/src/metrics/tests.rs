//! The dashboard for Grafana asks for metrics that exist.

use std::collections::BTreeSet;

use prometheus::core::Collector as _;

use super::*;

const DASHBOARD: &str = include_str!("../../../../docs/grafana/serverledge.json");

/// The names of all metrics, each with a value: those without one are not shown.
fn names(metrics: &Metrics) -> BTreeSet<String> {
    let own = metrics.of_function("f");
    own.completed(&Phases::default(), false, Some(1));
    own.abandoned();
    for counters in [
        &metrics.failures,
        &metrics.rejections,
        &metrics.offloads,
        &metrics.quota_refusals,
        &metrics.cache.answers,
        &metrics.cache.ignored,
    ] {
        let labels = vec!["x"; counters.desc()[0].variable_labels.len()];
        counters.with_label_values(&labels).inc();
    }
    metrics.started(Runtime::Wasm, &[("load", std::time::Duration::ZERO)]);
    metrics.containers.with_label_values(&["idle"]).set(1);
    metrics.invocations.touch();
    metrics.outbound.failed("x");
    metrics
        .state
        .ended("get", &Ok(()), std::time::Duration::ZERO);
    metrics.watch_connections(|| 1).unwrap();
    metrics.telemetry.touch();
    let families = metrics.registry.gather();
    families
        .iter()
        .map(|family| family.name().to_owned())
        .collect()
}

/// The metrics that an expression asks for: names in front of a brace, or as the first argument of `label_values`.
fn asked(expression: &str) -> Vec<&str> {
    let is_name = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
    let before = |end: usize| {
        let start = expression[..end]
            .rfind(|c| !is_name(c))
            .map_or(0, |at| at + 1);
        &expression[start..end]
    };
    let mut names: Vec<_> = expression
        .match_indices('{')
        .map(|(at, _)| before(at))
        .collect();
    if let Some(rest) = expression.strip_prefix("label_values(") {
        names.extend(rest.split(',').next());
    }
    names
}

/// Everything in a document under these keys.
fn texts<'a>(value: &'a serde_json::Value, keys: &[&str], found: &mut Vec<&'a str>) {
    match value {
        serde_json::Value::Object(members) => {
            for (key, value) in members {
                match value.as_str().filter(|_| keys.contains(&key.as_str())) {
                    Some(text) => found.push(text),
                    None => texts(value, keys, found),
                }
            }
        }
        serde_json::Value::Array(items) => {
            items.iter().for_each(|item| texts(item, keys, found));
        }
        _ => {}
    }
}

#[test]
fn the_dashboard_asks_for_metrics_that_exist() {
    let names = names(&Metrics::new("ROME").unwrap());
    let dashboard: serde_json::Value = serde_json::from_str(DASHBOARD).unwrap();
    let mut expressions = Vec::new();
    texts(&dashboard, &["expr", "query"], &mut expressions);
    assert!(expressions.len() > 20, "{expressions:?}");
    let asked: BTreeSet<_> = expressions.iter().flat_map(|text| asked(text)).collect();
    for name in &asked {
        let of_histogram = ["_bucket", "_sum", "_count"]
            .iter()
            .filter_map(|end| name.strip_suffix(end))
            .any(|family| names.contains(family));
        assert!(
            names.contains(*name) || of_histogram,
            "{name} is no metric: {names:?}"
        );
    }
    // What is worth a metric is worth a panel, but for these.
    let unseen = [
        "serverledge_cache_entries",
        "serverledge_cache_evictions",
        "serverledge_container_calls_refused",
    ];
    for name in &names {
        let is_seen = asked.iter().any(|one| one.starts_with(name.as_str()));
        assert!(
            is_seen || unseen.contains(&name.as_str()),
            "{name} is on no panel"
        );
    }
}
