//! The requests of a run to hosts outside, as its record tells them: a line for each of the first ones, and the number of
//! the others. Paths and queries are not kept: they may hold secrets.

use std::sync::Arc;
use std::time::{Duration, Instant};

use http::{Request, StatusCode, Uri};
use parking_lot::Mutex;
use serverledge_core::{HostRule, OutboundError};

use crate::clock::now;

/// Most requests of a run that have a line.
pub(crate) const REQUEST_LINES_MAX: usize = 32;
/// Bytes of a method that are kept: those with longer names are nobody's.
const METHOD_BYTES_MAX: usize = 16;

/// The requests of a run.
#[derive(Debug)]
pub(crate) struct RequestLog {
    /// The arrival of the run.
    arrived: Instant,
    requests: Mutex<LoggedRequests>,
}

#[derive(Debug, Default)]
struct LoggedRequests {
    lines: Vec<RequestLine>,
    /// Number of requests without a line.
    more: u64,
    /// The run is recorded: lines change, and none is added.
    is_recorded: bool,
}

/// One request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct RequestLine {
    pub(crate) method: Box<str>,
    /// Scheme, host and port.
    pub(crate) host: Box<str>,
    /// Its begin, from the arrival of the run.
    pub(crate) begun: Duration,
    /// Time to the head of the response, or to the failure; `None` while it waits.
    pub(crate) took: Option<Duration>,
    /// The status of the response.
    pub(crate) status: Option<StatusCode>,
    /// The code of its failure, perhaps within the body of the response.
    pub(crate) code: Option<&'static str>,
    /// Bytes of the response's body so far.
    pub(crate) received: u64,
}

/// A request that is under way, in the log of its run.
#[derive(Debug, Clone)]
pub(crate) struct LoggedRequest {
    log: Arc<RequestLog>,
    /// The place of its line; `None` if it has none.
    at: Option<usize>,
}

// === impl RequestLog ===

impl RequestLog {
    pub(crate) fn new(arrived: Instant) -> Self {
        Self {
            arrived,
            requests: Mutex::default(),
        }
    }

    /// Notes a request that begins.
    pub(crate) fn begin<B>(self: &Arc<Self>, request: &Request<B>) -> LoggedRequest {
        let mut requests = self.requests.lock();
        let log = Arc::clone(self);
        if requests.is_recorded || requests.lines.len() >= REQUEST_LINES_MAX {
            requests.more += 1;
            return LoggedRequest { log, at: None };
        }
        let at = Some(requests.lines.len());
        requests.lines.push(RequestLine {
            method: shown_method(request.method().as_str()).into(),
            host: shown_host(request.uri()).into(),
            begun: self.since_arrival(),
            took: None,
            status: None,
            code: None,
            received: 0,
        });
        LoggedRequest { log, at }
    }

    /// Ends the list, for the record of the run. Returns whether there is any request.
    pub(crate) fn record(&self) -> bool {
        let mut requests = self.requests.lock();
        requests.is_recorded = true;
        requests.lines.shrink_to_fit();
        !requests.lines.is_empty()
    }

    /// The lines, and the number of requests without one.
    pub(crate) fn lines(&self) -> (Vec<RequestLine>, u64) {
        let requests = self.requests.lock();
        (requests.lines.clone(), requests.more)
    }

    /// Approximate memory. Once the run is recorded, it does not change.
    pub(crate) fn bytes(&self) -> usize {
        let requests = self.requests.lock();
        let texts = requests
            .lines
            .iter()
            .map(|line| line.method.len() + line.host.len());
        size_of::<Self>() + requests.lines.len() * size_of::<RequestLine>() + texts.sum::<usize>()
    }

    fn since_arrival(&self) -> Duration {
        now().saturating_duration_since(self.arrived)
    }
}

// === impl LoggedRequest ===

impl LoggedRequest {
    /// Notes the head of the response.
    pub(crate) fn answered(&self, status: StatusCode) {
        let now = self.log.since_arrival();
        self.change(|line| {
            line.status = Some(status);
            line.took = Some(now.saturating_sub(line.begun));
        });
    }

    /// Notes a failure.
    pub(crate) fn failed(&self, code: &'static str) {
        let now = self.log.since_arrival();
        self.change(|line| {
            line.code = Some(code);
            line.took = line.took.or(Some(now.saturating_sub(line.begun)));
        });
    }

    /// Notes bytes of the response.
    pub(crate) fn received(&self, bytes: usize) {
        self.change(|line| line.received = line.received.saturating_add(bytes as u64));
    }

    fn change(&self, change: impl FnOnce(&mut RequestLine)) {
        let Some(at) = self.at else { return };
        if let Some(line) = self.log.requests.lock().lines.get_mut(at) {
            change(line);
        }
    }
}

fn shown_method(method: &str) -> &str {
    method.get(..METHOD_BYTES_MAX).unwrap_or(method)
}

/// Scheme, host and port; of a URL that requests cannot be sent to, what it has of them.
fn shown_host(uri: &Uri) -> String {
    match HostRule::of(uri) {
        Some(host) => host.to_string(),
        None => match OutboundError::of_url(uri) {
            OutboundError::Url(shown) => shown,
            _ => String::new(),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn log() -> Arc<RequestLog> {
        Arc::new(RequestLog::new(now()))
    }

    fn request(method: &str, url: &str) -> Request<()> {
        Request::builder().method(method).uri(url).body(()).unwrap()
    }

    #[test]
    fn a_line_has_neither_path_nor_query_nor_user() {
        let log = log();
        for (url, host) in [
            (
                "https://user:secret@API.example.org/secret?secret",
                "https://api.example.org",
            ),
            ("http://10.0.0.7:8080/secret", "http://10.0.0.7:8080"),
            (
                "ftp://user:secret@example.org:1/secret",
                "ftp://example.org",
            ),
            ("/secret?secret", "://"),
        ] {
            log.begin(&request("GET", url));
            let (lines, _) = log.lines();
            assert_eq!(&*lines.last().unwrap().host, host, "{url}");
            assert!(!format!("{lines:?}").contains("secret"));
        }
        log.begin(&request(&"X".repeat(1000), "https://a.example/"));
        assert_eq!(log.lines().0.last().unwrap().method.len(), METHOD_BYTES_MAX);
    }

    #[test]
    fn the_first_requests_have_lines_and_the_others_are_counted() {
        let log = log();
        assert!(!log.record() && log.lines() == (Vec::new(), 0));
        let log = self::log();
        let begun: Vec<LoggedRequest> = (0..REQUEST_LINES_MAX + 3)
            .map(|_| log.begin(&request("GET", "https://a.example/")))
            .collect();
        for one in &begun {
            one.answered(StatusCode::OK);
        }
        assert_eq!(log.lines().1, 3);
        assert!(log.record());
        let bytes = log.bytes();
        log.begin(&request("GET", "https://b.example/"));
        begun[0].received(7);
        begun[0].failed("outbound_broken");
        let (lines, more) = log.lines();
        assert_eq!((lines.len(), more), (REQUEST_LINES_MAX, 4));
        assert_eq!(
            (lines[0].status, lines[0].code, lines[0].received),
            (Some(StatusCode::OK), Some("outbound_broken"), 7)
        );
        assert!(lines.iter().all(|line| line.took.is_some()));
        assert_eq!(log.bytes(), bytes, "it is counted as it was recorded");
    }
}
