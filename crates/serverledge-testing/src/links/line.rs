//! One direction of a link, as a pure state machine: what becomes of a packet, and when it arrives.

use std::time::{Duration, Instant};

use serverledge_core::SplitMix64;

/// Packets on their way in one direction, against a flood; netem's own default is a thousand.
const WAITING_MAX: u64 = 10_000;
/// Later than this is late: what the emulator is meant to stay within.
const LATE: Duration = Duration::from_millis(1);

/// The effect of one direction of a link on packets.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Condition {
    /// The time for which a packet is on its way: half of the round trip.
    pub delay: Duration,
    /// The amount by which the delay differs, evenly, to either side. Packets do not overtake each other.
    pub jitter: Duration,
    /// The probability that a packet is lost, from 0 to 1; each is judged for itself.
    pub loss: f64,
    /// Nothing passes.
    pub cut: bool,
}

/// Counts of the packets of one direction. `sent` = `carried` + `lost` + `cut` + `overflowed` + `waiting`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counts {
    /// Packets that a site has sent.
    pub sent: u64,
    /// Those that have arrived.
    pub carried: u64,
    /// Those that chance has taken.
    pub lost: u64,
    /// Those that met a cut, on their way included.
    pub cut: u64,
    /// Those for which there was no room: more than 10,000 on their way, or a site that takes no more.
    pub overflowed: u64,
    /// Those on their way.
    pub waiting: u64,
    /// Of the carried, those that arrived more than a millisecond after their time, because the machine was busy.
    pub late: u64,
}

/// The fate of a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fate {
    /// It arrives at this time; [`LinkDirection::arrive`] is called then.
    Due(Instant),
    Gone,
}

/// One direction.
#[derive(Debug)]
pub(crate) struct LinkDirection {
    condition: Condition,
    chance: SplitMix64,
    /// The time at which the last packet so far arrives.
    last_due: Option<Instant>,
    counts: Counts,
}

// === impl Condition ===

impl Condition {
    /// No delay, no loss.
    pub const PERFECT: Self = Self {
        delay: Duration::ZERO,
        jitter: Duration::ZERO,
        loss: 0.0,
        cut: false,
    };
    /// Nothing passes.
    pub const CUT: Self = Self {
        cut: true,
        ..Self::PERFECT
    };

    /// A link whose round trip takes this long.
    #[must_use]
    pub fn round_trip(time: Duration) -> Self {
        Self {
            delay: time / 2,
            ..Self::PERFECT
        }
    }

    /// The same condition with this probability of loss.
    #[must_use]
    pub fn with_loss(self, loss: f64) -> Self {
        Self { loss, ..self }
    }
}

impl Default for Condition {
    fn default() -> Self {
        Self::PERFECT
    }
}

// === impl LinkDirection ===

impl LinkDirection {
    pub(crate) fn new(seed: u64) -> Self {
        Self {
            condition: Condition::PERFECT,
            chance: SplitMix64::new(seed),
            last_due: None,
            counts: Counts::default(),
        }
    }

    pub(crate) fn set(&mut self, condition: Condition) {
        self.condition = condition;
    }

    pub(crate) fn counts(&self) -> Counts {
        self.counts
    }

    /// A packet has been sent. Every packet takes two numbers of chance, whatever the condition, so that the fate of the
    /// n-th packet depends on nothing else.
    pub(crate) fn send(&mut self, now: Instant) -> Fate {
        self.counts.sent += 1;
        let luck = self.chance.unit();
        let shift = self.chance.unit();
        let counter = match &self.condition {
            Condition { cut: true, .. } => &mut self.counts.cut,
            Condition { loss, .. } if luck < *loss => &mut self.counts.lost,
            _ if self.counts.waiting >= WAITING_MAX => &mut self.counts.overflowed,
            _ => {
                self.counts.waiting += 1;
                return Fate::Due(self.due(now, shift));
            }
        };
        *counter += 1;
        Fate::Gone
    }

    fn due(&mut self, now: Instant, shift: f64) -> Instant {
        let Condition { delay, jitter, .. } = self.condition;
        let delay = (delay + jitter.mul_f64(2.0 * shift)).saturating_sub(jitter);
        let due = self
            .last_due
            .map_or(now + delay, |last| last.max(now + delay));
        self.last_due = Some(due);
        due
    }

    /// A packet that was due has come to the end of the line; true if it may leave it.
    pub(crate) fn arrive(&mut self) -> bool {
        self.counts.waiting -= 1;
        if self.condition.cut {
            self.counts.cut += 1;
        }
        !self.condition.cut
    }

    /// Whether the site took the packet that has left the line.
    pub(crate) fn arrived(&mut self, taken: bool, due: Instant, now: Instant) {
        let counter = if taken {
            &mut self.counts.carried
        } else {
            &mut self.counts.overflowed
        };
        *counter += 1;
        self.counts.late += u64::from(taken && now.saturating_duration_since(due) > LATE);
    }
}

#[cfg(test)]
mod tests;
