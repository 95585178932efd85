//! Tests of the exporter with a collector of their own, which decodes what it gets.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTracePartialSuccess, ExportTraceServiceRequest, ExportTraceServiceResponse,
};
use opentelemetry_proto::tonic::common::v1::KeyValue;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::logs::v1::LogRecord;
use opentelemetry_proto::tonic::metrics::v1::Metric;
use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use opentelemetry_proto::tonic::metrics::v1::number_data_point;
use opentelemetry_proto::tonic::trace::v1::Span;
use opentelemetry_proto::tonic::trace::v1::span::SpanKind;
use prost::Message as _;
use serverledge_core::{
    CallOrigin, Digest, Phases, PropagatedContext, RunStatus, Source, SpaceId, TraceParent, Trigger,
};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;

use super::spans::spans;
use super::*;
use crate::config::{Machine, load};
use crate::metrics::Metrics;
use crate::runs::record::{Run, RunFunction};
use crate::runs::requests::RequestLog;

const CALLER: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

/// A completed run: 1 ms of which 200 µs in the queue, 300 µs starting and 400 µs running.
pub(super) fn run() -> RunSpan {
    run_with(|_| {})
}

/// The same with changes.
fn run_with(change: impl FnOnce(&mut Run)) -> RunSpan {
    let id = InvocationId::new();
    let name = FunctionName::parse("hello").unwrap();
    let mut record = Run {
        id,
        root: id,
        origin: CallOrigin::default(),
        depth: 0,
        function: Arc::new(RunFunction {
            space: SpaceId::default_space(),
            name: name.clone(),
            version: Digest::new([7; 32]),
            memory_mib: 128,
            series: Arc::default(),
        }),
        status: RunStatus::Completed,
        code: "",
        message: None,
        started_unix_ms: 1_700_000_000_000,
        phases: Phases {
            queue: Duration::from_micros(200),
            start: Duration::from_micros(300),
            execution: Duration::from_micros(400),
            total: Duration::from_micros(1000),
        },
        warm: false,
        cache: Source::Ran,
        ran_on: None,
        params_bytes: 2,
        result_bytes: 17,
        streamed: None,
        propagated: None,
        requests: None,
    };
    change(&mut record);
    RunSpan {
        function: name,
        app: None,
        trace: record.trace(),
        record: Arc::new(record),
    }
}

/// A run of a caller that traces.
fn traced(hops: u32, trace: &str) -> RunSpan {
    run_with(|run| run.propagated = Some(propagated(hops, trace)))
}

fn propagated(hops: u32, trace: &str) -> Arc<PropagatedContext> {
    Arc::new(PropagatedContext {
        hops,
        trace: trace.to_owned(),
        ..PropagatedContext::default()
    })
}

/// The value of an attribute, as text.
pub(crate) fn value(attributes: &[KeyValue], key: &str) -> Option<String> {
    let found = attributes.iter().find(|one| one.key == key)?;
    Some(match found.value.clone()?.value? {
        Value::StringValue(text) => text,
        Value::BoolValue(flag) => flag.to_string(),
        Value::IntValue(number) => number.to_string(),
        other => format!("{other:?}"),
    })
}

/// A collector on loopback.
pub(crate) struct Collector {
    pub(crate) address: std::net::SocketAddr,
    shared: Arc<CollectorState>,
    task: tokio::task::JoinHandle<()>,
}

#[derive(Default)]
pub(crate) struct CollectorState {
    spans: Mutex<Vec<Span>>,
    metrics: Mutex<Vec<Metric>>,
    logs: Mutex<Vec<LogRecord>>,
    heads: Mutex<Vec<String>>,
    requests: AtomicU64,
    /// The status that it answers with; 0: it does not answer.
    status: AtomicU64,
    /// Number of spans that it says it did not take.
    rejects: AtomicU64,
    changed: Notify,
}

impl Drop for Collector {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Collector {
    /// One that answers with this status.
    pub(crate) async fn start(status: u64) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Arc::<CollectorState>::default();
        shared.status.store(status, Ordering::Relaxed);
        let state = Arc::clone(&shared);
        let connections = TaskTracker::new();
        let task = TaskTracker::new().spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                drop(connections.spawn(serve(stream, Arc::clone(&state))));
            }
        });
        Self {
            address,
            shared,
            task,
        }
    }

    /// Waits until a condition holds.
    async fn until(&self, is_true: impl Fn(&CollectorState) -> bool) {
        let waiting = async {
            loop {
                let changed = self.shared.changed.notified();
                if is_true(&self.shared) {
                    return;
                }
                changed.await;
            }
        };
        tokio::time::timeout(Duration::from_secs(30), waiting)
            .await
            .expect("the collector gets it in time");
    }

    /// The spans, once there are so many.
    pub(crate) async fn spans(&self, count: usize) -> Vec<Span> {
        self.until(|state| state.spans.lock().len() >= count).await;
        self.shared.spans.lock().clone()
    }
}

async fn serve(mut stream: TcpStream, state: Arc<CollectorState>) {
    let mut pending = Vec::new();
    while let Some((head, body)) = request(&mut stream, &mut pending).await {
        let status = state.status.load(Ordering::Relaxed);
        state.requests.fetch_add(1, Ordering::Relaxed);
        let mut answer = Vec::new();
        if status == 200 {
            state.take(&head, &body);
            let rejected_spans = i64::try_from(state.rejects.load(Ordering::Relaxed)).unwrap();
            if rejected_spans > 0 {
                let partial_success = Some(ExportTracePartialSuccess {
                    rejected_spans,
                    error_message: "too many".to_owned(),
                });
                answer = ExportTraceServiceResponse { partial_success }.encode_to_vec();
            }
        }
        state.heads.lock().push(head);
        state.changed.notify_waiters();
        if status == 0 {
            std::future::pending::<()>().await;
        }
        let head = format!(
            "HTTP/1.1 {status} X\r\ncontent-length: {}\r\n\r\n",
            answer.len()
        );
        let _ = stream.write_all(&[head.as_bytes(), &answer].concat()).await;
    }
}

/// The next request's head, in lower case, and its body.
async fn request(stream: &mut TcpStream, pending: &mut Vec<u8>) -> Option<(String, Vec<u8>)> {
    loop {
        let end = pending.windows(4).position(|four| four == b"\r\n\r\n");
        if let Some(end) = end {
            let head = String::from_utf8_lossy(&pending[..end]).to_lowercase();
            let length = head.split("content-length: ").nth(1)?;
            let length: usize = length.split("\r\n").next()?.parse().ok()?;
            if pending.len() >= end + 4 + length {
                let body = pending[end + 4..end + 4 + length].to_vec();
                pending.drain(..end + 4 + length);
                return Some((head, body));
            }
        }
        if stream.read_buf(pending).await.ok()? == 0 {
            return None;
        }
    }
}

impl CollectorState {
    fn take(&self, head: &str, body: &[u8]) {
        if head.starts_with("post /base/v1/traces ") {
            let request = ExportTraceServiceRequest::decode(body).unwrap();
            let resource = request.resource_spans[0].resource.clone().unwrap();
            let instance = value(&resource.attributes, "service.instance.id");
            assert!(instance.is_some_and(|name| name.starts_with("ROME/")));
            let scopes = request
                .resource_spans
                .into_iter()
                .flat_map(|one| one.scope_spans);
            self.spans
                .lock()
                .extend(scopes.flat_map(|scope| scope.spans));
        } else if head.starts_with("post /base/v1/metrics ") {
            let request = ExportMetricsServiceRequest::decode(body).unwrap();
            let scopes = request
                .resource_metrics
                .into_iter()
                .flat_map(|one| one.scope_metrics);
            *self.metrics.lock() = scopes.flat_map(|scope| scope.metrics).collect();
        } else if head.starts_with("post /base/v1/logs ") {
            let request = ExportLogsServiceRequest::decode(body).unwrap();
            let scopes = request
                .resource_logs
                .into_iter()
                .flat_map(|one| one.scope_logs);
            self.logs
                .lock()
                .extend(scopes.flat_map(|scope| scope.log_records));
        } else {
            panic!("an unknown path: {head}");
        }
    }
}

/// An exporter to this address, with its metrics.
fn exporter(
    address: std::net::SocketAddr,
    change: impl FnOnce(&mut TracingConfig),
) -> (Telemetry, Metrics, TempDir) {
    let dir = tempfile::tempdir().unwrap();
    let mut config = config_in(&dir);
    config.tracing.otlp_endpoint = format!("http://{address}/base");
    config.tracing.metrics_interval = Duration::from_secs(1);
    config.tracing.otlp_timeout = Duration::from_secs(2);
    change(&mut config.tracing);
    let metrics = Metrics::new("ROME").unwrap();
    let telemetry = Telemetry::new(&config, &identity(), &metrics.telemetry).unwrap();
    (telemetry, metrics, dir)
}

fn config_in(dir: &TempDir) -> Config {
    const MACHINE: Machine = Machine {
        memory_bytes: 1 << 30,
        cores: 2,
        files_max: 4096,
    };
    let data = dir.path().to_str().unwrap();
    load(None, &[("SERVERLEDGE_DATA_DIR", data)], &MACHINE, &[])
        .unwrap()
        .config
}

fn identity() -> Identity {
    Identity {
        node: "n1".to_owned(),
        area: "ROME".to_owned(),
    }
}

/// The value of a counter of the exporter.
fn count(metrics: &Metrics, name: &str) -> u64 {
    let (signal, outcome) = name.split_once('/').unwrap_or((name, ""));
    if outcome.is_empty() {
        metrics.telemetry.dropped(signal).get()
    } else {
        metrics.telemetry.requests(signal, outcome).get()
    }
}

#[test]
fn a_run_is_a_span_with_its_parts() {
    let run = run();
    let spans = spans(&run);
    let names: Vec<_> = spans.iter().map(|span| span.name.as_str()).collect();
    assert_eq!(names, ["hello", "queue", "start", "run"]);
    let began = run.record.started_unix_ms * 1_000_000;
    let times: Vec<_> = spans
        .iter()
        .map(|span| {
            let since = |nano: u64| (nano - began) / 1000;
            (
                since(span.start_time_unix_nano),
                since(span.end_time_unix_nano),
            )
        })
        .collect();
    assert_eq!(times, [(0, 1000), (100, 300), (300, 600), (600, 1000)]);
    let own = &spans[0];
    assert_eq!(own.kind, SpanKind::Server as i32);
    assert!(own.parent_span_id.is_empty() && own.status.is_none());
    for part in &spans[1..] {
        assert_eq!(part.parent_span_id, own.span_id);
        assert_eq!(part.trace_id, run.record.id.as_bytes());
        assert_eq!(part.kind, SpanKind::Internal as i32);
    }
    for (key, expected) in [
        ("faas.trigger", "http"),
        ("faas.invocation_id", &run.record.id.to_string()),
        ("faas.coldstart", "true"),
        ("faas.name", "hello"),
        ("faas.version", &"07".repeat(32)),
        ("faas.max_memory", "134217728"),
        ("serverledge.trigger", "invoke"),
        ("serverledge.status", "completed"),
        ("serverledge.cache", "run"),
        ("serverledge.depth", "0"),
        ("serverledge.params.size", "2"),
        ("serverledge.result.size", "17"),
    ] {
        assert_eq!(
            value(&own.attributes, key).as_deref(),
            Some(expected),
            "{key}"
        );
    }
}

#[test]
fn requests_are_client_spans() {
    let log = Arc::new(RequestLog::new(crate::clock::now()));
    let get = |url: &str| http::Request::get(url).body(()).unwrap();
    let answered = log.begin(&get("https://api.example.org/secret"));
    answered.answered(http::StatusCode::NOT_FOUND);
    let failed = log.begin(&get("http://10.0.0.7:8080/"));
    failed.failed("outbound_unreachable");
    log.begin(&get("https://[::1]/"));
    let run = run_with(|run| run.requests = Some(log));
    let spans = spans(&run);
    let requests = &spans[4..];
    let told = |key: &str| -> Vec<String> {
        requests
            .iter()
            .map(|span| value(&span.attributes, key).unwrap_or_default())
            .collect()
    };
    assert_eq!(told("http.request.method"), ["GET"; 3]);
    assert_eq!(told("url.scheme"), ["https", "http", "https"]);
    assert_eq!(
        told("server.address"),
        ["api.example.org", "10.0.0.7", "[::1]"]
    );
    assert_eq!(told("server.port"), ["443", "8080", "443"]);
    assert_eq!(told("http.response.status_code"), ["404", "", ""]);
    assert_eq!(told("error.type"), ["404", "outbound_unreachable", ""]);
    for (at, span) in requests.iter().enumerate() {
        assert_eq!(span.kind, SpanKind::Client as i32);
        assert_eq!(span.parent_span_id, spans[0].span_id);
        assert!(span.end_time_unix_nano >= span.start_time_unix_nano);
        assert_eq!(span.status.is_some(), at < 2);
        assert!(!format!("{span:?}").contains("secret"));
        let others = spans.iter().filter(|one| one.span_id == span.span_id);
        assert_eq!(others.count(), 1);
    }
}

#[test]
fn a_caller_is_the_parent_and_a_nested_call_is_internal() {
    let run = traced(0, CALLER);
    let own = spans(&run).remove(0);
    assert_eq!(own.trace_id, TraceParent::parse(CALLER).unwrap().trace.0);
    assert_eq!(
        own.parent_span_id,
        TraceParent::parse(CALLER).unwrap().span.0
    );
    assert_eq!(own.flags, 0x301, "its parent is remote");
    let nested = run_with(|nested| {
        nested.root = run.record.id;
        nested.origin = CallOrigin {
            parent: Some(run.record.id),
            ..CallOrigin::of(Trigger::Nested)
        };
    });
    let inner = spans(&nested).remove(0);
    assert_eq!(inner.parent_span_id, own.span_id);
    assert_eq!(
        (inner.kind, inner.flags),
        (SpanKind::Internal as i32, 0x101)
    );
    let stored = run_with(|run| run.origin.trigger = Trigger::Async);
    assert_eq!(spans(&stored)[0].kind, SpanKind::Consumer as i32);
}

#[test]
fn a_hop_joins_the_runs_of_two_nodes() {
    let here = run_with(|run| {
        run.ran_on = Some("ROME/n2".into());
        run.propagated = Some(propagated(0, CALLER));
    });
    let way = TraceParent {
        span: here.trace.hop(),
        ..here.trace.traceparent(0)
    };
    let there = run_with(|run| {
        run.id = here.record.id;
        run.root = here.record.id;
        run.origin.trigger = Trigger::Peer;
        run.propagated = Some(propagated(1, &way.to_string()));
    });
    let [own, hop] = <[Span; 2]>::try_from(spans(&here)).unwrap();
    let other = spans(&there).remove(0);
    assert_eq!(
        (hop.name.as_str(), hop.kind),
        ("offload", SpanKind::Client as i32)
    );
    assert_eq!(hop.parent_span_id, own.span_id);
    assert_eq!(other.parent_span_id, hop.span_id);
    assert_eq!(other.trace_id, own.trace_id);
    assert_ne!(other.span_id, own.span_id);
    assert_eq!(
        value(&hop.attributes, "serverledge.node").unwrap(),
        "ROME/n2"
    );
    assert_eq!(
        value(&own.attributes, "faas.coldstart"),
        None,
        "the other node tells that"
    );
}

#[test]
fn failures_say_whose_they_are() {
    for (status, is_error) in [
        (RunStatus::Failed, true),
        (RunStatus::Rejected, true),
        (RunStatus::Unavailable, true),
        (RunStatus::Internal, true),
        (RunStatus::Refused, false),
        (RunStatus::Abandoned, false),
    ] {
        let failed = run_with(|run| {
            run.status = status;
            run.code = "a_code";
            run.message = Some("in words".into());
            run.phases = Phases {
                total: Duration::from_millis(1),
                ..Phases::default()
            };
        });
        let spans = spans(&failed);
        assert_eq!(spans.len(), 1, "a failed run has only its whole duration");
        let shown = spans[0]
            .status
            .as_ref()
            .map(|status| status.message.as_str());
        assert_eq!(shown, is_error.then_some("in words"), "{status:?}");
        assert_eq!(value(&spans[0].attributes, "error.type").unwrap(), "a_code");
    }
    let cached = run_with(|run| run.cache = Source::Cache);
    assert_eq!(spans(&cached).len(), 1, "nothing ran");
}

#[tokio::test]
async fn a_collector_gets_spans_metrics_and_logs() {
    let collector = Collector::start(200).await;
    let (telemetry, metrics, dir) = exporter(collector.address, |_| {});
    assert!(telemetry.is_on());
    let ok = traced(0, CALLER);
    let failed = RunSpan {
        app: Some("shop".to_owned()),
        ..run_with(|run| {
            run.status = RunStatus::Failed;
            run.code = "function_timeout";
            run.warm = true;
        })
    };
    let cached = run_with(|run| run.cache = Source::Cache);
    let name = ok.function.clone();
    telemetry.log(&name, Some(ok.record.id), 5, b"from the run\n");
    telemetry.log(&name, None, 6, b"from nowhere\n");
    for run in [&ok, &failed, &cached] {
        telemetry.run(run.clone());
    }
    let spans = collector.spans(9).await;
    assert_eq!(spans.iter().filter(|span| span.name == "hello").count(), 3);
    collector.until(|state| state.logs.lock().len() == 2).await;
    let mut logs = collector.shared.logs.lock().clone();
    logs.sort_by_key(|line| line.time_unix_nano);
    assert_eq!(logs[0].trace_id, ok.trace.trace.0);
    assert_eq!(logs[0].span_id, ok.trace.span.0);
    assert!(logs[1].trace_id.is_empty());
    let body = |line: &LogRecord| line.body.clone();
    assert_eq!(body(&logs[0]), super::resource::string("from the run"));
    collector
        .until(|state| !state.metrics.lock().is_empty())
        .await;
    check_metrics(&collector.shared.metrics.lock());
    telemetry.stop().await;
    assert_eq!(count(&metrics, "traces"), 0);
    assert!(count(&metrics, "traces/taken") > 0);
    drop(dir);
}

fn check_metrics(metrics: &[Metric]) {
    let sums: Vec<_> = metrics
        .iter()
        .filter_map(|metric| match metric.data.as_ref()? {
            Data::Sum(sum) => {
                let values = sum.data_points.iter().map(|point| match point.value {
                    Some(number_data_point::Value::AsInt(count)) => count,
                    _ => -1,
                });
                Some((metric.name.as_str(), values.sum::<i64>()))
            }
            _ => None,
        })
        .collect();
    assert_eq!(
        sums,
        [
            ("faas.coldstarts", 1),
            ("faas.errors", 1),
            ("faas.invocations", 1),
            ("faas.timeouts", 1)
        ]
    );
    let counts: Vec<_> = metrics
        .iter()
        .filter_map(|metric| match metric.data.as_ref()? {
            Data::Histogram(histogram) => {
                let points = &histogram.data_points;
                Some((
                    metric.name.as_str(),
                    points.iter().map(|point| point.count).sum::<u64>(),
                ))
            }
            _ => None,
        })
        .collect();
    assert_eq!(
        counts,
        [
            ("faas.init_duration", 1),
            ("faas.invoke_duration", 2),
            ("faas.mem_usage", 2)
        ]
    );
}

#[tokio::test]
async fn callers_and_the_ratio_choose_what_is_recorded() {
    let collector = Collector::start(200).await;
    let (telemetry, _metrics, _dir) =
        exporter(collector.address, |tracing| tracing.sample_ratio = 0.0);
    telemetry.run(run());
    let wanted = traced(0, CALLER);
    telemetry.run(wanted.clone());
    telemetry.run(traced(0, &CALLER.replace("-01", "-00")));
    telemetry.stop().await;
    let spans = collector.shared.spans.lock().clone();
    assert_eq!(spans.len(), 4);
    assert!(
        spans
            .iter()
            .all(|span| span.trace_id == wanted.trace.trace.0)
    );
    let metrics = collector.shared.metrics.lock().clone();
    let all = metrics
        .iter()
        .find(|metric| metric.name == "faas.invocations");
    assert!(
        format!("{all:?}").contains("AsInt(3)"),
        "the figures count all: {all:?}"
    );
}

#[tokio::test]
async fn headers_of_a_file_go_along() {
    let collector = Collector::start(200).await;
    let files = tempfile::tempdir().unwrap();
    let path = files.path().join("headers");
    std::fs::write(&path, "# for the tests\n\nApi-Key:  secret \n").unwrap();
    let (telemetry, _metrics, _dir) = exporter(collector.address, |tracing| {
        tracing.otlp_headers_file = path.to_str().unwrap().to_owned();
    });
    telemetry.run(run());
    telemetry.stop().await;
    let head = collector.shared.heads.lock()[0].clone();
    assert!(head.contains("api-key: secret"), "{head}");
    assert!(
        head.contains("content-type: application/x-protobuf"),
        "{head}"
    );
    std::fs::write(&path, "no header").unwrap();
    let mut config = config_in(&_dir);
    config.tracing.otlp_endpoint = format!("http://{}", collector.address);
    config.tracing.otlp_headers_file = path.to_str().unwrap().to_owned();
    let metrics = Metrics::new("ROME").unwrap();
    assert!(Telemetry::new(&config, &identity(), &metrics.telemetry).is_err());
}

#[tokio::test]
async fn a_collector_that_is_away_costs_no_more_than_the_queue() {
    // Nobody listens there any more.
    let gone = Collector::start(200).await.address;
    let (telemetry, metrics, _dir) = exporter(gone, |_| {});
    let taken = 2 * SPANS_MAX;
    (0..taken).for_each(|_| telemetry.run(run()));
    let queue = &telemetry.exporter.as_ref().unwrap().spans[0];
    assert!(queue.len() <= SPANS_MAX);
    let dropped = usize::try_from(count(&metrics, "traces")).unwrap();
    assert!(
        dropped >= taken - SPANS_MAX - 2 * super::queue::BATCH_MAX,
        "{dropped}"
    );
    telemetry.stop().await;
    assert_eq!(usize::try_from(count(&metrics, "traces")).unwrap(), taken);
    assert!(count(&metrics, "traces/failed") > 0);
}

#[tokio::test]
async fn a_batch_that_is_not_taken_is_tried_again() {
    let collector = Collector::start(503).await;
    let (telemetry, metrics, _dir) = exporter(collector.address, |_| {});
    telemetry.run(run());
    collector
        .until(|state| state.requests.load(Ordering::Relaxed) > 0)
        .await;
    collector.shared.status.store(200, Ordering::Relaxed);
    assert_eq!(collector.spans(4).await.len(), 4);
    telemetry.stop().await;
    assert_eq!(count(&metrics, "traces"), 0);
}

#[tokio::test]
async fn what_is_refused_is_lost_and_counted() {
    let collector = Collector::start(400).await;
    let (telemetry, metrics, _dir) = exporter(collector.address, |_| {});
    telemetry.run(run());
    telemetry.run(run());
    telemetry.stop().await;
    assert_eq!(count(&metrics, "traces"), 2);
    let partly = Collector::start(200).await;
    partly.shared.rejects.store(1, Ordering::Relaxed);
    let (telemetry, metrics, _dir) = exporter(partly.address, |_| {});
    telemetry.run(run());
    telemetry.run(run());
    telemetry.stop().await;
    assert_eq!(count(&metrics, "traces"), 1);
}

#[tokio::test]
async fn a_collector_that_does_not_answer_holds_nobody_up() {
    let collector = Collector::start(0).await;
    let (telemetry, metrics, _dir) = exporter(collector.address, |tracing| {
        tracing.otlp_timeout = Duration::from_millis(100);
    });
    telemetry.run(run());
    // Returns although nothing is ever answered.
    telemetry.stop().await;
    assert_eq!(count(&metrics, "traces"), 1);
}

#[tokio::test]
async fn a_file_gets_a_line_of_json_for_each_batch() {
    let dir = tempfile::tempdir().unwrap();
    let mut config = config_in(&dir);
    config.tracing.file_enabled = true;
    let metrics = Metrics::new("ROME").unwrap();
    let telemetry = Telemetry::new(&config, &identity(), &metrics.telemetry).unwrap();
    let run = traced(0, CALLER);
    telemetry.run(run.clone());
    telemetry.log(&run.function, None, 1, b"goes nowhere");
    telemetry.stop().await;
    let text = std::fs::read_to_string(dir.path().join("traces.jsonl")).unwrap();
    let request: ExportTraceServiceRequest = serde_json::from_str(text.trim_end()).unwrap();
    assert_eq!(request.resource_spans[0].scope_spans[0].spans, spans(&run));
    assert!(
        text.contains("0af7651916cd43dd8448eb211c80319c"),
        "ids are hexadecimal"
    );
}

#[test]
fn nothing_is_on_unless_it_is_asked_for() {
    let dir = tempfile::tempdir().unwrap();
    let metrics = Metrics::new("ROME").unwrap();
    let telemetry = Telemetry::new(&config_in(&dir), &identity(), &metrics.telemetry).unwrap();
    assert!(!telemetry.is_on());
    assert_eq!(telemetry.sampler(), Sampler::default());
    telemetry.run(run());
    assert!(!Telemetry::off().is_on());
}
