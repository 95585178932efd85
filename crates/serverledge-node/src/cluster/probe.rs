//! Asks the other nodes how they are: all of them in a small cluster, in a large one the nearest, those of the cloud, and a
//! few others in turn, so that N nodes do not ask N² times.

use std::sync::Arc;
use std::time::Duration;

use serverledge_client::{PeerClient, PeerError};
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::peers::Contact;
use crate::node::Node;

/// So many nodes are asked all together.
const ALL_MAX: usize = 16;
/// Of more, the nearest of the neighbours and of the cloud's nodes.
const NEAREST: usize = 8;
const CLOUDS: usize = 4;
/// And so many of the others, in turn.
const OTHERS: usize = 2;
/// Longest wait for an answer.
const TIMEOUT: Duration = Duration::from_secs(3);

impl Node {
    /// Runs for ever.
    pub(crate) async fn watch_peers(self: &Arc<Self>) {
        let mut turn = 0;
        self.cluster.peers.set(&self.membership.others());
        loop {
            let round = Instant::now() + self.cluster.probe_every;
            if let Some(client) = &self.cluster.client {
                self.ask_round(client, &mut turn).await;
            }
            tokio::select! {
                () = tokio::time::sleep_until(round) => {}
                () = self.membership.changed().notified() => {
                    self.cluster.peers.set(&self.membership.others());
                }
            }
        }
    }

    async fn ask_round(self: &Arc<Self>, client: &PeerClient, turn: &mut usize) {
        let mut asked = JoinSet::new();
        for contact in choose(self.cluster.peers.by_distance(), turn) {
            let (node, client) = (Arc::clone(self), client.clone());
            asked.spawn(async move { node.ask(&client, &contact).await });
        }
        // Who is slow delays nobody's answer, only the next round.
        while asked.join_next().await.is_some() {}
    }

    async fn ask(&self, client: &PeerClient, contact: &Contact) {
        match client.state(&contact.target, TIMEOUT).await {
            Ok((state, took)) => self.cluster.peers.measured(contact, state, took),
            Err(error) => {
                tracing::debug!(peer = contact.target.name(), %error, "a node did not say how it is");
                if matches!(error, PeerError::NotSent { .. }) {
                    self.cluster.peers.unreachable(contact.id);
                }
                if let PeerError::Refused { problem, .. } = &error {
                    tracing::warn!(peer = contact.target.name(), code = problem.code, "{}", problem.detail);
                }
            }
        }
    }
}

/// Whom to ask in this round.
fn choose(by_distance: Vec<(Contact, bool)>, turn: &mut usize) -> Vec<Contact> {
    if by_distance.len() <= ALL_MAX {
        return by_distance.into_iter().map(|(contact, _)| contact).collect();
    }
    let (mut neighbours, mut clouds) = (0, 0);
    let (mut chosen, mut others) = (Vec::new(), Vec::new());
    for (contact, cloud) in by_distance {
        let (count, most) = if cloud { (&mut clouds, CLOUDS) } else { (&mut neighbours, NEAREST) };
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
