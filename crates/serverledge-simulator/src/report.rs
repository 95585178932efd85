//! The outcomes of the calls, and the table of them.

use std::fmt::Write as _;
use std::time::Duration;

use serverledge_core::OverloadReason;

use crate::scenario::{KINDS, World};
use crate::timing::Decisions;

/// The cost of a core-second: at the edge one, since its machines are there anyway; in the cloud three, for it is
/// rented by use, and the way there is paid too.
pub(crate) const COST_EDGE: f64 = 1.0;
pub(crate) const COST_CLOUD: f64 = 3.0;

/// A run is shown in so many pieces of time.
pub(crate) const PIECES: usize = 60;

/// The tier in which a call was answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum AnswerTier {
    Here,
    Neighbour,
    Cloud,
}

/// Arrivals in a piece of time, and those of them that were answered in time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Piece {
    pub(crate) calls: u64,
    pub(crate) in_time: u64,
}

/// One policy's results. A call without a deadline is in time if it is answered.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Report {
    pub(crate) policy: String,
    pub(crate) in_time: u64,
    pub(crate) late: u64,
    /// Turned away because no place is expected to be in time, or the deadline passed; and for all other reasons.
    pub(crate) too_late: u64,
    pub(crate) overload: u64,
    /// Answered calls by [`AnswerTier`].
    answered: [u64; 3],
    pub(crate) edge_core_seconds: f64,
    pub(crate) cloud_core_seconds: f64,
    /// Calls with a deadline, and those of them in time.
    pub(crate) with_deadline: Piece,
    /// Answered calls' response times in microseconds; sorted when finished.
    responses: Vec<u32>,
    pub(crate) pieces: Vec<Piece>,
}

impl Report {
    pub(crate) fn new(policy: &str, world: &World) -> Self {
        let mut pieces = vec![Piece::default(); PIECES];
        let mut with_deadline = Piece::default();
        for call in &world.calls {
            pieces[piece(world, call.at)].calls += 1;
            with_deadline.calls += u64::from(call.deadline.is_some());
        }
        Self {
            policy: policy.to_owned(),
            in_time: 0,
            late: 0,
            too_late: 0,
            overload: 0,
            answered: [0; 3],
            edge_core_seconds: 0.0,
            cloud_core_seconds: 0.0,
            with_deadline,
            responses: Vec::with_capacity(world.calls.len()),
            pieces,
        }
    }

    /// A call was answered at a time; it held a sandbox's processors for so long.
    pub(crate) fn answered(
        &mut self,
        world: &World,
        call: u32,
        outcome: AnswerTier,
        now: Duration,
        held: Duration,
    ) {
        let call = &world.calls[call as usize];
        let response = now - call.at;
        let in_time = call.deadline.is_none_or(|deadline| response <= deadline);
        self.answered[outcome as usize] += 1;
        self.in_time += u64::from(in_time);
        self.late += u64::from(!in_time);
        self.with_deadline.in_time += u64::from(in_time && call.deadline.is_some());
        self.pieces[piece(world, call.at)].in_time += u64::from(in_time);
        self.responses
            .push(u32::try_from(response.as_micros()).unwrap_or(u32::MAX));
        let work = held.as_secs_f64() * KINDS[usize::from(call.kind)].demand.cpu.cores();
        let seconds = if outcome == AnswerTier::Cloud {
            &mut self.cloud_core_seconds
        } else {
            &mut self.edge_core_seconds
        };
        *seconds += work;
    }

    pub(crate) fn rejected(&mut self, reason: OverloadReason) {
        let count = if reason == OverloadReason::Deadline {
            &mut self.too_late
        } else {
            &mut self.overload
        };
        *count += 1;
    }

    pub(crate) fn finish(&mut self) {
        self.responses.sort_unstable();
    }

    /// All that had an outcome.
    pub(crate) const fn calls(&self) -> u64 {
        self.in_time + self.late + self.too_late + self.overload
    }

    pub(crate) const fn count(&self, outcome: AnswerTier) -> u64 {
        self.answered[outcome as usize]
    }

    pub(crate) fn share(&self, count: u64) -> f64 {
        count as f64 / self.calls().max(1) as f64
    }

    /// The response time below which so many percent of the answers are, in milliseconds.
    pub(crate) fn response_ms(&self, percent: usize) -> f64 {
        let at = (self.responses.len() * percent / 100).min(self.responses.len().saturating_sub(1));
        self.responses
            .get(at)
            .map_or(0.0, |micros| f64::from(*micros) / 1_000.0)
    }

    /// Per thousand calls that were answered in time.
    pub(crate) fn cost(&self) -> f64 {
        let cost = COST_EDGE * self.edge_core_seconds + COST_CLOUD * self.cloud_core_seconds;
        1_000.0 * cost / self.in_time.max(1) as f64
    }
}

impl Piece {
    pub(crate) fn share(self) -> f64 {
        if self.calls == 0 {
            1.0
        } else {
            self.in_time as f64 / self.calls as f64
        }
    }
}

fn piece(world: &World, at: Duration) -> usize {
    let share = at.as_secs_f64() / f64::from(world.scenario.seconds);
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "casts of floats saturate"
    )]
    let piece = (share * PIECES as f64) as usize;
    piece.min(PIECES - 1)
}

/// The reports as a Markdown table, and the decision times as another.
pub(crate) fn table(world: &World, reports: &[(Report, Decisions)]) -> String {
    let cloud = world.sites.iter().filter(|site| site.cloud).count();
    let mut text = String::new();
    // Writing to a string does not fail.
    let _ = writeln!(
        text,
        "{} edge and {cloud} cloud nodes, {} s, seed {}, load {}: {} calls. A core-second costs {COST_EDGE} at the edge and \
         {COST_CLOUD} in the cloud.\n",
        world.sites.len() - cloud,
        world.scenario.seconds,
        world.scenario.seed,
        world.scenario.load,
        world.calls.len(),
    );
    text.push_str(
        "| policy | in time | of those with a deadline | late | refused: too late | refused: other | on neighbours | in the cloud | p50 | p95 | edge core-s | cloud core-s | cost of 1,000 in time |\n",
    );
    text.push_str("|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|\n");
    for (report, _) in reports {
        let percent = |count| format!("{:.2} %", 100.0 * report.share(count));
        let _ = writeln!(
            text,
            "| `{}` | {} | {:.2} % | {} | {} | {} | {} | {} | {:.0} ms | {:.0} ms | {:.0} | {:.0} | {:.0} |",
            report.policy,
            percent(report.in_time),
            100.0 * report.with_deadline.share(),
            percent(report.late),
            percent(report.too_late),
            percent(report.overload),
            percent(report.count(AnswerTier::Neighbour)),
            percent(report.count(AnswerTier::Cloud)),
            report.response_ms(50),
            report.response_ms(95),
            report.edge_core_seconds,
            report.cloud_core_seconds,
            report.cost(),
        );
    }
    text.push_str("\n| policy | decisions | mean | p99 |\n|---|--:|--:|--:|\n");
    for (report, decisions) in reports {
        let micros = |time: Duration| time.as_secs_f64() * 1e6;
        let mean = micros(decisions.mean());
        let high = micros(decisions.high());
        let _ = writeln!(
            text,
            "| `{}` | {} | {mean:.2} µs | {high:.2} µs |",
            report.policy,
            decisions.count()
        );
    }
    text
}
