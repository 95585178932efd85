//! The policy that knows what a call is for: `qosaware`.
//!
//! **With a deadline** a call goes to the cheapest place where it is comfortably in time, in the order here, neighbour,
//! cloud. Comfortable means: by its mean and so many deviations as its class is worth ([`MARGIN`], [`MARGIN_LOW`]). If
//! no place is comfortable, it goes where being in time is most likely. If by the estimates it would be too late
//! everywhere, and by more than they may be wrong, it is turned away at once.
//!
//! **Without a deadline** the class decides. *Performance* goes where the answer should come first. *Availability* goes
//! where it is most certain to be served: where there is room; else it waits where waiting is short enough; it is
//! turned away only where nobody has a place for it. *Low* runs here if it fits and waits here while that should be
//! short ([`SHORT_WAIT`]); else it goes to the cheapest place with room; else it waits here.

use std::time::{Duration, Instant};

use serverledge_core::OverloadReason;

use super::outlook::{FunctionTimes, Outlook, Prospect, Tier};
use super::{Fit, LocalView, Placement, Policy, Sample};
use crate::arrival::{Arrival, Rank};
use crate::peers::PeerView;

/// A call of the low class waits here this long before another node is paid for it.
pub const SHORT_WAIT: Duration = Duration::from_secs(1);

/// So many deviations before the deadline are comfortable: RFC 6298 gives an answer up after as many.
const MARGIN: f64 = 4.0;
/// The same for the low class, which gets no safety that costs money.
const MARGIN_LOW: f64 = 1.0;
/// Estimates may be wrong by so many deviations before a call is turned away on their word.
const DOUBT: f64 = 1.0;
/// No estimate is better than this (seconds): the granularity of timers, RFC 6298's G.
const GRANULARITY: f64 = 0.001;
/// A dearer place must be better than a cheaper one by more than this ratio.
const BETTER: f64 = 1.1;

/// See the module's text, which is the rule.
#[derive(Debug)]
pub(super) struct QosAware {
    outlook: Outlook,
    /// Kept, so that no decision allocates.
    prospects: Vec<Prospect>,
}

impl QosAware {
    /// Knows nothing yet; spreads from this seed.
    pub(super) fn new(seed: u64) -> Self {
        Self {
            outlook: Outlook::new(seed),
            prospects: Vec::new(),
        }
    }

    /// Collects all places for a call; this node first, if it has one.
    fn look(&mut self, now: Instant, call: &Arrival, local: &LocalView, peers: &PeerView<'_>) {
        self.prospects.clear();
        let known: FunctionTimes = self.outlook.known(call);
        let waits = local.may_wait && local.wait <= local.wait_max;
        if local.fit == Fit::Now || (local.fit == Fit::Later && waits) {
            self.prospects.push(Prospect::here(call, &known, local));
        }
        if call.may_offload {
            let ask = known.ask(now, call, peers, local.wait_max);
            for peer in peers.peers {
                self.prospects.extend(self.outlook.prospect(&ask, peer));
            }
        }
    }

    fn by_deadline(&mut self, left: f64, rank: Rank) -> Result<Option<Prospect>, OverloadReason> {
        let margin = if rank == Rank::Low {
            MARGIN_LOW
        } else {
            MARGIN
        };
        if let Some(chosen) = self.cheapest(|one| slack(one, left, margin) >= 0.0) {
            return Ok(Some(chosen));
        }
        let likely = self
            .prospects
            .iter()
            .max_by(|one, other| odds(one, left).total_cmp(&odds(other, left)));
        match likely {
            Some(likely) if odds(likely, left) < -DOUBT => Err(OverloadReason::Deadline),
            likely => Ok(likely.copied()),
        }
    }

    fn without_deadline(&mut self, rank: Rank) -> Option<Prospect> {
        match rank {
            // Where the answer should come first; where waiting is shortest.
            Rank::Performance => self.least(|one| one.completion.mean),
            Rank::Availability => self
                .cheapest(|one| one.room)
                .or_else(|| self.least(|one| one.wait)),
            Rank::Low => {
                let here = self.here();
                let short = here.filter(|here| here.wait <= SHORT_WAIT.as_secs_f64());
                short.or_else(|| self.cheapest(|one| one.room)).or(here)
            }
        }
    }

    fn here(&self) -> Option<Prospect> {
        self.prospects
            .first()
            .filter(|one| one.peer.is_none())
            .copied()
    }

    /// Of the cheapest tier that has a place which passes the test, one of two such places.
    fn cheapest(&mut self, test: impl Fn(&Prospect) -> bool) -> Option<Prospect> {
        let tier = self
            .prospects
            .iter()
            .filter(|one| test(one))
            .map(|one| one.tier)
            .min()?;
        self.outlook.one_of_two(
            &self.prospects,
            |one| one.tier == tier && test(one),
            |one| one.completion.mean,
        )
    }

    /// The place where a time is shortest; of places about equal, the cheapest.
    fn least(&mut self, time: impl Fn(&Prospect) -> f64) -> Option<Prospect> {
        let best = self.prospects.iter().map(&time).min_by(f64::total_cmp)?;
        self.cheapest(|one| time(one) <= best * BETTER + GRANULARITY)
    }
}

impl Policy for QosAware {
    fn place(
        &mut self,
        now: Instant,
        call: &Arrival,
        local: &LocalView,
        peers: PeerView<'_>,
    ) -> Placement {
        self.look(now, call, local, &peers);
        let rank = call.class.rank();
        let left = call
            .deadline
            .map(|at| at.saturating_duration_since(now).as_secs_f64());
        let chosen = match left {
            Some(left) => self.by_deadline(left, rank),
            None => Ok(self.without_deadline(rank)),
        };
        match chosen {
            Err(reason) => Placement::Reject(reason),
            Ok(Some(chosen)) if chosen.tier != Tier::Here => {
                self.outlook.send(now, call, &chosen, &peers);
                chosen.peer.map_or(Placement::Local, Placement::Peer)
            }
            // Here; or nowhere, and then the books say why not here.
            Ok(_) => Placement::Local,
        }
    }

    fn learn(&mut self, now: Instant, sample: &Sample) {
        self.outlook.learn(now, sample);
    }
}

/// The seconds to spare after so many deviations.
fn slack(one: &Prospect, left: f64, margin: f64) -> f64 {
    left - one.completion.mean - (margin * one.completion.deviation).max(GRANULARITY)
}

/// The odds that a place is in time: the deviations between the expected answer and the deadline.
fn odds(one: &Prospect, left: f64) -> f64 {
    (left - one.completion.mean) / one.completion.deviation.max(GRANULARITY)
}
