//! Numbers that look random and repeat themselves.

/// `SplitMix64` (Steele, Lea, Flood: Fast Splittable Pseudorandom Number Generators, OOPSLA 2014): the same numbers for
/// the same seed. To spread and to simulate, never for secrets.
#[derive(Debug, Clone, Copy)]
pub struct SplitMix64(u64);

impl SplitMix64 {
    /// A sequence for each seed.
    #[must_use]
    pub const fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The next number.
    pub const fn next_u64(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        Self::mix(self.0)
    }

    /// The next number, from zero up to, but not including, one.
    #[expect(clippy::cast_precision_loss, reason = "53 bits are kept")]
    pub fn unit(&mut self) -> f64 {
        (self.next_u64() >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// The next number, below `bound`; zero if that is zero. Even enough while `bound` is small.
    pub fn below(&mut self, bound: usize) -> usize {
        usize::try_from((u128::from(self.next_u64()) * bound as u128) >> 64).unwrap_or(0)
    }

    /// The finaliser: every bit of the input changes half of the output's.
    #[must_use]
    pub const fn mix(mut bits: u64) -> u64 {
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        bits ^ (bits >> 31)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn repeats_itself_and_stays_in_bounds() {
        let mut random = SplitMix64::new(0);
        // The published sequence for seed 0.
        assert_eq!(
            [random.next_u64(), random.next_u64()],
            [0xe220_a839_7b1d_cdaf, 0x6e78_9e6a_a1b9_65f4]
        );
        let mut seen = [0_u32; 7];
        (0..7_000).for_each(|_| seen[random.below(7)] += 1);
        assert!(
            seen.iter().all(|count| (850..1_150).contains(count)),
            "{seen:?}"
        );
        assert!((0..1_000).all(|_| (0.0..1.0).contains(&random.unit())));
        assert_eq!(random.below(0), 0);
    }
}
