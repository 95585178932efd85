//! The records of runs for people: one by one with their phases, and the cells that tables have of them.

use std::fmt::Write as _;

use serverledge_wire::runs::{RequestInfo, RunInfo};

use crate::text;

/// Characters of an invocation's id that are shown where it need not be whole.
const ID_CHARS: usize = 12;
/// In the place of an id where none is known.
const NO_ID: &str = "-";
/// Columns of a run's whole time.
const BAR_COLUMNS: u64 = 40;

/// The runs of an invocation, each with its phases.
pub(super) fn runs(runs: &[RunInfo]) -> String {
    runs.iter().map(report).collect::<Vec<_>>().join("\n")
}

/// The function's name, behind that of its application.
pub(super) fn function(run: &RunInfo) -> String {
    named(run.app.as_deref(), &run.function)
}

/// A function's name, behind that of its application.
pub(super) fn named(app: Option<&str>, function: &str) -> String {
    match app {
        Some(app) => text::one_line(&format!("{app}/{function}")),
        None => text::one_line(function),
    }
}

/// The status, and the code of a failure.
pub(super) fn status(run: &RunInfo) -> String {
    match &run.code {
        Some(code) => text::one_line(&format!("{} ({code})", run.status)),
        None => text::one_line(&run.status),
    }
}

/// The cell that says whether nothing had to be loaded.
pub(super) const fn warm(run: &RunInfo) -> &'static str {
    if run.warm { "yes" } else { "no" }
}

/// The last characters of an invocation's id.
pub(super) fn end_of_id(id: &str) -> &str {
    let end = id
        .char_indices()
        .rev()
        .nth(ID_CHARS - 1)
        .map_or(0, |(at, _)| at);
    if id.is_empty() { NO_ID } else { &id[end..] }
}

fn report(run: &RunInfo) -> String {
    let place = if run.node == run.ran_on {
        format!("on {}", run.ran_on)
    } else {
        format!("on {} for {}", run.ran_on, run.node)
    };
    let start = if run.warm { "warm" } else { "cold" };
    let cache = match run.cache.as_str() {
        "run" => String::new(),
        "cache" => "  from the result cache".to_owned(),
        "carried" => "  from what the client carried".to_owned(),
        "edge" => "  from the client's own run".to_owned(),
        "joined" => "  from a run that it joined".to_owned(),
        other => format!("  from {other}"),
    };
    let head = format!(
        "{}  {}  {}  {place}  {start}  {}{cache}",
        text::time(run.started_unix_ms),
        run.status,
        run.trigger,
        text::micros(run.total_us),
    );
    let mut shown = format!("  {}", text::one_line(&head));
    for (name, bar, span) in phases(run) {
        let columns = usize::try_from(BAR_COLUMNS).unwrap_or_default();
        let _ = write!(shown, "\n    {name:<9}  {bar:<columns$}  {span}");
    }
    for request in &run.requests {
        let _ = write!(shown, "\n    request    {}", requested(request));
    }
    if run.more_requests > 0 {
        let _ = write!(shown, "\n    request    {} more", run.more_requests);
    }
    let error = match (&run.message, &run.code) {
        (Some(message), Some(code)) => format!("{message} ({code})"),
        (message, code) => message.clone().or_else(|| code.clone()).unwrap_or_default(),
    };
    let facts = [
        ("error", error),
        ("caller", run.caller.clone().unwrap_or_default()),
        ("parent", run.parent.clone().unwrap_or_default()),
        (
            "sizes",
            format!(
                "parameters {}, result {}",
                size(run.params_bytes),
                size(run.result_bytes)
            ),
        ),
        ("trace", run.trace_id.clone()),
    ];
    for line in text::known_facts(facts).lines() {
        let _ = write!(shown, "\n    {line}");
    }
    shown
}

/// A request to a host outside: where it went, and what became of it.
fn requested(request: &RequestInfo) -> String {
    let outcome = match (request.status, &request.code) {
        (Some(status), Some(code)) => format!("{status} ({code})"),
        (Some(status), None) => status.to_string(),
        (None, Some(code)) => code.clone(),
        (None, None) => "no response".to_owned(),
    };
    let head = request
        .head_us
        .map(|head| format!("  {}", text::micros(head)));
    let received = request
        .status
        .map(|_| format!("  {}", size(request.received_bytes)));
    text::one_line(&format!(
        "{} {}  {outcome}{}{}",
        request.method,
        request.host,
        head.unwrap_or_default(),
        received.unwrap_or_default()
    ))
}

fn size(bytes: u64) -> String {
    text::bytes(usize::try_from(bytes).unwrap_or(usize::MAX))
}

/// The phases that took time, one after the other: name, bar, duration.
fn phases(run: &RunInfo) -> Vec<(&'static str, String, String)> {
    let known = [
        ("queue", run.queue_us),
        ("start", run.start_us),
        ("execution", run.execution_us),
    ];
    let sum = known
        .iter()
        .fold(0_u64, |sum, (_, span)| sum.saturating_add(*span));
    let whole = run.total_us.max(sum);
    let other = ("other", whole - sum);
    let mut begin = 0;
    let mut shown = Vec::new();
    for (name, span) in known.into_iter().chain([other]) {
        if span > 0 {
            shown.push((name, bar(begin, span, whole), text::micros(span)));
        }
        begin = begin.saturating_add(span);
    }
    shown
}

/// The part of a line of [`BAR_COLUMNS`] that a span takes; one column at least.
fn bar(begin: u64, span: u64, whole: u64) -> String {
    let column = |at: u64| {
        let column = u128::from(at) * u128::from(BAR_COLUMNS) / u128::from(whole.max(1));
        usize::try_from(column).unwrap_or_default()
    };
    let last = column(whole).saturating_sub(1);
    let from = column(begin).min(last);
    let to = column(begin.saturating_add(span)).max(from + 1);
    format!("{}{}", " ".repeat(from), "█".repeat(to - from))
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use super::*;

    fn run() -> RunInfo {
        serde_json::from_str(
            r#"{"id":"i","function":"f","version":"0123","trigger":"invoke","status":"completed",
            "started_unix_ms":1772323200000,"queue_us":2500,"start_us":5000,"execution_us":12000,"total_us":20000,
            "warm":false,"cache":"run","node":"ROME/n1","ran_on":"ROME/n1","params_bytes":12,"result_bytes":2048,"root":"i",
            "depth":0,"trace_id":"0af7651916cd43dd8448eb211c80319c","span_id":"b7ad6b7169203331"}"#,
        )
        .unwrap()
    }

    #[test]
    fn runs_have_a_waterfall() {
        let offloaded = RunInfo {
            status: "failed".to_owned(),
            code: Some("function_error".to_owned()),
            message: Some("bad\u{1b}[2J".to_owned()),
            ran_on: "ROME/n2".to_owned(),
            caller: Some("ada".to_owned()),
            parent: Some("p".to_owned()),
            queue_us: 0,
            start_us: 0,
            execution_us: 10,
            warm: true,
            ..run()
        };
        let cached = RunInfo {
            cache: "joined".to_owned(),
            queue_us: 0,
            start_us: 0,
            execution_us: 0,
            total_us: 0,
            ..run()
        };
        expect![[r#"
            runs:
              2026-03-01T00:00:00.000Z  completed  invoke  on ROME/n1  cold  20.0 ms
                queue      █████                                     2.5 ms
                start           ██████████                           5.0 ms
                execution                 ████████████████████████   12.0 ms
                other                                             █  500 µs
                sizes  parameters 12 bytes, result 2.0 KiB
                trace  0af7651916cd43dd8448eb211c80319c
              2026-03-01T00:00:00.000Z  failed  invoke  on ROME/n2 for ROME/n1  warm  20.0 ms
                execution  █                                         10 µs
                other      ████████████████████████████████████████  20.0 ms
                error   bad\u{1b}[2J (function_error)
                caller  ada
                parent  p
                sizes   parameters 12 bytes, result 2.0 KiB
                trace   0af7651916cd43dd8448eb211c80319c
              2026-03-01T00:00:00.000Z  completed  invoke  on ROME/n1  cold  0 µs  from a run that it joined
                sizes  parameters 12 bytes, result 2.0 KiB
                trace  0af7651916cd43dd8448eb211c80319c"#]].assert_eq(&format!("runs:\n{}", runs(&[run(), offloaded, cached])));
    }

    #[test]
    fn requests_have_a_line_each() {
        let requests = r#"[
            {"method":"GET","host":"https://api.example.org","status":200,"begun_us":1000,"head_us":12300,"received_bytes":345},
            {"method":"POST","host":"https://a.example","status":502,"code":"outbound_broken","begun_us":1,"head_us":500,"received_bytes":2048},
            {"method":"GET","host":"http://b\u001b.example:8080","code":"outbound_unreachable","begun_us":1,"head_us":7,"received_bytes":0},
            {"method":"GET","host":"https://c.example","begun_us":1,"received_bytes":0}
        ]"#;
        let sent = RunInfo {
            requests: serde_json::from_str(requests).unwrap(),
            more_requests: 3,
            ..run()
        };
        let shown = runs(&[sent]);
        let lines: Vec<&str> = shown
            .lines()
            .filter_map(|line| line.trim_start().strip_prefix("request    "))
            .collect();
        assert_eq!(
            lines,
            [
                "GET https://api.example.org  200  12.3 ms  345 bytes",
                "POST https://a.example  502 (outbound_broken)  500 µs  2.0 KiB",
                "GET http://b\\u{1b}.example:8080  outbound_unreachable  7 µs",
                "GET https://c.example  no response",
                "3 more"
            ]
        );
    }

    #[test]
    fn bars_stay_within_their_line() {
        for (begin, span, whole) in [
            (0, 1, 1_000_000),
            (999_999, 1, 1_000_000),
            (0, u64::MAX, u64::MAX),
            (u64::MAX - 1, 1, u64::MAX),
            (0, 1, 1),
        ] {
            let bar = bar(begin, span, whole);
            let columns = bar.chars().count() as u64;
            assert!(
                (1..=BAR_COLUMNS).contains(&columns),
                "{begin} {span} {whole}"
            );
            assert!(bar.ends_with('█'));
        }
        let strange = RunInfo {
            queue_us: u64::MAX,
            start_us: u64::MAX,
            ..run()
        };
        assert!(!runs(&[strange]).is_empty());
    }
}
