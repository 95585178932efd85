//! Network coordinates: how far any two nodes are apart, from a few measurements each instead of one for every pair.
//!
//! Vivaldi (Dabek, Cox, Kaashoek, Morris: Vivaldi: A Decentralized Network Coordinate System, SIGCOMM 2004) with the
//! refinements of Serf's implementation: a height for the way to the network's core, a window of adjustments (Lee et
//! al.: On Suitability of Euclidean Embedding for Host-Based Network Coordinate Systems, 2010), gravity towards the
//! origin and a median filter for each peer (both Ledlie et al.: Network Coordinates in the Wild, NSDI 2007).
//!
//! Lengths are seconds. What comes from outside is checked before anything changes: a coordinate or a round trip that
//! makes no sense is an error and leaves the state as it was.

use std::time::Duration;

use crate::bounded::bounded;
use lru::LruCache;
use serverledge_core::SplitMix64;

/// A longer round trip is no measurement: ten seconds, as in Serf.
pub const ROUND_TRIP_MAX: Duration = Duration::from_secs(10);
/// The error of a node that knows nothing.
pub const ERROR_MAX: f64 = 1.5;
/// The number of peers whose last measurements are kept; the ones unused for longest are forgotten.
pub const PEERS_MAX: usize = 4096;

/// The gains of the error (`CE`) and of the place (`CC`): the share of a measurement by which each follows it.
const CE: f64 = 0.25;
const CC: f64 = 0.25;
/// The number of differences that the adjustment is the mean of.
const WINDOW: usize = 20;
/// The median of so many measurements of a peer is believed.
const FILTER: usize = 3;
/// The distance in seconds at which gravity is strong; coordinates stay near the origin without being squeezed.
const GRAVITY_RHO: f64 = 150.0;
/// Nobody is nearer to the core than this.
const HEIGHT_MIN: f64 = 10e-6;
/// Less is taken for nothing, so that no division blows up.
const ZERO: f64 = 1e-6;
/// A coordinate further out than this in any component makes no sense: round trips end at [`ROUND_TRIP_MAX`].
const REACH: f64 = 100.0;

/// The position of a node.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Coordinate {
    /// The place in the core, in seconds.
    pub vec: [f64; 3],
    /// The node's uncertainty about it: zero is certain, [`ERROR_MAX`] knows nothing.
    pub error: f64,
    /// The mean by which distances were found to differ from measurements, in seconds.
    pub adjustment: f64,
    /// The way to the core, in seconds.
    pub height: f64,
}

/// The reason why an observation was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ObserveError {
    /// The other's coordinate has a component that is no number, or out of range.
    #[error("the coordinate has a component that is no number or out of range")]
    Coordinate,
    /// The round trip is longer than [`ROUND_TRIP_MAX`].
    #[error("the round trip is longer than {} s", ROUND_TRIP_MAX.as_secs())]
    RoundTrip,
}

/// One node's coordinate, which follows what it measures.
#[derive(Debug)]
pub struct Vivaldi {
    coordinate: Coordinate,
    /// The last differences between measured and expected distances; `next` is the oldest.
    differences: [f64; WINDOW],
    next: usize,
    /// The last measurements of each peer, oldest first.
    latencies: LruCache<u64, Latencies>,
    random: SplitMix64,
}

/// The last measurements of a peer, in seconds, the newest last.
#[derive(Debug, Clone, Copy, Default)]
struct Latencies {
    values: [f64; FILTER],
    count: usize,
}

type Vector = [f64; 3];

// === impl Coordinate ===

impl Default for Coordinate {
    fn default() -> Self {
        Self::ORIGIN
    }
}

impl Coordinate {
    /// The position of a node that knows nothing.
    pub const ORIGIN: Self = Self {
        vec: [0.0; 3],
        error: ERROR_MAX,
        adjustment: 0.0,
        height: HEIGHT_MIN,
    };

    /// The expected round trip between the two. Zero if either makes no sense.
    #[must_use]
    pub fn distance(&self, other: &Self) -> Duration {
        if !self.is_valid() || !other.is_valid() {
            return Duration::ZERO;
        }
        Duration::try_from_secs_f64(self.seconds_to(other)).unwrap_or(Duration::ZERO)
    }

    /// Whether every component is a number in its range.
    #[must_use]
    pub fn is_valid(&self) -> bool {
        let within = |value: f64| value.is_finite() && value.abs() <= REACH;
        self.vec.iter().all(|one| within(*one))
            && within(self.adjustment)
            && (0.0..=REACH).contains(&self.height)
            && (0.0..=ERROR_MAX).contains(&self.error)
    }

    fn seconds_to(&self, other: &Self) -> f64 {
        let plain = self.plain_seconds_to(other);
        let adjusted = plain + self.adjustment + other.adjustment;
        if adjusted > 0.0 { adjusted } else { plain }
    }

    fn plain_seconds_to(&self, other: &Self) -> f64 {
        length(difference(self.vec, other.vec)) + self.height + other.height
    }

    /// Moved by so many seconds away from the other, or towards it if negative.
    fn pushed(&self, seconds: f64, other: &Self, random: &mut SplitMix64) -> Self {
        let (unit, distance) = direction(self.vec, other.vec, random);
        let height = if distance > ZERO {
            ((self.height + other.height) * seconds / distance + self.height).max(HEIGHT_MIN)
        } else {
            self.height
        };
        let vec = std::array::from_fn(|at| self.vec[at] + unit[at] * seconds);
        Self {
            vec,
            height,
            ..*self
        }
    }
}

// === impl Vivaldi ===

impl Vivaldi {
    /// A node at the origin. The seed decides the way that it leaves it; nodes should have different ones.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self {
            coordinate: Coordinate::ORIGIN,
            differences: [0.0; WINDOW],
            next: 0,
            latencies: bounded(PEERS_MAX),
            random: SplitMix64::new(seed),
        }
    }

    /// The position of this node; always valid.
    #[must_use]
    pub const fn coordinate(&self) -> Coordinate {
        self.coordinate
    }

    /// A round trip to a peer took this long, and the peer says that it is there. `peer` is a key that stays the same.
    ///
    /// # Errors
    /// If the coordinate or the round trip makes no sense; then nothing has changed.
    pub fn observe(
        &mut self,
        peer: u64,
        other: &Coordinate,
        round_trip: Duration,
    ) -> Result<(), ObserveError> {
        if !other.is_valid() {
            return Err(ObserveError::Coordinate);
        }
        if round_trip > ROUND_TRIP_MAX {
            return Err(ObserveError::RoundTrip);
        }
        let seconds = self
            .latencies
            .get_or_insert_mut(peer, Latencies::default)
            .observe(round_trip.as_secs_f64());
        self.follow(other, seconds.max(ZERO));
        self.adjust(other, seconds);
        self.fall();
        if !self.coordinate.is_valid() {
            // Pushed beyond all bounds, by a liar: better to begin again.
            self.coordinate = Coordinate::ORIGIN;
            self.differences = [0.0; WINDOW];
        }
        Ok(())
    }

    /// The peer is gone: its measurements are forgotten.
    pub fn forget(&mut self, peer: u64) {
        self.latencies.pop(&peer);
    }

    fn follow(&mut self, other: &Coordinate, seconds: f64) {
        let expected = self.coordinate.seconds_to(other);
        let wrong = (expected - seconds).abs() / seconds;
        let error = self.coordinate.error;
        let weight = error / (error + other.error).max(ZERO);
        self.coordinate.error = (CE * weight * wrong + error * (1.0 - CE * weight)).min(ERROR_MAX);
        let push = CC * weight * (seconds - expected);
        self.coordinate = self.coordinate.pushed(push, other, &mut self.random);
    }

    fn adjust(&mut self, other: &Coordinate, seconds: f64) {
        self.differences[self.next] = seconds - self.coordinate.plain_seconds_to(other);
        self.next = (self.next + 1) % WINDOW;
        #[expect(clippy::cast_precision_loss, reason = "a small constant")]
        let halves = 2.0 * WINDOW as f64;
        self.coordinate.adjustment = self.differences.iter().sum::<f64>() / halves;
    }

    fn fall(&mut self) {
        let out = Coordinate::ORIGIN.seconds_to(&self.coordinate);
        let pull = -(out / GRAVITY_RHO).powi(2);
        self.coordinate = self
            .coordinate
            .pushed(pull, &Coordinate::ORIGIN, &mut self.random);
    }
}

// === impl Latencies ===

impl Latencies {
    /// Takes a measurement in; answers the median of the last ones.
    fn observe(&mut self, seconds: f64) -> f64 {
        if self.count == FILTER {
            self.values.rotate_left(1);
        } else {
            self.count += 1;
        }
        self.values[self.count - 1] = seconds;
        let mut sorted = self.values;
        let sorted = &mut sorted[..self.count];
        sorted.sort_unstable_by(f64::total_cmp);
        sorted[self.count / 2]
    }
}

fn difference(one: Vector, other: Vector) -> Vector {
    std::array::from_fn(|at| one[at] - other[at])
}

fn length(vector: Vector) -> f64 {
    vector.iter().map(|one| one * one).sum::<f64>().sqrt()
}

/// From the other to the one: a vector of length one, and how far that is. Anywhere, if they are at the same place.
fn direction(one: Vector, other: Vector, random: &mut SplitMix64) -> (Vector, f64) {
    let between = difference(one, other);
    let distance = length(between);
    if distance > ZERO {
        return (between.map(|one| one / distance), distance);
    }
    let anywhere: Vector = std::array::from_fn(|_| random.unit() - 0.5);
    let long = length(anywhere);
    (
        if long > ZERO {
            anywhere.map(|one| one / long)
        } else {
            [1.0, 0.0, 0.0]
        },
        0.0,
    )
}

#[cfg(test)]
mod tests;
