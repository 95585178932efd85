//! Serverledge's policies that offload by rule: to the cloud, to the cloud when this node is full, to a neighbour.

use std::time::Instant;

use serverledge_core::OverloadReason;

use super::outlook::{Outlook, Prospect, Tier};
use super::{Fit, LocalView, Placement, Policy, Sample};
use crate::arrival::Arrival;
use crate::peers::PeerView;

/// Two peers are about equal if one is at most by a quarter and this many seconds worse: network jitter.
const EQUAL_RATIO: f64 = 1.25;
const EQUAL_SECONDS: f64 = 0.001;

/// Serverledge's rules of where calls run.
#[derive(Debug, Clone, Copy)]
pub(super) enum TierRule {
    /// Everything runs in the cloud or nowhere (`cloudonly`).
    CloudOnly,
    /// Here if it can start now, or as soon as idle sandboxes have made way, else in the cloud; if that has nothing to
    /// offer, it waits here (`edgecloud`; Serverledge drops it).
    EdgeCloud,
    /// On the nearest neighbour that has room; calls that may not be offloaded run here (`edgeonly`). With
    /// `fallback_local`, what no neighbour can take runs here.
    EdgeOnly { fallback_local: bool },
}

/// The policy of a rule: finds the best peer of one tier.
#[derive(Debug)]
pub(super) struct TierPolicy {
    rule: TierRule,
    outlook: Outlook,
    /// Kept, so that no decision allocates.
    prospects: Vec<Prospect>,
}

impl Policy for TierPolicy {
    fn place(
        &mut self,
        now: Instant,
        call: &Arrival,
        local: &LocalView,
        peers: PeerView<'_>,
    ) -> Placement {
        let in_time = || {
            call.deadline
                .is_none_or(|deadline| now + local.wait < deadline)
        };
        match self.rule {
            TierRule::EdgeCloud
                if local.fit == Fit::Now || (local.yields && local.may_wait && in_time()) =>
            {
                Placement::Local
            }
            TierRule::EdgeCloud => self
                .cloud(now, call, local, &peers)
                .unwrap_or(Placement::Local),
            TierRule::CloudOnly => self
                .cloud(now, call, local, &peers)
                .unwrap_or(Placement::Reject(OverloadReason::NoPeer)),
            TierRule::EdgeOnly { .. } if !call.may_offload => Placement::Local,
            TierRule::EdgeOnly { fallback_local } => match self.neighbour(now, call, local, &peers)
            {
                Some(placement) => placement,
                None if fallback_local => Placement::Local,
                None => Placement::Reject(OverloadReason::NoPeer),
            },
        }
    }

    fn learn(&mut self, now: Instant, sample: &Sample) {
        self.outlook.learn(now, sample);
    }
}

// === impl TierPolicy ===

impl TierPolicy {
    /// Knows nothing yet; spreads from this seed.
    pub(super) fn new(rule: TierRule, seed: u64) -> Self {
        Self {
            rule,
            outlook: Outlook::new(seed),
            prospects: Vec::new(),
        }
    }

    /// The cloud peer from which the answer should come first, those with room before those with a queue.
    fn cloud(
        &mut self,
        now: Instant,
        call: &Arrival,
        local: &LocalView,
        peers: &PeerView<'_>,
    ) -> Option<Placement> {
        self.look(now, call, local, peers, Tier::Cloud);
        let roomy = self.prospects.iter().any(|one| one.room);
        self.prospects.retain(|one| one.room == roomy);
        self.nearly_best(now, call, peers, |one| one.completion.mean)
    }

    /// The neighbour with room that is nearest.
    fn neighbour(
        &mut self,
        now: Instant,
        call: &Arrival,
        local: &LocalView,
        peers: &PeerView<'_>,
    ) -> Option<Placement> {
        self.look(now, call, local, peers, Tier::Neighbour);
        self.prospects.retain(|one| one.room);
        self.nearly_best(now, call, peers, |one| one.round_trip)
    }

    /// Among those about equal to the best, one of two.
    fn nearly_best(
        &mut self,
        now: Instant,
        call: &Arrival,
        peers: &PeerView<'_>,
        key: impl Fn(&Prospect) -> f64,
    ) -> Option<Placement> {
        let best = self.prospects.iter().map(&key).min_by(f64::total_cmp)?;
        let equal = best * EQUAL_RATIO + EQUAL_SECONDS;
        let by_completion = |one: &Prospect| one.completion.mean;
        let chosen =
            self.outlook
                .one_of_two(&self.prospects, |one| key(one) <= equal, by_completion)?;
        self.outlook.send(now, call, &chosen, peers);
        chosen.peer.map(Placement::Peer)
    }

    /// Collects what the peers of a tier offer. With a deadline, who could not start before it offers nothing.
    fn look(
        &mut self,
        now: Instant,
        call: &Arrival,
        local: &LocalView,
        peers: &PeerView<'_>,
        tier: Tier,
    ) {
        self.prospects.clear();
        if !call.may_offload {
            return;
        }
        let ask = self
            .outlook
            .known(call)
            .ask(now, call, peers, local.wait_max);
        let left = call.deadline.map_or(f64::INFINITY, |at| {
            at.saturating_duration_since(now).as_secs_f64()
        });
        for peer in peers
            .peers
            .iter()
            .filter(|peer| peer.cloud == (tier == Tier::Cloud))
        {
            let prospect = self.outlook.prospect(&ask, peer);
            self.prospects
                .extend(prospect.filter(|one| one.wait < left));
        }
    }
}
