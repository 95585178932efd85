//! Figures over time: for each function the last ten minutes, for the node the last hour, in steps of ten seconds.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use serverledge_core::{FunctionName, RunStatus, SpaceId};
use serverledge_wire::runs::RunFigures;

use crate::clock::unix_ms;

/// Length of a step, in milliseconds.
pub(crate) const STEP_MS: u64 = 10_000;
/// Steps of a function.
pub(crate) const FUNCTION_STEPS: usize = 60;
/// Steps of a node.
const NODE_STEPS: usize = 360;
/// Steps of all functions together, which bounds their memory to about 14 MB: on a node with more functions than fit,
/// each has fewer steps.
const STEPS_TOTAL: usize = 60_000;
/// Least steps of a function: the last minute.
const FUNCTION_STEPS_LEAST: usize = 6;
/// Buckets of durations. The last one has all that is longer than about 800 s.
const BUCKETS: usize = 53;
/// The upper bound of the first bucket, in microseconds.
const FIRST_BOUND: f64 = 20.0;
/// Each bucket's bound is so many times the one before, so a percentile is off by less than that factor.
const GROWTH: f64 = 1.4;

/// One run, as series count it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Observation {
    /// Time of the end, in Unix milliseconds.
    pub(crate) unix_ms: u64,
    pub(crate) status: RunStatus,
    pub(crate) cold: bool,
    /// Whether nothing ran.
    pub(crate) cached: bool,
    pub(crate) total: Duration,
}

/// The state of the node at the begin of a step.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Gauges {
    pub(crate) running: u64,
    pub(crate) waiting: u64,
    pub(crate) memory_used_mib: u64,
    pub(crate) cpu_used_milli: u64,
}

/// The figures of one step.
#[derive(Debug, Clone)]
pub(crate) struct SeriesStep {
    /// Number of the step since the Unix epoch.
    at: u64,
    calls: u32,
    failures: u32,
    rejected: u32,
    cold: u32,
    cached: u32,
    /// Completed runs by duration.
    durations: [u32; BUCKETS],
    gauges: Gauges,
}

/// The steps of one function, or of the node. Processors count in shards, so that they do not wait for each other.
#[derive(Debug)]
pub(crate) struct Series<const SHARDS: usize> {
    /// The step that is counted in each shard.
    current: [Shard<Mutex<SeriesStep>>; SHARDS],
    /// Those before, the oldest first.
    steps: Mutex<VecDeque<SeriesStep>>,
}

/// The steps of a function.
pub(crate) type FunctionSeries = Series<2>;

/// Something with cache lines of its own: two, since processors fetch neighbours in pairs (Intel 64 and IA-32
/// Architectures Optimization Reference Manual, "Data Prefetching").
#[derive(Debug, Default)]
#[repr(align(128))]
struct Shard<T>(T);

/// Number of shards of what counts for the whole node.
const NODE_SHARDS: usize = 8;

/// The series of all functions, and that of the node.
#[derive(Debug, Default)]
pub(crate) struct SeriesTable {
    functions: Mutex<HashMap<(SpaceId, FunctionName), Arc<FunctionSeries>>>,
    node: Series<NODE_SHARDS>,
    /// Calls, failures and rejections since the start.
    totals: [Shard<[AtomicU64; 3]>; NODE_SHARDS],
}

// === impl SeriesStep ===

impl SeriesStep {
    const fn new(at: u64) -> Self {
        Self {
            at,
            calls: 0,
            failures: 0,
            rejected: 0,
            cold: 0,
            cached: 0,
            durations: [0; BUCKETS],
            gauges: Gauges {
                running: 0,
                waiting: 0,
                memory_used_mib: 0,
                cpu_used_milli: 0,
            },
        }
    }

    fn observe(&mut self, seen: Observation) {
        self.calls += 1;
        match seen.status {
            RunStatus::Completed => {
                self.cold += u32::from(seen.cold);
                self.cached += u32::from(seen.cached);
                self.durations[bucket(seen.total)] += 1;
            }
            RunStatus::Rejected => self.rejected += 1,
            RunStatus::Abandoned => {}
            _ => self.failures += 1,
        }
    }

    /// Adds the counts of another step.
    pub(crate) fn add(&mut self, other: &Self) {
        self.calls += other.calls;
        self.failures += other.failures;
        self.rejected += other.rejected;
        self.cold += other.cold;
        self.cached += other.cached;
        for (sum, count) in self.durations.iter_mut().zip(other.durations) {
            *sum += count;
        }
    }

    /// Begin of the step, in Unix milliseconds.
    pub(crate) const fn unix_ms(&self) -> u64 {
        self.at * STEP_MS
    }

    pub(crate) const fn gauges(&self) -> Gauges {
        self.gauges
    }

    pub(crate) fn figures(&self) -> RunFigures {
        RunFigures {
            calls: self.calls.into(),
            failures: self.failures.into(),
            rejected: self.rejected.into(),
            cold: self.cold.into(),
            cache_hits: self.cached.into(),
            p50_us: percentile(&self.durations, 0.50),
            p99_us: percentile(&self.durations, 0.99),
        }
    }
}

// === impl Series ===

impl<const SHARDS: usize> Default for Series<SHARDS> {
    fn default() -> Self {
        Self {
            current: std::array::from_fn(|_| Shard(Mutex::new(SeriesStep::new(0)))),
            steps: Mutex::default(),
        }
    }
}

impl<const SHARDS: usize> Series<SHARDS> {
    /// Counts a run; there are so many steps at most.
    fn count(&self, seen: Observation, steps_max: usize) {
        let at = seen.unix_ms / STEP_MS;
        let mut step = self.current[shard(SHARDS)].0.lock();
        // A clock that is set back goes on in the step that it had reached.
        if step.at < at {
            let over = std::mem::replace(&mut *step, SeriesStep::new(at));
            self.keep(&over, steps_max);
        }
        step.observe(seen);
    }

    /// Keeps a shard's step that is over.
    fn keep(&self, over: &SeriesStep, steps_max: usize) {
        if over.calls > 0 {
            self.change(over.at, steps_max, |step| step.add(over));
        }
    }

    /// Changes a step that is kept, or begins it. One that is too old for its place is forgotten.
    fn change(&self, at: u64, steps_max: usize, change: impl FnOnce(&mut SeriesStep)) {
        let mut steps = self.steps.lock();
        change(step_at(&mut steps, at));
        while steps.len() > steps_max {
            steps.pop_front();
        }
    }

    /// All steps, the oldest first.
    fn all(&self) -> Vec<SeriesStep> {
        // Held together, so that no step is on its way to the others. Whoever counts holds one of them, and then those.
        let current = self.current.each_ref().map(|shard| shard.0.lock());
        let mut all = self.steps.lock().clone();
        for shard in current.iter().filter(|shard| shard.calls > 0) {
            step_at(&mut all, shard.at).add(shard);
        }
        all.into()
    }

    /// The steps that began in these last milliseconds, the oldest first.
    pub(crate) fn last(&self, window_ms: u64) -> Vec<SeriesStep> {
        let first = unix_ms().saturating_sub(window_ms) / STEP_MS;
        let mut steps = self.all();
        steps.retain(|step| step.at >= first);
        steps
    }

    /// Calls in a second, over about this time.
    pub(crate) fn rate(&self, window_ms: u64) -> f64 {
        let now = unix_ms();
        let first = now.saturating_sub(window_ms) / STEP_MS;
        let span_ms = now.saturating_sub(first * STEP_MS).max(1);
        let calls = sum(&self.last(window_ms)).calls;
        #[expect(
            clippy::cast_precision_loss,
            reason = "calls and milliseconds of a minute"
        )]
        let rate = calls as f64 * 1000.0 / span_ms as f64;
        rate
    }

    fn shorten(&self, steps_max: usize) {
        let mut steps = self.steps.lock();
        while steps.len() > steps_max {
            steps.pop_front();
        }
        steps.shrink_to_fit();
    }
}

impl FunctionSeries {
    /// Counts a run.
    pub(crate) fn observe(&self, seen: Observation) {
        self.count(seen, FUNCTION_STEPS);
    }
}

/// The step of this number among those in order. A new one has the state of the step before.
fn step_at(steps: &mut VecDeque<SeriesStep>, at: u64) -> &mut SeriesStep {
    let found = steps.binary_search_by_key(&at, |step| step.at);
    let place = found.unwrap_or_else(|place| {
        let mut step = SeriesStep::new(at);
        let before = place.checked_sub(1).and_then(|before| steps.get(before));
        step.gauges = before.map_or_else(Gauges::default, SeriesStep::gauges);
        steps.insert(place, step);
        place
    });
    &mut steps[place]
}

/// The shard of the processor that this runs on.
fn shard(shards: usize) -> usize {
    rustix::thread::sched_getcpu() % shards
}

/// The sum of several steps.
pub(crate) fn sum(steps: &[SeriesStep]) -> RunFigures {
    let mut sum = SeriesStep::new(0);
    steps.iter().for_each(|step| sum.add(step));
    sum.figures()
}

// === impl SeriesTable ===

impl SeriesTable {
    /// The series of a function, made at its first call.
    pub(crate) fn of(&self, space: &SpaceId, name: &FunctionName) -> Arc<FunctionSeries> {
        let key = (space.clone(), name.clone());
        Arc::clone(self.functions.lock().entry(key).or_default())
    }

    /// Counts a run of any function.
    pub(crate) fn observe(&self, seen: Observation) {
        self.node.count(seen, NODE_STEPS);
        let [calls, failures, rejections] = &self.totals[shard(NODE_SHARDS)].0;
        let count = |total: &AtomicU64| {
            total.fetch_add(1, Ordering::Relaxed);
        };
        count(calls);
        match seen.status {
            RunStatus::Completed | RunStatus::Abandoned => {}
            RunStatus::Rejected => count(rejections),
            _ => count(failures),
        }
    }

    /// Begins a step of the node with its state, and drops what the memory has no room for. To be called once a step.
    pub(crate) fn begin_step(&self, gauges: Gauges) {
        self.node
            .change(unix_ms() / STEP_MS, NODE_STEPS, |step| step.gauges = gauges);
        let functions: Vec<_> = self.functions.lock().values().cloned().collect();
        let each = STEPS_TOTAL / functions.len().max(1);
        if each < FUNCTION_STEPS {
            let each = each.max(FUNCTION_STEPS_LEAST);
            functions.iter().for_each(|series| series.shorten(each));
        }
    }

    pub(crate) fn forget(&self, space: &SpaceId, name: &FunctionName) {
        self.functions.lock().remove(&(space.clone(), name.clone()));
    }

    /// The steps of the node.
    pub(crate) fn node(&self) -> Vec<SeriesStep> {
        self.node.last(STEP_MS * NODE_STEPS as u64)
    }

    /// Calls, failures and rejections since the start.
    pub(crate) fn totals(&self) -> [u64; 3] {
        let total = |number: usize| {
            let shards = self.totals.iter();
            shards
                .map(|shard| shard.0[number].load(Ordering::Relaxed))
                .sum()
        };
        [total(0), total(1), total(2)]
    }

    /// All functions that were called.
    pub(crate) fn all(&self) -> Vec<((SpaceId, FunctionName), Arc<FunctionSeries>)> {
        let functions = self.functions.lock();
        let copied = functions
            .iter()
            .map(|(key, series)| (key.clone(), Arc::clone(series)));
        copied.collect()
    }
}

// === durations ===

fn bound(bucket: usize) -> f64 {
    FIRST_BOUND * GROWTH.powi(i32::try_from(bucket).unwrap_or(i32::MAX))
}

fn bucket(took: Duration) -> usize {
    let nanos = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX);
    BOUNDS_NS.partition_point(|bound| *bound < nanos)
}

/// The upper bounds of all buckets but the last, which has none, in nanoseconds.
const BOUNDS_NS: [u64; BUCKETS - 1] = {
    let mut bounds = [0; BUCKETS - 1];
    let mut bound = FIRST_BOUND * 1000.0;
    let mut at = 0;
    while at < bounds.len() {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "between 20 microseconds and some minutes"
        )]
        let whole = bound as u64;
        bounds[at] = whole;
        bound *= GROWTH;
        at += 1;
    }
    bounds
};

/// The duration below which this share of the runs is, in microseconds, interpolated within its bucket; `None` if there
/// are none.
fn percentile(durations: &[u32; BUCKETS], share: f64) -> Option<u64> {
    let total: u64 = durations.iter().map(|count| u64::from(*count)).sum();
    if total == 0 {
        return None;
    }
    #[expect(clippy::cast_precision_loss, reason = "counts of ten minutes")]
    let wanted = share * total as f64;
    let mut below = 0.0;
    for (at, count) in durations.iter().enumerate() {
        let count = f64::from(*count);
        if count > 0.0 && below + count >= wanted {
            let low = if at == 0 { 0.0 } else { bound(at - 1) };
            let within = ((wanted - below) / count).clamp(0.0, 1.0);
            let micros = low + (bound(at) - low) * within;
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "at most the last bound"
            )]
            return Some(micros.round() as u64);
        }
        below += count;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(micros: u64) -> Observation {
        Observation {
            unix_ms: 0,
            status: RunStatus::Completed,
            cold: false,
            cached: false,
            total: Duration::from_micros(micros),
        }
    }

    #[test]
    fn buckets_cover_all_durations_in_order() {
        assert_eq!(bucket(Duration::ZERO), 0);
        assert_eq!(bucket(Duration::from_micros(20)), 0);
        assert_eq!(bucket(Duration::from_micros(21)), 1);
        assert_eq!(bucket(Duration::from_secs(100_000)), BUCKETS - 1);
        let mut last = 0;
        for micros in (0..10_000_000).step_by(997) {
            let at = bucket(Duration::from_micros(micros));
            assert!(at >= last && at < BUCKETS, "{micros}");
            last = at;
        }
    }

    #[test]
    fn percentiles_are_near() {
        let mut step = SeriesStep::new(1);
        (1..=1000).for_each(|n| step.observe(run(n * 100)));
        let figures = step.figures();
        for (figure, exact) in [(figures.p50_us, 50_000_u64), (figures.p99_us, 99_000)] {
            let figure = figure.unwrap();
            let is_near = figure * 10 <= exact * 14 && exact * 10 <= figure * 14;
            assert!(is_near, "{figure} for {exact}");
        }
        assert_eq!(SeriesStep::new(1).figures().p50_us, None);
    }

    fn at(step: u64) -> Observation {
        Observation {
            unix_ms: step * STEP_MS,
            ..run(1)
        }
    }

    #[test]
    fn steps_are_bounded_and_in_order() {
        let series = Series::<1>::default();
        for step in [5, 6, 6, 4, 100] {
            series.count(at(step), 3);
        }
        let seen = |series: &Series<1>| -> Vec<_> {
            let steps = series.all();
            steps.iter().map(|step| (step.at, step.calls)).collect()
        };
        assert_eq!(seen(&series), [(5, 1), (6, 3), (100, 1)]);
        for step in 101..110 {
            series.count(at(step), 3);
        }
        assert_eq!(seen(&series), [(106, 1), (107, 1), (108, 1), (109, 1)]);
        series.shorten(1);
        assert_eq!(seen(&series), [(108, 1), (109, 1)]);
        let gauges = Gauges {
            running: 7,
            ..Gauges::default()
        };
        series.change(109, 3, |step| step.gauges = gauges);
        let last = series.all().pop().unwrap();
        assert_eq!((last.calls, last.gauges()), (1, gauges));
        // A step that is only counted yet has the state of the one before.
        series.count(at(110), 3);
        let last = series.all().pop().unwrap();
        assert_eq!((last.at, last.calls, last.gauges()), (110, 1, gauges));
    }

    /// Whatever processors count: nothing is lost or counted twice, and what is read is in order.
    #[test]
    fn shards_make_one_series() {
        let series = Series::<4>::default();
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| (1..=500_u64).for_each(|n| series.count(at(n / 100), 100)));
            }
            for _ in 0..50 {
                let steps = series.all();
                assert!(steps.is_sorted_by_key(|step| step.at));
            }
        });
        let calls: u32 = series.all().iter().map(|step| step.calls).sum();
        assert_eq!(calls, 2000);
    }

    #[test]
    fn outcomes_are_told_apart() {
        let mut step = SeriesStep::new(1);
        for status in RunStatus::ALL {
            step.observe(Observation {
                status,
                cold: true,
                cached: true,
                ..run(5)
            });
        }
        let figures = step.figures();
        assert_eq!(
            (
                figures.calls,
                figures.failures,
                figures.rejected,
                figures.cold,
                figures.cache_hits
            ),
            (7, 4, 1, 1, 1)
        );
    }
}
