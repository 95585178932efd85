//! Probes the other nodes for their state: all of them in a small cluster; in a large one the nearest, those of the
//! cloud, and a few others in turn, so that N nodes do not send N² probes.

use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use serverledge_client::{PeerClient, PeerError};
use tokio::time::Instant;

use super::Cluster;
use super::peers::Contact;
use crate::cluster::membership::Membership;

/// Up to this number of nodes, all are probed.
const ALL_MAX: usize = 16;
/// Beyond it, the number of nearest neighbours, and of the cloud's nodes.
const NEAREST: usize = 8;
const CLOUDS: usize = 4;
/// The number of other nodes, in turn.
const OTHERS: usize = 2;
/// Longest wait for a response.
const TIMEOUT: Duration = Duration::from_secs(3);

/// The scope of the probes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ProbeScope {
    /// The nodes that may be offloaded to.
    Some,
    /// All of the own area, to which calls are forwarded, and the nearest of the cloud; all of those, if the own area
    /// has none.
    Area,
}

impl Cluster {
    /// Follows the nodes and their state. Runs for ever.
    pub(crate) async fn watch(&self, membership: &Membership, scope: ProbeScope) {
        let mut turn = 0;
        self.peers.set(&membership.others());
        loop {
            let round = Instant::now() + self.probe_every;
            self.ask_round(membership, scope, &mut turn).await;
            tokio::select! {
                () = tokio::time::sleep_until(round) => {}
                () = membership.changed().notified() => self.peers.set(&membership.others()),
            }
        }
    }

    /// Probes once. `turn` is the position in the list of nodes that are probed in turn.
    pub(crate) async fn ask_round(
        &self,
        membership: &Membership,
        scope: ProbeScope,
        turn: &mut usize,
    ) {
        let Some(client) = &self.client else { return };
        let by_distance = self.peers.by_distance();
        let chosen = match scope {
            ProbeScope::Some => choose(by_distance, turn),
            ProbeScope::Area => choose_all(by_distance, &membership.owner().area),
        };
        // Who is slow delays nobody's answer, only the next round.
        let mut asked: FuturesUnordered<_> = chosen
            .iter()
            .map(|contact| self.ask(client, contact))
            .collect();
        while asked.next().await.is_some() {}
    }

    async fn ask(&self, client: &PeerClient, contact: &Contact) {
        match client.state(&contact.target, TIMEOUT).await {
            Ok((state, took)) => self.peers.measured(contact, state, took),
            Err(error) => {
                tracing::debug!(peer = contact.target.name(), %error, "a node did not say how it is");
                if matches!(error, PeerError::NotSent { .. }) {
                    self.peers.unreachable(contact.id);
                }
                if let PeerError::Refused { problem, .. } = &error {
                    tracing::warn!(
                        peer = contact.target.name(),
                        code = problem.code,
                        "{}",
                        problem.detail
                    );
                }
            }
        }
    }
}

/// The nodes that a load balancer of this area probes.
fn choose_all(by_distance: Vec<(Contact, bool)>, area: &str) -> Vec<Contact> {
    let (mut own, clouds): (Vec<_>, Vec<_>) = by_distance
        .into_iter()
        .partition(|(contact, _)| contact.area == area);
    let most = if own.is_empty() { usize::MAX } else { CLOUDS };
    own.extend(clouds.into_iter().filter(|(_, cloud)| *cloud).take(most));
    own.into_iter().map(|(contact, _)| contact).collect()
}

/// The nodes to probe in this round.
fn choose(by_distance: Vec<(Contact, bool)>, turn: &mut usize) -> Vec<Contact> {
    if by_distance.len() <= ALL_MAX {
        return by_distance
            .into_iter()
            .map(|(contact, _)| contact)
            .collect();
    }
    let mut neighbours = 0;
    let mut clouds = 0;
    let mut chosen = Vec::new();
    let mut others = Vec::new();
    for (contact, cloud) in by_distance {
        let (count, most) = if cloud {
            (&mut clouds, CLOUDS)
        } else {
            (&mut neighbours, NEAREST)
        };
        if *count < most {
            *count += 1;
            chosen.push(contact);
        } else {
            others.push(contact);
        }
    }
    for _ in 0..OTHERS.min(others.len()) {
        *turn = (*turn + 1) % others.len();
        chosen.push(others[*turn].clone());
    }
    chosen
}
