//! The figures of runs, as metrics of OTLP. They are counted from the start of the node: a request that is lost takes
//! nothing with it, the next one has the same figures.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::common::v1::KeyValue;
use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use opentelemetry_proto::tonic::metrics::v1::number_data_point::Value;
use opentelemetry_proto::tonic::metrics::v1::{
    AggregationTemporality, Histogram, HistogramDataPoint, Metric, NumberDataPoint,
    ResourceMetrics, ScopeMetrics, Sum,
};
use parking_lot::Mutex;
use prost::Message as _;
use serverledge_core::{FunctionName, RunStatus};
use tokio_util::sync::CancellationToken;

use super::outlet::Outlet;
use super::resource::{ResourceOfNode, SCHEMA, flag, scope, text};
use super::run_span::RunSpan;
use super::spans::{faas_trigger, ran_here};
use crate::clock::unix_ms;

/// Most series; further ones are counted together, as the conventions have it.
const SERIES_MAX: usize = 2000;
/// Upper bounds of durations in seconds: those of the conventions, which begin at 5 ms, and smaller ones, since a call of
/// WebAssembly ends within 100 µs.
const SECONDS: &[f64] = &[
    0.0001, 0.000_25, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75,
    1.0, 2.5, 5.0, 7.5, 10.0,
];
/// Upper bounds of memory in bytes: 16 MiB to 8 GiB.
const MEMORY: &[f64] = &[
    16_777_216.0,
    33_554_432.0,
    67_108_864.0,
    134_217_728.0,
    268_435_456.0,
    536_870_912.0,
    1_073_741_824.0,
    2_147_483_648.0,
    4_294_967_296.0,
    8_589_934_592.0,
];
const MIB: f64 = 1024.0 * 1024.0;
/// The code of a function that exceeded its time limit.
const TIMEOUT: &str = "function_timeout";

/// The figures of all functions.
#[derive(Debug, Clone)]
pub(super) struct Measures {
    started_unix_ms: u64,
    series: HashMap<SeriesKey, Figures>,
    /// Those for which there was no room.
    others: Figures,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct SeriesKey {
    function: FunctionName,
    app: Option<String>,
    trigger: &'static str,
}

#[derive(Debug, Clone)]
struct Figures {
    invocations: u64,
    cold_starts: u64,
    timeouts: u64,
    errors: BTreeMap<&'static str, u64>,
    execution: Buckets,
    init: Buckets,
    memory: Buckets,
}

/// A distribution over fixed bounds.
#[derive(Debug, Clone)]
struct Buckets {
    bounds: &'static [f64],
    counts: Vec<u64>,
    sum: f64,
}

// === impl Measures ===

impl Measures {
    pub(super) fn new() -> Self {
        Self {
            started_unix_ms: unix_ms(),
            series: HashMap::new(),
            others: Figures::default(),
        }
    }

    /// Counts a run, if it is one of this node.
    pub(super) fn observe(&mut self, run: &RunSpan) {
        if !ran_here(run) {
            return;
        }
        let key = SeriesKey {
            function: run.function.clone(),
            app: run.app.clone(),
            trigger: faas_trigger(run.record.origin.trigger),
        };
        let has_room = self.series.len() < SERIES_MAX || self.series.contains_key(&key);
        let figures = if has_room {
            self.series.entry(key).or_default()
        } else {
            &mut self.others
        };
        figures.observe(run);
    }

    /// Everything as one request; `None` while nothing was counted.
    fn request(&self, resource: &ResourceOfNode) -> Option<ExportMetricsServiceRequest> {
        if self.series.is_empty() {
            return None;
        }
        let mut table = MetricTable::new(self.started_unix_ms);
        for (key, figures) in &self.series {
            table.add(&key.attributes(), figures);
        }
        if self.others.is_used() {
            table.add(&[flag("otel.metric.overflow", true)], &self.others);
        }
        Some(ExportMetricsServiceRequest {
            resource_metrics: vec![ResourceMetrics {
                resource: resource.get(),
                scope_metrics: vec![ScopeMetrics {
                    scope: scope(),
                    metrics: table.metrics(),
                    schema_url: SCHEMA.to_owned(),
                }],
                schema_url: SCHEMA.to_owned(),
            }],
        })
    }
}

/// Sends the figures at an interval, and once more at the end.
pub(super) async fn push_measures(
    measures: Arc<Mutex<Measures>>,
    resource: ResourceOfNode,
    interval: Duration,
    mut outlet: Outlet,
    stop: CancellationToken,
) {
    loop {
        tokio::select! {
            () = tokio::time::sleep(interval) => {}
            () = stop.cancelled() => {}
        }
        // Calls that end wait for the copy, and not for the request.
        let figures = measures.lock().clone();
        let request = figures.request(&resource);
        if let Some(request) = request {
            // If it is lost, the next one has the same figures.
            let _ = outlet.send(Bytes::from(request.encode_to_vec())).await;
        }
        if stop.is_cancelled() {
            return;
        }
    }
}

impl SeriesKey {
    fn attributes(&self) -> Vec<KeyValue> {
        let app = self.app.iter().map(|app| text("serverledge.app", app));
        let own = [
            text("faas.name", self.function.to_string()),
            text("faas.trigger", self.trigger),
        ];
        own.into_iter().chain(app).collect()
    }
}

// === impl Figures ===

impl Default for Figures {
    fn default() -> Self {
        Self {
            invocations: 0,
            cold_starts: 0,
            timeouts: 0,
            errors: BTreeMap::new(),
            execution: Buckets::new(SECONDS),
            init: Buckets::new(SECONDS),
            memory: Buckets::new(MEMORY),
        }
    }
}

impl Figures {
    #[expect(clippy::cast_precision_loss, reason = "limits have a few GiB")]
    fn observe(&mut self, run: &RunSpan) {
        if run.record.status == RunStatus::Completed {
            self.invocations += 1;
        } else {
            *self.errors.entry(run.record.code).or_default() += 1;
            self.timeouts += u64::from(run.record.code == TIMEOUT);
        }
        if !run.record.warm {
            self.cold_starts += 1;
            self.init.observe(run.record.phases.start.as_secs_f64());
        }
        // A failed run has only its whole duration.
        let execution = match run.record.phases.execution {
            Duration::ZERO => run.record.phases.total,
            execution => execution,
        };
        self.execution.observe(execution.as_secs_f64());
        self.memory
            .observe(run.record.function.memory_mib as f64 * MIB);
    }

    fn is_used(&self) -> bool {
        self.invocations > 0 || !self.errors.is_empty()
    }
}

// === impl Buckets ===

impl Buckets {
    fn new(bounds: &'static [f64]) -> Self {
        Self {
            bounds,
            counts: vec![0; bounds.len() + 1],
            sum: 0.0,
        }
    }

    fn observe(&mut self, value: f64) {
        let at = self.bounds.partition_point(|bound| *bound < value);
        self.counts[at] += 1;
        self.sum += value;
    }
}

/// The metrics, by name, while their points are put together.
struct MetricTable {
    started_nano: u64,
    now_nano: u64,
    metrics: BTreeMap<&'static str, Metric>,
}

impl MetricTable {
    fn new(started_unix_ms: u64) -> Self {
        Self {
            started_nano: started_unix_ms * 1_000_000,
            now_nano: unix_ms() * 1_000_000,
            metrics: BTreeMap::new(),
        }
    }

    fn metrics(self) -> Vec<Metric> {
        self.metrics.into_values().collect()
    }

    fn add(&mut self, attributes: &[KeyValue], figures: &Figures) {
        let counts = [
            ("faas.invocations", "{invocation}", figures.invocations),
            ("faas.coldstarts", "{coldstart}", figures.cold_starts),
            ("faas.timeouts", "{timeout}", figures.timeouts),
        ];
        for (name, unit, count) in counts {
            self.count(name, unit, attributes.to_vec(), count);
        }
        for (code, count) in &figures.errors {
            let mut attributes = attributes.to_vec();
            attributes.push(text("error.type", *code));
            self.count("faas.errors", "{error}", attributes, *count);
        }
        let distributions = [
            ("faas.invoke_duration", "s", &figures.execution),
            ("faas.init_duration", "s", &figures.init),
            ("faas.mem_usage", "By", &figures.memory),
        ];
        for (name, unit, buckets) in distributions {
            self.distribution(name, unit, attributes, buckets);
        }
    }

    fn count(&mut self, name: &'static str, unit: &str, attributes: Vec<KeyValue>, count: u64) {
        let point = NumberDataPoint {
            attributes,
            start_time_unix_nano: self.started_nano,
            time_unix_nano: self.now_nano,
            value: Some(Value::AsInt(i64::try_from(count).unwrap_or(i64::MAX))),
            ..NumberDataPoint::default()
        };
        let none = || {
            Data::Sum(Sum {
                aggregation_temporality: AggregationTemporality::Cumulative as i32,
                is_monotonic: true,
                data_points: Vec::new(),
            })
        };
        if let Some(Data::Sum(sum)) = self.data(name, unit, none) {
            sum.data_points.push(point);
        }
    }

    fn distribution(
        &mut self,
        name: &'static str,
        unit: &str,
        attributes: &[KeyValue],
        buckets: &Buckets,
    ) {
        let count = buckets.counts.iter().sum();
        if count == 0 {
            return;
        }
        let point = HistogramDataPoint {
            attributes: attributes.to_vec(),
            start_time_unix_nano: self.started_nano,
            time_unix_nano: self.now_nano,
            count,
            sum: Some(buckets.sum),
            bucket_counts: buckets.counts.clone(),
            explicit_bounds: buckets.bounds.to_vec(),
            ..HistogramDataPoint::default()
        };
        let none = || {
            Data::Histogram(Histogram {
                aggregation_temporality: AggregationTemporality::Cumulative as i32,
                data_points: Vec::new(),
            })
        };
        if let Some(Data::Histogram(histogram)) = self.data(name, unit, none) {
            histogram.data_points.push(point);
        }
    }

    fn data(
        &mut self,
        name: &'static str,
        unit: &str,
        none: impl FnOnce() -> Data,
    ) -> Option<&mut Data> {
        let metric = self.metrics.entry(name).or_insert_with(|| Metric {
            name: name.to_owned(),
            description: description(name).to_owned(),
            unit: unit.to_owned(),
            data: Some(none()),
            ..Metric::default()
        });
        metric.data.as_mut()
    }
}

fn description(name: &str) -> &'static str {
    match name {
        "faas.invocations" => "Runs that gave a result",
        "faas.coldstarts" => {
            "Runs whose code had to be loaded, or whose container had to be started"
        }
        "faas.timeouts" => "Runs that exceeded their time limit",
        "faas.errors" => "Runs that failed",
        "faas.invoke_duration" => "Duration of the function's execution",
        "faas.init_duration" => "Duration of cold starts",
        _ => "Memory that was reserved for a run: the function's limit",
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::run;
    use super::*;

    #[test]
    fn the_number_of_series_is_bounded() {
        let mut measures = Measures::new();
        for n in 0..SERIES_MAX + 10 {
            let mut run = run();
            run.function = FunctionName::parse(&format!("f{n}")).unwrap();
            measures.observe(&run);
        }
        assert_eq!(measures.series.len(), SERIES_MAX);
        assert_eq!(measures.others.invocations, 10);
        measures.observe(&RunSpan {
            function: FunctionName::parse("f0").unwrap(),
            ..run()
        });
        assert_eq!(measures.others.invocations, 10);
    }

    #[test]
    fn values_are_in_the_bucket_whose_bound_they_reach() {
        let mut buckets = Buckets::new(&[1.0, 2.0]);
        for value in [0.5, 1.0, 1.5, 2.0, 2.5] {
            buckets.observe(value);
        }
        assert_eq!(buckets.counts, [2, 2, 1]);
    }
}
