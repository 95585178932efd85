//! Log lines for the collector: the node's own, and those of functions with the place of their run in its trace.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::common::v1::KeyValue;
use opentelemetry_proto::tonic::logs::v1::{LogRecord, ResourceLogs, ScopeLogs, SeverityNumber};
use parking_lot::Mutex;
use prost::Message as _;
use serverledge_core::{FunctionName, InvocationId, TraceIds};
use tokio::time::Instant;

use super::outlet::{Batch, Batches};
use super::queue::{BATCH_MAX, ExportQueue};
use super::resource::{ResourceOfNode, SCHEMA, scope, string, text};
use super::run_span::RecentRuns;

/// Bytes of a line that are sent.
const TEXT_BYTES_MAX: usize = 8 * 1024;
/// Time for which a function's line waits for the end of its run, which says where it belongs. A line of a run that goes
/// on for longer is sent with the id of its invocation alone.
const RUN_WAIT_MAX: Duration = Duration::from_secs(5);
/// Most lines that wait so.
const HELD_MAX: usize = 4 * BATCH_MAX;
/// Approximate memory of a line beside its text.
const LINE_BYTES: usize = 160;

/// A line of a log.
#[derive(Debug, Clone)]
pub(super) struct LogLine {
    unix_ms: u64,
    severity: SeverityNumber,
    body: String,
    attributes: Vec<KeyValue>,
    invocation: Option<InvocationId>,
    since: Instant,
}

/// The lines of a queue.
pub(super) struct LogBatches {
    queue: Arc<ExportQueue<LogLine>>,
    recent: Arc<Mutex<RecentRuns>>,
    resource: ResourceOfNode,
    /// Lines of runs that have not ended.
    held: VecDeque<LogLine>,
}

impl LogLine {
    /// A line that a function wrote. Its severity is not known.
    pub(super) fn of_function(
        function: &FunctionName,
        invocation: Option<InvocationId>,
        unix_ms: u64,
        text_bytes: &[u8],
    ) -> Self {
        let mut attributes = vec![text("faas.name", function.to_string())];
        attributes.extend(invocation.map(|id| text("faas.invocation_id", id.to_string())));
        let body = String::from_utf8_lossy(text_bytes);
        Self {
            invocation,
            ..Self::new(
                unix_ms,
                SeverityNumber::Unspecified,
                body.trim_end_matches(['\r', '\n']),
                attributes,
            )
        }
    }

    pub(super) fn new(
        unix_ms: u64,
        severity: SeverityNumber,
        body: &str,
        attributes: Vec<KeyValue>,
    ) -> Self {
        Self {
            unix_ms,
            severity,
            body: body[..body.floor_char_boundary(TEXT_BYTES_MAX)].to_owned(),
            attributes,
            invocation: None,
            since: Instant::now(),
        }
    }

    /// Its approximate memory.
    pub(super) fn bytes(&self) -> usize {
        LINE_BYTES * (1 + self.attributes.len()) + self.body.len()
    }

    fn record(self, place: Option<TraceIds>) -> LogRecord {
        let mut record = LogRecord {
            time_unix_nano: self.unix_ms * 1_000_000,
            observed_time_unix_nano: self.unix_ms * 1_000_000,
            severity_number: self.severity as i32,
            severity_text: severity_text(self.severity).to_owned(),
            body: string(self.body),
            attributes: self.attributes,
            ..LogRecord::default()
        };
        if let Some(place) = place {
            record.trace_id = place.trace.0.to_vec();
            record.span_id = place.span.0.to_vec();
            record.flags = u32::from(place.flags.unwrap_or_default());
        }
        record
    }
}

impl LogBatches {
    pub(super) fn new(
        queue: Arc<ExportQueue<LogLine>>,
        recent: Arc<Mutex<RecentRuns>>,
        resource: &ResourceOfNode,
    ) -> Self {
        Self {
            queue,
            recent,
            resource: resource.clone(),
            held: VecDeque::new(),
        }
    }

    /// The lines that can be sent now.
    fn lines(&mut self, is_last: bool) -> Vec<LogRecord> {
        let now = Instant::now();
        let mut lines = std::mem::take(&mut self.held);
        lines.extend(self.queue.take());
        // Calls that end wait for the look-ups alone.
        let recent = self.recent.lock();
        let place = |line: &LogLine| line.invocation.and_then(|id| recent.get(id));
        let places: Vec<_> = lines.iter().map(place).collect();
        drop(recent);
        let mut records = Vec::new();
        for (line, place) in lines.into_iter().zip(places) {
            let may_wait = !is_last
                && self.held.len() < HELD_MAX
                && now.duration_since(line.since) < RUN_WAIT_MAX;
            if line.invocation.is_some() && place.is_none() && may_wait {
                self.held.push_back(line);
            } else {
                records.push(line.record(place));
            }
        }
        records
    }
}

impl Batches for LogBatches {
    fn next(&mut self, is_last: bool) -> Option<Batch> {
        let log_records = self.lines(is_last);
        let items = log_records.len() as u64;
        if items == 0 {
            return None;
        }
        let request = ExportLogsServiceRequest {
            resource_logs: vec![ResourceLogs {
                resource: self.resource.get(),
                scope_logs: vec![ScopeLogs {
                    scope: scope(),
                    log_records,
                    schema_url: SCHEMA.to_owned(),
                }],
                schema_url: SCHEMA.to_owned(),
            }],
        };
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

const fn severity_text(severity: SeverityNumber) -> &'static str {
    match severity {
        SeverityNumber::Error => "ERROR",
        SeverityNumber::Warn => "WARN",
        SeverityNumber::Info => "INFO",
        SeverityNumber::Debug => "DEBUG",
        SeverityNumber::Trace => "TRACE",
        _ => "",
    }
}
