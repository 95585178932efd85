//! The times of one pool: how long calls hold a place, how long a sandbox takes to start, and how long calls have
//! waited in line. From them follows whether another start pays: see `docs/decisions/0025-waiting-or-starting.md`.

use std::time::{Duration, Instant};

use crate::policy::COLD_START_PRIOR;
use crate::policy::statistics::Smoothed;

/// A start pays if the line would take longer than it by more than this part of it. Both times are estimates: without
/// a margin, equal ones would lead to starts by chance.
const MARGIN: u32 = 4;
/// One sandbox in so many may be started for the sake of later calls at a time: such starts take the processor from
/// calls that run, so a pool grows by a quarter in the time of a start.
const GROWTH: usize = 4;
/// A start that takes so many times as long as usual is not counted on.
const OVERDUE: u32 = 2;

/// The places of a pool, without those of sandboxes that take no new call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Places {
    /// Those in which calls run.
    pub(crate) running: usize,
    /// Those in sandboxes that are starting.
    pub(crate) starting: usize,
    /// Calls that start one of them, and would take any other that becomes free.
    pub(crate) starters: usize,
}

/// The times learnt of one pool.
#[derive(Debug, Clone, Copy)]
pub(crate) struct PoolTimes {
    /// The time for which calls hold a place in a sandbox that was up before.
    warm: Smoothed,
    /// The same for the first call of a sandbox, which may load what the others find.
    first: Smoothed,
    start: Smoothed,
    /// The time at which a place became free, or one was taken while all were.
    progress: Instant,
    /// The time that calls have spent in line since a start was begun.
    waited: Duration,
}

// === impl Places ===

impl Places {
    pub(crate) const fn add(&mut self, part: Self) {
        self.running += part.running;
        self.starting += part.starting;
        self.starters += part.starters;
    }

    pub(crate) const fn subtract(&mut self, part: Self) {
        self.running -= part.running;
        self.starting -= part.starting;
        self.starters -= part.starters;
    }
}

// === impl PoolTimes ===

impl PoolTimes {
    pub(crate) const fn new(now: Instant) -> Self {
        let unknown = Smoothed::UNKNOWN;
        Self {
            warm: unknown,
            first: unknown,
            start: unknown,
            progress: now,
            waited: Duration::ZERO,
        }
    }

    /// A call has given its place back after this time.
    pub(crate) fn held(&mut self, time: Duration, first: bool) {
        if first {
            &mut self.first
        } else {
            &mut self.warm
        }
        .observe(time);
    }

    /// A sandbox came up after this time.
    pub(crate) fn started(&mut self, time: Duration) {
        self.start.observe(time);
    }

    /// A sandbox could not be started: what was learnt of starts that went well is not to be trusted.
    pub(crate) const fn start_failed(&mut self) {
        (self.warm, self.first) = (Smoothed::UNKNOWN, Smoothed::UNKNOWN);
    }

    /// A place became free, or is the first in use.
    pub(crate) const fn progressed(&mut self, now: Instant) {
        self.progress = now;
    }

    /// A call took a warm place after so much time in line.
    pub(crate) const fn waited(&mut self, time: Duration) {
        self.waited = self.waited.saturating_add(time);
    }

    /// A start was begun.
    pub(crate) const fn start_begun(&mut self) {
        self.waited = Duration::ZERO;
    }

    /// The expected time of a start, from its begin.
    pub(crate) fn start(&self) -> Duration {
        self.start
            .get()
            .map_or(COLD_START_PRIOR, |start| seconds(start.mean))
    }

    /// The expected time until the last of `in_line` calls has a place, if no other start is begun; `None` if it is not
    /// known, or if there is nothing to wait for.
    pub(crate) fn line(&self, now: Instant, places: Places, in_line: usize) -> Option<Duration> {
        let all = places.running + places.starting;
        let hold = self
            .warm
            .get()
            .or_else(|| self.first.get())
            .filter(|_| all > 0)?
            .mean;
        // Where no place has become free for longer than one is held, that time counts.
        let stalled =
            now.saturating_duration_since(self.progress).as_secs_f64() * count(places.running);
        let hold = hold.max(stalled).max(f64::MIN_POSITIVE);
        let start = self.start().as_secs_f64();
        let calls = count(in_line.saturating_add(places.starters));
        let served = count(places.running) * start / hold;
        if calls <= served {
            return Some(seconds(calls * hold / count(places.running)));
        }
        // When the starts under way are over, each place takes one call after the other.
        let rounds = ((calls - served - count(places.starting)) / count(all))
            .ceil()
            .max(0.0);
        Some(seconds(start + rounds * hold))
    }

    /// Whether another start makes sense for `in_line` calls without a place.
    pub(crate) fn start_pays(&self, now: Instant, places: Places, in_line: usize) -> bool {
        let Some(line) = self.line(now, places, in_line) else {
            return true;
        };
        let start = self.start();
        let grows = self.waited >= start && places.starting < places.running.div_ceil(GROWTH);
        line > with_margin(start) || grows || (places.running == 0 && self.is_overdue(now))
    }

    /// Whether the starts under way take longer than starts are known to take, and no place is in use.
    pub(crate) fn starts_in_vain(&self, now: Instant, places: Places) -> bool {
        places.running == 0 && self.start.get().is_some() && self.is_overdue(now)
    }

    /// Whether no start is to be expected from those under way.
    fn is_overdue(&self, now: Instant) -> bool {
        now.saturating_duration_since(self.progress) > self.start() * OVERDUE
    }

    /// The longest time for which a call waits in line although it could start a sandbox, if nobody gives a place back.
    pub(crate) fn patience(&self) -> Duration {
        with_margin(self.start())
    }
}

fn with_margin(start: Duration) -> Duration {
    start + start / MARGIN
}

fn seconds(seconds: f64) -> Duration {
    Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX)
}

#[expect(clippy::cast_precision_loss, reason = "an estimate")]
fn count(count: usize) -> f64 {
    count as f64
}
