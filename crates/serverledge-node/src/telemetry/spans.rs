//! Runs as spans.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::Uri;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::KeyValue;
use opentelemetry_proto::tonic::trace::v1::span::SpanKind;
use opentelemetry_proto::tonic::trace::v1::status::StatusCode;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span, Status};
use prost::Message as _;
use serverledge_core::{RunStatus, SAMPLED, Source, SpanId, Trigger};
use tokio_util::sync::CancellationToken;

use super::outlet::{Batch, Batches, until_due};
use super::queue::ExportQueue;
use super::resource::{ResourceOfNode, SCHEMA, flag, number, scope, text};
use super::run_span::RunSpan;
use super::trace_file::TraceFile;
use crate::runs::requests::RequestLine;

/// The bit of a span's flags that says that the next one is known.
const HAS_IS_REMOTE: u32 = 0x100;
/// The bit of a span's flags that says that its parent is not of this node.
const IS_REMOTE: u32 = 0x200;
const MIB: u64 = 1024 * 1024;
/// Number of the parts of a run before its requests.
const PHASES: u8 = 3;

/// The spans of the runs in a queue.
pub(super) struct SpanBatches {
    queue: Arc<ExportQueue<Arc<RunSpan>>>,
    resource: ResourceOfNode,
}

impl SpanBatches {
    pub(super) fn new(queue: Arc<ExportQueue<Arc<RunSpan>>>, resource: &ResourceOfNode) -> Self {
        Self {
            queue,
            resource: resource.clone(),
        }
    }

    /// The request for the oldest runs, and their number; `None` if there are none.
    fn request(&self) -> Option<(ExportTraceServiceRequest, u64)> {
        let runs = self.queue.take();
        let spans: Vec<_> = runs.iter().flat_map(|run| spans(run)).collect();
        (!runs.is_empty()).then(|| {
            let request = ExportTraceServiceRequest {
                resource_spans: vec![ResourceSpans {
                    resource: self.resource.get(),
                    scope_spans: vec![ScopeSpans {
                        scope: scope(),
                        spans,
                        schema_url: SCHEMA.to_owned(),
                    }],
                    schema_url: SCHEMA.to_owned(),
                }],
            };
            (request, runs.len() as u64)
        })
    }
}

impl Batches for SpanBatches {
    fn next(&mut self, _is_last: bool) -> Option<Batch> {
        let (request, items) = self.request()?;
        Some(Batch {
            body: Bytes::from(request.encode_to_vec()),
            items,
        })
    }

    async fn ready(&self) {
        self.queue.batch().await;
    }

    fn lost(&self, items: u64) {
        self.queue.lost(items);
    }
}

/// Writes the spans of a queue to a file, until nothing more comes.
pub(super) async fn write_spans(batches: SpanBatches, file: TraceFile, stop: CancellationToken) {
    let mut file = Some(file);
    let mut is_failing = false;
    loop {
        until_due(&batches, &stop).await;
        while let Some((request, items)) = batches.request() {
            // The messages have string keys and no failing serializers.
            let line = serde_json::to_vec(&request).unwrap_or_default();
            let Some(mut taken) = file.take() else { return };
            let written = tokio::task::spawn_blocking(move || {
                let written = taken.append(line);
                (taken, written)
            });
            let Ok((back, written)) = written.await else {
                return;
            };
            file = Some(back);
            if let Err(error) = &written {
                batches.lost(items);
                if !is_failing {
                    tracing::warn!(%error, "failed to write traces to their file");
                }
            }
            is_failing = written.is_err();
        }
        if stop.is_cancelled() {
            return;
        }
    }
}

/// The span of a run, and those of its parts.
pub(super) fn spans(run: &RunSpan) -> Vec<Span> {
    let own = Span {
        kind: kind(run.record.origin.trigger) as i32,
        parent_span_id: run.trace.parent.map_or_else(Vec::new, |id| id.0.to_vec()),
        flags: flags(
            run,
            run.record.origin.trigger != Trigger::Nested && run.trace.parent.is_some(),
        ),
        attributes: attributes(run),
        status: status(run),
        ..span(
            run,
            run.trace.span,
            run.function.to_string(),
            (Duration::ZERO, run.record.phases.total),
        )
    };
    let mut spans = vec![own];
    match &run.record.ran_on {
        Some(node) => spans.push(Span {
            kind: SpanKind::Client as i32,
            attributes: vec![text("serverledge.node", &**node)],
            ..part(
                run,
                run.trace.hop(),
                "offload",
                (Duration::ZERO, run.record.phases.total),
            )
        }),
        None if run.record.cache == Source::Ran => spans.extend(phases(run)),
        None => {}
    }
    if let Some(requests) = &run.record.requests {
        let (lines, _) = requests.lines();
        let numbered = (PHASES..).zip(&lines);
        spans.extend(numbered.map(|(at, line)| request(run, at, line)));
    }
    spans
}

/// The span of a request to a host outside, in the words of the conventions.
fn request(run: &RunSpan, at: u8, line: &RequestLine) -> Span {
    let target = Uri::try_from(&*line.host).unwrap_or_default();
    let mut attributes = vec![
        text("http.request.method", &*line.method),
        text("url.scheme", target.scheme_str().unwrap_or_default()),
        text("server.address", target.host().unwrap_or_default()),
    ];
    let scheme_port = match target.scheme_str() {
        Some("http") => Some(80),
        Some("https") => Some(443),
        _ => None,
    };
    if let Some(port) = target.port_u16().or(scheme_port) {
        attributes.push(number("server.port", u64::from(port)));
    }
    if let Some(status) = line.status {
        attributes.push(number(
            "http.response.status_code",
            u64::from(status.as_u16()),
        ));
    }
    let code = line.code.map(str::to_owned);
    let fault = line
        .status
        .filter(|status| status.is_client_error() || status.is_server_error());
    let error = code.or_else(|| fault.map(|status| status.as_u16().to_string()));
    if let Some(error) = &error {
        attributes.push(text("error.type", error.clone()));
    }
    let end = line
        .took
        .map_or(run.record.phases.total, |took| line.begun + took);
    Span {
        kind: SpanKind::Client as i32,
        attributes,
        status: error.map(|message| Status {
            code: StatusCode::Error as i32,
            message,
        }),
        ..part(
            run,
            run.trace.part(at),
            &line.method,
            (line.begun, end.max(line.begun)),
        )
    }
}

/// The parts of a run on this node. They end with it, one after the other: what is before them is the request's.
fn phases(run: &RunSpan) -> impl Iterator<Item = Span> {
    let phases = &run.record.phases;
    let ran = phases.total.saturating_sub(phases.execution);
    let started = ran.saturating_sub(phases.start);
    let waited = started.saturating_sub(phases.queue);
    let parts = [
        ("queue", waited, started),
        ("start", started, ran),
        ("run", ran, phases.total),
    ];
    (0_u8..)
        .zip(parts)
        // A run that did not end here has only its whole duration.
        .filter(|(_, (_, from, to))| to > from && !phases.execution.is_zero())
        .map(|(number, (name, from, to))| part(run, run.trace.part(number), name, (from, to)))
}

fn part(run: &RunSpan, id: SpanId, name: &str, times: (Duration, Duration)) -> Span {
    Span {
        kind: SpanKind::Internal as i32,
        parent_span_id: run.trace.span.0.to_vec(),
        flags: flags(run, false),
        ..span(run, id, name.to_owned(), times)
    }
}

/// A span between two times since the beginning of the run.
fn span(run: &RunSpan, id: SpanId, name: String, (from, to): (Duration, Duration)) -> Span {
    let began = run.record.started_unix_ms.saturating_mul(1_000_000);
    let at =
        |time: Duration| began.saturating_add(u64::try_from(time.as_nanos()).unwrap_or(u64::MAX));
    Span {
        trace_id: run.trace.trace.0.to_vec(),
        span_id: id.0.to_vec(),
        trace_state: run
            .record
            .propagated
            .as_ref()
            .map(|known| known.trace_state.clone())
            .unwrap_or_default(),
        name,
        start_time_unix_nano: at(from),
        end_time_unix_nano: at(to),
        ..Span::default()
    }
}

fn flags(run: &RunSpan, parent_is_remote: bool) -> u32 {
    let remote = if parent_is_remote { IS_REMOTE } else { 0 };
    u32::from(run.trace.flags.unwrap_or(SAMPLED)) | HAS_IS_REMOTE | remote
}

const fn kind(trigger: Trigger) -> SpanKind {
    match trigger {
        Trigger::Nested => SpanKind::Internal,
        Trigger::Async => SpanKind::Consumer,
        _ => SpanKind::Server,
    }
}

/// The trigger in the words of the conventions.
pub(super) const fn faas_trigger(trigger: Trigger) -> &'static str {
    match trigger {
        Trigger::Nested | Trigger::Peer => "other",
        Trigger::Async => "pubsub",
        _ => "http",
    }
}

fn attributes(run: &RunSpan) -> Vec<KeyValue> {
    let mut attributes = vec![
        text("faas.trigger", faas_trigger(run.record.origin.trigger)),
        text("faas.invocation_id", run.record.id.to_string()),
        text("faas.name", run.function.to_string()),
        text("faas.version", run.record.function.version.to_string()),
        number("faas.max_memory", run.record.function.memory_mib * MIB),
        text("serverledge.trigger", run.record.origin.trigger.name()),
        text("serverledge.status", run.record.status.name()),
        text("serverledge.cache", run.record.cache.name()),
        number("serverledge.depth", u64::from(run.record.depth)),
        number("serverledge.params.size", run.record.params_bytes),
        number("serverledge.result.size", run.record.sent_bytes()),
    ];
    if ran_here(run) {
        attributes.push(flag("faas.coldstart", !run.record.warm));
    }
    if let Some(app) = &run.app {
        attributes.push(text("serverledge.app", app));
    }
    if !run.record.code.is_empty() {
        attributes.push(text("error.type", run.record.code));
    }
    attributes
}

/// An error is the fault of the function or of nodes. A request that is refused is its sender's.
fn status(run: &RunSpan) -> Option<Status> {
    let is_error = matches!(
        run.record.status,
        RunStatus::Failed | RunStatus::Rejected | RunStatus::Unavailable | RunStatus::Internal
    );
    is_error.then(|| Status {
        code: StatusCode::Error as i32,
        message: run
            .record
            .message
            .as_deref()
            .unwrap_or(run.record.code)
            .to_owned(),
    })
}

/// Whether the function ran, and on this node: another node tells of its own runs, and the cache's answers are no runs.
pub(super) fn ran_here(run: &RunSpan) -> bool {
    run.record.ran_on.is_none()
        && run.record.cache == Source::Ran
        && matches!(run.record.status, RunStatus::Completed | RunStatus::Failed)
}
