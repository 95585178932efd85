//! Asks the other nodes how they are: all of them in a small cluster, in a large one the nearest, those of the cloud, and a
//! few others in turn, so that N nodes do not ask N² times.

use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use serverledge_client::{PeerClient, PeerError};
use tokio::time::Instant;

use super::Cluster;
use super::peers::Contact;
use crate::membership::Membership;

/// So many nodes are asked all together.
const ALL_MAX: usize = 16;
/// Of more, the nearest of the neighbours and of the cloud's nodes.
const NEAREST: usize = 8;
const CLOUDS: usize = 4;
/// And so many of the others, in turn.
const OTHERS: usize = 2;
/// Longest wait for an answer.
const TIMEOUT: Duration = Duration::from_secs(3);

/// Whose load is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Whom {
    /// Those that may be offloaded to.
    Some,
    /// All of the own area, to which calls are handed on, and the nearest of the cloud; all of those, if there is nobody else.
    Area,
}

impl Cluster {
    /// Knows who is there and how they are. Runs for ever.
    pub(crate) async fn watch(&self, membership: &Membership, whom: Whom) {
        let mut turn = 0;
        self.peers.set(&membership.others());
        loop {
            let round = Instant::now() + self.probe_every;
            self.ask_round(membership, whom, &mut turn).await;
            tokio::select! {
                () = tokio::time::sleep_until(round) => {}
                () = membership.changed().notified() => self.peers.set(&membership.others()),
            }
        }
    }

    /// Asks once. `turn` is whose turn it is of those that are asked now and then.
    pub(crate) async fn ask_round(&self, membership: &Membership, whom: Whom, turn: &mut usize) {
        let Some(client) = &self.client else { return };
        let by_distance = self.peers.by_distance();
        let chosen = match whom {
            Whom::Some => choose(by_distance, turn),
            Whom::Area => choose_all(by_distance, &membership.owner().area),
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

/// Whom a load balancer of this area asks.
fn choose_all(by_distance: Vec<(Contact, bool)>, area: &str) -> Vec<Contact> {
    let (mut own, clouds): (Vec<_>, Vec<_>) = by_distance
        .into_iter()
        .partition(|(contact, _)| contact.area == area);
    let most = if own.is_empty() { usize::MAX } else { CLOUDS };
    own.extend(clouds.into_iter().filter(|(_, cloud)| *cloud).take(most));
    own.into_iter().map(|(contact, _)| contact).collect()
}

/// Whom to ask in this round.
fn choose(by_distance: Vec<(Contact, bool)>, turn: &mut usize) -> Vec<Contact> {
    if by_distance.len() <= ALL_MAX {
        return by_distance
            .into_iter()
            .map(|(contact, _)| contact)
            .collect();
    }
    let (mut neighbours, mut clouds) = (0, 0);
    let (mut chosen, mut others) = (Vec::new(), Vec::new());
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
