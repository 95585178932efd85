//! The choice of traces that are recorded.

use serverledge_core::{SAMPLED, TraceId};

use crate::config::TracingConfig;

/// Number of the bits at the end of a trace's id that decide. The id is that of an invocation: what is before them has
/// the time and a counter, which are about the same for calls that come together.
const RANDOM_BITS: u32 = 32;

/// The choice of traces that begin here. All nodes with one ratio choose the same traces.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Sampler {
    /// Traces are recorded whose last bits are below this; `None`: nobody records any.
    below: Option<u64>,
}

impl Sampler {
    pub(crate) fn new(config: &TracingConfig) -> Self {
        let is_on = config.file_enabled || !config.otlp_endpoint.is_empty();
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            clippy::cast_precision_loss,
            reason = "the ratio is from 0 to 1"
        )]
        let below = (config.sample_ratio * (1_u64 << RANDOM_BITS) as f64) as u64;
        Self {
            below: is_on.then_some(below),
        }
    }

    /// The flags of a trace that begins here; `None` where no traces are recorded.
    pub(crate) fn flags(self, trace: TraceId) -> Option<u8> {
        let [.., a, b, c, d] = trace.0;
        let random = u64::from(u32::from_be_bytes([a, b, c, d]));
        self.below
            .map(|below| if random < below { SAMPLED } else { 0 })
    }
}

#[cfg(test)]
mod tests {
    use serverledge_core::InvocationId;

    use super::*;

    #[test]
    fn a_share_of_the_traces_is_recorded() {
        let share = |ratio: f64| {
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "a ratio"
            )]
            let below = Some((ratio * 2_f64.powi(32)) as u64);
            let sampler = Sampler { below };
            let ids = (0..4000).map(|_| TraceId(*InvocationId::new().as_bytes()));
            ids.filter(|id| sampler.flags(*id) == Some(SAMPLED)).count()
        };
        assert_eq!((share(0.0), share(1.0)), (0, 4000));
        assert!((800..1200).contains(&share(0.25)), "about a quarter");
        assert_eq!(Sampler::default().flags(TraceId([1; 16])), None);
    }
}
