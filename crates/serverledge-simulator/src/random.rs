//! Random numbers that a seed repeats, and the distributions that the scenario is made of.

use serverledge_core::SplitMix64;

/// The generator with the distributions.
#[derive(Debug, Clone)]
pub(crate) struct Random(SplitMix64);

impl Random {
    /// A stream of its own for each pair.
    pub(crate) fn new(seed: u64, stream: u64) -> Self {
        let mixed = SplitMix64::new(seed).next_u64() ^ stream.wrapping_mul(0xd134_2543_de82_ef95);
        Self(SplitMix64::new(mixed))
    }

    /// From zero up to, but not including, one.
    pub(crate) fn unit(&mut self) -> f64 {
        self.0.unit()
    }

    pub(crate) fn between(&mut self, low: f64, high: f64) -> f64 {
        low + (high - low) * self.unit()
    }

    /// One of so many; zero if there are none.
    pub(crate) fn below(&mut self, bound: usize) -> usize {
        self.0.below(bound)
    }

    /// A time between events that happen `rate` times a second.
    pub(crate) fn exponential(&mut self, rate: f64) -> f64 {
        -(1.0 - self.unit()).ln() / rate
    }

    /// With mean one; `sigma` is the deviation of its logarithm.
    pub(crate) fn lognormal(&mut self, sigma: f64) -> f64 {
        // Box and Muller's method.
        let radius = (-2.0 * (1.0 - self.unit()).ln()).sqrt();
        let normal = radius * (std::f64::consts::TAU * self.unit()).cos();
        (sigma * normal - sigma * sigma / 2.0).exp()
    }

    /// An index, each as likely as its weight.
    pub(crate) fn weighted(&mut self, weights: &[f64]) -> usize {
        let mut at = self.unit() * weights.iter().sum::<f64>();
        for (index, weight) in weights.iter().enumerate() {
            at -= weight;
            if at < 0.0 {
                return index;
            }
        }
        weights.len().saturating_sub(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn has_the_means_that_it_promises() {
        let mut random = Random::new(1, 2);
        let count = 100_000;
        let mut mean = |mut of: Box<dyn FnMut(&mut Random) -> f64>| {
            (0..count).map(|_| of(&mut random)).sum::<f64>() / f64::from(count)
        };
        for (found, expected) in [
            (mean(Box::new(Random::unit)), 0.5),
            (mean(Box::new(|random| random.exponential(4.0))), 0.25),
            (mean(Box::new(|random| random.lognormal(0.5))), 1.0),
            (
                mean(Box::new(|random| {
                    if random.weighted(&[1.0, 3.0]) == 1 {
                        1.0
                    } else {
                        0.0
                    }
                })),
                0.75,
            ),
        ] {
            assert!((found - expected).abs() < 0.02, "{found} for {expected}");
        }
        assert_ne!(Random::new(1, 2).unit(), Random::new(1, 3).unit());
        assert_eq!(Random::new(1, 2).unit(), Random::new(1, 2).unit());
    }
}
