//! Smoothed means and deviations, as TCP keeps them of its round trips (RFC 6298 §2; Jacobson: Congestion Avoidance and
//! Control, SIGCOMM 1988).

use std::time::Duration;

/// One new value weighs an eighth in the mean.
const GAIN_MEAN: f64 = 1.0 / 8.0;
/// And a quarter in the deviation.
const GAIN_DEVIATION: f64 = 1.0 / 4.0;
/// A longer duration counts as this: a fault in a clock must not spoil a mean for ever.
const DURATION_MAX: Duration = Duration::from_secs(24 * 60 * 60);

/// An expected time, in seconds.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub(crate) struct Expected {
    pub(crate) mean: f64,
    /// The mean absolute deviation.
    pub(crate) deviation: f64,
}

/// A mean and deviation that follow what is observed.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Smoothed(Option<Expected>);

// === impl Expected ===

impl Expected {
    #[cfg(test)]
    pub(crate) const fn exactly(mean: f64) -> Self {
        Self {
            mean,
            deviation: 0.0,
        }
    }

    /// A guess that may be wrong by as much again.
    pub(crate) fn guess(mean: Duration) -> Self {
        Self {
            mean: mean.as_secs_f64(),
            deviation: mean.as_secs_f64(),
        }
    }

    /// The sum of two that have nothing to do with each other.
    pub(crate) fn and(self, other: Self) -> Self {
        Self {
            mean: self.mean + other.mean,
            deviation: root_of_squares(self.deviation, other.deviation),
        }
    }

    /// This after `sure` seconds and others, none of which has to do with another.
    pub(crate) fn after(self, sure: f64, others: &[Self; 2]) -> Self {
        let [one, other] = others;
        let mean = sure + one.mean + other.mean + self.mean;
        let squares = [one, other, &self].map(|part| part.deviation * part.deviation);
        Self {
            mean,
            deviation: squares.iter().sum::<f64>().sqrt(),
        }
    }

    /// With this probability this, else nothing.
    pub(crate) fn with_chance(self, chance: f64) -> Self {
        let doubt = chance * (1.0 - chance) * 2.0 * self.mean;
        Self {
            mean: self.mean * chance,
            deviation: root_of_squares(self.deviation * chance, doubt),
        }
    }
}

/// As `hypot`, in a few cycles: these are seconds, and never near what overflows.
fn root_of_squares(one: f64, other: f64) -> f64 {
    (one * one + other * other).sqrt()
}

// === impl Smoothed ===

impl Smoothed {
    pub(crate) const UNKNOWN: Self = Self(None);

    pub(crate) fn observe(&mut self, value: Duration) {
        let value = value.min(DURATION_MAX).as_secs_f64();
        self.0 = Some(match self.0 {
            None => Expected {
                mean: value,
                deviation: value / 2.0,
            },
            Some(Expected { mean, deviation }) => Expected {
                mean: mean + GAIN_MEAN * (value - mean),
                deviation: deviation + GAIN_DEVIATION * ((value - mean).abs() - deviation),
            },
        });
    }

    pub(crate) const fn get(self) -> Option<Expected> {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn follows_as_the_rfc_says() {
        let mut smoothed = Smoothed::UNKNOWN;
        assert_eq!(smoothed.get(), None);
        smoothed.observe(Duration::from_secs(8));
        assert_eq!(
            smoothed.get(),
            Some(Expected {
                mean: 8.0,
                deviation: 4.0
            })
        );
        smoothed.observe(Duration::from_secs(16));
        assert_eq!(
            smoothed.get(),
            Some(Expected {
                mean: 9.0,
                deviation: 5.0
            })
        );
        (0..200).for_each(|_| smoothed.observe(Duration::from_secs(2)));
        let settled = smoothed.get().expect("it has seen something");
        assert!(
            (settled.mean - 2.0).abs() < 1e-6 && settled.deviation < 1e-6,
            "{settled:?}"
        );
        smoothed.observe(Duration::MAX);
        assert!(
            smoothed.get().is_some_and(|one| one.mean < 86_400.0 / 4.0),
            "an absurd value is bounded"
        );
    }

    #[test]
    fn sums_and_chances() {
        let a = Expected {
            mean: 1.0,
            deviation: 3.0,
        };
        let b = Expected {
            mean: 2.0,
            deviation: 4.0,
        };
        assert_eq!(
            a.and(b),
            Expected {
                mean: 3.0,
                deviation: 5.0
            }
        );
        assert_eq!(
            a.after(1.0, &[b, Expected::exactly(1.0)]),
            Expected {
                mean: 5.0,
                deviation: 5.0
            }
        );
        assert_eq!(a.with_chance(0.0), Expected::exactly(0.0));
        assert_eq!(a.with_chance(1.0), a);
        // A second with an even chance: half a second away from the mean either way.
        assert_eq!(
            Expected::exactly(1.0).with_chance(0.5),
            Expected {
                mean: 0.5,
                deviation: 0.5
            }
        );
    }
}
