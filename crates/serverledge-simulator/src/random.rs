//! Random numbers that a seed repeats, and the distributions that the scenario is made of.

/// SplitMix64.
#[derive(Debug, Clone)]
pub(crate) struct Random(u64);

impl Random {
    /// A stream of its own for each pair.
    pub(crate) fn new(seed: u64, stream: u64) -> Self {
        let mut random = Self(seed);
        let mixed = random.bits() ^ stream.wrapping_mul(0xd134_2543_de82_ef95);
        Self(mixed)
    }

    pub(crate) fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let bits = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        bits ^ (bits >> 31)
    }

    /// From zero up to, but not including, one.
    #[expect(clippy::cast_precision_loss, reason = "53 bits are kept")]
    pub(crate) fn unit(&mut self) -> f64 {
        (self.bits() >> 11) as f64 / (1_u64 << 53) as f64
    }

    pub(crate) fn between(&mut self, low: f64, high: f64) -> f64 {
        low + (high - low) * self.unit()
    }

    /// One of so many; zero if there are none.
    pub(crate) fn below(&mut self, bound: usize) -> usize {
        usize::try_from((u128::from(self.bits()) * bound as u128) >> 64).unwrap_or(0)
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
        assert_ne!(Random::new(1, 2).bits(), Random::new(1, 3).bits());
        assert_eq!(Random::new(1, 2).bits(), Random::new(1, 2).bits());
    }
}
