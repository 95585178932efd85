//! The node's own log on its way to the collector: a layer below the log of the process, which starts before the node.

use std::fmt;
use std::sync::Arc;

use arc_swap::ArcSwapOption;
use opentelemetry_proto::tonic::common::v1::KeyValue;
use opentelemetry_proto::tonic::logs::v1::SeverityNumber;
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::Context;

use super::logs::LogLine;
use super::queue::ExportQueue;
use super::resource::text;
use crate::clock::unix_ms;

/// The libraries by which lines are sent: what they say about sending a line would be sent as well, for ever.
const OWN_WAY: [&str; 5] = ["reqwest", "hyper", "hyper_util", "rustls", "h2"];

/// The layer. Until an exporter is connected it does nothing.
#[derive(Debug, Default)]
pub(crate) struct NodeLog {
    queue: ArcSwapOption<ExportQueue<LogLine>>,
}

/// Connects the log of this process to a queue, if it was started with the layer. `None` ends that.
pub(super) fn connect_node_log(queue: Option<&Arc<ExportQueue<LogLine>>>) {
    tracing::dispatcher::get_default(|dispatch| {
        if let Some(layer) = dispatch.downcast_ref::<NodeLog>() {
            layer.queue.store(queue.cloned());
        }
    });
}

impl<S: Subscriber> Layer<S> for NodeLog {
    fn on_event(&self, event: &Event<'_>, _context: Context<'_, S>) {
        let queue = self.queue.load();
        let Some(queue) = &*queue else { return };
        let target = event.metadata().target();
        let library = target.split("::").next().unwrap_or_default();
        if OWN_WAY.contains(&library) {
            return;
        }
        let mut fields = Fields {
            message: String::new(),
            attributes: vec![text("code.namespace", target)],
        };
        event.record(&mut fields);
        let severity = severity(*event.metadata().level());
        let line = LogLine::new(unix_ms(), severity, &fields.message, fields.attributes);
        let bytes = line.bytes();
        queue.push(line, bytes);
    }
}

/// The fields of an event.
struct Fields {
    message: String,
    attributes: Vec<KeyValue>,
}

impl Visit for Fields {
    fn record_str(&mut self, field: &Field, value: &str) {
        if field.name() == "message" {
            value.clone_into(&mut self.message);
        } else {
            self.attributes.push(text(field.name(), value));
        }
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.record_str(field, &format!("{value:?}"));
    }
}

fn severity(level: Level) -> SeverityNumber {
    match level {
        Level::ERROR => SeverityNumber::Error,
        Level::WARN => SeverityNumber::Warn,
        Level::INFO => SeverityNumber::Info,
        Level::DEBUG => SeverityNumber::Debug,
        Level::TRACE => SeverityNumber::Trace,
    }
}

#[cfg(test)]
mod tests {
    use prometheus::IntCounter;
    use tracing_subscriber::layer::SubscriberExt as _;

    use super::*;

    #[test]
    fn lines_go_to_whatever_is_connected() {
        let dropped = IntCounter::new("dropped", "dropped").unwrap();
        let queue = Arc::new(ExportQueue::new(10, 10_000, dropped));
        let subscriber = tracing_subscriber::registry().with(NodeLog::default());
        tracing::subscriber::with_default(subscriber, || {
            tracing::warn!("nobody hears this");
            connect_node_log(Some(&queue));
            tracing::warn!(count = 3, "{} is full", "it");
            tracing::info!(target: "hyper_util::client", "connected");
            connect_node_log(None);
            tracing::warn!("nor this");
        });
        let lines = format!("{:?}", queue.take());
        assert!(
            lines.contains("it is full") && lines.contains("count"),
            "{lines}"
        );
        assert!(
            !lines.contains("connected") && !lines.contains("nor this"),
            "{lines}"
        );
    }
}
