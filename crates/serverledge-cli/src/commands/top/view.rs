//! `top` as lines: a pure function of its state and of the size of the screen.

use std::time::Duration;

use serverledge_wire::runs::{FunctionStats, RunInfo};

use super::state::{SortBy, TopState, is_failure};
use crate::commands::run_report;
use crate::text;

/// Stands where no figure is known.
const UNKNOWN: &str = "-";
/// Lines above the functions: the node, its ledger, its calls, and remarks.
const HEAD_LINES: usize = 4;
/// Most lines of runs, of which there are none on a screen that is lower than this many lines without head and foot.
const RUN_LINES_MAX: usize = 10;
const RUNS_NEED: usize = 9;
const KEYS: &str = "q quit  s sort  ↑↓ scroll  p pause  f failures";

/// The look of a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum LineLook {
    Plain,
    /// The head of a table.
    Head,
    /// Beside the matter.
    Faint,
    /// A failure.
    Bad,
}

/// A line of the screen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ScreenLine {
    pub(super) text: String,
    pub(super) look: LineLook,
}

impl ScreenLine {
    fn new(text: impl Into<String>, look: LineLook) -> Self {
        let text = text.into();
        Self { text, look }
    }
}

/// The screen: as many lines as it has at most, none longer than it is wide.
pub(super) fn screen(state: &TopState, width: usize, height: usize) -> Vec<ScreenLine> {
    let mut lines: Vec<_> = head(state)
        .into_iter()
        .map(|line| ScreenLine::new(line, LineLook::Plain))
        .collect();
    lines.push(remark(state));
    let functions = state.functions();
    let page = page(state, height);
    let from = state.scroll.min(functions.len().saturating_sub(page));
    let to = functions.len().min(from + page);
    lines.extend(function_lines(&functions[from..to], state.sort, page));
    let runs = run_rows(state, height);
    if runs > 0 {
        lines.push(ScreenLine::new(runs_title(state), LineLook::Faint));
        lines.extend(run_lines(&state.runs[..runs]));
    }
    lines.truncate(height.saturating_sub(1));
    lines.resize(
        height.saturating_sub(1),
        ScreenLine::new("", LineLook::Plain),
    );
    let shown = match functions.len() {
        0 => "no functions".to_owned(),
        count => format!("functions {} to {to} of {count}", from + 1),
    };
    lines.push(ScreenLine::new(
        format!("{KEYS}  ({shown})"),
        LineLook::Faint,
    ));
    lines.truncate(height);
    let cut = |line: ScreenLine| ScreenLine {
        text: line.text.chars().take(width).collect(),
        ..line
    };
    lines.into_iter().map(cut).collect()
}

/// Everything once, without a screen.
pub(super) fn once(state: &TopState) -> Vec<String> {
    let mut lines = head(state);
    lines.push(String::new());
    let functions = state.functions();
    let tables = function_lines(&functions, state.sort, functions.len());
    lines.extend(tables.into_iter().map(|line| line.text));
    if functions.is_empty() {
        lines.push("no function was called in the last minutes".to_owned());
    }
    if !state.runs.is_empty() {
        lines.extend([String::new(), runs_title(state)]);
        lines.extend(run_lines(&state.runs).into_iter().map(|line| line.text));
    }
    lines.retain_mut(|line| {
        line.truncate(line.trim_end().len());
        true
    });
    lines
}

/// The number of functions on a screen of so many lines.
pub(super) fn page(state: &TopState, height: usize) -> usize {
    let runs = match run_rows(state, height) {
        0 => 0,
        rows => rows + 2,
    };
    // The table's head and the foot.
    height.saturating_sub(HEAD_LINES + 2 + runs).max(1)
}

/// The number of runs on a screen of so many lines.
fn run_rows(state: &TopState, height: usize) -> usize {
    let free = height.saturating_sub(HEAD_LINES + 2);
    if free < RUNS_NEED {
        return 0;
    }
    state.runs.len().min(RUN_LINES_MAX).min(free / 3)
}

// === the node ===

fn head(state: &TopState) -> Vec<String> {
    vec![identity(state), ledger(state), rates(state)]
}

fn identity(state: &TopState) -> String {
    let name = match state.node_name() {
        name if name.is_empty() => "waiting for the node".to_owned(),
        name => name,
    };
    let mut parts = vec![name];
    if let Some(status) = &state.status {
        parts.push(format!("version {}", status.version));
        let up = Duration::try_from_secs_f64(status.uptime).unwrap_or_default();
        parts.push(format!("up {}", text::age(up)));
        if status.load_avg.iter().all(|average| *average >= 0.0) {
            let averages = status.load_avg.map(|average| format!("{average:.2}"));
            parts.push(format!("load {}", averages.join(" ")));
        }
    }
    text::one_line(&parts.join("  "))
}

/// Memory, processor, queue and sandboxes: as the events tell them, else as the status does.
fn ledger(state: &TopState) -> String {
    if let Some(load) = &state.load {
        let sandboxes = &load.sandboxes;
        return format!(
            "memory {} of {} MiB  cpu {} of {}  running {}  waiting {}  sandboxes {} busy, {} idle, {} starting",
            load.memory_used_mib,
            load.memory_mib,
            cores(load.cpu_used_milli),
            cores(load.cpu_milli),
            load.running,
            load.waiting,
            sandboxes.busy,
            sandboxes.idle,
            sandboxes.starting,
        );
    }
    let Some(status) = &state.status else {
        return String::new();
    };
    format!(
        "memory {} of {} MiB  cpu {:.2} of {:.2}  running {}  waiting {}",
        status.total_memory.saturating_sub(status.available_memory),
        status.total_memory,
        status.used_cpu,
        status.total_cpu,
        status.running,
        status.queued,
    )
}

fn cores(milli: u64) -> String {
    format!("{}.{:02}", milli / 1000, milli % 1000 / 10)
}

/// Those of all calls for an operator; else those of the functions that the caller sees.
fn rates(state: &TopState) -> String {
    if let Some(load) = &state.load {
        return format!(
            "calls {}/s  failures {}/s  rejected {}/s",
            load.calls, load.failures, load.rejected
        );
    }
    let functions = state.stats.iter().flat_map(|stats| &stats.functions);
    match functions.map(|one| one.per_second).reduce(|a, b| a + b) {
        Some(sum) => format!("calls {}/s", rate(sum)),
        None => String::new(),
    }
}

fn remark(state: &TopState) -> ScreenLine {
    if state.is_lost {
        return ScreenLine::new("the node does not answer; trying again", LineLook::Bad);
    }
    if state.is_paused {
        return ScreenLine::new("paused; p goes on", LineLook::Faint);
    }
    let peer = state.peer.as_ref().map(|peer| {
        let words = match peer.action.as_str() {
            action @ ("joined" | "left") => format!("has {action}"),
            action => format!("is {action}"),
        };
        // The time of day is enough.
        format!("{} {words} since {}", peer.node, time_of_day(peer.unix_ms))
    });
    ScreenLine::new(text::one_line(&peer.unwrap_or_default()), LineLook::Faint)
}

// === tables ===

fn function_lines(functions: &[&FunctionStats], sort: SortBy, rows: usize) -> Vec<ScreenLine> {
    let mark = |name: &str, width: usize| {
        let name = match name == sort.column() {
            true => format!("{name} ▾"),
            false => name.to_owned(),
        };
        // A minimum, so that columns keep their place while figures change.
        format!("{name:<width$}")
    };
    let head = [
        mark("FUNCTION", 20),
        mark("CALLS/S", 9),
        mark("P50", 7),
        mark("P99", 7),
        mark("CALLS", 6),
        mark("FAILURES", 10),
        mark("REJECTED", 8),
        mark("COLD", 4),
        mark("CACHE HITS", 10),
    ];
    let mut lines = table(head, functions.iter().map(|one| function_row(one)));
    for (line, one) in lines.iter_mut().skip(1).zip(functions) {
        if one.figures.failures > 0 {
            line.look = LineLook::Bad;
        }
    }
    lines.resize(rows + 1, ScreenLine::new("", LineLook::Plain));
    lines
}

fn function_row(one: &FunctionStats) -> [String; 9] {
    let span = |micros: Option<u64>| micros.map_or_else(|| UNKNOWN.to_owned(), text::micros);
    let figures = &one.figures;
    [
        run_report::named(one.app.as_deref(), &one.function),
        rate(one.per_second),
        span(figures.p50_us),
        span(figures.p99_us),
        figures.calls.to_string(),
        figures.failures.to_string(),
        figures.rejected.to_string(),
        figures.cold.to_string(),
        figures.cache_hits.to_string(),
    ]
}

/// Calls in a second with as many digits as matter.
fn rate(per_second: f64) -> String {
    match per_second {
        rate if !rate.is_finite() => UNKNOWN.to_owned(),
        rate if rate >= 10.0 => format!("{rate:.0}"),
        rate => format!("{rate:.2}"),
    }
}

fn runs_title(state: &TopState) -> String {
    if state.failures_only {
        "last failures".to_owned()
    } else {
        "last runs".to_owned()
    }
}

fn run_lines(runs: &[RunInfo]) -> Vec<ScreenLine> {
    let head = [
        "TIME", "FUNCTION", "TRIGGER", "STATUS", "TOTAL", "WARM", "CACHE", "RAN ON", "ID",
    ];
    let widths = [12, 20, 8, 10, 7, 4, 7, 8, 12];
    let mut head = head.map(str::to_owned);
    for (cell, width) in head.iter_mut().zip(widths) {
        *cell = format!("{cell:<width$}");
    }
    let mut lines = table(head, runs.iter().map(run_row));
    for (line, run) in lines.iter_mut().skip(1).zip(runs) {
        if is_failure(run) {
            line.look = LineLook::Bad;
        }
    }
    lines
}

fn run_row(run: &RunInfo) -> [String; 9] {
    [
        time_of_day(run.started_unix_ms),
        run_report::function(run),
        text::one_line(&run.trigger),
        run_report::status(run),
        text::micros(run.total_us),
        run_report::warm(run).to_owned(),
        text::one_line(&run.cache),
        text::one_line(&run.ran_on),
        text::one_line(run_report::end_of_id(&run.id)),
    ]
}

/// Hours, minutes, seconds and milliseconds in UTC.
fn time_of_day(unix_ms: u64) -> String {
    let time = text::time(unix_ms);
    time.split_once('T')
        .map(|(_, time)| time.trim_end_matches('Z').to_owned())
        .unwrap_or_default()
}

fn table<const N: usize>(
    head: [String; N],
    rows: impl Iterator<Item = [String; N]>,
) -> Vec<ScreenLine> {
    let rows: Vec<_> = std::iter::once(head).chain(rows).map(Vec::from).collect();
    let text = text::table(&rows);
    let mut lines: Vec<_> = text
        .lines()
        .map(|line| ScreenLine::new(line, LineLook::Plain))
        .collect();
    lines[0].look = LineLook::Head;
    lines
}

#[cfg(test)]
mod tests;
